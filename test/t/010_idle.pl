# While nothing happens, nothing is run: no transaction, no WAL.  Only alerts are looked
# at every 15 seconds, while there are any.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = PostriderTest::node('idle', conf => "autovacuum = off\npostrider.workers = 2\npostrider.alert_interval = 0\n");
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('template1', $_[0]); }

# Of database postgres, seen from another one: our own look does not count.
sub activity
{
	return sql(q{select xact_commit + xact_rollback from pg_stat_database where datname = 'postgres'})
	  . ' ' . sql(q{select pg_current_xact_id_if_assigned() is null, pg_snapshot_xmax(pg_current_snapshot())});
}

$node->safe_psql('postgres', "insert into postrider.endpoint (name, url) values ('a', '" . $receiver->url('/ok/a') . "'),
		('b', '" . $receiver->url('/ok/b') . "');
	insert into postrider.subscription (topic, endpoint) values ('t.*', 'a'), ('t.*', 'b');
	select postrider.emit('t.a', '1')");
ok($receiver->wait_for_count(1, "/ok/$_"), 'a message is delivered') for qw(a b);

# After each start one transaction comes late: see WELL_MS in careful.c.
sleep 33;
# Once a minute there are statistics to write, and a busy machine is late with all of it:
# one window of several is quiet.
my ($before, $after);
for (1 .. 6)
{
	$before = activity();
	sleep 10;
	$after = activity();
	last if $after eq $before;
}
is($after, $before, 'no transaction in 10 seconds');
is($node->safe_psql('postgres', 'select count(*) from postrider.attempt'), 2, 'and the worker is well');

$node->stop('fast');
done_testing();
