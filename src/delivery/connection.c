/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  What every curl handle of ours must have set, whatever it is for.
 *
 * The guard (security/guard.h) looks at two moments.  When a socket is about to be
 * opened, after the name was resolved: an address that must not be reached is
 * never dialled, however often a name changes what it resolves to.  And when a
 * connection is about to carry a request: one that was kept from an earlier request
 * is no longer used after postrider.allowed_networks was narrowed.
 *
 * With a proxy, the address that is dialled is the proxy's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "delivery/connection.h"
#include "delivery/watch.h"
#include "security/guard.h"

/* Longer than that no handshake may take, whatever the time for the whole. */
#define CONNECT_TIMEOUT_MS 10000L

/* curl callback: the guard on the address that is about to be dialled */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	Connection *connection = arg;
	const char *refusal = purpose == CURLSOCKTYPE_IPCXN ?
		postrider_guard_refusal(&address->addr) : "not for requests";
	int			opened;

	if (refusal != NULL)
	{
		connection->refusal = refusal;
		return CURL_SOCKET_BAD;
	}
	connection->dialled = true;
	opened = socket(address->family, address->socktype | SOCK_CLOEXEC,
					address->protocol);
	if (opened >= 0)
		postrider_watch_opened(opened);
	return opened;
}

static const char *
refusal_of(const char *address)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, address, &ipv4.sin_addr) == 1)
		return postrider_guard_refusal((const struct sockaddr *) &ipv4);
	if (inet_pton(AF_INET6, address, &ipv6.sin6_addr) == 1)
		return postrider_guard_refusal((const struct sockaddr *) &ipv6);
	return "neither IPv4 nor IPv6";
}

/* curl callback: the guard on a connection that is about to carry a request */
static int
before_request(void *arg, char *remote_address, char *local_address,
			   int remote_port, int local_port)
{
	Connection *connection = arg;
	const char *refusal = refusal_of(remote_address);

	if (refusal == NULL)
		return CURL_PREREQFUNC_OK;
	connection->refusal = refusal;
	return CURL_PREREQFUNC_ABORT;
}

void
postrider_connection_set_up(CURL *easy, Connection *connection, const Proxy *proxy)
{
	postrider_connection_begin(connection);
	connection->has_proxy = proxy != NULL;

	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);

	/* The environment of the postmaster must not choose a proxy, nor exceptions. */
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "");

	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, connection);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, postrider_watch_close);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, connection);
}

void
postrider_connection_begin(Connection *connection)
{
	connection->refusal = NULL;
	connection->dialled = false;
}

bool
postrider_connection_refused(const Connection *connection, CURLcode code)
{
	if (connection->refusal == NULL)
		return false;

	/* If the name had an address that may be dialled too, that one has failed. */
	return code == CURLE_ABORTED_BY_CALLBACK ||
		(code == CURLE_COULDNT_CONNECT && !connection->dialled);
}
