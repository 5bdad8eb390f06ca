# What watching a table costs those who write to it.
use strict;
use warnings;
use Bench;
use Bench::Receiver;
use Bench::Server;
use Time::HiRes qw(time);

my $seconds = Bench::scale(20, 4);
my $bulk = Bench::scale(100_000, 20_000);
my $nginx = Bench::Receiver->nginx;
my $server = Bench::Server->new;
my (%rates, %times);

# Two tables that differ in nothing but the watch.
for my $table (qw(watched unwatched))
{
	$server->sql("create table $table (id bigint generated always as identity primary key,
		customer text, total numeric, note text)");
}
$server->sql("select postrider.watch('watched')");
$server->endpoint(name => 'producer', url => $nginx->url('/ok'), topic => 'watched.*',
	max_in_flight => $Bench::in_flight, signing_secret => 'bench');

# With one client a core is left for the worker and nginx; with eight, everybody
# competes for the processors.
my @clients = (1, 2, 8);

my $row = "'customer', 12.50, repeat('x', 252)";

sub insert_each
{
	my ($table, $kind, $clients) = @_;
	my $said = $server->pgbench("insert into $table (customer, total, note) values ($row);\n",
		'-c', $clients, '-j', $clients > 1 ? 2 : 1, '-T', $seconds);
	my ($rate) = $said =~ /^tps = ([\d.]+)/m or die $said;
	$server->wait_idle;
	push @{ $rates{"$kind $clients"} }, $rate;
}

sub insert_many
{
	my ($table, $kind) = @_;
	my $begin = time;
	$server->sql("insert into $table (customer, total, note) select $row from generate_series(1, $bulk)");
	push @{ $times{$kind} }, time - $begin;
	$server->wait_idle;
}

# Pairs, in turns; what is measured next begins with an idle worker.
sub rounds_of
{
	my ($measure, $watched, $unwatched, @more) = @_;
	for my $round (1 .. Bench::rounds())
	{
		my @pair = ([ 'watched', $watched ], [ 'unwatched', $unwatched ]);
		$measure->(@$_, @more) for $round % 2 ? @pair : reverse @pair;
	}
}

for my $clients (@clients)
{
	rounds_of(\&insert_each, 'watched', 'unwatched', $clients);
	Bench::note(sprintf '%d clients, one insert per transaction: %s/s watched, %s/s unwatched', $clients,
		map { Bench::count(Bench::median(@{ $rates{"$_ $clients"} })) } qw(watched unwatched));
}
rounds_of(\&insert_many, 'watched', 'unwatched');
my $body = $server->sql("select avg(octet_length(payload::text)) + 72 + 14
	from (select payload from postrider.message limit 1000) m");

$server->sql('update postrider.subscription set enabled = false');
$server->settle_config;
rounds_of(\&insert_each, 'watched_silent', 'unwatched_silent', 8);
rounds_of(\&insert_many, 'watched_silent', 'unwatched_silent');

sub ratio
{
	my ($of, $suffix, $clients) = @_;
	my ($watched, $unwatched) = map { $of->{"$_$suffix" . ($clients ? " $clients" : '')} } qw(watched unwatched);
	return Bench::median(map { $watched->[$_] / $unwatched->[$_] } 0 .. $#$watched);
}

my %rate = map { $_ => Bench::median(@{ $rates{$_} }) } keys %rates;
my %time = map { $_ => Bench::median(@{ $times{$_} }) } keys %times;
Bench::report({
	figure => 'producer',
	title => 'Inserts into a watched and an unwatched table',
	rows => [
		(map {
			my $of = $_ == 1 ? '1 client' : "$_ clients";
			(Bench::at_least("rate of single inserts, watched : unwatched, $of", ratio(\%rates, '', $_), 0.90),
				Bench::row("watched and delivered meanwhile, unwatched, $of, inserts/s",
					Bench::count($rate{"watched $_"}) . ' ' . Bench::count($rate{"unwatched $_"})))
		} @clients),
		Bench::row('ratio with no subscription, 8 clients', sprintf '%.2f', ratio(\%rates, '_silent', 8)),
		Bench::at_most('time of ' . Bench::count($bulk) . ' rows in one statement, watched : unwatched',
			ratio(\%times, ''), 2.5),
		Bench::row('watched, s', sprintf '%.2f', $time{watched}),
		Bench::row('unwatched, s', sprintf '%.2f', $time{unwatched}),
		Bench::row('ratio with no subscription', sprintf '%.2f', ratio(\%times, '_silent')),
		Bench::row('body, bytes', Bench::count($body)),
	],
	rounds => { rates => \%rates, times => \%times },
	charts => [
		{
			kind => 'bars', unit => 'inserts/s, one per transaction, 8 clients',
			bars => [
				[ 'unwatched', $rate{'unwatched 8'} ],
				[ 'watched and delivered meanwhile', $rate{'watched 8'}, 1 ],
				[ 'watched, no subscription', $rate{'watched_silent 8'}, 1 ],
			],
		},
		{
			kind => 'bars', unit => 'seconds for ' . Bench::count($bulk) . ' rows in one statement',
			bars => [
				[ 'unwatched', $time{unwatched} ],
				[ 'watched', $time{watched}, 1 ],
				[ 'watched, no subscription', $time{watched_silent}, 1 ],
			],
		},
	],
});
