/*-------------------------------------------------------------------------
 *
 * utility.c
 *	  Making room for statements that need a database for themselves.
 *
 * DROP DATABASE, CREATE DATABASE with the database as template, ALTER DATABASE
 * with RENAME or SET TABLESPACE fail while anybody is connected.  Nobody should
 * have to know of our workers for that, so we stop them first.
 *
 * The backend holds the slots of the database (held_by), which keeps the
 * launcher from starting a worker, until its transaction ends: only then the
 * statement's lock on the database goes.  A transaction callback, unlike
 * PG_FINALLY, also sees the end of a backend that is terminated.
 *
 * And a trigger that calls postrider.capture() is for the owner of its table, which
 * CREATE TRIGGER itself does not ask for: the right TRIGGER is enough to it.
 *
 * Processes learn from us that ALTER EXTENSION postrider UPDATE has changed the version
 * (outbox/version.c).
 *
 * Only who may run the statement may stop workers by it.  Everything else that
 * can be wrong with the statement is for the server to say.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "outbox/access.h"
#include "outbox/version.h"
#include "parser/parse_func.h"
#include "pgstat.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "tcop/utility.h"
#include "util/compat.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "worker/shmem.h"
#include "worker/utility.h"
#include "worker/wake.h"

#define STOP_TIMEOUT_MS 10000
#define STOP_POLL_MS	10

/* A worker that was asked to stop. */
typedef struct StoppedWorker
{
	uint32		generation;		/* of the slot */
	pid_t		pid;			/* 0 if not asked */
} StoppedWorker;

static ProcessUtility_hook_type previous_hook = NULL;

/* This transaction holds slots; and it has dropped this database. */
static bool holding = false;
static Oid	dropped = InvalidOid;

static bool
owns_database(Oid database)
{
	return PostriderOwnsDatabase(database, GetUserId());
}

static bool
may_create_databases(void)
{
	HeapTuple	tuple;
	bool		result;

	if (superuser())
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	ReleaseSysCache(tuple);
	return result;
}

static bool
is_template(Oid database)
{
	HeapTuple	tuple;
	bool		result;

	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	return result;
}

static DefElem *
find_option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return option;
	}
	return NULL;
}

static Oid
template_database(CreatedbStmt *statement)
{
	DefElem    *option = find_option(statement->options, "template");
	const char *name = "template1";
	Oid			database;

	if (!may_create_databases())
		return InvalidOid;
	if (option && option->arg)
		name = defGetString(option);
	database = get_database_oid(name, true);
	if (OidIsValid(database) &&
		(is_template(database) || owns_database(database)))
		return database;
	return InvalidOid;
}

/* The server refuses these statements for the current database. */
static Oid
owned_other_database(const char *name)
{
	Oid			database = get_database_oid(name, true);

	if (OidIsValid(database) && database != MyDatabaseId &&
		owns_database(database))
		return database;
	return InvalidOid;
}

/* The database that a statement needs for itself, or InvalidOid. */
static Oid
database_needed(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return owned_other_database(((DropdbStmt *) statement)->dbname);
		case T_CreatedbStmt:
			return template_database((CreatedbStmt *) statement);
		case T_AlterDatabaseStmt:
			if (!find_option(((AlterDatabaseStmt *) statement)->options, "tablespace"))
				return InvalidOid;
			return owned_other_database(((AlterDatabaseStmt *) statement)->dbname);
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType != OBJECT_DATABASE ||
				!may_create_databases())
				return InvalidOid;
			return owned_other_database(((RenameStmt *) statement)->subname);
		default:
			return InvalidOid;
	}
}

static bool
drops_extension(Node *statement)
{
	ListCell   *cell;

	if (!IsA(statement, DropStmt) ||
		((DropStmt *) statement)->removeType != OBJECT_EXTENSION)
		return false;
	foreach(cell, ((DropStmt *) statement)->objects)
		if (strcmp(strVal(lfirst(cell)), "postrider") == 0)
			return true;
	return false;
}

/*
 * Whether a process is still connected to the database.  A worker leaves its
 * slot a moment before its PGPROC, which is what the server counts, and when
 * it finds one it tries again only after 100 ms.
 */
static bool
is_connected(pid_t pid, Oid database)
{
	PGPROC	   *proc = pid != 0 ? BackendPidGetProc(pid) : NULL;

	return proc != NULL && proc->databaseId == database;
}

/*
 * Holds the slots of a database and asks their workers, each once, to stop: a
 * second signal would cancel what a worker does to end in good order.
 * Returns true when all have gone.
 */
