/*-------------------------------------------------------------------------
 *
 * mask.c
 *	  Values at sensitive places of a payload; see mask.h.
 *
 * PostgreSQL's executor of paths returns values and not where they are, so
 * paths are walked here: down the payload with a list of states, each a path and how
 * many of its steps are behind us.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mask.h"
#include "miscadmin.h"
#include "util/text.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/numeric.h"

/* Shorter values are not looked for in texts. */
#define MIN_VALUE_BYTES 3
#define MIN_NUMBER_BYTES 5

/* So much of a value at the end of a text is taken for its beginning. */
#define MIN_PREFIX_BYTES 3

typedef enum StepKind
{
	STEP_KEY,
	STEP_ANY_KEY,
	STEP_ELEMENT,
	STEP_ANY_ELEMENT,
	STEP_ANY_DEPTH
} StepKind;

typedef struct Step
{
	StepKind	kind;
	char	   *name;			/* of STEP_KEY */
	int			length;
	int32		index;			/* of STEP_ELEMENT */
	uint32		first;			/* of STEP_ANY_DEPTH */
	uint32		last;
} Step;

struct MaskPath
{
	int			count;
	Step	   *steps;
};

typedef struct State
{
	const MaskPath *path;
	int			step;			/* the next one */
	uint32		depth;			/* of STEP_ANY_DEPTH: levels so far */
} State;

typedef struct Walk
{
	JsonbParseState *result;	/* or NULL: only values are wanted */
	JsonbValue *root;
	bool		build;
	bool		masked;			/* anything at all */
	List	  **values;			/* or NULL */
} Walk;

static bool
compile_subscript(JsonPathItem *item, Step *step)
{
	JsonPathItem from;
	JsonPathItem to;

	if (item->content.array.nelems != 1 || jspGetArraySubscript(item, &from, &to, 0) ||
		from.type != jpiNumeric || jspHasNext(&from))
		return false;
	step->kind = STEP_ELEMENT;
	step->index = DatumGetInt32(DirectFunctionCall1(numeric_int4,
													NumericGetDatum(jspGetNumeric(&from))));
	return true;
}

static bool
compile_step(JsonPathItem *item, Step *step)
{
	switch (item->type)
	{
		case jpiKey:
			step->kind = STEP_KEY;
			step->name = jspGetString(item, &step->length);
			step->name = pnstrdup(step->name, step->length);
			return true;
		case jpiAnyKey:
			step->kind = STEP_ANY_KEY;
			return true;
		case jpiAnyArray:
			step->kind = STEP_ANY_ELEMENT;
			return true;
		case jpiIndexArray:
			return compile_subscript(item, step);
		case jpiAny:
			step->kind = STEP_ANY_DEPTH;
			step->first = item->content.anybounds.first;
			step->last = item->content.anybounds.last;
			return step->first != PG_UINT32_MAX;
		default:
			return false;
	}
}

MaskPath *
postrider_mask_path_compile(JsonPath *path, const char **problem)
{
	MaskPath   *result = palloc0(sizeof(MaskPath));
	JsonPathItem item;
	JsonPathItem next;
	int			capacity = VARSIZE_ANY(path) / 4 + 1;

	result->steps = palloc0(sizeof(Step) * capacity);
	jspInit(&item, path);
	*problem = "does not begin with $";
	if (item.type != jpiRoot)
		return NULL;
	*problem = "has something else than keys, indexes, .*, [*] and .**";
	while (jspGetNext(&item, &next))
	{
		if (result->count == capacity || !compile_step(&next, &result->steps[result->count++]))
			return NULL;
		item = next;
	}
	return result;
}

static State *
add_state(List **states, const MaskPath *path, int step, uint32 depth)
{
	State	   *state = palloc(sizeof(State));

	state->path = path;
	state->step = step;
	state->depth = depth;
	*states = lappend(*states, state);
	return state;
}

/*
 * Adds what follows from states without going down: .** of no level, and list steps
 * at what is no list.  True if a path ends here.
 */
