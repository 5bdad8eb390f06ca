/*-------------------------------------------------------------------------
 *
 * health.c
 *	  How the endpoints of a worker stand; see health.h.
 *
 * What a worker knows of its endpoints is in its own memory.  It copies it into
 * shared memory a few times a second while something happens, for all its
 * endpoints at once, under the lock of the shared memory.  Entries are found
 * by their number, which the lane keeps.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "delivery/lane.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "outbox/access.h"
#include "outbox/config.h"
#include "outbox/version.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "worker/health.h"
#include "worker/shmem.h"

#define PUBLISH_MS 200

#define HEALTH_COLUMNS 17

PG_FUNCTION_INFO_V1(postrider_endpoint_status);

static TimestampTz due_at = DT_NOEND;
static TimestampTz published_at = 0;

void
postrider_health_touch(void)
{
	if (due_at == DT_NOEND)
		due_at = TimestampTzPlusMilliseconds(published_at, PUBLISH_MS);
}

TimestampTz
postrider_health_due(void)
{
	return due_at;
}

/* An entry for an endpoint of this database; NULL if there is no room. */
static HealthEntry *
claim_entry(PostriderShared *shared, Lane *lane)
{
	HealthEntry *entry;

	if (lane->health_slot >= 0)
	{
		entry = &shared->health[lane->health_slot];
		if (entry->database == MyDatabaseId && entry->endpoint_id == lane->endpoint->id)
			return entry;
	}
	for (int i = 0; i < POSTRIDER_MAX_HEALTH; i++)
	{
		entry = &shared->health[i];
		if (entry->database != InvalidOid)
			continue;
		memset(entry, 0, sizeof(*entry));
		entry->database = MyDatabaseId;
		entry->endpoint_id = lane->endpoint->id;
		entry->pid = MyProcPid;
		lane->health_slot = i;
		return entry;
	}
	return NULL;
}

static void
copy_rate(HealthEntry *entry, Governor *governor, TimestampTz now)
{
	RateState  *rate = &governor->rate;

	entry->use_count = 0;
	entry->adapted_rate = 0;
	if (governor->group != NULL)
	{
		LWLockAcquire(&governor->group->lock, LW_EXCLUSIVE);
		rate = &governor->group->state;
	}
	if (rate->started)
	{
		entry->use_count = postrider_rate_use(rate, (int64) now, entry->use);
		entry->adapted_rate = postrider_rate_adapted(rate, (int64) now);
	}
	if (governor->group != NULL)
		LWLockRelease(&governor->group->lock);
}

static void
copy_tenant_rate(HealthEntry *entry, Lane *lane, TimestampTz now)
{
	RateGroup  *tenant = lane->governor.tenant;

	entry->tenant_use_count = 0;
	entry->tenant_waits = false;
	if (tenant == NULL)
		return;
	LWLockAcquire(&tenant->lock, LW_EXCLUSIVE);
	entry->tenant_use_count = postrider_rate_use(&tenant->state, (int64) now, entry->tenant_use);
	LWLockRelease(&tenant->lock);
	entry->tenant_waits = lane->queued > 0 &&
		postrider_governor_tenant_next(&lane->governor, now) > now;
}

static void
copy_stats(HealthEntry *entry)
{
	const EndpointStats *stats = postrider_stats_find(entry->endpoint_id);

	entry->minute = stats == NULL ? DT_NOBEGIN : postrider_stats_minute();
	if (stats != NULL)
		entry->stats = *stats;
}

static void
copy_lane(HealthEntry *entry, Lane *lane, TimestampTz now)
{
	const BreakerState *breaker = &lane->governor.breaker;

	entry->in_flight = lane->in_flight;
	entry->in_flight_limit = postrider_governor_limit(&lane->governor);
	entry->queued = lane->queued + lane->endpoint->deferred.count;
	entry->breaker = breaker->phase;
	entry->open_until = breaker->phase == BREAKER_OPEN ? breaker->open_until_us : 0;
	entry->failures = breaker->failures;
	entry->failing_since = breaker->failures > 0 ? breaker->failing_since_us : 0;
	entry->blocked_until = lane->blocked_until > now ? lane->blocked_until : 0;
	entry->last_success_at = lane->last_success_at;
	entry->last_error_at = lane->last_error_at;
	memcpy(entry->last_error, lane->last_error, sizeof(entry->last_error));
	memcpy(entry->last_error_code, lane->last_error_code, sizeof(entry->last_error_code));
	copy_rate(entry, &lane->governor, now);
	copy_tenant_rate(entry, lane, now);
	copy_stats(entry);
}

void
postrider_health_publish(TimestampTz now, bool at_once)
{
	PostriderShared *shared = postrider_shared();
	Endpoint  **endpoints;
	int			count;

	if (due_at > now && !at_once)
		return;
	due_at = DT_NOEND;
	published_at = now;
	count = postrider_config_endpoints(&endpoints);
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < count; i++)
	{
		HealthEntry *entry = claim_entry(shared, endpoints[i]->lane);

		if (entry == NULL)
			break;
		if (endpoints[i]->deleted)
			entry->database = InvalidOid;
		else
			copy_lane(entry, endpoints[i]->lane, now);
	}
	LWLockRelease(shared->lock);
	pfree(endpoints);
}

void
postrider_health_leave(void)
{
	PostriderShared *shared = postrider_shared();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < POSTRIDER_MAX_HEALTH; i++)
	{
		if (shared->health[i].pid == MyProcPid)
			memset(&shared->health[i], 0, sizeof(HealthEntry));
	}
	LWLockRelease(shared->lock);
}

