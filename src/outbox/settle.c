/*-------------------------------------------------------------------------
 *
 * settle.c
 *	  Writing down what came of deliveries.
 *
 * Outcomes are gathered by the worker for a few milliseconds and written
 * here in one transaction: a row in attempt for each try, then what follows
 * from it.  The commit is asynchronous: a crash costs a few duplicates, never
 * a loss, because the cursor has not moved past what was not written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "outbox/append.h"
#include "outbox/erased.h"
#include "outbox/intake.h"
#include "outbox/mapping_reference.h"
#include "outbox/progress.h"
#include "outbox/reply.h"
#include "outbox/settle.h"
#include "outbox/stats.h"
#include "policy/priority.h"
#include "security/secret_set.h"
#include "util/sql.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* The columns of postrider.attempt, in their order. */
enum
{
	COLUMN_MESSAGE_ID, COLUMN_STARTED_AT, COLUMN_ENDPOINT_ID,
	COLUMN_DURATION_MS, COLUMN_ATTEMPT, COLUMN_STATUS_CODE, COLUMN_OUTCOME,
	COLUMN_ERROR_CODE, COLUMN_ERROR, COLUMN_RESPONSE, COLUMN_REQUEST_ID,
	COLUMN_COUNT
};

static SqlStatement delete_pending = {
	.text =
	"delete from postrider.pending p"
	" using unnest($1::uuid[], $2::int4[]) as d (message_id, endpoint_id)"
	" where p.message_id = d.message_id and (p.endpoint_id = d.endpoint_id) is true",
	.argument_count = 2,
	.argument_types = {UUIDARRAYOID, INT4ARRAYOID}
};

static SqlStatement write_pending = {
	.text =
	"insert into postrider.pending as p"
	" (message_id, endpoint_id, due_at, attempts, reason, key, priority, mapping,"
	" mapping_version)"
	" select d.message_id, d.endpoint_id,"
	" case when d.reason = 'ordered' and m.key is null then now() else d.due_at end,"
	" d.attempts, d.reason, m.key, m.priority, d.mapping, d.mapping_version"
	" from unnest($1::uuid[], $2::int4[], $3::timestamptz[], $4::int4[], $5::text[],"
	" $6::text[], $7::int4[])"
	" as d (message_id, endpoint_id, due_at, attempts, reason, mapping, mapping_version)"
	" left join postrider.message m on m.id = d.message_id"
	" on conflict (message_id, endpoint_id) do update"
	" set due_at = excluded.due_at, attempts = excluded.attempts,"
	" reason = excluded.reason",
	.argument_count = 7,
	.argument_types = {UUIDARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID,
	INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID}
};

/* Of a coalescing endpoint: older deliveries of the same keys. */
static SqlStatement supersede_older = {
	.text =
	"with gone as (delete from postrider.pending p using"
	"  (select o.message_id, o.endpoint_id"
	"   from unnest($1::uuid[], $2::int4[], $3::text[]) as d (message_id, endpoint_id, key)"
	"   cross join lateral (select w.message_id, w.endpoint_id from postrider.pending w"
	"    where w.endpoint_id = d.endpoint_id and w.key = d.key"
	"    and w.message_id < d.message_id and w.reason <> 'in_flight' offset 0) o) o"
	" where p.message_id = o.message_id and (p.endpoint_id = o.endpoint_id) is true"
	" returning p.message_id, p.endpoint_id, p.attempts),"
	" ended as (insert into postrider.attempt (message_id, endpoint_id, started_at, attempt,"
	"  outcome, error_code, error)"
	"  select message_id, endpoint_id, clock_timestamp(), least(attempts, 32767),"
	"  'superseded', 'superseded', 'a newer message of its key is sent in its place' from gone"
	"  returning endpoint_id)"
	" select endpoint_id, count(*) from ended group by endpoint_id",
	.argument_count = 3,
	.argument_types = {UUIDARRAYOID, INT4ARRAYOID, TEXTARRAYOID}
};

