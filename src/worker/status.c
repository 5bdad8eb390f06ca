/*-------------------------------------------------------------------------
 *
 * status.c
 *	  SQL: what the workers of the current database are doing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/classify.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "outbox/access.h"
#include "outbox/version.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "worker/shmem.h"
#include "worker/slot.h"

#define STATUS_COLUMNS 17

PG_FUNCTION_INFO_V1(postrider_worker_status);

/* A slot as it was while the lock was held. */
typedef struct SlotCopy
{
	WorkerSlot	slot;			/* without the counters */
	int64		messages_read;
	int64		delivered;
	int64		retried;
	int64		dead;
	int32		queued;
	int32		in_flight;
	int64		memory_bytes;
	float4		loop_ms;
	float4		loop_max_ms;
	bool		is_behind;
} SlotCopy;

/* With the turn that goes on. */
static float4
longest_turn_ms(WorkerCounters *counters, TimestampTz now)
{
	TimestampTz started = (TimestampTz) pg_atomic_read_u64(&counters->turn_started);
	float4		longest_ms = pg_atomic_read_u32(&counters->loop_max_us) / 1000.0f;

	return started == 0 || started > now ? longest_ms : Max(longest_ms, (now - started) / 1000.0f);
}

/*
 * A worker that has read all, and that nobody has woken since, is not behind.  Under
 * the lock, as its latch may be looked at.
 */
static bool
is_behind(WorkerSlot *slot)
{
	return slot->state != SLOT_RUNNING || slot->latch == NULL || slot->latch->is_set ||
		pg_atomic_read_u32(&slot->counters.caught_up) == 0;
}

static void
copy_slot(SlotCopy *copy, WorkerSlot *slot, TimestampTz now)
{
	WorkerCounters *counters = &slot->counters;

	memcpy(&copy->slot, slot, offsetof(WorkerSlot, counters));
	copy->messages_read = pg_atomic_read_u64(&counters->messages_read);
	copy->delivered = pg_atomic_read_u64(&counters->delivered);
	copy->retried = pg_atomic_read_u64(&counters->retried);
	copy->dead = pg_atomic_read_u64(&counters->dead);
	copy->queued = pg_atomic_read_u32(&counters->queued);
	copy->in_flight = pg_atomic_read_u32(&counters->in_flight);
	copy->memory_bytes = pg_atomic_read_u64(&counters->memory_bytes);
	copy->loop_ms = pg_atomic_read_u32(&counters->loop_us) / 1000.0f;
	copy->loop_max_ms = longest_turn_ms(counters, now);
	copy->is_behind = is_behind(slot);
}

/*
 * Copies the slots of this database, so that the lock is not held while rows
 * are made, which may take memory and files.
 */
static int
copy_slots(SlotCopy **copies)
{
	PostriderShared *shared = postrider_shared();
	TimestampTz now = GetCurrentTimestamp();
	int			count = 0;

	*copies = palloc0(sizeof(SlotCopy) * shared->slot_count);
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < shared->slot_count; i++)
	{
		WorkerSlot *slot = &shared->slots[i];

		if (slot->state != SLOT_FREE && slot->database == MyDatabaseId)
			copy_slot(&(*copies)[count++], slot, now);
	}
	LWLockRelease(shared->lock);
	return count;
}

static const char *
state_name(SlotState state)
{
	switch (state)
	{
		case SLOT_FREE:
			break;
		case SLOT_WANTED:
			return "waiting";
		case SLOT_STARTING:
			return "starting";
		case SLOT_RUNNING:
			return "running";
	}
	elog(ERROR, "unexpected state of a worker slot: %d", (int) state);
}

static void
put_row(ReturnSetInfo *result, const SlotCopy *copy, bool sees_payloads)
{
	const WorkerSlot *slot = &copy->slot;
	Datum		values[STATUS_COLUMNS] = {0};
	bool		nulls[STATUS_COLUMNS] = {false};
	int			column = 0;

	values[column++] = Int32GetDatum(slot->shard);
	nulls[column] = slot->pid == 0;
	values[column++] = Int32GetDatum((int32) slot->pid);
	values[column++] = CStringGetTextDatum(state_name(slot->state));
	values[column++] = TimestampTzGetDatum(slot->state_since);
	values[column++] = Int64GetDatum(copy->messages_read);
	values[column++] = Int64GetDatum(copy->delivered);
	values[column++] = Int64GetDatum(copy->retried);
	values[column++] = Int64GetDatum(copy->dead);
	values[column++] = Int32GetDatum(copy->queued);
	values[column++] = Int32GetDatum(copy->in_flight);
	nulls[column] = slot->last_error[0] == '\0';
	values[column++] = CStringGetTextDatum(sees_payloads || postrider_slot_error_is_own(slot->last_error) ?
										   slot->last_error : ERROR_WITHHELD);
	nulls[column] = slot->last_error_at == 0;
	values[column++] = TimestampTzGetDatum(slot->last_error_at);
	nulls[column] = copy->memory_bytes == 0;
	values[column++] = Int64GetDatum(copy->memory_bytes);
	nulls[column] = slot->pid == 0;
	values[column++] = Float4GetDatum(copy->loop_ms);
	nulls[column] = slot->pid == 0;
	values[column++] = Float4GetDatum(copy->loop_max_ms);
	values[column++] = BoolGetDatum(copy->is_behind);
	values[column++] = Int64GetDatum(slot->starts);
	Assert(column == STATUS_COLUMNS);

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* SQL: postrider.worker_status(): a row for each worker of this database. */
Datum
postrider_worker_status(PG_FUNCTION_ARGS)
{
	SlotCopy   *copies;
	int			count;

	postrider_begin_rows(fcinfo, STATUS_COLUMNS);
	if (postrider_bound_tenant() != NULL)
		return (Datum) 0;		/* counts and errors of all tenants */
	count = copy_slots(&copies);
	for (int i = 0; i < count; i++)
		put_row((ReturnSetInfo *) fcinfo->resultinfo, &copies[i], postrider_sees_payloads());
	return (Datum) 0;
}
