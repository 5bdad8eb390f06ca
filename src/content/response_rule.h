/*-------------------------------------------------------------------------
 *
 * response_rule.h
 *	  What an answer means, where its status alone does not say: an ordered list
 *	  of rules, the first of which that matches decides.
 *
 *	[{"status": 403, "path": "$[*].errorCode == \"REQUEST_LIMIT_EXCEEDED\"",
 *	  "action": "throttle", "wait": {"value": 5, "unit": "minutes"}},
 *	 {"status": "200-299", "pattern": "success=false", "action": "dead"}]
 *
 * doc/response_rules.md is the reference.  A set is compiled once and never
 * changes; evaluation reads no catalog and needs no snapshot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_RESPONSE_RULE_H
#define POSTRIDER_RESPONSE_RULE_H

#include "postgres.h"

#include "content/response_header.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* Bytes of a body that are looked at. */
#define RESPONSE_RULE_BODY_BYTES (64 * 1024)

typedef struct ResponseRules ResponseRules;

typedef enum ResponseAction
{
	RESPONSE_SUCCESS,
	RESPONSE_RETRY,
	RESPONSE_THROTTLE,			/* retry, and slow the endpoint down */
	RESPONSE_DEAD,
	RESPONSE_REFRESH_TOKEN,		/* retry, with a new token */
	RESPONSE_SPLIT_BATCH,		/* try the halves of the batch */
	RESPONSE_DISABLE			/* the endpoint, until a person enables it */
} ResponseAction;

typedef struct ResponseRuleProblem
{
	const char *position;		/* "$[2].wait.unit" */
	const char *problem;		/* "must be ..." */
} ResponseRuleProblem;

/* What is judged. */
typedef struct Response
{
	int			status;
	const ResponseHeaders *headers;
	const char *body;			/* bytes as they came */
	int			body_length;
} Response;

typedef struct ResponseVerdict
{
	int			rule;			/* from 1 on; 0: no rule matches, the rest is not
								 * set */
	ResponseAction action;
	int64		wait_until_us;	/* in microseconds since PostgreSQL's epoch; -1:
								 * nothing is said */
} ResponseVerdict;

/*
 * Compiles a set in the current memory context.  NULL if something is wrong with
 * it: *problems then lists what, as ResponseRuleProblems.
 */
extern ResponseRules *postrider_response_rules_compile(Jsonb *rules, List **problems);

/* Does a rule look at this header (in lower case)? */
extern bool postrider_response_rules_want(const ResponseRules *rules, const char *name);

/*
 * Judges a response.  Allocates in the current memory context.  A condition that
 * cannot be evaluated does not match.
 */
extern void postrider_response_rules_judge(const ResponseRules *rules,
										   const Response *response, int64 now_us,
										   ResponseVerdict *verdict);

/* "success", "retry", ... */
extern const char *postrider_response_action_name(ResponseAction action);

#endif							/* POSTRIDER_RESPONSE_RULE_H */