static bool
hold_and_stop(Oid database, StoppedWorker *stopped)
{
	PostriderShared *shared = postrider_shared();
	bool		gone = true;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shared->slot_count; i++)
	{
		WorkerSlot *slot = &shared->slots[i];

		if (is_connected(stopped[i].pid, database))
			gone = false;
		if (slot->state == SLOT_FREE || slot->database != database)
			continue;
		holding = true;
		slot->held_by = MyProcPid;
		slot->stop = true;
		if (slot->state == SLOT_WANTED)
			continue;
		gone = false;
		if (slot->pid == 0 ||
			(stopped[i].pid == slot->pid && stopped[i].generation == slot->generation))
			continue;
		/* It cannot be gone: it clears pid under the lock. */
		stopped[i].pid = slot->pid;
		stopped[i].generation = slot->generation;
		(void) kill(slot->pid, SIGTERM);
	}
	LWLockRelease(shared->lock);
	return gone;
}

/*
 * Returns when nothing of ours is connected to the database, or after a while
 * without success: then the statement fails with the server's own message.
 */
static void
make_room(Oid database)
{
	StoppedWorker *stopped;
	TimestampTz start = GetCurrentTimestamp();

	stopped = palloc0(sizeof(StoppedWorker) * postrider_shared()->slot_count);
	while (!hold_and_stop(database, stopped) &&
		   !TimestampDifferenceExceeds(start, GetCurrentTimestamp(), STOP_TIMEOUT_MS))
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 STOP_POLL_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(stopped);
}

/* Lets the launcher have the slots again, or frees them. */
static void
release(bool committed)
{
	PostriderShared *shared = postrider_shared();
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < shared->slot_count; i++)
	{
		WorkerSlot *slot = &shared->slots[i];

		if (slot->held_by != MyProcPid)
			continue;
		slot->held_by = 0;

		/* Any other state is for the process that is about to leave it. */
		if (committed && slot->state == SLOT_WANTED && slot->database == dropped)
		{
			slot->state = SLOT_FREE;
			slot->state_since = now;
		}
	}
	if (shared->launcher_latch)
		SetLatch(shared->launcher_latch);
	LWLockRelease(shared->lock);
}

static void
transaction_callback(XactEvent event, void *arg)
{
	if (!holding)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			release(event == XACT_EVENT_COMMIT);
			holding = false;
			dropped = InvalidOid;
			break;
		default:
			break;
	}
}

/* postrider.capture() is put on a table: by its owner? */
static void
check_capture(CreateTrigStmt *statement)
{
	Oid			schema = get_namespace_oid("postrider", true);
	Oid			function;
	char	   *function_schema;
	char	   *name;

	DeconstructQualifiedName(statement->funcname, &function_schema, &name);
	if (!OidIsValid(schema) || strcmp(name, "capture") != 0)
		return;
	function = LookupFuncName(statement->funcname, 0, NULL, true);
	if (OidIsValid(function) && get_func_namespace(function) == schema)
		postrider_require_owner(RangeVarGetRelid(statement->relation, NoLock, false));
}

static bool
changes_extension(Node *statement)
{
	return IsA(statement, AlterExtensionStmt) &&
		strcmp(((AlterExtensionStmt *) statement)->extname, "postrider") == 0;
}

static void
before_statement(Node *statement)
{
	Oid			database = database_needed(statement);

	if (OidIsValid(database))
	{
		make_room(database);
		if (holding && IsA(statement, DropdbStmt))
			dropped = database; /* the callback resets it */
	}
	else if (drops_extension(statement))
		postrider_wake_at_commit();
	else if (IsA(statement, CreateTrigStmt))
		check_capture((CreateTrigStmt *) statement);
}

static void
process_utility(PlannedStmt *planned, const char *query_string,
				bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo parameters, QueryEnvironment *environment,
				DestReceiver *destination, QueryCompletion *completion)
{
	bool		changes = changes_extension(planned->utilityStmt);

	/* In an aborted transaction there is no access to catalogs. */
	if (IsTransactionState() && !IsAbortedTransactionBlockState())
		before_statement(planned->utilityStmt);

	if (previous_hook)
		previous_hook(planned, query_string, read_only_tree, context,
					  parameters, environment, destination, completion);
	else
		standard_ProcessUtility(planned, query_string, read_only_tree, context,
								parameters, environment, destination, completion);

	if (changes)
	{
		postrider_extension_changed();
		postrider_wake_at_commit();
	}
}

void
postrider_utility_install(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	RegisterXactCallback(transaction_callback, NULL);
}