static SqlStatement write_dead_letter = {
	.text =
	"insert into postrider.dead_letter (message_id, endpoint_id, reason,"
	" attempts, status_code, error_code, error, response, died_at, topic, key, tenant,"
	" payload, headers, expires_at, traceparent, priority, mapping, mapping_version)"
	" select $1, $2, $3, $4, $5::int4::smallint, $6, $7, $10, now(),"
	" case when p.payload is null then m.topic else p.topic end,"
	" case when p.payload is null then m.key else p.key end,"
	" case when p.payload is null then m.tenant else p.tenant end,"
	" case when p.payload is null then m.payload else p.payload end,"
	" case when p.payload is null then m.headers else p.headers end,"
	" case when p.payload is null then m.expires_at else p.expires_at end,"
	" case when p.payload is null then m.traceparent else p.traceparent end,"
	" coalesce(m.priority, p.priority), $8, $9"
	" from (values ($1, $2)) as d (message_id, endpoint_id)"
	" left join postrider.pending p on p.message_id = d.message_id"
	" and p.endpoint_id = d.endpoint_id"
	" left join postrider.message m on m.id = d.message_id"
	" where p.payload is not null or m.removed is null and m.payload is not null"
	" on conflict (message_id, endpoint_id) do update set"
	" reason = excluded.reason, attempts = excluded.attempts,"
	" status_code = excluded.status_code, error_code = excluded.error_code,"
	" error = excluded.error, response = excluded.response,"
	" died_at = excluded.died_at",
	.argument_count = 10,
	.argument_types = {UUIDOID, INT4OID, TEXTOID, INT4OID, INT4OID, TEXTOID,
	TEXTOID, TEXTOID, INT4OID, TEXTOID}
};

static SqlStatement disable_endpoint = {
	.text =
	"update postrider.endpoint set enabled = false, disabled_reason = $2"
	" where id = $1 and enabled",
	.argument_count = 2,
	.argument_types = {INT4OID, TEXTOID}
};

static const char *const outcome_names[] = {
	[OUTCOME_DELIVERED] = "delivered",
	[OUTCOME_RETRY] = "retry",
	[OUTCOME_DEAD] = "dead",
	[OUTCOME_EXPIRED] = "expired",
	[OUTCOME_CANCELLED] = "cancelled",
	[OUTCOME_SUPERSEDED] = "superseded"
};

static const char *const reason_names[] = {
	[PENDING_SCHEDULED] = "scheduled",
	[PENDING_RETRY] = "retry",
	[PENDING_OVERFLOW] = "overflow",
	[PENDING_HELD] = "held",
	[PENDING_ORDERED] = "ordered",
	[PENDING_IN_FLIGHT] = "in_flight"
};

/* Rows for pending, column by column. */
typedef struct PendingRows
{
	int			count;
	Datum	   *message_id;
	Datum	   *endpoint_id;
	Datum	   *due_at;
	Datum	   *attempts;
	Datum	   *reason;
	Datum	   *mapping;
	bool	   *no_mapping;
	Datum	   *mapping_version;
	bool	   *no_mapping_version;
} PendingRows;

static void
init_rows(PendingRows *rows, int capacity)
{
	rows->count = 0;
	rows->message_id = palloc(sizeof(Datum) * capacity);
	rows->endpoint_id = palloc(sizeof(Datum) * capacity);
	rows->due_at = palloc(sizeof(Datum) * capacity);
	rows->attempts = palloc(sizeof(Datum) * capacity);
	rows->reason = palloc(sizeof(Datum) * capacity);
	rows->mapping = palloc(sizeof(Datum) * capacity);
	rows->no_mapping = palloc(sizeof(bool) * capacity);
	rows->mapping_version = palloc(sizeof(Datum) * capacity);
	rows->no_mapping_version = palloc(sizeof(bool) * capacity);
}

/* The columns mapping and mapping_version. */
static void
mapping_columns(const MappingReference *mapping, Datum *name, bool *no_name,
				Datum *version, bool *no_version)
{
	*no_name = mapping == NULL;
	*no_version = mapping == NULL || mapping->version == MAPPING_NEWEST;
	*name = *no_name ? (Datum) 0 : CStringGetTextDatum(mapping->name);
	*version = *no_version ? (Datum) 0 : Int32GetDatum(mapping->version);
}

