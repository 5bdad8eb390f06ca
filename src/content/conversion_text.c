/*-------------------------------------------------------------------------
 *
 * conversion_text.c
 *	  Conversions of text: case, space, parts, patterns.
 *
 * Lengths and positions are in characters.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/conversion_internal.h"
#include "content/pattern.h"
#include "content/unicode_case.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#define MAX_LENGTH 1000000		/* what a length may be */

static bool
apply_trim(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const char *string = value->val.string.val;
	int			length = value->val.string.len;

	postrider_trim(&string, &length);
	postrider_value_set_text(value, unconstify(char *, string), length);
	return true;
}

static bool
change_case(JsonbValue *value, TextCase to)
{
	int			length;
	char	   *string = postrider_text_case(value->val.string.val,
											 value->val.string.len, to, &length);

	postrider_value_set_text(value, string, length);
	return true;
}

static bool
apply_lower(const Conversion *conversion, JsonbValue *value, char **problem)
{
	return change_case(value, CASE_LOWER);
}

static bool
apply_upper(const Conversion *conversion, JsonbValue *value, char **problem)
{
	return change_case(value, CASE_UPPER);
}

static bool
apply_title(const Conversion *conversion, JsonbValue *value, char **problem)
{
	return change_case(value, CASE_TITLE);
}

/* The first character only. */
static bool
apply_capitalize(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const char *string = value->val.string.val;
	int			length = value->val.string.len;
	int			first = length == 0 ? 0 : pg_mblen(string);
	StringInfoData result;
	int			upper_length;
	char	   *upper = postrider_text_case(string, first, CASE_TITLE,
											&upper_length);

	initStringInfo(&result);
	appendBinaryStringInfo(&result, upper, upper_length);
	appendBinaryStringInfo(&result, string + first, length - first);
	postrider_value_set_string(value, &result);
	return true;
}

/* Runs of white space become one space; none at the ends. */
static bool
apply_collapse_spaces(const Conversion *conversion, JsonbValue *value,
					  char **problem)
{
	const char *string = value->val.string.val;
	int			length = value->val.string.len;
	StringInfoData result;

	postrider_trim(&string, &length);
	initStringInfo(&result);
	enlargeStringInfo(&result, length);
	while (length > 0)
	{
		int			size = postrider_space_length(string, length);

		if (size == 0)
		{
			size = pg_mblen(string);
			appendBinaryStringInfo(&result, string, size);
		}
		else if (result.data[result.len - 1] != ' ')
			appendStringInfoCharMacro(&result, ' ');
		string += size;
		length -= size;
	}
	postrider_value_set_string(value, &result);
	return true;
}

/*
 * Parts
 */

/* The count characters from the one at position start, from 0, if there. */
static void
take_part(JsonbValue *value, int64 start, int64 count)
{
	char	   *string = value->val.string.val;
	int			length = value->val.string.len;
	int			from;
	int			to;

	if (start < 0)
	{
		count += start;
		start = 0;
	}
	from = pg_mbcharcliplen(string, length, Min(start, PG_INT32_MAX));
	to = pg_mbcharcliplen(string + from, length - from,
						  Max(0, Min(count, PG_INT32_MAX)));
	postrider_value_set_text(value, string + from, to);
}

static int
character_count(const JsonbValue *value)
{
	return pg_mbstrlen_with_len(value->val.string.val, value->val.string.len);
}

static bool
apply_left(const Conversion *conversion, JsonbValue *value, char **problem)
{
	take_part(value, 0, conversion->arguments[0].integer);
	return true;
}

static bool
apply_right(const Conversion *conversion, JsonbValue *value, char **problem)
{
	int			count = conversion->arguments[0].integer;

	take_part(value, (int64) character_count(value) - count, count);
	return true;
}

/* Positions count from 1, from the end if negative. */
static bool
apply_substring(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *from = &conversion->arguments[0];
	const Argument *length = &conversion->arguments[1];
	int64		start = from->integer - 1;

	if (from->integer < 0)
		start = (int64) character_count(value) + from->integer;
	take_part(value, start, length->given ? length->integer : PG_INT64_MAX / 2);
	return true;
}

