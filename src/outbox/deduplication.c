/*-------------------------------------------------------------------------
 *
 * deduplication.c
 *	  Deduplication keys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "guc.h"
#include "outbox/deduplication.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static SqlStatement claim = {
	.text =
	"insert into postrider.deduplication as d"
	" (tenant, topic, dedup_key, message_id, expires_at)"
	" values ($1, $2, $3, $4, $5)"
	" on conflict (tenant, topic, dedup_key) do update"
	" set message_id = excluded.message_id, expires_at = excluded.expires_at"
	" where d.expires_at <= now()"
	" returning d.message_id",
	.argument_count = 5,
	.argument_types = {TEXTOID, TEXTOID, TEXTOID, UUIDOID, TIMESTAMPTZOID}
};

static SqlStatement find_holder = {
	.text =
	"select d.message_id from postrider.deduplication d"
	" where d.tenant is not distinct from $1"
	" and d.topic = $2"
	" and d.dedup_key = $3",
	.argument_count = 3,
	.argument_types = {TEXTOID, TEXTOID, TEXTOID}
};

bool
postrider_deduplication_claim(text *tenant, const char *scope, text *dedup_key,
							  const pg_uuid_t *id, pg_uuid_t *holder)
{
	TimestampTz expires_at =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									(int64) postrider_deduplication_minutes * 60000);
	Datum		values[] = {
		PointerGetDatum(tenant), CStringGetTextDatum(scope),
		PointerGetDatum(dedup_key), UUIDPGetDatum(id),
		TimestampTzGetDatum(expires_at)
	};
	const char *nulls = tenant ? "     " : "n    ";
	SqlScope	sql;
	bool		claimed;

	postrider_sql_enter(&sql);
	claimed = postrider_sql_run(&claim, values, nulls, 0) > 0;
	if (!claimed)
	{
		/* The row is there: it was locked by the statement above. */
		if (postrider_sql_run(&find_holder, values, nulls, 1) == 0)
			elog(ERROR, "deduplication key vanished");
		*holder = postrider_sql_uuid(0, 0);
	}
	postrider_sql_leave(&sql);
	return claimed;
}
