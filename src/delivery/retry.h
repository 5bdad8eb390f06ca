/*-------------------------------------------------------------------------
 *
 * retry.h
 *	  Whether and when a failed delivery is tried again: pure functions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RETRY_H
#define POSTRIDER_RETRY_H

#include "postgres.h"

#include "model.h"

/*
 * How long to wait, in milliseconds, after so many failed attempts (1 or
 * more).  By the endpoint's schedule, whose last element repeats; or else by
 * exponential backoff with full jitter: evenly drawn from 0 to
 * backoff_base * 2^(attempts - 1), at most backoff_max.  "random" is in [0, 1).
 */
extern int64 postrider_backoff_ms(const Endpoint *endpoint, int attempts,
								  double random);

/*
 * Turns "failed, may be tried again" into what happens: fills in retry_at, or
 * changes the outcome to dead after the endpoint's last attempt.  attempts
 * counts the one that has just failed.  retry_after_ms is what the receiver
 * asked for, as a floor, or 0.  A retry never comes later than the message
 * expires: it is then recorded as expired at that time.
 */
extern void postrider_retry_decide(AttemptResult *result,
								   const Endpoint *endpoint, int attempts,
								   int64 retry_after_ms, TimestampTz expires_at,
								   TimestampTz now, double random);

#endif							/* POSTRIDER_RETRY_H */
