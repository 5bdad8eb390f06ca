/*-------------------------------------------------------------------------
 *
 * guard_url.c
 *	  Which URLs an endpoint may have.
 *
 * This is an early word to the user; guard.c has the check that counts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>

#include "security/guard.h"

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

static void refuse_url(const char *message, const char *hint) pg_attribute_noreturn();

static void
refuse_url(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message),
			 hint ? errhint("%s", hint) : 0));
}

static void
require_allowed(const char *host, const HostAddress *address)
{
	const char *refusal = postrider_guard_refusal(&address->any);

	if (refusal != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("requests to host \"%s\" are not allowed", host),
				 errdetail("Its address is in %s.", refusal),
				 errhint("A superuser can allow it by the setting postrider.allowed_networks.")));
}

/* host is changed */
static void
require_host(char *host)
{
	Size		length = strlen(host);
	HostAddress address;

	if (length > 1 && host[0] == '[' && host[length - 1] == ']')
	{
		host[length - 1] = '\0';
		if (!parse_ipv6(host + 1, &address))
			refuse_url("URL has an invalid IPv6 address", NULL);
		require_allowed(host + 1, &address);
		return;
	}

	if (length > 0 && host[length - 1] == '.')
		host[--length] = '\0';
	if (length == 0 || host[0] == '.' || strstr(host, "..") != NULL)
		refuse_url("URL has no valid host name", NULL);

	if (is_localhost(host))
	{
		/* Resolvers give either; what is dialled counts in the end. */
		if (!parse_ipv6("::1", &address) ||
			!postrider_guard_allows_address(&address.any))
			(void) parse_ipv4("127.0.0.1", &address);
		require_allowed(host, &address);
	}
	else if (parse_ipv4(host, &address))
		require_allowed(host, &address);
	else if (ends_in_number(host))
		refuse_url("URL has an invalid IPv4 address", NULL);
}

static void
require_port(const char *port, Size length)
{
	int			number = 0;

	if (length > 5)
		refuse_url("URL has an invalid port", NULL);
	for (Size i = 0; i < length; i++)
	{
		if (port[i] < '0' || port[i] > '9')
			refuse_url("URL has an invalid port", NULL);
		number = number * 10 + (port[i] - '0');
	}
	if (length > 0 && (number < 1 || number > 65535))
		refuse_url("URL has an invalid port", NULL);
}

/* host:port, host or [IPv6 address]:port */
static void
require_authority(const char *authority, Size length)
{
	static const char name_bytes[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	Size		host_length;

	if (memchr(authority, '@', length) != NULL)
		refuse_url("URL must not have a user name or password in it",
				   "Send credentials in a header, such as Authorization.");
	if (authority[0] == '[')
	{
		host_length = strspn(authority + 1, "0123456789abcdefABCDEF:.") + 1;
		if (authority[host_length] != ']')
			refuse_url("URL has an invalid IPv6 address",
					   "Zone ids are not supported.");
		host_length++;
	}
	else
		host_length = strspn(authority, name_bytes);
	if (host_length == length)
		return;
	if (authority[host_length] != ':')
		refuse_url("URL has a character in its host that cannot be there",
				   "Host names are made of letters, digits, dots, hyphens and underscores.");
	require_port(authority + host_length + 1, length - host_length - 1);
}

/*
 * What must hold before libcurl looks at it: it forgives more than we want,
 * such as http:/host or a percent sign in the host, and each of its versions
 * something else.
 */
static void
require_shape(const char *url)
{
	const char *authority;
	Size		length;

	if (strlen(url) > MAX_URL_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("URL is too long"),
				 errdetail("It has %zu bytes; at most %d are allowed.",
						   strlen(url), MAX_URL_BYTES)));
	for (const char *c = url; *c; c++)
	{
		if ((unsigned char) *c <= ' ' || *c == 0x7f)
			refuse_url("URL has a space or a control character in it",
					   "Write a space as %20.");
		if (IS_HIGHBIT_SET(*c))
			refuse_url("URL has a character in it that is not ASCII",
					   "Write it percent-encoded, in a host name as Punycode (xn--...).");
	}

	if (pg_strncasecmp(url, "http://", 7) == 0)
		authority = url + 7;
	else if (pg_strncasecmp(url, "https://", 8) == 0)
		authority = url + 8;
	else
		refuse_url("URL does not begin with https:// or http://", NULL);
	length = strcspn(authority, "/?#");
	if (length == 0 || authority[0] == ':')
		refuse_url("URL has no host", NULL);
	require_authority(authority, length);
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

void
postrider_guard_require_url(const char *url)
{
	CURLU	   *handle;
	CURLUcode	code;
	char		host[MAX_URL_BYTES + 1];
	char		user[MAX_URL_BYTES + 1];
	char		zone[MAX_URL_BYTES + 1];

	require_shape(url);

	handle = curl_url();
	if (handle == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	code = curl_url_set(handle, CURLUPART_URL, url, CURLU_DISALLOW_USER);
	copy_part(handle, CURLUPART_HOST, host);
	copy_part(handle, CURLUPART_USER, user);
	copy_part(handle, CURLUPART_ZONEID, zone);
	curl_url_cleanup(handle);

	if (code != CURLUE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("URL is not valid"),
				 errdetail("%s.", curl_url_strerror(code))));
	if (user[0] != '\0' || zone[0] != '\0')
		refuse_url("URL must not have a user name or zone id in it", NULL);
	require_host(host);
}
