# The controls of somebody who runs it: each on one and on many, each says how
# many it touched, and says so when it was nothing.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('controls');
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Result and what psql says on stderr
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return ($out, $err); }

sub endpoint
{
	my ($name, $path, $columns, $values) = @_;
	sql("insert into postrider.endpoint (name, url, backoff_base" . ($columns || '') . ") values ('$name', '"
		. $receiver->url($path) . "', '1 hour'" . ($values || '') . ")");
}
sub subscribe { sql("insert into postrider.subscription (topic, endpoint) values ('$_[1]', '$_[0]')"); }
sub wait_status
{
	my ($where, $status, $count) = @_;
	return PostriderTest::wait_for($node, "select count(*) from postrider.delivery where status = '$status' and $where", $count);
}

endpoint('shop.a', '/ok/a', ', tenant', ", 'red'");
endpoint('shop.b', '/ok/b', ', tenant', ", 'blue'");
endpoint('crm', '/ok/crm');
subscribe($_, 'order.*') for qw(shop.a shop.b crm);

# pause, resume
is(sql("select postrider.pause('crm', reason => 'they migrate')"), 1, 'pause says how many');
sql("select postrider.emit('order.paid', jsonb_build_object('n', n), key => 'k' || n) from generate_series(1, 20) n");
ok(wait_status("endpoint = 'crm'", 'held', 20), 'what comes for a paused endpoint is held');
is($receiver->count('/ok/crm'), 0, 'and nothing was sent');
my ($out, $err) = said("select postrider.pause('crm')");
is($out, 0, 'pausing it again touches nothing');
like($err, qr/NOTICE:  pause: nothing matches.*HINT/s, 'which is said');
is(sql("select count(*) from postrider.explain((select id from postrider.message where key = 'k1')) where what = 'held' and detail like '%paused (they migrate)%resume(''crm'')%'"),
	1, 'explain says why it waits, and what to do');
is(sql("select postrider.resume('crm')"), 1, 'resume says how many');
ok($receiver->wait_for_count(20, '/ok/crm'), 'what was held flows');
is(sql("select bool_and(enabled and disabled_reason is null) from postrider.endpoint"), 't', 'nobody was blamed');
is(sql("select postrider.pause('shop.*')"), 2, 'many by a pattern');
is(sql("select postrider.resume(tenant => 'red')"), 1, 'one by its tenant');
is(sql("select string_agg(name, ',') from postrider.endpoint where paused_at is not null"), 'shop.b', 'and the other not');
is(sql("select postrider.resume()"), 1, 'all that are paused');
like((said("select postrider.pause('crn')"))[1], qr/ERROR:  endpoint "crn" does not exist/, 'a name that is not there is an error');
like((said("select postrider.pause('x.*')"))[1], qr/ERROR:  no endpoint has a name like "x\.\*"/, 'a pattern as well');
sql("update postrider.endpoint set enabled = false where name = 'crm'; select postrider.pause('crm')");
like((said("select postrider.resume('crm')"))[1], qr/endpoint "crm" is disabled as well/, 'resume of a disabled one says so');
sql("update postrider.endpoint set enabled = true where name = 'crm'");

# retry of many, purge
endpoint('bad', '/status/422/bad');
subscribe('bad', 'bill.*');
sql("select postrider.emit('bill.' || case when n % 2 = 0 then 'even' else 'odd' end, '{}', key => 'b' || n) from generate_series(1, 10) n");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.dead_letter", 10), 'ten dead letters');
like((said("select postrider.retry()"))[1], qr/ERROR:  retry needs to know which deliveries/, 'retry of everything must be said');
($out, $err) = said("select postrider.retry(endpoint => 'bad', status_code => 500)");
is($out, 0, 'retry that fits nothing');
like($err, qr/NOTICE:  retry: nothing matches/, 'says so');
sql("update postrider.endpoint set url = '" . $receiver->url('/ok/bad') . "' where name = 'bad'");
is(sql("select postrider.retry(topic => 'bill.even')"), 5, 'retry by topic');
ok($receiver->wait_for_count(5, '/ok/bad'), 'they are sent');
is(sql("select postrider.retry(endpoint => 'bad', status_code => 422, since => now() - interval '1 hour', key => 'b1')"), 1, 'by several arguments at once');
ok($receiver->wait_for_count(6, '/ok/bad'), 'and sent');
like((said("select postrider.purge()"))[1], qr/ERROR:  purge needs to know/, 'purge of everything must be said');
is(sql("select postrider.purge(key => 'b3')"), 1, 'purge of one');
is(sql("select postrider.purge(until => now())"), 3, 'purge of all');
($out, $err) = said("select postrider.purge(until => now())");
is($out, 0, 'purge of nothing');
like($err, qr/NOTICE:  purge/, 'says so');
is(sql("select count(*) from postrider.attempt where status_code = 422"), 10, 'the attempts stay on record');

# cancel
endpoint('later', '/ok/later');
subscribe('later', 'plan.*');
sql("select postrider.emit('plan.' || case when n > 6 then 'old' else 'new' end, jsonb_build_object('n', n), key => 'p' || n,
	deliver_at => now() + interval '1 hour') from generate_series(1, 10) n");
ok(wait_status("endpoint = 'later'", 'scheduled', 10), 'ten are scheduled');
like((said("select postrider.cancel()"))[1], qr/ERROR:  cancel needs to know/, 'cancel of everything must be said');
is(sql("select postrider.cancel(topic => 'plan.old', reason => 'wrong list')"), 4, 'cancel by topic');
is(sql("select postrider.cancel(endpoint => 'later', filter => '\$.n == 1')"), 1, 'by a filter');
is(sql("select postrider.cancel(message_id => id) from postrider.message where key = 'p2'"), 1, 'by message');
is(sql("select string_agg(distinct status || ': ' || error, '; ' order by status || ': ' || error) from postrider.delivery where endpoint = 'later' and status = 'cancelled'"),
	'cancelled: cancelled by postgres; cancelled: cancelled: wrong list', 'it is on record');
