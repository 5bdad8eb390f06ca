# Statistics by the minute are exact: they add up to what the attempts say.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('stats', conf => "autovacuum = off\npostrider.workers = 2\n");
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub wait_for { return PostriderTest::wait_for($node, @_); }

# An endpoint for each way in which deliveries end.
my %endpoint = (
	ok => '/ok', recovers => '/first/503/1', refused => '/status/422', tired => '/status/503', batch => '/batch/index/7',
	late => '/ok/late', newest => '/ok/newest', slow => '/slow/300');
sql("insert into postrider.endpoint (name, url, backoff_base, backoff_max, max_attempts, breaker_share) values ('$_', '" . $receiver->url("$endpoint{$_}?$_") . "', '10 ms', '20 ms', 3, null);
	insert into postrider.subscription (topic, endpoint) values ('t.$_', '$_')") for sort keys %endpoint;
sql("update postrider.endpoint set batch_size = 10, batch_delay = '50 ms', batch_format = 'json-array', batch_failed = '\$.errors[*].eventIndex' where name = 'batch';
	update postrider.endpoint set \"coalesce\" = true, enabled = false where name = 'newest';
	create function public.called(message postrider.message) returns void language plpgsql as
	\$\$begin if message.payload ->> 'n' = '3' then raise 'no'; end if; end\$\$;
	select postrider.on_message('t.ok', 'public.called(postrider.message)', max_attempts => 1)");

sub emit_all
{
	sql("select postrider.emit('t.' || t, jsonb_build_object('n', n)) from unnest(array['ok', 'recovers', 'refused', 'tired', 'batch', 'slow']) t, generate_series(1, $_[0]) n;
		select postrider.emit('t.late', '1', expires_at => now() - interval '1 s') from generate_series(1, 5);
		select postrider.emit('t.newest', '1', key => 'one') from generate_series(1, 4)");
}
my $not_settled = q{select count(*) from postrider.delivery where status not in ('delivered', 'dead', 'expired', 'cancelled', 'superseded', 'held')};

# What the attempts say; the messages of a batch share a request.
my $counted = q{select a.endpoint_id, count(*) filter (where outcome = 'delivered') as delivered,
	count(*) filter (where outcome = 'retry') as retried, count(*) filter (where outcome = 'dead') as dead,
	count(*) filter (where outcome = 'expired') as expired, count(*) filter (where outcome = 'cancelled') as cancelled,
	count(*) filter (where outcome = 'superseded') as superseded,
	count(*) filter (where outcome = 'delivered' and attempt > 1) as recovered,
	count(*) filter (where outcome = 'dead' and attempt > 1) as exhausted,
	count(distinct request_id) + count(*) filter (where request_id is null and duration_ms is not null) as requests,
	count(duration_ms) as durations, max(duration_ms) as duration_max_ms
	from postrider.attempt a group by a.endpoint_id};
my $kept = q{select endpoint_id, sum(delivered) as delivered, sum(retried) as retried, sum(dead) as dead, sum(expired) as expired,
	sum(cancelled) as cancelled, sum(superseded) as superseded, sum(recovered) as recovered, sum(exhausted) as exhausted, sum(requests) as requests,
	(select sum(n) from unnest(postrider.sum_counts(duration_counts)) n) as durations,
	nullif(max(duration_max_ms), 0) as duration_max_ms
	from postrider.delivery_stats group by endpoint_id};
my $differences = "with counted as ($counted), kept as ($kept)
	select 'attempts', e.name, c.* from (select * from counted except select * from kept) c left join postrider.endpoint e on e.id = endpoint_id
	union all select 'statistics', e.name, k.* from (select * from kept except select * from counted) k left join postrider.endpoint e on e.id = endpoint_id";
# Sums of times are rounded in another order than each time is.
my $other_times = "select * from (select endpoint_id, sum(duration_ms::float8) as ms from postrider.attempt group by endpoint_id) a
	join (select endpoint_id, sum(duration_ms::float8) as ms from postrider.delivery_stats group by endpoint_id) s using (endpoint_id)
	where abs(coalesce(a.ms, 0) - s.ms) > 1";

emit_all(40);
ok(wait_for($not_settled, 0), 'deliveries end');
$node->restart;
is(sql($differences), '', 'what the worker had counted when it was stopped is in the table, and as the attempts say');
is(sql($other_times), '', 'times too');
is(sql("select string_agg(e.name, ' ' order by e.name) from postrider.endpoint e join postrider.delivery_stats s on s.endpoint_id = e.id
	where e.name = 'ok' and s.delivered > 0 or e.name = 'recovers' and s.recovered = 40 or e.name = 'refused' and s.dead = 40 and s.exhausted = 0
	or e.name = 'tired' and s.exhausted > 0 or e.name = 'batch' and s.requests < s.delivered or e.name = 'late' and s.expired = 5
	or e.name = 'public.called' and s.dead > 0"), 'batch late ok public.called recovers refused tired', 'there is something of every kind');
is(sql("select sum(messages) || ' ' || count(distinct topic) from postrider.message_stats"), 249 . ' 8', 'messages are counted, once although two workers read them');
is(sql("select count(*) from postrider.message_stats s join (select topic, sum(pg_column_size(payload)) as bytes from postrider.message group by topic) m
	using (topic) group by s.topic having sum(s.bytes) < max(m.bytes)"), '', 'with their size');

# The same minute again, or not: either way it is added.
sql("update postrider.endpoint set enabled = true where name = 'newest'");
emit_all(20);
ok(wait_for($not_settled, 0), 'more deliveries end');
sql("update postrider.endpoint set paused_at = now() where name = 'ok'; select postrider.emit('t.ok', '1')");
ok(wait_for("select count(*) from postrider.pending", 1), 'one waits');
sql("delete from postrider.endpoint where name = 'ok'");
ok(wait_for("select count(*) from postrider.attempt where error_code = 'endpoint_deleted'", 1), 'and is called off when its endpoint goes');
$node->restart;
is(sql($differences), '', 'after the next restart the sums are right again');
is(sql($other_times), '', 'and those of times');
is(sql("select sum(superseded) > 0 from postrider.delivery_stats"), 't', 'what was superseded counts');
is(sql("select sum(messages) from postrider.message_stats"), sql('select count(*) from postrider.message'), 'nothing that was read again counts twice');

$node->stop('fast');
$receiver->down;
done_testing();
