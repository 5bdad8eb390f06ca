# Things break at random points while messages flow: nothing is lost, and
# nothing arrives that was rolled back.  See README.md.
use strict;
use warnings;
use Faults;
use Faults::Flow;
use Faults::Receiver;
use Faults::Server;
use Test::More;
use Time::HiRes qw(sleep time);

my $short = $ENV{FAULTS_SHORT};
my $wanted = $ENV{FAULTS} || ($short ? 18 : 220);
Faults::seed();
my $server = Faults::Server->new('random');
my $receiver = Faults::Receiver->new('random');
$server->up;
my $flow = Faults::Flow->new($server, $receiver, 'a', 'b', 'c');

# A worker that was cancelled is not there for some seconds.
sub kill_process
{
	my ($signal, $type) = @_;
	my $pid = eval { Faults::wait_until { $server->process($type) } "there is a $type", 30 } or return;
	kill $signal, $pid;
}

# kill -9 of any process makes the postmaster restart all of them.  What is
# waited for is the end of that, so that the next fault is one of its own.
sub crash
{
	my ($type) = @_;
	my $before = $server->log_like('database system is ready to accept connections');
	kill_process('KILL', $type);
	eval {
		Faults::wait_until {
			$server->log_like('database system is ready to accept connections') > $before
		} 'the server is back', 30;
	} or diag("kill -9 of $type did not crash the server");
}

sub restart { my ($mode) = @_; $server->stop($mode); $server->up; }

# A worker that does not notice that its server is gone keeps the next one from
# starting: two would send the same.
sub old_worker_stays
{
	my $worker = $server->process('postrider worker') or return;
	kill 'STOP', $worker;
	my @children = grep { $_ != $worker } $server->children;
	kill 'KILL', $server->{pid};
	waitpid delete $server->{pid}, 0;
	$server->wait_gone('an old worker stays', @children);
	my $how = $server->start;
	is($how, 'ended', 'no second server starts while a worker of the old one lives') if $how ne 'ended';
	kill 'CONT', $worker;
	$server->wait_gone('an old worker stays', $worker);
	$server->up;
}

sub freeze_worker
{
	my $pid = $server->process('postrider worker') or return;
	kill 'STOP', $pid;
	sleep Faults::between(0.5, 4);
	kill 'CONT', $pid;
}

sub change_workers
{
	my $workers = Faults::pick(1, 1, 2, 3);
	$server->try("alter system set postrider.workers = $workers");
	$server->reload;
	sleep Faults::between(0.1, 1);
}

sub disable_endpoint
{
	$server->try("update postrider.endpoint set enabled = false where name = 'b'");
	sleep Faults::between(0.1, 1);
	$server->try("update postrider.endpoint set enabled = true where name = 'b'");
}

sub lock_table
{
	my $table = Faults::pick(qw(pending attempt dispatch_cursor endpoint));
	$server->try("begin; lock table postrider.$table in access exclusive mode; select pg_sleep(0.7); commit");
}

# Where the flow must go on after it, the third entry is true.
my @server_faults = (
	[ 4, 'kill -9 of the worker', 1, sub { crash('postrider worker') } ],
	[ 3, 'kill -9 of the launcher', 1, sub { crash('postrider launcher') } ],
	[ 2, 'kill -9 of a session', 1, sub { crash('client backend') } ],
	[ 3, 'kill -9 of the postmaster', 1, sub { restart('kill') } ],
	[ 3, 'kill -9 of all', 1, sub { $server->kill_all; $server->up } ],
	[ 3, 'immediate shutdown', 1, sub { restart('immediate') } ],
	[ 3, 'fast shutdown', 1, sub { restart('fast') } ],
	[ 1, 'old worker stays', 1, \&old_worker_stays ],
	[ 2, 'end of the worker', 1, sub { kill_process('TERM', 'postrider worker') } ],
	[ 2, 'end of the launcher', 1, sub { kill_process('TERM', 'postrider launcher') } ],
	[ 2, 'cancel of the worker', 1, sub { kill_process('INT', 'postrider worker') } ],
	[ 2, 'frozen worker', 1, \&freeze_worker ],
	[ 2, 'number of workers', 1, \&change_workers ],
	[ 2, 'SIGHUP', 1, sub { $server->reload } ],
	[ 2, 'locked table', 1, \&lock_table ],
	[ 2, 'endpoint disabled', 1, \&disable_endpoint ]);

my @receiver_faults = (
	[ 3, 'reset in the request', [ 'reset-request' ] ],
	[ 3, 'reset in the headers', [ 'reset-headers' ] ],
	[ 3, 'reset in the body', [ 'reset-body' ] ],
	[ 3, 'slow headers', [ 'slow-headers' ] ],
	[ 2, 'endless bodies', [ 'endless' ] ],
	[ 2, 'no answer', [ 'hang' ] ],
	[ 3, '503', [ 'status', 503 ] ],
	[ 3, 'receiver down', [ 'refuse' ] ]);

sub draw
{
	my @from = @_;
	my $total = 0;
	$total += $_->[0] for @from;
	my $at = rand $total;
	return (grep { ($at -= $_->[0]) < 0 } @from)[0];
}

sub break_server
{
	my ($check) = @_;
	my (undef, $kind, $flows, $code) = @{ draw(@server_faults) };
	$flow->fault($kind, $code, flow => $flows && $check);
}

# The receiver misbehaves for a while, to all endpoints or to one, and
# meanwhile the server may break too.
sub break_receiver
{
	my (undef, $kind, $mode) = @{ draw(@receiver_faults) };
	my $endpoint = $mode->[0] eq 'refuse' ? '*' : Faults::pick('*', 'a', 'b', 'c');
	$flow->fault($kind, sub {
		$receiver->command($endpoint, @$mode);
		sleep Faults::between(0.2, 1.2);
	});
	break_server(0) if rand() < 0.15;
	$receiver->command('*', $mode->[0] eq 'refuse' ? 'listen' : 'ok');
	sleep 0.1;
}

$flow->start_emitters(4, $ENV{RATE} || 150);
ok(defined $flow->wait_for_flow(0), 'messages flow');
while (@{ $flow->{faults} } < $wanted && Faults::remaining() > 60)
{
	sleep Faults::between(0, 0.5);
	rand() < 0.55 ? break_receiver() : break_server(1);
	$flow->finish_prepared(10);
}
$flow->stop_emitters;
$flow->drain;
# A slow machine may not get to all of them in time.
my $least = $wanted > 200 ? 200 : $wanted;
cmp_ok(scalar @{ $flow->{faults} }, '>=', $least, "at least $least faults were injected");
$flow->account;
$server->stop('fast');
is($server->log_like('PANIC|TRAP|signal 11|signal 6'), 0, 'no process crashes by itself');
done_testing();
