# postrider.erase(): what a person's messages held is gone from everywhere when it
# commits, nothing of it is sent after that, and it says what it removed.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use List::Util qw(sum);
use PostriderTest;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = PostriderTest::node('erase', conf => "postrider.workers = 2\nlog_statement = none\nautovacuum = off\n");
my $receiver = PostriderTest::Receiver->start;
my $planted = 'ann.planted@example.com';

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return ($out, $err); }
sub wait_for { return PostriderTest::wait_for($node, @_); }

sub endpoint
{
	my ($name, $path, %columns) = @_;
	my %all = (backoff_base => '1 hour', %columns);
	my @names = sort keys %all;
	sql("insert into postrider.endpoint (" . join(', ', 'name', 'url', @names) . ") values ('$name', '"
		. ($path =~ /^http/ ? $path : $receiver->url($path)) . "'" . join('', map { ", '$all{$_}'" } @names) . ")");
	sql("insert into postrider.subscription (topic, endpoint) values ('$name.**', '$name')");
}

# The person is in payload, key, header and deduplication key.
sub emit
{
	my ($topic, $who, $n, $extra) = @_;
	sql("select postrider.emit('$topic', jsonb_build_object('email', '$who', 'n', n), key => '$who',
		headers => jsonb_build_object('x-person', '$who')" . ($extra || '') . ") from generate_series(1, $n) n");
}

# Everything that this database holds, searched for the person
sub traces
{
	my @found;
	for my $table (split /\n/, sql("select c.oid::regclass from pg_class c where relkind in ('r', 'm') and relnamespace = 'postrider'::regnamespace"))
	{
		my $count = sql("select count(*) from $table t where t::text like '%ann.planted%'");
		push @found, "$table: $count" if $count > 0;
	}
	return join ', ', @found;
}

my $erase = "select what || ' ' || removed from postrider.erase(filter => '\$.email == \"$planted\"')";

# 1. Each place where it can be
endpoint('good', '/ok/good');
endpoint('retried', '/status/503/retried');
endpoint('bad', '/told/bad', response_excerpt_bytes => 200);
$receiver->tell('bad', [ 422, {}, "no such person: $planted" ]);
endpoint('mapped', '/ok/mapped');
endpoint('asked', '/told/asked', reply_topic => 'answer.given');
$receiver->tell('asked', [ 200, { 'Content-Type' => 'application/json' }, qq({"name":"$planted"}) ]);
endpoint('answer', '/ok/answer');
emit($_, $planted, 3) for qw(good.a retried.a bad.a asked.a);
emit($_, 'bob@example.com', 2) for qw(good.a retried.a);
emit('good.later', $planted, 1, ", deliver_at => now() + interval '1 day', dedup_key => '$planted'");
ok(wait_for("select string_agg(status || ' ' || n, ', ' order by status) from (select status, count(*) n from postrider.delivery group by 1) s",
	'dead 3, delivered 11, retrying 5, scheduled 1'), 'messages are delivered, dead, waiting and scheduled');
my $traces = traces();
like($traces, qr/postrider\.$_/, "the person is in $_") for 'attempt_\d+: 3', 'dead_letter: 3', 'deduplication: 1', 'message_\d+: 16', 'pending: 4';
my $before = sql("select count(*) from postrider.message");
my $export = sql("select kind, count(*) from postrider.export_subject(filter => '\$.email == \"$planted\"') group by 1 order by 1");
is($export, "attempt|15\ndead letter|3\ndeduplication key|1\nmessage|16\npending|4", 'export_subject returns all of it');
my ($out, $err) = said($erase);
is($out, "messages 16\nattempts 6\nresponses to batches 0\npending deliveries 4\ndead letters 3\ndeduplication keys 1", 'erase says what it removed');
like($err, qr/NOTICE.*vacuumed.*DETAIL.*backups.*HINT.*VACUUM postrider\.message/s, 'and what it did not');
is(traces(), '', 'nothing is left of the person in any table');
is(sql("select count(*) from postrider.message"), $before, 'that there were messages stays');
is(sql("select count(*) from postrider.message where removed is null and payload ->> 'email' = 'bob\@example.com'"), 4, 'and the others are whole');
is(sql("select count(*) from postrider.pending where reason = 'retry'"), 2, 'and are still owed');
is(sql("select string_agg(status || ' ' || coalesce(key, '-') || ' ' || n, ', ' order by status) from (select status, key, count(*) n from postrider.delivery where removed = 'erased' group by 1, 2) s"),
	'cancelled (erased) 4, dead (erased) 3, delivered (erased) 9', 'delivery says what came of them, and that they are erased');
