# The main job: what commits is sent, what does not is not, and SQL tells.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('delivery');
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub endpoint
{
	my ($name, $path, $more) = @_;
	my $url = $receiver->url($path);
	sql("insert into postrider.endpoint (name, url, backoff_base" . ($more ? ", $more->[0]" : '')
		  . ") values ('$name', '$url', '50 ms'" . ($more ? ", $more->[1]" : '') . ")");
}

sub status
{
	my ($endpoint, $status, $count) = @_;
	return PostriderTest::wait_for($node,
		"select count(*) from postrider.delivery where endpoint = '$endpoint' and status = '$status'", $count);
}

my $secret = sql("select postrider.set_secret('shop')");
endpoint('crm', '/ok/crm', ['signing_secret', "'shop'"]);
sql("insert into postrider.subscription (topic, endpoint) values ('order.*', 'crm')");

# Commit sends, with a right signature and the documented body.
my $id = sql(q{select postrider.emit('order.paid', '{"total": 12.50, "name": "Zoë 李"}', key => '7')});
ok($receiver->wait_for_count(1, '/ok/crm'), 'a committed message arrives');
my ($request) = $receiver->requests('/ok/crm');
is($request->{headers}{'webhook-id'}, $id, 'webhook-id is the id of the message');
ok(PostriderTest::verify($request, $secret), 'the signature is right');
like($request->{body},
	qr/^\{"type": ?"order\.paid", ?"timestamp": ?"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ?"data": ?\{"name": "Zo\xc3\xab \xe6\x9d\x8e", "total": 12\.50\}\}$/,
	'the body is type, timestamp and data, and data is what jsonb prints');
is($request->{headers}{'content-type'}, 'application/json', 'content type');
ok(status('crm', 'delivered', 1), 'the view tells that it was delivered');
is(sql("select endpoint || ' ' || attempts || ' ' || status_code || ' ' || key from postrider.delivery where message_id = '$id'"),
	'crm 1 200 7', 'the view tells how');

# What does not commit was never there.
sql(q{begin; select postrider.emit('order.rolled_back', '1'); rollback});
sql(q{begin; savepoint s; select postrider.emit('order.undone', '1'); rollback to s;
	select postrider.emit('order.kept', '1'); commit});
ok($receiver->wait_for_count(2, '/ok/crm'), 'the rest of the transaction arrives');
sleep 0.3;
is($receiver->count('/ok/crm'), 2, 'rolled back transactions and savepoints send nothing');

# A message of a long transaction arrives while later ones have gone ahead.
my $late = $node->background_psql('postgres');
$late->query_safe(q{begin});
$late->query_safe(q{select postrider.emit('order.late', '1')});
sql(qq{select postrider.emit('order.early', '$_')}) for 1 .. 3;
ok($receiver->wait_for_count(5, '/ok/crm'), 'later messages go ahead of an open transaction');
sleep 1.5;
$late->query_safe(q{commit});
$late->quit;
ok($receiver->wait_for_count(6, '/ok/crm'), 'the late message arrives');
like(($receiver->requests('/ok/crm'))[-1]{body}, qr/order\.late/, 'as the last one');

# COMMIT PREPARED runs no callback.
sql(q{begin; select postrider.emit('order.prepared', '1'); prepare transaction 'p'});
sleep 1.2;
is($receiver->count('/ok/crm'), 6, 'a prepared transaction sends nothing');
sql(q{commit prepared 'p'});
ok($receiver->wait_for_count(7, '/ok/crm', 10), 'until it is committed');

# 10,000 rows in one statement.
endpoint('bulk', '/ok/bulk', ['max_in_flight', '32']);
sql(q{create table item (id int primary key, name text, price numeric);
	select postrider.watch('item', 'item.changed');
	insert into postrider.subscription (topic, endpoint) values ('item.changed', 'bulk')});
sql(q{insert into item select i, 'item ' || i, i from generate_series(1, 10000) i});
ok($receiver->wait_for_count(10000, '/ok/bulk', 120), '10,000 rows of one statement arrive');
my %ids = map { $_->{headers}{'webhook-id'} => 1 } $receiver->requests('/ok/bulk');
is(scalar keys %ids, 10000, 'each once');
sql(q{update item set price = price where id < 10});
sql(q{update item set price = 0 where id = 5});
ok($receiver->wait_for_count(10001, '/ok/bulk'), 'an update arrives');
like(($receiver->requests('/ok/bulk'))[-1]{body}, qr/"changed": \["price"\]/, 'and only one that changes something');

# Subscribers: two of one topic, one that comes later, wildcards, filters.
endpoint($_, "/ok/$_") for qw(one two three four five);
sql(q{insert into postrider.subscription (topic, endpoint, filter) values
	('cart.added', 'one', null), ('cart.added', 'two', null),
	('cart.**', 'three', null), ('cart.*', 'four', '$.n > 2')});
sql(q{select postrider.emit('cart.added', '{"n": 1}')});
ok($receiver->wait_for_count(1, "/ok/$_"), "subscriber $_ of the same topic gets it") for qw(one two three);
sql(q{insert into postrider.subscription (topic, endpoint) values ('cart.added', 'five')});
sql(q{select postrider.emit('cart.added', '{"n": 3}')});
ok($receiver->wait_for_count(1, '/ok/five'), 'a later subscriber gets later messages');
ok($receiver->wait_for_count(1, '/ok/four'), 'a filter lets through what fits');
sql(q{select postrider.emit('cart.item.added', '{"n": 9}')});
ok($receiver->wait_for_count(3, '/ok/three'), '** covers any number of words');
sleep 0.3;
is($receiver->count('/ok/five'), 1, 'a later subscriber does not get earlier messages');
is($receiver->count('/ok/four'), 1, 'a filter keeps back what does not fit, * covers one word');

# Failures.
endpoint('shaky', '/first/503/2');
$id = sql(q{select postrider.send('shaky', '1')});
ok($receiver->wait_for_count(3, '/first/503/2'), '503 is tried again');
ok(status('shaky', 'delivered', 1), 'until it is delivered');
is(sql("select string_agg(outcome || ':' || status_code, ' ' order by attempt) from postrider.attempt where message_id = '$id'"),
	'retry:503 retry:503 delivered:200', 'each attempt is on record');

endpoint('busy', '/after/429/1/2');
sql(q{select postrider.send('busy', '1')});
ok($receiver->wait_for_count(2, '/after/429/1/2'), 'Retry-After is waited for');
my @times = map { $_->{time} } $receiver->requests('/after/429/1/2');
cmp_ok($times[1] - $times[0], '>=', 1.9, 'as long as the receiver asked');

endpoint('refusing', '/status/422');
sql(q{select postrider.send('refusing', '{"a": 1}')});
ok(status('refusing', 'dead', 1), 'other 4xx is dead at once');
is(sql(q{select status_code || ' ' || error_code || ' ' || payload from postrider.dead_letter
	where endpoint_id = (select id from postrider.endpoint where name = 'refusing')}),
	'422 http_422 {"a": 1}', 'the dead letter has the reason and the message');

endpoint('moved', '/status/302');
sql(q{select postrider.send('moved', '1')});
ok(status('moved', 'dead', 1), 'a redirect is not followed');

endpoint('limited', '/status/500', ['max_attempts', '3']);
sql(q{select postrider.send('limited', '1')});
ok(status('limited', 'dead', 1), 'max_attempts ends it');
is($receiver->count('/status/500'), 3, 'after so many attempts');

endpoint('silent', '/hang', ['timeout, max_attempts', "'200 ms', 2"]);
sql(q{select postrider.send('silent', '1')});
ok(status('silent', 'dead', 1), 'a receiver that hangs is timed out');
is(sql(q{select error_code from postrider.dead_letter where endpoint_id =
	(select id from postrider.endpoint where name = 'silent')}), 'timeout', 'and said to be');

endpoint('cut', '/reset', ['max_attempts', '2']);
sql(q{select postrider.send('cut', '1')});
ok(status('cut', 'dead', 1), 'a connection that breaks is a failure');

endpoint('endless', '/endless');
sql(q{select postrider.send('endless', '1')});
ok(status('endless', 'delivered', 1), 'of an endless response only the beginning is read');

endpoint('gone', '/gone');
sql(q{select postrider.send('gone', '1')});
ok(status('gone', 'dead', 1), '410 is dead');
ok(PostriderTest::wait_for($node, q{select enabled::text || ' ' || disabled_reason from postrider.endpoint where name = 'gone'},
	'false the receiver answered with status 410: the endpoint is gone'), '410 disables the endpoint');
sql(q{select postrider.send('gone', '2')});
ok(status('gone', 'held', 1), 'what is for a disabled endpoint is held');
sql("update postrider.endpoint set url = '" . $receiver->url('/ok/back') . "', enabled = true where name = 'gone'");
ok($receiver->wait_for_count(1, '/ok/back'), 'and flows when it is enabled');

# Times.
endpoint('timed', '/ok/timed');
sql(q{select postrider.send('timed', '1', deliver_at => now() + interval '1.5 s')});
ok(status('timed', 'scheduled', 1), 'deliver_at schedules');
is($receiver->count('/ok/timed'), 0, 'nothing is sent before');
ok($receiver->wait_for_count(1, '/ok/timed'), 'it is sent then');
endpoint('fading', '/status/503/fading', ['backoff_max, max_attempts', "'200 ms', 1000"]);
sql(q{select postrider.send('fading', '1', expires_at => now() + interval '700 ms')});
ok(status('fading', 'expired', 1), 'a message expires');

# A dead letter is retried.
$id = sql(q{select message_id from postrider.dead_letter where endpoint_id =
	(select id from postrider.endpoint where name = 'refusing')});
sql("update postrider.endpoint set url = '" . $receiver->url('/ok/mended') . "' where name = 'refusing'");
is(sql("select postrider.retry('$id')"), 1, 'retry says how many');
ok($receiver->wait_for_count(1, '/ok/mended'), 'and it goes');
ok(status('refusing', 'delivered', 1), 'and the view tells');

# The receiver goes down and comes back.
# It may be down for longer than twelve attempts take.
endpoint('downtime', '/ok/downtime', ['backoff_max, max_attempts, breaker_share', "'300 ms', 1000, null"]);
$receiver->down;
sql(q{select postrider.send('downtime', '1')});
ok(PostriderTest::wait_for($node, q{select bool_or(error_code = 'connect')::text from postrider.attempt
	where endpoint_id = (select id from postrider.endpoint where name = 'downtime')}, 'true'), 'a receiver that is down');
$receiver->up;
ok($receiver->wait_for_count(1, '/ok/downtime'), 'gets it when it is back');

# Every kind of JSON value, deep, in any script, arrives as jsonb prints it.
endpoint('exact', '/ok/exact');
$id = sql(q{select postrider.send('exact', (repeat('[', 500) || '{"шило": "\\"\\\\\\n\\u0001 مرحبا 🚚", "n": [1.10, -0, 1e300, 12345678901234567890.123], "b": [true, false, null], "": {}, "a": []}' || repeat(']', 500))::jsonb)});
ok($receiver->wait_for_count(1, '/ok/exact'), 'a payload with everything arrives');
my ($data) = ($receiver->requests('/ok/exact'))[0]{body} =~ /"data":(.*)\}\z/s;
utf8::decode($data);
my $printed = sql("select payload from postrider.message where id = '$id'");
utf8::decode($printed) unless utf8::is_utf8($printed);
is($data, $printed, 'byte for byte as jsonb prints it');

