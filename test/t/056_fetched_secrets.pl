# What is fetched is as secret as what is stored: credentials of token servers and stores are
# planted, used and refused, by servers that repeat them; then everything that people can see is
# searched for them.  Every planted value begins with "Planted", so a part of one is found too.
use strict;
use warnings;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderPlanted;
use PostriderStore;
use PostriderTest;
use PostriderToken;
use Test::More;
use Time::HiRes qw(sleep);

my %planted = (
	beginning => 'Planted', assertion => 'eyJhbGciOi',
	client_basic => 'PlantedClientBasic/1 Kd+7', client_post => 'PlantedClientPost2Ux', refresh => 'Plantedrt-1',
	vault_secret_id => 'PlantedSecretId3Lm', vault_token => 'hvs.PlantedVaultToken4Ri', aws_key => 'PlantedAwsKey5/Gf+Ah', aws_session => 'PlantedAwsSession6Jw==',
	azure_secret => 'PlantedAzureSecret7~Wq',
	in_vault => 'PlantedInVault8"Nh\\', field_of_vault => 'PlantedFieldOfVault9', client_of_vault => 'PlantedClientOfVault0', in_aws => 'PlantedInAws1Ty',
	binary => 'PlantedBinary2Po', in_azure => 'PlantedInAzure3Es', file => 'PlantedFile4Rg', environment => 'PlantedEnvironment5Md',
	sign => 'whsec_' . encode_base64('PlantedSigningKey6Nb1Vc', ''), no_key => 'PlantedNoKey7Vb', no_json => 'PlantedNoJson8Xs');
$ENV{POSTRIDER_SECRET_PLANTED} = $planted{environment};

# Test 027 has the trees of statements too, which are long.
my $node = PostriderTest::node('fetched', conf => PostriderPlanted::loud . join '', map { "debug_print_$_ = off\n" } qw(parse rewritten plan));
my $dir = $node->basedir . '/secrets';
mkdir $dir or die $!;
for my $key (['rsa', 'rsa_keygen_bits:2048'], ['ec', 'ec_paramgen_curve:prime256v1'])
{
	system("openssl genpkey -algorithm $key->[0] -pkeyopt $key->[1] -out $dir/$key->[0] 2>/dev/null") == 0 or die 'openssl';
	$planted{"key_$key->[0]"} = slurp_file("$dir/$key->[0]");
}
append_to_file("$dir/file", $planted{file});
chmod 0600, glob "$dir/*";
$node->append_conf('postgresql.conf', "postrider.secret_directories = '$dir'\n");
$node->reload;
my $search = PostriderPlanted->new(%planted);
my $receiver = PostriderTest::Receiver->start;
my $tokens = PostriderToken->start(prefix => 'Planted', rotate => 1);
my $vault = PostriderStore->start('vault', prefix => 'Planted', role_id => 'role', secret_id => $planted{vault_secret_id}, tokens => { $planted{vault_token} => 1 },
	data => { '|kv/data/shop' => { key => $planted{in_vault}, field => $planted{field_of_vault}, client => $planted{client_of_vault}, sign => $planted{sign}, no_key => $planted{no_key} } });
my $aws = PostriderStore->start('aws', access_key_id => 'AKIA', secret_access_key => $planted{aws_key}, session_token => $planted{aws_session}, region => 'eu-west-1',
	secrets => { text => { SecretString => $planted{in_aws} }, binary => { SecretBinary => unpack('H*', $planted{binary}) } });
