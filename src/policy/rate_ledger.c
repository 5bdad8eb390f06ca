/*-------------------------------------------------------------------------
 *
 * rate_ledger.c
 *	  What one window of a rate limit remembers.
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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "policy/rate_ledger.h"

/* Lateness that the pace forgives, and its share of the period. */
#define SLACK_US 20000.0
#define SLACK_SHARE 20

/* A window that has warned does so again if its use has been below ... */
#define WARN_AGAIN_SHARE 0.75	/* ... this share of the threshold, ... */
#define WARN_QUIET_US (INT64CONST(600) * 1000000)	/* ... not within this */

int64
postrider_window_slot_us(const RateWindow *window)
{
	return (window->period_us + RATE_SLOTS - 1) / RATE_SLOTS;
}

double
postrider_window_interval_us(const RateWindow *window)
{
	return (double) (RATE_SLOTS + 1) * postrider_window_slot_us(window) / window->limit;
}

double
postrider_window_tolerance_us(const RateWindow *window)
{
	double		slack = Min(SLACK_US, (double) window->period_us / SLACK_SHARE);

	return Max(slack, (window->burst - 1) * postrider_window_interval_us(window));
}

/*
 * The ledger
 */

uint32 *
postrider_ledger_count(RateLedger *ledger, int64 slot)
{
	return &ledger->count[slot % (RATE_SLOTS + 1)];
}

int64
postrider_ledger_slot(const RateWindow *window, const RateLedger *ledger, int64 at_us)
{
	return at_us < ledger->origin_us ? 0 :
		(at_us - ledger->origin_us) / postrider_window_slot_us(window);
}

/* Moves on to the slot of now; what has left the window is forgotten. */
void
postrider_ledger_advance(const RateWindow *window, RateLedger *ledger, int64 now_us)
{
	int64		slot = postrider_ledger_slot(window, ledger, now_us);

	if (slot - ledger->slot > RATE_SLOTS)
	{
		memset(ledger->count, 0, sizeof(ledger->count));
		ledger->used = 0;
		ledger->slot = slot;
		return;
	}
	while (ledger->slot < slot)
	{
		uint32	   *oldest = postrider_ledger_count(ledger, ++ledger->slot);

		ledger->used -= *oldest;
		*oldest = 0;
	}
}

/* Counts calls at a time that is not later than now, if it still matters. */
void
postrider_ledger_charge(const RateWindow *window, RateLedger *ledger, int64 at_us, int64 calls)
{
	int64		slot = Min(postrider_ledger_slot(window, ledger, at_us), ledger->slot);
	uint32	   *count;

	if (slot < ledger->slot - RATE_SLOTS)
		return;
	count = postrider_ledger_count(ledger, slot);
	calls = Min(calls, (int64) (PG_UINT32_MAX - *count));
	*count += (uint32) calls;
	ledger->used += calls;
}

/* When the ledger has room for a call; it has been advanced to now. */
static int64
room_at_us(const RateWindow *window, RateLedger *ledger, int64 now_us)
{
	int64		left = ledger->used;

	if (left < window->limit)
		return now_us;
	for (int64 slot = Max(ledger->slot - RATE_SLOTS, 0); slot <= ledger->slot; slot++)
	{
		left -= *postrider_ledger_count(ledger, slot);
		if (left < window->limit)
			return ledger->origin_us + (slot + RATE_SLOTS + 1) * postrider_window_slot_us(window);
	}
	return now_us;				/* not reached */
}

void
postrider_ledger_start(RateLedger *ledger, int64 origin_us)
{
	memset(ledger, 0, sizeof(*ledger));
	ledger->origin_us = origin_us;
}

/*
 * True once for each time that the use rises over the threshold.  It must have
 * been well below before it may warn again, so that a window whose use goes
 * up and down around the threshold warns once.
 */
bool
postrider_ledger_warns(const RatePolicy *policy, const RateWindow *window,
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

int64
postrider_ledger_next_us(const RateWindow *window, RateLedger *ledger, int64 now_us)
{
	int64		next = room_at_us(window, ledger, now_us);

	if (window->spread)
	{
		double		excess = ledger->debt_us - postrider_window_tolerance_us(window);

		if (excess > 0)
			next = Max(next, now_us + (int64) ceil(excess));
	}
	return next;
}
