/*-------------------------------------------------------------------------
 *
 * secret_source_row.c
 *	  Sources of secrets: postrider.set_secret_source(), and the trigger that checks the
 *	  column source of postrider.secret, whoever writes it.
 *
 * A source has no credential in it.  Somebody may write one there all the same, so no
 * message shows what was written where a name should be, and the statement is kept
 * out of the log.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "outbox/name.h"
#include "outbox/trigger_row.h"
#include "security/certificate.h"
#include "security/guard.h"
#include "security/secret_source.h"
#include "security/store_secret.h"
#include "util/compat.h"
#include "utils/guc.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(postrider_set_secret_source);
PG_FUNCTION_INFO_V1(postrider_check_secret_source);
PG_FUNCTION_INFO_V1(postrider_source_credential);

/* How many secrets with a source may lead one to the next. */
#define MAX_DEPTH 4

static SqlStatement find_source = {
	.text = "select s.source from postrider.secret s where s.name operator(pg_catalog.=) $1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement store_source = {
	.text =
	"insert into postrider.secret as s (name, source, description, tenant) values ($1, $2, $3, $4)"
	" on conflict (name) do update set source = excluded.source, expires_at = null, announced = null,"
	" description = coalesce(excluded.description, s.description),"
	" tenant = coalesce(excluded.tenant, s.tenant), updated_at = now()",
	.argument_count = 4,
	.argument_types = {TEXTOID, JSONBOID, TEXTOID, TEXTOID}
};

static SqlStatement delete_versions = {
	.text = "delete from postrider.secret_version where name = $1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

/* Keeps the statement and its parameters out of the log. */
static void
hide_statement(void *arg)
{
	errhidestmt(true);
	errhidecontext(true);
}

/* Which member has this name; for messages. */
static const char *
member_with(const SecretSource *source, const char *secret)
{
	for (int i = 0; source->kind->members[i].name != NULL; i++)
		if (source->kind->members[i].type == SOURCE_SECRET && source->values[i] == secret)
			return source->kind->members[i].name;
	return "source";
}

/* The source of a secret, copied, or NULL; false if there is no such secret. */
static bool
read_source(const char *name, Jsonb **source)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		values[] = {CStringGetTextDatum(name)};
	SqlScope	sql;
	bool		exists;
	Jsonb	   *found;

	*source = NULL;
	postrider_sql_enter(&sql);
	exists = postrider_sql_run(&find_source, values, NULL, 1) > 0;
	found = exists ? postrider_sql_jsonb(0, 0) : NULL;
	if (found != NULL)
	{
		*source = MemoryContextAlloc(context, VARSIZE(found));
		memcpy(*source, found, VARSIZE(found));
	}
	postrider_sql_leave(&sql);
	return exists;
}

/*
 * Follows the names in a source.  While a dump is restored the secrets may come in any
 * order, and what is wrong is said when they are used.
 */
static void
require_secrets(const char *name, const SecretSource *source, int depth)
{
	ListCell   *cell;
	List	   *secrets = postrider_secret_source_secrets(source);

	foreach(cell, secrets)
	{
		const char *secret = lfirst(cell);
		Jsonb	   *document;
		SecretSource *next;
		const char *problem;
		const char *hint;

		if (strcmp(secret, name) == 0 || depth >= MAX_DEPTH)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 strcmp(secret, name) == 0 ?
					 errmsg("source of secret \"%s\" leads back to it", name) :
					 errmsg("source of secret \"%s\" leads over more than %d others", name,
							MAX_DEPTH)));
		if (!read_source(secret, &document))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("\"%s\" in the source of secret \"%s\" is not the name of a secret",
							member_with(source, secret), name),
					 errhint("Store the value first, SELECT postrider.set_secret(name, value), and write its name here. A source has no value in it that is secret.")));
		if (document == NULL)
			continue;
		next = postrider_secret_source_compile(NULL, document, &problem, &hint);
		if (next != NULL)
			require_secrets(name, next, depth + 1);
	}
}

static void
require_certificates(const char *name, const char *pem)
{
	char	   *problem = pem == NULL ? NULL :
		postrider_certificate_problem(pem, strlen(pem), postrider_trigger_time());

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"ca_certificate\" in the source of secret \"%s\" %s", name, problem),
				 errhint("%s", CERTIFICATE_HINT)));
}

static void
require_source(const char *name, Jsonb *document)
{
	const char *problem;
	const char *hint;
	List	   *urls = NIL;
	ListCell   *cell;
	SecretSource *source = postrider_secret_source_compile(NULL, document, &problem, &hint);

	if (source == NULL ||
		(source->kind->permitted != NULL &&
		 !source->kind->permitted(source, &problem, &hint)) ||
		postrider_store_spec(document, &urls, &problem, &hint) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("source of secret \"%s\" %s", name, problem),
				 hint ? errhint("%s", hint) : 0));
	foreach(cell, urls)
		postrider_guard_require_url(lfirst(cell));
	require_certificates(name, postrider_secret_source_certificates(source));
	if (check_function_bodies)
		require_secrets(name, source, 0);
}

/* SQL: trigger postrider.check_secret_source() */
Datum
postrider_check_secret_source(PG_FUNCTION_ARGS)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = hide_statement
	};
	TriggerRow	row = postrider_trigger_row(fcinfo, "check_secret_source");
	char	   *name = postrider_trigger_text(&row, row.tuple, "name");
	Datum		source;

	error_context_stack = &context;
	if (name != NULL && postrider_trigger_get_new(&row, "source", JSONBOID, &source))
		require_source(name, DatumGetJsonbP(source));
	error_context_stack = context.previous;
	return PointerGetDatum(row.tuple);
}

/* SQL: postrider.set_secret_source(name, source, description, tenant) */
Datum
postrider_set_secret_source(PG_FUNCTION_ARGS)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = hide_statement
	};
	Datum		values[4];
	char		nulls[5] = "    ";
	SqlScope	sql;

	error_context_stack = &context;
	PreventCommandIfReadOnly("set_secret_source()");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", PG_ARGISNULL(0) ? "name of secret" : "source")));
	postrider_name_require("secret", text_to_cstring(PG_GETARG_TEXT_PP(0)));
	for (int i = 0; i < 4; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	postrider_sql_enter(&sql);
	(void) postrider_sql_run(&store_source, values, nulls, 0);
	(void) postrider_sql_run(&delete_versions, values, NULL, 0);
	postrider_sql_leave(&sql);
	error_context_stack = context.previous;
	PG_RETURN_VOID();
}

/* SQL: postrider.source_credential(source) returns table (id, place) */
Datum
postrider_source_credential(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	const char *problem;
	const char *hint;
	CredentialSpec *spec;

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	spec = postrider_store_spec(PG_GETARG_JSONB_P(0), NULL, &problem, &hint);
	if (spec != NULL)
	{
		Datum		values[] = {CStringGetTextDatum(spec->id), CStringGetTextDatum(spec->server)};
		bool		nulls[] = {false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
