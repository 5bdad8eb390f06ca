# Secrets in AWS Secrets Manager: requests signed with Signature Version 4, which the stand-in checks by its own computation.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use PostriderStore;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('aws');
my $receiver = PostriderTest::Receiver->start;
my ($first, $second) = qw(whsec_Zmlyc3QtZmlyc3QtZmlyc3QtZmlyc3Q= whsec_c2Vjb25kLXNlY29uZC1zZWNvbmQ=);
my %keys = (access_key_id => 'AKIAIOSFODNN7EXAMPLE', secret_access_key => 'planted/wJalrXUtnFEMI/K7MDENG', region => 'eu-central-1');
my $aws = PostriderStore->start('aws', %keys, secrets => {
		'crm/api' => { SecretString => 'planted-plain' }, 'crm/json' => { SecretString => '{"user": "shop", "key": "planted-field", "n": 5}' },
		'crm/bin' => { SecretBinary => unpack('H*', 'planted-binary') }, 'crm/noise' => { SecretBinary => 'ff00fe' },
		'sign' => { SecretString => $first }, 'staged' => { stages => { AWSCURRENT => 'planted-current', AWSPENDING => 'planted-pending' } } });

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

sub aws_source { my ($name, $id, %more) = @_; source($name, store => 'aws', url => $aws->url, secret_id => $id, region => 'eu-central-1', access_key_id => 'AKIAIOSFODNN7EXAMPLE', secret_access_key => 'aws_key', %more); }

