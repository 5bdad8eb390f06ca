/*-------------------------------------------------------------------------
 *
 * schema_format_host.c
 *	  The formats ipv4, ipv6, hostname and idn-hostname.
 *
 * ipv4 is RFC 2673, section 3.2 (four decimal numbers without leading zeros),
 * ipv6 RFC 4291, section 2.2, without a zone.  hostname is RFC 1123, section
 * 2.1, where labels that begin with xn-- must be A-labels of IDNA2008;
 * idn-hostname allows U-labels as well, the four full stops of RFC 3490, and what
 * UTS 46 maps to such names.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_format_internal.h"
#include "util/utf8.h"

/* Longest host name in its ASCII form, RFC 1035. */
#define HOST_MAX 253

bool
postrider_format_ipv4(const char *value, int len)
{
	int			at = 0;

	if (len > 15)
		return false;
	for (int part = 0; part < 4; part++)
	{
		int			number = 0;
		int			from;

		if (part > 0 && (at == len || value[at++] != '.'))
			return false;
		from = at;
		while (at < len && at - from < 3 && format_is_digit(value[at]))
			number = number * 10 + (value[at++] - '0');
		if (at == from || number > 255 || (value[from] == '0' && at - from > 1))
			return false;
	}
	return at == len;
}

/*
 * compressed_max: how many groups there may be beside ::, an IPv4 address
 * counting for two.
 */
bool
postrider_check_ipv6(const char *value, int len, int compressed_max)
{
	int			groups = 0;
	bool		compressed = false;
	int			at = 0;

	/* The longest is 0000:0000:0000:0000:0000:0000:255.255.255.255 */
	if (len < 2 || len > 45)
		return false;
	if (value[0] == ':' && value[1] != ':')
		return false;
	while (at < len)
	{
		int			from = at;

		if (at + 1 < len && value[at] == ':' && value[at + 1] == ':')
		{
			if (compressed)
				return false;
			compressed = true;
			at += 2;
			continue;
		}
		/* A single colon stands between groups only. */
		if (at > 0 && value[at] == ':' && value[at - 1] != ':')
			from = ++at;
		while (at < len && at - from < 4 && format_is_hex(value[at]))
			at++;
		if (at < len && value[at] == '.')
		{
			groups += 2;
			if (!postrider_format_ipv4(value + from, len - from))
				return false;
			break;
		}
		if (at == from || (at < len && value[at] != ':'))
			return false;
		groups++;
	}
	return compressed ? groups <= compressed_max : groups == 8;
}

bool
postrider_format_ipv6(const char *value, int len)
{
	return postrider_check_ipv6(value, len, 7);
}

/* The length in bytes of the full stop at s, 0 if there is none. */
static inline int
stop_length(const char *s, const char *end, bool unicode)
{
	if (*s == '.')
		return 1;
	if (unicode && end - s >= 3 &&
		(memcmp(s, "\xe3\x80\x82", 3) == 0 ||	/* ideographic full stop */
		 memcmp(s, "\xef\xbc\x8e", 3) == 0 ||	/* fullwidth full stop */
		 memcmp(s, "\xef\xbd\xa1", 3) == 0))	/* halfwidth ideographic */
		return 3;
	return 0;
}

/* A label of letters, digits and hyphens only, and not an A-label. */
static bool
is_plain_label(const char *label, int len)
{
	if (len == 0 || len > 63 || label[0] == '-' || label[len - 1] == '-')
		return false;
	for (int i = 0; i < len; i++)
	{
		if (!format_is_alnum(label[i]) && label[i] != '-')
			return false;
	}
	return !(len >= 4 && label[2] == '-' && label[3] == '-' &&
			 (label[0] == 'x' || label[0] == 'X') &&
			 (label[1] == 'n' || label[1] == 'N'));
}

static bool
is_host(const char *value, int len, bool unicode)
{
	const char *end = value + len;
	const char *at = value;
	int			total = 0;		/* length of the ASCII form */
	int			seen = 0;		/* flags of all labels */

	if (len == 0)
		return false;
	for (;;)
	{
		const char *label = at;
		int			stop = 0;
		int			ascii_len;
		int			flags;

		while (at < end && (stop = stop_length(at, end, unicode)) == 0)
		{
			if (!unicode && IS_HIGHBIT_SET(*at))
				return false;
			at++;
		}
		/* Plain labels need no look at their characters' Bidi class ... */
		ascii_len = at - label;
		if (!is_plain_label(label, ascii_len))
			flags = postrider_idna_check_label(label, at - label, &ascii_len);
		else
		{
			flags = POSTRIDER_LABEL_VALID;
			/* ... but for the ends, and reserved labels are no IDN. */
			if (format_is_digit(label[0]))
				flags |= POSTRIDER_LABEL_NOT_BIDI;
			if (unicode && ascii_len >= 4 && label[2] == '-' && label[3] == '-')
				return false;
		}
		if (flags == 0)
			return false;
		seen |= flags;
		total += ascii_len + (label == value ? 0 : 1);
		if (total > HOST_MAX)
			return false;
		if (at == end)
			break;
		at += stop;
	}
	return !((seen & POSTRIDER_LABEL_RTL) && (seen & POSTRIDER_LABEL_NOT_BIDI));
}

bool
postrider_format_hostname(const char *value, int len)
{
	return len <= HOST_MAX && is_host(value, len, false);
}

bool
postrider_format_idn_hostname(const char *value, int len)
{
	char	   *mapped;
	bool		result;

	if (postrider_utf8_is_ascii(value, len))
		return is_host(value, len, true);
	mapped = postrider_idna_map(value, len, HOST_MAX);
	if (mapped == NULL)
		return false;
	result = is_host(mapped, strlen(mapped), true);
	pfree(mapped);
	return result;
}
