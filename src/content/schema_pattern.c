/*-------------------------------------------------------------------------
 *
 * schema_pattern.c
 *	  ECMAScript regular expressions on the server's regular expression engine.
 *
 * A pattern is parsed into a tree (schema_pattern_parse.c), which is matched in
 * one of three ways:
 *
 * - as a walk over the value, if it is simple enough (schema_pattern_simple.c);
 * - with back references, by trying and going back, in a bounded number of
 *	 steps (schema_pattern_backtrack.c): the engine has back references too, but
 *	 not ECMAScript's, not inside a look around, and with no bound on the time;
 * - else by the server's engine (schema_pattern_emit.c), an automaton that
 *	 takes time linear in the value, but for looks ahead from every place.
 *
 * All memory of a pattern is in a context of its own below the one that was
 * current; what the engine of 15 has from malloc goes with that context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_collation.h"
#include "content/schema_pattern.h"
#include "content/schema_pattern_internal.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "regex/regexport.h"
#include "util/compat.h"
#include "util/utf8.h"
#include "utils/memutils.h"

/* Characters of a value that are converted on the stack. */
#define PATTERN_STACK_CHARS 256

/* What a match may cost: PatternCost multiplied out, in hundreds. */
#define PATTERN_WORK_MAX 1e9

/* Bound on the states times the colors of an automaton: 16 bytes for each. */
#define PATTERN_AUTOMATON_MAX 2000000

struct SchemaPattern
{
	MemoryContext context;
	SimplePattern *simple;		/* one of these two, or the engine's */
	BacktrackPattern *backtrack;
	PatternCost cost;
	bool		has_regex;
	regex_t		regex;
	MemoryContextCallback callback;
};

#ifdef POSTRIDER_REGEX_IS_MALLOCED
/* From 16 on the engine allocates in the memory context itself. */
static void
free_regex(void *arg)
{
	SchemaPattern *pattern = arg;

	if (pattern->has_regex)
		pg_regfree(&pattern->regex);
	pattern->has_regex = false;
}
#endif

static bool
compile_for_engine(SchemaPattern *pattern, const PatternTree *tree,
				   MemoryContext scratch, char **problem)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	pg_wchar   *source;
	int			len;
	int			result;
	char		message[100];

	source = postrider_pattern_emit(tree, &len, &pattern->cost, problem);
	MemoryContextSwitchTo(old);
	if (source == NULL)
		return false;

	/* The C collation: no locale has a say in anything. */
	result = pg_regcomp(&pattern->regex, source, len, REG_ADVANCED | REG_NOSUB,
						C_COLLATION_OID);
	if (result != REG_OKAY)
	{
		CHECK_FOR_INTERRUPTS();
		pg_regerror(result, &pattern->regex, message, sizeof(message));
		*problem = result == REG_ETOOBIG
			? pstrdup("the pattern is too large")
			: psprintf("the pattern cannot be compiled: %s", message);
		return false;
	}
	pattern->has_regex = true;
#ifdef POSTRIDER_REGEX_IS_MALLOCED
	pattern->callback.func = free_regex;
	pattern->callback.arg = pattern;
	MemoryContextRegisterResetCallback(pattern->context, &pattern->callback);
#endif
	if ((double) pg_reg_getnumstates(&pattern->regex) *
		pg_reg_getnumcolors(&pattern->regex) > PATTERN_AUTOMATON_MAX)
	{
		*problem = pstrdup("the pattern is too large");
		return false;
	}
	return true;
}

SchemaPattern *
postrider_schema_pattern_compile(const char *source, int len, char **problem)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	MemoryContext scratch;
	SchemaPattern *pattern;
	PatternTree tree;
	char	   *trouble = NULL;
	bool		good;

	context = AllocSetContextCreate(caller, "postrider pattern", ALLOCSET_SMALL_SIZES);
	scratch = AllocSetContextCreate(caller, "postrider pattern tree",
									ALLOCSET_DEFAULT_SIZES);
	pattern = MemoryContextAllocZero(context, sizeof(SchemaPattern));
	pattern->context = context;

	MemoryContextSwitchTo(scratch);
	good = postrider_pattern_parse(source, len, &tree, &trouble);
	MemoryContextSwitchTo(context);
	if (good && tree.has_back_reference)
	{
		pattern->backtrack = postrider_pattern_backtrack(&tree, &trouble);
		good = pattern->backtrack != NULL;
	}
	else if (good)
	{
		pattern->simple = postrider_pattern_simple(&tree);
		if (pattern->simple == NULL)
			good = compile_for_engine(pattern, &tree, scratch, &trouble);
	}
	MemoryContextSwitchTo(caller);
	if (!good)
	{
		*problem = pstrdup(trouble);
		MemoryContextDelete(context);
		pattern = NULL;
	}
	MemoryContextDelete(scratch);
	return pattern;
}

static bool
engine_matches(SchemaPattern *pattern, const pg_wchar *value, int len)
{
	int			result;
	char		message[100];

	if (pow(len, pattern->cost.exponent) * Max(pattern->cost.size / 100, 1) > PATTERN_WORK_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the pattern cannot be matched against a value of %d characters", len),
				 errdetail("It would take too long."),
				 errhint("Limit the length of the value, or begin the pattern with ^.")));

	result = pg_regexec(&pattern->regex, value, len, 0, NULL, 0, NULL, 0);
	if (result == REG_OKAY)
		return true;
	if (result == REG_NOMATCH)
		return false;
	CHECK_FOR_INTERRUPTS();
	pg_regerror(result, &pattern->regex, message, sizeof(message));
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the pattern cannot be matched: %s", message)));
}

bool
postrider_schema_pattern_matches(SchemaPattern *pattern, const char *value, int len)
{
	pg_wchar	buffer[PATTERN_STACK_CHARS];
	pg_wchar   *chars = buffer;
	const char *at = value;
	const char *end = value + len;
	int			count = 0;
	bool		result;

	if (pattern->simple != NULL)
		return postrider_pattern_simple_matches(pattern->simple, value, len);

	if (len > PATTERN_STACK_CHARS)
		chars = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(pg_wchar) * (Size) len);
	while (at < end)
		chars[count++] = postrider_utf8_next(&at, end);
	if (pattern->backtrack != NULL)
		result = postrider_pattern_backtrack_matches(pattern->backtrack, chars, count);
	else
		result = engine_matches(pattern, chars, count);
	if (chars != buffer)
		pfree(chars);
	return result;
}

bool
postrider_schema_pattern_is_valid(const char *source, int len)
{
	MemoryContext scratch;
	MemoryContext old;
	PatternTree tree;
	char	   *problem;
	bool		result;

	scratch = AllocSetContextCreate(CurrentMemoryContext, "postrider pattern tree",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	result = postrider_pattern_parse(source, len, &tree, &problem);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return result;
}
