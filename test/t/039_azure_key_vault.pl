# Secrets in Azure Key Vault, with access tokens of Microsoft Entra.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use PostriderStore;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('azure');
my $receiver = PostriderTest::Receiver->start;
my ($first, $second) = qw(whsec_Zmlyc3QtZmlyc3QtZmlyc3QtZmlyc3Q= whsec_c2Vjb25kLXNlY29uZC1zZWNvbmQ=);
my $version = 'a' x 32;
my $azure = PostriderStore->start('azure', tenant_id => 'tenant-1', client_id => 'client-1', client_secret => 'planted~client/secret+1',
	secrets => { crm => { value => 'planted-crm' }, json => { value => '{"key": "planted-field"}' }, sign => { value => $first } },
	versions => { "crm/$version" => { value => 'planted-version' } });

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
sub source
{
	my ($name, %source) = @_;
	delete @source{ grep { !defined $source{$_} } keys %source };
	sql("select postrider.set_secret_source('$name', \$s\$" . encode_json(\%source) . '$s$)');
}
sub endpoint
{
	my ($name, $columns, $values) = @_;
	sql("insert into postrider.endpoint (name, url, max_attempts, backoff_base, backoff_max, $columns) values ('$name', '" . $receiver->url("/ok/$name") . "', 1000, '200 ms', '400 ms', $values)");
}
sub bearer { my ($name) = @_; endpoint($name, 'auth', qq('{"type": "bearer", "secret": "$name"}')); }
sub deliver { sql("select postrider.send('$_[0]', '{}')"); }
sub requests { return $receiver->requests("/ok/$_[0]"); }
sub delivered { my ($name, $count) = @_; return ok($receiver->wait_for_count($count, "/ok/$name"), "$name: delivery $count"); }
sub last_token { return (requests($_[0]))[-1]{headers}{authorization}; }
sub error { return sql("select error_code || ': ' || error from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = '$_[0]' and error is not null order by started_at desc limit 1"); }
sub wait_for_error
{
	my ($name, $like, $what) = @_;
	my $error = '';
	eval { PostriderTest::wait_until { $error = error($name); $error =~ $like } 'the error'; };
	like($error, $like, $what);
}

sub azure_source { my ($name, $secret, %more) = @_; source($name, store => 'azure', vault_url => $azure->url, name => $secret, tenant_id => 'tenant-1', client_id => 'client-1', client_secret => 'azure_secret', authority => $azure->url, %more); }

sql("select postrider.set_secret('azure_secret', 'planted~client/secret+1')");
azure_source('crm', 'crm', refresh => '1 second');
azure_source('field', 'json', field => 'key');
azure_source('version', 'crm', version => $version);
is($azure->count, 0, 'nothing is fetched before somebody needs it');
my %wanted = (crm => 'planted-crm', field => 'planted-field', version => 'planted-version');
for my $name (sort keys %wanted)
{
	bearer($name);
	deliver($name);
	delivered($name, 1);
	is(last_token($name), "Bearer $wanted{$name}", "$name: the value from the store");
}
is($azure->count(qr{^/tenant-1/oauth2/v2\.0/token}), 1, 'one token serves them all');
my ($request) = $azure->requests(qr{^/secrets/crm\?});
is("$request->{method} $request->{path}", 'GET /secrets/crm?api-version=7.4', 'what is asked');

# Rotation
azure_source('sign', 'sign', refresh => '1 second', overlap => '1 minute');
endpoint('sign', 'signing_secret', "'sign'");
deliver('sign');
delivered('sign', 1);
ok(PostriderTest::verify((requests('sign'))[0], $first), 'a signature with a key from the store');
$azure->set(secrets => { %{ $azure->{has}{secrets} }, sign => { value => $second } });
PostriderTest::wait_until { deliver('sign'); sleep 0.2; PostriderTest::verify((requests('sign'))[-1], $second) } 'the new value is used';
ok(PostriderTest::verify((requests('sign'))[-1], $first), 'and the old key signs too while they overlap');

