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
#include "pgstat.h"
#include "outbox/name.h"
#include "outbox/secret_table.h"
#include "security/key_file.h"
#include "security/key_ring.h"
#include "security/secret.h"
#include "security/secret_set.h"
#include "util/sql.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(postrider_set_secret);

#define RANDOM_BYTES 32
#define PREFIX "whsec_"
#define MAX_VALUE_BYTES (64 * 1024)
#define ENCODED_BYTES 44		/* of RANDOM_BYTES in base64 */

/* Before the key is read: whoever changes the key waits for us, or we for it. */
static SqlStatement lock_versions = {
	.text = "lock table postrider.secret_version in row exclusive mode"
};

static SqlStatement insert_secret = {
	.text =
	"insert into postrider.secret (name) values ($1) on conflict (name) do nothing",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement select_secret = {
	.text =
	"select (select max(v.version) from postrider.secret_version v where v.name = s.name)"
	" from postrider.secret s where s.name = $1 for update",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

/* The old ones end after the overlap, and not later than they would have. */
static SqlStatement retire_versions = {
	.text =
	"update postrider.secret_version v set retires_at = least(v.retires_at, now() + $2,"
	" case when v.retires_at is null then s.expires_at end)"
	" from postrider.secret s where v.name = $1 and s.name = $1",
	.argument_count = 2,
	.argument_types = {TEXTOID, INTERVALOID}
};

static SqlStatement delete_retired = {
	.text =
	"delete from postrider.secret_version where name = $1 and retires_at <= now()",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement count_versions = {
	.text = "select count(*) from postrider.secret_version where name = $1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement insert_version = {
	.text =
	"insert into postrider.secret_version (name, version, ciphertext) values ($1, $2, $3)",
	.argument_count = 3,
	.argument_types = {TEXTOID, INT4OID, BYTEAOID}
};

static SqlStatement update_secret = {
	.text =
	"update postrider.secret set source = null, expires_at = $2, announced = null,"
	" warn_before = coalesce($3, warn_before), description = coalesce($4, description),"
	" tenant = coalesce($5, tenant), updated_at = now() where name = $1",
	.argument_count = 5,
	.argument_types = {TEXTOID, TIMESTAMPTZOID, INTERVALOID, TEXTOID, TEXTOID}
};

static SqlStatement find_another = {
	.text = "select from postrider.secret_version v where v.name <> $1 limit 1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

/* What set_secret() is asked for, beside the value. */
typedef struct SecretOrder
{
	const char *name;
	Datum		values[5];		/* name, expires_at, warn_before, description, tenant */
	char		nulls[6];		/* likewise */
	Datum		overlap;
} SecretOrder;

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
	if (postrider_key_ring_is_command() ||
		postrider_sql_run(&find_another, &name, NULL, 1) == 0 ||
		postrider_key_file_exists())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("key file \"%s\" is missing", postrider_key_file_path()),
			 errdetail("Secrets that are stored already were encrypted with the key in it."),
			 errhint("Restore the file. If it is lost, make another with: openssl rand -base64 32 > FILE; chmod 600 FILE. Then set every secret again.")));
}

/* The number of the next version; the row of the secret is locked. */
static int32
make_room(const SecretOrder *order)
{
	Datum		values[] = {order->values[0], order->overlap};
	int32		last;

	(void) postrider_sql_run(&insert_secret, values, NULL, 0);
	(void) postrider_sql_run(&select_secret, values, NULL, 0);
	last = postrider_sql_int32(0, 0);
	(void) postrider_sql_run(&retire_versions, values, NULL, 0);
	(void) postrider_sql_run(&delete_retired, values, NULL, 0);
	(void) postrider_sql_run(&count_versions, values, NULL, 0);
	if (postrider_sql_int64(0, 0) >= SECRET_MAX_VERSIONS)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("secret \"%s\" has %d values in force already", order->name,
						SECRET_MAX_VERSIONS),
				 errhint("With overlap => '0' the old ones end at once.")));
	if (last == PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("secret \"%s\" has no more versions", order->name)));
	return last + 1;
}

static void
store_secret(const SecretOrder *order, const char *value)
{
	SecretLabel label = {.kind = "secret", .name = order->name};
	KeyRing		ring;
	Datum		values[3] = {order->values[0]};
	SqlScope	sql;

	postrider_sql_enter(&sql);
	(void) postrider_sql_run(&lock_versions, NULL, NULL, 0);
	require_key_file(order->values[0]);
	postrider_secret_require_keys(&ring);
	PG_TRY();
	{
		label.version = make_room(order);
		values[1] = Int32GetDatum(label.version);
		values[2] = PointerGetDatum(postrider_secret_seal(&ring, &label, value, strlen(value)));
		(void) postrider_sql_run(&insert_version, values, NULL, 0);
		(void) postrider_sql_run(&update_secret, order->values, order->nulls, 0);
	}
	PG_FINALLY();
	{
		postrider_key_ring_wipe(&ring);
	}
	PG_END_TRY();
	postrider_sql_leave(&sql);
}

void
postrider_secret_store_rotated(const char *name, const char *value)
{
	static Interval no_overlap = {0};
	SecretOrder order = {
		.name = name,
		.values = {CStringGetTextDatum(name)},
		.nulls = " nnnn",
		.overlap = IntervalPGetDatum(&no_overlap)
	};

	store_secret(&order, value);
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
	store_secret(order, value);
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
	order->nulls[lengthof(arguments)] = '\0';
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

	pgstat_report_activity(STATE_RUNNING, "<postrider.set_secret()>");
	error_context_stack = &context;
	PreventCommandIfReadOnly("set_secret()");
	read_order(fcinfo, &order);
	if (PG_ARGISNULL(1))
		result = store_random(&order);
	else
	{
		char	   *value = text_to_cstring(PG_GETARG_TEXT_PP(1));

		require_value(order.name, value);
		store_secret(&order, value);
		explicit_bzero(value, strlen(value));
		pfree(value);
	}
	error_context_stack = context.previous;

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}
