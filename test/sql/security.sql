-- The address guard, signatures and secrets.
set client_min_messages = warning;
create extension if not exists postrider;
reset client_min_messages;
create function pg_temp.refusal(address text) returns text
	language c strict as 'postrider_test', 'test_address';
create function pg_temp.require_url(url text) returns void
	language c strict as 'postrider_test', 'test_url';
create function pg_temp.allow(networks text) returns text
	language c strict as 'postrider_test', 'test_networks';
create function pg_temp.sign(key bytea, id text, at bigint, body text) returns text
	language c strict as 'postrider_test', 'test_sign';
create function pg_temp.signing_key(value text) returns bytea
	language c strict as 'postrider_test', 'test_signing_key';
create function pg_temp.key_file(name text, content text default null, mode text default null) returns text
	language c as 'postrider_test', 'test_key_file';
create function pg_temp.encrypt(name text, value text) returns bytea
	language c strict as 'postrider_test', 'test_encrypt';
create function pg_temp.decrypt(name text, ciphertext bytea) returns text
	language c strict as 'postrider_test', 'test_decrypt';
create function pg_temp.url(url text) returns text language plpgsql as $$
declare
	detail text;
	hint text;
begin
	perform pg_temp.require_url(url);
	return 'allowed';
exception when others then
	get stacked diagnostics detail = pg_exception_detail, hint = pg_exception_hint;
	-- libcurl words its errors anew now and then
	return concat_ws(' | ', sqlstate, sqlerrm, case when sqlerrm <> 'URL is not valid' then nullif(detail, '') end);
end
$$;

-- Without allowed_networks: both ends of every refused network, and what lies
-- next to them.
select a as address, coalesce(pg_temp.refusal(a), 'allowed') as guard
from unnest(array[
	'0.0.0.0', '0.255.255.255', '1.0.0.0', '1.1.1.1', '8.8.8.8', '9.255.255.255',
	'10.0.0.0', '10.255.255.255', '11.0.0.0', '100.63.255.255', '100.64.0.0', '100.100.100.200', '100.127.255.255', '100.128.0.0',
	'126.255.255.255', '127.0.0.0', '127.0.0.1', '127.255.255.255', '128.0.0.0',
	'169.253.255.255', '169.254.0.0', '169.254.169.254', '169.254.255.255', '169.255.0.0',
	'172.15.255.255', '172.16.0.0', '172.31.255.255', '172.32.0.0',
	'191.255.255.255', '192.0.0.0', '192.0.0.192', '192.0.0.255', '192.0.1.0', '192.0.1.255', '192.0.2.0', '192.0.2.255', '192.0.3.0',
	'192.88.98.255', '192.88.99.0', '192.88.99.255', '192.88.100.0', '192.167.255.255', '192.168.0.0', '192.168.255.255', '192.169.0.0',
	'198.17.255.255', '198.18.0.0', '198.19.255.255', '198.20.0.0', '198.51.99.255', '198.51.100.0', '198.51.100.255', '198.51.101.0',
	'203.0.112.255', '203.0.113.0', '203.0.113.255', '203.0.114.0', '223.255.255.255', '224.0.0.0', '239.255.255.255',
	'240.0.0.0', '255.255.255.254', '255.255.255.255',
	'::', '::1', '::2', '::127.0.0.1', '::ffff:0:127.0.0.1', '64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff', '64:ff9b:2::', '64:ff9a::', '64:ff9b:0:0:0:1::',
	'100::', '100::ffff:ffff:ffff:ffff', '100:0:0:1::1', '200::', '1fff:ffff::', '2000::', '2001::', '2001:0:7f00:1::', '2001:1ff:ffff::', '2001:200::',
	'2001:db7:ffff::', '2001:db8::', '2001:db8:ffff:ffff::', '2001:db9::', '2001:4860:4860::8888', '2600::1', '2620:4f:8000::1', '2a00:1450::1',
	'3ffe:ffff::', '3fff::', '3fff:fff:ffff::', '3fff:1000::', '4000::', '5eff::', '5f00::', '5f00:ffff::', '5f01::', '8000::', 'fbff::',
	'fc00::', 'fd00:ec2::254', 'fdff:ffff::', 'fe00::', 'fe80::', 'fe80::1', 'febf:ffff::', 'fec0::', 'feff:ffff::', 'ff00::', 'ff02::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
	-- an IPv4 address within is what counts
	'::ffff:0.0.0.0', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:10.1.2.3', '::ffff:169.254.169.254', '::ffff:8.8.8.8', '::ffff:255.255.255.255', '::fffe:8.8.8.8',
	'64:ff9b::127.0.0.1', '64:ff9b::a01:203', '64:ff9b::169.254.169.254', '64:ff9b::8.8.8.8', '64:ff9b::',
	'2002:7f00:1::', '2002:7f00:1::1', '2002:a01:203::1', '2002:a9fe:a9fe::1', '2002:808:808::1', '2002:c0a8:101:ffff::', '2002::', '2002:e000::', '2003::',
	'unix']) with ordinality as t(a, n)
