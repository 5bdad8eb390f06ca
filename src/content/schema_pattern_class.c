/*-------------------------------------------------------------------------
 *
 * schema_pattern_class.c
 *	  Escapes and classes of ECMAScript's regular expressions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_pattern_parse.h"
#include "util/utf8.h"

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Exactly so many hexadecimal digits at the parser's place; -1 if not. */
static int
read_hex(PatternParser *parser, int digits)
{
	int			value = 0;

	if (parser->end - parser->at < digits)
		return -1;
	for (int i = 0; i < digits; i++)
	{
		int			digit = hex_value(parser->at[i]);

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	parser->at += digits;
	return value;
}

uint32
postrider_pattern_read_unicode_escape(PatternParser *parser, const char *from)
{
	int			code = -1;

	if (parser->at < parser->end && *parser->at == '{')
	{
		parser->at++;
		while (parser->at < parser->end && hex_value(*parser->at) >= 0 && code <= UNICODE_MAX)
			code = Max(code, 0) * 16 + hex_value(*parser->at++);
		if (code >= 0 && code <= UNICODE_MAX &&
			parser->at < parser->end && *parser->at == '}')
		{
			parser->at++;
			return code;
		}
		code = -1;
	}
	else
		code = read_hex(parser, 4);
	if (code < 0)
	{
		postrider_pattern_fail(parser, from, "invalid \\u escape");
		return POSTRIDER_UTF8_BAD;
	}
	if (code >= 0xd800 && code <= 0xdbff && parser->end - parser->at >= 6 &&
		parser->at[0] == '\\' && parser->at[1] == 'u')
	{
		const char *before = parser->at;
		int			low;

		parser->at += 2;
		low = read_hex(parser, 4);
		if (low >= 0xdc00 && low <= 0xdfff)
			return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
		parser->at = before;
	}
	return code;
}

/* Reads what follows \p or \P and adds the set. */
static PatternEscape
read_property(PatternParser *parser, const char *from, bool negated, CodeSet *set)
{
	CodeSet    *found = code_set_create();
	const char *name = parser->at + 1;
	const char *value = NULL;
	const char *end;

	if (parser->at == parser->end || *parser->at != '{' ||
		(end = memchr(name, '}', parser->end - name)) == NULL)
	{
		postrider_pattern_fail(parser, from, "\\p without {} and a property");
		return ESCAPE_BAD;
	}
	value = memchr(name, '=', end - name);
	if (!code_set_add_property(found, name, (value ? value : end) - name,
							   value ? value + 1 : NULL,
							   value ? end - value - 1 : -1))
	{
		postrider_pattern_fail(parser, from, "unknown Unicode property");
		return ESCAPE_BAD;
	}
	parser->at = end + 1;
	code_set_normalize(found);
	if (negated)
		code_set_invert(found);
	parser->range_count += found->count;
	if (parser->range_count > PATTERN_RANGES_MAX)
	{
		postrider_pattern_fail(parser, from, "the pattern has too many ranges of characters");
		return ESCAPE_BAD;
	}
	code_set_add_set(set, found);
	return ESCAPE_SET;
}

/* \d, \w, \s and the same negated; false if the letter is none of them. */
static bool
add_shorthand(CodeSet *set, char letter)
{
	CodeSet    *found = code_set_create();

	switch (letter)
	{
		case 'd':
		case 'D':
			code_set_add_digits(found);
			break;
		case 'w':
		case 'W':
			code_set_add_word(found);
			break;
		case 's':
		case 'S':
			code_set_add_space(found);
			break;
		default:
			return false;
	}
	code_set_normalize(found);
	if (letter >= 'A' && letter <= 'Z')
		code_set_invert(found);
	code_set_add_set(set, found);
	return true;
}

/* Escapes that stand for one code point; POSTRIDER_UTF8_BAD if it is none. */
static uint32
read_code_escape(PatternParser *parser, const char *from, char letter, bool in_class)
{
	int			code;

	switch (letter)
	{
		case 't':
			return '\t';
		case 'n':
			return '\n';
		case 'v':
			return '\v';
		case 'f':
			return '\f';
		case 'r':
			return '\r';
		case '0':
			if (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9')
				break;
			return 0;
		case 'c':
			if (parser->at < parser->end && ((*parser->at >= 'a' && *parser->at <= 'z') ||
											 (*parser->at >= 'A' && *parser->at <= 'Z')))
				return *parser->at++ & 0x1f;
			break;
		case 'x':
			code = read_hex(parser, 2);
			if (code >= 0)
				return code;
			break;
		case 'u':
			return postrider_pattern_read_unicode_escape(parser, from);
		case 'b':
			if (in_class)
				return '\b';
			break;
		case '-':
			if (in_class)
				return '-';
			break;
		default:
			if (letter != '\0' && strchr("^$\\.*+?()[]{}|/", letter) != NULL)
				return letter;
			break;
	}
	postrider_pattern_fail(parser, from, "\\ before a character that has no such meaning");
	return POSTRIDER_UTF8_BAD;
}

PatternEscape
postrider_pattern_read_escape(PatternParser *parser, bool in_class,
							  CodeSet *set, uint32 *code)
{
	const char *from = parser->at - 1;
	bool		was_empty = set->count == 0;
	PatternEscape result = ESCAPE_SET;
	char		letter;

	if (parser->at == parser->end)
	{
		postrider_pattern_fail(parser, from, "\\ without a character after it");
		return ESCAPE_BAD;
	}
	letter = *parser->at++;
	if (letter == 'p' || letter == 'P')
		result = read_property(parser, from, letter == 'P', set);
	else if (!add_shorthand(set, letter))
	{
		*code = read_code_escape(parser, from, letter, in_class);
		return *code == POSTRIDER_UTF8_BAD ? ESCAPE_BAD : ESCAPE_CODE;
	}
	if (was_empty)
		code_set_normalize(set);
	return result;
}

/* One member of a class: a code point, or an escape for a set. */
static PatternEscape
read_class_atom(PatternParser *parser, CodeSet *set, uint32 *code)
{
	const char *from = parser->at;

	*code = postrider_utf8_next(&parser->at, parser->end);
	if (*code == '\\')
		return postrider_pattern_read_escape(parser, true, set, code);
	if (*code == POSTRIDER_UTF8_BAD)
	{
		postrider_pattern_fail(parser, from, "invalid UTF-8");
		return ESCAPE_BAD;
	}
	return ESCAPE_CODE;
}

CodeSet *
postrider_pattern_read_class(PatternParser *parser)
{
	const char *from = parser->at - 1;
	CodeSet    *set = code_set_create();
	bool		negated = parser->at < parser->end && *parser->at == '^';

	if (negated)
		parser->at++;
	while (parser->at < parser->end && *parser->at != ']')
	{
		const char *at = parser->at;
		uint32		first;
		uint32		last;
		PatternEscape kind = read_class_atom(parser, set, &first);
		PatternEscape kind_last;

		if (kind == ESCAPE_BAD)
			return NULL;
		last = first;
		/* A hyphen before the closing bracket is a hyphen. */
		if (parser->end - parser->at >= 2 && parser->at[0] == '-' && parser->at[1] != ']')
		{
			parser->at++;
			kind_last = read_class_atom(parser, set, &last);
			if (kind_last == ESCAPE_BAD)
				return NULL;
			if (kind == ESCAPE_SET || kind_last == ESCAPE_SET)
			{
				postrider_pattern_fail(parser, at, "range of something else than characters");
				return NULL;
			}
			if (last < first)
			{
				postrider_pattern_fail(parser, at, "range out of order");
				return NULL;
			}
		}
		if (kind == ESCAPE_CODE)
		{
			parser->range_count++;
			code_set_add(set, first, last);
		}
	}
	if (parser->at == parser->end)
	{
		postrider_pattern_fail(parser, from, "[ without ]");
		return NULL;
	}
	parser->at++;
	code_set_normalize(set);
	if (negated)
		code_set_invert(set);
	return set;
}
