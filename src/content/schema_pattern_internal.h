/*-------------------------------------------------------------------------
 *
 * schema_pattern_internal.h
 *	  The tree of a regular expression, and the three ways to match one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_PATTERN_INTERNAL_H
#define POSTRIDER_SCHEMA_PATTERN_INTERNAL_H

#include "postgres.h"

#include "content/code_set.h"
#include "mb/pg_wchar.h"

/* Bounds on a pattern.  Beyond them it is refused. */
#define PATTERN_SOURCE_MAX 65536	/* bytes */
#define PATTERN_DEPTH_MAX 100	/* groups within groups */
#define PATTERN_RANGES_MAX 200000	/* ranges of all classes together */
#define PATTERN_SIZE_MAX 10000	/* characters, repetitions multiplied out */

#define PATTERN_INFINITE (-1)

typedef enum PatternNodeType
{
	NODE_EMPTY,
	NODE_CHAR,					/* code */
	NODE_SET,					/* set */
	NODE_SEQUENCE,				/* children */
	NODE_ALTERNATIVES,			/* children */
	NODE_REPEAT,				/* one child, min, max, lazy */
	NODE_GROUP,					/* one child, group; captures */
	NODE_BACK_REFERENCE,		/* group */
	NODE_START,
	NODE_END,
	NODE_WORD_BOUNDARY,			/* negated */
	NODE_LOOK					/* one child, behind, negated */
} PatternNodeType;

typedef struct PatternNode
{
	PatternNodeType type;
	struct PatternNode *next;	/* the next child of the same node */
	struct PatternNode *child;	/* the first child */
	pg_wchar	code;
	CodeSet    *set;
	int			min;
	int			max;			/* or PATTERN_INFINITE */
	bool		lazy;
	bool		behind;
	bool		negated;
	int			group;			/* from 1 */
	const char *name;			/* of a \k, until it is resolved */
	int			name_len;
	int			first_group;	/* of a repeat: the groups inside it are those */
	int			last_group;		/* after first up to last */
} PatternNode;

typedef struct PatternTree
{
	PatternNode *root;
	int			group_count;
	bool		has_back_reference;
} PatternTree;

/*
 * schema_pattern_parse.c: parses source in the current memory context.  Fills
 * *tree, or returns false and sets *problem.
 */
extern bool postrider_pattern_parse(const char *source, int len,
									PatternTree *tree, char **problem);

/* schema_pattern_simple.c: patterns that are one walk over the value. */
typedef struct SimplePattern SimplePattern;

/* NULL if the pattern is not that simple.  Keeps nothing of the tree. */
extern SimplePattern *postrider_pattern_simple(const PatternTree *tree);
extern bool postrider_pattern_simple_matches(const SimplePattern *simple,
											 const char *value, int len);

/*
 * schema_pattern_emit.c: the pattern in the flavour of the server's engine, in
 * the current memory context; NULL with *problem if it is too large for it.
 * A match takes time as size * (length of the value) ^ exponent at worst.
 */
typedef struct PatternCost
{
	double		size;			/* characters, repetitions multiplied out */
	int			exponent;		/* above 1 if there is a look ahead from anywhere */
} PatternCost;

extern pg_wchar *postrider_pattern_emit(const PatternTree *tree, int *len,
										PatternCost *cost, char **problem);

/* schema_pattern_backtrack.c: patterns with back references. */
typedef struct BacktrackPattern BacktrackPattern;

extern BacktrackPattern *postrider_pattern_backtrack(const PatternTree *tree, char **problem);
extern bool postrider_pattern_backtrack_matches(const BacktrackPattern *program,
												const pg_wchar *value, int len);

#endif							/* POSTRIDER_SCHEMA_PATTERN_INTERNAL_H */
