/*-------------------------------------------------------------------------
 *
 * metric.c
 *	  SQL functions that write lines of OpenMetrics, for postrider.metrics().
 *
 * They are in C because there are tens of thousands of lines, and a scrape should
 * not cost more than what it reads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"

PG_FUNCTION_INFO_V1(postrider_metric_labels);
PG_FUNCTION_INFO_V1(postrider_metric_states);
PG_FUNCTION_INFO_V1(postrider_metric_histogram);
PG_FUNCTION_INFO_V1(postrider_cumulative_counts);

/* The elements of a text[]; NULL is not allowed. */
static Datum *
texts_of(ArrayType *array, int *count)
{
	Datum	   *elements;
	bool	   *nulls;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, count);
	for (int i = 0; i < *count; i++)
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("labels of a metric must not be null")));
	return elements;
}

static void
append_escaped(StringInfo out, const char *value)
{
	for (const char *c = value; *c; c++)
		if (*c == '\n')
			appendStringInfoString(out, "\\n");
		else
		{
			if (*c == '\\' || *c == '"')
				appendStringInfoCharMacro(out, '\\');
			appendStringInfoCharMacro(out, *c);
		}
}

static text *
finish(StringInfo out)
{
	return cstring_to_text_with_len(out->data, out->len);
}

/* SQL: postrider.metric_labels(names, values): name="value",... */
Datum
postrider_metric_labels(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	int			count;
	int			value_count;
	Datum	   *names = texts_of(PG_GETARG_ARRAYTYPE_P(0), &count);
	Datum	   *values = texts_of(PG_GETARG_ARRAYTYPE_P(1), &value_count);

	if (count != value_count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are %d labels and %d values", count, value_count)));
	initStringInfo(&out);
	for (int i = 0; i < count; i++)
	{
		appendStringInfo(&out, "%s%s=\"", i > 0 ? "," : "", TextDatumGetCString(names[i]));
		append_escaped(&out, TextDatumGetCString(values[i]));
		appendStringInfoChar(&out, '"');
	}
	PG_RETURN_TEXT_P(finish(&out));
}

/* SQL: postrider.metric_states(family, labels, states, state): a line for each state. */
Datum
postrider_metric_states(PG_FUNCTION_ARGS)
{
	char	   *family = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *labels = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *now = text_to_cstring(PG_GETARG_TEXT_PP(3));
	StringInfoData out;
	int			count;
	Datum	   *states = texts_of(PG_GETARG_ARRAYTYPE_P(2), &count);

	initStringInfo(&out);
	for (int i = 0; i < count; i++)
	{
		char	   *state = TextDatumGetCString(states[i]);

		appendStringInfo(&out, "%s{%s,%s=\"%s\"} %d\n", family, labels, family, state,
						 strcmp(state, now) == 0);
	}
	PG_RETURN_TEXT_P(finish(&out));
}

/*
 * Appends a bound in seconds.  OpenMetrics wants whole numbers with a point, and the
 * older format has them without.
 */
static void
append_bound(StringInfo out, float8 bound, bool with_point)
{
	int			start = out->len;

	appendStringInfo(out, "%g", bound);
	if (with_point && strpbrk(out->data + start, ".e") == NULL)
		appendStringInfoString(out, ".0");
}

/*
 * SQL: postrider.metric_histogram(family, labels, bounds, buckets, sum, with_point): the
 * lines of a histogram; buckets are cumulative, and have one more than bounds.
 */
Datum
postrider_metric_histogram(PG_FUNCTION_ARGS)
{
	char	   *family = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *labels = text_to_cstring(PG_GETARG_TEXT_PP(1));
	float8		sum = PG_GETARG_FLOAT8(4);
	bool		with_point = PG_GETARG_BOOL(5);
	Datum	   *bounds;
	Datum	   *buckets;
	bool	   *nulls;
	int			count;
	int			bucket_count;
	StringInfoData out;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &bounds, &nulls, &count);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &buckets, &nulls, &bucket_count);
	if (bucket_count != count + 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a histogram with %d bounds must have one bucket more, not %d",
						count, bucket_count)));
	initStringInfo(&out);
	for (int i = 0; i < bucket_count; i++)
	{
		appendStringInfo(&out, "%s_bucket{%s,le=\"", family, labels);
		if (i < count)
			append_bound(&out, DatumGetFloat8(bounds[i]), with_point);
		else
			appendStringInfoString(&out, "+Inf");
		appendStringInfo(&out, "\"} " INT64_FORMAT "\n", DatumGetInt64(buckets[i]));
	}
	appendStringInfo(&out, "%s_count{%s} " INT64_FORMAT "\n%s_sum{%s} %s\n", family, labels,
					 DatumGetInt64(buckets[count]), family, labels, float8out_internal(sum));
	PG_RETURN_TEXT_P(finish(&out));
}

/* SQL: postrider.cumulative_counts(): each number with all before it. */
Datum
postrider_cumulative_counts(PG_FUNCTION_ARGS)
{
	Datum	   *counts;
	bool	   *nulls;
	int			count;
	int64		sum = 0;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &counts, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		sum += nulls[i] ? 0 : DatumGetInt64(counts[i]);
		counts[i] = Int64GetDatum(sum);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(counts, count, INT8OID, sizeof(int64),
										  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
