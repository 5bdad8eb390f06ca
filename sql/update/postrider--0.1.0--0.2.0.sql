\echo Use "ALTER EXTENSION postrider UPDATE TO '0.2.0'" to load this file. \quit

-- Made by tools/make-update, which says how, from sql/update and the modules.

-- First of all, as in a new installation.
-- The library that the server has loaded may be that of 0.1.0, which has no version.
do $$
begin
	execute $sql$create function postrider.library_version() returns text
		language c stable parallel safe
		as 'MODULE_PATHNAME', 'postrider_library_version'$sql$;
exception when undefined_function then
	raise object_not_in_prerequisite_state using
		message = 'the server still runs the library of postrider 0.1.0',
		hint = 'Restart the server, then run the statement again.';
end
$$;
-- instead of: postrider_library_version

-- These have more columns.
drop view postrider.endpoint_health;
drop function postrider.endpoint_status();
drop view postrider.worker;
drop function postrider.worker_status();

-- Its check has become that of two tables: check_topic_pattern().
drop trigger check_payload_retention on postrider.payload_retention;
drop function postrider.check_payload_retention();

-- changes

-- Nothing is for all.  An ACL that is NULL has never been touched: the object is new.
do $$
declare
	object record;
begin
	for object in select p.oid::pg_catalog.regprocedure as name
		from pg_catalog.pg_proc p
		join pg_catalog.pg_depend d on d.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
			and d.objid operator(pg_catalog.=) p.oid and d.deptype operator(pg_catalog.=) 'e'
		where p.pronamespace operator(pg_catalog.=) 'postrider'::pg_catalog.regnamespace and p.proacl is null
	loop
		execute pg_catalog.format('revoke all on routine %s from public', object.name);
	end loop;
	for object in select c.relname as name, c.relkind, c.relacl, c.relrowsecurity
		from pg_catalog.pg_class c
		join pg_catalog.pg_depend d on d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
			and d.objid operator(pg_catalog.=) c.oid and d.deptype operator(pg_catalog.=) 'e'
		where c.relnamespace operator(pg_catalog.=) 'postrider'::pg_catalog.regnamespace
		and c.relkind operator(pg_catalog.=) any ('{r,p,v}')
	loop
		if object.relacl is null then
			execute pg_catalog.format('revoke all on table postrider.%I from public', object.name);
		end if;
		if object.relkind operator(pg_catalog.<>) 'v' and not object.relrowsecurity then
			execute pg_catalog.format('alter table postrider.%I enable row level security', object.name);
		end if;
	end loop;
end
$$;

-- grants

select postrider.keep_config_history();
select postrider.wake();
