-- The guard, as it is asked when a row is written and when curl is about to dial.
set client_min_messages = warning;
create extension if not exists postrider;
reset client_min_messages;
create function pg_temp.require_url(url text) returns void
	language c strict as 'postrider_test', 'test_url';
create function pg_temp.allow(networks text) returns text
	language c strict as 'postrider_test', 'test_networks';
create function pg_temp.dial(url text, proxy text default null) returns text
	language c as 'postrider_test', 'test_dial';
create function pg_temp.listed(host text, list text) returns boolean
	language c strict as 'postrider_test', 'test_listed';
create function pg_temp.hosts(list text) returns text
	language c strict as 'postrider_test', 'test_hosts';
create function pg_temp.proxy(url text, own text, general text, exceptions text) returns text
	language c as 'postrider_test', 'test_proxy';
create function pg_temp.write(url text) returns text language plpgsql as $$
begin
	perform pg_temp.require_url(url);
	return 'allowed';
exception when insufficient_privilege then return 'not allowed';
when others then return 'no URL';
end
$$;

-- Addresses and URLs that no request may reach.  None of them may be dialled, whether or not
-- the check of the URL knows it: that one is for people, and curl may read it otherwise.
create temp table target (n integer generated always as identity, url text);
insert into target (url) values
	-- loopback in every notation
	('http://127.0.0.1/'), ('http://127.0.0.1:8080/'), ('http://127.1/'), ('http://127.0.1/'), ('http://127.255.255.254/'),
	('http://0x7f.0.0.1/'), ('http://0x7f.1/'), ('http://0X7F.0X1/'), ('http://0x7f000001/'), ('http://0x7F000001:80/'),
	('http://0177.0.0.1/'), ('http://0177.1/'), ('http://00177.0000.0000.0001/'), ('http://017700000001/'), ('http://2130706433/'),
	('http://2130706433:80/x'), ('http://0x7f.0.1/'), ('http://127.0x0.0.01/'), ('http://127.0.0.1./'), ('http://2130706433./'),
	('http://0/'), ('http://0.0.0.0/'), ('http://0.0.0.0:22/'), ('http://0x0/'), ('http://000/'), ('http://0.0/'), ('http://0.1/'),
	('http://localhost/'), ('http://LOCALHOST/'), ('http://LocalHost:80/'), ('http://localhost./'), ('http://a.localhost/'), ('http://a.b.localhost./'),
	('http://ip6-localhost/'),
	('http://4294967297/'), ('http://0x17f000001/'), ('http://127.0.0.256/'), ('http://127.0.0.1.1/'), ('http://0x7f.0x0.0x0.0x1.0x1/'), ('http://127.0.0.1x/'),
	('http://127.00000000000000000000001/'), ('http://+127.0.0.1/'), ('http://-127.0.0.1/'), ('http://127.0.0.1e0/'),
	-- IPv6, plain and with an IPv4 address within
	('http://[::1]/'), ('http://[::1]:8080/'), ('http://[0:0:0:0:0:0:0:1]/'), ('http://[0000:0000:0000:0000:0000:0000:0000:0001]/'), ('http://[0::0:1]/'),
	('http://[::]/'), ('http://[0:0::]/'), ('http://[::ffff:127.0.0.1]/'), ('http://[::FFFF:127.0.0.1]/'), ('http://[::ffff:7f00:1]/'), ('http://[0:0:0:0:0:ffff:7f00:1]/'),
	('http://[::ffff:0.0.0.0]/'), ('http://[::ffff:10.0.0.1]/'), ('http://[::ffff:a00:1]/'), ('http://[::ffff:169.254.169.254]/'), ('http://[::ffff:a9fe:a9fe]/'), ('http://[::ffff:192.168.0.1]/'),
	('http://[::127.0.0.1]/'), ('http://[::7f00:1]/'), ('http://[::ffff:0:127.0.0.1]/'), ('http://[::ffff:0:7f00:1]/'),
	('http://[64:ff9b::127.0.0.1]/'), ('http://[64:ff9b::7f00:1]/'), ('http://[64:ff9b::a9fe:a9fe]/'), ('http://[64:ff9b:1::a00:1]/'), ('http://[64:ff9b:1:ffff::1]/'),
	('http://[2002:7f00:1::]/'), ('http://[2002:a00:1::1]/'), ('http://[2002:a9fe:a9fe::1]/'), ('http://[2002:c0a8:1::1]/'),
	('http://[2001::1]/'), ('http://[2001:0:7f00:1::1]/'), ('http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/'), ('http://[2001:10::1]/'), ('http://[2001:20::1]/'),
	('http://[2001:db8::1]/'), ('http://[3fff::1]/'), ('http://[5f00::1]/'), ('http://[100::1]/'), ('http://[fec0::1]/'),
	('http://[fc00::1]/'), ('http://[fd00::1]/'), ('http://[fd00:ec2::254]/latest/meta-data/'), ('http://[ff02::1]/'), ('http://[ff0e::1]/'), ('http://[fe80::1]/'), ('http://[fe80::a9fe:a9fe]/'),
	('http://[4000::1]/'), ('http://[8000::1]/'), ('http://[::2]/'),
	-- zone ids
	('http://[fe80::1%25lo]/'), ('http://[fe80::1%25eth0]/'), ('http://[fe80::1%lo]/'), ('http://[fe80::1%251]/'), ('http://[::1%25lo]/'), ('http://[::1%251]/'), ('http://[::1%lo]/'), ('http://[::ffff:127.0.0.1%25lo]/'), ('http://[fe80::1%25]/'), ('http://[fe80::1%25lo%25lo]/'),
	-- brackets that are none
	('http://[::1/'), ('http://::1/'), ('http://::1:80/'), ('http://[127.0.0.1]/'), ('http://[::1]x/'), ('http://[[::1]]/'), ('http://[::1]]/'), ('http://[::1].example.com/'), ('http://[::1]:/'), ('http://[::g]/'), ('http://[::127.1]/'), ('http://[::ffff:0x7f.1]/'), ('http://[1::1::1]/'),
	-- private, shared, link-local, documentation, multicast, reserved; both ends
	('http://10.0.0.0/'), ('http://10.255.255.255/'), ('http://10.1/'), ('http://0xa.1/'), ('http://012.1/'), ('http://167772161/'),
	('http://100.64.0.0/'), ('http://100.100.100.200/latest/meta-data/'), ('http://100.127.255.255/'), ('http://1684300900/'),
	('http://169.254.0.0/'), ('http://169.254.169.254/latest/meta-data/'), ('http://169.254.169.254:80/'), ('http://169.254.170.2/v2/credentials'), ('http://169.254.255.255/'),
	('http://0xa9fea9fe/'), ('http://0xA9.0xFE.0xA9.0xFE/'), ('http://0251.0376.0251.0376/'), ('http://025177524776/'), ('http://2852039166/'), ('http://169.16689662/'), ('http://169.254.43518/'), ('http://0xa9.254.0251.254/'), ('http://169.254.169.254./'),
	('http://172.16.0.0/'), ('http://172.31.255.255/'), ('http://0xac100001/'), ('http://2886729729/'), ('http://192.168.0.0/'), ('http://192.168.255.255/'), ('http://3232235521/'), ('http://0300.0250.1/'),
	('http://192.0.0.0/'), ('http://192.0.0.192/'), ('http://192.0.0.255/'), ('http://192.0.2.0/'), ('http://192.0.2.255/'), ('http://192.88.99.0/'), ('http://192.88.99.255/'),
	('http://198.18.0.0/'), ('http://198.19.255.255/'), ('http://198.51.100.0/'), ('http://198.51.100.255/'), ('http://203.0.113.0/'), ('http://203.0.113.255/'),
	('http://224.0.0.0/'), ('http://224.0.0.251:5353/'), ('http://239.255.255.255/'), ('http://240.0.0.0/'), ('http://255.255.255.254/'), ('http://255.255.255.255/'), ('http://4294967295/'), ('http://0xffffffff/'), ('http://037777777777/'), ('http://0.255.255.255/'),
	-- user info, and what is taken for it
	('http://user@127.0.0.1/'), ('http://user:secret@127.0.0.1/'), ('http://@127.0.0.1/'), ('http://:@127.0.0.1/'), ('http://1.1.1.1:80@127.0.0.1/'), ('http://1.1.1.1:80@127.0.0.1:80/'), ('http://example.com@127.0.0.1/'), ('http://example.com%40127.0.0.1/'),
	('http://a:b@c@127.0.0.1/'), ('http://1.1.1.1&@127.0.0.1#@8.8.8.8/'), ('http://127.0.0.1#@example.com/'), ('http://127.0.0.1?@example.com/'), ('http://127.0.0.1:80#@example.com/'), ('http://foo@[::1]/'), ('http://foo@127.0.0.1:80@example.invalid/'),
	-- backslashes, tabs, line ends, blanks, other characters
	('http://127.0.0.1\@example.invalid/'), ('http://127.0.0.1\.example.invalid/'), ('http://example.invalid\@127.0.0.1/'), ('http:\\127.0.0.1/'), ('http:/\127.0.0.1/'), ('http:\/127.0.0.1/'), ('http://\127.0.0.1/'),
	(E'http://127.0.0.1\t/'), (E'http://\t127.0.0.1/'), (E'ht\ttp://127.0.0.1/'), (E'http://127.0\n.0.1/'), (E'http://127.0.0.1/\r\nHost: x'), (' http://127.0.0.1/'), ('http:// 127.0.0.1/'), ('http://127.0.0.1 /'), (E'\x01http://127.0.0.1/'),
	('http://127。0。0。1/'), ('http://127．0．0．1/'), ('http://127｡0｡0｡1/'), ('http://１２７.0.0.1/'), ('http://①②⑦.0.0.1/'), ('http://ⓛocalhost/'), ('http://ｌｏｃａｌｈｏｓｔ/'), ('http://loc𝐚lhost/'), (E'http://127.0.0.1\u200b/'), (E'http://127.0.0\u00ad.1/'), ('http://[：：1]/'), ('http://٠/'), ('http://١٢٧.0.0.1/'),
	-- escapes in the host
	('http://127.0.0.%31/'), ('http://%31%32%37.0.0.1/'), ('http://127%2e0%2e0%2e1/'), ('http://127.0.0.1%2f/'), ('http://127.0.0.1%00.example.invalid/'), ('http://127.0.0.1%23.example.invalid/'), ('http://%6c%6fcalhost/'), ('http://localhos%74/'), ('http://%5b::1%5d/'), ('http://127.0.0.1%0d%0a/'), ('http://%30/'), ('http://%09127.0.0.1/'),
	-- slashes, ports, schemes
	('http:/127.0.0.1/'), ('http:127.0.0.1/'), ('http:///127.0.0.1/'), ('http:////127.0.0.1/'), ('//127.0.0.1/'), ('127.0.0.1'), ('127.0.0.1:80'), ('localhost'), ('http://127.0.0.1:0/'), ('http://127.0.0.1:65536/'), ('http://127.0.0.1:80:80/'), ('http://127.0.0.1:+80/'), ('http://127.0.0.1:0x50/'), ('http://127.0.0.1:/'),
	('HTTP://127.0.0.1/'), ('hTTpS://127.0.0.1/'), ('https://127.0.0.1/'), ('https://localhost/'), ('https://[::1]/'), ('ftp://127.0.0.1/'), ('gopher://127.0.0.1:6379/_x'), ('dict://127.0.0.1:11211/'), ('file:///etc/passwd'), ('file://127.0.0.1/etc/passwd'), ('ldap://127.0.0.1/'), ('smtp://127.0.0.1/'), ('telnet://127.0.0.1/'), ('tftp://127.0.0.1/x'), ('ws://127.0.0.1/'), ('unix:///var/run/docker.sock'), ('jar:http://127.0.0.1/'), ('socks5h://127.0.0.1:1080');
