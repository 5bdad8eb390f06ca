/*-------------------------------------------------------------------------
 *
 * ed25519.h
 *	  Keys of ed25519, as secrets write them: whsk_ and base64 of the seed and
 *	  the public key (64 bytes, or the seed only), or a private key in PEM.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ED25519_H
#define POSTRIDER_ED25519_H

#include "postgres.h"

#define ED25519_PUBLIC_BYTES 32
#define ED25519_SIGNATURE_BYTES 64
#define ED25519_PREFIX "whsk_"

typedef struct evp_pkey_st Ed25519Key;	/* OpenSSL's */

/*
 * Reads a secret.  NULL with *reason, a palloc'd clause without anything of the
 * value, if it has no such key.  The caller frees it: it is not in a memory context.
 */
extern Ed25519Key *postrider_ed25519_read(const char *value, char **reason);
extern void postrider_ed25519_free(Ed25519Key *key);

extern bool postrider_ed25519_sign(Ed25519Key *key, const char *data, Size length,
								   unsigned char signature[ED25519_SIGNATURE_BYTES]);

/* "whpk_" and base64, palloc'd. */
extern char *postrider_ed25519_public(Ed25519Key *key);

#endif							/* POSTRIDER_ED25519_H */
