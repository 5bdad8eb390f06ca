/*-------------------------------------------------------------------------
 *
 * auth_template.c
 *	  Templates over a request, for signatures; see auth_template.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/auth_template.h"
#include "utils/timestamp.h"

#define MAX_PARTS 64
#define UNIX_EPOCH_US \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * USECS_PER_SEC)

typedef struct TemplatePart
{
	TemplatePlace place;
	char	   *argument;		/* the text, or the name; or NULL */
} TemplatePart;

struct AuthTemplate
{
	int			count;
	TemplatePart parts[MAX_PARTS];
};

const OptionChoice postrider_key_encodings[] = {
	{"text", KEY_TEXT}, {"base64", KEY_BASE64}, {"hex", KEY_HEX}, {NULL, 0}
};

static const OptionChoice places[] = {
	{"method", PLACE_METHOD}, {"url", PLACE_URL}, {"scheme", PLACE_SCHEME}, {"host", PLACE_HOST},
	{"path", PLACE_PATH}, {"query", PLACE_QUERY}, {"query_sorted", PLACE_QUERY_SORTED},
	{"body", PLACE_BODY}, {"body_hash", PLACE_BODY_HASH}, {"body_sha256", PLACE_BODY_SHA256},
	{"body_sha256_base64", PLACE_BODY_SHA256_BASE64}, {"body_md5", PLACE_BODY_MD5},
	{"body_md5_base64", PLACE_BODY_MD5_BASE64}, {"timestamp", PLACE_TIMESTAMP},
	{"nonce", PLACE_NONCE}, {"id", PLACE_ID}, {"secret", PLACE_SECRET},
	{"signature", PLACE_SIGNATURE}, {NULL, 0}
};

/*
 * Compiling
 */

static void
add_part(AuthTemplate *template, Options *options, const char *key, TemplatePlace place,
		 char *argument)
{
	if (template->count == MAX_PARTS)
	{
		(void) postrider_options_refuse(options, NULL, "has a \"%s\" with too many places", key);
		return;
	}
	template->parts[template->count].place = place;
	template->parts[template->count++].argument = argument;
}

static void
refuse_place(Options *options, const char *key, const char *name)
{
	const char *names[lengthof(places)];
	StringInfoData all;
	const char *meant;

	initStringInfo(&all);
	for (int i = 0; i < (int) lengthof(places); i++)
	{
		names[i] = places[i].name;
		if (names[i] != NULL)
			appendStringInfo(&all, "%s, ", names[i]);
	}
	meant = postrider_options_nearest(name, names);
	(void) postrider_options_refuse(options, psprintf("Places are: %sheader:NAME and secret:NAME.", all.data),
									meant ? "has a \"%s\" with an unknown place, perhaps {{%s}} was meant" :
									"has a \"%s\" with an unknown place", key, meant);
}

static void
add_place(AuthTemplate *template, Options *options, const char *key, char *name)
{
	for (const OptionChoice *place = places; place->name; place++)
		if (strcmp(place->name, name) == 0)
		{
			add_part(template, options, key, place->value, NULL);
			return;
		}
	if (strncmp(name, "header:", 7) == 0 && name[7])
		add_part(template, options, key, PLACE_HEADER, name + 7);
	else if (strncmp(name, "secret:", 7) == 0 && name[7])
	{
		add_part(template, options, key, PLACE_OTHER_SECRET, name + 7);
		options->secrets = lappend(options->secrets, name + 7);
	}
	else
		refuse_place(options, key, name);
}

/* Without white space at the ends. */
static char *
copy_name(const char *source, Size length)
{
	while (length > 0 && *source == ' ')
	{
		source++;
		length--;
	}
	while (length > 0 && source[length - 1] == ' ')
		length--;
	return pnstrdup(source, length);
}

AuthTemplate *
postrider_auth_template_compile(Options *options, const char *key, const char *source)
{
	AuthTemplate *template = palloc0(sizeof(AuthTemplate));

	while (*source)
	{
		const char *open = strstr(source, "{{");
		const char *close = open ? strstr(open, "}}") : NULL;

		if (open == NULL)
			open = source + strlen(source);
		if (open > source)
			add_part(template, options, key, PLACE_TEXT, pnstrdup(source, open - source));
		if (*open == '\0')
			break;
		if (close == NULL)
		{
			(void) postrider_options_refuse(options, NULL, "has a \"%s\" with a {{ without }}", key);
			break;
		}
		add_place(template, options, key, copy_name(open + 2, close - open - 2));
		source = close + 2;
	}
	return template;
}

bool
postrider_auth_template_has(const AuthTemplate *template, TemplatePlace place)
{
	for (int i = 0; i < template->count; i++)
		if (template->parts[i].place == place)
			return true;
	return false;
}

/*
 * Filling
 */

char *
postrider_auth_format_time(TimestampTz time, TimeFormat format)
{
	int64		unix_us = time + UNIX_EPOCH_US;
	struct pg_tm parts;
	fsec_t		fraction;

	if (format == TIME_S)
		return psprintf(INT64_FORMAT, unix_us / USECS_PER_SEC);
	if (format == TIME_MS)
		return psprintf(INT64_FORMAT, unix_us / 1000);
	if (timestamp2tm(time, NULL, &parts, &fraction, NULL, NULL) != 0)
		return pstrdup("");
	return psprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year, parts.tm_mon, parts.tm_mday,
					parts.tm_hour, parts.tm_min, parts.tm_sec);
}

