-- postrider: get events out of PostgreSQL, reliably.
-- This file is joined from the modules in sql/ by the Makefile.
\echo Use "CREATE EXTENSION postrider" to load this file. \quit

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
