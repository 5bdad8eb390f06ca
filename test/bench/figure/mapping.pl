# What mapping a record of ten fields costs, beside Node's JSON.parse and
# compiled ajv on the same document.
use strict;
use warnings;
use Bench;
use Bench::Server;
use Time::HiRes qw(time);

my $count = Bench::scale(500_000, 100_000);
my $document = '{"topic": "person.created", "table": "person", "record": {"id": 4711, "email": "Ann.Lee@example.org", "first_name": "Ann", "last_name": "Lee", "account_name": "Example Organisation", "phone": "+31201234567", "status": "paid", "total": "129.95", "quantity": 3, "active": true, "created_at": "2026-11-23T10:11:12+00:00"}}';
my $definition = '{"fields": [{"to": "properties.email", "from": "$.record.email", "required": true}, {"to": "properties.firstname", "from": "$.record.first_name", "max_length": 40}, {"to": "properties.lastname", "from": "$.record.last_name", "required": true}, {"to": "properties.company", "from": "$.record.account_name", "default": "unknown", "max_length": 100, "overflow": "truncate"}, {"to": "properties.phone", "from": "$.record.phone", "type": "string"}, {"to": "properties.dealstage", "from": "$.record.status", "lookup": {"paid": "CLOSED_WON", "*": "OPEN"}}, {"to": "properties.amount", "from": "$.record.total", "type": "number"}, {"to": "properties.quantity", "from": "$.record.quantity", "type": "integer"}, {"to": "properties.active", "from": "$.record.active", "type": "boolean"}, {"to": "properties.signed_up", "from": "$.record.created_at", "type": "date-time"}], "drop_nulls": true}';
my $string = '{"type": "string"}';
my $schema = qq({"type": "object", "required": ["record"], "properties": {"topic": $string, "table": $string, "record": {"type": "object", "required": ["id", "email"], "properties": {"id": {"type": "integer"}, "email": {"type": "string", "maxLength": 100}, "first_name": $string, "last_name": $string, "account_name": $string, "phone": $string, "status": {"enum": ["paid", "open"]}, "total": {"type": "string", "pattern": "^[0-9]+\\\\.[0-9]{2}\$"}, "quantity": {"type": "integer", "minimum": 0}, "active": {"type": "boolean"}, "created_at": $string}}}});
my %rounds;

sub write_file
{
	my ($name, $text) = @_;
	open(my $out, '>', "$Bench::work/$name") or die $!;
	print $out $text;
	close $out or die $!;
	return "$Bench::work/$name";
}

my @files = (write_file('document.json', $document), write_file('schema.json', $schema));
my $server = Bench::Server->new;
$server->sql('create table source as select d::jsonb as parsed, d as text, m::jsonb as definition
	from (values ($d$' . $document . '$d$, $m$' . $definition . '$m$)) v(d, m)');
$server->sql('set max_parallel_workers_per_gather = 0');

# Microseconds for each row of what the expression does.
sub measure
{
	my ($expression) = @_;
	my $start = time;
	$server->sql("select sum(length(($expression)::text)) from source, generate_series(1, 1)");
	$start = time;
	$server->sql("select count($expression) from source, generate_series(1, $count)");
	return (time - $start) / $count * 1e6;
}

for my $round (1 .. Bench::rounds)
{
	my $nothing = measure('parsed');
	my $map = measure('postrider.map(parsed, definition)') - $nothing;
	my $whole = measure("postrider.map((text || left(generate_series::text, 0))::jsonb, definition)") - $nothing;
	my $node = Bench::run('node', "$Bench::home/node/validate.mjs", @files, $count) / 1000;
	push @{ $rounds{map} }, $map;
	push @{ $rounds{whole} }, $whole;
	push @{ $rounds{node} }, $node;
	push @{ $rounds{ratio} }, $map / $node;
	push @{ $rounds{whole_ratio} }, $whole / $node;
	Bench::note(sprintf 'round %d: map %.2f us, with parsing %.2f us, Node %.2f us', $round, $map, $whole, $node);
}
my %median = map { $_ => Bench::median(@{ $rounds{$_} }) } keys %rounds;

Bench::report({
	figure => 'mapping',
	title => 'Mapping of a record of ten fields',
	rows => [
		Bench::row('postrider.map(): microseconds', sprintf '%.2f', $median{map}),
		Bench::row('the same, from text: microseconds', sprintf '%.2f', $median{whole}),
		Bench::row('Node, JSON.parse and compiled ajv: microseconds', sprintf '%.2f', $median{node}),
		Bench::at_most('postrider.map() of Node', $median{ratio}, 2),
		Bench::row('the same, from text, of Node', sprintf '%.2f', $median{whole_ratio}),
	],
	rounds => \%rounds,
	chart => {
		kind => 'bars', unit => 'microseconds',
		bars => [
			[ 'postrider.map()', $median{map}, 1 ],
			[ 'postrider.map(), from text', $median{whole}, 1 ],
			[ 'Node: JSON.parse, ajv', $median{node} ],
		],
	},
});
