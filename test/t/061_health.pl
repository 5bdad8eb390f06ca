# What the views say of endpoints, topics and workers is true, and a moment old.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('health', conf => "autovacuum = off\n");
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub wait_for { return PostriderTest::wait_for($node, @_); }

# Fast ones, and a few that are slow.  Alerts would send messages of their own.
sql("delete from postrider.alert;
	create role acme login; grant postrider_reader to acme; alter role acme set postrider.tenant = 'acme';
	insert into postrider.endpoint (name, url, tenant, breaker_share) values ('mixed', '" . $receiver->url('/ok') . "', 'acme', null), ('other', '" . $receiver->url('/ok/other') . "', null, null);
	insert into postrider.subscription (topic, endpoint) values ('t.a', 'mixed'), ('t.*', 'other');
	insert into postrider.topic (name, description) values ('t.unused', 'nothing yet')");
sql("select postrider.emit('t.a', '1', tenant => 'acme') from generate_series(1, 18)");
ok(wait_for("select count(*) from postrider.attempt", 36), 'fast ones are delivered');
sql("update postrider.endpoint set url = '" . $receiver->url('/slow/700') . "' where name = 'mixed'");
sql("select postrider.emit('t.a', '1', tenant => 'acme') from generate_series(1, 2)");
ok(wait_for("select count(*) from postrider.attempt", 40), 'and slow ones');
sql("update postrider.endpoint set url = '" . $receiver->url('/status/422') . "' where name = 'mixed'; select postrider.emit('t.a', '1', tenant => 'acme') from generate_series(1, 5)");
ok(wait_for("select count(*) from postrider.attempt", 50), 'and some are refused');

# Before the minute is written.
my $health = "select success_share_1m::numeric(3, 2) || ' ' || success_share_5m::numeric(3, 2) || ' ' || success_share_1h::numeric(3, 2) from postrider.endpoint_health where endpoint = 'mixed'";
ok(wait_for($health, '0.80 0.80 0.80', 5), 'shares of success are there at once');
my $percentiles = "select string_agg(p.percent || '/' || p.of, ' ') from postrider.endpoint_health h,
	lateral (values (50, '1m', p50_ms_1m), (95, '1m', p95_ms_1m), (99, '1m', p99_ms_1m), (50, '5m', p50_ms_5m), (95, '5m', p95_ms_5m),
		(99, '5m', p99_ms_5m), (50, '1h', p50_ms_1h), (95, '1h', p95_ms_1h), (99, '1h', p99_ms_1h)) p (percent, of, ms)
	where h.endpoint = 'mixed' and width_bucket(p.ms::float8, postrider.duration_buckets()::float8[])
		<> (select width_bucket(percentile_disc(p.percent / 100.0) within group (order by a.duration_ms)::float8, postrider.duration_buckets()::float8[])
			from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'mixed')";
is(sql($percentiles), '', 'percentiles are in the buckets of the true ones');
is(sql("select p99_ms_1h > 500 and p50_ms_1h < 500 from postrider.endpoint_health where endpoint = 'mixed'"), 't', 'which differ');
is(sql("select success_share_1h from postrider.endpoint_health where endpoint = 'other'"), 1, 'another endpoint is well');

# Written.
$node->restart;
ok(wait_for($health, '0.80 0.80 0.80'), 'a restart changes none of it');
is(sql($percentiles), '', 'percentiles neither');
is(sql('select count(*) from postrider.unwritten_stats()'), 0, 'as it is in the table');
my $kept = "select string_agg(s::text, ' ' order by s.minute, s.endpoint_id) from postrider.delivery_stats s";
my $before = sql($kept);
$node->restart;
is(sql($kept), $before, 'a worker with nothing to count writes nothing');
is(sql("update postrider.delivery_stats set minute = minute - interval '3 minutes' returning 1") =~ /1/, 1, 'three minutes later');
is(sql("select success_share_1m is null and success_share_5m is not null and p50_ms_1m is null and p50_ms_1h is not null
	from postrider.endpoint_health where endpoint = 'mixed'"), 't', 'the last minute is empty, the last five and sixty are not');

# Topics: whole minutes that are over.
sql("update postrider.message_stats set minute = date_trunc('minute', now()) - interval '1 minute'");
sub topic_row { return sql("select topic, description, messages_1m, messages_5m, messages_1h, messages_24h, bytes_1h > 0, subscriptions from postrider.topic_stats order by topic"); }
is(topic_row(), "t.a||25|25|25|25|t|2\nt.unused|nothing yet|0|0|0|0|f|1", 'topics have their messages');
sql("select postrider.emit('t.a', '1', tenant => 'acme') from generate_series(1, 3)");
ok(wait_for("select count(*) from postrider.attempt", 56), 'more messages');
$node->restart;
is(sql("select string_agg(total_messages::text, ' ' order by minute) from postrider.message_stats"), '25 28', 'totals run on');
sql("update postrider.message_stats set minute = case total_messages when 25 then now() - interval '2 hours' else date_trunc('minute', now()) - interval '4 minutes' end");
like(topic_row(), qr/^t\.a\|\|0\|3\|3\|28\|t\|2$/m, 'times are told apart without a look at the minutes between');

# Tenants
sub as_acme { return $node->safe_psql('postgres', $_[0], connstr => $node->connstr('postgres') . ' user=acme'); }
is(as_acme("select count(distinct endpoint_id) from postrider.delivery_stats"), 1, 'who is bound sees statistics of its own endpoints');
is(as_acme("select count(*) from postrider.message_stats") . as_acme("select count(*) from postrider.topic_stats") . as_acme('select count(*) from postrider.worker'), '000', 'and not what all say');
# They are written when the minute is over.
my $left = 60 - time % 60;
sleep $left + 2 if $left < 10;
sql("select postrider.emit('t.a', '1', tenant => 'acme')");
ok(wait_for('select count(*) from postrider.unwritten_stats()', 2), 'two endpoints have something that is not written');
is(as_acme('select count(*) from postrider.unwritten_stats()'), 1, 'of which it sees its own');

# Workers
is(sql("select state, memory_bytes between 100000 and 100000000, loop_ms >= 0, loop_max_ms >= loop_ms, lag_messages, lag, starts from postrider.worker"), 'running|t|t|t|0|00:00:00|1', 'the worker is not behind, and has been started once');
sql('select pg_terminate_backend(pid) from postrider.worker');
ok(wait_for("select state || starts from postrider.worker", 'running2'), 'and once more when it has ended');
my $pid = sql('select pid from postrider.worker');
sql("begin; select postrider.emit('t.b', '1') from generate_series(1, 50); prepare transaction 'open'");
ok(wait_for('select lag_messages from postrider.worker', 0), 'what is not committed is no lag');
kill 'STOP', $pid;
sql("select postrider.emit('t.b', '1') from generate_series(1, 7)");
# The cursor may not have been written yet after the last message that was read.
my $unread = "(select count(*) from postrider.message m, postrider.dispatch_cursor c where not pg_visible_in_snapshot(m.xid, c.snapshot))";
is(sql("select $unread between 7 and 8, lag_messages = $unread, lag > '0' from postrider.worker"), 't|t|t', 'one that hangs is');
sql("commit prepared 'open'");
is(sql("select $unread between 57 and 58, lag_messages = $unread from postrider.worker"), 't|t', 'by what was committed meanwhile too');
sql("select postrider.emit('t.b', '1') from generate_series(1, 1500)");
is(sql("select lag_messages from postrider.worker"), 1001, 'and no more are counted than a thousand');
kill 'CONT', $pid;
ok(wait_for('select lag_messages || lag::text from postrider.worker', '000:00:00'), 'until it goes on');
sql("begin; lock table postrider.dispatch_cursor in share row exclusive mode; prepare transaction 'cursor'");
sql("select postrider.emit('t.b', '1')");
ok(wait_for("select loop_max_ms > 500 from postrider.worker", 't'), 'a turn of the loop that lasts shows');
sql("rollback prepared 'cursor'");
ok(wait_for('select count(*) from postrider.pending', 0), 'and ends');

# What waits
ok(wait_for('select sum(queued) + sum(in_flight) from postrider.worker', 0), 'all is delivered');
sql("update postrider.endpoint set enabled = false where name = 'other'; select postrider.emit('t.c', '1')");
ok(wait_for("select waiting || ' ' || (oldest_waiting_at > now() - interval '5 minutes') from postrider.endpoint_health where endpoint = 'other'", '1 true'), 'since when the oldest waits');

is(sql("select overdue_since is null from postrider.endpoint_health where endpoint = 'other'"), 't', 'what is held is not overdue');
my $pending = "insert into postrider.pending (message_id, endpoint_id, due_at, reason) select postrider.id_floor(now() - interval '3 hours'), id, now()";
my $ages = "select date_trunc('minute', now() - oldest_waiting_at) || ' ' || coalesce(date_trunc('minute', now() - overdue_since)::text, '-') from postrider.endpoint_health where endpoint = 'other'";
sub ages { return sql("begin; delete from postrider.pending; $pending $_[0] from postrider.endpoint where name = 'other'; $ages; rollback"); }
is(ages("- interval '1 minute', 'overflow'"), '03:00:00 03:00:00', 'a delivery waits since its message was emitted, although a worker has had it a minute ago');
is(ages("+ interval '1 minute', 'retry'"), '03:00:00 -', 'one that is tried again as well, but it is not overdue');
is(ages("- interval '1 minute', 'retry'"), '03:00:00 00:01:00', 'until it is due');
is(ages("- interval '1 minute', 'scheduled'"), '00:01:00 00:01:00', 'what is sent later waits since then');
is(ages("- interval '2 minutes', 'replay'"), '00:02:00 00:02:00', 'and so does what is sent again');
is(sql("begin; delete from postrider.pending; $pending + interval '1 minute', 'scheduled' from postrider.endpoint where name = 'other'; select oldest_waiting_at is null and waiting = 1 from postrider.endpoint_health where endpoint = 'other'; rollback"), 't', 'before that it does not wait');
my $foreign = "from generate_series(1, 2) e (id) where id not in (select e.id from postrider.endpoint e)";
is(as_acme("select (postrider.endpoint_waiting(id)).waiting $foreign"), 0, 'who is bound hears nothing of what waits for others');
is(as_acme("select (postrider.endpoint_windows(id, null, null, null, null, null)).p50_ms_1h is null $foreign"), 't', 'nor how their attempts went');

# Retention
sql("insert into postrider.delivery_stats (minute, endpoint_id, duration_counts, latency_counts) select now() - interval '2 days' - n * interval '1 minute', 1, array_fill(0, array[20]), array_fill(0, array[20]) from generate_series(1, 6000) n;
	insert into postrider.message_stats (minute, topic) values (now() - interval '2 days', 't.old')");
$node->append_conf('postgresql.conf', "postrider.stats_retention = '1d'");
$node->reload;
ok(wait_for("select (select count(*) from postrider.delivery_stats where minute < now() - interval '1 day') + (select count(*) from postrider.message_stats where minute < now() - interval '1 day')", 0), 'what is older than the retention goes');
cmp_ok(sql("select count(*) from postrider.delivery_stats"), '>', 0, 'the rest stays');

# Functions
my $err = '';
is(sql("select postrider.percentile(postrider.add_counts(null, array_fill(0::bigint, array[18]) || '{4, 0}'::bigint[]), 0.5, 50000000) = 28600000"), 't', 'half of four between two and fourteen hours');
$node->psql('postgres', "select postrider.percentile('{1, 2}', 0.5)", stderr => \$err);
like($err, qr/counts of a histogram must be 20 numbers/, 'what is no histogram is refused');
$node->psql('postgres', "select postrider.percentile(array_fill(1::bigint, array[20]), 95)", stderr => \$err);
like($err, qr/share must be between 0 and 1.*0\.95/s, 'and what is no share');

# Statistics hold up nothing.
sql("begin; lock table postrider.delivery_stats; prepare transaction 'lock'");
sql("select postrider.emit('t.a', '1', tenant => 'acme')");
ok($node->restart || 1, 'a worker whose statistics are locked ends nevertheless');
is(sql("select count(*) from pg_prepared_xacts where gid = 'lock'"), 1, 'while they are');
sql("rollback prepared 'lock'");

$node->stop('fast');
$receiver->down;
done_testing();
