/*-------------------------------------------------------------------------
 *
 * breaker.c
 *	  The circuit breaker of an endpoint.
 *
 *	  closed -- failure share reached --> open
 *	  open -- time is over --> half-open, when somebody asks
 *	  half-open -- the probe succeeds --> closed
 *	  half-open -- the probe fails --> open, for twice as long
 *
 * Only the probe decides in the half-open phase, and nothing but time in the
 * open one: results of requests that were sent before the breaker opened count
 * only for disable_after.  When it closes it forgets the old results, and
 * requests from before count no more.
 *
 * The open time is open_us * 2^(openings - 1), at most open_max_us, of which
 * the upper half is drawn: so that many workers or endpoints of one receiver do
 * not probe at once.  The openings are forgotten after as long a time of
 * health as the breaker was last open for, and at least a window.
 *
 * Unbroken failure is counted over everything, whatever the phase.  An endpoint
 * that gets a message a week is not disabled for two failures; there must
 * have been DISABLE_FAILURES.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "policy/breaker.h"

#define DISABLE_FAILURES 10

/* 2^30 times the first open time is always more than the longest. */
#define MAX_DOUBLINGS 30

static int64
slot_us(const BreakerPolicy *policy)
{
	return Max((policy->window_us + BREAKER_SLOTS - 2) / (BREAKER_SLOTS - 1), 1);
}

static void
clear_window(BreakerState *state, int64 slot)
{
	memset(state->succeeded, 0, sizeof(state->succeeded));
	memset(state->failed, 0, sizeof(state->failed));
	state->slot = slot;
}

/* Moves on to the slot of now; a clock that goes backwards stands still. */
static void
advance(BreakerState *state, const BreakerPolicy *policy, int64 now_us)
{
	int64		slot = Max(now_us, 0) / slot_us(policy);

	if (slot - state->slot >= BREAKER_SLOTS)
		clear_window(state, slot);
	while (state->slot < slot)
	{
		state->slot++;
		state->succeeded[state->slot % BREAKER_SLOTS] = 0;
		state->failed[state->slot % BREAKER_SLOTS] = 0;
	}
}

static void
count_result(BreakerState *state, bool success)
{
	uint32	   *count = success ? state->succeeded : state->failed;

	count += state->slot % BREAKER_SLOTS;
	if (*count < PG_UINT32_MAX)
		(*count)++;
}

static void
sum_window(const BreakerState *state, int64 *results, int64 *failures)
{
	*results = *failures = 0;
	for (int i = 0; i < BREAKER_SLOTS; i++)
	{
		*failures += state->failed[i];
		*results += (int64) state->failed[i] + state->succeeded[i];
	}
}

static int64
longest_open_us(const BreakerState *state, const BreakerPolicy *policy)
{
	int64		open_us = policy->open_us;

	for (int i = 1; i < state->openings && open_us < policy->open_max_us; i++)
		open_us *= 2;
	return Min(open_us, policy->open_max_us);
}

static void
change_phase(BreakerState *state, BreakerPhase phase, int64 now_us)
{
	state->phase = phase;
	state->changed_at_us = now_us;
	state->probing = false;
}

static void
open_breaker(BreakerState *state, const BreakerPolicy *policy, int64 now_us,
			 double random)
{
	int64		longest;
	int64		shortest;

	if (state->openings < MAX_DOUBLINGS)
		state->openings++;
	longest = longest_open_us(state, policy);
	change_phase(state, BREAKER_OPEN, now_us);
	shortest = longest / 2;
	state->open_until_us = now_us + shortest + (int64) ((longest - shortest) * random);
}

static bool
should_open(const BreakerState *state, const BreakerPolicy *policy)
{
	int64		results;
	int64		failures;

	if (policy->failure_share <= 0)
		return false;
	sum_window(state, &results, &failures);
	return results >= policy->min_count &&
		failures >= policy->failure_share * results;
}

bool
postrider_breaker_take(BreakerState *state, const BreakerPolicy *policy,
					   int64 now_us, bool *is_probe)
{
	*is_probe = false;
	if (state->phase == BREAKER_CLOSED || policy->failure_share <= 0)
		return true;
	if (postrider_breaker_next_us(state, now_us) > now_us)
		return false;
	if (state->phase == BREAKER_OPEN)
		change_phase(state, BREAKER_HALF_OPEN, now_us);
	state->probing = true;
	*is_probe = true;
	return true;
}

