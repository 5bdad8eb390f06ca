/*-------------------------------------------------------------------------
 *
 * date.c
 *	  Dates and times from one form to another: time zones and moments.
 *
 * A date without a time of day is a day everywhere: as long as only its date
 * is written, no zone moves it.  A time that the clocks of its zone skip is an
 * error; of one that they show twice the second, in standard time, is meant,
 * as in the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "content/conversion_internal.h"
#include "content/date_internal.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* The moments that have a date from the year 1 to 9999, in microseconds. */
#define EPOCH_MIN ((int64) (date2j(1, 1, 1) - UNIX_EPOCH_JDATE) * USECS_PER_DAY)
#define EPOCH_MAX ((int64) (date2j(10000, 1, 1) - UNIX_EPOCH_JDATE) * USECS_PER_DAY - 1)

static bool
fixed_offset(const char *name, DateZone *zone)
{
	int			hours;
	int			minutes;

	if (strcmp(name, "Z") == 0)
		return true;
	if (strlen(name) != 6 || (name[0] != '+' && name[0] != '-') || name[3] != ':' ||
		strspn(name + 1, "0123456789") != 2 || strspn(name + 4, "0123456789") != 2)
		return false;
	hours = (name[1] - '0') * 10 + (name[2] - '0');
	minutes = (name[4] - '0') * 10 + (name[5] - '0');
	zone->offset = (name[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return hours <= 15 && minutes <= 59;
}

/* Only names of the database: the server takes "FOO+3" as a rule too. */
bool
postrider_date_zone_find(const char *name, DateZone *zone, char **problem)
{
	bool		is_name = name[0] != '\0' && name[0] != '/' &&
		strstr(name, "..") == NULL && strlen(name) <= 100 &&
		(strchr(name, '/') != NULL || strpbrk(name, "0123456789+-,<") == NULL);

	memset(zone, 0, sizeof(*zone));
	if (strcmp(name, "UTC") == 0 || fixed_offset(name, zone))
		return true;
	zone->zone = is_name ? pg_tzset(name) : NULL;
	if (zone->zone == NULL || !pg_tz_acceptable(zone->zone))
	{
		JsonbValue	shown;

		postrider_value_set_text(&shown, unconstify(char *, name), strlen(name));
		return postrider_refuse(problem, "unknown time zone %s; write a name such as \"Europe/Paris\" or an offset such as \"+05:30\"",
								postrider_value_show(&shown));
	}
	return true;
}

/* The moment in microseconds since 1970; fails for a time that is skipped. */
static bool
to_moment(const DateFields *fields, const DateZone *zone, int64 *moment)
{
	int64		day = date2j(fields->year, fields->month, fields->day) - UNIX_EPOCH_JDATE;
	int			offset = zone->offset;

	if (fields->has_offset)
		offset = fields->offset;
	else if (zone->zone != NULL)
	{
		struct pg_tm broken = {
			.tm_year = fields->year, .tm_mon = fields->month,
			.tm_mday = fields->day, .tm_hour = fields->hour,
			.tm_min = fields->minute, .tm_sec = fields->second
		};

		offset = -DetermineTimeZoneOffset(&broken, zone->zone);
	}
	*moment = day * USECS_PER_DAY +
		((fields->hour * INT64CONST(60) + fields->minute) * 60 + fields->second - offset) *
		USECS_PER_SEC + fields->microsecond;
	if (!fields->has_offset && zone->zone != NULL)
	{
		pg_time_t	seconds = (*moment - fields->microsecond) / USECS_PER_SEC;
		struct pg_tm *back = pg_localtime(&seconds, zone->zone);

		return back != NULL && back->tm_hour == fields->hour &&
			back->tm_min == fields->minute && back->tm_mday == fields->day;
	}
	return true;
}

/* The date and time of a moment in a zone. */
static bool
from_moment(int64 moment, const DateZone *zone, DateFields *fields,
			const char **zone_name)
{
	int64		offset = zone->offset;
	int64		whole_days;
	int64		rest;
	int64		seconds = moment / USECS_PER_SEC - (moment % USECS_PER_SEC < 0);

	*zone_name = "UTC";
	if (zone->zone != NULL)
	{
		pg_time_t	at = seconds;
		struct pg_tm *local = pg_localtime(&at, zone->zone);

		if (local == NULL)
			return false;
		offset = local->tm_gmtoff;
		*zone_name = local->tm_zone != NULL ? local->tm_zone : "";
	}
	fields->microsecond = moment - seconds * USECS_PER_SEC;
	seconds += offset;
	whole_days = seconds / SECS_PER_DAY - (seconds % SECS_PER_DAY < 0);
	rest = seconds - whole_days * SECS_PER_DAY;
	j2date(whole_days + UNIX_EPOCH_JDATE, &fields->year, &fields->month, &fields->day);
	fields->hour = rest / 3600;
	fields->minute = rest / 60 % 60;
	fields->second = rest % 60;
	fields->has_offset = true;
	fields->offset = offset;
	if (zone->zone == NULL && offset != 0)
	{
		int			size = labs(offset) / 60;

		*zone_name = psprintf("%c%02d:%02d", offset < 0 ? '-' : '+', size / 60, size % 60);
	}
	return fields->year >= 1 && fields->year <= 9999;
}

/* "-1.5" in units that have so many digits below them to a microsecond. */
static bool
read_epoch(const char *string, int length, int digits_below, int64 *moment)
{
	const char *end = string + length;
	bool		minus = string < end && *string == '-';
	int			digits = 0;
	int			below = 0;
	bool		more = false;	/* below a microsecond */
	int64		number = 0;

	string += minus;
	for (; string < end && isdigit((unsigned char) *string); string++, digits++)
	{
		if (number > PG_INT64_MAX / 10000000)
			return false;
		number = number * 10 + (*string - '0');
	}
	if (digits == 0)
		return false;
	if (string < end && *string == '.' && ++string == end)
		return false;
	for (; string < end && isdigit((unsigned char) *string); string++)
	{
		if (below < digits_below)
		{
			if (number > PG_INT64_MAX / 100)
				return false;
			number = number * 10 + (*string - '0');
			below++;
		}
		else
			more = more || *string != '0';
	}
	for (; below < digits_below; below++)
	{
		if (number > PG_INT64_MAX / 100)
			return false;
		number *= 10;
	}
	*moment = minus ? -number - more : number;
	return string == end;
}

static bool
read_moment(const char *string, int length, const DateFormat *format,
			int64 *moment, char **problem)
{
	bool		seconds = format->style == STYLE_EPOCH;
	JsonbValue	shown;

	postrider_value_set_text(&shown, unconstify(char *, string), length);
	if (!read_epoch(string, length, seconds ? 6 : 3, moment))
		return postrider_refuse(problem, "%s is not a number of %s since 1970",
								postrider_value_show(&shown),
								seconds ? "seconds" : "milliseconds");
	if (*moment < EPOCH_MIN || *moment > EPOCH_MAX)
		return postrider_refuse(problem, "%s is outside of the years 1 to 9999; is it in %s?",
								postrider_value_show(&shown),
								seconds ? "milliseconds (epoch_ms)" : "seconds (epoch)");
	return true;
}

/* Whole units, rounded down. */
static void
write_epoch(int64 moment, const DateFormat *format, StringInfo result)
{
	int64		unit = format->style == STYLE_EPOCH ? USECS_PER_SEC : 1000;

	appendStringInfo(result, INT64_FORMAT, moment / unit - (moment % unit < 0));
}

/* Does the format tell more than the date? */
static bool
needs_moment(const DateFormat *format)
{
	if (format->style == STYLE_PATTERN)
		return (format->kinds & (TIME_ITEMS | ZONE_ITEMS)) != 0;
	return format->style != STYLE_ISO && format->style != STYLE_DATE;
}

bool
postrider_date_convert(const char *string, int length, const DateFormat *from,
					   const DateFormat *to, const DateZone *zone,
					   const DateZone *to_zone, StringInfo result, char **problem)
{
	DateFields	fields;
	const char *zone_name = "";
	int64		moment;
	JsonbValue	shown;

	postrider_value_set_text(&shown, unconstify(char *, string), length);
	if (postrider_date_format_is_epoch(from))
	{
		if (!read_moment(string, length, from, &moment, problem))
			return false;
		fields.has_time = true;
	}
	else if (!postrider_date_read(string, length, from, &fields, problem))
		return false;
	else if (!fields.has_time && !needs_moment(to))
	{
		postrider_date_write(&fields, to, zone_name, result);
		return true;
	}
	else if (!to_moment(&fields, zone, &moment))
		return postrider_refuse(problem, "%s does not exist in %s: the clocks skip it",
								postrider_value_show(&shown),
								pg_get_timezone_name(zone->zone));
	if (postrider_date_format_is_epoch(to))
		write_epoch(moment, to, result);
	else
	{
		bool		has_time = fields.has_time;

		if (!from_moment(moment, to_zone, &fields, &zone_name))
			return postrider_refuse(problem, "%s is outside of the years 1 to 9999 in the time zone to write",
									postrider_value_show(&shown));
		fields.has_time = has_time;
		postrider_date_write(&fields, to, zone_name, result);
	}
	return true;
}

bool
postrider_date_is_valid(const char *string, int length, const DateFormat *format,
						char **problem)
{
	DateFields	fields;
	int64		moment;

	if (postrider_date_format_is_epoch(format))
		return read_moment(string, length, format, &moment, problem);
	return postrider_date_read(string, length, format, &fields, problem);
}
