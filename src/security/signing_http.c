/*-------------------------------------------------------------------------
 *
 * signing_http.c
 *	  HTTP Message Signatures (RFC 9421), with Content-Digest (RFC 9530).
 *
 * {"type": "http-message-signatures", "secret": "a", "algorithm": "ed25519", "key_id": "k",
 * "components": ["@method", "@target-uri", "content-digest"]}
 *
 * The signature base has a line for each component, in the order given, and at its end
 * the parameters, which are sent as Signature-Input.  Each version of the secret
 * that is in force makes a signature with a label of its own: sig, sig-2, ...; so do
 * further objects of this type, whose labels must differ.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/signing_format.h"

#define MAX_SECONDS (7 * 24 * 60 * 60)

typedef struct HttpSigning
{
	SigningKey *key;
	bool		ed25519;		/* else hmac-sha256 */
	List	   *components;		/* of char * */
	char	   *label;
	char	   *key_id;			/* or NULL */
	char	   *tag;			/* or NULL */
	bool		created;
	int			expires_s;		/* after it was created; 0: not said */
	bool		nonce;
	bool		names_algorithm;
	DigestAlgorithm digest;
} HttpSigning;

static const char *const keys[] = {
	"type", "secret", "key_encoding", "algorithm", "components", "label", "key_id", "tag", "created",
	"expires", "nonce", "include_algorithm", "digest", NULL
};

static const char *const derived[] = {
	"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", NULL
};

static const OptionChoice algorithms[] = {{"hmac-sha256", false}, {"ed25519", true}, {NULL, 0}};
static const OptionChoice digests[] = {{"sha-256", DIGEST_SHA256}, {"sha-512", DIGEST_SHA512}, {NULL, 0}};

/*
 * Compiling
 */

static bool
is_in(const List *texts, const char *wanted)
{
	ListCell   *cell;

	foreach(cell, texts)
		if (strcmp(lfirst(cell), wanted) == 0)
			return true;
	return false;
}

