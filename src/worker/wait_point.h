/*-------------------------------------------------------------------------
 *
 * wait_point.h
 *	  The one place where the worker waits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_WAIT_POINT_H
#define POSTRIDER_WAIT_POINT_H

#include "postgres.h"


/* To be called once, with the engine's descriptor. */
extern void postrider_wait_start(int epoll_descriptor);

/*
 * Waits, at most so long; -1: for ever.  True if somebody has set the latch, which is
 * reset then: there may be messages.
 */
extern bool postrider_wait(long timeout_ms);

/* So many messages were just read. */
extern void postrider_wait_count(int messages);

/* The wall clock was set. */
extern void postrider_wait_clock_was_set(void);

#endif							/* POSTRIDER_WAIT_POINT_H */
