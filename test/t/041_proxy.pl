# Requests through proxies: which one, what it is asked for and gets to see, what happens
# when it fails, and that the guard holds for it.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderProxy;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = PostriderTest::node('proxy');
my $receiver = PostriderTest::Receiver->start;
my %to = (to => $receiver->{port});

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
my $count = 0;
sub endpoint
{
	my ($url, %columns) = @_;
	my $name = 'e' . ++$count;
	$columns{retry_schedule} = '{00:00:00.05}';
	my @names = sort keys %columns;
	sql("insert into postrider.endpoint (name, url" . join('', map { ", $_" } @names) . ") values ('$name', '$url'"
		. join('', map { ", '$columns{$_}'" } @names) . ')');
	return $name;
}
# The end of a first attempt: outcome, code, error.
sub attempt
{
	my ($name) = @_;
	my $id = sql("select postrider.send('$name', '{\"n\": 1}')");
	PostriderTest::wait_for($node, "select count(*) > 0 from postrider.attempt where message_id = '$id'", 't');
	return sql("select concat_ws('|', outcome, error_code, error) from postrider.attempt where message_id = '$id' order by attempt limit 1");
}
sub setting
{
	my ($name, $value) = @_;
	sql("alter system set $name = '$value'");
	sql('select pg_reload_conf()');
	PostriderTest::wait_for($node, "select current_setting('$name') = '$value'", 't');
	# The worker has it when it has loaded the configuration again.
	sql('select postrider.send(name, \'1\') from postrider.endpoint where name = \'direct\'');
	PostriderTest::wait_for($node, 'select count(*) from postrider.delivery where status not in (\'delivered\', \'dead\') and endpoint = \'direct\'', 0);
}

sql("insert into postrider.endpoint (name, url, proxy) values ('direct', '" . $receiver->url('/ok/direct') . "', 'none')");

# An HTTP proxy
my $proxy = PostriderProxy->start(%to);
my $name = endpoint('http://hooks.example.com/ok/one', proxy => $proxy->url, headers => '{"Authorization": "Bearer hush"}');
is(attempt($name), 'delivered', 'a request goes through an HTTP proxy');
my ($asked) = $proxy->asked;
is($asked->{line}, 'CONNECT hooks.example.com:80 HTTP/1.1', 'by a tunnel, for http too; the proxy is given the name');
is_deeply([ grep { !/^(host|proxy-connection):/ } @{ $asked->{headers} } ], [], 'and no header of the request');
my ($request) = $receiver->requests('/ok/one');
is($request->{headers}{authorization}, 'Bearer hush', 'the receiver has them');
is($request->{headers}{host}, 'hooks.example.com', 'and its name');
is((grep { /^proxy/ } keys %{ $request->{headers} }), 0, 'and nothing of the proxy');
is(attempt($name), 'delivered', 'another');
is(scalar(grep { $_->{line} } $proxy->asked), 1, 'goes through the same tunnel');

# Values of messages in the URL
$name = endpoint('http://hooks.example.com/ok/{{$.n}}', proxy => $proxy->url);
is(attempt($name), 'delivered', 'a URL made for the message');
is($receiver->count('/ok/1'), 1, 'goes through a proxy');

