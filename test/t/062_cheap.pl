# With many messages kept nothing that people watch reads more than it shows.  POSTRIDER_MESSAGES sets how many:
# the bounds below hold for any number.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $messages = $ENV{POSTRIDER_MESSAGES} || 100_000;
my $endpoints = 500;
my $node = PostriderTest::node('cheap', conf => "autovacuum = off\nsynchronous_commit = off\nmax_wal_size = '8GB'\nshared_buffers = '256MB'\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Nobody listens: the endpoints are disabled, and what is held for them waits.
sql("insert into postrider.endpoint (name, url, enabled) select 'e' || n, 'http://127.0.0.1:9/', false from generate_series(1, $endpoints) n;
	insert into postrider.subscription (topic, endpoint) select 't' || n, 'e' || n from generate_series(1, 100) n");
sql("insert into postrider.message (topic, payload) select 'x' || n % 50, '{}' from generate_series(1, $messages) n");
sql("insert into postrider.attempt (message_id, started_at, endpoint_id, duration_ms, attempt, outcome, status_code)
		select m.id, now(), 1 + (row_number() over ()) % $endpoints, 5, 1, 'delivered', 200 from postrider.message m where m.topic ~ '^x'");
my $some = int($messages / 5);
sql("insert into postrider.dead_letter (message_id, endpoint_id, reason, attempts, topic, payload)
		select m.id, 1 + (row_number() over ()) % 7, 'dead', 1, m.topic, m.payload from (select * from postrider.message limit $some) m;
	insert into postrider.pending (message_id, endpoint_id, due_at, reason)
		select m.id, 1 + (row_number() over ()) % 10, 'infinity', 'held' from (select * from postrider.message order by id desc limit $some) m");
# Statistics are written by the minute, so that the rows of an endpoint lie far apart.
my $zeros = "array_fill(0::bigint, array[19]) || 10::bigint";
sql("insert into postrider.delivery_stats (minute, endpoint_id, delivered, requests, duration_counts, latency_counts)
		select date_trunc('minute', now()) - m * interval '1 minute', e, 10, 10, $zeros, $zeros from generate_series(0, greatest(120, $messages / 1000)) m, generate_series(1, $endpoints) e order by m desc, e;
	insert into postrider.message_stats (minute, topic, messages, total_messages)
		select date_trunc('minute', now()) - m * interval '1 minute', 'x' || t, 10, 10 * (1 + 5000 - m) from generate_series(1, 5000) m, generate_series(0, 49) t on conflict do nothing");
sql('vacuum analyze');
ok(PostriderTest::wait_for($node, 'select lag_messages from postrider.worker', 0, 600), 'the worker has read the log, and is not behind');

note(sql("select string_agg(format('%s: %s rows, %s', k.name, k.n, pg_size_pretty(k.size)), ', ' order by k.size desc) from (
	select regexp_replace(c.relname, '_\\d{8}\$|_default\$', '') as name, sum(greatest(c.reltuples, 0)::bigint) as n, sum(pg_total_relation_size(c.oid)) as size
	from pg_class c where c.relnamespace = 'postrider'::regnamespace and c.relkind = 'r' group by 1 having sum(pg_total_relation_size(c.oid)) > 1000000) k"));
my $id = sql("select id from postrider.message where topic = 'x7' limit 1");
my $newest = sql('select id from postrider.message order by id desc limit 1');
my $big = q{'^(message|attempt)(_[0-9]+|_default)?$|^(pending|dead_letter|delivery_stats|message_stats)$'};

# What is asked, and how many blocks it may read at most: for an endpoint its minutes of an hour, each perhaps in a
# block of its own, and a thousand of what waits (for ten of them); for a topic a few rows; for a message what there is of
# it, however many endpoints there are.
my $of_endpoint = 61 + 8;
my $waits = 1001 + 20;
my $of_all = $endpoints * $of_endpoint + 10 * $waits;
my @watched = (
	[ 'select * from postrider.endpoint_health', $of_all, 'reader' ],
	[ "select * from postrider.endpoint_health where endpoint = 'e1'", $of_endpoint + $waits, 'reader' ],
	[ "select * from postrider.endpoint_health where endpoint = 'e400'", $of_endpoint + 20, 'reader' ],
	[ 'select * from postrider.topic_stats', 10_000, 'reader' ],
	[ 'select * from postrider.worker', 100, 'reader' ],
	[ 'select * from postrider.progress', 10, 'reader' ],
	[ "select * from postrider.delivery where message_id = '$id'", 100, 'reader' ],
	[ "select * from postrider.delivery where message_id = '$newest'", 100, 'reader' ],
	[ "select * from postrider.timeline('$id')", 200, 'reader' ],
	[ "select * from postrider.delivery_stats where minute >= now() - interval '1 hour'", 10_000, 'reader' ],
	[ "select * from postrider.delivery_stats where endpoint_id = 400 and minute >= now() - interval '1 hour'", 300, 'reader' ],
	[ "select * from postrider.message_stats where minute >= now() - interval '1 hour'", 10_000, 'reader' ],
	[ "select message_id, error_code, died_at from postrider.dead_letter where endpoint_id = 3 order by died_at desc limit 20", 100, 'reader' ],
	[ 'select * from postrider.credential_status', 100, 'reader' ],
	[ 'select * from postrider.secret_source_status', 100, 'reader' ],
	[ 'select * from postrider.secret_status', 5_000, 'admin' ],
	[ 'select * from postrider.secret_use', 5_000, 'admin' ],
	[ 'select * from postrider.unwritten_stats()', 100, 'reader' ],
	[ 'select * from postrider.problem', $endpoints * 12, 'reader' ],
	[ 'select * from postrider.metric_endpoint', $endpoints * 8 + 17 * $waits, 'reader' ],
	[ 'select * from postrider.metric_delivery', 500, 'reader' ],
	[ 'select * from postrider.metric_worker', 100, 'reader' ],
	[ 'select postrider.metrics()', $endpoints * 20 + 17 * $waits, 'reader' ],
	[ "select * from postrider.dead_letter_summary", $endpoints * 8 + 7 * $waits, 'reader' ],
	[ 'select postrider.status_page()', $of_all + $endpoints * 30 + 17 * $waits + 20_000, 'reader' ]);
sub watch
{
	my ($query, $bound, $role) = @_;
	# The first time reads the catalogs as well.
	my $out = sql("begin; set local role postrider_$role;
		$query \\g /dev/null
		explain (analyze, buffers, format json) $query; reset role;
		select 'seq ' || coalesce(string_agg(relname, ' ' order by relname), '') from pg_stat_xact_user_tables where schemaname = 'postrider' and relname ~ $big and seq_tup_read > 2 * 1001;
		commit");
	my ($hit) = $out =~ /"Shared Hit Blocks": (\d+)/;
	my ($read) = $out =~ /"Shared Read Blocks": (\d+)/;
	my ($ms) = $out =~ /"Execution Time": ([\d.]+)/;
	my ($scanned) = $out =~ /^seq (.*)$/m;
	note(sprintf '%s: %d blocks, %.1f ms', $query, $hit + $read, $ms);
	cmp_ok($hit + $read, '<=', $bound, "blocks read: $query");
	is($scanned, '', "and no table is read as a whole");
	unlike($out, qr/"JIT"/, 'nor is the query compiled for longer than it runs');
}
watch(@$_) for @watched;

# And while a worker is far behind: a thousand of what it has not read.
my $pid = sql('select pid from postrider.worker');
kill 'STOP', $pid;
sql("insert into postrider.message (topic, payload) select 't1', '{}' from generate_series(1, $messages / 4) n");
is(sql('select lag_messages from postrider.worker'), 1001, 'the worker is behind');
my $unread = sql('select id from postrider.message order by id desc limit 1');
watch(@$_) for [ 'select * from postrider.worker', 1001 + 100, 'reader' ], [ 'select * from postrider.metric_worker', 1001 + 100, 'reader' ],
	[ 'select * from postrider.problem', $endpoints * 12 + 1001, 'reader' ], [ "select * from postrider.delivery where message_id = '$unread'", $endpoints + 200, 'reader' ],
	[ "select * from postrider.timeline('$unread')", $endpoints + 400, 'reader' ];
kill 'CONT', $pid;

$node->stop('fast');
done_testing();
