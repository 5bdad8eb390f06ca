/*-------------------------------------------------------------------------
 *
 * schema_compare_object.c
 *	  Comparison of the keywords of objects.
 *
 * Properties are of two kinds: those that some schema names, which are looked
 * at one by one, and the others, of which a schema says that they match one
 * of its patterns or its additionalProperties.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_compare_internal.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* Keywords that apply further schemas to the same object or array. */
static const char *const applicators[] = {
	"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "then", "else",
	"dependentSchemas", "dependencies"
};

/*
 * What a schema says of other properties than those it evaluates: the value
 * of additionalProperties, or of unevaluatedProperties where nothing beside it
 * evaluates anything.  False if it says nothing.
 */
static bool
rest_of(const SchemaNode *node, SchemaNode *rest)
{
	JsonbValue	value;

	if (postrider_compare_subschema(node, "additionalProperties", rest))
		return true;
	for (int i = 0; i < (int) lengthof(applicators); i++)
		if (postrider_compare_node_get(node, applicators[i], &value))
			return false;
	return postrider_compare_subschema(node, "unevaluatedProperties", rest);
}

/*
 * What the members of a set say of one property.  is_named is false if it is
 * one of the others for all of them.
 */
void
postrider_compare_property(Compare *compare, const NodeSet *set,
						   const char *name, NodeSet *property, bool *is_named)
{
	postrider_compare_set_init(property);
	*is_named = false;
	for (int i = 0; i < set->count; i++)
	{
		const SchemaNode *node = &set->nodes[i];
		SchemaNode		child;
		JsonbValue	patterns;
		ListCell   *cell;
		bool		found = false;

		if (postrider_compare_member(node, "properties", name, &child))
		{
			postrider_compare_set_add(compare, property, child);
			found = true;
		}
		if (postrider_compare_node_get(node, "patternProperties", &patterns))
			foreach(cell, postrider_compare_keys(&patterns))
			{
				if (!postrider_compare_matches(compare, lfirst(cell), name))
					continue;
				(void) postrider_compare_member(node, "patternProperties",
												lfirst(cell), &child);
				postrider_compare_set_add(compare, property, child);
				found = true;
			}
		if (found)
			*is_named = true;
		else if (rest_of(node, &child))
			postrider_compare_set_add(compare, property, child);
	}
}

/* The names that properties of any member have. */
static List *
named_properties(const NodeSet *set)
{
	List	   *names = NIL;

	for (int i = 0; i < set->count; i++)
	{
		JsonbValue	properties;
		ListCell   *cell;
		int			before = list_length(names);

		if (!postrider_compare_node_get(&set->nodes[i], "properties", &properties))
			continue;
		foreach(cell, postrider_compare_keys(&properties))
		{
			ListCell   *other;
			bool		known = false;

			if (before > 0)
				foreach(other, names)
					if (strcmp(lfirst(other), lfirst(cell)) == 0)
						known = true;
			if (!known)
				names = lappend(names, lfirst(cell));
		}
	}
	return names;
}

/* True if no other properties than these can be there. */
bool
postrider_compare_closed(const NodeSet *set, List **names)
{
	for (int i = 0; i < set->count; i++)
	{
		SchemaNode		rest;
		JsonbValue	properties;

		if (!rest_of(&set->nodes[i], &rest) || rest.kind != NODE_FALSE ||
			(postrider_compare_node_get(&set->nodes[i], "patternProperties", &properties) &&
			 postrider_compare_keys(&properties) != NIL))
			continue;
		*names = NIL;
		if (postrider_compare_node_get(&set->nodes[i], "properties", &properties))
			*names = postrider_compare_keys(&properties);
		return true;
	}
	return false;
}

static bool
has_pattern(const SchemaNode *node, const char *pattern)
{
	SchemaNode		child;

	return postrider_compare_member(node, "patternProperties", pattern, &child);
}

/*
 * True if what one old member says of properties that it does not name implies
 * the new schema, whichever of its patterns match.  Properties that match a
 * pattern of "covered" too are left out.
 */
static bool
others_of_node(Compare *compare, const SchemaNode *node, const SchemaNode *covered,
			   SchemaNode new_node)
{
	SchemaNode		child;
	JsonbValue	patterns;
	ListCell   *cell;

	if (postrider_compare_node_get(node, "patternProperties", &patterns))
		foreach(cell, postrider_compare_keys(&patterns))
		{
			if (covered && has_pattern(covered, lfirst(cell)))
				continue;
			(void) postrider_compare_member(node, "patternProperties",
											lfirst(cell), &child);
			if (!postrider_compare_prove_node(compare, child, new_node))
				return false;
		}
	if (!rest_of(node, &child))
		return false;
	return postrider_compare_prove_node(compare, child, new_node);
}

static bool
prove_others(Compare *compare, const NodeSet *old, const SchemaNode *covered,
			 SchemaNode new_node)
{
	NodeSet		nothing;

	postrider_compare_set_init(&nothing);
	if (postrider_compare_prove(compare, &nothing, new_node))
		return true;
	for (int i = 0; i < old->count; i++)
		if (others_of_node(compare, &old->nodes[i], covered, new_node))
			return true;
	return false;
}

