# Alerts: conditions that fire, are repeated, go to the next one, and are over.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('alerts', conf => "postrider.alert_interval = 0\ntrack_functions = 'pl'\n");
my $receiver = PostriderTest::Receiver->start;
my $url = $receiver->url('');

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub wait_for { return PostriderTest::wait_for($node, @_); }

# Looks at all alerts so many minutes after the start, and returns what changed.
my $start = sql("select now()");
sub look
{
	my ($minutes) = @_;
	return sql("select string_agg(concat_ws(' ', alert, event, objects, error), ', ') from postrider.evaluate_alerts('$start'::timestamptz + interval '$minutes minutes')");
}

# The messages since the last call, as "topic event object,object".
my $seen = '00000000-0000-0000-0000-000000000000';
sub told
{
	my @told = split /\n/, sql("select id || ' ' || topic || ' ' || (payload ->> 'event') || ' ' || (select string_agg(o ->> 'object', ',') from jsonb_array_elements(payload -> 'objects') o)
		from postrider.message where topic ~ '[.](firing|resolved|broken)\$' and id > '$seen' order by id");
	($seen) = $told[-1] =~ /^(\S+)/ if @told;
	return [ map { s/^\S+ //r } @told ];
}
sub gauge { my ($name, $value) = @_; sql("insert into public.gauge values ('$name', $value) on conflict (name) do update set value = excluded.value"); }

# What is there from the start: nothing is wrong, nothing is said, nothing is written.
is(sql("select string_agg(name, ' ' order by name) from postrider.alert where enabled and is_default"),
	'backlog dead_letters endpoint_down partitions problem secret_expires worker_missing', 'the alerts that are there from the start');
is(look(0), '', 'nothing is wrong');
is(sql("begin; select count(*) from postrider.evaluate_alerts(); select pg_current_xact_id_if_assigned() is null; commit"), "0\nt", 'a look that finds nothing writes nothing');

# The way of an alert, by a clock of ours.
sql("delete from postrider.alert; create table public.gauge (name text primary key, value float8);
	insert into postrider.alert (name, source, object, value, threshold, recover_threshold, for_duration, recover_for, repeat_interval, severity, description, escalation, detail, remedy)
	values ('hot', 'public.gauge', 'name', 'value', 100, 50, '2 minutes', '3 minutes', '1 hour', 'critical', 'It is hot.',
	'[{\"after\": \"15 minutes\", \"topic\": \"oncall.first\"}, {\"after\": \"40 minutes\", \"topic\": \"oncall.second\"}]', \$\$'it is ' || value\$\$, \$\$format('UPDATE gauge SET value = 0 WHERE name = %L', name)\$\$)");
gauge('oven', 80);
is(look(0), '', 'below the threshold');
gauge('oven', 120);
is(look(1), '', 'above it it does not fire at once');
is(sql("select state || ' ' || pending || objects::text from postrider.alert_status"), 'pending 1{oven}', 'it is pending');
gauge('oven', 80);
is(look(2), '', 'what falls back');
is(sql("select count(*) from postrider.alert_state"), 0, 'is forgotten');
gauge('oven', 120);
is(look(3) . look(4.5), '', 'and has to wait all over again');
is(look(5), 'hot firing 1', 'for so long, and it fires');
is_deeply(told(), ['postrider.alert.firing firing oven'], 'which is said once');
my $payload = decode_json(sql("select payload from postrider.message where id = '$seen'"));
is_deeply({ map { $_ => $payload->{$_} } grep { !/^(at|since|objects)$/ } keys %$payload }, { alert => 'hot', event => 'firing', severity => 'critical', summary => 'hot is firing: oven',
		description => 'It is hot.', operator => '>', threshold => 100, count => 1 }, 'with all that is known');
is($payload->{objects}[0]{value} . $payload->{objects}[0]{detail} . $payload->{objects}[0]{remedy}, "120it is 120UPDATE gauge SET value = 0 WHERE name = 'oven'", 'value, detail and remedy');
is(sql("select '$payload->{since}'::timestamptz = '$start'::timestamptz + interval '3 minutes'"), 't', 'since when');
is(sql("select key from postrider.message where id = '$seen'"), 'hot', 'the key is the alert');
is(look(6), '', 'and not again');
gauge('oven', 80);
is(look(7) . look(12), '', 'below the threshold, but not well: it goes on');
is(sql("select state from postrider.alert_status"), 'firing', 'as can be seen');
is(look(19.9), '', 'not yet time for the next one');
is(look(20), 'hot escalated 1', 'after a quarter of an hour the next one is told');
is_deeply(told(), ['oncall.first.firing escalated oven'], 'on a topic of its own');
is(look(21), '', 'once');
gauge('oven', 10);
is(look(22), '', 'it is well');
is(look(24), '', 'not for long enough');
gauge('oven', 80);
is(look(24.5), '', 'and is not well again');
is(look(26) . look(44), '', 'so that it has not ended, and nobody is told anew');
is(look(45), 'hot escalated 1', 'the next one is');
is_deeply(told(), ['oncall.second.firing escalated oven'], 'in time');
is(look(64), '', 'it is said again');
is(look(65), 'hot repeated 1', 'each hour');
is_deeply(told(), ['postrider.alert.firing repeated oven'], 'on its topic');
gauge('oven', 50);
is(look(66), '', 'well');
is(look(68.9), '', 'for less than three minutes');
is(look(69), 'hot resolved 1', 'and for three');
is_deeply(told(), [ 'postrider.alert.resolved resolved oven', 'oncall.first.resolved resolved oven', 'oncall.second.resolved resolved oven' ], 'all who know of it hear that it is over');
is(look(70) . look(200), '', 'which is said once');
is(sql("select state || (resolved_at is not null) from postrider.alert_state"), 'resolvedtrue', 'and can be seen');
gauge('oven', 101);
is(look(201) . look(203), 'hot firing 1', 'it may happen again');
gauge('oven', 0);
look(204);
is(look(207), 'hot resolved 1', 'and end');
is_deeply(told(), [ 'postrider.alert.firing firing oven', 'postrider.alert.resolved resolved oven' ], 'who was not told this time hears nothing');
is(look(207 + 8 * 24 * 60), '', 'after a week');
is(sql("select count(*) from postrider.alert_state"), 0, 'it is forgotten');
told();

# A worker that was away for long tells everybody at once; a clock that is set back stops nothing.
$start = sql("select '$start'::timestamptz + interval '20 days'");
gauge('oven', 200);
look(0);
is(look(2), 'hot firing 1', 'it fires');
is(look(50), 'hot escalated 1, hot escalated 1', 'both steps are due at once');
is(look(-100), '', 'the clock is set back by hours');
is(look(-41), '', 'what is to be repeated');
is(look(-40), 'hot repeated 1', 'is an hour later by the clock as it is');
gauge('oven', 0);
look(-39);
is(look(-36), 'hot resolved 1', 'and it ends by that clock');
told();

# Rolled back with what it says: a transition is told of once, whoever breaks off.
gauge('oven', 200);
look(1000);
sql("begin; select * from postrider.evaluate_alerts('$start'::timestamptz + interval '1002 minutes'); rollback");
is_deeply(told(), [], 'a look that is rolled back has said nothing');
is(look(1002), 'hot firing 1', 'and the next one does');
is(scalar @{ told() }, 1, 'once');
sql("update postrider.alert set enabled = false");
look(1003);
is(sql("select count(*) from postrider.alert_state where state <> 'resolved'"), 0, 'an alert that is disabled is forgotten');
is_deeply(told(), [], 'and says nothing more');
sql("delete from postrider.alert; delete from public.gauge");

# No flood.
sql("insert into postrider.alert (name, source, filter, object, severity, repeat_interval) values ('full', 'public.gauge', 'value > 1', 'name', 'notice', '1 minute');
	insert into public.gauge select 'g' || n, 2 from generate_series(1, 200) n");
is(look(2000), 'full firing 200', '200 objects at once');
is(scalar @{ told() }, 1, 'are one message');
$payload = decode_json(sql("select payload from postrider.message where id = '$seen'"));
is("$payload->{count} " . scalar @{ $payload->{objects} } . " $payload->{summary}", '200 100 full is firing: g1, g10, g100 and 197 others' =~ s/ others/ more/r, 'with the first of them and their number');
is(look(2001), 'full repeated 200', 'so is the repetition');
is(scalar @{ told() }, 1, 'one message');
sql("update public.gauge set value = 0 where name in ('g1', 'g2')");
is(look(2001.5), 'full resolved 2', 'two of them end');
is_deeply([ sort @{ told() } ], [ 'postrider.alert.resolved resolved g1', 'postrider.alert.resolved resolved g2' ], 'a message each');
sql("insert into public.gauge select 'h' || n, 3 from generate_series(1, 2000) n");
like(look(2001.7), qr/^full firing \d{3,4}$/, 'more than can be looked at');
is(look(2001.8), '', 'is no reason to take the others for well');
sql("delete from public.gauge");
like(look(2002), qr/^full resolved \d+$/, 'all end');
is(scalar @{ told() }, 2, 'in one message');
sql("delete from postrider.alert");

# All rows together; the other way round.
sql("insert into postrider.alert (name, source, operator, threshold, topic, detail) values ('empty', 'public.gauge', '<', 1, 'ops.few', \$\$'none'\$\$)");
is(look(3000), 'empty firing 1', 'no row is fewer than one');
is(told()->[0], 'ops.few.firing firing ', 'about no object');
gauge('a', 1);
is(look(3001), 'empty resolved 1', 'one is not');
sql("delete from postrider.alert; delete from public.gauge");
told();

# To a real receiver, by the worker.
sql("insert into postrider.endpoint (name, url, max_in_flight) values ('pager', '$url/ok/pager', 1), ('oncall', '$url/ok/oncall', 1);
	insert into postrider.subscription (topic, endpoint) values ('postrider.alert.*', 'pager'), ('boss.*', 'oncall');
	insert into postrider.alert (name, source, object, value, escalation) values ('live', 'public.gauge', 'name', 'value', '[{\"after\": \"300 ms\", \"topic\": \"boss\"}]');
	alter system set postrider.alert_interval = '100ms'");
$node->reload;
gauge('fire', 1);
ok($receiver->wait_for_count(1, '/ok/pager'), 'the worker sees it and tells');
ok($receiver->wait_for_count(1, '/ok/oncall'), 'and the next one');
gauge('fire', 0);
ok($receiver->wait_for_count(2, '/ok/pager'), 'and that it is over');
ok($receiver->wait_for_count(2, '/ok/oncall'), 'both');
is_deeply([ map { my $b = decode_json($_->{body}); "$b->{type} $b->{data}{event} $b->{data}{objects}[0]{object}" } $receiver->requests('/ok/pager') ],
	[ 'postrider.alert.firing firing fire', 'postrider.alert.resolved resolved fire' ], 'each once');
like(slurp_file($node->logfile), qr/LOG:  event=alert_firing level=info database=postgres shard=0 alert=live objects=1\n/, 'the log has it');
gauge('fire', 1);
ok($receiver->wait_for_count(3, '/ok/pager'), 'it fires again');
$node->stop('immediate');
$node->start;
gauge('fire', 0);
ok($receiver->wait_for_count(4, '/ok/pager'), 'a crash of the server does not make it forget');
my %events;
$events{ decode_json($_->{body})->{data}{event} . ' ' . $_->{headers}{'webhook-id'} }++ for $receiver->requests('/ok/pager');
is(scalar(grep { /^firing/ } keys %events), 2, 'nor say it twice');

# No alert, nothing runs.
my $looks = "select coalesce(max(calls), 0) from pg_stat_user_functions where funcname = 'evaluate_alerts'";
ok(wait_for("select ($looks) > 5", 't'), 'each look is counted');
sql("delete from postrider.alert");
$node->restart;
ok(wait_for("select state from postrider.worker", 'running'), 'with no alert');
my $before = sql($looks);
sleep 2;
is(sql($looks), $before, 'nobody looks');

# The defaults, each seen to fire and to end.
sql("alter system set postrider.alert_interval = 0; drop extension postrider cascade");
$node->reload;
sql("create extension postrider; insert into postrider.endpoint (name, url, max_attempts, breaker_min_count, breaker_open, breaker_open_max) values ('crm', '$url/status/422/crm', 1, 1, '1 hour', '2 hours')");
ok(wait_for("select state from postrider.worker", 'running'), 'the worker runs');
sql("select postrider.send('crm', '{}')");
ok(wait_for("select count(*) from postrider.dead_letter", 1), 'a dead letter');
$start = sql("select now()");
is(look(0), 'dead_letters firing 1', 'is told of');
sql("select postrider.purge(endpoint => 'crm')");
is(look(1), 'dead_letters resolved 1', 'and that it is gone');
sql("update postrider.endpoint set enabled = false, disabled_reason = 'the receiver said 410'");
is(look(2) . look(3), 'endpoint_down firing 1', 'a disabled endpoint');
sql("update postrider.endpoint set enabled = true, disabled_reason = null, url = '$url/status/503/crm', max_attempts = 12");
look(4);
is(look(5), 'endpoint_down resolved 1', 'that is enabled');
sql("select postrider.send('crm', '{}')");
ok(wait_for("select breaker from postrider.endpoint_health", 'open'), 'an open breaker');
is(look(6) . look(7), 'endpoint_down firing 1', 'is one that is down');
sql("update postrider.pending set due_at = now() - interval '1 second', reason = 'overflow', message_id = postrider.id_floor(now() - interval '20 minutes')");
is(look(8) . look(9), 'backlog firing 1', 'what was emitted long ago and is due, although a worker has had it a moment ago');
sql("delete from postrider.pending");
look(10);
is(look(11), 'backlog resolved 1', 'and is gone');
sql("select postrider.set_secret('key', expires_at => now() + interval '1 day'); update postrider.endpoint set signing_secret = 'key'");
is(look(12), 'secret_expires firing 1', 'a secret that expires');
sql("select postrider.set_secret('key', expires_at => now() + interval '1 year')");
is(look(13), 'secret_expires resolved 1', 'and is renewed');
my @days = split /\n/, sql("select inhrelid::regclass from pg_inherits where inhparent = 'postrider.message'::regclass and inhrelid::regclass::text ~ '\\d{8}\$' and right(inhrelid::regclass::text, 8) > to_char(now() at time zone 'UTC', 'YYYYMMDD')");
sql(join ';', map { "alter extension postrider drop table $_; drop table $_" } @days);
is(look(14) . look(24), 'partitions firing 1', 'a missing partition');
sql("do \$\$ begin while postrider.maintain_partitions('7 days') is not null loop null; end loop; end \$\$");
is(look(25), 'partitions resolved 1', 'that is made');
sql("alter system set postrider.workers = 2; alter system set postrider.alert_interval = '100ms'");
$node->reload;
ok(wait_for("select count(*) from postrider.worker where state = 'running'", 2), 'of two workers');
sql("update postrider.alert set for_duration = '0' where name = 'worker_missing'; update postrider.alert set enabled = name = 'worker_missing';
	insert into postrider.endpoint (name, url) values ('pager0', '$url/ok/pager0'), ('pager1', '$url/ok/pager1');
	insert into postrider.subscription (topic, endpoint) values ('postrider.alert.*', 'pager0'), ('postrider.alert.*', 'pager1')");
# A backend that needs the database for itself holds up one worker's start; here we kill it again and again.
my $killed = 0;
ok(eval { PostriderTest::wait_until {
		$killed += sql("select count(pg_terminate_backend(pid)) from postrider.worker where shard = 0 and pid is not null");
		sql("select count(*) from postrider.message where topic = 'postrider.alert.firing' and payload ->> 'alert' = 'worker_missing'") > 0; } 'the other tells', 60 },
	'shard 0 has no worker: the other worker says so');
ok($receiver->wait_for_count(1, '/ok/pager1') || $receiver->wait_for_count(1, '/ok/pager0'), 'and delivers it');

done_testing();
