/*-------------------------------------------------------------------------
 *
 * response_rule_compile.c
 *	  Compiling response rules; see response_rule.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/filter.h"
#include "content/json_path.h"
#include "content/response_rule_internal.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

static const char *const action_names[] = {
	[RULE_SUCCESS] = "success",
	[RULE_RETRY] = "retry",
	[RULE_THROTTLE] = "throttle",
	[RULE_DEAD] = "dead",
	[RULE_REFRESH_TOKEN] = "refresh_token",
	[RULE_SPLIT_BATCH] = "split_batch",
	[RULE_DISABLE] = "disable"
};

static const char *const unit_names[] = {
	[WAIT_SECONDS] = "seconds",
	[WAIT_MILLISECONDS] = "milliseconds",
	[WAIT_MINUTES] = "minutes",
	[WAIT_EPOCH] = "epoch",
	[WAIT_EPOCH_MS] = "epoch_ms",
	[WAIT_HTTP_DATE] = "http_date"
};

/* Where the compiler is, for problems: which rule, and what in it. */
typedef struct Place
{
	int			rule;			/* from 1 */
	const char *object;			/* "wait" and the like; or NULL */
	char	  **problem;
} Place;

static bool refuse(const Place *place, const char *field, const char *problem);

const char *
postrider_rule_action_name(RuleAction action)
{
	return action_names[action];
}

static bool
refuse(const Place *place, const char *field, const char *problem)
{
	*place->problem = psprintf("has a problem in rule %d: %s%s%s %s", place->rule,
							   place->object ? place->object : "",
							   place->object && field[0] ? "." : "", field, problem);
	return false;
}

static JsonbValue *
field_of(JsonbContainer *object, const char *name)
{
	return getKeyJsonValueFromContainer(object, name, (int) strlen(name), NULL);
}

/* A field that is a string, palloc'd; NULL if there is none.  False if it is no string. */
static bool
get_string(const Place *place, JsonbContainer *object, const char *name, char **result)
{
	JsonbValue *value = field_of(object, name);

	*result = NULL;
	if (value == NULL)
		return true;
	if (value->type != jbvString)
		return refuse(place, name, "must be a string");
	*result = pnstrdup(value->val.string.val, value->val.string.len);
	if ((*result)[0] == '\0')
		return refuse(place, name, "must not be empty");
	return true;
}

static bool
get_path(const Place *place, JsonbContainer *object, JsonPath **path)
{
	char	   *string;
	char	   *problem;

	*path = NULL;
	if (!get_string(place, object, "path", &string) || string == NULL)
		return string == NULL && *place->problem == NULL;
	*path = postrider_json_path_parse(string, &problem);
	if (*path == NULL)
		return refuse(place, "path", problem);
	if (postrider_filter_has_variable(*path))
		return refuse(place, "path", "has a variable, and there are none");
	return true;
}

static bool
get_pattern(const Place *place, JsonbContainer *object, text **pattern)
{
	char	   *string;
	char	   *problem;

	*pattern = NULL;
	if (!get_string(place, object, "pattern", &string) || string == NULL)
		return string == NULL && *place->problem == NULL;
	*pattern = postrider_rule_pattern_compile(string, &problem);
	return *pattern != NULL || refuse(place, "pattern", problem);
}

/* No other fields than these; the list ends with NULL. */
static bool
require_known(const Place *place, JsonbContainer *object, const char *const *names)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char	   *name;
		int			i = 0;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		while (names[i] && strcmp(names[i], name) != 0)
			i++;
		if (names[i] == NULL)
			return refuse(place, name, "is not known here");
	}
	return true;
}

