/*-------------------------------------------------------------------------
 *
 * date.h
 *	  Dates and times from one form to another, strictly.
 *
 * Nothing here looks at a setting of the session: names of months are English,
 * the order of day and month is what the format says, and a time without a
 * zone is in the zone that the caller gives.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_DATE_H
#define POSTRIDER_DATE_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "pgtime.h"

typedef struct DateFormat DateFormat;

/* A zone of the time zone database, or a fixed offset. */
typedef struct DateZone
{
	pg_tz	   *zone;			/* NULL: fixed */
	int			offset;			/* seconds east of UTC */
} DateZone;

/* A calendar date and time of day, as written. */
typedef struct DateFields
{
	int			year;			/* 1 to 9999 */
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
	int			microsecond;
	bool		has_time;
	bool		has_offset;
	int			offset;			/* seconds east of UTC */
} DateFields;

/*
 * Compiles a format: "iso", "date", "datetime", "epoch", "epoch_ms" or the
 * patterns of to_char.  Allocates in the current context.  NULL with *problem
 * if the format is wrong, or cannot be read (for_input).
 */
extern DateFormat *postrider_date_format_compile(const char *format,
												 bool for_input, char **problem);

/* Is what is written in the format a number? */
extern bool postrider_date_format_is_epoch(const DateFormat *format);

/* "Europe/Paris", "UTC", "Z", "+05:30" */
extern bool postrider_date_zone_find(const char *name, DateZone *zone,
									 char **problem);

/*
 * Reads string by one format and appends it to result in another.  A time
 * without a zone of its own is in zone; what is written is in to_zone.
 */
extern bool postrider_date_convert(const char *string, int length,
								   const DateFormat *from, const DateFormat *to,
								   const DateZone *zone, const DateZone *to_zone,
								   StringInfo result, char **problem);

/* Only reads it. */
extern bool postrider_date_is_valid(const char *string, int length,
									const DateFormat *format, char **problem);

#endif							/* POSTRIDER_DATE_H */
