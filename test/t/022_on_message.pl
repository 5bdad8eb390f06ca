# Functions in the database that are called with messages.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('on_message');
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->reload;
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
sub wait_for { return PostriderTest::wait_for($node, @_); }
sub dead { return "select count(*) from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = '$_[0]'"; }

# The id that the other system gave is written back to the row.
sql(<<'SQL');
create role shopkeeper login;
grant postrider_admin to shopkeeper;
grant insert, update, delete, select on postrider.endpoint, postrider.subscription to shopkeeper;
create schema shop authorization shopkeeper;
grant create on schema public to shopkeeper;
set role shopkeeper;
create table shop.customer (id integer primary key, email text, crm_id text, seen integer default 0);
create table shop.log (what text, at timestamptz default clock_timestamp());
create function shop.remember(message postrider.message) returns void language sql as $$
	update shop.customer set crm_id = message.payload #>> '{response,id}', seen = seen + 1 where id = message.key::integer
$$;
SQL
sql("insert into postrider.endpoint (name, url, reply_topic) values ('crm', '" . $receiver->url('/made/201/crm') . "', 'crm.reply')");
sql("insert into postrider.subscription (topic, endpoint) values ('customer.insert', 'crm')");
is(sql("set role shopkeeper; select postrider.on_message('crm.reply', 'shop.remember(postrider.message)')"), 'shop.remember', 'a function is registered');
sql(q(select postrider.watch('shop.customer', 'customer.insert', '{insert}', key_columns => '{id}'); insert into shop.customer select n, 'p' || n from generate_series(1, 200) n));
ok(wait_for("select count(*) from shop.customer where crm_id like 'crm-%'", 200), 'the id of the other system is in each row');
is(sql('select min(seen)::text || max(seen) from shop.customer'), '11', 'once');
ok(wait_for("select count(*) from postrider.delivery where endpoint = 'shop.remember' and status = 'delivered'", 200), 'deliveries are on record');
is(sql("select distinct outcome || attempt || coalesce(error, '') from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'shop.remember'"), 'delivered1', 'as delivered');

# What the message is, and as whom the function runs
sql(<<'SQL');
set role shopkeeper;
create function shop.note(message postrider.message) returns void language plpgsql as $$
begin
	insert into shop.log (what) values (concat_ws('|', message.topic, message.key, message.tenant, message.payload, message.priority, current_user, message.id is not null));
end $$;
SQL
sql("set role shopkeeper; select postrider.on_message('note.*', 'shop.note(postrider.message)', name => 'noter', filter => '\$.n > 1')");
sql(q(select postrider.emit('note.a', '{"n": 1}', key => 'k'), postrider.emit('note.b', '{"n": 2, "x": "é"}', key => 'k', tenant => 't', priority => 'high')));
ok(wait_for('select count(*) from shop.log', 1), 'the filter holds');
is(sql('select what from shop.log'), 'note.b|k|t|{"n": 2, "x": "é"}|2|shopkeeper|t', 'the message, and the role');

# Errors: retried, then dead; nothing of a failed call stays
sql(<<'SQL');
set role shopkeeper;
create table shop.try (id uuid, n integer);
create sequence shop.tries;
create function shop.fail(message postrider.message) returns void language plpgsql as $$
begin
	insert into shop.try values (message.id, 1);
	if nextval('shop.tries') < (message.payload ->> 'succeed_at')::integer then
		raise exception 'not yet, said the function';
	end if;
end $$;
create function shop.late(message postrider.message) returns void language plpgsql as $$
begin insert into shop.child values (message.key::integer); end $$;
create table shop.parent (id integer primary key);
create table shop.child (id integer references shop.parent deferrable initially deferred);
select postrider.on_message('fail', 'shop.fail(postrider.message)', name => 'failing', max_attempts => 4);
select postrider.on_message('late', 'shop.late(postrider.message)', name => 'late', max_attempts => 1);
SQL
sql("update postrider.endpoint set backoff_base = '10 ms', backoff_max = '20 ms' where name = 'failing'");
sql(q(select postrider.emit('fail', '{"succeed_at": 3}')));
ok(wait_for('select count(*) from shop.try', 1), 'an error is tried again until it goes well');
is(sql("select string_agg(outcome, ',' order by attempt) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'failing'"), 'retry,retry,delivered', 'attempts');
like(sql("select min(error_code || ' ' || error) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'failing' and outcome = 'retry'"),
	qr/^function P0001: not yet, said the function; PL\/pgSQL function shop\.fail/, 'with what the function said');
sql(q(select postrider.emit('fail', '{"succeed_at": 1000}')));
ok(wait_for(dead('failing'), 1), 'or is a dead letter in the end');
is(sql('select count(*) from shop.try'), 1, 'nothing of the failed calls stays');
sql('create or replace function shop.fail(message postrider.message) returns void language sql as $$ insert into shop.try values (message.id, 2) $$');
is(sql("select postrider.retry(endpoint => 'failing')"), 1, 'a dead letter can be tried again');
ok(wait_for('select count(*) from shop.try where n = 2', 1), 'and goes well with a better function');
sql(q(select postrider.emit('late', '{}', key => '7')));
ok(wait_for(dead('late'), 1), 'a deferred constraint fails the call, not the worker');
is(sql('select count(*) from shop.child'), 0, 'nothing of it stays');

