/*-------------------------------------------------------------------------
 *
 * credentials.c
 *	  Fetches the credentials that somebody has asked for; see credential.h.
 *
 * One of several workers fetches, and it holds neither a transaction nor a lock while
 * it waits:
 *
 *	  transaction: lock the row; is there a good value, or a failure that is not over?
 *		Then take that.  Has another process the lease?  Then wait until it tells.
 *		Else take the lease.
 *	  request, in the multi handle of the deliveries (delivery/side_request.h)
 *	  transaction: store value or failure, end the lease, tell the others
 *
 * The others are told by a generation number in shared memory and their latch, at
 * commit.  A lease ends by itself, or with the process that has it.
 *
 * A refresh token that the server has replaced is stored in the same transaction as
 * the access token, and that transaction is flushed to disk before anybody sees
 * the access token.  So what is used is never newer than what a crash leaves behind.
 * What remains: if the server crashes, or its answer is lost, after it has replaced
 * the token and before we have committed, the new one is lost, and only servers that
 * still take the old one for a while go on.  If we cannot commit, the answer stays in
 * memory and is stored again and again.
 *
 * After a failure there is a pause: 1 s, 2 s, ...; from the third failure on the
 * circuit breaker of policy/breaker.c, which opens at once where a person must act
 * (invalid_client).  Retry-After is honoured.  All of that is in the row, so that it
 * holds for all workers.  A change of one of the secrets ends it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "content/wait_time.h"
#include "delivery/side_request.h"
#include "libpq/pqsignal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "outbox/credential_table.h"
#include "outbox/secret_store.h"
#include "security/credential_set.h"
#include "security/secret_set.h"
#include "storage/procarray.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "util/text.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/credentials.h"
#include "worker/shmem.h"
#include "worker/step.h"
#include "worker/wake.h"

/* Time for a fetch, with the transactions around it. */
#define LEASE_MS (SIDE_TIMEOUT_MS + 10000)

#define BACKOFF_MS			1000
#define BACKOFF_MAX_MS		60000
#define RETRY_AFTER_MAX_US	(INT64CONST(3600) * USECS_PER_SEC)

/* What could not be stored, or asked for. */
#define RETRY_STORE_MS		5000
#define RETRY_NEEDS_MS		5000

/* Of an error that is kept. */
#define ERROR_BYTES 500

static const BreakerPolicy passing_policy = {
	.failure_share = 0.5,
	.min_count = 3,
	.window_us = 10 * 60 * USECS_PER_SEC,
	.open_us = 10 * USECS_PER_SEC,
	.open_max_us = 10 * 60 * USECS_PER_SEC
};

/* Where a person must act. */
static const BreakerPolicy lasting_policy = {
	.failure_share = 0.5,
	.min_count = 1,
	.window_us = 10 * 60 * USECS_PER_SEC,
	.open_us = 60 * USECS_PER_SEC,
	.open_max_us = INT64CONST(3600) * USECS_PER_SEC
};

static SqlStatement emit = {
	.text =
	"select postrider.emit($1, jsonb_strip_nulls(jsonb_build_object('credential', $2,"
	" 'kind', $3, 'server', $4, 'until', $5, 'failures', $6, 'error', $7)), key => $2)",
	.argument_count = 7,
	.argument_types = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID, TEXTOID}
};

static uint64 generation_seen = 0;

/* When one that waits for another worker, or for a table, is to be looked at. */
static TimestampTz look_at = DT_NOEND;

/* A side request whose answer could not be stored. */
static SideRequest *stuck = NULL;
static TimestampTz stuck_until = 0;

/* Something is there that was not there before. */
static bool news = false;

static void
rest(Credential *credential)
{
	credential->phase = CREDENTIAL_PHASE_RESTING;
	news = true;
}

