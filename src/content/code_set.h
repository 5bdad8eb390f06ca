/*-------------------------------------------------------------------------
 *
 * code_set.h
 *	  Sets of code points, as regular expressions have them.
 *
 * A set is filled range by range and then normalized: sorted, its ranges
 * apart from each other.  It lives in the memory context it was made in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CODE_SET_H
#define POSTRIDER_CODE_SET_H

#include "postgres.h"

#include "content/unicode_table.h"

typedef struct CodeRange
{
	uint32		first;
	uint32		last;
} CodeRange;

typedef struct CodeSet
{
	int			count;			/* ranges in use */
	int			allocated;
	CodeRange  *ranges;
	uint64		ascii[2];		/* bits of 0 to 127, once normalized */
} CodeSet;

extern CodeSet *code_set_create(void);
extern CodeSet *code_set_copy(const CodeSet *set);
extern void code_set_add(CodeSet *set, uint32 first, uint32 last);
extern void code_set_add_set(CodeSet *set, const CodeSet *other);
extern void code_set_normalize(CodeSet *set);

/* Both want normalized sets and leave or give one. */
extern void code_set_invert(CodeSet *set);
extern bool code_set_overlap(const CodeSet *a, const CodeSet *b);

/* Adds what \d, \w or \s stands for in ECMAScript, or a dot does not match. */
extern void code_set_add_digits(CodeSet *set);
extern void code_set_add_word(CodeSet *set);
extern void code_set_add_space(CodeSet *set);
extern void code_set_add_line_terminators(CodeSet *set);

/*
 * Adds the code points of \p{name} or \p{name=value}, in exact case as
 * ECMAScript wants it; value_len is -1 if there is no value.  False if there
 * is no such property.
 */
extern bool code_set_add_property(CodeSet *set, const char *name, int name_len,
								  const char *value, int value_len);

/* The part of code_set_has for what is beyond ASCII. */
extern bool code_set_find(const CodeSet *set, uint32 code);

static inline bool
code_set_has(const CodeSet *set, uint32 code)
{
	if (code < 128)
		return (set->ascii[code >> 6] >> (code & 63)) & 1;
	return code_set_find(set, code);
}

#endif							/* POSTRIDER_CODE_SET_H */
