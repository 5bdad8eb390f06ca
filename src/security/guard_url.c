/*-------------------------------------------------------------------------
 *
 * guard_url.c
 *	  Which URLs an endpoint, a token server or a proxy may have.
 *
 * For what we dial ourselves this is an early word to the user, and guard.c has the
 * check that counts.  Where a proxy dials for us it is all that we can do: an address
 * is refused in any notation, and so are names that only mean something within
 * a network.  What another name resolves to there, only the proxy knows, and it
 * must have a guard of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>

#include "security/guard.h"
#include "security/proxy.h"

#define MAX_URL_BYTES 2000

typedef union HostAddress
{
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
} HostAddress;

static bool
parse_ipv6(const char *string, HostAddress *address)
{
	memset(address, 0, sizeof(HostAddress));
	address->ipv6.sin6_family = AF_INET6;
	return inet_pton(AF_INET6, string, &address->ipv6.sin6_addr) == 1;
}

/* In any notation that resolvers accept: 127.1, 0x7f.1, 2130706433, ... */
static bool
parse_ipv4(const char *string, HostAddress *address)
{
	memset(address, 0, sizeof(HostAddress));
	address->ipv4.sin_family = AF_INET;
	return inet_aton(string, &address->ipv4.sin_addr) != 0;
}

static bool
is_localhost(const char *host)
{
	Size		length = strlen(host);

	return pg_strcasecmp(host, "localhost") == 0 ||
		(length > 10 && pg_strcasecmp(host + length - 10, ".localhost") == 0);
}

/*
 * No top-level domain is a number, so a host whose last label is one is an
 * address that was misspelt, or one in a notation that some resolver might
 * know though inet_aton() does not.
 */
static bool
ends_in_number(const char *host)
{
	const char *dot = strrchr(host, '.');
	const char *label = dot ? dot + 1 : host;

	if (pg_strncasecmp(label, "0x", 2) == 0)
		return strspn(label + 2, "0123456789abcdefABCDEF") == strlen(label + 2);
	return strspn(label, "0123456789") == strlen(label);
}

static bool
refuse(UrlProblem *problem, const char *message, const char *hint)
{
	problem->sqlstate = ERRCODE_INVALID_PARAMETER_VALUE;
	problem->message = message;
	problem->detail = NULL;
	problem->hint = hint;
	return false;
}

static bool
is_allowed(const char *host, const HostAddress *address, UrlUse use, UrlProblem *problem)
{
	const char *refusal = use == URL_TARGET_OF_PROXY ?
		postrider_guard_refusal_through_proxy(&address->any) :
		postrider_guard_refusal(&address->any);

	if (refusal == NULL)
		return true;
	problem->sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE;
	problem->message = psprintf("requests to host \"%s\" are not allowed", host);
	problem->detail = psprintf("Its address is in %s.", refusal);
	problem->hint = postrider_guard_allows_address(&address->any) ?
		"A superuser can name it in the setting postrider.no_proxy." :
		"A superuser can allow it by the setting postrider.allowed_networks.";
	return false;
}

/*
 * RFC 6761, 6762, 8375 and what ICANN keeps out of the DNS for such use; and a name
 * of one label, to which a resolver appends a domain of its own.
 */
static bool
is_inner_name(const char *host)
{
	static const char *const domains[] = {
		"local", "localdomain", "internal", "intranet", "private", "lan", "home", "corp",
		"home.arpa"
	};
	Size		length = strlen(host);

	if (strchr(host, '.') == NULL)
		return true;
	for (int i = 0; i < (int) lengthof(domains); i++)
	{
		Size		domain = strlen(domains[i]);

		if (length > domain && host[length - domain - 1] == '.' &&
			pg_strcasecmp(host + length - domain, domains[i]) == 0)
			return true;
	}
	return false;
}

/* A dot at the end is none. */
static bool
has_empty_label(const char *host, Size length)
{
	return (length > 0 && host[0] == '.') || memmem(host, length, "..", 2) != NULL;
}

