/*-------------------------------------------------------------------------
 *
 * stats.h
 *	  When statistics are written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_WORKER_STATS_H
#define POSTRIDER_WORKER_STATS_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * When statistics are to be written: as soon as their minute is over; DT_NOEND if
 * there are none, so that a worker with nothing to do does not wake up for them.
 */
extern TimestampTz postrider_stats_due(void);

/*
 * Writes them if that is due, in a transaction of its own; also before anything is
 * counted in a new minute.  last: the worker ends.
 */
extern void postrider_stats_save(TimestampTz now, bool last);

#endif							/* POSTRIDER_WORKER_STATS_H */
