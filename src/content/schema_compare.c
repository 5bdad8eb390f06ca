/*-------------------------------------------------------------------------
 *
 * schema_compare.c
 *	  Whether a change of a JSON Schema is backward compatible.
 *
 * Each keyword of the new schema must follow from the old ones.  If not, the
 * keyword's function has reported what may break, and the walk goes on, so
 * that all breaks are listed.  Where the old schema is a choice (anyOf, oneOf)
 * and nothing follows from all of it, each alternative is tried by itself.
 *
 * Recursion ends by assumption: a pair (old set, new node) that is met again
 * while it is under comparison, or was proven before, is taken as proven.
 * That is sound because an instance is finite: a smallest counterexample of
 * the assumption would be a part of a larger one, and each pair's keywords
 * are all looked at once.  What a trial has put on record is forgotten if the
 * trial fails.
 *
 * Time is bounded by a number of steps; beyond it nothing is proven.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "content/schema_compare_internal.h"
#include "miscadmin.h"

/* Pairs that are looked at before a comparison is given up as undecided. */
#define STEPS_MAX 20000

/* From then on, what breaks in several places is reported for the first only. */
#define REPEAT_STEPS_MAX 2000

/* Nesting of places; deeper than what a schema should have. */
#define DEPTH_MAX 500

typedef struct Keyword
{
	const char *name;
	uint32		types;			/* of which instances it says something */
	KeywordCheck check;
} Keyword;

static const Keyword keywords[] = {
	{"type", TYPE_ALL, postrider_compare_type},
	{"enum", TYPE_ALL, postrider_compare_enum},
	{"const", TYPE_ALL, postrider_compare_const},
	{"minimum", TYPE_NUMBER, postrider_compare_minimum},
	{"exclusiveMinimum", TYPE_NUMBER, postrider_compare_minimum},
	{"maximum", TYPE_NUMBER, postrider_compare_maximum},
	{"exclusiveMaximum", TYPE_NUMBER, postrider_compare_maximum},
	{"multipleOf", TYPE_NUMBER, postrider_compare_multiple},
	{"minLength", TYPE_STRING, postrider_compare_at_least},
	{"maxLength", TYPE_STRING, postrider_compare_at_most},
	{"pattern", TYPE_STRING, postrider_compare_pattern},
	{"format", TYPE_STRING, postrider_compare_format},
	{"required", TYPE_OBJECT, postrider_compare_required},
	{"properties", TYPE_OBJECT, postrider_compare_properties},
	{"patternProperties", TYPE_OBJECT, postrider_compare_pattern_properties},
	{"additionalProperties", TYPE_OBJECT, postrider_compare_additional},
	{"unevaluatedProperties", TYPE_OBJECT, postrider_compare_unevaluated},
	{"propertyNames", TYPE_OBJECT, postrider_compare_names},
	{"minProperties", TYPE_OBJECT, postrider_compare_at_least},
	{"maxProperties", TYPE_OBJECT, postrider_compare_at_most},
	{"dependentRequired", TYPE_OBJECT, postrider_compare_dependencies},
	{"dependentSchemas", TYPE_OBJECT, postrider_compare_dependencies},
	{"dependencies", TYPE_OBJECT, postrider_compare_dependencies},
	{"prefixItems", TYPE_ARRAY, postrider_compare_prefix_items},
	{"items", TYPE_ARRAY, postrider_compare_items},
	{"unevaluatedItems", TYPE_ARRAY, postrider_compare_unevaluated_items},
	{"contains", TYPE_ARRAY, postrider_compare_contains},
	{"uniqueItems", TYPE_ARRAY, postrider_compare_unique},
	{"minItems", TYPE_ARRAY, postrider_compare_at_least},
	{"maxItems", TYPE_ARRAY, postrider_compare_at_most},
	{"allOf", TYPE_ALL, postrider_compare_all_of},
	{"anyOf", TYPE_ALL, postrider_compare_any_of},
	{"oneOf", TYPE_ALL, postrider_compare_one_of},
	{"not", TYPE_ALL, postrider_compare_not},
	{"if", TYPE_ALL, postrider_compare_if},
	{"$ref", TYPE_ALL, postrider_compare_ref},
	{"$dynamicRef", TYPE_ALL, postrider_compare_ref}
};

/*
 * The record of pairs
 */

static int
compare_nodes(const void *a, const void *b)
{
	const SchemaNode *node_a = a;
	const SchemaNode *node_b = b;

	if (node_a->object != node_b->object)
		return node_a->object < node_b->object ? -1 : 1;
	return 0;
}

/* The set's members in an order that does not depend on how it was made. */
static SchemaNode *
sorted_nodes(const NodeSet *set)
{
	SchemaNode	   *nodes = palloc((set->count + 1) * sizeof(SchemaNode));

	memcpy(nodes, set->nodes, set->count * sizeof(SchemaNode));
	qsort(nodes, set->count, sizeof(SchemaNode), compare_nodes);
	return nodes;
}

