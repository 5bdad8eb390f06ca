/*-------------------------------------------------------------------------
 *
 * config.c
 *	  The configuration in a worker's memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "content/filter.h"
#include "content/header.h"
#include "content/response_rule.h"
#include "content/topic.h"
#include "outbox/auth_row.h"
#include "outbox/config.h"
#include "outbox/function_row.h"
#include "outbox/mapping_reference.h"
#include "outbox/policy_row.h"
#include "outbox/batch_row.h"
#include "outbox/request_row.h"
#include "outbox/response_row.h"
#include "outbox/secret_load.h"
#include "outbox/sensitive.h"
#include "outbox/shard.h"
#include "outbox/tenant_config.h"
#include "util/id.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

static SqlStatement select_endpoints = {
	.text =
	"select e.id, e.name, e.tenant, e.url, e.method, e.headers, e.timeout,"
	" e.max_attempts, e.backoff_base, e.backoff_max, e.retry_schedule,"
	" e.enabled and e.paused_at is null, e.response_rules,"
	POSTRIDER_POLICY_COLUMNS(" e") "," POSTRIDER_RESPONSE_COLUMNS(" e") ","
	POSTRIDER_REQUEST_COLUMNS(" e") "," POSTRIDER_AUTH_COLUMNS(" e") ", e.run_as"
	" from postrider.endpoint e"
	" where e.id % $2 = $1",
	.argument_count = 2,
	.argument_types = {INT4OID, INT4OID}
};

static SqlStatement find_by_name = {
	.text = "select from postrider.endpoint where name = $1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement select_subscriptions = {
	.text =
	"select e.id, s.topic, s.filter, s.after_id, s.mapping, s.mapping_version"
	" from postrider.subscription s join postrider.endpoint e on e.name = s.endpoint"
	" where s.enabled order by s.id"
};

/* Of all shards: the limits of all endpoints of a group hold for each. */
static SqlStatement select_rate_groups = {
	.text = "select" POSTRIDER_POLICY_COLUMNS(" e")
	" from postrider.endpoint e where e.rate_group is not null"
};

/* One entry per endpoint, by pointer, as lanes and deliveries point to it. */
typedef struct EndpointEntry
{
	int32		id;				/* hash key */
	Endpoint   *endpoint;
	bool		seen;			/* in the load that is going on */
} EndpointEntry;

/* The limits of a rate group, put together. */
typedef struct RateGroupPolicy
{
	char		name[POLICY_MAX_GROUP_BYTES + 1];
	RatePolicy	rate;
} RateGroupPolicy;

static HTAB *endpoints = NULL;
static MemoryContext group_context = NULL;
static RateGroupPolicy *groups = NULL;
static int	group_count = 0;
static MemoryContext subscription_context = NULL;
static Subscription *subscriptions = NULL;
static int	subscription_count = 0;
static RouteTarget *route_targets = NULL;

static EndpointEntry *
find_entry(int32 id, HASHACTION action, bool *found)
{
	if (endpoints == NULL)
	{
		HASHCTL		control = {
			.keysize = sizeof(int32),
			.entrysize = sizeof(EndpointEntry),
			.hcxt = TopMemoryContext
		};

		endpoints = hash_create("postrider endpoints", 64, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	return hash_search(endpoints, &id, action, found);
}

Endpoint *
postrider_config_endpoint(int32 id)
{
	EndpointEntry *entry = find_entry(id, HASH_FIND, NULL);

	return entry ? entry->endpoint : NULL;
}

static int64
interval_at(uint64 row, int column)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(row, column, &isnull);

	return isnull ? 0 : postrider_interval_ms(DatumGetIntervalP(value));
}

static void
read_schedule(uint64 row, int column, Endpoint *endpoint, MemoryContext context)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(row, column, &isnull);
	Datum	   *elements;
	int			count;

	endpoint->schedule_length = 0;
	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(value), INTERVALOID, sizeof(Interval),
					  false, TYPALIGN_DOUBLE, &elements, NULL, &count);
	endpoint->schedule_ms = MemoryContextAlloc(context, sizeof(int64) * Max(count, 1));
	for (int i = 0; i < count; i++)
		endpoint->schedule_ms[i] =
			postrider_interval_ms(DatumGetIntervalP(elements[i]));
	endpoint->schedule_length = count;
}

