# What each role can do and see, over connections of its own.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('roles');
my $receiver = PostriderTest::Receiver->start;
my $mark = 'ada@example.org';

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub wait_for { return PostriderTest::wait_for($node, @_); }

# What a query gives to somebody who logs in as the user: result and error in one.
sub as
{
	my ($user, $query) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $query,
		connstr => $node->connstr('postgres') . " user=$user");
	return "$out$err";
}
my $denied = qr/ERROR:  permission denied/;

sql("create role writer login in role postrider_writer;
	create role reader login in role postrider_reader;
	create role admin login in role postrider_admin;
	create role payload login in role postrider_payload_reader, postrider_reader;
	create role boss login in role postrider_admin, postrider_payload_reader;
	create role stranger login;
	grant create on schema public to public");
my $url = $receiver->tell('crm', [ 422, {}, qq({"no such person": "$mark"}) ]);
sql("insert into postrider.endpoint (name, url) values ('crm', '$url');
	insert into postrider.endpoint (name, url, enabled) values ('mapped', '" . $receiver->url('/ok') . "', true), ('held', '" . $receiver->url('/ok') . "', false);
	insert into postrider.mapping (name, definition) values ('m', '{\"fields\": [{\"to\": \"n\", \"from\": \"\$.email\", \"type\": \"integer\"}]}');
	insert into postrider.subscription (topic, endpoint, mapping) values ('a.b', 'crm', null), ('a.b', 'mapped', 'm'), ('a.b', 'held', null)");
my $id = as('writer', qq(select postrider.emit('a.b', '{"email": "$mark"}', headers => '{"x-person": "$mark"}', dedup_key => 'k')));
like($id, qr/^[0-9a-f-]{36}$/, 'a writer emits');
ok(wait_for('select count(*) from postrider.dead_letter', 2), 'two endpoints cannot take it');
ok(wait_for("select count(*) from postrider.pending where reason = 'held'", 1), 'one holds it');
like(sql('select error from postrider.attempt where error_code = \'mapping\''), qr/\Q$mark\E/, 'an error quotes the payload');

# Payloads
my %columns = (message => [qw(payload headers)], attempt => [qw(response error)],
	dead_letter => [qw(payload headers response error)], pending => [qw(payload headers)]);
for my $table (sort keys %columns)
{
	for my $column (@{ $columns{$table} })
	{
		like(as($_, "select $column from postrider.$table"), $denied, "$_ cannot read $table.$column") for qw(writer reader admin stranger);
		unlike(as($_, "select $column from postrider.$table"), qr/ERROR/, "$_ can") for qw(payload boss);
	}
	like(as($_, "select count(*) from postrider.$table"), qr/^\d+$/, "$_ can count $table") for qw(reader admin payload);
	like(as($_, "select count(*) from postrider.$table"), $denied, "$_ cannot") for qw(writer stranger);
	like(as($_, "select x from postrider.$table x"), $denied, "$_ cannot read whole rows of $table") for qw(reader admin);
	like(as($_, "select to_jsonb(x) from postrider.$table x"), $denied, "$_ neither as JSON") for qw(reader admin);
	like(as($_, "copy postrider.$table to stdout"), $denied, "$_ cannot copy $table") for qw(writer reader admin);
}
like(as('boss', 'select payload from postrider.message'), qr/\Q$mark\E/, 'a payload reader reads payloads');
for my $partition (split /\n/, sql("select c.oid::regclass from pg_inherits i join pg_class c on c.oid = i.inhrelid
	where i.inhparent in ('postrider.message'::regclass, 'postrider.attempt'::regclass)"))
{
	like(as($_, "select count(*) from $partition"), $denied, "$_ cannot go to $partition directly") for qw(payload boss);
}
like(as('admin', "delete from postrider.dead_letter returning payload"), $denied, 'not by RETURNING');
like(as('admin', "delete from postrider.dead_letter where payload ->> 'email' like 'a%'"), $denied, 'nor by asking for it');
like(as('admin', "update postrider.dead_letter set payload = null"), $denied, 'nor by changing it');

# Nothing that a role without that right can read has it.
my $objects = "select c.oid::regclass || '.' || quote_ident(a.attname) from pg_class c join pg_attribute a on a.attrelid = c.oid
	where c.relnamespace = 'postrider'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and a.attnum > 0 and not a.attisdropped";
for my $user (qw(writer reader admin))
{
	my @found;
	for my $column (split /\n/, sql("$objects and has_column_privilege('$user', c.oid, a.attnum, 'select')"))
	{
		my ($table, $name) = $column =~ /^(.*)\.([^.]+)$/;
		push @found, $column if as($user, "select $name from $table") =~ /\Q$mark\E/;
	}
	is("@found", '', "nothing that a $user can read has the person in it");
}
for my $query ("select * from postrider.delivery", "select * from postrider.endpoint_health", "select * from postrider.worker")
{
	unlike(as($_, $query), qr/\Q$mark\E/, "$_: $query") for qw(reader admin);
}
like(as('reader', "select error from postrider.delivery where endpoint = 'mapped'"), qr/^withheld: .*postrider_payload_reader/, 'an error that may quote data is withheld');
like(as('reader', "select error from postrider.delivery where endpoint = 'crm'"), qr/^the receiver refused the message with status 422/, 'others are shown');
like(as('payload', "select error from postrider.delivery where endpoint = 'mapped'"), qr/\Q$mark\E/, 'to payload readers all are');
like(as('admin', "select * from postrider.explain('$id')"), qr/mapping, .*withheld/, 'so does explain');
unlike(as('admin', "select * from postrider.explain('$id')"), qr/\Q$mark\E/, 'in all of it');
like(as('boss', "select * from postrider.explain('$id')"), qr/\Q$mark\E/, 'unless one may read payloads');
like(as('admin', "select response from postrider.send_test('crm')"), qr/^HTTP.*422.*\n\nwithheld/s, 'the answer to a test may be about anybody');
like(as('boss', "select response from postrider.send_test('crm')"), qr/\Q$mark\E/, 'a payload reader sees it');
like(as('stranger', "set role postrider_reader"), $denied, 'nobody becomes what they are not');

# A function that runs as somebody else: who called it counts, or whose it is, never more.
as('boss', "create function public.peek() returns text language sql security definer
	as 'select string_agg(payload::text, '''') from postrider.message'");
like(as('admin', 'select public.peek()'), qr/\Q$mark\E/, 'a payload reader may give payloads away');
as('admin', "create function public.story(uuid) returns text language sql security definer as 'select string_agg(detail, '''') from postrider.explain(\$1)'");
unlike(as('boss', "select public.story('$id')"), qr/ERROR/, 'a function of an admin works for others');

# A writer
is(as('writer', qq(select postrider.emit('a.b', '{"email": "other"}', dedup_key => 'k'))), $id, 'a deduplicated message tells its id and no more');
for my $query ("select postrider.retry('$id')", "select postrider.replay('crm', now() - interval '1 hour')", "select postrider.purge('$id')",
	"select postrider.cancel('$id')", "select * from postrider.explain('$id')", "select postrider.pause()", "select postrider.resume()",
	"select * from postrider.preview('a.b', '{}')", "select * from postrider.send_test('crm')", "select postrider.set_secret('s')",
	"select * from postrider.delivery", "select * from postrider.endpoint_status()", "select * from postrider.worker_status()",
	"select name from postrider.endpoint", "insert into postrider.message (topic, payload) values ('a.b', '1') returning *",
	"insert into postrider.pending (message_id, endpoint_id, due_at, reason) values ('$id', 1, now(), 'retry')",
	"insert into postrider.endpoint (name, url) values ('mine', 'https://example.com')", "select postrider.wake()",
	"select postrider.run_trial(true, 'crm', 'a.b', '{}', null, null, null)", "select * from postrider.deduplication")
{
	like(as($_, $query), $denied, "$_ cannot $query") for qw(writer stranger);
}
like(as('reader', "select postrider.emit('a.b', '1')"), $denied, 'a reader writes nothing');
like(as('payload', "select postrider.emit('a.b', '1')"), $denied, 'nor does a payload reader');
like(as('stranger', "select postrider.emit('a.b', '1')"), $denied, 'nor a stranger');

# Watching
as('writer', "create table public.writers (id int primary key, note text)");
sql("create table public.owned (id int primary key); grant all on public.owned to writer");
is(as('writer', "select postrider.watch('writers')"), '', 'an owner watches');
like(as('writer', "select postrider.watch('owned')"), qr/permission denied to watch table public.owned.*Only its owner.*HINT: .*/s, 'nobody else, whatever was granted');
like(as('writer', "create trigger t after insert on owned for each row execute function postrider.capture('a.b', '{}', '{}')"),
	qr/permission denied to watch table/, 'nor by hand');
like(as('writer', "do \$\$ begin execute 'create trigger t after insert on owned for each row execute function postrider.capture(''a.b'', ''{}'', ''{}'')'; end \$\$"),
	qr/permission denied to watch table/, 'nor from within a block');
like(as('admin', "select postrider.watch('writers')"), qr/permission denied to watch/, 'an admin of postrider owns no tables by that');
like(as('writer', "select postrider.unwatch('owned')"), qr/not watched/, 'there is nothing to unwatch');
sql("select postrider.watch('owned')");
like(as('writer', "select postrider.unwatch('owned')"), qr/must be owner/, 'what others watch stays watched');
sql("create role team; grant team to writer; alter table owned owner to team");
is(as('writer', "select postrider.watch('owned', 'team.changed')"), '', 'a member of the owning role may');
is(as('writer', "insert into writers values (1, 'x')"), '', 'what is watched is written');
is(sql("select count(*) from postrider.message where topic = 'writers.insert'"), 1, 'and emitted');

$receiver->down;
$node->stop;
done_testing();
