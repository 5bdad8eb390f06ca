# The kinds of postrider.problem that 063 does not plant; who sees what; and no row where
# nothing is wrong.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $receiver = PostriderTest::Receiver->start;
my $dir = tempdir(CLEANUP => 1);
my $node = PostriderTest::node('kinds', init => { allows_streaming => 1 }, conf => "max_worker_processes = 20\n");
my $database = 'postgres';
my %seen = map { $_ => 1 } qw(worker rate_limit secret_expired dns tls mapping breaker disabled dead_letters paused partition default_partition);

sub sql { return $node->safe_psql($database, $_[0]); }
sub send_to
{
	my ($name, $count) = (@_, 1);
	sql("select count(*) from (select postrider.send('$name', to_jsonb(n)) from generate_series(1, $count) n) x");
}
sub endpoint
{
	my ($name, $url, %more) = @_;
	sql("insert into postrider.endpoint (name, url, backoff_base, backoff_max" . join('', map { ", $_" } sort keys %more) . ")
		values ('$name', '$url', '100 ms', '100 ms'" . join('', map { ", $more{$_}" } sort keys %more) . ")");
}
sub as
{
	my ($user, $query) = @_;
	my ($status, $out, $err) = $node->psql($database, $query, connstr => $node->connstr($database) . " user=$user");
	return "$out$err";
}

# Waits for a row of the kind and looks at it; returns it.
sub problem
{
	my ($kind, $object, $text) = @_;
	my $row;
	eval { PostriderTest::wait_until(sub {
		$row = sql("select to_jsonb(p) from postrider.problem p where kind = '$kind' and object = '$object'");
		return $row ne '';
	}, "there is a problem $kind", 30); };
	ok($row ne '', "$kind of $object") or diag(sql('select * from postrider.problem'));
	return {} if $row eq '';
	$row = decode_json($row);
	$seen{$kind} = 1;
	like("$row->{problem} $row->{detail}", $text, 'which says what is known');
	return $row;
}

# Runs a remedy as it is pasted.
sub remedy
{
	my ($row, %filled) = @_;
	my $text = $row->{remedy} // '';
	for my $name (keys %filled)
	{
		$text = join "\n", map { /^--/ ? $_ : s/<\Q$name\E>/$filled{$name}/r } split /\n/, $text;
	}
	my ($status, $out, $err) = $node->psql($database, $text);
	is($status . ($err =~ /ERROR/ ? $err : ''), 0, 'its remedy can be run') or diag($text);
}
sub gone
{
	my ($kind, $object) = @_;
	my $left;
	my $where = "kind = '$kind'" . ($object ? " and object = '$object'" : '');
	ok((eval { PostriderTest::wait_until(sub { ($left = sql("select string_agg(p::text, ' ') from postrider.problem p where $where")) eq '' }, 'it is gone', 30) }), "and $kind is gone")
	  or diag($left);
}

# --- All is well: messages flow, one is tried again, a transaction is open, an endpoint that nobody needs is disabled.
endpoint('well', $receiver->url('/ok/well'), signing_secret => "'good'") if sql("select postrider.set_secret('good', expires_at => now() + interval '1 year')");
endpoint('shaky', $receiver->url('/first/503/1/shaky'));
endpoint('off', $receiver->url('/ok/off'), enabled => 'false');
endpoint('paced', $receiver->url('/ok/paced'), rate_limit => 100);
sql("create table orders (id int primary key); select postrider.watch('orders')");
send_to($_, $_ eq 'shaky' ? 5 : 20) for qw(well shaky paced);
my $open = $node->background_psql('postgres');
$open->query_safe("begin; select postrider.send('well', '1')");
ok($receiver->wait_for_count(20, '/ok/well') && $receiver->wait_for_count(10, '/first/503/1/shaky'), 'messages flow');
my $wrong;
eval { PostriderTest::wait_until(sub { ($wrong = sql('select string_agg(p::text, chr(10)) from postrider.problem p')) eq '' }, 'all is well', 30) };
is($wrong, '', 'where nothing is wrong there is no row');
$open->query_safe('commit');
$open->quit;

# --- Who sees what
sql("create role eye login; grant postrider_reader to eye; create role acme login; grant postrider_reader, postrider_payload_reader to acme; alter role acme set postrider.tenant = 'acme';
	insert into postrider.endpoint (name, url, tenant) select t || '.crm', '" . $receiver->url('/ok/crm') . "', t from unnest('{acme,beta}'::text[]) t;
	insert into postrider.mapping (name, definition) values ('m', '{\"fields\": [{\"to\": \"total\", \"from\": \"\$.total\", \"type\": \"integer\"}]}');
	insert into postrider.subscription (topic, endpoint, mapping) values ('a.b', 'beta.crm', 'm'), ('a.b', 'acme.crm', 'm');
	select postrider.emit('a.b', '{\"total\": \"planted\"}', tenant => t) from unnest('{acme,beta}'::text[]) t");
problem('mapping', 'mapping m of endpoint beta.crm', qr/"planted" is not an integer/);
sql("select postrider.pause('beta.crm'); alter table orders disable trigger all");
like(as('eye', "select problem || detail from postrider.problem where kind = 'mapping'"), qr/field total.*withheld/, 'who may not see payloads sees which field, and not the error');
unlike(as('eye', 'select * from postrider.problem'), qr/planted|ERROR/, 'and nothing of it elsewhere');
is(as('acme', 'select string_agg(kind || object, $$,$$) from postrider.problem'), 'mappingmapping m of endpoint acme.crm', 'who is bound to a tenant sees its own problems');
like(as('acme', 'select * from postrider.server_problems()'), qr/permission denied/, 'and nothing behind the view');
like(as('acme', "select postrider.repair_partition(current_date)"), qr/permission denied/, 'nor may it repair');
my $row = problem('trigger', 'table public.orders', qr/triggers are disabled.*postrider_insert_orders\.insert/);
remedy($row);
gone('trigger');
sql("select postrider.resume('beta.crm'); select postrider.purge(until => now())");
is(sql('select count(*) from postrider.problem'), 0, 'all is well again');

# --- A copy of the database, in which no worker has been; and a worker that is missing
$node->safe_psql('postgres', 'create database other');
$database = 'other';
sql('create extension postrider');
ok((PostriderTest::wait_until { sql("select state from postrider.worker") eq 'running' && sql('select count(*) from postrider.dispatch_cursor') } 'it runs'), 'another database has a worker');
$node->safe_psql('postgres', 'create database copy template other');
$database = 'copy';
$row = problem('copy', 'database copy', qr/copy of another one.*left to the original/);
remedy($row);
gone('copy');
$database = 'other';
$node->safe_psql('postgres', "alter database other with allow_connections false;
	select pg_terminate_backend(pid) from pg_stat_activity where datname = 'other'");
ok((PostriderTest::wait_until { $node->safe_psql('postgres', "select count(*) from pg_stat_activity where datname = 'other'") eq '0' } 'it is gone'), 'a database is closed for a while');
sleep 3;						# the launcher tries to start it once more
$node->safe_psql('postgres', 'alter database other with allow_connections true');
$row = problem('worker', 'worker 0', qr/no worker runs/);
remedy($row);
gone('worker');
ok((PostriderTest::wait_until { sql("select state from postrider.worker") eq 'running' } 'it runs'), 'and the worker runs');

# From here on what takes an hour takes a second.
for (qw(postgres other))
{
	$node->safe_psql($_, q{do $$ declare f text; begin
		foreach f in array array['server_problems', 'endpoint_problems'] loop
			execute regexp_replace(pg_get_functiondef(('postrider.' || f)::regproc), '''(1 hour|10 seconds|1 minute|5 minutes|15 minutes)''', '''1 second''', 'g');
		end loop; end $$});
}

# --- A worker that fails again and again
sql('alter table postrider.endpoint_state rename to endpoint_state_x');
$node->safe_psql('postgres', "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'other' and backend_type = 'postrider worker'");
$row = problem('worker_error', 'worker 0', qr/endpoint_state/);
sql('alter table postrider.endpoint_state_x rename to endpoint_state');
remedy($row);
ok((PostriderTest::wait_until { sql("select state from postrider.worker") eq 'running' } 'it runs'), 'when its cause is repaired the worker runs');

# --- Another version of the SQL objects
my $version = sql('select postrider.library_version()');
sql(q(alter extension postrider update to '9.9.9'));
$row = problem('version', 'extension postrider', qr/server runs is version \Q$version\E, the SQL objects of this database are version 9\.9\.9/);
is(sql('select count(*) from postrider.problem'), 1, 'and nothing else is asked');
like($row->{remedy}, qr/^-- Install version 9\.9\.9 of the library, and restart the server\./, 'its remedy is for who installs');
sql("alter extension postrider update to '$version'");
gone('version');

# --- The launcher, which comes back by itself
$database = 'postgres';
sql("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'postrider launcher'");
$row = problem('launcher', 'launcher', qr/does not run/);
like($row->{remedy}, qr/^-- .*\n-- .*\nalter system set max_worker_processes = 28;/, 'its remedy is for the case that it does not come back');
gone('launcher');

# --- A lock; and a worker that hangs
my $locker = $node->background_psql('postgres');
$locker->query_safe('begin; lock table postrider.attempt in share mode');
send_to('well');
$row = problem('worker_lock', 'worker process ' . sql('select pid from postrider.worker'), qr/waited for a lock.*held by process \d+ \(postgres, idle in transaction/);
remedy($row);
eval { $locker->quit };
gone('worker_lock');
my $worker = sql('select pid from postrider.worker');
kill 'STOP', $worker;
send_to('well');
sql("insert into postrider.pending (message_id, endpoint_id, due_at, reason) select postrider.id_floor(now() - interval '19 minutes'), id, now() - interval '16 minutes', 'overflow' from postrider.endpoint where name = 'well'");
$row = problem('worker_lag', 'worker 0', qr/\d seconds behind.*does not get on/);
my $backlog = problem('backlog', 'endpoint well', qr/due for 19 minutes.*1 message wait/);
remedy($backlog);
remedy($row);
kill 'CONT', $worker;
gone('worker_lag');
gone('backlog');

# --- The key; what is encrypted with it cannot be used
my $key = $node->data_dir . '/postrider.key';
rename $key, "$key.away" or die;
$node->reload;
$row = problem('key', 'key file', qr/could not open.*Concerned: good/);
ok((PostriderTest::wait_until { sql("select postrider.send('well', '1')"); sql("select last_error_code from postrider.endpoint_status() s join postrider.endpoint e on e.id = s.endpoint_id where e.name = 'well'") eq 'secret' } 'it fails'), 'requests cannot be signed');
my $unsigned = problem('credential', 'endpoint well', qr/cannot be authenticated or signed: secret "good" cannot be read/);
open(my $other, '>', $key) or die;
print $other 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
close $other;
chmod 0600, $key;
problem('key', 'key file', qr/other keys than those/);
rename "$key.away", $key or die;
remedy($row);
gone('key');
remedy($unsigned);
gone('credential');

# --- Secrets, stores and tokens
sql("select postrider.set_secret('soon', 'x', expires_at => now() + interval '1 day'); select postrider.set_secret('unused', 'x', expires_at => now() + interval '1 day');
	select postrider.set_secret('empty', 'x'); delete from postrider.secret_version where name = 'empty';
	select postrider.set_secret_source('vault', '{\"store\": \"vault\", \"url\": \"http://127.0.0.1:1\", \"path\": \"kv/data/x\", \"field\": \"value\", \"token\": \"good\"}')");
endpoint('secrets', $receiver->url('/ok/secrets'), auth => q('{"type": "bearer", "secret": "soon"}'), signing_secret => "'empty'");
endpoint('stored', $receiver->url('/ok/stored'), auth => q('{"type": "bearer", "secret": "vault"}'));
endpoint('tokens', $receiver->url('/ok/tokens'), auth => q('{"type": "oauth2_client_credentials", "token_url": "http://127.0.0.1:1/token", "client_id": "a", "client_secret": "good"}'));
send_to($_) for qw(stored tokens);
$row = problem('secret_expiring', 'secret soon', qr/expires in 2[34] hours Needed by endpoint secrets/);
is(sql("select count(*) from postrider.problem where kind = 'secret_expiring'"), 1, 'what nobody uses is no problem');
remedy($row, "'the new value'" => "'y'", 'null or time' => 'null');
gone('secret_expiring');
$row = problem('secret_empty', 'secret empty', qr/has no value Needed by endpoint secrets/);
remedy($row, "'the new value'" => "'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'", 'null or time' => 'null');
gone('secret_empty');
$row = problem('secret_source', 'secret vault', qr/does not give the value: .*127\.0\.0\.1/);
remedy($row);
$row = problem('token', 'token of http://127.0.0.1:1/token', qr/cannot be fetched: .*oauth2_client_credentials of endpoint tokens; with secrets good/);
remedy($row);
sql("select postrider.pause(n) from unnest('{stored,tokens}'::text[]) n; delete from postrider.endpoint where name in ('stored', 'tokens'); select postrider.drop_secret('vault')");
gone('secret_source');
gone('token');

# --- Endpoints
endpoint('refused', 'http://127.0.0.1:1/', breaker_share => 'null', max_attempts => 1000);
endpoint('busy', $receiver->url('/after/503/1/300'));
endpoint('behind', 'http://receiver.example.com/', proxy => "'http://127.0.0.1:1'");
endpoint('needs', $receiver->url('/ok/needs/{{$.id}}'));
endpoint('held', $receiver->url('/ok/held'), enabled => 'false');
endpoint('ending', $receiver->url('/ok/ending'), ca_certificate => "'" . certificate() . "'");
endpoint('function', 'function:public.fails(postrider.message)', max_attempts => 1) if sql("create function public.fails(postrider.message) returns void language plpgsql as 'begin raise exception ''no luck''; end'; select 1");
sub certificate
{
	system("cd $dir && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key -out crt -days 5 -subj /CN=own 2>/dev/null") == 0 or die;
	return slurp_file("$dir/crt");
}
sql("update postrider.endpoint set backoff_max = '1 hour' where name = 'busy'");
send_to($_, 2) for qw(refused busy behind needs held function);
$row = problem('failing', 'endpoint refused', qr/requests in a row have failed: Failed to connect/);
remedy($row);
$row = problem('throttled', 'endpoint busy', qr/asked to wait until \d{4}-/);
remedy($row);
$row = problem('proxy', 'endpoint behind', qr/the proxy http:\/\/127\.0\.0\.1:1/);
remedy($row, "'proxy'" => "'none'");
$row = problem('template', 'endpoint needs', qr/2 messages were given up: the request cannot be made from them/);
sql("update postrider.endpoint set url = '" . $receiver->url('/ok/needs') . "' where name = 'needs'");
remedy($row);
ok($receiver->wait_for_count(2, '/ok/needs'), 'and messages flow');
$row = problem('disabled', 'endpoint held', qr/is disabled, and messages are held for it By postgres\./);
remedy($row);
ok($receiver->wait_for_count(2, '/ok/held'), 'and messages flow');
$row = problem('certificate', 'endpoint ending', qr/ca_certificate ends on/);
remedy($row, "'the new PEM'" => 'null');
$row = problem('dead_letters', 'endpoint function', qr/2 messages were given up: sql_P0001 \(2\).*no luck/);
sql("create or replace function public.fails(postrider.message) returns void language sql as ''");
remedy($row);
gone($_) for qw(proxy template disabled certificate);
gone('dead_letters', 'endpoint function');
sql("delete from postrider.endpoint where name in ('refused', 'busy', 'behind')");

# --- A tenant at its limit
sql("insert into postrider.tenant (name, rate_limits) values ('acme', '2 per hour')");
sql("delete from postrider.subscription where endpoint = 'acme.crm'; insert into postrider.subscription (topic, endpoint) values ('a.c', 'acme.crm');
	select count(*) from (select postrider.emit('a.c', to_jsonb(n), tenant => 'acme') from generate_series(1, 20) n) x");
$row = problem('tenant_limit', 'tenant acme', qr/at the rate limits of the tenant what waits takes \d+ hours Used: [12] of 2 in 01:00:00\. 1\d messages wait, for endpoint acme\.crm\./);
is(as('acme', 'select string_agg(kind || object, $$,$$) from postrider.problem'), 'tenant_limittenant acme', 'it sees that itself');
remedy($row, "'limits'" => "'1000 per s'");
gone('tenant_limit');
sql("delete from postrider.tenant");

# --- The guard
endpoint('inside', $receiver->url('/ok/inside'));
sql("alter system set postrider.allowed_networks = '10.0.0.0/8'");
sql('select pg_reload_conf()');
ok((PostriderTest::wait_until { send_to('inside'); sql('select count(*) from postrider.dead_letter') } 'it is refused'), 'an address that is not allowed is refused');
$row = problem('address_refused', 'endpoint inside', qr/given up: the URL leads to an address/);
remedy($row, "'10.0.0.0/8, network, such as 10.1.0.0/16'" => "'10.0.0.0/8, 127.0.0.0/8'");
ok($receiver->wait_for_count(1, '/ok/inside'), 'and messages flow');
gone('address_refused');

# --- Given up: by the worker that they ended; more than are counted
sql("insert into postrider.dead_letter (message_id, endpoint_id, reason, attempts, error_code, error, topic, payload)
	select postrider.next_id(), id, 'dead', 0, 'crash', 'it ended', 'x', '1' from postrider.endpoint, generate_series(1, 2) where name = 'held'");
$row = problem('suspect', 'endpoint held', qr/2 messages were given up: the worker ended each time/);
remedy($row);
ok($receiver->wait_for_count(4, '/ok/held'), 'and messages flow');
gone('suspect');
sql("insert into postrider.dead_letter (message_id, endpoint_id, reason, attempts, error_code, error, topic, payload)
	select postrider.next_id(), id, 'dead', 1, 'http_' || case when n > 50 then 422 else 400 end, 'it failed', 'x', '1' from postrider.endpoint, generate_series(1, 150) n where name = 'held'");
$row = problem('dead_letters', 'endpoint held', qr/more than 100 messages were given up: http_4/);
remedy($row);
gone('dead_letters');
ok($receiver->wait_for_count(154, '/ok/held'), 'all of them are sent');

# --- Partitions that stay
sql("select postrider.make_partition((now() at time zone 'UTC')::date - 20, false)");
$row = problem('retention', 'partition attempt_' . sql("select to_char((now() at time zone 'UTC')::date - 20, 'YYYYMMDD')"), qr/older than postrider\.retention \(7d\) are not dropped: 2 of them/);
remedy($row) for 1 .. 2;
gone('retention');

# --- Transactions
my $long = $node->background_psql('postgres');
$long->query_safe("begin; select postrider.send('well', '1')");
my $pid = $long->query_safe('select pg_backend_pid()') =~ s/\s//gr;
$row = problem('transaction', "process $pid", qr/open for \d+ seconds postgres, 064_problem_kinds\.pl from the server itself, idle in transaction since/);
remedy($row);
gone('transaction');
eval { $long->quit };
sql("begin; select postrider.send('well', '1'); prepare transaction 'forgotten'");
$row = problem('prepared_transaction', 'transaction forgotten', qr/Prepared by postgres/);
remedy($row);
sql($row->{remedy} =~ s/^-- (rollback prepared)/$1/mr);
gone('prepared_transaction');

# --- A standby, and the slot that it leaves behind
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
sql("select pg_create_physical_replication_slot('standby')");
$standby->append_conf('postgresql.conf', "primary_slot_name = 'standby'\nhot_standby_feedback = on\nwal_receiver_status_interval = 1\n");
$standby->start;
sql("select postrider.pause('well')");
$node->wait_for_catchup('standby');
is($standby->safe_psql('postgres', 'select count(*) from postrider.problem'), 0, 'on a standby there is nothing to do');
is(sql("select count(*) from postrider.problem where kind = 'paused'"), 1, 'but on its primary');
ok(PostriderTest::wait_for($node, "select count(*) from pg_replication_slots where xmin is not null", 1), 'the standby tells what it needs');
is(sql("select count(*) from postrider.problem where kind = 'replication_slot'"), 0, 'that is no problem');
$standby->stop('immediate');
$row = problem('replication_slot', 'replication slot standby', qr/nobody uses/);
remedy($row);
sql($row->{remedy} =~ s/^-- (select)/$1/mr);
gone('replication_slot');
sql("select postrider.resume('well')");

# --- More than shared memory has room for
sql("set session_replication_role = replica; insert into postrider.endpoint (name, url, created_at, rate_group) select 'many' || n, '" . $receiver->url('/ok') . "', now() - interval '1 hour', 'group' || n from generate_series(1, 4100) n");
problem('limit', 'rate groups', qr/there are 4100/);
problem('limit', 'endpoints', qr/^\d+ endpoints are not seen/);
sql("set session_replication_role = replica; delete from postrider.endpoint where name like 'many%'; set session_replication_role = origin; update postrider.endpoint set description = '' where name = 'well'");
gone('limit');

# --- All kinds were seen, and the page for operators has them all.
my @kinds = split /\n/, sql('select kind from postrider.problem_kinds() order by kind');
is_deeply([ grep { !$seen{$_} } @kinds ], [], 'every kind was planted, here or in 063');
my $page = slurp_file('../doc/operations.md');
is_deeply([ sort $page =~ /^\| `(\w+)` \|/mg ], \@kinds, 'doc/operations.md has a line for each kind, and no other');
is(sql('select string_agg(p::text, chr(10)) from postrider.problem p'), '', 'and nothing is left');

$receiver->down;
$node->stop;
done_testing();
