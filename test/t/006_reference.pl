# The reference verifier of Standard Webhooks, the npm package, accepts what is sent.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

plan skip_all => 'npm is not installed' unless `npm --version 2>/dev/null`;
my $dir = tempdir(CLEANUP => 1);
my $log = `cd $dir && HOME=$dir npm install --no-audit --no-fund --silent standardwebhooks\@1.0.0 2>&1`;
ok(-d "$dir/node_modules/standardwebhooks", 'the package standardwebhooks is there') or BAIL_OUT($log);

my $node = PostriderTest::node('reference');
my $receiver = PostriderTest::Receiver->start;
my $secret = $node->safe_psql('postgres', "select postrider.set_secret('s')");
$node->safe_psql('postgres', "insert into postrider.endpoint (name, url, signing_secret) values ('a', '" . $receiver->url('/ok') . "', 's')");
$node->safe_psql('postgres', q{select postrider.send('a', '{"name": "Ольга 李", "deep": [[[{"a": null}]]], "n": 1e400}')});
ok($receiver->wait_for_count(1), 'a request arrives');
my ($request) = $receiver->requests;

open(my $script, '>', "$dir/verify.js") or die $!;
print $script <<'JS';
const { Webhook } = require('standardwebhooks');
const [secret, file] = process.argv.slice(2);
const request = JSON.parse(require('fs').readFileSync(file));
const body = Buffer.from(request.body, 'latin1').toString('utf8');
new Webhook(secret).verify(body, request.headers);
console.log('verified');
try { new Webhook(secret).verify(body + ' ', request.headers); console.log('forgery passed'); }
catch (e) { console.log('forgery refused'); }
JS
close $script;
open(my $out, '>', "$dir/request.json") or die $!;
print $out JSON::PP->new->ascii->encode($request);
close $out;
is(`cd $dir && node verify.js $secret request.json 2>&1`, "verified\nforgery refused\n", 'and it verifies');
$node->stop('fast');
done_testing();
