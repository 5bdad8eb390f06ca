/*-------------------------------------------------------------------------
 *
 * histogram.c
 *	  Histograms of times, here and in SQL; see histogram.h.
 *
 * In SQL a histogram is the bigint[] of its counts.  Counts that are not of this
 * form (a NULL, another length) are refused, so that nobody adds up what does not
 * belong together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "util/histogram.h"
#include "utils/array.h"

PG_FUNCTION_INFO_V1(postrider_duration_buckets);
PG_FUNCTION_INFO_V1(postrider_add_counts);
PG_FUNCTION_INFO_V1(postrider_percentile);

/* Upper bounds in milliseconds; the last bucket has none. */
static const float4 bounds[HISTOGRAM_BUCKETS - 1] = {
	1, 2, 5, 10, 20, 50, 100, 200, 500,
	1000, 2000, 5000, 10000, 30000,
	60000, 300000, 1800000, 7200000, 86400000
};

void
postrider_histogram_add(Histogram *histogram, double time_ms)
{
	int			bucket = 0;

	while (bucket < HISTOGRAM_BUCKETS - 1 && time_ms > bounds[bucket])
		bucket++;
	histogram->counts[bucket]++;
	histogram->sum_ms += time_ms;
	histogram->max_ms = Max(histogram->max_ms, (float4) time_ms);
}

ArrayType *
postrider_histogram_counts(const Histogram *histogram)
{
	Datum		counts[HISTOGRAM_BUCKETS];

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		counts[i] = Int64GetDatum((int64) histogram->counts[i]);
	return construct_array(counts, HISTOGRAM_BUCKETS, INT8OID, sizeof(int64),
						   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
}

/* SQL: postrider.duration_buckets() */
Datum
postrider_duration_buckets(PG_FUNCTION_ARGS)
{
	Datum		elements[HISTOGRAM_BUCKETS - 1];

	for (int i = 0; i < HISTOGRAM_BUCKETS - 1; i++)
		elements[i] = Float4GetDatum(bounds[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, HISTOGRAM_BUCKETS - 1, FLOAT4OID,
										  sizeof(float4), true, TYPALIGN_INT));
}

int64 *
postrider_histogram_numbers(ArrayType *array)
{
	Size		offset = ARR_HASNULL(array) ? (Size) array->dataoffset : ARR_OVERHEAD_NONULLS(1);

	if (ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] != HISTOGRAM_BUCKETS ||
		array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("counts of a histogram must be %d numbers", HISTOGRAM_BUCKETS),
				 errhint("There is one more than postrider.duration_buckets() has.")));
	return (int64 *) ((char *) array + offset);
}

/*
 * SQL: postrider.add_counts(): adds up two histograms, or as postrider.sum_counts()
 * many, in place.  NULL counts for nothing.
 */
Datum
postrider_add_counts(PG_FUNCTION_ARGS)
{
	bool		is_aggregate = AggCheckCallContext(fcinfo, NULL) != 0;
	ArrayType  *sum;
	const int64 *added;
	int64	   *counts;

	if (PG_ARGISNULL(0) && PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(0))
	{
		/* The executor copies it to where the state of the aggregate lives. */
		(void) postrider_histogram_numbers(PG_GETARG_ARRAYTYPE_P(1));
		PG_RETURN_ARRAYTYPE_P(PG_GETARG_ARRAYTYPE_P_COPY(1));
	}
	if (PG_ARGISNULL(1))
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	sum = is_aggregate ? PG_GETARG_ARRAYTYPE_P(0) : PG_GETARG_ARRAYTYPE_P_COPY(0);
	counts = postrider_histogram_numbers(sum);
	added = postrider_histogram_numbers(PG_GETARG_ARRAYTYPE_P(1));
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		counts[i] += added[i];
	PG_RETURN_ARRAYTYPE_P(sum);
}

bool
postrider_histogram_percentile(const int64 *counts, double share, double longest_ms,
							   float4 *time_ms)
{
	double		wanted;
	double		below = 0;
	int64		total = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += counts[i];
	wanted = share * total;
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
	{
		double		lower = i == 0 ? 0 : bounds[i - 1];
		double		upper = i == HISTOGRAM_BUCKETS - 1 ? INFINITY : bounds[i];

		if (counts[i] > 0 && below + counts[i] >= wanted)
		{
			upper = Max(lower, Min(upper, longest_ms));
			if (isinf(upper))
				upper = lower;
			*time_ms = (float4) (lower + (upper - lower) * Max(wanted - below, 0) / counts[i]);
			return true;
		}
		below += counts[i];
	}
	return false;
}

/* SQL: postrider.percentile() */
Datum
postrider_percentile(PG_FUNCTION_ARGS)
{
	const int64 *counts;
	double		share;
	float4		time_ms;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	counts = postrider_histogram_numbers(PG_GETARG_ARRAYTYPE_P(0));
	share = PG_GETARG_FLOAT8(1);
	if (!(share >= 0 && share <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("share must be between 0 and 1"),
				 errhint("0.95 gives the 95th percentile.")));
	if (!postrider_histogram_percentile(counts, share,
										PG_ARGISNULL(2) ? INFINITY : PG_GETARG_FLOAT4(2),
										&time_ms))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT4(time_ms);
}
