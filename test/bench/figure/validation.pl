# What validating a record of ten fields by a JSON Schema costs, beside Node's
# JSON.parse and compiled ajv on the same document.
use strict;
use warnings;
use Bench;
use Bench::Server;
use Time::HiRes qw(time);

my $count = Bench::scale(1_000_000, 200_000);
my $document = '{"id": 4711, "email": "Ann.Lee@example.org", "first_name": "Ann", "last_name": "Lee", "phone": "+31201234567", "status": "paid", "total": "129.95", "quantity": 3, "active": true, "address": {"street": "Herengracht 1", "city": "Amsterdam", "country": "NL"}}';
my $name = '{"type": "string", "minLength": 1, "maxLength": 100}';
my $schema = qq({"type": "object", "required": ["id", "email", "status"], "additionalProperties": false, "properties": {"id": {"type": "integer", "minimum": 1}, "email": {"type": "string", "maxLength": 100}, "first_name": $name, "last_name": $name, "phone": {"type": "string", "pattern": "^\\\\+[0-9]{8,15}\$"}, "status": {"enum": ["open", "paid", "sent"]}, "total": {"type": "string", "pattern": "^[0-9]+\\\\.[0-9]{2}\$"}, "quantity": {"type": "integer", "minimum": 0, "maximum": 1000}, "active": {"type": "boolean"}, "address": {"type": "object", "required": ["country"], "properties": {"street": $name, "city": $name, "country": {"type": "string", "minLength": 2, "maxLength": 2}}}}});
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
$server->sql('create table source as select d::jsonb as parsed, d as text, s::jsonb as schema
	from (values ($d$' . $document . '$d$, $s$' . $schema . '$s$)) v(d, s)');
$server->sql('set max_parallel_workers_per_gather = 0');
my $constant = '$s$' . $schema . '$s$::jsonb';
die 'the document is not valid' if $server->sql("select postrider.is_valid(parsed, schema) from source") ne 't';

# Microseconds for each row of what the expression does.
sub measure
{
	my ($expression) = @_;
	my $start = time;
	$server->sql("select count($expression) from source, generate_series(1, $count)");
	return (time - $start) / $count * 1e6;
}

for my $round (1 .. Bench::rounds)
{
	my $nothing = measure('parsed');
	my $valid = measure("postrider.is_valid(parsed, $constant)") - $nothing;
	my $column = measure('postrider.is_valid(parsed, schema)') - $nothing;
	my $whole = measure("postrider.is_valid((text || left(generate_series::text, 0))::jsonb, $constant)") - $nothing;
	my $node = Bench::run('node', "$Bench::home/node/validate.mjs", @files, $count) / 1000;
	push @{ $rounds{valid} }, $valid;
	push @{ $rounds{column} }, $column;
	push @{ $rounds{whole} }, $whole;
	push @{ $rounds{node} }, $node;
	push @{ $rounds{ratio} }, $valid / $node;
	push @{ $rounds{whole_ratio} }, $whole / $node;
	Bench::note(sprintf 'round %d: is_valid %.2f us, schema from a column %.2f us, with parsing %.2f us, Node %.2f us',
		$round, $valid, $column, $whole, $node);
}
my %median = map { $_ => Bench::median(@{ $rounds{$_} }) } keys %rounds;

Bench::report({
	figure => 'validation',
	title => 'Validation of a record of ten fields',
	rows => [
		Bench::row('postrider.is_valid(): microseconds', sprintf '%.2f', $median{valid}),
		Bench::row('the same, schema from a column: microseconds', sprintf '%.2f', $median{column}),
		Bench::row('the same, from text: microseconds', sprintf '%.2f', $median{whole}),
		Bench::row('Node, JSON.parse and compiled ajv: microseconds', sprintf '%.2f', $median{node}),
		Bench::at_most('postrider.is_valid() of Node', $median{ratio}, 1),
		Bench::row('the same, from text, of Node', sprintf '%.2f', $median{whole_ratio}),
	],
	rounds => \%rounds,
	chart => {
		kind => 'bars', unit => 'microseconds',
		bars => [
			[ 'postrider.is_valid()', $median{valid}, 1 ],
			[ 'postrider.is_valid(), from text', $median{whole}, 1 ],
			[ 'Node: JSON.parse, ajv', $median{node} ],
		],
	},
});
