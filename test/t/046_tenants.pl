# Two tenants, who try to see and change what is the other's.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('tenants');
my $receiver = PostriderTest::Receiver->start;
my $mark = 'beta-only';

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub wait_for { return PostriderTest::wait_for($node, @_); }

sub as
{
	my ($user, $query, %options) = @_;
	local $ENV{PGOPTIONS} = $options{options} // '';
	my ($status, $out, $err) = $node->psql('postgres', $query,
		connstr => $node->connstr('postgres') . " user=$user");
	return "$out$err";
}
my $denied = qr/ERROR:  permission denied/;

# acme and beta have the same rights; pool may switch; free is bound to nobody.
sql("create role acme login; create role beta login; create role pool login; create role free login;
	grant postrider_admin, postrider_reader, postrider_writer, postrider_payload_reader to acme, beta, pool, free;
	alter role acme set postrider.tenant = 'acme';
	alter role beta set postrider.tenant = 'beta';
	grant set on parameter postrider.tenant to pool;
	grant create on schema public to public");
my $url = $receiver->url('');
is(as('acme', 'show postrider.tenant'), 'acme', 'a role is bound when it logs in');

# What each has. It is written by the tenants themselves.
for my $tenant (qw(acme beta))
{
	is(as($tenant, "insert into postrider.endpoint (name, url, rate_group) values ('$tenant.crm', '$url/status/422/$tenant', '$tenant')"), '', "$tenant makes an endpoint");
	is(as($tenant, "insert into postrider.endpoint (name, url, enabled, description) values ('$tenant.held', '$url/ok/$tenant', false, '$tenant-only')"), '', 'and another');
	is(as($tenant, "insert into postrider.subscription (topic, endpoint) values ('a.b', '$tenant.crm'), ('a.b', '$tenant.held')"), '', 'and subscribes them');
	like(as($tenant, "select postrider.set_secret('$tenant.key')"), qr/^whsec_/, 'and a secret');
	is(as($tenant, "update postrider.endpoint set signing_secret = '$tenant.key' where name = '$tenant.held'"), '', 'which it uses');
}
is(sql("select string_agg(distinct tenant, ',') || count(*) from postrider.endpoint"), 'acme,beta4', 'they got their tenant');
is(sql("select string_agg(tenant, ',' order by tenant) from postrider.secret"), 'acme,beta', 'secrets too');
sql("insert into postrider.endpoint (name, url) values ('shared', '$url/ok/shared'); insert into postrider.subscription (topic, endpoint) values ('a.*', 'shared');
	select postrider.set_secret('shared.key');
	select postrider.set_secret('for.acme', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', tenant => 'acme');
	select postrider.set_secret('for.acme', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx', tenant => 'acme');
	insert into postrider.mapping (name, definition) values ('m', '{\"fields\": [{\"to\": \"n\", \"from\": \"\$.n\"}]}')");
is(sql("select tenant || count(*) from postrider.secret s join postrider.secret_version v using (name) where name = 'for.acme' group by tenant"), 'acme2', 'an unbound admin makes a secret for a tenant');
my %id = map { $_ => as($_, "select postrider.emit('a.b', '{\"of\": \"$_-only\"}', key => '$_-only', dedup_key => 'same')") } qw(acme beta);
is(sql("select string_agg(tenant, ',' order by tenant) from postrider.message where topic = 'a.b'"), 'acme,beta', 'messages are of the tenant; one key of deduplication is two');
ok(wait_for("select count(*) from postrider.dead_letter", 2), 'each has a dead letter');
ok(wait_for("select count(*) from postrider.pending where reason = 'held'", 2), 'and something held');
ok($receiver->wait_for_count(2, '/ok/shared'), 'what belongs to nobody gets all');
is($receiver->count('/status/422/acme'), 1, 'what belongs to a tenant gets its own');

# Reading: every table, view, column of every relation there is, from the catalogs.
my @relations = split /\n/, sql("select c.oid::regclass from pg_class c where c.relnamespace = 'postrider'::regnamespace
	and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition order by 1");
cmp_ok(scalar @relations, '>', 15, 'there are relations');
for my $relation (@relations)
{
	my $columns = sql("select string_agg(quote_ident(attname), ', ') from pg_attribute where attrelid = '$relation'::regclass
		and attnum > 0 and not attisdropped and has_column_privilege('acme', attrelid, attnum, 'select')");
	next if $columns eq '';
	my $all = as('free', "select row($columns)::text from $relation");
	my $own = as('acme', "select row($columns)::text from $relation");
	unlike("$own", qr/ERROR|beta/, "$relation: nothing of the other");
	unlike($own, qr/shared\.key|shared/, 'nor of nobody') if $relation !~ /history/;
	like($all, qr/beta/, 'while who is not bound sees it') if $relation =~ /\.(message|endpoint|pending|dead_letter|subscription|secret|delivery|endpoint_health|secret_status)$/;
	like($own, qr/acme/, 'and one\'s own is there') if $relation =~ /\.(message|endpoint|dead_letter|subscription|secret|delivery|endpoint_health|secret_status)$/;
	unlike(as('acme', "create function public.leak(text) returns boolean language plpgsql cost 0.0000001 as 'begin raise notice ''%'', \$1; return true; end';
		select count(*) from $relation x where public.leak(row($columns)::text); drop function public.leak(text)"), qr/beta/, 'nor does a function of its own see more');
	unlike(as('acme', "set max_parallel_workers_per_gather = 4; set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0;
		select row($columns)::text from $relation"), qr/beta/, 'nor a parallel query');
	unlike(as('acme', "copy (select $columns from $relation) to stdout; begin; declare c cursor for select $columns from $relation; fetch all c"), qr/beta/, 'nor COPY or a cursor');
}
for my $partition (split /\n/, sql("select c.oid::regclass from pg_class c where c.relnamespace = 'postrider'::regnamespace and c.relispartition and c.relkind = 'r'"))
{
	like(as('acme', "select * from $partition"), $denied, "$partition is not to be read");
}
sql("grant select on postrider.message_default, " . sql("select string_agg(inhrelid::regclass::text, ',') from pg_inherits where inhparent = 'postrider.message'::regclass") . " to free");
is(as('free', "select count(*) from postrider." . sql("select to_char(now() at time zone 'UTC', '\"message_\"YYYYMMDD')")), 0, 'a partition shows nothing, even if somebody grants it');
is(sql("select count(*) from pg_class where relnamespace = 'postrider'::regnamespace and relkind in ('r', 'p') and not relrowsecurity"), 0, 'no table is without row-level security');
is(sql("select string_agg(c.relname, ' ' order by c.relname) from pg_class c where c.relnamespace = 'postrider'::regnamespace and c.relkind in ('r', 'p')
	and not exists (select from pg_policy p where p.polrelid = c.oid) and exists (select from aclexplode(c.relacl) a where a.grantee <> c.relowner)
	and not c.relispartition") // '', '', 'no table that somebody may read is without a policy');
is(sql("select string_agg(c.relname, ' ' order by c.relname) from pg_class c where c.relnamespace = 'postrider'::regnamespace and c.relkind = 'v'
	and (pg_get_viewdef(c.oid) !~ 'sees_tenant' or not 'security_barrier=true' = any(coalesce(c.reloptions, '{}')))"), 'progress',
	'every view asks for the tenant, but one whose function does');
unlike(as('acme', 'select * from pg_stats where schemaname = \'postrider\''), qr/beta/, 'statistics of the planner say nothing');
is(as('acme', 'select * from postrider.worker; select * from postrider.progress; select * from postrider.worker_status()'), '', 'counts of all are for those of nobody');
is(as('acme', 'select count(*) from postrider.unwritten_stats() u where u.endpoint_id not in (select id from postrider.endpoint)'), 0, 'nor are figures of the minute those of others');
is(as('acme', 'select * from postrider.worker_lag(0, true)'), '0|', 'nor how far the workers are behind');
for my $of ("w.waiting > 0) from postrider.endpoint_waiting(id) w", "w.success_share_1h is not null) from postrider.endpoint_windows(id, null, null, null, null, null) w")
{
	is(as('acme', "select count(*) from generate_series(1, 100) id where (select bool_or($of) and id not in (select e.id from postrider.endpoint e)"), 0, 'nor is what waits for others, or how their attempts went');
}
is(as('acme', 'select count(*) from postrider.endpoint_status()'), sql("select count(*) from postrider.endpoint_status() s join postrider.endpoint e on e.id = s.endpoint_id where e.tenant = 'acme'"), 'how endpoints stand is filtered by the function');

# What runs with more than the caller's rights, or reads tables without looking at them: each such function
# is called by a tenant in this file, or stands here with the reason why it need not be.
my %harmless = (
	(map { $_ => 'says who one is, or what one may see' } qw(acting_role bound_tenant sees_tenant sees_shared sees_payloads readable_error require_owner)),
	(map { $_ => 'reads schemas and mappings, which are of nobody' } qw(compare_schema is_compatible validate_topic describe_mapping map map_errors suggest_mapping)),
	sensitive_paths => 'reads the paths of sensitive fields, which are of nobody',
	source_credential => 'computes an id from what it is given',
	library_version => 'says the version', next_id => 'gives a number', wake => 'wakes the worker', lock_config => 'locks a table',
	record_watches => 'writes down the triggers of the table that one has watched',
	bind_tenant => 'is a trigger: checks', bind_secret_version => 'is a trigger: checks', record_config_change => 'is a trigger: writes history',
	keep_used_mapping => 'is a trigger: checks', forget_total => 'is a trigger: goes with its endpoint',
	check_alert_query => 'plans a query as its caller, and runs nothing', secret_references => 'reads what it is given',
	rotate_key => 'is for superusers');
open(my $this, '<', $0) or die $!;
my $text = join '', <$this>;
my @powerful = split /\n/, sql("select distinct p.proname from pg_proc p join pg_language l on l.oid = p.prolang
	where p.pronamespace = 'postrider'::regnamespace and (p.prosecdef or (l.lanname = 'c' and p.provolatile <> 'i' and p.prorettype <> 'trigger'::regtype
	and exists (select from pg_roles r where r.rolname like 'postrider_%' and has_function_privilege(r.oid, p.oid, 'execute'))))");
cmp_ok(scalar @powerful, '>', 40, 'there are such functions');
is(join(' ', sort grep { !$harmless{$_} && $text !~ /postrider\.$_\(/ } @powerful), '', 'each is tried by a tenant, or known to be harmless');
my %powerful = map { $_ => 1 } @powerful;
is(join(' ', sort grep { !$powerful{$_} } keys %harmless), '', 'and none is excused that is none');
unlike(as('acme', "select * from postrider.timeline('$id{beta}')"), qr/emitted|beta/, 'no timeline of the other');
like(as('acme', "select * from postrider.timeline('$id{acme}')"), qr/emitted/, 'but of one\'s own');
unlike(as('acme', 'select p::text from postrider.problems() p'), qr/beta|shared/, 'nor are problems of others shown');
like(as('acme', 'select postrider.repair_partition(current_date)'), qr/permission denied to repair partitions/, 'nor partitions repaired');
is(as('acme', 'select count(*) from postrider.progress_status()'), 0, 'nor is progress told');

# Changing
my @before = ("select string_agg(e::text, '|' order by id) from postrider.endpoint e where tenant is distinct from 'acme'",
	"select string_agg(s::text, '|' order by id) from postrider.subscription s where endpoint not like 'acme%'",
	"select string_agg(d::text, '|') from postrider.dead_letter d where tenant is distinct from 'acme'",
	"select string_agg(v::text, '|' order by name, version) from postrider.secret_version v where name not like 'acme%'",
	"select string_agg(m::text, '|') from postrider.mapping m",
	"select count(*) from postrider.pending p join postrider.endpoint e on e.id = p.endpoint_id where e.tenant = 'beta'",
	"select count(*) from postrider.topic");
as('beta', "select postrider.set_secret('beta.client', 'beta-client'); insert into postrider.endpoint (name, url, auth) values ('beta.oauth', '$url/ok/oauth',
	'{\"type\": \"oauth2_client_credentials\", \"token_url\": \"http://127.0.0.1:1/\", \"client_id\": \"b\", \"client_secret\": \"beta.client\"}'); select postrider.send('beta.oauth', '1')");
ok(wait_for("select count(*) > 0 from postrider.credential", 't'), 'the other has a credential');
my $beta_credential = sql('select id from postrider.credential');
is(as('acme', 'select count(*) from postrider.credential_status'), 0, 'which one does not see');
my @state = map { sql($_) } @before;
my $beta_id = sql("select id from postrider.endpoint where name = 'beta.crm'");
my @attempts = (
	"update postrider.endpoint set url = '$url/ok/stolen'" => undef,
	"update postrider.endpoint set tenant = 'beta'" => qr/cannot be changed|denied/,
	"update postrider.endpoint set tenant = null" => undef,
	"insert into postrider.endpoint (name, url, tenant) values ('x', '$url/ok', 'beta')" => qr/permission denied for tenant "beta".*HINT/s,
	"insert into postrider.endpoint (name, url) values ('beta.crm', '$url/ok')" => qr/duplicate key/,
	"insert into postrider.endpoint (name, url) values ('beta.crm', '$url/ok') on conflict (name) do update set url = excluded.url" => qr/row-level security|another tenant/,
	"insert into postrider.endpoint (name, url) values ('beta.crm', '$url/ok') on conflict (name) do update set url = excluded.url returning *" => qr/row-level security|another tenant/,
	"merge into postrider.endpoint e using (values ('beta.crm')) v (n) on e.name = v.n when matched then delete when not matched then do nothing" => undef,
	"delete from postrider.endpoint where name = 'beta.crm' returning *" => undef,
	"delete from postrider.subscription where endpoint <> 'acme.crm' and endpoint <> 'acme.held'" => undef,
	"update postrider.subscription set topic = '**' where endpoint like 'beta%'" => undef,
	"insert into postrider.subscription (topic, endpoint) values ('a.b', 'beta.crm')" => qr/row-level security/,
	"insert into postrider.subscription (topic, endpoint) values ('a.b', 'shared')" => qr/row-level security/,
	"update postrider.subscription set endpoint = 'beta.crm'" => qr/row-level security/,
	"delete from postrider.dead_letter where key <> 'acme-only'" => undef,
	"select postrider.set_secret('beta.key', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')" => qr/belongs to another tenant/,
	"select postrider.set_secret('shared.key')" => qr/belongs to another tenant/,
	"select postrider.set_secret('acme.two', tenant => 'beta')" => qr/ERROR/,
	"select postrider.drop_secret('beta.key')" => qr/does not exist/,
	"update postrider.secret set expires_at = now()  where name <> 'acme.key'" => undef,
	"update postrider.endpoint set signing_secret = 'beta.key' where name = 'acme.crm'" => qr/permission denied for secret "beta.key".*HINT/s,
	"update postrider.endpoint set signing_secret = 'shared.key' where name = 'acme.crm'" => qr/permission denied for secret/,
	"update postrider.endpoint set auth = '{\"type\": \"bearer\", \"secret\": \"shared.key\"}' where name = 'acme.crm'" => qr/permission denied for secret|ERROR/,
	"update postrider.endpoint set rate_group = 'beta' where name = 'acme.crm'" => qr/permission denied for rate_group/,
	"insert into postrider.mapping (name, definition) values ('m', '{\"fields\": []}')" => qr/ERROR/,
	"insert into postrider.topic (name, schema) values ('a.b', 'false')" => qr/row-level security/,
	"insert into postrider.schema (name, schema) values ('s', 'true')" => qr/row-level security/,
	"delete from postrider.mapping" => undef,
	"select postrider.send('beta.crm', '1')" => qr/does not exist/,
	"select postrider.send('shared', '1')" => qr/does not exist/,
	"select postrider.emit('a.b', '1', tenant => 'beta')" => qr/permission denied for tenant "beta".*Leave the tenant out/s,
	"select postrider.send('acme.held', '1', tenant => 'beta')" => qr/permission denied for tenant/,
	"select postrider.pause('beta.crm')" => qr/does not exist/,
	"select postrider.pause('b*')" => qr/no endpoint/,
	"select postrider.pause(tenant => 'beta')" => qr/nothing/,
	"select postrider.resume('shared')" => qr/does not exist/,
	"select postrider.retry('$id{beta}')" => qr/no delivery/,
	"select postrider.retry(tenant => 'beta')" => qr/nothing/,
	"select postrider.cancel('$id{beta}')" => qr/nothing/,
	"select postrider.cancel(until => now() + interval '1 hour', key => 'beta-only')" => qr/nothing/,
	"select postrider.purge('$id{beta}')" => qr/nothing/,
	"select postrider.purge(key => 'beta-only', until => now())" => qr/nothing/,
	"select postrider.replay('beta.*', now() - interval '1 hour')" => qr/no endpoint/,
	"select * from postrider.explain('$id{beta}')" => qr/is not known/,
	"select * from postrider.send_test('beta.crm')" => qr/does not exist/,
	"select * from postrider.send_test('acme.crm', tenant => 'beta')" => qr/permission denied for tenant/,
	"select * from postrider.preview('a.b', '{}', tenant => 'beta')" => qr/permission denied for tenant/,
	"select postrider.rotate_key()" => $denied,
	"select postrider.renew_credential('$beta_credential')" => qr/^f$/,
	"select postrider.set_secret_source('acme.key', '{\"store\": \"vault\", \"url\": \"https://vault.example.com\", \"path\": \"a\", \"field\": \"b\", \"token\": \"shared.key\"}')" => qr/cannot be set by a tenant/,
	"select * from postrider.erase(key => 'beta-only')" => qr/nothing matches/,
	"select * from postrider.erase(key => 'acme-only', tenant => 'beta')" => qr/permission denied for tenant "beta"/,
	"select * from postrider.erase(filter => '\$.of starts with \"be\"')" => qr/nothing matches/,
	"select message_key, data from postrider.export_subject(filter => '\$.of starts with \"be\"')" => qr/^\z/,
	"select message_key, data from postrider.export_subject(key => 'acme-only', tenant => 'beta')" => qr/permission denied for tenant "beta"/,
	"insert into postrider.sensitive_field (topic, path) values ('**', '\$.of')" => qr/row-level security/,
	"insert into postrider.payload_retention (topic, keep) values ('**', '1 s')" => qr/row-level security/,
	"select postrider.public_key('beta.key')" => qr/does not exist/,
	"select postrider.on_message('a.b', 'public.seen(postrider.message)', name => 'beta.crm')" => qr/ERROR/);
as('acme', "create table public.saw (what text);
	create function public.seen(message postrider.message) returns void language sql as
	\$\$insert into public.saw select 'setting ' || current_setting('postrider.tenant') union all select topic || coalesce(tenant, '-') || payload from postrider.message union all select name from postrider.endpoint\$\$");
while (my ($query, $answer) = splice @attempts, 0, 2)
{
	my $said = as('acme', "begin; $query; rollback");
	like($said, $answer, "refused: $query") if defined $answer;
	unlike($said, qr/beta-only|beta\.held/, "and says nothing: $query");
	as('acme', $query) if $query !~ /send_test|stolen/;
}
is(sql($before[$_]), $state[$_], "nothing has changed: $before[$_]") for 0 .. $#before;
is(as('acme', "update postrider.endpoint set url = '$url/ok/mine' returning name"), "acme.crm\nacme.held", 'an update of all is of one\'s own');
like(as('acme', "insert into postrider.endpoint (id, name, url) overriding system value values ($beta_id + 1000, 'acme.third', '$url/ok/third') returning id < $beta_id + 1000"), qr/^t/, 'a number cannot be chosen');
is(as('acme', "select postrider.pause() > 0"), 't', 'all means one\'s own');
is(sql("select count(*) from postrider.endpoint where paused_at is not null and tenant is distinct from 'acme'"), 0, 'and no more');
as('acme', 'select postrider.resume()');
unlike(as('acme', "select * from postrider.preview('a.b', '{\"n\": 1}')"), qr/beta|shared/, 'a preview shows endpoints of one\'s own');
like(as('acme', "select * from postrider.preview('a.b', '{\"n\": 1}')"), qr/acme/, 'which it does');
unlike(as('acme', "select * from postrider.explain('$id{acme}')"), qr/beta|shared/, 'so does explain');
unlike(as('acme', "select postrider.export_config()"), qr/beta|shared\.key|"shared"/, 'and a document of the configuration');
like(as('acme', "select postrider.replay('acme.crm', now() - interval '1 hour')"), qr/^\d/, 'one\'s own is replayed');
is(sql("select count(*) from postrider.pending p join postrider.message m on m.id = p.message_id join postrider.endpoint e on e.id = p.endpoint_id where e.tenant <> m.tenant"), 0, 'to oneself');
like(as('free', "update postrider.endpoint set tenant = 'acme' where name = 'shared'"), qr/tenant of endpoint "shared" cannot be changed/, 'what has had messages of all is given to none');

# An admin of all gives a tenant's endpoint a secret of nobody; the tenant cannot send it elsewhere.
is(as('free', "update postrider.endpoint set signing_secret = 'shared.key' where name = 'acme.held'"), '', 'who is not bound may let a tenant\'s endpoint use a shared secret');
for my $change ("url = '$url/ok/stolen'", "proxy = '$url'", "headers = '{\"x\": \"y\"}'", "ca_certificate = null, url = '$url/ok/stolen2'")
{
	like(as('acme', "update postrider.endpoint set $change where name = 'acme.held'"), qr/permission denied for secret "shared\.key"/, "the tenant cannot: $change");
}
is(sql("select url from postrider.endpoint where name = 'acme.held'"), "$url/ok/mine", 'it stays where it was');
is(as('acme', "update postrider.endpoint set signing_secret = 'acme.key' where name = 'acme.held'"), '', 'with a secret of its own');
is(as('acme', "update postrider.endpoint set url = '$url/ok/own' where name = 'acme.held'"), '', 'it may');

# Getting out
for my $query ("set postrider.tenant = 'beta'", "set postrider.tenant = ''", "set local postrider.tenant = ''", "reset postrider.tenant; show postrider.tenant",
	"reset all; show postrider.tenant", "discard all; show postrider.tenant", "select set_config('postrider.tenant', '', false)", "alter role acme set postrider.tenant = 'beta'",
	"alter role acme reset postrider.tenant", "alter role acme reset all", "set session authorization acme; show postrider.tenant",
	"create function public.out() returns text language sql set postrider.tenant = 'beta' as 'select 1'", "alter database postgres set postrider.tenant = ''",
	"update pg_settings set setting = 'beta' where name = 'postrider.tenant'", "do \$\$ begin perform set_config('postrider.tenant', 'beta', true); end \$\$")
{
	unlike(as('acme', "$query; select 'got ' || count(*) from postrider.message where tenant = 'beta'"), qr/got [1-9]/, "no way out: $query");
}
like(as('acme', 'show postrider.tenant'), qr/^acme$/, 'nor for the next session');
like(as('acme', 'show postrider.tenant', options => '-c postrider.tenant=beta'), qr/FATAL:  permission denied to set parameter/, 'nor by options of the connection');
sql('grant free to acme');
is(as('acme', "set role free; select count(*) from postrider.message where tenant = 'beta'"), 0, 'nor by SET ROLE');
sql('revoke free from acme');
is(as('pool', "begin; set local postrider.tenant = 'beta'; select string_agg(distinct tenant, ',') from postrider.message; commit"), 'beta', 'who was granted it may switch for a transaction');
like(as('free', "set postrider.tenant = 'acme'"), $denied, 'who was not may not, even to less');
is(as('acme', "begin; select postrider.emit('p.t', '1') is not null; prepare transaction 'p'"), 't', 'a prepared transaction');
sql("commit prepared 'p'");
is(sql("select tenant from postrider.message where topic = 'p.t'"), 'acme', 'keeps the tenant');

# What the worker does for a tenant
is(as('acme', "select postrider.on_message('c.d', 'public.seen(postrider.message)')"), 'public.seen', 'a function is registered');
is(sql("select tenant from postrider.endpoint where name = 'public.seen'"), 'acme', 'for the tenant');
as('beta', "select postrider.emit('c.d', '\"$mark\"')");
as('acme', "select postrider.emit('c.d', '\"acme\"')");
ok(wait_for("select count(*) > 0 from public.saw", 't'), 'it is called');
is(sql("select count(*) from public.saw where what like 'setting%'"), 1, 'once, for the message of its tenant');
is(sql("select what from public.saw where what like 'setting%'"), 'setting acme', 'and is bound there as well');
is(sql("select count(*) from public.saw where what like '%beta%'"), 0, 'so that it sees nothing else');
as('acme', "create table public.watched (id int primary key); select postrider.watch('watched'); insert into watched values (1)");
is(sql("select tenant from postrider.message where topic = 'watched.insert'"), 'acme', 'a watched table emits for the tenant');
as('acme', "update postrider.endpoint set reply_topic = 'beta.in', url = '$url/made/201/x', enabled = true where name = 'acme.crm'");
as('acme', "select postrider.send('acme.crm', '1')");
ok(wait_for("select string_agg(distinct tenant, ',') from postrider.message where topic = 'beta.in'", 'acme'), 'a reply on a topic of others is still of the tenant');

# The owner of a database may bind it; its worker goes on.
sql("alter database postgres set postrider.tenant = 'nobody'");
$node->restart;
as('beta', "select postrider.emit('a.b', '{\"n\": 2}')");
my $shared = $receiver->count('/ok/shared');
ok($receiver->wait_for_count($shared + 1, '/ok/shared') || 1, 'worker runs');
is($node->safe_psql('postgres', "select count(*) from postrider.message where tenant = 'beta' and topic = 'a.b'"), '2', 'a superuser sees all, bound or not');

$receiver->down;
$node->stop;
done_testing();
