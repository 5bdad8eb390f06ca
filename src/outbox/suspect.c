/*-------------------------------------------------------------------------
 *
 * suspect.c
 *	  Messages that end the worker.
 *
 * A worker that fails is started again and finds the same messages.  If one of
 * them is what made it fail, by a fault of ours or of a library, it would fail
 * for ever, and with a crash take the whole server along.  So the row of its
 * cursor counts the starts since the worker last ran well.  After too
 * many of them the worker is careful: it handles one message at a time and marks
 * each one durably before.  A message that is marked when the worker ends, so many
 * times in a row, is given up: its deliveries become dead letters with the error
 * code "crash", and reading after a start leaves it out (reader.c).
 *
 * A message is a suspect only while it is handled, not while it is in flight
 * for long, and not if an error came from writing the outcome: so a receiver that
 * hangs, a full disk, or somebody who kills the worker condemn nobody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "outbox/shard.h"
#include "outbox/stats.h"
#include "outbox/suspect.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/builtins.h"

/* After so many starts the worker is careful. */
#define CAREFUL_STARTS 3

/* A message that ended a careful worker so often in a row is given up. */
#define SUSPECT_TRIES 3

static SqlStatement count_start = {
	.text =
	"update postrider.dispatch_cursor set starts = starts + 1 where shard = $1"
	" returning starts, suspect_id, suspect_tries",
	.argument_count = 1,
	.argument_types = {INT4OID}
};

static SqlStatement mark_suspect = {
	.text =
	"update postrider.dispatch_cursor set suspect_id = $2, suspect_tries ="
	" case when suspect_id = $2 then suspect_tries + 1 else 1 end"
	" where shard = $1",
	.argument_count = 2,
	.argument_types = {INT4OID, UUIDOID}
};

static SqlStatement clear_suspect = {
	.text =
	"update postrider.dispatch_cursor set suspect_id = null, suspect_tries = 0"
	" where shard = $1 and suspect_id is not null",
	.argument_count = 1,
	.argument_types = {INT4OID}
};

static SqlStatement forget_starts = {
	.text =
	"update postrider.dispatch_cursor set starts = 0, suspect_id = null,"
	" suspect_tries = 0 where shard = $1 and starts > 0",
	.argument_count = 1,
	.argument_types = {INT4OID}
};

/* What the message owes and what is not yet in pending; filters are not asked. */
static SqlStatement make_owed = {
	.text =
	"insert into postrider.pending"
	" (message_id, endpoint_id, due_at, attempts, reason, key, mapping, mapping_version)"
	" select m.id, e.id, now(), 0, 'retry', m.key, s.mapping, s.mapping_version"
	" from postrider.message m join postrider.endpoint e on e.id % $3 = $2"
	" and (e.tenant is null or e.tenant = m.tenant)"
	" left join lateral (select s.mapping, s.mapping_version, true as matches"
	"  from postrider.subscription s where s.endpoint = e.name"
	"  and s.enabled and m.id > s.after_id"
	"  and postrider.topic_matches(m.topic, s.topic) order by s.id limit 1) s"
	" on m.endpoint is null"
	" where m.id = $1"
	" and case when m.endpoint is not null then m.endpoint = e.name else s.matches end"
	" and not exists (select from postrider.attempt a where a.message_id = m.id"
	"  and a.endpoint_id = e.id and a.outcome <> 'retry')"
	" on conflict do nothing",
	.argument_count = 3,
	.argument_types = {UUIDOID, INT4OID, INT4OID}
};

