/*-------------------------------------------------------------------------
 *
 * conversion_list.c
 *	  Conversions of arrays, and between them and text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/conversion_internal.h"
#include "content/unicode_case.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* Levels of arrays within arrays that "flatten" goes down. */
#define MAX_FLATTEN 50

/* An array as its elements, which point into it. */
typedef struct Elements
{
	JsonbValue *values;
	int			count;
} Elements;

static void
read_elements(const JsonbValue *array, Elements *elements)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	elements->count = 0;
	elements->values = palloc_extended(sizeof(JsonbValue) *
									   (JsonContainerSize(array->val.binary.data) + 1),
									   MCXT_ALLOC_HUGE);
	iterator = JsonbIteratorInit(array->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_ELEM)
			elements->values[elements->count++] = value;
	}
}

static bool
write_elements(const Elements *elements, int from, int to, JsonbValue *value,
			   char **problem)
{
	ListBuilder list;

	postrider_list_begin(&list);
	for (int i = from; i < to; i++)
	{
		if (!postrider_list_add(&list, &elements->values[i], problem))
			return false;
	}
	postrider_list_end(&list, value);
	return true;
}

static bool
apply_count(const Conversion *conversion, JsonbValue *value, char **problem)
{
	postrider_value_set_int64(value, JsonContainerSize(value->val.binary.data));
	return true;
}

/* The element at a position, from the end if negative; null if none. */
static void
take_element(JsonbValue *value, int position)
{
	JsonbContainer *array = value->val.binary.data;
	int			count = JsonContainerSize(array);
	JsonbValue *element = NULL;

	if (position < 0)
		position += count;
	if (position >= 0 && position < count)
		element = getIthJsonbValueFromContainer(array, position);
	if (element == NULL)
		value->type = jbvNull;
	else
		*value = *element;
}

static bool
apply_pick(const Conversion *conversion, JsonbValue *value, char **problem)
{
	take_element(value, conversion->arguments[0].integer);
	return true;
}

static bool
apply_first(const Conversion *conversion, JsonbValue *value, char **problem)
{
	take_element(value, 0);
	return true;
}

static bool
apply_last(const Conversion *conversion, JsonbValue *value, char **problem)
{
	take_element(value, -1);
	return true;
}

/* Positions are those of "pick"; what is out of range is cut off. */
static bool
apply_slice(const Conversion *conversion, JsonbValue *value, char **problem)
{
	Elements	elements;
	const Argument *length = &conversion->arguments[1];
	int64		from = conversion->arguments[0].integer;
	int64		to;

	read_elements(value, &elements);
	if (from < 0)
		from = Max(0, from + elements.count);
	from = Min(from, elements.count);
	to = length->given ? Min(from + length->integer, elements.count) : elements.count;
	return write_elements(&elements, from, to, value, problem);
}

static bool
apply_reverse(const Conversion *conversion, JsonbValue *value, char **problem)
{
	Elements	elements;

	read_elements(value, &elements);
	for (int i = 0; i < elements.count / 2; i++)
	{
		JsonbValue	other = elements.values[i];

		elements.values[i] = elements.values[elements.count - 1 - i];
		elements.values[elements.count - 1 - i] = other;
	}
	return write_elements(&elements, 0, elements.count, value, problem);
}

/* Nulls and empty texts go. */
static bool
apply_compact(const Conversion *conversion, JsonbValue *value, char **problem)
{
	Elements	elements;
	int			kept = 0;

	read_elements(value, &elements);
	for (int i = 0; i < elements.count; i++)
	{
		JsonbValue *element = &elements.values[i];

		if (element->type != jbvNull &&
			!(element->type == jbvString && element->val.string.len == 0))
			elements.values[kept++] = *element;
	}
	return write_elements(&elements, 0, kept, value, problem);
}

static bool
flatten_into(ListBuilder *list, const JsonbValue *array, int depth, char **problem)
{
	Elements	elements;

	CHECK_FOR_INTERRUPTS();
	if (depth > MAX_FLATTEN)
		return postrider_refuse(problem, "the arrays are nested more than %d levels deep",
								MAX_FLATTEN);
	read_elements(array, &elements);
	for (int i = 0; i < elements.count; i++)
	{
		const JsonbValue *element = &elements.values[i];

		if (!(postrider_value_is_array(element) ?
			  flatten_into(list, element, depth + 1, problem) :
			  postrider_list_add(list, element, problem)))
			return false;
	}
	pfree(elements.values);
	return true;
}

static bool
apply_flatten(const Conversion *conversion, JsonbValue *value, char **problem)
{
	ListBuilder list;

	postrider_list_begin(&list);
	if (!flatten_into(&list, value, 1, problem))
		return false;
	postrider_list_end(&list, value);
	return true;
}

/*
 * Unique and sorted: elements are ordered as the server orders jsonb, so that
 * 1 and 1.0 are the same.
 */

typedef struct SortItem
{
	Jsonb	   *jsonb;
	int			position;
} SortItem;

