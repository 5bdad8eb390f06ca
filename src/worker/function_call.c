/*-------------------------------------------------------------------------
 *
 * function_call.c
 *	  Calls of SQL functions for messages: postrider.on_message().
 *
 * A function is called in a subtransaction of the transaction that settles its
 * delivery.  If it succeeds, what it has done is committed with the attempt, so
 * that each message takes effect once, whatever ends the worker or the server.  If it
 * fails, the subtransaction is rolled back and only the attempt is recorded.
 *
 * Rights.  The function runs as the role that registered it, in a security-
 * restricted operation, as functions of indexes and materialized views do: it
 * cannot change the role, nor leave temporary tables, prepared statements or
 * cursors behind.  Settings that it makes, and session-level advisory
 * locks, end with the call; deferred constraints are checked at once.
 *
 * Time.  While a function runs the worker does nothing else, so there is one
 * call in a turn of its loop, and after a long one the network gets as much
 * time as the call has taken.  The time-out of the endpoint cancels the call.  A
 * function that catches that is cancelled again each second; one that does not
 * end even so ends the worker, and its endpoint is disabled on the way out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "delivery/engine.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "outbox/config_history.h"
#include "outbox/function_row.h"
#include "outbox/mapping_reference.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "util/trace.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "worker/function_call.h"
#include "worker/step.h"

/* A call of so long is a long one; and the network gets so much at most. */
#define LONG_CALL_MS	5
#define MAX_REST_MS		100

/* A function that is to end is cancelled again after so long, and so often. */
#define CANCEL_AGAIN_MS	1000
#define MAX_CANCELS		10

/* Strings for SQLSTATEs live for ever; there are about 250. */
#define MAX_ERROR_CODES	512

/* A function that raises this does not want the message again. */
#define SQLSTATE_GIVE_UP MAKE_SQLSTATE('P', 'R', '0', '0', '1')

#define MAX_ERROR_BYTES	2000

static TimeoutId timeout_id;
static volatile sig_atomic_t cancels = 0;
static int32 called_endpoint = 0;	/* while its function runs */

static TimestampTz not_before = DT_NOBEGIN;
static bool last_was_long = false;
static bool turn_wanted = false;	/* a lane may have its next call */

/* The message, from the log or from the copy that has outlived it. */
static SqlStatement select_message = {
	.text =
	"select case when p.payload is null then case when m.removed is null then m end else"
	" row(p.message_id, m.xid, p.topic, m.endpoint, p.key, p.tenant, p.payload, p.headers,"
	" null, p.expires_at, p.traceparent, p.priority, null)::postrider.message end"
	" from postrider.endpoint e"
	" left join postrider.message m on m.id = $1"
	" left join postrider.pending p on p.message_id = $1 and p.endpoint_id = e.id"
	" where e.id = $2 and e.enabled and e.paused_at is null",
	.argument_count = 2,
	.argument_types = {UUIDOID, INT4OID}
};

static SqlStatement disable_endpoint = {
	.text =
	"update postrider.endpoint set enabled = false, disabled_reason ="
	" 'its function does not end when it is cancelled' where id = $1 and enabled",
	.argument_count = 1,
	.argument_types = {INT4OID}
};

