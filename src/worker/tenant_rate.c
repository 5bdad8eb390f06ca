/*-------------------------------------------------------------------------
 *
 * tenant_rate.c
 *	  The worker's part in the rates of tenants; see tenant_rate.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/lane.h"
#include "outbox/config.h"
#include "outbox/tenant_config.h"
#include "utils/timestamp.h"
#include "worker/keep.h"
#include "worker/rate_group.h"
#include "worker/tenant_rate.h"

#define TOUCH_MS (60 * 60 * 1000)

RateGroup *
postrider_tenant_rate(const char *tenant, TimestampTz now)
{
	const TenantLimits *limits = postrider_tenant_config(tenant);

	if (limits == NULL || limits->requests.count == 0)
		return NULL;
	return postrider_rate_group(RATE_OF_TENANT, tenant, &limits->requests, now);
}

typedef struct Messages
{
	TimestampTz now;
	List	   *groups;
} Messages;

static void
add_messages(const char *name, const TenantLimits *limits, void *arg)
{
	Messages   *messages = arg;
	RateGroup  *group = postrider_rate_group(MESSAGES_OF_TENANT, name, &limits->messages,
											 messages->now);

	if (group != NULL)
		messages->groups = lappend(messages->groups, group);
}

void
postrider_tenant_rates_keep_messages(TimestampTz now)
{
	Messages	messages = {.now = now};

	postrider_tenant_config_messages(add_messages, &messages);
	postrider_keep_messages(messages.groups);
}

void
postrider_tenant_rates_touch(TimestampTz now)
{
	static TimestampTz touch_at = DT_NOBEGIN;
	Endpoint  **endpoints;
	int			count;

	if (touch_at > now && touch_at <= TimestampTzPlusMilliseconds(now, TOUCH_MS))
		return;
	touch_at = TimestampTzPlusMilliseconds(now, TOUCH_MS);
	count = postrider_config_endpoints(&endpoints);
	for (int i = 0; i < count; i++)
	{
		const Governor *governor = &endpoints[i]->lane->governor;

		if (governor->group != NULL)
			postrider_rate_group_touch(governor->group, now);
		if (governor->tenant != NULL)
			postrider_rate_group_touch(governor->tenant, now);
	}
	pfree(endpoints);
	postrider_keep_touch_messages(now);
}
