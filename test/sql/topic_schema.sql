-- Topics with schemas: what is checked, when, and by whom it can be changed.
set client_min_messages = warning;
create extension if not exists postrider;
reset client_min_messages;
\set VERBOSITY terse
-- Runs a statement; returns its error, with the names of the fields in it.
create function pg_temp.try(statement text) returns text language plpgsql as $$
declare
	detail text;
	hint text;
begin
	execute statement;
	return 'accepted';
exception
	when others then
		get stacked diagnostics detail = pg_exception_detail, hint = pg_exception_hint;
		return concat_ws(' | ', sqlstate, sqlerrm,
			(select string_agg(m[1], ' ') from regexp_matches(detail, '("[a-z_.]+"|^At [^:]*)', 'gn') m), nullif(hint, ''));
end
$$;
create function pg_temp.try_emit(topic text, payload jsonb) returns text language sql as $$
	select pg_temp.try(format('select postrider.emit(%L, %L)', topic, payload))
$$;

insert into postrider.topic (name, description, schema) values ('order.paid', 'somebody has paid', '{
	"$id": "https://schemas.example.com/order",
	"type": "object",
	"required": ["id", "customer"],
	"properties": {
		"id": {"type": "integer"},
		"customer": {"type": "object", "required": ["email"], "properties": {"email": {"type": "string"}}}
	}}') returning name, schema_id, version, compatibility;

-- What matches is sent, what does not is refused, and nothing is written.
select pg_temp.try_emit('order.paid', '{"id": 1, "customer": {"email": "a@example.com"}}');
select pg_temp.try_emit('order.paid', '{"id": "1", "customer": {"email": 5}}');
select pg_temp.try_emit('order.paid', '"x"') like '23514%' as refused;
select count(*) from postrider.message where topic = 'order.paid';
-- Other topics do not have this schema; also not those below or above it.
select pg_temp.try_emit('order', '"x"'), pg_temp.try_emit('order.paid.late', '"x"');
-- send() is checked by its topic.
insert into postrider.endpoint (name, url, enabled) values ('topic_schema', 'https://example.com/', false);
select pg_temp.try($$select postrider.send('topic_schema', '"x"', topic => 'order.paid')$$) like '23514%' as refused;
select pg_temp.try($$select postrider.send('topic_schema', '"x"')$$);
-- Many errors are listed, up to a limit.
insert into postrider.topic (name, schema) select 'many', jsonb_build_object('required', jsonb_agg('f' || i)) from generate_series(1, 30) i;
create function pg_temp.detail(statement text) returns text language plpgsql as $$
declare
	detail text;
begin
	execute statement;
	return null;
exception when others then
	get stacked diagnostics detail = pg_exception_detail;
	return detail;
end
$$;
select array_length(lines, 1), lines[array_length(lines, 1)] as last
from string_to_array(pg_temp.detail($$select postrider.emit('many', '{}')$$), E'\n') lines;

-- Trying it without sending.
select keyword from postrider.validate_topic('order.paid', '{"id": "1", "customer": {}}') order by keyword collate "C";
select count(*) from postrider.validate_topic('order.paid', '{"id": 1, "customer": {"email": ""}}');
select count(*) from postrider.validate_topic('order.none', '{}');
select postrider.validate_topic('Order', '{}');

-- A bad schema is refused when it is written, with its place.
select pg_temp.try($$insert into postrider.topic (name, schema) values ('bad', '{"properties": {"a": {"type": "strin"}}}')$$) ~ '^22023 .* At /properties/a/type' as refused;
select pg_temp.try($$insert into postrider.topic (name, schema) values ('bad', '[]')$$) like '22023%' as refused;
select pg_temp.try($$insert into postrider.topic (name, schema) values ('bad', 'null')$$) like '22023%' as refused;
select pg_temp.try($$update postrider.topic set schema = '{"required": "a"}' where name = 'order.paid'$$) like '22023%' as refused;
select pg_temp.try($$insert into postrider.topic (name, schema) values ('order.*', 'true')$$) like '22023%' as pattern_refused;
select pg_temp.try($$insert into postrider.topic (name, schema) values ('other', '{"$id": "https://schemas.example.com/order"}')$$) like '23505%' as id_is_taken;
select pg_temp.try($$insert into postrider.topic (name, compatibility) values ('other', 'forward')$$) like '23514%' as refused;
-- A row without a schema is one, and true a schema.
insert into postrider.topic (name, schema) values ('free', null), ('anything', 'true'), ('nothing', 'false');
select pg_temp.try_emit('free', '1'), pg_temp.try_emit('anything', '1'), pg_temp.try_emit('nothing', '1') like '23514%' as refused;

