/*-------------------------------------------------------------------------
 *
 * key_gate.c
 *	  One message of a key at a time; see key_gate.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "delivery/key_gate.h"
#include "delivery/lane.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

static HTAB *entries = NULL;
static dlist_head touched = DLIST_STATIC_INIT(touched);
static int	touched_count = 0;

/* The first fields of a KeyEntry. */
typedef struct KeyName
{
	int32		endpoint_id;
	const char *key;
} KeyName;

static uint32
hash_name(const void *name, Size size)
{
	const KeyName *of = name;

	return hash_combine(hash_bytes_uint32((uint32) of->endpoint_id),
						hash_bytes((const unsigned char *) of->key, (int) strlen(of->key)));
}

static int
compare_names(const void *a, const void *b, Size size)
{
	const KeyName *left = a;
	const KeyName *right = b;

	return left->endpoint_id == right->endpoint_id ? strcmp(left->key, right->key) : 1;
}

static KeyEntry *
find(const Endpoint *endpoint, const char *key)
{
	KeyName		name = {.endpoint_id = endpoint->id, .key = key};

	return entries ? hash_search(entries, &name, HASH_FIND, NULL) : NULL;
}

static KeyEntry *
add(Endpoint *endpoint, const char *key)
{
	KeyName		name = {.endpoint_id = endpoint->id};
	KeyEntry   *entry;

	if (entries == NULL)
	{
		HASHCTL		control = {
			.keysize = sizeof(KeyName),
			.entrysize = sizeof(KeyEntry),
			.hash = hash_name,
			.match = compare_names,
			.hcxt = TopMemoryContext
		};

		entries = hash_create("postrider keys", 256, &control,
							  HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	}
	name.key = MemoryContextStrdup(TopMemoryContext, key);
	entry = hash_search(entries, &name, HASH_ENTER, NULL);
	entry->endpoint = endpoint;
	entry->head = NULL;
	dlist_init(&entry->waiting);
	entry->waiting_count = 0;
	entry->in_table = false;
	entry->touched = false;
	return entry;
}

static void
touch(KeyEntry *entry)
{
	if (entry->touched)
		return;
	entry->touched = true;
	dlist_push_tail(&touched, &entry->touched_node);
	touched_count++;
}

static void
untouch(KeyEntry *entry)
{
	dlist_delete(&entry->touched_node);
	entry->touched = false;
	touched_count--;
}

static void
remove_if_idle(KeyEntry *entry)
{
	char	   *key = unconstify(char *, entry->key);

	if (entry->head || entry->waiting_count > 0 || entry->in_table || entry->touched)
		return;
	hash_search(entries, entry, HASH_REMOVE, NULL);
	pfree(key);
}

/* Order: are all keys known that have rows in the table? */
static bool
rows_possible(const KeyEntry *entry)
{
	return entry->in_table || !entry->endpoint->lane->keys_known;
}

static int
compare_ids(const Delivery *a, const Delivery *b)
{
	return memcmp(&a->message->id, &b->message->id, UUID_LEN);
}

static void
make_head(KeyEntry *entry, Delivery *delivery, GateEffects *effects)
{
	entry->head = delivery;
	delivery->key_entry = entry;
	dlist_push_tail(&effects->go, &delivery->node);
}

static Delivery *
pop_waiting(KeyEntry *entry)
{
	entry->waiting_count--;
	entry->endpoint->lane->waiting--;
	return dlist_container(Delivery, node, dlist_pop_head_node(&entry->waiting));
}

/* All that waits goes to the table. */
static void
flush(KeyEntry *entry, GateEffects *effects)
{
	while (entry->waiting_count > 0)
		dlist_push_tail(&effects->park, &pop_waiting(entry)->node);
}

/* In the order of ids; the newest one comes last as a rule. */
static void
add_waiting(KeyEntry *entry, Delivery *delivery)
{
	dlist_node *after = &entry->waiting.head;
	dlist_iter	iter;

	dlist_reverse_foreach(iter, &entry->waiting)
	{
		if (compare_ids(dlist_container(Delivery, node, iter.cur), delivery) < 0)
		{
			after = iter.cur;
			break;
		}
	}
	dlist_insert_after(after, &delivery->node);
	entry->waiting_count++;
	entry->endpoint->lane->waiting++;
}

static void
park(KeyEntry *entry, Delivery *delivery, GateEffects *effects)
{
	flush(entry, effects);
	entry->in_table = true;
	touch(entry);
	dlist_push_tail(&effects->park, &delivery->node);
}

/* Is there room for one more to wait? */
static bool
may_wait(const KeyEntry *entry)
{
	return entry->waiting_count < KEY_GATE_MAX_WAITING &&
		entry->endpoint->lane->waiting < LANE_CAPACITY;
}

static void
enter_in_order(KeyEntry *entry, Delivery *delivery, bool full, GateEffects *effects)
{
	Endpoint   *endpoint = delivery->endpoint;
	Lane	   *lane = endpoint->lane;
	bool		from_table = delivery->has_pending_row;

	if (entry == NULL)
	{
		if (!from_table && postrider_key_gate_room() == 0)
		{
			/* Nobody will remember the key: worker/keys.c looks for it. */
			lane->keys_known = false;
			dlist_push_tail(&effects->park, &delivery->node);
			return;
		}
		entry = add(endpoint, delivery->message->key);
		entry->in_table = from_table;
	}
	if (entry->head == NULL && (from_table || !(rows_possible(entry) || full)))
		make_head(entry, delivery, effects);
	else if (from_table || rows_possible(entry) || full || !may_wait(entry))
		park(entry, delivery, effects);
	else
		add_waiting(entry, delivery);
}

static void
supersede(Delivery *delivery, GateEffects *effects)
{
	dlist_push_tail(&effects->superseded, &delivery->node);
}

static void
enter_newest(KeyEntry *entry, Delivery *delivery, GateEffects *effects)
{
	Delivery   *other;

	if (entry == NULL)
		entry = add(delivery->endpoint, delivery->message->key);
	if (entry->head == NULL)
	{
		make_head(entry, delivery, effects);
		return;
	}
	if (compare_ids(delivery, entry->head) <= 0)
	{
		supersede(delivery, effects);
		return;
	}
	if (entry->head->in_queue)
	{
		other = entry->head;
		other->key_entry = NULL;
		postrider_lane_remove(entry->endpoint->lane, other);
		effects->taken_from_lane++;
		supersede(other, effects);
		make_head(entry, delivery, effects);
		return;
	}
	if (entry->waiting_count > 0)
	{
		other = dlist_head_element(Delivery, node, &entry->waiting);
		if (compare_ids(delivery, other) <= 0)
		{
			supersede(delivery, effects);
			return;
		}
		supersede(pop_waiting(entry), effects);
	}
	add_waiting(entry, delivery);
}

void
postrider_gate_effects_init(GateEffects *effects)
{
	dlist_init(&effects->go);
	dlist_init(&effects->park);
	dlist_init(&effects->superseded);
	effects->taken_from_lane = 0;
}

bool
postrider_key_gate_concerns(const Delivery *delivery)
{
	const Endpoint *endpoint = delivery->endpoint;

	return (endpoint->policy.ordered || endpoint->policy.coalesce) &&
		delivery->message->key != NULL && !endpoint->deleted;
}

void
postrider_key_gate_enter(Delivery *delivery, bool full, GateEffects *effects)
{
	KeyEntry   *entry = find(delivery->endpoint, delivery->message->key);

	if (delivery->endpoint->policy.ordered)
		enter_in_order(entry, delivery, full, effects);
	else if (full)
		dlist_push_tail(&effects->park, &delivery->node);
	else
		enter_newest(entry, delivery, effects);
}

/* May the next one of the key go, now that this one has come so far? */
static bool
is_over(const Delivery *delivery)
{
	if (delivery->settle != SETTLE_ATTEMPT || delivery->result.outcome == OUTCOME_RETRY)
		return false;
	return delivery->result.outcome != OUTCOME_DEAD ||
		!delivery->endpoint->policy.ordered || !delivery->endpoint->policy.blocks_on_dead;
}

void
postrider_key_gate_leave(Delivery *delivery, GateEffects *effects)
{
	KeyEntry   *entry = delivery->key_entry;
	bool		ordered = delivery->endpoint->policy.ordered;

	delivery->key_entry = NULL;
	entry->head = NULL;
	if (!ordered && entry->waiting_count > 0 && delivery->settle == SETTLE_ATTEMPT &&
		delivery->result.outcome == OUTCOME_RETRY)
		delivery->result.outcome = OUTCOME_SUPERSEDED;

	if (!is_over(delivery))
	{
		flush(entry, effects);
		entry->in_table = ordered;
	}
	else if (entry->waiting_count > 0)
	{
		make_head(entry, pop_waiting(entry), effects);
		return;
	}
	if (ordered && rows_possible(entry))
		touch(entry);
	remove_if_idle(entry);
}

void
postrider_key_gate_empty(Endpoint *endpoint, GateEffects *effects)
{
	HASH_SEQ_STATUS scan;
	KeyEntry   *entry;

	if (entries == NULL || endpoint->lane->waiting == 0)
		return;
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->endpoint != endpoint || entry->waiting_count == 0)
			continue;
		flush(entry, effects);
		if (endpoint->policy.ordered)
		{
			entry->in_table = true;
			touch(entry);
		}
	}
}

