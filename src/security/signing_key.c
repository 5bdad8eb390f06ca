/*-------------------------------------------------------------------------
 *
 * signing_key.c
 *	  The keys that a secret holds, decoded once; see signing_format.h.
 *
 * A version is known by its value: whether the configuration was loaded again or a
 * store has answered, comparing a few bytes tells.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "security/secret.h"
#include "security/secret_set.h"
#include "security/signing_format.h"
#include "utils/memutils.h"

/* What OpenSSL holds is not in a memory context; the values are wiped. */
static void
free_keys(void *arg)
{
	SigningKey *key = arg;

	for (int i = 0; i < SIGNING_VERSIONS; i++)
	{
		SigningKeyVersion *version = &key->versions[i];

		postrider_ed25519_free(version->ed25519);
		if (version->value)
			explicit_bzero(version->value, strlen(version->value));
		if (version->bytes)
			explicit_bzero(unconstify(unsigned char *, version->bytes), version->length);
	}
}

SigningKey *
postrider_signing_key_of(char *secret, SigningKeyKind kind, KeyEncoding encoding)
{
	SigningKey *key = palloc0(sizeof(SigningKey));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	key->secret = secret;
	key->kind = kind;
	key->encoding = encoding;
	key->context = CurrentMemoryContext;
	callback->func = free_keys;
	callback->arg = key;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return key;
}

SigningKey *
postrider_signing_key(Options *options, SigningKeyKind kind, KeyEncoding encoding)
{
	return postrider_signing_key_of(postrider_options_required_secret(options, "secret"),
									kind, encoding);
}

static void
forget(SigningKeyVersion *version)
{
	postrider_ed25519_free(version->ed25519);
	if (version->value)
	{
		explicit_bzero(version->value, strlen(version->value));
		pfree(version->value);
	}
	if (version->bytes)
	{
		explicit_bzero(unconstify(unsigned char *, version->bytes), version->length);
		pfree(unconstify(unsigned char *, version->bytes));
	}
	memset(version, 0, sizeof(*version));
}

/* The bytes of a key for an HMAC, in CurrentMemoryContext; NULL with *reason or *problem. */
static const unsigned char *
decode_bytes(const SigningKey *key, const char *value, Size *length, char **reason,
			 const char **problem)
{
	*length = strlen(value);
	if (key->kind == SIGNING_KEY_STANDARD)
		return postrider_secret_signing_key(value, length, reason);
	return (const unsigned char *)
		postrider_auth_decode_key(key->secret, key->encoding, value, length, problem);
}

/* White space at the end is that of a file. */
static char *
trim(const char *value)
{
	Size		length = strlen(value);

	while (length > 0 && isspace((unsigned char) value[length - 1]))
		length--;
	return pnstrdup(value, length);
}

/* Decodes into the version, in the key's memory. */
static bool
decode(const SigningKey *key, SigningKeyVersion *version, const char **problem)
{
	char	   *value = key->kind == SIGNING_KEY_STANDARD ? trim(version->value) :
		pstrdup(version->value);
	char	   *reason = NULL;
	const unsigned char *bytes;
	Size		length;

	if (key->kind == SIGNING_KEY_ED25519 ||
		(key->kind == SIGNING_KEY_STANDARD &&
		 strncmp(value, ED25519_PREFIX, strlen(ED25519_PREFIX)) == 0))
		version->ed25519 = postrider_ed25519_read(value, &reason);
	else if ((bytes = decode_bytes(key, value, &length, &reason, problem)) != NULL)
	{
		unsigned char *copy = MemoryContextAlloc(key->context, length);

		memcpy(copy, bytes, length);
		explicit_bzero(unconstify(unsigned char *, bytes), length);
		version->bytes = copy;
		version->length = length;
	}
	explicit_bzero(value, strlen(value));
	if (reason != NULL)
		*problem = psprintf("secret \"%s\" cannot sign: %s", key->secret, reason);
	return version->ed25519 != NULL || version->bytes != NULL;
}

static bool
is_same(const SigningKeyVersion *version, const SecretVersion *secret)
{
	return version->value != NULL && strcmp(version->value, secret->value) == 0;
}


bool
postrider_signing_key_load(SigningKey *key, TimestampTz now, const char **problem)
{
	const SecretVersion *secrets;
	int			count;
	bool		done = true;

	switch (postrider_secret_find(key->secret, now, &secrets, &count, problem))
	{
		case SECRET_READY:
			break;
		case SECRET_WAITING:
			*problem = psprintf("secret \"%s\" is being fetched", key->secret);
			return false;
		case SECRET_FAILED:
			return false;
	}
	count = Min(count, SIGNING_VERSIONS);
	for (int i = 0; i < count && done; i++)
	{
		if (is_same(&key->versions[i], &secrets[i]))
			continue;
		forget(&key->versions[i]);
		key->versions[i].value = MemoryContextStrdup(key->context, secrets[i].value);
		done = decode(key, &key->versions[i], problem);
		if (!done)
			forget(&key->versions[i]);
	}
	key->count = done ? count : 0;
	return done;
}
