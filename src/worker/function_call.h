/*-------------------------------------------------------------------------
 *
 * function_call.h
 *	  Endpoints that are functions in this database: postrider.on_message().
 *
 * The worker calls them itself, one after the other, between its network work.  The call,
 * what the function does and the outcome of the delivery are one transaction: either
 * all of it is there or nothing, so a message has its effect exactly once.
 *
 * The function runs as the role that registered it, restricted as in autovacuum
 * (no SET ROLE, no temporary tables).  Its errors end a subtransaction and become a
 * failed attempt; its time is bounded by the endpoint's timeout, and while it
 * runs, nothing else is sent by this worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_FUNCTION_CALL_H
#define POSTRIDER_FUNCTION_CALL_H

#include "postgres.h"

#include "model.h"

/*
 * Calls the function of the delivery's endpoint, in the current transaction.  NULL, or
 * what went wrong, palloc'd; *timed_out if it took too long.
 */
extern char *postrider_function_call(const Delivery *delivery, bool *timed_out);

#endif							/* POSTRIDER_FUNCTION_CALL_H */
