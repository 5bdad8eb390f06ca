/*-------------------------------------------------------------------------
 *
 * code_set.c
 *	  Sets of code points, as regular expressions have them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/code_set.h"

CodeSet *
code_set_create(void)
{
	CodeSet    *set = palloc0(sizeof(CodeSet));

	set->allocated = 4;
	set->ranges = palloc(set->allocated * sizeof(CodeRange));
	return set;
}

CodeSet *
code_set_copy(const CodeSet *set)
{
	CodeSet    *copy = palloc(sizeof(CodeSet));

	*copy = *set;
	copy->allocated = Max(set->count, 1);
	copy->ranges = palloc(copy->allocated * sizeof(CodeRange));
	memcpy(copy->ranges, set->ranges, set->count * sizeof(CodeRange));
	return copy;
}

void
code_set_add(CodeSet *set, uint32 first, uint32 last)
{
	if (set->count == set->allocated)
	{
		set->allocated *= 2;
		set->ranges = repalloc(set->ranges, set->allocated * sizeof(CodeRange));
	}
	set->ranges[set->count].first = first;
	set->ranges[set->count].last = last;
	set->count++;
}

void
code_set_add_set(CodeSet *set, const CodeSet *other)
{
	for (int i = 0; i < other->count; i++)
		code_set_add(set, other->ranges[i].first, other->ranges[i].last);
}

static int
compare_ranges(const void *a, const void *b)
{
	uint32		first_a = ((const CodeRange *) a)->first;
	uint32		first_b = ((const CodeRange *) b)->first;

	return first_a < first_b ? -1 : first_a > first_b;
}

/* Fills in the bits for ASCII. */
static void
set_ascii(CodeSet *set)
{
	set->ascii[0] = set->ascii[1] = 0;
	for (int i = 0; i < set->count && set->ranges[i].first < 128; i++)
	{
		for (uint32 code = set->ranges[i].first;
			 code <= set->ranges[i].last && code < 128; code++)
			set->ascii[code >> 6] |= UINT64CONST(1) << (code & 63);
	}
}

void
code_set_normalize(CodeSet *set)
{
	int			kept = 0;

	if (set->count > 1)
		qsort(set->ranges, set->count, sizeof(CodeRange), compare_ranges);
	for (int i = 0; i < set->count; i++)
	{
		CodeRange	range = set->ranges[i];

		if (kept > 0 && range.first <= set->ranges[kept - 1].last + 1)
			set->ranges[kept - 1].last = Max(set->ranges[kept - 1].last, range.last);
		else
			set->ranges[kept++] = range;
	}
	set->count = kept;
	set_ascii(set);
}

void
code_set_invert(CodeSet *set)
{
	int			count = set->count;
	CodeRange  *old = set->ranges;
	uint32		next = 0;

	set->allocated = count + 1;
	set->ranges = palloc(set->allocated * sizeof(CodeRange));
	set->count = 0;
	for (int i = 0; i < count; i++)
	{
		if (old[i].first > next)
			code_set_add(set, next, old[i].first - 1);
		next = old[i].last + 1;
	}
	if (next <= UNICODE_MAX)
		code_set_add(set, next, UNICODE_MAX);
	pfree(old);
	set_ascii(set);
}

bool
code_set_overlap(const CodeSet *a, const CodeSet *b)
{
	int			i = 0;
	int			j = 0;

	while (i < a->count && j < b->count)
	{
		if (a->ranges[i].last < b->ranges[j].first)
			i++;
		else if (b->ranges[j].last < a->ranges[i].first)
			j++;
		else
			return true;
	}
	return false;
}

bool
code_set_find(const CodeSet *set, uint32 code)
{
	int			low = 0;
	int			high = set->count - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;

		if (code < set->ranges[middle].first)
			high = middle - 1;
		else if (code > set->ranges[middle].last)
			low = middle + 1;
		else
			return true;
	}
	return false;
}

void
code_set_add_digits(CodeSet *set)
{
	code_set_add(set, '0', '9');
}

void
code_set_add_word(CodeSet *set)
{
	code_set_add(set, '0', '9');
	code_set_add(set, 'A', 'Z');
	code_set_add(set, '_', '_');
	code_set_add(set, 'a', 'z');
}

void
code_set_add_line_terminators(CodeSet *set)
{
	code_set_add(set, '\n', '\n');
	code_set_add(set, '\r', '\r');
	code_set_add(set, 0x2028, 0x2029);
}

/* WhiteSpace and LineTerminator of ECMA-262: Zs, and a few more. */
void
code_set_add_space(CodeSet *set)
{
	code_set_add(set, 0x09, 0x0d);
	code_set_add(set, 0x20, 0x20);
	code_set_add(set, 0xa0, 0xa0);
	code_set_add(set, 0x1680, 0x1680);
	code_set_add(set, 0x2000, 0x200a);
	code_set_add(set, 0x2028, 0x2029);
	code_set_add(set, 0x202f, 0x202f);
	code_set_add(set, 0x205f, 0x205f);
	code_set_add(set, 0x3000, 0x3000);
	code_set_add(set, 0xfeff, 0xfeff);
}

/* One number of the generated table. */
static uint32
read_difference(const uint8 **at)
{
	uint32		difference = 0;

	while (**at & 0x80)
		difference = (difference << 7) | (*(*at)++ & 0x7f);
	return (difference << 7) | *(*at)++;
}

static bool
is_name(const char *known, const char *name, int len)
{
	return strncmp(known, name, len) == 0 && known[len] == '\0';
}

bool
code_set_add_property(CodeSet *set, const char *name, int name_len,
					  const char *value, int value_len)
{
	UnicodeSetKind kind = UNICODE_BINARY;

	if (value_len >= 0)
	{
		if (is_name("General_Category", name, name_len) || is_name("gc", name, name_len))
			kind = UNICODE_CATEGORY;
		else if (is_name("Script", name, name_len) || is_name("sc", name, name_len))
			kind = UNICODE_SCRIPT;
		else if (is_name("Script_Extensions", name, name_len) || is_name("scx", name, name_len))
			kind = UNICODE_SCRIPT_EXTENSIONS;
		else
			return false;
		name = value;
		name_len = value_len;
	}
	for (int i = 0; i < postrider_unicode_set_name_count; i++)
	{
		const UnicodeSetName *entry = &postrider_unicode_set_names[i];
		const uint8 *at = postrider_unicode_set_data + entry->offset;
		uint32		code = 0;

		if (!is_name(entry->name, name, name_len))
			continue;
		/* A category may stand for itself. */
		if (entry->kind != kind && !(value_len < 0 && entry->kind == UNICODE_CATEGORY))
			continue;
		for (uint32 range = 0; range < entry->range_count; range++)
		{
			uint32		first = code + read_difference(&at);

			code = first + read_difference(&at);
			code_set_add(set, first, code - 1);
		}
		return true;
	}
	return false;
}
