/*-------------------------------------------------------------------------
 *
 * response_rule_internal.h
 *	  Compiled response rules.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RESPONSE_RULE_INTERNAL_H
#define POSTRIDER_RESPONSE_RULE_INTERNAL_H

#include "postgres.h"

#include "content/response_rule.h"
#include "utils/jsonpath.h"

/* Statuses from ... to. */
typedef struct StatusRange
{
	int			from;
	int			to;
} StatusRange;

/* Where a text is found: in a header or the body, by a path and a pattern. */
typedef struct RuleSource
{
	char	   *header;			/* or NULL: the body */
	JsonPath   *path;			/* or NULL */
	text	   *pattern;		/* or NULL */
	char	   *value;			/* instead of all that: a constant, or NULL */
	WaitUnit	unit;
} RuleSource;

typedef struct ResponseRule
{
	int			status_count;	/* 0: any */
	StatusRange *statuses;
	char	   *header;			/* or NULL */
	char	   *header_value;	/* or NULL */
	text	   *header_pattern; /* or NULL */
	JsonPath   *path;			/* or NULL */
	text	   *pattern;		/* or NULL */
	bool		has_json;
	bool		json;
	RuleAction	action;
	RuleSource *wait;			/* or NULL */
	RuleSource *reason;			/* or NULL */
} ResponseRule;

struct ResponseRules
{
	int			count;
	ResponseRule rule[FLEXIBLE_ARRAY_MEMBER];
};

/*
 * Finds the pattern, or with "group" what its first group (or if it has none, all
 * of it) matches: palloc'd, or NULL.  False if it is not found.
 */
extern bool postrider_rule_pattern_find(text *pattern, const char *string, char **group);

/* NULL, with the problem, if it is no regular expression. */
extern text *postrider_rule_pattern_compile(const char *string, char **problem);

#endif							/* POSTRIDER_RESPONSE_RULE_INTERNAL_H */
