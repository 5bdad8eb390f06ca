# postrider.metrics(): read by a strict parser of OpenMetrics, by promtool and by Prometheus itself,
# whose figures are those of SQL; rules and dashboard are about what there is.
use strict;
use warnings;
use Encode qw(decode);
use FindBin qw($RealBin);
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderMonitor;
use PostriderTest;
use Test::More;

my $monitoring = "$RealBin/../../monitoring";
my $node = PostriderTest::node('metrics');
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub metrics { return sql("select postrider.metrics(" . ($_[0] // '') . ")"); }
sub as { my ($role, $query) = @_; my ($out, $err); $node->psql('postgres', $query, extra_params => [ '-U', $role ], stdout => \$out, stderr => \$err, on_error_stop => 0); return "$out$err"; }

# Without what changes while nothing happens.
sub steady { return $_[0] =~ s/^(postrider_(?:endpoint_(?:overdue_seconds|oldest_waiting_seconds|rate_used_ratio)|worker_(?:lag|loop|memory)_\w+)\{.*\} ).*/$1/mgr; }

# Names as nobody should choose them.
my @hostile = ('quote " and \\ and \\n', '{a="b",c!=~} # EOF', '# EOF', 'ünïcödé 🚀 ‮rtl', "'; drop schema postrider; --", '\\', '"');
my $places = join ', ', map { "(\$name\$$_\$name\$, '" . $receiver->url('/ok/hostile') . "')" } @hostile;
my $url = $receiver->url('');
sql("delete from postrider.alert;
	insert into postrider.endpoint (name, url) values $places;
	insert into postrider.endpoint (name, url, tenant, rate_limit, rate_period, max_attempts, backoff_base, backoff_max, breaker_min_count, breaker_open) values
		('crm', '$url/ok/crm', 'acme', 36000, '1 hour', default, '1 ms', '1 ms', default, default),
		('picky', '$url/status/422/picky', 'beta', null, '1 s', default, '1 ms', '1 ms', default, default),
		('again', '$url/first/503/1', null, null, '1 s', 3, '1 ms', '1 ms', 1000, default),
		('ill', '$url/status/503/ill', null, null, '1 s', 1000, '1 ms', '1 ms', 5, '5 minutes');
	select postrider.set_secret('soon \"quoted\"', expires_at => '2030-01-02 03:04:05+00', tenant => 'acme');
	select postrider.set_secret('for ever');
	create role watcher login; grant postrider_reader to watcher;
	create role acme login; grant postrider_reader to acme; alter role acme set postrider.tenant = 'acme';
	create role writer login; grant postrider_writer to writer;");
sql("select count(postrider.send(name, to_jsonb(n), tenant => tenant)) from postrider.endpoint, generate_series(1, 20) n where name in ('crm', 'picky', 'again', 'ill') or url like '%hostile'");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt where outcome in ('delivered', 'dead')", 20 * (3 + @hostile)), 'messages are delivered') or diag(sql("select endpoint, state, waiting, queued, in_flight, rate_used_ratio, (select string_agg(concat_ws(' ', outcome, n), ', ') from (select outcome, count(*) n from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = m.endpoint group by 1) x) from postrider.metric_endpoint m"));
ok(PostriderTest::wait_for($node, "select breaker from postrider.endpoint_health where endpoint = 'ill'", 'open'), 'and one breaker is open');
ok(PostriderTest::wait_for($node, "select sum(in_flight) from postrider.endpoint_health", 0), 'nothing is in flight');

# Counters: written when a worker ends, and never smaller than before.
$node->restart;
my $outcomes = "select string_agg(concat_ws(' ', e.name, a.outcome, a.n), E'\\n' order by e.name, a.outcome) from postrider.endpoint e join
	(select endpoint_id, outcome, count(*) as n from postrider.attempt group by 1, 2) a on a.endpoint_id = e.id";
my $totals = "select string_agg(concat_ws(' ', m.endpoint, o.outcome, o.n), E'\\n' order by m.endpoint, o.outcome) from postrider.metric_delivery m
	cross join lateral (values ('delivered', m.delivered), ('dead', m.dead), ('retry', m.retried), ('expired', m.expired)) o (outcome, n) where o.n > 0";
is(sql($totals), sql($outcomes), 'running totals are what the attempts say');
is(sql("select recovered from postrider.metric_delivery where endpoint = 'again'"), 20, 'with deliveries that failed before');
ok(PostriderTest::wait_for($node, 'select messages - (select count(*) from postrider.message) from postrider.message_total', 0, 120), 'and all messages, when what was read with them is sent or set aside');
my $before = sql($totals);
sql("select postrider.expire_stats('0'), postrider.expire_stats('0')");
is(sql('select count(*) from postrider.delivery_stats'), 0, 'when the statistics are deleted');
PostriderTest::kill_server($node);
$node->start;
is(sql($totals), $before, 'they stay, also after a crash');
sql("select postrider.send('crm', '1', tenant => 'acme')");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.metric_endpoint where last_success_timestamp_seconds is not null and endpoint = 'crm'", 1), 'it goes on');
ok(PostriderTest::wait_for($node, "select breaker || in_flight from postrider.endpoint_health where endpoint = 'ill'", 'open0'), 'and the breaker is open still');

# The formats.
my ($families, $error) = PostriderMonitor::parse(metrics());
is($error, undef, 'a strict parser reads it');
my %family = map { $_->{name} => $_ } @$families;
my $known = sql("select string_agg(concat_ws('|', name, type, unit, help), E'\\n' order by place) from postrider.metric_families()");
is(join("\n", map { join '|', @$_{qw(name type unit help)} } @$families), $known, 'families are those of metric_families()');
is(scalar(grep { !%{ $_->{samples} } && $_->{name} !~ /credential/ } @$families), 0, 'each has samples');
for my $name (@hostile)
{
	my $label = PostriderMonitor::sample_name(__name__ => 'postrider_endpoint_dead_letters', endpoint => decode('utf8', $name));
	is($family{postrider_endpoint_dead_letters}{samples}{$label}, 0, "an endpoint by the name $name");
}
is(sql("select postrider.metric_labels('{a,b}', E'line\\nbreak\\\\', '\"')"), 'a="line\nbreak\\\\",b="\""', 'a line break is written as one');
my %names = map { $_->{name} => { map { $_ => 1 } @{ decode_json(sql("select to_json(labels) from postrider.metric_families() where name = '$_->{name}'")) } } } @$families;
for my $name (sort keys %names)
{
	my %seen;
	for (keys %{ $family{$name}{samples} }) { /(\{.*\})\z/s; @seen{ keys %{ decode_json($1) } } = (); }
	is(join(' ', grep { !$names{$name}{$_} && $_ ne $name && $_ ne 'le' } sort keys %seen), '', "$name has the labels that it should have");
}
my ($status, $output) = PostriderMonitor::run_command(metrics("'prometheus'") . "\n", 'promtool', 'check', 'metrics');
is("$status $output", '0 ', 'promtool check metrics has nothing to say');
like(as('watcher', "select postrider.metrics('json')"), qr/format of metrics "json" is not known.*HINT/s, 'another format is refused');
like(as('watcher', 'select postrider.metrics(null)'), qr/ERROR.*is not known/, 'so is none');

# Who sees what.
like(as('writer', 'select postrider.metrics()'), qr/permission denied for function metrics/, 'it is not for writers');
is(steady(as('watcher', 'select postrider.metrics()')), steady(metrics()), 'readers see all');
my $acme = as('acme', 'select postrider.metrics()');
is(join(',', sort { $a cmp $b } $acme =~ /^postrider_endpoint_waiting\{endpoint="(.*)",tenant/mg), 'crm', 'a tenant sees its endpoints');
like($acme, qr/^postrider_secret_expiry_timestamp_seconds\{secret="soon \\"quoted\\"",tenant="acme"\} 1893553445$/m, 'and its secrets');
unlike($acme, qr/^postrider_(worker|partition|default)\w*[ {]/m, 'and nothing of all');
unlike($acme, qr/beta/, 'nor of others');

# Prometheus scrapes it, through the script for systemd and inetd.
$ENV{$_->[0]} = $_->[1] for [ PGHOST => $node->host ], [ PGPORT => $node->port ], [ PGUSER => 'watcher' ], [ PGDATABASE => 'postgres' ];
my $port = PostriderMonitor::serve("$monitoring/metrics_http");
my $answer = HTTP::Tiny->new->get("http://127.0.0.1:$port/metrics");
is($answer->{headers}{'content-type'}, 'application/openmetrics-text; version=1.0.0; charset=utf-8', 'metrics_http says what it sends');
is(steady($answer->{content}), steady(metrics()), 'and sends it');
my $prometheus = PostriderMonitor->start($port);
sub now_and_there
{
	my ($families) = PostriderMonitor::parse(metrics());
	my %here = map { %{ $_->{samples} } } @$families;
	my $there = $prometheus->samples;
	delete @$_{ grep { /overdue|oldest|rate_used|worker_(?:lag|loop|memory)/ } keys %$_ } for \%here, $there;
	return (\%here, $there);
}
my ($here, $there);
eval { PostriderTest::wait_until { ($here, $there) = now_and_there(); JSON::PP->new->canonical->encode($here) eq JSON::PP->new->canonical->encode($there) } 'figures agree' };
cmp_ok(scalar(keys %$here), '>', 200, 'there is much to compare');
is_deeply($there, $here, 'Prometheus has the figures of metrics()');
is(($prometheus->query('up'))[0]{value}[1], 1, 'and found nothing wrong');

sub figure { my @found = $prometheus->query($_[0]); return @found == 1 ? $found[0]{value}[1] : scalar(@found) . ' results'; }
is(figure('sum(postrider_endpoint_dead_letters)'), sql('select count(*) from postrider.dead_letter'), 'dead letters as SQL counts them');
is(figure('postrider_endpoint_dead_letters{endpoint="picky", tenant="beta"}'), 20, 'which are those of one endpoint');
is(figure('postrider_endpoint_state{endpoint="ill", postrider_endpoint_state="open"}'), 1, 'the state is the open one');
is(figure('sum(postrider_endpoint_state{endpoint="ill"})'), 1, 'and no other');
is(figure('postrider_endpoint_waiting{endpoint="ill"} + postrider_endpoint_queued{endpoint="ill"}'), sql("select waiting + queued from postrider.endpoint_health where endpoint = 'ill'"), 'what waits');
cmp_ok(figure('postrider_endpoint_rate_used_ratio{endpoint="crm"}'), '>', 0, 'the rate limit is used');
is(figure('count(postrider_endpoint_rate_used_ratio)'), 1, 'where there is one');
is(figure('postrider_secret_expiry_timestamp_seconds{tenant="acme"}'), 1893553445, 'the secret that expires');
is(figure('postrider_worker_up{shard="0"}'), 1, 'the worker is up');
is(figure('postrider_worker_starts_total{shard="0"}'), 1, 'and was started once');
cmp_ok(figure('postrider_worker_memory_bytes{shard="0"}'), '>', 100_000, 'it has some memory');
cmp_ok(figure('postrider_worker_loop_max_seconds'), '>=', figure('postrider_worker_loop_seconds'), 'and its loop takes some time');
is(figure('postrider_worker_lag_messages') . figure('postrider_worker_lag_seconds'), '00', 'it is not behind');
cmp_ok(figure('postrider_endpoint_oldest_waiting_seconds{endpoint="ill"}'), '>', 0, 'what waits has an age');
is(figure('postrider_partitions_ahead'), 3, 'partitions are there for three days');
is(figure('postrider_build_info'), 1, 'versions are there');
like(figure('sum(postrider_deliveries_total)'), qr/^20[01]\z/, 'all deliveries, the last one within a minute');
is(figure('postrider_deliveries_total{endpoint="picky", outcome="dead"}'), 20, 'of one endpoint');
is(figure('postrider_attempt_duration_seconds_count{endpoint="again"}'), 40, 'attempts in the histogram');
is(figure('sum by (endpoint) (postrider_message_latency_seconds_bucket{endpoint="again", le="+Inf"})'), 20, 'deliveries in the other');
cmp_ok(figure('histogram_quantile(0.5, sum by (le) (postrider_message_latency_seconds_bucket))'), '<', 60, 'from which Prometheus makes a median');
is(figure('postrider_problem_objects{kind="breaker"}'), sql("select count(*) from postrider.problem where kind = 'breaker'"), 'problems by kind');

# A worker that hangs is seen, and so is one that ended.
my $pid = sql('select pid from postrider.worker');
kill 'STOP', $pid;
as('postgres', "select postrider.emit('t.x', '1') from generate_series(1, 7)");
ok((PostriderTest::wait_until { figure('postrider_worker_lag_messages') eq '7' && figure('postrider_worker_lag_seconds') > 0 } 'it is behind'), 'Prometheus sees that a worker is behind');
kill 'CONT', $pid;
ok((PostriderTest::wait_until { figure('postrider_worker_lag_messages') eq '0' } 'it has caught up'), 'until it has caught up');
as('postgres', "select pg_terminate_backend($pid)");
ok((PostriderTest::wait_until { figure('postrider_worker_starts_total') eq '2' } 'it is started'), 'that one was started anew is counted');

done_testing();
$node->stop;
