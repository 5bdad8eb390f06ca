/*-------------------------------------------------------------------------
 *
 * trial_process.c
 *	  postrider.run_trial(): starts a background worker for a question, and waits
 *	  for its answer; see trial.h.
 *
 * The segment belongs to the backend that asks, which is the only one that waits.
 * If it is cancelled, it ends the worker; if it dies, the worker finds nobody to
 * tell and ends by itself, after the time-out of the endpoint at the latest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "libpq/pqsignal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "util/sql.h"
#include "worker/trial.h"

PG_FUNCTION_INFO_V1(postrider_run_trial);

PGDLLEXPORT void postrider_trial_main(Datum main_arg);

#define ANSWER_BYTES	(2 * 1024 * 1024)
#define FIELDS			6

typedef enum TrialState
{
	TRIAL_ASKED,
	TRIAL_ANSWERED,
	TRIAL_FAILED				/* the answer is an error message */
} TrialState;

/* The segment; the texts of the question stand before the answer. */
typedef struct TrialSegment
{
	pg_atomic_uint32 state;		/* a TrialState */
	Oid			database;
	TrialKind	kind;
	int			fields[FIELDS]; /* offset in data, or -1: NULL */
	int			error_code;		/* SQLSTATE of a failure */
	Size		answer;			/* offset in data */
	char		data[FLEXIBLE_ARRAY_MEMBER];
} TrialSegment;

/*
 * The worker
 */

static const char *
field(const TrialSegment *segment, int number)
{
	return segment->fields[number] < 0 ? NULL : segment->data + segment->fields[number];
}

static void
reply(TrialSegment *segment, TrialState state, const char *answer)
{
	strlcpy(segment->data + segment->answer, answer, ANSWER_BYTES);
	pg_write_barrier();
	pg_atomic_write_u32(&segment->state, state);
}

static void
answer(TrialSegment *segment)
{
	TrialQuestion question = {
		.kind = segment->kind,
		.endpoint = field(segment, 0),
		.topic = field(segment, 1),
		.payload = field(segment, 2),
		.key = field(segment, 3),
		.tenant = field(segment, 4),
		.headers = field(segment, 5)
	};
	char	   *json = postrider_trial_run(&question);

	if (strlen(json) >= ANSWER_BYTES)
		reply(segment, TRIAL_FAILED, "the answer is too large");
	else
		reply(segment, TRIAL_ANSWERED, json);
}

static void
report_error(TrialSegment *segment)
{
	ErrorData  *error;

	MemoryContextSwitchTo(TopMemoryContext);
	error = CopyErrorData();
	segment->error_code = error->sqlerrcode;
	reply(segment, TRIAL_FAILED, error->message);
}

void
postrider_trial_main(Datum main_arg)
{
	dsm_segment *handle;
	TrialSegment *segment;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	CurrentResourceOwner = ResourceOwnerCreate(NULL, "postrider test request");
	handle = dsm_attach(DatumGetUInt32(main_arg));
	if (handle == NULL)
		proc_exit(0);			/* nobody waits any more */
	dsm_pin_mapping(handle);
	segment = dsm_segment_address(handle);
	BackgroundWorkerInitializeConnectionByOid(segment->database, InvalidOid, 0);
	postrider_sql_pin_process();
	PG_TRY();
	{
		answer(segment);
	}
	PG_CATCH();
	{
		report_error(segment);
		PG_RE_THROW();
	}
	PG_END_TRY();
	proc_exit(0);
}

/*
 * The backend
 */

static void
put_fields(TrialSegment *segment, char *const *texts)
{
	int			offset = 0;

	for (int i = 0; i < FIELDS; i++)
	{
		segment->fields[i] = -1;
		if (texts[i] == NULL)
			continue;
		segment->fields[i] = offset;
		strcpy(segment->data + offset, texts[i]);
		offset += (int) strlen(texts[i]) + 1;
	}
	segment->answer = offset;
}

static dsm_segment *
make_segment(TrialKind kind, char *const *texts)
{
	Size		bytes = offsetof(TrialSegment, data) + ANSWER_BYTES;
	dsm_segment *handle;
	TrialSegment *segment;

	for (int i = 0; i < FIELDS; i++)
		bytes += texts[i] ? strlen(texts[i]) + 1 : 0;
	handle = dsm_create(bytes, 0);
	segment = dsm_segment_address(handle);
	pg_atomic_init_u32(&segment->state, TRIAL_ASKED);
	segment->database = MyDatabaseId;
	segment->kind = kind;
	segment->error_code = ERRCODE_INTERNAL_ERROR;
	put_fields(segment, texts);
	return handle;
}

static BackgroundWorkerHandle *
start_worker(dsm_segment *handle)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *started;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "postrider", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "postrider_trial_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "postrider test request", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "postrider test request", sizeof(worker.bgw_type));
	worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(handle));
	worker.bgw_notify_pid = MyProcPid;
	if (!RegisterDynamicBackgroundWorker(&worker, &started))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("no background worker is free for the test request"),
				 errhint("Try again, or raise max_worker_processes.")));
	return started;
}

static void
wait_for_end(BackgroundWorkerHandle *worker)
{
	PG_TRY();
	{
		if (WaitForBackgroundWorkerShutdown(worker) == BGWH_POSTMASTER_DIED)
			ereport(FATAL,
					(errcode(ERRCODE_ADMIN_SHUTDOWN),
					 errmsg("the postmaster has died")));
	}
	PG_CATCH();
	{
		TerminateBackgroundWorker(worker);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

static char *
text_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

static char *
json_argument(FunctionCallInfo fcinfo, int number)
{
	Jsonb	   *json;

	if (PG_ARGISNULL(number))
		return NULL;
	json = PG_GETARG_JSONB_P(number);
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

/* run_trial(send boolean, endpoint, topic text, payload jsonb, key, tenant text, headers jsonb) */
Datum
postrider_run_trial(PG_FUNCTION_ARGS)
{
	char	   *texts[FIELDS] = {
		text_argument(fcinfo, 1), text_argument(fcinfo, 2), json_argument(fcinfo, 3),
		text_argument(fcinfo, 4), text_argument(fcinfo, 5), json_argument(fcinfo, 6)
	};
	dsm_segment *handle = make_segment(PG_GETARG_BOOL(0) ? TRIAL_SEND : TRIAL_PREVIEW, texts);
	TrialSegment *segment = dsm_segment_address(handle);
	TrialState	state;
	char	   *found;

	wait_for_end(start_worker(handle));
	state = (TrialState) pg_atomic_read_u32(&segment->state);
	pg_read_barrier();
	found = pstrdup(segment->data + segment->answer);
	if (state == TRIAL_ASKED)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("the process for the test request ended without an answer"),
				 errhint("The server's log says why.")));
	if (state == TRIAL_FAILED)
		ereport(ERROR,
				(errcode(segment->error_code),
				 errmsg("%s", found)));
	dsm_detach(handle);
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(found)));
}