static int
compare_items(const void *a, const void *b)
{
	const SortItem *one = a;
	const SortItem *other = b;
	int			order = compareJsonbContainers(&one->jsonb->root, &other->jsonb->root);

	CHECK_FOR_INTERRUPTS();
	return order != 0 ? order :
		one->position < other->position ? -1 : one->position > other->position;
}

static SortItem *
sort_elements(const Elements *elements)
{
	SortItem   *items = palloc_extended(sizeof(SortItem) * (elements->count + 1),
										MCXT_ALLOC_HUGE);

	for (int i = 0; i < elements->count; i++)
	{
		items[i].jsonb = JsonbValueToJsonb(&elements->values[i]);
		items[i].position = i;
	}
	qsort(items, elements->count, sizeof(SortItem), compare_items);
	return items;
}

/* The first of equal elements stays where it is. */
static bool
apply_unique(const Conversion *conversion, JsonbValue *value, char **problem)
{
	Elements	elements;
	SortItem   *items;
	bool	   *again;
	int			kept = 0;

	read_elements(value, &elements);
	items = sort_elements(&elements);
	again = palloc0(elements.count + 1);
	for (int i = 1; i < elements.count; i++)
		again[items[i].position] =
			compareJsonbContainers(&items[i - 1].jsonb->root, &items[i].jsonb->root) == 0;
	for (int i = 0; i < elements.count; i++)
	{
		if (!again[i])
			elements.values[kept++] = elements.values[i];
	}
	return write_elements(&elements, 0, kept, value, problem);
}

/*
 * Numbers
 */

/* All elements as numbers, without nulls. */
static bool
read_numbers(JsonbValue *array, Elements *elements, char **problem)
{
	int			kept = 0;

	read_elements(array, elements);
	for (int i = 0; i < elements->count; i++)
	{
		JsonbValue	number = elements->values[i];

		if (number.type == jbvNull)
			continue;
		if (!postrider_value_to_number(&number, problem))
			return postrider_refuse(problem, "element %d: %s", i, *problem);
		elements->values[kept++] = number;
	}
	elements->count = kept;
	return true;
}

static Numeric
add_up(const Elements *elements)
{
	Numeric		sum = int64_to_numeric(0);

	for (int i = 0; i < elements->count; i++)
	{
		sum = DatumGetNumeric(DirectFunctionCall2(numeric_add, NumericGetDatum(sum),
												  NumericGetDatum(elements->values[i].val.numeric)));
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	return sum;
}

static bool
apply_sum(const Conversion *conversion, JsonbValue *value, char **problem)
{
	Elements	elements;

	if (!read_numbers(value, &elements, problem))
		return false;
	value->type = jbvNumeric;
	value->val.numeric = add_up(&elements);
	return true;
}

static bool
apply_average(const Conversion *conversion, JsonbValue *value, char **problem)
{
	Elements	elements;
	Datum		mean;

	if (!read_numbers(value, &elements, problem))
		return false;
	if (elements.count == 0)
	{
		value->type = jbvNull;
		return true;
	}
	mean = DirectFunctionCall2(numeric_div, NumericGetDatum(add_up(&elements)),
							   NumericGetDatum(int64_to_numeric(elements.count)));
	value->type = jbvNumeric;
	value->val.numeric = DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, mean));
	return true;
}

/* The least (sign -1) or greatest (1) number; null if there is none. */
static bool
take_extreme(JsonbValue *value, int sign, char **problem)
{
	Elements	elements;
	JsonbValue *best;

	if (!read_numbers(value, &elements, problem))
		return false;
	best = elements.values;
	for (int i = 1; i < elements.count; i++)
	{
		Datum		order = DirectFunctionCall2(numeric_cmp,
												NumericGetDatum(elements.values[i].val.numeric),
												NumericGetDatum(best->val.numeric));

		if (DatumGetInt32(order) * sign > 0)
			best = &elements.values[i];
	}
	if (elements.count == 0)
		value->type = jbvNull;
	else
		*value = *best;
	return true;
}

static bool
apply_min(const Conversion *conversion, JsonbValue *value, char **problem)
{
	return take_extreme(value, -1, problem);
}

static bool
apply_max(const Conversion *conversion, JsonbValue *value, char **problem)
{
	return take_extreme(value, 1, problem);
}

/*
 * Text and arrays
 */

/* The place of the separator in text, a character at a time. */
static const char *
find_separator(const char *string, const char *end, const Argument *separator)
{
	for (; end - string >= separator->length; string += pg_mblen(string))
	{
		if (memcmp(string, separator->text, separator->length) == 0)
			return string;
	}
	return NULL;
}

static bool
apply_split(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *separator = &conversion->arguments[0];
	const Argument *trim = &conversion->arguments[1];
	const char *string = value->val.string.val;
	const char *end = string + value->val.string.len;
	ListBuilder list;

	postrider_list_begin(&list);
	while (string != NULL && value->val.string.len > 0)
	{
		const char *stop = find_separator(string, end, separator);
		const char *part = string;
		int			length = (stop == NULL ? end : stop) - string;
		JsonbValue	element;

		if (!trim->given || trim->boolean)
			postrider_trim(&part, &length);
		postrider_value_set_text(&element, unconstify(char *, part), length);
		if (!postrider_list_add(&list, &element, problem))
			return false;
		string = stop == NULL ? NULL : stop + separator->length;
	}
	postrider_list_end(&list, value);
	return true;
}

