# What cannot be an alert, what an alert may do, and what becomes of one that does not work.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('rules', conf => "postrider.alert_interval = 0\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub as
{
	my ($user, $query, $database) = @_;
	my ($status, $out, $err) = $node->psql($database // 'postgres', $query, connstr => $node->connstr($database // 'postgres') . " user=$user");
	return "$out$err";
}
sub look { my ($minutes) = @_; return sql("select string_agg(concat_ws(' ', alert, event, objects, error), ', ') from postrider.evaluate_alerts(now() + interval '$minutes minutes')"); }

sql("delete from postrider.alert; create role ada login in role postrider_admin; create role eve login in role postrider_admin; create role rae login in role postrider_reader;
	grant create on schema public to ada, eve;
	create table public.mine (name text, n int); create table public.hidden (name text); insert into public.mine values ('a', 1); insert into public.hidden values ('treasure'); grant select on public.mine to ada, eve");

# Refused when written, and what to write instead.
sub alert
{
	my (%columns) = (name => 'x', source => 'postrider.endpoint_health', @_);
	my @names = sort keys %columns;
	return sprintf "insert into postrider.alert (%s) values (%s)", join(', ', @names), join(', ', map { "\$q\$$columns{$_}\$q\$" } @names);
}
my @bad = (
	[ [ source => 'postrider.nothing' ], qr/alert "x": there is no view or table "postrider\.nothing"\nHINT:  Write it with its schema\. Views of postrider: .*\bendpoint_health\b.*\bworker\b/ ],
	[ [ source => 'endpoint_health' ], qr/HINT:  Write postrider\.endpoint_health\./ ],
	[ [ source => 'a"; drop table x' ], qr/alert "x": there is no view or table/ ],
	[ [ source => 'public.mine, public.hidden' ], qr/alert "x": there is no view or table/ ],
	[ [ filter => 'stat = 1' ], qr/alert "x": column "stat" does not exist\nHINT:  postrider\.endpoint_health has the columns endpoint, tenant, state/ ],
	[ [ value => 'queud' ], qr/column "queud" does not exist\nHINT:  .*queued/ ],
	[ [ object => 'name' ], qr/column "name" does not exist/ ],
	[ [ detail => 'nope' ], qr/column "nope" does not exist/ ],
	[ [ remedy => 'nope' ], qr/column "nope" does not exist/ ],
	[ [ value => 'next_due_at - now()' ], qr/cannot cast type interval to double precision\nHINT:  .*extract\(epoch/ ],
	[ [ filter => 'queued' ], qr/argument of AND|argument of WHERE must be type boolean/ ],
	[ [ filter => 'nofunction(queued)' ], qr/function nofunction\(integer\) does not exist/ ],
	[ [ filter => 'true); drop table public.mine; select (true' ], qr/ERROR:  alert "x": / ],
	[ [ filter => 'true)) x; delete from public.mine; --' ], qr/ERROR:  alert "x": / ],
	[ [ detail => "null), (select 'x'" ], qr/ERROR:  alert "x": / ],
	[ [ object => "1)::text, ''), 1, 2, 3, 4 from postrider.endpoint_health where true) x; /*", filter => '*/ true' ], qr/ERROR:  alert "x": / ],
	[ [ operator => '=' ], qr/alert_operator/ ],
	[ [ severity => 'urgent' ], qr/alert_severity/ ],
	[ [ threshold => 'NaN' ], qr/a threshold is no finite number/ ],
	[ [ threshold => 'Infinity' ], qr/a threshold is no finite number/ ],
	[ [ threshold => 1, recover_threshold => 2 ], qr/recover_threshold is above the threshold/ ],
	[ [ operator => '<', threshold => 2, recover_threshold => 1 ], qr/recover_threshold is below the threshold/ ],
	[ [ for_duration => '-1 s' ], qr/for_duration must be between/ ],
	[ [ recover_for => '1 year' ], qr/recover_for must be between/ ],
	[ [ repeat_interval => '1 s' ], qr/repeat_interval must be a minute or more/ ],
	[ [ group_above => 0 ], qr/alert_group_above/ ],
	[ [ topic => 'Bad Topic' ], qr/"Bad Topic" is no topic/ ],
	[ [ escalation => '{}' ], qr/escalation: it is no array\nHINT:  Write \[\{"after"/ ],
	[ [ escalation => '[{"after": "soon", "topic": "a"}]' ], qr/"soon" is no interval/ ],
	[ [ escalation => '[{"after": "1 h", "topic": "a"}, {"after": "1 h", "topic": "b"}]' ], qr/"after" must grow/ ],
	[ [ escalation => '[{"after": "-1 h", "topic": "a"}]' ], qr/"after" must grow/ ],
	[ [ escalation => '[{"after": "1 h", "topic": "A B"}]' ], qr/"A B" is no topic/ ],
	[ [ escalation => '[{"after": "1 h"}]' ], qr/a string "after" and a string "topic"/ ],
	[ [ escalation => '[{"after": "1 h", "topic": "a", "x": 1}]' ], qr/nothing else/ ],
	[ [ name => '' ], qr/alert_name/ ],
);
for my $bad (@bad)
{
	my $query = alert(@{ $bad->[0] });
	like(as('ada', $query), $bad->[1], join(' ', @{ $bad->[0] }) . ' is refused');
}
is(sql("select count(*) from postrider.alert") . sql("select count(*) from public.mine"), '01', 'nothing of that is there');
like(as('rae', alert()), qr/permission denied for table alert/, 'readers write none');
like(as('ada', alert(source => 'public.hidden')), qr/alert "x": permission denied for table hidden/, 'nor may it read what its author may not');
like(as('ada', alert(source => 'public.mine', filter => 'exists (select from public.hidden)')), qr/permission denied for table hidden/, 'not in a subquery either');

# It runs as its author, whoever is at the worker.
is(as('ada', "create view public.view as select current_user::text as name, 1 as n; create function public.read() returns text language sql as 'select name from public.hidden';" . alert(name => 'own', source => 'public.view', object => 'name', run_as => 'postgres', is_default => 't')), '', 'an admin writes one');
is(sql("select run_as || is_default from postrider.alert"), 'adafalse', 'it is of who wrote it');
is(look(0), 'own firing 1', 'it fires');
is(sql("select object from postrider.alert_state"), 'ada', 'as the role that wrote it');
is(as('eve', "update postrider.alert set threshold = 0.5 where name = 'own'"), '', 'another one changes the threshold');
is(sql("select run_as from postrider.alert"), 'ada', 'which changes nothing of that');
like(as('eve', "update postrider.alert set filter = 'n = 1' where name = 'own'"), qr/permission denied for view view/, 'the condition is of who changes it, who must have the rights');
like(as('ada', alert(name => 'own2', source => 'public.mine', filter => 'public.read() is not null')), qr/^$/, 'a function is called when it is looked at');
like(look(1), qr/own2 broken permission denied for table hidden/, 'with the rights of the author');
as('ada', "update postrider.alert set filter = null where name = 'own2'");
is(look(1), 'own2 firing 1', 'repaired, it is looked at at once');
as('ada', "delete from postrider.alert where name = 'own2'");

# Reading only, and no way out.
for my $way ([ 'writes', 'insert into public.mine values (\'\'evil\'\', 1) returning true' ], [ 'leaves the transaction', 'select set_config(\'\'transaction_read_only\'\', \'\'off\'\', false) is not null; insert into public.mine values (\'\'evil\'\', 1) returning true' ],
	[ 'resets the role', 'select set_config(\'\'role\'\', \'\'none\'\', false) is null; insert into public.mine values (\'\'evil\'\', 1) returning true' ],
	[ 'emits', 'select postrider.emit(\'\'evil.thing\'\', \'\'{}\'\') is not null' ])
{
	my ($what, $body) = @$way;
	as('ada', "create or replace function public.evil() returns bool language sql volatile as '$body'; " . alert(name => 'evil', source => 'postrider.endpoint', value => '1', filter => 'public.evil()'));
	sql("insert into postrider.endpoint (name, url) values ('e', 'http://127.0.0.1:9/') on conflict do nothing; grant insert on public.mine to ada");
	like(look(2), qr/^evil broken (cannot (execute INSERT|set transaction|set parameter|execute .*emit)|.*read-only)/, "a condition that $what is broken");
	as('ada', "delete from postrider.alert where name = 'evil'");
}
is(sql("select count(*) from public.mine where name = 'evil'") . sql("select count(*) from postrider.message where topic = 'evil.thing'"), '00', 'and has done nothing');
as('ada', "create or replace function public.evil() returns bool language plpgsql volatile as 'begin perform set_config(''postrider.tenant'', ''x'', false); perform set_config(''search_path'', ''evil'', false); perform set_config(''work_mem'', ''64kB'', false); return true; end'; " . alert(name => 'evil', source => 'postrider.endpoint', filter => 'public.evil()'));
sql("grant set on parameter postrider.tenant to ada");
is(sql("select alert || event from postrider.evaluate_alerts(now() + interval '3 minutes') where alert = 'evil'; select current_user || current_setting('work_mem') || current_setting('postrider.tenant') || current_setting('search_path')"),
	"evilfiring\npostgres" . sql("show work_mem") . '"$user", public', 'settings and role are as they were');
as('ada', "delete from postrider.alert where name = 'evil'");

# A superuser's alert uses nothing that others can change.
as('ada', "create view public.trap as select 1 as n; create function public.trap() returns bool language sql as 'select true'; grant select on public.trap to public");
like(as('postgres', alert(source => 'public.trap')), qr/an alert of a superuser cannot use relation "trap" of role "ada"\nHINT:  Write the alert as a role that is no superuser: SET ROLE ada/, 'a superuser cannot use a view of another role');
like(as('postgres', alert(filter => 'public.trap()')), qr/cannot use function "trap\w*" of role "ada"|cannot use function "trap" of role "ada"/, 'nor its function');
like(as('postgres', "create view public.outer as select * from public.trap;" . alert(source => 'public.outer')), qr/cannot use relation "trap"/, 'nor through a view of its own');
like(as('postgres', "create view public.good as select 1 as n;" . alert(name => 'good', source => 'public.good')), qr/^$/, 'its own it can');
as('postgres', "alter view public.good owner to ada");
like(look(4), qr/good broken an alert of a superuser cannot use relation "good"/, 'as long as it is');
sql("delete from postrider.alert");

# What does not end, and what fails.
as('ada', alert(name => 'slow', source => 'public.mine', filter => 'pg_sleep(30) is null') . '; ' . alert(name => 'zero', source => 'public.mine', value => '1 / (n - 1)') . '; ' . alert(name => 'fine', source => 'public.mine', object => 'name'));
my $before = time;
is(look(0), 'fine firing 1, slow broken its condition takes longer than 1000 ms, zero broken division by zero', 'what is slow or fails does not keep the others from being looked at');
cmp_ok(time - $before, '<', 15, 'for long');
is(sql("select string_agg(payload ->> 'alert' || ' ' || (payload #>> '{objects,0,detail}'), ', ' order by id) from postrider.message where topic = 'postrider.alert.broken' and payload ->> 'alert' in ('slow', 'zero')"),
	'slow its condition takes longer than 1000 ms, zero division by zero', 'that is told of');
is(look(5), '', 'it rests');
is(look(11), 'slow broken its condition takes longer than 1000 ms, zero broken division by zero', 'and is tried again after ten minutes');
is(sql("select count(*) from postrider.message where topic = 'postrider.alert.broken' and payload ->> 'alert' = 'zero'"), 1, 'without being told of again');
is(sql("select string_agg(alert || ' ' || state, ', ' order by alert) from postrider.alert_status"), 'fine firing, slow broken, zero broken', 'as one can see');
sql("update public.mine set n = 2");
is(look(22), 'slow broken its condition takes longer than 1000 ms, zero firing 1', 'it may mend itself');
is(sql("select state from postrider.alert_status where alert = 'zero'"), 'firing', 'and is as good as ever');
sql("drop table public.mine cascade");
like(look(23), qr/fine broken relation "public\.mine" does not exist/, 'a source that is gone');
is(sql("select state from postrider.alert_state where alert = 'fine'"), 'firing', 'what it had found is not taken for over');
sql("delete from postrider.alert; insert into postrider.topic (name, schema) values ('postrider.alert.firing', 'false');
	create table public.mine (name text); insert into public.mine values ('a')");
sql(alert(name => 'mute', source => 'public.mine'));
like(look(0), qr/mute broken payload of a message on topic "postrider\.alert\.firing"/, 'a message that cannot be emitted');
is(sql("select count(*) from postrider.alert_state"), 0, 'leaves its state as it was');
sql("delete from postrider.topic");
is(look(11), 'mute firing 1', 'and is made up for');
sql("delete from postrider.alert");

# Locks do not hold it up.
sql(alert(name => 'locked', source => 'public.mine'));
{
	my ($in, $open, $timer) = ('', '', IPC::Run::timeout(60));
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$open, $timer);
	for my $hold ('lock table public.mine', "delete from postrider.alert where name = 'locked'")
	{
		$in .= "begin; $hold; select 'held';\n";
		$session->pump until $open =~ /held/;
		$open = '';
		is(look(20), '', "while somebody holds a lock ($hold) nothing is said");
		is(sql("select count(*) from postrider.alert_failure"), 0, 'nor is the alert broken');
		$in .= "rollback; select 'free';\n";
		$session->pump until $open =~ /free/;
		$open = '';
	}
	$in .= "\\q\n";
	$session->finish;
}
is(look(20), 'locked firing 1', 'then it is looked at');
sql("delete from postrider.alert");

# Hostile names and values are data.
my $evil = q(x"; drop table public.mine; --' \\ {{a}} <b>&);
sql("delete from public.mine; insert into public.mine values (\$q\$$evil\$q\$)");
sql("insert into postrider.alert (name, source, object, topic, detail, description) values (\$q\$$evil\$q\$, 'public.mine', 'name', 'ops', 'name', \$q\$$evil\$q\$)");
like(look(0), qr/ firing 1$/, 'a hostile name');
is(sql("select (payload ->> 'alert' = \$q\$$evil\$q\$) and (payload #>> '{objects,0,object}') = \$q\$$evil\$q\$ from postrider.message where topic = 'ops.firing'"), 't', 'arrives as it is');
sql("delete from postrider.alert");

# Tenants.
sql("create role acme login in role postrider_admin; alter role acme set postrider.tenant = 'acme';
	insert into postrider.endpoint (name, url, tenant) values ('acme.crm', 'http://127.0.0.1:9/', 'acme'), ('beta.crm', 'http://127.0.0.1:9/', 'beta')");
is(as('acme', alert(name => 'acme.all', source => 'postrider.endpoint', object => 'name')), '', 'a tenant has alerts of its own');
is(sql("select tenant from postrider.alert"), 'acme', 'which are the tenant\'s');
sql(alert(name => 'all', source => 'postrider.endpoint', object => 'name', tenant => 'beta'));
look(0);
is(sql("select string_agg(object, ', ') from postrider.alert_state where alert = 'acme.all'"), 'acme.crm', 'an alert sees what its tenant sees');
is(as('acme', "select string_agg(alert, ',') from postrider.alert_state; select string_agg(alert, ',') from postrider.alert_status; select string_agg(name, ',') from postrider.alert"), "acme.all\nacme.all\nacme.all", 'a tenant sees its own');
is(sql("select distinct tenant from postrider.message where payload ->> 'alert' = 'acme.all'"), 'acme', 'its messages are the tenant\'s');
like(as('acme', alert(name => 'other', tenant => 'beta')), qr/permission denied for tenant "beta"/, 'it writes none for another');
sql("delete from postrider.alert");

# History, documents, dumps: what somebody changed is kept, the rest is what comes with the extension.
$node->safe_psql('postgres', 'create database original');
$node->safe_psql('original', "create extension postrider; update postrider.alert set enabled = false where name = 'backlog'; update postrider.alert set threshold = 5 where name = 'dead_letters';
	insert into postrider.alert (name, source, description) values ('mine', 'postrider.worker', 'my own')");
is($node->safe_psql('original', "select string_agg(name || ' ' || operation, ', ' order by id) from postrider.config_history where kind = 'alert'"), 'backlog update, dead_letters update, mine insert', 'changes are in the history');
is($node->safe_psql('original', "select postrider.export_config() -> 'alerts' -> 'mine'"), '{"source": "postrider.worker", "description": "my own"}', 'and in the document');
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('original') ], 'a dump');
$node->safe_psql('postgres', 'create database copy');
my ($status, $out, $err) = $node->psql('copy', slurp_file($dump), on_error_stop => 1);
is("$status$err", '0', 'is restored');
my $all = "select string_agg(concat_ws(' ', name, enabled, threshold, is_default, run_as), ', ' order by name) from postrider.alert";
is($node->safe_psql('copy', $all), $node->safe_psql('original', $all), 'with the alerts as they were');
my $document = $node->safe_psql('original', 'select postrider.export_config()');
$node->safe_psql('postgres', 'create database other');
$node->safe_psql('other', 'create extension postrider');
$node->safe_psql('other', "select postrider.apply_config(\$d\$$document\$d\$, dry_run => false)");
is($node->safe_psql('other', "select postrider.export_config() = \$d\$$document\$d\$::jsonb"), 't', 'a document makes another database the same');

done_testing();
