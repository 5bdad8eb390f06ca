/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Reading new messages from the log: a cursor of snapshots.
 *
 * A cursor over ids would lose messages that commit late: while a transaction
 * is open, others with later ids commit and the cursor moves past it.  So
 * the cursor is a snapshot.  With P the snapshot up to which the log has been
 * read, and S a new one, the new messages are exactly those of transactions
 * that are visible in S and not in P: the window (P, S).  These are the
 * transactions from xmax(P) on, and the ones that were in progress in P.
 *
 * Messages are read in the order of their ids, by the primary key.  To know
 * where to start, a point of the log has a floor besides its snapshot: the
 * id clock is read first, then the next transaction id (floor_xid), then the
 * snapshot is taken.  A transaction takes its id before its first message id
 * (emit.c), so all messages of transactions from floor_xid on lie above the
 * clock's reading, floor_id.  What remains are the stragglers: transactions
 * in progress in P, and those from xmax(P) to floor_xid (a snapshot's xmax is the
 * latest completed transaction + 1, so some above it may have been running).
 * They are found by the index on xid, which costs one probe where there is
 * nothing, however long a transaction stays open.  Both streams are merged by
 * id.
 *
 * A large window is read in chunks, each in a short transaction of its own
 * that sees more than S; pg_visible_in_snapshot(xid, S) leaves that for the
 * next window.
 *
 * After a start, what is read again, up to the end of the first window that was
 * not yet open before, may have been sent in part:
 * deliveries that have a final attempt or a row in pending are left out; a
 * message that has ended the worker too often (suspect.c) is not even looked at.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "outbox/config.h"
#include "outbox/deferred.h"
#include "outbox/intake.h"
#include "outbox/progress.h"
#include "outbox/reader.h"
#include "outbox/shard.h"
#include "outbox/stats.h"
#include "policy/priority.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "util/compat.h"
#include "util/id.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

/* From so many messages of stragglers on, they are read by the primary key. */
#define MANY_STRAGGLERS 5000

#define MESSAGE_COLUMNS \
	" m.id, m.topic, m.payload, m.headers, m.expires_at, m.traceparent, m.key, m.priority," \
	" m.endpoint, m.tenant, m.deliver_at, m.xid::text::int8, m.removed = 'erased'"

/* $1 position, $2 snapshot S, $3 first xid, $4 floor id */
#define MAIN_STREAM \
	"select" MESSAGE_COLUMNS " from postrider.message m" \
	" where m.id > greatest($1, $4) and m.xid >= $3" \
	" and pg_visible_in_snapshot(m.xid, $2)" \
	" order by m.id limit 500"

/*
 * $5 xids in progress in P that have ended since, $6 and $7 bounds of the other stragglers.  Where
 * these look for ids, they say "is true", so that the planner takes the index on
 * xid and does not walk through the log by the primary key.
 */
#define IS_STRAGGLER \
	" (m.xid = any ($5)" \
	" or (m.xid >= $6 and m.xid < $7))" \
	" and pg_visible_in_snapshot(m.xid, $2)"

#define WINDOW_ARGUMENTS 8
#define WINDOW_TYPES \
	{UUIDOID, PG_SNAPSHOTOID, XID8OID, UUIDOID, XID8ARRAYOID, XID8OID, XID8OID, UUIDOID}

static SqlStatement count_stragglers = {
	.text =
	"select count(*) from (select from postrider.message m where" IS_STRAGGLER
	" and (m.id > $1) is true and $3 is not null and $4 is not null and $8 is not null limit 5001) s",
	.argument_count = WINDOW_ARGUMENTS,
	.argument_types = WINDOW_TYPES
};

static SqlStatement first_straggler = {
	.text =
	"with s as materialized (select m.id from postrider.message m where" IS_STRAGGLER
	" and (m.id > $1) is true and $3 is not null and $4 is not null and $8 is not null)"
	" select id from s order by id limit 1",
	.argument_count = WINDOW_ARGUMENTS,
	.argument_types = WINDOW_TYPES
};

static SqlStatement read_main = {
	.text = MAIN_STREAM,
	.argument_count = 4,
	.argument_types = {UUIDOID, PG_SNAPSHOTOID, XID8OID, UUIDOID}
};

