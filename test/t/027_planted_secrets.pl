# Secrets of every kind are planted, used in every way that there is, well and badly;
# then everything that people can see is searched for them.
use strict;
use warnings;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderPlanted;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('planted', conf => PostriderPlanted::loud);
my $receiver = PostriderTest::Receiver->start;
my $watcher = $node->background_psql('postgres', on_error_stop => 0);

# name => value.  Distinctive, so that a find is no chance.
my %planted = (
	api_header => 'PlantedApiHeader7Qz', api_query => 'Planted Api/Query+8Ä', api_path => 'PlantedApiPath9Wv', user => 'PlantedUser3Ht',
	basic => 'PlantedBasic:4 Kd"\\', bearer => 'PlantedBearer5.Mn-Rs_', hmac => 'PlantedHmac6Tp', plain_hash => 'PlantedHash2Bx',
	aws => 'PlantedAws1/Lf+Gh', aws_token => 'PlantedAwsToken0Cy==', proxy => 'planteduser:PlantedProxy4Jk',
	sign => 'whsec_' . encode_base64('PlantedSigningKey2Nb1Vc', ''), sign_old => 'whsec_' . encode_base64('PlantedOldSignKey3Zx9Qw', ''),
	ed25519 => 'whsk_' . encode_base64('PlantedEd25519PrivateKey5Tg6Yh7U', ''),
	unused => 'PlantedUnused8Ij', begun => 'PlantedRolledBack3Ol');
my $made = $node->basedir . '/pem';
mkdir $made;
my $openssl = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $made/key -out $made/certificate -days 2 -subj /CN=client";
system("$openssl 2>/dev/null") == 0 or die 'openssl';
$planted{pem} = slurp_file("$made/key");

# Those of a statement that never became a secret: something was wrong with it.
my %wrong = map { $_ => 'PlantedWrong' . join('', map { chr(65 + rand 26) } 1 .. 8) }
  qw(interval syntax aborted overload whsec duplicate division null cast raise deadlock);

