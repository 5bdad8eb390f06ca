/*-------------------------------------------------------------------------
 *
 * config_check.c
 *	  Triggers that refuse configuration which could not work, and say what
 *	  to write instead.
 *
 * Only values that are new are looked at.  So an endpoint stays editable after
 * postrider.allowed_networks was narrowed, and the worker can disable an
 * endpoint whatever is in its row.  NULL in a column that must not be NULL is
 * left to its constraint, which comes after the triggers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "content/filter.h"
#include "content/header.h"
#include "content/response_rule.h"
#include "content/topic.h"
#include "fmgr.h"
#include "outbox/auth_row.h"
#include "outbox/function_row.h"
#include "outbox/name.h"
#include "outbox/policy_row.h"
#include "outbox/batch_row.h"
#include "outbox/request_row.h"
#include "outbox/response_row.h"
#include "outbox/secret_check.h"
#include "outbox/topic_schema.h"
#include "outbox/trigger_row.h"
#include "security/guard.h"
#include "util/sql.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(postrider_check_endpoint);
PG_FUNCTION_INFO_V1(postrider_check_subscription);
PG_FUNCTION_INFO_V1(postrider_check_topic);

#define MIN_TIMEOUT_MS 10
#define MAX_TIMEOUT_MS (5 * 60 * 1000)
#define MAX_WAIT_MS (INT64CONST(30) * 24 * 60 * 60 * 1000)
#define MAX_SCHEDULE 100
#define MAX_ATTEMPTS 1000
#define MAX_IN_FLIGHT 1000

static SqlStatement find_secret = {
	.text =
	"select s.name from postrider.secret s"
	" where s.name operator(pg_catalog.=) $1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement find_endpoint = {
	.text =
	"select e.name from postrider.endpoint e"
	" where e.name operator(pg_catalog.=) $1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement find_mapping = {
	.text =
	"select m.name from postrider.mapping m"
	" where m.name operator(pg_catalog.=) $1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

/*
 * Endpoints
 */

static bool
row_exists(SqlStatement *statement, const char *name)
{
	Datum		value = CStringGetTextDatum(name);
	SqlScope	sql;
	bool		exists;

	postrider_sql_enter(&sql);
	exists = postrider_sql_run(statement, &value, NULL, 1) > 0;
	postrider_sql_leave(&sql);
	return exists;
}

/* Names the endpoint where the code that raises an error does not know it. */
static void
endpoint_context(void *arg)
{
	errcontext("endpoint \"%s\"", ((const TriggerRow *) arg)->endpoint);
}

static void
check_identity(const TriggerRow *row)
{
	char	   *new_name = postrider_trigger_new_text(row, "name");
	Datum		id;

	if (new_name != NULL)
		postrider_name_require("endpoint", new_name);
	if (row->old_tuple == NULL)
		return;
	if (new_name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("name of endpoint \"%s\" cannot be changed",
						postrider_trigger_text(row, row->old_tuple, "name")),
				 errhint("Insert another endpoint and move the subscriptions to it.")));
	if (postrider_trigger_get_new(row, "id", INT4OID, &id))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("id of endpoint \"%s\" cannot be changed",
						row->endpoint),
				 errdetail("Attempts and pending deliveries refer to it.")));
}

static void
check_request(TriggerRow *row)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = endpoint_context,
		.arg = row
	};
	Datum		headers;

	error_context_stack = &context;
	postrider_request_row_require_url(row);
	if (postrider_trigger_get_new(row, "headers", JSONBOID, &headers))
		postrider_headers_require(DatumGetJsonbP(headers));
	error_context_stack = context.previous;
	postrider_request_row_require(row);
}

static void
check_number(const TriggerRow *row, const char *column, int32 max)
{
	Datum		value;

	if (postrider_trigger_get_new(row, column, INT4OID, &value) &&
		(DatumGetInt32(value) < 1 || DatumGetInt32(value) > max))
		postrider_trigger_refuse(row, column, psprintf("must be between 1 and %d", max), NULL);
}

