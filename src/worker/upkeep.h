/*-------------------------------------------------------------------------
 *
 * upkeep.h
 *	  Has partitions made and dropped, and payloads expired: once in an hour, by the
 *	  first worker of a database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_UPKEEP_H
#define POSTRIDER_UPKEEP_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* When it is time; DT_NOEND if it is not ours to do. */
extern TimestampTz postrider_upkeep_due(void);
extern void postrider_upkeep_run(TimestampTz now);

/* Settings have changed: it is time now. */
extern void postrider_upkeep_soon(void);

/* The wall clock was set. */
extern void postrider_upkeep_shift(int64 microseconds);

#endif							/* POSTRIDER_UPKEEP_H */