my $search = PostriderPlanted->new(%planted, map { ("wrong $_" => $wrong{$_}) } keys %wrong);
sub finds { return $search->finds(@_); }
sub clean { return $search->clean(@_); }
ok(finds("x $_ y"), 'the search finds a value') for $planted{basic}, encode_base64("u:$planted{bearer}", ''), join(' ', unpack 'C*', $planted{aws});

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
sub quoted { return "'" . ($_[0] =~ s/'/''/gr) . "'"; }
sub activity { return $watcher->query('select string_agg(query, chr(10)) from pg_stat_activity'); }

# Planting, in a session that goes on, so that its last statement can be seen.
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $seen = '';
sub plant
{
	my ($statement) = @_;
	my $answer = $session->query($statement);
	$seen .= activity() . "\n";
	return $answer;
}
my %ways = (
	api_header => 'SELECT Postrider . SET_SECRET(%s, %s)',
	api_query => 'do $do$ begin perform postrider.set_secret(%s, %s); end $do$',
	api_path => 'prepare p as select postrider.set_secret($1, $2); execute p(%s, %s); deallocate p',
	user => 'with v as (select %2$s as value) select postrider.set_secret(%1$s, v.value) from v',
	basic => 'explain (analyze, costs off, timing off, summary off) select postrider.set_secret(%s, %s)',
	bearer => 'copy (select postrider.set_secret(%s, %s)) to stdout',
	hmac => 'create temp table t as select postrider.set_secret(%s, %s)',
	plain_hash => 'select pg_sleep(0.5), postrider.set_secret(name => %s, value => %s)',
	aws => 'select %2$s as value, postrider.set_secret(%1$s, %2$s) from (select 1 where %2$s is not null) x',
	begun => 'begin; select postrider.set_secret(%s, %s); rollback');
my $slow;
for my $name (sort keys %planted)
{
	my $statement = sprintf($ways{$name} // 'select postrider.set_secret(%s, %s)', "'$name'", quoted($planted{$name}));
	plant("$statement;");
}
ok(sql("select count(*) from postrider.secret") >= keys(%planted) - 1, 'all are planted') or diag(sql('select string_agg(name, chr(44)) from postrider.secret'));
sql("select postrider.set_secret('signed', " . quoted($planted{sign_old}) . ")");
plant("select postrider.set_secret('signed', " . quoted($planted{sign}) . ");");

# With parameters of the protocol, well and badly.
my $script = $node->basedir . '/script';
for my $mode (qw(extended prepared simple))
{
	for my $text ("select postrider.set_secret('unused', :v);", "select postrider.set_secret('unused', :v), 1 / (length(:v) - length(:v));", "select postrider.set_secret('unused', :v, overlap => :v::interval);")
	{
		open(my $out, '>', $script) or die $!;
		print $out "$text\n";
		close $out;
		my $value = $mode eq 'simple' ? "'$planted{unused}'" : $planted{unused};
		run_log([ 'pgbench', '-n', '-t', '1', '-M', $mode, '-D', "v=$value", '-f', $script, '-d' x 0, $node->connstr('postgres') ]);
	}
}

# What goes wrong: the value, the statement, the transaction.
plant($_) for "select postrider.set_secret('w', 'x', '$wrong{interval}');",
  "select postrider.set_secret('w' '$wrong{syntax}');",
  "begin; select 1/0;", "select postrider.set_secret('w', '$wrong{aborted}');", 'rollback;',
  "select postrider.set_secret('w', 1, 2, 3, '$wrong{overload}');",
  "select postrider.set_secret('w', 'whsec_$wrong{whsec}');",
  "select postrider.set_secret(null, '$wrong{null}');",
  "select postrider.set_secret('w', '$wrong{division}'), 1/(random() * 0);",
  "select postrider.set_secret('w', 'x', expires_at => '$wrong{cast}');",
  "do \$do\$ begin perform postrider.set_secret('w', '$wrong{raise}'); raise exception 'cannot use %', '$wrong{raise}'; end \$do\$;";
my @reader = $node->psql('postgres', "create role clerk; set role clerk; select postrider.set_secret('w', '$wrong{duplicate}')");
like($reader[2], qr/permission denied/, 'not everybody may set secrets');

# One that waits for a lock is logged by others too, and can be looked at meanwhile.
my $blocker = $node->background_psql('postgres', on_error_stop => 0);
$blocker->query("begin; lock table postrider.secret_version in share row exclusive mode;");
$session->query_until(qr/go/, "\\echo go\nselect postrider.set_secret('w', '$wrong{deadlock}');\n");
ok(PostriderTest::wait_for($node, "select count(*) from pg_locks where not granted", 1), 'one waits');
$seen .= activity();
sleep 0.5;
$blocker->query('rollback;');
$session->query('select 1;');
$_->quit for $session, $blocker, $watcher;	# their timers end before the test does
clean($seen, 'pg_stat_activity');
like($seen, qr/<hidden: postrider.set_secret\(\)>/, 'where something else stands instead');

# Endpoints of every kind, that succeed and fail and are told their own requests.
my %auth = (
	api_header => '{"type": "api_key", "in": "header", "name": "X-Odd", "secret": "api_header"}',
	api_query => '{"type": "api_key", "in": "query", "name": "odd", "secret": "api_query"}',
	api_path => '{"type": "api_key", "in": "path", "name": "token", "secret": "api_path"}',
	basic => '{"type": "basic", "username_secret": "user", "password": "basic"}',
	bearer => '{"type": "bearer", "secret": "bearer"}',
	odd_bearer => '{"type": "bearer", "header": "X-Odd", "prefix": "Key", "secret": "bearer"}',
	hmac => '{"type": "hmac", "secret": "hmac", "template": "{{method}}{{path}}{{body}}", "name": "X-Sum"}',
	plain_hash => '{"type": "hmac", "secret": "plain_hash", "keyed": false, "template": "{{secret}}{{body}}", "name": "X-Sum"}',
	aws => '{"type": "aws_sigv4", "region": "eu-west-1", "service": "execute-api", "access_key_id_secret": "user", "secret_access_key": "aws", "session_token": "aws_token"}',
	signed => undef);
my %places = (ok => '/ok', 401 => '/echo/401', 500 => '/echo/500', reply => '/echo/200', nobody => undef);
for my $name (sort keys %auth)
{
	for my $place (sort keys %places)
	{
		my $url = defined $places{$place} ? $receiver->url("$places{$place}/$name") : 'http://127.0.0.1:1/x';
		$url .= '/:token' if $name eq 'api_path';
		my $error = said("insert into postrider.endpoint (name, url, auth, signing_secret, reply_topic, max_attempts, retry_schedule, response_excerpt_bytes) values ('$name-$place', '$url', "
			  . (defined $auth{$name} ? quoted($auth{$name}) : 'null') . ', ' . ($name eq 'signed' ? "'signed'" : 'null') . ", 'reply.$place', 3, '{200 ms}', " . (64, 300, 1024)[length($name) % 3] . ')');
		is($error, '', "endpoint $name-$place");
	}
}
sql("insert into postrider.endpoint (name, url, proxy, proxy_secret, max_attempts, retry_schedule) values ('proxied', 'https://example.com/', 'http://127.0.0.1:" . ($receiver->url('') =~ /:(\d+)$/)[0] . "', 'proxy', 2, '{200 ms}')");
sql("insert into postrider.endpoint (name, url, auth, max_attempts, retry_schedule) values ('mutual', 'https://127.0.0.1:1/', '[{\"type\": \"bearer\", \"secret\": \"bearer\"}]', 2, '{200 ms}')");
sql("select postrider.set_secret('client-cert', " . quoted(slurp_file("$made/certificate")) . ")");
is(said("update postrider.endpoint set auth = '{\"type\": \"mutual_tls\", \"certificate\": \"client-cert\", \"key\": \"pem\"}' where name = 'mutual'"), '', 'a client certificate');
sql("select postrider.send(name, jsonb_build_object('n', 1)) from postrider.endpoint");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where status not in ('delivered', 'dead')", 0, 90), 'all has been tried');
cmp_ok(sql("select count(*) from postrider.dead_letter"), '>=', 25, 'much of it in vain');
ok(finds(join '', $receiver->lines), 'receivers did get secrets');
cmp_ok(sql("select count(*) from postrider.attempt where response like '%***%'"), '>=', 10, 'and told us, which is masked');
cmp_ok(sql("select count(*) from postrider.message where topic like 'reply.%' and payload::text like '%***%'"), '>=', 5, 'in replies too');

# All that shows something.
my $shown = '';
for my $name (sort keys %auth)
{
	$shown .= sql("select t::text from postrider.send_test('$name-$_') t") . "\n" for sort keys %places;
}
$shown .= sql("select t::text from postrider.send_test('$_') t") . "\n" for 'proxied', 'mutual';
sql("insert into postrider.subscription (topic, endpoint) select 'all.**', name from postrider.endpoint");
$shown .= sql("select t::text from postrider.preview('all.x', '{}') t") . "\n";
$shown .= sql("select t::text from postrider.explain((select id from postrider.message limit 1)) t") . "\n";
$shown .= sql('select postrider.export_config()') . "\n" if sql("select to_regprocedure('postrider.export_config()') is not null") eq 't' || sql("select count(*) from pg_proc where proname = 'export_config'");
cmp_ok(length $shown, '>', 10000, 'there is something to be searched');
clean($shown, 'send_test, preview, explain, export_config');

my $rows = sql(q{select string_agg(format('select %L || t::text from %s t', c.relname || ' ', c.oid::regclass), ' union all ' order by c.relname)
	from pg_class c where c.relnamespace = 'postrider'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition});
my $tables = sql($rows);
like($tables, qr/attempt .*\nconfig|dead_letter/s, 'tables and views');
clean($tables, 'all tables and views of the schema');
clean(sql('select s::text from pg_settings s'), 'pg_settings');
sql('create extension pg_stat_statements');
my $statements = sql('select s.query from pg_stat_statements s');
clean($statements, 'pg_stat_statements');
clean(sql("select string_agg(a::text, ' ') from pg_stat_activity a"), 'pg_stat_activity');
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dumpall', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dumpall');
my $dumped = slurp_file($dump);
like($dumped, qr/COPY postrider\.secret_version /, 'has the secrets');
clean($dumped, 'the dump');
$node->command_ok([ 'pg_dump', '-Fp', '--inserts', '-f', $dump, $node->connstr('postgres') ], 'pg_dump --inserts');
clean(slurp_file($dump), 'a dump of statements');

# The key itself.
my ($key) = slurp_file($node->data_dir . '/postrider.key') =~ /(\S+)/;
unlike($tables . $shown . $statements . $dumped, qr/\Q$key\E/, 'the key is nowhere');
$node->stop('fast');
my $log = slurp_file($node->logfile);
cmp_ok(length $log, '>', 1000000, 'the log has much in it');
like($log, qr/<hidden: postrider.set_secret\(\)>/, 'set_secret() is hidden');
clean($log, 'the log at debug5');
unlike($log, qr/\Q$key\E/, 'nor is the key in it');
done_testing();
