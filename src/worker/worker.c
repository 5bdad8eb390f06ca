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
#include "commands/extension.h"
#include "delivery/engine.h"
#include "guc.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "outbox/config.h"
#include "outbox/intake.h"
#include "outbox/pending.h"
#include "outbox/progress.h"
#include "outbox/reader.h"
#include "outbox/seed.h"
#include "outbox/settle.h"
#include "outbox/shard.h"
#include "outbox/suspect.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "util/sql.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/shmem.h"
#include "worker/slot.h"
#include "worker/wake.h"

/* Outcomes are settled when there are so many, or the oldest is so old. */
#define SETTLE_COUNT		1000
#define SETTLE_DELAY_MS		10

/* How often the cursor is written, and how old a delivery gets a lease. */
#define CHECKPOINT_MS		1000
#define LEASE_AGE_MS		3000

/* When the shards change, requests in flight have so long to end. */
#define HANDOVER_MS			5000

/* Idle look at shared memory; no query. */
#define LOOK_MS				1000

/* A difference by which the wall clock must have been set. */
#define CLOCK_STEP_US		(2 * USECS_PER_SEC)

#define MAINTENANCE_MS		(60 * 60 * 1000)
#define MAINTENANCE_RETRY_MS (7 * 1000)

/* While a lane has no room, and while endpoints could not take what is due. */
#define BUSY_MS				5
#define SKIPPED_MS			20

/*
 * After so long without a fault a worker has run well; and so long a message is
 * suspect at most (suspect.c).
 */
#define WELL_MS				30000
#define SUSPECT_MS			200

/* From so many messages in a bucket on, they are gathered for so long. */
#define GATHER_BUCKET_US	10000
#define GATHER_MESSAGES		25	/* 2,500/s */
#define GATHER_MS			1

/* An endpoint is given due deliveries when it has room for so many. */
#define PENDING_MIN_ROOM	64
#define PENDING_MAX_ROOM	256

PGDLLEXPORT void postrider_worker_main(Datum main_arg);

static volatile sig_atomic_t shutdown_requested = false;
static volatile sig_atomic_t in_transaction = false;
static bool relations_changed = false;

static MemoryContext cycle_context;
static WorkerCounters *counters;
static dlist_head inbox = DLIST_STATIC_INIT(inbox);

static bool read_wanted = true;
static uint64 config_loaded = 0;
static uint64 pending_seen = 0;
static TimestampTz pending_check_at = DT_NOBEGIN;
static TimestampTz oldest_finished_at = 0;
static TimestampTz checkpoint_at = 0;
static TimestampTz maintenance_at = DT_NOBEGIN;
static TimestampTz look_at = 0;
static TimestampTz well_at = DT_NOEND;

/* One message at a time; the one that is handled is marked. */
static bool careful = false;
static bool marked = false;
static TimestampTz suspect_until = 0;
static bool handling = false;	/* the content of messages */

static bool gathering = false;
static TimestampTz last_read_at = 0;
static TimestampTz gather_until = 0;	/* the latch is left set; or 0 */

/*
 * SIGTERM.  A statement that waits or computes is cancelled; apart from that
 * the loop sees the flag.
 */
static void
handle_sigterm(SIGNAL_ARGS)
{
	int			save_errno = errno;

	shutdown_requested = true;
	if (in_transaction)
	{
		InterruptPending = true;
		QueryCancelPending = true;
	}
	SetLatch(MyLatch);
	errno = save_errno;
}

static void
relation_changed(Datum arg, Oid relation)
{
	relations_changed = true;
}

/* Leaves for good if the database has no extension (any more). */
static void
exit_if_absent(void)
{
	relations_changed = false;
	if (OidIsValid(get_extension_oid("postrider", true)) &&
		OidIsValid(postrider_owner()))
		return;
	postrider_slot_set_absent();
	proc_exit(0);
}

static void
begin(const char *activity)
{
	in_transaction = true;
	postrider_sql_begin(activity);
	MemoryContextSwitchTo(cycle_context);
	if (relations_changed)
		exit_if_absent();
}

static void
commit(void)
{
	postrider_sql_commit();
	in_transaction = false;
	MemoryContextSwitchTo(cycle_context);
	MemoryContextReset(cycle_context);
}

static void
endpoint_changed(Endpoint *endpoint, bool is_new)
{
	if (is_new)
		endpoint->lane = postrider_lane_create(endpoint);
	else
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
	postrider_config_load(endpoint_changed);
	postrider_pending_release();
	postrider_pending_cancel_orphans();
	config_loaded = changing ? 0 : generation;
	pending_check_at = DT_NOBEGIN;
}