void
postrider_key_gate_forget(const Endpoint *endpoint)
{
	HASH_SEQ_STATUS scan;
	KeyEntry   *entry;

	if (entries == NULL)
		return;
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->endpoint != endpoint)
			continue;
		if (entry->touched)
			untouch(entry);
		entry->in_table = false;
		remove_if_idle(entry);
	}
}

int
postrider_key_gate_room(void)
{
	return entries ? Max(KEY_GATE_MAX_KEYS - (int) hash_get_num_entries(entries), 0) :
		KEY_GATE_MAX_KEYS;
}

bool
postrider_key_gate_learn(Endpoint *endpoint, const char *key)
{
	KeyEntry   *entry = find(endpoint, key);

	if (entry == NULL)
	{
		if (postrider_key_gate_room() == 0)
			return false;
		entry = add(endpoint, key);
	}
	entry->in_table = true;
	touch(entry);
	return true;
}

int
postrider_key_gate_touched(KeyEntry ***result)
{
	dlist_iter	iter;
	int			count = 0;

	if (touched_count == 0)
		return 0;
	*result = palloc(sizeof(KeyEntry *) * touched_count);
	dlist_foreach(iter, &touched)
		(*result)[count++] = dlist_container(KeyEntry, touched_node, iter.cur);
	return count;
}

void
postrider_key_gate_looked_at(KeyEntry *entry, bool has_rows)
{
	untouch(entry);
	entry->in_table = has_rows;
	remove_if_idle(entry);
}
