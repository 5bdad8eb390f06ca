/*-------------------------------------------------------------------------
 *
 * schema_compile_keyword.c
 *	  Compiles the keywords of JSON Schema one by one, but for those about
 *	  objects (schema_compile_object.c).
 *
 * Each function checks the shape that the metaschema asks for, and says what it
 * should be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_internal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

static bool
want(SchemaCompiler *compiler, const SchemaNode *node, const Keyword *keyword,
	 const Value *value, uint32 type, const char *what)
{
	if (value->type == type)
		return true;
	postrider_compile_fail(compiler, node, keyword->name, NULL, "must be %s", what);
	return false;
}

static Logic *
logic_rules(SchemaNode *node)
{
	if (node->logic == NULL)
	{
		node->logic = palloc0(sizeof(Logic));
		node->logic->dynamic_name = -1;
	}
	return node->logic;
}

static StringRules *
string_rules(SchemaNode *node)
{
	if (node->string == NULL)
	{
		node->string = palloc0(sizeof(StringRules));
		node->string->max_length = PG_INT64_MAX;
	}
	return node->string;
}

static ValueRules *
value_rules(SchemaNode *node)
{
	if (node->value == NULL)
		node->value = palloc0(sizeof(ValueRules));
	return node->value;
}

ArrayRules *
postrider_compile_array_rules(SchemaCompiler *compiler, SchemaNode *node)
{
	if (node->array == NULL)
	{
		node->array = palloc0(sizeof(ArrayRules));
		node->array->max_items = PG_INT64_MAX;
		node->array->min_contains = 1;
		node->array->max_contains = PG_INT64_MAX;
		node->array->contains_marks = node->resource->draft == DRAFT_2020;
	}
	return node->array;
}

/*
 * Annotations and what the walk has read: only their shape matters
 */

void
postrider_compile_string(SchemaCompiler *compiler, SchemaNode *node,
						 const Keyword *keyword, const Value *value)
{
	(void) want(compiler, node, keyword, value, TYPE_STRING, "a string");
}

void
postrider_compile_boolean(SchemaCompiler *compiler, SchemaNode *node,
						  const Keyword *keyword, const Value *value)
{
	(void) want(compiler, node, keyword, value, TYPE_BOOLEAN, "true or false");
}

/* $defs, definitions: nothing happens here until somebody refers to them. */
void
postrider_compile_map(SchemaCompiler *compiler, SchemaNode *node,
					  const Keyword *keyword, const Value *value)
{
	Members		members;
	Value		key;
	Value		member;

	if (!want(compiler, node, keyword, value, TYPE_OBJECT, "an object of schemas"))
		return;
	postrider_members_start(&members, value);
	while (postrider_members_next(&members, &key, &member))
	{
		if (member.type != TYPE_OBJECT && member.type != TYPE_BOOLEAN)
			postrider_compile_fail(compiler, node, keyword->name, &key,
								   "must be a schema: an object, true or false");
	}
}

/*
 * Any value
 */

static uint32
type_bit(const Value *name)
{
	static const struct
	{
		const char *name;
		uint32		types;
	}			types[] = {
		{"array", TYPE_ARRAY},
		{"boolean", TYPE_BOOLEAN},
		{"integer", TYPE_INTEGER},
		{"null", TYPE_NULL},
		{"number", TYPE_NUMBER | TYPE_INTEGER},
		{"object", TYPE_OBJECT},
		{"string", TYPE_STRING}
	};

	for (int i = 0; i < (int) lengthof(types); i++)
	{
		if (value_is(name, types[i].name))
			return types[i].types;
	}
	return 0;
}

