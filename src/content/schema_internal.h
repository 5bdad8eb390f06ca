/*-------------------------------------------------------------------------
 *
 * schema_internal.h
 *	  The compiled form of a JSON Schema, and what the files that make it share.
 *
 * A schema is compiled into a graph of nodes, one for each object that stands
 * where a schema may stand.  A node has its keywords sorted by the type of
 * instance that they are about, so that an evaluation only looks at those that
 * matter.  References are pointers; only a $dynamicRef is looked up when it is
 * evaluated, by number in a table of the resource.
 *
 * schema_value.c			reading jsonb in place: members, numbers, order
 * schema_uri.c				URI references, JSON pointers
 * schema_metaschema.c		the metaschemas, built in
 * schema_keyword.c			the table of keywords: vocabulary, drafts, compiler
 * schema_reference.c		documents, resources, anchors: whom a $ref means
 * schema_compile.c			the walk, loops, the end result
 * schema_compile_keyword.c, schema_compile_object.c	keywords one by one
 *
 * What evaluates it is in schema_evaluate.h.
 *
 * The compiled schema points into a copy of the jsonb, which it owns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_INTERNAL_H
#define POSTRIDER_SCHEMA_INTERNAL_H

#include "content/schema.h"
#include "content/schema_format.h"
#include "content/schema_pattern.h"
#include "content/schema_value.h"
#include "utils/hsearch.h"

typedef struct SchemaNode SchemaNode;
typedef struct Resource Resource;

/*
 * The compiled form
 */

typedef struct NodeList
{
	int			count;
	SchemaNode	  **nodes;
} NodeList;

/* A number that instances are compared with. */
typedef struct Bound
{
	Numeric		number;			/* NULL if there is none */
	bool		is_small;		/* "small" is the same number */
	int64		small;
} Bound;

typedef struct NumberRules
{
	Bound		minimum;
	Bound		maximum;
	Bound		exclusive_minimum;
	Bound		exclusive_maximum;
	Bound		multiple_of;
} NumberRules;

typedef struct StringRules
{
	int64		min_length;		/* characters; 0 without one */
	int64		max_length;		/* PG_INT64_MAX without one */
	SchemaPattern *pattern;
	Value		pattern_source;
	const SchemaFormat *format;
} StringRules;

typedef struct ArrayRules
{
	int64		min_items;
	int64		max_items;
	int64		min_contains;	/* 1 unless said */
	int64		max_contains;
	bool		unique;
	bool		items_is_old;	/* drafts before 2020-12: see other_items */
	bool		contains_marks; /* counts as evaluated, from 2020-12 on */
	SchemaNode	   *contains;
	NodeList	prefix;
	const char *prefix_keyword; /* prefixItems, or items in older drafts */
	SchemaNode	   *items;			/* of all after the prefix */
	const char *items_keyword;	/* items, or additionalItems */
	SchemaNode	   *additional;		/* older drafts: until the node is complete */
} ArrayRules;

typedef struct Property
{
	const char *name;
	int			length;
	bool		required;
	SchemaNode	   *node;			/* NULL if it is only required */
} Property;

typedef struct PatternProperty
{
	SchemaPattern *pattern;
	const char *source;
	int			length;
	SchemaNode	   *node;
} PatternProperty;

/* dependentRequired, dependentSchemas and the older dependencies */
typedef struct Dependency
{
	const char *keyword;
	const char *name;			/* the property whose presence matters */
	int			length;
	int			required_count;
	Value	   *required;		/* names */
	SchemaNode	   *node;			/* or NULL */
	struct Dependency *next;
} Dependency;

typedef struct ObjectRules
{
	int64		min_properties;
	int64		max_properties;
	int			property_count;
	Property   *properties;		/* in the order of jsonb; with all required */
	int			named_count;	/* those that have a node */
	int			required_count;
	Property   *required;		/* until the node is complete */
	int			required_room;
	int			pattern_count;
	PatternProperty *patterns;
	SchemaNode	   *additional;
	SchemaNode	   *names;
	Dependency *dependencies;
} ObjectRules;

