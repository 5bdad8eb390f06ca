/*-------------------------------------------------------------------------
 *
 * schema_table.h
 *	  The registered schemas: postrider.schema, and those of topics.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_TABLE_H
#define POSTRIDER_SCHEMA_TABLE_H

#include "postgres.h"

#include "content/schema.h"
#include "utils/jsonb.h"

/*
 * The column "schema" of the one row of postrider.TABLE whose column has this
 * value and which INDEX, unique, has on it; NULL if there is none or it is
 * NULL.  A copy, in the current memory context, by postrider_latest_row().
 */
extern Jsonb *postrider_schema_read(const char *table, const char *index,
									const char *column, const char *value);

/* The schema in postrider.schema with this name or $id; NULL if there is none. */
extern Jsonb *postrider_named_schema_find(const char *uri);

/*
 * A SchemaResolver for all registered schemas: topics' and named ones.  arg may
 * be NULL or point to a bool, which is set if something is not found.
 */
extern Jsonb *postrider_schema_resolve(const char *uri, void *arg);

/*
 * Goes up whenever a registered schema may have changed.  Who keeps something
 * that was made with a resolver makes it again when the number is another.
 */
extern uint64 postrider_schema_changes(void);

/* Raises the problem of a schema. "what" is the subject: schema "x". */
extern void postrider_schema_refuse(int level, const char *what,
									const SchemaProblem *problem);

#endif							/* POSTRIDER_SCHEMA_TABLE_H */
