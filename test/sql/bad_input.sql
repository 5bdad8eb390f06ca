-- Bad input gets a clear error, and nothing is lost or sent.
\set SHOW_CONTEXT never
set client_min_messages = warning;
create extension if not exists postrider;
reset client_min_messages;
create table shop_order (id int primary key, total numeric);

select postrider.emit(null, '1');
select postrider.emit('Not A Topic', '1');
select postrider.emit('a..b', '1');
select postrider.emit('a.*', '1');
select postrider.emit('a.b', null);
select postrider.emit('a.b', '1', headers => '{"X-A": "1\r\nX-B: 2"}');
select postrider.emit('a.b', '1', headers => '{"X A": "1"}');
select postrider.emit('a.b', '1', headers => '[]');
select postrider.emit('a.b', '1', deliver_at => '2030-01-02', expires_at => '2030-01-01');
select postrider.send('nobody', '1');
set postrider.max_payload_bytes = 100;
select postrider.emit('a.b', to_jsonb(repeat('x', 200)));
reset postrider.max_payload_bytes;
begin read only;
select postrider.emit('a.b', '1');
rollback;

select postrider.watch('no_such_table');
select postrider.watch(null);
select postrider.watch('shop_order', 'Bad Topic');
select postrider.watch('shop_order', operations => '{truncate}');
select postrider.watch('shop_order', operations => '{}');
select postrider.watch('shop_order', columns => '{id,nothing}');
select postrider.watch('shop_order', key_columns => '{nothing}');
select postrider.watch('shop_order', operations => '{update}', condition => 'NEW.nothing > 1');
select postrider.watch('pg_catalog.pg_class');
select postrider.watch('postrider.message');
create view shop_view as select * from shop_order;
select postrider.watch('shop_view');
create table parted (id int) partition by range (id);
create table parted_1 partition of parted for values from (1) to (10);
select postrider.watch('parted_1');
create temp table passing (id int);
select postrider.watch('passing');
select postrider.unwatch('shop_order');
create role nobody_special;
grant usage on schema postrider to nobody_special;
set role nobody_special;
select postrider.emit('a.b', '1');
reset role;
grant postrider_writer to nobody_special;
set role nobody_special;
select postrider.watch('shop_order');
select count(*) from postrider.message;
select postrider.emit('a.b', '1') is not null as emitted;
-- The right to make triggers is not enough to watch, not even by hand.
reset role;
grant all on shop_order to nobody_special;
grant create on schema public to nobody_special;
set role nobody_special;
select postrider.watch('shop_order', 'shop.granted', '{insert,update}');
create trigger mine after insert on shop_order for each row execute function postrider.capture('shop.granted', '{}', '{}');
set search_path = postrider, public;
create trigger mine after insert on shop_order for each row execute function capture('shop.granted', '{}', '{}');
reset search_path;
select tgname from pg_trigger where tgrelid = 'shop_order'::regclass order by 1;
-- What one owns may be watched, also as a member of the role that owns it.
create table special_order (id int primary key);
select postrider.watch('special_order', 'special.changed', '{insert,update}');
select postrider.watch('special_order', 'special.changed', '{insert,update}', columns => '{id}');
reset role;
create role nobody_else in role nobody_special;
set role nobody_else;
select postrider.watch('special_order', 'special.added', '{insert}');
select tgname from pg_trigger where tgrelid = 'special_order'::regclass order by 1;
select postrider.unwatch('special_order');
reset role;
drop role nobody_else;
-- The owner may also narrow it.
select postrider.watch('shop_order', 'shop.granted', '{update}');
select tgname from pg_trigger where tgrelid = 'shop_order'::regclass and tgfoid = 'postrider.capture'::regproc order by 1;
select postrider.unwatch('shop_order');
create view "Odd ""View" as select 1;
select postrider.watch('"Odd ""View"');
drop view "Odd ""View";
drop owned by nobody_special;
drop role nobody_special;
select postrider.retry(null);
select postrider.retry('00000000-0000-7000-8000-000000000000');
select postrider.retry('00000000-0000-7000-8000-000000000000', 'nobody');

-- What is right works, and only that was written.
select postrider.watch('shop_order', 'shop.changed', '{update}', condition => 'NEW.total > OLD.total');
insert into shop_order values (1, 1);
update shop_order set total = 0;
update shop_order set total = 5;
select topic, key, payload from postrider.message where topic = 'shop.changed';
select postrider.unwatch('shop_order', 'shop.changed');
select postrider.watch('parted', 'parted.row');
insert into parted_1 values (1);
insert into parted values (2);
select topic, payload->'record' as record from postrider.message where topic = 'parted.row' order by id;
-- Every kind of value in a row is what to_jsonb makes of it.
create table kinds (id int primary key, b boolean, i bigint, n numeric, f double precision, t text,
	d date, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb, a int[], c shop_order, nul text);
select postrider.watch('kinds', 'kinds.row');
insert into kinds values (1, true, 9007199254740993, 'NaN', 1.5, E'\u0448"\n', '2026-01-02', '2026-01-02 03:04:05.678',
	'2026-01-02 03:04:05.678+00', '1 day 2 hours', '00000000-0000-0000-0000-000000000001', '{"a": [1]}', '{"b": null}', '{1,2}', row(1, 2), null);
select m.payload->'record' = to_jsonb(k) as same from postrider.message m, kinds k where m.topic = 'kinds.row';
drop view shop_view;
drop table kinds, parted, shop_order cascade;
