/*-------------------------------------------------------------------------
 *
 * schema_pattern_parse.c
 *	  The grammar of ECMAScript's regular expressions (ECMA-262, section
 *	  "Patterns", with the flag u and without annex B).
 *
 * With the flag u nothing is guessed: a backslash before a letter that has no
 * meaning, or a lone brace, is an error, and so is a group that is referred to
 * and does not exist.
 *
 * The parser descends once for each group that is open, at most
 * PATTERN_DEPTH_MAX deep.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_pattern_parse.h"
#include "util/utf8.h"

static PatternNode *parse_alternatives(PatternParser *parser);

/* --- what schema_pattern_class.c uses as well --------------------------- */

/* Sets the problem, with the place, unless there is one already. */
void
postrider_pattern_fail(PatternParser *parser, const char *at, const char *problem)
{
	int			place = 1;

	if (parser->problem != NULL)
		return;
	for (const char *s = parser->source; s < at; s++)
	{
		if (((unsigned char) *s & 0xc0) != 0x80)
			place++;
	}
	if (at >= parser->end)
		parser->problem = psprintf("%s at the end", problem);
	else
		parser->problem = psprintf("%s at character %d", problem, place);
}

static PatternNode *
make_node(PatternNodeType type)
{
	PatternNode *node = palloc0(sizeof(PatternNode));

	node->type = type;
	return node;
}

static PatternNode *
make_char(uint32 code)
{
	PatternNode *node = make_node(NODE_CHAR);

	node->code = code;
	return node;
}

static PatternNode *
make_set(CodeSet *set)
{
	PatternNode *node = make_node(NODE_SET);

	node->set = set;
	return node;
}

/* --- groups and their names --------------------------------------------- */

/* One character of a group's name, which may be written as an escape. */
static uint32
read_name_code(PatternParser *parser)
{
	const char *from = parser->at;
	uint32		code = postrider_utf8_next(&parser->at, parser->end);

	if (code != '\\')
		return code;
	if (parser->at == parser->end || *parser->at != 'u')
	{
		parser->at = from;
		return POSTRIDER_UTF8_BAD;
	}
	parser->at++;
	return postrider_pattern_read_unicode_escape(parser, from);
}

static bool
is_name_code(PatternParser *parser, uint32 code, bool first)
{
	CodeSet   **set = first ? &parser->name_start : &parser->name_part;

	if (code < 128)
		return code == '$' || code == '_' || (code >= 'a' && code <= 'z') ||
			(code >= 'A' && code <= 'Z') || (!first && code >= '0' && code <= '9');
	if (*set == NULL)
	{
		*set = code_set_create();
		if (first)
			code_set_add_property(*set, "ID_Start", 8, NULL, -1);
		else
		{
			code_set_add_property(*set, "ID_Continue", 11, NULL, -1);
			code_set_add(*set, 0x200c, 0x200d);
		}
		code_set_normalize(*set);
	}
	return code_set_has(*set, code);
}

/*
 * Reads <name>, and gives the name in UTF-8 without its escapes.  NULL if
 * there is none.
 */
static char *
read_group_name(PatternParser *parser, int *len)
{
	const char *from = parser->at;
	char	   *name;
	char	   *out;

	if (parser->at == parser->end || *parser->at != '<')
	{
		postrider_pattern_fail(parser, from, "the name of a group in <> is missing");
		return NULL;
	}
	parser->at++;
	/* A character takes no more room than its escape does. */
	out = name = palloc(parser->end - from + 4);
	while (parser->at < parser->end && *parser->at != '>')
	{
		const char *at = parser->at;
		uint32		code = read_name_code(parser);

		if (code == POSTRIDER_UTF8_BAD || !is_name_code(parser, code, out == name))
		{
			postrider_pattern_fail(parser, at, "invalid character in the name of a group");
			return NULL;
		}
		unicode_to_utf8(code, (unsigned char *) out);
		out += pg_utf_mblen((unsigned char *) out);
	}
	if (parser->at == parser->end || out == name)
	{
		postrider_pattern_fail(parser, parser->at, "incomplete name of a group");
		return NULL;
	}
	parser->at++;
	*len = out - name;
	return name;
}

