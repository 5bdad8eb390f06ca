# coalesce: only the newest of the waiting messages of a key is sent.
# priority: critical messages never wait behind bulk, and bulk never starves.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('coalesce');
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub count_of
{
	my ($endpoint, $status) = @_;
	return "select count(*) from postrider.delivery where endpoint = '$endpoint' and status = '$status'";
}
sub wait_for { return PostriderTest::wait_for($node, @_); }

sub endpoint
{
	my ($name, $path, %columns) = @_;
	my @names = sort keys %columns;
	sql("insert into postrider.endpoint (" . join(', ', 'name', 'url', @names) . ") values ("
		. join(', ', map { "'$_'" } $name, $receiver->url($path), map { $columns{$_} } @names) . ")");
}

sub data { return map { decode_json($_->{body})->{data} } $receiver->requests($_[0]); }

# A hundred states of ten rows wait: the newest of each goes.
endpoint('states', '/ok/states', coalesce => 'true');
sql("select postrider.pause('states')");
sql("select count(postrider.send('states', jsonb_build_object('k', k, 'n', n), key => 'k' || k)) from generate_series(1, 100) n, generate_series(1, 10) k");
sql("select count(postrider.send('states', jsonb_build_object('n', n))) from generate_series(1, 5) n");
ok(wait_for(count_of('states', 'held'), 15), 'of a thousand the newest ones wait');
sql("select postrider.resume('states')");
ok(wait_for(count_of('states', 'delivered'), 15), 'the newest of each key and those without are delivered');
is(sql(count_of('states', 'superseded')), 990, 'the others are superseded, on record');
is_deeply([ sort { $a <=> $b } map { $_->{n} } grep { $_->{k} } data('/ok/states') ], [ (100) x 10 ], 'what arrived is the newest');
is(sql("select count(*) from postrider.pending"), 0, 'nothing is left');
is(sql("select count(*) from postrider.explain((select message_id from postrider.delivery where endpoint = 'states' and status = 'superseded' limit 1)) where detail like '%newer message of its key%'"), 1, 'explain says so');

# While one is in flight, those behind it are coalesced; it is not interrupted.
endpoint('slow', '/slow/700/slow', coalesce => 'true');
sql("select postrider.send('slow', '{\"n\": 1}', key => 'a')");
ok($receiver->wait_for_count(1, '/slow/700/slow'), 'one is in flight');
sql("select count(postrider.send('slow', jsonb_build_object('n', n), key => 'a')) from generate_series(2, 50) n");
ok(wait_for(count_of('slow', 'delivered'), 2), 'the first and the last are delivered');
is_deeply([ map { $_->{n} } data('/slow/700/slow') ], [ 1, 50 ], 'and nothing between');
is(sql(count_of('slow', 'superseded')), 48, 'which is superseded');

# One that fails gives way to a newer one.
endpoint('failing', '/status/503/failing', coalesce => 'true', backoff_base => '1 hour', backoff_max => '1 hour');
sql("select postrider.send('failing', '{\"n\": 1}', key => 'a'), postrider.send('failing', '{\"n\": 1}', key => 'b')");
ok(wait_for(count_of('failing', 'retrying'), 2), 'two will be tried again');
sql("update postrider.endpoint set url = '" . $receiver->url('/ok/failing') . "' where name = 'failing'");
sql("select postrider.send('failing', '{\"n\": 2}', key => 'a')");
ok(wait_for(count_of('failing', 'superseded'), 1), 'a newer one of its key ends the one');
is(sql(count_of('failing', 'retrying')), 1, 'and not the other');
is_deeply([ map { $_->{n} } data('/ok/failing') ], [2], 'the newer one has arrived');

