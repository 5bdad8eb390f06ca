# A steady load while another session holds an old snapshot, and again while one
# holds a transaction id: does anything get slower, or larger, with time?
use strict;
use warnings;
use Bench;
use Bench::Receiver;
use Bench::Server;
use List::Util qw(min);
use Time::HiRes qw(time);

# Environment: HORIZON_SECONDS, how long.
my $seconds = $ENV{HORIZON_SECONDS} || Bench::scale(600, 24);
my $rate = 2000;
my $window = min(60, $seconds / 4);
my $slice = min(10, $seconds / 12);
my $recorder = Bench::Receiver->recorder;
my %hold = (
	'old snapshot' => "begin isolation level repeatable read; select count(*) from pg_class",
	'transaction id' => "begin; select pg_current_xact_id()",
);
my (@rows, @lines, %raw);

for my $kind ('old snapshot', 'transaction id')
{
	my $server = Bench::Server->new;
	$server->endpoint(name => 'horizon', url => $recorder->url('/ok'), topic => 'bench.horizon',
		max_in_flight => $Bench::in_flight, signing_secret => 'bench');
	my $script = "select postrider.emit('bench.horizon', " . Bench::Server::timed_payload('bench.horizon', '1') . ");\n";
	$server->pgbench($script, '-c', 8, '-R', $rate, '-T', 2);		# warm
	$server->wait_idle;
	my $holder = $server->session;
	$holder->sql($hold{$kind});
	my $sizes = $server->sizes;
	$recorder->control('reset');
	$server->pgbench($script, '-c', 8, '-R', $rate, '-T', $seconds);
	$server->wait_idle;
	my $grown = $server->sizes;

	# Latencies and numbers by slices of the time of arrival.
	my ($begin_us, %ms, %slice_ms);
	$recorder->records(sub {
		my (undef, undef, $arrived_us, $at_us) = @_;
		return unless $at_us;
		$begin_us ||= $at_us;
		my $s = ($arrived_us - $begin_us) / 1e6;
		my $ms = ($arrived_us - $at_us) / 1000;
		push @{ $ms{first} }, $ms if $s < $window;
		push @{ $ms{last} }, $ms if $s >= $seconds - $window && $s < $seconds;
		push @{ $slice_ms{ int($s / $slice) } }, $ms if $s < $seconds;
	});
	my %rate = map { $_ => @{ $ms{$_} || [] } / $window } qw(first last);
	my %p99 = map { $_ => Bench::percentile(0.99, @{ $ms{$_} || [] }) } qw(first last);
	my @grown = grep { ($grown->{$_} || 0) > ($sizes->{$_} || 0) && !/^(message|attempt)(_|$)/ } sort keys %$grown;
	my $what = join ', ', map { sprintf '%s %s to %s', $_, Bench::bytes($sizes->{$_}), Bench::bytes($grown->{$_}) } @grown;
	Bench::note(sprintf '%s: %.0f/s, p99 %.2f ms, then %.0f/s, p99 %.2f ms; grown: %s', $kind,
		$rate{first}, $p99{first}, $rate{last}, $p99{last}, $what || 'none');

	push @rows, (
		Bench::at_least("$kind: rate, last minute : first", $rate{last} / $rate{first}, 0.95),
		Bench::at_most("$kind: p99, last minute : first", $p99{last} / $p99{first}, 1.05),
		Bench::row('first and last, ms', sprintf '%.2f %.2f', @p99{qw(first last)}),
		Bench::row("$kind: what has grown but message and attempt", $what || 'none', must => 'none',
			met => @grown ? JSON::PP::false : JSON::PP::true));
	push @lines, [ $kind, [ map { [ $_ * $slice / 60, Bench::percentile(0.99, @{ $slice_ms{$_} }) ] }
			sort { $a <=> $b } keys %slice_ms ] ];
	$raw{$kind} = { rate => \%rate, p99_ms => \%p99, sizes_before => $sizes, sizes_after => $grown };
	undef $holder;
}

Bench::report({
	figure => 'horizon',
	title => 'Latency at 2,000/s while another session holds the horizon',
	rows => \@rows,
	rounds => \%raw,
	chart => {
		kind => 'lines', x => 'minutes', y => 'p99, milliseconds from emit to arrival', lines => \@lines,
	},
});
