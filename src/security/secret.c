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
#include "lib/stringinfo.h"
#include "port/pg_bswap.h"
#include "security/key_file.h"
#include "security/key_ring.h"
#include "security/secret.h"
#include "util/compat.h"

#define FORMAT_VERSION 2
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define HEAD_BYTES (1 + POSTRIDER_KEY_ID_BYTES + NONCE_BYTES)
#define OVERHEAD_BYTES (HEAD_BYTES + TAG_BYTES)

#define SIGNING_PREFIX "whsec_"
#define PRIVATE_PREFIX "whsk_"
#define MIN_SIGNING_BYTES 16
#define MAX_SIGNING_BYTES 512

/* A seed of ed25519, or that and the public key. */
#define MIN_PRIVATE_BYTES 32
#define MAX_PRIVATE_BYTES 64

/* The associated data: no two labels have the same, as no text has a NUL in it. */
static void
write_label(StringInfo out, const SecretLabel *label)
{
	uint32		version = pg_hton32((uint32) label->version);

	initStringInfo(out);
	appendStringInfoString(out, "postrider ");
	appendBinaryStringInfo(out, label->kind, (int) strlen(label->kind) + 1);
	appendBinaryStringInfo(out, label->name, (int) strlen(label->name) + 1);
	appendBinaryStringInfo(out, (const char *) &version, sizeof(version));
}

/*
 * AES-256-GCM in one go, either way.  "tag" is written when encrypting and
 * checked when decrypting.
 */
static bool
run_cipher(bool encrypt, const unsigned char *key, const unsigned char *nonce,
		   const SecretLabel *label, const unsigned char *from, int length,
		   unsigned char *to, unsigned char *tag)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int			tag_command = encrypt ? EVP_CTRL_AEAD_GET_TAG : EVP_CTRL_AEAD_SET_TAG;
	int			written = 0;
	int			rest = 0;
	bool		done;
	StringInfoData associated;

	write_label(&associated, label);
	done = context != NULL &&
		EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce, encrypt) &&
		EVP_CipherUpdate(context, NULL, &written,
						 (const unsigned char *) associated.data, associated.len) &&
		(length == 0 ||
		 EVP_CipherUpdate(context, to, &written, from, length)) &&
		(encrypt ||
		 EVP_CIPHER_CTX_ctrl(context, tag_command, TAG_BYTES, tag)) &&
		EVP_CipherFinal_ex(context, to + length, &rest) &&
		(!encrypt ||
		 EVP_CIPHER_CTX_ctrl(context, tag_command, TAG_BYTES, tag));
	EVP_CIPHER_CTX_free(context);	/* wipes its copy of the key */
	pfree(associated.data);
	ERR_clear_error();
	return done;
}

void
postrider_secret_require_keys(KeyRing *ring)
{
	char	   *reason = NULL;

	if ((postrider_key_ring_is_command() || postrider_key_file_exists() ||
		 postrider_key_file_make(&reason)) &&
		postrider_key_ring_read(ring, &reason))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("%s", reason),
			 postrider_key_ring_is_command() ?
			 errhint("It must print what a key file has in it, such as the output of: openssl rand -base64 32") :
			 errhint("The setting postrider.key_file names the file.")));
}

bytea *
postrider_secret_seal(const KeyRing *ring, const SecretLabel *label,
					  const char *value, Size length)
{
	bytea	   *result = palloc0(VARHDRSZ + OVERHEAD_BYTES + length);
	unsigned char *data = (unsigned char *) VARDATA(result);
	unsigned char *nonce = data + 1 + POSTRIDER_KEY_ID_BYTES;

	SET_VARSIZE(result, VARHDRSZ + OVERHEAD_BYTES + length);
	data[0] = FORMAT_VERSION;
	memcpy(data + 1, ring->ids[0], POSTRIDER_KEY_ID_BYTES);
	if (!pg_strong_random(nonce, NONCE_BYTES) ||
		!run_cipher(true, ring->keys[0], nonce, label, (const unsigned char *) value,
					(int) length, data + HEAD_BYTES, data + HEAD_BYTES + length))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not encrypt %s \"%s\"", label->kind, label->name)));
	return result;
}

/* length is that of the value */
static char *
decrypt(const unsigned char *key, const SecretLabel *label, unsigned char *data, int length,
		char **reason)
{
	char	   *value = palloc0(length + 1);

	if (run_cipher(false, key, data + 1 + POSTRIDER_KEY_ID_BYTES, label, data + HEAD_BYTES,
				   length, (unsigned char *) value, data + HEAD_BYTES + length))
		return value;
	explicit_bzero(value, length);	/* of which nothing is proven */
	pfree(value);
	*reason = psprintf("the ciphertext of %s \"%s\" is damaged, or is that of another one",
					   label->kind, label->name);
	return NULL;
}

