# ALTER EXTENSION postrider UPDATE: what was upgraded is what a fresh installation is,
# object by object.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('upgrade', no_extension => 1);
my $version = $node->safe_psql('postgres', q{select default_version from pg_available_extensions where name = 'postrider'});
my @released = split /\n/, $node->safe_psql('postgres', q{select source from pg_extension_update_paths('postrider')
	where target = (select default_version from pg_available_extensions where name = 'postrider')
	and path is not null and source <> '9.9.9' order by 1});

sub catalog
{
	my ($database) = @_;
	my ($out, $error) = run_command([ 'psql', '-X', '-q', '-f', "$ENV{TESTDIR}/lib/catalog.sql", $node->connstr($database) ]);
	is($error, '', "the catalogs of $database are read");
	return [ split /\n/, $out ];
}

# The lines that are in one and not in the other, by diff.
sub differences
{
	my ($fresh, $upgraded) = @_;
	my @files = map { $node->basedir . "/$_" } 'fresh', 'upgraded';
	append_to_file($files[0], join "\n", @$fresh, '');
	append_to_file($files[1], join "\n", @$upgraded, '');
	my $diff = `diff -U0 $files[0] $files[1]`;
	unlink @files;
	return $diff;
}

ok(@released > 0, "updates lead to $version from @released");
$node->safe_psql('postgres', 'create database fresh');
$node->safe_psql('fresh', 'create extension postrider');
my $fresh = catalog('fresh');
cmp_ok(scalar(grep { /^(?:function|relation|column|trigger|policy|index|constraint|member|initial privileges)\|/ } @$fresh), '>', 1000,
	'much is compared');

foreach my $old (@released)
{
	my $database = "from_$old";
	$node->safe_psql('postgres', qq{create database "$database"});
	$node->safe_psql($database, "create extension postrider version '$old'");
	isnt(differences($fresh, catalog($database)), '', "$old differs from $version");
	$node->safe_psql($database, 'alter extension postrider update');
	is($node->safe_psql($database, q{select extversion from pg_extension where extname = 'postrider'}), $version, "$old was updated");
	is(differences($fresh, catalog($database)), '', "an update from $old leads to what $version is");

	is($node->safe_psql($database, q{select count(*) from pg_proc p where p.pronamespace = 'postrider'::regnamespace
		and has_function_privilege('public', p.oid, 'execute')}), 0, 'no function is for all');
}
done_testing();
