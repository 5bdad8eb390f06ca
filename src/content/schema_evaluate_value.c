/*-------------------------------------------------------------------------
 *
 * schema_evaluate_value.c
 *	  Evaluates the keywords of JSON Schema about strings, numbers, and values
 *	  of any type (enum, const).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_evaluate.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

/*
 * Strings
 */

/* Characters, which are counted only if the bytes leave a doubt. */
static bool
evaluate_length(Evaluation *e, const StringRules *rules, const Value *value,
				const Place *place)
{
	int64		length = value->length;

	if (length < rules->min_length || length > rules->max_length || rules->min_length > 0)
		length = pg_mbstrlen_with_len(value->as.string, value->length);
	if (length < rules->min_length)
		return FAIL(e, place, "minLength", "must have at least %lld %s, but has %lld",
					(long long) rules->min_length,
					NOUN(rules->min_length, "character", "characters"), (long long) length);
	if (length > rules->max_length)
		return FAIL(e, place, "maxLength", "must have at most %lld %s, but has %lld",
					(long long) rules->max_length,
					NOUN(rules->max_length, "character", "characters"), (long long) length);
	return true;
}

/* Patterns and formats look at UTF-8, and may need memory for a moment. */
static bool
matches(Evaluation *e, SchemaPattern *pattern, const SchemaFormat *format,
		const char *string, int length)
{
	MemoryContext old = MemoryContextSwitchTo(e->schema->scratch);
	char	   *utf8 = pg_server_to_any(string, length, PG_UTF8);
	bool		result;

	if (utf8 != string)
		length = strlen(utf8);
	if (pattern)
		result = postrider_schema_pattern_matches(pattern, utf8, length);
	else
	{
		/* cppcheck-suppress nullPointer; one of the two is there */
		result = format->check(utf8, length);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(e->schema->scratch);
	return result;
}

bool
postrider_evaluate_pattern(Evaluation *e, SchemaPattern *pattern, const Value *value)
{
	return matches(e, pattern, NULL, value->as.string, value->length);
}

bool
postrider_evaluate_string(Evaluation *e, const StringRules *rules, const Value *value,
						  const Place *place)
{
	bool		valid = true;

	if (rules->min_length > 0 || value->length > rules->max_length)
		valid = evaluate_length(e, rules, value, place);
	if (!valid && STOP(e))
		return false;
	if (rules->pattern != NULL && !postrider_evaluate_pattern(e, rules->pattern, value))
		valid = FAIL(e, place, "pattern", "must match the pattern %s, but is %s",
					 postrider_message_value(&rules->pattern_source),
					 postrider_message_value(value));
	if (!valid && STOP(e))
		return false;
	if (rules->format != NULL &&
		!matches(e, NULL, rules->format, value->as.string, value->length))
		valid = FAIL(e, place, "format", "is not %s", rules->format->noun);
	return valid;
}

/*
 * Numbers
 */

typedef struct Number
{
	const Value *value;
	bool		is_small;
	int64		small;
} Number;

static inline int
compare(const Number *number, const Bound *bound)
{
	if (number->is_small && bound->is_small)
		return number->small < bound->small ? -1 : number->small > bound->small;
	return postrider_number_compare(number->value->as.number, bound->number);
}

static bool
is_multiple(Evaluation *e, const Number *number, const Bound *bound)
{
	MemoryContext old;
	bool		result;

	if (number->is_small && bound->is_small)
		return number->small % bound->small == 0;
	old = MemoryContextSwitchTo(e->schema->scratch);
	result = postrider_number_is_multiple(number->value->as.number, bound->number);
	MemoryContextSwitchTo(old);
	MemoryContextReset(e->schema->scratch);
	return result;
}

static bool
report_bound(Evaluation *e, const Place *place, const char *keyword, const char *relation,
			 const Bound *bound, const Value *value)
{
	Value		limit = {.type = TYPE_NUMBER,.as.number = bound->number};

	return FAIL(e, place, keyword, "must be %s %s, but is %s", relation,
				postrider_message_value(&limit), postrider_message_value(value));
}

bool
postrider_evaluate_number(Evaluation *e, const NumberRules *rules, const Value *value,
						  const Place *place)
{
	Number		number = {.value = value};
	bool		valid = true;

	number.is_small = postrider_number_small(value->as.number, &number.small);

#define CHECK(bound, keyword, relation, condition) \
	do { \
		if (rules->bound.number != NULL && !(condition)) \
		{ \
			valid = report_bound(e, place, keyword, relation, &rules->bound, value); \
			if (STOP(e)) \
				return false; \
		} \
	} while (0)

	CHECK(minimum, "minimum", "at least", compare(&number, &rules->minimum) >= 0);
	CHECK(maximum, "maximum", "at most", compare(&number, &rules->maximum) <= 0);
	CHECK(exclusive_minimum, "exclusiveMinimum", "more than",
		  compare(&number, &rules->exclusive_minimum) > 0);
	CHECK(exclusive_maximum, "exclusiveMaximum", "less than",
		  compare(&number, &rules->exclusive_maximum) < 0);
	CHECK(multiple_of, "multipleOf", "a multiple of",
		  is_multiple(e, &number, &rules->multiple_of));
#undef CHECK
	return valid;
}

/*
 * Any value
 */

static bool
is_listed(const ValueRules *rules, const Value *value)
{
	int			low = 0;
	int			high = rules->enum_count;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			order = postrider_value_compare(&rules->enum_values[middle], value);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool
postrider_evaluate_value(Evaluation *e, const ValueRules *rules, const Value *value,
						 const Place *place)
{
	bool		valid = true;

	if (rules->has_const && postrider_value_compare(&rules->const_value, value) != 0)
		valid = FAIL(e, place, "const", "must be %s, but is %s",
					 postrider_message_value(&rules->const_value),
					 postrider_message_value(value));
	if (!valid && STOP(e))
		return false;
	if (rules->has_enum && !is_listed(rules, value))
		valid = FAIL(e, place, "enum", "must be one of %s, but is %s",
					 postrider_message_list(rules->enum_source),
					 postrider_message_value(value));
	return valid;
}
