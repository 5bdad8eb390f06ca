/*-------------------------------------------------------------------------
 *
 * schema_reference.c
 *	  Documents, resources and anchors: whom a reference means.
 *
 * A document is walked once when it is loaded: each object that stands where a
 * schema may stand becomes a SchemaNode, each $id begins a resource, each anchor is
 * noted.  What stands elsewhere (in an enum, below an unknown keyword) is not
 * looked into, so an "$id" there names nothing; only a JSON pointer can lead
 * there, and what it finds is walked at that moment.
 *
 * URIs are those of RFC 3986; the rules for $id, $anchor and $ref are those of
 * JSON Schema 2020-12, section 8.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "content/schema_internal.h"
#include "content/schema_uri.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* An anchor by this name stands for "$recursiveAnchor": true of 2019-09. */
#define RECURSIVE_ANCHOR	"$recursiveAnchor"

typedef struct NodeSlot
{
	JsonbContainer *container;	/* the key */
	SchemaNode	   *node;
} NodeSlot;

typedef struct NameSlot
{
	uint32		hash;			/* the key */
	NameEntry  *first;
} NameSlot;

static char *
value_string(const Value *value)
{
	return pnstrdup(value->as.string, value->length);
}

/*
 * Names
 */

static uint32
name_hash(const Resource *scope, const char *name)
{
	return hash_combine(hash_bytes((const unsigned char *) name, strlen(name)),
						hash_bytes((const unsigned char *) &scope, sizeof(scope)));
}

static NameEntry *
find_name(SchemaCompiler *compiler, Resource *scope, const char *name)
{
	uint32		hash = name_hash(scope, name);
	NameSlot   *slot = hash_search(compiler->names, &hash, HASH_FIND, NULL);

	for (NameEntry *entry = slot ? slot->first : NULL; entry; entry = entry->next)
	{
		if (entry->scope == scope && strcmp(entry->name, name) == 0)
			return entry;
	}
	return NULL;
}

/* NULL if the name is taken. */
static NameEntry *
add_name(SchemaCompiler *compiler, Resource *scope, const char *name)
{
	uint32		hash = name_hash(scope, name);
	NameEntry  *entry;
	NameSlot   *slot;
	bool		found;

	if (find_name(compiler, scope, name) != NULL)
		return NULL;
	slot = hash_search(compiler->names, &hash, HASH_ENTER, &found);
	if (!found)
		slot->first = NULL;
	entry = palloc0(sizeof(NameEntry));
	entry->scope = scope;
	entry->name = pstrdup(name);
	entry->next = slot->first;
	slot->first = entry;
	return entry;
}

SchemaNode *
postrider_reference_anchor(SchemaCompiler *compiler, Resource *resource,
						   const char *name, bool dynamic_only)
{
	NameEntry  *entry = find_name(compiler, resource, name);

	if (entry == NULL || (dynamic_only && !entry->is_dynamic))
		return NULL;
	return entry->node;
}

/*
 * Nodes
 */

SchemaNode *
postrider_reference_node(SchemaCompiler *compiler, JsonbContainer *container)
{
	NodeSlot   *slot = hash_search(compiler->nodes, &container, HASH_FIND, NULL);

	return slot ? slot->node : NULL;
}

static SchemaNode *
add_node(SchemaCompiler *compiler, JsonbContainer *container)
{
	NodeSlot   *slot;
	SchemaNode	   *node = palloc0(sizeof(SchemaNode));
	bool		found;

	slot = hash_search(compiler->nodes, &container, HASH_ENTER, &found);
	Assert(!found);
	slot->node = node;
	node->container = container;
	node->index = -1;
	node->types = node->types_wanted = TYPE_ALL;
	compiler->schema->node_count++;
	return node;
}

static Resource *
add_resource(SchemaCompiler *compiler, const char *base, const Resource *like)
{
	Resource   *resource = palloc0(sizeof(Resource));

	resource->base = base;
	resource->draft = like ? like->draft : DRAFT_2020;
	resource->vocabularies = like ? like->vocabularies : ~(uint32) 0;
	resource->next = compiler->resources;
	compiler->resources = resource;
	return resource;
}