is(sql("select string_agg(distinct error_code, ',') from postrider.attempt where outcome = 'cancelled'"), 'erased', 'what was owed is cancelled as erased');
my $some = sql("select id from postrider.message where removed = 'erased' and topic = 'bad.a' limit 1");
like(sql("select what || ': ' || detail from postrider.explain('$some')"), qr/^emitted: .*key \(erased\).*^erased: payload/ms, 'explain says so');
is(sql("select messages, attempts, pending, dead_letters, deduplication_keys, erased_by from postrider.erasure"), '16|6|4|3|1|postgres', 'an auditor finds it, without the person');
($out, $err) = said($erase);
is($out, "messages 0\nattempts 0\nresponses to batches 0\npending deliveries 0\ndead letters 0\ndeduplication keys 0", 'a second time there is nothing');
like($err, qr/NOTICE:  erase: nothing matches/, 'which is said');

# 2. Neither retry nor replay bring it back
like((said("select postrider.retry('$some')"))[1], qr/ERROR:  message "$some" cannot be tried again: its data was removed/, 'retry refuses');
my $sent = $receiver->count;
($out, $err) = said("select postrider.replay('good', now() - interval '1 hour', topic => 'good.**')");
is($out, 2, 'replay leaves them out');
like($err, qr/16 messages of that time are left out/, 'and says so');
ok($receiver->wait_for_count($sent + 2), 'the others are sent again');
like((said("select postrider.erase()"))[1], qr/ERROR:  erase needs a key or a filter/, 'no erase of everything');
like((said("begin isolation level repeatable read; select postrider.erase('x')"))[1], qr/ERROR:  cannot run erase in a transaction that is repeatable read/, 'nor blindly');
like((said("begin; select * from postrider.erase('nobody'); prepare transaction 'x'"))[1], qr/ERROR:  cannot PREPARE/, 'nor prepared');