static bool
compile_substring(Conversion *conversion, char **problem)
{
	if (conversion->arguments[0].integer == 0)
		return postrider_refuse(problem, "\"from\" of \"substring\" is 0; characters count from 1, or from -1 at the end");
	return true;
}

static bool
apply_pad(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *with = &conversion->arguments[1];
	int			missing = conversion->arguments[0].integer - character_count(value);
	const char *fill = with->given ? with->text : " ";
	const char *next = fill;
	StringInfoData result;

	if (missing <= 0)
		return true;
	initStringInfo(&result);
	if (conversion->arguments[2].integer == 1)
		appendBinaryStringInfo(&result, value->val.string.val,
							   value->val.string.len);
	for (; missing > 0; missing--)
	{
		int			size = pg_mblen(next);

		appendBinaryStringInfo(&result, next, size);
		next += size;
		if (*next == '\0')
			next = fill;
	}
	if (conversion->arguments[2].integer == 0)
		appendBinaryStringInfo(&result, value->val.string.val,
							   value->val.string.len);
	postrider_value_set_string(value, &result);
	return true;
}

static bool
compile_pad(Conversion *conversion, char **problem)
{
	if (conversion->arguments[1].given && conversion->arguments[1].length == 0)
		return postrider_refuse(problem, "\"with\" of \"pad\" is empty");
	return true;
}

static bool
join_two(JsonbValue *value, const char *first, int first_length,
		 const char *second, int second_length, char **problem)
{
	StringInfoData result;

	initStringInfo(&result);
	if (!postrider_room_for(&result, (int64) first_length + second_length, problem))
		return false;
	appendBinaryStringInfo(&result, first, first_length);
	appendBinaryStringInfo(&result, second, second_length);
	postrider_value_set_string(value, &result);
	return true;
}

static bool
apply_prefix(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *added = &conversion->arguments[0];

	return join_two(value, added->text, added->length, value->val.string.val,
					value->val.string.len, problem);
}

static bool
apply_suffix(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *added = &conversion->arguments[0];

	return join_two(value, value->val.string.val, value->val.string.len,
					added->text, added->length, problem);
}

static bool
apply_digits(const Conversion *conversion, JsonbValue *value, char **problem)
{
	StringInfoData result;

	initStringInfo(&result);
	for (int i = 0; i < value->val.string.len; i++)
	{
		char		c = value->val.string.val[i];

		if (c >= '0' && c <= '9')
			appendStringInfoCharMacro(&result, c);
	}
	postrider_value_set_string(value, &result);
	return true;
}

static bool
apply_length(const Conversion *conversion, JsonbValue *value, char **problem)
{
	postrider_value_set_int64(value, character_count(value));
	return true;
}

/*
 * Replacing
 */

/*
 * The next place of a text in another.  In UTF8 and the encodings with one
 * byte for a character bytes can be compared; elsewhere a match could begin
 * in the middle of a character.
 */
static const char *
find_text(const char *string, const char *end, const char *wanted, int length)
{
	bool		bytewise = GetDatabaseEncoding() == PG_UTF8 ||
		pg_database_encoding_max_length() == 1;

	while (end - string >= length)
	{
		if (bytewise)
		{
			string = memchr(string, *wanted, end - string - length + 1);
			if (string == NULL)
				return NULL;
		}
		if (memcmp(string, wanted, length) == 0)
			return string;
		string += bytewise ? 1 : pg_mblen(string);
	}
	return NULL;
}

static bool
apply_replace_text(const Conversion *conversion, JsonbValue *value,
				   char **problem)
{
	const Argument *find = &conversion->arguments[0];
	const Argument *with = &conversion->arguments[1];
	const char *string = value->val.string.val;
	const char *end = string + value->val.string.len;
	const char *found;
	StringInfoData result;

	initStringInfo(&result);
	while ((found = find_text(string, end, find->text, find->length)) != NULL)
	{
		if (!postrider_room_for(&result, (int64) (found - string) + with->length, problem))
			return false;
		appendBinaryStringInfo(&result, string, found - string);
		appendBinaryStringInfo(&result, with->text, with->length);
		string = found + find->length;
		CHECK_FOR_INTERRUPTS();
	}
	if (!postrider_room_for(&result, end - string, problem))
		return false;
	appendBinaryStringInfo(&result, string, end - string);
	postrider_value_set_string(value, &result);
	return true;
}

