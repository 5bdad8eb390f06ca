/*-------------------------------------------------------------------------
 *
 * mapping_write.c
 *	  Writes the mapped document in the stored form of jsonb.
 *
 * The tree of targets is sorted, so that a group is written in one pass,
 * without the sorting, copying and second pass of pushJsonbValue.  Objects and
 * arrays that come from the payload are copied as bytes, however deep they
 * are.  The form is that of utils/jsonb.h: a header, an entry for each child
 * (of an object first the keys, then the values), then the data, where
 * numbers and containers start at multiples of 4; every JB_OFFSET_STRIDE'th
 * entry has the end of its data, the others have the length.
 *
 * Where a group starts from a copy ("pass_through"), its tree is merged with
 * that copy as it is written: both are sorted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mapping_internal.h"
#include "miscadmin.h"
#include "util/compat.h"
#include "utils/numeric.h"

#define CHILDREN_PER_INTERRUPT_CHECK 1024

/*
 * Bytes
 */

void
postrider_mapping_writer_init(MappingWriter *writer, int reserve)
{
	writer->space = 1024;
	writer->data = palloc(writer->space);
	writer->length = reserve;
	writer->too_large = false;
}

/* Makes room; false if the document would be too large. */
static bool
make_room(MappingWriter *writer, Size length)
{
	int			space = writer->space;

	if (writer->too_large)
		return false;
	if (length > (Size) (MAPPING_MAX_RESULT_BYTES - writer->length))
	{
		writer->too_large = true;
		return false;
	}
	if (writer->length + (int) length <= space)
		return true;
	while (space < writer->length + (int) length)
		space *= 2;
	writer->data = repalloc(writer->data, space);
	writer->space = space;
	return true;
}

static void
append_bytes(MappingWriter *writer, const void *bytes, Size length)
{
	if (!make_room(writer, length))
		return;
	memcpy(writer->data + writer->length, bytes, length);
	writer->length += length;
}

/* Numbers and containers start at multiples of 4. */
static void
align(MappingWriter *writer)
{
	int			padding = INTALIGN(writer->length) - writer->length;

	if (!make_room(writer, padding))
		return;
	memset(writer->data + writer->length, 0, padding);
	writer->length += padding;
}

/* The header and room for the entries; returns where the entries start. */
static int
begin_container(MappingWriter *writer, uint32 header, int entry_count)
{
	Size		length = (Size) entry_count * sizeof(JEntry);
	int			start;

	append_bytes(writer, &header, sizeof(header));
	start = writer->length;
	if (make_room(writer, length))
		writer->length += length;
	return start;
}

/* "begun" is where the child's data begin, padding included. */
static void
set_entry(MappingWriter *writer, int start, int index, uint32 *total, int begun,
		  JEntry type)
{
	uint32		length = writer->length - begun;
	JEntry		entry;

	if (writer->too_large)
		return;
	*total += length;
	entry = type | (index % JB_OFFSET_STRIDE == 0 ? JENTRY_HAS_OFF | *total :
					length);
	memcpy(writer->data + start + index * sizeof(JEntry), &entry,
		   sizeof(JEntry));
}

/*
 * Children
 */

/* The index-th child of an array, or the index-th value past an object's keys. */
void
postrider_mapping_child(JsonbContainer *container, int index, JsonbValue *value)
{
	int			count = JsonContainerSize(container);
	JEntry		entry = container->children[index];
	uint32		offset = getJsonbOffset(container, index);
	uint32		length = getJsonbLength(container, index);
	char	   *base;

	if (JsonContainerIsObject(container))
		count *= 2;
	base = (char *) &container->children[count];
	if (JBE_ISSTRING(entry))
	{
		value->type = jbvString;
		value->val.string.val = base + offset;
		value->val.string.len = length;
	}
	else if (JBE_ISNUMERIC(entry))
	{
		value->type = jbvNumeric;
		value->val.numeric = (Numeric) (base + INTALIGN(offset));
	}
	else if (JBE_ISBOOL(entry))
	{
		value->type = jbvBool;
		value->val.boolean = JBE_ISBOOL_TRUE(entry);
	}
	else if (JBE_ISNULL(entry))
		value->type = jbvNull;
	else
	{
		value->type = jbvBinary;
		value->val.binary.data = (JsonbContainer *) (base + INTALIGN(offset));
		value->val.binary.len = length - (INTALIGN(offset) - offset);
	}
}

