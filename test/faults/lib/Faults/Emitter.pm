# Faults::Emitter: a session that emits at a steady rate, whatever happens to
# the server.  Each emit also writes a row to the table ledger, in the same
# transaction: so the ledger knows what was committed, after any crash.
package Faults::Emitter;
use strict;
use warnings;
use Faults;
use POSIX ();
use Time::HiRes qw(sleep time);

# Each kind of transaction with its weight.  The functions return SQL.
my @kinds = (
	[ 60, \&plain ], [ 10, \&many ], [ 6, \&rolled_back ], [ 4, \&savepoint ],
	[ 5, \&asynchronous ], [ 5, \&prepared ], [ 3, \&scheduled ], [ 1, \&large ]);

# An emit of $count messages with the session's next numbers, in order by key.
sub emit
{
	my ($self, $count, %more) = @_;
	my $first = $self->{number} + 1;
	$self->{number} += $count;
	my $last = $self->{number};
	my $filler = $more{bytes} ? ", 'filler', repeat('x', $more{bytes})" : '';
	my $key = $more{key} // "'e$self->{name}.' || n % 5";
	my $at = $more{at} ? ", deliver_at => now() + interval '$more{at}'" : '';
	return "insert into ledger (id) select postrider.emit('fault.row', "
	  . "jsonb_build_object('k', $key, 'n', n$filler), $key$at) from generate_series($first, $last) n";
}

sub plain { return $_[0]->emit(1) . ';'; }
sub many { return $_[0]->emit(20) . ';'; }
sub rolled_back { my ($self) = @_; return 'begin; ' . $self->emit(3) . '; rollback;'; }
sub asynchronous { my ($self) = @_; return 'begin; set local synchronous_commit = off; ' . $self->emit(2) . '; commit;'; }
sub scheduled { my ($self) = @_; return $self->emit(1, key => "'scheduled'", at => '700 ms') . ';'; }
sub large { my ($self) = @_; return $self->emit(1, bytes => 200_000) . ';'; }

sub savepoint
{
	my ($self) = @_;
	return 'begin; ' . $self->emit(1) . '; savepoint s; ' . $self->emit(2)
	  . '; rollback to s; ' . $self->emit(1) . '; commit;';
}

# Prepared now, ended a few transactions later; if the session is lost in
# between, the transaction stays until finish_prepared().
sub prepared
{
	my ($self) = @_;
	my $name = "e$self->{name}_$self->{number}";
	push @{ $self->{prepared} }, $name;
	my $sql = 'begin; ' . $self->emit(2, key => "'prepared'") . "; prepare transaction '$name';";
	if (@{ $self->{prepared} } > 3)
	{
		my $old = shift @{ $self->{prepared} };
		$sql .= (rand() < 0.7 ? ' commit' : ' rollback') . " prepared '$old';";
	}
	return $sql;
}

# Open for long: it commits late, with an id from long ago.
sub long
{
	my ($self) = @_;
	return 'begin; ' . $self->emit(5, key => "'long'") . '; select pg_sleep('
	  . Faults::between(0.2, 5) . '); ' . (rand() < 0.8 ? 'commit;' : 'rollback;');
}

sub draw
{
	my ($self) = @_;
	return $self->long if $self->{long};
	my @from = grep { !$self->{synchronous} || $_->[1] != \&asynchronous } @kinds;
	my $total = 0;
	$total += $_->[0] for @from;
	my $at = rand $total;
	for my $kind (@from)
	{
		return $kind->[1]->($self) if ($at -= $kind->[0]) < 0;
	}
	return $self->plain;
}

sub run
{
	my ($self) = @_;
	my ($psql, $psql_pid, $stop);
	local $SIG{TERM} = sub { $stop = 1 };
	local $SIG{PIPE} = 'IGNORE';
	my $server = $self->{server};
	open(STDOUT, '>>', '/dev/null');
	open(STDERR, '>>', "$server->{dir}/emitter.log");
	until ($stop)
	{
		if (!$psql)
		{
			$psql_pid = open($psql, '|-', "$ENV{FAULTS_BINDIR}/psql", '-Xqat', '-h', $server->{dir},
				'-U', 'postgres', '-d', $server->{db}) or die $!;
			$psql->autoflush(1);
		}
		if (!print $psql $self->draw, "\n")
		{
			close $psql;
			undef $psql;
			sleep 0.1;
		}
		sleep $self->{pause};
	}
	kill 'TERM', $psql_pid if $psql;
	close $psql if $psql;
}

# server, name, rate (transactions per second), seed; long: only long
# transactions; synchronous: none with synchronous_commit off
sub start
{
	my ($class, %options) = @_;
	my $self = bless { %options, pause => 1 / $options{rate}, number => 0, prepared => [] }, $class;
	$self->{pid} = fork // die $!;
	return $self if $self->{pid};
	srand $options{seed};
	eval { $self->run };
	print STDERR $@ if $@;
	POSIX::_exit(0);
}

sub stop
{
	my ($self) = @_;
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
}

1;
