/*-------------------------------------------------------------------------
 *
 * schema.h
 *	  JSON Schema 2020-12 over jsonb: compiled once, evaluated often.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_H
#define POSTRIDER_SCHEMA_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct Schema Schema;	/* a compiled schema, in one memory context of its own */

/*
 * Finds a registered schema (a named one or a topic's) by its absolute URI
 * or name, without fragment; NULL if there is none.  Nothing is fetched.
 */
typedef Jsonb *(*SchemaResolver) (const char *uri, void *arg);

/* Why a schema could not be compiled. */
typedef struct SchemaProblem
{
	char	   *location;		/* JSON pointer into the schema: "/properties/a/type" */
	char	   *message;		/* a sentence without a full stop */
} SchemaProblem;

/* One thing that is wrong with an instance: a row of postrider.validate(). */
typedef struct SchemaError
{
	char	   *instance_location;	/* JSON pointer */
	char	   *keyword_location;	/* JSON pointer, through $ref */
	char	   *keyword;
	char	   *message;			/* "customer.email" is not a valid email address */
} SchemaError;

/*
 * Compiles.  Returns NULL and fills *problem (in the current memory context)
 * if the schema is wrong.  The result lives in a child of the current memory
 * context; free it with postrider_schema_free.  resolve may be NULL.
 */
extern Schema *postrider_schema_compile(Jsonb *schema, SchemaResolver resolve, void *arg,
										SchemaProblem *problem);
extern void postrider_schema_free(Schema *schema);

/* The short answer: stops at the first failure, allocates nothing that lasts. */
extern bool postrider_schema_is_valid(Schema *schema, Jsonb *instance);

/* The long answer: a list of SchemaError, at most max_errors, NIL if valid. */
extern List *postrider_schema_errors(Schema *schema, Jsonb *instance, int max_errors);

#endif							/* POSTRIDER_SCHEMA_H */