static JEntry
append_value(MappingWriter *writer, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			append_bytes(writer, value->val.string.val, value->val.string.len);
			return JENTRY_ISSTRING;
		case jbvNumeric:
			align(writer);
			append_bytes(writer, value->val.numeric,
						 VARSIZE_ANY(value->val.numeric));
			return JENTRY_ISNUMERIC;
		case jbvBool:
			return value->val.boolean ? JENTRY_ISBOOL_TRUE :
				JENTRY_ISBOOL_FALSE;
		case jbvNull:
			return JENTRY_ISNULL;
		case jbvBinary:
			align(writer);
			append_bytes(writer, value->val.binary.data, value->val.binary.len);
			return JENTRY_ISCONTAINER;
		default:
			elog(ERROR, "unexpected type of jsonb value: %d", value->type);
			return JENTRY_ISNULL;
	}
}

static void
write_child(MappingWriter *writer, int start, int index, uint32 *total,
			const JsonbValue *value)
{
	int			begun = writer->length;
	JEntry		type = append_value(writer, value);

	set_entry(writer, start, index, total, begun, type);
}

int
postrider_mapping_begin_array(MappingWriter *writer, int count)
{
	return begin_container(writer, JB_FARRAY | count, count);
}

void
postrider_mapping_write_element(MappingWriter *writer, int start, int index,
								uint32 *total, const JsonbValue *value)
{
	write_child(writer, start, index, total, value);
}

/* An array of the one value. */
void
postrider_mapping_wrap(JsonbValue *value)
{
	MappingWriter writer;
	uint32		total = 0;
	int			start;

	postrider_mapping_writer_init(&writer, 0);
	start = postrider_mapping_begin_array(&writer, 1);
	write_child(&writer, start, 0, &total, value);
	if (writer.too_large)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value is larger than %d bytes",
						MAPPING_MAX_RESULT_BYTES)));
	value->type = jbvBinary;
	value->val.binary.data = (JsonbContainer *) writer.data;
	value->val.binary.len = writer.length;
}

/*
 * Groups
 */

/* What the nodes of one group's tree come to in one record. */
typedef struct GroupState
{
	const MappingGroup *group;
	MappingSlot *slots;
	int		   *filled;			/* by node: children (or values) there are */
	bool	   *touched;		/* by node: something is filled or dropped */
} GroupState;

static void write_node(MappingWriter *writer, GroupState *state,
					   TargetNode *node, JsonbContainer *base);

/* Children have larger numbers than their parents. */
static void
count_filled(GroupState *state)
{
	const MappingGroup *group = state->group;

	memset(state->filled, 0, group->node_count * sizeof(int));
	memset(state->touched, 0, group->node_count * sizeof(bool));
	for (int i = group->node_count - 1; i > 0; i--)
	{
		TargetNode *node = group->nodes[i];

		if (node->kind == TARGET_VALUE)
		{
			state->filled[i] = state->slots[node->slot].state == SLOT_FILLED;
			state->touched[i] = state->slots[node->slot].state != SLOT_MISSING;
		}
		if (state->filled[i])
			state->filled[node->parent]++;
		if (state->touched[i])
			state->touched[node->parent] = true;
	}
}

/* The child's value, be it a slot's or a container; base is what is there. */
static void
write_target(MappingWriter *writer, GroupState *state, TargetNode *node,
			 int start, int index, uint32 *total, const JsonbValue *base)
{
	int			begun = writer->length;
	JsonbContainer *container = NULL;

	if (node->kind == TARGET_VALUE)
	{
		write_child(writer, start, index, total,
					&state->slots[node->slot].value);
		return;
	}
	if (base != NULL && base->type == jbvBinary &&
		(node->kind == TARGET_OBJECT) ==
		JsonContainerIsObject(base->val.binary.data))
		container = base->val.binary.data;
	align(writer);
	write_node(writer, state, node, container);
	set_entry(writer, start, index, total, begun, JENTRY_ISCONTAINER);
}

