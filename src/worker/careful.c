/*-------------------------------------------------------------------------
 *
 * careful.c
 *	  Careful mode; see careful.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "outbox/intake.h"
#include "outbox/suspect.h"
#include "utils/timestamp.h"
#include "worker/careful.h"
#include "worker/step.h"

/*
 * After so long without a fault a worker has run well; and so long a message is
 * suspect at most.
 */
#define WELL_MS		30000
#define SUSPECT_MS	200

static bool careful = false;
static bool marked = false;
static TimestampTz suspect_until = 0;
static TimestampTz well_at = DT_NOEND;

void
postrider_careful_start(void)
{
	careful = postrider_suspect_start();
	well_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), WELL_MS);
}

bool
postrider_careful(void)
{
	return careful;
}

bool
postrider_careful_marked(void)
{
	return marked;
}

void
postrider_careful_mark(const pg_uuid_t *id)
{
	postrider_suspect_mark(id);
	postrider_step_commit();
	XLogFlush(XactLastCommitEnd);
	marked = true;
	suspect_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SUSPECT_MS);
	postrider_step_begin("handling one message");
}

void
postrider_careful_clear(void)
{
	if (!marked)
		return;
	postrider_step_begin("handling one message");
	postrider_suspect_clear();
	postrider_step_commit();
	marked = false;
}

void
postrider_careful_acquit(TimestampTz now)
{
	if (dlist_is_empty(postrider_deliveries()) || suspect_until <= now)
		postrider_careful_clear();
}

void
postrider_careful_forget(void)
{
	postrider_step_begin("forgetting earlier starts");
	postrider_suspect_forget();
	postrider_step_commit();
	careful = marked = false;
	well_at = DT_NOEND;
}

void
postrider_careful_forget_if_well(TimestampTz now)
{
	if (well_at <= now)
		postrider_careful_forget();
}

void
postrider_careful_shift(int64 microseconds)
{
	suspect_until += microseconds;
	if (!TIMESTAMP_NOT_FINITE(well_at))
		well_at += microseconds;
}
