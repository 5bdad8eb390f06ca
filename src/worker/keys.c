/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  The gate of keys and the table pending; see keys.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "delivery/engine.h"
#include "delivery/key_gate.h"
#include "outbox/config.h"
#include "outbox/key_table.h"
#include "outbox/settle.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/feed.h"
#include "worker/keys.h"
#include "worker/step.h"

/* While there are too many keys to know them all, they are gone through so often. */
#define LEARN_MS 1000

/* Of what is looked at in a transaction, until it is committed. */
static KeyEntry **looked_at = NULL;
static OrderedKey *keys = NULL;
static int	key_count = 0;
static Delivery **leased = NULL;
static int	leased_count = 0;

static TimestampTz learn_at = DT_NOEND;

/* These must outlive the transaction. */
static void
take_touched(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	key_count = postrider_key_gate_touched(&looked_at);
	if (key_count > 0)
	{
		keys = palloc(sizeof(OrderedKey) * key_count);
		leased = palloc(sizeof(Delivery *) * key_count);
	}
	leased_count = 0;
	for (int i = 0; i < key_count; i++)
	{
		keys[i].endpoint = looked_at[i]->endpoint;
		keys[i].key = looked_at[i]->key;
		keys[i].has_rows = false;
		if (looked_at[i]->head && looked_at[i]->in_table)
			leased[leased_count++] = looked_at[i]->head;
	}
	MemoryContextSwitchTo(old);
}

bool
postrider_keys_settle(void)
{
	/* What is promoted is due from now() on, which is this. */
	TimestampTz now = GetCurrentTransactionStartTimestamp();

	take_touched();
	if (key_count == 0)
		return false;
	if (leased_count > 0)
		postrider_lease_write_these(leased, leased_count);
	if (postrider_key_table_promote(keys, key_count) == 0)
		return false;
	for (int i = 0; i < key_count; i++)
		keys[i].endpoint->pending_due_at = Min(keys[i].endpoint->pending_due_at, now);
	return true;
}

void
postrider_keys_settled(void)
{
	if (key_count == 0)
		return;
	postrider_lease_done_these(leased, leased_count);
	for (int i = 0; i < key_count; i++)
		postrider_key_gate_looked_at(looked_at[i], keys[i].has_rows);
	pfree(looked_at);
	pfree(keys);
	pfree(leased);
	key_count = 0;
}

/*
 * The same where no outcomes are written: those that wait to be written may be
 * rows of the keys in question.
 */
static void
look_at_keys(TimestampTz now)
{
	if (postrider_engine_finished_count() == 0 && postrider_keys_settle())
		postrider_feed_pending_due(now);
}

void
postrider_keys_forget_those_of(Endpoint *endpoint)
{
	endpoint->lane->keys_known = false;
	learn_at = DT_NOBEGIN;
}

void
postrider_keys_demote(Endpoint *const *endpoints, int count)
{
	OrderedKey *demoted;
	int			found = postrider_key_table_demote(endpoints, count, &demoted);

	for (int i = 0; i < found; i++)
	{
		if (postrider_key_gate_learn(demoted[i].endpoint, demoted[i].key))
			continue;
		postrider_keys_forget_those_of(demoted[i].endpoint);
	}
	if (found > 0)
		look_at_keys(GetCurrentTimestamp());
}

/* False if there are too many keys. */
static bool
learn(Endpoint *endpoint)
{
	int			room = postrider_key_gate_room() / 2;
	char	  **found;
	int			count = postrider_key_table_keys(endpoint, room + 1, &found);

	if (count > room)
		return false;
	for (int i = 0; i < count; i++)
		(void) postrider_key_gate_learn(endpoint, found[i]);
	return true;
}

void
postrider_keys_learn(TimestampTz now)
{
	Endpoint  **endpoints;
	int			count;

	if (learn_at > now)
		return;
	learn_at = DT_NOEND;
	count = postrider_config_endpoints(&endpoints);
	postrider_step_begin("learning the order of keys");
	for (int i = 0; i < count; i++)
	{
		Endpoint   *endpoint = endpoints[i];
		Lane	   *lane = endpoint->lane;

		if (!endpoint->policy.ordered || endpoint->deleted || !endpoint->enabled ||
			lane->keys_known)
			continue;
		lane->keys_known = learn(endpoint);
		if (lane->keys_known)
			continue;
		postrider_key_table_promote_all(endpoint);
		endpoint->pending_due_at = Min(endpoint->pending_due_at, now);
		postrider_feed_pending_due(now);
		learn_at = TimestampTzPlusMilliseconds(now, LEARN_MS);
	}
	look_at_keys(now);
	postrider_step_commit();
	postrider_keys_settled();
}

void
postrider_keys_forget(void)
{
	Endpoint  **endpoints;
	int			count = postrider_config_endpoints(&endpoints);

	for (int i = 0; i < count; i++)
	{
		if (endpoints[i]->policy.ordered)
			postrider_keys_forget_those_of(endpoints[i]);
	}
	pfree(endpoints);
}

TimestampTz
postrider_keys_due(void)
{
	return learn_at;
}
