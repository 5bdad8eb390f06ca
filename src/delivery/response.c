/*-------------------------------------------------------------------------
 *
 * response.c
 *	  Judges an answer by the response rules of its endpoint.
 *
 * Rules are asked only where a whole answer has come: what fails below HTTP is
 * none, and is tried again as ever.
 *
 * Paths of rules may take their time over a body made for that, and everybody else
 * waits meanwhile.  So they are cancelled after MAX_TIME_MS, by a timeout that does what a
 * cancelled query does, and the answer is then taken as if there were no rules.  For that,
 * and for SIGTERM, the signals that the engine blocks (engine.c) are let through while
 * rules are at work; no transaction is open then, so that nothing else sets
 * QueryCancelPending.  An error that ends the worker there finds curl at rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/response.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#define MAX_TIME_MS 1000

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

static volatile sig_atomic_t expired = false;

/* The timeout's handler. */
static void
expire(void)
{
	expired = true;
	InterruptPending = true;
	QueryCancelPending = true;
}

static TimeoutId
rules_timeout(void)
{
	static TimeoutId timeout = MAX_TIMEOUTS;

	if (timeout == MAX_TIMEOUTS)
		timeout = RegisterTimeout(USER_TIMEOUT, expire);
	return timeout;
}

/* Judges within MAX_TIME_MS. */
static void
judge_in_time(const ResponseRules *rules, const Response *response, TimestampTz now,
			  ResponseVerdict *verdict)
{
	MemoryContext context = CurrentMemoryContext;
	TimeoutId	timeout = rules_timeout();

	expired = false;
	enable_timeout_after(timeout, MAX_TIME_MS);
	PG_TRY();
	{
		postrider_response_rules_judge(rules, response, now, verdict);
	}
	PG_CATCH();
	{
		disable_timeout(timeout, false);
		if (!expired || geterrcode() != ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		verdict->rule = 0;
	}
	PG_END_TRY();
	disable_timeout(timeout, false);
	if (expired)
		QueryCancelPending = false;
}

static void
run_rules(const Request *request, const ResponseRules *rules, int status, TimestampTz now,
		  ResponseVerdict *verdict)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "postrider response",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Response	response = {
		.status = status,
		.headers = &request->headers,
		.body = request->body ? request->body : request->excerpt,
		.body_length = request->body ? request->body_length : request->excerpt_length
	};
	sigset_t	old_mask;

	sigprocmask(SIG_SETMASK, &UnBlockSig, &old_mask);
	judge_in_time(rules, &response, now, verdict);
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
	if (expired)
		ereport(LOG,
				(errmsg("response rules of endpoint \"%s\" take longer than %d ms on an answer with status %d, which is taken as without rules",
						request->endpoint->name, MAX_TIME_MS, status),
				 errhint("Paths that compare each element with each, or have .** several times, take long on large answers.")));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

bool
postrider_response_judge(const Request *request, const RequestEnd *end, AttemptResult *result,
						 TimestampTz now, ResponseVerdict *verdict)
{
	const ResponseRules *rules = request->endpoint->response_rules;

	verdict->rule = 0;
	if (rules == NULL || result->status_code == 0 || !postrider_is_whole_answer(end))
		return false;
	run_rules(request, rules, result->status_code, now, verdict);
	if (verdict->rule == 0)
		return false;
	result->outcome = actions[verdict->action].outcome;
	result->error_code = actions[verdict->action].error_code;
	result->disable_endpoint = verdict->action == RESPONSE_DISABLE;
	result->split_batch = verdict->action == RESPONSE_SPLIT_BATCH;
	result->refresh_token = verdict->action == RESPONSE_REFRESH_TOKEN;
	result->error = verdict->action == RESPONSE_SUCCESS ? NULL :
		psprintf("the receiver answered with status %d, which by rule %d of response_rules means \"%s\"",
				 result->status_code, verdict->rule,
				 postrider_response_action_name(verdict->action));
	return true;
}

bool
postrider_response_is_healthy(const AttemptResult *result, const ResponseVerdict *verdict)
{
	if (verdict->rule > 0)
		return verdict->action != RESPONSE_RETRY && verdict->action != RESPONSE_DISABLE;
	return result->outcome == OUTCOME_DELIVERED ||
		(result->status_code >= 300 && result->status_code <= 499);
}