bool
postrider_compare_required(Compare *compare, const Check *check,
						   const JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	name;
	bool		ok = true;

	if (value->type != jbvBinary)
		return true;
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
	{
		char	   *key;

		if (token != WJB_ELEM || name.type != jbvString)
			continue;
		key = pnstrdup(name.val.string.val, name.val.string.len);
		if (!postrider_compare_requires(check->old, key))
			ok = postrider_compare_breaks(compare, check->place, "required",
										  "required_added",
										  "%s is now required",
										  postrider_compare_subfield(check->place, key));
		if (!ok && compare->quiet > 0)
			break;
	}
	return ok;
}

/* One property that the new schema names. */
static bool
check_property(Compare *compare, const Check *check, const char *name, SchemaNode child)
{
	NodeSet		property;
	bool		is_named;
	Place		place = {
		.parent = check->place, .keyword = "properties", .key = name,
		.field = FIELD_PROPERTY
	};

	postrider_compare_property(compare, check->old, name, &property, &is_named);
	if (is_named)
		return postrider_compare_check(compare, &property, child, &place);
	if (postrider_compare_prove(compare, &property, child))
		return true;
	return postrider_compare_breaks(compare, &place, NULL, "property_restricted",
									"%s could be anything that other properties could be, and must now match a schema; this may break",
									postrider_compare_field(&place));
}

bool
postrider_compare_properties(Compare *compare, const Check *check,
							 const JsonbValue *value)
{
	ListCell   *cell;
	bool		ok = true;

	foreach(cell, postrider_compare_keys(value))
	{
		SchemaNode		child;

		(void) postrider_compare_member(&check->new, "properties", lfirst(cell),
										&child);
		ok &= check_property(compare, check, lfirst(cell), child);
		if (!ok && compare->quiet > 0)
			break;
	}
	return ok;
}

/* The properties that match one pattern of the new schema. */
static bool
check_one_pattern(Compare *compare, const Check *check, const char *pattern,
				  SchemaNode child, List *names)
{
	Place		place = {
		.parent = check->place, .keyword = "patternProperties",
		.key = pattern, .field = FIELD_OTHERS
	};
	ListCell   *cell;
	bool		ok = true;
	SchemaNode		old_child;

	foreach(cell, names)
	{
		NodeSet		property;
		bool		is_named;

		if (!postrider_compare_matches(compare, pattern, lfirst(cell)))
			continue;
		postrider_compare_property(compare, check->old, lfirst(cell), &property,
								   &is_named);
		if (!postrider_compare_prove(compare, &property, child))
			ok = postrider_compare_breaks(compare, &place, NULL, "pattern_properties_changed",
										  "%s must now match the schema of properties like \"%s\"; this may break",
										  postrider_compare_subfield(check->place, lfirst(cell)),
										  pattern);
	}
	for (int i = 0; i < check->old->count; i++)
	{
		NodeSet		set;

		if (!postrider_compare_member(&check->old->nodes[i], "patternProperties",
									  pattern, &old_child))
			continue;
		postrider_compare_set_init(&set);
		postrider_compare_set_add(compare, &set, old_child);
		return postrider_compare_check(compare, &set, child, &place) && ok;
	}
	if (prove_others(compare, check->old, NULL, child))
		return ok;
	return postrider_compare_breaks(compare, &place, NULL, "pattern_properties_changed",
									"properties of %s with a name like \"%s\" must now match a schema; this may break",
									postrider_compare_field(check->place), pattern);
}

bool
postrider_compare_pattern_properties(Compare *compare, const Check *check,
									 const JsonbValue *value)
{
	ListCell   *cell;
	List	   *names = named_properties(check->old);
	bool		ok = true;

	foreach(cell, postrider_compare_keys(value))
	{
		SchemaNode		child;

		(void) postrider_compare_member(&check->new, "patternProperties",
										lfirst(cell), &child);
		ok &= check_one_pattern(compare, check, lfirst(cell), child, names);
		if (!ok && compare->quiet > 0)
			break;
	}
	return ok;
}

/*
 * Properties that the new schema does not name
 */

/* True if the name is a property of the schema, or matches a pattern of it. */
static bool
names_property(Compare *compare, const SchemaNode *node, const char *name)
{
	SchemaNode		child;
	JsonbValue	patterns;
	ListCell   *cell;

	if (postrider_compare_member(node, "properties", name, &child))
		return true;
	if (postrider_compare_node_get(node, "patternProperties", &patterns))
		foreach(cell, postrider_compare_keys(&patterns))
			if (postrider_compare_matches(compare, lfirst(cell), name))
				return true;
	return false;
}

static bool
set_names_property(Compare *compare, const NodeSet *set, const char *name)
{
	for (int i = 0; i < set->count; i++)
		if (names_property(compare, &set->nodes[i], name))
			return true;
	return false;
}

