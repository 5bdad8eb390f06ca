# Code of others that the extension comes to run: casts and functions in types of watched
# tables, conditions, constraints, functions for messages.  It runs as who would run it without
# us: never as the owner of the extension.  And nobody can put code on our own tables.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = PostriderTest::node('code');
my $receiver = PostriderTest::Receiver->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
sub as { my ($role, $statement) = @_; return sql("set role $role; $statement"); }
sub refuses { my ($role, $statement, $what) = @_; like(said("set role $role; $statement"), qr/permission denied|must be owner|must be superuser|cannot inherit from partitioned table|there is no primary key/, $what); }
my $seen = 0;
sub ran
{
	my $log = slurp_file($node->logfile);
	my $new = substr($log, $seen);
	$seen = length $log;
	my %lines = map { $_ => 1 } $new =~ /HOSTILE (\S.* as \S+)/g;
	return join ', ', sort keys %lines;
}

sql("create role mallory; grant postrider_admin, postrider_writer to mallory; create role victim; grant postrider_writer to victim;
	create role reader; grant postrider_reader to reader;
	create schema evil authorization mallory; grant usage, create on schema evil to public");
as('mallory', q{create function evil.note(what text) returns void language plpgsql as
	$$ begin raise log 'HOSTILE % as %', what, current_user; end $$});

# Our own tables
for my $role (qw(mallory victim reader))
{
	for my $table (qw(message attempt pending dead_letter endpoint subscription secret topic mapping deduplication))
	{
		as('mallory', q{create or replace function evil.fires() returns trigger language plpgsql as $$ begin perform evil.note('trigger'); return new; end $$});
		refuses($role, "create trigger fires before insert on postrider.$table for each row execute function evil.fires()", "$role puts no trigger on $table");
		next if $role ne 'mallory';
		refuses($role, "create rule fires as on insert to postrider.$table do also select evil.note('rule')", "nor a rule");
		refuses($role, "create policy fires on postrider.$table using (evil.note('policy') is not null)", "nor a policy");
		refuses($role, "create index on postrider.$table ((evil.note('index')))", "nor an index");
		refuses($role, "alter table postrider.$table add check (evil.note('check') is null)", "nor a constraint");
		refuses($role, "create table evil.child () inherits (postrider.$table)", "nor a child");
		refuses($role, "alter table postrider.$table disable trigger all", "nor takes triggers away");
		refuses($role, "create table evil.referring (x text references postrider.$table)", "nor a foreign key");
	}
	refuses($role, 'create function postrider.now() returns int language sql as \'select 1\'', "$role puts no function into the schema");
	refuses($role, 'alter function postrider.emit reset all', "$role alters no function");
	refuses($role, 'create table postrider.x ()', "$role puts no table there");
	refuses($role, 'drop extension postrider', "$role drops nothing");
	refuses($role, q{comment on table postrider.message is 'x'}, "$role says nothing");
}
sql('create table evil.partition (like postrider.message including defaults); alter table evil.partition owner to mallory');
refuses('mallory', q{alter table postrider.message attach partition evil.partition for values from ('00000000-0000-0000-0000-000000000000') to ('00000000-0000-0000-0000-000000000001')}, 'a table of others becomes no partition');

# Watched tables: code in their types runs as who writes to them.
as('mallory', q{
	create type evil.pair as range (subtype = int4);
	create function evil.pair_json(evil.pair) returns json language plpgsql as $$ begin perform evil.note('cast'); return '{"a": 1}'; end $$;
	create cast (evil.pair as json) with function evil.pair_json(evil.pair);
	create domain evil.checked as text check (evil.note('domain') is not null);
	create function evil.generated(int) returns int language plpgsql immutable as $$ begin perform evil.note('generated'); return 1; end $$;
	create function evil.says(int) returns boolean language plpgsql as $$ begin perform evil.note('condition'); return true; end $$;
	create function evil.defaulted() returns int language plpgsql as $$ begin perform evil.note('default'); return 1; end $$;
	create function evil.visible() returns boolean language plpgsql as $$ begin perform evil.note('policy'); return true; end $$;
	create table evil.watched (id int primary key, p evil.pair, c evil.checked, d int default evil.defaulted(), g int generated always as (evil.generated(id)) stored);
	create policy p on evil.watched using (evil.visible()) with check (evil.visible());
	alter table evil.watched enable row level security;
	grant all on evil.watched to victim;
	select postrider.watch('evil.watched', 'evil.row', condition => 'evil.says(1)', operations => '{insert,update}')});
ran();
as('victim', "insert into evil.watched (id, p, c) values (1, '[1,2]', 'x')");
is(ran(), 'cast as victim, condition as victim, default as victim, domain as victim, generated as victim, policy as victim', 'code in a watched table runs as who writes to it');
is(sql(q{select payload #>> '{record,p,a}' from postrider.message where topic = 'evil.row'}), 1, 'and what it says is in the message');
as('mallory', q{create table evil.statement (id int primary key, p evil.pair); grant all on evil.statement to victim; select postrider.watch('evil.statement', 'evil.statement')});
as('victim', "insert into evil.statement values (1, '[1,2]'), (2, '[1,2]'); update evil.statement set p = '[2,3]'");
is(ran(), 'cast as victim', 'in statement triggers, too');
as('victim', q{begin; insert into evil.watched (id, p, c) values (2, '[1,2]', 'x'); prepare transaction 'x'}), sql(q{commit prepared 'x'});
is(ran() =~ s/\w+ as victim(, )?//gr, '', 'and with two phases');

# The cast writes to the same table, and changes it, while it is captured.
as('mallory', q{create type evil.twist as range (subtype = int4);
	create table evil.twisted (id int primary key, first text, p evil.twist, last text);
	create function evil.twist_json(evil.twist) returns json language plpgsql as $$
	begin
		if lower($1) < 20 then
			execute format('grant %s on evil.twisted to victim', case when lower($1) % 2 = 0 then 'select' else 'insert' end);
			execute format('revoke %s on evil.twisted from victim', case when lower($1) % 2 = 0 then 'select' else 'insert' end);
			insert into evil.twisted values (lower($1) + 1, repeat('f', 100), evil.twist(lower($1) + 1, null), repeat('l', 100));
		end if;
		return json_build_object('a', lower($1));
	end $$;
	create cast (evil.twist as json) with function evil.twist_json(evil.twist);
	select postrider.watch('evil.twisted', 'evil.twisted')});
as('mallory', q{insert into evil.twisted values (1, repeat('f', 100), '[1,)', repeat('l', 100))});
is(sql(q{select count(*) || ' ' || bool_and(payload #>> '{record,first}' = repeat('f', 100) and payload #>> '{record,last}' = repeat('l', 100) and payload #>> '{record,p,a}' = payload #>> '{record,id}')
	from postrider.message where topic = 'evil.twisted'}), '20 true', 'a cast that changes and writes to the table that is captured does no harm');
as('mallory', q{select postrider.unwatch('evil.twisted'); select postrider.watch('evil.twisted', 'evil.twisted', condition => 'true')});
as('mallory', q{truncate evil.twisted; insert into evil.twisted values (1, repeat('f', 100), '[1,)', repeat('l', 100))});
is(sql(q{select count(*) from postrider.message where topic = 'evil.twisted' and payload ->> 'operation' = 'insert'}), 40, 'row by row, too');

# Who may watch what
as('victim', 'create table evil.mine (id int primary key)');
like(said(q{set role mallory; select postrider.watch('evil.mine')}), qr/permission denied|must be owner|may watch/, 'a table of another is not watched');
refuses('mallory', q{create trigger t after insert on evil.mine for each row execute function postrider.capture('a.b', '{}', '{}')}, 'by a trigger of one\'s own neither');
like(said(q{set role mallory; select postrider.watch('evil.statement', 'evil.x', condition => 'true) execute function evil.fires(); select (1')}), qr/does not compile/, 'a condition is one expression');
like(said(q{set role mallory; select postrider.watch('postrider.message')}), qr/cannot watch system table/, 'our tables are not watched');
like(said(q{set role mallory; select postrider.watch('pg_catalog.pg_authid')}), qr/cannot watch system table/, 'nor catalogs');

# Functions for messages
my %mine;
sub calls
{
	my ($name, $body, %options) = @_;
	my $language = $options{language} // 'plpgsql';
	as('mallory', "create or replace function evil.$name(message postrider.message) returns void language $language $options{more} as \$\$ $body \$\$;
		select postrider.on_message('evil.$name', 'evil.$name(postrider.message)', max_attempts => 1)");
	my $id = sql("select postrider.emit('evil.$name', '{\"n\": 1}')");
	PostriderTest::wait_for($node, "select count(*) > 0 from postrider.attempt where message_id = '$id'", 't');
	return sql("select concat_ws(' ', outcome, error_code) from postrider.attempt where message_id = '$id'");
}
ran();
is(calls('plain', q{begin perform evil.note('plain'); end}, more => ''), 'delivered', 'a function is called');
like(ran(), qr/plain as mallory/, 'as the role that registered it');
unlike(ran(), qr/as postgres/, 'and no other');
for my $escape ('set role postgres', 'set session authorization postgres', 'reset role', 'reset session authorization', 'set session authorization default', 'set role none',
	q{perform set_config('role', 'postgres', false)}, q{perform set_config('session_authorization', 'postgres', true)})
{
	my $name = 'escape_' . ++$mine{n};
	my $result = calls($name, "begin $escape; perform evil.note('escaped'); end", more => '');
	like($result, qr/^dead sql_(42501|0A000|25001|22023)/, "no way out: $escape");
	unlike(ran(), qr/escaped as postgres/, '... as nobody else');
}
like(calls('escape_caught', q{begin begin set role postgres; exception when others then null; end; begin execute 'reset role'; exception when others then null; end; perform evil.note('caught'); end}, more => ''), qr/^delivered/, 'an attempt that is caught');
is(ran(), 'caught as mallory', 'changes nothing');
is(calls('escape_definer', q{begin perform evil.note('definer'); end}, more => 'security definer'), 'delivered', 'a function that runs as its owner');
is(ran(), 'definer as mallory', 'runs as its owner');

# What one call leaves behind does not reach the next, nor the worker.
is(calls('leaves', q{begin
	set search_path = evil, pg_catalog; perform set_config('postrider.traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', false);
	perform set_config('statement_timeout', '1', false); perform set_config('enable_indexscan', 'off', false); perform set_config('evil.x', 'left', false); perform set_config('row_security', 'off', false);
	perform set_config('default_transaction_read_only', 'on', false); perform set_config('transaction_read_only', 'on', true);
	perform pg_advisory_lock(4711); end}, more => ''), 'delivered', 'settings and locks');
is(sql("select count(*) from pg_locks where locktype = 'advisory'"), 0, 'a lock ends with the call');
is(calls('finds', q{begin perform evil.note(concat_ws(' ', current_setting('search_path'), current_setting('statement_timeout'), nullif(current_setting('evil.x', true), ''), current_setting('row_security'), current_setting('transaction_read_only'), nullif(current_setting('postrider.traceparent'), ''))); end}, more => ''), 'delivered', 'the next call');
is(ran(), 'pg_catalog, pg_temp 0 on off as mallory', 'finds none of them');
like(calls('temp', 'begin create temp table message (id int); end', more => ''), qr/^dead sql_42501/, 'no temporary table');
like(calls('listens', 'begin listen evil; end', more => ''), qr/^dead/, 'no LISTEN');
like(calls('prepares', q{begin execute 'prepare p as select 1'; end}, more => ''), qr/^dead/, 'no prepared statement');
like(calls('commits', 'begin commit; end', more => ''), qr/^dead/, 'no end of the transaction');
is(calls('read', q{begin perform count(ciphertext) from postrider.secret_version; end}, more => ''), 'dead sql_42501', 'it reads nothing that its role may not');
is(sql("select count(*) from postrider.worker where state = 'running' and last_error is not null"), 0, 'the worker has come to no harm');

# A function that somebody else owns
as('victim', q{create function evil.theirs(message postrider.message) returns void language sql as 'select'; revoke all on function evil.theirs from public});
like(said(q{set role mallory; select postrider.on_message('a.b', 'evil.theirs(postrider.message)')}), qr/permission denied for function/, 'a function is called only by a role that may');
like(said(q{set role mallory; insert into postrider.endpoint (name, url, run_as) values ('x', 'function:evil.plain(postrider.message)', 'postgres')}), qr/permission denied to have a function run as role "postgres"/, 'as oneself');
like(said(q{set role mallory; update postrider.endpoint set run_as = 'victim' where name = 'evil.plain'}), qr/permission denied to have a function run as role "victim"/, 'always');
like(said(q{select postrider.on_message('a.b', 'evil.plain(postrider.message)', name => 'super')}), qr/superuser cannot run function/, 'a superuser does not lend himself');
# Whoever takes over an endpoint of another cannot have other code run as that one.
as('victim', q{create function evil.good(message postrider.message) returns void language plpgsql as $$ begin raise log 'HOSTILE good as %', current_user; end $$});
sql("grant postrider_admin to victim");
as('victim', q{select postrider.on_message('good.one', 'evil.good(postrider.message)')});
like(said(q{set role mallory; update postrider.endpoint set url = 'function:evil.plain(postrider.message)' where name = 'evil.good'}), qr/permission denied to have a function run as role "victim"/, 'another function is not run as its role');

# Constraints with is_valid, by everybody
as('mallory', q{create table evil.valid (doc jsonb check (postrider.is_valid(doc, '{"type": "object", "required": ["a"]}')))});
like(said(q{set role mallory; insert into evil.valid values ('{}')}), qr/violates check constraint/, 'is_valid() in a constraint');
$node->stop('fast');
done_testing();