static uint32
hash_pair(const SchemaNode *nodes, int count, const JsonbContainer *new_object)
{
	uint32		hash = hash_bytes((const unsigned char *) &new_object,
								  sizeof(new_object));

	for (int i = 0; i < count; i++)
	{
		uint32		flags = (nodes[i].any_split ? 1 : 0) | (nodes[i].one_split ? 2 : 0);

		hash = hash_combine(hash, hash_bytes((const unsigned char *) &nodes[i].object,
											 sizeof(nodes[i].object)));
		hash = hash_combine(hash, flags);
	}
	return hash;
}

static PairEntry *
find_pair(Compare *compare, uint32 hash, const SchemaNode *nodes, int count,
		  const JsonbContainer *new_object)
{
	for (int i = compare->buckets[hash % PAIR_BUCKETS]; i >= 0;
		 i = compare->pairs[i].next)
	{
		PairEntry  *entry = &compare->pairs[i];
		bool		same = entry->hash == hash && entry->old_count == count &&
		entry->new_object == new_object;

		for (int k = 0; k < count && same; k++)
			same = entry->old_nodes[k].object == nodes[k].object &&
				entry->old_nodes[k].any_split == nodes[k].any_split &&
				entry->old_nodes[k].one_split == nodes[k].one_split;
		if (same)
			return entry;
	}
	return NULL;
}

static int
add_pair(Compare *compare, uint32 hash, SchemaNode *nodes, int count,
		 JsonbContainer *new_object)
{
	PairEntry  *entry;

	if (compare->pair_count == compare->pair_room)
	{
		compare->pair_room *= 2;
		compare->pairs = repalloc(compare->pairs,
								  compare->pair_room * sizeof(PairEntry));
	}
	entry = &compare->pairs[compare->pair_count];
	entry->hash = hash;
	entry->next = compare->buckets[hash % PAIR_BUCKETS];
	entry->done = entry->proven = false;
	entry->old_nodes = nodes;
	entry->old_count = count;
	entry->new_object = new_object;
	compare->buckets[hash % PAIR_BUCKETS] = compare->pair_count;
	return compare->pair_count++;
}

/* Forgets the pairs from this number on. */
static void
forget_pairs(Compare *compare, int count)
{
	while (compare->pair_count > count)
	{
		PairEntry  *entry = &compare->pairs[--compare->pair_count];

		compare->buckets[entry->hash % PAIR_BUCKETS] = entry->next;
	}
}

/*
 * The walk
 */

static bool
check_keywords(Compare *compare, Check *check)
{
	bool		ok = true;

	for (int i = 0; i < (int) lengthof(keywords); i++)
	{
		JsonbValue	value;

		if ((check->types & keywords[i].types) == 0 ||
			!postrider_compare_node_get(&check->new, keywords[i].name, &value))
			continue;
		check->keyword = keywords[i].name;
		if (keywords[i].check(compare, check, &value))
			continue;
		ok = false;
		if (compare->quiet > 0)
			break;
		compare->failed = lappend(compare->failed,
								  unconstify(char *, keywords[i].name));
	}
	return ok;
}

/* Tries each alternative of an old anyOf or oneOf by itself. */
static bool
prove_by_cases(Compare *compare, const Check *check)
{
	int			node;
	const char *keyword;
	JsonbValue	branches;

	if (!postrider_compare_split(check->old, &node, &keyword, &branches))
		return false;
	for (int i = 0; i < postrider_compare_length(&branches); i++)
	{
		NodeSet		set;

		postrider_compare_branch(compare, check->old, node, keyword, &branches,
								 i, &set);
		if (!postrider_compare_prove(compare, &set, check->new))
			return false;
	}
	return true;
}

static bool
has_choice(const NodeSet *set)
{
	int			node;
	const char *keyword;
	JsonbValue	branches;

	return postrider_compare_split(set, &node, &keyword, &branches);
}

/* Another dialect may give the keywords another meaning. */
static bool
check_dialect(Compare *compare, const Check *check)
{
	static const char standard[] = "https://json-schema.org/draft/2020-12/schema";
	JsonbValue	old_value;
	JsonbValue	new_value;

	if (check->old->count == 0 ||
		!postrider_compare_node_get(&check->new, "$schema", &new_value) ||
		new_value.type != jbvString ||
		(new_value.val.string.len == sizeof(standard) - 1 &&
		 memcmp(new_value.val.string.val, standard, sizeof(standard) - 1) == 0) ||
		(postrider_compare_node_get(&check->old->nodes[0], "$schema", &old_value) &&
		 postrider_compare_equal(&old_value, &new_value)))
		return true;
	return postrider_compare_breaks(compare, check->place, "$schema",
									"dialect_changed",
									"%s has another dialect; this may break",
									postrider_compare_field(check->place));
}

