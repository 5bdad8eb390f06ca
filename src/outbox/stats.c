/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  Statistics of deliveries and messages, by the minute.
 *
 * A worker counts in its memory and writes about once a minute (worker/stats.c),
 * so that a delivery costs neither a query nor memory for it.  Two workers may write
 * the same minute of an endpoint, one after the other, when shards have changed or
 * one was restarted: what the table has is added to.  A crash loses what is not
 * written.
 *
 * What is in memory belongs to one minute, that of the first count.  Who counts
 * later than that writes first; see postrider_stats_due() in worker/stats.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "content/topic.h"
#include "outbox/latest_row.h"
#include "outbox/stats.h"
#include "storage/lmgr.h"
#include "util/id.h"
#include "util/sql.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * From so many topics on they are written before the minute is over; more than the
 * second number, when that is not possible, are not counted.
 */
#define MANY_TOPICS 1000
#define MAX_TOPICS 10000

/* Milliseconds from 1970 to 2000. */
#define EPOCH_MS ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000)

/* In the table of this minute. */
typedef struct StatsEntry
{
	EndpointStats stats;		/* begins with the key */
	bool		has_request;
	pg_uuid_t	last_request;	/* deliveries of a batch share one */
} StatsEntry;

typedef struct TopicEntry
{
	char		topic[POSTRIDER_TOPIC_MAX + 1]; /* key */
	int64		messages;
	int64		bytes;
} TopicEntry;

typedef struct TopicCount
{
	char	   *topic;
	int64		messages;
	int64		bytes;
} TopicCount;

struct TopicCounts
{
	int			count;
	int			capacity;
	TopicCount *items;
};

static SqlStatement write_delivery_stats = {
	.text =
	"insert into postrider.delivery_stats as s (minute, endpoint_id, delivered, retried,"
	" dead, expired, cancelled, recovered, exhausted, requests, superseded,"
	" duration_ms, duration_max_ms, duration_counts, latency_ms, latency_max_ms, latency_counts)"
	" values ($1, $2, ($3)[1], ($3)[2], ($3)[3], ($3)[4], ($3)[5], ($3)[6], ($3)[7], ($3)[8],"
	" ($3)[9], $4, $5, $6, $7, $8, $9)"
	" on conflict (endpoint_id, minute) do update set"
	" delivered = s.delivered + excluded.delivered, retried = s.retried + excluded.retried,"
	" dead = s.dead + excluded.dead, expired = s.expired + excluded.expired,"
	" cancelled = s.cancelled + excluded.cancelled, recovered = s.recovered + excluded.recovered,"
	" exhausted = s.exhausted + excluded.exhausted, requests = s.requests + excluded.requests,"
	" superseded = s.superseded + excluded.superseded,"
	" duration_ms = s.duration_ms + excluded.duration_ms,"
	" duration_max_ms = greatest(s.duration_max_ms, excluded.duration_max_ms),"
	" duration_counts = postrider.add_counts(s.duration_counts, excluded.duration_counts),"
	" latency_ms = s.latency_ms + excluded.latency_ms,"
	" latency_max_ms = greatest(s.latency_max_ms, excluded.latency_max_ms),"
	" latency_counts = postrider.add_counts(s.latency_counts, excluded.latency_counts)",
	.argument_count = 9,
	.argument_types = {TIMESTAMPTZOID, INT4OID, INT8ARRAYOID, FLOAT8OID, FLOAT4OID,
	INT8ARRAYOID, FLOAT8OID, FLOAT4OID, INT8ARRAYOID}
};

