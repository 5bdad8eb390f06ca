/*-------------------------------------------------------------------------
 *
 * options.h
 *	  JSON objects that people write to configure something, such as
 *	  {"type": "bearer", "secret": "crm"}: their keys, and what is wrong with them.
 *
 * The first problem is kept, and getters go on with a default, so that
 * whoever reads an object need look only once, at its end.  A value may be a
 * credential by mistake, so no problem has a value in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_OPTIONS_H
#define POSTRIDER_OPTIONS_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct Options
{
	JsonbContainer *object;
	const char *position;		/* "" or "[1]" or "[1].timestamp", for problems */
	const char *problem;		/* a palloc'd clause, or NULL: there is none */
	const char *hint;			/* or NULL */
	List	   *secrets;		/* names that it refers to, of char * */
	List	   *fetch_secrets;	/* likewise, but only needed when something is fetched */
	List	   *urls;			/* that are asked for it, of char * */
	List	   *certificates;	/* that those are verified by, in PEM, of char * */
} Options;

/* Names and numbers of what a key can have as a value; ends with a NULL. */
typedef struct OptionChoice
{
	const char *name;
	int			value;
} OptionChoice;

/* Notes a problem, if there is none yet; returns false. */
extern bool postrider_options_refuse(Options *options, const char *hint,
									 const char *format,...) pg_attribute_printf(3, 4);

/* Notes a key that is not one of these; the list ends with a NULL. */
extern void postrider_options_check_keys(Options *options, const char *const *known);

extern bool postrider_options_has(const Options *options, const char *key);

/* A palloc'd string that is not empty; default_value if there is no such key. */
extern char *postrider_options_text(Options *options, const char *key,
									const char *default_value);

/* The same, but there must be one. */
extern char *postrider_options_required_text(Options *options, const char *key);

/* The name of a secret, which is noted; NULL if there is no such key. */
extern char *postrider_options_secret(Options *options, const char *key);
extern char *postrider_options_required_secret(Options *options, const char *key);

extern bool postrider_options_bool(Options *options, const char *key,
								   bool default_value);
extern int	postrider_options_choice(Options *options, const char *key,
									 const OptionChoice *choices, int default_value);
extern int	postrider_options_integer(Options *options, const char *key, int least,
									  int most, int default_value);

/* An object within; false if there is no such key. */
extern bool postrider_options_object(Options *options, const char *key, Options *within);

/* An object within a document as a document of its own. */
extern Jsonb *postrider_options_copy(JsonbContainer *object);

/* Strings, of char *; NIL if there is no such key. */
extern List *postrider_options_texts(Options *options, const char *key);

/* What went wrong within becomes a problem of the whole. */
extern void postrider_options_join(Options *options, const Options *within);

/* A name that a header can have, which is not one of those that curl answers for. */
extern bool postrider_options_check_header(Options *options, const char *name);

/*
 * The word that was probably meant, or NULL; the list ends with a NULL.
 */
extern const char *postrider_options_nearest(const char *word,
											 const char *const *candidates);

/*
 * Does it look like a name that somebody gave, rather than a credential?  Only
 * then may it be shown.
 */
extern bool postrider_options_is_name(const char *text);

#endif							/* POSTRIDER_OPTIONS_H */
