/*-------------------------------------------------------------------------
 *
 * version.c
 *	  Whether the SQL objects of the extension are of the library's version.
 *
 * No cache of the server tells when a row of pg_extension changes.  So whoever
 * changes the extension invalidates postrider.message in the relation caches
 * (worker/utility.c): that is transactional, and reaches all.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "funcapi.h"
#include "outbox/latest_row.h"
#include "outbox/version.h"
#include "util/version.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(postrider_library_version);

/* postrider.message, if the versions are known to agree. */
static Oid	agreed_for = InvalidOid;

/* The version of the SQL objects, palloc'd; NULL without the extension. */
static char *
installed_version(void)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	char	   *version = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("postrider"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(rel), &isnull);

		version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return version;
}

static void
relation_changed(Datum arg, Oid relation)
{
	if (relation == agreed_for || !OidIsValid(relation))
		agreed_for = InvalidOid;
}

bool
postrider_versions_agree(void)
{
	static bool listening = false;
	char	   *version;
	bool		agree;

	if (OidIsValid(agreed_for))
		return true;
	if (!listening)
		CacheRegisterRelcacheCallback(relation_changed, 0);
	listening = true;

	version = installed_version();
	agree = version != NULL && strcmp(version, POSTRIDER_VERSION) == 0;
	if (version)
		pfree(version);
	if (agree)
		agreed_for = postrider_relation("message");
	return agree;
}

/* Versions are numbers with dots. */
static bool
is_older(const char *version, const char *than)
{
	while (*version && *than)
	{
		char	   *version_end;
		char	   *than_end;
		long		number = strtol(version, &version_end, 10);
		long		than_number = strtol(than, &than_end, 10);

		if (number != than_number)
			return number < than_number;
		version = *version_end ? version_end + 1 : version_end;
		than = *than_end ? than_end + 1 : than_end;
	}
	return *than != '\0';
}

char *
postrider_version_problem(char **hint)
{
	char	   *version;

	if (postrider_versions_agree())
		return NULL;
	version = installed_version();
	if (version == NULL)
	{
		*hint = pstrdup("Run CREATE EXTENSION postrider.");
		return pstrdup("extension \"postrider\" is not in this database");
	}
	if (is_older(version, POSTRIDER_VERSION))
		*hint = pstrdup("Run ALTER EXTENSION postrider UPDATE.");
	else
		*hint = psprintf("Install version %s of the library, and restart the server.", version);
	return psprintf("postrider's library is version %s, its SQL objects are version %s",
					POSTRIDER_VERSION, version);
}

void
postrider_require_versions(void)
{
	char	   *hint;
	char	   *problem = postrider_version_problem(&hint);

	if (problem)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg_internal("%s", problem),
				 errhint("%s", hint)));
}

void
postrider_begin_rows(FunctionCallInfo fcinfo, int column_count)
{
	InitMaterializedSRF(fcinfo, 0);
	if (((ReturnSetInfo *) fcinfo->resultinfo)->setDesc->natts == column_count)
		return;
	postrider_require_versions();
	elog(ERROR, "the SQL function does not have %d columns", column_count);
}

void
postrider_extension_changed(void)
{
	Oid			message = postrider_relation("message");

	if (OidIsValid(message))
		CacheInvalidateRelcacheByRelid(message);
}

/* SQL: postrider.library_version() */
Datum
postrider_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(POSTRIDER_VERSION));
}
