/*-------------------------------------------------------------------------
 *
 * mapping_field.c
 *	  Compiles one field of a mapping, and says all that is wrong with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mapping_internal.h"

static const char *const field_keys[] = {
	"to", "from", "separator", "coalesce", "value", "each", "fields", "when",
	"of", "apply", "lookup", "type", "default", "required", "nulls",
	"max_length", "overflow", "check", "description", "drop_nulls",
	"pass_through", NULL
};

/* What a field with "fields" cannot have: its values have them. */
static const char *const value_keys[] = {
	"separator", "coalesce", "value", "apply", "lookup", "type", "max_length",
	"overflow", "check", NULL
};

/* What a constant cannot have. */
static const char *const source_keys[] = {
	"separator", "of", "apply", "lookup", "type", "default", "required",
	"max_length", "overflow", "check", NULL
};

/*
 * Sources
 */

static SourcePath *
get_path(MappingCompiler *compiler, const JsonbValue *value,
		 const char *position)
{
	SourcePath *path;
	char	   *problem = NULL;

	if (value->type != jbvString)
	{
		postrider_mapping_problem(compiler, position,
								  "%s is not a path, a string such as \"$.record.email\"",
								  postrider_mapping_show(value));
		return NULL;
	}
	path = postrider_mapping_path_compile(postrider_mapping_string(value),
										  &problem);
	if (path == NULL)
		postrider_mapping_problem(compiler, position, "%s %s",
								  postrider_mapping_show(value), problem);
	return path;
}

static void
get_paths(MappingCompiler *compiler, const JsonbValue *value,
		  MappingField *field, const char *position)
{
	JsonbContainer *array = value->val.binary.data;
	int			count;

	if (value->type == jbvString)
	{
		field->paths = palloc(sizeof(SourcePath *));
		field->paths[0] = get_path(compiler, value, position);
		field->path_count = 1;
		return;
	}
	if (!postrider_mapping_is_container(value, JB_FARRAY) || JsonContainerSize(array) == 0)
	{
		postrider_mapping_problem(compiler, position,
								  "%s is not a path or a list of paths",
								  postrider_mapping_is_container(value, JB_FARRAY) ?
								  "an empty list" :
								  postrider_mapping_show(value));
		return;
	}
	count = JsonContainerSize(array);
	if (count > MAPPING_MAX_PATHS)
	{
		postrider_mapping_problem(compiler, position, "more than %d paths",
								  MAPPING_MAX_PATHS);
		return;
	}
	field->paths = palloc(count * sizeof(SourcePath *));
	field->path_count = count;
	for (int i = 0; i < count; i++)
	{
		JsonbValue	element;

		postrider_mapping_child(array, i, &element);
		field->paths[i] = get_path(compiler, &element,
								   psprintf("%s[%d]", position, i));
	}
}

static void
refuse_keys(MappingCompiler *compiler, const JsonbValue *object,
			const char *position, const char *const *keys, const char *where)
{
	JsonbValue	value;

	for (; *keys != NULL; keys++)
	{
		if (postrider_mapping_get(object, *keys, &value))
			postrider_mapping_problem(compiler, psprintf("%s.%s", position, *keys),
									  "\"%s\" has no effect %s", *keys, where);
	}
}