/* Signal handler: the time of the call is over. */
static void
cancel_call(void)
{
	cancels++;
	InterruptPending = true;
	if (cancels > MAX_CANCELS)
		ProcDiePending = true;
	else
		QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* The worker ends within a call that does not let itself be cancelled. */
static void
disable_at_exit(int code, Datum arg)
{
	Datum		value = Int32GetDatum(called_endpoint);
	LogLine		line;

	if (called_endpoint == 0 || cancels <= MAX_CANCELS)
		return;
	called_endpoint = 0;
	AbortOutOfAnyTransaction();
	disable_all_timeouts(false);
	postrider_sql_begin("disabling an endpoint");
	(void) postrider_sql_run(&disable_endpoint, &value, NULL, 0);
	postrider_sql_commit();
	postrider_log_begin(&line, WARNING, "function_runs_on");
	postrider_log_int(&line, "endpoint_id", DatumGetInt32(value));
	postrider_log_message(&line, "the endpoint was disabled: its function does not end when it is cancelled");
	postrider_log_end(&line);
}

void
postrider_function_call_start(void)
{
	timeout_id = RegisterTimeout(USER_TIMEOUT, cancel_call);
	before_shmem_exit(disable_at_exit, 0);
}

TimestampTz
postrider_function_call_due(void)
{
	turn_wanted = false;
	return postrider_engine_first_call() ? not_before : DT_NOEND;
}

TimestampTz
postrider_function_call_deadline(void)
{
	if (turn_wanted)
		return DT_NOBEGIN;
	return postrider_engine_first_call() ? not_before : DT_NOEND;
}

bool
postrider_function_call_is_slow(void)
{
	return last_was_long;
}

void
postrider_function_call_shift(int64 microseconds)
{
	if (!TIMESTAMP_NOT_FINITE(not_before))
		not_before += microseconds;
}

/* error_code needs strings that live for ever. */
static const char *
error_code(int sqlstate)
{
	static char codes[MAX_ERROR_CODES][sizeof("sql_XXXXX")];
	static int	count = 0;
	char		code[sizeof(codes[0])];

	snprintf(code, sizeof(code), "sql_%s", unpack_sql_state(sqlstate));
	for (int i = 0; i < count; i++)
		if (strcmp(codes[i], code) == 0)
			return codes[i];
	if (count == MAX_ERROR_CODES)
		return "sql";
	strcpy(codes[count], code);
	return codes[count++];
}

/* An error about the message: bad data, or raised by the function itself. */
static bool
is_about_message(int sqlstate)
{
	int			category = ERRCODE_TO_CATEGORY(sqlstate);

	return category == ERRCODE_DATA_EXCEPTION ||
		category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
		category == ERRCODE_PLPGSQL_ERROR || sqlstate == SQLSTATE_GIVE_UP;
}

/* The message with its payload mapped. */
static Datum
map_payload(Datum message, Delivery *delivery)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(message);
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header),
											  HeapTupleHeaderGetTypMod(header));
	HeapTupleData tuple = {
		.t_len = HeapTupleHeaderGetDatumLength(header),
		.t_data = header
	};
	int			column = SPI_fnumber(desc, "payload");
	bool		isnull;
	Datum		payload = heap_getattr(&tuple, column, desc, &isnull);
	char	   *problem = NULL;
	Jsonb	   *mapped = postrider_mapping_reference_apply(delivery->mapping,
														   DatumGetJsonbP(payload), &problem);
	Datum		value;
	Datum		result;

	if (mapped == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("%s", problem)));
	value = JsonbPGetDatum(mapped);
	result = heap_copy_tuple_as_datum(heap_modify_tuple_by_cols(&tuple, desc, 1, &column,
																&value, &isnull), desc);
	ReleaseTupleDesc(desc);
	return result;
}

/*
 * In the subtransaction, as the role: the call.  An error anywhere in here is
 * one of the function's.
 */