select count(*) >= 120 as enough, count(*) from target;
create temp table verdict as
select n, url, pg_temp.write(url) as "when it is written", pg_temp.dial(url) as "when it is dialled" from target;
-- What must hold for each:
select * from verdict where "when it is written" = 'allowed' and "when it is dialled" !~ '^(refused|no such name)';
select * from verdict where "when it is dialled" !~ '^(refused: |no URL$|no such name$)';
-- Each of them, but for what libcurl says of URLs that we refuse: its versions differ.
-- Characters without a width are shown by name: versions of psql count their columns differently.
select replace(replace(url, e'\u200b', '<200B>'), e'\u00ad', '<00AD>') as url, "when it is written", case when "when it is written" = 'not allowed' and url !~* 'localhost|[.]/' then "when it is dialled" end as "when it is dialled"
from verdict order by n;

-- A name with more than one address: each that is dialled is judged.  What is allowed is dialled.
select pg_temp.allow('127.0.0.0/8') is null as accepted;
select u, pg_temp.dial(u) from unnest(array['http://127.0.0.1:1/', 'http://0x7f.1:1/', 'http://2130706433:1/', 'http://[::ffff:127.0.0.1]:1/', 'http://[::1]:1/', 'http://[64:ff9b::7f00:1]:1/', 'http://10.0.0.1:1/', 'http://169.254.169.254:1/', 'http://localhost:1/', 'https://127.0.0.1:1/']) u;

