/*-------------------------------------------------------------------------
 *
 * schema_compare_node.c
 *	  Nodes of a schema, references between them, and conjunctions.
 *
 * A reference that is not found (a registered schema that there is no more, a
 * relative one below another $id) stays what it is: a keyword of which only is
 * known that it equals itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_compare_internal.h"
#include "miscadmin.h"
#include "utils/builtins.h"

typedef struct ResolvedSchema
{
	char	   *uri;
	JsonbContainer *document;	/* NULL if there is none */
} ResolvedSchema;

/* Keywords whose values are data, not schemas. */
static const char *const data_keywords[] = {
	"const", "enum", "default", "examples", NULL
};

/* Keywords that hold more schemas by name; the names are no keywords. */
static const char *const map_keywords[] = {
	"properties", "patternProperties", "$defs", "definitions",
	"dependentSchemas", "dependencies", NULL
};

static bool
is_listed(const JsonbValue *key, const char *const *list)
{
	for (; *list != NULL; list++)
		if ((int) strlen(*list) == key->val.string.len &&
			memcmp(*list, key->val.string.val, key->val.string.len) == 0)
			return true;
	return false;
}

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

static bool
is_container(const JsonbValue *value, bool object)
{
	if (value->type != jbvBinary)
		return false;
	return object ? JsonContainerIsObject(value->val.binary.data) :
		JsonContainerIsArray(value->val.binary.data);
}

static bool
string_is(const JsonbValue *value, const char *string, int length)
{
	return value->type == jbvString && value->val.string.len == length &&
		memcmp(value->val.string.val, string, length) == 0;
}

static SchemaNode
object_node(JsonbContainer *object, JsonbContainer *resource,
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

static SchemaNode
document_node(JsonbContainer *root)
{
	SchemaNode		node = {.kind = NODE_TRUE};
	JsonbValue	value;

	if (JsonContainerIsObject(root))
		return object_node(root, root, root);
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
	return document_node(&schema->root);
}

SchemaNode
postrider_compare_child(const SchemaNode *parent, const JsonbValue *value)
{
	SchemaNode		node = {.kind = NODE_TRUE};

	if (is_container(value, true))
		return object_node(value->val.binary.data, parent->resource,
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
		!is_container(&map, true) ||
		!postrider_compare_get(map.val.binary.data, key, &value))
		return false;
	*child = postrider_compare_child(node, &value);
	return true;
}

/* Number of elements; 0 for what is no array. */
int
postrider_compare_length(const JsonbValue *array)
{
	return is_container(array, false) ?
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

	if (!is_container(object, true))
		return NIL;
	iterator = JsonbIteratorInit(object->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_KEY)
			keys = lappend(keys, pnstrdup(value.val.string.val,
										  value.val.string.len));
	return keys;
}

/*
 * References
 */

typedef struct Search
{
	const char *keyword;		/* that must have ... */
	const char *text;			/* ... this value */
	bool		everywhere;		/* below another $id too */
	int			count;
	SchemaNode		found;			/* the first */
} Search;

static void search_value(Search *search, const SchemaNode *node, JsonbValue *value,
						 bool is_map);

static void
search_node(Search *search, const SchemaNode *node)
{
	JsonbIterator *iterator = JsonbIteratorInit(node->object);
	JsonbIteratorToken token;
	JsonbValue	value;
	JsonbValue	key = {0};

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	if (postrider_compare_get(node->object, search->keyword, &value) &&
		string_is(&value, search->text, strlen(search->text)) &&
		search->count++ == 0)
		search->found = *node;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = value;
		else if (token == WJB_VALUE && !is_listed(&key, data_keywords))
			search_value(search, node, &value, is_listed(&key, map_keywords));
	}
}

/* Searches what a keyword holds: a schema, a list, or schemas by name. */
static void
search_value(Search *search, const SchemaNode *node, JsonbValue *value, bool is_map)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	member;

	if (value->type != jbvBinary)
		return;
	if (is_container(value, true) && !is_map)
	{
		SchemaNode		child = postrider_compare_child(node, value);

		if (search->everywhere || child.resource == node->resource)
			search_node(search, &child);
		return;
	}
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &member, true)) != WJB_DONE)
		if ((token == WJB_VALUE || token == WJB_ELEM) &&
			is_container(&member, true))
			search_value(search, node, &member, false);
}

/* Number of schemas below a root that have the keyword with this value. */
static int
search_below(JsonbContainer *root, JsonbContainer *document,
			 const char *keyword, const char *wanted, bool everywhere,
			 SchemaNode *found)
{
	Search		search = {.keyword = keyword, .text = wanted, .everywhere = everywhere};
	SchemaNode		node;

	if (!JsonContainerIsObject(root))
		return 0;
	node = object_node(root, root, document);
	search_node(&search, &node);
	*found = search.found;
	return search.count;
}

/* Undoes %41 and then ~0 and ~1; in place. */
static void
decode_token(char *token)
{
	char	   *to = token;

	for (char *from = token; *from; from++)
	{
		if (from[0] == '~' && (from[1] == '0' || from[1] == '1'))
			*to++ = *++from == '0' ? '~' : '/';
		else
			*to++ = *from;
	}
	*to = '\0';
}

