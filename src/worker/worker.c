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
 * There is one wait point: latch, postmaster death, and the engine's epoll
 * descriptor.
 *
 * Gathering.  A wake-up for each of many small transactions costs both sides
 * more than the message itself: a signal, a switch of context, a snapshot, a
 * transaction.  So at more than GATHER_RATE messages/s the worker, once woken,
 * leaves its latch set for a moment, which makes setting it cheap, and then
 * reads all that has come at once.
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
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "delivery/engine.h"
#include "delivery/side_request.h"
#include "guc.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "outbox/config.h"
#include "outbox/credential_table.h"
#include "outbox/deferred.h"
#include "outbox/endpoint_state.h"
#include "outbox/erased.h"
#include "outbox/intake.h"
#include "outbox/pending.h"
#include "outbox/progress.h"
#include "outbox/reader.h"
#include "outbox/seed.h"
#include "outbox/settle.h"
#include "outbox/shard.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "security/credential_set.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/alerts.h"
#include "worker/announce.h"
#include "worker/careful.h"
#include "worker/credentials.h"
#include "worker/feed.h"
#include "worker/function_call.h"
#include "worker/health.h"
#include "worker/keep.h"
#include "worker/keys.h"
#include "worker/rate_group.h"
#include "worker/secrets.h"
#include "worker/shmem.h"
#include "worker/slot.h"
#include "worker/step.h"
#include "worker/wake.h"

/* Outcomes are settled when there are so many, or the oldest is so old. */
#define SETTLE_COUNT		1000
#define SETTLE_DELAY_MS		10

/* How often the cursor is written, and how old a delivery gets a lease. */
#define CHECKPOINT_MS		1000
#define LEASE_AGE_MS		3000

/* The cursor is written every CHECKPOINT_MS << (0 to this), see write_cursor(). */
#define MAX_CURSOR_SHIFT	6

/* When the shards change, requests in flight have so long to end. */
#define HANDOVER_MS			5000

/* When the worker ends, token servers that are being asked have so long. */
#define CREDENTIALS_MS		5000

/* Idle look at shared memory; no query. */
#define LOOK_MS				1000

/* A difference by which the wall clock must have been set. */
#define CLOCK_STEP_US		(2 * USECS_PER_SEC)

#define MAINTENANCE_MS		(60 * 60 * 1000)
#define MAINTENANCE_RETRY_MS (7 * 1000)

/* From so many messages in a bucket on, they are gathered for so long. */
#define GATHER_BUCKET_US	10000
#define GATHER_MESSAGES		25	/* 2,500/s */
#define GATHER_MS			1

PGDLLEXPORT void postrider_worker_main(Datum main_arg);

static WorkerCounters *counters;

static bool read_wanted = true;
static uint64 config_loaded = 0;
static uint64 pending_seen = 0;
static uint64 erase_seen = 0;
static TimestampTz oldest_finished_at = 0;
static TimestampTz checkpoint_at = 0;
static TimestampTz cursor_at = 0;
static TimestampTz maintenance_at = DT_NOBEGIN;
static TimestampTz look_at = 0;

static bool handling = false;	/* the content of messages */

static bool gathering = false;
static TimestampTz last_read_at = 0;
static TimestampTz gather_until = 0;	/* the latch is left set; or 0 */

static void
endpoint_changed(Endpoint *endpoint, bool is_new)
{
	TimestampTz now = GetCurrentTimestamp();
	const char *name = endpoint->policy.rate_group;
	const RatePolicy *shared_rate = *name ? postrider_config_rate_group(name) : NULL;

	if (is_new)
		endpoint->lane = postrider_lane_create(endpoint);
	postrider_governor_configure(&endpoint->lane->governor, &endpoint->policy,
								 shared_rate ? postrider_rate_group(name, shared_rate, now) : NULL,
								 now);
	if (is_new)
		postrider_keep_load_endpoint(endpoint, now);
	else if (endpoint->enabled && !endpoint->lane->was_enabled)
		postrider_governor_reset(&endpoint->lane->governor);
	endpoint->lane->was_enabled = endpoint->enabled;
	if (!is_new)
		postrider_engine_endpoint_changed(endpoint);
}