void
postrider_compile_type(SchemaCompiler *compiler, SchemaNode *node,
					   const Keyword *keyword, const Value *value)
{
	uint32		types = 0;
	Value		item = *value;

	for (int i = 0; value->type != TYPE_ARRAY || postrider_value_item(value, i, &item); i++)
	{
		uint32		bits = type_bit(&item);

		if (bits == 0)
		{
			types = 0;
			break;
		}
		types |= bits;
		if (value->type != TYPE_ARRAY)
			break;
	}
	if (types == 0)
		postrider_compile_fail(compiler, node, keyword->name, NULL,
							   "must be \"array\", \"boolean\", \"integer\", \"null\", \"number\", \"object\", \"string\", or a list of some of them");
	node->types = node->types_wanted = types;
}

static int
compare_values(const void *a, const void *b)
{
	return postrider_value_compare(a, b);
}

void
postrider_compile_enum(SchemaCompiler *compiler, SchemaNode *node,
					   const Keyword *keyword, const Value *value)
{
	ValueRules *rules = value_rules(node);
	Members		members;

	if (!want(compiler, node, keyword, value, TYPE_ARRAY, "an array of values"))
		return;
	rules->has_enum = true;
	rules->enum_source = value->as.container;
	rules->enum_values = palloc(Max(value->length, 1) * sizeof(Value));
	postrider_members_start(&members, value);
	while (postrider_members_next(&members, NULL, &rules->enum_values[rules->enum_count]))
		rules->enum_count++;
	qsort(rules->enum_values, rules->enum_count, sizeof(Value), compare_values);
}

void
postrider_compile_const(SchemaCompiler *compiler, SchemaNode *node,
						const Keyword *keyword, const Value *value)
{
	ValueRules *rules = value_rules(node);

	rules->has_const = true;
	rules->const_value = *value;
}

/*
 * Numbers and sizes
 */

void
postrider_compile_bound(SchemaCompiler *compiler, SchemaNode *node,
						const Keyword *keyword, const Value *value)
{
	Bound		bound = {0};
	NumberRules *rules;

	if (!want(compiler, node, keyword, value, TYPE_NUMBER, "a number"))
		return;
	if (node->number == NULL)
		node->number = palloc0(sizeof(NumberRules));
	rules = node->number;
	bound.number = value->as.number;
	bound.is_small = postrider_number_small(bound.number, &bound.small);
	if (strcmp(keyword->name, "minimum") == 0)
		rules->minimum = bound;
	else if (strcmp(keyword->name, "maximum") == 0)
		rules->maximum = bound;
	else if (strcmp(keyword->name, "exclusiveMinimum") == 0)
		rules->exclusive_minimum = bound;
	else if (strcmp(keyword->name, "exclusiveMaximum") == 0)
		rules->exclusive_maximum = bound;
	else if (postrider_number_is_positive(bound.number))
		rules->multiple_of = bound;
	else
		postrider_compile_fail(compiler, node, keyword->name, NULL,
							   "must be a number above 0");
}

/* Where a size is kept. */
static int64 *
size_place(SchemaCompiler *compiler, SchemaNode *node, const char *name)
{
	bool		is_minimum = strncmp(name, "min", 3) == 0;
	const char *of = name + 3;

	if (strcmp(of, "Length") == 0)
		return is_minimum ? &string_rules(node)->min_length : &string_rules(node)->max_length;
	if (strcmp(of, "Properties") == 0)
	{
		ObjectRules *rules = postrider_compile_object_rules(compiler, node);

		return is_minimum ? &rules->min_properties : &rules->max_properties;
	}
	else
	{
		ArrayRules *rules = postrider_compile_array_rules(compiler, node);

		if (strcmp(of, "Items") == 0)
			return is_minimum ? &rules->min_items : &rules->max_items;
		return is_minimum ? &rules->min_contains : &rules->max_contains;
	}
}

/* minLength, maxItems and so on: also 2.0, and numbers that nothing reaches. */
void
postrider_compile_size(SchemaCompiler *compiler, SchemaNode *node,
					   const Keyword *keyword, const Value *value)
{
	int64		size;

	if (value->type != TYPE_NUMBER || !postrider_number_is_integer(value->as.number) ||
		(!postrider_number_is_positive(value->as.number) &&
		 !(postrider_number_small(value->as.number, &size) && size == 0)))
	{
		postrider_compile_fail(compiler, node, keyword->name, NULL,
							   "must be an integer, 0 or more");
		return;
	}
	if (!postrider_number_small(value->as.number, &size))
		size = PG_INT64_MAX;
	*size_place(compiler, node, keyword->name) = size;
}