($out, $err) = said("select postrider.cancel(key => 'p2')");
is($out, 0, 'what is cancelled cannot be cancelled');
like($err, qr/NOTICE:  cancel.*HINT:  Only what waits/s, 'which is said');
is(sql("select postrider.retry(endpoint => 'later')") || 0, 0, 'retry of many leaves what is scheduled');
is(sql("select postrider.retry(message_id => id) from postrider.message where key = 'p3'"), 1, 'retry of one does not');
ok($receiver->wait_for_count(1, '/ok/later'), 'it is sent');

# replay
endpoint('new', '/ok/new');
subscribe('new', 'order.*');
is(sql("select postrider.replay('new', now() - interval '1 hour')"), 20, 'replay to an endpoint that was not there');
ok($receiver->wait_for_count(20, '/ok/new'), 'it gets them');
is(sql("select postrider.replay('crm', now() - interval '1 hour', filter => '\$.n > 18')"), 2, 'replay of what was delivered, by a filter');
ok($receiver->wait_for_count(22, '/ok/crm'), 'it gets them again');
is(sql("select postrider.replay('crm', now() - interval '1 hour', topic => 'bill.*', key => 'b1')"), 1, 'a topic that it has not subscribed, by key');
ok($receiver->wait_for_count(23, '/ok/crm'), 'it gets that');
($out, $err) = said("select postrider.replay('crm', now() - interval '1 hour', topic => 'none')");
is($out, 0, 'replay of nothing');
like($err, qr/NOTICE:  replay.*messages of that time were looked at/s, 'says what it looked at');
like((said("select postrider.replay('crm', now() + interval '1 hour')"))[1], qr/ERROR:  since .* must be before until/, 'a time to come is refused');
like((said("select postrider.replay('crm', null)"))[1], qr/ERROR:  replay needs an endpoint and a time/, 'so is none');
like((said("select postrider.replay('crm', now() - interval '1 hour', topic => 'a..b')"))[1], qr/ERROR:  "a\.\.b" is no topic/, 'so is what is no topic');

# A long one shows how far it is, and can be cancelled.  Nobody has subscribed, or the worker
# would be there first.
sql("update postrider.subscription set enabled = false; select postrider.pause('new')");
sql("select count(*) from (select postrider.emit('order.bulk', '{}') from generate_series(1, 200000)) x");
my $long = $node->background_psql('postgres', on_error_stop => 0);
$long->query_until(qr/begun/, "\\echo begun\nselect postrider.replay('new', now() - interval '1 hour', topic => 'order.bulk', filter => '\$ ? (@.x like_regex \"^(a+)+\$\" || !exists(@.x))');\n");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.progress where command = 'replay' and target = 'new' and share between 0 and 1 and messages >= 10000 and deliveries > 0", 1),
	'postrider.progress shows it');
is(sql("select bool_or(pg_cancel_backend(pid)) from postrider.progress"), 't', 'it is cancelled');
ok(PostriderTest::wait_for($node, "select count(*) from postrider.progress", 0), 'and is gone');
is(sql("select count(*) from postrider.pending where reason = 'replay'"), 0, 'and left nothing behind');
$long->quit;

# explain
my $id = sql("select id from postrider.message where key = 'k1'");
is(sql("select string_agg(what, ',' order by what) from postrider.explain('$id') where endpoint is null"), 'emitted', 'explain: the message');
is(sql("select detail from postrider.explain('$id') where endpoint = 'bad' and what = 'not matched'"),
	'subscription 4 to bill.*: it is not enabled; the topic is order.paid; the subscription was made later, at '
	. sql("select postrider.id_time(after_id) from postrider.subscription where endpoint = 'bad'"), 'why a subscription did not match');
like(sql("select detail from postrider.explain('$id') where endpoint = 'shop.a' and what = 'not matched'"), qr/the endpoint is for tenant red/, 'tenants');
like(sql("select string_agg(detail, '|') from postrider.explain('$id') where endpoint = 'crm' and what = 'delivered'"), qr/attempt 1, status 200, [\d.]+ ms/, 'each attempt');
like((said("select * from postrider.explain('00000000-0000-7000-8000-000000000000')"))[1], qr/ERROR:  message .* is not known.*postrider.retention/s, 'one that is not known');

# Rights
sql("create role clerk login in role postrider_reader; create role boss login in role postrider_admin");
like((said("set role clerk; select postrider.pause('crm')"))[1], qr/permission denied for function pause/, 'a reader controls nothing');
is(sql("set role boss; select postrider.pause('crm')"), 1, 'an admin does');

# An endpoint that is deleted with a request in flight, which then fails
endpoint('gone', '/hang', ', timeout', ", '5 min'");
my $gone = sql("select postrider.send('gone', '{}', deliver_at => now() + interval '100 ms')");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.pending where message_id = '$gone' and reason = 'in_flight'", 1), 'it is in flight');
sql("delete from postrider.endpoint where name = 'gone'");
$receiver->down;
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt where message_id = '$gone' and duration_ms > 0", 1), 'the request ends');
is(sql("select string_agg(outcome, ',') from postrider.attempt where message_id = '$gone'"), 'cancelled', 'the delivery is cancelled, once');
is(sql("select count(*) from postrider.pending where message_id = '$gone'"), 0, 'and nothing is owed');

$node->stop;
done_testing();
