/*-------------------------------------------------------------------------
 *
 * mapping_value.c
 *	  Types, look-ups and lengths of single values of a mapping.
 *
 * A value becomes one of another type where nothing is lost: "12" an integer,
 * 12.0 too, 12 a string.  "12.5" does not become an integer, and neither does
 * "007", for the zeros would be gone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mapping_internal.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* Of a value in a message, in bytes. */
#define MAX_SHOWN 60

/* What numeric can take is far more; no receiver can. */
#define MAX_NUMBER_BYTES 1000
#define MAX_EXPONENT 1000

static const char *const type_names[] = {
	[TYPE_ANY] = "any",
	[TYPE_STRING] = "string",
	[TYPE_INTEGER] = "integer",
	[TYPE_NUMBER] = "number",
	[TYPE_BOOLEAN] = "boolean",
	[TYPE_ARRAY] = "array",
	[TYPE_OBJECT] = "object",
	[TYPE_DATE] = "date",
	[TYPE_DATETIME] = "date-time"
};

const char *
postrider_mapping_type_name(FieldType type)
{
	return type_names[type];
}

/* The value as a message shows it, cut off if it is long. */
const char *
postrider_mapping_show(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return "null";
		case jbvBool:
			return value->val.boolean ? "true" : "false";
		case jbvNumeric:
			{
				char	   *string = DatumGetCString(DirectFunctionCall1(numeric_out,
																		 NumericGetDatum(value->val.numeric)));

				if (strlen(string) > MAX_SHOWN)
					strcpy(string + MAX_SHOWN, "...");
				return string;
			}
		case jbvString:
			{
				int			length = pg_mbcliplen(value->val.string.val,
												  value->val.string.len,
												  MAX_SHOWN);

				return psprintf("\"%.*s%s\"", length, value->val.string.val,
								length < value->val.string.len ? "..." : "");
			}
		case jbvBinary:
			return JsonContainerIsArray(value->val.binary.data) ? "an array" :
				"an object";
		default:
			return "a value";
	}
}

/* Arrays and objects to the stored form, a scalar out of its wrapping. */
void
postrider_mapping_normalize(JsonbValue *value)
{
	if (value->type == jbvArray || value->type == jbvObject)
		JsonbToJsonbValue(JsonbValueToJsonb(value), value);
	if (value->type == jbvBinary &&
		JsonContainerIsScalar(value->val.binary.data))
	{
		JsonbValue	scalar;

		postrider_mapping_child(value->val.binary.data, 0, &scalar);
		*value = scalar;
	}
}

static int
numeric_scale_of(Numeric number)
{
	Datum		result;

	LOCAL_FCINFO(fcinfo, 1);

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = NumericGetDatum(number);
	fcinfo->args[0].isnull = false;
	result = numeric_scale(fcinfo);
	return fcinfo->isnull ? -1 : DatumGetInt32(result);
}

static Numeric
trim_scale(Numeric number)
{
	return DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale,
											   NumericGetDatum(number)));
}

static int
count_digits(const char *string, const char *end)
{
	int			count = 0;

	while (string + count < end && string[count] >= '0' && string[count] <= '9')
		count++;
	return count;
}

/*
 * True if the text is a number as JSON writes it.  The rest of what numeric
 * would read (blanks, NaN, 0x10) is not what a number looks like.
 */
static bool
is_json_number(const char *string, int length)
{
	const char *end = string + length;
	int			digits;

	if (length > MAX_NUMBER_BYTES)
		return false;
	if (string < end && *string == '-')
		string++;
	digits = count_digits(string, end);
	if (digits == 0 || (digits > 1 && *string == '0'))
		return false;
	string += digits;
	if (string < end && *string == '.')
	{
		digits = count_digits(++string, end);
		if (digits == 0)
			return false;
		string += digits;
	}
	if (string < end && (*string == 'e' || *string == 'E'))
	{
		string++;
		if (string < end && (*string == '+' || *string == '-'))
			string++;
		digits = count_digits(string, end);
		if (digits == 0 || digits > 4)
			return false;
		if (atoi(pnstrdup(string, digits)) > MAX_EXPONENT)
			return false;
		string += digits;
	}
	return string == end;
}

