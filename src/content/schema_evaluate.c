/*-------------------------------------------------------------------------
 *
 * schema_evaluate.c
 *	  Is an instance valid against a compiled JSON Schema?
 *
 * There are two ways to ask.  The short one stops at the first doubt, knows no
 * places and allocates nothing.  The long one collects errors: then "place"
 * leads from the node back to the root, through members of the instance and
 * keywords of the schema.
 *
 * Annotations: only what unevaluatedProperties and unevaluatedItems need is
 * kept, a bit for each member of one container (Marks).  A subschema that fails
 * leaves no marks; so branches that may fail without the whole failing (anyOf,
 * oneOf, if) get marks of their own, which are added when they hold.
 *
 * A $dynamicRef takes the outermost resource that has the name; the resources
 * that were entered are a list on the stack (Scope), kept only for schemas
 * that have such references.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_evaluate.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/*
 * Marks
 */

void
postrider_marks_init(Evaluation *e, Marks *marks, int count)
{
	int			words = (count + 63) / 64;

	marks->count = count;
	marks->first = 0;
	marks->words = &marks->first;
	if (words > 1)
		marks->words = MemoryContextAllocExtended(e->schema->work, words * sizeof(uint64),
												  MCXT_ALLOC_ZERO | MCXT_ALLOC_HUGE);
}

void
postrider_marks_free(Marks *marks)
{
	if (marks->words != &marks->first)
		pfree(marks->words);
}

void
postrider_marks_all(Marks *marks)
{
	if (marks != NULL)
		memset(marks->words, 0xFF, Max((marks->count + 63) / 64, 1) * sizeof(uint64));
}

static void
add_marks(Marks *marks, const Marks *more)
{
	for (int i = 0; i < Max((marks->count + 63) / 64, 1); i++)
		marks->words[i] |= more->words[i];
}

/*
 * Logic
 */

/*
 * Evaluates a node at the same instance.  To come to a node again without a
 * step into the instance makes sense only if a $dynamicRef leads elsewhere now,
 * because another name has been entered: more steps than that go in a circle.
 */
bool
postrider_evaluate_in_place(Evaluation *e, const SchemaNode *node, const Value *value,
							const Place *place, Marks *marks)
{
	const Schema *schema = e->schema;
	bool		valid;

	if (++e->in_place > (schema->node_count + 1) * (int64) (schema->dynamic_count + 1))
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("schema refers to itself without end"),
				 errdetail("A \"%s\" leads back to itself without a step into the instance.",
						   "$dynamicRef"),
				 errhint("Let it stand below a keyword such as properties or items.")));
	valid = postrider_evaluate(e, node, value, place, marks);
	e->in_place--;
	return valid;
}

/* The same, without a word about what is wrong. */
bool
postrider_evaluate_quietly(Evaluation *e, const SchemaNode *node, const Value *value,
						   Marks *marks)
{
	bool		collecting = e->collecting;
	bool		valid;

	e->collecting = false;
	valid = postrider_evaluate_in_place(e, node, value, NULL, marks);
	e->collecting = collecting;
	return valid;
}

/* A branch that may fail: its marks count only if it holds. */
static bool
evaluate_branch(Evaluation *e, const SchemaNode *node, const Value *value, Marks *marks)
{
	Marks		own;
	bool		valid;

	if (marks == NULL)
		return postrider_evaluate_quietly(e, node, value, NULL);
	postrider_marks_init(e, &own, marks->count);
	valid = postrider_evaluate_quietly(e, node, value, &own);
	if (valid)
		add_marks(marks, &own);
	postrider_marks_free(&own);
	return valid;
}

static inline bool
accepts_type(const SchemaNode *node, const Value *value)
{
	if (node->types & value->type)
		return true;
	return value->type == TYPE_NUMBER && (node->types & TYPE_INTEGER) &&
		postrider_number_is_integer(value->as.number);
}

/*
 * Nothing of a list held.  If a single one of its schemas is meant for a value
 * of this type, what is wrong with it is more useful than that none holds.
 */
static bool
explain_branches(Evaluation *e, const NodeList *list, const Value *value,
				 const Place *place, const char *keyword)
{
	Place		store;
	int			meant = -1;

	for (int i = 0; i < list->count; i++)
	{
		if (list->nodes[i]->is_boolean || !accepts_type(list->nodes[i], value))
			continue;
		if (meant >= 0)
			meant = list->count;
		else
			meant = i;
	}
	if (e->collecting && meant >= 0 && meant < list->count)
		return postrider_evaluate_in_place(e, list->nodes[meant], value,
										   place_at(e, &store, place, keyword, meant), NULL);
	return FAIL(e, place, keyword,
				strcmp(keyword, "anyOf") == 0 ?
				"must match at least one of the %d schemas, but matches none" :
				"must match exactly one of the %d schemas, but matches none", list->count);
}