void
postrider_credentials_load(void)
{
	List	   *all;
	ListCell   *cell;

	postrider_step_begin("looking at credentials");
	all = postrider_credentials_all();
	if (all != NIL)
		all = postrider_credential_table_refresh(all);
	foreach(cell, all)
	{
		Credential *credential = lfirst(cell);

		if (credential->phase == CREDENTIAL_PHASE_WAITING)
			credential->phase = CREDENTIAL_PHASE_RESTING;
		news = true;
	}
	postrider_step_commit();
}

void
postrider_credentials_refresh_if_told(void)
{
	uint64		generation = pg_atomic_read_u64(&postrider_shared()->credential_generation);

	if (generation == generation_seen)
		return;
	generation_seen = generation;
	postrider_credentials_load();
}

/* Others' leases may have ended. */
static void
look_at_waiting(TimestampTz now)
{
	List	   *all;
	ListCell   *cell;

	if (look_at > now)
		return;
	look_at = DT_NOEND;
	all = postrider_credentials_all();
	foreach(cell, all)
	{
		Credential *credential = lfirst(cell);

		if (credential->phase != CREDENTIAL_PHASE_WAITING)
			continue;
		if (credential->look_at <= now)
			rest(credential);
		else
			look_at = Min(look_at, credential->look_at);
	}
	list_free(all);
}

/* In the transaction that has locked the row: what is to be done? */
static void
decide(Credential *credential, const CredentialLease *lease, TimestampTz now)
{
	char	   *inputs = postrider_credential_inputs(credential, now);

	if (credential->value != NULL && credential->good_until > now && credential->renew_at > now)
	{
		rest(credential);
		return;
	}
	if (credential->problem != NULL && credential->inputs != NULL &&
		strcmp(credential->inputs, inputs) != 0)
	{
		/* Somebody has changed a secret: nothing that was counts any more. */
		postrider_credential_set_problem(credential, NULL, 0);
		postrider_breaker_reset(&credential->breaker);
		credential->failures = 0;
	}
	if (credential->problem != NULL && credential->retry_at > now)
	{
		rest(credential);
		return;
	}
	if (lease->until > now && lease->pid != MyProcPid && BackendPidGetProc(lease->pid) != NULL)
	{
		credential->phase = CREDENTIAL_PHASE_WAITING;
		credential->look_at = lease->until;
		look_at = Min(look_at, lease->until);
		return;
	}
	credential->phase = CREDENTIAL_PHASE_FETCHING;
	credential->replaces_rejected = credential->rejected_at != 0;
	if (credential->inputs)
		pfree(credential->inputs);
	credential->inputs = MemoryContextStrdup(credential->context, inputs);
	(void) postrider_breaker_take(&credential->breaker, &passing_policy, (int64) now,
								  &credential->is_probe);
	postrider_credential_table_take(credential, TimestampTzPlusMilliseconds(now, LEASE_MS),
									credential->replaces_rejected);
}

static void
take_lease(Credential *credential, TimestampTz now)
{
	CredentialLease lease;

	postrider_step_begin("leasing a credential");
	postrider_credential_table_lock(credential, &lease);
	decide(credential, &lease, now);
	postrider_step_commit();
}

/* Something that it needs is not to be had; that is no failure of its own server. */
static void
fail_for_needs(Credential *credential, const char *problem, TimestampTz retry_at,
			   TimestampTz now)
{
	if (retry_at <= now)
		retry_at = TimestampTzPlusMilliseconds(now, RETRY_NEEDS_MS);
	postrider_credential_set_problem(credential,
									 psprintf("%s %s cannot be asked: %s",
											  credential->spec->kind->noun,
											  credential->spec->server, problem),
									 retry_at);
	if (credential->inputs)
		pfree(credential->inputs);
	credential->inputs = NULL;
	rest(credential);
}

static void
give_lease_back(const Credential *credential)
{
	postrider_step_begin("giving a credential back");
	postrider_credential_table_give_back(credential);
	postrider_credentials_changed_at_commit();
	postrider_step_commit();
}

