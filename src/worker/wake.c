/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  Telling workers, at commit, that there is something to do.
 *
 * One transaction callback for each backend, registered when the library is
 * loaded, sets the worker's latch after the transaction has become visible.
 * So there is no NOTIFY, no polling, and a transaction that emits nothing
 * pays for one comparison.
 *
 * A change of the configuration needs more care.  A message that commits after
 * a subscription must be routed by it.  The committing transaction becomes
 * visible a moment before our commit callback runs, so a generation number that
 * is bumped in the callback comes too late: a worker could take a snapshot
 * that has both the subscription and the message and still find the old
 * number.  Therefore the transaction raises config_changing before it
 * commits, and lowers it after it has bumped the generation.  A worker takes
 * its snapshot first and then looks: if the change is visible in the
 * snapshot, then either the generation is new or config_changing is not zero,
 * and it loads the configuration again in both cases.
 *
 * An erase is to be over when its commit is: no request may begin with what was
 * erased once the client has been told.  Here it is the other way round than with
 * the configuration: the generation goes up after the transaction has become
 * visible, and before its locks are released.  A worker says when it is in a turn of the
 * network ("turns" is odd), and looks at the generation after it has begun
 * one; so who has bumped the generation only has to wait until each worker that is in
 * a turn has ended it, which takes milliseconds.  outbox/erased.c has the rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
#include "worker/shmem.h"
#include "worker/wake.h"

PG_FUNCTION_INFO_V1(postrider_message_written);
PG_FUNCTION_INFO_V1(postrider_config_changed);
PG_FUNCTION_INFO_V1(postrider_wake);
PG_FUNCTION_INFO_V1(postrider_erased_at_commit);
PG_FUNCTION_INFO_V1(postrider_credentials_changed);

/* A worker that takes longer for a turn is not waited for. */
#define MAX_TURN_MS 2000

/* What the current transaction has to tell. */
static bool wake_worker = false;
static bool config_changed = false;
static bool pending_changed = false;
static bool erased = false;
static bool credentials_changed = false;

/* This backend has raised config_changing. */
static bool change_announced = false;

void
postrider_wake_at_commit(void)
{
	wake_worker = true;
}

void
postrider_config_changed_at_commit(void)
{
	config_changed = true;
	wake_worker = true;
}

void
postrider_credentials_changed_at_commit(void)
{
	credentials_changed = true;
	wake_worker = true;
}

uint64
postrider_config_generation(bool *changing)
{
	PostriderShared *shared = postrider_shared();

	pg_memory_barrier();
	*changing = pg_atomic_read_u32(&shared->config_changing) > 0;
	pg_memory_barrier();
	return pg_atomic_read_u64(&shared->config_generation);
}

/*
 * Sets the latches of this database's workers, or asks for one if there is
 * none.  A change of the configuration concerns the workers of this database
 * too, only.
 */
static void
wake_workers(void)
{
	PostriderShared *shared = postrider_shared();
	bool		found = false;

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < shared->slot_count; i++)
	{
		WorkerSlot *slot = &shared->slots[i];

		if (slot->state == SLOT_FREE || slot->database != MyDatabaseId)
			continue;
		found = true;
		if (slot->latch)
			SetLatch(slot->latch);
	}
	LWLockRelease(shared->lock);
	if (!found)
		(void) postrider_slot_want(MyDatabaseId, 0);
}

/* A worker of this database that is in a turn of the network. */
typedef struct Turn
{
	WorkerCounters *counters;
	uint32		number;
} Turn;

/*
 * Has all workers look up what was erased before they send anything more.  Part of
 * the commit: nothing here may fail or take long.
 */
