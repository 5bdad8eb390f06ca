/*-------------------------------------------------------------------------
 *
 * concurrency.h
 *	  How many requests of an endpoint may be in flight: pure functions.
 *
 * Times are in microseconds.  The state has no pointers; all zeros is a state
 * that knows nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CONCURRENCY_H
#define POSTRIDER_CONCURRENCY_H

#include "postgres.h"

typedef enum ConcurrencyResult
{
	CONCURRENCY_ANSWERED,		/* in the time that is given: any status but
								 * those that ask to slow down */
	CONCURRENCY_FAILED,			/* says nothing about load: no connection, … */
	CONCURRENCY_OVERLOADED		/* time-out, 503, 429 */
} ConcurrencyResult;

typedef struct ConcurrencyState
{
	double		window;			/* 0: as at the start */
	bool		past_slow_start;
	int64		halved_at_us;	/* the last time */

	/* the round that is under way: about a window of answers */
	int			answers;
	double		latency_sum_us;
	int			peak;			/* most in flight */

	/* the least mean of a round, of this time and the one before */
	int64		baseline_since_us;
	double		baseline_us;	/* 0: there is none */
	double		earlier_baseline_us;
} ConcurrencyState;

/* How many may be in flight now: 1 to max_in_flight. */
extern int	postrider_concurrency_limit(const ConcurrencyState *state,
										int max_in_flight);

/*
 * A request has ended.  in_flight counts those that were in flight with it,
 * itself included.
 */
extern void postrider_concurrency_result(ConcurrencyState *state,
										 int max_in_flight,
										 ConcurrencyResult result,
										 int in_flight, int64 sent_at_us,
										 int64 now_us);

/* The clock was set forward by so much (or back). */
extern void postrider_concurrency_shift(ConcurrencyState *state,
										int64 microseconds);

#endif							/* POSTRIDER_CONCURRENCY_H */
