/*-------------------------------------------------------------------------
 *
 * alerts.c
 *	  Has alerts looked at every postrider.alert_interval; see alerts.h.
 *
 * What is to be done is in SQL (postrider.evaluate_alerts()); here is only who does it and
 * when.  Of several workers it is the running one with the lowest shard, so that the others
 * can tell that shard 0 has none.  As long as no alert is enabled nothing runs.
 *
 * An error must not end the worker: it is logged, and the next look comes in time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "miscadmin.h"
#include "outbox/shard.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/timestamp.h"
#include "worker/alerts.h"
#include "worker/shmem.h"
#include "worker/step.h"

static SqlStatement any_enabled = {
	.text = "select exists (select from postrider.alert a where a.enabled)"
	" or exists (select from postrider.alert_state s where s.state <> 'resolved')"
};

static SqlStatement evaluate = {
	.text = "select e.alert, e.event, e.objects, e.error from postrider.evaluate_alerts() e"
};

static TimestampTz due_at = DT_NOEND;

static TimestampTz
next_look(TimestampTz now)
{
	return TimestampTzPlusMilliseconds(now, postrider_alert_interval_ms);
}

void
postrider_alerts_loaded(TimestampTz now)
{
	bool		wanted = postrider_alert_interval_ms > 0 &&
		postrider_sql_run(&any_enabled, NULL, NULL, 1) == 1 && postrider_sql_bool(0, 0);

	due_at = wanted ? Min(due_at, next_look(now)) : DT_NOEND;
}

TimestampTz
postrider_alerts_due(void)
{
	return due_at;
}

void
postrider_alerts_shift(int64 microseconds)
{
	if (!TIMESTAMP_NOT_FINITE(due_at))
		due_at += microseconds;
}

/* Does a worker of a lower shard run? */
static bool
is_for_another(void)
{
	bool		result = false;

	if (postrider_shard_number() == 0)
		return false;
	LWLockAcquire(postrider_shared()->lock, LW_SHARED);
	for (int shard = 0; shard < postrider_shard_number() && !result; shard++)
	{
		WorkerSlot *slot = postrider_slot_find(MyDatabaseId, shard);

		result = slot != NULL && slot->state == SLOT_RUNNING;
	}
	LWLockRelease(postrider_shared()->lock);
	return result;
}

static void
log_change(uint64 row)
{
	char	   *event = postrider_sql_text(row, 1, CurrentMemoryContext);
	char	   *error = postrider_sql_text(row, 3, CurrentMemoryContext);
	LogLine		line;

	if (strcmp(event, "broken") == 0)
		postrider_log_begin(&line, WARNING, "alert_broken");
	else if (strcmp(event, "firing") == 0)
		postrider_log_begin(&line, LOG, "alert_firing");
	else if (strcmp(event, "resolved") == 0)
		postrider_log_begin(&line, LOG, "alert_resolved");
	else if (strcmp(event, "escalated") == 0)
		postrider_log_begin(&line, LOG, "alert_escalated");
	else
		postrider_log_begin(&line, LOG, "alert_repeated");
	postrider_log_text(&line, "alert", postrider_sql_text(row, 0, CurrentMemoryContext));
	if (error == NULL)
		postrider_log_int(&line, "objects", postrider_sql_int64(row, 2));
	postrider_log_text(&line, "error", error);
	postrider_log_end(&line);
}

static void
look(void *arg)
{
	uint64		rows = postrider_sql_run(&evaluate, NULL, NULL, 0);

	for (uint64 row = 0; row < rows; row++)
		log_change(row);
}

void
postrider_alerts_evaluate(TimestampTz now)
{
	if (due_at > now)
		return;
	due_at = next_look(now);
	if (!is_for_another())
		(void) postrider_step_try("evaluating alerts", look, NULL);
}
