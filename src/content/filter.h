/*-------------------------------------------------------------------------
 *
 * filter.h
 *	  Filters of subscriptions: SQL/JSON paths over the payload.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_FILTER_H
#define POSTRIDER_FILTER_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/jsonpath.h"

/*
 * True if the filter lets the payload through.  A predicate ($.total > 100)
 * must be true; any other path must find at least one item.  Errors inside
 * the path (a missing field in strict mode, a type that does not fit) count
 * as no.  Leaves memory behind in the current memory context.
 */
extern bool postrider_filter_matches(Jsonb *payload, JsonPath *filter);

/* True if the path refers to a variable ($name), which a filter never has. */
extern bool postrider_filter_has_variable(JsonPath *filter);

/* True for an SQLSTATE that the evaluation of a path over data may raise. */
extern bool postrider_is_error_of_data(int sqlerrcode);

#endif							/* POSTRIDER_FILTER_H */
