# Every change of the configuration is kept, with who made it, whatever the way; and nobody can change that.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('history');
my $receiver = PostriderTest::Receiver->start;
my $url = $receiver->url('/ok');
$node->safe_psql('postgres', q{
	create role ann login in role postrider_admin;
	create role bob login in role postrider_admin;
	create role desk nologin in role postrider_admin;
	grant desk to bob;
	create role app login in role postrider_admin;
	create role clerk login in role postrider_writer;
	create role reader login in role postrider_reader;
	grant create on schema public to app, clerk, bob;
});

# Runs SQL as a user; returns the exit status and what psql says.
sub as
{
	my ($user, $sql) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql('postgres', $sql, stdout => \$out, stderr => \$err,
		connstr => $node->connstr('postgres') . " user=$user application_name=by_$user", extra_params => [ '-v', 'ON_ERROR_STOP=1' ]);
	return wantarray ? ($status, "$out$err") : "$out$err";
}

sub last_change
{
	my ($columns, $where) = @_;
	return $node->safe_psql('postgres', "select $columns from postrider.config_history where " . ($where || 'true') . ' order by id desc limit 1');
}

# Who.
as('ann', "insert into postrider.endpoint (name, url, description) values ('crm', '$url', 'x')");
is(last_change('session_role, role, application, kind, name, operation, old is null, new ->> $$url$$, changed is null, reason is null'),
	"ann|ann|by_ann|endpoint|crm|insert|t|$url|t|t", 'an insert: who, what, the row');
is(last_change(q{changed_at between now() - interval '1 minute' and now(), xid is not null}), 't|t', 'when, and in which transaction');
as('bob', "set role desk; update postrider.endpoint set max_attempts = 7, description = null where name = 'crm'");
is(last_change(q{session_role, role, operation, changed, old -> 'max_attempts', new -> 'max_attempts', old ->> 'description', new ->> 'description' is null}),
	'bob|desk|update|{description,max_attempts}|12|7|x|t', 'an update under SET ROLE: both roles, before and after');
as('ann', "update postrider.endpoint set max_attempts = 7 where name = 'crm'");
is(last_change('role'), 'desk', 'an update that changes nothing is none');
as('ann', "select postrider.pause('crm', reason => 'maintenance of the shop')");
is(last_change('session_role, role, operation, changed, reason'), 'ann|ann|update|{pause_reason,paused_at}|maintenance of the shop',
	'pause() is SECURITY DEFINER, and what counts is who called it, and why');
as('bob', "select postrider.resume('crm')");
is(last_change('session_role, role, changed'), 'bob|bob|{pause_reason,paused_at}', 'so is resume()');
as('ann', "select postrider.set_secret('s', description => 'of the shop')");
is($node->safe_psql('postgres', q{select count(*) from postrider.config_history where kind = 'secret' and name = 's' and operation = 'insert' and role = 'ann'}),
	1, 'set_secret() is recorded');
is(last_change(q{role, name, new ->> 'version', new ? 'ciphertext'}, q{kind = 'secret_version'}), 'ann|s|1|f', 'and the version, without what is encrypted');
as('bob', q{create function public.trick() returns void language sql security definer as
	'update postrider.endpoint set description = $$trick$$ where name = $$crm$$'; grant execute on function public.trick to ann});
as('ann', 'select public.trick()');
is(last_change(q{session_role, role, new ->> 'description'}), 'ann|ann|trick', 'a SECURITY DEFINER function of a user does not hide who called it');
as('ann', q{begin; set local postrider.change_reason = 'ticket 42'; update postrider.endpoint set timeout = '10 s' where name = 'crm'; commit});
is(last_change('changed, reason'), '{timeout}|ticket 42', 'whoever changes something can say why');
as('ann', q{begin; update postrider.endpoint set timeout = '11 s' where name = 'crm'; rollback});
is(last_change(q{new ->> 'timeout'}), '00:00:10', 'what is rolled back leaves nothing');
as('ann', q{set intervalstyle = 'iso_8601'; set timezone = 'Asia/Tokyo'; update postrider.endpoint set timeout = '12 s' where name = 'crm'});
is(last_change(q{old ->> 'timeout', new ->> 'timeout', changed}), '00:00:10|00:00:12|{timeout}', 'rows are written alike whatever the session has set');

