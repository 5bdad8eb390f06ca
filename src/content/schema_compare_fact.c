/*-------------------------------------------------------------------------
 *
 * schema_compare_fact.c
 *	  What a conjunction of schemas says of its instances.
 *
 * Each fact is a consequence of the schemas, maybe not the strongest one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_compare_internal.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"

/* Schemas that are looked at to learn the types of one. */
#define TYPE_FUEL 200

#define DISJOINT_DEPTH 5

typedef struct CompiledPattern
{
	char	   *pattern;
	Schema	   *schema;
} CompiledPattern;

static bool
is_integer(Numeric number)
{
	Datum		whole = DirectFunctionCall2(numeric_trunc, NumericGetDatum(number),
											Int32GetDatum(0));

	return DatumGetBool(DirectFunctionCall2(numeric_eq, whole,
											NumericGetDatum(number)));
}

/*
 * Values
 */

/* The bit of a value's type. */
uint32
postrider_compare_value_type(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return TYPE_NULL;
		case jbvBool:
			return TYPE_BOOLEAN;
		case jbvString:
			return TYPE_STRING;
		case jbvNumeric:
			return is_integer(value->val.numeric) ? TYPE_INTEGER : TYPE_FRACTION;
		case jbvBinary:
			return JsonContainerIsObject(value->val.binary.data) ?
				TYPE_OBJECT : TYPE_ARRAY;
		default:
			return TYPE_ALL;
	}
}

bool
postrider_compare_equal(const JsonbValue *a, const JsonbValue *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type)
	{
		case jbvNull:
			return true;
		case jbvBool:
			return a->val.boolean == b->val.boolean;
		case jbvString:
			return a->val.string.len == b->val.string.len &&
				memcmp(a->val.string.val, b->val.string.val,
					   a->val.string.len) == 0;
		case jbvNumeric:
			return DatumGetBool(DirectFunctionCall2(numeric_eq,
													NumericGetDatum(a->val.numeric),
													NumericGetDatum(b->val.numeric)));
		case jbvBinary:
			return JsonContainerIsObject(a->val.binary.data) ==
				JsonContainerIsObject(b->val.binary.data) &&
				compareJsonbContainers(a->val.binary.data,
									   b->val.binary.data) == 0;
		default:
			return false;
	}
}

/* A jsonb of its own of a value or of a part of a document. */
static Jsonb *
copy_value(const JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbParseState *state = NULL;
	JsonbValue	item;
	JsonbValue *result = NULL;

	if (value->type != jbvBinary)
		return JsonbValueToJsonb(unconstify(JsonbValue *, value));
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &item, false)) != WJB_DONE)
		result = pushJsonbValue(&state, token,
								token < WJB_BEGIN_ARRAY ? &item : NULL);
	return JsonbValueToJsonb(result);
}

/* True if the value is known to be valid under a schema without references. */
bool
postrider_compare_satisfies(const JsonbValue *schema, const JsonbValue *instance)
{
	SchemaProblem problem;
	Schema	   *compiled = postrider_schema_compile(copy_value(schema), NULL,
													NULL, &problem);
	bool		result;

	if (compiled == NULL)
		return false;
	result = postrider_schema_is_valid(compiled, copy_value(instance));
	postrider_schema_free(compiled);
	return result;
}

/*
 * Types
 */

static uint32
type_by_name(const JsonbValue *name)
{
	static const struct
	{
		const char *name;
		uint32		type;
	}			types[] = {
		{"null", TYPE_NULL}, {"boolean", TYPE_BOOLEAN},
		{"object", TYPE_OBJECT}, {"array", TYPE_ARRAY},
		{"string", TYPE_STRING}, {"integer", TYPE_INTEGER},
		{"number", TYPE_NUMBER}
	};

	for (int i = 0; name->type == jbvString && i < (int) lengthof(types); i++)
		if (strlen(types[i].name) == (size_t) name->val.string.len &&
			memcmp(types[i].name, name->val.string.val, name->val.string.len) == 0)
			return types[i].type;
	return 0;
}

/* The types that the value of "type" names. */
uint32
postrider_compare_type_keyword(const JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	uint32		types = 0;

	if (value->type != jbvBinary)
		return type_by_name(value);
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			types |= type_by_name(&item);
	return types;
}

