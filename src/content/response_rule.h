/*-------------------------------------------------------------------------
 *
 * response_rule.h
 *	  endpoint.response_rules: what a response means where the status does not
 *	  say it.
 *
 * An ordered list of objects; the first one all of whose conditions hold decides.
 *
 *	status	a number, "5xx", "400-499", or a list of these
 *	header	{"name": ..., "value": ... or "pattern": ...}; just there if neither
 *	path	an SQL/JSON path on the body: a predicate that is true, or a path
 *			that finds something
 *	pattern	a regular expression (PostgreSQL's) in the body
 *	json	whether the body is JSON
 *	action	success, retry, throttle, dead, refresh_token, split_batch, disable
 *	wait	for retry and throttle, where the wait is found: {"header": ...} or the
 *			body, in it "path" and "pattern" (its first group), and "unit":
 *			seconds, milliseconds, minutes, epoch, epoch_ms, http_date; or
 *			{"value": 60, "unit": ...}
 *	reason	a path to, or a pattern (its first group) of, the reason for people
 *
 * Only the beginning of a body is looked at: RESPONSE_RULE_BYTES.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RESPONSE_RULE_H
#define POSTRIDER_RESPONSE_RULE_H

#include "postgres.h"

#include "content/rate_header.h"
#include "utils/jsonb.h"

#define RESPONSE_RULE_BYTES (64 * 1024)
#define RESPONSE_RULES_MAX	100

typedef enum RuleAction
{
	RULE_SUCCESS,
	RULE_RETRY,
	RULE_THROTTLE,
	RULE_DEAD,
	RULE_REFRESH_TOKEN,
	RULE_SPLIT_BATCH,
	RULE_DISABLE
} RuleAction;

typedef struct ResponseRules ResponseRules;

/* A response, as far as rules look at it. */
typedef struct ResponseFacts
{
	int			status;
	HeaderLookup find;			/* names are not case-sensitive */
	void	   *find_arg;
	const char *body;			/* its beginning */
	Size		length;
	bool		is_cut;			/* there is more of it */
	int64		unix_ms;		/* now */
} ResponseFacts;

typedef struct ResponseVerdict
{
	int			rule;			/* from 1; 0: none holds */
	RuleAction	action;
	int64		wait_ms;		/* -1: it does not say */
	char	   *reason;			/* palloc'd, or NULL */
} ResponseVerdict;

/*
 * Compiles rules in CurrentMemoryContext.  NULL, with the problem in words to go
 * behind the column's name, if they make no sense.
 */
extern ResponseRules *postrider_response_rules_compile(Jsonb *rules, char **problem);

/* Needs no transaction; never raises an error for what is in a response. */
extern ResponseVerdict postrider_response_rules_apply(const ResponseRules *rules,
													  const ResponseFacts *facts);

extern const char *postrider_rule_action_name(RuleAction action);

#endif							/* POSTRIDER_RESPONSE_RULE_H */