/* Exactly one of the sources. */
static void
compile_source(MappingCompiler *compiler, const JsonbValue *object,
			   MappingField *field, const char *position)
{
	static const char *const kinds[] = {"from", "coalesce", "value", "each"};
	static const FieldSource sources[] = {
		SOURCE_PATH, SOURCE_COALESCE, SOURCE_VALUE, SOURCE_EACH
	};
	JsonbValue	value;
	JsonbValue	found;
	const char *kind = NULL;

	for (int i = 0; i < (int) lengthof(kinds); i++)
	{
		if (!postrider_mapping_get(object, kinds[i], &value))
			continue;
		if (kind != NULL)
		{
			postrider_mapping_problem(compiler, position,
									  "both \"%s\" and \"%s\"; a field has one source",
									  kind, kinds[i]);
			return;
		}
		kind = kinds[i];
		found = value;
		field->source = sources[i];
	}
	if (kind == NULL)
	{
		field->source = SOURCE_OBJECT;
		if (!postrider_mapping_get(object, "fields", &value))
			postrider_mapping_problem(compiler, position,
									  "no source; one of \"from\", \"coalesce\", \"value\", \"each\" and \"fields\" is needed");
		return;
	}
	if (field->source == SOURCE_VALUE)
	{
		postrider_mapping_copy_value(&found, &field->value);
		refuse_keys(compiler, object, position, source_keys, "on a constant");
		return;
	}
	get_paths(compiler, &found, field, psprintf("%s.%s", position, kind));
	if (field->source == SOURCE_EACH && field->path_count > 1)
		postrider_mapping_problem(compiler, psprintf("%s.each", position),
								  "a list; \"each\" is one path");
	if (field->source == SOURCE_PATH && found.type != jbvString)
		field->source = SOURCE_CONCAT;
}

static void
compile_separator(MappingCompiler *compiler, const JsonbValue *object,
				  MappingField *field, const char *position)
{
	JsonbValue	value;

	field->separator = postrider_mapping_get_text(compiler, object, position,
												  "separator");
	if (field->separator == NULL)
		field->separator = " ";
	else if (field->source != SOURCE_CONCAT)
		refuse_keys(compiler, object, position,
					(const char *const[]) {"separator", NULL},
					"without a list of paths in \"from\"");
	field->separator_length = strlen(field->separator);
	if (postrider_mapping_get(object, "when", &value))
		field->when = get_path(compiler, &value, psprintf("%s.when", position));
}

/*
 * What becomes of the value
 */

/* The elements of a list, or the one thing that stands in its place. */
static int
count_listed(const JsonbValue *value)
{
	return postrider_mapping_is_container(value, JB_FARRAY) ?
		(int) JsonContainerSize(value->val.binary.data) : 1;
}

static const char *
list_element(const JsonbValue *value, int index, const char *position,
			 JsonbValue *element)
{
	if (!postrider_mapping_is_container(value, JB_FARRAY))
	{
		*element = *value;
		return position;
	}
	postrider_mapping_child(value->val.binary.data, index, element);
	return psprintf("%s[%d]", position, index);
}

static void
compile_conversions(MappingCompiler *compiler, const JsonbValue *object,
					MappingField *field, const char *position)
{
	JsonbValue	value;
	int			count;

	if (!postrider_mapping_get(object, "apply", &value))
		return;
	count = count_listed(&value);
	position = psprintf("%s.apply", position);
	if (count > MAPPING_MAX_STEPS)
	{
		postrider_mapping_problem(compiler, position,
								  "more than %d conversions", MAPPING_MAX_STEPS);
		return;
	}
	field->conversions = palloc(count * sizeof(Conversion *));
	for (int i = 0; i < count; i++)
	{
		JsonbValue	element;
		const char *place = list_element(&value, i, position, &element);
		char	   *problem = NULL;
		Conversion *conversion = postrider_conversion_compile(&element,
															  &problem);

		if (conversion == NULL)
			postrider_mapping_problem(compiler, place, "%s", problem);
		else
			field->conversions[field->conversion_count++] = conversion;
	}
}

static void
add_check(MappingCompiler *compiler, MappingField *field,
		  const JsonbValue *definition, const char *position)
{
	char	   *problem = NULL;
	Check	   *check = postrider_check_compile(definition, &problem);

	if (check == NULL)
		postrider_mapping_problem(compiler, position, "%s", problem);
	else
		field->checks[field->check_count++] = check;
}

