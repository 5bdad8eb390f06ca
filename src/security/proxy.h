/*-------------------------------------------------------------------------
 *
 * proxy.h
 *	  Through which proxy a connection goes.
 *
 * postrider.proxy is for every connection, an endpoint's own proxy wins over it, and
 * 'none' there means a direct connection.  Hosts in postrider.no_proxy are
 * reached directly whatever proxy there is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_PROXY_H
#define POSTRIDER_PROXY_H

#include "postgres.h"

#include "security/guard.h"
#include "utils/guc.h"

/* In place of the URL of a proxy. */
#define PROXY_NONE "none"

/* Enough for the URL of any proxy: there is nothing in it but scheme, host and port. */
#define PROXY_URL_SIZE 300

/* Strings belong to the settings, or to whoever named the proxy. */
typedef struct Proxy
{
	const char *url;			/* http, https or socks5h, without user info */
	const char *secret;			/* name of the secret with user:password, or NULL */
} Proxy;

/*
 * The proxy for requests to a URL.  own is the URL of a proxy that was chosen for
 * these requests, PROXY_NONE, or NULL for the general one; own_secret goes
 * with it.  False if the connection is to be direct.
 */
extern bool postrider_proxy_find(const char *url, const char *own, const char *own_secret,
								 Proxy *proxy);

/* May a proxy be named so?  PROXY_NONE may. */
extern bool postrider_proxy_check(const char *url, UrlProblem *problem);

/* Check hooks of the settings postrider.proxy and postrider.no_proxy. */
extern bool postrider_proxy_check_setting(char **newval, void **extra, GucSource source);
extern bool postrider_proxy_check_exceptions(char **newval, void **extra, GucSource source);

#endif							/* POSTRIDER_PROXY_H */