# Headers: the message's win over the endpoint's, and these over ours.
endpoint('plain', '/ok/plain', [ 'headers', q{'{"X-Shop": "main", "content-type": "application/vnd.shop+json", "X-Kind": "a"}'} ]);
sql(q{select postrider.send('plain', '1')});
sql(q{select postrider.send('plain', '2', headers => '{"x-kind": "b", "User-Agent": "shop/1"}')});
sql(q{select postrider.send('plain', '3')});
ok($receiver->wait_for_count(3, '/ok/plain'), 'messages with headers arrive');
my @sent = sort { $a->{body} cmp $b->{body} } map { { %$_, body => $_->{body} =~ /"data": ?(\d)/ } } $receiver->requests('/ok/plain');
is(join(' ', map { $_->{headers}{'x-shop'} . $_->{headers}{'x-kind'} } @sent), 'maina mainb maina', 'a header of the message wins');
is(join(' ', map { $_->{headers}{'content-type'} } @sent), join(' ', ('application/vnd.shop+json') x 3), 'one of the endpoint replaces ours');
is($sent[1]{headers}{'user-agent'}, 'shop/1', 'and so does one of the message');
like($sent[2]{headers}{'user-agent'}, qr/^postrider/, 'for that message only');

# Deduplication.
is(sql(q{select postrider.emit('dedup.test', '1', dedup_key => 'k') = postrider.emit('dedup.test', '2', dedup_key => 'k')}),
	't', 'a deduplication key that is in use returns the id that has it');
is(sql(q{select count(*) from postrider.message where topic = 'dedup.test'}), 1, 'and emits nothing');

# SIGHUP.
$node->reload;
sql(q{select postrider.send('crm', '"after reload"')});
ok(PostriderTest::wait_for($node, q{select status from postrider.delivery where endpoint = 'crm' and topic = 'message'}, 'delivered'),
	'it goes on after SIGHUP');
is(sql(q{select count(*) from postrider.dead_letter where error_code = 'address_refused'}), 0, 'nothing was refused by the guard so far');
$node->append_conf('postgresql.conf', "postrider.allowed_networks = ''");
$node->reload;
sleep 0.5;
endpoint_direct('guarded', 'http://localtest.invalid/');
sub endpoint_direct { sql("insert into postrider.endpoint (name, url, backoff_base) values ('$_[0]', '$_[1]', '50 ms')"); }
my ($code, $out, $err) = $node->psql('postgres', "insert into postrider.endpoint (name, url) values ('inside', 'http://127.0.0.1/')");
isnt($code, 0, 'a private address is refused when the row is written');
like($err, qr/allowed_networks/, 'with a hint');

$node->stop('fast');
done_testing();
