# What receivers say about their limits in headers: every form is read, nonsense
# does no harm, and the worker keeps to what was said.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('headers');
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Reading, at 2026-11-23 10:00:00 UTC = 1795428000: [limit, remaining, seconds
# until reset, seconds until retry]
my @forms = (
	[ 'Retry-After in seconds', '{"Retry-After": "30"}', '|||30' ],
	[ 'with a fraction', '{"Retry-After": "1.5"}', '|||1.5' ],
	[ 'as a date', '{"Retry-After": "Mon, 23 Nov 2026 10:02:00 GMT"}', '|||120' ],
	[ 'as an old date', '{"Retry-After": "Monday, 23-Nov-26 10:02:00 GMT"}', '|||120' ],
	[ 'as asctime', '{"Retry-After": "Mon Nov 23 10:02:00 2026"}', '|||120' ],
	[ 'as a date that is over', '{"Retry-After": "Mon, 23 Nov 2026 09:00:00 GMT"}', '|||0' ],
	[ 'as a time since 1970', '{"retry-after": "1795428060"}', '|||60' ],
	[ 'in milliseconds', '{"Retry-After-Ms": "2500"}', '|||2.5' ],
	[ 'the longest', '{"Retry-After": ["3", "7", "x"]}', '|||7' ],
	[ 'the draft', '{"RateLimit-Policy": "\"default\";q=100;w=60", "RateLimit": "\"default\";r=50;t=30"}', '100|50|30|' ],
	[ 'the draft with two limits', '{"RateLimit": "\"burst\";r=5;t=1, \"daily\";r=30;t=36000", "RateLimit-Policy": "\"burst\";q=10;w=1,\"daily\";q=1000;w=86400"}', '1000|30|36000|' ],
	[ 'the draft with a name that has a comma', '{"RateLimit": "\"a,b;r=7\";r=9;t=3"}', '|9|3|' ],
	[ 'the draft of once', '{"RateLimit": "limit=100, remaining=50, reset=5"}', '100|50|5|' ],
	[ 'the headers of once', '{"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "7", "RateLimit-Reset": "9"}', '100|7|9|' ],
	[ 'seconds left', '{"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "12"}', '50|3|12|' ],
	[ 'seconds since 1970', '{"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "1795428012"}', '|3|12|' ],
	[ 'milliseconds since 1970', '{"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "1795428012500"}', '|3|12.5|' ],
	[ 'a date', '{"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "Mon, 23 Nov 2026 10:00:12 GMT"}', '|3|12|' ],
	[ 'ISO 8601', '{"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "2026-11-23T11:00:12+01:00"}', '|3|12|' ],
	[ 'with another hyphen', '{"x-rate-limit-limit": "15", "x-rate-limit-remaining": "0", "x-rate-limit-reset": "1795428900"}', '15|0|900|' ],
	[ 'Reset-After', '{"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795428001.5", "X-RateLimit-Reset-After": "1.5"}', '5|0|1.5|' ],
	[ 'one of several, with units', '{"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59", "x-ratelimit-reset-requests": "1m30s", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}', '60|59|90|' ],
	[ 'of a minute', '{"X-RateLimit-Limit-Minute": "20", "X-RateLimit-Remaining-Minute": "4", "X-RateLimit-Remaining-Hour": "0"}', '20|4|60|' ],
	[ 'Brevo', '{"x-sib-ratelimit-limit": "100", "x-sib-ratelimit-remaining": "0", "x-sib-ratelimit-reset": "17"}', '100|0|17|' ],
	[ 'HubSpot', '{"X-HubSpot-RateLimit-Daily": "250000", "X-HubSpot-RateLimit-Daily-Remaining": "249999", "X-HubSpot-RateLimit-Interval-Milliseconds": "10000", "X-HubSpot-RateLimit-Max": "100", "X-HubSpot-RateLimit-Remaining": "42"}', '100|42|10|' ],
	[ 'Meta', '{"X-Business-Use-Case-Usage": "{\"1\":[{\"type\":\"ads_management\",\"call_count\":100,\"estimated_time_to_regain_access\":4},{\"estimated_time_to_regain_access\": 19}]}"}', '|||1140' ],
	[ 'Meta, all well', '{"X-App-Usage": "{\"call_count\":28,\"estimated_time_to_regain_access\":0}"}', '|||' ],
	[ 'what ends is not known', '{"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "3"}', '|||' ],
	[ 'no limit at all', '{"Content-Type": "application/json", "X-Request-Id": "ratelimit"}', '|||' ],
	[ 'nonsense', '{"Retry-After": "soon", "X-RateLimit-Remaining": "-1", "X-RateLimit-Reset": "99", "RateLimit": "\";;;,=,\""}', '|||' ],
	[ 'numbers beyond all measure', '{"Retry-After": "999999999999999999999999", "X-RateLimit-Remaining": "999999999999999999", "X-RateLimit-Reset": "100000000000000"}', '|1000000000000000|31622400|' ],
	[ 'a wait of a thousand years', '{"Retry-After": "Mon, 23 Nov 3026 10:00:00 GMT"}', '|||31622400' ],
	[ 'dates that are none', '{"Retry-After": ["Mon, 31 Nov 2026 10:00:00 GMT", "Mon, 23 Foo 2026 10:00:00 GMT", "23:59", "99:99:99", ",", "2026-13-01T00:00:00Z"]}', '|||' ]);

for my $form (@forms)
{
	my ($name, $headers, $wanted) = @$form;
	is(sql(qq(select "limit", remaining, trim_scale(extract(epoch from reset_at - at)), trim_scale(extract(epoch from retry_at - at))
		from (values ('2026-11-23 10:00:00Z'::timestamptz)) t(at), postrider.read_rate_headers(\$\$$headers\$\$, at))), $wanted, $name);
}
for my $bad ([ '[1]', 'must be an object' ], [ '{"a": 1}', 'must be strings: see "a"' ], [ '{"a b": "x"}', 'cannot have "a b"' ], [ '{"a": {"b": "c"}}', 'must be strings' ])
{
	my (undef, undef, $error) = $node->psql('postgres', "select postrider.read_rate_headers('$bad->[0]')");
	like($error, qr/headers of an answer \Q$bad->[1]\E/, "headers $bad->[0] are refused");
}

# The worker keeps to it
sub endpoint
{
	my ($name, $url, %columns) = @_;
	my $names = join '', map { ", $_" } sort keys %columns;
	my $values = join '', map { ", $columns{$_}" } sort keys %columns;
	sql("insert into postrider.endpoint (name, url$names) values ('$name', '$url'$values)");
}
sub send_to { sql("select count(*) from (select postrider.send('$_[0]', to_jsonb(n)) from generate_series(1, $_[1]) n) x"); }
sub came { return sort { $a <=> $b } map { $_->{time} } $receiver->requests("/told/$_[0]"); }

# Nothing is left until the end of the window, by an answer that is a success.
endpoint('spent', $receiver->tell('spent', [ 200, { 'X-RateLimit-Limit' => 10, 'X-RateLimit-Remaining' => 0, 'X-RateLimit-Reset' => 4 }, '' ]), max_in_flight => 1);
endpoint('free', $receiver->url('/ok/free'));
my $begin = time;
send_to('spent', 1);
ok($receiver->wait_for_count(1, '/told/spent'), 'the first goes at once');
send_to('spent', 1);
send_to('free', 20);
ok($receiver->wait_for_count(20, '/ok/free'), 'nobody else is held up');
cmp_ok(time - $begin, '<', 3, 'for any time');
ok($receiver->wait_for_count(2, '/told/spent'), 'the next goes on');
my @times = came('spent');
cmp_ok($times[1] - $times[0], '>=', 3.9, 'when the limit begins anew, though the answer was a success');
cmp_ok($times[1] - $times[0], '<', 7, 'and not much later');

# While more than half is left there is no reason to wait.
endpoint('roomy', $receiver->tell('roomy', ([ 200, { 'RateLimit' => '"d";r=80;t=60', 'RateLimit-Policy' => '"d";q=100;w=60' }, '' ]) x 2));
$begin = time;
send_to('roomy', 40);
ok($receiver->wait_for_count(40, '/told/roomy', 20), 'a roomy limit is used');
cmp_ok(time - $begin, '<', 8, 'in a burst');

# Little is left: what is, is spread over the time that is left.
endpoint('tight', $receiver->tell('tight', [ 200, { 'RateLimit' => '"d";r=10;t=5', 'RateLimit-Policy' => '"d";q=100;w=60' }, '' ]), max_in_flight => 1);
send_to('tight', 1);
ok($receiver->wait_for_count(1, '/told/tight'), 'the limit is told');
sleep 0.2;
send_to('tight', 8);
ok($receiver->wait_for_count(9, '/told/tight', 30), 'all go');
@times = came('tight');
cmp_ok($times[8] - $times[1], '>=', 2, 'little that is left is spread out');

# Waits of 429, in the forms of vendors
for my $case (
	[ 'date', { 'Retry-After' => sub { POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + 4)) } } ],
	[ 'millis', { 'Retry-After-Ms' => sub { 3000 } } ])
{
	my ($name, $headers) = @$case;
	my %made = map { $_ => $headers->{$_}->() } keys %$headers;
	endpoint($name, $receiver->tell($name, [ 429, \%made, '' ]), backoff_base => "'10 ms'");
	send_to($name, 1);
	ok($receiver->wait_for_count(2, "/told/$name", 20), "$name: it is tried again");
	@times = came($name);
	cmp_ok($times[1] - $times[0], '>=', 2.5, "$name: not before that");
	# Who is throttled at its first request may go on at one request in 10 s.
	cmp_ok($times[1] - $times[0], '<', 14, "$name: and not much later");
}

# A hostile wait is cut to backoff_max.
endpoint('hostile', $receiver->tell('hostile', [ 503, { 'Retry-After' => '999999999', 'X-RateLimit-Remaining' => 0, 'X-RateLimit-Reset' => '99999999999' }, '' ]),
	backoff_base => "'10 ms'", backoff_max => "'1 s'");
send_to('hostile', 1);
ok($receiver->wait_for_count(2, '/told/hostile', 20), 'nobody can stop an endpoint for longer than backoff_max');

# Headers too many and too long are no trouble.
endpoint('flood', $receiver->tell('flood', [ 200, { 'X-RateLimit-Remaining' => [ ('9' x 900) x 60 ], 'Retry-After' => 'x' x 8000 }, '' ]));
send_to('flood', 3);
ok($receiver->wait_for_count(3, '/told/flood'), 'a flood of headers does not matter');
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'flood' and a.outcome = 'delivered'", 3), 'they are delivered');

done_testing();