# A slow function, one that would be somebody else, one that is not to be executed any more
sql(<<'SQL');
set role shopkeeper;
create function shop.slow(message postrider.message) returns void language sql as $$ select pg_sleep(30) $$;
create function shop.sneak(message postrider.message) returns void language plpgsql as $$ begin set role postgres; end $$;
create function shop.reset(message postrider.message) returns void language plpgsql as $$ begin reset session authorization; perform pg_read_file('PG_VERSION'); end $$;
select postrider.on_message('slow', 'shop.slow(postrider.message)', name => 'slow', max_attempts => 1, timeout => '200 ms');
select postrider.on_message('sneak', 'shop.sneak(postrider.message)', name => 'sneak', max_attempts => 1);
select postrider.on_message('reset', 'shop.reset(postrider.message)', name => 'reset', max_attempts => 1);
SQL
my $worker = sql("select pid from postrider.worker");
sql(q(select postrider.emit('slow', '{}'), postrider.emit('sneak', '{}'), postrider.emit('reset', '{}')));
for my $name (qw(slow sneak reset)) { ok(wait_for(dead($name), 1), "$name is stopped"); }
is(sql("select error_code || ': ' || error from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = 'slow'"), 'timeout: the function took longer than 200 ms, or was cancelled', 'by its time-out');
like(sql("select error from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = 'sneak'"), qr/cannot set parameter "role" within security-(restricted operation|definer function)/, 'by its restriction');
like(sql("select error from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = 'reset'"), qr/cannot set parameter|permission denied/, 'likewise');
is(sql("select pid from postrider.worker"), $worker, 'the worker lives');
sql('revoke execute on function shop.note(postrider.message) from public, shopkeeper; alter function shop.note(postrider.message) owner to postgres');
sql("update postrider.endpoint set max_attempts = 1 where name = 'noter'");
sql(q(select postrider.emit('note.c', '{"n": 5}')));
ok(wait_for(dead('noter'), 1), 'a right that was taken away counts');
like(sql("select error from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = 'noter'"), qr/permission denied for function note/, 'and is the reason');

# Who may register what
like(said("set role shopkeeper; update postrider.endpoint set run_as = 'postgres' where name = 'late'"), qr/cannot be called as role "postgres"/, 'nobody can register a function as somebody else');
like(said("set role shopkeeper; insert into postrider.endpoint (name, url, function, run_as) values ('evil', 'function:x', 'shop.late', 'postgres')"), qr/cannot be called as role "postgres"/, 'by an insert neither');
like(said("select postrider.on_message('a', 'pg_sleep(float8)')"), qr/does not take a message\nHINT:  It needs one argument/, 'a function of another kind is refused');
like(said("select postrider.on_message('a', 'shop.late(postrider.message)', timeout => '1 minute')"), qr/must be at most 10 seconds for a function/, 'so is a long time-out');
like(said("insert into postrider.endpoint (name, url, function, run_as) values ('no', 'function:x', 'shop.unknown', 'postgres')"), qr/function shop\.unknown\(postrider\.message\) of endpoint "no" does not exist\nHINT:  Make one/, 'and one that is not there');

# Exactly once, through crashes
sql(<<'SQL');
set role shopkeeper;
create table shop.ledger (id uuid, n integer);
create function shop.book(message postrider.message) returns void language sql as $$ insert into shop.ledger values (message.id, (message.payload ->> 'n')::integer) $$;
select postrider.on_message('book', 'shop.book(postrider.message)', name => 'book', ordered => true);
SQL
sql("select count(postrider.emit('book', jsonb_build_object('n', n), key => 'k' || n % 10)) from generate_series(1, 2000) n");
for my $round (1 .. 4)
{
	sleep 0.3;
	my $pid = $node->safe_psql('postgres', 'select min(pid) from postrider.worker');
	kill 'KILL', $pid if $pid;
	$node->poll_query_until('postgres', "select count(*) > 0 from postrider.worker where state = 'running'");
	sql("select count(postrider.emit('book', jsonb_build_object('n', n), key => 'k' || n % 10)) from generate_series(2000 + ($round - 1) * 500 + 1, 2000 + $round * 500) n");
}
ok(wait_for('select count(*) from shop.ledger', 4000), '4,000 messages and four crashes');
sleep 0.5;
is(sql('select count(*) || \' \' || count(distinct id) from shop.ledger'), '4000 4000', 'each has its effect exactly once');
is(sql("select count(*) from (select n < lag(n) over (partition by n % 10 order by ctid) as wrong from shop.ledger) x where wrong"), 0, 'in order');

# The end
is(sql("select postrider.off_message('book')"), 't', 'off_message ends it');
sql(q(select postrider.emit('book', '{"n": 0}')));
sleep 0.3;
is(sql('select count(*) from shop.ledger'), 4000, 'and it is not called any more');
like(said("select postrider.off_message('crm')"), qr/NOTICE:  no function is registered as "crm"/, 'an endpoint that is no function is left alone');

$receiver->down;
done_testing();
