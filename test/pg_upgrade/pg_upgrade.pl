# pg_upgrade with messages in every state: what was delivered is not sent again, what is
# owed is sent once, in order, and nothing else of postrider's tables changes.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep);

my ($old_bin, $new_bin) = map { "/usr/lib/postgresql/$_" } $ENV{OLD}, $ENV{NEW};
my $receiver = PostriderTest::Receiver->start;
my $down = PostriderTest::Receiver->start;
my $conf = <<CONF;
shared_preload_libraries = 'postrider'
postrider.allowed_networks = '127.0.0.0/8'
max_worker_processes = 16
CONF

# PostgreSQL 18 has checksums by default, and both must have them or not.
my ($old, $new) = map {
	my $node = PostgreSQL::Test::Cluster->new($_->[0], install_path => $_->[1]);
	$node->init(extra => ['-k']);
	$node->append_conf('postgresql.conf', $conf);
	$node;
} [ 'old', $old_bin ], [ 'new', $new_bin ];
my $node = $old;

sub sql { return $node->safe_psql('shop', $_[0]); }

sub wait_for
{
	my ($query, $value, $timeout) = @_;
	my $last = '';
	my $ok = eval { PostriderTest::wait_until(sub { ($last = sql($query)) eq $value }, $query, $timeout) };
	diag("wanted $value, last was $last: $query") unless $ok;
	return $ok;
}

sub endpoint
{
	my ($name, $path, $columns, $values) = @_;
	my $url = $receiver->url($path);
	sql("insert into postrider.endpoint (name, url" . ($columns ? ", $columns" : '') . ") values ('$name', '$url'"
		  . ($values ? ", $values" : '') . ')');
}

