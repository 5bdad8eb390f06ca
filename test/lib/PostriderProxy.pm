# PostriderProxy: proxies for the tests, in processes of their own.
#
#   PostriderProxy->http(port => n, connect => sub { ... })
#
# The stand-in speaks HTTP (CONNECT) and SOCKS5.  It connects every name to the
# receiver's port on 127.0.0.1, writes down what it was asked for, and can be told to
# answer something else.
package PostriderProxy;
use strict;
use warnings;
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use PostriderChild;
use Time::HiRes qw(sleep);

# kind: http or socks5.  answer: the status that CONNECT gets, or the reply of SOCKS5.
sub start
{
	my ($class, %options) = @_;
	my $self = bless { kind => 'http', %options, dir => tempdir(CLEANUP => 1) }, $class;
	my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 100, ReuseAddr => 1)
	  or die "cannot listen: $!";
	$self->{port} = $listen->sockport;
	$self->{log} = "$self->{dir}/asked";
	open(my $touch, '>', $self->{log}) or die $!;
	$self->{pid} = PostriderChild::start(sub {
		$SIG{CHLD} = 'IGNORE';
		while (1)
		{
			my $client = $listen->accept or next;
			next if fork;
			close $listen;
			eval { $self->{kind} eq 'http' ? serve_http($self, $client) : serve_socks($self, $client); };
			return;
		}
	});
	close $listen;
	return $self;
}

sub url { my ($self) = @_; return ($self->{kind} eq 'http' ? 'http' : 'socks5h') . "://127.0.0.1:$self->{port}"; }

# What it was asked for so far: hashes.
sub asked
{
	my ($self) = @_;
	open(my $in, '<', $self->{log}) or die $!;
	return map { decode_json($_) } grep { /\n\z/ } <$in>;
}

sub down
{
	my ($self) = @_;
	return unless $self->{pid};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	delete $self->{pid};
}

sub DESTROY
{
	my ($self) = @_;
	local $?;
	$self->down;
}

sub note
{
	my ($self, %what) = @_;
	open(my $out, '>>', $self->{log}) or die $!;
	syswrite $out, encode_json(\%what) . "\n";
}

sub take
{
	my ($socket, $length) = @_;
	my $bytes = '';
	while (length $bytes < $length)
	{
		sysread($socket, $bytes, $length - length $bytes, length $bytes) or die "closed\n";
	}
	return $bytes;
}

sub target
{
	my ($self) = @_;
	return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{to}) || die $!;
}

sub relay
{
	my ($self, $client, $server) = @_;
	my $select = IO::Select->new($client, $server);
	my $seen = 0;
	while (1)
	{
		for my $from ($select->can_read)
		{
			sysread($from, my $bytes, 65536) or return;
			syswrite($from == $client ? $server : $client, $bytes);
			note($self, tunnelled => unpack('H*', substr($bytes, 0, 40))) if $from == $client && !$seen++;
		}
	}
}

sub serve_http
{
	my ($self, $client) = @_;
	my $head = '';
	$head .= take($client, 1) until $head =~ /\r\n\r\n\z/;
	my ($line, @headers) = split /\r\n/, $head;
	note($self, line => $line, headers => [ map { lc } @headers ]);
	if ($self->{hang}) { sleep 60; return; }
	my $status = $self->{answer} // 200;
	$status = 407 if $self->{credentials} && !grep { /^proxy-authorization: basic \Q$self->{credentials}\E$/i } @headers;
	if ($status != 200)
	{
		syswrite $client, "HTTP/1.1 $status No\r\nContent-Length: 6\r\n\r\nhushed";
		return;
	}
	my $server = target($self);
	syswrite $client, "HTTP/1.1 200 Connection established\r\n\r\n";
	relay($self, $client, $server);
}

sub serve_socks
{
	my ($self, $client) = @_;
	my (undef, $methods) = unpack 'CC', take($client, 2);
	take($client, $methods);
	syswrite $client, pack('CC', 5, 0);
	my (undef, undef, undef, $type) = unpack 'CCCC', take($client, 4);
	my $name = $type == 3 ? take($client, unpack('C', take($client, 1))) : unpack('H*', take($client, $type == 1 ? 4 : 16));
	my $port = unpack 'n', take($client, 2);
	note($self, type => $type, name => $name, port => $port);
	my $reply = $self->{answer} // 0;
	syswrite $client, pack('CCCCNn', 5, $reply, 0, 1, 0, 0);
	return if $reply;
	relay($self, $client, target($self));
}

1;
