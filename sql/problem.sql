-- What needs a person now, each with the statement that helps.
--
-- Written for somebody who was woken at night and knows only PostgreSQL.  What mends itself
-- before anybody could look at it is no problem: a blip, a retry, a message of a transaction
-- that is open.  There is one row for each object and kind; counts are capped, so that
-- it answers at once whatever has piled up: of pending and dead_letter 101 rows for each endpoint,
-- of the log one row for each worker.
--
-- A remedy can be pasted.  What is yours to fill in stands in <angle brackets>, which no statement
-- takes by mistake; what cannot be done by SQL is a comment.

create function postrider.problem_kinds(out kind text, out severity text, out meaning text)
returns setof record
language sql immutable parallel safe rows 40
set search_path = pg_catalog, pg_temp
as $$
	values
	('version', 'critical', 'The library and the SQL objects are of different versions: nothing is sent.'),
	('launcher', 'critical', 'The process that starts the workers does not run.'),
	('worker', 'critical', 'A worker does not run: nothing is sent, or nothing to its part of the endpoints.'),
	('worker_error', 'critical', 'A worker ends in an error again and again.'),
	('worker_lock', 'critical', 'A worker waits for a lock that somebody holds.'),
	('worker_lag', 'critical', 'A worker does not get on with reading the log.'),
	('key', 'critical', 'The key that encrypts secrets cannot be read, or is another one.'),
	('suspect', 'critical', 'A message ended the worker again and again, and was given up.'),
	('disabled', 'critical', 'An endpoint is disabled: the worker did it, or messages are held for it.'),
	('dns', 'critical', 'The host name of an endpoint cannot be resolved.'),
	('tls', 'critical', 'No secure connection to an endpoint can be made.'),
	('address_refused', 'critical', 'An endpoint leads to an address that postrider.allowed_networks does not list.'),
	('proxy', 'critical', 'The proxy of an endpoint does not do its work.'),
	('credential', 'critical', 'Requests to an endpoint cannot be authenticated or signed.'),
	('secret_expired', 'critical', 'A secret that is in use has expired.'),
	('secret_empty', 'critical', 'A secret that is in use has no value.'),
	('secret_source', 'critical', 'The store that has the value of a secret does not give it.'),
	('token', 'critical', 'A token cannot be fetched.'),
	('breaker', 'critical', 'The circuit breaker of an endpoint is open, because the receiver is not well.'),
	('failing', 'warning', 'Requests to an endpoint, or calls of its function, fail for a minute and longer.'),
	('throttled', 'warning', 'A receiver asked to wait, for a minute and longer.'),
	('rate_limit', 'warning', 'The rate limit of an endpoint is too low for what waits.'),
	('tenant_limit', 'warning', 'The rate limits of a tenant are too low for what waits.'),
	('backlog', 'warning', 'Messages have been due for a quarter of an hour.'),
	('mapping', 'warning', 'A mapping does not fit the messages that it got.'),
	('template', 'warning', 'URL, headers or body of an endpoint cannot be made from the messages that it got.'),
	('dead_letters', 'warning', 'Messages were given up.'),
	('partition', 'warning', 'The partitions of today or tomorrow are missing.'),
	('retention', 'warning', 'Old partitions are not dropped.'),
	('transaction', 'warning', 'A transaction has been open for an hour.'),
	('prepared_transaction', 'warning', 'A prepared transaction has been there for an hour.'),
	('replication_slot', 'warning', 'A replication slot that nobody uses keeps old rows from being removed.'),
	('trigger', 'warning', 'A trigger that emits messages is disabled.'),
	('certificate', 'warning', 'A certificate in the ca_certificate of an endpoint, of its auth or of the source of a secret has ended, or will within two weeks.'),
	('secret_expiring', 'warning', 'A secret that is in use expires soon.'),
	('copy', 'warning', 'The database is a copy of another one, and no worker has seen it yet.'),
	('limit', 'notice', 'There are more endpoints or rate groups than shared memory has room for.'),
	('default_partition', 'notice', 'There are messages outside of the partition of their day.'),
	('paused', 'notice', 'An endpoint is paused.')
$$;
comment on function postrider.problem_kinds() is
'The kinds of problems that the view postrider.problem knows, with severity and meaning; see doc/operations.md.';

create function postrider.about(period interval) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
	select case when s < 120 then ceil(s) || ' seconds' when s < 7200 then floor(s / 60) || ' minutes'
		when s < 172800 then floor(s / 3600) || ' hours' else floor(s / 86400) || ' days' end
	from (select greatest(extract(epoch from period), 0) as s) x
$$;
comment on function postrider.about(interval) is
'A time as people say it: 3 hours.';

create function postrider.repair_partition(day date) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $$
declare
	day_start uuid := postrider.id_floor(repair_partition.day::timestamp at time zone 'UTC');
	day_end uuid := postrider.id_floor((repair_partition.day + 1)::timestamp at time zone 'UTC');
	parent text;
	suffix text := to_char(repair_partition.day, '_YYYYMMDD');
	parents text[] := '{}';
	moved bigint := 0;
	found_rows bigint;
