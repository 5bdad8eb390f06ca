/*-------------------------------------------------------------------------
 *
 * announce.c
 *	  Tells people what happens to endpoints; see announce.h.
 *
 * The messages go on topics below postrider.endpoint, with the endpoint's name
 * as key; whoever wants to hear of it subscribes.  An endpoint's own troubles
 * may go to itself: that is one message for each change, no circle.
 *
 * A message that cannot be emitted (a user gave the topic a schema) must not end
 * the worker: it is logged, and lost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "delivery/engine.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "worker/announce.h"
#include "worker/step.h"

static SqlStatement disable_endpoint = {
	.text =
	"update postrider.endpoint set enabled = false, disabled_reason = $2"
	" where id = $1 and enabled",
	.argument_count = 2,
	.argument_types = {INT4OID, TEXTOID}
};

static SqlStatement emit = {
	.text =
	"select postrider.emit($1, jsonb_strip_nulls(jsonb_build_object('endpoint', $2,"
	" 'until', $3, 'failing_since', $4, 'failures', $5, 'error', $6,"
	" 'limit', $7, 'period', $8, 'used', $9)), key => $2)",
	.argument_count = 9,
	.argument_types = {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID,
	TEXTOID, INT4OID, FLOAT8OID, INT8OID}
};

static const char *const topics[] = {
	[GOVERNOR_OPENED] = "postrider.endpoint.opened",
	[GOVERNOR_CLOSED] = "postrider.endpoint.closed",
	[GOVERNOR_DISABLED] = "postrider.endpoint.disabled",
	[GOVERNOR_RATE_WARNING] = "postrider.endpoint.rate_warning"
};

static void
disable(const EngineEvent *event)
{
	char	   *reason = psprintf("all %lld requests since %s have failed; the last one: %s",
								  (long long) event->failures,
								  timestamptz_to_str(event->failing_since), event->error);
	Datum		values[] = {
		Int32GetDatum(event->endpoint_id),
		CStringGetTextDatum(reason)
	};

	/* If the receiver said that it is gone, settling has written the reason. */
	postrider_sql_run(&disable_endpoint, values, NULL, 0);
}

static void
announce(const EngineEvent *event)
{
	bool		is_warning = event->kind == GOVERNOR_RATE_WARNING;
	bool		has_error = !is_warning && event->kind != GOVERNOR_CLOSED;
	Datum		values[] = {
		CStringGetTextDatum(topics[event->kind]),
		CStringGetTextDatum(event->endpoint),
		TimestampTzGetDatum(event->until),
		TimestampTzGetDatum(event->failing_since),
		Int64GetDatum(event->failures),
		CStringGetTextDatum(event->error),
		Int32GetDatum(event->use.limit),
		Float8GetDatum(event->use.period_us / 1000000.0),
		Int64GetDatum(event->use.used)
	};
	char		nulls[] = {
		' ', ' ',
		event->kind == GOVERNOR_OPENED ? ' ' : 'n',
		has_error && event->failing_since != 0 ? ' ' : 'n',
		has_error && event->failing_since != 0 ? ' ' : 'n',
		has_error ? ' ' : 'n',
		is_warning ? ' ' : 'n',
		is_warning ? ' ' : 'n',
		is_warning ? ' ' : 'n',
		'\0'
	};

	if (event->kind == GOVERNOR_DISABLED)
		disable(event);
	postrider_sql_run(&emit, values, nulls, 0);
}

static void
log_event(const EngineEvent *event)
{
	bool		is_failure = event->kind == GOVERNOR_OPENED || event->kind == GOVERNOR_DISABLED;
	LogLine		line;

	if (event->kind == GOVERNOR_OPENED)
		postrider_log_begin(&line, WARNING, "breaker_opened");
	else if (event->kind == GOVERNOR_CLOSED)
		postrider_log_begin(&line, LOG, "breaker_closed");
	else if (event->kind == GOVERNOR_DISABLED)
		postrider_log_begin(&line, WARNING, "endpoint_given_up");
	else
		postrider_log_begin(&line, WARNING, "rate_warning");
	postrider_log_text(&line, "endpoint", event->endpoint);
	if (event->kind == GOVERNOR_OPENED)
		postrider_log_time(&line, "until", event->until);
	if (is_failure)
	{
		postrider_log_int(&line, "failures", event->failures);
		postrider_log_time(&line, "failing_since", event->failing_since);
	}
	if (event->kind == GOVERNOR_RATE_WARNING)
	{
		postrider_log_int(&line, "used", event->use.used);
		postrider_log_int(&line, "limit", event->use.limit);
		postrider_log_number(&line, "period_s", event->use.period_us / 1000000.0);
	}
	postrider_log_end(&line);
}

static void
free_event(EngineEvent *event)
{
	dlist_delete(&event->node);
	pfree(event->endpoint);
	pfree(event->error);
	pfree(event);
}

static void
announce_all(void *events)
{
	dlist_iter	iter;

	dlist_foreach(iter, (dlist_head *) events)
		announce(dlist_container(EngineEvent, node, iter.cur));
}

void
postrider_announce_events(void)
{
	dlist_head *events = postrider_engine_events();
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, events)
		log_event(dlist_container(EngineEvent, node, iter.cur));
	(void) postrider_step_try("announcing what happens to endpoints", announce_all, events);
	while (!dlist_is_empty(events))
		free_event(dlist_head_element(EngineEvent, node, events));
}
