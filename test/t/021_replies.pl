# What is kept of responses: excerpts of failures, and replies as messages.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('replies', conf => "max_prepared_transactions = 10\n");
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
sub wait_for { return PostriderTest::wait_for($node, @_); }

sub endpoint
{
	my ($name, $path, %columns) = @_;
	my $names = join '', map { ", $_" } sort keys %columns;
	my $values = join '', map { ", $columns{$_}" } sort keys %columns;
	sql("insert into postrider.endpoint (name, url$names) values ('$name', '" . $receiver->url($path) . "'$values);
		insert into postrider.subscription (topic, endpoint) values ('$name.in', '$name')");
}

# Sends one message to an endpoint and returns the payload of its reply.
sub reply
{
	my ($name, $query) = @_;
	my $id = sql("select postrider.emit('$name.in', '{\"a\": 1}', key => 'k-$name', tenant => 'red')");
	wait_for("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id
		where a.message_id = '$id' and e.name = '$name' and outcome = 'delivered'", 1);
	return sql("select $query from postrider.message where topic = '$name.out' and payload ->> 'message_id' = '$id'");
}

# Excerpts
endpoint('small', '/big/422/5000', response_excerpt_bytes => 100);
endpoint('large', '/big/422/70000', response_excerpt_bytes => 65536);
endpoint('none', '/big/422/5000', response_excerpt_bytes => 0);
endpoint('usual', '/big/422/5000');
sql("select postrider.emit(name || '.in', '{}') from postrider.endpoint");
ok(wait_for("select count(*) from postrider.dead_letter", 4), 'four are refused');
is(sql("select string_agg(e.name || ':' || coalesce(length(a.response)::text, '-'), ' ' order by e.name)
	from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id"),
	'large:65536 none:- small:100 usual:1024', 'as much as the endpoint says is kept of each response');
is(sql("select string_agg(e.name || ':' || coalesce(length(d.response)::text, '-'), ' ' order by e.name)
	from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id"),
	'large:65536 none:- small:100 usual:1024', 'in the dead letter as well');
sql("update postrider.endpoint set response_excerpt_bytes = 7 where name = 'usual'");
sql("select postrider.retry(endpoint => 'usual')");
ok(wait_for("select min(length(response)) from postrider.attempt", 7), 'a change is followed');
for my $bytes (-1, 65537)
{
	like(said("update postrider.endpoint set response_excerpt_bytes = $bytes"),
		qr/response_excerpt_bytes of endpoint ".*" must be between 0 and 65536/, "not $bytes");
}

# Replies
endpoint('crm', '/made/201/crm', reply_topic => "'crm.out'");
is(reply('crm', "jsonb_build_array(key, tenant, payload - 'message_id' #- '{response,id}' #- '{headers,location}')::text"),
	'["k-crm", "red", {"hops": 1, "topic": "crm.in", "headers": {"content-type": "application/json"}, "endpoint": "crm", "response": {"n": 1}, "status_code": 201}]',
	'the response becomes a message, with key and tenant');
is(sql("select count(*) from postrider.message where topic = 'crm.out' and payload #>> '{response,id}' = 'crm-' || (payload ->> 'message_id')
	and payload #>> '{headers,location}' = '/crm/crm-' || (payload ->> 'message_id')"), 1, 'the id that the other system gave is in it');

endpoint('text', '/status/200', reply_topic => "'text.out'");
is(reply('text', "payload -> 'response'"), '"as told"', 'what is no JSON comes as text');
endpoint('empty', '/ok', reply_topic => "'empty.out'");
is(reply('empty', "payload -> 'response'"), 'null', 'no body is null');
endpoint('array', '/body/200/' . unpack('H*', '[1, {"a": null}]'), reply_topic => "'array.out'");
is(reply('array', "payload -> 'response'"), '[1, {"a": null}]', 'a null in the response stays');
endpoint('nul', '/body/200/' . unpack('H*', '{"a": "\u0000"}'), reply_topic => "'nul.out'");
is(reply('nul', "payload -> 'response'"), '"{\"a\": \"\\\\u0000\"}"', 'JSON that jsonb cannot store comes as text');
endpoint('number', '/body/200/' . unpack('H*', '1e999999999'), reply_topic => "'number.out'");
is(reply('number', "payload -> 'response'"), '"1e999999999"', 'so does a number without end');
endpoint('deep', '/big/200/60000/[', reply_topic => "'deep.out'");
is(reply('deep', "length(payload ->> 'response')"), 60000, 'something far too deep is text');
endpoint('bytes', '/body/200/ff00c3a4', reply_topic => "'bytes.out'");
is(reply('bytes', "payload -> 'response'"), '"??' . "\xc3\xa4" . '"', 'bytes that are no text become question marks');
endpoint('big', '/big/200/70000', reply_topic => "'big.out'");
is(reply('big', "length(payload ->> 'response') || ' of ' || (payload ->> 'response_bytes')"), '65536 of 70000', 'of a large one 64 kB, and it says so');
endpoint('whole', '/big/200/65536', reply_topic => "'whole.out'");
is(reply('whole', "length(payload ->> 'response') || ' ' || (payload ? 'response_bytes')"), '65536 false', 'one that fits is whole');
endpoint('failing', '/first/503/1', reply_topic => "'failing.out'", backoff_base => "'1 ms'");
is(reply('failing', "count(*)"), 1, 'a failed attempt has no reply, the one that is delivered has');
is(sql("select count(*) from postrider.attempt where error_code = 'reply'"), 0, 'nothing went wrong with a reply');

# The log may be gone
endpoint('old', '/status/422', reply_topic => "'old.out'");
my $id = sql("select postrider.emit('old.in', '{}', key => 'k-old')");
ok(wait_for("select count(*) from postrider.dead_letter where message_id = '$id'", 1), 'given up');
sql("delete from postrider.message where id = '$id'");
sql("update postrider.endpoint set url = '" . $receiver->url('/made/200/old') . "' where name = 'old'");
sql("select postrider.retry(endpoint => 'old')");
ok(wait_for("select key || ' ' || (payload ->> 'topic') from postrider.message where topic = 'old.out'", 'k-old old.in'),
	'the reply has the key and the topic of a message that only the dead letter had');

# A schema of the reply topic holds, and does not stop the rest.
sql(q(insert into postrider.topic (name, schema) values ('strict.out', '{"properties": {"response": {"properties": {"id": {"type": "integer"}}}}}')));
endpoint('strict', '/made/200/strict', reply_topic => "'strict.out'");
my $pid = sql("select pid from postrider.worker");
is(reply('strict', 'count(*)'), 0, 'a reply that does not fit the schema is not emitted');
like(sql("select error_code || ': ' || error from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'strict'"),
	qr/reply: the response could not be emitted: .*strict\.out/, 'the attempt says so');
is(sql("select count(*) from postrider.attempt where outcome = 'delivered' and error_code = 'reply'"), 1, 'it is delivered all the same');

# Circles
like(said("insert into postrider.subscription (topic, endpoint) values ('crm.*', 'crm')"),
	qr/endpoint "crm" would get its own replies.*reply_topic is "crm\.out".*HINT/s, 'a subscription to its own replies is refused');
like(said("update postrider.endpoint set reply_topic = 'usual.in' where name = 'usual'"),
	qr/endpoint "usual" would get its own replies/, 'from the other side as well');
like(said("update postrider.endpoint set reply_topic = 'crm.*' where name = 'usual'"),
	qr/reply_topic of endpoint "usual" is no topic: "crm\.\*"/, 'a pattern is refused');
endpoint('ping', '/status/200/ping', reply_topic => "'pong.in'");
endpoint('pong', '/status/200/pong', reply_topic => "'ping.in'");
sql("select postrider.emit('ping.in', '{\"message_id\": 1}', key => 'circle')");
ok(wait_for("select count(*) from postrider.attempt where error like 'the response was not emitted: the message is a reply to a reply%'", 1),
	'a circle of two endpoints comes to its end');
is(sql("select count(*) from postrider.message where key = 'circle'"), 9, 'after eight replies');

# One reply for each delivery on record, also of many
endpoint('many', '/made/200/many', reply_topic => "'many.out'");
sql("select count(*) from (select postrider.emit('many.in', '{}', key => 'm' || n) from generate_series(1, 2000) n) x");
ok(wait_for("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'many'", 2000), 'many');
is(sql("select count(distinct key) || ' ' || count(*) from postrider.message where topic = 'many.out'"), '2000 2000', 'have one reply each');
is(sql("select pid from postrider.worker"), $pid, 'the worker is still the same');

$receiver->down;
$node->stop;
done_testing();
