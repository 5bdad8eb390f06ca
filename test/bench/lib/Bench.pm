# Bench: what the figures of the benchmark share.
#
#   Bench::scale($full, $quick)    one or the other, by the environment's QUICK
#   Bench::rounds                  how often to repeat
#   Bench::note('text')            progress, on the terminal
#   Bench::report({...})           what a figure hands over, see Bench::Report
package Bench;
use strict;
use warnings;
use IO::Socket::INET;
use JSON::PP;
use Time::HiRes qw(sleep time);

# The directory of this figure, which goes when it has been measured, and that
# of the whole run.
our $work = $ENV{BENCH_WORK} or die "run test/bench/run\n";
our $home = $ENV{BENCH_HOME};

# What every comparison has in common.
our $body_bytes = 500;
our $in_flight = 64;

$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { die "interrupted\n" };
$SIG{PIPE} = 'IGNORE';
$| = 1;

sub quick { return $ENV{QUICK} ? 1 : 0; }

sub scale
{
	my ($full, $quick) = @_;
	return quick() ? $quick : $full;
}

sub rounds { return $ENV{ROUNDS} || 3; }

sub note
{
	my ($text) = @_;
	print "  $text\n";
}

sub program { return "$home/bin/$_[0]"; }

# Hands the figure's result to the report.
sub report
{
	my ($figure) = @_;
	$figure->{quick} = quick();
	open(my $out, '>', "$ENV{BENCH_RESULTS}/$figure->{figure}.json") or die $!;
	print $out JSON::PP->new->canonical->pretty->encode($figure);
	close $out or die $!;
}

# One row of a figure.  met is undefined where nothing must be reached.
sub row
{
	my ($what, $measured, %options) = @_;
	return { what => $what, measured => $measured, %options };
}

sub at_least
{
	my ($what, $value, $limit, $format) = @_;
	$format ||= '%.2f';
	return row($what, sprintf($format, $value), value => $value,
		must => sprintf("at least $format", $limit),
		met => $value >= $limit ? JSON::PP::true : JSON::PP::false);
}

sub at_most
{
	my ($what, $value, $limit, $format) = @_;
	$format ||= '%.2f';
	return row($what, sprintf($format, $value), value => $value,
		must => sprintf("at most $format", $limit),
		met => $value <= $limit ? JSON::PP::true : JSON::PP::false);
}

# 12345678 -> 12,345,678
sub count
{
	my $text = sprintf '%.0f', $_[0];
	1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;
	return $text;
}

sub bytes
{
	my ($bytes) = @_;
	return $bytes >= 1e7 ? sprintf('%.0f MB', $bytes / 1e6)
	  : $bytes >= 1e6 ? sprintf('%.1f MB', $bytes / 1e6)
	  : sprintf('%.0f kB', $bytes / 1e3);
}

sub median
{
	my @sorted = sort { $a <=> $b } @_ or return 0;
	return @sorted % 2 ? $sorted[ $#sorted / 2 ]
	  : ($sorted[ @sorted / 2 - 1 ] + $sorted[ @sorted / 2 ]) / 2;
}

# The smallest value that a part (0.99) of the values does not exceed.
sub percentile
{
	my ($part, @values) = @_;
	my @sorted = sort { $a <=> $b } @values or return 0;
	my $index = int($part * @sorted);
	return $sorted[ $index > $#sorted ? $#sorted : $index ];
}

# Calls the block until it returns true.
sub wait_until
{
	my ($what, $timeout_s, $block, $pause_s) = @_;
	my $end = time + $timeout_s;
	until ($block->())
	{
		die "timed out waiting until $what\n" if time > $end;
		sleep($pause_s || 0.02);
	}
}

# A port of 127.0.0.1 where nobody listens, held by the socket that is
# returned with it: until somebody listens there, connections are refused.
sub closed_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp',
		ReuseAddr => 1) or die "cannot bind: $!";
	return ($socket->sockport, $socket);
}

sub free_port
{
	my ($port, $socket) = closed_port();
	close $socket;
	return $port;
}

# Starts a program in the background; returns its process id.
sub spawn
{
	my ($log, @command) = @_;
	my $pid = fork // die $!;
	return $pid if $pid;
	open(STDIN, '<', '/dev/null');
	open(STDOUT, '>>', $log) or die $!;
	open(STDERR, '>&', \*STDOUT);
	$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
	exec @command or do { print STDERR "$command[0]: $!\n"; POSIX::_exit(1); };
}

# Runs a program to its end; dies with what it said if it failed.
sub run
{
	my (@command) = @_;
	my $log = "$work/run.$$.log";
	unlink $log;
	my $pid = spawn($log, @command);
	waitpid $pid, 0;
	my $status = $?;
	open(my $in, '<', $log) or die $!;
	my $output = do { local $/; <$in> } // '';
	die "@command failed:\n$output\n" if $status;
	return $output;
}

sub stop_process
{
	my ($pid) = @_;
	kill 'TERM', $pid;
	local ($?, $!);
	waitpid $pid, 0;
}

use POSIX ();
1;
