/*-------------------------------------------------------------------------
 *
 * schema_pattern.h
 *	  ECMAScript regular expressions (JSON Schema's "pattern" and
 *	  "patternProperties") on the server's regular expression engine.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_PATTERN_H
#define POSTRIDER_SCHEMA_PATTERN_H

#include "postgres.h"

typedef struct SchemaPattern SchemaPattern;

/*
 * Compiles source (UTF-8, len bytes) in the current memory context.  Returns
 * NULL and sets *problem (a sentence without a full stop) if it is not a
 * regular expression, or one that is too large.
 */
extern SchemaPattern *postrider_schema_pattern_compile(const char *source, int len, char **problem);

/* True if value (UTF-8, len bytes) contains a match. Ends in an ERROR only on cancel or when a bound on work is reached. */
extern bool postrider_schema_pattern_matches(SchemaPattern *pattern, const char *value, int len);

/* True if source is a valid ECMAScript (flag u) regular expression: format "regex". */
extern bool postrider_schema_pattern_is_valid(const char *source, int len);

#endif							/* POSTRIDER_SCHEMA_PATTERN_H */
