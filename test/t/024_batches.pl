# Several messages in one request.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('batches');
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub endpoint
{
	my ($name, $path, %more) = @_;
	my %columns = (name => $name, url => $receiver->url($path), batch_size => 200, batch_format => 'json-array', batch_delay => '100 ms',
		backoff_base => '20 ms', backoff_max => '100 ms', %more);
	my @names = sort keys %columns;
	sql("insert into postrider.endpoint (" . join(', ', @names) . ") values ("
		. join(', ', map { my $value = $columns{$_}; $value =~ s/'/''/g; "'$value'" } @names) . ")");
}

sub emit
{
	my ($endpoint, $count, $more) = @_;
	$more //= '';
	sql("select count(postrider.send('$endpoint', jsonb_build_object('n', n, 'email', 'p' || n || '\@example.com')$more))
		from generate_series(1, $count) n");
}

sub all_end
{
	my ($endpoint, $count, $status) = @_;
	$status //= 'delivered';
	return PostriderTest::wait_for($node, "select count(*) from postrider.delivery where endpoint = '$endpoint' and status = '$status'", $count, 60);
}

# Numbers of records by request, and how often each record came.
sub batches
{
	my ($path) = @_;
	my (@sizes, %times);
	for my $request ($receiver->requests($path))
	{
		my @records = PostriderTest::Receiver::records($request->{body});
		push @sizes, scalar @records;
		$times{ $_->{data}{n} }++ for @records;
	}
	return (\@sizes, \%times);
}

sub attempts
{
	my ($endpoint, $what) = @_;
	return sql("select $what from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = '$endpoint'");
}

# 10,000 records, every 7th of which is refused once.
my %styles = (
	index => { batch_failed => '$.errors[*].eventIndex', batch_error => '$.errors[*].message' },
	success => { batch_failed => '$[*].success', batch_error => '$[*].errors[*]' },
	email => { batch_failed => '$.errors[*].email_address' });
for my $style (sort keys %styles)
{
	my $count = $style eq 'index' ? 10_000 : 1_000;
	my $path = "/batch/$style/7";
	endpoint($style, $path, %{ $styles{$style} });
	sql("select postrider.pause('$style')");
	emit($style, $count);
	sql("select postrider.resume('$style')");
	ok(all_end($style, $count), "$count records arrive");
	my ($sizes, $times) = batches($path);
	is((sort { $b <=> $a } @$sizes)[0], 200, 'in batches of 200 at most');
	cmp_ok(scalar @$sizes, '<', $count / 200 * 2.5, 'and not many requests: ' . scalar @$sizes);
	is_deeply([ grep { $times->{$_} != ($_ % 7 == 0 ? 2 : 1) } 1 .. $count ], [], 'exactly those are retried that were refused');
	is(attempts($style, 'count(*)'), $count + int($count / 7), 'an attempt is on record for each time');
	is(attempts($style, "count(*) filter (where outcome = 'retry' and error_code = 'batch_record')"), int($count / 7), 'and says so');
}
like(attempts('index', "min(error) filter (where outcome = 'retry')"), qr/^the receiver refused record \d+ of \d+: no \d+$/, 'with the reason');
like(attempts('success', "min(error) filter (where outcome = 'retry')"), qr/: bad n \d+$/, 'with the reason');
is(attempts('index', "count(distinct request_id) filter (where outcome <> 'retry' or true)"), scalar $receiver->count('/batch/index/7'), 'requests can be told by request_id');

# An answer that leads to no record: all are tried again.
endpoint('lost', '/batch/lost/7', batch_failed => '$.errors[*].email_address');
sql("select postrider.pause('lost')");
emit('lost', 7);
sql("select postrider.resume('lost')");
ok(all_end('lost', 7), 'an answer that leads to no record');
is(attempts('lost', "string_agg(distinct error_code, ',') || count(*)"), 'batch_response14', 'all are tried again');

# Formats, ids and signature.
sql("select postrider.set_secret('key', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')");
endpoint('array', '/ok/array', signing_secret => 'key', batch_delay => '300 ms');
endpoint('lines', '/ok/lines', batch_format => 'ndjson', batch_delay => '300 ms');
endpoint('inputs', '/ok/inputs', batch_format => 'envelope', batch_template => '{"inputs": {{records}}, "mode": "upsert"}', batch_delay => '300 ms');
for my $name (qw(array lines inputs))
{
	my @ids = split /\n/, sql("select postrider.send('$name', jsonb_build_object('n', n)) from generate_series(1, 3) n");
	ok($receiver->wait_for_count(1, "/ok/$name"), "$name arrives");
	my ($request) = $receiver->requests("/ok/$name");
	is_deeply([ map { $_->{id} } PostriderTest::Receiver::records($request->{body}) ], \@ids, 'each record has the id of its message');
	unlike($request->{headers}{'webhook-id'}, qr/$ids[0]/, 'and the batch has one of its own');
	is($request->{headers}{'content-type'}, $name eq 'lines' ? 'application/x-ndjson' : 'application/json', 'content type');
}
my ($signed) = $receiver->requests('/ok/array');
ok(PostriderTest::verify($signed, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), 'the signature is that of the whole batch');
my ($enveloped) = $receiver->requests('/ok/inputs');
is(decode_json($enveloped->{body})->{mode}, 'upsert', 'the envelope is as its template says');

# batch_delay: waits for others, but not longer, and not if the batch is full or it is urgent.
endpoint('patient', '/ok/patient', batch_size => 10, batch_delay => '1 hour');
emit('patient', 9);
sleep 0.5;
is($receiver->count('/ok/patient'), 0, 'less than a batch waits');
emit('patient', 1);
ok($receiver->wait_for_count(1, '/ok/patient'), 'until it is full');
sql("select postrider.send('patient', '{\"n\": 1}', priority => 'critical')");
ok($receiver->wait_for_count(2, '/ok/patient'), 'or something is urgent');

# batch_bytes
endpoint('bytes', '/ok/bytes', batch_bytes => 4096);
sql("select postrider.pause('bytes'); select count(postrider.send('bytes', jsonb_build_object('n', n, 'x', repeat('x', 1000)))) from generate_series(1, 30) n; select postrider.resume('bytes')");
ok(all_end('bytes', 30), 'batches by size');
is((sort { $b <=> $a } map { length $_->{body} } $receiver->requests('/ok/bytes'))[0] <= 4096 ? 1 : 0, 1, 'none is larger');

# 413 halves.
endpoint('most', '/most/20', max_in_flight => 1);
sql("select postrider.pause('most')");
emit('most', 1000);
sql("select postrider.resume('most')");
ok(all_end('most', 1000), 'a receiver that takes 20 at most');
my ($sizes, $times) = batches('/most/20');
is($sizes->[0], 200, 'begins with as many as allowed');
is_deeply([ @$sizes[ 1 .. 4 ] ], [ 100, 50, 25, 13 ], 'halves');
cmp_ok(scalar(grep { $_ > 20 } @$sizes), '<', 40, 'and learns: ' . join(' ', @$sizes));
is(attempts('most', 'max(attempt)'), 1, 'which is no attempt');

# One record that the receiver will not have: only it dies.
endpoint('poison', '/poison/400');
sql("select postrider.pause('poison'); select count(postrider.send('poison', jsonb_build_object('n', n, 'poison', n = 77))) from generate_series(1, 200) n; select postrider.resume('poison')");
ok(all_end('poison', 199), 'all are delivered');
ok(all_end('poison', 1, 'dead'), 'but one');
is(sql("select d.payload ->> 'n' from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = 'poison'"), '77', 'and that is the right one');

# A failing endpoint, and a restart.
endpoint('down', '/first/503/1/down', batch_delay => '100 ms');
emit('down', 50);
ok($receiver->wait_for_count(1, '/first/503/1/down'), 'a batch fails');
$node->restart;
sql("update postrider.endpoint set url = '" . $receiver->url('/ok/down') . "' where name = 'down'");
ok(all_end('down', 50), 'and is delivered after a restart');

# Messages with headers of their own go alone; ordered endpoints batch different keys.
endpoint('mixed', '/ok/mixed', batch_delay => '200 ms');
sql("select postrider.send('mixed', '{\"n\": 1}', headers => '{\"X-A\": \"b\"}'), postrider.send('mixed', '{\"n\": 2}'), postrider.send('mixed', '{\"n\": 3}')");
ok(all_end('mixed', 3), 'headers of a message');
is_deeply([ sort map { scalar(PostriderTest::Receiver::records($_->{body})) . ($_->{headers}{'x-a'} // '') } $receiver->requests('/ok/mixed') ], [ '1b', '2' ], 'go alone');
endpoint('ordered', '/ok/ordered', ordered => 'true', batch_delay => '100 ms');
sql("select count(postrider.send('ordered', jsonb_build_object('n', n, 'k', k), key => 'k' || k)) from generate_series(1, 5) n, generate_series(1, 20) k");
ok(all_end('ordered', 100), 'ordered batches');
my (%last, $wrong);
$wrong = 0;
for my $request ($receiver->requests('/ok/ordered'))
{
	my %keys;
	for my $record (PostriderTest::Receiver::records($request->{body}))
	{
		my ($key, $n) = @{ $record->{data} }{qw(k n)};
		$wrong++ if $keys{$key}++ || $n != ($last{$key} // 0) + 1;
		$last{$key} = $n;
	}
}
is($wrong, 0, 'have one message of a key, in order');

# What is refused.
for my $bad (
	[ "batch_size => 1", qr/batch_size of endpoint "bad" must be between 2 and 1000/ ],
	[ "batch_size => 5", qr/batch_format of endpoint "bad" must be set/ ],
	[ "batch_size => 5, batch_format => envelope", qr/batch_template of endpoint "bad" must have one place/ ],
	[ "batch_size => 5, batch_format => ndjson, batch_error => \$.a", qr/batch_error of endpoint "bad" needs a batch_failed/ ],
	[ "batch_size => 5, batch_format => ndjson, batch_failed => \$.a ? (@ == \$b)", qr/batch_failed of endpoint "bad" has a variable/ ],
	[ "batch_size => 5, batch_format => ndjson, reply_topic => a.b", qr/reply_topic of endpoint "bad" does not go with batches/ ])
{
	my %columns = map { split / => /, $_, 2 } split /, /, $bad->[0];
	my @names = sort keys %columns;
	my ($status, $out, $err) = $node->psql('postgres', "insert into postrider.endpoint (name, url, " . join(', ', @names)
		. ") values ('bad', 'https://example.com', " . join(', ', map { "'$columns{$_}'" } @names) . ")");
	like($err, $bad->[1], "refused: $bad->[0]");
}

$receiver->down;
done_testing();
