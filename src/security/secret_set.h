/*-------------------------------------------------------------------------
 *
 * secret_set.h
 *	  The secrets in a worker's memory.
 *
 * outbox/secret_load.c loads them with the configuration.  The new set takes the
 * place of the old one as a whole, when all of it is there; until then the old
 * one stays in force.  Values of the old one are wiped.
 *
 * A secret has versions, of which more than one is in force while a rotation
 * overlaps; or it has a source outside of the database (a store), and then a
 * function of security/store_*.c is asked for its versions.
 *
 * What the set knows is also what must not be seen: postrider_secret_scrub() takes
 * every value, as it is and in the forms that it takes on in requests, out of a text
 * that came from outside.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SECRET_SET_H
#define POSTRIDER_SECRET_SET_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/* Versions of one secret that can be in force at the same time. */
#define SECRET_MAX_VERSIONS 5

typedef enum SecretState
{
	SECRET_READY,
	SECRET_WAITING,				/* its store is being asked */
	SECRET_FAILED
} SecretState;

typedef struct SecretVersion
{
	int32		version;
	const char *value;			/* NUL-terminated too */
	Size		length;
	const unsigned char *signing_key;	/* of a whsec_ value; else NULL */
	Size		signing_key_length;
} SecretVersion;

/*
 * The versions in force at "now", newest first (two while a rotation overlaps).
 * Signatures use all of them, everything else the first.  *versions is valid until
 * the next load or store of a credential.  SECRET_WAITING: call again when told.
 * SECRET_FAILED: *problem says why, as a sentence that begins with "secret "…"" and has nothing
 * secret in it (palloc'd in CurrentMemoryContext, or valid until the next load).
 */
extern SecretState postrider_secret_find(const char *name, TimestampTz now,
										 const SecretVersion **versions,
										 int *count, const char **problem);

/* When the first version or secret that is in force at "now" ends; DT_NOEND if none does. */
extern TimestampTz postrider_secret_next_end(TimestampTz now);

/*
 * Secrets with a source.  The function is asked at each postrider_secret_find(), with the
 * same contract; the source is valid until the next load.  security/store*.c sets it.
 */
typedef SecretState (*SecretSourceCallback) (const char *name, const Jsonb *source,
											 TimestampTz now,
											 const SecretVersion **versions,
											 int *count, const char **problem);

extern SecretSourceCallback postrider_secret_source;

/* Fills in what follows from value and length. */
extern void postrider_secret_version_complete(SecretVersion *version, MemoryContext context);

/*
 * Takes all known values, of at least SCRUB_MIN_BYTES, out of a text in place; each
 * becomes "***".  Returns the new length; string[length] is not looked at nor written.
 */
#define SCRUB_MIN_BYTES 6

extern Size postrider_secret_scrub(char *string, Size length);

/* The same for a NUL-terminated string; NULL is fine. */
extern void postrider_secret_scrub_string(char *string);

/*
 * Makes another value known, such as a token, until the next load.  Who has such values calls
 * it again from a function in postrider_secret_loaded, which is called at the end of
 * each load (chain to the previous one).
 */
extern void postrider_secret_scrub_add(const char *value, Size length);

typedef void (*SecretLoadedCallback) (void);

extern SecretLoadedCallback postrider_secret_loaded;

/*
 * Loading: begin, then all secrets by name and version, newest first, then finish.  What
 * was begun and not finished is thrown away by the next begin.  Strings are copied; the
 * caller wipes its own.
 */
extern void postrider_secret_set_begin(void);
extern void postrider_secret_set_add(const char *name, TimestampTz expires_at,
									 const Jsonb *source);
extern void postrider_secret_set_add_version(int32 version, TimestampTz retires_at,
											 const char *value, Size length);

/* A version that cannot be used; "problem" as of postrider_secret_find(). */
extern void postrider_secret_set_add_problem(const char *problem);
extern void postrider_secret_set_finish(void);

#endif							/* POSTRIDER_SECRET_SET_H */