/*
 * Strings
 */

/* key is for patternProperties, NULL elsewhere. */
SchemaPattern *
postrider_compile_expression(SchemaCompiler *compiler, const SchemaNode *node,
							 const Keyword *keyword, const Value *key, const Value *source)
{
	char	   *problem = NULL;
	int			length = source->length;
	char	   *utf8 = pg_server_to_any(source->as.string, length, PG_UTF8);
	SchemaPattern *pattern;

	if (utf8 != source->as.string)
		length = strlen(utf8);
	pattern = postrider_schema_pattern_compile(utf8, length, &problem);
	if (pattern == NULL)
		postrider_compile_fail(compiler, node, keyword->name, key,
							   "must be a regular expression: %s", problem);
	return pattern;
}

void
postrider_compile_pattern(SchemaCompiler *compiler, SchemaNode *node,
						  const Keyword *keyword, const Value *value)
{
	StringRules *rules = string_rules(node);

	if (!want(compiler, node, keyword, value, TYPE_STRING, "a regular expression, as a string"))
		return;
	rules->pattern_source = *value;
	rules->pattern = postrider_compile_expression(compiler, node, keyword, NULL, value);
}

/*
 * A format is asserted, although the standard's metaschema has it as an
 * annotation: who writes "email" wants one.  A metaschema of one's own with the
 * vocabulary format-annotation, and not format-assertion, says otherwise.  A
 * format that is not known is no more than an annotation.
 */
void
postrider_compile_format(SchemaCompiler *compiler, SchemaNode *node,
						 const Keyword *keyword, const Value *value)
{
	if (!want(compiler, node, keyword, value, TYPE_STRING, "a string, the name of a format"))
		return;
	if (node->resource->vocabularies & VOCABULARY_ASSERTION)
		string_rules(node)->format = postrider_schema_format_find(value->as.string,
																  value->length);
}

/*
 * Arrays
 */

static bool
compile_nodes(SchemaCompiler *compiler, SchemaNode *node, const Keyword *keyword,
			  const Value *value, NodeList *list)
{
	Members		members;
	Value		item;
	int			index = 0;

	list->nodes = palloc(Max(value->length, 1) * sizeof(SchemaNode *));
	postrider_members_start(&members, value);
	while (postrider_members_next(&members, NULL, &item))
	{
		SchemaNode *child = postrider_compile_child(compiler, node, keyword, NULL, index++,
													&item);

		if (child == NULL)
			return false;
		list->nodes[list->count++] = child;
	}
	return true;
}

void
postrider_compile_unique(SchemaCompiler *compiler, SchemaNode *node,
						 const Keyword *keyword, const Value *value)
{
	if (want(compiler, node, keyword, value, TYPE_BOOLEAN, "true or false"))
		postrider_compile_array_rules(compiler, node)->unique = value->as.boolean;
}

/* items, prefixItems, additionalItems, contains */
void
postrider_compile_items(SchemaCompiler *compiler, SchemaNode *node,
						const Keyword *keyword, const Value *value)
{
	ArrayRules *rules = postrider_compile_array_rules(compiler, node);
	SchemaNode *child;

	if (keyword->holds == HOLDS_LIST ||
		(keyword->holds == HOLDS_SCHEMA_OR_LIST && value->type == TYPE_ARRAY))
	{
		rules->items_is_old = keyword->holds == HOLDS_SCHEMA_OR_LIST;
		rules->prefix_keyword = keyword->name;
		if (want(compiler, node, keyword, value, TYPE_ARRAY, "an array of schemas"))
			(void) compile_nodes(compiler, node, keyword, value, &rules->prefix);
		return;
	}
	child = postrider_compile_child(compiler, node, keyword, NULL, -1, value);
	if (strcmp(keyword->name, "contains") == 0)
		rules->contains = child;
	else if (strcmp(keyword->name, "additionalItems") == 0)
		rules->additional = child;
	else
	{
		rules->items = child;
		rules->items_keyword = keyword->name;
	}
}