static bool
compare_node(Compare *compare, Check *check)
{
	bool		ok;

	for (int i = 0; i < check->old->count; i++)
		if (postrider_compare_same(compare, &check->old->nodes[i], &check->new))
			return true;
	if (postrider_compare_all_satisfy(compare, check->old, &check->new))
		ok = true;
	else if (compare->quiet > 0 || !has_choice(check->old))
	{
		ok = check_keywords(compare, check);
		if (!ok && compare->quiet > 0)
			ok = prove_by_cases(compare, check);
	}
	else
	{
		int			pairs = compare->pair_count;

		/* First in silence: by cases it may turn out well. */
		compare->quiet++;
		ok = check_keywords(compare, check);
		if (!ok)
			forget_pairs(compare, pairs);
		ok = ok || prove_by_cases(compare, check);
		compare->quiet--;
		if (!ok)
		{
			forget_pairs(compare, pairs);
			(void) check_keywords(compare, check);
		}
	}
	return check_dialect(compare, check) && ok;
}

static int
depth_of(const Place *place)
{
	int			depth = 0;

	for (; place != NULL; place = place->parent)
		depth++;
	return depth;
}

static bool
give_up(Compare *compare, const Place *place)
{
	if (!compare->exhausted && compare->quiet == 0)
	{
		compare->exhausted = true;
		return postrider_compare_breaks(compare, place, NULL, "undecided",
										"the comparison was given up at %s, as it would take too long; the rest may break",
										postrider_compare_field(place));
	}
	return false;
}

/*
 * True if all that satisfies the old set satisfies the new node; if not,
 * reports why, unless quiet.
 */
bool
postrider_compare_check(Compare *compare, const NodeSet *old, SchemaNode new_node,
						const Place *place)
{
	Check		check = {.old = old, .new = new_node, .place = place};
	SchemaNode	   *nodes;
	uint32		hash;
	PairEntry  *entry;
	List	   *outer_failed;
	int			number;
	bool		ok;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	if (new_node.kind == NODE_TRUE && compare->quiet > 0)
		return true;
	check.types = postrider_compare_types(compare, old);
	if (check.types == 0)
		return true;
	if (new_node.kind == NODE_TRUE)
	{
		if (place == NULL || place->field != FIELD_SAME)
			postrider_compare_differences(compare, &check);
		return true;
	}
	if (new_node.kind == NODE_FALSE)
		return postrider_compare_breaks(compare, place, NULL, "no_longer_allowed",
										"%s is no longer allowed",
										postrider_compare_field(place));
	if (++compare->steps > STEPS_MAX || depth_of(place) > DEPTH_MAX)
		return give_up(compare, place);

	nodes = sorted_nodes(old);
	hash = hash_pair(nodes, old->count, new_node.object);
	entry = find_pair(compare, hash, nodes, old->count, new_node.object);
	if (entry != NULL &&
		(!entry->done || entry->proven || compare->quiet > 0 ||
		 compare->steps > REPEAT_STEPS_MAX))
	{
		pfree(nodes);
		return !entry->done || entry->proven;
	}
	number = add_pair(compare, hash, nodes, old->count, new_node.object);
	if (place == NULL || place->field != FIELD_SAME)
	{
		outer_failed = compare->failed;
		compare->failed = NIL;
		ok = compare_node(compare, &check);
		postrider_compare_differences(compare, &check);
		compare->failed = outer_failed;
	}
	else
		ok = compare_node(compare, &check);
	compare->pairs[number].done = true;
	compare->pairs[number].proven = ok;
	return ok;
}

/* The same in silence. */
bool
postrider_compare_prove(Compare *compare, const NodeSet *old, SchemaNode new_node)
{
	int			pairs = compare->pair_count;
	bool		ok;

	compare->quiet++;
	ok = postrider_compare_check(compare, old, new_node, NULL);
	compare->quiet--;
	if (!ok)
		forget_pairs(compare, pairs);
	return ok;
}

bool
postrider_compare_prove_node(Compare *compare, SchemaNode old_node, SchemaNode new_node)
{
	NodeSet		set;

	postrider_compare_set_init(&set);
	postrider_compare_set_add(compare, &set, old_node);
	return postrider_compare_prove(compare, &set, new_node);
}

bool
postrider_schema_compare(Jsonb *old_schema, Jsonb *new_schema,
						 SchemaResolver resolve, void *arg,
						 int max_changes, List **changes)
{
	Compare    *compare = palloc0(sizeof(Compare));
	NodeSet		old;
	bool		ok;

	compare->resolve = resolve;
	compare->resolve_arg = arg;
	compare->max_changes = max_changes;
	compare->quiet = max_changes == 0 ? 1 : 0;
	compare->pair_room = 256;
	compare->pairs = palloc(compare->pair_room * sizeof(PairEntry));
	for (int i = 0; i < PAIR_BUCKETS; i++)
		compare->buckets[i] = -1;

	postrider_compare_set_init(&old);
	postrider_compare_set_add(compare, &old, postrider_compare_root(old_schema));
	ok = postrider_compare_check(compare, &old, postrider_compare_root(new_schema),
								 NULL);
	*changes = compare->changes;
	return ok;
}
