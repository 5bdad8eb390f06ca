/*-------------------------------------------------------------------------
 *
 * shard.c
 *	  Which endpoints are this worker's.
 *
 * Endpoint e belongs to shard e.id modulo the number of shards, and each shard
 * has a worker and a cursor of its own.  Every worker reads the whole log and
 * makes deliveries for its own endpoints only, so that workers need not know of
 * each other.
 *
 * When the number of shards changes, an endpoint gets another worker, whose
 * cursor must not be ahead of the one that the endpoint had.  So all new shards
 * start from the oldest of the old cursors, and leave out what has been settled
 * since (reader.c does that after every start).  Cursors are snapshots of one
 * server, and of two of them the one taken later sees all that the other sees;
 * so there is an oldest.  Windows that were being read are read again.
 *
 * The launcher starts no worker of the new number before the last of the old
 * ones has gone.  The first to start makes the cursors; the lock is for
 * others that start at the same time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "outbox/shard.h"
#include "util/sql.h"

static int	shard_number = 0;
static int	shard_count = 1;

static SqlStatement count_foreign_cursors = {
	.text =
	"select count(*) from postrider.dispatch_cursor where shards <> $1",
	.argument_count = 1,
	.argument_types = {INT4OID}
};

static SqlStatement lock_cursors = {
	.text = "lock table postrider.dispatch_cursor in exclusive mode"
};

static SqlStatement spread_oldest_cursor = {
	.text =
	"insert into postrider.dispatch_cursor as c"
	" (shard, shards, database, snapshot, floor_xid, floor_id)"
	" select n, $1, o.database, o.snapshot, o.floor_xid, o.floor_id"
	" from (select * from postrider.dispatch_cursor"
	"  order by pg_snapshot_xmax(snapshot),"
	"  (select count(*) from pg_snapshot_xip(snapshot)) desc limit 1) o,"
	" generate_series(0, $1 - 1) n"
	" on conflict (shard) do update set shards = excluded.shards,"
	" database = excluded.database, snapshot = excluded.snapshot,"
	" floor_xid = excluded.floor_xid, floor_id = excluded.floor_id,"
	" window_snapshot = null, window_floor_xid = null,"
	" window_floor_id = null, position = null, updated_at = now()",
	.argument_count = 1,
	.argument_types = {INT4OID}
};

static SqlStatement delete_other_cursors = {
	.text = "delete from postrider.dispatch_cursor where shards <> $1",
	.argument_count = 1,
	.argument_types = {INT4OID}
};

static bool
has_foreign_cursors(const Datum *values)
{
	postrider_sql_run(&count_foreign_cursors, values, NULL, 1);
	return postrider_sql_int64(0, 0) > 0;
}

void
postrider_shard_take(int number, int count)
{
	Datum		values[] = {Int32GetDatum(count)};

	Assert(number >= 0 && number < count);
	shard_number = number;
	shard_count = count;
	if (!has_foreign_cursors(values))
		return;
	postrider_sql_run(&lock_cursors, NULL, NULL, 0);
	if (!has_foreign_cursors(values))
		return;
	postrider_sql_run(&spread_oldest_cursor, values, NULL, 0);
	postrider_sql_run(&delete_other_cursors, values, NULL, 0);
}

int
postrider_shard_number(void)
{
	return shard_number;
}

int
postrider_shard_count(void)
{
	return shard_count;
}

bool
postrider_shard_owns(int32 endpoint_id)
{
	return endpoint_id % shard_count == shard_number;
}
