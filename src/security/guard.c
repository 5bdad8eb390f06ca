/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Which addresses a request may go to; guard_url.c has the URLs.
 *
 * An address is judged in three steps.  If it is an IPv6 address that carries
 * an IPv4 address to which the kernel or a gateway would translate it, the
 * IPv4 address is judged in its place.  If a network in allowed_networks holds
 * it, it is allowed.  Else it is refused if a network in the table below
 * holds it.
 *
 * A network in allowed_networks also allows a wrapped address in the form in
 * which it is written, but only if the network lies within the wrapper's
 * prefix: 64:ff9b::/96 says that NAT64 is meant, ::/0 does not say that
 * ::ffff:127.0.0.1 is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "security/guard.h"
#include "util/compat.h"

#define IPV4_BITS 32
#define IPV6_BITS 128

/* An address without port and scope; IPv4 takes the first 4 bytes. */
typedef struct Address
{
	int			family;
	unsigned char bytes[16];
} Address;

typedef struct Network
{
	Address		address;
	int			bits;			/* length of the prefix */
} Network;

typedef struct NetworkList
{
	int			count;
	Network		networks[FLEXIBLE_ARRAY_MEMBER];
} NetworkList;

typedef struct RefusedNetwork
{
	Network		network;
	const char *description;
} RefusedNetwork;

/* An IPv6 prefix after which there is an IPv4 address. */
typedef struct Wrapper
{
	Network		network;
	int			offset;			/* of the IPv4 address, in bytes */
} Wrapper;

#define NET4(a, b, c, d, length) {{AF_INET, {a, b, c, d}}, length}
#define NET6(length, ...) {{AF_INET6, {__VA_ARGS__}}, length}

/*
 * The IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its
 * updates), multicast, and whatever of IPv6 is not global unicast.  The first
 * network that holds an address names the reason, so specific ones go first.
 *
 * Left out on purpose are the registered networks that are globally
 * reachable and outside of any refused one: AS112 (RFC 7534, 7535) and AMT
 * (RFC 7450).  Those within 192.0.0.0/24 and 2001::/23 are anycast services of
 * protocols; nobody receives webhooks there.
 */
static const RefusedNetwork refused_networks[] = {
	/* RFC 791 section 3.2, RFC 1122 section 3.2.1.3; Linux takes it for self */
	{NET4(0, 0, 0, 0, 8), "0.0.0.0/8, this host"},
	/* RFC 1918 */
	{NET4(10, 0, 0, 0, 8), "10.0.0.0/8, private"},
	/* RFC 6598 */
	{NET4(100, 64, 0, 0, 10), "100.64.0.0/10, shared by carriers"},
	/* RFC 1122 section 3.2.1.3 */
	{NET4(127, 0, 0, 0, 8), "127.0.0.0/8, loopback"},
	/* RFC 3927; cloud providers serve their metadata here */
	{NET4(169, 254, 0, 0, 16), "169.254.0.0/16, link-local"},
	/* RFC 1918 */
	{NET4(172, 16, 0, 0, 12), "172.16.0.0/12, private"},
	/* RFC 6890 section 2.1, RFC 7335, RFC 7723, RFC 8155 */
	{NET4(192, 0, 0, 0, 24), "192.0.0.0/24, reserved for protocols"},
	/* RFC 5737 */
	{NET4(192, 0, 2, 0, 24), "192.0.2.0/24, for documentation"},
	/* RFC 7526 withdrew the 6to4 relays of RFC 3068 */
	{NET4(192, 88, 99, 0, 24), "192.88.99.0/24, reserved"},
	/* RFC 1918 */
	{NET4(192, 168, 0, 0, 16), "192.168.0.0/16, private"},
	/* RFC 2544 */
	{NET4(198, 18, 0, 0, 15), "198.18.0.0/15, for benchmarks"},
	/* RFC 5737 */
	{NET4(198, 51, 100, 0, 24), "198.51.100.0/24, for documentation"},
	{NET4(203, 0, 113, 0, 24), "203.0.113.0/24, for documentation"},
	/* RFC 5771 */
	{NET4(224, 0, 0, 0, 4), "224.0.0.0/4, multicast"},
	/* RFC 919, RFC 8190 */
	{NET4(255, 255, 255, 255, 32), "255.255.255.255/32, broadcast"},
	/* RFC 1112 section 4 */
	{NET4(240, 0, 0, 0, 4), "240.0.0.0/4, reserved"},

	/* RFC 4291 sections 2.5.2 and 2.5.3 */
	{NET6(128, 0), "::/128, unspecified"},
	{NET6(128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), "::1/128, loopback"},
	/* RFC 8215 */
	{NET6(48, 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01), "64:ff9b:1::/48, NAT64 for local use"},
	/* RFC 6666 */
	{NET6(64, 0x01, 0x00), "100::/64, discarded"},
	/* RFC 2928: among them Teredo (RFC 4380), ORCHID (RFC 4843, 7343) */
	{NET6(23, 0x20, 0x01), "2001::/23, reserved for protocols"},
	/* RFC 3849, RFC 9637 */
	{NET6(32, 0x20, 0x01, 0x0d, 0xb8), "2001:db8::/32, for documentation"},
	{NET6(20, 0x3f, 0xff), "3fff::/20, for documentation"},
	/* RFC 9602 */
	{NET6(16, 0x5f, 0x00), "5f00::/16, segment routing"},
	/* RFC 4193 */
	{NET6(7, 0xfc), "fc00::/7, private"},
	/* RFC 4291 section 2.5.6 */
	{NET6(10, 0xfe, 0x80), "fe80::/10, link-local"},
	/* RFC 3879 */
	{NET6(10, 0xfe, 0xc0), "fec0::/10, site-local"},
	/* RFC 4291 section 2.7 */
	{NET6(8, 0xff), "ff00::/8, multicast"},
	/* RFC 4291 section 2.4: IANA gives out global unicast from 2000::/3 only */
	{NET6(3, 0x00), "::/3, not global unicast"},
	{NET6(2, 0x40), "4000::/2, not global unicast"},
	{NET6(1, 0x80), "8000::/1, not global unicast"}
};

