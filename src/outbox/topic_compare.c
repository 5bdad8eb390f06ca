/*-------------------------------------------------------------------------
 *
 * topic_compare.c
 *	  SQL: postrider.compare_schema() and postrider.is_compatible().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_compare.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "outbox/schema_table.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(postrider_compare_schema);
PG_FUNCTION_INFO_V1(postrider_is_compatible);

/* Rows that compare_schema() returns at most. */
#define MAX_CHANGES 1000

/* Only schemas that compile can be compared. */
static void
require_schema(const char *argument, Jsonb *schema)
{
	SchemaProblem problem;
	Schema	   *compiled = postrider_schema_compile(schema, postrider_schema_resolve,
													NULL, &problem);

	if (compiled == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not a valid JSON Schema", argument),
				 errdetail("At %s: %s.",
						   problem.location[0] ? problem.location : "the root of the schema",
						   problem.message)));
	postrider_schema_free(compiled);
}

/* SQL: postrider.compare_schema(old_schema, new_schema) */
Datum
postrider_compare_schema(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Jsonb	   *old_schema = PG_GETARG_JSONB_P(0);
	Jsonb	   *new_schema = PG_GETARG_JSONB_P(1);
	List	   *changes;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	require_schema("old_schema", old_schema);
	require_schema("new_schema", new_schema);
	(void) postrider_schema_compare(old_schema, new_schema,
									postrider_schema_resolve, NULL,
									MAX_CHANGES, &changes);
	foreach(cell, changes)
	{
		SchemaChange *change = lfirst(cell);
		Datum		values[4];
		bool		nulls[4] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = CStringGetTextDatum(change->location);
		values[1] = CStringGetTextDatum(change->change);
		values[2] = BoolGetDatum(change->compatible);
		values[3] = CStringGetTextDatum(change->message);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* SQL: postrider.is_compatible(old_schema, new_schema) */
Datum
postrider_is_compatible(PG_FUNCTION_ARGS)
{
	Jsonb	   *old_schema = PG_GETARG_JSONB_P(0);
	Jsonb	   *new_schema = PG_GETARG_JSONB_P(1);
	List	   *changes;

	require_schema("old_schema", old_schema);
	require_schema("new_schema", new_schema);
	PG_RETURN_BOOL(postrider_schema_compare(old_schema, new_schema,
									postrider_schema_resolve, NULL,
											0, &changes));
}
