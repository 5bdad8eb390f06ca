/*-------------------------------------------------------------------------
 *
 * schema_compare_internal.h
 *	  What the files schema_compare*.c share.
 *
 * The question is always the same: does every instance that satisfies all of
 * a set of old schemas (a NodeSet) satisfy one new schema (a SchemaNode)?  The set is
 * the conjunction of what is known of the instance: a schema, what it refers
 * to, the members of its allOf.  To leave a member out of the set is always
 * sound: then less is known, and less can be proven.
 *
 * schema_compare.c			the walk: one node, trials, the memory of pairs
 * schema_compare_node.c	nodes, conjunctions, sameness
 * schema_compare_reference.c	references
 * schema_compare_fact.c	what a set says of types, bounds and values
 * schema_compare_value.c	keywords of plain values: type, minimum, pattern ...
 * schema_compare_object.c	keywords of objects
 * schema_compare_dependency.c	propertyNames, dependentRequired ...
 * schema_compare_array.c	keywords of arrays
 * schema_compare_logic.c	anyOf, oneOf, not, if, $ref
 * schema_compare_report.c	rows and messages
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_COMPARE_INTERNAL_H
#define POSTRIDER_SCHEMA_COMPARE_INTERNAL_H

#include "content/schema_compare.h"
#include "utils/numeric.h"

/* Members of a conjunction that are looked at; more are left out. */
#define NODE_SET_MAX 32

/* The types of JSON, with the numbers told apart. */
#define TYPE_NULL		0x01
#define TYPE_BOOLEAN	0x02
#define TYPE_OBJECT		0x04
#define TYPE_ARRAY		0x08
#define TYPE_STRING		0x10
#define TYPE_INTEGER	0x20
#define TYPE_FRACTION	0x40
#define TYPE_NUMBER		(TYPE_INTEGER | TYPE_FRACTION)
#define TYPE_ALL		0x7f

typedef enum NodeKind
{
	NODE_TRUE,
	NODE_FALSE,
	NODE_OBJECT
} NodeKind;

/* A schema within a document. */
typedef struct SchemaNode
{
	NodeKind	kind;
	JsonbContainer *object;		/* for NODE_OBJECT; its address is its identity */
	JsonbContainer *resource;	/* nearest enclosing schema with $id, or the root */
	JsonbContainer *document;	/* the root */
	bool		any_split;		/* a branch of its anyOf is in the set */
	bool		one_split;		/* a branch of its oneOf is in the set */
} SchemaNode;

typedef struct NodeSet
{
	bool		never;			/* no instance satisfies it */
	int			count;
	SchemaNode		nodes[NODE_SET_MAX];
} NodeSet;

typedef enum FieldKind
{
	FIELD_SAME,					/* the same instance: allOf, $ref ... */
	FIELD_PROPERTY,				/* the property "key" */
	FIELD_OTHERS,				/* any other property */
	FIELD_NAME,					/* the name of a property */
	FIELD_INDEX,				/* the item number "key" */
	FIELD_ITEMS					/* any item */
} FieldKind;

/* Where the walk is: a list on the stack, from the inside out. */
typedef struct Place
{
	const struct Place *parent; /* NULL at the root */
	const char *keyword;
	const char *key;			/* property, number or NULL */
	FieldKind	field;
} Place;

typedef struct PairEntry
{
	uint32		hash;
	int			next;			/* in the chain; -1 at the end */
	bool		done;
	bool		proven;			/* if done */
	int			old_count;
	SchemaNode	   *old_nodes;
	JsonbContainer *new_object;
} PairEntry;

#define PAIR_BUCKETS 1024

typedef struct Compare
{
	SchemaResolver resolve;
	void	   *resolve_arg;
	List	   *resolved;		/* of ResolvedSchema */
	List	   *compiled;		/* of CompiledPattern */
	int			quiet;			/* > 0: prove only, report nothing */
	int			steps;
	bool		exhausted;		/* the step limit has been reported */
	int			max_changes;
	List	   *changes;
	List	   *failed;			/* keywords with breaks, at the present place */
	int			buckets[PAIR_BUCKETS];
	int			pair_count;
	int			pair_room;
	PairEntry  *pairs;
} Compare;

/* One node under comparison, handed to the functions of keywords. */
typedef struct Check
{
	const NodeSet *old;
	SchemaNode		new;
	uint32		types;			/* that instances of old may have */
	const Place *place;
	const char *keyword;
} Check;

typedef bool (*KeywordCheck) (Compare *compare, const Check *check,
							  const JsonbValue *value);

/* schema_compare.c */
extern bool postrider_compare_check(Compare *compare, const NodeSet *old,
									SchemaNode new_node, const Place *place);
extern bool postrider_compare_prove(Compare *compare, const NodeSet *old,
									SchemaNode new_node);
extern bool postrider_compare_prove_node(Compare *compare, SchemaNode old_node,
										 SchemaNode new_node);

/* schema_compare_node.c */
extern bool postrider_compare_get(JsonbContainer *object, const char *key,
								  JsonbValue *value);
extern bool postrider_compare_node_get(const SchemaNode *node, const char *key,
									   JsonbValue *value);
