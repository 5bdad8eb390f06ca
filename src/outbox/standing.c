/*-------------------------------------------------------------------------
 *
 * standing.c
 *	  SQL: what the tables say of one endpoint, for views of all endpoints.
 *
 * Views ask once for each endpoint, and answer people and monitoring while the
 * tables may hold anything.  Subqueries would do, but what they are expected to cost
 * is so much more than what they do that the server compiles the query (JIT) for
 * longer than it runs; and where statistics are old they read whole tables.  So the rows
 * are read here, by the index, with the snapshot of the query: at most a thousand
 * of what waits, and the minutes of an hour.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "outbox/access.h"
#include "outbox/latest_row.h"
#include "outbox/version.h"
#include "util/histogram.h"
#include "util/id.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* As many as are counted; one more means that there are more. */
#define MAX_WAITING 1001

#define WAITING_COLUMNS 4
#define WINDOWS 3
#define PERCENTILES 3
#define WINDOW_COLUMNS (WINDOWS + WINDOWS * PERCENTILES)

PG_FUNCTION_INFO_V1(postrider_endpoint_waiting);
PG_FUNCTION_INFO_V1(postrider_endpoint_windows);

/* The rows of a table that belong to an endpoint, in the order of an index. */
#define MAX_COLUMNS 6

typedef struct EndpointScan
{
	Relation	table;
	Relation	index;
	SysScanDesc scan;
	int			columns[MAX_COLUMNS];	/* of those that are wanted, from 0 */
	Datum	   *values;			/* of a row, all columns */
	bool	   *nulls;
} EndpointScan;

static int
column_of(Relation table, const char *name)
{
	TupleDesc	desc = RelationGetDescr(table);

	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped &&
			strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return i;
	}
	elog(ERROR, "table \"%s\" lacks column \"%s\"", RelationGetRelationName(table), name);
}

/*
 * Begins with the rows of which the column "endpoint_column" is the endpoint and, if there
 * is a "since_column", that is not before this time.  "wanted" has the columns that get() is
 * asked for, by their place in it, and ends with NULL.
 */
static void
begin_scan(EndpointScan *scan, const char *table, const char *index, const char *endpoint_column,
		   int32 endpoint_id, const char *since_column, TimestampTz since,
		   const char *const *wanted)
{
	ScanKeyData keys[2];
	int			natts;

	scan->table = table_open(postrider_relation(table), AccessShareLock);
	scan->index = index_open(postrider_relation(index), AccessShareLock);
	natts = RelationGetDescr(scan->table)->natts;
	scan->values = palloc(sizeof(Datum) * natts);
	scan->nulls = palloc(sizeof(bool) * natts);
	for (int i = 0; wanted[i] != NULL; i++)
		scan->columns[i] = column_of(scan->table, wanted[i]);
	ScanKeyInit(&keys[0], column_of(scan->table, endpoint_column) + 1, BTEqualStrategyNumber,
				F_INT4EQ, Int32GetDatum(endpoint_id));
	if (since_column)
		ScanKeyInit(&keys[1], column_of(scan->table, since_column) + 1,
					BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE, TimestampTzGetDatum(since));
	scan->scan = systable_beginscan_ordered(scan->table, scan->index, GetActiveSnapshot(),
											since_column ? 2 : 1, keys);
}

static bool
next_row(EndpointScan *scan)
{
	HeapTuple	row = systable_getnext_ordered(scan->scan, ForwardScanDirection);

	if (!HeapTupleIsValid(row))
		return false;
	heap_deform_tuple(row, RelationGetDescr(scan->table), scan->values, scan->nulls);
	return true;
}

/* A column of the row that is wanted, and is not NULL. */
static Datum
get(const EndpointScan *scan, int wanted)
{
	Assert(!scan->nulls[scan->columns[wanted]]);
	return scan->values[scan->columns[wanted]];
}

