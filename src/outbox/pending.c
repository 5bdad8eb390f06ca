/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  The table of what is owed later.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "outbox/intake.h"
#include "outbox/mapping_reference.h"
#include "outbox/pending.h"
#include "outbox/shard.h"
#include "outbox/stats.h"
#include "policy/priority.h"
#include "util/sql.h"
#include "utils/array.h"
#include "utils/timestamp.h"

/* $1 this shard, $2 number of shards */
#define SHARD_ARGUMENTS .argument_count = 2, .argument_types = {INT4OID, INT4OID}

static SqlStatement recover_leases = {
	.text =
	"update postrider.pending set due_at = now(), reason = 'retry'"
	" where reason = 'in_flight' and endpoint_id % $2 = $1",
	SHARD_ARGUMENTS
};

/* The clock was set back while no worker ran: see clock_was_set() in worker.c. */
static SqlStatement shift_after_stop = {
	.text =
	"with c as (update postrider.dispatch_cursor c set updated_at = now()"
	"  from (select updated_at from postrider.dispatch_cursor where shard = $1) o"
	"  where c.shard = $1 and o.updated_at > now() + interval '2 s'"
	"  returning o.updated_at - now() as step)"
	" update postrider.pending set due_at = due_at - c.step from c"
	" where reason in ('retry', 'overflow') and due_at < 'infinity'"
	" and endpoint_id % $2 = $1",
	SHARD_ARGUMENTS
};

/*
 * Rows are looked up by message_id.  The plans are made while the table is
 * small, and where it grows the other index would be read from end to end:
 * "(...) is true" keeps the planner from it, here and in settle.c.
 */
static SqlStatement release_held = {
	.text =
	"update postrider.pending p"
	" set due_at = case when h.ordered and p.key is not null then 'infinity' else now() end,"
	" reason = case when h.ordered then 'ordered' else 'retry' end"
	" from (select d.message_id, d.endpoint_id, e.ordered from postrider.endpoint e"
	"  cross join lateral"
	"   (select w.message_id, w.endpoint_id from postrider.pending w"
	"    where w.endpoint_id = e.id and w.due_at = 'infinity'"
	"    and (w.reason = 'held' or w.reason = 'ordered' and not e.ordered) offset 0) d"
	"  where e.enabled and e.paused_at is null and e.id % $2 = $1) h"
	" where p.message_id = h.message_id"
	" and (p.endpoint_id = h.endpoint_id) is true",
	SHARD_ARGUMENTS
};

/* Those in flight are in memory, and end from there. */
static SqlStatement cancel_orphans = {
	.text =
	"with gone as (delete from postrider.pending p where not exists"
	" (select from postrider.endpoint e where e.id = p.endpoint_id)"
	" and p.endpoint_id % $2 = $1 and p.reason <> 'in_flight'"
	" returning p.message_id, p.endpoint_id),"
	" ended as (insert into postrider.attempt (message_id, endpoint_id, started_at,"
	"  attempt, outcome, error_code, error)"
	"  select message_id, endpoint_id, now(), 0, 'cancelled',"
	"  'endpoint_deleted', 'the endpoint was deleted' from gone"
	"  returning endpoint_id)"
	" select endpoint_id, count(*) from ended group by endpoint_id",
	SHARD_ARGUMENTS
};

static SqlStatement shift_retries = {
	.text =
	"update postrider.pending set due_at = due_at + $3 * interval '1 microsecond'"
	" where reason in ('retry', 'overflow') and due_at < 'infinity'"
	" and endpoint_id % $2 = $1",
	.argument_count = 3,
	.argument_types = {INT4OID, INT4OID, INT8OID}
};

/*
 * What is urgent comes first.  Rows that a user's transaction has locked are left
 * for the next time.  The scan begins at what the endpoint knows to be the
 * earliest: before that the index may be full of entries of rows that are gone.
 */
static SqlStatement lease_due = {
	.text =
	"with due as materialized"
	" (select p.message_id, p.endpoint_id, e.n"
	"  from unnest($1::int4[], $2::timestamptz[], $3::int4[], $4::int4[])"
	"  with ordinality as e (id, earliest, room, urgent_room, n)"
	"  cross join lateral"
	"   (select * from (select d.message_id, d.endpoint_id from postrider.pending d"
	"     where d.endpoint_id = e.id and d.due_at <= now() and d.priority > 1"
	"     order by d.due_at limit e.urgent_room for update skip locked) u"
	"    union all"
	"    select * from (select d.message_id, d.endpoint_id from postrider.pending d"
	"     where d.endpoint_id = e.id and d.due_at >= e.earliest and d.due_at <= now()"
	"     and (d.priority > 1) is not true"
	"     order by d.due_at limit e.room for update skip locked) o"
	"    limit greatest(e.room, e.urgent_room)) p),"
	" leased as"
	" (update postrider.pending p set due_at = 'infinity', reason = 'in_flight'"
	"  from due where p.message_id = due.message_id"
	"  and (p.endpoint_id = due.endpoint_id) is true"
	"  returning p.*, due.n)"
	" select l.message_id,"
	" case when l.payload is null then m.topic else l.topic end,"
	" case when l.payload is null then m.payload else l.payload end,"
	" case when l.payload is null then m.headers else l.headers end,"
	" case when l.payload is null then m.expires_at else l.expires_at end,"
	" case when l.payload is null then m.traceparent else l.traceparent end,"
	" l.key, l.priority, l.attempts, l.n, l.mapping, l.mapping_version,"
	" case when l.payload is null then m.tenant else l.tenant end,"
	" l.payload is null and m.removed is not null"
	" from leased l left join postrider.message m on m.id = l.message_id"
	" order by l.message_id",
	.argument_count = 4,
	.argument_types = {INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, INT4ARRAYOID}
};

