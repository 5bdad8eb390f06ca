/*-------------------------------------------------------------------------
 *
 * check_internal.h
 *	  What the files of the checks share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CHECK_INTERNAL_H
#define POSTRIDER_CHECK_INTERNAL_H

#include "postgres.h"

#include "content/conversion.h"

typedef enum CheckForm
{
	CHECK_NAMED,				/* "email" */
	CHECK_WITH_VALUE,			/* {"min": 1} */
	CHECK_MAY_HAVE_VALUE,		/* "phone", {"phone": "FR"} */
	CHECK_OF_CHECK,				/* {"not": ...} */
	CHECK_OF_CHECKS				/* {"any": [...]} */
} CheckForm;

typedef struct CheckEntry
{
	const char *name;
	CheckForm	form;
	bool		takes_null;
	bool		all;			/* of CHECK_OF_CHECKS: all have to hold */

	/* A plain test of text, and what the text then is: "an e-mail address" */
	bool		(*test) (const char *string, int length);
	const char *what;

	/* Reads check->argument; may be NULL. */
	bool		(*compile) (Check *check, char **problem);

	/* False with *problem if the value does not pass. */
	bool		(*apply) (const Check *check, const JsonbValue *value,
						  char **problem);
	const char *description;
	const char *example;
} CheckEntry;

struct Check
{
	const CheckEntry *entry;
	bool		has_argument;
	JsonbValue	argument;
	int			integer;		/* of lengths */
	void	   *state;			/* what compile left */
	Check	   *inner;			/* of "any", "all" and "not" */
	Check	   *next;			/* which has to hold too */
	const char *description;
	const char *whole_description;	/* with all that follow */
};

/* check_named.c and check_value.c; each ends with an entry without a name. */
extern const CheckEntry postrider_named_checks[];
extern const CheckEntry postrider_value_checks[];

/* All entries by position; NULL after the last. */
extern const CheckEntry *postrider_check_entry(int position);

#endif							/* POSTRIDER_CHECK_INTERNAL_H */
