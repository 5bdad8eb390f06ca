# A build where the version differs in any place fails, and says where.
use strict;
use warnings;
use File::Copy;
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;

my $tree = "$ENV{TESTDIR}/..";
my ($version) = slurp_file("$tree/Makefile") =~ /^EXTENSION_VERSION = (.*)$/m;

# The places, each with what is to be found there.
my %places = (
	'Makefile' => "EXTENSION_VERSION = $version",
	'postrider.control' => "default_version = '$version'",
	'src/util/version.h' => qq{POSTRIDER_VERSION "$version"},
	'CHANGELOG.md' => "## $version\n",
	'doc/install.md' => "postrider-$version.zip",
	'debian/changelog' => "postrider ($version-");
my $copy = PostgreSQL::Test::Utils::tempdir;
make_path("$copy/$_") foreach 'tools', 'src/util', 'doc', 'debian';
copy("$tree/tools/check-version", "$copy/tools/check-version");
chmod 0755, "$copy/tools/check-version";
copy("$tree/$_", "$copy/$_") foreach keys %places, 'META.json';

sub check
{
	return run_command([ "$copy/tools/check-version", $version ]);
}

sub with_change
{
	my ($file, $from, $to, $test) = @_;
	my $text = slurp_file("$copy/$file");
	my $changed = $text;
	$changed =~ s/\Q$from\E/$to/ or die "no $from in $file";
	unlink "$copy/$file";
	append_to_file("$copy/$file", $changed);
	my ($out, $error) = check();
	like($error, $test, "$file with $to");
	unlink "$copy/$file";
	append_to_file("$copy/$file", $text);
}

is((check())[1], '', "version $version is in every place");
foreach my $file (sort keys %places)
{
	my $wrong = $places{$file} =~ s/\Q$version\E/$version.1/r;
	with_change($file, $places{$file}, $wrong, qr/^\Q$file\E: version \Q$version\E\.1, expected \Q$version\E$/m);
}

# A version somewhere else in the file does not count.
with_change('META.json', qq{"version": "$version",\n   "maintainer"}, qq{"version": "0.0.1",\n   "maintainer"}, qr/META\.json \(distribution\): version 0\.0\.1/);
with_change('META.json', qq{"version": "$version"\n      }, qq{"version": "0.0.1"\n      }, qr/META\.json \(extension\): version 0\.0\.1/);
with_change('META.json', "postrider--$version.sql", 'postrider--0.0.1.sql', qr/META\.json \(file\): version 0\.0\.1/);
with_change('CHANGELOG.md', "## $version\n", "## 9.0.0\n\n## $version\n", qr/CHANGELOG\.md: version 9\.0\.0/);
is((check())[1], '', 'and the tree is as it was');

my ($commands) = run_command([ 'make', '-n', '-C', $tree, 'all' ]);
like($commands, qr/^tools\/check-version \Q$version\E$/m, 'whoever builds, checks');
done_testing();
