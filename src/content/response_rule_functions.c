/*-------------------------------------------------------------------------
 *
 * response_rule_functions.c
 *	  postrider.check_response(): response rules, tried out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/response_rule.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

PG_FUNCTION_INFO_V1(postrider_check_response);

#define POSTGRES_EPOCH_UNIX_MS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000)

/* In an object of headers. */
static const char *
find_header(void *arg, const char *name)
{
	Jsonb	   *headers = arg;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	bool		found = false;

	if (headers == NULL)
		return NULL;
	iterator = JsonbIteratorInit(&headers->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			found = (Size) value.val.string.len == strlen(name) &&
				pg_strncasecmp(value.val.string.val, name, value.val.string.len) == 0;
		else if (token == WJB_VALUE && found && value.type == jbvString)
			return pnstrdup(value.val.string.val, value.val.string.len);
	}
	return NULL;
}

/* check_response(rules jsonb, status integer, headers jsonb, body text) */
Datum
postrider_check_response(PG_FUNCTION_ARGS)
{
	ResponseRules *rules;
	char	   *problem;
	ResponseFacts facts = {.find = find_header};
	ResponseVerdict verdict;
	TupleDesc	desc;
	Datum		values[4] = {0};
	bool		nulls[4] = {true, true, true, true};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("rules and status must not be null")));
	rules = postrider_response_rules_compile(PG_GETARG_JSONB_P(0), &problem);
	if (rules == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("response_rules %s", problem)));
	facts.status = PG_GETARG_INT32(1);
	facts.find_arg = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	facts.unix_ms = GetCurrentTimestamp() / 1000 + POSTGRES_EPOCH_UNIX_MS;
	if (!PG_ARGISNULL(3))
	{
		text	   *body = PG_GETARG_TEXT_PP(3);

		facts.body = VARDATA_ANY(body);
		facts.is_cut = VARSIZE_ANY_EXHDR(body) > RESPONSE_RULE_BYTES;
		facts.length = Min(VARSIZE_ANY_EXHDR(body), RESPONSE_RULE_BYTES);
	}
	else
		facts.body = "";
	verdict = postrider_response_rules_apply(rules, &facts);
	if (verdict.rule > 0)
	{
		values[0] = Int32GetDatum(verdict.rule);
		values[1] = CStringGetTextDatum(postrider_rule_action_name(verdict.action));
		nulls[0] = nulls[1] = false;
	}
	if (verdict.wait_ms >= 0)
	{
		Interval   *wait = palloc0(sizeof(Interval));

		wait->time = verdict.wait_ms * 1000;
		values[2] = IntervalPGetDatum(wait);
		nulls[2] = false;
	}
	if (verdict.reason)
	{
		values[3] = CStringGetTextDatum(verdict.reason);
		nulls[3] = false;
	}
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "check_response must return a row");
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
