/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  How far this worker has come in the log.
 *
 * The row in dispatch_cursor is written about once a second, not with every
 * batch: a hot row rots when an old snapshot keeps its versions alive.  And not
 * for windows without a message: to write it takes a transaction id, by which
 * the next look at the log would see that something has happened, and so on
 * for ever.  A row that lags behind like that only makes the next start look
 * through more transactions without a message.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "outbox/progress.h"
#include "outbox/shard.h"
#include "outbox/stats.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

static LogCursor cursor;
static dlist_head chunks = DLIST_STATIC_INIT(chunks);
static bool unsaved = false;

/* The types xid8 and pg_snapshot go by text, so that no layout is assumed. */
static SqlStatement load_cursor = {
	.text =
	"select snapshot::text, floor_xid::text::int8, floor_id,"
	" window_snapshot::text, window_floor_xid::text::int8, window_floor_id,"
	" position, database = (select oid from pg_database where datname = current_database())"
	" from postrider.dispatch_cursor where shard = $1",
	.argument_count = 1,
	.argument_types = {INT4OID}
};

static SqlStatement save_cursor = {
	.text =
	"insert into postrider.dispatch_cursor as c (shard, shards, database,"
	" snapshot, floor_xid, floor_id, window_snapshot, window_floor_xid,"
	" window_floor_id, position, updated_at)"
	" values ($1, $10, $2, $3::pg_snapshot, $4::text::xid8, $5,"
	" $6::pg_snapshot, $7::text::xid8, $8, $9, now())"
	" on conflict (shard) do update set shards = $10, database = $2,"
	" snapshot = excluded.snapshot, floor_xid = excluded.floor_xid,"
	" floor_id = excluded.floor_id,"
	" window_snapshot = excluded.window_snapshot,"
	" window_floor_xid = excluded.window_floor_xid,"
	" window_floor_id = excluded.window_floor_id,"
	" position = excluded.position, updated_at = excluded.updated_at"
	" returning pg_relation_size('postrider.dispatch_cursor')",
	.argument_count = 10,
	.argument_types = {INT4OID, OIDOID, TEXTOID, INT8OID, UUIDOID, TEXTOID,
	INT8OID, UUIDOID, UUIDOID, INT4OID}
};

/*
 * The database is a copy (CREATE DATABASE ... TEMPLATE) of another one, which
 * goes on delivering what it owes.  So this one owes nothing, and starts with
 * what is emitted from now on.  Nobody was connected while it was copied, so all
 * transactions in the log have ended.
 */
static SqlStatement forget_cursors_of_original = {
	.text =
	"update postrider.dispatch_cursor set database ="
	" (select oid from pg_database where datname = current_database()),"
	" snapshot = pg_current_snapshot(),"
	" floor_xid = pg_snapshot_xmax(pg_current_snapshot()),"
	" floor_id = '00000000-0000-0000-0000-000000000000',"
	" window_snapshot = null, window_floor_xid = null, window_floor_id = null,"
	" position = null"
	" where database <> (select oid from pg_database where datname = current_database())"
};

static SqlStatement forget_pending_of_original = {
	.text = "delete from postrider.pending"
};

void
postrider_log_point_copy(LogPoint *to, const LogPoint *from)
{
	*to = *from;
	to->snapshot = MemoryContextStrdup(TopMemoryContext, from->snapshot);
}

void
postrider_log_point_free(LogPoint *point)
{
	if (point->snapshot)
		pfree(point->snapshot);
	point->snapshot = NULL;
}

void
postrider_log_cursor_copy(LogCursor *to, const LogCursor *from)
{
	*to = *from;
	postrider_log_point_copy(&to->start, &from->start);
	if (from->in_window)
		postrider_log_point_copy(&to->end, &from->end);
}

void
postrider_log_cursor_free(LogCursor *old)
{
	postrider_log_point_free(&old->start);
	if (old->in_window)
		postrider_log_point_free(&old->end);
}

