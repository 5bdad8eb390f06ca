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
		-- Made apart and then attached, because that does not lock out emitters.
		execute format('create table postrider.%I (like postrider.%I including all)', partition, parent);
		-- For those who go to it by its name: no policy lets them see a row.
		execute format('alter table postrider.%I enable row level security', partition);
		execute format('alter table postrider.%I attach partition postrider.%I for values from (%L) to (%L)',
			parent, partition,
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

create function postrider.passed(relation regclass, before uuid) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	cursor_row record;
	found_one boolean;
begin
	for cursor_row in select c.snapshot from postrider.dispatch_cursor c
	loop
		execute format('select exists (select from %s m where m.xid >= $1
				and not pg_visible_in_snapshot(m.xid, $2) and m.id < $3)', relation)
			into found_one
			using pg_snapshot_xmin(cursor_row.snapshot), cursor_row.snapshot, before;
		if found_one then
			return false;
		end if;
	end loop;
	return true;
end
$$;
comment on function postrider.passed(regclass, uuid) is
'True if all workers have settled every message with an id before the given one in a partition of postrider.message.';

create function postrider.carry_over(relation regclass, before uuid) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	carried bigint;
begin
	execute format('with owed as (
			select p.message_id, p.endpoint_id from postrider.pending p
			where p.message_id < $1 and p.payload is null
			and exists (select from %1$s m where m.id = p.message_id)
			order by p.message_id limit 5000)
		update postrider.pending p set topic = m.topic, tenant = m.tenant,
			payload = m.payload, headers = m.headers, expires_at = m.expires_at,
			traceparent = m.traceparent, key = m.key, priority = m.priority
		from owed o join %1$s m on m.id = o.message_id
		where p.message_id = o.message_id and p.endpoint_id = o.endpoint_id', relation)
		using before;
	get diagnostics carried = row_count;
	return carried;
end
$$;
comment on function postrider.carry_over(regclass, uuid) is
'Copies messages before an id that are still owed from a partition of the log to postrider.pending, 5,000 at a time. Returns how many.';

create function postrider.drop_partition(day text) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	parent text;
	partition regclass := to_regclass('postrider.message_' || day);
	day_end uuid := postrider.id_floor((day::date + 1)::timestamp at time zone 'UTC');
	carried bigint;
begin
	if partition is not null then
		if not postrider.passed(partition, day_end) then
			return null;
		end if;
		-- What is still owed outlives the log.
		carried := postrider.carry_over(partition, day_end);
		if carried > 0 then
			return format('carried over %s owed messages of %s', carried, day);
		end if;
		-- Nobody may emit into it any more while we look for the last time.
		lock table postrider.message in access exclusive mode;
		if not postrider.passed(partition, day_end) or postrider.carry_over(partition, day_end) > 0 then
			return null;
		end if;
	end if;
	foreach parent in array array['message', 'attempt']
	loop
		partition := to_regclass('postrider.' || parent || '_' || day);
		continue when partition is null;
		execute format('alter extension postrider drop table %s', partition);
		execute format('drop table %s', partition);
	end loop;
	return 'dropped partitions of ' || day;
end
$$;
comment on function postrider.drop_partition(text) is
'Does one step of dropping the partitions of a day (YYYYMMDD), what is still owed being copied before, and says what it did; NULL if a worker has not come so far.';

create function postrider.clean_default_partition(before timestamptz) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	before_id uuid := postrider.id_floor(before);
	done bigint;
begin
	if exists (select from postrider.message_default where id < before_id)
		and postrider.passed('postrider.message_default', before_id) then
		done := postrider.carry_over('postrider.message_default', before_id);
		if done > 0 then
			return format('carried over %s owed messages of the default partition', done);
		end if;
		delete from postrider.message_default where id in
			(select id from postrider.message_default where id < before_id order by id limit 5000);
		return 'deleted old messages from the default partition';
	end if;
	-- An attempt stays as long as its message, and a late one for its own time.
	delete from postrider.attempt_default where ctid in
		(select a.ctid from postrider.attempt_default a
		where a.message_id < before_id and a.started_at < before
		and not exists (select from postrider.message m where m.id = a.message_id)
		limit 5000);
	get diagnostics done = row_count;
	return case when done > 0 then 'deleted old attempts from the default partition' end;
end
$$;
comment on function postrider.clean_default_partition(timestamptz) is
'Deletes what is older from the default partitions, a part at a time, and says what it did; NULL if there is nothing to do.';

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
	done text;
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
		done := postrider.drop_partition(old_day);
		if done is not null then
			return done;
		end if;
	end loop;

	done := postrider.clean_default_partition(now() - retention);
	if done is null then
		delete from postrider.deduplication where expires_at < now();
		if not in_extension_script then
			perform postrider.tend_config_history();
		end if;
	end if;
	return done;
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
