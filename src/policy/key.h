/*-------------------------------------------------------------------------
 *
 * key.h
 *	  Message keys as keys of a hash table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_KEY_H
#define POSTRIDER_KEY_H

#include "postgres.h"

#include "common/hashfn.h"

/* Any bytes; compared as they are. */
typedef struct KeyBytes
{
	const char *data;
	uint32		length;
} KeyBytes;

static inline uint32
postrider_key_hash(KeyBytes key)
{
	return hash_bytes((const unsigned char *) key.data, (int) key.length);
}

static inline bool
postrider_key_equal(KeyBytes a, KeyBytes b)
{
	return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

#endif							/* POSTRIDER_KEY_H */