static bool
settle_states(List *states, bool is_array)
{
	bool		hit = false;

	/* The list grows while it is gone through. */
	for (int i = 0; i < list_length(states); i++)
	{
		State	   *state = list_nth(states, i);
		const Step *step;

		if (state->step == state->path->count)
		{
			hit = true;
			continue;
		}
		step = &state->path->steps[state->step];
		if (step->kind == STEP_ANY_DEPTH ? state->depth >= step->first :
			!is_array && (step->kind == STEP_ANY_ELEMENT ||
						  (step->kind == STEP_ELEMENT && step->index == 0)))
			(void) add_state(&states, state->path, state->step + 1, 0);
	}
	return hit;
}

/* The states of a child: of that key, or if that is NULL, of that index. */
static List *
child_states(List *states, const JsonbValue *key, int32 index)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, states)
	{
		State	   *state = lfirst(cell);
		const Step *step = &state->path->steps[state->step];
		bool		matches = false;

		if (state->step == state->path->count)
			continue;
		switch (step->kind)
		{
			case STEP_ANY_DEPTH:
				if (state->depth < step->last)
					(void) add_state(&result, state->path, state->step, state->depth + 1);
				break;
			case STEP_KEY:
			case STEP_ANY_KEY:
				if (key == NULL)
					(void) add_state(&result, state->path, state->step, 0);
				else
					matches = step->kind == STEP_ANY_KEY ||
						(key->val.string.len == step->length &&
						 memcmp(key->val.string.val, step->name, step->length) == 0);
				break;
			case STEP_ELEMENT:
				matches = key == NULL && step->index == index;
				break;
			case STEP_ANY_ELEMENT:
				matches = key == NULL;
				break;
		}
		if (matches)
			(void) add_state(&result, state->path, state->step + 1, 0);
	}
	return result;
}

static void
push(Walk *walk, JsonbIteratorToken token, JsonbValue *value)
{
	if (walk->build)
		walk->root = pushJsonbValue(&walk->result, token, value);
}

static void
note_value(Walk *walk, const JsonbValue *value)
{
	char	   *string = NULL;

	if (walk->values == NULL)
		return;
	if (value->type == jbvString && value->val.string.len >= MIN_VALUE_BYTES)
		string = pnstrdup(value->val.string.val, value->val.string.len);
	else if (value->type == jbvNumeric)
	{
		string = DatumGetCString(DirectFunctionCall1(numeric_out,
													 NumericGetDatum(value->val.numeric)));
		if (strlen(string) < MIN_NUMBER_BYTES)
			string = NULL;
	}
	if (string)
		*walk->values = lappend(*walk->values, string);
}

static void
mask_scalar(Walk *walk, JsonbValue *value)
{
	note_value(walk, value);
	walk->masked = true;
	if (value->type == jbvString)
	{
		value->val.string.val = MASK_TEXT;
		value->val.string.len = strlen(MASK_TEXT);
	}
	else if (value->type == jbvNumeric)
		value->val.numeric = DatumGetNumeric(DirectFunctionCall1(int4_numeric, Int32GetDatum(0)));
	else if (value->type == jbvBool)
		value->val.boolean = false;
}

static void walk_container(Walk *walk, JsonbContainer *container, List *states, bool hit);

/* "hit": it is within something that is masked. */
static void
walk_value(Walk *walk, JsonbIteratorToken token, JsonbValue *value, List *states, bool hit)
{
	if (value->type == jbvBinary)
	{
		walk_container(walk, value->val.binary.data, states, hit);
		return;
	}
	if (hit || settle_states(states, false))
		mask_scalar(walk, value);
	push(walk, token, value);
}

