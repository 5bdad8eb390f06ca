/*-------------------------------------------------------------------------
 *
 * mapping_evaluate.c
 *	  Applies a compiled mapping to a record.
 *
 * Each field goes the same way: its source, then "apply", "lookup" and "type",
 * then "default" for what is missing or null, then "required", "max_length"
 * and "check".  A field that fails is noted and the next one follows, so that
 * all that is wrong is known at once.
 *
 * Elements of a list are mapped one after the other in a memory context of
 * their own and written at once, so that the memory needed does not grow with
 * their number but only with the result.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/filter.h"
#include "content/mapping_evaluate.h"
#include "miscadmin.h"
#include "util/compat.h"
#include "utils/memutils.h"

static void evaluate_group(Evaluation *evaluation, const MappingGroup *group,
						   SourceDocument *document, MappingSlot *slots,
						   JsonbContainer **base);

/*
 * Values
 */

/* "apply", "lookup" and "type" */
static bool
convert(Evaluation *evaluation, const MappingField *field, int index,
		JsonbValue *value)
{
	char	   *problem = NULL;

	for (int i = 0; i < field->conversion_count; i++)
	{
		if (!postrider_conversion_apply(field->conversions[i], value, &problem))
		{
			postrider_mapping_note_element(evaluation, field, index, problem);
			return false;
		}
		if (value->type >= jbvArray)
			postrider_mapping_normalize(value);
	}
	if (!postrider_mapping_look_up(field, value, &problem) ||
		!postrider_mapping_convert_type(field->type, value, &problem))
	{
		postrider_mapping_note_element(evaluation, field, index, problem);
		return false;
	}
	return true;
}

/* "max_length" and all of "check" */
static bool
check(Evaluation *evaluation, const MappingField *field, int index,
	  JsonbValue *value)
{
	char	   *problem = NULL;
	bool		good = true;

	if (value->type == jbvNull)
		return true;
	if (!postrider_mapping_limit_length(field, value, &problem))
	{
		postrider_mapping_note_element(evaluation, field, index, problem);
		return false;
	}
	for (int i = 0; i < field->check_count; i++)
	{
		if (postrider_check_apply(field->checks[i], value, &problem))
			continue;
		postrider_mapping_note_element(evaluation, field, index, problem);
		good = false;
	}
	return good;
}

/* "default", "required", and null: what a field's slot has in the end. */
static void
settle(Evaluation *evaluation, const MappingField *field, Outcome outcome,
	   MappingSlot *slot)
{
	bool		is_null = outcome == MISSING || slot->value.type == jbvNull;

	if (outcome == FAILED)
		return;
	if (is_null && field->has_default)
	{
		slot->value = field->default_value;
		is_null = slot->value.type == jbvNull;
		outcome = FOUND;
	}
	if (is_null && field->required)
		postrider_mapping_note(evaluation, field, "is required");
	else if (outcome == MISSING)
		slot->state = SLOT_MISSING;
	else if (is_null && field->nulls == NULLS_DROP)
		slot->state = SLOT_DROPPED;
	else
		slot->state = SLOT_FILLED;
}

/*
 * Nested groups
 */

/* Not on the stack, for it must outlive a jump out of an error. */
static Place *
make_place(Evaluation *evaluation, const MappingField *field, int index)
{
	Place	   *place = palloc(sizeof(Place));

	place->outer = evaluation->place;
	place->field = field;
	place->index = index;
	return place;
}

static MappingSlot *
make_slots(const MappingGroup *group)
{
	return palloc((group->slot_count + 1) * sizeof(MappingSlot));
}

/* The element's value in place of the group's; false if it failed. */
static bool
map_element(Evaluation *evaluation, const MappingField *field, Place *place,
			MappingWriter *writer, int start, int written, uint32 *total,
			const JsonbValue *element)
{
	SourceDocument document = {.value = *element};
	JsonbValue	value = *element;

	if (field->group != NULL)
	{
		MappingSlot *slots = make_slots(field->group);
		JsonbContainer *base;
		int			before = evaluation->problem_count;

		evaluation->place = place;
		evaluate_group(evaluation, field->group, &document, slots, &base);
		evaluation->place = place->outer;
		if (evaluation->problem_count > before)
			return false;
		postrider_mapping_write_group_element(writer, start, written, total,
											  field->group, slots, base);
		return true;
	}
	if (!convert(evaluation, field, place->index, &value) ||
		!check(evaluation, field, place->index, &value))
		return false;
	postrider_mapping_write_element(writer, start, written, total, &value);
	return true;
}

static int
count_not_null(JsonbContainer *array)
{
	int			count = JsonContainerSize(array);
	int			result = 0;

	for (int i = 0; i < count; i++)
		result += !JBE_ISNULL(array->children[i]);
	return result;
}