static SqlStatement read_with_few_stragglers = {
	.text =
	"with s as materialized"
	" (select" MESSAGE_COLUMNS " from postrider.message m where" IS_STRAGGLER
	" and (m.id > $1) is true and $8 is not null)"
	" (" MAIN_STREAM ") union all (select * from s order by 1 limit 500)"
	" order by 1 limit 500",
	.argument_count = WINDOW_ARGUMENTS,
	.argument_types = WINDOW_TYPES
};

/*
 * $8 id before the first message of either kind.  One scan for both, because two
 * would each walk over the messages of the other, and again for every chunk.
 */
static SqlStatement read_with_many_stragglers = {
	.text =
	"select" MESSAGE_COLUMNS " from postrider.message m"
	" where m.id > greatest($1, $8)"
	" and (m.id > $4 and m.xid >= $3"
	" or m.xid = any ($5)"
	" or m.xid >= $6 and m.xid < $7)"
	" and pg_visible_in_snapshot(m.xid, $2)"
	" order by m.id limit 500",
	.argument_count = WINDOW_ARGUMENTS,
	.argument_types = WINDOW_TYPES
};

static SqlStatement find_settled = {
	.text =
	"select a.message_id, a.endpoint_id, coalesce(a.error_code = 'crash', false)"
	" from postrider.attempt a"
	" where a.message_id = any ($1) and a.outcome <> 'retry'"
	" union all"
	" select p.message_id, p.endpoint_id, false from postrider.pending p"
	" where p.message_id = any ($1)",
	.argument_count = 1,
	.argument_types = {UUIDARRAYOID}
};

typedef enum Stragglers
{
	STRAGGLERS_UNKNOWN,
	STRAGGLERS_NONE,
	STRAGGLERS_FEW,
	STRAGGLERS_MANY
} Stragglers;

/* Where the reader stands; the cursor of progress.c follows behind. */
static LogCursor at;
static Stragglers stragglers;
static pg_uuid_t before_first;
static bool recovering;
static bool opened;				/* this window, by this process */

/* What the last reading led to, in force once it is committed. */
static bool window_ended;
static pg_uuid_t next_position;

/* Stands for all endpoints of a message that was given up for crashing. */
#define ALL_ENDPOINTS 0

/* A delivery that was settled before the start. */
typedef struct SettledKey
{
	pg_uuid_t	message_id;
	int32		endpoint_id;
} SettledKey;

void
postrider_reader_start(void)
{
	postrider_log_cursor_copy(&at, postrider_progress_cursor());
	stragglers = STRAGGLERS_UNKNOWN;
	recovering = true;
	opened = false;
}

bool
postrider_reader_in_window(void)
{
	return at.in_window;
}

void
postrider_reader_open_window(void)
{
	LogPoint	end;
	char	   *snapshot;

	postrider_id_current_floor(&end.floor_id);
	pg_memory_barrier();
	end.floor_xid = ReadNextFullTransactionId();
	PushActiveSnapshot(GetTransactionSnapshot());
	snapshot = OidOutputFunctionCall(F_PG_SNAPSHOT_OUT,
									 OidFunctionCall0(F_PG_CURRENT_SNAPSHOT));
	PopActiveSnapshot();
	end.snapshot = MemoryContextStrdup(TopMemoryContext, snapshot);
	at.end = end;
	at.in_window = true;
	opened = true;
	memset(&at.position, 0, sizeof(at.position));
	stragglers = STRAGGLERS_UNKNOWN;
}

/* The parts of a snapshot, from "xmin:xmax:xip,xip,...". */
static void
parse_snapshot(const char *snapshot, uint64 *xmax, const char **in_progress)
{
	const char *colon = strchr(snapshot, ':');

	*xmax = strtou64(colon + 1, NULL, 10);
	*in_progress = strchr(colon + 1, ':') + 1;
}

/*
 * The transactions that were in progress in P and are not any more in S, as an
 * array literal.  The others are left out for the sake of one that writes many
 * messages: each window would look at all of them and find none visible.
 */