-- References to other topics' schemas, by $id and by name.
insert into postrider.topic (name, schema) values ('shipment.sent', '{"properties": {"order": {"$ref": "https://schemas.example.com/order"}, "again": {"$ref": "postrider:topic/order.paid"}}}');
select pg_temp.try_emit('shipment.sent', '{"order": {"id": 1, "customer": {"email": "x"}}, "again": {"id": 1, "customer": {"email": "x"}}}');
select pg_temp.try_emit('shipment.sent', '{"order": {"id": "x", "customer": {"email": "x"}}}') like '23514%' as refused,
	pg_temp.try_emit('shipment.sent', '{"again": {"id": "x", "customer": {"email": "x"}}}') like '23514%' as refused_too;
select pg_temp.try($$insert into postrider.topic (name, schema) values ('bad', '{"$ref": "https://schemas.example.com/nowhere"}')$$);
select pg_temp.try($$insert into postrider.topic (name, schema) values ('bad', '{"$ref": "postrider:topic/free"}')$$) like '22023%' as refused;
-- A dump is restored in any order, so there it may be missing for a while.
set check_function_bodies = off;
insert into postrider.topic (name, schema) values ('early', '{"$ref": "postrider:topic/late"}');
reset check_function_bodies;
select pg_temp.try_emit('early', '1');
insert into postrider.topic (name, schema) values ('late', '{"type": "integer"}');
select pg_temp.try_emit('early', '1'), pg_temp.try_emit('early', '"x"') like '23514%' as refused;

-- The newest schema counts, within a transaction and after a rollback.
begin;
update postrider.topic set schema = '{"type": "string"}' where name = 'late';
select pg_temp.try_emit('late', '"x"'), pg_temp.try_emit('early', '"x"'), pg_temp.try_emit('late', '1') like '23514%' as refused;
savepoint a;
update postrider.topic set schema = null where name = 'late';
select pg_temp.try_emit('late', '1');
rollback to a;
select pg_temp.try_emit('late', '"x"'), pg_temp.try_emit('late', '1') like '23514%' as refused;
delete from postrider.topic where name = 'late';
select pg_temp.try_emit('late', '1');
select pg_temp.try_emit('early', '1');
rollback;
select pg_temp.try_emit('late', '1'), pg_temp.try_emit('late', '"x"') like '23514%' as refused;
begin;
truncate postrider.topic cascade;
select pg_temp.try_emit('late', '"x"');
rollback;
select pg_temp.try_emit('late', '"x"') like '23514%' as refused;
delete from postrider.topic where name in ('early', 'late');

-- In a parallel query too.
begin;
set local min_parallel_table_scan_size = 0;
set local parallel_setup_cost = 0;
set local parallel_tuple_cost = 0;
select bool_and(postrider.is_compatible('{"$ref": "postrider:topic/order.paid"}', '{"$ref": "https://schemas.example.com/order"}')) as compatible,
	bool_and(exists (select from postrider.validate_topic('shipment.sent', jsonb_build_object('order', relname)))) as refused
from pg_class;
rollback;

-- Versions.
update postrider.topic set schema = jsonb_set(schema, '{title}', '"Order"') where name = 'order.paid' returning version;
update postrider.topic set schema = schema, description = 'paid' where name = 'order.paid' returning version;
update postrider.topic set schema = null where name = 'order.paid' returning version;
update postrider.topic set schema = '{"type": "object"}' where name = 'order.paid' returning version;
update postrider.topic set schema = 'true' where name = 'order.paid' returning version;
select topic, version, coalesce(schema ->> 'title', schema ->> '$id', schema::text) as schema from postrider.topic_version order by version;
select pg_temp.try($$update postrider.topic set version = 9 where name = 'order.paid'$$);
select pg_temp.try($$insert into postrider.topic (name, version) values ('other', 0)$$) like '23514%' as refused;
-- A topic that is renamed takes them along, one that is deleted too.
update postrider.topic set name = 'order.settled' where name = 'order.paid' returning version;
select topic, version from postrider.topic_version order by version;
update postrider.topic set name = 'order.paid', schema = '{}' where name = 'order.settled' returning version;
select topic, version from postrider.topic_version order by version;
delete from postrider.topic where name = 'order.paid';
select count(*) from postrider.topic_version;

