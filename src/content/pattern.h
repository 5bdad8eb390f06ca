/*-------------------------------------------------------------------------
 *
 * pattern.h
 *	  Regular expressions of the server, bounded.
 *
 * See pattern.c for what is bounded and why.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_PATTERN_H
#define POSTRIDER_PATTERN_H

#include "postgres.h"

#include "lib/stringinfo.h"

typedef struct Pattern Pattern;

/* Where a group matched, in bytes of the text; start -1 if it did not. */
typedef struct PatternGroup
{
	int			start;
	int			end;
} PatternGroup;

/*
 * Compiles it in the current memory context.  uses_groups says whether the
 * caller wants more than whole matches, which costs more.  Returns NULL and
 * sets *problem if the pattern is wrong or not allowed.
 */
extern Pattern *postrider_pattern_compile(const char *pattern, int length,
										  bool ignore_case, bool uses_groups,
										  char **problem);

/* How many groups in parentheses it has. */
extern int	postrider_pattern_group_count(const Pattern *pattern);

/*
 * Does it match anywhere?  Returns false with *problem if that would take too
 * long to find out.
 */
extern bool postrider_pattern_matches(const Pattern *pattern, const char *string,
									  int length, bool *matches, char **problem);

/* The group (0 is all) of the first match. */
extern bool postrider_pattern_find(const Pattern *pattern, const char *string,
								   int length, int group, PatternGroup *found,
								   char **problem);

/*
 * A replacement: text in which \1 to \9 stand for groups, \& for the match and
 * \\ for a backslash.  Returns the highest group or -1 with *problem.
 */
extern int	postrider_replacement_check(const char *replacement, char **problem);

extern bool postrider_pattern_replace(const Pattern *pattern, const char *string,
									  int length, const char *replacement,
									  bool all, StringInfo result,
									  char **problem);

#endif							/* POSTRIDER_PATTERN_H */
