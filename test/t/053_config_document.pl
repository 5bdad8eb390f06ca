# The configuration as a document: the same bytes, there and back, all or nothing; and back to any point of its history.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $seed = $ENV{SEED} || time;
my $steps = $ENV{STEPS} || 120;
my $node = PostriderTest::node('document');
my $receiver = PostriderTest::Receiver->start;
my $url = $receiver->url('/ok');
my $json = JSON::PP->new->canonical;
$node->safe_psql('postgres', 'create role ann login in role postrider_admin');

sub sql { return $node->safe_psql($_[1] || 'postgres', $_[0]) }

# As an administrator who is no superuser.
sub as_ann
{
	my ($sql, $database) = @_;
	my ($out, $err) = ('', '');
	$node->psql($database || 'postgres', $sql, stdout => \$out, stderr => \$err,
		connstr => $node->connstr($database || 'postgres') . ' user=ann', extra_params => [ '-v', 'ON_ERROR_STOP=1' ]);
	return "$out$err";
}
sub export { return $json->encode(decode_json(sql('select postrider.export_config()', $_[0]))) }

# Rows of a dry run, or of the real thing; what is asked for, and no more.
sub apply
{
	my ($document, $options, $columns, $database) = @_;
	$document =~ s/'/''/g;
	return as_ann("select " . ($columns || q{concat_ws(' ', action, kind, name, field)})
		. " from postrider.apply_config('$document'" . ($options ? ", $options" : '') . ') order by 1', $database);
}

my $tables = q{create schema shop; create table shop.orders (id int primary key, total numeric, note text);
	alter table shop.orders owner to ann; grant usage on schema shop to ann;
	create function shop.handle(m postrider.message) returns void language sql as 'select null::void';
	grant execute on function shop.handle to ann; alter function shop.handle owner to ann;};
sql($tables);
sql(q{grant create, usage on schema shop to ann});

is(join(',', sort keys %{ decode_json(sql('select postrider.export_config()'))->{alerts} }), 'backlog,dead_letters,endpoint_down,partitions,problem,secret_expires,worker_missing',
	'the alerts that are there from the start are in the document');
