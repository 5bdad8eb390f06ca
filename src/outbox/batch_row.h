/*-------------------------------------------------------------------------
 *
 * batch_row.h
 *	  The columns of postrider.endpoint on batches that are more than
 *	  numbers: the envelope and the paths.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_BATCH_ROW_H
#define POSTRIDER_BATCH_ROW_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "model.h"
#include "outbox/trigger_row.h"

/* Fills them in, in CurrentMemoryContext. */
extern void postrider_batch_row_read(TupleDesc desc, HeapTuple tuple, Endpoint *endpoint);

/* For the trigger: ereport(ERROR) if they make no sense. */
extern void postrider_batch_row_require(const TriggerRow *row);

#endif							/* POSTRIDER_BATCH_ROW_H */
