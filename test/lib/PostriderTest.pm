# PostriderTest: servers and receivers for the TAP tests.
#
#   my $node = PostriderTest::node('name');         # started, extension created
#   my $receiver = PostriderTest::Receiver->start;  # a real HTTP server
#   $receiver->url('/path')
#   $receiver->requests                             # all requests so far
#   PostriderTest::wait_until { ... } 'what', 30;
package PostriderTest;
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_base64);
use MIME::Base64 qw(decode_base64);
use PostriderChild;
use POSIX qw(WNOHANG);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

sub node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(%{ $options{init} || {} });
	$node->append_conf('postgresql.conf', <<CONF);
shared_preload_libraries = 'postrider'
postrider.allowed_networks = '127.0.0.0/8, ::1/128'
max_prepared_transactions = 10
max_worker_processes = 16
CONF
	$node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	$node->start;
	$node->safe_psql('postgres', 'create extension postrider')
	  unless $options{no_extension};
	return $node;
}

# Processor time that a process has used, in seconds.
sub cpu_seconds
{
	my ($pid) = @_;
	my @stat = split ' ', slurp_file("/proc/$pid/stat") =~ s/^.*\) //sr;
	return ($stat[11] + $stat[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# Kills the postmaster and all its children with SIGKILL, as the loss of power
# would.  The dead postmaster must be reaped before the next one starts, or its
# pid in postmaster.pid seems to live; where process 1 does not do that, we do.
sub kill_server
{
	my ($node) = @_;
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my @children = split ' ', `ps -o pid= --ppid $postmaster`;
	kill 'KILL', $postmaster, @children;
	wait_until(sub {
		waitpid $_, WNOHANG for $postmaster, @children;
		return !kill 0, $postmaster, @children;
	}, 'the server is dead');
	$node->{_pid} = undef;
}

# Adopts orphans, such as a postmaster whose pg_ctl has gone: prctl(2) with
# PR_SET_CHILD_SUBREAPER.  There is no module for it in Debian's perl-base.
my %prctl = (x86_64 => 157, aarch64 => 167);
my ($machine) = (POSIX::uname())[4];
syscall $prctl{$machine}, 36, 1, 0, 0, 0 if $prctl{$machine};

# How much slower all is than usual: sanitizers, an emulated machine.
our $patience = $ENV{POSTRIDER_PATIENCE} || 1;

# Calls the block until it returns true; fails the test run if it never does.  The
# time-out is in seconds of a machine that needs no patience.
sub wait_until(&$;$)
{
	my ($block, $what, $timeout) = @_;
	my $end = time + ($timeout || 60) * $patience;
	my $pause = 0.02;
	while (time < $end)
	{
		return 1 if $block->();
		sleep $pause;
		# Looking is work too: a query for each look.
		$pause *= 1.3 if $pause < 0.25;
	}
	die "timed out waiting until $what\n";
}

# Polls a query until it returns the value.
sub wait_for
{
	my ($node, $query, $value, $timeout) = @_;
	my $last = '';
	my $ok = eval {
		wait_until { $last = $node->safe_psql('postgres', $query); $last eq $value }
		"$query returns $value", $timeout;
	};
	diag("wanted $value, last was $last: $query") unless $ok;
	return $ok;
}

# The environment for a process whose names lead where names() says: resolver.c, made in a
# folder of the test's.
sub resolver
{
	my ($dir) = @_;
	system("gcc -O2 -Wall -Wextra -Werror -fPIC -shared -o $dir/resolver.so $ENV{TESTDIR}/lib/resolver.c -ldl") == 0 or die 'gcc';
	names($dir, '');
	return (TEST_NAMES => "$dir/names", LD_PRELOAD => join ' ', grep { $_ } $ENV{LD_PRELOAD}, "$dir/resolver.so");
}

sub names
{
	my ($dir, $text) = @_;
	open(my $out, '>', "$dir/names.new") or die $!;
	print $out $text;
	close $out;
	rename "$dir/names.new", "$dir/names" or die $!;
}

# Of times in ascending order, the most that lie within any stretch of that length, in seconds.
sub most
{
	my ($length, @times) = @_;
	my ($first, $most) = (0, 0);
	for my $last (0 .. $#times)
	{
		$first++ while $times[$last] - $times[$first] >= $length;
		$most = $last - $first + 1 if $last - $first + 1 > $most;
	}
	return $most;
}

# Is the signature of a request right?
sub verify
{
	my ($request, $secret) = @_;
	my $key = decode_base64($secret =~ s/^whsec_//r);
	my $head = $request->{headers};
	my $wanted = hmac_sha256_base64(
		"$head->{'webhook-id'}.$head->{'webhook-timestamp'}.$request->{body}", $key);
	$wanted .= '=' while length($wanted) % 4;
	return grep { $_ eq "v1,$wanted" } split / /, $head->{'webhook-signature'} // '';
}

package PostriderTest::Receiver;
use strict;
use warnings;
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time sleep);

# A scripted HTTP receiver in a process of its own.  The first words of a
# path tell what it answers:
#   /ok                 200
#   /status/503         that status, always
#   /random/20          503 to so many per cent, 200 to the others; the log says which
#   /first/503/2        that status for the first 2 requests of each webhook-id,
#                       then 200
#   /after/503/2/3      as /first/503/2, with Retry-After: 3
#   /gone               410
#   /hang               never answers
#   /reset              closes the connection in the middle of the answer
#   /slow/100           200 after so many milliseconds
#   /endless            a body without end
#   /echo/401           that status, and as body the request, head and all
#   /made/201/crm       that status, Location: /crm/id, and JSON with the id, which is
#                       crm- and the webhook-id
#   /body/200/hex       that status, and the bytes that hex says, in hexadecimal
#   /big/200/70000/x    that status, and so many times the letter
#   /batch/index/7      207; of a batch, each record whose data.n can be divided by
#                       that is refused the first time, by its position
#   /batch/success/7    the same by a list of {"success": ...}, 200
#   /batch/email/7      the same by data.email, 200
#   /batch/lost/7       the same with values that lead to no record
#   /most/20            413 to a batch with more records
#   /bearer/at-2        401 to any other bearer token
#   /poison/400         that status to a batch that has a record with data.poison
#   /told/name          what tell('name', ...) has set up: the first answer at the first
#                       request of each webhook-id, and so on; 200 after the last
# Every request is written as a line of JSON to a log that requests() reads.
sub start
{
	my ($class, %options) = @_;
	my $self = bless { dir => tempdir(CLEANUP => 1), port => $options{port} || 0 }, $class;
	$self->{log} = "$self->{dir}/requests";
	open(my $touch, '>', $self->{log}) or die $!;
	$self->up;
	return $self;
}

sub up
{
	my ($self) = @_;
	my $listen = IO::Socket::INET->new(
		LocalAddr => '127.0.0.1', LocalPort => $self->{port},
		Listen => 1024, ReuseAddr => 1) or die "cannot listen: $!";
	$self->{port} = $listen->sockport;
	$self->{pid} = PostriderChild::start(sub { serve($listen, $self->{log}) });
	close $listen;
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

# Each answer is [status, {header => value or list}, body].
sub tell
{
	my ($self, $name, @answers) = @_;
	open(my $out, '>', "$self->{dir}/$name.json") or die $!;
	print $out encode_json(\@answers);
	close $out;
	return $self->url("/told/$name");
}

sub told
{
	my ($log_name, $name, $tries) = @_;
	my $file = ($log_name =~ s{[^/]*\z}{}r) . "$name.json";
	open(my $in, '<', $file) or return (404, 'nobody told me', '');
	my ($status, $headers, $body) = @{ decode_json(join '', <$in>)->[$tries - 1] // [ 200, {}, '' ] };
	my $extra = '';
	for my $header (sort keys %{ $headers // {} })
	{
		$extra .= "$header: $_\r\n" for ref $headers->{$header} ? @{ $headers->{$header} } : $headers->{$header};
	}
	$body //= '';
	utf8::downgrade($body, 1) or utf8::encode($body);
	return ($status, $body, $extra);
}

sub url { my ($self, $path) = @_; return "http://127.0.0.1:$self->{port}$path"; }

# The lines of the log of requests to a path, or of all.
sub lines
{
	my ($self, $path) = @_;
	open(my $in, '<', $self->{log}) or die $!;
	return grep { /\n\z/ && (!defined $path || index($_, qq("path":"$path")) >= 0) } <$in>;
}

sub requests { my ($self, $path) = @_; return map { decode_json($_) } $self->lines($path); }

sub count { my ($self, $path) = @_; return scalar(() = $self->lines($path)); }

# How often each webhook-id came: a reference to a hash.
sub ids
{
	my ($self, $path) = @_;
	my %ids;
	/"webhook-id":"([^"]+)"/ and $ids{$1}++ for $self->lines($path);
	return \%ids;
}

sub wait_for_count
{
	my ($self, $count, $path, $timeout) = @_;
	return eval {
		PostriderTest::wait_until(sub { $self->count($path) >= $count },
			"$count requests arrive", $timeout);
	};
}

sub serve
{
	my ($listen, $log_name) = @_;
	my $select = IO::Select->new($listen);
	my (%input, %tries, %refused, @later);
	open(my $log, '>>', $log_name) or die $!;
	$log->autoflush(1);

	while (1)
	{
		my $wait = @later ? $later[0]{at} - time : undef;
		my @ready = $select->can_read(defined $wait && $wait < 0 ? 0 : $wait);
		while (@later && $later[0]{at} <= time)
		{
			my $answer = shift @later;
			answer($answer->{socket}, 200, '');
		}
		for my $socket (@ready)
		{
			if ($socket == $listen)
			{
				my $new = $listen->accept or next;
				$select->add($new);
				$input{$new} = '';
				next;
			}
			my $read = sysread($socket, $input{$socket}, 262144, length $input{$socket});
			if (!$read)
			{
				$select->remove($socket);
				delete $input{$socket};
				close $socket;
				next;
			}
			while ($input{$socket} =~ /\A(.*?)\r\n\r\n/s)
			{
				my $head = $1;
				my ($line, @lines) = split /\r\n/, $head;
				my %headers;
				for (map { [ /^([^:]+):\s*(.*)$/ ] } @lines)
				{
					my ($name, $value) = (lc $_->[0], $_->[1]);
					$headers{$name} = exists $headers{$name} ? "$headers{$name}, $value" : $value;
				}
				my $size = $headers{'content-length'} || 0;
				last if length($input{$socket}) < length($head) + 4 + $size;
				my $body = substr($input{$socket}, length($head) + 4, $size);
				substr($input{$socket}, 0, length($head) + 4 + $size) = '';
				my ($method, $path) = split / /, $line;
				my (undef, $verb, @args) = split m{/}, $path;
				my $status = $verb eq 'random' && rand(100) < $args[0] ? 503 : 200;
				print $log encode_json({ method => $method, path => $path, status => $status,
						headers => \%headers, body => $body, time => time }), "\n";
				my $tries = ++$tries{$path}{ $headers{'webhook-id'} // '' };
				if ($verb eq 'random') { answer($socket, $status, ''); }
				elsif ($verb eq 'status') { answer($socket, $args[0], 'as told'); }
				elsif ($verb eq 'told') { answer($socket, told($log_name, $args[0], $tries)); }
				elsif ($verb eq 'gone') { answer($socket, 410, ''); }
				elsif ($verb eq 'first' && $tries <= $args[1]) { answer($socket, $args[0], 'not yet'); }
				elsif ($verb eq 'after' && $tries <= $args[1])
				{
					answer($socket, $args[0], 'not yet', "Retry-After: $args[2]\r\n");
				}
				elsif ($verb eq 'hang') { }
				elsif ($verb eq 'echo') { answer($socket, $args[0], "$head\n\n$body", "X-Request-Id: " . ($headers{authorization} // 'none') . "\r\n"); }
				elsif ($verb eq 'bearer') { answer($socket, ($headers{authorization} // '') eq "Bearer $args[0]" ? 200 : 401, ''); }
				elsif ($verb eq 'batch') { answer($socket, batch_answer($args[0], $args[1], $body, \%refused)); }
				elsif ($verb eq 'most') { answer($socket, records($body) > $args[0] ? 413 : 200, ''); }
				elsif ($verb eq 'poison')
				{
					answer($socket, (grep { $_->{data}{poison} } records($body)) ? $args[0] : 200, '');
				}
				elsif ($verb eq 'made')
				{
					my $made = "$args[1]-" . ($headers{'webhook-id'} // '');
					answer($socket, $args[0], qq({"id":"$made","n":1}),
						"Location: /$args[1]/$made\r\nContent-Type: application/json\r\n");
				}
				elsif ($verb eq 'body') { answer($socket, $args[0], pack('H*', $args[1] // '')); }
				elsif ($verb eq 'big')
				{
					my $letter = $args[2] // 'x';
					answer($socket, $args[0], $letter x $args[1]);
				}
				elsif ($verb eq 'slow')
				{
					push @later, { at => time + $args[0] / 1000, socket => $socket };
					@later = sort { $a->{at} <=> $b->{at} } @later;
				}
				elsif ($verb eq 'reset')
				{
					syswrite $socket, "HTTP/1.1 200 OK\r\nContent-Le";
					$select->remove($socket);
					delete $input{$socket};
					close $socket;
					last;
				}
				elsif ($verb eq 'endless')
				{
					my $chunk = 'x' x 65536;
					syswrite $socket, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
					for (1 .. 100) { last unless syswrite $socket, $chunk; }
				}
				else { answer($socket, 200, ''); }
			}
		}
	}
}

# The records of a batch of any format.
sub records
{
	my ($body) = @_;
	return map { decode_json($_) } split /\n/, $body if $body =~ /\A\{[^\n]*\n/;
	my $value = decode_json($body);
	return @$value if ref $value eq 'ARRAY';
	my ($list) = grep { ref $_ eq 'ARRAY' } values %$value;
	return $list ? @$list : $value;
}

sub batch_answer
{
	my ($style, $modulus, $body, $refused) = @_;
	my @records = records($body);
	my @bad = map { $_->{data}{n} % $modulus == 0 && !$refused->{"$style $_->{id}"}++ } @records;
	my @numbers = grep { $bad[$_] } 0 .. $#records;
	return (207, encode_json({ errors => [ map { { eventIndex => [$_], message => "no $_" } } @numbers ] }))
	  if $style eq 'index';
	return (200, encode_json([ map { $bad[$_] ? { success => \0, errors => ["bad n $records[$_]{data}{n}"] } : { success => \1, errors => [] } } 0 .. $#records ]))
	  if $style eq 'success';
	return (200, encode_json({ errors => [ map { { email_address => $style eq 'email' ? $records[$_]{data}{email} : 'nobody' } } @numbers ] }));
}

sub answer
{
	my ($socket, $status, $body, $extra) = @_;
	$extra //= '';
	syswrite $socket, "HTTP/1.1 $status Told\r\n${extra}Content-Length: "
	  . length($body) . "\r\n\r\n$body";
}

1;