/*
 * $schema
 */

/* What $schema names, without an empty fragment. */
char *
postrider_reference_schema_uri(const Value *value)
{
	char	   *uri = value_string(value);
	size_t		length = strlen(uri);

	if (length > 0 && uri[length - 1] == '#')
		uri[length - 1] = '\0';
	return uri;
}

/* The vocabularies that a metaschema of one's own asks for. */
static bool
read_vocabularies(SchemaCompiler *compiler, SchemaNode *node, const char *uri,
				  const Value *list, Resource *resource)
{
	Members		members;
	Value		name;
	Value		required;

	resource->vocabularies = VOCABULARY_CORE;
	postrider_members_start(&members, list);
	while (postrider_members_next(&members, &name, &required))
	{
		uint32		vocabulary = postrider_metaschema_vocabulary(name.as.string, name.length);

		if (vocabulary == 0 && required.type == TYPE_BOOLEAN && required.as.boolean)
		{
			postrider_compile_fail(compiler, node, "$schema", NULL,
								   "names the metaschema \"%s\", which requires the unknown vocabulary \"%.*s\"",
								   uri, Min(name.length, 100), name.as.string);
			return false;
		}
		resource->vocabularies |= vocabulary;
		/* 2019-09 has one vocabulary for formats, asserted if it is required. */
		if (resource->draft == DRAFT_2019 && vocabulary == VOCABULARY_FORMAT &&
			required.type == TYPE_BOOLEAN && required.as.boolean)
			resource->vocabularies |= VOCABULARY_ASSERTION;
	}
	return true;
}

/* The metaschema's own $schema says which draft it is of. */
static uint32
metaschema_draft(const Value *metaschema)
{
	Value		value;
	uint32		draft;

	if (postrider_value_get(metaschema, "$schema", 7, &value) &&
		value.type == TYPE_STRING &&
		postrider_metaschema_draft(postrider_reference_schema_uri(&value), &draft))
		return draft;
	return DRAFT_2020;
}

/* Takes "$schema" of the root of a resource into account. */
static bool
read_dialect(SchemaCompiler *compiler, SchemaNode *node, const Value *object, Resource *resource)
{
	Value		value;
	Value		root;
	char	   *uri;
	Jsonb	   *metaschema;

	if (!postrider_value_get(object, "$schema", 7, &value) || value.type != TYPE_STRING)
		return true;
	uri = postrider_reference_schema_uri(&value);
	if (postrider_metaschema_draft(uri, &resource->draft))
	{
		resource->vocabularies = ~(uint32) 0;
		return true;
	}
	metaschema = compiler->resolve ? compiler->resolve(uri, compiler->resolve_arg) : NULL;
	if (metaschema == NULL)
	{
		postrider_compile_fail(compiler, node, "$schema", NULL,
							   "names the metaschema \"%s\", which is not registered; nothing is fetched",
							   uri);
		return false;
	}
	postrider_value_of_jsonb(metaschema, &root);
	if (root.type != TYPE_OBJECT)
		return true;
	resource->draft = metaschema_draft(&root);
	resource->vocabularies = ~(uint32) 0;
	if (postrider_value_get(&root, "$vocabulary", 11, &value) && value.type == TYPE_OBJECT)
		return read_vocabularies(compiler, node, uri, &value, resource);
	return true;
}

/*
 * The walk
 */

static void
add_anchor(SchemaCompiler *compiler, SchemaNode *node, const char *keyword, const char *name,
		   bool is_dynamic)
{
	NameEntry  *entry = add_name(compiler, node->resource, name);

	if (entry == NULL)
	{
		entry = find_name(compiler, node->resource, name);
		if (entry->node != node)
			postrider_compile_fail(compiler, node, keyword, NULL,
								   "\"%s\" is the anchor of another schema too", name);
	}
	entry->node = node;
	entry->is_dynamic |= is_dynamic;
}

/* 2019-09 and later: a letter or underscore, then also digits, "-" and "."; 2019-09 also ":" */
static bool
is_anchor(const char *name)
{
	if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || *name == '_'))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:") ==
		strlen(name);
}

