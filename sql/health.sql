-- How the endpoints stand.

create function postrider.endpoint_status(out endpoint_id integer, out pid integer,
	out in_flight integer, out in_flight_limit integer, out queued integer,
	out breaker text, out open_until timestamptz, out blocked_until timestamptz,
	out failures bigint, out failing_since timestamptz, out rate_used text[],
	out rate_used_share real, out last_success_at timestamptz, out last_error text,
	out last_error_at timestamptz, out last_error_code text, out waits_for_tenant boolean)
returns setof record
language c volatile parallel restricted rows 100
as 'MODULE_PATHNAME', 'postrider_endpoint_status';
comment on function postrider.endpoint_status() is
'What the workers of this database know of their endpoints; see the view postrider.endpoint_health.';

-- For each endpoint in the views; src/outbox/standing.c says why they are no subqueries.
create function postrider.endpoint_waiting(endpoint_id integer, out waiting bigint, out oldest_waiting_at timestamptz,
	out overdue_since timestamptz, out next_due_at timestamptz)
language c stable strict parallel restricted
as 'MODULE_PATHNAME', 'postrider_endpoint_waiting';
comment on function postrider.endpoint_waiting(integer) is
'What of postrider.pending waits for an endpoint, as in postrider.endpoint_health.';

create function postrider.endpoint_windows(endpoint_id integer, unwritten_minute timestamptz, unwritten_delivered bigint,
	unwritten_ended bigint, unwritten_counts bigint[], unwritten_max_ms real,
	out success_share_1m double precision, out success_share_5m double precision, out success_share_1h double precision,
	out p50_ms_1m real, out p95_ms_1m real, out p99_ms_1m real,
	out p50_ms_5m real, out p95_ms_5m real, out p99_ms_5m real,
	out p50_ms_1h real, out p95_ms_1h real, out p99_ms_1h real)
language c stable parallel restricted
as 'MODULE_PATHNAME', 'postrider_endpoint_windows';
comment on function postrider.endpoint_windows(integer, timestamptz, bigint, bigint, bigint[], real) is
'How the attempts at an endpoint went in the last minutes, as in postrider.endpoint_health: by its rows of postrider.delivery_stats and by what is not yet written.';

create function postrider.endpoint_state(enabled boolean, paused_at timestamptz, breaker text, blocked_until timestamptz, failures bigint)
returns text
language sql stable parallel safe
return case when not enabled then 'disabled' when paused_at is not null then 'paused' when breaker is null then 'unknown'
	when breaker = 'open' then 'open' when breaker = 'half_open' then 'probing' when blocked_until > now() then 'throttled'
	when failures > 0 then 'failing' else 'ok' end;
comment on function postrider.endpoint_state(boolean, timestamptz, text, timestamptz, bigint) is
'The state of an endpoint, as in postrider.endpoint_health.';

create view postrider.endpoint_health with (security_barrier) as
select e.name as endpoint, e.tenant,
	postrider.endpoint_state(e.enabled, e.paused_at, s.breaker, s.blocked_until, s.failures) as state,
	case when not e.enabled then e.disabled_reason when e.paused_at is not null then e.pause_reason
		when s.failures > 0 or s.breaker <> 'closed' then s.last_error
		when s.waits_for_tenant then format('waits for rate_limits of tenant "%s"', e.tenant) end as reason,
	s.in_flight, s.in_flight_limit, s.queued, p.waiting, p.oldest_waiting_at, p.overdue_since, p.next_due_at,
	s.breaker, s.open_until, s.blocked_until, s.failures, s.failing_since,
	s.rate_used, s.rate_used_share, e.rate_group,
	s.last_success_at, s.last_error, s.last_error_at,
	h.success_share_1m, h.success_share_5m, h.success_share_1h,
	h.p50_ms_1m, h.p95_ms_1m, h.p99_ms_1m, h.p50_ms_5m, h.p95_ms_5m, h.p99_ms_5m, h.p50_ms_1h, h.p95_ms_1h, h.p99_ms_1h
from postrider.endpoint e
left join postrider.endpoint_status() s on s.endpoint_id = e.id
left join postrider.unwritten_stats() u on u.endpoint_id = e.id
cross join lateral postrider.endpoint_waiting(e.id) p
-- At most 61 rows for an endpoint, and what is not written yet.
cross join lateral postrider.endpoint_windows(e.id, u.minute, u.delivered, u.delivered + u.retried + u.dead,
	u.duration_counts, u.duration_max_ms) h
