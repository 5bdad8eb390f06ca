/*-------------------------------------------------------------------------
 *
 * mapping_definition.c
 *	  Reads what a definition has under its keys, and says what is unknown.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/mapping_internal.h"
#include "lib/stringinfo.h"
#include "utils/varlena.h"

/* Words this far apart are taken for a slip of the pen. */
#define MAX_DISTANCE 2

/* The known word that was probably meant, or NULL. */
const char *
postrider_mapping_nearest(const char *word, const char *const *candidates)
{
	const char *best = NULL;
	int			best_distance = MAX_DISTANCE + 1;

	if (strlen(word) > 40)
		return NULL;
	for (; *candidates != NULL; candidates++)
	{
		int			distance = varstr_levenshtein_less_equal(word, strlen(word),
															 *candidates,
															 strlen(*candidates),
															 1, 1, 1,
															 best_distance,
															 true);

		if (distance < best_distance && distance < (int) strlen(*candidates) - 1)
		{
			best = *candidates;
			best_distance = distance;
		}
	}
	return best;
}

/* "object" is a container; false if it has no such key. */
bool
postrider_mapping_get(const JsonbValue *object, const char *key,
					  JsonbValue *value)
{
	return getKeyJsonValueFromContainer(object->val.binary.data, key,
										strlen(key), value) != NULL;
}

bool
postrider_mapping_is_container(const JsonbValue *value, uint32 kind)
{
	return value->type == jbvBinary &&
		(value->val.binary.data->header & kind) != 0 &&
		!JsonContainerIsScalar(value->val.binary.data);
}

char *
postrider_mapping_string(const JsonbValue *string)
{
	return pnstrdup(string->val.string.val, string->val.string.len);
}

/* A copy that needs nothing of the definition. */
void
postrider_mapping_copy_value(const JsonbValue *value, JsonbValue *copy)
{
	Jsonb	   *stored = JsonbValueToJsonb((JsonbValue *) value);

	if (value->type == jbvBinary)
		JsonbToJsonbValue(stored, copy);
	else
		postrider_mapping_child(&stored->root, 0, copy);
}

/* Reports keys that nobody knows. */
void
postrider_mapping_check_keys(MappingCompiler *compiler,
							 const JsonbValue *object, const char *position,
							 const char *const *known)
{
	JsonbContainer *container = object->val.binary.data;

	for (int i = 0; i < (int) JsonContainerSize(container); i++)
	{
		const char *const *word;
		const char *meant;
		JsonbValue	key;
		char	   *string;

		postrider_mapping_child(container, i, &key);
		string = postrider_mapping_string(&key);
		for (word = known; *word != NULL; word++)
		{
			if (strcmp(*word, string) == 0)
				break;
		}
		if (*word != NULL)
			continue;
		meant = postrider_mapping_nearest(string, known);
		postrider_mapping_problem(compiler, position,
								  meant ? "unknown key %s, perhaps \"%s\" was meant" :
								  "unknown key %s",
								  postrider_mapping_show(&key), meant);
	}
}

bool
postrider_mapping_get_bool(MappingCompiler *compiler, const JsonbValue *object,
						   const char *position, const char *key,
						   bool default_value)
{
	JsonbValue	value;

	if (!postrider_mapping_get(object, key, &value))
		return default_value;
	if (value.type == jbvBool)
		return value.val.boolean;
	postrider_mapping_problem(compiler, psprintf("%s.%s", position, key),
							  "%s is not true or false",
							  postrider_mapping_show(&value));
	return default_value;
}

/* NULL if there is none, or if it is no string. */
char *
postrider_mapping_get_text(MappingCompiler *compiler, const JsonbValue *object,
						   const char *position, const char *key)
{
	JsonbValue	value;

	if (!postrider_mapping_get(object, key, &value))
		return NULL;
	if (value.type == jbvString)
		return postrider_mapping_string(&value);
	postrider_mapping_problem(compiler, psprintf("%s%s%s", position,
												 *position ? "." : "", key),
							  "%s is not a string",
							  postrider_mapping_show(&value));
	return NULL;
}

/* One of the words, as its index; -1 if there is none or it is wrong. */
int
postrider_mapping_get_word(MappingCompiler *compiler,
						   const JsonbValue *object, const char *position,
						   const char *key, const char *const *words)
{
	char	   *string = postrider_mapping_get_text(compiler, object, position,
													key);
	StringInfoData list;

	if (string == NULL)
		return -1;
	initStringInfo(&list);
	for (int i = 0; words[i] != NULL; i++)
	{
		if (strcmp(words[i], string) == 0)
			return i;
		appendStringInfo(&list, "%s\"%s\"", i > 0 ? ", " : "", words[i]);
	}
	postrider_mapping_problem(compiler, psprintf("%s.%s", position, key),
							  "\"%s\" is none of %s", string, list.data);
	return -1;
}
