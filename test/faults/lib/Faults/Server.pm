# Faults::Server: a PostgreSQL server whose postmaster is our own child, so
# that it can be killed and reaped.  It listens on a Unix socket only.
package Faults::Server;
use strict;
use warnings;
use Faults;
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

my $bindir = $ENV{FAULTS_BINDIR};

# How long a server may take to end, and its processes after it, in seconds:
# far more than they need, for a machine that is busy with other things.
my $stop_patience = 120;
my $gone_patience = 60;

# A name, and: conf (text), initdb (more arguments), env, backup_of (a server of
# which this one is a base backup, set up to be its standby)
sub new
{
	my ($class, $name, %options) = @_;
	my $dir = Faults::work() . "/$name";
	mkdir $dir or die "cannot make $dir: $!";
	my $self = bless { name => $name, dir => $dir, data => "$dir/data",
		log => "$dir/log", env => $options{env} || {}, db => 'postgres' }, $class;
	my $origin = $options{backup_of};
	$self->init($options{initdb} || []) unless $origin;
	$self->command('pg_basebackup', '-D', $self->{data}, '-h', $origin->{dir},
		'-U', 'postgres', '-R', '-c', 'fast') if $origin;
	$self->append(<<CONF . ($options{conf} // ''));
shared_preload_libraries = 'postrider'
# What a killed process wrote is with the kernel: only a loss of power needs fsync.
fsync = off
postrider.allowed_networks = '127.0.0.0/8'
listen_addresses = ''
unix_socket_directories = '$dir'
max_prepared_transactions = 50
max_worker_processes = 16
max_connections = 60
log_line_prefix = '%m [%p] %b '
CONF
	return $self;
}

sub init
{
	my ($self, $arguments) = @_;
	$self->command('initdb', '-D', $self->{data}, '-U', 'postgres', '-A', 'trust',
		'-N', '-E', 'UTF8', '--no-locale', @$arguments);
}

sub append
{
	my ($self, $text) = @_;
	open(my $out, '>>', "$self->{data}/postgresql.conf") or die $!;
	print $out $text;
	close $out;
}

# Runs a program, of the server if it has it; dies if it fails.
sub command
{
	my ($self, $program, @arguments) = @_;
	$program = "$bindir/$program" if -x "$bindir/$program";
	my $pid = fork // die $!;
	if (!$pid)
	{
		open(STDOUT, '>>', "$self->{dir}/commands.log");
		open(STDERR, '>&', \*STDOUT);
		exec $program, @arguments or POSIX::_exit(127);
	}
	waitpid $pid, 0;
	die "$program @arguments failed, see $self->{dir}/commands.log\n" if $?;
}

# Starts the server; returns false if it ends before it accepts connections.
sub start
{
	my ($self, $timeout) = @_;
	my $pid = fork // die $!;
	if (!$pid)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', $self->{log});
		open(STDERR, '>&', \*STDOUT);
		%ENV = (%ENV, %{ $self->{env} });
		exec "$bindir/postgres", '-D', $self->{data} or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	return Faults::wait_until {
		if (waitpid($pid, WNOHANG) == $pid)
		{
			delete $self->{pid};
			return 'ended';
		}
		return 'up' if defined $self->try('select 1', 'postgres');
		sleep 0.1;
		return;
	} "$self->{name} is up", $timeout || 60;
}

sub up
{
	my ($self, $timeout) = @_;
	my $how = $self->start($timeout);
	die "$self->{name} does not start, see $self->{log}\n" if $how ne 'up';
}

# All processes of the server but the postmaster.
sub children
{
	my ($self) = @_;
	my @children;
	for my $file (glob '/proc/[0-9]*/stat')
	{
		open(my $in, '<', $file) or next;
		my ($pid, $state, $parent) = (<$in> // '') =~ /^(\d+) \(.*\) (\S) (\d+)/s or next;
		push @children, $pid if $parent == $self->{pid} && $state ne 'Z';
	}
	return @children;
}

# Waits until processes are gone.  What is still there in the end is killed,
# and reported as a failure: nothing may outlive its postmaster.
sub wait_gone
{
	my ($self, $what, @pids) = @_;
	my $gone = eval {
		Faults::wait_until {
			waitpid $_, WNOHANG for @pids;
			!kill 0, @pids
		} 'all are gone', $gone_patience;
	};
	return if $gone;
	my @left = grep { kill 0, $_ } @pids;
	fail("$what: " . join(', ', map { describe($_) } @left) . ' stayed');
	$self->show_log;
	kill 'KILL', @left;
	Faults::wait_until { waitpid $_, WNOHANG for @left; !kill 0, @left } 'the rest is dead';
}

sub describe
{
	my ($pid) = @_;
	open(my $in, '<', "/proc/$pid/cmdline") or return $pid;
	my $line = <$in> // '';
	return "$pid (" . $line =~ s/\0.*//sr . ')';
}

# The end of the log, for a failure that will not come again.
sub show_log
{
	my ($self) = @_;
	diag("the end of $self->{log}:\n" . `tail -n 40 '$self->{log}'`);
}

# fast (INT), immediate (QUIT) or kill (KILL: the children are left to notice)
my %signals = (fast => 'INT', immediate => 'QUIT', kill => 'KILL');

sub stop
{
	my ($self, $mode) = @_;
	my $pid = $self->{pid} or return;
	my @children = $self->children;
	kill $signals{$mode}, $pid;
	eval { Faults::wait_until { waitpid($pid, WNOHANG) == $pid } 'the postmaster ends', $stop_patience }
	  or do
	{
		fail("$mode stop: the postmaster stayed, with " . join(', ', map { describe($_) } $self->children));
		$self->show_log;
		kill 'KILL', $pid;
		waitpid $pid, 0;
	};
	delete $self->{pid};
	$self->wait_gone("$mode stop", @children);
}

# Everything at once, as the loss of power would.
sub kill_all
{
	my ($self) = @_;
	my @all = ($self->{pid}, $self->children);
	kill 'KILL', @all;
	waitpid $self->{pid}, 0;
	delete $self->{pid};
	$self->wait_gone('kill of all', @all);
}

sub reload { my ($self) = @_; kill 'HUP', $self->{pid}; }

# The answer to a query, without its last newline; undef if it fails.
sub try
{
	my ($self, $query, $db) = @_;
	my $pid = open(my $out, '-|') // die $!;
	if (!$pid)
	{
		open(STDERR, '>>', "$self->{dir}/psql.log");
		exec "$bindir/psql", '-XqAt', '-v', 'ON_ERROR_STOP=1', '-h', $self->{dir},
		  '-U', 'postgres', '-d', $db || $self->{db}, '-c', $query
		  or POSIX::_exit(127);
	}
	local $/;
	my $answer = <$out>;
	close $out or return;
	return $answer =~ s/\n\z//r;
}

sub sql
{
	my ($self, $query, $db) = @_;
	return $self->try($query, $db)
	  // die "query failed, see $self->{dir}/psql.log: $query\n";
}

# Waits until a query returns a value, whatever happens to the server.
sub wait_for
{
	my ($self, $query, $value, $timeout) = @_;
	my $last = '';
	my $ok = eval {
		Faults::wait_until { $last = $self->try($query) // ''; $last eq $value }
		"$query returns $value", $timeout;
	};
	diag("$self->{name}: wanted $value, last was $last: $query") unless $ok;
	return $ok;
}

sub log_like
{
	my ($self, $pattern) = @_;
	open(my $in, '<', $self->{log}) or return 0;
	return scalar grep { /$pattern/ } <$in>;
}

# The process id of a kind of background process; 0 if there is none.
sub process
{
	my ($self, $type) = @_;
	my $pid = $self->try("select pid from pg_stat_activity where backend_type = '$type' order by random() limit 1", 'postgres');
	return $pid || 0;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@);
	$self->stop('immediate') if $self->{pid} && $self->{owner} && $self->{owner} == $$;
}

1;
