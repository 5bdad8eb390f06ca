/*-------------------------------------------------------------------------
 *
 * secret_use.c
 *	  Which secrets a document refers to, for the view postrider.secret_use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "security/auth.h"
#include "security/secret_source.h"
#include "security/signing.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(postrider_secret_references);

/* Every string of a document that cannot be read: one of them may be such a name. */
static List *
all_strings(Jsonb *document)
{
	JsonbIterator *iterator = JsonbIteratorInit(&document->root);
	List	   *strings = NIL;
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
		if ((token == WJB_VALUE || token == WJB_ELEM) && value.type == jbvString)
			strings = lappend(strings, pnstrdup(value.val.string.val, value.val.string.len));
	return strings;
}

static List *
references(const char *column, Jsonb *document)
{
	const char *problem;
	const char *hint;

	if (strcmp(column, "auth") == 0)
	{
		Auth	   *auth = postrider_auth_compile(document, &problem, &hint);

		return auth ? postrider_auth_secrets(auth) : all_strings(document);
	}
	if (strcmp(column, "signing") == 0)
	{
		Signing    *signing = postrider_signing_compile(document, NULL, &problem, &hint);

		return signing ? postrider_signing_secrets(signing) : all_strings(document);
	}
	else
	{
		SecretSource *source = postrider_secret_source_compile(NULL, document, &problem, &hint);

		return source ? postrider_secret_source_secrets(source) : all_strings(document);
	}
}

/* SQL: postrider.secret_references("column", document) returns text[] */
Datum
postrider_secret_references(PG_FUNCTION_ARGS)
{
	char	   *column = text_to_cstring(PG_GETARG_TEXT_PP(0));
	List	   *names = references(column, PG_GETARG_JSONB_P(1));
	Datum	   *elements = palloc(sizeof(Datum) * (list_length(names) + 1));
	int			count = 0;
	ListCell   *cell;

	foreach(cell, names)
		elements[count++] = CStringGetTextDatum(lfirst(cell));
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}
