/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The worker of a database: reads new messages, has them delivered and
 *	  settles them.
 *
 * It is the only one that knows both the outbox (SQL, no network) and the
 * delivery engine (network, no SQL), and it never holds a transaction while it
 * waits: each step below that needs SQL runs one short transaction of its own.
 * Deliveries go from step to step:
 *
 *	  read / load pending -> inbox -> lanes and requests -> finished -> settled
 *
 * Its duties have files of their own: wait_point.c, refresh.c (what changes under it),
 * feed.c, settling.c, credentials.c, function_call.c, upkeep.c, and others.
 *
 * Errors end the process.  Nothing is lost by that: what was not settled is
 * found again from the cursor, and the launcher starts the next worker, at
 * growing intervals while it fails.  What was in flight is sent twice.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "delivery/engine.h"
#include "delivery/side_request.h"
#include "guc.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "outbox/config.h"
#include "outbox/credential_table.h"
#include "outbox/deferred.h"
#include "outbox/intake.h"
#include "outbox/pending.h"
#include "outbox/progress.h"
#include "outbox/reader.h"
#include "outbox/seed.h"
#include "outbox/shard.h"
#include "outbox/stats.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "security/credential_set.h"
#include "storage/ipc.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/alerts.h"
#include "worker/announce.h"
#include "worker/careful.h"
#include "worker/clock_step.h"
#include "worker/credentials.h"
#include "worker/feed.h"
#include "worker/function_call.h"
#include "worker/health.h"
#include "worker/keep.h"
#include "worker/keys.h"
#include "worker/loop.h"
#include "worker/rate_group.h"
#include "worker/refresh.h"
#include "worker/secrets.h"
#include "worker/settling.h"
#include "worker/shmem.h"
#include "worker/slot.h"
#include "worker/stats.h"
#include "worker/step.h"
#include "worker/tenant_rate.h"
#include "worker/upkeep.h"
#include "worker/wait_point.h"
#include "worker/wake.h"

/* When the shards change, requests in flight have so long to end. */
#define HANDOVER_MS			5000

/* When the worker ends, token servers that are being asked have so long. */
#define CREDENTIALS_MS		5000

/* Idle look at shared memory; no query. */
#define LOOK_MS				1000

PGDLLEXPORT void postrider_worker_main(Datum main_arg);

static WorkerCounters *counters;

static bool read_wanted = true;
static uint64 pending_seen = 0;
static TimestampTz look_at = 0;

static bool handling = false;	/* the content of messages */

/* A turn of the network: see tell_of_erase() in wake.c. */
static void
run_engine(TimestampTz now)
{
	pg_atomic_fetch_add_u32(&counters->turns, 1);
	postrider_engine_run(now);
	pg_atomic_fetch_add_u32(&counters->turns, 1);
}

/* Fetches what deliveries have asked for, and lets those go that waited for it. */
static void
fetch_credentials(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!postrider_credentials_run(postrider_engine_multi(), now, postrider_refresh_config_if_told))
		return;
	now = GetCurrentTimestamp();
	postrider_engine_credentials_changed(now);
	run_engine(now);
}

/* Reads a chunk of new messages into the inbox. */
static void
read_log(void)
{
	int			messages;
	pg_uuid_t	next;

	postrider_step_begin("reading messages");
	if (!postrider_reader_in_window())
	{
		read_wanted = false;
		postrider_reader_open_window();
	}
	postrider_refresh_config();
	if (postrider_careful() && postrider_reader_peek(&next))
		postrider_careful_mark(&next);
	messages = postrider_reader_read(postrider_feed_inbox(),
									 postrider_careful() ? 1 : READER_CHUNK);
	postrider_step_commit();
	postrider_reader_committed();
	postrider_wait_count(messages);
	pg_atomic_fetch_add_u64(&counters->messages_read, messages);
}

static void
shift_lanes(int64 microseconds)
{
	Endpoint  **endpoints;
	int			count = postrider_config_endpoints(&endpoints);

	for (int i = 0; i < count; i++)
		postrider_lane_shift(endpoints[i]->lane, microseconds);
	pfree(endpoints);
}

/*
 * Somebody set the wall clock, which all our times are in: they move along, or
 * a step back by an hour would stop everything for an hour.  What was
 * scheduled for a certain time (deliver_at, expires_at) stays.
 */
