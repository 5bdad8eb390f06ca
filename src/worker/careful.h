/*-------------------------------------------------------------------------
 *
 * careful.h
 *	  Careful mode: one message at a time, marked while it is handled, so that
 *	  the one that ends the worker again and again is known (outbox/suspect.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CAREFUL_H
#define POSTRIDER_CAREFUL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/uuid.h"

/* At the start of the worker, within a step. */
extern void postrider_careful_start(void);

extern bool postrider_careful(void);

/* A message is marked: nothing else may be handled until it is acquitted. */
extern bool postrider_careful_marked(void);

/* Marks a message before it is handled; ends the step and begins another. */
extern void postrider_careful_mark(const pg_uuid_t *id);

/* The message that is marked has been settled, or is in flight for long. */
extern void postrider_careful_acquit(TimestampTz now);

/* Takes the mark away: what goes wrong has nothing to do with the message. */
extern void postrider_careful_clear(void);

/*
 * Forgets earlier starts: at the end of a worker that ends well, or when it has
 * run well for a while (postrider_careful_forget_if_well).
 */
extern void postrider_careful_forget(void);
extern void postrider_careful_forget_if_well(TimestampTz now);

/* The wall clock was set. */
extern void postrider_careful_shift(int64 microseconds);

#endif							/* POSTRIDER_CAREFUL_H */