# All kinds, and all operations.
as('ann', q{insert into postrider.mapping (name, definition) values ('m', '{"fields": [{"to": "a", "from": "$.a"}]}');
	insert into postrider.topic (name, schema) values ('a.b', '{"type": "object"}');
	insert into postrider.schema (name, schema) values ('sch', 'true');
	insert into postrider.subscription (topic, endpoint, mapping) values ('a.*', 'crm', 'm');});
is($node->safe_psql('postgres', q{select string_agg(kind || ' ' || name, ', ' order by id) from postrider.config_history where id > (select max(id) - 4 from postrider.config_history)}),
	'mapping m, topic a.b, schema sch, subscription crm: a.*', 'mappings, topics, schemas and subscriptions');
as('ann', q{insert into postrider.endpoint (name, url) values ('gone', 'https://example.com'); insert into postrider.subscription (topic, endpoint) values ('x', 'gone');
	delete from postrider.endpoint where name = 'gone'});
is($node->safe_psql('postgres', q{select string_agg(role || ' ' || operation || ' ' || name, ', ' order by name) from (select * from postrider.config_history order by id desc limit 2) h}),
	'ann delete gone, ann delete gone: x', 'what goes with an endpoint is recorded too');
as('clerk', q{create table public.orders (id int primary key, total int); select postrider.watch('public.orders', 'orders.changed', columns => '{total}')});
is(last_change(q{session_role, role, kind, name, operation, new -> 'columns', new -> 'operations'}),
	'clerk|clerk|watch|public.orders: orders.changed|insert|["total"]|["delete", "insert", "update"]', 'watch() is recorded');
as('clerk', q{select postrider.watch('public.orders', 'orders.changed', operations => '{update}')});
is(last_change('operation, changed'), 'update|{columns,operations}', 'and watching otherwise');
as('clerk', q{select postrider.unwatch('public.orders')});
is(last_change('role, operation, new is null'), 'clerk|delete|t', 'and unwatch()');
as('clerk', q{select postrider.watch('public.orders')});
as('clerk', q{drop table public.orders});
$node->safe_psql('postgres', 'select postrider.record_watches()');
is($node->safe_psql('postgres', q{select count(*), min(reason) from postrider.config_history where kind = 'watch' and operation = 'delete' and name like 'public.orders: orders.%' and name not like '%changed'}),
	'3|found later: not by watch() or unwatch()', 'a watch that goes with its table is found out');

# The worker, and functions that it calls.
as('ann', "insert into postrider.endpoint (name, url) values ('dying', '" . $receiver->url('/gone') . "')");
$node->safe_psql('postgres', q{select postrider.send('dying', '1')});
ok(PostriderTest::wait_for($node, q{select count(*) from postrider.config_history where name = 'dying' and operation = 'update'}, 1), 'an endpoint that says 410 is disabled');
is(last_change(q{session_role is null, role, application, changed, reason is not null and reason = new ->> 'disabled_reason'}, q{name = 'dying'}),
	't|postgres|postrider worker|{disabled_reason,enabled}|t', 'by the worker, which says why');
as('app', q{create function public.handle(m postrider.message) returns void language plpgsql as $$
	begin perform postrider.pause('crm', reason => 'function said so'); update postrider.endpoint set description = 'handled' where name = 'crm'; end $$;
	select postrider.on_message('handle.it', 'public.handle(postrider.message)', 'handler')});
is(last_change('role, name, operation', q{kind = 'endpoint'}), 'app|handler|insert', 'on_message() is recorded');
is(last_change(q{new ->> 'run_as'}, q{name = 'handler'}), 'app', 'with the role');
$node->safe_psql('postgres', q{select postrider.emit('handle.it', '1')});
ok(PostriderTest::wait_for($node, q{select count(*) from postrider.config_history where role = 'app' and name = 'crm'}, 2), 'what a function changes that is called for a message is of its role')
  or diag($node->safe_psql('postgres', 'select error from postrider.attempt order by started_at desc limit 3'));
is($node->safe_psql('postgres', q{select string_agg(concat_ws(' ', session_role, application, changed, reason), ', ' order by id) from postrider.config_history where role = 'app' and name = 'crm'}),
	'postrider worker {pause_reason,paused_at} function said so, postrider worker {description}', 'also through pause()');

