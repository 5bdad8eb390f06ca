/*-------------------------------------------------------------------------
 *
 * mapping_cache.c
 *	  Compiled mappings of this process, by the bytes of their definitions.
 *
 * A definition that is the same byte for byte compiles to the same, so that
 * nothing ever makes an entry stale.  There are a few entries, each in a memory
 * context of its own; the one that was not used for longest makes room.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "content/mapping.h"
#include "util/compat.h"
#include "utils/memutils.h"

#define MAX_ENTRIES 32

typedef struct Entry
{
	MemoryContext context;
	Jsonb	   *definition;		/* NULL: free */
	uint32		hash;
	uint64		used;			/* when, counted in look-ups */
	Mapping    *mapping;
} Entry;

static Entry entries[MAX_ENTRIES];
static uint64 lookups = 0;
static Entry *latest = &entries[0];

static bool
is_same(const Entry *entry, const Jsonb *definition)
{
	return entry->definition != NULL &&
		VARSIZE(entry->definition) == VARSIZE(definition) &&
		memcmp(entry->definition, definition, VARSIZE(definition)) == 0;
}

static Entry *
find_entry(const Jsonb *definition, uint32 hash)
{
	for (int i = 0; i < MAX_ENTRIES; i++)
	{
		if (entries[i].hash == hash && is_same(&entries[i], definition))
			return &entries[i];
	}
	return NULL;
}

static Entry *
make_room(void)
{
	Entry	   *oldest = &entries[0];

	for (int i = 0; i < MAX_ENTRIES && oldest->definition != NULL; i++)
	{
		if (entries[i].definition == NULL || entries[i].used < oldest->used)
			oldest = &entries[i];
	}
	if (oldest->definition != NULL)
	{
		oldest->definition = NULL;
		MemoryContextDelete(oldest->context);
	}
	return oldest;
}

static void
copy_problems(List *problems, List **copies)
{
	ListCell   *cell;

	*copies = NIL;
	foreach(cell, problems)
	{
		const MappingProblem *problem = lfirst(cell);
		MappingProblem *copy = palloc(sizeof(MappingProblem));

		copy->position = pstrdup(problem->position);
		copy->source = problem->source ? pstrdup(problem->source) : NULL;
		copy->message = pstrdup(problem->message);
		*copies = lappend(*copies, copy);
	}
}

/*
 * Compiled below the caller's context first, so that an error leaves nothing
 * behind; what compiled is handed over to the life of the process.
 */
static Entry *
add_entry(Jsonb *definition, uint32 hash, List **problems)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller,
												  "postrider mapping definition",
												  ALLOCSET_SMALL_SIZES);
	Entry	   *entry;
	Jsonb	   *copy;
	List	   *found = NIL;
	Mapping    *mapping;

	MemoryContextSwitchTo(context);
	copy = palloc(VARSIZE(definition));
	memcpy(copy, definition, VARSIZE(definition));
	mapping = postrider_mapping_compile(copy, &found);
	MemoryContextSwitchTo(caller);
	if (mapping == NULL)
	{
		copy_problems(found, problems);
		MemoryContextDelete(context);
		return NULL;
	}
	entry = make_room();
	MemoryContextSetParent(context, CacheMemoryContext ? CacheMemoryContext :
						   TopMemoryContext);
	entry->context = context;
	entry->hash = hash;
	entry->mapping = mapping;
	entry->definition = copy;
	return entry;
}

const Mapping *
postrider_mapping_cached(Jsonb *definition, List **problems)
{
	Entry	   *entry = latest;

	if (!is_same(entry, definition))
	{
		uint32		hash = hash_bytes((const unsigned char *) definition,
									  VARSIZE(definition));

		entry = find_entry(definition, hash);
		if (entry == NULL)
			entry = add_entry(definition, hash, problems);
		if (entry == NULL)
			return NULL;
		latest = entry;
	}
	entry->used = ++lookups;
	return entry->mapping;
}
