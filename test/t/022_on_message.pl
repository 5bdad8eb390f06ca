# Functions that are called for messages: effect, rights, errors, time, crashes.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = PostriderTest::node('on_message', conf => "restart_after_crash = on\n");
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
sub as { my ($role, $statement) = @_; return sql("set role $role; $statement"); }
sub said_as { my ($role, $statement) = @_; return said("set role $role; $statement"); }
sub wait_for { return PostriderTest::wait_for($node, @_); }

# How the attempts at a message ended: "retry:sql_22012 dead:sql_22012".
sub outcomes
{
	my ($id) = @_;
	return sql("select string_agg(outcome || coalesce(':' || error_code, ''), ' ' order by started_at)
		from postrider.attempt where message_id = '$id'");
}

sub emit { return sql("select postrider.emit('$_[0]', '" . ($_[1] || '{}') . "')"); }

sub ends_as
{
	my ($id, $expected, $what) = @_;
	my ($last) = $expected =~ /(\w+)(?::\w+)?$/;
	wait_for("select count(*) from postrider.attempt where message_id = '$id' and outcome = '$last'", 1);
	is(outcomes($id), $expected, $what);
}

sub worker
{
	return sql("select pid from pg_stat_activity where backend_type = 'postrider worker' and datname = 'postgres'");
}

sql("create role app login; create role other login; create role plain login;
	grant postrider_admin, postrider_writer to app, other;
	create schema shop authorization app; grant usage on schema shop to other;
	grant usage on schema postrider to plain");
as('app', "create table shop.orders (id int primary key, crm_id text, note text);
	create table shop.calls (id bigint generated always as identity, what text, message_id uuid);
	create function shop.note(message postrider.message) returns void language sql
	as 'insert into shop.calls (what, message_id) values (message.payload::text, message.id)'");

# An id that the other system gave comes back to the business row.
sql("insert into postrider.endpoint (name, url, reply_topic) values ('crm', '" . $receiver->url('/made/201/crm') . "', 'crm.made');
	insert into postrider.subscription (topic, endpoint) values ('order.created', 'crm')");
as('app', q{create function shop.write_back(message postrider.message) returns void language plpgsql as $$
	begin
		update shop.orders set crm_id = message.payload #>> '{response,id}', note = current_user
		where id = message.key::int;
		if not found then raise 'no order %', message.key; end if;
	end $$});
is(as('app', "select postrider.on_message('crm.made', 'shop.write_back(postrider.message)')"), 'shop.write_back', 'it is named after the function');
as('app', "insert into shop.orders (id) select generate_series(1, 50);
	select postrider.emit('order.created', jsonb_build_object('n', id), key => id::text) from shop.orders");
ok(wait_for("select count(*) from shop.orders where crm_id is not null and note = 'app'", 50),
	'ids come back to their rows, written by the role that registered the function');
is(sql("select count(distinct crm_id) from shop.orders"), 50, 'each has its own');

# The rest of a registration: several topics, the same again, the end.
as('app', "select postrider.on_message('a.one', 'shop.note(postrider.message)'), postrider.on_message('a.two', 'shop.note(postrider.message)')");
is(sql("select count(*), count(distinct endpoint) from postrider.subscription where topic like 'a.%'"), '2|1', 'two topics share a name');
like(said_as('app', "select postrider.on_message('a.one', 'shop.note(postrider.message)')"), qr/is called for topic a.one already/, 'not twice');
ends_as(emit('a.one', '{"x": 1}'), 'delivered', 'one is called');
ends_as(emit('a.two', '{"x": 2}'), 'delivered', 'two is called');
is(sql("select string_agg(what, ' ' order by id) from shop.calls"), '{"x": 1} {"x": 2}', 'with the payload');
is(sql("select count(*) from shop.calls c join postrider.message m on m.id = c.message_id and m.payload::text = c.what"), 2, 'and the id');
is(as('app', "select postrider.off_message('a.one')"), 1, 'one topic is ended');
is(as('app', "select postrider.off_message(function => 'shop.note(postrider.message)')"), 1, 'the other');
is(sql("select count(*) from postrider.endpoint where name = 'shop.note'"), 0, 'and the endpoint is gone');
like(said_as('app', "select postrider.off_message('a.one')"), qr/NOTICE:  off_message: nothing matches/, 'nothing more to end');
emit('a.one');

# Errors: rolled back, tried again, given up.
as('app', q{create function shop.fails(message postrider.message) returns int language plpgsql as $$
	begin
		insert into shop.calls (what) values ('failing');
		if message.payload ? 'stop' then raise 'not this one' using errcode = 'PR001', hint = 'leave it'; end if;
		return 1 / (message.payload ->> 'n')::int;
	end $$;
	select postrider.on_message('b', 'shop.fails(postrider.message)', max_attempts => 3)});
sql("update postrider.endpoint set backoff_base = '20 ms', backoff_max = '50 ms', breaker_share = null where url like 'function:%'");
my $id = emit('b', '{"n": 0}');
ends_as($id, 'retry:sql_22012 retry:sql_22012 dead:sql_22012', 'an error is tried again, and given up');
like(sql("select error || '|' || response from postrider.dead_letter where message_id = '$id'"),
	qr/^division by zero\|CONTEXT: PL\/pgSQL function shop.fails\(postrider.message\) line 5 at RETURN/, 'the dead letter says why');
is(sql("select count(*) from shop.calls where what = 'failing'"), 0, 'what it had done is undone');
ends_as(emit('b', '{"stop": 1}'), 'dead:sql_PR001', 'PR001 gives up at once');
ends_as(emit('b', '{"n": 1}'), 'delivered', 'another message is not concerned');
as('app', q{create or replace function shop.fails(message postrider.message) returns int language sql as 'select 1'});
is(as('app', "select postrider.retry(message_id => '$id')"), 1, 'the dead one is retried');
ends_as($id, 'retry:sql_22012 retry:sql_22012 dead:sql_22012 delivered', 'with the repaired function it is delivered');

# A constraint that would only be checked at commit counts as an error of the call.
as('app', q{create table shop.parent (id int primary key);
	create table shop.child (id int references shop.parent deferrable initially deferred);
	create function shop.adopt(message postrider.message) returns void language sql as
	'insert into shop.child values (1)';
	select postrider.on_message('c', 'shop.adopt(postrider.message)', max_attempts => 1)});
my $worker = worker();
ends_as(emit('c'), 'dead:sql_23503', 'a deferred constraint is checked within the call');
is(worker(), $worker, 'and the worker is still the same');

# The message is mapped, filtered, paused and held like any other.
sql(q{insert into postrider.mapping (name, definition) values ('short', '{"fields": [{"from": "$.n", "to": "number"}]}')});
as('app', q{select postrider.on_message('d', 'shop.note(postrider.message)', filter => '$.n > 1', mapping => 'short')});
sql("truncate shop.calls; select postrider.pause('shop.note')");
emit('d', "{\"n\": $_}") for 1 .. 3;
ok(wait_for("select count(*) from postrider.pending where reason = 'held'", 2), 'held while it is paused');
sql("select postrider.resume('shop.note')");
ok(wait_for("select string_agg(what, ' ' order by what) from shop.calls", '{"number": 2} {"number": 3}'), 'then called with what the mapping makes');

# Rights
like(said_as('plain', "select postrider.on_message('e', 'shop.note(postrider.message)')"), qr/permission denied/, 'not everybody may register');
as('app', "revoke execute on function shop.note from public");
like(said_as('other', "select postrider.on_message('e', 'shop.note(postrider.message)', name => 'e')"), qr/permission denied for function shop.note.*GRANT EXECUTE/s, 'not without the right to execute it');
like(said_as('other', "insert into postrider.endpoint (name, url, run_as) values ('e', 'function:shop.note(postrider.message)', 'app')"),
	qr/permission denied to have a function run as role "app"/, 'not as somebody else');
like(said_as('other', "update postrider.endpoint set url = 'function:shop.fails(postrider.message)' where name = 'shop.note'"),
	qr/permission denied to have a function run as role "app"/, 'nor by changing what somebody else has registered');
like(said_as('other', "update postrider.endpoint set run_as = 'other' where name = 'shop.note'"), qr/permission denied for function/, 'nor by taking it over');
like(said("select postrider.on_message('e', 'shop.note(postrider.message)', name => 'e')"), qr/a superuser cannot run function .* of role "app"/, 'a superuser does not run the code of others');
like(said_as('app', "insert into postrider.endpoint (name, url) values ('e', 'function:note(postrider.message)')"), qr/does not exist/, 'search_path does not matter');
like(said_as('app', "insert into postrider.endpoint (name, url) values ('e', 'function:shop.orders')"), qr/ERROR/, 'it must be a function');
like(said_as('app', "select postrider.on_message('e', 'pg_catalog.lower(text)')"), qr/cannot be called for a message/, 'that takes a message');
like(said_as('app', "update postrider.endpoint set reply_topic = 'x' where name = 'shop.note'"), qr/reply_topic of endpoint "shop.note" has no meaning for a function/, 'without what is for requests');
like(said("update postrider.endpoint set run_as = 'app' where name = 'crm'"), qr/run_as of endpoint "crm" has no meaning for a URL/, 'and the other way round');
is(as('other', "select postrider.pause('shop.note'), postrider.resume('shop.note')"), '1|1', 'an admin can still pause it');

# The right is looked at again at each call.
as('app', "grant execute on function shop.note to other; grant insert on shop.calls to other; grant usage on schema shop to other");
as('other', "select postrider.on_message('f', 'shop.note(postrider.message)', name => 'f', max_attempts => 2)");
sql("update postrider.endpoint set backoff_base = '20 ms', backoff_max = '50 ms', breaker_share = null where url like 'function:%'");
ends_as(emit('f'), 'delivered', 'with the right');
as('app', "revoke execute on function shop.note from other");
ends_as(emit('f'), 'retry:sql_42501 dead:sql_42501', 'without it');
sql("update postrider.endpoint set run_as = 'plain' where false; drop owned by other; drop role other");
ends_as(emit('f'), 'retry:sql_42704 dead:sql_42704', 'nor without the role');

# What a function must not do.
my %trick = (
	role => ["set role postgres", 'sql_42501'],
	reset => ["reset role", 'sql_42501'],
	session => ["set session authorization default", 'sql_42501'],
	config => ["perform set_config(''role'', ''postgres'', false)", 'sql_42501'],
	temp => ["create temporary table t (a int)", 'sql_42501'],
	prepare => ["execute ''prepare p as select 1''", 'sql_42501'],
	table => ["update postrider.secret set name = name", 'sql_42501'],
	commit => ["commit", 'sql_2D000']);
for my $name (sort keys %trick)
{
	my ($statement, $error) = @{ $trick{$name} };
	as('app', "create function shop.trick_$name(message postrider.message) returns void language plpgsql as '
		begin $statement; end';
		select postrider.on_message('trick.$name', 'shop.trick_$name(postrider.message)', max_attempts => 1)");
	ends_as(emit("trick.$name"), "dead:$error", "not allowed: $statement");
}
as('app', q{create function shop.settings(message postrider.message) returns void language plpgsql as $$
	begin
		insert into shop.calls (what) values (concat_ws(' ', current_user, current_setting('search_path'),
			current_setting('work_mem'), current_setting('enable_seqscan')));
		set search_path = shop; set work_mem = '1MB'; set enable_seqscan = off;
		perform pg_advisory_lock(77);
	end $$;
	truncate shop.calls; select postrider.on_message('settings', 'shop.settings(postrider.message)')});
ends_as(emit('settings'), 'delivered', 'settings may be made') for 1 .. 2;
is(sql("select string_agg(distinct what, '/') from shop.calls"), 'app pg_catalog, pg_temp 4MB on', 'and end with the call');
is(sql("select count(*) from pg_locks where locktype = 'advisory'"), 0, 'as do advisory locks');
is(worker(), $worker, 'the worker is still the same');

# Time: a slow function is cancelled, and the network does not stand still for longer.
as('app', q{create function shop.slow(message postrider.message) returns void language plpgsql as $$
	begin
		insert into shop.calls (what) values ('slow');
		perform pg_sleep(60);
	end $$;
	select postrider.on_message('slow', 'shop.slow(postrider.message)', timeout => '200 ms', max_attempts => 2)});
sql("truncate shop.calls; update postrider.endpoint set backoff_base = '20 ms', backoff_max = '50 ms' where name = 'shop.slow'");
$id = emit('slow');
ends_as($id, 'retry:timeout dead:timeout', 'a slow function is cancelled');
cmp_ok(sql("select max(duration_ms) from postrider.attempt where message_id = '$id'"), '<', 1000, 'in time');
is(sql("select count(*) from shop.calls"), 0, 'without effect');
is(worker(), $worker, 'and the worker is still the same');

# One that catches the cancellation, once and for ever.
as('app', q{create function shop.stubborn(message postrider.message) returns void language plpgsql as $$
	begin
		for i in 1 .. (message.payload ->> 'times')::int loop
			begin
				perform pg_sleep(100);
			exception when query_canceled then null;
			end;
		end loop;
	end $$;
	select postrider.on_message('stubborn', 'shop.stubborn(postrider.message)', timeout => '50 ms', max_attempts => 1)});
ends_as(emit('stubborn', '{"times": 2}'), 'delivered', 'a function may catch its cancellation and end');
is(worker(), $worker, 'the worker is still the same');
$id = emit('stubborn', '{"times": 1000000}');
ok(wait_for("select count(*) from postrider.endpoint where name = 'shop.stubborn' and not enabled", 1), 'one that does not end is disabled');
is(sql("select disabled_reason from postrider.endpoint where name = 'shop.stubborn'"), 'its function does not end when it is cancelled', 'with a reason');
ok(wait_for("select count(*) from postrider.pending where message_id = '$id' and reason = 'held'", 1), 'its message is held');
ends_as(emit('d', '{"n": 5}'), 'delivered', 'and the next worker goes on');
sql("delete from postrider.endpoint where name = 'shop.stubborn'");

# A restart in the middle of a call, and the death of worker and server: each message takes effect once.
as('app', q{create table shop.effects (n int, at timestamptz default clock_timestamp());
	create function shop.effect(message postrider.message) returns void language plpgsql as $$
	begin
		insert into shop.effects (n) values ((message.payload ->> 'n')::int);
		perform pg_sleep((message.payload ->> 'wait')::float);
	end $$;
	select postrider.on_message('effect', 'shop.effect(postrider.message)')});
my $emitted = 0;
sub effect
{
	my ($what, $kill) = @_;
	sql("select postrider.emit('effect', jsonb_build_object('n', i, 'wait', 0.002)) from generate_series($emitted + 1, $emitted + 500) i");
	wait_for("select count(*) > $emitted + 50 from shop.effects", 't');
	cmp_ok(sql("select count(*) from shop.effects"), '<', $emitted + 500, "$what: in the middle");
	$kill->();
	$emitted += 500;
	ok(eval {
		PostriderTest::wait_until(sub {
			my ($status, $out) = $node->psql('postgres', 'select count(*) from shop.effects');
			($out || 0) >= $emitted;
		}, 'all have taken effect', 60);
	}, "$what: no message is lost");
	wait_for("select count(*) from postrider.delivery where topic = 'effect' and status <> 'delivered'", 0);
	is(sql("select count(*), count(distinct n) from shop.effects"), "$emitted|$emitted", "$what: none has taken effect twice");
}
effect('restart', sub { $node->restart });
effect('stop of the worker', sub { sql("select pg_terminate_backend(" . worker() . ")") });
effect('kill of the worker', sub { kill 'KILL', worker(); sleep 1; });
effect('kill of the server', sub { PostriderTest::kill_server($node); $node->start; });
is(sql("select count(*) from (select from postrider.attempt a join postrider.message m on m.id = a.message_id
	where m.topic = 'effect' and a.outcome = 'delivered' group by m.id having count(*) > 1) d"), 0, 'as the attempts say');

# Long calls do not starve requests.
sql("insert into postrider.endpoint (name, url) values ('net', '" . $receiver->url('/net') . "');
	insert into postrider.subscription (topic, endpoint) values ('net', 'net');
	select postrider.emit('effect', jsonb_build_object('n', 0, 'wait', 0.02)) from generate_series(1, 200)");
sql("select count(postrider.emit('net', to_jsonb(i))) from generate_series(1, 500) i");
ok(wait_for("select count(*) from postrider.attempt a join postrider.message m on m.id = a.message_id
	where m.topic = 'net' and outcome = 'delivered'", 500), 'requests go on');
cmp_ok(sql("select count(*) from shop.effects where n = 0"), '<', 200, 'while calls wait');

# What a function emits goes out at once; functions in a chain, too.
as('app', q{create function shop.chain(message postrider.message) returns void language plpgsql as $$
	begin
		if (message.payload ->> 'n')::int > 0 then
			perform postrider.emit('chain', jsonb_build_object('n', (message.payload ->> 'n')::int - 1));
		else
			perform postrider.emit('net', '"from the chain"');
		end if;
	end $$;
	select postrider.on_message('chain', 'shop.chain(postrider.message)')});
$id = emit('chain', '{"n": 20}');
ok(wait_for(q{select count(*) from postrider.attempt a join postrider.message m on m.id = a.message_id
	where m.topic = 'net' and m.payload = '"from the chain"' and outcome = 'delivered'}, 1), 'what a function emits goes on');
cmp_ok(sql(qq{select extract(epoch from max(started_at) - min(started_at)) from postrider.attempt where message_id >= '$id'}), '<', 10, 'without waiting for anything');

# In order by key, through errors and a restart.
as('app', q{create table shop.ordered (key text, n int, at bigint generated always as identity);
	create function shop.in_order(message postrider.message) returns void language plpgsql as $$
	begin
		if random() < 0.2 then raise 'by chance'; end if;
		insert into shop.ordered values (message.key, (message.payload ->> 'n')::int);
	end $$;
	select postrider.on_message('ordered', 'shop.in_order(postrider.message)', max_attempts => 100);
	update postrider.endpoint set ordered = true, backoff_base = '10 ms', backoff_max = '20 ms', breaker_share = null
	where name = 'shop.in_order'});
sql("select postrider.emit('ordered', jsonb_build_object('n', i), key => (i % 10)::text) from generate_series(1, 400) i");
wait_for("select count(*) > 50 from shop.ordered", 't');
$node->restart;
ok(wait_for("select count(*), count(distinct n) from shop.ordered", '400|400'), 'an ordered function gets each once');
is(sql("select count(*) from (select n - lag(n) over (partition by key order by at) as step from shop.ordered) s where step <> 10"), 0, 'in order by key');
like(sql("select string_agg(e::text, ' ') from postrider.explain('$id') e"), qr/shop\.chain.*delivered/, 'explain tells of it');
is(sql("select count(*) from postrider.endpoint_health where endpoint like 'shop.%'"), sql("select count(*) from postrider.endpoint where name like 'shop.%'"), 'and endpoint_health knows them all');

# A dump carries it along.
sql("create database copy");
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-f', $dump, 'postgres' ], 'a dump is made');
my ($status, $out, $err) = $node->psql('copy', slurp_file($dump), on_error_stop => 1);
is($status, 0, 'and restored') or diag($err);
is($node->safe_psql('copy', "select url, run_as from postrider.endpoint where name = 'shop.effect'"),
	'function:shop.effect(postrider.message)|app', 'with the functions and their roles');
$node->safe_psql('copy', "truncate shop.effects; select postrider.send('shop.effect', '{\"n\": 7, \"wait\": 0}')");
ok(eval {
	PostriderTest::wait_until(sub { $node->safe_psql('copy', 'select string_agg(n::text, \' \') from shop.effects') eq '7' }, 'it is called');
}, 'which are called there');

$node->stop;
done_testing();