-- Compatibility.
insert into postrider.topic (name, schema, compatibility) values ('lead.created', '{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}', 'backward');
select pg_temp.try($$update postrider.topic set schema = jsonb_set(schema, '{required}', '["name", "email"]') where name = 'lead.created'$$);
update postrider.topic set schema = schema - 'required' where name = 'lead.created' returning version;
update postrider.topic set schema = schema || '{"required": ["email"]}', compatibility = 'none' where name = 'lead.created' returning version;

-- The setting.
set postrider.validation = warn;
select postrider.emit('lead.created', '{"name": 5}') is not null as sent;
set postrider.validation = off;
select postrider.emit('lead.created', '{"name": 5}') is not null as sent;
set postrider.validation = lax;
reset postrider.validation;
-- Who emits cannot change it, needs no rights on the table, and is checked.
create role topic_schema_writer in role postrider_writer;
set role topic_schema_writer;
select pg_temp.try('select * from postrider.topic');
select pg_temp.try_emit('lead.created', '{"name": 5}') like '23514%' as refused;
select pg_temp.try_emit('lead.created', '{"email": 5}');
select keyword from postrider.validate_topic('lead.created', '{}');
select postrider.is_compatible('{}', '{}');
set postrider.validation = off;
reset role;
-- but may be given the right.
grant set on parameter postrider.validation to topic_schema_writer;
set role topic_schema_writer;
set postrider.validation = off;
select pg_temp.try_emit('lead.created', '{"name": 5}');
reset role;
reset postrider.validation;
revoke set on parameter postrider.validation from topic_schema_writer;
-- An administrator of postrider changes schemas, and reads the old ones.
create role topic_schema_admin in role postrider_admin;
set role topic_schema_admin;
update postrider.topic set schema = 'true' where name = 'lead.created' returning version;
select count(*) from postrider.topic_version where topic = 'lead.created';
select pg_temp.try($$insert into postrider.topic_version (topic, version, schema) values ('lead.created', 9, 'true')$$);
reset role;

-- Tables that are watched: all kinds of triggers.
create table topic_schema_watched (id int primary key, name text);
select postrider.watch('topic_schema_watched', 'watched.changed');
insert into postrider.topic (name, schema) values ('watched.changed', '{"properties": {"record": {"properties": {"name": {"type": "string"}}}}}');
select pg_temp.try($$insert into topic_schema_watched values (1, 'a'), (2, null)$$) like '23514%"record.name"%' as refused;
select pg_temp.try($$insert into topic_schema_watched values (1, 'a'), (2, 'b')$$);
select pg_temp.try($$update topic_schema_watched set name = null where id = 2$$) like '23514%' as refused;
select postrider.unwatch('topic_schema_watched');
select postrider.watch('topic_schema_watched', 'watched.changed', condition => 'new.id > 0', operations => '{insert,update}');
select pg_temp.try($$update topic_schema_watched set name = null where id = 2$$) like '23514%' as refused;
set postrider.validation = warn;
update topic_schema_watched set name = null where id = 2;
reset postrider.validation;
drop table topic_schema_watched;

-- The cache of a session is bounded.
select count(*) from (select postrider.emit('topic.t' || i, 'null') from generate_series(1, 5000) i offset 0) as s;
-- The triggers are for this table only.
create table topic_schema_stranger (name int);
create trigger t before insert on topic_schema_stranger for each row execute function postrider.check_topic();
create trigger u after update on topic_schema_stranger for each row execute function postrider.keep_topic_version();
create trigger v before insert on topic_schema_stranger for each statement execute function postrider.topic_changed();
insert into topic_schema_stranger values (1);
drop trigger v on topic_schema_stranger;
insert into topic_schema_stranger values (1);
drop trigger t on topic_schema_stranger;
insert into topic_schema_stranger values (1);
update topic_schema_stranger set name = 2;
drop table topic_schema_stranger;

delete from postrider.topic;
delete from postrider.endpoint where name = 'topic_schema';
drop role topic_schema_writer, topic_schema_admin;