my $azure = PostriderStore->start('azure', prefix => 'Planted', tenant_id => 't', client_id => 'c', client_secret => $planted{azure_secret}, secrets => { key => { value => $planted{in_azure} } });

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub quoted { return "'" . ($_[0] =~ s/'/''/gr) . "'"; }
sub json { return quoted(JSON::PP->new->canonical->encode($_[0])); }

# Secrets, with values and with sources.
sql("select postrider.set_secret('$_', " . quoted($planted{$_}) . ')')
  for qw(client_basic client_post refresh vault_secret_id vault_token aws_key aws_session azure_secret key_rsa key_ec no_json);
sql("select postrider.set_secret('account', " . quoted(encode_json({ type => 'service_account', client_email => 'a@example.com', private_key_id => 'k', private_key => $planted{key_rsa} })) . ')');
my %role = (store => 'vault', url => $vault->url, path => 'kv/data/shop', role_id => 'role', secret_id => 'vault_secret_id');
my %aws = (store => 'aws', url => $aws->url, region => 'eu-west-1', access_key_id => 'AKIA', secret_access_key => 'aws_key', session_token => 'aws_session');
my %source = (
	in_vault => { %role, field => 'key' }, client_of_vault => { %role, field => 'client' }, sign => { %role, field => 'sign' }, no_key => { %role, field => 'no_key' },
	field_of_vault => { store => 'vault', url => $vault->url, path => 'kv/data/shop', field => 'field', token => 'vault_token' },
	in_aws => { %aws, secret_id => 'text' }, binary => { %aws, secret_id => 'binary' },
	in_azure => { store => 'azure', vault_url => $azure->url, name => 'key', tenant_id => 't', client_id => 'c', client_secret => 'azure_secret', authority => $azure->url },
	file => { store => 'file', path => "$dir/file" }, environment => { store => 'environment', variable => 'POSTRIDER_SECRET_PLANTED' });
sql("select postrider.set_secret_source('$_', " . json($source{$_}) . ')') for sort keys %source;

# Endpoints that use them.
my $server = $tokens->url;
sub client { return { type => 'oauth2_client_credentials', token_url => $server, client_id => 'me', scope => "s$_[0]", @_[1 .. $#_] }; }
my %auth = (
	basic => client(1, client_secret => 'client_basic'), post => client(2, client_secret => 'client_post', client_authentication => 'post'),
	stored => client(3, client_secret => 'client_of_vault'), odd => client(4, client_secret => 'client_post', header => 'X-Odd', prefix => 'Key '),
	signed => client(5, client_authentication => 'private_key_jwt', key => 'key_ec', algorithm => 'ES256'),
	refresh => { type => 'oauth2_refresh_token', token_url => $server, client_id => 'me', refresh_token => 'refresh' },
	jwt => { type => 'jwt_bearer', token_url => $server, issuer => 'i', key => 'key_rsa' }, account => { type => 'jwt_bearer', token_url => $server, key => 'account' },
	bad_jwt => { type => 'jwt_bearer', token_url => $server, issuer => 'i', key => 'no_json' },
	bad_key => { type => 'jwt_bearer', token_url => $server, issuer => 'i', key => 'no_key' },
	vault => { type => 'bearer', secret => 'in_vault' }, field => { type => 'api_key', in => 'query', name => 'k', secret => 'field_of_vault' },
	aws => { type => 'basic', username => 'u', password => 'in_aws' }, binary => { type => 'hmac', secret => 'binary', keyed => JSON::PP::false, template => '{{secret}}{{body}}', name => 'X-Sum' },
	azure => { type => 'api_key', in => 'header', name => 'X-Key', secret => 'in_azure' }, file => { type => 'bearer', secret => 'file' },
	environment => { type => 'aws_sigv4', region => 'eu-west-1', service => 'execute-api', access_key_id => 'AKIA', secret_access_key => 'environment', session_token => 'in_vault' },
	webhook => undef, no_key => undef);
my %places = (ok => '/ok', 401 => '/echo/401', 500 => '/echo/500', reply => '/echo/200');
my %signing = (webhook => "'sign'", no_key => "'no_key'");
my ($count, @endpoints) = 0;
for my $name (sort keys %auth)
{
	for my $place ('ok', (qw(401 500 reply))[ $count++ % 3 ])
	{
		push @endpoints, "$name-$place";
		sql("insert into postrider.endpoint (name, url, auth, signing_secret, reply_topic, max_attempts, retry_schedule, response_excerpt_bytes) values ('$name-$place', '"
			  . $receiver->url("$places{$place}/$name") . "', " . ($auth{$name} ? json($auth{$name}) : 'null') . ', ' . ($signing{$name} // 'null')
			  . ", 'reply.$place', 2, '{100 ms}', " . (64, 300, 1024)[ $count % 3 ] . ')');
	}
}
my $seen = '';
# Sends to all, and waits until a query returns "t".
sub try_all
{
	my ($until, $what) = @_;
	sql("select postrider.send(name, '{\"n\": 1}') from postrider.endpoint");
	ok(eval {
		PostriderTest::wait_until {
			sleep 0.1;
			$seen .= sql("select string_agg(query, ' ') from pg_stat_activity");
			sql($until) eq 't'
		} 'it is so', 120;
	}, $what) or diag(sql("select string_agg(format('%s %s %s', endpoint, status, error), chr(10)) from postrider.delivery where status not in ('delivered', 'dead')"),
		sql("select string_agg(c::text, chr(10)) from postrider.credential_status c"));
}
my $bad = "('bad_jwt', 'bad_key', 'no_key')";
try_all("select count(*) filter (where split_part(endpoint, '-', 1) in $bad or status in ('delivered', 'dead')) = count(*)
	and (select count(distinct endpoint_id) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where split_part(e.name, '-', 1) in $bad) = 6
	from postrider.delivery", 'all has been tried');
is(sql("select count(*) from postrider.delivery where status = 'delivered' and endpoint ~ '-(ok|reply)\$'"), grep({ /-(ok|reply)$/ && !/^(bad|no)_/ } @endpoints) + 0, 'what can be delivered is');
my $errors = sql("select string_agg(distinct split_part(e.name, '-', 1) || ': ' || error, chr(10)) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where split_part(e.name, '-', 1) in $bad");
like($errors, qr/^$_: .*secret "no_/m, "what is wrong with a key is told: $_") for qw(bad_jwt bad_key no_key);
my $came = join '', $receiver->lines;
ok(scalar($search->finds($came)), 'receivers did get secrets');
like($came, qr/$_/, "... $_") for qw(PlantedInVault8 PlantedFieldOfVault9 PlantedInAzure3Es PlantedFile4Rg Plantedat-\d), encode_base64("u:$planted{in_aws}", '');
my $asked = join '', map { encode_json($_) } $tokens->requests;
like($asked, qr/$_/, "the token server did get $_") for qw(PlantedClientBasic PlantedClientPost2Ux Plantedrt-1 PlantedClientOfVault0 eyJhbGciOi);
is(scalar(grep { ($_->{form}{grant_type} // '') eq 'refresh_token' && ($_->{refresh_token} // '') ne '' } $tokens->requests) > 0, 1, 'and replaced a refresh token');
cmp_ok(sql("select count(*) from postrider.attempt where response like '%***%'"), '>=', 8, 'receivers told us what they got, which is masked');
cmp_ok(sql("select count(*) from postrider.message where topic like 'reply.%' and payload::text like '%***%'"), '>=', 3, 'in replies too');

# Everything that shows something, now and each time that it has changed.
my $shown = '';
sub show
{
	my (@tested) = @_;
	$shown .= sql("select t::text from postrider.send_test('$_') t") . "\n" for @tested;
	$shown .= sql("select t::text from postrider.preview('all.x', '{}') t") . "\n";
	$shown .= sql("select t::text from postrider.explain((select id from postrider.message order by id desc limit 1)) t") . "\n";
	$shown .= sql('select postrider.export_config()') . "\n";
	my $rows = sql(q{select string_agg(format('select %L || t::text from %s t', c.relname || ' ', c.oid::regclass), ' union all ' order by c.relname)
		from pg_class c where c.relnamespace = 'postrider'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition});
	$shown .= sql($rows);
}
sql("insert into postrider.subscription (topic, endpoint) select 'all.**', name from postrider.endpoint");
show(@endpoints);
cmp_ok(scalar(() = $shown =~ /^(?:Authorization|X-Key|X-Amz-Security-Token): (?:\w+ )?\*\*\*$/mg), '>=', 25, 'send_test() sends what is secret, and masks it');

# The servers fail, and repeat what they were asked with.  The token server's description is cut at some
# length: a secret must not be cut before it is looked for.
for my $answer ([ 401, 0 ], [ 400, 285 ], [ 500, 485 ], [ 200, 290 ], [ 0, 0 ])
{
	my ($status, $letters) = @$answer;
	$tokens->script(echo => $answer, prefix => 'Planted');
	$_->set(echo => $status || 400) for $vault, $aws, $azure;
	my $begin = sql('select clock_timestamp()');
	sql("select postrider.renew_credential(id) from postrider.credential_status");
	try_all("select count(*) >= 10 from postrider.credential_status where last_error_at > '$begin'", "servers that answer with $status are told of");
	$shown .= sql('select c::text from postrider.credential_status c') . sql('select c::text from postrider.secret_source_status c');
}
like(sql("select string_agg(last_error, ' ') from postrider.credential_status"), qr/HTTP/, 'one that does not speak HTTP');
like($shown, qr/invalid_client \(\*\*\*/, 'what a server repeats is masked');
like($shown, qr/x{280,}\*\*\*/, 'and nothing is left of it at the end of what is shown');
show(grep { /^(basic|post|refresh|jwt|vault|field|aws|azure|stored)-ok/ } @endpoints);
$tokens->script(prefix => 'Planted', life => 3600);
$_->set(echo => 0) for $vault, $aws, $azure;
sql("select postrider.renew_credential(id) from postrider.credential_status");
show();

# Statements of people with what does not become a secret.
$node->psql('postgres', "select postrider.set_secret_source('x', '{\"store\": \"vault\", \"url\": \"http://127.0.0.1:1\", \"path\": \"p\", \"field\": \"f\", \"role_id\": \"r\", \"secret_id\": \"$planted{vault_secret_id}\"}')");

cmp_ok(length $shown, '>', 100000, 'there is something to be searched');
$search->clean($shown, 'send_test, preview, explain, export_config, all tables and views');
$search->clean($seen, 'pg_stat_activity');
$search->clean(sql("select string_agg(name || '=' || current_setting(name, true), ' ') from pg_settings"), 'all settings');
sql('create extension pg_stat_statements');
$search->clean(sql('select string_agg(query, chr(10)) from pg_stat_statements'), 'pg_stat_statements');
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dumpall', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dumpall');
$search->clean(slurp_file($dump), 'the dump');
cmp_ok(sql("select count(*) from postrider.credential where ciphertext is not null and length(ciphertext) > 30"), '>=', 12, 'what was fetched is kept, as ciphertext');
is(sql("select count(*) from postrider.credential where kind in ('store_file', 'store_environment')"), 0, 'but not what is read here');
$node->stop('fast');
my $log = slurp_file($node->logfile);
cmp_ok(length $log, '>', 1000000, 'the log has much in it');
# PostgreSQL writes down the environment when it starts, before it loads any library: a
# message for each variable, and from 18 on one with a line for each.
is($log =~ s/^(?:.*DEBUG: .*)?\tPOSTRIDER_SECRET_PLANTED=.*//mg, 1, 'the environment is logged by PostgreSQL itself');
$search->clean($log, 'the log at debug5');
done_testing();
