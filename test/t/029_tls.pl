# TLS: client certificates, an authority of the endpoint's own, and what is wrong with either.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use PostriderTls;
use Test::More;

my $tls = PostriderTls->new;
my $dir = $tls->dir;
my $node = PostriderTest::node('tls');
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
sub test { return decode_json(sql("select to_jsonb(t) from postrider.send_test($_[0]) t")); }
sub pem { return $tls->pem($_[0]); }

# Two authorities; a server and clients of the first, and clients that do not fit.
$tls->authority($_) for qw(ca other);
$tls->issue('server', 'ca', 'IP:127.0.0.1');
$tls->issue($_, 'ca') for qw(alice bob);
$tls->issue('mallory', 'other');
$tls->issue_old('expired', 'ca', 'alice.key');
$tls->issue_old('old-authority', 'ca', 'other.key');
$tls->run('openssl ec -in alice.key -aes256 -passout pass:opensesame -out alice.enc');

# It demands certificates, and tells who came, and on which connection.
$tls->write('server.js', <<'JS');
const https = require('https'), fs = require('fs');
const read = n => fs.readFileSync(`${process.argv[2]}/${n}`);
let connections = 0;
const server = https.createServer({ key: read('server.key'), cert: read('server.crt'), ca: read('ca.crt'), requestCert: true, rejectUnauthorized: process.argv[3] === 'strict' }, (request, response) => {
	const peer = request.socket.getPeerCertificate();
	let body = '';
	request.on('data', d => body += d);
	request.on('end', () => {
		const line = { who: peer.subject ? peer.subject.CN : null, connection: request.socket.number, path: request.url, key: request.headers['x-api-key'] };
		fs.appendFileSync(`${process.argv[2]}/${process.argv[4]}`, JSON.stringify(line) + '\n');
		response.end('ok');
	});
});
server.on('secureConnection', s => { s.number = ++connections; });
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
JS
chmod 0755, $dir;
sub serve { my ($mode, $log) = @_; return 'https://127.0.0.1:' . $tls->node("$dir/server.js", $dir, $mode, $log); }
sub seen { my ($log) = @_; return -e "$dir/$log" ? map { decode_json($_) } split /\n/, slurp_file("$dir/$log") : (); }
my $strict = serve('strict', 'strict.log');
my $lax = serve('lax', 'lax.log');

