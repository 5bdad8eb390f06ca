/*-------------------------------------------------------------------------
 *
 * rate_limit.c
 *	  How often an endpoint may be called.
 *
 * Each window has two gates, and a call must pass all gates of all windows.
 *
 * The ledger keeps the promise: never more than "limit" in any time of
 * length period, wherever it begins.  Time stamps of every call would do that
 * and cost memory by the limit.  Here time is cut into slots of w = period /
 * RATE_SLOTS (rounded up), the calls in each are counted, and a call at t in
 * slot b is let through only if the slots b - RATE_SLOTS ... b, that is
 * RATE_SLOTS + 1 of them, have less than "limit" in sum.  Proof: let t be the last
 * call in some half-open interval of length period.  The others there came
 * after t - period >= t - RATE_SLOTS * w, which lies in slot b - RATE_SLOTS, or
 * a later one; so all of them were in that sum, and it was at most "limit" with the
 * call at t.  What that costs: a call counts for up to one slot longer than
 * the period, so in the long run RATE_SLOTS / (RATE_SLOTS + 1) = 98.3 % of the
 * limit can be used.
 *
 * The pace spreads calls evenly: each one costs interval = (RATE_SLOTS + 1) * w
 * / limit, which is just what the ledger lets through, so that the ledger
 * never stops what keeps the pace.  Debt grows by an interval with each
 * call and shrinks with time; a call may be made while the debt is at most the
 * tolerance, which is burst - 1 intervals and at least SLACK_US, so that a
 * worker that comes a little late catches up.  The pace promises nothing, so a
 * burst may be as large as the limit.
 *
 * Windows that are not spread have only the ledger.
 *
 * The answers of the receiver come as a third gate, with a pace of its own: a
 * time before which nothing is sent; a rate that is halved by 429 and
 * grows again linearly; and a rate that the receiver gave by how many calls it
 * has left until when.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "policy/rate_limit.h"
#include "port/pg_crc32c.h"

#define SNAPSHOT_MAGIC 0x50525231	/* "PRR1" */

#define SECOND_US 1000000.0

/* Lateness that the pace forgives, and its share of the period. */
#define SLACK_US 20000.0
#define SLACK_SHARE 20

/* A window that has warned does so again if its use has been below ... */
#define WARN_AGAIN_SHARE 0.75	/* ... this share of the threshold, ... */
#define WARN_QUIET_US (INT64CONST(600) * 1000000)	/* ... not within this */

/* 429: the rate is multiplied by this, and is back after RECOVERY_US ... */
#define SLOW_FACTOR 0.5
#define RECOVERY_US (60 * SECOND_US)

/* ... from where it goes on, without limits, until it is this much higher. */
#define FORGET_FACTOR 4.0
#define MIN_RATE 0.1			/* per second */

/* How long the real rate is measured for. */
#define SAMPLE_US (2 * SECOND_US)

static int64
slot_us(const RateWindow *window)
{
	return (window->period_us + RATE_SLOTS - 1) / RATE_SLOTS;
}

static double
interval_us(const RateWindow *window)
{
	return (double) (RATE_SLOTS + 1) * slot_us(window) / window->limit;
}

static double
tolerance_us(const RateWindow *window)
{
	double		slack = Min(SLACK_US, (double) window->period_us / SLACK_SHARE);

	return Max(slack, (window->burst - 1) * interval_us(window));
}

/*
 * The ledger
 */

static uint32 *
slot_count(RateLedger *ledger, int64 slot)
{
	return &ledger->count[slot % (RATE_SLOTS + 1)];
}

static int64
slot_at(const RateWindow *window, const RateLedger *ledger, int64 at_us)
{
	return at_us < ledger->origin_us ? 0 :
		(at_us - ledger->origin_us) / slot_us(window);
}

/* Moves on to the slot of now; what has left the window is forgotten. */
static void
advance_ledger(const RateWindow *window, RateLedger *ledger, int64 now_us)
{
	int64		slot = slot_at(window, ledger, now_us);

	if (slot - ledger->slot > RATE_SLOTS)
	{
		memset(ledger->count, 0, sizeof(ledger->count));
		ledger->used = 0;
		ledger->slot = slot;
		return;
	}
	while (ledger->slot < slot)
	{
		uint32	   *oldest = slot_count(ledger, ++ledger->slot);

		ledger->used -= *oldest;
		*oldest = 0;
	}
}

/* Counts calls at a time that is not later than now, if it still matters. */
static void
charge(const RateWindow *window, RateLedger *ledger, int64 at_us, int64 calls)
{
	int64		slot = Min(slot_at(window, ledger, at_us), ledger->slot);
	uint32	   *count;

	if (slot < ledger->slot - RATE_SLOTS)
		return;
	count = slot_count(ledger, slot);
	calls = Min(calls, (int64) (PG_UINT32_MAX - *count));
	*count += (uint32) calls;
	ledger->used += calls;
}

