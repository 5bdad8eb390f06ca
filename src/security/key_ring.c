/*-------------------------------------------------------------------------
 *
 * key_ring.c
 *	  The keys that encrypt secrets; see key_ring.h.
 *
 * A key has an id, the beginning of a hash of it, which stands in each ciphertext:
 * so a key that was changed is told apart from a value that was damaged.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"
#include "common/sha2.h"
#include "common/cryptohash.h"
#include "guc.h"
#include "port.h"
#include "security/key_command.h"
#include "security/key_file.h"
#include "security/key_ring.h"
#include "utils/timestamp.h"

/* So that the id tells nothing about hashes of the key that others may publish. */
#define ID_DOMAIN "postrider key id"

static bool
make_id(const unsigned char *key, unsigned char *id)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	unsigned char digest[PG_SHA256_DIGEST_LENGTH];
	bool		done;

	done = context != NULL && pg_cryptohash_init(context) == 0 &&
		pg_cryptohash_update(context, (const uint8 *) ID_DOMAIN, sizeof(ID_DOMAIN)) == 0 &&
		pg_cryptohash_update(context, key, POSTRIDER_KEY_BYTES) == 0 &&
		pg_cryptohash_final(context, digest, sizeof(digest)) == 0;
	pg_cryptohash_free(context);
	if (done)
		memcpy(id, digest, POSTRIDER_KEY_ID_BYTES);
	return done;
}

bool
postrider_key_ring_parse(KeyRing *ring, char *content)
{
	static const char space[] = " \t\r\n";

	ring->count = 0;
	for (char *encoded = content + strspn(content, space); *encoded;)
	{
		Size		length = strcspn(encoded, space);
		char	   *end = encoded + length;

		if (ring->count == POSTRIDER_MAX_KEYS ||
			length != POSTRIDER_ENCODED_KEY_BYTES ||
			pg_b64_decode(encoded, (int) length, (void *) ring->keys[ring->count],
						  POSTRIDER_KEY_BYTES) != POSTRIDER_KEY_BYTES ||
			!make_id(ring->keys[ring->count], ring->ids[ring->count]))
		{
			postrider_key_ring_wipe(ring);
			return false;
		}
		ring->count++;
		encoded = end + strspn(end, space);
	}
	return ring->count > 0;
}

void
postrider_key_ring_print(const KeyRing *ring, char *content)
{
	for (int i = 0; i < ring->count; i++)
	{
		int			length = pg_b64_encode((const void *) ring->keys[i], POSTRIDER_KEY_BYTES,
										   content, POSTRIDER_ENCODED_KEY_BYTES);

		Assert(length == POSTRIDER_ENCODED_KEY_BYTES);
		content += length;
		*content++ = '\n';
	}
	*content = '\0';
}

void
postrider_key_ring_wipe(KeyRing *ring)
{
	explicit_bzero(ring, sizeof(KeyRing));
}

int
postrider_key_ring_find(const KeyRing *ring, const unsigned char *id)
{
	for (int i = 0; i < ring->count; i++)
		if (memcmp(ring->ids[i], id, POSTRIDER_KEY_ID_BYTES) == 0)
			return i;
	return -1;
}

bool
postrider_key_ring_add(KeyRing *ring, char **reason)
{
	if (ring->count == POSTRIDER_MAX_KEYS)
	{
		*reason = psprintf("%s has %d keys already", postrider_key_ring_origin(),
						   POSTRIDER_MAX_KEYS);
		return false;
	}
	memmove(ring->keys[1], ring->keys[0], ring->count * POSTRIDER_KEY_BYTES);
	memmove(ring->ids[1], ring->ids[0], ring->count * POSTRIDER_KEY_ID_BYTES);
	if (!pg_strong_random(ring->keys[0], POSTRIDER_KEY_BYTES) ||
		!make_id(ring->keys[0], ring->ids[0]))
	{
		*reason = pstrdup("could not generate a random key");
		return false;
	}
	ring->count++;
	return true;
}

bool
postrider_key_ring_is_command(void)
{
	return postrider_key_command != NULL && postrider_key_command[0] != '\0';
}

char *
postrider_key_ring_origin(void)
{
	if (postrider_key_ring_is_command())
		return pstrdup("output of postrider.key_command");
	return psprintf("key file \"%s\"", postrider_key_file_path());
}

/* What the command gave is kept until the settings are loaded again. */
static bool
read_command(KeyRing *ring, bool again, char **reason)
{
	static KeyRing kept;
	static TimestampTz kept_since = 0;
	static char *kept_command = NULL;

	if (!again && kept.count > 0 && kept_since == PgReloadTime &&
		strcmp(kept_command, postrider_key_command) == 0)
	{
		*ring = kept;
		return true;
	}
	postrider_key_ring_wipe(&kept);
	if (!postrider_key_command_run(postrider_key_command, ring, reason))
		return false;
	free(kept_command);
	kept_command = strdup(postrider_key_command);
	if (kept_command != NULL)
		kept = *ring;
	kept_since = PgReloadTime;
	return true;
}

bool
postrider_key_ring_read(KeyRing *ring, char **reason)
{
	if (postrider_key_ring_is_command())
		return read_command(ring, false, reason);
	return postrider_key_file_read(ring, reason);
}

bool
postrider_key_ring_read_again(KeyRing *ring, char **reason)
{
	if (postrider_key_ring_is_command())
		return read_command(ring, true, reason);
	return postrider_key_file_read(ring, reason);
}
