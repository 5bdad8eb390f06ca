/*-------------------------------------------------------------------------
 *
 * row_json.h
 *	  Rows of watched tables as jsonb.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ROW_JSON_H
#define POSTRIDER_ROW_JSON_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/jsonb.h"

typedef enum ColumnKind
{
	COLUMN_BOOL,
	COLUMN_INT2,
	COLUMN_INT4,
	COLUMN_INT8,
	COLUMN_NUMERIC,
	COLUMN_TEXT,				/* text, varchar */
	COLUMN_DATETIME,			/* date, timestamp, timestamptz */
	COLUMN_JSONB,
	COLUMN_SCALAR,				/* by its output function, as a string */
	COLUMN_OTHER				/* by to_jsonb() */
} ColumnKind;

/* How to turn a column into JSON; made once per trigger. */
typedef struct RowColumn
{
	AttrNumber	number;
	char	   *name;
	int			name_length;
	Oid			type;			/* base type of a domain */
	int16		length;			/* of the type, for comparing values */
	bool		by_value;
	ColumnKind	kind;
	FmgrInfo	function;		/* output function, or to_jsonb */
} RowColumn;

/*
 * Fills in a column; what it needs is allocated in "context".
 */
extern void postrider_row_column_init(RowColumn *column, Form_pg_attribute attribute,
									  MemoryContext context);

/*
 * Pushes the row as an object to a jsonb being built.  The slot is deformed.
 * Values are what to_jsonb() makes of them.
 */
extern void postrider_row_push(JsonbParseState **state, const RowColumn *columns,
							   int column_count, TupleTableSlot *slot);

/* A column as text, palloc'd; NULL for NULL. */
extern char *postrider_row_text(const RowColumn *column, TupleTableSlot *slot);

#endif							/* POSTRIDER_ROW_JSON_H */
