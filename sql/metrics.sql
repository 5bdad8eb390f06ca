-- Figures for monitoring: the views metric_* have them, metrics() writes them as text, and
-- monitoring/postgres_exporter_queries.yaml reads the same views.
--
-- A family of metrics is a column of one of the views; postrider.metric_families() says which.
-- What only grows is counted in running totals that survive restarts and retention: a
-- counter that falls would be taken for one that began anew.  All are for those who may see
-- how things stand; a session that is bound to a tenant gets its own endpoints only.

create function postrider.metric_families(out place integer, out name text, out type text, out unit text, out labels text[], out help text)
returns setof record
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
	select row_number() over ()::integer, f.name, f.type,
		coalesce(substring(f.name from '_(seconds|bytes|ratio)$'), ''), string_to_array(f.labels, ' '), f.help
	from (values
		('postrider_build', 'info', 'version server', 'Versions of the extension and of PostgreSQL.'),
		('postrider_endpoint_state', 'stateset', 'endpoint tenant', 'What postrider.endpoint_health has as state.'),
		('postrider_endpoint_breaker', 'stateset', 'endpoint tenant', 'State of the circuit breaker.'),
		('postrider_endpoint_in_flight', 'gauge', 'endpoint tenant', 'Requests in flight.'),
		('postrider_endpoint_in_flight_limit', 'gauge', 'endpoint tenant', 'How many requests may be in flight now.'),
		('postrider_endpoint_queued', 'gauge', 'endpoint tenant', 'Deliveries that the worker has at hand.'),
		('postrider_endpoint_waiting', 'gauge', 'endpoint tenant', 'Deliveries in postrider.pending, counted up to 1001.'),
		('postrider_endpoint_overdue_seconds', 'gauge', 'endpoint tenant', 'For how long the first of the waiting deliveries could have been sent.'),
		('postrider_endpoint_dead_letters', 'gauge', 'endpoint tenant', 'Dead letters kept, counted up to 1001.'),
		('postrider_endpoint_failures', 'gauge', 'endpoint tenant', 'Requests in a row that failed because the receiver is not well.'),
		('postrider_endpoint_rate_used_ratio', 'gauge', 'endpoint tenant', 'Largest share of a rate limit that is used; none without a limit.'),
		('postrider_endpoint_last_success_timestamp_seconds', 'gauge', 'endpoint tenant', 'When a request succeeded last, since the worker started.'),
		('postrider_worker_up', 'gauge', 'shard', '1 if the worker runs.'),
		('postrider_worker_queued', 'gauge', 'shard', 'Deliveries in memory that wait for their turn.'),
		('postrider_worker_in_flight', 'gauge', 'shard', 'Requests in flight.'),
		('postrider_worker_messages_read', 'counter', 'shard', 'Messages read from the log since the worker started.'),
		('postrider_secret_expiry_timestamp_seconds', 'gauge', 'secret tenant', 'When the secret expires; none if it does not.'),
		('postrider_credential_failures', 'gauge', 'credential kind credential_server', 'Failures in a row to fetch the credential.'),
		('postrider_credential_expiry_timestamp_seconds', 'gauge', 'credential kind credential_server', 'When the credential expires.'),
		('postrider_partitions_ahead', 'gauge', '', 'Days after today that have their partitions.'),
		('postrider_default_partition_rows', 'gauge', '', 'Messages in the default partition, counted up to 1001; there should be none.'))
		as f (name, type, labels, help)
$$;
comment on function postrider.metric_families() is
'The families of metrics: name, type (gauge, counter, histogram, stateset or info, of OpenMetrics), unit, labels, and what they mean.';

create view postrider.metric_endpoint with (security_barrier) as
select h.endpoint, coalesce(h.tenant, '') as tenant, h.state, h.breaker,
	coalesce(h.in_flight, 0) as in_flight, coalesce(h.in_flight_limit, 0) as in_flight_limit,
	coalesce(h.queued, 0) as queued, h.waiting,
	greatest(coalesce(extract(epoch from now() - h.next_due_at), 0), 0)::double precision as overdue_seconds,
	d.dead_letters, coalesce(h.failures, 0) as failures,
	h.rate_used_share::double precision as rate_used_ratio,
	extract(epoch from h.last_success_at)::double precision as last_success_timestamp_seconds
from postrider.endpoint_health h
join postrider.endpoint e on e.name = h.endpoint
cross join lateral (
	select count(*) as dead_letters
	from (select from postrider.dead_letter l where l.endpoint_id = e.id limit 1001) x) d
