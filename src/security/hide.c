/*-------------------------------------------------------------------------
 *
 * hide.c
 *	  Keeps statements that have a secret in them out of the server's log and
 *	  of pg_stat_activity.
 *
 * A statement is secret if its text has the name of one of our functions that are
 * given a secret in it, or if such a function has been called in it, by whatever name.
 * The first is known before anything is logged of it.
 *
 * - The log: a hook sees each entry before it is written, and overwrites, in place, what
 *   is there of the statement: by log_statement, log_min_duration_statement,
 *   auto_explain, debug_print_*, as STATEMENT, CONTEXT or DETAIL of an error, with
 *   parameters or without.  What an error quotes may be from the statement too.
 * - pg_stat_activity: overwritten when the statement has been parsed, again when the
 *   function begins, and when the statement fails.  While it is being parsed, and with
 *   the protocol of prepared statements for moments before it runs, it can be seen.
 * - pg_stat_statements: the statement has no id any more, and so is not taken in.
 *   What it takes in before we see it has no constants in it.
 *
 * Nothing here allocates memory or raises an error: it runs while errors are reported.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "parser/analyze.h"
#include "security/hide.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"

/* What stands in place of what is hidden. */
#define HIDDEN "<hidden: postrider.set_secret()>"

/* Shorter literals are not looked for in messages. */
#define LITERAL_MIN_BYTES 4

/* In the texts of statements, in lower case; "set_secret_source" is one too. */
static const char *const functions[] = {"set_secret"};

static emit_log_hook_type previous_log_hook = NULL;
static post_parse_analyze_hook_type previous_analyze_hook = NULL;

/* The statement in which a function of ours was called last. */
static const char *called_in = NULL;
static TimestampTz called_at = 0;

/* The text may be as large as a statement can be. */
static bool
contains(const char *string, const char *wanted)
{
	Size		length = strlen(wanted);

	for (; *string; string++)
		if ((*string | 0x20) == *wanted && pg_strncasecmp(string, wanted, length) == 0)
			return true;
	return false;
}

static bool
has_function(const char *string)
{
	if (string == NULL)
		return false;
	for (int i = 0; i < (int) lengthof(functions); i++)
		if (contains(string, functions[i]))
			return true;
	return false;
}

/* Is the statement that the server runs right now a secret one? */
static bool
is_secret_statement(void)
{
	if (debug_query_string == NULL)
		return false;
	if (called_in == debug_query_string && called_at == GetCurrentStatementStartTimestamp())
		return true;
	return has_function(debug_query_string);
}

static void
hide_activity(void)
{
	if (MyProcPort != NULL)
		pgstat_report_activity(STATE_RUNNING, HIDDEN);
}

void
postrider_hide_statement(void)
{
	called_in = debug_query_string;
	called_at = GetCurrentStatementStartTimestamp();
	hide_activity();
}

/* In place: as much of HIDDEN as there is room for. */
static void
overwrite(char *string)
{
	Size		size;

	if (string == NULL)
		return;
	size = strlen(string) + 1;
	explicit_bzero(string, size);
	strlcpy(string, HIDDEN, size);
}

/* Leaves the time that stands at the beginning of some messages. */
static void
overwrite_message(char *message)
{
	char	   *end;

	if (message == NULL)
		return;
	end = strncmp(message, "duration: ", 10) == 0 ? strstr(message, " ms ") : NULL;
	overwrite(end ? end + 4 : message);
}

static void
mask(char *string, Size length)
{
	memset(string, '*', length);
}

/* What stands in double quotes may be from the statement. */
static void
mask_quoted(char *string)
{
	char	   *begin;

	while ((begin = strchr(string, '"')) != NULL)
	{
		char	   *end = strchr(begin + 1, '"');

		if (end == NULL)
			end = begin + strlen(begin);
		mask(begin + 1, end - begin - 1);
		string = *end ? end + 1 : end;
	}
}

static void
mask_all(char *string, const char *literal, Size length)
{
	for (Size left = strlen(string); left >= length; string++, left--)
		if (memcmp(string, literal, length) == 0)
			mask(string, length);
}

/* Literals of the statement, wherever they are; one with a quote in it counts as two. */
static void
mask_literals(char *string)
{
	const char *quote = debug_query_string;

	while (quote != NULL && (quote = strchr(quote, '\'')) != NULL)
	{
		const char *end = strchr(++quote, '\'');

		if (end == NULL)
			return;
		if (end - quote >= LITERAL_MIN_BYTES)
			mask_all(string, quote, end - quote);
		quote = end + 1;
	}
}

static void
mask_text(char *string)
{
	if (string == NULL)
		return;
	mask_quoted(string);
	mask_literals(string);
}

/* Is it an entry that says what is run, or how, not what has happened? */
static bool
describes_statement(const ErrorData *error)
{
	const char *message = error->message ? error->message : "";

	return error->elevel < INFO &&
		(strncmp(message, "duration: ", 10) == 0 || strncmp(message, "statement: ", 11) == 0 ||
		 strncmp(message, "execute ", 8) == 0 || strncmp(message, "parse ", 6) == 0 ||
		 strncmp(message, "bind ", 5) == 0 || strchr(message, '\n') != NULL);
}

static void
hide_entry(ErrorData *error)
{
	bool		is_ours = error->hide_stmt && error->hide_ctx;

	error->hide_stmt = true;
	error->hide_ctx = true;
	overwrite(error->context);
	overwrite(error->internalquery);
	overwrite(error->detail_log);
	if (describes_statement(error) || has_function(error->message))
		overwrite_message(error->elevel >= ERROR ? NULL : error->message);
	if (error->elevel < INFO)
		overwrite(error->detail);
	if (is_ours)
		return;
	mask_text(error->message);
	mask_text(error->detail);
	if (error->elevel >= ERROR)
		hide_activity();
}

static void
log_hook(ErrorData *error)
{
	if (is_secret_statement() || has_function(error->message) ||
		has_function(error->detail) || has_function(error->detail_log) ||
		has_function(error->context) || has_function(error->internalquery))
		hide_entry(error);
	if (previous_log_hook)
		previous_log_hook(error);
}

static void
analyze_hook(ParseState *state, Query *query, JumbleState *jumble)
{
	if (previous_analyze_hook)
		previous_analyze_hook(state, query, jumble);
	if (creating_extension || !has_function(state->p_sourcetext))
		return;
	query->queryId = UINT64CONST(0);
	hide_activity();
}

/* A statement that fails before it runs has its text left behind. */
static void
transaction_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT && is_secret_statement())
		hide_activity();
}

void
postrider_hide_install(void)
{
	previous_log_hook = emit_log_hook;
	emit_log_hook = log_hook;
	previous_analyze_hook = post_parse_analyze_hook;
	post_parse_analyze_hook = analyze_hook;
	RegisterXactCallback(transaction_callback, NULL);
}
