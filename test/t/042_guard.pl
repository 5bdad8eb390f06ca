# The guard on every kind of connection, whatever names lead to and receivers answer; proxies
# of other people (tinyproxy, microsocks) and one that speaks TLS.
use strict;
use warnings;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderProxy;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep);

my $dir = tempdir(CLEANUP => 1);
my $receiver = PostriderTest::Receiver->start;
my $port = $receiver->{port};

# Nobody may come here: 127.0.0.2 is not allowed.
my $inner = IO::Socket::INET->new(LocalAddr => '127.0.0.2', LocalPort => $port, Listen => 100, ReuseAddr => 1, Blocking => 0) or die $!;
sub visitors { my $n = 0; $n++ while $inner->accept; return $n; }

my %resolve = PostriderTest::resolver($dir);
sub names { PostriderTest::names($dir, @_); }
my $node;
{
	local %ENV = (%ENV, %resolve);
	$node = PostriderTest::node('guard');
	$node->append_conf('postgresql.conf', "postrider.allowed_networks = '127.0.0.1/32'\n");
	$node->restart;
}
sub restart { local %ENV = (%ENV, %resolve); $node->restart; }
sub sql { return $node->safe_psql('postgres', $_[0]); }
my $count = 0;
sub endpoint
{
	my ($url, %columns) = @_;
	my $name = 'e' . ++$count;
	$columns{retry_schedule} = '{00:00:00.05}';
	my @names = sort keys %columns;
	sql("insert into postrider.endpoint (name, url" . join('', map { ", $_" } @names) . ") values ('$name', '$url'"
		. join('', map { ", '$columns{$_}'" } @names) . ')');
	return $name;
}
sub attempt
{
	my ($name) = @_;
	my $id = sql("select postrider.send('$name', '{\"n\": 1}')");
	PostriderTest::wait_for($node, "select count(*) > 0 from postrider.attempt where message_id = '$id'", 't');
	return sql("select concat_ws('|', outcome, error_code, error) from postrider.attempt where message_id = '$id' order by attempt limit 1");
}
my $refused = qr/^dead\|address_refused\|the URL leads to a loopback, private or reserved address/;

# Names
names("one.example.com 127.0.0.1\ninner.example.com 127.0.0.2\nboth.example.com 127.0.0.2 127.0.0.1\nlast.example.com 127.0.0.1 127.0.0.2\n"
	. "mapped.example.com ::ffff:127.0.0.2\nsix.example.com ::1\ncloud.example.com 169.254.169.254\nnat.example.com 64:ff9b::7f00:2 2002:7f00:2::1\nprivate.example.com 10.0.0.1 192.168.0.1 fd00::1\n");
is(attempt(endpoint("http://one.example.com:$port/ok/one")), 'delivered', 'a name that leads to an allowed address');
for my $name (qw(inner mapped six cloud nat private))
{
	like(attempt(endpoint("http://$name.example.com:$port/ok/x")), $refused, "a name that leads elsewhere: $name");
}
is(attempt(endpoint("http://both.example.com:$port/ok/both")), 'delivered', 'of two addresses, only the one that is allowed is dialled');
my $closed = do { my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1); $s->sockport };
my $lone = IO::Socket::INET->new(LocalAddr => '127.0.0.2', LocalPort => $closed, Listen => 10, ReuseAddr => 1, Blocking => 0) or die $!;
like(attempt(endpoint("http://last.example.com:$closed/")), qr/^retry\|connect\|/, 'if that does not answer, the message is tried again');
ok(!$lone->accept, 'and the other one is not tried in its place');
is(visitors(), 0, 'nobody came to the address that is not allowed');
my $test = decode_json(sql("select to_jsonb(t) from postrider.send_test('e2') t"));
is($test->{outcome}, 'dead', 'send_test() is guarded too');
like($test->{error}, qr/loopback, private or reserved/, 'and says so');

