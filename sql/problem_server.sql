-- Problems of the server, and of the database as a whole.  Part of postrider.problem.

create function postrider.server_problems(out since timestamptz, out kind text, out object text, out tenant text,
	out problem text, out detail text, out remedy text)
returns setof record
language plpgsql volatile parallel restricted rows 10
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
	return query
	select p.since, p.kind, p.object, null::text, p.problem, p.detail, p.remedy from (
	with here as materialized (
		select d.oid, d.datname from pg_database d
		where d.datname = current_database()),
	activity as materialized (
		select a.* from here cross join pg_stat_activity a
		where a.datid = here.oid or a.backend_type = 'postrider launcher'),
	running as materialized (
		select w.* from here cross join postrider.worker_status() w),
	status as materialized (
		select s.endpoint_id from here cross join postrider.endpoint_status() s)

	select pg_postmaster_start_time(), 'launcher', 'launcher',
		'the launcher of postrider does not run: if a worker ends, nobody starts it again', null,
		format(E'-- The server starts it again after 5 seconds.  If it does not, the server log says why.\n'
			'-- If there are too few places for background workers:\n'
			'alter system set max_worker_processes = %s;\n-- and restart the server.', current_setting('max_worker_processes')::integer + 8)
	from here
	where not exists (select from activity a where a.backend_type = 'postrider launcher')
	and pg_postmaster_start_time() < now() - interval '10 seconds'

	union all
	select coalesce(w.state_since, pg_postmaster_start_time()),
		case when w.last_error is null or w.last_error like '%max_worker_processes%' then 'worker' else 'worker_error' end,
		format('worker %s', n),
		case when w.last_error like '%max_worker_processes%' then 'the worker cannot start: all places for background workers are taken'
			when w.last_error is not null then format('the worker ended in an error: %s', w.last_error)
			else 'no worker runs' end,
		case when current_setting('postrider.workers') <> '1' then
			format('It has a part of the endpoints: those of which id %% %s is %s.', current_setting('postrider.workers'), n) end,
		case when w.last_error like '%max_worker_processes%' then
			format(E'alter system set max_worker_processes = %s;\n-- and restart the server.', current_setting('max_worker_processes')::integer + 8)
			when w.last_error is not null then E'-- It is started again by itself, after a minute at most.  The server log has the whole error.\nselect postrider.wake();'
			when n = 0 then 'select postrider.wake();'
			else 'select pg_reload_conf();' end
	from here cross join generate_series(0, current_setting('postrider.workers')::integer - 1) n
	left join running w on w.shard = n
	where case when w.shard is null then greatest(pg_postmaster_start_time(), pg_conf_load_time()) < now() - interval '10 seconds'
		when w.state = 'running' then false
		else w.last_error_at >= w.state_since - interval '1 second' or w.state_since < now() - interval '10 seconds' end

	union all
	select w.last_error_at, 'worker_error', format('worker %s', w.shard),
		format('the worker has ended in an error, and been started %s times since it last ran well', c.starts), w.last_error,
		E'-- The server log has the whole error.  Messages that end the worker are given up after some tries;\n'
		'-- what is wrong with the database (a full disk, a table that was changed) has to be repaired.\n'
		'-- The row goes away when the worker has run well for half a minute.'
	from running w join postrider.dispatch_cursor c on c.shard = w.shard
	where w.state = 'running' and c.starts > 1 and w.last_error_at > now() - interval '5 minutes'

	union all
	select a.xact_start, 'worker_lock', format('worker process %s', a.pid),
		format('the worker has waited for a lock for %s', postrider.about(now() - a.xact_start)),
		format('It is %s.', (select string_agg(format('held by process %s (%s, %s since %s)', b.pid, b.usename, b.state, b.state_change), '; ')
			from activity b where b.pid = any (pg_blocking_pids(a.pid)))),
		(select string_agg(format('select pg_terminate_backend(%s);', b), E'\n') from unnest(pg_blocking_pids(a.pid)) b where b <> 0)
	from activity a
	where a.backend_type = 'postrider worker' and a.wait_event_type = 'Lock' and a.xact_start < now() - interval '10 seconds'

	union all
	select l.oldest, 'worker_lag', format('worker %s', c.shard),
		format('the worker is %s behind: the oldest message that it has not read is of %s', postrider.about(now() - l.oldest),
			to_char(l.oldest, 'YYYY-MM-DD HH24:MI:SS TZ')),
		case when c.window_snapshot is not null then 'It is working through many messages.'
			else 'It does not get on.' end,
		case when c.window_snapshot is not null then E'-- It catches up by itself; this shows how far it is:\nselect position, postrider.id_time(position) from postrider.dispatch_cursor;'
			else format(E'-- A new worker takes up where this one stopped.\nselect pg_terminate_backend(%s);', w.pid) end
	from running w join postrider.dispatch_cursor c on c.shard = w.shard
	cross join lateral postrider.worker_lag(w.shard, w.is_behind) l
	where w.state = 'running' and l.oldest < now() - interval '5 minutes'

	union all
	select null, 'copy', format('database %s', here.datname),
		'the database is a copy of another one, and no worker has seen it yet',
		'What the original owed when it was copied is left to the original: the worker begins with what is emitted from now on.',
		'select postrider.wake();'
	from here
	where exists (select from postrider.dispatch_cursor c where c.database <> here.oid)

	union all
	select null, 'key', 'key file', format('secrets cannot be read: %s', coalesce(k.problem, 'the key file has other keys than those that encrypted them')),
		format('Concerned: %s.', case when count(*) > 10 then format('%s secrets', count(*)) else string_agg(v.name, ', ' order by v.name) end),
		format(E'-- Put the right key file back at %s: it must belong to the user of the server, chmod 600.  Then:\nselect pg_reload_conf();\n'
			'-- If the key is lost, so are the values: move the file away, and set each secret anew by postrider.set_secret().',
			current_setting('postrider.key_file'))
	from here
	join (select s.name, array_agg(distinct substr(s.ciphertext, 2, 4)) as ids from postrider.secret_version s
		where s.retires_at is null or s.retires_at > now() group by s.name) v on true
	cross join (select s.problem, s.ids from postrider.key_file_status() s) k
	where k.problem is not null or not v.ids <@ k.ids
	group by k.problem

	union all
	select null, 'partition', format('partition %s', to_char(d.day, 'YYYYMMDD')),
		format('the partition of %s for %s is missing', string_agg(parent, ' and of ' order by parent desc),
			case when d.day = (now() at time zone 'UTC')::date then 'today' else 'tomorrow' end),
		'The worker makes partitions three days ahead, once an hour and when the settings are loaded; the server log says why it could not. Until then messages go to the default partition: none is lost.',
		format('select postrider.repair_partition(%L);', d.day)
	from here cross join (select (now() at time zone 'UTC')::date + n as day from generate_series(0, 1) n) d
	cross join unnest(array['message', 'attempt']) parent
	where to_regclass('postrider.' || parent || to_char(d.day, '_YYYYMMDD')) is null
	group by d.day

	union all
	select postrider.id_time(f.id), 'default_partition', f.name,
		format('%s of %s are in the default partition, which is slow to clean', f.what, f.day), null,
		format('select postrider.repair_partition(%L);', f.day)
	from here cross join lateral (
		select x.*, (postrider.id_time(x.id) at time zone 'UTC')::date as day from (
			select 'partition message_default' as name, 'messages' as what, (select m.id from postrider.message_default m
				where m.id >= postrider.id_floor(now() - current_setting('postrider.retention')::interval) order by m.id limit 1) as id
			union all
			select 'partition attempt_default', 'attempts', (select a.message_id from postrider.attempt_default a
				where a.message_id >= postrider.id_floor(now() - current_setting('postrider.retention')::interval) order by a.message_id limit 1)) x) f
	where f.id is not null

	union all
	select null, 'retention', format('partition %s', min(c.relname)),
		format('partitions older than postrider.retention (%s) are not dropped: %s of them', current_setting('postrider.retention'), count(*)),
		'A day is dropped when all workers have read it, and nobody holds a lock on it; what is still owed is kept. The server log says why it could not be.',
		E'-- Run it until it returns NULL; it says what it does, or what keeps it from it.\nselect postrider.maintain_partitions(current_setting(''postrider.retention'')::interval);'
	from here join pg_class c on c.relnamespace = 'postrider'::regnamespace and c.relkind = 'r' and c.relname ~ '^(message|attempt)_[0-9]{8}$'
	where right(c.relname, 8) < to_char(now() at time zone 'UTC' - current_setting('postrider.retention')::interval - interval '1 day', 'YYYYMMDD')
	having count(*) > 0

	union all
	select a.xact_start, 'transaction', format('process %s', a.pid),
		format('a transaction has been open for %s', postrider.about(now() - a.xact_start)),
		format('%s, %s from %s, %s since %s. Its messages are sent when it commits; until then dead rows of all tables stay.', a.usename,
			coalesce(nullif(a.application_name, ''), 'no application'), coalesce(host(a.client_addr), 'the server itself'), a.state, a.state_change),
		format('select pg_terminate_backend(%s);', a.pid)
	from activity a
	where a.xact_start < now() - interval '1 hour' and a.backend_type not in ('autovacuum worker', 'postrider worker')
	and (a.backend_xid is not null or a.backend_xmin is not null) and a.pid <> pg_backend_pid()

	union all
	select p.prepared, 'prepared_transaction', format('transaction %s', p.gid),
		format('a prepared transaction has been there for %s', postrider.about(now() - p.prepared)),
		format('Prepared by %s. Its messages are sent when it is committed; until then dead rows of all tables stay.', p.owner),
		format(E'-- Ask whoever made it which of the two it must be:\n-- commit prepared %1$L;\n-- rollback prepared %1$L;', p.gid)
	from here join pg_prepared_xacts p on p.database = here.datname
	where p.prepared < now() - interval '1 hour'

	union all
	select null, 'replication_slot', format('replication slot %s', r.slot_name),
		'a replication slot that nobody uses keeps dead rows of all tables', format('They stay since transaction %s.', r.xmin),
		format(E'-- If its standby will not come back:\n-- select pg_drop_replication_slot(%L);', r.slot_name)
	from here join pg_replication_slots r on not r.active and r.xmin is not null

	union all
	select null, 'trigger', format('table %s', t.tgrelid::regclass),
		format('changes of the table emit no messages: %s disabled', case when count(*) = 1 then 'a trigger is' else 'triggers are' end),
		string_agg(t.tgname, ', ' order by t.tgname),
		string_agg(format('alter table %s enable trigger %I;', t.tgrelid::regclass, t.tgname), E'\n' order by t.tgname)
	from here join pg_trigger t on t.tgfoid in ('postrider.capture'::regproc, 'postrider.message_written'::regproc)
	where t.tgenabled in ('D', 'R') and t.tgparentid = 0
	group by t.tgrelid

	union all
	select null, 'limit', 'endpoints', format('%s endpoints are not seen in postrider.endpoint_health', count(*)),
		'Shared memory has room for 4096 endpoints of all databases. They get their messages, but nobody sees how they stand.',
		'-- Delete endpoints that nobody needs any more.'
	from here join postrider.endpoint e on e.created_at < now() - interval '1 minute'
	where not exists (select from status s where s.endpoint_id = e.id)
	and exists (select from running w where w.shard = e.id % current_setting('postrider.workers')::integer
		and w.state = 'running' and w.state_since < now() - interval '1 minute')
	having count(*) > 0

	union all
	select null, 'limit', 'rate groups', format('there are %s rate groups', count(distinct e.rate_group)),
		'Shared memory has room for 4096 of all databases, with the rates of tenants. Endpoints of the others do not share their limits: each has them for itself.',
		'-- Give endpoints of one account the same rate_group, and others none.'
	from here join postrider.endpoint e on e.rate_group is not null
	having count(distinct e.rate_group) > 4096
	) p (since, kind, object, problem, detail, remedy);
end
$$;
comment on function postrider.server_problems() is
'Problems of the server and of this database as a whole. Part of postrider.problem.';
