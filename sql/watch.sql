-- Watching tables.

create function postrider.capture() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_capture';
comment on function postrider.capture() is
'Trigger: emits a message for each changed row. Put on tables by postrider.watch().';

create function postrider.check_watchable(relation regclass) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
	c record;
begin
	if relation is null then
		raise null_value_not_allowed using message = 'relation must not be null';
	end if;
	select r.relkind, r.relpersistence, r.relispartition, n.nspname into c
	from pg_class r join pg_namespace n on n.oid = r.relnamespace
	where r.oid = relation;
	if c.nspname in ('pg_catalog', 'information_schema', 'pg_toast', 'postrider') then
		raise wrong_object_type using
			message = format('cannot watch system table %s', relation),
			hint = 'Watch a table of your own.';
	elsif c.relkind not in ('r', 'p') then
		raise wrong_object_type using
			message = format('cannot watch %s: it is not a table', relation),
			hint = 'Watch the tables that it is made from.';
	elsif c.relispartition then
		raise wrong_object_type using
			message = format('cannot watch %s: it is a partition', relation),
			hint = format('Watch the partitioned table %s.',
				(select inhparent::regclass from pg_inherits where inhrelid = relation));
	elsif c.relpersistence = 't' then
		raise wrong_object_type using
			message = format('cannot watch %s: it is a temporary table', relation);
	end if;
	perform postrider.require_owner(relation);
end
$$;
comment on function postrider.check_watchable(regclass) is
'Raises an error that says why a relation cannot be watched, if it cannot.';

