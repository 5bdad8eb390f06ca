# The circuit breaker opens, probes and closes; what fails for too long is disabled.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('breaker');
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub send_to { sql("select count(*) from (select postrider.send('$_[0]', to_jsonb(n)) from generate_series(1, $_[1]) n) x"); }
sub set { sql("update postrider.endpoint set $_[1] where name = '$_[0]'"); }
sub state_of { return sql("select state from postrider.endpoint_health where endpoint = '$_[0]'"); }
sub wait_state { return PostriderTest::wait_for($node, "select state from postrider.endpoint_health where endpoint = '$_[0]'", $_[1]); }
sub events { return map { $_->{body} =~ /"type":\s*"postrider\.endpoint\.(\w+)".*"endpoint": "\Q$_[0]\E"/s ? $1 : () } $receiver->requests('/ok/ears'); }

sql("insert into postrider.endpoint (name, url) values ('ears', '" . $receiver->url('/ok/ears') . "');
	insert into postrider.subscription (topic, endpoint) values ('postrider.endpoint.*', 'ears');
	insert into postrider.endpoint (name, url, backoff_base, backoff_max, breaker_min_count, breaker_open, breaker_open_max, max_attempts)
	values ('ill', '" . $receiver->url('/status/503/ill') . "', '1 ms', '1 ms', 10, '1 s', '2 s', 1000),
		('well', '" . $receiver->url('/ok/well') . "', '1 ms', '1 ms', 10, '1 s', '2 s', 1000),
		('picky', '" . $receiver->url('/status/422/picky') . "', '1 ms', '1 ms', 10, '1 s', '2 s', 1000)");

send_to($_, 500) for qw(ill well picky);
ok(wait_state('ill', 'open'), 'the breaker opens when all fails');
my $tried = $receiver->count('/status/503/ill');
cmp_ok($tried, '<', 40, "after a few requests ($tried)");
ok($receiver->wait_for_count(500, '/ok/well'), 'others do not notice');
ok($receiver->wait_for_count(500, '/status/422/picky'), 'one that refuses each message is well');
is(state_of('picky'), 'ok', 'and is not blamed');
like(sql("select reason from postrider.endpoint_health where endpoint = 'ill'"), qr/status 503/, 'endpoint_health says why');
is(sql("select count(*) from postrider.delivery where endpoint = 'ill' and status in ('queued', 'retrying')"), 500, 'nothing is given up');
ok((PostriderTest::wait_until { grep { $_ eq 'opened' } events('ill') } 'there is a message'), 'there is a message that it opened');

# It probes, one request at a time.
sleep 3;
my $probes = $receiver->count('/status/503/ill') - $tried;
cmp_ok($probes, '>=', 1, "it probes ($probes)");
cmp_ok($probes, '<=', 4, 'and does no more than that');
is(scalar(grep { $_ eq 'opened' } events('ill')), 1, 'a failed probe is no news');

# It recovers.
set('ill', "url = '" . $receiver->url('/ok/ill') . "'");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where endpoint = 'ill' and status = 'delivered'", 500), 'when it is well again all is delivered');
ok(wait_state('ill', 'ok'), 'the breaker is closed');
ok((PostriderTest::wait_until { grep { $_ eq 'closed' } events('ill') } 'there is a message'), 'there is a message that it closed');

# Auto-disable after unbroken failure, over a restart, and what is held flows.
sql("insert into postrider.endpoint (name, url, backoff_base, backoff_max, breaker_share, disable_after, max_attempts)
	values ('lost', '" . $receiver->url('/status/500/lost') . "', '50 ms', '50 ms', null, '6 s', 1000)");
send_to('lost', 500);
ok($receiver->wait_for_count(20, '/status/500/lost'), 'it fails');
ok(PostriderTest::wait_for($node, "select failing_since is not null from postrider.endpoint_health where endpoint = 'lost'", 't'), 'which endpoint_health shows');
my $since = sql("select failing_since from postrider.endpoint_health where endpoint = 'lost'");
sleep 0.3;
$node->restart;
ok(PostriderTest::wait_for($node, "select failing_since from postrider.endpoint_health where endpoint = 'lost'", $since), 'a restart does not break the failure');
ok(PostriderTest::wait_for($node, "select enabled from postrider.endpoint where name = 'lost'", 'f'), 'it is disabled');
like(sql("select disabled_reason from postrider.endpoint where name = 'lost'"), qr/all \d+ requests since .* have failed; the last one: .*status 500/, 'with the reason');
is(state_of('lost'), 'disabled', 'which endpoint_health shows');
ok((PostriderTest::wait_until { grep { $_ eq 'disabled' } events('lost') } 'there is a message'), 'there is a message');
send_to('lost', 10);
ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where endpoint = 'lost' and status in ('held', 'retrying')", 510), 'what is owed is held');
set('lost', "url = '" . $receiver->url('/ok/lost') . "', enabled = true");
ok($receiver->wait_for_count(510, '/ok/lost'), 'and flows when it is enabled again');
is(sql("select count(*) from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name in ('ill', 'lost')"), 0, 'nothing was lost');

$receiver->down;
$node->stop;
done_testing();
