/*-------------------------------------------------------------------------
 *
 * loop.h
 *	  How the loop of a worker does: for everybody to see.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_LOOP_H
#define POSTRIDER_LOOP_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* A turn begins. */
extern void postrider_loop_begin(TimestampTz now);

/* It ends; caught_up: there is nothing to read that the worker knows of. */
extern void postrider_loop_end(bool caught_up);

#endif							/* POSTRIDER_LOOP_H */