/* host is changed */
static bool
check_host(char *host, UrlUse use, UrlProblem *problem)
{
	Size		length = strlen(host);
	HostAddress address;

	if (length > 1 && host[0] == '[' && host[length - 1] == ']')
	{
		host[length - 1] = '\0';
		if (!parse_ipv6(host + 1, &address))
			return refuse(problem, "URL has an invalid IPv6 address", NULL);
		return is_allowed(host + 1, &address, use, problem);
	}

	if (length > 0 && host[length - 1] == '.')
		host[--length] = '\0';
	if (length == 0 || has_empty_label(host, length))
		return refuse(problem, "URL has no valid host name", NULL);

	if (is_localhost(host))
	{
		/* Resolvers give either; what is dialled counts in the end. */
		if (!parse_ipv6("::1", &address) ||
			!postrider_guard_allows_address(&address.any))
			(void) parse_ipv4("127.0.0.1", &address);
		return is_allowed(host, &address, use, problem);
	}
	if (parse_ipv4(host, &address))
	{
		char		canonical[INET_ADDRSTRLEN];

		/* As an address, which is what the user has to know, however it was written. */
		return is_allowed(inet_ntop(AF_INET, &address.ipv4.sin_addr, canonical, sizeof(canonical)),
						  &address, use, problem);
	}
	if (ends_in_number(host))
		return refuse(problem, "URL has an invalid IPv4 address", NULL);
	if (use == URL_TARGET_OF_PROXY && is_inner_name(host))
	{
		problem->sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE;
		problem->message = psprintf("requests to host \"%s\" are not allowed through a proxy", host);
		problem->detail = "It is a name within a network, and the proxy would resolve it.";
		problem->hint = "A superuser can name it in the setting postrider.no_proxy.";
		return false;
	}
	return true;
}

static bool
check_port(const char *port, Size length, UrlProblem *problem)
{
	int			number = 0;

	if (length > 5)
		return refuse(problem, "URL has an invalid port", NULL);
	for (Size i = 0; i < length; i++)
	{
		if (port[i] < '0' || port[i] > '9')
			return refuse(problem, "URL has an invalid port", NULL);
		number = number * 10 + (port[i] - '0');
	}
	if (length > 0 && (number < 1 || number > 65535))
		return refuse(problem, "URL has an invalid port", NULL);
	return true;
}

