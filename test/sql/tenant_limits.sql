-- Limits of tenants: what may be written, and what they refuse.
set client_min_messages = warning;
create extension if not exists postrider;
reset client_min_messages;
create function pg_temp.try(statement text) returns text language plpgsql as $$
declare
	detail text;
	hint text;
begin
	execute statement;
	return 'accepted';
exception when others then
	get stacked diagnostics detail = pg_exception_detail, hint = pg_exception_hint;
	return concat_ws(' | ', sqlstate, sqlerrm, nullif(regexp_replace(detail, ' at \d{4}-.*', ' at (time).'), ''), nullif(hint, ''));
end
$$;

-- What makes no sense
select pg_temp.try($$insert into postrider.tenant (name) values ('')$$);
select pg_temp.try($$insert into postrider.tenant (name) values (repeat('n', 201))$$);
select pg_temp.try($$insert into postrider.tenant (name) values (null)$$) like '23502%' as null_name;
select pg_temp.try($$insert into postrider.tenant (name, rate_limits) values ('t', 'ten a day')$$);
select pg_temp.try($$insert into postrider.tenant (name, rate_limits) values ('t', '10 per s, 20 per s')$$);
select pg_temp.try($$insert into postrider.tenant (name, rate_limits) values ('t', '1 per s, 1 per min, 1 per h, 1 per d, 1 per week')$$);
select pg_temp.try($$insert into postrider.tenant (name, message_limits) values ('t', '10 per s burst 2')$$);
select pg_temp.try($$insert into postrider.tenant (name, message_limits) values ('t', '10 per s, 5 per min, 7 per s')$$);
select pg_temp.try($$insert into postrider.tenant (name, message_limits) values ('t', '0 per s')$$);
select pg_temp.try($$insert into postrider.tenant (name, max_payload_bytes) values ('t', 0)$$) like '23514%' as no_bytes;
select pg_temp.try($$insert into postrider.tenant (name, max_endpoints) values ('t', -1)$$) like '23514%' as negative;

-- Endpoints and subscriptions; those of others and of nobody do not count.
insert into postrider.tenant (name, max_endpoints, max_subscriptions, rate_limits) values ('acme', 2, 3, '100 per 10 s burst 20, 250_000 per day');
insert into postrider.endpoint (name, tenant, url) values ('a1', 'acme', 'https://example.com'), ('b1', 'beta', 'https://example.com'), ('n1', null, 'https://example.com');
insert into postrider.endpoint (name, tenant, url, enabled) values ('a2', 'acme', 'https://example.com', false);
select pg_temp.try($$insert into postrider.endpoint (name, tenant, url) values ('a3', 'acme', 'https://example.com')$$);
select pg_temp.try($$insert into postrider.endpoint (name, tenant, url) values ('a3', 'acme', 'https://example.com'), ('a4', 'acme', 'https://example.com')$$);
select pg_temp.try($$insert into postrider.endpoint (name, tenant, url) values ('b2', 'beta', 'https://example.com'), ('n2', null, 'https://example.com')$$);
select pg_temp.try($$insert into postrider.endpoint (name, tenant, url) values ('a2', 'acme', 'https://example.com') on conflict (name) do update set enabled = true$$);
insert into postrider.subscription (topic, endpoint) values ('x.y', 'a1'), ('x.z', 'a1'), ('x.y', 'a2'), ('x.y', 'n1'), ('x.y', 'b1');
select pg_temp.try($$insert into postrider.subscription (topic, endpoint) values ('x.q', 'a2')$$);
select pg_temp.try($$update postrider.subscription set endpoint = 'a2' where endpoint = 'n1'$$);
select pg_temp.try($$update postrider.subscription set endpoint = 'a2', topic = 'x.v' where endpoint = 'a1' and topic = 'x.z'$$);
select pg_temp.try($$update postrider.subscription set topic = 'x.w' where endpoint = 'a1'$$);

-- A lower limit stops new ones only.
update postrider.tenant set max_endpoints = 1, max_subscriptions = 0 where name = 'acme';
select pg_temp.try($$update postrider.endpoint set description = 'still there' where tenant = 'acme'$$);
select pg_temp.try($$update postrider.subscription set endpoint = 'a1' where endpoint = 'a2'$$);
select pg_temp.try($$insert into postrider.endpoint (name, tenant, url) values ('a3', 'acme', 'https://example.com')$$);
delete from postrider.subscription where endpoint in ('a1', 'a2');
delete from postrider.endpoint where name in ('a1', 'a2');
select pg_temp.try($$insert into postrider.endpoint (name, tenant, url) values ('a3', 'acme', 'https://example.com')$$);
select pg_temp.try($$insert into postrider.subscription (topic, endpoint) values ('x.y', 'a3')$$);
update postrider.tenant set max_endpoints = null, max_subscriptions = null where name = 'acme';
select pg_temp.try($$insert into postrider.endpoint (name, tenant, url) values ('a4', 'acme', 'https://example.com'), ('a5', 'acme', 'https://example.com')$$);

-- In documents of the configuration: one problem among the rows, and all or nothing
update postrider.tenant set max_endpoints = 3 where name = 'acme';
select jsonb_pretty(postrider.export_config() -> 'tenants');
select postrider.export_config('acme') ? 'tenants' as in_document_of_tenant;
select action, kind, name, problem from postrider.apply_config('{"format": 1, "endpoints": {"a6": {"tenant": "acme", "url": "https://example.com"}}}')
where action <> 'unlisted';
select action, kind, name, field, old, new from postrider.apply_config('{"format": 1, "tenants": {"acme": {"max_endpoints": 4, "rate_limits": "1 per s"}},
	"endpoints": {"a6": {"tenant": "acme", "url": "https://example.com"}}}', dry_run => false)
