/*-------------------------------------------------------------------------
 *
 * rate_history.c
 *	  What was called before: over a change of the limits, and a restart.
 *
 * A day's limit must hold whatever happens within the day, so the ledgers are
 * kept when limits change and saved for the next worker.  Whatever is not known
 * exactly is taken for more and later than it was, never for less.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "policy/rate_ledger.h"
#include "policy/rate_limit.h"
#include "port/pg_crc32c.h"

#define SNAPSHOT_MAGIC 0x50525231	/* "PRR1" */

/* Times in a snapshot that are farther off cannot be right. */
#define FAR_US (INT64CONST(100) * 366 * 24 * 60 * 60 * 1000000)

/*
 * The old window that knows best what was called within a period: the same
 * one; or else the shortest that is longer; or else the longest.
 */
static int
best_source(const RatePolicy *old, int64 period_us)
{
	int			best = 0;

	for (int i = 1; i < old->count; i++)
	{
		int64		this = old->window[i].period_us;
		int64		chosen = old->window[best].period_us;

		if (chosen < period_us ? this > chosen : this >= period_us && this < chosen)
			best = i;
	}
	return best;
}

/* Takes over what an old window knows; a slot's calls as if at its end. */
static void
copy_history(const RateWindow *window, RateLedger *ledger,
			 const RateWindow *old_window, RateLedger *old, int64 last_us,
			 int64 now_us)
{
	int64		width = postrider_window_slot_us(old_window);

	ledger->origin_us = old->origin_us;
	ledger->slot = postrider_ledger_slot(window, ledger, now_us);
	if (window->period_us == old_window->period_us)
	{
		ledger->warned = old->warned;
		ledger->has_warned = old->has_warned;
		ledger->warned_at_us = old->warned_at_us;
	}
	for (int64 slot = Max(old->slot - RATE_SLOTS, 0); slot <= old->slot; slot++)
	{
		uint32		calls = *postrider_ledger_count(old, slot);

		if (calls > 0)
			postrider_ledger_charge(window, ledger,
				   Min(old->origin_us + (slot + 1) * width - 1, last_us), calls);
	}
}

static bool
is_same_policy(const RatePolicy *a, const RatePolicy *b)
{
	if (a->count != b->count || a->warn_at != b->warn_at)
		return false;
	for (int i = 0; i < a->count; i++)
	{
		const RateWindow *x = &a->window[i];
		const RateWindow *y = &b->window[i];

		if (x->period_us != y->period_us || x->limit != y->limit ||
			x->burst != y->burst || x->spread != y->spread)
			return false;
	}
	return true;
}

void
postrider_rate_configure(RateState *state, const RatePolicy *policy,
						 int64 now_us)
{
	RateState	old;

	if (!state->started)
	{
		postrider_rate_init(state, policy, now_us);
		return;
	}
	if (is_same_policy(&state->policy, policy))
		return;
	old = *state;
	now_us = Max(now_us, old.last_us);
	postrider_rate_init(state, policy, now_us);
	state->adaptation = old.adaptation;
	state->last_us = old.last_us;
	for (int i = 0; i < policy->count && old.policy.count > 0; i++)
	{
		int			from = best_source(&old.policy, policy->window[i].period_us);

		copy_history(&policy->window[i], &state->ledger[i],
					 &old.policy.window[from], &old.ledger[from], old.last_us,
					 now_us);
		state->ledger[i].debt_us = Min(old.ledger[from].debt_us,
									   postrider_window_interval_us(&policy->window[i]));
	}
	(void) postrider_rate_next_us(state, now_us);
}

static uint32
checksum(const RateSnapshot *snapshot)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, (const char *) snapshot + offsetof(RateSnapshot, saved_at_us),
				sizeof(*snapshot) - offsetof(RateSnapshot, saved_at_us));
	FIN_CRC32C(crc);
	return crc;
}

void
postrider_rate_save(const RateState *state, int64 now_us,
					RateSnapshot *snapshot)
{
	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->magic = SNAPSHOT_MAGIC;
	snapshot->size = sizeof(*snapshot);
	snapshot->saved_at_us = Max(now_us, state->last_us);
	snapshot->state = *state;
	snapshot->checksum = checksum(snapshot);
}

