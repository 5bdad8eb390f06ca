/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  Which URLs and addresses a request may go to.
 *
 * Requests must not reach loopback, private, link-local, multicast or
 * reserved addresses unless postrider.allowed_networks lists them (the list
 * of networks is in guard.c with its sources).  The check that counts is the one
 * on the address that is about to be dialled, after name resolution, so that
 * a name which changes its address does not pass.  The check of the URL when a
 * row is written is there to tell the user early.
 *
 * IPv4-mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96) and 6to4 (2002::/16)
 * addresses are unwrapped first: what counts is the IPv4 address within.  A
 * network in allowed_networks can name either form, the wrapped one by a
 * network within the wrapping prefix.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_GUARD_H
#define POSTRIDER_GUARD_H

#include "postgres.h"

#include <sys/socket.h>

#include "utils/guc.h"

/*
 * True if a request may be sent to this address (AF_INET or AF_INET6; any
 * other family is refused).  Safe to call from a curl callback: it neither
 * allocates nor raises errors.
 */
extern bool postrider_guard_allows_address(const struct sockaddr *address);

/*
 * The same with the reason: NULL if a request may be sent, else a static
 * string, the network and what it is for: "127.0.0.0/8, loopback".
 */
extern const char *postrider_guard_refusal(const struct sockaddr *address);

/*
 * The same for an address that a proxy is asked for.  What belongs to one machine or
 * one link (127.0.0.0/8, ::1, 169.254.0.0/16, fe80::/10, 0.0.0.0/8, ::) is that of the
 * proxy then, so it is refused whatever allowed_networks says.
 */
extern const char *postrider_guard_refusal_through_proxy(const struct sockaddr *address);

/* What is wrong with a URL; message and the others are palloc'd or static. */
typedef struct UrlProblem
{
	int			sqlstate;
	const char *message;
	const char *detail;			/* or NULL */
	const char *hint;			/* or NULL */
} UrlProblem;

typedef enum UrlUse
{
	URL_TARGET,					/* http or https; what is dialled will be checked */
	URL_TARGET_OF_PROXY,		/* the same, but a proxy will resolve the name */
	URL_PROXY					/* http, https or socks5h with a port and no path */
} UrlUse;

/*
 * True if the URL is an absolute URL for this use, without user info, with a host, no
 * control characters or spaces, at most 2,000 bytes, and, where the host is an
 * address in any notation that resolvers accept (0x7f.1, 2130706433,
 * [::ffff:127.0.0.1], trailing dot) or localhost, one that a request may be sent to.
 * For a proxy to resolve, names that have a meaning only within a network
 * ("intranet", "metadata.google.internal") are refused too.  Uses libcurl's
 * URL parser, the same that will send the request.
 */
extern bool postrider_guard_check_url(const char *url, UrlUse use, UrlProblem *problem);

/* The same of a URL_TARGET, with ereport(ERROR). */
extern void postrider_guard_require_url(const char *url);

/*
 * Copies the host of a URL that was checked, in lower case, without brackets
 * and trailing dot; false if there is none or it does not fit.
 */
extern bool postrider_guard_host(const char *url, char *host, Size size);

/*
 * Is a host, as from postrider_guard_host(), in a comma-separated list of
 * names (with what is below them), addresses and networks?  "*" is everything.
 */
extern bool postrider_guard_host_listed(const char *host, const char *list);

/* Is it such a list?  Else *problem says why, and *entry which one; both palloc'd or static. */
extern bool postrider_guard_check_hosts(const char *list, const char **entry,
										const char **problem);

/*
 * Check and assign hooks of the setting postrider.allowed_networks: a comma-separated
 * list of networks such as '10.1.0.0/16, ::1/128'.  The assigned value is
 * kept in static memory for postrider_guard_allows_address().
 */
extern bool postrider_guard_check_networks(char **newval, void **extra, GucSource source);
extern void postrider_guard_assign_networks(const char *newval, void *extra);

#endif							/* POSTRIDER_GUARD_H */