static bool
compile_replace_text(Conversion *conversion, char **problem)
{
	if (conversion->arguments[0].length == 0)
		return postrider_refuse(problem, "\"find\" of \"replace_text\" is empty");
	return true;
}

static bool
compile_replace(Conversion *conversion, char **problem)
{
	const Argument *pattern = &conversion->arguments[0];
	const Argument *with = &conversion->arguments[1];
	int			highest = postrider_replacement_check(with->text, problem);

	if (highest < 0)
		return false;
	conversion->state = postrider_pattern_compile(pattern->text, pattern->length,
												  conversion->arguments[2].boolean,
												  highest > 0, problem);
	if (conversion->state == NULL)
		return false;
	if (highest > 0 && highest > postrider_pattern_group_count(conversion->state))
		return postrider_refuse(problem, "the replacement names group %d, and the pattern has %d",
								highest,
								postrider_pattern_group_count(conversion->state));
	return true;
}

static bool
apply_replace(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *all = &conversion->arguments[3];
	StringInfoData result;

	initStringInfo(&result);
	if (!postrider_pattern_replace(conversion->state, value->val.string.val,
								   value->val.string.len,
								   conversion->arguments[1].text,
								   !all->given || all->boolean, &result, problem))
		return false;
	postrider_value_set_string(value, &result);
	return true;
}

static bool
compile_extract(Conversion *conversion, char **problem)
{
	const Argument *pattern = &conversion->arguments[0];
	const Argument *group = &conversion->arguments[1];
	bool		whole = group->given && group->integer == 0;
	int			count;

	conversion->state = postrider_pattern_compile(pattern->text, pattern->length,
												  conversion->arguments[2].boolean,
												  !whole, problem);
	if (conversion->state == NULL)
		return false;
	count = postrider_pattern_group_count(conversion->state);
	if (!whole && group->integer > count)
		return postrider_refuse(problem, "\"group\" of \"extract\" is %d, and the pattern has %d",
								group->integer, count);
	return true;
}

/* The group, by default the first if there is one; null if nothing matches. */
static bool
apply_extract(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *group = &conversion->arguments[1];
	int			number = group->integer;
	PatternGroup found;

	if (!group->given)
		number = Min(1, postrider_pattern_group_count(conversion->state));
	if (!postrider_pattern_find(conversion->state, value->val.string.val,
								value->val.string.len, number, &found, problem))
		return false;
	if (found.start < 0)
		value->type = jbvNull;
	else
		postrider_value_set_text(value, value->val.string.val + found.start,
								 found.end - found.start);
	return true;
}

static const char *const sides[] = {"left", "right", NULL};

#define COUNT_ARGUMENT(name, least) \
	{name, ARGUMENT_INTEGER, true, least, MAX_LENGTH}

