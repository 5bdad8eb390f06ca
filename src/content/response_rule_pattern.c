/*-------------------------------------------------------------------------
 *
 * response_rule_pattern.c
 *	  Regular expressions on responses.
 *
 * PostgreSQL's own, in the C collation: that needs no catalog, so it works outside
 * of a transaction.  They only compute (filter.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "content/filter.h"
#include "content/response_rule_internal.h"
#include "mb/pg_wchar.h"
#include "regex/regex.h"
#include "utils/builtins.h"

/* The match is told in characters. */
static char *
cut_out(const char *string, int length, const regmatch_t *match)
{
	int			from = pg_mbcharcliplen(string, length, (int) match->rm_so);
	int			to = pg_mbcharcliplen(string, length, (int) match->rm_eo);

	return pnstrdup(string + from, to - from);
}

static bool
find(text *pattern, const char *string, char **group)
{
	int			length = (int) strlen(string);
	regmatch_t	matches[2];

	if (!RE_compile_and_execute(pattern, unconstify(char *, string), length, REG_ADVANCED,
								C_COLLATION_OID, group ? 2 : 0, group ? matches : NULL))
		return false;
	if (group)
		*group = cut_out(string, length, &matches[matches[1].rm_so >= 0 ? 1 : 0]);
	return true;
}

bool
postrider_rule_pattern_find(text *pattern, const char *string, char **group)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool result = false;

	PG_TRY();
	{
		result = find(pattern, string, group);
	}
	PG_CATCH();
	{
		if (!postrider_is_error_of_data(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return result;
}

text *
postrider_rule_pattern_compile(const char *string, char **problem)
{
	MemoryContext context = CurrentMemoryContext;
	text	   *volatile pattern = cstring_to_text(string);

	PG_TRY();
	{
		(void) find(pattern, "", NULL);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (!postrider_is_error_of_data(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		*problem = psprintf("is no regular expression: %s", error->message);
		pattern = NULL;
	}
	PG_END_TRY();
	return pattern;
}
