/*-------------------------------------------------------------------------
 *
 * auth.h
 *	  How requests to an endpoint authenticate: the column auth of
 *	  postrider.endpoint, one object, or an array of objects that are combined.
 *
 * A scheme ("type": "bearer") is a row of a table of operations (auth_scheme.h),
 * one file each.  What it puts on a request replaces whatever the endpoint or
 * the message had there, so that nobody who writes messages can redirect, drop or
 * choose a credential.  Schemes that add something come first, whatever their
 * order in the array; those that sign the whole (hmac, aws_sigv4) come last.
 *
 * Nothing here raises an error, except for memory, or has a secret in what it
 * says is wrong.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_AUTH_H
#define POSTRIDER_AUTH_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct Auth Auth;

/* A header of a request. */
typedef struct AuthHeader
{
	const char *name;
	const char *value;			/* "" is a header without a value */
	bool		is_set;			/* by auth or signing: it replaces all of its name */
} AuthHeader;

/* The TLS credentials of a client; PEM.  All NULL: none. */
typedef struct AuthTls
{
	const char *certificate;
	const char *key;
	const char *passphrase;		/* of the key; or NULL */
} AuthTls;

/*
 * A request that is complete but for its credentials.  What is added is allocated
 * in CurrentMemoryContext and must live until the request has ended.
 */
typedef struct AuthRequest
{
	const char *method;
	const char *body;			/* body_length bytes; NULL: none */
	Size		body_length;
	TimestampTz now;
	const char *message_id;		/* 36 characters: of the message or batch */

	/* changed by what is applied */
	const char *url;
	List	   *headers;		/* of AuthHeader *: all that will be sent, but for
								 * Host and Content-Length */
	AuthTls		tls;

	/* what people must not see, of const char *: each as it is on the wire, and raw */
	List	   *secrets;
} AuthRequest;

typedef enum AuthState
{
	AUTH_READY,
	AUTH_WAITING,				/* a secret or token is being fetched */
	AUTH_FAILED
} AuthState;

/*
 * Compiles the column.  Everything is allocated in CurrentMemoryContext.  NULL
 * with *problem, a palloc'd clause that goes behind "auth of endpoint ... ", and
 * *hint or NULL, if it cannot be used.
 */
extern Auth *postrider_auth_compile(Jsonb *document, const char **problem,
									const char **hint);

/* Names of the secrets that it refers to, of const char *. */
extern List *postrider_auth_secrets(const Auth *auth);

/* URLs that are asked for tokens, of char *: where a row is written, the guard looks. */
extern List *postrider_auth_urls(const Auth *auth);

/* The certificates that those are verified by, in PEM, of char *; unchecked. */
extern List *postrider_auth_certificates(const Auth *auth);

/* Can requests to this URL be authenticated so?  Or false with *problem. */
extern bool postrider_auth_fits_url(const Auth *auth, const char *url, const char **problem);

/* The value of a secret, or NULL if it cannot be read here. */
typedef char *(*AuthSecretReader) (const char *name);

/*
 * Where it is written: do the secrets fit each other, such as a certificate and its key?
 * Or false with *problem, a clause that stands alone.
 */
extern bool postrider_auth_fit_each_other(const Auth *auth, AuthSecretReader read,
										  TimestampTz now, const char **problem);

/*
 * Is everything there that a request needs?  AUTH_WAITING: leave the lane blocked
 * until postrider_engine_credentials_changed().  AUTH_FAILED: *problem is a palloc'd
 * clause, *error_code a static string ("secret", "token"), and *retry_at when it is
 * worth to ask again.
 */
extern AuthState postrider_auth_ready(Auth *auth, TimestampTz now, const char **problem,
									  const char **error_code, TimestampTz *retry_at);

/* The same of these secrets. */
extern AuthState postrider_auth_secrets_ready(const List *names, TimestampTz now,
											  const char **problem, const char **error_code,
											  TimestampTz *retry_at);

/* Adds what authenticates the request; false with *problem if that cannot be done. */
extern bool postrider_auth_apply(Auth *auth, AuthRequest *request, const char **problem);

/*
 * The receiver has answered to a request made at sent_at that the token is not good
 * (401, or a rule).  True if there is one that can be fetched anew, so that it is worth
 * to try at once: postrider_credential_rejected() says so of one of its credentials,
 * with anything but REJECTED_AGAIN.  doubted: the answer before was the same.
 */
extern bool postrider_auth_rejected(Auth *auth, TimestampTz sent_at, bool doubted);

/* The value of a header, as it will be sent, or NULL. */
extern const char *postrider_auth_header(const AuthRequest *request, const char *name);

/* Takes all headers of that name away. */
extern void postrider_auth_remove_header(AuthRequest *request, const char *name);

/* Sets a header in place of all of that name. */
extern void postrider_auth_set_header(AuthRequest *request, const char *name,
									  const char *value);

/* Notes what people must not see; kept as it is. */
extern void postrider_auth_hide(AuthRequest *request, const char *secret);

#endif							/* POSTRIDER_AUTH_H */
