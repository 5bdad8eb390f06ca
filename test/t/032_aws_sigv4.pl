# Signature Version 4: the same as @smithy/signature-v4, which the AWS SDK signs with.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

plan skip_all => 'npm is not installed' unless `npm --version 2>/dev/null`;
my $dir = tempdir(CLEANUP => 1);
my $log = `cd $dir && HOME=$dir npm install --no-audit --no-fund --silent \@smithy/signature-v4\@5 \@smithy/protocol-http\@5 \@aws-crypto/sha256-js\@5 2>&1`;
ok(-d "$dir/node_modules/\@smithy/signature-v4", 'the package @smithy/signature-v4 is there') or BAIL_OUT($log);

# Requests: service, region, method, URL, headers, body, session token
my @requests;
for my $service ([ 'execute-api', 'eu-west-1' ], [ 's3', 'us-east-1' ], [ 'ses', 'eu-central-1' ], [ 'sqs', 'cn-north-1' ], [ 'secretsmanager', 'us-gov-west-1' ])
{
	my $host = "https://$service->[0].$service->[1].amazonaws.com";
	my @urls = ("$host/", $host, "$host/prod/orders", "$host/a%20b/c%2Fd/%C3%A4", "$host/a.b_c~d-e/(f)!*'", "$host/x/", "$host/a=b&c/\$d@\@e:f",
		"$host/?", "$host/?b=2&a=1", "$host/?a=2&a=1&A=3", "$host/?empty=&none", "$host/?q=a%20b%2Fc%3D&p=%C3%A4", "$host/?a~b=c_d-e.f&x=(1)*'!", "$host:8443/p?x=1", "$host:443/p");
	push @urls, "$host/a//b/./c/../d" if $service->[0] ne 's3';
	for my $url (@urls)
	{
		push @requests, { service => $service->[0], region => $service->[1], method => 'GET', url => $url, headers => {} };
	}
	push @requests, { service => $service->[0], region => $service->[1], method => 'POST', url => "$host/v1?x=1", body => '{"order": 7, "name": "Zo\u00eb"}',
		headers => { 'Content-Type' => 'application/json', 'X-Shop' => '  main   shop ', 'User-Agent' => 'postrider', 'webhook-id' => 'x', 'X-Amz-Target' => 'A.B' }, token => 'session/token+==' };
	push @requests, { service => $service->[0], region => $service->[1], method => 'DELETE', url => "$host/v1/7", headers => { 'Cache-Control' => 'no-cache', traceparent => '00-1-1-00' } };
}
open(my $out, '>', "$dir/requests.json") or die $!;
print $out JSON::PP->new->ascii->encode(\@requests);
close $out;
open(my $script, '>', "$dir/sign.js") or die $!;
print $script <<'JS';
const { SignatureV4 } = require('@smithy/signature-v4');
const { HttpRequest } = require('@smithy/protocol-http');
const { Sha256 } = require('@aws-crypto/sha256-js');
(async () => {
	for (const r of JSON.parse(require('fs').readFileSync('requests.json'))) {
		const url = new URL(r.url);
		const query = {};
		for (const part of url.search.slice(1).split('&').filter(p => p !== '')) {
			const at = part.indexOf('='), name = decodeURIComponent(at < 0 ? part : part.slice(0, at)), value = at < 0 ? '' : decodeURIComponent(part.slice(at + 1));
			query[name] = name in query ? [].concat(query[name], value) : value;
		}
		const path = r.url.replace(/^https:\/\/[^\/?]*/, '').replace(/\?.*/, '') || '/';
		const signer = new SignatureV4({ service: r.service, region: r.region, sha256: Sha256, applyChecksum: r.service === 's3', uriEscapePath: r.service !== 's3',
			credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', sessionToken: r.token } });
		const signed = await signer.sign(new HttpRequest({ method: r.method, protocol: 'https:', hostname: url.hostname, path, query, headers: { host: url.host, ...r.headers }, body: r.body }), { signingDate: new Date('2026-11-28T20:00:00Z') });
		console.log(signed.headers.authorization || signed.headers.Authorization);
	}
})();
JS
close $script;
my @wanted = split /\n/, `cd $dir && node sign.js 2>&1`;
is(scalar @wanted, scalar @requests, 'it has signed ' . @requests . ' requests') or BAIL_OUT(join "\n", @wanted[ 0 .. 10 ]);

my $node = PostriderTest::node('aws');
sub quote { my ($s) = @_; return 'null' unless defined $s; $s =~ s/'/''/g; return "'$s'"; }
my $json = JSON::PP->new->ascii;
my @values;
for (@requests)
{
	my %auth = (type => 'aws_sigv4', region => $_->{region}, service => $_->{service}, access_key_id => 'AKIDEXAMPLE', secret_access_key => 'key');
	$auth{session_token} = 'token' if $_->{token};
	my %secrets = (key => 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', token => $_->{token} // '');
	push @values, '(' . @values . ', ' . join(', ', quote($json->encode(\%auth)) . '::jsonb', quote($json->encode(\%secrets)) . '::jsonb', quote($_->{method}), quote($_->{url}), quote($json->encode($_->{headers})) . '::jsonb', quote($_->{body})) . ')';
}
my @made = split /\n/, $node->safe_psql('postgres', q[
	create function pg_temp.auth(auth jsonb, secrets jsonb, method text, url text, headers jsonb, body text, at timestamptz) returns jsonb language c as 'postrider_test', 'test_auth';
	select pg_temp.auth(a, s, m, u, h, b, '2026-11-28 20:00:00+00')->'headers'->>'Authorization' from (values ] . join(",\n", @values) . q[) v(n, a, s, m, u, h, b) order by n]);
for my $i (0 .. $#requests)
{
	is($made[$i], $wanted[$i], "$requests[$i]{method} $requests[$i]{url}");
}
$node->stop('fast');
done_testing();
