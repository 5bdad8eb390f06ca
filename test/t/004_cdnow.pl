# Real purchases: 6,919 of them, replayed into a watched table in mixed
# transactions, some rolled back; the receiver's totals are the control totals.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use JSON::PP;
use Test::More;

my $file = ($ENV{CDNOW} || '') . '/CDNOW_sample.txt';
plan skip_all => "the purchases are not here: $file" unless -f $file;

my $node = PostriderTest::node('cdnow');
my $receiver = PostriderTest::Receiver->start;
$node->safe_psql('postgres', "insert into postrider.endpoint (name, url) values ('shop', '" . $receiver->url('/ok') . "');
	insert into postrider.subscription (topic, endpoint) values ('purchase.insert', 'shop');
	create table purchase (id int primary key, customer text, day date, cds int, dollars numeric);
	select postrider.watch('purchase')");

# Customer by customer: each purchase by itself, all of a customer in one
# transaction, or with a savepoint; and each followed by one that is undone.
open(my $in, '<', $file) or die $!;
my (%rows, @order);
my $id = 0;
while (<$in>)
{
	my ($full, $customer, $day, $cds, $dollars) = split;
	push @order, $customer unless $rows{$customer};
	push @{ $rows{$customer} }, sprintf(q{(%d, '%s', '%s', %d, %s)}, ++$id, $customer, $day, $cds, $dollars);
}
is($id, 6919, 'purchases in the file');
my $script = '';
for my $n (0 .. $#order)
{
	my @insert = map { "insert into purchase values $_;\n" } @{ $rows{ $order[$n] } };
	my $undone = "insert into purchase values (-1, 'undone', '1997-01-01', 1000, 1000);\n";
	$script .= $n % 3 == 0 ? join('', @insert) . "begin;\n${undone}rollback;\n"
	  : $n % 3 == 1 ? "begin;\n" . join('', @insert) . "commit;\n"
	  : "begin;\n" . join('', @insert) . "savepoint s;\n${undone}rollback to s;\ncommit;\n";
}
$node->safe_psql('postgres', $script);
ok($receiver->wait_for_count(6919, '/ok', 120), 'all purchases arrive');
my (%seen, %customers);
my ($cds, $cents) = (0, 0);
for my $request ($receiver->requests('/ok'))
{
	next if $seen{ $request->{headers}{'webhook-id'} }++;
	my $record = JSON::PP->new->allow_bignum->decode($request->{body})->{data}{record};
	$customers{ $record->{customer} } = 1;
	$cds += $record->{cds};
	$cents += sprintf('%.0f', $record->{dollars} * 100);
}
is(scalar keys %seen, 6919, 'purchases');
is(scalar keys %customers, 2357, 'customers');
is("$cds", 16479, 'CDs');
is("$cents", 24409194, 'cents');
$node->stop('fast');
done_testing();