static bool
evaluate_all_of(Evaluation *e, const NodeList *list, const Value *value,
				const Place *place, Marks *marks)
{
	bool		valid = true;

	for (int i = 0; i < list->count; i++)
	{
		Place		store;

		valid &= postrider_evaluate_in_place(e, list->nodes[i], value,
											 place_at(e, &store, place, "allOf", i), marks);
		if (!valid && STOP(e))
			return false;
	}
	return valid;
}

/* All are looked at if somebody wants their marks. */
static bool
evaluate_any_of(Evaluation *e, const NodeList *list, const Value *value,
				const Place *place, Marks *marks)
{
	bool		valid = false;

	for (int i = 0; i < list->count && (!valid || marks != NULL); i++)
		valid |= evaluate_branch(e, list->nodes[i], value, marks);
	return valid || explain_branches(e, list, value, place, "anyOf");
}

static bool
evaluate_one_of(Evaluation *e, const NodeList *list, const Value *value,
				const Place *place, Marks *marks)
{
	int			first = -1;

	for (int i = 0; i < list->count; i++)
	{
		if (!evaluate_branch(e, list->nodes[i], value, marks))
			continue;
		if (first >= 0)
			return FAIL(e, place, "oneOf",
						"must match exactly one of the %d schemas, but matches those at %d and %d",
						list->count, first, i);
		first = i;
	}
	return first >= 0 || explain_branches(e, list, value, place, "oneOf");
}

static bool
evaluate_if(Evaluation *e, const Logic *logic, const Value *value, const Place *place,
			Marks *marks)
{
	bool		holds = evaluate_branch(e, logic->if_node, value, marks);
	const SchemaNode *next = holds ? logic->then_node : logic->else_node;
	Place		store;

	return next == NULL ||
		postrider_evaluate_in_place(e, next, value,
									place_at(e, &store, place, holds ? "then" : "else", -1),
									marks);
}

/* Where a $dynamicRef leads: the outermost resource that has the name decides. */
static const SchemaNode *
dynamic_target(const Evaluation *e, const Logic *logic)
{
	const SchemaNode *target = logic->dynamic;

	if (logic->dynamic_name < 0)
		return target;
	for (const Scope *scope = e->scope; scope; scope = scope->outer)
	{
		if (scope->resource->dynamic_nodes[logic->dynamic_name] != NULL)
			target = scope->resource->dynamic_nodes[logic->dynamic_name];
	}
	return target;
}

static bool
evaluate_logic(Evaluation *e, const Logic *logic, const Value *value, const Place *place,
			   Marks *marks)
{
	bool		valid = true;
	Place		store;

#define AND(condition) \
	do { \
		valid &= (condition); \
		if (!valid && STOP(e)) \
			return false; \
	} while (0)

	if (logic->reference != NULL)
		AND(postrider_evaluate_in_place(e, logic->reference, value,
										place_at(e, &store, place, logic->reference_keyword, -1),
										marks));
	if (logic->dynamic != NULL)
		AND(postrider_evaluate_in_place(e, dynamic_target(e, logic), value,
										place_at(e, &store, place, logic->dynamic_keyword, -1),
										marks));
	if (logic->all_of.count > 0)
		AND(evaluate_all_of(e, &logic->all_of, value, place, marks));
	if (logic->any_of.count > 0)
		AND(evaluate_any_of(e, &logic->any_of, value, place, marks));
	if (logic->one_of.count > 0)
		AND(evaluate_one_of(e, &logic->one_of, value, place, marks));
	if (logic->not != NULL)
		AND(!postrider_evaluate_quietly(e, logic->not, value, NULL) ||
			FAIL(e, place, "not", "must not match the schema of \"not\""));
	if (logic->if_node != NULL)
		AND(evaluate_if(e, logic, value, place, marks));
#undef AND
	return valid;
}

/*
 * One node
 */

/* What a schema that is false says of where it stands. */
static bool
report_refusal(Evaluation *e, const Place *place)
{
	const char *keyword = place ? place->keyword : "";
	const char *message = "is not allowed";

	if (strcmp(keyword, "additionalProperties") == 0 ||
		strcmp(keyword, "unevaluatedProperties") == 0)
		message = "is not a known property";
	else if (strcmp(keyword, "items") == 0 || strcmp(keyword, "additionalItems") == 0 ||
			 strcmp(keyword, "unevaluatedItems") == 0)
		message = "is an item too many";
	return FAIL(e, place, NULL, "%s", message);
}

