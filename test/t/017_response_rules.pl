# Response rules: the answers in which real APIs hide failures and limits, played to
# the worker with the rules that doc/response_rules.md has for them.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PostriderTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostriderTest::node('rules');
my $receiver = PostriderTest::Receiver->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub endpoint
{
	my ($name, $url, %columns) = @_;
	my $names = join '', map { ", $_" } sort keys %columns;
	my $values = join '', map { ", $columns{$_}" } sort keys %columns;
	sql("insert into postrider.endpoint (name, url$names) values ('$name', '$url'$values)");
}
sub refused
{
	my (undef, undef, $error) = $node->psql('postgres', $_[0]);
	return $error;
}

my %sets;
my $document = slurp_file('../doc/response_rules.md');
$sets{$1} = $2 while $document =~ /^### (.*?)\n.*?```json\n(.*?)```/smg;
cmp_ok(scalar(keys %sets), '>=', 16, 'the document has ready-made sets');
is(sql("select count(*) from postrider.check_response_rules(\$r\$$sets{$_}\$r\$)"), 0, "the rules for $_ can be used") for sort keys %sets;

my $fault = '<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><soapenv:Fault>%s</soapenv:Fault></soapenv:Body></soapenv:Envelope>';
my $google = '{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Too many requests","details":[%s]}}';
my $meta = '{"error":{"message":"m","type":"OAuthException","code":%d,"is_transient":false,"fbtrace_id":"x"}}';

