/*-------------------------------------------------------------------------
 *
 * conversion_markup.c
 *	  Conversions between text, HTML, and the forms of Unicode.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/unicode_norm.h"
#include "content/conversion_internal.h"
#include "content/html.h"
#include "content/unicode_case.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

/*
 * The server sorts combining marks in place, in time of the square of their
 * number, and cannot be interrupted.  So it gets a text in pieces that begin
 * with ASCII, and no piece may be longer.
 */
#define MAX_PIECE 20000

static bool
apply_strip_html(const Conversion *conversion, JsonbValue *value, char **problem)
{
	StringInfoData result;

	initStringInfo(&result);
	postrider_html_to_text(value->val.string.val, value->val.string.len, &result);
	postrider_value_set_string(value, &result);
	return true;
}

static bool
apply_unescape_html(const Conversion *conversion, JsonbValue *value,
					char **problem)
{
	StringInfoData result;

	initStringInfo(&result);
	postrider_html_unescape(value->val.string.val, value->val.string.len, &result);
	postrider_value_set_string(value, &result);
	return true;
}

static bool
apply_escape_html(const Conversion *conversion, JsonbValue *value,
				  char **problem)
{
	StringInfoData result;

	initStringInfo(&result);
	if (!postrider_html_escape(value->val.string.val, value->val.string.len,
							   &result, problem))
		return false;
	postrider_value_set_string(value, &result);
	return true;
}

/*
 * The forms of Unicode
 */

static bool
is_mark(uint32 code)
{
	return (code >= 0x0300 && code <= 0x036F) ||
		(code >= 0x1AB0 && code <= 0x1AFF) ||
		(code >= 0x1DC0 && code <= 0x1DFF) ||
		(code >= 0x20D0 && code <= 0x20FF) ||
		(code >= 0xFE20 && code <= 0xFE2F);
}

/* Appends a piece in a form, without its marks if they are to go. */
static bool
append_form(StringInfo result, const char *string, int length,
			UnicodeNormalizationForm form, bool drop_marks, char **problem)
{
	pg_wchar   *characters = palloc(sizeof(pg_wchar) * (length + 1));
	pg_wchar   *normal;

	(void) pg_mb2wchar_with_len(string, characters, length);
	normal = unicode_normalize(form, characters);
	for (pg_wchar *c = normal; *c != 0; c++)
	{
		unsigned char bytes[4];

		if (drop_marks && is_mark(*c))
			continue;
		if (!postrider_room_for(result, 4, problem))
			return false;
		unicode_to_utf8(*c, bytes);
		appendBinaryStringInfo(result, (char *) bytes, pg_utf_mblen(bytes));
	}
	pfree(normal);
	pfree(characters);
	return true;
}

static bool
change_form(JsonbValue *value, UnicodeNormalizationForm form, bool drop_marks,
			char **problem)
{
	const char *string = value->val.string.val;
	const char *end = string + value->val.string.len;
	StringInfoData result;

	if (GetDatabaseEncoding() != PG_UTF8)
		return postrider_refuse(problem, "the forms of Unicode need a database with the encoding UTF8");
	initStringInfo(&result);
	while (string < end)
	{
		const char *piece = string++;

		while (string < end && IS_HIGHBIT_SET(*string))
			string++;
		CHECK_FOR_INTERRUPTS();
		if (string - piece > MAX_PIECE)
			return postrider_refuse(problem, "the text has more than %d bytes in a row that are not ASCII",
									MAX_PIECE);
		if (string == piece + 1)
		{
			if (!postrider_room_for(&result, 1, problem))
				return false;
			appendStringInfoCharMacro(&result, *piece);
		}
		else if (!append_form(&result, piece, string - piece, form, drop_marks,
							  problem))
			return false;
	}
	postrider_value_set_string(value, &result);
	return true;
}

static bool
apply_normalize(const Conversion *conversion, JsonbValue *value, char **problem)
{
	static const UnicodeNormalizationForm forms[] = {
		UNICODE_NFC, UNICODE_NFD, UNICODE_NFKC, UNICODE_NFKD
	};
	const Argument *form = &conversion->arguments[0];

	return change_form(value, forms[form->given ? form->integer : 0], false,
					   problem);
}

