/*-------------------------------------------------------------------------
 *
 * schema_pattern_emit.c
 *	  A pattern in the flavour of the server's engine ("advanced").
 *
 * Only whether there is a match is asked for.  So nothing captures, lazy
 * quantifiers become greedy ones, and the engine never has to look back: it
 * runs one automaton over the value.  Classes are written as sets of code
 * points, so that nothing depends on the engine's own idea of \w or of a
 * locale; counts above its limit of 255 become products.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_pattern_internal.h"
#include "miscadmin.h"

#define ENGINE_COUNT_MAX 255

typedef struct PatternOutput
{
	pg_wchar   *text;
	int			len;
	int			allocated;
} PatternOutput;

static void emit_node(PatternOutput *out, const PatternNode *node);

static void
emit_char(PatternOutput *out, pg_wchar c)
{
	if (out->len == out->allocated)
	{
		out->allocated *= 2;
		out->text = repalloc(out->text, out->allocated * sizeof(pg_wchar));
	}
	out->text[out->len++] = c;
}

static void
emit_string(PatternOutput *out, const char *s)
{
	while (*s != '\0')
		emit_char(out, (unsigned char) *s++);
}

/* A character that stands for itself, in a class or outside of it. */
static void
emit_code(PatternOutput *out, pg_wchar code)
{
	if (code > ' ' && code < 127 &&
		!(code >= '0' && code <= '9') && !(code >= 'A' && code <= 'Z') &&
		!(code >= 'a' && code <= 'z'))
		emit_char(out, '\\');
	emit_char(out, code);
}

static void
emit_set(PatternOutput *out, const CodeSet *set)
{
	if (set->count == 0)
	{
		/* Nothing can stand here. */
		emit_string(out, "(?:(?!))");
		return;
	}
	emit_char(out, '[');
	for (int i = 0; i < set->count; i++)
	{
		emit_code(out, set->ranges[i].first);
		if (set->ranges[i].last == set->ranges[i].first)
			continue;
		emit_char(out, '-');
		emit_code(out, set->ranges[i].last);
	}
	emit_char(out, ']');
}

/* The node as something that a quantifier can follow. */
static void
emit_atom(PatternOutput *out, const PatternNode *node)
{
	if (node->type == NODE_CHAR || (node->type == NODE_SET && node->set->count > 0))
	{
		emit_node(out, node);
		return;
	}
	emit_string(out, "(?:");
	emit_node(out, node);
	emit_char(out, ')');
}

/* The node so many times, or up to so many times. */
static void
emit_times(PatternOutput *out, const PatternNode *node, int count, bool up_to)
{
	char		quantifier[32];
	int			rest = count % ENGINE_COUNT_MAX;
	int			full = count / ENGINE_COUNT_MAX;

	if (full > 0)
	{
		emit_string(out, "(?:");
		emit_atom(out, node);
		snprintf(quantifier, sizeof(quantifier), up_to ? "{0,%d}){0,%d}" : "{%d}){%d}",
				 ENGINE_COUNT_MAX, full);
		emit_string(out, quantifier);
	}
	if (rest > 0)
	{
		emit_atom(out, node);
		snprintf(quantifier, sizeof(quantifier), up_to ? "{0,%d}" : "{%d}", rest);
		emit_string(out, quantifier);
	}
}

static void
emit_repeat(PatternOutput *out, const PatternNode *node)
{
	char		quantifier[32];
	const PatternNode *child = node->child;

	if (node->max == 0)
		emit_string(out, "(?:)");
	else if (node->max == PATTERN_INFINITE && node->min <= 1)
	{
		emit_atom(out, child);
		emit_char(out, node->min == 0 ? '*' : '+');
	}
	else if (node->min <= ENGINE_COUNT_MAX && node->max <= ENGINE_COUNT_MAX)
	{
		emit_atom(out, child);
		if (node->max == PATTERN_INFINITE)
			snprintf(quantifier, sizeof(quantifier), "{%d,}", node->min);
		else
			snprintf(quantifier, sizeof(quantifier), "{%d,%d}", node->min, node->max);
		emit_string(out, quantifier);
	}
	else
	{
		emit_string(out, "(?:");
		emit_times(out, child, node->min, false);
		if (node->max != PATTERN_INFINITE)
			emit_times(out, child, node->max - node->min, true);
		else
		{
			emit_atom(out, child);
			emit_char(out, '*');
		}
		emit_char(out, ')');
	}
}

