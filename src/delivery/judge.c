/*-------------------------------------------------------------------------
 *
 * judge.c
 *	  What the end of a request means; see judge.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/response_rule.h"
#include "delivery/classify.h"
#include "delivery/judge.h"
#include "utils/timestamp.h"

#define POSTGRES_EPOCH_UNIX_MS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000)

static const char *
find_header(void *arg, const char *name)
{
	struct curl_header *header;

	return curl_easy_header(arg, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ?
		header->value : NULL;
}

static int64
unix_ms(TimestampTz now)
{
	return now / 1000 + POSTGRES_EPOCH_UNIX_MS;
}

static const char *
default_reason(RuleAction action)
{
	switch (action)
	{
		case RULE_THROTTLE:
			return "the receiver asks for fewer requests";
		case RULE_REFRESH_TOKEN:
			return "the receiver does not accept the access token";
		case RULE_SPLIT_BATCH:
			return "the receiver refused the batch";
		case RULE_DISABLE:
			return "the receiver does not want requests any more: the endpoint was disabled";
		default:
			return "the response says that the request failed";
	}
}

/* A rule holds: it decides, in place of the status. */
static void
obey(const ResponseVerdict *verdict, int status, AttemptResult *result, Judgement *judgement)
{
	if (result->error)
		pfree(result->error);
	result->error = NULL;
	result->error_code = NULL;
	result->disable_endpoint = false;
	if (verdict->action == RULE_SUCCESS)
	{
		result->outcome = OUTCOME_DELIVERED;
		judgement->healthy = true;
		judgement->throttled = false;
		return;
	}
	result->outcome = verdict->action == RULE_DEAD || verdict->action == RULE_SPLIT_BATCH ?
		OUTCOME_DEAD : OUTCOME_RETRY;
	result->error_code = "response_rule";
	result->error = psprintf("%s (status %d, rule %d)",
							 verdict->reason ? verdict->reason : default_reason(verdict->action),
							 status, verdict->rule);
	judgement->throttled = verdict->action == RULE_THROTTLE;
	judgement->healthy = verdict->action != RULE_RETRY && verdict->action != RULE_DISABLE;
	judgement->split_batch = verdict->action == RULE_SPLIT_BATCH;
	judgement->refresh_token = verdict->action == RULE_REFRESH_TOKEN;
	result->disable_endpoint = verdict->action == RULE_DISABLE;
	if (verdict->wait_ms >= 0)
		judgement->retry_after_ms = verdict->wait_ms;
}

static void
apply_rules(const Request *request, TimestampTz now, AttemptResult *result,
			Judgement *judgement)
{
	ResponseFacts facts = {
		.status = result->status_code,
		.find = find_header,
		.find_arg = request->easy,
		.body = request->kept,
		.length = Min(request->kept_bytes, RESPONSE_RULE_BYTES),
		.is_cut = request->body_bytes > Min(request->kept_bytes, RESPONSE_RULE_BYTES),
		.unix_ms = unix_ms(now)
	};
	ResponseVerdict verdict = postrider_response_rules_apply(request->endpoint->response_rules,
															 &facts);

	if (verdict.rule > 0)
		obey(&verdict, facts.status, result, judgement);
	if (verdict.reason)
		pfree(verdict.reason);
}

static bool
may_split(int status)
{
	return status == 400 || status == 413 || status == 422;
}

void
postrider_judge(Request *request, CURLcode code, TimestampTz now, AttemptResult *result,
				Judgement *judgement)
{
	const Endpoint *endpoint = request->endpoint;
	RequestEnd	end;

	memset(judgement, 0, sizeof(*judgement));
	judgement->rate.remaining = judgement->rate.wait_ms = -1;
	postrider_request_end(request, code, &end, &judgement->retry_after_ms,
						  &result->duration_ms);
	postrider_classify(&end, result);
	judgement->answered = result->status_code > 0;
	judgement->healthy = result->outcome == OUTCOME_DELIVERED ||
		(result->status_code >= 300 && result->status_code <= 499);
	judgement->timed_out = result->error_code != NULL &&
		strcmp(result->error_code, "timeout") == 0;
	judgement->throttled = result->status_code == 429;
	judgement->split_batch = result->outcome == OUTCOME_DEAD && may_split(result->status_code);
	if (request->has_rate_header)
		judgement->rate = postrider_rate_header_read(find_header, request->easy, unix_ms(now));
	if (endpoint->response_rules && end.headers_complete && result->status_code > 0)
		apply_rules(request, now, result, judgement);
	if (judgement->throttled && judgement->retry_after_ms == 0 && judgement->rate.wait_ms > 0)
		judgement->retry_after_ms = judgement->rate.wait_ms;
	if (result->outcome != OUTCOME_RETRY)
		judgement->retry_after_ms = 0;
	judgement->retry_after_ms = Min(judgement->retry_after_ms, endpoint->backoff_max_ms);
}
