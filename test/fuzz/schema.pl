# Random JSON Schemas and random documents, as SQL:  perl schema.pl SEED COUNT
# Most are made by the grammar of schemas with now and then something wrong in
# it; some are the text of such a one with bytes changed.  What must hold
# stands in schema.sql.
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

my @words = (qw(a b c ab name x), 'x.y', 'a/b', 'a~b', '', "\x{43a}\x{43b}", 'A' x 70, '$ref', '0', '1');
my @texts = ('', 'a', 'ab', 'aaa', '12', '2026-11-23', '2026-11-23T10:11:12Z', 'a@example.org', 'https://example.com/a?b#c', '::1', '1.2.3.4',
	'/a/b', "d\x{e9}j\x{e0}", 'x' x 300, "\x{1F600}" x 5, "a\nb", '%41', 'P1DT2H', '{a}', 'a.example', "xn--\x{e4}");
my @numbers = (0, 1, 2, 3, 5, -1, '1.0', '1.5', '0.1', '-0.001', '1e10', '1e-20', '9007199254740993', '1' x 40, '-' . '9' x 30, '1e200', '1e-200', '0.0', '-0');
my @patterns = ('^a', 'a$', '^[a-c]+$', '.', '\\d{2,}', '(a|ab)(c|bcd)*', '^(a+)+$', '(?=a)a', '(?<!a)b', '\\p{L}+', '(?<n>a)\\k<n>', '^\\S{1,3}$', '[^x]', '', '\\bа', '(', '[', 'a{2', '(a*)*b', "\\u{1F600}", '^.{0,200}$');
my @formats = qw(date-time date time duration email idn-email hostname idn-hostname ipv4 ipv6 uri uri-reference iri iri-reference uuid uri-template json-pointer relative-json-pointer regex unknown);

sub scalar_value
{
	return one(sub { string(one(@texts)) }, sub { one(@numbers) }, sub { one('true', 'false', 'null') }, sub { one(0 .. 5) })->();
}

sub value
{
	my ($depth) = @_;
	return scalar_value() if $depth <= 0 || chance(0.4);
	return '[' . join(', ', map { value($depth - 1) } 1 .. int rand(chance(0.05) ? 80 : 5)) . ']' if chance(0.4);
	return '{' . join(', ', map { string(one(@words)) . ': ' . value($depth - 1) } 1 .. int rand 6) . '}' unless chance(0.05);
	return '{' . join(', ', map { "\"k$_\": " . value(0) } 1 .. 70) . '}';
}

sub list { my ($make, $least, $most) = @_; return '[' . join(', ', map { $make->() } 1 .. $least + int rand($most - $least + 1)) . ']'; }
sub map_of { my ($make, @keys) = @_; my %map = map { one(@keys) => 1 } 1 .. int rand 5; return '{' . join(', ', map { string($_) . ': ' . $make->() } sort keys %map) . '}'; }

my @references = ('#', '#/$defs/a', '#/$defs/b', '#/$defs/c', '#/$defs/a/$defs/b', '#/properties/a', '#/items', '#/allOf/0', '#x', '#y', 'sub', 'sub#x', 'sub#/$defs/a',
	'named', 'named#x', 'https://example.com/open', 'https://example.com/open#node', 'https://json-schema.org/draft/2020-12/schema', 'nowhere', '#/$defs/nope', '//', '%', "#/\$defs/a~1b", '#/$defs/%61', '');

