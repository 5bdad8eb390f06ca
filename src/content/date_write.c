/*-------------------------------------------------------------------------
 *
 * date_write.c
 *	  Writes dates as a format says.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/date_internal.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

static void
append_name(StringInfo result, const char *name, int length, DateItemCase letters)
{
	for (int i = 0; i < length && name[i] != '\0'; i++)
	{
		char		c = name[i];

		if (letters == ITEM_CASE_UPPER)
			c = pg_toupper(c);
		else if (letters == ITEM_CASE_LOWER)
			c = pg_tolower(c);
		appendStringInfoCharMacro(result, c);
	}
}

static void
append_offset(StringInfo result, int offset, bool minutes)
{
	int			size = abs(offset) / 60;

	appendStringInfo(result, "%c%02d", offset < 0 ? '-' : '+', size / 60);
	if (minutes)
		appendStringInfo(result, ":%02d", size % 60);
}

static void
append_meridiem(StringInfo result, const DateFields *fields, const DateItem *item)
{
	const char *word = item->dotted ? (fields->hour < 12 ? "A.M." : "P.M.") :
		(fields->hour < 12 ? "AM" : "PM");

	append_name(result, word, item->width, item->letters);
}

static void
write_item(const DateFields *fields, const DateItem *item, const char *zone_name,
		   StringInfo result)
{
	int			julian = date2j(fields->year, fields->month, fields->day);
	int			number = 0;

	switch (item->kind)
	{
		case ITEM_LITERAL:
			appendStringInfoCharMacro(result, item->literal);
			return;
		case ITEM_MONTH_NAME:
		case ITEM_MONTH_SHORT:
			append_name(result, postrider_month_names[fields->month - 1],
						item->kind == ITEM_MONTH_NAME ? 20 : 3, item->letters);
			return;
		case ITEM_WEEKDAY_NAME:
		case ITEM_WEEKDAY_SHORT:
			append_name(result, postrider_weekday_names[j2day(julian)],
						item->kind == ITEM_WEEKDAY_NAME ? 20 : 3, item->letters);
			return;
		case ITEM_MERIDIEM:
			append_meridiem(result, fields, item);
			return;
		case ITEM_OFFSET:
			append_offset(result, fields->offset, fields->offset % 3600 != 0);
			return;
		case ITEM_OFFSET_HOUR:
			append_offset(result, fields->offset, false);
			return;
		case ITEM_OFFSET_MINUTE:
			appendStringInfo(result, "%02d", abs(fields->offset) / 60 % 60);
			return;
		case ITEM_ZONE_NAME:
			append_name(result, zone_name, strlen(zone_name),
						item->letters == ITEM_CASE_LOWER ? ITEM_CASE_LOWER : ITEM_CASE_TITLE);
			return;
		case ITEM_FRACTION:
			number = fields->microsecond;
			for (int i = item->width; i < 6; i++)
				number /= 10;
			appendStringInfo(result, "%0*d", item->width, number);
			return;
		case ITEM_YEAR:
			number = fields->year;
			break;
		case ITEM_YEAR_2:
			number = fields->year % 100;
			break;
		case ITEM_MONTH:
			number = fields->month;
			break;
		case ITEM_DAY:
			number = fields->day;
			break;
		case ITEM_DAY_OF_YEAR:
			number = julian - date2j(fields->year, 1, 1) + 1;
			break;
		case ITEM_WEEKDAY:
			number = j2day(julian) + 1;
			break;
		case ITEM_WEEKDAY_ISO:
			number = j2day(julian) == 0 ? 7 : j2day(julian);
			break;
		case ITEM_WEEK_ISO:
			number = date2isoweek(fields->year, fields->month, fields->day);
			break;
		case ITEM_WEEK_YEAR:
			number = date2isoyear(fields->year, fields->month, fields->day);
			break;
		case ITEM_QUARTER:
			number = (fields->month - 1) / 3 + 1;
			break;
		case ITEM_HOUR_24:
			number = fields->hour;
			break;
		case ITEM_HOUR_12:
			number = fields->hour % 12 == 0 ? 12 : fields->hour % 12;
			break;
		case ITEM_MINUTE:
			number = fields->minute;
			break;
		case ITEM_SECOND:
			number = fields->second;
			break;
		case ITEM_KINDS:
			break;
	}
	appendStringInfo(result, "%0*d", item->unpadded ? 1 : item->width, number);
}

static void
write_iso(const DateFields *fields, bool with_time, StringInfo result)
{
	appendStringInfo(result, "%04d-%02d-%02d", fields->year, fields->month, fields->day);
	if (!with_time)
		return;
	appendStringInfo(result, "T%02d:%02d:%02d", fields->hour, fields->minute,
					 fields->second);
	if (fields->microsecond != 0)
	{
		appendStringInfo(result, ".%06d", fields->microsecond);
		while (result->data[result->len - 1] == '0')
			result->data[--result->len] = '\0';
	}
	if (fields->offset == 0)
		appendStringInfoChar(result, 'Z');
	else
		append_offset(result, fields->offset, true);
}

void
postrider_date_write(const DateFields *fields, const DateFormat *format,
					 const char *zone_name, StringInfo result)
{
	if (format->style != STYLE_PATTERN)
	{
		write_iso(fields, format->style == STYLE_DATETIME ||
				  (format->style == STYLE_ISO && fields->has_time), result);
		return;
	}
	for (int i = 0; i < format->count; i++)
		write_item(fields, &format->items[i], zone_name, result);
}