static bool
evaluate_by_type(Evaluation *e, const SchemaNode *node, const Value *value,
				 const Place *place, Marks *marks)
{
	switch (value->type)
	{
		case TYPE_STRING:
			return node->string == NULL ||
				postrider_evaluate_string(e, node->string, value, place);
		case TYPE_NUMBER:
			return node->number == NULL ||
				postrider_evaluate_number(e, node->number, value, place);
		case TYPE_OBJECT:
			return node->object == NULL ||
				postrider_evaluate_object(e, node, value, place, marks);
		case TYPE_ARRAY:
			return node->array == NULL ||
				postrider_evaluate_array(e, node, value, place, marks);
		default:
			return true;
	}
}

static bool
evaluate_keywords(Evaluation *e, const SchemaNode *node, const Value *value,
				  const Place *place, Marks *marks)
{
	bool		valid = true;

	if (node->value != NULL)
		valid = postrider_evaluate_value(e, node->value, value, place);
	if (!valid && STOP(e))
		return false;
	valid &= evaluate_by_type(e, node, value, place, marks);
	if (!valid && STOP(e))
		return false;
	if (node->logic != NULL)
		valid &= evaluate_logic(e, node->logic, value, place, marks);
	return valid;
}

/*
 * A node with unevaluatedProperties or unevaluatedItems: what the rest has not
 * marked must be valid against it, and then all is evaluated.
 */
static bool
evaluate_with_rest(Evaluation *e, const SchemaNode *node, const Value *value,
				   const Place *place, Marks *marks)
{
	Marks		own;
	bool		valid;

	postrider_marks_init(e, &own, value->length);
	valid = evaluate_keywords(e, node, value, place, &own);
	/* After an error the marks are not complete. */
	if (valid)
		valid = value->type == TYPE_OBJECT ?
			postrider_evaluate_rest_of_object(e, node, value, place, &own) :
			postrider_evaluate_rest_of_array(e, node, value, place, &own);
	postrider_marks_free(&own);
	if (valid)
		postrider_marks_all(marks);
	return valid;
}

static bool
evaluate_node(Evaluation *e, const SchemaNode *node, const Value *value,
			  const Place *place, Marks *marks)
{
	if (!accepts_type(node, value))
		return FAIL(e, place, "type", "must be %s, but is %s",
					postrider_message_types(node->types_wanted),
					postrider_message_kind(node->types_wanted, value));
	if ((value->type == TYPE_OBJECT && node->unevaluated_properties != NULL) ||
		(value->type == TYPE_ARRAY && node->unevaluated_items != NULL))
		return evaluate_with_rest(e, node, value, place, marks);
	return evaluate_keywords(e, node, value, place, marks);
}

/*
 * Is the value valid against the node?  marks are those of the value, if
 * somebody wants to know which of its members have been evaluated.
 */
bool
postrider_evaluate(Evaluation *e, const SchemaNode *node, const Value *value,
				   const Place *place, Marks *marks)
{
	Scope		scope;
	bool		valid;

	if (node->is_boolean)
		return node->accepts || report_refusal(e, place);
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (e->schema->dynamic_count == 0 ||
		(e->scope != NULL && e->scope->resource == node->resource))
		return evaluate_node(e, node, value, place, marks);

	scope.resource = node->resource;
	scope.outer = e->scope;
	e->scope = &scope;
	valid = evaluate_node(e, node, value, place, marks);
	e->scope = scope.outer;
	return valid;
}

/*
 * The whole
 */

static bool
evaluate_root(Evaluation *e, Schema *schema, Jsonb *instance)
{
	Value		value;
	bool		valid;

	e->schema = schema;
	e->caller = CurrentMemoryContext;
	/* An error may have left something there. */
	MemoryContextReset(schema->work);
	MemoryContextReset(schema->scratch);
	postrider_value_of_jsonb(instance, &value);
	valid = postrider_evaluate(e, schema->root, &value, NULL, NULL);
	MemoryContextReset(schema->work);
	MemoryContextReset(schema->scratch);
	return valid;
}

bool
postrider_schema_is_valid(Schema *schema, Jsonb *instance)
{
	Evaluation	e = {0};

	return evaluate_root(&e, schema, instance);
}

List *
postrider_schema_errors(Schema *schema, Jsonb *instance, int max_errors)
{
	Evaluation	e = {0};

	e.collecting = true;
	e.max_errors = max_errors;
	(void) evaluate_root(&e, schema, instance);
	return e.errors;
}
