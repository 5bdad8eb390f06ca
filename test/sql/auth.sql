-- What schemes of authentication and signatures do to a request; what the columns refuse.
set client_min_messages = warning;
create extension if not exists postrider;
reset client_min_messages;
set timezone = 'UTC';
\pset format unaligned
create function pg_temp.auth(auth jsonb, secrets jsonb, method text, url text, headers jsonb, body text, at timestamptz) returns jsonb
	language c as 'postrider_test', 'test_auth';
create function pg_temp.signing(signing jsonb, secret text, secrets jsonb, method text, url text, headers jsonb, body text, at timestamptz, id text) returns jsonb
	language c as 'postrider_test', 'test_signing';
create function pg_temp.post(auth jsonb, body text default '{"a":1}', url text default 'https://api.example.com/v1/hook?b=2&a=1', headers jsonb default '{}', at timestamptz default '2025-11-22 12:00:00+00') returns jsonb
language sql as $$
	select pg_temp.auth(auth, '{"key": "s3cr3t", "odd": "a b/c&d=e", "line": "token\n", "lines": "a\nb", "other": "token_1", "meta": "app_secret_1", "pass": "open sesame", "binary": "c2VjcmV0", "colon": "a:b", "late": null, "slack": "T000/B000/XX?X"}',
		'POST', url, headers, body, at)
$$;

-- Keys in a header, the query and the path; what was there goes.
select a as auth, pg_temp.post(a::jsonb, headers => '{"x-api-key": "forged", "X-Shop": "main"}') from unnest(array[
	'{"type": "api_key", "secret": "key"}',
	'{"type": "api_key", "name": "Authorization", "prefix": "Token token=", "secret": "key"}',
	'{"type": "api_key", "in": "query", "name": "b", "secret": "odd"}',
	'{"type": "api_key", "in": "query", "name": "api key", "secret": "line"}',
	'{"type": "api_key", "secret": "lines"}',
	'{"type": "api_key", "secret": "nobody"}',
	'{"type": "api_key", "secret": "late"}',
	'{"type": "api_key", "in": "path", "name": "token", "secret": "key"}']) a;
select u, pg_temp.post('{"type": "api_key", "in": "query", "name": "key", "secret": "key"}', url => u)->>'url' as url from unnest(array[
	'https://example.com', 'https://example.com/', 'https://example.com/a?', 'https://example.com/a?key=old&x=1&key=older&%6Bey=x&ke%79', 'https://example.com/a?x=1#key=2', 'https://example.com?keys=1']) u;
select pg_temp.post('{"type": "api_key", "in": "path", "name": "token", "secret": "slack"}', url => u)->>'url' as url from unnest(array[
	'https://hooks.example.com/services/:token', 'https://hooks.example.com/:token/x?a=:token', 'https://hooks.example.com/:token', 'https://hooks.example.com:80/:tokens']) u;

-- RFC 7617's example, and where the key is the user name.
select pg_temp.post('{"type": "basic", "username": "Aladdin", "password": "pass"}')->'headers' as basic,
	pg_temp.post('{"type": "basic", "username_secret": "key"}')->'headers' as name_only,
	pg_temp.post('{"type": "basic", "username_secret": "colon", "password": "pass"}') as colon;
select pg_temp.post('{"type": "bearer", "secret": "line"}', headers => '{"authorization": "Bearer forged"}')->'headers' as bearer,
	pg_temp.post('{"type": "bearer", "secret": "key", "header": "X-Auth", "prefix": "Key "}')->'headers' as other,
	pg_temp.post('[{"type": "bearer", "secret": "key"}, {"type": "api_key", "secret": "other"}]')->'headers' as both;

