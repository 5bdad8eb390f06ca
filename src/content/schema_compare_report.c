/*-------------------------------------------------------------------------
 *
 * schema_compare_report.c
 *	  Rows and messages of a comparison.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_compare_internal.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

/* Of a value of a schema; and of the name of a field. */
#define SHOWN_BYTES 100
#define FIELD_BYTES 300

static void
append_field(StringInfo name, const Place *place)
{
	if (place == NULL)
		return;
	append_field(name, place->parent);
	switch (place->field)
	{
		case FIELD_SAME:
			break;
		case FIELD_PROPERTY:
			if (name->len > 0)
				appendStringInfoChar(name, '.');
			appendStringInfoString(name, place->key);
			break;
		case FIELD_OTHERS:
			appendStringInfoString(name, name->len > 0 ? ".*" : "*");
			break;
		case FIELD_NAME:
			appendStringInfoString(name, name->len > 0 ? ".(name)" : "(name)");
			break;
		case FIELD_INDEX:
			appendStringInfo(name, "[%s]", place->key);
			break;
		case FIELD_ITEMS:
			appendStringInfoString(name, "[*]");
			break;
	}
}

/* Cuts at a character's end. */
static void
clip(StringInfo line, int limit)
{
	if (line->len <= limit)
		return;
	line->len = pg_mbcliplen(line->data, line->len, limit);
	line->data[line->len] = '\0';
	appendStringInfoString(line, "...");
}

static char *
quote_field(StringInfo name)
{
	clip(name, FIELD_BYTES);
	return name->len == 0 ? pstrdup("the document") : psprintf("\"%s\"", name->data);
}

/* "customer.email", in quotes, or: the document */
char *
postrider_compare_field(const Place *place)
{
	StringInfoData name;

	initStringInfo(&name);
	append_field(&name, place);
	return quote_field(&name);
}

/* The name of a property of the place. */
char *
postrider_compare_subfield(const Place *place, const char *name)
{
	Place		sub = {.parent = place, .key = name, .field = FIELD_PROPERTY};

	return postrider_compare_field(&sub);
}

/* A value as JSON, short. */
char *
postrider_compare_show(const JsonbValue *value)
{
	StringInfoData line;

	initStringInfo(&line);
	if (value->type == jbvBinary)
		(void) JsonbToCString(&line, value->val.binary.data, 64);
	else
	{
		Jsonb	   *scalar = JsonbValueToJsonb(unconstify(JsonbValue *, value));

		(void) JsonbToCString(&line, &scalar->root, 64);
	}
	clip(&line, SHOWN_BYTES);
	return line.data;
}

/* string, number or null */
char *
postrider_compare_type_names(uint32 types)
{
	static const struct
	{
		uint32		type;
		const char *name;
	}			names[] = {
		{TYPE_STRING, "a string"}, {TYPE_NUMBER, "a number"},
		{TYPE_INTEGER, "an integer"}, {TYPE_FRACTION, "a number with a fraction"},
		{TYPE_BOOLEAN, "a boolean"}, {TYPE_OBJECT, "an object"},
		{TYPE_ARRAY, "an array"}, {TYPE_NULL, "null"}
	};
	StringInfoData line;
	uint32		left = types;

	initStringInfo(&line);
	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if ((left & names[i].type) != names[i].type)
			continue;
		left &= ~names[i].type;
		if (line.len > 0)
			appendStringInfoString(&line, left ? ", " : " or ");
		appendStringInfoString(&line, names[i].name);
	}
	return line.data;
}

static void
append_token(StringInfo pointer, const char *token)
{
	appendStringInfoChar(pointer, '/');
	for (; *token; token++)
	{
		if (*token == '~')
			appendStringInfoString(pointer, "~0");
		else if (*token == '/')
			appendStringInfoString(pointer, "~1");
		else
			appendStringInfoChar(pointer, *token);
	}
}

static void
append_pointer(StringInfo pointer, const Place *place)
{
	if (place == NULL)
		return;
	append_pointer(pointer, place->parent);
	if (place->keyword != NULL)
		append_token(pointer, place->keyword);
	if (place->key != NULL)
		append_token(pointer, place->key);
}

static void add_change(Compare *compare, const Place *place,
					   const char *keyword, const char *change,
					   bool compatible, const char *format, va_list args)
			pg_attribute_printf(6, 0);