static uint32
types_of_values(const JsonbValue *array)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	uint32		types = 0;

	if (array->type != jbvBinary)
		return TYPE_ALL;
	iterator = JsonbIteratorInit(array->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
		if (token == WJB_ELEM)
			types |= postrider_compare_value_type(&item);
	return types;
}

static uint32 types_of_node(Compare *compare, const SchemaNode *node, int *fuel);

/* The types of any of the members of anyOf, or of all of those of allOf. */
static uint32
types_of_list(Compare *compare, const SchemaNode *node, const char *keyword,
			  bool all, int *fuel)
{
	JsonbValue	list;
	uint32		types = all ? TYPE_ALL : 0;
	int			length;

	if (!postrider_compare_node_get(node, keyword, &list) ||
		(length = postrider_compare_length(&list)) == 0)
		return TYPE_ALL;
	for (int i = 0; i < length; i++)
	{
		SchemaNode		child = postrider_compare_element(node, &list, i);
		uint32		child_types = types_of_node(compare, &child, fuel);

		types = all ? types & child_types : types | child_types;
	}
	return types;
}

static uint32
types_of_node(Compare *compare, const SchemaNode *node, int *fuel)
{
	uint32		types = TYPE_ALL;
	JsonbValue	value;
	SchemaNode		target;

	check_stack_depth();
	if (node->kind == NODE_FALSE)
		return 0;
	if (node->kind == NODE_TRUE || --(*fuel) < 0)
		return TYPE_ALL;
	if (postrider_compare_node_get(node, "type", &value))
		types &= postrider_compare_type_keyword(&value);
	if (postrider_compare_node_get(node, "const", &value))
		types &= postrider_compare_value_type(&value);
	if (postrider_compare_node_get(node, "enum", &value))
		types &= types_of_values(&value);
	if (postrider_compare_node_get(node, "multipleOf", &value) &&
		value.type == jbvNumeric && is_integer(value.val.numeric))
		types &= ~TYPE_FRACTION;
	if (types != 0 && postrider_compare_reference(compare, node, "$ref", &target))
		types &= types_of_node(compare, &target, fuel);
	types &= types_of_list(compare, node, "allOf", true, fuel);
	types &= types_of_list(compare, node, "anyOf", false, fuel);
	types &= types_of_list(compare, node, "oneOf", false, fuel);
	return types;
}

/* The types that instances may have; 0 if there can be none. */
uint32
postrider_compare_types(Compare *compare, const NodeSet *set)
{
	uint32		types = set->never ? 0 : TYPE_ALL;
	int			fuel = TYPE_FUEL;

	for (int i = 0; i < set->count; i++)
		types &= types_of_node(compare, &set->nodes[i], &fuel);
	return types;
}

/*
 * Bounds and finite sets
 */

/* The strongest value of a keyword with a number; NULL without one. */
Numeric
postrider_compare_bound(Compare *compare, const NodeSet *set,
						const char *keyword, bool lower)
{
	Numeric		bound = NULL;

	for (int i = 0; i < set->count; i++)
	{
		JsonbValue	value;

		if (!postrider_compare_node_get(&set->nodes[i], keyword, &value) ||
			value.type != jbvNumeric)
			continue;
		if (bound == NULL ||
			DatumGetBool(DirectFunctionCall2(lower ? numeric_gt : numeric_lt,
											 NumericGetDatum(value.val.numeric),
											 NumericGetDatum(bound))))
			bound = value.val.numeric;
	}
	return bound;
}