/*
 * Loads the configuration if it may have changed; in a transaction.  wake.c
 * explains why this must come after the snapshot of a window.
 */
static void
refresh_config(void)
{
	bool		changing;
	uint64		generation = postrider_config_generation(&changing);

	if (generation == config_loaded && !changing)
		return;
	if (postrider_config_load(endpoint_changed))
	{
		postrider_pending_cancel_orphans();
		postrider_endpoint_state_delete_orphans();
	}
	postrider_pending_release();
	if (postrider_credentials_look_at_secrets(GetCurrentTimestamp()))
		postrider_engine_credentials_changed(GetCurrentTimestamp());
	postrider_secrets_loaded();
	postrider_alerts_loaded(GetCurrentTimestamp());
	config_loaded = changing ? 0 : generation;
	postrider_keys_forget();
	postrider_feed_look_at_pending();
}

static void
refresh_config_if_told(void)
{
	bool		changing;

	if (postrider_config_generation(&changing) == config_loaded)
		return;
	postrider_step_begin("loading the configuration");
	refresh_config();
	postrider_step_commit();
}

/* Have messages been erased since we looked?  Asked by the engine while it runs. */
static bool
erase_is_new(void)
{
	return postrider_erase_generation() != erase_seen;
}

/* Looks up which messages in memory were erased, and drops them; in a transaction. */
static void
look_for_erased(void)
{
	uint64		generation = postrider_erase_generation();

	if (generation == erase_seen)
		return;
	if (postrider_erased_mark())
		postrider_engine_drop_erased(postrider_deliveries());
	erase_seen = generation;
}

static void
look_for_erased_if_told(void)
{
	if (!erase_is_new())
		return;
	postrider_step_begin("looking for erased messages");
	look_for_erased();
	postrider_step_commit();
}

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

	if (!postrider_credentials_run(postrider_engine_multi(), now, refresh_config_if_told))
		return;
	now = GetCurrentTimestamp();
	postrider_engine_credentials_changed(now);
	run_engine(now);
}

/* Frees endpoints that were deleted, when nothing in memory points to one. */
static void
forget_deleted_endpoints(void)
{
	Endpoint  **endpoints;
	int			count;

	if (!dlist_is_empty(postrider_deliveries()) || postrider_deferred_total() > 0)
		return;
	count = postrider_config_endpoints(&endpoints);
	for (int i = 0; i < count; i++)
	{
		if (!endpoints[i]->deleted || !postrider_engine_endpoint_idle(endpoints[i]))
			continue;
		postrider_engine_forget(endpoints[i]);
		postrider_config_forget(endpoints[i]);
	}
	pfree(endpoints);
}

/* Sets "gathering" by the rate at which messages come. */
static void
count_messages(int messages)
{
	static TimestampTz bucket_start = 0;
	static int	bucket = 0;
	TimestampTz now = GetCurrentTimestamp();

	last_read_at = now;
	if (now - bucket_start >= GATHER_BUCKET_US || now < bucket_start)
	{
		gathering = now - bucket_start < 2 * GATHER_BUCKET_US &&
			bucket >= GATHER_MESSAGES;
		bucket_start = now;
		bucket = 0;
	}
	bucket += messages;
	gathering = gathering || bucket >= GATHER_MESSAGES;
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
	refresh_config();
	if (postrider_careful() && postrider_reader_peek(&next))
		postrider_careful_mark(&next);
	messages = postrider_reader_read(postrider_feed_inbox(),
									 postrider_careful() ? 1 : READER_CHUNK);
	postrider_step_commit();
	postrider_reader_committed();
	count_messages(messages);
	pg_atomic_fetch_add_u64(&counters->messages_read, messages);
}

