/*-------------------------------------------------------------------------
 *
 * governor.c
 *	  What lets a lane send; see governor.h.
 *
 * Tokens are spent before a delivery is taken from its queue, so what waits costs
 * nothing.  Most endpoints have no rate limit and were never told to slow down:
 * for those the rate is not asked.
 *
 * A permit needs the rate of the endpoint, or of its group, and that of its tenant.
 * Both are locked at once, that of the tenant second, so that a token is taken of
 * both or of neither; for less than a microsecond.  Nothing in policy/ allocates or
 * raises an error.  What the receiver says concerns the first one only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "delivery/governor.h"
#include "utils/timestamp.h"

/* Times of policy/ are those of the wall clock. */
#define MICROSECONDS(timestamp) ((int64) (timestamp))

static inline RateState *
lock_rate(Governor *governor)
{
	if (governor->group == NULL)
		return &governor->rate;
	LWLockAcquire(&governor->group->lock, LW_EXCLUSIVE);
	return &governor->group->state;
}

static inline void
unlock_rate(Governor *governor)
{
	if (governor->group != NULL)
		LWLockRelease(&governor->group->lock);
}

/* There is a rate of the endpoint or its group. */
static inline bool
has_own_rate(const Governor *governor)
{
	return governor->group != NULL || governor->rate.started;
}

bool
postrider_governor_has_rate(const Governor *governor)
{
	return has_own_rate(governor) || governor->tenant != NULL;
}

/*
 * The caller has configured the states of group and tenant: their policies are
 * those of all endpoints in them.
 */
void
postrider_governor_configure(Governor *governor, const Policy *policy, RateGroup *group,
							 RateGroup *tenant, TimestampTz now)
{
	governor->policy = policy;
	governor->group = group;
	governor->tenant = tenant;
	if (group == NULL && (policy->rate.count > 0 || governor->rate.started))
		postrider_rate_configure(&governor->rate, &policy->rate, MICROSECONDS(now));
}

int
postrider_governor_limit(const Governor *governor)
{
	return postrider_concurrency_limit(&governor->concurrency,
									   governor->policy->max_in_flight);
}

TimestampTz
postrider_governor_tenant_next(Governor *governor, TimestampTz now)
{
	int64		next;

	if (governor->tenant == NULL)
		return now;
	LWLockAcquire(&governor->tenant->lock, LW_EXCLUSIVE);
	next = postrider_rate_next_us(&governor->tenant->state, MICROSECONDS(now));
	LWLockRelease(&governor->tenant->lock);
	return (TimestampTz) next;
}

TimestampTz
postrider_governor_next(Governor *governor, TimestampTz now)
{
	int64		next = postrider_breaker_next_us(&governor->breaker, MICROSECONDS(now));

	if (next == PG_INT64_MAX)
		return DT_NOEND;
	if (has_own_rate(governor))
	{
		RateState  *rate = lock_rate(governor);

		next = Max(next, postrider_rate_next_us(rate, MICROSECONDS(now)));
		unlock_rate(governor);
	}
	return Max((TimestampTz) next, postrider_governor_tenant_next(governor, now));
}

/*
 * Takes a token of the endpoint's rate.  The caller holds the lock of the tenant's,
 * if there is one, and knows that it has a token.
 */
static bool
take_own(RateState *rate, TimestampTz now, RateUse *use, int *warning)
{
	bool		taken = postrider_rate_take(rate, MICROSECONDS(now), warning);

	if (*warning >= 0)
		(void) postrider_rate_use(rate, MICROSECONDS(now), use);
	return taken;
}

static bool
has_token(RateState *rate, TimestampTz now)
{
	int64		next = postrider_rate_next_us(rate, MICROSECONDS(now));

	return next <= rate->last_us;
}

static bool
take_token(Governor *governor, TimestampTz now, RateUse *use, int *warning)
{
	RateState  *own = has_own_rate(governor) ? lock_rate(governor) : NULL;
	RateGroup  *tenant = governor->tenant;
	bool		taken = true;
	int			ignored;

	if (tenant != NULL)
	{
		LWLockAcquire(&tenant->lock, LW_EXCLUSIVE);
		taken = has_token(&tenant->state, now);
	}
	if (taken && own != NULL)
		taken = take_own(own, now, use, warning);
	if (taken && tenant != NULL)
		taken = postrider_rate_take(&tenant->state, MICROSECONDS(now), &ignored);
	if (tenant != NULL)
		LWLockRelease(&tenant->lock);
	if (own != NULL)
		unlock_rate(governor);
	return taken;
}

