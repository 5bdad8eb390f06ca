/*-------------------------------------------------------------------------
 *
 * mapping_source.c
 *	  What a mapped field starts from, and notes on what is wrong with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mapping_evaluate.h"
#include "lib/stringinfo.h"

/*
 * Problems
 */

static void
append_place(StringInfo string, const Place *place)
{
	if (place == NULL)
		return;
	append_place(string, place->outer);
	appendStringInfoString(string, place->field->target);
	if (place->index >= 0)
		appendStringInfo(string, "[%d]", place->index);
	appendStringInfoChar(string, '.');
}

static char *
sources_of(const MappingField *field)
{
	StringInfoData string;

	if (field->path_count == 0)
		return NULL;
	initStringInfo(&string);
	for (int i = 0; i < field->path_count; i++)
		appendStringInfo(&string, "%s%s", i > 0 ? ", " : "",
						 field->paths[i]->text);
	return string.data;
}

/* "index" is that of the element of the field's list, or -1. */
void
postrider_mapping_note_element(Evaluation *evaluation, const MappingField *field,
							   int index, const char *message)
{
	MemoryContext old = MemoryContextSwitchTo(evaluation->context);
	StringInfoData target;

	evaluation->problem_count++;
	if (evaluation->problem_count < MAPPING_MAX_PROBLEMS)
	{
		initStringInfo(&target);
		append_place(&target, evaluation->place);
		if (field != NULL)
			appendStringInfoString(&target, field->target);
		else if (target.len > 0)
			target.data[--target.len] = '\0';
		if (index >= 0)
			appendStringInfo(&target, "[%d]", index);
		evaluation->problems =
			lappend(evaluation->problems,
					postrider_mapping_make_problem(target.data,
												   field ? sources_of(field) : NULL,
												   message));
	}
	else if (evaluation->problem_count == MAPPING_MAX_PROBLEMS)
		evaluation->problems =
			lappend(evaluation->problems,
					postrider_mapping_make_problem("", NULL,
												   "there are more problems than can be listed"));
	MemoryContextSwitchTo(old);
}

void
postrider_mapping_note(Evaluation *evaluation, const MappingField *field,
					   const char *message)
{
	postrider_mapping_note_element(evaluation, field, -1, message);
}

bool
postrider_mapping_is_enough(const Evaluation *evaluation)
{
	return evaluation->problem_count >= MAPPING_MAX_PROBLEMS;
}

/*
 * Sources
 */

/* One value, or several where the field's type is array. */
Outcome
postrider_mapping_find_one(Evaluation *evaluation, const MappingField *field,
						   const SourcePath *path, SourceDocument *document,
						   JsonbValue *value)
{
	bool		as_array = field->type == TYPE_ARRAY;
	JsonbValue	values = {.type = jbvNull};
	char	   *problem = NULL;
	int			found = postrider_mapping_path_find(path, document, value,
													as_array ? &values : NULL,
													&problem);

	if (found < 0)
	{
		postrider_mapping_note(evaluation, field, problem);
		return FAILED;
	}
	if (found == 0)
		return MISSING;
	if (values.type != jbvNull && (found > 1 || path->plural))
		*value = values;
	else if (found > 1)
	{
		postrider_mapping_note(evaluation, field,
							   psprintf("the path finds %d values where one is wanted; \"type\": \"array\" takes all",
										found));
		return FAILED;
	}
	return FOUND;
}

Outcome
postrider_mapping_find_first(Evaluation *evaluation, const MappingField *field,
							 SourceDocument *document, JsonbValue *value)
{
	Outcome		result = MISSING;

	for (int i = 0; i < field->path_count; i++)
	{
		Outcome		outcome = postrider_mapping_find_one(evaluation, field, field->paths[i],
														 document, value);

		if (outcome == FAILED || (outcome == FOUND && value->type != jbvNull))
			return outcome;
		if (outcome == FOUND)
			result = FOUND;
	}
	value->type = jbvNull;
	return result;
}

/* Parts that are missing, null or empty are left out with their separator. */
Outcome
postrider_mapping_concatenate(Evaluation *evaluation, const MappingField *field,
							  SourceDocument *document, JsonbValue *value)
{
	StringInfoData string;
	bool		any = false;

	initStringInfo(&string);
	for (int i = 0; i < field->path_count; i++)
	{
		JsonbValue	part;
		char	   *part_text;
		int			length;
		Outcome		outcome = postrider_mapping_find_one(evaluation, field, field->paths[i],
														 document, &part);

		if (outcome == FAILED)
			return FAILED;
		if (outcome == MISSING || part.type == jbvNull)
			continue;
		if (!postrider_mapping_scalar_text(&part, &part_text, &length))
		{
			postrider_mapping_note(evaluation, field,
								   psprintf("%s cannot be joined with others",
											postrider_mapping_show(&part)));
			return FAILED;
		}
		any = true;
		if (string.len + length + field->separator_length >
			MAPPING_MAX_RESULT_BYTES)
		{
			postrider_mapping_note(evaluation, field, "is too long");
			return FAILED;
		}
		if (length > 0 && string.len > 0)
			appendBinaryStringInfo(&string, field->separator,
								   field->separator_length);
		appendBinaryStringInfo(&string, part_text, length);
	}
	value->type = jbvString;
	value->val.string.val = string.data;
	value->val.string.len = string.len;
	return any ? FOUND : MISSING;
}
