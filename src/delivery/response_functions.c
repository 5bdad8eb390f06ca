/*-------------------------------------------------------------------------
 *
 * response_functions.c
 *	  The functions in SQL that judge an answer as the worker does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/rate_header.h"
#include "content/response_rule.h"
#include "delivery/classify.h"
#include "funcapi.h"
#include "util/compat.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(postrider_check_response_rules);
PG_FUNCTION_INFO_V1(postrider_check_response);
PG_FUNCTION_INFO_V1(postrider_read_rate_headers);

#define HEADER_SPACE (64 * 1024)

static Datum
make_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* SQL: postrider.check_response_rules(rules) */
Datum
postrider_check_response_rules(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	List	   *problems = NIL;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	(void) postrider_response_rules_compile(PG_GETARG_JSONB_P(0), &problems);
	foreach(cell, problems)
	{
		ResponseRuleProblem *problem = lfirst(cell);
		Datum		values[] = {
			CStringGetTextDatum(problem->position),
			CStringGetTextDatum(problem->problem)
		};
		bool		nulls[] = {false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static bool
want_all(const void *arg, const char *name)
{
	return true;
}

static void
refuse_headers(const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("headers of an answer %s", problem),
			 errhint("Write {\"Retry-After\": \"30\"}; a header that is there several times has a list of strings.")));
}

static void
keep_header(ResponseHeaders *headers, const char *name, const JsonbValue *value)
{
	char	   *line;

	if (value->type != jbvString)
		refuse_headers(psprintf("must be strings: see \"%s\"", name));
	line = psprintf("%s: %.*s", name, value->val.string.len, value->val.string.val);
	if (!postrider_response_header_keep(headers, line, strlen(line), want_all, NULL))
		refuse_headers(psprintf("cannot have \"%s\": its name is wrong, or there is too much", name));
}

/* An object of strings or lists of strings; NULL: no headers. */
static void
read_headers(Jsonb *object, ResponseHeaders *headers)
{
	JsonbIterator *iterator;
	JsonbValue	value;
	JsonbIteratorToken token;
	char	   *name = NULL;
	int			depth = 0;

	headers->space = palloc(HEADER_SPACE);
	headers->size = HEADER_SPACE;
	headers->length = 0;
	if (object == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(object))
		refuse_headers("must be an object");
	iterator = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE || token == WJB_ELEM)
			keep_header(headers, name, &value);
		else if (token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY)
		{
			if (++depth > 2 || (depth == 2 && token == WJB_BEGIN_OBJECT))
				refuse_headers(psprintf("must be strings: see \"%s\"", name));
		}
		else
			depth--;
	}
}

static ResponseRules *
require_rules(Jsonb *document)
{
	List	   *problems = NIL;
	ResponseRules *rules = postrider_response_rules_compile(document, &problems);

	if (rules == NULL)
	{
		ResponseRuleProblem *problem = linitial(problems);

		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("response rules cannot be used: %s %s",
						problem->position, problem->problem),
				 errhint("postrider.check_response_rules(rules) lists all that is wrong.")));
	}
	return rules;
}

/* What the worker makes of it where no rule matches. */
static ResponseAction
default_action(int status)
{
	RequestEnd	end = {
		.code = CURLE_OK, .status = status, .headers_complete = true, .detail = ""
	};
	AttemptResult result = {0};

	postrider_classify(&end, &result);
	if (result.outcome == OUTCOME_DELIVERED)
		return RESPONSE_SUCCESS;
	if (result.outcome == OUTCOME_RETRY)
		return status == 429 ? RESPONSE_THROTTLE : RESPONSE_RETRY;
	return result.disable_endpoint ? RESPONSE_DISABLE : RESPONSE_DEAD;
}

static Datum
wait_interval(int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = microseconds;
	return IntervalPGetDatum(interval);
}

static void
judge(Jsonb *rules, const Response *response, TimestampTz at, ResponseVerdict *verdict)
{
	RateHint	hint;

	verdict->rule = 0;
	if (rules != NULL)
		postrider_response_rules_judge(require_rules(rules), response, at, verdict);
	if (verdict->rule == 0)
	{
		verdict->action = default_action(response->status);
		verdict->wait_until_us = -1;
	}
	if (verdict->action != RESPONSE_RETRY && verdict->action != RESPONSE_THROTTLE &&
		verdict->action != RESPONSE_REFRESH_TOKEN)
		verdict->wait_until_us = -1;
	else if (verdict->wait_until_us < 0)
	{
		postrider_rate_headers_read(response->headers, at, &hint);
		verdict->wait_until_us = hint.retry_at_us;
	}
}

/* SQL: postrider.check_response(rules, status, headers, body, at) */
Datum
postrider_check_response(PG_FUNCTION_ARGS)
{
	ResponseHeaders headers;
	Response	response = {.headers = &headers, .body = ""};
	ResponseVerdict verdict;
	TimestampTz at = PG_ARGISNULL(4) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(4);
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	response.status = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);
	if (response.status < 100 || response.status > 599)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("status of an answer must be from 100 to 599")));
	if (TIMESTAMP_NOT_FINITE(at) || at < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time of an answer must be finite, and not before the year 2000")));
	read_headers(PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2), &headers);
	if (!PG_ARGISNULL(3))
	{
		text	   *body = PG_GETARG_TEXT_PP(3);

		response.body = VARDATA_ANY(body);
		response.body_length = VARSIZE_ANY_EXHDR(body);
	}
	judge(PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0), &response, at, &verdict);
	nulls[0] = verdict.rule == 0;
	values[0] = Int32GetDatum(verdict.rule);
	values[1] = CStringGetTextDatum(postrider_response_action_name(verdict.action));
	nulls[2] = verdict.wait_until_us < 0;
	values[2] = nulls[2] ? (Datum) 0 : wait_interval(verdict.wait_until_us - at);
	return make_row(fcinfo, values, nulls);
}

/* SQL: postrider.read_rate_headers(headers, at) */
Datum
postrider_read_rate_headers(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(1);
	ResponseHeaders headers;
	RateHint	hint;
	Datum		values[4];
	bool		nulls[4];

	if (TIMESTAMP_NOT_FINITE(at) || at < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time of an answer must be finite, and not before the year 2000")));
	read_headers(PG_GETARG_JSONB_P(0), &headers);
	postrider_rate_headers_read(&headers, at, &hint);
	values[0] = Int64GetDatum(hint.limit);
	values[1] = Int64GetDatum(hint.remaining);
	values[2] = TimestampTzGetDatum(hint.reset_at_us);
	values[3] = TimestampTzGetDatum(hint.retry_at_us);
	nulls[0] = hint.limit < 0;
	nulls[1] = hint.remaining < 0;
	nulls[2] = hint.reset_at_us < 0;
	nulls[3] = hint.retry_at_us < 0;
	return make_row(fcinfo, values, nulls);
}
