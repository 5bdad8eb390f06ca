# Rate limits: never exceeded, used in full, shared in a group, kept over a
# restart; and what the receiver says about them is heeded.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('rate');
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub endpoint
{
	my ($name, $path, %columns) = @_;
	my $names = join '', map { ", $_" } sort keys %columns;
	my $values = join '', map { ", $columns{$_}" } sort keys %columns;
	sql("insert into postrider.endpoint (name, url$names) values ('$name', '" . $receiver->url($path) . "'$values)");
}
sub send_to { sql("select count(*) from (select postrider.send('$_[0]', to_jsonb(n)) from generate_series(1, $_[1]) n) x"); }

# Times at which requests were begun, by the record
sub begun { return split /\n/, sql("select extract(epoch from started_at) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id
	where e.name ~ '^$_[0]\$' and a.attempt > 0 order by started_at"); }

# 100 per 10 s, under load, beside an endpoint without a limit
endpoint('limited', '/ok/limited', rate_limit => 100, rate_period => "'10 s'");
endpoint('free', '/ok/free');
sql("insert into postrider.endpoint (name, url) values ('ears', '" . $receiver->url('/ok/ears') . "');
	insert into postrider.subscription (topic, endpoint) values ('postrider.endpoint.*', 'ears')");
my $begin = time;
send_to('limited', 400);
send_to('free', 400);
ok($receiver->wait_for_count(400, '/ok/free'), 'what has no limit is not held up');
cmp_ok(time - $begin, '<', 5 * $PostriderTest::patience, 'by the one that has');
sleep 0.1 while time < $begin + 25;
my @times = begun('limited');
cmp_ok(PostriderTest::most(10, @times), '<=', 100, '100 per 10 s are never exceeded in any 10 s');
my $in_20 = grep { $_ >= $times[0] + 4 && $_ < $times[0] + 24 } @times;
cmp_ok($in_20, '>=', 190 / $PostriderTest::patience, "and at least 95 % of them are used ($in_20 in 20 s)");
cmp_ok(PostriderTest::most(1, @times), '<=', 20, 'evenly');
is(sql("select rate_used_share between 0.9 and 1 from postrider.endpoint_health where endpoint = 'limited'"), 't', 'endpoint_health says how much is used');
ok($receiver->wait_for_count(1, '/ok/ears'), 'there is a warning');
my ($warning) = $receiver->requests('/ok/ears');
like($warning->{body}, qr/"type":\s*"postrider.endpoint.rate_warning"/, 'on a topic of its own');
like($warning->{body}, qr/"endpoint": "limited"/, 'that names the endpoint');
like($warning->{body}, qr/"limit": 100/, 'and the limit');
is($receiver->count('/ok/ears'), 1, 'once');
is(sql("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'limited' and a.outcome <> 'delivered'"), 0, 'waiting is no attempt');
sql("select postrider.cancel(endpoint => 'limited')");

# A group shares its limit, with a burst.
endpoint("shared.$_", "/ok/shared$_", rate_limit => 20, rate_period => "'2 s'", rate_burst => 20, rate_group => "'account'") for 1, 2;
send_to("shared.$_", 50) for 1, 2;
sleep 7;
@times = begun('shared.[12]');
cmp_ok(PostriderTest::most(2, @times), '<=', 20, 'a group has one limit');
cmp_ok(scalar @times, '>=', 57, 'and uses it (' . @times . ')');
cmp_ok(scalar(begun('shared.1')), '>', 10, 'of which the one');
cmp_ok(scalar(begun('shared.2')), '>', 10, 'and the other have their part');
sql("select postrider.cancel(endpoint => 'shared.*')");

# Windows of a day hold over a restart, and over a crash.
endpoint('daily', '/ok/daily', rate_limits => "'100 per s, 10 per day'");
send_to('daily', 6);
ok($receiver->wait_for_count(6, '/ok/daily'), 'six of ten a day are used');
$node->restart;
send_to('daily', 7);
ok($receiver->wait_for_count(10, '/ok/daily'), 'four are left after a restart');
sleep 1;
is($receiver->count('/ok/daily'), 10, 'and no more');
$node->stop('immediate');
$node->start;
send_to('daily', 1);
sleep 2;
is($receiver->count('/ok/daily'), 10, 'nor after a crash');
is(sql("select count(*) from postrider.endpoint_health where endpoint = 'daily' and rate_used_share = 1"), 1, 'which endpoint_health shows');
sql("update postrider.endpoint set rate_limits = '100 per s, 12 per day' where name = 'daily'");
ok($receiver->wait_for_count(12, '/ok/daily'), 'a higher limit is in force at once, and what was used counts');

# 429 with Retry-After stops that endpoint and nothing else.
endpoint('busy', '/after/429/1/3/busy', backoff_base => "'10 ms'");
my $before = time;
send_to('busy', 5);
ok($receiver->wait_for_count(1, '/after/429/1/3/busy'), 'the first requests are refused with 429');
sleep 0.5;
my $refused = $receiver->count('/after/429/1/3/busy');
cmp_ok($refused, '<=', 5, "then it is left alone ($refused)");
like(sql("select state from postrider.endpoint_health where endpoint = 'busy'"), qr/throttled|failing/, 'endpoint_health says so');
send_to('free', 50);
ok($receiver->wait_for_count(450, '/ok/free'), 'others flow on');
cmp_ok(time - $before, '<', 2.5 * $PostriderTest::patience, 'meanwhile');
ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where endpoint = 'busy' and status = 'delivered'", 5), 'then it gets all');
my @busy = map { $_->{time} } $receiver->requests('/after/429/1/3/busy');
cmp_ok($busy[$refused] - $busy[$refused - 1], '>=', 2.4, 'after the time that it asked for');

# What makes no sense
for (['rate_limit = 0', qr/rate_limit of endpoint "free" must be between 1/], [ "rate_period = '0 s'", qr/rate_period of endpoint "free"/ ],
	[ "rate_limits = 'ten a day'", qr/rate_limits of endpoint "free"/ ])
{
	my ($status, undef, $error) = $node->psql('postgres', "update postrider.endpoint set $_->[0] where name = 'free'");
	like($error, $_->[1], "$_->[0] is refused");
}

$receiver->down;
$node->stop;
done_testing();
