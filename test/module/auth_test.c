/*-------------------------------------------------------------------------
 *
 * auth_test.c
 *	  What authentication and signing do to a request, for tests; not a part of the
 *	  extension.
 *
 * The secrets are an argument, {"name": "value"} or {"name": ["new", "old"]}.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "security/auth.h"
#include "security/secret_set.h"
#include "security/signing.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(test_auth);
PG_FUNCTION_INFO_V1(test_signing);

static SecretState
source_is_asked(const char *name, const Jsonb *source, TimestampTz now,
				const SecretVersion **versions, int *count, const char **problem)
{
	return SECRET_WAITING;
}

/* Newest first, as the others retire. */
static void
add_version(int number, const JsonbValue *value)
{
	postrider_secret_set_add_version(number, DT_NOEND, value->val.string.val,
									 value->val.string.len);
}

/* null is a secret whose store has not answered yet. */
static void
load_secrets(Jsonb *secrets)
{
	JsonbIterator *it = JsonbIteratorInit(&secrets->root);
	JsonbValue	name;
	JsonbValue	value;

	postrider_secret_source = source_is_asked;
	postrider_secret_set_begin();
	(void) JsonbIteratorNext(&it, &name, true);
	while (JsonbIteratorNext(&it, &name, true) == WJB_KEY)
	{
		(void) JsonbIteratorNext(&it, &value, true);
		postrider_secret_set_add(pnstrdup(name.val.string.val, name.val.string.len), DT_NOEND,
								 value.type == jbvNull ? secrets : NULL);
		if (value.type == jbvString)
			add_version(1, &value);
		else if (value.type == jbvBinary)
			for (int i = 0; i < (int) JsonContainerSize(value.val.binary.data); i++)
				add_version(9 - i, getIthJsonbValueFromContainer(value.val.binary.data, i));
	}
	postrider_secret_set_finish();
}

static List *
read_headers(Jsonb *object)
{
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbValue	name;
	JsonbValue	value;
	List	   *headers = NIL;

	if (JsonbIteratorNext(&it, &name, true) != WJB_BEGIN_OBJECT)
		return NIL;
	while (JsonbIteratorNext(&it, &name, true) == WJB_KEY)
	{
		AuthHeader *header = palloc0(sizeof(AuthHeader));

		(void) JsonbIteratorNext(&it, &value, true);
		header->name = pnstrdup(name.val.string.val, name.val.string.len);
		header->value = pnstrdup(value.val.string.val, value.val.string.len);
		headers = lappend(headers, header);
	}
	return headers;
}

static void
add_text(StringInfo out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (out->data[out->len - 1] != '{')
		appendStringInfoChar(out, ',');
	escape_json(out, name);
	appendStringInfoChar(out, ':');
	escape_json(out, value);
}

static Datum
show(const AuthRequest *request, const char *problem, const char *hint)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	add_text(&out, "problem", problem);
	add_text(&out, "hint", hint);
	if (problem == NULL)
	{
		add_text(&out, "url", request->url);
		add_text(&out, "certificate", request->tls.certificate);
		appendStringInfoString(&out, ",\"headers\":{");
		foreach(cell, request->headers)
		{
			const AuthHeader *header = lfirst(cell);

			add_text(&out, header->name, header->value);
		}
		appendStringInfoString(&out, "}");
		if (request->secrets != NIL)
		{
			appendStringInfoString(&out, ",\"hidden\":[");
			foreach(cell, request->secrets)
			{
				if (cell != list_head(request->secrets))
					appendStringInfoChar(&out, ',');
				escape_json(&out, lfirst(cell));
			}
			appendStringInfoString(&out, "]");
		}
	}
	appendStringInfoChar(&out, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(out.data));
}

static void
read_request(FunctionCallInfo fcinfo, int at, AuthRequest *request)
{
	memset(request, 0, sizeof(*request));
	load_secrets(PG_GETARG_JSONB_P(at));
	request->method = text_to_cstring(PG_GETARG_TEXT_PP(at + 1));
	request->url = text_to_cstring(PG_GETARG_TEXT_PP(at + 2));
	request->headers = PG_ARGISNULL(at + 3) ? NIL : read_headers(PG_GETARG_JSONB_P(at + 3));
	request->body = PG_ARGISNULL(at + 4) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(at + 4));
	request->body_length = request->body ? strlen(request->body) : 0;
	request->now = PG_GETARG_TIMESTAMPTZ(at + 5);
	request->message_id = "0199b1a4-0000-7000-8000-000000000001";
}

/*
 * test_auth(auth jsonb, secrets jsonb, method text, url text, headers jsonb, body text,
 * at timestamptz) returns jsonb
 */
Datum
test_auth(PG_FUNCTION_ARGS)
{
	const char *problem = NULL;
	const char *hint = NULL;
	const char *error_code;
	TimestampTz retry_at;
	AuthRequest request;
	Auth	   *auth = postrider_auth_compile(PG_GETARG_JSONB_P(0), &problem, &hint);

	read_request(fcinfo, 1, &request);
	if (auth == NULL)
		return show(&request, psprintf("auth %s", problem), hint);
	switch (postrider_auth_ready(auth, request.now, &problem, &error_code, &retry_at))
	{
		case AUTH_WAITING:
			return show(&request, "waiting", NULL);
		case AUTH_FAILED:
			return show(&request, psprintf("%s: %s", error_code, problem), NULL);
		case AUTH_READY:
			break;
	}
	if (postrider_auth_apply(auth, &request, &problem))
		problem = NULL;
	return show(&request, problem, NULL);
}

/*
 * test_signing(signing jsonb, signing_secret text, secrets jsonb, method text, url text,
 * headers jsonb, body text, at timestamptz, id text) returns jsonb
 */
Datum
test_signing(PG_FUNCTION_ARGS)
{
	const char *problem = NULL;
	const char *hint = NULL;
	AuthRequest request;
	char		standard[SIGNING_STANDARD_SIZE];
	Signing    *signing =
		postrider_signing_compile(PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0),
								  PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)),
								  &problem, &hint);

	read_request(fcinfo, 2, &request);
	if (signing == NULL)
		return show(&request, psprintf("signing %s", problem), hint);
	if (postrider_signing_has_standard(signing))
	{
		if (!postrider_signing_standard(signing, text_to_cstring(PG_GETARG_TEXT_PP(8)),
										request.now / USECS_PER_SEC + INT64CONST(946684800),
										request.body, request.body_length, request.now, standard,
										&problem))
			return show(&request, problem, NULL);
		postrider_auth_set_header(&request, "webhook-signature", standard);
	}
	if (postrider_signing_apply(signing, &request, &problem))
		problem = NULL;
	return show(&request, problem, NULL);
}
