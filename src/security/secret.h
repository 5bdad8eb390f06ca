/*-------------------------------------------------------------------------
 *
 * secret.h
 *	  Secrets at rest: AES-256-GCM with a key outside the database.
 *
 * The keys are those of key_ring.h.  The server makes the key file with mode 0600
 * when there is none: complete under a temporary name, synced, then link(2)ed, so
 * that two processes that race agree on one key.  A file that others can read is
 * refused.
 *
 * A ciphertext is: version byte 2, id of the key (4), nonce (12), ciphertext, tag
 * (16).  What it is for, kind, name and version, is the associated data: so
 * it cannot be moved to another name, nor an old version be put in the place of a
 * new one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SECRET_H
#define POSTRIDER_SECRET_H

#include "postgres.h"

#include "security/key_ring.h"

/* What a ciphertext is for. */
typedef struct SecretLabel
{
	const char *kind;			/* "secret", "credential" ... */
	const char *name;
	int32		version;
} SecretLabel;

/*
 * Encrypts a value with the current key; the result is a palloc'd bytea.
 * ereport(ERROR) if OpenSSL fails.
 */
extern bytea *postrider_secret_seal(const KeyRing *ring, const SecretLabel *label,
									const char *value, Size length);

/*
 * Decrypts with whichever key it needs.  Returns the value, palloc'd and NUL-terminated,
 * or NULL with *reason set to a palloc'd sentence without anything secret in it.
 * *key_number, if it is wanted, is 0 if the current key opened it, and -1 if the
 * key is not there.
 */
extern char *postrider_secret_open(const KeyRing *ring, const SecretLabel *label,
								   bytea *ciphertext, Size *length, int *key_number,
								   char **reason);

/* Is it encrypted with the current key? */
extern bool postrider_secret_is_current(const KeyRing *ring, bytea *ciphertext);

/*
 * The keys, or ereport(ERROR) that names what is wrong with them; a key file is made if
 * there is none.  The caller wipes the ring.
 */
extern void postrider_secret_require_keys(KeyRing *ring);

/*
 * Both with the keys as they are now, for a few values of kind "value", version 0.
 * ereport(ERROR) if the keys cannot be read.
 */
extern bytea *postrider_secret_encrypt(const char *name, const char *value);
extern char *postrider_secret_decrypt(const char *name, bytea *ciphertext,
									  char **reason);

/* Is it meant to be a signing secret (whsec_) or a private key for signing (whsk_)? */
extern bool postrider_secret_has_signing_prefix(const char *value);

/*
 * Decodes a signing secret, "whsec_" and base64 of 16 to 512 bytes, into a
 * palloc'd key.  Returns NULL with *reason set to a palloc'd clause that has none
 * of its characters if it is not one.
 */
extern unsigned char *postrider_secret_signing_key(const char *value,
												   Size *length, char **reason);

/* The same for "whsk_" and base64 of an ed25519 private key: 32 bytes, or 64 with the public key. */
extern unsigned char *postrider_secret_private_key(const char *value,
												   Size *length, char **reason);
extern bool postrider_secret_is_private_key(const char *value);

#endif							/* POSTRIDER_SECRET_H */
