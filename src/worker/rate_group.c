/*-------------------------------------------------------------------------
 *
 * rate_group.c
 *	  Rates that several endpoints share; see rate_group.h.
 *
 * They lie in shared memory, as endpoints of one group may belong to several
 * workers.  Which slot belongs to which group is protected by the lock of the
 * shared memory; the state in it by a lock of its own, because it is taken for each
 * request.  A slot is never freed while the server runs, but one that no worker
 * has configured for a day may get another name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "util/log_line.h"
#include "utils/timestamp.h"
#include "worker/keep.h"
#include "worker/rate_group.h"
#include "worker/shmem.h"

#define UNUSED_MS (24 * 60 * 60 * 1000)

static RateGroupSlot *
find_slot(PostriderShared *shared, const char *name, TimestampTz now, bool *is_new)
{
	RateGroupSlot *unused = NULL;

	*is_new = false;
	for (int i = 0; i < POSTRIDER_MAX_RATE_GROUPS; i++)
	{
		RateGroupSlot *slot = &shared->rate_groups[i];

		if (slot->database == MyDatabaseId && strcmp(slot->name, name) == 0)
			return slot;
		if (unused == NULL &&
			(slot->database == InvalidOid ||
			 TimestampDifferenceExceeds(slot->used_at, now, UNUSED_MS)))
			unused = slot;
	}
	*is_new = true;
	return unused;
}

RateGroup *
postrider_rate_group(const char *name, const RatePolicy *policy, TimestampTz now)
{
	PostriderShared *shared = postrider_shared();
	RateGroupSlot *slot;
	bool		is_new;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_slot(shared, name, now, &is_new);
	if (slot != NULL)
	{
		slot->used_at = now;
		slot->database = MyDatabaseId;
		strlcpy(slot->name, name, sizeof(slot->name));
		LWLockAcquire(&slot->group.lock, LW_EXCLUSIVE);
		if (is_new)
			memset(&slot->group.state, 0, sizeof(slot->group.state));
		postrider_rate_configure(&slot->group.state, policy, (int64) now);
		LWLockRelease(&slot->group.lock);
	}
	LWLockRelease(shared->lock);
	if (slot == NULL)
	{
		LogLine		line;

		postrider_log_begin(&line, WARNING, "rate_group_not_shared");
		postrider_log_text(&line, "rate_group", name);
		postrider_log_message(&line, "there are more than %d groups", POSTRIDER_MAX_RATE_GROUPS);
		postrider_log_end(&line);
		return NULL;
	}
	if (is_new)
		postrider_keep_load_group(&slot->group, name, policy, now);
	return &slot->group;
}
