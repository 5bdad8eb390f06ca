# Faults::Flow: messages that flow from a server to a receiver while things
# break, and the account in the end.
#
#   my $flow = Faults::Flow->new($server, $receiver, 'a', 'b');
#   $flow->start_emitters(4, 300);
#   $flow->fault('kill of the worker', sub { ... });
#   $flow->stop_emitters;
#   $flow->drain;
#   $flow->account;
package Faults::Flow;
use strict;
use warnings;
use Faults;
use Faults::Emitter;
use Test::More;
use Time::HiRes qw(sleep time);

# After a fault the flow must go on within so many seconds.  A worker that
# failed again and again is started after a minute at the latest; the rest is
# for a machine that is busy with other things.
my $patience = 150;

sub new
{
	my ($class, $server, $receiver, @endpoints) = @_;
	my $self = bless { server => $server, receiver => $receiver, endpoints => \@endpoints,
		emitters => [], faults => [] }, $class;
	$server->sql('create extension postrider; create table ledger (id uuid)');
	for my $endpoint (@endpoints)
	{
		$server->sql("insert into postrider.endpoint
				(name, url, timeout, max_attempts, backoff_base, backoff_max, max_in_flight)
				values ('$endpoint', '" . $receiver->url($endpoint) . "', '1 s', 1000, '20 ms', '500 ms', 64);
			insert into postrider.subscription (topic, endpoint) values ('fault.*', '$endpoint')");
	}
	return $self;
}

# Some sessions at so many transactions a second in all, and one that holds its
# transactions open for long.
sub start_emitters
{
	my ($self, $count, $rate, %options) = @_;
	my @common = (server => $self->{server}, %options);
	push @{ $self->{emitters} }, Faults::Emitter->start(@common, name => ++$self->{names},
		rate => $rate / $count, seed => int rand 1e9) for 1 .. $count;
	push @{ $self->{emitters} }, Faults::Emitter->start(@common, name => ++$self->{names},
		rate => 0.3, long => 1, seed => int rand 1e9);
}

sub stop_emitters
{
	my ($self) = @_;
	$_->stop for splice @{ $self->{emitters} };
}

# Ends prepared transactions whose session was lost, older than some seconds.
sub finish_prepared
{
	my ($self, $age) = @_;
	my $names = $self->{server}->try("select gid from pg_prepared_xacts
		where database = current_database() and prepared <= now() - interval '$age s'") // '';
	$self->{server}->try((rand() < 0.7 ? 'commit' : 'rollback') . " prepared '$_'")
	  for split /\n/, $names;
}

# Waits until something is answered with 2xx; returns the seconds.
sub wait_for_flow
{
	my ($self, $position) = @_;
	my $start = time;
	eval {
		Faults::wait_until { $self->{receiver}->count_since($position) > 0 } 'messages flow', $patience;
	} or return;
	return time - $start;
}

# Injects a fault and records it.  With flow => 1, messages must then flow
# again.
sub fault
{
	my ($self, $kind, $code, %options) = @_;
	my $fault = { kind => $kind, start => time };
	push @{ $self->{faults} }, $fault;
	$code->();
	if ($options{flow})
	{
		$fault->{back} = $self->wait_for_flow($self->{receiver}->position);
		unless (defined $fault->{back})
		{
			fail("$kind: messages flow again within $patience s");
			$self->{server}->show_log;
		}
	}
	note(sprintf '%6.1f s  %-28s %.1f s%s', Faults::elapsed(), $kind, time - $fault->{start},
		defined $fault->{back} ? sprintf(', flows after %.1f s', $fault->{back}) : '');
}

# Waits until nothing is owed.
sub drain
{
	my ($self, $timeout) = @_;
	my $server = $self->{server};
	my $start = time;
	sleep 0.5;
	$self->finish_prepared(0);
	my $owed = '?';
	my $position = -1;
	my $drained = eval {
		Faults::wait_until {
			sleep 1;
			my $before = $position;
			$position = $self->{receiver}->position;
			$owed = $server->try('select count(*) from postrider.pending') // '?';
			$owed eq '0' && $before == $position;
		} 'nothing is owed', $timeout || 120;
	};
	ok($drained, 'what was owed is delivered') or diag("pending: $owed");
	note(sprintf 'drained after %.1f s', time - $start);
}

# Tells what became of all messages.  More committed messages than the server
# knows may be given, as a reference to a hash of ids.
sub account
{
	my ($self, %options) = @_;
	my $server = $self->{server};
	my %ledger = map { $_ => 1 } split /\n/, $server->sql('select id from ledger');
	my $known = $options{known} || {};
	my (%ok, %arrived, %last, %highest);
	my ($duplicates, $disorder) = (0, 0);
	my @faults = @{ $self->{faults} };
	my $at = 0;
	my %duplicates;
	$self->{receiver}->each_request(sub {
		my ($time, $ok, $endpoint, $id, $key, $number) = @_;
		$arrived{$id} = 1;
		return unless $ok;
		$at++ while $at < @faults && $faults[$at]{start} <= $time;
		if ($ok{"$endpoint$id"}++)
		{
			$duplicates++;
			$duplicates{ $at ? $faults[ $at - 1 ]{kind} : 'no fault' }++;
			return;
		}
		return unless $key =~ /^e/;
		my $highest = $highest{"$endpoint$key"} // 0;
		$disorder++ if $number < $highest;
		$highest{"$endpoint$key"} = $number if $number > $highest;
	});
	my @endpoints = @{ $self->{endpoints} };
	my @lost = grep { my $id = $_; grep { !$ok{"$_$id"} } @endpoints } sort keys %ledger;
	my @phantom = grep { !$ledger{$_} && !$known->{$_} } sort keys %arrived;

	report_kinds(\@faults, \%duplicates);
	diag(sprintf '%d faults; %d messages committed for %d endpoints, %d lost, %d that were rolled back arrived, '
		  . '%d deliveries duplicated, %d out of order per key',
		scalar @faults, scalar keys %ledger, scalar @endpoints, scalar @lost, scalar @phantom,
		$duplicates, $disorder);
	cmp_ok(scalar keys %ledger, '>', 0, 'messages were committed');
	is(scalar @lost, 0, 'no message is lost') or diag("lost: @lost[0 .. ($#lost > 9 ? 9 : $#lost)]");
	is(scalar @phantom, 0, 'no message that was rolled back arrives')
	  or diag("phantoms: @phantom[0 .. ($#phantom > 9 ? 9 : $#phantom)]");
	is($server->sql("select string_agg(status || ' ' || n, ', ') from
			(select status, count(*) n from postrider.delivery where topic = 'fault.row' group by 1) s"),
		'delivered ' . @endpoints * keys %ledger, 'by the view all are delivered')
	  unless $options{restored};
	return { duplicates => $duplicates, ledger => \%ledger };
}

sub report_kinds
{
	my ($faults, $duplicates) = @_;
	my (%count, %slowest);
	for my $fault (@$faults)
	{
		$count{ $fault->{kind} }++;
		my $back = $fault->{back} // next;
		$slowest{ $fault->{kind} } = $back if $back > ($slowest{ $fault->{kind} } // 0);
	}
	diag(sprintf '%-30s %6s %11s %12s', 'fault', 'times', 'duplicates', 'flows after');
	for my $kind (sort keys %count)
	{
		my $slowest = $slowest{$kind};
		diag(sprintf '%-30s %6d %11d %12s', $kind, $count{$kind}, $duplicates->{$kind} // 0,
			defined $slowest ? sprintf('%.1f s', $slowest) : '');
	}
	diag("without a fault: $duplicates->{'no fault'} duplicates") if $duplicates->{'no fault'};
}

1;