static bool
add_group_name(PatternParser *parser, const char *at, char *name, int len, int group)
{
	PatternName *entry;

	for (entry = parser->names; entry != NULL; entry = entry->next)
	{
		if (entry->len == len && memcmp(entry->name, name, len) == 0)
		{
			postrider_pattern_fail(parser, at, "two groups with the same name");
			return false;
		}
	}
	/* The names are compared with each other: few groups have one. */
	if (++parser->name_count > PATTERN_NAMES_MAX)
	{
		postrider_pattern_fail(parser, at, "too many named groups");
		return false;
	}
	entry = palloc(sizeof(PatternName));
	entry->name = name;
	entry->len = len;
	entry->group = group;
	entry->next = parser->names;
	parser->names = entry;
	return true;
}

static void
add_reference(PatternParser *parser, PatternNode *node, const char *at)
{
	PatternReference *reference = palloc(sizeof(PatternReference));

	reference->node = node;
	reference->at = at;
	reference->next = parser->references;
	parser->references = reference;
}

/* What the back references refer to, now that all groups are known. */
static bool
resolve_references(PatternParser *parser)
{
	for (PatternReference *reference = parser->references; reference != NULL;
		 reference = reference->next)
	{
		PatternNode *node = reference->node;

		if (node->name != NULL)
		{
			for (PatternName *entry = parser->names; entry != NULL; entry = entry->next)
			{
				if (entry->len == node->name_len &&
					memcmp(entry->name, node->name, entry->len) == 0)
					node->group = entry->group;
			}
		}
		if (node->group == 0 || node->group > parser->group_count)
		{
			postrider_pattern_fail(parser, reference->at,
								   "back reference to a group that does not exist");
			return false;
		}
	}
	return true;
}

/* --- atoms -------------------------------------------------------------- */

