/*-------------------------------------------------------------------------
 *
 * schema_format.c
 *	  The formats of JSON Schema's format-assertion vocabulary: the table, and
 *	  those that need a few lines only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_format.h"
#include "content/schema_format_internal.h"
#include "content/schema_pattern.h"

/* RFC 9562, without a look at version and variant. */
static bool
format_uuid(const char *value, int len)
{
	if (len != 36)
		return false;
	for (int i = 0; i < len; i++)
	{
		if (i == 8 || i == 13 || i == 18 || i == 23)
		{
			if (value[i] != '-')
				return false;
		}
		else if (!format_is_hex(value[i]))
			return false;
	}
	return true;
}

/* RFC 6901 */
static bool
format_json_pointer(const char *value, int len)
{
	if (len > 0 && value[0] != '/')
		return false;
	for (int i = 0; i < len; i++)
	{
		if (value[i] == '~' &&
			(i + 1 == len || (value[i + 1] != '0' && value[i + 1] != '1')))
			return false;
	}
	return true;
}

/* How many bytes a number without leading zeros takes; 0 if there is none. */
static int
plain_number_length(const char *value, int len)
{
	int			at = 0;

	if (len > 0 && value[0] == '0')
		return 1;
	while (at < len && format_is_digit(value[at]))
		at++;
	return at;
}

/*
 * draft-bhutton-relative-json-pointer-00, which 2020-12 refers to: steps up,
 * an optional shift of the array index, then a JSON pointer or #.
 */
static bool
format_relative_json_pointer(const char *value, int len)
{
	int			at = plain_number_length(value, len);

	if (at == 0)
		return false;
	if (at < len && (value[at] == '+' || value[at] == '-'))
	{
		int			shift = plain_number_length(value + at + 1, len - at - 1);

		if (shift == 0)
			return false;
		at += 1 + shift;
	}
	if (len - at == 1 && value[at] == '#')
		return true;
	return format_json_pointer(value + at, len - at);
}

/* Sorted by name. */
static const SchemaFormat formats[] = {
	{"date", "a valid date, such as 2026-01-31", postrider_format_date},
	{"date-time", "a valid date and time, such as 2026-01-31T08:30:00Z", postrider_format_date_time},
	{"duration", "a valid duration, such as P3D or PT90M", postrider_format_duration},
	{"email", "a valid email address", postrider_format_email},
	{"hostname", "a valid host name", postrider_format_hostname},
	{"idn-email", "a valid email address", postrider_format_idn_email},
	{"idn-hostname", "a valid host name", postrider_format_idn_hostname},
	{"ipv4", "a valid IPv4 address", postrider_format_ipv4},
	{"ipv6", "a valid IPv6 address", postrider_format_ipv6},
	{"iri", "a valid IRI", postrider_format_iri},
	{"iri-reference", "a valid IRI reference", postrider_format_iri_reference},
	{"json-pointer", "a valid JSON pointer", format_json_pointer},
	{"regex", "a valid regular expression", postrider_schema_pattern_is_valid},
	{"relative-json-pointer", "a valid relative JSON pointer", format_relative_json_pointer},
	{"time", "a valid time with its offset, such as 08:30:00Z", postrider_format_time},
	{"uri", "a valid URI", postrider_format_uri},
	{"uri-reference", "a valid URI reference", postrider_format_uri_reference},
	{"uri-template", "a valid URI template", postrider_format_uri_template},
	{"uuid", "a valid UUID", format_uuid},
};

const SchemaFormat *
postrider_schema_format_find(const char *name, int len)
{
	for (Size i = 0; i < lengthof(formats); i++)
	{
		if (strncmp(formats[i].name, name, len) == 0 && formats[i].name[len] == '\0')
			return &formats[i];
	}
	return NULL;
}

int
postrider_schema_format_count(void)
{
	return lengthof(formats);
}

const SchemaFormat *
postrider_schema_format_get(int index)
{
	return &formats[index];
}
