/*-------------------------------------------------------------------------
 *
 * token_answer.c
 *	  What token servers answer: RFC 6749 sections 5.1 and 5.2, and what they make of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "security/token.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* A life that nobody believes: ten years. */
#define MAX_LIFE_S (10.0 * 365 * 24 * 60 * 60)

/* As jsonb_in(), but NULL where that raises an error. */
static Jsonb *
parse(const char *string)
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

Jsonb *
postrider_token_json(const char *bytes)
{
	Jsonb	   *result;

	if (bytes[0] == '\0' || !pg_verify_mbstr(GetDatabaseEncoding(), bytes, strlen(bytes), true))
		return NULL;
	result = parse(bytes);
	return result != NULL && JB_ROOT_IS_OBJECT(result) ? result : NULL;
}

static JsonbValue *
member(const Jsonb *document, const char *key, JsonbValue *space)
{
	return getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &document->root), key,
										strlen(key), space);
}

char *
postrider_token_json_text(const Jsonb *document, const char *key)
{
	JsonbValue	space;
	JsonbValue *value = member(document, key, &space);

	return value != NULL && value->type == jbvString && value->val.string.len > 0 ?
		pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}

/* A number of seconds, which some write as a string; -1: nothing is said. */
static double
seconds_at(const Jsonb *document, const char *key)
{
	JsonbValue	space;
	JsonbValue *value = member(document, key, &space);
	char	   *number = NULL;
	char	   *end;
	double		seconds;

	if (value == NULL)
		return -1;
	if (value->type == jbvString)
		number = pnstrdup(value->val.string.val, value->val.string.len);
	else if (value->type == jbvNumeric)
		number = DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value->val.numeric)));
	if (number == NULL)
		return -1;
	seconds = strtod(number, &end);
	return end == number || *end != '\0' || !(seconds > 0) ? -1 : Min(seconds, MAX_LIFE_S);
}

/* Can it be put into a header? */
static bool
is_sendable(const char *token)
{
	for (; *token; token++)
		if ((unsigned char) *token < ' ' || *token == 0x7f)
			return false;
	return true;
}

static bool
is_passing(int status)
{
	return status == 408 || status == 425 || status == 429 || status >= 500;
}

/*
 * error and error_description of RFC 6749, or what some servers have in their place.  Not
 * cut here: half a secret would not be found any more.
 */
static void
read_error(const Jsonb *document, const CredentialAnswer *answer, CredentialResult *result)
{
	char	   *error = document ? postrider_token_json_text(document, "error") : NULL;
	char	   *description = document ?
		postrider_token_json_text(document, "error_description") : NULL;

	if (document != NULL && description == NULL)
		description = postrider_token_json_text(document, "message");
	result->lasting = !is_passing(answer->status) &&
		!(error && strcmp(error, "temporarily_unavailable") == 0);
	if (answer->status >= 300 && answer->status <= 399)
		result->problem = psprintf("answered with status %d, and redirects are not followed",
								   answer->status);
	else if (error && description)
		result->problem = psprintf("answered with status %d: %s (%s)", answer->status, error,
								   description);
	else if (error || description)
		result->problem = psprintf("answered with status %d: %s", answer->status,
								   error ? error : description);
	else
		result->problem = psprintf("answered with status %d", answer->status);
}

void
postrider_token_read(const TokenClient *client, const CredentialAnswer *answer,
					 CredentialResult *result, Jsonb **document)
{
	char	   *token;
	double		life_s;

	*document = strlen(answer->body) == answer->body_length ?
		postrider_token_json(answer->body) : NULL;
	token = *document ? postrider_token_json_text(*document, client->token_field) : NULL;
	if (answer->status < 200 || answer->status > 299 ||
		(token == NULL && *document && postrider_token_json_text(*document, "error")))
	{
		read_error(*document, answer, result);
		return;
	}
	if (token == NULL || !is_sendable(token))
	{
		result->lasting = true;
		result->problem = *document == NULL ?
			psprintf("answered with status %d, but not with a JSON object", answer->status) :
			psprintf("answered without a usable \"%s\"", client->token_field);
		return;
	}
	result->value = token;
	life_s = seconds_at(*document, "expires_in");
	if (life_s <= 0)
		life_s = client->lifetime_s;
	if (life_s > 0)
		result->expires_at = answer->now + (int64) (life_s * USECS_PER_SEC);
}
