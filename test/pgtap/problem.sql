-- What postrider.problem reads: as much as it shows, whatever has piled up.
begin;
create extension if not exists pgtap;
create extension if not exists postrider;
select plan(7);

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
	select postrider.next_id(), e.id, now() - interval '1 hour' + n * interval '1 second', 'overflow'
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
select * from finish();
rollback;
