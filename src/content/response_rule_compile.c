/*-------------------------------------------------------------------------
 *
 * response_rule_compile.c
 *	  From a JSON document to compiled response rules, or all that is wrong with
 *	  it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/response_rule_internal.h"
#include "util/text.h"

/* More problems are of no use to anybody. */
#define MOST_PROBLEMS 20

static const char *const rule_members[] = {
	"status", "header", "path", "pattern", "action", "wait", "description", NULL
};
static const char *const header_members[] = {"name", "value", "pattern", NULL};

static const char *const action_names[] = {
	[RESPONSE_SUCCESS] = "success",
	[RESPONSE_RETRY] = "retry",
	[RESPONSE_THROTTLE] = "throttle",
	[RESPONSE_DEAD] = "dead",
	[RESPONSE_REFRESH_TOKEN] = "refresh_token",
	[RESPONSE_SPLIT_BATCH] = "split_batch",
	[RESPONSE_DISABLE] = "disable"
};

const char *
postrider_response_action_name(ResponseAction action)
{
	return action_names[action];
}

void
postrider_response_rule_problem(RuleCompilation *compilation, const char *position,
								const char *problem)
{
	ResponseRuleProblem *result;

	if (list_length(*compilation->problems) >= MOST_PROBLEMS)
		return;
	result = palloc(sizeof(ResponseRuleProblem));
	result->position = compilation->rule < 0 ? "$" :
		psprintf("$[%d]%s", compilation->rule, position);
	result->problem = pstrdup(problem);
	*compilation->problems = lappend(*compilation->problems, result);
}

JsonbValue *
postrider_response_rule_member(JsonbContainer *object, const char *name, JsonbValue *space)
{
	return getKeyJsonValueFromContainer(object, name, strlen(name), space);
}

static bool
is_object(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);
}

void
postrider_response_rule_members(RuleCompilation *compilation, JsonbContainer *object,
								const char *const *names, const char *position)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char	   *key;
		bool		known = false;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(value.val.string.val, value.val.string.len);
		for (int i = 0; names[i] != NULL && !known; i++)
			known = strcmp(names[i], key) == 0;
		if (!known)
			postrider_response_rule_problem(compilation, position,
											psprintf("must not have a member \"%s\"", key));
	}
}

char *
postrider_response_rule_string(RuleCompilation *compilation, const JsonbValue *value,
							   const char *position)
{
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	postrider_response_rule_problem(compilation, position, "must be a string");
	return NULL;
}

