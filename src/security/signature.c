/*-------------------------------------------------------------------------
 *
 * signature.c
 *	  Standard Webhooks 1.0.0 signatures.
 *
 * One context serves every call of the process.  To look the algorithm up
 * and make a context anew, as HMAC() does, takes longer than to sign.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "common/base64.h"
#include "security/signature.h"

#define DIGEST_BYTES 32
#define PREFIX "v1,"

static EVP_MAC_CTX *hmac = NULL;

static bool
make_hmac(void)
{
	EVP_MAC    *algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *context = algorithm ? EVP_MAC_CTX_new(algorithm) : NULL;
	char		digest[] = "SHA256";
	OSSL_PARAM	parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end()
	};

	EVP_MAC_free(algorithm);	/* the context holds a reference */
	if (context != NULL && EVP_MAC_CTX_set_params(context, parameters))
	{
		hmac = context;
		return true;
	}
	EVP_MAC_CTX_free(context);
	return false;
}

static bool
update(const char *data, Size length)
{
	return EVP_MAC_update(hmac, (const unsigned char *) data, length);
}

bool
postrider_signature_v1(const unsigned char *key, Size key_length,
					   const char *id, int64 timestamp,
					   const char *body, Size body_length,
					   char result[POSTRIDER_SIGNATURE_SIZE])
{
	unsigned char digest[DIGEST_BYTES];
	Size		digest_length;
	char		time[32];
	int			time_length = snprintf(time, sizeof(time), "." INT64_FORMAT ".",
									   timestamp);
	int			encoded;

	/* Without a key OpenSSL would go on with the one before. */
	if (key == NULL || key_length == 0)
		return false;
	if ((hmac == NULL && !make_hmac()) ||
		!EVP_MAC_init(hmac, key, key_length, NULL) ||
		!update(id, strlen(id)) ||
		!update(time, time_length) ||
		!update(body, body_length) ||
		!EVP_MAC_final(hmac, digest, &digest_length, sizeof(digest)) ||
		digest_length != sizeof(digest))
	{
		ERR_clear_error();
		return false;
	}

	/* Version 18 has other pointer types here; void fits both. */
	memcpy(result, PREFIX, strlen(PREFIX));
	encoded = pg_b64_encode((const void *) digest, sizeof(digest),
							result + strlen(PREFIX),
							POSTRIDER_SIGNATURE_SIZE - strlen(PREFIX) - 1);
	if (encoded < 0)
		return false;
	result[strlen(PREFIX) + encoded] = '\0';
	return true;
}
