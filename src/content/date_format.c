/*-------------------------------------------------------------------------
 *
 * date_format.c
 *	  Formats of dates: the patterns of to_char that make sense for data that
 *	  goes from machine to machine.
 *
 * Where to_char guesses, this refuses: a letter that is no pattern has to
 * stand in double quotes (but the T of ISO 8601), and a format that is to be
 * read has to tell year, month and day, and none of them twice.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "content/conversion_internal.h"
#include "content/date_internal.h"

#define MAX_FORMAT 200

const char *const postrider_month_names[12] = {
	"January", "February", "March", "April", "May", "June", "July", "August",
	"September", "October", "November", "December"
};
const char *const postrider_weekday_names[7] = {
	"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"
};

/* Longer words before those that they begin with. */
static const struct
{
	const char *word;
	DateItemKind kind;
	int			width;
}			words[] = {
	{"YYYY", ITEM_YEAR, 4}, {"YY", ITEM_YEAR_2, 2},
	{"IYYY", ITEM_WEEK_YEAR, 4}, {"IW", ITEM_WEEK_ISO, 2},
	{"ID", ITEM_WEEKDAY_ISO, 1},
	{"MONTH", ITEM_MONTH_NAME, 0}, {"MON", ITEM_MONTH_SHORT, 0},
	{"MM", ITEM_MONTH, 2}, {"MI", ITEM_MINUTE, 2}, {"MS", ITEM_FRACTION, 3},
	{"DDD", ITEM_DAY_OF_YEAR, 3}, {"DD", ITEM_DAY, 2},
	{"DAY", ITEM_WEEKDAY_NAME, 0}, {"DY", ITEM_WEEKDAY_SHORT, 0},
	{"D", ITEM_WEEKDAY, 1},
	{"HH24", ITEM_HOUR_24, 2}, {"HH12", ITEM_HOUR_12, 2}, {"HH", ITEM_HOUR_12, 2},
	{"SS", ITEM_SECOND, 2}, {"US", ITEM_FRACTION, 6},
	{"FF1", ITEM_FRACTION, 1}, {"FF2", ITEM_FRACTION, 2},
	{"FF3", ITEM_FRACTION, 3}, {"FF4", ITEM_FRACTION, 4},
	{"FF5", ITEM_FRACTION, 5}, {"FF6", ITEM_FRACTION, 6},
	{"AM", ITEM_MERIDIEM, 2}, {"PM", ITEM_MERIDIEM, 2},
	{"A.M.", ITEM_MERIDIEM, 4}, {"P.M.", ITEM_MERIDIEM, 4},
	{"OF", ITEM_OFFSET, 0}, {"TZH", ITEM_OFFSET_HOUR, 2},
	{"TZM", ITEM_OFFSET_MINUTE, 2}, {"TZ", ITEM_ZONE_NAME, 0},
	{"Q", ITEM_QUARTER, 1}
};

static const struct
{
	const char *name;
	DateStyleKind style;
}			styles[] = {
	{"iso", STYLE_ISO}, {"date", STYLE_DATE}, {"datetime", STYLE_DATETIME},
	{"epoch", STYLE_EPOCH}, {"epoch_ms", STYLE_EPOCH_MS}
};

/* The item at the beginning of pattern; returns its length, or 0. */
static int
read_item(const char *pattern, DateItem *item)
{
	for (int i = 0; i < (int) lengthof(words); i++)
	{
		int			length = strlen(words[i].word);

		if (pg_strncasecmp(pattern, words[i].word, length) != 0)
			continue;
		item->kind = words[i].kind;
		item->width = words[i].width;
		item->dotted = words[i].word[1] == '.';
		if (islower((unsigned char) pattern[0]))
			item->letters = ITEM_CASE_LOWER;
		else if (item->kind != ITEM_MERIDIEM && length > 1 &&
				 islower((unsigned char) pattern[1]))
			item->letters = ITEM_CASE_TITLE;
		return length;
	}
	return 0;
}

static bool
format_problem(const DateFormat *format, char **problem, const char *what)
{
	return postrider_refuse(problem, "the date format \"%s\" %s",
							format->pattern, what);
}

static void
add_literal(DateFormat *format, char literal)
{
	DateItem   *item = &format->items[format->count++];

	item->kind = ITEM_LITERAL;
	item->literal = literal;
}

/* What stands in double quotes; returns what follows, or NULL. */
static const char *
read_quoted(DateFormat *format, const char *c)
{
	for (c++; *c != '"'; c++)
	{
		if (*c == '\\' && c[1] != '\0')
			c++;
		if (*c == '\0')
			return NULL;
		add_literal(format, *c);
	}
	return c + 1;
}

