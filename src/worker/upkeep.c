/*-------------------------------------------------------------------------
 *
 * upkeep.c
 *	  Has partitions made and dropped, and payloads and statistics expired.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "guc.h"
#include "outbox/shard.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/timestamp.h"
#include "worker/step.h"
#include "worker/upkeep.h"

#define MAINTENANCE_MS		(60 * 60 * 1000)
#define MAINTENANCE_RETRY_MS (7 * 1000)

static TimestampTz maintenance_at = DT_NOBEGIN;

TimestampTz
postrider_upkeep_due(void)
{
	return postrider_shard_number() == 0 ? maintenance_at : DT_NOEND;
}

/* In the words of maintain_partitions() and expire_payloads(). */
static void
log_upkeep(const char *did)
{
	LogLine		line;

	if (strncmp(did, "made ", 5) == 0)
		postrider_log_begin(&line, LOG, "partition_made");
	else if (strncmp(did, "dropped ", 8) == 0)
		postrider_log_begin(&line, LOG, "partition_dropped");
	else
		postrider_log_begin(&line, LOG, "upkeep");
	postrider_log_message(&line, "%s", did);
	postrider_log_end(&line);
}

/* Leaves in *done whether there was nothing to do. */
static void
do_piece(void *done)
{
	static SqlStatement maintain_partitions = {
		.text = "select coalesce(postrider.maintain_partitions(make_interval(mins => $1)),"
		" postrider.expire_payloads(), postrider.expire_stats(make_interval(mins => $2)))",
		.argument_count = 2,
		.argument_types = {INT4OID, INT4OID}
	};
	Datum		values[] = {
		Int32GetDatum(postrider_retention_minutes),
		Int32GetDatum(postrider_stats_minutes)
	};
	char	   *did;

	postrider_sql_run(&maintain_partitions, values, NULL, 1);
	did = postrider_sql_text(0, 0, CurrentMemoryContext);
	*(bool *) done = did == NULL;
	if (did != NULL)
		log_upkeep(did);
}

/*
 * Makes and drops partitions, one at a time, each in a transaction with a
 * short lock time-out; what could not be done now is tried again soon.
 */
void
postrider_upkeep_run(TimestampTz now)
{
	bool		done = false;

	maintenance_at = TimestampTzPlusMilliseconds(now, MAINTENANCE_MS);
	if (!postrider_step_try("maintaining partitions", do_piece, &done))
		maintenance_at = TimestampTzPlusMilliseconds(now, MAINTENANCE_RETRY_MS);
	else if (!done)
		maintenance_at = now;
}

void
postrider_upkeep_soon(void)
{
	maintenance_at = DT_NOBEGIN;
}

void
postrider_upkeep_shift(int64 microseconds)
{
	if (!TIMESTAMP_NOT_FINITE(maintenance_at))
		maintenance_at += microseconds;
}
