/*-------------------------------------------------------------------------
 *
 * unicode_case.c
 *	  Upper, lower and title case, and white space.
 *
 * Besides the tables there are the two rules that text in Greek and German
 * cannot do without: a sigma at the end of a word is lower-cased to the final
 * form, and a sharp s is upper-cased to SS.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "content/unicode_case.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/formatting.h"

#define CAPITAL_SIGMA 0x03A3
#define FINAL_SIGMA 0x03C2
#define SMALL_SIGMA 0x03C3
#define SHARP_S 0x00DF

/* Letters between interrupt checks. */
#define CHECK_EVERY 0x10000

static uint32
map_character(uint32 code, const UnicodeCaseRange *ranges, int count)
{
	int			low = 0;
	int			high = count - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;
		const UnicodeCaseRange *range = &ranges[middle];

		if (code < range->first)
			high = middle - 1;
		else if (code > range->last)
			low = middle + 1;
		else if ((code - range->first) % range->step == 0)
			return code + range->delta;
		else
			break;
	}
	return code;
}

static uint32
to_lower(uint32 code)
{
	if (code < 0x80)
		return code >= 'A' && code <= 'Z' ? code + 32 : code;
	return map_character(code, postrider_unicode_lower,
						 postrider_unicode_lower_count);
}

static uint32
to_upper(uint32 code)
{
	if (code < 0x80)
		return code >= 'a' && code <= 'z' ? code - 32 : code;
	return map_character(code, postrider_unicode_upper,
						 postrider_unicode_upper_count);
}

/* Title case is upper case but for ligatures and the letters of Georgian. */
static uint32
to_title(uint32 code)
{
	uint32		title;

	if (code >= 0x10D0 && code <= 0x10FF)
		return code;
	title = map_character(code, postrider_unicode_title,
						  postrider_unicode_title_count);
	return title != code ? title : to_upper(code);
}

bool
postrider_is_word_character(uint32 code)
{
	if (code < 0x80)
		return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') ||
			(code >= 'a' && code <= 'z');
	if (code < 0xC0)
		return code == 0xAA || code == 0xB5 || code == 0xBA;
	return code != 0xD7 && code != 0xF7 && code != 0x1680 && code != 0xFEFF &&
		!(code >= 0x2000 && code <= 0x206F) &&
		!(code >= 0x3000 && code <= 0x3003);
}

static bool
is_apostrophe(uint32 code)
{
	return code == '\'' || code == 0x2019 || code == 0x02BC;
}

static void
append_character(StringInfo string, uint32 code)
{
	unsigned char bytes[4];

	if (code < 0x80)
	{
		appendStringInfoCharMacro(string, (char) code);
		return;
	}
	unicode_to_utf8(code, bytes);
	appendBinaryStringInfo(string, (char *) bytes, pg_utf_mblen(bytes));
}

/* Is the sigma before text the last letter of a word of several? */
static bool
ends_word(int letters_before, const char *string, const char *end)
{
	return letters_before > 0 &&
		!(string < end &&
		  postrider_is_word_character(utf8_to_unicode((const unsigned char *) string)));
}

static char *
utf8_case(const char *string, int length, TextCase to, int *result_length)
{
	const char *end = string + length;
	int			letters = 0;	/* of the word so far */
	int			since_check = 0;
	StringInfoData result;

	initStringInfo(&result);
	enlargeStringInfo(&result, length);
	while (string < end)
	{
		uint32		code = utf8_to_unicode((const unsigned char *) string);
		bool		first = letters == 0;

		string += pg_utf_mblen((const unsigned char *) string);
		if (++since_check == CHECK_EVERY)
		{
			CHECK_FOR_INTERRUPTS();
			since_check = 0;
		}

		/*
		 * An apostrophe begins a word after one letter, as in O'Neill and
		 * L'Aquila, and does not in "don't".
		 */
		if (postrider_is_word_character(code))
			letters++;
		else if (!(is_apostrophe(code) && letters > 1))
			letters = 0;

		if (to == CASE_UPPER && code == SHARP_S)
			appendBinaryStringInfo(&result, "SS", 2);
		else if (to == CASE_UPPER)
			append_character(&result, to_upper(code));
		else if (to == CASE_TITLE && first)
			append_character(&result, to_title(code));
		else if (code == CAPITAL_SIGMA)
			append_character(&result, ends_word(letters - 1, string, end) ?
							 FINAL_SIGMA : SMALL_SIGMA);
		else
			append_character(&result, to_lower(code));
	}
	*result_length = result.len;
	return result.data;
}

char *
postrider_text_case(const char *string, int length, TextCase to,
					int *result_length)
{
	char	   *result;

	if (GetDatabaseEncoding() == PG_UTF8)
		return utf8_case(string, length, to, result_length);
	if (to == CASE_LOWER)
		result = str_tolower(string, length, DEFAULT_COLLATION_OID);
	else if (to == CASE_UPPER)
		result = str_toupper(string, length, DEFAULT_COLLATION_OID);
	else
		result = str_initcap(string, length, DEFAULT_COLLATION_OID);
	*result_length = strlen(result);
	return result;
}

int
postrider_space_length(const char *string, int length)
{
	uint32		code;
	int			size;

	if (length <= 0)
		return 0;
	if (!IS_HIGHBIT_SET(*string))
		return *string == ' ' || (*string >= '\t' && *string <= '\r');
	if (GetDatabaseEncoding() != PG_UTF8)
		return 0;
	size = pg_utf_mblen((const unsigned char *) string);
	if (size > length)
		return 0;
	code = utf8_to_unicode((const unsigned char *) string);
	if (code == 0x85 || code == 0xA0 || code == 0x1680 ||
		(code >= 0x2000 && code <= 0x200B) || code == 0x2028 ||
		code == 0x2029 || code == 0x202F || code == 0x205F ||
		code == 0x3000 || code == 0xFEFF)
		return size;
	return 0;
}

/* The same for the character that text ends with. */
static int
space_length_at_end(const char *string, int length)
{
	int			start = length - 1;

	if (length == 0)
		return 0;
	if (GetDatabaseEncoding() == PG_UTF8)
	{
		while (start > 0 && ((unsigned char) string[start] & 0xC0) == 0x80)
			start--;
	}
	return postrider_space_length(string + start, length - start);
}

void
postrider_trim(const char **string, int *length)
{
	int			size;

	while ((size = postrider_space_length(*string, *length)) > 0)
	{
		*string += size;
		*length -= size;
	}
	while ((size = space_length_at_end(*string, *length)) > 0)
		*length -= size;
}
