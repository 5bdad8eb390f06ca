/*-------------------------------------------------------------------------
 *
 * secret_table.c
 *	  Storing secrets: postrider.set_secret().
 *
 * The value is in the text of the statement, so no error that is raised while
 * it is being stored may write the statement or its parameters to the log.
 * SQL run from here sees the ciphertext only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "outbox/name.h"
#include "security/key_file.h"
#include "security/secret.h"
#include "util/sql.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(postrider_set_secret);

#define RANDOM_BYTES 32
#define PREFIX "whsec_"
#define ENCODED_BYTES 44		/* of RANDOM_BYTES in base64 */

static SqlStatement store = {
	.text =
	"insert into postrider.secret (name, ciphertext) values ($1, $2)"
	" on conflict (name) do update"
	" set ciphertext = excluded.ciphertext, updated_at = pg_catalog.now()",
	.argument_count = 2,
	.argument_types = {TEXTOID, BYTEAOID}
};

static SqlStatement find_another = {
	.text =
	"select s.name from postrider.secret s"
	" where s.name operator(pg_catalog.<>) $1 limit 1",
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

/*
 * Where the key file is missing although secrets are there, it was lost, or
 * has not been brought to this server.  To make a new one then would leave
 * behind secrets under two keys.
 */
static void
require_key_file(Datum name)
{
	/* In this order: whoever stored a secret that we see made the file first. */
	if (postrider_sql_run(&find_another, &name, NULL, 1) == 0 ||
		postrider_key_file_exists())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("key file \"%s\" is missing", postrider_key_file_path()),
			 errdetail("Secrets that are stored already were encrypted with the key in it."),
			 errhint("Restore the file. If it is lost, make another with: openssl rand -base64 32 > FILE; chmod 600 FILE. Then set every secret again.")));
}

static void
store_secret(const char *name, const char *value)
{
	Datum		values[2];
	SqlScope	sql;

	values[0] = CStringGetTextDatum(name);
	postrider_sql_enter(&sql);
	require_key_file(values[0]);
	values[1] = PointerGetDatum(postrider_secret_encrypt(name, value));
	(void) postrider_sql_run(&store, values, NULL, 0);
	postrider_sql_leave(&sql);
}

static void
require_signing_secret(const char *name, const char *value)
{
	char	   *reason;
	Size		length;
	unsigned char *key = postrider_secret_signing_key(value, &length, &reason);

	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value for secret \"%s\" is not a signing secret", name),
				 errdetail("Reason: %s.", reason),
				 errhint("Leave the value out to have a random one made, or give %s and the base64 of 24 to 64 random bytes.",
						 PREFIX)));
	explicit_bzero(key, length);
	pfree(key);
}

/* Stores a random signing secret and returns it. */
static text *
store_random(const char *name)
{
	unsigned char random[RANDOM_BYTES];
	char		value[sizeof(PREFIX) + ENCODED_BYTES] = PREFIX;
	text	   *result;
	int			length;

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random secret")));
	length = pg_b64_encode((const void *) random, sizeof(random),
						   value + strlen(PREFIX), ENCODED_BYTES);
	explicit_bzero(random, sizeof(random));
	if (length != ENCODED_BYTES)
		elog(ERROR, "base64 of a secret has %d bytes", length);
	store_secret(name, value);
	result = cstring_to_text(value);
	explicit_bzero(value, sizeof(value));
	return result;
}

/* SQL: postrider.set_secret(name, value) */
Datum
postrider_set_secret(PG_FUNCTION_ARGS)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = hide_statement
	};
	text	   *result = NULL;
	char	   *name;

	error_context_stack = &context;
	PreventCommandIfReadOnly("set_secret()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name of secret must not be null")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	postrider_name_require("secret", name);

	if (PG_ARGISNULL(1))
		result = store_random(name);
	else
	{
		char	   *value = text_to_cstring(PG_GETARG_TEXT_PP(1));

		require_signing_secret(name, value);
		store_secret(name, value);
		explicit_bzero(value, strlen(value));
		pfree(value);
	}
	error_context_stack = context.previous;

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}
