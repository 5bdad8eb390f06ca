# Sensitive fields are masked for people, and payloads go before the log does.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('sensitive');
my $receiver = PostriderTest::Receiver->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return ($out, $err); }
sub wait_for { return PostriderTest::wait_for($node, @_); }

# Paths and what they mask
sub masked { return sql("select postrider.mask_payload('$_[0]', array[" . join(',', map { "'$_'" } @_[ 1 .. $#_ ]) . "]::jsonpath[])"); }
is(masked('{"a": {"email": "x", "n": 5, "b": true, "z": null}, "email": "y"}', '$.a'), '{"a": {"b": false, "n": 0, "z": null, "email": "***"}, "email": "y"}',
	'all below a path is masked, with its type');
is(masked('{"a": [{"email": "x"}, {"email": "y", "n": 1}]}', '$.a[*].email'), '{"a": [{"email": "***"}, {"n": 1, "email": "***"}]}', 'elements');
is(masked('{"a": [{"email": "x"}]}', '$.a.email'), '{"a": [{"email": "***"}]}', 'a key of a list is that of its elements, as in PostgreSQL');
is(masked('{"a": {"b": {"email": "x"}}, "email": "y"}', '$.**.email'), '{"a": {"b": {"email": "***"}}, "email": "***"}', 'at any depth');
is(masked('{"a": ["x", "y"]}', '$.a[1]'), '{"a": ["x", "***"]}', 'by index');
is(masked('{"record": {"p": "x"}, "old_record": {"p": "y"}, "table": "t"}', '$.*.p'), '{"table": "t", "record": {"p": "***"}, "old_record": {"p": "***"}}', 'in any key');
is(masked('"x"', '$'), '"***"', 'a payload that is a string');
is(masked('{"a": "x"}', '$.b'), '{"a": "x"}', 'what is not there');
is(sql("select postrider.mask_string('Ann\@x.de said ann%40x.de and ann', '{\"e\": \"ann\@x.de\"}', '{\$.e}')"), '*** said *** and ***',
	'in a text: whatever its case, encoded for a URL, and cut at the end');
like((said("insert into postrider.sensitive_field values ('a.b', '\$.a ? (\@.b == 1)')"))[1], qr/ERROR:  path .* has something else than keys/, 'a path that cannot be used is refused');
like((said("insert into postrider.sensitive_field values ('A', '\$.a')"))[1], qr/ERROR:  "A" is no topic/, 'as is a topic');

# Views; what is sent is whole
sql("insert into postrider.endpoint (name, url) values ('crm', '" . $receiver->url('/status/422/crm') . "'), ('ok', '" . $receiver->url('/ok/all') . "');
	insert into postrider.subscription (topic, endpoint) values ('person.**', 'crm'), ('**', 'ok')");
sql("create table person (id int primary key, email text, plan text); select postrider.watch('person')");
is(sql("select postrider.mark_sensitive('person', '{email}')"), 6, 'columns of a watched table are marked for each topic');
is(sql("select postrider.mark_sensitive('person', '{email}')"), 0, 'once');
like((said("select postrider.mark_sensitive('person', '{mail}')"))[1], qr/ERROR:  column "mail" of table (?:public\.)?person does not exist/, 'only those that exist');
sql("insert into person values (1, 'ann\@example.com', 'gold')");
ok($receiver->wait_for_count(1, '/ok/all'), 'it is sent');
like(($receiver->requests('/ok/all'))[0]{body}, qr/ann\@example\.com/, 'whole');
is(sql("select payload -> 'record' from postrider.message_masked"), '{"id": 1, "plan": "gold", "email": "***"}', 'the view of the log is masked');
ok(wait_for("select payload -> 'record' from postrider.dead_letter_masked", '{"id": 1, "plan": "gold", "email": "***"}'), 'and that of dead letters');
sql("select postrider.emit('sign.up', '{\"email\": \"bob\@example.com\"}', key => 'bob\@example.com')");
sql("insert into postrider.sensitive_field values ('sign.*', '\$.email')");
is(sql("select key from postrider.message_masked where topic = 'sign.up'"), '***', 'a key that is such a value is masked');
unlike(sql("select * from postrider.explain((select id from postrider.message where topic = 'sign.up'))"), qr/bob/, 'in explain as well');

# Payload retention
ok(wait_for("select count(*) from postrider.delivery where status in ('queued', 'retrying')", 0), 'all is settled');
sql("insert into postrider.endpoint (name, url, backoff_base, backoff_max, retry_schedule) values ('owed', '" . $receiver->url('/first/503/1/owed') . "', '1 s', '1 h', '{20 s}');
	insert into postrider.subscription (topic, endpoint) values ('person.update', 'owed')");
sql("update person set plan = 'lead'");
ok(wait_for("select count(*) from postrider.pending where reason = 'retry'", 1), 'one delivery is owed');
ok(wait_for("select count(*) from postrider.delivery where status = 'queued'", 0), 'all else is settled');
sql("select postrider.emit('other.thing', '{\"a\": 1}')");
sql("insert into postrider.payload_retention values ('person.*', '1 ms')");
# A reload has the worker look at once; it leaves alone what its cursor has not passed yet.
ok(eval {
	PostriderTest::wait_until(sub {
		sql('select pg_reload_conf()');
		sql("select count(*) from postrider.message where removed = 'expired' and payload = 'null' and headers is null") == 2;
	}, 'payloads are removed');
}, 'the worker removes payloads that are past their time');
is(sql("select count(*) from postrider.message where topic in ('other.thing', 'sign.up') and removed is null and payload <> 'null'"), 2, 'of that topic only');
is(sql("select count(*) from postrider.dead_letter where topic like 'person.%'"), 0, 'with its dead letters');
is(sql("select payload #>> '{record,plan}' from postrider.pending"), 'lead', 'what is owed keeps a copy');
sql("update postrider.pending set due_at = now(); select postrider.wake()");
ok($receiver->wait_for_count(2, '/first/503/1/owed'), 'which is sent');
like(($receiver->requests('/first/503/1/owed'))[-1]{body}, qr/lead/, 'whole');
is(sql("select count(*) from postrider.attempt a join postrider.message m on m.id = a.message_id where m.removed = 'expired' and m.topic = 'person.insert' and (response is not null or error is not null)"), 0,
	'responses went with the payload');
is(sql("select postrider.expire_payloads()"), '', 'nothing is gone through twice');
my ($out, $err) = said("select postrider.replay('ok', now() - interval '1 hour')");
like($err, qr/2 messages of that time are left out/, 'replay says what it leaves out');
like(sql("select what from postrider.explain((select id from postrider.message where topic = 'person.insert'))"), qr/^expired$/m, 'explain says so');
like(sql('select postrider.export_config()'), qr/sensitive_field.*sign/s, 'the registry is part of the configuration');
done_testing();