# set, what it is, status, headers, body, action, seconds to wait at 10:00 UTC
my @cases = (
	[ 'HubSpot', 'all well', 200, {}, '{"status":"COMPLETE","results":[{}]}', 'success' ],
	[ 'HubSpot', 'partial', 207, {}, '{"status":"COMPLETE","numErrors":1,"errors":[{"context":{"objectWriteTraceId":["7"]}}]}', 'split_batch' ],
	[ 'HubSpot', 'nothing written', 400, {}, '{"status":"error","category":"VALIDATION_ERROR"}', 'split_batch' ],
	[ 'HubSpot', 'rolling', 429, { 'X-HubSpot-RateLimit-Interval-Milliseconds' => 10000 }, '{"policyName":"TEN_SECONDLY_ROLLING"}', 'throttle', 10 ],
	[ 'HubSpot', 'with Retry-After only', 429, { 'Retry-After' => 4 }, '{"policyName":"SECONDLY"}', 'throttle', 4 ],
	[ 'HubSpot', 'daily', 429, {}, '{"policyName":"DAILY"}', 'throttle', 50400 ],
	[ 'Salesforce', 'limit', 403, { 'Sforce-Limit-Info' => 'api-usage=5000/5000' }, '[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]', 'throttle', 900 ],
	[ 'Salesforce', 'partial', 200, {}, '[{"id":"001","success":true,"errors":[]},{"success":false,"errors":[{"statusCode":"REQUIRED_FIELD_MISSING"}]}]', 'split_batch' ],
	[ 'Salesforce', 'locked', 200, {}, '[{"success":false,"errors":[{"statusCode":"UNABLE_TO_LOCK_ROW"}]}]', 'retry' ],
	[ 'Salesforce', 'session', 401, {}, '[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]', 'refresh_token' ],
	[ 'Salesforce', 'no session of this kind', 401, {}, '[{"message":"This session is not valid for use with the REST API","errorCode":"INVALID"}]', 'dead' ],
	[ 'Salesforce', 'forbidden', 403, {}, '[{"errorCode":"INSUFFICIENT_ACCESS"}]', 'dead' ],
	[ 'Salesforce', 'well', 200, {}, '[{"id":"001","success":true,"errors":[]}]', 'success' ],
	[ 'Dataverse', 'limit', 429, { 'Retry-After' => 23 }, '{"error":{"code":"0x80072322"}}', 'throttle', 23 ],
	[ 'Dataverse', 'rolled back', 400, {}, '{"error":{"code":"0x80040237"}}', 'split_batch' ],
	[ 'Dataverse', 'elastic', 500, {}, '{"error":{"@Microsoft.PowerApps.CDS.ErrorDetails.Plugin.BulkApiErrorDetails":"[{\"RequestIndex\":3}]"}}', 'split_batch' ],
	[ 'Dataverse', 'batch', 200, { 'Content-Type' => 'multipart/mixed;boundary=b' }, "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n--b--\r\n", 'split_batch' ],
	[ 'Dataverse', 'batch, all well', 200, {}, "--b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n--b--\r\n", 'success' ],
	[ 'Mailchimp', 'partial', 200, {}, '{"new_members":[],"errors":[{"email_address":"a@b.c","error_code":"ERROR_CONTACT_EXISTS"}],"error_count":1}', 'split_batch' ],
	[ 'Mailchimp', 'well', 200, {}, '{"errors":[],"error_count":0}', 'success' ],
	[ 'Mailchimp', 'connections', 403, {}, '<html><body>Forbidden</body></html>', 'throttle', 60 ],
	[ 'Mailchimp', 'connections, no body', 403, {}, '', 'throttle', 60 ],
	[ 'Mailchimp', 'forbidden', 403, {}, ' {"title":"Forbidden"}', 'dead' ],
	[ 'Mailchimp', 'too many', 429, {}, '{"title":"Too Many Requests"}', 'throttle', 10 ],
	[ 'Brevo', 'partial', 207, {}, '{"errors":[{"eventIndex":[0,3]}]}', 'split_batch' ],
	[ 'Brevo', 'limit', 429, { 'x-sib-ratelimit-limit' => 10, 'x-sib-ratelimit-remaining' => 0, 'x-sib-ratelimit-reset' => 17 }, '', 'throttle', 17 ],
	[ 'Google Ads', 'partial', 200, {}, '{"partialFailureError":{"code":3,"details":[{"errors":[{"location":{"fieldPathElements":[{"fieldName":"conversions","index":3}]}}]}]},"results":[{},{"a":1}]}', 'split_batch' ],
	[ 'Google Ads', 'limit', 429, {}, sprintf($google, '{"errors":[{"details":{"quotaErrorDetails":{"retryDelay":"30s"}}}]}'), 'throttle', 30 ],
	[ 'Google Ads', 'RetryInfo', 429, {}, sprintf($google, '{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3.5s"}'), 'throttle', 3.5 ],
	[ 'Google Ads', 'token', 401, {}, '{"error":{"status":"UNAUTHENTICATED"}}', 'refresh_token' ],
	[ 'Google Ads', 'Data Manager', 200, {}, '{"requestId":"r1"}', 'success' ],
	[ 'Meta', 'limit', 400, { 'X-Business-Use-Case-Usage' => '{"123":[{"type":"ads_management","call_count":100,"estimated_time_to_regain_access":19}]}' }, sprintf($meta, 80004), 'throttle', 1140 ],
	[ 'Meta', 'application', 403, {}, sprintf($meta, 4), 'throttle' ],
	[ 'Meta', 'custom', 429, {}, sprintf($meta, 613), 'throttle' ],
	[ 'Meta', 'one bad event', 400, {}, sprintf($meta, 100), 'split_batch' ],
	[ 'Meta', 'token', 401, {}, sprintf($meta, 190), 'refresh_token' ],
	[ 'Meta', 'transient', 400, {}, sprintf($meta, 2), 'retry' ],
	[ 'LinkedIn', 'batch', 422, {}, '{"message":"Index: 3, ERROR :: /user"}', 'split_batch' ],
	[ 'LinkedIn', 'limit', 429, {}, '{"message":"Resource level throttle limit for calls to this resource is reached."}', 'throttle', 50400 ],
	[ '', 'GA4', 204, {}, '', 'success' ],
	[ 'SendGrid', 'limit', 429, { 'X-RateLimit-Reset' => 1795428040 }, '{"errors":[{"message":"too many requests"}]}', 'throttle', 40 ],
	[ 'SendGrid', 'refused', 400, {}, '{"errors":[{"field":"personalizations.0.to.0.email"}]}', 'dead' ],
	[ 'SendGrid', 'taken', 202, {}, '', 'success' ],
	[ 'Impact', 'limit', 429, { 'X-RateLimit-Reset' => 33 }, '', 'throttle', 33 ],
	[ 'TUNE', 'refused', 200, {}, 'success=false; err_msg=Invalid transaction', 'dead' ],
	[ 'TUNE', 'taken', 200, {}, 'success=true;', 'success' ],
	[ 'GraphQL', 'errors', 200, {}, '{"data":null,"errors":[{"message":"m","path":["a",0]}]}', 'dead' ],
	[ 'GraphQL', 'throttled', 200, { 'Retry-After' => 2 }, '{"errors":[{"extensions":{"code":"THROTTLED"}}]}', 'throttle', 2 ],
	[ 'GraphQL', 'internal', 200, {}, '{"errors":[{"extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}', 'retry' ],
	[ 'GraphQL', 'well', 200, {}, '{"data":{"a":1}}', 'success' ],
	[ 'SOAP', 'client', 500, {}, sprintf($fault, '<faultcode>soapenv:Client.Auth</faultcode><faultstring>no</faultstring>'), 'dead' ],
	[ 'SOAP', 'server', 500, {}, sprintf($fault, "<faultcode>\n soapenv:Server</faultcode>"), 'retry' ],
	[ 'SOAP', '1.2 sender', 400, {}, sprintf($fault, '<soapenv:Code><soapenv:Value>soapenv:Sender</soapenv:Value></soapenv:Code>'), 'dead' ],
	[ 'SOAP', 'limit', 500, {}, sprintf($fault, '<faultcode>sf:REQUEST_LIMIT_EXCEEDED</faultcode>'), 'throttle' ],
	[ 'SOAP', 'session', 500, {}, sprintf($fault, '<faultcode xmlns:sf="urn:x">sf:INVALID_SESSION_ID</faultcode>'), 'refresh_token' ],
	[ 'Slack', 'gone', 404, {}, 'no_service', 'disable' ],
	[ 'Slack', 'archived', 410, {}, 'channel_is_archived', 'disable' ],
	[ 'Slack', 'payload', 400, {}, 'invalid_payload', 'dead' ],
	[ 'Slack', 'limit', 429, { 'Retry-After' => 30 }, '', 'throttle', 30 ],
	[ 'FCM', 'quota', 429, { 'Retry-After' => 60 }, '{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"errorCode":"QUOTA_EXCEEDED"}]}}', 'throttle', 60 ],
	[ 'FCM', 'device', 404, {}, '{"error":{"status":"NOT_FOUND","details":[{"errorCode":"UNREGISTERED"}]}}', 'dead' ],
	[ 'FCM', 'unavailable', 503, { 'Retry-After' => 5 }, '', 'retry', 5 ],
	[ 'Twilio', 'limit', 429, {}, '{"code":20429,"message":"Too Many Requests","status":429}', 'throttle', 3 ],
	[ 'Twilio', 'opted out', 400, {}, '{"code":21610,"status":400}', 'dead' ]);

