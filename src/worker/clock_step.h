/*-------------------------------------------------------------------------
 *
 * clock_step.h
 *	  Notices that somebody has set the wall clock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CLOCK_STEP_H
#define POSTRIDER_CLOCK_STEP_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* By how many microseconds, since it was called last; 0: it was not set. */
extern int64 postrider_clock_step(TimestampTz now);

#endif							/* POSTRIDER_CLOCK_STEP_H */
