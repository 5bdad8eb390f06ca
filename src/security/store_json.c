/*-------------------------------------------------------------------------
 *
 * store_json.c
 *	  JSON from stores of secrets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "security/store.h"
#include "util/compat.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

/* No answer that is let in is longer. */
#define MAX_JSON_BYTES (16 * 1024 * 1024)

/* As jsonb_in(), but NULL where that raises an error; "string" is in the server's encoding. */
static Jsonb *
parse(char *string)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile result = NULL;

	PG_TRY();
	{
		result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(string)));
	}
	PG_CATCH();
	{
		int			category = ERRCODE_TO_CATEGORY(geterrcode());

		if (category != ERRCODE_DATA_EXCEPTION && category != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		result = NULL;
	}
	PG_END_TRY();
	return result;
}

/* NULL if there are characters that the server's encoding does not have. */
static char *
to_server(const char *bytes, Size length)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *volatile result = NULL;

	if (GetDatabaseEncoding() == PG_UTF8)
		return pnstrdup(bytes, length);
	PG_TRY();
	{
		char	   *copy = pnstrdup(bytes, length);

		result = pg_any_to_server(copy, (int) length, PG_UTF8);
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return result;
}

Jsonb *
postrider_store_json(const char *bytes, Size length)
{
	char	   *string;
	Jsonb	   *result;

	if (length == 0 || length > MAX_JSON_BYTES || memchr(bytes, '\0', length) != NULL ||
		!pg_verify_mbstr(PG_UTF8, bytes, (int) length, true))
		return NULL;
	string = to_server(bytes, length);
	if (string == NULL)
		return NULL;
	result = parse(string);
	explicit_bzero(string, strlen(string));
	pfree(string);
	if (result == NULL || JB_ROOT_IS_OBJECT(result))
		return result;
	postrider_store_wipe(result);
	return NULL;
}

void
postrider_store_wipe(Jsonb *document)
{
	explicit_bzero(document, VARSIZE(document));
	pfree(document);
}

static JsonbValue *
member(JsonbContainer *object, const char *name, JsonbValue *space)
{
	return getKeyJsonValueFromContainer(object, name, strlen(name), space);
}

JsonbContainer *
postrider_store_object(JsonbContainer *object, const char *name)
{
	JsonbValue	space;
	JsonbValue *value = member(object, name, &space);

	return value != NULL && value->type == jbvBinary &&
		JsonContainerIsObject(value->val.binary.data) ? value->val.binary.data : NULL;
}

char *
postrider_store_text(JsonbContainer *object, const char *name)
{
	JsonbValue	space;
	JsonbValue *value = member(object, name, &space);

	if (value != NULL && value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	if (value != NULL && value->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value->val.numeric)));
	return NULL;
}

int64
postrider_store_number(JsonbContainer *object, const char *name, int64 otherwise)
{
	char	   *string = postrider_store_text(object, name);
	char	   *end;
	double		number;

	if (string == NULL)
		return otherwise;
	number = strtod(string, &end);
	if (end == string || *end != '\0' || !(number >= 0 && number < 1e11))
		return otherwise;
	return (int64) number;
}

bool
postrider_store_boolean(JsonbContainer *object, const char *name, bool otherwise)
{
	JsonbValue	space;
	JsonbValue *value = member(object, name, &space);

	return value != NULL && value->type == jbvBool ? value->val.boolean : otherwise;
}

/* "what" is for messages. */
static void
take_string(char *string, const char *what, StoreAnswer *answer)
{
	Size		length = strlen(string);

	if (length > 0 && length <= SOURCE_MAX_VALUE_BYTES)
	{
		answer->value = string;
		return;
	}
	explicit_bzero(string, length);
	pfree(string);
	postrider_store_fail(answer, true, length == 0 ? psprintf("has nothing as %s", what) :
						 psprintf("has more than %d bytes as %s", SOURCE_MAX_VALUE_BYTES, what));
}

void
postrider_store_take_field(JsonbContainer *object, const char *field, StoreAnswer *answer)
{
	JsonbValue	space;
	char	   *string = postrider_store_text(object, field);

	if (string != NULL)
		take_string(string, psprintf("field \"%s\" of the secret", field), answer);
	else if (member(object, field, &space) == NULL)
		postrider_store_fail(answer, true, psprintf("has a secret without a field \"%s\"", field));
	else
		postrider_store_fail(answer, true,
							 psprintf("has neither a string nor a number as field \"%s\" of the secret",
									  field));
}

void
postrider_store_take(char *string, const char *field, StoreAnswer *answer)
{
	char	   *utf8;
	Jsonb	   *document;

	if (string == NULL)
	{
		postrider_store_fail(answer, true, "has a secret that is no text");
		return;
	}
	if (field == NULL)
	{
		take_string(string, "the secret", answer);
		return;
	}
	utf8 = pg_server_to_any(string, (int) strlen(string), PG_UTF8);
	document = postrider_store_json(utf8, strlen(utf8));
	if (utf8 != string)
		explicit_bzero(utf8, strlen(utf8));
	explicit_bzero(string, strlen(string));
	if (document == NULL)
	{
		postrider_store_fail(answer, true,
							 psprintf("has a secret that is no JSON object, so it has no field \"%s\"",
									  field));
		return;
	}
	postrider_store_take_field(&document->root, field, answer);
	postrider_store_wipe(document);
}
