-- Alerts: conditions over views that are looked at every postrider.alert_interval, and raise
-- messages through postrider itself.
--
-- A row says what is measured (source, filter, object, value) and when that is bad
-- (operator, threshold).  The expressions are SQL of whoever writes the row: they are
-- tried when it is written, and run as that role, reading only, with a time limit
-- (src/outbox/alert_query.c).  postrider.evaluate_alerts(at) compares what they return with
-- postrider.alert_state, and takes each object one step further:
--
--	  (nothing) -> pending -> firing -> resolved
--
-- It is a function of the state and the time that it is given; a state and the messages that
-- tell of it are written in one transaction.

create table postrider.alert (
	name text primary key
		constraint alert_name check (pg_catalog.length(name) operator(pg_catalog.>) 0 and pg_catalog.length(name) operator(pg_catalog.<=) 200),
	enabled boolean not null default true,
	description text,
	severity text not null default 'warning'
		constraint alert_severity check (severity operator(pg_catalog.=) any (array['critical', 'warning', 'notice'])),
	tenant text,
	source text not null,
	filter text,
	object text,
	value text,
	operator text not null default '>'
		constraint alert_operator check (operator operator(pg_catalog.=) any (array['>', '>=', '<', '<='])),
	threshold double precision not null default 0,
	recover_threshold double precision,
	for_duration interval not null default '0',
	recover_for interval not null default '0',
	topic text not null default 'postrider.alert',
	repeat_interval interval,
	escalation jsonb not null default '[]',
	group_above integer not null default 5
		constraint alert_group_above check (group_above operator(pg_catalog.>=) 1 and group_above operator(pg_catalog.<=) 100),
	detail text,
	remedy text,
	run_as text,
	is_default boolean not null default false
);
comment on table postrider.alert is
'Conditions that raise messages: what is measured, when it is bad, for how long, and on which topic that is told. Insert, update and delete rows; see doc/alerts.md.';
comment on column postrider.alert.name is 'Name of the alert.';
comment on column postrider.alert.enabled is 'False: it is not looked at, and what it had found is forgotten.';
comment on column postrider.alert.description is 'For people; it is part of the messages.';
comment on column postrider.alert.severity is 'critical, warning or notice; it is part of the messages.';
comment on column postrider.alert.tenant is 'If set, the condition sees what belongs to this tenant, and the messages are the tenant''s.';
comment on column postrider.alert.source is 'View or table that it looks at, with its schema: postrider.endpoint_health.';
comment on column postrider.alert.filter is 'SQL over a row of the source: which rows count; NULL: all.';
comment on column postrider.alert.object is 'SQL over a row, mostly a column: what it is about. Each object fires and ends for itself; NULL: all rows together are one.';
comment on column postrider.alert.value is 'SQL over a row that gives a number; of several rows of one object the worst counts. NULL: the number of rows.';
comment on column postrider.alert.operator is '>, >=, < or <=: it is bad if the value is that, compared with the threshold.';
comment on column postrider.alert.threshold is 'With the defaults, > 0 and no value: it is bad that there is a row.';
comment on column postrider.alert.recover_threshold is 'What fires ends only when the value is not even beyond this; NULL: the threshold.';
comment on column postrider.alert.for_duration is 'It fires when it has been bad at every look for so long.';
comment on column postrider.alert.recover_for is 'It ends when it has been well at every look for so long.';
comment on column postrider.alert.topic is 'Messages go on this topic with .firing, .resolved or .broken (the condition cannot be computed) at its end.';
comment on column postrider.alert.repeat_interval is 'While it fires it is said again so often; NULL: never.';
comment on column postrider.alert.escalation is 'Who is told next while it goes on firing: [{"after": "15 minutes", "topic": "oncall.page"}, ...]; after counts from when it fired.';
comment on column postrider.alert.group_above is 'If more objects than this change at once they are told of in one message.';
comment on column postrider.alert.detail is 'SQL over a row: a sentence for people, part of the messages.';
comment on column postrider.alert.remedy is 'SQL over a row: the statement that helps, part of the messages.';
comment on column postrider.alert.run_as is 'The role as which the condition is computed: the one that wrote it.';
comment on column postrider.alert.is_default is 'It came with the extension and nobody has changed it; a dump leaves it out.';

