/*-------------------------------------------------------------------------
 *
 * feed.h
 *	  Feeds the lanes: from the log by way of the inbox, from what was deferred
 *	  for want of room, and from the table pending.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_FEED_H
#define POSTRIDER_FEED_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/ilist.h"

/* Where the reader puts deliveries; see postrider_feed_place(). */
extern dlist_head *postrider_feed_inbox(void);

/*
 * Moves deliveries from the inbox to their lanes, in order, or defers them.
 * Stops at one that can be neither: the inbox is then not empty.
 */
extern void postrider_feed_place(TimestampTz now);

/* Loads what is deferred for lanes that have room again. */
extern void postrider_feed_load_deferred(TimestampTz now);

/* Loads what is due from the table pending, if it is time. */
extern void postrider_feed_load_pending(TimestampTz now);

/* Something in pending is due at that time; its endpoint knows. */
extern void postrider_feed_pending_due(TimestampTz at);

/* Somebody else has changed pending: anything may be due. */
extern void postrider_feed_look_at_pending(void);

/* When this wants to be called again; DT_NOEND if there is nothing. */
extern TimestampTz postrider_feed_deadline(TimestampTz now);

#endif							/* POSTRIDER_FEED_H */
