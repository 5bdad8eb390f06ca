/*-------------------------------------------------------------------------
 *
 * loop.c
 *	  How the loop of a worker does; see loop.h.
 *
 * It is published in the counters of the worker's slot, without a lock.  The sum of
 * all memory takes a walk over the memory contexts, so that is made about once a second,
 * and only by a worker that has something to do.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/loop.h"
#include "worker/shmem.h"
#include "worker/slot.h"

#define MEMORY_MS	1000

/* The average moves by this part of the difference with each turn. */
#define SMOOTHING	16

static TimestampTz turn_started;
static double average_us = 0;
static uint32 longest_us = 0;	/* of this minute ... */
static uint32 longest_before_us = 0;	/* ... and the one before */
static TimestampTz minute = 0;
static TimestampTz memory_at = 0;

void
postrider_loop_begin(TimestampTz now)
{
	WorkerCounters *counters = postrider_slot_counters();

	turn_started = now;
	pg_atomic_write_u64(&counters->turn_started, (uint64) now);
	pg_atomic_write_u32(&counters->caught_up, 0);
}

static void
note_duration(TimestampTz now, uint32 duration_us)
{
	TimestampTz this_minute = now - now % USECS_PER_MINUTE;

	if (this_minute != minute)
	{
		longest_before_us = this_minute == minute + USECS_PER_MINUTE ? longest_us : 0;
		longest_us = 0;
		minute = this_minute;
	}
	average_us += (duration_us - average_us) / SMOOTHING;
	longest_us = Max(longest_us, duration_us);
}

void
postrider_loop_end(bool caught_up)
{
	WorkerCounters *counters = postrider_slot_counters();
	TimestampTz now = GetCurrentTimestamp();

	note_duration(now, (uint32) Min(Max(now - turn_started, 0), PG_UINT32_MAX));
	pg_atomic_write_u32(&counters->loop_us, (uint32) average_us);
	pg_atomic_write_u32(&counters->loop_max_us, Max(longest_us, longest_before_us));
	if (now >= memory_at || memory_at > TimestampTzPlusMilliseconds(now, MEMORY_MS))
	{
		memory_at = TimestampTzPlusMilliseconds(now, MEMORY_MS);
		pg_atomic_write_u64(&counters->memory_bytes,
							MemoryContextMemAllocated(TopMemoryContext, true));
	}
	pg_atomic_write_u32(&counters->caught_up, caught_up);
	pg_atomic_write_u64(&counters->turn_started, 0);
}