create table postrider.alert_state (
	alert text not null references postrider.alert (name) on update cascade on delete cascade,
	object text not null,
	state text not null
		constraint alert_state_state check (state operator(pg_catalog.=) any (array['pending', 'firing', 'resolved'])),
	since timestamptz not null,
	fired_at timestamptz,
	told_at timestamptz,
	level integer not null default 0,
	well_since timestamptz,
	resolved_at timestamptz,
	value double precision,
	detail text,
	remedy text,
	primary key (alert, object)
);
comment on table postrider.alert_state is
'What alerts have found: a row for each object that is bad, or was within the last seven days. Written by postrider.evaluate_alerts(), and only when something changes.';
comment on column postrider.alert_state.alert is 'The alert.';
comment on column postrider.alert_state.object is 'What it is about; empty if all rows together are one.';
comment on column postrider.alert_state.state is 'pending (bad, but not for long enough), firing or resolved.';
comment on column postrider.alert_state.since is 'Since when it is bad.';
comment on column postrider.alert_state.fired_at is 'When it fired.';
comment on column postrider.alert_state.told_at is 'When that was said last.';
comment on column postrider.alert_state.level is 'How many topics of the escalation have been told.';
comment on column postrider.alert_state.well_since is 'While it fires: since when it is well.';
comment on column postrider.alert_state.resolved_at is 'When it ended.';
comment on column postrider.alert_state.value is 'The value when it was said last.';
comment on column postrider.alert_state.detail is 'Likewise the detail.';
comment on column postrider.alert_state.remedy is 'Likewise the remedy.';

create table postrider.alert_failure (
	alert text primary key references postrider.alert (name) on update cascade on delete cascade,
	since timestamptz not null,
	retry_at timestamptz not null,
	error text not null
);
comment on table postrider.alert_failure is
'Alerts that cannot be computed, and why. Each is tried again after ten minutes, or when its row is changed.';
comment on column postrider.alert_failure.alert is 'The alert.';
comment on column postrider.alert_failure.since is 'Since when.';
comment on column postrider.alert_failure.retry_at is 'When it is tried again.';
comment on column postrider.alert_failure.error is 'What went wrong.';

