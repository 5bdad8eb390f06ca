# Signatures as receivers check them, by the packages with which they do: standardwebhooks,
# stripe, @octokit/webhooks-methods, http-message-signatures; and ed25519 by Node itself.
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
my $log = `cd $dir && HOME=$dir npm install --no-audit --no-fund --silent standardwebhooks\@1.0.0 stripe\@17 \@octokit/webhooks-methods\@6 http-message-signatures\@1 2>&1`;
ok(-d "$dir/node_modules/$_", "the package $_ is there") or BAIL_OUT($log) for qw(standardwebhooks stripe @octokit/webhooks-methods http-message-signatures);

my $node = PostriderTest::node('signing');
my $receiver = PostriderTest::Receiver->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }
my %secret = (
	v1 => 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
	v1a => 'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==',
	plain => 'It is a secret to everybody',
	pem => "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n");
sql("select postrider.set_secret('$_', \$\$$secret{$_}\$\$)") for keys %secret;

# The public key, for receivers
is(sql("select postrider.public_key('v1a')"), 'whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=', 'the public key of a secret with ed25519');
my $public = sql("select postrider.public_key('pem')");
like($public, qr/^whpk_/, 'of one in PEM');
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
like(said("select postrider.public_key('v1')"), qr/ERROR:  secret "v1" has no public key\nDETAIL/, 'none of a secret for HMAC');
unlike(said("select postrider.public_key('v1')"), qr/MfKQ9r8GKY/, 'whose value is not told');
like(said("select postrider.public_key('nobody')"), qr/ERROR:  secret "nobody" does not exist/, 'nor of one that is not there');
sql('create role clerk');
like(said("set role clerk; select postrider.public_key('v1a')"), qr/permission denied/, 'not for everybody');

my $http = '{"type": "http-message-signatures", "secret": "plain", "key_id": "shared", "components": ["@method", "@path", "@query", "@authority", "content-digest", "content-type", "webhook-id"], "expires": 300, "nonce": true}';
my $http_ed = '{"type": "http-message-signatures", "secret": "pem", "algorithm": "ed25519", "key_id": "ed", "label": "ed", "tag": "shop", "components": ["@method", "@target-uri", "content-digest"], "digest": "sha-512"}';
my %endpoint = (
	standard => [ 'v1', '{"type": "standard-webhooks", "secret": "v1a"}' ],
	stripe => [ undef, '{"type": "stripe", "secret": "plain"}' ],
	github => [ undef, '{"type": "github", "secret": "plain", "sha1": true}' ],
	http => [ undef, $http ],
	ed => [ undef, $http_ed ],
	all => [ 'v1', qq([$http, $http_ed, {"type": "github", "secret": "plain", "header": "X-Shop-Signature"}, {"type": "stripe", "secret": "plain"}]) ]);
for my $name (sort keys %endpoint)
{
	my ($short, $signing) = @{ $endpoint{$name} };
	sql("insert into postrider.endpoint (name, url, signing_secret, signing) values ('$name', '" . $receiver->url("/ok/$name?a=1&b=%20x") . "', " . ($short ? "'$short'" : 'null') . ", '$signing')");
}
my $payload = '{"name": "Ольга 李", "deep": [[[{"a": null}]]], "n": 1e400}';
sql("select postrider.send(name, '$payload') from postrider.endpoint");
ok($receiver->wait_for_count(6), 'all requests arrive');
# A message cannot bring signatures of its own.
sql(q(select postrider.send('all', '{}', headers => '{"Signature": "sig=:AAAA:", "Signature-Input": "sig=()", "Content-Digest": "sha-256=:AAAA:", "Stripe-Signature": "t=1,v1=00", "X-Shop-Signature": "sha256=00"}')));
ok($receiver->wait_for_count(7), 'and one with forged signatures');
# A batch
sql("insert into postrider.endpoint (name, url, signing, batch_size, batch_delay, batch_format) values ('batch', '" . $receiver->url('/ok/batch') . "', '[{\"type\": \"github\", \"secret\": \"plain\"}, $http_ed]', 3, '5 s', 'json-array')");
sql("select postrider.send('batch', '{}') from generate_series(1, 3)");
ok($receiver->wait_for_count(8), 'a batch');
# During a rotation both versions sign.
my $new = sql("select postrider.set_secret('v1')");
sql("select postrider.set_secret('plain', 'another secret')");
sql("select postrider.send(name, '{}') from postrider.endpoint where name in ('standard', 'stripe', 'http')");
ok($receiver->wait_for_count(11), 'after a rotation');

