# Bench::Server: a PostgreSQL server of the benchmark's own, and sessions.
#
#   my $server = Bench::Server->new;       # started, with postrider in "bench"
#   $server->sql('select 1')               # over one session that stays
#   my $other = $server->session;          # $other->sql(...)
#   $server->endpoint(name => 'a', url => '...', topic => 'bench.a', ...)
#   $server->emit('bench.a', $count)       # in one transaction; the time of its commit
#   $server->wait_delivered($count)
#
# All settings that differ from PostgreSQL's defaults are here.
package Bench::Server;
use strict;
use warnings;
use Bench;
use File::Path qw(rmtree);
use POSIX ();
use Time::HiRes qw(sleep time);

my $number = 0;
my $scripts = 0;

my $settings = <<CONF;
listen_addresses = ''
max_connections = 200
shared_buffers = 1GB
max_wal_size = 8GB
checkpoint_timeout = 15min
jit = off
shared_preload_libraries = 'postrider'
postrider.allowed_networks = '127.0.0.0/8'
CONF

# Options: extension => 0 for a server without postrider in its database,
# conf => more settings.
sub new
{
	my ($class, %options) = @_;
	my $self = bless { dir => "$Bench::work/server" . ++$number, owner => $$ }, $class;
	mkdir $self->{dir} or die "$self->{dir}: $!";
	my $data = $self->{data} = "$self->{dir}/data";
	Bench::run('initdb', '-D', $data, '-U', 'postgres', '-A', 'trust', '-N',
		'--no-locale', '--encoding=UTF8');
	open(my $conf, '>>', "$data/postgresql.conf") or die $!;
	print $conf $settings, "unix_socket_directories = '$self->{dir}'\n", $options{conf} // '';
	close $conf;
	Bench::run('pg_ctl', '-D', $data, '-l', "$self->{dir}/log", '-w', '-t', 120, 'start');
	Bench::run('createdb', '-h', $self->{dir}, '-U', 'postgres', 'bench');
	$self->create_extension if $options{extension} // 1;
	return $self;
}

sub create_extension
{
	my ($self) = @_;
	$self->sql('create extension postrider');
	Bench::wait_until('the worker runs', 30, sub { $self->worker_pid });
	$self->sql("select postrider.set_secret('bench')");
}

sub stop
{
	my ($self) = @_;
	return unless $self->{data} && $self->{owner} == $$;
	local ($?, $@, $!);
	delete $self->{session};
	system 'pg_ctl', '-D', $self->{data}, '-m', 'immediate', '-s', '-w', 'stop';
	rmtree($self->{dir});
	delete $self->{data};
}

sub DESTROY { $_[0]->stop; }

