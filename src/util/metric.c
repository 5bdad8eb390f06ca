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
#include "util/compat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"

PG_FUNCTION_INFO_V1(postrider_metric_labels);
PG_FUNCTION_INFO_V1(postrider_metric_add_sample);
PG_FUNCTION_INFO_V1(postrider_metric_text);
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

static void
append_text(StringInfo out, const text *value)
{
	appendBinaryStringInfo(out, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/*
 * SQL: postrider.metric_add_sample(state, family, suffix, labels, value): the step of the
 * aggregate metric_samples(), a line for each value that is not NULL.  labels may be NULL.
 */
Datum
postrider_metric_add_sample(PG_FUNCTION_ARGS)
{
	StringInfo	out = PG_ARGISNULL(0) ? NULL : (StringInfo) PG_GETARG_POINTER(0);
	MemoryContext context;
	MemoryContext old;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "metric_add_sample() was called outside of an aggregate");
	if (out == NULL)
	{
		old = MemoryContextSwitchTo(context);
		out = makeStringInfo();
		MemoryContextSwitchTo(old);
	}
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(4))
		PG_RETURN_POINTER(out);
	append_text(out, PG_GETARG_TEXT_PP(1));
	append_text(out, PG_GETARG_TEXT_PP(2));
	if (!PG_ARGISNULL(3))
	{
		appendStringInfoChar(out, '{');
		append_text(out, PG_GETARG_TEXT_PP(3));
		appendStringInfoChar(out, '}');
	}
	appendStringInfoChar(out, ' ');
	appendStringInfoString(out, float8out_internal(PG_GETARG_FLOAT8(4)));
	appendStringInfoChar(out, '\n');
	PG_RETURN_POINTER(out);
}

/* SQL: postrider.metric_text(state): all lines; NULL if there is none. */
Datum
postrider_metric_text(PG_FUNCTION_ARGS)
{
	StringInfo	out = PG_ARGISNULL(0) ? NULL : (StringInfo) PG_GETARG_POINTER(0);

	if (out == NULL || out->len == 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(finish(out));
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
 * What stands in a line of a histogram between the labels and the count, for each bucket.
 * A scrape has a thousand histograms with the same bounds, so it is kept.
 */
typedef struct BoundTexts
{
	bool		with_point;
	int			count;			/* of bounds; there is one text more */
	float8	   *bounds;
	char	  **texts;
} BoundTexts;

/*
 * A bound in seconds.  OpenMetrics wants whole numbers with a point, and the older format
 * has them without.
 */
static char *
bound_text(float8 bound, bool with_point)
{
	char	   *number = psprintf("%g", bound);

	return psprintf("%s%s\"} ", number, with_point && strpbrk(number, ".e") == NULL ? ".0" : "");
}

static BoundTexts *
bound_texts(FunctionCallInfo fcinfo, ArrayType *array, bool with_point)
{
	BoundTexts *kept = fcinfo->flinfo->fn_extra;
	MemoryContext old;
	Datum	   *bounds;
	bool	   *nulls;
	int			count;

	deconstruct_array(array, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &bounds, &nulls, &count);
	if (kept != NULL && kept->with_point == with_point && kept->count == count)
	{
		int			same = 0;

		while (same < count && kept->bounds[same] == DatumGetFloat8(bounds[same]))
			same++;
		if (same == count)
			return kept;
	}

	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	kept = palloc(sizeof(BoundTexts));
	kept->with_point = with_point;
	kept->count = count;
	kept->bounds = palloc(sizeof(float8) * (count + 1));
	kept->texts = palloc(sizeof(char *) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		kept->bounds[i] = DatumGetFloat8(bounds[i]);
		kept->texts[i] = bound_text(kept->bounds[i], with_point);
	}
	kept->texts[count] = pstrdup("+Inf\"} ");
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = kept;
	return kept;
}

static void
append_count(StringInfo out, int64 count)
{
	char		number[MAXINT8LEN + 1];

	appendBinaryStringInfo(out, number, pg_lltoa(count, number));
	appendStringInfoChar(out, '\n');
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
	BoundTexts *bounds = bound_texts(fcinfo, PG_GETARG_ARRAYTYPE_P(2), PG_GETARG_BOOL(5));
	Datum	   *buckets;
	bool	   *nulls;
	int			bucket_count;
	char	   *prefix = psprintf("%s_bucket{%s,le=\"", family, labels);
	int			prefix_length = strlen(prefix);
	StringInfoData out;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &buckets, &nulls, &bucket_count);
	if (bucket_count != bounds->count + 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a histogram with %d bounds must have one bucket more, not %d",
						bounds->count, bucket_count)));
	initStringInfo(&out);
	for (int i = 0; i < bucket_count; i++)
	{
		appendBinaryStringInfo(&out, prefix, prefix_length);
		appendStringInfoString(&out, bounds->texts[i]);
		append_count(&out, DatumGetInt64(buckets[i]));
	}
	appendStringInfo(&out, "%s_count{%s} ", family, labels);
	append_count(&out, DatumGetInt64(buckets[bucket_count - 1]));
	appendStringInfo(&out, "%s_sum{%s} %s\n", family, labels,
					 float8out_internal(PG_GETARG_FLOAT8(4)));
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