open(my $out, '>', "$dir/requests.json") or die $!;
print $out JSON::PP->new->ascii->encode([ map { $_->{body} = unpack('H*', do { my $b = $_->{body}; utf8::encode($b) if utf8::is_utf8($b) && !utf8::downgrade($b, 1); $b }); $_ } $receiver->requests ]);
close $out;
open(my $script, '>', "$dir/verify.mjs") or die $!;
print $script <<'JS';
import { createRequire } from 'module';
import { verify as github } from '@octokit/webhooks-methods';
import crypto from 'crypto';
import fs from 'fs';
const require = createRequire(import.meta.url);
const { Webhook } = require('standardwebhooks');
const stripe = require('stripe')('sk_test_x');
const { httpbis, createVerifier } = require('http-message-signatures');
const [port, oldSecret, newSecret, publicKey] = process.argv.slice(2);
const raw = key => crypto.createPublicKey({ key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(key.replace('whpk_', ''), 'base64')]), format: 'der', type: 'spki' });
const requests = JSON.parse(fs.readFileSync('requests.json')).map(r => ({ ...r, body: Buffer.from(r.body, 'hex') }));
const say = (what, good) => console.log(`${what}: ${good}`);
const attempt = async f => { try { return await f() !== false; } catch (e) { return e.message.split('\n')[0]; } };
const standard = (r, secret, body) => attempt(() => { new Webhook(secret).verify(body ?? r.body.toString(), r.headers); });
const stripes = (r, secret, body) => attempt(() => { stripe.webhooks.constructEvent(body ?? r.body, r.headers['stripe-signature'], secret); });
const ed25519 = r => r.headers['webhook-signature'].split(' ').some(s => s.startsWith('v1a,') && crypto.verify(null,
	Buffer.concat([Buffer.from(`${r.headers['webhook-id']}.${r.headers['webhook-timestamp']}.`), r.body]), raw('whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4='), Buffer.from(s.slice(4), 'base64')));
const digest = r => r.headers['content-digest'].split(',').every(d => { const [, name, value] = d.match(/^\s*sha-(256|512)=:(.*):$/); return crypto.createHash('sha' + name).update(r.body).digest('base64') === value; });
const message = (r, key, change) => attempt(async () => await httpbis.verifyMessage({
	keyLookup: async p => p.keyid === 'shared' ? { id: 'shared', algs: ['hmac-sha256'], verify: createVerifier(key, 'hmac-sha256') } : { id: 'ed', algs: ['ed25519'], verify: createVerifier(raw(publicKey), 'ed25519') }, all: true
}, { method: r.method, url: `http://127.0.0.1:${port}${r.path}`, headers: { host: r.headers.host, ...r.headers, ...change } }) === true);
const by = name => requests.filter(r => r.path.startsWith(`/ok/${name}`));
const plain = 'It is a secret to everybody';

let [r, rotated] = by('standard');
say('standard v1', await standard(r, oldSecret));
say('standard forged', await standard(r, oldSecret, r.body + ' '));
say('standard v1a', ed25519(r));
say('standard rotated', await standard(rotated, oldSecret) && await standard(rotated, newSecret));
[r, rotated] = by('stripe');
say('stripe', await stripes(r, plain));
say('stripe forged', await stripes(r, plain, r.body + ' '));
say('stripe rotated', await stripes(rotated, plain) && await stripes(rotated, 'another secret'));
[r] = by('github');
say('github', await attempt(() => github(plain, r.body.toString(), r.headers['x-hub-signature-256'])));
say('github sha1', r.headers['x-hub-signature'] === 'sha1=' + crypto.createHmac('sha1', plain).update(r.body).digest('hex'));
[r, rotated] = by('http');
say('http', await message(r, plain));
say('http forged', await message(r, plain, { 'webhook-id': 'other' }));
say('http digest', digest(r));
say('http rotated', (rotated.headers['signature-input'].match(/sig(-2)?=\(/g) || []).length);
[r] = by('ed');
say('ed', await message(r));
say('ed digest', digest(r) && r.headers['content-digest'].startsWith('sha-512='));
for (r of by('all')) {
	say('all standard', await standard(r, oldSecret));
	say('all stripe', await stripes(r, plain));
	say('all github', await attempt(() => github(plain, r.body.toString(), r.headers['x-shop-signature'])));
	say('all http', await message(r, plain));
	say('all digest', digest(r));
}
[r] = by('batch');
say('batch github', await attempt(() => github(plain, r.body.toString(), r.headers['x-hub-signature-256'])));
say('batch ed', await message(r));
JS
close $script;
my ($port) = $receiver->url('') =~ /:(\d+)$/;
my $all = join '', map { "all $_: true\n" } qw(standard stripe github http digest);
is(`cd $dir && node verify.mjs $port $secret{v1} $new $public 2>&1`, <<WANTED, 'receivers find the signatures right, and forgeries wrong');
standard v1: true
standard forged: No matching signature found
standard v1a: true
standard rotated: true
stripe: true
stripe forged: No signatures found matching the expected signature for payload. Are you passing the raw request body you received from Stripe? 
stripe rotated: true
github: true
github sha1: true
http: true
http forged: false
http digest: true
http rotated: 2
ed: true
ed digest: true
$all${all}batch github: true
batch ed: true
WANTED

$receiver->down;
$node->stop('fast');
done_testing();