/* Makes the request anew, now that the lease is ours, and sends it. */
static void
send_request(Credential *credential, CURLM *multi, TimestampTz now)
{
	CredentialRequest request;
	CredentialValue old;
	const char *problem;
	TimestampTz retry_at;
	SideRequest *side;
	sigset_t	old_mask;
	CredentialState state = postrider_credential_request(credential, now, &request, &old,
														 &problem, &retry_at);

	side = state == CREDENTIAL_READY ?
		postrider_side_request_make(&request, credential, &problem) : NULL;
	if (side == NULL)
	{
		if (state == CREDENTIAL_WAITING)
			rest(credential);
		else
			fail_for_needs(credential, problem, retry_at, now);
		give_lease_back(credential);
		return;
	}
	credential->sent_at = now;
	sigprocmask(SIG_SETMASK, &BlockSig, &old_mask);
	postrider_side_request_start(side, multi);
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
}

/*
 * Begins to fetch one.  Its request is made once before anything is locked, to see
 * whether all that it needs is there.
 */
static void
begin(Credential *credential, CURLM *multi, TimestampTz now, void (*refresh) (void))
{
	CredentialRequest request;
	CredentialValue old;
	const char *problem;
	TimestampTz retry_at;

	switch (postrider_credential_request(credential, now, &request, &old, &problem, &retry_at))
	{
		case CREDENTIAL_READY:
			break;
		case CREDENTIAL_WAITING:

			/* Whoever waits asks again when that is there. */
			credential->phase = CREDENTIAL_PHASE_RESTING;
			return;
		case CREDENTIAL_FAILED:
			fail_for_needs(credential, problem, retry_at, now);
			return;
	}
	take_lease(credential, now);
	if (credential->phase != CREDENTIAL_PHASE_FETCHING)
		return;
	if (refresh != NULL)
		refresh();
	send_request(credential, multi, now);
}

static void
begin_all(CURLM *multi, TimestampTz now, void (*refresh) (void))
{
	while (postrider_credentials_wanted())
	{
		List	   *all = postrider_credentials_all();
		ListCell   *cell;

		foreach(cell, all)
			if (((Credential *) lfirst(cell))->phase == CREDENTIAL_PHASE_WANTED)
				break;
		if (cell == NULL)
			return;
		begin(lfirst(cell), multi, now, refresh);
	}
}

typedef struct Announcement
{
	const Datum *values;		/* of the statement emit */
	const char *nulls;
} Announcement;

static void
emit_announcement(void *arg)
{
	const Announcement *announcement = arg;

	postrider_sql_run(&emit, announcement->values, announcement->nulls, 0);
}

/* What people want to hear of it; not to be told must not hurt. */
static void
announce(const Credential *credential, const char *topic, const char *error)
{
	bool		opened = error != NULL;
	Datum		values[] = {
		CStringGetTextDatum(topic),
		CStringGetTextDatum(credential->id),
		CStringGetTextDatum(credential->spec->kind->name),
		CStringGetTextDatum(credential->spec->server),
		TimestampTzGetDatum(credential->retry_at),
		Int32GetDatum(credential->failures),
		opened ? CStringGetTextDatum(error) : (Datum) 0
	};
	char		nulls[] = {' ', ' ', ' ', ' ', opened ? ' ' : 'n', opened ? ' ' : 'n',
	opened ? ' ' : 'n', '\0'};
	Announcement announcement = {values, nulls};

	(void) postrider_step_try("announcing what happens to credentials", emit_announcement,
							  &announcement);
}