/*
 * The view
 */

static const char *
breaker_name(BreakerPhase phase)
{
	switch (phase)
	{
		case BREAKER_CLOSED:
			return "closed";
		case BREAKER_OPEN:
			return "open";
		case BREAKER_HALF_OPEN:
			return "half_open";
	}
	elog(ERROR, "unexpected phase of a circuit breaker: %d", (int) phase);
}

static Datum
describe_window(const RateUse *use, const char *whose)
{
	Interval	period = {.time = use->period_us};
	char	   *text_of_period = DatumGetCString(DirectFunctionCall1(interval_out,
																	 IntervalPGetDatum(&period)));

	return CStringGetTextDatum(psprintf("%lld of %d in %s%s", (long long) use->used,
										use->limit, text_of_period, whose));
}

/* ["37 of 100 in 00:00:10", "40 of 200 in 00:00:10 of the tenant"] */
static Datum
describe_use(const HealthEntry *entry)
{
	Datum		texts[2 * RATE_MAX_WINDOWS];
	int			count = 0;

	for (int i = 0; i < entry->use_count; i++)
		texts[count++] = describe_window(&entry->use[i], "");
	for (int i = 0; i < entry->tenant_use_count; i++)
		texts[count++] = describe_window(&entry->tenant_use[i], " of the tenant");
	return PointerGetDatum(construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* The largest share of a limit that is used; -1 without limits. */
static float4
used_share(const HealthEntry *entry)
{
	float4		share = -1;

	for (int i = 0; i < entry->use_count; i++)
		share = Max(share, (float4) ((double) entry->use[i].used / entry->use[i].limit));
	for (int i = 0; i < entry->tenant_use_count; i++)
		share = Max(share, (float4) ((double) entry->tenant_use[i].used / entry->tenant_use[i].limit));
	return share;
}

static void
put_row(ReturnSetInfo *result, const HealthEntry *entry)
{
	Datum		values[HEALTH_COLUMNS];
	bool		nulls[HEALTH_COLUMNS] = {false};
	int			column = 0;

#define PUT(value, isnull) \
	do { \
		nulls[column] = (isnull); \
		values[column++] = (value); \
	} while (0)

	PUT(Int32GetDatum(entry->endpoint_id), false);
	PUT(Int32GetDatum((int32) entry->pid), false);
	PUT(Int32GetDatum(entry->in_flight), false);
	PUT(Int32GetDatum(entry->in_flight_limit), false);
	PUT(Int32GetDatum(entry->queued), false);
	PUT(CStringGetTextDatum(breaker_name(entry->breaker)), false);
	PUT(TimestampTzGetDatum(entry->open_until), entry->open_until == 0);
	PUT(TimestampTzGetDatum(entry->blocked_until), entry->blocked_until == 0);
	PUT(Int64GetDatum(entry->failures), false);
	PUT(TimestampTzGetDatum(entry->failing_since), entry->failing_since == 0);
	PUT(describe_use(entry), entry->use_count + entry->tenant_use_count == 0);
	PUT(Float4GetDatum(used_share(entry)), entry->use_count + entry->tenant_use_count == 0);
	PUT(TimestampTzGetDatum(entry->last_success_at), entry->last_success_at == 0);
	PUT(CStringGetTextDatum(entry->last_error), entry->last_error[0] == '\0');
	PUT(TimestampTzGetDatum(entry->last_error_at), entry->last_error_at == 0);
	PUT(CStringGetTextDatum(entry->last_error_code), entry->last_error_code[0] == '\0');
	PUT(BoolGetDatum(entry->tenant_waits), false);
#undef PUT
	Assert(column == HEALTH_COLUMNS);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static SqlStatement find_visible = {
	.text = "select e.id from postrider.endpoint e where postrider.sees_tenant(e.tenant)"
};

/* The endpoints that a session that is bound to a tenant may see. */
static List *
visible_endpoints(void)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	List	   *ids = NIL;
	SqlScope	sql;
	uint64		count;

	postrider_sql_enter(&sql);
	count = postrider_sql_run(&find_visible, NULL, NULL, 0);
	old = MemoryContextSwitchTo(context);
	for (uint64 row = 0; row < count; row++)
		ids = lappend_int(ids, postrider_sql_int32(row, 0));
	MemoryContextSwitchTo(old);
	postrider_sql_leave(&sql);
	return ids;
}

/* SQL: postrider.endpoint_status(): a row for each endpoint a worker knows. */
Datum
postrider_endpoint_status(PG_FUNCTION_ARGS)
{
	PostriderShared *shared = postrider_shared();
	HealthEntry *copies = palloc(sizeof(shared->health));
	int			count = 0;
	bool		bound = postrider_bound_tenant() != NULL;
	List	   *visible = bound ? visible_endpoints() : NIL;

	postrider_begin_rows(fcinfo, HEALTH_COLUMNS);
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < POSTRIDER_MAX_HEALTH; i++)
	{
		if (shared->health[i].database == MyDatabaseId)
			copies[count++] = shared->health[i];
	}
	LWLockRelease(shared->lock);
	for (int i = 0; i < count; i++)
	{
		if (!bound || list_member_int(visible, copies[i].endpoint_id))
			put_row((ReturnSetInfo *) fcinfo->resultinfo, &copies[i]);
	}
	return (Datum) 0;
}
