# PostriderChild: runs a part of a test in a process of its own.
#
#   my $pid = PostriderChild::start(sub { serve($listen) });
#
# It ends when the sub returns, or at SIGTERM, from its first moment on: PostgreSQL::Test::Cluster
# has SIGTERM end the test (since PostgreSQL 17), and a child that was told to go before it had
# settled down would take the servers of the test along.
package PostriderChild;
use strict;
use warnings;
use POSIX ();

sub start
{
	my ($sub) = @_;
	local $SIG{TERM} = 'DEFAULT';
	my $pid = fork // die "cannot fork: $!";
	return $pid if $pid;
	$SIG{PIPE} = 'IGNORE';
	eval { $sub->(); 1 } or print STDERR $@;
	POSIX::_exit(0);
}

1;
