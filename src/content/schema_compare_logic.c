/*-------------------------------------------------------------------------
 *
 * schema_compare_logic.c
 *	  Comparison of the keywords that combine schemas.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_compare_internal.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* Parts into which the old schemas are cut to be proven one by one. */
#define CASES_MAX 256

bool
postrider_compare_all_of(Compare *compare, const Check *check,
						 const JsonbValue *value)
{
	bool		ok = true;

	for (int i = 0; i < postrider_compare_length(value); i++)
	{
		char		number[16];
		Place		place = {
			.parent = check->place, .keyword = "allOf", .key = number
		};

		snprintf(number, sizeof(number), "%d", i);
		ok &= postrider_compare_check(compare, check->old,
									  postrider_compare_element(&check->new, value, i),
									  &place);
		if (!ok && compare->quiet > 0)
			break;
	}
	return ok;
}

/* $ref and $dynamicRef */
bool
postrider_compare_ref(Compare *compare, const Check *check,
					  const JsonbValue *value)
{
	SchemaNode		target;
	Place		place = {.parent = check->place, .keyword = check->keyword};

	if (postrider_compare_reference(compare, &check->new, check->keyword, &target))
		return postrider_compare_check(compare, check->old, target, &place);

	/* What is outside of both schemas is the same for both. */
	for (int i = 0; i < check->old->count; i++)
	{
		JsonbValue	old_value;

		if (strcmp(check->keyword, "$ref") == 0 && value->type == jbvString &&
			memchr(value->val.string.val, ':', value->val.string.len) != NULL &&
			postrider_compare_node_get(&check->old->nodes[i], "$ref", &old_value) &&
			postrider_compare_equal(&old_value, value))
			return true;
	}
	return postrider_compare_breaks(compare, check->place, check->keyword, "undecided",
									"%s must match the schema %s, of which nothing is known here; this may break",
									postrider_compare_field(check->place),
									postrider_compare_show(value));
}

/*
 * Cases
 */

/*
 * The first anyOf or oneOf of the set of which no branch has been added; false
 * if there is none.
 */
bool
postrider_compare_split(const NodeSet *set, int *node, const char **keyword,
						JsonbValue *branches)
{
	for (int i = 0; i < set->count; i++)
	{
		*node = i;
		*keyword = "anyOf";
		if (!set->nodes[i].any_split &&
			postrider_compare_node_get(&set->nodes[i], *keyword, branches))
			return true;
		*keyword = "oneOf";
		if (!set->nodes[i].one_split &&
			postrider_compare_node_get(&set->nodes[i], *keyword, branches))
			return true;
	}
	return false;
}

/* The set with one branch of its anyOf or oneOf added. */
void
postrider_compare_branch(Compare *compare, const NodeSet *set, int node,
						 const char *keyword, const JsonbValue *branches,
						 int index, NodeSet *result)
{
	*result = *set;
	if (strcmp(keyword, "anyOf") == 0)
		result->nodes[node].any_split = true;
	else
		result->nodes[node].one_split = true;
	postrider_compare_set_add(compare, result,
							  postrider_compare_element(&set->nodes[node],
														branches, index));
}

/* A part of the old schemas, and what is shown of it. */
typedef struct Case
{
	NodeSet		set;
	const char *shown;
} Case;

/* A schema that only names a type, to cut a set by types. */
static SchemaNode
type_node(const char *name)
{
	JsonbParseState *state = NULL;
	JsonbValue	value = {.type = jbvString};
	Jsonb	   *schema;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	value.val.string.val = pstrdup("type");
	value.val.string.len = strlen("type");
	pushJsonbValue(&state, WJB_KEY, &value);
	value.val.string.val = unconstify(char *, name);
	value.val.string.len = strlen(name);
	pushJsonbValue(&state, WJB_VALUE, &value);
	schema = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	return postrider_compare_root(schema);
}

static List *
add_case(List *cases, const NodeSet *set, char *shown)
{
	Case	   *part = palloc(sizeof(Case));

	part->set = *set;
	part->shown = shown;
	return lappend(cases, part);
}