where postrider.sees_tenant(h.tenant);
comment on view postrider.metric_endpoint is
'How each endpoint stands, as figures for monitoring; what they mean is in postrider.metric_families().';
comment on column postrider.metric_endpoint.endpoint is 'The endpoint.';
comment on column postrider.metric_endpoint.tenant is 'Its tenant, or nothing.';
comment on column postrider.metric_endpoint.state is 'As in postrider.endpoint_health.';
comment on column postrider.metric_endpoint.breaker is 'As in postrider.endpoint_health.';
comment on column postrider.metric_endpoint.in_flight is 'Requests in flight.';
comment on column postrider.metric_endpoint.in_flight_limit is 'How many may be now.';
comment on column postrider.metric_endpoint.queued is 'Deliveries that the worker has at hand.';
comment on column postrider.metric_endpoint.waiting is 'Deliveries in postrider.pending, counted up to 1001.';
comment on column postrider.metric_endpoint.overdue_seconds is 'For how long the first of them could have been sent.';
comment on column postrider.metric_endpoint.dead_letters is 'Dead letters kept, counted up to 1001.';
comment on column postrider.metric_endpoint.failures is 'Requests in a row that failed because the receiver is not well.';
comment on column postrider.metric_endpoint.rate_used_ratio is 'Largest share of a rate limit that is used.';
comment on column postrider.metric_endpoint.last_success_timestamp_seconds is 'When a request succeeded last.';

-- A worker that nobody has asked for yet is missing too, but a standby has none.
create view postrider.metric_worker with (security_barrier) as
select n.shard, (coalesce(w.state, '') = 'running')::integer as up,
	coalesce(w.queued, 0) as queued, coalesce(w.in_flight, 0) as in_flight,
	coalesce(w.messages_read, 0) as messages_read_total
from generate_series(0, current_setting('postrider.workers')::integer - 1) as n (shard)
left join postrider.worker w on w.shard = n.shard
where postrider.sees_tenant(null) and not pg_is_in_recovery();
comment on view postrider.metric_worker is
'How each worker stands, as figures for monitoring; what they mean is in postrider.metric_families().';
comment on column postrider.metric_worker.shard is 'Number of the shard.';
comment on column postrider.metric_worker.up is '1 if the worker runs.';
comment on column postrider.metric_worker.queued is 'Deliveries in memory that wait for their turn.';
comment on column postrider.metric_worker.in_flight is 'Requests in flight.';
comment on column postrider.metric_worker.messages_read_total is 'Messages read from the log since the worker started.';

create view postrider.metric_secret with (security_barrier) as
select s.name as secret, coalesce(s.tenant, '') as tenant,
	extract(epoch from s.expires_at)::double precision as expiry_timestamp_seconds
from postrider.secret s
where s.expires_at is not null and postrider.sees_tenant(s.tenant);
comment on view postrider.metric_secret is
'Secrets that expire, as figures for monitoring.';
comment on column postrider.metric_secret.secret is 'Name of the secret.';
comment on column postrider.metric_secret.tenant is 'Its tenant, or nothing.';
comment on column postrider.metric_secret.expiry_timestamp_seconds is 'When it expires, in seconds since 1970.';

create view postrider.metric_credential with (security_barrier) as
select c.id as credential, c.kind, c.server as credential_server, c.failures,
	extract(epoch from c.expires_at)::double precision as expiry_timestamp_seconds
from postrider.credential c
where postrider.sees_tenant(null) or c.id = any (array(
	select unnest(postrider.credential_ids(e.auth)) from postrider.endpoint e where postrider.sees_tenant(e.tenant)));
comment on view postrider.metric_credential is
'Credentials that workers fetch, as figures for monitoring.';
comment on column postrider.metric_credential.credential is 'As id in postrider.credential_status.';
comment on column postrider.metric_credential.kind is 'What it is.';
comment on column postrider.metric_credential.credential_server is 'Whom the workers ask.';
comment on column postrider.metric_credential.failures is 'Failures in a row.';
comment on column postrider.metric_credential.expiry_timestamp_seconds is 'When it expires, in seconds since 1970; NULL if there is none.';

create view postrider.metric_log with (security_barrier) as
select
	(select coalesce(min(n) filter (where to_regclass('postrider.message_'
			|| to_char((now() at time zone 'UTC')::date + n, 'YYYYMMDD')) is null), 31) - 1
		from generate_series(1, 30) n) as partitions_ahead,
	(select count(*) from (select from postrider.message_default limit 1001) x) as default_partition_rows
where postrider.sees_tenant(null);
comment on view postrider.metric_log is
'How the partitions of the log stand, as figures for monitoring.';
comment on column postrider.metric_log.partitions_ahead is 'Days after today that have their partitions, one after the other.';
comment on column postrider.metric_log.default_partition_rows is 'Messages in the default partition, counted up to 1001.';

