# The upkeep of partitions: made ahead, dropped after the retention, and what
# is still owed outlives the log.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = PostriderTest::node('partitions');
my $receiver = PostriderTest::Receiver->start;
my $messages = 12000;			# more than one piece of the carry-over

sub sql { return $node->safe_psql('postgres', $_[0]); }

# A reload makes the worker look after its partitions at once.
sub maintained
{
	my ($what, $query, $value) = @_;
	$node->reload;
	ok(PostriderTest::wait_for($node, $query, $value), $what);
}

sub name { return sql("select to_char((now() at time zone 'UTC')::date + $_[0], 'YYYYMMDD')"); }

# Messages with ids of another day, as if they had been emitted then.
sub emit_on
{
	my ($day, $endpoint, $count) = @_;
	return "insert into postrider.message (id, topic, endpoint, key, payload)
		select overlay(overlay(postrider.id_floor(now() + interval '$day days')::text
				placing '7' || lpad(to_hex(n / 65536), 3, '0') from 15)
				placing lpad(to_hex(n % 65536), 4, '0') from 25)::uuid,
			'old.message', '$endpoint', n::text, to_jsonb(n) from generate_series(1, $count) n";
}

sql("insert into postrider.endpoint (name, url, enabled, max_in_flight) values
	('open', '" . $receiver->url('/ok/open') . "', true, 32),
	('shut', '" . $receiver->url('/ok/shut') . "', false, 32)");

my $ahead = name(2);
sql("alter extension postrider drop table postrider.message_$ahead;
	alter extension postrider drop table postrider.attempt_$ahead;
	drop table postrider.message_$ahead, postrider.attempt_$ahead");
maintained('a partition that is missing is made ahead',
	"select count(*) from pg_inherits where inhrelid::regclass::text in ('postrider.message_$ahead', 'postrider.attempt_$ahead')", 2);
is(sql("select count(*) from pg_index where indrelid = 'postrider.message_$ahead'::regclass"),
	sql("select count(*) from pg_index where indrelid = 'postrider.message'::regclass"), 'with its indexes');

# A day that is over.
my $old = name(-9);
sql("select postrider.make_partition((now() at time zone 'UTC')::date - 9, false)");
sql(emit_on(-9, 'open', 10));
ok($receiver->wait_for_count(10, '/ok/open'), 'what is delivered');
sql(emit_on(-9, 'shut', $messages));
ok(PostriderTest::wait_for($node, "select count(*) from postrider.pending where reason = 'held'", $messages), 'and what is held');
is(sql("select count(*) from postrider.message_$old where endpoint = 'shut'"), $messages, 'are in the partition of their day');
sleep 1.5;						# for the cursor to be written

# Somebody is still writing into it.
my $late = $node->background_psql('postgres');
$late->query_safe('begin');
$late->query_safe(emit_on(-9, 'open', 20) . ' where n > 10');
$node->reload;
ok(PostriderTest::wait_for($node, 'select count(*) from postrider.pending where payload is not null', $messages),
	'what is owed is copied to pending');
sleep 0.5;
is(sql("select to_regclass('postrider.message_$old') is not null"), 't', 'a partition in which somebody writes stays');
$late->query_safe('commit');
$late->quit;
ok($receiver->wait_for_count(20, '/ok/open'), 'the late messages arrive');
sleep 1.5;						# for the cursor to be written
maintained('a day is dropped after the retention',
	"select count(*) from pg_class where relname in ('message_$old', 'attempt_$old')", 0);
is(sql("select string_agg(distinct status, ' ') || ' ' || count(*) || ' ' || string_agg(distinct topic, ' ') from postrider.delivery"),
	"held $messages old.message", 'what is owed is still there');
sql("update postrider.endpoint set enabled = true where name = 'shut'");
ok($receiver->wait_for_count($messages, '/ok/shut'), 'and is delivered');
my %bodies = map { /"data": ?(\d+)/ ? ($1 => 1) : () } map { $_->{body} } $receiver->requests('/ok/shut');
is(scalar keys %bodies, $messages, 'with its payload');
ok(PostriderTest::wait_for($node, 'select count(*) from postrider.pending', 0), 'and nothing is owed any more');

# No partition fits: the default one takes it, and is cleaned.
sql("update postrider.endpoint set enabled = false where name = 'shut'");
sql(emit_on(-20, 'shut', 5));
sql(emit_on(20, 'open', 5));
ok($receiver->wait_for_count(25, '/ok/open'), 'a message without a partition is delivered');
ok(PostriderTest::wait_for($node, "select count(*) from postrider.pending where reason = 'held'", 5), 'or held');
is(sql('select count(*) from postrider.message_default'), 10, 'from the default partition');
sleep 1.5;
maintained('old messages leave the default partition, new ones stay', 'select count(*) from postrider.message_default', 5);
sql("update postrider.endpoint set enabled = true where name = 'shut'");
ok($receiver->wait_for_count($messages + 5, '/ok/shut'), 'what was owed of them is delivered');
is(sql("select count(*) from postrider.delivery where status = 'delivered' and endpoint = 'open'"), 5,
	'what is in the default partition has its attempts');

# Rows of a day in the default partition keep its own one from being made.
my $day = name(1);
sql("alter extension postrider drop table postrider.message_$day;
	drop table postrider.message_$day");
sql(emit_on(1, 'open', 5));
ok($receiver->wait_for_count(30, '/ok/open'), 'a day without a partition goes on in the default one');
$node->reload;
sql("select postrider.send('open', '1')");
ok($receiver->wait_for_count(31, '/ok/open'), 'and the worker goes on');
is(sql("select state || coalesce(last_error, '') from postrider.worker"), 'running', 'without an error');

$node->stop('fast');
done_testing();
