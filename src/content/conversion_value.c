/*-------------------------------------------------------------------------
 *
 * conversion_value.c
 *	  What conversions and checks do with values: show, copy, compare, turn
 *	  into text or a number, build lists.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "content/conversion_internal.h"
#include "content/unicode_case.h"
#include "mb/pg_wchar.h"
#include "util/compat.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* Of a value in a message, in bytes. */
#define MAX_SHOWN 60

bool
postrider_refuse(char **problem, const char *format,...)
{
	va_list		arguments;
	StringInfoData message;
	int			needed;

	initStringInfo(&message);
	do
	{
		va_start(arguments, format);
		needed = appendStringInfoVA(&message, format, arguments);
		va_end(arguments);
		if (needed > 0)
			enlargeStringInfo(&message, needed);
	} while (needed > 0);
	*problem = message.data;
	return false;
}

bool
postrider_room_for(StringInfo string, int64 more, char **problem)
{
	if (string->len + more <= CONVERSION_MAX_BYTES)
		return true;
	return postrider_refuse(problem, "the result is longer than %d MB",
							CONVERSION_MAX_BYTES / (1024 * 1024));
}

/*
 * Values as text and numbers
 */

/* Control characters are shown as "?", so that a message stays one line. */
static char *
show_text(const char *string, int length)
{
	int			shown = length;
	char	   *copy;

	if (length > MAX_SHOWN)
		shown = pg_mbcliplen(string, length, MAX_SHOWN);
	copy = psprintf("\"%.*s%s\"", shown, string, shown < length ? "..." : "");
	for (char *c = copy; *c != '\0'; c++)
	{
		if (iscntrl((unsigned char) *c) && !IS_HIGHBIT_SET(*c))
			*c = '?';
	}
	return copy;
}

/* The value as a message shows it, cut off if it is long. */
const char *
postrider_value_show(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return "null";
		case jbvBool:
			return value->val.boolean ? "true" : "false";
		case jbvNumeric:
			{
				char	   *string = postrider_number_to_text(value->val.numeric);

				if (strlen(string) > MAX_SHOWN)
					strcpy(string + MAX_SHOWN, "...");
				return string;
			}
		case jbvString:
			return show_text(value->val.string.val, value->val.string.len);
		default:
			return postrider_value_kind(value);
	}
}

const char *
postrider_value_kind(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return "null";
		case jbvBool:
			return "a boolean";
		case jbvNumeric:
			return "a number";
		case jbvString:
			return "text";
		default:
			return postrider_value_is_array(value) ? "an array" : "an object";
	}
}

void
postrider_value_set_text(JsonbValue *value, char *string, int length)
{
	value->type = jbvString;
	value->val.string.val = string;
	value->val.string.len = length;
}

void
postrider_value_set_string(JsonbValue *value, StringInfo string)
{
	postrider_value_set_text(value, string->data, string->len);
}

void
postrider_value_set_int64(JsonbValue *value, int64 number)
{
	value->type = jbvNumeric;
	value->val.numeric = int64_to_numeric(number);
}

bool
postrider_value_to_text(JsonbValue *value, char **problem)
{
	char	   *string;

	switch (value->type)
	{
		case jbvString:
			return true;
		case jbvNumeric:
			string = postrider_number_to_text(value->val.numeric);
			break;
		case jbvBool:
			string = pstrdup(value->val.boolean ? "true" : "false");
			break;
		default:
			return postrider_refuse(problem, "text is needed, and this is %s",
									postrider_value_kind(value));
	}
	postrider_value_set_text(value, string, strlen(string));
	return true;
}

char *
postrider_number_to_text(Numeric number)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(number)));
}

bool
postrider_is_number(const char *string, int length)
{
	const char *end = string + length;
	int			digits = 0;
	int			exponent = 0;
	bool		exponent_digits = false;

	if (string < end && (*string == '-' || *string == '+'))
		string++;
	for (; string < end && isdigit((unsigned char) *string); string++)
		digits++;
	if (string < end && *string == '.')
	{
		int			before = digits;

		for (string++; string < end && isdigit((unsigned char) *string); string++)
			digits++;
		if (digits == before)
			return false;
	}
	if (digits == 0 || digits > CONVERSION_MAX_DIGITS)
		return false;
	if (string < end && (*string == 'e' || *string == 'E'))
	{
		string++;
		if (string < end && (*string == '-' || *string == '+'))
			string++;
		for (; string < end && isdigit((unsigned char) *string); string++)
		{
			exponent = Min(exponent * 10 + (*string - '0'),
						   CONVERSION_MAX_DIGITS + 1);
			exponent_digits = true;
		}
		if (!exponent_digits || exponent > CONVERSION_MAX_DIGITS)
			return false;
	}
	return string == end;
}