begin
	if repair_partition.day is null then
		raise null_value_not_allowed using message = 'day must not be null',
			hint = 'For example: SELECT postrider.repair_partition(current_date).';
	end if;
	if postrider.bound_tenant() is not null then
		raise insufficient_privilege using
			message = 'permission denied to repair partitions',
			detail = format('This session is bound to tenant "%s" by postrider.tenant.', postrider.bound_tenant());
	end if;
	lock table postrider.message, postrider.attempt in access exclusive mode;
	foreach parent in array array['message', 'attempt']
	loop
		continue when to_regclass('postrider.' || parent || suffix) is not null;
		parents := parents || parent;
		execute format('create temporary table %I on commit drop as select * from postrider.%I
			where %3$I >= $1 and %3$I < $2', 'moved_' || parent, parent || '_default',
			case parent when 'message' then 'id' else 'message_id' end) using day_start, day_end;
		execute format('delete from postrider.%I where %2$I >= $1 and %2$I < $2', parent || '_default',
			case parent when 'message' then 'id' else 'message_id' end) using day_start, day_end;
	end loop;
	perform postrider.make_partition(repair_partition.day, false);
	foreach parent in array parents
	loop
		execute format('insert into postrider.%I select * from pg_temp.%I', parent, 'moved_' || parent);
		get diagnostics found_rows = row_count;
		execute format('drop table pg_temp.%I', 'moved_' || parent);
		moved := moved + found_rows;
	end loop;
	return moved;
end
$$;
comment on function postrider.repair_partition(date) is
'Makes the partitions of message and attempt for a day (UTC) that are missing, and moves there what is in the default partition; nobody can emit meanwhile. Returns how many rows were moved. The worker makes partitions ahead by itself: this is for days that it could not.';

create function postrider.key_file_status(out problem text, out ids bytea[])
language c volatile parallel restricted
as 'MODULE_PATHNAME', 'postrider_key_file_status';
comment on function postrider.key_file_status() is
'Why the file with the keys that encrypt secrets cannot be read, or the ids of the keys in it. NULL with postrider.key_command. Part of postrider.problem.';

create function postrider.certificate_end(pem text) returns timestamptz
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_certificate_end_sql';
comment on function postrider.certificate_end(text) is
'When the first of some certificates in PEM ends.';

-- As the owner, who sees what all sessions do, and the key file; so it looks after the
-- tenant itself.  The plan is large: JIT would take seconds for it.  All that it does in tables that
-- grow are look-ups, which must not depend on statistics.
create function postrider.problems(out since timestamptz, out severity text, out kind text, out object text, out tenant text,
	out problem text, out detail text, out remedy text)
returns setof record
language plpgsql volatile parallel restricted security definer rows 10
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
	installed text;
begin
	if pg_is_in_recovery() then
		return;					-- what a standby shows is the primary's to repair
	end if;
	select x.extversion into installed from pg_extension x where x.extname = 'postrider';
	if installed <> postrider.library_version() then
		-- What else there is cannot be asked: functions of another version may have other columns.
		return query
		select null::timestamptz, k.severity, k.kind, 'extension postrider', null::text,
			format('the library that the server runs is version %s, the SQL objects of this database are version %s', postrider.library_version(), installed),
			'The worker waits until they agree; messages can be emitted all the time, and none is lost.',
			case when string_to_array(installed, '.')::integer[] < string_to_array(postrider.library_version(), '.')::integer[]
				then 'alter extension postrider update;'
				else format('-- Install version %s of the library, and restart the server.', installed) end
		from postrider.problem_kinds() k where k.kind = 'version' and postrider.bound_tenant() is null;
		return;
	end if;
	return query
	select p.since, k.severity, p.kind, p.object, p.tenant, p.problem, nullif(p.detail, ''), p.remedy
	from (select * from postrider.server_problems() where postrider.bound_tenant() is null
		union all select * from postrider.endpoint_problems()
		union all select * from postrider.dead_letter_problems()
		union all select * from postrider.secret_problems()) p
	join postrider.problem_kinds() k on k.kind = p.kind
	where postrider.sees_tenant(p.tenant)
	order by case k.severity when 'critical' then 0 when 'warning' then 1 else 2 end, p.since nulls last, p.kind, p.object;
end
$$;
comment on function postrider.problems() is
'What needs a person now; see the view postrider.problem.';

create view postrider.problem with (security_barrier) as
select p.since, p.severity, p.kind, p.object, p.tenant, p.problem, p.detail, p.remedy
from postrider.problems() p
where postrider.sees_tenant(p.tenant);
comment on view postrider.problem is
'What needs a person now, the worst first, each with the statement that helps. No row: all is well. On a standby there is nothing to do, and no row.';
comment on column postrider.problem.since is 'Since when, if that is known.';
comment on column postrider.problem.severity is 'critical (messages do not arrive), warning (some do not, or soon none will) or notice (somebody should know).';
comment on column postrider.problem.kind is 'What it is, in one word that does not change: SELECT * FROM postrider.problem_kinds().';
comment on column postrider.problem.object is 'What it is about: endpoint crm, secret key, worker 0, table orders. There is one row for each object and kind.';
comment on column postrider.problem.tenant is 'The tenant that the object belongs to; NULL: the server, or no tenant.';
comment on column postrider.problem.problem is 'What is wrong, in a sentence.';
comment on column postrider.problem.detail is 'What else is known.';
comment on column postrider.problem.remedy is 'What helps: statements to run, with comments. What is yours to fill in stands in <angle brackets>.';
