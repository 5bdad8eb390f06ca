/*-------------------------------------------------------------------------
 *
 * auth_hmac.c
 *	  {"type": "hmac", "secret": "ads", "template": "{{method}}{{path}}{{timestamp}}{{body}}",
 *	  "name": "X-Signature", "timestamp": {"name": "X-Timestamp"}}: signatures
 *	  as advertising, affiliate and exchange APIs want them, each its own way.
 *
 * A time or a nonce that goes along as a header or parameter is put there first, so
 * that {{query}} and {{url}} have it; the signature comes last.  "value" is what is sent,
 * {{signature}} if it is not given.  A plain hash ("keyed": false) must
 * have the {{secret}} in its template.  The template itself is auth_template.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/auth_scheme.h"
#include "security/auth_template.h"

#define DEFAULT_NONCE_BYTES 16

/* Something that goes along with the signature. */
typedef struct Companion
{
	bool		in_query;
	char	   *name;			/* NULL: it is in the template or the value only */
} Companion;

typedef struct Hmac
{
	char	   *secret;
	KeyEncoding key_encoding;
	bool		keyed;			/* HMAC, not a plain hash */
	DigestAlgorithm algorithm;
	DigestEncoding encoding;
	AuthTemplate *template;
	AuthTemplate *value;
	Companion	signature;
	Companion	timestamp;
	TimeFormat	time_format;
	Companion	nonce;
	int			nonce_bytes;
} Hmac;

static const char *const keys[] = {
	"type", "secret", "key_encoding", "keyed", "algorithm", "encoding", "template", "in", "name",
	"prefix", "value", "timestamp", "nonce", NULL
};

static const OptionChoice algorithms[] = {
	{"sha256", DIGEST_SHA256}, {"sha512", DIGEST_SHA512}, {"sha1", DIGEST_SHA1}, {"md5", DIGEST_MD5},
	{NULL, 0}
};

static const OptionChoice encodings[] = {
	{"hex", DIGEST_HEX}, {"hex-upper", DIGEST_HEX_UPPER}, {"base64", DIGEST_BASE64},
	{"base64url", DIGEST_BASE64URL}, {NULL, 0}
};

static const OptionChoice places[] = {{"header", false}, {"query", true}, {NULL, 0}};

static void
read_place(Options *options, Companion *companion, const char *default_name)
{
	companion->in_query = postrider_options_choice(options, "in", places, false) != 0;
	companion->name = postrider_options_text(options, "name", default_name);
	if (companion->name != NULL && !companion->in_query)
		(void) postrider_options_check_header(options, companion->name);
}

static void
read_timestamp(Options *options, Hmac *hmac)
{
	static const char *const known[] = {"in", "name", "format", NULL};
	static const OptionChoice formats[] = {
		{"s", TIME_S}, {"ms", TIME_MS}, {"iso", TIME_ISO}, {NULL, 0}
	};
	Options		within;

	if (!postrider_options_object(options, "timestamp", &within))
		return;
	postrider_options_check_keys(&within, known);
	read_place(&within, &hmac->timestamp, NULL);
	hmac->time_format = postrider_options_choice(&within, "format", formats, TIME_S);
	postrider_options_join(options, &within);
}

static void
read_nonce(Options *options, Hmac *hmac)
{
	static const char *const known[] = {"in", "name", "bytes", NULL};
	Options		within;

	hmac->nonce_bytes = DEFAULT_NONCE_BYTES;
	if (!postrider_options_object(options, "nonce", &within))
		return;
	postrider_options_check_keys(&within, known);
	read_place(&within, &hmac->nonce, NULL);
	hmac->nonce_bytes = postrider_options_integer(&within, "bytes", 4, 64, DEFAULT_NONCE_BYTES);
	postrider_options_join(options, &within);
}

/* What is sent: "value", or "prefix" and the signature. */
static char *
read_value(Options *options)
{
	char	   *prefix = postrider_options_text(options, "prefix", "");

	if (!postrider_options_has(options, "value"))
		return psprintf("%s{{signature}}", prefix);
	if (prefix[0])
		(void) postrider_options_refuse(options, NULL, "has both a \"prefix\" and a \"value\"");
	return postrider_options_required_text(options, "value");
}

