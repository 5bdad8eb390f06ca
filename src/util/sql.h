/*-------------------------------------------------------------------------
 *
 * sql.h
 *	  The one way to run SQL: SPI with saved plans and typed getters.
 *
 * Two kinds of callers.  A worker runs whole transactions of its own between
 * postrider_sql_begin() and postrider_sql_commit().  A function that a user
 * calls brackets its SQL by postrider_sql_enter() and postrider_sql_leave(),
 * and runs as the owner of the extension in between.  Both have search_path
 * pinned to pg_catalog and pg_temp, so that no operator or function of a user
 * can be caught up in a statement; tables carry their schema.
 *
 * Columns and rows count from 0, unlike SPI's columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SQL_H
#define POSTRIDER_SQL_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#define SQL_MAX_ARGUMENTS 16

/*
 * A statement, declared static by the function that runs it.  The plan is
 * made at the first use and kept for the life of the process.
 */
typedef struct SqlStatement
{
	const char *text;
	int			argument_count;
	Oid			argument_types[SQL_MAX_ARGUMENTS];
	SPIPlanPtr	plan;
} SqlStatement;

typedef struct SqlScope
{
	Oid			user;
	int			security_context;
	int			guc_level;
} SqlScope;

/* A worker's transaction; "activity" shows up in pg_stat_activity. */
extern void postrider_sql_begin(const char *activity);
extern void postrider_sql_commit(void);

/*
 * For a process of ours, before its first statement: pins search_path for good, whatever
 * ALTER DATABASE or ALTER ROLE ... SET says.
 */
extern void postrider_sql_pin_process(void);

/* Pins search_path until the end of the GUC nest level. */
extern void postrider_sql_pin_search_path(void);

/*
 * The same for code of others: also the planner's settings of a worker, which are for its
 * own statements, are as usual until then.
 */
extern void postrider_sql_begin_foreign(void);

/* SQL within a user's transaction, as the owner of the extension. */
extern void postrider_sql_enter(SqlScope *scope);
extern void postrider_sql_leave(const SqlScope *scope);

/*
 * Runs a statement and returns the number of rows it processed.  Its results
 * are read with the getters below until the next call.  nulls has 'n' for
 * NULL arguments, as for SPI, and may itself be NULL; limit 0 means all rows.
 */
extern uint64 postrider_sql_run(SqlStatement *statement, const Datum *values,
								const char *nulls, long limit);

/*
 * The same by what has been committed until now, whatever the isolation level of the
 * transaction; with its own changes.
 */
extern uint64 postrider_sql_run_latest(SqlStatement *statement, const Datum *values,
									   const char *nulls, long limit);

extern Datum postrider_sql_datum(uint64 row, int column, bool *isnull);

/* A row of the result as a whole. */
extern HeapTuple postrider_sql_row(uint64 row, TupleDesc *desc);

/* Copies in the given context; NULL for NULL. */
extern char *postrider_sql_text(uint64 row, int column, MemoryContext context);

/* These are 0 or false for NULL. */
extern int32 postrider_sql_int32(uint64 row, int column);
extern int64 postrider_sql_int64(uint64 row, int column);
extern bool postrider_sql_bool(uint64 row, int column);
extern pg_uuid_t postrider_sql_uuid(uint64 row, int column);

/* Detoasted, valid until the next statement; NULL for NULL. */
extern Jsonb *postrider_sql_jsonb(uint64 row, int column);

/* An interval without months in milliseconds; 0 for NULL. */
extern int64 postrider_interval_ms(const Interval *interval);

/* The owner of the extension's tables, or InvalidOid without them. */
extern Oid	postrider_owner(void);

#endif							/* POSTRIDER_SQL_H */
