/*-------------------------------------------------------------------------
 *
 * jwt.c
 *	  Signs JSON Web Tokens; see jwt.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "lib/stringinfo.h"
#include "security/digest.h"
#include "security/jwt.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#define POSTGRES_EPOCH_UNIX_S \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/* RFC 7518 section 3.3 */
#define MIN_RSA_BITS 2048

/* Half of an ES256 signature: RFC 7518 section 3.4. */
#define ES256_BYTES 32

/* A clock may be a little ahead of that of the server. */
#define ISSUED_EARLIER_S 5

/* There is nobody to ask for a passphrase. */
static int
no_passphrase(char *buffer, int size, int writing, void *arg)
{
	return -1;
}

/* The private key, if it is one for the algorithm. */
static EVP_PKEY *
read_key(const JwtKey *key, const char **problem)
{
	BIO		   *bio = BIO_new_mem_buf(key->pem, (int) key->length);
	EVP_PKEY   *result = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	char		curve[32] = "";

	BIO_free(bio);
	ERR_clear_error();
	if (result == NULL)
	{
		*problem = pstrdup("is no private key in PEM without a passphrase (-----BEGIN PRIVATE KEY-----)");
		return NULL;
	}
	if (key->algorithm == JWT_RS256 && EVP_PKEY_base_id(result) != EVP_PKEY_RSA)
		*problem = pstrdup("is no RSA key, which RS256 needs");
	else if (key->algorithm == JWT_RS256 && EVP_PKEY_bits(result) < MIN_RSA_BITS)
		*problem = psprintf("is an RSA key of %d bits, and RS256 needs %d at least",
							EVP_PKEY_bits(result), MIN_RSA_BITS);
	else if (key->algorithm == JWT_ES256 &&
			 (EVP_PKEY_base_id(result) != EVP_PKEY_EC ||
			  !EVP_PKEY_get_group_name(result, curve, sizeof(curve), NULL) ||
			  strcmp(curve, "prime256v1") != 0))
		*problem = pstrdup("is no EC key on the curve P-256, which ES256 needs");
	else
		return result;
	ERR_clear_error();
	EVP_PKEY_free(result);
	return NULL;
}

/* The ASN.1 of OpenSSL as two numbers of fixed length. */
static bool
split_signature(const unsigned char *der, Size length, unsigned char bytes[2 * ES256_BYTES])
{
	ECDSA_SIG  *signature = d2i_ECDSA_SIG(NULL, &der, (long) length);
	bool		done = signature != NULL &&
		BN_bn2binpad(ECDSA_SIG_get0_r(signature), bytes, ES256_BYTES) == ES256_BYTES &&
		BN_bn2binpad(ECDSA_SIG_get0_s(signature), bytes + ES256_BYTES, ES256_BYTES) == ES256_BYTES;

	ECDSA_SIG_free(signature);
	return done;
}

/* Appends ".signature". */
static bool
append_signature(StringInfo out, EVP_PKEY *key, JwtAlgorithm algorithm)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t		length = (size_t) EVP_PKEY_size(key);
	unsigned char *signature = palloc(length);
	unsigned char pair[2 * ES256_BYTES];
	bool		done = context != NULL &&
		EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(context, signature, &length, (const unsigned char *) out->data,
					   out->len) == 1;

	EVP_MD_CTX_free(context);
	if (done && algorithm == JWT_ES256)
	{
		done = split_signature(signature, length, pair);
		signature = pair;
		length = sizeof(pair);
	}
	ERR_clear_error();
	if (done)
		appendStringInfo(out, ".%s", postrider_digest_encode(DIGEST_BASE64URL, signature,
															  length));
	return done;
}

static void
add_text(StringInfo out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (out->len > 1)
		appendStringInfoChar(out, ',');
	escape_json(out, name);
	appendStringInfoChar(out, ':');
	escape_json(out, value);
}

static char *
make_header(const JwtKey *key)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	add_text(&out, "alg", key->algorithm == JWT_RS256 ? "RS256" : "ES256");
	add_text(&out, "typ", "JWT");
	add_text(&out, "kid", key->key_id);
	appendStringInfoChar(&out, '}');
	return postrider_digest_encode(DIGEST_BASE64URL, out.data, out.len);
}

/* Each assertion has an id of its own, so that servers can refuse one that is repeated. */
static bool
add_id(StringInfo out)
{
	unsigned char random[16];

	if (!pg_strong_random(random, sizeof(random)))
		return false;
	add_text(out, "jti", postrider_digest_encode(DIGEST_HEX, random, sizeof(random)));
	return true;
}

static char *
make_claims(const JwtClaims *claims)
{
	int64		now = claims->issued_at / USECS_PER_SEC + POSTGRES_EPOCH_UNIX_S;
	StringInfoData out;
	char	   *extra;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	add_text(&out, "iss", claims->issuer);
	add_text(&out, "sub", claims->subject);
	add_text(&out, "aud", claims->audience);
	add_text(&out, "scope", claims->scope);
	if (!add_id(&out))
		return NULL;
	appendStringInfo(&out, ",\"iat\":" INT64_FORMAT ",\"exp\":" INT64_FORMAT,
					 now - ISSUED_EARLIER_S, now - ISSUED_EARLIER_S + claims->lifetime_s);
	if (claims->extra != NULL && JsonContainerSize(claims->extra) > 0)
	{
		extra = JsonbToCString(NULL, unconstify(JsonbContainer *, claims->extra), 0);
		appendStringInfo(&out, ",%s", extra + 1);	/* without its opening brace */
	}
	else
		appendStringInfoChar(&out, '}');
	return postrider_digest_encode(DIGEST_BASE64URL, out.data, out.len);
}

char *
postrider_jwt_sign(const JwtKey *key, const JwtClaims *claims, const char **problem)
{
	EVP_PKEY   *private_key = read_key(key, problem);
	char	   *claims_text = make_claims(claims);
	StringInfoData out;
	bool		done;

	if (private_key == NULL)
		return NULL;
	initStringInfo(&out);
	appendStringInfo(&out, "%s.%s", make_header(key), claims_text ? claims_text : "");
	done = claims_text != NULL && append_signature(&out, private_key, key->algorithm);
	EVP_PKEY_free(private_key);
	if (done)
		return out.data;
	*problem = pstrdup("could not be used to sign");
	return NULL;
}
