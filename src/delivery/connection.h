/*-------------------------------------------------------------------------
 *
 * connection.h
 *	  What every curl handle of ours must have set, whatever it is for.
 *
 * Requests to endpoints, to token servers, to stores of secrets, through a proxy or
 * not: a handle that was not set up here must never be given to curl.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CONNECTION_H
#define POSTRIDER_CONNECTION_H

#include "postgres.h"

#include <curl/curl.h>

#include "datatype/timestamp.h"
#include "security/proxy.h"
#include "security/secret_set.h"

/* Names of secrets are no longer (outbox/name.c). */
#define CONNECTION_SECRET_SIZE 256

/* What the guard says of the connection that a handle has; its owner keeps it. */
typedef struct Connection
{
	const char *refusal;		/* why an address was refused, a static string; or NULL */
	bool		dialled;		/* another address of the name was allowed */
	char		proxy[PROXY_URL_SIZE];	/* that it goes through; "" for none */
	char		proxy_secret[CONNECTION_SECRET_SIZE];	/* name; "" for none */
} Connection;

/*
 * Sets up a handle that is new or was reset: only http and https, no redirects, the
 * guard on the address that is dialled or used again, certificates verified,
 * at least TLS 1.2, no proxy but this one (NULL: none), no signals.  "connection"
 * must live as long as the handle; of the proxy nothing is kept.  Whatever is set
 * afterwards must not take any of it away.
 */
extern void postrider_connection_set_up(CURL *easy, Connection *connection,
										const Proxy *proxy);

/*
 * The handle's URL.  False, with *problem in words, if there is a proxy and it
 * must not be asked for that; then the handle must not be used.
 */
extern bool postrider_connection_set_url(CURL *easy, const Connection *connection,
										 const char *url, const char **problem);

/*
 * To be called before each use of the handle: has the credentials for the proxy, if
 * it wants any.  As postrider_secret_find(); it is always ready without a proxy secret.
 */
extern SecretState postrider_connection_begin(CURL *easy, Connection *connection,
											  TimestampTz now, const char **problem);

/*
 * Was the guard the reason that the handle ended with this code?  Then
 * connection->refusal says why.
 */
extern bool postrider_connection_refused(const Connection *connection, CURLcode code);

/*
 * Was it the proxy that failed, as far as one can tell?  Then *status is what it
 * answered to CONNECT, or 0.
 */
extern bool postrider_connection_proxy_failed(const Connection *connection, CURL *easy,
											  CURLcode code, long *status);

#endif							/* POSTRIDER_CONNECTION_H */
