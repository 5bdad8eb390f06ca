# Credentials on real requests: they arrive, nobody who writes messages can replace them, and
# nobody sees them.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('auth');
my $receiver = PostriderTest::Receiver->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }
sql("select postrider.set_secret('key', 'planted-k1'), postrider.set_secret('pass', 'planted-p2')");
my %auth = (
	header => '{"type": "api_key", "name": "X-Shop", "secret": "key"}',
	query => '{"type": "api_key", "in": "query", "name": "shop", "secret": "key"}',
	path => '{"type": "api_key", "in": "path", "name": "part", "secret": "key"}',
	basic => '{"type": "basic", "username": "shop", "password": "pass"}',
	bearer => '{"type": "bearer", "secret": "key"}');
for my $name (sort keys %auth)
{
	sql("insert into postrider.endpoint (name, url, auth, headers) values ('$name', '" . $receiver->url("/ok/:part/$name?shop=own") . "', '$auth{$name}', '{\"X-Shop\": \"own\"}')");
	my $test = sql("select to_jsonb(t) from postrider.send_test('$name') t");
	unlike($test, qr/planted|c2hvcDpwbGFudGVkLXAy/, "$name: send_test does not show it");
	like($test, qr/\*\*\*/, 'but that something is there');
}
ok($receiver->wait_for_count(5), 'tests arrive');
sql(q(select postrider.send(name, '{}', headers => '{"X-Shop": "forged", "Authorization": "Bearer forged"}') from postrider.endpoint order by name));
ok($receiver->wait_for_count(10), 'deliveries arrive');
my %got = map { $_->{path} =~ m{/(\w+)(?:\?|\z)} ? ($1 => $_) : () } ($receiver->requests)[5 .. 9];
is($got{header}{headers}{'x-shop'}, 'planted-k1', 'header');
is($got{query}{path}, '/ok/:part/query?shop=planted-k1', 'query');
is($got{path}{path}, '/ok/planted-k1/path?shop=own', 'path');
is($got{basic}{headers}{authorization}, 'Basic c2hvcDpwbGFudGVkLXAy', 'basic');
is($got{bearer}{headers}{authorization}, 'Bearer planted-k1', 'bearer');
$receiver->down;
$node->stop('fast');
done_testing();