char *
postrider_auth_make_nonce(int bytes)
{
	unsigned char random[64];

	Assert(bytes <= (int) sizeof(random));
	if (!pg_strong_random(random, bytes))
		return NULL;
	return postrider_digest_encode(DIGEST_HEX, random, bytes);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = pg_ascii_tolower((unsigned char) c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *
decode_hex(const char *digits, Size *length)
{
	Size		size = strlen(digits);
	char	   *bytes = palloc(size / 2 + 1);

	if (size == 0 || size % 2 != 0)
		return NULL;
	for (Size i = 0; i < size; i += 2)
	{
		if (hex_digit(digits[i]) < 0 || hex_digit(digits[i + 1]) < 0)
			return NULL;
		bytes[i / 2] = (char) (hex_digit(digits[i]) * 16 + hex_digit(digits[i + 1]));
	}
	*length = size / 2;
	return bytes;
}

const char *
postrider_auth_decode_key(const char *name, KeyEncoding encoding, const char *value,
						  Size *length, const char **problem)
{
	const char *key;

	if (encoding == KEY_TEXT)
	{
		if (*length > 0)
			return value;
		*problem = psprintf("secret \"%s\" is empty", name);
		return NULL;
	}
	if (encoding == KEY_HEX)
		key = decode_hex(value, length);
	else
		key = (const char *) postrider_base64_bytes(value, length);
	if (key == NULL)
		*problem = psprintf("secret \"%s\" is not written in %s", name,
							encoding == KEY_HEX ? "hexadecimal" : "base64");
	return key;
}

const char *
postrider_auth_secret_key(const char *name, KeyEncoding encoding, TimestampTz now,
						  Size *length, const char **problem)
{
	const char *value = postrider_auth_secret(name, now, length, problem);

	return value ? postrider_auth_decode_key(name, encoding, value, length, problem) : NULL;
}

static bool
append_hash(StringInfo out, DigestAlgorithm algorithm, DigestEncoding encoding,
			const AuthRequest *request, const char **problem)
{
	Digest		digest;

	if (!postrider_digest(algorithm, request->body, request->body ? request->body_length : 0, &digest))
	{
		*problem = pstrdup("the body could not be hashed: OpenSSL does not allow the algorithm");
		return false;
	}
	appendStringInfoString(out, postrider_digest_encode(encoding, digest.bytes, digest.length));
	return true;
}

static bool
append_secret(StringInfo out, AuthRequest *request, const char *name, const char **problem)
{
	char	   *line = postrider_auth_secret_line(request, name, problem);

	if (line != NULL)
		appendStringInfoString(out, line);
	return line != NULL;
}

static void
append_url_part(StringInfo out, const AuthUrl *url, TemplatePlace place)
{
	const char *query = url->query ? url->query : "";

	if (place == PLACE_SCHEME)
		appendStringInfoString(out, url->scheme);
	else if (place == PLACE_HOST)
		appendStringInfoString(out, url->host);
	else if (place == PLACE_PATH)
		appendStringInfoString(out, url->path);
	else
		appendStringInfoString(out, place == PLACE_QUERY ? query : postrider_auth_sort_query(query));
}

static bool
append_body(StringInfo out, const AuthRequest *request, TemplatePlace place,
			DigestAlgorithm hash, const char **problem)
{
	switch (place)
	{
		case PLACE_BODY_HASH:
			return append_hash(out, hash, DIGEST_HEX, request, problem);
		case PLACE_BODY_SHA256:
			return append_hash(out, DIGEST_SHA256, DIGEST_HEX, request, problem);
		case PLACE_BODY_SHA256_BASE64:
			return append_hash(out, DIGEST_SHA256, DIGEST_BASE64, request, problem);
		case PLACE_BODY_MD5:
			return append_hash(out, DIGEST_MD5, DIGEST_HEX, request, problem);
		case PLACE_BODY_MD5_BASE64:
			return append_hash(out, DIGEST_MD5, DIGEST_BASE64, request, problem);
		default:
			if (request->body)
				appendBinaryStringInfo(out, request->body, (int) request->body_length);
			return true;
	}
}

static bool
append_part(StringInfo out, const TemplatePart *part, AuthRequest *request, const AuthUrl *url,
			const TemplateValues *values, const char **problem)
{
	const char *header;

	switch (part->place)
	{
		case PLACE_TEXT:
			appendStringInfoString(out, part->argument);
			break;
		case PLACE_METHOD:
			appendStringInfoString(out, request->method);
			break;
		case PLACE_URL:
			appendBinaryStringInfo(out, request->url, (int) strcspn(request->url, "#"));
			break;
		case PLACE_SCHEME:
		case PLACE_HOST:
		case PLACE_PATH:
		case PLACE_QUERY:
		case PLACE_QUERY_SORTED:
			append_url_part(out, url, part->place);
			break;
		case PLACE_TIMESTAMP:
			appendStringInfoString(out, values->timestamp);
			break;
		case PLACE_NONCE:
			appendStringInfoString(out, values->nonce);
			break;
		case PLACE_ID:
			appendStringInfoString(out, request->message_id);
			break;
		case PLACE_SIGNATURE:
			appendStringInfoString(out, values->signature);
			break;
		case PLACE_SECRET:
			return append_secret(out, request, values->secret, problem);
		case PLACE_OTHER_SECRET:
			return append_secret(out, request, part->argument, problem);
		case PLACE_HEADER:
			header = postrider_auth_header(request, part->argument);
			appendStringInfoString(out, header ? header : "");
			break;
		default:
			return append_body(out, request, part->place, values->hash, problem);
	}
	return true;
}

bool
postrider_auth_template_fill(const AuthTemplate *template, AuthRequest *request,
							 const TemplateValues *values, StringInfo out,
							 const char **problem)
{
	AuthUrl		url;

	postrider_auth_split_url(request->url, &url);
	initStringInfo(out);
	for (int i = 0; i < template->count; i++)
		if (!append_part(out, &template->parts[i], request, &url, values, problem))
			return false;
	return true;
}
