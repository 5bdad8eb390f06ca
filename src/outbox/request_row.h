/*-------------------------------------------------------------------------
 *
 * request_row.h
 *	  The columns of postrider.endpoint that say what a request looks like.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_REQUEST_ROW_H
#define POSTRIDER_REQUEST_ROW_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "model.h"
#include "outbox/trigger_row.h"

/* For the list of a SELECT from postrider.endpoint as "alias"; besides url, method, headers. */
#define POSTRIDER_REQUEST_COLUMNS(alias) \
	alias ".format, " alias ".body_template, " alias ".content_type, " \
	alias ".idempotency_key, " alias ".proxy, " alias ".proxy_secret"

/*
 * Reads the endpoint's shape, in CurrentMemoryContext.  Its url, method and headers
 * are there already; headers that are computed are taken out of them.
 */
extern void postrider_request_row_read(TupleDesc desc, HeapTuple tuple, Endpoint *endpoint);

/* For the trigger: ereport(ERROR) if a new url, or proxy, leads where it must not. */
extern void postrider_request_row_require_url(const TriggerRow *row);

/* For the trigger: ereport(ERROR) if such requests cannot be made. */
extern void postrider_request_row_require(const TriggerRow *row);

#endif							/* POSTRIDER_REQUEST_ROW_H */
