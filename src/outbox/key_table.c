/*-------------------------------------------------------------------------
 *
 * key_table.c
 *	  The order of messages of one key in the table pending; see key_table.h.
 *
 * enable_sort and the like are off in a worker, so that all of this goes by the
 * indexes on (endpoint_id, key, message_id) of pending and dead_letter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "outbox/key_table.h"
#include "util/sql.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Is w, a row of pending, one that counts for the order? */
#define COUNTS(w) "(" w ".reason <> 'scheduled' or " w ".due_at <= now())"

/*
 * From keys k (n, endpoint_id, key, blocks): finds the heads, makes those due
 * that wait for nothing but their turn, and returns k.n, whether it was made due,
 * and whether anything is there.
 */
#define PROMOTE \
	" heads as materialized (select k.n, k.endpoint_id, h.message_id, h.reason, h.due_at," \
	"  k.blocks and exists (select from postrider.dead_letter l" \
	"   where l.endpoint_id = k.endpoint_id and l.key = k.key and l.reason = 'dead'" \
	"   and (h.message_id is null or l.message_id < h.message_id)) as blocked" \
	"  from k left join lateral (select w.message_id, w.reason, w.due_at" \
	"   from postrider.pending w" \
	"   where w.endpoint_id = k.endpoint_id and w.key = k.key and " COUNTS("w") \
	"   order by w.message_id limit 1) h on true)," \
	" promoted as (update postrider.pending p set due_at = now() from heads h" \
	"  where p.message_id = h.message_id and (p.endpoint_id = h.endpoint_id) is true" \
	"  and h.reason = 'ordered' and h.due_at = 'infinity' and not h.blocked" \
	"  returning h.n)" \
	" select h.n, exists (select from promoted p where p.n = h.n)," \
	" h.message_id is not null or h.blocked from heads h"

static SqlStatement promote = {
	.text =
	"with k as materialized (select * from unnest($1::int4[], $2::text[], $3::bool[])"
	" with ordinality as k (endpoint_id, key, blocks, n))," PROMOTE,
	.argument_count = 3,
	.argument_types = {INT4ARRAYOID, TEXTARRAYOID, BOOLARRAYOID}
};

/* The keys of endpoint $1 that have rows, one after the other by the index. */
#define KEYS_OF_ENDPOINT \
	"with recursive keys (key) as (" \
	" (select w.key from postrider.pending w" \
	"  where w.endpoint_id = $1 and w.key is not null order by w.key limit 1)" \
	" union all" \
	" select (select w.key from postrider.pending w" \
	"  where w.endpoint_id = $1 and w.key > k.key order by w.key limit 1)" \
	" from keys k where k.key is not null)"

static SqlStatement promote_all = {
	.text = KEYS_OF_ENDPOINT
	", k as materialized (select 1::int8 as n, $1 as endpoint_id, key, $2 as blocks"
	" from keys where key is not null)," PROMOTE,
	.argument_count = 2,
	.argument_types = {INT4OID, BOOLOID}
};

static SqlStatement list_keys = {
	.text = KEYS_OF_ENDPOINT
	" select key from (select key from keys where key is not null"
	" union all select d.key from postrider.dead_letter d"
	" where $2 and d.endpoint_id = $1 and d.key is not null and d.reason = 'dead') k limit $3",
	.argument_count = 3,
	.argument_types = {INT4OID, BOOLOID, INT8OID}
};

static SqlStatement demote = {
	.text =
	"with late as materialized"
	" (select d.message_id, d.endpoint_id, e.n"
	"  from unnest($1::int4[], $2::bool[], $3::timestamptz[])"
	"   with ordinality as e (id, blocks, earliest, n)"
	"  cross join lateral"
	"   (select w.message_id, w.endpoint_id from postrider.pending w"
	"    where w.endpoint_id = e.id and w.due_at >= e.earliest and w.due_at <= now()"
	"    and w.key is not null"
	"    and (exists (select from postrider.pending o where o.endpoint_id = w.endpoint_id"
	"      and o.key = w.key and o.message_id < w.message_id and " COUNTS("o") ")"
	"     or e.blocks and exists (select from postrider.dead_letter l"
	"      where l.endpoint_id = w.endpoint_id and l.key = w.key"
	"      and l.message_id < w.message_id and l.reason = 'dead'))"
	"    order by w.due_at limit 1000 for update skip locked) d)"
	" update postrider.pending p set due_at = 'infinity', reason = 'ordered' from late"
	" where p.message_id = late.message_id and (p.endpoint_id = late.endpoint_id) is true"
	" returning late.n, p.key",
	.argument_count = 3,
	.argument_types = {INT4ARRAYOID, BOOLARRAYOID, TIMESTAMPTZARRAYOID}
};