static void
check_template(Options *options, const Hmac *hmac)
{
	if (!hmac->keyed && !postrider_auth_template_has(hmac->template, PLACE_SECRET))
		(void) postrider_options_refuse(options, "Without it, anybody could make the hash.",
										"has a \"template\" without {{secret}}, and \"keyed\" is false");
	if (hmac->keyed && postrider_auth_template_has(hmac->template, PLACE_SECRET))
		(void) postrider_options_refuse(options, "Set \"keyed\" to false for a plain hash, or leave {{secret}} out.",
										"has {{secret}} in the \"template\" of an HMAC");
	if (postrider_auth_template_has(hmac->template, PLACE_SIGNATURE))
		(void) postrider_options_refuse(options, NULL, "has {{signature}} in its \"template\"");
	if (!postrider_auth_template_has(hmac->value, PLACE_SIGNATURE))
		(void) postrider_options_refuse(options, NULL, "has a \"value\" without {{signature}}");
}

static void *
compile(Options *options)
{
	Hmac	   *hmac = palloc0(sizeof(Hmac));

	hmac->secret = postrider_options_required_secret(options, "secret");
	hmac->key_encoding = postrider_options_choice(options, "key_encoding",
												  postrider_key_encodings, KEY_TEXT);
	hmac->keyed = postrider_options_bool(options, "keyed", true);
	hmac->algorithm = postrider_options_choice(options, "algorithm", algorithms, DIGEST_SHA256);
	hmac->encoding = postrider_options_choice(options, "encoding", encodings, DIGEST_HEX);
	read_timestamp(options, hmac);
	read_nonce(options, hmac);
	read_place(options, &hmac->signature, "X-Signature");
	hmac->template = postrider_auth_template_compile(options, "template",
													 postrider_options_text(options, "template", "{{body}}"));
	hmac->value = postrider_auth_template_compile(options, "value", read_value(options));
	if (options->problem == NULL)
		check_template(options, hmac);
	return hmac;
}

static void
put(AuthRequest *request, const Companion *companion, const char *value)
{
	if (companion->name == NULL)
		return;
	if (companion->in_query)
		postrider_auth_set_parameter(request, companion->name, value);
	else
		postrider_auth_set_header(request, companion->name, value);
}

static bool
sign(const Hmac *hmac, const char *base, Size length, const char *key, Size key_length,
	 char **signature)
{
	Digest		digest;
	bool		done;

	if (hmac->keyed)
		done = postrider_hmac(hmac->algorithm, key, key_length, base, length, &digest);
	else
		done = postrider_digest(hmac->algorithm, base, length, &digest);
	if (done)
		*signature = postrider_digest_encode(hmac->encoding, digest.bytes, digest.length);
	return done;
}

static bool
apply(void *state, AuthRequest *request, const char **problem)
{
	const Hmac *hmac = state;
	TemplateValues values = {.hash = hmac->algorithm};
	StringInfoData base;
	StringInfoData value;
	Size		key_length;
	const char *key;

	values.timestamp = postrider_auth_format_time(request->now, hmac->time_format);
	values.nonce = postrider_auth_make_nonce(hmac->nonce_bytes);
	if (values.nonce == NULL)
	{
		*problem = pstrdup("no random number could be made");
		return false;
	}
	put(request, &hmac->timestamp, values.timestamp);
	put(request, &hmac->nonce, values.nonce);
	key = postrider_auth_secret_key(hmac->secret, hmac->key_encoding, request->now, &key_length, problem);
	if (key == NULL)
		return false;
	values.secret = hmac->secret;
	if (!postrider_auth_template_fill(hmac->template, request, &values, &base, problem))
		return false;
	if (!sign(hmac, base.data, base.len, key, key_length, &values.signature))
	{
		*problem = pstrdup("the request could not be signed: OpenSSL does not allow the algorithm");
		return false;
	}
	explicit_bzero(base.data, base.len);
	if (!postrider_auth_template_fill(hmac->value, request, &values, &value, problem))
		return false;
	put(request, &hmac->signature, value.data);
	return true;
}

const AuthScheme postrider_auth_hmac = {
	.type = "hmac",
	.stage = AUTH_STAGE_SIGN,
	.keys = keys,
	.compile = compile,
	.apply = apply
};
