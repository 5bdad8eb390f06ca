# Several workers: each has its endpoints, and a change of their number loses
# nothing and sends hardly anything twice.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = PostriderTest::node('workers', conf => "max_worker_processes = 24\n");
my $receiver = PostriderTest::Receiver->start;
my $endpoints = 8;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub set_workers
{
	my ($count) = @_;
	sql("alter system set postrider.workers = $count");
	$node->reload;
	return PostriderTest::wait_for($node,
		"select count(*) || ' ' || string_agg(distinct state, ' ') || ' '
			|| (select count(distinct shard) || ' ' || max(shards) from postrider.dispatch_cursor) from postrider.worker",
		"$count running $count $count");
}

sql("insert into postrider.endpoint (name, url, backoff_base)
	select 'e' || i, '" . $receiver->url('/slow/5/e') . "' || i, '50 ms' from generate_series(1, $endpoints) i;
	insert into postrider.subscription (topic, endpoint) select 'n.*', 'e' || i from generate_series(1, $endpoints) i");

# Messages flow while the number of workers changes.
my $script = $node->basedir . '/emit.sql';
append_to_file($script, "select postrider.emit('n.row', '1');\n");
my $emitter = IPC::Run::start([ 'pgbench', '-n', '-c', 2, '-R', 100, '-T', 14, '-f', $script, $node->connstr('postgres') ],
	'>', \my $out, '2>', \my $err);
for my $count (4, 2, 16, 1, 3)
{
	ok(set_workers($count), "$count workers");
	sleep 1;
}
$emitter->finish;
my $messages = sql('select count(*) from postrider.message');
cmp_ok($messages, '>', 1000, "$messages messages were emitted meanwhile");
for my $i (1 .. $endpoints)
{
	ok($receiver->wait_for_count($messages, "/slow/5/e$i"), "endpoint $i got all of them");
}
sleep 0.5;
my $twice = 0;
for my $i (1 .. $endpoints)
{
	my $ids = $receiver->ids("/slow/5/e$i");
	is(scalar keys %$ids, $messages, "endpoint $i: each of them");
	$twice += $_ - 1 for values %$ids;
}
is($twice, 0, 'and nothing twice');
is(sql("select count(*) from postrider.delivery where status <> 'delivered'"), 0, 'the view says so too');
is(sql('select count(distinct a.message_id) from postrider.attempt a'), $messages, 'all attempts are on record');

# What waits goes with its endpoint.
sql("insert into postrider.endpoint (name, url, backoff_base, backoff_max, breaker_share)
		select 'r' || i, '" . $receiver->url('/first/503/3/r') . "' || i, '1 s', '1 s', null from generate_series(1, 3) i;
	select postrider.send('r' || i, to_jsonb(j)) from generate_series(1, 3) i, generate_series(1, 10) j");
ok($receiver->wait_for_count(10, '/first/503/3/r2'), 'something fails');
ok(set_workers(5), '5 workers');
ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where endpoint like 'r%' and status = 'delivered'", 30),
	'retries go on with another worker');

# An endpoint that hangs does not hold up the change, nor the others.
sql("insert into postrider.endpoint (name, url) values ('hanging', '" . $receiver->url('/hang') . "');
	select postrider.send('hanging', '1')");
ok($receiver->wait_for_count(1, '/hang'), 'a request hangs');
ok(set_workers(1), '1 worker');
ok($receiver->wait_for_count(2, '/hang'), 'it is sent again');

# A worker that is killed does not matter to the others' endpoints.
ok(set_workers(2), '2 workers');
my ($other, $code);
$code = $node->psql('postgres', 'alter system set postrider.workers = 17', stderr => \$other);
isnt($code, 0, 'more than 16 workers are refused');
like($other, qr/outside the valid range.*\(1 \.\. 16\)/, 'with the range');
sql('select pg_terminate_backend(pid) from postrider.worker where shard = 1');
sql("select postrider.emit('n.last', '1')");
for my $i (1 .. $endpoints)
{
	ok($receiver->wait_for_count($messages + 1, "/slow/5/e$i"), "endpoint $i goes on");
}
ok(PostriderTest::wait_for($node, "select string_agg(state, ' ') from postrider.worker", 'running running'), 'and both workers run');

$node->stop('fast');
done_testing();
