/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  SQL: how far long work has come, for other sessions to see.
 *
 * Such work is one transaction, of which nobody sees anything until it commits;
 * so it reports into shared memory.  A session has one entry at most, which is
 * free again when its transaction ends, however it ends.  All entries are
 * protected by the lock of the shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "outbox/access.h"
#include "outbox/version.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "worker/shmem.h"

#define PROGRESS_COLUMNS 10

PG_FUNCTION_INFO_V1(postrider_report_progress);
PG_FUNCTION_INFO_V1(postrider_progress_status);

/* The entry of this session; NULL if it has none. */
static ProgressEntry *mine = NULL;

static void
leave(void)
{
	PostriderShared *shared = postrider_shared();

	if (mine == NULL)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	mine->pid = 0;
	LWLockRelease(shared->lock);
	mine = NULL;
}

static void
transaction_ended(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		leave();
}

static void
session_ended(int code, Datum arg)
{
	leave();
}

/* The first free entry, taken; NULL if there is none.  Under the lock. */
static ProgressEntry *
enter(PostriderShared *shared)
{
	for (int i = 0; i < POSTRIDER_MAX_PROGRESS; i++)
	{
		ProgressEntry *entry = &shared->progress[i];

		if (entry->pid != 0)
			continue;
		memset(entry, 0, sizeof(*entry));
		entry->pid = MyProcPid;
		entry->database = MyDatabaseId;
		entry->started_at = GetCurrentTimestamp();
		return entry;
	}
	return NULL;
}

static void
copy_text(char *to, size_t size, text *from)
{
	int			length = pg_mbcliplen(VARDATA_ANY(from), VARSIZE_ANY_EXHDR(from), size - 1);

	memcpy(to, VARDATA_ANY(from), length);
	to[length] = '\0';
}

/* SQL: postrider.report_progress(): without a free entry nothing is shown. */
Datum
postrider_report_progress(PG_FUNCTION_ARGS)
{
	static bool is_registered = false;
	PostriderShared *shared = postrider_shared();
	char		command[sizeof(mine->command)];
	char		target[sizeof(mine->target)];

	if (!is_registered)
	{
		RegisterXactCallback(transaction_ended, NULL);
		before_shmem_exit(session_ended, 0);
		is_registered = true;
	}
	copy_text(command, sizeof(command), PG_GETARG_TEXT_PP(0));
	copy_text(target, sizeof(target), PG_GETARG_TEXT_PP(1));

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (mine == NULL)
		mine = enter(shared);
	if (mine != NULL)
	{
		memcpy(mine->command, command, sizeof(command));
		memcpy(mine->target, target, sizeof(target));
		mine->since = PG_GETARG_TIMESTAMPTZ(2);
		mine->until = PG_GETARG_TIMESTAMPTZ(3);
		mine->reached = PG_GETARG_TIMESTAMPTZ(4);
		mine->messages = PG_GETARG_INT64(5);
		mine->deliveries = PG_GETARG_INT64(6);
	}
	LWLockRelease(shared->lock);
	PG_RETURN_VOID();
}

static float4
share_done(const ProgressEntry *entry)
{
	if (entry->until <= entry->since || entry->reached >= entry->until)
		return 1;
	if (entry->reached <= entry->since)
		return 0;
	return (float4) ((double) (entry->reached - entry->since) /
					 (double) (entry->until - entry->since));
}

/* SQL: postrider.progress_status() */
Datum
postrider_progress_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PostriderShared *shared = postrider_shared();
	ProgressEntry entries[POSTRIDER_MAX_PROGRESS];

	postrider_begin_rows(fcinfo, PROGRESS_COLUMNS);
	if (postrider_bound_tenant() != NULL)
		return (Datum) 0;		/* other sessions may be of other tenants */
	LWLockAcquire(shared->lock, LW_SHARED);
	memcpy(entries, shared->progress, sizeof(entries));
	LWLockRelease(shared->lock);

	for (int i = 0; i < POSTRIDER_MAX_PROGRESS; i++)
	{
		const ProgressEntry *entry = &entries[i];
		Datum		values[PROGRESS_COLUMNS];
		bool		nulls[PROGRESS_COLUMNS] = {false};

		if (entry->pid == 0 || entry->database != MyDatabaseId)
			continue;
		values[0] = Int32GetDatum((int32) entry->pid);
		values[1] = CStringGetTextDatum(entry->command);
		values[2] = CStringGetTextDatum(entry->target);
		values[3] = TimestampTzGetDatum(entry->since);
		values[4] = TimestampTzGetDatum(entry->until);
		values[5] = TimestampTzGetDatum(entry->reached);
		values[6] = Float4GetDatum(share_done(entry));
		values[7] = Int64GetDatum(entry->messages);
		values[8] = Int64GetDatum(entry->deliveries);
		values[9] = TimestampTzGetDatum(entry->started_at);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
