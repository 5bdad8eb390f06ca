/*-------------------------------------------------------------------------
 *
 * date_read.c
 *	  Reads dates strictly: every character has to be what the format says,
 *	  and the date has to exist.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "content/conversion_internal.h"
#include "content/date_internal.h"
#include "utils/datetime.h"

/* What is read, and what goes into the fields only in the end. */
typedef struct DateReader
{
	const char *at;
	const char *end;
	DateFields *fields;
	int			day_of_year;
	int			weekday;		/* -1 if not given */
	bool		afternoon;
	bool		half_day;
	bool		minus;			/* sign of TZH, for TZM */
} DateReader;

int
postrider_days_in_month(int year, int month)
{
	return day_tab[isleap(year)][month - 1];
}

/* A number of least to most digits, no less than the text has. */
static bool
read_digits(DateReader *reader, int least, int most, int *number)
{
	int			digits = 0;

	*number = 0;
	while (reader->at < reader->end && digits < most &&
		   isdigit((unsigned char) *reader->at))
	{
		*number = *number * 10 + (*reader->at++ - '0');
		digits++;
	}
	return digits >= least;
}

static bool
read_char(DateReader *reader, char wanted)
{
	if (reader->at == reader->end || *reader->at != wanted)
		return false;
	reader->at++;
	return true;
}

/* One of the names in full or its first three letters; -1 if none. */
static int
read_name(DateReader *reader, const char *const *names, int count, bool full)
{
	for (int i = 0; i < count; i++)
	{
		int			length = full ? (int) strlen(names[i]) : 3;

		if (reader->end - reader->at >= length &&
			pg_strncasecmp(reader->at, names[i], length) == 0)
		{
			reader->at += length;
			return i;
		}
	}
	return -1;
}

/* "Z", "+01", "+0130" or "+01:30" */
static bool
read_offset(DateReader *reader)
{
	DateFields *fields = reader->fields;
	int			sign = 1;
	int			hours;
	int			minutes = 0;

	fields->has_offset = true;
	if (read_char(reader, 'Z') || read_char(reader, 'z'))
		return true;
	if (read_char(reader, '-'))
		sign = -1;
	else if (!read_char(reader, '+'))
		return false;
	if (!read_digits(reader, 2, 2, &hours))
		return false;
	if (read_char(reader, ':') ||
		(reader->at < reader->end && isdigit((unsigned char) *reader->at)))
	{
		if (!read_digits(reader, 2, 2, &minutes))
			return false;
	}
	fields->offset = sign * (hours * 3600 + minutes * 60);
	return hours <= 15 && minutes <= 59;
}

/* Digits of a second, as many as there are; what is below 1 us is cut off. */
static bool
read_fraction(DateReader *reader, int least, int most)
{
	int			digits = 0;

	reader->fields->microsecond = 0;
	for (; reader->at < reader->end && digits < most &&
		 isdigit((unsigned char) *reader->at); digits++)
	{
		if (digits < 6)
			reader->fields->microsecond = reader->fields->microsecond * 10 +
				(*reader->at - '0');
		reader->at++;
	}
	for (int i = digits; i < 6; i++)
		reader->fields->microsecond *= 10;
	return digits >= least;
}

static bool
read_meridiem(DateReader *reader, const DateItem *item)
{
	reader->half_day = true;
	if (reader->end - reader->at < item->width)
		return false;
	if (pg_strncasecmp(reader->at, item->dotted ? "P.M." : "PM", item->width) == 0)
		reader->afternoon = true;
	else if (pg_strncasecmp(reader->at, item->dotted ? "A.M." : "AM", item->width) != 0)
		return false;
	reader->at += item->width;
	return true;
}

static bool
read_offset_hour(DateReader *reader)
{
	int			hours;

	reader->fields->has_offset = true;
	if (read_char(reader, '-'))
		reader->minus = true;
	else if (!read_char(reader, '+'))
		return false;
	if (!read_digits(reader, 2, 2, &hours) || hours > 15)
		return false;
	reader->fields->offset = (reader->minus ? -1 : 1) * hours * 3600;
	return true;
}

static bool
read_offset_minute(DateReader *reader)
{
	int			minutes;

	if (!read_digits(reader, 2, 2, &minutes) || minutes > 59)
		return false;
	reader->fields->offset += (reader->minus ? -1 : 1) * minutes * 60;
	return true;
}

static bool
read_item(DateReader *reader, const DateItem *item)
{
	DateFields *fields = reader->fields;
	int			least = item->unpadded ? 1 : item->width;
	int			name;

	switch (item->kind)
	{
		case ITEM_LITERAL:
			return read_char(reader, item->literal);
		case ITEM_YEAR:
			return read_digits(reader, least, 4, &fields->year);
		case ITEM_YEAR_2:
			if (!read_digits(reader, 2, 2, &fields->year))
				return false;
			fields->year += fields->year < 70 ? 2000 : 1900;
			return true;
		case ITEM_MONTH:
			return read_digits(reader, least, 2, &fields->month);
		case ITEM_MONTH_NAME:
		case ITEM_MONTH_SHORT:
			fields->month = 1 + read_name(reader, postrider_month_names, 12,
										  item->kind == ITEM_MONTH_NAME);
			return fields->month > 0;
		case ITEM_DAY:
			return read_digits(reader, least, 2, &fields->day);
		case ITEM_DAY_OF_YEAR:
			return read_digits(reader, least, 3, &reader->day_of_year);
		case ITEM_WEEKDAY_NAME:
		case ITEM_WEEKDAY_SHORT:
			name = read_name(reader, postrider_weekday_names, 7,
							 item->kind == ITEM_WEEKDAY_NAME);
			reader->weekday = name;
			return name >= 0;
		case ITEM_HOUR_24:
		case ITEM_HOUR_12:
			return read_digits(reader, least, 2, &fields->hour);
		case ITEM_MINUTE:
			return read_digits(reader, least, 2, &fields->minute);
		case ITEM_SECOND:
			return read_digits(reader, least, 2, &fields->second);
		case ITEM_FRACTION:
			return read_fraction(reader, item->width, item->width);
		case ITEM_MERIDIEM:
			return read_meridiem(reader, item);
		case ITEM_OFFSET:
			return read_offset(reader);
		case ITEM_OFFSET_HOUR:
			return read_offset_hour(reader);
		case ITEM_OFFSET_MINUTE:
			return read_offset_minute(reader);
		default:
			return false;
	}
}

