# After a point-in-time restore what was committed before the point has been
# delivered at least once, and the flow goes on.
use strict;
use warnings;
use Faults;
use Faults::Flow;
use Faults::Receiver;
use Faults::Server;
use Test::More;
use Time::HiRes qw(sleep time);

Faults::seed();
my $archive = Faults::work() . '/archive';
mkdir $archive or die $!;
my $receiver = Faults::Receiver->new('restore');
my $original = Faults::Server->new('original', conf => <<CONF);
archive_mode = on
archive_command = 'cp %p $archive/%f'
CONF
$original->up;
my $flow = Faults::Flow->new($original, $receiver, 'a', 'b');
$flow->start_emitters(3, 100);
ok(defined $flow->wait_for_flow(0), 'messages flow');
my $restored = Faults::Server->new('restored', backup_of => $original, conf => <<CONF);
archive_mode = off
restore_command = 'cp $archive/%f %p'
recovery_target_name = 'here'
recovery_target_action = 'promote'
CONF
unlink "$restored->{data}/standby.signal";
open(my $signal, '>', "$restored->{data}/recovery.signal") or die $!;

# At the point much is owed: one endpoint is down.
sleep 1;
$receiver->command('b', 'status', 503);
sleep 1;
$original->sql("select pg_create_restore_point('here')");
sleep 1;
$receiver->command('*', 'ok');
sleep 1;
$flow->stop_emitters;
$flow->drain;
my %known = map { $_ => 1 } split /\n/, $original->sql('select id from ledger');
$original->sql('select pg_switch_wal()');
$original->stop('fast');

$flow->fault('restore to a point in time', sub {
	$restored->up;
	ok($restored->wait_for('select pg_is_in_recovery()', 'f'), 'it is restored');
	$flow->{server} = $restored;
});
my $here = $restored->sql('select count(*) from ledger');
cmp_ok($here, '<', scalar keys %known, "the restored server has $here of " . keys(%known) . ' messages');
$flow->start_emitters(3, 100);
$flow->fault('kill -9 of all', sub { sleep 1; $restored->kill_all; $restored->up }, flow => 1);
sleep 1;
$flow->stop_emitters;
$flow->drain;
$flow->account(known => \%known);
$restored->stop('fast');
done_testing();