static SqlStatement find_next_due = {
	.text =
	"select e.n, p.due_at from unnest($1::int4[], $2::timestamptz[])"
	" with ordinality as e (id, earliest, n)"
	" cross join lateral (select d.due_at from postrider.pending d"
	" where d.endpoint_id = e.id and d.due_at >= e.earliest"
	" order by d.due_at limit 1) p",
	.argument_count = 2,
	.argument_types = {INT4ARRAYOID, TIMESTAMPTZARRAYOID}
};

static uint64
run_on_shard(SqlStatement *statement)
{
	Datum		values[] = {
		Int32GetDatum(postrider_shard_number()),
		Int32GetDatum(postrider_shard_count())
	};

	return postrider_sql_run(statement, values, NULL, 0);
}

void
postrider_pending_shift(int64 microseconds)
{
	Datum		values[] = {
		Int32GetDatum(postrider_shard_number()),
		Int32GetDatum(postrider_shard_count()),
		Int64GetDatum(microseconds)
	};

	postrider_sql_run(&shift_retries, values, NULL, 0);
}

void
postrider_pending_recover(void)
{
	(void) run_on_shard(&shift_after_stop);
	(void) run_on_shard(&recover_leases);
}

void
postrider_pending_release(void)
{
	(void) run_on_shard(&release_held);
}

void
postrider_pending_cancel_orphans(void)
{
	postrider_stats_count_rows(run_on_shard(&cancel_orphans), OUTCOME_CANCELLED);
}

static MappingReference *
mapping_of(uint64 row)
{
	return postrider_mapping_reference(postrider_sql_text(row, 10, CurrentMemoryContext),
									   postrider_sql_int32(row, 11));
}

static void
take_due_row(uint64 row, PendingRoom *rooms, dlist_head *deliveries)
{
	pg_uuid_t	id = postrider_sql_uuid(row, 0);
	PendingRoom *room = &rooms[postrider_sql_int64(row, 9) - 1];
	MessageRow	source;
	Delivery   *delivery;

	if (postrider_sql_jsonb(row, 2) == NULL)
	{
		ereport(WARNING,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a delivery to endpoint \"%s\" has lost its message",
						room->endpoint->name)));
		return;
	}
	room->loaded++;
	postrider_intake_begin(&source, &id, row, 1, 12);
	source.erased = postrider_sql_bool(row, 13);
	delivery = postrider_delivery_make(&source, room->endpoint, mapping_of(row), deliveries);
	delivery->attempts = postrider_sql_int32(row, 8);
	delivery->has_pending_row = true;
	room->loaded_urgent += delivery->message->priority >= PRIORITY_HIGH;
}

void
postrider_pending_load(PendingRoom *rooms, int count, dlist_head *deliveries)
{
	Datum	   *ids = palloc(sizeof(Datum) * count);
	Datum	   *earliest = palloc(sizeof(Datum) * count);
	Datum	   *sizes = palloc(sizeof(Datum) * count);
	Datum	   *urgent = palloc(sizeof(Datum) * count);
	Datum		values[4];
	uint64		rows;

	for (int i = 0; i < count; i++)
	{
		ids[i] = Int32GetDatum(rooms[i].endpoint->id);
		earliest[i] = TimestampTzGetDatum(rooms[i].endpoint->pending_due_at);
		sizes[i] = Int32GetDatum(rooms[i].room);
		urgent[i] = Int32GetDatum(rooms[i].urgent_room);
		rooms[i].loaded = rooms[i].loaded_urgent = 0;
		rooms[i].next_due = DT_NOEND;
	}
	values[0] = PointerGetDatum(construct_array(ids, count, INT4OID, 4, true,
												TYPALIGN_INT));
	values[1] = PointerGetDatum(construct_array(earliest, count, TIMESTAMPTZOID, 8,
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[2] = PointerGetDatum(construct_array(sizes, count, INT4OID, 4, true,
												TYPALIGN_INT));
	values[3] = PointerGetDatum(construct_array(urgent, count, INT4OID, 4, true,
												TYPALIGN_INT));
	rows = postrider_sql_run(&lease_due, values, NULL, 0);
	for (uint64 row = 0; row < rows; row++)
		take_due_row(row, rooms, deliveries);

	rows = postrider_sql_run(&find_next_due, values, NULL, 0);
	for (uint64 row = 0; row < rows; row++)
	{
		PendingRoom *room = &rooms[postrider_sql_int64(row, 0) - 1];
		bool		isnull;

		room->next_due = DatumGetTimestampTz(postrider_sql_datum(row, 1, &isnull));
	}
}
