/*-------------------------------------------------------------------------
 *
 * histogram.h
 *	  Histograms of times, all with the same buckets.
 *
 * A time falls into the first bucket whose upper bound it does not exceed; the
 * last bucket has no bound.  Bounds are 1, 2 or 5 times a power of ten up to
 * 10 s, where requests are, and farther apart above.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_HISTOGRAM_H
#define POSTRIDER_HISTOGRAM_H

#include "postgres.h"

#include "utils/array.h"

#define HISTOGRAM_BUCKETS 20

typedef struct Histogram
{
	double		sum_ms;
	float4		max_ms;
	uint32		counts[HISTOGRAM_BUCKETS];
} Histogram;

/* The time is not negative. */
extern void postrider_histogram_add(Histogram *histogram, double time_ms);

/* The counts as a bigint[], palloc'd. */
extern ArrayType *postrider_histogram_counts(const Histogram *histogram);

/* The HISTOGRAM_BUCKETS numbers in such an array; ereport(ERROR) if it is no such array. */
extern int64 *postrider_histogram_numbers(ArrayType *counts);

/*
 * The time that this share of all does not exceed, as if within a bucket times were
 * spread evenly; the last bucket that has any ends at the longest time (INFINITY: that
 * is not known).  False where nothing was counted.
 */
extern bool postrider_histogram_percentile(const int64 *counts, double share,
										   double longest_ms, float4 *time_ms);

#endif							/* POSTRIDER_HISTOGRAM_H */