static void
emit_node(PatternOutput *out, const PatternNode *node)
{
	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	switch (node->type)
	{
		case NODE_EMPTY:
			emit_string(out, "(?:)");
			break;
		case NODE_CHAR:
			emit_code(out, node->code);
			break;
		case NODE_SET:
			emit_set(out, node->set);
			break;
		case NODE_SEQUENCE:
			for (const PatternNode *child = node->child; child != NULL; child = child->next)
			{
				if (child->type == NODE_ALTERNATIVES)
					emit_atom(out, child);
				else
					emit_node(out, child);
			}
			break;
		case NODE_ALTERNATIVES:
			for (const PatternNode *child = node->child; child != NULL; child = child->next)
			{
				if (child != node->child)
					emit_char(out, '|');
				emit_node(out, child);
			}
			break;
		case NODE_REPEAT:
			emit_repeat(out, node);
			break;
		case NODE_GROUP:
			emit_atom(out, node->child);
			break;
		case NODE_START:
			emit_char(out, '^');
			break;
		case NODE_END:
			emit_char(out, '$');
			break;
		case NODE_WORD_BOUNDARY:
			emit_string(out, node->negated ? "\\Y" : "\\y");
			break;
		case NODE_LOOK:
			emit_string(out, node->behind ? (node->negated ? "(?<!" : "(?<=")
						: (node->negated ? "(?!" : "(?="));
			emit_node(out, node->child);
			emit_char(out, ')');
			break;
		case NODE_BACK_REFERENCE:
			elog(ERROR, "back reference in a pattern for the engine");
	}
}

/* How many characters the automaton of the node has to tell apart. */
static double
node_size(const PatternNode *node)
{
	double		size = 1;

	check_stack_depth();
	for (const PatternNode *child = node->child; child != NULL; child = child->next)
		size += node_size(child);
	if (node->type == NODE_REPEAT)
		size *= Max(Max(node->min, node->max), 1);
	return size;
}

static bool
is_unbounded(const PatternNode *node)
{
	check_stack_depth();
	if (node->type == NODE_LOOK)
		return false;
	if (node->type == NODE_REPEAT && node->max == PATTERN_INFINITE)
		return true;
	for (const PatternNode *child = node->child; child != NULL; child = child->next)
	{
		if (is_unbounded(child))
			return true;
	}
	return false;
}

/*
 * How many times over the value a look ahead in the node may run to the end
 * of it: the exponent of the time beyond 1.  *near_start: whether the node is
 * tried at a bounded number of places only; updated for what follows it.
 */
static int
look_exponent(const PatternNode *node, bool *near_start)
{
	int			result = 0;
	bool		near_before = *near_start;

	check_stack_depth();
	switch (node->type)
	{
		case NODE_START:
			*near_start = true;
			return 0;
		case NODE_ALTERNATIVES:
			{
				bool		near_after = true;

				for (const PatternNode *child = node->child; child != NULL; child = child->next)
				{
					bool		near_child = near_before;

					result = Max(result, look_exponent(child, &near_child));
					near_after = near_after && near_child;
				}
				*near_start = near_after;
				return result;
			}
		case NODE_LOOK:
			result = look_exponent(node->child, &near_before);
			if (!*near_start && !node->behind && is_unbounded(node->child))
				result++;
			return result;
		case NODE_REPEAT:
			if (node->max == PATTERN_INFINITE)
				*near_start = false;
			break;
		default:
			break;
	}
	for (const PatternNode *child = node->child; child != NULL; child = child->next)
		result = Max(result, look_exponent(child, near_start));
	/* What may be left out or come again says nothing about its place. */
	if (node->type == NODE_REPEAT)
		*near_start = near_before && !is_unbounded(node);
	return result;
}

pg_wchar *
postrider_pattern_emit(const PatternTree *tree, int *len, PatternCost *cost, char **problem)
{
	PatternOutput out;
	bool		near_start = false;

	cost->size = node_size(tree->root);
	cost->exponent = 1 + look_exponent(tree->root, &near_start);
	if (cost->size > PATTERN_SIZE_MAX)
	{
		*problem = pstrdup("the pattern is too large, its repetitions multiplied out");
		return NULL;
	}
	out.allocated = 256;
	out.len = 0;
	out.text = palloc(out.allocated * sizeof(pg_wchar));
	/* A group, so that nothing is taken for an option of the engine. */
	emit_atom(&out, tree->root);
	*len = out.len;
	return out.text;
}
