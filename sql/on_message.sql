-- Functions in this database that are called with messages.

create function postrider.on_message(topic text, function regprocedure, name text default null,
	filter jsonpath default null, ordered boolean default false, timeout interval default '1 second',
	max_attempts integer default 12)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	called text;
	chosen text := on_message.name;
begin
	if on_message.topic is null or on_message.function is null then
		raise null_value_not_allowed using message = 'on_message needs a topic and a function';
	end if;
	select quote_ident(n.nspname) || '.' || quote_ident(p.proname),
		coalesce(chosen, regexp_replace(n.nspname || '.' || p.proname, '[^A-Za-z0-9_.-]', '_', 'g'))
	into called, chosen
	from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.oid = on_message.function;
	if pg_get_function_identity_arguments(on_message.function) !~ 'postrider\.message$'
		or (select p.pronargs from pg_proc p where p.oid = on_message.function) <> 1 then
		raise undefined_function using message = format('function %s does not take a message', on_message.function),
			hint = format('It needs one argument: CREATE FUNCTION %s(message postrider.message) RETURNS void ...', called);
	end if;
	insert into postrider.endpoint (name, url, function, run_as, ordered, timeout, max_attempts, max_in_flight, description)
	values (chosen, 'function:' || called, called, current_user, on_message.ordered, on_message.timeout,
		on_message.max_attempts, 4, 'Calls ' || called || '() in this database.');
	insert into postrider.subscription (topic, endpoint, filter) values (on_message.topic, chosen, on_message.filter);
	return chosen;
end
$$;
comment on function postrider.on_message(text, regprocedure, text, jsonpath, boolean, interval, integer) is
'Has a function f(message postrider.message) called for every message of a topic: in a transaction of its own, with which the delivery is recorded, as the role that registers it, with retries and dead letters as for any endpoint. Returns the name of the endpoint that stands for it.';

create function postrider.off_message(name text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
	delete from postrider.endpoint e where e.name = off_message.name and e.function is not null;
	if not found then
		raise notice 'no function is registered as "%"', off_message.name
			using hint = 'Run SELECT name, function FROM postrider.endpoint WHERE function IS NOT NULL.';
	end if;
	return found;
end
$$;
comment on function postrider.off_message(text) is
'Ends what on_message() began: the endpoint and its subscriptions are deleted, what is still owed is cancelled. False if there is no such function.';