static void
call(Delivery *delivery, Datum message, TimestampTz started_at)
{
	const Endpoint *endpoint = delivery->endpoint;
	Oid			user;
	int			security_context;
	int			level = NewGUCNestLevel();
	Oid			role = get_role_oid(endpoint->run_as, false);
	Oid			function;
	Oid			type;
	char	   *command;

	GetUserIdAndSecContext(&user, &security_context);
	if (delivery->mapping)
		message = map_payload(message, delivery);
	type = HeapTupleHeaderGetTypeId(DatumGetHeapTupleHeader(message));
	postrider_sql_begin_foreign();

	/*
	 * What would be checked at commit could no longer be undone there, and a
	 * restricted operation must not leave it until then.
	 */
	(void) SPI_execute("set constraints all immediate", false, 0);
	SetUserIdAndSecContext(role, security_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	/* What it sees is what the endpoint's tenant does, whoever registered it. */
	(void) set_config_option("postrider.tenant", endpoint->tenant ? endpoint->tenant : "", PGC_SUSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	postrider_trace_continue(delivery->message->traceparent, &delivery->message->id, endpoint->id,
							 started_at);
	function = postrider_function_require(endpoint->function, role);
	command = psprintf("select %s($1)",
					   quote_qualified_identifier(get_namespace_name(get_func_namespace(function)),
												  get_func_name(function)));
	postrider_config_history_role = role;
	PG_TRY();
	{
		if (SPI_execute_with_args(command, 1, &type, &message, NULL, false, 0) != SPI_OK_SELECT)
			elog(ERROR, "SPI_execute failed");
	}
	PG_FINALLY();
	{
		postrider_config_history_role = InvalidOid;
	}
	PG_END_TRY();
	SPI_freetuptable(SPI_tuptable);
	SetUserIdAndSecContext(user, security_context);
	AtEOXact_GUC(false, level);
}

/* In words, as much as the endpoint keeps. */
static char *
describe(const ErrorData *error, int max_bytes)
{
	StringInfoData words;

	initStringInfo(&words);
	if (error->detail)
		appendStringInfo(&words, "DETAIL: %s\n", error->detail);
	if (error->hint)
		appendStringInfo(&words, "HINT: %s\n", error->hint);
	if (error->context)
		appendStringInfo(&words, "CONTEXT: %s\n", error->context);
	if (words.len > 0)
		words.data[--words.len] = '\0';
	words.data[pg_mbcliplen(words.data, words.len, Max(max_bytes, 0))] = '\0';
	return words.data[0] ? words.data : NULL;
}

static void
note_error(const ErrorData *error, const Endpoint *endpoint, CallEnd *end)
{
	end->timed_out = cancels > 0 && error->sqlerrcode == ERRCODE_QUERY_CANCELED;
	end->healthy = is_about_message(error->sqlerrcode);
	end->outcome = error->sqlerrcode == SQLSTATE_GIVE_UP ? OUTCOME_DEAD : OUTCOME_RETRY;
	if (end->timed_out)
	{
		end->error_code = "timeout";
		end->error = psprintf("the function was cancelled after %d ms", endpoint->timeout_ms);
	}
	else
	{
		char	   *message = pstrdup(error->message ? error->message : "");

		message[pg_mbcliplen(message, strlen(message), MAX_ERROR_BYTES)] = '\0';
		end->error_code = error_code(error->sqlerrcode);
		end->error = message;
	}
	end->detail = describe(error, endpoint->response_excerpt_bytes);
}

static void
start_timer(const Delivery *delivery)
{
	cancels = 0;
	called_endpoint = delivery->endpoint->id;
	enable_timeout_every(timeout_id,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													 delivery->endpoint->timeout_ms),
						 CANCEL_AGAIN_MS);
}

/* A cancellation that has come too late must not meet what comes after. */
static void
stop_timer(void)
{
	disable_timeout(timeout_id, false);
	called_endpoint = 0;
	if (!postrider_shutdown_requested)
		QueryCancelPending = false;
	LockReleaseSession(USER_LOCKMETHOD);
}

/* Returns false if the worker is to end and the call was broken off. */
static bool
call_in_subtransaction(Delivery *delivery, Datum message, CallEnd *end)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool broken_off = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	pgstat_report_activity(STATE_RUNNING, psprintf("calling function %s",
												   delivery->endpoint->function));
	start_timer(delivery);
	PG_TRY();
	{
		call(delivery, message, end->started_at);
		stop_timer();
		ReleaseCurrentSubTransaction();
		end->outcome = OUTCOME_DELIVERED;
		end->healthy = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		stop_timer();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		broken_off = postrider_shutdown_requested &&
			error->sqlerrcode == ERRCODE_QUERY_CANCELED;
		note_error(error, delivery->endpoint, end);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return !broken_off;
}

/* The network gets its turn after a long call. */
static void
note_duration(TimestampTz now, float duration_ms, bool network_busy)
{
	last_was_long = duration_ms >= LONG_CALL_MS;
	not_before = last_was_long && network_busy ?
		TimestampTzPlusMilliseconds(now, (int64) Min(duration_ms, MAX_REST_MS)) : DT_NOBEGIN;
}

void
postrider_function_call_next(bool network_busy)
{
	Delivery   *delivery = postrider_engine_first_call();
	CallEnd		end = {.started_at = GetCurrentTimestamp()};
	Datum		values[2];
	Datum		message;
	bool		isnull;
	TimestampTz now;

	if (delivery == NULL)
		return;
	values[0] = UUIDPGetDatum(&delivery->message->id);
	values[1] = Int32GetDatum(delivery->endpoint->id);

	/* Without a row it was paused or deleted just now; we shall hear of that. */
	if (postrider_sql_run(&select_message, values, NULL, 1) == 0)
	{
		not_before = TimestampTzPlusMilliseconds(end.started_at, LONG_CALL_MS);
		return;
	}
	message = postrider_sql_datum(0, 0, &isnull);
	if (isnull)
	{
		end.outcome = OUTCOME_DEAD;
		end.healthy = true;
		end.error_code = "message_gone";
		end.error = "the message is no longer in the log";
	}
	else if (!call_in_subtransaction(delivery, message, &end))
		return;
	now = GetCurrentTimestamp();
	end.duration_ms = (now - end.started_at) / 1000.0f;
	note_duration(now, end.duration_ms, network_busy);
	postrider_engine_end_call(delivery, &end, now);
	turn_wanted = true;
}
