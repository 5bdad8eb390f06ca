# Tokens are fetched once for all that need them, renewed before they end, and thrown away
# after a 401.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use PostriderTest;
use PostriderToken;
use Test::More;
use Time::HiRes qw(time);

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


# Renewal: a steady stream over several lives of a token.
$tokens->script(life => 5);
endpoint('steady', $receiver->url('/slow/20'), auth(scope => 'steady', client_authentication => 'post'));
my $until = time + 14;
while (time < $until)
{
	$node->safe_psql('postgres', q{select postrider.send('steady', '{}') from generate_series(1, 5)});
	Time::HiRes::sleep(0.2);
}
ok(PostriderTest::wait_for($node, "select count(*) from postrider.pending", 0), 'all is delivered');
is($node->safe_psql('postgres', "select count(*) from postrider.attempt where outcome <> 'delivered'"), 0, 'no attempt has failed');
my @steady = grep { ($_->{form}{scope} // '') eq 'steady' } $tokens->requests;
cmp_ok(scalar(@steady), '>=', 3, 'tokens were renewed');
cmp_ok(scalar(@steady), '<=', 5, '... not more often than needed');
is($steady[0]{form}{client_secret}, 'very-secret-client', 'the client authenticates in the form where that is asked for');
my %lives = map { ("Bearer $_->{access_token}" => $_->{time} + 5) } @steady;
is(scalar(grep { $_->{time} > $lives{ $_->{headers}{authorization} } } $receiver->requests('/slow/20')), 0, 'no token was used after its end');

# What is not in use is not renewed.
my $before = $tokens->count;
sleep 6;
is($tokens->count, $before, 'what nobody uses is not renewed');

# A server that does not say how long: an hour.
$tokens->script();
endpoint('unsaid', $receiver->url('/ok/unsaid'), auth(scope => 'unsaid'));
$node->safe_psql('postgres', q{select postrider.send('unsaid', '{}')});
$receiver->wait_for_count(1, '/ok/unsaid');
is($node->safe_psql('postgres', "select expires_at - fetched_at from postrider.credential_status where 'unsaid' = any(endpoints)"), '01:00:00', 'without expires_in a token is good for an hour');

# Who throws a token away and then emits has it sent with another one: the workers must not
# read the message in a turn of theirs in which they have not yet heard of the token.
my $thrown = 0;
for my $round (1 .. 30)
{
	my $old = ($receiver->requests('/ok/unsaid'))[-1]{headers}{authorization};
	$node->safe_psql('postgres', q{
		select postrider.renew_credential(id) from postrider.credential_status where 'unsaid' = any(endpoints);
		select postrider.send('unsaid', '{}')});
	$receiver->wait_for_count($round + 1, '/ok/unsaid');
	$thrown += ($receiver->requests('/ok/unsaid'))[-1]{headers}{authorization} ne $old;
}
is($thrown, 30, 'what is emitted after renew_credential() has a new token, each time');

# Configuration that is wrong is refused, with help.
sub refused
{
	my ($document) = @_;
	my ($status, $out, $error) = $node->psql('postgres', "insert into postrider.endpoint (name, url, auth) values ('bad', 'http://127.0.0.1:1/', '$document')");
	return $error =~ s/psql:.*?ERROR: *//r =~ s/\nLINE.*//sr;
}
like(refused('{"type": "oauth2_client_credentials", "client_id": "a", "client_secret": "client"}'), qr/needs a "token_url"/, 'no token_url');
like(refused(auth(token_url => 'http://169.254.169.254/token')), qr/has a URL that cannot be used/, 'the guard looks at token_url');
like(refused(auth(client_secret => 'nobody')), qr/secret "nobody" .* does not exist/, 'a secret that is not there');
like(refused(auth(scopes => 'x')), qr/unknown key "scopes".*"scope" was meant/, 'a key that is misspelt');
like(refused(auth(client_authentication => 'private_key_jwt')), qr/does not use/, 'a client secret with private_key_jwt');

$node->stop('fast');
done_testing();
