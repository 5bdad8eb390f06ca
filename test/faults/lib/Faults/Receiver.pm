# Faults::Receiver: the receiver of receiver.c, and its log.
package Faults::Receiver;
use strict;
use warnings;
use Faults;
use IPC::Open2;

sub new
{
	my ($class, $name) = @_;
	my $self = bless { log => Faults::work() . "/$name.log", owner => $$ }, $class;
	$self->{pid} = open2($self->{out}, $self->{in}, Faults::work() . '/receiver', 0, $self->{log});
	my $line = readline $self->{out};
	($self->{port}) = ($line // '') =~ /^port (\d+)/ or die "the receiver does not start\n";
	return $self;
}

sub url { my ($self, $endpoint) = @_; return "http://127.0.0.1:$self->{port}/$endpoint"; }

# command('*', 'status', 503); returns when it is in force.
sub command
{
	my ($self, @words) = @_;
	my $in = $self->{in};
	print $in "@words\n";
	$in->flush;
	my $answer = readline $self->{out};
	die "the receiver has gone\n" unless ($answer // '') eq "done\n";
}

# Grows with every request.
sub position { my ($self) = @_; return -s $self->{log}; }

# Calls the block for each request since a position: time (seconds), whether it
# was answered with 2xx, endpoint, message id, key, number.
sub each_request
{
	my ($self, $block, $position) = @_;
	open(my $in, '<', $self->{log}) or die $!;
	seek $in, $position || 0, 0;
	while (<$in>)
	{
		last unless /\n\z/;
		my ($ms, $ok, @rest) = split;
		$block->($ms / 1000, $ok eq 'ok', @rest);
	}
}

# How many requests were answered with 2xx since a position.
sub count_since
{
	my ($self, $position) = @_;
	my $count = 0;
	$self->each_request(sub { $count += $_[1] }, $position);
	return $count;
}

sub DESTROY
{
	my ($self) = @_;
	local $?;
	return if $self->{owner} != $$;
	close $self->{in};
	waitpid $self->{pid}, 0;
}

1;
