# Secrets in HashiCorp Vault: fetched with AppRole or a token, kept, renewed, rotated; what happens when it is down.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use PostriderStore;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('vault', conf => "postrider.workers = 2\n");
my $receiver = PostriderTest::Receiver->start;
my ($first, $second, $third) = qw(whsec_Zmlyc3QtZmlyc3QtZmlyc3QtZmlyc3Q= whsec_c2Vjb25kLXNlY29uZC1zZWNvbmQ= whsec_dGhpcmQtdGhpcmQtdGhpcmQtdGhpcmQ=);
my $vault = PostriderStore->start('vault', role_id => 'role-of-shop', secret_id => 'planted-secret-id-1',
	tokens => { 'hvs.planted-static-token' => 1 },
	data => { '|secret/data/crm' => { api_key => 'planted-api-key-1', number => 7, deep => {} }, '|secret/data/sign' => { key => $first },
		'emea/shop|kv/data/team/crm' => { api_key => 'planted-in-namespace' } });

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub wait_for { return PostriderTest::wait_for($node, @_); }
sub source
{
	my ($name, %more) = @_;
	my %source = (store => 'vault', url => $vault->url, path => 'secret/data/crm', field => 'api_key', role_id => 'role-of-shop', secret_id => 'vault_secret_id', %more);
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

sql("select postrider.set_secret('vault_secret_id', 'planted-secret-id-1'), postrider.set_secret('vault_token', 'hvs.planted-static-token')");

# Nothing is fetched that no endpoint uses.
source('unused');
source('crm', refresh => '1 second', overlap => '4 seconds');
sleep 0.5;
is($vault->count, 0, 'nothing is fetched before somebody needs it');

# A value by AppRole
bearer('crm');
deliver('crm');
delivered('crm', 1);
is(last_token('crm'), 'Bearer planted-api-key-1', 'with the value from Vault');
my @asked = $vault->requests;
is(scalar @asked, 2, 'in two requests');
is("$asked[0]{method} $asked[0]{path}", 'POST /v1/auth/approle/login', 'a login');
is_deeply(decode_json($asked[0]{body}), { role_id => 'role-of-shop', secret_id => 'planted-secret-id-1' }, 'with role_id and secret_id');
is("$asked[1]{method} $asked[1]{path}", 'GET /v1/secret/data/crm', 'and the value');
like($asked[1]{headers}{'x-vault-token'}, qr/^hvs\./, 'with the token');

# One login serves all that log in alike; a namespace is another login.
source('sign', path => 'secret/data/sign', field => 'key', refresh => '1 second', overlap => '4 seconds');
endpoint('sign', 'signing_secret', "'sign'");
deliver('sign');
delivered('sign', 1);
ok(PostriderTest::verify((requests('sign'))[0], $first), 'a signature with a key from Vault');
is($vault->count(qr/login/), 1, 'one login is enough');
$vault->set(data => { %{ $vault->{has}{data} }, 'emea/shop|kv/data/team/crm' => { api_key => 'planted-in-namespace' } });
source('spaced', mount => 'kv', path => 'team/crm', namespace => 'emea/shop');
bearer('spaced');
deliver('spaced');
delivered('spaced', 1);
is(last_token('spaced'), 'Bearer planted-in-namespace', 'mount, path and namespace');
is($vault->count(qr/login/), 2, 'with a login of its own');
source('static', role_id => undef, secret_id => undef, token => 'vault_token');
bearer('static');
deliver('static');
delivered('static', 1);
is(last_token('static'), 'Bearer planted-api-key-1', 'a token instead of AppRole');

# Rotation: what is new in Vault is picked up, and both sign while they overlap.
my $count = $receiver->count('/ok/sign');
$vault->set(data => { %{ $vault->{has}{data} }, '|secret/data/sign' => { key => $second }, '|secret/data/crm' => { api_key => 'planted-api-key-2', number => 7, deep => {} } });
PostriderTest::wait_until {
	deliver('sign');
	deliver('crm');
	sleep 0.2;
	my @signed = requests('sign');
	@signed && PostriderTest::verify($signed[-1], $second) && (last_token('crm') // '') eq 'Bearer planted-api-key-2'
} 'the new values are used';
my ($both) = grep { PostriderTest::verify($_, $second) } requests('sign');
ok(PostriderTest::verify($both, $first), 'both keys sign while they overlap');
like($both->{headers}{'webhook-signature'}, qr/^v1,\S+ v1,\S+$/, 'that are two signatures');
PostriderTest::wait_until { deliver('sign'); sleep 0.3; !PostriderTest::verify((requests('sign'))[-1], $first) } 'the old key does not sign any more';
ok(PostriderTest::verify((requests('sign'))[-1], $second), 'after that the new one alone');

# An idle endpoint costs nothing: nobody asks Vault.
sleep 0.5;
$count = $vault->count;
sleep 2.5;
is($vault->count, $count, 'without deliveries nothing is renewed');

# Vault is down: a value in force is used, and what needs another waits.
$vault->down;
my $before = $receiver->count('/ok/crm');
deliver('crm') for 1 .. 3;
delivered('crm', $before + 3);
is(last_token('crm'), 'Bearer planted-api-key-2', 'a value in force stays in use');
source('late', path => 'secret/data/late', refresh => '1 second', grace => '0');
bearer('late');
deliver('late');
wait_for_error('late', qr{^secret: .*secret "late".*Vault http://127\.0\.0\.1:\d+/v1/secret/data/(late|crm)? ?.*connect}i, 'what cannot be fetched is in the error, with the URL');
is(scalar(() = requests('late')), 0, 'and nothing was sent');
$vault->set(data => { %{ $vault->{has}{data} }, '|secret/data/late' => { api_key => 'planted-late' } });
$vault->up;
delivered('late', 1);
is(last_token('late'), 'Bearer planted-late', 'until it is up again');

# Without grace a value ends with its refresh.
$vault->set(sealed => JSON::PP::true);
sleep 1.5;
deliver('late');
wait_for_error('late', qr/answered with status 503: it is sealed/, 'without a grace the value ends');
$vault->set(sealed => JSON::PP::false);
delivered('late', 2);

# What is wrong in Vault, each with a clear error and without the value
source('wrong', path => 'secret/data/nothing');
bearer('wrong');
deliver('wrong');
wait_for_error('wrong', qr{Vault \Q@{[$vault->url]}\E/v1/secret/data/nothing answered with status 404: there is nothing at this path}, 'a path that is not there');
source('wrong', field => 'key');
wait_for_error('wrong', qr/has a secret without a field "key"/, 'a field that is not there');
source('wrong', field => 'deep');
wait_for_error('wrong', qr/has neither a string nor a number as field "deep" of the secret/, 'a field that is no string');
source('wrong', path => 'secret/data/forbidden');
wait_for_error('wrong', qr/answered with status 403: the token must not read this path/, 'a path that is denied');
$vault->set(deleted => { '|secret/data/gone' => '2026-01-02T03:04:05Z' });
source('wrong', path => 'secret/data/gone');
wait_for_error('wrong', qr/has deleted this version/, 'a version that was deleted');
sql("select postrider.set_secret('wrong_secret_id', 'planted-wrong-secret-id')");
source('wrong', secret_id => 'wrong_secret_id');
wait_for_error('wrong', qr{auth/approle/login answered with status 400: it does not accept role_id and secret_id}, 'credentials that are wrong');
my $logins = $vault->count(qr/login/);
sleep 1;
cmp_ok($vault->count(qr/login/) - $logins, '<=', 2, 'and Vault is not stormed');
sql("select postrider.set_secret('wrong_secret_id', 'planted-secret-id-1', overlap => '0')");
delivered('wrong', 1);
is(last_token('wrong'), 'Bearer planted-api-key-2', 'the right credentials help at once');
source('wrong', field => 'number');
deliver('wrong');
delivered('wrong', 2);
PostriderTest::wait_until { last_token('wrong') eq 'Bearer 7' } 'a number is taken as its text';
pass('a number is taken as its text');

# Tokens of Vault: renewed while they can be, and then another login.
$vault->set(token_seconds => 4, max_seconds => 7, secret_id => 'planted-secret-id-2');
sql("select postrider.set_secret('vault_secret_id', 'planted-secret-id-2', overlap => '0')");
source('short', auth_mount => 'approle', role_id => 'role-of-shop', refresh => '1 second', namespace => 'short');
$vault->set(data => { %{ $vault->{has}{data} }, 'short|secret/data/crm' => { api_key => 'planted-short' } });
bearer('short');
$logins = $vault->count(qr/login/);
my $end = time + 12;
my $sent = 0;
while (time < $end)
{
	deliver('short');
	$sent++;
	sleep 0.25;
}
delivered('short', $sent);
is(scalar(grep { $_->{headers}{authorization} ne 'Bearer planted-short' } requests('short')), 0, 'all had the value');
cmp_ok($vault->count(qr/renew-self/), '>=', 1, 'the token was renewed');
my $more = $vault->count(qr/login/) - $logins;
cmp_ok($more, '>=', 2, 'and when that ended there was another login');
cmp_ok($more, '<=', 4, 'as seldom as can be');
is(sql("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'short' and outcome <> 'delivered'"), 0, 'no delivery failed over it');

# A token that was revoked
$vault->set(token_seconds => 3600, max_seconds => 86400);
PostriderTest::wait_until { deliver('short'); sleep 0.5; my @l = $vault->requests(qr/login/); $vault->count(qr/renew-self|login/) > 0 && time > $end + 5 } 'tokens that last';
$vault->down;
$vault->up;    # it forgets its tokens
$before = $receiver->count('/ok/short');
$logins = $vault->count(qr/login/);
sleep 1.2;
deliver('short') for 1 .. 3;
delivered('short', $before + 3);
PostriderTest::wait_until { deliver('short'); sleep 0.3; $vault->count(qr/login/) > $logins } 'there is another login';
pass('a token that was revoked is replaced by another login');

# The lease of KV version 1 (or of an engine that lends) is renewed before it ends.
$vault->set(v1 => { '|legacy/crm' => { api_key => 'planted-legacy' } }, lease => 3);
source('legacy', path => 'legacy/crm', refresh => '1 hour', grace => '0');
bearer('legacy');
my $begin = time;
for (1 .. 24) { deliver('legacy'); sleep 0.25; }
my $took = time - $begin;
delivered('legacy', 24);
my @leases = $vault->requests(qr{legacy/crm});
cmp_ok(scalar @leases, '>=', 2, 'the lease was renewed');
cmp_ok(scalar @leases, '<=', $took / 2 + 2, 'not at every delivery');
my @gaps = map { $leases[$_]{time} - $leases[ $_ - 1 ]{time} } 1 .. $#leases;
cmp_ok((sort { $b <=> $a } @gaps)[0], '<', 3 * $PostriderTest::patience, 'before it ended');
is(sql("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'legacy' and outcome <> 'delivered'"), 0, 'and no delivery noticed');

# Several endpoints, which two workers have: the store is asked once for all.
$vault->set(data => { %{ $vault->{has}{data} }, '|secret/data/many' => { api_key => 'planted-api-key-many' }, '|secret/data/kept' => { key => $first } });
source('many', path => 'secret/data/many');
endpoint("many$_", 'auth', qq('{"type": "bearer", "secret": "many"}')) for 1 .. 8;
sql("select postrider.send('many' || n, '{}') from generate_series(1, 8) n, generate_series(1, 5)");
delivered("many$_", 5) for 1 .. 8;
is(sql("select count(*) from postrider.worker where state = 'running'") . ' ' . sql("select count(distinct id % 2) from postrider.endpoint where name like 'many%'"), '2 2', 'two workers have the endpoints');
is($vault->count(qr{/secret/data/many}), 1, 'and the store was asked once');
is(scalar(grep { last_token("many$_") eq 'Bearer planted-api-key-many' } 1 .. 8), 8, 'for all of them');

# What was rotated shortly before a restart
source('kept', path => 'secret/data/kept', field => 'key', refresh => '1 second', overlap => '5 minutes', grace => '1 hour');
endpoint('kept', 'signing_secret', "'kept'");
deliver('kept');
delivered('kept', 1);
$vault->set(data => { %{ $vault->{has}{data} }, '|secret/data/kept' => { key => $second } });
PostriderTest::wait_until { deliver('kept'); sleep 0.3; PostriderTest::verify((requests('kept'))[-1], $second) } 'the new key signs';

# A restart uses what was kept, encrypted.
$vault->down;
$before = $receiver->count('/ok/crm');
$node->restart;
deliver('crm');
delivered('crm', $before + 1);
is(last_token('crm'), 'Bearer planted-api-key-2', 'a value outlives a restart though Vault is down');
my $kept = $receiver->count('/ok/kept');
deliver('kept');
delivered('kept', $kept + 1);
ok(PostriderTest::verify((requests('kept'))[-1], $second), 'and so does an overlap: the new key signs');
ok(PostriderTest::verify((requests('kept'))[-1], $first), '... and the old one still does');
$vault->up;

# The view
like(sql("select string_agg(name || ' ' || store || ' ' || state, ', ' order by name) from postrider.secret_source_status"),
	qr/crm vault (ok|renewal failing|expired|fetching).*unused vault none/, 'how each source stands');
is(sql("select count(*) from postrider.secret_source_status where secret_source_status::text ~ 'planted'"), 0, 'without values');

# Values are nowhere but in memory and, encrypted, in the database.
for my $table (split /\n/, sql("select format('%I.%I', table_schema, table_name) from information_schema.tables where table_schema = 'postrider'"))
{
	my $found = sql("select count(*) from $table t where t::text ~ 'planted|whsec_|hvs\\.'");
	is($found, 0, "nothing in $table") if $found ne '0';
}
cmp_ok(sql("select count(*) from postrider.credential where ciphertext is not null"), '>=', 3, 'they are kept encrypted');
unlike(slurp_file($node->logfile), qr/planted-(api|secret|late|short|in-name|legacy|static|wrong)|$first|$second|hvs\.[A-Za-z0-9]{20}/, 'nothing in the log');

$vault->down;
$receiver->down;
$node->stop('fast');
done_testing();
