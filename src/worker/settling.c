/*-------------------------------------------------------------------------
 *
 * settling.c
 *	  Has written down what has ended, leases for what takes long, and the cursor.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/classify.h"
#include "delivery/engine.h"
#include "outbox/erased.h"
#include "outbox/intake.h"
#include "outbox/pending.h"
#include "outbox/progress.h"
#include "outbox/settle.h"
#include "pgstat.h"
#include "util/log_line.h"
#include "utils/timestamp.h"
#include "worker/feed.h"
#include "worker/function_call.h"
#include "worker/keys.h"
#include "worker/refresh.h"
#include "worker/settling.h"
#include "worker/shmem.h"
#include "worker/slot.h"
#include "worker/stats.h"
#include "worker/step.h"

/* How often the cursor is written, and how old a delivery gets a lease. */
#define CHECKPOINT_MS		1000
#define LEASE_AGE_MS		3000

/* The cursor is written every CHECKPOINT_MS << (0 to this), see write_cursor(). */
#define MAX_CURSOR_SHIFT	6

static TimestampTz oldest_finished_at = 0;
static TimestampTz checkpoint_at = 0;
static TimestampTz cursor_at = 0;

bool
postrider_settling_is_due(TimestampTz now)
{
	int			count = postrider_engine_finished_count();

	if (count == 0)
		return false;
	if (oldest_finished_at == 0)
		oldest_finished_at = now;
	return count >= SETTLE_COUNT ||
		TimestampDifferenceExceeds(oldest_finished_at, now, SETTLE_DELAY_MS) ||
		(postrider_engine_in_flight() == 0 && postrider_engine_queued() == 0);
}

/* A line for each attempt, if postrider.log_deliveries asks for it. */
static void
log_deliveries(dlist_head *finished)
{
	dlist_iter	iter;

	dlist_foreach(iter, finished)
	{
		Delivery   *delivery = dlist_container(Delivery, node, iter.cur);
		const AttemptResult *result = &delivery->result;
		LogLine		line;

		if (delivery->settle != SETTLE_ATTEMPT ||
			(result->outcome == OUTCOME_DELIVERED && postrider_log_deliveries != LOG_DELIVERIES_ALL))
			continue;
		postrider_log_begin(&line, LOG, "delivery");
		postrider_log_text(&line, "message_id", postrider_uuid_text(&delivery->message->id));
		postrider_log_text(&line, "endpoint", delivery->endpoint->name);
		postrider_log_int(&line, "attempt", delivery->attempts + (result->sent ? 1 : 0));
		postrider_log_text(&line, "outcome", postrider_outcome_name(result->outcome));
		if (result->status_code != 0)
			postrider_log_int(&line, "status_code", result->status_code);
		postrider_log_text(&line, "error_code", result->error_code);
		if (result->error_code && !postrider_error_may_quote_data(result->error_code))
			postrider_log_text(&line, "error", result->error);
		if (result->sent)
			postrider_log_number(&line, "duration_ms", result->duration_ms);
		postrider_log_end(&line);
	}
}

/* Writes down what has ended; with_call: after one call of a function. */
static void
settle(bool with_call)
{
	dlist_head *finished = postrider_engine_finished();
	WorkerCounters *counters = postrider_slot_counters();
	SettleTotals totals;

	postrider_step_begin(with_call ? "calling a function" : "settling deliveries");
	if (with_call)
	{
		postrider_refresh_erased();
		postrider_function_call_next(postrider_engine_in_flight() > 0 ||
									 postrider_engine_finished_count() > 0);
	}
	postrider_erased_lock_out();
	postrider_refresh_erased();
	postrider_settle_write(finished, &totals);
	if (postrider_keys_settle())
		totals.next_due = DT_NOBEGIN;
	postrider_step_commit();
	if (postrider_log_deliveries != LOG_DELIVERIES_OFF)
		log_deliveries(finished);
	postrider_keys_settled();
	postrider_stats_save(GetCurrentTimestamp(), false);
	postrider_settle_done(finished);
	postrider_engine_finished_clear();
	oldest_finished_at = 0;
	postrider_feed_pending_due(totals.next_due);
	pg_atomic_fetch_add_u64(&counters->delivered, totals.delivered);
	pg_atomic_fetch_add_u64(&counters->retried, totals.retried);
	pg_atomic_fetch_add_u64(&counters->dead, totals.dead);
}

void
postrider_settling_run(void)
{
	settle(false);
}

/*
 * Calls the next function.  What has ended before should not wait for a long
 * call, nor be lost with it.
 */
void
postrider_settling_call_function(void)
{
	if (postrider_function_call_is_slow() && postrider_engine_finished_count() > 0)
		settle(false);
	settle(true);
}

/*
 * Writes the cursor.  Each write leaves an old version of its row.  They are
 * pruned as long as nobody has an old snapshot; while somebody does, they
 * stay, and so the larger the table has grown, the more rarely we write.  What is
 * settled is on record in any case; the cursor only says where to begin to look.
 */
static void
write_cursor(TimestampTz now)
{
	int			pages;

	postrider_step_begin("writing the cursor");
	pages = postrider_progress_save();
	postrider_step_commit();
	postrider_progress_saved();
	cursor_at = TimestampTzPlusMilliseconds(now, CHECKPOINT_MS <<
											Min(Max(pages - 1, 0), MAX_CURSOR_SHIFT));
}

void
postrider_settling_checkpoint(TimestampTz now, bool last)
{
	TimestampTz before = TimestampTzPlusMilliseconds(now, -LEASE_AGE_MS);
	bool		leases = !dlist_is_empty(postrider_deliveries());

	if (checkpoint_at > now && !last)
		return;
	checkpoint_at = TimestampTzPlusMilliseconds(now, CHECKPOINT_MS);
	if (leases)
	{
		postrider_step_begin("writing leases");
		leases = postrider_lease_write(before, NULL) > 0;
		postrider_step_commit();
		if (leases)
			postrider_lease_done(before, NULL);
	}
	if (postrider_progress_advance() && (cursor_at <= now || last))
		write_cursor(now);
	postrider_refresh_forget_deleted();
	pgstat_report_stat(true);
}

void
postrider_settling_shift(int64 microseconds)
{
	if (oldest_finished_at != 0)
		oldest_finished_at += microseconds;
	checkpoint_at += microseconds;
	cursor_at += microseconds;
}
