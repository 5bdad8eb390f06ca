/*-------------------------------------------------------------------------
 *
 * contact.c
 *	  Addresses on the net: e-mail, URL, host names, IP addresses, UUIDs.
 *
 * The tests are about the form: whether somebody reads the mail, only a mail
 * can tell.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "content/contact.h"
#include "content/conversion_internal.h"
#include "content/unicode_case.h"

#define MAX_EMAIL 254			/* RFC 5321 */
#define MAX_LOCAL_PART 64
#define MAX_HOSTNAME 253
#define MAX_LABEL 63
#define MAX_URL 8000			/* what servers are known to take */

static bool
is_alnum(unsigned char c)
{
	return c < 0x80 && isalnum(c);
}

/* Letters beyond ASCII are taken as they are; white space there is not. */
static bool
has_space(const char *string, int length)
{
	for (int i = 0; i < length; i++)
	{
		if (postrider_space_length(string + i, length - i) > 0)
			return true;
	}
	return false;
}

/*
 * Labels of letters, digits and hyphens, joined by dots; the last one is not
 * a number.  International names may be written as such or in their ASCII
 * form.
 */
static bool
is_host(const char *string, int length, int least_labels)
{
	int			label = 0;		/* bytes of the label so far */
	int			labels = 0;
	bool		all_digits = true;

	if (length > MAX_HOSTNAME || has_space(string, length))
		return false;
	for (int i = 0; i <= length; i++)
	{
		unsigned char c = i < length ? string[i] : '.';

		if (c == '.')
		{
			if (label == 0 || label > MAX_LABEL || string[i - 1] == '-')
				return false;
			labels++;
			label = 0;
			if (i < length)
				all_digits = true;
			continue;
		}
		if (!is_alnum(c) && !IS_HIGHBIT_SET(c) && !(c == '-' && label > 0))
			return false;
		all_digits = all_digits && c >= '0' && c <= '9';
		label++;
	}
	return labels >= least_labels && !all_digits;
}

bool
postrider_is_hostname(const char *string, int length)
{
	return is_host(string, length, 1);
}

/*
 * E-mail.  The form of RFC 5321 without its quoted local parts and address
 * literals, which no mail platform takes, and with at least two labels in the
 * domain; letters beyond ASCII as RFC 6531 has them.
 */
bool
postrider_is_email(const char *string, int length)
{
	const char *at = memchr(string, '@', length);
	int			local = at == NULL ? 0 : at - string;

	if (local == 0 || local > MAX_LOCAL_PART || length > MAX_EMAIL ||
		has_space(string, local))
		return false;
	for (int i = 0; i < local; i++)
	{
		unsigned char c = string[i];

		if (c == '.' && (i == 0 || i == local - 1 || string[i - 1] == '.'))
			return false;
		if (!is_alnum(c) && !IS_HIGHBIT_SET(c) &&
			(c == '\0' || strchr(".!#$%&'*+/=?^_`{|}~-", c) == NULL))
			return false;
	}
	return is_host(at + 1, length - local - 1, 2);
}

char *
postrider_identifier_clean(const char *string, int *length)
{
	postrider_trim(&string, length);
	return postrider_text_case(string, *length, CASE_LOWER, length);
}

char *
postrider_email_normalize(const char *string, int length, char **problem)
{
	JsonbValue	shown;
	char	   *clean;

	postrider_value_set_text(&shown, unconstify(char *, string), length);
	clean = postrider_identifier_clean(string, &length);
	if (postrider_is_email(clean, length))
		return clean;
	(void) postrider_refuse(problem, "%s is not an e-mail address",
							postrider_value_show(&shown));
	return NULL;
}

bool
postrider_is_ip(const char *string, int length, int version)
{
	char		copy[INET6_ADDRSTRLEN + 1];
	struct in6_addr address;

	if (length >= (int) sizeof(copy) || memchr(string, '\0', length) != NULL)
		return false;
	memcpy(copy, string, length);
	copy[length] = '\0';
	return (version != 6 && inet_pton(AF_INET, copy, &address) == 1) ||
		(version != 4 && inet_pton(AF_INET6, copy, &address) == 1);
}

/* The end of "host" or "[address]", or NULL if there is none. */
static const char *
url_host_end(const char *string, const char *end)
{
	const char *stop = string;

	if (string < end && *string == '[')
	{
		stop = memchr(string, ']', end - string);
		if (stop == NULL || !postrider_is_ip(string + 1, stop - string - 1, 6))
			return NULL;
		return stop + 1;
	}
	while (stop < end && *stop != ':')
		stop++;
	if (!is_host(string, stop - string, 1) &&
		!postrider_is_ip(string, stop - string, 4))
		return NULL;
	return stop;
}

/* ":443" or nothing */
static bool
is_port(const char *string, const char *end)
{
	int			port = 0;

	if (string == end)
		return true;
	if (*string++ != ':' || string == end || end - string > 5)
		return false;
	for (; string < end; string++)
	{
		if (*string < '0' || *string > '9')
			return false;
		port = port * 10 + (*string - '0');
	}
	return port >= 1 && port <= 65535;
}

/* No character that has to be encoded; letters beyond ASCII may stand. */
static bool
is_url_rest(const char *string, const char *end)
{
	if (has_space(string, end - string))
		return false;
	for (; string < end; string++)
	{
		unsigned char c = *string;

		if (c <= ' ' || c == 0x7F || strchr("\"<>\\^`{|}", c) != NULL)
			return false;
		if (c == '%' && !(end - string > 2 && isxdigit((unsigned char) string[1]) &&
						  isxdigit((unsigned char) string[2])))
			return false;
	}
	return true;
}

/* http or https, a host, and what may follow it. */
bool
postrider_is_url(const char *string, int length)
{
	const char *end = string + length;
	const char *authority_end;
	const char *at;
	const char *host_end;

	if (length > MAX_URL)
		return false;
	if (length > 7 && pg_strncasecmp(string, "http://", 7) == 0)
		string += 7;
	else if (length > 8 && pg_strncasecmp(string, "https://", 8) == 0)
		string += 8;
	else
		return false;
	authority_end = string;
	while (authority_end < end && strchr("/?#", *authority_end) == NULL)
		authority_end++;
	at = memchr(string, '@', authority_end - string);
	if (at != NULL && !is_url_rest(string, at))
		return false;
	if (at != NULL)
		string = at + 1;
	host_end = url_host_end(string, authority_end);
	return host_end != NULL && is_port(host_end, authority_end) &&
		is_url_rest(authority_end, end);
}

/* The form of RFC 9562, in either case; no braces. */
bool
postrider_is_uuid(const char *string, int length)
{
	if (length != 36)
		return false;
	for (int i = 0; i < length; i++)
	{
		bool		hyphen = i == 8 || i == 13 || i == 18 || i == 23;

		if (hyphen ? string[i] != '-' : !isxdigit((unsigned char) string[i]))
			return false;
	}
	return true;
}
