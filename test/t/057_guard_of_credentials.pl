# The guard holds for token servers and stores of secrets: when their URL is written, and when
# their name is dialled, wherever it leads then.  They are reached through the general proxy, too.
use strict;
use warnings;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderProxy;
use PostriderStore;
use PostriderTest;
use PostriderToken;
use Test::More;

my $dir = tempdir(CLEANUP => 1);
my $receiver = PostriderTest::Receiver->start;
my $tokens = PostriderToken->start;
my $vault = PostriderStore->start('vault', tokens => { 'hvs.static' => 1 }, data => { '|kv/data/a' => { key => 'from-vault' } });

# Nobody may come here: 127.0.0.2 is not allowed.
my @inner = map { IO::Socket::INET->new(LocalAddr => '127.0.0.2', LocalPort => $_->{port}, Listen => 100, ReuseAddr => 1, Blocking => 0) or die $! } $tokens, $vault;
sub visitors { my $count = 0; for (@inner) { $count++ while $_->accept; } return $count; }

my $node;
my %resolve = PostriderTest::resolver($dir);
{
	local %ENV = (%ENV, %resolve);
	$node = PostriderTest::node('guarded');
	$node->append_conf('postgresql.conf', "postrider.allowed_networks = '127.0.0.1/32'\n");
	$node->restart;
}
sub names { PostriderTest::names($dir, join "\n", @_); }
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub oauth { return encode_json({ type => 'oauth2_client_credentials', token_url => $_[0], client_id => 'me', client_secret => 'client' }); }
sub source { my (%source) = @_; return "select postrider.set_secret_source('fetched', '" . encode_json(\%source) . "')"; }
sub last_error { my ($name) = @_; return sql("select concat_ws('|', outcome, error_code, error) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = '$name' order by started_at desc limit 1"); }
# Nothing is kept: no value, no connection, and not where a name led before.
sub forget
{
	local %ENV = (%ENV, %resolve);
	sql("select postrider.renew_credential(id) from postrider.credential_status");
	$node->restart;
}
sub fails
{
	my ($name, $like, $what) = @_;
	my $error = '';
	sql("select postrider.send('$name', '1')");
	eval { PostriderTest::wait_until { $error = last_error($name); $error =~ $like } 'the error', 20; };
	like($error, $like, $what);
}
sub delivers
{
	my ($name, $what) = @_;
	sql("select postrider.renew_credential(id) from postrider.credential_status");
	sql("select postrider.send('$name', '1')");
	ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where status <> 'delivered' and endpoint = '$name'", 0, 20), $what);
}
sql("select postrider.set_secret('client', 'client-secret'), postrider.set_secret('vault_token', 'hvs.static'), postrider.set_secret('other', 'other-secret')");

# When they are written
my %vault = (store => 'vault', path => 'kv/data/a', field => 'key', token => 'vault_token');
my %aws = (store => 'aws', region => 'eu-west-1', secret_id => 'a', access_key_id => 'AKIA', secret_access_key => 'other');
my %azure = (store => 'azure', name => 'a', tenant_id => 't', client_id => 'c', client_secret => 'other', vault_url => 'https://a.example.com');
my (%statements, $all);
for my $host ('127.0.0.2', '169.254.169.254', '0xa9fea9fe', '2852039166', '[::ffff:10.0.0.1]', '[64:ff9b::a9fe:a9fe]', '10.1')
{
	$statements{"token server at $host"} = "insert into postrider.endpoint (name, url, auth) values ('no', 'https://example.com/', '" . oauth("http://$host/token") . "')";
	my %sources = (Vault => { %vault, url => "http://$host:8200" }, AWS => { %aws, url => "http://$host" },
		Azure => { %azure, vault_url => "http://$host" }, Entra => { %azure, authority => "http://$host" });
	$statements{"$_ at $host"} = source(%{ $sources{$_} }) for keys %sources;
}
$node->psql('postgres', join('', map { "\\warn $_\n$statements{$_};\n" } sort keys %statements), on_error_stop => 0, stderr => \$all);
for my $what (sort keys %statements)
{
	my ($error) = $all =~ /^\Q$what\E\n(.*\n(?:(?:DETAIL|HINT).*\n?)*)/m;
	like($error, qr/ERROR:  requests to host "[^"]+" are not allowed|auth of endpoint "no" has a URL that cannot be used/, "refused: $what");
	like($error, qr/DETAIL:  .*Its address is in \S+/, '... with the reason');
}
is(sql("select count(*) from postrider.endpoint where name = 'no'") . sql("select count(*) from postrider.secret where name = 'fetched'"), '00', 'nothing was written');