sql('delete from postrider.alert');
is(sql('select postrider.export_config()'), '{"format": 1}', 'without them nothing is configured, and nothing is in the document');
sql(q{select postrider.set_secret('shop'); select postrider.set_secret('crm')});
is(as_ann(qq{
	insert into postrider.mapping (name, definition, description) values
		('contact', '{"fields": [{"to": "a", "from": "\$.a", "default": null}]}', 'the first'),
		('contact', '{"fields": [{"to": "b", "from": "\$.a"}]}', null), ('other', '{"fields": [{"to": "c", "from": "\$.a"}]}', 'x');
	insert into postrider.schema (name, schema, description) values
		('first', '{"\$ref": "second"}', 'each refers to the other'), ('second', '{"type": "object", "properties": {"a": {"\$ref": "first"}}}', null);
	insert into postrider.topic (name, description, schema, compatibility) values
		('z.base', 'base', '{"\$id": "urn:base", "type": "number"}', 'none');
	insert into postrider.topic (name, description, schema, compatibility) values ('a.uses', null, '{"\$ref": "urn:base"}', 'backward'), ('plain', 'no schema', null, 'none');
	update postrider.topic set schema = '{"\$id": "urn:base", "type": ["number", "null"]}' where name = 'z.base';
	insert into postrider.endpoint (name, url, signing_secret, timeout, retry_schedule, warn_at, ordered, rate_limits, response_rules, headers) values
		('crm', '$url/{{key}}?since={{\$.since}}', 'crm', '90 s', '{1 min,2 h}', null, true, '100 per 10 s burst 20', null, '{"X-Shop": "7"}'),
		('Ünï "q" ''n''', '$url', 'shop', default, default, 0.5, false, null, null, null);
	insert into postrider.subscription (topic, endpoint, filter, mapping, mapping_version, enabled, description) values
		('order.*', 'crm', '\$.total > 10', 'contact', 1, true, null), ('order.*', 'crm', '\$.total <= 10', 'contact', null, true, 'small'),
		('order.**', 'crm', null, null, null, false, null), ('plain', 'Ünï "q" ''n''', null, 'other', null, true, null);
	select postrider.on_message('plain', 'shop.handle(postrider.message)');
	select postrider.watch('shop.orders', columns => '{total,note}');
	select postrider.watch('shop.orders', 'orders.big', '{insert,update}', condition => 'new.total > 100 and new.note is distinct from ''it''''s''', key_columns => '{note}', priority => 'high');
}) =~ s/[^a-zE]//gr, 'shophandle', 'much is configured, by an administrator');

# The same bytes.
my $document = sql('select postrider.export_config()');
is(sql('select postrider.export_config()'), $document, 'twice the same bytes');
is(sql(q{set timezone = 'Asia/Tokyo'; set datestyle = 'German'; set intervalstyle = 'sql_standard'; set extra_float_digits = 0; set search_path = shop, public;
	select postrider.export_config()}), $document, 'whatever the session has set');
is(as_ann('select postrider.export_config()'), $document, 'whoever asks');
unlike($document, qr/whsec_|created_at|after_id|"id"|ciphertext|"version"/, 'without secrets, times and generated numbers');
is(decode_json($document)->{endpoints}{crm}{timeout}, '00:01:30', 'what is set is there');
ok(!exists decode_json($document)->{endpoints}{crm}{max_attempts}, 'and what is left to the default is not');
ok(exists decode_json($document)->{endpoints}{crm}{warn_at}, 'NULL is, where it is not the default');
is(apply($document), '', 'applied to where it comes from, it changes nothing');
is(apply($document, 'prune => true'), '', 'nor by pruning');

# Round trip.
for my $database ('other', 'linguistic')
{
	sql($database eq 'other' ? 'create database other' : q{create database linguistic template template0 locale_provider icu icu_locale 'de' encoding 'UTF8'});
	sql('create extension postrider; delete from postrider.alert; ' . $tables . ' grant create, usage on schema shop to ann', $database);
	is(apply($document, 'dry_run => false', undef, $database) =~ /secret "crm": secret "crm" does not exist\n.*HINT:.*set_secret\('crm'\);/s ? 1 : 0, 1, 'a missing secret is named, with the statement to run');
	is(sql('select postrider.export_config()', $database), '{"format": 1}', 'and nothing was done');
	is(as_ann(q{select string_agg(kind, ',' order by kind) from postrider.apply_config('} . $document =~ s/'/''/gr . q{') where problem is not null}, $database),
		'endpoint,endpoint,secret,secret,subscription,subscription,subscription,subscription', 'a dry run lists each problem: secrets, and what needs them');
	is(sql('select postrider.export_config()', $database), '{"format": 1}', 'and does nothing either');
	is(sql(q{select count(*) from postrider.config_history where kind <> 'alert'}, $database), 0, 'that would be seen in the history');
	sql(q{select postrider.set_secret('shop'); select postrider.set_secret('crm')}, $database);
	my $planned = apply($document, '', undef, $database);
	like($planned, qr/^create endpoint crm$/m, 'a dry run says what would be done');
	is(apply($document, 'dry_run => false', undef, $database), $planned, 'what is done then');
	is(sql('select postrider.export_config()', $database), $document, 'there and back: the same bytes, though mappings, schemas and topics refer to each other');
}

# What would change, field by field.
my $wanted = decode_json($document);
$wanted->{endpoints}{crm}{timeout} = '20 seconds';
$wanted->{endpoints}{crm}{max_attempts} = 12;
$wanted->{endpoints}{crm}{rate_limits} = '5 per 1 s';
$wanted->{endpoints}{new} = { url => $url };
$wanted->{subscriptions}{new} = [ { topic => 'a.*' } ];
$wanted->{subscriptions}{crm}[1]{filter} = '$.total > 11';
$wanted->{topics}{'plain'}{description} = 'changed';
delete $wanted->{endpoints}{"\x{dc}n\x{ef} \"q\" 'n'"};
delete $wanted->{mappings}{other};
pop @{ $wanted->{subscriptions}{crm} };
my $changed = $json->encode($wanted);
my $plan = apply($changed);
is($plan, join("\n", 'change endpoint crm rate_limits', 'change endpoint crm timeout', 'change subscription crm: order.* #2 filter',
		'change topic plain description', 'create endpoint new', 'create subscription new: a.*', 'delete subscription crm: order.**', 'unlisted endpoint Ünï "q" \'n\'', 'unlisted mapping other'),
	'what differs, and no more: values as their types read them, defaults as good as nothing') or diag $plan;
is(as_ann("select old, new from postrider.apply_config('" . $changed =~ s/'/''/gr . "') where field = 'timeout'"), '"00:01:30"|', 'the old and the new value; nothing stands for the default');
my $before_apply = sql('select max(id) from postrider.config_history');
is(apply($changed, 'dry_run => false') =~ tr/\n//, 8, 'it is applied');
is(sql(q{select count(distinct xid), string_agg(distinct reason, ',') from postrider.config_history where id > } . $before_apply), '1|apply_config', 'in one transaction, and the history says by what');
is(sql(q{select string_agg(name, ',' order by name) from postrider.endpoint where name in ('crm', 'new') or name like 'Ü%'}), q{crm,new,Ünï "q" 'n'}, 'what the document does not name stays');
is(apply($changed), qq{unlisted endpoint Ünï "q" 'n'\nunlisted mapping other}, 'and is shown');
like(apply($changed, 'prune => true, dry_run => false'), qr/delete endpoint/, 'unless that is to go');
is(sql(q{select count(*) from postrider.endpoint where name like 'Ü%'}), 0, 'then it goes');
is(sql(q{select count(*) from postrider.secret}), 2, 'but secrets never');

# Secrets that are elsewhere: the document says where, so nothing is missing.
my $elsewhere = q({"format": 1, "secrets": {
	"a": {"source": {"store": "vault", "url": "https://v.example.com", "path": "x/a", "field": "k", "token": "z"}, "description": "of the shop", "warn_before": "3 days"},
	"z": {"source": {"store": "vault", "url": "https://v.example.com", "path": "x/z", "field": "k", "token": "crm"}}}});
sub done { return join "\n", grep { !/^unlisted/ } split /\n/, apply($_[0], 'dry_run => false', undef, 'other') }
is(done($elsewhere), "create secret a\ncreate secret z", 'secrets with a source are created, whatever the order');
is_deeply(decode_json(sql('select postrider.export_config()', 'other'))->{secrets}{a}, decode_json($elsewhere)->{secrets}{a}, 'as they were');
my $moved = $elsewhere =~ s{x/a}{y/a}r =~ s/of the shop/moved/r;
is(done($moved), "change secret a description\nchange secret a source", 'a source is changed');
is(sql(q{select description, source ->> 'path' from postrider.secret where name = 'a'}, 'other'), 'moved|y/a', 'and what is beside it');

# All or nothing, and all that is wrong at once.
my $state = export();
my $bad = q({"format": 1, "endpoint": {}, "endpoints": {"good": {"url": "https://example.com"}, "a": {"heders": {}}, "b": {"url": "https://example.com", "timeout": "soon"},
	"c": {"url": "https://example.com", "signing_secret": "nope"}, "d": [], "e": {"url": "http://10.1.2.3/"}, "f": {"url": "https://example.com", "id": 7}},
	"subscriptions": {"nobody": [{"topic": "a"}], "good": {"topic": "a"}}, "topics": {"Not A Topic": {}}, "mappings": {"m": {"definition": {"fields": 1}}}, "watches": {"shop.nothing": [{"topic": "a.b"}]}});
my $problems = apply($bad, '', q{concat_ws(' ', kind, name, problem)});
like($problems, $_, "it says $_") for qr/^endpoint there is no such section; perhaps "endpoints" was meant$/m, qr/^endpoint a has no field "heders"; perhaps "headers" was meant$/m,
	qr/^endpoint b invalid input syntax for type interval: "soon"$/m, qr/^endpoint c secret "nope" of endpoint "c" does not exist/m, qr/^endpoint d must be an object$/m,
	qr/^endpoint e .*10\.1\.2\.3/m, qr/^endpoint f has no field "id"/m, qr/^subscription nobody: a endpoint "nobody" does not exist/m, qr/^subscription good:[^\n]* must be an object/m,
	qr/^topic Not A Topic/m, qr/^mapping m /m, qr/^watch shop.nothing: a.b relation "shop.nothing" does not exist/m;
my $error = apply($bad, 'false');
like($error, qr/ERROR:  the configuration was not changed: there are 12 problems/, 'for real it is an error');
like($error, qr/endpoint "b": invalid input syntax/, 'with all of them in its detail');
is(export(), $state, 'and nothing was changed');
like(apply($_, ''), qr/ERROR:  (format of the configuration is|configuration must be)/, "no document: $_") for '{}', '[]', '{"format": 2}', '{"endpoints": {}}';

# What is owed.
sql(qq{insert into postrider.endpoint (name, url, enabled, disabled_reason) values ('shut', '$url', false, 'the receiver said 410')});
sql(q{select postrider.send('shut', to_jsonb(i)) from generate_series(1, 3) i});
ok(PostriderTest::wait_for($node, q{select count(*) from postrider.delivery where status = 'held'}, 3), 'an endpoint owes something');
like(apply($state, 'prune => true', 'note'), qr/^3 deliveries that it owes will be cancelled$/m, 'before it is deleted, that is said');
like(apply(qq({"format": 1, "endpoints": {"shut": {"url": "$url"}}}), '', 'note'), qr/^it was disabled: the receiver said 410$/m, 'so is why an endpoint was disabled that a document enables');
apply($state, 'prune => true, dry_run => false');
is(export(), $state, 'and it goes');

# Values that are hidden.
as_ann(qq{insert into postrider.endpoint (name, url, headers) values ('hidden', '$url?api_key=planted&x=1', '{"Authorization": "Bearer planted", "X-Shop": "7"}')});
my $masked = export();
unlike($masked, qr/planted/, 'headers and parameters that are secret by their name are not in the document');
is(apply($masked), '', 'which still changes nothing');
my $edited = $masked =~ s/"X-Shop":"7"}/"X-Shop":"8"}/gr;
apply($edited, 'false');
is(sql(q{select headers, url from postrider.endpoint where name = 'hidden'}), qq({"X-Shop": "8", "Authorization": "Bearer planted"}|$url?api_key=planted&x=1), 'and keeps them where it changes others');
sql(q{delete from postrider.endpoint where name = 'hidden'});
like(apply($edited, '', 'problem'), qr/the value of header "Authorization" is not in the document/, 'but where they are not, it says so');
apply($state, 'prune => true, dry_run => false');

# Rights are those of the caller.
sql(q{create table shop.private (id int primary key)});
like(apply(q({"format": 1, "watches": {"shop.private": [{"topic": "private.changed"}]}}), '', 'problem'), qr/permission denied|must be owner|owner/, 'a table that one may not watch is not watched by a document');
like(apply(q({"format": 1, "endpoints": {"f": {"url": "function:shop.handle(postrider.message)", "run_as": "postgres"}}}), '', 'problem'), qr/permission denied to have a function run as role "postgres"/, 'and no function runs as somebody else');
sql('drop table shop.private');

# Back to any point.
srand($seed);
note("SEED=$seed STEPS=$steps");
sub pick { return $_[ int rand @_ ] }
my @endpoints = map { "e$_" } 1 .. 4;
my @changes = (
	sub { sprintf q{insert into postrider.endpoint (name, url, max_attempts) values ('%s', '%s', %d) on conflict do nothing}, pick(@endpoints), $url, 1 + int rand 20 },
	sub { sprintf q{update postrider.endpoint set timeout = '%d s', description = %s where name = '%s'}, 1 + int rand 9, pick('null', q{'x'}, q{'y'}), pick(@endpoints) },
	sub { sprintf q{update postrider.endpoint set warn_at = %s, retry_schedule = %s, headers = %s}, pick('null', 'default', '0.5'), pick('null', q{'{1 s}'}), pick('null', q['{"X-A": "1"}'], q['{}']) },
	sub { sprintf q{update postrider.endpoint set enabled = not enabled where name = '%s'}, pick(@endpoints) },
	sub { sprintf q{delete from postrider.endpoint where name = '%s'}, pick(@endpoints) },
	sub { sprintf q{insert into postrider.subscription (topic, endpoint, filter, mapping, mapping_version) select '%s', e.name, %s, m.name, %s from postrider.endpoint e
		left join (select name, max(version) as version, min(version) as first from postrider.mapping where name = '%s' group by name) m on true where e.name = '%s'},
		pick('a', 'a.*', 'b'), pick('null', q{'$.a > 1'}, q{'$.a > 2'}), pick('null', 'm.version', 'm.first'), pick('m1', 'm2'), pick(@endpoints) },
	sub { q{update postrider.subscription set filter = '$.z == 3' where id = (select min(id) from postrider.subscription where endpoint like 'e_')} },
	sub { q{delete from postrider.subscription where id = (select max(id) from postrider.subscription where endpoint like 'e_')} },
	sub { sprintf q{insert into postrider.mapping (name, definition, description) values ('%s', '{"fields": [{"to": "t%d", "from": "$.a"}]}', %s)}, pick('m1', 'm2'), int rand 3, pick('null', q{'d'}) },
	sub { sprintf q{delete from postrider.mapping m where name = '%s' and not exists (select from postrider.subscription s where s.mapping = m.name)}, pick('m1', 'm2') },
	sub { sprintf q{insert into postrider.topic (name, schema) values ('%s', %s) on conflict (name) do update set schema = excluded.schema}, pick('t.a', 't.b'), pick('null', q{'true'}, q['{"type": "object"}']) },
	sub { sprintf q{delete from postrider.topic where name = '%s'}, pick('t.a', 't.b') },
	sub { sprintf q{update postrider.topic set name = 't.c' where name = '%s' and not exists (select from postrider.topic where name = 't.c')}, pick('t.a', 't.b') },
	sub { sprintf q{insert into postrider.schema (name, schema) values ('s%d', '{"maxLength": %d}') on conflict (name) do update set schema = excluded.schema}, int rand 3, int rand 3 },
	sub { sprintf q{select postrider.watch('shop.orders', '%s', '{%s}', condition => %s)}, pick('w.a', 'w.b'), pick('insert', 'insert,update', 'update'), pick('null', q{'new.total > 1'}) },
	sub { sprintf q{do $$ begin perform postrider.unwatch('shop.orders', '%s'); exception when undefined_object then null; end $$}, pick('w.a', 'w.b') },
	sub { sprintf q{select postrider.%s('%s')}, pick('pause', 'resume'), pick('e*') },
	sub { q{truncate postrider.subscription} },
	sub { 'begin; ' . join('; ', map { sprintf q{update postrider.endpoint set max_attempts = %d where name = '%s'}, 1 + int rand 20, $_ } @endpoints) . '; commit' });
my @points;
for my $step (1 .. $steps)
{
	my $change = pick(@changes)->();
	$node->psql('postgres', $change, on_error_stop => 1);
	push @points, [ split(/\|/, sql('select max(id), clock_timestamp() from postrider.config_history'), 2), export(), $change ] if $step % 3 == 0;
}
my ($wrong, $exported) = (0, 0);
for my $point (@points)
{
	$exported++ if $json->encode(decode_json(sql("select postrider.export_config(at => '$point->[1]')"))) eq $point->[2];
}
is($exported, scalar @points, 'the document of any time is that which was exported then');
for my $n (1 .. 15)
{
	my $point = pick(@points);
	my $by = $n % 2 ? "to_id => $point->[0]" : "to_time => '$point->[1]'";
	my ($out, $err) = ('', '');
	$node->psql('postgres', "select * from postrider.revert_config($by, dry_run => false)", stdout => \$out, stderr => \$err);
	my $now = export();
	next if $now eq $point->[2];
	$wrong++;
	diag("after $by, which followed $point->[3]:\n$err\n$now\ninstead of\n$point->[2]");
}
is($wrong, 0, 'and the configuration can be brought back to it, again and again');
is(sql(q{select count(*) > 0 from postrider.config_history where reason like 'revert_config to %'}), 't', 'which the history tells');
like(as_ann('select * from postrider.revert_config()'), qr/needs either to_time or to_id/, 'one must say where to');
like(as_ann('select * from postrider.revert_config(to_id => 999999)'), qr/there is no change 999999/, 'where something was');
like(as_ann(q{select * from postrider.revert_config(to_time => now() + interval '1 day')}), qr/lies ahead/, 'and not in the future');

# What cannot come back.
my $point = sql('select max(id) from postrider.config_history');
sql(q{select postrider.set_secret('crm')});
like(as_ann("select name, note from postrider.revert_config(to_id => $point)"), qr/^crm\|its value has changed since then and does not come back$/m, 'that the value of a secret does not come back is said');
$node->stop('fast');
done_testing();