static char *
ended_transactions(void)
{
	StringInfoData result;
	uint64		xmax;
	const char *item;
	const char *still;

	parse_snapshot(at.start.snapshot, &xmax, &item);
	parse_snapshot(at.end.snapshot, &xmax, &still);
	initStringInfo(&result);
	appendStringInfoChar(&result, '{');
	while (*item)
	{
		char	   *end;
		uint64		xid = strtou64(item, &end, 10);

		/* Both lists ascend. */
		while (*still && strtou64(still, NULL, 10) < xid)
		{
			still += strcspn(still, ",");
			still += *still == ',';
		}
		if (*still == '\0' || strtou64(still, NULL, 10) != xid)
			appendStringInfo(&result, "%s" UINT64_FORMAT, result.len > 1 ? "," : "", xid);
		item = *end == ',' ? end + 1 : end;
	}
	appendStringInfoChar(&result, '}');
	return result.data;
}

/* Arguments of the window's statements. */
static void
window_arguments(Datum *values)
{
	uint64		xmax;
	uint64		floor_xid = U64FromFullTransactionId(at.start.floor_xid);
	const char *in_progress;

	parse_snapshot(at.start.snapshot, &xmax, &in_progress);
	values[0] = UUIDPGetDatum(&at.position);
	values[1] = OidInputFunctionCall(F_PG_SNAPSHOT_IN, at.end.snapshot,
									 PG_SNAPSHOTOID, -1);
	values[2] = UInt64GetDatum(Max(xmax, floor_xid));
	values[3] = UUIDPGetDatum(&at.start.floor_id);
	values[4] = OidInputFunctionCall(F_ARRAY_IN, ended_transactions(), XID8OID, -1);
	values[5] = UInt64GetDatum(xmax);
	values[6] = values[2];
	values[7] = UUIDPGetDatum(&before_first);
}

/* Finds out, once per window, how many messages of stragglers there are. */
static void
look_for_stragglers(const Datum *values)
{
	int64		count;
	uint64		xmax;
	const char *in_progress;

	/* All transactions before floor_xid had ended. */
	parse_snapshot(at.start.snapshot, &xmax, &in_progress);
	if (strcmp(ended_transactions(), "{}") == 0 && xmax >= U64FromFullTransactionId(at.start.floor_xid))
	{
		stragglers = STRAGGLERS_NONE;
		return;
	}
	postrider_sql_run(&count_stragglers, values, NULL, 1);
	count = postrider_sql_int64(0, 0);
	stragglers = count == 0 ? STRAGGLERS_NONE :
		count <= MANY_STRAGGLERS ? STRAGGLERS_FEW : STRAGGLERS_MANY;
	if (stragglers == STRAGGLERS_MANY)
	{
		postrider_sql_run(&first_straggler, values, NULL, 1);
		before_first = postrider_sql_uuid(0, 0);
		for (int i = UUID_LEN - 1; i >= 0 && before_first.data[i]-- == 0; i--)
			 /* borrow */ ;
		if (postrider_id_compare(&at.start.floor_id, &before_first) < 0)
			before_first = at.start.floor_id;
	}
}

/*
 * Nothing may leave for a transaction that a crash could undo: with
 * synchronous_commit off, its commit record may not be on disk yet.  The
 * commit log knows up to where WAL must be flushed for it.
 */
static void
flush_commits(uint64 rows)
{
	XLogRecPtr	lsn = InvalidXLogRecPtr;
	uint64		last = 0;

	LWLockAcquire(XactTruncationLock, LW_SHARED);
	for (uint64 row = 0; row < rows; row++)
	{
		uint64		full = (uint64) postrider_sql_int64(row, 11);
		TransactionId xid = (TransactionId) full;

		if (full == last)
			continue;
		last = full;
		if (TransactionIdIsNormal(xid) &&
			!TransactionIdPrecedes(xid, PostriderOldestClogXid()))
			lsn = Max(lsn, TransactionIdGetCommitLSN(xid));
	}
	LWLockRelease(XactTruncationLock);
	if (!XLogRecPtrIsInvalid(lsn))
		XLogFlush(lsn);
}

