/*-------------------------------------------------------------------------
 *
 * schema_compare_value.c
 *	  Comparison of the keywords of plain values.
 *
 * Each function returns true if the old schemas imply the keyword's new value;
 * if not, it reports what may break.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_compare_internal.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

static int
compare_numbers(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a),
											 NumericGetDatum(b)));
}

static Numeric
number_of_int(int value)
{
	return int64_to_numeric(value);
}

/* " (was 5)", or "" where there was nothing. */
static char *
was(const Check *check, const char *keyword)
{
	for (int i = 0; i < check->old->count; i++)
	{
		JsonbValue	value;

		if (postrider_compare_node_get(&check->old->nodes[i], keyword, &value))
			return psprintf(" (was %s)", postrider_compare_show(&value));
	}
	return pstrdup("");
}

bool
postrider_compare_type(Compare *compare, const Check *check,
					   const JsonbValue *value)
{
	uint32		allowed = postrider_compare_type_keyword(value);
	uint32		lost = check->types & ~allowed;

	if (lost == 0)
		return true;
	if (check->types == TYPE_ALL)
		return postrider_compare_breaks(compare, check->place, "type",
										"type_added",
										"%s must now be %s",
										postrider_compare_field(check->place),
										postrider_compare_type_names(allowed));
	return postrider_compare_breaks(compare, check->place, "type",
									"type_narrowed",
									"%s may no longer be %s",
									postrider_compare_field(check->place),
									postrider_compare_type_names(lost));
}

/*
 * Finite sets
 */

static int
compare_values(const void *a, const void *b)
{
	return compareJsonbContainers(&(*(Jsonb *const *) a)->root,
								  &(*(Jsonb *const *) b)->root);
}

/* The values as jsonb, sorted, each in an array so that any two compare. */
static Jsonb **
sort_values(const JsonbValue *values, int count)
{
	Jsonb	  **sorted = palloc((count + 1) * sizeof(Jsonb *));

	for (int i = 0; i < count; i++)
	{
		JsonbParseState *state = NULL;

		pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		pushJsonbValue(&state, WJB_ELEM, unconstify(JsonbValue *, &values[i]));
		sorted[i] = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
	}
	qsort(sorted, count, sizeof(Jsonb *), compare_values);
	return sorted;
}

/* Reports each possible old value that is not among the new ones. */
static bool
check_values(Compare *compare, const Check *check, const char *keyword,
			 const JsonbValue *new_values, int new_count)
{
	JsonbValue *old_values;
	int			old_count;
	Jsonb	  **allowed;
	bool		ok = true;

	if (!postrider_compare_values(compare, check->old, &old_values, &old_count))
		return postrider_compare_breaks(compare, check->place, keyword,
										"enum_added",
										"%s must now be %s %s",
										postrider_compare_field(check->place),
										new_count == 1 ? "the value" : "one of the values of",
										new_count == 1 ? postrider_compare_show(&new_values[0]) : "enum");
	allowed = sort_values(new_values, new_count);
	for (int i = 0; i < old_count && (ok || compare->quiet == 0); i++)
	{
		Jsonb	  **one = sort_values(&old_values[i], 1);

		CHECK_FOR_INTERRUPTS();
		if (bsearch(one, allowed, new_count, sizeof(Jsonb *), compare_values) == NULL)
			ok = postrider_compare_breaks(compare, check->place, keyword,
										  "value_removed",
										  "%s may no longer be %s",
										  postrider_compare_field(check->place),
										  postrider_compare_show(&old_values[i]));
	}
	return ok;
}

bool
postrider_compare_enum(Compare *compare, const Check *check,
					   const JsonbValue *value)
{
	JsonbValue *values;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	int			count = 0;

	if (value->type != jbvBinary)
		return true;
	values = palloc((postrider_compare_length(value) + 1) * sizeof(JsonbValue));
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			values[count++] = item;
	return check_values(compare, check, "enum", values, count);
}

bool
postrider_compare_const(Compare *compare, const Check *check,
						const JsonbValue *value)
{
	return check_values(compare, check, "const", value, 1);
}

/*
 * Numbers
 */

/*
 * True if all old numbers are on the right side of the bound: those of
 * "minimum" and "exclusiveMinimum" for a lower one.
 */
