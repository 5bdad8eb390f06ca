/*-------------------------------------------------------------------------
 *
 * keep.h
 *	  Keeps rate limits and circuit breakers over a restart.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_KEEP_H
#define POSTRIDER_KEEP_H

#include "delivery/governor.h"
#include "model.h"

/* Takes up what was kept of a new endpoint, or of a new rate group; in a transaction. */
extern void postrider_keep_load_endpoint(Endpoint *endpoint, TimestampTz now);
extern void postrider_keep_load_group(RateGroup *group, const char *name,
									  const RatePolicy *policy, TimestampTz now);

/* When something is to be written; DT_NOEND if nothing is. */
extern TimestampTz postrider_keep_due(void);

/*
 * Writes what has changed, in a transaction of its own.  last: the worker ends,
 * and sends nothing any more.
 */
extern void postrider_keep_save(TimestampTz now, bool last);

/* Requests have been made, or have ended. */
extern void postrider_keep_touch(TimestampTz now);

#endif							/* POSTRIDER_KEEP_H */
