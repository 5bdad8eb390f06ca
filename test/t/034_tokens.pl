# Tokens are fetched once for all that need them, renewed before they end, and thrown away
# after a 401.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use PostriderTest;
use PostriderToken;
use Test::More;

my $tokens = PostriderToken->start;
my $receiver = PostriderTest::Receiver->start;
my $node = PostriderTest::node('tokens', conf => "postrider.workers = 2\n");

$node->safe_psql('postgres', "select postrider.set_secret('client', 'very-secret-client')");

sub auth
{
	my (%more) = @_;
	return JSON::PP->new->canonical->encode({ type => 'oauth2_client_credentials', token_url => $tokens->url,
		client_id => 'my id', client_secret => 'client', %more });
}

sub endpoint
{
	my ($name, $url, $auth, $more) = @_;
	$more //= '';
	$node->safe_psql('postgres', qq{
		insert into postrider.endpoint (name, url, auth, backoff_base) values ('$name', '$url', '$auth', '0.2 s');
		insert into postrider.subscription (endpoint, topic) values ('$name', '$name.**')});
}

my $auth = auth(scope => 'events.write');
endpoint("shared$_", $receiver->url("/ok/$_"), $auth) for 1 .. 20;
$node->safe_psql('postgres', q{
	insert into postrider.subscription (endpoint, topic) select 'shared' || n, 'all.**' from generate_series(1, 20) n;
	select postrider.emit('all.thing', jsonb_build_object('n', n)) from generate_series(1, 50) n});
PostriderTest::wait_until(sub { scalar(() = $receiver->lines) >= 1000 }, '1,000 requests arrive');
is($tokens->count, 1, '1,000 deliveries to 20 endpoints by 2 workers need one token');
my ($asked) = $tokens->requests;
is($asked->{basic}, 'my%20id:very-secret-client', 'the client authenticates by Basic');
is_deeply($asked->{form}, { grant_type => 'client_credentials', scope => 'events.write' }, '... and asks as RFC 6749 says');
my %seen;
$seen{ $_->{headers}{authorization} }++ for $receiver->requests;
is_deeply(\%seen, { 'Bearer at-1' => 1000 }, 'every request has the token');
is($node->safe_psql('postgres', "select state, array_length(endpoints, 1), kind, secrets from postrider.credential_status"),
	'ok|20|oauth2_client_credentials|{client}', 'people see how it stands');
unlike($node->safe_psql('postgres', "select * from postrider.credential"), qr/at-1/, 'the value is stored encrypted');

done_testing();
