# Secrets in files and environment variables: those that are for it, and no others.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{POSTRIDER_SECRET_CRM} = 'planted-environment';
$ENV{POSTRIDER_SECRET_EMPTY} = '';
$ENV{OTHER_SECRET} = 'planted-other';
my $node = PostriderTest::node('files');
my $receiver = PostriderTest::Receiver->start;
my ($first, $second) = qw(whsec_Zmlyc3QtZmlyc3QtZmlyc3QtZmlyc3Q= whsec_c2Vjb25kLXNlY29uZC1zZWNvbmQ=);
my $dir = $node->basedir . '/secrets';
my $outside = $node->basedir . '/outside';
mkdir $dir or die $!;
mkdir $outside or die $!;
$node->append_conf('postgresql.conf', "postrider.secret_directories = '$dir, /run/secrets'\n");
$node->reload;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
sub source
{
	my ($name, %source) = @_;
	delete @source{ grep { !defined $source{$_} } keys %source };
	sql("select postrider.set_secret_source('$name', \$s\$" . encode_json(\%source) . '$s$)');
}
sub endpoint
{
	my ($name, $columns, $values) = @_;
	sql("insert into postrider.endpoint (name, url, max_attempts, backoff_base, backoff_max, $columns) values ('$name', '" . $receiver->url("/ok/$name") . "', 1000, '200 ms', '400 ms', $values)");
}
sub bearer { my ($name) = @_; endpoint($name, 'auth', qq('{"type": "bearer", "secret": "$name"}')); }
sub deliver { sql("select postrider.send('$_[0]', '{}')"); }
sub requests { return $receiver->requests("/ok/$_[0]"); }
sub delivered { my ($name, $count) = @_; return ok($receiver->wait_for_count($count, "/ok/$name"), "$name: delivery $count"); }
sub last_token { return (requests($_[0]))[-1]{headers}{authorization}; }
sub error { return sql("select error_code || ': ' || error from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = '$_[0]' and error is not null order by started_at desc limit 1"); }
sub wait_for_error
{
	my ($name, $like, $what) = @_;
	my $error = '';
	eval { PostriderTest::wait_until { $error = error($name); $error =~ $like } 'the error'; };
	like($error, $like, $what);
}

sub file
{
	my ($path, $content, $mode) = @_;
	open(my $out, '>', "$path.new") or die $!;
	print $out $content;
	close $out;
	chmod $mode // 0600, "$path.new";
	rename "$path.new", $path or die $!;
}
sub file_source { my ($name, $path, %more) = @_; source($name, store => 'file', path => $path, %more); }
is(PostriderTest::wait_for($node, 'show postrider.secret_directories', "$dir, /run/secrets"), 1, 'the directories are set');

# A file, as Docker has it; the end of the line does not count.
file("$dir/crm", "planted-file\n");
file_source('crm', "$dir/crm", refresh => '1 second');
bearer('crm');
deliver('crm');
delivered('crm', 1);
is(last_token('crm'), 'Bearer planted-file', 'the content of a file');
file("$dir/crm", 'planted-file-2');
PostriderTest::wait_until { deliver('crm'); sleep 0.2; last_token('crm') eq 'Bearer planted-file-2' } 'a change is noticed';
pass('a file that has changed is read anew');

# As Kubernetes has it: links within the directory, and all of it is exchanged at once.
mkdir "$dir/k8s" or die $!;
mkdir "$dir/k8s/..2026_01_01" or die $!;
file("$dir/k8s/..2026_01_01/key", $first, 0644);
symlink '..2026_01_01', "$dir/k8s/..data" or die $!;
symlink '..data/key', "$dir/k8s/key" or die $!;
file_source('sign', "$dir/k8s/key", refresh => '1 second', overlap => '3 seconds');
endpoint('sign', 'signing_secret', "'sign'");
deliver('sign');
delivered('sign', 1);
ok(PostriderTest::verify((requests('sign'))[0], $first), 'a key behind links within the directory signs');
mkdir "$dir/k8s/..2026_02_02" or die $!;
file("$dir/k8s/..2026_02_02/key", "$second\n", 0644);
symlink '..2026_02_02', "$dir/k8s/..data_tmp" or die $!;
rename "$dir/k8s/..data_tmp", "$dir/k8s/..data" or die $!;
PostriderTest::wait_until { deliver('sign'); sleep 0.2; PostriderTest::verify((requests('sign'))[-1], $second) } 'the new key signs';
ok((grep { PostriderTest::verify($_, $first) && PostriderTest::verify($_, $second) } requests('sign')), 'with the old one while they overlap');
PostriderTest::wait_until { deliver('sign'); sleep 0.3; !PostriderTest::verify((requests('sign'))[-1], $first) } 'then alone';

# The file is gone for a while: what is in force is used, for its grace.
unlink "$dir/crm";
sleep 1.2;
my $count = $receiver->count('/ok/crm');
deliver('crm');
delivered('crm', $count + 1);
is(last_token('crm'), 'Bearer planted-file-2', 'a value in force is used when the file is gone');
file("$dir/crm", 'planted-file-3');

