/*-------------------------------------------------------------------------
 *
 * surroundings.c
 *	  What surrounds the places of a template; see surroundings.h.
 *
 * It knows just enough of URLs, JSON and XML to tell where it is.  Text that is
 * none of them after all is refused elsewhere, or is sent as it was written.
 *
 * The document of a GraphQL request is a language within a JSON string.  Escaping
 * for JSON does not keep a value from ending a string of that language, so there is
 * no place in it: values belong into variables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/surroundings.h"

void
postrider_surroundings_start(Surroundings *where, TemplateContext context)
{
	memset(where, 0, sizeof(*where));
	where->context = context;
}

static void
pass_url(Surroundings *where, const char *string)
{
	for (; *string; string++)
	{
		if (*string == '#')
			where->url = URL_FRAGMENT;
		else if (*string == '?' && where->url != URL_FRAGMENT)
			where->url = URL_QUERY;
		else if (where->url == URL_START && strncmp(string, "://", 3) == 0)
		{
			where->url = URL_AUTHORITY;
			string += 2;
		}
		else if (*string == '/' && where->url <= URL_AUTHORITY)
			where->url = URL_PATH;
	}
}

static void
pass_in_string(Surroundings *where, char c)
{
	if (where->escaped)
		where->escaped = false;
	else if (c == '\\')
		where->escaped = true;
	else if (c == '"')
	{
		where->in_string = false;
		return;
	}
	else if (c == '{' || c == '(')
		where->has_block = true;
	if (where->string_length < SURROUNDINGS_STRING_BYTES)
		where->string[where->string_length++] = c;
	where->string[where->string_length] = '\0';
}

static void
pass_between_strings(Surroundings *where, char c)
{
	switch (c)
	{
		case '"':
			where->in_string = true;
			where->has_block = false;
			where->string_length = 0;
			where->string[0] = '\0';
			break;
		case ':':
			where->in_query = strcmp(where->string, "query") == 0;
			break;
		case ',':
			where->in_query = false;
			break;
		default:
			break;
	}
}

static void
pass_json(Surroundings *where, const char *string)
{
	for (; *string; string++)
	{
		if (where->in_string)
			pass_in_string(where, *string);
		else
			pass_between_strings(where, *string);
	}
}

/* After a <; returns how much more has been passed. */
static int
pass_xml_open(Surroundings *where, const char *string)
{
	static const struct
	{
		const char *begin;
		XmlPart		part;
	}			parts[] = {
		{"<![CDATA[", XML_CDATA},
		{"<!--", XML_COMMENT},
		{"<!", XML_DECLARATION},
		{"<?", XML_DECLARATION},
		{"<", XML_TAG}
	};

	for (int i = 0; i < (int) lengthof(parts); i++)
	{
		if (strncmp(string, parts[i].begin, strlen(parts[i].begin)) != 0)
			continue;
		where->xml = parts[i].part;
		return (int) strlen(parts[i].begin) - 1;
	}
	return 0;
}

static void
pass_xml(Surroundings *where, const char *string)
{
	for (; *string; string++)
	{
		char		c = *string;

		switch (where->xml)
		{
			case XML_TEXT:
				if (c == '<')
					string += pass_xml_open(where, string);
				break;
			case XML_TAG:
				if (c == '>')
					where->xml = XML_TEXT;
				else if (c == '"')
					where->xml = XML_DOUBLE_QUOTES;
				else if (c == '\'')
					where->xml = XML_SINGLE_QUOTES;
				break;
			case XML_DOUBLE_QUOTES:
				if (c == '"')
					where->xml = XML_TAG;
				break;
			case XML_SINGLE_QUOTES:
				if (c == '\'')
					where->xml = XML_TAG;
				break;
			case XML_CDATA:
			case XML_COMMENT:
				if (strncmp(string, where->xml == XML_CDATA ? "]]>" : "-->", 3) != 0)
					break;
				where->xml = XML_TEXT;
				string += 2;
				break;
			case XML_DECLARATION:
				if (c == '>')
					where->xml = XML_TEXT;
				break;
		}
	}
}

void
postrider_surroundings_pass(Surroundings *where, const char *string)
{
	if (where->context == TEMPLATE_URL)
		pass_url(where, string);
	else if (where->context == TEMPLATE_JSON)
		pass_json(where, string);
	else if (where->context == TEMPLATE_XML)
		pass_xml(where, string);
}

/* Does the string, as far as it is known, begin as GraphQL documents do? */
static bool
is_graphql(const Surroundings *where)
{
	static const char *const words[] = {
		"{", "query", "mutation", "subscription", "fragment"
	};
	const char *string = where->string;

	if (!where->in_string || !where->in_query || !where->has_block)
		return false;
	for (;;)
	{
		if (*string == ' ')
			string++;
		else if (*string == '\\' && string[1] && strchr("nrt", string[1]))
			string += 2;
		else
			break;
	}
	for (int i = 0; i < (int) lengthof(words); i++)
		if (strncmp(string, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

static const char *
escape_in_url(const Surroundings *where, ValueEscape *escape)
{
	*escape = where->url == URL_QUERY ? ESCAPE_QUERY : ESCAPE_PATH;
	if (where->url == URL_AUTHORITY)
		return "in the host of the URL";
	if (where->url == URL_FRAGMENT)
		return "behind a #, and that part of a URL is never sent";
	return NULL;
}

static const char *
escape_in_json(const Surroundings *where, ValueEscape *escape)
{
	*escape = where->in_string ? ESCAPE_JSON_STRING : ESCAPE_JSON_VALUE;
	if (where->escaped)
		return "behind a backslash";
	if (is_graphql(where))
		return "in a GraphQL document, where values belong into \"variables\"";
	return NULL;
}

static const char *
escape_in_xml(const Surroundings *where, ValueEscape *escape)
{
	*escape = where->xml == XML_CDATA ? ESCAPE_CDATA : ESCAPE_XML;
	switch (where->xml)
	{
		case XML_TAG:
			return "in a tag, but not in quotes";
		case XML_COMMENT:
			return "in a comment";
		case XML_DECLARATION:
			return "in a declaration";
		default:
			return NULL;
	}
}

const char *
postrider_surroundings_escape(const Surroundings *where, ValueEscape *escape)
{
	switch (where->context)
	{
		case TEMPLATE_URL:
			return escape_in_url(where, escape);
		case TEMPLATE_JSON:
			return escape_in_json(where, escape);
		case TEMPLATE_XML:
			return escape_in_xml(where, escape);
		case TEMPLATE_FORM:
			*escape = ESCAPE_FORM;
			break;
		case TEMPLATE_HEADER:
			*escape = ESCAPE_HEADER;
			break;
		case TEMPLATE_TEXT:
			*escape = ESCAPE_NONE;
			break;
	}
	return NULL;
}
