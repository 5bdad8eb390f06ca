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

#include "common/base64.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "outbox/name.h"
#include "outbox/secret_check.h"
#include "outbox/secret_store.h"
#include "security/hide.h"
#include "security/secret.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(postrider_set_secret);

#define RANDOM_BYTES 32
#define PREFIX "whsec_"
#define MAX_VALUE_BYTES (64 * 1024)
#define ENCODED_BYTES 44		/* of RANDOM_BYTES in base64 */

/* Keeps the statement and its parameters out of the log. */
static void
hide_statement(void *arg)
{
	errhidestmt(true);
	errhidecontext(true);
}

static void
require_signing_secret(const char *name, const char *value)
{
	char	   *reason;
	Size		length;
	bool		is_private = postrider_secret_is_private_key(value);
	unsigned char *key = is_private ? postrider_secret_private_key(value, &length, &reason) :
		postrider_secret_signing_key(value, &length, &reason);

	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value for secret \"%s\" is not a signing secret", name),
				 errdetail("Reason: %s.", reason),
				 is_private ? errhint("Give whsk_ and the base64 of an ed25519 private key.") :
				 errhint("Leave the value out to have a random one made, or give %s and the base64 of 24 to 64 random bytes.",
						 PREFIX)));
	explicit_bzero(key, length);
	pfree(key);
}

/* Any value will do, but one that looks like a signing secret must be one. */
static void
require_value(const char *name, const char *value)
{
	if (value[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value for secret \"%s\" must not be empty", name)));
	if (strlen(value) > MAX_VALUE_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value for secret \"%s\" must not be longer than %d bytes", name,
						MAX_VALUE_BYTES)));
	if (postrider_secret_has_signing_prefix(value))
		require_signing_secret(name, value);
	postrider_secret_check_value(name, value);
}

/* Stores a random signing secret and returns it. */
static text *
store_random(const SecretOrder *order)
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
	postrider_secret_store(order, value, strlen(value));
	result = cstring_to_text(value);
	explicit_bzero(value, sizeof(value));
	return result;
}

static void
read_order(FunctionCallInfo fcinfo, SecretOrder *order)
{
	static const int arguments[] = {0, 3, 4, 5, 6};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("name of secret must not be null")));
	order->name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	postrider_name_require("secret", order->name);
	for (int i = 0; i < (int) lengthof(arguments); i++)
	{
		order->nulls[i] = PG_ARGISNULL(arguments[i]) ? 'n' : ' ';
		order->values[i] = PG_GETARG_DATUM(arguments[i]);
	}
	order->nulls[lengthof(arguments)] = ' ';
	order->nulls[lengthof(arguments) + 1] = '\0';
	order->keep_end = false;
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("overlap must not be null")));
	order->overlap = PG_GETARG_DATUM(2);
	if (postrider_interval_ms(DatumGetIntervalP(order->overlap)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("overlap must not be negative")));
	if (!PG_ARGISNULL(3) && PG_GETARG_TIMESTAMPTZ(3) <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("secret \"%s\" would have expired already", order->name)));
}

/* SQL: postrider.set_secret(name, value, overlap, expires_at, warn_before, description, tenant) */
Datum
postrider_set_secret(PG_FUNCTION_ARGS)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = hide_statement
	};
	SecretOrder order;
	text	   *result = NULL;

	postrider_hide_statement();
	error_context_stack = &context;
	PreventCommandIfReadOnly("set_secret()");
	read_order(fcinfo, &order);
	if (PG_ARGISNULL(1))
		result = store_random(&order);
	else
	{
		char	   *value = text_to_cstring(PG_GETARG_TEXT_PP(1));

		require_value(order.name, value);
		postrider_secret_store(&order, value, strlen(value));
		explicit_bzero(value, strlen(value));
		pfree(value);
	}
	error_context_stack = context.previous;

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}
