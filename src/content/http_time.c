/*-------------------------------------------------------------------------
 *
 * http_time.c
 *	  Times as they are written in HTTP.
 *
 * Read by hand: neither the server's DateStyle and time zone nor the locale
 * of the process may have a say.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/http_time.h"
#include "datatype/timestamp.h"
#include "utils/datetime.h"

#define MS_PER_DAY INT64CONST(86400000)

/* A time as it is read; month and day count from 1. */
typedef struct Fields
{
	int			year;
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
	int			ms;
	int			offset_minutes;
} Fields;

/* Reads exactly "digits" digits. */
static bool
take_number(const char **at, int digits, int *number)
{
	*number = 0;
	for (int i = 0; i < digits; i++)
	{
		char		c = **at;

		if (c < '0' || c > '9')
			return false;
		*number = *number * 10 + (c - '0');
		(*at)++;
	}
	return true;
}

static bool
take(const char **at, const char *expected)
{
	Size		length = strlen(expected);

	if (pg_strncasecmp(*at, expected, length) != 0)
		return false;
	*at += length;
	return true;
}

static bool
take_month(const char **at, int *month)
{
	static const char *const names[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun",
		"Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
	};

	for (int i = 0; i < (int) lengthof(names); i++)
		if (take(at, names[i]))
		{
			*month = i + 1;
			return true;
		}
	return false;
}

/* The name of a day of the week, short or long; it is not checked further. */
static bool
take_weekday(const char **at)
{
	static const char *const names[] = {
		"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
		"Saturday", "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"
	};

	for (int i = 0; i < (int) lengthof(names); i++)
		if (take(at, names[i]))
			return true;
	return false;
}

static bool
take_clock(const char **at, Fields *fields)
{
	return take_number(at, 2, &fields->hour) && take(at, ":") &&
		take_number(at, 2, &fields->minute) && take(at, ":") &&
		take_number(at, 2, &fields->second);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool
read_fixdate(const char *at, Fields *fields)
{
	return take_weekday(&at) && take(&at, ", ") &&
		take_number(&at, 2, &fields->day) && take(&at, " ") &&
		take_month(&at, &fields->month) && take(&at, " ") &&
		take_number(&at, 4, &fields->year) && take(&at, " ") &&
		take_clock(&at, fields) && (take(&at, " GMT") || take(&at, " UTC")) &&
		*at == '\0';
}

/*
 * Sunday, 06-Nov-94 08:49:37 GMT.  RFC 9110 lets the century depend on the
 * present; a wait never lies before 2000.
 */
static bool
read_rfc850(const char *at, Fields *fields)
{
	bool		fits;

	fits = take_weekday(&at) && take(&at, ", ") &&
		take_number(&at, 2, &fields->day) && take(&at, "-") &&
		take_month(&at, &fields->month) && take(&at, "-") &&
		take_number(&at, 2, &fields->year) && take(&at, " ") &&
		take_clock(&at, fields) && take(&at, " GMT") && *at == '\0';
	fields->year += fields->year >= 70 ? 1900 : 2000;
	return fits;
}

/* Sun Nov  6 08:49:37 1994 */
static bool
read_asctime(const char *at, Fields *fields)
{
	if (!take_weekday(&at) || !take(&at, " ") ||
		!take_month(&at, &fields->month) || !take(&at, " "))
		return false;
	if (!take_number(&at, take(&at, " ") ? 1 : 2, &fields->day))
		return false;
	return take(&at, " ") && take_clock(&at, fields) && take(&at, " ") &&
		take_number(&at, 4, &fields->year) && *at == '\0';
}

/* 2026-11-23T04:40:09.123+01:00 */
static bool
read_rfc3339(const char *at, Fields *fields)
{
	int			sign;
	int			hours;
	int			minutes;
	int			scale = 100;

	if (!take_number(&at, 4, &fields->year) || !take(&at, "-") ||
		!take_number(&at, 2, &fields->month) || !take(&at, "-") ||
		!take_number(&at, 2, &fields->day) ||
		(!take(&at, "T") && !take(&at, " ")) || !take_clock(&at, fields))
		return false;
	if (*at == '.')
	{
		at++;
		if (*at < '0' || *at > '9')
			return false;
		for (; *at >= '0' && *at <= '9'; at++, scale /= 10)
			fields->ms += (*at - '0') * scale;
	}
	if (take(&at, "Z"))
		return *at == '\0';
	if (*at != '+' && *at != '-')
		return false;
	sign = *at++ == '-' ? -1 : 1;
	if (!take_number(&at, 2, &hours))
		return false;
	(void) take(&at, ":");
	if (!take_number(&at, 2, &minutes) || *at != '\0' ||
		hours > 23 || minutes > 59)
		return false;
	fields->offset_minutes = sign * (hours * 60 + minutes);
	return true;
}

/* A leap second counts as the one before it. */
static bool
to_unix_ms(const Fields *fields, int64 *unix_ms)
{
	int64		day_number;
	int			leap = isleap(fields->year) ? 1 : 0;

	if (fields->month < 1 || fields->month > 12 || fields->day < 1 ||
		fields->day > day_tab[leap][fields->month - 1] ||
		fields->hour > 23 || fields->minute > 59 || fields->second > 60)
		return false;
	day_number = (int64) date2j(fields->year, fields->month, fields->day) -
		UNIX_EPOCH_JDATE;
	*unix_ms = day_number * MS_PER_DAY +
		((fields->hour * 60 + fields->minute - fields->offset_minutes) * 60 +
		 Min(fields->second, 59)) * INT64CONST(1000) + fields->ms;
	return true;
}

bool
postrider_http_time_parse(const char *string, int64 *unix_ms)
{
	static bool (*const readers[]) (const char *at, Fields *fields) = {
		read_fixdate, read_rfc850, read_asctime, read_rfc3339
	};

	for (int i = 0; i < (int) lengthof(readers); i++)
	{
		Fields		fields = {0};

		if (readers[i] (string, &fields))
			return to_unix_ms(&fields, unix_ms);
	}
	return false;
}

void
postrider_http_time_iso(int64 unix_ms, char *result)
{
	int64		day_number = unix_ms / MS_PER_DAY;
	int64		of_day = unix_ms % MS_PER_DAY;
	int			year;
	int			month;
	int			day;

	if (of_day < 0)
	{
		of_day += MS_PER_DAY;
		day_number--;
	}
	j2date((int) day_number + UNIX_EPOCH_JDATE, &year, &month, &day);
	snprintf(result, POSTRIDER_ISO_TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
			 year, month, day, (int) (of_day / 3600000),
			 (int) (of_day / 60000 % 60), (int) (of_day / 1000 % 60),
			 (int) (of_day % 1000));
}
