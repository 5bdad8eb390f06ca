/*-------------------------------------------------------------------------
 *
 * coalesce.c
 *	  Which message is the newest of its key among those that wait.
 *
 * "Newest" goes by id, not by the order in which they are offered: a message
 * that failed and comes back is superseded by what came meanwhile.  What is
 * in flight does not wait, so it is never superseded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "policy/coalesce.h"
#include "utils/memutils.h"

typedef struct CoalesceEntry
{
	KeyBytes	key;
	uint32		hash;
	char		status;			/* of simplehash */
	CoalesceWaiting waiting;
} CoalesceEntry;

#define SH_PREFIX coalesce
#define SH_ELEMENT_TYPE CoalesceEntry
#define SH_KEY_TYPE KeyBytes
#define SH_KEY key
#define SH_HASH_KEY(table, key) postrider_key_hash(key)
#define SH_EQUAL(table, a, b) postrider_key_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) ((entry)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE

/* PostgreSQL 15 has a variable in there that shadows another. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "lib/simplehash.h"
#pragma GCC diagnostic pop

struct Coalescer
{
	MemoryContext context;		/* holds all of it */
	coalesce_hash *table;
	int			max_keys;
	Size		max_bytes;
	Size		bytes;			/* of all keys */
};

Coalescer *
postrider_coalescer_create(MemoryContext parent, int max_keys, Size max_bytes)
{
	MemoryContext context = AllocSetContextCreate(parent, "postrider coalescer",
												  ALLOCSET_SMALL_SIZES);
	Coalescer  *coalescer = MemoryContextAllocZero(context, sizeof(Coalescer));

	coalescer->context = context;
	coalescer->table = coalesce_create(context, 16, NULL);
	coalescer->max_keys = max_keys;
	coalescer->max_bytes = max_bytes;
	return coalescer;
}

void
postrider_coalescer_free(Coalescer *coalescer)
{
	MemoryContextDelete(coalescer->context);
}

static void
remember(Coalescer *coalescer, KeyBytes key, const pg_uuid_t *id, void *item)
{
	char	   *copy = MemoryContextAlloc(coalescer->context, key.length + 1);
	CoalesceEntry *entry;
	bool		found;

	memcpy(copy, key.data, key.length);
	key.data = copy;
	entry = coalesce_insert(coalescer->table, key, &found);
	Assert(!found);
	entry->waiting.id = *id;
	entry->waiting.item = item;
	coalescer->bytes += key.length;
}

CoalesceAnswer
postrider_coalescer_offer(Coalescer *coalescer, KeyBytes key,
						  const pg_uuid_t *id, void *item,
						  CoalesceWaiting *superseded)
{
	CoalesceEntry *entry = coalesce_lookup(coalescer->table, key);

	if (entry == NULL)
	{
		if (coalescer->table->members >= (uint32) coalescer->max_keys ||
			key.length > coalescer->max_bytes - coalescer->bytes)
			return COALESCE_FULL;
		remember(coalescer, key, id, item);
		return COALESCE_WAITS;
	}
	if (memcmp(id, &entry->waiting.id, sizeof(pg_uuid_t)) < 0)
		return COALESCE_SUPERSEDED;
	*superseded = entry->waiting;
	entry->waiting.id = *id;
	entry->waiting.item = item;
	return COALESCE_REPLACES;
}

bool
postrider_coalescer_take(Coalescer *coalescer, KeyBytes key,
						 const pg_uuid_t *id)
{
	CoalesceEntry *entry = coalesce_lookup(coalescer->table, key);
	char	   *copy;

	if (entry == NULL || memcmp(id, &entry->waiting.id, sizeof(pg_uuid_t)) != 0)
		return false;
	copy = unconstify(char *, entry->key.data);
	coalescer->bytes -= entry->key.length;
	coalesce_delete_item(coalescer->table, entry);
	pfree(copy);
	return true;
}

int
postrider_coalescer_count(const Coalescer *coalescer)
{
	return (int) coalescer->table->members;
}
