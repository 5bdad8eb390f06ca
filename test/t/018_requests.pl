# Requests of any shape: methods, URLs, headers and bodies with values from messages.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;

my $node = PostriderTest::node('requests');
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub literal { my ($value) = @_; $value =~ s/'/''/g; return "'$value'"; }

sub endpoint
{
	my ($name, $path, %more) = @_;
	my %columns = (name => $name, url => $receiver->url($path), %more);
	my @names = sort keys %columns;
	sql("insert into postrider.endpoint (" . join(', ', @names) . ") values (" . join(', ', map { literal($columns{$_}) } @names) . ")");
}

# Sends it and returns what arrived.
my $arrived = 0;
sub request
{
	my ($endpoint, $payload, $more) = @_;
	$more //= '';
	my $id = sql("select postrider.send('$endpoint', " . literal($payload) . "$more)");
	$arrived++;
	$receiver->wait_for_count($arrived) or die "nothing arrives for $endpoint";
	my $request = ($receiver->requests)[-1];
	$request->{id} = $id;
	return $request;
}

# GraphQL
endpoint('graphql', '/ok/graphql', headers => '{"X-Order": "{{$.id}} of {{topic}}"}',
	body_template => '{"query": "mutation($email: String!, $tags: [String!]) { subscribe(email: $email, tags: $tags) { id } }", "variables": {"email": {{$.email}}, "tags": {{$.tags}}, "note": "for {{$.name}}", "vip": {{$.vip|default:false}}}}');
my $request = request('graphql', '{"id": 7, "email": "o\"neil@example.com", "tags": ["a", "b"], "name": "\"}, {\"x\": \"\\u00e9"}');
my $body = decode_json($request->{body});
is_deeply($body->{variables}, { email => 'o"neil@example.com', tags => [ 'a', 'b' ], note => "for \"}, {\"x\": \"\x{e9}", vip => JSON::PP::false },
	'GraphQL: values are variables, whatever is in them');
like($body->{query}, qr/^mutation\(\$email/, 'and the query is as it was written');
is($request->{headers}{'content-type'}, 'application/json', 'as JSON');
is($request->{headers}{'x-order'}, '7 of message', 'a computed header');

# SOAP
endpoint('soap', '/ok/soap', content_type => 'text/xml; charset=utf-8', headers => '{"SOAPAction": "\"urn:AddOrder\""}',
	body_template => '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><AddOrder id="{{$.id}}"><name>{{$.name}}</name><note><![CDATA[{{$.note}}]]></note></AddOrder></soap:Body></soap:Envelope>');
$request = request('soap', '{"id": "a\"b<", "name": "Tom & <b>Jerry</b>", "note": "x]]><evil/>"}');
like($request->{body}, qr{<AddOrder id="a&quot;b&lt;"><name>Tom &amp; &lt;b&gt;Jerry&lt;/b&gt;</name>}, 'SOAP: values are text');
like($request->{body}, qr{<note><!\[CDATA\[x\]\]\]\]><!\[CDATA\[><evil}, 'also in a CDATA section');
unlike($request->{body} =~ s/<!\[CDATA\[.*?\]\]>//gsr, qr/<evil/, 'which they cannot end');
is($request->{headers}{'content-type'}, 'text/xml; charset=utf-8', 'content type');
is($request->{headers}{soapaction}, '"urn:AddOrder"', 'SOAPAction');

# A postback: GET, all in the URL.
endpoint('postback', '/ok/postback?click={{$.click}}&amount={{$.total}}&tx={{id}}&sub={{$.sub|default:""}}&at={{created_at_s}}', method => 'GET');
$request = request('postback', '{"click": "a b&c=d/é?#", "total": 12.50}');
is($request->{method}, 'GET', 'a postback is a GET');
like($request->{path}, qr{^/ok/postback\?click=a%20b%26c%3Dd%2F%C3%A9%3F%23&amount=12\.50?&tx=$request->{id}&sub=&at=\d{10}$}, 'every value is URL-encoded');
is($request->{body}, '', 'without a body');
is($request->{headers}{'content-type'}, undef, 'nor a content type');
is($request->{headers}{'webhook-id'}, undef, 'nor headers of Standard Webhooks');

# PATCH /contacts/{{key}}
endpoint('contact', '/ok/contacts/{{key}}?since={{$.since}}', method => 'PATCH', format => 'raw', idempotency_key => 'Idempotency-Key');
$request = request('contact', '{"since": "2026-01-01T00:00:00+01:00", "a": 1}', ", key => 'x/../y z'");
is("$request->{method} $request->{path}", 'PATCH /ok/contacts/x%2F..%2Fy%20z?since=2026-01-01T00%3A00%3A00%2B01%3A00', 'PATCH with a key in the path');
is_deeply(decode_json($request->{body}), { since => '2026-01-01T00:00:00+01:00', a => 1 }, 'raw is the payload');
is($request->{headers}{'idempotency-key'}, $request->{id}, 'Idempotency-Key is the id of the message');
endpoint('remove', '/ok/contacts/{{key}}', method => 'DELETE');
$request = request('remove', '{}', ", key => 'k1'");
is("$request->{method} $request->{path} $request->{body}", 'DELETE /ok/contacts/k1 ', 'DELETE without a body');

endpoint('poke', '/ok/poke', format => 'none');
$request = request('poke', '{"a": 1}');
is("$request->{method} $request->{body} " . ($request->{headers}{'content-length'} // 'none') . ' ' . ($request->{headers}{'content-type'} // 'none'), 'POST  0 none', 'a POST without a body says that it is empty');
endpoint('remove2', '/ok/contacts', method => 'DELETE', body_template => '{"id": {{$.id}}}');
$request = request('remove2', '{"id": 4}');
is("$request->{method} $request->{body}", 'DELETE {"id": 4}', 'DELETE with a body');

# Forms
endpoint('form', '/ok/form', format => 'form');
$request = request('form', '{"name": "A & B", "n": 1.5, "ok": true, "none": null, "tags": ["x", "y=z"], "o": {"a": 1}}');
is(join('&', sort split /&/, $request->{body}), 'n=1.5&name=A+%26+B&o=%7B%22a%22%3A+1%7D&ok=true&tags=x&tags=y%3Dz', 'a form of the members of the payload');
is($request->{headers}{'content-type'}, 'application/x-www-form-urlencoded', 'content type');
endpoint('form2', '/ok/form2', content_type => 'application/x-www-form-urlencoded', body_template => 'To={{$.to}}&Body=Hello+{{$.name}}');
$request = request('form2', '{"to": "+4930123", "name": "Zoé & Co"}');
is($request->{body}, 'To=%2B4930123&Body=Hello+Zo%C3%A9+%26+Co', 'a form by template');

# CloudEvents
endpoint('ce', '/ok/ce', format => 'cloudevents');
$request = request('ce', '{"n": 1}', ", key => 'k'");
$body = decode_json($request->{body});
is_deeply([ @$body{qw(specversion id source type subject datacontenttype)} ], [ '1.0', $request->{id}, '/postrider/postgres', 'message', 'k', 'application/json' ], 'a structured CloudEvent');
is_deeply($body->{data}, { n => 1 }, 'with the payload as data');
like($body->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'and a time');
is($request->{headers}{'content-type'}, 'application/cloudevents+json', 'content type');
endpoint('ceb', '/ok/ceb', format => 'cloudevents-binary');
$request = request('ceb', '{"n": 1}', ", key => 'Zoé 100%'");
is_deeply([ @{ $request->{headers} }{qw(ce-specversion ce-id ce-source ce-type ce-subject content-type)} ],
	[ '1.0', $request->{id}, '/postrider/postgres', 'message', 'Zo%C3%A9%20100%25', 'application/json' ], 'a binary CloudEvent: attributes are headers');
is_deeply(decode_json($request->{body}), { n => 1 }, 'and the body is the payload');
endpoint('cebatch', '/ok/cebatch', format => 'cloudevents', batch_size => 10, batch_format => 'json-array', batch_delay => '200 ms');
sql("select postrider.send('cebatch', jsonb_build_object('n', n)) from generate_series(1, 3) n");
$arrived++;
$receiver->wait_for_count($arrived);
$request = ($receiver->requests)[-1];
is_deeply([ map { $_->{data}{n} } @{ decode_json($request->{body}) } ], [ 1, 2, 3 ], 'a batch of CloudEvents');
is($request->{headers}{'content-type'}, 'application/cloudevents-batch+json', 'content type');

# What is signed is what is sent.
my $secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
sql("select postrider.set_secret('key', '$secret')");
endpoint('signed', '/ok/signed', format => 'raw', signing_secret => 'key');
ok(PostriderTest::verify(request('signed', '{"n": 1}'), $secret), 'a raw body is signed');

# A trace goes on, with a new span for each attempt.
my $trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
endpoint('traced', '/first/503/2/traced', backoff_base => '10 ms', backoff_max => '20 ms');
sql("set postrider.traceparent = '$trace'; select postrider.send('traced', '{}')");
$receiver->wait_for_count(3, '/first/503/2/traced');
$arrived += 3;
my @spans = map { $_->{headers}{traceparent} } $receiver->requests('/first/503/2/traced');
is(scalar(grep { /^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$/ } @spans), 3, 'attempts are in the trace');
my %spans = map { $_ => 1 } @spans, $trace;
is(scalar keys %spans, 4, 'each is a span of its own');

# Mapped first.
sql(q(insert into postrider.mapping (name, definition) values ('crm', '{"fields": [{"to": "contact.id", "from": "$.id", "type": "string"}]}')));
endpoint('mapped', '/ok/mapped/{{$.contact.id}}', format => 'raw', method => 'PUT');
sql("insert into postrider.subscription (topic, endpoint, mapping) values ('mapped.in', 'mapped', 'crm')");
sql(q(select postrider.emit('mapped.in', '{"id": 9, "secret": 1}')));
$arrived++;
$receiver->wait_for_count($arrived);
$request = ($receiver->requests)[-1];
is("$request->{path} $request->{body}", '/ok/mapped/9 {"contact": {"id": "9"}}', 'templates take what the mapping made');

# Values that are missing or cannot stand where they should.
endpoint('picky', '/ok/picky/{{$.id}}', headers => '{"X-Name": "{{$.name}}"}', max_attempts => 3);
for my $bad (
	[ '{"name": "a"}', qr/no URL could be made: the value of \{\{\$\.id\}\} is missing/ ],
	[ '{"id": "..", "name": "a"}', qr/no URL could be made: .* is "\." or "\.\."/ ],
	[ '{"id": "", "name": "a"}', qr/no URL could be made: .* is empty/ ],
	[ '{"id": 1, "name": "a\r\nX-Evil: 1"}', qr/the header X-Name could not be made: .* line break/ ],
	[ '{"id": 1, "name": "a\\nb"}', qr/the header X-Name could not be made: .* line break/ ],
	[ '{"id": 1, "name": "' . 'x' x 9000 . '"}', qr/the header X-Name could not be made: it is longer than 8192 bytes/ ],
	[ '{"id": "' . 'x' x 20000 . '", "name": "a"}', qr/the URL is longer than 16384 bytes/ ],
	[ '{"id": 1, "name": null}', qr/the header X-Name could not be made: .* is missing/ ])
{
	my ($payload, $problem) = @$bad;
	my $id = sql("select postrider.send('picky', " . literal($payload) . ")");
	PostriderTest::wait_for($node, "select count(*) from postrider.dead_letter where message_id = '$id'", 1);
	like(sql("select error_code || ': ' || error from postrider.dead_letter where message_id = '$id'"), qr/^template: $problem/, 'dead, and says why: ' . substr($payload, 0, 40));
}
$request = request('picky', '{"id": 1, "name": "ok"}');
is($request->{path}, '/ok/picky/1', 'the endpoint is not to blame');
is(sql("select breaker from postrider.endpoint_health where endpoint = 'picky'"), 'closed', 'its breaker is closed');

# A dead letter is made anew, with the template as it is then.
endpoint('mended', '/ok/mended?name={{$.name}}', method => 'GET');
my $dead = sql("select postrider.send('mended', '{}')");
PostriderTest::wait_for($node, "select count(*) from postrider.dead_letter where message_id = '$dead'", 1);
sql("update postrider.endpoint set url = '" . $receiver->url('/ok/mended?name={{$.name|default:"nobody"}}') . "' where name = 'mended'");
sql("select postrider.retry('$dead')");
$arrived++;
$receiver->wait_for_count($arrived);
is(($receiver->requests)[-1]{path}, '/ok/mended?name=nobody', 'a dead letter can go once the template has a default');

# The endpoint gets a template while messages wait for it.
endpoint('later', '/ok/later');
sql("select postrider.pause('later')");
sql("select postrider.send('later', '{\"id\": 5}')");
sql("update postrider.endpoint set url = '" . $receiver->url('/ok/later/{{$.id}}') . "' where name = 'later'");
sql("select postrider.resume('later')");
$arrived++;
$receiver->wait_for_count($arrived);
is(($receiver->requests)[-1]{path}, '/ok/later/5', 'what waited gets the new URL');

# What is refused when it is written.
for my $bad (
	[ { url => 'http://{{key}}.example.com/' }, qr/url of endpoint "bad" has a place in its host/ ],
	[ { url => 'http://example.com/{{order_id}}' }, qr/url of endpoint "bad" has a place for "order_id", which no message has \(at character 20\)\nHINT:  Places are/ ],
	[ { url => 'http://example.com/{{$.a' }, qr/is not closed/ ],
	[ { url => 'http://example.com/{{$.a[}}' }, qr/not closed|is no path/ ],
	[ { method => 'GET', format => 'raw' }, qr/a GET request has none\nHINT:  Put values into the url/ ],
	[ { method => 'HEAD' }, qr/method of endpoint "bad" is not supported\nHINT/ ],
	[ { format => 'soap' }, qr/is no format: "soap"\nHINT/ ],
	[ { format => 'template' }, qr/needs a body_template/ ],
	[ { body_template => '{"a": {{$.a}}' }, qr/body_template of endpoint "bad" makes no JSON/ ],
	[ { body_template => '{"query": "{ user(email: \"{{$.email}}\") { id } }"}' }, qr/place \{\{\$\.email\}\} in a GraphQL document, where values belong into "variables" \(at character 28\)/ ],
	[ { body_template => '<a b={{$.b}}/>', content_type => 'text/xml' }, qr/body_template of endpoint "bad" has a place .* in a tag, but not in quotes/ ],
	[ { body_template => '{"a": {{$.a}}}', headers => '{"content-type": "application/vnd.api+json"}' }, qr/headers of endpoint "bad" has a Content-Type beside a body_template\nHINT:  Set content_type/ ],
	[ { url => 'http://example.com/#{{key}}' }, qr/url of endpoint "bad" has a place .* behind a #/ ],
	[ { url => 'http://example.com:{{key}}/' }, qr/invalid port/ ],
	[ { url => 'http://{{"user"}}@example.com/' }, qr/must not have a user name/ ],
	[ { url => 'http{{key}}://example.com/' }, qr/does not begin with https/ ],
	[ { url => '{{$.url}}' }, qr/does not begin with https/ ],
	[ { headers => '{"X-{{key}}": "a"}' }, qr/header/ ],
	[ { content_type => "text/plain\nX: y" }, qr/content_type of endpoint "bad" has characters/ ],
	[ { idempotency_key => 'Idempotency Key' }, qr/idempotency_key of endpoint "bad" is no name of a header/ ],
	[ { format => 'form', batch_size => 5, batch_format => 'ndjson' }, qr/format of endpoint "bad" does not go with batches/ ],
	[ { url => 'http://example.com/{{key}}', batch_size => 5, batch_format => 'ndjson' }, qr/does not go with batches/ ])
{
	my %columns = (name => 'bad', url => 'http://example.com/', %{ $bad->[0] });
	my @names = sort keys %columns;
	my ($status, $out, $err) = $node->psql('postgres', "insert into postrider.endpoint (" . join(', ', @names)
		. ") values (" . join(', ', map { literal($columns{$_}) } @names) . ")");
	like($err, $bad->[1], 'refused: ' . join(', ', map { "$_ $bad->[0]{$_}" } sort keys %{ $bad->[0] }));
}

$receiver->down;
done_testing();
