/*-------------------------------------------------------------------------
 *
 * aws_sigv4.c
 *	  AWS Signature Version 4; see aws_sigv4.h.
 *
 * curl has CURLOPT_AWS_SIGV4, but version 7.88, which Debian 12 has, neither sorts the
 * query nor knows session tokens, and does not let one see what it signs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "security/aws_sigv4.h"
#include "security/digest.h"
#include "utils/timestamp.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define UNSIGNED_SPACE " \t\r\n"

/* A parameter or a header, as it goes into the canonical request. */
typedef struct Pair
{
	char	   *name;
	char	   *value;
} Pair;

/* Headers that are on the way changed, or that AWS does not sign. */
static const char *const unsigned_headers[] = {
	"authorization", "cache-control", "connection", "expect", "from", "keep-alive", "max-forwards",
	"pragma", "referer", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id",

	/* ours */
	"host", "content-length", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"
};

/*
 * Encoding
 */

static void
encode(StringInfo out, const char *bytes, Size length, const char *also)
{
	for (Size i = 0; i < length; i++)
	{
		unsigned char c = bytes[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			(c != '\0' && strchr("-._~", c) != NULL) || (c != '\0' && strchr(also, c) != NULL))
			appendStringInfoChar(out, c);
		else
			appendStringInfo(out, "%%%02X", c);
	}
}

static int
hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *digit = c == '\0' ? NULL : strchr(digits, pg_ascii_tolower((unsigned char) c));

	return digit ? (int) (digit - digits) : -1;
}

/* Decoded, and encoded again as AWS does it. */
static char *
normalize(const char *encoded, Size length)
{
	char	   *bytes = palloc(length + 1);
	Size		count = 0;
	StringInfoData out;

	for (Size i = 0; i < length; i++)
	{
		if (encoded[i] == '%' && i + 2 < length && hex_digit(encoded[i + 1]) >= 0 &&
			hex_digit(encoded[i + 2]) >= 0)
		{
			bytes[count++] = (char) (hex_digit(encoded[i + 1]) * 16 + hex_digit(encoded[i + 2]));
			i += 2;
		}
		else
			bytes[count++] = encoded[i] == '+' ? ' ' : encoded[i];
	}
	initStringInfo(&out);
	encode(&out, bytes, count, "");
	return out.data;
}

static int
compare_pairs(const void *a, const void *b)
{
	const Pair *first = a;
	const Pair *second = b;
	int			result = strcmp(first->name, second->name);

	return result ? result : strcmp(first->value, second->value);
}

/*
 * The canonical request
 */

/* Without empty segments, "." and "..", which AWS takes out of paths before it looks. */
static char *
simplify_path(const char *path)
{
	StringInfoData out;
	bool		ends_in_slash = path[0] != '\0' && path[strlen(path) - 1] == '/';

	initStringInfo(&out);
	while (*path)
	{
		Size		length = strcspn(path, "/");

		if (length == 2 && path[0] == '.' && path[1] == '.')
		{
			while (out.len > 0 && out.data[--out.len] != '/')
				;
			out.data[out.len] = '\0';
		}
		else if (length > 0 && !(length == 1 && path[0] == '.'))
		{
			appendStringInfoChar(&out, '/');
			appendBinaryStringInfo(&out, path, length);
		}
		path += length;
		path += *path == '/';
	}
	if (out.len == 0 || ends_in_slash)
		appendStringInfoChar(&out, '/');
	return out.data;
}

/* S3 takes paths as they are; all others want each segment encoded once more. */
static void
append_path(StringInfo out, const AwsRequest *request)
{
	char	   *path;

	if (strcmp(request->service, "s3") == 0)
		appendStringInfoString(out, request->path[0] ? request->path : "/");
	else
	{
		path = simplify_path(request->path);
		encode(out, path, strlen(path), "/");
	}
	appendStringInfoChar(out, '\n');
}

static void
append_query(StringInfo out, const char *query)
{
	int			count = 0;
	Pair	   *pairs;

	if (query == NULL)
		query = "";
	pairs = palloc(sizeof(Pair) * (strlen(query) + 1));
	while (*query)
	{
		Size		length = strcspn(query, "&");
		Size		name = Min(length, strcspn(query, "="));

		if (length > 0)
		{
			pairs[count].name = normalize(query, name);
			pairs[count].value = name < length ? normalize(query + name + 1, length - name - 1) : pstrdup("");
			count++;
		}
		query += length;
		query += *query == '&';
	}
	qsort(pairs, count, sizeof(Pair), compare_pairs);
	for (int i = 0; i < count; i++)
		appendStringInfo(out, "%s%s=%s", i > 0 ? "&" : "", pairs[i].name, pairs[i].value);
	appendStringInfoChar(out, '\n');
}

/* White space at the ends goes, and within it is one space. */
static char *
trim(const char *value)
{
	StringInfoData out;

	initStringInfo(&out);
	value += strspn(value, UNSIGNED_SPACE);
	while (*value)
	{
		Size		word = strcspn(value, UNSIGNED_SPACE);

		appendBinaryStringInfo(&out, value, word);
		value += word;
		word = strspn(value, UNSIGNED_SPACE);
		value += word;
		if (word > 0 && *value)
			appendStringInfoChar(&out, ' ');
	}
	return out.data;
}

