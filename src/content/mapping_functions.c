/*-------------------------------------------------------------------------
 *
 * mapping_functions.c
 *	  The functions in SQL that take the definition of a mapping.  Those that
 *	  take its name are in outbox/mapping_table.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mapping_functions.h"
#include "funcapi.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(postrider_map_definition);
PG_FUNCTION_INFO_V1(postrider_map_errors_definition);
PG_FUNCTION_INFO_V1(postrider_check_mapping);
PG_FUNCTION_INFO_V1(postrider_describe_definition);

/* One problem in a line, as a detail shows it. */
static char *
problems_in_lines(List *problems)
{
	StringInfoData string;
	ListCell   *cell;

	initStringInfo(&string);
	foreach(cell, problems)
	{
		List	   *one = list_make1(lfirst(cell));

		appendStringInfo(&string, "%s%s", string.len > 0 ? "\n" : "",
						 postrider_mapping_problems_text(one));
	}
	return string.data;
}

void
postrider_mapping_refuse_definition(const char *what, List *problems)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s is wrong: %s", what,
					postrider_mapping_problems_text(list_make1(linitial(problems)))),
			 list_length(problems) > 1 ?
			 errdetail("%s", problems_in_lines(problems)) : 0,
			 errhint("postrider.check_mapping(definition) lists all that is wrong with a definition.")));
}

/* Compiles, or raises an error that says what is wrong. */
const Mapping *
postrider_mapping_require(Jsonb *definition)
{
	List	   *problems = NIL;
	const Mapping *mapping = postrider_mapping_cached(definition, &problems);

	if (mapping == NULL)
		postrider_mapping_refuse_definition("definition of mapping", problems);
	return mapping;
}

/* One error for all of the fields. */
static void
refuse_record(List *problems)
{
	const char *first =
	postrider_mapping_problems_text(list_make1(linitial(problems)));

	if (list_length(problems) == 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("payload cannot be mapped: %s", first)));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("payload cannot be mapped: %s; and %d more", first,
					list_length(problems) - 1),
			 errdetail("%s", problems_in_lines(problems)),
			 errhint("postrider.map_errors() returns the same as a table.")));
}

/* The mapped payload, or one error that names every field that failed. */
Datum
postrider_mapping_map(const Mapping *mapping, Jsonb *payload)
{
	List	   *problems = NIL;
	Jsonb	   *result = postrider_mapping_apply(mapping, payload, &problems);

	if (result == NULL)
		refuse_record(problems);
	return JsonbPGetDatum(result);
}

static void
put_problems(FunctionCallInfo fcinfo, List *problems, bool with_source)
{
	ReturnSetInfo *result;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(cell, problems)
	{
		MappingProblem *problem = lfirst(cell);
		Datum		values[3];
		bool		nulls[3] = {false, false, false};
		int			column = 0;

		values[column++] = CStringGetTextDatum(problem->position);
		if (with_source)
		{
			nulls[column] = problem->source == NULL;
			values[column++] = problem->source ?
				CStringGetTextDatum(problem->source) : (Datum) 0;
		}
		values[column++] = CStringGetTextDatum(problem->message);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

Datum
postrider_mapping_put_errors(FunctionCallInfo fcinfo, const Mapping *mapping,
							 Jsonb *payload)
{
	List	   *problems = NIL;

	(void) postrider_mapping_apply(mapping, payload, &problems);
	put_problems(fcinfo, problems, true);
	return (Datum) 0;
}

/* No rows. */
Datum
postrider_mapping_put_nothing(FunctionCallInfo fcinfo)
{
	InitMaterializedSRF(fcinfo, 0);
	return (Datum) 0;
}

static void
put_text(Datum *values, bool *nulls, int column, const char *string)
{
	nulls[column] = string == NULL;
	values[column] = string ? CStringGetTextDatum(string) : (Datum) 0;
}

Datum
postrider_mapping_put_description(FunctionCallInfo fcinfo,
								  const Mapping *mapping)
{
	List	   *rows = postrider_mapping_describe(mapping);
	ReturnSetInfo *result;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(cell, rows)
	{
		MappingDescription *row = lfirst(cell);
		Datum		values[11];
		bool		nulls[11] = {false};

		put_text(values, nulls, 0, row->target);
		put_text(values, nulls, 1, row->source);
		put_text(values, nulls, 2, row->condition);
		put_text(values, nulls, 3, row->conversions);
		put_text(values, nulls, 4, row->type);
		values[5] = BoolGetDatum(row->required);
		put_text(values, nulls, 6, row->default_value);
		values[7] = Int32GetDatum(row->max_length);
		nulls[7] = row->max_length == 0;
		put_text(values, nulls, 8, row->overflow);
		put_text(values, nulls, 9, row->checks);
		put_text(values, nulls, 10, row->description);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* SQL: postrider.map(payload, definition) */
Datum
postrider_map_definition(PG_FUNCTION_ARGS)
{
	const Mapping *mapping = postrider_mapping_require(PG_GETARG_JSONB_P(1));

	return postrider_mapping_map(mapping, PG_GETARG_JSONB_P(0));
}

/* SQL: postrider.map_errors(payload, definition) */
Datum
postrider_map_errors_definition(PG_FUNCTION_ARGS)
{
	const Mapping *mapping = postrider_mapping_require(PG_GETARG_JSONB_P(1));

	return postrider_mapping_put_errors(fcinfo, mapping, PG_GETARG_JSONB_P(0));
}

/* SQL: postrider.check_mapping(definition) */
Datum
postrider_check_mapping(PG_FUNCTION_ARGS)
{
	List	   *problems = NIL;

	(void) postrider_mapping_compile(PG_GETARG_JSONB_P(0), &problems);
	put_problems(fcinfo, problems, false);
	return (Datum) 0;
}

/* SQL: postrider.describe_mapping(definition) */
Datum
postrider_describe_definition(PG_FUNCTION_ARGS)
{
	const Mapping *mapping = postrider_mapping_require(PG_GETARG_JSONB_P(0));

	return postrider_mapping_put_description(fcinfo, mapping);
}
