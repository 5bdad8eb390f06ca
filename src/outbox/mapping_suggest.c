/*-------------------------------------------------------------------------
 *
 * mapping_suggest.c
 *	  Proposes a mapping from a relation's rows to a JSON Schema.
 *
 * Every property of the schema is compared with every column, by name
 * (content/mapping_names.c) and by type.  The best pairs are taken first, each
 * property and each column once.  It is a draft for a person: what nothing
 * fits becomes a field with the value null that says so, and what is a guess
 * says so too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "content/mapping_internal.h"
#include "content/mapping_names.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(postrider_suggest_mapping);

#define MAX_PROPERTIES 500
#define MAX_SCHEMA_DEPTH 16

/* Below this two names have nothing to do with each other. */
#define MIN_LIKENESS 0.6
/* Below this it is called a guess. */
#define SURE_LIKENESS 0.9

typedef struct Property
{
	char	   *target;
	FieldName  *name;			/* of the property */
	FieldName  *full_name;		/* with those of the objects around it */
	JsonbValue	schema;
	char	   *type;			/* "" if the schema does not say */
	char	   *format;
	bool		required;
	int			column;			/* -1: none */
	double		likeness;
} Property;

typedef struct Column
{
	char	   *name;
	FieldName  *words;
	Oid			type;
	char		category;
	bool		taken;
} Column;

typedef struct Suggestion
{
	int			property_count;
	Property	properties[MAX_PROPERTIES];
	int			column_count;
	Column	   *columns;
	JsonbValue	root;			/* of the schema */
} Suggestion;

/*
 * The schema
 */

static bool
get_object(const JsonbValue *schema, const char *key, JsonbValue *value)
{
	return schema->type == jbvBinary &&
		JsonContainerIsObject(schema->val.binary.data) &&
		postrider_mapping_get(schema, key, value);
}

/* A keyword that is a string, or "". */
static char *
get_string(const JsonbValue *schema, const char *key)
{
	JsonbValue	value;

	if (!get_object(schema, key, &value) || value.type != jbvString)
		return "";
	return postrider_mapping_string(&value);
}

/* "type" may be a list; null in it says nothing here. */
static char *
get_type(const JsonbValue *schema)
{
	JsonbValue	value;
	JsonbContainer *list;

	if (!get_object(schema, "type", &value) || value.type != jbvBinary ||
		!JsonContainerIsArray(value.val.binary.data))
		return get_string(schema, "type");
	list = value.val.binary.data;
	for (int i = 0; i < (int) JsonContainerSize(list); i++)
	{
		JsonbValue	element;

		postrider_mapping_child(list, i, &element);
		if (element.type == jbvString &&
			strcmp(postrider_mapping_string(&element), "null") != 0)
			return postrider_mapping_string(&element);
	}
	return "";
}

/* Follows "$ref": "#/$defs/x" within the document; others are left alone. */
static void
resolve(const Suggestion *suggestion, JsonbValue *schema)
{
	for (int i = 0; i < MAX_SCHEMA_DEPTH; i++)
	{
		char	   *reference = get_string(schema, "$ref");
		JsonbValue	place = suggestion->root;
		char	   *save = NULL;
		char	   *part;

		if (strncmp(reference, "#/", 2) != 0)
			return;
		for (part = strtok_r(reference + 2, "/", &save); part != NULL;
			 part = strtok_r(NULL, "/", &save))
		{
			if (!get_object(&place, part, &place))
				return;
		}
		*schema = place;
	}
}

static bool
is_required(const JsonbValue *schema, const char *key)
{
	JsonbValue	list;

	if (!get_object(schema, "required", &list) || list.type != jbvBinary ||
		!JsonContainerIsArray(list.val.binary.data))
		return false;
	for (int i = 0; i < (int) JsonContainerSize(list.val.binary.data); i++)
	{
		JsonbValue	element;

		postrider_mapping_child(list.val.binary.data, i, &element);
		if (element.type == jbvString &&
			strcmp(postrider_mapping_string(&element), key) == 0)
			return true;
	}
	return false;
}