typedef struct Logic
{
	SchemaNode	   *reference;
	const char *reference_keyword;	/* $ref, for the location */
	SchemaNode	   *dynamic;		/* where $dynamicRef leads, unless there is an
								 * outer one */
	const char *dynamic_keyword;	/* $dynamicRef or $recursiveRef */
	int			dynamic_name;	/* index into Resource.dynamic_nodes, or -1 */
	NodeList	all_of;
	NodeList	any_of;
	NodeList	one_of;
	SchemaNode	   *not;
	SchemaNode	   *if_node;
	SchemaNode	   *then_node;
	SchemaNode	   *else_node;
} Logic;

typedef struct ValueRules
{
	bool		has_const;
	Value		const_value;
	bool		has_enum;
	int			enum_count;
	Value	   *enum_values;	/* sorted by postrider_value_compare */
	JsonbContainer *enum_source;	/* as written, for messages */
} ValueRules;

typedef enum NodeState
{
	NODE_KNOWN,					/* found in a document */
	NODE_QUEUED,				/* to be compiled */
	NODE_COMPILED
} NodeState;

struct SchemaNode
{
	/* what an evaluation needs */
	bool		is_boolean;		/* "accepts" is all there is */
	bool		accepts;
	bool		has_in_place;	/* logic is not NULL, or there are dependencies
								 * with schemas */
	uint32		types;			/* TYPE_ bits */
	uint32		types_wanted;	/* as written, for messages */
	Resource   *resource;
	ValueRules *value;			/* each NULL if there is no such keyword */
	StringRules *string;
	NumberRules *number;
	ArrayRules *array;
	ObjectRules *object;
	Logic	   *logic;
	SchemaNode	   *unevaluated_items;
	SchemaNode	   *unevaluated_properties;

	/* where it stands, for problems; and the state of its compilation */
	JsonbContainer *container;
	SchemaNode	   *parent;			/* NULL at the root of a document */
	Value		keyword;		/* in the parent */
	Value		key;			/* below the keyword; type 0 if there is none */
	int			index;			/* the same in an array; -1 if there is none */
	NodeState	state;
	char		visit;			/* of the search for loops: 0, 1 open, 2 done */
};

/* The drafts, as bits. */
#define DRAFT_7			0x01	/* and 6 */
#define DRAFT_2019		0x02
#define DRAFT_2020		0x04

/* The vocabularies, as bits. */
#define VOCABULARY_CORE			0x01
#define VOCABULARY_APPLICATOR	0x02
#define VOCABULARY_UNEVALUATED	0x04
#define VOCABULARY_VALIDATION	0x08
#define VOCABULARY_META_DATA	0x10
#define VOCABULARY_FORMAT		0x20	/* format-annotation */
#define VOCABULARY_ASSERTION	0x40	/* format-assertion */
#define VOCABULARY_CONTENT		0x80

/* A schema with a URI of its own. */
struct Resource
{
	const char *base;			/* absolute URI without fragment, if it has one */
	SchemaNode	   *root;
	uint32		draft;
	uint32		vocabularies;
	SchemaNode	  **dynamic_nodes;	/* by number of the dynamic name; may be NULL */
	Resource   *next;			/* all of them */
};

struct Schema
{
	MemoryContext context;		/* everything is here */
	MemoryContext work;			/* of an evaluation: arrays that are freed */
	MemoryContext scratch;		/* of an evaluation: reset now and then */
	SchemaNode	   *root;
	int			node_count;
	int			dynamic_count;	/* names that some $dynamicRef looks for */
};

/*
 * Compiling
 */

/* What is known under a name: a resource by its URI, a node by its anchor. */
typedef struct NameEntry
{
	Resource   *scope;			/* of an anchor; NULL for a URI */
	const char *name;
	Resource   *resource;		/* for a URI */
	SchemaNode	   *node;			/* for an anchor */
	bool		is_dynamic;
	struct NameEntry *next;		/* with the same hash */
} NameEntry;

