/*-------------------------------------------------------------------------
 *
 * rate_header.c
 *	  What a receiver says in its headers about the rate at which it may be
 *	  called.
 *
 *	Retry-After						seconds or HTTP date; -Ms in milliseconds
 *	RateLimit, RateLimit-Policy		the IETF draft: "name";r=50;t=30, "name";q=100;w=60;
 *									and an older one: limit=100, remaining=50, reset=30
 *	[X-]RateLimit-..., Rate-Limit	Limit, Remaining, Reset (seconds, a time with a unit,
 *									seconds or milliseconds since 1970, or a date),
 *									Reset-After, Reset-Ms; with a suffix for one of several
 *									limits (-Requests, -Minute); a vendor's name in front
 *									(X-Sib-, X-HubSpot-)
 *	X-Business-Use-Case-Usage		and others of Meta's: the minutes until access is
 *									regained
 *
 * Several limits at once are kept apart by their name, and the one that leaves the
 * least room counts.  A limit whose end is not known says nothing, unless its name
 * says that it is one of a second or a minute.  Limits on tokens and bytes are not limits
 * on calls.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/rate_header.h"
#include "content/wait_time.h"
#include "datatype/timestamp.h"

#define MOST_LIMITS		8
#define KEY_SIZE		48

/* Counts are not believed beyond this. */
#define MOST_CALLS		1e15

/* One of the limits that are spoken of. */
typedef struct Limit
{
	char		key[KEY_SIZE];	/* what tells it from others */
	int64		limit;			/* -1 for what is not known */
	int64		remaining;
	int64		reset_at_us;
	int64		window_us;
} Limit;

typedef struct Reading
{
	int64		now_us;
	int			count;
	Limit		limits[MOST_LIMITS];
} Reading;

/* Where a name speaks of a rate limit, the rest of it; or NULL. */
static const char *
after_rate_limit(const char *name)
{
	static const char *const words[] = {"ratelimit-", "rate-limit-"};

	for (int i = 0; i < (int) lengthof(words); i++)
	{
		const char *found = strstr(name, words[i]);

		if (found != NULL)
			return found + strlen(words[i]);
	}
	return NULL;
}

static bool
is_retry_after(const char *name)
{
	return strcmp(name, "retry-after") == 0 || strcmp(name, "retry-after-ms") == 0 ||
		strcmp(name, "x-ms-retry-after-ms") == 0;
}

static bool
is_usage(const char *name)
{
	return strcmp(name, "x-business-use-case-usage") == 0 ||
		strcmp(name, "x-ad-account-usage") == 0 || strcmp(name, "x-app-usage") == 0;
}

bool
postrider_rate_header_is_one(const char *name)
{
	return is_retry_after(name) || is_usage(name) || strcmp(name, "ratelimit") == 0 ||
		after_rate_limit(name) != NULL;
}

/* The limit of that name: a new one if need be, NULL if there are too many. */
static Limit *
limit_of(Reading *reading, const char *key, Size length)
{
	Limit	   *limit;

	length = Min(length, KEY_SIZE - 1);
	for (int i = 0; i < reading->count; i++)
		if (strncmp(reading->limits[i].key, key, length) == 0 &&
			reading->limits[i].key[length] == '\0')
			return &reading->limits[i];
	if (reading->count == MOST_LIMITS)
		return NULL;
	limit = &reading->limits[reading->count++];
	memcpy(limit->key, key, length);
	limit->key[length] = '\0';
	limit->limit = limit->remaining = limit->reset_at_us = limit->window_us = -1;
	return limit;
}

static bool
read_count(const char *string, int length, int64 *count)
{
	double		number;

	if (!postrider_number_read(&string, string + length, &number))
		return false;
	*count = (int64) Min(number, MOST_CALLS);
	return true;
}

static void
read_reset(const Reading *reading, Limit *limit, const char *string, int length, WaitUnit unit)
{
	int64		until_us;

	if (postrider_wait_read(string, length, unit, reading->now_us, &until_us))
		limit->reset_at_us = Max(limit->reset_at_us, until_us);
}

