/*-------------------------------------------------------------------------
 *
 * append.h
 *	  Direct inserts into the append-only tables, message and attempt.
 *
 * These two tables take every row that postrider handles, so their inserts go
 * past the SQL executor: rows are routed to their partition, written with the
 * table access method's multi-insert and entered in the indexes.  No trigger
 * fires and no privilege is checked: callers are functions on which EXECUTE
 * was granted, or the worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_APPEND_H
#define POSTRIDER_APPEND_H

#include "postgres.h"

typedef struct AppendTarget AppendTarget;

/*
 * Opens a table of schema postrider for appending.  Everything is allocated
 * in a child of the current memory context and locks are kept until the
 * transaction ends.
 */
extern AppendTarget *postrider_append_begin(const char *table);

/* True if the table has these columns, in this order, and no others. */
extern bool postrider_append_fits(const AppendTarget *state, const char *const *names,
								  const Oid *types, int count);

/*
 * Adds a row, which is copied; values and nulls have one element per column.
 */
extern void postrider_append_row(AppendTarget *state, const Datum *values,
								 const bool *nulls);

/* Writes what is buffered and closes the table. */
extern void postrider_append_end(AppendTarget *state);

#endif							/* POSTRIDER_APPEND_H */
