/*-------------------------------------------------------------------------
 *
 * store_secret.c
 *	  Secrets that have a source: from credentials of stores to versions.
 *
 * For each of them there is an entry with its compiled source and the versions in its
 * credential's value, which are taken apart anew when that value changes.  An entry that
 * nobody has asked for between two loads of the configuration is dropped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/secret_set.h"
#include "security/secret_source.h"
#include "security/store.h"
#include "security/store_secret.h"
#include "util/compat.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define NAME_SIZE 201			/* POSTRIDER_NAME_MAX and NUL */

typedef struct SourceEntry
{
	char		name[NAME_SIZE];	/* hash key */
	MemoryContext context;		/* of source, spec and problem */
	Jsonb	   *source;
	CredentialSpec *spec;		/* NULL: it cannot be used, for ... */
	const char *problem;
	TimestampTz retry_at;		/* of the last failure; 0: not known */
	bool		was_asked;		/* since the last load */

	/* the value of the credential with this number */
	uint64		number;
	MemoryContext value_context;	/* of versions; NULL: none yet */
	int			count;
	SecretVersion versions[SECRET_MAX_VERSIONS];
	TimestampTz retires_at[SECRET_MAX_VERSIONS];
} SourceEntry;

static HTAB *entries = NULL;
static SecretLoadedCallback previous_loaded = NULL;

CredentialSpec *
postrider_store_spec(const Jsonb *source, List **urls, const char **problem,
					 const char **hint)
{
	SecretSource *compiled = postrider_secret_source_compile(NULL, source, problem, hint);

	if (compiled == NULL)
		return NULL;
	return postrider_credential_compile(psprintf("store_%s", compiled->kind->name),
										unconstify(Jsonb *, source), urls, problem, hint);
}

static void
wipe_versions(SourceEntry *entry)
{
	for (int i = 0; i < entry->count; i++)
	{
		SecretVersion *version = &entry->versions[i];

		explicit_bzero(unconstify(char *, version->value), version->length);
		if (version->signing_key != NULL)
			explicit_bzero(unconstify(unsigned char *, version->signing_key),
						   version->signing_key_length);
	}
	entry->count = 0;
	entry->number = 0;
	if (entry->value_context != NULL)
		MemoryContextDelete(entry->value_context);
	entry->value_context = NULL;
}

static void
empty_entry(SourceEntry *entry)
{
	wipe_versions(entry);
	if (entry->context != NULL)
		MemoryContextDelete(entry->context);
	entry->context = NULL;
	entry->source = NULL;
	entry->spec = NULL;
}

static SourceEntry *
find_entry(const char *name, HASHACTION action)
{
	bool		found;
	SourceEntry *entry;

	if (entries == NULL)
	{
		HASHCTL		control = {
			.keysize = NAME_SIZE,
			.entrysize = sizeof(SourceEntry),
			.hcxt = TopMemoryContext
		};

		if (action != HASH_ENTER)
			return NULL;
		entries = hash_create("postrider secrets with a source", 16, &control,
							  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	entry = hash_search(entries, name, action, &found);
	if (action == HASH_ENTER && !found)
		memset((char *) entry + NAME_SIZE, 0, sizeof(SourceEntry) - NAME_SIZE);
	return entry;
}

/* The source of the entry is this one from now on. */
static void
set_source(SourceEntry *entry, const Jsonb *source)
{
	MemoryContext old;
	const char *hint;

	if (entry->source != NULL && VARSIZE(entry->source) == VARSIZE(source) &&
		memcmp(entry->source, source, VARSIZE(source)) == 0)
		return;
	empty_entry(entry);
	entry->context = AllocSetContextCreate(TopMemoryContext, "postrider source of a secret",
										   ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(entry->context);
	entry->source = palloc(VARSIZE(source));
	memcpy(entry->source, source, VARSIZE(source));
	entry->spec = postrider_store_spec(entry->source, NULL, &entry->problem, &hint);
	MemoryContextSwitchTo(old);
}

/* Takes the value of the credential apart, if that was not done before. */
static void
take_value(SourceEntry *entry, const CredentialValue *value)
{
	MemoryContext old;

	if (entry->number == value->number && entry->count > 0)
		return;
	wipe_versions(entry);
	entry->value_context = AllocSetContextCreate(TopMemoryContext, "postrider value of a secret",
												 ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(entry->value_context);
	entry->count = postrider_store_versions(value->value, entry->versions, entry->retires_at);
	for (int i = 0; i < entry->count; i++)
	{
		postrider_secret_version_complete(&entry->versions[i], entry->value_context);
		postrider_secret_scrub_add(entry->versions[i].value, entry->versions[i].length);
	}
	entry->number = value->number;
	MemoryContextSwitchTo(old);
}

static SecretState
fail(const char **problem, const char *name, const char *why)
{
	*problem = psprintf("secret \"%s\" cannot be fetched: %s", name, why);
	return SECRET_FAILED;
}

static SecretState
find_secret(const char *name, const Jsonb *source, TimestampTz now,
			const SecretVersion **versions, int *count, const char **problem)
{
	SourceEntry *entry = find_entry(name, HASH_ENTER);
	CredentialValue value;
	CredentialState state;
	const char *why;

	entry->was_asked = true;
	set_source(entry, source);
	if (entry->spec == NULL)
		return fail(problem, name, psprintf("its source %s", entry->problem));
	entry->retry_at = 0;
	state = postrider_credential_get(entry->spec, now, &value, &why, &entry->retry_at);
	if (state == CREDENTIAL_WAITING)
		return SECRET_WAITING;
	if (state == CREDENTIAL_FAILED)
		return fail(problem, name, why);
	take_value(entry, &value);
	*versions = entry->versions;
	*count = 0;
	while (*count < entry->count && entry->retires_at[*count] > now)
		(*count)++;
	return *count > 0 ? SECRET_READY : fail(problem, name, "what was kept of it cannot be read");
}

/* A new configuration: forget what is not used, make known again what is. */
static void
configuration_loaded(void)
{
	HASH_SEQ_STATUS scan;
	SourceEntry *entry;

	if (previous_loaded != NULL)
		previous_loaded();
	if (entries == NULL)
		return;
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (!entry->was_asked)
		{
			empty_entry(entry);
			(void) hash_search(entries, entry->name, HASH_REMOVE, NULL);
			continue;
		}
		entry->was_asked = false;
		for (int i = 0; i < entry->count; i++)
			postrider_secret_scrub_add(entry->versions[i].value, entry->versions[i].length);
	}
}

void
postrider_store_secret_doubted(const char *name, TimestampTz sent_at)
{
	SourceEntry *entry = find_entry(name, HASH_FIND);

	if (entry != NULL && entry->spec != NULL)
		postrider_credential_doubted(entry->spec, sent_at);
}

TimestampTz
postrider_store_secret_retry_at(const char *name)
{
	SourceEntry *entry = find_entry(name, HASH_FIND);

	return entry != NULL ? entry->retry_at : 0;
}

void
postrider_store_secret_init(void)
{
	postrider_secret_source = find_secret;
	previous_loaded = postrider_secret_loaded;
	postrider_secret_loaded = configuration_loaded;
}
