/*-------------------------------------------------------------------------
 *
 * rate_limit.h
 *	  How often an endpoint may be called: several windows at once.
 *
 * All functions are pure: they know only their arguments.  Times are in
 * microseconds, of any clock that the caller uses throughout; a clock that
 * goes backwards is taken to stand still, or by more than 10 s, to have been set.  A RateState has no pointers, so it
 * may lie in shared memory, where several endpoints of several workers use it
 * as a rate_group; whoever keeps it there holds a lock during each call.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RATE_LIMIT_H
#define POSTRIDER_RATE_LIMIT_H

#include "postgres.h"

#define RATE_MAX_WINDOWS	4

/* Slots that a period is divided into; rate_limit.c explains. */
#define RATE_SLOTS			60

/* What is accepted as a limit and a period. */
#define RATE_MAX_LIMIT		1000000000
#define RATE_MIN_PERIOD_US	INT64CONST(100000)
#define RATE_MAX_PERIOD_US	(INT64CONST(31) * 24 * 60 * 60 * 1000000)

/* One window: at most "limit" in any time of length period_us. */
typedef struct RateWindow
{
	int64		period_us;
	int32		limit;
	int32		burst;			/* so many may go at once; 0: as many as the
								 * spread says */
	bool		spread;			/* evenly, but for the burst; else as they
								 * come, until the limit is reached */
} RateWindow;

/* The limits of an endpoint or group; none: only what the receiver says. */
typedef struct RatePolicy
{
	int			count;
	RateWindow	window[RATE_MAX_WINDOWS];
	double		warn_at;		/* share of a limit, above 0 to 1; 0: never */
} RatePolicy;

/* What one window remembers. */
typedef struct RateLedger
{
	int64		origin_us;		/* when slot 0 began */
	int64		slot;			/* number of the newest slot */
	int64		used;			/* the sum of the counts */
	double		debt_us;		/* how far the pace is ahead of the clock */
	int64		warned_at_us;	/* the last warning, if "warned" or quiet */
	bool		warned;			/* and not yet far below the threshold */
	bool		has_warned;		/* warned_at_us is set */
	uint32		count[RATE_SLOTS + 1];	/* by slot number modulo the length */
} RateLedger;

/* What the answers of the receiver have taught. */
typedef struct RateAdaptation
{
	int64		blocked_until_us;	/* nothing before this, if in the future */
	bool		slowed;
	double		slow_rate;		/* calls per second, at slow_since_us */
	double		reference_rate; /* what it was before, or should become */
	int64		slowed_at_us;	/* when the last slowing down was decided */
	int64		slow_since_us;	/* from here on it recovers */
	double		hint_rate;		/* calls per second that the receiver has
								 * room for, until ... */
	int64		hint_until_us;
	double		debt_us;		/* as in RateLedger */
	int64		sample_at_us;	/* rate that was really used: a sample ... */
	int64		sample_count;	/* ... that began then with so many calls */
	double		measured_rate;	/* and the last one that is complete */
} RateAdaptation;

typedef struct RateState
{
	bool		started;		/* false: all of it is zero */
	int64		last_us;		/* the latest time that was seen */
	RatePolicy	policy;			/* as it was set */
	RateLedger	ledger[RATE_MAX_WINDOWS];
	RateAdaptation adaptation;
} RateState;

/* What a receiver says about its limit; -1 for what it does not say. */
typedef struct RateObservation
{
	bool		throttled;		/* status 429, or what a rule takes for it */
	int64		sent_at_us;		/* when the request began */
	int64		retry_at_us;	/* Retry-After */
	int64		remaining;		/* calls left ... */
	int64		reset_at_us;	/* ... until then */
	int64		max_wait_us;	/* it is not believed to want a longer wait */
	int			in_flight;		/* other requests that may not be counted in
								 * "remaining" yet */
} RateObservation;

/* How one window stands, for views. */
typedef struct RateUse
{
	int64		period_us;
	int32		limit;
	int64		used;			/* within the period; may count a little more */
} RateUse;

/* What is kept over a restart; see postrider_rate_save(). */
typedef struct RateSnapshot
{
	uint32		magic;
	uint32		size;			/* of the struct; another version differs */
	uint32		checksum;		/* of what follows */
	int64		saved_at_us;
	RateState	state;
} RateSnapshot;

/* A state for this policy, with nothing used. */
extern void postrider_rate_init(RateState *state, const RatePolicy *policy,
								int64 now_us);

/*
 * The policy has changed, or may have: what was used counts on, as exactly as
 * the old windows knew it and never as less.  A state full of zeros will do.
 */
extern void postrider_rate_configure(RateState *state,
									 const RatePolicy *policy, int64 now_us);

/*
 * Takes a token for one call now; false if there is none.  If a window has
 * crossed the threshold for a warning, its number is stored in *warning, else
 * -1.
 */
extern bool postrider_rate_take(RateState *state, int64 now_us, int *warning);

/* Gives back a token that was taken at that time, for a call not made. */
extern void postrider_rate_put_back(RateState *state, int64 taken_at_us);

/*
 * Gives back so many tokens that were taken between two times, without a word on
 * which of them when: the oldest go first, so that what is left counts longer.
 */
extern void postrider_rate_put_back_many(RateState *state, int64 from_us, int64 to_us,
										 int64 count);

/*
 * When there may be a token: now_us if there is one, else a time after it.
 * Nothing changes but what time itself changes.
 */
extern int64 postrider_rate_next_us(RateState *state, int64 now_us);

/* Takes in what a receiver said. */
extern void postrider_rate_observe(RateState *state,
								   const RateObservation *observation,
								   int64 now_us);

/* Fills in how the windows stand now; returns how many there are. */
extern int	postrider_rate_use(RateState *state, int64 now_us, RateUse *use);

/*
 * Calls per second that the receiver's answers allow now; 0 if they say
 * nothing.  Without the time for which it is blocked.
 */
extern double postrider_rate_adapted(const RateState *state, int64 now_us);

/* The clock was set forward by so much (or back): the state moves along. */
extern void postrider_rate_shift(RateState *state, int64 microseconds);

/*
 * A copy to be kept over a restart, to be compared and copied as bytes, and the
 * way back.  unsaved_us is for how long calls may have been made after the copy
 * was made: as many are assumed as the limits allow in that time.  0 after an
 * orderly end; after a crash the interval at which copies are made.  False if
 * the bytes are not a copy that this version made; the state then starts anew.
 */
extern void postrider_rate_save(const RateState *state, int64 now_us,
								RateSnapshot *snapshot);
extern bool postrider_rate_restore(RateState *state, const RatePolicy *policy,
								   const void *bytes, Size length,
								   int64 now_us, int64 unsaved_us);

#endif							/* POSTRIDER_RATE_LIMIT_H */
