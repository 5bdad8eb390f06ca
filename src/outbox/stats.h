/*-------------------------------------------------------------------------
 *
 * stats.h
 *	  Statistics of deliveries and messages, by the minute.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_STATS_H
#define POSTRIDER_STATS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "model.h"
#include "util/histogram.h"

/* What is counted, in the order of the array that write_deliveries takes. */
typedef enum StatsCount
{
	STATS_DELIVERED,
	STATS_RETRIED,
	STATS_DEAD,
	STATS_EXPIRED,
	STATS_CANCELLED,
	STATS_RECOVERED,
	STATS_EXHAUSTED,
	STATS_REQUESTS,
	STATS_SUPERSEDED,
	STATS_COUNTS
} StatsCount;

/* An endpoint in a minute. */
typedef struct EndpointStats
{
	int32		endpoint_id;
	int64		counts[STATS_COUNTS];
	Histogram	duration;		/* of attempts */
	Histogram	latency;		/* emit to delivered */
} EndpointStats;

/* Messages of some topics. */
typedef struct TopicCounts TopicCounts;

/* Counts a delivery whose attempt is on record. */
extern void postrider_stats_count(const Delivery *delivery, TimestampTz now);

/* Counts deliveries that ended otherwise: OUTCOME_DEAD, _CANCELLED or _SUPERSEDED. */
extern void postrider_stats_count_ended(int32 endpoint_id, AttemptOutcome outcome,
										int64 count, TimestampTz now);

/* The same of a query's result: rows of endpoint_id and count. */
extern void postrider_stats_count_rows(uint64 rows, AttemptOutcome outcome);

/*
 * Messages are counted as they are read, and the counts enter the statistics when
 * the cursor has moved behind them: what is read again after a restart counts once.
 * The first function makes *counts if it is NULL, the second frees it; NULL is fine.
 */
extern void postrider_stats_read(TopicCounts **counts, const char *topic, Size bytes);
extern void postrider_stats_passed(TopicCounts *counts, TimestampTz now);

/*
 * The minute in which what is not written was counted; DT_NOBEGIN if there is
 * nothing.
 */
extern TimestampTz postrider_stats_minute(void);

/* There are so many topics that it should be written before the minute is over. */
extern bool postrider_stats_is_full(void);

/* What is not written of an endpoint; NULL if there is nothing. */
extern const EndpointStats *postrider_stats_find(int32 endpoint_id);

/* Goes up whenever something is counted. */
extern uint64 postrider_stats_changes(void);

/*
 * Writes all of it in the current transaction of the worker; postrider_stats_written()
 * follows the commit.  False, and nothing is written, if somebody has locked the
 * tables for himself: a delivery does not wait for statistics.
 */
extern bool postrider_stats_write(void);
extern void postrider_stats_written(void);

#endif							/* POSTRIDER_STATS_H */
