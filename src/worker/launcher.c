/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The background worker that starts the workers.
 *
 * It alone decides when a worker is started: workers are registered with
 * BGW_NEVER_RESTART, and a slot in SLOT_WANTED says from when on it wants one.
 * It is connected to no database, so it cannot see which ones have the
 * extension; when it starts it therefore has a worker look into each.  Later
 * CREATE EXTENSION claims a slot.
 *
 * It does not poll.  Its latch is set when a slot is claimed, when a worker
 * attaches or leaves, when a database is no longer held, and by the
 * postmaster when a worker has ended.
 *
 * A worker that attached tidies its slot up when it ends.  One that ended
 * before that is noticed by its handle here.  Handles do not survive
 * this process, so a new launcher takes back the starts of the one before
 * it; should such a worker come after all, the generation tells it to go.
 *
 * While pg_upgrade has a server there is no launcher, and so no worker: a worker of
 * the new server would find the tables before they have their content, and
 * begin a cursor of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "guc.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "util/log_line.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/launcher.h"
#include "worker/shmem.h"
#include "worker/slot.h"

#define RESTART_S			5
#define MAX_STARTING		2	/* at a time, to leave room for others */
#define REGISTER_RETRY_MS	10000

PGDLLEXPORT void postrider_launcher_main(Datum main_arg);

/* What this process knows of the worker in a slot. */
typedef struct StartedWorker
{
	BackgroundWorkerHandle *handle; /* NULL unless started by this process */
	uint32		generation;		/* of the slot, for the handle */
	Oid			warned_for;		/* database for which the log has said that
								 * no worker could be started */
} StartedWorker;

/* As many as there are slots. */
static StartedWorker *started;

/* Databases to look into for which there was no slot yet. */
static List *unclaimed = NIL;