# 3. What workers have in memory: queued behind a slow receiver, deferred, spilled,
# behind a head of their key, in batches, for a function.  Afterwards nothing arrives.
endpoint('slow', '/slow/300/slow', max_in_flight => 2);
endpoint('ordered', '/slow/300/ordered', ordered => 'true', max_in_flight => 2);
endpoint('coalesced', '/slow/300/coalesced', coalesce => 'true');
endpoint('batched', '/slow/300/batched', batch_size => 10, batch_format => 'json-array', batch_delay => '1 s', max_in_flight => 1);
sql("create table called (payload jsonb); create function take(m postrider.message) returns void language sql as 'select pg_sleep(0.05); insert into public.called values (m.payload)'");
sql("select postrider.on_message('func.**', 'take(postrider.message)')");
for my $round (1 .. 3)
{
	for my $topic (qw(slow.a ordered.a coalesced.a batched.a func.a))
	{
		my $many = $topic =~ /slow|batched/ ? 3000 : 60;
		emit($topic, $planted, $many);
		emit($topic, 'bob@example.com', 5);
	}
	ok($receiver->wait_for_count(1, '/slow/300/slow'), "round $round: requests are under way");
	sleep 0.3 * $round;
	my $result = sql($erase);
	my $over = time;
	like($result, qr/^messages [1-9]/, 'erased while there is much in flight');
	is(traces(), '', 'nothing is left in the tables');
	ok(wait_for("select count(*) from postrider.delivery where status in ('queued', 'retrying', 'scheduled', 'held') and endpoint <> 'retried'", 0),
		'what is left is done');
	# Workers that turn without end would take all that they are given of a processor: even
	# between ten others that shows in three seconds.
	my @workers = split /\n/, sql('select pid from postrider.worker');
	my $used = -sum(map { PostriderTest::cpu_seconds($_) } @workers);
	sleep 3;
	$used += sum(map { PostriderTest::cpu_seconds($_) } @workers);
	cmp_ok($used, '<', 0.3 * $PostriderTest::patience, "the workers wait ($used s of a processor in 3 s)");
	my @late = grep { $_->{time} > $over && "$_->{body} @{[ %{ $_->{headers} } ]}" =~ /ann\.planted/ } $receiver->requests;
	is(scalar(@late), 0, 'no request was made with it after the commit');
	is(traces(), '', 'and no result has brought it back');
	sql("delete from called");
}
is(sql("select count(*) from postrider.message m where removed is null and topic ~ '^(slow|ordered|batched|func)' and payload ->> 'email' like 'bob%'
	and not exists (select from postrider.attempt a where a.message_id = m.id and a.outcome = 'delivered')"), 0, 'the messages of others were delivered');
is(sql("select count(*) from postrider.worker where last_error is not null"), 0, 'no worker had an error');

# 4. A receiver that nobody has an answer from yet: a connection that is not made
# carries nothing, and one whose request is on the wire is not repeated.
my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64) or die;
endpoint('deaf', 'http://127.0.0.1:' . $deaf->sockport . '/', timeout => '2 s', backoff_base => '1 s', max_attempts => 5);
emit('deaf.a', $planted, 3);
ok(wait_for("select sum(in_flight) from postrider.worker", 3), 'requests hang');
sql($erase);
ok(wait_for("select sum(in_flight) from postrider.worker", 0), 'they end by their time-out');
ok(wait_for("select count(*) from postrider.delivery where endpoint = 'deaf' and status = 'cancelled' and attempts = 1", 3), 'and are cancelled, not repeated');
is(sql("select count(*) from postrider.pending p join postrider.endpoint e on e.id = p.endpoint_id and e.name = 'deaf'"), 0, 'nothing is owed');
is(sql("select count(*) from postrider.dead_letter where topic = 'deaf.a'"), 0, 'nor a dead letter');
close $deaf;

# 5. A worker that is killed, and erase while none runs
endpoint('later', '/slow/500/later', max_in_flight => 2);
emit('later.a', $planted, 300);
ok($receiver->wait_for_count(1, '/slow/500/later'), 'requests are under way');
PostriderTest::kill_server($node);
my $until = time;
$node->append_conf('postgresql.conf', "postrider.workers = 1\n");
$node->start;
sql($erase);
my $over = time;
ok(wait_for("select count(*) from postrider.delivery where endpoint = 'later' and status not in ('cancelled', 'delivered')", 0), 'after a crash all are cancelled');
is(scalar(grep { $_->{time} > $over } $receiver->requests('/slow/500/later')), 0, 'nothing was sent after the erase');
is(traces(), '', 'and nothing was brought back');

# 6. An ordered key that a dead message of the person blocks
endpoint('blocked', '/told/blocked', ordered => 'true', on_dead => 'block');
$receiver->tell('blocked', [ 422, {}, '' ]);
sql("select postrider.emit('blocked.a', '{\"email\": \"$planted\"}', key => 'k')");
ok(wait_for("select count(*) from postrider.dead_letter where topic = 'blocked.a'", 1), 'the first one is dead');
sql("select postrider.emit('blocked.a', '{\"n\": 2}', key => 'k')");
ok(wait_for("select status from postrider.delivery where endpoint = 'blocked' and status <> 'dead'", 'queued'), 'and blocks the next');
$receiver->tell('blocked', [ 200, {}, '' ]);
sql($erase);
ok(wait_for("select count(*) from postrider.delivery where endpoint = 'blocked' and status = 'delivered'", 1), 'erased, it blocks nobody');

# 7. A batch: its response is kept with each message of it
endpoint('club', '/told/club', batch_size => 2, batch_format => 'json-array', batch_delay => '2 s', response_excerpt_bytes => 200);
$receiver->tell('club', map { [ 503, {}, "do not know $planted" ] } 1 .. 3);
sql("select postrider.emit('club.a', jsonb_build_object('email', e)) from unnest(array['$planted', 'bob\@example.com']) e");
ok(wait_for("select count(*) from postrider.attempt a join postrider.message m on m.id = a.message_id where m.topic = 'club.a' and response is not null", 2), 'a batch failed');
like(sql($erase), qr/responses to batches 1/, 'erase takes the response from the other message too');
is(traces(), '', 'nothing is left');

# 8. A message that commits later, and messages of which the log knows nothing
my $open = $node->background_psql('postgres', on_error_stop => 0);
$open->query_safe("begin; select postrider.emit('good.late', '{\"email\": \"$planted\"}')");
sql($erase);
$open->query_safe('commit');
$open->quit;
like((said($erase))[0], qr/^messages 1$/m, 'a second erase finds what was committed later');
emit('retried.a', $planted, 1);
ok(wait_for("select count(*) from postrider.pending where reason = 'retry' and key = '$planted'", 1), 'one waits');
sql("update postrider.pending p set topic = m.topic, payload = m.payload, headers = m.headers from postrider.message m where m.id = p.message_id and p.key = '$planted'; delete from postrider.message where key = '$planted'");
like((said($erase))[0], qr/^messages 0\n.*pending deliveries 1$/ms, 'a delivery that has outlived the log is found as well');
is(traces(), '', 'nothing is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/ann\.planted/, 'the log of the server never named the person');
done_testing();
