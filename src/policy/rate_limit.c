/*-------------------------------------------------------------------------
 *
 * rate_limit.c
 *	  How often an endpoint may be called.
 *
 * Each window has a ledger and a pace of its own: rate_ledger.c.  A call must
 * pass the gates of all of them.
 *
 * The answers of the receiver come as one more gate, with a pace of its own: a
 * time before which nothing is sent; a rate that is halved by 429 and
 * grows again linearly; and a rate that the receiver gave by how many calls it
 * has left until when.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "policy/rate_ledger.h"
#include "policy/rate_limit.h"

#define SECOND_US 1000000.0

/* Lateness that the pace of the answers forgives. */
#define SLACK_US 20000.0

/* 429: the rate is multiplied by this, and is back after RECOVERY_US ... */
#define SLOW_FACTOR 0.5
#define RECOVERY_US (60 * SECOND_US)

/* ... from where it goes on, without limits, until it is this much higher. */
#define FORGET_FACTOR 4.0
#define MIN_RATE 0.1			/* per second */

/* A clock that is so far behind was set. */
#define CLOCK_SET_US (10 * INT64CONST(1000000))

/* How long the real rate is measured for. */
#define SAMPLE_US (2 * SECOND_US)

/*
 * Adaptation
 */

/* The configured rate in calls per second; 0 if there are no limits. */
static double
configured_rate(const RatePolicy *policy)
{
	double		rate = 0;

	for (int i = 0; i < policy->count; i++)
	{
		const RateWindow *window = &policy->window[i];

		if (window->spread)
		{
			double		this = SECOND_US / postrider_window_interval_us(window);

			rate = rate == 0 ? this : Min(rate, this);
		}
	}
	return rate;
}

static double
recovered_rate(const RateAdaptation *adaptation, int64 now_us)
{
	int64		elapsed = Max(now_us - adaptation->slow_since_us, 0);

	return adaptation->slow_rate +
		adaptation->reference_rate * elapsed / RECOVERY_US;
}

double
postrider_rate_adapted(const RateState *state, int64 now_us)
{
	const RateAdaptation *adaptation = &state->adaptation;
	double		rate = 0;

	if (adaptation->slowed)
		rate = recovered_rate(adaptation, now_us);
	if (adaptation->hint_until_us > now_us && adaptation->hint_rate > 0)
		rate = rate == 0 ? adaptation->hint_rate : Min(rate, adaptation->hint_rate);
	return rate;
}

/* Time has passed: what is over is over. */
static void
advance_adaptation(RateState *state, int64 elapsed_us, int64 now_us)
{
	RateAdaptation *adaptation = &state->adaptation;

	adaptation->debt_us = Max(adaptation->debt_us - elapsed_us, 0);
	if (adaptation->slowed)
	{
		double		enough = configured_rate(&state->policy);

		if (enough == 0)
			enough = FORGET_FACTOR * adaptation->reference_rate;
		if (recovered_rate(adaptation, now_us) >= enough)
			adaptation->slowed = false;
	}
	if (now_us - adaptation->sample_at_us >= SAMPLE_US)
	{
		adaptation->measured_rate = adaptation->sample_count * SECOND_US /
			(now_us - adaptation->sample_at_us);
		adaptation->sample_at_us = now_us;
		adaptation->sample_count = 0;
	}
}

static int64
adaptation_next_us(const RateState *state, int64 now_us)
{
	const RateAdaptation *adaptation = &state->adaptation;

	if (adaptation->blocked_until_us > now_us)
		return adaptation->blocked_until_us;
	if (postrider_rate_adapted(state, now_us) > 0 &&
		adaptation->debt_us > SLACK_US)
		return now_us + (int64) ceil(adaptation->debt_us - SLACK_US);
	return now_us;
}

static void
count_call(RateState *state, int64 now_us)
{
	RateAdaptation *adaptation = &state->adaptation;
	double		rate = postrider_rate_adapted(state, now_us);

	adaptation->sample_count++;
	if (rate > 0)
		adaptation->debt_us += SECOND_US / rate;
}

