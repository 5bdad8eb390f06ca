/*-------------------------------------------------------------------------
 *
 * response_rule_internal.h
 *	  Compiled response rules: made by response_rule_compile.c, used by
 *	  response_rule.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RESPONSE_RULE_INTERNAL_H
#define POSTRIDER_RESPONSE_RULE_INTERNAL_H

#include "postgres.h"

#include "content/mapping_internal.h"
#include "content/pattern.h"
#include "content/response_rule.h"
#include "content/wait_time.h"

#define RESPONSE_RULES_MAX		50
#define RESPONSE_STATUSES_MAX	20

typedef struct StatusRange
{
	int			from;
	int			to;
} StatusRange;

/* Where the wait is found; NULL for what is not part of it. */
typedef struct WaitSource
{
	bool		is_given;
	char	   *header;			/* name in lower case: look there, not in the body */
	SourcePath *path;			/* in the JSON of that */
	Pattern    *pattern;		/* in the text of that: its first group, or all */
	double		value;			/* a constant; -1: none */
	bool		utc_midnight;	/* until the next one */
	WaitUnit	unit;
} WaitSource;

/* All conditions of a rule must hold; NULL or 0 for those that it has not. */
typedef struct ResponseRule
{
	int			status_count;
	StatusRange statuses[RESPONSE_STATUSES_MAX];
	char	   *header;			/* name in lower case */
	char	   *header_value;	/* NULL: any */
	Pattern    *header_pattern;
	SourcePath *path;			/* on the body */
	Pattern    *pattern;		/* on the body */
	ResponseAction action;
	WaitSource	wait;
} ResponseRule;

struct ResponseRules
{
	int			count;
	ResponseRule rules[FLEXIBLE_ARRAY_MEMBER];
};

/* response_rule_compile.c */

/* Where problems are gathered. */
typedef struct RuleCompilation
{
	List	  **problems;
	int			rule;			/* which is compiled, from 0 on */
} RuleCompilation;

/* Notes a problem at a position below the rule, such as ".wait.unit". */
extern void postrider_response_rule_problem(RuleCompilation *compilation,
											const char *position, const char *problem);

/* The strings of the rules: NULL, with a problem noted, if it is none. */
extern char *postrider_response_rule_string(RuleCompilation *compilation,
											const JsonbValue *value,
											const char *position);
extern char *postrider_response_rule_header(RuleCompilation *compilation,
											const JsonbValue *value,
											const char *position);
extern SourcePath *postrider_response_rule_path(RuleCompilation *compilation,
												const JsonbValue *value,
												const char *position);
extern Pattern *postrider_response_rule_pattern(RuleCompilation *compilation,
												const JsonbValue *value,
												bool uses_groups, const char *position);

/* The member of an object; NULL if it has none of that name. */
extern JsonbValue *postrider_response_rule_member(JsonbContainer *object, const char *name,
												  JsonbValue *space);

/* Notes members that are not in the list, which ends with NULL. */
extern void postrider_response_rule_members(RuleCompilation *compilation,
											JsonbContainer *object,
											const char *const *names,
											const char *position);

/* response_rule_wait.c */

/* The compiled "wait" of a rule. */
extern void postrider_response_wait_compile(RuleCompilation *compilation,
											const JsonbValue *value, WaitSource *wait);

/* Until when to wait by it; -1 if it says nothing. */
extern int64 postrider_response_wait_find(const WaitSource *wait, const Response *response,
										  const char *body, int body_length,
										  Jsonb *json, int64 now_us);

/* response_rule.c */

/* Bytes that came over the network as text of the database; see util/text.h. */
extern char *postrider_response_text(const char *bytes, int length);

/* What is in the text as JSON; NULL if it is none. */
extern Jsonb *postrider_response_json(const char *string);

/* Does the header have that name, and is it there? */
extern bool postrider_response_header_find(const ResponseHeaders *headers, const char *name,
										   int *position, ResponseHeader *header);

#endif							/* POSTRIDER_RESPONSE_RULE_INTERNAL_H */
