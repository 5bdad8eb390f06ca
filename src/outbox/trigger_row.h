/*-------------------------------------------------------------------------
 *
 * trigger_row.h
 *	  The row that a trigger on a configuration table is to check.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TRIGGER_ROW_H
#define POSTRIDER_TRIGGER_ROW_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "util/compat.h"

typedef struct TriggerRow
{
	TupleDesc	desc;
	HeapTuple	tuple;
	HeapTuple	old_tuple;		/* NULL if the row is new */
	const char *endpoint;		/* name for messages */
} TriggerRow;

/* ereport(ERROR) if it is no trigger before insert or update for each row. */
extern TriggerRow postrider_trigger_row(FunctionCallInfo fcinfo,
										   const char *function);

/* ereport(ERROR) if there is no such column of that type. */
extern int	postrider_trigger_column(const TriggerRow *row, const char *column,
								 Oid type);
extern Datum postrider_trigger_get(const TriggerRow *row, HeapTuple tuple,
							   const char *column, Oid type, bool *isnull);

/* NULL for NULL */
extern char *postrider_trigger_text(const TriggerRow *row, HeapTuple tuple,
								const char *column);

/* True if the column has a value that is not NULL and was not there before. */
extern bool postrider_trigger_get_new(const TriggerRow *row, const char *column,
								  Oid type, Datum *value);

/* True if the row is new or has another value, NULL or not, than before. */
extern bool postrider_trigger_changed(const TriggerRow *row, const char *column,
								  Oid type);

/* The same as postrider_trigger_get_new() for text; NULL if there is no new value. */
extern char *postrider_trigger_new_text(const TriggerRow *row, const char *column);

/*
 * The time at which what a row has must be good: now, or 0 while a dump is restored, for
 * what has ended since it was made must not keep its row from being restored.
 */
extern TimestampTz postrider_trigger_time(void);

/* ereport(ERROR): the column of the endpoint has this problem. */
pg_noreturn extern void postrider_trigger_refuse(const TriggerRow *row, const char *column,
								 const char *problem,
								 const char *hint);

#endif							/* POSTRIDER_TRIGGER_ROW_H */