int64
postrider_breaker_next_us(const BreakerState *state, int64 now_us)
{
	switch (state->phase)
	{
		case BREAKER_CLOSED:
			break;
		case BREAKER_OPEN:
			return Max(state->open_until_us, now_us);
		case BREAKER_HALF_OPEN:
			return state->probing ? PG_INT64_MAX : now_us;
	}
	return now_us;
}

void
postrider_breaker_abandon(BreakerState *state)
{
	state->probing = false;
}

/* Counts unbroken failure; true when it has lasted too long. */
static bool
is_to_be_disabled(BreakerState *state, const BreakerPolicy *policy,
				  bool success, int64 now_us)
{
	if (success)
	{
		state->failures = 0;
		state->disabled = false;
		return false;
	}
	if (state->failures++ == 0)
		state->failing_since_us = now_us;
	if (state->disabled || policy->disable_after_us <= 0 ||
		state->failures < DISABLE_FAILURES ||
		now_us - state->failing_since_us < policy->disable_after_us)
		return false;
	state->disabled = true;
	return true;
}

static int
end_probe(BreakerState *state, const BreakerPolicy *policy, bool success,
		  int64 now_us, double random)
{
	if (!success)
	{
		open_breaker(state, policy, now_us, random);
		return BREAKER_REOPENED;
	}
	change_phase(state, BREAKER_CLOSED, now_us);
	clear_window(state, state->slot);
	return BREAKER_HAS_CLOSED;
}

static int
count_when_closed(BreakerState *state, const BreakerPolicy *policy,
				  bool success, int64 sent_at_us, int64 now_us, double random)
{
	int64		healthy_us = now_us - state->changed_at_us;

	if (state->openings > 0 && sent_at_us < state->changed_at_us)
		return BREAKER_NOTHING;
	if (healthy_us >= Max(longest_open_us(state, policy), policy->window_us))
		state->openings = 0;
	count_result(state, success);
	if (success || !should_open(state, policy))
		return BREAKER_NOTHING;
	open_breaker(state, policy, now_us, random);
	return BREAKER_OPENED;
}

int
postrider_breaker_result(BreakerState *state, const BreakerPolicy *policy,
						 bool success, bool is_probe, int64 sent_at_us,
						 int64 now_us, double random)
{
	int			events = BREAKER_NOTHING;

	advance(state, policy, now_us);
	if (is_to_be_disabled(state, policy, success, now_us))
		events |= BREAKER_DISABLE;
	if (is_probe && state->phase == BREAKER_HALF_OPEN)
		events |= end_probe(state, policy, success, now_us, random);
	else if (state->phase == BREAKER_CLOSED)
		events |= count_when_closed(state, policy, success, sent_at_us, now_us,
									random);
	return events;
}

void
postrider_breaker_counts(const BreakerState *state,
						 const BreakerPolicy *policy, int64 now_us,
						 int64 *results, int64 *failures)
{
	BreakerState now = *state;

	advance(&now, policy, now_us);
	sum_window(&now, results, failures);
}

void
postrider_breaker_resume(BreakerState *state, const BreakerPolicy *policy,
						 int64 now_us)
{
	state->probing = false;
	clear_window(state, Max(now_us, 0) / slot_us(policy));
	state->openings = Max(Min(state->openings, MAX_DOUBLINGS), 0);
	state->failures = Max(state->failures, 0);
	state->failing_since_us = Min(state->failing_since_us, now_us);
	state->changed_at_us = Min(state->changed_at_us, now_us);
	if (state->phase == BREAKER_HALF_OPEN)
	{
		state->phase = BREAKER_OPEN;
		state->open_until_us = now_us;
	}
	else if (state->phase != BREAKER_OPEN)
		state->phase = BREAKER_CLOSED;
	state->open_until_us = Min(state->open_until_us, now_us + policy->open_max_us);
}

void
postrider_breaker_reset(BreakerState *state)
{
	memset(state, 0, sizeof(*state));
}

void
postrider_breaker_shift(BreakerState *state, int64 microseconds)
{
	state->open_until_us += microseconds;
	state->changed_at_us += microseconds;
	state->failing_since_us += microseconds;
	if (microseconds < 0)
		clear_window(state, 0);
}