static void
fill_values(const JsonbValue *list, uint32 types, JsonbValue **values, int *count)
{
	JsonbIterator *iterator = JsonbIteratorInit(list->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue	item;

	*values = palloc((postrider_compare_length(list) + 1) * sizeof(JsonbValue));
	*count = 0;
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
		if (token == WJB_ELEM && (postrider_compare_value_type(&item) & types))
			(*values)[(*count)++] = item;
}

/* The values of an instance whose types leave few. */
static void
fill_constants(uint32 types, JsonbValue **values, int *count)
{
	*values = palloc0(3 * sizeof(JsonbValue));
	*count = 0;
	if (types & TYPE_NULL)
		(*values)[(*count)++].type = jbvNull;
	if (types & TYPE_BOOLEAN)
		for (int i = 0; i < 2; i++)
		{
			(*values)[*count].type = jbvBool;
			(*values)[(*count)++].val.boolean = i == 1;
		}
}

/*
 * If only finitely many values are possible: true, and all that may be; some
 * of them may be impossible for another reason.
 */
bool
postrider_compare_values(Compare *compare, const NodeSet *set,
						 JsonbValue **values, int *count)
{
	uint32		types = postrider_compare_types(compare, set);
	JsonbValue	best = {0};
	int			best_length = -1;

	for (int i = 0; i < set->count; i++)
	{
		JsonbValue	value;

		if (postrider_compare_node_get(&set->nodes[i], "const", &value))
		{
			*values = palloc(sizeof(JsonbValue));
			**values = value;
			*count = (postrider_compare_value_type(&value) & types) ? 1 : 0;
			return true;
		}
		if (postrider_compare_node_get(&set->nodes[i], "enum", &value) &&
			value.type == jbvBinary &&
			(best_length < 0 || postrider_compare_length(&value) < best_length))
		{
			best = value;
			best_length = postrider_compare_length(&value);
		}
	}
	if (best_length >= 0)
		fill_values(&best, types, values, count);
	else if ((types & ~(TYPE_NULL | TYPE_BOOLEAN)) == 0)
		fill_constants(types, values, count);
	else
		return false;
	return true;
}

/*
 * True if only finitely many values are possible, and all of them are valid
 * under the new schema by itself.
 */
bool
postrider_compare_all_satisfy(Compare *compare, const NodeSet *old,
							  const SchemaNode *new_node)
{
	JsonbValue *values;
	JsonbValue	schema = {.type = jbvBinary};
	int			count;
	SchemaProblem problem;
	Schema	   *compiled;
	bool		result = true;

	if (!postrider_compare_values(compare, old, &values, &count))
		return false;
	schema.val.binary.data = new_node->object;
	if (postrider_compare_has_reference(&schema))
		return false;
	compiled = postrider_schema_compile(copy_value(&schema), NULL, NULL, &problem);
	if (compiled == NULL)
		return false;
	for (int i = 0; i < count && result; i++)
	{
		CHECK_FOR_INTERRUPTS();
		result = postrider_schema_is_valid(compiled, copy_value(&values[i]));
	}
	postrider_schema_free(compiled);
	return result;
}

/*
 * Names of properties
 */

/* Whether a name matches a regular expression, as the evaluator sees it. */
bool
postrider_compare_matches(Compare *compare, const char *pattern, const char *name)
{
	JsonbParseState *state = NULL;
	JsonbValue	value = {.type = jbvString};
	ListCell   *cell;
	CompiledPattern *compiled = NULL;
	SchemaProblem problem;

	foreach(cell, compare->compiled)
	{
		compiled = lfirst(cell);
		if (strcmp(compiled->pattern, pattern) == 0)
			break;
		compiled = NULL;
	}
	if (compiled == NULL)
	{
		compiled = palloc(sizeof(CompiledPattern));
		compiled->pattern = pstrdup(pattern);
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		value.val.string.val = pstrdup("pattern");
		value.val.string.len = strlen("pattern");
		pushJsonbValue(&state, WJB_KEY, &value);
		value.val.string.val = compiled->pattern;
		value.val.string.len = strlen(pattern);
		pushJsonbValue(&state, WJB_VALUE, &value);
		compiled->schema =
			postrider_schema_compile(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)),
									 NULL, NULL, &problem);
		if (compiled->schema == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("pattern \"%s\" of a schema cannot be compiled", pattern),
					 errdetail("%s.", problem.message)));
		compare->compiled = lappend(compare->compiled, compiled);
	}
	value.val.string.val = unconstify(char *, name);
	value.val.string.len = strlen(name);
	return postrider_schema_is_valid(compiled->schema, JsonbValueToJsonb(&value));
}

static bool
array_has(const JsonbValue *array, const char *string)
{
	JsonbValue	value = {.type = jbvString};

	if (array->type != jbvBinary)
		return false;
	value.val.string.val = unconstify(char *, string);
	value.val.string.len = strlen(string);
	return findJsonbValueFromContainer(array->val.binary.data, JB_FARRAY,
									   &value) != NULL;
}

