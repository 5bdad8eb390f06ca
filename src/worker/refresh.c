/*-------------------------------------------------------------------------
 *
 * refresh.c
 *	  Follows what changes under the worker: the configuration, and what is erased.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/engine.h"
#include "outbox/config.h"
#include "outbox/deferred.h"
#include "outbox/endpoint_state.h"
#include "outbox/erased.h"
#include "outbox/intake.h"
#include "outbox/pending.h"
#include "outbox/shard.h"
#include "util/log_line.h"
#include "utils/timestamp.h"
#include "worker/credentials.h"
#include "worker/feed.h"
#include "worker/keep.h"
#include "worker/keys.h"
#include "worker/rate_group.h"
#include "worker/refresh.h"
#include "worker/alerts.h"
#include "worker/secrets.h"
#include "worker/step.h"
#include "worker/tenant_rate.h"
#include "worker/wake.h"

/* Generations, in shared memory, that were seen last; 0: none. */
static uint64 config_loaded = 0;
static uint64 erase_seen = 0;

void
postrider_refresh_start(void)
{
	erase_seen = postrider_erase_generation();
}

/* By hand, by a receiver that said 410, or by the worker itself. */
static void
log_switched(const Endpoint *endpoint)
{
	LogLine		line;

	if (endpoint->enabled)
		postrider_log_begin(&line, LOG, "endpoint_enabled");
	else
		postrider_log_begin(&line, LOG, "endpoint_disabled");
	postrider_log_text(&line, "endpoint", endpoint->name);
	postrider_log_end(&line);
}

static void
endpoint_changed(Endpoint *endpoint, bool is_new)
{
	TimestampTz now = GetCurrentTimestamp();
	const char *name = endpoint->policy.rate_group;
	const RatePolicy *shared_rate = *name ? postrider_config_rate_group(name) : NULL;

	if (is_new)
		endpoint->lane = postrider_lane_create(endpoint);
	postrider_governor_configure(&endpoint->lane->governor, &endpoint->policy,
								 shared_rate ? postrider_rate_group(RATE_OF_GROUP, name, shared_rate, now) : NULL,
								 postrider_tenant_rate(endpoint->tenant, now), now);
	if (is_new)
		postrider_keep_load_endpoint(endpoint, now);
	else if (endpoint->enabled && !endpoint->lane->was_enabled)
		postrider_governor_reset(&endpoint->lane->governor);
	if (!is_new && endpoint->enabled != endpoint->lane->was_enabled)
		log_switched(endpoint);
	endpoint->lane->was_enabled = endpoint->enabled;
	if (!is_new)
		postrider_engine_endpoint_changed(endpoint);
}

static void
log_loaded(void)
{
	Endpoint  **endpoints;
	LogLine		line;

	postrider_log_begin(&line, LOG, "config_loaded");
	postrider_log_int(&line, "endpoints", postrider_config_endpoints(&endpoints));
	postrider_log_end(&line);
	pfree(endpoints);
}

/* wake.c explains why this must come after the snapshot of a window. */
void
postrider_refresh_config(void)
{
	bool		changing;
	uint64		generation = postrider_config_generation(&changing);

	if (generation == config_loaded && !changing)
		return;
	if (postrider_config_load(endpoint_changed))
	{
		postrider_pending_cancel_orphans();
		postrider_endpoint_state_delete_orphans();
	}
	if (postrider_shard_number() == 0)
		postrider_tenant_rates_keep_messages(GetCurrentTimestamp());
	postrider_pending_release();
	if (postrider_credentials_look_at_secrets(GetCurrentTimestamp()))
		postrider_engine_credentials_changed(GetCurrentTimestamp());
	postrider_secrets_loaded();
	postrider_alerts_loaded(GetCurrentTimestamp());
	if (config_loaded != 0 && !changing)
		log_loaded();
	config_loaded = changing ? 0 : generation;
	postrider_keys_forget();
	postrider_feed_look_at_pending();
}

void
postrider_refresh_config_if_told(void)
{
	bool		changing;

	if (postrider_config_generation(&changing) == config_loaded)
		return;
	postrider_step_begin("loading the configuration");
	postrider_refresh_config();
	postrider_step_commit();
}

void
postrider_refresh_config_anew(void)
{
	config_loaded = 0;
}

uint64
postrider_refresh_generation(void)
{
	return config_loaded;
}

bool
postrider_refresh_erase_is_new(void)
{
	return postrider_erase_generation() != erase_seen;
}

void
postrider_refresh_erased(void)
{
	uint64		generation = postrider_erase_generation();

	if (generation == erase_seen)
		return;
	if (postrider_erased_mark())
		postrider_engine_drop_erased(postrider_deliveries());
	erase_seen = generation;
}

void
postrider_refresh_erased_if_told(void)
{
	if (!postrider_refresh_erase_is_new())
		return;
	postrider_step_begin("looking for erased messages");
	postrider_refresh_erased();
	postrider_step_commit();
}

void
postrider_refresh_forget_deleted(void)
{
	Endpoint  **endpoints;
	int			count;

	if (!dlist_is_empty(postrider_deliveries()) || postrider_deferred_total() > 0)
		return;
	count = postrider_config_endpoints(&endpoints);
	for (int i = 0; i < count; i++)
	{
		if (!endpoints[i]->deleted || !postrider_engine_endpoint_idle(endpoints[i]))
			continue;
		postrider_engine_forget(endpoints[i]);
		postrider_config_forget(endpoints[i]);
	}
	pfree(endpoints);
}
