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
	primary key (topic, minute)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
create index message_stats_minute_idx on postrider.message_stats (minute);
comment on table postrider.message_stats is
'Messages by the minute and topic, counted by the worker of shard 0 when all of what was read with them has been sent or set aside, within seconds. Written and kept as postrider.delivery_stats. After a crash what was read again may have been counted twice. Not for sessions that are bound to a tenant.';
comment on column postrider.message_stats.minute is 'The minute in which they were counted.';
comment on column postrider.message_stats.topic is 'The topic.';
comment on column postrider.message_stats.messages is 'How many.';
comment on column postrider.message_stats.bytes is 'Size of their payloads, as jsonb has them in memory.';

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