/* The rate at which calls are being made, or were until a moment ago. */
static double
current_rate(const RateState *state, int64 now_us)
{
	const RateAdaptation *adaptation = &state->adaptation;
	double		elapsed = Max(now_us - adaptation->sample_at_us, SECOND_US);

	return Max(adaptation->measured_rate,
			   adaptation->sample_count * SECOND_US / elapsed);
}

/*
 * Halves the rate.  What was sent before the last time this was decided says
 * nothing new: all that was in flight then may come back as 429.
 */
static void
slow_down(RateState *state, int64 sent_at_us, int64 now_us)
{
	RateAdaptation *adaptation = &state->adaptation;
	double		rate = current_rate(state, now_us);
	double		configured = configured_rate(&state->policy);

	if (adaptation->slowed && sent_at_us <= adaptation->slowed_at_us)
		return;
	if (adaptation->slowed)
		rate = Min(rate, recovered_rate(adaptation, now_us));
	if (configured > 0)
		rate = Min(rate, configured);
	rate = Max(rate * SLOW_FACTOR, MIN_RATE);
	adaptation->reference_rate = configured > 0 ? configured : 2 * rate;
	adaptation->slow_rate = rate;
	adaptation->slowed = true;
	adaptation->slowed_at_us = now_us;
	adaptation->slow_since_us = now_us;
	adaptation->debt_us = Max(adaptation->debt_us, SECOND_US / rate);
}

/*
 * All gates
 */

/*
 * Brings the state to now; returns now, or the latest time seen if later: others who
 * share it may have looked at the clock a moment after us.  If it is much later, the
 * clock was set back, and the state moves along, or it would stand still until
 * the clock has come there again.
 */
static int64
advance(RateState *state, int64 now_us)
{
	int64		elapsed = now_us - state->last_us;

	if (elapsed < -CLOCK_SET_US)
	{
		postrider_rate_shift(state, elapsed);
		elapsed = 0;
	}
	else if (elapsed < 0)
	{
		elapsed = 0;
		now_us = state->last_us;
	}
	for (int i = 0; i < state->policy.count; i++)
	{
		RateLedger *ledger = &state->ledger[i];

		postrider_ledger_advance(&state->policy.window[i], ledger, now_us);
		ledger->debt_us = Max(ledger->debt_us - elapsed, 0);
	}
	advance_adaptation(state, elapsed, now_us);
	state->last_us = now_us;
	return now_us;
}

void
postrider_rate_observe(RateState *state, const RateObservation *observation,
					   int64 now_us)
{
	RateAdaptation *adaptation = &state->adaptation;
	int64		until = observation->retry_at_us;

	now_us = advance(state, now_us);
	if (observation->throttled)
		slow_down(state, observation->sent_at_us, now_us);
	if (observation->remaining >= 0 && observation->reset_at_us > now_us)
	{
		double		left = (double) observation->remaining - observation->in_flight;

		if (left < 1)
		{
			until = Max(until, observation->reset_at_us);
			adaptation->hint_rate = 0;
		}
		else
			adaptation->hint_rate = left * SECOND_US /
				(observation->reset_at_us - now_us);
		adaptation->hint_until_us = observation->reset_at_us;
	}
	if (until > now_us)
	{
		until = Min(until, now_us + observation->max_wait_us);
		adaptation->blocked_until_us = Max(adaptation->blocked_until_us, until);
		adaptation->slow_since_us = Max(adaptation->slow_since_us,
										adaptation->blocked_until_us);
	}
}

int64
postrider_rate_next_us(RateState *state, int64 now_us)
{
	int64		next;

	now_us = advance(state, now_us);
	next = adaptation_next_us(state, now_us);
	for (int i = 0; i < state->policy.count; i++)
		next = Max(next, postrider_ledger_next_us(&state->policy.window[i],
										&state->ledger[i], now_us));
	return next;
}

