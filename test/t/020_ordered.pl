# Messages of one key go in the order of their ids, through failures, restarts
# and changes of the number of workers; other keys flow on.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $keys = $ENV{ORDERED_KEYS} || 1000;
my $rounds = 8;
my $node = PostriderTest::node('ordered');
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->reload;
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub endpoint
{
	my ($name, $path, $more) = @_;
	$more //= {};
	my %columns = (name => $name, url => $receiver->url($path), ordered => 'true', backoff_base => '20 ms',
		backoff_max => '100 ms', max_attempts => 30, max_in_flight => 64, disable_after => '1 hour', %$more);
	my @names = sort keys %columns;
	sql("insert into postrider.endpoint (" . join(', ', @names) . ", breaker_share) values ("
		. join(', ', map { "'$columns{$_}'" } @names) . ", null)");
}

# Key and number of what was taken with 200, each only the first time.
sub taken
{
	my ($path) = @_;
	my (@taken, %seen);
	for my $request ($receiver->requests($path))
	{
		next if $request->{status} != 200;
		my $data = decode_json($request->{body})->{data};
		push @taken, $data unless $seen{"$data->{key} $data->{n}"}++;
	}
	return @taken;
}

# How many came before an older one of their key.
sub out_of_order
{
	my ($path) = @_;
	my (%last, $wrong);
	$wrong = 0;
	for my $data (taken($path))
	{
		my $expected = ($last{ $data->{key} } // 0) + 1;
		$wrong++ if $data->{n} != $expected;
		$last{ $data->{key} } = $data->{n};
	}
	return $wrong;
}

sub emit
{
	my ($endpoint, $from, $to, $count) = @_;
	sql("select count(postrider.send('$endpoint', jsonb_build_object('key', 'k' || k, 'n', n), key => 'k' || k))
		from generate_series($from, $to) n, generate_series(1, $count) k");
}

# The server needs a moment to notice.
sub comes_back_without
{
	my ($killed) = @_;
	return PostriderTest::wait_until(sub {
		my ($status, $out) = $node->psql('postgres', "select count(*) from postrider.worker where state = 'running' and pid <> $killed");
		return $status == 0 && $out eq '1';
	}, 'a worker is back');
}
sub worker { return sql("select min(pid) from postrider.worker"); }
sub waiting { return sql("select count(*) from postrider.pending p join postrider.endpoint e on e.id = p.endpoint_id where e.name = '$_[0]'"); }
sub all_delivered
{
	my ($endpoint, $count) = @_;
	return PostriderTest::wait_for($node, "select count(*) from postrider.delivery where endpoint = '$endpoint' and status = 'delivered'", $count, 300);
}

my $killed;

# 1,000 keys, one request in five fails, the worker is killed and the server restarted.
endpoint('flaky', '/random/20/flaky');
emit('flaky', 1, 3, $keys);
ok($receiver->wait_for_count($keys, '/random/20/flaky'), 'messages flow');
kill 'KILL', $killed = worker();
ok(comes_back_without($killed), 'a worker is killed and comes back');
emit('flaky', 4, 6, $keys);
ok($receiver->wait_for_count(3 * $keys, '/random/20/flaky'), 'messages flow');
$node->stop('immediate');
$node->start;
emit('flaky', 7, $rounds, $keys);
ok(all_delivered('flaky', $keys * $rounds), 'all is delivered in the end');
is(scalar(taken('/random/20/flaky')), $keys * $rounds, 'and has arrived');
is(out_of_order('/random/20/flaky'), 0, 'in the order of ids for each key');
is(waiting('flaky'), 0, 'nothing is left in pending');

# Another number of workers.
endpoint('moving', '/random/20/moving');
emit('moving', 1, 4, 200);
$node->append_conf('postgresql.conf', 'postrider.workers = 2');
$node->reload;
emit('moving', 5, 6, 200);
ok(PostriderTest::wait_for($node, "select count(*) from postrider.worker where state = 'running'", 2), 'there are two workers');
emit('moving', 7, 7, 200);
$node->append_conf('postgresql.conf', 'postrider.workers = 1');
$node->reload;
emit('moving', 8, 8, 200);
ok(all_delivered('moving', 1600), 'all is delivered');
is(out_of_order('/random/20/moving'), 0, 'in order');

# Each message of one key behind a failing one waits; others do not; nothing overtakes it in one lane of one key.
endpoint('stuck', '/first/503/3/stuck', { max_attempts => 10 });
emit('stuck', 1, 100, 1);
sql("select postrider.send('stuck', jsonb_build_object('key', null, 'n', n)) from generate_series(1, 10) n");
ok(all_delivered('stuck', 110), 'a key with a hundred messages, each of which fails three times');
my @order = map { my $d = decode_json($_->{body})->{data}; $d->{key} ? $d->{n} : () } $receiver->requests('/first/503/3/stuck');
is_deeply(\@order, [ map { ($_) x 4 } 1 .. 100 ], 'one after the other, each to its end');

# A dead message blocks its key, or does not.
for my $on_dead (qw(block skip))
{
	my $path = "/status/422/$on_dead";
	endpoint($on_dead, $path, { on_dead => $on_dead });
	emit($on_dead, 1, 1, 2);
	ok($receiver->wait_for_count(2, $path), 'the first ones die');
	ok(PostriderTest::wait_for($node, "select count(*) from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = '$on_dead'", 2), 'they are dead letters');
	sql("update postrider.endpoint set url = '" . $receiver->url("/ok/$on_dead") . "' where name = '$on_dead'");
	emit($on_dead, 2, 4, 2);
	sql("select postrider.send('$on_dead', '{\"key\": \"other\", \"n\": 1}', key => 'other')");
	ok($receiver->wait_for_count($on_dead eq 'skip' ? 7 : 1, "/ok/$on_dead"), 'another key flows on');
}
sleep 0.5;
is($receiver->count('/ok/block'), 1, 'what is behind a dead one waits');
is(waiting('block'), 6, 'in pending');
like(sql("select string_agg(detail, '; ') from postrider.explain((select min(id::text)::uuid from postrider.message where endpoint = 'block' and key = 'k1' and payload ->> 'n' = '2'))"),
	qr/message \S+ of key k1 is dead and blocks it/, 'explain says why');
$node->restart;
emit('block', 5, 5, 2);
sleep 0.5;
is($receiver->count('/ok/block'), 1, 'also after a restart, and what is new');
sql("select postrider.retry(endpoint => 'block', key => 'k1')");
ok($receiver->wait_for_count(6, '/ok/block'), 'a retry lets its key go');
is_deeply([ map { $_->{n} } grep { $_->{key} eq 'k1' } taken('/ok/block') ], [ 1 .. 5 ], 'in order, the dead one first');
sql("select postrider.purge(endpoint => 'block', key => 'k2')");
ok($receiver->wait_for_count(10, '/ok/block'), 'a purge lets its key go too');
is_deeply([ map { $_->{n} } grep { $_->{key} eq 'k2' } taken('/ok/block') ], [ 2 .. 5 ], 'without the dead one');
is(waiting('block'), 0, 'nothing is left');

# Held, released, cancelled.
endpoint('held', '/random/20/held');
sql("select postrider.pause('held')");
emit('held', 1, 20, 25);
ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where endpoint = 'held' and status = 'held'", 500), '500 messages are held');
sql("select postrider.resume('held')");
ok(all_delivered('held', 500), 'they flow when it is resumed');
is(out_of_order('/random/20/held'), 0, 'in order');
endpoint('cut', '/status/503/cut', { backoff_base => '1 hour', backoff_max => '1 hour' });
emit('cut', 1, 3, 1);
ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where endpoint = 'cut' and status = 'retrying'", 1), 'the first one waits for its next attempt');
sql("update postrider.endpoint set url = '" . $receiver->url('/ok/cut') . "' where name = 'cut'");
is(sql("select postrider.cancel((select message_id from postrider.delivery where endpoint = 'cut' and status = 'retrying'))"), 1, 'it is cancelled');
ok($receiver->wait_for_count(2, '/ok/cut'), 'and the others go');
is_deeply([ map { $_->{n} } taken('/ok/cut') ], [ 2, 3 ], 'in order');

# A slow endpoint: what it cannot take is in the table, in order all the same.
endpoint('slow', '/slow/3/slow', { max_in_flight => 8 });
emit('slow', 1, 12, 1000);
sleep 1;
kill 'KILL', $killed = worker();
ok(comes_back_without($killed), 'a worker is killed and comes back');
emit('slow', 13, 13, 1000);
ok(all_delivered('slow', 13000), '13,000 messages for a slow endpoint');
is(out_of_order('/slow/3/slow'), 0, 'in order');

# It stops being ordered.
endpoint('freed', '/status/503/freed', { backoff_base => '1 hour', backoff_max => '1 hour' });
emit('freed', 1, 5, 1);
ok(PostriderTest::wait_for($node, "select count(*) from postrider.pending where key = 'k1' and endpoint_id = (select id from postrider.endpoint where name = 'freed')", 5), 'behind one that fails');
sql("update postrider.endpoint set ordered = false, url = '" . $receiver->url('/ok/freed') . "' where name = 'freed'");
ok($receiver->wait_for_count(4, '/ok/freed'), 'the others go when the order does not matter any more');

$receiver->down;
done_testing();
