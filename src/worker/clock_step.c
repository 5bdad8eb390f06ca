/*-------------------------------------------------------------------------
 *
 * clock_step.c
 *	  Notices that somebody has set the wall clock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "portability/instr_time.h"
#include "utils/timestamp.h"
#include "worker/clock_step.h"

/* A difference by which the wall clock must have been set. */
#define CLOCK_STEP_US		(2 * USECS_PER_SEC)

/* The wall clock against the one that nobody can set. */
int64
postrider_clock_step(TimestampTz now)
{
	static TimestampTz last_now = 0;
	static instr_time last_monotonic;
	instr_time	monotonic;
	int64		step = 0;

	INSTR_TIME_SET_CURRENT(monotonic);
	if (last_now != 0)
	{
		instr_time	elapsed = monotonic;

		INSTR_TIME_SUBTRACT(elapsed, last_monotonic);
		step = (now - last_now) - (int64) INSTR_TIME_GET_MICROSEC(elapsed);
	}
	last_now = now;
	last_monotonic = monotonic;
	return step > CLOCK_STEP_US || step < -CLOCK_STEP_US ? step : 0;
}