static void
compile_checks(MappingCompiler *compiler, const JsonbValue *object,
			   MappingField *field, const char *position)
{
	JsonbValue	value;
	int			count = 0;

	if (postrider_mapping_get(object, "check", &value))
		count = count_listed(&value);
	if (count > MAPPING_MAX_STEPS)
	{
		postrider_mapping_problem(compiler, psprintf("%s.check", position),
								  "more than %d checks", MAPPING_MAX_STEPS);
		return;
	}
	field->checks = palloc((count + 1) * sizeof(Check *));
	position = psprintf("%s.check", position);
	for (int i = 0; i < count; i++)
	{
		JsonbValue	element;
		const char *place = list_element(&value, i, position, &element);

		add_check(compiler, field, &element, place);
	}
}

static void
compile_lookup(MappingCompiler *compiler, const JsonbValue *object,
			   MappingField *field, const char *position)
{
	JsonbValue	value;

	if (!postrider_mapping_get(object, "lookup", &value))
		return;
	position = psprintf("%s.lookup", position);
	if (!postrider_mapping_is_container(&value, JB_FOBJECT) ||
		JsonContainerSize(value.val.binary.data) == 0)
	{
		postrider_mapping_problem(compiler, position,
								  "%s is not an object such as {\"paid\": \"won\", \"*\": \"open\"}",
								  postrider_mapping_is_container(&value, JB_FOBJECT) ?
								  "an empty object" :
								  postrider_mapping_show(&value));
		return;
	}
	field->lookup = JsonbValueToJsonb(&value);
	field->has_lookup_other =
		getKeyJsonValueFromContainer(&field->lookup->root, "*", 1,
									 &field->lookup_other) != NULL;
}

static void
compile_length(MappingCompiler *compiler, const JsonbValue *object,
			   MappingField *field, const char *position)
{
	static const char *const words[] = {"error", "truncate", NULL};
	JsonbValue	value;
	bool		limited = postrider_mapping_get(object, "max_length", &value);
	char	   *ignored;

	field->truncate = postrider_mapping_get_word(compiler, object, position, "overflow",
							   words) == 1;
	if (!limited)
	{
		refuse_keys(compiler, object, position,
					(const char *const[]) {"overflow", NULL},
					"without \"max_length\"");
		return;
	}
	if (postrider_mapping_convert_type(TYPE_INTEGER, &value, &ignored) &&
		value.type == jbvNumeric)
	{
		const char *digits = postrider_mapping_show(&value);

		if (strlen(digits) <= 8 && digits[0] != '-')
			field->max_length = atoi(digits);
	}
	if (field->max_length < 1 || field->max_length > MAPPING_MAX_LENGTH)
		postrider_mapping_problem(compiler, psprintf("%s.max_length", position),
								  "%s is not a number from 1 to %d",
								  postrider_mapping_show(&value),
								  MAPPING_MAX_LENGTH);
}

/* A default that the receiver would refuse is found now. */
static void
compile_default(MappingCompiler *compiler, const JsonbValue *object,
				MappingField *field, const char *position)
{
	JsonbValue	value;
	char	   *problem = NULL;

	if (!postrider_mapping_get(object, "default", &value))
		return;
	position = psprintf("%s.default", position);
	postrider_mapping_copy_value(&value, &field->default_value);
	field->has_default = true;
	if (field->source == SOURCE_EACH || field->source == SOURCE_OBJECT ||
		value.type == jbvNull)
		return;
	if (!postrider_mapping_convert_type(field->type, &field->default_value,
										&problem) ||
		!postrider_mapping_limit_length(field, &field->default_value, &problem))
	{
		postrider_mapping_problem(compiler, position, "%s", problem);
		return;
	}
	for (int i = 0; i < field->check_count; i++)
	{
		if (!postrider_check_apply(field->checks[i], &field->default_value,
								   &problem))
			postrider_mapping_problem(compiler, position, "%s", problem);
	}
}

