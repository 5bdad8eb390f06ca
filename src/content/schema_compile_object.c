/*-------------------------------------------------------------------------
 *
 * schema_compile_object.c
 *	  Compiles the keywords of JSON Schema that are about objects.
 *
 * "properties" and "required" become one list in the order in which jsonb keeps
 * the members of an object, so that an evaluation goes through both at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_internal.h"

ObjectRules *
postrider_compile_object_rules(SchemaCompiler *compiler, SchemaNode *node)
{
	if (node->object == NULL)
	{
		node->object = palloc0(sizeof(ObjectRules));
		node->object->max_properties = PG_INT64_MAX;
	}
	return node->object;
}

void
postrider_compile_properties(SchemaCompiler *compiler, SchemaNode *node,
							 const Keyword *keyword, const Value *value)
{
	ObjectRules *rules = postrider_compile_object_rules(compiler, node);
	Members		members;
	Value		key;
	Value		member;

	if (value->type != TYPE_OBJECT)
	{
		postrider_compile_fail(compiler, node, keyword->name, NULL,
							   "must be an object of schemas");
		return;
	}
	rules->properties = palloc0(Max(value->length, 1) * sizeof(Property));
	postrider_members_start(&members, value);
	while (postrider_members_next(&members, &key, &member))
	{
		Property   *property = &rules->properties[rules->property_count];

		property->name = key.as.string;
		property->length = key.length;
		property->node = postrider_compile_child(compiler, node, keyword, &key, -1, &member);
		if (property->node == NULL)
			return;
		rules->property_count++;
	}
	rules->named_count = rules->property_count;
}

void
postrider_compile_patterns(SchemaCompiler *compiler, SchemaNode *node,
						   const Keyword *keyword, const Value *value)
{
	ObjectRules *rules = postrider_compile_object_rules(compiler, node);
	Members		members;
	Value		key;
	Value		member;

	if (value->type != TYPE_OBJECT)
	{
		postrider_compile_fail(compiler, node, keyword->name, NULL,
							   "must be an object of schemas, whose keys are regular expressions");
		return;
	}
	rules->patterns = palloc0(Max(value->length, 1) * sizeof(PatternProperty));
	postrider_members_start(&members, value);
	while (postrider_members_next(&members, &key, &member))
	{
		PatternProperty *pattern = &rules->patterns[rules->pattern_count];

		pattern->source = key.as.string;
		pattern->length = key.length;
		pattern->pattern = postrider_compile_expression(compiler, node, keyword, &key, &key);
		if (pattern->pattern != NULL)
			pattern->node = postrider_compile_child(compiler, node, keyword, &key, -1,
													&member);
		if (pattern->node == NULL)
			return;
		rules->pattern_count++;
	}
}

/* An array of different strings; false after a failure. */
static bool
read_names(SchemaCompiler *compiler, SchemaNode *node, const Keyword *keyword,
		   const Value *key, const Value *value, int *count, Value **names)
{
	Members		members;
	Value		item;

	*count = 0;
	*names = NULL;
	if (value->type == TYPE_ARRAY)
	{
		*names = palloc(Max(value->length, 1) * sizeof(Value));
		postrider_members_start(&members, value);
		while (postrider_members_next(&members, NULL, &item) && item.type == TYPE_STRING)
			(*names)[(*count)++] = item;
		if (*count == value->length)
			return true;
	}
	postrider_compile_fail(compiler, node, keyword->name, key,
						   "must be an array of names, as strings");
	return false;
}

void
postrider_compile_required(SchemaCompiler *compiler, SchemaNode *node,
						   const Keyword *keyword, const Value *value)
{
	ObjectRules *rules = postrider_compile_object_rules(compiler, node);
	Value	   *names;
	int			count;

	if (!read_names(compiler, node, keyword, NULL, value, &count, &names))
		return;
	rules->required = palloc0(Max(count, 1) * sizeof(Property));
	rules->required_count = count;
	for (int i = 0; i < count; i++)
	{
		rules->required[i].name = names[i].as.string;
		rules->required[i].length = names[i].length;
		rules->required[i].required = true;
	}
	pfree(names);
}

/* dependentRequired, dependentSchemas, dependencies */
void
postrider_compile_dependencies(SchemaCompiler *compiler, SchemaNode *node,
							   const Keyword *keyword, const Value *value)
{
	ObjectRules *rules = postrider_compile_object_rules(compiler, node);
	Dependency **last = &rules->dependencies;
	Members		members;
	Value		key;
	Value		member;

	if (value->type != TYPE_OBJECT)
	{
		postrider_compile_fail(compiler, node, keyword->name, NULL, "must be an object of %s",
							   keyword->holds == HOLDS_MAP ? "schemas" :
							   keyword->holds == HOLDS_NOTHING ? "arrays of names" :
							   "schemas or arrays of names");
		return;
	}
	while (*last != NULL)
		last = &(*last)->next;
	postrider_members_start(&members, value);
	while (postrider_members_next(&members, &key, &member))
	{
		Dependency *dependency = palloc0(sizeof(Dependency));

		dependency->keyword = keyword->name;
		dependency->name = key.as.string;
		dependency->length = key.length;
		if (keyword->holds == HOLDS_NOTHING ||
			(keyword->holds == HOLDS_DEPENDENCIES && member.type == TYPE_ARRAY))
		{
			if (!read_names(compiler, node, keyword, &key, &member,
							&dependency->required_count, &dependency->required))
				return;
		}
		else
		{
			dependency->node = postrider_compile_child(compiler, node, keyword, &key, -1,
													   &member);
			if (dependency->node == NULL)
				return;
		}
		*last = dependency;
		last = &dependency->next;
	}
}

/* additionalProperties, propertyNames */
void
postrider_compile_object_node(SchemaCompiler *compiler, SchemaNode *node,
							  const Keyword *keyword, const Value *value)
{
	ObjectRules *rules = postrider_compile_object_rules(compiler, node);
	SchemaNode *child = postrider_compile_child(compiler, node, keyword, NULL, -1, value);

	if (strcmp(keyword->name, "propertyNames") == 0)
		rules->names = child;
	else
		rules->additional = child;
}

static int
compare_properties(const void *a, const void *b)
{
	const Property *pa = a;
	const Property *pb = b;

	return value_compare_strings(pa->name, pa->length, pb->name, pb->length);
}

/* Puts the required names among the properties. */
void
postrider_compile_finish_object(SchemaCompiler *compiler, SchemaNode *node)
{
	ObjectRules *rules = node->object;
	Property   *merged;
	int			count = 0;
	int			p = 0;
	int			r = 0;

	if (rules->required_count == 0)
		return;
	qsort(rules->required, rules->required_count, sizeof(Property), compare_properties);
	merged = palloc((rules->property_count + rules->required_count) * sizeof(Property));
	while (p < rules->property_count || r < rules->required_count)
	{
		int			order = p == rules->property_count ? 1 :
			r == rules->required_count ? -1 :
			compare_properties(&rules->properties[p], &rules->required[r]);

		if (order <= 0)
		{
			merged[count] = rules->properties[p++];
			merged[count].required = order == 0;
		}
		else
			merged[count] = rules->required[r];
		/* A name may be there twice, in a draft or by mistake. */
		while (order >= 0 && r < rules->required_count &&
			   compare_properties(&merged[count], &rules->required[r]) == 0)
			r++;
		count++;
	}
	rules->properties = merged;
	rules->property_count = count;
}
