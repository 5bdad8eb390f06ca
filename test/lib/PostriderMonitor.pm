# PostriderMonitor: Prometheus and what it scrapes, for the TAP tests.
#
#   my $server = PostriderMonitor::serve('command');        # port of a server that runs it for each request
#   my $prometheus = PostriderMonitor->start(9100, 9101);   # scrapes these ports every 3 seconds
#   $prometheus->query('up')                                # list of {metric => {}, value => []}
#   PostriderMonitor::run_command($input, 'command', ...)   # (status, output)
#   PostriderMonitor::parse($text)                          # OpenMetrics: (families, error)
package PostriderMonitor;
use strict;
use warnings;
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostriderChild;
use PostriderTest;

my @processes;

# Starts a process whose output goes to a file; it is stopped at the end.
sub spawn
{
	my ($log, @command) = @_;
	my $pid = PostriderChild::start(sub {
		open(STDOUT, '>', $log) and open(STDERR, '>&', \*STDOUT) or die $!;
		$SIG{PIPE} = 'DEFAULT';
		exec @command or print STDERR "cannot run $command[0]: $!\n";
	});
	push @processes, $pid;
	return $pid;
}

# As inetd does: each connection is standard input and output of the command.
sub serve
{
	my (@command) = @_;
	my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16) or die "cannot listen: $!";
	my $port = $listen->sockport;
	my $pid = PostriderChild::start(sub {
		$SIG{CHLD} = 'IGNORE';
		while (my $socket = $listen->accept)
		{
			my $child = fork // next;
			close $socket and next if $child;
			$SIG{$_} = 'DEFAULT' for qw(CHLD PIPE);
			open(STDIN, '<&', $socket) and open(STDOUT, '>&', $socket) or die $!;
			exec @command or return;
		}
	});
	push @processes, $pid;
	return $port;
}

sub start
{
	my ($class, @ports) = @_;
	my $self = bless { dir => tempdir(CLEANUP => 1), port => PostgreSQL::Test::Cluster::get_free_port() }, $class;
	my $targets = join ', ', map { "'127.0.0.1:$_'" } @ports;
	open(my $config, '>', "$self->{dir}/prometheus.yml") or die $!;
	print $config <<CONFIG;
global: {scrape_interval: 3s, scrape_timeout: 3s}
scrape_configs: [{job_name: postrider, static_configs: [{targets: [$targets]}]}]
CONFIG
	close $config;
	$self->{log} = "$self->{dir}/log";
	spawn($self->{log}, 'prometheus', "--config.file=$self->{dir}/prometheus.yml", "--storage.tsdb.path=$self->{dir}/data",
		"--web.listen-address=127.0.0.1:$self->{port}", '--storage.tsdb.retention.time=1h', '--log.level=debug');
	PostriderTest::wait_until { HTTP::Tiny->new->get("http://127.0.0.1:$self->{port}/-/ready")->{success} } 'Prometheus is ready', 180;
	return $self;
}

sub get
{
	my ($self, $path) = @_;
	my $answer = HTTP::Tiny->new->get("http://127.0.0.1:$self->{port}/api/v1/$path");
	die "$path: $answer->{status} $answer->{content}" unless $answer->{success};
	return decode_json($answer->{content})->{data};
}

sub query
{
	my ($self, $query) = @_;
	return @{ $self->get('query?' . HTTP::Tiny->new->www_form_urlencode({ query => $query }))->{result} };
}

# All samples of ours that Prometheus has now: name{label="value",...} => value, labels in
# order of their names, without those that Prometheus or an exporter adds and without empty ones.
sub samples
{
	my ($self, $selector) = @_;
	return { map { sample_name(%{ $_->{metric} }) => $_->{value}[1] + 0 } $self->query($selector // '{__name__=~"postrider_.*"}') };
}

sub sample_name
{
	my (%labels) = @_;
	my $name = delete $labels{__name__};
	delete @labels{qw(job instance)};
	delete $labels{server};
	$labels{le} = $labels{le} eq '+Inf' ? 'inf' : $labels{le} + 0 if exists $labels{le};
	return $name . encode_labels(map { $_ => $labels{$_} } grep { $labels{$_} ne '' } keys %labels);
}

sub encode_labels { my (%labels) = @_; return JSON::PP->new->canonical->ascii->encode(\%labels); }

# Runs a command with the text as standard input.
sub run_command
{
	my ($input, @command) = @_;
	my $file = File::Temp->new;
	binmode $file;
	print $file $input;
	close $file;
	my $pid = open(my $out, '-|') // die $!;
	if (!$pid)
	{
		open(STDIN, '<', "$file") and open(STDERR, '>&', \*STDOUT) or die $!;
		exec @command or do { print "cannot run $command[0]: $!\n"; POSIX::_exit(127); };
	}
	my $output = do { local $/; <$out> } // '';
	close $out;
	return ($? >> 8, $output);
}

# Reads OpenMetrics with the parser of Debian's python3-prometheus-client, which is strict.
# Returns the families, {name, type, unit, help, samples => {name => value}}, and the error if there is one.
my $parser = <<'PYTHON';
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = []
try:
    for f in text_string_to_metric_families(sys.stdin.buffer.read().decode('utf-8')):
        families.append({'name': f.name, 'type': f.type, 'unit': f.unit, 'help': f.documentation,
            'samples': [[dict(s.labels, __name__=s.name), s.value] for s in f.samples]})
    print(json.dumps({'families': families}))
except ValueError as e:
    print(json.dumps({'error': str(e)}))
PYTHON
sub parse
{
	my ($text) = @_;
	my ($status, $output) = run_command($text, '/usr/bin/python3', '-c', $parser);
	my $read = eval { decode_json($output) } or die "parser of OpenMetrics: $output";
	for my $family (@{ $read->{families} // [] })
	{
		$family->{samples} = { map { sample_name(%{ $_->[0] }) => $_->[1] + 0 } @{ $family->{samples} } };
	}
	return ($read->{families} // [], $read->{error});
}

sub stop
{
	kill 'TERM', @processes;
	waitpid $_, 0 for @processes;
	@processes = ();
}

END { local $?; stop(); }

1;
