/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  Secrets at rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "common/base64.h"
#include "security/key_file.h"
#include "security/secret.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#define FORMAT_VERSION 1
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define HEAD_BYTES (1 + NONCE_BYTES)
#define OVERHEAD_BYTES (HEAD_BYTES + TAG_BYTES)

#define SIGNING_PREFIX "whsec_"
#define MIN_SIGNING_BYTES 16
#define MAX_SIGNING_BYTES 512

/*
 * AES-256-GCM in one go, either way.  "tag" is written when encrypting and
 * checked when decrypting.
 */
static bool
run_cipher(bool encrypt, const unsigned char *key, const unsigned char *nonce,
		   const char *name, const unsigned char *from, int length,
		   unsigned char *to, unsigned char *tag)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int			tag_command = encrypt ? EVP_CTRL_AEAD_GET_TAG : EVP_CTRL_AEAD_SET_TAG;
	int			written = 0;
	int			rest = 0;
	bool		done;

	done = context != NULL &&
		EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce, encrypt) &&
		EVP_CipherUpdate(context, NULL, &written,
						 (const unsigned char *) name, (int) strlen(name)) &&
		(length == 0 ||
		 EVP_CipherUpdate(context, to, &written, from, length)) &&
		(encrypt ||
		 EVP_CIPHER_CTX_ctrl(context, tag_command, TAG_BYTES, tag)) &&
		EVP_CipherFinal_ex(context, to + length, &rest) &&
		(!encrypt ||
		 EVP_CIPHER_CTX_ctrl(context, tag_command, TAG_BYTES, tag));
	EVP_CIPHER_CTX_free(context);	/* wipes its copy of the key */
	ERR_clear_error();
	return done;
}

static void
read_key_or_error(unsigned char key[POSTRIDER_KEY_BYTES])
{
	char	   *reason = NULL;

	if ((postrider_key_file_exists() || postrider_key_file_make(&reason)) &&
		postrider_key_file_read(key, &reason))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("%s", reason),
			 errhint("The setting postrider.key_file names the file.")));
}

bytea *
postrider_secret_encrypt(const char *name, const char *value)
{
	int			length = (int) strlen(value);
	bytea	   *result = palloc0(VARHDRSZ + OVERHEAD_BYTES + length);
	unsigned char *data = (unsigned char *) VARDATA(result);
	unsigned char key[POSTRIDER_KEY_BYTES];
	bool		done;

	SET_VARSIZE(result, VARHDRSZ + OVERHEAD_BYTES + length);
	read_key_or_error(key);
	data[0] = FORMAT_VERSION;
	done = pg_strong_random(data + 1, NONCE_BYTES) &&
		run_cipher(true, key, data + 1, name, (const unsigned char *) value,
				   length, data + HEAD_BYTES, data + HEAD_BYTES + length);
	explicit_bzero(key, sizeof(key));
	if (!done)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not encrypt secret \"%s\"", name)));
	return result;
}

/* length is that of the value */
static char *
decrypt(const char *name, unsigned char *data, int length, char **reason)
{
	unsigned char key[POSTRIDER_KEY_BYTES];
	char	   *value;

	if (!postrider_key_file_read(key, reason))
		return NULL;
	value = palloc0(length + 1);
	if (run_cipher(false, key, data + 1, name, data + HEAD_BYTES, length,
				   (unsigned char *) value, data + HEAD_BYTES + length))
	{
		explicit_bzero(key, sizeof(key));
		return value;
	}
	explicit_bzero(key, sizeof(key));
	explicit_bzero(value, length);	/* of which nothing is proven */
	pfree(value);
	*reason = psprintf("the key in file \"%s\" is not the one that secret \"%s\" was encrypted with",
					   postrider_key_file_path(), name);
	return NULL;
}

char *
postrider_secret_decrypt(const char *name, bytea *ciphertext, char **reason)
{
	int			size = VARSIZE_ANY_EXHDR(ciphertext);
	unsigned char *data = (unsigned char *) VARDATA_ANY(ciphertext);

	if (size < OVERHEAD_BYTES || data[0] != FORMAT_VERSION)
	{
		*reason = psprintf("the ciphertext of secret \"%s\" has an unknown format",
						   name);
		return NULL;
	}
	return decrypt(name, data, size - OVERHEAD_BYTES, reason);
}

/*
 * Stricter than PostgreSQL's decoder, which lets characters follow the
 * padding.
 */
static bool
is_base64(const char *string, Size length)
{
	Size		letters = strspn(string,
								 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	Size		padding = length - letters;

	return length % 4 == 0 && padding <= 2 &&
		strspn(string + letters, "=") == padding;
}

unsigned char *
postrider_secret_signing_key(const char *value, Size *length, char **reason)
{
	const char *encoded = value + strlen(SIGNING_PREFIX);
	Size		encoded_length;

	if (strncmp(value, SIGNING_PREFIX, strlen(SIGNING_PREFIX)) != 0)
	{
		*reason = psprintf("the value does not begin with %s", SIGNING_PREFIX);
		return NULL;
	}
	encoded_length = strlen(encoded);
	if (!is_base64(encoded, encoded_length))
	{
		*reason = psprintf("the value does not have base64 after %s", SIGNING_PREFIX);
		return NULL;
	}
	if (encoded_length <= (Size) pg_b64_enc_len(MAX_SIGNING_BYTES))
	{
		int			size = pg_b64_dec_len((int) encoded_length);
		unsigned char *key = palloc(size + 1);
		int			key_length = pg_b64_decode(encoded, (int) encoded_length,
											   (void *) key, size);

		if (key_length >= MIN_SIGNING_BYTES && key_length <= MAX_SIGNING_BYTES)
		{
			*length = key_length;
			return key;
		}
		explicit_bzero(key, size);
		pfree(key);
	}
	*reason = psprintf("the key in the value does not have %d to %d bytes",
					   MIN_SIGNING_BYTES, MAX_SIGNING_BYTES);
	return NULL;
}
