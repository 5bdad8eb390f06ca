/*-------------------------------------------------------------------------
 *
 * check_value.c
 *	  Checks with a value to check against.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/check_internal.h"
#include "content/conversion_internal.h"
#include "content/date.h"
#include "content/pattern.h"
#include "content/phone.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/*
 * Numbers
 */

static bool
compile_bound(Check *check, char **problem)
{
	return postrider_value_to_number(&check->argument, problem) ||
		postrider_refuse(problem, "\"%s\" is no number: %s", check->entry->name, *problem);
}

static bool
compare_to_bound(const Check *check, const JsonbValue *value, int *order, char **problem)
{
	JsonbValue	number = *value;

	if (!postrider_value_to_number(&number, problem))
		return false;
	*order = DatumGetInt32(DirectFunctionCall2(numeric_cmp,
											   NumericGetDatum(number.val.numeric),
											   NumericGetDatum(check->argument.val.numeric)));
	return true;
}

static bool
apply_min(const Check *check, const JsonbValue *value, char **problem)
{
	int			order;

	if (!compare_to_bound(check, value, &order, problem))
		return false;
	return order >= 0 || postrider_refuse(problem, "%s is less than %s",
										  postrider_value_show(value),
										  postrider_value_show(&check->argument));
}

static bool
apply_max(const Check *check, const JsonbValue *value, char **problem)
{
	int			order;

	if (!compare_to_bound(check, value, &order, problem))
		return false;
	return order <= 0 || postrider_refuse(problem, "%s is more than %s",
										  postrider_value_show(value),
										  postrider_value_show(&check->argument));
}

/*
 * Lengths: characters of text, elements of an array, keys of an object
 */

static bool
compile_length(Check *check, char **problem)
{
	char	   *end;
	char	   *digits;
	long		length;

	if (check->argument.type == jbvNumeric)
	{
		digits = postrider_number_to_text(check->argument.val.numeric);
		errno = 0;
		length = strtol(digits, &end, 10);
		if (errno == 0 && *end == '\0' && length >= 0 && length <= PG_INT32_MAX)
		{
			check->integer = length;
			return true;
		}
	}
	return postrider_refuse(problem, "\"%s\" is %s, not a whole number from 0",
							check->entry->name, postrider_value_show(&check->argument));
}

static int
length_of(const JsonbValue *value)
{
	JsonbValue	as_text = *value;
	char	   *ignored;

	if (value->type == jbvBinary)
		return JsonContainerSize(value->val.binary.data);
	(void) postrider_value_to_text(&as_text, &ignored);
	return pg_mbstrlen_with_len(as_text.val.string.val, as_text.val.string.len);
}

static const char *
unit_of(const JsonbValue *value)
{
	if (value->type != jbvBinary)
		return "characters";
	return postrider_value_is_array(value) ? "elements" : "keys";
}

static bool
apply_min_length(const Check *check, const JsonbValue *value, char **problem)
{
	int			length = length_of(value);

	return length >= check->integer ||
		postrider_refuse(problem, "%s has %d %s, and at least %d are needed",
						 postrider_value_show(value), length, unit_of(value),
						 check->integer);
}

static bool
apply_max_length(const Check *check, const JsonbValue *value, char **problem)
{
	int			length = length_of(value);

	return length <= check->integer ||
		postrider_refuse(problem, "%s has %d %s, and at most %d are allowed",
						 postrider_value_show(value), length, unit_of(value),
						 check->integer);
}

/*
 * Patterns and lists
 */

static bool
compile_pattern(Check *check, char **problem)
{
	if (check->argument.type != jbvString)
		return postrider_refuse(problem, "\"pattern\" is %s, not a regular expression",
								postrider_value_show(&check->argument));
	check->state = postrider_pattern_compile(check->argument.val.string.val,
											 check->argument.val.string.len,
											 false, false, problem);
	return check->state != NULL;
}

static bool
apply_pattern(const Check *check, const JsonbValue *value, char **problem)
{
	JsonbValue	as_text = *value;
	bool		matches;

	if (!postrider_value_to_text(&as_text, problem) ||
		!postrider_pattern_matches(check->state, as_text.val.string.val,
								   as_text.val.string.len, &matches, problem))
		return false;
	return matches || postrider_refuse(problem, "%s does not match %s",
									   postrider_value_show(value),
									   postrider_value_show(&check->argument));
}

static bool
compile_one_of(Check *check, char **problem)
{
	return postrider_value_is_array(&check->argument) ||
		postrider_refuse(problem, "\"one_of\" is %s, not a list of values",
						 postrider_value_show(&check->argument));
}

