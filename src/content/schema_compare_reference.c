/*-------------------------------------------------------------------------
 *
 * schema_compare_reference.c
 *	  References between the nodes of schemas.
 *
 * A reference that is not found (a registered schema that there is no more, a
 * relative one below another $id) stays what it is: a keyword of which only is
 * known that it equals itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

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
		postrider_compare_string_is(&value, search->text, strlen(search->text)) &&
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
	if (postrider_compare_is_container(value, true) && !is_map)
	{
		SchemaNode		child = postrider_compare_child(node, value);

		if (search->everywhere || child.resource == node->resource)
			search_node(search, &child);
		return;
	}
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &member, true)) != WJB_DONE)
		if ((token == WJB_VALUE || token == WJB_ELEM) &&
			postrider_compare_is_container(&member, true))
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
	node = postrider_compare_object_node(root, root, document);
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
	SchemaNode		at = postrider_compare_object_node(root, root, document);
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
	*target = postrider_compare_document_node(document);
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
		*target = postrider_compare_object_node(node->resource, node->resource, node->document);
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
			(postrider_compare_string_is(&item, "$ref", 4) || postrider_compare_string_is(&item, "$dynamicRef", 11)))
			return true;
	return false;
}
