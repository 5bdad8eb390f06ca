/*-------------------------------------------------------------------------
 *
 * secrets.c
 *	  Has what is due for secrets done when it is; see secrets.h.
 *
 * What cannot be done (a user gave the topic a schema, or holds a lock) must not
 * end the worker: it is logged, and tried again after a while.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/secret_care.h"
#include "outbox/shard.h"
#include "utils/timestamp.h"
#include "worker/secrets.h"
#include "worker/step.h"

#define RETRY_MS (60 * 1000)

static TimestampTz due_at = DT_NOEND;
static TimestampTz not_before = DT_NOBEGIN; /* after a failure */

void
postrider_secrets_loaded(void)
{
	if (postrider_shard_number() == 0)
		due_at = Max(postrider_secret_care_next(), not_before);
}

TimestampTz
postrider_secrets_due(void)
{
	return due_at;
}

static void
delete_retired(void *arg)
{
	postrider_secret_delete_retired();
}

static void
announce_ends(void *arg)
{
	postrider_secret_announce();
}

/* Each in a transaction of its own; the change has the configuration loaded again. */
void
postrider_secrets_care(TimestampTz now)
{
	if (now < due_at)
		return;
	due_at = not_before = TimestampTzPlusMilliseconds(now, RETRY_MS);
	if (postrider_step_try("deleting retired secrets", delete_retired, NULL) &&
		postrider_step_try("announcing the end of secrets", announce_ends, NULL))
		not_before = DT_NOBEGIN;
}