static char *
quote_step(const char *key)
{
	StringInfoData quoted;

	if (*key != '\0' && strpbrk(key, ".[]\" \t\n\r$") == NULL)
		return pstrdup(key);
	initStringInfo(&quoted);
	appendStringInfoChar(&quoted, '"');
	for (; *key != '\0'; key++)
		appendStringInfo(&quoted, "%s%c",
						 *key == '"' || *key == '\\' ? "\\" : "", *key);
	appendStringInfoChar(&quoted, '"');
	return quoted.data;
}

/* The properties that are values, objects taken apart. */
static void
collect_properties(Suggestion *suggestion, const JsonbValue *schema,
				   const char *prefix, bool required, int depth)
{
	JsonbValue	properties;
	int			count;

	if (!get_object(schema, "properties", &properties) ||
		properties.type != jbvBinary ||
		!JsonContainerIsObject(properties.val.binary.data))
		return;
	count = JsonContainerSize(properties.val.binary.data);
	for (int i = 0; i < count; i++)
	{
		JsonbValue	key;
		JsonbValue	inner;
		JsonbValue	nested;
		Property   *property;
		char	   *name;
		char	   *target;
		bool		needed;

		postrider_mapping_child(properties.val.binary.data, i, &key);
		postrider_mapping_child(properties.val.binary.data, count + i, &inner);
		name = postrider_mapping_string(&key);
		target = psprintf("%s%s%s", prefix, *prefix ? "." : "",
						  quote_step(name));
		needed = required && is_required(schema, name);
		resolve(suggestion, &inner);
		if (depth < MAX_SCHEMA_DEPTH &&
			get_object(&inner, "properties", &nested))
		{
			collect_properties(suggestion, &inner, target, needed, depth + 1);
			continue;
		}
		if (suggestion->property_count == MAX_PROPERTIES)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("target schema has more than %d properties",
							MAX_PROPERTIES)));
		property = &suggestion->properties[suggestion->property_count++];
		property->target = target;
		property->name = postrider_field_name(name);
		property->full_name = postrider_field_name(target);
		property->schema = inner;
		property->type = get_type(&inner);
		property->format = get_string(&inner, "format");
		property->required = needed;
		property->column = -1;
	}
}

/*
 * The relation
 */

static void
collect_columns(Suggestion *suggestion, Oid relation_id)
{
	Relation	relation = relation_open(relation_id, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(relation);

	suggestion->columns = palloc(desc->natts * sizeof(Column) + 1);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		Column	   *column = &suggestion->columns[suggestion->column_count];
		bool		preferred;

		if (attribute->attisdropped)
			continue;
		column->name = pstrdup(NameStr(attribute->attname));
		column->words = postrider_field_name(column->name);
		column->type = getBaseType(attribute->atttypid);
		get_type_category_preferred(column->type, &column->category,
									&preferred);
		column->taken = false;
		suggestion->column_count++;
	}
	relation_close(relation, AccessShareLock);
}

/*
 * Who fits whom
 */

/* 1: the type fits as it is, less: it takes luck or a conversion. */
static double
likeness_of_types(const Property *property, const Column *column)
{
	const char *type = property->type;
	bool		is_json = column->type == JSONBOID || column->type == JSONOID;
	bool		is_number = column->category == TYPCATEGORY_NUMERIC;

	if (*type == '\0')
		return 1;
	if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0)
		return is_number ? 1 : column->category == TYPCATEGORY_STRING ||
			column->category == TYPCATEGORY_DATETIME ? 0.8 : 0.5;
	if (strcmp(type, "boolean") == 0)
		return column->category == TYPCATEGORY_BOOLEAN ? 1 :
			is_number || column->category == TYPCATEGORY_STRING ? 0.7 : 0.4;
	if (strcmp(type, "array") == 0)
		return column->category == TYPCATEGORY_ARRAY ? 1 : is_json ? 0.9 : 0.3;
	if (strcmp(type, "object") == 0)
		return is_json ? 1 : 0.3;
	if (strncmp(property->format, "date", 4) == 0)
		return column->category == TYPCATEGORY_DATETIME ? 1 :
			column->category == TYPCATEGORY_STRING ? 0.9 : 0.6;
	return column->category == TYPCATEGORY_STRING ? 1 :
		column->category == TYPCATEGORY_ARRAY || is_json ? 0.4 : 0.9;
}

