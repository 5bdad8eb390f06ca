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

/*
 * What has become wider
 */

/* What is compared at one place. */
typedef struct Difference
{
	Compare    *compare;
	const Check *check;
	NodeSet		new_set;
} Difference;

static bool
is_failed(const Difference *difference, const char *keyword)
{
	const ListCell *cell;

	foreach(cell, difference->compare->failed)
		if (strcmp(lfirst(cell), keyword) == 0)
			return true;
	return false;
}

/* Number of the members that have a keyword; *value is that of the last. */
static int
count_keyword(const NodeSet *set, const char *keyword, JsonbValue *value)
{
	int			count = 0;

	for (int i = 0; i < set->count; i++)
		if (postrider_compare_node_get(&set->nodes[i], keyword, value))
			count++;
	return count;
}

static void
report_type(const Difference *difference)
{
	const Check *check = difference->check;
	uint32		new_types = postrider_compare_types(difference->compare,
													&difference->new_set);
	uint32		gained = new_types & ~check->types;

	if (gained == 0 || is_failed(difference, "type"))
		return;
	postrider_compare_allows(difference->compare, check->place, "type",
							 "type_widened",
							 new_types == TYPE_ALL ? "%s may now have any type" :
							 "%s may now also be %s",
							 postrider_compare_field(check->place),
							 postrider_compare_type_names(gained));
}

static void
report_required_removed(const Difference *difference)
{
	const Check *check = difference->check;

	for (int i = 0; i < check->old->count; i++)
	{
		JsonbValue	required;
		JsonbIterator *iterator;
		JsonbIteratorToken token;
		JsonbValue	name;

		if (!postrider_compare_node_get(&check->old->nodes[i], "required", &required) ||
			required.type != jbvBinary)
			continue;
		iterator = JsonbIteratorInit(required.val.binary.data);
		while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
		{
			char	   *key;

			if (token != WJB_ELEM || name.type != jbvString)
				continue;
			key = pnstrdup(name.val.string.val, name.val.string.len);
			if (!postrider_compare_requires(&difference->new_set, key))
				postrider_compare_allows(difference->compare, check->place, "required",
										 "required_removed",
										 "%s is no longer required",
										 postrider_compare_subfield(check->place, key));
		}
	}
}

/* The properties that the members of "from" name and those of "to" do not. */
static void
report_properties(const Difference *difference, const NodeSet *from,
				  const NodeSet *to, const char *change, const char *phrase)
{
	for (int i = 0; i < from->count; i++)
	{
		JsonbValue	properties;
		ListCell   *cell;

		if (!postrider_compare_node_get(&from->nodes[i], "properties", &properties))
			continue;
		foreach(cell, postrider_compare_keys(&properties))
		{
			NodeSet		property;
			bool		is_named;

			postrider_compare_property(difference->compare, to, lfirst(cell),
									   &property, &is_named);
			if (!is_named)
				postrider_compare_allows(difference->compare,
										 difference->check->place,
										 "properties", change, "%s %s",
										 postrider_compare_subfield(difference->check->place, lfirst(cell)),
										 phrase);
		}
	}
}

/* Values of enum or const that are new. */
static void
report_values_added(const Difference *difference)
{
	const Check *check = difference->check;
	JsonbValue *old_values;
	JsonbValue *new_values;
	int			old_count;
	int			new_count;
	JsonbValue	value;

	if (count_keyword(check->old, "enum", &value) +
		count_keyword(check->old, "const", &value) == 0 ||
		!postrider_compare_values(difference->compare, check->old, &old_values,
								  &old_count))
		return;
	if (!postrider_compare_values(difference->compare, &difference->new_set,
								  &new_values, &new_count))
	{
		postrider_compare_allows(difference->compare, check->place, NULL, "value_added",
								 "%s may now have other values than before",
								 postrider_compare_field(check->place));
		return;
	}
	if ((int64) old_count * new_count > 1000000)
		return;
	for (int i = 0; i < new_count; i++)
	{
		bool		found = false;

		for (int j = 0; j < old_count && !found; j++)
			found = postrider_compare_equal(&old_values[j], &new_values[i]);
		if (!found)
			postrider_compare_allows(difference->compare, check->place,
									 count_keyword(&difference->new_set, "enum", &value) ? "enum" : "const",
									 "value_added", "%s may now also be %s",
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
	"anyOf", "oneOf", "not", "if", "dependentRequired", "dependentSchemas",
	"dependencies"
};

static void
report_plain_keyword(const Difference *difference, const char *keyword)
{
	const Check *check = difference->check;
	JsonbValue	old_value;
	JsonbValue	new_value;
	int			old_count = count_keyword(check->old, keyword, &old_value);
	int			new_count = count_keyword(&difference->new_set, keyword, &new_value);

	if (old_count == 0 || is_failed(difference, keyword))
		return;
	if (new_count == 0)
		postrider_compare_allows(difference->compare, check->place, keyword,
								 "keyword_removed", "%s no longer has %s %s",
								 postrider_compare_field(check->place), keyword,
								 postrider_compare_show(&old_value));
	else if (old_count == 1 && new_count == 1 &&
			 !postrider_compare_equal(&old_value, &new_value))
		postrider_compare_allows(difference->compare, check->place, keyword,
								 "keyword_relaxed", "%s has %s %s instead of %s",
								 postrider_compare_field(check->place), keyword,
								 postrider_compare_show(&new_value),
								 postrider_compare_show(&old_value));
}

static void
report_schema_keyword(const Difference *difference, const char *keyword)
{
	const Check *check = difference->check;
	JsonbValue	value;

	if (count_keyword(check->old, keyword, &value) > 0 &&
		!(value.type == jbvBool && value.val.boolean) &&
		count_keyword(&difference->new_set, keyword, &value) == 0)
		postrider_compare_allows(difference->compare, check->place, keyword,
								 "keyword_removed", "%s no longer has %s",
								 postrider_compare_field(check->place), keyword);
}

/*
 * Lists what has become wider at a place, by all that the old and the new
 * schemas say of it: with what they refer to and the members of allOf.
 * compare->failed has the keywords for which breaks were reported there.
 */
void
postrider_compare_differences(Compare *compare, const Check *check)
{
	Difference	difference = {.compare = compare, .check = check};

	if (compare->quiet > 0)
		return;
	postrider_compare_set_init(&difference.new_set);
	postrider_compare_set_add(compare, &difference.new_set, check->new);

	report_type(&difference);
	report_required_removed(&difference);
	if (!is_failed(&difference, "properties"))
		report_properties(&difference, &difference.new_set, check->old,
						  "property_added", "is a new property");
	if (!is_failed(&difference, "additionalProperties") &&
		!is_failed(&difference, "unevaluatedProperties"))
		report_properties(&difference, check->old, &difference.new_set,
						  "property_removed",
						  "is no longer described, and still allowed");
	report_values_added(&difference);
	for (int i = 0; i < (int) lengthof(plain_keywords); i++)
		report_plain_keyword(&difference, plain_keywords[i]);
	for (int i = 0; i < (int) lengthof(schema_keywords); i++)
		report_schema_keyword(&difference, schema_keywords[i]);
}
