# Random mappings and random documents, as SQL:  perl mapping.pl SEED COUNT
# Most are made by the grammar of definitions with now and then something
# wrong in it; some are the text of such a one with bytes changed.  What must
# hold stands in mapping.sql.
use strict;
use warnings;

my ($seed, $count) = @ARGV;
srand($seed);
binmode STDOUT, ':utf8';

sub one { return $_[ int rand @_ ]; }
sub chance { return rand() < $_[0]; }

sub string
{
	my ($text) = @_;
	$text =~ s/(["\\])/\\$1/g;
	$text =~ s/\n/\\n/g;
	return qq("$text");
}

my @words = (qw(a b c ab name email id items qty sku x), 'x.y', 'k k', '', "\x{43a}\x{43b}", 'A' x 70);
my @texts = ('', 'a', 'paid', '12', '12.5', '007', '-0', '1e5', '1e999', 'true', 'false', 'a@example.org', ' x ', '2026-11-23',
	'2026-02-30', '2026-11-23T10:11:12Z', '+31 20 123 4567', "d\x{e9}j\x{e0}", 'x' x 300, '*', '{"a": 1}', '$.a', "\x{1F600}" x 5);

sub scalar_value
{
	return one(sub { string(one(@texts)) }, sub { one(0, 1, -1, 12, '12.0', '12.50', '1e10', '-0.001', '1' x 40, '1e-300') },
		sub { one('true', 'false', 'null') })->();
}

sub value
{
	my ($depth) = @_;
	return scalar_value() if $depth <= 0 || chance(0.5);
	return '[' . join(', ', map { value($depth - 1) } 1 .. int rand(chance(0.05) ? 80 : 5)) . ']' if chance(0.4);
	return '{' . join(', ', map { string(one(@words)) . ': ' . value($depth - 1) } 1 .. int rand 6) . '}' unless chance(0.05);
	return '{' . join(', ', map { "\"k$_\": " . value(0) } 1 .. 70) . '}';
}

sub path
{
	my $path = chance(0.05) ? one('strict $', 'lax $', '@', '$x', '') : '$';
	for (1 .. int rand 4)
	{
		$path .= one(
			sub { my $word = one(@words); $word =~ /^[a-z]+$/ ? ".$word" : '.' . string($word) },
			sub { '[' . one(0, 1, 2, 'last', '*', '0 to 1', '1.5', '-1', 'last - 1', '99999999') . ']' },
			sub { one('.*', '.**', '.size()', '.type()', '.double()', '.keyvalue()', '.datetime()', ' ? (@ > 1)', ' ? (exists(@.a))', ' ? (@ like_regex "a+")') })->();
	}
	$path .= one(' + 1', ' * $.b', ' == 1', ' / 0', ' starts with "a"', '[', ' ? (') if chance(0.1);
	return $path;
}

sub target
{
	my $target = '';
	for my $step (0 .. int rand 4)
	{
		my $word = one(@words);
		my $key = $word =~ /^\w+$/ ? $word : string($word);
		$target .= chance(0.2) ? '[' . one(0, 1, 2, 40, chance(0.1) ? 1000 : 5) . ']' : ($target eq '' ? '' : '.') . $key;
	}
	$target = one('', '.', '$.a', 'a..b', 'a[', '"', 'a.' x 40, 'a[x]') if chance(0.03);
	return $target;
}

sub field
{
	my ($depth) = @_;
	my %field = (to => string(target()));
	my $kind = rand;
	if ($kind < 0.5) { $field{from} = string(path()); }
	elsif ($kind < 0.6) { $field{from} = '[' . join(', ', map { string(path()) } 1 .. 1 + int rand 3) . ']'; $field{separator} = string(one('', ' ', ', ')) if chance(0.5); }
	elsif ($kind < 0.7) { $field{coalesce} = '[' . join(', ', map { string(path()) } 1 .. 1 + int rand 3) . ']'; }
	elsif ($kind < 0.8) { $field{value} = value(2); }
	else { $field{ one('each', 'each', 'from') } = string(path()); }
	if ($depth > 0 && ($field{each} || $field{from}) && chance($field{each} ? 0.7 : 0.05))
	{
		%field = (%field, fields($depth - 1));
	}
	elsif (!$field{value})
	{
		$field{apply} = one('["trim"]', '["trim", "lower"]', '"lower"') if chance(0.2);
		$field{type} = string(one(qw(any string integer number boolean array object date date-time))) if chance(0.4);
		$field{max_length} = one(1, 3, 100) if chance(0.2);
		$field{overflow} = string(one('truncate', 'error')) if $field{max_length};
		$field{check} = '"email"' if chance(0.05);
		$field{lookup} = '{"a": 1, "paid": "won", "12": null' . (chance(0.7) ? ', "*": ' . value(1) : '') . '}' if chance(0.15);
		$field{default} = value(1) if chance(0.2);
		$field{required} = 'true' if chance(0.1);
	}
	$field{when} = string(path()) if chance(0.15);
	$field{nulls} = string(one('keep', 'drop')) if chance(0.1);
	$field{of} = string('payload') if chance(0.1) && !$field{value};
	$field{ one(sort(keys %field), 'typo') } = value(2) if chance(0.03);
	return '{' . join(', ', map { string($_) . ": $field{$_}" } sort keys %field) . '}';
}

sub fields
{
	my ($depth) = @_;
	my %group = (fields => '[' . join(', ', map { field($depth) } 1 .. 1 + int rand(chance(0.05) ? 60 : 5)) . ']');
	$group{drop_nulls} = 'true' if chance(0.3);
	$group{pass_through} = one('true', '"$.a"', '"$"') if chance(0.2);
	return %group;
}

sub definition
{
	my %group = fields(3);
	my $text = '{' . join(', ', map { string($_) . ": $group{$_}" } sort keys %group) . '}';
	return $text unless chance(0.1);
	for (1 .. 1 + int rand 3)
	{
		my $at = int rand length $text;
		substr($text, $at, int rand 3) = one('', '{', '}', '[', ']', '"', ':', ',', '\\', '1', 'null', '$', '.', substr($text, int(rand length $text), 20));
	}
	return $text;
}

sub quoted
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

for (1 .. $count)
{
	my $definition = quoted(definition());
	my $documents = join ', ', map { quoted(value(4)) } 1 .. 3;
	print "select fuzz.mapping($definition, array[$documents]);\n";
}
