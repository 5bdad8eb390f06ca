/*-------------------------------------------------------------------------
 *
 * schema_evaluate_array.c
 *	  Evaluates the keywords of JSON Schema about arrays.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_evaluate.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Arrays of so many items are compared without memory of their own. */
#define FEW_ITEMS	16

typedef struct Item
{
	Value		value;
	int			index;
} Item;

static inline bool
evaluate_item(Evaluation *e, const SchemaNode *node, const Value *value, const Place *place)
{
	int			in_place = e->in_place;
	bool		valid;

	e->in_place = 0;
	valid = postrider_evaluate(e, node, value, place, NULL);
	e->in_place = in_place;
	return valid;
}

static bool
evaluate_count(Evaluation *e, const ArrayRules *rules, const Value *value,
			   const Place *place)
{
	if (value->length < rules->min_items)
		return FAIL(e, place, "minItems", "must have at least %lld %s, but has %d",
					(long long) rules->min_items, NOUN(rules->min_items, "item", "items"),
					value->length);
	if (value->length > rules->max_items)
		return FAIL(e, place, "maxItems", "must have at most %lld %s, but has %d",
					(long long) rules->max_items, NOUN(rules->max_items, "item", "items"),
					value->length);
	return true;
}

/* prefixItems and items, and what drafts before 2020-12 had in their place */
static bool
evaluate_items(Evaluation *e, const ArrayRules *rules, const Value *value,
			   const Place *place, Marks *marks)
{
	bool		valid = true;
	Members		members;
	Value		item;
	Place		store;

	postrider_members_start(&members, value);
	for (int i = 0; postrider_members_next(&members, NULL, &item); i++)
	{
		bool		in_prefix = i < rules->prefix.count;
		const SchemaNode *node = in_prefix ? rules->prefix.nodes[i] : rules->items;

		if (node == NULL)
			break;
		valid &= evaluate_item(e, node, &item,
							   place_at_item(e, &store, place,
											 in_prefix ? rules->prefix_keyword :
											 rules->items_keyword,
											 in_prefix ? i : -1, i));
		if (!valid && STOP(e))
			return false;
		marks_set(marks, i);
	}
	return valid;
}

/* contains, minContains, maxContains */
static bool
evaluate_contains(Evaluation *e, const ArrayRules *rules, const Value *value,
				  const Place *place, Marks *marks)
{
	int64		count = 0;
	int			in_place = e->in_place;
	Members		members;
	Value		item;

	e->in_place = 0;
	postrider_members_start(&members, value);
	for (int i = 0; postrider_members_next(&members, NULL, &item); i++)
	{
		if (!postrider_evaluate_quietly(e, rules->contains, &item, NULL))
			continue;
		count++;
		if (rules->contains_marks)
			marks_set(marks, i);
		/* The answer is clear, unless somebody wants marks or all there is to say. */
		if (marks == NULL && !e->collecting && rules->max_contains == PG_INT64_MAX &&
			count >= rules->min_contains)
			break;
	}
	e->in_place = in_place;
	if (count < rules->min_contains)
		return FAIL(e, place, rules->min_contains == 1 ? "contains" : "minContains",
					"must contain at least %lld %s, but contains %lld",
					(long long) rules->min_contains,
					NOUN(rules->min_contains, "item that matches", "items that match"),
					(long long) count);
	if (count > rules->max_contains)
		return FAIL(e, place, "maxContains",
					"must contain at most %lld %s, but contains %lld",
					(long long) rules->max_contains,
					NOUN(rules->max_contains, "item that matches", "items that match"),
					(long long) count);
	return true;
}

static int
compare_items(const void *a, const void *b)
{
	return postrider_value_compare(&((const Item *) a)->value, &((const Item *) b)->value);
}

static bool
evaluate_unique(Evaluation *e, const Value *value, const Place *place)
{
	Item		few[FEW_ITEMS];
	Item	   *items = few;
	int			count = 0;
	bool		valid = true;
	Members		members;

	if (value->length < 2)
		return true;
	if (value->length > FEW_ITEMS)
		items = MemoryContextAllocHuge(e->schema->work, (Size) value->length * sizeof(Item));
	postrider_members_start(&members, value);
	while (postrider_members_next(&members, NULL, &items[count].value))
	{
		items[count].index = count;
		count++;
	}
	qsort(items, count, sizeof(Item), compare_items);
	for (int i = 1; i < count && valid; i++)
	{
		if (compare_items(&items[i - 1], &items[i]) == 0)
			valid = FAIL(e, place, "uniqueItems",
						 "must have no two equal items, but has those at %d and %d: %s",
						 Min(items[i - 1].index, items[i].index),
						 Max(items[i - 1].index, items[i].index),
						 postrider_message_value(&items[i].value));
	}
	if (items != few)
		pfree(items);
	return valid;
}

bool
postrider_evaluate_array(Evaluation *e, const SchemaNode *node, const Value *value,
						 const Place *place, Marks *marks)
{
	const ArrayRules *rules = node->array;
	bool		valid = evaluate_count(e, rules, value, place);

	if (!valid && STOP(e))
		return false;
	if (rules->prefix.count > 0 || rules->items != NULL)
		valid &= evaluate_items(e, rules, value, place, marks);
	if (!valid && STOP(e))
		return false;
	if (rules->contains != NULL)
		valid &= evaluate_contains(e, rules, value, place, marks);
	if (!valid && STOP(e))
		return false;
	if (rules->unique)
		valid &= evaluate_unique(e, value, place);
	return valid;
}

/* unevaluatedItems */
bool
postrider_evaluate_rest_of_array(Evaluation *e, const SchemaNode *node, const Value *value,
								 const Place *place, Marks *marks)
{
	bool		valid = true;
	Members		members;
	Value		item;
	Place		store;

	postrider_members_start(&members, value);
	for (int i = 0; postrider_members_next(&members, NULL, &item); i++)
	{
		if (marks_get(marks, i))
			continue;
		valid &= evaluate_item(e, node->unevaluated_items, &item,
							   place_at_item(e, &store, place, "unevaluatedItems", -1, i));
		if (!valid && STOP(e))
			return false;
	}
	return valid;
}
