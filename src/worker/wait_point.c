/*-------------------------------------------------------------------------
 *
 * wait_point.c
 *	  The one place where the worker waits: for its latch, the death of the
 *	  postmaster, and the engine's epoll descriptor.
 *
 * Gathering.  A wake-up for each of many small transactions costs both sides
 * more than the message itself: a signal, a switch of context, a snapshot, a
 * transaction.  So at more than 2,500 messages/s the worker, once woken,
 * leaves its latch set for a moment, which makes setting it cheap, and then
 * reads all that has come at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "util/compat.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/wait_point.h"

/* From so many messages in a bucket on, they are gathered for so long. */
#define GATHER_BUCKET_US	10000
#define GATHER_MESSAGES		25	/* 2,500/s */
#define GATHER_MS			1

static WaitEventSet *wait_point = NULL;
static WaitEventSet *wait_without_latch = NULL;

static bool gathering = false;
static TimestampTz last_read_at = 0;
static TimestampTz gather_until = 0;	/* the latch is left set; or 0 */

static WaitEventSet *
make_wait_point(int epoll_descriptor, bool with_latch)
{
	WaitEventSet *events = PostriderCreateWaitEventSet(3);

	if (with_latch)
		AddWaitEventToSet(events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(events, WL_SOCKET_READABLE, epoll_descriptor, NULL, NULL);
	return events;
}

void
postrider_wait_start(int epoll_descriptor)
{
	wait_point = make_wait_point(epoll_descriptor, true);
	wait_without_latch = make_wait_point(epoll_descriptor, false);
}

/* Sets "gathering" by the rate at which messages come. */
void
postrider_wait_count(int messages)
{
	static TimestampTz bucket_start = 0;
	static int	bucket = 0;
	TimestampTz now = GetCurrentTimestamp();

	last_read_at = now;
	if (now - bucket_start >= GATHER_BUCKET_US || now < bucket_start)
	{
		gathering = now - bucket_start < 2 * GATHER_BUCKET_US &&
			bucket >= GATHER_MESSAGES;
		bucket_start = now;
		bucket = 0;
	}
	bucket += messages;
	gathering = gathering || bucket >= GATHER_MESSAGES;
}

/*
 * A latch that is found set is either reset, and we read; or, while gathering, left as
 * it is until the moment is over.
 */
bool
postrider_wait(long timeout_ms)
{
	WaitEvent	event;
	WaitEventSet *events = wait_point;
	TimestampTz until;

	if (gather_until != 0)
	{
		if (GetCurrentTimestamp() < gather_until)
		{
			events = wait_without_latch;
			timeout_ms = Min(timeout_ms, GATHER_MS);
		}
		else
			gather_until = 0;
	}
	if (WaitEventSetWait(events, timeout_ms, &event, 1, PG_WAIT_EXTENSION) != 1 ||
		event.events != WL_LATCH_SET)
		return false;
	until = TimestampTzPlusMilliseconds(last_read_at, GATHER_MS);
	if (gathering && GetCurrentTimestamp() < until)
	{
		gather_until = until;
		return false;
	}
	ResetLatch(MyLatch);
	return true;
}

void
postrider_wait_clock_was_set(void)
{
	last_read_at = gather_until = 0;
}
