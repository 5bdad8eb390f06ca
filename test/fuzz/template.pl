# Random templates and values, as SQL:  perl template.pl SEED COUNT
# Most are well formed with now and then something wrong; some have bytes changed.
# What must hold stands in template.sql.
use strict;
use warnings;
no warnings 'nonchar';

my ($seed, $count) = @ARGV;
srand($seed);
binmode STDOUT, ':utf8';

sub one { return $_[ int rand @_ ]; }
sub chance { return rand() < $_[0]; }
sub some { my ($most, $make) = @_; return map { $make->() } 1 .. int rand($most + 1); }

# What would do harm where it is not escaped.
my @pieces = ('"', "'", '\\', '\\"', '<', '>', '&', ']', ']]', ']]>', '-->', '?>', '<!--', '<![CDATA[', '/>', '</a>', '{{', '}}', '{{$.v}}', '/', '../', '..', '.', '?', '#', '&a=b', ';',
	'%', '%2f', '%2e', '%00', '+', ' ', "\t", "\n", ': ', ', ', '{', '}', '[', '$', '@', '\\u0022', "\x{e9}", "\x{1F600}", "\x{2028}", "\x{fffd}", "\x{ffff}", "\x{7f}", "\x{01}", "\r\n", 'a', 'x1', 'null', '0');

sub value { return join('', map { one(@pieces) } 1 .. 1 + int rand(chance(0.1) ? 40 : 5)); }

sub place
{
	return one('{{key}}', '{{$.v|default:"d"}}', '{{ $.v }}', '{{$.v}}', '{{$.v}}', '{{$.v}}', '{{$.o.w[0]}}', '{{$.o.w[*] ? (@ != "}}")}}', '{{$.none|default:"else"}}', '{{$.v | default: "x"}}');
}

sub bad_place { return one('{{', '{{$.}}', '{{}}', '{{name}}', '{{$.v|upper}}', '{{$.v|default:}}', '{{$none}}', '{{$.v', '{{"', '{{$.none}}'); }

sub hole { return chance(0.01) ? bad_place() : place(); }

sub json_string
{
	return '"' . join('', some(4, sub { chance(0.5) ? hole() : one('a', ' ', '\\"', '\\\\', '\\n', '\\u00e9', chance(0.05) ? '\\' : 'b', '<', "\x{e9}", '(', '{ x }', 'mutation {') })) . '"';
}

sub json
{
	my ($depth) = @_;
	return hole() if chance(0.3);
	return json_string() if chance(0.4);
	return one('1', '-1.5e3', 'true', 'null', '""') if $depth > 3 || chance(0.2);
	return '[' . join(one(',', ', '), some(4, sub { json($depth + 1) })) . ']' if chance(0.4);
	my $n = 0;
	return '{' . join(one(',', ",\n "), some(4, sub { $n++; (chance(0.2) ? '"k' . $n . hole() . '"' : chance(0.1) ? '"query"' : qq("m$n")) . one(':', ' : ') . json($depth + 1) })) . '}';
}

sub xml
{
	my ($depth) = @_;
	my $name = one(qw(a b c:d));
	my $attributes = join('', map { ' ' . (chance(0.02) ? hole() : "x$_=" . (chance(0.03) ? hole() : one(sub { '"' . $_[0] . '"' }, sub { "'" . $_[0] . "'" })->(join('', some(3, sub { chance(0.6) ? hole() : one('t', '&amp;', '>', ' ') }))))) } 1 .. int rand 3);
	my $inside = join('', some(4, sub {
		return hole() if chance(0.4);
		return xml($depth + 1) if $depth < 3 && chance(0.4);
		return '<![CDATA[' . join('', some(4, sub { chance(0.6) ? hole() : one('>', ']', '<', 't', ' ') })) . ']]>' if chance(0.4);
		return '<!-- ' . (chance(0.05) ? hole() : one('"', 't', "'")) . ' -->' if chance(0.2);
		return one('t', '&lt;', ' ', '"', "'", '>');
	}));
	return "<$name xmlns:c=\"urn:c\"$attributes>$inside</$name>";
}

sub url
{
	return one('http://example.com', 'https://example.com:8443', 'http://[::1]', '') . (chance(0.03) ? hole() : '') . '/' . join('/', some(4, sub { chance(0.6) ? join('', hole(), some(1, \&hole)) : one('v1', 'a.b', '~x', ':1', '%20') }))
		. (chance(0.7) ? '?' . join('&', some(4, sub { (chance(0.1) ? hole() : 'n') . '=' . (chance(0.8) ? hole() : '1') })) : '') . (chance(0.03) ? '#' . hole() : '');
}

sub form { return join('&', some(5, sub { (chance(0.1) ? hole() : 'n') . '=' . join('', some(2, sub { chance(0.7) ? hole() : 'x+' })) })); }

sub header { return join('', some(5, sub { chance(0.6) ? hole() : one('Bearer ', 'a', '"', ', ') })); }

sub spoil
{
	my ($text) = @_;
	for (1 .. 1 + int rand 3)
	{
		substr($text, int rand(1 + length $text), chance(0.5) ? 1 : 0) = one('"', '{', '}', '<', '>', ']', '|', '\\', '$', '&', "'", '{{', '}}') if length $text;
	}
	return $text;
}

sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'"; }

for (1 .. $count)
{
	my ($context, $template) = @{ one([ 'json', json(0) ], [ 'xml', xml(0) ], [ 'url', url() ], [ 'form', form() ], [ 'header', header() ], [ 'text', header() ]) };
	$template = spoil($template) if chance(0.08);
	$template =~ s/\n/ /g;
	my $value = value();
	my $sql = 'select fuzz.fill(' . literal($template) . ', ' . literal($context) . ', ' . literal($value) . ");\n";
	$sql =~ s/([\n\r\t\x01])(?!\z)/sprintf("' || chr(%d) || '", ord $1)/ge;
	print $sql;
}