/* The anchors of a schema, whose resource is known. */
static void
read_anchors(SchemaCompiler *compiler, SchemaNode *node, const Value *object)
{
	static const char *const names[] = {"$anchor", "$dynamicAnchor"};
	Value		value;

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		char	   *name;

		if (postrider_keyword_find(node->resource, names[i], strlen(names[i])) == NULL ||
			!postrider_value_get(object, names[i], strlen(names[i]), &value) ||
			value.type != TYPE_STRING)
			continue;
		name = value_string(&value);
		if (is_anchor(name))
			add_anchor(compiler, node, names[i], name, i == 1);
		else
			postrider_compile_fail(compiler, node, names[i], NULL,
								   "must begin with a letter or an underscore, with letters, digits, \"-\", \"_\" and \".\" after it");
	}
	if (node->resource->draft == DRAFT_2019 && node->resource->root == node &&
		postrider_value_get(object, RECURSIVE_ANCHOR, strlen(RECURSIVE_ANCHOR), &value) &&
		value.type == TYPE_BOOLEAN && value.as.boolean)
		add_anchor(compiler, node, RECURSIVE_ANCHOR, RECURSIVE_ANCHOR, true);
}

/* Begins a resource, if the schema has an $id. */
static void
read_id(SchemaCompiler *compiler, SchemaNode *node, const Value *object)
{
	Resource   *outer = node->resource;
	Resource   *resource;
	NameEntry  *entry;
	Value		value;
	char	   *uri;
	char	   *fragment;
	const char *problem = NULL;

	if (!postrider_value_get(object, "$id", 3, &value) || value.type != TYPE_STRING)
		return;
	/* Until draft 7 a $ref hides everything beside it. */
	if (outer->draft == DRAFT_7 && postrider_value_get(object, "$ref", 4, &value))
		return;
	uri = value_string(&value);
	fragment = postrider_uri_take_fragment(uri, &problem);
	if (problem != NULL ||
		(fragment != NULL && *fragment != '\0' && outer->draft != DRAFT_7))
	{
		postrider_compile_fail(compiler, node, "$id", NULL, "%s",
							   problem ? problem : "must have no fragment: use $anchor");
		return;
	}
	if (*uri != '\0')
	{
		uri = postrider_uri_resolve(outer->base, uri);
		resource = outer;
		if (outer->root != node || strcmp(outer->base, uri) != 0)
		{
			resource = add_resource(compiler, uri, outer);
			resource->root = node;
			node->resource = resource;
		}
		entry = add_name(compiler, NULL, uri);
		if (entry != NULL)
			entry->resource = resource;
		else if (find_name(compiler, NULL, uri)->resource != resource && node->parent != NULL)
			postrider_compile_fail(compiler, node, "$id", NULL,
								   "\"%s\" is the $id of another schema too", uri);
	}
	if (fragment != NULL && *fragment != '\0')
		add_anchor(compiler, node, "$id", fragment, false);
}

static void scan_keyword(SchemaCompiler *compiler, SchemaNode *node, const Keyword *keyword,
						 const Value *value);

/*
 * Makes the node of an object, and those of the schemas in it.  parent, keyword,
 * key and index say where it stands, for problems; parent is NULL at the root
 * of a document.
 */
SchemaNode *
postrider_reference_scan(SchemaCompiler *compiler, JsonbContainer *container,
						 Resource *resource, SchemaNode *parent,
						 const Keyword *keyword, const Value *key, int index)
{
	SchemaNode	   *node = add_node(compiler, container);
	Members		members;
	Value		object;
	Value		name;
	Value		value;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	node->resource = resource;
	node->parent = parent;
	node->index = index;
	if (keyword != NULL)
		postrider_value_of_string(keyword->name, strlen(keyword->name), &node->keyword);
	if (key != NULL)
		node->key = *key;
	if (parent == NULL && resource->root == NULL)
		resource->root = node;

	postrider_value_of_container(container, &object);
	if (parent == NULL && !read_dialect(compiler, node, &object, resource))
		return node;
	read_id(compiler, node, &object);
	if (parent != NULL && node->resource != resource &&
		!read_dialect(compiler, node, &object, node->resource))
		return node;
	read_anchors(compiler, node, &object);
	if (compiler->keep_all)
		postrider_compile_queue(compiler, node);

	postrider_members_start(&members, &object);
	while (!compiler->failed && postrider_members_next(&members, &name, &value))
	{
		const Keyword *found = postrider_keyword_find(node->resource, name.as.string,
													  name.length);

		if (found != NULL && found->holds != HOLDS_NOTHING)
			scan_keyword(compiler, node, found, &value);
	}
	return node;
}

