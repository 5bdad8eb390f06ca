# Faults: what the fault tests share.
#
#   my $seed = Faults::seed();            # SEED, or a random one; printed
#   Faults::wait_until { ... } 'what', 30;
#   Faults::remaining                     # seconds left of MINUTES
package Faults;
use strict;
use warnings;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $started = time;

# Adopts orphans, such as the children of a postmaster that was killed:
# prctl(2) with PR_SET_CHILD_SUBREAPER.  Otherwise their zombies stay where
# process 1 does not reap, and seem to live.
my %prctl = (x86_64 => 157, aarch64 => 167);
my ($machine) = (POSIX::uname())[4];
syscall $prctl{$machine}, 36, 1, 0, 0, 0 if $prctl{$machine};

sub work { return $ENV{FAULTS_WORK} || die "FAULTS_WORK is not set: use test/faults/run\n"; }

# All choices are drawn from this seed, so a run can be repeated (its timing
# cannot).
sub seed
{
	my $seed = $ENV{SEED} || 1 + int(rand(999_999));
	srand $seed;
	diag("SEED=$seed");
	return $seed;
}

sub elapsed { return time - $started; }

sub remaining { return ($ENV{MINUTES} || 12) * 60 - elapsed(); }

sub pick { return $_[ rand @_ ]; }

sub between { my ($low, $high) = @_; return $low + rand($high - $low); }

# Calls the block until it returns true; dies if it never does.
sub wait_until(&$;$)
{
	my ($block, $what, $timeout) = @_;
	my $end = time + ($timeout || 60);
	while (time < $end)
	{
		my $value = $block->();
		return $value if $value;
		sleep 0.02;
	}
	die "timed out waiting until $what\n";
}

1;