/* Every child is there, and nothing to merge with: keys are ready-made. */
static void
write_full_object(MappingWriter *writer, GroupState *state, TargetNode *node)
{
	int			count = node->child_count;
	int			start = begin_container(writer, JB_FOBJECT | count, 2 * count);
	uint32		total = node->keys_length;

	if (writer->too_large)
		return;
	memcpy(writer->data + start, node->key_entries, count * sizeof(JEntry));
	append_bytes(writer, node->keys, node->keys_length);
	for (int i = 0; i < count; i++)
		write_target(writer, state, node->children[i], start, count + i, &total,
					 NULL);
}

/* A member of an object that is written: of the base, of the tree or both. */
typedef struct Member
{
	JsonbValue	key;
	int			base;			/* index, or -1 */
	TargetNode *node;			/* NULL: the base's value is copied */
} Member;

static int
compare_keys(const JsonbValue *a, const TargetStep *b)
{
	if (a->val.string.len != b->length)
		return a->val.string.len - b->length;
	return memcmp(a->val.string.val, b->key, b->length);
}

static void
member_of_node(Member *member, TargetNode *node, int base)
{
	member->key.type = jbvString;
	member->key.val.string.val = node->step.key;
	member->key.val.string.len = node->step.length;
	member->base = base;
	member->node = node;
}

/* Merges the sorted keys of both; returns the number of members. */
static int
merge_members(GroupState *state, TargetNode *node, JsonbContainer *base,
			  Member *members)
{
	int			base_count = base ? JsonContainerSize(base) : 0;
	int			count = 0;
	int			i = 0;
	int			j = 0;

	while (i < base_count || j < node->child_count)
	{
		Member	   *member = &members[count];
		TargetNode *child = j < node->child_count ? node->children[j] : NULL;
		int			order = -1;

		if (i < base_count)
		{
			postrider_mapping_child(base, i, &member->key);
			member->base = i;
			member->node = NULL;
			if (child != NULL)
				order = compare_keys(&member->key, &child->step);
		}
		else
			order = 1;
		if (i % CHILDREN_PER_INTERRUPT_CHECK == 0)
			CHECK_FOR_INTERRUPTS();
		if (order < 0)
		{
			i++;
			count++;
			continue;
		}
		j++;
		if (order == 0)
			i++;
		if (order == 0 && !state->touched[child->number])
			count++;			/* what is there stays */
		else if (state->filled[child->number])
		{
			member_of_node(member, child, order == 0 ? i - 1 : -1);
			count++;
		}
		else if (order == 0 && child->kind != TARGET_VALUE)
		{
			/* Something below is removed, nothing is added. */
			JsonbValue	value;

			postrider_mapping_child(base, base_count + i - 1, &value);
			if (value.type == jbvBinary &&
				(child->kind == TARGET_OBJECT) ==
				JsonContainerIsObject(value.val.binary.data))
				member_of_node(member, child, i - 1);
			count++;
		}
	}
	return count;
}

static void
write_object(MappingWriter *writer, GroupState *state, TargetNode *node,
			 JsonbContainer *base)
{
	int			base_count = base ? JsonContainerSize(base) : 0;
	Member	   *members = palloc_extended((Size) (base_count + node->child_count) *
										  sizeof(Member) + 1,
										  MCXT_ALLOC_HUGE);
	int			count = merge_members(state, node, base, members);
	int			start = begin_container(writer, JB_FOBJECT | count, 2 * count);
	uint32		total = 0;

	for (int i = 0; i < count && !writer->too_large; i++)
		write_child(writer, start, i, &total, &members[i].key);
	for (int i = 0; i < count && !writer->too_large; i++)
	{
		JsonbValue	value = {.type = jbvNull};

		if (i % CHILDREN_PER_INTERRUPT_CHECK == 0)
			CHECK_FOR_INTERRUPTS();
		if (members[i].base >= 0)
			postrider_mapping_child(base, base_count + members[i].base, &value);
		if (members[i].node == NULL)
			write_child(writer, start, count + i, &total, &value);
		else
			write_target(writer, state, members[i].node, start, count + i,
						 &total, members[i].base >= 0 ? &value : NULL);
	}
	pfree(members);
}

