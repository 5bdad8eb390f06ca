/*-------------------------------------------------------------------------
 *
 * secret_set.c
 *	  The secrets in a worker's memory; see secret_set.h.
 *
 * All of a set is in one memory context.  Before that is deleted, everything
 * secret in it is overwritten: the values and keys, by a list of what was put
 * there, and the forms that the scrubber has made of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "security/scrub.h"
#include "security/secret.h"
#include "security/secret_set.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* One secret. */
typedef struct SecretEntry
{
	const char *name;			/* hash key */
	TimestampTz expires_at;		/* of the newest version; DT_NOEND */
	const Jsonb *source;		/* or NULL */
	const char *problem;		/* why the newest version cannot be used; or NULL */
	int			count;
	SecretVersion versions[SECRET_MAX_VERSIONS];	/* newest first */
	TimestampTz retires_at[SECRET_MAX_VERSIONS];	/* likewise; not increasing */
} SecretEntry;

/* All of them. */
typedef struct SecretSet
{
	MemoryContext context;
	HTAB	   *entries;		/* by a pointer to the name */
	SecretEntry *last;			/* that was added */
	Scrubber   *scrubber;
} SecretSet;

SecretSourceCallback postrider_secret_source = NULL;
SecretLoadedCallback postrider_secret_loaded = NULL;

static SecretSet *current = NULL;
static SecretSet *loading = NULL;

static uint32
hash_name(const void *key, Size size)
{
	const char *name = *(const char *const *) key;

	return hash_bytes((const unsigned char *) name, (int) strlen(name));
}

static int
compare_names(const void *a, const void *b, Size size)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static SecretSet *
make_set(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "postrider secrets",
												  ALLOCSET_DEFAULT_SIZES);
	SecretSet  *set = MemoryContextAllocZero(context, sizeof(SecretSet));
	HASHCTL		control = {
		.keysize = sizeof(const char *),
		.entrysize = sizeof(SecretEntry),
		.hash = hash_name,
		.match = compare_names,
		.hcxt = context
	};

	set->context = context;
	set->entries = hash_create("postrider secrets", 64, &control,
							   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	set->scrubber = postrider_scrubber_make(context);
	return set;
}

static void
wipe_set(SecretSet *set)
{
	HASH_SEQ_STATUS scan;
	SecretEntry *entry;

	if (set == NULL)
		return;
	hash_seq_init(&scan, set->entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		for (int i = 0; i < entry->count; i++)
		{
			SecretVersion *version = &entry->versions[i];

			explicit_bzero(unconstify(char *, version->value), version->length);
			if (version->signing_key)
				explicit_bzero(unconstify(unsigned char *, version->signing_key),
							   version->signing_key_length);
		}
	}
	postrider_scrubber_wipe(set->scrubber);
	MemoryContextDelete(set->context);
}

void
postrider_secret_set_begin(void)
{
	SecretSet  *unfinished = loading;

	loading = NULL;
	wipe_set(unfinished);
	loading = make_set();
}

void
postrider_secret_set_add(const char *name, TimestampTz expires_at, const Jsonb *source)
{
	const char *key = MemoryContextStrdup(loading->context, name);
	bool		found;
	SecretEntry *entry = hash_search(loading->entries, &key, HASH_ENTER, &found);

	memset(entry, 0, sizeof(SecretEntry));
	entry->name = key;
	entry->expires_at = expires_at;
	if (source != NULL)
	{
		Jsonb	   *copy = MemoryContextAlloc(loading->context, VARSIZE(source));

		memcpy(copy, source, VARSIZE(source));
		entry->source = copy;
	}
	loading->last = entry;
}

void
postrider_secret_version_complete(SecretVersion *version, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	char	   *reason = NULL;

	version->signing_key_length = 0;
	version->signing_key = postrider_secret_signing_key(version->value,
														&version->signing_key_length,
														&reason);
	MemoryContextSwitchTo(old);
}

void
postrider_secret_set_add_version(int32 version, TimestampTz retires_at,
								 const char *value, Size length)
{
	SecretEntry *entry = loading->last;
	SecretVersion *added;
	char	   *copy;

	if (entry->count == SECRET_MAX_VERSIONS)
		return;
	added = &entry->versions[entry->count];
	copy = MemoryContextAlloc(loading->context, length + 1);
	memcpy(copy, value, length);
	copy[length] = '\0';
	added->version = version;
	added->value = copy;
	added->length = length;
	entry->retires_at[entry->count] = retires_at;
	entry->count++;
	postrider_secret_version_complete(added, loading->context);
	postrider_scrubber_add(loading->scrubber, copy, length);
}

void
postrider_secret_set_add_problem(const char *problem)
{
	if (loading->last->count == 0 && loading->last->problem == NULL)
		loading->last->problem = MemoryContextStrdup(loading->context, problem);
}

void
postrider_secret_set_finish(void)
{
	SecretSet  *old = current;

	current = loading;
	loading = NULL;
	wipe_set(old);
	if (postrider_secret_loaded)
		postrider_secret_loaded();
}

static SecretState
fail(const char **problem, const char *what)
{
	*problem = what;
	return SECRET_FAILED;
}

/* The newest come first, and retire last. */
static int
count_in_force(const SecretEntry *entry, TimestampTz now)
{
	int			count = 0;

	while (count < entry->count && now < entry->retires_at[count])
		count++;
	return count;
}

SecretState
postrider_secret_find(const char *name, TimestampTz now, const SecretVersion **versions,
					  int *count, const char **problem)
{
	SecretEntry *entry = current ? hash_search(current->entries, &name, HASH_FIND, NULL) : NULL;

	*versions = NULL;
	*count = 0;
	*problem = NULL;
	if (entry == NULL)
		return fail(problem, psprintf("secret \"%s\" does not exist", name));
	if (entry->expires_at <= now)
		return fail(problem, psprintf("secret \"%s\" has expired at %s", name,
									  timestamptz_to_str(entry->expires_at)));
	if (entry->source != NULL)
	{
		if (postrider_secret_source != NULL)
			return postrider_secret_source(name, entry->source, now, versions, count, problem);
		return fail(problem, psprintf("secret \"%s\" has a source, which cannot be asked here", name));
	}
	if (entry->problem != NULL)
		return fail(problem, entry->problem);
	*versions = entry->versions;
	*count = count_in_force(entry, now);
	if (*count == 0)
		return fail(problem, psprintf("secret \"%s\" has no value", name));
	return SECRET_READY;
}

TimestampTz
postrider_secret_next_end(TimestampTz now)
{
	TimestampTz next = DT_NOEND;
	HASH_SEQ_STATUS scan;
	SecretEntry *entry;

	if (current == NULL)
		return next;
	hash_seq_init(&scan, current->entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->expires_at > now)
			next = Min(next, entry->expires_at);
		for (int i = 0; i < entry->count; i++)
			if (entry->retires_at[i] > now)
				next = Min(next, entry->retires_at[i]);
	}
	return next;
}

void
postrider_secret_scrub_add(const char *value, Size length)
{
	if (current == NULL)
	{
		postrider_secret_set_begin();
		current = loading;
		loading = NULL;
	}
	postrider_scrubber_add(current->scrubber, value, length);
}

Size
postrider_secret_scrub(char *string, Size length)
{
	return current ? postrider_scrub(current->scrubber, string, length) : length;
}

void
postrider_secret_scrub_string(char *string)
{
	if (string != NULL)
		string[postrider_secret_scrub(string, strlen(string))] = '\0';
}
