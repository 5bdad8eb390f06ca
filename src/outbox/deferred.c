/*-------------------------------------------------------------------------
 *
 * deferred.c
 *	  Deliveries that were read too early; see deferred.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "outbox/deferred.h"
#include "outbox/intake.h"
#include "outbox/progress.h"
#include "outbox/settle.h"
#include "util/sql.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* An endpoint that would need longer for what is deferred is hopeless. */
#define HOPELESS_S 60

/* Its pace is known after so long. */
#define PACE_KNOWN_MS 1000

/* A delivery of which only this is kept. */
typedef struct DeferredEntry
{
	pg_uuid_t	message_id;
	MappingReference *mapping;	/* or NULL */
	ReadChunk  *chunk;
} DeferredEntry;

/* A piece of an endpoint's queue, which is a list of them, oldest first. */
#define BLOCK_ENTRIES 250
typedef struct DeferredBlock
{
	dlist_node	node;
	int			first;			/* the next one to be taken */
	int			end;			/* behind the last one */
	DeferredEntry entry[BLOCK_ENTRIES];
} DeferredBlock;

/* The bounds let the executor leave out partitions; an array alone does not. */
static SqlStatement read_by_id = {
	.text =
	"select m.id, m.topic, m.payload, m.headers, m.expires_at, m.traceparent, m.key, m.priority,"
	" m.tenant, m.removed = 'erased'"
	" from postrider.message m"
	" where m.id = any ($1) and m.id >= $2 and m.id <= $3",
	.argument_count = 3,
	.argument_types = {UUIDARRAYOID, UUIDOID, UUIDOID}
};

/* Endpoints that have some; the one that was served last is the last one. */
static dlist_head lagging = DLIST_STATIC_INIT(lagging);
static int	total = 0;

static MemoryContext
block_context(void)
{
	static MemoryContext context = NULL;

	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "postrider deferred",
										ALLOCSET_DEFAULT_SIZES);
	return context;
}

/* The first delivery of an endpoint is deferred. */
static void
begin_lagging(DeferredQueue *queue)
{
	dlist_init(&queue->blocks);
	queue->taken = 0;
	queue->since = GetCurrentTimestamp();
	dlist_push_tail(&lagging, &queue->node);
}

static DeferredBlock *
last_block_with_room(DeferredQueue *queue)
{
	DeferredBlock *block;

	if (!dlist_is_empty(&queue->blocks))
	{
		block = dlist_tail_element(DeferredBlock, node, &queue->blocks);
		if (block->end < BLOCK_ENTRIES)
			return block;
	}
	block = MemoryContextAlloc(block_context(), sizeof(DeferredBlock));
	block->first = block->end = 0;
	dlist_push_tail(&queue->blocks, &block->node);
	return block;
}

bool
postrider_deferred_add(Endpoint *endpoint, const pg_uuid_t *message_id,
					   MappingReference *mapping, ReadChunk *chunk)
{
	DeferredQueue *queue = &endpoint->deferred;
	DeferredBlock *block;
	DeferredEntry *entry;

	if (total >= DEFERRED_MAX)
		return false;
	if (queue->count == 0)
		begin_lagging(queue);
	block = last_block_with_room(queue);
	entry = &block->entry[block->end++];
	entry->message_id = *message_id;
	entry->mapping = mapping;
	entry->chunk = chunk;
	queue->count++;
	total++;
	return true;
}

/* Takes the oldest ones off the queue; returns how many. */
static int
take(DeferredQueue *queue, int limit, DeferredEntry *entries)
{
	int			count = 0;

	while (count < limit && queue->count > 0)
	{
		DeferredBlock *block = dlist_head_element(DeferredBlock, node, &queue->blocks);

		entries[count++] = block->entry[block->first++];
		if (block->first == block->end)
		{
			dlist_delete(&block->node);
			pfree(block);
		}
		if (--queue->count == 0)
			dlist_delete(&queue->node);
	}
	queue->taken += count;
	total -= count;
	if (queue->count > 0)
	{
		/* The others come first the next time. */
		dlist_delete(&queue->node);
		dlist_push_tail(&lagging, &queue->node);
	}
	return count;
}

