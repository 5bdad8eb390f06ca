# A token server that fails: its breaker, its name in errors, and deliveries that go on by
# themselves; tokens that a receiver rejects.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use PostriderTest;
use PostriderToken;
use Test::More;

my $tokens = PostriderToken->start;
my $receiver = PostriderTest::Receiver->start;
my $node = PostriderTest::node('token_failures');
$node->safe_psql('postgres', "select postrider.set_secret('client', 'very-secret-client')");

sub query { return $node->safe_psql('postgres', $_[0]); }

sub endpoint
{
	my ($name, $url, %more) = @_;
	my $auth = JSON::PP->new->canonical->encode({ type => 'oauth2_client_credentials', token_url => $tokens->url,
		client_id => 'me', client_secret => 'client', scope => $name, %more });
	query("insert into postrider.endpoint (name, url, auth, backoff_base, backoff_max) values ('$name', '$url', '$auth', '0.2 s', '1 s')");
}

sub send_to
{
	my ($name, $count) = @_;
	return query("select postrider.send('$name', jsonb_build_object('n', n)) from generate_series(1, $count) n");
}

# 401
endpoint('rejects', $receiver->tell('once', [ 401, {}, 'expired' ], [ 200, {}, '' ]));
send_to('rejects', 1);
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt where outcome = 'delivered'", 1), 'delivered after a 401');
is(join(' ', map { $_->{headers}{authorization} } $receiver->requests('/told/once')), 'Bearer at-1 Bearer at-2',
	'... at the second attempt, with a token that was fetched anew');
is(query("select outcome, error from postrider.attempt order by started_at limit 1"),
	'retry|the receiver answered with status 401: its token is thrown away, and the message sent again with a new one', '... and the first says why');

endpoint('refuses', $receiver->url('/status/401'));
send_to('refuses', 1);
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt where outcome = 'dead'", 1), 'a second 401 is final');
is($receiver->count('/status/401'), 2, '... after two requests');
is(query("select error from postrider.attempt where outcome = 'dead'"),
	'the receiver answered with status 401: also to a token that was fetched anew for that reason', '... and says so');
my $count = $tokens->count;
send_to('refuses', 3);
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt where outcome = 'dead'", 4), 'further messages are refused too');
is($tokens->count, $count, '... but no token is fetched for each');

# a person must act
$tokens->script(fail => [ 401, {}, '{"error":"invalid_client","error_description":"client very-secret-client is unknown"}' ]);
query("select postrider.renew_credential(id) from postrider.credential_status");
endpoint('asks', $receiver->url('/ok/asks'));
send_to('asks', 20);
ok(PostriderTest::wait_for($node, "select state from postrider.credential_status where 'asks' = any(endpoints)", 'open'), 'invalid_client opens the breaker at once');
my $url = $tokens->url;
is(query("select last_error from postrider.credential_status where 'asks' = any(endpoints)"),
	"token server $url answered with status 401: invalid_client (client *** is unknown)", 'the error names the server, and hides the secret');
is(query("select error_code, error from postrider.attempt a join postrider.endpoint e on e.name = 'asks' where a.error_code = 'token' group by 1, 2"),
	"token|token server $url answered with status 401: invalid_client (client *** is unknown)", '... and so does the attempt');
is(query("select count(*) from postrider.attempt where error_code = 'token'"), 1, 'of 20 deliveries one has told');
$tokens->script(life => 60);
query("select postrider.set_secret('client', 'another-secret-client')");
ok($receiver->wait_for_count(20, '/ok/asks', 20), 'a new secret ends it at once');

# down
$tokens->down;
query("insert into postrider.endpoint (name, url) values ('ears', '" . $receiver->url('/ok/ears') . "');
	insert into postrider.subscription (endpoint, topic) values ('ears', 'postrider.credential.*')");
endpoint('waits', $receiver->url('/ok/waits'));
send_to('waits', 50);
ok(PostriderTest::wait_for($node, "select state from postrider.credential_status where 'waits' = any(endpoints)", 'open'), 'a token server that is down opens its breaker');
like(query("select last_error from postrider.credential_status where 'waits' = any(endpoints)"),
	qr{^token server \Q$url\E could not be asked: .*connect}i, '... and is named');
cmp_ok(query("select count(*) from postrider.attempt where error_code = 'token' and error like '%could not be asked%'"), '<=', 4, 'few attempts are burnt');
ok($receiver->wait_for_count(1, '/ok/ears'), 'people can hear of it');
$tokens->up;
ok($receiver->wait_for_count(50, '/ok/waits', 60), 'when it is back, deliveries go on by themselves');
ok($receiver->wait_for_count(2, '/ok/ears'), '... and people hear of that too');
is(join(' ', map { $_->{body} =~ /"type": ?"([^"]+)"/ } $receiver->requests('/ok/ears')), 'postrider.credential.opened postrider.credential.closed', '... as opened and closed');

# Retry-After
$tokens->script(fail => [ 429, { 'Retry-After' => 3 }, '' ]);
endpoint('slow', $receiver->url('/ok/slow'));
$count = $tokens->count;
send_to('slow', 1);
ok(PostriderTest::wait_for($node, "select count(*) from postrider.credential where retry_at > last_error_at + interval '2.5 s' and last_error like '%429%'", 1), 'Retry-After of the token server is honoured');
$tokens->script(life => 60);
ok($receiver->wait_for_count(1, '/ok/slow', 20), '... and then it goes on');
my @asked = ($tokens->requests)[ $count .. $count + 1 ];
cmp_ok($asked[1]{time} - $asked[0]{time}, '>', 2.9, '... not before');

# send_test
$tokens->script(life => 60);
endpoint('tested', $receiver->url('/ok/tested'), audience => 'test');
my $test = query("select postrider.send_test('tested')");
like($test, qr/^\(delivered,200/, 'send_test fetches a token');
like($test, qr/[Aa]uthorization: \*\*\*/, '... and does not show it');
my ($tested) = $receiver->requests('/ok/tested');
like($tested->{headers}{authorization}, qr/^Bearer at-\d+$/, '... but sends it');
unlike($test, qr/at-\d/, '... nowhere');
$count = $tokens->count;
send_to('tested', 1);
$receiver->wait_for_count(2, '/ok/tested');
is($tokens->count, $count, 'the worker takes the token that send_test has fetched');
endpoint('renewed', $receiver->tell('renewed', [ 401, {}, 'expired' ], [ 200, {}, '' ]), audience => 'renewed');
like(query("select postrider.send_test('renewed')"), qr/^\(delivered,200/, 'after a 401 send_test sends again');
my @renewed = map { $_->{headers}{authorization} } $receiver->requests('/told/renewed');
is(scalar(@renewed), 2, '... once');
isnt($renewed[0], $renewed[1], '... with a token that was fetched anew');
send_to('renewed', 1);
$receiver->wait_for_count(3, '/told/renewed');
is(($receiver->requests('/told/renewed'))[2]{headers}{authorization}, $renewed[1], '... which the worker takes, and not the one that was thrown away');
endpoint('never', $receiver->url('/status/401'), audience => 'never');
my $refused = $receiver->count('/status/401');
like(query("select postrider.send_test('never')"), qr/^\(dead,401,"the receiver answered with status 401: also to a token that was fetched anew/, 'a second 401 is told');
is($receiver->count('/status/401') - $refused, 2, '... and the end of it');

unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/very-secret|another-secret|\bat-\d/, 'no secret or token is in the log');
$node->stop('fast');
done_testing();
