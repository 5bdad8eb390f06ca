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
#include "delivery/time_limit.h"
#include "util/log_line.h"
#include "utils/memutils.h"

static const struct
{
	AttemptOutcome outcome;
	const char *error_code;
}			actions[] =
{
	[RESPONSE_SUCCESS] = {OUTCOME_DELIVERED, NULL},
	[RESPONSE_RETRY] = {OUTCOME_RETRY, "rule_retry"},
	[RESPONSE_THROTTLE] = {OUTCOME_RETRY, "rule_throttle"},
	[RESPONSE_DEAD] = {OUTCOME_DEAD, "rule_dead"},
	[RESPONSE_REFRESH_TOKEN] = {OUTCOME_RETRY, "rule_refresh_token"},

	/* A batch of one message cannot be split any more. */
	[RESPONSE_SPLIT_BATCH] = {OUTCOME_DEAD, "rule_split_batch"},

	/* The message did no wrong: it is held with those behind it. */
	[RESPONSE_DISABLE] = {OUTCOME_RETRY, "rule_disable"}
};

typedef struct RuleRun
{
	const ResponseRules *rules;
	Response	response;
	TimestampTz now;
	ResponseVerdict verdict;
} RuleRun;

static void
compute_verdict(void *arg)
{
	RuleRun    *run = arg;

	postrider_response_rules_judge(run->rules, &run->response, run->now, &run->verdict);
}

/* If they take too long, the answer is taken as if there were no rules. */
static void
run_rules(const Request *request, int status, TimestampTz now, ResponseVerdict *verdict)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "postrider response",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	RuleRun		run = {
		.rules = request->endpoint->response_rules,
		.response = {
			.status = status,
			.headers = &request->headers,
			.body = request->kept ? request->kept : "",
			.body_length = (int) Min(request->kept_bytes, RESPONSE_RULE_BODY_BYTES)
		},
		.now = now
	};

	if (postrider_within_time(compute_verdict, &run))
		*verdict = run.verdict;
	else
	{
		LogLine		line;

		postrider_log_begin(&line, WARNING, "response_rules_slow");
		postrider_log_text(&line, "endpoint", request->endpoint->name);
		postrider_log_int(&line, "status_code", status);
		postrider_log_message(&line, "response rules take longer than %d ms on an answer, which is taken as without rules; paths that compare each element with each, or have .** several times, take long on large answers",
							  TIME_LIMIT_MS);
		postrider_log_end(&line);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* A rule holds: it decides, in place of the status. */
static void
obey(const ResponseVerdict *verdict, AttemptResult *result, Judgement *judgement)
{
	ResponseAction action = verdict->action;

	if (result->error)
		pfree(result->error);
	result->error = action == RESPONSE_SUCCESS ? NULL :
		psprintf("the receiver answered with status %d, which by rule %d of response_rules means \"%s\"",
				 result->status_code, verdict->rule, postrider_response_action_name(action));
	result->outcome = actions[action].outcome;
	result->error_code = actions[action].error_code;
	result->disable_endpoint = action == RESPONSE_DISABLE;
	judgement->healthy = action != RESPONSE_RETRY && action != RESPONSE_DISABLE;
	judgement->throttled = action == RESPONSE_THROTTLE;
	judgement->split_batch = action == RESPONSE_SPLIT_BATCH;
	judgement->refresh_token = action == RESPONSE_REFRESH_TOKEN;
	if (verdict->wait_until_us >= 0)
		judgement->hint.retry_at_us = verdict->wait_until_us;
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
	ResponseVerdict verdict = {0};
	RequestEnd	end;

	memset(judgement, 0, sizeof(*judgement));
	postrider_request_end(request, code, now, &end, &judgement->hint, &result->duration_ms);
	postrider_classify(&end, result);
	judgement->answered = result->status_code > 0;
	judgement->healthy = result->outcome == OUTCOME_DELIVERED ||
		(result->status_code >= 300 && result->status_code <= 499);
	judgement->timed_out = result->error_code != NULL &&
		strcmp(result->error_code, "timeout") == 0;
	judgement->throttled = result->status_code == 429;
	judgement->refresh_token = result->status_code == 401;
	judgement->split_batch = result->outcome == OUTCOME_DEAD && may_split(result->status_code);
	if (endpoint->response_rules && result->status_code > 0 && postrider_is_whole_answer(&end))
		run_rules(request, result->status_code, now, &verdict);
	if (verdict.rule > 0)
		obey(&verdict, result, judgement);
	if (result->outcome == OUTCOME_RETRY)
		judgement->retry_after_ms = Min(Max(judgement->hint.retry_at_us - now, 0) / 1000,
										endpoint->backoff_max_ms);
}
