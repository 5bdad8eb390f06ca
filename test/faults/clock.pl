# The clock steps by an hour, forward and back, while the server runs and
# while it is down.
use strict;
use warnings;
use Faults;
use Faults::Flow;
use Faults::Receiver;
use Faults::Server;
use Test::More;
use Time::HiRes qw(sleep time);

Faults::seed();

my $clock = Faults::work() . '/clock';
my $offset = 0;
sub set_clock
{
	my ($seconds) = @_;
	open(my $out, -e $clock ? '+<' : '>', $clock) or die $!;
	syswrite $out, pack('q', $seconds);
	close $out;
	$offset = $seconds;
}
set_clock(0);

my $receiver = Faults::Receiver->new('clock');
my $server = Faults::Server->new('clock_server', env => {
	LD_PRELOAD => Faults::work() . '/clock.so', TEST_CLOCK => $clock });
$server->up;
my $flow = Faults::Flow->new($server, $receiver, 'a', 'b');

# Rates that are shared, and the messages of a tenant, are in shared memory.
$server->sql("update postrider.endpoint set rate_group = 'both', rate_limits = '1000 per s';
	insert into postrider.tenant (name, message_limits) values ('counted', '35 per s')");

sub check_clock
{
	my $seconds = $server->sql('select extract(epoch from clock_timestamp())') - time;
	cmp_ok(abs($seconds - $offset), '<', 5, "the server's clock is off by $offset s");
}

# What fails after the step is tried again soon, what is scheduled comes in
# time, and what is prepared is found.
sub works
{
	my ($what) = @_;
	my $position = $receiver->position;
	$server->sql("begin; insert into ledger (id) select postrider.emit('fault.row', '{\"k\": \"x_prepared\"}'); prepare transaction 'clock'");
	$receiver->command('a', 'status', 503);
	$server->sql("insert into ledger (id) select postrider.emit('fault.row', '{\"k\": \"x_retried\"}', tenant => 'counted') from generate_series(1, 10)");
	$server->sql("insert into ledger (id) select postrider.emit('fault.row', '{\"k\": \"x_scheduled\"}', deliver_at => clock_timestamp() + interval '1 s')");
	sleep 0.3;
	$receiver->command('*', 'ok');
	$server->sql("commit prepared 'clock'");
	my %wanted = (x_retried => 20, x_scheduled => 2, x_prepared => 2);
	my %got;
	eval {
		Faults::wait_until {
			%got = ();
			$receiver->each_request(sub { $got{ $_[4] }++ if $_[1] && $_[4] =~ /^x_/ }, $position);
			!grep { ($got{$_} // 0) < $wanted{$_} } keys %wanted;
		} 'all have come', 20;
	};
	is($got{$_} // 0, $wanted{$_}, "$what: what is " . substr($_, 2) . ' comes within 20 s') for sort keys %wanted;
}

$flow->start_emitters(2, 20);
ok(defined $flow->wait_for_flow(0), 'messages flow');
check_clock();
works('before');
for my $step ([ 3600, 'an hour forward' ], [ 0, 'an hour back' ], [ -3600, 'an hour back' ], [ 0, 'an hour forward' ])
{
	my ($to, $what) = @$step;
	$flow->fault("clock $what", sub {
		set_clock($to);
		sleep 1;
	}, flow => 1);
	check_clock();
	works("clock $what");
}
for my $step ([ 3600, 'an hour forward' ], [ 0, 'an hour back' ])
{
	my ($to, $what) = @$step;
	$flow->fault("clock $what while down", sub {
		$server->stop('immediate');
		set_clock($to);
		$server->up;
	}, flow => 1);
	works("clock $what while down");
}
$flow->stop_emitters;

# What was scheduled just before the clock was set back is due an hour later.
set_clock(3600 + 60);
$flow->drain;
$flow->account;
$server->stop('fast');
done_testing();
