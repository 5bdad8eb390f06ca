/*-------------------------------------------------------------------------
 *
 * rate_text.c
 *	  Limits as people write them: '100 per 10 s burst 20, 250000 per day'.
 *
 *	  limits: limit { "," limit }
 *	  limit:  number "per" [ number ] unit [ "burst" number ] [ "spread" ]
 *
 * Numbers may have underscores in them: 250_000.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "policy/policy.h"

typedef struct Cursor
{
	const char *start;
	const char *at;
	char	  **problem;
} Cursor;

typedef struct Unit
{
	const char *name;
	int64		us;
} Unit;

#define SECOND_US INT64CONST(1000000)

static const Unit units[] = {
	{"ms", 1000},
	{"millisecond", 1000},
	{"milliseconds", 1000},
	{"s", SECOND_US},
	{"sec", SECOND_US},
	{"second", SECOND_US},
	{"seconds", SECOND_US},
	{"min", 60 * SECOND_US},
	{"minute", 60 * SECOND_US},
	{"minutes", 60 * SECOND_US},
	{"h", 3600 * SECOND_US},
	{"hour", 3600 * SECOND_US},
	{"hours", 3600 * SECOND_US},
	{"d", 86400 * SECOND_US},
	{"day", 86400 * SECOND_US},
	{"days", 86400 * SECOND_US},
	{"week", 7 * 86400 * SECOND_US},
	{"weeks", 7 * 86400 * SECOND_US}
};

static bool
fail(Cursor *cursor, const char *what)
{
	*cursor->problem = psprintf("%s at position %d", what,
								(int) (cursor->at - cursor->start) + 1);
	return false;
}

static void
skip_spaces(Cursor *cursor)
{
	while (*cursor->at == ' ' || *cursor->at == '\t' ||
		   *cursor->at == '\n' || *cursor->at == '\r')
		cursor->at++;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

/* A whole number up to RATE_MAX_LIMIT. */
static bool
read_number(Cursor *cursor, int64 *number)
{
	const char *start;

	skip_spaces(cursor);
	start = cursor->at;
	if (!is_digit(*cursor->at))
		return fail(cursor, "must have a whole number");
	*number = 0;
	for (; is_digit(*cursor->at) || *cursor->at == '_'; cursor->at++)
	{
		if (*cursor->at == '_')
			continue;
		*number = *number * 10 + (*cursor->at - '0');
		if (*number > RATE_MAX_LIMIT)
		{
			cursor->at = start;
			return fail(cursor, "must not have a number above 1000000000");
		}
	}
	if (*number == 0)
	{
		cursor->at = start;
		return fail(cursor, "must have a number above zero");
	}
	return true;
}

/* The word that comes next, of lower-case letters; its length. */
static int
next_word(Cursor *cursor)
{
	int			length = 0;

	skip_spaces(cursor);
	while (is_letter(cursor->at[length]))
		length++;
	return length;
}

static bool
take_word(Cursor *cursor, const char *word)
{
	int			length = next_word(cursor);

	if (length != (int) strlen(word) || strncmp(cursor->at, word, length) != 0)
		return false;
	cursor->at += length;
	return true;
}

static bool
read_period(Cursor *cursor, RateWindow *window)
{
	const char *start;
	int64		number = 1;
	int			length;

	skip_spaces(cursor);
	start = cursor->at;
	if (is_digit(*cursor->at) && !read_number(cursor, &number))
		return false;
	length = next_word(cursor);
	for (int i = 0; i < (int) lengthof(units); i++)
	{
		if (length != (int) strlen(units[i].name) ||
			strncmp(cursor->at, units[i].name, length) != 0)
			continue;

		window->period_us = number > RATE_MAX_PERIOD_US / units[i].us ?
			PG_INT64_MAX : number * units[i].us;
		if (window->period_us < RATE_MIN_PERIOD_US ||
			window->period_us > RATE_MAX_PERIOD_US)
		{
			cursor->at = start;
			return fail(cursor, "must have periods between 100 milliseconds and 31 days only");
		}
		cursor->at += length;
		return true;
	}
	return fail(cursor, "must have ms, s, min, h, d or week");
}

static bool
read_window(Cursor *cursor, RateWindow *window)
{
	int64		number;

	memset(window, 0, sizeof(*window));
	if (!read_number(cursor, &number))
		return false;
	window->limit = (int32) number;
	if (!take_word(cursor, "per"))
		return fail(cursor, "must have the word per");
	if (!read_period(cursor, window))
		return false;
	if (take_word(cursor, "burst"))
	{
		if (!read_number(cursor, &number))
			return false;
		if (number > window->limit)
			return fail(cursor, "must not have a burst above its limit");
		window->burst = (int32) number;
		window->spread = true;
	}
	if (take_word(cursor, "spread"))
		window->spread = true;
	return true;
}

bool
postrider_rate_parse(const char *limits, RatePolicy *rate, char **problem)
{
	Cursor		cursor = {limits, limits, problem};

	for (;;)
	{
		RateWindow	window;

		skip_spaces(&cursor);
		if (rate->count == RATE_MAX_WINDOWS)
			return fail(&cursor, "must not have more than four limits");
		if (!read_window(&cursor, &window))
			return false;
		rate->window[rate->count++] = window;
		skip_spaces(&cursor);
		if (*cursor.at == '\0')
			return true;
		if (*cursor.at != ',')
			return fail(&cursor, "must have a comma");
		cursor.at++;
	}
}
