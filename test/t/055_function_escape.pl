# A function that is called for messages runs as the role that registered it, and so does
# everything that it sets in motion.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('escape');

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub as { my ($role, $statement) = @_; return sql("set role $role; $statement"); }
sub wait_for { return PostriderTest::wait_for($node, @_); }

sub ends_as
{
	my ($topic, $expected, $what) = @_;
	my $id = sql("select postrider.emit('$topic', '{}')");
	wait_for("select count(*) from postrider.attempt where message_id = '$id'", 1);
	is(sql("select string_agg(outcome || coalesce(':' || error_code, ''), ' ') from postrider.attempt where message_id = '$id'"),
		$expected, $what);
}

# Every piece of hostile code notes as whom it runs.
sql("create role mallory login; grant postrider_admin, postrider_writer to mallory;
	create schema evil authorization mallory");
as('mallory', q{
	create table evil.ran (what text, who text, session text);
	grant insert on evil.ran to public; grant usage on schema evil to public;
	create function evil.note(what text) returns void language sql as
		'insert into evil.ran values (what, current_user, session_user)';
	create function evil.fires() returns trigger language plpgsql as
		$$ begin perform evil.note(tg_argv[0]); return null; end $$;
	create table evil.immediate (a int);
	create constraint trigger fires after insert on evil.immediate deferrable initially immediate
		for each row execute function evil.fires('immediate');
	create table evil.deferred (a int);
	create constraint trigger fires after insert on evil.deferred deferrable initially deferred
		for each row execute function evil.fires('deferred')});

sub register
{
	my ($name, $body) = @_;
	as('mallory', "create function evil.$name(message postrider.message) returns void language plpgsql as \$\$
		begin $body end \$\$; select postrider.on_message('$name', 'evil.$name(postrider.message)', max_attempts => 1)");
}

register('deferred', 'insert into evil.deferred values (1);');
ends_as('deferred', 'delivered', 'a trigger that is deferred fires');
is(sql("select string_agg(distinct what || ' ' || who, ', ') from evil.ran"), 'deferred mallory', 'as the role');

my %trick = (
	defer_all => 'set constraints all deferred; insert into evil.immediate values (1);',
	defer_one => 'set constraints evil.fires deferred; insert into evil.deferred values (1);',
	defer_execute => q{execute 'set constraints all deferred'; insert into evil.immediate values (1);},
	defer_in_trigger => 'insert into evil.again values (1);');
as('mallory', q{create function evil.defers() returns trigger language plpgsql as
		$$ begin set constraints all deferred; insert into evil.immediate values (1); return null; end $$;
	create table evil.again (a int);
	create constraint trigger defers after insert on evil.again deferrable initially deferred
		for each row execute function evil.defers()});
for my $name (sort keys %trick)
{
	sql('truncate evil.ran');
	register($name, $trick{$name});
	ends_as($name, 'dead:sql_42501', "$name: constraints cannot be deferred to the worker's commit");
	is(sql('select count(*) from evil.ran'), 0, "$name: nothing ran");
}

# A user's own statements are not concerned.
is(as('mallory', 'begin; set constraints all deferred; insert into evil.immediate values (2); commit; select 1'), 1,
	'elsewhere constraints can be deferred');

# What a function leaves behind is not run by the worker later.
sql('truncate evil.ran');
register('hold', q{execute 'declare c cursor with hold for select evil.note(''held'')';});
ends_as('hold', 'dead:sql_42501', 'no cursor is held over the commit');
register('table_default', q{create table evil.made (a int default (length(current_user)), who text default current_user); insert into evil.made default values;});
ends_as('table_default', 'delivered', 'a table may be made');
is(sql("select who || ' ' || pg_get_userbyid(c.relowner) from evil.made, pg_class c where c.oid = 'evil.made'::regclass"), 'mallory mallory', 'it belongs to the role');
is(sql("select count(*) from evil.ran where who <> 'mallory'"), 0, 'nothing of all this ran as anybody else');
done_testing();
