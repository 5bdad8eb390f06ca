/*-------------------------------------------------------------------------
 *
 * pending.h
 *	  The table of what is owed later.
 *
 * A row whose delivery a worker has in memory is that delivery's lease: its
 * reason is in_flight and its due_at infinity.  When a worker starts, the
 * leases of the one before it are due at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_PENDING_H
#define POSTRIDER_PENDING_H

#include "postgres.h"

#include "model.h"

/* How many due deliveries an endpoint can take, and how many there were. */
typedef struct PendingRoom
{
	Endpoint   *endpoint;
	int			room;			/* for those that are not urgent ... */
	int			urgent_room;	/* and for those that are; for both, the larger
								 * of the two */
	int			loaded;			/* result: of either kind */
	int			loaded_urgent;	/* result: of those the urgent ones */
	TimestampTz next_due;		/* result: when the next one is; DT_NOEND: none */
} PendingRoom;

/* The wall clock was set: retries keep their distance from now. */
extern void postrider_pending_shift(int64 microseconds);

/* At the start: makes the leases of earlier workers due now. */
extern void postrider_pending_recover(void);

/* Leases due deliveries and appends them to the list. */
extern void postrider_pending_load(PendingRoom *rooms, int count,
								   dlist_head *deliveries);

/* Makes what is held due now, for endpoints that are enabled. */
extern void postrider_pending_release(void);

/* Records what is owed to deleted endpoints as cancelled. */
extern void postrider_pending_cancel_orphans(void);

#endif							/* POSTRIDER_PENDING_H */
