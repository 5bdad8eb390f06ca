/*-------------------------------------------------------------------------
 *
 * keep.c
 *	  Keeps rate limits and circuit breakers over a restart; see keep.h.
 *
 * A limit of 250,000 a day must hold over a restart, and a failure of five days
 * is not interrupted by one.  So what the governors of lanes know is written to
 * the table endpoint_state: at once when something changes after a rest, then every
 * LANE_KEEP_MS while it changes, and when the worker ends.  After a crash it is taken
 * for granted that as much was sent before it as the limits allow in that time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/engine.h"
#include "delivery/lane.h"
#include "outbox/config.h"
#include "outbox/endpoint_state.h"
#include "utils/timestamp.h"
#include "worker/keep.h"
#include "worker/step.h"


/* After a crash: the time for which nothing is known, with a margin. */
#define UNKNOWN_US ((LANE_KEEP_MS + 2000) * INT64CONST(1000))

static TimestampTz due_at = DT_NOEND;

static bool
is_worth_keeping(const Lane *lane)
{
	const BreakerState *breaker = &lane->governor.breaker;

	return lane->governor.group != NULL || lane->governor.rate.started ||
		breaker->failures > 0 || breaker->phase != BREAKER_CLOSED;
}

static void
restore_rate(RateState *state, const RatePolicy *policy, const EndpointStateRow *row,
			 TimestampTz now)
{
	if (row->rate != NULL)
		(void) postrider_rate_restore(state, policy, row->rate, row->rate_length,
									  (int64) now, row->clean ? 0 : UNKNOWN_US);
}

void
postrider_keep_load_endpoint(Endpoint *endpoint, TimestampTz now)
{
	Governor   *governor = &endpoint->lane->governor;
	EndpointStateKey key = {endpoint->id, ""};
	EndpointStateRow row;

	if (!postrider_endpoint_state_load(&key, &row))
		return;
	endpoint->lane->is_kept = true;
	if (governor->group == NULL)
		restore_rate(&governor->rate, &endpoint->policy.rate, &row, now);
	if (row.breaker != NULL && row.breaker_length == sizeof(BreakerState))
	{
		memcpy(&governor->breaker, row.breaker, sizeof(BreakerState));
		postrider_breaker_resume(&governor->breaker, &endpoint->policy.breaker, (int64) now);
	}
}

void
postrider_keep_load_group(RateGroup *group, const char *name, const RatePolicy *policy,
						  TimestampTz now)
{
	EndpointStateKey key = {0, name};
	EndpointStateRow row;

	if (!postrider_endpoint_state_load(&key, &row))
		return;
	LWLockAcquire(&group->lock, LW_EXCLUSIVE);
	restore_rate(&group->state, policy, &row, now);
	LWLockRelease(&group->lock);
}

TimestampTz
postrider_keep_due(void)
{
	return due_at;
}

void
postrider_keep_touch(TimestampTz now)
{
	if (due_at == DT_NOEND)
		due_at = TimestampTzPlusMilliseconds(now, LANE_KEEP_MS);
}

static void
save_group(const Endpoint *endpoint, TimestampTz now, bool last)
{
	RateGroup  *group = endpoint->lane->governor.group;
	EndpointStateKey key = {0, endpoint->policy.rate_group};
	RateSnapshot snapshot;
	EndpointStateRow row = {.rate = &snapshot,.rate_length = sizeof(snapshot),.clean = last};

	LWLockAcquire(&group->lock, LW_EXCLUSIVE);
	postrider_rate_save(&group->state, (int64) now, &snapshot);
	LWLockRelease(&group->lock);
	postrider_endpoint_state_save(&key, &row);
}

static void
save_endpoint(Endpoint *endpoint, TimestampTz now, bool last)
{
	Lane	   *lane = endpoint->lane;
	EndpointStateKey key = {endpoint->id, ""};
	RateSnapshot snapshot;
	EndpointStateRow row = {
		.breaker = &lane->governor.breaker,
		.breaker_length = sizeof(BreakerState),
		.clean = last
	};

	if (!is_worth_keeping(lane))
	{
		if (lane->is_kept)
			postrider_endpoint_state_delete(&key);
		lane->is_kept = false;
		return;
	}
	if (lane->governor.group != NULL)
		save_group(endpoint, now, last);
	else if (lane->governor.rate.started)
	{
		postrider_rate_save(&lane->governor.rate, (int64) now, &snapshot);
		row.rate = &snapshot;
		row.rate_length = sizeof(snapshot);
	}
	postrider_endpoint_state_save(&key, &row);
	lane->is_kept = true;
}

/* Has the lane sent anything since it was kept last? */
static bool
has_changed(const Lane *lane, bool last)
{
	return lane->activity != lane->kept_activity || (last && lane->is_kept);
}

void
postrider_keep_save(TimestampTz now, bool last)
{
	Endpoint  **endpoints;
	int			count;
	bool		begun = false;

	if (due_at > now && !last && !postrider_engine_keep_wanted())
		return;
	due_at = DT_NOEND;
	count = postrider_config_endpoints(&endpoints);
	for (int i = 0; i < count; i++)
	{
		Lane	   *lane = endpoints[i]->lane;

		if (endpoints[i]->deleted || lane == NULL || !has_changed(lane, last) ||
			(!is_worth_keeping(lane) && !lane->is_kept))
			continue;
		if (!begun)
			postrider_step_begin("keeping rate limits and breakers");
		begun = true;
		save_endpoint(endpoints[i], now, last);
		lane->kept_activity = lane->activity;
		lane->kept_at = now;
	}
	/* A commit frees all that a step has allocated. */
	if (begun)
		postrider_step_commit();
	else
		pfree(endpoints);
}
