/*-------------------------------------------------------------------------
 *
 * stats_status.c
 *	  SQL: what workers have counted and not yet written.
 *
 * It is in shared memory with the rest of what they publish; see health.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "outbox/stats.h"
#include "outbox/version.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "worker/health.h"
#include "worker/shmem.h"

#define STATS_COLUMNS 17

PG_FUNCTION_INFO_V1(postrider_unwritten_stats);

/* The columns of postrider.delivery_stats. */
static void
put_row(ReturnSetInfo *result, TimestampTz minute, const EndpointStats *stats)
{
	Datum		values[STATS_COLUMNS];
	bool		nulls[STATS_COLUMNS] = {false};
	int			column = 0;

	values[column++] = TimestampTzGetDatum(minute);
	values[column++] = Int32GetDatum(stats->endpoint_id);
	for (int i = STATS_DELIVERED; i <= STATS_REQUESTS; i++)
		values[column++] = Int64GetDatum(stats->counts[i]);
	values[column++] = Float8GetDatum(stats->duration.sum_ms);
	values[column++] = Float4GetDatum(stats->duration.max_ms);
	values[column++] = PointerGetDatum(postrider_histogram_counts(&stats->duration));
	values[column++] = Float8GetDatum(stats->latency.sum_ms);
	values[column++] = Float4GetDatum(stats->latency.max_ms);
	values[column++] = PointerGetDatum(postrider_histogram_counts(&stats->latency));
	values[column++] = Int64GetDatum(stats->counts[STATS_SUPERSEDED]);
	Assert(column == STATS_COLUMNS);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* SQL: postrider.unwritten_stats() */
Datum
postrider_unwritten_stats(PG_FUNCTION_ARGS)
{
	HealthEntry *entries;
	int			count = postrider_health_visible(&entries);

	postrider_begin_rows(fcinfo, STATS_COLUMNS);
	for (int i = 0; i < count; i++)
	{
		if (entries[i].minute != DT_NOBEGIN)
			put_row((ReturnSetInfo *) fcinfo->resultinfo, entries[i].minute, &entries[i].stats);
	}
	return (Datum) 0;
}
