/*-------------------------------------------------------------------------
 *
 * store.h
 *	  Stores of secrets: what the kinds of credentials in store_*.c have in common.
 *
 * The value of such a credential is a list of versions: what the store has now, and what
 * it had before as long as that overlaps.  In this form it is kept and shared by
 * whoever keeps credentials, so that a restart in the middle of a rotation goes on
 * signing with both.  store_secret.c turns it into what postrider_secret_find() gives.
 *
 * How long it is kept: the store's lease, or the refresh of the source, is when the
 * store is asked again (at two thirds of a lease, so that there is time to fail); for the
 * lease and a grace behind it the value is used if the store does not answer.  A time at
 * which the store says the value ends is an end without grace.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_STORE_H
#define POSTRIDER_STORE_H

#include "postgres.h"

#include "security/credential_kind.h"
#include "security/secret_set.h"
#include "security/secret_source.h"

/* What a store has said. */
typedef struct StoreAnswer
{
	char	   *value;			/* palloc'd, not empty; NULL: there is a problem */
	int64		lease_ms;		/* how long the store lends it; 0: it does not say */
	TimestampTz ends_at;		/* must not be used from then on; 0: it does not say */
	const char *problem;		/* a clause that goes behind the store's name */
	bool		lasting;		/* a person must act */
} StoreAnswer;

/*
 * A document as CredentialKind.compile() is given one: a SecretSource as spec->data.
 */
extern bool postrider_store_compile(CredentialSpec *spec, List **urls,
									const char **problem, const char **hint);

/* The same for a document that does not name the store. */
extern bool postrider_store_compile_kind(const SourceKind *kind, CredentialSpec *spec,
										 List **urls, const char **problem,
										 const char **hint);

/*
 * The secrets that a source names, found: values[i] for names[i], NULL where the source
 * does not have that member.
 */
extern CredentialState postrider_store_secrets(const SecretSource *source, TimestampTz now,
											   const char *const *names, const char **values,
											   int count, CredentialRequest *request,
											   const char **problem);

/* Makes the result of an answer; wipes the answer's value. */
extern void postrider_store_finish(const SecretSource *source, StoreAnswer *answer,
								   TimestampTz now, const CredentialValue *old,
								   CredentialResult *result);

extern void postrider_store_header(CredentialRequest *request, const char *name,
								   const char *value);

/* "problem" is palloc'd or static. */
extern void postrider_store_fail(StoreAnswer *answer, bool lasting, const char *problem);

/*
 * The versions in the value of a credential, newest first, at most SECRET_MAX_VERSIONS;
 * strings are palloc'd.  retires_at is DT_NOEND for the newest.
 */
extern int	postrider_store_versions(const char *value, SecretVersion *versions,
									 TimestampTz *retires_at);

/*
 * JSON from stores
 */

/* An object in bytes from outside, palloc'd; NULL if they are none.  Raises no error. */
extern Jsonb *postrider_store_json(const char *bytes, Size length);

/* Members: NULL unless it is there and an object; a string, or a number as text. */
extern JsonbContainer *postrider_store_object(JsonbContainer *object, const char *name);
extern char *postrider_store_text(JsonbContainer *object, const char *name);

/* A number, or "otherwise" if it is none that can be used. */
extern int64 postrider_store_number(JsonbContainer *object, const char *name, int64 otherwise);

/* True or false, or "otherwise". */
extern bool postrider_store_boolean(JsonbContainer *object, const char *name, bool otherwise);

/* Overwrites and frees. */
extern void postrider_store_wipe(Jsonb *document);

/* The value is a field of the object. */
extern void postrider_store_take_field(JsonbContainer *object, const char *field,
									   StoreAnswer *answer);

/* A palloc'd string is the value, or, with a field, JSON that has it; NULL: it is no text. */
extern void postrider_store_take(char *string, const char *field, StoreAnswer *answer);

#endif							/* POSTRIDER_STORE_H */
