/*-------------------------------------------------------------------------
 *
 * rate_ledger.h
 *	  What one window of a rate limit remembers: for rate_limit.c and
 *	  rate_history.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RATE_LEDGER_H
#define POSTRIDER_RATE_LEDGER_H

#include "postgres.h"

#include "policy/rate_limit.h"

/* Width of a slot. */
extern int64 postrider_window_slot_us(const RateWindow *window);

/* What a call costs of the pace, and how much debt it may have before. */
extern double postrider_window_interval_us(const RateWindow *window);
extern double postrider_window_tolerance_us(const RateWindow *window);

/* Empties a ledger whose slot 0 begins then. */
extern void postrider_ledger_start(RateLedger *ledger, int64 origin_us);

/* The slot of a time, and the number of calls in one of the last slots. */
extern int64 postrider_ledger_slot(const RateWindow *window,
								   const RateLedger *ledger, int64 at_us);
extern uint32 *postrider_ledger_count(RateLedger *ledger, int64 slot);

/* Moves on to the slot of now; what has left the window is forgotten. */
extern void postrider_ledger_advance(const RateWindow *window,
									 RateLedger *ledger, int64 now_us);

/* Counts calls at a time that is not later than now, if it still matters. */
extern void postrider_ledger_charge(const RateWindow *window,
									RateLedger *ledger, int64 at_us,
									int64 calls);

/* When both gates of the window let a call through; now_us if now. */
extern int64 postrider_ledger_next_us(const RateWindow *window,
									  RateLedger *ledger, int64 now_us);

/*
 * True once for each time that the use rises over the threshold: not again
 * before it has been well below, nor within ten minutes.
 */
extern bool postrider_ledger_warns(const RatePolicy *policy,
								   const RateWindow *window,
								   RateLedger *ledger, int64 now_us);

#endif							/* POSTRIDER_RATE_LEDGER_H */
