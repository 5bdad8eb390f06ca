/*-------------------------------------------------------------------------
 *
 * conversion_functions.c
 *	  Conversions and checks as functions of SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/check_internal.h"
#include "content/contact.h"
#include "content/conversion_internal.h"
#include "content/date.h"
#include "content/phone.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "util/compat.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define MAX_STEPS 100

PG_FUNCTION_INFO_V1(postrider_sql_is_email);
PG_FUNCTION_INFO_V1(postrider_sql_is_url);
PG_FUNCTION_INFO_V1(postrider_sql_is_uuid);
PG_FUNCTION_INFO_V1(postrider_sql_is_phone);
PG_FUNCTION_INFO_V1(postrider_sql_normalize_email);
PG_FUNCTION_INFO_V1(postrider_sql_normalize_phone);
PG_FUNCTION_INFO_V1(postrider_sql_convert_date);
PG_FUNCTION_INFO_V1(postrider_sql_hash_identifier);
PG_FUNCTION_INFO_V1(postrider_sql_convert);
PG_FUNCTION_INFO_V1(postrider_sql_check_value);
PG_FUNCTION_INFO_V1(postrider_sql_conversions);
PG_FUNCTION_INFO_V1(postrider_sql_checks);

static Datum
test_text(FunctionCallInfo fcinfo, bool (*test) (const char *, int))
{
	text	   *value = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(test(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)));
}

/* The text, or an error with the problem. */
static Datum
text_or_error(char *result, const char *problem)
{
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION), errmsg("%s", problem)));
	return PointerGetDatum(cstring_to_text(result));
}

/* SQL: postrider.is_email(value) */
Datum
postrider_sql_is_email(PG_FUNCTION_ARGS)
{
	return test_text(fcinfo, postrider_is_email);
}

/* SQL: postrider.is_url(value) */
Datum
postrider_sql_is_url(PG_FUNCTION_ARGS)
{
	return test_text(fcinfo, postrider_is_url);
}

/* SQL: postrider.is_uuid(value) */
Datum
postrider_sql_is_uuid(PG_FUNCTION_ARGS)
{
	return test_text(fcinfo, postrider_is_uuid);
}

/* An unknown country is a mistake of the caller and not of the number. */
static char *
default_country(FunctionCallInfo fcinfo)
{
	char	   *country;
	char	   *problem;

	if (PG_ARGISNULL(1))
		return NULL;
	country = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (postrider_phone_country(country, &problem) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", problem)));
	return country;
}

/* SQL: postrider.is_phone(value, default_country) */
Datum
postrider_sql_is_phone(PG_FUNCTION_ARGS)
{
	text	   *value;
	char	   *country = default_country(fcinfo);
	char	   *problem;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value = PG_GETARG_TEXT_PP(0);
	PG_RETURN_BOOL(postrider_phone_normalize(VARDATA_ANY(value),
											 VARSIZE_ANY_EXHDR(value),
											 country, &problem) != NULL);
}

/* SQL: postrider.normalize_email(value) */
Datum
postrider_sql_normalize_email(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	char	   *problem = NULL;
	char	   *result;

	result = postrider_email_normalize(VARDATA_ANY(value),
									   VARSIZE_ANY_EXHDR(value), &problem);
	return text_or_error(result, problem);
}

/* SQL: postrider.normalize_phone(value, default_country) */
Datum
postrider_sql_normalize_phone(PG_FUNCTION_ARGS)
{
	text	   *value;
	char	   *country = default_country(fcinfo);
	char	   *problem = NULL;
	char	   *result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value = PG_GETARG_TEXT_PP(0);
	result = postrider_phone_normalize(VARDATA_ANY(value),
									   VARSIZE_ANY_EXHDR(value), country, &problem);
	return text_or_error(result, problem);
}

static DateFormat *
date_format(text *format, bool for_input)
{
	char	   *problem;
	DateFormat *result = postrider_date_format_compile(text_to_cstring(format),
													   for_input, &problem);

	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", problem)));
	return result;
}

/* SQL: postrider.convert_date(value, from_format, to_format, time_zone) */
Datum
postrider_sql_convert_date(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	DateFormat *from = date_format(PG_GETARG_TEXT_PP(1), true);
	DateFormat *to = date_format(PG_GETARG_TEXT_PP(2), false);
	DateZone	zone;
	StringInfoData result;
	char	   *problem = NULL;
	bool		good;

	if (!postrider_date_zone_find(text_to_cstring(PG_GETARG_TEXT_PP(3)), &zone, &problem))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", problem)));
	initStringInfo(&result);
	good = postrider_date_convert(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value),
								  from, to, &zone, &zone, &result, &problem);
	return text_or_error(good ? result.data : NULL, problem);
}

/* SQL: postrider.hash_identifier(value) */
Datum
postrider_sql_hash_identifier(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	char	   *problem = NULL;
	char	   *result;

	result = postrider_identifier_hash(VARDATA_ANY(value),
									   VARSIZE_ANY_EXHDR(value), &problem);
	return text_or_error(result, problem);
}

/*
 * Chains.  What was compiled is kept for the next call with the same steps.
 */

typedef struct ChainCache
{
	MemoryContext context;
	Jsonb	   *source;			/* NULL: nothing is compiled */
	Conversion **steps;
	int			count;
	Check	   *check;
} ChainCache;