where action <> 'unlisted' order by kind, field;
-- the room that a deletion makes is there for what comes
select action, kind, name, problem from postrider.apply_config(jsonb_set(postrider.export_config() #- '{endpoints,a6}', '{endpoints,a7}', '{"tenant": "acme", "url": "https://example.com"}'),
	dry_run => false, prune => true) where kind = 'endpoint' order by name;
select operation, name, tenant, changed from postrider.config_history where kind = 'tenant' order by id desc limit 1;

-- Payloads
update postrider.tenant set max_payload_bytes = 100 where name = 'acme';
select pg_temp.try($$select postrider.emit('x.y', to_jsonb(repeat('x', 100)), tenant => 'acme')$$);
select pg_temp.try($$select postrider.send('a3', to_jsonb(repeat('x', 100)), tenant => 'acme')$$);
select pg_temp.try($$select postrider.emit('x.y', to_jsonb(repeat('x', 80)), tenant => 'acme')$$);
select pg_temp.try($$select postrider.emit('x.y', to_jsonb(repeat('x', 100)), tenant => 'beta')$$);
select pg_temp.try($$select postrider.emit('x.y', to_jsonb(repeat('x', 100)))$$);
select pg_temp.try($$select postrider.emit('x.y', '1', tenant => repeat('long', 100))$$);
update postrider.tenant set max_payload_bytes = null where name = 'acme';
select pg_temp.try($$select postrider.emit('x.y', to_jsonb(repeat('x', 100)), tenant => 'acme')$$);

-- Messages: what is rolled back counts no more, with a savepoint or without; what a
-- deduplication key keeps out never did.
insert into postrider.tenant (name, message_limits) values ('few', '5 per min, 100 per day');
select pg_temp.try($$select postrider.emit('x.y', '1', tenant => 'few') from generate_series(1, 6)$$);
select count(postrider.emit('x.y', '1', tenant => 'few', dedup_key => 'same')) from generate_series(1, 10);
begin;
select count(postrider.emit('x.y', '1', tenant => 'few')) from generate_series(1, 2);
savepoint one;
select count(postrider.emit('x.y', '1', tenant => 'few')) from generate_series(1, 2);
savepoint two;
select pg_temp.try($$select postrider.emit('x.y', '1', tenant => 'few')$$);
rollback to one;
select count(postrider.emit('x.y', '1', tenant => 'few')) from generate_series(1, 2);
rollback;
begin;
savepoint one;
select count(postrider.emit('x.y', '1', tenant => 'few')) from generate_series(1, 3);
release one;
savepoint two;
select count(postrider.emit('x.y', '1', tenant => 'few')) from generate_series(1, 1);
rollback to two;
commit;
select pg_temp.try($$select postrider.emit('x.y', '1', tenant => 'few') from generate_series(1, 2)$$);
select pg_temp.try($$select postrider.emit('x.y', '1', tenant => 'few')$$);
select pg_temp.try($$select postrider.emit('x.y', '1', tenant => 'few')$$);
select pg_temp.try($$select postrider.emit('x.y', '1', tenant => 'beta')$$);
-- a change holds at once, also one that is not committed, which then leaves nothing behind
begin;
update postrider.tenant set message_limits = '6 per min' where name = 'few';
select pg_temp.try($$select postrider.emit('x.y', '1', tenant => 'few')$$);
rollback;
select pg_temp.try($$select postrider.emit('x.y', '1', tenant => 'few')$$);
update postrider.tenant set message_limits = null where name = 'few';
select pg_temp.try($$select postrider.emit('x.y', '1', tenant => 'few') from generate_series(1, 10)$$);
update postrider.tenant set message_limits = '5 per min' where name = 'few';
select pg_temp.try($$select postrider.emit('x.y', '1', tenant => 'few')$$);
delete from postrider.tenant where name = 'few';
select pg_temp.try($$select postrider.emit('x.y', '1', tenant => 'few')$$);

-- A watched table
insert into postrider.tenant (name, message_limits) values ('shop', '3 per h');
create table purchase (id integer primary key);
select postrider.watch('purchase');
set postrider.tenant = 'shop';
insert into purchase values (1), (2);
select pg_temp.try($$insert into purchase values (3), (4)$$);
select pg_temp.try($$insert into purchase values (5)$$);
select pg_temp.try($$update purchase set id = 6 where id = 5$$);
reset postrider.tenant;
select * from purchase order by id;
-- one that must not fail is written by a session that is bound to no tenant
select pg_temp.try($$insert into purchase values (7)$$);
drop table purchase;

-- Functions of triggers are for their tables.
create table mine (name text, endpoint text, rate_limits text, message_limits text, max_payload_bytes integer);
create trigger t after insert on mine for each row execute function postrider.limit_endpoints();
select pg_temp.try($$insert into mine values ('a')$$);
drop trigger t on mine;
create trigger t after insert on mine for each row execute function postrider.limit_subscriptions();
select pg_temp.try($$insert into mine values ('a')$$);
drop table mine;
delete from postrider.subscription;
delete from postrider.endpoint;
delete from postrider.tenant;