static void
decode_percent(char *fragment)
{
	char	   *to = fragment;

	for (char *from = fragment; *from; from++)
	{
		if (from[0] == '%' && isxdigit((unsigned char) from[1]) &&
			isxdigit((unsigned char) from[2]))
		{
			char		digits[3] = {from[1], from[2], '\0'};

			*to++ = (char) strtol(digits, NULL, 16);
			from += 2;
		}
		else
			*to++ = *from;
	}
	*to = '\0';
}

/* Follows a JSON pointer that starts with a slash, from a resource's root. */
static bool
follow_pointer(JsonbContainer *root, JsonbContainer *document, char *pointer,
			   SchemaNode *target)
{
	SchemaNode		at = object_node(root, root, document);
	JsonbContainer *container = root;
	char	   *token = pointer + 1;

	while (token != NULL)
	{
		char	   *slash = strchr(token, '/');
		JsonbValue	value;
		JsonbValue *element;

		if (slash != NULL)
			*slash++ = '\0';
		decode_token(token);
		if (JsonContainerIsArray(container))
		{
			element = getIthJsonbValueFromContainer(container,
													(uint32) strtoul(token, NULL, 10));
			if (element == NULL)
				return false;
			value = *element;
		}
		else if (!postrider_compare_get(container, token, &value))
			return false;
		if (value.type != jbvBinary)
		{
			*target = postrider_compare_child(&at, &value);
			return slash == NULL && value.type == jbvBool;
		}
		container = value.val.binary.data;
		if (JsonContainerIsObject(container))
			at = postrider_compare_child(&at, &value);
		token = slash;
	}
	*target = at;
	return JsonContainerIsObject(container);
}

/* The root of a registered schema; each is looked up once. */
static JsonbContainer *
resolve_document(Compare *compare, const char *uri)
{
	ListCell   *cell;
	ResolvedSchema *resolved;
	Jsonb	   *schema;

	foreach(cell, compare->resolved)
	{
		resolved = lfirst(cell);
		if (strcmp(resolved->uri, uri) == 0)
			return resolved->document;
	}
	schema = compare->resolve ? compare->resolve(uri, compare->resolve_arg) : NULL;
	resolved = palloc(sizeof(ResolvedSchema));
	resolved->uri = pstrdup(uri);
	resolved->document = schema ? &schema->root : NULL;
	compare->resolved = lappend(compare->resolved, resolved);
	return resolved->document;
}

/* Finds the resource that a URI without fragment names. */
static bool
find_resource(Compare *compare, const SchemaNode *node, const char *uri, SchemaNode *target)
{
	JsonbContainer *document;
	JsonbValue	id;

	if (search_below(node->document, node->document, "$id", uri, true, target) > 0)
		return true;

	/* What is relative to an $id would have to be resolved against it. */
	if (strchr(uri, ':') == NULL &&
		postrider_compare_get(node->resource, "$id", &id))
		return false;
	document = resolve_document(compare, uri);
	if (document == NULL)
		return false;
	*target = document_node(document);
	return true;
}

/* The target of a reference; false if it is not found. */
bool
postrider_compare_resolve(Compare *compare, const SchemaNode *node,
						  const char *reference, SchemaNode *target)
{
	char	   *uri = pstrdup(reference);
	char	   *fragment = strchr(uri, '#');
	SchemaNode		at = *node;

	if (fragment != NULL)
		*fragment++ = '\0';
	if (uri[0] != '\0')
	{
		if (!find_resource(compare, node, uri, &at))
			return false;
		*target = at;
	}
	else if (JsonContainerIsObject(node->resource))
		*target = object_node(node->resource, node->resource, node->document);
	else
		return false;
	if (fragment == NULL || fragment[0] == '\0')
		return true;
	if (target->kind != NODE_OBJECT)
		return false;
	decode_percent(fragment);
	if (fragment[0] == '/')
		return follow_pointer(target->object, target->document, fragment, target);
	at = *target;
	return search_below(at.object, at.document, "$anchor", fragment, false, target) > 0 ||
		search_below(at.object, at.document, "$dynamicAnchor", fragment, false, target) > 0;
}

/*
 * The target of $ref or $dynamicRef of a node.  A dynamic reference is one
 * like any other if its document has the anchor once: nothing can stand in
 * for the only one, as our root is the outermost resource.
 */
bool
postrider_compare_reference(Compare *compare, const SchemaNode *node,
							const char *keyword, SchemaNode *target)
{
	JsonbValue	value;
	char	   *reference;
	SchemaNode		first;

	if (!postrider_compare_node_get(node, keyword, &value) ||
		value.type != jbvString)
		return false;
	reference = pnstrdup(value.val.string.val, value.val.string.len);
	if (strcmp(keyword, "$dynamicRef") == 0 &&
		(reference[0] != '#' || reference[1] == '/' || reference[1] == '\0' ||
		 search_below(node->document, node->document, "$dynamicAnchor",
					  reference + 1, true, &first) > 1))
		return false;
	return postrider_compare_resolve(compare, node, reference, target);
}

/* True if there is $ref or $dynamicRef anywhere below. */
bool
postrider_compare_has_reference(const JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;

	if (value->type != jbvBinary)
		return false;
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &item, false)) != WJB_DONE)
		if (token == WJB_KEY &&
			(string_is(&item, "$ref", 4) || string_is(&item, "$dynamicRef", 11)))
			return true;
	return false;
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