/* RFC 4291 section 2.5.5.2: the kernel itself speaks IPv4 to these. */
static const Wrapper ipv4_mapped =
{NET6(96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 12};

static const Wrapper gateways[] = {
	/* NAT64, RFC 6052 */
	{NET6(96, 0x00, 0x64, 0xff, 0x9b), 12},
	/* 6to4, RFC 3056 */
	{NET6(16, 0x20, 0x02), 2}
};

/* What allowed_networks lists; belongs to the setting. */
static const NetworkList *allowed_networks = NULL;

static bool
network_holds(const Network *network, const Address *address)
{
	int			whole = network->bits / 8;
	int			rest = network->bits % 8;
	unsigned char mask = (unsigned char) (0xff << (8 - rest));

	if (network->address.family != address->family ||
		memcmp(network->address.bytes, address->bytes, whole) != 0)
		return false;
	return rest == 0 ||
		((network->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

/* Looks only at networks with a prefix of at least so many bits. */
static bool
is_listed(const Address *address, int min_bits)
{
	for (int i = 0; allowed_networks && i < allowed_networks->count; i++)
		if (allowed_networks->networks[i].bits >= min_bits &&
			network_holds(&allowed_networks->networks[i], address))
			return true;
	return false;
}

static bool
unwrap(const Wrapper *wrapper, const Address *address, Address *inner)
{
	if (!network_holds(&wrapper->network, address))
		return false;
	memset(inner, 0, sizeof(Address));
	inner->family = AF_INET;
	memcpy(inner->bytes, address->bytes + wrapper->offset, 4);
	return true;
}

static const char *
find_refusal(const Address *address)
{
	Address		inner;

	if (unwrap(&ipv4_mapped, address, &inner))
		return find_refusal(&inner);
	for (int i = 0; i < (int) lengthof(gateways); i++)
		if (unwrap(&gateways[i], address, &inner))
			return is_listed(address, gateways[i].network.bits) ?
				NULL : find_refusal(&inner);

	if (is_listed(address, 0))
		return NULL;
	for (int i = 0; i < (int) lengthof(refused_networks); i++)
		if (network_holds(&refused_networks[i].network, address))
			return refused_networks[i].description;
	return NULL;
}

/* Of one machine or one link. */
static bool
is_local(const Address *address)
{
	static const Network local[] = {
		NET4(0, 0, 0, 0, 8), NET4(127, 0, 0, 0, 8), NET4(169, 254, 0, 0, 16),
		NET6(127, 0), NET6(10, 0xfe, 0x80)
	};
	Address		inner;

	if (unwrap(&ipv4_mapped, address, &inner))
		return is_local(&inner);
	for (int i = 0; i < (int) lengthof(gateways); i++)
		if (unwrap(&gateways[i], address, &inner))
			return is_local(&inner);
	for (int i = 0; i < (int) lengthof(local); i++)
		if (network_holds(&local[i], address))
			return true;
	return false;
}

/* False if it is neither IPv4 nor IPv6. */
static bool
read_address(const struct sockaddr *address, Address *plain)
{
	/* A caller's buffer may not be aligned for the wider structs. */
	memset(plain, 0, sizeof(*plain));
	plain->family = address->sa_family;
	if (address->sa_family == AF_INET)
		memcpy(plain->bytes,
			   (const char *) address + offsetof(struct sockaddr_in, sin_addr), 4);
	else if (address->sa_family == AF_INET6)
		memcpy(plain->bytes,
			   (const char *) address + offsetof(struct sockaddr_in6, sin6_addr), 16);
	else
		return false;
	return true;
}

const char *
postrider_guard_refusal(const struct sockaddr *address)
{
	Address		plain;

	return read_address(address, &plain) ? find_refusal(&plain) : "neither IPv4 nor IPv6";
}

const char *
postrider_guard_refusal_through_proxy(const struct sockaddr *address)
{
	Address		plain;
	const char *refusal = postrider_guard_refusal(address);

	if (refusal == NULL && read_address(address, &plain) && is_local(&plain))
		return "a network that is the proxy's own";
	return refusal;
}

bool
postrider_guard_allows_address(const struct sockaddr *address)
{
	return postrider_guard_refusal(address) == NULL;
}

/*
 * The setting postrider.allowed_networks
 */

static bool
parse_ipv6(const char *string, Address *address)
{
	memset(address, 0, sizeof(Address));
	address->family = AF_INET6;
	return inet_pton(AF_INET6, string, address->bytes) == 1;
}

/* The length of a prefix in decimal, or -1. */
static int
parse_bits(const char *string, int max)
{
	Size		length = strlen(string);
	int			bits = 0;

	if (length < 1 || length > 3)
		return -1;
	for (Size i = 0; i < length; i++)
	{
		if (string[i] < '0' || string[i] > '9')
			return -1;
		bits = bits * 10 + (string[i] - '0');
	}
	return bits <= max ? bits : -1;
}

/* True if no bit right of the prefix is set. */
static bool
is_network_address(const Network *network)
{
	int			total = network->address.family == AF_INET ? IPV4_BITS : IPV6_BITS;

	for (int bit = network->bits; bit < total; bit++)
		if (network->address.bytes[bit / 8] & (0x80 >> (bit % 8)))
			return false;
	return true;
}

/* A network within the IPv4-mapped ones names the IPv4 network. */
static void
unmap(Network *network)
{
	Address		inner;

	if (network->bits < ipv4_mapped.network.bits ||
		!unwrap(&ipv4_mapped, &network->address, &inner))
		return;
	network->address = inner;
	network->bits -= ipv4_mapped.network.bits;
}

/*
 * Parses "address" or "address/bits"; changes the string.  On failure returns
 * false and says why in *problem.
 */
static bool
parse_network(char *string, Network *network, const char **problem)
{
	char	   *slash = strchr(string, '/');
	int			total;

	if (slash != NULL)
		*slash = '\0';
	memset(network, 0, sizeof(Network));
	if (inet_pton(AF_INET, string, network->address.bytes) == 1)
	{
		network->address.family = AF_INET;
		total = IPV4_BITS;
	}
	else if (parse_ipv6(string, &network->address))
		total = IPV6_BITS;
	else
		total = -1;
	if (slash != NULL)
		*slash = '/';

	if (total < 0)
	{
		*problem = "is not an IPv4 or IPv6 network";
		return false;
	}
	network->bits = slash ? parse_bits(slash + 1, total) : total;
	if (network->bits < 0)
	{
		*problem = "has no valid prefix length";
		return false;
	}
	if (!is_network_address(network))
	{
		*problem = "has bits set to the right of its prefix";
		return false;
	}
	unmap(network);
	return true;
}

static char *
trim(char *string)
{
	Size		length;

	string += strspn(string, " \t\r\n");
	length = strlen(string);
	while (length > 0 && strchr(" \t\r\n", string[length - 1]) != NULL)
		string[--length] = '\0';
	return string;
}

bool
postrider_guard_check_networks(char **newval, void **extra, GucSource source)
{
	char	   *rest = trim(pstrdup(*newval));
	NetworkList *list;
	int			count = *rest != '\0';

	for (const char *c = rest; *c; c++)
		count += *c == ',';
	list = PostriderGucMalloc(offsetof(NetworkList, networks) +
						  count * sizeof(Network));
	if (list == NULL)
		return false;
	list->count = 0;
	*extra = list;				/* the setting frees it, even if refused */

	while (list->count < count)
	{
		char	   *comma = strchr(rest, ',');
		char	   *entry = rest;
		const char *problem;

		if (comma != NULL)
		{
			*comma = '\0';
			rest = comma + 1;
		}
		entry = trim(entry);
		if (!parse_network(entry, &list->networks[list->count], &problem))
		{
			GUC_check_errdetail("\"%s\" %s.", entry, problem);
			GUC_check_errhint("Write for example '10.1.0.0/16, ::1/128'.");
			return false;
		}
		list->count++;
	}
	return true;
}

void
postrider_guard_assign_networks(const char *newval, void *extra)
{
	allowed_networks = extra;
}

/*
 * Lists of hosts, as in postrider.no_proxy
 */

static bool
is_name(const char *entry)
{
	static const char name_bytes[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

	return entry[0] && strspn(entry, name_bytes) == strlen(entry) && strcmp(entry, ".") != 0;
}

/* "example.com" and ".example.com" both stand for it and what is below it. */
static bool
name_matches(const char *host, const char *entry)
{
	Size		host_length = strlen(host);
	Size		length;

	if (entry[0] == '.')
		entry++;
	length = strlen(entry);
	if (host_length < length || pg_strcasecmp(host + host_length - length, entry) != 0)
		return false;
	return host_length == length || host[host_length - length - 1] == '.';
}

static bool
entry_holds(const char *host, char *entry)
{
	Address		address = {.family = AF_INET};
	Network		network;
	const char *problem;

	if (strcmp(entry, "*") == 0)
		return true;
	if (parse_network(entry, &network, &problem))
		return (inet_pton(AF_INET, host, address.bytes) == 1 || parse_ipv6(host, &address)) &&
			network_holds(&network, &address);
	return is_name(entry) && name_matches(host, entry);
}

/* The next entry of a list, which is changed; NULL behind the last one. */
static char *
next_entry(char **rest)
{
	char	   *entry = *rest;
	char	   *comma;

	if (entry == NULL)
		return NULL;
	comma = strchr(entry, ',');
	*rest = comma ? comma + 1 : NULL;
	if (comma)
		*comma = '\0';
	return trim(entry);
}

bool
postrider_guard_host_listed(const char *host, const char *list)
{
	char	   *copy = pstrdup(list);
	char	   *rest = copy;
	char	   *entry;
	bool		found = false;

	while (!found && (entry = next_entry(&rest)) != NULL)
		found = entry_holds(host, entry);
	pfree(copy);
	return found;
}

bool
postrider_guard_check_hosts(const char *list, const char **entry, const char **problem)
{
	char	   *rest = trim(pstrdup(list));
	char	   *next;

	if (*rest == '\0')
		return true;
	while ((next = next_entry(&rest)) != NULL)
	{
		Network		network;

		*entry = next;
		if (strcmp(next, "*") == 0 || parse_network(next, &network, problem))
			continue;
		if (strchr(next, '/') || strchr(next, ':'))
			return false;
		*problem = "is neither a name, an address nor a network";
		if (!is_name(next))
			return false;
	}
	return true;
}
