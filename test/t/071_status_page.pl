# The status page, in a browser: nothing of it comes from elsewhere, nothing in it
# runs, hostile names are only text, and it fits a telephone.
# SHOTS=folder keeps pictures.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Encode qw(decode_utf8 encode_utf8);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use JSON::PP;
use Test::More;

my ($chromium) = grep { -x } '/usr/bin/chromium', '/usr/bin/chromium-browser';
plan skip_all => 'npm and chromium are not installed' unless $chromium && `npm --version 2>/dev/null`;
my $dir = tempdir(CLEANUP => 1);
my $log = `cd $dir && HOME=$dir npm install --no-audit --no-fund --silent playwright-core\@1.48.2 2>&1`;
ok(-d "$dir/node_modules/playwright-core", 'the package playwright-core is there') or BAIL_OUT($log);
my $look = "$ENV{TESTDIR}/lib/look.js";

my $node = PostriderTest::node('status_page');
my $receiver = PostriderTest::Receiver->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }

# The page as a member of postrider_reader sees it.
sub page
{
	my ($name, $as, $period) = @_;
	my $file = "$dir/$name.html";
	my $html = sql("set role $as; select postrider.status_page(" . ($period // '') . ')');
	open(my $out, '>', $file) or die $!;
	print $out $html;
	close $out;
	return $file;
}

# What a browser sees of it, in three sizes and in the dark.
my @sizes = ([ 1280, 900 ], [ 768, 1024 ], [ 360, 740 ], [ 360, 740, 1 ]);
sub look
{
	my ($file) = @_;
	my ($name) = $file =~ m{([^/]+)\.html$};
	my @wanted = map { { file => $file, width => $_->[0], height => $_->[1], dark => $_->[2] ? \1 : \0,
		$ENV{SHOTS} && $name ? (shot => "$ENV{SHOTS}/$name-$_->[0]" . ($_->[2] ? '-dark' : '') . '.png') : () } } @sizes;
	my $json = encode_json(\@wanted);
	my $out = '';
	{
		local $ENV{HOME} = $dir;
		local $ENV{CHROMIUM} = $chromium;
		run_log([ 'sh', '-c', 'cd "$1" && node "$2" "$3"', 'sh', $dir, $look, $json ], '>', \$out) or die $out;
	}
	my @seen = map { decode_json($_) } split /\n/, $out;
	is(scalar @seen, 4, "$name: seen in three sizes and in the dark");
	is_deeply([ map { @{ $_->{said} } } @seen ], [], "$name: nothing ran, nothing was refused");
	is_deeply([ map { scalar @{ $_->{asked} } } @seen ], [ 1, 1, 1, 1 ], "$name: nothing else was asked for");
	is_deeply([ map { $_->{overflow} + $_->{beyond} } @seen ], [ 0, 0, 0, 0 ], "$name: nothing is beyond the edge");
	is_deeply([ map { @{ $_->{handlers} } } @seen ], [], "$name: no links, no handlers");
	my %known = map { $_ => 1 } qw(b bdi body br code dd details div dl dt footer h1 h2 head header html i li main meta p path pre rect section
		small span style summary svg table tbody td th thead title tr ul);
	is_deeply([ grep { !$known{$_} } @{ $seen[0]{elements} } ], [], "$name: only elements of ours");
	isnt($seen[2]{background}, $seen[3]{background}, "$name: dark where that is liked");
	return $seen[0];
}

sql('create role looker; grant postrider_reader to looker; create role boss; grant postrider_admin to boss;
	create role shop_looker; grant postrider_reader to shop_looker; create role nobody');

# Nothing at all.
my $seen = look(page('empty', 'looker'));
like($seen->{body}, qr/There is no endpoint yet/, 'empty: says how to begin');
is_deeply($seen->{broken}, [], 'empty: no part is broken');
like($seen->{title}, qr/^postrider: postgres$/, 'empty: the title');

# Five endpoints, and what happens to them.
my $good = $receiver->url('/ok');
my $gone = $receiver->url('/gone');
my $bad = $receiver->url('/status/422');
my $busy = $receiver->url('/status/503');
sql("insert into postrider.endpoint (name, url) values ('well', '$good'), ('gone', '$gone'), ('picky', '$bad'), ('paused', '$good'), ('busy', '$busy')");
sql("insert into postrider.subscription (topic, endpoint) select 'order.paid', name from postrider.endpoint");
sql("select postrider.pause('paused', reason => 'the shop is being moved')");
sql("select postrider.emit('order.paid', jsonb_build_object('n', n)) from generate_series(1, 40) n");
PostriderTest::wait_for($node, q{select count(*) >= 40 from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'well'}, 't');
PostriderTest::wait_for($node, q{select count(*) >= 40 from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = 'picky'}, 't');
PostriderTest::wait_for($node, q{select enabled from postrider.endpoint where name = 'gone'}, 'f');

# A restart writes the statistics of the minute.
$node->restart;
PostriderTest::wait_for($node, q{select sum(delivered) >= 40 from postrider.delivery_stats}, 't');
sql("insert into postrider.message_stats (minute, topic, messages, bytes) values (date_trunc('minute', now()), 'order.shown', 40, 4000)");
$seen = look(page('five', 'looker'));
is_deeply($seen->{broken}, [], 'five: no part is broken');
my %has = map { $_ => 1 } @{ $seen->{names} };
ok(!(grep { !$has{$_} } qw(well gone picky paused busy order.shown)), 'five: endpoints and topics have their names');
ok((grep { $_ eq 'disabled' } @{ $seen->{states} }) && (grep { $_ eq 'paused' } @{ $seen->{states} }), 'five: and their states');
like($seen->{body}, qr/the endpoint is paused or disabled/, 'five: why deliveries wait');
like($seen->{body}, qr/dead, status 422/, 'five: what became dead letters');
cmp_ok($seen->{bars}[0], '>=', 1, 'five: bars of what was delivered');
like(sql(q{set role looker; select postrider.status_page('1 day')}), qr/the last 24 hours/, 'another period');
like(($node->psql('postgres', q{select postrider.status_page('1 minute')}))[2], qr/must be from 10 minutes to 14 days/, 'but not any');
like(($node->psql('postgres', q{set role nobody; select postrider.status_page()}))[2], qr/permission denied/, 'and not for anybody');

# Hostile names in every field that takes one.
my @names = (q{<script>alert(1)</script>}, q{"><img src=x onerror=alert(2)>}, q{</style></title><svg onload=alert(3)>}, q{'; alert(4); '}, q{&lt;b&gt;&amp;},
	"\x{202e}gnp.exe", 'x' x 200, "\x{5b57}\x{1f600}");
for my $i (0 .. $#names)
{
	my $name = encode_utf8($names[$i]) =~ s/'/''/gr;
	sql("insert into postrider.endpoint (name, url, tenant, description, max_attempts) values ('$name', '" . $receiver->url("/told/$i") . "', '$name', '$name', 1)");
	sql("insert into postrider.subscription (topic, endpoint) values ('hostile.$i', '$name')");
	$receiver->tell($i, { status => 400, body => encode_utf8($names[$i]) });
	sql("select postrider.emit('hostile.$i', '{}', tenant => '$name', key => '$name')");
	sql("select postrider.pause('$name', reason => '$name')") if $i % 2;
}
PostriderTest::wait_for($node, q{select count(*) >= 4 from postrider.dead_letter where topic like 'hostile.%'}, 't');
$seen = look(page('hostile', 'boss'));
is_deeply($seen->{broken}, [], 'hostile: no part is broken');
%has = map { $_ => 1 } @{ $seen->{names} };
is_deeply([ grep { !$has{$_} } @names ], [], 'hostile: each name is there, as text');
is($seen->{title}, 'postrider: postgres', 'hostile: the title is as it was');
is(sql(q{select postrider.page_text(E'a\x01b\x7f<&>"' || $a$'$a$)}), 'a?b?&lt;&amp;&gt;&quot;&#39;', 'hostile: what is no text at all');

# A tenant sees what is its own.
sql(q{alter role shop_looker set postrider.tenant = 'shop'; insert into postrider.endpoint (name, url, tenant) values ('of the shop', 'https://example.com/', 'shop')});
my $html = $node->safe_psql('postgres', q{set postrider.tenant = 'shop'; set role shop_looker; select postrider.status_page()});
like($html, qr/of the shop/, 'a tenant sees its endpoint');
unlike($html, qr/picky|busy|onerror|order\.paid/, 'and nothing of others');

# Five hundred.
sql("delete from postrider.dead_letter; insert into postrider.endpoint (name, url) select 'endpoint ' || n, '$good' from generate_series(1, 500) n");
sql(q{insert into postrider.delivery_stats (minute, endpoint_id, delivered, retried, dead, duration_counts, latency_counts)
	select date_trunc('minute', now()) - m * interval '1 minute', e.id, 50 + (e.id * 7 + m * 3) % 40, m % 5, (m % 20 = 0)::integer,
		array_fill(3, array[cardinality(postrider.duration_buckets()) + 1]), array_fill(2, array[cardinality(postrider.duration_buckets()) + 1])
	from postrider.endpoint e, generate_series(1, 59) m where e.name like 'endpoint %'});
my $since = Time::HiRes::time();
my $file = page('many', 'looker');
note(sprintf '500 endpoints: %.0f ms, %d bytes', (Time::HiRes::time() - $since) * 1000, -s $file);
$seen = look($file);
is_deeply($seen->{broken}, [], 'many: no part is broken');
cmp_ok($seen->{rows}, '>=', 500, 'many: all are there');
like($seen->{body}, qr/\d+ more that are well/, 'many: those that are well are folded away');

# Broken: a part that cannot be made says why, the others are there.
sql('alter table postrider.delivery_stats rename to lost');
$seen = look(page('broken', 'looker'));
cmp_ok(scalar @{ $seen->{broken} }, '>=', 1, 'broken: some parts cannot be shown');
is(scalar(grep { !/^This part cannot be shown: .*delivery_stats/ } @{ $seen->{broken} }), 0, 'broken: and say why');
ok((grep { $_ eq 'Workers' } @{ $seen->{headings} }) && $seen->{body} =~ /running/, 'broken: the others are there');
sql('alter table postrider.lost rename to delivery_stats');

# The recipe in the documentation, as it stands: a role, a line of shell, nginx.  It goes with
# the test however that ends: it has the output open, and who reads that would wait.
my $pid_file = '';
END
{
	local $?;
	kill 'TERM', slurp_file($pid_file) =~ /(\d+)/ if $pid_file && -e $pid_file;
}
SKIP:
{
	my ($nginx) = grep { -x } '/usr/sbin/nginx';
	skip 'nginx is not installed', 4 unless $nginx;
	my $doc = slurp_file("$ENV{TESTDIR}/../doc/status_page.md");
	my ($role) = $doc =~ /```sql\n(.*?)```/s;
	my ($shell) = $doc =~ /```sh\n(.*?)```/s;
	my ($conf) = $doc =~ /```nginx\n(.*?)```/s;
	my $www = tempdir(CLEANUP => 1);
	chmod 0755, $www;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	sql($role);
	$shell =~ s{/var/www/postrider}{$www}g;
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGDATABASE} = 'postgres';
	is(system('sh', '-ec', $shell), 0, 'the line of shell writes the page');
	$conf =~ s{/var/www/postrider}{$www}g;
	$conf =~ s{listen [^;]*;}{listen 127.0.0.1:$port;};
	$pid_file = "$www/pid";
	append_to_file("$www/nginx.conf", "pid $pid_file; error_log $www/error; events {} http { access_log off; "
		. join(' ', map { "${_}_temp_path $www/$_;" } qw(client_body proxy fastcgi uwsgi scgi)) . " $conf }");
	is(system($nginx, '-c', "$www/nginx.conf", '-e', "$www/error"), 0, 'nginx takes the configuration');
	my $answer;
	PostriderTest::wait_until { ($answer = HTTP::Tiny->new->get("http://127.0.0.1:$port/"))->{status} != 599 } 'nginx answers';
	like("$answer->{status} $answer->{headers}{'content-type'} $answer->{content}", qr{^200 text/html.*<title>postrider: postgres</title>}s, 'and serves it');
	is(system($nginx, '-c', "$www/nginx.conf", '-e', "$www/error", '-s', 'stop'), 0, 'and is stopped');
}

$node->stop;
done_testing();
