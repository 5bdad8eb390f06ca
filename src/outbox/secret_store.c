/*-------------------------------------------------------------------------
 *
 * secret_store.c
 *	  Stores a new version of a secret; see secret_store.h.
 *
 * SQL that is run from here sees the ciphertext only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "outbox/secret_store.h"
#include "security/key_file.h"
#include "security/key_ring.h"
#include "security/secret.h"
#include "security/secret_set.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Before the key is read: whoever changes the key waits for us, or we for it. */
static SqlStatement lock_versions = {
	.text = "lock table postrider.secret_version in row exclusive mode"
};

static SqlStatement insert_secret = {
	.text =
	"insert into postrider.secret (name, tenant) values ($1, $2) on conflict (name) do nothing",
	.argument_count = 2,
	.argument_types = {TEXTOID, TEXTOID}
};

/* A statement of its own: what follows sees what was committed while we waited. */
static SqlStatement lock_secret = {
	.text = "select from postrider.secret s where s.name = $1 for update",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement select_last = {
	.text = "select max(v.version) from postrider.secret_version v where v.name = $1",
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
	"update postrider.secret set source = null,"
	" expires_at = case when $6 then expires_at else $2 end,"
	" announced = case when $6 then announced end,"
	" warn_before = coalesce($3, warn_before), description = coalesce($4, description),"
	" tenant = coalesce($5, tenant), updated_at = now() where name = $1",
	.argument_count = 6,
	.argument_types = {TEXTOID, TIMESTAMPTZOID, INTERVALOID, TEXTOID, TEXTOID, BOOLOID}
};

static SqlStatement find_another = {
	.text = "select from postrider.secret_version v where v.name <> $1 limit 1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

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
	Datum		row[] = {order->values[0], order->values[4]};
	char		row_nulls[] = {' ', order->nulls[4]};
	int32		last;

	(void) postrider_sql_run(&insert_secret, row, row_nulls, 0);
	(void) postrider_sql_run(&lock_secret, values, NULL, 0);
	(void) postrider_sql_run(&select_last, values, NULL, 0);
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

void
postrider_secret_store(const SecretOrder *order, const char *value, Size length)
{
	SecretLabel label = {.kind = "secret", .name = order->name};
	KeyRing		ring;
	Datum		values[3] = {order->values[0]};
	Datum		update[lengthof(order->values) + 1];
	SqlScope	sql;

	postrider_sql_enter(&sql);
	(void) postrider_sql_run(&lock_versions, NULL, NULL, 0);
	require_key_file(order->values[0]);
	postrider_secret_require_keys(&ring);
	PG_TRY();
	{
		label.version = make_room(order);
		values[1] = Int32GetDatum(label.version);
		values[2] = PointerGetDatum(postrider_secret_seal(&ring, &label, value, length));
		(void) postrider_sql_run(&insert_version, values, NULL, 0);
		memcpy(update, order->values, sizeof(order->values));
		update[lengthof(order->values)] = BoolGetDatum(order->keep_end);
		(void) postrider_sql_run(&update_secret, update, order->nulls, 0);
	}
	PG_FINALLY();
	{
		postrider_key_ring_wipe(&ring);
	}
	PG_END_TRY();
	postrider_sql_leave(&sql);
}

/*
 * The end that a person has set holds for the new value too.
 */
void
postrider_secret_store_rotated(const char *name, const char *value, Size length)
{
	Interval	overlap = {0};
	Datum		text_name = CStringGetTextDatum(name);
	SecretOrder order = {
		.name = name,
		.values = {text_name},
		.nulls = " nnnn ",
		.overlap = IntervalPGetDatum(&overlap)
	};

	order.keep_end = true;
	postrider_secret_store(&order, value, length);
}