order by n;

-- URLs.  A character without a width is shown by name: versions of psql count its column differently.
select replace(u, e'\u200b', '<200B>') as url, pg_temp.url(u)
from unnest(array[
	'https://example.com/', 'http://example.com', 'HTTPS://EXAMPLE.COM:8443/hooks/a?b=c%20d&e=@f#g', 'https://sub.example.co.uk./x', 'http://8.8.8.8/', 'http://8.8.8.8.:80/',
	'http://[2600::1]/', 'http://[2600::1]:8080/x', 'https://xn--bcher-kva.example/', 'http://a_b.example/', 'http://3scale/', 'http://example.com?x=http://127.0.0.1/',
	'http://example.com/@127.0.0.1/', 'http://example.com#@127.0.0.1/', 'https://example.com/%0d%0aX:1', 'http://1.1.1.1.nip.io/', 'http://example.com:/',
	-- no absolute http or https URL
	'', 'example.com', '/hooks', '//example.com/', 'ftp://example.com/', 'file:///etc/passwd', 'gopher://example.com/', 'smtp://example.com', 'javascript:alert(1)',
	'http:', 'http:/', 'http://', 'https://', 'http:/example.com', 'http:example.com', 'http:///example.com', 'http:////example.com/', 'http://?x', 'http://#x', 'http://:80/', 'http://./', 'http://..', 'http://a..b/', 'http://.example.com/',
	'http ://example.com', 'httpx://example.com', 'https//example.com', 'unix:///tmp/x',
	-- spaces, control characters, not ASCII
	' http://example.com/', 'http://example.com/ ', 'http://exa mple.com/', 'http://example.com/a b', E'http://example.com/\r\nX: 1', E'http://example.com\n', E'http://example.com/\t', E'http://example.com/\u007f', E'\x01http://example.com/',
	'http://exämple.com/', 'http://example.com/ä', 'http://127。0。0。1/', 'http://①②⑦.0.0.1/', 'http://ｌocalhost/', E'http://127.0.0.1\u200b/', E'http://example.com\u2028/',
	-- user info
	'http://user@example.com/', 'http://user:secret@example.com/', 'http://@example.com/', 'http://:@example.com/', 'http://1.1.1.1:80@127.0.0.1/', 'http://1.1.1.1&@127.0.0.1#@8.8.8.8/', 'http://example.com\@127.0.0.1/', 'http://127.0.0.1\@example.com/', 'http://127.0.0.1:80\@example.com:80/', 'http://a;b@example.com/',
	-- ports
	'http://example.com:0/', 'http://example.com:00000/', 'http://example.com:65536/', 'http://example.com:-1/', 'http://example.com:80x/', 'http://example.com:99999999999/', 'http://example.com:80:90/', 'http://example.com:65535/',
	-- this host by any name
	'http://127.0.0.1/', 'https://127.0.0.1:8443/', 'http://127.1/', 'http://127.0.1/', 'http://0x7f.1/', 'http://0x7f.0.0.1/', 'http://0X7F000001/', 'http://0x7f000001/', 'http://2130706433/', 'http://017700000001/', 'http://0177.0.0.1/', 'http://0177.1/', 'http://127.0.0.1./', 'http://2130706433./', 'http://0x7f.1./',
	'http://0/', 'http://0.0.0.0/', 'http://0x0/', 'http://00000000000/', 'http://127.0.0.1:80/?x@y', 'http://127.0.0.1#x', 'http://127.000.000.001/',
	'http://localhost/', 'http://LOCALHOST:80/', 'http://localhost./', 'http://a.localhost/', 'http://a.b.localhost.', 'http://localhost.example.com/', 'http://notlocalhost/', 'http://.localhost/',
	'http://[::1]/', 'http://[::1]:80/', 'http://[0:0:0:0:0:0:0:1]/', 'http://[::]/', 'http://[::ffff:127.0.0.1]/', 'http://[::ffff:7f00:1]/', 'http://[0000:0000:0000:0000:0000:ffff:7f00:0001]/', 'http://[64:ff9b::7f00:1]/', 'http://[2002:7f00:1::]/', 'http://[::127.0.0.1]/', 'http://[::ffff:8.8.8.8]/',
	'http://[fe80::1]/', 'http://[fe80::1%25eth0]/', 'http://[fe80::1%eth0]/', 'http://[::1%251]/', 'http://[::1/', 'http://::1/', 'http://[]/', 'http://[1.2.3.4]/', 'http://[v1.x]/', 'http://[::g]/', 'http://[::1]x/', 'http://[::1].com/',
	'http://127.0.0.%31/', 'http://%6cocalhost/', 'http://127%2e0%2e0%2e1/', 'http://example.com%00.evil/', 'http://%00/',
	-- other networks
	'http://10.0.0.1/', 'http://169.254.169.254/latest/meta-data/', 'http://2852039166/', 'http://0xa9fea9fe/', 'http://192.168.1.1/', 'http://3232235777/', 'http://100.100.100.200/', 'http://[fd00:ec2::254]/', 'http://224.0.0.1/', 'http://255.255.255.255/',
	-- no addresses and no names
	'http://256.256.256.256/', 'http://1.2.3.4.5/', 'http://1.2.3.256/', 'http://4294967296/', 'http://127.0.0.0x/', 'http://a.1/', 'http://a.0x1/', 'http://08.8.8.8/', 'http://1..2/', 'http://exa"mple.com/', 'http://exa<mple>.com/', 'http://exa$mple.com/', 'http://a,b.com/', 'http://a;b.com/', 'http://{a}.com/', 'http://a|b.com/', 'http://a^b/', 'http://a`b/', 'http://a''b/', 'http://a*b.com/', 'http://a(b).com/', 'http://a!b/', 'http://a&b/', 'http://a=b/', 'http://a+b.com/', 'http://a~b.com/'
	]) with ordinality as t(u, n)
