/*-------------------------------------------------------------------------
 *
 * auth_scheme.h
 *	  What schemes of authentication are made of: for auth*.c only.
 *
 * A new scheme is a file auth_NAME.c with an AuthScheme, declared below, and a row
 * in the table of auth.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_AUTH_SCHEME_H
#define POSTRIDER_AUTH_SCHEME_H

#include "postgres.h"

#include "security/auth.h"
#include "security/options.h"

/* When a scheme is applied. */
typedef enum AuthStage
{
	AUTH_STAGE_ADD,				/* it adds something of its own */
	AUTH_STAGE_SIGN				/* it signs what is there */
} AuthStage;

typedef struct AuthScheme
{
	const char *type;
	AuthStage	stage;
	const char *const *keys;	/* that it knows, and "type"; ends with a NULL */

	/*
	 * Reads its object; what it returns is given to the others.  Problems are noted
	 * in the options, secrets too: they are there when apply is called.
	 */
	void	   *(*compile) (Options *options);

	/* Can it be used with such a URL?  NULL: with any. */
	bool		(*fits_url) (const void *state, const char *url, const char **problem);

	/* Do its secrets, as far as they can be read, fit each other?  NULL: they do. */
	bool		(*fit_each_other) (const void *state, AuthSecretReader read, TimestampTz now,
								   const char **problem);

	/* Beyond its secrets; NULL: it needs nothing. */
	AuthState	(*ready) (void *state, TimestampTz now, const char **problem,
						  const char **error_code, TimestampTz *retry_at);
	bool		(*apply) (void *state, AuthRequest *request, const char **problem);

	/* What it put on the last request is not good any more; NULL: nothing to do. */
	bool		(*rejected) (void *state, TimestampTz sent_at, bool doubted);
} AuthScheme;

extern const AuthScheme postrider_auth_api_key;
extern const AuthScheme postrider_auth_basic;
extern const AuthScheme postrider_auth_bearer;
extern const AuthScheme postrider_auth_hmac;
extern const AuthScheme postrider_auth_aws_sigv4;
extern const AuthScheme postrider_auth_mutual_tls;
extern const AuthScheme postrider_auth_client_credentials;
extern const AuthScheme postrider_auth_refresh_token;
extern const AuthScheme postrider_auth_jwt_bearer;

/*
 * The newest value of a secret, or NULL with *problem.  Valid until the next load of
 * the configuration; copy what the request needs.
 */
extern const char *postrider_auth_secret(const char *name, TimestampTz now, Size *length,
										 const char **problem);

/*
 * The same for what goes into a header or the like: white space at its ends, as files
 * have it, is taken off, and control characters are refused.  A copy, hidden from
 * people.
 */
extern char *postrider_auth_secret_line(AuthRequest *request, const char *name,
										const char **problem);

/*
 * Parts of a URL (auth_url.c).
 */

/* What a segment of a path can have as it is, beside what is unreserved, and "/". */
#define POSTRIDER_SEGMENT_BYTES "/:@!$&'()*+,;="

/* Percent-encodes all but unreserved characters, and those in "also". */
extern char *postrider_auth_encode(const char *text, const char *also);

/* Sets a parameter in place of all of that name; both are encoded here. */
extern void postrider_auth_set_parameter(AuthRequest *request, const char *name,
										 const char *value);

/* Replaces a segment ":name" of the path; false if there is none. */
extern bool postrider_auth_set_segment(AuthRequest *request, const char *name,
									   const char *value);

/* A URL in parts, palloc'd: "https://host:1/a?b#c". */
typedef struct AuthUrl
{
	char	   *scheme;			/* "https" */
	char	   *host;			/* "host:1", as in the Host header */
	char	   *path;			/* "/a" */
	char	   *query;			/* "b"; NULL: no question mark */
} AuthUrl;

extern void postrider_auth_split_url(const char *url, AuthUrl *parts);

/* The parameters of a query in the order of their names and values, joined again. */
extern char *postrider_auth_sort_query(const char *query);

#endif							/* POSTRIDER_AUTH_SCHEME_H */