-- What a proxy is asked for.  It is the proxy itself that is dialled.
select u, pg_temp.dial(u, 'http://127.0.0.1:1')
from unnest(array['http://example.com/', 'https://example.com:8443/x', 'http://8.8.8.8/', 'http://127.0.0.1/',
	'http://10.0.0.1/', 'http://0xa.1/', 'http://167772161/', 'http://[::1]/', 'http://[::ffff:a00:1]/', 'http://[fe80::1%25lo]/', 'http://user@example.com/', 'http://example.com\@10.0.0.1/',
	'http://localhost/', 'http://intranet/', 'http://intranet./', 'http://METADATA.google.internal/', 'http://a.local/', 'http://a.localdomain/', 'http://a.home.arpa/', 'http://a.lan/', 'http://a.corp/', 'http://local.example.com/', 'http://internal.com/', 'http://xinternal/']) with ordinality as t(u, n)
order by n;
select p, pg_temp.dial('http://example.com/', p)
from unnest(array['http://10.0.0.1:3128', 'https://10.0.0.1:3128', 'socks5h://10.0.0.1:1080', 'socks5h://[::1]:1080', 'http://0xa.1:3128', 'http://[::ffff:10.0.0.1]:3128', 'http://169.254.169.254:80', 'socks5h://127.0.0.1:1']) with ordinality as t(p, n)
order by n;

