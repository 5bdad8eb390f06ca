# The reference chapters are what the comments in the database say.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('reference');
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
my $reference = "$ENV{TESTDIR}/../tools/reference";

my $said = `perl $reference --check 2>&1`;
is($?, 0, 'README.md and doc/tables.md are current') or diag($said);

# And it would tell.
$node->safe_psql('postgres', q{comment on column postrider.endpoint.url is 'Somewhere else.'});
$said = `perl $reference --check 2>&1`;
isnt($?, 0, 'a comment that has changed is noticed');
is($said, "not current: doc/tables.md; run: make reference\n", 'and where');

# Whoever adds a function for users must say where it stands.
$node->safe_psql('postgres', q{create function postrider.novel() returns int language sql as 'select 1'; grant execute on function postrider.novel() to postrider_reader});
$said = `perl $reference --check 2>&1`;
like($said, qr/does not know what to do with postrider\.novel\(\)/, 'a function without a chapter is refused');

$node->stop;
done_testing();
