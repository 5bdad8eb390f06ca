/*-------------------------------------------------------------------------
 *
 * conversion_basic.c
 *	  Conversions of any value: defaults, booleans, look-up, types.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/conversion_internal.h"
#include "content/unicode_case.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* Words for true and false in the languages of Europe, and what programs write. */
static const char *const true_words[] = {
	"true", "t", "yes", "y", "on", "1", "oui", "vrai", "ja", "wahr", "sí", "si",
	"sì", "verdadero", "vero", "sim", "verdadeiro", "tak", "ano", "áno", "da",
	"да", "истина", "так", "ναι", "kyllä", "jah", "jā", "taip", "igen", "evet",
	"はい", "是", "예", "نعم", "enabled", "active", "checked", NULL
};
static const char *const false_words[] = {
	"false", "f", "no", "n", "off", "0", "non", "faux", "nein", "falsch",
	"falso", "não", "nao", "nie", "ne", "nee", "nej", "nei", "nu", "нет",
	"ложь", "ні", "не", "όχι", "ei", "nē", "hayır", "nem", "いいえ", "否",
	"아니요", "لا", "disabled", "inactive", "unchecked", NULL
};

static bool
is_empty(const JsonbValue *value)
{
	const char *string = value->val.string.val;
	int			length = value->val.string.len;

	switch (value->type)
	{
		case jbvNull:
			return true;
		case jbvString:
			postrider_trim(&string, &length);
			return length == 0;
		case jbvBinary:
			return JsonContainerSize(value->val.binary.data) == 0;
		default:
			return false;
	}
}

static bool
apply_default(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *empty = &conversion->arguments[1];

	if (value->type == jbvNull || ((!empty->given || empty->boolean) && is_empty(value)))
		*value = conversion->arguments[0].value;
	return true;
}

static bool
apply_null_if_empty(const Conversion *conversion, JsonbValue *value, char **problem)
{
	if (is_empty(value))
		value->type = jbvNull;
	return true;
}

/* An array of values is a list of them. */
static bool
apply_null_if(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const JsonbValue *wanted = &conversion->arguments[0].value;

	if (postrider_value_is_array(wanted))
	{
		JsonbContainer *list = wanted->val.binary.data;
		int			count = JsonContainerSize(list);

		for (int i = 0; i < count && value->type != jbvNull; i++)
		{
			if (postrider_value_equal(getIthJsonbValueFromContainer(list, i), value))
				value->type = jbvNull;
		}
	}
	else if (postrider_value_equal(wanted, value))
		value->type = jbvNull;
	return true;
}

static bool
apply_constant(const Conversion *conversion, JsonbValue *value, char **problem)
{
	*value = conversion->arguments[0].value;
	return true;
}

static bool
apply_text(const Conversion *conversion, JsonbValue *value, char **problem)
{
	return true;
}

static bool
apply_type(const Conversion *conversion, JsonbValue *value, char **problem)
{
	static const char *const names[] = {"null", "string", "number", "boolean"};
	const char *name = value->type <= jbvBool ? names[value->type] :
		postrider_value_is_array(value) ? "array" : "object";

	postrider_value_set_text(value, pstrdup(name), strlen(name));
	return true;
}

/*
 * Booleans
 */

static bool
is_listed(const char *word, int length, const Argument *words,
		  const char *const *builtin)
{
	for (int i = 0; words->given && i < words->text_count; i++)
	{
		int			folded_length;
		char	   *folded = postrider_text_case(words->texts[i],
												 strlen(words->texts[i]),
												 CASE_LOWER, &folded_length);

		if (folded_length == length && memcmp(folded, word, length) == 0)
			return true;
	}
	for (; !words->given && *builtin != NULL; builtin++)
	{
		if ((int) strlen(*builtin) == length && memcmp(*builtin, word, length) == 0)
			return true;
	}
	return false;
}