bool
postrider_governor_take(Governor *governor, TimestampTz now, Permit *permit,
						GovernorReport report, void *arg)
{
	RateUse		use[RATE_MAX_WINDOWS];
	int			warning = -1;

	permit->taken_at = now;
	permit->tenant = governor->tenant;
	if (!postrider_breaker_take(&governor->breaker, &governor->policy->breaker,
								MICROSECONDS(now), &permit->is_probe))
		return false;
	if (!postrider_governor_has_rate(governor))
		return true;
	if (take_token(governor, now, use, &warning))
	{
		if (warning >= 0)
			report(arg, GOVERNOR_RATE_WARNING, &use[warning]);
		return true;
	}
	if (permit->is_probe)
		postrider_breaker_abandon(&governor->breaker);
	return false;
}

void
postrider_governor_give_back(Governor *governor, const Permit *permit)
{
	if (permit->is_probe)
		postrider_breaker_abandon(&governor->breaker);
	if (has_own_rate(governor))
	{
		RateState  *rate = lock_rate(governor);

		postrider_rate_put_back(rate, MICROSECONDS(permit->taken_at));
		unlock_rate(governor);
	}
	if (permit->tenant != NULL)
	{
		LWLockAcquire(&permit->tenant->lock, LW_EXCLUSIVE);
		postrider_rate_put_back(&permit->tenant->state, MICROSECONDS(permit->taken_at));
		LWLockRelease(&permit->tenant->lock);
	}
}

/*
 * Is it time to keep to what the receiver says is left?  While more than half is,
 * a burst does no harm.
 */
static bool
is_worth_pacing(const RateHint *hint)
{
	return hint->remaining >= 0 &&
		(hint->limit <= 0 || hint->remaining <= hint->limit / 2);
}

static void
observe_rate(Governor *governor, const GovernorResult *result, TimestampTz now)
{
	RateObservation observation = {
		.throttled = result->throttled,
		.sent_at_us = MICROSECONDS(result->sent_at),
		.retry_at_us = -1,
		.remaining = -1,
		.reset_at_us = -1,
		.max_wait_us = result->max_wait_ms * 1000,
		.in_flight = result->in_flight - 1
	};
	RateState  *rate;

	if (is_worth_pacing(&result->hint))
	{
		/* Who says that the limit ends next year is not believed. */
		observation.remaining = result->hint.remaining;
		observation.reset_at_us = Min(result->hint.reset_at_us,
									  MICROSECONDS(now) + observation.max_wait_us);
	}
	else if (!result->throttled)
		return;
	if (result->retry_after_ms > 0)
		observation.retry_at_us = MICROSECONDS(now) + result->retry_after_ms * 1000;
	rate = lock_rate(governor);
	if (!rate->started)
		postrider_rate_configure(rate, &governor->policy->rate, MICROSECONDS(now));
	postrider_rate_observe(rate, &observation, MICROSECONDS(now));
	unlock_rate(governor);
}

void
postrider_governor_result(Governor *governor, const Permit *permit,
						  const GovernorResult *result, TimestampTz now,
						  GovernorReport report, void *arg)
{
	int			changes;

	postrider_concurrency_result(&governor->concurrency, governor->policy->max_in_flight,
								 result->timed_out || result->throttled ? CONCURRENCY_OVERLOADED :
								 result->answered ? CONCURRENCY_ANSWERED : CONCURRENCY_FAILED,
								 result->in_flight, MICROSECONDS(result->sent_at),
								 MICROSECONDS(now));
	observe_rate(governor, result, now);
	changes = postrider_breaker_result(&governor->breaker, &governor->policy->breaker,
									   result->healthy, permit->is_probe,
									   MICROSECONDS(result->sent_at), MICROSECONDS(now),
									   pg_prng_double(&pg_global_prng_state));
	if (changes & BREAKER_OPENED)
		report(arg, GOVERNOR_OPENED, NULL);
	if (changes & BREAKER_HAS_CLOSED)
		report(arg, GOVERNOR_CLOSED, NULL);
	if (changes & BREAKER_DISABLE)
		report(arg, GOVERNOR_DISABLED, NULL);
}

void
postrider_governor_reset(Governor *governor)
{
	postrider_breaker_reset(&governor->breaker);
}

/* What is shared follows a clock that was set back by itself: rate_limit.c. */
void
postrider_governor_shift(Governor *governor, int64 microseconds)
{
	postrider_rate_shift(&governor->rate, microseconds);
	postrider_breaker_shift(&governor->breaker, microseconds);
	postrider_concurrency_shift(&governor->concurrency, microseconds);
}
