/*-------------------------------------------------------------------------
 *
 * key_file.h
 *	  The file with the keys that encrypt secrets (postrider.key_file).
 *
 * The file has the base64 of 32 bytes in it, or several such lines: the first
 * encrypts, the others are older and only decrypt.  It must be a plain file that belongs to
 * the server's user and that nobody else can read or write, or belong to root and be
 * readable by the server's group at most: the rule that PostgreSQL has for ssl_key_file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_KEY_FILE_H
#define POSTRIDER_KEY_FILE_H

#include "postgres.h"

#include "security/key_ring.h"

/* Absolute path of the file, palloc'd. */
extern char *postrider_key_file_path(void);

/* False only if there is certainly no such file. */
extern bool postrider_key_file_exists(void);

/*
 * Reads the keys.  On failure returns false with *reason set to a palloc'd
 * sentence.  The caller wipes the keys after use.
 */
extern bool postrider_key_file_read(KeyRing *ring, char **reason);

/*
 * Makes the file with a random key.  It is no failure if another process
 * makes it first.
 */
extern bool postrider_key_file_make(char **reason);

/* Puts these keys in its place; after a crash it has the old or the new ones. */
extern bool postrider_key_file_replace(const KeyRing *ring, char **reason);

#endif							/* POSTRIDER_KEY_FILE_H */
