/*-------------------------------------------------------------------------
 *
 * slot.c
 *	  A worker's own slot in shared memory.
 *
 * The worker leaves its slot in a before_shmem_exit callback, that is on every
 * way out but a crash, which resets shared memory anyhow.  The callback is
 * registered before the one that aborts the transaction, so it runs after
 * it: who sees pid 0 knows that the worker holds no locks any more.  (Its
 * PGPROC lives a moment longer; see utility.c.)
 *
 * A start is identified by the slot's generation, which comes in bgw_extra.
 * A worker that was registered by a launcher that died, and that is late,
 * thus cannot take a slot that is meant for another.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"
#include "worker/slot.h"

#define MAX_BACKOFF_S		60
#define MAX_BACKOFF_SHIFT	6	/* 2^6 s is above the maximum */

static WorkerSlot *my_slot = NULL;
static bool absent = false;
static bool clean = false;
static bool error_reported = false;

void
postrider_slot_change(WorkerSlot *slot, SlotState state, TimestampTz now)
{
	Assert(LWLockHeldByMeInMode(postrider_shared()->lock, LW_EXCLUSIVE));
	slot->state = state;
	slot->state_since = now;
}

void
postrider_slot_set_error(WorkerSlot *slot, const char *message, TimestampTz now)
{
	/* Not in the middle of a character: the view returns it as text. */
	int			length = pg_mbcliplen(message, strlen(message),
									  POSTRIDER_ERROR_SIZE - 1);

	Assert(LWLockHeldByMeInMode(postrider_shared()->lock, LW_EXCLUSIVE));
	memcpy(slot->last_error, message, length);
	slot->last_error[length] = '\0';
	slot->last_error_at = now;
}

void
postrider_slot_failed(WorkerSlot *slot, TimestampTz now)
{
	int			backoff_s;

	slot->failures++;
	backoff_s = Min(1 << Min(slot->failures, MAX_BACKOFF_SHIFT), MAX_BACKOFF_S);
	slot->start_after = TimestampTzPlusMilliseconds(now, backoff_s * 1000);
	postrider_slot_change(slot, SLOT_WANTED, now);
}

bool
postrider_slot_error_is_own(const char *message)
{
	return strcmp(message, SLOT_ERROR_NO_ROOM) == 0 ||
		strcmp(message, SLOT_ERROR_NO_START) == 0 ||
		strcmp(message, SLOT_ERROR_ENDED) == 0;
}

static void
leave_slot(int code, Datum arg)
{
	PostriderShared *shared = postrider_shared();
	WorkerSlot *slot = my_slot;
	TimestampTz now = GetCurrentTimestamp();

	if (slot == NULL)
		return;
	my_slot = NULL;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot->pid = 0;
	slot->latch = NULL;
	pg_atomic_write_u32(&slot->counters.queued, 0);
	pg_atomic_write_u32(&slot->counters.in_flight, 0);
	pg_atomic_write_u32(&slot->counters.turns, 0);
	pg_atomic_write_u64(&slot->counters.memory_bytes, 0);
	pg_atomic_write_u64(&slot->counters.turn_started, 0);
	pg_atomic_write_u32(&slot->counters.caught_up, 0);
	if (absent || slot->shard >= postrider_workers)
		postrider_slot_change(slot, SLOT_FREE, now);
	else if (clean)
	{
		slot->failures = 0;
		slot->start_after = 0;
		postrider_slot_change(slot, SLOT_WANTED, now);
	}
	else
	{
		if (!error_reported)
			postrider_slot_set_error(slot, SLOT_ERROR_ENDED, now);
		postrider_slot_failed(slot, now);
	}
	if (shared->launcher_latch)
		SetLatch(shared->launcher_latch);
	LWLockRelease(shared->lock);
}

WorkerSlot *
postrider_slot_attach(int index)
{
	PostriderShared *shared = postrider_shared();
	WorkerSlot *slot;
	uint32		generation;
	TimestampTz now = GetCurrentTimestamp();

	if (index < 0 || index >= shared->slot_count)
		elog(ERROR, "invalid worker slot: %d", index);
	slot = &shared->slots[index];
	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	before_shmem_exit(leave_slot, (Datum) 0);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (slot->state == SLOT_STARTING && slot->generation == generation)
	{
		if (slot->stop)
		{
			/* Somebody needs the database: not even connect to it. */
			slot->start_after = 0;
			postrider_slot_change(slot, SLOT_WANTED, now);
		}
		else
		{
			slot->pid = MyProcPid;
			slot->latch = MyLatch;
			slot->starts++;
			postrider_counters_init(&slot->counters);
			postrider_slot_change(slot, SLOT_RUNNING, now);
			my_slot = slot;
		}
		/* It keeps the number of those that are starting low. */
		if (shared->launcher_latch)
			SetLatch(shared->launcher_latch);
	}
	LWLockRelease(shared->lock);

	if (my_slot == NULL)
		proc_exit(0);
	return slot;
}

void
postrider_slot_set_absent(void)
{
	absent = true;
}

void
postrider_slot_set_clean(void)
{
	clean = true;
}

void
postrider_slot_report_error(const char *message)
{
	PostriderShared *shared = postrider_shared();

	Assert(my_slot != NULL);
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	postrider_slot_set_error(my_slot, message ? message : "missing error text",
							 GetCurrentTimestamp());
	LWLockRelease(shared->lock);
	error_reported = true;
}

void
postrider_slot_report_healthy(void)
{
	PostriderShared *shared = postrider_shared();

	Assert(my_slot != NULL);
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	my_slot->failures = 0;
	LWLockRelease(shared->lock);
}

WorkerCounters *
postrider_slot_counters(void)
{
	Assert(my_slot != NULL);
	return &my_slot->counters;
}

bool
postrider_slot_stop_requested(void)
{
	PostriderShared *shared = postrider_shared();
	bool		result;

	Assert(my_slot != NULL);
	LWLockAcquire(shared->lock, LW_SHARED);
	result = my_slot->stop;
	LWLockRelease(shared->lock);
	return result;
}
