-- Why a message went where it went.

create function postrider.explain(message_id uuid)
returns table (at timestamptz, endpoint text, what text, detail text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	m record;
	kept text;
begin
	select x.id, x.topic, x.endpoint, x.key, x.tenant, x.payload, x.deliver_at, x.expires_at, x.removed, 'the log' as source into m
	from postrider.message x where x.id = explain.message_id;
	if not found then
		select x.message_id as id, x.topic, null::text as endpoint, x.key, x.tenant, x.payload,
			null::timestamptz as deliver_at, x.expires_at, null::text as removed, x.source into m
		from (select d.message_id, d.topic, d.key, d.tenant, d.payload, d.expires_at, 'dead_letter' as source
				from postrider.dead_letter d
			union all
			select p.message_id, p.topic, p.key, p.tenant, p.payload, p.expires_at, 'pending'
				from postrider.pending p where p.payload is not null) x
		where x.message_id = explain.message_id limit 1;
		if not found then
			raise no_data_found using
				message = format('message "%s" is not known', explain.message_id),
				hint = format('The log is kept for postrider.retention, %s.', current_setting('postrider.retention'));
		end if;
	end if;

	return query select postrider.id_time(m.id), null::text, 'emitted',
		concat_ws(', ', 'topic ' || m.topic,
			'key ' || postrider.mask_string(m.key, m.payload, postrider.sensitive_paths(m.topic)), 'tenant ' || m.tenant,
			'sent to endpoint ' || m.endpoint || ' alone',
			'not before ' || m.deliver_at, 'not after ' || m.expires_at,
			case when m.source <> 'the log' then 'no longer in the log, only in ' || m.source end);

	if m.removed is not null then
		return query select null::timestamptz, null::text, m.removed,
			case m.removed when 'erased' then 'payload, headers, key, responses and errors were removed by postrider.erase()'
				else 'payload, headers, responses and errors were removed by postrider.payload_retention' end;
	end if;

	-- What each subscription says to it, as they are now.
	return query select null::timestamptz, s.endpoint,
		case when r.reasons = '' then 'matched' else 'not matched' end,
		'subscription ' || s.id || ' to ' || s.topic ||
		case when r.reasons = '' then coalesce(', mapped by ' || s.mapping, '') else ': ' || r.reasons end
	from postrider.subscription s join postrider.endpoint e on e.name = s.endpoint
	cross join lateral (select concat_ws('; ',
		case when not s.enabled then 'it is not enabled' end,
		case when m.endpoint is not null then 'the message was sent to endpoint ' || m.endpoint || ' alone' end,
		case when not postrider.topic_matches(m.topic, s.topic) then 'the topic is ' || m.topic end,
		case when m.id <= s.after_id then 'the subscription was made later, at ' || postrider.id_time(s.after_id) end,
		case when e.tenant is not null and m.tenant is distinct from e.tenant then
			'the endpoint is for tenant ' || e.tenant end,
		case when s.filter is not null and m.removed is not null then 'nobody knows what the filter said' end,
		case when s.filter is not null and m.removed is null and not postrider.filter_matches(m.payload, s.filter) then
			'the filter ' || s.filter || ' does not let it through' end) as reasons) r
	order by r.reasons <> '', s.endpoint, s.id;

	return query select a.started_at, e.name, a.outcome,
		concat_ws(', ', case when a.attempt > 0 then 'attempt ' || a.attempt end,
			'status ' || a.status_code, a.error_code,
			case when a.duration_ms is not null then round(a.duration_ms::numeric, 1) || ' ms' end, a.error)
	from postrider.attempt a left join postrider.endpoint e on e.id = a.endpoint_id
	where a.message_id = explain.message_id
	order by a.started_at, a.attempt;

	-- What comes next, of the deliveries that are not over.
	return query select d.next_attempt_at, d.endpoint, d.status,
		case d.status
			when 'queued' then coalesce(f.blocked_by, 'a worker sends it as soon as it can')
			when 'scheduled' then 'not to be sent before'
			when 'retrying' then coalesce('attempt ' || d.attempts + 1 || ' of ' || e.max_attempts || ' at the latest then', 'a worker is at it')
			when 'held' then case when e.paused_at is not null then
				format('the endpoint is paused%s; SELECT postrider.resume(%L)', coalesce(' (' || e.pause_reason || ')', ''), e.name)
				else format('the endpoint is disabled%s; UPDATE postrider.endpoint SET enabled = true WHERE name = %L',
					coalesce(' (' || e.disabled_reason || ')', ''), e.name) end
		end
	from postrider.delivery d left join postrider.endpoint e on e.name = d.endpoint
	left join lateral (
		-- Who goes first, where the order of a key matters.
		select coalesce(
			(select format('message %s of key %s is dead and blocks it; SELECT postrider.retry(%L, %L), or postrider.purge of the same',
				l.message_id, l.key, l.message_id, e.name)
			from postrider.dead_letter l where e.ordered and e.on_dead = 'block' and l.endpoint_id = e.id
			and l.key = m.key and l.message_id < m.id and l.reason = 'dead' order by l.message_id limit 1),
			(select format('message %s of key %s goes first', w.message_id, w.key)
			from postrider.pending w where e.ordered and w.endpoint_id = e.id and w.key = m.key and w.message_id < m.id
			and (w.reason <> 'scheduled' or w.due_at <= now()) order by w.message_id desc limit 1)) as blocked_by) f on true
	where d.message_id = explain.message_id and d.status in ('queued', 'scheduled', 'retrying', 'held');

	return query select d.died_at, e.name, 'dead letter',
		format('%s after %s attempts; SELECT postrider.retry(%L%s)', d.reason, d.attempts, d.message_id, ', ' || quote_literal(e.name))
	from postrider.dead_letter d left join postrider.endpoint e on e.id = d.endpoint_id
	where d.message_id = explain.message_id;
end
$$;
comment on function postrider.explain(uuid) is
'The story of a message: how each subscription took it and why, what happened at each attempt, what comes next and when.';
