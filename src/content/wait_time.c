/*-------------------------------------------------------------------------
 *
 * wait_time.c
 *	  How receivers say how long to wait.
 *
 * There are spans (seconds as a rule, sometimes milliseconds or minutes, some with
 * a unit behind: "1m30s") and points in time: seconds or milliseconds since 1970,
 * the three forms of an HTTP date, ISO 8601.  Where the unit is not known, the size of
 * a number tells a span from a point in time: nobody asks for thirty years.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "content/wait_time.h"
#include "datatype/timestamp.h"
#include "utils/datetime.h"

#define SECOND_US		1000000.0
#define EPOCH_OFFSET_S \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/* As numbers without a unit: from here on ... */
#define LEAST_EPOCH		1e9		/* ... seconds since 1970 */
#define LEAST_EPOCH_MS	1e11	/* ... milliseconds since 1970 */

static const struct
{
	const char *name;
	WaitUnit	unit;
}			units[] =
{
	{"auto", WAIT_AUTO},
	{"seconds", WAIT_SECONDS},
	{"milliseconds", WAIT_MILLISECONDS},
	{"minutes", WAIT_MINUTES},
	{"epoch", WAIT_EPOCH},
	{"epoch_ms", WAIT_EPOCH_MS},
	{"http_date", WAIT_HTTP_DATE}
};

bool
postrider_wait_unit_find(const char *name, WaitUnit *unit)
{
	for (int i = 0; i < (int) lengthof(units); i++)
		if (strcmp(units[i].name, name) == 0)
		{
			*unit = units[i].unit;
			return true;
		}
	return false;
}

bool
postrider_number_read(const char **string, const char *end, double *number)
{
	const char *next = *string;
	double		scale = 1;
	int			digits = 0;

	*number = 0;
	for (; next < end && isdigit((unsigned char) *next) && digits < 19; next++, digits++)
		*number = *number * 10 + (*next - '0');
	if (digits == 0 || digits == 19)
		return false;
	if (next + 1 < end && *next == '.' && isdigit((unsigned char) next[1]))
		for (next++; next < end && isdigit((unsigned char) *next); next++)
		{
			if (++digits > 18)
				continue;		/* too fine to matter */
			scale /= 10;
			*number += (*next - '0') * scale;
		}
	*string = next;
	return true;
}

static void
skip_spaces(const char **string, const char *end)
{
	while (*string < end && (**string == ' ' || **string == '\t'))
		(*string)++;
}

/* Seconds of a unit that is written behind a number; 0 if there is no such. */
static double
unit_seconds(const char **string, const char *end)
{
	static const struct
	{
		const char *name;
		double		seconds;
	}			names[] =
	{
		{"ms", 0.001}, {"milliseconds", 0.001}, {"us", 0.000001}, {"s", 1}, {"sec", 1},
		{"secs", 1}, {"second", 1}, {"seconds", 1}, {"m", 60}, {"min", 60}, {"minute", 60},
		{"minutes", 60}, {"h", 3600}, {"hour", 3600}, {"hours", 3600}, {"d", 86400},
		{"day", 86400}, {"days", 86400}
	};
	const char *start = *string;
	Size		length;

	while (*string < end && isalpha((unsigned char) **string))
		(*string)++;
	length = *string - start;
	for (int i = 0; i < (int) lengthof(names); i++)
		if (strlen(names[i].name) == length && pg_strncasecmp(names[i].name, start, length) == 0)
			return names[i].seconds;
	return 0;
}

/*
 * A span: a number, or numbers with units.  *bare says that it was a number and
 * nothing else, in units of one.
 */
static bool
read_span(const char *string, const char *end, double *seconds, bool *bare)
{
	double		sum = 0;

	*bare = false;
	for (int parts = 0; parts < 8; parts++)
	{
		double		number;
		double		unit;

		if (!postrider_number_read(&string, end, &number))
			return false;
		skip_spaces(&string, end);
		if (string == end)
		{
			*bare = parts == 0;
			*seconds = number;
			return *bare;
		}
		unit = unit_seconds(&string, end);
		if (unit == 0)
			return false;
		sum += number * unit;
		skip_spaces(&string, end);
		if (string == end)
		{
			*seconds = sum;
			return true;
		}
	}
	return false;
}

/* One or two digits (or, for a year, four) as a number; -1 if there are none. */
static int
read_digits(const char **string, const char *end, int most)
{
	int			number = 0;
	int			digits = 0;

	for (; *string < end && isdigit((unsigned char) **string) && digits < most; digits++)
		number = number * 10 + (*(*string)++ - '0');
	return digits == 0 ? -1 : number;
}

static bool
read_clock(const char **string, const char *end, int *second_of_day)
{
	int			field[3];

	for (int i = 0; i < 3; i++)
	{
		if (i > 0 && (*string >= end || *(*string)++ != ':'))
			return false;
		field[i] = read_digits(string, end, 2);
		if (field[i] < 0 || field[i] > (i == 0 ? 23 : i == 1 ? 59 : 60))
			return false;
	}
	*second_of_day = field[0] * SECS_PER_HOUR + field[1] * SECS_PER_MINUTE + field[2];
	return true;
}

