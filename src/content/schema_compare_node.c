/*-------------------------------------------------------------------------
 *
 * schema_compare_node.c
 *	  Nodes of a schema, conjunctions of them, and whether two are the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_compare_internal.h"
#include "miscadmin.h"
#include "utils/builtins.h"

bool
postrider_compare_get(JsonbContainer *object, const char *key, JsonbValue *value)
{
	return JsonContainerIsObject(object) &&
		getKeyJsonValueFromContainer(object, key, strlen(key), value) != NULL;
}

bool
postrider_compare_node_get(const SchemaNode *node, const char *key, JsonbValue *value)
{
	return node->kind == NODE_OBJECT &&
		postrider_compare_get(node->object, key, value);
}

bool
postrider_compare_is_container(const JsonbValue *value, bool object)
{
	if (value->type != jbvBinary)
		return false;
	return object ? JsonContainerIsObject(value->val.binary.data) :
		JsonContainerIsArray(value->val.binary.data);
}

bool
postrider_compare_string_is(const JsonbValue *value, const char *string, int length)
{
	return value->type == jbvString && value->val.string.len == length &&
		memcmp(value->val.string.val, string, length) == 0;
}

SchemaNode
postrider_compare_object_node(JsonbContainer *object, JsonbContainer *resource,
			JsonbContainer *document)
{
	SchemaNode		node = {.kind = NODE_OBJECT};
	JsonbValue	id;

	node.object = object;
	node.document = document;
	node.resource = resource;

	/* A fragment alone is an anchor of older drafts, and no resource. */
	if (postrider_compare_get(object, "$id", &id) && id.type == jbvString &&
		id.val.string.len > 0 && id.val.string.val[0] != '#')
		node.resource = object;
	return node;
}

SchemaNode
postrider_compare_document_node(JsonbContainer *root)
{
	SchemaNode		node = {.kind = NODE_TRUE};
	JsonbValue	value;

	if (JsonContainerIsObject(root))
		return postrider_compare_object_node(root, root, root);
	node.document = node.resource = root;
	if (JsonContainerIsScalar(root) &&
		getIthJsonbValueFromContainer(root, 0) != NULL)
	{
		value = *getIthJsonbValueFromContainer(root, 0);
		if (value.type == jbvBool && !value.val.boolean)
			node.kind = NODE_FALSE;
	}
	return node;
}

SchemaNode
postrider_compare_root(Jsonb *schema)
{
	return postrider_compare_document_node(&schema->root);
}

SchemaNode
postrider_compare_child(const SchemaNode *parent, const JsonbValue *value)
{
	SchemaNode		node = {.kind = NODE_TRUE};

	if (postrider_compare_is_container(value, true))
		return postrider_compare_object_node(value->val.binary.data, parent->resource,
						   parent->document);
	node.resource = parent->resource;
	node.document = parent->document;
	if (value->type == jbvBool && !value->val.boolean)
		node.kind = NODE_FALSE;
	return node;
}

/* The schema that a keyword holds; false without the keyword. */
bool
postrider_compare_subschema(const SchemaNode *node, const char *keyword, SchemaNode *child)
{
	JsonbValue	value;

	if (!postrider_compare_node_get(node, keyword, &value))
		return false;
	*child = postrider_compare_child(node, &value);
	return true;
}

/* A member of a keyword that holds schemas by name, such as properties. */
bool
postrider_compare_member(const SchemaNode *node, const char *keyword,
						 const char *key, SchemaNode *child)
{
	JsonbValue	map;
	JsonbValue	value;

	if (!postrider_compare_node_get(node, keyword, &map) ||
		!postrider_compare_is_container(&map, true) ||
		!postrider_compare_get(map.val.binary.data, key, &value))
		return false;
	*child = postrider_compare_child(node, &value);
	return true;
}

/* Number of elements; 0 for what is no array. */
int
postrider_compare_length(const JsonbValue *array)
{
	return postrider_compare_is_container(array, false) ?
		JsonContainerSize(array->val.binary.data) : 0;
}

SchemaNode
postrider_compare_element(const SchemaNode *parent, const JsonbValue *array, int index)
{
	JsonbValue *value = getIthJsonbValueFromContainer(array->val.binary.data,
													  index);

	Assert(value != NULL);
	return postrider_compare_child(parent, value);
}

/* The keys of an object, as a list of strings; NIL for what is no object. */
List *
postrider_compare_keys(const JsonbValue *object)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	List	   *keys = NIL;

	if (!postrider_compare_is_container(object, true))
		return NIL;
	iterator = JsonbIteratorInit(object->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_KEY)
			keys = lappend(keys, pnstrdup(value.val.string.val,
										  value.val.string.len));
	return keys;
}

/*
 * Conjunctions
 */

void
postrider_compare_set_init(NodeSet *set)
{
	set->never = false;
	set->count = 0;
}

