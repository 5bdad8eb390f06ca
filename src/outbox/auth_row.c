/*-------------------------------------------------------------------------
 *
 * auth_row.c
 *	  The columns of postrider.endpoint that say how requests authenticate and are
 *	  signed, and whom they trust; see auth_row.h.
 *
 * The statement that writes such a row may have a credential in it where the name of a
 * secret belongs.  So errors from here show neither the value nor the statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "outbox/auth_row.h"
#include "outbox/secret_check.h"
#include "security/auth.h"
#include "security/certificate.h"
#include "security/guard.h"
#include "security/options.h"
#include "security/signing.h"
#include "util/compat.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

static SqlStatement find_secret = {
	.text =
	"select s.name from postrider.secret s"
	" where s.name operator(pg_catalog.=) $1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

/*
 * In a worker
 */

static Jsonb *
read_jsonb(TupleDesc desc, HeapTuple tuple, const char *column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, SPI_fnumber(desc, column), desc, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

static void
note_problem(Endpoint *endpoint, const char *column, const char *problem)
{
	if (endpoint->auth_problem == NULL)
		endpoint->auth_problem = psprintf("%s of endpoint \"%s\" %s", column, endpoint->name, problem);
	postrider_log_endpoint_problem(endpoint->name, column, problem,
								   "requests to the endpoint cannot be sent");
}

/* What cannot be used can only be there if the trigger was disabled, or by a dump. */
void
postrider_auth_row_read(TupleDesc desc, HeapTuple tuple, Endpoint *endpoint)
{
	Jsonb	   *auth = read_jsonb(desc, tuple, "auth");
	Jsonb	   *signing = read_jsonb(desc, tuple, "signing");
	char	   *secret = SPI_getvalue(tuple, desc, SPI_fnumber(desc, "signing_secret"));
	const char *problem = NULL;
	const char *hint;

	endpoint->ca_certificate = SPI_getvalue(tuple, desc, SPI_fnumber(desc, "ca_certificate"));
	if (auth != NULL)
	{
		endpoint->auth = postrider_auth_compile(auth, &problem, &hint);
		if (endpoint->auth == NULL)
			note_problem(endpoint, "auth", problem);
	}
	if (signing != NULL || secret != NULL)
	{
		endpoint->signing = postrider_signing_compile(signing, secret, &problem, &hint);
		if (endpoint->signing == NULL)
			note_problem(endpoint, "signing", problem);
	}
}

/*
 * In the trigger
 */

static void
refuse_secret(const TriggerRow *row, const char *column, const char *name)
{
	bool		is_name = postrider_options_is_name(name);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 is_name ?
			 errmsg("secret \"%s\" of endpoint \"%s\" does not exist", name, row->endpoint) :
			 errmsg("%s of endpoint \"%s\" has something else where the name of a secret belongs",
					column, row->endpoint),
			 is_name ?
			 errhint("Store it first: SELECT postrider.set_secret(%s%s);", quote_literal_cstr(name),
					 strcmp(column, "signing_secret") == 0 ? "" : ", '...'") :
			 errhint("If that is the credential itself, store it under a name, SELECT postrider.set_secret('name', '...'); and write the name here."),
			 errhidestmt(true)));
}

static void
require_secrets(const TriggerRow *row, const char *column, const List *secrets)
{
	ListCell   *cell;
	SqlScope	sql;

	foreach(cell, secrets)
	{
		const char *name = lfirst(cell);
		Datum		value = CStringGetTextDatum(name);
		bool		exists;

		postrider_sql_enter(&sql);
		exists = postrider_sql_run(&find_secret, &value, NULL, 1) > 0;
		postrider_sql_leave(&sql);
		if (!exists)
			refuse_secret(row, column, name);
	}
}

pg_noreturn static void refuse(const TriggerRow *row, const char *column, const char *problem,
				   const char *hint);

static void
refuse(const TriggerRow *row, const char *column, const char *problem, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s of endpoint \"%s\" %s", column, row->endpoint, problem),
			 hint ? errhint("%s", hint) : 0,
			 errhidestmt(true)));
}

/* Token servers are as little to be trusted as endpoints. */
static void
require_urls(const TriggerRow *row, const List *urls)
{
	ListCell   *cell;

	foreach(cell, urls)
	{
		UrlProblem	problem;

		if (!postrider_guard_check_url(lfirst(cell), URL_TARGET, &problem))
			ereport(ERROR,
					(errcode(problem.sqlstate),
					 errmsg("auth of endpoint \"%s\" has a URL that cannot be used: %s",
							row->endpoint, problem.message),
					 problem.detail ? errdetail("%s", problem.detail) : 0,
					 problem.hint ? errhint("%s", problem.hint) : 0,
					 errhidestmt(true)));
	}
}

static void
require_certificates(const TriggerRow *row, const char *place, const char *pem)
{
	char	   *problem = pem == NULL ? NULL :
		postrider_certificate_problem(pem, strlen(pem), postrider_trigger_time());

	if (problem != NULL)
		refuse(row, place, problem, CERTIFICATE_HINT);
}

/* Certificates and keys in secrets. */
static void
require_fit(const TriggerRow *row, const Auth *auth)
{
	const char *problem = NULL;
	TimestampTz now = postrider_trigger_time();
	SqlScope	sql;

	if (now == 0)
		return;
	postrider_sql_enter(&sql);
	/* What is wrong is told before the memory goes that the words are in. */
	if (!postrider_auth_fit_each_other(auth, postrider_secret_read_newest, now, &problem))
		refuse(row, "auth", psprintf("cannot be used: %s", problem), NULL);
	postrider_sql_leave(&sql);
}

static void
require_auth(const TriggerRow *row)
{
	const char *problem = NULL;
	const char *hint = NULL;
	char	   *url = postrider_trigger_text(row, row->tuple, "url");
	Datum		value;
	bool		isnull;
	Auth	   *auth;
	ListCell   *cell;

	if (!postrider_trigger_changed(row, "auth", JSONBOID) &&
		!postrider_trigger_changed(row, "url", TEXTOID))
		return;
	value = postrider_trigger_get(row, row->tuple, "auth", JSONBOID, &isnull);
	if (isnull)
		return;
	auth = postrider_auth_compile(DatumGetJsonbP(value), &problem, &hint);
	if (auth == NULL || (url != NULL && !postrider_auth_fits_url(auth, url, &problem)))
		refuse(row, "auth", problem, hint);
	require_secrets(row, "auth", postrider_auth_secrets(auth));
	require_urls(row, postrider_auth_urls(auth));
	foreach(cell, postrider_auth_certificates(auth))
		require_certificates(row, "ca_certificate in auth", lfirst(cell));
	require_fit(row, auth);
}

static void
require_signing(const TriggerRow *row)
{
	const char *problem = NULL;
	const char *hint = NULL;
	char	   *secret = postrider_trigger_new_text(row, "signing_secret");
	Datum		value;
	Signing    *signing;

	if (secret != NULL)
		require_secrets(row, "signing_secret", list_make1(secret));
	if (!postrider_trigger_get_new(row, "signing", JSONBOID, &value))
		return;
	signing = postrider_signing_compile(DatumGetJsonbP(value), NULL, &problem, &hint);
	if (signing == NULL)
		refuse(row, "signing", problem, hint);
	require_secrets(row, "signing", postrider_signing_secrets(signing));
}

void
postrider_auth_row_require(const TriggerRow *row)
{
	require_auth(row);
	require_signing(row);
	require_certificates(row, "ca_certificate", postrider_trigger_new_text(row, "ca_certificate"));
}