static bool
bound_is_implied(Compare *compare, const Check *check, Numeric bound,
				 bool lower, bool exclusive)
{
	Numeric		loose = postrider_compare_bound(compare, check->old,
												lower ? "minimum" : "maximum", lower);
	Numeric		strict = postrider_compare_bound(compare, check->old,
												 lower ? "exclusiveMinimum" : "exclusiveMaximum",
												 lower);
	int			sign = lower ? 1 : -1;

	if (strict != NULL && sign * compare_numbers(strict, bound) >= 0)
		return true;
	if (loose != NULL &&
		sign * compare_numbers(loose, bound) >= (exclusive ? 1 : 0))
		return true;

	/* Among integers, > 0 is >= 1; and the other way round. */
	if ((check->types & TYPE_FRACTION) == 0 && strict != NULL && !exclusive)
	{
		Datum		whole = DirectFunctionCall1(lower ? numeric_floor : numeric_ceil,
												NumericGetDatum(strict));

		whole = DirectFunctionCall2(lower ? numeric_add : numeric_sub, whole,
									NumericGetDatum(number_of_int(1)));
		return sign * compare_numbers(DatumGetNumeric(whole), bound) >= 0;
	}
	if ((check->types & TYPE_FRACTION) == 0 && loose != NULL && exclusive)
	{
		Datum		whole = DirectFunctionCall1(lower ? numeric_ceil : numeric_floor,
												NumericGetDatum(loose));

		return sign * compare_numbers(DatumGetNumeric(whole), bound) > 0;
	}
	return false;
}

static bool
check_bound(Compare *compare, const Check *check, const JsonbValue *value,
			bool lower, bool exclusive)
{
	const char *side = lower ? (exclusive ? "greater than" : "at least") :
		(exclusive ? "less than" : "at most");

	if (value->type != jbvNumeric ||
		bound_is_implied(compare, check, value->val.numeric, lower, exclusive))
		return true;
	return postrider_compare_breaks(compare, check->place, check->keyword,
									lower ? "minimum_raised" : "maximum_lowered",
									"%s must now be %s %s%s",
									postrider_compare_field(check->place), side,
									postrider_compare_show(value),
									was(check, check->keyword));
}

bool
postrider_compare_minimum(Compare *compare, const Check *check,
						  const JsonbValue *value)
{
	return check_bound(compare, check, value, true,
					   strcmp(check->keyword, "exclusiveMinimum") == 0);
}

bool
postrider_compare_maximum(Compare *compare, const Check *check,
						  const JsonbValue *value)
{
	return check_bound(compare, check, value, false,
					   strcmp(check->keyword, "exclusiveMaximum") == 0);
}

/* True if a is a whole multiple of b, which is not zero. */
static bool
is_multiple(Numeric a, Numeric b)
{
	Datum		rest;

	if (compare_numbers(b, number_of_int(0)) <= 0)
		return false;
	rest = DirectFunctionCall2(numeric_mod, NumericGetDatum(a), NumericGetDatum(b));
	return compare_numbers(DatumGetNumeric(rest), number_of_int(0)) == 0;
}

bool
postrider_compare_multiple(Compare *compare, const Check *check,
						   const JsonbValue *value)
{
	if (value->type != jbvNumeric)
		return true;
	if ((check->types & TYPE_FRACTION) == 0 &&
		is_multiple(number_of_int(1), value->val.numeric))
		return true;
	for (int i = 0; i < check->old->count; i++)
	{
		JsonbValue	old_value;

		if (postrider_compare_node_get(&check->old->nodes[i], "multipleOf", &old_value) &&
			old_value.type == jbvNumeric &&
			is_multiple(old_value.val.numeric, value->val.numeric))
			return true;
	}
	return postrider_compare_breaks(compare, check->place, "multipleOf",
									"multiple_changed",
									"%s must now be a multiple of %s%s",
									postrider_compare_field(check->place),
									postrider_compare_show(value),
									was(check, "multipleOf"));
}

/*
 * Lengths and counts
 */

static int
count_required(const NodeSet *set)
{
	int			most = 0;

	for (int i = 0; i < set->count; i++)
	{
		JsonbValue	required;

		if (postrider_compare_node_get(&set->nodes[i], "required", &required))
			most = Max(most, postrider_compare_length(&required));
	}
	return most;
}

static const char *
count_phrase(const char *keyword, bool at_least)
{
	if (strstr(keyword, "Length"))
		return at_least ? "have at least %s characters" : "have at most %s characters";
	if (strstr(keyword, "Items"))
		return at_least ? "have at least %s items" : "have at most %s items";
	return at_least ? "have at least %s properties" : "have at most %s properties";
}

static char *
count_text(const char *keyword, bool at_least, const JsonbValue *value)
{
	StringInfoData line;
	const char *phrase = count_phrase(keyword, at_least);
	const char *mark = strstr(phrase, "%s");

	initStringInfo(&line);
	appendBinaryStringInfo(&line, phrase, mark - phrase);
	appendStringInfoString(&line, postrider_compare_show(value));
	appendStringInfoString(&line, mark + 2);
	return line.data;
}