char *
postrider_response_rule_header(RuleCompilation *compilation, const JsonbValue *value,
							   const char *position)
{
	char	   *name = postrider_response_rule_string(compilation, value, position);

	if (name == NULL)
		return NULL;
	if (name[0] == '\0' || strlen(name) >= RESPONSE_HEADER_NAME_MAX ||
		strspn(name, "!#$%&'*+-.^_`|~0123456789"
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(name))
	{
		postrider_response_rule_problem(compilation, position, "is no name of a header");
		return NULL;
	}
	for (char *c = name; *c; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	return name;
}

SourcePath *
postrider_response_rule_path(RuleCompilation *compilation, const JsonbValue *value,
							 const char *position)
{
	char	   *string = postrider_response_rule_string(compilation, value, position);
	char	   *problem = NULL;
	SourcePath *path;

	if (string == NULL)
		return NULL;
	path = postrider_mapping_path_compile(string, &problem);
	if (path == NULL)
		postrider_response_rule_problem(compilation, position, problem);
	return path;
}

Pattern *
postrider_response_rule_pattern(RuleCompilation *compilation, const JsonbValue *value,
								bool uses_groups, const char *position)
{
	char	   *string = postrider_response_rule_string(compilation, value, position);
	char	   *problem = NULL;
	Pattern    *pattern;

	if (string == NULL)
		return NULL;
	pattern = postrider_pattern_compile(string, strlen(string), false, uses_groups, &problem);
	if (pattern == NULL)
		postrider_response_rule_problem(compilation, position,
										psprintf("is not usable: %s", problem));
	return pattern;
}

/* Three digits at the beginning of a status; -1 if there are none. */
static int
three_digits(const char *string)
{
	for (int i = 0; i < 3; i++)
		if (string[i] < '0' || string[i] > '9')
			return -1;
	return (string[0] - '0') * 100 + (string[1] - '0') * 10 + (string[2] - '0');
}

/* "429", "5xx" or "500-599" */
static bool
parse_status(const char *string, StatusRange *range)
{
	if (strlen(string) == 3 && string[0] >= '1' && string[0] <= '5' &&
		pg_strcasecmp(string + 1, "xx") == 0)
	{
		range->from = (string[0] - '0') * 100;
		range->to = range->from + 99;
		return true;
	}
	range->from = three_digits(string);
	range->to = range->from;
	if (range->from >= 0 && strlen(string) == 7 && string[3] == '-')
		range->to = three_digits(string + 4);
	else if (strlen(string) != 3)
		return false;
	return range->from >= 100 && range->to <= 599 && range->from <= range->to;
}

static void
add_status(RuleCompilation *compilation, const JsonbValue *value, ResponseRule *rule,
		   const char *position)
{
	char	   *string;
	int			length;

	if ((value->type != jbvString && value->type != jbvNumeric) ||
		!postrider_mapping_scalar_text(value, &string, &length) ||
		!parse_status(pnstrdup(string, length), &rule->statuses[rule->status_count]))
		postrider_response_rule_problem(compilation, position,
										"must be a status such as 429, \"5xx\" or \"500-599\"");
	else
		rule->status_count++;
}

static void
compile_status(RuleCompilation *compilation, const JsonbValue *value, ResponseRule *rule)
{
	JsonbContainer *array = value->type == jbvBinary ? value->val.binary.data : NULL;
	int			count;

	if (array == NULL || !JsonContainerIsArray(array))
	{
		add_status(compilation, value, rule, ".status");
		return;
	}
	count = JsonContainerSize(array);
	if (count == 0 || count > RESPONSE_STATUSES_MAX)
	{
		postrider_response_rule_problem(compilation, ".status",
										psprintf("must be a list of 1 to %d", RESPONSE_STATUSES_MAX));
		return;
	}
	for (int i = 0; i < count; i++)
	{
		JsonbValue	element;

		postrider_mapping_child(array, i, &element);
		add_status(compilation, &element, rule, psprintf(".status[%d]", i));
	}
}

static void
compile_header(RuleCompilation *compilation, const JsonbValue *value, ResponseRule *rule)
{
	JsonbContainer *object;
	JsonbValue	member;

	if (!is_object(value))
	{
		postrider_response_rule_problem(compilation, ".header",
										"must be an object such as {\"name\": \"X-Error\", \"pattern\": \"limit\"}");
		return;
	}
	object = value->val.binary.data;
	postrider_response_rule_members(compilation, object, header_members, ".header");
	if (postrider_response_rule_member(object, "name", &member) == NULL)
		postrider_response_rule_problem(compilation, ".header", "needs the member \"name\"");
	else
		rule->header = postrider_response_rule_header(compilation, &member, ".header.name");
	if (postrider_response_rule_member(object, "value", &member))
		rule->header_value = postrider_response_rule_string(compilation, &member, ".header.value");
	if (postrider_response_rule_member(object, "pattern", &member))
		rule->header_pattern = postrider_response_rule_pattern(compilation, &member, false,
															   ".header.pattern");
}

static void
compile_action(RuleCompilation *compilation, JsonbContainer *object, ResponseRule *rule)
{
	JsonbValue	member;
	char	   *name;

	if (postrider_response_rule_member(object, "action", &member) == NULL)
	{
		postrider_response_rule_problem(compilation, "", "needs the member \"action\"");
		return;
	}
	name = postrider_response_rule_string(compilation, &member, ".action");
	if (name == NULL)
		return;
	for (int i = 0; i < (int) lengthof(action_names); i++)
		if (strcmp(action_names[i], name) == 0)
		{
			rule->action = (ResponseAction) i;
			return;
		}
	postrider_response_rule_problem(compilation, ".action",
									"must be success, retry, throttle, dead, refresh_token, split_batch or disable");
}

static void
compile_rule(RuleCompilation *compilation, const JsonbValue *value, ResponseRule *rule)
{
	JsonbContainer *object;
	JsonbValue	member;
	bool		has_condition = false;

	if (!is_object(value))
	{
		postrider_response_rule_problem(compilation, "", "must be an object");
		return;
	}
	object = value->val.binary.data;
	postrider_response_rule_members(compilation, object, rule_members, "");
	for (int i = 0; i < 4; i++)
		if (postrider_response_rule_member(object, rule_members[i], &member))
			has_condition = true;
	if (!has_condition)
		postrider_response_rule_problem(compilation, "",
										"needs a condition: status, header, path or pattern");
	if (postrider_response_rule_member(object, "status", &member))
		compile_status(compilation, &member, rule);
	if (postrider_response_rule_member(object, "header", &member))
		compile_header(compilation, &member, rule);
	if (postrider_response_rule_member(object, "path", &member))
		rule->path = postrider_response_rule_path(compilation, &member, ".path");
	if (postrider_response_rule_member(object, "pattern", &member))
		rule->pattern = postrider_response_rule_pattern(compilation, &member, false, ".pattern");
	if (postrider_response_rule_member(object, "description", &member))
		(void) postrider_response_rule_string(compilation, &member, ".description");
	compile_action(compilation, object, rule);
	if (postrider_response_rule_member(object, "wait", &member) == NULL)
		return;
	if (rule->action != RESPONSE_THROTTLE && rule->action != RESPONSE_RETRY)
		postrider_response_rule_problem(compilation, ".wait",
										"goes with the actions throttle and retry only");
	postrider_response_wait_compile(compilation, &member, &rule->wait);
}

ResponseRules *
postrider_response_rules_compile(Jsonb *document, List **problems)
{
	RuleCompilation compilation = {.problems = problems, .rule = -1};
	ResponseRules *result;
	int			count = JB_ROOT_COUNT(document);

	if (!JB_ROOT_IS_ARRAY(document) || JB_ROOT_IS_SCALAR(document) ||
		count > RESPONSE_RULES_MAX)
	{
		postrider_response_rule_problem(&compilation, "",
										psprintf("must be a list of at most %d rules", RESPONSE_RULES_MAX));
		return NULL;
	}
	result = palloc0(offsetof(ResponseRules, rules) + sizeof(ResponseRule) * count);
	result->count = count;
	for (int i = 0; i < count; i++)
	{
		JsonbValue	value;

		compilation.rule = i;
		result->rules[i].wait.value = -1;
		postrider_mapping_child(&document->root, i, &value);
		compile_rule(&compilation, &value, &result->rules[i]);
	}
	return *problems == NIL ? result : NULL;
}
