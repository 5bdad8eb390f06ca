/*-------------------------------------------------------------------------
 *
 * lane.c
 *	  The lane of an endpoint.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/lane.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

static Size memory_used = 0;

void
postrider_memory_account(int64 bytes)
{
	Assert(bytes >= 0 || memory_used >= (Size) -bytes);
	memory_used += bytes;
}

Size
postrider_memory_free(void)
{
	return memory_used < MEMORY_BUDGET_BYTES ?
		MEMORY_BUDGET_BYTES - memory_used : 0;
}

Lane *
postrider_lane_create(Endpoint *endpoint)
{
	Lane	   *lane = MemoryContextAllocZero(TopMemoryContext, sizeof(Lane));

	lane->endpoint = endpoint;
	lane->health_slot = -1;
	for (int level = 0; level < PRIORITY_LEVELS; level++)
		dlist_init(&lane->queue[level]);
	dlist_init(&lane->idle_requests);
	return lane;
}

void
postrider_lane_shift(Lane *lane, int64 microseconds)
{
	if (lane->blocked_until != 0)
		lane->blocked_until += microseconds;
	if (lane->credentials_at != 0)
		lane->credentials_at += microseconds;
	if (lane->progress_at != 0)
		lane->progress_at += microseconds;
	if (lane->told_until != 0)
		lane->told_until += microseconds;
	lane->batch_limit_until += microseconds;
	lane->ready_at += microseconds;
	if (lane->kept_at != 0)
		lane->kept_at += microseconds;
	postrider_governor_shift(&lane->governor, microseconds);
}

int
postrider_lane_room(const Lane *lane)
{
	Size		average;
	Size		free_bytes = postrider_memory_free();

	if (lane->queued == 0 && lane->waiting == 0)
		return free_bytes > 0 ? LANE_CAPACITY : 1;
	if (lane->queued + lane->waiting >= LANE_CAPACITY || lane->queued_bytes >= free_bytes)
		return 0;
	average = lane->queued_bytes / Max(lane->queued, 1) + 1;
	return Min(LANE_CAPACITY - lane->queued - lane->waiting,
			   (int) ((free_bytes - lane->queued_bytes) / average) + 1);
}

/* While the breaker waits for its probe, nobody knows until when. */
#define PROBE_PATIENCE_MS 20

TimestampTz
postrider_lane_blocked_until(const Lane *lane, TimestampTz now)
{
	int64		breaker = postrider_breaker_next_us(&lane->governor.breaker, (int64) now);

	if (breaker == PG_INT64_MAX)
		breaker = (int64) TimestampTzPlusMilliseconds(now, PROBE_PATIENCE_MS);
	return Max(Max(lane->blocked_until, lane->credentials_at), (TimestampTz) breaker);
}

LaneAnswer
postrider_lane_offer(Lane *lane, TimestampTz now)
{
	if (lane->endpoint->overflowing)
		return LANE_OVERFLOWS;
	if (postrider_lane_room(lane) > 0)
		return LANE_TAKES;
	if (lane->failures < LANE_FAILING && postrider_lane_blocked_until(lane, now) <= now &&
		!TimestampDifferenceExceeds(lane->progress_at, now, LANE_PATIENCE_MS))
		return LANE_BUSY;
	lane->endpoint->overflowing = true;
	return LANE_OVERFLOWS;
}

int
postrider_lane_urgent_room(const Lane *lane)
{
	if (postrider_memory_free() <= lane->queued_bytes)
		return 0;
	return Max(LANE_URGENT_ROOM - lane->level_count[PRIORITY_HIGH] -
			   lane->level_count[PRIORITY_CRITICAL], 0);
}

static void
count_in(Lane *lane, Delivery *delivery)
{
	lane->level_count[delivery->message->priority]++;
	delivery->in_queue = true;
	lane->queued++;
	lane->queued_bytes += delivery->memory_bytes;
}

void
postrider_lane_push_front(Lane *lane, Delivery *delivery)
{
	dlist_push_head(&lane->queue[delivery->message->priority], &delivery->node);
	count_in(lane, delivery);
}

void
postrider_lane_push(Lane *lane, Delivery *delivery, TimestampTz now)
{
	dlist_push_tail(&lane->queue[delivery->message->priority], &delivery->node);
	count_in(lane, delivery);
	if (postrider_lane_room(lane) == 0)
		lane->progress_at = now;
}

void
postrider_lane_remove(Lane *lane, Delivery *delivery)
{
	dlist_delete(&delivery->node);
	lane->level_count[delivery->message->priority]--;
	delivery->in_queue = false;
	lane->queued--;
	lane->queued_bytes -= delivery->memory_bytes;
}

Delivery *
postrider_lane_pop(Lane *lane, TimestampTz now)
{
	Delivery   *delivery;
	int			level = postrider_priority_choose(&lane->priority, lane->level_count);

	Assert(level >= 0);
	delivery = dlist_head_element(Delivery, node, &lane->queue[level]);
	postrider_lane_remove(lane, delivery);
	lane->progress_at = now;
	return delivery;
}

Delivery *
postrider_lane_peek(const Lane *lane)
{
	int			level = postrider_priority_peek(&lane->priority, lane->level_count);

	return level < 0 ? NULL :
		dlist_head_element(Delivery, node, unconstify(dlist_head *, &lane->queue[level]));
}
