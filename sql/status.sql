-- What becomes of messages, and what the workers do.

create function postrider.worker_status(out shard integer, out pid integer,
	out state text, out state_since timestamptz, out messages_read bigint,
	out delivered bigint, out retried bigint, out dead bigint, out queued integer,
	out in_flight integer, out last_error text, out last_error_at timestamptz,
	out memory_bytes bigint, out loop_ms real, out loop_max_ms real, out is_behind boolean,
	out starts bigint)
returns setof record
language c volatile parallel restricted rows 2
as 'MODULE_PATHNAME', 'postrider_worker_status';
comment on function postrider.worker_status() is
'The workers of this database; see the view postrider.worker.';

-- A worker that has read all that it was woken for is not behind.  For others we look where they will: at
-- what came after the cursor's snapshot, or after the message where a large window is being read.  What
-- transactions write that have not ended is gone around, for it may be millions of messages.  It is a function, so
-- that whoever looks at a worker that is not behind need not plan for all partitions of the log.
create function postrider.worker_lag(shard integer, is_behind boolean, out messages bigint, out oldest timestamptz)
language plpgsql stable parallel restricted security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
	messages := 0;
	if not worker_lag.is_behind or not postrider.sees_tenant(null) then
		return;
	end if;
	select count(*), min(postrider.id_time(u.id)) into messages, oldest
	from (
		select m.id from postrider.dispatch_cursor c
		cross join lateral (
			select b.bound as after, lead(b.bound) over (order by b.bound) as before
			from (
				select (pg_snapshot_xmax(c.snapshot)::text::numeric - 1)::text::xid8
				union select i from pg_snapshot_xip(pg_current_snapshot()) i where i >= pg_snapshot_xmax(c.snapshot)
				union select pg_snapshot_xmax(pg_current_snapshot())) b (bound)) gap
		cross join lateral (
			select g.id from postrider.message g where g.xid > gap.after and g.xid < gap.before order by g.xid limit 1001) m
		where c.shard = worker_lag.shard and c.window_snapshot is null
		union all
		select m.id from postrider.dispatch_cursor c
		cross join lateral (
			select i from pg_snapshot_xip(c.snapshot) i except select i from pg_snapshot_xip(pg_current_snapshot()) i) ended (xid)
		cross join lateral (select g.id from postrider.message g where g.xid = ended.xid order by g.xid limit 1001) m
		where c.shard = worker_lag.shard and c.window_snapshot is null
		union all
		select m.id from postrider.dispatch_cursor c
		cross join lateral (select g.id, g.xid from postrider.message g where g.id > c.position order by g.id limit 1001) m
		where c.shard = worker_lag.shard and c.window_snapshot is not null
		and not pg_visible_in_snapshot(m.xid, c.snapshot)
		limit 1001) u;
end
$$;
comment on function postrider.worker_lag(integer, boolean) is
'How many messages a worker has not read, counted up to 1001, and when the oldest of them was emitted; see the view postrider.worker.';

create view postrider.worker with (security_barrier) as
select w.shard, w.pid, w.state, w.state_since, w.messages_read, w.delivered, w.retried, w.dead, w.queued, w.in_flight,
	w.last_error, w.last_error_at, w.memory_bytes, w.loop_ms, w.loop_max_ms, l.messages as lag_messages,
	case when l.messages > 0 then greatest(clock_timestamp() - l.oldest, interval '0') else interval '0' end as lag, w.starts
from postrider.worker_status() w
cross join lateral postrider.worker_lag(w.shard, w.is_behind) l
where postrider.sees_tenant(null);
comment on view postrider.worker is
'The workers of this database: state (waiting, starting, running), what they have done since they started, how far they are behind, and the last error.';
comment on column postrider.worker.shard is 'Number of the shard of endpoints that the worker owns.';
comment on column postrider.worker.pid is 'Process id, as in pg_stat_activity; NULL while it is not running.';
comment on column postrider.worker.state is 'waiting (to be started), starting or running.';
comment on column postrider.worker.state_since is 'Since when it is in this state.';
comment on column postrider.worker.messages_read is 'Messages read from the log.';
comment on column postrider.worker.delivered is 'Deliveries that succeeded.';
comment on column postrider.worker.retried is 'Attempts that failed and will be repeated.';
comment on column postrider.worker.dead is 'Deliveries given up.';
comment on column postrider.worker.queued is 'Deliveries in memory that wait for their turn.';
comment on column postrider.worker.in_flight is 'Requests in flight.';
comment on column postrider.worker.last_error is 'The error that ended a worker last; for members of postrider_payload_reader.';
comment on column postrider.worker.last_error_at is 'When that was.';
comment on column postrider.worker.memory_bytes is 'Memory that PostgreSQL has given to the process, about a second ago if it had anything to do; what libcurl takes for connections comes on top.';
comment on column postrider.worker.loop_ms is 'How long a turn of its loop takes: an average in which the last turns count most.';
comment on column postrider.worker.loop_max_ms is 'The longest turn of the last minute or two, the one that is going on included: a large number is a worker that hangs, or a function that takes long.';
comment on column postrider.worker.lag_messages is 'Messages that it has not read, or has read in the last seconds; 1001 means more than a thousand. 0 if it is running and has read all.';
comment on column postrider.worker.lag is 'How old the oldest of these is.';
comment on column postrider.worker.starts is 'How often it has been started since the server was: more than once, and it ended.';