/* Maps the elements that are not null; positions are those in the source. */
static Outcome
map_elements(Evaluation *evaluation, const MappingField *field,
			 JsonbContainer *elements, JsonbValue *value)
{
	int			count = count_not_null(elements);
	int			before = evaluation->problem_count;
	int			written = 0;
	int			start;
	uint32		total = 0;
	Place	   *place = make_place(evaluation, field, 0);
	MappingWriter writer;
	MemoryContext context;
	MemoryContext old;

	if (count == 0)
		return MISSING;
	postrider_mapping_writer_init(&writer, 0);
	start = postrider_mapping_begin_array(&writer, count);
	context = AllocSetContextCreate(CurrentMemoryContext, "postrider mapping",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < (int) JsonContainerSize(elements); i++)
	{
		JsonbValue	element;

		CHECK_FOR_INTERRUPTS();
		if (writer.too_large || postrider_mapping_is_enough(evaluation))
			break;
		postrider_mapping_child(elements, i, &element);
		if (element.type == jbvNull)
			continue;
		place->index = i;
		if (map_element(evaluation, field, place, &writer, start, written,
						&total, &element))
			written++;
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (writer.too_large)
		postrider_mapping_note(evaluation, field, "the mapped document is too large");
	if (evaluation->problem_count > before)
		return FAILED;
	value->type = jbvBinary;
	value->val.binary.data = (JsonbContainer *) writer.data;
	value->val.binary.len = writer.length;
	return FOUND;
}

/* "each": the elements that the path finds, or those of the array it finds. */
static Outcome
map_each(Evaluation *evaluation, const MappingField *field,
		 SourceDocument *document, JsonbValue *value)
{
	const SourcePath *path = field->paths[0];
	JsonbValue	values;
	JsonbContainer *elements = NULL;
	char	   *problem = NULL;
	int			found = postrider_mapping_path_find(path, document, value,
													&values, &problem);

	if (found < 0)
	{
		postrider_mapping_note(evaluation, field, problem);
		return FAILED;
	}
	if (found == 0 || (found == 1 && value->type == jbvNull))
		return MISSING;
	if (found == 1 && !path->plural && value->type == jbvBinary &&
		JsonContainerIsArray(value->val.binary.data))
		elements = value->val.binary.data;
	else if (values.type == jbvBinary)
		elements = values.val.binary.data;
	else
	{
		postrider_mapping_wrap(value);
		elements = value->val.binary.data;
	}
	return map_elements(evaluation, field, elements, value);
}

static bool
is_filled(const MappingGroup *group, const MappingSlot *slots)
{
	for (int i = 0; i < group->slot_count; i++)
	{
		if (slots[i].state == SLOT_FILLED)
			return true;
	}
	return false;
}

/* A nested object; without any of its fields it is missing. */
static Outcome
map_object(Evaluation *evaluation, const MappingField *field,
		   SourceDocument *document, JsonbValue *value)
{
	SourceDocument inner;
	Place	   *place = make_place(evaluation, field, -1);
	MappingSlot *slots = make_slots(field->group);
	JsonbContainer *base;
	MappingWriter writer;
	int			before = evaluation->problem_count;

	if (field->path_count > 0)
	{
		Outcome		outcome = postrider_mapping_find_one(evaluation, field, field->paths[0],
														 document, value);

		if (outcome != FOUND || value->type == jbvNull)
			return outcome;
		inner.value = *value;
		inner.jsonb = NULL;
		document = &inner;
	}
	evaluation->place = place;
	evaluate_group(evaluation, field->group, document, slots, &base);
	evaluation->place = place->outer;
	if (evaluation->problem_count > before)
		return FAILED;
	if (base == NULL && !is_filled(field->group, slots))
		return MISSING;
	postrider_mapping_writer_init(&writer, 0);
	postrider_mapping_write_group(&writer, field->group, slots, base);
	if (writer.too_large)
	{
		postrider_mapping_note(evaluation, field, "the mapped document is too large");
		return FAILED;
	}
	value->type = jbvBinary;
	value->val.binary.data = (JsonbContainer *) writer.data;
	value->val.binary.len = writer.length;
	return FOUND;
}

/*
 * Fields
 */

static void
evaluate_field(Evaluation *evaluation, const MappingField *field,
			   SourceDocument *document, MappingSlot *slot)
{
	Outcome		outcome = MISSING;
	JsonbValue *value = &slot->value;

	switch (field->source)
	{
		case SOURCE_PATH:
			outcome = postrider_mapping_find_one(evaluation, field, field->paths[0], document,
												 value);
			break;
		case SOURCE_COALESCE:
			outcome = postrider_mapping_find_first(evaluation, field, document, value);
			break;
		case SOURCE_CONCAT:
			outcome = postrider_mapping_concatenate(evaluation, field, document, value);
			break;
		case SOURCE_VALUE:
			*value = field->value;
			outcome = FOUND;
			break;
		case SOURCE_EACH:
			outcome = map_each(evaluation, field, document, value);
			break;
		case SOURCE_OBJECT:
			outcome = map_object(evaluation, field, document, value);
			break;
	}
	if (outcome != FAILED && field->source < SOURCE_VALUE)
	{
		/* What is missing may be supplied by a conversion of nulls. */
		if (outcome == MISSING)
			value->type = jbvNull;
		if (!convert(evaluation, field, -1, value) ||
			!check(evaluation, field, -1, value))
			outcome = FAILED;
		else if (value->type != jbvNull)
			outcome = FOUND;
	}
	settle(evaluation, field, outcome, slot);
}

/* *base is what the group's object starts from, or NULL. */
static void
find_base(Evaluation *evaluation, const MappingGroup *group,
		  SourceDocument *document, JsonbContainer **base)
{
	JsonbValue	value;
	char	   *problem = NULL;
	int			found;
	bool		wants_array = group->root->kind == TARGET_ARRAY;

	*base = NULL;
	if (group->pass_through == NULL)
		return;
	found = postrider_mapping_path_find(group->pass_through, document, &value,
										NULL, &problem);
	if (found == 1 && value.type == jbvBinary &&
		JsonContainerIsArray(value.val.binary.data) == wants_array)
	{
		*base = value.val.binary.data;
		return;
	}
	if (found >= 0)
		problem = psprintf("\"pass_through\" (%s) finds %s where %s is needed",
						   group->pass_through->text,
						   found == 0 ? "nothing" : found > 1 ? "several values" :
						   postrider_mapping_show(&value),
						   wants_array ? "an array" : "an object");
	postrider_mapping_note(evaluation, NULL, problem);
}

static void
evaluate_group(Evaluation *evaluation, const MappingGroup *group,
			   SourceDocument *document, MappingSlot *slots,
			   JsonbContainer **base)
{
	for (int i = 0; i < group->slot_count; i++)
	{
		slots[i].state = SLOT_MISSING;
		slots[i].decided = false;
	}
	find_base(evaluation, group, document, base);
	for (int i = 0; i < group->field_count; i++)
	{
		const MappingField *field = &group->fields[i];
		MappingSlot *slot = &slots[field->slot];
		SourceDocument *source = field->of_payload ? &evaluation->payload :
		document;

		if (slot->decided)
			continue;
		if (postrider_mapping_is_enough(evaluation))
			return;
		evaluation->field = field;
		if (field->when != NULL &&
			!postrider_filter_matches(postrider_mapping_document(source),
									  field->when->path))
			continue;
		slot->decided = true;
		evaluate_field(evaluation, field, source, slot);
	}
}

static Jsonb *
map_payload(Evaluation *evaluation, const MappingGroup *group)
{
	MappingSlot *slots = make_slots(group);
	JsonbContainer *base;
	MappingWriter writer;

	evaluate_group(evaluation, group, &evaluation->payload, slots, &base);
	if (evaluation->problem_count > 0)
		return NULL;
	evaluation->field = NULL;
	postrider_mapping_writer_init(&writer, VARHDRSZ);
	postrider_mapping_write_group(&writer, group, slots, base);
	if (writer.too_large)
	{
		postrider_mapping_note(evaluation, NULL, "the mapped document is too large");
		return NULL;
	}
	SET_VARSIZE(writer.data, writer.length);
	return (Jsonb *) writer.data;
}

/*
 * What the parts above let through as an error, such as a result beyond a
 * limit of PostgreSQL's, becomes a problem of the field that was at work.
 * Nothing here holds a resource, so that no subtransaction is needed.
 */
Jsonb *
postrider_mapping_apply(const Mapping *mapping, Jsonb *payload,
						List **problems)
{
	Evaluation	evaluation = {.context = CurrentMemoryContext};
	Evaluation *volatile state = &evaluation;
	Jsonb	   *volatile result = NULL;

	JsonbToJsonbValue(payload, &evaluation.payload.value);
	postrider_mapping_normalize(&evaluation.payload.value);
	evaluation.payload.jsonb = payload;
	PG_TRY();
	{
		result = map_payload(&evaluation, mapping->group);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (!postrider_is_error_of_data(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(state->context);
		error = CopyErrorData();
		FlushErrorState();
		postrider_mapping_note(state, state->field, error->message);
	}
	PG_END_TRY();
	*problems = evaluation.problems;
	return evaluation.problem_count == 0 ? result : NULL;
}
