/*-------------------------------------------------------------------------
 *
 * conversion.c
 *	  Conversions of single values: the list of them all, and what is the
 *	  same for each: reading a step, applying it, describing it.
 *
 * What a conversion is made of is said in conversion_internal.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/conversion_internal.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

/* Names are no longer, so that looking for a close one is cheap. */
#define MAX_NAME 64

static const ConversionEntry *const tables[] = {
	postrider_text_conversions,
	postrider_markup_conversions,
	postrider_code_conversions,
	postrider_list_conversions,
	postrider_value_conversions,
	postrider_number_conversions,
	postrider_contact_conversions
};

const ConversionEntry *
postrider_conversion_entry(int position)
{
	for (int i = 0; i < (int) lengthof(tables); i++)
	{
		for (const ConversionEntry *entry = tables[i]; entry->name != NULL; entry++)
		{
			if (position-- == 0)
				return entry;
		}
	}
	return NULL;
}

static const char *
name_at(int position)
{
	const ConversionEntry *entry = postrider_conversion_entry(position);

	return entry == NULL ? NULL : entry->name;
}

static const ConversionEntry *
find_entry(const char *name)
{
	const ConversionEntry *entry;

	for (int i = 0; (entry = postrider_conversion_entry(i)) != NULL; i++)
	{
		if (strcmp(entry->name, name) == 0)
			return entry;
	}
	return NULL;
}

const char *
postrider_closest_name(const char *name, const char *(*at) (int position))
{
	const char *closest = NULL;
	const char *candidate;
	int			length = strlen(name);
	int			best = Min(3, length / 2 + 1);

	if (length > MAX_NAME)
		return NULL;
	for (int i = 0; (candidate = at(i)) != NULL; i++)
	{
		int			distance;

		distance = varstr_levenshtein_less_equal(name, length, candidate,
												 strlen(candidate), 1, 1, 1,
												 best, true);
		if (distance < best)
		{
			best = distance;
			closest = candidate;
		}
	}
	return closest;
}

/*
 * Arguments
 */

static bool
argument_problem(const ConversionEntry *entry, const ArgumentEntry *expected,
				 const char *wanted, const JsonbValue *value, char **problem)
{
	return postrider_refuse(problem, "\"%s\" of \"%s\" is %s, not %s",
							expected->name, entry->name,
							postrider_value_show(value), wanted);
}

static bool
read_word(const ConversionEntry *entry, const ArgumentEntry *expected,
		  const JsonbValue *value, Argument *argument, char **problem)
{
	StringInfoData list;

	for (int i = 0; value->type == jbvString && expected->words[i] != NULL; i++)
	{
		if (strcmp(expected->words[i], argument->text) == 0)
		{
			argument->integer = i;
			return true;
		}
	}
	initStringInfo(&list);
	for (int i = 0; expected->words[i] != NULL; i++)
		appendStringInfo(&list, "%s\"%s\"", i == 0 ? "" :
						 expected->words[i + 1] == NULL ? " or " : ", ",
						 expected->words[i]);
	return argument_problem(entry, expected, list.data, value, problem);
}

/* Is the number whole and in the range? */
static bool
read_integer(const ArgumentEntry *expected, const JsonbValue *value,
			 Argument *argument)
{
	char	   *digits;
	char	   *end;
	long		number;

	if (value->type != jbvNumeric)
		return false;
	digits = postrider_number_to_text(value->val.numeric);
	errno = 0;
	number = strtol(digits, &end, 10);
	if (errno != 0 || *end != '\0' || number < expected->minimum ||
		number > expected->maximum)
		return false;
	argument->integer = number;
	return true;
}

static bool
read_texts(const JsonbValue *value, Argument *argument)
{
	JsonbContainer *array;
	int			count;

	if (!postrider_value_is_array(value))
		return false;
	array = argument->value.val.binary.data;
	count = JsonContainerSize(array);
	argument->texts = palloc(sizeof(char *) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);

		if (element == NULL || element->type != jbvString)
			return false;
		argument->texts[argument->text_count++] =
			pnstrdup(element->val.string.val, element->val.string.len);
	}
	return true;
}

