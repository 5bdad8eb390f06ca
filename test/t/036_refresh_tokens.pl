# Refresh tokens that are replaced: the new one is on disk before the access token is used.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use PostriderTest;
use PostriderToken;
use Test::More;

my $tokens = PostriderToken->start(life => 2, rotate => 1);
my $receiver = PostriderTest::Receiver->start;
# Commits that are not flushed by themselves stay in memory for as long as can be.
my $node = PostriderTest::node('refresh', conf => "wal_writer_delay = '10s'\n");
my $url = $tokens->url;

sub query { return $node->safe_psql('postgres', $_[0]); }

query("select postrider.set_secret('refresh', 'rt-1')");
query(qq{insert into postrider.endpoint (name, url, auth, backoff_base, backoff_max) values ('crm', '} . $receiver->url('/ok') . qq{',
	'{"type": "oauth2_refresh_token", "token_url": "$url", "client_id": "me", "refresh_token": "refresh"}', '0.2 s', '1 s')});

# Whenever a token is used, the refresh token that came with it must survive a crash.
for my $round (1 .. 3)
{
	my $before = $receiver->count('/ok');
	query(q{select postrider.send('crm', '{}')});
	$receiver->wait_for_count($before + 1, '/ok') or last;
	PostriderTest::kill_server($node);
	sleep 2;					# the life of the token ends
	$node->start;
	is((grep { $_->{status} == 400 } $tokens->requests) + 0, 0, "round $round: no refresh token was lost in a crash");
}
my $before = $receiver->count('/ok');
query(q{select postrider.send('crm', '{}')});
ok($receiver->wait_for_count($before + 1, '/ok'), 'the flow goes on');
my @requests = $tokens->requests;
cmp_ok(scalar(@requests), '>=', 4, 'each round needed a new token');
is(join(' ', map { $_->{form}{refresh_token} } @requests), join(' ', map { "rt-$_" } 1 .. @requests), '... by the newest refresh token');
is(query("select count(*) from postrider.secret_version where name = 'refresh' and retires_at is null"), 1, 'the secret has one newest version');

# A refresh token that was revoked.
query("select postrider.set_secret('refresh', 'rt-revoked', overlap => '0')");
query("select postrider.renew_credential(id) from postrider.credential_status");
query(q{select postrider.send('crm', '{}')});
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt where error_code = 'token'", 1), 'a refresh token that was revoked fails');
is(query("select error from postrider.attempt where error_code = 'token'"),
	"token server $url answered with status 400: invalid_grant (refresh token is not good); the refresh token in secret \"refresh\" has expired or was revoked: store a new one with postrider.set_secret()",
	'... and says what to do');
$node->stop('fast');
done_testing();
