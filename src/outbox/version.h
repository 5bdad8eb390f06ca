/*-------------------------------------------------------------------------
 *
 * version.h
 *	  Whether the SQL objects of the extension are of the library's version.
 *
 * The library comes with the server, the SQL objects with the database, and each
 * is replaced by a step of its own: a restart, and ALTER EXTENSION postrider UPDATE.
 * Between the two steps they do not fit together.  Then workers wait; what
 * people call fails only if it must.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_OUTBOX_VERSION_H
#define POSTRIDER_OUTBOX_VERSION_H

#include "postgres.h"

#include "fmgr.h"

/*
 * True if the versions are the same.  Costs nothing after the first time, until
 * ALTER EXTENSION says that something has changed.  Needs a transaction.
 */
extern bool postrider_versions_agree(void);

/*
 * What is to be said where they are not, palloc'd, with a hint; NULL where they are.
 */
extern char *postrider_version_problem(char **hint);

/* Raises that as an error. */
extern void postrider_require_versions(void);

/*
 * InitMaterializedSRF() for a function that returns so many columns.  Raises an error if
 * the SQL function, of another version, has not as many.
 */
extern void postrider_begin_rows(FunctionCallInfo fcinfo, int column_count);

/* To be called in a transaction that has changed the extension. */
extern void postrider_extension_changed(void);

#endif							/* POSTRIDER_OUTBOX_VERSION_H */