static void
walk_container(Walk *walk, JsonbContainer *container, List *states, bool hit)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;
	JsonbValue	key = {0};
	int32		index = 0;
	bool		is_scalar;

	check_stack_depth();
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		switch (token)
		{
			case WJB_BEGIN_ARRAY:
			case WJB_BEGIN_OBJECT:
				is_scalar = token == WJB_BEGIN_ARRAY && value.val.array.rawScalar;
				hit = settle_states(states, token == WJB_BEGIN_ARRAY && !is_scalar) || hit;
				/* The value says that it is a scalar. */
				push(walk, token, is_scalar ? &value : NULL);
				if (is_scalar)
					index = -1;
				break;
			case WJB_KEY:
				key = value;
				push(walk, token, &value);
				break;
			case WJB_VALUE:
				walk_value(walk, token, &value, child_states(states, &key, 0), hit);
				break;
			case WJB_ELEM:
				walk_value(walk, token, &value,
						   index < 0 ? states : child_states(states, NULL, index++), hit);
				break;
			default:
				push(walk, token, NULL);
				break;
		}
	}
}

static void
run(Walk *walk, Jsonb *payload, List *paths)
{
	List	   *states = NIL;
	ListCell   *cell;

	foreach(cell, paths)
		(void) add_state(&states, lfirst(cell), 0, 0);
	walk_container(walk, &payload->root, states, false);
}

Jsonb *
postrider_mask_apply(Jsonb *payload, List *paths)
{
	Walk		walk = {.build = true};

	if (paths == NIL)
		return payload;
	run(&walk, payload, paths);
	return walk.masked ? JsonbValueToJsonb(walk.root) : payload;
}

/* The longest first. */
static int
compare_lengths(const ListCell *a, const ListCell *b)
{
	return (int) strlen(lfirst(b)) - (int) strlen(lfirst(a));
}

/* As it stands in a URL or a form. */
static char *
percent_encoded(const char *string)
{
	StringInfoData encoded;

	initStringInfo(&encoded);
	for (const unsigned char *c = (const unsigned char *) string; *c; c++)
	{
		if (isalnum(*c) || strchr("-._~", *c))
			appendStringInfoChar(&encoded, (char) *c);
		else
			appendStringInfo(&encoded, "%%%02X", *c);
	}
	return encoded.data;
}

List *
postrider_mask_values(Jsonb *payload, List *paths)
{
	List	   *values = NIL;
	List	   *result = NIL;
	Walk		walk = {.values = &values};
	ListCell   *cell;

	if (paths == NIL)
		return NIL;
	run(&walk, payload, paths);
	foreach(cell, values)
	{
		const char *value = lfirst(cell);
		StringInfoData escaped;

		initStringInfo(&escaped);
		escape_json(&escaped, value);
		escaped.data[escaped.len - 1] = '\0';
		result = lappend(result, lfirst(cell));
		if (strcmp(escaped.data + 1, value) != 0)
			result = lappend(result, escaped.data + 1);
		if (strcmp(percent_encoded(value), value) != 0)
			result = lappend(result, percent_encoded(value));
	}
	list_sort(result, compare_lengths);
	return result;
}

/* Bytes of the longest value that stands here, or begins here and is cut; or 0. */
static int
value_at(const char *at, List *values)
{
	Size		rest = strlen(at);
	ListCell   *cell;

	foreach(cell, values)
	{
		const char *value = lfirst(cell);
		Size		length = strlen(value);

		if (pg_strncasecmp(at, value, Min(length, rest)) != 0)
			continue;
		if (rest >= length)
			return (int) length;
		if (rest >= MIN_PREFIX_BYTES)
			return (int) rest;
	}
	return 0;
}

char *
postrider_mask_text(const char *string, List *values)
{
	StringInfoData result;
	bool		found = false;

	if (values == NIL || string == NULL)
		return NULL;
	initStringInfo(&result);
	while (*string)
	{
		int			length = value_at(string, values);

		if (length == 0)
		{
			appendStringInfoChar(&result, *string++);
			continue;
		}
		appendStringInfoString(&result, MASK_TEXT);
		string += length;
		found = true;
	}
	if (found)
		return result.data;
	pfree(result.data);
	return NULL;
}
