/*-------------------------------------------------------------------------
 *
 * engine_calls.c
 *	  Deliveries whose functions are to be called (postrider.on_message): they
 *	  go the way of requests up to the permit; the worker makes the call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "delivery/engine.h"
#include "delivery/engine_internal.h"
#include "delivery/result_mask.h"
#include "delivery/retry.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* At most one of each lane. */
static dlist_head calls = DLIST_STATIC_INIT(calls);

void
postrider_engine_add_call(Delivery *delivery, const Permit *permit)
{
	Lane	   *lane = delivery->endpoint->lane;

	lane->call_permit = *permit;
	lane->in_flight++;
	lane->activity++;
	dlist_push_tail(&calls, &delivery->node);
}

/* The first one need not be called any more: its endpoint has changed. */
static void
take_back_call(Delivery *delivery, TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(postrider_engine.context);
	Lane	   *lane = delivery->endpoint->lane;

	dlist_delete(&delivery->node);
	lane->in_flight--;
	postrider_governor_give_back(&lane->governor, &lane->call_permit);
	if (delivery->endpoint->enabled && !delivery->endpoint->deleted)
		postrider_engine_enqueue(delivery, now);
	else
		postrider_engine_park_behind(delivery, now);
	postrider_engine_update_lane(lane, now);
	MemoryContextSwitchTo(old);
}

Delivery *
postrider_engine_first_call(void)
{
	while (!postrider_engine.held && !dlist_is_empty(&calls))
	{
		Delivery   *delivery = dlist_head_element(Delivery, node, &calls);
		const Endpoint *endpoint = delivery->endpoint;

		if (endpoint->enabled && !endpoint->deleted && endpoint->function != NULL &&
			!delivery->message->erased)
			return delivery;
		take_back_call(delivery, GetCurrentTimestamp());
	}
	return NULL;
}

void
postrider_engine_end_call(Delivery *delivery, const CallEnd *end, TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(postrider_engine.context);
	Endpoint   *endpoint = delivery->endpoint;
	Lane	   *lane = endpoint->lane;
	AttemptResult *result = &delivery->result;
	GovernorResult told = {
		.answered = !end->timed_out,
		.healthy = end->healthy,
		.timed_out = end->timed_out,
		.hint = {.limit = -1, .remaining = -1, .reset_at_us = -1, .retry_at_us = -1},
		.max_wait_ms = endpoint->backoff_max_ms,
		.in_flight = lane->in_flight,
		.sent_at = end->started_at
	};

	dlist_delete(&delivery->node);
	memset(result, 0, sizeof(AttemptResult));
	result->outcome = end->outcome;
	result->sent = true;
	result->error_code = end->error_code;
	result->error = end->error ? pstrdup(end->error) : NULL;
	result->response = end->detail ? pstrdup(end->detail) : NULL;
	postrider_result_mask(result, delivery->message);
	result->started_at = end->started_at;
	result->duration_ms = end->duration_ms;
	if (result->outcome == OUTCOME_RETRY)
		postrider_retry_decide(result, endpoint, delivery->attempts + 1, 0,
							   delivery->message->expires_at, now,
							   pg_prng_double(&pg_global_prng_state));
	postrider_engine_note_result(lane, result, now);
	postrider_governor_result(&lane->governor, &lane->call_permit, &told, now,
							  postrider_engine_report, endpoint);
	lane->failures = result->outcome == OUTCOME_DELIVERED ? 0 : lane->failures + 1;
	lane->in_flight--;
	lane->activity++;
	postrider_engine_finish_attempt(delivery);
	if (!endpoint->enabled)
		postrider_engine_endpoint_changed(endpoint);
	postrider_engine_update_lane(lane, now);
	MemoryContextSwitchTo(old);
}
