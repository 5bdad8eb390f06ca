/*-------------------------------------------------------------------------
 *
 * schema_uri.c
 *	  References by RFC 3986, and JSON pointers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "content/schema_uri.h"
#include "mb/pg_wchar.h"

/* A URI in its parts; each points into the URI. */
typedef struct Uri
{
	const char *scheme;			/* with the colon */
	int			scheme_length;	/* 0 if there is none */
	const char *authority;		/* with the slashes */
	int			authority_length;	/* 0 if there is none */
	const char *path;
	int			path_length;
	const char *query;			/* with the question mark */
	int			query_length;	/* 0 if there is none */
} Uri;

static bool
is_scheme_character(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(!first && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'));
}

static void
split(const char *string, Uri *uri)
{
	const char *at = string;

	memset(uri, 0, sizeof(Uri));
	while (is_scheme_character(*at, at == string))
		at++;
	if (at > string && *at == ':')
	{
		uri->scheme = string;
		uri->scheme_length = at + 1 - string;
		string = at + 1;
	}
	if (string[0] == '/' && string[1] == '/')
	{
		uri->authority = string;
		uri->authority_length = 2 + strcspn(string + 2, "/?");
		string += uri->authority_length;
	}
	uri->path = string;
	uri->path_length = strcspn(string, "?");
	uri->query = string + uri->path_length;
	uri->query_length = strlen(uri->query);
}

/* RFC 3986, 5.2.4, in place. */
static void
remove_dots(char *path)
{
	char	   *in = path;
	char	   *out = path;

	while (*in)
	{
		if (strncmp(in, "../", 3) == 0)
			in += 3;
		else if (strncmp(in, "./", 2) == 0)
			in += 2;
		else if (strncmp(in, "/./", 3) == 0)
			in += 2;
		else if (strcmp(in, "/.") == 0)
		{
			*out++ = '/';
			break;
		}
		else if (strncmp(in, "/../", 4) == 0 || strcmp(in, "/..") == 0)
		{
			bool		last = in[3] == '\0';

			while (out > path && *--out != '/')
				;
			if (last)
			{
				*out++ = '/';
				break;
			}
			in += 3;
		}
		else if (strcmp(in, ".") == 0 || strcmp(in, "..") == 0)
			break;
		else
		{
			if (*in == '/')
				*out++ = *in++;
			while (*in && *in != '/')
				*out++ = *in++;
		}
	}
	*out = '\0';
}

/* RFC 3986, 5.2.3 */
static char *
merge_paths(const Uri *base, const Uri *reference)
{
	StringInfoData path;
	int			keep = base->path_length;

	initStringInfo(&path);
	if (base->authority_length > 0 && base->path_length == 0)
		appendStringInfoChar(&path, '/');
	else
	{
		while (keep > 0 && base->path[keep - 1] != '/')
			keep--;
		appendBinaryStringInfo(&path, base->path, keep);
	}
	appendBinaryStringInfo(&path, reference->path, reference->path_length);
	return path.data;
}

char *
postrider_uri_resolve(const char *base, const char *reference)
{
	Uri			b;
	Uri			r;
	StringInfoData uri;
	char	   *path;

	split(base, &b);
	split(reference, &r);
	initStringInfo(&uri);
	if (r.scheme_length > 0 || base[0] == '\0')
		b.authority_length = b.path_length = b.query_length = 0;
	if (r.scheme_length > 0)
		appendBinaryStringInfo(&uri, r.scheme, r.scheme_length);
	else
		appendBinaryStringInfo(&uri, b.scheme, b.scheme_length);
	if (r.scheme_length > 0 || r.authority_length > 0 || base[0] == '\0')
		appendBinaryStringInfo(&uri, r.authority, r.authority_length);
	else
		appendBinaryStringInfo(&uri, b.authority, b.authority_length);

	if (r.scheme_length > 0 || r.authority_length > 0 || r.path_length > 0)
	{
		if (r.scheme_length > 0 || r.authority_length > 0 || r.path[0] == '/' ||
			base[0] == '\0')
			path = pnstrdup(r.path, r.path_length);
		else
			path = merge_paths(&b, &r);
		/* What has a scheme but no slash (urn:) has no segments. */
		if (r.scheme_length == 0 || r.authority_length > 0 || path[0] == '/')
			remove_dots(path);
		appendStringInfoString(&uri, path);
		appendBinaryStringInfo(&uri, r.query, r.query_length);
	}
	else
	{
		appendBinaryStringInfo(&uri, b.path, b.path_length);
		if (r.query_length > 0)
			appendBinaryStringInfo(&uri, r.query, r.query_length);
		else
			appendBinaryStringInfo(&uri, b.query, b.query_length);
	}
	return uri.data;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* From UTF-8, without an error of its own if there is no such character here. */
static char *
to_server(char *utf8, int length, const char **problem)
{
	int			encoding = GetDatabaseEncoding();
	int			room = length * MAX_CONVERSION_GROWTH + 1;
	char	   *result;
	Oid			conversion;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII || length == 0)
		return utf8;
	conversion = FindDefaultConversionProc(PG_UTF8, encoding);
	result = palloc(room);
	if (OidIsValid(conversion) &&
		pg_do_encoding_conversion_buf(conversion, PG_UTF8, encoding, (unsigned char *) utf8,
									  length, (unsigned char *) result, room, true) == length)
		return result;
	*problem = "has a character that the encoding of the database does not have";
	return NULL;
}

/* Percent-encoding is of UTF-8; names are compared in the server's encoding. */
char *
postrider_uri_take_fragment(char *uri, const char **problem)
{
	char	   *fragment = strchr(uri, '#');
	char	   *out;

	if (fragment == NULL)
		return NULL;
	*fragment++ = '\0';
	if (strchr(fragment, '%') == NULL)
		return fragment;
	fragment = pg_server_to_any(fragment, strlen(fragment), PG_UTF8);
	out = fragment;
	for (char *in = fragment; *in; in++)
	{
		if (*in == '%')
		{
			int			high = hex(in[1]);
			int			low = high < 0 ? -1 : hex(in[2]);

			if (low < 0 || high * 16 + low == 0)
			{
				*problem = "must have two hexadecimal digits, not 00, after each \"%\"";
				return NULL;
			}
			*out++ = (char) (high * 16 + low);
			in += 2;
		}
		else
			*out++ = *in;
	}
	*out = '\0';
	if (!pg_verify_mbstr(PG_UTF8, fragment, out - fragment, true))
	{
		*problem = "must be UTF-8 where it is percent-encoded";
		return NULL;
	}
	return to_server(fragment, out - fragment, problem);
}

void
postrider_pointer_append(StringInfo pointer, const char *token, int length)
{
	appendStringInfoChar(pointer, '/');
	for (int i = 0; i < length; i++)
	{
		if (token[i] == '~')
			appendStringInfoString(pointer, "~0");
		else if (token[i] == '/')
			appendStringInfoString(pointer, "~1");
		else
			appendStringInfoChar(pointer, token[i]);
	}
}

char *
postrider_pointer_next(const char **pointer)
{
	const char *in = *pointer;
	StringInfoData token;

	if (*in != '/')
		return NULL;
	initStringInfo(&token);
	for (in++; *in && *in != '/'; in++)
	{
		if (*in != '~')
			appendStringInfoChar(&token, *in);
		else if (in[1] == '0' || in[1] == '1')
			appendStringInfoChar(&token, *++in == '0' ? '~' : '/');
		else
			return NULL;
	}
	*pointer = in;
	return token.data;
}