void
postrider_launcher_register(void)
{
	BackgroundWorker worker;

	if (IsBinaryUpgrade)
		return;
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_S;
	strlcpy(worker.bgw_library_name, "postrider", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "postrider_launcher_main",
			sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "postrider launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "postrider launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

static void
withdraw(int code, Datum arg)
{
	PostriderShared *shared = postrider_shared();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (shared->launcher_pid == MyProcPid)
	{
		shared->launcher_pid = 0;
		shared->launcher_latch = NULL;
	}
	LWLockRelease(shared->lock);
}

/* Makes this process the launcher, or ends it if there is one. */
static void
publish(void)
{
	PostriderShared *shared = postrider_shared();
	pid_t		other;

	before_shmem_exit(withdraw, (Datum) 0);
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	other = shared->launcher_pid;
	if (other == 0 || BackendPidGetProc(other) == NULL)
	{
		other = 0;
		shared->launcher_pid = MyProcPid;
		shared->launcher_latch = MyLatch;
	}
	LWLockRelease(shared->lock);

	if (other != 0)
	{
		LogLine		line;

		postrider_log_begin(&line, LOG, "launcher_exists");
		postrider_log_int(&line, "pid", other);
		postrider_log_end(&line);
		proc_exit(0);
	}
}

/* Takes back what an earlier launcher started and nobody watches now. */
static void
take_back_starts(void)
{
	PostriderShared *shared = postrider_shared();
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shared->slot_count; i++)
	{
		WorkerSlot *slot = &shared->slots[i];

		if (slot->state != SLOT_STARTING)
			continue;
		slot->generation++;
		slot->start_after = 0;
		postrider_slot_change(slot, SLOT_WANTED, now);
	}
	LWLockRelease(shared->lock);
}

static bool
is_connectable(Form_pg_database database)
{
#ifdef DATCONNLIMIT_INVALID_DB
	/* What an interrupted DROP DATABASE leaves behind. */
	if (database->datconnlimit == DATCONNLIMIT_INVALID_DB)
		return false;
#endif
	return database->datallowconn;
}

/*
 * The databases that one can connect to, in TopMemoryContext.  It scans, as
 * autovacuum's launcher does: without a database there are no indexes.
 */
static List *
get_databases(bool with_templates)
{
	List	   *result = NIL;
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (!is_connectable(database) ||
			(database->datistemplate && !with_templates))
			continue;
		old = MemoryContextSwitchTo(TopMemoryContext);
		result = lappend_oid(result, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(TopMemoryContext);
	return result;
}

/*
 * Claims slots for the databases that are still to be looked into.  Where no
 * slot is free, the next worker that leaves one wakes us.
 */
static void
claim_slots(void)
{
	while (unclaimed != NIL && postrider_slot_want(linitial_oid(unclaimed), 0))
		unclaimed = list_delete_first(unclaimed);
}

/* Notices workers that ended without tidying up. */
static void
note_ended(void)
{
	PostriderShared *shared = postrider_shared();
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < shared->slot_count; i++)
	{
		WorkerSlot *slot = &shared->slots[i];
		pid_t		pid;

		if (started[i].handle == NULL ||
			GetBackgroundWorkerPid(started[i].handle, &pid) != BGWH_STOPPED)
			continue;
		pfree(started[i].handle);
		started[i].handle = NULL;

		LWLockAcquire(shared->lock, LW_EXCLUSIVE);
		if (slot->generation == started[i].generation &&
			(slot->state == SLOT_STARTING || slot->state == SLOT_RUNNING))
		{
			slot->pid = 0;
			slot->latch = NULL;
			postrider_slot_set_error(slot, SLOT_ERROR_NO_START, now);
			postrider_slot_failed(slot, now);
		}
		LWLockRelease(shared->lock);
	}
}

/* The caller holds the lock exclusively. */
static bool
is_held(WorkerSlot *slot)
{
	if (slot->held_by != 0 && BackendPidGetProc(slot->held_by) == NULL)
		slot->held_by = 0;
	return slot->held_by != 0;
}

/*
 * When postrider.workers has changed, the workers of the old number leave by
 * themselves, and must all have gone before one of the new number starts.
 */
static bool
is_ahead_of_others(const WorkerSlot *slot)
{
	PostriderShared *shared = postrider_shared();

	for (int i = 0; i < shared->slot_count; i++)
	{
		const WorkerSlot *other = &shared->slots[i];

		if (other->database == slot->database &&
			(other->state == SLOT_STARTING || other->state == SLOT_RUNNING) &&
			other->shards != postrider_workers)
			return true;
	}
	return false;
}

/* Does the slot wait for nothing but its time? */
static bool
is_ready(WorkerSlot *slot)
{
	return slot->state == SLOT_WANTED && !is_held(slot) && !is_ahead_of_others(slot);
}

static bool
is_due(WorkerSlot *slot, TimestampTz now)
{
	return is_ready(slot) && slot->start_after <= now;
}

/* The caller holds the lock. */
static int
count_starting(void)
{
	PostriderShared *shared = postrider_shared();
	int			result = 0;

	for (int i = 0; i < shared->slot_count; i++)
		if (shared->slots[i].state == SLOT_STARTING)
			result++;
	return result;
}

/*
 * Sets due[i] to the database of slot i if a worker is to be started for it,
 * otherwise to InvalidOid.
 */
static bool
find_due(Oid *due, TimestampTz now)
{
	PostriderShared *shared = postrider_shared();
	bool		found = false;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shared->slot_count; i++)
	{
		WorkerSlot *slot = &shared->slots[i];

		due[i] = is_due(slot, now) ? slot->database : InvalidOid;
		found = found || OidIsValid(due[i]);
	}
	found = found && count_starting() < MAX_STARTING;
	LWLockRelease(shared->lock);
	return found;
}

/*
 * Marks a slot as starting, if it still wants a worker for the database and if
 * its turn has come.  One whose database is gone or closed is
 * freed, and so is one that is too many.
 */
static bool
take_slot(WorkerSlot *slot, Oid database, bool connectable, TimestampTz now)
{
	PostriderShared *shared = postrider_shared();
	bool		result = false;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (is_due(slot, now) && slot->database == database)
	{
		if (!connectable || slot->shard >= postrider_workers)
			postrider_slot_change(slot, SLOT_FREE, now);
		else if (count_starting() < MAX_STARTING)
		{
			slot->generation++;
			slot->stop = false;
			slot->shards = postrider_workers;
			postrider_slot_change(slot, SLOT_STARTING, now);
			result = true;
		}
	}
	LWLockRelease(shared->lock);
	return result;
}