sub session
{
	my ($self, $database) = @_;
	return Bench::Session->new($self->{dir}, $database // 'bench');
}

sub sql
{
	my ($self, $query) = @_;
	$self->{session} ||= $self->session;
	return $self->{session}->sql($query);
}

# Ends the session of sql(); the next sql() begins another.
sub disconnect { my ($self) = @_; delete $self->{session}; }

# A connection string for clients other than psql.
sub url
{
	my ($self) = @_;
	return "postgres://postgres\@/bench?host=$self->{dir}";
}

sub worker_pid
{
	my ($self) = @_;
	return $self->sql("select pid from postrider.worker where state = 'running'");
}

# Columns of the endpoint as named arguments; topic subscribes it.
sub endpoint
{
	my ($self, %columns) = @_;
	my $topic = delete $columns{topic};
	my @names = sort keys %columns;
	$self->sql('insert into postrider.endpoint (' . join(', ', @names) . ') values ('
		  . join(', ', map { defined $_ ? "'$_'" : 'null' } @columns{@names}) . ')');
	$self->sql("insert into postrider.subscription (topic, endpoint) values ('$topic', '$columns{name}')")
	  if defined $topic;
	$self->settle_config;
}

# The worker loads a changed configuration at once, but when it has done so cannot be
# seen; a moment is enough, and nothing is measured in it.
sub settle_config { sleep 0.3; }

# A payload whose message has a body of the wanted size: around it stand
# {"type":"TOPIC","timestamp":"2026-01-01T00:00:00.000Z","data":{"filler": ""}}.
# "extra" is the length of what else stands in the payload.
sub filler
{
	my ($topic, $extra) = @_;
	return $Bench::body_bytes - length($topic) - 72 - ($extra // 0);
}

# The payload as an SQL expression.
sub payload
{
	my ($topic) = @_;
	return "jsonb_build_object('filler', repeat('x', " . filler($topic) . '))';
}

# A job of the same size for peers, whose body is the payload alone.
sub job_payload
{
	return "json_build_object('filler', repeat('x', " . ($Bench::body_bytes - 13) . '))';
}

# The same with the statement's time and an id, for the recorder.
sub timed_payload
{
	my ($topic, $id) = @_;
	return "jsonb_build_object('at', extract(epoch from clock_timestamp()), 'id', $id, "
	  . "'filler', repeat('x', " . filler($topic, 41) . '))';
}

sub emit
{
	my ($self, $topic, $count) = @_;
	$self->sql('begin');
	$self->sql("select count(postrider.emit('$topic', p)) from (select "
		  . payload($topic) . " as p offset 0) payload, generate_series(1, $count)");
	$self->sql('commit');
	return time;
}

sub delivered
{
	my ($self) = @_;
	return $self->sql('select coalesce(sum(delivered), 0) from postrider.worker');
}

# Waits until so many deliveries are on record (the worker counts them after
# the transaction that records them) and returns the time.
sub wait_delivered
{
	my ($self, $count, $timeout_s, $each) = @_;
	my $begin = time;
	my ($last, $last_at) = ($self->delivered, $begin);
	while ($last < $count)
	{
		sleep 0.02;
		my $now = $self->delivered;
		$each->($now) if $each;
		$last_at = time if $now != $last;
		$last = $now;
		die "nothing was delivered for 60 s; $last of $count are\n" if time - $last_at > 60;
		die "only $last of $count are delivered\n" if $timeout_s && time - $begin > $timeout_s;
	}
	return time;
}

# Waits until the worker has nothing to do.
sub wait_idle
{
	my ($self) = @_;
	my ($last, $since) = ('', 0);
	Bench::wait_until('the worker is idle', 600, sub {
		my $now = $self->sql('select messages_read, delivered, retried, queued, in_flight from postrider.worker');
		($last, $since) = ($now, time) if $now ne $last;
		return $now =~ /\|0\|0$/ && time - $since > 0.5;
	}, 0.1);
}

# Processor time of the worker so far, in microseconds.
sub worker_cpu_us
{
	my ($self, $pid) = @_;
	$pid //= $self->worker_pid;
	open(my $in, '<', "/proc/$pid/stat") or die $!;
	my @fields = split ' ', <$in> =~ s/^.*\) //r;
	return ($fields[11] + $fields[12]) * 1e6 / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# Memory of the worker's own in bytes: heap and stack, no shared memory and no
# files ("Anonymous" of smaps_rollup; pages still shared with the postmaster
# since the fork are counted in).
sub worker_memory
{
	my ($self, $pid) = @_;
	open(my $in, '<', '/proc/' . ($pid // $self->worker_pid) . '/smaps_rollup') or die $!;
	while (my $line = <$in>) { return $1 * 1024 if $line =~ /^Anonymous:\s+(\d+)/; }
	die "smaps_rollup has no Anonymous\n";
}

# Stops and continues the worker, so that messages can be committed before it
# reads any.
sub freeze { my ($self) = @_; kill 'STOP', $self->{frozen} = $self->worker_pid; }
sub thaw { my ($self) = @_; kill 'CONT', delete $self->{frozen}; }

# Runs pgbench with a script and returns what it says.
sub pgbench
{
	my ($self, $script, @options) = @_;
	return Bench::run($self->pgbench_command($script, @options));
}

# The same in the background; wait for it with waitpid.
sub start_pgbench
{
	my ($self, $script, @options) = @_;
	return Bench::spawn("$self->{dir}/pgbench.log", $self->pgbench_command($script, @options));
}

sub pgbench_command
{
	my ($self, $script, @options) = @_;
	my $file = "$self->{dir}/script" . ++$scripts . '.sql';
	open(my $out, '>', $file) or die $!;
	print $out $script;
	close $out;
	return ('pgbench', '-n', '-M', 'prepared', '-h', $self->{dir}, '-U', 'postgres',
		@options, '-f', $file, 'bench');
}

# Sizes of the extension's tables and indexes: name => bytes.  Partitions are
# added to their parent.
sub sizes
{
	my ($self) = @_;
	my $text = $self->sql(<<'SQL');
select coalesce(regexp_replace(c.relname, '_(default|\d{8})', ''), '') || '=' || sum(pg_relation_size(c.oid))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_index i on i.indexrelid = c.oid
where c.relkind in ('r', 'i', 'S') and n.nspname = 'postrider'
group by regexp_replace(c.relname, '_(default|\d{8})', '') order by 1
SQL
	return { map { split /=/ } split /\n/, $text };
}

package Bench::Session;
use strict;
use warnings;
use IPC::Open2;

my $marker = 'end of the answer';

sub new
{
	my ($class, $host, $database) = @_;
	my $self = bless { owner => $$ }, $class;
	$self->{pid} = open2($self->{out}, $self->{in}, 'psql', '-X', '-q', '-A', '-t',
		'-v', 'ON_ERROR_STOP=1', '-h', $host, '-U', 'postgres', $database);
	return $self;
}

# Runs a statement and returns its rows as psql writes them.
sub sql
{
	my ($self, $query) = @_;
	my ($in, $out) = @$self{qw(in out)};
	print $in "$query;\n\\echo '$marker'\n";
	$in->flush;
	my $answer = '';
	while (my $line = <$out>)
	{
		chomp $line;
		return $answer =~ s/\n\z//r if $line eq $marker;
		$answer .= "$line\n";
	}
	die "psql has ended at: $query\n";
}

sub DESTROY
{
	my ($self) = @_;
	return if $self->{owner} != $$;
	local ($?, $!);
	close $self->{in};
	close $self->{out};
	waitpid $self->{pid}, 0;
}

1;
