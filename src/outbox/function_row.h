/*-------------------------------------------------------------------------
 *
 * function_row.h
 *	  Endpoints that are SQL functions: what their rows say, and who may say it.
 *
 * Such an endpoint has the URL "function:schema.name(postrider.message)" and a
 * role, run_as, as which the function runs.  Whoever writes a row can only name
 * a role that he could become anyway, so that the worker, which may become
 * any role, gives nobody more than he has.
 *
 * The role is kept by its name: that is all that a dump, a document of the
 * configuration and its history can carry from one server to another.  So a role that
 * is dropped and made again has the functions of the old one run as itself.  Only
 * somebody who may make roles can bring that about, and he can become a role that he
 * makes; and a superuser never runs the code of others, which each call checks.
 * Whoever drops a role should look for its name in
 * endpoint.run_as, as he would in pg_hba.conf.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_FUNCTION_ROW_H
#define POSTRIDER_FUNCTION_ROW_H

#include "postgres.h"

#include "model.h"
#include "outbox/trigger_row.h"

#define FUNCTION_URL_PREFIX "function:"

/* The part behind the prefix, or NULL if it is the URL of something else. */
extern const char *postrider_function_of_url(const char *url);

/*
 * Finds the function and makes sure that this role may run it: ereport(ERROR) if
 * there is no such function, it does not take a message, the role has no right
 * to it, or a superuser would run the code of somebody who is none.  To be called
 * with search_path pinned, as the role or as one that checks for it.
 */
extern Oid	postrider_function_require(const char *function, Oid role);

/*
 * For the trigger: ereport(ERROR) if the row makes no sense, or the user may not
 * write it; returns the row, with run_as set to the user if there is none.
 */
extern HeapTuple postrider_function_row_require(TriggerRow *row);

/*
 * Reads function and run_as of an endpoint whose url has been read; strings are
 * made in the current context.
 */
extern void postrider_function_row_read(TupleDesc desc, HeapTuple tuple,
										Endpoint *endpoint);

#endif							/* POSTRIDER_FUNCTION_ROW_H */
