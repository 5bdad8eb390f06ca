/*-------------------------------------------------------------------------
 *
 * engine_lanes.c
 *	  The engine's lanes: which of them may send and when, what comes into
 *	  them, and what is handed back when an endpoint changes.
 *
 * Lanes that have something to send and are allowed to stand in the list of ready
 * lanes and send one request each in turn; those that may later (Retry-After, rate
 * limits, the circuit breaker: governor.c) stand in a heap by the time at which
 * they may.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/batch.h"
#include "delivery/engine.h"
#include "delivery/engine_internal.h"
#include "delivery/key_gate.h"
#include "delivery/request.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

static dlist_head ready_lanes = DLIST_STATIC_INIT(ready_lanes);
static int	ready_count = 0;
static pairingheap *blocked_lanes = NULL;

/* The lane that may send first is on top. */
static int
compare_ready(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	TimestampTz ready_a = pairingheap_const_container(Lane, heap_node, a)->ready_at;
	TimestampTz ready_b = pairingheap_const_container(Lane, heap_node, b)->ready_at;

	return ready_a == ready_b ? 0 : ready_a < ready_b ? 1 : -1;
}

void
postrider_engine_lanes_start(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	blocked_lanes = pairingheap_allocate(compare_ready, NULL);
	MemoryContextSwitchTo(old);
}

static void
leave_state(Lane *lane)
{
	if (lane->state == LANE_READY)
	{
		dlist_delete(&lane->node);
		ready_count--;
	}
	else if (lane->state == LANE_BLOCKED)
		pairingheap_remove(blocked_lanes, &lane->heap_node);
	lane->state = LANE_RESTING;
}

void
postrider_engine_update_lane(Lane *lane, TimestampTz now)
{
	LaneState	state = LANE_RESTING;
	TimestampTz ready_at = now;

	if (lane->queued > 0 && lane->endpoint->enabled &&
		lane->in_flight < postrider_governor_limit(&lane->governor))
	{
		ready_at = Max(postrider_governor_next(&lane->governor, now), lane->blocked_until);
		ready_at = Max(ready_at, postrider_batch_ready_at(lane, now));
		ready_at = Max(ready_at, lane->credentials_at);
		/* The result of the breaker's probe comes here again. */
		state = ready_at == DT_NOEND ? LANE_RESTING :
			ready_at > now ? LANE_BLOCKED : LANE_READY;
	}
	if (state == lane->state && (state != LANE_BLOCKED || ready_at == lane->ready_at))
		return;

	leave_state(lane);
	if (state == LANE_READY)
	{
		dlist_push_tail(&ready_lanes, &lane->node);
		ready_count++;
	}
	else if (state == LANE_BLOCKED)
	{
		lane->ready_at = ready_at;
		pairingheap_add(blocked_lanes, &lane->heap_node);
	}
	lane->state = state;
}

int
postrider_engine_ready_lanes(void)
{
	return ready_count;
}

Lane *
postrider_engine_next_lane(void)
{
	Lane	   *lane = dlist_container(Lane, node, dlist_pop_head_node(&ready_lanes));

	dlist_push_tail(&ready_lanes, &lane->node);
	return lane;
}

static Lane *
first_blocked(void)
{
	return pairingheap_is_empty(blocked_lanes) ? NULL :
		pairingheap_container(Lane, heap_node, pairingheap_first(blocked_lanes));
}

TimestampTz
postrider_engine_blocked_until(void)
{
	const Lane *lane = first_blocked();

	return lane ? lane->ready_at : DT_NOEND;
}

void
postrider_engine_unblock_lanes(TimestampTz now)
{
	Lane	   *lane;

	while ((lane = first_blocked()) != NULL && lane->ready_at <= now)
	{
		/* It may have to wait again, for somebody else has taken the token. */
		leave_state(lane);
		postrider_engine_update_lane(lane, now);
	}
}

void
postrider_engine_enqueue(Delivery *delivery, TimestampTz now)
{
	Lane	   *lane = delivery->endpoint->lane;

	postrider_lane_push(lane, delivery, now);
	postrider_engine.queued++;
	postrider_engine_update_lane(lane, now);
}

void
postrider_engine_submit(Delivery *delivery, TimestampTz now)
{
	GateEffects effects;

	if (!postrider_key_gate_concerns(delivery))
	{
		postrider_engine_enqueue(delivery, now);
		return;
	}
	postrider_gate_effects_init(&effects);
	postrider_key_gate_enter(delivery, false, &effects);
	postrider_engine_apply(&effects);
}

