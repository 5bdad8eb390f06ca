/*-------------------------------------------------------------------------
 *
 * tenant_limit.c
 *	  What a tenant may emit.
 *
 * A backend keeps the limits of the tenants that it has met; also that one has none.
 * So a message without a tenant costs nothing, and one of a tenant a look into a hash
 * table.  As with the schemas of topics (topic_schema.c explains it in full) the
 * relation cache tells of changes, and the row is read with the latest snapshot.
 *
 * Messages are counted in shared memory, where they are written, before their
 * transaction commits: so concurrent transactions can never emit more than the limit
 * together.  What a transaction has counted it remembers by subtransaction, and takes
 * it back when that is rolled back.  A transaction that is prepared keeps it.
 *
 * Which limits hold is said with each message, not once: a session that has changed
 * them and then rolled back leaves nothing behind.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "outbox/latest_row.h"
#include "outbox/tenant_limit.h"
#include "outbox/tenant_row.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/rate_group.h"

/* Tenants that a backend remembers; then it starts over. */
#define CACHE_SIZE 2000

typedef struct Tenant
{
	char		name[TENANT_MAX_NAME_BYTES + 1];	/* hash key */
	TenantLimits limits;
	RateGroup  *messages;		/* NULL: not looked up yet */
	uint32		generation;		/* of it, when it was */
	bool		no_room;		/* there is none; a warning has been given */
} Tenant;

static HTAB *cache = NULL;
static bool cache_is_stale = false;
static Oid	tenant_table = InvalidOid;

/* What a subtransaction has counted for a tenant; in TopTransactionContext. */
typedef struct Spent
{
	RateGroup  *messages;
	uint32		generation;
	SubTransactionId subtransaction;
	TimestampTz since;
	TimestampTz until;
	int64		count;
} Spent;

static List *spent = NIL;
static bool watching = false;	/* the ends of transactions */

/*
 * The cache
 */

static void
relation_changed(Datum arg, Oid relation)
{
	if (!OidIsValid(relation) || relation == tenant_table)
		cache_is_stale = true;
}

static void
prepare_cache(void)
{
	HASHCTL		control = {
		.keysize = TENANT_MAX_NAME_BYTES + 1,
		.entrysize = sizeof(Tenant),
		.hcxt = CacheMemoryContext
	};

	if (cache == NULL)
		CacheRegisterRelcacheCallback(relation_changed, 0);
	else if (cache_is_stale || hash_get_num_entries(cache) >= CACHE_SIZE)
		hash_destroy(cache);
	else
		return;
	cache = NULL;
	cache = hash_create("postrider tenants", 16, &control,
						HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);

	/* Looking may bring another change, which must not be forgotten. */
	cache_is_stale = false;
	tenant_table = postrider_relation("tenant");
}

/* Without a row, or with one that cannot be read, there are no limits. */
static void
read_limits(const char *name, TenantLimits *limits)
{
	TupleDesc	desc;
	HeapTuple	row = postrider_latest_row("tenant", "tenant_pkey", "name", name, &desc);
	PolicyProblem problem;

	memset(limits, 0, sizeof(*limits));
	if (row != NULL && !postrider_tenant_row_read(row, desc, limits, &problem))
		ereport(WARNING,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("tenant \"%s\" has no limits: its %s %s", name, problem.column,
						problem.problem)));
}

/* NULL if there cannot be a row. */
static Tenant *
find_tenant(text *name)
{
	char		key[TENANT_MAX_NAME_BYTES + 1];
	int			length = VARSIZE_ANY_EXHDR(name);
	Tenant	   *tenant;
	TenantLimits limits;

	if (length > TENANT_MAX_NAME_BYTES)
		return NULL;
	memcpy(key, VARDATA_ANY(name), length);
	key[length] = '\0';

	/* A transaction that emits again must see what was committed meanwhile. */
	AcceptInvalidationMessages();
	prepare_cache();
	tenant = hash_search(cache, key, HASH_FIND, NULL);
	if (tenant != NULL)
		return tenant;
	read_limits(key, &limits);
	tenant = hash_search(cache, key, HASH_ENTER, NULL);
	memset((char *) tenant + offsetof(Tenant, limits), 0, sizeof(Tenant) - offsetof(Tenant, limits));
	tenant->limits = limits;
	return tenant;
}

void
postrider_tenant_require_size(text *tenant_name, Jsonb *payload, const char *topic)
{
	Tenant	   *tenant = tenant_name ? find_tenant(tenant_name) : NULL;
	Size		size = VARSIZE_ANY_EXHDR(payload);

	if (tenant == NULL || tenant->limits.max_payload_bytes == 0 ||
		size <= (Size) tenant->limits.max_payload_bytes)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("payload of a message on topic \"%s\" is too large for tenant \"%s\"",
					topic, tenant->name),
			 errdetail("It has %zu bytes as jsonb; max_payload_bytes of the tenant allows %d.",
					   size, tenant->limits.max_payload_bytes),
			 errhint("Send a reference to the data, or list the columns that matter in postrider.watch().")));
}

/*
 * Counting
 */

static void
take_back(const Spent *entry)
{
	LWLockAcquire(&entry->messages->lock, LW_EXCLUSIVE);
	if (entry->messages->generation == entry->generation)
		postrider_rate_put_back_many(&entry->messages->state, (int64) entry->since,
									 (int64) entry->until, entry->count);
	LWLockRelease(&entry->messages->lock);
}