# What check_response() says of each
for my $case (@cases)
{
	my ($set, $what, $status, $headers, $body, $action, $wait) = @$case;
	my $rules = $set ? "\$r\$$sets{$set}\$r\$" : 'null';
	my $json = encode_json($headers);
	$json =~ s/:([0-9]+)/:"$1"/g unless $json =~ /regain/;
	my $found = sql("select action, trim_scale(extract(epoch from wait)) from postrider.check_response($rules, $status, \$h\$$json\$h\$, \$b\$$body\$b\$, '2026-11-23 10:00:00Z')");
	is($found, "$action|" . ($wait // ''), "$set: $what: " . $action . ($wait ? ", wait $wait s" : ''));
}

# What the worker does with each: the answer once, then 200
my %done = (success => 'delivered', dead => 'dead', split_batch => 'dead');
my $number = 0;
my @names;
for my $case (@cases)
{
	my ($set, $what, $status, $headers, $body) = @$case;
	my $name = 'case' . ++$number;
	push @names, $name;
	endpoint($name, $receiver->tell($name, [ $status, $headers, $body ]), response_rules => $set ? "\$r\$$sets{$set}\$r\$" : 'null',
		backoff_base => "'10 ms'", backoff_max => "'1 s'");
}
sql("select count(postrider.send(name, '{}')) from postrider.endpoint where name ~ '^case'");
ok($receiver->wait_for_count(scalar @cases, undef, 60), 'all get a request');
my $first = 'select %s from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = \'%s\' and a.attempt = 1';
PostriderTest::wait_for($node, 'select count(distinct endpoint_id) from postrider.attempt', scalar @cases, 60);
$number = 0;
for my $case (@cases)
{
	my ($set, $what, $status, undef, undef, $action) = @$case;
	my $name = 'case' . ++$number;
	my $rule = sql("select rule from postrider.check_response((select response_rules from postrider.endpoint where name = '$name'), $status, null, \$b\$$case->[4]\$b\$)");
	my $code = $action eq 'success' ? '' : $rule eq '' ? "http_$status" : "rule_$action";
	is(sql(sprintf $first, "outcome || '|' || coalesce(status_code::text, '') || '|' || coalesce(error_code, '')", $name),
		($done{$action} // 'retry') . "|$status|$code", "the worker, $set: $what");
}
ok(PostriderTest::wait_for($node, "select count(distinct e.id) from postrider.endpoint e join postrider.attempt a on a.endpoint_id = e.id
	where e.name ~ '^case' and a.outcome = 'delivered'", scalar(grep { !/dead|split|disable/ } map { $_->[5] } @cases), 60), 'what is tried again gets there');
is(sql("select count(*) from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name ~ '^case'"),
	scalar(grep { /dead|split/ } map { $_->[5] } @cases), 'the others are dead letters');

# An endpoint that a rule has disabled holds what it is owed.
my ($gone) = grep { $cases[$_][1] eq 'gone' } 0 .. $#cases;
ok(PostriderTest::wait_for($node, "select enabled from postrider.endpoint where name = '$names[$gone]'", 'f'), 'a rule disables an endpoint');
like(sql("select disabled_reason from postrider.endpoint where name = '$names[$gone]'"), qr/status 404, which by rule 1 of response_rules means "disable"/, 'and says why');
sql("select postrider.send('$names[$gone]', '2')");
is($receiver->count("/told/$names[$gone]"), 1, 'nothing more is sent');
sql("update postrider.endpoint set enabled = true where name = '$names[$gone]'");
ok($receiver->wait_for_count(3, "/told/$names[$gone]"), 'all is sent when it is enabled again');

# Size, form and encoding of bodies
my $long = encode_json({ filler => [ map { "x$_" } 1 .. 6000 ], zzz => 'the end' });
cmp_ok(length($long), '<', 64 * 1024, 'a long body');
for my $case (
	[ 'long', $long, '[{"path": "$.zzz == \"the end\"", "action": "dead"}]', 'dead' ],
	[ 'cut', encode_json({ filler => 'x' x 70000, zzz => 'the end' }), '[{"path": "$", "action": "dead"}]', 'delivered' ],
	[ 'cut_text', 'y' . 'x' x 70000 . 'z', '[{"pattern": "z", "action": "dead"}, {"pattern": "y", "action": "retry"}]', 'retry' ],
	[ 'huge', 'x' x 900000, '[{"pattern": "^x+$", "action": "dead"}]', 'dead' ],
	[ 'bytes', "\xff\xfe\x00 nul", '[{"pattern": "nul", "action": "dead"}]', 'dead' ],
	[ 'mark', "\xef\xbb\xbf{\"a\":1}", '[{"path": "$.a == 1", "action": "dead"}]', 'dead' ],
	[ 'deep', '[' x 60000, '[{"path": "$", "action": "dead"}]', 'delivered' ],
	[ 'escape', '{"a":"\u0000"}', '[{"path": "$", "action": "dead"}]', 'delivered' ],
	[ 'number', '1e999999999', '[{"path": "$", "action": "dead"}]', 'delivered' ],
	[ 'date', '{"a":"2026-11-23"}', '[{"path": "$.a.datetime() < \"2026-11-23 10:00:00+01\".datetime()", "action": "dead"}]', 'delivered' ],
	[ 'wrong_success', '{"ok":true}', '[{"status": 500, "path": "$.ok == true", "action": "success"}]', 'delivered', 500 ])
{
	my ($name, $body, $rules, $outcome, $status) = @$case;
	endpoint($name, $receiver->tell($name, [ $status // 200, {}, $body ]), response_rules => "\$r\$$rules\$r\$", backoff_base => "'10 ms'", backoff_max => "'1 s'");
	sql("select postrider.send('$name', '{}')");
	PostriderTest::wait_for($node, sprintf($first, 'count(*)', $name), 1);
	is(sql(sprintf $first, 'outcome', $name), $outcome, "body: $name");
}

# Rules that take for ever are given up, and nobody else waits for long.
endpoint('slow', $receiver->tell('slow', [ 200, {}, '[' . join(',', 1 .. 9000) . ']' ]), response_rules => q('[{"path": "exists($[*] ? (@ == $[*] + 100000))", "action": "dead"}]'));
endpoint('beside', $receiver->url('/ok/beside'));
sql("select postrider.send('slow', '{}')");
$receiver->wait_for_count(1, '/told/slow');
my $begin = time;
sql("select postrider.send('beside', '{}')");
ok($receiver->wait_for_count(1, '/ok/beside'), 'rules that take for ever do not stop the worker');
cmp_ok(time - $begin, '<', 3, 'for longer than a second');
ok(PostriderTest::wait_for($node, sprintf($first, 'outcome', 'slow'), 'delivered'), 'their answer is taken as without rules');
like(slurp_file($node->logfile), qr/event=response_rules_slow level=warning .*endpoint=slow status_code=200 message="response rules take longer than 1000 ms/, 'and the log says so');
sql("select postrider.send('slow', '{}')");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.attempt a join postrider.endpoint e on e.id = a.endpoint_id where e.name = 'slow'", 2), 'the worker goes on');
is(sql("select count(*) from postrider.worker where last_error is not null"), 0, 'without an error');

# A wait that is found is kept to, and by that endpoint only.
endpoint('wait', $receiver->tell('wait', [ 200, {}, '{"errors":[{"retry_in":"3000"}]}' ]), backoff_base => "'10 ms'",
	response_rules => q('[{"path": "$.errors[*].retry_in", "action": "throttle", "wait": {"path": "$.errors[*].retry_in", "unit": "milliseconds"}}]'));
sql("select postrider.send('wait', '{}')");
ok($receiver->wait_for_count(2, '/told/wait', 30), 'what is throttled is tried again');
my @came = map { $_->{time} } $receiver->requests('/told/wait');
cmp_ok($came[1] - $came[0], '>=', 2.9, 'after the wait');

# New rules are taken up at commit; throttling does not open the breaker, retrying does.
endpoint('changed', $receiver->tell('changed', ([ 200, {}, 'refused' ]) x 9));
sql("select postrider.send('changed', '{}')");
PostriderTest::wait_for($node, sprintf($first, 'outcome', 'changed'), 'delivered');
sql(q(update postrider.endpoint set response_rules = '[{"pattern": "refused", "action": "dead"}]' where name = 'changed'));
sql("select postrider.send('changed', '{}')");
ok(PostriderTest::wait_for($node, "select count(*) from postrider.dead_letter d join postrider.endpoint e on e.id = d.endpoint_id where e.name = 'changed'", 1), 'new rules count from their commit on');
endpoint($_, $receiver->tell($_, ([ 200, {}, 'x' ]) x 60), breaker_min_count => 5, breaker_open => "'1 min'", response_rules => "'[{\"pattern\": \"x\", \"action\": \"$_\"}]'") for 'dead', 'retry';
sql("select postrider.send(e, '{}') from unnest(array['dead', 'retry']) e, generate_series(1, 20)");
ok($receiver->wait_for_count(20, '/told/dead'), 'an endpoint that refuses messages by a rule is well');
ok(PostriderTest::wait_for($node, "select breaker from postrider.endpoint_health where endpoint = 'retry'", 'open'), 'one that asks to try again is not');

# Bad rules are refused, with their place.
for my $case (
	[ '{}', '$ must be a list' ], [ '[3]', '$[0] must be an object' ], [ '[{"action": "dead"}]', '$[0] needs a condition' ],
	[ '[{"status": 200}]', '$[0] needs the member "action"' ],
	[ '[{"status": 200, "action": "dead"}, {"status": "20x", "action": "dead"}]', '$[1].status must be a status' ],
	[ '[{"status": "599-500", "action": "dead"}]', '$[0].status must be' ], [ '[{"status": 99, "action": "dead"}]', '$[0].status must be' ],
	[ '[{"status": [200, 600], "action": "dead"}]', '$[0].status[1] must be' ],
	[ '[{"path": "$.a[", "action": "dead"}]', '$[0].path is no path' ], [ '[{"path": "$x", "action": "dead"}]', '$[0].path is a path with a variable' ],
	[ '[{"pattern": "(", "action": "dead"}]', '$[0].pattern is not usable' ], [ '[{"pattern": "(a)\\\\1", "action": "dead"}]', '$[0].pattern is not usable: the pattern has a back-reference' ],
	[ '[{"status": 200, "action": "explode"}]', '$[0].action must be success, retry' ], [ '[{"statsu": 200, "status": 200, "action": "dead"}]', '$[0] must not have a member "statsu"' ],
	[ '[{"header": {"name": "a b"}, "action": "dead"}]', '$[0].header.name is no name of a header' ],
	[ '[{"status": 200, "action": "dead", "wait": {"value": 1}}]', '$[0].wait goes with the actions throttle and retry only' ],
	[ '[{"status": 200, "action": "throttle", "wait": {"value": 1, "path": "$.a"}}]', '$[0].wait must have one of' ],
	[ '[{"status": 200, "action": "throttle", "wait": {"header": "A", "unit": "weeks"}}]', '$[0].wait.unit must be auto' ])
{
	my ($rules, $problem) = @$case;
	my $error = refused("insert into postrider.endpoint (name, url, response_rules) values ('bad', 'https://example.com', '$rules')");
	like($error, qr/response_rules of endpoint "bad" cannot be used: \Q$problem\E/, "refused: $problem");
}
like(refused("select postrider.check_response('[]', 700)"), qr/status of an answer must be from 100 to 599/, 'a status must be one');
is(sql("select count(*) from pg_stat_activity where backend_type ~ 'postrider worker'") > 0 ? 1 : 0, 1, 'the worker is alive');
done_testing();