/* Is everything in it such that the functions above can work with it? */
static bool
is_sound(const RateSnapshot *snapshot)
{
	const RateState *state = &snapshot->state;

	if (snapshot->magic != SNAPSHOT_MAGIC || snapshot->size != sizeof(*snapshot) ||
		snapshot->checksum != checksum(snapshot) || !state->started || state->last_us > snapshot->saved_at_us ||
		state->last_us < 0 || !(state->adaptation.debt_us >= 0) ||
		state->policy.count < 0 || state->policy.count > RATE_MAX_WINDOWS)
		return false;
	for (int i = 0; i < state->policy.count; i++)
	{
		const RateWindow *window = &state->policy.window[i];
		const RateLedger *ledger = &state->ledger[i];
		int64		sum = 0;

		if (window->limit < 1 || window->limit > RATE_MAX_LIMIT ||
			window->period_us < RATE_MIN_PERIOD_US ||
			window->period_us > RATE_MAX_PERIOD_US ||
			ledger->slot < 0 || ledger->origin_us > state->last_us ||
			ledger->origin_us < state->last_us - FAR_US ||
			ledger->slot != postrider_ledger_slot(window, ledger, state->last_us) ||
			!(ledger->debt_us >= 0 && ledger->debt_us < 1e15))
			return false;
		for (int slot = 0; slot <= RATE_SLOTS; slot++)
			sum += ledger->count[slot];
		if (sum != ledger->used)
			return false;
	}
	return true;
}

/*
 * The most calls that a policy lets through in a time, by its spread windows;
 * or the limit of the others.
 */
static int64
most_calls_in(const RatePolicy *policy, int64 time_us)
{
	double		most = RATE_MAX_LIMIT;

	for (int i = 0; i < policy->count; i++)
	{
		const RateWindow *window = &policy->window[i];

		if (window->spread)
			most = Min(most, (time_us + postrider_window_tolerance_us(window)) /
					   postrider_window_interval_us(window) + 1);
		if (time_us <= window->period_us)
			most = Min(most, (double) window->limit);
	}
	return (int64) ceil(most);
}

bool
postrider_rate_restore(RateState *state, const RatePolicy *policy,
					   const void *bytes, Size length, int64 now_us,
					   int64 unsaved_us)
{
	RateSnapshot snapshot;
	int64		unknown;
	int64		until;

	memset(&snapshot, 0, sizeof(snapshot));
	if (length == sizeof(snapshot))
		memcpy(&snapshot, bytes, length);
	if (length != sizeof(snapshot) || !is_sound(&snapshot))
	{
		postrider_rate_init(state, policy, now_us);
		return false;
	}
	*state = snapshot.state;

	/* A clock that was set back: as if no time had passed. */
	if (snapshot.saved_at_us > now_us)
	{
		postrider_rate_shift(state, now_us - snapshot.saved_at_us);
		snapshot.saved_at_us = now_us;
	}

	/* Calls that are not in the copy may have been made just before the crash. */
	if (unsaved_us > 0)
		snapshot.saved_at_us = Max(snapshot.saved_at_us, now_us - unsaved_us);
	unsaved_us = Min(unsaved_us, now_us - snapshot.saved_at_us);
	until = snapshot.saved_at_us + Max(unsaved_us, 0);
	(void) postrider_rate_next_us(state, until);
	if (unsaved_us > 0)
	{
		unknown = most_calls_in(&state->policy, unsaved_us);
		for (int i = 0; i < state->policy.count; i++)
		{
			RateLedger *ledger = &state->ledger[i];
			int64		room = state->policy.window[i].limit - ledger->used;

			postrider_ledger_charge(&state->policy.window[i], ledger, until,
				   Min(unknown, Max(room, 0)));
		}
	}
	postrider_rate_configure(state, policy, now_us);
	(void) postrider_rate_next_us(state, now_us);
	return true;
}