static void
add_key(PendingRows *rows, const pg_uuid_t *message_id, const Endpoint *endpoint,
		const MappingReference *mapping, TimestampTz due_at, int attempts,
		PendingReason reason)
{
	int			i = rows->count++;

	rows->message_id[i] = UUIDPGetDatum(message_id);
	rows->endpoint_id[i] = Int32GetDatum(endpoint->id);
	rows->due_at[i] = TimestampTzGetDatum(due_at);
	rows->attempts[i] = Int32GetDatum(attempts);
	rows->reason[i] = CStringGetTextDatum(reason_names[reason]);
	mapping_columns(mapping, &rows->mapping[i], &rows->no_mapping[i],
					&rows->mapping_version[i], &rows->no_mapping_version[i]);
}

static void
add_row(PendingRows *rows, const Delivery *delivery, TimestampTz due_at,
		int attempts, PendingReason reason)
{
	add_key(rows, &delivery->message->id, delivery->endpoint, delivery->mapping,
			due_at, attempts, reason);
}

static Datum
array_of(Datum *elements, int count, Oid type, int length, bool by_value,
		 char align)
{
	return PointerGetDatum(construct_array(elements, count, type, length,
										   by_value, align));
}

static Datum
array_with_nulls(Datum *elements, bool *nulls, int count, Oid type, int length,
				 bool by_value)
{
	int			one = 1;

	return PointerGetDatum(construct_md_array(elements, nulls, 1, &count, &one, type,
											  length, by_value, TYPALIGN_INT));
}

static void
run_on_rows(SqlStatement *statement, const PendingRows *rows)
{
	Datum		values[7];

	if (rows->count == 0)
		return;
	values[0] = array_of(rows->message_id, rows->count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR);
	values[1] = array_of(rows->endpoint_id, rows->count, INT4OID, 4, true, TYPALIGN_INT);
	if (statement == &write_pending)
	{
		values[2] = array_of(rows->due_at, rows->count, TIMESTAMPTZOID, 8, true, TYPALIGN_DOUBLE);
		values[3] = array_of(rows->attempts, rows->count, INT4OID, 4, true, TYPALIGN_INT);
		values[4] = array_of(rows->reason, rows->count, TEXTOID, -1, false, TYPALIGN_INT);
		values[5] = array_with_nulls(rows->mapping, rows->no_mapping, rows->count,
									 TEXTOID, -1, false);
		values[6] = array_with_nulls(rows->mapping_version, rows->no_mapping_version,
									 rows->count, INT4OID, 4, true);
	}
	postrider_sql_run(statement, values, NULL, 0);
}

/* A delivery of a coalescing endpoint is settled: older ones of its key end. */
static void
supersede(dlist_head *deliveries, int capacity)
{
	Datum	   *ids = palloc(sizeof(Datum) * capacity);
	Datum	   *endpoint_ids = palloc(sizeof(Datum) * capacity);
	Datum	   *keys = palloc(sizeof(Datum) * capacity);
	Datum		values[3];
	dlist_iter	iter;
	int			count = 0;

	dlist_foreach(iter, deliveries)
	{
		Delivery   *delivery = dlist_container(Delivery, node, iter.cur);

		if (!delivery->endpoint->policy.coalesce || delivery->message->key == NULL ||
			delivery->message->erased)
			continue;
		ids[count] = UUIDPGetDatum(&delivery->message->id);
		endpoint_ids[count] = Int32GetDatum(delivery->endpoint->id);
		keys[count++] = CStringGetTextDatum(delivery->message->key);
	}
	if (count == 0)
		return;
	values[0] = array_of(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR);
	values[1] = array_of(endpoint_ids, count, INT4OID, 4, true, TYPALIGN_INT);
	values[2] = array_of(keys, count, TEXTOID, -1, false, TYPALIGN_INT);
	postrider_stats_count_rows(postrider_sql_run(&supersede_older, values, NULL, 0),
							   OUTCOME_SUPERSEDED);
}

