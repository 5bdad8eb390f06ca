/*-------------------------------------------------------------------------
 *
 * pattern.c
 *	  Regular expressions of the server, bounded.
 *
 * A pattern and the text that it meets may both come from people who mean
 * harm or do not know better, and whoever evaluates them, the worker among
 * others, has nobody that would cancel a query.  So what one value may cost
 * has a limit:
 *
 * - A pattern has at most MAX_PATTERN characters, and the server's own limit
 *   on what compiling may take applies.
 * - Back-references are refused.  They alone make matching exponential.
 * - A match without groups takes time in proportion to the states of the
 *   automaton and the characters of the text; with groups or lookaround, to
 *   the square of the characters.  The product is limited: MAX_WORK and
 *   MAX_SQUARE_WORK.
 * - Replacing makes many matches; it ends after MAX_TIME_MS.  This is the one
 *   limit that depends on the machine, and only patterns made for it reach it.
 *
 * The rules of characters (what \w is, what differs in case only) are those of
 * the database's default collation.
 *
 * Before version 16 a compiled expression is malloc'ed; it is freed with the
 * memory context that was current when it was compiled.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "content/conversion_internal.h"
#include "content/pattern.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "regex/regexport.h"
#include "util/compat.h"
#include "utils/timestamp.h"

#define MAX_PATTERN 1000
#define MAX_WORK (INT64CONST(2000) * 1000 * 1000)
#define MAX_SQUARE_WORK (INT64CONST(2000) * 1000 * 1000)
#define MAX_TIME_MS 2000
#define MAX_GROUPS 10			/* \0 to \9 */

struct Pattern
{
	regex_t		regex;
	int			states;
	bool		square;			/* time in proportion to the square */
	int			groups;			/* that are asked for, all included */
	MemoryContextCallback callback;
};

/* A text while it is searched. */
typedef struct Subject
{
	pg_wchar   *characters;
	int			length;			/* in characters */
	int			position;		/* where to search on */
	TimestampTz deadline;
} Subject;

#ifdef POSTRIDER_REGEX_IS_MALLOCED
static void
free_regex(void *pattern)
{
	pg_regfree(&((Pattern *) pattern)->regex);
}
#endif

static pg_wchar *
to_characters(const char *string, int length, int *count)
{
	pg_wchar   *characters = palloc_extended(sizeof(pg_wchar) * ((Size) length + 1),
											 MCXT_ALLOC_HUGE);

	*count = pg_mb2wchar_with_len(string, characters, length);
	return characters;
}

static bool
regex_problem(int status, const regex_t *regex, char **problem)
{
	char		message[100];

	CHECK_FOR_INTERRUPTS();		/* it may have ended for one */
	pg_regerror(status, regex, message, sizeof(message));
	return postrider_refuse(problem, "invalid regular expression: %s", message);
}

Pattern *
postrider_pattern_compile(const char *string, int length, bool ignore_case,
						  bool uses_groups, char **problem)
{
	Pattern    *pattern = palloc0(sizeof(Pattern));
	int			count;
	pg_wchar   *characters;
	int			status;

	if (length > MAX_PATTERN)
	{
		(void) postrider_refuse(problem, "the pattern is longer than %d bytes",
								MAX_PATTERN);
		return NULL;
	}
	characters = to_characters(string, length, &count);
	status = pg_regcomp(&pattern->regex, characters, count,
						REG_ADVANCED | (ignore_case ? REG_ICASE : 0) |
						(uses_groups ? 0 : REG_NOSUB),
						DEFAULT_COLLATION_OID);
	if (status != REG_OKAY)
	{
		(void) regex_problem(status, &pattern->regex, problem);
		return NULL;
	}
#ifdef POSTRIDER_REGEX_IS_MALLOCED
	pattern->callback.func = free_regex;
	pattern->callback.arg = pattern;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &pattern->callback);
#endif
	if (pattern->regex.re_info & REG_UBACKREF)
	{
		(void) postrider_refuse(problem, "the pattern has a back-reference, and these are not allowed because they can take for ever");
		return NULL;
	}
	pattern->states = pg_reg_getnumstates(&pattern->regex);
	pattern->groups = uses_groups ? MAX_GROUPS : 1;
	pattern->square = uses_groups ||
		(pattern->regex.re_info & REG_ULOOKAROUND) != 0;
	return pattern;
}

int
postrider_pattern_group_count(const Pattern *pattern)
{
	return pattern->regex.re_nsub;
}

static bool
begin(const Pattern *pattern, const char *string, int length, Subject *subject,
	  char **problem)
{
	int64		work = (int64) pattern->states * length;

	/* Bytes are counted, not characters: it is the same for everybody. */
	if (work > MAX_WORK ||
		(pattern->square && work * length > MAX_SQUARE_WORK))
	{
		(void) postrider_refuse(problem, "the text is too long for this regular expression (%d bytes, and a pattern of %d states%s)",
								length, pattern->states,
								pattern->square ? " with groups or lookaround" : "");
		return false;
	}
	subject->characters = to_characters(string, length, &subject->length);
	subject->position = 0;
	subject->deadline = 0;
	return true;
}

