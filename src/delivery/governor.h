/*-------------------------------------------------------------------------
 *
 * governor.h
 *	  What lets a lane send: rate limits, the circuit breaker and the number of
 *	  requests in flight, put together from the engines in policy/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_GOVERNOR_H
#define POSTRIDER_GOVERNOR_H

#include "postgres.h"

#include "content/rate_header.h"
#include "datatype/timestamp.h"
#include "policy/breaker.h"
#include "policy/concurrency.h"
#include "policy/policy.h"
#include "policy/rate_limit.h"
#include "storage/lwlock.h"

/*
 * The rate of several endpoints, perhaps of several workers: in shared memory,
 * where the worker keeps it (worker/rate_group.c).
 */
typedef struct RateGroup
{
	LWLock		lock;
	uint32		generation;		/* goes up when it becomes that of others */
	RateState	state;
} RateGroup;

typedef struct Governor
{
	const Policy *policy;		/* of the endpoint */
	RateGroup  *group;			/* or NULL: rate is of this endpoint alone */
	RateState	rate;
	RateGroup  *tenant;			/* of all endpoints of its tenant; or NULL */
	BreakerState breaker;
	ConcurrencyState concurrency;
} Governor;

/* Something that people want to hear of. */
typedef enum GovernorEventKind
{
	GOVERNOR_OPENED,
	GOVERNOR_CLOSED,
	GOVERNOR_DISABLED,
	GOVERNOR_RATE_WARNING
} GovernorEventKind;

typedef void (*GovernorReport) (void *arg, GovernorEventKind kind, const RateUse *use);

/* A permission to make one request. */
typedef struct Permit
{
	TimestampTz taken_at;
	bool		is_probe;		/* the breaker tries with it */
	RateGroup  *tenant;			/* a token was taken of it; or NULL */
} Permit;

/* What a request has told about its endpoint. */
typedef struct GovernorResult
{
	bool		answered;		/* there was a response */
	bool		healthy;		/* the endpoint is well, whatever it thinks of the
								 * message */
	bool		timed_out;
	bool		throttled;		/* it asks for fewer requests */
	int64		retry_after_ms; /* 0: it says nothing */
	RateHint	hint;			/* of its headers */
	int64		max_wait_ms;	/* it is not believed to want a longer wait */
	int			in_flight;		/* with this one */
	TimestampTz sent_at;
} GovernorResult;

/* The policy is there, or has changed. */
extern void postrider_governor_configure(Governor *governor, const Policy *policy,
										 RateGroup *group, RateGroup *tenant,
										 TimestampTz now);

/* Is there a limit, or has the receiver asked for fewer requests? */
extern bool postrider_governor_has_rate(const Governor *governor);

/* When the tenant's rate lets a request through: now, if it is that. */
extern TimestampTz postrider_governor_tenant_next(Governor *governor, TimestampTz now);

/* Requests that may be in flight now. */
extern int	postrider_governor_limit(const Governor *governor);

/*
 * When a request may be made: now if so; DT_NOEND while the breaker waits for
 * the result of its probe.
 */
extern TimestampTz postrider_governor_next(Governor *governor, TimestampTz now);

/* Takes a permit, from all rates or from none; false if there is none just now. */
extern bool postrider_governor_take(Governor *governor, TimestampTz now, Permit *permit,
									GovernorReport report, void *arg);

/* The permit is not needed after all. */
extern void postrider_governor_give_back(Governor *governor, const Permit *permit);

extern void postrider_governor_result(Governor *governor, const Permit *permit,
									  const GovernorResult *result, TimestampTz now,
									  GovernorReport report, void *arg);

/* Somebody enabled the endpoint again. */
extern void postrider_governor_reset(Governor *governor);

/* The wall clock was set. */
extern void postrider_governor_shift(Governor *governor, int64 microseconds);

#endif							/* POSTRIDER_GOVERNOR_H */
