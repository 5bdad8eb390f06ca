# A retry storm: one endpoint answers 503 until every delivery has failed once, and
# then recovers.  Another endpoint gets a steady load before and meanwhile.
use strict;
use warnings;
use Bench;
use Bench::Receiver;
use Bench::Server;
use List::Util qw(max);
use Time::HiRes qw(sleep time);

my $count = Bench::scale(200_000, 20_000);
my $calm_rate = 200;
my $calm_s = Bench::scale(20, 5);
my $recorder = Bench::Receiver->recorder;
my $server = Bench::Server->new;

# max_attempts is out of the way, and backoff_max keeps the end within reach.
$server->endpoint(name => 'storm', url => $recorder->url('/flaky'), topic => 'bench.storm',
	max_in_flight => $Bench::in_flight, signing_secret => 'bench',
	max_attempts => 1000, backoff_base => '5 seconds', backoff_max => '30 seconds');
$server->endpoint(name => 'calm', url => $recorder->url('/ok'), topic => 'bench.calm', signing_secret => 'bench');

my $begin = time;
my (@size, @owed, $peak_filled);
my $load = $server->start_pgbench("select postrider.emit('bench.calm', "
	  . Bench::Server::timed_payload('bench.calm', '1') . ");\n", '-c', 2, '-R', $calm_rate, '-T', 100_000);
sleep $calm_s;
my $storm_at = time;

# What is owed, and how large the table with its indexes is.
sub sample
{
	my ($owed, $tried, $size) = split /\|/, $server->sql("select count(*), count(*) filter (where attempts > 0),
		pg_total_relation_size('postrider.pending') from postrider.pending");
	push @size, [ time - $storm_at, $size / 1e6 ];
	push @owed, [ time - $storm_at, $owed / 1e3 ];
	return ($owed, $tried, $size);
}

$recorder->control('fail');
$server->emit('bench.storm', $count);
my ($owed, $tried, $size);
Bench::wait_until('every delivery has failed once', 900, sub {
	($owed, $tried, $size) = sample();
	return $tried >= $count;
}, 1);
my $failing_s = time - $storm_at;
my $filled = $size;
$recorder->control('recover');
my $recovered_at = time;
my $delivered = 0;
Bench::wait_until('everything is delivered', 1800, sub {
	sample();
	return $recorder->counts->{flaky_200} >= $count;
}, 1);
my $drained_s = time - $recovered_at;
Bench::stop_process($load);
$server->wait_idle;
my $storm_end_us = time * 1e6;
my $counts = $recorder->counts;
my $complete = $server->sql("select count(distinct message_id) from postrider.attempt a
	join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'storm' and outcome = 'delivered'");
my $left = $server->sql('select count(*) from postrider.pending');
my $peak = max(map { $_->[1] } @size) * 1e6;

# What vacuum gives back; autovacuum does the same in its time.
my $relations = "select pg_relation_size('postrider.pending'), pg_indexes_size('postrider.pending')";
my ($table_end, $indexes_end) = split /\|/, $server->sql($relations);
$server->sql('vacuum postrider.pending');
my ($table_after, $indexes_after) = split /\|/, $server->sql($relations);

my (@before, @during);
$recorder->records(sub {
	my ($kind, undef, $arrived_us, $at_us) = @_;
	return unless $kind eq 'o' && $at_us;
	push @{ $at_us < $storm_at * 1e6 ? \@before : \@during }, [ $at_us / 1e6 - $storm_at, ($arrived_us - $at_us) / 1000 ];
});
my $rate_before = @before / $calm_s;
my $rate_during = @during / ($storm_end_us / 1e6 - $storm_at);
my ($p99_before, $p99_during) = map { Bench::percentile(0.99, map { $_->[1] } @$_) } \@before, \@during;
Bench::note(sprintf 'failing for %.0f s, %s attempts failed, all delivered %.0f s after the recovery', $failing_s,
	Bench::count($counts->{flaky_503}), $drained_s);

Bench::report({
	figure => 'storm',
	title => 'An endpoint that answers 503 to ' . Bench::count($count) . ' deliveries, and recovers',
	rows => [
		Bench::at_least('delivered in the end', $complete, $count, '%d'),
		Bench::row('attempts answered 503', Bench::count($counts->{flaky_503})),
		Bench::row('from the recovery to the last delivery, s', sprintf '%.0f', $drained_s),
		Bench::at_least('rate of the other endpoint, meanwhile : before', $rate_during / $rate_before, 0.90),
		Bench::at_most('p99 of the other endpoint, meanwhile : before', $p99_during / $p99_before, 3),
		Bench::row('before and meanwhile, ms', sprintf '%.2f %.2f', $p99_before, $p99_during),
		Bench::at_most('size of pending at its peak : when all had failed once', $peak / $filled, 2),
		Bench::row('at its peak, with indexes', Bench::bytes($peak)),
		Bench::row('rows left in pending', $left),
		Bench::row('table and indexes at the end', Bench::bytes($table_end) . ' ' . Bench::bytes($indexes_end)),
		Bench::at_most('table after vacuum, part of the peak', $table_after / $peak, 0.05),
		Bench::row('table and indexes after vacuum', Bench::bytes($table_after) . ' ' . Bench::bytes($indexes_after)),
	],
	rounds => { pending_mb => \@size, owed_thousands => \@owed, p99_ms => [ $p99_before, $p99_during ] },
	charts => [
		{
			kind => 'lines', title => 'The table pending in a retry storm', x => 'seconds since the storm began',
			y => 'MB with indexes, and thousands of rows', lines => [ [ 'MB', \@size ], [ 'thousand rows', \@owed ] ],
		},
		{
			kind => 'bars', title => 'The other endpoint', unit => 'p99, milliseconds from emit to arrival',
			bars => [ [ 'before', $p99_before ], [ 'in the storm', $p99_during, 1 ] ],
		},
	],
});