/* A parameter of RateLimit or RateLimit-Policy. */
static void
read_parameter(Reading *reading, Limit *limit, const char *name, int name_length,
			   const char *value, int length)
{
	int64		window_s;

#define IS(word) (name_length == (int) strlen(word) && \
				  pg_strncasecmp(name, word, name_length) == 0)
	if (IS("q") || IS("limit"))
		(void) read_count(value, length, &limit->limit);
	else if (IS("r") || IS("remaining"))
		(void) read_count(value, length, &limit->remaining);
	else if (IS("t") || IS("reset"))
		read_reset(reading, limit, value, length, WAIT_SECONDS);
	else if (IS("w") && read_count(value, length, &window_s))
		limit->window_us = Min(window_s, WAIT_MAX_US / USECS_PER_SEC) * USECS_PER_SEC;
#undef IS
}

/* The end of a piece of a structured field: at , or ; outside of quotes. */
static const char *
piece_end(const char *next)
{
	bool		quoted = false;

	for (; *next != '\0'; next++)
	{
		if (*next == '"')
			quoted = !quoted;
		else if (quoted && *next == '\\' && next[1] != '\0')
			next++;
		else if (!quoted && (*next == ',' || *next == ';'))
			break;
	}
	return next;
}

/* RateLimit and RateLimit-Policy. */
static void
read_fields(Reading *reading, const char *next)
{
	Limit	   *limit = limit_of(reading, "", 0);
	bool		begins = true;	/* a new item of the list */

	for (;;)
	{
		const char *end = piece_end(next);
		const char *equals;

		while (*next == ' ' || *next == '\t')
			next++;
		equals = *next == '"' ? NULL : memchr(next, '=', end - next);
		if (equals != NULL && limit != NULL)
			read_parameter(reading, limit, next, equals - next, equals + 1, end - equals - 1);
		else if (equals == NULL && begins && end > next)
		{
			int64		number;
			bool		is_number = read_count(next, end - next, &number);

			/* Older drafts have the limit itself where now its name is. */
			limit = is_number ? limit_of(reading, "", 0) : limit_of(reading, next, end - next);
			if (is_number && limit != NULL)
				limit->limit = number;
		}
		if (*end == '\0')
			break;
		begins = *end == ',';
		next = end + 1;
	}
}

/* Splits a word off one end of a name: "reset-requests", "daily-remaining". */
static bool
split_word(const char *rest, const char *word, const char **other, int *other_length)
{
	Size		length = strlen(rest);
	Size		word_length = strlen(word);

	if (strncmp(rest, word, word_length) == 0 &&
		(rest[word_length] == '\0' || rest[word_length] == '-'))
	{
		*other = rest + word_length + (rest[word_length] == '-');
		*other_length = strlen(*other);
		return true;
	}
	if (length > word_length && strcmp(rest + length - word_length, word) == 0 &&
		rest[length - word_length - 1] == '-')
	{
		*other = rest;
		*other_length = length - word_length - 1;
		return true;
	}
	return false;
}

static bool
other_is(const char *other, int length, const char *word)
{
	return length == (int) strlen(word) && memcmp(other, word, length) == 0;
}