# Rebinding: the name was fine when the row was written and at the first delivery.
my $rebound = endpoint("http://rebind.example.com:$port/ok/rebind");
names("rebind.example.com 127.0.0.1\n");
is(attempt($rebound), 'delivered', 'a name is fine at first');
names("rebind.example.com 127.0.0.2\n");
is(attempt($rebound), 'delivered', 'a connection that was checked goes on being used');
is($receiver->count('/ok/rebind'), 2, 'and leads where it did');
restart();
like(attempt($rebound), $refused, 'a new connection is judged by where the name leads now');
names("rebind.example.com 127.0.0.1 127.0.0.2\n");
restart();
$receiver->down;
like(attempt($rebound), qr/^retry\|connect\|/, 'or by each of its addresses');
is(visitors(), 0, 'nobody came to the address that is not allowed');
$receiver->up;

# Redirects
for my $to ("http://127.0.0.2:$port/", 'http://169.254.169.254/latest/meta-data/', "http://127.0.0.1:$port/ok/redirected", "//127.0.0.1:$port/ok/redirected", '/ok/redirected', 'file:///etc/passwd', 'gopher://127.0.0.1/')
{
	my @codes = $to =~ /169/ ? (300, 301, 302, 303, 304, 305, 307, 308) : (302, 307);
	for my $status (@codes)
	{
		my $name = "r$status" . $to =~ s/\W//gr;
		my $url = $receiver->tell($name, [ $status, { Location => $to, Refresh => "0; url=$to", 'Alt-Svc' => 'h2="127.0.0.2:' . $port . '"' }, '' ]);
		like(attempt(endpoint($url)), qr/^dead\|http_$status\|the receiver answered with status $status, and redirects are not followed/, "$status to $to is not followed");
	}
}
is($receiver->count('/ok/redirected'), 0, 'nothing was asked again');
is(visitors(), 0, 'nor there');

# allowed_networks is narrowed while connections are kept
my $kept = endpoint("http://127.0.0.1:$port/ok/kept");
is(attempt($kept), 'delivered', 'a connection is kept');
sql("alter system set postrider.allowed_networks = ''");
sql('select pg_reload_conf()');
PostriderTest::wait_for($node, "select current_setting('postrider.allowed_networks') = ''", 't');
PostriderTest::wait_until { attempt($kept) =~ $refused } 'the worker has seen it';
pass('it is not used again when its network is no longer allowed');
my $before = $receiver->count('/ok/kept');
like(attempt($kept), $refused, 'by no request');
is($receiver->count('/ok/kept'), $before, 'that arrives');
sql("alter system reset postrider.allowed_networks");
sql('select pg_reload_conf()');
PostriderTest::wait_until { attempt($kept) eq 'delivered' } 'the worker has seen it';