create function postrider.check_columns(relation regclass, columns name[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
	wrong name;
begin
	select c into wrong from unnest(columns) c
	where c is null or not exists (select from pg_attribute a where a.attrelid = relation
		and a.attname = c and a.attnum > 0 and not a.attisdropped)
	limit 1;
	if found then
		raise undefined_column using
			message = format('column "%s" of table %s does not exist', wrong, relation);
	end if;
end
$$;
comment on function postrider.check_columns(regclass, name[]) is
'Raises an error if a table lacks one of the columns.';

create function postrider.unwatch(relation regclass, topic text default null) returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	dropped integer := 0;
	trigger_name name;
begin
	if relation is null then
		raise null_value_not_allowed using message = 'relation must not be null';
	end if;
	for trigger_name in
		select t.tgname from pg_trigger t
		where t.tgrelid = unwatch.relation and t.tgfoid = 'postrider.capture'::regproc
		and t.tgparentid = 0
		and (unwatch.topic is null
			or split_part(encode(t.tgargs, 'escape'), '\000', 1) = unwatch.topic)
	loop
		execute format('drop trigger %I on %s', trigger_name, relation);
		dropped := dropped + 1;
	end loop;
	if dropped = 0 then
		raise undefined_object using
			message = format('table %s is not watched', relation)
				|| coalesce(' on topic "' || topic || '"', ''),
			hint = 'The triggers that call postrider.capture() show what is watched: \d ' || relation::text;
	end if;
	perform postrider.record_watches(relation);
	return dropped;
end
$$;
comment on function postrider.unwatch(regclass, text) is
'Stops watching a table, on one topic or altogether. Returns the number of triggers dropped.';

-- Drops triggers that an earlier watch on the topic made for other operations.
create function postrider.narrow_watch(relation regclass, topic text, operations text[]) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	trigger_name name;
begin
	for trigger_name in
		select t.tgname from pg_trigger t
		where t.tgrelid = narrow_watch.relation and t.tgfoid = 'postrider.capture'::regproc
		and t.tgparentid = 0
		and split_part(encode(t.tgargs, 'escape'), '\000', 1) = narrow_watch.topic
		and split_part(t.tgname, '_', 2) <> all (operations)
	loop
		execute format('drop trigger %I on %s', trigger_name, relation);
	end loop;
end
$$;
comment on function postrider.narrow_watch(regclass, text, text[]) is
'Stops watching the operations that are not in the list, on one topic of a table.';

create function postrider.watch(relation regclass, topic text default null,
	operations text[] default '{insert,update,delete}', columns name[] default null,
	condition text default null, key_columns name[] default null, priority text default 'normal') returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	operation text;
	full_topic text;
	trigger_name text;
	keys text[];
	row_level boolean;
	shape text;
	parsed refcursor;
begin
	perform postrider.check_watchable(relation);
	perform postrider.check_columns(relation, columns);
	perform postrider.check_columns(relation, key_columns);
	if coalesce(cardinality(operations), 0) = 0
		or not operations <@ array['insert', 'update', 'delete'] then
		raise invalid_parameter_value using
			message = format('operations "%s" cannot be watched', coalesce(operations::text, 'NULL')),
			hint = 'Give an array of insert, update and delete.';
	end if;

	if priority is null or priority not in ('bulk', 'normal', 'high', 'critical') then
		raise invalid_parameter_value using
			message = format('"%s" is not a priority', priority),
			hint = 'Use bulk, normal, high or critical.';
	end if;

	-- The condition must be one expression, or the text could end the CREATE
	-- TRIGGER and go on with statements that nobody asked for.  A cursor takes
	-- a single query and is refused before anything runs; the table that does
	-- not exist stops the analysis before it comes to OLD and NEW, so the only
	-- good outcome is undefined_table.
	if condition is not null then
		begin
			open parsed for execute 'select (' || condition
				|| E'\n) from postrider."no such table"';
			raise syntax_error using message = 'it is not one expression';
		exception
			when undefined_table then
				null;
			when others then
				raise exception using
					errcode = sqlstate,
					message = format('condition of the watch on table %s does not compile: %s',
						relation, sqlerrm),
					hint = 'Write one boolean SQL expression over OLD and NEW.';
		end;
	end if;

	-- The key of a message is the primary key, unless the caller knows better.
	keys := coalesce(key_columns::text[],
		(select array_agg(a.attname::text order by k.position)
		from pg_index i
		cross join unnest(i.indkey::int2[]) with ordinality as k (number, position)
		join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
		where i.indrelid = relation and i.indisprimary),
		'{}');

	-- Statement-level capture sees all rows only where nobody can write past it.
	row_level := condition is not null
		or exists (select from pg_class c where c.oid = relation and c.relkind = 'p')
		or exists (select from pg_inherits h where relation in (h.inhparent, h.inhrelid));

	foreach operation in array array(select distinct o from unnest(operations) o order by o)
	loop
		full_topic := coalesce(topic,
			(select c.relname from pg_class c where c.oid = relation) || '.' || operation);
		if not postrider.is_topic(full_topic) then
			raise invalid_parameter_value using
				message = format('"%s" is not a topic', full_topic),
				hint = 'Give a topic of words of a-z, 0-9 and _ joined by dots: postrider.watch('
					|| quote_literal(relation::text) || ', ''order.changed'').';
		end if;
		trigger_name := 'postrider_' || operation || '_' || full_topic;
		if length(trigger_name) > 63 then
			trigger_name := left(trigger_name, 54) || '_' || left(md5(full_topic), 8);
		end if;
		shape := case when row_level then 'for each row' else
			'referencing'
			|| case when operation in ('update', 'delete') then ' old table as old_rows' else '' end
			|| case when operation in ('insert', 'update') then ' new table as new_rows' else '' end
			|| ' for each statement' end;

		-- This runs with the rights of the caller, who could as well write
		-- CREATE TRIGGER, so the text of the condition gives nobody any power.
		begin
			execute format('create or replace trigger %I after %s on %s %s %s execute function postrider.capture(%L, %L, %L%s)',
				trigger_name, operation, relation, shape,
				coalesce('when (' || condition || E'\n)', ''),
				full_topic, coalesce(columns::text[], '{}')::text, keys::text,
				case when priority <> 'normal' then ', ' || quote_literal(priority) else '' end);
		exception when others then
			if condition is null then
				raise;
			end if;
			raise exception using
				errcode = sqlstate,
				message = format('condition of the watch on table %s does not compile for %s: %s',
					relation, operation, sqlerrm),
				hint = 'Write a boolean SQL expression over OLD (update and delete) and NEW (insert and update), and list the operations that it fits. Names are looked up in pg_catalog: write the schema of your own functions and types.';
		end;
	end loop;
	if topic is not null then
		perform postrider.narrow_watch(relation, topic, operations);
	end if;
	perform postrider.record_watches(relation);
end
$$;
comment on function postrider.watch(regclass, text, text[], name[], text, name[], text) is
'Emits a message for every row that is inserted, updated or deleted in a table. Without a topic they are table.insert, table.update and table.delete. An update that changes none of the columns emits nothing. Watching again on the same topic replaces the earlier watch.';