/* The same without the minute, for counters that only grow; see sql/metrics.sql. */
static SqlStatement write_delivery_total = {
	.text =
	"insert into postrider.delivery_total as t (endpoint_id, delivered, retried,"
	" dead, expired, cancelled, recovered, exhausted, requests, superseded,"
	" duration_ms, duration_counts, latency_ms, latency_counts)"
	" values ($1, ($2)[1], ($2)[2], ($2)[3], ($2)[4], ($2)[5], ($2)[6], ($2)[7], ($2)[8],"
	" ($2)[9], $3, $4, $5, $6)"
	" on conflict (endpoint_id) do update set"
	" delivered = t.delivered + excluded.delivered, retried = t.retried + excluded.retried,"
	" dead = t.dead + excluded.dead, expired = t.expired + excluded.expired,"
	" cancelled = t.cancelled + excluded.cancelled, recovered = t.recovered + excluded.recovered,"
	" exhausted = t.exhausted + excluded.exhausted, requests = t.requests + excluded.requests,"
	" superseded = t.superseded + excluded.superseded,"
	" duration_ms = t.duration_ms + excluded.duration_ms,"
	" duration_counts = postrider.add_counts(t.duration_counts, excluded.duration_counts),"
	" latency_ms = t.latency_ms + excluded.latency_ms,"
	" latency_counts = postrider.add_counts(t.latency_counts, excluded.latency_counts)",
	.argument_count = 6,
	.argument_types = {INT4OID, INT8ARRAYOID, FLOAT8OID, INT8ARRAYOID, FLOAT8OID, INT8ARRAYOID}
};

static SqlStatement write_message_total = {
	.text = "update postrider.message_total set messages = messages + $1, bytes = bytes + $2",
	.argument_count = 2,
	.argument_types = {INT8OID, INT8OID}
};

static SqlStatement write_message_stats = {
	.text =
	"insert into postrider.message_stats as s (minute, topic, messages, bytes, total_messages)"
	" values ($1, $2, $3, $4, $3 + coalesce((select l.total_messages from postrider.message_stats l"
	"  where l.topic = $2 order by l.minute desc limit 1), 0))"
	" on conflict (topic, minute) do update set"
	" messages = s.messages + excluded.messages, bytes = s.bytes + excluded.bytes,"
	" total_messages = s.total_messages + excluded.messages",
	.argument_count = 4,
	.argument_types = {TIMESTAMPTZOID, TEXTOID, INT8OID, INT8OID}
};

static MemoryContext stats_context = NULL;
static HTAB *endpoints = NULL;	/* of StatsEntry; NULL: none */
static HTAB *topics = NULL;		/* of TopicEntry; NULL: none */
static StatsEntry *last_entry = NULL;
static TimestampTz minute = DT_NOBEGIN;
static uint64 changes = 0;

TimestampTz
postrider_stats_minute(void)
{
	return minute;
}

bool
postrider_stats_is_full(void)
{
	return topics != NULL && hash_get_num_entries(topics) >= MANY_TOPICS;
}

uint64
postrider_stats_changes(void)
{
	return changes;
}

static HTAB *
make_table(const char *name, Size key, Size entry, int flags)
{
	HASHCTL		control = {.keysize = key,.entrysize = entry};

	if (stats_context == NULL)
		stats_context = AllocSetContextCreate(TopMemoryContext, "postrider statistics",
											  ALLOCSET_DEFAULT_SIZES);
	control.hcxt = stats_context;
	return hash_create(name, 64, &control, HASH_ELEM | HASH_CONTEXT | flags);
}

static void
begin(TimestampTz now)
{
	changes++;
	if (minute == DT_NOBEGIN)
		minute = now - now % USECS_PER_MINUTE;
}

static StatsEntry *
entry_of(int32 endpoint_id, TimestampTz now)
{
	StatsEntry *entry = last_entry;
	bool		found;

	begin(now);
	if (entry != NULL && entry->stats.endpoint_id == endpoint_id)
		return entry;
	if (endpoints == NULL)
		endpoints = make_table("postrider endpoint statistics", sizeof(int32),
							   sizeof(StatsEntry), HASH_BLOBS);
	entry = hash_search(endpoints, &endpoint_id, HASH_ENTER, &found);
	if (!found)
	{
		memset(entry, 0, sizeof(*entry));
		entry->stats.endpoint_id = endpoint_id;
	}
	last_entry = entry;
	return entry;
}

const EndpointStats *
postrider_stats_find(int32 endpoint_id)
{
	StatsEntry *entry = endpoints == NULL ? NULL :
		hash_search(endpoints, &endpoint_id, HASH_FIND, NULL);

	return entry == NULL ? NULL : &entry->stats;
}

