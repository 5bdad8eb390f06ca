-- Statistics by the minute, which the workers write. src/outbox/stats.c explains it.

create function postrider.duration_buckets() returns real[]
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_duration_buckets';
comment on function postrider.duration_buckets() is
'Upper bounds, in milliseconds, of the buckets of all histograms of times. Counts of a histogram have one number more: the last is of times above all bounds.';

create function postrider.add_counts(counts bigint[], more bigint[]) returns bigint[]
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_add_counts';
comment on function postrider.add_counts(bigint[], bigint[]) is
'The sum of two histograms; NULL counts for nothing.';

create aggregate postrider.sum_counts(bigint[]) (
	sfunc = postrider.add_counts, stype = bigint[], combinefunc = postrider.add_counts, parallel = safe);
comment on aggregate postrider.sum_counts(bigint[]) is
'The sum of histograms, such as duration_counts of postrider.delivery_stats.';

create function postrider.percentile(counts bigint[], share double precision, longest real default null) returns real
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_percentile';
comment on function postrider.percentile(bigint[], double precision, real) is
'The time in milliseconds that a share of all (0.95) does not exceed, by the counts of a histogram. It is exact up to the bucket it falls into: times are taken to be spread evenly between its bounds, and not to exceed the longest one. NULL where nothing was counted.';

