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

#define STATUS_COLUMNS 12

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
} SlotCopy;

static void
copy_slot(SlotCopy *copy, WorkerSlot *slot)
{
	WorkerCounters *counters = &slot->counters;

	memcpy(&copy->slot, slot, offsetof(WorkerSlot, counters));
	copy->messages_read = pg_atomic_read_u64(&counters->messages_read);
	copy->delivered = pg_atomic_read_u64(&counters->delivered);
	copy->retried = pg_atomic_read_u64(&counters->retried);
	copy->dead = pg_atomic_read_u64(&counters->dead);
	copy->queued = pg_atomic_read_u32(&counters->queued);
	copy->in_flight = pg_atomic_read_u32(&counters->in_flight);
}

/*
 * Copies the slots of this database, so that the lock is not held while rows
 * are made, which may take memory and files.
 */
static int
copy_slots(SlotCopy **copies)
{
	PostriderShared *shared = postrider_shared();
	int			count = 0;

	*copies = palloc0(sizeof(SlotCopy) * shared->slot_count);
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < shared->slot_count; i++)
	{
		WorkerSlot *slot = &shared->slots[i];

		if (slot->state != SLOT_FREE && slot->database == MyDatabaseId)
			copy_slot(&(*copies)[count++], slot);
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
