# No function, view or trigger of the extension can be led astray by what others put into
# the search path: for every function and every operator of PostgreSQL there is
# one of the same name and arguments before it, and temporary tables have the names of
# ours.  Every piece of hostile code writes a line to the server's log, which
# no rollback takes back.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = PostriderTest::node('hostile', no_extension => 1);
my $receiver = PostriderTest::Receiver->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
my $seen = 0;
# What hostile code has run since the last call.
sub ran
{
	my $log = slurp_file($node->logfile);
	my $new = substr($log, $seen);
	$seen = length $log;
	my %lines = map { $_ => 1 } $new =~ /(HOSTILE \S.* as \S+)/g;
	return join ', ', sort keys %lines;
}

# CREATE EXTENSION
sql('create role mallory; grant create on database postgres to mallory');
sql('set role mallory; create schema postrider');
like(said('create extension postrider'), qr/schema "postrider" belongs to role "mallory", who could change what the extension does/, 'a schema that somebody has made beforehand is refused');
sql('alter schema postrider owner to postgres; grant create on schema postrider to mallory');
like(said('create extension postrider'), qr/others may create objects in schema "postrider"/, 'or one in which others may create objects');
sql(q{set role mallory; create function postrider.now() returns timestamptz language sql as 'select null::timestamptz'});
sql('revoke create on schema postrider from mallory');
like(said('create extension postrider'), qr/schema "postrider" is not empty/, 'or one with something in it');
sql('drop function postrider.now(); drop schema postrider');

sql(q{set role mallory; create schema evil; grant usage on schema evil to public});
# In SQL, so that it works with any search path.
sql(q{set role mallory;
create function evil.note(what text) returns void language plpgsql set search_path = pg_catalog, pg_temp as
	$$ begin raise log 'HOSTILE % as %', what, current_user; end $$;
set search_path = pg_catalog, pg_temp;
do $do$
declare
	f record;
	wanted oid[] := array(select oid from pg_proc where pronamespace = 'pg_catalog'::regnamespace and prokind = 'f'
		and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype, 'language_handler'::regtype, 'cstring'::regtype)
		and not proargtypes::oid[] && array['internal'::regtype, 'cstring'::regtype]::oid[]);
	body text;
	made int := 0;
begin
	for f in select p.oid, p.proname, pg_get_function_identity_arguments(p.oid) as arguments, pg_get_function_result(p.oid) as result from pg_proc p where p.oid = any(wanted)
	loop
		begin
			execute format('create function evil.%I(%s) returns %s language plpgsql as %L', f.proname, f.arguments, f.result,
				format('begin perform evil.note(%L); return%s; end', f.proname, case when f.result like 'SETOF%' or f.result like 'TABLE%' or f.result in ('void', 'record') or f.arguments ~ '\mOUT ' then '' else ' null' end));
			made := made + 1;
		exception when others then null;
		end;
	end loop;
	for f in select o.oprname, nullif(o.oprleft, 0)::regtype as l, o.oprright::regtype as r, o.oprresult::regtype as result from pg_operator o where o.oprnamespace = 'pg_catalog'::regnamespace
	loop
		begin
			execute format('create function evil."operator %s %s %s"(%s) returns %s language plpgsql as %L', f.oprname, f.l, f.r, concat_ws(', ', f.l, f.r), f.result,
				format('begin perform evil.note(%L); return null; end', 'operator ' || f.oprname));
			execute format('create operator evil.%s (function = evil."operator %s %s %s"%s, rightarg = %s)', f.oprname, f.oprname, f.l, f.r, coalesce(', leftarg = ' || f.l, ''), f.r);
			made := made + 1;
		exception when others then null;
		end;
	end loop;
	for f in select oid, proname, pg_get_function_identity_arguments(oid) as arguments from pg_proc where proname in ('count', 'sum', 'min', 'max', 'array_agg', 'string_agg', 'jsonb_agg', 'jsonb_object_agg', 'bool_or', 'bool_and') and prokind = 'a'
	loop
		begin
			execute format('create function evil.%I(%s) returns bigint language plpgsql as %L', f.proname, f.arguments, format('begin perform evil.note(%L); return null; end', f.proname));
		exception when others then null;
		end;
	end loop;
	for f in select t.typname from pg_type t where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype = 'b' and t.typcategory <> 'A' and t.typname !~ '^(pg_|reg)'
	loop
		begin
			execute format('create function evil."check %s"(pg_catalog.%I) returns boolean language plpgsql as %L', f.typname, f.typname, format('begin perform evil.note(%L); return true; end', 'type ' || f.typname));
			execute format('create domain evil.%I as pg_catalog.%I check (evil."check %s"(value))', f.typname, f.typname, f.typname);
			made := made + 1;
		exception when others then null;
		end;
	end loop;
	raise log 'made %', made;
end
$do$});
my ($made) = slurp_file($node->logfile) =~ /made (\d+)/;
ok($made > 2500, "there are $made hostile objects");