static int64
interval_ms(const TriggerRow *row, const char *column, Datum value)
{
	const Interval *interval = DatumGetIntervalP(value);

	if (interval->month != 0)
		postrider_trigger_refuse(row, column, "must not have months or years in it",
			   "Write it in days, hours, minutes and seconds.");
	return postrider_interval_ms(interval);
}

static bool
get_new_ms(const TriggerRow *row, const char *column, int64 *ms)
{
	Datum		value;

	if (!postrider_trigger_get_new(row, column, INTERVALOID, &value))
		return false;
	*ms = interval_ms(row, column, value);
	return true;
}

static void
check_times(const TriggerRow *row)
{
	bool		base_isnull;
	bool		max_isnull;
	Datum		base = postrider_trigger_get(row, row->tuple, "backoff_base", INTERVALOID,
								  &base_isnull);
	Datum		max = postrider_trigger_get(row, row->tuple, "backoff_max", INTERVALOID,
								 &max_isnull);
	int64		ms;
	bool		changed = false;

	if (get_new_ms(row, "timeout", &ms) &&
		(ms < MIN_TIMEOUT_MS || ms > MAX_TIMEOUT_MS))
		postrider_trigger_refuse(row, "timeout", "must be between 10 milliseconds and 5 minutes",
			   NULL);
	if (get_new_ms(row, "backoff_base", &ms))
	{
		changed = true;
		if (ms < 1)
			postrider_trigger_refuse(row, "backoff_base", "must be at least 1 millisecond", NULL);
	}
	if (get_new_ms(row, "backoff_max", &ms))
	{
		changed = true;
		if (ms > MAX_WAIT_MS)
			postrider_trigger_refuse(row, "backoff_max", "must be at most 30 days", NULL);
	}
	if (changed && !base_isnull && !max_isnull &&
		interval_ms(row, "backoff_base", base) > interval_ms(row, "backoff_max", max))
		postrider_trigger_refuse(row, "backoff_base", "must not be longer than its backoff_max",
			   NULL);
}

static void
check_schedule(const TriggerRow *row)
{
	const char *column = "retry_schedule";
	Datum		value;
	ArrayType  *array;
	Datum	   *elements;
	bool	   *nulls;
	int			count;

	if (!postrider_trigger_get_new(row, column, INTERVALARRAYOID, &value))
		return;
	array = DatumGetArrayTypeP(value);
	if (ARR_NDIM(array) > 1)
		postrider_trigger_refuse(row, column, "must have one dimension only", NULL);
	deconstruct_array(array, INTERVALOID, sizeof(Interval), false,
					  TYPALIGN_DOUBLE, &elements, &nulls, &count);
	if (count == 0)
		postrider_trigger_refuse(row, column, "must not be empty",
			   "Set it to NULL to use backoff_base and backoff_max.");
	if (count > MAX_SCHEDULE)
		postrider_trigger_refuse(row, column,
			   psprintf("must not have more than %d waits", MAX_SCHEDULE),
			   "The last wait repeats until max_attempts is reached.");
	for (int i = 0; i < count; i++)
	{
		int64		wait;

		if (nulls[i])
			postrider_trigger_refuse(row, column, "must not have NULL in it", NULL);
		wait = interval_ms(row, column, elements[i]);
		if (wait < 0 || wait > MAX_WAIT_MS)
			postrider_trigger_refuse(row, column, "must have waits between zero and 30 days only",
				   NULL);
	}
}

static void
check_secret(const TriggerRow *row, const char *column)
{
	char	   *secret = postrider_trigger_new_text(row, column);

	if (secret != NULL && !row_exists(&find_secret, secret))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("secret \"%s\" of endpoint \"%s\" does not exist",
						secret, row->endpoint),
				 errhint("Store it first: SELECT postrider.set_secret(%s);",
						 quote_literal_cstr(secret))));
}