static Datum
text_or_null(const char *string, bool *isnull)
{
	*isnull = string == NULL;
	return string ? CStringGetTextDatum(string) : (Datum) 0;
}

static void
append_attempt(AppendTarget *target, const Delivery *delivery)
{
	const AttemptResult *result = &delivery->result;
	Datum		values[COLUMN_COUNT];
	bool		nulls[COLUMN_COUNT] = {false};
	int			attempt = result->sent ? delivery->attempts + 1 : delivery->attempts;

	values[COLUMN_MESSAGE_ID] = UUIDPGetDatum(&delivery->message->id);
	values[COLUMN_STARTED_AT] = TimestampTzGetDatum(result->started_at);
	values[COLUMN_ENDPOINT_ID] = Int32GetDatum(delivery->endpoint->id);
	values[COLUMN_DURATION_MS] = Float4GetDatum(result->duration_ms);
	nulls[COLUMN_DURATION_MS] = !result->sent;
	values[COLUMN_ATTEMPT] = Int16GetDatum((int16) Min(attempt, PG_INT16_MAX));
	values[COLUMN_STATUS_CODE] = Int16GetDatum((int16) result->status_code);
	nulls[COLUMN_STATUS_CODE] = result->status_code == 0;
	values[COLUMN_OUTCOME] = CStringGetTextDatum(outcome_names[result->outcome]);
	values[COLUMN_ERROR_CODE] = text_or_null(result->error_code, &nulls[COLUMN_ERROR_CODE]);
	values[COLUMN_ERROR] = text_or_null(result->error, &nulls[COLUMN_ERROR]);
	values[COLUMN_RESPONSE] = text_or_null(result->response, &nulls[COLUMN_RESPONSE]);
	values[COLUMN_REQUEST_ID] = UUIDPGetDatum(&result->request_id);
	nulls[COLUMN_REQUEST_ID] = !result->has_request_id;
	postrider_append_row(target, values, nulls);
}

static void
bury(const Delivery *delivery)
{
	const AttemptResult *result = &delivery->result;
	Datum		values[10];
	char		nulls[] = "          ";
	bool		isnull;
	bool		no_mapping;
	bool		no_version;

	values[0] = UUIDPGetDatum(&delivery->message->id);
	values[1] = Int32GetDatum(delivery->endpoint->id);
	values[2] = CStringGetTextDatum(result->outcome == OUTCOME_EXPIRED ?
									"expired" : "dead");
	values[3] = Int32GetDatum(delivery->attempts + (result->sent ? 1 : 0));
	values[4] = Int32GetDatum(result->status_code);
	if (result->status_code == 0)
		nulls[4] = 'n';
	values[5] = text_or_null(result->error_code, &isnull);
	if (isnull)
		nulls[5] = 'n';
	values[6] = text_or_null(result->error, &isnull);
	if (isnull)
		nulls[6] = 'n';
	mapping_columns(delivery->mapping, &values[7], &no_mapping, &values[8], &no_version);
	if (no_mapping)
		nulls[7] = 'n';
	if (no_version)
		nulls[8] = 'n';
	values[9] = text_or_null(result->response, &isnull);
	if (isnull)
		nulls[9] = 'n';
	postrider_sql_run(&write_dead_letter, values, nulls, 0);
}

static bool
is_urgent(const Delivery *delivery)
{
	return delivery->message->priority >= PRIORITY_HIGH;
}

static void
note_due(Endpoint *endpoint, TimestampTz due_at, bool urgent, SettleTotals *totals)
{
	endpoint->pending_due_at = Min(endpoint->pending_due_at, due_at);
	endpoint->urgent_in_pending |= urgent;
	totals->next_due = Min(totals->next_due, due_at);
}

static void
disable(const Delivery *delivery)
{
	Datum		values[] = {
		Int32GetDatum(delivery->endpoint->id),
		CStringGetTextDatum(delivery->result.error)
	};

	postrider_sql_run(&disable_endpoint, values, NULL, 0);
}

