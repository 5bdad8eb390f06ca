/*-------------------------------------------------------------------------
 *
 * function_call.h
 *	  Calls of SQL functions for messages: postrider.on_message().
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_FUNCTION_CALL_H
#define POSTRIDER_FUNCTION_CALL_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Once, at the start of the worker. */
extern void postrider_function_call_start(void);

/* When the next call is to be made, after a run of the engine; DT_NOEND: none. */
extern TimestampTz postrider_function_call_due(void);

/* How long the loop may wait: not at all after a call. */
extern TimestampTz postrider_function_call_deadline(void);

/* May the next call be long?  Then settle first what has ended. */
extern bool postrider_function_call_is_slow(void);

/*
 * Makes the next call, within a step that then settles what the engine has
 * finished, this delivery among them: what the function has done and the record of
 * the attempt are committed together.  network_busy: requests wait for us.
 */
extern void postrider_function_call_next(bool network_busy);

/* The wall clock was set. */
extern void postrider_function_call_shift(int64 microseconds);

#endif							/* POSTRIDER_FUNCTION_CALL_H */
