# Limits of tenants beside rate_limits: messages are counted over all sessions, exactly, and over a
# restart; who is bound to a tenant sees its row and changes none; a dump restores what is above a limit.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('tenant_limits');
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub wait_for { return PostriderTest::wait_for($node, @_); }
sub as
{
	my ($user, $query) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $query,
		connstr => $node->connstr('postgres') . " user=$user");
	return "$out$err";
}

# A tenant and its row
sql("create role acme login; create role admin login;
	grant postrider_admin, postrider_writer to acme, admin;
	alter role acme set postrider.tenant = 'acme'");
is(as('admin', "insert into postrider.tenant (name, rate_limits, message_limits, max_payload_bytes) values ('acme', '10 per s', '500 per day', 1000), ('beta', '20 per s', null, null)"), '',
	'an admin who is bound to no tenant sets limits');
is(as('acme', 'select name, rate_limits from postrider.tenant'), 'acme|10 per s', 'a tenant sees its own');
for ("update postrider.tenant set message_limits = null returning *", "delete from postrider.tenant returning *",
	"update postrider.tenant set rate_limits = '1 per s' where name = 'beta' returning *")
{
	is(as('acme', $_), '', "and changes none: $_");
}
like(as('acme', "insert into postrider.tenant (name) values ('other')"), qr/row-level security/, 'nor makes one');
like(as('acme', "insert into postrider.tenant (name) values ('acme') on conflict (name) do update set message_limits = null"), qr/row-level security/, 'nor so');
is(sql("select string_agg(t::text, ' ' order by name) from (select name, rate_limits, message_limits from postrider.tenant) t"),
	'(acme,"10 per s","500 per day") (beta,"20 per s",)', 'all is as it was');
is(as('acme', "select string_agg(name || ' ' || operation, ',') from postrider.config_history where kind = 'tenant'"), 'acme insert', 'a tenant sees the history of its own limits');

# 8 sessions, 100 transactions of 10 messages each, one in three rolled back: 500 get through, to the message.
my @sessions = map {
	my $pid = fork // die $!;
	if (!$pid)
	{
		my $text = join '', map { my $fail = int rand 3; "begin; select count(postrider.emit('many.made', '1', tenant => 'acme')) from generate_series(1, 10);"
			. ($fail == 0 ? ' rollback;' : ' commit;') . "\n" } 1 .. 100;
		$node->psql('postgres', $text, on_error_stop => 0);
		require POSIX;
		POSIX::_exit(0);
	}
	$pid;
} 1 .. 8;
waitpid $_, 0 for @sessions;
is(sql("select count(*) from postrider.message where topic = 'many.made'"), 500, 'of eight sessions together exactly as many get through as may');
like(as('acme', "select postrider.emit('many.made', '1')"), qr/tenant "acme" has emitted as many messages as it may\nDETAIL:  It has emitted 500 in the last 24:00:00\. message_limits lets the next one through at \d{4}-.*\nHINT/,
	'then there is an error');
is(as('admin', "select count(postrider.emit('many.made', '1', tenant => 'beta'))"), 1, 'for nobody else');

# Over a restart, which the worker keeps it for
$node->restart;
like(as('acme', "select postrider.emit('many.made', '1')"), qr/as many messages as it may/, 'a restart does not empty the count');
is(as('admin', "update postrider.tenant set message_limits = '510 per day' where name = 'acme'"), '', 'more are let through');
is(as('acme', "begin; select count(postrider.emit('many.made', '1')) from generate_series(1, 6); prepare transaction 'six'"), 6, 'what is prepared counts');
like(as('acme', "select count(postrider.emit('many.made', '1')) from generate_series(1, 5)"), qr/as many messages/, 'before it is committed');
is(as('acme', "select count(postrider.emit('many.made', '1')) from generate_series(1, 4)"), 4, 'the rest is there');
sql("commit prepared 'six'");
ok(wait_for("select count(*) from postrider.endpoint_state where endpoint_id = -2 and rate_group = 'acme' and saved_at > now() - interval '30 s'", 1, 30), 'the worker keeps the count');
sleep 6;
PostriderTest::kill_server($node);
$node->start;
like(as('acme', "select postrider.emit('many.made', '1')"), qr/as many messages/, 'nor does a crash, some seconds later');

# A dump with more endpoints than the limit, which was lowered later
is(as('acme', "insert into postrider.endpoint (name, url) select 'e' || n, 'https://example.com' from generate_series(1, 3) n"), '', 'three endpoints');
sql("update postrider.tenant set max_endpoints = 1, max_subscriptions = 0 where name = 'acme'");
like(as('acme', "set check_function_bodies = off; insert into postrider.endpoint (name, url) values ('e4', 'https://example.com')"), qr/may not have more endpoints\nDETAIL:  It would have 4; max_endpoints allows 1\./, 'no more, whatever a session sets');
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'it is dumped');
sql('create database restored');
my ($status, undef, $error) = $node->psql('restored', "\\i $dump", on_error_stop => 1);
is($error, '', 'and restored');
is($node->safe_psql('restored', "select count(*) || ' ' || (select max_endpoints from postrider.tenant where name = 'acme') from postrider.endpoint where tenant = 'acme'"), '3 1', 'whole');
like(slurp_file($node->logfile), qr/\A(?!.*(?:PANIC|TRAP|deadlock))/s, 'the log has nothing bad');

$node->stop;
done_testing();
