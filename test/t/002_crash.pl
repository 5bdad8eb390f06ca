# Nothing is lost when the worker or the server dies in the middle.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = PostriderTest::node('crash', conf => "restart_after_crash = on\n");
my $receiver = PostriderTest::Receiver->start;
my $messages = 5000;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql("insert into postrider.endpoint (name, url) values ('a', '" . $receiver->url('/slow/5') . "');
	insert into postrider.subscription (topic, endpoint) values ('n.*', 'a')");

# Kills in the middle of the deliveries, waits until all have arrived.
sub crash
{
	my ($what, $topic, $kill) = @_;
	my $path = "/slow/5/$topic";
	sql("update postrider.endpoint set url = '" . $receiver->url($path) . "' where name = 'a'");
	sql("select count(postrider.emit('n.$topic', to_jsonb(i))) from generate_series(1, $messages) i");
	PostriderTest::wait_until(sub { $receiver->count($path) > 500 }, 'some have arrived');
	my $arrived = $receiver->count($path);
	cmp_ok($arrived, '<', $messages, "$what: in the middle, after $arrived of $messages");
	$kill->();
	my $seen;
	ok(eval {
		PostriderTest::wait_until(sub {
			$seen = $receiver->ids($path);
			keys %$seen >= $messages;
		}, 'all have arrived', 60);
	}, "$what: none of $messages messages is lost") or diag(scalar keys %$seen);
	my $twice = 0;
	$twice += $_ - 1 for values %$seen;
	cmp_ok($twice, '<', 1500, "$what: duplicates are few ($twice)");
	ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where topic = 'n.$topic' and status = 'delivered'", $messages),
		"$what: each is delivered once by the view");
}

crash('kill -9 of the worker', 'worker', sub {
	my $pid = sql('select pid from postrider.worker');
	kill 'KILL', $pid;
	PostriderTest::wait_until(sub { ($node->psql('postgres', 'select 1'))[0] == 0 }, 'the server is back');
	sleep 1;
	PostriderTest::wait_until(sub { ($node->psql('postgres', 'select 1'))[0] == 0 }, 'the server is back');
});
crash('kill -9 of the whole server', 'power', sub {
	PostriderTest::kill_server($node);
	$node->start;
});
crash('immediate stop of the server', 'server', sub {
	$node->stop('immediate');
	$node->start;
});
crash('termination of the worker', 'terminate', sub {
	sql('select pg_terminate_backend(pid) from postrider.worker');
});

# A fast shutdown does not wait for the network.
sql("insert into postrider.endpoint (name, url) values ('hanging', '" . $receiver->url('/hang') . "')");
sql("select postrider.send('hanging', '1') from generate_series(1, 4)");
ok($receiver->wait_for_count(4, '/hang'), 'requests hang');
my $start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', 5 * $PostriderTest::patience, 'a fast shutdown passes with requests in flight');
$node->start;
ok($receiver->wait_for_count(8, '/hang'), 'what was in flight is sent again');

# So do DROP EXTENSION and DROP DATABASE.
$node->safe_psql('postgres', 'create database other');
$node->safe_psql('other', 'create extension postrider');
$node->safe_psql('other', "insert into postrider.endpoint (name, url) values ('h', '" . $receiver->url('/hang/other') . "')");
$node->safe_psql('other', "select postrider.send('h', '1')");
ok($receiver->wait_for_count(1, '/hang/other'), 'a second database works without a setting');
$start = time;
$node->safe_psql('postgres', 'drop database other');
cmp_ok(time - $start, '<', 5 * $PostriderTest::patience, 'DROP DATABASE passes with requests in flight');
$node->safe_psql('postgres', 'drop extension postrider');
PostriderTest::wait_until(sub {
	sql("select count(*) from pg_stat_activity where backend_type = 'postrider worker'") eq '0';
}, 'the worker has gone');
pass('DROP EXTENSION passes, and the worker goes');
sql('create extension postrider');
ok(PostriderTest::wait_for($node, 'select state from postrider.worker', 'running'), 'CREATE EXTENSION brings it back');

$node->stop('fast');
done_testing();
