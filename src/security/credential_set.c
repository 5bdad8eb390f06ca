/*-------------------------------------------------------------------------
 *
 * credential_set.c
 *	  The credentials in a worker's memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/credential_set.h"
#include "security/secret_set.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A value is renewed when this part of its life is over, but not earlier than ... */
#define RENEW_SHARE 0.8
#define RENEW_MAX_US (5 * 60 * USECS_PER_SEC)

/* So long before its end it is not used any more, or this part of its life. */
#define MARGIN_SHARE 0.02
#define MARGIN_MAX_US (5 * USECS_PER_SEC)

/* What a kind that cannot be read locally is asked for again then. */
#define LOCAL_RETRY_MS 5000

/* A value that is doubted is fetched again when it has been there for so long. */
#define DOUBT_AGAIN_US (5 * USECS_PER_SEC)

/* Nobody has asked for so long. */
#define FORGET_AFTER_MS (6 * 60 * 60 * 1000)

static HTAB *credentials = NULL;
static int	wanted_count = 0;
static uint64 next_number = 1;

/* The one whose request is being made: what it asks for is what it needs. */
static Credential *resolving = NULL;

static HTAB *
table(void)
{
	HASHCTL		control = {
		.keysize = CREDENTIAL_ID_SIZE,
		.entrysize = sizeof(Credential)
	};

	if (credentials == NULL)
	{
		control.hcxt = TopMemoryContext;
		credentials = hash_create("postrider credentials", 32, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	return credentials;
}

/* Compiles the description once more, so that it lives as long as the credential. */
static CredentialSpec *
copy_spec(const CredentialSpec *spec, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	const char *problem;
	const char *hint;
	CredentialSpec *copy = postrider_credential_compile(spec->kind->name, spec->document, NULL,
														&problem, &hint);

	MemoryContextSwitchTo(old);
	if (copy == NULL)
		elog(ERROR, "description of a credential cannot be compiled again: %s", problem);
	return copy;
}

Credential *
postrider_credential_of(const CredentialSpec *spec)
{
	bool		found;
	Credential *credential = hash_search(table(), spec->id, HASH_FIND, NULL);
	MemoryContext context;
	CredentialSpec *copy;

	if (credential != NULL)
		return credential;
	context = AllocSetContextCreate(TopMemoryContext, "postrider credential",
									ALLOCSET_SMALL_SIZES);
	copy = copy_spec(spec, context);
	credential = hash_search(table(), spec->id, HASH_ENTER, &found);
	memset((char *) credential + sizeof(credential->id), 0,
		   sizeof(Credential) - sizeof(credential->id));
	credential->context = context;
	credential->spec = copy;
	return credential;
}

List *
postrider_credentials_all(void)
{
	List	   *result = NIL;
	HASH_SEQ_STATUS scan;
	Credential *credential;

	hash_seq_init(&scan, table());
	while ((credential = hash_seq_search(&scan)) != NULL)
		result = lappend(result, credential);
	return result;
}

static void
want(Credential *credential)
{
	if (credential->phase != CREDENTIAL_PHASE_RESTING)
		return;
	credential->phase = CREDENTIAL_PHASE_WANTED;
	wanted_count++;
}

bool
postrider_credentials_wanted(void)
{
	List	   *all;
	ListCell   *cell;
	int			count = 0;

	if (wanted_count == 0)
		return false;

	/* The count says that it is worth to look; who takes one need not count. */
	all = postrider_credentials_all();
	foreach(cell, all)
		count += ((Credential *) lfirst(cell))->phase == CREDENTIAL_PHASE_WANTED;
	list_free(all);
	wanted_count = count;
	return count > 0;
}

void
postrider_credential_forget_value(Credential *credential)
{
	if (credential->value == NULL)
		return;
	explicit_bzero(credential->value, credential->length);
	pfree(credential->value);
	credential->value = NULL;
}

void
postrider_credential_set_problem(Credential *credential, const char *problem,
								 TimestampTz retry_at)
{
	if (credential->problem)
		pfree(credential->problem);
	credential->problem = problem ? MemoryContextStrdup(credential->context, problem) : NULL;
	credential->retry_at = problem ? retry_at : 0;
}

void
postrider_credential_set_value(Credential *credential, const char *value, Size length)
{
	char	   *copy = MemoryContextAlloc(credential->context, length + 1);

	memcpy(copy, value, length);
	copy[length] = '\0';
	postrider_credential_forget_value(credential);
	credential->value = copy;
	credential->length = length;
	credential->number = next_number++;
	credential->taken_at = GetCurrentTimestamp();
	credential->rejected_at = 0;
	postrider_credential_set_problem(credential, NULL, 0);
	postrider_secret_scrub_add(copy, length);
}

void
postrider_credential_set_times(Credential *credential, const CredentialResult *result,
							   double random)
{
	TimestampTz fetched_at = credential->fetched_at;
	int64		life;
	int64		ahead;

	credential->expires_at = result->expires_at != 0 ? result->expires_at :
		TimestampTzPlusMilliseconds(fetched_at, CREDENTIAL_DEFAULT_LIFE_MS);
	credential->renew_at = result->renew_at != 0 ? result->renew_at : DT_NOEND;
	credential->good_until = credential->expires_at;
	if (credential->expires_at == DT_NOEND)
		return;
	life = credential->expires_at - fetched_at;
	ahead = Min((int64) (life * (1 - RENEW_SHARE)), RENEW_MAX_US);
	if (result->renew_at == 0)
		credential->renew_at = credential->expires_at - (int64) (ahead * (0.75 + random / 4));
	credential->good_until -= Min((int64) (life * MARGIN_SHARE), MARGIN_MAX_US);
}

CredentialValue *
postrider_credential_old(const Credential *credential, CredentialValue *old)
{
	if (credential->value == NULL)
		return NULL;
	old->value = credential->value;
	old->length = credential->length;
	old->number = credential->number;
	old->fetched_at = credential->fetched_at;
	old->expires_at = credential->expires_at;
	return old;
}

/* Of a kind that is read here and now. */
static void
read_locally(Credential *credential, TimestampTz now)
{
	CredentialResult result = {0};
	CredentialValue old;

	credential->spec->kind->read_locally(credential->spec, now,
										 postrider_credential_old(credential, &old), &result);
	if (result.value == NULL)
	{
		postrider_credential_set_problem(credential,
										 psprintf("%s %s", credential->spec->server,
												  result.problem),
										 TimestampTzPlusMilliseconds(now, LOCAL_RETRY_MS));
		return;
	}
	credential->fetched_at = now;
	postrider_credential_set_times(credential, &result, 0.5);
	if (credential->value == NULL || strcmp(credential->value, result.value) != 0)
		postrider_credential_set_value(credential, result.value, strlen(result.value));
	else
		postrider_credential_set_problem(credential, NULL, 0);
	explicit_bzero(result.value, strlen(result.value));
}

/* Does one of them need itself, by way of others? */
static bool
is_circle(const Credential *start)
{
	const Credential *next = start->waits_for;

	/* A chain is at most as long as there are credentials. */
	for (long i = hash_get_num_entries(table()); next && i >= 0; i--)
	{
		if (next == start)
			return true;
		next = next->waits_for;
	}
	return false;
}

CredentialState
postrider_credential_get(const CredentialSpec *spec, TimestampTz now, CredentialValue *value,
						 const char **problem, TimestampTz *retry_at)
{
	Credential *credential = postrider_credential_of(spec);
	bool		may_try;

	credential->asked_at = now;
	may_try = credential->problem == NULL || credential->retry_at <= now;
	if (spec->kind->read_locally != NULL && may_try &&
		(credential->value == NULL || credential->renew_at <= now))
		read_locally(credential, now);
	if (credential->value != NULL && credential->good_until > now)
	{
		if (credential->renew_at <= now && may_try && spec->kind->read_locally == NULL)
			want(credential);
		(void) postrider_credential_old(credential, value);
		return CREDENTIAL_READY;
	}
	if (credential->problem != NULL && credential->retry_at > now)
	{
		*problem = pstrdup(credential->problem);
		*retry_at = credential->retry_at;
		return CREDENTIAL_FAILED;
	}
	if (resolving != NULL)
		resolving->waits_for = credential;
	if (resolving != NULL && is_circle(resolving))
	{
		*problem = psprintf("%s needs itself, by way of secrets that are fetched with it",
							credential->spec->server);
		*retry_at = TimestampTzPlusMilliseconds(now, LOCAL_RETRY_MS);
		return CREDENTIAL_FAILED;
	}
	if (spec->kind->read_locally == NULL)
		want(credential);
	return CREDENTIAL_WAITING;
}

CredentialState
postrider_credential_request(Credential *credential, TimestampTz now,
							 CredentialRequest *request, CredentialValue *old,
							 const char **problem, TimestampTz *retry_at)
{
	Credential *outer = resolving;
	CredentialState state;

	memset(request, 0, sizeof(*request));
	request->old = postrider_credential_old(credential, old);
	request->ca_certificate = credential->spec->ca_certificate;
	credential->waits_for = NULL;
	*problem = NULL;
	*retry_at = 0;
	resolving = credential;
	state = credential->spec->kind->request(credential->spec, now, request, problem, retry_at);
	resolving = outer;
	if (state != CREDENTIAL_WAITING)
		credential->waits_for = NULL;
	return state;
}

CredentialRejection
postrider_credential_rejected(const CredentialSpec *spec, TimestampTz sent_at, bool doubted)
{
	Credential *credential = postrider_credential_of(spec);

	if (credential->value == NULL || sent_at < credential->taken_at)
		return CREDENTIAL_REPLACED;
	if (doubted && credential->after_rejection)
		return CREDENTIAL_REJECTED_AGAIN;
	credential->rejected_at = credential->fetched_at;
	postrider_credential_forget_value(credential);
	credential->good_until = 0;
	return CREDENTIAL_THROWN_AWAY;
}

void
postrider_credential_doubted(const CredentialSpec *spec, TimestampTz sent_at)
{
	Credential *credential = postrider_credential_of(spec);

	if (credential->value == NULL || sent_at < credential->taken_at + DOUBT_AGAIN_US)
		return;
	credential->renew_at = Min(credential->renew_at, sent_at);
	if (spec->kind->read_locally == NULL &&
		(credential->problem == NULL || credential->retry_at <= sent_at))
		want(credential);
}

char *
postrider_credential_inputs(const Credential *credential, TimestampTz now)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	foreach(cell, credential->spec->secrets)
	{
		const char *name = lfirst(cell);
		const SecretVersion *versions;
		const char *problem;
		int			count;

		appendStringInfo(&out, "%s%s:", out.len > 0 ? "," : "", name);
		if (postrider_secret_find(name, now, &versions, &count, &problem) == SECRET_READY)
			appendStringInfo(&out, "%d", versions[0].version);
	}
	return out.data;
}

void
postrider_credentials_purge(TimestampTz now)
{
	HASH_SEQ_STATUS scan;
	Credential *credential;

	/* Nothing may point to one that goes; whoever still needs one says so again. */
	hash_seq_init(&scan, table());
	while ((credential = hash_seq_search(&scan)) != NULL)
		credential->waits_for = NULL;
	hash_seq_init(&scan, table());
	while ((credential = hash_seq_search(&scan)) != NULL)
	{
		if (credential->phase != CREDENTIAL_PHASE_RESTING ||
			!TimestampDifferenceExceeds(credential->asked_at, now, FORGET_AFTER_MS))
			continue;
		postrider_credential_forget_value(credential);
		MemoryContextDelete(credential->context);
		(void) hash_search(table(), credential->id, HASH_REMOVE, NULL);
	}
}

static void
shift(TimestampTz *time, int64 microseconds)
{
	if (*time != 0 && !TIMESTAMP_NOT_FINITE(*time))
		*time += microseconds;
}

void
postrider_credentials_shift(int64 microseconds)
{
	HASH_SEQ_STATUS scan;
	Credential *credential;

	hash_seq_init(&scan, table());
	while ((credential = hash_seq_search(&scan)) != NULL)
	{
		shift(&credential->look_at, microseconds);
		shift(&credential->asked_at, microseconds);
		shift(&credential->renew_at, microseconds);
		shift(&credential->good_until, microseconds);
		shift(&credential->expires_at, microseconds);
		shift(&credential->retry_at, microseconds);
	}
}