# send_test and preview
my $result = decode_json(sql("select to_jsonb(t) from postrider.send_test('e1') t"));
is($result->{outcome}, 'delivered', 'send_test() goes through the proxy');
like($result->{request}, qr/\APOST \/ok\/one HTTP\/1.1\n/, 'and shows the request');
like($result->{request}, qr/^Authorization: \*\*\*$/m, 'masked');
unlike(encode_json($result), qr/hush/, 'with no secret in it');
sql("insert into postrider.subscription (topic, endpoint) values ('order.paid', 'e1')");
like(sql("select url, request_headers, problem is null from postrider.preview('order.paid', '1')"), qr{\Ahttp://hooks.example.com/ok/one\|.*Authorization: \*\*\*.*\|t\z}s, 'preview() works');

# SOCKS5
my $socks = PostriderProxy->start(kind => 'socks5', %to);
$name = endpoint('http://hooks.example.org/ok/socks', proxy => $socks->url);
is(attempt($name), 'delivered', 'a request goes through a SOCKS5 proxy');
($asked) = $socks->asked;
is($asked->{type}, 3, 'which is asked for a name');
is($asked->{name}, 'hooks.example.org', 'and resolves it itself');

# What a proxy is not asked for, whoever resolves it.
sub refused_url { my ($url) = @_; return said("insert into postrider.endpoint (name, url, proxy) values ('no', '$url', '" . $proxy->url . "')"); }
for my $url ('http://169.254.169.254/latest/', 'http://0xa9.0xfe.0xa9.0xfe/', 'http://2852039166/', 'http://[::ffff:a9fe:a9fe]/',
	'http://10.1.1.1/', 'http://[fd00::1]/', 'http://metadata.google.internal/', 'http://intranet/', 'http://printer.local/', 'http://db.corp./')
{
	like(refused_url($url), qr/are not allowed/, "a proxy is not asked for $url");
}
like(refused_url('http://intranet/'), qr/HINT:  A superuser can name it in the setting postrider.no_proxy/, 'with a hint');

# Nor if the row is there already: the check is made for each request.
sql("alter table postrider.endpoint disable trigger check_endpoint");
$name = endpoint('http://0251.0376.0251.0376/latest', proxy => $proxy->url);
my $other = endpoint('http://vault.internal/{{$.n}}', proxy => $socks->url);
sql("alter table postrider.endpoint enable trigger check_endpoint");
like(attempt($name), qr/^dead\|address_refused\|requests to host "169\.254\.169\.254" are not allowed: Its address is in 169\.254\.0\.0\/16/, 'the check is made when it is sent, too');
like(attempt($other), qr/^dead\|address_refused\|requests to host "vault\.internal" are not allowed through a proxy/, 'of a URL made for the message, too');
is(scalar(grep { ($_->{line} // $_->{name} // '') =~ /169|vault/ } $proxy->asked, $socks->asked), 0, 'and no proxy has heard of it');

# Values
for my $case (['http://user:pw@127.0.0.1:3128', 'user name or password'], ['http://127.0.0.1', 'no port'], ['ftp://127.0.0.1:3128', 'does not begin'],
	['socks5://127.0.0.1:1080', 'does not begin'], ['socks4a://127.0.0.1:1080', 'does not begin'], ['http://127.0.0.1:3128/path', 'has a path'],
	['127.0.0.1:3128', 'does not begin'], ['', 'does not begin'], ['http://:3128', 'no host'], ['http://127.0.0.1:0', 'invalid port'],
	['http://10.0.0.1:3128', 'not allowed'], ['socks5h://0x0a.1:1080', 'not allowed'], ['https://[::ffff:10.0.0.1]:3128', 'not allowed'], ['http://[fe80::1%25eth0]:3128', 'invalid IPv6'])
{
	like(said("insert into postrider.endpoint (name, url, proxy) values ('no', 'https://example.com', '$case->[0]')"),
		qr/proxy of endpoint "no" cannot be used: [^\n]*$case->[1]/, "refused as a proxy: $case->[0]");
}
unlike(said("insert into postrider.endpoint (name, url, proxy) values ('no', 'https://example.com', 'http://user:hush\@127.0.0.1:3128')"), qr/ERROR:[^\n]*hush/,
	'a password is not repeated');
like(said("insert into postrider.endpoint (name, url, proxy_secret) values ('no', 'https://example.com', 's')"), qr/proxy_secret .*is for a proxy of its own/, 'a secret without a proxy');
like(said("insert into postrider.endpoint (name, url, proxy, proxy_secret) values ('no', 'https://example.com', 'http://127.0.0.1:1', 's')"), qr/secret "s" of endpoint "no" does not exist/, 'an unknown secret');

# The guard on the proxy itself
setting('postrider.allowed_networks', '127.0.0.1/32');
sql("alter table postrider.endpoint disable trigger check_endpoint");
$name = endpoint('https://example.com/', proxy => 'http://127.0.0.2:3128');
sql("alter table postrider.endpoint enable trigger check_endpoint");
like(attempt($name), qr{^retry\|proxy\|the proxy http://127\.0\.0\.2:3128 has an address in 127\.0\.0\.0/8, loopback, which postrider\.allowed_networks does not list}, 'the guard holds for the proxy');
setting('postrider.allowed_networks', '');
like(attempt('e1'), qr/^retry\|proxy\|the proxy .* has an address in 127\.0\.0\.0\/8, loopback/, 'a tunnel that is there is not used any more when its network is no longer allowed');
is($receiver->count('/ok/one'), 3, 'and nothing has arrived');
setting('postrider.allowed_networks', '127.0.0.0/8, ::1/128');

# Proxies that fail
my $closed = PostriderProxy->start(%to);
$closed->down;
$name = endpoint('http://hooks.example.com/ok/two', proxy => $closed->url);
like(attempt($name), qr/^retry\|proxy\|the proxy \Q@{[$closed->url]}\E did not connect to the receiver: Failed to connect/, 'a proxy that is down is named');
for my $case ([407, 'wants other credentials \(status 407\)'], [403, 'answered with status 403'], [502, 'answered with status 502'], [302, 'answered with status 302'])
{
	my $bad = PostriderProxy->start(%to, answer => $case->[0]);
	$name = endpoint('http://hooks.example.com/ok/two', proxy => $bad->url);
	like(attempt($name), qr/^retry\|proxy\|the proxy \Q@{[$bad->url]}\E .*$case->[1]/, "a proxy that answers with $case->[0] is named, and the message lives");
}
my $silent = PostriderProxy->start(%to, hang => 1);
$name = endpoint('http://hooks.example.com/ok/two', proxy => $silent->url, timeout => '300 ms');
like(attempt($name), qr/^retry\|proxy\|the proxy \Q@{[$silent->url]}\E did not connect/, 'one that says nothing');
my $no = PostriderProxy->start(kind => 'socks5', %to, answer => 5);
$name = endpoint('http://hooks.example.com/ok/two', proxy => $no->url);
like(attempt($name), qr/^retry\|proxy\|the proxy \Q@{[$no->url]}\E did not connect to the receiver/, 'a SOCKS5 proxy that could not connect');
$name = endpoint('http://hooks.example.com/status/407', proxy => $proxy->url);
like(attempt($name), qr/^dead\|http_407\|the receiver refused/, 'a 407 of the receiver is not taken for one of the proxy');
$name = endpoint('http://hooks.example.com/reset', proxy => $proxy->url);
like(attempt($name), qr/^retry\|reset\|/, 'nor a reset');
$name = endpoint('http://hooks.example.com/hang', proxy => $proxy->url, timeout => '300 ms');
like(attempt($name), qr/^retry\|timeout\|.*through the proxy/, 'nor a time-out behind it');
is($receiver->count('/ok/two'), 0, 'nothing has arrived by another way');

# The general proxy
setting('postrider.proxy', $socks->url);
$name = endpoint('http://general.example.com/ok/general');
is(attempt($name), 'delivered', 'the general proxy is for endpoints without one');
is((grep { ($_->{name} // '') eq 'general.example.com' } $socks->asked), 1, 'and is used');
is(attempt('e1'), 'delivered', 'an endpoint with one');
is((grep { ($_->{name} // '') eq 'hooks.example.com' } $socks->asked), 0, 'uses its own');
$name = endpoint($receiver->url('/ok/none'), proxy => 'none');
is(attempt($name), 'delivered', 'none means a direct connection');
is((grep { ($_->{name} // '') =~ /127|7f/ } $socks->asked), 0, 'and the proxy does not hear of it');
setting('postrider.no_proxy', '127.0.0.0/8, .example.net');
$name = endpoint('http://127.0.0.1:' . $receiver->{port} . '/ok/exception');
is(attempt($name), 'delivered', 'a network in no_proxy');
is(attempt('e1'), 'delivered', 'others still by proxy');
is((grep { ($_->{type} // 0) != 3 } grep { $_->{type} } $socks->asked), 0, 'is reached without a proxy');
like(refused_url('http://localhost:3000/'), qr/host "localhost" are not allowed\nDETAIL:  Its address is in a network that is the proxy's own\.\nHINT:  .*no_proxy/,
	'what is allowed here is not what the proxy has there');
like(said("alter system set postrider.proxy = 'http://u:hush\@proxy.example.com:3128'"), qr/invalid value for parameter "postrider\.proxy"/, 'a password in the setting is refused');
unlike(slurp_file($node->logfile) =~ s/STATEMENT:.*|statement:.*//gr, qr/u:hush/, 'and not logged');
like(said("alter system set postrider.no_proxy = 'exam ple.com'"), qr/"exam ple\.com" is neither/, 'what is no host');
like(said("alter system set postrider.no_proxy = '10.0.0.1/8'"), qr/"10\.0\.0\.1\/8" has bits set/, 'nor a network');
sql("create role plain; grant postrider_admin to plain");
like(said("set role plain; alter system set postrider.proxy = ''"), qr/permission denied/, 'no admin of postrider can change the general one');

# The environment of the server has no say.
$node->stop('fast');
{
	local %ENV = (%ENV, map { $_ => $no->url, lc($_) => $no->url } qw(HTTP_PROXY HTTPS_PROXY ALL_PROXY));
	local $ENV{no_proxy} = '*';
	$node->start;
}
is(attempt('e1'), 'delivered', 'no_proxy in the environment takes no proxy away');
is(attempt('direct'), 'delivered', 'and http_proxy there gives none');

$node->stop('fast');
done_testing();
