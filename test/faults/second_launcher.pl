# A second launcher leaves at once, and no second worker is started.
use strict;
use warnings;
use Faults;
use Faults::Flow;
use Faults::Receiver;
use Faults::Server;
use Test::More;
use Time::HiRes qw(sleep time);

Faults::seed();
my $server = Faults::Server->new('second_launcher');
my $receiver = Faults::Receiver->new('second_launcher');
$server->up;
my $flow = Faults::Flow->new($server, $receiver, 'a');
my $library = Faults::work() . '/second_launcher';
$server->sql("create function start_second_launcher() returns boolean language c as '$library'");
$flow->start_emitters(2, 100);
ok(defined $flow->wait_for_flow(0), 'messages flow');
my $launcher = $server->process('postrider launcher');
my $worker = $server->process('postrider worker');

for my $try (1 .. 3)
{
	$flow->fault('second launcher', sub {
		is($server->sql('select start_second_launcher()'), 't', 'a second launcher is started');
		ok(eval { Faults::wait_until { $server->log_like('event=launcher_exists') >= $try } 'it says so', 10 },
			'it says that there is one');
		ok($server->wait_for("select count(*) from pg_stat_activity where backend_type = 'second postrider launcher'", 0, 10),
			'and leaves');
	}, flow => 1);
}
is($server->process('postrider launcher'), $launcher, 'the launcher is the same');
is($server->process('postrider worker'), $worker, 'and so is the worker');
is($server->sql("select count(*) from pg_stat_activity where backend_type = 'postrider worker'"), 1, 'of which there is one');
$flow->stop_emitters;
$flow->drain;
is($flow->account->{duplicates}, 0, 'nothing is sent twice');
$server->stop('fast');
done_testing();