static void
add_change(Compare *compare, const Place *place, const char *keyword,
		   const char *change, bool compatible, const char *format, va_list args)
{
	SchemaChange *row = palloc(sizeof(SchemaChange));
	StringInfoData line;
	int			needed;
	int			saved_errno = errno;
	va_list		copy;

	initStringInfo(&line);
	append_pointer(&line, place);
	if (keyword != NULL)
		append_token(&line, keyword);
	row->location = line.data;

	initStringInfo(&line);
	for (;;)
	{
		errno = saved_errno;
		va_copy(copy, args);
		needed = appendStringInfoVA(&line, format, copy);
		va_end(copy);
		if (needed == 0)
			break;
		enlargeStringInfo(&line, needed);
	}
	row->message = line.data;
	row->change = change;
	row->compatible = compatible;
	compare->changes = lappend(compare->changes, row);
}

/*
 * Notes that something that was valid may not be valid any more.  Returns
 * false, so that a check can end with it.
 */
bool
postrider_compare_breaks(Compare *compare, const Place *place,
						 const char *keyword, const char *change,
						 const char *message,...)
{
	va_list		args;

	if (compare->quiet > 0 || list_length(compare->changes) >= compare->max_changes)
		return false;
	va_start(args, message);
	add_change(compare, place, keyword, change, false, message, args);
	va_end(args);
	return false;
}

/* Notes a change that breaks nothing. */
void
postrider_compare_allows(Compare *compare, const Place *place,
						 const char *keyword, const char *change,
						 const char *message,...)
{
	va_list		args;

	if (compare->quiet > 0 || list_length(compare->changes) >= compare->max_changes)
		return;
	va_start(args, message);
	add_change(compare, place, keyword, change, true, message, args);
	va_end(args);
}

static bool
is_failed(const List *failed, const char *keyword)
{
	const ListCell *cell;

	foreach(cell, failed)
		if (strcmp(lfirst(cell), keyword) == 0)
			return true;
	return false;
}

