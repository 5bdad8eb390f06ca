# Authentication of requests that are batches: every request has it, what is signed is the
# batch, and a token that is refused costs the whole batch one more request.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderStore;
use PostriderTest;
use PostriderToken;
use Test::More;

my $node = PostriderTest::node('auth_batches');
my $receiver = PostriderTest::Receiver->start;
my $tokens = PostriderToken->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub endpoint
{
	my ($name, $path, $auth, %more) = @_;
	my %columns = (name => $name, url => $receiver->url($path), auth => encode_json($auth), batch_size => 10, batch_format => 'json-array', batch_delay => '50 ms',
		backoff_base => '20 ms', backoff_max => '50 ms', %more);
	my @names = sort keys %columns;
	sql('insert into postrider.endpoint (' . join(', ', @names) . ') values (' . join(', ', map { "'$columns{$_}'" } @names) . ')');
}

# What came for an endpoint that was sent so many messages, held until all are there.
sub batches
{
	my ($name, $path, $count, $ends) = @_;
	sql("select postrider.pause('$name'); select postrider.send('$name', jsonb_build_object('n', n)) from generate_series(1, $count) n");
	sql("select postrider.resume('$name')");
	ok(PostriderTest::wait_for($node, "select count(*) from postrider.delivery where endpoint = '$name' and status = '" . ($ends // 'delivered') . "'", $count, 30), "$name: all have ended");
	return $receiver->requests($path);
}
sub numbers { return join ' ', sort { $a <=> $b } map { $_->{data}{n} } PostriderTest::Receiver::records($_[0]{body}); }
sub attempts { return sql("select string_agg(format('%s %s', outcome, count), ', ' order by outcome) from (select outcome, count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = '$_[0]' group by 1) x"); }

sql("select postrider.set_secret('key', 'batch-key-1'), postrider.set_secret('aws', 'batch-aws-2'), postrider.set_secret('client', 'batch-client-3'), postrider.set_secret('path', 'batch-path-4')");
for my $case (['header', '/ok/header', { in => 'header', name => 'X-Key', secret => 'key' }], ['query', '/ok/query', { in => 'query', name => 'k', secret => 'key' }, '/ok/query?k=batch-key-1'])
{
	my ($name, $path, $auth, $asked) = @$case;
	endpoint($name, $path, { type => 'api_key', %$auth });
	my @requests = batches($name, $asked // $path, 25);
	cmp_ok(scalar(@requests), '<', 25, '... as batches');
	is(join(' ', sort { $a <=> $b } map { split ' ', numbers($_) } @requests), join(' ', 1 .. 25), '... each once');
	is(scalar(grep { ($_->{headers}{'x-key'} // '') eq 'batch-key-1' } @requests), scalar(@requests), '... every one with the API key') if $name eq 'header';
}
endpoint('bearer', '/ok/bearer', { type => 'bearer', secret => 'key' });
my @requests = batches('bearer', '/ok/bearer', 25);
cmp_ok(scalar(@requests), '<', 25, '... as batches');
is(scalar(grep { ($_->{headers}{authorization} // '') eq 'Bearer batch-key-1' } @requests), scalar(@requests), '... every one with the bearer token');

# Signature Version 4, which the stand-in of a store computes by itself from what came
my %aws = (access_key_id => 'AKIABATCH', secret_access_key => 'batch-aws-2', region => 'eu-west-1', service => 'execute-api');
endpoint('aws', '/ok/aws', { type => 'aws_sigv4', region => 'eu-west-1', service => 'execute-api', access_key_id => 'AKIABATCH', secret_access_key => 'aws' }, batch_format => 'ndjson');
@requests = batches('aws', '/ok/aws', 25);
cmp_ok(scalar(@requests), '<', 25, '... as batches');
is_deeply([ grep { $_ } map { PostriderStore::aws_verify($_, \%aws) } @requests ], [], '... whose signatures are right');
like($requests[0]{body}, qr/\n/, '... over several records');
my $other = { %{ $requests[0] }, body => $requests[0]{body} =~ s/\d/8/r . ' ' };
like((PostriderStore::aws_verify($other, \%aws) // [])->[1] // '', qr/InvalidSignature/, '... and not over others');

# A token that is refused
endpoint('oauth', '/bearer/at-2', { type => 'oauth2_client_credentials', token_url => $tokens->url, client_id => 'me', client_secret => 'client' });
@requests = batches('oauth', '/bearer/at-2', 8);
is(join(', ', map { "$_->{headers}{authorization}: " . numbers($_) } @requests), 'Bearer at-1: 1 2 3 4 5 6 7 8, Bearer at-2: 1 2 3 4 5 6 7 8', 'a batch whose token is refused is sent again, whole, with a new one');
is(attempts('oauth'), 'delivered 8, retry 8', '... and both are on record for each message');
is(sql("select count(distinct request_id) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'oauth'"), 2, '... as two requests');
is($tokens->count, 2, '... with two tokens');
endpoint('refused', '/bearer/none', { type => 'oauth2_client_credentials', token_url => $tokens->url, client_id => 'me', client_secret => 'client', scope => 'x' });
@requests = batches('refused', '/bearer/none', 8, 'dead');
is(join(', ', map { $_->{headers}{authorization} } @requests), 'Bearer at-3, Bearer at-4', 'a second 401 is final');
is(attempts('refused'), 'dead 8, retry 8', '... for each message of the batch');
$node->stop('fast');
done_testing();