create function postrider.metric_labels(names text[], variadic label_values text[]) returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
	select string_agg(l.name || '="' || replace(replace(replace(l.value, '\', '\\'), '"', '\"'), E'\n', '\n') || '"', ',' order by l.place)
	from unnest(names, label_values) with ordinality as l (name, value, place)
$$;
comment on function postrider.metric_labels(text[], text[]) is
'Labels of a metric, in the form that OpenMetrics wants.';

create function postrider.metrics(format text default 'openmetrics') returns text
language plpgsql volatile parallel restricted
set search_path = pg_catalog, pg_temp
as $$
declare
	open boolean := metrics.format = 'openmetrics';
	result text;
begin
	if metrics.format is null or metrics.format not in ('openmetrics', 'prometheus') then
		raise invalid_parameter_value using
			message = pg_catalog.format('format of metrics "%s" is not known', metrics.format),
			hint = 'There are openmetrics and prometheus, the older text format.';
	end if;

	with endpoint as materialized (
		select m.*, row_number() over (order by m.endpoint) as n, postrider.metric_labels('{endpoint,tenant}', m.endpoint, m.tenant) as labels
		from postrider.metric_endpoint m),
	worker as materialized (
		select m.*, postrider.metric_labels('{shard}', m.shard::text) as labels from postrider.metric_worker m),
	credential as materialized (
		select m.*, postrider.metric_labels('{credential,kind,credential_server}', m.credential, m.kind, m.credential_server) as labels
		from postrider.metric_credential m),
	-- n and place are the order in a family: what is of one thing must be together.  suffix follows the name of the family in that of the sample.
	sample (family, n, place, suffix, labels, value) as (
		select 'postrider_build', 0::bigint, 0::bigint, '_info', postrider.metric_labels('{version,server}', x.extversion,
			current_setting('server_version')), 1::double precision
		from pg_extension x where x.extname = 'postrider'
		union all
		select 'postrider_endpoint_state', e.n, s.place, '', e.labels || ',postrider_endpoint_state="' || s.state || '"', (s.state = e.state)::integer
		from endpoint e cross join unnest('{ok,failing,throttled,open,probing,paused,disabled,unknown}'::text[]) with ordinality s (state, place)
		union all
		select 'postrider_endpoint_breaker', e.n, s.place, '', e.labels || ',postrider_endpoint_breaker="' || s.state || '"', (s.state = e.breaker)::integer
		from endpoint e cross join unnest('{closed,open,half_open}'::text[]) with ordinality s (state, place)
		where e.breaker is not null
		union all
		select v.family, e.n, 0, '', e.labels, v.value
		from endpoint e cross join lateral (values
			('postrider_endpoint_in_flight', e.in_flight::double precision),
			('postrider_endpoint_in_flight_limit', e.in_flight_limit),
			('postrider_endpoint_queued', e.queued),
			('postrider_endpoint_waiting', e.waiting),
			('postrider_endpoint_overdue_seconds', e.overdue_seconds),
			('postrider_endpoint_dead_letters', e.dead_letters),
			('postrider_endpoint_failures', e.failures),
			('postrider_endpoint_rate_used_ratio', e.rate_used_ratio),
			('postrider_endpoint_last_success_timestamp_seconds', e.last_success_timestamp_seconds)) v (family, value)
		union all
		select v.family, w.shard, 0, v.suffix, w.labels, v.value
		from worker w cross join lateral (values
			('postrider_worker_up', '', w.up::double precision),
			('postrider_worker_queued', '', w.queued),
			('postrider_worker_in_flight', '', w.in_flight),
			('postrider_worker_messages_read', '_total', w.messages_read_total)) v (family, suffix, value)
		union all
		select 'postrider_secret_expiry_timestamp_seconds', 0, 0, '', postrider.metric_labels('{secret,tenant}', s.secret, s.tenant), s.expiry_timestamp_seconds
		from postrider.metric_secret s
		union all
		select v.family, 0, 0, '', c.labels, v.value
		from credential c cross join lateral (values
			('postrider_credential_failures', c.failures::double precision),
			('postrider_credential_expiry_timestamp_seconds', c.expiry_timestamp_seconds)) v (family, value)
		union all
		select v.family, 0, 0, '', '', v.value
		from postrider.metric_log l cross join lateral (values
			('postrider_partitions_ahead', l.partitions_ahead::double precision),
			('postrider_default_partition_rows', l.default_partition_rows)) v (family, value)),
	body as (
		select s.family, string_agg(s.family || s.suffix || case when s.labels <> '' then '{' || s.labels || '}' else '' end
			|| ' ' || s.value || E'\n', '' order by s.n, s.place) as text
		from sample s where s.value is not null group by s.family)
	select string_agg('# TYPE ' || h.name || ' ' || h.type || E'\n'
			|| case when open and f.unit <> '' then '# UNIT ' || h.name || ' ' || f.unit || E'\n' else '' end
			|| '# HELP ' || h.name || ' ' || f.help || E'\n' || coalesce(b.text, ''), '' order by f.place)
		|| case when open then E'# EOF\n' else '' end
	into result
	from postrider.metric_families() f
	left join body b on b.family = f.name
	-- The older format knows fewer types, and has the suffix in the name of the family.
	cross join lateral (select f.name || case when open then '' when f.type = 'counter' then '_total' when f.type = 'info' then '_info' else '' end as name,
		case when not open and f.type in ('info', 'stateset') then 'gauge' else f.type end as type) h;
	return result;
end
$$;
comment on function postrider.metrics(text) is
'All figures for monitoring as OpenMetrics text, for Prometheus and what understands it; with prometheus as format in its older text format.';