/* When the ledger has room for a call; it has been advanced to now. */
static int64
ledger_next_us(const RateWindow *window, RateLedger *ledger, int64 now_us)
{
	int64		left = ledger->used;

	if (left < window->limit)
		return now_us;
	for (int64 slot = Max(ledger->slot - RATE_SLOTS, 0); slot <= ledger->slot; slot++)
	{
		left -= *slot_count(ledger, slot);
		if (left < window->limit)
			return ledger->origin_us + (slot + RATE_SLOTS + 1) * slot_us(window);
	}
	return now_us;				/* not reached */
}

static void
start_ledger(RateLedger *ledger, int64 origin_us)
{
	memset(ledger, 0, sizeof(*ledger));
	ledger->origin_us = origin_us;
}

/*
 * True once for each time that the use rises over the threshold.  It must have
 * been well below before it may warn again, so that a window whose use goes
 * up and down around the threshold warns once.
 */
static bool
crosses_threshold(const RatePolicy *policy, const RateWindow *window,
				  RateLedger *ledger, int64 now_us)
{
	double		threshold = policy->warn_at * window->limit;

	if (policy->warn_at <= 0)
		return false;
	if (ledger->used < threshold * WARN_AGAIN_SHARE)
		ledger->warned = false;
	if (ledger->warned || ledger->used < threshold ||
		(ledger->has_warned && now_us - ledger->warned_at_us < WARN_QUIET_US))
		return false;
	ledger->warned = ledger->has_warned = true;
	ledger->warned_at_us = now_us;
	return true;
}

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
			double		this = SECOND_US / interval_us(window);

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

/* Brings the state to now; returns now, or the latest time seen if later. */
static int64
advance(RateState *state, int64 now_us)
{
	int64		elapsed = now_us - state->last_us;

	if (elapsed < 0)
	{
		elapsed = 0;
		now_us = state->last_us;
	}
	for (int i = 0; i < state->policy.count; i++)
	{
		RateLedger *ledger = &state->ledger[i];

		advance_ledger(&state->policy.window[i], ledger, now_us);
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

static int64
window_next_us(const RateWindow *window, RateLedger *ledger, int64 now_us)
{
	int64		next = ledger_next_us(window, ledger, now_us);

	if (window->spread)
	{
		double		excess = ledger->debt_us - tolerance_us(window);

		if (excess > 0)
			next = Max(next, now_us + (int64) ceil(excess));
	}
	return next;
}

int64
postrider_rate_next_us(RateState *state, int64 now_us)
{
	int64		next;

	now_us = advance(state, now_us);
	next = adaptation_next_us(state, now_us);
	for (int i = 0; i < state->policy.count; i++)
		next = Max(next, window_next_us(&state->policy.window[i],
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

		charge(window, ledger, now_us, 1);
		if (window->spread)
			ledger->debt_us += interval_us(window);
		if (crosses_threshold(policy, window, ledger, now_us))
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
		int64		slot = Min(slot_at(window, ledger, taken_at_us), ledger->slot);

		ledger->debt_us = Max(ledger->debt_us - interval_us(window), 0);
		if (slot < ledger->slot - RATE_SLOTS || *slot_count(ledger, slot) == 0)
			continue;
		(*slot_count(ledger, slot))--;
		ledger->used--;
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
		start_ledger(&state->ledger[i], now_us);
	state->adaptation.blocked_until_us = now_us;
	state->adaptation.hint_until_us = now_us;
	state->adaptation.sample_at_us = now_us;
}

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
	int64		width = slot_us(old_window);

	ledger->origin_us = old->origin_us;
	ledger->slot = slot_at(window, ledger, now_us);
	if (window->period_us == old_window->period_us)
	{
		ledger->warned = old->warned;
		ledger->has_warned = old->has_warned;
		ledger->warned_at_us = old->warned_at_us;
	}
	for (int64 slot = Max(old->slot - RATE_SLOTS, 0); slot <= old->slot; slot++)
	{
		uint32		calls = *slot_count(old, slot);

		if (calls > 0)
			charge(window, ledger,
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
	RateState	old = *state;

	if (!old.started)
	{
		postrider_rate_init(state, policy, now_us);
		return;
	}
	now_us = Max(now_us, old.last_us);
	if (is_same_policy(&old.policy, policy))
		return;
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
									   interval_us(&policy->window[i]));
	}
	(void) advance(state, now_us);
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
			ledger->slot != slot_at(window, ledger, state->last_us) ||
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
			most = Min(most, (time_us + tolerance_us(window)) /
					   interval_us(window) + 1);
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
	unsaved_us = Min(unsaved_us, now_us - snapshot.saved_at_us);
	until = snapshot.saved_at_us + Max(unsaved_us, 0);
	(void) advance(state, until);
	if (unsaved_us > 0)
	{
		unknown = most_calls_in(&state->policy, unsaved_us);
		for (int i = 0; i < state->policy.count; i++)
		{
			RateLedger *ledger = &state->ledger[i];
			int64		room = state->policy.window[i].limit - ledger->used;

			charge(&state->policy.window[i], ledger, until,
				   Min(unknown, Max(room, 0)));
		}
	}
	postrider_rate_configure(state, policy, now_us);
	(void) advance(state, now_us);
	return true;
}