static void
clock_was_set(int64 microseconds)
{
	dlist_iter	iter;
	LogLine		line;

	look_at += microseconds;
	postrider_settling_shift(microseconds);
	postrider_upkeep_shift(microseconds);
	postrider_careful_shift(microseconds);
	postrider_function_call_shift(microseconds);
	dlist_foreach(iter, postrider_deliveries())
		dlist_container(Delivery, memory_node, iter.cur)->loaded_at += microseconds;
	postrider_engine_shift(microseconds);
	postrider_credentials_shift(microseconds);
	postrider_alerts_shift(microseconds);
	shift_lanes(microseconds);
	postrider_deferred_shift(microseconds);
	postrider_wait_clock_was_set();

	postrider_step_begin("following the clock");
	postrider_pending_shift(microseconds);
	if (postrider_shard_number() == 0)
		postrider_credential_table_shift(microseconds);
	postrider_step_commit();
	postrider_feed_look_at_pending();
	postrider_log_begin(&line, LOG, "clock_set");
	postrider_log_number(&line, "seconds", microseconds / 1000000.0);
	postrider_log_message(&line, "retries keep their distance from now");
	postrider_log_end(&line);
}

/* Is there more of the log to be read, and room for what it has? */
static bool
may_read(void)
{
	return (read_wanted || postrider_reader_in_window()) &&
		dlist_is_empty(postrider_feed_inbox()) && !postrider_careful_marked();
}

/* Has anything happened that others may want to see? */
static void
watch_health(TimestampTz now)
{
	static uint64 seen = 0;
	static uint64 messages_seen = 0;
	uint64		activity = postrider_refresh_generation() + postrider_stats_changes() +
		pg_atomic_read_u64(&counters->delivered) + pg_atomic_read_u64(&counters->retried) +
		pg_atomic_read_u64(&counters->dead) +
		((uint64) pg_atomic_read_u32(&counters->queued) << 32) +
		((uint64) pg_atomic_read_u32(&counters->in_flight) << 48);

	if (activity != seen)
	{
		postrider_health_touch();
		postrider_keep_touch(now);
	}
	seen = activity;
	if (pg_atomic_read_u64(&counters->messages_read) != messages_seen)
		postrider_keep_touch(now);
	messages_seen = pg_atomic_read_u64(&counters->messages_read);
	postrider_health_publish(now, false);
	postrider_keep_save(now, false);
}

/* One round of everything that is due. */
static void
work(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		step = postrider_clock_step(now);

	postrider_loop_begin(now);
	if (step != 0)
		clock_was_set(step);
	postrider_refresh_config_if_told();
	postrider_refresh_erased_if_told();
	handling = true;
	if (may_read() && postrider_engine_finished_count() < SETTLE_COUNT)
		read_log();
	if (pg_atomic_read_u64(&postrider_shared()->pending_generation) != pending_seen)
	{
		pending_seen = pg_atomic_read_u64(&postrider_shared()->pending_generation);
		postrider_keys_forget();
		postrider_feed_look_at_pending();
	}
	postrider_keys_learn(now);
	if (dlist_is_empty(postrider_feed_inbox()) && !postrider_careful_marked())
		postrider_feed_load_pending(now);

	postrider_credentials_refresh_if_told();
	now = GetCurrentTimestamp();
	postrider_feed_place(now);
	postrider_feed_load_deferred(now);
	run_engine(now);
	fetch_credentials();
	if (postrider_function_call_due() <= now)
		postrider_settling_call_function();
	handling = false;
	if (postrider_settling_is_due(now))
		postrider_settling_run();
	if (!dlist_is_empty(postrider_engine_events()))
		postrider_announce_events();
	postrider_secrets_care(now);
	postrider_alerts_evaluate(now);
	postrider_careful_acquit(now);
	postrider_careful_forget_if_well(now);
	postrider_stats_save(now, false);
	postrider_settling_checkpoint(now, false);
	if (postrider_upkeep_due() <= now)
		postrider_upkeep_run(now);
	postrider_tenant_rates_touch(now);
	if (look_at <= now)
	{
		look_at = TimestampTzPlusMilliseconds(now, LOOK_MS);
		read_wanted = read_wanted || postrider_reader_may_have_missed();
	}
	pg_atomic_write_u32(&counters->queued,
						postrider_engine_queued() + postrider_deferred_total());
	pg_atomic_write_u32(&counters->in_flight, postrider_engine_in_flight());
	watch_health(now);
	postrider_loop_end(!read_wanted && !postrider_reader_in_window() &&
					   dlist_is_empty(postrider_feed_inbox()));
}