# A token that is refused is thrown away, and another is fetched.
$azure->set(revoked => time);
my $count = $receiver->count('/ok/crm');
my $tokens = $azure->count(qr{token$});
sleep 1.2;
PostriderTest::wait_until { deliver('crm'); sleep 0.3; $azure->count(qr{token$}) > $tokens } 'another token is fetched';
$azure->set(secrets => { %{ $azure->{has}{secrets} }, crm => { value => 'planted-crm-2' } });
PostriderTest::wait_until { deliver('crm'); sleep 0.3; last_token('crm') eq 'Bearer planted-crm-2' } 'with which the store is asked';
pass('a token that was revoked is replaced');
is(sql("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'crm' and outcome <> 'delivered'"), 0, 'and no delivery failed over it');

# attributes.exp is an end without grace, and what is renewed before it goes on.
my $exp = int(time) + 6;
$azure->set(secrets => { %{ $azure->{has}{secrets} }, ends => { value => 'planted-ends', attributes => { exp => $exp } } });
azure_source('ends', 'ends', refresh => '1 hour', grace => '1 hour');
bearer('ends');
deliver('ends');
delivered('ends', 1);
PostriderTest::wait_until { time > $exp + 0.5 } 'it has expired';
deliver('ends');
wait_for_error('ends', qr{^secret: .*secret "ends".*Azure Key Vault \Q@{[$azure->url]}\E/secrets/ends has a secret that expired at}, 'what has expired is not used');
is(scalar(() = requests('ends')), 1, 'nor sent');
$azure->set(secrets => { %{ $azure->{has}{secrets} }, ends => { value => 'planted-renewed', attributes => { exp => int(time) + 3600 } } });
delivered('ends', 2);
is(last_token('ends'), 'Bearer planted-renewed', 'a new one is');

# What is wrong
sub fails
{
	my ($name, $like, $what, $secret, %more) = @_;
	azure_source($name, $secret, %more);
	bearer($name);
	deliver($name);
	wait_for_error($name, $like, $what);
}
$azure->set(secrets => { %{ $azure->{has}{secrets} }, disabled => { value => 'planted-disabled', attributes => { enabled => JSON::PP::false } },
		early => { value => 'planted-early', attributes => { nbf => int(time) + 3600 } } });
fails('lost', qr/answered with status 404: SecretNotFound/, 'a secret that is not there', 'lost');
fails('disabled', qr/answered with status 403: SecretDisabled/, 'one that is disabled', 'disabled');
fails('early', qr/has a secret that is not valid before/, 'one that is not valid yet', 'early');
fails('no_field', qr/has a secret without a field "other"/, 'a field that is not there', 'json', field => 'other');
sql("select postrider.set_secret('azure_wrong', 'planted-wrong-secret')");
fails('key', qr{/tenant-1/oauth2/v2\.0/token.*invalid_client}, 'a wrong client secret, with the URL of the token server', 'crm', client_secret => 'azure_wrong');
fails('tenant', qr{/tenant-2/oauth2/v2\.0/token.*invalid_request}, 'a tenant that is not known', 'crm', tenant_id => 'tenant-2');
sql("select postrider.set_secret('azure_wrong', 'planted~client/secret+1', overlap => '0')");
delivered('key', 1);

# Down, and up
$azure->down;
$count = $receiver->count('/ok/crm');
sleep 1.2;
deliver('crm') for 1 .. 3;
delivered('crm', $count + 3);
is(last_token('crm'), 'Bearer planted-crm-2', 'a value in force is used while the store is down');
azure_source('late', 'crm', version => 'b' x 32);
bearer('late');
deliver('late');
wait_for_error('late', qr/^secret: .*\Q@{[$azure->url]}\E.*connect/i, 'what is not there yet waits, with the URL in the error');
$azure->set(versions => { 'crm/' . 'b' x 32 => { value => 'planted-late' } });
$azure->up;
delivered('late', 1);

my $found = join ',', grep { sql("select count(*) from $_ t where t::text ~ 'planted'") ne '0' } split /\n/, sql("select format('%I.%I', table_schema, table_name) from information_schema.tables where table_schema = 'postrider'");
is($found, '', 'no value is in a table or view');
unlike(slurp_file($node->logfile), qr/planted-(crm|field|version|ends|renewed|late|wrong)|planted~client/, 'nor in the log');
$azure->down;
$receiver->down;
$node->stop('fast');
done_testing();
