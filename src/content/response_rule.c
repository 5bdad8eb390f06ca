/*-------------------------------------------------------------------------
 *
 * response_rule.c
 *	  Applying response rules; see response_rule.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/filter.h"
#include "content/json_path.h"
#include "content/response_rule_internal.h"
#include "mb/pg_wchar.h"
#include "util/text.h"
#include "utils/memutils.h"

/* Of a reason, at most. */
#define REASON_BYTES 500

/* The body in the forms that rules want, made when the first one does. */
typedef struct Body
{
	const ResponseFacts *facts;
	char	   *text;
	bool		json_tried;
	Jsonb	   *json;			/* NULL if it is none */
} Body;

static const char *
body_text(Body *body)
{
	if (body->text == NULL)
		body->text = postrider_text_clean(body->facts->body, (int) body->facts->length);
	return body->text;
}

static Jsonb *
body_json(Body *body)
{
	if (!body->json_tried && !body->facts->is_cut)
		body->json = postrider_json_read(body->facts->body, body->facts->length);
	body->json_tried = true;
	return body->json;
}

static bool
status_holds(const ResponseRule *rule, int status)
{
	for (int i = 0; i < rule->status_count; i++)
		if (status >= rule->statuses[i].from && status <= rule->statuses[i].to)
			return true;
	return rule->status_count == 0;
}

static bool
header_holds(const ResponseRule *rule, const ResponseFacts *facts)
{
	const char *value;

	if (rule->header == NULL)
		return true;
	value = facts->find(facts->find_arg, rule->header);
	if (value == NULL)
		return false;
	if (rule->header_value)
		return pg_strcasecmp(value, rule->header_value) == 0;
	return rule->header_pattern == NULL ||
		postrider_rule_pattern_find(rule->header_pattern, postrider_text_clean(value, -1), NULL);
}

static bool
holds(const ResponseRule *rule, Body *body)
{
	if (!status_holds(rule, body->facts->status) || !header_holds(rule, body->facts))
		return false;
	if (rule->has_json && (body_json(body) != NULL) != rule->json)
		return false;
	if (rule->path && (body_json(body) == NULL ||
					   !postrider_filter_matches(body_json(body), rule->path)))
		return false;
	return rule->pattern == NULL ||
		postrider_rule_pattern_find(rule->pattern, body_text(body), NULL);
}

/* The first value that the path finds, as text; NULL if there is none. */
static char *
first_value(Jsonb *json, JsonPath *path)
{
	Jsonb	   *values = json ? postrider_json_path_values(json, path) : NULL;
	JsonbValue *value = values ? getIthJsonbValueFromContainer(&values->root, 0) : NULL;
	Jsonb	   *first;

	if (value == NULL || value->type == jbvNull)
		return NULL;
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	first = JsonbValueToJsonb(value);
	return JsonbToCString(NULL, &first->root, VARSIZE(first));
}

/* The text that a source leads to; NULL if it leads to none. */
static const char *
find_source(const RuleSource *source, Body *body)
{
	const ResponseFacts *facts = body->facts;
	const char *result;
	char	   *group;

	if (source->value)
		return source->value;
	if (source->header)
	{
		result = facts->find(facts->find_arg, source->header);
		if (result == NULL)
			return NULL;
		result = postrider_text_clean(result, -1);
		if (source->path)
			result = first_value(postrider_json_read(result, strlen(result)), source->path);
	}
	else if (source->path)
		result = first_value(body_json(body), source->path);
	else
		result = body_text(body);
	if (result == NULL || source->pattern == NULL)
		return result;
	return postrider_rule_pattern_find(source->pattern, result, &group) ? group : NULL;
}

static void
decide(const ResponseRule *rule, Body *body, MemoryContext context, ResponseVerdict *verdict)
{
	const char *found;

	verdict->action = rule->action;
	if (rule->wait && (found = find_source(rule->wait, body)) != NULL)
		verdict->wait_ms = postrider_wait_ms(found, rule->wait->unit, body->facts->unix_ms);
	if (rule->reason && (found = find_source(rule->reason, body)) != NULL)
		verdict->reason =
			MemoryContextStrdup(context,
								pnstrdup(found, pg_mbcliplen(found, (int) strlen(found), REASON_BYTES)));
}

ResponseVerdict
postrider_response_rules_apply(const ResponseRules *rules, const ResponseFacts *facts)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(context, "postrider response rules",
												  ALLOCSET_DEFAULT_SIZES);
	ResponseVerdict verdict = {.wait_ms = -1};
	Body		body = {.facts = facts};

	MemoryContextSwitchTo(scratch);
	for (int i = 0; i < rules->count && verdict.rule == 0; i++)
	{
		if (!holds(&rules->rule[i], &body))
			continue;
		verdict.rule = i + 1;
		decide(&rules->rule[i], &body, context, &verdict);
	}
	MemoryContextSwitchTo(context);
	MemoryContextDelete(scratch);
	return verdict;
}