/* Writes down what has ended; with_call: after one call of a function. */
static void
settle(bool with_call)
{
	dlist_head *finished = postrider_engine_finished();
	SettleTotals totals;

	postrider_step_begin(with_call ? "calling a function" : "settling deliveries");
	if (with_call)
	{
		look_for_erased();
		postrider_function_call_next(postrider_engine_in_flight() > 0 ||
									 postrider_engine_finished_count() > 0);
	}
	postrider_erased_lock_out();
	look_for_erased();
	postrider_settle_write(finished, &totals);
	if (postrider_keys_settle())
		totals.next_due = DT_NOBEGIN;
	postrider_step_commit();
	postrider_keys_settled();
	postrider_settle_done(finished);
	postrider_engine_finished_clear();
	oldest_finished_at = 0;
	postrider_feed_pending_due(totals.next_due);
	pg_atomic_fetch_add_u64(&counters->delivered, totals.delivered);
	pg_atomic_fetch_add_u64(&counters->retried, totals.retried);
	pg_atomic_fetch_add_u64(&counters->dead, totals.dead);
}

/*
 * Calls the next function.  What has ended before should not wait for a long
 * call, nor be lost with it.
 */
static void
call_function(void)
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

/* Writes leases for what takes long, and the cursor. */
static void
checkpoint(TimestampTz now, bool last)
{
	TimestampTz before = TimestampTzPlusMilliseconds(now, -LEASE_AGE_MS);
	bool		leases = !dlist_is_empty(postrider_deliveries());

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
	forget_deleted_endpoints();
	pgstat_report_stat(true);
}

/*
 * Makes and drops partitions, one at a time, each in a transaction with a
 * short lock time-out; what could not be done now is tried again soon.
 */
static void
maintain(TimestampTz now)
{
	static SqlStatement maintain_partitions = {
		.text = "select coalesce(postrider.maintain_partitions(make_interval(mins => $1)),"
		" postrider.expire_payloads())",
		.argument_count = 1,
		.argument_types = {INT4OID}
	};
	bool		done = false;

	maintenance_at = TimestampTzPlusMilliseconds(now, MAINTENANCE_MS);
	PG_TRY();
	{
		Datum		values[] = {Int32GetDatum(postrider_retention_minutes)};

		postrider_step_begin("maintaining partitions");
		postrider_sql_run(&maintain_partitions, values, NULL, 1);
		done = postrider_sql_text(0, 0, CurrentMemoryContext) == NULL;
		postrider_step_commit();
	}
	PG_CATCH();
	{
		if (postrider_shutdown_requested)
			PG_RE_THROW();
		EmitErrorReport();
		FlushErrorState();
		postrider_step_abort();
		maintenance_at = TimestampTzPlusMilliseconds(now, MAINTENANCE_RETRY_MS);
		done = true;
	}
	PG_END_TRY();
	if (!done)
		maintenance_at = now;
}

static void
shift(TimestampTz *time, int64 microseconds)
{
	if (*time != 0 && !TIMESTAMP_NOT_FINITE(*time))
		*time += microseconds;
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

	shift(&oldest_finished_at, microseconds);
	shift(&checkpoint_at, microseconds);
	shift(&cursor_at, microseconds);
	shift(&maintenance_at, microseconds);
	shift(&look_at, microseconds);
	postrider_careful_shift(microseconds);
	postrider_function_call_shift(microseconds);
	dlist_foreach(iter, postrider_deliveries())
		shift(&dlist_container(Delivery, memory_node, iter.cur)->loaded_at, microseconds);
	postrider_engine_shift(microseconds);
	postrider_credentials_shift(microseconds);
	postrider_alerts_shift(microseconds);
	shift_lanes(microseconds);
	postrider_deferred_shift(microseconds);
	last_read_at = gather_until = 0;

	postrider_step_begin("following the clock");
	postrider_pending_shift(microseconds);
	if (postrider_shard_number() == 0)
		postrider_credential_table_shift(microseconds);
	postrider_step_commit();
	postrider_feed_look_at_pending();
	ereport(LOG,
			(errmsg("%s: the clock was set by %.1f s; retries keep their distance from now",
					MyBgworkerEntry->bgw_name, microseconds / 1000000.0)));
}

