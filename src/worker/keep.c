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
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/keep.h"
#include "worker/step.h"


/* After a crash: the time for which nothing is known, with a margin. */
#define UNKNOWN_US ((LANE_KEEP_MS + 2000) * INT64CONST(1000))

static TimestampTz due_at = DT_NOEND;

/* Rates of messages that this worker keeps, and when it last did. */
static List *message_groups = NIL;
static TimestampTz messages_kept_at = 0;

static bool
is_worth_keeping(const Lane *lane)
{
	const BreakerState *breaker = &lane->governor.breaker;

	return lane->governor.group != NULL || lane->governor.tenant != NULL ||
		lane->governor.rate.started ||
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

/*
 * Messages that a crash has not kept do not count: their limit is there to protect
 * us, and must not stop a tenant for the rest of the day.
 */
void
postrider_keep_read(RateScope scope, const char *name, KeptRate *kept)
{
	EndpointStateKey key = {scope, name};
	EndpointStateRow row;

	memset(kept, 0, sizeof(*kept));
	if (!postrider_endpoint_state_load(&key, &row))
		return;
	kept->bytes = row.rate;
	kept->length = row.rate_length;
	kept->unsaved_us = row.clean || scope == MESSAGES_OF_TENANT ? 0 : UNKNOWN_US;
}

void
postrider_keep_messages(const List *groups)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	list_free(message_groups);
	message_groups = list_copy(groups);
	MemoryContextSwitchTo(old);
}

void
postrider_keep_touch_messages(TimestampTz now)
{
	ListCell   *cell;

	foreach(cell, message_groups)
		postrider_rate_group_touch(lfirst(cell), now);
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
save_group(RateGroup *group, TimestampTz now, bool last)
{
	EndpointStateKey key = {postrider_rate_group_scope(group), postrider_rate_group_name(group)};
	RateSnapshot snapshot;
	EndpointStateRow row = {.rate = &snapshot,.rate_length = sizeof(snapshot),.clean = last};

	LWLockAcquire(&group->lock, LW_EXCLUSIVE);
	postrider_rate_save(&group->state, (int64) now, &snapshot);
	LWLockRelease(&group->lock);
	postrider_endpoint_state_save(&key, &row);
}

static int
compare_groups(const ListCell *a, const ListCell *b)
{
	int			scope_a = postrider_rate_group_scope(lfirst(a));
	int			scope_b = postrider_rate_group_scope(lfirst(b));

	return scope_a != scope_b ? scope_a - scope_b :
		strcmp(postrider_rate_group_name(lfirst(a)), postrider_rate_group_name(lfirst(b)));
}

/*
 * Each once, and all workers in the same order: they write the same rows, and none
 * may wait for one that waits for it.
 */
static void
save_groups(List *groups, TimestampTz now, bool last)
{
	const RateGroup *previous = NULL;
	ListCell   *cell;

	list_sort(groups, compare_groups);
	foreach(cell, groups)
	{
		if (lfirst(cell) != previous)
			save_group(lfirst(cell), now, last);
		previous = lfirst(cell);
	}
}

/* The rates of messages that have changed since they were kept. */
static List *
changed_messages(TimestampTz now)
{
	List	   *changed = NIL;
	ListCell   *cell;

	foreach(cell, message_groups)
	{
		RateGroup  *group = lfirst(cell);

		LWLockAcquire(&group->lock, LW_SHARED);
		if (group->state.last_us >= (int64) messages_kept_at)
			changed = lappend(changed, group);
		LWLockRelease(&group->lock);
	}
	messages_kept_at = now;
	return changed;
}

/* Its rates that are shared are added to the groups. */
static void
save_endpoint(Endpoint *endpoint, TimestampTz now, bool last, List **groups)
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
		*groups = lappend(*groups, lane->governor.group);
	else if (lane->governor.rate.started)
	{
		postrider_rate_save(&lane->governor.rate, (int64) now, &snapshot);
		row.rate = &snapshot;
		row.rate_length = sizeof(snapshot);
	}
	if (lane->governor.tenant != NULL)
		*groups = lappend(*groups, lane->governor.tenant);
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
	List	   *groups;
	bool		begun;

	if (due_at > now && !last && !postrider_engine_keep_wanted())
		return;
	due_at = DT_NOEND;
	count = postrider_config_endpoints(&endpoints);
	groups = changed_messages(now);
	begun = groups != NIL;
	if (begun)
		postrider_step_begin("keeping limits of messages");
	for (int i = 0; i < count; i++)
	{
		Lane	   *lane = endpoints[i]->lane;

		if (endpoints[i]->deleted || lane == NULL || !has_changed(lane, last) ||
			(!is_worth_keeping(lane) && !lane->is_kept))
			continue;
		if (!begun)
			postrider_step_begin("keeping rate limits and breakers");
		begun = true;
		save_endpoint(endpoints[i], now, last, &groups);
		lane->kept_activity = lane->activity;
		lane->kept_at = now;
	}
	/* A commit frees all that a step has allocated. */
	if (begun)
	{
		save_groups(groups, now, last);
		postrider_step_commit();
	}
	else
		pfree(endpoints);
}