/* The value of Retry-After, or 0. */
static TimestampTz
retry_after(const CredentialAnswer *answer)
{
	static const char name[] = "\nretry-after:";
	const char *line = answer->headers;
	int64		until;

	while (line != NULL && (line = strchr(line, '\n')) != NULL)
	{
		if (pg_strncasecmp(line, name, sizeof(name) - 1) == 0)
		{
			const char *value = line + sizeof(name) - 1;

			if (postrider_wait_read(value, (int) strcspn(value, "\r\n"), WAIT_AUTO,
									(int64) answer->now, &until))
				return (TimestampTz) Min(until, answer->now + RETRY_AFTER_MAX_US);
			return 0;
		}
		line++;
	}
	return 0;
}

/* A failure as a sentence that may be shown. */
static char *
describe(const Credential *credential, const char *problem, const SideRequest *side)
{
	char	   *whole = psprintf("%s %s %s", credential->spec->kind->noun,
								 credential->spec->server, problem);
	char	   *error;

	postrider_secret_scrub_string(whole);
	postrider_side_request_scrub(side, whole);
	error = postrider_text_clean(whole, -1);
	if (strlen(error) > ERROR_BYTES)
		error[pg_mbcliplen(error, strlen(error), ERROR_BYTES)] = '\0';
	return error;
}

/* A fetch has failed. */
static void
fail(Credential *credential, const char *error, bool lasting, TimestampTz not_before,
	 TimestampTz now)
{
	double		random = pg_prng_double(&pg_global_prng_state);
	int64		backoff_ms = BACKOFF_MS << Min(credential->failures, 16);
	TimestampTz retry_at;
	int			events;
	LogLine		line;

	credential->failures++;
	events = postrider_breaker_result(&credential->breaker,
									  lasting ? &lasting_policy : &passing_policy, false,
									  credential->is_probe, (int64) credential->sent_at,
									  (int64) now, random);
	retry_at = TimestampTzPlusMilliseconds(now, (int64) (Min(backoff_ms, BACKOFF_MAX_MS) *
														 (0.5 + random / 2)));
	if (credential->breaker.phase == BREAKER_OPEN)
		retry_at = Max(retry_at, (TimestampTz) credential->breaker.open_until_us);
	retry_at = Max(retry_at, not_before);
	postrider_credential_set_problem(credential, error, retry_at);

	postrider_step_begin("storing the failure of a credential");
	postrider_credential_table_fail(credential, error, now);
	postrider_credentials_changed_at_commit();
	postrider_step_commit();
	rest(credential);
	postrider_log_begin(&line, WARNING, "credential_failing");
	postrider_log_text(&line, "server", credential->spec->server);
	postrider_log_text(&line, "error", credential->problem);
	postrider_log_end(&line);
	if (events & BREAKER_OPENED)
		announce(credential, "postrider.credential.opened", credential->problem);
}

typedef struct Brought
{
	Credential *credential;
	const CredentialResult *result;
} Brought;

static void
store(void *arg)
{
	Credential *credential = ((Brought *) arg)->credential;
	const CredentialResult *result = ((Brought *) arg)->result;

	if (result->rotated_value != NULL)
	{
		postrider_step_flush_at_commit();
		postrider_secret_store_rotated(result->rotated_secret, result->rotated_value,
									   strlen(result->rotated_value));
	}
	postrider_credential_table_store(credential, result->value, strlen(result->value));
	postrider_credentials_changed_at_commit();
}

/* A fetch has brought a value; false if it could not be stored. */
static bool
succeed(Credential *credential, const CredentialResult *result, TimestampTz now)
{
	Brought		brought = {credential, result};
	BreakerState breaker = credential->breaker;
	int			events = postrider_breaker_result(&credential->breaker, &passing_policy, true,
												  credential->is_probe,
												  (int64) credential->sent_at, (int64) now, 0);

	credential->fetched_at = now;
	credential->after_rejection = credential->replaces_rejected;
	postrider_credential_set_times(credential, result, pg_prng_double(&pg_global_prng_state));
	if (!postrider_step_try("storing a credential", store, &brought))
	{
		credential->breaker = breaker;
		return false;
	}
	postrider_credential_set_value(credential, result->value, strlen(result->value));
	credential->failures = 0;
	credential->tried_again = false;
	rest(credential);
	if (events & BREAKER_HAS_CLOSED)
		announce(credential, "postrider.credential.closed", NULL);
	return true;
}

