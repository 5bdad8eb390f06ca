/*-------------------------------------------------------------------------
 *
 * log_line.h
 *	  Lines for the server's log: one for each event, as key=value or JSON
 *	  (setting postrider.log_format).
 *
 *	LogLine		line;
 *
 *	postrider_log_begin(&line, LOG, "worker_started");
 *	postrider_log_int(&line, "messages", 5);
 *	postrider_log_end(&line);
 *
 * Each line has the members event, level, and in a worker database and shard.
 * Whatever a value contains, it cannot end the line nor make up a member:
 * what is not a plain word is a JSON string.  No line has secrets or payloads: a
 * value is a name, a number, or an error that people who may not see payloads
 * may see.  doc/logs.md lists the events.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_LOG_LINE_H
#define POSTRIDER_LOG_LINE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "utils/uuid.h"

typedef enum LogFormat
{
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON
} LogFormat;

typedef enum LogDeliveries
{
	LOG_DELIVERIES_OFF,
	LOG_DELIVERIES_FAILURES,
	LOG_DELIVERIES_ALL
} LogDeliveries;

/* Settings: postrider.log_format and postrider.log_deliveries. */
extern int	postrider_log_format;
extern int	postrider_log_deliveries;

typedef struct LogLine
{
	int			level;
	StringInfoData words;
} LogLine;

/* For the lines of this process from now on; the name is copied. */
extern void postrider_log_identify(const char *database, int shard);

/* level: LOG or WARNING; event: a literal, in lower case with underscores. */
extern void postrider_log_begin(LogLine *line, int level, const char *event);

/* Values; names are literals.  NULL and 0, as no text and no time, are left out. */
extern void postrider_log_text(LogLine *line, const char *name, const char *value);
extern void postrider_log_int(LogLine *line, const char *name, int64 value);
extern void postrider_log_number(LogLine *line, const char *name, double value);
extern void postrider_log_time(LogLine *line, const char *name, TimestampTz value);

/* What the line is about, in a sentence for people: the member "message". */
extern void postrider_log_message(LogLine *line, const char *format,...) pg_attribute_printf(2, 3);

/* Writes the line, and frees it. */
extern void postrider_log_end(LogLine *line);

/* A column of an endpoint's row cannot be used; possible only if a trigger was disabled. */
extern void postrider_log_endpoint_problem(const char *endpoint, const char *column,
										   const char *problem, const char *consequence);

/* A UUID as text, in the current memory context. */
extern char *postrider_uuid_text(const pg_uuid_t *id);

#endif							/* POSTRIDER_LOG_LINE_H */