static bool
apply_boolean(const Conversion *conversion, JsonbValue *value, char **problem)
{
	JsonbValue	as_text = *value;
	const char *string;
	char	   *word;
	int			length;

	if (value->type == jbvBool)
		return true;
	if (!postrider_value_to_text(&as_text, problem))
		return false;
	string = as_text.val.string.val;
	length = as_text.val.string.len;
	postrider_trim(&string, &length);
	word = postrider_text_case(string, length, CASE_LOWER, &length);
	if (is_listed(word, length, &conversion->arguments[0], true_words))
		value->val.boolean = true;
	else if (is_listed(word, length, &conversion->arguments[1], false_words))
		value->val.boolean = false;
	else
		return postrider_refuse(problem, "%s is neither yes nor no",
								postrider_value_show(value));
	value->type = jbvBool;
	return true;
}

/*
 * Look-up
 */

static bool
apply_lookup(const Conversion *conversion, JsonbValue *value, char **problem)
{
	const Argument *map = &conversion->arguments[0];
	const Argument *otherwise = &conversion->arguments[1];
	const Argument *keep = &conversion->arguments[2];
	JsonbValue	key = *value;
	JsonbValue	found;

	if (value->type == jbvBinary)
		return postrider_value_to_text(value, problem);
	if (key.type == jbvNull && !otherwise->given)
		return true;
	if (key.type != jbvNull)
	{
		(void) postrider_value_to_text(&key, problem);
		if (getKeyJsonValueFromContainer(map->value.val.binary.data,
										 key.val.string.val, key.val.string.len,
										 &found) != NULL)
		{
			*value = found;
			return true;
		}
	}
	if (otherwise->given)
		*value = otherwise->value;
	else if (!keep->boolean)
		return postrider_refuse(problem, "%s is not in the look-up",
								postrider_value_show(value));
	return true;
}

static bool
compile_lookup(Conversion *conversion, char **problem)
{
	if (conversion->arguments[1].given && conversion->arguments[2].given)
		return postrider_refuse(problem, "\"lookup\" has both \"default\" and \"keep\"; only one can apply");
	return true;
}

const ConversionEntry postrider_value_conversions[] = {
	{"default", INPUT_ANY, .takes_null = true,
		.arguments = {{"value", ARGUMENT_VALUE, true}, {"if_empty", ARGUMENT_BOOLEAN}},
		.apply = apply_default,
		.description = "Another value for null, and for what is empty unless if_empty is false",
	.example = "[null, {\"default\": \"n/a\"}]"},
	{"null_if_empty", INPUT_ANY, .apply = apply_null_if_empty,
		.description = "Empty or blank text, an empty array and an empty object become null",
	.example = "[\"  \", \"null_if_empty\"]"},
	{"null_if", INPUT_ANY, .arguments = {{"value", ARGUMENT_VALUE, true}},
		.apply = apply_null_if,
		.description = "A value, or each of a list of values, becomes null",
	.example = "[\"N/A\", {\"null_if\": [\"N/A\", \"-\"]}]"},
	{"constant", INPUT_ANY, .takes_null = true,
		.arguments = {{"value", ARGUMENT_VALUE, true}}, .apply = apply_constant,
		.description = "Always this value",
	.example = "[\"anything\", {\"constant\": \"web\"}]"},
	{"text", INPUT_TEXT, .apply = apply_text,
		.description = "Numbers and booleans become text",
	.example = "[12.50, \"text\"]"},
	{"type", INPUT_ANY, .takes_null = true, .apply = apply_type,
		.description = "null, string, number, boolean, array or object",
	.example = "[[1], \"type\"]"},
	{"boolean", INPUT_ANY, .named_only = true,
		.arguments = {{"true", ARGUMENT_TEXTS}, {"false", ARGUMENT_TEXTS}},
		.apply = apply_boolean,
		.description = "Words for yes and no in many languages, 1 and 0, on and off; or those of the lists",
	.example = "[\"Oui\", \"boolean\"]"},
	{"lookup", INPUT_ANY, .takes_null = true, .named_only = true,
		.arguments = {{"map", ARGUMENT_OBJECT, true}, {"default", ARGUMENT_VALUE},
			{"keep", ARGUMENT_BOOLEAN}},
		.compile = compile_lookup, .apply = apply_lookup,
		.description = "What an object has under the value; else the default, or with keep the value, or an error",
	.example = "[\"M\", {\"lookup\": {\"map\": {\"M\": \"male\", \"F\": \"female\"}}}]"},
	{NULL}
};
