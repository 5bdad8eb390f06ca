/*-------------------------------------------------------------------------
 *
 * schema_format_uri.c
 *	  The formats uri and uri-reference (RFC 3986), iri and iri-reference
 *	  (RFC 3987), and uri-template (RFC 6570).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_format_internal.h"
#include "content/unicode_table.h"
#include "util/utf8.h"

/* Which characters may stand in a part, beside unreserved ones and %XX. */
#define PART_SUB_DELIMS		0x01	/* !$&'()*+,;= */
#define PART_COLON			0x02
#define PART_AT				0x04
#define PART_SLASH			0x08
#define PART_QUESTION		0x10
#define PART_PRIVATE		0x20	/* private use, in an IRI's query */

#define PART_USER_INFO	(PART_SUB_DELIMS | PART_COLON)
#define PART_REG_NAME	PART_SUB_DELIMS
#define PART_PATH		(PART_SUB_DELIMS | PART_COLON | PART_AT | PART_SLASH)
#define PART_FRAGMENT	(PART_PATH | PART_QUESTION)
#define PART_QUERY		(PART_FRAGMENT | PART_PRIVATE)

/* Characters beyond ASCII that an IRI may have. */
static bool
is_ucschar(uint32 code)
{
	if (code < 0xa0 || code == POSTRIDER_UTF8_BAD)
		return false;
	if (code < 0x10000)
		return code <= 0xd7ff || (code >= 0xf900 && code <= 0xfdcf) ||
			(code >= 0xfdf0 && code <= 0xffef);
	/* Plane 14 begins later, and no plane has its last two. */
	return code < 0xf0000 && (code & 0xffff) <= 0xfffd &&
		(code < 0xe0000 || code >= 0xe1000);
}

static bool
is_private(uint32 code)
{
	return (code >= 0xe000 && code <= 0xf8ff) ||
		(code >= 0xf0000 && code <= UNICODE_MAX && (code & 0xffff) <= 0xfffd);
}

static inline bool
is_percent_encoded(const char *at, const char *end)
{
	return end - at >= 3 && *at == '%' && format_is_hex(at[1]) && format_is_hex(at[2]);
}

/* Whether all from at to end may stand in such a part. */
static bool
is_part(const char *at, const char *end, int part, bool unicode)
{
	while (at < end)
	{
		char		c = *at;
		bool		good;

		if (IS_HIGHBIT_SET(c))
		{
			uint32		code;

			if (!unicode)
				return false;
			code = postrider_utf8_next(&at, end);
			if (!is_ucschar(code) && !((part & PART_PRIVATE) && is_private(code)))
				return false;
			continue;
		}
		if (c == '%')
		{
			if (!is_percent_encoded(at, end))
				return false;
			at += 3;
			continue;
		}
		if (format_is_alnum(c))
			good = true;
		else
		{
			switch (c)
			{
				case '-':
				case '.':
				case '_':
				case '~':
					good = true;
					break;
				case ':':
					good = (part & PART_COLON) != 0;
					break;
				case '@':
					good = (part & PART_AT) != 0;
					break;
				case '/':
					good = (part & PART_SLASH) != 0;
					break;
				case '?':
					good = (part & PART_QUESTION) != 0;
					break;
				default:
					good = c != '\0' && strchr("!$&'()*+,;=", c) != NULL &&
						(part & PART_SUB_DELIMS) != 0;
			}
		}
		if (!good)
			return false;
		at++;
	}
	return true;
}

/* What stands between [ and ]. */
static bool
is_ip_literal(const char *at, const char *end)
{
	const char *dot;

	if (at == end || (*at != 'v' && *at != 'V'))
		return postrider_format_ipv6(at, end - at);
	for (dot = ++at; dot < end && format_is_hex(*dot); dot++)
		;
	if (dot == at || dot == end || *dot != '.' || dot + 1 == end)
		return false;
	for (at = dot + 1; at < end; at++)
	{
		if (*at == '%' || !is_part(at, at + 1, PART_USER_INFO, false))
			return false;
	}
	return true;
}

static bool
is_authority(const char *at, const char *end, bool unicode)
{
	const char *mark = memchr(at, '@', end - at);

	if (mark != NULL)
	{
		if (!is_part(at, mark, PART_USER_INFO, unicode))
			return false;
		at = mark + 1;
	}
	if (at < end && *at == '[')
	{
		mark = memchr(at, ']', end - at);
		if (mark == NULL || !is_ip_literal(at + 1, mark))
			return false;
		at = mark + 1;
		if (at < end && *at != ':')
			return false;
	}
	else
	{
		mark = memchr(at, ':', end - at);
		if (mark == NULL)
			mark = end;
		if (!is_part(at, mark, PART_REG_NAME, unicode))
			return false;
		at = mark;
	}
	/* What is left is empty, or the colon of a port that may be empty. */
	for (at++; at < end; at++)
	{
		if (!format_is_digit(*at))
			return false;
	}
	return true;
}

