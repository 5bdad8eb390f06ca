/*-------------------------------------------------------------------------
 *
 * ed25519.c
 *	  Keys of ed25519, as secrets write them; see ed25519.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "security/digest.h"
#include "security/ed25519.h"

#define SEED_BYTES 32
#define PUBLIC_PREFIX "whpk_"

/* No passphrase, and nobody to ask for one. */
static int
no_passphrase(char *buffer, int size, int writing, void *arg)
{
	return -1;
}

static EVP_PKEY *
read_pem(const char *value, char **reason)
{
	BIO		   *bio = BIO_new_mem_buf(value, -1);
	EVP_PKEY   *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	if (key != NULL && EVP_PKEY_id(key) == EVP_PKEY_ED25519)
		return key;
	EVP_PKEY_free(key);
	*reason = pstrdup(key ? "the private key in the value is not one of ed25519" :
					  "the private key in the value cannot be read");
	return NULL;
}

/* Does the public key that is written behind the seed belong to it? */
static bool
has_public(EVP_PKEY *key, const unsigned char *wanted)
{
	unsigned char public[ED25519_PUBLIC_BYTES];
	size_t		length = sizeof(public);

	return EVP_PKEY_get_raw_public_key(key, public, &length) == 1 &&
		memcmp(public, wanted, sizeof(public)) == 0;
}

static EVP_PKEY *
read_bytes(const char *encoded, char **reason)
{
	Size		length = 0;
	unsigned char *bytes = postrider_base64_bytes(encoded, &length);
	EVP_PKEY   *key = NULL;

	if (bytes == NULL)
		*reason = pstrdup("the value does not have base64 after " ED25519_PREFIX);
	else if (length != SEED_BYTES && length != SEED_BYTES + ED25519_PUBLIC_BYTES)
		*reason = pstrdup("the key in the value does not have 64 bytes");
	else
	{
		key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes, SEED_BYTES);
		if (key != NULL && length > SEED_BYTES && !has_public(key, bytes + SEED_BYTES))
		{
			EVP_PKEY_free(key);
			key = NULL;
		}
		if (key == NULL)
			*reason = pstrdup("the public key in the value is not that of its private key");
	}
	if (bytes != NULL)
	{
		explicit_bzero(bytes, length);
		pfree(bytes);
	}
	ERR_clear_error();
	return key;
}

Ed25519Key *
postrider_ed25519_read(const char *value, char **reason)
{
	char	   *copy;
	Size		length;
	EVP_PKEY   *key;

	if (strstr(value, "PRIVATE KEY-----") != NULL)
		return read_pem(value, reason);
	if (strncmp(value, ED25519_PREFIX, strlen(ED25519_PREFIX)) != 0)
	{
		*reason = pstrdup("the value is neither " ED25519_PREFIX " and base64 nor a private key in PEM");
		return NULL;
	}
	copy = pstrdup(value + strlen(ED25519_PREFIX));
	length = strlen(copy);
	while (length > 0 && isspace((unsigned char) copy[length - 1]))
		copy[--length] = '\0';
	key = read_bytes(copy, reason);
	explicit_bzero(copy, length);
	pfree(copy);
	return key;
}

void
postrider_ed25519_free(Ed25519Key *key)
{
	EVP_PKEY_free(key);
}

bool
postrider_ed25519_sign(Ed25519Key *key, const char *data, Size length,
					   unsigned char signature[ED25519_SIGNATURE_BYTES])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t		written = ED25519_SIGNATURE_BYTES;
	bool		done;

	done = context != NULL &&
		EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestSign(context, signature, &written, (const unsigned char *) data, length) == 1 &&
		written == ED25519_SIGNATURE_BYTES;
	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return done;
}

char *
postrider_ed25519_public(Ed25519Key *key)
{
	unsigned char public[ED25519_PUBLIC_BYTES];
	size_t		length = sizeof(public);

	if (EVP_PKEY_get_raw_public_key(key, public, &length) != 1)
		return NULL;
	return psprintf(PUBLIC_PREFIX "%s", postrider_digest_encode(DIGEST_BASE64, public, length));
}