static void
end_scan(EndpointScan *scan)
{
	systable_endscan_ordered(scan->scan);
	index_close(scan->index, AccessShareLock);
	table_close(scan->table, AccessShareLock);
}

/* Is the endpoint there, and may the session see it? */
static bool
is_visible(int32 endpoint_id)
{
	static const char *const wanted[] = {"tenant", NULL};
	EndpointScan scan;
	bool		result = false;

	if (postrider_bound_tenant() == NULL)
		return true;
	begin_scan(&scan, "endpoint", "endpoint_pkey", "id", endpoint_id, NULL, 0, wanted);
	if (next_row(&scan))
		result = postrider_sees_tenant(scan.nulls[scan.columns[0]] ? NULL :
									   TextDatumGetCString(get(&scan, 0)));
	end_scan(&scan);
	return result;
}

static Datum
make_row(FunctionCallInfo fcinfo, int column_count, Datum *values, bool *nulls)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (desc->natts != column_count)
	{
		postrider_require_versions();
		elog(ERROR, "the SQL function does not have %d columns", column_count);
	}
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/*
 * What waits
 */

typedef struct Waiting
{
	int64		count;
	TimestampTz next_due_at;	/* these: DT_NOEND if there is none */
	TimestampTz oldest_at;
	TimestampTz overdue_since;
} Waiting;

/*
 * Since when a delivery waits: since its message was emitted; but what was to be sent
 * later, or again, since then.  What is due: postrider.overdue_since() has the same.
 */
static void
add_waiting(Waiting *waiting, const char *reason, TimestampTz emitted_at, TimestampTz due_at,
			TimestampTz now)
{
	bool		is_later = strcmp(reason, "scheduled") == 0 || strcmp(reason, "replay") == 0;
	TimestampTz began_at = is_later ? due_at : emitted_at;

	waiting->count++;
	if (!TIMESTAMP_NOT_FINITE(due_at))
		waiting->next_due_at = Min(waiting->next_due_at, due_at);
	if (began_at <= now)
		waiting->oldest_at = Min(waiting->oldest_at, began_at);
	if (due_at <= now)
		waiting->overdue_since = Min(waiting->overdue_since,
									 strcmp(reason, "retry") == 0 ? due_at : began_at);
}

static void
read_waiting(Waiting *waiting, int32 endpoint_id)
{
	static const char *const wanted[] = {"reason", "message_id", "due_at", NULL};
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	EndpointScan scan;

	begin_scan(&scan, "pending", "pending_endpoint_id_due_at_idx", "endpoint_id", endpoint_id,
			   NULL, 0, wanted);
	while (waiting->count < MAX_WAITING && next_row(&scan))
	{
		char	   *reason = TextDatumGetCString(get(&scan, 0));

		add_waiting(waiting, reason, postrider_id_timestamp(DatumGetUUIDP(get(&scan, 1))),
					DatumGetTimestampTz(get(&scan, 2)), now);
		pfree(reason);
	}
	end_scan(&scan);
}

/*
 * SQL: postrider.endpoint_waiting(endpoint_id): (waiting, oldest_waiting_at, overdue_since,
 * next_due_at), of the thousand that are due first.
 */
Datum
postrider_endpoint_waiting(PG_FUNCTION_ARGS)
{
	int32		endpoint_id = PG_GETARG_INT32(0);
	Waiting		waiting = {0, DT_NOEND, DT_NOEND, DT_NOEND};
	Datum		values[WAITING_COLUMNS];
	bool		nulls[WAITING_COLUMNS] = {false};

	if (is_visible(endpoint_id))
		read_waiting(&waiting, endpoint_id);
	values[0] = Int64GetDatum(waiting.count);
	values[1] = TimestampTzGetDatum(waiting.oldest_at);
	nulls[1] = waiting.oldest_at == DT_NOEND;
	values[2] = TimestampTzGetDatum(waiting.overdue_since);
	nulls[2] = waiting.overdue_since == DT_NOEND;
	values[3] = TimestampTzGetDatum(waiting.next_due_at);
	nulls[3] = waiting.next_due_at == DT_NOEND;
	return make_row(fcinfo, WAITING_COLUMNS, values, nulls);
}

