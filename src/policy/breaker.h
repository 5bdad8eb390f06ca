/*-------------------------------------------------------------------------
 *
 * breaker.h
 *	  The circuit breaker of an endpoint: pure functions of (state, now).
 *
 * Times are in microseconds.  A BreakerState has no pointers.  A state of all
 * zeros is a closed breaker that has seen nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_BREAKER_H
#define POSTRIDER_BREAKER_H

#include "postgres.h"

/* The window is cut into so many slots, the oldest of which may be partial. */
#define BREAKER_SLOTS 10

typedef struct BreakerPolicy
{
	double		failure_share;	/* opens at this share; 0: never opens */
	int			min_count;		/* but not before so many results */
	int64		window_us;		/* results of this time count */
	int64		open_us;		/* the first time it stays open, ... */
	int64		open_max_us;	/* it doubles up to this */
	int64		disable_after_us;	/* of nothing but failure; 0: never */
} BreakerPolicy;

typedef enum BreakerPhase
{
	BREAKER_CLOSED,				/* all may go */
	BREAKER_OPEN,				/* nothing may go */
	BREAKER_HALF_OPEN			/* one may go: the probe */
} BreakerPhase;

typedef struct BreakerState
{
	BreakerPhase phase;
	bool		probing;		/* the probe is under way */
	bool		disabled;		/* BREAKER_DISABLE has been reported */
	int			openings;		/* in a row, without a healthy time between */
	int64		open_until_us;	/* while open */
	int64		changed_at_us;	/* when the phase changed */
	int64		failing_since_us;	/* first failure since the last success */
	int64		failures;		/* since then; 0: failing_since_us is unset */
	int64		slot;			/* number of the newest slot */
	uint32		succeeded[BREAKER_SLOTS];
	uint32		failed[BREAKER_SLOTS];
} BreakerState;

/* What a result has brought about; more than one bit may be set. */
#define BREAKER_NOTHING		0
#define BREAKER_OPENED		1	/* it was closed, or half-open before */
#define BREAKER_REOPENED	2	/* the probe failed: open for longer */
#define BREAKER_HAS_CLOSED	4
#define BREAKER_DISABLE		8	/* disable the endpoint now */

/*
 * May a request be made now?  If *is_probe, it is the probe, and its result
 * must be handed in, or postrider_breaker_abandon() called.
 */
extern bool postrider_breaker_take(BreakerState *state,
								   const BreakerPolicy *policy, int64 now_us,
								   bool *is_probe);

/*
 * When the next request may be made: now_us if now; PG_INT64_MAX while the
 * probe is under way.
 */
extern int64 postrider_breaker_next_us(const BreakerState *state, int64 now_us);

/* The probe was not sent after all. */
extern void postrider_breaker_abandon(BreakerState *state);

/*
 * The result of a request that began at sent_at_us.  A failure is one
 * that says that the endpoint is not well (no answer, 5xx), not one that says
 * that the message is wrong.  "random" is in [0, 1): the jitter.  Returns what
 * follows from it.
 */
extern int	postrider_breaker_result(BreakerState *state,
									 const BreakerPolicy *policy, bool success,
									 bool is_probe, int64 sent_at_us,
									 int64 now_us, double random);

/* Results in the window now, and how many of them were failures. */
extern void postrider_breaker_counts(const BreakerState *state,
									 const BreakerPolicy *policy, int64 now_us,
									 int64 *results, int64 *failures);

/*
 * A state that was kept over a restart: nothing is in flight any more.  Values
 * that make no sense are replaced.
 */
extern void postrider_breaker_resume(BreakerState *state,
									 const BreakerPolicy *policy, int64 now_us);

/* Somebody enabled the endpoint again: closed, nothing known. */
extern void postrider_breaker_reset(BreakerState *state);

/* The clock was set forward by so much (or back). */
extern void postrider_breaker_shift(BreakerState *state, int64 microseconds);

#endif							/* POSTRIDER_BREAKER_H */
