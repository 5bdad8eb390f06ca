# The recipes of doc/cookbook.md, run as they stand: what would be sent is what they say.
# COOKBOOK=file writes the page with what came out.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('cookbook');
my $doc = slurp_file("$ENV{TESTDIR}/../doc/cookbook.md");
my ($title, $written) = ('The shop', '');

for my $part (split /(^## [^\n]*\n|^```(?:sql)?\n.*?^```\n)/ms, $doc)
{
	$title = $1 if $part =~ /^## ([^\n]*)/;
	if ($part =~ /^```sql\n(.*)```\n\z/s)
	{
		my ($status, $out, $err) = $node->psql('postgres', $1, on_error_stop => 1);
		is($status, 0, "$title: what is written is accepted") or diag($err);
	}
	elsif ($part =~ /^```\n(select .*?;\n)(.*)```\n\z/s)
	{
		my ($query, $shown) = ($1, $2);
		my ($out, $err) = ('', '');
		run_log([ 'psql', '-X', '-d', $node->connstr('postgres'), '-v', 'ON_ERROR_STOP=1', '-c', $query ], '>', \$out, '2>', \$err) or diag($err);
		$out =~ s/ +$//mg;
		$out =~ s/\n+\z/\n/;
		is($shown, $out, "$title: what would be sent") unless $ENV{COOKBOOK};
		like($out, qr/\(1 row\)/, "$title: to this endpoint, once");
		$part = "```\n$query$out```\n";
	}
	$written .= $part;
}
if ($ENV{COOKBOOK})
{
	open(my $out, '>', $ENV{COOKBOOK}) or die $!;
	print $out $written;
}
is($node->safe_psql('postgres', 'select count(*) from postrider.message'), '0', 'and nothing was sent');

$node->stop;
done_testing();
