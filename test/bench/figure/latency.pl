# From the emitting statement to the arrival at the receiver, at steady rates.
# The statement's own clock is in the payload, so its execution and the commit
# with its flush of WAL are counted in.  The time from the moment that the
# client has heard of the commit is reported too; it may be negative, because the
# worker hears of it at the same time.
use strict;
use warnings;
use Bench;
use Bench::Receiver;
use Bench::Server;
use Time::HiRes qw(sleep);

my $seconds = Bench::scale(20, 5);
my @rates = (200, 1000, 4000);
my $recorder = Bench::Receiver->recorder;
my (%emit, %acknowledged, %achieved);

# When the clients heard of their commits, from the logs of pgbench: a hash by
# the id that is in the payload.
sub acknowledged_us
{
	my ($prefix) = @_;
	my (%at, %number);
	for my $file (glob "$prefix.*")
	{
		open(my $in, '<', $file) or die $!;
		while (my $line = <$in>)
		{
			my ($client, undef, undef, undef, $s, $us) = split / /, $line;
			$at{ $client * 1e9 + ++$number{$client} } = $s * 1e6 + $us;
		}
		unlink $file;
	}
	return \%at;
}

sub summary
{
	my (@ms) = @_;
	return { p50 => Bench::percentile(0.5, @ms), p99 => Bench::percentile(0.99, @ms),
		max => Bench::percentile(1, @ms) };
}

for my $round (1 .. Bench::rounds())
{
	my $server = Bench::Server->new;
	$server->endpoint(name => 'latency', url => $recorder->url('/ok'), topic => 'bench.latency',
		max_in_flight => $Bench::in_flight, signing_secret => 'bench');
	my $script = "\\set n :n + 1\n\\set id :client_id * 1000000000 + :n\n"
	  . "select postrider.emit('bench.latency', "
	  . Bench::Server::timed_payload('bench.latency', ':id::bigint') . ");\n";
	for my $rate (@rates)
	{
		$recorder->control('reset');
		my $log = "$server->{dir}/latency";
		$server->pgbench($script, '-c', 8, '-D', 'n=0', '-R', $rate, '-T', $seconds, '-l', '--log-prefix', $log);
		$server->wait_idle;
		my $acknowledged = acknowledged_us($log);
		my @after;
		$recorder->records(sub {
			my (undef, undef, $arrived_us, undef, $id) = @_;
			push @after, ($arrived_us - $acknowledged->{$id}) / 1000 if $acknowledged->{$id};
		});
		my @ms = $recorder->latencies_ms;
		die sprintf("%d messages were committed, %d arrived\n", scalar keys %$acknowledged, scalar @ms)
		  if @ms < keys %$acknowledged;
		push @{ $achieved{$rate} }, @ms / $seconds;
		push @{ $emit{$rate} }, summary(@ms);
		push @{ $acknowledged{$rate} }, summary(@after);
		Bench::note(sprintf 'round %d at %d/s: %d messages, p50 %.2f ms, p99 %.2f ms, max %.1f ms; after the commit p50 %.2f ms, p99 %.2f ms',
			$round, $rate, scalar @ms, @{ $emit{$rate}[-1] }{qw(p50 p99 max)}, @{ $acknowledged{$rate}[-1] }{qw(p50 p99)});
	}
}

sub median_of { my ($of, $what) = @_; return Bench::median(map { $_->{$what} } @$of); }

my (@rows, @bars);
for my $rate (@rates)
{
	my ($p50, $p99) = map { median_of($emit{$rate}, $_) } qw(p50 p99);
	my $at = 'at ' . Bench::count($rate) . '/s';
	push @rows, $rate == 1000
	  ? (Bench::at_most("p50 $at, ms", $p50, 1), Bench::at_most("p99 $at, ms", $p99, 5))
	  : (Bench::row("p50 $at, ms", sprintf '%.2f', $p50), Bench::row("p99 $at, ms", sprintf '%.2f', $p99));
	push @rows, Bench::row("messages/s that came $at", sprintf '%.0f', Bench::median(@{ $achieved{$rate} }))
	  if Bench::median(@{ $achieved{$rate} }) < $rate * 0.95;
	push @rows, Bench::row("max $at, ms", sprintf '%.1f', median_of($emit{$rate}, 'max'));
	push @rows, Bench::row("p50 and p99 $at from the client's commit, ms", sprintf '%.2f %.2f',
		map { median_of($acknowledged{$rate}, $_) } qw(p50 p99));
	push @bars, [ "p50 $at", $p50, 1 ], [ "p99 $at", $p99 ];
}
Bench::report({
	figure => 'latency',
	title => 'From the emitting statement to arrival',
	rows => \@rows,
	rounds => { emit => \%emit, acknowledged => \%acknowledged, achieved => \%achieved },
	chart => { kind => 'bars', unit => 'milliseconds', bars => \@bars },
});
