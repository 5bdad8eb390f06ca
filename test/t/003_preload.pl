# Without shared_preload_libraries CREATE EXTENSION says what to do.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('preload');
$node->init;
$node->start;
my ($code, $out, $err) = $node->psql('postgres', 'create extension postrider');
isnt($code, 0, 'CREATE EXTENSION fails without the library');
like($err, qr/HINT:.*shared_preload_libraries/, 'and says what to set');
$node->stop;
done_testing();
