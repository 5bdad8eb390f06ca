# When what happened to a message, and the trace that it is part of.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('timeline', conf => "track_commit_timestamp = on\n");
my $receiver = PostriderTest::Receiver->start;
my $url = $receiver->url('');

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub wait_for { return PostriderTest::wait_for($node, @_); }

sub as
{
	my ($user, $query) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $query, connstr => $node->connstr('postgres') . " user=$user");
	return "$out$err";
}

# The events of a message in order, as "event endpoint attempt status".
sub events
{
	my ($id, $user) = @_;
	my $query = "select concat_ws(' ', event, endpoint, attempt, status_code) from postrider.timeline('$id')";
	return [ split /\n/, $user ? as($user, $query) : sql($query) ];
}
sub settled { return wait_for("select count(*) from postrider.delivery where message_id = '$_[0]' and status in ('queued', 'scheduled', 'retrying')", 0); }

sql("insert into postrider.endpoint (name, url, backoff_base, backoff_max, max_attempts) values
	('flaky', '$url/first/503/2/flaky', '10 ms', '20 ms', 5), ('no', '$url/status/422/no', '10 ms', '20 ms', 5)");
sql("insert into postrider.subscription (topic, endpoint) values ('order.*', 'flaky'), ('order.*', 'no')");

# From the emit to the end.
my $trace = '4bf92f3577b34da6a3ce929d0e0e4736';
my $id = sql("set postrider.traceparent = '00-$trace-00f067aa0ba902b7-01'; begin; select postrider.emit('order.paid', '{}'); select pg_sleep(0.05); commit");
$id =~ s/\s+\z//;
ok(settled($id), 'a message is delivered to one endpoint and refused by another');
is_deeply([ sort @{ events($id) } ], [ sort 'emitted', 'committed', 'dispatched flaky', 'dispatched no',
		'attempt flaky 1 503', 'attempt flaky 2 503', 'attempt flaky 3 200', 'settled flaky 3 200',
		'attempt no 1 422', 'settled no 1 422', 'dead letter no 1 422' ], 'all that happened');
is_deeply([ @{ events($id) }[ 0, 1 ] ], [ 'emitted', 'committed' ], 'which begins with the emit');
is(sql("select bool_and(at >= before) from (select at, lag(at) over () as before from postrider.timeline('$id')) t"), 't', 'in the order of time');
is(sql("select count(*) from postrider.timeline('$id') where at is null"), 0, 'each with its time');
is(sql("select duration_ms between 45 and 20000 from postrider.timeline('$id') where event = 'committed'"), 't', 'the commit is as late as it was');
is(sql("select bool_and(t.at = a.started_at and t.duration_ms = a.duration_ms) and count(*) = 4 from postrider.timeline('$id') t
	join postrider.endpoint e on e.name = t.endpoint
	join postrider.attempt a on a.message_id = '$id' and a.endpoint_id = e.id and a.attempt = t.attempt where t.event = 'attempt'"), 't', 'attempts are those on record');
is(sql("select bool_and(t.at >= a.started_at + make_interval(secs => a.duration_ms / 1000.0) - interval '1 ms') from postrider.timeline('$id') t
	join postrider.endpoint e on e.name = t.endpoint
	join postrider.attempt a on a.message_id = '$id' and a.endpoint_id = e.id and a.attempt = t.attempt where t.event = 'settled'"), 't', 'and settled after they ended');

# The trace.
my %sent;
for my $request ($receiver->requests)
{
	my ($of, $span, $flags) = $request->{headers}{traceparent} =~ /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
	is("$of $flags", "$trace 01", 'an attempt is in the trace');
	push @{ $sent{ $request->{path} =~ m{/(\w+)$} ? $1 : '' } }, $span;
}
is_deeply([ split /\n/, sql("select span_id from postrider.timeline('$id') where event = 'attempt' and endpoint = 'flaky' order by at") ], $sent{flaky}, 'the timeline knows the span of each attempt');
is(sql("select span_id from postrider.timeline('$id') where event = 'attempt' and endpoint = 'no'"), $sent{no}[0], 'of each endpoint');
is(scalar keys %{ { map { $_ => 1 } map { @$_ } values %sent } }, 4, 'no two have the same');
is(sql("select span_id from postrider.timeline('$id') where event = 'emitted'"), '00f067aa0ba902b7', 'and that of the emitter');
sql("select postrider.retry('$id', 'no')");
ok($receiver->wait_for_count(2, '/status/422/no'), 'a dead letter is tried again');
ok(settled($id), 'in vain');
isnt(($receiver->requests('/status/422/no'))[1]{headers}{traceparent}, ($receiver->requests('/status/422/no'))[0]{headers}{traceparent}, 'its first attempt is another span than the first one');
my $bare = sql("select postrider.emit('order.paid', '{}')");
ok(settled($bare), 'a message without a trace');
is(sql("select count(span_id) from postrider.timeline('$bare')"), 0, 'has no spans');
is(scalar(grep { $_->{headers}{traceparent} } grep { $_->{headers}{'webhook-id'} eq $bare } $receiver->requests), 0, 'nor sends any');

# The trigger of watch, functions and replies carry it on.
sql("create table public.thing (n integer primary key); select postrider.watch('public.thing', 'order.thing')");
sql("begin; set local postrider.traceparent = '00-$trace-1111111111111111-00'; insert into public.thing values (1); commit");
is(sql("select traceparent from postrider.message where topic = 'order.thing'"), "00-$trace-1111111111111111-00", 'a watched change is part of the trace');
ok(wait_for("select count(*) from postrider.attempt a join postrider.message m on m.id = a.message_id where m.topic = 'order.thing' and a.outcome <> 'retry'", 2), 'it is sent');
my ($thing) = grep { $_->{body} =~ /order\.thing/ } $receiver->requests('/status/422/no');
like($thing->{headers}{traceparent}, qr/^00-$trace-[0-9a-f]{16}-00$/, 'with its flags');
sql(q(create function public.follow(m postrider.message) returns void language sql as $$ select postrider.emit('followed.up', '{}') $$;
	select postrider.on_message('order.followed', 'public.follow(postrider.message)')));
sql("insert into postrider.endpoint (name, url, reply_topic) values ('answers', '$url/ok/answers', 'order.answer')");
sql("set postrider.traceparent = '00-$trace-2222222222222222-01'; select postrider.emit('order.followed', '{}'); select postrider.send('answers', '{}')");
for my $made ([ 'followed.up', 'public.follow', 'function that is called for it' ], [ 'order.answer', 'answers', 'response to it' ])
{
	my ($topic, $endpoint, $what) = @$made;
	ok(wait_for("select count(*) from postrider.message where topic = '$topic'", 1), "a $what emits a message");
	is(sql("select m.traceparent from postrider.message m where m.topic = '$topic'"),
		sql("select '00-$trace-' || postrider.span_id(a.message_id, a.endpoint_id, a.started_at) || '-01' from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = '$endpoint'"), 'with the attempt as its parent');
}

# What is no traceparent is as if there were none, and fails no transaction.
for my $bad ('x', '00-00000000000000000000000000000000-00f067aa0ba902b7-01', "00-$trace-0000000000000000-01", "ff-$trace-00f067aa0ba902b7-01",
	"00-" . uc($trace) . "-00f067aa0ba902b7-01", "00-$trace-00f067aa0ba902b7-01-more", "00-$trace-00f067aa0ba902b7-1", "00-$trace-00f067aa0ba902b7-0\r\n")
{
	my ($status, $out, $err) = $node->psql('postgres', "set postrider.traceparent = '$bad'; select postrider.emit('a.b', '{}'); select traceparent is null from postrider.message where topic = 'a.b' order by id desc limit 1", on_error_stop => 1);
	is($status, 0, "no error for $bad" =~ s/[\r\n]//gr);
	like($err, qr/WARNING:  postrider\.traceparent is ignored: it is no traceparent\nHINT:/, 'but a warning');
	like($out, qr/^t$/m, 'and no trace');
}
sql("set postrider.traceparent = 'cc-$trace-3333333333333333-ff'; select postrider.send('answers', '{}')");
ok($receiver->wait_for_count(2, '/ok/answers'), 'a version to come is understood');
like(($receiver->requests('/ok/answers'))[1]{headers}{traceparent}, qr/^00-$trace-[0-9a-f]{16}-01$/, 'and handed on as one that we know');

# What is to come.
sql("insert into postrider.endpoint (name, url, retry_schedule) values ('paused', '$url/ok/paused', null), ('later', '$url/status/503/later', '{1 hour}')");
sql("select postrider.pause('paused')");
my $held = sql("select postrider.send('paused', '{}')");
ok(wait_for("select count(*) from postrider.pending where message_id = '$held'", 1), 'a message for a paused endpoint');
is_deeply(events($held), [ 'emitted', 'committed', 'held paused' ], 'is held');
my $scheduled = sql("select postrider.send('answers', '{}', deliver_at => now() + interval '1 day')");
ok(wait_for("select count(*) from postrider.pending where message_id = '$scheduled'", 1), 'one for tomorrow');
is(sql("select event || (at > now() + interval '23 hours') from postrider.timeline('$scheduled') order by at desc nulls last limit 1"), 'scheduledtrue', 'is scheduled');
my $retried = sql("select postrider.send('later', '{}')");
ok(wait_for("select count(*) from postrider.pending where message_id = '$retried' and reason = 'retry'", 1), 'one that fails');
is(events($retried)->[-1], 'retry later 2', 'will be tried again');
my $nobody = sql("begin; select postrider.emit('nobody.wants', '{}'); select event || coalesce(' ' || detail, '') from postrider.timeline((select id from postrider.message where topic = 'nobody.wants')); commit");
like($nobody, qr/^emitted topic nobody\.wants\ncommitted not yet$/m, 'the transaction itself sees that it is not committed');
sql("select postrider.cancel('$scheduled'); select postrider.erase(key => 'none', reason => 'x') where false");
ok(wait_for("select string_agg(event, ' ') from postrider.timeline('$scheduled') where event = 'settled'", 'settled'), 'what was cancelled is settled');
my $gone = sql("select postrider.send('answers', '{}', key => 'ann')");
ok(settled($gone), 'a message about a person');
sql("select postrider.erase(key => 'ann')");
is(events($gone)->[-1], 'erased', 'is erased');
my ($status, $out, $err) = $node->psql('postgres', "select postrider.timeline('019a0000-0000-7000-8000-000000000000')");
like($err, qr/message "019a.*" is not known\nHINT:  The log is kept for/, 'a message that is not known');

# Who may see what.
sql("create role reader login in role postrider_reader; create role writer login in role postrider_writer;
	create role acme login in role postrider_reader; alter role acme set postrider.tenant = 'acme'");
sql("insert into postrider.endpoint (name, url, tenant, max_attempts) values ('acme.crm', '$url/echo/422', 'acme', 1), ('shared', '$url/ok/shared', null, 1);
	insert into postrider.subscription (topic, endpoint) values ('t.*', 'acme.crm'), ('t.*', 'shared')");
my $ours = sql("select postrider.emit('t.a', '{\"planted\": \"peach\"}', tenant => 'acme')");
ok(settled($ours), 'a message of a tenant');
sql("update postrider.attempt set error = 'it said peach', error_code = 'function' where message_id = '$ours' and outcome = 'dead';
	update postrider.dead_letter set error = 'it said peach', error_code = 'function' where message_id = '$ours'");
like(sql("select string_agg(detail, ' ') from postrider.timeline('$ours')"), qr/peach/, 'who may see payloads sees errors that quote them');
unlike(as('reader', "select string_agg(detail, ' ') from postrider.timeline('$ours')"), qr/peach|ERROR/, 'a reader does not');
like(as('reader', "select string_agg(detail, ' ') from postrider.timeline('$ours')"), qr/function, the error may quote|withheld/i, 'and is told so');
is_deeply([ sort @{ events($ours, 'acme') } ], [ sort 'emitted', 'committed', 'dispatched acme.crm', 'attempt acme.crm 1 422', 'settled acme.crm 1 422', 'dead letter acme.crm 1 422' ], 'a tenant sees its endpoints');
like(as('acme', "select postrider.timeline('$bare')"), qr/is not known/, 'and its messages only');
like(as('writer', "select postrider.timeline('$ours')"), qr/permission denied/, 'who may not read the status may not read this');

# Without commit times the rest is the same; and it stays cheap.
sql("alter system set track_commit_timestamp = off");
$node->restart;
is(sql("select coalesce(at::text, 'null') from postrider.timeline('$id') where event = 'committed'"), 'null', 'without track_commit_timestamp the commit has no time');
like(sql("select detail from postrider.timeline('$id') where event = 'committed'"), qr/^not later than 2\d{3}-.*track_commit_timestamp/, 'but a bound');
is(sql("select count(*) from postrider.timeline('$id') where at is null and event <> 'committed'"), 0, 'all else has one');
sql("update postrider.endpoint set enabled = false; select count(postrider.emit('order.many', '{}')) from generate_series(1, 3000)");
ok(wait_for("select count(*) >= 6000 from postrider.pending where reason = 'held'", 't'), 'thousands of messages more');
sql("vacuum analyze postrider.message; vacuum analyze postrider.attempt; vacuum analyze postrider.pending; vacuum analyze postrider.dead_letter");
my $read = sql("begin; select count(*) from postrider.timeline('$id');
	select sum(seq_tup_read) + sum(idx_tup_fetch) from pg_stat_xact_user_tables where schemaname = 'postrider' and relname ~ '^(message|attempt|pending|dead_letter)'; commit");
cmp_ok((split /\n/, $read)[1], '<', 200, 'no more rows are read than the message has');

done_testing();
