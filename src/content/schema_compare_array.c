/*-------------------------------------------------------------------------
 *
 * schema_compare_array.c
 *	  Comparison of the keywords of arrays.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_compare_internal.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* Keywords that evaluate items beside prefixItems and items. */
static const char *const applicators[] = {
	"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "then", "else",
	"dependentSchemas", "dependencies", "contains"
};

static int
prefix_length(const SchemaNode *node)
{
	JsonbValue	prefix;

	return postrider_compare_node_get(node, "prefixItems", &prefix) ?
		postrider_compare_length(&prefix) : 0;
}

/* What a schema says of the items after its prefix; false for nothing. */
static bool
rest_of(const SchemaNode *node, SchemaNode *rest)
{
	JsonbValue	value;

	if (postrider_compare_subschema(node, "items", rest))
		return true;
	for (int i = 0; i < (int) lengthof(applicators); i++)
		if (postrider_compare_node_get(node, applicators[i], &value))
			return false;
	return postrider_compare_subschema(node, "unevaluatedItems", rest);
}

/* What a set says of the item with this number. */
static void
item_set(Compare *compare, const NodeSet *set, int index, NodeSet *item)
{
	postrider_compare_set_init(item);
	for (int i = 0; i < set->count; i++)
	{
		const SchemaNode *node = &set->nodes[i];
		JsonbValue	prefix;
		SchemaNode		rest;

		if (index < prefix_length(node))
		{
			(void) postrider_compare_node_get(node, "prefixItems", &prefix);
			postrider_compare_set_add(compare, item,
									  postrider_compare_element(node, &prefix, index));
		}
		else if (rest_of(node, &rest))
			postrider_compare_set_add(compare, item, rest);
	}
}

static int
longest_prefix(const NodeSet *set)
{
	int			length = 0;

	for (int i = 0; i < set->count; i++)
		length = Max(length, prefix_length(&set->nodes[i]));
	return length;
}

/* Most items that an array can have as its tuple is closed; -1 if open. */
int
postrider_compare_tuple_length(const NodeSet *set)
{
	int			length = -1;

	for (int i = 0; i < set->count; i++)
	{
		SchemaNode		rest;

		if (rest_of(&set->nodes[i], &rest) && rest.kind == NODE_FALSE &&
			(length < 0 || prefix_length(&set->nodes[i]) < length))
			length = prefix_length(&set->nodes[i]);
	}
	return length;
}

/* True if old arrays have at most this many items. */
static bool
is_shorter(Compare *compare, const NodeSet *set, int length)
{
	Numeric		bound = postrider_compare_bound(compare, set, "maxItems", false);
	int			tuple = postrider_compare_tuple_length(set);

	if (tuple >= 0 && tuple <= length)
		return true;
	return bound != NULL &&
		DatumGetBool(DirectFunctionCall2(numeric_le, NumericGetDatum(bound),
										 NumericGetDatum(int64_to_numeric(length))));
}

static bool
check_item(Compare *compare, const Check *check, int index, SchemaNode child,
		   const char *keyword)
{
	NodeSet		item;
	char		number[16];
	Place		place = {
		.parent = check->place, .keyword = keyword, .field = FIELD_INDEX
	};

	if (is_shorter(compare, check->old, index))
		return true;
	snprintf(number, sizeof(number), "%d", index);
	place.key = number;
	item_set(compare, check->old, index, &item);
	return postrider_compare_check(compare, &item, child, &place);
}

bool
postrider_compare_prefix_items(Compare *compare, const Check *check,
							   const JsonbValue *value)
{
	bool		ok = true;

	for (int i = 0; i < postrider_compare_length(value); i++)
	{
		ok &= check_item(compare, check, i,
						 postrider_compare_element(&check->new, value, i),
						 "prefixItems");
		if (!ok && compare->quiet > 0)
			break;
	}
	return ok;
}

/* The items from number "first" on must match the new schema. */
static bool
check_rest(Compare *compare, const Check *check, int first, SchemaNode child)
{
	int			length = longest_prefix(check->old);
	bool		ok = true;
	NodeSet		rest;
	Place		place = {
		.parent = check->place, .keyword = check->keyword,
		.field = FIELD_ITEMS
	};

	if (child.kind == NODE_FALSE)
		return is_shorter(compare, check->old, first) ||
			postrider_compare_breaks(compare, check->place, check->keyword,
									 "items_closed",
									 "%s may no longer have more than %d item%s",
									 postrider_compare_field(check->place), first,
									 first == 1 ? "" : "s");
	for (int i = first; i < length; i++)
	{
		ok &= check_item(compare, check, i, child, check->keyword);
		if (!ok && compare->quiet > 0)
			return false;
	}
	if (is_shorter(compare, check->old, Max(first, length)))
		return ok;
	item_set(compare, check->old, Max(first, length), &rest);
	return postrider_compare_check(compare, &rest, child, &place) && ok;
}

bool
postrider_compare_items(Compare *compare, const Check *check,
						const JsonbValue *value)
{
	return check_rest(compare, check, prefix_length(&check->new),
					  postrider_compare_child(&check->new, value));
}

