/*-------------------------------------------------------------------------
 *
 * schema_compile.c
 *	  From a JSON Schema to its compiled form: the steps.
 *
 * 1. The document is walked: nodes, resources, anchors (schema_reference.c).
 * 2. Each node of it is compiled, keyword by keyword (schema_compile_keyword.c,
 *	  schema_compile_object.c); references may load further documents, of which
 *	  only the nodes that something leads to are compiled.
 * 3. Where a $dynamicRef may lead is looked up in each resource; what that
 *	  finds is compiled too.
 * 4. A schema that applies itself to the same instance without end is refused.
 *
 * Nothing of this raises an error for a wrong schema: the first problem is noted
 * with its place, and what follows stops.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_internal.h"
#include "content/schema_uri.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* References to other documents in one schema, so that nothing grows for ever. */
#define MAX_NODES	1000000

/*
 * Problems
 */

static void
append_place(StringInfo location, const SchemaNode *node)
{
	check_stack_depth();
	if (node == NULL || node->parent == NULL)
		return;
	append_place(location, node->parent);
	if (node->keyword.type == 0)
		return;
	postrider_pointer_append(location, node->keyword.as.string, node->keyword.length);
	if (node->key.type == TYPE_STRING)
		postrider_pointer_append(location, node->key.as.string, node->key.length);
	else if (node->index >= 0)
		appendStringInfo(location, "/%d", node->index);
}

/* The document that a node is in, if it is not the one that was given. */
static const char *
other_document(const SchemaCompiler *compiler, const SchemaNode *node)
{
	const SchemaNode *root = node;

	while (root != NULL && root->parent != NULL)
		root = root->parent;
	if (root == NULL || root == compiler->schema->root || compiler->schema->root == NULL)
		return NULL;
	return root->resource->base;
}

/*
 * Notes the first problem: at a keyword of a node (NULL: the document), and at
 * a key below the keyword if there is one.
 */