/* A policy that makes no sense can only be there if the trigger was disabled. */
static void
read_policy(uint64 row, Endpoint *endpoint)
{
	TupleDesc	desc;
	HeapTuple	tuple = postrider_sql_row(row, &desc);
	PolicyProblem problem;

	if (!postrider_policy_read(desc, tuple, &endpoint->policy, &problem))
		postrider_log_endpoint_problem(endpoint->name, problem.column, problem.problem,
									   "the endpoint has the default policy");
}

/* As a policy; made in the current context. */
static void
read_rules(Jsonb *document, Endpoint *endpoint)
{
	List	   *problems = NIL;

	if (document == NULL)
		return;
	endpoint->response_rules = postrider_response_rules_compile(document, &problems);
	if (endpoint->response_rules == NULL)
	{
		ResponseRuleProblem *problem = linitial(problems);

		postrider_log_endpoint_problem(endpoint->name, "response_rules",
									   psprintf("%s %s", problem->position, problem->problem),
									   "the endpoint has no response rules");
	}
}

/* Fills in an endpoint's policy from a row. */
static void
read_endpoint(uint64 row, Endpoint *endpoint, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Jsonb	   *headers = postrider_sql_jsonb(row, 5);
	TupleDesc	desc;
	HeapTuple	tuple;

	endpoint->name = postrider_sql_text(row, 1, context);
	endpoint->tenant = postrider_sql_text(row, 2, context);
	endpoint->url = postrider_sql_text(row, 3, context);
	endpoint->method = postrider_sql_text(row, 4, context);
	endpoint->header_count = headers ?
		postrider_headers_unpack(headers, &endpoint->headers) : 0;
	endpoint->timeout_ms = (int) Max(interval_at(row, 6), 1);
	endpoint->max_attempts = postrider_sql_int32(row, 7);
	endpoint->backoff_base_ms = Max(interval_at(row, 8), 1);
	endpoint->backoff_max_ms = interval_at(row, 9);
	read_schedule(row, 10, endpoint, context);
	endpoint->enabled = postrider_sql_bool(row, 11);
	read_rules(postrider_sql_jsonb(row, 12), endpoint);
	read_policy(row, endpoint);
	tuple = postrider_sql_row(row, &desc);
	postrider_request_row_read(desc, tuple, endpoint);
	postrider_auth_row_read(desc, tuple, endpoint);
	postrider_response_row_read(desc, tuple, endpoint);
	postrider_batch_row_read(desc, tuple, endpoint);
	postrider_function_row_read(desc, tuple, endpoint);
	endpoint->policy_context = context;
	MemoryContextSwitchTo(old);
}

/* Loads one endpoint; requests see by the version that they must be set up. */
static Endpoint *
load_endpoint(uint64 row, bool *is_new)
{
	static uint64 next_version = 1;
	bool		found;
	EndpointEntry *entry;
	Endpoint   *endpoint;
	Endpoint	loaded = {0};
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "postrider endpoint",
												  ALLOCSET_SMALL_SIZES);

	read_endpoint(row, &loaded, context);
	entry = find_entry(postrider_sql_int32(row, 0), HASH_ENTER, &found);
	if (!found)
	{
		entry->endpoint = MemoryContextAllocZero(TopMemoryContext, sizeof(Endpoint));
		entry->endpoint->id = entry->id;
	}
	endpoint = entry->endpoint;
	entry->seen = true;
	*is_new = !found;

	loaded.id = endpoint->id;
	loaded.lane = endpoint->lane;
	loaded.overflowing = endpoint->overflowing;
	loaded.urgent_in_pending = true;
	loaded.deferred = endpoint->deferred;
	loaded.pending_due_at = DT_NOBEGIN;
	loaded.version = next_version++;
	if (endpoint->policy_context)
		MemoryContextDelete(endpoint->policy_context);
	*endpoint = loaded;
	return endpoint;
}