bool
postrider_compare_unevaluated_items(Compare *compare, const Check *check,
									const JsonbValue *value)
{
	SchemaNode		rest = postrider_compare_child(&check->new, value);
	NodeSet		namers;
	SchemaNode		child;

	/* Where the same is evaluated, the same is left over. */
	for (int i = 0; i < check->old->count; i++)
	{
		const SchemaNode *old_node = &check->old->nodes[i];

		if (postrider_compare_subschema(old_node, "unevaluatedItems", &child) &&
			!postrider_compare_subschema(old_node, "items", &(SchemaNode) {0}) &&
			prefix_length(old_node) <= prefix_length(&check->new) &&
			postrider_compare_same_keyword(compare, old_node, &check->new, "contains") &&
			postrider_compare_same_applicators(compare, old_node, &check->new) &&
			postrider_compare_prove_node(compare, child, rest))
			return true;
	}
	postrider_compare_set_init(&namers);
	postrider_compare_set_add(compare, &namers, check->new);
	for (int i = 0; i < namers.count; i++)
		if (postrider_compare_subschema(&namers.nodes[i], "items", &child) ||
			(i > 0 && postrider_compare_subschema(&namers.nodes[i], "unevaluatedItems", &child)))
			return true;
	return check_rest(compare, check, longest_prefix(&namers), rest);
}

/*
 * contains
 */

static Numeric
number_of(const SchemaNode *node, const char *keyword, int missing)
{
	JsonbValue	value;

	if (postrider_compare_node_get(node, keyword, &value) &&
		value.type == jbvNumeric)
		return value.val.numeric;
	return missing < 0 ? NULL : int64_to_numeric(missing);
}

static bool
at_least(Numeric a, Numeric b)
{
	return DatumGetBool(DirectFunctionCall2(numeric_ge, NumericGetDatum(a),
											NumericGetDatum(b)));
}

/* True if all items match, and there are enough of them. */
static bool
all_items_match(Compare *compare, const NodeSet *old, SchemaNode child, Numeric minimum)
{
	Numeric		bound = postrider_compare_bound(compare, old, "minItems", true);
	int			length = longest_prefix(old);

	if (bound == NULL || !at_least(bound, minimum))
		return false;
	for (int i = 0; i <= length; i++)
	{
		NodeSet		item;

		CHECK_FOR_INTERRUPTS();
		item_set(compare, old, i, &item);
		if (!postrider_compare_prove(compare, &item, child))
			return false;
	}
	return true;
}

static bool
enough_matches(Compare *compare, const NodeSet *old, SchemaNode child, Numeric minimum)
{
	SchemaNode		old_child;

	if (at_least(int64_to_numeric(0), minimum) ||
		all_items_match(compare, old, child, minimum))
		return true;
	for (int i = 0; i < old->count; i++)
		if (postrider_compare_subschema(&old->nodes[i], "contains", &old_child) &&
			at_least(number_of(&old->nodes[i], "minContains", 1), minimum) &&
			postrider_compare_prove_node(compare, old_child, child))
			return true;
	return false;
}

static bool
few_matches(Compare *compare, const NodeSet *old, SchemaNode child, Numeric maximum)
{
	Numeric		items = postrider_compare_bound(compare, old, "maxItems", false);
	SchemaNode		old_child;

	if (items != NULL && at_least(maximum, items))
		return true;
	for (int i = 0; i < old->count; i++)
	{
		Numeric		old_maximum = number_of(&old->nodes[i], "maxContains", -1);

		if (old_maximum != NULL && at_least(maximum, old_maximum) &&
			postrider_compare_subschema(&old->nodes[i], "contains", &old_child) &&
			postrider_compare_prove_node(compare, child, old_child))
			return true;
	}
	return false;
}

bool
postrider_compare_contains(Compare *compare, const Check *check,
						   const JsonbValue *value)
{
	SchemaNode		child = postrider_compare_child(&check->new, value);
	Numeric		minimum = number_of(&check->new, "minContains", 1);
	Numeric		maximum = number_of(&check->new, "maxContains", -1);
	bool		ok = true;

	if (!enough_matches(compare, check->old, child, minimum))
		ok = postrider_compare_breaks(compare, check->place, "contains",
									  "contains_narrowed",
									  "%s must now have items that match \"contains\": at least %s; this may break",
									  postrider_compare_field(check->place),
									  DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(minimum))));
	if (maximum != NULL && !few_matches(compare, check->old, child, maximum))
		ok = postrider_compare_breaks(compare, check->place, "maxContains",
									  "contains_narrowed",
									  "%s may no longer have as many items that match \"contains\": at most %s; this may break",
									  postrider_compare_field(check->place),
									  DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(maximum))));
	return ok;
}

bool
postrider_compare_unique(Compare *compare, const Check *check,
						 const JsonbValue *value)
{
	if (value->type != jbvBool || !value->val.boolean ||
		is_shorter(compare, check->old, 1))
		return true;
	for (int i = 0; i < check->old->count; i++)
	{
		JsonbValue	old_value;

		if (postrider_compare_node_get(&check->old->nodes[i], "uniqueItems", &old_value) &&
			old_value.type == jbvBool && old_value.val.boolean)
			return true;
	}
	return postrider_compare_breaks(compare, check->place, "uniqueItems",
									"unique_added",
									"the items of %s must now all differ",
									postrider_compare_field(check->place));
}
