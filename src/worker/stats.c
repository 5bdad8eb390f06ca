/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  When statistics are written; see stats.h.
 *
 * Statistics that cannot be written must not stop deliveries: an error is logged
 * and they are tried again later, as when somebody has locked the tables.  Until then
 * all that happens counts for the minute that could not be written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/stats.h"
#include "utils/timestamp.h"
#include "worker/health.h"
#include "worker/stats.h"
#include "worker/step.h"

#define RETRY_MS 5000

static TimestampTz retry_at = DT_NOBEGIN;

TimestampTz
postrider_stats_due(void)
{
	TimestampTz minute = postrider_stats_minute();

	if (minute == DT_NOBEGIN)
		return DT_NOEND;
	if (postrider_stats_is_full())
		return retry_at;
	return Max(minute + USECS_PER_MINUTE, retry_at);
}

/* The minute is over; or the clock was set back to before it. */
static bool
is_due(TimestampTz now)
{
	TimestampTz minute = postrider_stats_minute();

	if (retry_at > TimestampTzPlusMilliseconds(now, RETRY_MS))
		retry_at = DT_NOBEGIN;
	return postrider_stats_due() <= now || (now < minute && retry_at <= now);
}

/* Leaves in *done whether the tables were not locked. */
static void
write_all(void *done)
{
	/* Whoever sees a total must never see a smaller one. */
	postrider_step_flush_at_commit();
	*(bool *) done = postrider_stats_write();
}

void
postrider_stats_save(TimestampTz now, bool last)
{
	bool		done = false;

	if (postrider_stats_minute() == DT_NOBEGIN || !(last || is_due(now)))
		return;
	if (!postrider_step_try("writing statistics", write_all, &done) || !done)
	{
		retry_at = TimestampTzPlusMilliseconds(now, RETRY_MS);
		return;
	}
	postrider_stats_written();
	retry_at = DT_NOBEGIN;
	/* What is in the table now must not be seen twice. */
	postrider_health_publish(now, true);
}
