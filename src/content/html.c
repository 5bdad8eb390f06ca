/*-------------------------------------------------------------------------
 *
 * html.c
 *	  HTML to text and back.
 *
 * A reader of one pass that follows the rules of HTML where it matters to
 * text: a ">" in a quoted attribute does not end a tag, "a < b" is no tag, the
 * content of script and style is no text.  What is cut off in the middle of
 * a tag or a comment ends there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "content/conversion_internal.h"
#include "content/html.h"
#include "content/unicode_case.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#define MAX_ENTITY 10			/* letters in a name or digits in a number */
#define MAX_TAG 16

/* Where the reader is, and what is to come before the next character. */
typedef struct HtmlReader
{
	const char *at;
	const char *end;
	StringInfo	result;
	int			start;			/* length of result before */
	bool		space;
	bool		line;
} HtmlReader;

/* Tags that begin and end a line. */
static const char *const line_tags[] = {
	"address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt",
	"fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3",
	"h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "option", "p",
	"pre", "section", "table", "title", "tr", "ul", NULL
};

/* Tags whose content is no text. */
static const char *const hidden_tags[] = {
	"script", "style", "template", "noscript", NULL
};

static bool
is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
	{
		if (strcmp(*names, name) == 0)
			return true;
	}
	return false;
}

/* Only what can be in the database's encoding. */
static bool
append_code(StringInfo result, uint32 code)
{
	unsigned char bytes[4];

	if (code < 0x80 && code != 0)
	{
		appendStringInfoCharMacro(result, (char) code);
		return true;
	}
	if (GetDatabaseEncoding() != PG_UTF8)
		return false;
	if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
		code = 0xFFFD;
	unicode_to_utf8(code, bytes);
	appendBinaryStringInfo(result, (char *) bytes, pg_utf_mblen(bytes));
	return true;
}

static bool
named_entity(const char *name, int length, uint32 *code)
{
	int			low = 0;
	int			high = postrider_html_entity_count - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;
		const HtmlEntity *entity = &postrider_html_entities[middle];
		int			order = strncmp(name, entity->name, length);

		if (order == 0)
			order = entity->name[length] == '\0' ? 0 : -1;
		if (order == 0)
		{
			*code = entity->code;
			return true;
		}
		if (order < 0)
			high = middle - 1;
		else
			low = middle + 1;
	}
	return false;
}

/* The length of the entity at "&", or 0 if that is only an ampersand. */
static int
read_entity(const char *at, const char *end, uint32 *code)
{
	const char *c = at + 1;
	const char *name;
	bool		hexadecimal = false;

	if (c < end && *c == '#')
	{
		c++;
		hexadecimal = c < end && (*c == 'x' || *c == 'X');
		name = c += hexadecimal;
		*code = 0;
		for (; c < end && c - name < MAX_ENTITY; c++)
		{
			if (isdigit((unsigned char) *c))
				*code = Min(*code * (hexadecimal ? 16 : 10) + (*c - '0'), 0x110000);
			else if (hexadecimal && isxdigit((unsigned char) *c))
				*code = Min(*code * 16 + (pg_tolower(*c) - 'a' + 10), 0x110000);
			else
				break;
		}
		return c > name && c < end && *c == ';' ? c + 1 - at : 0;
	}
	name = c;
	while (c < end && c - name < MAX_ENTITY && isalnum((unsigned char) *c))
		c++;
	if (c == name || c == end || *c != ';' || !named_entity(name, c - name, code))
		return 0;
	return c + 1 - at;
}

/*
 * Appends the character or entity at the reader's place and moves on.  An
 * entity is never shorter than its character.
 */
static void
take_character(HtmlReader *reader)
{
	uint32		code = 0;
	int			size = 0;

	if (*reader->at == '&')
		size = read_entity(reader->at, reader->end, &code);
	if (size == 0 || !append_code(reader->result, code))
	{
		if (size == 0)
			size = pg_mblen(reader->at);
		appendBinaryStringInfo(reader->result, reader->at, size);
	}
	reader->at += size;
}

void
postrider_html_unescape(const char *html, int length, StringInfo result)
{
	HtmlReader	reader = {.at = html, .end = html + length, .result = result};

	enlargeStringInfo(result, length);
	while (reader.at < reader.end)
		take_character(&reader);
}

