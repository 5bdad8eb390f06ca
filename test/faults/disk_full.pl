# The disk of the write-ahead log is full, and then the disk of the tables.
use strict;
use warnings;
use Faults;
use Faults::Flow;
use Faults::Receiver;
use Faults::Server;
use Test::More;
use Time::HiRes qw(sleep time);

my %disk = map { $_ => Faults::work() . "/disk_$_" } qw(wal data);
plan skip_all => 'only root can mount the small disks' unless -d $disk{wal} && -d $disk{data};
Faults::seed();

sub fill
{
	my ($disk) = @_;
	open(my $out, '>>', "$disk/filler") or die $!;
	for my $size (65536, 4096)
	{
		1 while syswrite $out, 'x' x $size;
	}
}

# The server may have ended by itself.
sub free
{
	my ($disk, $server) = @_;
	unlink "$disk/filler";
	for (1 .. 10)
	{
		return if defined eval { Faults::wait_until { $server->try('select 1') } 'it answers', 5 };
		next unless waitpid($server->{pid}, POSIX::WNOHANG()) || !kill 0, $server->{pid};
		delete $server->{pid};
		$server->up;
	}
}

sub fill_and_free
{
	my ($flow, $kind, $disk, $times) = @_;
	my $server = $flow->{server};
	for (1 .. $times)
	{
		sleep Faults::between(0.5, 1.5);
		$flow->fault($kind, sub {
			# Again and again, because the server gives space back; and until it has
			# wanted some.
			my $full = 'No space left on device';
			my $before = $server->log_like($full);
			my $end = time + Faults::between(3, 6);
			my $limit = time + 60;
			while (time < $end || (time < $limit && $server->log_like($full) == $before))
			{
				fill($disk);
				sleep 0.1;
			}
			free($disk, $server);
		}, flow => 1);
	}
}

my $receiver = Faults::Receiver->new('disk_wal');
my $server = Faults::Server->new('disk_wal_server',
	initdb => [ '--wal-segsize=1', '-X', "$disk{wal}/pg_wal" ],
	conf => "max_wal_size = 8MB\nmin_wal_size = 2MB\nwal_recycle = off\n");
$server->up;
my $flow = Faults::Flow->new($server, $receiver, 'a', 'b');
$flow->start_emitters(3, 100);
ok(defined $flow->wait_for_flow(0), 'messages flow');
fill_and_free($flow, 'disk of the log is full', $disk{wal}, 3);
cmp_ok($server->log_like('No space left on device'), '>', 0, 'the server met it');
$flow->stop_emitters;
$flow->drain;
$flow->account;
$server->stop('fast');

$receiver = Faults::Receiver->new('disk_data');
$server = Faults::Server->new('disk_data_server');
$server->up;
mkdir "$disk{data}/space" or die $!;
$server->sql("create tablespace small location '$disk{data}/space'");
$server->sql('create database app tablespace small');
$server->{db} = 'app';
$flow = Faults::Flow->new($server, $receiver, 'a', 'b');
$flow->start_emitters(3, 100);
ok(defined $flow->wait_for_flow(0), 'messages flow');
fill_and_free($flow, 'disk of the tables is full', $disk{data}, 3);
cmp_ok($server->log_like('No space left on device'), '>', 0, 'the server met it');
$flow->stop_emitters;
$flow->drain;
$flow->account;
$server->stop('fast');
done_testing();
