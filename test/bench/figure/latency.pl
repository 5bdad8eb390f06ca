# From the emitting statement to the arrival at the receiver, at steady rates.
# The statement's own clock is in the payload, so its execution and the commit
# with its flush of WAL are counted in.  The time from the moment that the
# client has heard of the commit is reported too; it may be negative, because the
# worker hears of it at the same time.
#
# Once more at 1,000/s when the log is full and autovacuum has analysed it: an
# empty log that nobody has statistics of hides a plan that reads all of it.
use strict;
use warnings;
use Bench;
use Bench::Receiver;
use Bench::Server;
use Time::HiRes qw(sleep);

my $seconds = Bench::scale(20, 5);
my @rates = (200, 1000, 4000);
my $full = Bench::scale(200_000, 50_000);
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

my $script = "\\set n :n + 1\n\\set id :client_id * 1000000000 + :n\n"
  . "select postrider.emit('bench.latency', "
  . Bench::Server::timed_payload('bench.latency', ':id::bigint') . ");\n";

# $kind is the rate, or what else the figure is kept under.
sub measure
{
	my ($server, $kind, $rate) = @_;
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
	push @{ $achieved{$kind} }, @ms / $seconds;
	push @{ $emit{$kind} }, summary(@ms);
	push @{ $acknowledged{$kind} }, summary(@after);
	Bench::note(sprintf '%s at %d/s: %d messages, p50 %.2f ms, p99 %.2f ms, max %.1f ms; after the commit p50 %.2f ms, p99 %.2f ms',
		$kind eq 'full' ? 'full log' : 'empty log', $rate, scalar @ms,
		@{ $emit{$kind}[-1] }{qw(p50 p99 max)}, @{ $acknowledged{$kind}[-1] }{qw(p50 p99)});
}

for my $round (1 .. Bench::rounds())
{
	my $server = Bench::Server->new;
	$server->endpoint(name => 'latency', url => $recorder->url('/ok'), topic => 'bench.latency',
		max_in_flight => $Bench::in_flight, signing_secret => 'bench');
	measure($server, $_, $_) for @rates;
	$server->emit('bench.latency', $full);
	$server->wait_idle;
	$server->sql('vacuum analyze');
	measure($server, 'full', 1000);
}

sub median_of { my ($of, $what) = @_; return Bench::median(map { $_->{$what} } @$of); }

my (@rows, @bars);
for my $kind (@rates, 'full')
{
	my $rate = $kind eq 'full' ? 1000 : $kind;
	my ($p50, $p99) = map { median_of($emit{$kind}, $_) } qw(p50 p99);
	my $at = 'at ' . Bench::count($rate) . '/s';
	$at .= ', ' . Bench::count($full) . ' in the log' if $kind eq 'full';
	push @rows, $rate == 1000
	  ? (Bench::at_most("p50 $at, ms", $p50, 1), Bench::at_most("p99 $at, ms", $p99, 5))
	  : (Bench::row("p50 $at, ms", sprintf '%.2f', $p50), Bench::row("p99 $at, ms", sprintf '%.2f', $p99));
	push @rows, Bench::row("messages/s that came $at", sprintf '%.0f', Bench::median(@{ $achieved{$kind} }))
	  if Bench::median(@{ $achieved{$kind} }) < $rate * 0.95;
	push @rows, Bench::row("max $at, ms", sprintf '%.1f', median_of($emit{$kind}, 'max'));
	push @rows, Bench::row("p50 and p99 $at from the client's commit, ms", sprintf '%.2f %.2f',
		map { median_of($acknowledged{$kind}, $_) } qw(p50 p99));
	push @bars, [ "p50 $at", $p50, 1 ], [ "p99 $at", $p99 ];
}
Bench::report({
	figure => 'latency',
	title => 'From the emitting statement to arrival',
	rows => \@rows,
	rounds => { emit => \%emit, acknowledged => \%acknowledged, achieved => \%achieved },
	chart => { kind => 'bars', unit => 'milliseconds', bars => \@bars },
});
