/*-------------------------------------------------------------------------
 *
 * schema_evaluate_object.c
 *	  Evaluates the keywords of JSON Schema about objects.
 *
 * The members of a jsonb object and the properties of a schema are in the same
 * order, so one pass over both finds what is known, what is not, and what is
 * missing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_evaluate.h"

/* A step into a member: a new instance, so steps in place count anew. */
static inline bool
evaluate_member(Evaluation *e, const SchemaNode *node, const Value *value,
				const Place *place)
{
	int			in_place = e->in_place;
	bool		valid;

	e->in_place = 0;
	valid = postrider_evaluate(e, node, value, place, NULL);
	e->in_place = in_place;
	return valid;
}

static bool
report_missing(Evaluation *e, const Property *property, const Place *place)
{
	return FAIL(e, place, "required", "must have the property %s",
				postrider_message_name(property->name, property->length));
}

static bool
evaluate_count(Evaluation *e, const ObjectRules *rules, const Value *value,
			   const Place *place)
{
	if (value->length < rules->min_properties)
		return FAIL(e, place, "minProperties", "must have at least %lld %s, but has %d",
					(long long) rules->min_properties,
					NOUN(rules->min_properties, "property", "properties"), value->length);
	if (value->length > rules->max_properties)
		return FAIL(e, place, "maxProperties", "must have at most %lld %s, but has %d",
					(long long) rules->max_properties,
					NOUN(rules->max_properties, "property", "properties"), value->length);
	return true;
}

static bool
evaluate_name(Evaluation *e, const SchemaNode *names, const Value *name,
			  const Place *place)
{
	Place		store;
	const Place *inner = place_at_property(e, &store, place, "propertyNames", name, false);

	if (inner != NULL)
		store.step = STEP_NAME;
	return evaluate_member(e, names, name, inner);
}

/*
 * patternProperties and additionalProperties for one member; is_known if
 * "properties" has it.  *evaluated is set if something was meant for it.
 */
static bool
evaluate_others(Evaluation *e, const ObjectRules *rules, const Value *name,
				const Value *member, bool is_known, bool *evaluated, const Place *place)
{
	bool		valid = true;
	Place		store;

	*evaluated = is_known;
	for (int i = 0; i < rules->pattern_count; i++)
	{
		PatternProperty *pattern = &rules->patterns[i];
		const Place *inner;

		if (!postrider_evaluate_pattern(e, pattern->pattern, name))
			continue;
		*evaluated = true;
		inner = place_at_property(e, &store, place, "patternProperties", name, false);
		if (inner != NULL)
		{
			store.key = pattern->source;
			store.key_length = pattern->length;
		}
		valid &= evaluate_member(e, pattern->node, member, inner);
		if (!valid && STOP(e))
			return false;
	}
	if (!*evaluated && rules->additional != NULL)
	{
		*evaluated = true;
		valid &= evaluate_member(e, rules->additional, member,
								 place_at_property(e, &store, place, "additionalProperties",
												   name, false));
	}
	return valid;
}

/* Everything that looks at the members one by one. */
static bool
evaluate_members(Evaluation *e, const ObjectRules *rules, const Value *value,
				 const Place *place, Marks *marks)
{
	const Property *property = rules->properties;
	const Property *end = rules->properties + rules->property_count;
	bool		has_others = rules->pattern_count > 0 || rules->additional != NULL;
	bool		valid = true;
	Members		members;
	Value		name;
	Value		member;
	Place		store;

	postrider_members_start(&members, value);
	for (int i = 0; postrider_members_next(&members, &name, &member); i++)
	{
		bool		evaluated = false;

		while (property < end &&
			   value_compare_strings(property->name, property->length,
									 name.as.string, name.length) < 0)
		{
			if (property->required)
				valid = report_missing(e, property, place);
			property++;
		}
		if (property < end && property->length == name.length &&
			memcmp(property->name, name.as.string, name.length) == 0)
		{
			evaluated = property->node != NULL;
			if (evaluated)
				valid &= evaluate_member(e, property->node, &member,
										 place_at_property(e, &store, place, "properties",
														   &name, true));
			property++;
		}
		if (!valid && STOP(e))
			return false;
		if (has_others)
			valid &= evaluate_others(e, rules, &name, &member, evaluated, &evaluated, place);
		if (rules->names != NULL)
			valid &= evaluate_name(e, rules->names, &name, place);
		if (!valid && STOP(e))
			return false;
		if (evaluated)
			marks_set(marks, i);
	}
	for (; property < end; property++)
	{
		if (property->required)
			valid = report_missing(e, property, place);
		if (!valid && STOP(e))
			return false;
	}
	return valid;
}

static bool
evaluate_dependency(Evaluation *e, const Dependency *dependency, const Value *value,
					const Place *place, Marks *marks)
{
	bool		valid = true;
	Value		ignored;
	Place		store;

	if (!postrider_value_get(value, dependency->name, dependency->length, &ignored))
		return true;
	for (int i = 0; i < dependency->required_count; i++)
	{
		const Value *name = &dependency->required[i];

		if (postrider_value_get(value, name->as.string, name->length, &ignored))
			continue;
		valid = FAIL(e, place, dependency->keyword,
					 "must have the property %s, because it has %s",
					 postrider_message_name(name->as.string, name->length),
					 postrider_message_name(dependency->name, dependency->length));
		if (STOP(e))
			return false;
	}
	if (dependency->node != NULL)
	{
		const Place *inner = place_at(e, &store, place, dependency->keyword, -1);

		if (inner != NULL)
		{
			store.key = dependency->name;
			store.key_length = dependency->length;
		}
		valid &= postrider_evaluate_in_place(e, dependency->node, value, inner, marks);
	}
	return valid;
}

bool
postrider_evaluate_object(Evaluation *e, const SchemaNode *node, const Value *value,
						  const Place *place, Marks *marks)
{
	const ObjectRules *rules = node->object;
	bool		valid = evaluate_count(e, rules, value, place);

	if (!valid && STOP(e))
		return false;
	if (rules->property_count > 0 || rules->pattern_count > 0 ||
		rules->additional != NULL || rules->names != NULL)
		valid &= evaluate_members(e, rules, value, place, marks);
	for (Dependency *d = rules->dependencies; d && (valid || !STOP(e)); d = d->next)
		valid &= evaluate_dependency(e, d, value, place, marks);
	return valid;
}

/* unevaluatedProperties */
bool
postrider_evaluate_rest_of_object(Evaluation *e, const SchemaNode *node,
								  const Value *value, const Place *place, Marks *marks)
{
	bool		valid = true;
	Members		members;
	Value		name;
	Value		member;
	Place		store;

	postrider_members_start(&members, value);
	for (int i = 0; postrider_members_next(&members, &name, &member); i++)
	{
		if (marks_get(marks, i))
			continue;
		valid &= evaluate_member(e, node->unevaluated_properties, &member,
								 place_at_property(e, &store, place,
												   "unevaluatedProperties", &name, false));
		if (!valid && STOP(e))
			return false;
	}
	return valid;
}
