/*-------------------------------------------------------------------------
 *
 * credential_table.c
 *	  The table postrider.credential; see credential_table.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "outbox/credential_table.h"
#include "security/secret.h"
#include "util/compat.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(postrider_credential_ids);

#define COLUMNS \
	" c.id, c.revision, c.ciphertext, c.fetched_at, c.renew_at, c.good_until, c.expires_at," \
	" c.after_rejection, c.failures, c.breaker, c.last_error, c.retry_at, c.inputs," \
	" c.lease_until, c.leased_by"

enum
{
	COLUMN_ID, COLUMN_REVISION, COLUMN_CIPHERTEXT, COLUMN_FETCHED_AT, COLUMN_RENEW_AT,
	COLUMN_GOOD_UNTIL, COLUMN_EXPIRES_AT, COLUMN_AFTER_REJECTION, COLUMN_FAILURES,
	COLUMN_BREAKER, COLUMN_LAST_ERROR, COLUMN_RETRY_AT, COLUMN_INPUTS,
	COLUMN_LEASE_UNTIL, COLUMN_LEASED_BY
};

static SqlStatement select_several = {
	.text = "select" COLUMNS " from postrider.credential c where c.id = any ($1)",
	.argument_count = 1,
	.argument_types = {TEXTARRAYOID}
};

static SqlStatement insert_one = {
	.text =
	"insert into postrider.credential (id, kind, server, secrets) values ($1, $2, $3, $4)"
	" on conflict (id) do nothing",
	.argument_count = 4,
	.argument_types = {TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID}
};

/* Nobody has asked for these in a long time: their description was changed. */
static SqlStatement delete_old = {
	.text =
	"delete from postrider.credential c where c.id <> $1"
	" and greatest(c.fetched_at, c.expires_at, c.last_error_at, c.lease_until)"
	" < now() - interval '7 days'",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement lock_one = {
	.text = "select" COLUMNS " from postrider.credential c where c.id = $1 for update",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement take_lease = {
	.text =
	"update postrider.credential set lease_until = $2, leased_by = $3,"
	" ciphertext = case when $4 then null else ciphertext end where id = $1",
	.argument_count = 4,
	.argument_types = {TEXTOID, TIMESTAMPTZOID, INT4OID, BOOLOID}
};

static SqlStatement give_back = {
	.text =
	"update postrider.credential set lease_until = null, leased_by = null"
	" where id = $1 and leased_by = $2",
	.argument_count = 2,
	.argument_types = {TEXTOID, INT4OID}
};

static SqlStatement store_value = {
	.text =
	"update postrider.credential set ciphertext = $2, fetched_at = $3, renew_at = $4,"
	" good_until = $5, expires_at = $6, after_rejection = $7, breaker = $8, failures = 0,"
	" open_until = null, retry_at = null, inputs = null, lease_until = null,"
	" leased_by = null, revision = revision + 1 where id = $1 returning revision",
	.argument_count = 8,
	.argument_types = {TEXTOID, BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, BOOLOID, BYTEAOID}
};

static SqlStatement store_failure = {
	.text =
	"update postrider.credential set failures = $2, breaker = $3, open_until = $4,"
	" last_error = $5, last_error_at = $6, retry_at = $7, inputs = $8, lease_until = null,"
	" leased_by = null, revision = revision + 1 where id = $1 returning revision",
	.argument_count = 8,
	.argument_types = {TEXTOID, INT4OID, BYTEAOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, TEXTOID}
};

static SqlStatement shift_times = {
	.text =
	"update postrider.credential c set renew_at = c.renew_at + d.by,"
	" good_until = c.good_until + d.by, expires_at = c.expires_at + d.by,"
	" retry_at = c.retry_at + d.by, open_until = c.open_until + d.by,"
	" lease_until = c.lease_until + d.by, revision = c.revision + 1"
	" from (select $1 * interval '1 microsecond' as by) d",
	.argument_count = 1,
	.argument_types = {FLOAT8OID}
};

static TimestampTz
time_at(uint64 row, int column)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(row, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

static SecretLabel
label_of(const Credential *credential)
{
	SecretLabel label = {.kind = "credential",.name = credential->id,.version = 0};

	return label;
}

static void
read_value(uint64 row, Credential *credential)
{
	bool		isnull;
	Datum		ciphertext = postrider_sql_datum(row, COLUMN_CIPHERTEXT, &isnull);
	SecretLabel label = label_of(credential);
	KeyRing		ring;
	char	   *reason = NULL;
	char	   *value;
	Size		length;
	LogLine		line;

	if (isnull)
	{
		postrider_credential_forget_value(credential);
		return;
	}
	value = !postrider_key_ring_read(&ring, &reason) ? NULL :
		postrider_secret_open(&ring, &label, DatumGetByteaPP(ciphertext), &length, NULL,
							  &reason);
	postrider_key_ring_wipe(&ring);
	if (value == NULL)
	{
		postrider_credential_forget_value(credential);
		postrider_log_begin(&line, WARNING, "credential_unreadable");
		postrider_log_text(&line, "server", credential->spec->server);
		postrider_log_text(&line, "error", reason);
		postrider_log_message(&line, "the credential is fetched anew");
		postrider_log_end(&line);
		return;
	}
	credential->fetched_at = time_at(row, COLUMN_FETCHED_AT);
	credential->renew_at = time_at(row, COLUMN_RENEW_AT);
	credential->good_until = time_at(row, COLUMN_GOOD_UNTIL);
	credential->expires_at = time_at(row, COLUMN_EXPIRES_AT);
	credential->after_rejection = postrider_sql_bool(row, COLUMN_AFTER_REJECTION);
	postrider_credential_set_value(credential, value, length);
	explicit_bzero(value, length);
}

static void
read_breaker(uint64 row, Credential *credential)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(row, COLUMN_BREAKER, &isnull);
	bytea	   *bytes = isnull ? NULL : DatumGetByteaPP(value);

	memset(&credential->breaker, 0, sizeof(BreakerState));
	if (bytes != NULL && VARSIZE_ANY_EXHDR(bytes) == sizeof(BreakerState))
		memcpy(&credential->breaker, VARDATA_ANY(bytes), sizeof(BreakerState));
}

/* Takes over what a row says, if it has changed. */
static bool
read_row(uint64 row, Credential *credential)
{
	int64		revision = postrider_sql_int64(row, COLUMN_REVISION);
	char	   *error = postrider_sql_text(row, COLUMN_LAST_ERROR, CurrentMemoryContext);
	char	   *inputs;

	if (revision == credential->revision)
		return false;
	credential->revision = revision;

	/* A value that was thrown away here may still be there. */
	if (credential->rejected_at == 0 ||
		credential->rejected_at != time_at(row, COLUMN_FETCHED_AT))
		read_value(row, credential);
	credential->failures = postrider_sql_int32(row, COLUMN_FAILURES);
	read_breaker(row, credential);
	postrider_credential_set_problem(credential,
									 credential->failures > 0 ? error : NULL,
									 time_at(row, COLUMN_RETRY_AT));
	inputs = postrider_sql_text(row, COLUMN_INPUTS, credential->context);
	if (credential->inputs)
		pfree(credential->inputs);
	credential->inputs = inputs;
	return true;
}

static Datum
text_array(List *texts)
{
	Datum	   *elements = palloc(sizeof(Datum) * (list_length(texts) + 1));
	ListCell   *cell;
	int			count = 0;

	foreach(cell, texts)
		elements[count++] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

List *
postrider_credential_table_refresh(List *credentials)
{
	List	   *ids = NIL;
	List	   *changed = NIL;
	ListCell   *cell;
	Datum		value;
	uint64		count;

	foreach(cell, credentials)
		ids = lappend(ids, ((Credential *) lfirst(cell))->id);
	value = text_array(ids);
	count = postrider_sql_run(&select_several, &value, NULL, 0);
	for (uint64 row = 0; row < count; row++)
	{
		char	   *id = postrider_sql_text(row, COLUMN_ID, CurrentMemoryContext);

		foreach(cell, credentials)
		{
			Credential *credential = lfirst(cell);

			if (strcmp(credential->id, id) == 0 && read_row(row, credential))
				changed = lappend(changed, credential);
		}
	}
	return changed;
}

void
postrider_credential_table_lock(Credential *credential, CredentialLease *lease)
{
	const CredentialSpec *spec = credential->spec;
	Datum		values[] = {
		CStringGetTextDatum(credential->id),
		CStringGetTextDatum(spec->kind->name),
		CStringGetTextDatum(spec->server),
		text_array(spec->secrets)
	};

	if (postrider_sql_run(&lock_one, values, NULL, 1) == 0)
	{
		postrider_sql_run(&delete_old, values, NULL, 0);
		postrider_sql_run(&insert_one, values, NULL, 0);
		if (postrider_sql_run(&lock_one, values, NULL, 1) == 0)
			elog(ERROR, "row of credential \"%s\" is gone", credential->id);
	}
	lease->until = time_at(0, COLUMN_LEASE_UNTIL);
	lease->pid = postrider_sql_int32(0, COLUMN_LEASED_BY);
	(void) read_row(0, credential);
}

void
postrider_credential_table_take(const Credential *credential, TimestampTz until,
								bool drop_value)
{
	Datum		values[] = {
		CStringGetTextDatum(credential->id),
		TimestampTzGetDatum(until),
		Int32GetDatum(MyProcPid),
		BoolGetDatum(drop_value)
	};

	postrider_sql_run(&take_lease, values, NULL, 0);
}

void
postrider_credential_table_give_back(const Credential *credential)
{
	Datum		values[] = {
		CStringGetTextDatum(credential->id),
		Int32GetDatum(MyProcPid)
	};

	postrider_sql_run(&give_back, values, NULL, 0);
}

static Datum
breaker_datum(const Credential *credential)
{
	bytea	   *bytes = palloc(VARHDRSZ + sizeof(BreakerState));

	SET_VARSIZE(bytes, VARHDRSZ + sizeof(BreakerState));
	memcpy(VARDATA(bytes), &credential->breaker, sizeof(BreakerState));
	return PointerGetDatum(bytes);
}

void
postrider_credential_table_store(Credential *credential, const char *value, Size length)
{
	SecretLabel label = label_of(credential);
	KeyRing		ring;
	Datum		values[8];

	postrider_secret_require_keys(&ring);
	values[0] = CStringGetTextDatum(credential->id);
	values[1] = PointerGetDatum(postrider_secret_seal(&ring, &label, value, length));
	postrider_key_ring_wipe(&ring);
	values[2] = TimestampTzGetDatum(credential->fetched_at);
	values[3] = TimestampTzGetDatum(credential->renew_at);
	values[4] = TimestampTzGetDatum(credential->good_until);
	values[5] = TimestampTzGetDatum(credential->expires_at);
	values[6] = BoolGetDatum(credential->after_rejection);
	values[7] = breaker_datum(credential);
	if (postrider_sql_run(&store_value, values, NULL, 0) == 1)
		credential->revision = postrider_sql_int64(0, 0);
}

void
postrider_credential_table_fail(Credential *credential, const char *error, TimestampTz now)
{
	bool		is_open = credential->breaker.phase == BREAKER_OPEN;
	Datum		values[] = {
		CStringGetTextDatum(credential->id),
		Int32GetDatum(credential->failures),
		breaker_datum(credential),
		TimestampTzGetDatum(credential->breaker.open_until_us),
		CStringGetTextDatum(error),
		TimestampTzGetDatum(now),
		TimestampTzGetDatum(credential->retry_at),
		CStringGetTextDatum(credential->inputs ? credential->inputs : "")
	};
	char		nulls[] = {' ', ' ', ' ', is_open ? ' ' : 'n', ' ', ' ', ' ', ' ', '\0'};

	if (postrider_sql_run(&store_failure, values, nulls, 0) == 1)
		credential->revision = postrider_sql_int64(0, 0);
}

void
postrider_credential_table_shift(int64 microseconds)
{
	Datum		value = Float8GetDatum((double) microseconds);

	postrider_sql_run(&shift_times, &value, NULL, 0);
}

/* The id of one object of auth, if it is fetched. */
static List *
add_id(List *ids, Jsonb *object)
{
	JsonbValue	buffer;
	JsonbValue *type;
	CredentialSpec *spec;
	const char *problem;
	const char *hint;
	char	   *kind;

	type = getKeyJsonValueFromContainer(&object->root, "type", strlen("type"), &buffer);
	if (type == NULL || type->type != jbvString)
		return ids;
	kind = pnstrdup(type->val.string.val, type->val.string.len);
	if (!postrider_credential_kind_exists(kind))
		return ids;
	spec = postrider_credential_compile(kind, object, NULL, &problem, &hint);
	return spec ? lappend(ids, spec->id) : ids;
}

/* SQL: postrider.credential_ids(auth) */
Datum
postrider_credential_ids(PG_FUNCTION_ARGS)
{
	Jsonb	   *auth = PG_GETARG_JSONB_P(0);
	List	   *ids = NIL;
	JsonbIterator *iterator;
	JsonbValue	value;

	if (JB_ROOT_IS_OBJECT(auth))
		PG_RETURN_DATUM(text_array(add_id(NIL, auth)));
	if (!JB_ROOT_IS_ARRAY(auth) || JB_ROOT_IS_SCALAR(auth))
		PG_RETURN_DATUM(text_array(NIL));
	iterator = JsonbIteratorInit(&auth->root);
	(void) JsonbIteratorNext(&iterator, &value, true);
	while (JsonbIteratorNext(&iterator, &value, true) == WJB_ELEM)
		if (value.type == jbvBinary && JsonContainerIsObject(value.val.binary.data))
			ids = add_id(ids, JsonbValueToJsonb(&value));
	PG_RETURN_DATUM(text_array(ids));
}