static Datum
int4_array(Datum *elements, int count)
{
	return PointerGetDatum(construct_array(elements, count, INT4OID, 4, true, TYPALIGN_INT));
}

static Datum
bool_array(Datum *elements, int count)
{
	return PointerGetDatum(construct_array(elements, count, BOOLOID, 1, true, TYPALIGN_CHAR));
}

int
postrider_key_table_promote(OrderedKey *keys, int count)
{
	Datum	   *ids = palloc(sizeof(Datum) * count);
	Datum	   *texts = palloc(sizeof(Datum) * count);
	Datum	   *blocks = palloc(sizeof(Datum) * count);
	Datum		values[3];
	uint64		rows;
	int			promoted = 0;

	for (int i = 0; i < count; i++)
	{
		ids[i] = Int32GetDatum(keys[i].endpoint->id);
		texts[i] = CStringGetTextDatum(keys[i].key);
		blocks[i] = BoolGetDatum(keys[i].endpoint->policy.blocks_on_dead);
	}
	values[0] = int4_array(ids, count);
	values[1] = PointerGetDatum(construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT));
	values[2] = bool_array(blocks, count);
	rows = postrider_sql_run(&promote, values, NULL, 0);
	for (uint64 row = 0; row < rows; row++)
	{
		promoted += postrider_sql_bool(row, 1);
		keys[postrider_sql_int64(row, 0) - 1].has_rows = postrider_sql_bool(row, 2);
	}
	return promoted;
}

void
postrider_key_table_promote_all(const Endpoint *endpoint)
{
	Datum		values[] = {
		Int32GetDatum(endpoint->id),
		BoolGetDatum(endpoint->policy.blocks_on_dead)
	};

	postrider_sql_run(&promote_all, values, NULL, 0);
}

int
postrider_key_table_keys(const Endpoint *endpoint, int limit, char ***keys)
{
	Datum		values[] = {
		Int32GetDatum(endpoint->id),
		BoolGetDatum(endpoint->policy.blocks_on_dead),
		Int64GetDatum(limit)
	};
	int			count = (int) postrider_sql_run(&list_keys, values, NULL, 0);

	*keys = palloc(sizeof(char *) * (count + 1));
	for (int row = 0; row < count; row++)
		(*keys)[row] = postrider_sql_text(row, 0, CurrentMemoryContext);
	return count;
}

int
postrider_key_table_demote(Endpoint *const *endpoints, int count, OrderedKey **keys)
{
	Datum	   *ids = palloc(sizeof(Datum) * count);
	Datum	   *blocks = palloc(sizeof(Datum) * count);
	Datum	   *earliest = palloc(sizeof(Datum) * count);
	Datum		values[3];
	int			found;

	for (int i = 0; i < count; i++)
	{
		ids[i] = Int32GetDatum(endpoints[i]->id);
		blocks[i] = BoolGetDatum(endpoints[i]->policy.blocks_on_dead);
		earliest[i] = TimestampTzGetDatum(endpoints[i]->pending_due_at);
	}
	values[0] = int4_array(ids, count);
	values[1] = bool_array(blocks, count);
	values[2] = PointerGetDatum(construct_array(earliest, count, TIMESTAMPTZOID, 8,
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	found = (int) postrider_sql_run(&demote, values, NULL, 0);
	*keys = palloc(sizeof(OrderedKey) * (found + 1));
	for (int row = 0; row < found; row++)
	{
		(*keys)[row].endpoint = endpoints[postrider_sql_int64(row, 0) - 1];
		(*keys)[row].key = postrider_sql_text(row, 1, CurrentMemoryContext);
	}
	return found;
}
