# The worker sends what the mapping of a subscription makes of a payload, at the
# first attempt, at a retry, out of the table pending, and after a restart.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use JSON::PP;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('mapping');
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub endpoint
{
	my ($name, $path, $mapping, $more) = @_;
	my ($columns, $values) = @{ $more || [ '', '' ] };
	sql("insert into postrider.endpoint (name, url$columns) values ('$name', '" . $receiver->url($path) . "'$values);
		insert into postrider.subscription (topic, endpoint, mapping) values ('order.*', '$name', $mapping)");
}

# The data of all requests to a path, in the order of arrival
sub data { return map { decode_json($_->{body})->{data} } $receiver->requests($_[0]); }

sql(<<'SQL');
insert into postrider.mapping (name, definition) values ('crm', '{"fields": [
	{"to": "properties.email", "from": "$.email", "required": true},
	{"to": "properties.total", "from": "$.total", "type": "integer"}]}');
insert into postrider.mapping (name, definition) values ('mail', '{"fields": [
	{"to": "recipient", "from": "$.email"}]}');
SQL
endpoint('crm', '/ok/crm', "'crm'");
endpoint('mail', '/ok/mail', "'mail'");
endpoint('plain', '/ok/plain', 'null');
endpoint('flaky', '/first/503/2/flaky', "'crm'", [ ', backoff_base, breaker_share', ", '100 ms', null" ]);

sql(q(select postrider.emit('order.paid', '{"email": "a@example.com", "total": "12"}')));
ok($receiver->wait_for_count(1, "/ok/$_"), "$_ gets it") for qw(crm mail plain);
my $mapped = { properties => { email => 'a@example.com', total => 12 } };
is_deeply([ data('/ok/crm') ], [$mapped], 'one endpoint gets what its mapping makes of it');
is_deeply([ data('/ok/mail') ], [ { recipient => 'a@example.com' } ], 'another one what its own makes of it');
is_deeply([ data('/ok/plain') ], [ { email => 'a@example.com', total => '12' } ], 'and one without a mapping the payload');
ok($receiver->wait_for_count(3, '/first/503/2/flaky'), 'a failing endpoint gets it again');
is_deeply([ data('/first/503/2/flaky') ], [ ($mapped) x 3 ], 'retries are mapped');
is(join(',', sort map { $_->{headers}{'webhook-id'} } $receiver->requests('/first/503/2/flaky')) =~ tr/,//, 2, 'with one id');

# A record that does not fit
my $bad = sql(q(select postrider.emit('order.paid', '{"total": "12.5"}')));
ok(PostriderTest::wait_for($node, "select count(*) from postrider.dead_letter where message_id = '$bad'", 2), 'what does not fit is a dead letter');
my $error = sql("select error from postrider.delivery where message_id = '$bad' and endpoint = 'crm'");
like($error, qr/email .*is required/, 'its error names one field');
like($error, qr/total .*"12\.5" is not an integer/, 'and the other');
is(sql("select string_agg(distinct outcome || ' ' || attempt || ' ' || error_code, ',') from postrider.attempt where message_id = '$bad' and error_code is not null"),
	'dead 0 mapping', 'nothing was sent');
is(sql("select bool_and(enabled) from postrider.endpoint"), 't', 'the endpoint is not blamed');
is(sql("select status from postrider.delivery where message_id = '$bad' and endpoint = 'plain'"), 'delivered', 'others get it');
sql(q(select postrider.emit('order.paid', '{"email": "b@example.com"}')));
ok($receiver->wait_for_count(2, '/ok/crm'), 'and the next one flows');

# A new version mends it; retry() takes the version that the subscription names
sql(<<'SQL');
insert into postrider.mapping (name, definition) values ('crm', '{"fields": [
	{"to": "properties.email", "from": "$.email", "default": "unknown"},
	{"to": "properties.total", "from": "$.total", "type": "number"}]}');
SQL
is(sql("select postrider.retry('$bad', 'crm')"), 1, 'the dead letter is tried again');
ok($receiver->wait_for_count(3, '/ok/crm'), 'and arrives');
is_deeply((data('/ok/crm'))[2], { properties => { email => 'unknown', total => 12.5 } }, 'mapped by the new version');
sql("update postrider.subscription set mapping_version = 1 where endpoint = 'crm'");
my $pinned = sql(q(select postrider.emit('order.paid', '{"total": 1}')));
ok(PostriderTest::wait_for($node, "select count(*) from postrider.dead_letter where message_id = '$pinned' and endpoint_id = (select id from postrider.endpoint where name = 'crm')", 1),
	'a subscription that names the old version gets the old one');
is(sql("select mapping || mapping_version from postrider.dead_letter where message_id = '$pinned'"), 'crm1', 'which is on record');
sql("update postrider.subscription set mapping_version = 2 where endpoint = 'crm'");
is(sql("select postrider.retry('$pinned', 'crm')"), 1, 'after the subscription has changed');
ok($receiver->wait_for_count(4, '/ok/crm'), 'a retry takes the version that it names now');

# Held while the endpoint is disabled, over a restart, and in great numbers
sql("update postrider.endpoint set enabled = false where name = 'mail'");
sql("select count(postrider.emit('order.held', jsonb_build_object('email', i))) from generate_series(1, 3000) i");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.pending where reason = 'held' and mapping = 'mail'", 3000), 'what is held knows its mapping');
$node->restart;
sql("update postrider.endpoint set enabled = true where name = 'mail'");
ok($receiver->wait_for_count(3003, '/ok/mail'), 'what was held flows');
is(scalar(grep { exists $_->{email} } data('/ok/mail')), 0, 'all of it mapped');
ok(PostriderTest::wait_for($node, 'select count(*) from postrider.pending', 0), 'nothing is left');

# A burst for a slow endpoint is deferred, and mapped when it is read again
endpoint('slow', '/slow/5/slow', "'mail'", [ ', max_in_flight', ', 4' ]);
sql("select count(postrider.emit('order.burst', jsonb_build_object('email', i))) from generate_series(1, 4000) i");
ok($receiver->wait_for_count(4000, '/slow/5/slow'), 'a burst arrives');
is(scalar(grep { exists $_->{recipient} } data('/slow/5/slow')), $receiver->count('/slow/5/slow'), 'and is mapped');

done_testing();
