/*-------------------------------------------------------------------------
 *
 * unicode_case.h
 *	  Upper, lower and title case, and white space.
 *
 * The server's own lower() knows ASCII only where the database has the locale
 * C, and differs from machine to machine elsewhere.  What is sent or hashed
 * must not, so this follows the Unicode tables that are compiled in.  In a
 * database whose encoding is not UTF8 the rules of its locale apply.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_UNICODE_CASE_H
#define POSTRIDER_UNICODE_CASE_H

#include "postgres.h"

/* Every step-th character from first to last becomes itself plus delta. */
typedef struct UnicodeCaseRange
{
	uint32		first;
	uint32		last;
	uint16		step;
	int32		delta;
} UnicodeCaseRange;

extern const UnicodeCaseRange postrider_unicode_lower[];
extern const int postrider_unicode_lower_count;
extern const UnicodeCaseRange postrider_unicode_upper[];
extern const int postrider_unicode_upper_count;
extern const UnicodeCaseRange postrider_unicode_title[];
extern const int postrider_unicode_title_count;

typedef enum TextCase
{
	CASE_LOWER,
	CASE_UPPER,
	CASE_TITLE
} TextCase;

/* A palloc'd, NUL-terminated copy in another case; *result_length in bytes. */
extern char *postrider_text_case(const char *string, int length, TextCase to,
								 int *result_length);

/*
 * The bytes of the white space character that text begins with, or 0: what
 * Unicode calls white space, the zero-width space and the byte order mark.
 */
extern int	postrider_space_length(const char *string, int length);

/* Moves *text and *length past white space on both ends. */
extern void postrider_trim(const char **string, int *length);

/* Letter or digit?  Beyond ASCII all but what is known to be punctuation. */
extern bool postrider_is_word_character(uint32 code);

#endif							/* POSTRIDER_UNICODE_CASE_H */