order by n;
select pg_temp.url('http://example.com/' || repeat('x', 1981)) as "2,000 bytes", pg_temp.url('http://example.com/' || repeat('x', 1982)) as "2,001 bytes";
-- The error has the host, and no more of the URL: the rest may be a credential.
select pg_temp.require_url('http://127.0.0.1/services/T0/secret?token=secret');
select pg_temp.require_url('http://user:secret@example.com/');

-- allowed_networks.
select pg_temp.allow('10.1.0.0/16, ::1/128,192.0.2.7') is null as accepted;
select a as address, coalesce(pg_temp.refusal(a), 'allowed') as guard
from unnest(array['10.1.0.0', '10.1.255.255', '10.0.255.255', '10.2.0.0', '::1', '::2', '127.0.0.1', '192.0.2.7', '192.0.2.6', '192.0.2.8', '8.8.8.8',
	'::ffff:10.1.2.3', '::ffff:10.2.0.1', '64:ff9b::10.1.2.3', '64:ff9b::10.2.0.1', '2002:a01:203::1', '2002:a02:1::1']) with ordinality as t(a, n)
order by n;
select u, pg_temp.url(u) from unnest(array['http://10.1.2.3/', 'http://10.66051/', 'http://10.2.0.1/', 'http://[::1]/', 'http://localhost/', 'http://127.0.0.1/', 'http://[::ffff:10.1.2.3]/']) u;
select pg_temp.allow('127.0.0.0/8') is null as accepted;
select u, pg_temp.url(u) from unnest(array['http://localhost:3000/', 'http://a.localhost./', 'http://[::1]/', 'http://[::ffff:127.0.0.1]/', 'http://0x7f.1/', 'http://10.1.2.3/']) u;
-- A network can name the form with an IPv4 address within.
select n as allowed, pg_temp.allow(n) is null as accepted, a as address, coalesce(pg_temp.refusal(a), 'allowed') as guard
from (values
	(1, '::ffff:10.0.0.0/104', '10.1.2.3'), (2, '::ffff:10.0.0.0/104', '::ffff:10.1.2.3'), (3, '::ffff:10.0.0.0/104', '::ffff:11.1.2.3'),
	(4, '::ffff:10.0.0.0/104', '::ffff:127.0.0.1'), (5, '::ffff:0:0/96', '127.0.0.1'), (6, '::ffff:127.0.0.1', '127.0.0.1'),
	(10, '64:ff9b::/96', '64:ff9b::127.0.0.1'), (11, '64:ff9b::/96', '127.0.0.1'), (12, '64:ff9b::10.0.0.0/104', '64:ff9b::10.1.2.3'), (13, '64:ff9b::10.0.0.0/104', '64:ff9b::127.0.0.1'),
	(14, '2002:a00::/24', '2002:a01:203::1'), (15, '2002:a00::/24', '2002:7f00:1::1'), (16, '2002::/16', '2002:7f00:1::1'),
	-- but a wide network does not mean it
	(20, '::/0', '::1'), (21, '::/0', 'fe80::1'), (22, '::/0', '::ffff:127.0.0.1'), (23, '::/0', '64:ff9b::127.0.0.1'), (24, '::/0', '2002:7f00:1::1'), (25, '::/0', '127.0.0.1'), (26, '::/0', '2600::1'),
	(27, '2000::/3', '2002:7f00:1::1'), (28, '0.0.0.0/0', '127.0.0.1'), (29, '0.0.0.0/0', '::ffff:127.0.0.1'), (30, '0.0.0.0/0', '64:ff9b::127.0.0.1'), (31, '0.0.0.0/0', '::1'), (32, '0.0.0.0/0', '255.255.255.255'),
	(33, '127.0.0.1/32', '127.0.0.2'), (34, 'fe80::/10', 'fe80::1'), (35, '127.0.0.0/9', '127.127.0.1'), (36, '127.0.0.0/9', '127.128.0.1')
	) as v(i, n, a)