static void
scan_member(SchemaCompiler *compiler, SchemaNode *node, const Keyword *keyword,
			const Value *key, int index, const Value *value)
{
	if (value->type == TYPE_OBJECT)
		(void) postrider_reference_scan(compiler, value->as.container, node->resource,
										node, keyword, key, index);
}

/* Finds the schemas in the value of a keyword; wrong shapes are told later. */
static void
scan_keyword(SchemaCompiler *compiler, SchemaNode *node, const Keyword *keyword, const Value *value)
{
	bool		is_list = keyword->holds == HOLDS_LIST ||
		(keyword->holds == HOLDS_SCHEMA_OR_LIST && value->type == TYPE_ARRAY);
	Members		members;
	Value		key;
	Value		member;
	int			index = 0;

	if (keyword->holds == HOLDS_SCHEMA ||
		(keyword->holds == HOLDS_SCHEMA_OR_LIST && !is_list))
	{
		scan_member(compiler, node, keyword, NULL, -1, value);
		return;
	}
	if (value->type != (is_list ? TYPE_ARRAY : TYPE_OBJECT))
		return;
	postrider_members_start(&members, value);
	while (!compiler->failed &&
		   postrider_members_next(&members, is_list ? NULL : &key, &member))
		scan_member(compiler, node, keyword, is_list ? NULL : &key,
					is_list ? index++ : -1, &member);
}

/*
 * Takes a document in.  uri is where it was found, or "" if it has no name but
 * what it says itself; the document must live as long as the schema.  defaults
 * is the dialect of a document that does not say, or NULL.  Returns the
 * resource of its root; on failure the compiler says so.
 */
Resource *
postrider_reference_load(SchemaCompiler *compiler, const char *uri, Jsonb *document,
						 const Resource *defaults)
{
	Resource   *resource = add_resource(compiler, pstrdup(uri), defaults);
	NameEntry  *entry;
	Value		root;
	SchemaNode	   *node;

	postrider_value_of_jsonb(document, &root);
	if (*uri != '\0' && (entry = add_name(compiler, NULL, uri)) != NULL)
		entry->resource = resource;
	if (root.type == TYPE_BOOLEAN)
	{
		resource->root = root.as.boolean ? compiler->true_node : compiler->false_node;
		return resource;
	}
	if (root.type != TYPE_OBJECT)
	{
		postrider_compile_fail(compiler, NULL, NULL, NULL, *uri ?
							   "schema \"%s\" must be an object, true or false" :
							   "a schema must be an object, true or false", uri);
		return resource;
	}
	node = postrider_reference_scan(compiler, root.as.container, resource, NULL, NULL,
									NULL, -1);
	if (node->resource != resource)
	{
		/* It is known under both URIs. */
		resource->root = node;
		entry = *uri ? find_name(compiler, NULL, uri) : NULL;
		if (entry != NULL)
			entry->resource = node->resource;
	}
	return node->resource;
}

/*
 * References
 */