static void
compile_type(MappingCompiler *compiler, const JsonbValue *object,
			 MappingField *field, const char *position)
{
	static const char *const types[] = {
		"any", "string", "integer", "number", "boolean", "array", "object",
		"date", "date-time", NULL
	};
	static const char *const nulls[] = {"keep", "drop", NULL};
	static const char *const bases[] = {"element", "payload", NULL};
	int			word = postrider_mapping_get_word(compiler, object, position, "type", types);

	field->type = word < 0 ? TYPE_ANY : (FieldType) word;
	word = postrider_mapping_get_word(compiler, object, position, "nulls", nulls);
	if (word >= 0)
		field->nulls = word == 0 ? NULLS_KEEP : NULLS_DROP;
	field->of_payload = postrider_mapping_get_word(compiler, object, position, "of", bases) == 1;
	field->required = postrider_mapping_get_bool(compiler, object, position,
												 "required", false);
	field->description = postrider_mapping_get_text(compiler, object, position,
													"description");
}

static void
compile_target(MappingCompiler *compiler, const JsonbValue *object,
			   MappingField *field, const char *position)
{
	JsonbValue	value;
	char	   *problem = NULL;

	field->target = "";
	if (!postrider_mapping_get(object, "to", &value))
	{
		postrider_mapping_problem(compiler, position,
								  "no target; \"to\" is needed");
		return;
	}
	if (value.type != jbvString)
	{
		postrider_mapping_problem(compiler, psprintf("%s.to", position),
								  "%s is not a string",
								  postrider_mapping_show(&value));
		return;
	}
	field->target = postrider_mapping_string(&value);
	field->target_step_count =
		postrider_mapping_target_parse(field->target, &field->target_steps,
									   &problem);
	if (field->target_step_count == 0)
		postrider_mapping_problem(compiler, psprintf("%s.to", position),
								  "target %s %s", postrider_mapping_show(&value),
								  problem);
}

/* "fields": a list of objects or a nested object. */
static void
compile_nested(MappingCompiler *compiler, const JsonbValue *object,
			   MappingField *field, bool drop_nulls, const char *position,
			   int depth)
{
	JsonbValue	value;

	if (!postrider_mapping_get(object, "fields", &value))
	{
		refuse_keys(compiler, object, position,
					(const char *const[]) {"drop_nulls", "pass_through", NULL},
					"without \"fields\"");
		return;
	}
	refuse_keys(compiler, object, position, value_keys,
				"on a field with \"fields\"; say it of those");
	if (field->source == SOURCE_CONCAT)
		postrider_mapping_problem(compiler, psprintf("%s.from", position),
								  "a list; with \"fields\" it is one path");
	if (field->source == SOURCE_PATH)
		field->source = SOURCE_OBJECT;
	if (depth == MAPPING_MAX_DEPTH)
	{
		postrider_mapping_problem(compiler, psprintf("%s.fields", position),
								  "\"fields\" within \"fields\" more than %d deep",
								  MAPPING_MAX_DEPTH);
		return;
	}
	field->group = postrider_mapping_compile_group(compiler, object, position,
												   drop_nulls, depth + 1);
}

void
postrider_mapping_compile_field(MappingCompiler *compiler,
								const JsonbValue *definition,
								MappingField *field, bool drop_nulls,
								const char *position, int depth)
{
	if (!postrider_mapping_is_container(definition, JB_FOBJECT))
	{
		postrider_mapping_problem(compiler, position,
								  "%s is not a field, an object such as {\"to\": \"email\", \"from\": \"$.record.email\"}",
								  postrider_mapping_show(definition));
		return;
	}
	field->nulls = drop_nulls ? NULLS_DROP : NULLS_KEEP;
	postrider_mapping_check_keys(compiler, definition, position, field_keys);
	compile_target(compiler, definition, field, position);
	compile_source(compiler, definition, field, position);
	compile_separator(compiler, definition, field, position);
	compile_type(compiler, definition, field, position);
	compile_conversions(compiler, definition, field, position);
	compile_lookup(compiler, definition, field, position);
	compile_length(compiler, definition, field, position);
	compile_checks(compiler, definition, field, position);
	compile_default(compiler, definition, field, position);
	compile_nested(compiler, definition, field, drop_nulls, position, depth);
}