/*
 * Deliveries
 */

static StatsCount
count_of(AttemptOutcome outcome)
{
	switch (outcome)
	{
		case OUTCOME_DELIVERED:
			return STATS_DELIVERED;
		case OUTCOME_RETRY:
			return STATS_RETRIED;
		case OUTCOME_DEAD:
			return STATS_DEAD;
		case OUTCOME_EXPIRED:
			return STATS_EXPIRED;
		case OUTCOME_CANCELLED:
			return STATS_CANCELLED;
		case OUTCOME_SUPERSEDED:
			return STATS_SUPERSEDED;
	}
	elog(ERROR, "unexpected outcome of an attempt: %d", (int) outcome);
}

/* Milliseconds from the emit to the end of the attempt. */
static double
latency_of(const Delivery *delivery)
{
	const AttemptResult *result = &delivery->result;
	double		emitted_ms = (double) (postrider_id_unix_ms(&delivery->message->id) - EPOCH_MS);

	return Max(0, result->started_at / 1000.0 + result->duration_ms - emitted_ms);
}

/* The deliveries of a batch come one after the other. */
static bool
is_new_request(StatsEntry *entry, const AttemptResult *result)
{
	if (!result->has_request_id)
		return true;
	if (entry->has_request &&
		postrider_id_compare(&entry->last_request, &result->request_id) == 0)
		return false;
	entry->has_request = true;
	entry->last_request = result->request_id;
	return true;
}

void
postrider_stats_count(const Delivery *delivery, TimestampTz now)
{
	const AttemptResult *result = &delivery->result;
	StatsEntry *entry = entry_of(delivery->endpoint->id, now);
	int64	   *counts = entry->stats.counts;

	counts[count_of(result->outcome)]++;
	if (result->outcome == OUTCOME_DELIVERED)
	{
		counts[STATS_RECOVERED] += delivery->attempts > 0;
		postrider_histogram_add(&entry->stats.latency, latency_of(delivery));
	}
	if (result->outcome == OUTCOME_DEAD)
		counts[STATS_EXHAUSTED] += delivery->attempts > 0;
	if (!result->sent)
		return;
	counts[STATS_REQUESTS] += is_new_request(entry, result);
	postrider_histogram_add(&entry->stats.duration, Max(0, result->duration_ms));
}

void
postrider_stats_count_ended(int32 endpoint_id, AttemptOutcome outcome, int64 count,
							TimestampTz now)
{
	entry_of(endpoint_id, now)->stats.counts[count_of(outcome)] += count;
}

void
postrider_stats_count_rows(uint64 rows, AttemptOutcome outcome)
{
	for (uint64 row = 0; row < rows; row++)
		postrider_stats_count_ended(postrider_sql_int32(row, 0), outcome,
									postrider_sql_int64(row, 1), GetCurrentTimestamp());
}

/*
 * Messages
 */

void
postrider_stats_read(TopicCounts **counts, const char *topic, Size bytes)
{
	TopicCounts *all = *counts;
	TopicCount *item = NULL;

	if (all == NULL)
	{
		all = *counts = MemoryContextAllocZero(TopMemoryContext, sizeof(TopicCounts));
		all->capacity = 4;
		all->items = MemoryContextAlloc(TopMemoryContext, all->capacity * sizeof(TopicCount));
	}
	/* The last ones first: messages of a transaction are often alike. */
	for (int i = all->count - 1; i >= 0 && item == NULL; i--)
		if (strcmp(all->items[i].topic, topic) == 0)
			item = &all->items[i];
	if (item == NULL)
	{
		if (all->count == all->capacity)
		{
			all->capacity *= 2;
			all->items = repalloc(all->items, all->capacity * sizeof(TopicCount));
		}
		item = &all->items[all->count++];
		item->topic = MemoryContextStrdup(TopMemoryContext, topic);
		item->messages = 0;
		item->bytes = 0;
	}
	item->messages++;
	item->bytes += bytes;
}