static bool
read_pattern(DateFormat *format, char **problem)
{
	const char *c = format->pattern;
	bool		unpadded = false;

	while (*c != '\0')
	{
		DateItem   *item = &format->items[format->count];
		int			length;

		if (pg_strncasecmp(c, "FM", 2) == 0)
		{
			unpadded = true;
			c += 2;
			continue;
		}
		if (*c == '"')
		{
			c = read_quoted(format, c);
			if (c == NULL)
				return format_problem(format, problem, "has a quote that is not closed");
			continue;
		}
		length = read_item(c, item);
		if (length > 0)
		{
			if (format->kinds & ITEM_BIT(item->kind))
				return format_problem(format, problem,
									  psprintf("has \"%.*s\" or the like twice", length, c));
			item->unpadded = unpadded;
			unpadded = false;
			format->kinds |= ITEM_BIT(item->kind);
			format->count++;
			c += length;
			continue;
		}
		if (isalpha((unsigned char) *c) && *c != 'T')
			return format_problem(format, problem,
								  psprintf("has \"%c\", which is no pattern; put text in double quotes", *c));
		add_literal(format, *c++);
	}
	return true;
}

/* Does the format say all that reading needs, and nothing twice? */
static bool
check_input(const DateFormat *format, char **problem)
{
	uint32		kinds = format->kinds;
	int			years = !!(kinds & ITEM_BIT(ITEM_YEAR)) + !!(kinds & ITEM_BIT(ITEM_YEAR_2));
	int			months = !!(kinds & ITEM_BIT(ITEM_MONTH)) +
		!!(kinds & ITEM_BIT(ITEM_MONTH_NAME)) + !!(kinds & ITEM_BIT(ITEM_MONTH_SHORT));
	bool		day_of_year = (kinds & ITEM_BIT(ITEM_DAY_OF_YEAR)) != 0;
	bool		day = (kinds & ITEM_BIT(ITEM_DAY)) != 0;
	bool		half_day = (kinds & ITEM_BIT(ITEM_HOUR_12)) != 0;

	if (kinds & (ITEM_BIT(ITEM_WEEK_ISO) | ITEM_BIT(ITEM_WEEK_YEAR) |
				 ITEM_BIT(ITEM_QUARTER) | ITEM_BIT(ITEM_ZONE_NAME) |
				 ITEM_BIT(ITEM_WEEKDAY) | ITEM_BIT(ITEM_WEEKDAY_ISO)))
		return format_problem(format, problem, "has D, ID, IW, IYYY, Q or TZ, which can be written but not read");
	if (years != 1)
		return format_problem(format, problem, "needs YYYY or YY, and only one of them");
	if (day_of_year ? day || months > 0 : !day || months != 1)
		return format_problem(format, problem, "needs a month (MM, Mon or Month) and DD, or DDD alone");
	if (half_day != ((kinds & ITEM_BIT(ITEM_MERIDIEM)) != 0))
		return format_problem(format, problem, "needs HH12 and AM together; for 24 hours write HH24");
	if (half_day && (kinds & ITEM_BIT(ITEM_HOUR_24)))
		return format_problem(format, problem, "has both HH12 and HH24");
	if ((kinds & TIME_ITEMS) && !half_day && !(kinds & ITEM_BIT(ITEM_HOUR_24)))
		return format_problem(format, problem, "has parts of a time but no hour");
	if ((kinds & ITEM_BIT(ITEM_SECOND)) && !(kinds & ITEM_BIT(ITEM_MINUTE)))
		return format_problem(format, problem, "has seconds but no minutes");
	if ((kinds & ITEM_BIT(ITEM_FRACTION)) && !(kinds & ITEM_BIT(ITEM_SECOND)))
		return format_problem(format, problem, "has parts of a second but no seconds");
	if ((kinds & ITEM_BIT(ITEM_OFFSET_MINUTE)) && !(kinds & ITEM_BIT(ITEM_OFFSET_HOUR)))
		return format_problem(format, problem, "has TZM but no TZH");
	if ((kinds & ITEM_BIT(ITEM_OFFSET)) && (kinds & ITEM_BIT(ITEM_OFFSET_HOUR)))
		return format_problem(format, problem, "has both OF and TZH");
	if ((kinds & ZONE_ITEMS) && !(kinds & TIME_ITEMS))
		return format_problem(format, problem, "has an offset but no time");
	return true;
}

DateFormat *
postrider_date_format_compile(const char *pattern, bool for_input, char **problem)
{
	DateFormat *format = palloc0(sizeof(DateFormat));
	int			length = strlen(pattern);

	format->pattern = pstrdup(pattern);
	for (int i = 0; i < (int) lengthof(styles); i++)
	{
		if (strcmp(pattern, styles[i].name) == 0)
		{
			format->style = styles[i].style;
			return format;
		}
	}
	if (length > MAX_FORMAT)
	{
		(void) postrider_refuse(problem, "the date format is longer than %d bytes",
								MAX_FORMAT);
		return NULL;
	}
	format->items = palloc0(sizeof(DateItem) * (length + 1));
	if (!read_pattern(format, problem) ||
		(for_input && !check_input(format, problem)))
		return NULL;
	if (format->kinds == 0)
	{
		(void) format_problem(format, problem, "has no pattern in it");
		return NULL;
	}
	return format;
}

bool
postrider_date_format_is_epoch(const DateFormat *format)
{
	return format->style == STYLE_EPOCH || format->style == STYLE_EPOCH_MS;
}