/* additionalItems is about what a list of items leaves. */
void
postrider_compile_finish_array(SchemaCompiler *compiler, SchemaNode *node)
{
	ArrayRules *rules = node->array;

	if (rules->items_is_old)
	{
		rules->items = rules->additional;
		rules->items_keyword = "additionalItems";
	}
}

/*
 * Logic and references
 */

void
postrider_compile_list(SchemaCompiler *compiler, SchemaNode *node,
					   const Keyword *keyword, const Value *value)
{
	Logic	   *logic = logic_rules(node);
	NodeList   *list = strcmp(keyword->name, "allOf") == 0 ? &logic->all_of :
		strcmp(keyword->name, "anyOf") == 0 ? &logic->any_of : &logic->one_of;

	if (value->type != TYPE_ARRAY || value->length == 0)
		postrider_compile_fail(compiler, node, keyword->name, NULL,
							   "must be an array of at least one schema");
	else
		(void) compile_nodes(compiler, node, keyword, value, list);
}

/* Keywords that hold one schema and nothing else. */
void
postrider_compile_single(SchemaCompiler *compiler, SchemaNode *node,
						 const Keyword *keyword, const Value *value)
{
	SchemaNode *child = postrider_compile_child(compiler, node, keyword, NULL, -1, value);
	const char *name = keyword->name;

	if (strcmp(name, "unevaluatedItems") == 0)
		node->unevaluated_items = child;
	else if (strcmp(name, "unevaluatedProperties") == 0)
		node->unevaluated_properties = child;
	else if (strcmp(name, "not") == 0)
		logic_rules(node)->not = child;
	else if (strcmp(name, "if") == 0)
		logic_rules(node)->if_node = child;
	else if (strcmp(name, "then") == 0)
		logic_rules(node)->then_node = child;
	else
		logic_rules(node)->else_node = child;
}

void
postrider_compile_reference(SchemaCompiler *compiler, SchemaNode *node,
							const Keyword *keyword, const Value *value)
{
	const char *ignored;
	SchemaNode *target;

	if (!want(compiler, node, keyword, value, TYPE_STRING, "a reference to a schema, as a string"))
		return;
	target = postrider_reference_find(compiler, node, keyword->name, value, &ignored);
	if (target == NULL)
		return;
	logic_rules(node)->reference = target;
	logic_rules(node)->reference_keyword = keyword->name;
	postrider_compile_queue(compiler, target);
}

/* The number of a name that a $dynamicRef looks for. */
static int
dynamic_number(SchemaCompiler *compiler, const char *name)
{
	ListCell   *cell;
	int			number = 0;

	foreach(cell, compiler->dynamic_names)
	{
		if (strcmp(lfirst(cell), name) == 0)
			return number;
		number++;
	}
	compiler->dynamic_names = lappend(compiler->dynamic_names, pstrdup(name));
	return number;
}

/* $dynamicRef, and $recursiveRef of 2019-09 */
void
postrider_compile_dynamic(SchemaCompiler *compiler, SchemaNode *node,
						  const Keyword *keyword, const Value *value)
{
	Logic	   *logic = logic_rules(node);
	const char *name;
	SchemaNode *target;

	if (!want(compiler, node, keyword, value, TYPE_STRING, "a reference to a schema, as a string"))
		return;
	target = postrider_reference_find(compiler, node, keyword->name, value, &name);
	if (target == NULL)
		return;
	logic->dynamic = target;
	logic->dynamic_keyword = keyword->name;
	logic->dynamic_name = name ? dynamic_number(compiler, name) : -1;
	postrider_compile_queue(compiler, target);
}