/* The wall clock against the one that nobody can set. */
static void
watch_clock(TimestampTz now)
{
	static TimestampTz last_now = 0;
	static instr_time last_monotonic;
	instr_time	monotonic;
	int64		step = 0;

	INSTR_TIME_SET_CURRENT(monotonic);
	if (last_now != 0)
	{
		instr_time	elapsed = monotonic;

		INSTR_TIME_SUBTRACT(elapsed, last_monotonic);
		step = (now - last_now) - (int64) INSTR_TIME_GET_MICROSEC(elapsed);
	}
	last_now = now;
	last_monotonic = monotonic;
	if (step > CLOCK_STEP_US || step < -CLOCK_STEP_US)
		clock_was_set(step);
}

static bool
settle_is_due(TimestampTz now)
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
	uint64		activity = config_loaded +
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
	postrider_health_publish(now);
	postrider_keep_save(now, false);
}

/* One round of everything that is due. */
static void
work(void)
{
	TimestampTz now = GetCurrentTimestamp();

	watch_clock(now);
	refresh_config_if_told();
	look_for_erased_if_told();
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

	now = GetCurrentTimestamp();
	postrider_feed_place(now);
	if (postrider_deferred_total() > 0)
		postrider_feed_load_deferred(now);
	run_engine(now);
	fetch_credentials();
	if (postrider_function_call_due() <= now)
		call_function();
	handling = false;
	if (settle_is_due(now))
		settle(false);
	if (!dlist_is_empty(postrider_engine_events()))
		postrider_announce_events();
	postrider_secrets_care(now);
	postrider_alerts_evaluate(now);
	postrider_careful_acquit(now);
	postrider_careful_forget_if_well(now);
	if (checkpoint_at <= now)
		checkpoint(now, false);
	if (maintenance_at <= now && postrider_shard_number() == 0)
		maintain(now);
	if (look_at <= now)
	{
		look_at = TimestampTzPlusMilliseconds(now, LOOK_MS);
		read_wanted = read_wanted || postrider_reader_may_have_missed();
	}
	pg_atomic_write_u32(&counters->queued,
						postrider_engine_queued() + postrider_deferred_total());
	pg_atomic_write_u32(&counters->in_flight, postrider_engine_in_flight());
	watch_health(now);
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
	if (may_read() || erase_is_new())
		return 0;
	deadline = Min(deadline, Min(postrider_health_due(), postrider_keep_due()));
	deadline = Min(deadline, Min(postrider_keys_due(), postrider_function_call_deadline()));
	deadline = Min(deadline, postrider_credentials_due());
	deadline = Min(deadline, postrider_secrets_due());
	deadline = Min(deadline, postrider_alerts_due());
	if (postrider_shard_number() == 0)
		deadline = Min(deadline, maintenance_at);
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

	postrider_step_begin("starting");
	postrider_step_exit_if_absent();
	SetUserIdAndSecContext(postrider_owner(), 0);
	postrider_shard_take(slot->shard, slot->shards);
	postrider_log_identify(get_database_name(MyDatabaseId), slot->shard);
	postrider_careful_start();
	postrider_step_commit();
	XLogFlush(XactLastCommitEnd);

	erase_seen = postrider_erase_generation();
	postrider_step_begin("starting");
	postrider_seed_clock();
	postrider_progress_load();
	postrider_pending_recover();
	refresh_config();
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
		settle(false);
	if (!dlist_is_empty(postrider_engine_events()))
		postrider_announce_events();
	checkpoint(GetCurrentTimestamp(), true);
	postrider_keep_save(GetCurrentTimestamp(), true);
	postrider_careful_forget();
}

typedef struct WaitPoint
{
	WaitEventSet *all;
	WaitEventSet *without_latch;
} WaitPoint;