/* "503", "5xx", "500-599" */
static bool
read_range(const char *string, StatusRange *range)
{
	int			read = 0;

	if (sscanf(string, "%3d-%3d%n", &range->from, &range->to, &read) == 2 &&
		string[read] == '\0')
		return range->from <= range->to;
	if (strlen(string) != 3 || string[0] < '1' || string[0] > '5')
		return false;
	if (strcmp(string + 1, "xx") == 0)
	{
		range->from = (string[0] - '0') * 100;
		range->to = range->from + 99;
		return true;
	}
	if (strspn(string, "0123456789") != 3)
		return false;
	range->from = range->to = atoi(string);
	return true;
}

static bool
add_status(const Place *place, ResponseRule *rule, const JsonbValue *value)
{
	char	   *string = NULL;
	StatusRange *range = &rule->statuses[rule->status_count++];

	if (value->type == jbvString)
		string = pnstrdup(value->val.string.val, value->val.string.len);
	else if (value->type == jbvNumeric)
		string = numeric_normalize(value->val.numeric);
	if (string == NULL || !read_range(string, range) || range->from < 100 || range->to > 599)
		return refuse(place, "status",
					  "must be a status such as 503, \"5xx\" or \"500-599\", or a list of such");
	return true;
}

static bool
get_status(const Place *place, JsonbContainer *object, ResponseRule *rule)
{
	JsonbValue *value = field_of(object, "status");
	JsonbContainer *list;

	if (value == NULL)
		return true;
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
	{
		rule->statuses = palloc(sizeof(StatusRange));
		return add_status(place, rule, value);
	}
	list = value->val.binary.data;
	if (JsonContainerSize(list) == 0)
		return refuse(place, "status", "must not be an empty list");
	rule->statuses = palloc(sizeof(StatusRange) * JsonContainerSize(list));
	for (uint32 i = 0; i < JsonContainerSize(list); i++)
		if (!add_status(place, rule, getIthJsonbValueFromContainer(list, i)))
			return false;
	return true;
}

/* A field that is an object; NULL if there is none. */
static bool
get_object(const Place *place, JsonbContainer *object, const char *name,
		   JsonbContainer **result)
{
	JsonbValue *value = field_of(object, name);

	*result = NULL;
	if (value == NULL)
		return true;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return refuse(place, name, "must be an object");
	*result = value->val.binary.data;
	return true;
}

static bool
get_header(const Place *place, JsonbContainer *object, ResponseRule *rule)
{
	static const char *const names[] = {"name", "value", "pattern", NULL};
	Place		inner = {place->rule, "header", place->problem};
	JsonbContainer *header;

	if (!get_object(place, object, "header", &header))
		return false;
	if (header == NULL)
		return true;
	if (!require_known(&inner, header, names) ||
		!get_string(&inner, header, "name", &rule->header) ||
		!get_string(&inner, header, "value", &rule->header_value) ||
		!get_pattern(&inner, header, &rule->header_pattern))
		return false;
	if (rule->header == NULL)
		return refuse(&inner, "name", "is missing");
	return true;
}

static bool
get_unit(const Place *place, JsonbContainer *object, WaitUnit *unit)
{
	char	   *name;

	*unit = WAIT_ANY;
	if (!get_string(place, object, "unit", &name))
		return false;
	if (name == NULL)
		return refuse(place, "unit", "is missing: seconds, milliseconds, minutes, epoch, epoch_ms or http_date");
	for (int i = 0; i < (int) lengthof(unit_names); i++)
	{
		if (strcmp(unit_names[i], name) != 0)
			continue;
		*unit = (WaitUnit) i;
		return true;
	}
	return refuse(place, "unit", "must be seconds, milliseconds, minutes, epoch, epoch_ms or http_date");
}

/* The number of a constant wait. */
static bool
get_constant(const Place *place, JsonbContainer *object, char **result)
{
	JsonbValue *value = field_of(object, "value");

	*result = NULL;
	if (value == NULL)
		return true;
	if (value->type != jbvNumeric)
		return refuse(place, "value", "must be a number");
	*result = numeric_normalize(value->val.numeric);
	return (*result)[0] != '-' || refuse(place, "value", "must not be negative");
}