static bool
apply_one_of(const Check *check, const JsonbValue *value, char **problem)
{
	JsonbContainer *list = check->argument.val.binary.data;
	int			count = JsonContainerSize(list);

	for (int i = 0; i < count; i++)
	{
		JsonbValue *allowed = getIthJsonbValueFromContainer(list, i);

		if (postrider_value_equal(allowed, value))
			return true;
	}
	return postrider_refuse(problem, "%s is not one of the %d values allowed",
							postrider_value_show(value), count);
}

/*
 * Telephone numbers and dates
 */

static bool
compile_phone(Check *check, char **problem)
{
	if (!check->has_argument)
		return true;
	if (check->argument.type != jbvString)
		return postrider_refuse(problem, "\"phone\" is %s, not a country",
								postrider_value_show(&check->argument));
	check->state = pnstrdup(check->argument.val.string.val,
							check->argument.val.string.len);
	return postrider_phone_country(check->state, problem) != NULL;
}

static bool
apply_phone(const Check *check, const JsonbValue *value, char **problem)
{
	JsonbValue	as_text = *value;

	return postrider_value_to_text(&as_text, problem) &&
		postrider_phone_normalize(as_text.val.string.val, as_text.val.string.len,
								  check->state, problem) != NULL;
}

static bool
compile_date(Check *check, char **problem)
{
	const char *format = strcmp(check->entry->name, "datetime") == 0 ? "datetime" : "date";

	if (check->has_argument && check->argument.type != jbvString)
		return postrider_refuse(problem, "\"%s\" is %s, not a format", check->entry->name,
								postrider_value_show(&check->argument));
	if (check->has_argument)
		format = pnstrdup(check->argument.val.string.val,
						  check->argument.val.string.len);
	check->state = postrider_date_format_compile(format, true, problem);
	return check->state != NULL;
}

static bool
apply_date(const Check *check, const JsonbValue *value, char **problem)
{
	JsonbValue	as_text = *value;

	return postrider_value_to_text(&as_text, problem) &&
		postrider_date_is_valid(as_text.val.string.val, as_text.val.string.len,
								check->state, problem);
}

const CheckEntry postrider_value_checks[] = {
	{"min", CHECK_WITH_VALUE, .compile = compile_bound, .apply = apply_min,
		.description = "A number of at least this", .example = "{\"min\": 0}"},
	{"max", CHECK_WITH_VALUE, .compile = compile_bound, .apply = apply_max,
		.description = "A number of at most this", .example = "{\"max\": 100}"},
	{"min_length", CHECK_WITH_VALUE, .compile = compile_length,
		.apply = apply_min_length,
		.description = "At least so many characters, elements or keys",
	.example = "{\"min_length\": 1}"},
	{"max_length", CHECK_WITH_VALUE, .compile = compile_length,
		.apply = apply_max_length,
		.description = "At most so many characters, elements or keys",
	.example = "{\"max_length\": 100}"},
	{"pattern", CHECK_WITH_VALUE, .compile = compile_pattern, .apply = apply_pattern,
		.description = "A regular expression matches somewhere; ^ and $ tie it to the ends",
	.example = "{\"pattern\": \"^[A-Z]{3}$\"}"},
	{"one_of", CHECK_WITH_VALUE, .compile = compile_one_of, .apply = apply_one_of,
		.description = "One of these values", .example = "{\"one_of\": [\"a\", \"b\"]}"},
	{"phone", CHECK_MAY_HAVE_VALUE, .compile = compile_phone, .apply = apply_phone,
		.description = "A telephone number, with its country code or of the country given",
	.example = "{\"phone\": \"FR\"}"},
	{"date", CHECK_MAY_HAVE_VALUE, .compile = compile_date, .apply = apply_date,
		.description = "A date that exists, as YYYY-MM-DD or in the format given",
	.example = "{\"date\": \"DD/MM/YYYY\"}"},
	{"datetime", CHECK_MAY_HAVE_VALUE, .compile = compile_date, .apply = apply_date,
		.description = "A date and time of ISO 8601, or in the format given",
	.example = "\"datetime\""},
	{"not", CHECK_OF_CHECK,
		.description = "A check that must not pass", .example = "{\"not\": {\"one_of\": [\"N/A\"]}}"},
	{"any", CHECK_OF_CHECKS,
		.description = "One of several checks passes", .example = "{\"any\": [\"email\", \"phone\"]}"},
	{"all", CHECK_OF_CHECKS, .takes_null = true, .all = true,
		.description = "All of several checks pass", .example = "{\"all\": [\"email\", {\"max_length\": 100}]}"},
	{NULL}
};
