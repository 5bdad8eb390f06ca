-- When what happened to a message.

create function postrider.span_id(message_id uuid, endpoint_id integer, started_at timestamptz) returns text
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_span_id';
comment on function postrider.span_id(uuid, integer, timestamptz) is
'The id of the span that an attempt is in the trace of its message, as in the header traceparent of its request: of message_id, endpoint_id and started_at of postrider.attempt.';

create function postrider.commit_time(xid xid, not_before timestamptz) returns timestamptz
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
	committed_at timestamptz;
begin
	if current_setting('track_commit_timestamp')::boolean and xid is not null then
		committed_at := pg_xact_commit_timestamp(xid);
	end if;
	-- Numbers of transactions come round again.
	return case when committed_at >= not_before then committed_at end;
exception when object_not_in_prerequisite_state then
	return null;
end
$$;
comment on function postrider.commit_time(xid, timestamptz) is
'When a transaction was committed; NULL if the server does not know (track_commit_timestamp). Part of postrider.timeline().';

create function postrider.timeline(message_id uuid)
returns table (at timestamptz, event text, endpoint text, attempt integer, status_code integer,
	duration_ms real, detail text, span_id text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	m record;
	emitted_at timestamptz := postrider.id_time(timeline.message_id);
	committed_at timestamptz;
	first_at timestamptz;
begin
	select x.xid, x.topic, x.tenant, x.traceparent, x.removed into m
	from postrider.message x where x.id = timeline.message_id and postrider.sees_tenant(x.tenant);
	if not found then
		select null::xid8 as xid, x.topic, x.tenant, x.traceparent, null::text as removed into m
		from (select d.topic, d.tenant, d.traceparent from postrider.dead_letter d
				where d.message_id = timeline.message_id
			union all
			select p.topic, p.tenant, p.traceparent from postrider.pending p
				where p.message_id = timeline.message_id and p.payload is not null) x
		where postrider.sees_tenant(x.tenant) limit 1;
		if not found then
			raise no_data_found using
				message = format('message "%s" is not known', timeline.message_id),
				hint = format('The log is kept for postrider.retention, %s.', current_setting('postrider.retention'));
		end if;
	end if;
	committed_at := postrider.commit_time(m.xid::xid, emitted_at);
	select min(a.started_at) into first_at
	from postrider.attempt a left join postrider.endpoint e on e.id = a.endpoint_id
	where a.message_id = timeline.message_id and postrider.sees_tenant(e.tenant);

	return query
	with attempt as materialized (
		select a.started_at, e.name, a.attempt, a.status_code, a.duration_ms, a.outcome, a.request_id,
			concat_ws(', ', a.outcome, a.error_code, postrider.readable_error(a.error_code, a.error)) as detail,
			case when a.duration_ms is not null and a.request_id is null and m.traceparent is not null
				and not coalesce(starts_with(e.url, 'function:'), false) then
				postrider.span_id(a.message_id, a.endpoint_id, a.started_at) end as span_id,
			a.started_at + make_interval(secs => coalesce(a.duration_ms, 0) / 1000.0) as ended_at,
			case when a.outcome <> 'retry' then postrider.commit_time(a.xmin, a.started_at) end as settled_at,
			a.endpoint_id
		from postrider.attempt a left join postrider.endpoint e on e.id = a.endpoint_id
		where a.message_id = timeline.message_id and postrider.sees_tenant(e.tenant)),
	step (place, at, event, endpoint, attempt, status_code, duration_ms, detail, span_id) as (
		select 0, emitted_at, 'emitted', null::text, null::integer, null::integer, null::real,
			concat_ws(', ', 'topic ' || m.topic, 'tenant ' || m.tenant,
				case when m.xid is null then 'no longer in the log' end),
			split_part(m.traceparent, '-', 3)
		union all
		select 1, committed_at, 'committed', null, null, null,
			(extract(epoch from committed_at - emitted_at) * 1000)::real,
			case when committed_at is not null then null
				when m.xid = pg_current_xact_id_if_assigned() then 'not yet'
				when first_at is not null then format('not later than %s; the exact time is known with track_commit_timestamp', first_at)
				else 'the time is known with track_commit_timestamp' end, null
		union all
		-- A worker had it at the latest when it did something with it.
		select 2, min(a.started_at), 'dispatched', a.name, null, null,
			(extract(epoch from min(a.started_at) - emitted_at) * 1000)::real, null, null
		from attempt a group by a.name, a.endpoint_id
		union all
		select 3, a.started_at, 'attempt', a.name, a.attempt::integer, a.status_code::integer, a.duration_ms, a.detail, a.span_id
		from attempt a where a.duration_ms is not null
		union all
		select 4, coalesce(a.settled_at, a.ended_at), 'settled', a.name, nullif(a.attempt, 0)::integer, a.status_code::integer,
			(extract(epoch from coalesce(a.settled_at, a.ended_at) - emitted_at) * 1000)::real, a.detail, null
		from attempt a where a.outcome <> 'retry'
		union all
		select 5, d.died_at, 'dead letter', e.name, d.attempts, d.status_code::integer, null,
			concat_ws(', ', d.reason, d.error_code, postrider.readable_error(d.error_code, d.error)), null
		from postrider.dead_letter d left join postrider.endpoint e on e.id = d.endpoint_id
		where d.message_id = timeline.message_id and postrider.sees_tenant(e.tenant)
		union all
		select 6, null, case m.removed when 'erased' then 'erased' else 'payload expired' end, null, null, null, null,
			'payload, headers, responses and errors were removed', null
		where m.removed is not null
		union all
		-- What comes next.
		select 7, d.next_attempt_at, case d.status when 'retrying' then 'retry' else d.status end, d.endpoint,
			case when d.status in ('retrying', 'queued') then d.attempts + 1 end, null, null,
			case d.status when 'held' then
				case when e.paused_at is not null then 'the endpoint is paused' else 'the endpoint is disabled' end
				when 'scheduled' then 'not to be sent before'
				when 'retrying' then case when d.next_attempt_at is null then 'a worker is at it' else 'due' end
				else 'a worker sends it as soon as it can' end, null
		from postrider.delivery d left join postrider.endpoint e on e.name = d.endpoint
		where d.message_id = timeline.message_id and d.status in ('queued', 'scheduled', 'retrying', 'held'))
	select s.at, s.event, s.endpoint, s.attempt, s.status_code, s.duration_ms, nullif(s.detail, ''), s.span_id
	from step s
	order by case when s.place < 2 then s.place when s.place < 6 then 2 else s.place end, s.at, s.place, s.endpoint;
end
$$;
comment on function postrider.timeline(uuid) is
'What happened to a message, with times: emitted, committed, dispatched to each endpoint (a worker had it by then), each attempt, settled, dead letter, erased, and what is due. duration_ms is the time of the attempt; in other rows the time since the emit. span_id is that of the attempt, in the row emitted that of the emitter.';