static void
wipe(CredentialResult *result)
{
	if (result->value)
		explicit_bzero(result->value, strlen(result->value));
	if (result->rotated_value)
		explicit_bzero(result->rotated_value, strlen(result->rotated_value));
}

/* What the kind makes of the end of its request. */
static void
read_end(const Credential *credential, SideRequest *side, SideEnd *end,
		 CredentialResult *result, CredentialValue *old)
{
	memset(result, 0, sizeof(*result));
	postrider_side_request_read(side, end);
	if (end->problem != NULL)
	{
		result->problem = end->problem;
		return;
	}
	end->answer.old = postrider_credential_old(credential, old);
	credential->spec->kind->read(credential->spec, &end->answer, result);
	if (result->value != NULL && strlen(result->value) > CREDENTIAL_MAX_BYTES)
	{
		result->value = NULL;
		result->problem = psprintf("answered with a value of more than %d kB",
								   CREDENTIAL_MAX_BYTES / 1024);
	}
}

/* A request has ended; false if what it has brought could not be stored. */
static bool
end_request(SideRequest *side, TimestampTz now)
{
	Credential *credential = postrider_side_request_owner(side);
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "postrider credential answer",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	CredentialResult result;
	CredentialValue old;
	SideEnd		end;
	bool		done = true;

	read_end(credential, side, &end, &result, &old);
	if (result.value != NULL)
		done = succeed(credential, &result, now);
	else if (result.try_again && !credential->tried_again)
	{
		credential->tried_again = true;
		credential->phase = CREDENTIAL_PHASE_RESTING;
		give_lease_back(credential);
		news = true;
	}
	else
		fail(credential, describe(credential, result.problem, side), result.lasting,
			 end.problem == NULL ? retry_after(&end.answer) : 0, now);
	wipe(&result);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	return done;
}

static void
end_requests(TimestampTz now)
{
	SideRequest *side;

	while ((stuck == NULL || stuck_until <= now) &&
		   (side = stuck ? stuck : postrider_side_request_next()) != NULL)
	{
		stuck = NULL;
		if (end_request(side, now))
			postrider_side_request_free(side);
		else
		{
			stuck = side;
			stuck_until = TimestampTzPlusMilliseconds(now, RETRY_STORE_MS);
		}
	}
}

bool
postrider_credentials_run(CURLM *multi, TimestampTz now, void (*refresh) (void))
{
	bool		result;

	postrider_credentials_refresh_if_told();
	look_at_waiting(now);
	end_requests(now);
	begin_all(multi, now, refresh);
	result = news;
	news = false;
	return result;
}

void
postrider_credentials_finish(TimestampTz now)
{
	end_requests(now);
}

TimestampTz
postrider_credentials_due(void)
{
	TimestampTz due = look_at;

	if (stuck != NULL)
		due = Min(due, stuck_until);
	if (postrider_credentials_wanted())
		due = DT_NOBEGIN;
	return due;
}

bool
postrider_credentials_look_at_secrets(TimestampTz now)
{
	List	   *all = postrider_credentials_all();
	ListCell   *cell;
	bool		any = false;

	foreach(cell, all)
	{
		Credential *credential = lfirst(cell);

		if (credential->value != NULL)
			postrider_secret_scrub_add(credential->value, credential->length);
		if (credential->problem == NULL || credential->retry_at <= now)
			continue;
		if (credential->inputs != NULL &&
			strcmp(credential->inputs, postrider_credential_inputs(credential, now)) == 0)
			continue;
		credential->retry_at = now;
		any = true;
	}
	postrider_credentials_purge(now);
	return any;
}
