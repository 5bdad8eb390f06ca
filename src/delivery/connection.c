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
 * Proxies.  The address that is dialled is then the proxy's, and the guard holds for
 * it.  What the proxy is asked for is checked as far as a name tells
 * (security/guard_url.c); what the name resolves to there is for the proxy to check.
 * An HTTP proxy is always asked for a tunnel (CONNECT), for http URLs too: so it
 * gets no header of the request, its own credentials do not go on to the receiver,
 * its answers (407, 502) cannot be taken for those of the receiver, and it does not
 * cache or rewrite.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "delivery/connection.h"
#include "delivery/watch.h"
#include "guc.h"
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

/* curl copies what it is given. */
static void
set_credentials(CURL *easy, const char *credentials)
{
	const char *colon = strchr(credentials, ':');
	char	   *user = colon ? pnstrdup(credentials, colon - credentials) : pstrdup(credentials);

	curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, user);
	curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, colon ? colon + 1 : "");
	explicit_bzero(user, strlen(user));
	pfree(user);
}

static void
set_proxy(CURL *easy, Connection *connection, const Proxy *proxy)
{
	strlcpy(connection->proxy, proxy ? proxy->url : "", sizeof(connection->proxy));
	strlcpy(connection->proxy_secret, proxy && proxy->secret ? proxy->secret : "",
			sizeof(connection->proxy_secret));

	/* An empty string: the environment of the postmaster chooses none either. */
	curl_easy_setopt(easy, CURLOPT_PROXY, connection->proxy);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	if (proxy == NULL)
		return;
	curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
	curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long) CURLHEADER_SEPARATE);
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXYAUTH, (long) CURLAUTH_BASIC);
	curl_easy_setopt(easy, CURLOPT_SOCKS5_AUTH, (long) CURLAUTH_BASIC);
	curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	if (postrider_proxy_ca_file && postrider_proxy_ca_file[0])
		curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, postrider_proxy_ca_file);
}

void
postrider_connection_set_up(CURL *easy, Connection *connection, const Proxy *proxy)
{
	connection->refusal = NULL;
	connection->dialled = false;

	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);

	set_proxy(easy, connection, proxy);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, connection);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, postrider_watch_close);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, connection);
}

bool
postrider_connection_set_url(CURL *easy, const Connection *connection, const char *url,
							 const char **problem)
{
	UrlProblem	found;

	if (connection->proxy[0] &&
		!postrider_guard_check_url(url, URL_TARGET_OF_PROXY, &found))
	{
		*problem = found.detail ? psprintf("%s: %s", found.message, found.detail) :
			found.message;
		return false;
	}
	curl_easy_setopt(easy, CURLOPT_URL, url);
	return true;
}

SecretState
postrider_connection_begin(CURL *easy, Connection *connection, TimestampTz now,
						   const char **problem)
{
	const SecretVersion *versions;
	SecretState state;
	int			count;

	connection->refusal = NULL;
	connection->dialled = false;
	if (connection->proxy_secret[0] == '\0')
		return SECRET_READY;
	state = postrider_secret_find(connection->proxy_secret, now, &versions, &count, problem);
	if (state == SECRET_READY)
		set_credentials(easy, versions[0].value);
	return state;
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

bool
postrider_connection_proxy_failed(const Connection *connection, CURL *easy, CURLcode code,
								  long *status)
{
	long		connections = 0;

	*status = 0;
	if (connection->proxy[0] == '\0' || code == CURLE_OK)
		return false;
	curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, status);
	curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
	switch (code)
	{
		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_COULDNT_CONNECT:
		case CURLE_PROXY:
			return true;
		default:
			break;
	}

	/* Before there is a tunnel, there is nobody else that could have failed. */
	if (strncmp(connection->proxy, "socks5h:", 8) == 0)
		return false;
	return *status > 0 ? *status / 100 != 2 : connections > 0;
}