static void
read_point(LogPoint *point, int column)
{
	point->snapshot = postrider_sql_text(0, column, TopMemoryContext);
	point->floor_xid = FullTransactionIdFromU64(postrider_sql_int64(0, column + 1));
	point->floor_id = postrider_sql_uuid(0, column + 2);
}

static bool
load(bool *is_copy)
{
	Datum		values[] = {Int32GetDatum(postrider_shard_number())};

	if (postrider_sql_run(&load_cursor, values, NULL, 1) == 0)
		return false;
	*is_copy = !postrider_sql_bool(0, 7);
	return true;
}

void
postrider_progress_load(void)
{
	bool		is_copy;
	bool		found = load(&is_copy);
	LogLine		line;

	if (found && is_copy)
	{
		/* Nothing is updated if the worker of another shard was faster. */
		if (postrider_sql_run(&forget_cursors_of_original, NULL, NULL, 0) > 0)
			postrider_sql_run(&forget_pending_of_original, NULL, NULL, 0);
		postrider_log_begin(&line, LOG, "database_copied");
		postrider_log_message(&line, "the database is a copy of another one that used postrider; what the original owed when the copy was made is left to it");
		postrider_log_end(&line);
		found = load(&is_copy);
	}
	memset(&cursor, 0, sizeof(cursor));
	if (!found)
	{
		cursor.start.snapshot = MemoryContextStrdup(TopMemoryContext, "3:3:");
		cursor.start.floor_xid = FullTransactionIdFromU64(FirstNormalTransactionId);
		return;
	}
	read_point(&cursor.start, 0);
	read_point(&cursor.end, 3);
	cursor.in_window = cursor.end.snapshot != NULL;
	cursor.position = postrider_sql_uuid(0, 6);
}

const LogCursor *
postrider_progress_cursor(void)
{
	return &cursor;
}

ReadChunk *
postrider_progress_add(const LogCursor *after)
{
	ReadChunk  *chunk = MemoryContextAllocZero(TopMemoryContext, sizeof(ReadChunk));

	postrider_log_cursor_copy(&chunk->after, after);
	dlist_push_tail(&chunks, &chunk->node);
	return chunk;
}

void
postrider_progress_settled(ReadChunk *chunk)
{
	Assert(chunk->outstanding > 0);
	chunk->outstanding--;
}

bool
postrider_progress_advance(void)
{
	while (!dlist_is_empty(&chunks))
	{
		ReadChunk  *chunk = dlist_head_element(ReadChunk, node, &chunks);

		if (chunk->outstanding > 0)
			break;
		dlist_delete(&chunk->node);
		postrider_log_cursor_free(&cursor);
		cursor = chunk->after;
		unsaved = unsaved || !chunk->is_empty;
		if (chunk->topics != NULL)
			postrider_stats_passed(chunk->topics, GetCurrentTimestamp());
		pfree(chunk);
	}
	return unsaved;
}

int
postrider_progress_save(void)
{
	Datum		values[10];
	char		nulls[11] = "          ";

	values[0] = Int32GetDatum(postrider_shard_number());
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	values[2] = CStringGetTextDatum(cursor.start.snapshot);
	values[3] = Int64GetDatum(U64FromFullTransactionId(cursor.start.floor_xid));
	values[4] = UUIDPGetDatum(&cursor.start.floor_id);
	if (cursor.in_window)
	{
		values[5] = CStringGetTextDatum(cursor.end.snapshot);
		values[6] = Int64GetDatum(U64FromFullTransactionId(cursor.end.floor_xid));
		values[7] = UUIDPGetDatum(&cursor.end.floor_id);
		values[8] = UUIDPGetDatum(&cursor.position);
	}
	else
		memset(nulls + 5, 'n', 4);
	values[9] = Int32GetDatum(postrider_shard_count());
	postrider_sql_run(&save_cursor, values, nulls, 0);
	return (int) (postrider_sql_int64(0, 0) / BLCKSZ);
}

void
postrider_progress_saved(void)
{
	unsaved = false;
}
