# send_test(): a real request now, with the full exchange; preview(): what would be sent.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('trial');
my $receiver = PostriderTest::Receiver->start;
my $secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
sub test { return decode_json(sql("select to_jsonb(t) from postrider.send_test($_[0]) t")); }
sub preview { return @{ decode_json(sql("select coalesce(jsonb_agg(to_jsonb(p)), '[]') from postrider.preview($_[0]) p")) }; }

sql("select postrider.set_secret('key', '$secret')");
sub endpoint
{
	my ($name, $path, $more, $values) = @_;
	sql("insert into postrider.endpoint (name, url" . ($more // '') . ") values ('$name', '" . $receiver->url($path) . "'" . ($values // '') . ")");
}
endpoint('plain', '/ok/plain?api_key=abc&n={{$.n|default:0}}', ', signing_secret, headers', ", 'key', '{\"Authorization\": \"Bearer hush\", \"X-Api-Token\": \"hush\", \"X-Shop\": \"main\"}'");

# The exchange
my $result = test("'plain', '{\"n\": 7}', topic => 'order.paid', key => 'k'");
my ($request) = $receiver->requests;
is($result->{outcome}, 'delivered', 'a test is sent at once');
is($result->{status_code}, 200, 'its status');
like($result->{request}, qr{^POST /ok/plain\?api_key=\*\*\*&n=7 HTTP/1\.1\n}, 'request line with secrets masked');
like($result->{request}, qr{\nAuthorization: \*\*\*\n}, 'headers with secrets masked');
like($result->{request}, qr{\nX-Api-Token: \*\*\*\n}, 'whatever they are called');
like($result->{request}, qr{\nX-Shop: main\n}, 'others are shown');
unlike(encode_json($result), qr/hush|abc/, 'no secret is anywhere');
like($result->{request}, qr/\n\n\Q$request->{body}\E$/, 'the body');
like($request->{body}, qr/"type":"order\.paid".*"n": 7/, 'is that of such a message');
ok(PostriderTest::verify($request, $secret), 'it is signed as a delivery would be');
is($request->{headers}{authorization}, 'Bearer hush', 'and has the real headers');
like($result->{response}, qr{^HTTP/1\.1 200 Told\nContent-Length: 0\n}, 'the response');
like($result->{address}, qr/^127\.0\.0\.1:\d+$/, 'the address');
is($result->{http_version}, '1.1', 'the version of HTTP');
ok($result->{total_ms} > 0 && defined $result->{connect_ms} && defined $result->{first_byte_ms} && defined $result->{dns_ms}, 'the time of each phase');
is(sql('select (select count(*) from postrider.message) + (select count(*) from postrider.attempt)'), 0, 'nothing is on record');

# It is what a delivery is, byte for byte but for id and times.
sql("select postrider.send('plain', '{\"n\": 7}', key => 'k')");
$receiver->wait_for_count(2);
my ($test, $delivery) = $receiver->requests;
for ($test, $delivery)
{
	delete @{ $_->{headers} }{qw(webhook-id webhook-timestamp webhook-signature)};
	$_->{body} =~ s/"timestamp":"[^"]*"|"type":"[^"]*"//g;
	delete $_->{headers}{'content-length'};
	delete $_->{time};
}
is_deeply($test, $delivery, 'a test looks like a delivery');

# What goes wrong
endpoint('refused', '/status/503/refused');
$result = test("'refused'");
is("$result->{outcome} $result->{status_code} $result->{error}", 'retry 503 the receiver answered with status 503', 'a failure, and what it would mean');
like($result->{response}, qr/\n\nas told$/, 'with the body of the response');
sql("insert into postrider.endpoint (name, url, timeout) values ('nobody', 'http://127.0.0.1:1/', '2 s')");
$result = test("'nobody'");
is($result->{outcome}, 'retry', 'nobody listens');
like($result->{error}, qr/connect/i, 'and it says so');
sql("insert into postrider.endpoint (name, url) values ('template', '" . $receiver->url('/ok/{{$.id}}') . "')");
like(test("'template'")->{error}, qr/no URL could be made: the value of \{\{\$\.id\}\} is missing/, 'a request that cannot be made');
like(said("select * from postrider.send_test('unknown')"), qr/ERROR:  endpoint "unknown" does not exist\nHINT/, 'an unknown endpoint');
like(said("select * from postrider.send_test('plain', topic => 'a..b')"), qr/ERROR:  "a\.\.b" is no topic/, 'a topic that is none');
like(said("begin; insert into postrider.endpoint (name, url) values ('new', 'https://example.com/'); select * from postrider.send_test('new')"), qr/ERROR:  endpoint "new" is not committed yet/, 'an endpoint that is not committed');

# A disabled endpoint can be tested; a receiver that hangs can be given up.
sql("select postrider.pause('plain')");
is(test("'plain'")->{outcome}, 'delivered', 'a paused endpoint can be tested');
sql("select postrider.resume('plain')");
endpoint('hang', '/hang', ', timeout', ", '1 s'");
my $begin = time;
$result = test("'hang'");
like($result->{error}, qr/timed? ?out/i, 'a receiver that hangs');
cmp_ok(time - $begin, '<', 10, 'ends by its time-out');
sql("update postrider.endpoint set timeout = '60 s' where name = 'hang'");
$begin = time;
like(said("set statement_timeout = '500 ms'; select * from postrider.send_test('hang')"), qr/canceling statement/, 'a test can be cancelled');
cmp_ok(time - $begin, '<', 10, 'at once');
ok(PostriderTest::wait_for($node, "select count(*) from pg_stat_activity where backend_type = 'postrider test request'", 0), 'and leaves no process behind');

# Two at the same time, and a process that is killed
my $one = $node->background_psql('postgres', on_error_stop => 0);
$one->query_until(qr/begun/, "\\echo begun\nselect * from postrider.send_test('hang');\n");
ok(PostriderTest::wait_for($node, "select count(*) from pg_stat_activity where backend_type = 'postrider test request'", 1), 'one hangs');
is(test("'plain'")->{outcome}, 'delivered', 'another goes on meanwhile');
is(sql("select bool_and(pg_terminate_backend(pid)) from pg_stat_activity where backend_type = 'postrider test request'"), 't', 'its process is ended');
ok(PostriderTest::wait_for($node, "select count(*) from pg_stat_activity where query like '%send_test(''hang'')%' and state = 'active' and pid <> pg_backend_pid()", 0), 'and who waits for it is told');
$one->quit;

# preview()
sql(q(insert into postrider.mapping (name, definition) values ('crm', '{"fields": [{"to": "contact.email", "from": "$.email", "required": true}]}')));
endpoint('crm', '/ok/crm', ', format, method', ", 'raw', 'PUT'");
endpoint('pixel', '/ok/pixel?e={{$.email}}&t={{topic}}', ', method', ", 'GET'");
sql(q(insert into postrider.subscription (topic, endpoint, filter) values ('order.*', 'plain', '$.total > 100'), ('order.paid', 'pixel', null), ('order.created', 'refused', null)));
sql(q(insert into postrider.subscription (topic, endpoint, mapping) values ('order.paid', 'crm', 'crm')));
my $count = $receiver->count;
my %rows = map { $_->{endpoint} => $_ } preview("'order.paid', '{\"email\": \"a\@b.de\", \"total\": 150}', key => 'k'");
is_deeply([ sort keys %rows ], [qw(crm pixel plain)], 'all that would get it');
is($rows{crm}{mapping}, 'crm', 'the mapping');
is_deeply(decode_json($rows{crm}{body}), { contact => { email => 'a@b.de' } }, 'the mapped body');
is("$rows{crm}{method} $rows{crm}{url}", 'PUT ' . $receiver->url('/ok/crm'), 'method and URL');
is($rows{pixel}{url}, $receiver->url('/ok/pixel?e=a%40b.de&t=order.paid'), 'a URL with values');
like($rows{plain}{request_headers}, qr/^webhook-signature: v1,/m, 'the signature');
like($rows{plain}{request_headers}, qr/^Authorization: \*\*\*$/m, 'secrets are masked');
my %head = map { /^([^:]+): (.*)$/ ? (lc $1, $2) : () } split /\n/, $rows{plain}{request_headers};
ok(PostriderTest::verify({ headers => \%head, body => $rows{plain}{body} }, $secret), 'which is right');
is_deeply([ map { $_->{endpoint} } preview("'order.paid', '{\"email\": \"a\@b.de\", \"total\": 50}'") ], [qw(crm pixel)], 'filters hold');
%rows = map { $_->{endpoint} => $_ } preview("'order.paid', '{\"total\": 50}'");
like($rows{crm}{problem}, qr/email/, 'what the mapping would say');
like($rows{pixel}{problem}, qr/the value of \{\{\$\.email\}\} is missing/, 'and the template');
sql("select postrider.pause('pixel')");
%rows = map { $_->{endpoint} => $_ } preview("'order.paid', '{\"email\": \"x\"}'");
like($rows{pixel}{note}, qr/held/, 'a paused endpoint');
is_deeply([ preview("'other.topic', '{}'") ], [], 'nobody would get it');
sleep 0.3;
is($receiver->count, $count, 'nothing was sent');
is(sql("select count(*) from postrider.message"), 1, 'nothing is on record');

# Without rights
sql('create role clerk');
like(said("set role clerk; select * from postrider.send_test('plain')"), qr/permission denied/, 'not everybody may');
like(said("set role clerk; select * from postrider.preview('a.b', '{}')"), qr/permission denied/, 'neither');

$receiver->down;
done_testing();