/* Adds a schema with all that it refers to and all members of its allOf. */
void
postrider_compare_set_add(Compare *compare, NodeSet *set, SchemaNode node)
{
	SchemaNode		target;
	JsonbValue	all;

	check_stack_depth();
	if (node.kind == NODE_FALSE)
		set->never = true;
	if (node.kind != NODE_OBJECT || set->count == NODE_SET_MAX)
		return;
	for (int i = 0; i < set->count; i++)
		if (set->nodes[i].object == node.object)
		{
			set->nodes[i].any_split |= node.any_split;
			set->nodes[i].one_split |= node.one_split;
			return;
		}
	set->nodes[set->count++] = node;
	if (postrider_compare_reference(compare, &node, "$ref", &target))
		postrider_compare_set_add(compare, set, target);
	if (postrider_compare_reference(compare, &node, "$dynamicRef", &target))
		postrider_compare_set_add(compare, set, target);
	if (postrider_compare_node_get(&node, "allOf", &all))
		for (int i = 0; i < postrider_compare_length(&all); i++)
			postrider_compare_set_add(compare, set,
									  postrider_compare_element(&node, &all, i));
}

/*
 * Sameness
 */

/* Pairs of references that are being compared; what is there is the same. */
typedef struct SamePair
{
	JsonbContainer *a;
	JsonbContainer *b;
} SamePair;

static bool same_nodes(Compare *compare, const SchemaNode *a, const SchemaNode *b,
					   List **pairs);

/* Compares the targets of all references below; the texts are equal. */
static bool
same_targets(Compare *compare, const SchemaNode *a, const SchemaNode *b, List **pairs)
{
	JsonbIterator *iterator_a = JsonbIteratorInit(a->object);
	JsonbIterator *iterator_b = JsonbIteratorInit(b->object);
	JsonbIteratorToken token;
	JsonbValue	value_a;
	JsonbValue	value_b;
	SchemaNode		target_a;
	SchemaNode		target_b;
	static const char *const references[] = {"$ref", "$dynamicRef"};

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	for (int i = 0; i < (int) lengthof(references); i++)
	{
		JsonbValue	value;
		bool		found;

		if (!postrider_compare_node_get(a, references[i], &value) ||
			value.type != jbvString)
			continue;
		found = postrider_compare_reference(compare, a, references[i], &target_a);
		if (found != postrider_compare_reference(compare, b, references[i], &target_b))
			return false;

		/* What is outside of both documents is the same for both. */
		if (!found && (memchr(value.val.string.val, ':', value.val.string.len) == NULL ||
					   i == 1))
			return false;
		if (found && !same_nodes(compare, &target_a, &target_b, pairs))
			return false;
	}
	while ((token = JsonbIteratorNext(&iterator_a, &value_a, true)) != WJB_DONE)
	{
		(void) JsonbIteratorNext(&iterator_b, &value_b, true);
		if ((token == WJB_VALUE || token == WJB_ELEM) && value_a.type == jbvBinary)
		{
			SchemaNode		child_a = postrider_compare_child(a, &value_a);
			SchemaNode		child_b = postrider_compare_child(b, &value_b);

			child_a.object = value_a.val.binary.data;
			child_b.object = value_b.val.binary.data;
			child_a.kind = child_b.kind = NODE_OBJECT;
			if (!same_targets(compare, &child_a, &child_b, pairs))
				return false;
		}
	}
	return true;
}

static bool
same_nodes(Compare *compare, const SchemaNode *a, const SchemaNode *b, List **pairs)
{
	ListCell   *cell;
	SamePair   *pair;
	JsonbValue	value = {.type = jbvBinary};

	if (a->kind != b->kind)
		return false;
	if (a->kind != NODE_OBJECT || a->object == b->object)
		return true;
	foreach(cell, *pairs)
	{
		pair = lfirst(cell);
		if (pair->a == a->object && pair->b == b->object)
			return true;
	}
	if (compareJsonbContainers(a->object, b->object) != 0)
		return false;
	value.val.binary.data = a->object;
	if (!postrider_compare_has_reference(&value))
		return true;
	pair = palloc(sizeof(SamePair));
	pair->a = a->object;
	pair->b = b->object;
	*pairs = lappend(*pairs, pair);
	return same_targets(compare, a, b, pairs);
}

/* True if the two are equal, and so is whatever they refer to. */
bool
postrider_compare_same(Compare *compare, const SchemaNode *old_node,
					   const SchemaNode *new_node)
{
	List	   *pairs = NIL;

	return same_nodes(compare, old_node, new_node, &pairs);
}

/* The same for the value of one keyword; true if neither has it. */
bool
postrider_compare_same_keyword(Compare *compare, const SchemaNode *old_node,
							   const SchemaNode *new_node, const char *keyword)
{
	JsonbValue	old_value;
	JsonbValue	new_value;
	bool		has_old = postrider_compare_node_get(old_node, keyword, &old_value);
	bool		has_new = postrider_compare_node_get(new_node, keyword, &new_value);
	List	   *pairs = NIL;
	SchemaNode		a = *old_node;
	SchemaNode		b = *new_node;

	if (!has_old || !has_new)
		return has_old == has_new;
	if (!postrider_compare_equal(&old_value, &new_value))
		return false;
	if (old_value.type != jbvBinary)
		return strcmp(keyword, "$ref") != 0 && strcmp(keyword, "$dynamicRef") != 0 ?
			true : postrider_compare_reference(compare, old_node, keyword, &a) &&
			postrider_compare_reference(compare, new_node, keyword, &b) &&
			same_nodes(compare, &a, &b, &pairs);
	a.object = old_value.val.binary.data;
	b.object = new_value.val.binary.data;
	a.kind = b.kind = NODE_OBJECT;
	return same_targets(compare, &a, &b, &pairs);
}
