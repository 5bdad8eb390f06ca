# Bench::Receiver: where the requests go.
#
#   my $nginx = Bench::Receiver->nginx;         $nginx->url('/ok')
#   my $recorder = Bench::Receiver->recorder;   # see recorder.c
#   $recorder->control('reset')
#   $recorder->records(sub { my ($kind, $status, $arrived_us, $at_us, $id, $bytes) = @_ })
package Bench::Receiver;
use strict;
use warnings;
use Bench;
use IO::Socket::INET;

my $number = 0;

# nginx in a directory and on a port of its own; the system's service is left
# alone.
sub nginx
{
	my ($class) = @_;
	my $dir = "$Bench::work/nginx" . ++$number;
	my $port = Bench::free_port();
	mkdir $dir or die "$dir: $!";
	open(my $conf, '>', "$dir/nginx.conf") or die $!;
	print $conf <<CONF;
worker_processes 1;
worker_rlimit_nofile 8192;
pid nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
	access_log off;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server { listen 127.0.0.1:$port backlog=4096; location / { return 200; } }
}
CONF
	close $conf;
	my $nginx = -x '/usr/sbin/nginx' ? '/usr/sbin/nginx' : 'nginx';
	return $class->start($dir, $port, $nginx, '-p', "$dir/", '-c', "$dir/nginx.conf",
		'-e', 'stderr', '-g', 'daemon off;');
}

sub recorder
{
	my ($class) = @_;
	my $dir = "$Bench::work/recorder" . ++$number;
	my $port = Bench::free_port();
	mkdir $dir or die "$dir: $!";
	my $self = $class->start($dir, $port, Bench::program('recorder'), $port, "$dir/records");
	$self->{records} = "$dir/records";
	return $self;
}

sub start
{
	my ($class, $dir, $port, @command) = @_;
	my $self = bless { port => $port, owner => $$ }, $class;
	$self->{pid} = Bench::spawn("$dir/log", @command);
	Bench::wait_until("$command[0] listens (see $dir/log)", 10, sub {
		return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
	});
	return $self;
}

sub stop
{
	my ($self) = @_;
	return unless $self->{pid} && $self->{owner} == $$;
	Bench::stop_process(delete $self->{pid});
}

sub DESTROY { $_[0]->stop; }

sub url { my ($self, $path) = @_; return "http://127.0.0.1:$self->{port}$path"; }

# Tells the recorder something and returns its answer.
sub control
{
	my ($self, $what) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port})
	  or die "the recorder does not answer: $!";
	print $socket "GET /control/$what HTTP/1.1\r\n\r\n";
	my $answer = do { local $/; <$socket> } // '';
	$answer =~ /^HTTP\S+ 200 .*?\r\n\r\n(.*)/s or die "the recorder answers: $answer\n";
	return $1;
}

# How many requests came: {ok, flaky_200, flaky_503, hang}.
sub counts
{
	my ($self) = @_;
	my %counts;
	@counts{qw(ok flaky_200 flaky_503 hang)} = split / /, $self->control('counts');
	return \%counts;
}

# Calls the block for each record.
sub records
{
	my ($self, $block) = @_;
	$self->control('write');
	open(my $in, '<', $self->{records}) or die $!;
	while (my $line = <$in>)
	{
		chomp $line;
		$block->(split / /, $line);
	}
}

# Milliseconds from "at" in the body to the arrival of all requests to /ok; and
# dies if a body has not the size that is promised.
sub latencies_ms
{
	my ($self) = @_;
	my @ms;
	$self->records(sub {
		my ($kind, $status, $arrived_us, $at_us, $id, $bytes) = @_;
		return unless $kind eq 'o' && $at_us;
		die "a body has $bytes bytes\n" if abs($bytes - $Bench::body_bytes) > 10;
		push @ms, ($arrived_us - $at_us) / 1000;
	});
	return @ms;
}

1;
