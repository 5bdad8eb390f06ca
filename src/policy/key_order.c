/*-------------------------------------------------------------------------
 *
 * key_order.c
 *	  Messages of one key strictly in the order of their ids, one at a time.
 *
 * A key is known here from its first message that is let through until there is
 * nothing left of it, in memory or in the table.  Behind the head, some wait in
 * memory and some, "spilled", in the table; of the latter it is known only
 * that no id is below spilled_from.  Once something of a key has been spilled, all
 * that comes is spilled as well, unless it is older than the last one that
 * waits in memory.  When the head has gone, the next one is the first in memory
 * if it is older than everything in the table; else the oldest must be loaded
 * from there.
 *
 * A head that is being retried, and a dead one that blocks, hold all others
 * back.  A retry is known again by its id.  A message that is older than a head
 * which is being retried goes first: that is what happens after a restart, when
 * the head is known from the table before the log has been read again.  While
 * the head is under way, or dead, what is older waits like the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "policy/key_order.h"
#include "utils/memutils.h"

typedef struct WaitingNode
{
	dlist_node	node;
	OrderItem	item;
} WaitingNode;

typedef enum HeadPhase
{
	HEAD_VACANT,				/* there is none; something is in the table */
	HEAD_LET_THROUGH,
	HEAD_RETRYING,				/* it will be offered again */
	HEAD_DEAD					/* it blocks */
} HeadPhase;

typedef struct OrderEntry
{
	KeyBytes	key;
	uint32		hash;
	char		status;			/* of simplehash */
	bool		spilled;		/* there may be some in the table, ... */
	pg_uuid_t	spilled_from;	/* ... none of them older than this */
	HeadPhase	phase;
	pg_uuid_t	head;
	int			waiting_count;
	dlist_head *waiting;		/* of WaitingNode, by id; NULL: none yet.  Not
								 * in here, as entries move */
} OrderEntry;

#define SH_PREFIX order
#define SH_ELEMENT_TYPE OrderEntry
#define SH_KEY_TYPE KeyBytes
#define SH_KEY key
#define SH_HASH_KEY(table, key) postrider_key_hash(key)
#define SH_EQUAL(table, a, b) postrider_key_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) ((entry)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE

/* PostgreSQL 15 has a variable in there that shadows another. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "lib/simplehash.h"
#pragma GCC diagnostic pop

struct KeyOrder
{
	MemoryContext context;		/* holds all of it */
	order_hash *table;
	int			max_keys;
	Size		max_bytes;
	int			max_waiting;
	Size		bytes;			/* of all keys */
	int			waiting;		/* of all keys */
};

static int
compare(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return memcmp(a, b, sizeof(pg_uuid_t));
}

KeyOrder *
postrider_key_order_create(MemoryContext parent, int max_keys, Size max_bytes,
						   int max_waiting)
{
	MemoryContext context = AllocSetContextCreate(parent, "postrider key order",
												  ALLOCSET_SMALL_SIZES);
	KeyOrder   *order = MemoryContextAllocZero(context, sizeof(KeyOrder));

	order->context = context;
	order->table = order_create(context, 16, NULL);
	order->max_keys = max_keys;
	order->max_bytes = max_bytes;
	order->max_waiting = max_waiting;
	return order;
}

void
postrider_key_order_free(KeyOrder *order)
{
	MemoryContextDelete(order->context);
}

/* A new key; NULL if there is no room. */
static OrderEntry *
add_key(KeyOrder *order, KeyBytes key, const pg_uuid_t *head, HeadPhase phase)
{
	OrderEntry *entry;
	char	   *copy;
	bool		found;

	if (order->table->members >= (uint32) order->max_keys ||
		key.length > order->max_bytes - order->bytes)
		return NULL;
	copy = MemoryContextAlloc(order->context, key.length + 1);
	memcpy(copy, key.data, key.length);
	key.data = copy;
	entry = order_insert(order->table, key, &found);
	Assert(!found);
	entry->spilled = false;
	entry->phase = phase;
	entry->head = *head;
	entry->waiting_count = 0;
	entry->waiting = NULL;
	order->bytes += key.length;
	return entry;
}

static void
forget_key(KeyOrder *order, OrderEntry *entry)
{
	char	   *copy = unconstify(char *, entry->key.data);
	dlist_head *waiting = entry->waiting;

	Assert(entry->waiting_count == 0);
	order->bytes -= entry->key.length;
	order_delete_item(order->table, entry);
	pfree(copy);
	if (waiting)
		pfree(waiting);
}

/* Links a message in by its id: nearly always at the end. */
static void
link_waiting(KeyOrder *order, OrderEntry *entry, const pg_uuid_t *id, void *item)
{
	WaitingNode *waiting = MemoryContextAlloc(order->context, sizeof(WaitingNode));
	dlist_iter	iter;

	waiting->item.id = *id;
	waiting->item.item = item;
	entry->waiting_count++;
	order->waiting++;
	dlist_reverse_foreach(iter, entry->waiting)
	{
		if (compare(&dlist_container(WaitingNode, node, iter.cur)->item.id, id) < 0)
		{
			dlist_insert_after(iter.cur, &waiting->node);
			return;
		}
	}
	dlist_push_head(entry->waiting, &waiting->node);
}

static bool
is_behind_waiting(const OrderEntry *entry, const pg_uuid_t *id)
{
	return entry->waiting_count == 0 ||
		compare(&dlist_tail_element(WaitingNode, node, entry->waiting)->item.id, id) < 0;
}