-- Signatures over a template, by the vectors of those who ask for them: Slack, HubSpot, Mailchimp, Meta.
select pg_temp.post('{"type": "hmac", "secret": "key", "template": "v0:{{timestamp}}:{{body}}", "name": "X-Slack-Signature", "prefix": "v0=", "timestamp": {"name": "X-Slack-Request-Timestamp"}}')->'headers' as slack;
select pg_temp.post('{"type": "hmac", "secret": "key", "template": "{{method}}{{url}}{{body}}{{timestamp}}", "encoding": "base64", "name": "X-HubSpot-Signature-v3", "timestamp": {"format": "ms", "name": "X-HubSpot-Request-Timestamp"}}', url => 'https://app.example.com/hook')->'headers' as hubspot;
select pg_temp.post('{"type": "hmac", "secret": "key", "template": "{{timestamp}}.{{body}}", "name": "X-Mailchimp-Signature", "value": "t={{timestamp}},v1={{signature}}"}', body => 'a=1&b=2')->'headers' as mailchimp;
select pg_temp.post('[{"type": "bearer", "secret": "other"}, {"type": "hmac", "secret": "meta", "template": "{{secret:other}}", "in": "query", "name": "appsecret_proof"}]', url => 'https://graph.example.com/v1/events')->>'url' as meta;
-- Every place, in the order of the template; time and nonce are in the query before it is signed.
select pg_temp.post('{"type": "hmac", "keyed": false, "algorithm": "md5", "secret": "key", "template": "{{secret}}|{{method}}|{{scheme}}|{{host}}|{{path}}|{{query}}|{{query_sorted}}|{{body}}|{{body_hash}}|{{body_md5_base64}}|{{body_sha256}}|{{id}}|{{header:X-Shop}}|{{timestamp}}", "in": "query", "name": "sig", "timestamp": {"in": "query", "name": "ts", "format": "iso"}}', headers => '{"X-Shop": "main"}')->>'url' as url,
	md5('s3cr3t|POST|https|api.example.com|/v1/hook|b=2&a=1&ts=2025-11-22T12%3A00%3A00Z|a=1&b=2&ts=2025-11-22T12%3A00%3A00Z|{"a":1}|' || md5('{"a":1}') || '|' || encode(decode(md5('{"a":1}'), 'hex'), 'base64') || '|' || encode(sha256('{"a":1}'), 'hex') || '|0199b1a4-0000-7000-8000-000000000001|main|2025-11-22T12:00:00Z') as sig;
select algorithm, encoding, pg_temp.post(jsonb_build_object('type', 'hmac', 'secret', 'binary', 'key_encoding', 'base64', 'algorithm', algorithm, 'encoding', encoding), body => 'x')->'headers'->>'X-Signature' as signature
from (values ('sha1', 'hex'), ('sha256', 'hex-upper'), ('sha512', 'base64url'), ('md5', 'base64')) v(algorithm, encoding);
select jsonb_build_object('length', length(h->>'X-Nonce'), 'same', h->>'X-Nonce' = h->>'X-Signature') as nonce
from (select pg_temp.post('{"type": "hmac", "secret": "key", "template": "{{nonce}}", "nonce": {"name": "X-Nonce", "bytes": 8}, "value": "{{nonce}}{{signature}}"}')->'headers' as h) x;

-- AWS: get-vanilla of its test suite, an order of parameters, a session.
select pg_temp.auth(a::jsonb, '{"k": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "t": "session"}', 'GET', u, '{"X-Amz-Security-Token": "forged"}', null, '2015-08-30 12:36:00+00')->'headers' as aws from (values
	('{"type": "aws_sigv4", "region": "us-east-1", "service": "service", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "k"}', 'https://example.amazonaws.com/'),
	('{"type": "aws_sigv4", "region": "us-east-1", "service": "service", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "k"}', 'https://example.amazonaws.com/?Param2=value2&Param1=value1'),
	('{"type": "aws_sigv4", "region": "us-east-1", "service": "s3", "access_key_id_secret": "t", "secret_access_key": "k", "session_token": "t"}', 'https://example.amazonaws.com/a%20b//c')) v(a, u);