static void
load_subscriptions(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "postrider subscriptions",
												  ALLOCSET_DEFAULT_SIZES);
	uint64		count = postrider_sql_run(&select_subscriptions, NULL, NULL, 0);
	Subscription *loaded = MemoryContextAllocZero(context,
												  sizeof(Subscription) * (count + 1));
	int			kept = 0;
	MemoryContext old = MemoryContextSwitchTo(context);

	for (uint64 row = 0; row < count; row++)
	{
		Subscription *subscription = &loaded[kept];
		bool		isnull;
		Datum		filter = postrider_sql_datum(row, 2, &isnull);

		subscription->endpoint = postrider_config_endpoint(postrider_sql_int32(row, 0));
		if (subscription->endpoint == NULL)
			continue;
		subscription->topic = postrider_sql_text(row, 1, context);
		subscription->filter = isnull ? NULL : DatumGetJsonPathPCopy(filter);
		subscription->after_id = postrider_sql_uuid(row, 3);
		subscription->mapping =
			postrider_mapping_reference(postrider_sql_text(row, 4, CurrentMemoryContext),
										postrider_sql_int32(row, 5));

		/* A restored dump may come from a machine whose clock was ahead. */
		postrider_id_advance(&subscription->after_id);
		kept++;
	}
	if (subscription_context)
		MemoryContextDelete(subscription_context);
	subscription_context = context;
	subscriptions = loaded;
	subscription_count = kept;
	route_targets = palloc(sizeof(RouteTarget) * (count + 1));
	MemoryContextSwitchTo(old);
}

static RateGroupPolicy *
find_group(const char *name)
{
	for (int i = 0; i < group_count; i++)
	{
		if (strcmp(groups[i].name, name) == 0)
			return &groups[i];
	}
	return NULL;
}

static void
load_rate_groups(void)
{
	uint64		count = postrider_sql_run(&select_rate_groups, NULL, NULL, 0);

	if (group_context == NULL)
		group_context = AllocSetContextCreate(TopMemoryContext, "postrider rate groups",
											  ALLOCSET_SMALL_SIZES);
	MemoryContextReset(group_context);
	groups = MemoryContextAllocZero(group_context, sizeof(RateGroupPolicy) * (count + 1));
	group_count = 0;
	for (uint64 row = 0; row < count; row++)
	{
		TupleDesc	desc;
		HeapTuple	tuple = postrider_sql_row(row, &desc);
		Policy		policy;
		PolicyProblem problem;
		RateGroupPolicy *group;

		if (!postrider_policy_read(desc, tuple, &policy, &problem))
			continue;
		group = find_group(policy.rate_group);
		if (group != NULL)
		{
			(void) postrider_rate_merge(&group->rate, &policy.rate);
			continue;
		}
		group = &groups[group_count++];
		strlcpy(group->name, policy.rate_group, sizeof(group->name));
		group->rate = policy.rate;
	}
}

const RatePolicy *
postrider_config_rate_group(const char *name)
{
	RateGroupPolicy *group = find_group(name);

	return group ? &group->rate : NULL;
}