sub schema
{
	my ($depth) = @_;
	return one('true', 'true', 'false', '{}') if $depth <= 0 || chance(0.05);
	my $inner = sub { schema($depth - 1) };
	my $size = sub { one(0, 1, 2, 3, 5, '2.0', chance(0.1) ? (-1, '1.5', '1e30', '"1"') : 70) };
	my $number = sub { one(@numbers) };
	my %keywords = (
		type => sub { my @types = qw(null boolean object array string number integer); chance(0.5) ? string(one(@types)) : list(sub { string(one(@types, chance(0.02) ? 'any' : 'null')) }, 1, 3) },
		enum => sub { list(sub { value(2) }, 0, chance(0.1) ? 100 : 5) }, const => sub { value(2) },
		(map { my $name = $_; $name => $number } qw(minimum maximum exclusiveMinimum exclusiveMaximum multipleOf)),
		(map { my $name = $_; $name => $size } qw(minLength maxLength minItems maxItems minProperties maxProperties minContains maxContains)),
		pattern => sub { string(one(@patterns)) }, format => sub { string(one(@formats)) },
		uniqueItems => sub { one('true', 'true', 'false', chance(0.05) ? '1' : 'true') },
		items => $inner, contains => $inner, not => $inner, if => $inner, then => $inner, else => $inner, propertyNames => $inner,
		additionalProperties => $inner, unevaluatedProperties => $inner, unevaluatedItems => $inner,
		prefixItems => sub { list($inner, 1, 4) }, allOf => sub { list($inner, 1, 3) }, anyOf => sub { list($inner, 1, 3) }, oneOf => sub { list($inner, 1, 3) },
		properties => sub { map_of($inner, @words) }, '$defs' => sub { map_of($inner, qw(a b c), 'a/b') },
		patternProperties => sub { map_of($inner, @patterns[ 0 .. 12 ]) }, dependentSchemas => sub { map_of($inner, @words) },
		dependentRequired => sub { map_of(sub { list(sub { string(one(@words)) }, 0, 3) }, @words) },
		required => sub { list(sub { string(one(@words)) }, 0, 4) },
		'$ref' => sub { string(one(@references)) }, '$dynamicRef' => sub { string(one('#x', '#y', 'sub#x', '#', 'https://example.com/open#node', '#/$defs/a')) },
		'$anchor' => sub { string(one('x', 'y', chance(0.05) ? '1 x' : 'z')) }, '$dynamicAnchor' => sub { string(one('x', 'y', 'node')) },
		'$id' => sub { string(one('https://example.com/root', 'sub', 'sub/x', 'urn:x:y', chance(0.1) ? ('#a', '', '::') : 'other')) },
		title => sub { '"t"' }, unknown => sub { value(2) },
	);
	my %chosen;
	my @names = sort keys %keywords;
	for (1 .. 1 + int rand 5)
	{
		my $name = one(@names);
		next if $name =~ /^\$(id|anchor|dynamicAnchor)$/ && chance(0.6);
		$chosen{$name} = $keywords{$name}->();
	}
	$chosen{'$defs'} ||= '{"a": ' . $inner->() . ', "b": ' . $inner->() . '}' if ($chosen{'$ref'} || '') =~ /defs/ && chance(0.8);
	$chosen{'$schema'} = string(one(('https://json-schema.org/draft/2020-12/schema') x 8, 'http://json-schema.org/draft-07/schema#', 'https://json-schema.org/draft/2019-09/schema', 'https://example.com/none')) if chance(0.02);
	$chosen{ one(@names) } = value(1) if chance(0.02);
	return '{' . join(', ', map { string($_) . ": $chosen{$_}" } sort keys %chosen) . '}';
}

sub schema_text
{
	my $text = schema(1 + int rand 4);
	if (chance(0.01))
	{
		# Very deep, or a reference that leads through itself.
		my $deep = 200 + int rand 3000;
		my ($open, $close) = @{ one([ '{"items": ', '}' ], [ '{"not": ', '}' ], [ '{"allOf": [', ']}' ], [ '{"properties": {"a": ', '}}' ], [ '{"$ref": "named", "$defs": {"a": ', '}}' ]) };
		$text = $open x $deep . $text . $close x $deep;
	}
	return $text unless chance(0.1);
	for (1 .. 1 + int rand 3)
	{
		my $at = int rand length $text;
		substr($text, $at, int rand 3) = one('', '{', '}', '[', ']', '"', ':', ',', '\\', '1', 'null', '#', '$', '/', substr($text, int(rand length $text), 20));
	}
	return $text;
}

sub document
{
	return value(4) unless chance(0.01);
	my $deep = 200 + int rand 2000;
	return chance(0.5) ? '[' x $deep . ']' x $deep : '{"a": ' x $deep . '1' . '}' x $deep;
}

sub quoted
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

for (1 .. $count)
{
	my $schema = quoted(schema_text());
	my $documents = join ', ', map { quoted(document()) } 1 .. 4;
	print "select fuzz.schema($schema, array[$documents]);\n";
}