static void
refresh_config_if_told(void)
{
	bool		changing;

	if (postrider_config_generation(&changing) == config_loaded)
		return;
	begin("loading the configuration");
	refresh_config();
	commit();
}

/* Frees endpoints that were deleted, when nothing in memory points to one. */
static void
forget_deleted_endpoints(void)
{
	Endpoint  **endpoints;
	int			count;

	if (!dlist_is_empty(postrider_deliveries()))
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

/*
 * Moves deliveries from the inbox to their lanes, in order.  Stops where a lane
 * has no room just now.
 */
static void
place_inbox(TimestampTz now)
{
	while (!dlist_is_empty(&inbox))
	{
		Delivery   *delivery = dlist_head_element(Delivery, node, &inbox);
		Endpoint   *endpoint = delivery->endpoint;
		LaneAnswer	answer = LANE_TAKES;

		if (delivery->settle == SETTLE_ATTEMPT && endpoint->enabled &&
			!endpoint->deleted && !delivery->has_pending_row)
			answer = postrider_lane_offer(endpoint->lane, now);
		if (answer == LANE_BUSY)
			return;

		dlist_delete(&delivery->node);
		if (delivery->settle == SETTLE_PARK)
			postrider_engine_park(delivery, delivery->park_reason, delivery->park_until);
		else if (answer == LANE_OVERFLOWS)
			postrider_engine_park(delivery, PENDING_OVERFLOW, now);
		else
		{
			postrider_engine_submit(delivery, now);
			if (!endpoint->enabled || endpoint->deleted)
				postrider_engine_endpoint_changed(endpoint);
		}
	}
}

/* Marks a message before it is handled; ends and begins the transaction. */
static void
mark(const pg_uuid_t *id)
{
	postrider_suspect_mark(id);
	commit();
	XLogFlush(XactLastCommitEnd);
	marked = true;
	suspect_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SUSPECT_MS);
	begin("handling one message");
}

/* The message that is marked has been settled, or is in flight for long. */
static void
acquit(TimestampTz now)
{
	if (!marked ||
		(!dlist_is_empty(postrider_deliveries()) && suspect_until > now))
		return;
	begin("handling one message");
	postrider_suspect_clear();
	commit();
	marked = false;
}

/* Nothing has happened for a while: the starts before do not count any more. */
static void
forget_starts(void)
{
	begin("forgetting earlier starts");
	postrider_suspect_forget();
	commit();
	careful = marked = false;
	well_at = DT_NOEND;
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

	begin("reading messages");
	if (!postrider_reader_in_window())
	{
		read_wanted = false;
		postrider_reader_open_window();
	}
	refresh_config();
	if (careful && postrider_reader_peek(&next))
		mark(&next);
	messages = postrider_reader_read(&inbox, careful ? 1 : READER_CHUNK);
	commit();
	postrider_reader_committed();
	count_messages(messages);
	pg_atomic_fetch_add_u64(&counters->messages_read, messages);
}

/*
 * Endpoints that can take due deliveries; *skipped if some cannot now.  If
 * "only" is not 0, just this one, and one delivery.
 */
static int
find_room(PendingRoom **rooms, int32 only, bool *skipped)
{
	Endpoint  **endpoints;
	int			count = postrider_config_endpoints(&endpoints);
	int			found = 0;

	*rooms = palloc(sizeof(PendingRoom) * (count + 1));
	*skipped = false;
	for (int i = 0; i < count; i++)
	{
		int			room;

		if (!endpoints[i]->enabled || endpoints[i]->deleted ||
			(only != 0 && only != endpoints[i]->id))
			continue;
		room = postrider_lane_room(endpoints[i]->lane);
		if (room < PENDING_MIN_ROOM && endpoints[i]->lane->queued > 0)
		{
			*skipped = true;
			continue;
		}
		(*rooms)[found].endpoint = endpoints[i];
		(*rooms)[found++].room = only != 0 ? 1 : Min(room, PENDING_MAX_ROOM);
	}
	return found;
}

