# max_worker_processes is used up: the log and the view say so, and the flow
# goes on when there is room again.
use strict;
use warnings;
use Faults;
use Faults::Flow;
use Faults::Receiver;
use Faults::Server;
use Test::More;
use Time::HiRes qw(sleep time);

Faults::seed();

# The launchers of postrider and of logical replication take two.
my $server = Faults::Server->new('slots', conf => "max_worker_processes = 4\n");
$server->append("max_worker_processes = 4\n");
my $receiver = Faults::Receiver->new('slots');
$server->up;
my @others = map { "other$_" } 1 .. 2;
for my $db (@others)
{
	$server->sql("create database $db");
	$server->sql('create extension postrider', $db);
}
ok($server->wait_for("select count(*) from pg_stat_activity where backend_type = 'postrider worker'", 2), 'two databases take all places');

my $flow = Faults::Flow->new($server, $receiver, 'a');
$flow->start_emitters(2, 100);
$flow->fault('max_worker_processes used up', sub {
	ok($server->wait_for('select state from postrider.worker', 'waiting'), 'the third waits');
	ok($server->wait_for("select last_error ~ 'max_worker_processes' from postrider.worker", 't'), 'and its view says why');
	sleep 12;
	is($server->log_like('could not start a worker: max_worker_processes is reached'), 1, 'the log says so once');
	is($receiver->count_since(0), 0, 'nothing is sent meanwhile');
	$server->sql('drop extension postrider', $others[0]);
}, flow => 1);
is($server->sql('select state from postrider.worker'), 'running', 'the worker runs when there is room');

# More workers than there is room for.
$flow->fault('too many workers wanted', sub {
	$server->sql('alter system set postrider.workers = 3');
	$server->reload;
	sleep 3;
	$server->sql('alter system set postrider.workers = 1');
	$server->reload;
}, flow => 1);
$flow->stop_emitters;
$flow->drain;
$flow->account;
$server->stop('fast');
done_testing();