bool
postrider_rate_take(RateState *state, int64 now_us, int *warning)
{
	const RatePolicy *policy = &state->policy;

	*warning = -1;
	if (postrider_rate_next_us(state, now_us) > state->last_us)
		return false;
	now_us = state->last_us;
	count_call(state, now_us);
	for (int i = 0; i < policy->count; i++)
	{
		const RateWindow *window = &policy->window[i];
		RateLedger *ledger = &state->ledger[i];

		postrider_ledger_charge(window, ledger, now_us, 1);
		if (window->spread)
			ledger->debt_us += postrider_window_interval_us(window);
		if (postrider_ledger_warns(policy, window, ledger, now_us))
			*warning = i;
	}
	return true;
}

void
postrider_rate_put_back(RateState *state, int64 taken_at_us)
{
	if (state->adaptation.sample_count > 0)
		state->adaptation.sample_count--;
	for (int i = 0; i < state->policy.count; i++)
	{
		const RateWindow *window = &state->policy.window[i];
		RateLedger *ledger = &state->ledger[i];
		int64		slot = Min(postrider_ledger_slot(window, ledger, taken_at_us), ledger->slot);

		ledger->debt_us = Max(ledger->debt_us - postrider_window_interval_us(window), 0);
		if (slot < ledger->slot - RATE_SLOTS || *postrider_ledger_count(ledger, slot) == 0)
			continue;
		(*postrider_ledger_count(ledger, slot))--;
		ledger->used--;
	}
}

void
postrider_rate_put_back_many(RateState *state, int64 from_us, int64 to_us, int64 count)
{
	for (int i = 0; i < state->policy.count; i++)
	{
		const RateWindow *window = &state->policy.window[i];
		RateLedger *ledger = &state->ledger[i];
		int64		first = Max(postrider_ledger_slot(window, ledger, from_us),
								ledger->slot - RATE_SLOTS);
		int64		last = Min(postrider_ledger_slot(window, ledger, to_us), ledger->slot);
		int64		left = count;

		ledger->debt_us = Max(ledger->debt_us - count * postrider_window_interval_us(window), 0);
		for (int64 slot = Max(first, 0); slot <= last && left > 0; slot++)
		{
			uint32	   *calls = postrider_ledger_count(ledger, slot);
			uint32		some = (uint32) Min((int64) *calls, left);

			*calls -= some;
			ledger->used -= some;
			left -= some;
		}
	}
}

int
postrider_rate_use(RateState *state, int64 now_us, RateUse *use)
{
	(void) advance(state, now_us);
	for (int i = 0; i < state->policy.count; i++)
	{
		use[i].period_us = state->policy.window[i].period_us;
		use[i].limit = state->policy.window[i].limit;
		use[i].used = state->ledger[i].used;
	}
	return state->policy.count;
}

void
postrider_rate_shift(RateState *state, int64 microseconds)
{
	RateAdaptation *adaptation = &state->adaptation;

	if (!state->started)
		return;
	state->last_us += microseconds;
	for (int i = 0; i < state->policy.count; i++)
	{
		state->ledger[i].origin_us += microseconds;
		state->ledger[i].warned_at_us += microseconds;
	}
	adaptation->blocked_until_us += microseconds;
	adaptation->slowed_at_us += microseconds;
	adaptation->slow_since_us += microseconds;
	adaptation->hint_until_us += microseconds;
	adaptation->sample_at_us += microseconds;
}

/*
 * Beginning, changing, keeping
 */

void
postrider_rate_init(RateState *state, const RatePolicy *policy, int64 now_us)
{
	memset(state, 0, sizeof(*state));
	state->started = true;
	state->last_us = now_us;
	state->policy = *policy;
	for (int i = 0; i < policy->count; i++)
		postrider_ledger_start(&state->ledger[i], now_us);
	state->adaptation.blocked_until_us = now_us;
	state->adaptation.hint_until_us = now_us;
	state->adaptation.sample_at_us = now_us;
}