static void
settle_attempt(const Delivery *delivery, PendingRows *finished,
			   PendingRows *waiting, SettleTotals *totals)
{
	const AttemptResult *result = &delivery->result;

	if (result->disable_endpoint)
		disable(delivery);
	switch (result->outcome)
	{
		case OUTCOME_DELIVERED:
			totals->delivered++;
			break;
		case OUTCOME_RETRY:
			totals->retried++;
			note_due(delivery->endpoint, result->retry_at, is_urgent(delivery), totals);
			add_row(waiting, delivery, result->retry_at, delivery->attempts + 1,
					PENDING_RETRY);
			return;
		case OUTCOME_DEAD:
		case OUTCOME_EXPIRED:
			totals->dead++;
			bury(delivery);
			break;
		case OUTCOME_CANCELLED:
		case OUTCOME_SUPERSEDED:
			break;
	}
	if (delivery->has_pending_row)
		add_row(finished, delivery, 0, 0, PENDING_RETRY);
}

/* Of what was owed on record, postrider.erase() has recorded that it is cancelled. */
static bool
is_on_record(const Delivery *delivery)
{
	return delivery->message->erased && delivery->has_pending_row && !delivery->result.sent;
}

/*
 * The endpoint may have been enabled since the delivery was parked for being
 * disabled; what enabling released was then not yet this one.
 */
static void
release_if_enabled(Delivery *delivery)
{
	if (delivery->park_reason != PENDING_HELD || !delivery->endpoint->enabled)
		return;
	delivery->park_reason = PENDING_RETRY;
	delivery->park_until = GetCurrentTimestamp();
}

/* Its endpoint was deleted while it was on its way: nothing is owed any more. */
static void
cancel_if_deleted(Delivery *delivery)
{
	AttemptResult *result = &delivery->result;

	if (!delivery->endpoint->deleted)
		return;
	if (delivery->settle == SETTLE_PARK)
	{
		memset(result, 0, sizeof(*result));
		result->started_at = GetCurrentTimestamp();
		delivery->settle = SETTLE_ATTEMPT;
	}
	else if (result->outcome != OUTCOME_RETRY)
		return;
	if (result->error)
		pfree(result->error);
	result->outcome = OUTCOME_CANCELLED;
	result->error_code = "endpoint_deleted";
	result->error = MemoryContextStrdup(TopMemoryContext, "the endpoint was deleted");
}

/*
 * A receiver may answer with what it was sent: no secret goes on record.  Here is the
 * one place that all attempts pass; what the engine publishes before is scrubbed
 * there (engine_end.c).
 */
static void
scrub(Delivery *delivery)
{
	AttemptResult *result = &delivery->result;

	postrider_secret_scrub_string(result->error);
	postrider_secret_scrub_string(result->response);
	if (result->reply == NULL)
		return;
	postrider_secret_scrub_string(result->reply->body);
	for (int i = 0; i < result->reply->header_count; i++)
		postrider_secret_scrub_string(result->reply->headers[i].value);
}

void
postrider_settle_write(dlist_head *deliveries, SettleTotals *totals)
{
	AppendTarget *target = NULL;
	PendingRows finished;
	PendingRows waiting;
	dlist_iter	iter;
	int			count = 0;

	memset(totals, 0, sizeof(*totals));
	totals->next_due = DT_NOEND;
	dlist_foreach(iter, deliveries)
	{
		Delivery   *delivery = dlist_container(Delivery, node, iter.cur);

		cancel_if_deleted(delivery);
		if (delivery->message->erased)
			postrider_erased_scrub(delivery);
		else
			scrub(delivery);
		count++;
	}
	init_rows(&finished, count);
	init_rows(&waiting, count);
	postrider_reply_emit(deliveries);

	dlist_foreach(iter, deliveries)
	{
		Delivery   *delivery = dlist_container(Delivery, node, iter.cur);

		if (delivery->settle == SETTLE_PARK)
		{
			release_if_enabled(delivery);
			add_row(&waiting, delivery, delivery->park_until,
					delivery->attempts, delivery->park_reason);
			note_due(delivery->endpoint, delivery->park_until, is_urgent(delivery), totals);
			continue;
		}
		if (!is_on_record(delivery))
		{
			if (target == NULL)
				target = postrider_append_begin("attempt");
			append_attempt(target, delivery);
		}
		settle_attempt(delivery, &finished, &waiting, totals);
	}
	if (target)
		postrider_append_end(target);
	run_on_rows(&delete_pending, &finished);
	run_on_rows(&write_pending, &waiting);
	supersede(deliveries, count);
}

