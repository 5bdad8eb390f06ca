/*-------------------------------------------------------------------------
 *
 * response_row.h
 *	  The columns of postrider.endpoint that say what becomes of responses.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RESPONSE_ROW_H
#define POSTRIDER_RESPONSE_ROW_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "model.h"
#include "outbox/trigger_row.h"

/* For the list of a SELECT from postrider.endpoint as "alias". */
#define POSTRIDER_RESPONSE_COLUMNS(alias) \
	alias ".response_excerpt_bytes, " alias ".reply_topic"

/* Reads them by their names; strings are made in the current context. */
extern void postrider_response_row_read(TupleDesc desc, HeapTuple tuple,
										Endpoint *endpoint);

/* For the triggers: ereport(ERROR) if new values make no sense. */
extern void postrider_response_row_require(const TriggerRow *row);
extern void postrider_response_row_require_pattern(const TriggerRow *row);

#endif							/* POSTRIDER_RESPONSE_ROW_H */