/* An element that is removed becomes null, so that the others stay in place. */
static void
write_array_target(MappingWriter *writer, GroupState *state, TargetNode *node,
				   int start, int index, uint32 *total, const JsonbValue *base)
{
	JsonbValue	null = {.type = jbvNull};

	if (state->filled[node->number])
		write_target(writer, state, node, start, index, total, base);
	else if (node->kind == TARGET_VALUE)
		write_child(writer, start, index, total, &null);
	else if (base->type == jbvBinary && (node->kind == TARGET_OBJECT) ==
			 JsonContainerIsObject(base->val.binary.data))
		write_target(writer, state, node, start, index, total, base);
	else
		write_child(writer, start, index, total, base);
}

/* Elements between those that are filled are null. */
static void
write_array(MappingWriter *writer, GroupState *state, TargetNode *node,
			JsonbContainer *base)
{
	int			base_count = base ? JsonContainerSize(base) : 0;
	int			count = base_count;
	int			child = 0;
	uint32		total = 0;
	int			start;

	for (int i = node->child_count - 1; i >= 0; i--)
	{
		if (state->filled[node->children[i]->number])
		{
			count = Max(count, node->children[i]->step.index + 1);
			break;
		}
	}
	start = begin_container(writer, JB_FARRAY | count, count);
	for (int i = 0; i < count && !writer->too_large; i++)
	{
		JsonbValue	value = {.type = jbvNull};

		if (i % CHILDREN_PER_INTERRUPT_CHECK == 0)
			CHECK_FOR_INTERRUPTS();
		if (i < base_count)
			postrider_mapping_child(base, i, &value);
		while (child < node->child_count &&
			   node->children[child]->step.index < i)
			child++;
		if (child < node->child_count &&
			node->children[child]->step.index == i &&
			state->touched[node->children[child]->number])
			write_array_target(writer, state, node->children[child], start, i,
							   &total, &value);
		else
			write_child(writer, start, i, &total, &value);
	}
}

/* Depth is bounded by MAPPING_MAX_TARGET_STEPS. */
static void
write_node(MappingWriter *writer, GroupState *state, TargetNode *node,
		   JsonbContainer *base)
{
	if (node->kind == TARGET_ARRAY)
		write_array(writer, state, node, base);
	else if (base == NULL && node->child_count > 0 &&
			 state->filled[node->number] == node->child_count)
		write_full_object(writer, state, node);
	else
		write_object(writer, state, node, base);
}

void
postrider_mapping_write_group(MappingWriter *writer, const MappingGroup *group,
							  MappingSlot *slots, JsonbContainer *base)
{
	GroupState	state = {.group = group, .slots = slots};
	int			filled[64];
	bool		touched[64];

	state.filled = filled;
	state.touched = touched;
	if (group->node_count > (int) lengthof(filled))
	{
		state.filled = palloc(group->node_count * sizeof(int));
		state.touched = palloc(group->node_count * sizeof(bool));
	}
	count_filled(&state);
	write_node(writer, &state, group->root, base);
	if (state.filled != filled)
	{
		pfree(state.filled);
		pfree(state.touched);
	}
}

void
postrider_mapping_write_group_element(MappingWriter *writer, int start,
									  int index, uint32 *total,
									  const MappingGroup *group,
									  MappingSlot *slots, JsonbContainer *base)
{
	int			begun = writer->length;

	align(writer);
	postrider_mapping_write_group(writer, group, slots, base);
	set_entry(writer, start, index, total, begun, JENTRY_ISCONTAINER);
}
