/*-------------------------------------------------------------------------
 *
 * template_scan.c
 *	  What surrounds the places of a template.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/template_scan.h"

void
postrider_template_scan_start(TemplateScan *scan, TemplateContext context)
{
	memset(scan, 0, sizeof(TemplateScan));
	scan->context = context;
	scan->state = SCAN_START;
}

static void
remember(TemplateScan *scan, char c)
{
	if (scan->recent_length == SCAN_RECENT_BYTES)
		memmove(scan->recent, scan->recent + 1, --scan->recent_length);
	scan->recent[scan->recent_length++] = c;
	scan->recent[scan->recent_length] = '\0';
}

static void
forget(TemplateScan *scan)
{
	scan->recent_length = 0;
	scan->recent[0] = '\0';
}

static bool
ends_with(const TemplateScan *scan, const char *end)
{
	int			length = strlen(end);

	return scan->recent_length >= length &&
		memcmp(scan->recent + scan->recent_length - length, end, length) == 0;
}

/* A URL without a scheme, /path, is a path. */
static void
scan_url(TemplateScan *scan, char c)
{
	if (c == '#')
		scan->state = SCAN_FRAGMENT;
	else if (c == '?' && scan->state != SCAN_FRAGMENT)
		scan->state = SCAN_QUERY;
	else if (scan->state == SCAN_START && ends_with(scan, "://"))
		scan->state = SCAN_AUTHORITY;
	else if (scan->state == SCAN_START && c == '/' && scan->recent_length == 1)
		scan->state = SCAN_PATH;
	else if (scan->state == SCAN_AUTHORITY && c == '/')
		scan->state = SCAN_PATH;
}

static void
scan_json_string(TemplateScan *scan, char c)
{
	if (scan->escaped)
		scan->escaped = false;
	else if (c == '\\')
		scan->escaped = true;
	else if (c == '"')
	{
		scan->state = SCAN_START;
		return;
	}
	if (scan->member_length < SCAN_RECENT_BYTES)
		scan->member[scan->member_length++] = c;
}

static void
scan_json(TemplateScan *scan, char c)
{
	if (scan->state == SCAN_JSON_STRING)
	{
		scan_json_string(scan, c);
		return;
	}
	switch (c)
	{
		case '"':
			scan->state = SCAN_JSON_STRING;
			scan->member_length = 0;
			break;
		case '{':
		case '[':
			scan->depth++;
			break;
		case '}':
		case ']':
			scan->depth--;
			break;
		case ':':
			if (scan->depth == 1)
				scan->in_query = scan->member_length == 5 &&
					memcmp(scan->member, "query", 5) == 0;
			break;
		case ',':
			if (scan->depth == 1)
				scan->in_query = false;
			break;
		default:
			break;
	}
}

/* Within < and >, not in quotes. */
static void
scan_xml_tag(TemplateScan *scan, char c)
{
	if (c == '>')
		scan->state = SCAN_START;
	else if (c == '"')
		scan->state = SCAN_XML_DOUBLE;
	else if (c == '\'')
		scan->state = SCAN_XML_SINGLE;
	else if (ends_with(scan, "<?"))
	{
		scan->state = SCAN_XML_INSTRUCTION;
		scan->in_declaration = false;
	}
	else if (ends_with(scan, "<!--"))
	{
		scan->state = SCAN_XML_COMMENT;
		forget(scan);
	}
	else if (ends_with(scan, "<![CDATA["))
	{
		scan->state = SCAN_XML_CDATA;
		forget(scan);
	}
	else if (ends_with(scan, "<!DOCTYPE"))
	{
		scan->state = SCAN_XML_INSTRUCTION;
		scan->in_declaration = true;
	}
}

static void
scan_xml(TemplateScan *scan, char c)
{
	bool		ends = false;

	switch (scan->state)
	{
		case SCAN_XML_TAG:
			scan_xml_tag(scan, c);
			break;
		case SCAN_XML_DOUBLE:
			if (c == '"')
				scan->state = SCAN_XML_TAG;
			break;
		case SCAN_XML_SINGLE:
			if (c == '\'')
				scan->state = SCAN_XML_TAG;
			break;
		case SCAN_XML_CDATA:
			ends = ends_with(scan, "]]>");
			break;
		case SCAN_XML_COMMENT:
			ends = ends_with(scan, "-->");
			break;
		case SCAN_XML_INSTRUCTION:
			ends = scan->in_declaration ? c == '>' : ends_with(scan, "?>");
			break;
		default:
			if (c == '<')
				scan->state = SCAN_XML_TAG;
			break;
	}
	if (ends)
		scan->state = SCAN_START;
}

