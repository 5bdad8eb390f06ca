# ALTER EXTENSION postrider UPDATE while messages are emitted and the worker runs: it
# waits as long as library and SQL objects are of different versions, emit does not, and
# then everything is delivered, once.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('upgrade_running', no_extension => 1);
my $receiver = PostriderTest::Receiver->start;
my $version = $node->safe_psql('postgres', q{select default_version from pg_available_extensions where name = 'postrider'});
my $running = q{select count(*) from pg_stat_activity where backend_type = 'postrider worker'};
my $waits = 'select last_error from postrider.worker_status()';

sub emit
{
	my ($from, $to) = @_;
	$node->safe_psql('postgres', qq{select postrider.emit('order.paid', to_jsonb(i), key => 'k' || i) from generate_series($from, $to) i});
}

# New library, old SQL objects.
$node->safe_psql('postgres', q{create extension postrider version '0.1.0'});
my $url = $receiver->url('/ok');
$node->safe_psql('postgres', "insert into postrider.endpoint (name, url) values ('shop', '$url');
	insert into postrider.subscription (topic, endpoint) values ('order.*', 'shop')");
PostriderTest::wait_until(sub {
	slurp_file($node->logfile) =~ /library is version \Q$version\E, its SQL objects are version 0\.1\.0/
}, 'the worker says why it waits');
like(slurp_file($node->logfile), qr/Run ALTER EXTENSION postrider UPDATE/, 'and what to do');
emit(1, 100);
is($node->safe_psql('postgres', 'select count(*) from postrider.message'), 100, 'emit writes messages all the same');
is($node->safe_psql('postgres', $running), 1, 'the worker waits');
my ($status, $out, $error) = $node->psql('postgres', q{select postrider.send_test('shop', '{}')});
isnt($status, 0, 'a test request is refused');
like($error, qr/SQL objects are version 0\.1\.0/, 'with the reason');
($status, $out, $error) = $node->psql('postgres', 'select * from postrider.endpoint_status()');
like($error, qr/SQL objects are version 0\.1\.0/, 'a function whose columns have changed says the same, and does not crash');

# The update, with transactions open and more to come.
my $open = $node->background_psql('postgres');
$open->query_safe('begin');
$open->query_safe(q{select postrider.emit('order.paid', '101', key => 'k101')});
is($receiver->count, 0, 'nothing is sent before the update');
$node->safe_psql('postgres', 'alter extension postrider update');
ok($receiver->wait_for_count(100), 'the worker goes on by itself');
$open->query_safe('commit');
$open->quit;
emit(102, 150);
ok($receiver->wait_for_count(150), 'what was open and what came later is delivered');
PostriderTest::wait_for($node, q{select count(*) from postrider.attempt where outcome = 'delivered'}, 150);
is($receiver->count, 150, 'everything once');
is($node->safe_psql('postgres', 'select postrider.library_version()'), $version, 'library_version()');

# Old library, new SQL objects: as if they were of a later version.  Alerts, whose errors a
# worker survives, may be the first to see it.
$node->safe_psql('postgres', q{alter system set postrider.alert_interval = '20ms'});
$node->safe_psql('postgres', 'select pg_reload_conf()');
$node->safe_psql('postgres', 'alter extension postrider update to \'9.9.9\'');
PostriderTest::wait_until(sub {
	slurp_file($node->logfile) =~ /versions_differ.*its SQL objects are version 9\.9\.9/
}, 'the worker stops working');
emit(151, 170);
like(slurp_file($node->logfile), qr/Install version 9\.9\.9 of the library, and restart the server/, 'and says what to do');
is($node->safe_psql('postgres', 'select count(*) from postrider.message'), 170, 'emit still writes messages: the table is as it was');
is($receiver->count, 150, 'nothing is sent');
$node->safe_psql('postgres', q{begin; alter table postrider.message add column extra text; rollback});
($status, $out, $error) = $node->psql('postgres', q{begin; alter table postrider.message add column extra text;
	select postrider.emit('order.paid', '1')});
like($error, qr/SQL objects are version 9\.9\.9/, 'emit fails only if the table is another one');
$node->restart;
emit(171, 180);
is($receiver->count, 150, 'nor after a restart');
$node->safe_psql('postgres', "alter extension postrider update to '$version'");
ok($receiver->wait_for_count(180), 'when the versions agree, all that waited is delivered');
PostriderTest::wait_for($node, q{select count(*) from postrider.attempt where outcome = 'delivered'}, 180);
is($receiver->count, 180, 'once');
done_testing();
