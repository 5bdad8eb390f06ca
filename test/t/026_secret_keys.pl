# The key that encrypts secrets: its file, key_command, rotate_key(), and what can be wrong with them.
use strict;
use warnings;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('keys');
my $receiver = PostriderTest::Receiver->start;
my $file = $node->data_dir . '/postrider.key';

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said { my ($status, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
sub keys_of { return split /\n/, slurp_file($file); }
sub write_file { my ($name, $text, $mode) = @_; open(my $out, '>', $name) or die $!; print $out $text; close $out; chmod $mode // 0600, $name; }
sub random_key { open(my $in, '<', '/dev/urandom') or die $!; read($in, my $bytes, 32); return encode_base64($bytes, ''); }

my $secret = sql("select postrider.set_secret('s')");
sql("insert into postrider.endpoint (name, url, signing_secret, retry_schedule) values ('a', '" . $receiver->url('/ok') . "', 's', '{1 s}')");
my $sent = 0;
# Sends a message; is the request signed by the secret?
sub signed
{
	sql("select postrider.send('a', '1')");
	$receiver->wait_for_count(++$sent) or return 0;
	return PostriderTest::verify(($receiver->requests)[-1], $secret);
}
# Sends a message; is it held up for this reason?
sub stopped
{
	my ($reason) = @_;
	my $id = sql("select postrider.send('a', '1')");
	my $error;
	PostriderTest::wait_until { $error = sql("select error from postrider.attempt where message_id = '$id' and error_code = 'secret' limit 1") } 'there is an attempt', 20;
	sql("select postrider.cancel('$id')");
	like($error, $reason, "held up: $reason");
	unlike($error, qr/whsec|\Q$_\E/, 'without a secret') for -e $file ? keys_of() : ();
}
sub reload { $node->reload; sleep 0.3; }
ok(signed(), 'a signed request');
my ($key) = keys_of();

# rotate_key()
my $old = sql("select ciphertext from postrider.secret_version");
my ($status, $out, $err) = $node->psql('postgres', 'select postrider.rotate_key()');
is($out, 1, 'rotate_key() says how many values it has encrypted anew');
like($err, qr/NOTICE:  the old key stays beside the new one/, 'and that the old key is there');
my @keys = keys_of();
is(scalar(@keys), 2, 'there are two keys');
is($keys[1], $key, 'the new one before the old one');
is((stat $file)[2] & 07777, 0600, 'for nobody else to read');
isnt(sql("select ciphertext from postrider.secret_version"), $old, 'the value is encrypted anew');
ok(signed(), 'and signs as before');
sql("select postrider.set_secret('t', 'another value')");
is(sql("select count(distinct substr(ciphertext, 2, 4)) from postrider.secret_version"), 1, 'what is stored now is under the new key');
is(sql('select postrider.drop_old_keys()'), 1, 'the old key goes');
is_deeply([ keys_of() ], [ $keys[0] ], 'from the file');
ok(signed(), 'and nobody misses it');
is(sql('select postrider.drop_old_keys()'), 0, 'nothing more goes');

# It fails, or the server dies, after the file has the new key and before the commit.
sql('begin; select postrider.rotate_key(); rollback');
@keys = keys_of();
is(scalar(@keys), 2, 'a rotation that rolled back leaves its key');
ok(signed(), 'which does not matter');
like(said('select postrider.drop_old_keys()'), qr/ERROR:  secrets are still encrypted with an old key\nHINT:  SELECT postrider.rotate_key\(\)/, 'the old key cannot go yet');
my $session = $node->background_psql('postgres');
$session->query('begin');
$session->query('select postrider.rotate_key()');
PostriderTest::kill_server($node);
eval { $session->quit };
$node->start;
is_deeply([ keys_of() ], \@keys, 'a rotation that goes on with another one makes no further key');
ok(signed(), 'after a crash in the middle of it everything can be read');
is(sql('select postrider.rotate_key()'), 2, 'and the next call does the rest');
is_deeply([ keys_of() ], \@keys, 'with the key that is there');
sql('select postrider.drop_old_keys()');

# Everybody goes on meanwhile.
sql("select postrider.set_secret('n' || i, 'value ' || i) from generate_series(1, 300) i");
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;
$sessions[0]->query_until(qr/go/, "\\echo go\n" . "select postrider.rotate_key();\n" x 5);
$sessions[1]->query_until(qr/go/, "\\echo go\n" . "select postrider.set_secret('n1', 'value', overlap => '0');\n" x 30);
$sessions[2]->query_until(qr/go/, "\\echo go\n" . "select postrider.send('a', '1');\n" x 50);
$sent += 50;
ok($receiver->wait_for_count($sent), 'messages flow while keys change');
$_->quit for @sessions;
is(scalar(grep { !PostriderTest::verify($_, $secret) } $receiver->requests), 0, 'all of them signed');
is(sql("select count(*) from postrider.attempt where error_code = 'secret'"), 0, 'none ever failed');
my @found = keys_of();
is(scalar(@found), 6, 'five keys more');
is(sql('select postrider.rotate_key()'), 302, 'all secrets can be read');
sql('select postrider.rotate_key()');
like(said('select postrider.rotate_key()'), qr/has 8 keys already/, 'the file has its limit');
sql('select postrider.drop_old_keys()');
ok(signed(), 'and everything is well');
is(scalar(() = glob("$file.*")), 0, 'no file is left behind');

# Two databases have one file.
$node->safe_psql('postgres', 'create database other');
$node->safe_psql('other', 'create extension postrider');
$node->safe_psql('other', "select postrider.set_secret('x', 'value x')");
sql('select postrider.rotate_key()');
like(said('select postrider.drop_old_keys()'), qr/ERROR:  database "other" has postrider too/, 'another database may need the old key');
is($node->safe_psql('other', 'select postrider.rotate_key()'), 1, 'which takes the new one');
is(scalar(keys_of()), 2, 'without making a third one');
is(sql('select postrider.drop_old_keys(force => true)'), 1, 'then the old one may go');
is($node->safe_psql('other', 'select postrider.rotate_key()'), 1, 'and the other database can read its secrets');
$node->safe_psql('postgres', 'drop database other');
sql('select postrider.rotate_key()');
sql('select postrider.drop_old_keys()');

# What can be wrong with the file.
my $good = slurp_file($file);
chmod 0644, $file;
like(said("select postrider.set_secret('u', 'v')"), qr/ERROR:  key file "\Q$file\E" must not be accessible by group or others; run chmod 600 on it/, 'a file that others can read is refused');
reload();
stopped(qr/secret "s" cannot be read: key file "\Q$file\E" must not be accessible by group or others/);
chmod 0600, $file;
reload();
ok(signed(), 'until it is put right');
write_file($file, random_key() . "\n");
reload();
stopped(qr/secret "s" cannot be read: the key that secret "s" was encrypted with is not in key file "\Q$file\E"/);
like(said('select postrider.rotate_key()'), qr/ERROR:  secret "\w+" cannot be read: the key that secret "\w+" was encrypted with is not in key file "\Q$file\E"\nHINT:  Bring back its key/, 'nor can it be rotated');
is(scalar(keys_of()), 1, 'and that leaves the file alone');
write_file($file, "no key\n");
reload();
stopped(qr/key file "\Q$file\E" does not have the base64 of 32 bytes in it/);
unlink $file;
reload();
stopped(qr/could not open key file "\Q$file\E": No such file/);
like(said("select postrider.set_secret('u', 'v')"), qr/ERROR:  key file "\Q$file\E" is missing\nDETAIL.*\nHINT:  Restore the file/, 'a new key is not made while secrets need the old one');
write_file($file, $good);
reload();
ok(signed(), 'the right key is back');
sql("update postrider.secret_version set ciphertext = set_byte(ciphertext, 20, get_byte(ciphertext, 20) # 1) where name = 's'");
stopped(qr/secret "s" cannot be read: the ciphertext of secret "s" is damaged, or is that of another one/);
sql("update postrider.secret_version v set ciphertext = o.ciphertext from postrider.secret_version o where v.name = 's' and o.name = 't'");
stopped(qr/the ciphertext of secret "s" is damaged, or is that of another one/);
$secret = sql("select postrider.set_secret('s', overlap => '0')");
ok(signed(), 'a new value puts it right');

# key_command
my $keys = $node->basedir . '/keys';
write_file($keys, $good);
unlink $file;
sub command { $node->append_conf('postgresql.conf', "postrider.key_command = '" . ($_[0] =~ s/'/''/gr) . "'"); reload(); }
command("cat $keys; echo run >> $keys.runs");
ok(signed(), 'key_command gives the key');
is(said("select postrider.set_secret('u', 'v')"), '', 'for new values too');
ok(!-e $file, 'no file is made');
sql("update postrider.endpoint set description = '$_' where name = 'a'") for 1 .. 5;
ok(signed(), 'and for reloads of the configuration');
my $runs = () = slurp_file("$keys.runs") =~ /run/g;
cmp_ok($runs, '<=', 4, 'it does not run again for that');
like(said('select postrider.rotate_key()'), qr/ERROR:  all secrets are encrypted with the first key of postrider.key_command already\nHINT:  Have the command print a new key before the old one/, 'it has to give a new key first');
my $new_key = random_key();
write_file($keys, "$new_key\n$good");
is(sql('select postrider.rotate_key()'), sql('select count(*) from postrider.secret_version'), 'then all is encrypted with that');
ok(signed(), 'and the worker finds it');
write_file($keys, "$new_key\n");
reload();
ok(signed(), 'without the old one');
like(said('select postrider.drop_old_keys()'), qr/the keys are those that postrider.key_command prints/, 'which nobody but the command can drop');
command("echo lea\$(echo ked) >&2; echo lea\$(echo ked); exit 3");
stopped(qr/postrider.key_command failed with exit status 3/);
command("yes AAAAAAAA | head -c 100000");
stopped(qr/postrider.key_command did not print the base64 of 32 bytes/);
command("kill -9 \$\$");
stopped(qr/postrider.key_command was ended by signal 9/);
command("echo lea\$(echo ked); sleep 600 & sleep 600");
my $begin = time;
stopped(qr/postrider.key_command did not end within 10 seconds/);
cmp_ok(time - $begin, '<', 19 * $PostriderTest::patience, 'it has 10 seconds');
$begin = time;
like(said("set statement_timeout = '1 s'; select postrider.set_secret('u', 'v')"), qr/canceling statement/, 'who waits for it can be interrupted');
cmp_ok(time - $begin, '<', 6 * $PostriderTest::patience, 'at once');
is(`pgrep -c -f 'sleep 60[0]'` + 0, 0, 'and nothing that it started is left') or diag(`pgrep -af 'sleep 600'`);
unlike(slurp_file($node->logfile), qr/leaked/, 'nothing that it printed is in the log');
sql('create role nosy login');
like($node->psql('postgres', 'set role nosy; show postrider.key_command') . (said('set role nosy; show postrider.key_command')), qr/must be superuser|permission denied/, 'the command is for superusers');
like(said('set role nosy; select postrider.rotate_key()'), qr/permission denied/, 'as is rotate_key()');
like(said(qq{set postrider.key_command = 'x'}), qr/cannot be changed now/, 'and no session can set it');
command("cat $keys");
ok(signed(), 'a command that works again');
my $log = slurp_file($node->logfile);
unlike($log, qr/\Q$_\E/, 'no key is in the log') for grep { $_ } $new_key, split(/\n/, $good), @keys;
$node->stop('fast');
done_testing();