void
postrider_template_scan(TemplateScan *scan, const char *bytes, int length)
{
	for (int i = 0; i < length; i++)
	{
		remember(scan, bytes[i]);
		switch (scan->context)
		{
			case TEMPLATE_URL:
				scan_url(scan, bytes[i]);
				break;
			case TEMPLATE_JSON:
			case TEMPLATE_GRAPHQL:
				scan_json(scan, bytes[i]);
				break;
			case TEMPLATE_XML:
				scan_xml(scan, bytes[i]);
				break;
			default:
				break;
		}
	}
}

static bool
place_in_url(TemplateScan *scan, ValueEscape *escape, Problem *problem)
{
	switch (scan->state)
	{
		case SCAN_PATH:
			*escape = ESCAPE_PATH;
			return true;
		case SCAN_QUERY:
			*escape = ESCAPE_QUERY;
			return true;
		case SCAN_FRAGMENT:
			return postrider_problem(problem, "Leave out what begins with #.",
									 "the fragment of a URL is never sent, so it cannot hold a value");
		default:
			return postrider_problem(problem, "Values can stand in the path and in the query. Make one endpoint for each host.",
									 "the scheme and the host of a URL cannot hold a value");
	}
}

static bool
place_in_json(TemplateScan *scan, ValueEscape *escape, Problem *problem)
{
	if (scan->context == TEMPLATE_GRAPHQL && scan->in_query)
		return postrider_problem(problem, "Declare a variable in the document, and put the value into \"variables\".",
								 "the document of a GraphQL request cannot hold a value");
	if (scan->escaped)
		return postrider_problem(problem, "Write \\\\ for a backslash.",
								 "a value cannot follow a backslash");
	*escape = scan->state == SCAN_JSON_STRING ? ESCAPE_JSON_STRING :
		ESCAPE_JSON_VALUE;
	return true;
}

static bool
place_in_xml(TemplateScan *scan, ValueEscape *escape, Problem *problem)
{
	static const char hint[] = "Values can stand in text, in CDATA sections, and in attributes in quotes.";

	switch (scan->state)
	{
		case SCAN_XML_TAG:
			return postrider_problem(problem, hint,
									 "a tag cannot hold a value outside quotes");
		case SCAN_XML_COMMENT:
			return postrider_problem(problem, hint,
									 "an XML comment cannot hold a value");
		case SCAN_XML_INSTRUCTION:
			return postrider_problem(problem, hint,
									 "an XML declaration or instruction cannot hold a value");
		case SCAN_XML_CDATA:
			*escape = ESCAPE_CDATA;
			forget(scan);
			return true;
		default:
			*escape = ESCAPE_XML;
			return true;
	}
}

bool
postrider_template_scan_place(TemplateScan *scan, ValueEscape *escape,
							  Problem *problem)
{
	switch (scan->context)
	{
		case TEMPLATE_URL:
			return place_in_url(scan, escape, problem);
		case TEMPLATE_JSON:
		case TEMPLATE_GRAPHQL:
			return place_in_json(scan, escape, problem);
		case TEMPLATE_XML:
			return place_in_xml(scan, escape, problem);
		case TEMPLATE_TEXT:
			*escape = ESCAPE_NONE;
			break;
		case TEMPLATE_PATH:
			*escape = ESCAPE_PATH;
			break;
		case TEMPLATE_QUERY:
			*escape = ESCAPE_QUERY;
			break;
		case TEMPLATE_FORM:
			*escape = ESCAPE_FORM;
			break;
		case TEMPLATE_HEADER:
			*escape = ESCAPE_HEADER;
			break;
	}
	return true;
}

bool
postrider_template_scan_end(TemplateScan *scan, Problem *problem)
{
	if (scan->context == TEMPLATE_XML && scan->state != SCAN_START)
		return postrider_problem(problem, NULL,
								 "the XML ends within a tag, a comment, an instruction or a CDATA section");
	return true;
}