void
postrider_engine_overflow(Delivery *delivery, TimestampTz now)
{
	GateEffects effects;

	if (!postrider_key_gate_concerns(delivery))
	{
		postrider_engine_park(delivery, PENDING_OVERFLOW, now);
		return;
	}
	postrider_gate_effects_init(&effects);
	postrider_key_gate_enter(delivery, true, &effects);
	postrider_engine_apply(&effects);
}

static Delivery *
pop(dlist_head *deliveries)
{
	return dlist_container(Delivery, node, dlist_pop_head_node(deliveries));
}

void
postrider_engine_apply(GateEffects *effects)
{
	TimestampTz now = GetCurrentTimestamp();

	postrider_engine.queued -= effects->taken_from_lane;
	while (!dlist_is_empty(&effects->superseded))
		postrider_engine_end_unsent(pop(&effects->superseded), OUTCOME_SUPERSEDED, "superseded",
									"a newer message of its key is sent in its place", now);
	while (!dlist_is_empty(&effects->park))
		postrider_engine_park_behind(pop(&effects->park), now);
	while (!dlist_is_empty(&effects->go))
		postrider_engine_enqueue(pop(&effects->go), now);
}

Delivery *
postrider_engine_take_next(Lane *lane, TimestampTz now)
{
	Delivery   *delivery = postrider_lane_pop(lane, now);

	postrider_engine.queued--;
	memset(&delivery->result, 0, sizeof(AttemptResult));
	delivery->result.started_at = now;
	return postrider_engine_end_if_hopeless(delivery, now) ? NULL : delivery;
}

/* Hands back all deliveries of a lane that may not be sent any more. */
static void
empty_lane(Lane *lane, TimestampTz now)
{
	while (lane->queued > 0)
	{
		Delivery   *delivery = postrider_lane_pop(lane, now);

		postrider_engine.queued--;
		postrider_engine_park_behind(delivery, now);
	}
}

/* All that waits behind others of its key is handed back. */
static void
empty_gate(Endpoint *endpoint)
{
	GateEffects effects;

	postrider_gate_effects_init(&effects);
	postrider_key_gate_empty(endpoint, &effects);
	postrider_engine_apply(&effects);
}

/* What is in the lane has not passed the gate yet. */
static void
lead_through_gate(Lane *lane, TimestampTz now)
{
	dlist_head	passed = DLIST_STATIC_INIT(passed);

	while (lane->queued > 0)
	{
		Delivery   *delivery = postrider_lane_pop(lane, now);

		postrider_engine.queued--;
		dlist_push_tail(&passed, &delivery->node);
	}
	while (!dlist_is_empty(&passed))
		postrider_engine_submit(pop(&passed), now);
}

/* The endpoint is, or is no longer, one of those that key_gate.h is about. */
static void
update_gate(Endpoint *endpoint, TimestampTz now)
{
	Lane	   *lane = endpoint->lane;
	bool		gated = endpoint->policy.ordered || endpoint->policy.coalesce;

	lane->keys_known = false;
	if (!endpoint->enabled || endpoint->deleted || !gated)
		empty_gate(endpoint);
	if (endpoint->deleted || !gated)
		postrider_key_gate_forget(endpoint);
	if (gated && !lane->gated)
		lead_through_gate(lane, now);
	lane->gated = gated;
}

void
postrider_engine_endpoint_changed(Endpoint *endpoint)
{
	MemoryContext old = MemoryContextSwitchTo(postrider_engine.context);
	TimestampTz now = GetCurrentTimestamp();

	postrider_engine_end_wait(endpoint->lane);
	update_gate(endpoint, now);
	if (!endpoint->enabled || endpoint->deleted)
		empty_lane(endpoint->lane, now);
	endpoint->lane->told_until = 0;
	postrider_engine_update_lane(endpoint->lane, now);
	MemoryContextSwitchTo(old);
}

bool
postrider_engine_endpoint_idle(const Endpoint *endpoint)
{
	const Lane *lane = endpoint->lane;

	return lane->queued == 0 && lane->in_flight == 0 && lane->waiting == 0;
}

void
postrider_engine_forget(Endpoint *endpoint)
{
	Assert(endpoint->lane->state == LANE_RESTING);
	postrider_engine_end_wait(endpoint->lane);
	postrider_request_discard_idle(endpoint);
	postrider_key_gate_forget(endpoint);
	pfree(endpoint->lane);
	endpoint->lane = NULL;
}

int
postrider_engine_queued(void)
{
	return postrider_engine.queued;
}