order by i;
select quote_literal(n) as networks, coalesce(pg_temp.allow(n), 'accepted') as problem
from (values
	(1, ''), (2, '  '), (3, ' 10.0.0.0/8 '), (4, E'10.0.0.0/8,\n\t::1'), (5, '0.0.0.0/0'), (6, '::/0'), (7, '::ffff:0:0/95'),
	(10, ','), (11, '10.0.0.0/8,'), (12, ',10.0.0.0/8'), (13, '10.0.0.0/8,,::1'), (14, '10.0.0.0/8 ::1/128'),
	(20, '10.0.0.0/33'), (21, '::/129'), (22, '10.0.0.0/'), (23, '10.0.0.0/-1'), (24, '10.0.0.0/+8'), (25, '10.0.0.0/8/8'), (26, '10.0.0.0/ 8'), (27, '10.0.0.0/08'), (28, '10.0.0.0/0x8'), (29, '10.0.0.0/99999999999999999999'),
	(30, '10.0.0.1/8'), (31, '::1/127'), (32, '10.0.0.0/7'), (33, '0.0.0.1/0'),
	(40, 'localhost'), (41, '10.0.0'), (42, '10/8'), (43, '10.0.0.256'), (44, '010.0.0.0/8'), (45, '0x0a.0.0.0/8'), (46, '[::1]'), (47, 'fe80::1%eth0'), (48, '::g'), (49, '"10.0.0.0/8"'), (50, '10.0.0.0/255.0.0.0'), (51, '/8'), (52, '*')
	) as v(i, n)
