# PostriderToken: a scripted OAuth 2.0 token server in a process of its own, for what a
# real one cannot be told to do.
#
#   my $tokens = PostriderToken->start;
#   $tokens->script(life => 60);              # from now on, see below
#   $tokens->requests                         # all requests so far, as hashes
#
# Access tokens are at-1, at-2, ...; script() takes:
#   life      seconds (expires_in); undef: nothing is said
#   fail      [status, {header => value}, body]: answer every request so
#   rotate    with each answer to a refresh token there is a new one, and the old one
#             is good for nothing any more; the first one is rt-1
#   delay     seconds before the answer
#   prefix    what stands before the names of tokens, "Prefix" for "Prefixat-1"
#   echo      [status, n]: answer every request so, with an error that repeats the request, head
#             and all, behind n letters; a status of 0 is no HTTP
package PostriderToken;
use strict;
use warnings;
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use PostriderChild;
use Time::HiRes qw(sleep time);

sub start
{
	my ($class, %script) = @_;
	my $self = bless { dir => tempdir(CLEANUP => 1) }, $class;
	$self->{log} = "$self->{dir}/requests";
	open(my $touch, '>', $self->{log}) or die $!;
	$self->script(life => 3600, %script);
	$self->up;
	return $self;
}

sub up
{
	my ($self) = @_;
	my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $self->{port} // 0,
		Listen => 64, ReuseAddr => 1) or die "cannot listen: $!";
	$self->{port} = $listen->sockport;
	$self->{pid} = PostriderChild::start(sub { serve($self, $listen) });
	close $listen;
}

sub down
{
	my ($self) = @_;
	return unless $self->{pid};
	kill 'TERM', $self->{pid};
	waitpid delete $self->{pid}, 0;
}

sub DESTROY { my ($self) = @_; local $?; $self->down; }

sub url { my ($self, $path) = @_; return "http://127.0.0.1:$self->{port}" . ($path // '/token'); }

sub script
{
	my ($self, %script) = @_;
	open(my $out, '>', "$self->{dir}/script.new") or die $!;
	print $out encode_json(\%script);
	close $out;
	rename "$self->{dir}/script.new", "$self->{dir}/script" or die $!;
}

sub requests
{
	my ($self) = @_;
	open(my $in, '<', $self->{log}) or die $!;
	return map { decode_json($_) } grep { /\n\z/ } <$in>;
}

sub count { my ($self) = @_; return scalar(() = $self->requests); }

# The life of an access token: [from, to].
sub life
{
	my ($self, $token) = @_;
	my ($request) = grep { ($_->{access_token} // '') eq $token } $self->requests;
	return $request && [ $request->{time}, $request->{time} + $request->{life} ];
}

sub form
{
	my ($body) = @_;
	my %form;
	for (split /&/, $body)
	{
		my ($name, $value) = map { s/\+/ /gr =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split /=/, $_, 2;
		$form{$name} = $value;
	}
	return \%form;
}

sub serve
{
	my ($self, $listen) = @_;
	my ($issued, $refresh) = (0, 1);
	open(my $log, '>>', $self->{log}) or die $!;
	$log->autoflush(1);
	while (my $socket = $listen->accept)
	{
		my $input = '';
		while ($input !~ /\r\n\r\n/) { last unless sysread $socket, $input, 65536, length $input; }
		my ($head, $body) = split /\r\n\r\n/, $input, 2;
		my ($size) = ($head // '') =~ /^content-length: *(\d+)/mi;
		while (length($body // '') < ($size || 0)) { last unless sysread $socket, $body, 65536, length $body; }
		my %headers = map { /^([^:]+): *(.*?)\r?$/ ? (lc $1, $2) : () } split /\n/, $head;
		my $form = form($body // '');
		my ($basic) = ($headers{authorization} // '') =~ /^Basic (.*)/;
		my $script = do { open(my $in, '<', "$self->{dir}/script") or die $!; decode_json(join '', <$in>) };
		my %note = (time => time, form => $form, headers => \%headers, head => $head,
			basic => $basic && decode_base64($basic));
		my ($status, $extra, $answer) = (200, {}, undef);
		my $prefix = $script->{prefix} // '';
		if ($script->{fail}) { ($status, $extra, $answer) = @{ $script->{fail} }; }
		elsif ($script->{echo})
		{
			($status, my $letters) = @{ $script->{echo} };
			my ($secret) = map { $_ // () } @$form{qw(client_secret refresh_token assertion client_assertion)}, $note{basic}, 'none';
			my $text = 'x' x $letters . "$secret, " . ($note{basic} // '') . "\n" . $input;
			($extra, $answer) = ({ 'X-Echo' => $text =~ s/\s+/ /gr }, { error => 'invalid_client', error_description => $text });
		}
		elsif ($script->{rotate} && $form->{grant_type} eq 'refresh_token' && $form->{refresh_token} ne "${prefix}rt-$refresh")
		{
			($status, $answer) = (400, { error => 'invalid_grant', error_description => "refresh token is not good" });
		}
		else
		{
			$note{access_token} = $prefix . 'at-' . ++$issued;
			$note{life} = $script->{life} // 3600;
			$answer = { access_token => $note{access_token}, token_type => 'Bearer' };
			$answer->{expires_in} = $script->{life} if defined $script->{life};
			$answer->{refresh_token} = $note{refresh_token} = $prefix . 'rt-' . ++$refresh
			  if $script->{rotate} && $form->{grant_type} eq 'refresh_token';
		}
		$note{status} = $status;
		sleep $script->{delay} if $script->{delay};
		print $log encode_json(\%note), "\n";
		$answer = encode_json($answer) if ref $answer;
		$answer //= '';
		my $lines = join '', map { "$_: $extra->{$_}\r\n" } sort keys %$extra;
		syswrite $socket, ($status ? "HTTP/1.1 $status Told" : "Odd$answer") . "\r\nContent-Type: application/json\r\nConnection: close\r\n${lines}Content-Length: "
		  . length($answer) . "\r\n\r\n$answer";
		close $socket;
	}
}

1;