static double
likeness_of(const Property *property, const Column *column)
{
	double		name = postrider_field_name_likeness(property->name,
													 column->words);
	double		full = postrider_field_name_likeness(property->full_name,
													 column->words);

	return Max(name, full) * likeness_of_types(property, column);
}

static void
match(Suggestion *suggestion)
{
	int			count = suggestion->column_count;
	double	   *table = palloc_extended((Size) suggestion->property_count *
										count * sizeof(double) + 1,
										MCXT_ALLOC_HUGE);

	for (int i = 0; i < suggestion->property_count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < count; j++)
			table[i * count + j] = likeness_of(&suggestion->properties[i],
											   &suggestion->columns[j]);
	}
	for (;;)
	{
		double		best = 0;
		int			best_property = -1;
		int			best_column = -1;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < suggestion->property_count; i++)
		{
			if (suggestion->properties[i].column >= 0)
				continue;
			for (int j = 0; j < count; j++)
			{
				if (suggestion->columns[j].taken || table[i * count + j] <= best)
					continue;
				best = table[i * count + j];
				best_property = i;
				best_column = j;
			}
		}
		if (best < MIN_LIKENESS)
			break;
		suggestion->properties[best_property].column = best_column;
		suggestion->properties[best_property].likeness = best;
		suggestion->columns[best_column].taken = true;
	}
	pfree(table);
}

/*
 * The definition
 */

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	(void) pushJsonbValue(state, WJB_KEY, &value);
}

static void
push_string(JsonbParseState **state, const char *key, const char *string)
{
	JsonbValue	value = {.type = jbvString};

	push_key(state, key);
	value.val.string.val = unconstify(char *, string);
	value.val.string.len = strlen(string);
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

static void
push_value(JsonbParseState **state, const char *key, const JsonbValue *value)
{
	push_key(state, key);
	(void) pushJsonbValue(state, WJB_VALUE, (JsonbValue *) value);
}

static void
push_true(JsonbParseState **state, const char *key)
{
	JsonbValue	value = {.type = jbvBool};

	value.val.boolean = true;
	push_value(state, key, &value);
}

/* $.record.name, quoted where the name is no plain word */
static char *
path_of_column(const char *name)
{
	bool		plain = !(name[0] >= '0' && name[0] <= '9');
	StringInfoData path;

	for (const char *p = name; *p != '\0'; p++)
		plain &= (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			(*p >= '0' && *p <= '9') || *p == '_';
	initStringInfo(&path);
	appendStringInfoString(&path, "$.record.");
	if (plain)
	{
		appendStringInfoString(&path, name);
		return path.data;
	}
	appendStringInfoChar(&path, '"');
	for (; *name != '\0'; name++)
		appendStringInfo(&path, "%s%c",
						 *name == '"' || *name == '\\' ? "\\" : "", *name);
	appendStringInfoChar(&path, '"');
	return path.data;
}

/* A step that the conversions know: {"date": {"from": "iso", "to": ...}} */
static bool
push_date_step(JsonbParseState **state, const char *to)
{
	Datum		text_of_step = CStringGetDatum(psprintf("{\"date\": {\"from\": \"iso\", \"to\": \"%s\"}}",
														to));
	Jsonb	   *step = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, text_of_step));
	JsonbValue	value;
	char	   *problem;

	JsonbToJsonbValue(step, &value);
	if (postrider_conversion_compile(&value, &problem) == NULL)
		return false;
	push_key(state, "apply");
	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	(void) pushJsonbValue(state, WJB_ELEM, &value);
	(void) pushJsonbValue(state, WJB_END_ARRAY, NULL);
	return true;
}

/* The type, or how a date becomes it.  Returns a remark or NULL. */
static const char *
push_type(JsonbParseState **state, const Property *property,
		  const Column *column)
{
	static const char *const known[] = {
		"string", "integer", "number", "boolean", "array", "object", NULL
	};
	bool		is_time = column->category == TYPCATEGORY_DATETIME;
	const char *type = property->type;

	if (is_time && (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0) &&
		push_date_step(state, "epoch_ms"))
		return "milliseconds since 1970 are a guess";
	if (strcmp(property->format, "date") == 0 && is_time &&
		column->type != DATEOID && push_date_step(state, "date"))
		return NULL;
	if (strcmp(property->format, "date") == 0)
		type = "date";
	else if (strcmp(property->format, "date-time") == 0)
	{
		type = column->type == TIMESTAMPOID ? "string" : "date-time";
		push_string(state, "type", type);
		return column->type == TIMESTAMPOID ? "the column has no time zone" :
			NULL;
	}
	else
	{
		int			i = 0;

		while (known[i] != NULL && strcmp(known[i], type) != 0)
			i++;
		if (known[i] == NULL)
			return NULL;
	}
	push_string(state, "type", type);
	return NULL;
}