static SqlStatement give_up_owed = {
	.text =
	"with gone as (delete from postrider.pending p"
	"  where p.message_id = $1 and p.endpoint_id % $3 = $2 returning p.*),"
	" letter as (insert into postrider.dead_letter (message_id, endpoint_id,"
	"  reason, attempts, error_code, error, topic, key, tenant, payload,"
	"  headers, expires_at, traceparent, priority, mapping, mapping_version)"
	"  select g.message_id, g.endpoint_id, 'dead', g.attempts, 'crash', $4,"
	"  case when g.payload is null then m.topic else g.topic end, g.key,"
	"  case when g.payload is null then m.tenant else g.tenant end,"
	"  case when g.payload is null then m.payload else g.payload end,"
	"  case when g.payload is null then m.headers else g.headers end,"
	"  case when g.payload is null then m.expires_at else g.expires_at end,"
	"  case when g.payload is null then m.traceparent else g.traceparent end,"
	"  g.priority, g.mapping, g.mapping_version"
	"  from gone g left join postrider.message m on m.id = g.message_id"
	"  where g.payload is not null or m.removed is null and m.payload is not null"
	"  on conflict (message_id, endpoint_id) do nothing)"
	", ended as (insert into postrider.attempt (message_id, endpoint_id, started_at,"
	"  attempt, outcome, error_code, error)"
	"  select message_id, endpoint_id, now(), least(attempts, 32767), 'dead', 'crash', $4 from gone"
	"  returning endpoint_id)"
	" select endpoint_id, count(*) from ended group by endpoint_id",
	.argument_count = 4,
	.argument_types = {UUIDOID, INT4OID, INT4OID, TEXTOID}
};

static SqlStatement find_next_pending = {
	.text =
	"select p.message_id, e.id from postrider.endpoint e"
	" cross join lateral (select d.message_id, d.due_at from postrider.pending d"
	" where d.endpoint_id = e.id and d.due_at <= now()"
	" order by d.due_at limit 1) p"
	" where e.enabled and e.paused_at is null and e.id % $2 = $1"
	" order by p.due_at limit 1",
	.argument_count = 2,
	.argument_types = {INT4OID, INT4OID}
};

static void
give_up(const pg_uuid_t *id, int tries)
{
	char	   *error = psprintf("the worker ended %d times in a row while it handled this message; the server log says why",
								 tries);
	Datum		values[] = {
		UUIDPGetDatum(id),
		Int32GetDatum(postrider_shard_number()),
		Int32GetDatum(postrider_shard_count()),
		CStringGetTextDatum(error)
	};
	Datum		shard[] = {Int32GetDatum(postrider_shard_number())};
	LogLine		line;

	postrider_sql_run(&make_owed, values, NULL, 0);
	postrider_stats_count_rows(postrider_sql_run(&give_up_owed, values, NULL, 0), OUTCOME_DEAD);
	postrider_sql_run(&clear_suspect, shard, NULL, 0);
	postrider_log_begin(&line, WARNING, "message_given_up");
	postrider_log_text(&line, "message_id", postrider_uuid_text(id));
	postrider_log_message(&line, "%s; it is in postrider.dead_letter", error);
	postrider_log_end(&line);
}

bool
postrider_suspect_start(void)
{
	Datum		values[] = {Int32GetDatum(postrider_shard_number())};
	pg_uuid_t	suspect;
	int			starts;
	int			tries;

	if (postrider_sql_run(&count_start, values, NULL, 0) == 0)
		return false;
	starts = postrider_sql_int32(0, 0);
	suspect = postrider_sql_uuid(0, 1);
	tries = postrider_sql_int32(0, 2);
	if (tries >= SUSPECT_TRIES)
		give_up(&suspect, tries);
	return starts > CAREFUL_STARTS;
}

void
postrider_suspect_mark(const pg_uuid_t *id)
{
	Datum		values[] = {
		Int32GetDatum(postrider_shard_number()),
		UUIDPGetDatum(id)
	};

	postrider_sql_run(&mark_suspect, values, NULL, 0);
}

void
postrider_suspect_clear(void)
{
	Datum		values[] = {Int32GetDatum(postrider_shard_number())};

	postrider_sql_run(&clear_suspect, values, NULL, 0);
}

void
postrider_suspect_forget(void)
{
	Datum		values[] = {Int32GetDatum(postrider_shard_number())};

	postrider_sql_run(&forget_starts, values, NULL, 0);
}

bool
postrider_suspect_next_pending(pg_uuid_t *id, int32 *endpoint_id)
{
	Datum		values[] = {
		Int32GetDatum(postrider_shard_number()),
		Int32GetDatum(postrider_shard_count())
	};

	if (postrider_sql_run(&find_next_pending, values, NULL, 1) == 0)
		return false;
	*id = postrider_sql_uuid(0, 0);
	*endpoint_id = postrider_sql_int32(0, 1);
	return true;
}
