/*-------------------------------------------------------------------------
 *
 * key_ring.h
 *	  The keys that encrypt secrets, from postrider.key_command or postrider.key_file.
 *
 * The first one is the current key, which encrypts.  The others are older and are
 * there while something is still encrypted with them: that is how a key is changed
 * without a moment at which a secret cannot be read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_KEY_RING_H
#define POSTRIDER_KEY_RING_H

#include "postgres.h"

#define POSTRIDER_KEY_BYTES 32
#define POSTRIDER_ENCODED_KEY_BYTES 44
#define POSTRIDER_KEY_ID_BYTES 4
#define POSTRIDER_MAX_KEYS 8

typedef struct KeyRing
{
	int			count;
	unsigned char keys[POSTRIDER_MAX_KEYS][POSTRIDER_KEY_BYTES];
	unsigned char ids[POSTRIDER_MAX_KEYS][POSTRIDER_KEY_ID_BYTES];
} KeyRing;

/*
 * The keys: those that the command gave, once since the settings were loaded, or
 * those in the file.  On failure returns false with *reason set to a palloc'd
 * sentence.  The caller wipes the ring after use.
 */
extern bool postrider_key_ring_read(KeyRing *ring, char **reason);

/* The same, but runs the command again even if it has been run. */
extern bool postrider_key_ring_read_again(KeyRing *ring, char **reason);

extern void postrider_key_ring_wipe(KeyRing *ring);

/* Where the keys are from, for messages: file "…" or postrider.key_command; palloc'd. */
extern char *postrider_key_ring_origin(void);

/* Does postrider.key_command give the keys? */
extern bool postrider_key_ring_is_command(void);

/* The number of the key with this id, or -1. */
extern int	postrider_key_ring_find(const KeyRing *ring, const unsigned char *id);

/* Puts a new random key before the others. */
extern bool postrider_key_ring_add(KeyRing *ring, char **reason);

/* Lines of base64 to keys; changes the content.  False if it is anything else. */
extern bool postrider_key_ring_parse(KeyRing *ring, char *content);

/* Keys to lines of base64; there is room for 45 bytes for each and one more. */
extern void postrider_key_ring_print(const KeyRing *ring, char *content);

#endif							/* POSTRIDER_KEY_RING_H */
