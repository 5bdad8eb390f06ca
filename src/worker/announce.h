/*-------------------------------------------------------------------------
 *
 * announce.h
 *	  Tells people what happens to endpoints: by messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ANNOUNCE_H
#define POSTRIDER_ANNOUNCE_H

/*
 * Emits a message for each event of the engine, in a transaction of its own, and
 * disables the endpoints that have failed for too long.
 */
extern void postrider_announce_events(void);

#endif							/* POSTRIDER_ANNOUNCE_H */
