# The same work by graphile-worker and pg-boss: jobs that wait in the database,
# from the start of the worker until all are completed in the database.
use strict;
use warnings;
use Bench;
use Bench::Receiver;
use Bench::Server;
use IPC::Open2;
use Time::HiRes qw(sleep time);

my $count = Bench::scale(200_000, 20_000);
my $nginx = Bench::Receiver->nginx;
my $peers = "$Bench::home/node";
my %rates;

die "Node 20 or later is needed: node says $1\n"
  if (`node --version` || 'nothing') =~ /^(v?(\d*).*)/ && ($2 || 0) < 20;

sub node { return ('node', "$peers/$_[0].mjs", @_[ 1 .. $#_ ]); }

# Starts the peer's worker; $left says whether a job is not completed yet.
sub measure
{
	my ($server, $name, $left) = @_;
	my $pid = open2(my $out, my $in, node($name, 'run', $server->url, $nginx->url('/ok'),
		$count, $Bench::in_flight));
	my %at;
	while (my $word = <$out>)
	{
		chomp $word;
		$at{$word} = time;
		last if $word eq 'sent';
	}
	die "$name ended early\n" unless $at{sent};
	Bench::wait_until("$name has completed all", 60, sub { !$server->sql($left) });
	my $end = time;
	Bench::stop_process($pid);
	return $count / ($end - $at{begin});
}

sub graphile_worker
{
	my $server = Bench::Server->new(extension => 0);
	Bench::run(node('graphile-worker', 'install', $server->url));
	my $payload = Bench::Server::job_payload();
	$server->sql("select count(*) from graphile_worker.add_jobs(
			(select array_agg(('deliver', $payload, null, null, null, null, null, null)::graphile_worker.job_spec)
			from generate_series(1, 10000)))")
	  for 1 .. $count / 10000;
	die "not all jobs are there\n"
	  if $server->sql('select count(*) from graphile_worker._private_jobs') != $count;
	$server->sql('vacuum analyze');
	return measure($server, 'graphile-worker',
		'select count(*) from (select from graphile_worker._private_jobs limit 1) j');
}

sub pg_boss
{
	my $server = Bench::Server->new(extension => 0);
	Bench::run(node('pg-boss', 'install', $server->url, '-', $count, '-', $Bench::body_bytes));
	die "not all jobs are there\n"
	  if $server->sql("select count(*) from pgboss.job where name = 'deliver'") != $count;
	$server->sql('vacuum analyze');
	return measure($server, 'pg-boss', "select count(*) from pgboss.job
		where name = 'deliver' and state < 'completed'");
}

sub postrider
{
	my $server = Bench::Server->new;
	$server->endpoint(name => 'drain', url => $nginx->url('/ok'), topic => 'bench.drain',
		max_in_flight => $Bench::in_flight, signing_secret => 'bench');
	my $begin = $server->emit('bench.drain', $count);
	return $count / ($server->wait_delivered($count) - $begin);
}

for my $round (1 .. Bench::rounds())
{
	push @{ $rates{postrider} }, postrider();
	push @{ $rates{graphile_worker} }, graphile_worker();
	push @{ $rates{pg_boss} }, pg_boss();
	Bench::note(sprintf 'round %d: postrider %s/s, graphile-worker %s/s, pg-boss %s/s', $round,
		map { Bench::count($rates{$_}[-1]) } qw(postrider graphile_worker pg_boss));
}

my %median = map { $_ => Bench::median(@{ $rates{$_} }) } keys %rates;
my @best = map { my $i = $_; (sort { $b <=> $a } map { $rates{$_}[$i] } qw(graphile_worker pg_boss))[0] }
  0 .. $#{ $rates{postrider} };
my @ratios = map { $rates{postrider}[$_] / $best[$_] } 0 .. $#best;
Bench::report({
	figure => 'peers',
	title => Bench::count($count) . ' deliveries, 64 in flight',
	rows => [
		Bench::at_least('times the best of the peers', Bench::median(@ratios), 3),
		Bench::row('postrider, signed, deliveries/s', Bench::count($median{postrider})),
		Bench::row('graphile-worker, deliveries/s', Bench::count($median{graphile_worker})),
		Bench::row('pg-boss, deliveries/s', Bench::count($median{pg_boss})),
	],
	rounds => \%rates,
	chart => {
		kind => 'bars', unit => 'deliveries/s, each recorded in the database',
		bars => [
			[ 'postrider, signed', $median{postrider}, 1 ],
			[ 'graphile-worker', $median{graphile_worker} ],
			[ 'pg-boss', $median{pg_boss} ],
		],
	},
});
