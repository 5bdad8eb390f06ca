# A receiver that repeats a person's data, a mapping that quotes it and a function that raises it:
# none of it is kept where people look.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('masked', conf => "log_statement = none\n");
my $receiver = PostriderTest::Receiver->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub wait_for { return PostriderTest::wait_for($node, @_); }

# Says in its answer what one would not want to find there.
sub telling
{
	my ($name, $status, $text, $columns, @values) = @_;
	my $url = $receiver->url("/body/$status/" . unpack('H*', $text) . "/$name");
	sql("insert into postrider.endpoint (name, url, max_attempts" . ($columns // '') . ") values ('$name', '$url', 1" . join('', map { ", '$_'" } @values) . ")");
}

sql("insert into postrider.sensitive_field (topic, path) values ('person.**', '\$.email'), ('person.**', '\$.name')");
telling('refuses', 422, '{"error": "no account for Zoe@Planted.Example, zoe%40planted.example (Zoe Plantagenet)"}');
telling('batches', 200, '{"errors": [{"index": 0, "message": "bad: zoe@planted.example"}, {"index": 1, "message": "bad: max@planted.example"}]}',
	', batch_size, batch_delay, batch_format, batch_failed, batch_error', 2, '300 ms', 'json-array', '$.errors[*].index', '$.errors[*].message');
sql("insert into postrider.mapping (name, definition) values ('strict', '{\"fields\": [{\"from\": \"\$.email\", \"to\": \"n\", \"type\": \"integer\"}]}');
	insert into postrider.endpoint (name, url) values ('mapped', '" . $receiver->url('/ok/mapped') . "');
	create function raises(message postrider.message) returns void language plpgsql as \$\$
	begin raise 'cannot take %', message.payload ->> 'email' using errcode = 'PR001', detail = message.payload::text; end \$\$;
	select postrider.on_message('person.signed_up', 'public.raises(postrider.message)', max_attempts => 1);
	insert into postrider.subscription (topic, endpoint, filter) values ('person.*', 'refuses', '\$.email starts with \"zoe\"');
	insert into postrider.subscription (topic, endpoint, mapping) values ('person.*', 'batches', null), ('person.*', 'mapped', 'strict')");
sql("select postrider.emit('person.signed_up', '{\"email\": \"zoe\@planted.example\", \"name\": \"Zoe Plantagenet\"}', key => '7'),
	postrider.emit('person.signed_up', '{\"email\": \"max\@planted.example\", \"name\": \"Max Plantagenet\"}', key => '8')");
ok(wait_for("select count(*) from postrider.dead_letter", 7), 'all ends as dead letters');

like(sql("select string_agg(a.response, ' ') from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id join postrider.message m on m.id = a.message_id
	where e.name = 'refuses' and m.key = '7'"), qr/no account for \*\*\*, \*\*\* \(\*\*\*\)/, 'an excerpt has *** for what is sensitive');
like(sql("select string_agg(error, ' ') from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = 'batches' and key = '7'"),
	qr/bad: \*\*\*/, 'the reason that a batch was given for a record');
like(sql("select string_agg(error, ' ') from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = 'mapped'"),
	qr/\*\*\*.* is not an integer/, 'a value that a mapping quotes');
like(sql("select string_agg(concat(error, response), ' ') from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = 'public.raises'"),
	qr/cannot take \*\*\*/, 'and what a function says');
for my $where ('postrider.attempt', 'postrider.delivery', 'postrider.endpoint_health', 'postrider.dead_letter_masked', 'postrider.message_masked')
{
	my $text = sql("select string_agg(t::text, ' ') from $where t");
	unlike($text, qr/zoe\@planted|zoe%40|Plantagenet/i, "$where does not show it");
}
unlike(sql("select string_agg(concat(error, response), ' ') from postrider.dead_letter"), qr/zoe\@planted|zoe%40|Plantagenet/i,
	'nor do the texts of dead letters, whose payload is whole');
unlike(sql("select string_agg(x::text, ' ') from postrider.message m, postrider.explain(m.id) x where m.key = '7'"), qr/zoe\@planted|Plantagenet/i, 'nor does explain');
like(sql("select payload ->> 'email' from postrider.message where key = '7'"), qr/zoe\@planted/, 'the message itself is whole');
unlike(slurp_file($node->logfile), qr/zoe\@planted|Plantagenet/i, 'the log has nothing of it');
$receiver->down;
$node->stop('fast');
done_testing();
