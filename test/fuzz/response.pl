# Random response rules and answers, as SQL:  perl response.pl SEED COUNT
# Most are well formed with now and then something wrong; some have bytes changed.
# What must hold stands in response.sql.
use strict;
use warnings;

my ($seed, $count) = @ARGV;
srand($seed);
binmode STDOUT, ':utf8';

sub one { return $_[ int rand @_ ]; }
# The last so many of a list are wrong, and rare.
sub mostly { my $bad = shift; return chance(0.04) ? $_[ @_ - 1 - int rand $bad ] : $_[ int rand(@_ - $bad) ]; }
sub chance { return rand() < $_[0]; }
sub some { my ($most, $make) = @_; return map { $make->() } 1 .. int rand($most + 1); }

sub string
{
	my ($text) = @_;
	$text =~ s/(["\\])/\\$1/g;
	$text =~ s/[\n\r\t]/ /g;
	return qq("$text");
}

my @names = qw(Retry-After retry-after-ms RateLimit RateLimit-Policy RateLimit-Limit RateLimit-Remaining RateLimit-Reset X-RateLimit-Limit
	X-RateLimit-Remaining X-RateLimit-Reset X-RateLimit-Reset-After X-RateLimit-Remaining-Minute X-RateLimit-Reset-Requests x-sib-ratelimit-reset
	X-HubSpot-RateLimit-Interval-Milliseconds X-HubSpot-RateLimit-Remaining X-Business-Use-Case-Usage ratelimit- x-ratelimit--reset X-Error X-A);
my @values = ('0', '1', '30', '99', '1.5', '-1', '1795428060', '1795428060123', '9' x 17, '9' x 18, '9' x 19, '9' x 400, '0.' . '1' x 300, '.', '1.', '', ' ', '5s', '1m30s',
	'20 ms', '1d1h', '1s' x 20, '3 weeks', 'Mon, 23 Nov 2026 10:02:00 GMT', 'Monday, 23-Nov-26 10:02:00 GMT', 'Mon Nov 23 10:02:00 2026', 'Mon, 31 Feb 2026 24:00:00 GMT',
	'Mon, 23 Nov 9999 10:02:00 GMT', 'Nov Nov Nov', '1:2:3', '23:59:60', '2026-11-23T10:02:00Z', '2026-11-23 10:02:00.123+05:30', '9999-12-31T23:59:60-99:99', '"default";r=50;t=30',
	'"a";r=0;t=5, "b";r=1;t=60', '"a";q=10;w=1,"b";q=100;w=60', 'limit=100, remaining=0, reset=5', '";', '"\\', ',;=,;=', 'r=1;t=2;q=3;w=4', '100, 100;w=60',
	'{"1":[{"estimated_time_to_regain_access":19}]}', '{"estimated_time_to_regain_access": ', "\x{e9}\x{1F600}");
my @paths = ('$', '$.a', '$.a == 1', '$.errors[*]', 'exists($.errors[*] ? (@.code == "x"))', '$.**.wait', '$.**.**.a', 'strict $.a.b', '$.a like_regex "^x"', '$.a.datetime() < "2026-01-01".datetime()',
	'$.a.double() > 1', '$[0 to last].a', '$.keyvalue()', '1 / 0 == 1', '$.a.b == $.c', 'true', '$.*[*].estimated_time_to_regain_access', '$.a[', '$x', '');
my @patterns = ('x', '^$', '(?i)limit', 'retry in ([0-9]+)', '([0-9.]+) ?(s|ms)', '(a|b)*c', '[[:alpha:]]+', '(?=x)x', '', 'x{0,255}y{0,255}', '^\\s*($|[^{\\s])', "\x{e9}", '.*.*.*=', '(((a*)*)*)*$', '(', '(x)\\1');
my @actions = qw(success retry throttle dead refresh_token split_batch disable throttle retry throttle);
my @statuses = ('200', '429', '"5xx"', '"500-599"', '"4XX"', '[200, "3xx"]', '"2xx"', '[401, 403]', '"100-599"', '[]', '"6xx"', '99', '200.0', '"429 "', 'null', '"599-500"', 'true', '[[200]]');

sub value
{
	my ($depth) = @_;
	return string(one(@values)) if chance(0.2);
	return one('1', '0', '-1', '30', '1.5', '1e300', '1e-300', 'true', 'null', '1795428060') if $depth > 3 || chance(0.3);
	return '[' . join(', ', some(4, sub { value($depth + 1) })) . ']' if chance(0.4);
	return '{' . join(', ', some(4, sub { string(one(qw(a b wait errors code x c))) . ': ' . value($depth + 1) })) . '}';
}

sub wait_of
{
	my @members;
	my $kind = int rand 6;
	push @members, '"header": ' . string(one(@names)) if $kind <= 2;
	push @members, '"path": ' . string(mostly(3, @paths)) if $kind == 1 || $kind == 3;
	push @members, '"pattern": ' . string(mostly(2, @patterns)) if $kind == 2 || $kind == 4;
	push @members, one('"value": ' . mostly(4, '1', '0', '1e15', '0.001', '-1', '1e16', '1e400', '"1"'), '"until": ' . mostly(1, '"utc_midnight"', '"noon"')) if $kind == 5;
	push @members, '"unit": ' . string(mostly(1, qw(auto seconds milliseconds minutes epoch epoch_ms http_date weeks))) if chance(0.7);
	return chance(0.03) ? value(0) : '{' . join(', ', @members) . '}';
}

sub rule
{
	my $action = one(@actions);
	my @members = ('"action": ' . string($action));
	push @members, '"status": ' . mostly(9, @statuses) if chance(0.5);
	push @members, '"header": {"name": ' . string(one(@names)) . (chance(0.3) ? ', "value": ' . string(one(@values)) : '') . (chance(0.3) ? ', "pattern": ' . string(mostly(2, @patterns)) : '') . '}' if chance(0.2);
	push @members, '"path": ' . string(mostly(3, @paths)) if chance(0.4) || (@members == 1 && chance(0.95));
	push @members, '"pattern": ' . string(mostly(2, @patterns)) if chance(0.3);
	push @members, '"wait": ' . wait_of() if $action =~ /throttle|retry/ ? chance(0.7) : chance(0.03);
	return chance(0.02) ? value(0) : '{' . join(', ', @members) . '}';
}

sub body
{
	return '' if chance(0.1);
	return one(@values) if chance(0.1);
	return 'retry in ' . int(rand 100) . ' seconds' if chance(0.1);
	return one('x', 'ab', '=', "\x{e9}") x one(10, 1000, 30000, 70000) if chance(0.01);
	return one('[', '{"a":', '"', '[1,') x one(10, 1000, 60000) if chance(0.01);
	return value(0);
}

sub spoil
{
	my ($text) = @_;
	for (1 .. 1 + int rand 4)
	{
		substr($text, int rand(1 + length $text), chance(0.5) ? 1 : 0) = one('"', '{', '}', '[', ']', ',', ':', '\\', '0', '$', '-', ' ') if length $text;
	}
	return $text;
}

print "select fuzz.answer(\$r\$", (map { chance(0.04) ? spoil($_) : $_ } '[' . join(', ', chance(0.005) ? ('{"status": 200, "action": "dead"}') x 51 : some(3, \&rule)) . ']'), "\$r\$, ",
	one(200, 200, 204, 400, 401, 403, 410, 429, 429, 500, 503, 100, 599), ", \$h\${", join(', ', some(6, sub { string(one(@names)) . ': ' . (chance(0.1) ? '[' . join(', ', some(3, sub { string(one(@values)) })) . ']' : string(one(@values))) })),
	"}\$h\$, \$b\$", (map { chance(0.1) ? spoil($_) : $_ } body()), "\$b\$);\n" for 1 .. $count;
