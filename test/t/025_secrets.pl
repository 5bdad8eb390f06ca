# Secrets: versions that overlap, their end and the messages about it, who uses them.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('secrets');
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
sub signatures { return scalar(() = ($_[0]{headers}{'webhook-signature'} // '') =~ /v1,/g); }

# Sends a message and returns the request.
my %sent;
sub request
{
	my ($path) = @_;
	$path = '/ok' . ($path // '');
	sql("select postrider.send('a', '1')");
	$receiver->wait_for_count(++$sent{$path}, $path);
	return ($receiver->requests($path))[-1];
}

my $first = sql("select postrider.set_secret('sign')");
sql("insert into postrider.endpoint (name, url, signing_secret) values ('a', '" . $receiver->url('/ok') . "', 'sign')");
ok(PostriderTest::verify(request(), $first), 'the value signs');

# A rotation.
my $second = sql("select postrider.set_secret('sign', overlap => '6 s')");
my $overlap_end = time + 6;
my $request = request();
ok(PostriderTest::verify($request, $first), 'a receiver with the old value accepts during the overlap');
ok(PostriderTest::verify($request, $second), 'one with the new value too');
like($request->{headers}{'webhook-signature'}, qr/^v1,\S{44} v1,\S{44}$/, 'two signatures, separated by a space');
is(sql("select state, version, versions_in_force, old_retires_at > now(), used_by from postrider.secret_status where name = 'sign'"),
	'rotating|2|{2,1}|t|{"endpoint a"}', 'and the view shows it');
my $now = time;
sleep $overlap_end - $now + 0.5 if $overlap_end > $now;
$request = request();
ok(!PostriderTest::verify($request, $first), 'after the overlap the old value signs no more');
ok(PostriderTest::verify($request, $second), 'the new one does');
is(signatures($request), 1, 'alone');
ok(PostriderTest::wait_for($node, "select string_agg(version::text, ',') from postrider.secret_version where name = 'sign'", '2'), 'the old value is deleted');
my $third = sql("select postrider.set_secret('sign', overlap => '0')");
$request = request();
is_deeply([ map { PostriderTest::verify($request, $_) ? 1 : 0 } $second, $third ], [ 0, 1 ], 'without an overlap the old value ends at once');
is(signatures($request), 1, 'at once');
sql("select postrider.set_secret('sign') from generate_series(1, 4)");
is(signatures(request()), 5, 'several rotations in a row: all that are in force sign');
like(said("select postrider.set_secret('sign')"), qr/ERROR:  secret "sign" has 5 values in force already\nHINT:  With overlap => '0'/, 'but not without limit');
is(sql("select postrider.set_secret('sign', overlap => '0') is not null"), 't', 'which is no trap');

# A rotation is a transaction like any other.
sql("begin; select postrider.set_secret('sign', overlap => '0'); rollback");
is(sql("select count(*) from postrider.secret_version where name = 'sign'"), 1, 'nothing is left of one that rolls back');
my @sessions = map { $node->background_psql('postgres') } 1 .. 4;
$_->query_until(qr/go/, "\\echo go\nselect postrider.set_secret('race', 'value', overlap => '0');\n") for @sessions;
$_->quit for @sessions;
is(sql("select array_agg(version), min(retires_at) from postrider.secret_version where name = 'race'"), '{4}|', 'of four at the same time the last one holds');

# Any value is a secret, but not any signs.
is(said("select postrider.set_secret('api', 'key-1234'), postrider.set_secret('pem', E'-----BEGIN PRIVATE KEY-----\\nMIGH\\n-----END PRIVATE KEY-----\\n')"), '', 'API keys and PEM');
like(said("select postrider.set_secret('bad', 'whsec_x')"), qr/value for secret "bad" is not a signing secret/, 'what looks like a signing secret must be one');
my $url = $receiver->url('/ok');
my $error = said("insert into postrider.endpoint (name, url, signing_secret) values ('b', '$url', 'api')");
like($error, qr/ERROR:  secret "api" of endpoint "b" is no signing secret\nDETAIL:  Its value does not begin with whsec_ or whsk_\.\nHINT/, 'an endpoint cannot sign with anything else');
unlike($error, qr/key-1234/, 'which the error does not show');
like(said("insert into postrider.endpoint (name, url, signing_secret) values ('b', '$url', 'nobody')"), qr/ERROR:  secret "nobody" of endpoint "b" does not exist/, 'nor with an unknown secret');
$error = said("select postrider.set_secret('sign', 'another 1234')");
like($error, qr/value for secret "sign" is not a signing secret\nDETAIL:  It signs the requests to endpoint "a"/, 'nor can the value be changed to one that does not sign');
unlike($error, qr/another 1234/, 'which is not shown either');

# Who uses it.
like(said("select postrider.drop_secret('sign')"), qr/ERROR:  secret "sign" is used by endpoint "a"\nHINT:  Change its signing_secret first/, 'a secret in use is not dropped');
sql("insert into postrider.endpoint (name, url, signing_secret) values ('c', '$url', 'sign')");
like(said("select postrider.drop_secret('sign')"), qr/is used by endpoint "a" and 1 more/, 'nor by several');
like(said("select postrider.drop_secret('nobody')"), qr/ERROR:  secret "nobody" does not exist/, 'an unknown one');
sql("select postrider.drop_secret('api')");
is(sql("select count(*) from postrider.secret_version where name = 'api'"), 0, 'what nobody uses goes, with its values');
sql("insert into postrider.endpoint (name, url, proxy, proxy_secret) values ('d', 'https://example.com/', 'http://127.0.0.1:9', 'pem')");
like(said("select postrider.drop_secret('pem')"), qr/is used by endpoint "d"\nHINT:  Change its proxy_secret first/, 'a proxy uses it too');
like(said("update postrider.secret set name = 'other' where name = 'sign'"), qr/name of secret "sign" cannot be changed/, 'and keeps its name');

# Its end.
$receiver->tell('news');
sql("insert into postrider.endpoint (name, url) values ('news', '" . $receiver->url('/ok/news') . "');
	insert into postrider.subscription (topic, endpoint) values ('postrider.secret.*', 'news')");
$sent{'/ok'} = $receiver->count('/ok');
sql("select postrider.set_secret('sign', expires_at => now() + interval '8 s', warn_before => '5 s', overlap => '0')");
my $expires = time + 8;
is(sql("select state from postrider.secret_status where name = 'sign'"), 'good', 'before warn_before');
sub news { return map { decode_json($_->{body}) } $receiver->requests('/ok/news'); }
is(scalar(() = news()), 0, 'nothing is said');
ok($receiver->wait_for_count(1, '/ok/news', 20), 'a warning comes');
cmp_ok(time, '>', $expires - 6, 'not too early');
cmp_ok(time, '<', $expires, 'and before the end');
my ($warning) = news();
is_deeply([ $warning->{type}, $warning->{data}{secret}, $warning->{data}{used_by} ], [ 'postrider.secret.expiring', 'sign', [ 'a', 'c' ] ], 'it says which, and who uses it');
is(sql("select state from postrider.secret_status where name = 'sign'"), 'expiring', 'as does the view');
is(signatures(request()), 1, 'it is still used');
ok($receiver->wait_for_count(2, '/ok/news', 20), 'another one at the end');
is((news())[1]{type}, 'postrider.secret.expired', 'says so');
my $count = $receiver->count('/ok');
my $id = sql("select postrider.send('a', '2')");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt where message_id = '$id' and error_code = 'secret' and error like 'secret \"sign\" has expired at %'", 1), 'an expired secret is not used, and named');
is($receiver->count('/ok'), $count, 'nothing is sent');
is(sql("select state from postrider.secret_status where name = 'sign'"), 'expired', 'the view');
sleep 1.5;
is(scalar(() = news()), 2, 'each is said once');
my $fourth = sql("select postrider.set_secret('sign')");
sql("select postrider.retry(endpoint => 'a')");
ok($receiver->wait_for_count($count + 1, '/ok', 30), 'with a new value it goes on');
ok(PostriderTest::verify(($receiver->requests('/ok'))[-1], $fourth), 'signed by it');
is(signatures(($receiver->requests('/ok'))[-1]), 1, 'and not by the expired one, whatever the overlap');
sql("update postrider.secret set expires_at = now() + interval '1 day', warn_before = '5 days' where name = 'sign'");
ok($receiver->wait_for_count(3, '/ok/news', 20), 'an end that is set later is announced too');
$node->restart;
sleep 1;
is(scalar(() = news()), 3, 'once, whatever happens');
like(said("select postrider.set_secret('sign', expires_at => now() - interval '1 s')"), qr/would have expired already/, 'an end that has passed');

# While nothing is due, nothing is asked.
my $quiet = sql("select pg_sleep(1.5)");
my $before = sql("select xact_commit + xact_rollback from pg_stat_database where datname = 'postgres'");
sleep 4;
my $after = sql("select xact_commit + xact_rollback from pg_stat_database where datname = 'postgres'");
cmp_ok($after - $before, '<=', 3, 'the worker asks nothing meanwhile');

# A schema that refuses the message does not end the worker.
sql("insert into postrider.topic (name, schema) values ('postrider.secret.expiring', 'false')");
my $pid = sql('select pid from postrider.worker');
sql("update postrider.secret set expires_at = now() + interval '2 days' where name = 'sign'");
ok(PostriderTest::wait_until(sub { slurp_file($node->logfile) =~ /postrider\.secret\.expiring/ }, 'the log has it'), 'a message that is refused is logged');
sleep 1;
my $refusals = () = slurp_file($node->logfile) =~ /ERROR:  payload of a message on topic "postrider.secret.expiring"/g;
cmp_ok($refusals, '<=', 2, 'now and then');
$request = request();
is(sql('select pid from postrider.worker'), $pid, 'and the worker goes on');
$node->stop('fast');
done_testing();
