/*-------------------------------------------------------------------------
 *
 * rate_header.c
 *	  Rate limits in response headers; see rate_header.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <math.h>

#include "content/rate_header.h"

/* Numbers from here on are seconds, and milliseconds, since 1970. */
#define EPOCH_S_FROM	1e9
#define EPOCH_MS_FROM	1e12

typedef struct HeaderPair
{
	const char *remaining;
	const char *reset;
	WaitUnit	unit;
} HeaderPair;

static const HeaderPair pairs[] = {
	{"ratelimit-remaining", "ratelimit-reset", WAIT_ANY},
	{"x-ratelimit-remaining", "x-ratelimit-reset-after", WAIT_SECONDS},
	{"x-ratelimit-remaining", "x-ratelimit-reset", WAIT_ANY},
	{"x-rate-limit-remaining", "x-rate-limit-reset", WAIT_ANY},
	{"x-sib-ratelimit-remaining", "x-sib-ratelimit-reset", WAIT_SECONDS},
	{"x-hubspot-ratelimit-remaining", "x-hubspot-ratelimit-interval-milliseconds", WAIT_MILLISECONDS}
};

/* A number and nothing else; false if it is none. */
static bool
read_number(const char *value, double *number)
{
	char	   *end;

	*number = strtod(value, &end);
	while (*end == ' ' || *end == '\t')
		end++;
	return end != value && *end == '\0' && !isnan(*number) && !isinf(*number);
}

static int64
bounded(double ms)
{
	if (ms < 0)
		return 0;
	return ms < RATE_HEADER_MAX_WAIT_MS ? (int64) ceil(ms) : RATE_HEADER_MAX_WAIT_MS;
}

static int64
date_wait_ms(const char *value, int64 unix_ms)
{
	time_t		date = curl_getdate(value, NULL);

	return date < 0 ? -1 : bounded((double) date * 1000 - unix_ms);
}

int64
postrider_wait_ms(const char *value, WaitUnit unit, int64 unix_ms)
{
	double		number;

	if (unit == WAIT_HTTP_DATE || !read_number(value, &number))
		return unit == WAIT_HTTP_DATE || unit == WAIT_ANY ? date_wait_ms(value, unix_ms) : -1;
	if (number < 0)
		return -1;
	if (unit == WAIT_ANY)
		unit = number >= EPOCH_MS_FROM ? WAIT_EPOCH_MS :
			number >= EPOCH_S_FROM ? WAIT_EPOCH : WAIT_SECONDS;
	switch (unit)
	{
		case WAIT_MILLISECONDS:
			return bounded(number);
		case WAIT_MINUTES:
			return bounded(number * 60000);
		case WAIT_EPOCH:
			return bounded(number * 1000 - unix_ms);
		case WAIT_EPOCH_MS:
			return bounded(number - unix_ms);
		default:
			return bounded(number * 1000);
	}
}

static bool
read_remaining(const char *value, int64 *remaining)
{
	double		number;

	if (value == NULL || !read_number(value, &number) || number < 0)
		return false;
	*remaining = number < PG_INT32_MAX ? (int64) number : PG_INT32_MAX;
	return true;
}

/* The number of "name=" in an item of a list; -1 if there is none. */
static double
parameter(const char *item, const char *end, const char *name)
{
	Size		length = strlen(name);

	for (const char *next = item; next + length < end; next++)
	{
		if ((next == item || strchr("; ,\t", next[-1]) != NULL) &&
			pg_strncasecmp(next, name, length) == 0 && next[length] == '=')
		{
			char	   *rest;
			double		number = strtod(next + length + 1, &rest);

			return rest > next + length + 1 && number >= 0 ? number : -1;
		}
	}
	return -1;
}

/* Is it less than what is known? */
static void
note(RateHeader *result, double remaining, double seconds)
{
	if (remaining < 0 || seconds < 0 ||
		(result->remaining >= 0 && remaining >= result->remaining))
		return;
	result->remaining = remaining < PG_INT32_MAX ? (int64) remaining : PG_INT32_MAX;
	result->wait_ms = bounded(seconds * 1000);
}

/*
 * The header RateLimit: of drafts 3 to 7, "limit=100, remaining=50, reset=5"; of
 * those since, a list of policies, "name";r=50;t=5, of which the tightest counts.
 */
static void
read_list(const char *value, RateHeader *result)
{
	const char *end = value + strlen(value);

	note(result, parameter(value, end, "remaining"), parameter(value, end, "reset"));
	while (value < end)
	{
		const char *comma = strchr(value, ',');
		const char *stop = comma ? comma : end;

		note(result, parameter(value, stop, "r"), parameter(value, stop, "t"));
		value = stop + 1;
	}
}

RateHeader
postrider_rate_header_read(HeaderLookup find, void *arg, int64 unix_ms)
{
	RateHeader	result = {.remaining = -1, .wait_ms = -1};
	const char *list = find(arg, "ratelimit");

	if (list)
		read_list(list, &result);
	for (int i = 0; i < (int) lengthof(pairs) && result.wait_ms < 0; i++)
	{
		const char *reset = find(arg, pairs[i].reset);

		if (reset == NULL)
			continue;
		result.wait_ms = postrider_wait_ms(reset, pairs[i].unit, unix_ms);
		(void) read_remaining(find(arg, pairs[i].remaining), &result.remaining);
	}
	return result;
}

bool
postrider_rate_header_concerns(const char *line, Size length)
{
	static const char *const beginnings[] = {
		"ratelimit", "x-ratelimit", "x-rate-limit", "x-sib-rate", "x-hubspot-rate"
	};

	if (length == 0 || strchr("rRxX", line[0]) == NULL)
		return false;
	for (int i = 0; i < (int) lengthof(beginnings); i++)
	{
		Size		most = strlen(beginnings[i]);

		if (length >= most && pg_strncasecmp(line, beginnings[i], most) == 0)
			return true;
	}
	return false;
}