/* Loads what is due from the table pending. */
static void
load_pending(TimestampTz now)
{
	PendingRoom *rooms;
	bool		skipped;
	bool		more = false;
	int			count;
	TimestampTz next_due = DT_NOEND;
	pg_uuid_t	next;
	int32		only = 0;

	begin("reading pending deliveries");
	if (careful && postrider_suspect_next_pending(&next, &only))
		mark(&next);
	count = find_room(&rooms, only, &skipped);
	if (count > 0)
		next_due = postrider_pending_load(rooms, count, &inbox);
	for (int i = 0; i < count; i++)
	{
		if (rooms[i].loaded == rooms[i].room)
			more = true;
		else if (rooms[i].endpoint->lane->overflowing &&
				 rooms[i].endpoint->lane->blocked_until <= now)
			rooms[i].endpoint->lane->overflowing = false;
	}
	commit();

	pending_check_at = more ? DT_NOBEGIN : next_due;
	if (skipped)
		pending_check_at = Min(pending_check_at,
							   TimestampTzPlusMilliseconds(now, SKIPPED_MS));
}

/* Writes down what has ended. */
static void
settle(void)
{
	dlist_head *finished = postrider_engine_finished();
	SettleTotals totals;

	begin("settling deliveries");
	postrider_settle_write(finished, &totals);
	commit();
	postrider_settle_done(finished);
	postrider_engine_finished_clear();
	oldest_finished_at = 0;
	pending_check_at = Min(pending_check_at, totals.next_due);
	pg_atomic_fetch_add_u64(&counters->delivered, totals.delivered);
	pg_atomic_fetch_add_u64(&counters->retried, totals.retried);
	pg_atomic_fetch_add_u64(&counters->dead, totals.dead);
}

/* Writes leases for what takes long, and the cursor. */
static void
checkpoint(TimestampTz now)
{
	TimestampTz before = TimestampTzPlusMilliseconds(now, -LEASE_AGE_MS);
	bool		leases = !dlist_is_empty(postrider_deliveries());

	checkpoint_at = TimestampTzPlusMilliseconds(now, CHECKPOINT_MS);
	if (leases)
	{
		begin("writing leases");
		leases = postrider_lease_write(before) > 0;
		commit();
		if (leases)
			postrider_lease_done(before);
	}
	if (postrider_progress_advance())
	{
		begin("writing the cursor");
		postrider_progress_save();
		commit();
		postrider_progress_saved();
	}
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
		.text = "select postrider.maintain_partitions(make_interval(mins => $1))",
		.argument_count = 1,
		.argument_types = {INT4OID}
	};
	bool		done = false;

	maintenance_at = TimestampTzPlusMilliseconds(now, MAINTENANCE_MS);
	PG_TRY();
	{
		Datum		values[] = {Int32GetDatum(postrider_retention_minutes)};

		begin("maintaining partitions");
		postrider_sql_run(&maintain_partitions, values, NULL, 1);
		done = postrider_sql_text(0, 0, CurrentMemoryContext) == NULL;
		commit();
	}
	PG_CATCH();
	{
		if (shutdown_requested)
			PG_RE_THROW();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		in_transaction = false;
		MemoryContextSwitchTo(cycle_context);
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
	shift(&maintenance_at, microseconds);
	shift(&look_at, microseconds);
	shift(&well_at, microseconds);
	shift(&suspect_until, microseconds);
	dlist_foreach(iter, postrider_deliveries())
		shift(&dlist_container(Delivery, memory_node, iter.cur)->loaded_at, microseconds);
	postrider_engine_shift(microseconds);
	last_read_at = gather_until = 0;

	begin("following the clock");
	postrider_pending_shift(microseconds);
	commit();
	pending_check_at = DT_NOBEGIN;
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

/* One round of everything that is due. */
static void
work(void)
{
	TimestampTz now = GetCurrentTimestamp();

	watch_clock(now);
	refresh_config_if_told();
	handling = true;
	if (dlist_is_empty(&inbox) && !marked && (read_wanted || postrider_reader_in_window()) &&
		postrider_engine_finished_count() < SETTLE_COUNT)
		read_log();
	if (pg_atomic_read_u64(&postrider_shared()->pending_generation) != pending_seen)
	{
		pending_seen = pg_atomic_read_u64(&postrider_shared()->pending_generation);
		pending_check_at = DT_NOBEGIN;
	}
	if (dlist_is_empty(&inbox) && !marked && pending_check_at <= now)
		load_pending(now);

	now = GetCurrentTimestamp();
	place_inbox(now);
	postrider_engine_run(now);
	handling = false;
	if (settle_is_due(now))
		settle();
	acquit(now);
	if (well_at <= now)
		forget_starts();
	if (checkpoint_at <= now)
		checkpoint(now);
	if (maintenance_at <= now && postrider_shard_number() == 0)
		maintain(now);
	if (look_at <= now)
	{
		look_at = TimestampTzPlusMilliseconds(now, LOOK_MS);
		read_wanted = read_wanted || postrider_reader_may_have_missed();
	}
	pg_atomic_write_u32(&counters->queued, postrider_engine_queued());
	pg_atomic_write_u32(&counters->in_flight, postrider_engine_in_flight());
}

/* How long to wait for something to happen, in milliseconds. */
static long
wait_ms(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz deadline = Min(look_at, pending_check_at);
	long		engine_ms = postrider_engine_timeout_ms(now);
	long		result;

	if (marked)
		return 1;
	if (dlist_is_empty(&inbox) && (read_wanted || postrider_reader_in_window()))
		return 0;
	if (postrider_shard_number() == 0)
		deadline = Min(deadline, maintenance_at);
	result = deadline <= now ? 0 : TimestampDifferenceMilliseconds(now, deadline);
	if (engine_ms >= 0)
		result = Min(result, engine_ms);
	if (postrider_engine_finished_count() > 0)
		result = Min(result, SETTLE_DELAY_MS);
	if (!dlist_is_empty(&inbox))
		result = Min(result, BUSY_MS);
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

/* Connects, and takes up where the last worker stopped. */
static void
start(WorkerSlot *slot)
{
	CacheRegisterRelcacheCallback(relation_changed, 0);
	cycle_context = AllocSetContextCreate(TopMemoryContext, "postrider cycle",
										  ALLOCSET_DEFAULT_SIZES);
	set_option("search_path", "pg_catalog, pg_temp");
	set_option("synchronous_commit", "off");

	/* All our statements are look-ups; they must not depend on statistics. */
	set_option("enable_seqscan", "off");
	set_option("enable_sort", "off");
	set_option("enable_hashjoin", "off");
	set_option("enable_mergejoin", "off");
	set_option("plan_cache_mode", "force_generic_plan");
	set_option("jit", "off");

	begin("starting");
	exit_if_absent();
	SetUserIdAndSecContext(postrider_owner(), 0);
	postrider_shard_take(slot->shard, slot->shards);
	careful = postrider_suspect_start();
	commit();
	XLogFlush(XactLastCommitEnd);
	well_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), WELL_MS);

	begin("starting");
	postrider_seed_clock();
	postrider_progress_load();
	postrider_pending_recover();
	refresh_config();
	commit();

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
		settle();
	checkpoint(GetCurrentTimestamp());
	forget_starts();
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
	while (postrider_engine_in_flight() > 0 && now < end && !shutdown_requested)
	{
		wait(point, SETTLE_DELAY_MS);
		now = GetCurrentTimestamp();
		postrider_engine_run(now);
		if (settle_is_due(now))
			settle();
	}
}

