# pg_dump and restore keep the configuration and send nothing again.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = PostriderTest::node('dump');
my $receiver = PostriderTest::Receiver->start;
my $url = $receiver->url('/ok');
my $secret = $node->safe_psql('postgres', "select postrider.set_secret('s')");
$node->safe_psql('postgres', "insert into postrider.endpoint (name, url, signing_secret) values ('a', '$url', 's');
	insert into postrider.subscription (topic, endpoint) values ('t.*', 'a');
	create table t (id int primary key);
	select postrider.watch('t');
	insert into t values (1);
	select postrider.emit('t.later', '1', deliver_at => now() + interval '1 hour')");
ok($receiver->wait_for_count(1), 'sent before the dump');

$node->safe_psql('postgres', q{insert into postrider.mapping (name, version, definition) values
	('m', 3, '{"fields": [{"to": "a", "from": "$.a"}]}'), ('m', null, '{"fields": [{"to": "b", "from": "$.a"}]}')});
$node->safe_psql('postgres', q{insert into postrider.topic (name, schema) values ('z.base', '{"$id": "urn:base", "type": "integer"}');
	insert into postrider.topic (name, description, schema, compatibility) values ('a.uses', 'refers to a later row', '{"$ref": "urn:base"}', 'backward');
	update postrider.topic set schema = '{"$id": "urn:base", "type": "number"}' where name = 'z.base';
	update postrider.topic set schema = '{"$id": "urn:base", "type": ["number", "string"]}' where name = 'z.base'});
$node->safe_psql('postgres', q{insert into postrider.schema (name, schema, description) values
	('first', '{"$ref": "second"}', 'each refers to the other'), ('second', '{"type": "object", "properties": {"a": {"$ref": "first"}}}', null)});
my $schemas = q{select * from postrider.schema order by name};
my $topics = q{select name, description, schema, version, compatibility, created_at from postrider.topic order by name};
my $versions = q{select * from postrider.topic_version order by topic, version};
is($node->safe_psql('postgres', 'select count(*) from postrider.topic_version'), 2, 'a topic has earlier versions');

my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'create database restored');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'restore');
is($node->safe_psql('restored', "select e.name, e.url, e.signing_secret, s.topic from postrider.endpoint e join postrider.subscription s on s.endpoint = e.name"),
	"a|$url|s|t.*", 'the configuration is there');
is($node->safe_psql('restored', q{select version, postrider.map('{"a": 1}', 'm', version) from postrider.mapping order by version}),
	qq{3|{"a": 1}\n4|{"b": 1}}, 'mappings and their versions are there');
is($node->safe_psql('restored', $topics), $node->safe_psql('postgres', $topics), 'topics are there, with schemas and the number of the version');
is($node->safe_psql('restored', $versions), $node->safe_psql('postgres', $versions), 'earlier versions are there, once');
is($node->safe_psql('restored', $schemas), $node->safe_psql('postgres', $schemas), 'named schemas are there');
is($node->safe_psql('restored', q{select message from postrider.validate('{"a": 1}', '{"$ref": "first"}')}),
	'"a" must be an object, but is a number', 'and refer to each other');
is($node->safe_psql('restored', 'select count(*) from postrider.message'), 0, 'messages are not');
sleep 2;
is($receiver->count, 1, 'nothing is sent again');
$node->safe_psql('restored', 'insert into t values (2)');
ok($receiver->wait_for_count(2), 'the restored database sends what is new');
ok(PostriderTest::verify(($receiver->requests)[-1], $secret), 'and signs with the same secret');
$node->safe_psql('restored', "insert into postrider.endpoint (name, url) values ('b', '$url')");
unlike(slurp_file($dump), qr/\Q$secret\E/, 'the dump does not have the secret');

isnt($node->psql('restored', q{select postrider.emit('a.uses', 'true')}), 0, 'the restored database checks payloads');
$node->safe_psql('restored', q{update postrider.topic set schema = 'true' where name = 'z.base'});
is($node->safe_psql('restored', q{select max(version) from postrider.topic_version}), 3, 'and goes on counting');

# The other forms of dumps, where rows come one by one or side by side.
$node->safe_psql('postgres', 'create database restored_inserts');
$node->command_ok([ 'pg_dump', '--inserts', '-f', "$dump.inserts", $node->connstr('postgres') ], 'pg_dump --inserts');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.inserts", $node->connstr('restored_inserts') ], 'restore of inserts');
is($node->safe_psql('restored_inserts', $versions), $node->safe_psql('postgres', $versions), 'versions are the same again');
$node->safe_psql('postgres', 'create database restored_parallel');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dump.custom", $node->connstr('postgres') ], 'pg_dump -Fc');
$node->command_ok([ 'pg_restore', '-j', '2', '-d', $node->connstr('restored_parallel'), "$dump.custom" ], 'pg_restore -j');
is($node->safe_psql('restored_parallel', $topics . ' limit 1'), $node->safe_psql('postgres', $topics . ' limit 1'), 'topics are the same again');
is($node->safe_psql('restored_parallel', $versions), $node->safe_psql('postgres', $versions), 'and versions');

# A copy made with TEMPLATE leaves what the original owes to the original.
$node->safe_psql('postgres', q{insert into postrider.endpoint (name, url, enabled) values ('shut', '} . $receiver->url('/ok/shut') . q{', false)});
$node->safe_psql('postgres', q{select postrider.send('shut', to_jsonb(i)) from generate_series(1, 10) i});
ok(PostriderTest::wait_for($node, q{select count(*) from postrider.delivery where status = 'held'}, 10), 'something is owed');
$node->safe_psql('template1', 'create database copied template postgres');
$node->safe_psql('copied', q{update postrider.endpoint set enabled = true});
$node->safe_psql('copied', q{select postrider.send('shut', '"new"')});
ok($receiver->wait_for_count(1, '/ok/shut'), 'a copied database sends what is new');
sleep 1.5;
is($receiver->count('/ok/shut'), 1, 'and not what the original owes');
is($node->safe_psql('copied', q{select count(*) from postrider.delivery where status <> 'delivered'}), 0, 'and owes nothing itself');
$node->safe_psql('postgres', q{update postrider.endpoint set enabled = true});
ok($receiver->wait_for_count(11, '/ok/shut'), 'which the original sends');
$node->stop('fast');
done_testing();