/* The first of the characters from at to end; end if there is none. */
static const char *
find_any(const char *at, const char *end, const char *characters)
{
	while (at < end && (*at == '\0' || strchr(characters, *at) == NULL))
		at++;
	return at;
}

static bool
is_scheme(const char *at, const char *end)
{
	if (at == end || !format_is_alpha(*at))
		return false;
	for (; at < end; at++)
	{
		if (!format_is_alnum(*at) && *at != '+' && *at != '-' && *at != '.')
			return false;
	}
	return true;
}

static bool
is_reference(const char *value, int len, bool relative, bool unicode)
{
	const char *at = value;
	const char *end = value + len;
	const char *mark;

	/* The scheme, which a colon ends before anything else. */
	mark = find_any(at, end, ":/?#");
	if (mark < end && *mark == ':')
	{
		/* A first segment with a colon would read as a scheme. */
		if (!is_scheme(at, mark))
			return false;
		at = mark + 1;
	}
	else if (!relative)
		return false;

	if (end - at >= 2 && at[0] == '/' && at[1] == '/')
	{
		mark = find_any(at + 2, end, "/?#");
		if (!is_authority(at + 2, mark, unicode))
			return false;
		at = mark;
	}
	mark = find_any(at, end, "?#");
	if (!is_part(at, mark, PART_PATH, unicode))
		return false;
	at = mark;
	if (at < end && *at == '?')
	{
		mark = find_any(at, end, "#");
		if (!is_part(at + 1, mark, PART_QUERY, unicode))
			return false;
		at = mark;
	}
	return at == end || is_part(at + 1, end, PART_FRAGMENT, unicode);
}

bool
postrider_format_uri(const char *value, int len)
{
	return is_reference(value, len, false, false);
}

bool
postrider_format_uri_reference(const char *value, int len)
{
	return is_reference(value, len, true, false);
}

bool
postrider_format_iri(const char *value, int len)
{
	return is_reference(value, len, false, true);
}

bool
postrider_format_iri_reference(const char *value, int len)
{
	return is_reference(value, len, true, true);
}

/* Reads a variable with its modifier at *at. */
static bool
read_variable(const char **at, const char *end)
{
	const char *s = *at;
	bool		after_dot = true;	/* a character of the name must follow */

	for (;; after_dot = false)
	{
		if (s < end && (format_is_alnum(*s) || *s == '_'))
			s++;
		else if (is_percent_encoded(s, end))
			s += 3;
		else if (after_dot)
			return false;
		else
			break;
		if (s < end && *s == '.')
		{
			s++;
			if (s == end || !(format_is_alnum(*s) || *s == '_' || *s == '%'))
				return false;
		}
	}
	if (s < end && *s == '*')
		s++;
	else if (s < end && *s == ':')
	{
		const char *from = ++s;

		while (s < end && s - from < 4 && format_is_digit(*s))
			s++;
		if (s == from || *from == '0')
			return false;
	}
	*at = s;
	return true;
}

/* Reads an expression at *at, from behind its { to behind its }. */
static bool
read_expression(const char **at, const char *end)
{
	if (*at < end && **at != '\0' && strchr("+#./;?&=,!@|", **at) != NULL)
		(*at)++;
	for (;;)
	{
		if (!read_variable(at, end) || *at == end)
			return false;
		(*at)++;
		if ((*at)[-1] == '}')
			return true;
		if ((*at)[-1] != ',')
			return false;
	}
}

bool
postrider_format_uri_template(const char *value, int len)
{
	const char *at = value;
	const char *end = value + len;

	while (at < end)
	{
		if (*at == '{')
		{
			at++;
			if (!read_expression(&at, end))
				return false;
		}
		else if (*at == '%')
		{
			if (!is_percent_encoded(at, end))
				return false;
			at += 3;
		}
		else if (IS_HIGHBIT_SET(*at))
		{
			uint32		code = postrider_utf8_next(&at, end);

			if (!is_ucschar(code) && !is_private(code))
				return false;
		}
		else if ((unsigned char) *at <= ' ' || *at == 0x7f ||
				 strchr("\"<>\\^`|}", *at) != NULL)
			return false;
		else
			at++;
	}
	return true;
}