/* Searches on; *found false means that there is no more. */
static bool
next(const Pattern *pattern, Subject *subject, regmatch_t *groups, bool *found,
	 char **problem)
{
	int			status;

	status = pg_regexec(unconstify(regex_t *, &pattern->regex),
						subject->characters, subject->length, subject->position,
						NULL, pattern->groups, groups, 0);
	*found = status == REG_OKAY;
	if (status == REG_OKAY || status == REG_NOMATCH)
		return true;
	return regex_problem(status, &pattern->regex, problem);
}

static bool
in_time(Subject *subject, char **problem)
{
	TimestampTz now = GetCurrentTimestamp();

	if (subject->deadline == 0)
		subject->deadline = now + MAX_TIME_MS * INT64CONST(1000);
	else if (now > subject->deadline)
		return postrider_refuse(problem, "the regular expression takes longer than %d ms on this text",
								MAX_TIME_MS);
	CHECK_FOR_INTERRUPTS();
	return true;
}

bool
postrider_pattern_matches(const Pattern *pattern, const char *string, int length,
						  bool *matches, char **problem)
{
	Subject		subject;
	regmatch_t	groups[MAX_GROUPS];
	bool		good;

	if (!begin(pattern, string, length, &subject, problem))
		return false;
	good = next(pattern, &subject, groups, matches, problem);
	pfree(subject.characters);
	return good;
}

/* Appends characters as text of the database's encoding. */
static bool
append_characters(StringInfo result, const pg_wchar *characters, int count,
				  char **problem)
{
	/* In pieces, for what a piece may need in bytes is four times its size. */
	while (count > 0)
	{
		int			piece = Min(count, 0x10000);

		if (!postrider_room_for(result, piece, problem))
			return false;
		enlargeStringInfo(result, piece * pg_database_encoding_max_length() + 1);
		result->len += pg_wchar2mb_with_len(characters,
											result->data + result->len, piece);
		characters += piece;
		count -= piece;
	}
	return true;
}

bool
postrider_pattern_find(const Pattern *pattern, const char *string, int length,
					   int group, PatternGroup *found, char **problem)
{
	Subject		subject;
	regmatch_t	groups[MAX_GROUPS];
	StringInfoData before;
	bool		any;

	found->start = found->end = -1;
	if (!begin(pattern, string, length, &subject, problem) ||
		!next(pattern, &subject, groups, &any, problem))
		return false;
	if (any && groups[group].rm_so >= 0)
	{
		/* What lies before it has the same length in bytes in string. */
		initStringInfo(&before);
		if (!append_characters(&before, subject.characters,
							   groups[group].rm_so, problem))
			return false;
		found->start = before.len;
		if (!append_characters(&before, subject.characters + groups[group].rm_so,
							   groups[group].rm_eo - groups[group].rm_so, problem))
			return false;
		found->end = before.len;
		pfree(before.data);
	}
	pfree(subject.characters);
	return true;
}

int
postrider_replacement_check(const char *replacement, char **problem)
{
	int			highest = 0;

	for (const char *c = replacement; *c != '\0'; c++)
	{
		if (*c != '\\')
			continue;
		c++;
		if (*c >= '1' && *c <= '9')
			highest = Max(highest, *c - '0');
		else if (*c != '&' && *c != '\\')
		{
			(void) postrider_refuse(problem, "a backslash in the replacement is followed by neither 1 to 9, & nor \\");
			return -1;
		}
	}
	return highest;
}

static bool
append_replacement(StringInfo result, const char *replacement,
				   const Subject *subject, const regmatch_t *groups,
				   char **problem)
{
	for (const char *c = replacement; *c != '\0'; c++)
	{
		int			group;

		if (*c != '\\' || c[1] == '\\')
		{
			if (!postrider_room_for(result, 1, problem))
				return false;
			appendStringInfoCharMacro(result, *c);
			c += *c == '\\';
			continue;
		}
		c++;
		group = *c == '&' ? 0 : *c - '0';
		if (groups[group].rm_so >= 0 &&
			!append_characters(result, subject->characters + groups[group].rm_so,
							   groups[group].rm_eo - groups[group].rm_so, problem))
			return false;
	}
	return true;
}

bool
postrider_pattern_replace(const Pattern *pattern, const char *string, int length,
						  const char *replacement, bool all, StringInfo result,
						  char **problem)
{
	Subject		subject;
	int			copied = 0;

	if (!begin(pattern, string, length, &subject, problem))
		return false;
	while (subject.position <= subject.length)
	{
		regmatch_t	groups[MAX_GROUPS];
		bool		found;

		if (!in_time(&subject, problem) ||
			!next(pattern, &subject, groups, &found, problem))
			return false;
		if (!found)
			break;
		if (!append_characters(result, subject.characters + copied,
							   groups[0].rm_so - copied, problem) ||
			!append_replacement(result, replacement, &subject, groups, problem))
			return false;
		copied = groups[0].rm_eo;

		/* An empty match must not be found again. */
		subject.position = groups[0].rm_eo + (groups[0].rm_so == groups[0].rm_eo);
		if (!all)
			break;
	}
	if (!append_characters(result, subject.characters + copied,
						   subject.length - copied, problem))
		return false;
	pfree(subject.characters);
	return true;
}