const ConversionEntry postrider_text_conversions[] = {
	{"trim", INPUT_TEXT, .apply = apply_trim,
		.description = "White space at both ends goes, also no-break and zero-width spaces",
	.example = "[\" Ada \", \"trim\"]"},
	{"lower", INPUT_TEXT, .apply = apply_lower,
		.description = "Lower case by Unicode's rules",
	.example = "[\"\\u0396\\u039f\\u00cb\", \"lower\"]"},
	{"upper", INPUT_TEXT, .apply = apply_upper,
		.description = "Upper case by Unicode's rules",
	.example = "[\"fr\", \"upper\"]"},
	{"title", INPUT_TEXT, .apply = apply_title,
		.description = "Words begin with a capital; the rest is lower case",
	.example = "[\"JEAN-PAUL o'neill\", \"title\"]"},
	{"capitalize", INPUT_TEXT, .apply = apply_capitalize,
		.description = "The first character becomes a capital; the rest stays",
	.example = "[\"ada Lovelace\", \"capitalize\"]"},
	{"collapse_spaces", INPUT_TEXT, .apply = apply_collapse_spaces,
		.description = "Runs of white space become one space; none at the ends",
	.example = "[\" a   b \", \"collapse_spaces\"]"},
	{"left", INPUT_TEXT, .arguments = {COUNT_ARGUMENT("count", 0)},
		.apply = apply_left,
		.description = "At most this many characters from the beginning",
	.example = "[\"abcdef\", {\"left\": 3}]"},
	{"right", INPUT_TEXT, .arguments = {COUNT_ARGUMENT("count", 0)},
		.apply = apply_right,
		.description = "At most this many characters from the end",
	.example = "[\"abcdef\", {\"right\": 3}]"},
	{"substring", INPUT_TEXT, .arguments = {COUNT_ARGUMENT("from", -MAX_LENGTH),
			{"length", ARGUMENT_INTEGER, false, 0, MAX_LENGTH}},
		.compile = compile_substring, .apply = apply_substring,
		.description = "Characters from a position on; 1 is the first, -1 the last",
	.example = "[\"abcdef\", {\"substring\": {\"from\": 2, \"length\": 3}}]"},
	{"pad", INPUT_TEXT, .arguments = {COUNT_ARGUMENT("length", 0),
			{"with", ARGUMENT_TEXT}, {"side", ARGUMENT_WORD, .words = sides}},
		.compile = compile_pad, .apply = apply_pad,
		.description = "Fills up to a length, on the left side with spaces if nothing else is said",
	.example = "[\"42\", {\"pad\": {\"length\": 5, \"with\": \"0\"}}]"},
	{"prefix", INPUT_TEXT, .arguments = {{"text", ARGUMENT_TEXT, true}},
		.apply = apply_prefix,
		.description = "Puts a text before it",
	.example = "[\"42\", {\"prefix\": \"ORD-\"}]"},
	{"suffix", INPUT_TEXT, .arguments = {{"text", ARGUMENT_TEXT, true}},
		.apply = apply_suffix,
		.description = "Puts a text after it",
	.example = "[\"42\", {\"suffix\": \" kg\"}]"},
	{"replace", INPUT_TEXT, .named_only = true,
		.arguments = {{"pattern", ARGUMENT_TEXT, true},
			{"with", ARGUMENT_TEXT, true}, {"ignore_case", ARGUMENT_BOOLEAN},
			{"all", ARGUMENT_BOOLEAN}},
		.compile = compile_replace, .apply = apply_replace,
		.description = "Replaces what a regular expression matches; \\1 to \\9 are its groups, \\& the match",
	.example = "[\"a1b22\", {\"replace\": {\"pattern\": \"[0-9]+\", \"with\": \"#\"}}]"},
	{"replace_text", INPUT_TEXT, .named_only = true,
		.arguments = {{"find", ARGUMENT_TEXT, true}, {"with", ARGUMENT_TEXT, true}},
		.compile = compile_replace_text, .apply = apply_replace_text,
		.description = "Replaces a text by another",
	.example = "[\"a.b.c\", {\"replace_text\": {\"find\": \".\", \"with\": \"-\"}}]"},
	{"extract", INPUT_TEXT, .arguments = {{"pattern", ARGUMENT_TEXT, true},
			{"group", ARGUMENT_INTEGER, false, 0, 9},
			{"ignore_case", ARGUMENT_BOOLEAN}},
		.compile = compile_extract, .apply = apply_extract,
		.description = "What the first group of a regular expression matches, or all of it without groups; null if nothing does",
	.example = "[\"utm_id=77&x=1\", {\"extract\": \"utm_id=([0-9]+)\"}]"},
	{"digits", INPUT_TEXT, .apply = apply_digits,
		.description = "Only the digits 0 to 9 stay",
	.example = "[\"12-34/5\", \"digits\"]"},
	{"length", INPUT_TEXT, .apply = apply_length,
		.description = "The number of characters",
	.example = "[\"\\u0396\\u03bf\\u03ae\", \"length\"]"},
	{NULL}
};