/* The wait point, and the same without the latch. */
static WaitEventSet *
make_wait_point(int epoll_descriptor, bool with_latch)
{
	WaitEventSet *events;

#if PG_VERSION_NUM >= 170000
	events = CreateWaitEventSet(NULL, 3);
#else
	events = CreateWaitEventSet(TopMemoryContext, 3);
#endif
	if (with_latch)
		AddWaitEventToSet(events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(events, WL_SOCKET_READABLE, epoll_descriptor, NULL, NULL);
	return events;
}

/*
 * Waits.  A latch that is found set is either reset, and we read; or, while
 * gathering, left as it is until the moment is over.
 */
static void
wait(WaitPoint *point, long timeout_ms)
{
	WaitEvent	event;
	WaitEventSet *events = point->all;

	if (gather_until != 0)
	{
		if (GetCurrentTimestamp() < gather_until)
		{
			events = point->without_latch;
			timeout_ms = Min(timeout_ms, GATHER_MS);
		}
		else
			gather_until = 0;
	}
	if (WaitEventSetWait(events, timeout_ms, &event, 1, PG_WAIT_EXTENSION) == 1 &&
		event.events == WL_LATCH_SET)
	{
		TimestampTz until = TimestampTzPlusMilliseconds(last_read_at, GATHER_MS);

		if (gathering && GetCurrentTimestamp() < until)
			gather_until = until;
		else
		{
			ResetLatch(MyLatch);
			read_wanted = true;
		}
	}
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		config_loaded = 0;
		maintenance_at = DT_NOBEGIN;
	}
}

/*
 * The number of shards has changed: lets requests in flight end, so that the
 * workers that come after us need not send them again.
 */
static void
hand_over(WaitPoint *point)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz end = TimestampTzPlusMilliseconds(now, HANDOVER_MS);

	postrider_engine_hold();
	while (postrider_engine_in_flight() > 0 && now < end && !postrider_shutdown_requested)
	{
		wait(point, SETTLE_DELAY_MS);
		now = GetCurrentTimestamp();
		look_for_erased_if_told();
		run_engine(now);
		if (settle_is_due(now))
			settle(false);
	}
}

/*
 * A token server that is being asked may replace a refresh token: its answer must not
 * be lost.
 */
static void
await_credentials(WaitPoint *point)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz end = TimestampTzPlusMilliseconds(now, CREDENTIALS_MS);

	postrider_engine_hold();
	while (postrider_side_requests_running() > 0 && now < end)
	{
		wait(point, SETTLE_DELAY_MS);
		now = GetCurrentTimestamp();
		look_for_erased_if_told();
		run_engine(now);
		postrider_credentials_finish(now);
	}
	postrider_credentials_finish(now);
}

static void
run(int epoll_descriptor)
{
	WaitPoint	point = {
		.all = make_wait_point(epoll_descriptor, true),
		.without_latch = make_wait_point(epoll_descriptor, false)
	};

	while (!postrider_shutdown_requested && postrider_workers == postrider_shard_count())
	{
		wait(&point, wait_ms());
		if (!postrider_shutdown_requested)
			work();
	}
	if (!postrider_shutdown_requested)
		hand_over(&point);
	await_credentials(&point);
	finish_up();
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
			postrider_keep_save(GetCurrentTimestamp(), true);
		postrider_slot_set_clean();
		proc_exit(0);
	}
	postrider_slot_report_error(error->message);

	/* The reason may be that the extension was dropped a moment ago. */
	StartTransactionCommand();
	postrider_step_exit_if_absent();
	CommitTransactionCommand();
	if (!handling)
		postrider_careful_clear();
	proc_exit(1);
}

void
postrider_worker_main(Datum main_arg)
{
	WorkerSlot *slot;
	sigjmp_buf	handler;
	int			epoll_descriptor;

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
	postrider_engine_must_stop = erase_is_new;
	epoll_descriptor = postrider_engine_start();
	start(slot);
	ereport(LOG,
			(errmsg("%s started",
					MyBgworkerEntry->bgw_name)));
	run(epoll_descriptor);
	postrider_slot_set_clean();
	proc_exit(0);
}