/*
 * How attempts went
 */

typedef struct Window
{
	TimestampTz since;
	int64		delivered;
	int64		ended;
	int64		counts[HISTOGRAM_BUCKETS];
	float4		longest_ms;
} Window;

static void
add_minute(Window *windows, TimestampTz minute, int64 delivered, int64 ended, Datum counts,
		   float4 longest_ms)
{
	const int64 *added = postrider_histogram_numbers(DatumGetArrayTypeP(counts));

	for (int i = 0; i < WINDOWS; i++)
	{
		Window	   *window = &windows[i];

		if (minute < window->since)
			continue;
		window->delivered += delivered;
		window->ended += ended;
		for (int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
			window->counts[bucket] += added[bucket];
		window->longest_ms = Max(window->longest_ms, longest_ms);
	}
}

static void
read_windows(Window *windows, int32 endpoint_id)
{
	static const char *const wanted[] = {"minute", "delivered", "retried", "dead",
	"duration_counts", "duration_max_ms", NULL};
	EndpointScan scan;

	begin_scan(&scan, "delivery_stats", "delivery_stats_pkey", "endpoint_id", endpoint_id,
			   "minute", windows[WINDOWS - 1].since, wanted);
	while (next_row(&scan))
	{
		int64		delivered = DatumGetInt64(get(&scan, 1));

		add_minute(windows, DatumGetTimestampTz(get(&scan, 0)), delivered,
				   delivered + DatumGetInt64(get(&scan, 2)) + DatumGetInt64(get(&scan, 3)),
				   get(&scan, 4), DatumGetFloat4(get(&scan, 5)));
	}
	end_scan(&scan);
}

static void
put_windows(const Window *windows, Datum *values, bool *nulls)
{
	const double shares[PERCENTILES] = {0.50, 0.95, 0.99};
	int			column = 0;

	for (int i = 0; i < WINDOWS; i++)
	{
		nulls[column] = windows[i].ended == 0;
		values[column++] = Float8GetDatum((double) windows[i].delivered /
										  Max(windows[i].ended, 1));
	}
	for (int i = 0; i < WINDOWS * PERCENTILES; i++)
	{
		const Window *window = &windows[i / PERCENTILES];
		float4		time_ms = 0;

		nulls[column] = !postrider_histogram_percentile(window->counts, shares[i % PERCENTILES],
														window->longest_ms, &time_ms);
		values[column++] = Float4GetDatum(time_ms);
	}
	Assert(column == WINDOW_COLUMNS);
}

/*
 * SQL: postrider.endpoint_windows(endpoint_id, and of what is not written yet minute, delivered,
 * ended, duration_counts, duration_max_ms): shares and percentiles of the last 1, 5 and 60
 * minutes.
 */
Datum
postrider_endpoint_windows(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	TimestampTz minute = now - now % USECS_PER_MINUTE;
	Window		windows[WINDOWS] = {
		{.since = minute - USECS_PER_MINUTE},
		{.since = minute - 5 * USECS_PER_MINUTE},
		{.since = minute - 60 * USECS_PER_MINUTE}
	};
	Datum		values[WINDOW_COLUMNS];
	bool		nulls[WINDOW_COLUMNS] = {false};

	if (!PG_ARGISNULL(0) && is_visible(PG_GETARG_INT32(0)))
	{
		read_windows(windows, PG_GETARG_INT32(0));
		if (!PG_ARGISNULL(1))
			add_minute(windows, PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_INT64(2), PG_GETARG_INT64(3),
					   PG_GETARG_DATUM(4), PG_GETARG_FLOAT4(5));
	}
	put_windows(windows, values, nulls);
	return make_row(fcinfo, WINDOW_COLUMNS, values, nulls);
}
