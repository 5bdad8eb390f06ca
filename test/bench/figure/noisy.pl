# 1,000 endpoints, of which 100 hang until the time-out (the default, 20 s) and 100
# refuse connections.  The other 800 get the same load with them and without them.
# Every endpoint has the defaults.
use strict;
use warnings;
use Bench;
use Bench::Receiver;
use Bench::Server;
use Time::HiRes qw(time);

my $seconds = Bench::scale(60, 12);
my $rate = Bench::scale(2000, 500);		# to all 1,000
my ($healthy, $hang, $refuse) = (800, 100, 100);
my $recorder = Bench::Receiver->recorder;
my ($closed, $closed_socket) = Bench::closed_port();
my (%rates, %p99, %refused);

# Sends to the first so many endpoints, at the rate that is due to them.
sub load
{
	my ($kind, $endpoints) = @_;
	my $server = Bench::Server->new;
	my $all = $healthy + $hang + $refuse;
	my ($good, $bad) = ($recorder->url('/ok'), $recorder->url('/hang'));
	my $first_refusing = $healthy + $hang + 1;
	$server->sql("insert into postrider.endpoint (name, url, signing_secret)
		select 'e' || i, case when i <= $healthy then '$good'
			when i < $first_refusing then '$bad' else 'http://127.0.0.1:$closed/' end || '/' || i, 'bench'
		from generate_series(1, $all) i");
	$server->sql("insert into postrider.subscription (topic, endpoint)
		select 'bench.e' || i, 'e' || i from generate_series(1, $all) i");
	$server->settle_config;
	$recorder->control('reset');
	my $begin_us = time * 1e6;
	$server->pgbench("\\set e random(1, $endpoints)\n\\set id :e\nselect postrider.emit('bench.e' || :e::int, "
		  . Bench::Server::timed_payload('bench.e000', ':id::bigint') . ");\n",
		'-c', 8, '-R', $rate * $endpoints / $all, '-T', $seconds);
	my $end_us = time * 1e6;
	sleep 2;					# for the last ones
	my ($arrived, @ms) = (0);
	$recorder->records(sub {
		my ($what, undef, $arrived_us, $at_us) = @_;
		return unless $what eq 'o' && $at_us;
		push @ms, ($arrived_us - $at_us) / 1000;
		$arrived++ if $arrived_us <= $end_us;
	});
	my $counts = $recorder->counts;
	push @{ $rates{$kind} }, $arrived / ($end_us - $begin_us) * 1e6;
	push @{ $p99{$kind} }, Bench::percentile(0.99, @ms);
	my ($waiting) = $server->sql('select count(*) from postrider.pending');
	Bench::note(sprintf '%s: the healthy get %.0f/s, p50 %.2f ms, p99 %.2f ms; %d requests hang, %d deliveries wait',
		$kind, $rates{$kind}[-1], Bench::percentile(0.5, @ms), $p99{$kind}[-1], $counts->{hang}, $waiting);
}

for my $round (1 .. Bench::rounds())
{
	load('alone', $healthy);
	load('with noise', $healthy + $hang + $refuse);
}

my ($alone, $noise) = map { Bench::median(@{ $rates{$_} }) } 'alone', 'with noise';
my ($p99_alone, $p99_noise) = map { Bench::median(@{ $p99{$_} }) } 'alone', 'with noise';
sub pairs { my ($of) = @_; return map { $of->{'with noise'}[$_] / $of->{alone}[$_] } 0 .. $#{ $of->{alone} }; }
Bench::report({
	figure => 'noisy',
	title => '800 healthy endpoints, alone and beside 100 that hang and 100 that refuse',
	rows => [
		Bench::at_least('rate of the healthy, with noise : alone', Bench::median(pairs(\%rates)), 0.90),
		Bench::row('alone and with noise, messages/s', sprintf '%.0f %.0f', $alone, $noise),
		Bench::at_most('p99 of the healthy, with noise : alone', Bench::median(pairs(\%p99)), 3),
		Bench::row('alone and with noise, ms', sprintf '%.2f %.2f', $p99_alone, $p99_noise),
	],
	rounds => { rates => \%rates, p99_ms => \%p99 },
	chart => {
		kind => 'bars', unit => 'p99 of the healthy, milliseconds from emit to arrival',
		bars => [ [ 'alone', $p99_alone ], [ 'with noise', $p99_noise, 1 ] ],
	},
});