/* True if each object that satisfies the set has the property. */
bool
postrider_compare_requires(const NodeSet *set, const char *name)
{
	for (int i = 0; i < set->count; i++)
	{
		JsonbValue	required;

		if (postrider_compare_node_get(&set->nodes[i], "required", &required) &&
			array_has(&required, name))
			return true;
	}
	return false;
}

/*
 * Disjointness
 */

/* Clears the flags of the values that a schema refuses; true if none is left. */
static bool
strike_out(const SchemaNode *node, const JsonbValue *values, bool *possible,
		   int count)
{
	JsonbValue	schema = {.type = jbvBinary};
	SchemaProblem problem;
	Schema	   *compiled = NULL;
	bool		none = true;

	schema.val.binary.data = node->object;
	if (!postrider_compare_has_reference(&schema))
		compiled = postrider_schema_compile(copy_value(&schema), NULL, NULL, &problem);
	if (compiled == NULL)
		return false;
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		possible[i] = possible[i] &&
			postrider_schema_is_valid(compiled, copy_value(&values[i]));
		none &= !possible[i];
	}
	postrider_schema_free(compiled);
	return none;
}

/* True if only finitely many values are possible in a, and none of them in b. */
static bool
values_are_disjoint(Compare *compare, const NodeSet *a, const NodeSet *b)
{
	JsonbValue *values;
	bool	   *possible;
	int			count;

	if (!postrider_compare_values(compare, a, &values, &count))
		return false;
	possible = palloc(count + 1);
	memset(possible, true, count);
	for (int i = 0; i < b->count; i++)
		if (strike_out(&b->nodes[i], values, possible, count))
			return true;
	return count == 0;
}

/* True if one side's numbers end below the other's. */
static bool
ranges_are_disjoint(Compare *compare, const NodeSet *a, const NodeSet *b)
{
	Numeric		maximum = postrider_compare_bound(compare, a, "maximum", false);
	Numeric		minimum = postrider_compare_bound(compare, b, "minimum", true);

	return maximum != NULL && minimum != NULL &&
		DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(maximum),
										 NumericGetDatum(minimum)));
}

/* True if a property that one side requires tells the two apart. */
static bool
properties_are_disjoint(Compare *compare, const NodeSet *a, const NodeSet *b,
						int depth)
{
	for (int i = 0; i < a->count; i++)
	{
		JsonbValue	required;
		JsonbIterator *iterator;
		JsonbIteratorToken token;
		JsonbValue	name;

		if (!postrider_compare_node_get(&a->nodes[i], "required", &required) ||
			required.type != jbvBinary)
			continue;
		iterator = JsonbIteratorInit(required.val.binary.data);
		while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
		{
			NodeSet		in_a;
			NodeSet		in_b;
			bool		is_named;
			char	   *key;

			if (token != WJB_ELEM || name.type != jbvString)
				continue;
			key = pnstrdup(name.val.string.val, name.val.string.len);
			postrider_compare_property(compare, a, key, &in_a, &is_named);
			postrider_compare_property(compare, b, key, &in_b, &is_named);
			if (postrider_compare_disjoint(compare, &in_a, &in_b, depth))
				return true;
		}
	}
	return false;
}

/* True if no instance satisfies both, as far as can be told. */
bool
postrider_compare_disjoint(Compare *compare, const NodeSet *a, const NodeSet *b,
						   int depth)
{
	uint32		common = postrider_compare_types(compare, a) &
	postrider_compare_types(compare, b);

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	if (common == 0)
		return true;
	if (depth >= DISJOINT_DEPTH)
		return false;
	if (values_are_disjoint(compare, a, b) || values_are_disjoint(compare, b, a))
		return true;
	if ((common & ~TYPE_NUMBER) == 0 &&
		(ranges_are_disjoint(compare, a, b) || ranges_are_disjoint(compare, b, a)))
		return true;
	return common == TYPE_OBJECT &&
		(properties_are_disjoint(compare, a, b, depth + 1) ||
		 properties_are_disjoint(compare, b, a, depth + 1));
}
