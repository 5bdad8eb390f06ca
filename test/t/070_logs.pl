# Lines in the server's log: one for each event, in text or JSON, whatever is in a name.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('logs', conf => "postrider.alert_interval = '200ms'\nlog_statement = none\nlog_min_duration_statement = -1\n");
my $receiver = PostriderTest::Receiver->start;
my $url = $receiver->url('');

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub wait_for { return PostriderTest::wait_for($node, @_); }
sub setting
{
	my ($name, $value) = @_;
	sql("alter system set $name = $value");
	$node->reload;
	return wait_for("select current_setting('$name')", $value =~ s/"//gr, 20);
}

# The lines of an event since the last reset.
my $offset = 0;
sub reset_log { $offset = -s $node->logfile; return; }
sub lines { my ($event) = @_; return grep { /(?:event=|"event":")$event\b/ } split /\n/, slurp_file($node->logfile, $offset); }
sub await { my ($event, $count) = @_; $count //= 1; return eval { PostriderTest::wait_until { scalar(() = lines($event)) >= $count } "$event is logged", 30 }; }

# A line of key=value, taken apart; undef if it is not one.
sub parse
{
	my ($line) = @_;
	my %values;
	$line =~ s/^.*?(?:LOG|WARNING):  (?=event=)// or return undef;
	while ($line =~ /\G(?:^| )([a-z_]+)=(?:([A-Za-z0-9._:\/+@-]+)|("(?:[^"\\]|\\.)*"))/gc)
	{
		return undef if exists $values{$1};
		$values{$1} = defined $2 ? $2 : JSON::PP->new->allow_nonref->decode($3);
	}
	return (pos($line) // 0) == length $line ? \%values : undef;
}

ok(await('worker_started'), 'a worker starts');
is_deeply([ @{ parse((lines('worker_started'))[0]) }{qw(event level database shard)} ], [ qw(worker_started info postgres 0) ], 'its line, taken apart');

# Names that would like to be something else.
my $evil = q(x" level=error event=forged \\ {"event":"forged"});
sql("insert into postrider.endpoint (name, url, breaker_min_count, breaker_open, breaker_open_max, backoff_base, backoff_max) values
	(\$q\$$evil\$q\$, '$url/first/503/1/evil', 1, '100 ms', '200 ms', '10 ms', '20 ms'), ('good', '$url/ok/good', 20, '5 s', '5 min', '5 s', '1 h')");
ok(await('config_loaded'), 'the configuration is loaded');
sql("select postrider.send(\$q\$$evil\$q\$, '{\"card\": \"planted-4111\"}')");
ok(await('breaker_opened') && await('breaker_closed'), 'a circuit breaker opens and closes');
my $opened = parse((lines('breaker_opened'))[0]);
is($opened->{endpoint}, $evil, 'the name is the value of one member');
like($opened->{failing_since}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, 'times are in UTC');
is($opened->{level}, 'warning', 'the level is that of the event');
my $lines = qq(a"\nLOG:  event=forged level=error\n\t\x1b[31m\\);
sql("insert into postrider.alert (name, source) values (\$q\$$lines\$q\$, 'postrider.endpoint')");
ok(await('alert_firing'), 'a name with line breaks');
is((parse((lines('alert_firing'))[0]))->{alert}, $lines, 'is a value on one line');
unlike(slurp_file($node->logfile), qr/^(?:LOG:|event=)|\x1b/m, 'which it does not leave');
is(scalar(() = lines('delivery')), 0, 'no line for a delivery');
sql("update postrider.endpoint set enabled = false where name = 'good'");
ok(await('endpoint_disabled'), 'an endpoint is disabled');
sql("update postrider.endpoint set enabled = true where name = 'good'");
ok(await('endpoint_enabled'), 'and enabled');
sql("select postrider.set_secret('s', 'planted-secret'); select postrider.rotate_key()");
is((parse((lines('key_rotated'))[0]) // {})->{database}, 'postgres', 'a session says that it changed the key');

# Deliveries, if asked for.
ok(setting('postrider.log_deliveries', 'failures'), 'failures are asked for');
reset_log();
sql("insert into postrider.endpoint (name, url) values ('refuses', '$url/echo/422'); select postrider.send('refuses', '{\"card\": \"planted-4111\"}'); select postrider.send('good', '{}')");
ok(await('delivery'), 'a failure is logged');
my $failure = parse((lines('delivery'))[0]);
is_deeply({ map { $_ => $failure->{$_} } qw(endpoint attempt outcome status_code error_code) }, { endpoint => 'refuses', attempt => 1, outcome => 'dead', status_code => 422, error_code => 'http_422' }, 'with what is known of it');
is($failure->{message_id}, sql("select message_id from postrider.dead_letter"), 'and the message');
ok($receiver->wait_for_count(1, '/ok/good'), 'what arrives');
ok(wait_for("select count(*) from postrider.delivery where endpoint = 'good' and status = 'delivered'", 1), 'and is settled');
is(scalar(() = lines('delivery')), 1, 'is not');
sql(q(create function public.fails(m postrider.message) returns void language plpgsql as $$ begin raise exception 'planted-4111 %', m.payload; end $$;
	select postrider.on_message('f.x', 'public.fails(postrider.message)', 'fails', max_attempts => 1); select postrider.emit('f.x', '{"a": "planted-4111"}')));
ok(await('delivery', 2), 'an error that may quote the payload');
is((parse((lines('delivery'))[1]))->{error}, undef, 'is not quoted');
ok(setting('postrider.log_deliveries', '"all"'), 'all are asked for');
reset_log();
sql("select count(postrider.send('good', '{}')) from generate_series(1, 50)");
ok(await('delivery', 50), 'each has its line');
is(scalar(() = lines('delivery')), 50, 'one');

# JSON.
ok(setting('postrider.log_format', 'json'), 'the other form');
reset_log();
sql("select postrider.send(\$q\$$evil\$q\$, '{}')");
ok(await('delivery', 1), 'a line');
my ($line) = lines('delivery');
my ($document) = $line =~ /LOG:  (\{.*\})$/;
my $read = eval { decode_json($document) };
is(($read // {})->{endpoint}, $evil, 'that is JSON');
like($document, qr/^\{"event":"delivery","level":"info","database":"postgres","shard":0,"message_id":"/, 'with the same members in the same order');

# The end of a worker.
setting('postrider.log_format', '"text"');
reset_log();
sql("alter table postrider.attempt rename to attempt_gone; select postrider.send('good', '{}')");
ok(await('worker_failed'), 'a worker that ends in an error says so');
is((parse((lines('worker_failed'))[0]))->{sqlstate}, '42P01', 'and why');
sql("alter table postrider.attempt_gone rename to attempt");
ok(await('worker_started'), 'the next one starts');
reset_log();
ok(wait_for("select state from postrider.worker", 'running'), 'and runs');
my ($old, $tomorrow) = split /\|/, sql("select to_char(now() at time zone 'UTC' - interval '30 days', 'YYYYMMDD'), to_char(now() at time zone 'UTC' + interval '1 day', 'YYYYMMDD')");
sql("alter extension postrider drop table postrider.message_$tomorrow; drop table postrider.message_$tomorrow;
	select postrider.make_partition((now() at time zone 'UTC')::date - 30, false)");
$node->reload;
ok(await('partition_made') && await('partition_dropped'), 'partitions are made and dropped');
like((parse((lines('partition_dropped'))[0]))->{message}, qr/^dropped partitions of $old$/, 'and it says which');
reset_log();
$node->stop('fast');
ok(scalar(lines('worker_stopped')), 'a worker that is stopped');
unlike(slurp_file($node->logfile), qr/planted-/, 'no payload and no secret in any line');

# What was logged is documented; tools/check-log-events compares doc/logs.md with the source.
my $doc = slurp_file('../doc/logs.md');
my %documented = map { $_ => 1 } $doc =~ /^\| `(\w+)` \|/mg;
ok(scalar(keys %documented) > 20, 'the events are documented');
for my $event (do { my %all; my $log = slurp_file($node->logfile); $all{$1}++ while $log =~ /(?:event=|"event":")([a-z_]+)/g; grep { $_ ne 'forged' } sort keys %all })
{
	ok($documented{$event}, "$event is in doc/logs.md");
}

done_testing();
