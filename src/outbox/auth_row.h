/*-------------------------------------------------------------------------
 *
 * auth_row.h
 *	  The columns of postrider.endpoint that say how requests authenticate and are
 *	  signed, and whom they trust.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_AUTH_ROW_H
#define POSTRIDER_AUTH_ROW_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "model.h"
#include "outbox/trigger_row.h"

/* For the list of a SELECT from postrider.endpoint as "alias". */
#define POSTRIDER_AUTH_COLUMNS(alias) \
	alias ".auth, " alias ".signing, " alias ".signing_secret, " alias ".ca_certificate"

/* Reads them in CurrentMemoryContext, which lives as long as the endpoint's policy. */
extern void postrider_auth_row_read(TupleDesc desc, HeapTuple tuple, Endpoint *endpoint);

/* For the trigger: ereport(ERROR) if they cannot be used. */
extern void postrider_auth_row_require(const TriggerRow *row);

#endif							/* POSTRIDER_AUTH_ROW_H */
