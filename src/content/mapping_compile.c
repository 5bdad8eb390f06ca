/*-------------------------------------------------------------------------
 *
 * mapping_compile.c
 *	  Compiles the definition of a mapping.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mapping_internal.h"
#include "miscadmin.h"
#include "util/compat.h"

static const char *const mapping_keys[] = {
	"fields", "drop_nulls", "pass_through", "description", NULL
};

MappingProblem *
postrider_mapping_make_problem(const char *position, const char *source,
							   const char *message)
{
	MappingProblem *problem = palloc(sizeof(MappingProblem));

	problem->position = pstrdup(position);
	problem->source = source ? pstrdup(source) : NULL;
	problem->message = pstrdup(message);
	return problem;
}

/* Of so many problems only the first are kept; nobody reads more. */
void
postrider_mapping_problem(MappingCompiler *compiler, const char *position,
						  const char *format,...)
{
	StringInfoData message;
	va_list		arguments;
	int			needed;

	if (++compiler->problem_count > MAPPING_MAX_PROBLEMS)
		return;
	if (compiler->problem_count == MAPPING_MAX_PROBLEMS)
	{
		compiler->problems =
			lappend(compiler->problems,
					postrider_mapping_make_problem("", NULL,
												   "there are more problems than can be listed"));
		return;
	}
	initStringInfo(&message);
	for (;;)
	{
		va_start(arguments, format);
		needed = appendStringInfoVA(&message, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	compiler->problems =
		lappend(compiler->problems,
				postrider_mapping_make_problem(position, NULL, message.data));
}

/* false, true (the payload or element itself) or a path to an object. */
static void
compile_pass_through(MappingCompiler *compiler, const JsonbValue *definition,
					 MappingGroup *group, const char *position)
{
	JsonbValue	value;
	char	   *problem = NULL;

	if (!postrider_mapping_get(definition, "pass_through", &value))
		return;
	if (value.type == jbvBool)
	{
		if (value.val.boolean)
			group->pass_through = postrider_mapping_path_compile("$", &problem);
		return;
	}
	if (value.type == jbvString)
		group->pass_through =
			postrider_mapping_path_compile(postrider_mapping_string(&value),
										   &problem);
	else
		problem = "is not true, false or a path";
	if (problem != NULL)
		postrider_mapping_problem(compiler,
								  psprintf("%spass_through", position),
								  "%s %s", postrider_mapping_show(&value),
								  problem);
}

static void
compile_fields(MappingCompiler *compiler, const JsonbValue *list,
			   MappingGroup *group, const char *position, int depth)
{
	JsonbContainer *array = list->val.binary.data;
	int			count = JsonContainerSize(array);

	compiler->field_count += count;
	if (compiler->field_count > MAPPING_MAX_FIELDS)
	{
		postrider_mapping_problem(compiler, psprintf("%sfields", position),
								  "more than %d fields", MAPPING_MAX_FIELDS);
		return;
	}
	group->field_count = count;
	group->fields = palloc0(count * sizeof(MappingField));
	for (int i = 0; i < count; i++)
	{
		JsonbValue	field;

		CHECK_FOR_INTERRUPTS();
		postrider_mapping_child(array, i, &field);
		postrider_mapping_compile_field(compiler, &field, &group->fields[i],
										group->drop_nulls,
										psprintf("%sfields[%d]", position, i),
										depth);
	}
}

/*
 * The fields of a mapping, or of a field that has fields; then "position" is
 * that field's and drop_nulls what holds around it.
 */
MappingGroup *
postrider_mapping_compile_group(MappingCompiler *compiler,
								const JsonbValue *definition,
								const char *position, bool drop_nulls,
								int depth)
{
	MappingGroup *group = palloc0(sizeof(MappingGroup));
	const char *prefix = *position ? psprintf("%s.", position) : "";
	JsonbValue	value;

	group->drop_nulls = drop_nulls;
	if (postrider_mapping_get(definition, "drop_nulls", &value))
	{
		if (value.type == jbvBool)
			group->drop_nulls = value.val.boolean;
		else
			postrider_mapping_problem(compiler, psprintf("%sdrop_nulls", prefix),
									  "%s is not true or false",
									  postrider_mapping_show(&value));
	}
	compile_pass_through(compiler, definition, group, prefix);
	if (!postrider_mapping_get(definition, "fields", &value))
		postrider_mapping_problem(compiler, position,
								  "no fields; \"fields\" is needed");
	else if (value.type != jbvBinary ||
			 !JsonContainerIsArray(value.val.binary.data))
		postrider_mapping_problem(compiler, psprintf("%sfields", prefix),
								  "%s is not a list of fields",
								  postrider_mapping_show(&value));
	else if (JsonContainerSize(value.val.binary.data) == 0 &&
			 group->pass_through == NULL)
		postrider_mapping_problem(compiler, psprintf("%sfields", prefix),
								  "an empty list would map to nothing");
	else
		compile_fields(compiler, &value, group, prefix, depth);
	postrider_mapping_target_tree(compiler, group, prefix);
	return group;
}

Mapping *
postrider_mapping_compile(Jsonb *definition, List **problems)
{
	MappingCompiler compiler = {0};
	Mapping    *mapping = palloc0(sizeof(Mapping));
	JsonbValue	root;

	if (VARSIZE(definition) > MAPPING_MAX_DEFINITION_BYTES)
		postrider_mapping_problem(&compiler, "",
								  "the definition has more than %d bytes",
								  MAPPING_MAX_DEFINITION_BYTES);
	else if (!JB_ROOT_IS_OBJECT(definition))
		postrider_mapping_problem(&compiler, "",
								  "the definition is not an object such as {\"fields\": [{\"to\": \"email\", \"from\": \"$.record.email\"}]}");
	else
	{
		JsonbToJsonbValue(definition, &root);
		postrider_mapping_check_keys(&compiler, &root, "", mapping_keys);
		mapping->description =
			postrider_mapping_get_text(&compiler, &root, "", "description");
		mapping->group = postrider_mapping_compile_group(&compiler, &root, "",
														 false, 0);
	}
	*problems = compiler.problems;
	return compiler.problems == NIL ? mapping : NULL;
}

char *
postrider_mapping_problems_text(List *problems)
{
	StringInfoData string;
	ListCell   *cell;

	initStringInfo(&string);
	foreach(cell, problems)
	{
		MappingProblem *problem = lfirst(cell);

		if (string.len > 0)
			appendStringInfoString(&string, "; ");
		if (*problem->position != '\0')
			appendStringInfoString(&string, problem->position);
		if (problem->source != NULL)
			appendStringInfo(&string, " (%s)", problem->source);
		if (*problem->position != '\0')
			appendStringInfoString(&string, ": ");
		appendStringInfoString(&string, problem->message);
	}
	return string.data;
}
