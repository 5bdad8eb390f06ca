# Does a larger backlog drain more slowly, or take more memory?  The worker is
# stopped (SIGSTOP) while the messages are committed, in transactions of 100,000.
use strict;
use warnings;
use Bench;
use Bench::Receiver;
use Bench::Server;
use List::Util qw(max min);
use Time::HiRes qw(time);

# Environment: BACKLOG, the sizes.
my @sizes = split ' ', $ENV{BACKLOG} || Bench::scale('100000 1000000 10000000', '10000 50000 200000');
my $per_transaction = 100_000;
my $nginx = Bench::Receiver->nginx;
my (%rates, %memory, @lines);

sub drain
{
	my ($size) = @_;
	my $server = Bench::Server->new;
	$server->endpoint(name => 'backlog', url => $nginx->url('/ok'), topic => 'bench.backlog',
		max_in_flight => $Bench::in_flight, signing_secret => 'bench');
	my $pid = $server->worker_pid;
	$server->freeze;
	for (my $left = $size; $left > 0; $left -= $per_transaction)
	{
		$server->emit('bench.backlog', min($left, $per_transaction));
	}
	my $begin = time;
	my ($sampled_at, $peak, @memory) = (0, 0);
	$server->thaw;
	my $end = $server->wait_delivered($size, undef, sub {
		my $now = time;
		return if $now - $sampled_at < 0.5;
		$sampled_at = $now;
		push @memory, [ $_[0] / 1e6, $server->worker_memory($pid) / 1e6 ];
	});
	push @{ $rates{$size} }, $size / ($end - $begin);
	push @{ $memory{$size} }, max(map { $_->[1] } @memory);
	@lines = ([ 'memory of the worker', \@memory ]) if $size == $sizes[-1];
	Bench::note(sprintf '%s messages: %s/s, memory at most %.0f MB', Bench::count($size),
		Bench::count($rates{$size}[-1]), $memory{$size}[-1]);
}

# The largest takes long enough to be measured once.
for my $round (1 .. Bench::rounds())
{
	drain($_) for grep { $_ < 5_000_000 || $round == 1 } @sizes;
}

my %rate = map { $_ => Bench::median(@{ $rates{$_} }) } @sizes;
Bench::report({
	figure => 'backlog',
	title => 'Drain rate by backlog',
	rows => [
		Bench::at_least('rate with ' . Bench::count($sizes[-1]) . ' : with ' . Bench::count($sizes[0]),
			$rate{ $sizes[-1] } / $rate{ $sizes[0] }, 0.90),
		(map { Bench::row(Bench::count($_) . ' waiting, messages/s', Bench::count($rate{$_})) } @sizes),
		Bench::at_most('worker memory of its own, MB', max(map { @$_ } values %memory), 150, '%.0f'),
	],
	rounds => { rates => \%rates, memory_mb => \%memory },
	charts => [
		{
			kind => 'bars', unit => 'messages/s',
			bars => [ map { [ Bench::count($_) . ' waiting', $rate{$_}, 1 ] } @sizes ],
		},
		{
			kind => 'lines', title => 'Memory of the worker while ' . Bench::count($sizes[-1]) . ' messages drain',
			x => 'million messages delivered', y => 'MB of its own', lines => \@lines,
		},
	],
});