# Nobody changes what was written.
for my $try ('insert into postrider.config_history (kind, name, operation) values ($$a$$, $$b$$, $$insert$$)', 'update postrider.config_history set role = $$bob$$',
	'delete from postrider.config_history', 'truncate postrider.config_history', 'alter table postrider.endpoint disable trigger record_rows',
	'select postrider.write_config_history($$a$$, $$b$$, null, $$insert$$, null, null, null, null)')
{
	my ($status, $said) = as('ann', $try);
	isnt($status, 0, "an admin cannot: $try");
	like($said, qr/permission denied|must be owner/, 'and is told so');
}
for my $try ('update postrider.config_history set role = $$bob$$', 'delete from postrider.config_history', 'truncate postrider.config_history',
	'set session_replication_role = replica; delete from postrider.config_history')
{
	my ($status, $said) = as('postgres', $try);
	isnt($status, 0, "even the owner cannot: $try");
	like($said, qr/only added to/, 'and is told so');
}
my $count = $node->safe_psql('postgres', 'select count(*) from postrider.config_history');
as('ann', q{set check_function_bodies = off; update postrider.endpoint set description = 'hidden?' where name = 'crm'});
is(last_change(q{new ->> 'description'}), 'hidden?', 'an admin cannot pretend to restore a dump');
as('postgres', q{set session_replication_role = replica; update postrider.endpoint set description = 'hidden??' where name = 'crm'});
is(last_change(q{new ->> 'description'}), 'hidden??', 'nor does replica mode hide anything');
like(as('clerk', 'select * from postrider.config_history'), qr/permission denied/, 'a writer does not read the history');
like(as('reader', 'select postrider.export_config()'), qr/permission denied/, 'nor does a reader write documents');
is(as('ann', 'select count(*) > 20 from postrider.config_history'), 't', 'an admin reads it');

# Secrets.
as('ann', q{update postrider.endpoint set headers = '{"Authorization": "Bearer planted", "X-Shop": "7"}', url = url || '?api_key=planted' where name = 'crm'});
is(last_change(q{new -> 'headers'}), '{"X-Shop": "7", "Authorization": "***"}', 'headers that are secret by their name are masked');
as('ann', q{update postrider.endpoint set headers = '{"Authorization": "Bearer planted2", "X-Shop": "7"}' where name = 'crm'});
is(last_change('changed'), '{headers}', 'and still it is seen that they change');
is($node->safe_psql('postgres', q{select count(*) from postrider.config_history h where h::text like '%planted%'}), 0, 'no such value is in the history');
is(as('ann', q{select postrider.export_config()::text like '%planted%'}), 'f', 'nor in a document');

# A dump carries it, and restoring adds nothing.
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'create database restored');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'restore');
my $all = 'select * from postrider.config_history order by id';
is($node->safe_psql('restored', $all), $node->safe_psql('postgres', $all), 'the restored database has the same history');
$node->safe_psql('restored', q{delete from postrider.topic});
is($node->safe_psql('restored', q{select id > (select max(id) from postrider.config_history where kind <> 'topic'), operation from postrider.config_history order by id desc limit 1}),
	't|delete', 'and goes on with it');

# Truncation.
$node->safe_psql('postgres', 'truncate postrider.endpoint cascade');
is($node->safe_psql('postgres', q{select string_agg(distinct kind, ',') from postrider.config_history where operation = 'truncate'}), 'endpoint,subscription', 'a truncation is recorded');
is($node->safe_psql('postgres', q{select count(*) from postrider.config_history where operation = 'truncate' and name = 'crm' and old ->> 'url' like 'http%'}), 1, 'row by row');

# Retention.
$node->safe_psql('postgres', q{alter table postrider.config_history disable trigger guard_rows;
	update postrider.config_history set changed_at = now() - interval '40 days' where kind = 'mapping';
	alter table postrider.config_history enable always trigger guard_rows});
$node->safe_psql('postgres', 'select postrider.tend_config_history()');
is($node->safe_psql('postgres', q{select count(*) from postrider.config_history where kind = 'mapping'}), 1, 'by default it is kept for ever');
$node->append_conf('postgresql.conf', "postrider.config_history_retention = '30d'");
$node->reload;
ok(PostriderTest::wait_for($node, 'show postrider.config_history_retention', '30d'), 'the setting');
like(as('postgres', 'delete from postrider.config_history where id = (select max(id) from postrider.config_history)'), qr/only added to/, 'what is younger cannot be deleted');
$node->safe_psql('postgres', 'select postrider.tend_config_history()');
is($node->safe_psql('postgres', q{select count(*) from postrider.config_history where kind = 'mapping'}), 0, 'what is older goes');
like(as('ann', q{select postrider.revert_config(to_time => now() - interval '31 days')}), qr/are not all known any more/, 'and nobody gets back behind it');
$node->stop('fast');
done_testing();
