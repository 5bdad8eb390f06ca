/*-------------------------------------------------------------------------
 *
 * date_internal.h
 *	  What the files about dates share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_DATE_INTERNAL_H
#define POSTRIDER_DATE_INTERNAL_H

#include "postgres.h"

#include "content/date.h"

typedef enum DateItemKind
{
	ITEM_LITERAL,
	ITEM_YEAR,					/* YYYY */
	ITEM_YEAR_2,				/* YY */
	ITEM_MONTH,
	ITEM_MONTH_NAME,
	ITEM_MONTH_SHORT,
	ITEM_DAY,
	ITEM_DAY_OF_YEAR,
	ITEM_WEEKDAY_NAME,
	ITEM_WEEKDAY_SHORT,
	ITEM_WEEKDAY_ISO,			/* ID: 1 is Monday */
	ITEM_WEEKDAY,				/* D: 1 is Sunday */
	ITEM_WEEK_ISO,
	ITEM_WEEK_YEAR,
	ITEM_QUARTER,
	ITEM_HOUR_24,
	ITEM_HOUR_12,
	ITEM_MINUTE,
	ITEM_SECOND,
	ITEM_FRACTION,				/* width digits */
	ITEM_MERIDIEM,
	ITEM_OFFSET,				/* OF: +01 or +05:30 */
	ITEM_OFFSET_HOUR,			/* TZH */
	ITEM_OFFSET_MINUTE,			/* TZM */
	ITEM_ZONE_NAME,				/* TZ */
	ITEM_KINDS
} DateItemKind;

typedef enum DateItemCase
{
	ITEM_CASE_UPPER,
	ITEM_CASE_TITLE,
	ITEM_CASE_LOWER
} DateItemCase;

typedef struct DateItem
{
	DateItemKind kind;
	DateItemCase letters;		/* of names */
	bool		unpadded;		/* FM */
	bool		dotted;			/* A.M. */
	int			width;			/* of digits */
	char		literal;		/* one byte */
} DateItem;

typedef enum DateStyleKind
{
	STYLE_PATTERN,
	STYLE_ISO,
	STYLE_DATE,
	STYLE_DATETIME,
	STYLE_EPOCH,
	STYLE_EPOCH_MS
} DateStyleKind;

struct DateFormat
{
	DateStyleKind style;
	char	   *pattern;		/* as it was written */
	DateItem   *items;
	int			count;
	uint32		kinds;			/* which there are, as bits */
};

#define ITEM_BIT(kind) (1u << (kind))
#define TIME_ITEMS \
	(ITEM_BIT(ITEM_HOUR_24) | ITEM_BIT(ITEM_HOUR_12) | ITEM_BIT(ITEM_MINUTE) | \
	 ITEM_BIT(ITEM_SECOND) | ITEM_BIT(ITEM_FRACTION) | ITEM_BIT(ITEM_MERIDIEM))
#define ZONE_ITEMS \
	(ITEM_BIT(ITEM_OFFSET) | ITEM_BIT(ITEM_OFFSET_HOUR) | \
	 ITEM_BIT(ITEM_OFFSET_MINUTE) | ITEM_BIT(ITEM_ZONE_NAME))

extern const char *const postrider_month_names[12];
extern const char *const postrider_weekday_names[7];	/* Sunday first */

extern int	postrider_days_in_month(int year, int month);

/* date_read.c: by a format that is not an epoch */
extern bool postrider_date_read(const char *string, int length,
								const DateFormat *format, DateFields *fields,
								char **problem);

/* date_write.c */
extern void postrider_date_write(const DateFields *fields,
								 const DateFormat *format,
								 const char *zone_name, StringInfo result);

#endif							/* POSTRIDER_DATE_INTERNAL_H */
