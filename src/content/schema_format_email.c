/*-------------------------------------------------------------------------
 *
 * schema_format_email.c
 *	  The formats email (Mailbox of RFC 5321, section 4.1.2) and idn-email
 *	  (the same as extended by RFC 6531, section 3.3).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_format_internal.h"

#define LOCAL_PART_MAX 64		/* octets; RFC 5321, section 4.5.3.1 */
#define DOMAIN_MAX 255
#define DOMAIN_LABEL_MAX 63

/* The length of the quoted string that begins the text; 0 if it is none. */
static int
quoted_length(const char *s, int len, bool unicode)
{
	int			at = 1;

	while (at < len)
	{
		unsigned char c = s[at++];

		if (c == '"')
			return at;
		if (c == '\\')
		{
			if (at == len)
				return 0;
			c = s[at++];
			if (c < ' ' || c > '~')
				return 0;
		}
		else if (IS_HIGHBIT_SET(c) ? !unicode : (c < ' ' || c > '~'))
			return 0;
	}
	return 0;
}

static inline bool
is_atext(char c, bool unicode)
{
	if (IS_HIGHBIT_SET(c))
		return unicode;
	return format_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* The length of the words joined by dots that begin the text; 0 if none do. */
static int
dot_string_length(const char *s, int len, bool unicode)
{
	int			at = 0;

	for (;;)
	{
		int			from = at;

		while (at < len && is_atext(s[at], unicode))
			at++;
		if (at == from)
			return 0;
		if (at == len || s[at] != '.')
			return at;
		at++;
	}
}

static bool
is_domain(const char *s, int len, bool unicode)
{
	int			at = 0;

	if (len > DOMAIN_MAX)
		return false;
	for (;;)
	{
		int			from = at;
		bool		ascii = true;

		while (at < len && s[at] != '.')
		{
			if (IS_HIGHBIT_SET(s[at]))
			{
				if (!unicode)
					return false;
				ascii = false;
			}
			else if (!format_is_alnum(s[at]) && s[at] != '-')
				return false;
			at++;
		}
		if (at == from || s[from] == '-' || s[at - 1] == '-' ||
			(ascii && at - from > DOMAIN_LABEL_MAX))
			return false;
		if (at == len)
			return true;
		at++;
	}
}

/* Snum of RFC 5321: unlike the format ipv4, with leading zeros as one likes. */
static bool
is_ipv4_literal(const char *s, int len)
{
	int			at = 0;

	for (int part = 0; part < 4; part++)
	{
		int			number = 0;
		int			from;

		if (part > 0 && (at == len || s[at++] != '.'))
			return false;
		from = at;
		while (at < len && at - from < 3 && format_is_digit(s[at]))
			number = number * 10 + (s[at++] - '0');
		if (at == from || number > 255)
			return false;
	}
	return at == len;
}

/* What stands between [ and ] after the @. */
static bool
is_address_literal(const char *s, int len)
{
	int			at = 0;

	if (is_ipv4_literal(s, len))
		return true;
	if (len > 5 && pg_strncasecmp(s, "IPv6:", 5) == 0)
		return postrider_check_ipv6(s + 5, len - 5, 6);
	while (at < len && (format_is_alnum(s[at]) || s[at] == '-'))
		at++;
	if (at == 0 || s[at - 1] == '-' || at + 1 >= len || s[at] != ':')
		return false;
	for (at++; at < len; at++)
	{
		if (s[at] < '!' || s[at] > '~' || (s[at] >= '[' && s[at] <= ']'))
			return false;
	}
	return true;
}

static bool
is_mailbox(const char *value, int len, bool unicode)
{
	int			at;

	if (len == 0)
		return false;
	at = value[0] == '"' ? quoted_length(value, len, unicode)
		: dot_string_length(value, len, unicode);
	if (at == 0 || at > LOCAL_PART_MAX || at == len || value[at] != '@')
		return false;
	at++;
	if (at == len)
		return false;
	if (value[at] == '[')
		return value[len - 1] == ']' && len - at >= 2 &&
			is_address_literal(value + at + 1, len - at - 2);
	return is_domain(value + at, len - at, unicode);
}

bool
postrider_format_email(const char *value, int len)
{
	return is_mailbox(value, len, false);
}

bool
postrider_format_idn_email(const char *value, int len)
{
	return is_mailbox(value, len, true);
}