void
postrider_stats_passed(TopicCounts *counts, TimestampTz now)
{
	if (counts == NULL)
		return;
	begin(now);
	if (topics == NULL)
		topics = make_table("postrider topic statistics", POSTRIDER_TOPIC_MAX + 1,
							sizeof(TopicEntry), HASH_STRINGS);
	for (int i = 0; i < counts->count; i++)
	{
		TopicCount *item = &counts->items[i];
		bool		found;
		HASHACTION	action = hash_get_num_entries(topics) < MAX_TOPICS ? HASH_ENTER : HASH_FIND;
		TopicEntry *entry = hash_search(topics, item->topic, action, &found);

		if (!found && entry != NULL)
			entry->messages = entry->bytes = 0;
		if (entry != NULL)
		{
			entry->messages += item->messages;
			entry->bytes += item->bytes;
		}
		pfree(item->topic);
	}
	pfree(counts->items);
	pfree(counts);
}

/*
 * Writing
 */

static bool
lock(const char *table)
{
	Oid			relation = postrider_relation(table);

	return OidIsValid(relation) && ConditionalLockRelationOid(relation, RowExclusiveLock);
}

/* Adds what write_delivery_stats takes. */
static void
write_total(const Datum *minute_values)
{
	Datum		values[] = {
		minute_values[1], minute_values[2], minute_values[3], minute_values[5],
		minute_values[6], minute_values[8]
	};

	postrider_sql_run(&write_delivery_total, values, NULL, 0);
}

static void
write_endpoint(const EndpointStats *stats)
{
	Datum		counts[STATS_COUNTS];
	Datum		values[9];

	for (int i = 0; i < STATS_COUNTS; i++)
		counts[i] = Int64GetDatum(stats->counts[i]);
	values[0] = TimestampTzGetDatum(minute);
	values[1] = Int32GetDatum(stats->endpoint_id);
	values[2] = PointerGetDatum(construct_array(counts, STATS_COUNTS, INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[3] = Float8GetDatum(stats->duration.sum_ms);
	values[4] = Float4GetDatum(stats->duration.max_ms);
	values[5] = PointerGetDatum(postrider_histogram_counts(&stats->duration));
	values[6] = Float8GetDatum(stats->latency.sum_ms);
	values[7] = Float4GetDatum(stats->latency.max_ms);
	values[8] = PointerGetDatum(postrider_histogram_counts(&stats->latency));
	postrider_sql_run(&write_delivery_stats, values, NULL, 0);
	write_total(values);
}

static void
write_topic(const TopicEntry *entry)
{
	Datum		values[] = {
		TimestampTzGetDatum(minute),
		CStringGetTextDatum(entry->topic),
		Int64GetDatum(entry->messages),
		Int64GetDatum(entry->bytes)
	};

	postrider_sql_run(&write_message_stats, values, NULL, 0);
}

static void
write_topics(void)
{
	HASH_SEQ_STATUS scan;
	TopicEntry *entry;
	int64		messages = 0;
	int64		bytes = 0;
	Datum		values[2];

	hash_seq_init(&scan, topics);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		write_topic(entry);
		messages += entry->messages;
		bytes += entry->bytes;
	}
	values[0] = Int64GetDatum(messages);
	values[1] = Int64GetDatum(bytes);
	postrider_sql_run(&write_message_total, values, NULL, 0);
}

bool
postrider_stats_write(void)
{
	HASH_SEQ_STATUS scan;
	void	   *entry;

	if (!lock("delivery_stats") || !lock("message_stats") ||
		!lock("delivery_total") || !lock("message_total"))
		return false;
	if (endpoints != NULL)
	{
		hash_seq_init(&scan, endpoints);
		while ((entry = hash_seq_search(&scan)) != NULL)
			write_endpoint(&((StatsEntry *) entry)->stats);
	}
	if (topics != NULL)
		write_topics();
	return true;
}

void
postrider_stats_written(void)
{
	if (stats_context != NULL)
		MemoryContextReset(stats_context);
	endpoints = NULL;
	topics = NULL;
	last_entry = NULL;
	minute = DT_NOBEGIN;
	changes++;
}