static List *
cases_by_type(Compare *compare, const NodeSet *set, uint32 types)
{
	static const struct
	{
		uint32		type;
		const char *name;
	}			names[] = {
		{TYPE_NULL, "null"}, {TYPE_BOOLEAN, "boolean"}, {TYPE_OBJECT, "object"},
		{TYPE_ARRAY, "array"}, {TYPE_STRING, "string"}, {TYPE_NUMBER, "number"}
	};
	List	   *cases = NIL;

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		NodeSet		part = *set;

		if ((types & names[i].type) == 0 || part.count == NODE_SET_MAX)
			continue;
		postrider_compare_set_add(compare, &part, type_node(names[i].name));
		cases = add_case(cases, &part,
						 postrider_compare_type_names(types & names[i].type));
	}
	return cases;
}

/*
 * Cuts the old schemas into cases of which each instance is one: the branches
 * of an anyOf or oneOf, or else the types.
 */
static List *
find_cases(Compare *compare, const Check *check)
{
	JsonbValue	branches;
	int			node;
	const char *keyword;
	List	   *cases = NIL;
	int			length;

	if (postrider_compare_split(check->old, &node, &keyword, &branches) &&
		(length = postrider_compare_length(&branches)) <= CASES_MAX)
	{
		for (int i = 0; i < length; i++)
		{
			NodeSet		set;

			postrider_compare_branch(compare, check->old, node, keyword,
									 &branches, i, &set);
			cases = add_case(cases, &set, psprintf("what alternative %d of %s was for",
												   i + 1, keyword));
		}
		return cases;
	}
	return cases_by_type(compare, check->old, check->types);
}

/* True if one branch takes all of the set. */
static bool
find_branch(Compare *compare, const NodeSet *old, const SchemaNode *new_node,
			const JsonbValue *branches)
{
	int			length = postrider_compare_length(branches);

	for (int i = 0; i < length; i++)
		if (postrider_compare_prove(compare, old,
									postrider_compare_element(new_node, branches, i)))
			return true;
	return false;
}

/*
 * The set is in one branch of the old node's oneOf, thus in none of the others.
 * True if what is in "other" is in one of these.
 */
static bool
is_in_rival(Compare *compare, const NodeSet *old, const SchemaNode *old_node,
			const NodeSet *other)
{
	JsonbValue	branches;
	bool		has_own = false;
	bool		result = false;

	if (!postrider_compare_node_get(old_node, "oneOf", &branches))
		return false;
	for (int i = 0; i < postrider_compare_length(&branches); i++)
	{
		SchemaNode		rival = postrider_compare_element(old_node, &branches, i);
		bool		is_own = false;

		for (int k = 0; k < old->count; k++)
			is_own |= rival.kind == NODE_OBJECT &&
				old->nodes[k].object == rival.object;
		has_own |= is_own;
		if (!is_own && !result)
			result = postrider_compare_prove(compare, other, rival);
	}

	/* A branch that did not fit into the set cannot be told from the others. */
	return result && has_own;
}

/*
 * True if the set is in one branch and outside of all others: each of these is
 * disjoint from it, or within a branch of the same old oneOf as the set, but
 * another one.
 */
static bool
find_only_branch(Compare *compare, const NodeSet *old, const SchemaNode *new_node,
				 const JsonbValue *branches)
{
	int			length = postrider_compare_length(branches);
	int			home = -1;

	for (int i = 0; i < length && home < 0; i++)
		if (postrider_compare_prove(compare, old,
									postrider_compare_element(new_node, branches, i)))
			home = i;
	if (home < 0)
		return false;
	for (int i = 0; i < length; i++)
	{
		SchemaNode		branch = postrider_compare_element(new_node, branches, i);
		NodeSet		other;
		bool		apart;

		if (i == home)
			continue;
		CHECK_FOR_INTERRUPTS();
		postrider_compare_set_init(&other);
		postrider_compare_set_add(compare, &other, branch);
		apart = postrider_compare_disjoint(compare, old, &other, 0);
		for (int n = 0; n < old->count && !apart; n++)
			apart = old->nodes[n].one_split &&
				is_in_rival(compare, old, &old->nodes[n], &other);
		if (!apart)
			return false;
	}
	return true;
}

typedef bool (*FindBranch) (Compare *compare, const NodeSet *old,
							const SchemaNode *new_node, const JsonbValue *branches);