/* The names that one list has and the other has not. */
static void
report_required_removed(Compare *compare, const Check *check,
						const SchemaNode *old_node)
{
	JsonbValue	required;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	name;
	NodeSet		new_set;

	if (!postrider_compare_node_get(old_node, "required", &required) ||
		required.type != jbvBinary)
		return;
	postrider_compare_set_init(&new_set);
	postrider_compare_set_add(compare, &new_set, check->new);
	iterator = JsonbIteratorInit(required.val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
	{
		char	   *key;

		if (token != WJB_ELEM || name.type != jbvString)
			continue;
		key = pnstrdup(name.val.string.val, name.val.string.len);
		if (!postrider_compare_requires(&new_set, key))
			postrider_compare_allows(compare, check->place, "required",
									 "required_removed",
									 "%s is no longer required",
									 postrider_compare_subfield(check->place, key));
	}
}

static void
report_properties(Compare *compare, const Check *check, const SchemaNode *old_node,
				  List *failed)
{
	JsonbValue	properties;
	ListCell   *cell;
	NodeSet		old_property;
	bool		is_named;

	if (postrider_compare_node_get(&check->new, "properties", &properties) &&
		!is_failed(failed, "properties"))
		foreach(cell, postrider_compare_keys(&properties))
		{
			postrider_compare_property(compare, check->old, lfirst(cell),
									   &old_property, &is_named);
			if (!is_named)
				postrider_compare_allows(compare, check->place, "properties",
										 "property_added", "%s is a new property",
										 postrider_compare_subfield(check->place, lfirst(cell)));
		}
	if (postrider_compare_node_get(old_node, "properties", &properties) &&
		!is_failed(failed, "additionalProperties") &&
		!is_failed(failed, "unevaluatedProperties"))
	{
		NodeSet		new_set;

		postrider_compare_set_init(&new_set);
		postrider_compare_set_add(compare, &new_set, check->new);
		foreach(cell, postrider_compare_keys(&properties))
		{
			postrider_compare_property(compare, &new_set, lfirst(cell),
									   &old_property, &is_named);
			if (!is_named)
				postrider_compare_allows(compare, check->place, "properties",
										 "property_removed",
										 "%s is no longer described, and still allowed",
										 postrider_compare_subfield(check->place, lfirst(cell)));
		}
	}
}

/* Values of enum or const that are new. */
static void
report_values_added(Compare *compare, const Check *check, const SchemaNode *old_node)
{
	JsonbValue *old_values;
	JsonbValue *new_values;
	int			old_count;
	int			new_count;
	NodeSet		set;

	postrider_compare_set_init(&set);
	postrider_compare_set_add(compare, &set, check->new);
	if (!postrider_compare_values(compare, check->old, &old_values, &old_count) ||
		!postrider_compare_values(compare, &set, &new_values, &new_count) ||
		(int64) old_count * new_count > 1000000)
		return;
	for (int i = 0; i < new_count; i++)
	{
		bool		found = false;

		for (int j = 0; j < old_count && !found; j++)
			found = postrider_compare_equal(&old_values[j], &new_values[i]);
		if (!found)
			postrider_compare_allows(compare, check->place, "enum", "value_added",
									 "%s may now also be %s",
									 postrider_compare_field(check->place),
									 postrider_compare_show(&new_values[i]));
	}
}

/* Keywords that say something by their value alone. */
static const char *const plain_keywords[] = {
	"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
	"minLength", "maxLength", "pattern", "format", "minItems", "maxItems",
	"uniqueItems", "minProperties", "maxProperties"
};

/* Keywords with schemas; only that they are gone is told here. */
static const char *const schema_keywords[] = {
	"additionalProperties", "patternProperties", "propertyNames", "items",
	"prefixItems", "contains", "unevaluatedProperties", "unevaluatedItems",
	"anyOf", "oneOf", "not", "if",
	"dependentRequired", "dependentSchemas", "dependencies"
};

/*
 * Lists what has become wider at a node, by comparing it with the first member
 * of the old set.  failed has the keywords for which breaks were reported.
 */
void
postrider_compare_differences(Compare *compare, const Check *check, List *failed)
{
	const SchemaNode *old_node;
	JsonbValue	old_value;
	JsonbValue	new_value;
	NodeSet		set;
	uint32		new_types;

	if (compare->quiet > 0 || check->old->count == 0)
		return;
	old_node = &check->old->nodes[0];
	postrider_compare_set_init(&set);
	postrider_compare_set_add(compare, &set, check->new);
	new_types = postrider_compare_types(compare, &set);

	if ((new_types & ~check->types) != 0 && !is_failed(failed, "type"))
		postrider_compare_allows(compare, check->place, "type", "type_widened",
								 "%s may now also be %s",
								 postrider_compare_field(check->place),
								 postrider_compare_type_names(new_types & ~check->types));
	report_required_removed(compare, check, old_node);
	report_properties(compare, check, old_node, failed);
	if ((postrider_compare_node_get(&check->new, "enum", &new_value) ||
		 postrider_compare_node_get(&check->new, "const", &new_value)))
		report_values_added(compare, check, old_node);
	else if (postrider_compare_node_get(old_node, "enum", &old_value) ||
			 postrider_compare_node_get(old_node, "const", &old_value))
		postrider_compare_allows(compare, check->place, "enum", "value_added",
								 "%s may now have other values than before",
								 postrider_compare_field(check->place));

	for (int i = 0; i < (int) lengthof(plain_keywords); i++)
	{
		if (!postrider_compare_node_get(old_node, plain_keywords[i], &old_value) ||
			is_failed(failed, plain_keywords[i]))
			continue;
		if (!postrider_compare_node_get(&check->new, plain_keywords[i], &new_value))
			postrider_compare_allows(compare, check->place, plain_keywords[i],
									 "keyword_removed",
									 "%s no longer has %s %s",
									 postrider_compare_field(check->place),
									 plain_keywords[i],
									 postrider_compare_show(&old_value));
		else if (!postrider_compare_equal(&old_value, &new_value))
			postrider_compare_allows(compare, check->place, plain_keywords[i],
									 "keyword_relaxed",
									 "%s has %s %s instead of %s",
									 postrider_compare_field(check->place),
									 plain_keywords[i],
									 postrider_compare_show(&new_value),
									 postrider_compare_show(&old_value));
	}
	for (int i = 0; i < (int) lengthof(schema_keywords); i++)
		if (postrider_compare_node_get(old_node, schema_keywords[i], &old_value) &&
			!(old_value.type == jbvBool && old_value.val.boolean) &&
			!postrider_compare_node_get(&check->new, schema_keywords[i], &new_value))
			postrider_compare_allows(compare, check->place, schema_keywords[i],
									 "keyword_removed",
									 "%s no longer has %s",
									 postrider_compare_field(check->place),
									 schema_keywords[i]);
}