-- Which proxy.
select coalesce(pg_temp.proxy(u, own, general, exceptions), 'direct') as proxy, u as url, own, general, exceptions
from (values
	(1, 'http://a.example.com/', null, null, null), (2, 'http://a.example.com/', null, 'http://g:1', null), (3, 'http://a.example.com/', 'http://o:1', 'http://g:1', null),
	(4, 'http://a.example.com/', 'none', 'http://g:1', null), (5, 'http://a.example.com/', 'http://o:1', null, 'example.com'), (6, 'http://a.example.com/', null, 'http://g:1', 'example.com'),
	(7, 'http://A.Example.COM.:80/x', null, 'http://g:1', '.example.com'), (8, 'http://aexample.com/', null, 'http://g:1', 'example.com'), (9, 'http://10.1.2.3:80/', null, 'http://g:1', '10.0.0.0/8'),
	(10, 'http://[fd00::1]:80/', null, 'http://g:1', 'x, fd00::/8'), (11, 'http://11.1.2.3/', null, 'http://g:1', '10.0.0.0/8'), (12, 'http://0xa.1/', null, 'http://g:1', '10.0.0.0/8'), (13, 'http://a.example.com/', null, 'http://g:1', '*')
	) as v(i, u, own, general, exceptions)
order by i;
select h, l, pg_temp.listed(h, l) from (values (1, 'example.com', ''), (2, 'example.com', 'example.com'), (3, 'com', 'example.com'), (4, 'b.example.com', 'a.example.com, example.com'), (5, '::1', '::1'), (6, '127.0.0.1', '::ffff:127.0.0.1'), (7, '10.0.0.1', '10.0.0.1'), (8, '110.0.0.1', '10.0.0.1')) as v(i, h, l) order by i;
select l, coalesce(pg_temp.hosts(l), 'accepted') from unnest(array['', ' ', '*', 'a', '.a.b', 'a,b', 'a, 10.0.0.0/8 ,::1', ',', 'a,', 'a b', '10.0.0.1/8', '10.0.0.0/40', 'http://a', 'a:80', '*.a', '.']) with ordinality as t(l, n) order by n;