static bool
check_alternatives(Compare *compare, const Check *check,
				   const JsonbValue *value, FindBranch find)
{
	List	   *cases;
	ListCell   *cell;
	bool		ok = true;

	if (find(compare, check->old, &check->new, value))
		return true;
	cases = find_cases(compare, check);
	if (list_length(cases) < 2)
		return postrider_compare_breaks(compare, check->place, check->keyword,
										"alternatives_narrowed",
										"%s must now match %s alternative of %s; this may break",
										postrider_compare_field(check->place),
										find == find_branch ? "an" : "exactly one",
										check->keyword);
	foreach(cell, cases)
	{
		Case	   *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (find(compare, &part->set, &check->new, value))
			continue;

		/* Cut it further: nested alternatives, types of a branch. */
		if (list_length(cases) > 1)
		{
			Check		inner = *check;
			bool		proven;

			inner.old = &part->set;
			inner.types = postrider_compare_types(compare, &part->set);
			if (inner.types == 0)
				continue;
			compare->quiet++;
			proven = (inner.types & (inner.types - 1)) != 0 &&
				inner.types != check->types &&
				check_alternatives(compare, &inner, value, find);
			compare->quiet--;
			if (proven)
				continue;
		}
		ok = postrider_compare_breaks(compare, check->place, check->keyword,
									  "alternative_removed",
									  "%s may no longer be %s, or not all of it; this may break",
									  postrider_compare_field(check->place), part->shown);
		if (compare->quiet > 0)
			break;
	}
	return ok;
}

bool
postrider_compare_any_of(Compare *compare, const Check *check,
						 const JsonbValue *value)
{
	return check_alternatives(compare, check, value, find_branch);
}

bool
postrider_compare_one_of(Compare *compare, const Check *check,
						 const JsonbValue *value)
{
	return check_alternatives(compare, check, value, find_only_branch);
}

/*
 * not and if
 */

bool
postrider_compare_not(Compare *compare, const Check *check,
					  const JsonbValue *value)
{
	SchemaNode		refused = postrider_compare_child(&check->new, value);
	NodeSet		set;
	SchemaNode		old_refused;

	postrider_compare_set_init(&set);
	postrider_compare_set_add(compare, &set, refused);
	if (postrider_compare_disjoint(compare, check->old, &set, 0))
		return true;
	for (int i = 0; i < check->old->count; i++)
		if (postrider_compare_subschema(&check->old->nodes[i], "not", &old_refused) &&
			postrider_compare_prove(compare, &set, old_refused))
			return true;
	return postrider_compare_breaks(compare, check->place, "not", "not_widened",
									"%s must now not match the schema of \"not\"; this may break",
									postrider_compare_field(check->place));
}

/*
 * Where the condition holds, it is known to hold; and where an old schema has
 * the same condition, its consequence is known too.
 */
static bool
check_consequence(Compare *compare, const Check *check, const SchemaNode *condition,
				  const char *keyword)
{
	NodeSet		set = *check->old;
	SchemaNode		child;
	SchemaNode		old_child;

	if (!postrider_compare_subschema(&check->new, keyword, &child))
		return true;
	if (strcmp(keyword, "then") == 0)
		postrider_compare_set_add(compare, &set, *condition);
	for (int i = 0; i < check->old->count; i++)
	{
		const SchemaNode *old_node = &check->old->nodes[i];

		if (postrider_compare_subschema(old_node, "if", &old_child) &&
			postrider_compare_same(compare, &old_child, condition) &&
			postrider_compare_subschema(old_node, keyword, &old_child))
			postrider_compare_set_add(compare, &set, old_child);
	}
	if (postrider_compare_prove(compare, &set, child))
		return true;
	return postrider_compare_breaks(compare, check->place, keyword,
									"condition_changed",
									"%s must now match another schema where the condition of \"if\" %s; this may break",
									postrider_compare_field(check->place),
									strcmp(keyword, "then") == 0 ? "holds" : "does not hold");
}

bool
postrider_compare_if(Compare *compare, const Check *check,
					 const JsonbValue *value)
{
	SchemaNode		condition = postrider_compare_child(&check->new, value);
	bool		ok;

	ok = check_consequence(compare, check, &condition, "then");
	return check_consequence(compare, check, &condition, "else") && ok;
}
