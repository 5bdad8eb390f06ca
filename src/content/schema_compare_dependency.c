/*-------------------------------------------------------------------------
 *
 * schema_compare_dependency.c
 *	  Comparison of propertyNames and of what properties depend on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_compare_internal.h"
#include "miscadmin.h"
#include "utils/builtins.h"

bool
postrider_compare_names(Compare *compare, const Check *check,
						const JsonbValue *value)
{
	SchemaNode		new_names = postrider_compare_child(&check->new, value);
	NodeSet		old_names;
	List	   *names;
	ListCell   *cell;
	SchemaNode		child;
	Place		place = {
		.parent = check->place, .keyword = "propertyNames", .field = FIELD_NAME
	};

	if (postrider_compare_closed(check->old, &names) &&
		!postrider_compare_has_reference(value))
	{
		bool		ok = true;

		foreach(cell, names)
		{
			JsonbValue	name = {.type = jbvString};

			name.val.string.val = lfirst(cell);
			name.val.string.len = strlen(lfirst(cell));
			ok &= postrider_compare_satisfies(value, &name);
		}
		if (ok)
			return true;
	}
	postrider_compare_set_init(&old_names);
	for (int i = 0; i < check->old->count; i++)
		if (postrider_compare_subschema(&check->old->nodes[i], "propertyNames", &child))
			postrider_compare_set_add(compare, &old_names, child);
	if (old_names.count == 0 && !old_names.never)
		return new_names.kind == NODE_TRUE ||
			postrider_compare_breaks(compare, check->place, "propertyNames",
									 "property_names_restricted",
									 "names of properties of %s must now match a schema; this may break",
									 postrider_compare_field(check->place));
	return postrider_compare_check(compare, &old_names, new_names, &place);
}

/* True if an object with the property has the other one too. */
static bool
has_dependency(Compare *compare, const NodeSet *set, const char *name,
			   const char *other)
{
	static const char *const keywords[] = {"dependentRequired", "dependencies"};
	NodeSet		property;
	bool		is_named;

	if (strcmp(name, other) == 0 || postrider_compare_requires(set, other))
		return true;
	for (int i = 0; i < set->count; i++)
		for (int k = 0; k < (int) lengthof(keywords); k++)
		{
			JsonbValue	map;
			JsonbValue	list;
			JsonbValue	key = {.type = jbvString};

			key.val.string.val = unconstify(char *, other);
			key.val.string.len = strlen(other);
			if (postrider_compare_node_get(&set->nodes[i], keywords[k], &map) &&
				map.type == jbvBinary &&
				postrider_compare_get(map.val.binary.data, name, &list) &&
				list.type == jbvBinary &&
				JsonContainerIsArray(list.val.binary.data) &&
				findJsonbValueFromContainer(list.val.binary.data, JB_FARRAY, &key))
				return true;
		}
	postrider_compare_property(compare, set, name, &property, &is_named);
	return postrider_compare_types(compare, &property) == 0;
}

static bool
check_dependent_names(Compare *compare, const Check *check, const char *name,
					  const JsonbValue *list)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	other;
	bool		ok = true;

	iterator = JsonbIteratorInit(list->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &other, true)) != WJB_DONE)
	{
		char	   *key;

		if (token != WJB_ELEM || other.type != jbvString)
			continue;
		key = pnstrdup(other.val.string.val, other.val.string.len);
		if (!has_dependency(compare, check->old, name, key))
			ok = postrider_compare_breaks(compare, check->place, check->keyword,
										  "dependency_added",
										  "%s is now required where %s is there",
										  postrider_compare_subfield(check->place, key),
										  postrider_compare_subfield(check->place, name));
	}
	return ok;
}

static bool
check_dependent_schema(Compare *compare, const Check *check, const char *name,
					   const JsonbValue *schema)
{
	SchemaNode		child = postrider_compare_child(&check->new, schema);
	NodeSet		set = *check->old;
	NodeSet		property;
	bool		is_named;

	postrider_compare_property(compare, check->old, name, &property, &is_named);
	if (postrider_compare_types(compare, &property) == 0)
		return true;
	for (int i = 0; i < check->old->count; i++)
	{
		SchemaNode		old_child;

		if (postrider_compare_member(&check->old->nodes[i], "dependentSchemas", name, &old_child) ||
			postrider_compare_member(&check->old->nodes[i], "dependencies", name, &old_child))
			postrider_compare_set_add(compare, &set, old_child);
	}
	if (postrider_compare_prove(compare, &set, child))
		return true;
	return postrider_compare_breaks(compare, check->place, check->keyword,
									"dependency_added",
									"%s must now match another schema where %s is there; this may break",
									postrider_compare_field(check->place),
									postrider_compare_subfield(check->place, name));
}

/* dependentRequired, dependentSchemas, and dependencies, which is both. */
bool
postrider_compare_dependencies(Compare *compare, const Check *check,
							   const JsonbValue *value)
{
	ListCell   *cell;
	bool		ok = true;

	foreach(cell, postrider_compare_keys(value))
	{
		JsonbValue	member;

		CHECK_FOR_INTERRUPTS();
		(void) postrider_compare_get(value->val.binary.data, lfirst(cell), &member);
		if (member.type == jbvBinary && JsonContainerIsArray(member.val.binary.data))
			ok &= check_dependent_names(compare, check, lfirst(cell), &member);
		else
			ok &= check_dependent_schema(compare, check, lfirst(cell), &member);
		if (!ok && compare->quiet > 0)
			break;
	}
	return ok;
}