/* How long to wait for something to happen, in milliseconds. */
static long
wait_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz deadline = Min(look_at, postrider_feed_deadline(now));
	long		engine_ms = postrider_engine_timeout_ms(now);
	long		result;

	if (postrider_careful_marked())
		return 1;
	if (may_read() || postrider_refresh_erase_is_new())
		return 0;
	deadline = Min(deadline, Min(postrider_health_due(), postrider_keep_due()));
	deadline = Min(deadline, Min(postrider_keys_due(), postrider_function_call_deadline()));
	deadline = Min(deadline, Min(postrider_credentials_due(), postrider_stats_due()));
	deadline = Min(deadline, Min(postrider_secrets_due(), postrider_upkeep_due()));
	deadline = Min(deadline, postrider_alerts_due());
	result = deadline <= now ? 0 : TimestampDifferenceMilliseconds(now, deadline);
	if (engine_ms >= 0)
		result = Min(result, engine_ms);
	if (postrider_engine_finished_count() > 0)
		result = Min(result, SETTLE_DELAY_MS);
	return result;
}

static void
set_option(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

/* The first worker of a database asks for the others. */
static void
want_other_shards(void)
{
	if (postrider_shard_number() != 0)
		return;
	for (int shard = 1; shard < postrider_shard_count(); shard++)
		(void) postrider_slot_want(MyDatabaseId, shard);
}

static void
leave_health(int code, Datum arg)
{
	postrider_health_leave();
}

/* Connects, and takes up where the last worker stopped. */
static void
start(WorkerSlot *slot)
{
	postrider_step_start();
	postrider_function_call_start();
	before_shmem_exit(leave_health, 0);
	postrider_sql_pin_process();
	set_option("synchronous_commit", "off");

	/* All our statements are look-ups; they must not depend on statistics. */
	set_option("enable_seqscan", "off");
	set_option("enable_sort", "off");
	set_option("enable_hashjoin", "off");
	set_option("enable_mergejoin", "off");
	set_option("plan_cache_mode", "force_generic_plan");
	set_option("jit", "off");

	postrider_step_await_version();

	postrider_step_begin("starting");
	postrider_step_exit_if_absent();
	SetUserIdAndSecContext(postrider_owner(), 0);
	postrider_shard_take(slot->shard, slot->shards);
	postrider_log_identify(get_database_name(MyDatabaseId), slot->shard);
	postrider_careful_start();
	postrider_step_commit();
	XLogFlush(XactLastCommitEnd);

	postrider_refresh_start();
	postrider_step_begin("starting");
	postrider_seed_clock();
	postrider_progress_load();
	postrider_pending_recover();
	postrider_refresh_config();
	postrider_step_commit();

	postrider_reader_start();
	counters = postrider_slot_counters();
	postrider_slot_report_healthy();
	want_other_shards();
}

/* Settles what has ended; what is in flight will be sent again. */
static void
finish_up(void)
{
	if (postrider_engine_finished_count() > 0)
		postrider_settling_run();
	if (!dlist_is_empty(postrider_engine_events()))
		postrider_announce_events();
	postrider_settling_checkpoint(GetCurrentTimestamp(), true);
	postrider_stats_save(GetCurrentTimestamp(), true);
	postrider_keep_save(GetCurrentTimestamp(), true);
	postrider_careful_forget();
}

/* Waits for something to happen, and takes note of what settings have become. */
static void
wait(long timeout_ms)
{
	if (postrider_wait(timeout_ms))
		read_wanted = true;
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		postrider_refresh_config_anew();
		postrider_upkeep_soon();
	}
}

/*
 * The number of shards has changed: lets requests in flight end, so that the
 * workers that come after us need not send them again.
 */
