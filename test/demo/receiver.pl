#!/usr/bin/perl
# The demo's receiver: an HTTP server that plays three systems of a shop.
#   /crm        takes everything
#   /mail       answers 503 to the first two attempts of a message
#   /affiliate  refuses with 422
# usage: receiver.pl PORT_FILE SECRET_FILE LOG_FILE
# It checks each signature against the secret and writes a line per request.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_base64);
use IO::Select;
use IO::Socket::INET;
use MIME::Base64 qw(decode_base64);

my ($port_file, $secret_file, $log_file) = @ARGV;
my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128)
  or die "cannot listen: $!";
open(my $port, '>', $port_file) or die $!;
print $port $listen->sockport;
close $port;
open(my $log, '>>', $log_file) or die $!;
$log->autoflush(1);
$SIG{PIPE} = 'IGNORE';

sub signature_is_right
{
	my ($head, $body) = @_;
	open(my $in, '<', $secret_file) or return 0;
	chomp(my $secret = <$in> // '');
	my $mac = hmac_sha256_base64("$head->{'webhook-id'}.$head->{'webhook-timestamp'}.$body",
		decode_base64($secret =~ s/^whsec_//r));
	$mac .= '=' while length($mac) % 4;
	return scalar grep { $_ eq "v1,$mac" } split / /, $head->{'webhook-signature'} // '';
}

my $select = IO::Select->new($listen);
my (%input, %tries);
while (my @ready = $select->can_read)
{
	for my $socket (@ready)
	{
		if ($socket == $listen)
		{
			my $new = $listen->accept or next;
			$select->add($new);
			$input{$new} = '';
			next;
		}
		if (!sysread($socket, $input{$socket}, 65536, length $input{$socket}))
		{
			$select->remove($socket);
			delete $input{$socket};
			close $socket;
			next;
		}
		while ($input{$socket} =~ /\A(.*?)\r\n\r\n/s)
		{
			my $length = length $1;
			my ($line, @lines) = split /\r\n/, $1;
			my %head = map { /^([^:]+):\s*(.*)$/ ? (lc $1 => $2) : () } @lines;
			last if length($input{$socket}) < $length + 4 + $head{'content-length'};
			my $body = substr($input{$socket}, $length + 4, $head{'content-length'});
			substr($input{$socket}, 0, $length + 4 + $head{'content-length'}) = '';
			my (undef, $path) = split / /, $line;
			my $status = $path eq '/affiliate' ? 422 : 200;
			$status = 503 if $path eq '/mail' && ++$tries{ $head{'webhook-id'} } <= 2;
			printf $log "%-10s answered %d  signature %s  %s\n", $path, $status,
			  signature_is_right(\%head, $body) ? 'right' : 'WRONG', $body;
			my $text = $status == 422 ? 'unknown campaign' : '';
			syswrite $socket, "HTTP/1.1 $status Demo\r\nContent-Length: "
			  . length($text) . "\r\n\r\n$text";
		}
	}
}
