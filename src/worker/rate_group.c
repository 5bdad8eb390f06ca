/*-------------------------------------------------------------------------
 *
 * rate_group.c
 *	  Rates in shared memory; see rate_group.h.
 *
 * They lie there because endpoints of one group or tenant may belong to several
 * workers, and messages come from all sessions.  The slots are a hash table with
 * open addressing: a slot never becomes free again, so no chain is ever broken, but
 * where all are taken one that nobody has touched for a day may get another name.
 * Which slot belongs to which rate is protected by the lock of the shared memory;
 * the state in it by a lock of its own, because it is taken for each request; whoever
 * changes the name holds both.  Sessions, which do not touch what they rest with,
 * compare the generation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/keep.h"
#include "worker/rate_group.h"
#include "worker/shmem.h"

#define UNUSED_MS (24 * 60 * 60 * 1000)

/* Of this worker alone, as there was no room. */
static List *own_slots = NIL;

static bool
is_slot(const RateGroupSlot *slot, RateScope scope, const char *name)
{
	return slot->database == MyDatabaseId && slot->scope == (int) scope &&
		strcmp(slot->name, name) == 0;
}

static RateGroupSlot *
slot_of(const RateGroup *group)
{
	return (RateGroupSlot *) ((char *) unconstify(RateGroup *, group) -
							  offsetof(RateGroupSlot, group));
}

/*
 * The slot of a rate, or with *is_new one that it may have; NULL if there is no
 * room.  The caller holds the lock.
 */
static RateGroupSlot *
find_slot(RateScope scope, const char *name, TimestampTz now, bool *is_new)
{
	PostriderShared *shared = postrider_shared();
	uint32		hash = hash_bytes((const unsigned char *) name, strlen(name)) ^
		murmurhash32(MyDatabaseId) ^ (uint32) scope;
	RateGroupSlot *unused = NULL;

	*is_new = false;
	for (int i = 0; i < POSTRIDER_MAX_RATE_GROUPS; i++)
	{
		RateGroupSlot *slot = &shared->rate_groups[(hash + i) % POSTRIDER_MAX_RATE_GROUPS];

		if (is_slot(slot, scope, name))
			return slot;
		if (slot->database == InvalidOid)
		{
			unused = slot;
			break;
		}
		if (unused == NULL && TimestampDifferenceExceeds(slot->used_at, now, UNUSED_MS))
			unused = slot;
	}
	*is_new = true;
	return unused;
}

static void
fill_slot(RateGroupSlot *slot, RateScope scope, const char *name)
{
	slot->database = MyDatabaseId;
	slot->scope = scope;
	strlcpy(slot->name, name, sizeof(slot->name));
	slot->group.generation++;
	memset(&slot->group.state, 0, sizeof(slot->group.state));
}

static RateGroupSlot *
find_own(RateScope scope, const char *name)
{
	ListCell   *cell;

	foreach(cell, own_slots)
	{
		if (is_slot(lfirst(cell), scope, name))
			return lfirst(cell);
	}
	return NULL;
}

static RateGroupSlot *
make_own(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	RateGroupSlot *slot = palloc0(sizeof(RateGroupSlot));

	LWLockInitialize(&slot->group.lock, postrider_shared()->rate_tranche);
	own_slots = lappend(own_slots, slot);
	MemoryContextSwitchTo(old);
	return slot;
}

static void
warn_of_no_room(RateScope scope, const char *name)
{
	ereport(WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 scope == RATE_OF_GROUP ? errmsg("rate_group \"%s\" holds for each worker by itself", name) :
			 scope == RATE_OF_TENANT ? errmsg("rate_limits of tenant \"%s\" hold for each worker by themselves", name) :
			 errmsg("message_limits of tenant \"%s\" do not hold", name),
			 errdetail("There are more than %d rates of groups, tenants and their messages on this server.",
					   POSTRIDER_MAX_RATE_GROUPS),
			 errhint("Remove limits of tenants, or groups, that nobody needs.")));
}

/* Has these limits from now on; kept: it is new, and this is known of it. */
static void
configure(RateGroupSlot *slot, RateScope scope, const char *name, const RatePolicy *policy,
		  const KeptRate *kept, TimestampTz now)
{
	LWLockAcquire(&slot->group.lock, LW_EXCLUSIVE);
	slot->used_at = now;
	if (kept != NULL)
	{
		fill_slot(slot, scope, name);
		if (kept->bytes != NULL)
			(void) postrider_rate_restore(&slot->group.state, policy, kept->bytes, kept->length,
										  (int64) now, kept->unsaved_us);
	}
	postrider_rate_configure(&slot->group.state, policy, (int64) now);
	LWLockRelease(&slot->group.lock);
}

RateGroup *
postrider_rate_group(RateScope scope, const char *name, const RatePolicy *policy,
					 TimestampTz now)
{
	PostriderShared *shared = postrider_shared();
	RateGroupSlot *slot;
	KeptRate	kept = {0};
	bool		is_new;

	/* What was kept is read before, as no statement may run under a lock. */
	LWLockAcquire(shared->lock, LW_SHARED);
	(void) find_slot(scope, name, now, &is_new);
	LWLockRelease(shared->lock);
	if (is_new)
		postrider_keep_read(scope, name, &kept);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_slot(scope, name, now, &is_new);
	if (slot != NULL)
		configure(slot, scope, name, policy, is_new ? &kept : NULL, now);
	LWLockRelease(shared->lock);
	if (slot != NULL)
		return &slot->group;

	slot = find_own(scope, name);
	is_new = slot == NULL;
	if (is_new)
	{
		warn_of_no_room(scope, name);
		if (scope == MESSAGES_OF_TENANT)
			return NULL;
		slot = make_own();
	}
	configure(slot, scope, name, policy, is_new ? &kept : NULL, now);
	return &slot->group;
}

RateScope
postrider_rate_group_scope(const RateGroup *group)
{
	return slot_of(group)->scope;
}

const char *
postrider_rate_group_name(const RateGroup *group)
{
	return slot_of(group)->name;
}

void
postrider_rate_group_touch(RateGroup *group, TimestampTz now)
{
	LWLockAcquire(&group->lock, LW_EXCLUSIVE);
	slot_of(group)->used_at = now;
	LWLockRelease(&group->lock);
}