static bool
read_argument(const ConversionEntry *entry, const ArgumentEntry *expected,
			  const JsonbValue *value, Argument *argument, char **problem)
{
	const char *wanted = NULL;

	argument->given = true;
	argument->value = postrider_value_copy(value);
	if (value->type == jbvString)
	{
		argument->text = pnstrdup(value->val.string.val, value->val.string.len);
		argument->length = value->val.string.len;
	}
	else if (value->type == jbvBool)
		argument->boolean = value->val.boolean;

	switch (expected->kind)
	{
		case ARGUMENT_TEXT:
			if (value->type != jbvString)
				wanted = "text";
			break;
		case ARGUMENT_BOOLEAN:
			if (value->type != jbvBool)
				wanted = "true or false";
			break;
		case ARGUMENT_NUMBER:
			if (!postrider_value_to_number(&argument->value, problem))
				wanted = "a number";
			break;
		case ARGUMENT_INTEGER:
			if (!read_integer(expected, value, argument))
				wanted = psprintf("a whole number from %d to %d",
								  expected->minimum, expected->maximum);
			break;
		case ARGUMENT_WORD:
			return read_word(entry, expected, value, argument, problem);
		case ARGUMENT_TEXTS:
			if (!read_texts(value, argument))
				wanted = "a list of texts";
			break;
		case ARGUMENT_OBJECT:
			if (value->type != jbvBinary ||
				!JsonContainerIsObject(value->val.binary.data))
				wanted = "an object";
			break;
		case ARGUMENT_VALUE:
			break;
	}
	return wanted == NULL ||
		argument_problem(entry, expected, wanted, value, problem);
}

char *
postrider_conversion_arguments(const ConversionEntry *entry)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < CONVERSION_MAX_ARGUMENTS; i++)
	{
		const ArgumentEntry *argument = &entry->arguments[i];

		if (argument->name == NULL)
			break;
		appendStringInfo(&list, "%s%s%s", i == 0 ? "" : ", ", argument->name,
						 argument->required ? "" : " (optional)");
	}
	return list.data;
}

static bool
read_named(Conversion *conversion, const char *name, const JsonbValue *value,
		   char **problem)
{
	const ConversionEntry *entry = conversion->entry;

	for (int i = 0; i < CONVERSION_MAX_ARGUMENTS; i++)
	{
		const ArgumentEntry *expected = &entry->arguments[i];

		if (expected->name == NULL)
			break;
		if (strcmp(expected->name, name) == 0)
			return read_argument(entry, expected, value,
								 &conversion->arguments[i], problem);
	}
	if (entry->arguments[0].name == NULL)
		return postrider_refuse(problem, "\"%s\" takes no arguments, and \"%s\" is one",
								entry->name, name);
	return postrider_refuse(problem, "\"%s\" has no argument \"%s\"; there is %s",
							entry->name, name,
							postrider_conversion_arguments(entry));
}

static bool
read_arguments(Conversion *conversion, const JsonbValue *given, char **problem)
{
	const ConversionEntry *entry = conversion->entry;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	char	   *name = NULL;

	if (given->type != jbvBinary || !JsonContainerIsObject(given->val.binary.data))
	{
		if (entry->arguments[0].name == NULL)
			return postrider_refuse(problem, "\"%s\" takes no arguments; write \"%s\" alone",
									entry->name, entry->name);
		if (entry->named_only)
			return postrider_refuse(problem, "the arguments of \"%s\" need names: {\"%s\": {\"%s\": ...}}",
									entry->name, entry->name,
									entry->arguments[0].name);
		return read_argument(entry, &entry->arguments[0], given,
							 &conversion->arguments[0], problem);
	}
	iterator = JsonbIteratorInit(given->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(item.val.string.val, item.val.string.len);
		else if (token == WJB_VALUE)
		{
			Assert(name != NULL);
			if (!read_named(conversion, name, &item, problem))
				return false;
		}
	}
	return true;
}

static bool
require_arguments(const Conversion *conversion, char **problem)
{
	const ConversionEntry *entry = conversion->entry;

	for (int i = 0; i < CONVERSION_MAX_ARGUMENTS; i++)
	{
		const ArgumentEntry *expected = &entry->arguments[i];

		if (expected->name == NULL)
			break;
		if (expected->required && !conversion->arguments[i].given)
			return postrider_refuse(problem, "\"%s\" needs \"%s\": {\"%s\": {\"%s\": ...}}",
									entry->name, expected->name, entry->name,
									expected->name);
	}
	return true;
}