create table postrider.delivery_stats (
	minute timestamptz not null,
	endpoint_id integer not null,
	delivered bigint not null default 0,
	retried bigint not null default 0,
	dead bigint not null default 0,
	expired bigint not null default 0,
	cancelled bigint not null default 0,
	recovered bigint not null default 0,
	exhausted bigint not null default 0,
	requests bigint not null default 0,
	duration_ms double precision not null default 0,
	duration_max_ms real not null default 0,
	duration_counts bigint[] not null,
	latency_ms double precision not null default 0,
	latency_max_ms real not null default 0,
	latency_counts bigint[] not null,
	superseded bigint not null default 0,
	primary key (endpoint_id, minute)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
create index delivery_stats_minute_idx on postrider.delivery_stats (minute);
comment on table postrider.delivery_stats is
'What became of deliveries, by the minute and endpoint: a row where something did. A worker counts in its memory and writes when the minute is over, and when it ends; a crash of the server or of the worker loses what it has not written, up to a minute. Kept for postrider.stats_retention. Attempts that postrider.cancel() and postrider.erase() end while no worker has them are not in here.';
comment on column postrider.delivery_stats.minute is 'The minute in which the attempts were recorded, a moment after they ended.';
comment on column postrider.delivery_stats.endpoint_id is 'The endpoint, as in postrider.endpoint; it may have been deleted since.';
comment on column postrider.delivery_stats.delivered is 'Deliveries that succeeded.';
comment on column postrider.delivery_stats.retried is 'Attempts that failed and will be repeated.';
comment on column postrider.delivery_stats.dead is 'Deliveries given up: refused, tried too often, or not to be sent at all.';
comment on column postrider.delivery_stats.expired is 'Deliveries given up because their time was over.';
comment on column postrider.delivery_stats.cancelled is 'Deliveries that were called off.';
comment on column postrider.delivery_stats.recovered is 'Of delivered: those that had failed before.';
comment on column postrider.delivery_stats.exhausted is 'Of dead: those that had been repeated.';
comment on column postrider.delivery_stats.requests is 'Requests, and calls of functions, that were made; a batch is one.';
comment on column postrider.delivery_stats.duration_ms is 'How long attempts took, all together. An attempt that was never sent does not count; in a batch each delivery does.';
comment on column postrider.delivery_stats.duration_max_ms is 'The longest of them.';
comment on column postrider.delivery_stats.duration_counts is 'How many there were by duration: a number for each of postrider.duration_buckets(), and one more for those above.';
comment on column postrider.delivery_stats.latency_ms is 'Time from the emit to the end of the attempt that delivered, all together; with the time that a message was scheduled for later, or was replayed after.';
comment on column postrider.delivery_stats.latency_max_ms is 'The longest of them.';
comment on column postrider.delivery_stats.latency_counts is 'How many there were by that time, as duration_counts.';
comment on column postrider.delivery_stats.superseded is 'Deliveries in whose place a newer message of their key is sent.';

create table postrider.message_stats (
	minute timestamptz not null,
	topic text not null,
	messages bigint not null default 0,
	bytes bigint not null default 0,
	total_messages bigint not null default 0,
	primary key (topic, minute)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
create index message_stats_minute_idx on postrider.message_stats (minute);
comment on table postrider.message_stats is
'Messages by the minute and topic, counted by the worker of shard 0 when all of what was read with them has been sent or set aside, within seconds. Written and kept as postrider.delivery_stats. After a crash what was read again may have been counted twice. Not for sessions that are bound to a tenant.';
comment on column postrider.message_stats.minute is 'The minute in which they were counted.';
comment on column postrider.message_stats.topic is 'The topic.';
comment on column postrider.message_stats.messages is 'How many.';
comment on column postrider.message_stats.bytes is 'Size of their payloads, as jsonb has them in memory.';
comment on column postrider.message_stats.total_messages is 'How many there had been on the topic at the end of the minute, since it has been counted: the difference of two rows says how many there were between, without a look at the rows between.';

create function postrider.unwritten_stats() returns setof postrider.delivery_stats
language c volatile parallel restricted rows 100
as 'MODULE_PATHNAME', 'postrider_unwritten_stats';
comment on function postrider.unwritten_stats() is
'What the workers have counted and not yet written to postrider.delivery_stats: of the current minute, a fraction of a second old.';

create view postrider.topic_stats with (security_barrier) as
with recursive counted as (
	(select s.topic from postrider.message_stats s order by s.topic limit 1)
	union all
	select (select s.topic from postrider.message_stats s where s.topic > c.topic order by s.topic limit 1)
	from counted c where c.topic is not null)
select t.topic, d.description,
	greatest(l.total - m1.total, 0) as messages_1m,
	greatest(l.total - m5.total, 0) as messages_5m,
	greatest(l.total - m60.total, 0) as messages_1h,
	greatest(l.total - m1440.total, 0) as messages_24h,
	b.bytes_1h,
	l.minute as last_message_at,
	(select count(*) from postrider.subscription s where s.enabled and postrider.topic_matches(t.topic, s.topic)) as subscriptions
from (select c.topic from counted c where c.topic is not null union select o.name from postrider.topic o) t
left join postrider.topic d on d.name = t.topic
left join lateral (select s.minute, s.total_messages as total from postrider.message_stats s
	where s.topic = t.topic order by s.minute desc limit 1) l on true
-- What there had been before the first minute of each time; if there is none since, all.
cross join lateral (select coalesce((select s.total_messages - s.messages from postrider.message_stats s
	where s.topic = t.topic and s.minute >= date_trunc('minute', now()) - interval '1 minute' order by s.minute limit 1), l.total, 0) as total) m1
cross join lateral (select coalesce((select s.total_messages - s.messages from postrider.message_stats s
	where s.topic = t.topic and s.minute >= date_trunc('minute', now()) - interval '5 minutes' order by s.minute limit 1), l.total, 0) as total) m5
cross join lateral (select coalesce((select s.total_messages - s.messages from postrider.message_stats s
	where s.topic = t.topic and s.minute >= date_trunc('minute', now()) - interval '1 hour' order by s.minute limit 1), l.total, 0) as total) m60
cross join lateral (select coalesce((select s.total_messages - s.messages from postrider.message_stats s
	where s.topic = t.topic and s.minute >= date_trunc('minute', now()) - interval '24 hours' order by s.minute limit 1), l.total, 0) as total) m1440
cross join lateral (select coalesce(sum(s.bytes), 0)::bigint as bytes_1h from postrider.message_stats s
	where s.topic = t.topic and s.minute >= date_trunc('minute', now()) - interval '1 hour') b
where postrider.sees_tenant(null);
comment on view postrider.topic_stats is
'How many messages come on each topic that is registered or has been used in the time that statistics are kept. Numbers are of whole minutes, so they end with the last full one. Not for sessions that are bound to a tenant.';
comment on column postrider.topic_stats.topic is 'The topic.';
comment on column postrider.topic_stats.description is 'What postrider.topic says of it.';
comment on column postrider.topic_stats.messages_1m is 'Messages in the last full minute.';
comment on column postrider.topic_stats.messages_5m is 'Messages in the last five.';
comment on column postrider.topic_stats.messages_1h is 'Messages in the last sixty.';
comment on column postrider.topic_stats.messages_24h is 'Messages in the last 24 hours.';
comment on column postrider.topic_stats.bytes_1h is 'Size of the payloads of the last hour.';
comment on column postrider.topic_stats.last_message_at is 'The minute of the last message; NULL: none in the time that statistics are kept.';
comment on column postrider.topic_stats.subscriptions is 'Enabled subscriptions that cover the topic.';

create function postrider.expire_stats(keep interval, piece integer default 5000) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	relation text;
	deleted bigint;
begin
	foreach relation in array array['delivery_stats', 'message_stats']
	loop
		execute format('delete from postrider.%1$I where ctid = any (array(
			select s.ctid from postrider.%1$I s where s.minute < now() - $1 order by s.minute limit $2))', relation)
			using keep, piece;
		get diagnostics deleted = row_count;
		if deleted > 0 then
			return format('deleted %s old rows of postrider.%s', deleted, relation);
		end if;
	end loop;
	return null;
end
$$;
comment on function postrider.expire_stats(interval, integer) is
'Deletes some of the statistics that are older and says how many, or returns NULL if there are none. Run by the worker once an hour, piece by piece, each in a transaction of its own.';