/* Something is in the table that is not older than this id. */
static void
note_spilled(OrderEntry *entry, const pg_uuid_t *id)
{
	if (!entry->spilled || compare(id, &entry->spilled_from) < 0)
		entry->spilled_from = *id;
	entry->spilled = true;
}

static OrderAnswer
put_behind(KeyOrder *order, OrderEntry *entry, const pg_uuid_t *id, void *item,
		   bool from_table)
{
	if ((entry->spilled && !from_table && is_behind_waiting(entry, id)) ||
		entry->waiting_count >= KEY_ORDER_MAX_WAITING ||
		order->waiting >= order->max_waiting)
	{
		note_spilled(entry, id);
		return ORDER_SPILL;
	}
	if (entry->waiting == NULL)
	{
		entry->waiting = MemoryContextAlloc(order->context, sizeof(dlist_head));
		dlist_init(entry->waiting);
	}
	link_waiting(order, entry, id, item);
	return ORDER_WAIT;
}

OrderAnswer
postrider_key_order_offer(KeyOrder *order, KeyBytes key, const pg_uuid_t *id,
						  void *item, bool from_table)
{
	OrderEntry *entry = order_lookup(order->table, key);

	if (entry == NULL)
		return add_key(order, key, id, HEAD_LET_THROUGH) ? ORDER_GO : ORDER_FULL;

	/* What is still in the table comes after this one. */
	if (from_table && entry->spilled && compare(id, &entry->spilled_from) > 0)
		entry->spilled_from = *id;
	switch (entry->phase)
	{
		case HEAD_VACANT:
			if (!from_table)
			{
				note_spilled(entry, id);
				return ORDER_SPILL;
			}
			entry->head = *id;
			entry->phase = HEAD_LET_THROUGH;
			return ORDER_GO;
		case HEAD_RETRYING:
		case HEAD_DEAD:
			if (compare(&entry->head, id) == 0)
			{
				entry->phase = HEAD_LET_THROUGH;
				return ORDER_GO;
			}
			if (entry->phase == HEAD_DEAD || compare(id, &entry->head) > 0)
				break;
			note_spilled(entry, &entry->head);
			entry->head = *id;
			entry->phase = HEAD_LET_THROUGH;
			return ORDER_GO;
		case HEAD_LET_THROUGH:
			break;
	}
	return put_behind(order, entry, id, item, from_table);
}

/* The head has gone: who is next? */
static OrderNext
advance(KeyOrder *order, OrderEntry *entry, OrderItem *next)
{
	WaitingNode *waiting = entry->waiting_count == 0 ? NULL :
		dlist_head_element(WaitingNode, node, entry->waiting);

	if (waiting && (!entry->spilled ||
					compare(&waiting->item.id, &entry->spilled_from) <= 0))
	{
		dlist_delete(&waiting->node);
		*next = waiting->item;
		pfree(waiting);
		entry->waiting_count--;
		order->waiting--;
		entry->head = next->id;
		entry->phase = HEAD_LET_THROUGH;
		return ORDER_ITEM;
	}
	if (entry->spilled)
	{
		entry->phase = HEAD_VACANT;
		return ORDER_LOAD;
	}
	forget_key(order, entry);
	return ORDER_NOTHING;
}

OrderNext
postrider_key_order_end(KeyOrder *order, KeyBytes key, const pg_uuid_t *id,
						OrderResult result, OrderItem *next)
{
	OrderEntry *entry = order_lookup(order->table, key);

	if (entry == NULL || entry->phase != HEAD_LET_THROUGH ||
		compare(&entry->head, id) != 0)
	{
		return ORDER_NOTHING;
	}
	switch (result)
	{
		case ORDER_FINISHED:
			return advance(order, entry, next);
		case ORDER_RETRY:
		case ORDER_PARKED:
			entry->phase = HEAD_RETRYING;
			break;
		case ORDER_DEAD:
			entry->phase = HEAD_DEAD;
			break;
	}
	return ORDER_NOTHING;
}

OrderNext
postrider_key_order_drained(KeyOrder *order, KeyBytes key, OrderItem *next)
{
	OrderEntry *entry = order_lookup(order->table, key);

	if (entry == NULL)
		return ORDER_NOTHING;
	entry->spilled = false;
	return entry->phase == HEAD_VACANT ? advance(order, entry, next) :
		ORDER_NOTHING;
}

bool
postrider_key_order_restore(KeyOrder *order, KeyBytes key, const pg_uuid_t *id,
							bool blocked, bool spilled)
{
	OrderEntry *entry = order_lookup(order->table, key);

	if (entry == NULL)
		entry = add_key(order, key, id, blocked ? HEAD_DEAD : HEAD_RETRYING);
	else if (blocked)
	{
		note_spilled(entry, &entry->head);
		entry->phase = HEAD_DEAD;
		entry->head = *id;
	}
	if (entry == NULL)
		return false;
	if (spilled)
		note_spilled(entry, id);
	return true;
}

OrderNext
postrider_key_order_unblock(KeyOrder *order, KeyBytes key, OrderItem *next)
{
	OrderEntry *entry = order_lookup(order->table, key);

	if (entry == NULL || entry->phase != HEAD_DEAD)
		return ORDER_NOTHING;
	return advance(order, entry, next);
}

bool
postrider_key_order_blocked(const KeyOrder *order, KeyBytes key, pg_uuid_t *id)
{
	OrderEntry *entry = order_lookup(order->table, key);

	if (entry == NULL || entry->phase != HEAD_DEAD)
		return false;
	*id = entry->head;
	return true;
}

int
postrider_key_order_keys(const KeyOrder *order)
{
	return (int) order->table->members;
}

int
postrider_key_order_waiting(const KeyOrder *order)
{
	return order->waiting;
}
