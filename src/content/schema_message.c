/*-------------------------------------------------------------------------
 *
 * schema_message.c
 *	  Errors of an evaluation: where they are, in the instance and in the
 *	  schema, and what they say.
 *
 * A message begins with what is wrong, as people write it ("items[2].quantity"),
 * and goes on with what was expected.  Locations are JSON pointers; that of the
 * keyword goes through $ref, as in the standard's output (section 12.3.1).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_evaluate.h"
#include "content/schema_uri.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* Bytes of a value, and of a list of them, in a message. */
#define MAX_SHOWN	100

/*
 * Values
 */

/* A copy that is not too long, with quotes or without. */
static char *
clip(const char *out, int length, const char *quote)
{
	if (length <= MAX_SHOWN)
		return psprintf("%s%.*s%s", quote, length, out, quote);
	return psprintf("%s%.*s...%s", quote, pg_mbcliplen(out, length, MAX_SHOWN), out, quote);
}

/* The value as JSON, cut off if it is long. */
char *
postrider_message_value(const Value *value)
{
	char	   *out;
	char	   *result;

	switch (value->type)
	{
		case TYPE_NULL:
			return "null";
		case TYPE_BOOLEAN:
			return value->as.boolean ? "true" : "false";
		case TYPE_STRING:
			return clip(value->as.string, value->length, "\"");
		case TYPE_NUMBER:
			out = DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->as.number)));
			return clip(out, strlen(out), "");
		default:
			out = JsonbToCString(NULL, value->as.container, 0);
			result = clip(out, strlen(out), "");
			pfree(out);
			return result;
	}
}

char *
postrider_message_name(const char *name, int length)
{
	return clip(name, length, "\"");
}

/* "a string", "an integer or null" */
char *
postrider_message_types(uint32 types)
{
	static const struct
	{
		uint32		type;
		const char *name;
	}			names[] = {
		{TYPE_STRING, "a string"},
		{TYPE_NUMBER, "a number"},
		{TYPE_INTEGER, "an integer"},
		{TYPE_BOOLEAN, "true or false"},
		{TYPE_OBJECT, "an object"},
		{TYPE_ARRAY, "an array"},
		{TYPE_NULL, "null"}
	};
	StringInfoData out;

	initStringInfo(&out);
	if (types & TYPE_NUMBER)
		types &= ~TYPE_INTEGER;
	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (!(types & names[i].type))
			continue;
		types &= ~names[i].type;
		if (out.len > 0)
			appendStringInfoString(&out, types ? ", " : " or ");
		appendStringInfoString(&out, names[i].name);
	}
	return out.data;
}

/* What a value of a wrong type is; of a number that is no integer, itself. */
char *
postrider_message_kind(uint32 wanted, const Value *value)
{
	if (value->type == TYPE_NUMBER && (wanted & TYPE_INTEGER))
		return postrider_message_value(value);
	return postrider_message_types(value->type);
}

char *
postrider_message_list(JsonbContainer *array)
{
	StringInfoData out;
	Members		members;
	Value		value;
	Value		item;

	initStringInfo(&out);
	postrider_value_of_container(array, &value);
	postrider_members_start(&members, &value);
	while (postrider_members_next(&members, NULL, &item))
	{
		if (out.len > MAX_SHOWN)
		{
			appendStringInfo(&out, " or %d more", members.count - members.next + 1);
			break;
		}
		if (out.len > 0)
			appendStringInfoString(&out, ", ");
		appendStringInfoString(&out, postrider_message_value(&item));
	}
	return out.len > 0 ? out.data : "nothing";
}

/*
 * Places
 */

static void
append_instance_location(StringInfo out, const Place *place)
{
	check_stack_depth();
	if (place == NULL)
		return;
	append_instance_location(out, place->parent);
	if (place->step == STEP_PROPERTY)
		postrider_pointer_append(out, place->name, place->length);
	else if (place->step == STEP_ITEM)
		appendStringInfo(out, "/%d", place->length);
}

static void
append_keyword_location(StringInfo out, const Place *place)
{
	check_stack_depth();
	if (place == NULL)
		return;
	append_keyword_location(out, place->parent);
	postrider_pointer_append(out, place->keyword, strlen(place->keyword));
	if (place->key != NULL)
		postrider_pointer_append(out, place->key, place->key_length);
	else if (place->index >= 0)
		appendStringInfo(out, "/%d", place->index);
}

static void
append_dotted(StringInfo out, const Place *place)
{
	check_stack_depth();
	if (place == NULL)
		return;
	append_dotted(out, place->parent);
	if (place->step == STEP_PROPERTY)
	{
		if (out->len > 0)
			appendStringInfoChar(out, '.');
		appendBinaryStringInfo(out, place->name, place->length);
	}
	else if (place->step == STEP_ITEM)
		appendStringInfo(out, "[%d]", place->length);
}

/* What a message is about, in quotes; the document itself has no name. */
static void
append_subject(StringInfo out, const Place *place)
{
	StringInfoData dotted;
	const Place *name = place;

	while (name != NULL && name->step == STEP_NONE)
		name = name->parent;
	if (name != NULL && name->step == STEP_NAME)
	{
		appendStringInfo(out, "the name %s of ", clip(name->name, name->length, "\""));
		place = name->parent;
	}
	initStringInfo(&dotted);
	append_dotted(&dotted, place);
	if (dotted.len == 0)
		appendStringInfoString(out, "the document");
	else
		appendStringInfo(out, "\"%.*s%s\"", pg_mbcliplen(dotted.data, dotted.len, 4 * MAX_SHOWN),
						 dotted.data, dotted.len > 4 * MAX_SHOWN ? "..." : "");
	pfree(dotted.data);
}

/*
 * Adds an error, for a keyword at a place; without a keyword it is the place's
 * own, a schema that is false.  Always false.  See FAIL().
 */
bool
postrider_evaluate_report(Evaluation *e, const Place *place, const char *keyword,
						  const char *format,...)
{
	MemoryContext old = MemoryContextSwitchTo(e->caller);
	SchemaError *error = palloc(sizeof(SchemaError));
	StringInfoData out;

	initStringInfo(&out);
	append_instance_location(&out, place);
	error->instance_location = pstrdup(out.data);

	resetStringInfo(&out);
	append_keyword_location(&out, place);
	if (keyword != NULL)
		postrider_pointer_append(&out, keyword, strlen(keyword));
	error->keyword_location = pstrdup(out.data);
	error->keyword = pstrdup(keyword ? keyword : place ? place->keyword : "");

	resetStringInfo(&out);
	append_subject(&out, place);
	appendStringInfoChar(&out, ' ');
	for (;;)
	{
		va_list		arguments;
		int			needed;

		va_start(arguments, format);
		needed = appendStringInfoVA(&out, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&out, needed);
	}
	error->message = out.data;

	e->errors = lappend(e->errors, error);
	e->full = ++e->error_count >= e->max_errors;
	MemoryContextSwitchTo(old);
	return false;
}