static bool
to_number(JsonbValue *value)
{
	char	   *string;

	if (value->type == jbvNumeric)
		return true;
	if (value->type != jbvString ||
		!is_json_number(value->val.string.val, value->val.string.len))
		return false;
	string = pnstrdup(value->val.string.val, value->val.string.len);
	value->type = jbvNumeric;
	value->val.numeric =
		DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(string),
											ObjectIdGetDatum(InvalidOid),
											Int32GetDatum(-1)));
	return true;
}

static bool
to_integer(JsonbValue *value)
{
	if (!to_number(value))
		return false;
	if (numeric_scale_of(value->val.numeric) == 0)
		return true;
	value->val.numeric = trim_scale(value->val.numeric);
	return numeric_scale_of(value->val.numeric) == 0;
}

static bool
to_boolean(JsonbValue *value)
{
	bool		result;

	if (value->type == jbvBool)
		return true;
	if (value->type == jbvString && value->val.string.len == 4 &&
		memcmp(value->val.string.val, "true", 4) == 0)
		result = true;
	else if (value->type == jbvString && value->val.string.len == 5 &&
			 memcmp(value->val.string.val, "false", 5) == 0)
		result = false;
	else if (value->type == jbvNumeric)
	{
		const char *shown = postrider_mapping_show(value);

		if (strcmp(shown, "1") != 0 && strcmp(shown, "0") != 0)
			return false;
		result = shown[0] == '1';
	}
	else
		return false;
	value->type = jbvBool;
	value->val.boolean = result;
	return true;
}

/* The text of a scalar that is not null; false for anything else. */
bool
postrider_mapping_scalar_text(const JsonbValue *value, char **string,
							  int *length)
{
	switch (value->type)
	{
		case jbvString:
			*string = value->val.string.val;
			*length = value->val.string.len;
			return true;
		case jbvNumeric:
			*string = DatumGetCString(DirectFunctionCall1(numeric_out,
														  NumericGetDatum(value->val.numeric)));
			*length = strlen(*string);
			return true;
		case jbvBool:
			*string = value->val.boolean ? "true" : "false";
			*length = value->val.boolean ? 4 : 5;
			return true;
		default:
			return false;
	}
}

static bool
to_string(JsonbValue *value)
{
	char	   *string;
	int			length;

	if (value->type == jbvString)
		return true;
	if (!postrider_mapping_scalar_text(value, &string, &length))
		return false;
	value->type = jbvString;
	value->val.string.val = string;
	value->val.string.len = length;
	return true;
}

/* A single value becomes an array of one. */
static bool
to_array(JsonbValue *value)
{
	if (value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
		postrider_mapping_wrap(value);
	return true;
}

static bool
is_object(const JsonbValue *value)
{
	return value->type == jbvBinary &&
		JsonContainerIsObject(value->val.binary.data);
}

/* Two or four digits from *string on, which is moved past them; -1: none. */
static int
take_digits(const char **string, const char *end, int count)
{
	int			result = 0;

	if (count_digits(*string, end) < count)
		return -1;
	for (int i = 0; i < count; i++)
		result = result * 10 + *(*string)++ - '0';
	return result;
}

static bool
take_character(const char **string, const char *end, const char *characters)
{
	if (*string == end || **string == '\0' ||
		strchr(characters, **string) == NULL)
		return false;
	(*string)++;
	return true;
}

/* YYYY-MM-DD, a day that there is. */
static bool
take_date(const char **string, const char *end)
{
	static const int days[] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};
	int			year = take_digits(string, end, 4);
	int			month;
	int			day;

	if (year < 1 || !take_character(string, end, "-"))
		return false;
	month = take_digits(string, end, 2);
	if (month < 1 || month > 12 || !take_character(string, end, "-"))
		return false;
	day = take_digits(string, end, 2);
	if (month == 2 && day == 29)
		return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return day >= 1 && day <= days[month - 1];
}

/* HH:MM:SS with any fraction and a zone, as RFC 3339 has it. */
static bool
take_time(const char **string, const char *end)
{
	int			hour = take_digits(string, end, 2);
	int			minute;
	int			second;

	if (hour < 0 || hour > 23 || !take_character(string, end, ":"))
		return false;
	minute = take_digits(string, end, 2);
	if (minute < 0 || minute > 59 || !take_character(string, end, ":"))
		return false;
	second = take_digits(string, end, 2);
	if (second < 0 || second > 60)
		return false;
	if (take_character(string, end, "."))
	{
		int			digits = count_digits(*string, end);

		if (digits == 0)
			return false;
		*string += digits;
	}
	if (take_character(string, end, "Zz"))
		return true;
	if (!take_character(string, end, "+-"))
		return false;
	hour = take_digits(string, end, 2);
	if (hour < 0 || hour > 23 || !take_character(string, end, ":"))
		return false;
	minute = take_digits(string, end, 2);
	return minute >= 0 && minute <= 59;
}

