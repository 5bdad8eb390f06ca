/*-------------------------------------------------------------------------
 *
 * escape.c
 *	  Values written into URLs, forms, JSON, XML and headers, so that they stay
 *	  values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/escape.h"

#define CDATA_SPLIT "]]><![CDATA["

static const char hex_digits[] = "0123456789ABCDEF";

static bool
is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9');
}

static void
append_percent(StringInfo out, unsigned char c)
{
	char		encoded[3] = {'%', hex_digits[c >> 4], hex_digits[c & 0x0f]};

	appendBinaryStringInfo(out, encoded, sizeof(encoded));
}

/* unreserved of RFC 3986 section 2.3 */
void
postrider_escape_percent(StringInfo out, const char *bytes, int length)
{
	for (int i = 0; i < length; i++)
	{
		char		c = bytes[i];

		if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~')
			appendStringInfoCharMacro(out, c);
		else
			append_percent(out, (unsigned char) c);
	}
}

/* application/x-www-form-urlencoded of the WHATWG URL standard */
static void
append_form(StringInfo out, const char *bytes, int length)
{
	for (int i = 0; i < length; i++)
	{
		char		c = bytes[i];

		if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '*')
			appendStringInfoCharMacro(out, c);
		else if (c == ' ')
			appendStringInfoCharMacro(out, '+');
		else
			append_percent(out, (unsigned char) c);
	}
}

void
postrider_escape_cloudevents(StringInfo out, const char *bytes, int length)
{
	for (int i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) bytes[i];

		if (c > 0x20 && c < 0x7f && c != '"' && c != '%')
			appendStringInfoCharMacro(out, (char) c);
		else
			append_percent(out, c);
	}
}

static void
append_json(StringInfo out, const char *bytes, int length)
{
	for (int i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) bytes[i];

		switch (c)
		{
			case '"':
				appendStringInfoString(out, "\\\"");
				break;
			case '\\':
				appendStringInfoString(out, "\\\\");
				break;
			case '\n':
				appendStringInfoString(out, "\\n");
				break;
			case '\r':
				appendStringInfoString(out, "\\r");
				break;
			case '\t':
				appendStringInfoString(out, "\\t");
				break;
			default:
				if (c < ' ')
					appendStringInfo(out, "\\u%04x", c);
				else
					appendStringInfoCharMacro(out, (char) c);
				break;
		}
	}
}

/*
 * Can XML 1.0 hold the text at all?  Not control characters, and not U+FFFE
 * and U+FFFF.
 */
static bool
is_xml_text(const char *bytes, int length)
{
	for (int i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) bytes[i];

		if (c < ' ' && c != '\t' && c != '\n' && c != '\r')
			return false;
		if (c == 0xef && length - i >= 3 && (unsigned char) bytes[i + 1] == 0xbf &&
			(unsigned char) bytes[i + 2] >= 0xbe)
			return false;
	}
	return true;
}

/*
 * Serves text and both kinds of attributes; there blanks would be normalised.  Text
 * must not have ]]> in it, and the > may be the template's.
 */
static void
append_xml(StringInfo out, const char *bytes, int length)
{
	for (int i = 0; i < length; i++)
	{
		switch (bytes[i])
		{
			case '<':
				appendStringInfoString(out, "&lt;");
				break;
			case '>':
				appendStringInfoString(out, "&gt;");
				break;
			case '&':
				appendStringInfoString(out, "&amp;");
				break;
			case '"':
				appendStringInfoString(out, "&quot;");
				break;
			case '\'':
				appendStringInfoString(out, "&#39;");
				break;
			case '\t':
				appendStringInfoString(out, "&#9;");
				break;
			case '\n':
				appendStringInfoString(out, "&#10;");
				break;
			case '\r':
				appendStringInfoString(out, "&#13;");
				break;
			case ']':
				appendStringInfoString(out, i == length - 1 ? "&#93;" : "]");
				break;
			default:
				appendStringInfoCharMacro(out, bytes[i]);
				break;
		}
	}
}

/*
 * The end mark ]]> must not come about, neither in the value nor where it
 * touches what is before and after it: the section is closed and opened
 * again before each >, and after a ] at the end.
 */
static void
append_cdata(StringInfo out, const char *bytes, int length)
{
	for (int i = 0; i < length; i++)
	{
		if (bytes[i] == '>')
			appendStringInfoString(out, CDATA_SPLIT);
		appendStringInfoCharMacro(out, bytes[i]);
	}
	if (out->len > 0 && out->data[out->len - 1] == ']')
		appendStringInfoString(out, CDATA_SPLIT);
}

/* As content/header.h has it. */
static bool
has_control_byte(const char *bytes, int length)
{
	for (int i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) bytes[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

/* Dots alone would name the folder or the one above it, encoded or not. */
static const char *
append_path(StringInfo out, const char *bytes, int length)
{
	if (length == 0)
		return "is empty, and in the path of a URL that would name something else";
	if (length <= 2 && strncmp(bytes, "..", length) == 0)
		return "is \".\" or \"..\", and in the path of a URL that would name something else";
	postrider_escape_percent(out, bytes, length);
	return NULL;
}

const char *
postrider_escape(StringInfo out, ValueEscape escape, const char *bytes,
				 int length)
{
	switch (escape)
	{
		case ESCAPE_NONE:
			appendBinaryStringInfo(out, bytes, length);
			break;
		case ESCAPE_PATH:
			return append_path(out, bytes, length);
		case ESCAPE_QUERY:
			postrider_escape_percent(out, bytes, length);
			break;
		case ESCAPE_FORM:
			append_form(out, bytes, length);
			break;
		case ESCAPE_JSON_VALUE:
			appendStringInfoChar(out, '"');
			append_json(out, bytes, length);
			appendStringInfoChar(out, '"');
			break;
		case ESCAPE_JSON_STRING:
			append_json(out, bytes, length);
			break;
		case ESCAPE_XML:
		case ESCAPE_CDATA:
			if (!is_xml_text(bytes, length))
				return "has a control character, which XML cannot hold";
			if (escape == ESCAPE_XML)
				append_xml(out, bytes, length);
			else
				append_cdata(out, bytes, length);
			break;
		case ESCAPE_HEADER:
			if (has_control_byte(bytes, length))
				return "has a line break or another control character, which a header cannot hold";
			appendBinaryStringInfo(out, bytes, length);
			break;
	}
	return NULL;
}