static void
check_response_rules(const TriggerRow *row)
{
	List	   *problems = NIL;
	Datum		rules;
	ResponseRuleProblem *problem;

	if (!postrider_trigger_get_new(row, "response_rules", JSONBOID, &rules) ||
		postrider_response_rules_compile(DatumGetJsonbP(rules), &problems) != NULL)
		return;
	problem = linitial(problems);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("response_rules of endpoint \"%s\" cannot be used: %s %s",
					row->endpoint, problem->position, problem->problem),
			 list_length(problems) > 1 ?
			 errdetail_plural("There is %d problem more.", "There are %d problems more.",
							  list_length(problems) - 1, list_length(problems) - 1) : 0,
			 errhint("postrider.check_response_rules(rules) lists all that is wrong, and postrider.check_response() tries rules on an answer.")));
}

/* Whoever enables an endpoint again has seen the reason. */
static HeapTuple
clear_disabled_reason(const TriggerRow *row)
{
	int			column = postrider_trigger_column(row, "disabled_reason", TEXTOID);
	Datum		value = (Datum) 0;
	bool		set_null = true;
	bool		enabled;
	bool		was_enabled;
	bool		isnull;

	if (row->old_tuple == NULL)
		return row->tuple;
	enabled = DatumGetBool(postrider_trigger_get(row, row->tuple, "enabled", BOOLOID,
									  &isnull)) && !isnull;
	was_enabled = DatumGetBool(postrider_trigger_get(row, row->old_tuple, "enabled",
										  BOOLOID, &isnull)) && !isnull;
	if (!enabled || was_enabled)
		return row->tuple;
	return heap_modify_tuple_by_cols(row->tuple, row->desc, 1, &column, &value,
									 &set_null);
}

/* SQL: trigger postrider.check_endpoint() */
Datum
postrider_check_endpoint(PG_FUNCTION_ARGS)
{
	TriggerRow	row = postrider_trigger_row(fcinfo, "check_endpoint");

	row.endpoint = postrider_trigger_text(&row, row.tuple, "name");
	if (row.endpoint == NULL)
		return PointerGetDatum(row.tuple);

	check_identity(&row);
	check_request(&row);
	check_times(&row);
	check_schedule(&row);
	check_number(&row, "max_attempts", MAX_ATTEMPTS);
	check_number(&row, "max_in_flight", MAX_IN_FLIGHT);
	postrider_auth_row_require(&row);
	postrider_secret_check_endpoint(&row);
	check_secret(&row, "proxy_secret");
	check_response_rules(&row);
	postrider_policy_require(&row);
	postrider_response_row_require(&row);
	postrider_batch_row_require(&row);
	row.tuple = postrider_function_row_require(&row);
	return PointerGetDatum(clear_disabled_reason(&row));
}

/*
 * Subscriptions
 */

static void
check_pattern(TriggerRow *row)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = endpoint_context,
		.arg = row
	};
	char	   *pattern = postrider_trigger_new_text(row, "topic");

	error_context_stack = &context;
	if (pattern != NULL)
		postrider_topic_pattern_require(pattern, strlen(pattern));
	error_context_stack = context.previous;
}

static void
check_filter(const TriggerRow *row)
{
	Datum		filter;

	if (postrider_trigger_get_new(row, "filter", JSONPATHOID, &filter) &&
		postrider_filter_has_variable(DatumGetJsonPathP(filter)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("filter of a subscription of endpoint \"%s\" has a variable in it",
						row->endpoint),
				 errhint("Write $.total for a field of the payload, and values as literals.")));
}

/* A version that does not exist is refused by the foreign key. */
static void
check_mapping(const TriggerRow *row)
{
	char	   *mapping = postrider_trigger_new_text(row, "mapping");

	if (mapping != NULL && !row_exists(&find_mapping, mapping))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("mapping \"%s\" does not exist", mapping),
				 errhint("Create it first: INSERT INTO postrider.mapping (name, definition) VALUES (%s, '{\"fields\": [...]}');",
						 quote_literal_cstr(mapping))));
}