/* The cache, emptied if it is for another source; true if it is not. */
static bool
find_cache(FunctionCallInfo fcinfo, Jsonb *source, ChainCache **found)
{
	ChainCache *cache = fcinfo->flinfo->fn_extra;

	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(ChainCache));
		cache->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt,
											   "postrider conversions",
											   ALLOCSET_SMALL_SIZES);
		fcinfo->flinfo->fn_extra = cache;
	}
	*found = cache;
	if (cache->source != NULL && VARSIZE(cache->source) == VARSIZE(source) &&
		memcmp(cache->source, source, VARSIZE(source)) == 0)
		return true;
	cache->source = NULL;
	MemoryContextReset(cache->context);
	return false;
}

static void
keep_source(ChainCache *cache, Jsonb *source)
{
	cache->source = memcpy(palloc(VARSIZE(source)), source, VARSIZE(source));
}

static void
root_value(Jsonb *jsonb, JsonbValue *value)
{
	if (JB_ROOT_IS_SCALAR(jsonb))
		(void) JsonbExtractScalar(&jsonb->root, value);
	else
	{
		value->type = jbvBinary;
		value->val.binary.data = &jsonb->root;
		value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
	}
}

/* steps is one conversion or a list of them. */
static ChainCache *
compile_chain(FunctionCallInfo fcinfo, Jsonb *source)
{
	ChainCache *cache;
	MemoryContext old;
	JsonbValue	root;
	bool		is_list;

	if (find_cache(fcinfo, source, &cache))
		return cache;
	root_value(source, &root);
	is_list = postrider_value_is_array(&root);
	cache->count = is_list ? JsonContainerSize(root.val.binary.data) : 1;
	if (cache->count > MAX_STEPS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("more than %d conversions in a row", MAX_STEPS)));
	old = MemoryContextSwitchTo(cache->context);
	cache->steps = palloc(sizeof(Conversion *) * Max(cache->count, 1));
	for (int i = 0; i < cache->count; i++)
	{
		JsonbValue *step = is_list ?
			getIthJsonbValueFromContainer(root.val.binary.data, i) : &root;
		char	   *problem = NULL;

		cache->steps[i] = postrider_conversion_compile(step, &problem);
		if (cache->steps[i] == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("step %d: %s", i + 1, problem),
					 errhint("SELECT * FROM postrider.conversions() shows what there is.")));
	}
	keep_source(cache, source);
	MemoryContextSwitchTo(old);
	return cache;
}

/* SQL: postrider.convert(value, steps) */
Datum
postrider_sql_convert(PG_FUNCTION_ARGS)
{
	Jsonb	   *source = PG_GETARG_JSONB_P(0);
	ChainCache *chain = compile_chain(fcinfo, PG_GETARG_JSONB_P(1));
	JsonbValue	value;
	char	   *problem = NULL;

	root_value(source, &value);
	for (int i = 0; i < chain->count; i++)
	{
		if (!postrider_conversion_apply(chain->steps[i], &value, &problem))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("step %d, %s: %s", i + 1,
							postrider_conversion_describe(chain->steps[i]),
							problem)));
	}
	PG_RETURN_JSONB_P(JsonbValueToJsonb(&value));
}

/* SQL: postrider.check_value(value, checks) */
Datum
postrider_sql_check_value(PG_FUNCTION_ARGS)
{
	Jsonb	   *source = PG_GETARG_JSONB_P(0);
	Jsonb	   *definition = PG_GETARG_JSONB_P(1);
	ChainCache *cache;
	JsonbValue	value;
	char	   *problem = NULL;

	if (!find_cache(fcinfo, definition, &cache))
	{
		MemoryContext old = MemoryContextSwitchTo(cache->context);

		root_value(definition, &value);
		cache->check = postrider_check_compile(&value, &problem);
		if (cache->check == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s", problem),
					 errhint("SELECT * FROM postrider.checks() shows what there is.")));
		keep_source(cache, definition);
		MemoryContextSwitchTo(old);
	}
	root_value(source, &value);
	if (postrider_check_apply(cache->check, &value, &problem))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

/*
 * What there is
 */

static void
put_row(FunctionCallInfo fcinfo, const char *const *columns, int count)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[4];
	bool		nulls[4] = {false};

	for (int i = 0; i < count; i++)
		values[i] = CStringGetTextDatum(columns[i]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* SQL: postrider.conversions() */
Datum
postrider_sql_conversions(PG_FUNCTION_ARGS)
{
	const ConversionEntry *entry;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; (entry = postrider_conversion_entry(i)) != NULL; i++)
	{
		const char *columns[] = {
			entry->name, postrider_conversion_arguments(entry),
			entry->description, entry->example
		};

		put_row(fcinfo, columns, lengthof(columns));
	}
	return (Datum) 0;
}

/* SQL: postrider.checks() */
Datum
postrider_sql_checks(PG_FUNCTION_ARGS)
{
	const CheckEntry *entry;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; (entry = postrider_check_entry(i)) != NULL; i++)
	{
		const char *columns[] = {entry->name, entry->description, entry->example};

		put_row(fcinfo, columns, lengthof(columns));
	}
	return (Datum) 0;
}
