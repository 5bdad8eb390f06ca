# Emit to arrival at a local receiver, at a steady rate.  The emitting
# statement's own clock is in the payload, so the commit is counted in.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use JSON::PP;
use Test::More;

my $node = PostriderTest::node('latency');
my $receiver = PostriderTest::Receiver->start;
$node->safe_psql('postgres', "insert into postrider.endpoint (name, url) values ('a', '" . $receiver->url('/ok') . "');
	insert into postrider.subscription (topic, endpoint) values ('bench.*', 'a')");
my $script = $node->basedir . '/emit.sql';
append_to_file($script, q{select postrider.emit('bench.latency', jsonb_build_object('at', extract(epoch from clock_timestamp()), 'filler', repeat('x', 450)));} . "\n");
for my $rate (200)
{
	my $before = $receiver->count;
	my $seconds = 10;
	$node->command_ok([ 'pgbench', '-n', '-c', 2, '-R', $rate, '-T', $seconds, '-f', $script, $node->connstr('postgres') ], "pgbench at $rate/s");
	sleep 1;
	my @requests = $receiver->requests;
	my @ms = sort { $a <=> $b } map { ($_->{time} - decode_json($_->{body})->{data}{at}) * 1000 } @requests[ $before .. $#requests ];
	note(sprintf "latency at %d messages/s: median %.2f ms, p99 %.2f ms, %d messages",
	  $rate, $ms[ @ms / 2 ], $ms[ @ms * 0.99 ], scalar @ms);
}
$node->stop('fast');
done_testing();
