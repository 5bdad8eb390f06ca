/*-------------------------------------------------------------------------
 *
 * digest.h
 *	  Hashes, HMAC and how their bytes are written.
 *
 * Nothing here raises an error, except for memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_DIGEST_H
#define POSTRIDER_DIGEST_H

#include "postgres.h"

#define DIGEST_MAX_BYTES 64

typedef enum DigestAlgorithm
{
	DIGEST_MD5,					/* where APIs still demand it */
	DIGEST_SHA1,				/* likewise */
	DIGEST_SHA256,
	DIGEST_SHA512
} DigestAlgorithm;

typedef enum DigestEncoding
{
	DIGEST_HEX,
	DIGEST_HEX_UPPER,
	DIGEST_BASE64,
	DIGEST_BASE64URL			/* without padding */
} DigestEncoding;

typedef struct Digest
{
	Size		length;
	unsigned char bytes[DIGEST_MAX_BYTES];
} Digest;

/* False if OpenSSL fails or does not allow the algorithm. */
extern bool postrider_digest(DigestAlgorithm algorithm, const void *data, Size length,
							 Digest *digest);
extern bool postrider_hmac(DigestAlgorithm algorithm, const void *key, Size key_length,
						   const void *data, Size length, Digest *digest);

/* Palloc'd and NUL-terminated. */
extern char *postrider_digest_encode(DigestEncoding encoding, const void *bytes,
									 Size length);

/* The bytes of base64, palloc'd; NULL if it is none. */
extern unsigned char *postrider_base64_bytes(const char *encoded, Size *length);

#endif							/* POSTRIDER_DIGEST_H */