# Proxies by name are guarded like everything
names("proxy.example.com 127.0.0.2\n");
like(attempt(endpoint('http://example.com/', proxy => "http://proxy.example.com:$port")),
	qr{^retry\|proxy\|the proxy http://proxy\.example\.com:$port has an address in 127\.0\.0\.0/8, loopback, which}, 'a proxy by its name');
is(visitors(), 0, 'is not dialled');

# Credentials
my $proxy = PostriderProxy->start(to => $port, credentials => encode_base64('fred:hush:hush', ''));
sql("select postrider.set_secret('proxy', 'fred:hush:hush')");
my $named = endpoint('http://hooks.example.com/ok/credentials', proxy => $proxy->url, proxy_secret => 'proxy');
is(attempt($named), 'delivered', 'a proxy that wants credentials gets them');
$test = decode_json(sql("select to_jsonb(t) from postrider.send_test('$named') t"));
is($test->{outcome}, 'delivered', 'from send_test() too');
unlike(encode_json($test), qr/hush|@{[encode_base64('fred:hush:hush', '')]}/, 'which does not show them');
is((grep { keys %{ $_->{headers} } && grep { /proxy/ } keys %{ $_->{headers} } } $receiver->requests('/ok/credentials')), 0, 'nor sees the receiver any');
sql("select postrider.set_secret('proxy', 'fred:wrong')");
sql("update postrider.endpoint set url = 'http://other.example.com/ok/x' where name = '$named'");
PostriderTest::wait_until { attempt($named) =~ /^retry\|proxy\|the proxy \S+ wants other credentials \(status 407\)$/ } 'wrong credentials are told';
pass('wrong credentials are told, and not what they were');
# The general credentials are for the general proxy only.
sql("select postrider.set_secret('general', 'fred:hush:hush')");
sql("alter system set postrider.proxy = '" . $proxy->url . "'");
sql("alter system set postrider.proxy_secret = 'general'");
sql('select pg_reload_conf()');
my $general = endpoint('http://third.example.com/ok/general');
PostriderTest::wait_until { attempt($general) eq 'delivered' } 'general credentials';
pass('the general proxy has credentials of its own');
my $spy = PostriderProxy->start(to => $port);
is(attempt(endpoint('http://third.example.com/ok/spy', proxy => $spy->url)), 'delivered', 'a proxy that an endpoint names');
is((grep { grep { /^proxy-authorization/ } @{ $_->{headers} // [] } } $spy->asked), 0, 'does not get the general credentials');
sql("alter system set postrider.proxy_secret = 'missing'");
sql('select pg_reload_conf()');
PostriderTest::wait_until { attempt($general) =~ /^retry\|secret\|secret "missing" does not exist/ } 'a missing secret';
pass('a secret that is missing is named');
sql("alter system reset postrider.proxy"), sql("alter system reset postrider.proxy_secret"), sql('select pg_reload_conf()');
unlike(slurp_file($node->logfile) =~ s/^.*(?:statement|STATEMENT):.*$//gmr, qr/hush|ZnJlZD/, 'no credentials in the log');

# Proxies of other people.  They resolve names themselves: the receiver is 127.0.0.1 there by an address
# that is not local.
sub free_port { my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die $!; return $s->sockport; }
sub wait_for_port { my ($p) = @_; PostriderTest::wait_until { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $p) } "port $p answers", 10; }
sub run
{
	my ($environment, @command) = @_;
	my $pid = fork // die $!;
	return $pid if $pid;
	%ENV = (%ENV, %$environment);
	open STDOUT, '>', "$dir/out"; open STDERR, '>&', \*STDOUT;
	exec @command or POSIX::_exit(1);
}
names("hooks.example.com 127.0.0.1\n");
my @children;
SKIP:
{
	my ($tinyproxy) = grep { -x } map { "$_/tinyproxy" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/bin';
	skip 'tinyproxy is not installed', 4 unless $tinyproxy;
	my $own = free_port();
	open(my $conf, '>', "$dir/tinyproxy.conf") or die $!;
	print $conf "Port $own\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nBasicAuth fred hush1234\nLogFile \"$dir/tinyproxy.log\"\n";
	close $conf;
	push @children, run(\%resolve, $tinyproxy, '-d', '-c', "$dir/tinyproxy.conf");
	wait_for_port($own);
	sql("select postrider.set_secret('tiny', 'fred:hush1234')");
	is(attempt(endpoint("http://hooks.example.com:$port/ok/tiny", proxy => "http://127.0.0.1:$own", proxy_secret => 'tiny')), 'delivered', 'through tinyproxy');
	is($receiver->count('/ok/tiny'), 1, 'it arrives');
	like(attempt(endpoint("http://hooks.example.com:$port/ok/x", proxy => "http://127.0.0.1:$own")), qr/^retry\|proxy\|.*wants other credentials|^retry\|proxy\|.*status 401/, 'without credentials it does not');
	like(attempt(endpoint("http://hooks.example.com:$closed/ok/x", proxy => "http://127.0.0.1:$own", proxy_secret => 'tiny')), qr/^retry\|proxy\|the proxy \S+ did not connect to the receiver: it answered with status 5/, 'nor if it finds nobody there');
}
SKIP:
{
	my ($microsocks) = grep { -x } map { "$_/microsocks" } split(/:/, $ENV{PATH}), '/usr/bin';
	skip 'microsocks is not installed', 4 unless $microsocks;
	my $own = free_port();
	push @children, run(\%resolve, $microsocks, '-i', '127.0.0.1', '-p', $own, '-u', 'fred', '-P', 'hush1234');
	wait_for_port($own);
	sql("select postrider.set_secret('socks', 'fred:hush1234')");
	is(attempt(endpoint("http://hooks.example.com:$port/ok/socks", proxy => "socks5h://127.0.0.1:$own", proxy_secret => 'socks')), 'delivered', 'through microsocks');
	is($receiver->count('/ok/socks'), 1, 'it arrives');
	sql("select postrider.set_secret('socks2', 'fred:wrong')");
	like(attempt(endpoint("http://hooks.example.com:$port/ok/x", proxy => "socks5h://127.0.0.1:$own", proxy_secret => 'socks2')), qr/^retry\|proxy\|the proxy socks5h:\S+ did not connect/, 'with wrong credentials it does not');
	like(attempt(endpoint("http://hooks.example.com:$closed/ok/x", proxy => "socks5h://127.0.0.1:$own", proxy_secret => 'socks')), qr/^retry\|proxy\|the proxy \S+ did not connect to the receiver/, 'nor if it finds nobody there');
}

# A proxy that speaks TLS
SKIP:
{
	skip 'node is not installed', 5 unless `node --version 2>/dev/null`;
	system("cd $dir && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem 2>/dev/null && "
		. "openssl req -newkey rsa:2048 -nodes -subj /CN=proxy.example.com -keyout proxy.key -out proxy.csr 2>/dev/null && "
		. "printf 'subjectAltName=IP:127.0.0.1' > ext && openssl x509 -req -in proxy.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out proxy.pem 2>/dev/null") == 0 or die 'openssl';
	open(my $script, '>', "$dir/proxy.js") or die $!;
	print $script <<'JS';
const https = require('https'), net = require('net'), fs = require('fs');
const [dir, port, to] = process.argv.slice(2);
const server = https.createServer({ key: fs.readFileSync(`${dir}/proxy.key`), cert: fs.readFileSync(`${dir}/proxy.pem`) });
server.on('connect', (request, client) => {
  fs.appendFileSync(`${dir}/asked`, `${request.url} ${request.socket.getProtocol()}\n`);
  const receiver = net.connect(to, '127.0.0.1', () => { client.write('HTTP/1.1 200 OK\r\n\r\n'); receiver.pipe(client); client.pipe(receiver); });
  receiver.on('error', () => client.destroy()); client.on('error', () => receiver.destroy());
});
server.listen(port, '127.0.0.1');
JS
	close $script;
	my $own = free_port();
	push @children, run({}, 'node', "$dir/proxy.js", $dir, $own, $port);
	wait_for_port($own);
	my $tls = endpoint("http://hooks.example.com/ok/tls", proxy => "https://127.0.0.1:$own");
	like(attempt($tls), qr/^retry\|proxy\|the proxy https:\S+ did not connect to the receiver: .*certificate/, 'the certificate of a proxy is verified');
	is($receiver->count('/ok/tls'), 0, 'and nothing goes through it');
	sql("alter system set postrider.proxy_ca_file = '$dir/ca.pem'");
	sql('select pg_reload_conf()');
	PostriderTest::wait_until { attempt($tls) eq 'delivered' } 'the worker has seen the file';
	pass('postrider.proxy_ca_file says by what');
	ok($receiver->count('/ok/tls') > 0, 'it arrives');
	like(slurp_file("$dir/asked"), qr/\Ahooks\.example\.com:80 TLSv1\.[23]\n/, 'asked by TLS, for the name');
}
$node->stop('fast');
kill 'TERM', @children;
waitpid $_, 0 for @children;
done_testing();
