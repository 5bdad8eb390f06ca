/*-------------------------------------------------------------------------
 *
 * endpoint_state.c
 *	  What is kept over a restart: the table endpoint_state.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "outbox/endpoint_state.h"
#include "util/compat.h"
#include "util/sql.h"
#include "utils/builtins.h"

static SqlStatement load = {
	.text =
	"select rate, breaker, clean from postrider.endpoint_state"
	" where endpoint_id = $1 and rate_group = $2",
	.argument_count = 2,
	.argument_types = {INT4OID, TEXTOID}
};

static SqlStatement save = {
	.text =
	"insert into postrider.endpoint_state (endpoint_id, rate_group, rate, breaker, clean, saved_at)"
	" values ($1, $2, $3, $4, $5, now())"
	" on conflict (endpoint_id, rate_group) do update set rate = excluded.rate,"
	" breaker = excluded.breaker, clean = excluded.clean, saved_at = excluded.saved_at",
	.argument_count = 5,
	.argument_types = {INT4OID, TEXTOID, BYTEAOID, BYTEAOID, BOOLOID}
};

static SqlStatement forget = {
	.text =
	"delete from postrider.endpoint_state where endpoint_id = $1 and rate_group = $2",
	.argument_count = 2,
	.argument_types = {INT4OID, TEXTOID}
};

static SqlStatement forget_orphans = {
	.text =
	"delete from postrider.endpoint_state s where case when s.endpoint_id > 0 then"
	" not exists (select from postrider.endpoint e where e.id = s.endpoint_id)"
	" when s.endpoint_id = 0 then"
	" not exists (select from postrider.endpoint e where e.rate_group = s.rate_group) else"
	" not exists (select from postrider.tenant t where t.name = s.rate_group) end"
};

static const void *
bytes_at(int column, Size *length)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(0, column, &isnull);
	bytea	   *copy;

	*length = 0;
	if (isnull)
		return NULL;
	copy = DatumGetByteaPCopy(value);
	*length = VARSIZE(copy) - VARHDRSZ;
	return VARDATA(copy);
}

bool
postrider_endpoint_state_load(const EndpointStateKey *key, EndpointStateRow *row)
{
	Datum		values[] = {
		Int32GetDatum(key->endpoint_id),
		CStringGetTextDatum(key->rate_group)
	};

	if (postrider_sql_run(&load, values, NULL, 1) == 0)
		return false;
	row->rate = bytes_at(0, &row->rate_length);
	row->breaker = bytes_at(1, &row->breaker_length);
	row->clean = postrider_sql_bool(0, 2);
	return true;
}

static Datum
make_bytea(const void *bytes, Size length)
{
	bytea	   *result;

	if (bytes == NULL)
		return (Datum) 0;
	result = palloc(VARHDRSZ + length);
	SET_VARSIZE(result, VARHDRSZ + length);
	memcpy(VARDATA(result), bytes, length);
	return PointerGetDatum(result);
}

void
postrider_endpoint_state_save(const EndpointStateKey *key, const EndpointStateRow *row)
{
	Datum		values[] = {
		Int32GetDatum(key->endpoint_id),
		CStringGetTextDatum(key->rate_group),
		make_bytea(row->rate, row->rate_length),
		make_bytea(row->breaker, row->breaker_length),
		BoolGetDatum(row->clean)
	};
	char		nulls[] = {' ', ' ', row->rate ? ' ' : 'n', row->breaker ? ' ' : 'n', ' ', '\0'};

	postrider_sql_run(&save, values, nulls, 0);
}

void
postrider_endpoint_state_delete(const EndpointStateKey *key)
{
	Datum		values[] = {
		Int32GetDatum(key->endpoint_id),
		CStringGetTextDatum(key->rate_group)
	};

	postrider_sql_run(&forget, values, NULL, 0);
}

void
postrider_endpoint_state_delete_orphans(void)
{
	postrider_sql_run(&forget_orphans, NULL, NULL, 0);
}
