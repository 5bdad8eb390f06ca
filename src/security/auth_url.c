/*-------------------------------------------------------------------------
 *
 * auth_url.c
 *	  URLs with credentials in them, and their parts.
 *
 * A URL here has been checked: it is absolute, http or https, without user info.
 * Parameters are compared by their decoded names, so that an encoded twin of one that
 * is set does not stay.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "security/auth_scheme.h"

static bool
is_unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '-' || c == '.' || c == '_' || c == '~';
}

char *
postrider_auth_encode(const char *source, const char *also)
{
	StringInfoData encoded;

	initStringInfo(&encoded);
	for (const char *c = source; *c; c++)
		if (is_unreserved((unsigned char) *c) || strchr(also, *c) != NULL)
			appendStringInfoChar(&encoded, *c);
		else
			appendStringInfo(&encoded, "%%%02X", (unsigned char) *c);
	return encoded.data;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Is it the name, once decoded? */
static bool
is_name(const char *encoded, Size length, const char *name)
{
	for (Size i = 0; i < length; i++, name++)
	{
		unsigned char c = encoded[i] == '+' ? ' ' : encoded[i];

		if (c == '%' && i + 2 < length && hex_digit(encoded[i + 1]) >= 0 &&
			hex_digit(encoded[i + 2]) >= 0)
		{
			c = hex_digit(encoded[i + 1]) * 16 + hex_digit(encoded[i + 2]);
			i += 2;
		}
		if ((unsigned char) *name != c)
			return false;
	}
	return *name == '\0';
}

static Size
authority_end(const char *url)
{
	const char *authority = strstr(url, "://");
	Size		start = authority ? authority + 3 - url : 0;

	return start + strcspn(url + start, "/?#");
}

void
postrider_auth_split_url(const char *url, AuthUrl *parts)
{
	const char *authority = strstr(url, "://");
	Size		start = authority ? authority + 3 - url : 0;
	Size		end = authority_end(url);
	Size		path_length = strcspn(url + end, "?#");
	const char *rest = url + end + path_length;

	parts->scheme = authority ? pnstrdup(url, authority - url) : pstrdup("");
	parts->host = pnstrdup(url + start, end - start);
	parts->path = path_length > 0 ? pnstrdup(url + end, path_length) : pstrdup("/");
	parts->query = *rest == '?' ? pnstrdup(rest + 1, strcspn(rest + 1, "#")) : NULL;
	for (char *c = parts->scheme; *c; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	for (char *c = parts->host; *c; c++)
		*c = pg_ascii_tolower((unsigned char) *c);

	/* What a client leaves out of Host, for it goes without saying. */
	if (strcmp(parts->scheme, "https") == 0)
		end = strlen(parts->host) - Min(strlen(parts->host), 4);
	else
		end = strlen(parts->host) - Min(strlen(parts->host), 3);
	if (strcmp(parts->host + end, strcmp(parts->scheme, "https") == 0 ? ":443" : ":80") == 0)
		parts->host[end] = '\0';
}

void
postrider_auth_set_parameter(AuthRequest *request, const char *name, const char *value)
{
	const char *url = request->url;
	Size		length = strcspn(url, "?#");
	const char *next = url[length] == '?' ? url + length + 1 : "";
	StringInfoData made;
	char		mark = '?';

	initStringInfo(&made);
	appendBinaryStringInfo(&made, url, length);
	while (*next && *next != '#')
	{
		Size		size = strcspn(next, "&#");

		if (!is_name(next, Min(size, strcspn(next, "=")), name))
		{
			appendStringInfoChar(&made, mark);
			appendBinaryStringInfo(&made, next, size);
			mark = '&';
		}
		next += size;
		next += *next == '&';
	}
	appendStringInfo(&made, "%c%s=%s", mark, postrider_auth_encode(name, ""),
					 postrider_auth_encode(value, ""));
	request->url = made.data;
}

bool
postrider_auth_set_segment(AuthRequest *request, const char *name, const char *value)
{
	const char *url = request->url;
	Size		at = authority_end(url);
	Size		path_end = at + strcspn(url + at, "?#");
	Size		length = strlen(name);
	StringInfoData made;
	bool		found = false;

	initStringInfo(&made);
	appendBinaryStringInfo(&made, url, at);
	while (at < path_end)
	{
		Size		size = 1 + strcspn(url + at + 1, "/?#");

		if (size == length + 2 && url[at + 1] == ':' && memcmp(url + at + 2, name, length) == 0)
		{
			appendStringInfo(&made, "/%s", postrider_auth_encode(value, POSTRIDER_SEGMENT_BYTES));
			found = true;
		}
		else
			appendBinaryStringInfo(&made, url + at, size);
		at += size;
	}
	appendStringInfoString(&made, url + at);
	if (found)
		request->url = made.data;
	return found;
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

char *
postrider_auth_sort_query(const char *query)
{
	int			count = 1;
	char	  **parameters;
	StringInfoData sorted;

	for (const char *c = query; *c; c++)
		count += *c == '&';
	parameters = palloc(sizeof(char *) * count);
	count = 0;
	while (*query)
	{
		Size		size = strcspn(query, "&");

		if (size > 0)
			parameters[count++] = pnstrdup(query, size);
		query += size;
		query += *query == '&';
	}
	qsort(parameters, count, sizeof(char *), compare_texts);
	initStringInfo(&sorted);
	for (int i = 0; i < count; i++)
		appendStringInfo(&sorted, "%s%s", i > 0 ? "&" : "", parameters[i]);
	return sorted.data;
}
