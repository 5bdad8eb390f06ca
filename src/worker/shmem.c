/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Shared memory: making it, and claiming worker slots.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "miscadmin.h"
#include "postmaster/bgworker_internals.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "worker/shmem.h"

static PostriderShared *shared = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

/*
 * One for each background worker that there can be, and so many more that all
 * workers of a database show up in the status view when there is no room for
 * them.
 */
static int
slot_count(void)
{
	return max_worker_processes + POSTRIDER_MAX_WORKERS;
}

static Size
shared_size(void)
{
	return add_size(offsetof(PostriderShared, slots),
					mul_size(slot_count(), sizeof(WorkerSlot)));
}

static void
request_shmem(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche("postrider", 1);
}

void
postrider_counters_init(WorkerCounters *counters)
{
	pg_atomic_init_u64(&counters->messages_read, 0);
	pg_atomic_init_u64(&counters->delivered, 0);
	pg_atomic_init_u64(&counters->retried, 0);
	pg_atomic_init_u64(&counters->dead, 0);
	pg_atomic_init_u32(&counters->queued, 0);
	pg_atomic_init_u32(&counters->in_flight, 0);
	pg_atomic_init_u32(&counters->turns, 0);
	pg_atomic_init_u64(&counters->memory_bytes, 0);
	pg_atomic_init_u32(&counters->loop_us, 0);
	pg_atomic_init_u32(&counters->loop_max_us, 0);
	pg_atomic_init_u64(&counters->turn_started, 0);
	pg_atomic_init_u32(&counters->caught_up, 0);
}

static void
startup_shmem(void)
{
	bool		found;
	int			tranche;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("postrider", shared_size(), &found);
	if (!found)
	{
		memset(shared, 0, shared_size());
		shared->lock = &GetNamedLWLockTranche("postrider")->lock;
		pg_atomic_init_u64(&shared->last_tick, 0);
		pg_atomic_init_u64(&shared->config_generation, 1);
		pg_atomic_init_u32(&shared->config_changing, 0);
		pg_atomic_init_u64(&shared->pending_generation, 0);
		pg_atomic_init_u64(&shared->erase_generation, 0);
		pg_atomic_init_u64(&shared->credential_generation, 0);
		tranche = LWLockNewTrancheId();
		shared->rate_tranche = tranche;
		for (int i = 0; i < POSTRIDER_MAX_RATE_GROUPS; i++)
			LWLockInitialize(&shared->rate_groups[i].group.lock, tranche);
		shared->slot_count = slot_count();
		for (int i = 0; i < shared->slot_count; i++)
			postrider_counters_init(&shared->slots[i].counters);
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(shared->rate_tranche, "postrider_rate_group");
}

void
postrider_shmem_install(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

PostriderShared *
postrider_shared(void)
{
	Assert(shared != NULL);
	return shared;
}

WorkerSlot *
postrider_slot_find(Oid database, int shard)
{
	Assert(LWLockHeldByMe(shared->lock));
	for (int i = 0; i < shared->slot_count; i++)
	{
		WorkerSlot *slot = &shared->slots[i];

		if (slot->state != SLOT_FREE && slot->database == database &&
			slot->shard == shard)
			return slot;
	}
	return NULL;
}

static WorkerSlot *
free_slot(void)
{
	for (int i = 0; i < shared->slot_count; i++)
		if (shared->slots[i].state == SLOT_FREE)
			return &shared->slots[i];
	return NULL;
}

bool
postrider_slot_want(Oid database, int shard)
{
	WorkerSlot *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = postrider_slot_find(database, shard);
	if (slot == NULL && (slot = free_slot()) != NULL)
	{
		uint32		generation = slot->generation;

		memset(slot, 0, offsetof(WorkerSlot, counters));
		postrider_counters_init(&slot->counters);
		slot->state = SLOT_WANTED;
		slot->generation = generation;
		slot->database = database;
		slot->shard = shard;
		slot->state_since = GetCurrentTimestamp();
		if (shared->launcher_latch)
			SetLatch(shared->launcher_latch);
	}
	LWLockRelease(shared->lock);
	return slot != NULL;
}

void
postrider_launcher_wake(void)
{
	LWLockAcquire(shared->lock, LW_SHARED);
	if (shared->launcher_latch)
		SetLatch(shared->launcher_latch);
	LWLockRelease(shared->lock);
}