static PatternNode *
parse_back_reference(PatternParser *parser, const char *from)
{
	PatternNode *node = make_node(NODE_BACK_REFERENCE);

	if (*parser->at == 'k')
	{
		parser->at++;
		node->name = read_group_name(parser, &node->name_len);
		if (node->name == NULL)
			return NULL;
	}
	else
	{
		while (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9')
		{
			node->group = Min(node->group * 10 + (*parser->at - '0'), PATTERN_SOURCE_MAX);
			parser->at++;
		}
	}
	add_reference(parser, node, from);
	return node;
}

/* What follows a backslash outside of a class. */
static PatternNode *
parse_escape(PatternParser *parser, bool *quantifiable)
{
	const char *from = parser->at - 1;
	CodeSet    *set;
	uint32		code;

	if (parser->at == parser->end)
	{
		postrider_pattern_fail(parser, from, "\\ without a character after it");
		return NULL;
	}
	switch (*parser->at)
	{
		case 'b':
		case 'B':
			{
				PatternNode *node = make_node(NODE_WORD_BOUNDARY);

				node->negated = *parser->at == 'B';
				parser->at++;
				*quantifiable = false;
				return node;
			}
		case 'k':
		case '1':
		case '2':
		case '3':
		case '4':
		case '5':
		case '6':
		case '7':
		case '8':
		case '9':
			return parse_back_reference(parser, from);
		default:
			break;
	}
	set = code_set_create();
	switch (postrider_pattern_read_escape(parser, false, set, &code))
	{
		case ESCAPE_SET:
			return make_set(set);
		case ESCAPE_CODE:
			return make_char(code);
		default:
			return NULL;
	}
}

/* What follows (, up to and with its ). */
static PatternNode *
parse_group(PatternParser *parser, bool *quantifiable)
{
	const char *from = parser->at - 1;
	Size		rest = parser->end - parser->at;
	PatternNode *node = NULL;	/* none for (?:) */
	PatternNode *child;

	if (rest >= 2 && strncmp(parser->at, "?:", 2) == 0)
		parser->at += 2;
	else if (rest >= 2 && (strncmp(parser->at, "?=", 2) == 0 ||
						   strncmp(parser->at, "?!", 2) == 0))
	{
		node = make_node(NODE_LOOK);
		node->negated = parser->at[1] == '!';
		parser->at += 2;
	}
	else if (rest >= 3 && (strncmp(parser->at, "?<=", 3) == 0 ||
						   strncmp(parser->at, "?<!", 3) == 0))
	{
		node = make_node(NODE_LOOK);
		node->behind = true;
		node->negated = parser->at[2] == '!';
		parser->at += 3;
	}
	else
	{
		node = make_node(NODE_GROUP);
		node->group = ++parser->group_count;
		if (rest >= 1 && *parser->at == '?')
		{
			char	   *name;
			int			len;

			parser->at++;
			if (rest < 2 || *parser->at != '<')
			{
				postrider_pattern_fail(parser, from, "unknown kind of group (?");
				return NULL;
			}
			name = read_group_name(parser, &len);
			if (name == NULL || !add_group_name(parser, from, name, len, node->group))
				return NULL;
		}
	}
	if (++parser->depth > PATTERN_DEPTH_MAX)
	{
		postrider_pattern_fail(parser, from, "groups nested too deep");
		return NULL;
	}
	child = parse_alternatives(parser);
	parser->depth--;
	if (child == NULL)
		return NULL;
	if (parser->at == parser->end)
	{
		postrider_pattern_fail(parser, from, "( without )");
		return NULL;
	}
	parser->at++;
	if (node == NULL)
		return child;
	if (node->type == NODE_LOOK)
		*quantifiable = false;
	node->child = child;
	return node;
}

static PatternNode *
parse_atom(PatternParser *parser, bool *quantifiable)
{
	const char *from = parser->at;
	uint32		code = postrider_utf8_next(&parser->at, parser->end);
	CodeSet    *set;

	switch (code)
	{
		case '^':
		case '$':
			*quantifiable = false;
			return make_node(code == '^' ? NODE_START : NODE_END);
		case '.':
			set = code_set_create();
			code_set_add_line_terminators(set);
			code_set_normalize(set);
			code_set_invert(set);
			return make_set(set);
		case '(':
			return parse_group(parser, quantifiable);
		case '[':
			set = postrider_pattern_read_class(parser);
			return set == NULL ? NULL : make_set(set);
		case '\\':
			return parse_escape(parser, quantifiable);
		case '*':
		case '+':
		case '?':
			postrider_pattern_fail(parser, from, "quantifier with nothing to repeat");
			return NULL;
		case '{':
			postrider_pattern_fail(parser, from, "{ without a \\ before it");
			return NULL;
		case '}':
			postrider_pattern_fail(parser, from, "} without a \\ before it");
			return NULL;
		case ']':
			postrider_pattern_fail(parser, from, "] without a \\ before it");
			return NULL;
		case POSTRIDER_UTF8_BAD:
			postrider_pattern_fail(parser, from, "invalid UTF-8");
			return NULL;
		default:
			return make_char(code);
	}
}

/* --- quantifiers, sequences, alternatives ------------------------------- */

/* Numbers too large to count to are as good as the largest one. */
static bool
read_count(PatternParser *parser, int *count)
{
	const char *from = parser->at;

	*count = 0;
	while (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9')
	{
		if (*count < PATTERN_COUNT_MAX)
			*count = *count * 10 + (*parser->at - '0');
		parser->at++;
	}
	*count = Min(*count, PATTERN_COUNT_MAX);
	return parser->at > from;
}

/* Reads a quantifier if there is one.  False on an error only. */
static bool
read_quantifier(PatternParser *parser, bool *found, int *min, int *max, bool *lazy)
{
	const char *from = parser->at;

	*found = false;
	if (parser->at == parser->end)
		return true;
	*min = *parser->at == '+' ? 1 : 0;
	*max = *parser->at == '?' ? 1 : PATTERN_INFINITE;
	switch (*parser->at)
	{
		case '*':
		case '+':
		case '?':
			parser->at++;
			break;
		case '{':
			parser->at++;
			if (!read_count(parser, min))
			{
				postrider_pattern_fail(parser, from, "{ without a \\ before it");
				return false;
			}
			*max = *min;
			if (parser->at < parser->end && *parser->at == ',')
			{
				parser->at++;
				if (!read_count(parser, max))
					*max = PATTERN_INFINITE;
			}
			if (parser->at == parser->end || *parser->at != '}')
			{
				postrider_pattern_fail(parser, from, "incomplete quantifier");
				return false;
			}
			parser->at++;
			if (*max != PATTERN_INFINITE && *max < *min)
			{
				postrider_pattern_fail(parser, from, "numbers out of order in the quantifier");
				return false;
			}
			break;
		default:
			return true;
	}
	*found = true;
	*lazy = parser->at < parser->end && *parser->at == '?';
	if (*lazy)
		parser->at++;
	return true;
}

static PatternNode *
parse_term(PatternParser *parser)
{
	const char *from;
	int			first_group = parser->group_count;
	bool		quantifiable = true;
	bool		found;
	bool		lazy;
	int			min;
	int			max;
	PatternNode *atom = parse_atom(parser, &quantifiable);
	PatternNode *repeat;

	if (atom == NULL)
		return NULL;
	from = parser->at;
	if (!read_quantifier(parser, &found, &min, &max, &lazy))
		return NULL;
	if (!found)
		return atom;
	if (!quantifiable)
	{
		postrider_pattern_fail(parser, from, "quantifier after an assertion");
		return NULL;
	}
	repeat = make_node(NODE_REPEAT);
	repeat->child = atom;
	repeat->min = min;
	repeat->max = max;
	repeat->lazy = lazy;
	repeat->first_group = first_group;
	repeat->last_group = parser->group_count;
	return repeat;
}

static PatternNode *
parse_sequence(PatternParser *parser)
{
	PatternNode *node = make_node(NODE_SEQUENCE);
	PatternNode **tail = &node->child;

	while (parser->at < parser->end && *parser->at != '|' && *parser->at != ')')
	{
		*tail = parse_term(parser);
		if (*tail == NULL)
			return NULL;
		tail = &(*tail)->next;
	}
	if (node->child == NULL)
		node->type = NODE_EMPTY;
	else if (node->child->next == NULL)
		return node->child;
	return node;
}

static PatternNode *
parse_alternatives(PatternParser *parser)
{
	PatternNode *node = make_node(NODE_ALTERNATIVES);
	PatternNode **tail = &node->child;

	for (;;)
	{
		PatternNode *sequence = parse_sequence(parser);

		if (sequence == NULL)
			return NULL;
		*tail = sequence;
		tail = &sequence->next;
		if (parser->at == parser->end || *parser->at != '|')
			break;
		parser->at++;
	}
	return node->child->next == NULL ? node->child : node;
}

bool
postrider_pattern_parse(const char *source, int len, PatternTree *tree, char **problem)
{
	PatternParser parser = {0};

	*problem = NULL;
	if (len > PATTERN_SOURCE_MAX)
	{
		*problem = psprintf("the pattern is longer than %d bytes", PATTERN_SOURCE_MAX);
		return false;
	}
	parser.source = parser.at = source;
	parser.end = source + len;
	tree->root = parse_alternatives(&parser);
	if (tree->root != NULL && parser.at < parser.end)
		postrider_pattern_fail(&parser, parser.at, ") without (");
	else if (tree->root != NULL)
		resolve_references(&parser);
	*problem = parser.problem;
	tree->group_count = parser.group_count;
	tree->has_back_reference = parser.references != NULL;
	return parser.problem == NULL;
}