void
postrider_settle_done(dlist_head *deliveries)
{
	TimestampTz now = GetCurrentTimestamp();
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, deliveries)
	{
		Delivery   *delivery = dlist_container(Delivery, node, iter.cur);

		if (delivery->settle == SETTLE_ATTEMPT && !is_on_record(delivery))
			postrider_stats_count(delivery, now);
		if (delivery->chunk)
			postrider_progress_settled(delivery->chunk);
		postrider_delivery_free(delivery);
	}
}

void
postrider_settle_overflow(const Endpoint *endpoint, const pg_uuid_t *message_ids,
						  MappingReference *const *mappings, int count)
{
	PendingRows waiting;
	PendingReason reason = !endpoint->enabled ? PENDING_HELD :
		endpoint->policy.ordered ? PENDING_ORDERED : PENDING_OVERFLOW;
	TimestampTz due_at = reason == PENDING_OVERFLOW ? GetCurrentTimestamp() : DT_NOEND;

	init_rows(&waiting, count);
	for (int i = 0; i < count; i++)
		add_key(&waiting, &message_ids[i], endpoint, mappings[i], due_at, 0, reason);
	run_on_rows(&write_pending, &waiting);
}

/* Is this one of the deliveries that the lease functions are about? */
static bool
needs_lease(const Delivery *delivery, const Endpoint *endpoint)
{
	return delivery->chunk != NULL && !delivery->has_pending_row &&
		(endpoint == NULL || delivery->endpoint == endpoint);
}

int
postrider_lease_write(TimestampTz before, const Endpoint *endpoint)
{
	PendingRows leased;
	dlist_iter	iter;
	int			count = 0;

	dlist_foreach(iter, postrider_deliveries())
	{
		Delivery   *delivery = dlist_container(Delivery, memory_node, iter.cur);

		if (delivery->loaded_at >= before)
			break;
		count += needs_lease(delivery, endpoint);
	}
	if (count == 0)
		return 0;
	init_rows(&leased, count);
	dlist_foreach(iter, postrider_deliveries())
	{
		Delivery   *delivery = dlist_container(Delivery, memory_node, iter.cur);

		if (delivery->loaded_at >= before)
			break;
		if (needs_lease(delivery, endpoint))
			add_row(&leased, delivery, DT_NOEND, delivery->attempts,
					PENDING_IN_FLIGHT);
	}
	run_on_rows(&write_pending, &leased);
	return count;
}

/* The lease is committed: the cursor may move past the delivery. */
static void
take_over(Delivery *delivery)
{
	delivery->has_pending_row = true;
	postrider_progress_settled(delivery->chunk);
	delivery->chunk = NULL;
}

void
postrider_lease_done(TimestampTz before, const Endpoint *endpoint)
{
	dlist_iter	iter;

	dlist_foreach(iter, postrider_deliveries())
	{
		Delivery   *delivery = dlist_container(Delivery, memory_node, iter.cur);

		if (delivery->loaded_at >= before)
			break;
		if (needs_lease(delivery, endpoint))
			take_over(delivery);
	}
}

void
postrider_lease_write_these(Delivery *const *deliveries, int count)
{
	PendingRows leased;

	init_rows(&leased, count);
	for (int i = 0; i < count; i++)
		if (needs_lease(deliveries[i], NULL))
			add_row(&leased, deliveries[i], DT_NOEND, deliveries[i]->attempts,
					PENDING_IN_FLIGHT);
	run_on_rows(&write_pending, &leased);
}

void
postrider_lease_done_these(Delivery *const *deliveries, int count)
{
	for (int i = 0; i < count; i++)
		if (needs_lease(deliveries[i], NULL))
			take_over(deliveries[i]);
}
