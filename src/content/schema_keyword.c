/*-------------------------------------------------------------------------
 *
 * schema_keyword.c
 *	  The keywords of JSON Schema: in which drafts they are, to which
 *	  vocabulary they belong, where schemas stand in them, who compiles them.
 *
 * A keyword that is not here is an annotation, as the standard wants it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/schema_internal.h"

#define ALL			(DRAFT_7 | DRAFT_2019 | DRAFT_2020)
#define FROM_2019	(DRAFT_2019 | DRAFT_2020)
#define BEFORE_2020	(DRAFT_7 | DRAFT_2019)
#define ANY_FORMAT	(VOCABULARY_FORMAT | VOCABULARY_ASSERTION)

/* In the order of strcmp. */
static const Keyword keywords[] = {
	{"$anchor", FROM_2019, VOCABULARY_CORE, HOLDS_NOTHING, postrider_compile_string},
	{"$comment", ALL, VOCABULARY_CORE, HOLDS_NOTHING, postrider_compile_string},
	{"$defs", FROM_2019, VOCABULARY_CORE, HOLDS_MAP, postrider_compile_map},
	{"$dynamicAnchor", DRAFT_2020, VOCABULARY_CORE, HOLDS_NOTHING, postrider_compile_string},
	{"$dynamicRef", DRAFT_2020, VOCABULARY_CORE, HOLDS_NOTHING, postrider_compile_dynamic},
	{"$id", ALL, VOCABULARY_CORE, HOLDS_NOTHING, postrider_compile_string},
	{"$recursiveAnchor", DRAFT_2019, VOCABULARY_CORE, HOLDS_NOTHING, postrider_compile_boolean},
	{"$recursiveRef", DRAFT_2019, VOCABULARY_CORE, HOLDS_NOTHING, postrider_compile_dynamic},
	{"$ref", ALL, VOCABULARY_CORE, HOLDS_NOTHING, postrider_compile_reference},
	{"$schema", ALL, VOCABULARY_CORE, HOLDS_NOTHING, postrider_compile_string},
	{"additionalItems", BEFORE_2020, VOCABULARY_APPLICATOR, HOLDS_SCHEMA, postrider_compile_items},
	{"additionalProperties", ALL, VOCABULARY_APPLICATOR, HOLDS_SCHEMA, postrider_compile_object_node},
	{"allOf", ALL, VOCABULARY_APPLICATOR, HOLDS_LIST, postrider_compile_list},
	{"anyOf", ALL, VOCABULARY_APPLICATOR, HOLDS_LIST, postrider_compile_list},
	{"const", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_const},
	{"contains", ALL, VOCABULARY_APPLICATOR, HOLDS_SCHEMA, postrider_compile_items},
	{"contentEncoding", ALL, VOCABULARY_CONTENT, HOLDS_NOTHING, postrider_compile_string},
	{"contentMediaType", ALL, VOCABULARY_CONTENT, HOLDS_NOTHING, postrider_compile_string},
	{"contentSchema", FROM_2019, VOCABULARY_CONTENT, HOLDS_SCHEMA, NULL},
	{"definitions", ALL, VOCABULARY_CORE, HOLDS_MAP, postrider_compile_map},
	{"dependencies", ALL, VOCABULARY_APPLICATOR, HOLDS_DEPENDENCIES, postrider_compile_dependencies},
	{"dependentRequired", FROM_2019, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_dependencies},
	{"dependentSchemas", FROM_2019, VOCABULARY_APPLICATOR, HOLDS_MAP, postrider_compile_dependencies},
	{"deprecated", FROM_2019, VOCABULARY_META_DATA, HOLDS_NOTHING, postrider_compile_boolean},
	{"description", ALL, VOCABULARY_META_DATA, HOLDS_NOTHING, postrider_compile_string},
	{"else", ALL, VOCABULARY_APPLICATOR, HOLDS_SCHEMA, postrider_compile_single},
	{"enum", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_enum},
	{"exclusiveMaximum", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_bound},
	{"exclusiveMinimum", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_bound},
	{"format", ALL, ANY_FORMAT, HOLDS_NOTHING, postrider_compile_format},
	{"if", ALL, VOCABULARY_APPLICATOR, HOLDS_SCHEMA, postrider_compile_single},
	{"items", BEFORE_2020, VOCABULARY_APPLICATOR, HOLDS_SCHEMA_OR_LIST, postrider_compile_items},
	{"items", DRAFT_2020, VOCABULARY_APPLICATOR, HOLDS_SCHEMA, postrider_compile_items},
	{"maxContains", FROM_2019, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_size},
	{"maxItems", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_size},
	{"maxLength", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_size},
	{"maxProperties", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_size},
	{"maximum", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_bound},
	{"minContains", FROM_2019, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_size},
	{"minItems", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_size},
	{"minLength", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_size},
	{"minProperties", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_size},
	{"minimum", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_bound},
	{"multipleOf", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_bound},
	{"not", ALL, VOCABULARY_APPLICATOR, HOLDS_SCHEMA, postrider_compile_single},
	{"oneOf", ALL, VOCABULARY_APPLICATOR, HOLDS_LIST, postrider_compile_list},
	{"pattern", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_pattern},
	{"patternProperties", ALL, VOCABULARY_APPLICATOR, HOLDS_MAP, postrider_compile_patterns},
	{"prefixItems", DRAFT_2020, VOCABULARY_APPLICATOR, HOLDS_LIST, postrider_compile_items},
	{"properties", ALL, VOCABULARY_APPLICATOR, HOLDS_MAP, postrider_compile_properties},
	{"propertyNames", ALL, VOCABULARY_APPLICATOR, HOLDS_SCHEMA, postrider_compile_object_node},
	{"readOnly", ALL, VOCABULARY_META_DATA, HOLDS_NOTHING, postrider_compile_boolean},
	{"required", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_required},
	{"then", ALL, VOCABULARY_APPLICATOR, HOLDS_SCHEMA, postrider_compile_single},
	{"title", ALL, VOCABULARY_META_DATA, HOLDS_NOTHING, postrider_compile_string},
	{"type", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_type},
	{"unevaluatedItems", FROM_2019, VOCABULARY_UNEVALUATED, HOLDS_SCHEMA, postrider_compile_single},
	{"unevaluatedProperties", FROM_2019, VOCABULARY_UNEVALUATED, HOLDS_SCHEMA, postrider_compile_single},
	{"uniqueItems", ALL, VOCABULARY_VALIDATION, HOLDS_NOTHING, postrider_compile_unique},
	{"writeOnly", ALL, VOCABULARY_META_DATA, HOLDS_NOTHING, postrider_compile_boolean}
};

static int
compare_name(const Keyword *keyword, const char *name, int length)
{
	int			order = strncmp(keyword->name, name, length);

	return order != 0 ? order : keyword->name[length] != '\0';
}

/*
 * The keyword of that name, as the draft and the vocabularies of a resource
 * have it; NULL if they have none.
 */
const Keyword *
postrider_keyword_find(const Resource *resource, const char *name, int length)
{
	int			low = 0;
	int			high = lengthof(keywords);

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (compare_name(&keywords[middle], name, length) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < (int) lengthof(keywords); low++)
	{
		const Keyword *keyword = &keywords[low];

		if (compare_name(keyword, name, length) != 0)
			return NULL;
		if ((keyword->drafts & resource->draft) &&
			(keyword->vocabulary & resource->vocabularies))
			return keyword;
	}
	return NULL;
}
