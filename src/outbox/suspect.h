/*-------------------------------------------------------------------------
 *
 * suspect.h
 *	  Messages that end the worker.
 *
 * All functions run in a transaction of the worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SUSPECT_H
#define POSTRIDER_SUSPECT_H

#include "postgres.h"

#include "utils/uuid.h"

/*
 * Counts this start of the worker, gives up a message that has ended it too
 * often, and returns whether to be careful: to handle one message at a time,
 * each marked before.  The caller flushes the commit.
 */
extern bool postrider_suspect_start(void);

/* The message is about to be handled.  The caller flushes the commit. */
extern void postrider_suspect_mark(const pg_uuid_t *id);

/* If the worker ends now, it is not because of the message that was marked. */
extern void postrider_suspect_clear(void);

/* The worker has run well for a while: earlier starts are forgotten. */
extern void postrider_suspect_forget(void);

/* The delivery in pending that has been due for longest, if there is one. */
extern bool postrider_suspect_next_pending(pg_uuid_t *id, int32 *endpoint_id);

#endif							/* POSTRIDER_SUSPECT_H */
