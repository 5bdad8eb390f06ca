/*-------------------------------------------------------------------------
 *
 * log_line.c
 *	  Lines for the server's log; see log_line.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "libpq/libpq-be.h"
#include "util/id.h"
#include "util/log_line.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

int			postrider_log_format = LOG_FORMAT_TEXT;
int			postrider_log_deliveries = LOG_DELIVERIES_OFF;

static char *log_database = NULL;
static int	log_shard = -1;

void
postrider_log_identify(const char *database, int shard)
{
	if (log_database)
		pfree(log_database);
	log_database = database ? MemoryContextStrdup(TopMemoryContext, database) : NULL;
	log_shard = shard;
}

static void
add_name(LogLine *line, const char *name)
{
	StringInfo	words = &line->words;

	if (postrider_log_format == LOG_FORMAT_JSON)
		appendStringInfo(words, "%s\"%s\":", words->len == 0 ? "{" : ",", name);
	else
		appendStringInfo(words, "%s%s=", words->len == 0 ? "" : " ", name);
}

/* Can it stand without quotes? */
static bool
is_word(const char *value)
{
	return value[0] != '\0' &&
		value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/+@-")] == '\0';
}

void
postrider_log_text(LogLine *line, const char *name, const char *value)
{
	if (value == NULL)
		return;
	add_name(line, name);
	if (postrider_log_format == LOG_FORMAT_TEXT && is_word(value))
		appendStringInfoString(&line->words, value);
	else
		escape_json(&line->words, value);
}

void
postrider_log_int(LogLine *line, const char *name, int64 value)
{
	add_name(line, name);
	appendStringInfo(&line->words, INT64_FORMAT, value);
}

void
postrider_log_number(LogLine *line, const char *name, double value)
{
	add_name(line, name);
	appendStringInfo(&line->words, "%.3f", isfinite(value) ? value : 0.0);
}

void
postrider_log_time(LogLine *line, const char *name, TimestampTz value)
{
	char		when[MAXDATELEN + 1];
	struct pg_tm tm;
	fsec_t		fraction;

	if (value == 0 || TIMESTAMP_NOT_FINITE(value) ||
		timestamp2tm(value, NULL, &tm, &fraction, NULL, NULL) != 0)
		return;
	snprintf(when, sizeof(when), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year, tm.tm_mon,
			 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fraction);
	postrider_log_text(line, name, when);
}

void
postrider_log_begin(LogLine *line, int level, const char *event)
{
	line->level = level;
	initStringInfo(&line->words);
	postrider_log_text(line, "event", event);
	postrider_log_text(line, "level", level == LOG ? "info" : "warning");
	if (log_database == NULL && MyProcPort != NULL)
		postrider_log_text(line, "database", MyProcPort->database_name);
	else
		postrider_log_text(line, "database", log_database);
	if (log_shard >= 0)
		postrider_log_int(line, "shard", log_shard);
}

void
postrider_log_message(LogLine *line, const char *format,...)
{
	StringInfoData message;
	int			needed;

	initStringInfo(&message);
	do
	{
		va_list		args;

		va_start(args, format);
		needed = appendStringInfoVA(&message, format, args);
		va_end(args);
		if (needed > 0)
			enlargeStringInfo(&message, needed);
	} while (needed > 0);
	postrider_log_text(line, "message", message.data);
	pfree(message.data);
}

void
postrider_log_end(LogLine *line)
{
	if (postrider_log_format == LOG_FORMAT_JSON)
		appendStringInfoChar(&line->words, '}');
	ereport(line->level,
			(errmsg_internal("%s", line->words.data), errhidestmt(true), errhidecontext(true)));
	pfree(line->words.data);
}

void
postrider_log_endpoint_problem(const char *endpoint, const char *column,
							   const char *problem, const char *consequence)
{
	LogLine		line;

	postrider_log_begin(&line, WARNING, "endpoint_misconfigured");
	postrider_log_text(&line, "endpoint", endpoint);
	postrider_log_text(&line, "column", column);
	postrider_log_text(&line, "error", problem);
	postrider_log_text(&line, "message", consequence);
	postrider_log_end(&line);
}

char *
postrider_uuid_text(const pg_uuid_t *id)
{
	char	   *result = palloc(ID_TEXT_SIZE);

	postrider_id_text(id, result);
	return result;
}
