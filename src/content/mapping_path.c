/*-------------------------------------------------------------------------
 *
 * mapping_path.c
 *	  Sources of mapped fields: SQL/JSON paths.
 *
 * Most paths are as simple as $.record.email.  Those are walked here, key by
 * key, in the stored form of jsonb, which takes a small part of the time of
 * PostgreSQL's executor of paths.  Where the lax mode of paths has something
 * to smooth over (a key of an array, an element of what is no array) the walk
 * gives up and the executor does it, so that the answer is always its answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/filter.h"
#include "content/json_path.h"
#include "content/mapping_internal.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* Larger subscripts are left to the executor. */
#define MAX_SUBSCRIPT 1000000

/*
 * Compilation
 */

static const char *
message_of_error(void)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *error = CopyErrorData();
	const char *message = error->message;

	FlushErrorState();
	MemoryContextSwitchTo(context);
	return message;
}

static bool
is_plural(JsonPathItem *item)
{
	JsonPathItem next;

	for (;;)
	{
		switch (item->type)
		{
			case jpiAnyArray:
			case jpiAnyKey:
			case jpiAny:
			case jpiFilter:
			case jpiKeyValue:
				return true;
			case jpiIndexArray:
				if (item->content.array.nelems != 1 ||
					item->content.array.elems[0].to != 0)
					return true;
				break;
			default:
				break;
		}
		if (!jspGetNext(item, &next))
			return false;
		*item = next;
	}
}

/* One subscript that is a small constant or the last one. */
static bool
take_subscript(JsonPathItem *item, PathStep *step)
{
	JsonPathItem from;
	JsonPathItem to;
	char	   *digits;

	if (item->content.array.nelems != 1 ||
		jspGetArraySubscript(item, &from, &to, 0) || jspHasNext(&from))
		return false;
	step->key = NULL;
	if (from.type == jpiLast)
	{
		step->index = -1;
		return true;
	}
	if (from.type != jpiNumeric)
		return false;
	digits = DatumGetCString(DirectFunctionCall1(numeric_out,
												 NumericGetDatum(jspGetNumeric(&from))));
	if (strspn(digits, "0123456789") != strlen(digits) || strlen(digits) > 7 ||
		atoi(digits) > MAX_SUBSCRIPT)
		return false;
	step->index = atoi(digits);
	return true;
}

/* Fills in the steps if the path has no more than them. */
static bool
take_steps(SourcePath *result)
{
	JsonPathItem item;
	JsonPathItem next;
	int			space = 8;

	jspInit(&item, result->path);
	if ((result->path->header & JSONPATH_LAX) == 0 || item.type != jpiRoot)
		return false;
	result->steps = palloc(space * sizeof(PathStep));
	while (jspGetNext(&item, &next))
	{
		PathStep	step = {0};

		item = next;
		if (item.type == jpiKey)
		{
			int32		length;
			char	   *key = jspGetString(&item, &length);

			step.key = pnstrdup(key, length);
			step.length = length;
		}
		else if (item.type == jpiAnyArray && !jspHasNext(&item))
		{
			result->all_elements = true;
			return true;
		}
		else if (item.type != jpiIndexArray || !take_subscript(&item, &step))
			return false;
		if (result->step_count == space)
		{
			space *= 2;
			result->steps = repalloc(result->steps, space * sizeof(PathStep));
		}
		result->steps[result->step_count++] = step;
	}
	return true;
}

SourcePath *
postrider_mapping_path_compile(const char *string, char **problem)
{
	SourcePath *result = palloc0(sizeof(SourcePath));
	JsonPathItem item;

	if (strlen(string) > MAPPING_MAX_PATH_BYTES)
	{
		*problem = psprintf("is a path of more than %d bytes",
							MAPPING_MAX_PATH_BYTES);
		return NULL;
	}
	result->text = pstrdup(string);
	result->path = postrider_json_path_parse(string, problem);
	if (result->path == NULL)
		return NULL;
	if (postrider_filter_has_variable(result->path))
	{
		*problem = "is a path with a variable; there are none here";
		return NULL;
	}
	result->simple = take_steps(result);
	jspInit(&item, result->path);
	result->plural = is_plural(&item);
	return result;
}

/*
 * Evaluation
 */

Jsonb *
postrider_mapping_document(SourceDocument *document)
{
	if (document->jsonb == NULL)
		document->jsonb = JsonbValueToJsonb(&document->value);
	return document->jsonb;
}

/* Follows the steps.  1 found, 0 not found, -1: this is for the executor. */
static int
walk(const SourcePath *path, const JsonbValue *start, JsonbValue *value)
{
	*value = *start;
	for (int i = 0; i < path->step_count; i++)
	{
		const PathStep *step = &path->steps[i];
		JsonbContainer *container;
		int32		index = step->index;

		if (value->type != jbvBinary)
			return step->key != NULL ? 0 : -1;
		container = value->val.binary.data;
		if (step->key != NULL)
		{
			if (!JsonContainerIsObject(container))
				return -1;
			if (getKeyJsonValueFromContainer(container, step->key,
											 step->length, value) == NULL)
				return 0;
			continue;
		}
		if (!JsonContainerIsArray(container))
			return -1;
		if (index < 0)
			index = JsonContainerSize(container) - 1;
		if (index < 0 || index >= (int32) JsonContainerSize(container))
			return 0;
		postrider_mapping_child(container, index, value);
	}
	return 1;
}

/* With the executor, whose errors become a problem. */
static int
find_by_executor(const SourcePath *path, SourceDocument *document,
				 JsonbValue *value, JsonbValue *values, char **problem)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *jsonb = postrider_mapping_document(document);
	JsonbValue	nothing = {.type = jbvObject};
	Jsonb	   *variables = JsonbValueToJsonb(&nothing);
	Jsonb	   *volatile found = NULL;

	PG_TRY();
	{
		found = DatumGetJsonbP(DirectFunctionCall4(jsonb_path_query_array,
												   JsonbPGetDatum(jsonb),
												   PointerGetDatum(path->path),
												   JsonbPGetDatum(variables),
												   BoolGetDatum(false)));
	}
	PG_CATCH();
	{
		if (!postrider_is_error_of_data(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		*problem = pstrdup(message_of_error());
	}
	PG_END_TRY();
	if (found == NULL)
		return -1;
	if (JB_ROOT_COUNT(found) > 0)
		postrider_mapping_child(&found->root, 0, value);
	if (values != NULL)
		JsonbToJsonbValue(found, values);
	return JB_ROOT_COUNT(found);
}

int
postrider_mapping_path_find(const SourcePath *path, SourceDocument *document,
							JsonbValue *value, JsonbValue *values,
							char **problem)
{
	int			found;

	if (values != NULL)
		values->type = jbvNull;
	if (!path->simple)
		return find_by_executor(path, document, value, values, problem);
	found = walk(path, &document->value, value);
	if (found < 0)
		return find_by_executor(path, document, value, values, problem);
	if (found > 0 && path->all_elements && value->type == jbvBinary &&
		JsonContainerIsArray(value->val.binary.data))
	{
		JsonbContainer *elements = value->val.binary.data;

		if (values != NULL)
			*values = *value;
		found = JsonContainerSize(elements);
		if (found > 0)
			postrider_mapping_child(elements, 0, value);
	}
	return found;
}