/* 2026-11-23, 2026-11-23T10:30[:15[.5]][offset]; a space may be the T. */
static bool
read_iso(DateReader *reader)
{
	DateFields *fields = reader->fields;

	if (!read_digits(reader, 4, 4, &fields->year) || !read_char(reader, '-') ||
		!read_digits(reader, 2, 2, &fields->month) || !read_char(reader, '-') ||
		!read_digits(reader, 2, 2, &fields->day))
		return false;
	if (reader->at == reader->end)
		return true;
	if (!read_char(reader, 'T') && !read_char(reader, 't') && !read_char(reader, ' '))
		return false;
	fields->has_time = true;
	if (!read_digits(reader, 2, 2, &fields->hour) || !read_char(reader, ':') ||
		!read_digits(reader, 2, 2, &fields->minute))
		return false;
	if (read_char(reader, ':'))
	{
		if (!read_digits(reader, 2, 2, &fields->second))
			return false;
		if ((read_char(reader, '.') || read_char(reader, ',')) &&
			!read_fraction(reader, 1, 18))
			return false;
	}
	return reader->at == reader->end || read_offset(reader);
}

static bool
resolve_day_of_year(DateReader *reader)
{
	DateFields *fields = reader->fields;
	int			day = reader->day_of_year;

	if (day < 1 || day > (isleap(fields->year) ? 366 : 365))
		return false;
	fields->month = 1;
	while (day > postrider_days_in_month(fields->year, fields->month))
		day -= postrider_days_in_month(fields->year, fields->month++);
	fields->day = day;
	return true;
}

/* Is there such a day and time?  Says in *reason why not. */
static bool
is_possible(DateReader *reader, char **reason)
{
	DateFields *fields = reader->fields;

	if (fields->year < 1)
		return postrider_refuse(reason, "there is no year 0");
	if (reader->day_of_year >= 0 && !resolve_day_of_year(reader))
		return postrider_refuse(reason, "%d has no day %d", fields->year,
								reader->day_of_year);
	if (fields->month < 1 || fields->month > 12)
		return postrider_refuse(reason, "there is no month %d", fields->month);
	if (fields->day < 1 ||
		fields->day > postrider_days_in_month(fields->year, fields->month))
		return postrider_refuse(reason, "%s %d has no day %d",
								postrider_month_names[fields->month - 1],
								fields->year, fields->day);
	if (reader->half_day)
	{
		if (fields->hour < 1 || fields->hour > 12)
			return postrider_refuse(reason, "there is no hour %d of 12", fields->hour);
		fields->hour = fields->hour % 12 + (reader->afternoon ? 12 : 0);
	}
	if (fields->hour > 23 || fields->minute > 59 || fields->second > 59)
		return postrider_refuse(reason, "there is no time %02d:%02d:%02d",
								fields->hour, fields->minute, fields->second);
	if (reader->weekday >= 0 && reader->weekday !=
		j2day(date2j(fields->year, fields->month, fields->day)))
		return postrider_refuse(reason, "%04d-%02d-%02d is no %s", fields->year,
								fields->month, fields->day,
								postrider_weekday_names[reader->weekday]);
	return true;
}

static const char *
wanted_form(const DateFormat *format)
{
	if (format->style == STYLE_PATTERN)
		return format->pattern;
	return format->style == STYLE_DATE ? "YYYY-MM-DD" :
		format->style == STYLE_DATETIME ? "YYYY-MM-DDTHH:MM:SS" : "of ISO 8601";
}

bool
postrider_date_read(const char *string, int length, const DateFormat *format,
					DateFields *fields, char **problem)
{
	DateReader	reader = {string, string + length, fields, -1, -1, false, false, false};
	JsonbValue	shown;
	bool		good = true;
	char	   *reason;

	memset(fields, 0, sizeof(*fields));
	postrider_value_set_text(&shown, unconstify(char *, string), length);
	if (format->style == STYLE_PATTERN)
	{
		for (int i = 0; good && i < format->count; i++)
			good = read_item(&reader, &format->items[i]);
		fields->has_time = (format->kinds & TIME_ITEMS) != 0;
	}
	else
		good = read_iso(&reader) &&
			!(format->style == STYLE_DATE && fields->has_time) &&
			!(format->style == STYLE_DATETIME && !fields->has_time);
	if (!good || reader.at != reader.end)
		return postrider_refuse(problem, "%s is not a date in the format %s",
								postrider_value_show(&shown), wanted_form(format));
	if (!is_possible(&reader, &reason))
		return postrider_refuse(problem, "%s is not a date: %s",
								postrider_value_show(&shown), reason);
	return true;
}