/* SQL: trigger postrider.check_subscription() */
Datum
postrider_check_subscription(PG_FUNCTION_ARGS)
{
	TriggerRow	row = postrider_trigger_row(fcinfo, "check_subscription");

	row.endpoint = postrider_trigger_text(&row, row.tuple, "endpoint");
	if (row.endpoint == NULL)
		return PointerGetDatum(row.tuple);

	check_pattern(&row);
	check_filter(&row);
	check_mapping(&row);
	postrider_response_row_require_pattern(&row);
	if (postrider_trigger_new_text(&row, "endpoint") != NULL &&
		!row_exists(&find_endpoint, row.endpoint))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("endpoint \"%s\" does not exist", row.endpoint),
				 errhint("Create it first: INSERT INTO postrider.endpoint (name, url) VALUES (%s, 'https://...');",
						 quote_literal_cstr(row.endpoint))));
	return PointerGetDatum(row.tuple);
}

/*
 * Topics
 */

/*
 * A schema that is replaced gives the next one its number plus one; the old
 * one is kept by another trigger.
 */
static HeapTuple
count_version(const TriggerRow *row)
{
	int			column = postrider_trigger_column(row, "version", INT4OID);
	int			schema = postrider_trigger_column(row, "schema", JSONBOID);
	Datum		old_schema;
	Datum		new_schema;
	Datum		old_version;
	Datum		version;
	bool		old_isnull;
	bool		isnull;

	old_version = heap_getattr(row->old_tuple, column, row->desc, &isnull);
	version = heap_getattr(row->tuple, column, row->desc, &isnull);
	if (isnull || DatumGetInt32(version) != DatumGetInt32(old_version))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("version of topic \"%s\" cannot be set",
						postrider_trigger_text(row, row->old_tuple, "name")),
				 errhint("It goes up by itself when the schema is replaced.")));
	old_schema = heap_getattr(row->old_tuple, schema, row->desc, &old_isnull);
	new_schema = heap_getattr(row->tuple, schema, row->desc, &isnull);
	if (old_isnull || (!isnull && datum_image_eq(old_schema, new_schema, false, -1)))
		return row->tuple;
	if (DatumGetInt32(version) == PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("topic \"%s\" has no more versions",
						postrider_trigger_text(row, row->old_tuple, "name"))));
	version = Int32GetDatum(DatumGetInt32(version) + 1);
	isnull = false;
	return heap_modify_tuple_by_cols(row->tuple, row->desc, 1, &column,
									 &version, &isnull);
}

static void
check_schema(const TriggerRow *row, const char *name)
{
	Datum		schema;
	Datum		old_schema = (Datum) 0;
	bool		isnull = true;
	char	   *compatibility = postrider_trigger_text(row, row->tuple, "compatibility");

	if (!postrider_trigger_get_new(row, "schema", JSONBOID, &schema))
		return;
	if (row->old_tuple != NULL)
		old_schema = postrider_trigger_get(row, row->old_tuple, "schema", JSONBOID, &isnull);
	postrider_topic_schema_require(name, DatumGetJsonbP(schema),
								   isnull ? NULL : DatumGetJsonbP(old_schema),
								   compatibility != NULL &&
								   strcmp(compatibility, "backward") == 0);
}

/* SQL: trigger postrider.check_topic() */
Datum
postrider_check_topic(PG_FUNCTION_ARGS)
{
	TriggerRow	row = postrider_trigger_row(fcinfo, "check_topic");
	char	   *new_name = postrider_trigger_new_text(&row, "name");
	char	   *name = postrider_trigger_text(&row, row.tuple, "name");

	if (new_name != NULL)
		postrider_topic_require(new_name, strlen(new_name));
	if (name == NULL)
		return PointerGetDatum(row.tuple);
	check_schema(&row, name);
	return PointerGetDatum(row.old_tuple ? count_version(&row) : row.tuple);
}