/* [X-]RateLimit-Limit, -Remaining, -Reset and their like. */
static void
read_named(Reading *reading, const char *rest, const ResponseHeader *header)
{
	static const char *const words[] = {"limit", "max", "remaining", "reset", "interval"};
	const char *other = NULL;
	int			other_length = 0;
	int			word = 0;
	WaitUnit	unit = WAIT_AUTO;
	Limit	   *limit;

	while (word < (int) lengthof(words) &&
		   !split_word(rest, words[word], &other, &other_length))
		word++;
	if (word == (int) lengthof(words))
		return;
	if (other_is(other, other_length, "after"))
		unit = WAIT_SECONDS;
	else if (other_is(other, other_length, "ms") || other_is(other, other_length, "milliseconds"))
		unit = WAIT_MILLISECONDS;
	if (unit != WAIT_AUTO)
		other_length = 0;		/* it was no name of a limit */
	if (other_length >= 5 && (strstr(other, "token") || strstr(other, "bytes")))
		return;
	limit = limit_of(reading, other, other_length);
	if (limit == NULL)
		return;
	if (word <= 1)
		(void) read_count(header->value, header->value_length, &limit->limit);
	else if (word == 2)
		(void) read_count(header->value, header->value_length, &limit->remaining);
	else
		read_reset(reading, limit, header->value, header->value_length, unit);
	if (other_is(other, other_length, "second") || other_is(other, other_length, "secondly"))
		limit->window_us = USECS_PER_SEC;
	else if (other_is(other, other_length, "minute") || other_is(other, other_length, "minutely"))
		limit->window_us = USECS_PER_MINUTE;
}

/* Meta: the largest number of minutes, for the account with the longest wait. */
static int64
read_usage(const char *next, int64 now_us)
{
	static const char name[] = "\"estimated_time_to_regain_access\"";
	double		most = 0;

	while ((next = strstr(next, name)) != NULL)
	{
		double		minutes;

		next += strlen(name);
		while (*next == ' ' || *next == ':')
			next++;
		if (postrider_number_read(&next, next + strlen(next), &minutes))
			most = Max(most, minutes);
	}
	return most > 0 ? now_us + (int64) Min(most * USECS_PER_MINUTE, (double) WAIT_MAX_US) : -1;
}

static int64
read_retry_after(const ResponseHeader *header, int64 now_us)
{
	bool		is_ms = strcmp(header->name, "retry-after") != 0;
	int64		until_us;

	if (!postrider_wait_read(header->value, header->value_length,
							 is_ms ? WAIT_MILLISECONDS : WAIT_AUTO, now_us, &until_us))
		return -1;
	return until_us;
}

/* Does a limit leave less room than what is known so far? */
static bool
is_tighter(const RateHint *hint, int64 remaining, int64 reset_at_us, int64 now_us)
{
	if (hint->remaining < 0)
		return true;
	if (remaining == 0 || hint->remaining == 0)
		return remaining == 0 && (hint->remaining > 0 || reset_at_us > hint->reset_at_us);
	return (double) remaining * (hint->reset_at_us - now_us) <
		(double) hint->remaining * (reset_at_us - now_us);
}

void
postrider_rate_headers_read(const ResponseHeaders *headers, int64 now_us, RateHint *hint)
{
	Reading		reading = {.now_us = now_us};
	ResponseHeader header;
	int			position = 0;

	hint->limit = hint->remaining = hint->reset_at_us = hint->retry_at_us = -1;
	while (postrider_response_header_next(headers, &position, &header))
	{
		const char *rest = after_rate_limit(header.name);

		if (is_retry_after(header.name))
			hint->retry_at_us = Max(hint->retry_at_us, read_retry_after(&header, now_us));
		else if (is_usage(header.name))
			hint->retry_at_us = Max(hint->retry_at_us, read_usage(header.value, now_us));
		else if (strcmp(header.name, "ratelimit") == 0 ||
				 strcmp(header.name, "ratelimit-policy") == 0)
			read_fields(&reading, header.value);
		else if (rest != NULL)
			read_named(&reading, rest, &header);
	}
	for (int i = 0; i < reading.count; i++)
	{
		Limit	   *limit = &reading.limits[i];
		int64		reset_at_us = limit->reset_at_us;

		if (reset_at_us < 0 && limit->window_us > 0)
			reset_at_us = now_us + limit->window_us;
		if (limit->remaining < 0 || reset_at_us <= now_us ||
			!is_tighter(hint, limit->remaining, reset_at_us, now_us))
			continue;
		hint->limit = limit->limit;
		hint->remaining = limit->remaining;
		hint->reset_at_us = reset_at_us;
	}
}
