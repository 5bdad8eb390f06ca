# Stores of secrets behind TLS, with certificates of an authority of one's own.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderStore;
use PostriderTest;
use PostriderTls;
use Test::More;

my $tls = PostriderTls->new;
$tls->authority($_) for qw(ca other);
$tls->issue('server', 'ca', 'IP:127.0.0.1');
$tls->issue_old('old-authority', 'ca', 'other.key');
$tls->run('openssl req -x509 -key other.key -out ending.crt -days 5 -subj /CN=ending');

my $node = PostriderTest::node('store_certificates');
my $receiver = PostriderTest::Receiver->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }

my $region = 'eu-central-1';
my %stores = (
	vault => PostriderStore->start('vault', role_id => 'role', secret_id => 'secret-id', data => { '|secret/data/crm' => { api_key => 'from vault' } }),
	aws => PostriderStore->start('aws', access_key_id => 'AKIAIOSFODNN7EXAMPLE', secret_access_key => 'aws-key', region => $region, secrets => { crm => { SecretString => 'from aws' } }),
	azure => PostriderStore->start('azure', tenant_id => 'tenant-1', client_id => 'me', client_secret => 'azure-key', secrets => { crm => { value => 'from azure' } }));
my %url = map { ($_ => $tls->front($stores{$_}->url)) } keys %stores;
sql("select postrider.set_secret('vault_secret_id', 'secret-id'), postrider.set_secret('aws_key', 'aws-key'), postrider.set_secret('azure_key', 'azure-key')");
my %source = (
	vault => { url => $url{vault}, path => 'secret/data/crm', field => 'api_key', role_id => 'role', secret_id => 'vault_secret_id' },
	aws => { url => $url{aws}, region => $region, secret_id => 'crm', access_key_id => 'AKIAIOSFODNN7EXAMPLE', secret_access_key => 'aws_key' },
	azure => { vault_url => $url{azure}, authority => $url{azure}, name => 'crm', tenant_id => 'tenant-1', client_id => 'me', client_secret => 'azure_key' });

sub set_source
{
	my ($name, $store, $pem) = @_;
	my %source = (store => $store, %{ $source{$store} }, $pem ? (ca_certificate => $pem) : ());
	return "select postrider.set_secret_source('$name', \$s\$" . encode_json(\%source) . '$s$)';
}

for my $store (sort keys %stores)
{
	for (['own', $tls->pem('ca.crt')], ['system', undef], ['wrong', $tls->pem('other.crt')])
	{
		my ($trust, $pem) = @$_;
		sql(set_source("${store}_$trust", $store, $pem));
		sql("insert into postrider.endpoint (name, url, auth) values ('$store-$trust', '" . $receiver->url("/ok/$store-$trust") . "', '{\"type\": \"bearer\", \"secret\": \"${store}_$trust\"}');
			select postrider.send('$store-$trust', '{}')");
	}
	ok($receiver->wait_for_count(1, "/ok/$store-own"), "$store: with its authority");
	is(($receiver->requests("/ok/$store-own"))[0]{headers}{authorization}, "Bearer from $store", '... the value is fetched');
	for my $trust (qw(system wrong))
	{
		PostriderTest::wait_until { sql("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = '$store-$trust'") > 0 } "$store-$trust is tried";
		like(sql("select error from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = '$store-$trust' limit 1"), qr/certificate/i,
			"... not with " . ($trust eq 'system' ? 'those of the system' : 'another'));
		is($receiver->count("/ok/$store-$trust"), 0, '... and nothing is sent');
	}
}

# What is no such thing is refused when it is written, and not shown.
like(said(set_source('never', 'vault', $tls->pem('old-authority.crt'))), qr/ERROR:  "ca_certificate" in the source of secret "never" has a certificate that has expired on 2021-01-01: \/CN=old-authority\n/, 'an authority that has ended');
my $error = said("set log_statement = 'none'; " . set_source('never', 'azure', $tls->pem('ca.key')));
like($error, qr/ERROR:  "ca_certificate" in the source of secret "never" has a private key in it/, 'a private key');
(my $line) = $tls->pem('ca.key') =~ /^([A-Za-z0-9+\/]{20,})/m;
unlike($error . slurp_file($node->logfile), qr/\Q$line\E/, '... which is not in the error, nor in the log');
like(said(set_source('never', 'aws', 'what')), qr/has no certificate in it that can be read.*HINT:  Give the certificates of the authority in PEM/s, 'something else');
like(said(set_source('never', 'vault', 'x' x 200000)), qr/ERROR:  source of secret "never" has a "ca_certificate" of more than 131072 bytes/, 'too much');
like(said(q{select postrider.set_secret_source('never', '{"store": "vault", "url": "https://v.example.com", "path": "p", "field": "f", "token": "aws_key", "ca_certificate": 7}')}), qr/has no text as "ca_certificate"/, 'a number');
like(said(q{select postrider.set_secret_source('never', '{"store": "file", "path": "/run/secrets/a", "ca_certificate": "x"}')}), qr/has an unknown member "ca_certificate"/, 'a store without TLS has none');

# One that ends soon is a problem, and the remedy helps.
sql(set_source('vault_own', 'vault', $tls->pem('ca.crt') . $tls->pem('ending.crt')));
my ($problem, $remedy) = split /\|/, sql("select problem, remedy from postrider.problem where kind = 'certificate' and object = 'secret vault_own'"), 2;
like($problem, qr/^a certificate in the ca_certificate of its source ends on \d{4}-\d\d-\d\d$/, 'one that ends soon is a problem');
my $pem = $tls->pem('ca.crt');
$remedy =~ s/<'the new PEM'>/'$pem'/ or fail('the remedy takes a new one');
sql($remedy);
is(sql("select count(*) from postrider.problem where kind = 'certificate'"), 0, '... and gone with the remedy');
sql("select postrider.renew_credential(id) from postrider.credential; select postrider.send('vault-own', '{}')");
ok($receiver->wait_for_count(2, '/ok/vault-own'), '... and the store is asked as before');

$node->stop('fast');
done_testing();