# When they are dialled: names that were fine when the row was written
my $token_url = "http://token.example.com:$tokens->{port}/token";
my $vault_url = "http://vault.example.com:$vault->{port}";
names('token.example.com 127.0.0.1', 'vault.example.com 127.0.0.1');
sql("insert into postrider.endpoint (name, url, auth, max_attempts, backoff_base, backoff_max) values ('oauth', '" . $receiver->url('/ok/oauth') . "', '" . oauth($token_url) . "', 1000, '100 ms', '200 ms')");
sql(source(%vault, url => $vault_url));
sql("insert into postrider.endpoint (name, url, auth, max_attempts, backoff_base, backoff_max) values ('vault', '" . $receiver->url('/ok/vault') . "', '{\"type\": \"bearer\", \"secret\": \"fetched\"}', 1000, '100 ms', '200 ms')");
delivers($_, "$_: a name that leads to an allowed address") for qw(oauth vault);
for my $address ('127.0.0.2', '::ffff:169.254.169.254 10.0.0.1')
{
	names("token.example.com $address", "vault.example.com $address");
	forget();
	my $network = $address =~ /169/ ? qr/(169\.254\.0\.0\/16, link-local|10\.0\.0\.0\/8, private)/ : qr/127\.0\.0\.0\/8, loopback/;
	fails('oauth', qr/^retry\|token\|token server \Q$token_url\E has an address in $network, which postrider\.allowed_networks does not list$/, "a token server whose name leads to $address by now");
	fails('vault', qr/^retry\|secret\|secret "fetched" cannot be fetched: Vault \Q$vault_url\E\/v1\/kv\/data\/a has an address in $network, which postrider\.allowed_networks does not list$/, '... and a store');
	like(sql("select t::text from postrider.send_test('oauth') t"), qr/\(retry,,"token server \Q$token_url\E has an address in/, '... for send_test() too');
}
is(visitors(), 0, 'nobody came to the address that is not allowed');
names('token.example.com 127.0.0.2 127.0.0.1', 'vault.example.com 127.0.0.2 127.0.0.1');
forget();
delivers($_, "$_: of two addresses, only the one that is allowed is dialled") for qw(oauth vault);
is(visitors(), 0, '... indeed');

# Redirects
$tokens->script(fail => [ 302, { Location => "http://127.0.0.2:$tokens->{port}/token" }, '' ]);
forget();
fails('oauth', qr/^retry\|token\|token server \Q$token_url\E answered with status 302, and redirects are not followed$/, 'a token server that redirects');
is(visitors(), 0, '... is not followed');

# Through the general proxy, which resolves names itself; receivers are reached without it.
my $proxy = PostriderProxy->start(to => $tokens->{port});
names('token.example.com 10.0.0.1');
sql("alter system set postrider.proxy = '" . $proxy->url . "'");
sql("alter system set postrider.no_proxy = '127.0.0.0/8'");
forget();
$tokens->script(life => 60);
my $count = $tokens->count;
delivers('oauth', 'a token is fetched through the general proxy');
cmp_ok($tokens->count, '>', $count, '... indeed');
is((grep { ($_->{line} // '') eq "CONNECT token.example.com:$tokens->{port} HTTP/1.1" } $proxy->asked) > 0, 1, '... which is given the name');
unlike(join('', map { encode_json($_) } $proxy->asked), qr/client-secret|@{[MIME::Base64::encode_base64('me:client-secret', '')]}/i, '... and none of the credentials');
my $to_vault = PostriderProxy->start(to => $vault->{port});
sql("alter system set postrider.proxy = '" . $to_vault->url . "'");
forget();
delivers('vault', 'so is what a store has');
is((grep { ($_->{line} // '') eq "CONNECT vault.example.com:$vault->{port} HTTP/1.1" } $to_vault->asked) > 0, 1, '... under its name');
$to_vault->down;
forget();
fails('vault', qr/^retry\|secret\|.*Vault \Q$vault_url\E\S* was not reached: the proxy \Q@{[$to_vault->url]}\E did not connect$/, 'a proxy that is down is named, and so is the store');
is(visitors(), 0, 'nobody came to the address that is not allowed');
$node->stop('fast');
done_testing();
