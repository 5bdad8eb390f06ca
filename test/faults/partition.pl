# A partition that was not made in time: messages and attempts go to the default
# partitions, and nothing else changes.  And counters of attempts that are
# beyond what the column of the log can hold.
use strict;
use warnings;
use Faults;
use Faults::Flow;
use Faults::Receiver;
use Faults::Server;
use Test::More;
use Time::HiRes qw(sleep time);

Faults::seed();
my $server = Faults::Server->new('partition');
my $receiver = Faults::Receiver->new('partition');
$server->up;
my $flow = Faults::Flow->new($server, $receiver, 'a', 'b');

# Partitions of $days from today on.  The worker must not make them again
# before there are messages, so it is kept away.
sub drop_partitions
{
	my ($days) = @_;
	return <<SQL;
do \$\$
declare
	parent text;
	partition text;
begin
	foreach parent in array array['message', 'attempt']
	loop
		for n in 0 .. $days - 1
		loop
			partition := parent || to_char((now() at time zone 'UTC')::date + n, '_YYYYMMDD');
			continue when to_regclass('postrider.' || partition) is null;
			execute format('alter extension postrider drop table postrider.%I', partition);
			execute format('drop table postrider.%I', partition);
		end loop;
	end loop;
end
\$\$;
insert into ledger (id) select postrider.emit('fault.row', '{}')
SQL
}

$flow->fault('partitions of four days missing', sub { $server->sql(drop_partitions(4)); });
$flow->start_emitters(2, 100);
ok(defined $flow->wait_for_flow(0), 'messages flow without the partition of the day');
sleep 1;
cmp_ok($server->sql('select count(*) from postrider.message_default'), '>', 0, 'through the default partition');
cmp_ok($server->sql('select count(*) from postrider.attempt_default'), '>', 0, 'as do attempts');

# Attaching a partition takes a moment's exclusive lock on the default one, which
# prepared and long transactions hold.
$flow->stop_emitters;
$flow->finish_prepared(0);
ok($server->wait_for("select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()", 0),
	'all sessions have ended');
$flow->fault('maintenance meets them', sub {
	$server->reload;
	ok($server->wait_for("select count(*) from pg_inherits where inhparent = 'postrider.message'::regclass", 4),
		'maintenance makes the partitions of the next days');
});
$flow->start_emitters(2, 100);
$flow->fault('kill -9 of all', sub { $server->kill_all; $server->up }, flow => 1);

# Failed attempts are counted by pending.attempts; the log has a smallint.
for my $attempts (998, 32766, 32767, 40000, 2147483646)
{
	$flow->fault('attempts counter', sub {
		$server->sql("update postrider.endpoint set enabled = false where name = 'b'");
		Faults::wait_until {
			$server->sql("select count(*) from postrider.pending where reason = 'held'") > 5
		} 'some are held';
		$server->sql("begin;
			update postrider.pending set attempts = $attempts where reason = 'held';
			update postrider.endpoint set enabled = true where name = 'b';
			commit");
	}, flow => 1);
	ok($server->wait_for('select count(*) > 0 from postrider.attempt where attempt = '
		. ($attempts < 32767 ? $attempts + 1 : 32767), 't'), "a delivery with $attempts attempts is recorded");
}
$flow->stop_emitters;
$flow->drain;
$flow->account;
$server->stop('fast');
done_testing();
