/*-------------------------------------------------------------------------
 *
 * engine_end.c
 *	  How deliveries end, with a request or without one, and what people are
 *	  told of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "delivery/classify.h"
#include "delivery/engine.h"
#include "delivery/engine_internal.h"
#include "delivery/result_mask.h"
#include "delivery/retry.h"
#include "mb/pg_wchar.h"
#include "security/secret_set.h"
#include "util/text.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* What people want to hear of, until the worker has passed it on. */
static dlist_head events = DLIST_STATIC_INIT(events);

/* Deliveries that wait to be settled. */
static dlist_head finished = DLIST_STATIC_INIT(finished);
static int	finished_count = 0;

static void
finish(Delivery *delivery)
{
	GateEffects effects;

	dlist_push_tail(&finished, &delivery->node);
	finished_count++;
	if (delivery->key_entry == NULL)
		return;
	postrider_gate_effects_init(&effects);
	postrider_key_gate_leave(delivery, &effects);
	postrider_engine_apply(&effects);
}

void
postrider_engine_finish_attempt(Delivery *delivery)
{
	delivery->settle = SETTLE_ATTEMPT;
	finish(delivery);
}

void
postrider_engine_end_unsent(Delivery *delivery, AttemptOutcome outcome, const char *error_code,
							const char *error, TimestampTz now)
{
	memset(&delivery->result, 0, sizeof(AttemptResult));
	delivery->result.outcome = outcome;
	delivery->result.error_code = error_code;
	delivery->result.error = MemoryContextStrdup(postrider_engine.context, error);
	delivery->result.started_at = now;
	postrider_result_mask(&delivery->result, delivery->message);
	postrider_engine_finish_attempt(delivery);
}

void
postrider_engine_park(Delivery *delivery, PendingReason reason, TimestampTz until)
{
	delivery->settle = SETTLE_PARK;
	delivery->park_reason = reason;
	delivery->park_until = until;
	finish(delivery);
}

void
postrider_engine_park_behind(Delivery *delivery, TimestampTz now)
{
	const Endpoint *endpoint = delivery->endpoint;

	if (endpoint->deleted)
		postrider_engine_end_unsent(delivery, OUTCOME_CANCELLED, "endpoint_deleted",
									"the endpoint was deleted", now);
	else if (!endpoint->enabled)
		postrider_engine_park(delivery, PENDING_HELD, DT_NOEND);
	else if (endpoint->policy.ordered)
		postrider_engine_park(delivery, PENDING_ORDERED, DT_NOEND);
	else
		postrider_engine_park(delivery, PENDING_OVERFLOW, now);
}

void
postrider_engine_fail_unsent(Delivery *delivery, TimestampTz now)
{
	delivery->result.started_at = now;
	if (delivery->result.outcome == OUTCOME_DEAD)
	{
		postrider_engine_finish_attempt(delivery);
		return;
	}
	delivery->result.outcome = OUTCOME_RETRY;
	postrider_retry_decide(&delivery->result, delivery->endpoint,
						   delivery->attempts + 1, 0,
						   delivery->message->expires_at, now,
						   pg_prng_double(&pg_global_prng_state));
	postrider_engine_finish_attempt(delivery);
}

bool
postrider_engine_end_if_hopeless(Delivery *delivery, TimestampTz now)
{
	if (delivery->message->erased)
		postrider_engine_end_unsent(delivery, OUTCOME_CANCELLED, "erased",
									"the message was erased", now);
	else if (delivery->message->expires_at <= now)
		postrider_engine_end_unsent(delivery, OUTCOME_EXPIRED, "expired",
									"the message expired before it could be delivered", now);
	else if (delivery->problem)

		/* The payload does not fit: no fault of the endpoint's. */
		postrider_engine_end_unsent(delivery, OUTCOME_DEAD, delivery->problem_code,
									delivery->problem, now);
	else if (delivery->endpoint->shape.url && delivery->url == NULL)

		/* The endpoint has become one that needs a URL for each message. */
		postrider_engine_park(delivery, PENDING_RETRY, now);
	else
		return false;
	return true;
}

void
postrider_engine_note_result(Lane *lane, const AttemptResult *result, TimestampTz now)
{
	if (result->outcome == OUTCOME_DELIVERED)
	{
		lane->last_success_at = now;
		return;
	}
	postrider_secret_scrub_string(result->error);	/* before it is cut */
	/* Whoever reads the status or hears of a breaker may not see payloads. */
	if (result->error && postrider_error_may_quote_data(result->error_code ? result->error_code : ""))
		snprintf(lane->last_error, sizeof(lane->last_error), "%s; postrider.attempt has the error",
				 result->error_code ? result->error_code : "error");
	else
		strlcpy(lane->last_error, result->error ? result->error : "", sizeof(lane->last_error));
	lane->last_error[pg_mbcliplen(lane->last_error, strlen(lane->last_error),
								  sizeof(lane->last_error) - 1)] = '\0';
	strlcpy(lane->last_error_code, result->error_code ? result->error_code : "",
			sizeof(lane->last_error_code));
	lane->last_error_at = now;
}

void
postrider_engine_report(void *arg, GovernorEventKind kind, const RateUse *use)
{
	Endpoint   *endpoint = arg;
	EngineEvent *event = palloc0(sizeof(EngineEvent));
	const BreakerState *breaker = &endpoint->lane->governor.breaker;

	event->kind = kind;
	event->endpoint_id = endpoint->id;
	event->endpoint = pstrdup(endpoint->name);
	event->until = breaker->open_until_us;
	event->failing_since = breaker->failures > 0 ? breaker->failing_since_us : 0;
	event->failures = breaker->failures;
	event->error = pstrdup(endpoint->lane->last_error);
	if (use != NULL)
		event->use = *use;
	dlist_push_tail(&events, &event->node);
	if (kind == GOVERNOR_DISABLED)
		endpoint->enabled = false;
}

dlist_head *
postrider_engine_events(void)
{
	return &events;
}

dlist_head *
postrider_engine_finished(void)
{
	return &finished;
}

int
postrider_engine_finished_count(void)
{
	return finished_count;
}

void
postrider_engine_finished_clear(void)
{
	dlist_init(&finished);
	finished_count = 0;
}
