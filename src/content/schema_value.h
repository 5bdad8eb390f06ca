/*-------------------------------------------------------------------------
 *
 * schema_value.h
 *	  Values within a jsonb, read where they are.
 *
 * The functions of jsonb_util.c make a copy of each value that they return, or
 * build an iterator; an evaluation has no time for either.  Here a value is a
 * type and a pointer into the jsonb.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_SCHEMA_VALUE_H
#define POSTRIDER_SCHEMA_VALUE_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/numeric.h"

/* The types of JSON, as bits.  A value is never an integer: it is a number. */
#define TYPE_NULL		0x01
#define TYPE_BOOLEAN	0x02
#define TYPE_OBJECT		0x04
#define TYPE_ARRAY		0x08
#define TYPE_STRING		0x10
#define TYPE_NUMBER		0x20
#define TYPE_INTEGER	0x40
#define TYPE_ALL		0x7f

typedef struct Value
{
	uint32		type;
	int			length;			/* bytes of a string, members of a container */
	union
	{
		bool		boolean;
		const char *string;
		Numeric		number;
		JsonbContainer *container;
	}			as;
} Value;

/* Goes through the members of an object or an array. */
typedef struct Members
{
	JsonbContainer *container;
	char	   *base;			/* of the data */
	int			count;
	int			next;			/* number of the member that comes next */
	uint32		key_offset;
	uint32		value_offset;
} Members;

extern void postrider_value_of_container(JsonbContainer *container, Value *value);
extern void postrider_value_of_jsonb(Jsonb *jsonb, Value *value);
extern void postrider_value_of_string(const char *string, int length, Value *value);

extern void postrider_members_start(Members *members, const Value *container);

/* The next member; false at the end.  key is for objects. */
extern bool postrider_members_next(Members *members, Value *key, Value *value);

/* The member of an object; false if it has none of that name. */
extern bool postrider_value_get(const Value *object, const char *name, int length,
								Value *value);

/* The item of an array, from 0; false if there is none. */
extern bool postrider_value_item(const Value *array, int index, Value *value);

/*
 * A total order of values, in which two are equal if JSON Schema says so.
 * Nothing else is meant by it.
 */
extern int	postrider_value_compare(const Value *a, const Value *b);

/* The order of keys in jsonb. */
static inline int
value_compare_strings(const char *a, int a_length, const char *b, int b_length)
{
	if (a_length != b_length)
		return a_length < b_length ? -1 : 1;
	return memcmp(a, b, a_length);
}

static inline bool
value_is(const Value *value, const char *string)
{
	return value->type == TYPE_STRING && value->length == (int) strlen(string) &&
		memcmp(value->as.string, string, value->length) == 0;
}

/* Numbers */
extern bool postrider_number_is_integer(Numeric number);
extern bool postrider_number_is_positive(Numeric number);

/* True if the number is an integer that fits easily. */
extern bool postrider_number_small(Numeric number, int64 *small);
extern int	postrider_number_compare(Numeric a, Numeric b);

/* True if a is an integer times b, which is not 0. Leaves memory behind. */
extern bool postrider_number_is_multiple(Numeric a, Numeric b);

#endif							/* POSTRIDER_SCHEMA_VALUE_H */