static Spent *
find_spent(RateGroup *messages, uint32 generation, SubTransactionId subtransaction)
{
	ListCell   *cell;

	foreach(cell, spent)
	{
		Spent	   *entry = lfirst(cell);

		if (entry->messages == messages && entry->generation == generation &&
			entry->subtransaction == subtransaction)
			return entry;
	}
	return NULL;
}

/* The end of a subtransaction: it belongs to its parent now, or never was. */
static void
subtransaction_ended(SubXactEvent event, SubTransactionId ended, SubTransactionId parent,
					 void *arg)
{
	ListCell   *cell;

	if (spent == NIL || (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	foreach(cell, spent)
	{
		Spent	   *entry = lfirst(cell);
		Spent	   *before;

		if (entry->subtransaction != ended)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			take_back(entry);
		else
		{
			before = find_spent(entry->messages, entry->generation, parent);
			if (before == NULL)
			{
				entry->subtransaction = parent;
				continue;
			}
			before->until = Max(before->until, entry->until);
			before->count += entry->count;
		}
		pfree(entry);
		spent = foreach_delete_current(spent, cell);
	}
}

static void
transaction_ended(XactEvent event, void *arg)
{
	ListCell   *cell;

	if (spent == NIL)
		return;
	switch (event)
	{
		case XACT_EVENT_ABORT:
			foreach(cell, spent)
				take_back(lfirst(cell));
			spent = NIL;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			spent = NIL;
			break;
		default:
			break;
	}
}

/* The entry of this subtransaction, made before anything is counted. */
static Spent *
open_account(Tenant *tenant, TimestampTz now)
{
	SubTransactionId here = GetCurrentSubTransactionId();
	Spent	   *entry = find_spent(tenant->messages, tenant->generation, here);
	MemoryContext old;

	if (!watching)
	{
		RegisterXactCallback(transaction_ended, NULL);
		RegisterSubXactCallback(subtransaction_ended, NULL);
		watching = true;
	}
	if (entry != NULL)
		return entry;
	old = MemoryContextSwitchTo(TopTransactionContext);
	entry = palloc0(sizeof(Spent));
	entry->messages = tenant->messages;
	entry->generation = tenant->generation;
	entry->subtransaction = here;
	entry->since = now;
	spent = lappend(spent, entry);
	MemoryContextSwitchTo(old);
	return entry;
}

/* Finds the count of a tenant's messages in shared memory. */
static void
find_messages(Tenant *tenant, TimestampTz now)
{
	SqlScope	scope;
	char		name[TENANT_MAX_NAME_BYTES + 1];
	RatePolicy	policy = tenant->limits.messages;
	RateGroup  *messages;
	text	   *key;

	strlcpy(name, tenant->name, sizeof(name));
	postrider_sql_enter(&scope);
	messages = postrider_rate_group(MESSAGES_OF_TENANT, name, &policy, now);
	postrider_sql_leave(&scope);

	/* That may have emptied the cache. */
	key = cstring_to_text(name);
	tenant = find_tenant(key);
	tenant->messages = messages;
	tenant->no_room = messages == NULL;
	if (messages != NULL)
		tenant->generation = messages->generation;
}

static void
refuse(const Tenant *tenant, TimestampTz now, TimestampTz next, const RateUse *use, int count)
{
	StringInfoData detail;

	initStringInfo(&detail);
	for (int i = 0; i < count; i++)
	{
		Interval	period = {.time = use[i].period_us};

		if (use[i].used >= use[i].limit)
			appendStringInfo(&detail, "It has emitted %lld in the last %s. ",
							 (long long) use[i].used,
							 DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(&period))));
	}
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("tenant \"%s\" has emitted as many messages as it may", tenant->name),
			 errdetail("%smessage_limits lets the next one through at %s.", detail.data,
					   timestamptz_to_str(next)),
			 errhint("Try again then, or have somebody who is bound to no tenant raise message_limits in postrider.tenant.")));
}

void
postrider_tenant_count_message(text *tenant_name)
{
	Tenant	   *tenant = tenant_name ? find_tenant(tenant_name) : NULL;
	TimestampTz now;
	TimestampTz next = 0;
	RateUse		use[RATE_MAX_WINDOWS];
	RateGroup  *messages;
	Spent	   *entry;
	int			count = 0;
	int			ignored;
	bool		is_other;
	bool		taken = false;

	if (tenant == NULL || tenant->limits.messages.count == 0 || tenant->no_room)
		return;
	now = GetCurrentTimestamp();
	if (tenant->messages == NULL)
	{
		find_messages(tenant, now);
		postrider_tenant_count_message(tenant_name);
		return;
	}
	messages = tenant->messages;
	entry = open_account(tenant, now);

	LWLockAcquire(&messages->lock, LW_EXCLUSIVE);
	is_other = messages->generation != tenant->generation;
	if (!is_other)
	{
		postrider_rate_configure(&messages->state, &tenant->limits.messages, (int64) now);
		taken = postrider_rate_take(&messages->state, (int64) now, &ignored);
		if (!taken)
		{
			next = (TimestampTz) postrider_rate_next_us(&messages->state, (int64) now);
			count = postrider_rate_use(&messages->state, (int64) now, use);
		}
	}
	LWLockRelease(&messages->lock);

	if (is_other)
	{
		tenant->messages = NULL;
		postrider_tenant_count_message(tenant_name);
		return;
	}
	if (!taken)
		refuse(tenant, now, next, use, count);
	entry->until = now;
	entry->count++;
}
