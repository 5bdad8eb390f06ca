# What a delivered message costs: WAL, rows, processor time of the worker.  And
# what it costs when nothing happens.
use strict;
use warnings;
use Bench;
use Bench::Receiver;
use Bench::Server;
use Time::HiRes qw(sleep);

my $count = Bench::scale(200_000, 20_000);
my $idle_s = Bench::scale(60, 10);
my $nginx = Bench::Receiver->nginx;
my (%rounds, %idle);

sub new_server
{
	my $server = Bench::Server->new;
	$server->endpoint(name => 'cost', url => $nginx->url('/ok'), topic => 'bench.cost',
		max_in_flight => $Bench::in_flight, signing_secret => 'bench');
	return $server;
}

sub state_of
{
	my ($server) = @_;
	sleep 2.5;					# statistics are flushed and the cursor is written
	my ($wal, $rows) = split /\|/, $server->sql("select pg_current_wal_insert_lsn() - '0/0',
		(select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_all_tables where schemaname = 'postrider')");
	return { wal => $wal, rows => $rows, cpu_us => $server->worker_cpu_us };
}

# Costs per message of what the block does, the producer's part of WAL included.
sub cost
{
	my ($kind, $server, $block) = @_;
	$server->sql('checkpoint');
	my $before = state_of($server);
	$block->();
	$server->wait_idle;
	my $after = state_of($server);
	my $delivered = $server->delivered;
	die "$delivered are delivered\n" if $delivered != $count;
	push @{ $rounds{$kind}{$_} }, ($after->{$_} - $before->{$_}) / $count for keys %$before;
}

# Waits until nothing is done that is still due to what was before.  Autovacuum is off from here on.
sub become_idle
{
	my ($server) = @_;
	$server->sql('alter system set autovacuum = off');
	$server->sql('select pg_reload_conf()');
	Bench::wait_until('autovacuum has ended', 300,
		sub { $server->sql("select count(*) from pg_stat_activity where backend_type = 'autovacuum worker'") == 0 });

	# Half a minute after its start a worker notes that all went well, once.
	Bench::wait_until('the start is forgotten', 60, sub { $server->sql('select sum(starts) from postrider.dispatch_cursor') == 0 });
}

# Transactions in the database, and the worker's processor time, over a minute in which
# nothing happens, seen from another database, so that looking does not count; with this
# postrider.alert_interval.
sub measure_idle
{
	my ($server, $alert_interval) = @_;
	$server->sql("alter system set postrider.alert_interval = '$alert_interval'");
	$server->sql('select pg_reload_conf()');
	$server->settle_config;
	my $pid = $server->worker_pid;
	$server->disconnect;		# it reports what it did only when it ends
	sleep 5;
	my $cpu_us = $server->worker_cpu_us($pid);
	my $elsewhere = $server->session('postgres');
	my $query = "select xact_commit + xact_rollback from pg_stat_database where datname = 'bench'";
	my $before = $elsewhere->sql($query);
	sleep $idle_s;
	my $after = $elsewhere->sql($query);
	return { transactions => ($after - $before) * 60 / $idle_s, cpu_us => ($server->worker_cpu_us($pid) - $cpu_us) * 60 / $idle_s };
}

for my $round (1 .. Bench::rounds())
{
	my $server = new_server();
	cost('drain', $server, sub { $server->emit('bench.cost', $count) });
	if ($round == 1)
	{
		become_idle($server);
		$idle{alerts} = measure_idle($server, '15s');
		$idle{nothing} = measure_idle($server, '0');
	}
	undef $server;

	$server = new_server();
	cost('single', $server, sub {
		$server->pgbench("select postrider.emit('bench.cost', " . Bench::Server::payload('bench.cost') . ");\n",
			'-c', 8, '-j', 2, '-t', $count / 8);
	});
	Bench::note(sprintf 'round %d: WAL %.0f bytes, %.2f rows, %.1f us; one per transaction: WAL %.0f bytes, %.2f rows, %.1f us',
		$round, map { my $kind = $_; map { $rounds{$kind}{$_}[-1] } qw(wal rows cpu_us) } qw(drain single));
}

my %median = map { my $kind = $_; $kind => { map { $_ => Bench::median(@{ $rounds{$kind}{$_} }) } qw(wal rows cpu_us) } }
  keys %rounds;
Bench::report({
	figure => 'cost',
	title => 'WAL for each delivered message of 500 bytes, the producer included',
	rows => [
		Bench::at_most('WAL bytes per message, producer included', $median{drain}{wal}, 1500, '%.0f'),
		Bench::row('rows written per message', sprintf '%.3f', $median{drain}{rows}),
		Bench::row('worker CPU microseconds per message', sprintf '%.1f', $median{drain}{cpu_us}),
		Bench::row('one message per transaction: WAL bytes', sprintf '%.0f', $median{single}{wal}),
		Bench::row('one message per transaction: worker CPU microseconds', sprintf '%.1f', $median{single}{cpu_us}),
		Bench::at_most('transactions per minute when idle, without alerts', $idle{nothing}{transactions}, 0, '%.0f'),
		Bench::row('worker CPU milliseconds per minute when idle', sprintf '%.0f', $idle{nothing}{cpu_us} / 1000),
		Bench::row('transactions per minute when idle, with the alerts that are there from the start', sprintf '%.0f', $idle{alerts}{transactions}),
		Bench::row('worker CPU milliseconds per minute for those', sprintf '%.0f', $idle{alerts}{cpu_us} / 1000),
	],
	rounds => \%rounds,
	chart => {
		kind => 'bars', unit => 'bytes',
		bars => [
			[ 'all emitted in one transaction', $median{drain}{wal}, 1 ],
			[ 'one message per transaction', $median{single}{wal}, 1 ],
		],
	},
});
