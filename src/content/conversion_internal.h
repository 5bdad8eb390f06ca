/*-------------------------------------------------------------------------
 *
 * conversion_internal.h
 *	  What the files of the conversions share.
 *
 * A conversion is one ConversionEntry in one of the tables that conversion.c
 * lists: its name, its arguments, what it takes, and a function that applies
 * it.  The arguments are read, checked and described by the entry alone, so
 * that to add a conversion is to write one function and one entry.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CONVERSION_INTERNAL_H
#define POSTRIDER_CONVERSION_INTERNAL_H

#include "postgres.h"

#include "content/conversion.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#define CONVERSION_MAX_ARGUMENTS 6

/* No conversion makes a longer text, or a list of more elements. */
#define CONVERSION_MAX_BYTES (100 * 1024 * 1024)
#define CONVERSION_MAX_ELEMENTS 1000000

/* Numbers with more digits have no receiver. */
#define CONVERSION_MAX_DIGITS 1000

typedef enum ArgumentKind
{
	ARGUMENT_TEXT,
	ARGUMENT_INTEGER,			/* from minimum to maximum */
	ARGUMENT_BOOLEAN,
	ARGUMENT_WORD,				/* one of words */
	ARGUMENT_TEXTS,				/* a list of texts */
	ARGUMENT_OBJECT,
	ARGUMENT_NUMBER,
	ARGUMENT_VALUE				/* anything */
} ArgumentKind;

typedef struct ArgumentEntry
{
	const char *name;
	ArgumentKind kind;
	bool		required;
	int			minimum;		/* of an integer */
	int			maximum;
	const char *const *words;	/* NULL at the end */
} ArgumentEntry;

typedef struct Argument
{
	bool		given;
	int			integer;		/* also the index of a word */
	bool		boolean;
	char	   *text;			/* NUL-terminated; also the word */
	int			length;
	char	  **texts;			/* of a list; no NULL at the end */
	int			text_count;
	JsonbValue	value;			/* as it was given, copied */
} Argument;

typedef enum ConversionInput
{
	INPUT_TEXT,					/* also numbers and booleans, as text */
	INPUT_NUMBER,				/* also text that is a number */
	INPUT_ARRAY,
	INPUT_ANY					/* null stays null even so */
} ConversionInput;

typedef struct ConversionEntry
{
	const char *name;
	ConversionInput input;
	bool		takes_null;		/* only with INPUT_ANY */
	ArgumentEntry arguments[CONVERSION_MAX_ARGUMENTS];

	/*
	 * A single argument may be given without its name: {"left": 5}.  It is
	 * the first of arguments, unless it cannot be given so.
	 */
	bool		named_only;

	/* Checks the arguments together, prepares state; may be NULL. */
	bool		(*compile) (Conversion *conversion, char **problem);

	/*
	 * The value is of the kind that input says.  Numbers have at most
	 * CONVERSION_MAX_DIGITS digits on either side.
	 */
	bool		(*apply) (const Conversion *conversion, JsonbValue *value,
						  char **problem);

	const char *description;
	const char *example;		/* JSON: [value, step] */
} ConversionEntry;

struct Conversion
{
	const ConversionEntry *entry;
	Argument	arguments[CONVERSION_MAX_ARGUMENTS];
	void	   *state;			/* what compile left */
	char	   *description;
};

/* The tables; each ends with an entry without a name. */
extern const ConversionEntry postrider_text_conversions[];
extern const ConversionEntry postrider_markup_conversions[];
extern const ConversionEntry postrider_code_conversions[];
extern const ConversionEntry postrider_list_conversions[];
extern const ConversionEntry postrider_value_conversions[];
extern const ConversionEntry postrider_number_conversions[];
extern const ConversionEntry postrider_contact_conversions[];

/* All entries by position; NULL after the last. */
extern const ConversionEntry *postrider_conversion_entry(int position);
extern char *postrider_conversion_arguments(const ConversionEntry *entry);

/* conversion_value.c: values as text and back */
extern const char *postrider_value_show(const JsonbValue *value);
extern const char *postrider_value_kind(const JsonbValue *value);
extern bool postrider_value_to_text(JsonbValue *value, char **problem);
extern bool postrider_value_to_number(JsonbValue *value, char **problem);
extern bool postrider_value_is_array(const JsonbValue *value);
extern bool postrider_value_equal(const JsonbValue *a, const JsonbValue *b);
extern char *postrider_value_json(const JsonbValue *value, int *length);
extern JsonbValue postrider_value_copy(const JsonbValue *value);

/* Sets *value to a text that is not copied. */
extern void postrider_value_set_text(JsonbValue *value, char *text, int length);
extern void postrider_value_set_string(JsonbValue *value, StringInfo string);
extern void postrider_value_set_int64(JsonbValue *value, int64 number);

/* A list that is built element by element. */
typedef struct ListBuilder
{
	JsonbParseState *state;
	int			count;
	Size		bytes;
} ListBuilder;

extern void postrider_list_begin(ListBuilder *list);
extern bool postrider_list_add(ListBuilder *list, const JsonbValue *value,
							   char **problem);
extern void postrider_list_end(ListBuilder *list, JsonbValue *value);

/*
 * number_text.c.  Is the text a number as JSON and SQL write it, with at most
 * CONVERSION_MAX_DIGITS digits?
 */
extern bool postrider_is_number(const char *text, int length);
extern struct NumericData *postrider_number_from_text(const char *text,
													  int length);
extern char *postrider_number_to_text(struct NumericData *number);

/* *problem = psprintf(...), return false */
extern bool postrider_refuse(char **problem, const char *format,...)
			pg_attribute_printf(2, 3);

/* Bounds what an output may grow to; false with a problem. */
extern bool postrider_room_for(StringInfo string, int64 more, char **problem);

/* The closest of the names to a wrong one, or NULL. */
extern const char *postrider_closest_name(const char *name,
										  const char *(*name_at) (int position));

#endif							/* POSTRIDER_CONVERSION_INTERNAL_H */
