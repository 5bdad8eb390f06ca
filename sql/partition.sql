-- Daily partitions of message and attempt.

create function postrider.make_partition(day date, in_extension_script boolean) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	parent text;
	partition text;
begin
	foreach parent in array array['message', 'attempt']
	loop
		partition := parent || to_char(day, '_YYYYMMDD');
		continue when to_regclass('postrider.' || partition) is not null;
		execute format('create table postrider.%I partition of postrider.%I for values from (%L) to (%L)',
			partition, parent,
			postrider.id_floor(day::timestamp at time zone 'UTC'),
			postrider.id_floor((day + 1)::timestamp at time zone 'UTC'));
		execute format('comment on table postrider.%I is %L', partition,
			format('Part of postrider.%s: %s, UTC.', parent, day));
		-- As a member of the extension it is not dumped with its rows.
		if not in_extension_script then
			execute format('alter extension postrider add table postrider.%I', partition);
		end if;
	end loop;
	return true;
exception when check_violation then
	-- The default partition has rows of that day; they stay there.
	return false;
end
$$;
comment on function postrider.make_partition(date, boolean) is
'Makes the partitions of message and attempt for a day. False if the default partition has rows of the day already.';

create function postrider.passed(relation regclass) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	cursor_row record;
	found_one boolean;
begin
	for cursor_row in select c.snapshot from postrider.dispatch_cursor c
	loop
		execute format('select exists (select from %s m where m.xid >= $1 and not pg_visible_in_snapshot(m.xid, $2))', relation)
			into found_one
			using pg_snapshot_xmin(cursor_row.snapshot), cursor_row.snapshot;
		if found_one then
			return false;
		end if;
	end loop;
	return true;
end
$$;
comment on function postrider.passed(regclass) is
'True if all workers have settled every message of a partition of postrider.message.';

create function postrider.drop_partition(day text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	parent text;
	partition regclass := to_regclass('postrider.message_' || day);
begin
	if partition is not null then
		-- Nobody may emit into it any more while we look.
		execute format('lock table %s in share mode', partition);
		if not postrider.passed(partition) then
			return false;
		end if;
		-- What is still owed outlives the log.
		execute format('update postrider.pending p set topic = m.topic, tenant = m.tenant,
			payload = m.payload, headers = m.headers, expires_at = m.expires_at,
			traceparent = m.traceparent, key = m.key
			from %s m where m.id = p.message_id and p.payload is null', partition);
	end if;
	foreach parent in array array['message', 'attempt']
	loop
		partition := to_regclass('postrider.' || parent || '_' || day);
		continue when partition is null;
		execute format('alter extension postrider drop table %s', partition);
		execute format('drop table %s', partition);
	end loop;
	return true;
end
$$;
comment on function postrider.drop_partition(text) is
'Drops the partitions of a day (YYYYMMDD), after copying what is still owed. False if a worker has not come so far.';

create function postrider.maintain_partitions(retention interval,
	in_extension_script boolean default false) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
	today date := (now() at time zone 'UTC')::date;
	oldest text := to_char(now() at time zone 'UTC' - retention, 'YYYYMMDD');
	day date;
	old_day text;
	deleted bigint;
begin
	foreach day in array array(select today + n from generate_series(0, 3) n)
	loop
		continue when to_regclass('postrider.message_' || to_char(day, 'YYYYMMDD')) is not null
			and to_regclass('postrider.attempt_' || to_char(day, 'YYYYMMDD')) is not null;
		if postrider.make_partition(day, in_extension_script) then
			return 'made partitions for ' || day;
		end if;
	end loop;

	for old_day in
		select distinct right(c.relname, 8) from pg_inherits i join pg_class c on c.oid = i.inhrelid
		where i.inhparent in ('postrider.message'::regclass, 'postrider.attempt'::regclass)
		and c.relname ~ '^(message|attempt)_[0-9]{8}$' and right(c.relname, 8) < oldest
		order by 1
	loop
		if postrider.drop_partition(old_day) then
			return 'dropped partitions of ' || old_day;
		end if;
	end loop;

	if exists (select from postrider.message_default where id < postrider.id_floor(now() - retention))
		and postrider.passed('postrider.message_default') then
		update postrider.pending p set topic = m.topic, tenant = m.tenant, payload = m.payload,
			headers = m.headers, expires_at = m.expires_at, traceparent = m.traceparent, key = m.key
			from postrider.message_default m where m.id = p.message_id and p.payload is null;
		delete from postrider.message_default where id < postrider.id_floor(now() - retention);
		return 'deleted old messages from the default partition';
	end if;
	delete from postrider.attempt_default where message_id < postrider.id_floor(now() - retention);
	delete from postrider.deduplication where expires_at < now();
	return null;
end
$$;
comment on function postrider.maintain_partitions(interval, boolean) is
'Does one piece of the upkeep of partitions and says what, or returns NULL if there is nothing to do. Run by the worker.';

do $$
begin
	while postrider.maintain_partitions('7 days', true) is not null
	loop
		null;
	end loop;
end
$$;