static void
check_component(Options *options, const char *name)
{
	const char *meant;

	if (name[0] != '@')
	{
		if (name[0] == '\0' ||
			strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") != strlen(name))
			(void) postrider_options_refuse(options, NULL, "has a component that is no name of a header in lower case");
		return;
	}
	for (const char *const *known = derived; *known; known++)
		if (strcmp(*known, name) == 0)
			return;
	meant = postrider_options_nearest(name, derived);
	(void) postrider_options_refuse(options, "Components are @method, @target-uri, @authority, @scheme, @request-target, @path, @query, content-digest and names of headers.",
									meant ? "has an unknown component, perhaps \"%s\" was meant" :
									"has an unknown component", meant);
}

static List *
read_components(Options *options)
{
	List	   *given = postrider_options_texts(options, "components");
	List	   *components = NIL;
	ListCell   *cell;

	if (!postrider_options_has(options, "components"))
		return list_make3("@method", "@target-uri", "content-digest");
	if (given == NIL)
		(void) postrider_options_refuse(options, NULL, "has no \"components\" to sign");
	foreach(cell, given)
	{
		check_component(options, lfirst(cell));
		if (is_in(components, lfirst(cell)))
			(void) postrider_options_refuse(options, NULL, "has a component twice");
		components = lappend(components, lfirst(cell));
	}
	return components;
}

/* A string that goes between quotes as it is. */
static char *
read_string(Options *options, const char *key)
{
	char	   *string = postrider_options_text(options, key, NULL);

	if (string != NULL)
		for (const char *c = string; *c; c++)
			if ((unsigned char) *c < ' ' || (unsigned char) *c > '~' || *c == '"' || *c == '\\')
				(void) postrider_options_refuse(options, NULL, "has a \"%s\" with characters that it cannot have", key);
	return string;
}

static void *
compile(Options *options)
{
	HttpSigning *http = palloc0(sizeof(HttpSigning));
	KeyEncoding encoding = postrider_options_choice(options, "key_encoding", postrider_key_encodings, KEY_TEXT);

	http->ed25519 = postrider_options_choice(options, "algorithm", algorithms, false) != 0;
	http->key = postrider_signing_key(options, http->ed25519 ? SIGNING_KEY_ED25519 : SIGNING_KEY_BYTES,
									  encoding);
	if (http->ed25519 && postrider_options_has(options, "key_encoding"))
		(void) postrider_options_refuse(options, NULL, "has a \"key_encoding\", which is for hmac-sha256 only");
	http->components = read_components(options);
	http->label = postrider_options_text(options, "label", "sig");
	if (strspn(http->label, "abcdefghijklmnopqrstuvwxyz0123456789_-.*") != strlen(http->label) ||
		!(http->label[0] >= 'a' && http->label[0] <= 'z'))
		(void) postrider_options_refuse(options, NULL, "has a \"label\" that is not made of lower-case letters and digits");
	http->key_id = read_string(options, "key_id");
	http->tag = read_string(options, "tag");
	http->created = postrider_options_bool(options, "created", true);
	http->expires_s = postrider_options_integer(options, "expires", 1, MAX_SECONDS, 0);
	http->nonce = postrider_options_bool(options, "nonce", false);
	http->names_algorithm = postrider_options_bool(options, "include_algorithm", true);
	http->digest = postrider_options_choice(options, "digest", digests, DIGEST_SHA256);
	return http;
}

/*
 * The signature base
 */

/* The value of a component; NULL if the request does not have it. */
static const char *
component_value(const AuthRequest *request, const AuthUrl *url, const char *name)
{
	const char *query = url->query ? psprintf("?%s", url->query) : "";
	const char *value;
	Size		length;

	if (strcmp(name, "@method") == 0)
		return request->method;
	if (strcmp(name, "@target-uri") == 0)
		return psprintf("%s://%s%s%s", url->scheme, url->host, url->path, query);
	if (strcmp(name, "@authority") == 0 || strcmp(name, "host") == 0)
		return url->host;
	if (strcmp(name, "@scheme") == 0)
		return url->scheme;
	if (strcmp(name, "@path") == 0)
		return url->path;
	if (strcmp(name, "@query") == 0)
		return query[0] ? query : "?";
	if (strcmp(name, "@request-target") == 0)
		return psprintf("%s%s", url->path, query);
	if (strcmp(name, "content-length") == 0)
		return request->body ? psprintf("%zu", request->body_length) : NULL;
	value = postrider_auth_header(request, name);
	if (value == NULL)
		return NULL;
	value += strspn(value, " \t");
	length = strlen(value);
	while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t'))
		length--;
	return pnstrdup(value, length);
}

/* Lines of the components, and their names as they stand in the parameters. */
static bool
append_components(const HttpSigning *http, const AuthRequest *request, StringInfo base,
				  StringInfo names, const char **problem)
{
	AuthUrl		url;
	ListCell   *cell;

	postrider_auth_split_url(request->url, &url);
	appendStringInfoChar(names, '(');
	foreach(cell, http->components)
	{
		const char *name = lfirst(cell);
		const char *value;

		if (strcmp(name, "content-digest") == 0 && request->body == NULL)
			continue;			/* there is no content */
		value = component_value(request, &url, name);
		if (value == NULL)
		{
			*problem = psprintf("the request has no header \"%s\" to sign", name);
			return false;
		}
		appendStringInfo(base, "\"%s\": %s\n", name, value);
		appendStringInfo(names, "%s\"%s\"", names->len > 1 ? " " : "", name);
	}
	appendStringInfoChar(names, ')');
	return true;
}

static bool
append_parameters(const HttpSigning *http, const AuthRequest *request, StringInfo out,
				  const char **problem)
{
	char	   *created = postrider_auth_format_time(request->now, TIME_S);
	char	   *nonce;

	if (http->created)
		appendStringInfo(out, ";created=%s", created);
	if (http->expires_s > 0)
		appendStringInfo(out, ";expires=" INT64_FORMAT, (int64) strtoll(created, NULL, 10) + http->expires_s);
	if (http->nonce)
	{
		nonce = postrider_auth_make_nonce(16);
		if (nonce == NULL)
		{
			*problem = pstrdup("no random number could be made");
			return false;
		}
		appendStringInfo(out, ";nonce=\"%s\"", nonce);
	}
	if (http->names_algorithm)
		appendStringInfo(out, ";alg=\"%s\"", http->ed25519 ? "ed25519" : "hmac-sha256");
	if (http->key_id)
		appendStringInfo(out, ";keyid=\"%s\"", http->key_id);
	if (http->tag)
		appendStringInfo(out, ";tag=\"%s\"", http->tag);
	return true;
}

/*
 * Signing
 */

/* In base64; NULL if it fails. */
static char *
sign(const SigningKeyVersion *version, const StringInfo base)
{
	unsigned char signature[ED25519_SIGNATURE_BYTES];
	Digest		digest;

	if (version->ed25519 != NULL)
		return postrider_ed25519_sign(version->ed25519, base->data, base->len, signature) ?
			postrider_digest_encode(DIGEST_BASE64, signature, sizeof(signature)) : NULL;
	return postrider_hmac(DIGEST_SHA256, version->bytes, version->length, base->data, base->len, &digest) ?
		postrider_digest_encode(DIGEST_BASE64, digest.bytes, digest.length) : NULL;
}

/* A header that signatures have set, not the message. */
static AuthHeader *
find_set(const AuthRequest *request, const char *name)
{
	ListCell   *cell;

	foreach(cell, request->headers)
	{
		AuthHeader *header = lfirst(cell);

		if (header->is_set && pg_strcasecmp(header->name, name) == 0)
			return header;
	}
	return NULL;
}

/* Behind what signatures before have set there. */
static void
add_member(AuthRequest *request, const char *name, const char *member)
{
	AuthHeader *header = find_set(request, name);

	if (header == NULL)
		postrider_auth_set_header(request, name, member);
	else
		header->value = psprintf("%s, %s", header->value, member);
}

/* Content-Digest: a member for each algorithm that is asked for. */
static bool
prepare(void *state, AuthRequest *request, const char **problem)
{
	const HttpSigning *http = state;
	const char *name = http->digest == DIGEST_SHA512 ? "sha-512" : "sha-256";
	const AuthHeader *header = find_set(request, "Content-Digest");
	Digest		digest;

	if (request->body == NULL || !is_in(http->components, "content-digest") ||
		(header != NULL && strstr(header->value, name) != NULL))
		return true;
	if (!postrider_digest(http->digest, request->body, request->body_length, &digest))
	{
		*problem = pstrdup("the body could not be hashed");
		return false;
	}
	add_member(request, "Content-Digest",
			   psprintf("%s=:%s:", name,
						postrider_digest_encode(DIGEST_BASE64, digest.bytes, digest.length)));
	return true;
}

static bool
apply(void *state, AuthRequest *request, const char **problem)
{
	const HttpSigning *http = state;
	StringInfoData base;
	StringInfoData parameters;

	if (!postrider_signing_key_load(http->key, request->now, problem))
		return false;
	initStringInfo(&base);
	initStringInfo(&parameters);
	if (!append_components(http, request, &base, &parameters, problem) ||
		!append_parameters(http, request, &parameters, problem))
		return false;
	appendStringInfo(&base, "\"@signature-params\": %s", parameters.data);
	for (int i = 0; i < http->key->count; i++)
	{
		char	   *label = i == 0 ? http->label : psprintf("%s-%d", http->label, i + 1);
		char	   *signature = sign(&http->key->versions[i], &base);

		if (signature == NULL)
		{
			*problem = pstrdup("the request could not be signed");
			return false;
		}
		add_member(request, "Signature-Input", psprintf("%s=%s", label, parameters.data));
		add_member(request, "Signature", psprintf("%s=:%s:", label, signature));
	}
	return true;
}

static const char *
get_label(const void *state)
{
	return ((const HttpSigning *) state)->label;
}

const SigningFormat postrider_signing_http = {
	.type = "http-message-signatures",
	.keys = keys,
	.compile = compile,
	.prepare = prepare,
	.apply = apply,
	.label = get_label
};
