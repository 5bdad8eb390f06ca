# An endpoint that gets more than it can take holds up nobody: what comes
# for it is deferred, and nothing of that is lost or sent twice.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('deferred', conf => "restart_after_crash = on\n");
my $receiver = PostriderTest::Receiver->start;
my $burst = 8000;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub endpoint
{
	my ($name, $path, $in_flight) = @_;
	sql("insert into postrider.endpoint (name, url, max_in_flight) values ('$name', '" . $receiver->url($path) . "', $in_flight);
		insert into postrider.subscription (topic, endpoint) values ('$name.*', '$name')");
}

sub emit
{
	my ($topic, $count) = @_;
	sql("select count(postrider.emit('$topic', to_jsonb(i))) from generate_series(1, $count) i");
}

# All of a burst is there; returns how many came twice.
sub all_arrived
{
	my ($path, $what) = @_;
	my $seen;
	ok(eval {
		PostriderTest::wait_until(sub { $seen = $receiver->ids($path); keys %$seen >= $burst }, 'all', 60);
	}, "$what: nothing is lost") or diag(scalar(keys %$seen) . " of $burst");
	my $twice = 0;
	$twice += $_ - 1 for values %$seen;
	return $twice;
}

endpoint('busy', '/slow/10/busy', 10);
endpoint('quick', '/ok/quick', 10);

# A message behind the burst, for somebody else
emit('busy.first', $burst);
emit('quick.first', 1);
ok($receiver->wait_for_count(1, '/ok/quick'), 'what comes behind a burst arrives');
my $arrived = $receiver->count('/slow/10/busy');
cmp_ok($arrived, '<', $burst / 2, "and not behind all of it ($arrived of $burst)");
is(sql('select count(*) from postrider.pending'), 0, 'nothing of the burst is in pending');

# Order: one connection at a time is not what this endpoint has, so look at blocks
is(all_arrived('/slow/10/busy', 'burst'), 0, 'and nothing is sent twice');
my @numbers = map { $_->{body} =~ /"data":\s*(\d+)/ ? $1 : () } $receiver->requests('/slow/10/busy');
is(scalar(grep { abs($numbers[$_] - $_ - 1) > 20 } 0 .. $#numbers), 0, 'the order is that of the ids');

# A crash with most of a burst deferred; meanwhile others go on, so the cursor is
# far behind what has been settled.
endpoint('crash', '/slow/10/crash', 10);
emit('crash.a', $burst);
for (1 .. 20) { emit('quick.second', 10) }
ok($receiver->wait_for_count(201, '/ok/quick'), 'others go on');
PostriderTest::wait_until(sub { $receiver->count('/slow/10/crash') > 1000 }, 'some have arrived');
kill 'KILL', sql('select pid from postrider.worker');
PostriderTest::wait_until(sub { ($node->psql('postgres', 'select 1'))[0] == 0 }, 'the server is back');
my $twice = all_arrived('/slow/10/crash', 'kill -9');
cmp_ok($twice, '<', 500, "few are sent twice ($twice)");
is($receiver->count('/ok/quick'), 201, 'what others had got is not sent again');
ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where topic = 'crash.a' and status = 'delivered'", $burst),
	'each is delivered once by the view');

# Disabled with most of it deferred
endpoint('pause', '/slow/10/pause', 10);
emit('pause.a', $burst);
PostriderTest::wait_until(sub { $receiver->count('/slow/10/pause') > 500 }, 'some have arrived');
sql("update postrider.endpoint set enabled = false where name = 'pause'");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery
		where topic = 'pause.a' and status in ('delivered', 'held')", $burst), 'what is left is held for a disabled endpoint');
cmp_ok(sql("select count(*) from postrider.delivery where topic = 'pause.a' and status = 'held'"), '>', $burst / 2, 'most of it');
sql("update postrider.endpoint set enabled = true where name = 'pause'");
is(all_arrived('/slow/10/pause', 'enabled again'), 0, 'and nothing is sent twice');

# One that would take hours goes to pending, so that the cursor can go on.
endpoint('hopeless', '/slow/1000/hopeless', 1);
emit('hopeless.a', $burst);
ok(PostriderTest::wait_for($node, "select count(*) > $burst - 1100 from postrider.pending where reason = 'overflow'", 't'),
	'what a slow endpoint would take hours for goes to pending');
emit('quick.third', 1);
ok(PostriderTest::wait_for($node, "select count(*) from postrider.dispatch_cursor c join postrider.message m on m.topic = 'quick.third'
		where pg_visible_in_snapshot(m.xid, c.snapshot)", 1), 'and the cursor moves on');
my $queued = "select count(*) from postrider.delivery where endpoint = 'hopeless' and status = 'queued'";
cmp_ok(sql($queued), '>', $burst - 1100, 'it is queued');
sql("update postrider.endpoint set enabled = false where name = 'hopeless'");
ok(PostriderTest::wait_for($node, $queued, 0), 'and held when the endpoint is disabled');
sql("update postrider.endpoint set enabled = true where name = 'hopeless'");

# Deleted, with deferred deliveries
endpoint('deleted', '/slow/10/deleted', 10);
emit('deleted.a', $burst);
PostriderTest::wait_until(sub { $receiver->count('/slow/10/deleted') > 500 }, 'some have arrived');
sql("delete from postrider.endpoint where name in ('deleted', 'hopeless')");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt a join postrider.message m on m.id = a.message_id
		where m.topic = 'deleted.a' and a.outcome in ('delivered', 'cancelled')", $burst), 'what is owed to a deleted endpoint is cancelled');
ok(PostriderTest::wait_for($node, 'select count(*) from postrider.pending', 0), 'and nothing stays');

$node->stop('fast');
done_testing();