static bool
compile_split(Conversion *conversion, char **problem)
{
	if (conversion->arguments[0].length == 0)
		return postrider_refuse(problem, "\"separator\" of \"split\" is empty");
	return true;
}

/* Nulls are left out. */
static bool
apply_join(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *separator = &conversion->arguments[0];
	Elements	elements;
	StringInfoData result;
	bool		first = true;

	read_elements(value, &elements);
	initStringInfo(&result);
	for (int i = 0; i < elements.count; i++)
	{
		JsonbValue	element = elements.values[i];

		if (element.type == jbvNull)
			continue;
		if (!postrider_value_to_text(&element, problem))
			return postrider_refuse(problem, "element %d: %s", i, *problem);
		if (!postrider_room_for(&result, (int64) element.val.string.len + separator->length, problem))
			return false;
		if (!first && separator->given)
			appendBinaryStringInfo(&result, separator->text, separator->length);
		appendBinaryStringInfo(&result, element.val.string.val, element.val.string.len);
		first = false;
	}
	postrider_value_set_string(value, &result);
	return true;
}

/* One value becomes an array of it; an array stays. */
static bool
apply_to_array(const Conversion *conversion, JsonbValue *value, char **problem)
{
	ListBuilder list;

	if (postrider_value_is_array(value))
		return true;
	postrider_list_begin(&list);
	if (!postrider_list_add(&list, value, problem))
		return false;
	postrider_list_end(&list, value);
	return true;
}

const ConversionEntry postrider_list_conversions[] = {
	{"split", INPUT_TEXT, .arguments = {{"separator", ARGUMENT_TEXT, true},
			{"trim", ARGUMENT_BOOLEAN}},
		.compile = compile_split, .apply = apply_split,
		.description = "Text becomes an array of its parts, trimmed unless trim is false",
	.example = "[\"a, b,c\", {\"split\": \",\"}]"},
	{"join", INPUT_ARRAY, .arguments = {{"separator", ARGUMENT_TEXT}},
		.apply = apply_join,
		.description = "An array becomes text; nulls are left out",
	.example = "[[\"a\", null, 2], {\"join\": \", \"}]"},
	{"to_array", INPUT_ANY, .apply = apply_to_array,
		.description = "What is no array becomes an array of one element",
	.example = "[\"a\", \"to_array\"]"},
	{"pick", INPUT_ARRAY,
		.arguments = {{"position", ARGUMENT_INTEGER, true, -1000000, 1000000}},
		.apply = apply_pick,
		.description = "The element at a position; 0 is the first, -1 the last, null if there is none",
	.example = "[[\"a\", \"b\", \"c\"], {\"pick\": 1}]"},
	{"first", INPUT_ARRAY, .apply = apply_first,
		.description = "The first element",
	.example = "[[\"a\", \"b\"], \"first\"]"},
	{"last", INPUT_ARRAY, .apply = apply_last,
		.description = "The last element",
	.example = "[[\"a\", \"b\"], \"last\"]"},
	{"slice", INPUT_ARRAY,
		.arguments = {{"from", ARGUMENT_INTEGER, true, -1000000, 1000000},
			{"length", ARGUMENT_INTEGER, false, 0, 1000000}},
		.apply = apply_slice,
		.description = "Elements from a position on; 0 is the first",
	.example = "[[1, 2, 3, 4], {\"slice\": {\"from\": 1, \"length\": 2}}]"},
	{"count", INPUT_ARRAY, .apply = apply_count,
		.description = "The number of elements",
	.example = "[[1, 2, 3], \"count\"]"},
	{"sum", INPUT_ARRAY, .apply = apply_sum,
		.description = "The sum of the numbers; nulls are left out",
	.example = "[[1, \"2.50\", null], \"sum\"]"},
	{"average", INPUT_ARRAY, .apply = apply_average,
		.description = "The mean of the numbers; null if there is none",
	.example = "[[1, 2], \"average\"]"},
	{"min", INPUT_ARRAY, .apply = apply_min,
		.description = "The least number",
	.example = "[[3, 1, 2], \"min\"]"},
	{"max", INPUT_ARRAY, .apply = apply_max,
		.description = "The greatest number",
	.example = "[[3, 1, 2], \"max\"]"},
	{"unique", INPUT_ARRAY, .apply = apply_unique,
		.description = "The first of equal elements stays",
	.example = "[[\"b\", \"a\", \"b\"], \"unique\"]"},
	{"flatten", INPUT_ARRAY, .apply = apply_flatten,
		.description = "Arrays within the array are replaced by their elements",
	.example = "[[1, [2, [3]]], \"flatten\"]"},
	{"compact", INPUT_ARRAY, .apply = apply_compact,
		.description = "Nulls and empty texts go",
	.example = "[[\"a\", null, \"\"], \"compact\"]"},
	{"reverse", INPUT_ARRAY, .apply = apply_reverse,
		.description = "The other way round",
	.example = "[[1, 2, 3], \"reverse\"]"},
	{NULL}
};
