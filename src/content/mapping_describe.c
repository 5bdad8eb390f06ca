/*-------------------------------------------------------------------------
 *
 * mapping_describe.c
 *	  A mapping as a table of its fields, for documentation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mapping_internal.h"
#include "lib/stringinfo.h"
#include "util/compat.h"

static char *
json_text(const JsonbValue *value)
{
	Jsonb	   *jsonb = JsonbValueToJsonb((JsonbValue *) value);

	return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
}

static char *
describe_source(const MappingField *field, const char *outer)
{
	StringInfoData string;

	initStringInfo(&string);
	if (field->source == SOURCE_VALUE)
	{
		appendStringInfoString(&string, json_text(&field->value));
		return string.data;
	}
	if (*outer != '\0' && !field->of_payload)
		appendStringInfo(&string, "%s -> ", outer);
	for (int i = 0; i < field->path_count; i++)
		appendStringInfo(&string, "%s%s", i == 0 ? "" :
						 field->source == SOURCE_CONCAT ? " || " : ", else ",
						 field->paths[i]->text);
	if (field->source == SOURCE_CONCAT)
		appendStringInfo(&string, " (separator \"%s\")", field->separator);
	return string.data;
}

static void
append_part(StringInfo string, const char *part)
{
	appendStringInfo(string, "%s%s", string->len > 0 ? ", " : "", part);
}

static char *
describe_conversions(const MappingField *field)
{
	StringInfoData string;

	initStringInfo(&string);
	for (int i = 0; i < field->conversion_count; i++)
		append_part(&string,
					postrider_conversion_describe(field->conversions[i]));
	if (field->lookup != NULL)
	{
		JsonbValue	lookup;

		JsonbToJsonbValue(field->lookup, &lookup);
		append_part(&string, psprintf("lookup %s", json_text(&lookup)));
	}
	return string.len > 0 ? string.data : NULL;
}

static char *
describe_checks(const MappingField *field)
{
	StringInfoData string;

	initStringInfo(&string);
	for (int i = 0; i < field->check_count; i++)
		append_part(&string, postrider_check_describe(field->checks[i]));
	return string.len > 0 ? string.data : NULL;
}

static const char *
describe_type(const MappingField *field)
{
	if (field->group != NULL)
		return field->source == SOURCE_EACH ? "array of objects" : "object";
	if (field->source == SOURCE_EACH && field->type == TYPE_ANY)
		return "array";
	if (field->source == SOURCE_EACH)
		return psprintf("array of %s", postrider_mapping_type_name(field->type));
	return field->type == TYPE_ANY ? NULL :
		postrider_mapping_type_name(field->type);
}

static List *
describe_group(List *list, const MappingGroup *group, const char *target,
			   const char *source)
{
	if (group->pass_through != NULL)
	{
		MappingDescription *row = palloc0(sizeof(MappingDescription));

		row->target = psprintf("%s*", target);
		row->source = *source ? psprintf("%s -> %s", source,
										 group->pass_through->text) :
			group->pass_through->text;
		row->description = "copied, then changed by the fields";
		list = lappend(list, row);
	}
	for (int i = 0; i < group->field_count; i++)
	{
		const MappingField *field = &group->fields[i];
		MappingDescription *row = palloc0(sizeof(MappingDescription));

		row->target = psprintf("%s%s%s", target, field->target,
							   field->source == SOURCE_EACH ? "[]" : "");
		row->source = describe_source(field, source);
		row->condition = field->when ? field->when->text : NULL;
		row->conversions = describe_conversions(field);
		row->type = describe_type(field);
		row->required = field->required;
		if (field->has_default)
			row->default_value = json_text(&field->default_value);
		row->max_length = field->max_length;
		if (field->max_length > 0)
			row->overflow = field->truncate ? "truncate" : "error";
		row->checks = describe_checks(field);
		row->description = field->description;
		list = lappend(list, row);
		if (field->group != NULL)
			list = describe_group(list, field->group,
								  psprintf("%s.", row->target),
								  field->path_count > 0 ? row->source : source);
	}
	return list;
}

List *
postrider_mapping_describe(const Mapping *mapping)
{
	return describe_group(NIL, mapping->group, "", "");
}
