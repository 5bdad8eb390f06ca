/*-------------------------------------------------------------------------
 *
 * secret_source.h
 *	  Where the value of a secret is if it is not in the database: the document
 *	  that postrider.set_secret_source() is given, compiled.
 *
 * A store ("store": "vault") is a row of a table of kinds, which says what members
 * its document has.  Nothing in a document is secret: what authenticates to a store
 * is the name of another secret, which may have a source of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SECRET_SOURCE_H
#define POSTRIDER_SECRET_SOURCE_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* Of all kinds; store, refresh, grace and overlap are counted. */
#define SOURCE_MAX_MEMBERS 20

/* Of a value: of two, with an overlap, both must fit into a credential. */
#define SOURCE_MAX_VALUE_BYTES (32 * 1024)

typedef enum SourceMemberType
{
	SOURCE_TEXT,
	SOURCE_SECRET,				/* name of a secret */
	SOURCE_URL,
	SOURCE_CERTIFICATES,		/* of authorities, in PEM; where a row is written
								 * postrider_certificate_problem() looks at them */
	SOURCE_NUMBER				/* a whole number that is not negative */
} SourceMemberType;

typedef struct SourceMember
{
	const char *name;
	SourceMemberType type;
	bool		required;
} SourceMember;

typedef struct SecretSource SecretSource;

/* A row of the table of kinds. */
typedef struct SourceKind
{
	const char *name;			/* the member store */
	const char *title;			/* what it is called in messages */
	bool		is_local;		/* read from the server's own machine */
	int64		refresh_ms;		/* where the document does not say */
	const SourceMember *members;	/* ends with a name of NULL */

	/* What members do not say; may be NULL.  False with *problem and *hint, as below. */
	bool		(*check) (const SecretSource *source, const char **problem,
						  const char **hint);

	/* Do the settings of the server permit it?  Likewise; looked at when it is written. */
	bool		(*permitted) (const SecretSource *source, const char **problem,
							  const char **hint);

	/* Where the value is, for messages: a URL, a path, a variable; palloc'd. */
	char	   *(*place) (const SecretSource *source);

	/* The URLs that it may ask, of char *; NULL for a kind that is local. */
	List	   *(*urls) (const SecretSource *source);
} SourceKind;

struct SecretSource
{
	const SourceKind *kind;
	const char *values[SOURCE_MAX_MEMBERS]; /* as kind->members; NULL: not given */
	int64		refresh_ms;		/* when it is looked at again if the store says nothing */
	int64		grace_ms;		/* how long a value is used after its lease if the store
								 * cannot be asked */
	int64		overlap_ms;		/* how long a value signs after it was replaced */
};

extern const SourceKind postrider_source_vault;
extern const SourceKind postrider_source_aws;
extern const SourceKind postrider_source_azure;
extern const SourceKind postrider_source_file;
extern const SourceKind postrider_source_environment;

/*
 * Compiles a document for a kind, NULL: that which its "store" names; all of it is in
 * CurrentMemoryContext.  NULL with *problem, a
 * clause to go behind "source of secret ... ", and *hint or NULL.  Neither shows a value
 * that may be a credential which was written there by mistake.
 */
extern SecretSource *postrider_secret_source_compile(const SourceKind *kind,
													 const Jsonb *document,
													 const char **problem,
													 const char **hint);

/* A member by its name, NULL if it is not given; the name is one of the kind's. */
extern const char *postrider_source_value(const SecretSource *source, const char *name);

/* The same with a default. */
extern const char *postrider_source_or(const SecretSource *source, const char *name,
									   const char *otherwise);

/* A document of our own making, of those members that have a value. */
typedef struct SourcePair
{
	const char *name;
	const char *value;			/* NULL: left out */
} SourcePair;

extern Jsonb *postrider_source_object(const SourcePair *pairs, int count);

/* Names of the secrets that it refers to, of const char *. */
extern List *postrider_secret_source_secrets(const SecretSource *source);

/* Its certificates of authorities, in PEM and unchecked; NULL if it has none. */
extern const char *postrider_secret_source_certificates(const SecretSource *source);

/* A string as one segment of a path, or with its slashes as several; palloc'd. */
extern char *postrider_source_encode(const char *string, bool keep_slashes);

/* A URL without the slashes that it may end with; palloc'd. */
extern char *postrider_source_base(const char *url);

#endif							/* POSTRIDER_SECRET_SOURCE_H */
