/*-------------------------------------------------------------------------
 *
 * trace.h
 *	  W3C Trace Context: the header traceparent, version-trace-parent-flags.
 *
 * Each attempt at a delivery is a span of the trace that its message was
 * emitted in.  The id of the span is not stored: it follows from the message,
 * the endpoint and the start of the attempt, which are in postrider.attempt.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TRACE_H
#define POSTRIDER_TRACE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/uuid.h"

/* With its NUL. */
#define TRACEPARENT_SIZE	56

/* Is it one that section 3.2 of the standard allows? */
extern bool postrider_traceparent_is_valid(const char *traceparent);

/* The id of the span that an attempt is; never 0. */
extern uint64 postrider_trace_span(const pg_uuid_t *message_id, int32 endpoint_id,
								   TimestampTz started_at);

/* What an attempt hands on: the trace, in version 00, with the attempt as parent. */
extern void postrider_traceparent_child(const char *traceparent, uint64 span,
										char child[TRACEPARENT_SIZE]);

/*
 * Has what is emitted from now on, to the end of the GUC nest level, continue the
 * trace of a message (its traceparent; NULL or none: no trace) within an attempt.
 */
extern void postrider_trace_continue(const char *traceparent, const pg_uuid_t *message_id,
									 int32 endpoint_id, TimestampTz started_at);

#endif							/* POSTRIDER_TRACE_H */
