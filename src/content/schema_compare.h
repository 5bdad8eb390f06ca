/*-------------------------------------------------------------------------
 *
 * schema_compare.h
 *	  Whether a change of a JSON Schema is backward compatible: whatever was
 *	  valid under the old schema is valid under the new one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_COMPARE_H
#define POSTRIDER_SCHEMA_COMPARE_H

#include "postgres.h"

#include "content/schema.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* One change: a row of postrider.compare_schema(). */
typedef struct SchemaChange
{
	char	   *location;		/* JSON pointer, through $ref, into the new schema
								 * or, for what was removed, into the old one */
	const char *change;			/* such as required_added; static */
	bool		compatible;
	char	   *message;		/* "customer.vat" is now required */
} SchemaChange;

/*
 * Compares two schemas that compile.  Sets *changes to a list of SchemaChange
 * in the current memory context, and returns true if the change is proven to
 * be compatible.  What cannot be decided is incompatible: its message says
 * "may break".  At most max_changes are listed; the answer is of all of them.
 * With max_changes 0 it stops at the first doubt.  resolve may be NULL.
 */
extern bool postrider_schema_compare(Jsonb *old_schema, Jsonb *new_schema,
									 SchemaResolver resolve, void *arg,
									 int max_changes, List **changes);

#endif							/* POSTRIDER_SCHEMA_COMPARE_H */