order by i;
select pg_temp.allow('') is null as accepted, pg_temp.refusal('10.1.2.3');
-- Only a superuser can change it, and not for a session.
set postrider.allowed_networks = '0.0.0.0/0';
alter system set postrider.allowed_networks = '10.0.0.1/8';

-- Signatures: the vector of Standard Webhooks.
select pg_temp.sign(pg_temp.signing_key('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, '{"test": 2432232314}') as signature;
-- Keys and bodies of many lengths, one after the other: the same as RFC 2104
-- written out in SQL gives.
create function pg_temp.pad(key bytea, with_byte integer) returns bytea language sql immutable as $$
	select string_agg(set_byte('\x00', 0, (case when i < length(key) then get_byte(key, i) else 0 end) # with_byte), '' order by i)
	from generate_series(0, 63) i
$$;
create function pg_temp.hmac(key bytea, data bytea) returns bytea language sql immutable as $$
	select sha256(pg_temp.pad(k, 92) || sha256(pg_temp.pad(k, 54) || data))
	from (select case when length(key) > 64 then sha256(key) else key end as k) k
$$;
select count(*) as compared, count(*) filter (where pg_temp.sign(k, id, at, body)
	<> 'v1,' || encode(pg_temp.hmac(k, convert_to(id || '.' || at || '.' || body, 'UTF8')), 'base64')) as different
from (select substr(sha512(i::text::bytea) || sha512(('x' || i)::bytea), 1, 1 + i % 128) as k, 'msg_' || i as id,
		1614265330 + i * 7919::bigint * (i % 3 - 1) as at, repeat('ж' || i, i * i % 701) as body
	from generate_series(1, 256) i) v;
select pg_temp.sign('', 'id', 1, 'body') is null as refused;
-- No key is carried over from one call to the next.
select pg_temp.sign('\x01', 'id', 1, 'body') = pg_temp.sign('\x01', 'id', 1, 'body') as same, pg_temp.sign('\x01', 'id', 1, 'body') = pg_temp.sign('\x02', 'id', 1, 'body') as same_of_other_key;

-- Signing secrets.
select v as value, pg_temp.signing_key(v) as key
from (values
	(1, 'whsec_AAECAwQFBgcICQoLDA0ODw=='), (2, 'whsec_AAECAwQFBgcICQoLDA0O'), (3, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'),
	(10, ''), (11, 'whsec_'), (12, 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), (13, 'WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), (14, ' whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), (15, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw '),
	(16, 'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=='), (17, 'whsec_not base64 at all!!'), (18, 'whsec_AAECAwQFBgcICQoLDA0ODw'), (19, 'whsec_AAECAwQFBgcICQoLDA0ODw='), (20, 'whsec_AAECAwQFBgcICQoLDA0ODw==='),
	(21, 'whsec_AAECAwQFBgcICQoLDA0ODw==AAAA'), (22, 'whsec_AA=CAwQFBgcICQoLDA0ODw=='), (23, 'whsec_========================'), (24, E'whsec_AAECAwQFBgcI\nCQoLDA0ODxAR'), (25, 'whsec_AAECAwQFBgcICQoLDA0ODxA_'), (26, 'whsec_ж')
	) as t(i, v)
order by i;
select length(pg_temp.signing_key('whsec_' || replace(encode(string_agg('x'::bytea, ''), 'base64'), E'\n', ''))) from generate_series(1, 512);
select length(pg_temp.signing_key('whsec_' || replace(encode(string_agg('x'::bytea, ''), 'base64'), E'\n', ''))) from generate_series(1, 513);
select length(pg_temp.signing_key('whsec_' || repeat('AAAA', 1000000)));

-- Encryption: the key file is made when it is needed, with the right mode.
copy (select) to program 'rm -f postrider_test.key postrider_other.key';
select pg_temp.key_file('postrider_test.key') is null as no_file;
select pg_temp.decrypt('a', '\x01' || sha256('') || sha256(''));
select pg_temp.key_file('postrider_test.key') is null as still_no_file;
create temp table secret as select 'a' as name, 'whsec_äöü' as value, pg_temp.encrypt('a', 'whsec_äöü') as ciphertext;
select pg_temp.key_file('postrider_test.key') as mode;
select get_byte(ciphertext, 0) as version, length(ciphertext) - octet_length(value) as overhead, position(convert_to(value, 'UTF8') in ciphertext) as readable, pg_temp.decrypt(name, ciphertext) = value as decrypts from secret;
select pg_temp.encrypt('a', 'x') <> pg_temp.encrypt('a', 'x') as never_the_same;
select count(*) as lengths, count(*) filter (where pg_temp.decrypt('n', pg_temp.encrypt('n', repeat('x', i))) <> repeat('x', i)) as different from generate_series(0, 100) i;
select length(pg_temp.decrypt('n', pg_temp.encrypt('n', repeat('x', 1000000))));
-- A ciphertext cannot be moved to another name.
select pg_temp.decrypt('b', ciphertext) from secret;
select pg_temp.decrypt('', ciphertext) from secret;
-- No bit of it can be changed, nor can it be cut or made longer.
set client_min_messages = warning;
select count(*) as changed, count(pg_temp.decrypt(name, set_bit(ciphertext, i, 1 - get_bit(ciphertext, i)))) as accepted
from secret, generate_series(0, length(ciphertext) * 8 - 1) i;
select count(*) as cut, count(pg_temp.decrypt(name, substr(ciphertext, 1, i))) as accepted
from secret, generate_series(0, length(ciphertext) - 1) i;
select count(pg_temp.decrypt(name, ciphertext || '\x00')) as accepted from secret;
reset client_min_messages;
select pg_temp.decrypt('a', ''), pg_temp.decrypt('a', '\x02' || sha256('') || sha256(''));
-- Another key does not open it; the first one does again.
select pg_temp.key_file('postrider_other.key', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=' || E'\n', '0600');
select pg_temp.decrypt(name, ciphertext) from secret;
select pg_temp.decrypt('a', pg_temp.encrypt('a', 'under the other key'));
select pg_temp.key_file('postrider_test.key');
select pg_temp.decrypt(name, ciphertext) from secret;
-- Key files that are no good.
create function pg_temp.try_key_file(content text, mode text) returns text language plpgsql as $$
declare
	hint text;
begin
	perform pg_temp.key_file('postrider_other.key', content, mode);
	perform pg_temp.encrypt('a', 'x');
	return 'accepted';
exception when others then
	get stacked diagnostics hint = pg_exception_hint;
	return concat_ws(' | ', sqlstate, replace(sqlerrm, current_setting('data_directory') || '/', ''), nullif(hint, ''));
end
$$;
select quote_literal(left(c, 50)) as content, m as mode, pg_temp.try_key_file(c, m) as result
from (values
	(1, 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', '0600'), (2, 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', '0400'), (3, E' \nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n', '0600'),
	(10, 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', '0640'), (11, 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', '0620'), (12, 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', '0604'), (13, 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', '0602'), (14, 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', '0666'),
	(20, '', '0600'), (21, E'\n', '0600'), (22, 'AAAA', '0600'), (23, 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', '0600'), (24, 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', '0600'), (25, '!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', '0600'), (26, 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= x', '0600'), (27, 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=' || repeat(E'\n', 200), '0600'), (28, repeat('A', 100000), '0600'), (29, 'AAAAAAAAAAAAAAAAAAAAAA==AAAAAAAAAAAAAAAAAAA=', '0600')
	) as v(i, c, m)
order by i;
select pg_temp.key_file('base');
select pg_temp.decrypt(name, ciphertext) from secret;
select pg_temp.key_file('no_such_directory/postrider.key');
do $$
begin
	perform pg_temp.encrypt('a', 'x');
exception when config_file_error then
	raise notice '%', regexp_replace(replace(sqlerrm, current_setting('data_directory') || '/', ''), '\d+\.tmp', 'PID.tmp');
end
$$;
select pg_temp.key_file('/dev/null');
select pg_temp.decrypt(name, ciphertext) from secret;
-- Nothing is left behind but the two key files.
select f from pg_ls_dir('.') f where f ~ '^postrider_' order by f;
copy (select) to program 'rm postrider_test.key postrider_other.key';
