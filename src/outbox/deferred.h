/*-------------------------------------------------------------------------
 *
 * deferred.h
 *	  Deliveries that were read too early: their lane had no room.
 *
 * The log is read once, for all endpoints, in order.  If the reader waited for
 * a lane to have room, everything behind would wait with it.  So for an
 * endpoint that lags, only the ids of its messages are kept, in order, and they
 * are read again by id when its lane has room.  From the first id that is
 * deferred until there is none left, all that comes for the endpoint from
 * the log is deferred, so its deliveries keep their order.
 *
 * What is deferred still counts as outstanding in its part of the log
 * (progress.h), so the cursor does not move past it, and after a crash it is
 * found again.  An endpoint that would take very long is not left here but
 * "spilled" into the table pending, so that the cursor can go on.
 *
 * Memory is bounded: DEFERRED_MAX ids of 24 bytes in all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_DEFERRED_H
#define POSTRIDER_DEFERRED_H

#include "postgres.h"

#include "model.h"

#define DEFERRED_MAX 500000

/* Deliveries that are loaded or spilled at once. */
#define DEFERRED_BATCH 500

/*
 * Defers the delivery of a message to an endpoint, counted in chunk->outstanding
 * by the caller.  False if there is no room; then nothing has happened.
 */
extern bool postrider_deferred_add(Endpoint *endpoint, const pg_uuid_t *message_id,
								   MappingReference *mapping, ReadChunk *chunk);

/* How many there are, of all endpoints. */
extern int	postrider_deferred_total(void);

/* All endpoints that have some, linked by deferred.node. */
extern dlist_head *postrider_deferred_endpoints(void);

/*
 * Reads up to "limit" (at most DEFERRED_BATCH) messages that are deferred
 * for the endpoint, in the current transaction, and appends their deliveries to
 * the list.  An ERROR afterwards must end the worker, as all do.
 */
extern void postrider_deferred_load(Endpoint *endpoint, int limit, dlist_head *deliveries);

/* Moves up to DEFERRED_BATCH of the endpoint to pending, due now. */
extern void postrider_deferred_spill(Endpoint *endpoint);

/*
 * Would the endpoint, at the pace at which it has taken what was deferred, need
 * longer than is good for the cursor?
 */
extern bool postrider_deferred_is_hopeless(const Endpoint *endpoint, TimestampTz now);

/* The wall clock was set. */
extern void postrider_deferred_shift(int64 microseconds);

#endif							/* POSTRIDER_DEFERRED_H */