static void
run(int epoll_descriptor)
{
	WaitPoint	point = {
		.all = make_wait_point(epoll_descriptor, true),
		.without_latch = make_wait_point(epoll_descriptor, false)
	};

	while (!shutdown_requested && postrider_workers == postrider_shard_count())
	{
		wait(&point, wait_ms());
		if (!shutdown_requested)
			work();
	}
	if (!shutdown_requested)
		hand_over(&point);
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
	if (!shutdown_requested)
		EmitErrorReport();
	FlushErrorState();
	AbortCurrentTransaction();
	RESUME_INTERRUPTS();

	if (shutdown_requested)
	{
		postrider_slot_set_clean();
		proc_exit(0);
	}
	postrider_slot_report_error(error->message);

	/* The reason may be that the extension was dropped a moment ago. */
	StartTransactionCommand();
	exit_if_absent();
	CommitTransactionCommand();
	if (marked && !handling)
	{
		begin("ending");
		postrider_suspect_clear();
		commit();
	}
	proc_exit(1);
}

void
postrider_worker_main(Datum main_arg)
{
	WorkerSlot *slot;
	sigjmp_buf	handler;
	int			epoll_descriptor;

	pqsignal(SIGTERM, handle_sigterm);
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
	epoll_descriptor = postrider_engine_start();
	start(slot);
	ereport(LOG,
			(errmsg("%s started",
					MyBgworkerEntry->bgw_name)));
	run(epoll_descriptor);
	postrider_slot_set_clean();
	proc_exit(0);
}
