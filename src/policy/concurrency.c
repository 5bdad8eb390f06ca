/*-------------------------------------------------------------------------
 *
 * concurrency.c
 *	  How many requests of an endpoint may be in flight.
 *
 * Like the window of TCP with delay as the signal (Vegas), for a receiver
 * whose capacity nobody knows.  Answers are counted in rounds of about one
 * window.  The mean latency of a round is compared to a baseline, the least mean of
 * a round in the last BASELINE_US to 2 * BASELINE_US; it is that young so that a
 * receiver that has become slower for good is believed in the end.
 *
 *	  flat (at most FLAT times the baseline): the window doubles until the
 *	    first sign of load (slow start), then grows by one; but only
 *	    if it was in use
 *	  up to CROWDED times: it stays; slow start is over
 *	  above: it shrinks by a tenth, as requests only queue at the receiver
 *	  time-out: it halves, once for all that was sent before it halved
 *
 * It never falls below 1 nor grows above max_in_flight.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "policy/concurrency.h"

#define START_WINDOW 4
#define MIN_ROUND 4				/* answers */
#define BASELINE_US (INT64CONST(60) * 1000000)

#define FLAT 1.5
#define CROWDED 3.0
#define NOISE_US 2000.0			/* is always flat */

#define SHRINK 0.9

static double
clamp(double window, int max_in_flight)
{
	return Max(Min(window, max_in_flight), 1);
}

static double
current_window(const ConcurrencyState *state, int max_in_flight)
{
	return clamp(state->window == 0 ? START_WINDOW : state->window,
				 max_in_flight);
}

int
postrider_concurrency_limit(const ConcurrencyState *state, int max_in_flight)
{
	return (int) current_window(state, max_in_flight);
}

static double
baseline(const ConcurrencyState *state)
{
	if (state->earlier_baseline_us == 0)
		return state->baseline_us;
	if (state->baseline_us == 0)
		return state->earlier_baseline_us;
	return Min(state->baseline_us, state->earlier_baseline_us);
}

static void
learn_baseline(ConcurrencyState *state, double mean_us, int64 now_us)
{
	if (now_us - state->baseline_since_us >= BASELINE_US)
	{
		state->earlier_baseline_us = state->baseline_us;
		state->baseline_us = 0;
		state->baseline_since_us = now_us;
	}
	state->baseline_us = state->baseline_us == 0 ? mean_us :
		Min(state->baseline_us, mean_us);
}

static void
begin_round(ConcurrencyState *state)
{
	state->answers = 0;
	state->latency_sum_us = 0;
	state->peak = 0;
}

static void
halve(ConcurrencyState *state, int max_in_flight, int64 sent_at_us,
	  int64 now_us)
{
	if (state->halved_at_us != 0 && sent_at_us <= state->halved_at_us)
		return;
	state->window = clamp(current_window(state, max_in_flight) / 2, max_in_flight);
	state->halved_at_us = now_us;
	state->past_slow_start = true;
	begin_round(state);
}

static void
end_round(ConcurrencyState *state, int max_in_flight, int64 now_us)
{
	double		mean_us = state->latency_sum_us / state->answers;
	double		window = current_window(state, max_in_flight);
	bool		in_use = state->peak >= (int) window;

	learn_baseline(state, mean_us, now_us);
	if (mean_us <= baseline(state) * FLAT + NOISE_US)
	{
		if (in_use)
			window = state->past_slow_start ? window + 1 : window * 2;
	}
	else
	{
		state->past_slow_start = true;
		if (mean_us > baseline(state) * CROWDED + NOISE_US)
			window *= SHRINK;
	}
	state->window = clamp(window, max_in_flight);
	begin_round(state);
}

void
postrider_concurrency_result(ConcurrencyState *state, int max_in_flight,
							 ConcurrencyResult result, int in_flight,
							 int64 sent_at_us, int64 now_us)
{
	switch (result)
	{
		case CONCURRENCY_FAILED:
			return;
		case CONCURRENCY_OVERLOADED:
			halve(state, max_in_flight, sent_at_us, now_us);
			return;
		case CONCURRENCY_ANSWERED:
			break;
	}
	state->answers++;
	state->latency_sum_us += Max(now_us - sent_at_us, 0);
	state->peak = Max(state->peak, in_flight);
	if (state->answers >= Max(MIN_ROUND, (int) current_window(state, max_in_flight)))
		end_round(state, max_in_flight, now_us);
}

void
postrider_concurrency_shift(ConcurrencyState *state, int64 microseconds)
{
	if (state->halved_at_us != 0)
		state->halved_at_us += microseconds;
	state->baseline_since_us += microseconds;
	begin_round(state);			/* its latencies are wrong now */
}
