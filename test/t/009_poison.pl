# A message that ends the worker is given up after a few tries, and the rest
# flows on.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = PostriderTest::node('poison', conf => "restart_after_crash = on\nshared_preload_libraries = 'postrider, postrider_test'\n");
my $receiver = PostriderTest::Receiver->start;

# The server may be in the middle of a restart.
sub sql
{
	my ($query) = @_;
	my $out;
	PostriderTest::wait_until(sub {
		# A psql that is refused before it has read the query is an exception.
		(my $code, $out) = eval { $node->psql('postgres', $query) };
		return defined $code && $code == 0;
	}, "the server answers to $query", 60);
	return $out;
}

sub wait_for_sql
{
	my ($query, $value, $seconds) = @_;
	my $last;
	return 1 if eval { PostriderTest::wait_until(sub { ($last = sql($query)) eq $value }, $query, $seconds) };
	diag("wanted $value, last was $last: $query");
	return 0;
}

sql("insert into postrider.endpoint (name, url, backoff_base) values
		('a', '" . $receiver->url('/ok/a') . "', '50 ms'), ('b', '" . $receiver->url('/ok/b') . "', '50 ms'),
		('held', '" . $receiver->url('/ok/held') . "', '50 ms');
	insert into postrider.subscription (topic, endpoint) values ('test.*', 'a'), ('test.*', 'b')");

# One that crashes the server, among others: perhaps before we hear of the commit, and try again.
sql("select postrider.emit('test.' || case i when 50 then 'crash' else 'good' end, to_jsonb(i)) from generate_series(1, 100) i
	where not exists (select from postrider.message where topic = 'test.crash')");
ok(wait_for_sql("select count(distinct endpoint_id) || ' ' || count(*) from postrider.dead_letter where error_code = 'crash'", '2 2', 90),
	'a message that crashes the worker is given up');
for my $endpoint (qw(a b))
{
	ok(eval { PostriderTest::wait_until(sub { keys %{ $receiver->ids("/ok/$endpoint") } == 99 }, 'the rest arrives', 60) },
		"the rest arrives at $endpoint");
}
ok(wait_for_sql("select string_agg(distinct status, ' ') || count(*) from postrider.delivery where topic = 'test.good'", 'delivered198', 30),
	'each is delivered');
is(sql("select string_agg(distinct status || ' ' || error, '') from postrider.delivery where topic = 'test.crash'"),
	'dead the worker ended 3 times in a row while it handled this message; the server log says why', 'the view says what happened');
sql("select postrider.emit('test.good', '101')");
ok($receiver->wait_for_count(1, '/ok/a'), 'and new ones flow');
is(sql("select string_agg(payload::text, ' ') from postrider.dead_letter"), '50 50', 'the payload is kept');

# One that makes it fail, from the table pending.
sql("update postrider.dispatch_cursor set starts = 0");
sql("update postrider.endpoint set enabled = false where name = 'held'");
sql("insert into postrider.message (topic, endpoint, payload) values ('test.error', 'held', '1'), ('test.good', 'held', '2')");
ok(wait_for_sql("select count(*) from postrider.dead_letter where error_code = 'crash'", '3', 90), 'a message that makes the worker fail is given up');
sql("update postrider.endpoint set enabled = true where name = 'held'");
ok($receiver->wait_for_count(1, '/ok/held'), 'the next one to the same endpoint goes');

# Sent again by hand it fails again, and is given up again.
sql("select postrider.retry(message_id) from postrider.dead_letter where payload = '1'");
ok(wait_for_sql("select count(*) from postrider.attempt where error_code = 'crash' and message_id =
		(select id from postrider.message where topic = 'test.error')", '2', 120), 'one that waits in pending is given up too');
sql("select postrider.emit('test.good', '102')");
ok(eval { PostriderTest::wait_until(sub { keys %{ $receiver->ids('/ok/a') } == 101 }, 'it flows', 60) }, 'and the rest flows');

# Somebody who kills the worker again and again condemns nobody.
sql("select postrider.send('a', to_jsonb(i)) from generate_series(1, 300) i");
for (1 .. 5)
{
	my $pid = sql('select pid from postrider.worker');
	kill 'KILL', $pid if $pid;
	sleep 0.3;
}
ok(wait_for_sql("select count(*) from postrider.delivery where endpoint = 'a' and status = 'delivered' and topic = 'message'", '300', 90),
	'a worker that is killed gives up nothing');
is(sql("select count(*) from postrider.dead_letter where error_code = 'crash'"), 3, 'indeed');

$node->stop('fast');
done_testing();
