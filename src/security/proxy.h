/*-------------------------------------------------------------------------
 *
 * proxy.h
 *	  Through which proxy a connection goes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_PROXY_H
#define POSTRIDER_PROXY_H

#include "postgres.h"

/* All strings belong to whoever made the struct. */
typedef struct Proxy
{
	const char *url;			/* http, https or socks5h, without user info */
	const char *exceptions;		/* hosts and networks that are reached without it, or "" */
	const char *secret;			/* name of the secret with user:password, or NULL */
} Proxy;

#endif							/* POSTRIDER_PROXY_H */
