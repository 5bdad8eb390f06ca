/*-------------------------------------------------------------------------
 *
 * schema_pattern_simple.c
 *	  Patterns that are one walk over the value, such as ^[A-Z]{3}$, ^order_ or
 *	  ^\d{4}-\d{2}-\d{2}$: most of those that schemas have.
 *
 * Such a pattern is a row of items, each a set of characters with a count.  To
 * take as many characters as an item allows is right if none of them could
 * belong to what comes next: so that is asked for, and there is no way back.
 * The walk is over UTF-8 as it stands, without a conversion; it is bound to
 * the start of the value, or to its end if all counts are fixed, or it is a
 * search for a short text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_pattern_internal.h"
#include "miscadmin.h"
#include "util/utf8.h"

#define SIMPLE_ITEMS_MAX 200
#define SIMPLE_SEARCH_MAX 64	/* bytes of a text that is searched */

typedef struct SimpleItem
{
	CodeSet    *set;
	int			min;
	int			max;			/* or PATTERN_INFINITE */
} SimpleItem;

typedef enum SimpleKind
{
	SIMPLE_FROM_START,
	SIMPLE_BEFORE_END,
	SIMPLE_SEARCH
} SimpleKind;

struct SimplePattern
{
	SimpleKind	kind;
	bool		to_end;			/* nothing may follow */
	int			length;			/* characters, if before the end */
	char	   *word;			/* what is searched */
	int			word_len;
	int			count;
	SimpleItem	items[SIMPLE_ITEMS_MAX];
};

static bool
add_item(SimplePattern *simple, const PatternNode *node, int min, int max)
{
	SimpleItem *item;

	while (node->type == NODE_GROUP)
		node = node->child;
	if (simple->count == SIMPLE_ITEMS_MAX || simple->to_end)
		return false;
	item = &simple->items[simple->count];
	if (node->type == NODE_CHAR)
	{
		item->set = code_set_create();
		code_set_add(item->set, node->code, node->code);
		code_set_normalize(item->set);
	}
	else if (node->type == NODE_SET)
		item->set = code_set_copy(node->set);
	else
		return false;
	item->min = min;
	item->max = max;
	simple->count++;
	return true;
}

/* Adds the items of a node; false if it is not that simple. */
static bool
add_node(SimplePattern *simple, const PatternNode *node)
{
	switch (node->type)
	{
		case NODE_EMPTY:
			return true;
		case NODE_CHAR:
		case NODE_SET:
			return add_item(simple, node, 1, 1);
		case NODE_REPEAT:
			return add_item(simple, node->child, node->min, node->max);
		case NODE_GROUP:
			return add_node(simple, node->child);
		case NODE_SEQUENCE:
			for (const PatternNode *child = node->child; child != NULL; child = child->next)
			{
				if (!add_node(simple, child))
					return false;
			}
			return true;
		case NODE_START:
			if (simple->count > 0 || simple->to_end)
				return false;
			simple->kind = SIMPLE_FROM_START;
			return true;
		case NODE_END:
			simple->to_end = true;
			return true;
		default:
			return false;
	}
}

/* Whether taking as much as possible is right for each item. */
static bool
is_determined(const SimplePattern *simple)
{
	for (int i = 0; i < simple->count; i++)
	{
		if (simple->items[i].min == simple->items[i].max)
			continue;
		for (int next = i + 1; next < simple->count; next++)
		{
			if (simple->items[next].max == 0)
				continue;
			if (code_set_overlap(simple->items[i].set, simple->items[next].set))
				return false;
			if (simple->items[next].min > 0)
				break;
		}
	}
	return true;
}

/* The items as a text, if each is one character; NULL if not. */
static char *
items_as_text(const SimplePattern *simple, int *len)
{
	char	   *word = palloc(simple->count * 4 + 1);
	char	   *out = word;

	for (int i = 0; i < simple->count; i++)
	{
		const SimpleItem *item = &simple->items[i];

		if (item->min != 1 || item->max != 1 || item->set->count != 1 ||
			item->set->ranges[0].first != item->set->ranges[0].last ||
			(item->set->ranges[0].first >= 0xd800 && item->set->ranges[0].first <= 0xdfff))
			return NULL;
		unicode_to_utf8(item->set->ranges[0].first, (unsigned char *) out);
		out += pg_utf_mblen((unsigned char *) out);
	}
	*len = out - word;
	return *len > 0 && *len <= SIMPLE_SEARCH_MAX ? word : NULL;
}

SimplePattern *
postrider_pattern_simple(const PatternTree *tree)
{
	SimplePattern *simple = palloc0(sizeof(SimplePattern));
	int64		length = 0;

	/* The kind changes if the pattern begins with ^. */
	simple->kind = SIMPLE_SEARCH;
	if (!add_node(simple, tree->root))
		return NULL;
	if (simple->kind == SIMPLE_FROM_START)
		return is_determined(simple) ? simple : NULL;
	if (!simple->to_end)
	{
		simple->word = items_as_text(simple, &simple->word_len);
		return simple->word != NULL ? simple : NULL;
	}
	simple->kind = SIMPLE_BEFORE_END;
	for (int i = 0; i < simple->count; i++)
	{
		if (simple->items[i].min != simple->items[i].max)
			return NULL;
		length += simple->items[i].min;
	}
	if (length > PG_INT32_MAX)
		return NULL;
	simple->length = length;
	return simple;
}

static bool
walk(const SimplePattern *simple, const char *at, const char *end)
{
	for (int i = 0; i < simple->count; i++)
	{
		const SimpleItem *item = &simple->items[i];
		int			max = item->max == PATTERN_INFINITE ? PG_INT32_MAX : item->max;
		int			count = 0;

		while (count < max && at < end)
		{
			const char *next = at;

			if (!code_set_has(item->set, postrider_utf8_next(&next, end)))
				break;
			at = next;
			count++;
		}
		if (count < item->min)
			return false;
	}
	return !simple->to_end || at == end;
}

static bool
contains(const char *value, int len, const char *word, int word_len)
{
	const char *end = value + len;

	while (end - value >= word_len)
	{
		value = memchr(value, word[0], end - value - word_len + 1);
		if (value == NULL)
			return false;
		if (memcmp(value, word, word_len) == 0)
			return true;
		value++;
	}
	return false;
}

bool
postrider_pattern_simple_matches(const SimplePattern *simple, const char *value, int len)
{
	const char *at;

	switch (simple->kind)
	{
		case SIMPLE_FROM_START:
			return walk(simple, value, value + len);
		case SIMPLE_SEARCH:
			return contains(value, len, simple->word, simple->word_len);
		case SIMPLE_BEFORE_END:
			at = value + len;
			for (int i = 0; i < simple->length; i++)
			{
				if (at == value)
					return false;
				at--;
				while (at > value && ((unsigned char) *at & 0xc0) == 0x80)
					at--;
			}
			return walk(simple, at, value + len);
	}
	return false;
}
