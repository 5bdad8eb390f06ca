/*-------------------------------------------------------------------------
 *
 * latest_row.h
 *	  A row of a table of the extension, as it is now.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_LATEST_ROW_H
#define POSTRIDER_LATEST_ROW_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"

/* The OID of a table or index of the extension, or InvalidOid. */
extern Oid	postrider_relation(const char *name);

/*
 * The one row of postrider.TABLE whose column, a text, has this value and which
 * INDEX, unique, has on it; NULL if there is none.  The row and its *desc are
 * copies, in the current memory context.  Nobody's privileges matter.
 *
 * The row is read with the latest snapshot, so that what is kept of it does
 * not depend on this transaction; but with the active one in a parallel query,
 * which can have no other.
 */
extern HeapTuple postrider_latest_row(const char *table, const char *index,
									  const char *column, const char *value,
									  TupleDesc *desc);

/* A column of such a row by its name; ereport(ERROR) if there is none. */
extern Datum postrider_latest_get(HeapTuple row, TupleDesc desc, const char *column,
								  bool *isnull);

#endif							/* POSTRIDER_LATEST_ROW_H */
