/*-------------------------------------------------------------------------
 *
 * digest.c
 *	  Hashes, HMAC and how their bytes are written; see digest.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base64.h"
#include "security/digest.h"

static const EVP_MD *
find_algorithm(DigestAlgorithm algorithm)
{
	switch (algorithm)
	{
		case DIGEST_MD5:
			return EVP_md5();
		case DIGEST_SHA1:
			return EVP_sha1();
		case DIGEST_SHA256:
			return EVP_sha256();
		case DIGEST_SHA512:
			return EVP_sha512();
	}
	return NULL;
}

bool
postrider_digest(DigestAlgorithm algorithm, const void *data, Size length,
				 Digest *digest)
{
	unsigned int written = 0;
	bool		done = EVP_Digest(data ? data : "", length, digest->bytes, &written,
								  find_algorithm(algorithm), NULL) == 1;

	ERR_clear_error();
	digest->length = written;
	return done;
}

bool
postrider_hmac(DigestAlgorithm algorithm, const void *key, Size key_length,
			   const void *data, Size length, Digest *digest)
{
	unsigned int written = 0;
	bool		done = HMAC(find_algorithm(algorithm), key, (int) key_length,
							data ? data : (const void *) "", length,
							digest->bytes, &written) != NULL;

	ERR_clear_error();
	digest->length = written;
	return done;
}

static char *
write_hex(const unsigned char *bytes, Size length, const char *digits)
{
	char	   *out = palloc(length * 2 + 1);

	for (Size i = 0; i < length; i++)
	{
		out[i * 2] = digits[bytes[i] >> 4];
		out[i * 2 + 1] = digits[bytes[i] & 15];
	}
	out[length * 2] = '\0';
	return out;
}

static char *
write_base64(const unsigned char *bytes, Size length)
{
	int			size = pg_b64_enc_len((int) length);
	char	   *out = palloc(size + 1);
	int			written = pg_b64_encode((const void *) bytes, (int) length, out, size);

	out[Max(written, 0)] = '\0';
	return out;
}

char *
postrider_digest_encode(DigestEncoding encoding, const void *bytes, Size length)
{
	char	   *out;

	if (encoding == DIGEST_HEX)
		return write_hex(bytes, length, "0123456789abcdef");
	if (encoding == DIGEST_HEX_UPPER)
		return write_hex(bytes, length, "0123456789ABCDEF");
	out = write_base64(bytes, length);
	if (encoding == DIGEST_BASE64)
		return out;
	for (char *c = out; *c; c++)
	{
		if (*c == '+')
			*c = '-';
		else if (*c == '/')
			*c = '_';
		else if (*c == '=')
			*c = '\0';			/* the loop ends here */
	}
	return out;
}

unsigned char *
postrider_base64_bytes(const char *encoded, Size *length)
{
	Size		size = strlen(encoded);
	Size		letters = strspn(encoded,
								 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	Size		padding = size - letters;
	unsigned char *bytes;
	int			written;

	/* Stricter than PostgreSQL's decoder, which lets characters follow the padding. */
	if (size == 0 || size % 4 != 0 || padding > 2 || size > 64 * 1024 ||
		strspn(encoded + letters, "=") != padding)
		return NULL;
	bytes = palloc(pg_b64_dec_len((int) size) + 1);
	written = pg_b64_decode(encoded, (int) size, (void *) bytes,
							pg_b64_dec_len((int) size));
	if (written < 0)
		return NULL;
	bytes[written] = '\0';
	*length = written;
	return bytes;
}
