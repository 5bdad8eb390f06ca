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
#include "nodes/pg_list.h"
#include "worker/rate_group.h"

/* What was kept of a shared rate, for postrider_rate_restore(). */
typedef struct KeptRate
{
	const void *bytes;			/* NULL if nothing was */
	Size		length;
	int64		unsaved_us;
} KeptRate;

/* Takes up what was kept of a new endpoint; in a transaction. */
extern void postrider_keep_load_endpoint(Endpoint *endpoint, TimestampTz now);

/* Reads what was kept of a rate, in the current context; in a transaction. */
extern void postrider_keep_read(RateScope scope, const char *name, KeptRate *kept);

/* The rates of messages that this worker keeps, from now on; and that they are in use. */
extern void postrider_keep_messages(const List *groups);
extern void postrider_keep_touch_messages(TimestampTz now);

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
