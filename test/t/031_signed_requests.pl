# Schemes that sign the request, on real requests and in batches; preview shows none of it; an
# endpoint whose secret has expired waits, and goes on when there is a new one.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256 hmac_sha256_hex hmac_sha512_base64 sha256_hex);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('signed');
my $receiver = PostriderTest::Receiver->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }

sub endpoint
{
	my ($name, $path, $auth, $more) = @_;
	my $columns = join '', map { ", $_" } sort keys %{ $more // {} };
	my $values = join '', map { ", '$more->{$_}'" } sort keys %{ $more // {} };
	sql("insert into postrider.endpoint (name, url, auth$columns) values ('$name', '" . $receiver->url($path) . "', '$auth'$values)");
}

sub request_of
{
	my ($name, $payload) = @_;
	my $arrived = sub { grep { index($_->{path}, "/ok/$name") == 0 } $receiver->requests };
	my $before = () = $arrived->();
	sql("select postrider.send('$name', '$payload')");
	PostriderTest::wait_until(sub { (() = $arrived->()) > $before }, "$name arrives");
	return ($arrived->())[-1];
}

sql("select postrider.set_secret('key', 'planted-hmac-key'), postrider.set_secret('aws', 'planted/AWS+key')");

# HMAC over a template, in headers
endpoint('ads', '/ok/ads?b=2&a=1', '{"type": "hmac", "secret": "key", "name": "X-Signature", "prefix": "v1=",
	"template": "{{method}}|{{path}}|{{query_sorted}}|{{body}}|{{timestamp}}|{{nonce}}",
	"timestamp": {"name": "X-Time", "format": "ms"}, "nonce": {"name": "X-Nonce"}}');
my $got = request_of('ads', '{"click": "ü"}');
my $head = $got->{headers};
like($head->{'x-time'}, qr/^\d{13}$/, 'the time is sent');
cmp_ok(length($head->{'x-nonce'}), '>=', 16, 'and a nonce');
my $body = $got->{body};
is($head->{'x-signature'}, 'v1=' . hmac_sha256_hex("POST|/ok/ads|a=1&b=2|$body|$head->{'x-time'}|$head->{'x-nonce'}", 'planted-hmac-key'),
	'the receiver gets the same signature of what it has got');
isnt(request_of('ads', '{"click": "ü"}')->{headers}{'x-nonce'}, $head->{'x-nonce'}, 'another nonce each time');

# In the query, of a GET
endpoint('postback', '/ok/postback?tx={{$.id}}', '{"type": "hmac", "secret": "key", "in": "query", "name": "sig", "algorithm": "sha512",
	"encoding": "base64url", "template": "{{path}}?{{query}}"}', { method => 'GET' });
my ($path, $signature) = request_of('postback', '{"id": "a b"}')->{path} =~ /^(.*)&sig=(.*)$/;
my $wanted = hmac_sha512_base64($path, 'planted-hmac-key') =~ tr{+/}{-_}r;
is($signature =~ s/(%3D|=)+$//r, $wanted, 'a signature in the query covers what is before it');

# AWS Signature Version 4, verified from its description
endpoint('lambda', '/ok/lambda/a%20b?x=1&w=%C3%A9', '{"type": "aws_sigv4", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "aws",
	"region": "eu-central-1", "service": "execute-api"}');
$got = request_of('lambda', '{"n": 1}');
my ($scope, $signed, $aws) = $got->{headers}{authorization} =~
	m{^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$};
ok($aws, 'the header has the form of Signature Version 4') or diag($got->{headers}{authorization});
my $canonical = join "\n", 'POST', '/ok/lambda/a%2520b', 'w=%C3%A9&x=1',
	(map { "$_:" . $got->{headers}{$_} } split /;/, $signed), '', $signed, sha256_hex($got->{body});
my $date = $got->{headers}{'x-amz-date'};
my $signing_key = hmac_sha256('aws4_request', hmac_sha256('execute-api', hmac_sha256('eu-central-1',
	hmac_sha256(substr($date, 0, 8), 'AWS4planted/AWS+key'))));
is($scope, substr($date, 0, 8) . '/eu-central-1/execute-api/aws4_request', 'scope');
is($aws, hmac_sha256_hex(join("\n", 'AWS4-HMAC-SHA256', $date, $scope, sha256_hex($canonical)), $signing_key),
	'the signature covers what has arrived');
like($signed, qr/\bhost\b/, 'the host too');

# A batch is signed as a whole.
endpoint('batch', '/ok/batch', '{"type": "hmac", "secret": "key"}', { batch_size => 5, batch_delay => '200 ms', batch_format => 'json-array' });
sql("select postrider.send('batch', to_jsonb(n)) from generate_series(1, 5) n");
ok($receiver->wait_for_count(1, '/ok/batch'), 'a batch arrives');
($got) = $receiver->requests('/ok/batch');
is(scalar(@{ decode_json($got->{body}) }), 5, 'with all records');
is($got->{headers}{'x-signature'}, hmac_sha256_hex($got->{body}, 'planted-hmac-key'), 'signed as it is sent');

# Preview shows signatures, as they would be, and nothing that makes them.
sql("insert into postrider.subscription (topic, endpoint) select 'seen', name from postrider.endpoint");
my $preview = sql("select string_agg(p::text, ' ') from postrider.preview('seen', '{\"id\": 1}') p");
unlike($preview, qr/planted/, 'preview shows no key');

# A secret that has expired: an attempt says so, the rest waits, and all flows with the next one.
sql("select postrider.set_secret('short', 'planted-short-1', expires_at => now() + interval '1 second')");
endpoint('late', '/ok/late', '{"type": "bearer", "secret": "short"}', { backoff_base => '100 ms', backoff_max => '200 ms', max_attempts => 1000 });
PostriderTest::wait_for($node, "select now() > expires_at from postrider.secret where name = 'short'", 't');
sql("select postrider.send('late', to_jsonb(n)) from generate_series(1, 30) n");
ok(PostriderTest::wait_for($node, "select count(*) > 0 from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id
	where e.name = 'late' and a.error_code = 'secret' and a.error like '%secret \"short\" has expired%'", 't'), 'the error names the secret');
is($receiver->count('/ok/late'), 0, 'nothing was sent without it');
cmp_ok(sql("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'late'"),
	'<', 10, 'and few attempts were spent on it');
sql("select postrider.set_secret('short', 'planted-short-2', expires_at => now() + interval '1 day')");
ok($receiver->wait_for_count(30, '/ok/late'), 'all flows with a new one');
is(scalar(grep { $_->{headers}{authorization} ne 'Bearer planted-short-2' } $receiver->requests('/ok/late')), 0, 'which they have');

unlike(slurp_file($node->logfile), qr/planted-/, 'the log has none of all this');
$receiver->down;
$node->stop('fast');
done_testing();