sql("select postrider.set_secret('aws_key', '$keys{secret_access_key}')");
my %wanted = (plain => 'planted-plain', field => 'planted-field', number => 5, binary => 'planted-binary', pending => 'planted-pending', arn => 'planted-plain');
aws_source('plain', 'crm/api', refresh => '1 second');
aws_source('field', 'crm/json', field => 'key');
aws_source('number', 'crm/json', field => 'n');
aws_source('binary', 'crm/bin');
aws_source('pending', 'staged', version_stage => 'AWSPENDING');
aws_source('arn', 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:crm/api-a1b2c3');
is($aws->count, 0, 'nothing is fetched before somebody needs it');
for my $name (sort keys %wanted)
{
	bearer($name);
	deliver($name);
	delivered($name, 1);
	is(last_token($name), "Bearer $wanted{$name}", "$name: the value from the store");
}
my ($request) = grep { $_->{body} =~ /AWSPENDING/ } $aws->requests;
is($request->{headers}{'x-amz-target'}, 'secretsmanager.GetSecretValue', 'the target');
is_deeply(decode_json($request->{body}), { SecretId => 'staged', VersionStage => 'AWSPENDING' }, 'the body');
is(scalar(grep { $_->{status} != 200 } $aws->requests), 0, 'every signature was right');

# Rotation
aws_source('sign', 'sign', refresh => '1 second', overlap => '1 minute');
endpoint('sign', 'signing_secret', "'sign'");
deliver('sign');
delivered('sign', 1);
ok(PostriderTest::verify((requests('sign'))[0], $first), 'a signature with a key from the store');
$aws->set(secrets => { %{ $aws->{has}{secrets} }, sign => { SecretString => $second }, 'crm/api' => { SecretString => 'planted-rotated' } });
PostriderTest::wait_until { deliver('sign'); deliver('plain'); sleep 0.2; PostriderTest::verify((requests('sign'))[-1], $second) && last_token('plain') eq 'Bearer planted-rotated' } 'the new values are used';
ok(PostriderTest::verify((requests('sign'))[-1], $first), 'and the old key signs too while they overlap');

# Temporary credentials, and what is wrong with them
$aws->set(session_token => 'planted-session-token');
sql("select postrider.set_secret('aws_session', 'planted-session-token')");
aws_source('session', 'crm/json', field => 'key', session_token => 'aws_session');
bearer('session');
deliver('session');
delivered('session', 1);
is(last_token('session'), 'Bearer planted-field', 'with a session token');
$aws->set(expired => JSON::PP::true);
aws_source('expired', 'crm/json', field => 'user', session_token => 'aws_session');
bearer('expired');
deliver('expired');
wait_for_error('expired', qr{^secret: .*secret "expired".*AWS Secrets Manager \Q@{[$aws->url]}\E answered with status 400 for secret "crm/json": ExpiredTokenException}, 'credentials that have expired');
$aws->set(expired => JSON::PP::false, session_token => undef);

sub fails
{
	my ($name, $like, $what, $id, %more) = @_;
	aws_source($name, $id, %more);
	bearer($name);
	deliver($name);
	wait_for_error($name, $like, $what);
}
fails('lost', qr/for secret "crm\/lost": ResourceNotFoundException/, 'a secret that is not there', 'crm/lost');
$aws->set(denied => { 'crm/denied' => 1 });
fails('denied', qr/AccessDeniedException/, 'a secret that is denied', 'crm/denied');
fails('stage', qr/ResourceNotFoundException/, 'a stage that is not there', 'crm/api', version_stage => 'AWSPREVIOUS');
fails('no_field', qr/has a secret without a field "secret"/, 'a field that is not there', 'crm/json', field => 'secret');
fails('no_json', qr/has a secret that is no JSON object, so it has no field "key"/, 'a field of what is no JSON', 'crm/api', field => 'key');
fails('noise', qr/has a secret that is no text/, 'bytes that are no text', 'crm/noise');
fails('region', qr/InvalidSignatureException/, 'another region', 'crm/api', region => 'us-east-1');
fails('unknown', qr/UnrecognizedClientException/, 'a key that is not known', 'crm/api', access_key_id => 'AKIAUNKNOWN');
sql("select postrider.set_secret('aws_wrong', 'planted-wrong-key')");
fails('key', qr/InvalidSignatureException$/, 'a wrong key, without what the store says of the request', 'crm/api', secret_access_key => 'aws_wrong');
sql("select postrider.set_secret('aws_wrong', '$keys{secret_access_key}', overlap => '0')");
delivered('key', 1);

# Throttled, then down: a value in force is used.
$aws->set(throttled => JSON::PP::true);
my $count = $receiver->count('/ok/plain');
deliver('plain');
sleep 1.2;
deliver('plain');
delivered('plain', $count + 2);
is(last_token('plain'), 'Bearer planted-rotated', 'a throttled store does not stop deliveries');
PostriderTest::wait_until { sql("select state from postrider.secret_source_status where name = 'plain'") eq 'renewal failing' } 'the view says so';
like(sql("select last_error from postrider.secret_source_status where name = 'plain'"), qr/ThrottlingException/, 'and why');
$aws->set(throttled => JSON::PP::false);

# A secret that is needed for another may come from elsewhere, too.
my $dir = $node->basedir . '/secrets';
mkdir $dir or die $!;
append_to_file("$dir/aws", "$keys{secret_access_key}\n");
chmod 0600, "$dir/aws";
$node->append_conf('postgresql.conf', "postrider.secret_directories = '$dir'\n");
$node->reload;
sleep 0.5;
source('aws_file', store => 'file', path => "$dir/aws");
aws_source('chain', 'crm/bin', secret_access_key => 'aws_file');
bearer('chain');
deliver('chain');
delivered('chain', 1);
is(last_token('chain'), 'Bearer planted-binary', 'a store whose key is in a file');
my $found = join ',', grep { sql("select count(*) from $_ t where t::text ~ 'planted'") ne '0' } split /\n/, sql("select format('%I.%I', table_schema, table_name) from information_schema.tables where table_schema = 'postrider'");
is($found, '', 'no value is in a table or view');
unlike(slurp_file($node->logfile), qr/planted-(plain|field|binary|rotated|session|wrong|current|pending)|planted\/wJalr/, 'nor in the log');

# The stand-in is one that a real client works with.
SKIP: {
	use File::Temp qw(tempdir);
	my $npm = tempdir(CLEANUP => 1);
	my $log = `cd $npm && HOME=$npm npm install --no-audit --no-fund --silent \@aws-sdk/client-secrets-manager\@3.600.0 2>&1`;
	skip "npm: $log", 2 unless -d "$npm/node_modules/\@aws-sdk/client-secrets-manager";
	open(my $script, '>', "$npm/get.js") or die $!;
	print $script <<'JS';
const { SecretsManagerClient, GetSecretValueCommand } = require('@aws-sdk/client-secrets-manager');
const [endpoint, secretAccessKey, id] = process.argv.slice(2);
const client = new SecretsManagerClient({ endpoint, region: 'eu-central-1', maxAttempts: 1, credentials: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey } });
client.send(new GetSecretValueCommand({ SecretId: id })).then(r => console.log(r.SecretString), e => console.log(e.name));
JS
	close $script;
	my $url = $aws->url;
	is(`cd $npm && node get.js $url '$keys{secret_access_key}' crm/api 2>&1`, "planted-rotated\n", "Amazon's own client is served by the stand-in");
	is(`cd $npm && node get.js $url 'wrong' crm/api 2>&1`, "InvalidSignatureException\n", 'and refused with a wrong key');
}
$aws->down;
$receiver->down;
$node->stop('fast');
done_testing();
