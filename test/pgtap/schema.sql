-- Every object says what it is, and nobody has rights that were not granted.
begin;
create extension if not exists pgtap;
create extension if not exists postrider;
select plan(9);

select is_empty($$
	select p.oid::regprocedure from pg_proc p
	where p.pronamespace = 'postrider'::regnamespace and obj_description(p.oid, 'pg_proc') is null
$$, 'every function has a comment');
select is_empty($$
	select c.oid::regclass from pg_class c
	where c.relnamespace = 'postrider'::regnamespace and c.relkind in ('r', 'p', 'v')
	and obj_description(c.oid, 'pg_class') is null
$$, 'every table and view has a comment');
select is_empty($$
	select a.attrelid::regclass, a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
	where c.relnamespace = 'postrider'::regnamespace and c.relkind in ('r', 'p', 'v')
	and not c.relispartition and a.attnum > 0 and not a.attisdropped
	and col_description(c.oid, a.attnum) is null
$$, 'every column has a comment');
select is_empty($$
	select p.oid::regprocedure from pg_proc p
	where p.pronamespace = 'postrider'::regnamespace
	and has_function_privilege('public', p.oid, 'execute')
$$, 'PUBLIC may execute nothing');
select is_empty($$
	select c.oid::regclass from pg_class c
	where c.relnamespace = 'postrider'::regnamespace and c.relkind in ('r', 'p', 'v')
	and has_table_privilege('public', c.oid, 'select, insert, update, delete')
$$, 'PUBLIC may read and write nothing');
select is_empty($$
	select p.oid::regprocedure from pg_proc p join pg_language l on l.oid = p.prolang
	where p.pronamespace = 'postrider'::regnamespace and p.prokind <> 'a' and (l.lanname <> 'c' or p.prosecdef)
	and (p.prosqlbody is null or p.prosecdef)
	and not coalesce(p.proconfig, '{}') @> array['search_path=pg_catalog, pg_temp']
$$, 'every function that looks up names when it runs, or changes the user, pins search_path');
select is_empty($$
	select c.oid::regclass from pg_class c
	where c.relnamespace = 'postrider'::regnamespace and c.relkind in ('r', 'p', 'v')
	and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
$$, 'every table belongs to the extension, so that a dump leaves it out');
select is((select count(*) from pg_inherits where inhparent = 'postrider.message'::regclass), 5::bigint,
	'partitions for today and three days ahead, and the default one');
select is(postrider.id_time(postrider.id_floor('2026-11-23 12:00:00.123+00')), '2026-11-23 12:00:00.123+00'::timestamptz,
	'id_time and id_floor are inverse');
select * from finish();
rollback;
