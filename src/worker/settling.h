/*-------------------------------------------------------------------------
 *
 * settling.h
 *	  Has written down what has ended, leases for what takes long, and the cursor.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SETTLING_H
#define POSTRIDER_SETTLING_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Outcomes are settled when there are so many, or the oldest is so old. */
#define SETTLE_COUNT		1000
#define SETTLE_DELAY_MS		10

extern bool postrider_settling_is_due(TimestampTz now);
extern void postrider_settling_run(void);

/* Calls the next function, in the transaction that settles. */
extern void postrider_settling_call_function(void);

/* Writes leases and the cursor if it is time, or this is the last time. */
extern void postrider_settling_checkpoint(TimestampTz now, bool last);

/* The wall clock was set. */
extern void postrider_settling_shift(int64 microseconds);

#endif							/* POSTRIDER_SETTLING_H */