where postrider.sees_tenant(e.tenant);
comment on view postrider.endpoint_health is
'How each endpoint stands: what it is doing, what holds it up, how much of its limits is used.';
comment on column postrider.endpoint_health.endpoint is 'The endpoint.';
comment on column postrider.endpoint_health.tenant is 'Its tenant.';
comment on column postrider.endpoint_health.state is 'ok; failing (the last attempt failed); throttled (the receiver asked to wait); open (its circuit breaker is open) or probing; paused; disabled; unknown (no worker has it).';
comment on column postrider.endpoint_health.reason is 'Why it is not ok, or that it waits for the limits of its tenant.';
comment on column postrider.endpoint_health.in_flight is 'Requests in flight.';
comment on column postrider.endpoint_health.in_flight_limit is 'How many may be now: grows to max_in_flight while the receiver keeps answering as fast.';
comment on column postrider.endpoint_health.queued is 'Deliveries that the worker has at hand.';
comment on column postrider.endpoint_health.waiting is 'Deliveries in postrider.pending; 1001 means more than a thousand.';
comment on column postrider.endpoint_health.oldest_waiting_at is 'Since when the oldest of those waits: since its message was emitted, or since it was due if it was scheduled or is sent again (of the thousand that are due first).';
comment on column postrider.endpoint_health.overdue_since is 'The same of those that could be sent now; one that is tried again counts since it is due.';
comment on column postrider.endpoint_health.next_due_at is 'When the first of those is due.';
comment on column postrider.endpoint_health.breaker is 'Circuit breaker: closed (all is well), open (nothing is sent), half_open (one request tries).';
comment on column postrider.endpoint_health.open_until is 'When the open breaker tries again.';
comment on column postrider.endpoint_health.blocked_until is 'Until when the receiver asked to wait (Retry-After).';
comment on column postrider.endpoint_health.failures is 'Requests that failed in a row because the receiver is not well.';
comment on column postrider.endpoint_health.failing_since is 'Since when.';
comment on column postrider.endpoint_health.rate_used is 'How much of each rate limit is used now, its own and those of its tenant.';
comment on column postrider.endpoint_health.rate_used_share is 'The largest share of a limit that is used, from 0 to 1.';
comment on column postrider.endpoint_health.rate_group is 'Group of endpoints that share these limits.';
comment on column postrider.endpoint_health.last_success_at is 'When the last request succeeded, since the worker started.';
comment on column postrider.endpoint_health.last_error is 'What went wrong last.';
comment on column postrider.endpoint_health.last_error_at is 'When that was.';
comment on column postrider.endpoint_health.success_share_1m is 'Share of attempts that delivered, from 0 to 1, in the current minute and the one before: from one to two minutes; NULL: there were none.';
comment on column postrider.endpoint_health.success_share_5m is 'Share of attempts that delivered, from 0 to 1, in the current minute and the five before; NULL: there were none.';
comment on column postrider.endpoint_health.success_share_1h is 'Share of attempts that delivered, from 0 to 1, in the current minute and the sixty before; NULL: there were none.';
comment on column postrider.endpoint_health.p50_ms_1m is 'Milliseconds; half of the attempts took no longer, in the time of success_share_1m. Known up to the bucket of postrider.duration_buckets() that it falls into, and spread evenly within; so are the next ones.';
comment on column postrider.endpoint_health.p95_ms_1m is 'Milliseconds; 95 of 100 attempts took no longer, in the time of success_share_1m.';
comment on column postrider.endpoint_health.p99_ms_1m is 'Milliseconds; 99 of 100 attempts took no longer, in the time of success_share_1m.';
comment on column postrider.endpoint_health.p50_ms_5m is 'Milliseconds; half of the attempts took no longer, in the time of success_share_5m.';
comment on column postrider.endpoint_health.p95_ms_5m is 'Milliseconds; 95 of 100 attempts took no longer, in the time of success_share_5m.';
comment on column postrider.endpoint_health.p99_ms_5m is 'Milliseconds; 99 of 100 attempts took no longer, in the time of success_share_5m.';
comment on column postrider.endpoint_health.p50_ms_1h is 'Milliseconds; half of the attempts took no longer, in the time of success_share_1h.';
comment on column postrider.endpoint_health.p95_ms_1h is 'Milliseconds; 95 of 100 attempts took no longer, in the time of success_share_1h.';
comment on column postrider.endpoint_health.p99_ms_1h is 'Milliseconds; 99 of 100 attempts took no longer, in the time of success_share_1h.';

create table postrider.endpoint_state (
	endpoint_id integer not null,
	rate_group text not null,
	rate bytea,
	breaker bytea,
	clean boolean not null,
	saved_at timestamptz not null,
	primary key (endpoint_id, rate_group)
) with (fillfactor = 50);
comment on table postrider.endpoint_state is
'What workers keep over a restart: how much of rate limits is used, and since when endpoints fail. Written by the workers; nobody else need look.';
comment on column postrider.endpoint_state.endpoint_id is 'The endpoint; 0 for a rate group, -1 for the requests of a tenant, -2 for its messages.';
comment on column postrider.endpoint_state.rate_group is 'The rate group or tenant; empty for an endpoint.';
comment on column postrider.endpoint_state.rate is 'State of the rate limits, in a form of its own.';
comment on column postrider.endpoint_state.breaker is 'State of the circuit breaker, in a form of its own.';
comment on column postrider.endpoint_state.clean is 'The worker ended after it wrote this: nothing has been sent since.';
comment on column postrider.endpoint_state.saved_at is 'When it was written.';