static void
hand_over(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz end = TimestampTzPlusMilliseconds(now, HANDOVER_MS);

	postrider_engine_hold();
	while (postrider_engine_in_flight() > 0 && now < end && !postrider_shutdown_requested)
	{
		wait(SETTLE_DELAY_MS);
		now = GetCurrentTimestamp();
		postrider_refresh_erased_if_told();
		run_engine(now);
		if (postrider_settling_is_due(now))
			postrider_settling_run();
	}
}

/*
 * A token server that is being asked may replace a refresh token: its answer must not
 * be lost.
 */
static void
await_credentials(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz end = TimestampTzPlusMilliseconds(now, CREDENTIALS_MS);

	postrider_engine_hold();
	while (postrider_side_requests_running() > 0 && now < end)
	{
		wait(SETTLE_DELAY_MS);
		now = GetCurrentTimestamp();
		postrider_refresh_erased_if_told();
		run_engine(now);
		postrider_credentials_finish(now);
	}
	postrider_credentials_finish(now);
}

static void
run(void)
{
	while (!postrider_shutdown_requested && postrider_workers == postrider_shard_count())
	{
		wait(wait_ms());
		if (!postrider_shutdown_requested)
			work();
	}
	if (!postrider_shutdown_requested)
		hand_over();
	await_credentials();
	finish_up();
}

/* Literals, so that whoever looks for the names of events finds them. */
static void
log_life(const char *event)
{
	LogLine		line;

	postrider_log_begin(&line, LOG, event);
	postrider_log_int(&line, "pid", MyProcPid);
	postrider_log_end(&line);
}

/* The error itself is the line before; it may say more than people should see. */
static void
log_failure(int sqlstate)
{
	LogLine		line;

	postrider_log_begin(&line, WARNING, "worker_failed");
	postrider_log_text(&line, "sqlstate", unpack_sql_state(sqlstate));
	postrider_log_message(&line, "the worker ends, and the next one recovers; the error is in the line before");
	postrider_log_end(&line);
}

/* An error has ended a transaction: say so, and leave. */
static void
leave_after_error(void)
{
	static bool leaving = false;
	ErrorData  *error;

	if (leaving)
		proc_exit(1);
	leaving = true;
	HOLD_INTERRUPTS();
	sigprocmask(SIG_SETMASK, &UnBlockSig, NULL);
	QueryCancelPending = false;
	MemoryContextSwitchTo(TopMemoryContext);
	error = CopyErrorData();
	if (!postrider_shutdown_requested)
		EmitErrorReport();
	FlushErrorState();
	AbortCurrentTransaction();
	RESUME_INTERRUPTS();

	if (postrider_shutdown_requested)
	{
		/* The step that was cut short for it is lost, but not what lanes know. */
		postrider_step_abort();
		if (counters != NULL)
		{
			postrider_stats_save(GetCurrentTimestamp(), true);
			postrider_keep_save(GetCurrentTimestamp(), true);
		}
		log_life("worker_stopped");
		postrider_slot_set_clean();
		proc_exit(0);
	}
	log_failure(error->sqlerrcode);
	postrider_slot_report_error(error->message);

	/* The reason may be that the extension was dropped a moment ago. */
	StartTransactionCommand();
	postrider_step_exit_if_absent();
	CommitTransactionCommand();
	if (!handling)
		postrider_careful_clear();
	if (counters != NULL)
		postrider_stats_save(GetCurrentTimestamp(), true);
	proc_exit(1);
}

void
postrider_worker_main(Datum main_arg)
{
	WorkerSlot *slot;
	sigjmp_buf	handler;

	pqsignal(SIGTERM, postrider_step_handle_sigterm);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	slot = postrider_slot_attach(DatumGetInt32(main_arg));
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(slot->database, InvalidOid, 0);

	if (sigsetjmp(handler, 1) != 0)
	{
		error_context_stack = NULL;
		leave_after_error();
	}
	PG_exception_stack = &handler;

	postrider_intake_account = postrider_memory_account;
	postrider_engine_must_stop = postrider_refresh_erase_is_new;
	postrider_wait_start(postrider_engine_start());
	start(slot);
	log_life("worker_started");
	run();
	log_life("worker_stopped");
	postrider_slot_set_clean();
	proc_exit(0);
}