static bool
get_source(const Place *place, JsonbContainer *object, const char *name, bool is_wait,
		   RuleSource **result)
{
	static const char *const wait_names[] = {"header", "path", "pattern", "value", "unit", NULL};
	static const char *const reason_names[] = {"header", "path", "pattern", NULL};
	Place		inner = {place->rule, name, place->problem};
	JsonbContainer *source;
	RuleSource *made;

	*result = NULL;
	if (!get_object(place, object, name, &source))
		return false;
	if (source == NULL)
		return true;
	made = palloc0(sizeof(RuleSource));
	if (!require_known(&inner, source, is_wait ? wait_names : reason_names) ||
		!get_string(&inner, source, "header", &made->header) ||
		!get_path(&inner, source, &made->path) ||
		!get_pattern(&inner, source, &made->pattern))
		return false;
	if (is_wait && (!get_constant(&inner, source, &made->value) ||
					!get_unit(&inner, source, &made->unit)))
		return false;
	if (!made->header && !made->path && !made->pattern && !made->value)
		return refuse(&inner, "", is_wait ? "must have a header, a path, a pattern or a value" :
					  "must have a header, a path or a pattern");
	*result = made;
	return true;
}

static bool
get_action(const Place *place, JsonbContainer *object, ResponseRule *rule)
{
	char	   *name;

	if (!get_string(place, object, "action", &name))
		return false;
	for (int i = 0; name && i < (int) lengthof(action_names); i++)
	{
		if (strcmp(action_names[i], name) != 0)
			continue;
		rule->action = (RuleAction) i;
		return true;
	}
	return refuse(place, "action", "must be success, retry, throttle, dead, refresh_token, split_batch or disable");
}

static bool
compile_rule(const Place *place, JsonbContainer *object, ResponseRule *rule)
{
	static const char *const names[] = {
		"status", "header", "path", "pattern", "json", "action", "wait", "reason",
		"description", NULL
	};
	JsonbValue *json = field_of(object, "json");

	if (!require_known(place, object, names) ||
		!get_status(place, object, rule) ||
		!get_header(place, object, rule) ||
		!get_path(place, object, &rule->path) ||
		!get_pattern(place, object, &rule->pattern) ||
		!get_action(place, object, rule) ||
		!get_source(place, object, "wait", true, &rule->wait) ||
		!get_source(place, object, "reason", false, &rule->reason))
		return false;
	if (json && json->type != jbvBool)
		return refuse(place, "json", "must be true or false");
	rule->has_json = json != NULL;
	rule->json = json && json->val.boolean;
	if (!rule->status_count && !rule->header && !rule->path && !rule->pattern && !json)
		return refuse(place, "it", "has no condition: status, header, path, pattern or json");
	if (rule->wait && rule->action != RULE_THROTTLE && rule->action != RULE_RETRY)
		return refuse(place, "wait", "goes with the actions throttle and retry only");
	return true;
}

ResponseRules *
postrider_response_rules_compile(Jsonb *rules, char **problem)
{
	uint32		count = JsonContainerSize(&rules->root);
	ResponseRules *result;

	*problem = NULL;
	if (!JB_ROOT_IS_ARRAY(rules) || JB_ROOT_IS_SCALAR(rules))
	{
		*problem = pstrdup("must be a list of rules");
		return NULL;
	}
	if (count > RESPONSE_RULES_MAX)
	{
		*problem = psprintf("has %u rules, and %d is the most", count, RESPONSE_RULES_MAX);
		return NULL;
	}
	result = palloc0(offsetof(ResponseRules, rule) + sizeof(ResponseRule) * count);
	for (uint32 i = 0; i < count; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&rules->root, i);
		Place		place = {.rule = (int) i + 1, .problem = problem};

		if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		{
			refuse(&place, "it", "must be an object");
			return NULL;
		}
		if (!compile_rule(&place, value->val.binary.data, &result->rule[i]))
			return NULL;
		result->count++;
	}
	return result;
}
