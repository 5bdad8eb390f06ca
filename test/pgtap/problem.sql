-- What postrider.problem reads: as much as it shows, whatever has piled up.
begin;
create extension if not exists pgtap;
create extension if not exists postrider;
select plan(14);

-- Pages that a look at it touches, and rows that sequential scans of the tables that grow have read.
create function pg_temp.pages() returns bigint language plpgsql as $$
declare
	plan json;
begin
	execute 'explain (analyze, buffers, timing off, format json) select * from postrider.problem' into plan;
	return (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
end
$$;
create function pg_temp.scans() returns bigint language sql volatile as $$
	select coalesce(sum(s.seq_tup_read), 0)::bigint from pg_stat_xact_user_tables s
	where s.schemaname = 'postrider' and s.relname ~ '^(message|attempt|pending|dead_letter)'
$$;
create function pg_temp.pile_up(dead integer, due integer) returns void language plpgsql as $$
begin
	insert into postrider.dead_letter (message_id, endpoint_id, reason, attempts, error_code, error, topic, payload, died_at)
	select postrider.next_id(), e.id, 'dead', 1, 'http_422', 'the receiver refused the message with status 422', 'x', to_jsonb(repeat('x', 500)), now() - n * interval '1 minute'
	from postrider.endpoint e, generate_series(1, dead) n where e.name like 'e%';
	insert into postrider.pending (message_id, endpoint_id, due_at, reason)
	select postrider.id_floor(now() - interval '1 hour' + (n * 1000 + due) * interval '1 millisecond'), e.id, now() - interval '1 hour' + n * interval '1 second', 'overflow'
	from postrider.endpoint e, generate_series(1, due) n where e.name like 'e%';
	analyze postrider.dead_letter;
	analyze postrider.pending;
end
$$;

insert into postrider.endpoint (name, url) select 'e' || n, 'https://receiver.example.com/' || n from generate_series(1, 500) n;
insert into postrider.message (topic, payload) select 'x', '1' from generate_series(1, 50000);
insert into postrider.attempt (message_id, started_at, endpoint_id, attempt, outcome)
select id, now(), 1, 1, 'delivered' from postrider.message;
analyze postrider.message;
analyze postrider.attempt;
analyze postrider.endpoint;

create temp table before as select pg_temp.scans() as scans;
select is(count(*), 0::bigint, '500 endpoints that are well have no row') from postrider.problem where kind not like '%worker%';
select cmp_ok(pg_temp.pages(), '<', 6000::bigint, 'which is found with a dozen pages for each');

select pg_temp.pile_up(110, 110);
update before set scans = pg_temp.scans();
create temp table first as select pg_temp.pages() as pages;
select is(pg_temp.scans(), (select scans from before), 'no table that grows is scanned');
select is(count(*), 1000::bigint, 'one row for each endpoint and kind') from postrider.problem where kind not like '%worker%';
select is(max(problem), 'more than 100 messages were given up: http_422', 'with counts that are capped') from postrider.problem where kind = 'dead_letters';

select pg_temp.pile_up(220, 220);
update before set scans = pg_temp.scans();
select cmp_ok(pg_temp.pages(), '<', (select pages * 3 / 2 from first), 'three times as much in the tables: about the same pages are read');
select is(pg_temp.scans(), (select scans from before), 'and none is scanned');

-- Limits of a tenant: what is published of its endpoints says that they wait for it.
create function pg_temp.publish(waits boolean, used text[]) returns void language plpgsql as $$
begin
	execute format($f$create or replace function postrider.endpoint_status(out endpoint_id integer, out pid integer,
		out in_flight integer, out in_flight_limit integer, out queued integer, out breaker text, out open_until timestamptz, out blocked_until timestamptz,
		out failures bigint, out failing_since timestamptz, out rate_used text[], out rate_used_share real, out last_success_at timestamptz,
		out last_error text, out last_error_at timestamptz, out last_error_code text, out waits_for_tenant boolean)
		returns setof record language sql volatile as $s$
		select e.id, 1, 0, 8, 5, 'closed', null::timestamptz, null::timestamptz, 0::bigint, null::timestamptz, %L::text[], 1::real, null::timestamptz,
			null::text, null::timestamptz, null::text, %L::boolean from postrider.endpoint e where e.name like 'acme%%' $s$ $f$, used, waits);
end
$$;
create function pg_temp.of_acme() returns text language sql volatile as $$
	select string_agg(concat_ws(' ', p.kind, p.object, p.tenant, p.problem, p.detail), E'\n') from postrider.problem p where p.object ~ 'acme'
$$;
insert into postrider.endpoint (name, url, tenant) values ('acme.crm', 'https://receiver.example.com/', 'acme'), ('acme.erp', 'https://receiver.example.com/', 'acme');
insert into postrider.tenant (name, rate_limits) values ('acme', '36 per hour');
insert into postrider.pending (message_id, endpoint_id, due_at, reason)
select postrider.next_id(), e.id, now() - interval '1 second', 'overflow' from postrider.endpoint e, generate_series(1, 5) n where e.name like 'acme%';
select pg_temp.publish(true, '{"1 of 100 in 00:00:10", "36 of 36 in 01:00:00 of the tenant"}');
select is(pg_temp.of_acme(), 'tenant_limit tenant acme acme at the rate limits of the tenant what waits takes 33 minutes Used: 36 of 36 in 01:00:00. 20 messages wait, for endpoints acme.crm, acme.erp.',
	'what waits for the limits of a tenant is one row, of the tenant');
select matches(p.remedy, $m$update postrider.tenant set rate_limits = <'limits'> where name = 'acme';\n.*\n-- select postrider.cancel\(tenant => 'acme'$m$, 'which helps')
from postrider.problem p where p.kind = 'tenant_limit';
select pg_temp.publish(true, '{"36000 of 36000 in 01:00:00 of the tenant"}');
select is(pg_temp.of_acme(), null, 'not if it is soon over');
update postrider.pending p set message_id = postrider.id_floor(now() - x.n * interval '1 minute')
from (select q.ctid as place, 15 + row_number() over () as n from postrider.pending q join postrider.endpoint e on e.id = q.endpoint_id where e.name = 'acme.crm') x where p.ctid = x.place;
select is(pg_temp.of_acme(), 'tenant_limit tenant acme acme because of the rate limits of the tenant messages have been due for 20 minutes Used: 36000 of 36000 in 01:00:00. 20 messages wait, for endpoints acme.crm, acme.erp.',
	'but if it lasts: they wait since they were emitted, whenever a worker has had them');
select pg_temp.publish(false, '{}');
select alike(pg_temp.of_acme(), 'backlog endpoint acme.crm acme messages have been due for 20 minutes%', 'without a limit it is the receiver');

-- Versions that differ: nothing else can be asked then.
update pg_extension set extversion = '0.1.9' where extname = 'postrider';
select is(string_agg(concat_ws(' ', severity, kind, object, remedy), E'\n'), 'critical version extension postrider alter extension postrider update;', 'SQL objects of an older version: they can be updated') from postrider.problem;
update pg_extension set extversion = '0.10.0' where extname = 'postrider';
select is(string_agg(concat_ws(' ', severity, kind, object, remedy), E'\n'), 'critical version extension postrider -- Install version 0.10.0 of the library, and restart the server.', 'and those of a later one need another library') from postrider.problem;
select * from finish();
rollback;