static void
add_header(Pair *pairs, int *count, const char *name, const char *value)
{
	Pair	   *pair = &pairs[(*count)++];

	pair->name = pstrdup(name);
	for (char *c = pair->name; *c; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	pair->value = trim(value);
}

static bool
is_signed(const char *name)
{
	for (int i = 0; i < (int) lengthof(unsigned_headers); i++)
		if (pg_strcasecmp(unsigned_headers[i], name) == 0)
			return false;
	return pg_strncasecmp(name, "proxy-", 6) != 0 && pg_strncasecmp(name, "sec-", 4) != 0;
}

/* The headers, and the names of them for the line SignedHeaders. */
static char *
append_headers(StringInfo out, const AwsRequest *request, const AwsSignature *signature)
{
	Pair	   *pairs = palloc(sizeof(Pair) * (request->header_count + 4));
	int			count = 0;
	StringInfoData names;

	add_header(pairs, &count, "host", request->host);
	add_header(pairs, &count, "x-amz-date", signature->date);
	if (signature->security_token)
		add_header(pairs, &count, "x-amz-security-token", signature->security_token);
	if (signature->content_sha256)
		add_header(pairs, &count, "x-amz-content-sha256", signature->content_sha256);
	for (int i = 0; i < request->header_count; i++)
		if (is_signed(request->headers[i].name))
			add_header(pairs, &count, request->headers[i].name, request->headers[i].value);
	qsort(pairs, count, sizeof(Pair), compare_pairs);
	initStringInfo(&names);
	for (int i = 0; i < count; i++)
	{
		appendStringInfo(out, "%s:%s\n", pairs[i].name, pairs[i].value);
		appendStringInfo(&names, "%s%s", i > 0 ? ";" : "", pairs[i].name);
	}
	appendStringInfo(out, "\n%s\n", names.data);
	return names.data;
}

/*
 * Signing
 */

static bool
hash_hex(const void *data, Size length, char **hex)
{
	Digest		digest;

	if (!postrider_digest(DIGEST_SHA256, data, length, &digest))
		return false;
	*hex = postrider_digest_encode(DIGEST_HEX, digest.bytes, digest.length);
	return true;
}

static bool
sign_text(const Digest *key, const char *data, Digest *digest)
{
	return postrider_hmac(DIGEST_SHA256, key->bytes, key->length, data, strlen(data), digest);
}

static bool
derive_key(const AwsRequest *request, const char *day, Digest *key)
{
	char	   *first = psprintf("AWS4%s", request->secret_access_key);
	Digest		of_day;
	Digest		of_region;
	Digest		of_service;
	bool		done;

	done = postrider_hmac(DIGEST_SHA256, first, strlen(first), day, strlen(day), &of_day) &&
		sign_text(&of_day, request->region, &of_region) &&
		sign_text(&of_region, request->service, &of_service) &&
		sign_text(&of_service, "aws4_request", key);
	explicit_bzero(first, strlen(first));
	explicit_bzero(&of_day, sizeof(of_day));
	explicit_bzero(&of_region, sizeof(of_region));
	explicit_bzero(&of_service, sizeof(of_service));
	return done;
}

static char *
format_date(TimestampTz now)
{
	struct pg_tm time;
	fsec_t		fraction;

	if (timestamp2tm(now, NULL, &time, &fraction, NULL, NULL) != 0)
		return NULL;
	return psprintf("%04d%02d%02dT%02d%02d%02dZ", time.tm_year, time.tm_mon, time.tm_mday,
					time.tm_hour, time.tm_min, time.tm_sec);
}

bool
postrider_aws_sign(const AwsRequest *request, AwsSignature *signature)
{
	StringInfoData canonical;
	char	   *day;
	char	   *scope;
	char	   *names;
	char	   *body_hash;
	char	   *request_hash;
	char	   *to_sign;
	Digest		key;
	Digest		digest;
	bool		done;

	memset(signature, 0, sizeof(*signature));
	if ((signature->date = format_date(request->now)) == NULL ||
		!hash_hex(request->body, request->body ? request->body_length : 0, &body_hash))
		return false;
	day = pnstrdup(signature->date, 8);
	if (request->session_token)
		signature->security_token = pstrdup(request->session_token);
	if (strcmp(request->service, "s3") == 0)
		signature->content_sha256 = body_hash;

	initStringInfo(&canonical);
	appendStringInfo(&canonical, "%s\n", request->method);
	append_path(&canonical, request);
	append_query(&canonical, request->query);
	names = append_headers(&canonical, request, signature);
	appendStringInfoString(&canonical, body_hash);
	if (!hash_hex(canonical.data, canonical.len, &request_hash))
		return false;

	scope = psprintf("%s/%s/%s/aws4_request", day, request->region, request->service);
	to_sign = psprintf(ALGORITHM "\n%s\n%s\n%s", signature->date, scope, request_hash);
	done = derive_key(request, day, &key) && sign_text(&key, to_sign, &digest);
	explicit_bzero(&key, sizeof(key));
	if (done)
		signature->authorization =
			psprintf(ALGORITHM " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
					 request->access_key_id, scope, names,
					 postrider_digest_encode(DIGEST_HEX, digest.bytes, digest.length));
	return done;
}