char *
postrider_secret_open(const KeyRing *ring, const SecretLabel *label, bytea *ciphertext,
					  Size *length, int *key_number, char **reason)
{
	int			size = VARSIZE_ANY_EXHDR(ciphertext);
	unsigned char *data = (unsigned char *) VARDATA_ANY(ciphertext);
	int			number;

	if (key_number)
		*key_number = 0;
	if (size < OVERHEAD_BYTES || data[0] != FORMAT_VERSION)
	{
		*reason = psprintf("the ciphertext of %s \"%s\" has an unknown format",
						   label->kind, label->name);
		return NULL;
	}
	number = postrider_key_ring_find(ring, data + 1);
	if (key_number)
		*key_number = number;
	if (number < 0)
	{
		*reason = psprintf("the key that %s \"%s\" was encrypted with is not in %s",
						   label->kind, label->name, postrider_key_ring_origin());
		return NULL;
	}
	if (length)
		*length = size - OVERHEAD_BYTES;
	return decrypt(ring->keys[number], label, data, size - OVERHEAD_BYTES, reason);
}

bool
postrider_secret_is_current(const KeyRing *ring, bytea *ciphertext)
{
	return VARSIZE_ANY_EXHDR(ciphertext) > OVERHEAD_BYTES &&
		postrider_key_ring_find(ring, (unsigned char *) VARDATA_ANY(ciphertext) + 1) == 0;
}

bytea *
postrider_secret_encrypt(const char *name, const char *value)
{
	SecretLabel label = {.kind = "value", .name = name};
	KeyRing		ring;
	bytea	   *result;

	postrider_secret_require_keys(&ring);
	result = postrider_secret_seal(&ring, &label, value, strlen(value));
	postrider_key_ring_wipe(&ring);
	return result;
}

char *
postrider_secret_decrypt(const char *name, bytea *ciphertext, char **reason)
{
	SecretLabel label = {.kind = "value", .name = name};
	KeyRing		ring;
	char	   *value;

	if (!postrider_key_ring_read(&ring, reason))
		return NULL;
	value = postrider_secret_open(&ring, &label, ciphertext, NULL, NULL, reason);
	postrider_key_ring_wipe(&ring);
	return value;
}

bool
postrider_secret_has_signing_prefix(const char *value)
{
	return strncmp(value, SIGNING_PREFIX, strlen(SIGNING_PREFIX)) == 0 ||
		strncmp(value, PRIVATE_PREFIX, strlen(PRIVATE_PREFIX)) == 0;
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

/* Decodes what is behind the prefix; NULL with *reason if it is not min to max bytes. */
static unsigned char *
decode_signing_key(const char *value, const char *prefix, int min, int max, Size *length,
				   char **reason)
{
	const char *encoded = value + strlen(prefix);
	Size		encoded_length;

	if (strncmp(value, prefix, strlen(prefix)) != 0)
	{
		*reason = psprintf("the value does not begin with %s", prefix);
		return NULL;
	}
	encoded_length = strlen(encoded);
	if (!is_base64(encoded, encoded_length))
	{
		*reason = psprintf("the value does not have base64 after %s", prefix);
		return NULL;
	}
	if (encoded_length <= (Size) pg_b64_enc_len(max))
	{
		int			size = pg_b64_dec_len((int) encoded_length);
		unsigned char *key = palloc(size + 1);
		int			key_length = pg_b64_decode(encoded, (int) encoded_length,
											   (void *) key, size);

		if (key_length >= min && key_length <= max)
		{
			*length = key_length;
			return key;
		}
		explicit_bzero(key, size);
		pfree(key);
	}
	*reason = psprintf("the key in the value does not have %d to %d bytes", min, max);
	return NULL;
}

unsigned char *
postrider_secret_signing_key(const char *value, Size *length, char **reason)
{
	return decode_signing_key(value, SIGNING_PREFIX, MIN_SIGNING_BYTES, MAX_SIGNING_BYTES,
							  length, reason);
}

unsigned char *
postrider_secret_private_key(const char *value, Size *length, char **reason)
{
	return decode_signing_key(value, PRIVATE_PREFIX, MIN_PRIVATE_BYTES, MAX_PRIVATE_BYTES,
							  length, reason);
}

bool
postrider_secret_is_private_key(const char *value)
{
	return strncmp(value, PRIVATE_PREFIX, strlen(PRIVATE_PREFIX)) == 0;
}
