# How fast a backlog of one transaction is delivered and put on record, compared
# with a bare libcurl loop that only sends.
use strict;
use warnings;
use Bench;
use Bench::Receiver;
use Bench::Server;

my $count = Bench::scale(200_000, 20_000);
my $nginx = Bench::Receiver->nginx;
my %rates;

sub limit
{
	my $rate = Bench::run(Bench::program('limit'), $nginx->url('/ok'), $count,
		$Bench::in_flight, $Bench::body_bytes);
	return $rate + 0;
}

# Messages per second, from the commit to the last attempt on record.
sub drain
{
	my ($signed) = @_;
	my $server = Bench::Server->new;
	$server->endpoint(name => 'drain', url => $nginx->url('/ok'), topic => 'bench.drain',
		max_in_flight => $Bench::in_flight, signing_secret => $signed ? 'bench' : undef);
	my $begin = $server->emit('bench.drain', $count);
	my $end = $server->wait_delivered($count);
	my $recorded = $server->sql("select count(*) from postrider.attempt where outcome = 'delivered'");
	die "$recorded attempts are on record\n" if $recorded != $count;
	return $count / ($end - $begin);
}

for my $round (1 .. Bench::rounds())
{
	push @{ $rates{limit} }, limit();
	push @{ $rates{signed} }, drain(1);
	push @{ $rates{unsigned} }, drain(0);
	Bench::note(sprintf 'round %d: libcurl alone %s/s, signed %s/s, unsigned %s/s', $round,
		map { Bench::count($rates{$_}[-1]) } qw(limit signed unsigned));
}

my %median = map { $_ => Bench::median(@{ $rates{$_} }) } keys %rates;
my @ratios = map { $rates{signed}[$_] / $rates{limit}[$_] } 0 .. $#{ $rates{limit} };
Bench::report({
	figure => 'drain',
	title => Bench::count($count) . ' messages in one transaction, 64 in flight',
	rows => [
		Bench::at_least('part of what libcurl alone sends (signed)', Bench::median(@ratios), 0.70),
		Bench::row('libcurl alone, messages/s', Bench::count($median{limit})),
		Bench::row('postrider, signed, messages/s', Bench::count($median{signed})),
		Bench::row('postrider, unsigned, messages/s', Bench::count($median{unsigned})),
	],
	rounds => \%rates,
	chart => {
		kind => 'bars', unit => 'messages/s',
		bars => [
			[ 'libcurl alone, nothing recorded', $median{limit} ],
			[ 'postrider, signed', $median{signed}, 1 ],
			[ 'postrider, unsigned', $median{unsigned}, 1 ],
		],
	},
});
