-- Controls: pause, resume, retry, cancel, purge.  Each works on one or on many,
-- by arguments that narrow what is meant, and returns how many it touched.

create function postrider.select_endpoints(endpoint text) returns table (id integer, name text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
	return query select e.id, e.name from postrider.endpoint e
	where select_endpoints.endpoint is null
	or e.name like replace(replace(replace(replace(select_endpoints.endpoint,
		'\', '\\'), '%', '\%'), '_', '\_'), '*', '%');
	if not found and select_endpoints.endpoint is not null then
		if strpos(select_endpoints.endpoint, '*') > 0 then
			raise undefined_object using
				message = format('no endpoint has a name like "%s"', select_endpoints.endpoint),
				hint = 'Run SELECT name FROM postrider.endpoint.';
		end if;
		raise undefined_object using
			message = format('endpoint "%s" does not exist', select_endpoints.endpoint),
			hint = 'Run SELECT name FROM postrider.endpoint; a * in a name stands for anything.';
	end if;
end
$$;
comment on function postrider.select_endpoints(text) is
'The endpoints that an argument of a control means: one by its name, several by a name with *, all by NULL. Part of the controls.';

create function postrider.touched_nothing(control text, hint text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
	raise notice using
		message = format('%s: nothing matches, nothing was changed', control),
		hint = hint;
end
$$;
comment on function postrider.touched_nothing(text, text) is
'Says that a control had nothing to do. Part of the controls.';

create function postrider.pause(endpoint text default null, tenant text default null, reason text default null)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	touched bigint;
begin
	update postrider.endpoint e set paused_at = now(), pause_reason = reason
	from postrider.select_endpoints(pause.endpoint) s
	where e.id = s.id and e.paused_at is null
	and (pause.tenant is null or e.tenant = pause.tenant);
	get diagnostics touched = row_count;
	if touched = 0 then
		perform postrider.touched_nothing('pause', 'Run SELECT name, paused_at, pause_reason FROM postrider.endpoint.');
	end if;
	return touched;
end
$$;
comment on function postrider.pause(text, text, text) is
'Stops sending to an endpoint (a * in the name stands for anything; NULL: to all) until resume(). What is owed is held, nothing is lost, and nobody is blamed. Returns how many endpoints were paused.';

create function postrider.resume(endpoint text default null, tenant text default null)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	touched bigint;
	still_disabled text;
begin
	with resumed as (
		update postrider.endpoint e set paused_at = null, pause_reason = null
		from postrider.select_endpoints(resume.endpoint) s
		where e.id = s.id and e.paused_at is not null
		and (resume.tenant is null or e.tenant = resume.tenant)
		returning e.name, e.enabled)
	select count(*), min(r.name) filter (where not r.enabled) into touched, still_disabled
	from resumed r;
	if still_disabled is not null then
		raise notice using
			message = format('endpoint "%s" is disabled as well, and does not send yet', still_disabled),
			hint = format('Run UPDATE postrider.endpoint SET enabled = true WHERE name = %L.', still_disabled);
	end if;
	if touched = 0 then
		perform postrider.touched_nothing('resume', 'Run SELECT name, paused_at, enabled, disabled_reason FROM postrider.endpoint.');
	end if;
	return touched;
end
$$;
comment on function postrider.resume(text, text) is
'Ends a pause: what was held flows. Returns how many endpoints were resumed.';

create function postrider.retry(message_id uuid default null, endpoint text default null,
	topic text default null, key text default null, tenant text default null,
	since timestamptz default null, until timestamptz default null,
	error_code text default null, status_code integer default null)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	endpoints integer[];
	revived bigint;
	hurried bigint := 0;
	held record;
begin
	if num_nonnulls(retry.message_id, retry.endpoint, retry.topic, retry.key, retry.tenant, retry.since,
		retry.until, retry.error_code, retry.status_code) = 0 then
		raise null_value_not_allowed using
			message = 'retry needs to know which deliveries',
			hint = 'Name a message_id, or narrow it by endpoint, topic, key, tenant, since, until (when it was given up), error_code or status_code.';
	end if;
	select array_agg(s.id) into endpoints from postrider.select_endpoints(retry.endpoint) s;

	-- The copy in the dead letter outlives the log. It must not expire at once,
	-- and is mapped by the version that the subscription names now.
	with risen as (
		delete from postrider.dead_letter d
		where d.endpoint_id = any(endpoints)
		and (retry.message_id is null or d.message_id = retry.message_id)
		and (retry.topic is null or postrider.topic_matches(d.topic, retry.topic))
		and (retry.key is null or d.key = retry.key)
		and (retry.tenant is null or d.tenant = retry.tenant)
		and (retry.since is null or d.died_at >= retry.since)
		and (retry.until is null or d.died_at < retry.until)
		and (retry.error_code is null or d.error_code = retry.error_code)
		and (retry.status_code is null or d.status_code = retry.status_code)
		returning d.*)
	insert into postrider.pending (message_id, endpoint_id, due_at, attempts, reason,
		key, topic, tenant, payload, headers, traceparent, priority, mapping, mapping_version)
	select r.message_id, r.endpoint_id, now(), 0, 'retry',
		r.key, r.topic, r.tenant, r.payload, r.headers, r.traceparent, r.priority,
		r.mapping, case when s.endpoint is null then r.mapping_version else s.mapping_version end
	from risen r join postrider.endpoint e on e.id = r.endpoint_id
	left join lateral (
		select s.endpoint, s.mapping_version from postrider.subscription s
		where s.endpoint = e.name and s.mapping = r.mapping order by s.id limit 1) s on true;
	get diagnostics revived = row_count;

	-- Deliveries that wait for their next attempt, unless only some kind of
	-- failure or time of death was asked for.
	if num_nonnulls(retry.since, retry.until, retry.error_code, retry.status_code) = 0 then
		update postrider.pending p set due_at = now()
		from postrider.endpoint e
		where e.id = p.endpoint_id and e.enabled and e.paused_at is null
		and p.endpoint_id = any(endpoints)
		and (retry.message_id is null or p.message_id = retry.message_id)
		and (retry.key is null or p.key = retry.key)
		and (num_nonnulls(retry.topic, retry.tenant) = 0 or exists (
			select from postrider.message m where m.id = p.message_id
			and (retry.topic is null or postrider.topic_matches(m.topic, retry.topic))
			and (retry.tenant is null or m.tenant = retry.tenant)))
		and (p.reason in ('retry', 'overflow') or (p.reason = 'scheduled' and retry.message_id is not null))
		and p.due_at > now();
		get diagnostics hurried = row_count;
	end if;

	if revived + hurried > 0 then
		perform postrider.wake();
		return revived + hurried;
	end if;
	select e.name, e.enabled into held
	from postrider.pending p join postrider.endpoint e on e.id = p.endpoint_id
	where p.message_id = retry.message_id and (not e.enabled or e.paused_at is not null)
	and p.endpoint_id = any(endpoints) limit 1;
	if found then
		raise object_not_in_prerequisite_state using
			message = format('endpoint "%s" is %s', held.name, case when held.enabled then 'paused' else 'disabled' end),
			hint = case when held.enabled then format('Run SELECT postrider.resume(%L); what is held flows then.', held.name)
				else format('Run UPDATE postrider.endpoint SET enabled = true WHERE name = %L; what is held flows then.', held.name) end;
	end if;
	if exists (select from postrider.message m where m.id = retry.message_id and m.removed is not null) then
		raise object_not_in_prerequisite_state using
			message = format('message "%s" cannot be tried again: its data was removed', message_id),
			hint = format('Run SELECT * FROM postrider.explain(%L).', message_id);
	end if;
	if retry.message_id is not null then
		raise no_data_found using
			message = format('message "%s" has no delivery that could be tried again', message_id),
			hint = format('Run SELECT * FROM postrider.delivery WHERE message_id = %L.', message_id);
	end if;
	perform postrider.touched_nothing('retry', 'Run SELECT * FROM postrider.dead_letter to see what was given up.');
	return 0;
end
$$;
comment on function postrider.retry(uuid, text, text, text, text, timestamptz, timestamptz, text, integer) is
'Sends again, now: dead letters, with a fresh count of attempts, and deliveries that wait for their next attempt; of one message, or of all that the arguments leave. Returns how many.';

create function postrider.cancel(message_id uuid default null, endpoint text default null,
	topic text default null, key text default null, tenant text default null,
	since timestamptz default null, until timestamptz default null, filter jsonpath default null,
	reason text default null)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	endpoints integer[];
	touched bigint;
begin
	if num_nonnulls(cancel.message_id, cancel.endpoint, cancel.topic, cancel.key, cancel.tenant, cancel.since,
		cancel.until, cancel.filter) = 0 then
		raise null_value_not_allowed using
			message = 'cancel needs to know which deliveries',
			hint = 'Name a message_id, or narrow it by endpoint, topic, key, tenant, since, until (when it was emitted) or filter.';
	end if;
	select array_agg(s.id) into endpoints from postrider.select_endpoints(cancel.endpoint) s;

	-- What a worker has in hand is locked or leased, and not touched.
	with meant as materialized (
		select p.message_id, p.endpoint_id
		from postrider.pending p left join postrider.message m on m.id = p.message_id and p.payload is null
		where p.endpoint_id = any(endpoints) and p.reason <> 'in_flight'
		and (cancel.message_id is null or p.message_id = cancel.message_id)
		and (cancel.key is null or p.key = cancel.key)
		and (cancel.since is null or p.message_id >= postrider.id_floor(cancel.since))
		and (cancel.until is null or p.message_id < postrider.id_floor(cancel.until))
		and (cancel.topic is null or postrider.topic_matches(coalesce(p.topic, m.topic), cancel.topic))
		and (cancel.tenant is null or coalesce(p.tenant, m.tenant) = cancel.tenant)
		and (cancel.filter is null or postrider.filter_matches(coalesce(p.payload, m.payload), cancel.filter))
		for update of p skip locked),
	gone as (
		delete from postrider.pending p using meant d
		where p.message_id = d.message_id and (p.endpoint_id = d.endpoint_id) is true
		returning p.message_id, p.endpoint_id, p.attempts)
	insert into postrider.attempt (message_id, endpoint_id, started_at, attempt, outcome, error_code, error)
	select g.message_id, g.endpoint_id, clock_timestamp(), least(g.attempts, 32767), 'cancelled', 'cancelled',
		coalesce('cancelled: ' || cancel.reason, 'cancelled by ' || session_user)
	from gone g;
	get diagnostics touched = row_count;
	if touched > 0 then
		perform postrider.wake();
	else
		perform postrider.touched_nothing('cancel', 'Only what waits can be cancelled. Pause the endpoint first to have what is queued wait.');
	end if;
	return touched;
end
$$;
comment on function postrider.cancel(uuid, text, text, text, text, timestamptz, timestamptz, jsonpath, text) is
'Gives up deliveries that wait (scheduled, to be retried, held, behind a slow endpoint): they end as cancelled, on record. What is being sent is not touched. Returns how many.';

create function postrider.purge(message_id uuid default null, endpoint text default null,
	topic text default null, key text default null, tenant text default null,
	since timestamptz default null, until timestamptz default null,
	error_code text default null, status_code integer default null)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	endpoints integer[];
	touched bigint;
begin
	if num_nonnulls(purge.message_id, purge.endpoint, purge.topic, purge.key, purge.tenant, purge.since,
		purge.until, purge.error_code, purge.status_code) = 0 then
		raise null_value_not_allowed using
			message = 'purge needs to know which dead letters',
			hint = 'Name a message_id, or narrow it by endpoint, topic, key, tenant, since, until (when it was given up), error_code or status_code; until => now() means all.';
	end if;
	if purge.endpoint is not null then
		select array_agg(s.id) into endpoints from postrider.select_endpoints(purge.endpoint) s;
	end if;
	-- Without a name also those of endpoints that are gone.
	delete from postrider.dead_letter d
	where (endpoints is null or d.endpoint_id = any(endpoints))
	and (purge.message_id is null or d.message_id = purge.message_id)
	and (purge.topic is null or postrider.topic_matches(d.topic, purge.topic))
	and (purge.key is null or d.key = purge.key)
	and (purge.tenant is null or d.tenant = purge.tenant)
	and (purge.since is null or d.died_at >= purge.since)
	and (purge.until is null or d.died_at < purge.until)
	and (purge.error_code is null or d.error_code = purge.error_code)
	and (purge.status_code is null or d.status_code = purge.status_code);
	get diagnostics touched = row_count;
	if touched > 0 then
		perform postrider.wake();
	else
		perform postrider.touched_nothing('purge', 'Run SELECT * FROM postrider.dead_letter to see what there is.');
	end if;
	return touched;
end
$$;
comment on function postrider.purge(uuid, text, text, text, text, timestamptz, timestamptz, text, integer) is
'Forgets dead letters; the attempts stay on record. Returns how many.';

-- Long work tells how far it is, and other sessions can see it.
create function postrider.report_progress(command text, target text, since timestamptz, until timestamptz,
	reached timestamptz, messages bigint, deliveries bigint)
returns void
language c volatile strict parallel restricted
as 'MODULE_PATHNAME', 'postrider_report_progress';
comment on function postrider.report_progress(text, text, timestamptz, timestamptz, timestamptz, bigint, bigint) is
'Shows in postrider.progress how far this session has come, until its transaction ends. Part of the controls.';

create function postrider.progress_status(out pid integer, out command text, out target text,
	out since timestamptz, out until timestamptz, out reached timestamptz, out share real,
	out messages bigint, out deliveries bigint, out started_at timestamptz)
returns setof record
language c volatile parallel restricted
as 'MODULE_PATHNAME', 'postrider_progress_status';
comment on function postrider.progress_status() is
'Long work in this database; see the view postrider.progress.';

create view postrider.progress as select * from postrider.progress_status();
comment on view postrider.progress is
'Long work that is going on, such as a replay. To cancel it: SELECT pg_cancel_backend(pid) FROM postrider.progress.';
comment on column postrider.progress.pid is 'Process id of the session that does it.';
comment on column postrider.progress.command is 'What it does: replay.';
comment on column postrider.progress.target is 'For which endpoint.';
comment on column postrider.progress.since is 'Beginning of the time that is worked through.';
comment on column postrider.progress.until is 'Its end.';
comment on column postrider.progress.reached is 'Up to where it is done.';
comment on column postrider.progress.share is 'Part of the time that is done, from 0 to 1.';
comment on column postrider.progress.messages is 'Messages looked at.';
comment on column postrider.progress.deliveries is 'Deliveries made anew.';
comment on column postrider.progress.started_at is 'When it began.';

create function postrider.replay(endpoint text, since timestamptz, until timestamptz default null,
	topic text default null, filter jsonpath default null, key text default null, tenant text default null)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	endpoints integer[];
	stop timestamptz := least(coalesce(replay.until, now()), now());
	last uuid;
	piece record;
	messages bigint := 0;
	deliveries bigint := 0;
	skipped bigint := 0;
begin
	if replay.endpoint is null or replay.since is null then
		raise null_value_not_allowed using
			message = 'replay needs an endpoint and a time since when',
			hint = format('For example: SELECT postrider.replay(%L, now() - interval ''1 hour'').', coalesce(replay.endpoint, 'crm'));
	end if;
	if replay.since >= stop then
		raise invalid_parameter_value using
			message = format('since (%s) must be before until (%s)', replay.since, stop);
	end if;
	if replay.topic is not null and not postrider.is_topic_pattern(replay.topic) then
		raise invalid_parameter_value using
			message = format('"%s" is no topic and no pattern of topics', replay.topic),
			hint = 'For example order.paid, order.* or order.**.';
	end if;
	select array_agg(s.id) into endpoints from postrider.select_endpoints(replay.endpoint) s;

	-- With a topic it need not be one that the endpoint has subscribed.
	loop
		with found as materialized (
			select m.* from postrider.message m
			where m.id >= postrider.id_floor(replay.since) and (last is null or m.id > last)
			and m.id < postrider.id_floor(stop)
			order by m.id limit 10000),
		meant as (
			select f.id, f.key, f.priority, e.id as endpoint_id, s.mapping, s.mapping_version
			from found f join postrider.endpoint e on e.id = any(endpoints)
			and (e.tenant is null or e.tenant = f.tenant)
			left join lateral (
				select s.mapping, s.mapping_version, true as matches
				from postrider.subscription s
				where f.endpoint is null and s.endpoint = e.name and s.enabled
				and postrider.topic_matches(f.topic, s.topic)
				and (s.filter is null or postrider.filter_matches(f.payload, s.filter))
				order by s.id limit 1) s on true
			where (s.matches or f.endpoint = e.name or (replay.topic is not null and f.endpoint is null))
			and f.removed is null
			and (f.expires_at is null or f.expires_at > now())
			and (replay.topic is null or postrider.topic_matches(f.topic, replay.topic))
			and (replay.key is null or f.key = replay.key)
			and (replay.tenant is null or f.tenant = replay.tenant)
			and (replay.filter is null or postrider.filter_matches(f.payload, replay.filter))),
		made as (
			insert into postrider.pending (message_id, endpoint_id, due_at, reason, key, priority, mapping, mapping_version)
			select m.id, m.endpoint_id, now(), 'replay', m.key, m.priority, m.mapping, m.mapping_version from meant m
			on conflict do nothing
			returning 1)
		select (select count(*) from found) as found, (select count(*) from made) as made,
			(select count(*) from found f where f.removed is not null) as removed,
			(select f.id from found f order by f.id desc limit 1) as last
		into piece;
		exit when piece.found = 0;
		messages := messages + piece.found;
		deliveries := deliveries + piece.made;
		skipped := skipped + piece.removed;
		last := piece.last;
		perform postrider.report_progress('replay', replay.endpoint, replay.since, stop,
			postrider.id_time(piece.last), messages, deliveries);
	end loop;

	if skipped > 0 then
		raise notice using
			message = format('replay: %s messages of that time are left out, because their data was removed', skipped),
			hint = 'The column removed of postrider.message says why: erased by postrider.erase(), or expired.';
	end if;
	if deliveries = 0 then
		perform postrider.touched_nothing('replay', format(
			'%s messages of that time were looked at. The log goes back to %s; without a topic only what the endpoint has subscribed is replayed.',
			messages, coalesce((select postrider.id_time(m.id)::text from postrider.message m order by m.id limit 1), 'no message at all')));
	else
		perform postrider.wake();
	end if;
	return deliveries;
end
$$;
comment on function postrider.replay(text, timestamptz, timestamptz, text, jsonpath, text, text) is
'Delivers messages of the log to an endpoint again, or for the first time: those emitted from since to until that its subscriptions match, or that match the topic. What is owed already is not made twice. All of it happens when the transaction commits; postrider.progress shows how far it is, and a cancel leaves nothing behind. Returns how many deliveries were made.';
