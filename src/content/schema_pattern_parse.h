/*-------------------------------------------------------------------------
 *
 * schema_pattern_parse.h
 *	  The state of the parser, shared by its two files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_PATTERN_PARSE_H
#define POSTRIDER_SCHEMA_PATTERN_PARSE_H

#include "postgres.h"

#include "content/schema_pattern_internal.h"

#define PATTERN_COUNT_MAX 100000000 /* larger counts are as good as this */
#define PATTERN_NAMES_MAX 500

typedef struct PatternName
{
	const char *name;
	int			len;
	int			group;
	struct PatternName *next;
} PatternName;

typedef struct PatternReference
{
	PatternNode *node;
	const char *at;				/* its place in the source */
	struct PatternReference *next;
} PatternReference;

typedef struct PatternParser
{
	const char *source;
	const char *at;
	const char *end;
	int			depth;			/* groups that are open */
	int			group_count;
	int			name_count;
	int			range_count;	/* of all classes so far */
	PatternName *names;
	PatternReference *references;
	CodeSet    *name_start;		/* what a group's name may have; NULL until */
	CodeSet    *name_part;		/* it is wanted */
	char	   *problem;		/* NULL as long as all is well */
} PatternParser;

extern void postrider_pattern_fail(PatternParser *parser, const char *at,
								   const char *problem);

/* schema_pattern_class.c */
typedef enum PatternEscape
{
	ESCAPE_BAD,					/* the problem is set */
	ESCAPE_CODE,				/* one code point */
	ESCAPE_SET					/* several, added to the set */
} PatternEscape;

/*
 * Reads what follows a backslash, if it stands for characters.  The set is
 * normalized if it was empty before.
 */
extern PatternEscape postrider_pattern_read_escape(PatternParser *parser, bool in_class,
												   CodeSet *set, uint32 *code);

/*
 * Reads what follows \u.  Surrogate pairs become one code point.  from: where
 * the escape begins.  POSTRIDER_UTF8_BAD and a problem if it is none.
 */
extern uint32 postrider_pattern_read_unicode_escape(PatternParser *parser, const char *from);

/* Reads a class from behind its [ to behind its ]; NULL on an error. */
extern CodeSet *postrider_pattern_read_class(PatternParser *parser);

#endif							/* POSTRIDER_SCHEMA_PATTERN_PARSE_H */
