/*-------------------------------------------------------------------------
 *
 * signing_header.c
 *	  Signatures in one header, as the receivers of GitHub and Stripe expect them.
 *
 * {"type": "github", "secret": "a"}: X-Hub-Signature-256: sha256=HEX over the body, and with
 * "sha1": true X-Hub-Signature: sha1=HEX.  There is room for one signature, that of the
 * newest version of the secret.
 *
 * {"type": "stripe", "secret": "a"}: Stripe-Signature: t=TIME,v1=HEX over TIME.BODY, with one v1
 * for each version in force.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/signing_format.h"

typedef struct HeaderFormat
{
	SigningKey *key;
	char	   *header;
	char	   *sha1_header;	/* of GitHub; NULL: none */
} HeaderFormat;

static const char *const github_keys[] = {"type", "secret", "key_encoding", "header", "sha1", "sha1_header", NULL};
static const char *const stripe_keys[] = {"type", "secret", "key_encoding", "header", NULL};

static HeaderFormat *
compile(Options *options, const char *default_header)
{
	HeaderFormat *format = palloc0(sizeof(HeaderFormat));
	KeyEncoding encoding = postrider_options_choice(options, "key_encoding",
													postrider_key_encodings, KEY_TEXT);

	format->key = postrider_signing_key(options, SIGNING_KEY_BYTES, encoding);
	format->header = postrider_options_text(options, "header", default_header);
	(void) postrider_options_check_header(options, format->header);
	return format;
}

static void *
compile_github(Options *options)
{
	HeaderFormat *format = compile(options, "X-Hub-Signature-256");

	if (postrider_options_bool(options, "sha1", postrider_options_has(options, "sha1_header")))
		format->sha1_header = postrider_options_text(options, "sha1_header", "X-Hub-Signature");
	if (format->sha1_header != NULL)
		(void) postrider_options_check_header(options, format->sha1_header);
	return format;
}

static void *
compile_stripe(Options *options)
{
	return compile(options, "Stripe-Signature");
}

/* In hexadecimal; NULL with *problem. */
static char *
sign(const SigningKeyVersion *version, DigestAlgorithm algorithm, const char *data, Size length,
	 const char **problem)
{
	Digest		digest;

	if (postrider_hmac(algorithm, version->bytes, version->length, data, length, &digest))
		return postrider_digest_encode(DIGEST_HEX, digest.bytes, digest.length);
	*problem = pstrdup("the request could not be signed: OpenSSL does not allow the algorithm");
	return NULL;
}

static bool
apply_github(void *state, AuthRequest *request, const char **problem)
{
	const HeaderFormat *format = state;
	const char *body = request->body ? request->body : "";
	Size		length = request->body ? request->body_length : 0;
	char	   *hex;

	if (!postrider_signing_key_load(format->key, request->now, problem))
		return false;
	hex = sign(&format->key->versions[0], DIGEST_SHA256, body, length, problem);
	if (hex == NULL)
		return false;
	postrider_auth_set_header(request, format->header, psprintf("sha256=%s", hex));
	if (format->sha1_header == NULL)
		return true;
	hex = sign(&format->key->versions[0], DIGEST_SHA1, body, length, problem);
	if (hex == NULL)
		return false;
	postrider_auth_set_header(request, format->sha1_header, psprintf("sha1=%s", hex));
	return true;
}

static bool
apply_stripe(void *state, AuthRequest *request, const char **problem)
{
	const HeaderFormat *format = state;
	char	   *time = postrider_auth_format_time(request->now, TIME_S);
	StringInfoData signed_bytes;
	StringInfoData value;

	if (!postrider_signing_key_load(format->key, request->now, problem))
		return false;
	initStringInfo(&signed_bytes);
	appendStringInfo(&signed_bytes, "%s.", time);
	if (request->body)
		appendBinaryStringInfo(&signed_bytes, request->body, (int) request->body_length);
	initStringInfo(&value);
	appendStringInfo(&value, "t=%s", time);
	for (int i = 0; i < format->key->count; i++)
	{
		char	   *hex = sign(&format->key->versions[i], DIGEST_SHA256, signed_bytes.data,
							   signed_bytes.len, problem);

		if (hex == NULL)
			return false;
		appendStringInfo(&value, ",v1=%s", hex);
	}
	postrider_auth_set_header(request, format->header, value.data);
	return true;
}

static const char *
get_header(const void *state)
{
	return ((const HeaderFormat *) state)->header;
}

const SigningFormat postrider_signing_github = {
	.type = "github",
	.keys = github_keys,
	.compile = compile_github,
	.apply = apply_github,
	.label = get_header
};

const SigningFormat postrider_signing_stripe = {
	.type = "stripe",
	.keys = stripe_keys,
	.compile = compile_stripe,
	.apply = apply_stripe,
	.label = get_header
};