extern bool postrider_compare_is_container(const JsonbValue *value, bool object);
extern bool postrider_compare_string_is(const JsonbValue *value,
										const char *string, int length);
extern SchemaNode postrider_compare_object_node(JsonbContainer *object,
												JsonbContainer *resource,
												JsonbContainer *document);
extern SchemaNode postrider_compare_document_node(JsonbContainer *root);
extern SchemaNode postrider_compare_root(Jsonb *schema);
extern SchemaNode postrider_compare_child(const SchemaNode *parent, const JsonbValue *value);
extern bool postrider_compare_subschema(const SchemaNode *node, const char *keyword,
										SchemaNode *child);
extern bool postrider_compare_member(const SchemaNode *node, const char *keyword,
									 const char *key, SchemaNode *child);
extern int	postrider_compare_length(const JsonbValue *array);
extern SchemaNode postrider_compare_element(const SchemaNode *parent,
									  const JsonbValue *array, int index);
extern List *postrider_compare_keys(const JsonbValue *object);

/* schema_compare_reference.c */
extern bool postrider_compare_resolve(Compare *compare, const SchemaNode *node,
									  const char *reference, SchemaNode *target);
extern bool postrider_compare_reference(Compare *compare, const SchemaNode *node,
										const char *keyword, SchemaNode *target);
extern bool postrider_compare_has_reference(const JsonbValue *value);

/* schema_compare_node.c */
extern void postrider_compare_set_init(NodeSet *set);
extern void postrider_compare_set_add(Compare *compare, NodeSet *set, SchemaNode node);
extern bool postrider_compare_same(Compare *compare, const SchemaNode *old_node,
								   const SchemaNode *new_node);
extern bool postrider_compare_same_keyword(Compare *compare,
										   const SchemaNode *old_node,
										   const SchemaNode *new_node,
										   const char *keyword);

/* schema_compare_fact.c */
extern uint32 postrider_compare_value_type(const JsonbValue *value);
extern uint32 postrider_compare_type_keyword(const JsonbValue *value);
extern uint32 postrider_compare_types(Compare *compare, const NodeSet *set);
extern bool postrider_compare_equal(const JsonbValue *a, const JsonbValue *b);
extern Numeric postrider_compare_bound(Compare *compare, const NodeSet *set,
									   const char *keyword, bool lower);
extern bool postrider_compare_values(Compare *compare, const NodeSet *set,
									 JsonbValue **values, int *count);
extern bool postrider_compare_satisfies(const JsonbValue *schema,
										const JsonbValue *instance);
extern bool postrider_compare_all_satisfy(Compare *compare, const NodeSet *old,
										  const SchemaNode *new_node);
extern bool postrider_compare_matches(Compare *compare, const char *pattern,
									  const char *name);
extern bool postrider_compare_requires(const NodeSet *set, const char *name);
extern bool postrider_compare_disjoint(Compare *compare, const NodeSet *a,
									   const NodeSet *b, int depth);

/* schema_compare_value.c */
extern bool postrider_compare_type(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_enum(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_const(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_minimum(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_maximum(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_multiple(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_at_least(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_at_most(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_pattern(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_format(Compare *, const Check *, const JsonbValue *);

/* schema_compare_object.c */
extern void postrider_compare_property(Compare *compare, const NodeSet *set,
									   const char *name, NodeSet *property,
									   bool *is_named);
extern bool postrider_compare_closed(const NodeSet *set, List **names);
extern bool postrider_compare_required(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_properties(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_pattern_properties(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_additional(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_unevaluated(Compare *, const Check *, const JsonbValue *);

/* schema_compare_dependency.c */
extern bool postrider_compare_names(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_dependencies(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_same_applicators(Compare *compare, const SchemaNode *a,
											   const SchemaNode *b);

/* schema_compare_array.c */
extern int	postrider_compare_tuple_length(const NodeSet *set);
extern bool postrider_compare_prefix_items(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_items(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_unevaluated_items(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_contains(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_unique(Compare *, const Check *, const JsonbValue *);

/* schema_compare_logic.c */
extern bool postrider_compare_all_of(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_any_of(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_one_of(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_not(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_if(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_ref(Compare *, const Check *, const JsonbValue *);
extern bool postrider_compare_split(const NodeSet *set, int *node,
									const char **keyword, JsonbValue *branches);
extern void postrider_compare_branch(Compare *compare, const NodeSet *set,
									 int node, const char *keyword,
									 const JsonbValue *branches, int index,
									 NodeSet *result);

/* schema_compare_report.c */
extern char *postrider_compare_field(const Place *place);
extern char *postrider_compare_subfield(const Place *place, const char *name);
extern char *postrider_compare_show(const JsonbValue *value);
extern char *postrider_compare_type_names(uint32 types);
extern bool postrider_compare_breaks(Compare *compare, const Place *place,
									 const char *keyword, const char *change,
									 const char *message,...) pg_attribute_printf(5, 6);
extern void postrider_compare_allows(Compare *compare, const Place *place,
									 const char *keyword, const char *change,
									 const char *message,...) pg_attribute_printf(5, 6);
extern void postrider_compare_differences(Compare *compare, const Check *check);

#endif							/* POSTRIDER_SCHEMA_COMPARE_INTERNAL_H */