# They work: what is not qualified falls for them.
sql(q{set search_path = evil, pg_catalog; select lower('A') = 'a', now()});
like(ran(), qr/HOSTILE lower as postgres.*HOSTILE now as postgres.*HOSTILE operator = as postgres/, 'a statement that qualifies nothing falls for them');

# The extension is made while they are in the path.
my ($status, $out, $err) = $node->psql('postgres', 'set search_path = evil, pg_catalog; create extension postrider');
is($status, 0, 'the extension is made with a hostile path') or diag($err);
is(ran(), '', 'and nothing hostile has run');

# Rules that hold for all functions, those to come included.
is(sql(q{select string_agg(p.oid::regprocedure::text, ', ') from pg_proc p join pg_language l on l.oid = p.prolang
	join pg_depend d on d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e' join pg_extension e on e.oid = d.refobjid and e.extname = 'postrider'
	where p.prokind = 'f' and (l.lanname <> 'c' or p.prosecdef) and (p.prosqlbody is null or p.prosecdef) and not coalesce(p.proconfig @> array['search_path=pg_catalog, pg_temp'], false)}), '',
	'every function that looks up names when it runs has a pinned search_path');
is(sql(q{select string_agg(p.oid::regprocedure::text, ', ') from pg_proc p join pg_depend d on d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e'
	join pg_extension e on e.oid = d.refobjid and e.extname = 'postrider', aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0}), '', 'nothing is granted to PUBLIC: functions');
is(sql(q{select string_agg(c.relname, ', ') from pg_class c, aclexplode(c.relacl) a where c.relnamespace = 'postrider'::regnamespace and a.grantee = 0}), '', 'tables');
is(sql(q{select string_agg(c.relname, ', ') from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a where c.relnamespace = 'postrider'::regnamespace and a.grantee = 0}), '', 'columns');
is(sql(q{select string_agg(distinct a.privilege_type, ', ') from (select relacl as acl, relowner as owner from pg_class where relnamespace = 'postrider'::regnamespace union all select nspacl, nspowner from pg_namespace where nspname = 'postrider') o,
	aclexplode(o.acl) a where a.grantee <> o.owner and a.privilege_type in ('TRIGGER', 'REFERENCES', 'TRUNCATE', 'CREATE', 'MAINTAIN')}), '', 'nobody has a right to put something on our tables, or beside them');
# Whatever a view, default, constraint, index or trigger uses was found when it was made.
is(sql(q{select string_agg(distinct pg_describe_object(d.refclassid, d.refobjid, 0), ', ') from pg_depend d where d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass)
	and (pg_identify_object(d.refclassid, d.refobjid, 0)).schema = 'evil' and coalesce((pg_identify_object(d.classid, d.objid, d.objsubid)).schema, '') = 'postrider'}), '', 'no object of ours depends on a hostile one');

# Every function is called as everybody, with temporary tables of the names of ours.
sql(q{create role w; grant postrider_writer to w; create role r; grant postrider_reader to r; create role a; grant postrider_admin to a;
	grant temporary on database postgres to public;
	create table public.watched (id int primary key, v text); grant all on public.watched to w, r, a;
	create function public.handler(message postrider.message) returns void language plpgsql as 'begin end'; grant execute on function public.handler to public});
