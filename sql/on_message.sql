-- Functions that are called for messages: endpoints of their own kind.

-- Both run with the rights of the caller: the rows are checked by triggers, and a
-- function runs as the role that registered it.
create function postrider.on_message(topic text, function regprocedure, name text default null,
	filter jsonpath default null, mapping text default null,
	timeout interval default '5 seconds', max_attempts integer default 12)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	target text;
	found_url text;
	found_role text;
begin
	if on_message.topic is null or on_message.function is null then
		raise null_value_not_allowed using
			message = 'on_message needs a topic and a function',
			hint = 'Write postrider.on_message(''order.paid'', ''public.handle_order(postrider.message)'').';
	end if;
	select coalesce(on_message.name, format('%I.%I', n.nspname, p.proname)) into target
	from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.oid = on_message.function;
	if target is null then
		raise undefined_function using message = format('function with OID %s does not exist', on_message.function);
	end if;

	insert into postrider.endpoint (name, url, timeout, max_attempts, max_in_flight)
	values (target, 'function:' || on_message.function::text, on_message.timeout, on_message.max_attempts, 1)
	on conflict (name) do nothing;
	if not found then
		select e.url, e.run_as into found_url, found_role from postrider.endpoint e where e.name = target;
		if found_url is distinct from 'function:' || on_message.function::text or found_role is distinct from current_user then
			raise duplicate_object using
				message = format('endpoint "%s" exists, and is not this function run as "%s"', target, current_user),
				hint = 'Give another name: postrider.on_message(topic, function, name => ...).';
		end if;
	end if;
	if exists (select from postrider.subscription s where s.endpoint = target and s.topic = on_message.topic
		and s.filter::text is not distinct from on_message.filter::text
		and s.mapping is not distinct from on_message.mapping and s.enabled) then
		raise duplicate_object using
			message = format('function %s is called for topic %s already', on_message.function, on_message.topic),
			hint = 'Change the rows of postrider.endpoint and postrider.subscription, or call postrider.off_message() first.';
	end if;
	insert into postrider.subscription (topic, endpoint, filter, mapping)
	values (on_message.topic, target, on_message.filter, on_message.mapping);
	return target;
end
$$;
comment on function postrider.on_message(text, regprocedure, text, jsonpath, text, interval, integer) is
'Has a function with one argument of type postrider.message called for each message of a topic from now on, as the role that calls this, in a transaction of its own; an error is tried again like a failed request. Several topics may share a name. Returns the name of the endpoint.';

create function postrider.off_message(topic text default null, function regprocedure default null,
	name text default null)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	meant text[];
	touched bigint;
begin
	if num_nonnulls(off_message.topic, off_message.function, off_message.name) = 0 then
		raise null_value_not_allowed using
			message = 'off_message needs to know which function',
			hint = 'Name a topic, a function or the name that on_message() returned.';
	end if;
	select array_agg(e.name) into meant from postrider.endpoint e
	where starts_with(e.url, 'function:')
	and (off_message.function is null or e.url = 'function:' || off_message.function::text)
	and (off_message.name is null or e.name = off_message.name);
	delete from postrider.subscription s
	where s.endpoint = any(meant) and (off_message.topic is null or s.topic = off_message.topic);
	get diagnostics touched = row_count;
	delete from postrider.endpoint e
	where e.name = any(meant) and (touched > 0 or off_message.topic is null)
	and not exists (select from postrider.subscription s where s.endpoint = e.name);
	if touched = 0 and not found then
		perform postrider.touched_nothing('off_message',
			'Run SELECT s.topic, e.name, e.url FROM postrider.endpoint e JOIN postrider.subscription s ON s.endpoint = e.name WHERE e.url LIKE ''function:%''.');
	end if;
	return touched;
end
$$;
comment on function postrider.off_message(text, regprocedure, text) is
'Ends what on_message() began: by topic, function or name, or all that the three leave. An endpoint without a topic goes, and what waits for it is cancelled. Returns how many topics were ended.';
