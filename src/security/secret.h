/*-------------------------------------------------------------------------
 *
 * secret.h
 *	  Secrets at rest: AES-256-GCM with a key outside the database.
 *
 * The key is 32 random bytes, written in base64 to the file that
 * postrider.key_file names (relative to the data directory).  The server makes
 * the file with mode 0600 when there is none: complete under a temporary name,
 * synced, then link(2)ed, so that two processes that race agree on one key.
 * A file that others can read is refused.  key_file.h has the details.
 *
 * A ciphertext is: version byte 1, nonce (12), ciphertext, tag (16).  The
 * secret's name is the associated data.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SECRET_H
#define POSTRIDER_SECRET_H

#include "postgres.h"

/*
 * Encrypts a value; the result is a palloc'd bytea.  ereport(ERROR) if the key
 * file cannot be made or read.
 */
extern bytea *postrider_secret_encrypt(const char *name, const char *value);

/*
 * Decrypts.  Returns the value, palloc'd and NUL-terminated, or NULL with
 * *reason set to a palloc'd sentence without anything secret in it ("the key in
 * file "…" is not the one that the secret "…" was encrypted with").
 */
extern char *postrider_secret_decrypt(const char *name, bytea *ciphertext,
									  char **reason);

/*
 * Decodes a signing secret, "whsec_" and base64 of 16 to 512 bytes, into a
 * palloc'd key.  Returns NULL with *reason set to a palloc'd clause that has none
 * of its characters if it is not one.
 */
extern unsigned char *postrider_secret_signing_key(const char *value,
												   Size *length, char **reason);

#endif							/* POSTRIDER_SECRET_H */
