-- Figures for monitoring: the views metric_* have them, metrics() writes them as text, and
-- monitoring/postgres_exporter_queries.yaml reads the same views.
--
-- A family of metrics is a column of one of the views; postrider.metric_families() says which.
-- What only grows is counted in running totals that survive restarts and retention: a
-- counter that falls would be taken for one that began anew.  All are for those who may see
-- how things stand; a session that is bound to a tenant gets its own endpoints only.

create table postrider.delivery_total (
	endpoint_id integer primary key,
	delivered bigint not null,
	retried bigint not null,
	dead bigint not null,
	expired bigint not null,
	cancelled bigint not null,
	superseded bigint not null,
	recovered bigint not null,
	exhausted bigint not null,
	requests bigint not null,
	duration_ms double precision not null,
	duration_counts bigint[] not null,
	latency_ms double precision not null,
	latency_counts bigint[] not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
comment on table postrider.delivery_total is
'What became of deliveries, by endpoint, since the extension was installed: the sum of postrider.delivery_stats, with what that no longer has. Written with it, about once a minute; it never falls.';
comment on column postrider.delivery_total.endpoint_id is 'The endpoint.';
comment on column postrider.delivery_total.delivered is 'As in postrider.delivery_stats; so are the next ones.';
comment on column postrider.delivery_total.retried is 'Attempts that failed and are repeated.';
comment on column postrider.delivery_total.dead is 'Deliveries given up.';
comment on column postrider.delivery_total.expired is 'Deliveries whose time was over.';
comment on column postrider.delivery_total.cancelled is 'Deliveries that were called off.';
comment on column postrider.delivery_total.superseded is 'Deliveries in whose place a newer message is sent.';
comment on column postrider.delivery_total.recovered is 'Of delivered: those that had failed before.';
comment on column postrider.delivery_total.exhausted is 'Of dead: those that had been repeated.';
comment on column postrider.delivery_total.requests is 'Requests.';
comment on column postrider.delivery_total.duration_ms is 'How long attempts took.';
comment on column postrider.delivery_total.duration_counts is 'How many there were by duration.';
comment on column postrider.delivery_total.latency_ms is 'Time from emit to delivered.';
comment on column postrider.delivery_total.latency_counts is 'How many there were by that time.';

create table postrider.message_total (
	one boolean primary key default true
		constraint message_total_one check (one),
	messages bigint not null,
	bytes bigint not null
);
insert into postrider.message_total (messages, bytes) values (0, 0);
comment on table postrider.message_total is
'Messages since the extension was installed: one row, the sum of postrider.message_stats with what that no longer has.';
comment on column postrider.message_total.one is 'There is one row.';
comment on column postrider.message_total.messages is 'How many.';
comment on column postrider.message_total.bytes is 'Size of their payloads.';

-- A worker that has not heard of it yet may write such a row once more; nobody sees it.
create function postrider.forget_total() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
	delete from postrider.delivery_total t where t.endpoint_id = old.id;
	return null;
end
$$;
comment on function postrider.forget_total() is
'Trigger: with an endpoint goes its row of postrider.delivery_total.';
create trigger forget_total after delete on postrider.endpoint
	for each row execute function postrider.forget_total();

create function postrider.metric_families(out place integer, out name text, out type text, out unit text, out labels text[], out help text)
returns setof record
language sql immutable parallel safe rows 40
set search_path = pg_catalog, pg_temp
as $$
	select row_number() over ()::integer, f.name, f.type,
		coalesce(substring(f.name from '_(seconds|bytes|ratio)$'), ''), string_to_array(f.labels, ' '), f.help
	from (values
		('postrider_build', 'info', 'version postgresql', 'Versions of the extension and of PostgreSQL.'),
		('postrider_problem_objects', 'gauge', 'kind severity', 'What needs a person, as many rows as postrider.problem has of the kind.'),
		('postrider_endpoint_state', 'stateset', 'endpoint tenant', 'What postrider.endpoint_health has as state.'),
		('postrider_endpoint_breaker_state', 'stateset', 'endpoint tenant', 'State of the circuit breaker.'),
		('postrider_endpoint_in_flight', 'gauge', 'endpoint tenant', 'Requests in flight.'),
		('postrider_endpoint_in_flight_limit', 'gauge', 'endpoint tenant', 'How many requests may be in flight now.'),
		('postrider_endpoint_queued', 'gauge', 'endpoint tenant', 'Deliveries that the worker has at hand.'),
		('postrider_endpoint_waiting', 'gauge', 'endpoint tenant', 'Deliveries in postrider.pending, counted up to 1001.'),
		('postrider_endpoint_oldest_waiting_seconds', 'gauge', 'endpoint tenant', 'For how long the oldest of the waiting deliveries has waited.'),
		('postrider_endpoint_overdue_seconds', 'gauge', 'endpoint tenant', 'For how long the oldest of those that could be sent has waited.'),
		('postrider_endpoint_dead_letters', 'gauge', 'endpoint tenant', 'Dead letters kept, counted up to 1001.'),
		('postrider_endpoint_failures', 'gauge', 'endpoint tenant', 'Requests in a row that failed because the receiver is not well.'),
		('postrider_endpoint_rate_used_ratio', 'gauge', 'endpoint tenant', 'Largest share of a rate limit that is used; none without a limit.'),
		('postrider_endpoint_last_success_timestamp_seconds', 'gauge', 'endpoint tenant', 'When a request succeeded last, since the worker started.'),
		('postrider_deliveries', 'counter', 'endpoint tenant outcome', 'Deliveries that ended.'),
		('postrider_recovered_deliveries', 'counter', 'endpoint tenant', 'Deliveries that succeeded after at least one attempt had failed.'),
		('postrider_exhausted_deliveries', 'counter', 'endpoint tenant', 'Deliveries that were given up in spite of retries.'),
		('postrider_retries', 'counter', 'endpoint tenant', 'Attempts that failed and are repeated.'),
		('postrider_requests', 'counter', 'endpoint tenant', 'Requests that were made; a batch is one.'),
		('postrider_attempt_duration_seconds', 'histogram', 'endpoint tenant', 'How long attempts took.'),
		('postrider_message_latency_seconds', 'histogram', 'endpoint tenant', 'Time from the emit of a message to the end of the attempt that delivered it.'),
		('postrider_messages', 'counter', '', 'Messages that were read from the log.'),
		('postrider_message_bytes', 'counter', '', 'Size of their payloads.'),
		('postrider_worker_up', 'gauge', 'shard', '1 if the worker runs.'),
		('postrider_worker_queued', 'gauge', 'shard', 'Deliveries in memory that wait for their turn.'),
		('postrider_worker_in_flight', 'gauge', 'shard', 'Requests in flight.'),
		('postrider_worker_messages_read', 'counter', 'shard', 'Messages read from the log since the worker started.'),
		('postrider_worker_lag_messages', 'gauge', 'shard', 'Messages that the worker has not read from the log, counted up to 1001.'),
		('postrider_worker_lag_seconds', 'gauge', 'shard', 'How old the oldest of them is.'),
		('postrider_worker_loop_seconds', 'gauge', 'shard', 'How long a turn of the loop of the worker takes, on average.'),
		('postrider_worker_loop_max_seconds', 'gauge', 'shard', 'The longest turn of the last minute or two.'),
		('postrider_worker_memory_bytes', 'gauge', 'shard', 'Memory that PostgreSQL has given to the worker.'),
		('postrider_worker_starts', 'counter', 'shard', 'Starts of the worker since the server started.'),
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
select e.name as endpoint, coalesce(e.tenant, '') as tenant,
	postrider.endpoint_state(e.enabled, e.paused_at, s.breaker, s.blocked_until, s.failures) as state, s.breaker,
	coalesce(s.in_flight, 0) as in_flight, coalesce(s.in_flight_limit, 0) as in_flight_limit,
	coalesce(s.queued, 0) as queued, p.waiting,
	greatest(coalesce(extract(epoch from now() - p.oldest_waiting_at), 0), 0)::double precision as oldest_waiting_seconds,
	greatest(coalesce(extract(epoch from now() - p.overdue_since), 0), 0)::double precision as overdue_seconds,
	d.dead_letters, coalesce(s.failures, 0) as failures,
	s.rate_used_share::double precision as rate_used_ratio,
	extract(epoch from s.last_success_at)::double precision as last_success_timestamp_seconds
from postrider.endpoint e
left join postrider.endpoint_status() s on s.endpoint_id = e.id
cross join lateral postrider.endpoint_waiting(e.id) p
-- In the order of the index, so that no table is read as a whole whatever statistics say.
cross join lateral (
	select count(*) as dead_letters
	from (select from postrider.dead_letter l where l.endpoint_id = e.id order by l.died_at limit 1001) x) d
where postrider.sees_tenant(e.tenant);
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
comment on column postrider.metric_endpoint.oldest_waiting_seconds is 'For how long the oldest of them has waited.';
comment on column postrider.metric_endpoint.overdue_seconds is 'For how long the oldest of those that could be sent has waited.';
comment on column postrider.metric_endpoint.dead_letters is 'Dead letters kept, counted up to 1001.';
comment on column postrider.metric_endpoint.failures is 'Requests in a row that failed because the receiver is not well.';
comment on column postrider.metric_endpoint.rate_used_ratio is 'Largest share of a rate limit that is used.';
comment on column postrider.metric_endpoint.last_success_timestamp_seconds is 'When a request succeeded last.';

-- A worker that nobody has asked for yet is missing too, but a standby has none.
create view postrider.metric_worker with (security_barrier) as
select n.shard, (coalesce(w.state, '') = 'running')::integer as up,
	coalesce(w.queued, 0) as queued, coalesce(w.in_flight, 0) as in_flight,
	coalesce(w.messages_read, 0) as messages_read_total,
	coalesce(w.lag_messages, 0) as lag_messages,
	coalesce(extract(epoch from w.lag), 0)::double precision as lag_seconds,
	coalesce(w.loop_ms / 1000.0, 0)::double precision as loop_seconds,
	coalesce(w.loop_max_ms / 1000.0, 0)::double precision as loop_max_seconds,
	coalesce(w.memory_bytes, 0) as memory_bytes, coalesce(w.starts, 0) as starts_total
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
comment on column postrider.metric_worker.lag_messages is 'Messages that it has not read, counted up to 1001.';
comment on column postrider.metric_worker.lag_seconds is 'How old the oldest of them is.';
comment on column postrider.metric_worker.loop_seconds is 'How long a turn of its loop takes, on average.';
comment on column postrider.metric_worker.loop_max_seconds is 'The longest turn of the last minute or two.';
comment on column postrider.metric_worker.memory_bytes is 'Memory that PostgreSQL has given to the process.';
comment on column postrider.metric_worker.starts_total is 'Starts of the worker since the server started.';

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

create function postrider.cumulative_counts(counts bigint[]) returns bigint[]
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_cumulative_counts';
comment on function postrider.cumulative_counts(bigint[]) is
'Each number with all before it, as monitoring wants histograms.';

create view postrider.metric_delivery with (security_barrier) as
select e.name as endpoint, coalesce(e.tenant, '') as tenant,
	coalesce(t.delivered, 0) as delivered, coalesce(t.dead, 0) as dead, coalesce(t.expired, 0) as expired,
	coalesce(t.cancelled, 0) as cancelled, coalesce(t.superseded, 0) as superseded,
	coalesce(t.recovered, 0) as recovered, coalesce(t.exhausted, 0) as exhausted,
	coalesce(t.retried, 0) as retried, coalesce(t.requests, 0) as requests, b.bounds,
	c.duration_bucket, t.duration_ms / 1000 as duration_sum, c.duration_bucket[cardinality(c.duration_bucket)] as duration_count,
	c.latency_bucket, t.latency_ms / 1000 as latency_sum, c.latency_bucket[cardinality(c.latency_bucket)] as latency_count
from postrider.endpoint e
left join postrider.delivery_total t on t.endpoint_id = e.id
cross join lateral (select postrider.cumulative_counts(t.duration_counts) as duration_bucket,
	postrider.cumulative_counts(t.latency_counts) as latency_bucket offset 0) c
cross join (select array_agg((u.bound::numeric / 1000)::double precision order by u.n) as bounds
	from unnest(postrider.duration_buckets()) with ordinality u (bound, n)) b
where postrider.sees_tenant(e.tenant);
comment on view postrider.metric_delivery is
'What became of the deliveries of each endpoint, in running totals for monitoring; up to a minute old.';
comment on column postrider.metric_delivery.endpoint is 'The endpoint.';
comment on column postrider.metric_delivery.tenant is 'Its tenant, or nothing.';
comment on column postrider.metric_delivery.delivered is 'Deliveries that succeeded.';
comment on column postrider.metric_delivery.dead is 'Deliveries given up.';
comment on column postrider.metric_delivery.expired is 'Deliveries whose time was over.';
comment on column postrider.metric_delivery.cancelled is 'Deliveries that were called off.';
comment on column postrider.metric_delivery.superseded is 'Deliveries in whose place a newer message is sent.';
comment on column postrider.metric_delivery.recovered is 'Of delivered: those that had failed before.';
comment on column postrider.metric_delivery.exhausted is 'Of dead: those that had been repeated.';
comment on column postrider.metric_delivery.retried is 'Attempts that failed and are repeated.';
comment on column postrider.metric_delivery.requests is 'Requests.';
comment on column postrider.metric_delivery.bounds is 'Upper bounds of the buckets, in seconds, but for the last, which has none.';
comment on column postrider.metric_delivery.duration_bucket is 'Attempts that took no longer than each of the bounds, and all; NULL if there were none.';
comment on column postrider.metric_delivery.duration_sum is 'How long all took, in seconds.';
comment on column postrider.metric_delivery.duration_count is 'How many there were.';
comment on column postrider.metric_delivery.latency_bucket is 'The same of the time from emit to delivered.';
comment on column postrider.metric_delivery.latency_sum is 'All together, in seconds.';
comment on column postrider.metric_delivery.latency_count is 'How many there were.';

-- postrider.problem shows a tenant its own.
create view postrider.metric_problem with (security_barrier) as
select k.kind, k.severity, coalesce(p.objects, 0) as objects
from postrider.problem_kinds() k
left join (select kind, count(*) as objects from postrider.problem group by kind) p using (kind)
where postrider.sees_tenant(postrider.bound_tenant());
comment on view postrider.metric_problem is
'How much needs a person, by kind, as figures for monitoring.';
comment on column postrider.metric_problem.kind is 'As in postrider.problem_kinds().';
comment on column postrider.metric_problem.severity is 'critical, warning or notice.';
comment on column postrider.metric_problem.objects is 'How many rows of it postrider.problem has.';

create view postrider.metric_log with (security_barrier) as
select
	(select coalesce(min(n) filter (where to_regclass('postrider.message_'
			|| to_char((now() at time zone 'UTC')::date + n, 'YYYYMMDD')) is null), 31) - 1
		from generate_series(1, 30) n) as partitions_ahead,
	(select count(*) from (select from postrider.message_default limit 1001) x) as default_partition_rows,
	t.messages, t.bytes as message_bytes
from postrider.message_total t
where postrider.sees_tenant(null);
comment on view postrider.metric_log is
'How the log stands, as figures for monitoring.';
comment on column postrider.metric_log.partitions_ahead is 'Days after today that have their partitions, one after the other.';
comment on column postrider.metric_log.default_partition_rows is 'Messages in the default partition, counted up to 1001.';

comment on column postrider.metric_log.messages is 'Messages read since the extension was installed.';
comment on column postrider.metric_log.message_bytes is 'Size of their payloads.';

create function postrider.metric_labels(names text[], variadic label_values text[]) returns text
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_metric_labels';
comment on function postrider.metric_labels(text[], text[]) is
'Labels of a metric, in the form that OpenMetrics wants.';

create function postrider.metric_add_sample(state internal, family text, suffix text, labels text, value double precision) returns internal
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_metric_add_sample';
comment on function postrider.metric_add_sample(internal, text, text, text, double precision) is
'Part of postrider.metric_samples().';
create function postrider.metric_text(state internal) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_metric_text';
comment on function postrider.metric_text(internal) is
'Part of postrider.metric_samples().';
create aggregate postrider.metric_samples(family text, suffix text, labels text, value double precision) (
	sfunc = postrider.metric_add_sample, stype = internal, finalfunc = postrider.metric_text, parallel = safe);
comment on aggregate postrider.metric_samples(text, text, text, double precision) is
'The lines of a metric: one for each value that is not NULL.';

create function postrider.metric_states(family text, labels text, states text[], state text) returns text
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_metric_states';
comment on function postrider.metric_states(text, text, text[], text) is
'The lines of a metric that is one of some states.';

create function postrider.metric_histogram(family text, labels text, bounds double precision[], buckets bigint[],
	sum double precision, with_point boolean) returns text
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_metric_histogram';
comment on function postrider.metric_histogram(text, text, double precision[], bigint[], double precision, boolean) is
'The lines of a histogram; with_point: bounds that are whole numbers have a point, as OpenMetrics wants.';

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
		select m.*, postrider.metric_labels('{endpoint,tenant}', m.endpoint, m.tenant) as labels
		from postrider.metric_endpoint m order by m.endpoint),
	delivery as materialized (
		select m.*, postrider.metric_labels('{endpoint,tenant}', m.endpoint, m.tenant) as labels
		from postrider.metric_delivery m order by m.endpoint),
	credential as materialized (
		select m.*, postrider.metric_labels('{credential,kind,credential_server}', m.credential, m.kind, m.credential_server) as labels
		from postrider.metric_credential m),
	-- suffix follows the name of the family in that of the sample.
	sample (family, suffix, labels, value) as (
		select 'postrider_build', '_info', postrider.metric_labels('{version,postgresql}', x.extversion,
			current_setting('server_version')), 1::double precision
		from pg_extension x where x.extname = 'postrider'
		union all
		select 'postrider_problem_objects', '', postrider.metric_labels('{kind,severity}', p.kind, p.severity), p.objects
		from postrider.metric_problem p
		union all
		select v.family, '', e.labels, v.value
		from endpoint e cross join lateral (values
			('postrider_endpoint_in_flight', e.in_flight::double precision),
			('postrider_endpoint_in_flight_limit', e.in_flight_limit),
			('postrider_endpoint_queued', e.queued),
			('postrider_endpoint_waiting', e.waiting),
			('postrider_endpoint_oldest_waiting_seconds', e.oldest_waiting_seconds),
			('postrider_endpoint_overdue_seconds', e.overdue_seconds),
			('postrider_endpoint_dead_letters', e.dead_letters),
			('postrider_endpoint_failures', e.failures),
			('postrider_endpoint_rate_used_ratio', e.rate_used_ratio),
			('postrider_endpoint_last_success_timestamp_seconds', e.last_success_timestamp_seconds)) v (family, value)
		union all
		select v.family, '_total', d.labels || v.more, v.value
		from delivery d cross join lateral (values
			('postrider_deliveries', ',outcome="delivered"', d.delivered::double precision),
			('postrider_deliveries', ',outcome="dead"', d.dead),
			('postrider_deliveries', ',outcome="expired"', d.expired),
			('postrider_deliveries', ',outcome="cancelled"', d.cancelled),
			('postrider_deliveries', ',outcome="superseded"', d.superseded),
			('postrider_recovered_deliveries', '', d.recovered),
			('postrider_exhausted_deliveries', '', d.exhausted),
			('postrider_retries', '', d.retried),
			('postrider_requests', '', d.requests)) v (family, more, value)
		union all
		select v.family, v.suffix, postrider.metric_labels('{shard}', w.shard::text), v.value
		from postrider.metric_worker w cross join lateral (values
			('postrider_worker_up', '', w.up::double precision),
			('postrider_worker_queued', '', w.queued),
			('postrider_worker_in_flight', '', w.in_flight),
			('postrider_worker_messages_read', '_total', w.messages_read_total),
			('postrider_worker_lag_messages', '', w.lag_messages),
			('postrider_worker_lag_seconds', '', w.lag_seconds),
			('postrider_worker_loop_seconds', '', w.loop_seconds),
			('postrider_worker_loop_max_seconds', '', w.loop_max_seconds),
			('postrider_worker_memory_bytes', '', w.memory_bytes),
			('postrider_worker_starts', '_total', w.starts_total)) v (family, suffix, value)
		union all
		select 'postrider_secret_expiry_timestamp_seconds', '', postrider.metric_labels('{secret,tenant}', s.secret, s.tenant), s.expiry_timestamp_seconds
		from postrider.metric_secret s
		union all
		select v.family, '', c.labels, v.value
		from credential c cross join lateral (values
			('postrider_credential_failures', c.failures::double precision),
			('postrider_credential_expiry_timestamp_seconds', c.expiry_timestamp_seconds)) v (family, value)
		union all
		select v.family, v.suffix, null, v.value
		from postrider.metric_log l cross join lateral (values
			('postrider_messages', '_total', l.messages::double precision),
			('postrider_message_bytes', '_total', l.message_bytes),
			('postrider_partitions_ahead', '', l.partitions_ahead),
			('postrider_default_partition_rows', '', l.default_partition_rows)) v (family, suffix, value)),
	-- A family at a time, for the whole may have megabytes.
	line (family, text) as (
		select s.family, postrider.metric_samples(s.family, s.suffix, s.labels, s.value)
		from sample s group by s.family
		union all
		select v.family, string_agg(postrider.metric_states(v.family, e.labels, v.states, v.state), '')
		from endpoint e cross join lateral (values
			('postrider_endpoint_state', '{ok,failing,throttled,open,probing,paused,disabled,unknown}'::text[], e.state),
			('postrider_endpoint_breaker_state', '{closed,open,half_open}', e.breaker)) v (family, states, state)
		where v.state is not null
		group by v.family
		union all
		select v.family, string_agg(postrider.metric_histogram(v.family, d.labels, d.bounds, v.bucket, v.sum, open), '')
		from delivery d cross join lateral (values
			('postrider_attempt_duration_seconds', d.duration_bucket, d.duration_sum, d.duration_count),
			('postrider_message_latency_seconds', d.latency_bucket, d.latency_sum, d.latency_count)) v (family, bucket, sum, count)
		where v.count > 0
		group by v.family),
	family as materialized (select * from postrider.metric_families()),
	part (place, n, text) as (
		-- The older format knows fewer types, and has the suffix in the name of the family.
		select f.place, 1, concat('# TYPE ', h.name, ' ', h.type, E'\n',
			case when open and f.unit <> '' then '# UNIT ' || h.name || ' ' || f.unit || E'\n' end,
			'# HELP ', h.name, ' ', f.help, E'\n')
		from family f
		cross join lateral (select f.name || case when open then '' when f.type = 'counter' then '_total' when f.type = 'info' then '_info' else '' end as name,
			case when not open and f.type in ('info', 'stateset') then 'gauge' else f.type end as type) h
		union all
		select f.place, 2, l.text from line l join family f on f.name = l.family
		union all
		select 1000, 1, E'# EOF\n' where open)
	select string_agg(p.text, '' order by p.place, p.n) into result from part p;
	return result;
end
$$;
comment on function postrider.metrics(text) is
'All figures for monitoring as OpenMetrics text, for Prometheus and what understands it; with prometheus as format in its older text format.';
