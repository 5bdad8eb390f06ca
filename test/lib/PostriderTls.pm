# PostriderTls: authorities, certificates, and TLS in front of a server of HTTP, for the TAP tests.
#
#   my $tls = PostriderTls->new;
#   $tls->authority('ca');                                  # ca.crt, ca.key
#   $tls->issue('server', 'ca', 'IP:127.0.0.1');            # server.crt, server.key
#   $tls->issue_old('expired', 'ca', 'server.key');         # expired.crt: of the year 2020
#   $tls->pem('server.crt'), $tls->dir, $tls->run('openssl ...');
#   my $url = $tls->front('http://127.0.0.1:8200');         # https, with server.crt
package PostriderTls;
use strict;
use warnings;
use File::Temp qw(tempdir);
use PostgreSQL::Test::Utils ();

sub new { my ($class) = @_; return bless { dir => tempdir(CLEANUP => 1), pids => [], handles => [] }, $class; }
sub dir { return $_[0]{dir}; }
sub run { my ($self, $command) = @_; system("cd $self->{dir} && { $command ; } >/dev/null 2>&1") == 0 or die $command; }
sub pem { my ($self, $name) = @_; return PostgreSQL::Test::Utils::slurp_file("$self->{dir}/$name"); }

sub write
{
	my ($self, $name, $text) = @_;
	open(my $out, '>', "$self->{dir}/$name") or die $!;
	print $out $text;
	close $out;
}

my $new_key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

sub authority
{
	my ($self, $name) = @_;
	$self->run("openssl req -x509 $new_key -keyout $name.key -out $name.crt -days 30 -subj /CN=$name-authority");
}

sub issue
{
	my ($self, $name, $authority, $subject) = @_;
	$self->write("$name.ext", 'subjectAltName=' . ($subject // 'DNS:localhost') . "\n");
	$self->run("openssl req -new $new_key -keyout $name.key -out $name.csr -subj /CN=$name");
	$self->run("openssl x509 -req -in $name.csr -CA $authority.crt -CAkey $authority.key -CAcreateserial -out $name.crt -extfile $name.ext -days 30");
}

sub issue_old
{
	my ($self, $name, $authority, $key) = @_;
	$self->write('old.cnf', "[ca]\ndefault_ca=x\n[x]\ndatabase=old/index.txt\nserial=old/serial\nnew_certs_dir=old\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n");
	$self->run('mkdir -p old && touch old/index.txt && { test -e old/serial || echo 01 > old/serial; }');
	$self->run("openssl req -new -key $key -out $name.csr -subj /CN=$name");
	$self->run("openssl ca -batch -config old.cnf -cert $authority.crt -keyfile $authority.key -in $name.csr -out $name.crt -startdate 20200101000000Z -enddate 20210101000000Z -notext");
}

# Starts a program of Node that prints its port; returns that.
sub node
{
	my ($self, @command) = @_;
	my $pid = open(my $out, '-|', 'node', @command) or die $!;
	push @{ $self->{pids} }, $pid;
	push @{ $self->{handles} }, $out;		# closing it would wait for the server to end
	chomp(my $port = <$out>);
	return $port;
}

sub front
{
	my ($self, $url) = @_;
	my ($port) = $url =~ /:(\d+)$/;
	$self->write('front.js', <<'JS');
const tls = require('tls'), net = require('net'), fs = require('fs');
const [dir, port] = process.argv.slice(2);
const read = name => fs.readFileSync(`${dir}/${name}`);
const server = tls.createServer({ key: read('server.key'), cert: read('server.crt') }, client => {
	const upstream = net.connect(port, '127.0.0.1');
	for (const [a, b] of [[client, upstream], [upstream, client]]) { a.pipe(b); a.on('error', () => b.destroy()); }
});
server.on('tlsClientError', () => {});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
JS
	return 'https://127.0.0.1:' . $self->node("$self->{dir}/front.js", $self->{dir}, $port);
}

sub DESTROY { my ($self) = @_; local $?; kill 'KILL', @{ $self->{pids} } if @{ $self->{pids} }; }

1;
