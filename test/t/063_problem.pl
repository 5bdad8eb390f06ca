# Ten planted faults: each is found from postrider.problem alone, and the remedy that it
# has, as it stands there, ends it.  A person fills in what is in <angle brackets>.
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $receiver = PostriderTest::Receiver->start;
my $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir;

# The places for background workers: one has PostgreSQL's own launcher, one ours.
my $node = PostriderTest::node('problem', conf => "max_worker_processes = 2\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub send_to { sql("select count(*) from (select postrider.send('$_[0]', to_jsonb(n)) from generate_series(1, $_[1]) n) x"); }
sub endpoint
{
	my ($name, $url, $more, $values) = @_;
	sql("insert into postrider.endpoint (name, url, backoff_base, backoff_max" . ($more ? ", $more" : '') . ")
		values ('$name', '$url', '100 ms', '100 ms'" . ($values ? ", $values" : '') . ")");
}

# Waits for the row; there must be no others but those named.
sub problem
{
	my ($kind, $object, @others) = @_;
	my $row;
	eval { PostriderTest::wait_until(sub {
		$row = sql("select to_jsonb(p) from postrider.problem p where kind = '$kind'");
		return $row ne '';
	}, "there is a problem $kind"); };
	my $all = sql("select string_agg(kind || ' of ' || object, ', ' order by kind, object) from postrider.problem");
	is($all, join(', ', sort "$kind of $object", @others), "$kind is seen, and names $object");
	return $row eq '' ? {} : decode_json($row);
}

# Runs a remedy as psql does when it is pasted.
sub remedy
{
	my ($row, %filled) = @_;
	my $text = $row->{remedy} // '';
	my ($failed) = %filled ? $node->psql("postgres", $text, on_error_stop => 1) : 1;
	isnt($failed, 0, 'pasted without a thought it does nothing') if %filled;
	for my $name (keys %filled)
	{
		$text = join "\n", map { /^--/ ? $_ : s/<\Q$name\E>/$filled{$name}/r } split /\n/, $text;
	}
	my ($status, $out, $err) = $node->psql('postgres', $text);
	is($status . ($err =~ /ERROR/ ? $err : ''), 0, 'its remedy can be run') or diag($text);
}

sub gone
{
	my ($kind) = @_;
	ok(PostriderTest::wait_for($node, "select count(*) from postrider.problem where kind = '$kind'", 0), "and $kind is gone")
	  or diag(sql('select * from postrider.problem'));
}

# 1. A stopped worker
endpoint('all', $receiver->url('/ok/all'));
send_to('all', 3);
my $row = problem('worker', 'worker 0');
like($row->{problem}, qr/all places for background workers are taken/, 'which says why');
is($row->{severity}, 'critical', 'it is critical');
remedy($row);
$node->restart;
ok($receiver->wait_for_count(3, '/ok/all'), 'after the restart messages flow');
gone('worker');
is(sql('select count(*) from postrider.problem'), 0, 'no problem is left');

# 2. A full rate limit
endpoint('slow', $receiver->url('/ok/slow'), 'rate_limit, rate_period', "6, '1 hour'");
send_to('slow', 20);
$row = problem('rate_limit', 'endpoint slow');
like($row->{problem}, qr/what waits takes \d+ hours/, 'and tells how long it takes');
like($row->{detail}, qr/ of 6 in 01:00:00\. 19 messages wait/, 'how much is used, and how much waits');
remedy($row, requests => 100000);
ok($receiver->wait_for_count(20, '/ok/slow'), 'messages flow');
gone('rate_limit');

# 3. An expired secret
sql("select postrider.set_secret('hook')");
endpoint('signed', $receiver->url('/ok/signed'), 'signing_secret', "'hook'");
sql("update postrider.secret set expires_at = now() - interval '1 minute' where name = 'hook'");
send_to('signed', 2);
$row = problem('secret_expired', 'secret hook');
like($row->{detail}, qr/Needed by endpoint signed\./, 'and who needs it');
my $secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
remedy($row, "'the new value'" => "'$secret'", 'null or time' => "now() + interval '1 year'");
ok($receiver->wait_for_count(2, '/ok/signed'), 'messages flow');
ok(PostriderTest::verify(($receiver->requests('/ok/signed'))[0], $secret), 'signed with the new value');
gone('secret_expired');

# 4. A wrong host name
endpoint('typo', 'http://receiver.invalid/hook');
send_to('typo', 2);
$row = problem('dns', 'endpoint typo');
like($row->{problem}, qr/receiver\.invalid/, 'and says which name');
remedy($row, "'the right URL'" => "'" . $receiver->url('/ok/typo') . "'");
ok($receiver->wait_for_count(2, '/ok/typo'), 'messages flow');
gone('dns');

# 5. A TLS error
system("cd $dir && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key -out crt -days 30 -subj /CN=own -addext subjectAltName=IP:127.0.0.1 2>/dev/null") == 0 or die;
open(my $script, '>', "$dir/server.js") or die $!;
print $script <<'JS';
const https = require('https'), fs = require('fs'), dir = process.argv[2];
const server = https.createServer({ key: fs.readFileSync(dir + '/key'), cert: fs.readFileSync(dir + '/crt') }, (request, response) => {
	request.on('data', () => {});
	request.on('end', () => { fs.appendFileSync(dir + '/log', 'request\n'); response.end('ok'); });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
JS
close $script;
my $https = open(my $out, '-|', 'node', "$dir/server.js", $dir) or die $!;
chomp(my $port = <$out>);
endpoint('tls', "https://127.0.0.1:$port/");
send_to('tls', 2);
$row = problem('tls', 'endpoint tls');
like($row->{problem}, qr/self[- ]signed certificate/, 'and what TLS said');
remedy($row, "'the PEM of the authority'" => "'" . slurp_file("$dir/crt") . "'");
ok((PostriderTest::wait_until { -e "$dir/log" && slurp_file("$dir/log") eq "request\n" x 2 } 'messages flow'), 'messages flow');
gone('tls');

# 6. A mapping that does not fit
sql(q(insert into postrider.mapping (name, definition) values ('contact', '{"fields": [{"to": "properties.total", "from": "$.total", "type": "integer"}]}')));
endpoint('crm', $receiver->url('/ok/crm'));
sql("insert into postrider.subscription (topic, endpoint, mapping) values ('order.paid', 'crm', 'contact')");
sql(q(select postrider.emit('order.paid', '{"total": "12.5"}')));
$row = problem('mapping', 'mapping contact of endpoint crm');
like($row->{problem}, qr/1 message was given up: mapping "contact" does not fit them, field properties\.total/, 'and which field');
like($row->{detail}, qr/"12\.5" is not an integer/, 'and why');
remedy($row, "'definition'" => q('{"fields": [{"to": "properties.total", "from": "$.total", "type": "number"}]}'));
ok($receiver->wait_for_count(1, '/ok/crm'), 'the message flows');
gone('mapping');

# 7. An open circuit breaker: the receiver is ill
my $ill = $receiver->tell('ill', map { [ 503, {}, '' ] } 1 .. 1000);
endpoint('ill', $ill, 'breaker_min_count, breaker_open, max_attempts', "5, '5 minutes', 1000");
send_to('ill', 10);
$row = problem('breaker', 'endpoint ill');
like($row->{problem}, qr/circuit breaker is open: .*status 503/, 'and the last error');
like($row->{detail}, qr/next try is at \d\d:/, 'and when it tries again');
$receiver->tell('ill');
remedy($row);
ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where endpoint = 'ill' and status = 'delivered'", 10), 'messages flow');
gone('breaker');

# 8. A disabled endpoint: the receiver says that it is gone.  So one message is given up.
my $moved = $receiver->tell('moved', [ 410, {}, '' ]);
endpoint('moved', $moved);
send_to('moved', 1);
ok(PostriderTest::wait_for($node, "select enabled from postrider.endpoint where name = 'moved'", 'f'), 'the worker disables an endpoint');
$row = problem('disabled', 'endpoint moved', 'dead_letters of endpoint moved');
like($row->{problem}, qr/the worker disabled the endpoint: .*410/, 'and why');
send_to('moved', 1);
$receiver->tell('moved');
remedy($row);
ok($receiver->wait_for_count(2, '/told/moved'), 'messages flow');
gone('disabled');
$row = problem('dead_letters', 'endpoint moved');
like($row->{problem}, qr/1 message was given up: http_410 \(1\)/, 'what was given up is counted by reason');
remedy($row);
ok($receiver->wait_for_count(3, '/told/moved'), 'and sent again');
gone('dead_letters');

# 9. A paused endpoint
endpoint('resting', $receiver->url('/ok/resting'));
sql("create role anna superuser login");
sql("set role anna; select postrider.pause('resting', reason => 'they move house')");
send_to('resting', 2);
ok(PostriderTest::wait_for($node, "select count(*) from postrider.pending where reason = 'held'", 2), 'messages are held');
$row = problem('paused', 'endpoint resting');
is($row->{problem}, 'the endpoint is paused: they move house', 'and why');
is($row->{detail}, 'By anna. Messages are held for it.', 'and by whom');
is($row->{since}, decode_json(sql("select to_jsonb(paused_at)::text from postrider.endpoint where name = 'resting'") =~ s/^(.*)$/[$1]/r)->[0], 'and since when');
remedy($row);
ok($receiver->wait_for_count(2, '/ok/resting'), 'messages flow');
gone('paused');

# 10. A missing partition, when messages have gone elsewhere already
ok(PostriderTest::wait_for($node, 'select count(*) from postrider.pending', 0), 'nothing is owed');
my $today = sql("select to_char(now() at time zone 'UTC', 'YYYYMMDD')");
sql("alter extension postrider drop table postrider.message_$today; alter extension postrider drop table postrider.attempt_$today;
	drop table postrider.message_$today, postrider.attempt_$today");
send_to('all', 2);
ok($receiver->wait_for_count(5, '/ok/all'), 'messages flow without a partition');
ok(PostriderTest::wait_for($node, 'select count(*) from postrider.attempt_default', 2), 'into the default ones');
$row = problem('partition', "partition $today", 'default_partition of partition message_default', 'default_partition of partition attempt_default');
like($row->{problem}, qr/the partition of message and of attempt for today is missing/, 'which says what is missing');
remedy($row);
gone('partition');
gone('default_partition');
is(sql("select (select count(*) from postrider.message_$today) || ' ' || (select count(*) from postrider.attempt_$today)"), '2 2', 'what was elsewhere is in the partition');
is(sql("select count(*) from pg_depend where objid = 'postrider.message_$today'::regclass and deptype = 'e'"), 1, 'which belongs to the extension');
send_to('all', 1);
ok($receiver->wait_for_count(6, '/ok/all'), 'messages flow');
is(sql('select count(*) from postrider.message_default'), 0, 'into it');

is(sql('select count(*) from postrider.problem'), 0, 'no problem is left');
kill 'TERM', $https;
$receiver->down;
$node->stop;
done_testing();