void
postrider_compile_fail(SchemaCompiler *compiler, const SchemaNode *node, const char *keyword,
					   const Value *key, const char *format,...)
{
	StringInfoData location;
	StringInfoData message;
	MemoryContext old;
	const char *document;

	if (compiler->failed)
		return;
	compiler->failed = true;
	old = MemoryContextSwitchTo(compiler->caller);
	initStringInfo(&location);
	append_place(&location, node);
	if (keyword != NULL)
		postrider_pointer_append(&location, keyword, strlen(keyword));
	if (key != NULL)
		postrider_pointer_append(&location, key->as.string, key->length);
	initStringInfo(&message);
	for (;;)
	{
		va_list		arguments;
		int			needed;

		va_start(arguments, format);
		needed = appendStringInfoVA(&message, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	document = other_document(compiler, node);
	if (document != NULL && *document != '\0')
		appendStringInfo(&message, " (in \"%.200s\")", document);
	compiler->problem->location = location.data;
	compiler->problem->message = message.data;
	MemoryContextSwitchTo(old);
}

/*
 * Nodes
 */

void
postrider_compile_queue(SchemaCompiler *compiler, SchemaNode *node)
{
	if (node->state != NODE_KNOWN || node->is_boolean)
		return;
	node->state = NODE_QUEUED;
	compiler->queue = lappend(compiler->queue, node);
}

/* The node of a schema within a schema; NULL after a failure. */
SchemaNode *
postrider_compile_child(SchemaCompiler *compiler, SchemaNode *node, const Keyword *keyword,
						const Value *key, int index, const Value *value)
{
	SchemaNode	   *child;

	if (value->type == TYPE_BOOLEAN)
		return value->as.boolean ? compiler->true_node : compiler->false_node;
	if (value->type != TYPE_OBJECT)
	{
		Value		position;

		if (index >= 0)
		{
			char	   *number = psprintf("%d", index);

			postrider_value_of_string(number, strlen(number), &position);
			key = &position;
		}
		postrider_compile_fail(compiler, node, keyword->name, key,
							   "must be a schema: an object, true or false");
		return NULL;
	}
	child = postrider_reference_node(compiler, value->as.container);
	if (child == NULL)
		child = postrider_reference_scan(compiler, value->as.container, node->resource,
										 node, keyword, key, index);
	postrider_compile_queue(compiler, child);
	return child;
}

static void
finish_node(SchemaCompiler *compiler, SchemaNode *node)
{
	if (node->array != NULL)
		postrider_compile_finish_array(compiler, node);
	if (node->object != NULL)
		postrider_compile_finish_object(compiler, node);
	node->has_in_place = node->logic != NULL;
	if (node->object != NULL)
	{
		for (Dependency *d = node->object->dependencies; d; d = d->next)
			node->has_in_place |= d->node != NULL;
	}
}

static void
compile_node(SchemaCompiler *compiler, SchemaNode *node)
{
	Members		members;
	Value		object;
	Value		name;
	Value		value;
	bool		only_reference;

	CHECK_FOR_INTERRUPTS();
	node->state = NODE_COMPILED;
	postrider_value_of_container(node->container, &object);
	/* Until draft 7 a $ref hides everything beside it. */
	only_reference = node->resource->draft == DRAFT_7 &&
		postrider_value_get(&object, "$ref", 4, &value) && value.type == TYPE_STRING;
	postrider_members_start(&members, &object);
	while (!compiler->failed && postrider_members_next(&members, &name, &value))
	{
		const Keyword *keyword = postrider_keyword_find(node->resource, name.as.string,
														name.length);

		if (keyword == NULL || keyword->compile == NULL ||
			(only_reference && strcmp(keyword->name, "$ref") != 0))
			continue;
		keyword->compile(compiler, node, keyword, &value);
	}
	if (!compiler->failed)
		finish_node(compiler, node);
}

static void
compile_queue(SchemaCompiler *compiler)
{
	while (compiler->queue != NIL && !compiler->failed)
	{
		List	   *queue = compiler->queue;
		ListCell   *cell;

		compiler->queue = NIL;
		foreach(cell, queue)
		{
			if (!compiler->failed)
				compile_node(compiler, lfirst(cell));
		}
		list_free(queue);
		if (compiler->schema->node_count > MAX_NODES)
			postrider_compile_fail(compiler, NULL, NULL, NULL,
								   "leads to more than %d schemas", MAX_NODES);
	}
}

/*
 * Looks up where each dynamic name leads in each resource.  What is found is
 * compiled, which may find more names and resources.
 */
static void
compile_dynamic_names(SchemaCompiler *compiler)
{
	int			count;

	do
	{
		compile_queue(compiler);
		count = list_length(compiler->dynamic_names);
		for (Resource *resource = compiler->resources; resource && count > 0;
			 resource = resource->next)
		{
			ListCell   *cell;
			int			i = 0;

			resource->dynamic_nodes = palloc0(count * sizeof(SchemaNode *));
			foreach(cell, compiler->dynamic_names)
			{
				SchemaNode	   *node = postrider_reference_anchor(compiler, resource,
															  lfirst(cell), true);

				resource->dynamic_nodes[i++] = node;
				if (node != NULL)
					postrider_compile_queue(compiler, node);
			}
		}
	} while (compiler->queue != NIL && !compiler->failed);
	compiler->schema->dynamic_count = count;
}

/*
 * Loops
 *
 * A schema may apply itself to a part of the instance, never to the same
 * instance again.  A $dynamicRef is followed if there is only one place where it
 * can lead; the rest is found when it happens (schema_evaluate.c).
 */

static SchemaNode *
only_target(SchemaCompiler *compiler, const Logic *logic)
{
	int			count = 0;

	if (logic->dynamic == NULL || logic->dynamic_name < 0)
		return logic->dynamic;
	for (Resource *resource = compiler->resources; resource && count < 2;
		 resource = resource->next)
		count += resource->dynamic_nodes[logic->dynamic_name] != NULL;
	return count == 1 ? logic->dynamic : NULL;
}

static bool find_loop(SchemaCompiler *compiler, SchemaNode *node);

static bool
find_loop_in_list(SchemaCompiler *compiler, const NodeList *list)
{
	for (int i = 0; i < list->count; i++)
	{
		if (find_loop(compiler, list->nodes[i]))
			return true;
	}
	return false;
}

static bool
find_loop(SchemaCompiler *compiler, SchemaNode *node)
{
	Logic	   *logic;
	bool		found = false;

	if (node == NULL || node->is_boolean || node->visit == 2)
		return false;
	if (node->visit == 1)
	{
		postrider_compile_fail(compiler, node, NULL, NULL,
							   "refers to itself without end: no step leads into the instance");
		return true;
	}
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	node->visit = 1;
	logic = node->logic;
	if (logic != NULL)
		found = find_loop(compiler, logic->reference) ||
			find_loop(compiler, only_target(compiler, logic)) ||
			find_loop_in_list(compiler, &logic->all_of) ||
			find_loop_in_list(compiler, &logic->any_of) ||
			find_loop_in_list(compiler, &logic->one_of) ||
			find_loop(compiler, logic->not) ||
			find_loop(compiler, logic->if_node) ||
			find_loop(compiler, logic->then_node) ||
			find_loop(compiler, logic->else_node);
	if (node->object != NULL)
	{
		for (Dependency *d = node->object->dependencies; d && !found; d = d->next)
			found = find_loop(compiler, d->node);
	}
	node->visit = 2;
	return found;
}

static void
find_loops(SchemaCompiler *compiler)
{
	HASH_SEQ_STATUS status;
	void	   *slot;

	hash_seq_init(&status, compiler->nodes);
	while ((slot = hash_seq_search(&status)) != NULL)
	{
		/* The slot begins with its key, the container. */
		SchemaNode	   *node = postrider_reference_node(compiler, *(JsonbContainer **) slot);

		if (find_loop(compiler, node))
		{
			hash_seq_term(&status);
			return;
		}
	}
}

/*
 * The whole
 */

static HTAB *
make_table(const char *name, Size key_size, Size entry_size, MemoryContext context)
{
	HASHCTL		control = {0};

	control.keysize = key_size;
	control.entrysize = entry_size;
	control.hcxt = context;
	return hash_create(name, 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static SchemaNode *
boolean_node(bool accepts)
{
	SchemaNode	   *node = palloc0(sizeof(SchemaNode));

	node->is_boolean = true;
	node->accepts = accepts;
	node->types = node->types_wanted = TYPE_ALL;
	node->index = -1;
	node->state = NODE_COMPILED;
	return node;
}

static void
start_compiler(SchemaCompiler *compiler, Schema *schema, SchemaResolver resolve, void *arg,
			   SchemaProblem *problem)
{
	compiler->schema = schema;
	compiler->resolve = resolve;
	compiler->resolve_arg = arg;
	compiler->problem = problem;
	compiler->caller = CurrentMemoryContext;
	MemoryContextSwitchTo(schema->context);
	/* The key is an address or a hash; the rest of a slot is a pointer. */
	compiler->nodes = make_table("nodes of a JSON Schema", sizeof(JsonbContainer *),
								 sizeof(JsonbContainer *) + sizeof(SchemaNode *),
								 CurrentMemoryContext);
	compiler->names = make_table("names in a JSON Schema", sizeof(uint32),
								 2 * sizeof(void *), CurrentMemoryContext);
	compiler->true_node = boolean_node(true);
	compiler->false_node = boolean_node(false);
	compiler->keep_all = true;
}

static void
compile_document(SchemaCompiler *compiler, Jsonb *document)
{
	Schema	   *schema = compiler->schema;
	Jsonb	   *copy = palloc(VARSIZE(document));
	Resource   *resource;

	memcpy(copy, document, VARSIZE(document));
	resource = postrider_reference_load(compiler, "", copy, NULL);
	if (compiler->failed)
		return;
	schema->root = resource->root;
	compile_dynamic_names(compiler);
	if (!compiler->failed)
		find_loops(compiler);
}

Schema *
postrider_schema_compile(Jsonb *document, SchemaResolver resolve, void *arg,
						 SchemaProblem *problem)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "JSON Schema", ALLOCSET_SMALL_SIZES);
	Schema	   *schema = MemoryContextAllocZero(context, sizeof(Schema));
	SchemaCompiler	compiler = {0};

	schema->context = context;
	start_compiler(&compiler, schema, resolve, arg, problem);
	compile_document(&compiler, document);
	MemoryContextSwitchTo(caller);
	if (compiler.failed)
	{
		MemoryContextDelete(context);
		return NULL;
	}
	hash_destroy(compiler.nodes);
	hash_destroy(compiler.names);
	schema->work = AllocSetContextCreate(context, "JSON Schema evaluation",
										 ALLOCSET_SMALL_SIZES);
	schema->scratch = AllocSetContextCreate(context, "JSON Schema scratch",
											ALLOCSET_SMALL_SIZES);
	return schema;
}

void
postrider_schema_free(Schema *schema)
{
	MemoryContextDelete(schema->context);
}