static bool
report_others(Compare *compare, const Check *check, const Place *place, SchemaNode rest)
{
	SchemaNode		old_rest;

	if (rest.kind == NODE_FALSE)
		return postrider_compare_breaks(compare, place, NULL,
										"additional_properties_closed",
										"%s may no longer have other properties than those listed",
										postrider_compare_field(check->place));
	if (check->old->count == 1 && rest_of(&check->old->nodes[0], &old_rest) &&
		old_rest.kind == NODE_OBJECT)
	{
		NodeSet		set;

		postrider_compare_set_init(&set);
		postrider_compare_set_add(compare, &set, old_rest);
		if (!postrider_compare_check(compare, &set, rest, place))
			return false;
	}
	return postrider_compare_breaks(compare, place, NULL,
									"additional_properties_narrowed",
									"other properties of %s must now match a schema; this may break",
									postrider_compare_field(check->place));
}

/*
 * The new schema says "rest" of all properties that no member of "namers"
 * names.
 */
static bool
check_rest(Compare *compare, const Check *check, const NodeSet *namers, SchemaNode rest)
{
	ListCell   *cell;
	bool		ok = true;
	Place		others = {
		.parent = check->place, .keyword = check->keyword,
		.field = FIELD_OTHERS
	};

	foreach(cell, named_properties(check->old))
	{
		NodeSet		property;
		bool		is_named;

		if (set_names_property(compare, namers, lfirst(cell)))
			continue;
		postrider_compare_property(compare, check->old, lfirst(cell), &property,
								   &is_named);
		if (rest.kind == NODE_FALSE)
		{
			if (postrider_compare_types(compare, &property) != 0)
				ok = postrider_compare_breaks(compare, check->place, check->keyword,
											  "property_removed",
											  "%s is no longer allowed",
											  postrider_compare_subfield(check->place, lfirst(cell)));
		}
		else if (!postrider_compare_prove(compare, &property, rest))
			ok = postrider_compare_breaks(compare, check->place, check->keyword,
										  "property_restricted",
										  "%s must now match the schema of other properties; this may break",
										  postrider_compare_subfield(check->place, lfirst(cell)));
		if (!ok && compare->quiet > 0)
			return false;
	}
	for (int i = 0; i < namers->count; i++)
		if (prove_others(compare, check->old, &namers->nodes[i], rest))
			return ok;
	return report_others(compare, check, &others, rest);
}

bool
postrider_compare_additional(Compare *compare, const Check *check,
							 const JsonbValue *value)
{
	NodeSet		namers;

	postrider_compare_set_init(&namers);
	namers.nodes[namers.count++] = check->new;
	return check_rest(compare, check, &namers,
					  postrider_compare_child(&check->new, value));
}

/* True if all keywords that apply further schemas in place are the same. */
bool
postrider_compare_same_applicators(Compare *compare, const SchemaNode *a, const SchemaNode *b)
{
	for (int i = 0; i < (int) lengthof(applicators); i++)
		if (!postrider_compare_same_keyword(compare, a, b, applicators[i]))
			return false;
	return true;
}

/* True if whatever properties "a" evaluates by itself, "b" does as well. */
static bool
evaluates_as_much(const SchemaNode *a, const SchemaNode *b)
{
	static const char *const maps[] = {"properties", "patternProperties"};
	SchemaNode		child;

	if (postrider_compare_subschema(b, "additionalProperties", &child))
		return true;
	if (postrider_compare_subschema(a, "additionalProperties", &child))
		return false;
	for (int i = 0; i < (int) lengthof(maps); i++)
	{
		JsonbValue	map;
		ListCell   *cell;

		if (postrider_compare_node_get(a, maps[i], &map))
			foreach(cell, postrider_compare_keys(&map))
				if (!postrider_compare_member(b, maps[i], lfirst(cell), &child))
					return false;
	}
	return true;
}

bool
postrider_compare_unevaluated(Compare *compare, const Check *check,
							  const JsonbValue *value)
{
	SchemaNode		rest = postrider_compare_child(&check->new, value);
	NodeSet		namers;
	SchemaNode		child;

	/* Where the same is evaluated, the same is left over. */
	for (int i = 0; i < check->old->count; i++)
	{
		const SchemaNode *old_node = &check->old->nodes[i];

		if (postrider_compare_subschema(old_node, "unevaluatedProperties", &child) &&
			postrider_compare_same_applicators(compare, old_node, &check->new) &&
			evaluates_as_much(old_node, &check->new) &&
			postrider_compare_prove_node(compare, child, rest))
			return true;
	}

	/* The members of allOf and $ref evaluate always; the rest, perhaps. */
	postrider_compare_set_init(&namers);
	postrider_compare_set_add(compare, &namers, check->new);
	for (int i = 0; i < namers.count; i++)
		if (postrider_compare_subschema(&namers.nodes[i], "additionalProperties", &child) ||
			(i > 0 && postrider_compare_subschema(&namers.nodes[i], "unevaluatedProperties", &child)))
			return true;
	return check_rest(compare, check, &namers, rest);
}
