# Tokens of a real authorization server, the npm package oauth2-mock-server, for an API that
# verifies them with the npm package jose; assertions too are verified by jose.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use Test::More;

plan skip_all => 'npm is not installed' unless `npm --version 2>/dev/null`;
my $dir = tempdir(CLEANUP => 1);
my $log = `cd $dir && HOME=$dir npm install --no-audit --no-fund --silent oauth2-mock-server\@7.2.1 jose\@5.9.6 2>&1`;
ok(-d "$dir/node_modules/oauth2-mock-server", 'the package oauth2-mock-server is there') or BAIL_OUT($log);

system("cd $dir && openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem 2>/dev/null
	openssl pkey -in rsa.pem -pubout -out rsa.pub
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem 2>/dev/null
	openssl pkey -in ec.pem -pubout -out ec.pub");

open(my $script, '>', "$dir/server.js") or die $!;
print $script <<'JS';
const { OAuth2Server } = require('oauth2-mock-server');
const jose = require('jose');
const http = require('http');
const fs = require('fs');
const log = line => fs.appendFileSync('log', JSON.stringify(line) + '\n');
const read = request => new Promise(resolve => {
  let body = ''; request.on('data', part => body += part); request.on('end', () => resolve(body)); });
(async () => {
  const server = new OAuth2Server();
  await server.issuer.keys.generate('RS256');
  await server.start(0, '127.0.0.1');
  server.service.on('beforeResponse', (response, request) => {
    log({ path: '/token', grant: request.body.grant_type, scope: request.body.scope, refresh: request.body.refresh_token,
      basic: request.headers.authorization });
    if (fs.existsSync('fail')) {
      response.statusCode = 503;
      response.body = { error: 'temporarily_unavailable' };
      fs.unlinkSync('fail');
    }
    if (response.body.refresh_token) log({ path: 'rotated', refresh: response.body.refresh_token });
  });
  const keys = jose.createLocalJWKSet({ keys: server.issuer.keys.toJSON() });
  const api = http.createServer(async (request, response) => {
    const body = await read(request);
    const answer = (status, value) => { response.writeHead(status, { 'Content-Type': 'application/json' }); response.end(JSON.stringify(value)); };
    try {
      if (request.url.startsWith('/assert')) {
        const [, , algorithm] = request.url.split('/');
        const form = new URLSearchParams(body);
        const key = await jose.importSPKI(fs.readFileSync(algorithm === 'RS256' ? 'rsa.pub' : 'ec.pub', 'utf8'), algorithm);
        const { payload, protectedHeader } = await jose.jwtVerify(form.get('assertion'), key,
          { algorithms: [algorithm], audience: 'https://audience.example', maxTokenAge: '5 minutes', requiredClaims: ['iss', 'exp', 'jti'] });
        log({ path: request.url, grant: form.get('grant_type'), payload, header: protectedHeader });
        return answer(200, { access_token: await server.issuer.buildToken({ scopesOrTransform: payload.scope }), expires_in: '3600' });
      }
      const { payload } = await jose.jwtVerify(request.headers.authorization.replace(/^Bearer /, ''), keys);
      log({ path: request.url, scope: payload.scope });
      answer(200, {});
    } catch (error) { log({ path: request.url, error: String(error) }); answer(401, { error: String(error) }); }
  });
  api.listen(0, '127.0.0.1', () => fs.writeFileSync('ports', server.address().port + ' ' + api.address().port));
})();
JS
close $script;
my $pid = fork // die $!;
if (!$pid)
{
	chdir $dir;
	open STDOUT, '>', "$dir/out";
	open STDERR, '>&', \*STDOUT;
	exec 'node', 'server.js' or POSIX::_exit(1);
}
END { local $?; kill 'KILL', $pid if $pid; }
eval { PostriderTest::wait_until { -s "$dir/ports" } 'the servers are up', 60 } or BAIL_OUT(slurp_file("$dir/out"));
my ($oauth, $api) = split / /, slurp_file("$dir/ports");

sub lines { my ($path) = @_; return grep { $_->{path} eq $path } map { decode_json($_) } -e "$dir/log" ? split(/\n/, slurp_file("$dir/log")) : (); }

my $node = PostriderTest::node('oauth2');

sub secret { my ($name, $value) = @_; $node->safe_psql('postgres', "select postrider.set_secret('$name', \$secret\$$value\$secret\$)"); }

sub deliver
{
	my ($name, %auth) = @_;
	my $auth = JSON::PP->new->encode(\%auth);
	$node->safe_psql('postgres', "insert into postrider.endpoint (name, url, auth, backoff_base) values ('$name', 'http://127.0.0.1:$api/$name', '$auth', '0.2 s')");
	$node->safe_psql('postgres', "select postrider.send('$name', '{}')");
	my @taken;
	eval { PostriderTest::wait_until { @taken = grep { !$_->{error} } lines("/$name") } "$name is taken", 30 };
	diag($node->safe_psql('postgres', 'select error from postrider.attempt')) unless @taken;
	return $taken[0];
}

secret('client', 'client-secret');
secret('refresh', 'first-refresh-token');
secret('rsa', slurp_file("$dir/rsa.pem"));
secret('ec', slurp_file("$dir/ec.pem"));
secret('google', JSON::PP->new->encode({ type => 'service_account', client_email => 'robot@project.example', private_key_id => 'key-1', private_key => slurp_file("$dir/rsa.pem") }));
my $token_url = "http://127.0.0.1:$oauth/token";

is((deliver('credentials', type => 'oauth2_client_credentials', token_url => $token_url, client_id => 'me', client_secret => 'client', scope => [ 'a', 'b' ]) // {})->{scope},
	'a b', 'client credentials: the API takes the token, which has the scope');

open(my $fail, '>', "$dir/fail"); close $fail;
ok(deliver('unlucky', type => 'oauth2_client_credentials', token_url => $token_url, client_id => 'me', client_secret => 'client', scope => 'c'), 'a 503 of the token server is tried again');
like($node->safe_psql('postgres', "select error from postrider.attempt where error_code = 'token'"), qr/^token server \Q$token_url\E answered with status 503: temporarily_unavailable$/, '... and named');

ok(deliver('refresh', type => 'oauth2_refresh_token', token_url => $token_url, client_id => 'me', client_secret => 'client', refresh_token => 'refresh'), 'refresh token: the API takes the token');
my ($asked) = grep { $_->{grant} eq 'refresh_token' } lines('/token');
is($asked->{refresh}, 'first-refresh-token', '... that was asked for with the refresh token');
$node->safe_psql('postgres', "select postrider.renew_credential(id) from postrider.credential_status where kind = 'oauth2_refresh_token'; select postrider.send('refresh', '{}')");
PostriderTest::wait_until { (grep { $_->{grant} eq 'refresh_token' } lines('/token')) == 2 } 'a new token is asked for';
is((grep { $_->{grant} eq 'refresh_token' } lines('/token'))[1]{refresh}, (lines('rotated'))[0]{refresh}, '... and then with the one that the server gave in its place');

for my $algorithm ('RS256', 'ES256')
{
	my $name = lc $algorithm;
	is((deliver($name, type => 'jwt_bearer', token_url => "http://127.0.0.1:$api/assert/$algorithm", issuer => 'robot', subject => 'someone',
				audience => 'https://audience.example', scope => $name, key => $algorithm eq 'RS256' ? 'rsa' : 'ec', algorithm => $algorithm,
				key_id => 'k1', claims => { tenant => { id => 7 } }) // {})->{scope}, $name, "JWT bearer, $algorithm: jose verifies the assertion, and the API takes the token");
	my ($claimed) = lines("/assert/$algorithm");
	is($claimed->{grant}, 'urn:ietf:params:oauth:grant-type:jwt-bearer', '... the grant');
	is_deeply($claimed->{header}, { alg => $algorithm, typ => 'JWT', kid => 'k1' }, '... its header');
	is_deeply([ @{ $claimed->{payload} }{qw(iss sub scope tenant)} ], [ 'robot', 'someone', $name, { id => 7 } ], '... its claims');
	is($claimed->{payload}{exp} - $claimed->{payload}{iat}, 180, '... and its life');
}
ok(deliver('google', type => 'jwt_bearer', token_url => "http://127.0.0.1:$api/assert/RS256", audience => 'https://audience.example', scope => 'g', key => 'google'), 'the JSON of a Google service account is a key');
my ($google) = grep { $_->{payload}{iss} eq 'robot@project.example' } lines('/assert/RS256');
is($google->{header}{kid}, 'key-1', '... which says issuer and key id');

# Keys that do not fit.
secret('wrong', slurp_file("$dir/ec.pem"));
$node->safe_psql('postgres', qq{insert into postrider.endpoint (name, url, auth) values ('wrong', 'http://127.0.0.1:$api/wrong',
	'{"type": "jwt_bearer", "token_url": "http://127.0.0.1:$api/assert/RS256", "issuer": "i", "key": "wrong"}'); select postrider.send('wrong', '{}')});
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt where error like '%cannot be asked: secret \"wrong\" is no RSA key, which RS256 needs'", 1), 'a key that does not fit its algorithm is named');
$node->stop('fast');
done_testing();
