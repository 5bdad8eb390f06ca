/*-------------------------------------------------------------------------
 *
 * function_row.h
 *	  Rows of postrider.endpoint that are functions: postrider.on_message().
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_FUNCTION_ROW_H
#define POSTRIDER_FUNCTION_ROW_H

#include "postgres.h"

#include "outbox/trigger_row.h"

/* Is the row one? */
extern bool postrider_function_row_is(const TriggerRow *row);

/*
 * For the trigger: ereport(ERROR) if it cannot work, or if somebody wants a function
 * to be called as somebody else.
 */
extern void postrider_function_row_require(const TriggerRow *row);

#endif							/* POSTRIDER_FUNCTION_ROW_H */