-- The statement that an alert is.  It returns the objects that are not well: those that are
-- bad, and those that would go on firing if they do.  (offset 0: each value is computed once.)
create function postrider.alert_query(alert postrider.alert) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
	select format(E'select x.object, x.value, x.detail, x.remedy from (\nselect %s as object, %s as value, %s as detail, %s as remedy\nfrom %s\nwhere %s\n%s'
		'offset 0) x\nwhere x.value %s %s order by x.value %s limit 1001',
		coalesce(E'coalesce((' || (alert).object || E'\n)::text, '''')', '''''::text'), m.measure,
		coalesce(E'min((' || (alert).detail || E'\n)::text)', 'null::text'),
		coalesce(E'min((' || (alert).remedy || E'\n)::text)', 'null::text'),
		(alert).source, coalesce('(' || (alert).filter || E'\n)', 'true'),
		case when (alert).object is not null then E'group by 1\n' else '' end,
		(alert).operator, quote_literal(coalesce((alert).recover_threshold, (alert).threshold)) || '::double precision',
		case when (alert).operator like '>%' then 'desc' else 'asc' end)
	from (select coalesce(case when (alert).operator like '>%' then 'max' else 'min' end || '((' || (alert).value || E'\n)::double precision)',
		'count(*)::double precision') as measure) m
$$;
comment on function postrider.alert_query(postrider.alert) is
'The statement by which an alert is computed: the objects that are not well, the worst first.';

create function postrider.check_alert_query(query text) returns void
language c volatile strict
as 'MODULE_PATHNAME', 'postrider_check_alert_query';
comment on function postrider.check_alert_query(text) is
'Raises an error if the statement of an alert could not be run by the current user. Runs nothing.';

create function postrider.alert_rows(alert text, query text, run_as text, tenant text, out object text,
	out value double precision, out detail text, out remedy text)
returns setof record
language c volatile
as 'MODULE_PATHNAME', 'postrider_alert_rows';
comment on function postrider.alert_rows(text, text, text, text) is
'Runs the statement of an alert as the role that wrote it: reading only, bound to the alert''s tenant, for one second at most.';

create function postrider.alert_is_over(value double precision, operator text, threshold double precision) returns boolean
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
	select case operator when '>' then value > threshold when '>=' then value >= threshold
		when '<' then value < threshold else value <= threshold end
$$;
comment on function postrider.alert_is_over(double precision, text, double precision) is
'Compares the value of an alert with its threshold.';

create function postrider.alert_escalation_problem(escalation jsonb) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
	step jsonb;
	last interval := '0';
begin
	if jsonb_typeof(escalation) <> 'array' then
		return 'it is no array';
	elsif jsonb_array_length(escalation) > 10 then
		return 'it has more than 10 steps';
	end if;
	for step in select e from jsonb_array_elements(escalation) e
	loop
		if jsonb_typeof(step) <> 'object' or jsonb_typeof(step -> 'after') is distinct from 'string'
			or jsonb_typeof(step -> 'topic') is distinct from 'string' or step - array['after', 'topic'] <> '{}' then
			return format('a step has a string "after" and a string "topic", and nothing else: %s', step);
		elsif not postrider.is_topic(step ->> 'topic') then
			return format('"%s" is no topic', step ->> 'topic');
		end if;
		begin
			if (step ->> 'after')::interval <= last then
				return format('"after" must grow from step to step: %s', step);
			end if;
			last := (step ->> 'after')::interval;
		exception when data_exception then
			return format('"%s" is no interval', step ->> 'after');
		end;
	end loop;
	return null;
end
$$;
comment on function postrider.alert_escalation_problem(jsonb) is
'What is wrong with the escalation of an alert; NULL if nothing is.';

create function postrider.relation_columns(relation text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
	where a.attrelid = to_regclass(relation) and a.attnum > 0 and not a.attisdropped
$$;
comment on function postrider.relation_columns(text) is
'The names of the columns of a relation, for a hint.';

create function postrider.check_alert_source(alert postrider.alert) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
	relation regclass;
begin
	begin
		relation := to_regclass(alert.source);
	exception when others then
		null;
	end;
	if relation is null then
		raise undefined_table using
			message = format('alert "%s": there is no view or table "%s"', alert.name, alert.source),
			hint = case when to_regclass('postrider.' || quote_ident(alert.source)) is not null then format('Write postrider.%s.', alert.source)
				else format('Write it with its schema. Views of postrider: %s.',
					(select string_agg(c.relname, ', ' order by c.relname) from pg_class c
					where c.relnamespace = 'postrider'::regnamespace and c.relkind = 'v')) end;
	end if;
	return (select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = relation);
end
$$;
comment on function postrider.check_alert_source(postrider.alert) is
'The source of an alert with its schema; raises an error if there is none.';

-- With the rights of the one who writes the row: as which it is run later.
create function postrider.check_alert() returns trigger
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	problem text;
	hint text;
	failed text;
begin
	if postrider.is_restoring() then
		-- In place of the one that came with the extension.
		if tg_op = 'INSERT' then
			delete from postrider.alert a where a.name = new.name and a.is_default;
		end if;
		return new;
	end if;
	if tg_op = 'UPDATE' and new = old then
		return new;
	end if;
	if postrider.bound_tenant() is not null then
		new.tenant := coalesce(new.tenant, postrider.bound_tenant());
		perform postrider.require_tenant(new.tenant);
	end if;
	new.is_default := false;
	problem := case
		when new.threshold in ('infinity', '-infinity', 'NaN') or new.recover_threshold in ('infinity', '-infinity', 'NaN') then
			'a threshold is no finite number'
		when new.operator like '>%' and new.recover_threshold > new.threshold then 'recover_threshold is above the threshold, so that it could never fire and be well in turn'
		when new.operator like '<%' and new.recover_threshold < new.threshold then 'recover_threshold is below the threshold, so that it could never fire and be well in turn'
		when new.for_duration < '0' or new.for_duration > '30 days' then 'for_duration must be between 0 and 30 days'
		when new.recover_for < '0' or new.recover_for > '30 days' then 'recover_for must be between 0 and 30 days'
		when new.repeat_interval < '1 minute' then 'repeat_interval must be a minute or more'
		when not postrider.is_topic(new.topic || '.firing') then format('"%s" is no topic', new.topic)
		when postrider.alert_escalation_problem(new.escalation) is not null then
			'escalation: ' || postrider.alert_escalation_problem(new.escalation) end;
	if problem is not null then
		raise invalid_parameter_value using
			message = format('alert "%s": %s', new.name, problem),
			hint = case when problem like 'escalation%' then 'Write [{"after": "15 minutes", "topic": "oncall.page"}].'
				else 'Run \d+ postrider.alert to see what each column is for.' end;
	end if;
	if tg_op = 'UPDATE' then
		new.run_as := old.run_as;
		delete from postrider.alert_failure f where f.alert = old.name;
		if (new.source, new.filter, new.object, new.value, new.detail, new.remedy, new.tenant)
			is not distinct from (old.source, old.filter, old.object, old.value, old.detail, old.remedy, old.tenant) then
			return new;
		end if;
	end if;
	new.run_as := current_user;
	new.source := postrider.check_alert_source(new);
	begin
		perform postrider.check_alert_query(postrider.alert_query(new));
	exception when others then
		get stacked diagnostics problem = message_text, hint = pg_exception_hint, failed = returned_sqlstate;
		raise exception using
			errcode = failed,
			message = format('alert "%s": %s', new.name, problem),
			hint = case when failed in ('42703', '42P01', '42601') then
				format('%s has the columns %s. Functions and tables of your own need their schema.', new.source, postrider.relation_columns(new.source))
				when failed = '42846' then 'value is a number: extract(epoch from ...) makes one of an interval.'
				else coalesce(nullif(hint, ''), 'It is run as the role that writes the row.') end;
	end;
	return new;
end
$$;
comment on function postrider.check_alert() is
'Trigger: refuses an alert that could not be computed, and says what to write instead.';

-- Tells of objects of an alert: in one message if there are many, else in one for each.
create function postrider.tell_alert(alert postrider.alert, event text, objects jsonb, topic text, at timestamptz) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	total integer := jsonb_array_length(objects);
	part jsonb;
	names text;
begin
	if total <= alert.group_above and total > 1 then
		for part in select o from jsonb_array_elements(objects) o
		loop
			perform postrider.tell_alert(alert, event, jsonb_build_array(part), topic, at);
		end loop;
		return;
	end if;
	select string_agg(x.name, ', ' order by x.n) into names
	from (select o ->> 'object' as name, n from jsonb_array_elements(objects) with ordinality as e (o, n)
		where o ->> 'object' <> '' order by n limit 3) x;
	perform postrider.emit(topic || case event when 'resolved' then '.resolved' when 'broken' then '.broken' else '.firing' end,
		jsonb_strip_nulls(jsonb_build_object('alert', alert.name, 'event', event, 'severity', alert.severity,
			'summary', concat(alert.name, case event when 'resolved' then ' is over' when 'broken' then ' cannot be computed' else ' is firing' end,
				': ' || names, case when total > 3 and names is not null then format(' and %s more', total - 3) end),
			'description', alert.description, 'at', at,
			'since', (select min((o ->> 'since')::timestamptz) from jsonb_array_elements(objects) o),
			'operator', alert.operator, 'threshold', alert.threshold, 'count', total))
		|| jsonb_build_object('objects', (select jsonb_agg(jsonb_strip_nulls(o) order by n)
			from jsonb_array_elements(objects) with ordinality as e (o, n) where n <= 100)),
		key => alert.name, tenant => alert.tenant);
end
$$;
comment on function postrider.tell_alert(postrider.alert, text, jsonb, text, timestamptz) is
'Emits what an alert has to say of some objects. Part of postrider.evaluate_alerts().';

-- Takes all objects of an alert one step further, and returns how many went which way.
create function postrider.step_alert(alert postrider.alert, seen jsonb, at timestamptz)
returns table (event text, objects bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	all_seen boolean := jsonb_array_length(seen) <= 1000;
	told jsonb;
	step record;
begin
	-- A clock that was set back must not keep anything waiting.
	update postrider.alert_state s set since = least(s.since, step_alert.at), fired_at = least(s.fired_at, step_alert.at),
		told_at = least(s.told_at, step_alert.at), well_since = least(s.well_since, step_alert.at)
	where s.alert = alert.name and s.state <> 'resolved'
	and greatest(s.since, s.fired_at, s.told_at, s.well_since) > step_alert.at;
	delete from postrider.alert_state s
	where s.alert = alert.name and s.state = 'resolved' and s.resolved_at < step_alert.at - interval '7 days';

	-- What was bad, and is not any more before it fired.
	delete from postrider.alert_state s
	where s.alert = alert.name and s.state = 'pending' and all_seen
	and not exists (select from jsonb_to_recordset(seen) as f (object text, value double precision)
		where f.object = s.object and postrider.alert_is_over(f.value, alert.operator, alert.threshold));

	-- What is bad now.
	insert into postrider.alert_state (alert, object, state, since)
	select alert.name, f.object, 'pending', step_alert.at
	from jsonb_to_recordset(seen) as f (object text, value double precision)
	where postrider.alert_is_over(f.value, alert.operator, alert.threshold)
	and not exists (select from postrider.alert_state s
		where s.alert = alert.name and s.object = f.object and s.state <> 'resolved')
	on conflict (alert, object) do update set state = 'pending', since = excluded.since, fired_at = null,
		told_at = null, level = 0, well_since = null, resolved_at = null, value = null, detail = null, remedy = null;

	-- What has been bad for long enough.
	with fired as (
		update postrider.alert_state s set state = 'firing', fired_at = step_alert.at, told_at = step_alert.at,
			value = f.value, detail = f.detail, remedy = f.remedy
		from jsonb_to_recordset(seen) as f (object text, value double precision, detail text, remedy text)
		where s.alert = alert.name and s.object = f.object and s.state = 'pending'
		and s.since + alert.for_duration <= step_alert.at
		returning s.object, s.value, s.since, s.detail, s.remedy)
	select jsonb_agg(to_jsonb(x) order by x.object) into told from fired x;
	if told is not null then
		perform postrider.tell_alert(alert, 'firing', told, alert.topic, step_alert.at);
		return query select 'firing', jsonb_array_length(told)::bigint;
	end if;

	-- What fires and is well, or is not well any more.
	update postrider.alert_state s set well_since = case when f.object is null then step_alert.at end
	from postrider.alert_state o left join jsonb_to_recordset(seen) as f (object text) on f.object = o.object
	where o.alert = alert.name and o.state = 'firing' and s.alert = o.alert and s.object = o.object
	and (s.well_since is null) = (f.object is null) and (all_seen or f.object is not null);
	with ended as (
		update postrider.alert_state s set state = 'resolved', resolved_at = step_alert.at
		where s.alert = alert.name and s.state = 'firing' and s.well_since + alert.recover_for <= step_alert.at
		returning s.object, s.since, s.level)
	select jsonb_agg(to_jsonb(x) order by x.object) into told from ended x;
	if told is not null then
		perform postrider.tell_alert(alert, 'resolved', (select jsonb_agg(o - 'level') from jsonb_array_elements(told) o), alert.topic, step_alert.at);
		-- And to all who were told of it.
		for step in select e.o ->> 'topic' as topic, jsonb_agg(t.o - 'level' order by t.o ->> 'object') as told
			from jsonb_array_elements(alert.escalation) with ordinality as e (o, n)
			join jsonb_array_elements(told) as t (o) on (t.o ->> 'level')::integer >= e.n
			where e.o ->> 'topic' <> alert.topic group by e.o ->> 'topic' order by 1
		loop
			perform postrider.tell_alert(alert, 'resolved', step.told, step.topic, step_alert.at);
		end loop;
		return query select 'resolved', jsonb_array_length(told)::bigint;
	end if;

	-- Who is told next.
	for step in select e.o ->> 'topic' as topic, (e.o ->> 'after')::interval as after, e.n::integer as level
		from jsonb_array_elements(alert.escalation) with ordinality as e (o, n) order by e.n
	loop
		with raised as (
			update postrider.alert_state s set level = step.level, value = coalesce(f.value, s.value),
				detail = coalesce(f.detail, s.detail), remedy = coalesce(f.remedy, s.remedy)
			from postrider.alert_state o left join jsonb_to_recordset(seen) as f (object text, value double precision, detail text, remedy text)
				on f.object = o.object
			where o.alert = alert.name and o.state = 'firing' and o.well_since is null and o.level < step.level
			and o.fired_at + step.after <= step_alert.at and s.alert = o.alert and s.object = o.object
			returning s.object, s.value, s.since, s.detail, s.remedy)
		select jsonb_agg(to_jsonb(x) order by x.object) into told from raised x;
		continue when told is null;
		perform postrider.tell_alert(alert, 'escalated', told, step.topic, step_alert.at);
		return query select 'escalated', jsonb_array_length(told)::bigint;
	end loop;

	-- What is said again.
	with again as (
		update postrider.alert_state s set told_at = step_alert.at, value = coalesce(f.value, s.value),
			detail = coalesce(f.detail, s.detail), remedy = coalesce(f.remedy, s.remedy)
		from postrider.alert_state o left join jsonb_to_recordset(seen) as f (object text, value double precision, detail text, remedy text)
			on f.object = o.object
		where o.alert = alert.name and o.state = 'firing' and o.well_since is null
		and o.told_at + alert.repeat_interval <= step_alert.at and s.alert = o.alert and s.object = o.object
		returning s.object, s.value, s.since, s.detail, s.remedy)
	select jsonb_agg(to_jsonb(x) order by x.object) into told from again x;
	if told is not null then
		perform postrider.tell_alert(alert, 'repeated', told, alert.topic, step_alert.at);
		return query select 'repeated', jsonb_array_length(told)::bigint;
	end if;
end
$$;
comment on function postrider.step_alert(postrider.alert, jsonb, timestamptz) is
'Takes all objects of an alert one step further, and tells of it. Part of postrider.evaluate_alerts().';

create function postrider.evaluate_alerts(at timestamptz default pg_catalog.clock_timestamp())
returns table (alert text, event text, objects bigint, error text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
#variable_conflict use_column
declare
	a postrider.alert;
	seen jsonb;
	problem text;
begin
	-- One at a time: there may be several workers.  Whoever holds a lock, on an alert or on what one
	-- reads, does not hold up delivery: there is another look soon.
	begin
		lock table postrider.alert_state in share row exclusive mode;
	exception when lock_not_available then
		return;
	end;
	delete from postrider.alert_state s
	where s.alert in (select d.name from postrider.alert d where not d.enabled);
	for a in select d.* from postrider.alert d
		where d.enabled and not exists (select from postrider.alert_failure f
			where f.alert = d.name and f.retry_at > evaluate_alerts.at and f.since <= evaluate_alerts.at)
		order by d.name
	loop
		begin
			select coalesce(jsonb_agg(to_jsonb(r)), '[]') into seen
			from postrider.alert_rows(a.name, postrider.alert_query(a), a.run_as, a.tenant) r;
			continue when seen = '[]' and not exists (select from postrider.alert_state s where s.alert = a.name);
			return query select a.name, s.event, s.objects, null::text from postrider.step_alert(a, seen, evaluate_alerts.at) s;
			problem := null;
		exception when lock_not_available then
			continue;
		when others then
			problem := sqlerrm;
		end;
		if problem is null then
			delete from postrider.alert_failure f where f.alert = a.name;
			continue;
		end if;
		insert into postrider.alert_failure as f (alert, since, retry_at, error)
		values (a.name, evaluate_alerts.at, evaluate_alerts.at + interval '10 minutes', problem)
		on conflict (alert) do update set retry_at = excluded.retry_at, error = excluded.error;
		begin
			if not exists (select from postrider.alert_failure f where f.alert = a.name and f.since < evaluate_alerts.at) then
				perform postrider.tell_alert(a, 'broken', jsonb_build_array(jsonb_build_object('object', '', 'detail', problem)), a.topic, evaluate_alerts.at);
			end if;
		exception when others then
			-- Not even that can be said; the table and the log have it.
			null;
		end;
		return query select a.name, 'broken', null::bigint, problem;
	end loop;
end
$$;
comment on function postrider.evaluate_alerts(timestamptz) is
'Looks at all alerts that are enabled as if it were that time, tells of what has changed, and returns it. Run by the worker every postrider.alert_interval.';

create view postrider.alert_status with (security_barrier) as
select a.name as alert, a.severity, a.tenant, a.enabled,
	case when not a.enabled then 'disabled' when f.alert is not null then 'broken'
		when s.firing > 0 then 'firing' when s.pending > 0 then 'pending' else 'ok' end as state,
	coalesce(s.firing, 0) as firing, coalesce(s.pending, 0) as pending, s.since, s.objects, f.error, f.retry_at
from postrider.alert a
left join postrider.alert_failure f on f.alert = a.name
left join lateral (
	select count(*) filter (where x.state = 'firing') as firing, count(*) filter (where x.state = 'pending') as pending,
		min(x.since) as since, (array_agg(x.object order by x.state, x.since, x.object))[1:10] as objects
	from postrider.alert_state x where x.alert = a.name and x.state <> 'resolved') s on true
where postrider.sees_tenant(a.tenant);
comment on view postrider.alert_status is 'How each alert stands.';
comment on column postrider.alert_status.alert is 'The alert.';
comment on column postrider.alert_status.severity is 'Its severity.';
comment on column postrider.alert_status.tenant is 'Its tenant.';
comment on column postrider.alert_status.enabled is 'Is it looked at?';
comment on column postrider.alert_status.state is 'ok, pending (bad, but not for long enough), firing, broken (it cannot be computed) or disabled.';
comment on column postrider.alert_status.firing is 'Objects that it fires for.';
comment on column postrider.alert_status.pending is 'Objects that are bad, but not for long enough.';
comment on column postrider.alert_status.since is 'Since when the first of them is bad.';
comment on column postrider.alert_status.objects is 'Ten of them at most.';
comment on column postrider.alert_status.error is 'Why it cannot be computed.';
comment on column postrider.alert_status.retry_at is 'When that is tried again.';

-- Those that are there from the start: before the trigger, so that they are known as such.
-- Each reads a few rows by the index for an endpoint at most, however much has piled up.
insert into postrider.alert (name, severity, description, source, filter, object, value, operator, threshold, recover_threshold,
	for_duration, recover_for, repeat_interval, detail, remedy, run_as, is_default)
select d.*, current_user, true from (values
	('endpoint_down', 'critical', 'Nothing is sent to an endpoint: its circuit breaker is open, or it was disabled because it failed.',
		'postrider.endpoint', $$not enabled and disabled_reason is not null
or enabled and paused_at is null and id in (select s.endpoint_id from postrider.endpoint_status() s where s.breaker = 'open')$$,
		'name', null, '>', 0, null::double precision, interval '1 minute', interval '1 minute', interval '4 hours',
		$$case when enabled then 'its circuit breaker is open' else 'it was disabled' end$$,
		$$format('SELECT state, reason FROM postrider.endpoint_health WHERE endpoint = %L', name)$$),
	('backlog', 'warning', 'What could be sent to an endpoint has waited for a quarter of an hour.',
		'postrider.endpoint', 'enabled and paused_at is null', 'name',
		$$(select extract(epoch from now() - min(postrider.overdue_since(p.reason, p.due_at, p.message_id)))
from (select p.reason, p.due_at, p.message_id from postrider.pending p
where p.endpoint_id = endpoint.id and p.due_at < now() order by p.due_at limit 20) p)$$,
		'>', 900, 60, interval '1 minute', interval '1 minute', interval '4 hours',
		null, $$format('SELECT * FROM postrider.endpoint_health WHERE endpoint = %L', name)$$),
	('worker_missing', 'critical', 'A worker does not run: its part of the endpoints gets nothing. Another worker tells of it.',
		'postrider.worker', $$state <> 'running'$$, $$'worker ' || shard$$, null, '>', 0, null, interval '1 minute', interval '0', interval '4 hours',
		$$'it is ' || state$$, $$'SELECT shard, state, last_error FROM postrider.worker'$$),
	('dead_letters', 'warning', 'Messages were given up within the last hour.',
		'postrider.endpoint', null, 'name', $$(select count(*) from (select from postrider.dead_letter d
where d.endpoint_id = endpoint.id and d.died_at > now() - interval '1 hour' limit 101) d)$$,
		'>', 0, null, interval '0', interval '0', interval '24 hours', null,
		$$format('SELECT error_code, error, count(*) FROM postrider.dead_letter JOIN postrider.endpoint e ON e.id = endpoint_id WHERE e.name = %L GROUP BY 1, 2', name)$$),
	('secret_expires', 'warning', 'A secret that is in use expires soon, or has.',
		'postrider.secret', $$expires_at < now() + coalesce(warn_before, '0') and exists (select from postrider.secret_use u where u.secret = name)$$,
		'name', null, '>', 0, null, interval '0', interval '0', interval '24 hours',
		$$'it expires at ' || expires_at$$, $$format('SELECT postrider.set_secret(%L, <the new value>)', name)$$),
	('partitions', 'critical', 'There is no partition for the messages of tomorrow: the worker cannot make it.',
		'pg_catalog.pg_inherits', $$inhparent = 'postrider.message'::regclass and (select c.relname from pg_class c where c.oid = inhrelid)
between to_char(now() at time zone 'UTC' + interval '1 day', '"message_"YYYYMMDD') and 'message_99999999'$$,
		null, null, '<', 1, null, interval '10 minutes', interval '0', interval '24 hours',
		null, $$'SELECT postrider.maintain_partitions(current_setting(''postrider.retention'')::interval)'$$),
	('problem', 'critical', 'Something else keeps messages from arriving: a row of postrider.problem.',
		'postrider.problem', $$severity = 'critical' and kind not in ('worker', 'disabled', 'breaker', 'secret_expired')$$,
		$$kind || ': ' || object$$, null, '>', 0, null, interval '1 minute', interval '1 minute', interval '4 hours',
		'problem', 'remedy'))
	d (name, severity, description, source, filter, object, value, operator, threshold, recover_threshold, for_duration, recover_for, repeat_interval, detail, remedy);

create trigger check_alert before insert or update on postrider.alert
	for each row execute function postrider.check_alert();
create trigger config_changed after insert or update or delete or truncate on postrider.alert
	for each statement execute function postrider.config_changed();
alter table postrider.alert enable always trigger config_changed;