int
postrider_deferred_total(void)
{
	return total;
}

dlist_head *
postrider_deferred_endpoints(void)
{
	return &lagging;
}

static int
compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, UUID_LEN);
}

/* Reads these messages, whose ids are in order. */
static uint64
read_messages(const pg_uuid_t *ids, int count)
{
	Datum	   *elements = palloc(sizeof(Datum) * count);
	Datum		values[3];

	for (int i = 0; i < count; i++)
		elements[i] = UUIDPGetDatum(&ids[i]);
	values[0] = PointerGetDatum(construct_array(elements, count, UUIDOID, UUID_LEN,
												false, TYPALIGN_CHAR));
	values[1] = UUIDPGetDatum(&ids[0]);
	values[2] = UUIDPGetDatum(&ids[count - 1]);
	return postrider_sql_run(&read_by_id, values, NULL, 0);
}

/*
 * The ids of a queue ascend, but for windows that overlap: a transaction
 * that committed late has older ids than what was read before.  So rows are
 * looked up by a sorted copy.
 */
void
postrider_deferred_load(Endpoint *endpoint, int limit, dlist_head *deliveries)
{
	DeferredEntry entries[DEFERRED_BATCH];
	pg_uuid_t	sorted[DEFERRED_BATCH];
	int64		rows[DEFERRED_BATCH];
	int			count = take(&endpoint->deferred, Min(limit, DEFERRED_BATCH), entries);
	uint64		found;

	if (count == 0)
		return;
	for (int i = 0; i < count; i++)
		sorted[i] = entries[i].message_id;
	qsort(sorted, count, sizeof(pg_uuid_t), compare_ids);
	for (int i = 0; i < count; i++)
		rows[i] = -1;
	found = read_messages(sorted, count);
	for (uint64 row = 0; row < found; row++)
	{
		pg_uuid_t	id = postrider_sql_uuid(row, 0);
		pg_uuid_t  *at = bsearch(&id, sorted, count, sizeof(pg_uuid_t), compare_ids);

		if (at)
			rows[at - sorted] = row;
	}
	for (int i = 0; i < count; i++)
	{
		DeferredEntry *entry = &entries[i];
		pg_uuid_t  *at = bsearch(&entry->message_id, sorted, count, sizeof(pg_uuid_t),
								 compare_ids);
		MessageRow	source;
		Delivery   *delivery;

		if (rows[at - sorted] < 0)
		{
			/* Somebody deleted it from the log; nothing is owed any more. */
			postrider_progress_settled(entry->chunk);
			continue;
		}
		postrider_intake_begin(&source, &entry->message_id, rows[at - sorted], 1, 8);
		source.erased = postrider_sql_bool(rows[at - sorted], 9);
		delivery = postrider_delivery_make(&source, endpoint, entry->mapping, deliveries);
		delivery->settle = SETTLE_ATTEMPT;
		delivery->chunk = entry->chunk;
	}
}

void
postrider_deferred_spill(Endpoint *endpoint)
{
	DeferredEntry entries[DEFERRED_BATCH];
	pg_uuid_t	ids[DEFERRED_BATCH];
	MappingReference *mappings[DEFERRED_BATCH];
	int			count = take(&endpoint->deferred, DEFERRED_BATCH, entries);

	for (int i = 0; i < count; i++)
	{
		ids[i] = entries[i].message_id;
		mappings[i] = entries[i].mapping;
	}
	postrider_settle_overflow(endpoint, ids, mappings, count);
	for (int i = 0; i < count; i++)
		postrider_progress_settled(entries[i].chunk);
}

bool
postrider_deferred_is_hopeless(const Endpoint *endpoint, TimestampTz now)
{
	const DeferredQueue *queue = &endpoint->deferred;
	int64		elapsed_ms = (now - queue->since) / 1000;

	return elapsed_ms >= PACE_KNOWN_MS &&
		(int64) queue->count * elapsed_ms > (int64) queue->taken * HOPELESS_S * 1000;
}

void
postrider_deferred_shift(int64 microseconds)
{
	dlist_iter	iter;

	dlist_foreach(iter, &lagging)
		dlist_container(DeferredQueue, node, iter.cur)->since += microseconds;
}
