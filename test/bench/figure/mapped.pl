# What mapping and validation cost: a record of ten fields, emitted and drained with
# neither, and with a schema on the topic and a mapping on the subscription.
use strict;
use warnings;
use Bench;
use Bench::Receiver;
use Bench::Server;
use Time::HiRes qw(time);

my $count = Bench::scale(200_000, 20_000);
my $nginx = Bench::Receiver->nginx;
my (%emit, %drain);

# Ten fields of the kinds that customers' records have.
my $record = q({"id": 48211, "email": " Jane.Doe@Example.COM ", "first_name": "Jane", "last_name": "Doe",
	"phone": "030 901820", "company": "Example GmbH & Co. KG", "status": "paid", "total": "1204.50",
	"created_at": "2026-11-23T14:05:09Z", "note": ") . 'x' x 150 . '"}';
my $schema = q({"type": "object", "required": ["id", "email", "status"], "properties": {
	"id": {"type": "integer", "minimum": 1}, "email": {"type": "string", "maxLength": 200},
	"first_name": {"type": "string", "maxLength": 100}, "last_name": {"type": "string", "maxLength": 100},
	"phone": {"type": "string", "pattern": "^[0-9 +()-]+$"}, "company": {"type": "string"},
	"status": {"enum": ["new", "paid", "refunded"]}, "total": {"type": "string"},
	"created_at": {"type": "string", "format": "date-time"}, "note": {"type": "string", "maxLength": 1000}}});
my $mapping = q({"fields": [
	{"to": "properties.external_id", "from": "$.id", "type": "string"},
	{"to": "properties.email", "from": "$.email", "apply": ["trim", "lower"], "required": true, "check": "email"},
	{"to": "properties.firstname", "from": "$.first_name"},
	{"to": "properties.lastname", "from": "$.last_name"},
	{"to": "properties.phone", "from": "$.phone", "apply": [{"phone": "DE"}]},
	{"to": "properties.company", "from": "$.company", "max_length": 100, "overflow": "truncate"},
	{"to": "properties.status", "from": "$.status", "lookup": {"paid": "CLOSED_WON", "*": "OPEN"}},
	{"to": "properties.amount", "from": "$.total", "type": "number"},
	{"to": "properties.created", "from": "$.created_at", "apply": [{"date": {"from": "iso", "to": "epoch_ms"}}]},
	{"to": "properties.note", "from": "$.note"}]});

# Seconds to emit, and messages per second from the commit to the last attempt on record.
sub run
{
	my ($kind) = @_;
	my $server = Bench::Server->new;
	$server->endpoint(name => 'crm', url => $nginx->url('/ok'), topic => 'bench.order',
		max_in_flight => $Bench::in_flight, signing_secret => 'bench');
	if ($kind eq 'mapped')
	{
		$server->sql("insert into postrider.topic (name, schema) values ('bench.order', '$schema')");
		$server->sql("insert into postrider.mapping (name, definition) values ('crm', '$mapping')");
		$server->sql("update postrider.subscription set mapping = 'crm'");
		$server->settle_config;
	}
	my $begin = time;
	$server->sql("select count(postrider.emit('bench.order', '$record')) from generate_series(1, $count)");
	my $committed = time;
	my $end = $server->wait_delivered($count);
	my $recorded = $server->sql("select count(*) from postrider.attempt where outcome = 'delivered'");
	die "$recorded attempts are on record\n" if $recorded != $count;
	push @{ $emit{$kind} }, $committed - $begin;
	push @{ $drain{$kind} }, $count / ($end - $committed);
}

for my $round (1 .. Bench::rounds())
{
	run($_) for $round % 2 ? ('plain', 'mapped') : ('mapped', 'plain');
	Bench::note(sprintf 'round %d: plain %s/s, with schema and mapping %s/s; to emit %.2f s and %.2f s', $round,
		(map { Bench::count($drain{$_}[-1]) } qw(plain mapped)), map { $emit{$_}[-1] } qw(plain mapped));
}

sub ratio { my ($of) = @_; return Bench::median(map { $of->{mapped}[$_] / $of->{plain}[$_] } 0 .. $#{ $of->{plain} }); }

my %rate = map { $_ => Bench::median(@{ $drain{$_} }) } keys %drain;
Bench::report({
	figure => 'mapped',
	title => 'A record of ten fields, with and without a schema and a mapping',
	rows => [
		Bench::at_least('drain rate, with mapping and validation : without', ratio(\%drain), 0.85),
		Bench::row('with and without, messages/s', join ' ', map { Bench::count($rate{$_}) } qw(mapped plain)),
		Bench::row('time to emit, with validation : without', sprintf '%.2f', ratio(\%emit)),
	],
	rounds => { drain => \%drain, emit_s => \%emit },
	chart => {
		kind => 'bars', unit => 'messages/s',
		bars => [ [ 'payload as it is', $rate{plain} ], [ 'schema and mapping', $rate{mapped}, 1 ] ],
	},
});