create view postrider.delivery with (security_barrier) as
select p.message_id,
	case when p.payload is null then m.topic else p.topic end as topic,
	p.key,
	case when p.payload is null then m.tenant else p.tenant end as tenant,
	e.name as endpoint,
	case p.reason when 'scheduled' then 'scheduled' when 'retry' then 'retrying'
		when 'held' then 'held'
		else case when p.attempts > 0 and p.reason <> 'ordered' then 'retrying'
			-- What was behind a slow endpoint stays as it is when that is disabled or paused.
			when p.reason <> 'in_flight' and (not e.enabled or e.paused_at is not null) then 'held'
			else 'queued' end end as status,
	p.attempts,
	a.status_code,
	postrider.readable_error(a.error_code, a.error) as error,
	case when p.due_at <> 'infinity' then p.due_at end as next_attempt_at,
	postrider.id_time(p.message_id) as created_at,
	null::timestamptz as finished_at,
	m.removed
from postrider.pending p
left join postrider.endpoint e on e.id = p.endpoint_id
left join postrider.message m on m.id = p.message_id
left join lateral (
	select t.status_code, t.error_code, t.error from postrider.attempt t
	where t.message_id = p.message_id and t.endpoint_id = p.endpoint_id
	order by t.started_at desc limit 1) a on true
where postrider.sees_tenant(e.tenant)
union all
select a.message_id, coalesce(m.topic, d.topic), coalesce(m.key, d.key),
	coalesce(m.tenant, d.tenant), e.name, a.outcome, a.attempt::integer,
	a.status_code, postrider.readable_error(a.error_code, a.error), null, postrider.id_time(a.message_id),
	a.started_at + make_interval(secs => coalesce(a.duration_ms, 0) / 1000.0),
	m.removed
from postrider.attempt a
left join postrider.endpoint e on e.id = a.endpoint_id
left join postrider.message m on m.id = a.message_id
left join postrider.dead_letter d on d.message_id = a.message_id and d.endpoint_id = a.endpoint_id
where a.outcome <> 'retry' and postrider.sees_tenant(e.tenant)
and not exists (select from postrider.pending p
	where p.message_id = a.message_id and p.endpoint_id = a.endpoint_id)
and not exists (select from postrider.attempt l
	where l.message_id = a.message_id and l.endpoint_id = a.endpoint_id
	and l.outcome <> 'retry' and (l.started_at, l.ctid) > (a.started_at, a.ctid))
union all
select m.id, m.topic, m.key, m.tenant, e.name,
	case when m.deliver_at > now() then 'scheduled' else 'queued' end,
	0, null, null, m.deliver_at, postrider.id_time(m.id), null, m.removed
from postrider.dispatch_cursor c
join postrider.message m on m.xid >= pg_snapshot_xmin(c.snapshot)
	and not pg_visible_in_snapshot(m.xid, c.snapshot)
-- The planner takes an equation of this kind for one that hardly any endpoint fulfils, and would
-- look a message up once for each of them.
join postrider.endpoint e on case when e.id % c.shards = c.shard then true end
	and (e.tenant is null or e.tenant = m.tenant)
where postrider.sees_tenant(e.tenant) and m.removed is null
and case when m.endpoint is not null then m.endpoint = e.name else
	exists (select from postrider.subscription s
		where s.endpoint = e.name and s.enabled and m.id > s.after_id
		and postrider.topic_matches(m.topic, s.topic)
		and (s.filter is null or postrider.filter_matches(m.payload, s.filter))) end
and not exists (select from postrider.pending p
	where p.message_id = m.id and p.endpoint_id = e.id)
and not exists (select from postrider.attempt a
	where a.message_id = m.id and a.endpoint_id = e.id);
comment on view postrider.delivery is
'What became of each message for each endpoint: was it delivered, and if not, why?';
comment on column postrider.delivery.message_id is 'The message.';
comment on column postrider.delivery.topic is 'Topic of the message.';
comment on column postrider.delivery.key is 'Key of the message.';
comment on column postrider.delivery.tenant is 'Tenant of the message.';
comment on column postrider.delivery.endpoint is 'The endpoint; NULL if it was deleted since.';
comment on column postrider.delivery.status is 'queued, scheduled, retrying, held (the endpoint is disabled), delivered, dead, expired, cancelled or superseded.';
comment on column postrider.delivery.attempts is 'Attempts so far.';
comment on column postrider.delivery.status_code is 'HTTP status of the last attempt.';
comment on column postrider.delivery.error is 'What went wrong at the last attempt; withheld from those who may not see payloads if it may quote one.';
comment on column postrider.delivery.next_attempt_at is 'When it is tried next, if that is known.';
comment on column postrider.delivery.created_at is 'When the message was emitted.';
comment on column postrider.delivery.finished_at is 'When the delivery ended.';
comment on column postrider.delivery.removed is 'erased or expired, if the data of the message was removed from the log.';
