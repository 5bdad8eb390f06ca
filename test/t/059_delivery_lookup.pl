# Who looks up one message in postrider.delivery reads a few pages, however many messages there
# are, also where a tenant's policies are in between.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('lookup');
sub sql { return $node->safe_psql('postgres', $_[0]); }
sql("create role acme login; grant postrider_reader to acme; alter role acme set postrider.tenant = 'acme'");
sql("insert into postrider.endpoint (name, url, tenant) select tenant || n, 'http://127.0.0.1:1/', tenant from unnest('{acme,beta}'::text[]) tenant, generate_series(1, 3) n");
sql("insert into postrider.subscription (topic, endpoint) select 'other.*', name from postrider.endpoint");
sql("insert into postrider.message (id, topic, tenant, payload)
	select postrider.next_id(), 'a.b', case n % 2 when 0 then 'acme' else 'beta' end, jsonb_build_object('n', n) from generate_series(1, 100000) n");
sql("insert into postrider.attempt (message_id, endpoint_id, attempt, outcome, started_at, duration_ms)
	select m.id, e.id, 1, 'delivered', now(), 1 from postrider.message m join postrider.endpoint e on e.name = m.tenant || '1'");
sql('vacuum analyze postrider.message, postrider.attempt');
my $pages = sql("select sum(pg_relation_size(oid)) / 8192 from pg_class where relnamespace = 'postrider'::regnamespace and relname like 'message_2%'");
cmp_ok($pages, '>', 1000, 'the messages have many pages');

sub buffers
{
	my ($id, $settings) = @_;
	my ($status, $plan, $error) = $node->psql('postgres', "select count(*) from postrider.delivery where message_id = '$id'; $settings
		explain (analyze, buffers, format json) select * from postrider.delivery where message_id = '$id'", connstr => $node->connstr('postgres') . ' user=acme');
	my ($rows, $json) = split /\n/, $plan, 2;
	my $top = decode_json($json)->[0]{Plan};
	return ($rows, $top->{'Actual Rows'}, $top->{'Shared Hit Blocks'} + $top->{'Shared Read Blocks'});
}
my %id = map { $_ => sql("select id from postrider.message where tenant = '$_' order by id offset 25000 limit 1") } qw(acme beta);
my ($rows, $found, $buffers) = buffers($id{acme}, '');
is("$rows $found", '1 1', 'a message in the middle of 100,000 is found');
cmp_ok($buffers, '<', 200, "by few pages: $buffers");
($rows, $found, $buffers) = buffers($id{beta}, '');
is("$rows $found", '0 0', 'one of another tenant is not');
cmp_ok($buffers, '<', 200, "by few pages, too: $buffers");
(undef, $found, $buffers) = buffers($id{acme}, 'set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off;');
cmp_ok($buffers, '>', 1000, "without indexes it were $buffers");
$node->stop('fast');
done_testing();
