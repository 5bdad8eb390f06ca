# rate_limits of a tenant: over all its endpoints and all workers, never exceeded, used in full;
# nobody else is held up; followed while it runs, and kept over a restart.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('tenant_rate', conf => "postrider.workers = 3\n");
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub wait_for { return PostriderTest::wait_for($node, @_); }
sub emit { sql("select count(postrider.emit('work.$_[0]', to_jsonb(n), tenant => '$_[0]')) from generate_series(1, $_[1]) n"); }

# When requests of a tenant arrived
sub arrived
{
	my ($tenant) = @_;
	my @times = sort { $a <=> $b } map { $_->{path} =~ m{^/ok/$tenant/} ? $_->{time} : () } $receiver->requests;
	return @times;
}

# acme has ten endpoints, on three workers, and beta one; one of acme's has a limit of its own.
sub endpoints
{
	my ($tenant, $count) = @_;
	sql("insert into postrider.endpoint (name, tenant, url) select '$tenant.' || n, '$tenant', '" . $receiver->url("/ok/$tenant/") . "' || n from generate_series(1, $count) n;
		insert into postrider.subscription (topic, endpoint) select 'work.$tenant', '$tenant.' || n from generate_series(1, $count) n");
}
endpoints('acme', 10);
endpoints('beta', 3);
ok(wait_for("select count(distinct pid) from postrider.endpoint_status()", 3), 'three workers share the endpoints');
sql("update postrider.endpoint set rate_limits = '2 per s' where name = 'acme.1'");
sql("insert into postrider.tenant (name, rate_limits) values ('acme', '20 per s')");

# 400 requests are owed to acme, over 20 s; beta's 300 do not wait.
my $begin = time;
emit('acme', 40);
emit('beta', 100);
ok($receiver->wait_for_count(100, "/ok/beta/$_"), "beta.$_ gets all") for 1 .. 3;
cmp_ok(time - $begin, '<', 4, 'although acme is at its limit');
ok(wait_for("select count(*) > 0 from postrider.endpoint_health where tenant = 'acme' and reason = 'waits for rate_limits of tenant \"acme\"'", 't'),
	'endpoint_health says what acme waits for');
like(sql("select rate_used::text from postrider.endpoint_health where endpoint = 'acme.1'"), qr/^\{"\d+ of 2 in 00:00:01","\d+ of 20 in 00:00:01 of the tenant"\}$/,
	'how much is used, of its own limit and of the tenant\'s');
is(sql("select count(*) from postrider.endpoint_health where tenant = 'beta' and (reason is not null or rate_used is not null)"), 0, 'and nothing of the kind for beta');
sleep 0.05 while time < $begin + 6;
my @times = arrived('acme');
cmp_ok(PostriderTest::most(1, @times), '<=', 22, 'in no second there were more than 20, but for what comes late');
my $used = grep { $_ >= $times[0] + 1 && $_ < $times[0] + 5 } @times;
cmp_ok($used, '>=', 74, "and the limit is used ($used of 80 in 4 s)");
cmp_ok($used, '<=', 82, 'by all workers together');
my @share = map { $receiver->count("/ok/acme/$_") } 1 .. 10;
cmp_ok($share[0], '<=', 14, "the endpoint with a limit of its own keeps to that (@share)");
cmp_ok($_, '>=', 4, 'each of the others has its part') for @share[1 .. 9];

# Higher, and lower, while it runs: no burst, and what was used counts.
sql("update postrider.tenant set rate_limits = '50 per s' where name = 'acme'");
my $from = time;
sleep 0.05 while time < $from + 3;
my @fast = grep { $_ >= $from + 0.5 && $_ < $from + 2.5 } arrived('acme');
cmp_ok(scalar @fast, '>=', 85, 'a higher limit holds at once (' . @fast . ' of 100 in 2 s)');
cmp_ok(PostriderTest::most(1, @fast), '<=', 54, 'and brings no burst');
sql("update postrider.tenant set rate_limits = '10 per s, 1000 per day' where name = 'acme'");
$from = time;
sleep 0.05 while time < $from + 3.4;
my @slow = grep { $_ >= $from + 1.3 && $_ < $from + 3.3 } arrived('acme');
cmp_ok(scalar @slow, '<=', 23, 'a lower one too (' . @slow . ' of 20 in 2 s)');
cmp_ok(scalar @slow, '>=', 10, 'without standing still for longer than the second that was full');

# None: all that waits goes at once. Then a day's limit, which holds over a restart.
sql("update postrider.endpoint set rate_limits = null where name = 'acme.1'; delete from postrider.tenant");
ok(wait_for("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.tenant = 'acme' and a.outcome = 'delivered'", 400, 20), 'without a limit nothing waits');
sql("insert into postrider.tenant (name, rate_limits) values ('gamma', '200 per s, 10 per day')");
endpoints('gamma', 4);
emit('gamma', 2);
ok(wait_for("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.tenant = 'gamma' and a.outcome = 'delivered'", 8), 'eight of ten a day are used');
$node->restart;
emit('gamma', 2);
ok(wait_for("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.tenant = 'gamma' and a.outcome = 'delivered'", 10), 'two are left after a restart');
emit('beta', 1);
ok($receiver->wait_for_count(101, "/ok/beta/$_"), "beta.$_ goes on") for 1 .. 3;
PostriderTest::kill_server($node);
$node->start;
emit('beta', 1);
ok($receiver->wait_for_count(102, "/ok/beta/$_"), 'after a crash as well') for 1 .. 3;
is(scalar(arrived('gamma')), 10, 'and gamma has no more than ten');
is(sql("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.tenant = 'gamma' and a.outcome <> 'delivered'"), 0, 'waiting is no attempt');
sql("update postrider.tenant set rate_limits = '200 per s, 12 per day' where name = 'gamma'");
ok(wait_for("select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.tenant = 'gamma' and a.outcome = 'delivered'", 12), 'two more with a higher limit: what was used counts');
like(slurp_file($node->logfile), qr/\A(?!.*(?:PANIC|TRAP|deadlock))/s, 'the log has nothing bad');

$receiver->down;
$node->stop;
done_testing();