# In batches, after a restart.
endpoint('both', '/ok/both', coalesce => 'true', batch_size => 10, batch_format => 'json-array');
sql("select postrider.pause('both')");
sql("select count(postrider.send('both', jsonb_build_object('k', k, 'n', n), key => 'k' || k)) from generate_series(1, 30) n, generate_series(1, 10) k");
$node->restart;
sql("select postrider.resume('both')");
ok(wait_for(count_of('both', 'delivered'), 10), 'coalesced after a restart');
is(sql(count_of('both', 'superseded')), 290, 'the others are superseded');

# ordered with coalesce contradicts.
my ($status, $out, $err) = $node->psql('postgres', "insert into postrider.endpoint (name, url, ordered, coalesce) values ('bad', 'https://example.com', true, true)");
like($err, qr/ERROR:.*(ordered|coalesce).*\nHINT/, 'ordered with coalesce is refused');

# 3,000 bulk messages at about 50/s, then a critical one, and a high one.
endpoint('bulk', '/slow/20/bulk', max_in_flight => 1);
sql("select count(postrider.send('bulk', jsonb_build_object('n', n), priority => 'bulk')) from generate_series(1, 3000) n");
ok($receiver->wait_for_count(5, '/slow/20/bulk'), 'bulk flows');
my $before = $receiver->count('/slow/20/bulk');
sql("select postrider.send('bulk', '{\"n\": \"critical\"}', priority => 'critical')");
my $place = sub {
	my ($what) = @_;
	my @all = map { $_->{n} } data('/slow/20/bulk');
	my ($place) = grep { $all[$_] eq $what } 0 .. $#all;
	return defined $place ? $place + 1 : 0;
};
PostriderTest::wait_until { $place->('critical') } 'the critical one arrives';
cmp_ok($place->('critical') - $before, '<=', 10, 'a critical one does not wait behind bulk');

# Bulk does not starve behind a stream of critical ones.
sql("select count(postrider.send('bulk', jsonb_build_object('n', 'c' || n), priority => 'critical')) from generate_series(1, 500) n");
PostriderTest::wait_until { 500 == grep { $_->{n} =~ /^c\d/ } data('/slow/20/bulk') } 'five hundred critical ones arrive', 60;
my @order = map { $_->{n} } data('/slow/20/bulk');
my @critical = grep { $order[$_] =~ /^c\d/ } 0 .. $#order;
my $bulk_between = grep { $_ =~ /^\d+$/ } @order[$critical[0] .. $critical[-1]];
cmp_ok($bulk_between, '>=', 2, "bulk goes on meanwhile: $bulk_between");
cmp_ok($bulk_between, '<=', 50, 'but not much');
is(sql("select distinct priority from postrider.message where payload ->> 'n' = 'critical'"), 3, 'the priority is in the message');

# Also when it comes from pending.
sql("select postrider.pause('bulk')");
sql("select postrider.send('bulk', '{\"n\": \"late\"}', priority => 'critical')");
ok(wait_for("select count(*) from postrider.pending where priority = 3 and reason = 'held'", 1), 'a critical one is held');
my $when = $receiver->count('/slow/20/bulk');
sql("select postrider.resume('bulk')");
PostriderTest::wait_until { $place->('late') } 'it arrives', 60;
cmp_ok($place->('late') - $when, '<=', 100, 'and does not wait behind thousands: ' . ($place->('late') - $when));

($status, $out, $err) = $node->psql('postgres', "select postrider.emit('a.b', '{}', priority => 'urgent')");
like($err, qr/"urgent" is not a priority\nHINT:  Use bulk, normal, high or critical/, 'an unknown priority is refused with a hint');

# A watched table
sql("create table alarm (id integer primary key); select postrider.watch('alarm', priority => 'critical')");
sql('insert into alarm values (1)');
is(sql("select priority from postrider.message where topic = 'alarm.insert'"), 3, 'a watched table can be critical');
($status, $out, $err) = $node->psql('postgres', "select postrider.watch('alarm', priority => 'soon')");
like($err, qr/"soon" is not a priority\nHINT/, 'but not anything else');

$receiver->down;
done_testing();
