# prometheus-postgres-exporter with our queries gives the figures of postrider.metrics(); alert rules
# and dashboard are about metrics that there are.
use strict;
use warnings;
use FindBin qw($RealBin);
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderMonitor;
use PostriderTest;
use Test::More;

my $monitoring = "$RealBin/../../monitoring";
my $node = PostriderTest::node('exporter');
my $receiver = PostriderTest::Receiver->start;
my $url = $receiver->url('');
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub read_file { my ($name) = @_; open(my $in, '<', $name) or die "$name: $!"; local $/; return <$in>; }

sql("insert into postrider.endpoint (name, url, tenant, rate_limit, rate_period, max_attempts, backoff_base, backoff_max) values
		('quote \" and \\ and {}', '$url/ok/a', null, null, '1 s', 12, '1 ms', '1 ms'), ('crm', '$url/ok/crm', 'acme', 36000, '1 hour', 12, '1 ms', '1 ms'),
		('again', '$url/first/503/1', null, null, '1 s', 3, '1 ms', '1 ms'), ('picky', '$url/status/422', null, null, '1 s', 3, '1 ms', '1 ms');
	select postrider.set_secret('soon', expires_at => '2030-01-02 03:04:05+00');
	create role watcher login; grant postrider_reader to watcher;");
sql('select count(postrider.send(name, to_jsonb(n), tenant => tenant)) from postrider.endpoint, generate_series(1, 10) n');
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt where outcome in ('delivered', 'dead')", 40), 'messages are delivered');
$node->restart;
sql("select postrider.send('crm', '1', tenant => 'acme')");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.metric_endpoint where last_success_timestamp_seconds is not null and in_flight = 0", 1), 'and one more');

my $port = PostgreSQL::Test::Cluster::get_free_port();
$ENV{DATA_SOURCE_NAME} = sprintf 'host=%s port=%s user=watcher dbname=postgres sslmode=disable', $node->host, $node->port;
# Nothing but what we ask for; versions have other metrics of their own.
my (undef, $usage) = PostriderMonitor::run_command('', 'sh', '-c', 'prometheus-postgres-exporter --help 2>&1');
my @others = map { "--no-collector.$_" } $usage =~ /--(?:\[no-\])?collector\.(\w+)(?![.\w])/g;
PostriderMonitor::spawn("$node->{_basedir}/exporter.log", 'prometheus-postgres-exporter', "--web.listen-address=127.0.0.1:$port", '--disable-default-metrics',
	'--disable-settings-metrics', @others, "--extend.query-path=$monitoring/postgres_exporter_queries.yaml");
my $prometheus = PostriderMonitor->start($port);

# Figures, but for those that change while nothing happens.
sub figures
{
	my ($families) = PostriderMonitor::parse(sql('select postrider.metrics()'));
	my %here = map { %{ $_->{samples} } } @$families;
	my $there = $prometheus->samples;
	delete @$_{ grep { /overdue|oldest|rate_used|worker_(?:lag|loop|memory)/ } keys %$_ } for \%here, $there;
	return (\%here, $there);
}
my ($here, $there) = ({}, {});
my $json = JSON::PP->new->canonical;
eval { PostriderTest::wait_until { ($here, $there) = figures(); $json->encode($here) eq $json->encode($there) } 'figures agree' };
cmp_ok(scalar(keys %$here), '>', 150, 'there is much to compare');
is_deeply($there, $here, 'the exporter has the figures of metrics()');
is(($prometheus->query('pg_exporter_last_scrape_error'))[0]{value}[1], 0, 'and no query fails');
is(($prometheus->query('sum(postrider_deliveries_total)'))[0]{value}[1], $here->{q(postrider_deliveries_total{"endpoint":"crm","outcome":"delivered","tenant":"acme"})} + 30, 'as many deliveries as there were');

is(($prometheus->query("postrider_worker_$_"))[0]{value}[1] >= 0, 1, "worker_$_") for qw(lag_messages lag_seconds loop_seconds loop_max_seconds);
cmp_ok(($prometheus->query('postrider_worker_memory_bytes'))[0]{value}[1], '>', 100_000, 'memory of the worker');

# Types and help are those of metrics().
my %help = map { split /\|/, $_, 2 } split /\n/, sql("select name || case type when 'counter' then '_total' when 'info' then '_info' else '' end
	|| '|' || case when type in ('info', 'stateset') then 'gauge' else type end || ' ' || help from postrider.metric_families() where name not like '%credential%'");
my $scraped = HTTP::Tiny->new->get("http://127.0.0.1:$port/metrics")->{content};
my %exported = map { /^# HELP (postrider_\S+) (.*)$/ ? ($1 => $2) : () } split /\n/, $scraped;
for my $name (keys %exported) { $scraped =~ /^# TYPE $name (\w+)$/m and $exported{$name} = "$1 $exported{$name}"; }
is_deeply(\%exported, \%help, 'types and help too');

# Rules and dashboard.
my ($status, $output) = PostriderMonitor::run_command('', 'promtool', 'check', 'rules', "$monitoring/prometheus_rules.yaml");
is($status, 0, 'rules are valid') or diag($output);
($status, $output) = PostriderMonitor::run_command('', 'promtool', 'test', 'rules', "$monitoring/test/prometheus_rules_test.yaml");
is($status, 0, 'and alert when they should') or diag($output);
for my $statement (map { /(select \* from postrider\.problem where [^;"]*)/ } read_file("$monitoring/prometheus_rules.yaml") =~ /^\s*description: "(.*)"$/mg)
{
	next if $statement !~ /labels\.(?:endpoint|kind)/;
	cmp_ok(sql("select count(*) from ($statement) x" =~ s/\{\{ \$labels\.endpoint \}\}/picky/gr =~ s/\{\{ \$labels\.kind \}\}/dead_letters/gr), '>', 0, "$statement finds it");
}
my %sample = map { /^(\w+)\|(\w+)$/ } split /\n/, sql("select name || v.suffix || '|' || type from postrider.metric_families(), unnest(case type when 'counter' then '{_total}'::text[]
	when 'info' then '{_info}' when 'histogram' then '{_bucket,_sum,_count}' else array[''] end) v (suffix)");
my $rules = read_file("$monitoring/prometheus_rules.yaml");
my @alerts = $rules =~ /alert: (\w+)/g;
cmp_ok(scalar(@alerts), '>', 10, 'there are alerts');
my $tested = read_file("$monitoring/test/prometheus_rules_test.yaml");
is(join(' ', grep { $tested !~ /\b$_\b/ } @alerts), '', 'each has a test');
$rules =~ s/^\s*#.*$//mg;
my %labels = map { $_ => 1 } qw(postrider_endpoint_state postrider_endpoint_breaker_state);
my $dashboard = decode_json(read_file("$monitoring/grafana_dashboard.json"));
my @expressions = map { map { $_->{expr} } @{ $_->{targets} } } @{ $dashboard->{panels} };
my ($exprs) = join "\n", (map { s/^\s*(summary|description):.*$//mgr } $rules), @expressions;
is(join(' ', sort grep { !$sample{$_} && !$labels{$_} } $exprs =~ /\b(postrider_\w+)/g), '', 'rules and dashboard use only what there is');
is(scalar(grep { $rules =~ /\b$_\b/ || "@expressions" =~ /\b$_\b/ } keys %sample) > 15, 1, 'and much of it');
for my $expr (@expressions)
{
	(my $plain = $expr) =~ s/\$__rate_interval/1m/g;
	$plain =~ s/\$endpoint/.*/g;
	my @found = eval { $prometheus->query($plain) };
	is($@, '', "Prometheus understands $plain");
}
my %ids = map { $_->{id} => 1 } @{ $dashboard->{panels} };
is(scalar(keys %ids), scalar(@{ $dashboard->{panels} }), 'panels have ids of their own');

# The documentation has them all.
my $doc = read_file("$RealBin/../../doc/monitoring.md");
my $table = sql("select string_agg(concat_ws(' | ', '| ' || '`' || name || case type when 'counter' then '_total' when 'info' then '_info' else '' end || '`', type, array_to_string(labels, ', '), help || ' |'), E'\\n' order by place) from postrider.metric_families()");
is(join("\n", $doc =~ /^(\| `postrider_.*)$/mg), $table, 'doc/monitoring.md has the table of metrics');

done_testing();
$node->stop;