sql("set role a; insert into postrider.endpoint (name, url) values ('e', '" . $receiver->url('/ok') . "'), ('f', '" . $receiver->url('/status/400') . "');
	insert into postrider.subscription (topic, endpoint) values ('order.*', 'e')");
my @tables = split /\n/, sql(q{select relname from pg_class where relnamespace = 'postrider'::regnamespace and relkind in ('r', 'p', 'v')});
my $hostile = "set client_min_messages = error;\n" . join("\n", map { qq{create temp table "$_" (name pg_catalog.text, id pg_catalog.int4);} } @tables)
  . "\nset search_path = evil, pg_temp, pg_catalog, postrider;\n";
# Arguments that get further than NULL and the values by type.
my %call = (
	emit => q{'order.paid', '{"n": 1}', 'k', '{"X": "y"}', null, null, 'd'}, send => q{'f', '{}'}, validate_topic => q{'order.paid', '{}'},
	watch => q{'public.watched', 'order.watched', '{insert,update,delete}', '{id,v}', 'new.id > 0'}, unwatch => q{'public.watched'}, narrow_watch => q{'public.watched', 'order.watched', '{insert}'},
	check_watchable => q{'public.watched'}, check_columns => q{'public.watched', '{id}'}, suggest_mapping => q{'public.watched', '{"id": 1}'},
	on_message => q{'order.paid', 'public.handler(postrider.message)'}, off_message => q{'order.paid'},
	set_secret => q{'s', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'}, preview => q{'order.paid', '{"n": 1}'}, send_test => q{'e', '{}'},
	replay => q{'order.**', '-infinity', 'infinity', 'e'}, retry => q{null, 'f'}, cancel => q{null, 'f', null, null, null, null, null, '$.n > 0'}, purge => q{null, 'f'}, pause => q{'e'}, resume => q{'e'},
	export_config => q{}, apply_config => q{'{}', true}, make_partition => q{'2031-01-01', false}, maintain_partitions => q{'7 days', true}, map => q{'{"a": 1}', '{"fields": [{"to": "b", "from": "$.a"}]}'});
my %value = (text => q{'order.paid'}, jsonb => q{'{}'}, json => q{'{}'}, uuid => q{'01a223a6-31b7-7cbb-a992-9e373967ffad'}, integer => '1', bigint => '1', smallint => '1', boolean => 'true', jsonpath => q{'$.n > 0'},
	regclass => q{'public.watched'}, regprocedure => q{'public.handler(postrider.message)'}, name => q{'id'}, 'text[]' => q{'{insert}'}, 'name[]' => q{'{id}'}, 'uuid[]' => q{'{01a223a6-31b7-7cbb-a992-9e373967ffad}'}, 'jsonpath[]' => q{'{$.n}'}, 'timestamp with time zone' => q{'2026-01-01 00:00:00+00'},
	interval => q{'1 day'}, date => q{'2026-01-01'}, 'double precision' => '1', bytea => q{'a'}, 'bigint[]' => q{'{1}'}, 'double precision[]' => q{'{1}'}, numeric => '1', real => '1', xid => q{'3'},
	'postrider.alert' => 'null');
my %short = ('double precision' => 'float8', 'timestamp with time zone' => 'timestamptz', integer => 'int4', bigint => 'int8', smallint => 'int2', boolean => 'bool', real => 'float4',
	'bigint[]' => 'int8[]', 'double precision[]' => 'float8[]');
my @functions = map { [ split /\t/, $_, -1 ] } split /\n/, sql(q{select p.proname || E'\t' || coalesce((select string_agg(format_type(t, null), ';' order by n) from unnest(p.proargtypes::oid[]) with ordinality as u(t, n)), '') || E'\t' || p.prorettype::regtype
	from pg_proc p join pg_depend d on d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e' join pg_extension e on e.oid = d.refobjid and e.extname = 'postrider' where p.prokind = 'f' order by 1});
my @relations = map { qq{select * from postrider."$_"} } @tables;
my @calls;
my %unknown;
for my $function (@functions)
{
	my ($name, $arguments, $result) = @$function;
	# Triggers, and what only the server itself can call.
	next if $result eq 'trigger' || $arguments =~ /\binternal\b/;
	my @types = split /;/, $arguments;
	$unknown{$_} = 1 for grep { !exists $value{$_} } @types;
	push @calls, "select * from postrider.$name($call{$name})" if exists $call{$name};
	push @calls, "select * from postrider.$name(" . join(', ', map { "$value{$_}::" . (/^postrider\./ ? $_ : "pg_catalog." . ($short{$_} // $_)) } @types) . ')'
	  unless @types && grep { !exists $value{$_} } @types;
}
is(join(', ', sort keys %unknown), '', 'the test has a value for each type of argument');
ran();
for my $role (qw(postgres a w r mallory))
{
	my $script = $hostile . ($role eq 'postgres' ? '' : "set role $role;\n") . join('', map { "$_;\n" } @calls, @relations);
	my ($code, $output, $errors) = $node->psql('postgres', $script, on_error_stop => 0);
	is(ran(), '', "as $role: " . scalar(@calls) . ' calls and ' . scalar(@relations) . ' relations run nothing hostile');
	my $lost = () = ($errors // '') =~ /does not exist/g;
	cmp_ok($lost, '<', 25, '... and find what they look for') or diag($errors);
	sql(q{select postrider.resume('e')}) if $role eq 'postgres' or $role eq 'a';
	ran();
}

# Triggers: of configuration, and of watched tables.
for my $role (qw(postgres a))
{
	my ($code, $output, $errors) = $node->psql('postgres', $hostile . "set role $role;\n" . q{
		insert into postrider.endpoint (name, url, headers, response_rules, retry_schedule) values ('t', 'https://example.com/{{$.a}}', '{"X": "{{$.b}}"}', '[{"status": 409, "action": "success"}]', '{00:00:01}');
		update postrider.endpoint set timeout = '3 s', proxy = 'http://8.8.8.8:3128' where name operator(pg_catalog.=) 't';
		insert into postrider.topic (name, schema) values ('order.t', '{"type": "object", "properties": {"a": {"type": "string"}}}');
		update postrider.topic set schema = '{"type": "object"}' where name operator(pg_catalog.=) 'order.t';
		insert into postrider.schema (name, schema) values ('https://example.com/s', '{}');
		insert into postrider.mapping (name, definition) values ('m', '{"fields": [{"to": "b", "from": "$.a"}]}');
		insert into postrider.subscription (topic, endpoint, filter, mapping) values ('order.t', 't', '$.n > 0', 'm');
		delete from postrider.subscription where topic operator(pg_catalog.=) 'order.t';
		delete from postrider.mapping where name operator(pg_catalog.=) 'm';
		delete from postrider.topic where name operator(pg_catalog.=) 'order.t';
		delete from postrider.schema where name operator(pg_catalog.=) 'https://example.com/s';
		delete from postrider.endpoint where name operator(pg_catalog.=) 't'; }, on_error_stop => 0);
	is(ran(), '', "as $role: changes of the configuration run nothing hostile");
	is($errors, '', 'and work');
}
sql(q{select postrider.watch('public.watched', 'order.watched', columns => '{id,v}')});
sql($hostile . q{insert into public.watched values (1, 'a'); update public.watched set v = 'b'; delete from public.watched;});
is(ran(), '', 'a watched table runs nothing hostile');

# The worker, in a database where the path is hostile for everybody.
sql(q{alter database postgres set search_path = evil, pg_catalog; alter role postgres set search_path = evil, pg_catalog});
$node->restart;
my $before = $receiver->count('/ok');
$node->psql('postgres', q{select postrider.emit('order.paid', '{"n": 1}'); select postrider.send('f', '{}'); update postrider.endpoint set max_attempts = 2 where name operator(pg_catalog.=) 'f'; select postrider.send('f', '{}', deliver_at => pg_catalog.clock_timestamp() operator(pg_catalog.+) '1 s'::pg_catalog.interval)});
ok($receiver->wait_for_count($before + 1, '/ok'), 'the worker delivers');
ok($receiver->wait_for_count(2, '/status/400'), 'and comes to what is due later');
$node->psql('postgres', q{select postrider.preview('order.paid', '{"n": 1}'); select postrider.send_test('e', '{}')});
sleep 1.5;
is(ran(), '', 'and nothing hostile has run in it, nor in the process of send_test()');
$node->stop('fast');
done_testing();
