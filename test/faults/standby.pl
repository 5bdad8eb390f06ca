# A streaming standby sends nothing; after its promotion it goes on by itself
# where the log of the primary ends.
use strict;
use warnings;
use Faults;
use Faults::Flow;
use Faults::Receiver;
use Faults::Server;
use Test::More;
use Time::HiRes qw(sleep time);

Faults::seed();
my $receiver = Faults::Receiver->new('standby');
my $primary = Faults::Server->new('primary');
$primary->up;
my $flow = Faults::Flow->new($primary, $receiver, 'a', 'b');
$flow->start_emitters(3, 100);
my $standby = Faults::Server->new('standby', backup_of => $primary);
$standby->up;
$flow->stop_emitters;

# Synchronous, so that nothing is sent that the standby does not know.  (What
# is committed with synchronous_commit off is not waited for.)
$primary->sql(q{alter system set synchronous_standby_names = '*'});
$primary->reload;
ok($primary->wait_for('select sync_state from pg_stat_replication', 'sync'), 'the standby follows');
my $before = $receiver->position;
$flow->start_emitters(3, 100, synchronous => 1);
for (1 .. 10)
{
	sleep Faults::between(0.1, 0.5);
	$flow->fault('restart of the standby', sub { $standby->stop('immediate'); $standby->up }, flow => 1) if $_ == 5;
}
is($standby->sql("select count(*) from pg_stat_activity where backend_type like 'postrider%'"), 0,
	'nothing of ours runs on the standby');
my (%ok, $twice);
$receiver->each_request(sub { $twice += $_[1] && $ok{"$_[2]$_[3]"}++ > 0 }, 0);
is($twice, 0, 'nothing is sent by two servers');

$receiver->command('a', 'status', 503);
sleep 0.5;
$flow->fault('loss of the primary', sub {
	$primary->kill_all;
	$flow->stop_emitters;
	$receiver->command('*', 'ok');
});
my $owed = $standby->sql('select count(*) from postrider.delivery where status in (\'queued\', \'retrying\', \'scheduled\')');
cmp_ok($owed, '>', 0, "the standby sees $owed deliveries that are owed");
my $position = $receiver->position;
sleep 2;
is($receiver->position, $position, 'and sends none of them');
$flow->{server} = $standby;

# What was owed may all have been sent when pg_promote() returns.
$flow->fault('promotion', sub { $standby->sql('select pg_promote()'); $flow->start_emitters(3, 100) }, flow => 1);
$flow->fault('kill -9 of all', sub { sleep 1; $standby->kill_all; $standby->up }, flow => 1);
sleep 1;
$flow->stop_emitters;
$flow->drain;
$flow->account;
$standby->stop('fast');
done_testing();