/* Deliveries of these messages that were settled before the start. */
static HTAB *
load_settled(const pg_uuid_t *ids, uint64 count)
{
	HASHCTL		control = {
		.keysize = sizeof(SettledKey),
		.entrysize = sizeof(SettledKey),
		.hcxt = CurrentMemoryContext
	};
	HTAB	   *settled = hash_create("postrider settled", 1024, &control,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Datum	   *elements = palloc(sizeof(Datum) * count);
	Datum		values[1];
	uint64		rows;

	for (uint64 i = 0; i < count; i++)
		elements[i] = UUIDPGetDatum(&ids[i]);
	values[0] = PointerGetDatum(construct_array(elements, count, UUIDOID,
												UUID_LEN, false, TYPALIGN_CHAR));
	rows = postrider_sql_run(&find_settled, values, NULL, 0);
	for (uint64 row = 0; row < rows; row++)
	{
		SettledKey	key = {0};

		key.message_id = postrider_sql_uuid(row, 0);
		key.endpoint_id = postrider_sql_int32(row, 1);
		(void) hash_search(settled, &key, HASH_ENTER, NULL);
		if (!postrider_sql_bool(row, 2) || !postrider_shard_owns(key.endpoint_id))
			continue;
		key.endpoint_id = ALL_ENDPOINTS;
		(void) hash_search(settled, &key, HASH_ENTER, NULL);
	}
	return settled;
}

static bool
is_settled(HTAB *settled, const pg_uuid_t *id, int32 endpoint_id)
{
	SettledKey	key = {0};

	if (settled == NULL)
		return false;
	key.message_id = *id;
	key.endpoint_id = endpoint_id;
	return hash_search(settled, &key, HASH_FIND, NULL) != NULL;
}

/*
 * What comes for this endpoint is deferred before it costs anything more.  If
 * its lane overflows, it is spilled from there, a little at a time.
 */
static bool
is_lagging(const Endpoint *endpoint)
{
	return endpoint->deferred.count > 0 ||
		(endpoint->enabled && endpoint->overflowing);
}

static void
log_endpoint_gone(const pg_uuid_t *id, const char *endpoint)
{
	LogLine		line;

	postrider_log_begin(&line, LOG, "message_without_endpoint");
	postrider_log_text(&line, "message_id", postrider_uuid_text(id));
	postrider_log_text(&line, "endpoint", endpoint);
	postrider_log_message(&line, "the message is not sent: the endpoint has been deleted");
	postrider_log_end(&line);
}

/* Makes the deliveries of one row; returns the bytes that they take. */
static Size
take_row(uint64 row, HTAB *settled, ReadChunk *chunk, dlist_head *deliveries)
{
	pg_uuid_t	id = postrider_sql_uuid(row, 0);
	char	   *topic;
	char	   *endpoint;
	char	   *tenant;
	Jsonb	   *payload;
	MessageRow	source;
	RouteTarget *targets;
	int			count;
	bool		isnull;
	TimestampTz deliver_at;
	bool		urgent;

	if (is_settled(settled, &id, ALL_ENDPOINTS))
		return 0;
	topic = postrider_sql_text(row, 1, CurrentMemoryContext);
	endpoint = postrider_sql_text(row, 8, CurrentMemoryContext);
	tenant = postrider_sql_text(row, 9, CurrentMemoryContext);
	payload = postrider_sql_jsonb(row, 2);
	if (postrider_shard_number() == 0)
		postrider_stats_read(&chunk->topics, topic, payload ? VARSIZE_ANY(payload) : 0);
	count = postrider_config_route(topic, endpoint, tenant, &id, payload, &targets);
	if (count == 0 && endpoint != NULL && postrider_shard_number() == 0 &&
		!postrider_config_is_endpoint(endpoint))
		log_endpoint_gone(&id, endpoint);
	deliver_at = DatumGetTimestampTz(postrider_sql_datum(row, 10, &isnull));
	postrider_intake_begin(&source, &id, row, 1, 9);
	source.erased = postrider_sql_bool(row, 12);
	urgent = postrider_intake_priority(row, 7) >= PRIORITY_HIGH;
	for (int i = 0; i < count; i++)
	{
		Endpoint   *target = targets[i].endpoint;
		Delivery   *delivery;
		bool		scheduled;

		if (is_settled(settled, &id, target->id))
			continue;
		scheduled = !isnull && deliver_at > GetCurrentTimestamp();
		chunk->outstanding++;
		if (!scheduled && is_lagging(target) && (!urgent || target->policy.ordered) &&
			postrider_deferred_add(target, &id, targets[i].mapping, chunk))
			continue;
		delivery = postrider_delivery_make(&source, target, targets[i].mapping,
										   deliveries);
		delivery->chunk = chunk;
		if (scheduled)
		{
			delivery->settle = SETTLE_PARK;
			delivery->park_reason = PENDING_SCHEDULED;
			delivery->park_until = deliver_at;
		}
		else
			delivery->settle = SETTLE_ATTEMPT;
	}
	return source.bytes;
}

/* Reads rows from where the reader stands. */
static uint64
run_window(int limit)
{
	Datum		values[WINDOW_ARGUMENTS];
	SqlStatement *statement = &read_main;

	window_arguments(values);
	if (stragglers == STRAGGLERS_UNKNOWN)
		look_for_stragglers(values);
	if (stragglers == STRAGGLERS_FEW)
		statement = &read_with_few_stragglers;
	else if (stragglers == STRAGGLERS_MANY)
		statement = &read_with_many_stragglers;
	return postrider_sql_run(statement, values, NULL, limit);
}

bool
postrider_reader_peek(pg_uuid_t *id)
{
	if (run_window(1) == 0)
		return false;
	*id = postrider_sql_uuid(0, 0);
	return true;
}

/* The cursor behind what is read up to "position", or behind the window. */
static void
cursor_after(LogCursor *after, bool ended, const pg_uuid_t *position)
{
	*after = at;
	if (ended)
	{
		after->start = at.end;
		after->in_window = false;
	}
	else
		after->position = *position;
}

int
postrider_reader_read(dlist_head *deliveries, int limit)
{
	LogCursor	after;
	ReadChunk  *chunk;
	HTAB	   *settled = NULL;
	SPITupleTable *rows;
	uint64		count;
	uint64		taken = 0;
	Size		bytes = 0;

	count = run_window(limit);
	rows = SPI_tuptable;
	flush_commits(count);
	next_position = at.position;

	if (recovering && count > 0)
	{
		pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * count);

		for (uint64 row = 0; row < count; row++)
			ids[row] = postrider_sql_uuid(row, 0);
		settled = load_settled(ids, count);
		SPI_tuptable = rows;
	}

	cursor_after(&after, false, &next_position);
	chunk = postrider_progress_add(&after);
	while (taken < count && bytes < INTAKE_MAX_BYTES)
	{
		next_position = postrider_sql_uuid(taken, 0);
		bytes += take_row(taken, settled, chunk, deliveries);
		taken++;
	}
	chunk->is_empty = taken == 0;
	window_ended = count < (uint64) limit && taken == count;

	/* Now that it is known where the chunk ends, say so. */
	postrider_log_cursor_free(&chunk->after);
	cursor_after(&after, window_ended, &next_position);
	postrider_log_cursor_copy(&chunk->after, &after);
	return (int) taken;
}

void
postrider_reader_committed(void)
{
	if (!window_ended)
	{
		at.position = next_position;
		return;
	}
	postrider_log_point_free(&at.start);
	at.start = at.end;
	at.end.snapshot = NULL;
	at.in_window = false;
	if (opened)
		recovering = false;
}

/*
 * COMMIT PREPARED and replication run no callback of ours.  They show in
 * shared memory: the next transaction id has moved on, or a transaction that
 * was in progress has ended.
 */
bool
postrider_reader_may_have_missed(void)
{
	uint64		xmax;
	const char *item;

	if (at.in_window)
		return true;
	if (!FullTransactionIdEquals(at.start.floor_xid, ReadNextFullTransactionId()))
		return true;
	parse_snapshot(at.start.snapshot, &xmax, &item);
	for (uint64 xid = xmax; xid < U64FromFullTransactionId(at.start.floor_xid); xid++)
		if (!TransactionIdIsInProgress((TransactionId) xid))
			return true;
	while (*item)
	{
		char	   *end;
		uint64		xid = strtou64(item, &end, 10);

		if (!TransactionIdIsInProgress((TransactionId) xid))
			return true;
		item = *end == ',' ? end + 1 : end;
	}
	return false;
}
