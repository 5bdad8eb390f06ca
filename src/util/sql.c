/*-------------------------------------------------------------------------
 *
 * sql.c
 *	  The one way to run SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

void
postrider_sql_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pgstat_report_activity(STATE_RUNNING, activity);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
postrider_sql_commit(void)
{
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
}

Oid
postrider_owner(void)
{
	Oid			schema = get_namespace_oid("postrider", true);
	Oid			table;
	Oid			owner = InvalidOid;
	HeapTuple	tuple;

	if (!OidIsValid(schema))
		return InvalidOid;
	table = get_relname_relid("message", schema);
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

static void
set_for_level(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

void
postrider_sql_pin_search_path(void)
{
	set_for_level("search_path", "pg_catalog, pg_temp");
}

void
postrider_sql_begin_foreign(void)
{
	postrider_sql_pin_search_path();
	set_for_level("enable_seqscan", "on");
	set_for_level("enable_sort", "on");
	set_for_level("enable_hashjoin", "on");
	set_for_level("enable_mergejoin", "on");
	set_for_level("plan_cache_mode", "auto");
}

/* Settings of the database or of a role must not choose what our statements mean. */
void
postrider_sql_pin_process(void)
{
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
}

void
postrider_sql_enter(SqlScope *scope)
{
	Oid			owner = postrider_owner();

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"postrider.message\" does not exist"),
				 errhint("Run CREATE EXTENSION postrider.")));
	GetUserIdAndSecContext(&scope->user, &scope->security_context);
	SetUserIdAndSecContext(owner, scope->security_context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	scope->guc_level = NewGUCNestLevel();
	postrider_sql_pin_search_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/* After an error the abort of the (sub)transaction restores both. */
void
postrider_sql_leave(const SqlScope *scope)
{
	SPI_finish();
	AtEOXact_GUC(false, scope->guc_level);
	SetUserIdAndSecContext(scope->user, scope->security_context);
}

static void
prepare(SqlStatement *statement)
{
	SPIPlanPtr	plan;

	if (statement->plan != NULL)
		return;
	plan = SPI_prepare(statement->text, statement->argument_count, statement->argument_types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed for \"%s\": %s", statement->text,
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	statement->plan = plan;
}

static uint64
check_result(const SqlStatement *statement, int result)
{
	if (result < 0)
		elog(ERROR, "SPI_execute_plan failed for \"%s\": %s", statement->text,
			 SPI_result_code_string(result));
	return SPI_processed;
}

uint64
postrider_sql_run(SqlStatement *statement, const Datum *values,
				  const char *nulls, long limit)
{
	prepare(statement);
	return check_result(statement, SPI_execute_plan(statement->plan, (Datum *) values, nulls,
													false, limit));
}

uint64
postrider_sql_run_latest(SqlStatement *statement, const Datum *values,
						 const char *nulls, long limit)
{
	Snapshot	snapshot;
	int			result;

	prepare(statement);
	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	result = SPI_execute_snapshot(statement->plan, (Datum *) values, nulls, snapshot,
								  InvalidSnapshot, false, false, limit);
	UnregisterSnapshot(snapshot);
	return check_result(statement, result);
}

Datum
postrider_sql_datum(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column + 1, isnull);
}

HeapTuple
postrider_sql_row(uint64 row, TupleDesc *desc)
{
	*desc = SPI_tuptable->tupdesc;
	return SPI_tuptable->vals[row];
}

char *
postrider_sql_text(uint64 row, int column, MemoryContext context)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(row, column, &isnull);
	MemoryContext old;
	char	   *result;

	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(context);
	result = TextDatumGetCString(value);
	MemoryContextSwitchTo(old);
	return result;
}

int32
postrider_sql_int32(uint64 row, int column)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(row, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

int64
postrider_sql_int64(uint64 row, int column)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

bool
postrider_sql_bool(uint64 row, int column)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(row, column, &isnull);

	return isnull ? false : DatumGetBool(value);
}

pg_uuid_t
postrider_sql_uuid(uint64 row, int column)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(row, column, &isnull);
	pg_uuid_t	result = {0};

	if (!isnull)
		result = *DatumGetUUIDP(value);
	return result;
}

Jsonb *
postrider_sql_jsonb(uint64 row, int column)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(row, column, &isnull);

	return isnull ? NULL : DatumGetJsonbP(value);
}

int64
postrider_interval_ms(const Interval *interval)
{
	return ((int64) interval->month * 30 + interval->day) * 86400000 +
		interval->time / 1000;
}