/* Seconds since 1970 of a day and a time of it. */
static bool
combine(int year, int month, int day, int second_of_day, double *seconds)
{
	if (year < 1970 || year > 9999 || month < 1 || month > 12 || day < 1 ||
		day > day_tab[isleap(year)][month - 1])
		return false;
	*seconds = (double) (date2j(year, month, day) - UNIX_EPOCH_JDATE) * SECS_PER_DAY +
		second_of_day;
	return true;
}

/* The number of an English month by its first three letters, or 0. */
static int
month_of(const char *word)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (int i = 0; i < 12; i++)
		if (pg_strncasecmp(names + 3 * i, word, 3) == 0)
			return i + 1;
	return 0;
}

/*
 * "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT" and
 * "Sun Nov  6 08:49:37 1994": all of them are in GMT, and the weekday is not looked
 * at.
 */
static bool
read_http_date(const char *string, const char *end, double *seconds)
{
	int			year = -1;
	int			month = 0;
	int			day = -1;
	int			clock = -1;

	for (int words = 0; words < 8; words++)
	{
		const char *word;

		while (string < end && (*string == ' ' || *string == ',' || *string == '-' || *string == '\t'))
			string++;
		if (string == end)
			return clock >= 0 && combine(year, month, day, clock, seconds);
		word = string;
		if (isalpha((unsigned char) *string))
		{
			while (string < end && isalpha((unsigned char) *string))
				string++;
			if (words > 0 && month == 0 && string - word == 3)
				month = month_of(word);
			else if (words > 0 && pg_strncasecmp(word, "GMT", 3) != 0 &&
					 pg_strncasecmp(word, "UTC", 3) != 0)
				return false;
		}
		else if (day < 0)
			day = read_digits(&string, end, 2);
		else if (string + 2 < end && (string[1] == ':' || string[2] == ':') && clock < 0)
		{
			if (!read_clock(&string, end, &clock))
				return false;
		}
		else if (year < 0)
		{
			year = read_digits(&string, end, 4);
			if (year >= 0 && string - word == 2)
				year += year < 70 ? 2000 : 1900;
		}
		else
			return false;
		if (string == word)
			return false;
	}
	return false;
}

/* "2026-11-23T10:00:00.5Z", "2026-11-23 10:00:00+01:00"; without a zone: UTC */
static bool
read_iso_date(const char *string, const char *end, double *seconds)
{
	int			year = read_digits(&string, end, 4);
	int			month = string < end && *string == '-' ? (string++, read_digits(&string, end, 2)) : -1;
	int			day = string < end && *string == '-' ? (string++, read_digits(&string, end, 2)) : -1;
	int			clock;
	int			sign;
	int			hours;
	int			minutes = 0;

	if (string >= end || (*string != 'T' && *string != 't' && *string != ' '))
		return false;
	string++;
	if (!read_clock(&string, end, &clock) || !combine(year, month, day, clock, seconds))
		return false;
	if (string < end && *string == '.')
		for (string++; string < end && isdigit((unsigned char) *string); string++)
			;
	skip_spaces(&string, end);
	if (string == end || ((*string == 'Z' || *string == 'z') && string + 1 == end))
		return true;
	if (*string != '+' && *string != '-')
		return false;
	sign = *string++ == '+' ? 1 : -1;
	hours = read_digits(&string, end, 2);
	if (string < end && *string == ':')
		string++;
	if (string < end)
		minutes = read_digits(&string, end, 2);
	*seconds -= sign * (hours * SECS_PER_HOUR + minutes * SECS_PER_MINUTE);
	return string == end && hours >= 0 && minutes >= 0;
}

bool
postrider_wait_read(const char *string, int length, WaitUnit unit, int64 now_us,
					int64 *until_us)
{
	const char *end = string + length;
	bool		bare;
	double		span;			/* seconds from now on */
	double		number;
	double		now_s = now_us / SECOND_US + EPOCH_OFFSET_S;	/* since 1970 */

	skip_spaces(&string, end);
	while (end > string && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (unit == WAIT_HTTP_DATE || !read_span(string, end, &number, &bare))
	{
		if ((unit != WAIT_HTTP_DATE && unit != WAIT_AUTO) ||
			(!read_http_date(string, end, &number) && !read_iso_date(string, end, &number)))
			return false;
		span = number - now_s;
	}
	else if (unit == WAIT_EPOCH_MS ||
			 (unit == WAIT_AUTO && bare && number >= LEAST_EPOCH_MS))
		span = number / 1000 - now_s;
	else if (unit == WAIT_EPOCH || (unit == WAIT_AUTO && bare && number >= LEAST_EPOCH))
		span = number - now_s;
	else if (bare && unit == WAIT_MILLISECONDS)
		span = number / 1000;
	else if (bare && unit == WAIT_MINUTES)
		span = number * SECS_PER_MINUTE;
	else
		span = number;
	span = Max(span, 0);
	*until_us = now_us + (int64) Min(span * SECOND_US, (double) WAIT_MAX_US);
	return true;
}