/* For what postrider_is_number accepts; numeric_in cannot fail on it. */
Numeric
postrider_number_from_text(const char *string, int length)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in,
											   CStringGetDatum(pnstrdup(string, length)),
											   ObjectIdGetDatum(InvalidOid),
											   Int32GetDatum(-1)));
}

bool
postrider_value_to_number(JsonbValue *value, char **problem)
{
	const char *string;
	int			length;

	if (value->type == jbvNumeric)
	{
		if (strlen(postrider_number_to_text(value->val.numeric)) <=
			2 * CONVERSION_MAX_DIGITS + 2)
			return true;
		return postrider_refuse(problem, "the number has more than %d digits",
								CONVERSION_MAX_DIGITS);
	}
	if (value->type == jbvString)
	{
		string = value->val.string.val;
		length = value->val.string.len;
		postrider_trim(&string, &length);
		if (postrider_is_number(string, length))
		{
			value->val.numeric = postrider_number_from_text(string, length);
			value->type = jbvNumeric;
			return true;
		}
	}
	return postrider_refuse(problem, "%s is not a number",
							postrider_value_show(value));
}

/*
 * Whole values
 */

bool
postrider_value_is_array(const JsonbValue *value)
{
	return value->type == jbvBinary &&
		JsonContainerIsArray(value->val.binary.data);
}

JsonbValue
postrider_value_copy(const JsonbValue *value)
{
	JsonbValue	copy = *value;

	if (value->type == jbvString)
		copy.val.string.val = pnstrdup(value->val.string.val,
									   value->val.string.len);
	else if (value->type == jbvNumeric)
		copy.val.numeric = memcpy(palloc(VARSIZE_ANY(value->val.numeric)),
								  value->val.numeric,
								  VARSIZE_ANY(value->val.numeric));
	else if (value->type == jbvBinary)
		copy.val.binary.data = memcpy(palloc(value->val.binary.len),
									  value->val.binary.data,
									  value->val.binary.len);
	return copy;
}

static Jsonb *
as_jsonb(const JsonbValue *value)
{
	return JsonbValueToJsonb(unconstify(JsonbValue *, value));
}

bool
postrider_value_equal(const JsonbValue *a, const JsonbValue *b)
{
	return compareJsonbContainers(&as_jsonb(a)->root, &as_jsonb(b)->root) == 0;
}

char *
postrider_value_json(const JsonbValue *value, int *length)
{
	Jsonb	   *jsonb = as_jsonb(value);
	StringInfoData string;

	initStringInfo(&string);
	(void) JsonbToCString(&string, &jsonb->root, VARSIZE(jsonb));
	*length = string.len;
	return string.data;
}

/*
 * Lists
 */

void
postrider_list_begin(ListBuilder *list)
{
	memset(list, 0, sizeof(*list));
	(void) pushJsonbValue(&list->state, WJB_BEGIN_ARRAY, NULL);
}

bool
postrider_list_add(ListBuilder *list, const JsonbValue *value, char **problem)
{
	if (++list->count > CONVERSION_MAX_ELEMENTS)
		return postrider_refuse(problem, "the result has more than %d elements",
								CONVERSION_MAX_ELEMENTS);
	if (value->type == jbvString)
		list->bytes += value->val.string.len;
	else if (value->type == jbvBinary)
		list->bytes += value->val.binary.len;
	if (list->bytes > CONVERSION_MAX_BYTES)
		return postrider_refuse(problem, "the result is longer than %d MB",
								CONVERSION_MAX_BYTES / (1024 * 1024));
	(void) pushJsonbValue(&list->state, WJB_ELEM, unconstify(JsonbValue *, value));
	return true;
}

void
postrider_list_end(ListBuilder *list, JsonbValue *value)
{
	JsonbValue *array = pushJsonbValue(&list->state, WJB_END_ARRAY, NULL);
	Jsonb	   *jsonb = JsonbValueToJsonb(array);

	value->type = jbvBinary;
	value->val.binary.data = &jsonb->root;
	value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
}