sub secret { my ($name, $value) = @_; sql("select postrider.set_secret('$name', \$pem\$$value\$pem\$)"); }
secret("$_-cert", pem("$_.crt")), secret("$_-key", pem("$_.key")) for qw(alice bob mallory);
secret('expired-cert', pem('expired.crt'));
secret('encrypted-key', pem('alice.enc'));
secret('phrase', 'opensesame');
secret('wrong-phrase', 'opensesamen');
secret('text', 'no certificate at all');
sub endpoint
{
	my ($name, $url, $ca, $auth) = @_;
	sql("insert into postrider.endpoint (name, url, ca_certificate, auth) values ('$name', '$url/$name', "
		. ($ca ? '$pem$' . pem($ca) . '$pem$' : 'null') . ', ' . ($auth ? "'$auth'" : 'null') . ')');
}
sub mutual { my ($cert, $key, $more) = @_; return qq({"type": "mutual_tls", "certificate": "$cert", "key": "$key"@{[$more // '']}}); }

# A private authority, for this endpoint only
endpoint('trusted', $lax, 'ca.crt');
is(test("'trusted'")->{outcome}, 'delivered', 'a server whose authority the endpoint trusts');
endpoint('system', $lax);
my $result = test("'system'");
is($result->{outcome}, 'retry', 'without it, nobody vouches for the server');
like($result->{error}, qr/certificate/i, 'and the error says so');
endpoint('wrong', $lax, 'other.crt');
like(test("'wrong'")->{error}, qr/certificate/i, 'another authority does not vouch for it');
$tls->run('cat other.crt ca.crt > bundle.crt');
endpoint('bundle', $lax, 'bundle.crt');
is(test("'bundle'")->{outcome}, 'delivered', 'one of a bundle does');
is((seen('lax.log'))[0]{who}, undef, 'no certificate is shown without being asked for');

# Certificates of the client
endpoint('alice', $strict, 'ca.crt', mutual('alice-cert', 'alice-key'));
is(test("'alice'")->{outcome}, 'delivered', 'a client with a certificate');
is((seen('strict.log'))[-1]{who}, 'alice', 'is known');
endpoint('encrypted', $strict, 'ca.crt', mutual('alice-cert', 'encrypted-key', ', "passphrase": "phrase"'));
is(test("'encrypted'")->{outcome}, 'delivered', 'the key may be encrypted');
endpoint('nobody', $strict, 'ca.crt');
is(test("'nobody'")->{outcome}, 'retry', 'without a certificate the server hangs up');
endpoint('mallory', $strict, 'ca.crt', mutual('mallory-cert', 'mallory-key'));
is(test("'mallory'")->{outcome}, 'retry', 'as with one of another authority');
sql("select postrider.set_secret('chain', \$pem\$" . pem('alice.crt') . pem('ca.crt') . "\$pem\$)");
endpoint('chain', $strict, 'ca.crt', '[{"type": "api_key", "secret": "phrase"}, ' . mutual('chain', 'alice-key') . ']');
is(test("'chain'")->{outcome}, 'delivered', 'with its chain, and with a key besides');
is((seen('strict.log'))[-1]{key}, 'opensesame', 'which arrives');

# What does not fit
my $no = 0;
sub refused
{
	my ($auth, $error, $what) = @_;
	my $written = said("insert into postrider.endpoint (name, url, auth) values ('never', 'https://example.com/', '$auth')");
	like($written, qr/ERROR:  auth of endpoint "never" cannot be used: \Q$error\E$/m, "$what: refused when it is written");
	unlike($written, qr/opensesame|PRIVATE/, 'without anything secret');
	# The secrets may change later.
	sql("set session_replication_role = replica; insert into postrider.endpoint (name, url, ca_certificate, auth) values ('bad" . ++$no . "', '$strict/bad', \$pem\$" . pem('ca.crt') . "\$pem\$, '$auth')");
	sql("update postrider.endpoint set description = 'wakes the worker' where name = 'bad$no'");
	my $bad = test("'bad$no'");
	is("$bad->{outcome} $bad->{error}", "retry $error", $what);
	unlike(encode_json($bad), qr/opensesame|PRIVATE/, 'and nothing secret');
}
my $before = seen('strict.log');
refused(mutual('alice-cert', 'bob-key'), 'the certificate in secret "alice-cert" does not fit the private key in secret "bob-key"', 'a key that is not that of the certificate');
refused(mutual('expired-cert', 'alice-key'), 'the certificate in secret "expired-cert" has expired on 2021-01-01: /CN=expired', 'an expired certificate');
refused(mutual('text', 'alice-key'), 'secret "text" has no certificate in PEM in it', 'no certificate');
refused(mutual('alice-cert', 'text'), 'secret "text" has no private key in PEM in it', 'no key');
refused(mutual('alice-cert', 'encrypted-key'), 'the private key in secret "encrypted-key" is encrypted, and no passphrase is given', 'no passphrase');
refused(mutual('alice-cert', 'encrypted-key', ', "passphrase": "wrong-phrase"'), 'the private key in secret "encrypted-key" cannot be read: is the passphrase right?', 'a wrong passphrase');
is(scalar(seen('strict.log')), $before, 'none of them got as far as the server');
like(said("update postrider.endpoint set ca_certificate = \$pem\$" . pem('old-authority.crt') . "\$pem\$ where name = 'alice'"), qr/ERROR:  ca_certificate of endpoint "alice" has a certificate that has expired on 2021-01-01: \/CN=old-authority\n/, 'an expired authority is refused when it is written');
my $error = said("set log_statement = 'none'; update postrider.endpoint set ca_certificate = \$pem\$" . pem('ca.key') . "\$pem\$ where name = 'alice'");
like($error, qr/ERROR:  ca_certificate of endpoint "alice" has a private key in it/, 'as is a key');
(my $line) = pem('ca.key') =~ /^([A-Za-z0-9+\/]{20,})/m;
unlike($error . slurp_file($node->logfile), qr/\Q$line\E/, 'which is not in the error, nor in the log');

# Deliveries: connections are kept, and never shared between those who are somebody else.
my $count = seen('lax.log');
endpoint('as-alice', $lax, 'ca.crt', mutual('alice-cert', 'alice-key'));
endpoint('as-bob', $lax, 'ca.crt', mutual('bob-cert', 'bob-key'));
endpoint('as-nobody', $lax, 'ca.crt');
endpoint('untrusting', $lax, 'other.crt');
sql("update postrider.endpoint set max_in_flight = 1, retry_schedule = '{1 day}'");
for my $round (1 .. 5)
{
	sql("select postrider.send(name, '{}') from postrider.endpoint where name like 'as-%' or name = 'untrusting' order by random()");
	ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt", 4 * $round), "round $round");
}
is(sql("select string_agg(distinct a.outcome, ' ') from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'untrusting'"), 'retry', 'no connection of another carries what does not trust the server');
my (%who, %connections);
for (splice @{ [ seen('lax.log') ] }, $count)
{
	next unless $_->{path} =~ m{^/as-(.*)};
	$who{$1}{ $_->{who} // 'nobody' }++;
	$connections{ $_->{connection} }{$1} = 1;
}
is_deeply(\%who, { alice => { alice => 5 }, bob => { bob => 5 }, nobody => { nobody => 5 } }, 'each is who it is');
is_deeply([ map { scalar keys %$_ } values %connections ], [ 1, 1, 1 ], 'on one connection of its own');

# A new certificate, by a new version of its secret
sql("select postrider.set_secret('alice-cert', \$pem\$" . pem('bob.crt') . "\$pem\$), postrider.set_secret('alice-key', \$pem\$" . pem('bob.key') . "\$pem\$)");
sql("select postrider.send('as-alice', '{}')");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt where outcome = 'delivered'", 16), 'after a change of the secret');
is((seen('lax.log'))[-1]{who}, 'bob', 'the new certificate is shown');

# A token server of one's own authority: what its certificates are is looked at as well.
sub token { my ($pem) = @_; return JSON::PP->new->encode({ type => 'oauth2_client_credentials', token_url => 'https://login.example.com/', client_id => 'me', client_secret => 'phrase', ca_certificate => $pem }); }
sub token_refused { return said("insert into postrider.endpoint (name, url, auth) values ('never', 'https://example.com/', \$\$" . token($_[0]) . '$$)'); }
like(token_refused(pem('old-authority.crt')), qr/ERROR:  ca_certificate in auth of endpoint "never" has a certificate that has expired on 2021-01-01/, 'an expired authority of a token server is refused');
like(said("insert into postrider.endpoint (name, url, auth) values ('never', 'https://example.com/', jsonb_build_array('{\"type\": \"api_key\", \"secret\": \"phrase\"}'::jsonb, \$\$" . token(pem('ca.key')) . '$$::jsonb))'),
	qr/ERROR:  ca_certificate in auth of endpoint "never" has a private key in it/, 'and a key, in one of two ways to authenticate');
like(token_refused('what'), qr/ERROR:  ca_certificate in auth of endpoint "never" has no certificate in it that can be read/, 'as is what is none');

# What has ended must not keep a dump from being restored: the endpoints are there, and
# problems tell of them.
sql("set session_replication_role = replica; insert into postrider.endpoint (name, url, ca_certificate, auth) values ('old', 'https://example.com/', \$p\$" . pem('old-authority.crt')
	. "\$p\$, \$p\$" . token(pem('old-authority.crt')) . "\$p\$);
	insert into postrider.endpoint (name, url, auth) values ('old-too', 'https://example.com/', jsonb_build_array('{\"type\": \"api_key\", \"secret\": \"phrase\"}'::jsonb, \$p\$" . token(pem('old-authority.crt')) . "\$p\$::jsonb))");
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('template1', 'create database restored');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'restore');
my $endpoints = 'select name, auth, ca_certificate from postrider.endpoint order by name';
is($node->safe_psql('restored', $endpoints), sql($endpoints), 'all endpoints are there, those with certificates that have ended too');
is($node->safe_psql('restored', "select string_agg(problem, ', ' order by problem) from postrider.problem where kind = 'certificate' and object = 'endpoint old'"),
	'a certificate in its ca_certificate ended on 2021-01-01, a certificate in the ca_certificate of its auth ended on 2021-01-01', 'and what is wrong with one is told');

# Each problem has a remedy that helps.
my @remedies = split /\x1e/, $node->safe_psql('restored', "select string_agg(remedy, e'\\x1e' order by object) from postrider.problem where kind = 'certificate' and object like 'endpoint old%'");
is(scalar @remedies, 3, 'three remedies');
my $new = pem('ca.crt');
$node->safe_psql('restored', s/<'the new PEM'>/'$new'/r) for @remedies;
is($node->safe_psql('restored', "select count(*) from postrider.problem where kind = 'certificate' and object like 'endpoint old%'"), 0, 'they help');
is($node->safe_psql('restored', "select count(*) from postrider.endpoint where name like 'old%' and \$\$$new\$\$ in (ca_certificate, auth ->> 'ca_certificate', auth -> 1 ->> 'ca_certificate')"), 2, 'the new one is where the old one was');

# Which of two tables comes first is not up to us: the secrets may be there already.
is(said("set check_function_bodies = off; insert into postrider.endpoint (name, url, auth) values ('restored', 'https://example.com/', '" . mutual('expired-cert', 'alice-key') . "')"),
	'', 'so with the certificate of a client');
$node->stop('fast');
done_testing();
