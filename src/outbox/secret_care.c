/*-------------------------------------------------------------------------
 *
 * secret_care.c
 *	  What is due for secrets at a certain time; see secret_care.h.
 *
 * A message is sent once for each value: secret.announced says which have been sent,
 * in the same transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/secret_care.h"
#include "util/sql.h"
#include "utils/timestamp.h"

static SqlStatement select_next = {
	.text =
	"select least((select min(v.retires_at) from postrider.secret_version v),"
	" (select min(case when s.announced is null then s.expires_at - s.warn_before"
	"  else s.expires_at end)"
	"  from postrider.secret s where s.announced is distinct from 'expired'))"
};

static SqlStatement find_retired = {
	.text = "select from postrider.secret_version where retires_at <= now() limit 1"
};

static SqlStatement delete_retired = {
	.text = "delete from postrider.secret_version where retires_at <= now()"
};

#define IS_DUE \
	" s.expires_at - s.warn_before <= now()" \
	" and (s.announced is null or s.announced = 'expiring' and s.expires_at <= now())"

static SqlStatement find_due = {
	.text = "select from postrider.secret s where" IS_DUE " limit 1"
};

static SqlStatement announce = {
	.text =
	"with due as (update postrider.secret s"
	" set announced = case when s.expires_at <= now() then 'expired' else 'expiring' end"
	" where" IS_DUE
	" returning s.name, s.tenant, s.announced, s.expires_at)"
	" select postrider.emit('postrider.secret.' || d.announced, jsonb_build_object("
	"'secret', d.name, 'expires_at', d.expires_at, 'used_by',"
	" (select coalesce(jsonb_agg(distinct u.used_by), '[]') from postrider.secret_use u"
	"  where u.secret = d.name and u.kind = 'endpoint')), key => d.name, tenant => d.tenant)"
	" from due d"
};

TimestampTz
postrider_secret_care_next(void)
{
	bool		isnull;
	Datum		value;

	(void) postrider_sql_run(&select_next, NULL, NULL, 1);
	value = postrider_sql_datum(0, 0, &isnull);
	return isnull ? DT_NOEND : DatumGetTimestampTz(value);
}

void
postrider_secret_delete_retired(void)
{
	/* The statement alone, with nothing to delete, would count as a change. */
	if (postrider_sql_run(&find_retired, NULL, NULL, 1) > 0)
		(void) postrider_sql_run(&delete_retired, NULL, NULL, 0);
}

void
postrider_secret_announce(void)
{
	if (postrider_sql_run(&find_due, NULL, NULL, 1) > 0)
		(void) postrider_sql_run(&announce, NULL, NULL, 0);
}
