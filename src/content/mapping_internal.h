/*-------------------------------------------------------------------------
 *
 * mapping_internal.h
 *	  The compiled form of a mapping, shared by the files mapping_*.c.
 *
 * A mapping is a group of fields; a field may have a group of its own, for
 * the elements of a list or a nested object.  Evaluating a group has two
 * steps: each field's value is put in its slot (mapping_evaluate.c), then the
 * tree of targets is walked, which is sorted as jsonb sorts its keys, and the
 * slots are written to their places in one pass (mapping_write.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_MAPPING_INTERNAL_H
#define POSTRIDER_MAPPING_INTERNAL_H

#include "postgres.h"

#include "content/conversion.h"
#include "content/mapping.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"

#define MAPPING_MAX_DEFINITION_BYTES (1024 * 1024)
#define MAPPING_MAX_FIELDS 1000 /* nested ones included */
#define MAPPING_MAX_DEPTH 8		/* groups within groups */
#define MAPPING_MAX_TARGET_BYTES 1000
#define MAPPING_MAX_TARGET_STEPS 32
#define MAPPING_MAX_TARGET_INDEX 1000
#define MAPPING_MAX_PATHS 20	/* of one concatenation or coalesce */
#define MAPPING_MAX_STEPS 50	/* of one "apply" or "check" */
#define MAPPING_MAX_PATH_BYTES 4096
#define MAPPING_MAX_LENGTH (10 * 1024 * 1024)

/*
 * Sources
 */

typedef struct PathStep
{
	char	   *key;			/* NULL: an array's element */
	int			length;			/* of the key, in bytes */
	int32		index;			/* of the element; -1 is the last */
} PathStep;

typedef struct SourcePath
{
	char	   *text;
	JsonPath   *path;
	bool		simple;			/* lax, and only of steps and a last [*] */
	bool		all_elements;	/* simple, and ends in [*] */
	bool		plural;			/* has wildcards, ranges or filters */
	int			step_count;
	PathStep   *steps;
} SourcePath;

/* What paths are evaluated against: the payload or a part of it. */
typedef struct SourceDocument
{
	JsonbValue	value;			/* scalar or binary */
	Jsonb	   *jsonb;			/* the same, made when first needed */
} SourceDocument;

/*
 * Targets
 */

typedef struct TargetStep
{
	char	   *key;			/* NULL: an array's element */
	int			length;
	int			index;
} TargetStep;

typedef enum TargetKind
{
	TARGET_VALUE,				/* what a slot has */
	TARGET_OBJECT,
	TARGET_ARRAY
} TargetKind;

typedef struct TargetNode
{
	TargetKind	kind;
	TargetStep	step;			/* from the parent to here */
	int			number;			/* children have larger numbers */
	int			parent;			/* number of the parent, -1 for the root */
	int			slot;			/* TARGET_VALUE */
	int			position;		/* of the first field, for messages */
	int			child_count;
	int			child_space;
	struct TargetNode **children;	/* in the order of jsonb */
	/* TARGET_OBJECT: how the keys are stored if no child is missing */
	JEntry	   *key_entries;
	char	   *keys;
	int			keys_length;
} TargetNode;

/*
 * Fields
 */

typedef enum FieldSource
{
	SOURCE_PATH,				/* "from": a path */
	SOURCE_CONCAT,				/* "from": several, and "separator" */
	SOURCE_COALESCE,			/* "coalesce": the first that is not null */
	SOURCE_VALUE,				/* "value" */
	SOURCE_EACH,				/* "each": a list, one element at a time */
	SOURCE_OBJECT				/* "fields" without "each": a nested object */
} FieldSource;

typedef enum FieldType
{
	TYPE_ANY,
	TYPE_STRING,
	TYPE_INTEGER,
	TYPE_NUMBER,
	TYPE_BOOLEAN,
	TYPE_ARRAY,
	TYPE_OBJECT,
	TYPE_DATE,
	TYPE_DATETIME
} FieldType;

typedef enum FieldNulls
{
	NULLS_KEEP,
	NULLS_DROP
} FieldNulls;

typedef struct MappingGroup MappingGroup;

typedef struct MappingField
{
	char	   *target;			/* as written */
	int			target_step_count;
	TargetStep *target_steps;
	int			slot;

	SourcePath *when;			/* or NULL */
	bool		of_payload;		/* paths start at the payload */
	FieldSource source;
	int			path_count;
	SourcePath **paths;
	char	   *separator;
	int			separator_length;
	JsonbValue	value;			/* SOURCE_VALUE */

	int			conversion_count;
	Conversion **conversions;
	Jsonb	   *lookup;			/* an object, or NULL */
	JsonbValue	lookup_other;	/* what "*" says */
	bool		has_lookup_other;
	FieldType	type;
	bool		has_default;
	JsonbValue	default_value;
	bool		required;
	FieldNulls	nulls;
	int			max_length;		/* in characters; 0 for none */
	bool		truncate;
	int			check_count;
	Check	  **checks;
	char	   *description;

	MappingGroup *group;		/* "fields", or NULL */
} MappingField;

struct MappingGroup
{
	int			field_count;
	MappingField *fields;
	int			slot_count;
	int			node_count;
	TargetNode *root;
	TargetNode **nodes;			/* by number */
	bool		drop_nulls;
	SourcePath *pass_through;	/* what the result starts from, or NULL */
};

struct Mapping
{
	MappingGroup *group;
	char	   *description;
};