/* Letters that do not come apart into a letter and marks. */
static const struct
{
	const char *letter;
	const char *plain;
}			plain_letters[] = {
	{"ß", "ss"}, {"ẞ", "SS"}, {"æ", "ae"}, {"Æ", "AE"}, {"œ", "oe"},
	{"Œ", "OE"}, {"ø", "o"}, {"Ø", "O"}, {"ł", "l"}, {"Ł", "L"}, {"đ", "d"},
	{"Đ", "D"}, {"ð", "d"}, {"Ð", "D"}, {"þ", "th"}, {"Þ", "Th"}, {"ħ", "h"},
	{"Ħ", "H"}, {"ı", "i"}, {"ŧ", "t"}, {"Ŧ", "T"}, {"ŋ", "n"}, {"Ŋ", "N"}
};

/* The plain form of the letter at string, or NULL. */
static const char *
plain_letter(const char *string, int size)
{
	for (int i = 0; size > 1 && i < (int) lengthof(plain_letters); i++)
	{
		if ((int) strlen(plain_letters[i].letter) == size &&
			memcmp(plain_letters[i].letter, string, size) == 0)
			return plain_letters[i].plain;
	}
	return NULL;
}

static bool
apply_unaccent(const Conversion *conversion, JsonbValue *value, char **problem)
{
	StringInfoData result;
	int			size;

	if (!change_form(value, UNICODE_NFD, true, problem))
		return false;
	initStringInfo(&result);
	for (int i = 0; i < value->val.string.len; i += size)
	{
		const char *at = value->val.string.val + i;
		const char *plain;

		size = pg_mblen(at);
		plain = plain_letter(at, size);
		if (plain != NULL)
			appendStringInfoString(&result, plain);
		else
			appendBinaryStringInfo(&result, at, size);
	}
	postrider_value_set_string(value, &result);

	/* Letters such as those of Korean were taken apart as well. */
	return change_form(value, UNICODE_NFC, false, problem);
}

static bool
apply_slug(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const char *string;
	char	   *lower;
	int			length;
	int			size;
	StringInfoData result;

	if (!apply_unaccent(conversion, value, problem))
		return false;
	lower = postrider_text_case(value->val.string.val, value->val.string.len,
								CASE_LOWER, &length);
	initStringInfo(&result);
	for (string = lower; string < lower + length; string += size)
	{
		size = pg_mblen(string);
		if (postrider_is_word_character(utf8_to_unicode((const unsigned char *) string)))
			appendBinaryStringInfo(&result, string, size);
		else if (result.len > 0 && result.data[result.len - 1] != '-')
			appendStringInfoCharMacro(&result, '-');
	}
	if (result.len > 0 && result.data[result.len - 1] == '-')
		result.data[--result.len] = '\0';
	postrider_value_set_string(value, &result);
	return true;
}

static const char *const form_words[] = {"NFC", "NFD", "NFKC", "NFKD", NULL};

const ConversionEntry postrider_markup_conversions[] = {
	{"strip_html", INPUT_TEXT, .apply = apply_strip_html,
		.description = "The text of a piece of HTML: no tags, comments, scripts or styles; entities become characters",
	.example = "[\"<p>Fish &amp; <b>chips</b></p><script>x()</script>\", \"strip_html\"]"},
	{"escape_html", INPUT_TEXT, .apply = apply_escape_html,
		.description = "Writes & < > and quotes as entities, for HTML and XML",
	.example = "[\"a < b & c\", \"escape_html\"]"},
	{"unescape_html", INPUT_TEXT, .apply = apply_unescape_html,
		.description = "Entities become characters; tags stay",
	.example = "[\"caf&eacute; &#128512;\", \"unescape_html\"]"},
	{"normalize", INPUT_TEXT,
		.arguments = {{"form", ARGUMENT_WORD, .words = form_words}},
		.apply = apply_normalize,
		.description = "A form of Unicode, NFC if nothing else is said",
	.example = "[\"e\\u0301\", {\"normalize\": \"NFC\"}]"},
	{"unaccent", INPUT_TEXT, .apply = apply_unaccent,
		.description = "Letters without their accents",
	.example = "[\"Cr\\u00e8me Br\\u00fbl\\u00e9e\", \"unaccent\"]"},
	{"slug", INPUT_TEXT, .apply = apply_slug,
		.description = "For addresses: lower case without accents, all but letters and digits becomes one hyphen",
	.example = "[\"Cr\\u00e8me Br\\u00fbl\\u00e9e, 2nd!\", \"slug\"]"},
	{NULL}
};
