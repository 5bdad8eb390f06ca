/*-------------------------------------------------------------------------
 *
 * wait_time.h
 *	  How receivers say how long to wait: pure functions.
 *
 * Times are in microseconds since PostgreSQL's epoch; the time of now is an
 * argument.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_WAIT_TIME_H
#define POSTRIDER_WAIT_TIME_H

#include "postgres.h"

/* Nothing said is believed to lie further ahead. */
#define WAIT_MAX_US (INT64CONST(366) * 24 * 60 * 60 * 1000000)

/* The unit of a number that says how long to wait, or until when. */
typedef enum WaitUnit
{
	WAIT_AUTO,					/* told by its size and form */
	WAIT_SECONDS,
	WAIT_MILLISECONDS,
	WAIT_MINUTES,
	WAIT_EPOCH,
	WAIT_EPOCH_MS,
	WAIT_HTTP_DATE
} WaitUnit;

/*
 * Reads until when to wait: a number in the unit, perhaps with one of its own
 * ("3.5s", "1m30s", "20 ms") where the unit is a span, or a date.  False if it is
 * nothing of the kind.  The result is at least now and at most WAIT_MAX_US
 * later.
 */
extern bool postrider_wait_read(const char *string, int length, WaitUnit unit,
								int64 now_us, int64 *until_us);

/* "seconds", "epoch_ms", ...; false if there is no such unit. */
extern bool postrider_wait_unit_find(const char *name, WaitUnit *unit);

/*
 * Reads a number of at most 18 digits, perhaps with a fraction; moves *string behind
 * it.  False if there is none.
 */
extern bool postrider_number_read(const char **string, const char *end, double *number);

#endif							/* POSTRIDER_WAIT_TIME_H */
