/*-------------------------------------------------------------------------
 *
 * schema_format_time.c
 *	  The formats date, time, date-time and duration: RFC 3339.
 *
 * As in the RFC's grammar, letters may be in either case.  A leap second is
 * accepted in any minute that is 23:59 in UTC: the days that had one are
 * known only afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_format_internal.h"

/* The value of two digits, -1 if they are not. */
static inline int
two_digits(const char *s)
{
	if (!format_is_digit(s[0]) || !format_is_digit(s[1]))
		return -1;
	return (s[0] - '0') * 10 + (s[1] - '0');
}

bool
postrider_format_date(const char *value, int len)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int			century;
	int			year;
	int			month;
	int			day;
	int			last;

	if (len != 10 || value[4] != '-' || value[7] != '-')
		return false;
	century = two_digits(value);
	year = two_digits(value + 2);
	month = two_digits(value + 5);
	day = two_digits(value + 8);
	if (century < 0 || year < 0 || month < 1 || month > 12 || day < 1)
		return false;
	last = days[month - 1];
	if (month == 2 && (year != 0 ? year % 4 == 0 : century % 4 == 0))
		last = 29;
	return day <= last;
}

bool
postrider_format_time(const char *value, int len)
{
	int			hour;
	int			minute;
	int			second;
	int			at = 8;
	int			offset = 0;		/* minutes east of UTC */

	if (len < 9 || value[2] != ':' || value[5] != ':')
		return false;
	hour = two_digits(value);
	minute = two_digits(value + 3);
	second = two_digits(value + 6);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
		second < 0 || second > 60)
		return false;
	if (value[at] == '.')
	{
		int			from = ++at;

		while (at < len && format_is_digit(value[at]))
			at++;
		if (at == from)
			return false;
	}
	if (len - at == 1 && (value[at] == 'Z' || value[at] == 'z'))
		offset = 0;
	else if (len - at == 6 && (value[at] == '+' || value[at] == '-') &&
			 value[at + 3] == ':')
	{
		int			offset_hour = two_digits(value + at + 1);
		int			offset_minute = two_digits(value + at + 4);

		if (offset_hour < 0 || offset_hour > 23 ||
			offset_minute < 0 || offset_minute > 59)
			return false;
		offset = offset_hour * 60 + offset_minute;
		if (value[at] == '-')
			offset = -offset;
	}
	else
		return false;
	if (second == 60)
	{
		const int	day = 24 * 60;

		return (hour * 60 + minute - offset + day) % day == day - 1;
	}
	return true;
}

bool
postrider_format_date_time(const char *value, int len)
{
	return len > 11 && (value[10] == 'T' || value[10] == 't') &&
		postrider_format_date(value, 10) &&
		postrider_format_time(value + 11, len - 11);
}

/*
 * Reads numbers with units at *at.  The units used must be neighbours in
 * units, in its order: 1H2M and 2M3S, not 1H3S.  False if there is none.
 */
static bool
read_units(const char **at, const char *end, const char *units)
{
	const char *expected = NULL;	/* where the next unit must be */

	while (*at < end && format_is_digit(**at))
	{
		const char *unit;

		while (*at < end && format_is_digit(**at))
			(*at)++;
		if (*at == end)
			return false;
		unit = **at == '\0' ? NULL : strchr(units, pg_ascii_toupper((unsigned char) **at));
		if (unit == NULL || (expected != NULL && unit != expected))
			return false;
		expected = unit + 1;
		(*at)++;
	}
	return expected != NULL;
}

bool
postrider_format_duration(const char *value, int len)
{
	const char *at = value;
	const char *end = value + len;

	if (len < 3 || (*at != 'P' && *at != 'p'))
		return false;
	at++;
	if (end[-1] == 'W' || end[-1] == 'w')
		return read_units(&at, end, "W") && at == end;
	if (*at != 'T' && *at != 't' && !read_units(&at, end, "YMD"))
		return false;
	if (at == end)
		return true;
	if (*at != 'T' && *at != 't')
		return false;
	at++;
	return read_units(&at, end, "HMS") && at == end;
}