/* The check that goes with a format, if the checks have it. */
static void
push_check(JsonbParseState **state, const Property *property)
{
	static const char *const names[][2] = {
		{"email", "email"}, {"idn-email", "email"}, {"uri", "url"},
		{"url", "url"}, {"uuid", "uuid"}, {"phone", "phone"},
		{"ipv4", "ip"}, {"ipv6", "ip"}
	};
	JsonbValue	check = {.type = jbvString};
	char	   *problem;

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (strcmp(names[i][0], property->format) != 0)
			continue;
		check.val.string.val = unconstify(char *, names[i][1]);
		check.val.string.len = strlen(names[i][1]);
		if (postrider_check_compile(&check, &problem) != NULL)
			push_value(state, "check", &check);
		return;
	}
}

static void
push_limits(JsonbParseState **state, const Property *property)
{
	JsonbValue	value;
	char	   *ignored;

	if (property->required)
		push_true(state, "required");
	if (get_object(&property->schema, "maxLength", &value) &&
		postrider_mapping_convert_type(TYPE_INTEGER, &value, &ignored) &&
		value.type == jbvNumeric)
	{
		const char *digits = postrider_mapping_show(&value);

		if (strlen(digits) <= 7 && atoi(digits) > 0)
		{
			if (strcmp(property->type, "string") != 0)
				push_string(state, "type", "string");
			push_value(state, "max_length", &value);
		}
	}
	if (get_object(&property->schema, "default", &value))
		push_value(state, "default", &value);
}

static void
push_field(JsonbParseState **state, const Suggestion *suggestion,
		   const Property *property)
{
	JsonbValue	value;
	const char *remark;

	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_string(state, "to", property->target);
	if (get_object(&property->schema, "const", &value))
		push_value(state, "value", &value);
	else if (property->column < 0)
	{
		JsonbValue	null = {.type = jbvNull};

		push_value(state, "value",
				   get_object(&property->schema, "default", &value) ? &value :
				   &null);
		push_string(state, "description", property->required ?
					"nothing in the relation fits, and it is required" :
					"nothing in the relation fits");
	}
	else
	{
		const Column *column = &suggestion->columns[property->column];

		push_string(state, "from", path_of_column(column->name));
		remark = push_type(state, property, column);
		push_limits(state, property);
		push_check(state, property);
		if (remark == NULL && property->likeness < SURE_LIKENESS)
			remark = "a guess by the name";
		if (remark != NULL)
			push_string(state, "description", remark);
	}
	(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static Jsonb *
make_definition(const Suggestion *suggestion)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_key(&state, "fields");
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < suggestion->property_count; i++)
		push_field(&state, suggestion, &suggestion->properties[i]);
	(void) pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	push_true(&state, "drop_nulls");
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* SQL: postrider.suggest_mapping(relation, target_schema) */
Datum
postrider_suggest_mapping(PG_FUNCTION_ARGS)
{
	Oid			relation = PG_GETARG_OID(0);
	Jsonb	   *schema = PG_GETARG_JSONB_P(1);
	Suggestion *suggestion = palloc0(sizeof(Suggestion));

	if (!OidIsValid(get_rel_type_id(relation)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" has no rows that could be mapped",
						get_rel_name(relation) ? get_rel_name(relation) :
						psprintf("%u", relation)),
				 errhint("Name a table or a view.")));
	JsonbToJsonbValue(schema, &suggestion->root);
	collect_properties(suggestion, &suggestion->root, "", true, 0);
	if (suggestion->property_count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("target schema has no properties"),
				 errhint("A JSON Schema of an object is needed, such as {\"type\": \"object\", \"properties\": {\"email\": {\"type\": \"string\"}}}.")));
	collect_columns(suggestion, relation);
	match(suggestion);
	PG_RETURN_JSONB_P(make_definition(suggestion));
}