/* The resource of an absolute URI, loaded if need be; NULL if not known. */
static Resource *
find_resource(SchemaCompiler *compiler, const char *uri)
{
	NameEntry  *entry = find_name(compiler, NULL, uri);
	Jsonb	   *document;
	bool		keep_all = compiler->keep_all;
	Resource   *resource;

	if (entry != NULL)
		return entry->resource;
	document = postrider_metaschema_find(uri);
	if (document == NULL && compiler->resolve != NULL)
	{
		document = compiler->resolve(uri, compiler->resolve_arg);
		if (document != NULL)
		{
			Jsonb	   *copy = palloc(VARSIZE(document));

			memcpy(copy, document, VARSIZE(document));
			document = copy;
				}
	}
	if (document == NULL)
		return NULL;
	/* Of a document from elsewhere only what is used is compiled. */
	compiler->keep_all = false;
	resource = postrider_reference_load(compiler, uri, document, NULL);
	compiler->keep_all = keep_all;
	return resource;
}

/* A number of a JSON pointer: digits without a zero before them. */
static int
pointer_index(const char *token)
{
	if (strspn(token, "0123456789") != strlen(token) || strlen(token) > 9 ||
		*token == '\0' || (*token == '0' && token[1] != '\0'))
		return -1;
	return atoi(token);
}

/* The schema that a JSON pointer leads to from the root of a resource. */
static SchemaNode *
follow_pointer(SchemaCompiler *compiler, Resource *resource, const char *pointer)
{
	SchemaNode	   *node = resource->root;
	Value		value;
	char	   *token;

	if (node->is_boolean)
		return NULL;
	postrider_value_of_container(node->container, &value);
	while (*pointer != '\0')
	{
		bool		found = false;

		token = postrider_pointer_next(&pointer);
		if (token == NULL)
			return NULL;
		if (value.type == TYPE_OBJECT)
			found = postrider_value_get(&value, token, strlen(token), &value);
		else if (value.type == TYPE_ARRAY)
			found = postrider_value_item(&value, pointer_index(token), &value);
		if (!found)
			return NULL;
		node = value.type == TYPE_OBJECT ?
			postrider_reference_node(compiler, value.as.container) : NULL;
		if (node != NULL)
			resource = node->resource;
	}
	if (value.type == TYPE_BOOLEAN)
		return value.as.boolean ? compiler->true_node : compiler->false_node;
	if (value.type != TYPE_OBJECT)
		return NULL;
	if (node == NULL)
		node = postrider_reference_scan(compiler, value.as.container, resource,
										resource->root, NULL, NULL, -1);
	return node;
}

/*
 * Whom a reference in a schema means; NULL after a failure.  *dynamic_name is
 * set if it is an anchor that a $dynamicRef may find further out.
 */
SchemaNode *
postrider_reference_find(SchemaCompiler *compiler, SchemaNode *node, const char *keyword,
						 const Value *reference, const char **dynamic_name)
{
	char	   *uri = value_string(reference);
	const char *problem = NULL;
	char	   *fragment = postrider_uri_take_fragment(uri, &problem);
	Resource   *resource = node->resource;
	SchemaNode	   *target = NULL;
	NameEntry  *entry;

	*dynamic_name = NULL;
	if (problem != NULL)
	{
		postrider_compile_fail(compiler, node, keyword, NULL, "%s", problem);
		return NULL;
	}
	if (*uri != '\0')
	{
		uri = postrider_uri_resolve(resource->base, uri);
		resource = find_resource(compiler, uri);
		if (compiler->failed)
			return NULL;
		if (resource == NULL)
		{
			postrider_compile_fail(compiler, node, keyword, NULL,
								   "refers to \"%s\", which is not registered; nothing is fetched",
								   uri);
			return NULL;
		}
	}
	if (fragment == NULL || *fragment == '\0')
	{
		target = resource->root;
		if (postrider_reference_anchor(compiler, resource, RECURSIVE_ANCHOR, true) == target)
			*dynamic_name = RECURSIVE_ANCHOR;
	}
	else if (*fragment == '/')
		target = follow_pointer(compiler, resource, fragment);
	else
	{
		entry = find_name(compiler, resource, fragment);
		target = entry ? entry->node : NULL;
		if (entry != NULL && entry->is_dynamic)
			*dynamic_name = entry->name;
	}
	if (target == NULL)
		postrider_compile_fail(compiler, node, keyword, NULL,
							   "refers to \"%.*s\", where there is no schema",
							   Min(reference->length, 200), reference->as.string);
	return target;
}