/* host:port, host or [IPv6 address]:port */
static bool
check_authority(const char *authority, Size length, UrlUse use, UrlProblem *problem)
{
	static const char name_bytes[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	Size		host_length;

	if (memchr(authority, '@', length) != NULL)
		return refuse(problem, "URL must not have a user name or password in it",
					  use == URL_PROXY ? "Keep user:password as a secret, and name it in proxy_secret." :
					  "Send credentials in a header, such as Authorization.");
	if (authority[0] == '[')
	{
		host_length = strspn(authority + 1, "0123456789abcdefABCDEF:.") + 1;
		if (authority[host_length] != ']')
			return refuse(problem, "URL has an invalid IPv6 address",
						  "Zone ids are not supported.");
		host_length++;
	}
	else
	{
		/* libcurl would find it too, but newer ones have another word for it. */
		host_length = Min(strspn(authority, name_bytes), length);
		if ((host_length == length || authority[host_length] == ':') &&
			has_empty_label(authority, host_length))
			return refuse(problem, "URL has no valid host name", NULL);
	}
	if (host_length >= length)
		return use != URL_PROXY ||
			refuse(problem, "URL of a proxy has no port", "Write, for example, 'http://proxy.example.com:3128'.");
	if (authority[host_length] != ':')
		return refuse(problem, "URL has a character in its host that cannot be there",
					  "Host names are made of letters, digits, dots, hyphens and underscores.");
	if (use == URL_PROXY && host_length + 1 == length)
		return refuse(problem, "URL of a proxy has no port", NULL);
	return check_port(authority + host_length + 1, length - host_length - 1, problem);
}

static bool
check_characters(const char *url, UrlProblem *problem)
{
	if (strlen(url) > MAX_URL_BYTES)
	{
		(void) refuse(problem, "URL is too long", NULL);
		problem->sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		problem->detail = psprintf("It has %zu bytes; at most %d are allowed.",
								   strlen(url), MAX_URL_BYTES);
		return false;
	}
	for (const char *c = url; *c; c++)
	{
		if ((unsigned char) *c <= ' ' || *c == 0x7f)
			return refuse(problem, "URL has a space or a control character in it",
						  "Write a space as %20.");
		if (IS_HIGHBIT_SET(*c))
			return refuse(problem, "URL has a character in it that is not ASCII",
						  "Write it percent-encoded, in a host name as Punycode (xn--...).");
	}
	return true;
}

/* What is behind the scheme and "://"; NULL if it is none for this use. */
static const char *
authority_of(const char *url, UrlUse use)
{
	static const char *const schemes[] = {"http://", "https://", "socks5h://"};

	for (int i = 0; i < (use == URL_PROXY ? 3 : 2); i++)
		if (pg_strncasecmp(url, schemes[i], strlen(schemes[i])) == 0)
			return url + strlen(schemes[i]);
	return NULL;
}

/*
 * What must hold before libcurl looks at it: it forgives more than we want,
 * such as http:/host or a percent sign in the host, and each of its versions
 * something else.
 */
static bool
check_shape(const char *url, UrlUse use, UrlProblem *problem)
{
	const char *authority;
	const char *path;
	Size		length;

	if (!check_characters(url, problem))
		return false;
	authority = authority_of(url, use);
	if (authority == NULL)
		return refuse(problem, use == URL_PROXY ?
					  "URL of a proxy does not begin with http://, https:// or socks5h://" :
					  "URL does not begin with https:// or http://",
					  use == URL_PROXY && pg_strncasecmp(url, "socks", 5) == 0 ?
					  "Only socks5h has the proxy resolve names." : NULL);
	length = strcspn(authority, "/?#");
	if (length == 0 || authority[0] == ':')
		return refuse(problem, "URL has no host", NULL);
	path = authority + length;
	if (use == URL_PROXY && *path && strcmp(path, "/") != 0)
		return refuse(problem, "URL of a proxy has a path", NULL);
	return check_authority(authority, length, use, problem);
}

/*
 * Copies a part of the URL; an empty string if there is none.  Into a buffer,
 * as an error in palloc would leak what libcurl holds.
 */
static void
copy_part(CURLU *handle, CURLUPart part, char buffer[MAX_URL_BYTES + 1])
{
	char	   *value = NULL;

	buffer[0] = '\0';
	if (curl_url_get(handle, part, &value, 0) == CURLUE_OK)
		strlcpy(buffer, value, MAX_URL_BYTES + 1);
	curl_free(value);
}

bool
postrider_guard_check_url(const char *url, UrlUse use, UrlProblem *problem)
{
	CURLU	   *handle;
	CURLUcode	code;
	char		host[MAX_URL_BYTES + 1];
	char		user[MAX_URL_BYTES + 1];
	char		zone[MAX_URL_BYTES + 1];

	if (!check_shape(url, use, problem))
		return false;
	if (use == URL_PROXY && strlen(url) >= PROXY_URL_SIZE)
		return refuse(problem, "URL of a proxy is too long", NULL);

	handle = curl_url();
	if (handle == NULL)
		return refuse(problem, "out of memory", NULL);
	code = curl_url_set(handle, CURLUPART_URL, url,
						CURLU_DISALLOW_USER | (use == URL_PROXY ? CURLU_NON_SUPPORT_SCHEME : 0));
	copy_part(handle, CURLUPART_HOST, host);
	copy_part(handle, CURLUPART_USER, user);
	copy_part(handle, CURLUPART_ZONEID, zone);
	curl_url_cleanup(handle);

	if (code != CURLUE_OK)
	{
		(void) refuse(problem, "URL is not valid", NULL);
		problem->detail = psprintf("%s.", curl_url_strerror(code));
		return false;
	}
	if (user[0] != '\0' || zone[0] != '\0')
		return refuse(problem, "URL must not have a user name or zone id in it", NULL);
	return check_host(host, use, problem);
}

void
postrider_guard_require_url(const char *url)
{
	UrlProblem	problem;

	if (!postrider_guard_check_url(url, URL_TARGET, &problem))
		ereport(ERROR,
				(errcode(problem.sqlstate),
				 errmsg("%s", problem.message),
				 problem.detail ? errdetail("%s", problem.detail) : 0,
				 problem.hint ? errhint("%s", problem.hint) : 0));
}

bool
postrider_guard_host(const char *url, char *host, Size size)
{
	const char *authority = authority_of(url, URL_PROXY);
	const char *begin = authority;
	Size		length;

	if (authority == NULL)
		return false;
	if (authority[0] == '[')
		length = strcspn(++begin, "]");
	else
		length = strcspn(begin, ":/?#");
	if (length > 0 && begin[length - 1] == '.')
		length--;
	if (length == 0 || length >= size)
		return false;
	for (Size i = 0; i < length; i++)
		host[i] = pg_tolower((unsigned char) begin[i]);
	host[length] = '\0';
	return true;
}
