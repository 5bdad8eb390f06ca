/*-------------------------------------------------------------------------
 *
 * latest_row.c
 *	  A row of a table of the extension, as it is now: without SPI.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "outbox/latest_row.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

Oid
postrider_relation(const char *name)
{
	Oid			schema = get_namespace_oid("postrider", true);

	return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

HeapTuple
postrider_latest_row(const char *table, const char *index, const char *column,
					 const char *value, TupleDesc *desc)
{
	Oid			oid = postrider_relation(table);
	Relation	rel;
	AttrNumber	key_number;
	ScanKeyData key;
	Snapshot	snapshot;
	SysScanDesc scan;
	HeapTuple	tuple;
	HeapTuple	result = NULL;

	if (!OidIsValid(oid))
		return NULL;
	rel = table_open(oid, AccessShareLock);
	key_number = get_attnum(oid, column);
	if (key_number <= 0)
		elog(ERROR, "table \"postrider.%s\" lacks a column", table);
	ScanKeyEntryInitialize(&key, 0, key_number, BTEqualStrategyNumber, InvalidOid,
						   TupleDescAttr(RelationGetDescr(rel), key_number - 1)->attcollation,
						   F_TEXTEQ, CStringGetTextDatum(value));
	snapshot = RegisterSnapshot(IsInParallelMode() ? GetActiveSnapshot() :
								GetLatestSnapshot());
	scan = systable_beginscan(rel, postrider_relation(index), true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		result = heap_copytuple(tuple);
		*desc = CreateTupleDescCopy(RelationGetDescr(rel));
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return result;
}

Datum
postrider_latest_get(HeapTuple row, TupleDesc desc, const char *column, bool *isnull)
{
	int			number = SPI_fnumber(desc, column);

	if (number <= 0)
		elog(ERROR, "table lacks column \"%s\"", column);
	return heap_getattr(row, number, desc, isnull);
}
