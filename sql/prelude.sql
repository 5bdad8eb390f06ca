-- postrider: get events out of PostgreSQL, reliably.
-- This file is joined from the modules in sql/ by the Makefile.
\echo Use "CREATE EXTENSION postrider" to load this file. \quit

-- Whoever owns the schema can put functions and operators beside ours, and take ours
-- away.  CREATE EXTENSION uses a schema that is there, so it must be empty and
-- of somebody who is trusted anyway.
do $$
declare
	owner_name name;
begin
	select r.rolname into owner_name
	from pg_catalog.pg_namespace n join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) n.nspowner
	where n.nspname operator(pg_catalog.=) 'postrider'
	and not r.rolsuper and r.rolname operator(pg_catalog.<>) current_user;
	if found then
		raise insufficient_privilege using
			message = pg_catalog.format('schema "postrider" belongs to role "%s", who could change what the extension does', owner_name),
			hint = 'Look what is in it, and drop it or make it yours: ALTER SCHEMA postrider OWNER TO CURRENT_USER.';
	end if;
	if exists (select from pg_catalog.pg_depend d where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
		and d.refobjid operator(pg_catalog.=) 'postrider'::pg_catalog.regnamespace::pg_catalog.oid
		and d.classid operator(pg_catalog.<>) 'pg_catalog.pg_extension'::pg_catalog.regclass) then
		raise object_not_in_prerequisite_state using
			message = 'schema "postrider" is not empty',
			hint = 'Look what is in it, and drop it: what is there could change what the extension does.';
	end if;
	if exists (select from pg_catalog.pg_namespace n cross join lateral pg_catalog.aclexplode(n.nspacl) a
		where n.nspname operator(pg_catalog.=) 'postrider' and a.privilege_type operator(pg_catalog.=) 'CREATE'
		and a.grantee operator(pg_catalog.<>) n.nspowner) then
		raise insufficient_privilege using
			message = 'others may create objects in schema "postrider"',
			hint = 'Revoke that, for they could change what the extension does: REVOKE CREATE ON SCHEMA postrider FROM ....';
	end if;
end
$$;

-- Roles are shared by all databases of the server, so they may be there.
do $$
declare
	role_name name;
begin
	foreach role_name in array array['postrider_writer', 'postrider_reader', 'postrider_admin', 'postrider_payload_reader']
	loop
		if not exists (select from pg_catalog.pg_roles where rolname operator(pg_catalog.=) role_name) then
			execute pg_catalog.format('create role %I nologin', role_name);
		end if;
	end loop;
end
$$;

comment on schema postrider is
'Messages that leave the database: who gets what, what is still owed, and what became of it.';
