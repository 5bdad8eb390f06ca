# Faults at random, while messages flow: nothing is lost, and nothing arrives
# that was rolled back.
#
# Environment: SEED repeats the choices of a run; FAULTS is the number of
# faults, MINUTES the time after which no more are made.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{SEED} || int(time);
my $faults = $ENV{FAULTS} || 15;
my $end = time + 60 * ($ENV{MINUTES} || 12);
diag("SEED=$seed FAULTS=$faults");
srand $seed;

my $node = PostriderTest::node('faults', conf => <<CONF);
restart_after_crash = on
max_worker_processes = 24
max_connections = 40
CONF
my $receiver = PostriderTest::Receiver->start;
my $url = $receiver->url('/fault');
my $stop = $node->basedir . '/stop';

# undef while the server does not answer.
sub try_sql
{
	my ($query) = @_;
	my ($code, $out) = eval { $node->psql('postgres', $query, timeout => 20) };
	return defined $code && $code == 0 ? $out : undef;
}

sub sql
{
	my ($query) = @_;
	my $out;
	PostriderTest::wait_until(sub { defined($out = try_sql($query)) }, "the server answers to $query", 120);
	return $out;
}

sql("create table ledger (id uuid, key text, n bigint);
	create sequence number;
	insert into postrider.endpoint (name, url, timeout, max_attempts, backoff_base, backoff_max, max_in_flight)
	select 'e' || i, '$url/e' || i, '1 s', 1000, '20 ms', '500 ms', 8 from generate_series(1, 4) i;
	insert into postrider.subscription (topic, endpoint) values ('f.*', 'e1'), ('f.row', 'e2'), ('f.**', 'e3'), ('f.row', 'e4')");

# Emitters: what is in the ledger was committed together with its message.
my $insert = q{with m as (select nextval('number') n, 'k' || (random() * 20)::int as key)
insert into ledger select postrider.emit('f.row', jsonb_build_object('n', n), key => key), key, n from m;};
$insert =~ s/\n/ /g;
my %script = (
	plain => "$insert\n",
	undone => "begin;\n$insert\nrollback;\n",
	partly => "begin;\n$insert\nsavepoint s;\n$insert\nrollback to s;\n$insert\ncommit;\n",
	long => "begin;\n$insert\n\\sleep 500 ms\n$insert\ncommit;\n",
	prepared => "\\set name random(1, 1000000000)\nbegin;\n$insert\nprepare transaction 'p:name';\n\\sleep 50 ms\ncommit prepared 'p:name';\n");
my @files;
for my $name (sort keys %script)
{
	my $file = $node->basedir . "/$name.sql";
	append_to_file($file, $script{$name});
	push @files, '-f', $file . ($name eq 'plain' ? '@20' : '@1');
}

my $emitter = fork // die $!;
if (!$emitter)
{
	$receiver->{pid} = undef;
	while (!-e $stop)
	{
		try_sql(q{select format('commit prepared %L', gid) from pg_prepared_xacts \gexec});
		IPC::Run::run([ 'pgbench', '-n', '-c', 4, '-R', 80, '-T', 1, @files, $node->connstr('postgres') ],
			'>', '/dev/null', '2>', '/dev/null');
		sleep 0.05;
	}
	POSIX::_exit(0);
}

sub restart
{
	my ($how) = @_;
	$how->();
	$node->start;
}

sub kill_type
{
	my ($type) = @_;
	my @pids = split /\n/, try_sql("select pid from pg_stat_activity where backend_type = '$type'") // '';
	kill 'KILL', $pids[ rand @pids ] if @pids;
}

sub receiver_mode
{
	my ($mode) = @_;
	return sub { $receiver->set_mode($mode); sleep 0.2 + rand 0.8; $receiver->set_mode('ok'); };
}

my %fault = (
	'kill -9 of a worker' => sub { kill_type('postrider worker') },
	'kill -9 of the launcher' => sub { kill_type('postrider launcher') },
	'kill -9 of the postmaster' => sub { restart(sub { PostriderTest::kill_server($node, 1) }) },
	'kill -9 of everything' => sub { restart(sub { PostriderTest::kill_server($node) }) },
	'immediate stop' => sub { restart(sub { $node->stop('immediate') }) },
	'fast stop' => sub { restart(sub { $node->stop('fast') }) },
	'termination of a worker' => sub { try_sql('select pg_terminate_backend(pid) from postrider.worker order by random() limit 1') },
	'reload' => sub { try_sql('select pg_reload_conf()') },
	'other number of workers' => sub {
		my $count = 1 + int rand 4;
		try_sql("alter system set postrider.workers = $count") // return;
		try_sql('select pg_reload_conf()');
	},
	'disabled endpoint' => sub {
		try_sql("update postrider.endpoint set enabled = false where name = 'e4'");
		sleep rand 0.5;
		sql("update postrider.endpoint set enabled = true where name = 'e4'");
	},
	'receiver down' => sub { $receiver->down; sleep 0.2 + rand 1; $receiver->up; },
	map { ("receiver: $_" => receiver_mode($_)) } qw(503 hang reset_request half_headers half_body slow_headers endless));

my %made;
while ($faults > 0 && time < $end)
{
	my $kind = (sort keys %fault)[ rand keys %fault ];
	sleep rand 1.2;
	# A server that is starting is left to it, or pg_ctl would give up.
	sql('select 1');
	$fault{$kind}->();
	$made{$kind}++;
	$faults--;
}

# The end: all goes well from now on.
append_to_file($stop, '');
waitpid $emitter, 0;
sql(q{select format('commit prepared %L', gid) from pg_prepared_xacts \gexec});
my $ledger = sql('select count(*) from ledger');
my $owed = 4 * $ledger;
ok(eval { PostriderTest::wait_until(sub {
	sql("select (select count(*) from postrider.pending) + (select $owed - count(distinct (message_id, endpoint_id))
		from postrider.attempt where outcome = 'delivered')") eq '0' }, 'all is delivered', 120) }, 'all is delivered in the end')
  or diag(sql('select endpoint, status, count(*) from postrider.delivery group by 1, 2') . "\n" . sql('select * from postrider.worker'));

my %committed = map { split /\|/, $_, 2 } split /\n/, sql('select id, key from ledger');
my ($lost, $phantoms, $twice, $disorder) = (0, 0, 0, 0);
for my $i (1 .. 4)
{
	my (%seen, %last);
	for ($receiver->lines("/fault/e$i"))
	{
		my ($id) = /"webhook-id":"([^"]+)"/;
		my ($n) = /\\"n\\": ?(\d+)/;
		next unless /"mode":"(ok|slow_headers|endless)"/;
		$twice++ if $seen{$id}++;
		my $key = $committed{$id} // next;
		$disorder++ if $n < ($last{$key} // 0);
		$last{$key} = $n if $n > ($last{$key} // 0);
	}
	$lost += grep { !$seen{$_} } keys %committed;
	$phantoms += grep { !exists $committed{$_} } keys %seen;
}
my $made = 0;
$made += $_ for values %made;
diag("$made faults: " . join(', ', map { "$_ $made{$_}" } sort keys %made));
diag("$ledger messages to 4 endpoints: $lost lost, $phantoms phantoms, $twice twice, $disorder out of order by key");
cmp_ok($ledger, '>', 100, 'messages flowed');
is($lost, 0, 'nothing is lost');
is($phantoms, 0, 'nothing arrives that was not committed');
is(sql("select count(*) from postrider.dead_letter"), 0, 'nothing is given up');

$node->stop('fast');
done_testing();