/*
 * Problems of a definition, collected while it is compiled
 */

typedef struct MappingCompiler
{
	List	   *problems;
	int			problem_count;
	int			field_count;
} MappingCompiler;

extern void postrider_mapping_problem(MappingCompiler *compiler,
									  const char *position,
									  const char *format,...) pg_attribute_printf(3, 4);
extern MappingProblem *postrider_mapping_make_problem(const char *position,
													  const char *source,
													  const char *message);

/* mapping_field.c */
extern void postrider_mapping_compile_field(MappingCompiler *compiler,
											const JsonbValue *definition,
											MappingField *field, bool drop_nulls,
											const char *position, int depth);

/* mapping_definition.c */
extern const char *postrider_mapping_nearest(const char *word,
											 const char *const *candidates);
extern bool postrider_mapping_get(const JsonbValue *object, const char *key,
								  JsonbValue *value);
extern bool postrider_mapping_is_container(const JsonbValue *value,
										   uint32 kind);
extern int	postrider_mapping_get_word(MappingCompiler *compiler,
									   const JsonbValue *object,
									   const char *position, const char *key,
									   const char *const *words);
extern char *postrider_mapping_string(const JsonbValue *string);
extern void postrider_mapping_copy_value(const JsonbValue *value,
										 JsonbValue *copy);
extern void postrider_mapping_check_keys(MappingCompiler *compiler,
										 const JsonbValue *object,
										 const char *position,
										 const char *const *known);
extern bool postrider_mapping_get_bool(MappingCompiler *compiler,
									   const JsonbValue *object,
									   const char *position, const char *key,
									   bool default_value);
extern char *postrider_mapping_get_text(MappingCompiler *compiler,
										const JsonbValue *object,
										const char *position, const char *key);

/* mapping_compile.c */
extern MappingGroup *postrider_mapping_compile_group(MappingCompiler *compiler,
													 const JsonbValue *definition,
													 const char *position,
													 bool drop_nulls, int depth);

/* mapping_path.c */
extern SourcePath *postrider_mapping_path_compile(const char *string,
												  char **problem);

/*
 * Finds what the path leads to.  Returns the number of values found; *value is
 * the first if there is one.  *values (when given) is an array of all of them,
 * or jbvNull where there is no such array because they are one or none.  -1
 * and *problem if the path does not fit the data.
 */
extern int	postrider_mapping_path_find(const SourcePath *path,
										SourceDocument *document,
										JsonbValue *value,
										JsonbValue *values, char **problem);
extern Jsonb *postrider_mapping_document(SourceDocument *document);

/* mapping_target.c */
extern int	postrider_mapping_target_parse(const char *string,
										   TargetStep **steps, char **problem);
extern void postrider_mapping_target_tree(MappingCompiler *compiler,
										  MappingGroup *group,
										  const char *position);

/* mapping_value.c */
extern bool postrider_mapping_convert_type(FieldType type, JsonbValue *value,
										   char **problem);
extern bool postrider_mapping_limit_length(const MappingField *field,
										   JsonbValue *value, char **problem);
extern bool postrider_mapping_look_up(const MappingField *field,
									  JsonbValue *value, char **problem);
extern const char *postrider_mapping_type_name(FieldType type);
extern const char *postrider_mapping_show(const JsonbValue *value);
extern bool postrider_mapping_scalar_text(const JsonbValue *value, char **string,
										  int *length);
extern void postrider_mapping_normalize(JsonbValue *value);

/* mapping_write.c */
typedef struct MappingWriter
{
	char	   *data;
	int			length;
	int			space;
	bool		too_large;		/* of MAPPING_MAX_RESULT_BYTES */
} MappingWriter;

typedef enum SlotState
{
	SLOT_MISSING,				/* nothing was found */
	SLOT_DROPPED,				/* null, and to be left out */
	SLOT_FILLED
} SlotState;

typedef struct MappingSlot
{
	SlotState	state;
	bool		decided;		/* a field with this target was taken */
	JsonbValue	value;
} MappingSlot;

extern void postrider_mapping_writer_init(MappingWriter *writer, int reserve);
extern int	postrider_mapping_begin_array(MappingWriter *writer, int count);
extern void postrider_mapping_write_group(MappingWriter *writer,
										  const MappingGroup *group,
										  MappingSlot *slots,
										  JsonbContainer *base);

/* One child of an array that was begun at "start", the index-th. */
extern void postrider_mapping_write_element(MappingWriter *writer, int start,
											int index, uint32 *total,
											const JsonbValue *value);

/* The same for a group's object. */
extern void postrider_mapping_write_group_element(MappingWriter *writer,
												  int start, int index,
												  uint32 *total,
												  const MappingGroup *group,
												  MappingSlot *slots,
												  JsonbContainer *base);
extern void postrider_mapping_wrap(JsonbValue *value);
extern void postrider_mapping_child(JsonbContainer *container, int index,
									JsonbValue *value);

/* mapping_describe.c */
typedef struct MappingDescription
{
	char	   *target;
	char	   *source;
	char	   *condition;
	char	   *conversions;
	const char *type;
	bool		required;
	char	   *default_value;
	int			max_length;
	const char *overflow;
	char	   *checks;
	char	   *description;
} MappingDescription;

/* A list of MappingDescription, nested fields included. */
extern List *postrider_mapping_describe(const Mapping *mapping);

#endif							/* POSTRIDER_MAPPING_INTERNAL_H */