# Messages in the order in which they arrived: what "n" their data has.
sub arrived { return join ' ', map { $_->{body} =~ /"data": ?\{"n": ?(\d+)/ } @_; }

# With -b, as pg_upgrade starts it: what is on disk, and nobody works on it.
sub look
{
	$node->start_in_binary_upgrade_mode;
	my %seen = (workers => sql(q{select count(*) from pg_stat_activity where backend_type like 'postrider%'}));
	for my $table (split /\n/, sql(q{select c.relname from pg_class c where c.relnamespace = 'postrider'::regnamespace
		and c.relkind in ('r', 'p') and not c.relispartition order by 1}))
	{
		$seen{$table} = sql("select t from postrider.$table t order by t::text");
	}
	$seen{oid} = sql('select oid from pg_database where datname = current_database()');
	$seen{next_xid} = sql('select pg_snapshot_xmax(pg_current_snapshot())');
	$seen{sequences} = sql(q{select sequencename, last_value from pg_sequences where schemaname = 'postrider' order by 1});
	$node->stop_in_binary_upgrade_mode;
	return \%seen;
}

sub PostgreSQL::Test::Cluster::start_in_binary_upgrade_mode
{
	my ($self) = @_;
	local %ENV = $self->_get_env;
	system_or_bail('pg_ctl', '-D', $self->data_dir, '-l', $self->logfile, '-w', '-o', '-b --cluster-name=' . $self->name, 'start');
}

sub PostgreSQL::Test::Cluster::stop_in_binary_upgrade_mode
{
	my ($self) = @_;
	local %ENV = $self->_get_env;
	system_or_bail('pg_ctl', '-D', $self->data_dir, '-m', 'fast', '-w', 'stop');
}

# Transaction ids beyond 2^32, as they are after years: the cursor knows them with their epoch.
system_or_bail("$old_bin/bin/pg_resetwal", '-e', '3', '-D', $old->data_dir);
$old->start;
$old->safe_psql('postgres', 'create database gone');
$old->safe_psql('postgres', 'create database shop');
$old->safe_psql('postgres', 'drop database gone');
sql('create extension postrider');

# Delivered, dead, held, scheduled, to be tried again, and in order behind such a one.
my $secret = sql("select postrider.set_secret('s')");
endpoint('crm', '/ok/crm', 'signing_secret', "'s'");
endpoint('shut', '/ok/shut', 'enabled', 'false');
endpoint('dead', '/status/400');
endpoint('soon', '/first/503/1/soon', 'retry_schedule', "'{90 s}'");
endpoint('later', '/first/503/1/later', 'retry_schedule', "'{1 day}'");
endpoint('ordered', '/ok/ordered', 'ordered, retry_schedule', "true, '{90 s}'");
sql("update postrider.endpoint set url = '" . $down->url('/ok/ordered') . "' where name = 'ordered'");
$down->down;
endpoint('second', '/ok/second');
sql(q{insert into postrider.mapping (name, definition) values ('m', '{"fields": [{"to": "n", "from": "$.n"}]}');
	insert into postrider.topic (name, schema) values ('order.paid', '{"type": "object", "required": ["n"]}');
	insert into postrider.subscription (topic, endpoint) values ('order.*', 'crm');
	insert into postrider.subscription (topic, endpoint, mapping) values ('order.*', 'second', 'm')});
sql(q{create table item (id int primary key, n int);
	select postrider.watch('item', 'item.changed');
	create table note (id uuid, n int);
	create function note(m postrider.message) returns void language sql as $$ insert into public.note values (m.id, (m.payload ->> 'n')::int) $$;
	select postrider.on_message('order.*', 'note(postrider.message)')});
sql(q{insert into postrider.subscription (topic, endpoint) values ('item.*', 'crm')});

my $open = $node->background_psql('shop', timeout => 3600);
$open->query_safe('begin');
$open->query_safe(q{select postrider.emit('order.paid', '{"n": 1000}')});

sql(q{select postrider.emit('order.paid', jsonb_build_object('n', n)) from generate_series(1, 200) n});
sql(q{insert into item select n, n from generate_series(1, 20) n});
sql(qq{select postrider.send('$_', jsonb_build_object('n', n)) from generate_series(1, 5) n}) for 'shut', 'dead', 'later';
sql(q{select postrider.send('crm', '{"n": 2001}', deliver_at => now() + interval '90 seconds')});
sql(q{select postrider.send('crm', '{"n": 2002}', deliver_at => now() + interval '1 day')});
ok($receiver->wait_for_count(220, '/ok/crm'), 'messages are delivered');
ok($receiver->wait_for_count(200, '/ok/second'), 'to a second endpoint too');
ok(wait_for('select count(*) from note', 200), 'and functions are called');
ok(wait_for('select count(*) from postrider.dead_letter', 5), 'some are dead');

# The cursor passes what is still open: it has that transaction in its list.  Tries that come after the upgrade.
sql(q{select postrider.send('soon', jsonb_build_object('n', n)) from generate_series(1, 5) n});
sql(q{select postrider.send('ordered', jsonb_build_object('n', n), key => 'k') from generate_series(1, 5) n});
ok(wait_for(q{select string_agg(s.r, ' ' order by s.r) from (select e.name || ' ' || p.reason || ' ' || count(*) as r
	from postrider.pending p join postrider.endpoint e on e.id = p.endpoint_id group by e.name, p.reason) s},
	'crm scheduled 2 later retry 5 ordered ordered 4 ordered retry 1 shut held 5 soon retry 5'), 'the table pending has what is owed');
ok(wait_for(q{select pg_snapshot_xmin(c.snapshot) < pg_snapshot_xmax(c.snapshot) and not exists (select from postrider.message m
	where not pg_visible_in_snapshot(m.xid, c.snapshot)) from postrider.dispatch_cursor c}, 't'), 'the cursor is behind all that has been committed');

# The worker goes, and nobody starts another one: what comes now stays behind the cursor.
my $launcher = sql(q{select pid from pg_stat_activity where backend_type = 'postrider launcher'});
kill 'STOP', $launcher;
sql(q{select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'postrider worker'});
ok(wait_for(q{select count(*) from pg_stat_activity where backend_type = 'postrider worker'}, 0), 'the worker has stopped');
sql(q{select postrider.emit('order.paid', jsonb_build_object('n', n)) from generate_series(3001, 3300) n});
sql(q{begin; select postrider.emit('order.paid', '{"n": 4000}'); rollback});
sql(q{insert into item select n, n from generate_series(21, 40) n});
$open->query_safe('commit');
$open->quit;
my $newest = sql('select id from postrider.message order by id desc limit 1');
like(sql('select snapshot from postrider.dispatch_cursor'), qr/^\d+:\d+:\d+/, 'the cursor has a transaction in its list');
cmp_ok(sql('select pg_snapshot_xmin(snapshot) from postrider.dispatch_cursor'), '>', 3 * 2**32, 'and transaction ids are beyond 2^32');
is(sql(q{select count(*) from postrider.message m, postrider.dispatch_cursor c where not pg_visible_in_snapshot(m.xid, c.snapshot)}),
	321, 'messages are behind the cursor');
my $delivery = q{select * from postrider.delivery where status in ('delivered', 'dead') order by message_id, endpoint};
my $delivered = sql($delivery);
my $attempts = sql('select count(*) from postrider.attempt');
my $requests = $receiver->count;
{
	local %ENV = $node->_get_env;
	system_or_bail("$old_bin/bin/pg_ctl", '-D', $node->data_dir, '-m', 'fast', '-W', 'stop');
}
PostriderTest::wait_until(sub { slurp_file($node->logfile) =~ /received fast shutdown request/ }, 'the server stops');
kill 'CONT', $launcher;
PostriderTest::wait_until(sub { !-e $node->data_dir . '/postmaster.pid' }, 'the server has stopped');
$old->{_pid} = undef;

my $before = look();
is($before->{workers}, 0, 'pg_upgrade\'s own server has no worker');
is($receiver->count, $requests, 'and sends nothing');

# pg_upgrade writes into the folder where it is.
chdir $new->basedir;
my @pg_upgrade = ("$new_bin/bin/pg_upgrade", '-b', "$old_bin/bin", '-B', "$new_bin/bin", '-d', $old->data_dir, '-D', $new->data_dir,
	'-p', $old->port, '-P', $new->port);
$new->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
my ($out, $error) = run_command([ @pg_upgrade, '--check' ]);
unlike("$out$error", qr/Clusters are compatible/, 'pg_upgrade --check refuses a new server that does not load the library');
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'postrider'\n");
command_ok([ @pg_upgrade, '--check' ], 'pg_upgrade --check');
command_ok(\@pg_upgrade, 'pg_upgrade');
is($receiver->count, $requests, 'sends nothing');

$node = $new;
my $after = look();
is($after->{workers}, 0, 'nor has the new server a worker yet');
cmp_ok($after->{next_xid}, '>=', $before->{next_xid}, 'transaction ids go on');
delete $_->{next_xid} for $before, $after;
is_deeply([ sort keys %$after ], [ sort keys %$before ], 'the tables are the same');
is($after->{$_}, $before->{$_}, "$_ is as it was") for sort keys %$before;

$down->up;

# Without the key file what must be signed waits; everything else is sent.
$node->start;
ok($receiver->wait_for_count(501, '/ok/second'), 'what was behind the cursor is delivered');
ok(wait_for('select count(*) from note', 501), 'to functions too');
ok(wait_for(q{select count(*) from postrider.problem where kind = 'key'}, 1), 'postrider.problem says that the key file is missing');
is($receiver->count('/ok/crm'), 220, 'nothing is sent that is not signed');
is(sql(q{select count(*) from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = 'crm'}), 0, 'and nothing is given up');
system_or_bail('cp', '-p', $old->data_dir . '/postrider.key', $new->data_dir);
sql(q{select pg_reload_conf(); select postrider.retry(endpoint => 'crm')});
ok($receiver->wait_for_count(542, '/ok/crm', 120), 'with the key file the rest is sent, and what was scheduled');
is(scalar(grep { !PostriderTest::verify($_, $secret) } $receiver->requests('/ok/crm')), 0, 'signed with the secret that was');
ok($receiver->wait_for_count(10, '/first/503/1/soon', 120), 'what was to be tried again is');
ok($down->wait_for_count(5, '/ok/ordered', 120), 'and what had to wait for that');
is(arrived($down->requests), '1 2 3 4 5', 'in order');
sql(q{update postrider.endpoint set enabled = true where name = 'shut'});
ok($receiver->wait_for_count(5, '/ok/shut'), 'what was held is sent when its endpoint is enabled');
ok(wait_for(q{select count(*) from postrider.delivery where status not in ('delivered', 'dead', 'scheduled') and endpoint <> 'later'}, 0), 'nothing is left');

# Exactly once.
sleep 2;
is($down->count, 5, 'what is in order was sent once');
my %wanted = ('/ok/crm' => 542, '/ok/second' => 501, '/ok/shut' => 5, '/status/400' => 5, '/first/503/1/soon' => 10,
	'/first/503/1/later' => 5);
for my $path (sort keys %wanted)
{
	my $ids = $receiver->ids($path);
	my %times;
	$times{$_}++ for values %$ids;
	my $expected = $path =~ m{/soon} ? { 2 => 5 } : { 1 => $wanted{$path} };
	is_deeply(\%times, $expected, "$path: every message as often as it must");
}
is(join(' ', sort { $a <=> $b } split / /, arrived($receiver->requests('/ok/second'))), join(' ', 1 .. 200, 1000, 3001 .. 3300), 'these and no others');
is(sql('select count(*) - count(distinct id) from note'), 0, 'no function was called twice');
is(sql(q{select count(*) from postrider.attempt where error_code is distinct from 'secret'}), $attempts + 301 + 301 + 322 + 5 + 5 + 5, 'every new attempt is recorded, every old one kept');
my %now = map { $_ => 1 } split /\n/, sql($delivery);
is(scalar(grep { !$now{$_} } split /\n/, $delivered), 0, 'the history says of each delivery what it said');
is(sql(q{select count(*) from postrider.pending p join postrider.endpoint e on e.id = p.endpoint_id where e.name = 'later' and p.due_at between now() + interval '20 hours' and now() + interval '1 day'}),
	5, 'what is to be tried tomorrow waits until then');
is(sql(q{select count(*) from postrider.delivery where status = 'scheduled' and endpoint = 'crm'}), 1, 'what is scheduled for tomorrow too');

# And on it goes.
sql('insert into item values (41, 41)');
sql(q{select postrider.emit('order.paid', '{"n": 5000}')});
ok($receiver->wait_for_count(544, '/ok/crm') && $receiver->wait_for_count(502, '/ok/second'), 'new messages are delivered');
is(sql("select count(*) from postrider.message where id > '$newest' and not starts_with(topic, 'postrider.')"), 2, 'with ids above the old ones');
ok(wait_for(q{select count(*) from postrider.dispatch_cursor c, postrider.message m where not pg_visible_in_snapshot(m.xid, c.snapshot)}, 0), 'the cursor follows');
isnt($node->psql('shop', q{select postrider.emit('order.paid', '{}')}), 0, 'schemas hold');
sql(q{select postrider.retry(endpoint => 'dead')});
ok($receiver->wait_for_count(10, '/status/400'), 'dead letters can be tried again');

# The catalogs are those of a fresh installation, but for rows, partitions of days, and rights that
# are what they are by default whether they are written down or not.
$node->safe_psql('postgres', 'create database fresh');
$node->safe_psql('fresh', 'create extension postrider');
my $owner = sql(q{select (acldefault('r', 10))[1]});
my ($fresh, $upgraded) = map {
	my ($lines) = run_command([ 'psql', '-X', '-q', '-f', "$ENV{TESTDIR}/lib/catalog.sql", $node->connstr($_) ]);
	[ grep { !/^row\||(?:message|attempt)_\d{8}|^initial privileges\|.*\|\Q$owner\E$/ } map { s/^(relation\|.*)\|\Q$owner\E\|/$1|(none)|/r } split /\n/, $lines ];
} 'fresh', 'shop';
cmp_ok(scalar(@$fresh), '>', 1000, 'the catalogs are read');
my %in_fresh = map { $_ => 1 } @$fresh;
my %in_upgraded = map { $_ => 1 } @$upgraded;
is(join("\n", map { "+ $_" } grep { !$in_fresh{$_} } @$upgraded), '', 'the upgraded catalogs have nothing more than fresh ones');
is(join("\n", map { "- $_" } grep { !$in_upgraded{$_} } @$fresh), '', 'and nothing less');
$node->stop('fast');
done_testing();
