/*-------------------------------------------------------------------------
 *
 * policy_row.h
 *	  The policy in a row of postrider.endpoint.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_POLICY_ROW_H
#define POSTRIDER_POLICY_ROW_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "outbox/trigger_row.h"
#include "policy/policy.h"

/*
 * The policy columns, for the list of a SELECT from postrider.endpoint as
 * "alias".
 */
#define POSTRIDER_POLICY_COLUMNS(alias) \
	alias ".max_in_flight, " alias ".rate_limit, " alias ".rate_period, " \
	alias ".rate_burst, " alias ".rate_limits, " alias ".rate_group, " \
	alias ".warn_at, " alias ".breaker_share, " alias ".breaker_min_count, " \
	alias ".breaker_window, " alias ".breaker_open, " \
	alias ".breaker_open_max, " alias ".disable_after, " alias ".ordered, " \
	alias ".on_dead, " alias "." "\"coalesce\"" ", " alias ".batch_size, " \
	alias ".batch_bytes, " alias ".batch_delay, " alias ".batch_format, " \
	alias ".batch_template, " alias ".batch_failed, " alias ".batch_error"

/*
 * Reads the policy of a row, of the table or of a query, that has these
 * columns by their names.  False, with the default policy, if it makes no
 * sense: possible only if the trigger was disabled when it was written.
 */
extern bool postrider_policy_read(TupleDesc desc, HeapTuple tuple,
								  Policy *policy, PolicyProblem *problem);

/* For the trigger: ereport(ERROR) if a new policy makes no sense. */
extern void postrider_policy_require(const TriggerRow *row);

#endif							/* POSTRIDER_POLICY_ROW_H */