bool
postrider_config_load(EndpointChangedCallback callback)
{
	static bool first_time = true;
	bool		some_deleted = first_time;

	HASH_SEQ_STATUS scan;
	EndpointEntry *entry;
	Endpoint  **loaded;
	bool	   *is_new;
	bool		found;
	uint64		count;
	Datum		values[] = {
		Int32GetDatum(postrider_shard_number()),
		Int32GetDatum(postrider_shard_count())
	};

	(void) find_entry(0, HASH_FIND, &found);	/* makes the table */
	hash_seq_init(&scan, endpoints);
	while ((entry = hash_seq_search(&scan)) != NULL)
		entry->seen = false;

	load_rate_groups();
	postrider_tenant_config_load();
	postrider_secret_load();
	postrider_sensitive_load();
	/* All are read before any is told of, as that may run statements of its own. */
	count = postrider_sql_run(&select_endpoints, values, NULL, 0);
	loaded = palloc(sizeof(Endpoint *) * (count + 1));
	is_new = palloc(sizeof(bool) * (count + 1));
	for (uint64 row = 0; row < count; row++)
		loaded[row] = load_endpoint(row, &is_new[row]);
	for (uint64 i = 0; i < count; i++)
		callback(loaded[i], is_new[i]);
	load_subscriptions();
	postrider_mapping_references_changed();

	hash_seq_init(&scan, endpoints);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->seen)
			continue;
		some_deleted = some_deleted || !entry->endpoint->deleted;
		entry->endpoint->deleted = true;
		callback(entry->endpoint, false);
	}
	first_time = false;
	return some_deleted;
}

static bool
add_target(Endpoint *endpoint, MappingReference *mapping, const char *tenant,
		   int *count)
{
	if (endpoint->deleted)
		return false;
	if (endpoint->tenant && (!tenant || strcmp(endpoint->tenant, tenant) != 0))
		return false;
	for (int i = 0; i < *count; i++)
		if (route_targets[i].endpoint == endpoint)
			return false;
	route_targets[*count].endpoint = endpoint;
	route_targets[(*count)++].mapping = mapping;
	return true;
}

static int
route_direct(const char *name, const char *tenant)
{
	HASH_SEQ_STATUS scan;
	EndpointEntry *entry;
	int			count = 0;

	hash_seq_init(&scan, endpoints);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (!entry->endpoint->deleted && strcmp(entry->endpoint->name, name) == 0)
			(void) add_target(entry->endpoint, NULL, tenant, &count);
	return count;
}

int
postrider_config_route(const char *topic, const char *endpoint,
					   const char *tenant, const pg_uuid_t *id, Jsonb *payload,
					   RouteTarget **targets)
{
	int			count = 0;

	*targets = route_targets;
	if (endpoint)
		return route_direct(endpoint, tenant);
	for (int i = 0; i < subscription_count; i++)
	{
		const Subscription *subscription = &subscriptions[i];

		if (postrider_id_compare(id, &subscription->after_id) > 0 &&
			postrider_topic_matches(topic, subscription->topic) &&
			(!subscription->filter ||
			 postrider_filter_matches(payload, subscription->filter)))
			(void) add_target(subscription->endpoint, subscription->mapping, tenant,
							  &count);
	}
	return count;
}

bool
postrider_config_is_endpoint(const char *name)
{
	Datum		values[] = {CStringGetTextDatum(name)};
	SPITupleTable *rows = SPI_tuptable;
	bool		found = postrider_sql_run(&find_by_name, values, NULL, 1) > 0;

	/* The caller may be in the middle of a result. */
	SPI_tuptable = rows;
	return found;
}

int
postrider_config_endpoints(Endpoint ***result)
{
	HASH_SEQ_STATUS scan;
	EndpointEntry *entry;
	int			count = 0;

	*result = palloc(sizeof(Endpoint *) * (hash_get_num_entries(endpoints) + 1));
	hash_seq_init(&scan, endpoints);
	while ((entry = hash_seq_search(&scan)) != NULL)
		(*result)[count++] = entry->endpoint;
	return count;
}

void
postrider_config_forget(Endpoint *endpoint)
{
	int32		id = endpoint->id;

	(void) hash_search(endpoints, &id, HASH_REMOVE, NULL);
	if (endpoint->policy_context)
		MemoryContextDelete(endpoint->policy_context);
	pfree(endpoint);
}