static bool
register_worker(int index, Oid database)
{
	StartedWorker *start = &started[index];
	BackgroundWorker worker;
	MemoryContext old;
	bool		result;

	if (start->handle)
		pfree(start->handle);
	start->handle = NULL;

	/* Only this process changes the generation, so no lock is needed. */
	start->generation = postrider_shared()->slots[index].generation;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(index);
	memcpy(worker.bgw_extra, &start->generation, sizeof(start->generation));
	strlcpy(worker.bgw_library_name, "postrider", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "postrider_worker_main",
			sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, BGW_MAXLEN, "postrider worker %d for database %u",
			 postrider_shared()->slots[index].shard, database);
	strlcpy(worker.bgw_type, "postrider worker", sizeof(worker.bgw_type));

	old = MemoryContextSwitchTo(TopMemoryContext);
	result = RegisterDynamicBackgroundWorker(&worker, &start->handle);
	MemoryContextSwitchTo(old);
	return result;
}

static void
start_worker(int index, Oid database, TimestampTz now)
{
	PostriderShared *shared = postrider_shared();
	WorkerSlot *slot = &shared->slots[index];
	LogLine		line;

	if (register_worker(index, database))
	{
		started[index].warned_for = InvalidOid;
		return;
	}

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot->start_after = TimestampTzPlusMilliseconds(now, REGISTER_RETRY_MS);
	postrider_slot_set_error(slot, SLOT_ERROR_NO_ROOM, now);
	postrider_slot_change(slot, SLOT_WANTED, now);
	LWLockRelease(shared->lock);

	if (started[index].warned_for == database)
		return;
	started[index].warned_for = database;
	postrider_log_begin(&line, WARNING, "worker_not_started");
	postrider_log_int(&line, "database_oid", database);
	postrider_log_message(&line, "%s; messages of the database are not delivered: increase max_worker_processes and restart the server",
						  SLOT_ERROR_NO_ROOM);
	postrider_log_end(&line);
}

/*
 * Starts the workers whose time has come.  The databases are read after the
 * slots: a slot that was claimed in between, for a database that is too new to
 * be on the list, has to wait for the next round.
 */
static void
start_due(void)
{
	PostriderShared *shared = postrider_shared();
	TimestampTz now = GetCurrentTimestamp();
	Oid		   *due = palloc(sizeof(Oid) * shared->slot_count);

	if (find_due(due, now))
	{
		List	   *databases = get_databases(true);

		for (int i = 0; i < shared->slot_count; i++)
			if (OidIsValid(due[i]) &&
				take_slot(&shared->slots[i], due[i],
						  list_member_oid(databases, due[i]), now))
				start_worker(i, due[i], now);
		list_free(databases);
	}
	pfree(due);
}

/* Until the next slot is due, or -1: until the latch is set. */
static long
wait_ms(void)
{
	PostriderShared *shared = postrider_shared();
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz earliest = DT_NOEND;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shared->slot_count; i++)
	{
		WorkerSlot *slot = &shared->slots[i];

		if (is_ready(slot))
			earliest = Min(earliest, slot->start_after);
	}
	/* While too many are starting, the next that attaches wakes us. */
	if (count_starting() >= MAX_STARTING)
		earliest = DT_NOEND;
	LWLockRelease(shared->lock);

	if (earliest == DT_NOEND)
		return -1;
	return earliest <= now ? 0 : TimestampDifferenceMilliseconds(now, earliest);
}

void
postrider_launcher_main(Datum main_arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	MemoryContextSwitchTo(TopMemoryContext);

	publish();
	started = palloc0(sizeof(StartedWorker) * postrider_shared()->slot_count);
	take_back_starts();
	unclaimed = get_databases(false);

	for (;;)
	{
		long		timeout_ms;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		note_ended();
		start_due();
		claim_slots();			/* sets our latch if it claims any */

		timeout_ms = wait_ms();
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH |
						 (timeout_ms >= 0 ? WL_TIMEOUT : 0),
						 timeout_ms, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}