/* 'date(iso -> epoch_ms)', 'left(5)', 'pad(length: 5, with: "0")' */
static char *
describe(const Conversion *conversion)
{
	const ConversionEntry *entry = conversion->entry;
	bool		arrow = false;
	int			shown = 0;
	StringInfoData result;

	initStringInfo(&result);
	appendStringInfoString(&result, entry->name);
	for (int i = 0; i < CONVERSION_MAX_ARGUMENTS; i++)
	{
		const Argument *argument = &conversion->arguments[i];
		const char *name = entry->arguments[i].name;
		const char *value;

		if (!argument->given)
			continue;
		value = argument->text != NULL && entry->arguments[i].kind != ARGUMENT_VALUE ?
			argument->text : postrider_value_show(&argument->value);
		appendStringInfoString(&result, shown == 0 ? "(" : "");
		if (strcmp(name, "to") == 0 && arrow)
			appendStringInfo(&result, " -> %s", value);
		else if (strcmp(name, "from") == 0 || i == 0)
			appendStringInfo(&result, "%s%s", shown == 0 ? "" : ", ", value);
		else
			appendStringInfo(&result, "%s%s: %s", shown == 0 ? "" : ", ", name, value);
		arrow = strcmp(name, "from") == 0;
		shown++;
	}
	if (shown > 0)
		appendStringInfoChar(&result, ')');
	return result.data;
}

/*
 * Compiling and applying
 */

/* Splits {"name": arguments}; a string is a name without arguments. */
static char *
read_step(const JsonbValue *step, JsonbValue *arguments, char **problem)
{
	JsonbIterator *iterator;
	JsonbValue	key;

	arguments->type = jbvNull;
	if (step->type == jbvString)
		return pnstrdup(step->val.string.val, step->val.string.len);
	if (step->type != jbvBinary || !JsonContainerIsObject(step->val.binary.data) ||
		JsonContainerSize(step->val.binary.data) != 1)
	{
		(void) postrider_refuse(problem, "a conversion is a name or an object with one key, such as \"trim\" or {\"left\": 5}, not %s",
								postrider_value_show(step));
		return NULL;
	}
	iterator = JsonbIteratorInit(step->val.binary.data);
	(void) JsonbIteratorNext(&iterator, &key, true);
	(void) JsonbIteratorNext(&iterator, &key, true);
	(void) JsonbIteratorNext(&iterator, arguments, true);
	return pnstrdup(key.val.string.val, key.val.string.len);
}

Conversion *
postrider_conversion_compile(const JsonbValue *step, char **problem)
{
	Conversion *conversion;
	const ConversionEntry *entry;
	JsonbValue	arguments;
	char	   *name = read_step(step, &arguments, problem);

	if (name == NULL)
		return NULL;
	entry = find_entry(name);
	if (entry == NULL)
	{
		const char *closest = postrider_closest_name(name, name_at);
		JsonbValue	shown = {.type = jbvString};

		shown.val.string.val = name;
		shown.val.string.len = strlen(name);
		(void) postrider_refuse(problem, "unknown conversion %s%s%s%s",
								postrider_value_show(&shown),
								closest == NULL ? "" : "; did you mean \"",
								closest == NULL ? "" : closest,
								closest == NULL ? "" : "\"?");
		return NULL;
	}
	conversion = palloc0(sizeof(Conversion));
	conversion->entry = entry;
	if ((step->type != jbvString &&
		 !read_arguments(conversion, &arguments, problem)) ||
		!require_arguments(conversion, problem) ||
		(entry->compile != NULL && !entry->compile(conversion, problem)))
		return NULL;
	conversion->description = describe(conversion);
	return conversion;
}

bool
postrider_conversion_apply(const Conversion *conversion, JsonbValue *value,
						   char **problem)
{
	const ConversionEntry *entry = conversion->entry;

	CHECK_FOR_INTERRUPTS();
	if (value->type == jbvNull && !entry->takes_null)
		return true;
	switch (entry->input)
	{
		case INPUT_TEXT:
			if (!postrider_value_to_text(value, problem))
				return false;
			break;
		case INPUT_NUMBER:
			if (!postrider_value_to_number(value, problem))
				return false;
			break;
		case INPUT_ARRAY:
			if (!postrider_value_is_array(value))
				return postrider_refuse(problem, "\"%s\" takes an array, not %s",
										entry->name, postrider_value_show(value));
			break;
		case INPUT_ANY:
			break;
	}
	return entry->apply(conversion, value, problem);
}

const char *
postrider_conversion_describe(const Conversion *conversion)
{
	return conversion->description;
}