static bool
is_date(const JsonbValue *value)
{
	const char *string;
	const char *end;

	if (value->type != jbvString)
		return false;
	string = value->val.string.val;
	end = string + value->val.string.len;
	return take_date(&string, end) &&
		string == end;
}

static bool
is_date_time(const JsonbValue *value)
{
	const char *string;
	const char *end;

	if (value->type != jbvString)
		return false;
	string = value->val.string.val;
	end = string + value->val.string.len;
	return take_date(&string, end) &&
		take_character(&string, end, "Tt ") && take_time(&string, end) &&
		string == end;
}

/* Null has every type.  False and *problem if the value cannot be converted. */
bool
postrider_mapping_convert_type(FieldType type, JsonbValue *value,
							   char **problem)
{
	JsonbValue	original = *value;
	bool		fits = false;

	if (value->type == jbvNull)
		return true;
	switch (type)
	{
		case TYPE_ANY:
			fits = true;
			break;
		case TYPE_DATE:
			fits = is_date(value);
			break;
		case TYPE_DATETIME:
			fits = is_date_time(value);
			break;
		case TYPE_STRING:
			fits = to_string(value);
			break;
		case TYPE_INTEGER:
			fits = to_integer(value);
			break;
		case TYPE_NUMBER:
			fits = to_number(value);
			break;
		case TYPE_BOOLEAN:
			fits = to_boolean(value);
			break;
		case TYPE_ARRAY:
			fits = to_array(value);
			break;
		case TYPE_OBJECT:
			fits = is_object(value);
			break;
	}
	if (!fits)
		*problem = psprintf("%s is not %s %s%s",
							postrider_mapping_show(&original),
							strchr("aio", type_names[type][0]) ? "an" : "a",
							type_names[type],
							type == TYPE_DATE ? " (YYYY-MM-DD)" :
							type == TYPE_DATETIME ?
							" (YYYY-MM-DDTHH:MM:SS with Z or an offset)" : "");
	return fits;
}

/* "max_length", in characters. */
bool
postrider_mapping_limit_length(const MappingField *field, JsonbValue *value,
							   char **problem)
{
	int			length;

	if (field->max_length == 0 || value->type == jbvNull)
		return true;
	if (value->type != jbvString)
	{
		*problem = psprintf("%s is not a string, which \"max_length\" needs%s",
							postrider_mapping_show(value),
							value->type == jbvBinary ? "" :
							"; \"type\": \"string\" makes it one");
		return false;
	}
	if (value->val.string.len <= field->max_length)
		return true;
	length = pg_mbstrlen_with_len(value->val.string.val, value->val.string.len);
	if (length <= field->max_length)
		return true;
	if (!field->truncate)
	{
		*problem = psprintf("has %d characters, more than %d", length,
							field->max_length);
		return false;
	}
	value->val.string.len = pg_mbcharcliplen(value->val.string.val,
											 value->val.string.len,
											 field->max_length);
	return true;
}

/* "lookup": by the text of the value.  Null is left to "default". */
bool
postrider_mapping_look_up(const MappingField *field, JsonbValue *value,
						  char **problem)
{
	JsonbValue	key = *value;
	char	   *string;
	int			length;

	if (field->lookup == NULL || value->type == jbvNull)
		return true;
	if (value->type == jbvNumeric &&
		numeric_scale_of(value->val.numeric) != 0)
		key.val.numeric = trim_scale(value->val.numeric);
	if (!postrider_mapping_scalar_text(&key, &string, &length))
	{
		*problem = psprintf("%s cannot be looked up",
							postrider_mapping_show(value));
		return false;
	}
	if (getKeyJsonValueFromContainer(&field->lookup->root, string, length,
									 value) != NULL)
		return true;
	if (field->has_lookup_other)
	{
		*value = field->lookup_other;
		return true;
	}
	*problem = psprintf("%s is not in \"lookup\", which has no \"*\"",
						postrider_mapping_show(&key));
	return false;
}
