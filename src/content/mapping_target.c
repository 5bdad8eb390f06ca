/*-------------------------------------------------------------------------
 *
 * mapping_target.c
 *	  Targets of mapped fields: a.b[0]."x.y", and the tree they make.
 *
 * The tree of a group is made once.  Its nodes are numbered so that children
 * come after their parent, its children stand in the order in which jsonb
 * stores keys, and the stored form of the keys of each object is prepared.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mapping_internal.h"
#include "lib/stringinfo.h"

/*
 * Parsing
 */

/* "…" with \" and \\ inside; *string is after the first quote. */
static bool
take_quoted(const char **string, StringInfo key, char **problem)
{
	const char *p = *string;

	for (; *p != '"'; p++)
	{
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		if (*p == '\0')
		{
			*problem = "has a quote that is not closed";
			return false;
		}
		appendStringInfoChar(key, *p);
	}
	*string = p + 1;
	return true;
}

static bool
take_key(const char **string, TargetStep *step, char **problem)
{
	StringInfoData key;

	initStringInfo(&key);
	if (**string == '"')
	{
		(*string)++;
		if (!take_quoted(string, &key, problem))
			return false;
	}
	else
	{
		int			length = strcspn(*string, ".[]\" \t\n\r");

		if (length == 0)
		{
			*problem = "has no key where one must stand; keys are joined by dots, and others than words stand in double quotes";
			return false;
		}
		appendBinaryStringInfo(&key, *string, length);
		*string += length;
	}
	step->key = key.data;
	step->length = key.len;
	return true;
}

/* *string is after the bracket. */
static bool
take_index(const char **string, TargetStep *step, char **problem)
{
	int			digits = strspn(*string, "0123456789");

	if (digits == 0 || (*string)[digits] != ']')
	{
		*problem = "has brackets without a number; an index looks like [0]";
		return false;
	}
	if (digits > 6 || atoi(*string) >= MAPPING_MAX_TARGET_INDEX)
	{
		*problem = psprintf("has an index of %d or more",
							MAPPING_MAX_TARGET_INDEX);
		return false;
	}
	step->key = NULL;
	step->index = atoi(*string);
	*string += digits + 1;
	return true;
}

/*
 * Returns the number of steps, 0 and *problem (NULL before) if the string is no
 * target.
 */
int
postrider_mapping_target_parse(const char *string, TargetStep **steps,
							   char **problem)
{
	TargetStep	found[MAPPING_MAX_TARGET_STEPS];
	int			count = 0;

	if (*string == '\0')
		*problem = "is empty";
	if (*string == '$')
		*problem = "is a source path; a target is written without \"$.\"";
	if (strlen(string) > MAPPING_MAX_TARGET_BYTES)
		*problem = psprintf("has more than %d bytes", MAPPING_MAX_TARGET_BYTES);
	if (*problem != NULL)
		return 0;
	while (*string != '\0')
	{
		TargetStep	step = {0};

		if (count == MAPPING_MAX_TARGET_STEPS)
		{
			*problem = psprintf("has more than %d steps",
								MAPPING_MAX_TARGET_STEPS);
			return 0;
		}
		if (*string == '[')
		{
			string++;
			if (!take_index(&string, &step, problem))
				return 0;
		}
		else
		{
			if (count > 0 && *string != '.')
			{
				*problem = psprintf("has \"%s\" where a dot or an index must stand",
									string);
				return 0;
			}
			if (count > 0)
				string++;
			if (!take_key(&string, &step, problem))
				return 0;
		}
		found[count++] = step;
	}
	*steps = palloc(count * sizeof(TargetStep));
	memcpy(*steps, found, count * sizeof(TargetStep));
	return count;
}

/*
 * The tree
 */

/* As jsonb orders the keys of an object; elements by index. */
static int
compare_steps(const TargetStep *a, const TargetStep *b)
{
	if (a->key == NULL || b->key == NULL)
		return a->index - b->index;
	if (a->length != b->length)
		return a->length - b->length;
	return memcmp(a->key, b->key, a->length);
}

static TargetNode *
make_node(MappingGroup *group, TargetNode *parent, const TargetStep *step,
		  int position)
{
	TargetNode *node = palloc0(sizeof(TargetNode));

	node->parent = -1;
	node->slot = -1;
	node->position = position;
	if (step != NULL)
		node->step = *step;
	group->node_count++;
	if (parent != NULL)
	{
		if (parent->child_count == parent->child_space)
		{
			parent->child_space = Max(parent->child_space * 2, 8);
			if (parent->children == NULL)
				parent->children = palloc(parent->child_space * sizeof(TargetNode *));
			else
				parent->children = repalloc(parent->children,
											parent->child_space * sizeof(TargetNode *));
		}
		parent->children[parent->child_count++] = node;
	}
	return node;
}

