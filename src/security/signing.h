/*-------------------------------------------------------------------------
 *
 * signing.h
 *	  What proves to receivers who has sent a request: the columns
 *	  signing_secret and signing of postrider.endpoint.
 *
 * signing_secret is short for {"type": "standard-webhooks", "secret": ...}.  A format is
 * a row of a table of operations (signing_format.h).  Standard Webhooks are signed
 * apart from the others, without a list of the request's headers and
 * without memory, for that is what most requests have.
 *
 * While a secret is rotated, all its versions that are in force sign, where the format
 * has room for several.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SIGNING_H
#define POSTRIDER_SIGNING_H

#include "postgres.h"

#include "security/auth.h"

typedef struct Signing Signing;

/* Of the value of webhook-signature, with NUL: ten of the longest ones. */
#define SIGNING_STANDARD_SIZE 960

/*
 * Compiles the columns, of which either may be NULL.  Allocated in
 * CurrentMemoryContext, where what is decoded later goes too.  NULL with *problem and
 * *hint as for postrider_auth_compile().
 */
extern Signing *postrider_signing_compile(Jsonb *document, const char *signing_secret,
										  const char **problem, const char **hint);
extern List *postrider_signing_secrets(const Signing *signing);

/* As postrider_auth_ready(). */
extern AuthState postrider_signing_ready(Signing *signing, TimestampTz now,
										 const char **problem, const char **error_code,
										 TimestampTz *retry_at);

/* Are there Standard Webhooks signatures? */
extern bool postrider_signing_has_standard(const Signing *signing);

/*
 * The value of webhook-signature, for id.timestamp.body; timestamp is in Unix seconds.
 * False with *problem.
 */
extern bool postrider_signing_standard(Signing *signing, const char *id, int64 timestamp,
									   const char *body, Size body_length, TimestampTz now,
									   char result[SIGNING_STANDARD_SIZE],
									   const char **problem);

/* Are there others? */
extern bool postrider_signing_has_others(const Signing *signing);

/* Adds these to a request that is complete.  False with *problem. */
extern bool postrider_signing_apply(Signing *signing, AuthRequest *request,
									const char **problem);

#endif							/* POSTRIDER_SIGNING_H */