-- Standard Webhooks: the vectors of v1 and v1a, and both at once, with old versions.
create function pg_temp.standard(signing jsonb, secret text) returns jsonb language sql as $$
	select pg_temp.signing(signing, secret, '{"v1": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1a": "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==\n", "bad": "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvw==", "text": "s3cr3t",
		"rotated": ["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}',
		'POST', 'https://example.com/', '{"webhook-signature": "forged"}', '{"test": 2432232314}', to_timestamp(1614265330), 'msg_p5jXN8AQM9LWM0D4loKWxJek')
$$;
select s, d, pg_temp.standard(d::jsonb, s)->'headers'->>'webhook-signature' as signature, pg_temp.standard(d::jsonb, s)->>'problem' as problem from (values
	('v1', null), ('v1a', null), ('rotated', null), ('v1', '{"type": "standard-webhooks", "secret": "v1a"}'), ('bad', null), ('text', null), ('nobody', null)) v(s, d);

-- RFC 9421, appendix B.2.5 and B.2.6, and what else there is.
create function pg_temp.rfc(signing jsonb, method text default 'POST', body text default '{"hello": "world"}') returns jsonb language sql as $$
	select pg_temp.signing(signing, null, '{"shared": ["uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="], "ed": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n", "two": ["new", "old"]}',
		method, 'https://example.com/foo?param=Value&Pet=dog', '{"Date": "Tue, 20 Apr 2021 02:07:55 GMT", "Content-Type": "application/json", "Signature-Input": "forged=()"}', body, to_timestamp(1618884473), '')
$$;
select pg_temp.rfc('{"type": "http-message-signatures", "secret": "shared", "key_encoding": "base64", "label": "sig-b25", "components": ["date", "@authority", "content-type"], "key_id": "test-shared-secret", "include_algorithm": false}')->'headers' as b25;
select pg_temp.rfc('{"type": "http-message-signatures", "secret": "ed", "algorithm": "ed25519", "label": "sig-b26", "components": ["date", "@method", "@path", "@authority", "content-type", "content-length"], "key_id": "test-key-ed25519", "include_algorithm": false}')->'headers' as b26;
select pg_temp.rfc('{"type": "http-message-signatures", "secret": "two", "components": ["@method", "@target-uri", "@scheme", "@request-target", "@query", "content-digest"], "expires": 300, "tag": "app", "digest": "sha-512"}')->'headers' as all_of_it;
select pg_temp.rfc('[{"type": "http-message-signatures", "secret": "two", "created": false}, {"type": "http-message-signatures", "secret": "ed", "algorithm": "ed25519", "label": "other"}]', 'GET', null)->'headers' as without_body;
select pg_temp.rfc('{"type": "http-message-signatures", "secret": "two", "components": ["x-none"]}') as missing_header;

-- GitHub's vector, and Stripe's form.
select pg_temp.signing('[{"type": "github", "secret": "g", "sha1": true}, {"type": "stripe", "secret": "two"}]', null, '{"g": "It''s a Secret to Everybody", "two": ["new", "old"]}', 'POST', 'https://example.com/', '{"x-hub-signature-256": "forged"}', 'Hello, World!', to_timestamp(1614265330), '')->'headers' as others as others;

-- What the columns refuse, without a word of a credential.
create function pg_temp.try(column_name text, document text) returns text language plpgsql as $$
declare
	hint text;
begin
	execute format('insert into postrider.endpoint (name, url, %I) values (''e'', ''https://example.com/:token'', %L)', column_name, document);
	delete from postrider.endpoint where name = 'e';
	return 'accepted';
exception when others then
	get stacked diagnostics hint = pg_exception_hint;
	return concat_ws(' | ', sqlstate, sqlerrm, nullif(hint, ''));
end
$$;
select postrider.set_secret('known', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
select d as auth, pg_temp.try('auth', d) from unnest(array[
	'{"type": "bearer", "secret": "known"}', '[{"type": "bearer", "secret": "known"}, {"type": "api_key", "name": "X-Key", "secret": "known"}]',
	'"bearer"', '[]', '["bearer"]', '{}', '{"type": 1}', '{"type": "baerer"}', '{"type": "oauth"}', '{"type": "sk_live_4eC39HqLyjWDarjtT1zdp7dc"}',
	'{"type": "bearer"}', '{"type": "bearer", "secrt": "known"}', '{"type": "bearer", "secret": "known", "whatever": 1}', '{"type": "bearer", "secret": "known", "sk_live_4eC39HqLyjWDarjtT1zdp7dc": 1}',
	'{"type": "bearer", "secret": 7}', '{"type": "bearer", "secret": ""}', '{"type": "bearer", "secret": "crm"}', '{"type": "bearer", "secret": "sk_live_4eC39HqLyjWDarjtT1zdp7dc"}', '{"type": "bearer", "secret": "hunter2hunter22"}', '{"type": "bearer", "secret": "crm-2"}',
	'{"type": "bearer", "secret": "known", "header": "Host"}', '{"type": "api_key", "secret": "known", "name": "a b"}', '{"type": "api_key", "secret": "known", "in": "body"}', '{"type": "api_key", "secret": "known", "in": "query"}',
	'{"type": "api_key", "secret": "known", "in": "path", "name": "token"}', '{"type": "api_key", "secret": "known", "in": "path", "name": "tokn"}',
	'{"type": "basic", "password": "known"}', '{"type": "basic", "username": "a:b", "password": "known"}', '{"type": "basic", "username": "a"}', '{"type": "basic", "username": "a", "password": "Tr0ub4dor&3"}',
	'{"type": "hmac", "secret": "known"}', '{"type": "hmac", "secret": "known", "template": "{{methd}}"}', '{"type": "hmac", "secret": "known", "template": "{{method"}', '{"type": "hmac", "secret": "known", "keyed": false}',
	'{"type": "hmac", "secret": "known", "algorithm": "sha3"}', '{"type": "hmac", "secret": "known", "value": "x"}', '{"type": "hmac", "secret": "known", "template": "{{signature}}"}', '{"type": "hmac", "secret": "known", "template": "{{secret:crm}}"}',
	'{"type": "hmac", "secret": "known", "timestamp": "X-Time"}', '{"type": "hmac", "secret": "known", "timestamp": {"nam": "X-Time"}}', '[{"type": "bearer", "secret": "known"}, {"type": "hmac", "secret": "known", "nonce": {"bytes": 100}}]',
	'{"type": "aws_sigv4", "region": "eu-west-1", "secret_access_key": "known", "access_key_id": "AKIDEXAMPLE"}', '{"type": "aws_sigv4", "region": "EU", "service": "ses", "secret_access_key": "known", "access_key_id": "AKIDEXAMPLE"}', '{"type": "aws_sigv4", "region": "eu-west-1", "service": "ses", "secret_access_key": "known"}',
	'{"type": "mutual_tls", "certificate": "known"}', '{"type": "mutual_tls", "certificate": "-----BEGIN CERTIFICATE-----", "key": "known"}']) d;
select d as signing, pg_temp.try('signing', d) from unnest(array[
	'{"type": "github", "secret": "known"}', '[{"type": "standard-webhooks", "secret": "known"}, {"type": "stripe", "secret": "known", "header": "X-Sig"}]', '{"type": "http-message-signatures", "secret": "known", "key_id": "a"}',
	'7', '{"type": "gitub", "secret": "known"}', '{"type": "github"}', '{"type": "github", "secret": "crm"}', '{"type": "github", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}', '{"type": "stripe", "secret": "known", "sha1": true}',
	'{"type": "http-message-signatures", "secret": "known", "components": ["@methd"]}', '{"type": "http-message-signatures", "secret": "known", "components": []}', '{"type": "http-message-signatures", "secret": "known", "components": ["Date"]}', '{"type": "http-message-signatures", "secret": "known", "components": ["date", "date"]}',
	'{"type": "http-message-signatures", "secret": "known", "key_id": "a\"b"}', '{"type": "http-message-signatures", "secret": "known", "expires": 0}', '{"type": "http-message-signatures", "secret": "known", "label": "A"}', '[{"type": "http-message-signatures", "secret": "known"}, {"type": "http-message-signatures", "secret": "known"}]']) d;
select pg_temp.try('signing_secret', 'nobody') as signing_secret, pg_temp.try('signing_secret', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw') as literal;
select d as ca_certificate, pg_temp.try('ca_certificate', d) from unnest(array['', 'x', E'-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', E'-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n']) d;
delete from postrider.secret where name = 'known';