# An environment variable
source('environment', store => 'environment', variable => 'POSTRIDER_SECRET_CRM');
bearer('environment');
deliver('environment');
delivered('environment', 1);
is(last_token('environment'), 'Bearer planted-environment', 'the value of an environment variable');

# send_test() reads it in a process of its own.
is(sql("select status_code from postrider.send_test('environment')"), 200, 'a test request');
is(last_token('environment'), 'Bearer planted-environment', 'has the value too');
unlike(sql("select t::text from postrider.send_test('environment') t"), qr/planted/, 'and does not show it');

# A link that leads out, and other files that are not fit for it
sub fails
{
	my ($name, $like, $what, $path) = @_;
	file_source($name, $path);
	bearer($name);
	deliver($name);
	wait_for_error($name, $like, $what);
	is(scalar(() = requests($name)), 0, 'nothing is sent');
}
file("$outside/secret", 'planted-outside');
symlink "$outside/secret", "$dir/link" or die $!;
symlink $outside, "$dir/way_out" or die $!;
symlink '/etc/passwd', "$dir/passwd" or die $!;
symlink '../outside/secret', "$dir/relative" or die $!;
my $out = qr/is a link that leads out of the directories/;
fails('link', qr/^secret: .*secret "link".*file "\Q$dir\E\/link" is a link that leads out/, 'a link that leads out', "$dir/link");
fails('way_out', $out, 'a directory that is a link', "$dir/way_out/secret");
fails('passwd', $out, '/etc/passwd', "$dir/passwd");
fails('relative', $out, 'a relative link', "$dir/relative");
fails('missing', qr/file "\Q$dir\E\/missing" is missing/, 'a file that is not there', "$dir/missing");
file("$dir/empty", "\n");
fails('empty', qr/is empty/, 'an empty file', "$dir/empty");
file("$dir/large", 'x' x 40000);
fails('large', qr/has more than 32768 bytes/, 'a large file', "$dir/large");
file("$dir/bytes", "\xff\x00\xfe");
fails('bytes', qr/has bytes that are no text/, 'bytes', "$dir/bytes");
file("$dir/open", 'planted-open', 0666);
fails('open', qr/can be written by everybody/, 'a file that everybody can write', "$dir/open");
mkdir "$dir/folder" or die $!;
fails('folder', qr/is no regular file/, 'a directory', "$dir/folder");
system('mkfifo', "$dir/pipe");
fails('pipe', qr/is no regular file/, 'a pipe does not hold up the worker', "$dir/pipe");
mkdir "$dir/public" or die $!;
chmod 0777, "$dir/public";
file("$dir/public/key", 'planted-public');
fails('public', qr/is in a directory that can be written by everybody/, 'a directory that everybody can write', "$dir/public/key");
file("$dir/missing", 'planted-missing');
delivered('missing', 1);

# An admin who is no superuser reads nothing else with it.
sql("create role shop_admin; grant postrider_admin to shop_admin");
for my $path ('/etc/passwd', "$dir/../outside/secret", $node->data_dir . '/postrider.key', $node->data_dir . '/postgresql.conf')
{
	like(said("set role shop_admin; select postrider.set_secret_source('evil', '{\"store\": \"file\", \"path\": \"$path\"}')"), qr/ERROR:  source of secret "evil" has a "path"/, "not $path");
}
for my $variable (qw(PGDATA PATH OTHER_SECRET HOME))
{
	like(said("set role shop_admin; select postrider.set_secret_source('evil', '{\"store\": \"environment\", \"variable\": \"$variable\"}')"), qr/has a "variable" that is not for secrets/, "not the variable $variable");
}
like(said("set role shop_admin; update postrider.secret set source = '{}' where name = 'crm'"), qr/permission denied/, 'nor by the table');
like(said("set role shop_admin; alter system set postrider.secret_directories = '/etc'"), qr/permission denied|must be superuser/, 'nor by the settings');

# The setting is looked at when the file is read, too.
$node->append_conf('postgresql.conf', "postrider.secret_directories = '/run/secrets'\npostrider.secret_environment = ''\n");
$node->restart;
deliver('crm');
wait_for_error('crm', qr/lies in no directory of postrider\.secret_directories/, 'a directory that is not listed any more');
deliver('environment');
wait_for_error('environment', qr/is not in postrider\.secret_environment/, 'a variable that is not listed any more');

# Values are in no table, not even encrypted.
is(sql("select count(*) from postrider.credential where kind in ('store_file', 'store_environment')"), 0, 'values of files are not stored');
my $found = join ',', grep { sql("select count(*) from $_ t where t::text ~ 'planted'") ne '0' } split /\n/, sql("select format('%I.%I', table_schema, table_name) from information_schema.tables where table_schema = 'postrider'");
is($found, '', 'no value is in a table or view');
unlike(slurp_file($node->logfile), qr/planted-/, 'nor in the log');
$receiver->down;
$node->stop('fast');
done_testing();