typedef struct SchemaCompiler
{
	Schema	   *schema;
	SchemaResolver resolve;
	void	   *resolve_arg;
	bool		failed;			/* the first problem is in *problem */
	SchemaProblem *problem;
	MemoryContext caller;		/* where *problem goes */
	HTAB	   *nodes;			/* by address of the container */
	HTAB	   *names;			/* by hash: NameEntry */
	Resource   *resources;
	List	   *queue;			/* nodes to be compiled */
	List	   *dynamic_names;	/* char *; the number is the position */
	bool		keep_all;		/* nodes that are found are queued at once */
	SchemaNode	   *true_node;
	SchemaNode	   *false_node;
} SchemaCompiler;

/* What a keyword holds that is a schema. */
typedef enum KeywordHolds
{
	HOLDS_NOTHING,
	HOLDS_SCHEMA,
	HOLDS_LIST,					/* array of schemas */
	HOLDS_MAP,					/* object of schemas */
	HOLDS_SCHEMA_OR_LIST,		/* items before 2020-12 */
	HOLDS_DEPENDENCIES			/* object of schemas or arrays of names */
} KeywordHolds;

typedef struct Keyword Keyword;
typedef void (*KeywordCompile) (SchemaCompiler *compiler, SchemaNode *node,
								const Keyword *keyword, const Value *value);

struct Keyword
{
	const char *name;
	uint32		drafts;
	uint32		vocabulary;
	KeywordHolds holds;
	KeywordCompile compile;		/* NULL: an annotation, or done elsewhere */
};

/* schema_keyword.c */
extern const Keyword *postrider_keyword_find(const Resource *resource,
											 const char *name, int length);

/* schema_compile.c */
extern void postrider_compile_fail(SchemaCompiler *compiler, const SchemaNode *node,
								   const char *keyword, const Value *key,
								   const char *format,...) pg_attribute_printf(5, 6);
extern void postrider_compile_queue(SchemaCompiler *compiler, SchemaNode *node);
extern SchemaNode *postrider_compile_child(SchemaCompiler *compiler, SchemaNode *node,
									 const Keyword *keyword, const Value *key,
									 int index, const Value *value);

/* schema_reference.c */
extern Resource *postrider_reference_load(SchemaCompiler *compiler, const char *uri,
										  Jsonb *document, const Resource *defaults);
extern SchemaNode *postrider_reference_scan(SchemaCompiler *compiler, JsonbContainer *container,
									  Resource *resource, SchemaNode *parent,
									  const Keyword *keyword, const Value *key, int index);
extern SchemaNode *postrider_reference_find(SchemaCompiler *compiler, SchemaNode *node,
									  const char *keyword, const Value *reference,
									  const char **dynamic_name);
extern SchemaNode *postrider_reference_node(SchemaCompiler *compiler, JsonbContainer *container);
extern SchemaNode *postrider_reference_anchor(SchemaCompiler *compiler, Resource *resource,
										const char *name, bool dynamic_only);
extern char *postrider_reference_schema_uri(const Value *value);

/* schema_metaschema.c */
extern Jsonb *postrider_metaschema_find(const char *uri);
extern bool postrider_metaschema_draft(const char *uri, uint32 *draft);
extern uint32 postrider_metaschema_vocabulary(const char *uri, int length);

/* schema_compile_keyword.c */
extern void postrider_compile_type(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_enum(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_const(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_bound(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_size(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_pattern(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_format(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_unique(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_reference(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_dynamic(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_list(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_single(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_items(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_string(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_boolean(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_map(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_finish_array(SchemaCompiler *, SchemaNode *);

/* schema_compile_object.c */
extern void postrider_compile_properties(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_patterns(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_required(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_dependencies(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_object_node(SchemaCompiler *, SchemaNode *, const Keyword *, const Value *);
extern void postrider_compile_finish_object(SchemaCompiler *, SchemaNode *);
extern ObjectRules *postrider_compile_object_rules(SchemaCompiler *compiler, SchemaNode *node);
extern ArrayRules *postrider_compile_array_rules(SchemaCompiler *compiler, SchemaNode *node);
extern SchemaPattern *postrider_compile_expression(SchemaCompiler *compiler, const SchemaNode *node,
												   const Keyword *keyword,
												   const Value *key, const Value *source);

#endif							/* POSTRIDER_SCHEMA_INTERNAL_H */