/* minLength, minItems, minProperties */
bool
postrider_compare_at_least(Compare *compare, const Check *check,
						   const JsonbValue *value)
{
	Numeric		old_bound = postrider_compare_bound(compare, check->old,
													check->keyword, true);

	if (value->type != jbvNumeric ||
		compare_numbers(value->val.numeric, number_of_int(0)) <= 0 ||
		(old_bound != NULL &&
		 compare_numbers(old_bound, value->val.numeric) >= 0))
		return true;
	if (strcmp(check->keyword, "minProperties") == 0 &&
		compare_numbers(number_of_int(count_required(check->old)),
						value->val.numeric) >= 0)
		return true;
	return postrider_compare_breaks(compare, check->place, check->keyword,
									"minimum_raised", "%s must now %s%s",
									postrider_compare_field(check->place),
									count_text(check->keyword, true, value),
									was(check, check->keyword));
}

/* maxLength, maxItems, maxProperties */
bool
postrider_compare_at_most(Compare *compare, const Check *check,
						  const JsonbValue *value)
{
	Numeric		old_bound = postrider_compare_bound(compare, check->old,
													check->keyword, false);
	List	   *names;
	int			tuple;

	if (value->type != jbvNumeric ||
		(old_bound != NULL &&
		 compare_numbers(old_bound, value->val.numeric) <= 0))
		return true;
	if (strcmp(check->keyword, "maxProperties") == 0 &&
		postrider_compare_closed(check->old, &names) &&
		compare_numbers(number_of_int(list_length(names)), value->val.numeric) <= 0)
		return true;
	tuple = postrider_compare_tuple_length(check->old);
	if (strcmp(check->keyword, "maxItems") == 0 && tuple >= 0 &&
		compare_numbers(number_of_int(tuple), value->val.numeric) <= 0)
		return true;
	return postrider_compare_breaks(compare, check->place, check->keyword,
									"maximum_lowered", "%s must now %s%s",
									postrider_compare_field(check->place),
									count_text(check->keyword, false, value),
									was(check, check->keyword));
}

/*
 * Strings
 */

static bool
has_equal(const Check *check, const char *keyword, const JsonbValue *value)
{
	for (int i = 0; i < check->old->count; i++)
	{
		JsonbValue	old_value;

		if (postrider_compare_node_get(&check->old->nodes[i], keyword, &old_value) &&
			postrider_compare_equal(&old_value, value))
			return true;
	}
	return false;
}

bool
postrider_compare_pattern(Compare *compare, const Check *check,
						  const JsonbValue *value)
{
	char	   *before = was(check, "pattern");

	if (has_equal(check, "pattern", value))
		return true;
	return postrider_compare_breaks(compare, check->place, "pattern",
									before[0] ? "pattern_changed" : "pattern_added",
									"%s must now match the pattern %s%s, which may break",
									postrider_compare_field(check->place),
									postrider_compare_show(value), before);
}

/* Formats that are asserted; others mean nothing. */
static const char *const known_formats[] = {
	"date-time", "date", "time", "duration", "email", "idn-email", "hostname",
	"idn-hostname", "ipv4", "ipv6", "uri", "uri-reference", "iri",
	"iri-reference", "uuid", "uri-template", "json-pointer",
	"relative-json-pointer", "regex"
};

/* Whatever has the first has the second too. */
static const char *const wider_formats[][2] = {
	{"uri", "uri-reference"}, {"uri", "iri"}, {"uri", "iri-reference"},
	{"uri-reference", "iri-reference"}, {"iri", "iri-reference"}
};

bool
postrider_compare_format(Compare *compare, const Check *check,
						 const JsonbValue *value)
{
	char	   *before = was(check, "format");
	char	   *name;
	bool		known = false;

	if (value->type != jbvString || has_equal(check, "format", value))
		return true;
	name = pnstrdup(value->val.string.val, value->val.string.len);
	for (int i = 0; i < (int) lengthof(known_formats); i++)
		known |= strcmp(name, known_formats[i]) == 0;
	if (!known)
		return true;
	for (int i = 0; i < (int) lengthof(wider_formats); i++)
	{
		JsonbValue	narrow = {.type = jbvString};

		narrow.val.string.val = unconstify(char *, wider_formats[i][0]);
		narrow.val.string.len = strlen(wider_formats[i][0]);
		if (strcmp(name, wider_formats[i][1]) == 0 &&
			has_equal(check, "format", &narrow))
			return true;
	}
	return postrider_compare_breaks(compare, check->place, "format",
									before[0] ? "format_changed" : "format_added",
									"%s must now have the format %s%s, which may break",
									postrider_compare_field(check->place),
									postrider_compare_show(value), before);
}