/* Keeps children sorted; a new one is put at its place. */
static TargetNode *
child_of(MappingGroup *group, TargetNode *parent, const TargetStep *step,
		 int position, bool *is_new)
{
	int			low = 0;
	int			high = parent->child_count;
	TargetNode *node;

	*is_new = false;
	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			order = compare_steps(step, &parent->children[middle]->step);

		if (order == 0)
			return parent->children[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	*is_new = true;
	node = make_node(group, parent, step, position);
	memmove(&parent->children[low + 1], &parent->children[low],
			(parent->child_count - 1 - low) * sizeof(TargetNode *));
	parent->children[low] = node;
	return node;
}

static void
collision(MappingCompiler *compiler, const char *position,
		  const MappingGroup *group, int index, int other)
{
	const MappingField *field = &group->fields[index];
	const MappingField *first = &group->fields[other];

	if (strcmp(field->target, first->target) == 0)
		postrider_mapping_problem(compiler,
								  psprintf("%sfields[%d].to", position, index),
								  "target \"%s\" is also that of fields[%d], which has no \"when\"",
								  field->target, other);
	else
		postrider_mapping_problem(compiler,
								  psprintf("%sfields[%d].to", position, index),
								  "target \"%s\" collides with \"%s\" of fields[%d]; there cannot be both",
								  field->target, first->target, other);
}

/*
 * Puts a field into the tree.  Several fields may have the same target if all
 * of them but the last have a condition.
 */
static void
add_field(MappingCompiler *compiler, MappingGroup *group, int index,
		  const char *position)
{
	MappingField *field = &group->fields[index];
	TargetNode *node = group->root;
	bool		is_new = group->root->child_count == 0;

	for (int i = 0; i < field->target_step_count; i++)
	{
		TargetStep *step = &field->target_steps[i];
		TargetKind	kind = step->key != NULL ? TARGET_OBJECT : TARGET_ARRAY;

		if (is_new)
		{
			node->kind = kind;
			node->position = index;
		}
		else if (node->kind != kind)
		{
			collision(compiler, position, group, index, node->position);
			return;
		}
		node = child_of(group, node, step, index, &is_new);
	}
	if (is_new)
	{
		node->kind = TARGET_VALUE;
		node->slot = field->slot = group->slot_count++;
	}
	else if (node->kind == TARGET_VALUE &&
			 group->fields[node->position].when != NULL)
		field->slot = node->slot;
	else
	{
		collision(compiler, position, group, index, node->position);
		return;
	}
	/* The next one may only follow if this one has a condition. */
	node->position = index;
}

static void
prepare_keys(TargetNode *node)
{
	StringInfoData keys;

	initStringInfo(&keys);
	node->key_entries = palloc(node->child_count * sizeof(JEntry));
	for (int i = 0; i < node->child_count; i++)
	{
		TargetStep *step = &node->children[i]->step;

		appendBinaryStringInfo(&keys, step->key, step->length);
		node->key_entries[i] = JENTRY_ISSTRING |
			(i % JB_OFFSET_STRIDE == 0 ? JENTRY_HAS_OFF | (uint32) keys.len :
			 (uint32) step->length);
	}
	node->keys = keys.data;
	node->keys_length = keys.len;
}

/* Depth is bounded by MAPPING_MAX_TARGET_STEPS. */
static void
finish_node(MappingGroup *group, TargetNode *node, int parent)
{
	node->number = group->node_count;
	node->parent = parent;
	group->nodes[group->node_count++] = node;
	if (node->kind == TARGET_OBJECT)
		prepare_keys(node);
	for (int i = 0; i < node->child_count; i++)
		finish_node(group, node->children[i], node->number);
}

void
postrider_mapping_target_tree(MappingCompiler *compiler, MappingGroup *group,
							  const char *position)
{
	group->root = make_node(group, NULL, NULL, 0);
	group->root->kind = TARGET_OBJECT;
	for (int i = 0; i < group->field_count; i++)
	{
		if (group->fields[i].target_step_count > 0)
			add_field(compiler, group, i, position);
	}
	group->nodes = palloc(group->node_count * sizeof(TargetNode *));
	group->node_count = 0;
	finish_node(group, group->root, -1);
}
