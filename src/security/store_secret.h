/*-------------------------------------------------------------------------
 *
 * store_secret.h
 *	  Secrets that have a source: from credentials of stores to versions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_STORE_SECRET_H
#define POSTRIDER_STORE_SECRET_H

#include "postgres.h"

#include "security/credential.h"

/* Lets postrider_secret_find() find secrets that have a source; for _PG_init(). */
extern void postrider_store_secret_init(void);

/*
 * The credential of a document as postrider.set_secret_source() is given one; arguments
 * and result as of postrider_credential_compile().
 */
extern CredentialSpec *postrider_store_spec(const Jsonb *source, List **urls,
											const char **problem, const char **hint);

/*
 * A request made at sent_at with the value of the secret was refused: its store, if it has
 * one, is asked again.
 */
extern void postrider_store_secret_doubted(const char *name, TimestampTz sent_at);

/* When it is worth to ask again for a secret that has failed; 0 if nothing is known. */
extern TimestampTz postrider_store_secret_retry_at(const char *name);

#endif							/* POSTRIDER_STORE_SECRET_H */