/* Moves past the next text that ends with mark, or to the end. */
static void
skip_past(HtmlReader *reader, const char *mark)
{
	int			length = strlen(mark);

	for (; reader->end - reader->at >= length; reader->at++)
	{
		if (memcmp(reader->at, mark, length) == 0)
		{
			reader->at += length;
			return;
		}
	}
	reader->at = reader->end;
}

/* Moves past the ">" that ends a tag. */
static void
skip_tag(HtmlReader *reader)
{
	char		quote = '\0';

	for (; reader->at < reader->end; reader->at++)
	{
		char		c = *reader->at;

		if (quote != '\0')
			quote = c == quote ? '\0' : quote;
		else if ((c == '"' || c == '\'') && reader->at[-1] == '=')
			quote = c;
		else if (c == '>')
		{
			reader->at++;
			return;
		}
	}
}

/* Moves to the end tag of a hidden element. */
static void
skip_content(HtmlReader *reader, const char *name)
{
	int			length = strlen(name);

	for (; reader->at < reader->end; reader->at++)
	{
		if (reader->end - reader->at > length + 2 && *reader->at == '<' &&
			reader->at[1] == '/' &&
			pg_strncasecmp(reader->at + 2, name, length) == 0 &&
			!isalnum((unsigned char) reader->at[2 + length]))
			return;
	}
}

static void
read_tag(HtmlReader *reader)
{
	char		name[MAX_TAG + 1];
	int			length = 0;
	bool		closes = reader->at[1] == '/';

	reader->at += 1 + closes;
	while (reader->at < reader->end && isalnum((unsigned char) *reader->at))
	{
		if (length < MAX_TAG)
			name[length++] = pg_tolower(*reader->at);
		reader->at++;
	}
	name[length] = '\0';
	skip_tag(reader);
	if (is_one_of(name, line_tags))
		reader->line = true;
	else if (strcmp(name, "td") == 0 || strcmp(name, "th") == 0)
		reader->space = true;
	if (!closes && is_one_of(name, hidden_tags))
		skip_content(reader, name);
}

/* Is there a tag, a comment or the like at "<"? */
static bool
read_markup(HtmlReader *reader)
{
	const char *at = reader->at;
	int			rest = reader->end - at;

	if (rest >= 4 && memcmp(at, "<!--", 4) == 0)
	{
		reader->at += 4;
		skip_past(reader, "-->");
		return true;
	}
	if (rest >= 2 && (at[1] == '!' || at[1] == '?'))
	{
		skip_past(reader, ">");
		return true;
	}
	if (rest >= 2 && (isalpha((unsigned char) at[1]) ||
					  (at[1] == '/' && rest >= 3 && isalpha((unsigned char) at[2]))))
	{
		read_tag(reader);
		return true;
	}
	return false;
}

void
postrider_html_to_text(const char *html, int length, StringInfo result)
{
	HtmlReader	reader = {html, html + length, result, result->len, false, false};
	int			since_check = 0;

	enlargeStringInfo(result, length);
	while (reader.at < reader.end)
	{
		int			size;

		if (++since_check % 0x10000 == 0)
			CHECK_FOR_INTERRUPTS();
		if (*reader.at == '<' && read_markup(&reader))
			continue;
		size = postrider_space_length(reader.at, reader.end - reader.at);

		/* A no-break space is a character like any other. */
		if (size == 1)
		{
			reader.space = true;
			reader.at++;
			continue;
		}
		if (result->len > reader.start && (reader.line || reader.space))
			appendStringInfoCharMacro(result, reader.line ? '\n' : ' ');
		reader.line = reader.space = false;
		take_character(&reader);
	}
}

bool
postrider_html_escape(const char *string, int length, StringInfo result,
					  char **problem)
{
	for (int i = 0; i < length; i++)
	{
		const char *entity = NULL;

		switch (string[i])
		{
			case '&':
				entity = "&amp;";
				break;
			case '<':
				entity = "&lt;";
				break;
			case '>':
				entity = "&gt;";
				break;
			case '"':
				entity = "&quot;";
				break;
			case '\'':
				entity = "&#39;";
				break;
		}
		if (!postrider_room_for(result, 6, problem))
			return false;
		if (entity != NULL)
			appendStringInfoString(result, entity);
		else
			appendStringInfoCharMacro(result, string[i]);
	}
	return true;
}
