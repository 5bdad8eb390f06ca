# The clock is set an hour ahead, and back, while messages flow and fail.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $directory = PostgreSQL::Test::Utils::tempdir();
my $library = "$directory/clock.so";
my $clock = "$directory/clock";
system_or_bail('gcc', '-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC', '-o', $library, "$ENV{TESTDIR}/faults/clock.c");

sub set_clock
{
	my ($seconds) = @_;
	open(my $file, -e $clock ? '+<' : '>', $clock) or die $!;
	syswrite $file, pack('q', $seconds);
	close $file;
}

my $node = PostriderTest::node('clock', no_extension => 1);
$node->stop;
set_clock(0);
{
	local %ENV = (%ENV, LD_PRELOAD => $library, TEST_CLOCK => $clock);
	$node->start;
}
my $receiver = PostriderTest::Receiver->start;
my $sent = 0;

sub arrives
{
	my ($count, $path, $wanted) = @_;
	return eval { PostriderTest::wait_until(sub { $count->($path) >= $wanted }, "$wanted at $path", 15) };
}

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql('create extension postrider');
sql("insert into postrider.endpoint (name, url, backoff_base, backoff_max, timeout) values
		('good', '" . $receiver->url('/ok/good') . "', '50 ms', '500 ms', '1 s'),
		('shaky', '" . $receiver->url('/first/503/2') . "', '2 s', '2 s', '1 s'),
		('hanging', '" . $receiver->url('/hang') . "', '50 ms', '500 ms', '1 s');
	insert into postrider.subscription (topic, endpoint) values ('t.*', 'good'), ('t.*', 'shaky')");

for my $offset (0, 3600, 0, -3600, 0)
{
	set_clock($offset);
	my $before = $receiver->count('/hang');
	sql("select postrider.emit('t.row', to_jsonb(i)) from generate_series(1, 20) i; select postrider.send('hanging', '1')");
	$sent += 20;
	ok(arrives(sub { scalar keys %{ $receiver->ids($_[0]) } }, '/ok/good', $sent),
		"the clock at $offset s: messages arrive");
	ok(arrives(sub { $receiver->count($_[0]) }, '/hang', $before + 2),
		'a request that hangs is timed out and tried again');
	ok(PostriderTest::wait_for($node, "select min(abs(extract(epoch from clock_timestamp() - updated_at))) < 60 from postrider.dispatch_cursor", 't', 15),
		'the cursor is written');
}
ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where endpoint = 'shaky' and status = 'delivered'", $sent, 20),
	'retries come at their time, whatever the clock says');
is(sql("select count(*) from (select payload, lag(payload) over (order by id) as before from postrider.message where topic = 't.row') m
	where (payload = '1') <> coalesce(before = '20', true)"), 0, 'ids rise in the order of emits');
ok(slurp_file($node->logfile) =~ /the clock was set by -(3600|3599\.\d)/, 'the log tells of it');

$node->stop('fast');
done_testing();