static void
tell_of_erase(void)
{
	PostriderShared *shared = postrider_shared();
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), MAX_TURN_MS);
	Turn		turns[POSTRIDER_MAX_WORKERS];
	int			count = 0;

	pg_atomic_fetch_add_u64(&shared->erase_generation, 1);
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < shared->slot_count && count < POSTRIDER_MAX_WORKERS; i++)
	{
		WorkerSlot *slot = &shared->slots[i];

		if (slot->state != SLOT_RUNNING || slot->database != MyDatabaseId ||
			slot->pid == MyProcPid)
			continue;
		turns[count].counters = &slot->counters;
		turns[count].number = pg_atomic_read_u32(&slot->counters.turns);
		count += turns[count].number % 2 == 1;
	}
	LWLockRelease(shared->lock);
	for (int i = 0; i < count; i++)
		while (pg_atomic_read_u32(&turns[i].counters->turns) == turns[i].number &&
			   GetCurrentTimestamp() < end)
			pg_usleep(200);
}

uint64
postrider_erase_generation(void)
{
	return pg_atomic_read_u64(&postrider_shared()->erase_generation);
}

static void
end_announcement(bool committed)
{
	PostriderShared *shared = postrider_shared();

	if (!change_announced)
		return;
	change_announced = false;
	if (committed)
		pg_atomic_fetch_add_u64(&shared->config_generation, 1);
	pg_atomic_fetch_sub_u32(&shared->config_changing, 1);
}

static void
transaction_callback(XactEvent event, void *arg)
{
	if (!wake_worker && !config_changed && !change_announced)
		return;

	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (config_changed && !change_announced)
			{
				change_announced = true;
				pg_atomic_fetch_add_u32(&postrider_shared()->config_changing, 1);
			}
			break;
		case XACT_EVENT_PRE_PREPARE:

			/*
			 * COMMIT PREPARED runs no callback, so nobody would learn of the
			 * change.  (Messages are found without one.)
			 */
			if (config_changed)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has changed the configuration of postrider"),
						 errhint("Commit the change in a transaction of its own.")));
			if (erased)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has called postrider.erase()"),
						 errhint("Commit it by COMMIT.")));
			break;
		case XACT_EVENT_COMMIT:
			end_announcement(true);
			if (erased)
				tell_of_erase();
			if (pending_changed)
				pg_atomic_fetch_add_u64(&postrider_shared()->pending_generation, 1);
			if (credentials_changed)
				pg_atomic_fetch_add_u64(&postrider_shared()->credential_generation, 1);
			wake_workers();
			wake_worker = config_changed = pending_changed = credentials_changed = erased = false;
			break;
		case XACT_EVENT_ABORT:
			end_announcement(false);
			wake_worker = config_changed = pending_changed = credentials_changed = erased = false;
			break;
		case XACT_EVENT_PREPARE:
			wake_worker = config_changed = pending_changed = credentials_changed = erased = false;
			break;
		default:
			break;
	}
}

void
postrider_wake_install(void)
{
	RegisterXactCallback(transaction_callback, NULL);
}

/* Statement trigger on postrider.message: somebody wrote it by plain SQL. */
Datum
postrider_message_written(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger",
						"postrider.message_written")));
	postrider_wake_at_commit();
	PG_RETURN_POINTER(NULL);
}

/* Statement trigger on the tables of the configuration. */
Datum
postrider_config_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger",
						"postrider.config_changed")));
	postrider_config_changed_at_commit();
	PG_RETURN_POINTER(NULL);
}

/* SQL: postrider.wake(): rows of pending have been made due. */
Datum
postrider_wake(PG_FUNCTION_ARGS)
{
	pending_changed = true;
	postrider_wake_at_commit();
	PG_RETURN_VOID();
}

/* SQL: postrider.erased_at_commit(): this transaction takes data of messages. */
Datum
postrider_erased_at_commit(PG_FUNCTION_ARGS)
{
	erased = pending_changed = true;
	postrider_wake_at_commit();
	PG_RETURN_VOID();
}

/* SQL: postrider.credentials_changed() */
Datum
postrider_credentials_changed(PG_FUNCTION_ARGS)
{
	postrider_credentials_changed_at_commit();
	PG_RETURN_VOID();
}
