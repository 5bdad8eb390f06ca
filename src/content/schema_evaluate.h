/*-------------------------------------------------------------------------
 *
 * schema_evaluate.h
 *	  What the files that evaluate a compiled JSON Schema share.
 *
 * schema_evaluate.c		one node: types, logic, references
 * schema_evaluate_value.c	strings, numbers, enum and const
 * schema_evaluate_object.c, schema_evaluate_array.c	the two containers
 * schema_message.c			locations and messages
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_EVALUATE_H
#define POSTRIDER_SCHEMA_EVALUATE_H

#include "content/schema_internal.h"

/*
 * Which members of one object or array have been evaluated, for
 * unevaluatedProperties and unevaluatedItems.
 */
typedef struct Marks
{
	int			count;			/* members of the instance */
	uint64	   *words;			/* a bit for each */
	uint64		first;			/* what "words" points to for up to 64 */
} Marks;

/* For messages: "1 item", "2 items". */
#define NOUN(count, one, many)	((count) == 1 ? (one) : (many))

/* How an instance gets from a member to a member. */
typedef enum PlaceStep
{
	STEP_NONE,					/* the same instance */
	STEP_PROPERTY,
	STEP_ITEM,
	STEP_NAME					/* the name of a property */
} PlaceStep;

/*
 * Where the evaluation is: a list on the stack, from the inside out.  Only
 * filled while errors are collected.
 */
typedef struct Place
{
	const struct Place *parent; /* NULL at the root */
	const char *keyword;
	const char *key;			/* below the keyword, NULL without one */
	int			key_length;
	int			index;			/* below the keyword, -1 without one */
	PlaceStep	step;
	int			length;			/* of name; or the number of the item */
	const char *name;
} Place;

/* The resources that have been entered, from the inside out. */
typedef struct Scope
{
	const Resource *resource;
	const struct Scope *outer;
} Scope;

typedef struct Evaluation
{
	Schema	   *schema;
	const Scope *scope;			/* only if there are dynamic references */
	int			in_place;		/* nodes since the last step into a member */
	bool		collecting;		/* errors, rather than the first doubt */
	bool		full;			/* max_errors are there */
	int			max_errors;
	int			error_count;
	List	   *errors;
	MemoryContext caller;		/* where errors go */
} Evaluation;

/*
 * Says what is wrong, if anybody wants to know; the value is false.  The
 * arguments are only computed if so.
 */
#define FAIL(e, place, keyword, ...) \
	((e)->collecting && !(e)->full ? \
	 postrider_evaluate_report(e, place, keyword, __VA_ARGS__) : false)

/* True if there is no reason to go on after something was wrong. */
#define STOP(e) (!(e)->collecting || (e)->full)

/* A place further in, at the same instance; NULL if nobody collects errors. */
static inline const Place *
place_at(const Evaluation *e, Place *store, const Place *parent, const char *keyword,
		 int index)
{
	if (!e->collecting)
		return NULL;
	*store = (Place) {.parent = parent,.keyword = keyword,.index = index,.step = STEP_NONE};
	return store;
}

/* The same in a property of the instance; with_key: the name is below the keyword too. */
static inline const Place *
place_at_property(const Evaluation *e, Place *store, const Place *parent,
				  const char *keyword, const Value *name, bool with_key)
{
	if (!e->collecting)
		return NULL;
	*store = (Place) {.parent = parent,.keyword = keyword,.index = -1,
			.step = STEP_PROPERTY,.name = name->as.string,.length = name->length};
	if (with_key)
	{
		store->key = name->as.string;
		store->key_length = name->length;
	}
	return store;
}

/* The same in an item; index is that below the keyword, or -1. */
static inline const Place *
place_at_item(const Evaluation *e, Place *store, const Place *parent, const char *keyword,
			  int index, int item)
{
	if (!e->collecting)
		return NULL;
	*store = (Place) {.parent = parent,.keyword = keyword,.index = index,
			.step = STEP_ITEM,.length = item};
	return store;
}

/* schema_evaluate.c */
extern bool postrider_evaluate(Evaluation *e, const SchemaNode *node, const Value *value,
							   const Place *place, Marks *marks);
extern bool postrider_evaluate_in_place(Evaluation *e, const SchemaNode *node,
										const Value *value, const Place *place,
										Marks *marks);
extern bool postrider_evaluate_quietly(Evaluation *e, const SchemaNode *node,
									   const Value *value, Marks *marks);
extern void postrider_marks_init(Evaluation *e, Marks *marks, int count);
extern void postrider_marks_free(Marks *marks);
extern void postrider_marks_all(Marks *marks);

static inline void
marks_set(Marks *marks, int index)
{
	if (marks != NULL)
		marks->words[index / 64] |= UINT64CONST(1) << (index % 64);
}

static inline bool
marks_get(const Marks *marks, int index)
{
	return (marks->words[index / 64] >> (index % 64)) & 1;
}

/* schema_evaluate_value.c */
extern bool postrider_evaluate_string(Evaluation *e, const StringRules *rules,
									  const Value *value, const Place *place);
extern bool postrider_evaluate_pattern(Evaluation *e, SchemaPattern *pattern,
									   const Value *value);
extern bool postrider_evaluate_number(Evaluation *e, const NumberRules *rules,
									  const Value *value, const Place *place);
extern bool postrider_evaluate_value(Evaluation *e, const ValueRules *rules,
									 const Value *value, const Place *place);

/* schema_evaluate_object.c */
extern bool postrider_evaluate_object(Evaluation *e, const SchemaNode *node,
									  const Value *value, const Place *place,
									  Marks *marks);
extern bool postrider_evaluate_rest_of_object(Evaluation *e, const SchemaNode *node,
											  const Value *value,
											  const Place *place, Marks *marks);

/* schema_evaluate_array.c */
extern bool postrider_evaluate_array(Evaluation *e, const SchemaNode *node,
									 const Value *value, const Place *place,
									 Marks *marks);
extern bool postrider_evaluate_rest_of_array(Evaluation *e, const SchemaNode *node,
											 const Value *value,
											 const Place *place, Marks *marks);

/* schema_message.c */
extern bool postrider_evaluate_report(Evaluation *e, const Place *place,
									  const char *keyword, const char *format,...) pg_attribute_printf(4, 5);
extern char *postrider_message_value(const Value *value);
extern char *postrider_message_name(const char *name, int length);
extern char *postrider_message_types(uint32 types);
extern char *postrider_message_kind(uint32 wanted, const Value *value);
extern char *postrider_message_list(JsonbContainer *array);

#endif							/* POSTRIDER_SCHEMA_EVALUATE_H */
