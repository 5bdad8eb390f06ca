-- Topics, filters, headers and the request body.
set client_min_messages = warning;
create extension if not exists postrider;
reset client_min_messages;
create function pg_temp.envelope(text, uuid, jsonb) returns text
	language c strict as 'postrider_test', 'test_envelope';
create function pg_temp.headers(jsonb, required boolean default true) returns text
	language c strict as 'postrider_test', 'test_headers';

-- A topic is words joined by dots; a pattern may have wildcards for words.
select quote_literal(t) as topic, postrider.is_topic(t), postrider.is_topic_pattern(t)
from (values
	(1, 'order'), (2, 'order.paid'), (3, 'a.b.c.d'), (4, 'order_line.2.added'), (5, '_'), (6, '0'),
	(10, 'order.*'), (11, 'order.**'), (12, '*'), (13, '**'), (14, '**.paid.*'), (15, '*.**.*'),
	(20, ''), (21, '.'), (22, '.order'), (23, 'order.'), (24, 'order..paid'), (25, 'Order'),
	(26, 'order paid'), (27, 'order-paid'), (28, E'order\n'), (29, E'\torder'), (30, 'ördér'),
	(31, '***'), (32, 'order.***'), (33, 'ord*'), (34, '*er'), (35, '**a'), (36, 'a**'), (37, '*.'), (38, '.*'),
	(39, '*a*'), (40, '**.**'), (41, '* *'), (42, 'order/paid'), (43, '"'), (44, '%'), (45, '#')
	) as v(n, t)
order by n;
select length(t), postrider.is_topic(t), postrider.is_topic_pattern(t)
from (values (repeat('a', 200)), (repeat('a', 201)), (repeat('a.', 99) || 'bb'), (repeat('a.', 100) || 'b')) as v(t);

select t as topic, p as pattern, postrider.topic_matches(t, p)
from (values
	(1, 'order.paid', 'order.paid'), (2, 'order.paid', 'order'), (3, 'order', 'order.paid'),
	(4, 'order.paid', 'order.pai'), (5, 'order.pai', 'order.paid'), (6, 'orders.paid', 'order.*'),
	(10, 'order.paid', 'order.*'), (11, 'order', 'order.*'), (12, 'order.line.added', 'order.*'),
	(13, 'order.line.added', 'order.*.added'), (14, 'order.line.added', '*.*.*'), (15, 'order', '*'),
	(20, 'order', 'order.**'), (21, 'order.paid', 'order.**'), (22, 'order.line.added', 'order.**'),
	(23, 'invoice.paid', 'order.**'), (24, 'paid', '**.paid'), (25, 'order.line.paid', '**.paid'),
	(26, 'order.paid.late', '**.paid'), (27, 'a.x.b.y.c', 'a.**.b.**.c'), (28, 'a.x.b.y.d', 'a.**.b.**.c'),
	(29, 'a', '**.*'), (30, 'a', '**.*.*'), (31, 'a.b', '**.*.*'), (32, 'a.b.a.b.c', '**.a.b.c'),
	(33, 'anything.at.all', '**')
	) as v(n, t, p)
order by n;

-- Every topic of one to four words of a and b against every pattern of one to
-- four words of a, * and **: the same answer as the regular expression gives.
with recursive
topics(t, n) as (
	select w, 1 from unnest(array['a', 'b']) w
	union all
	select t || '.' || w, n + 1 from topics, unnest(array['a', 'b']) w where n < 4),
patterns(p, r, n) as (
	select w, x, 1 from unnest(array['a', '*', '**'], array['a\.', '[^.]+\.', '([^.]+\.)*']) u(w, x)
	union all
	select p || '.' || w, r || x, n + 1
	from patterns, unnest(array['a', '*', '**'], array['a\.', '[^.]+\.', '([^.]+\.)*']) u(w, x) where n < 4)
select count(*) as compared,
	count(*) filter (where postrider.topic_matches(t, p) <> ((t || '.') ~ ('^' || r || '$'))) as different
from topics, patterns;

-- Many ** do not make matching slow: were the work exponential, this would not
-- end.
select count(*) filter (where postrider.topic_matches(repeat('a.', 99) || 'a', repeat('**.a.', 39) || 'b')) as matched
from generate_series(1, 1000);

select postrider.topic_matches('Order', '*');
select postrider.topic_matches('order', 'Order.*');
select postrider.topic_matches('order', repeat('ö', 150));
select postrider.topic_matches(null, '*'), postrider.is_topic(null);

-- A filter lets a payload through if it is a predicate that is true, or a path
-- that finds something.
select f as filter, postrider.filter_matches(
	'{"total": 150, "paid": true, "late": false, "none": null, "tags": ["a", "b"],
	  "lines": [{"sku": "x1", "n": 1}, {"sku": "y2", "n": 9}], "at": "2026-11-23T04:40:09+00:00"}', f) as matches
from (values
	(1, '$.total > 100'::jsonpath), (2, '$.total > 200'), (3, '$.total > 100 && $.paid == true'),
	(4, '$.total > 200 || $.paid == true'), (5, '!($.total > 200)'), (6, '$.paid == true'), (7, '$.late == true'),
	(8, '$.none == null'), (9, 'exists($.tags[*] ? (@ == "b"))'), (10, 'exists($.missing)'),
	(11, '($.total > "x") is unknown'), (12, '$.lines[*].sku starts with "y"'),
	(13, '$.lines[*].sku like_regex "^Y" flag "i"'), (14, '$.total != 150'), (15, '$.total <= 150'), (16, '$.total < 150'),
	(17, '$.total >= 150'),
	(20, '$.tags'), (21, '$.missing'), (22, '$.late'), (23, '$.none'), (24, '$.lines[*] ? (@.n > 5)'),
	(25, '$.lines[*] ? (@.n > 50)'), (26, '$.tags[5]'), (27, '$'), (28, '$.**.n ? (@ == 9)'), (29, '$.total + 1'),
	(30, '($.total > 200).type()'),
	(40, 'true'), (41, 'false'), (42, 'null'), (43, '1'),
	-- errors count as no
	(50, '$.total > "x"'), (51, 'strict $.missing'), (52, 'strict $.missing > 1'), (53, 'strict $.tags[9] == 1'),
	(54, '$.tags.double()'), (55, '$.total / 0 > 1'), (56, '$.total / 0'), (57, '$.tags[*].datetime() > "2020-01-01".datetime()'),
	(58, '-$.tags'), (59, '$.total.keyvalue()'), (60, 'strict $[1e100]'), (61, '$.lines + 1 == 2'),
	-- errors that the server raises even for silent paths
	(70, '$.at.datetime() > "2020-01-01".datetime()'), (71, '$.at.datetime() > "2020-01-01T00:00:00+00:00".datetime()')
	) as v(n, f)
order by n;
select postrider.filter_matches(p, f) from (values
	('5'::jsonb, '$ > 3'::jsonpath), ('"x"', '$ == "x"'), ('[1, 2]', '$[*] > 1'), ('null', '$ == null'), ('{}', '$.a'),
	('[]', '$[*]')) as v(p, f);
-- A payload nested too deep for the stack is no match, and harms nothing.
create temp table deep as
	select (repeat('[', 1000) || '1' || repeat(']', 1000))::jsonb as payload;
select postrider.filter_matches(payload, '$.** ? (@ == 1)') from deep;
set max_stack_depth = '100kB';
select payload @? '$.** ? (@ == 1)' from deep;
select postrider.filter_matches(payload, '$.** ? (@ == 1)') from deep;
reset max_stack_depth;
-- A statement that is cancelled is cancelled all the same.
set statement_timeout = '100ms';
select count(postrider.filter_matches(jsonb_build_object('n', i, 'a', array[1, 2, 3]), '$.a[*] ? (@ > 2)'))
from generate_series(1, 100000000) i;
reset statement_timeout;

-- The body of a request.
select pg_temp.envelope('order.paid', '01935800-0000-7000-8000-000000000000', '{"total": 150, "b": [1, null, "x\"y"]}');
select pg_temp.envelope(t, i, p) from (values
	(1, 'a', '00000000-0000-7000-8000-000000000000'::uuid, '1'::jsonb),
	(2, 'a', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '"scalar"'),
	(3, 'a.b', '019aaecb-4d3b-7abc-8000-000000000000', 'null'),
	(4, 'a', 'e677d21f-dbff-7fff-8000-000000000000', '[]'),
	(5, E'not"a\ntopic\\', '019aaecb-4d3b-7abc-8000-000000000000', '{"ключ": "значение", "emoji": "🚚"}')) as v(n, t, i, p)
order by n;
-- Any time of the next 8,000 years, as the server itself formats it.
select count(*) as compared, count(*) filter (where pg_temp.envelope('t', id, 'true')
	<> format('{"type":"t","timestamp":"%s","data":true}',
		to_char(to_timestamp(ms / 1000) at time zone 'UTC' + ms % 1000 * interval '1 millisecond', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))) as different
from (select ms, (lpad(to_hex(ms), 12, '0') || '70008000000000000000')::uuid as id
	from (select i * 253401999983::bigint / 1000 + i as ms from generate_series(0, 999) i
		union all
		-- both sides of the ends of February
		select 951782400000 + y * 31556952000::bigint + d * 43200000
		from generate_series(0, 400) y, generate_series(-2, 2) d) m) n;
select octet_length(body), body::jsonb ->> 'type' as type, jsonb_array_length(body::jsonb -> 'data') as elements
from (select pg_temp.envelope('big', '019aaecb-4d3b-7abc-8000-000000000000', to_jsonb(array_agg(md5(i::text)))) as body
	from generate_series(1, 20000) i) b;

-- Headers.
select pg_temp.headers('{"X-Shop": "main", "Authorization": "Bearer abc.def", "x-empty": "", "!#$%&''*+-.^_`|~09": "a\tb", "X-Utf8": "ж"}');
select pg_temp.headers('{}') = '' as none;
create function pg_temp.try_headers(headers jsonb) returns text language plpgsql as $$
declare
	detail text;
	hint text;
begin
	perform pg_temp.headers(headers);
	return null;
exception when others then
	get stacked diagnostics detail = pg_exception_detail, hint = pg_exception_hint;
	return concat_ws(' | ', sqlstate, sqlerrm, nullif(detail, ''), nullif(hint, ''));
end
$$;
select pg_temp.try_headers(h::jsonb) from (values
	(1, '[]'), (2, '"x"'), (3, 'null'), (4, '1'), (5, '[{"X-A": "1"}]'),
	(10, '{"": "x"}'), (11, '{"X A": "x"}'), (12, '{"X:A": "x"}'), (13, '{":path": "x"}'), (14, '{"X-Ä": "x"}'),
	(15, '{"X\nA": "x"}'), (16, '{"X(A)": "x"}'), (17, '{"X-A\u007f": "x"}'),
	(20, '{"X-A": "a\r\nX-B: c"}'), (21, '{"X-A": "a\nb"}'), (22, '{"X-A": "a\rb"}'), (23, '{"X-A": "\u0001"}'), (24, '{"X-A": "\u007f"}'),
	(30, '{"X-A": 1}'), (31, '{"X-A": null}'), (32, '{"X-A": ["a"]}'), (33, '{"X-A": {"b": "c"}}'), (34, '{"X-A": true}'),
	(40, '{"Host": "x"}'), (41, '{"hOsT": "x"}'), (42, '{"Content-Length": "1"}'), (43, '{"transfer-encoding": "chunked"}'),
	(44, '{"Connection": "close"}'), (45, '{"Keep-Alive": "1"}'), (46, '{"TE": "x"}'), (47, '{"Trailer": "x"}'), (48, '{"Upgrade": "x"}'),
	(49, '{"Expect": "100-continue"}'), (50, '{"webhook-id": "x"}'), (51, '{"Webhook-Signature": "x"}'), (52, '{"WEBHOOK-": "x"}'),
	(53, '{"Proxy-Connection": "x"}'), (54, '{"HTTP2-Settings": "x"}'),
	(60, '{"X-A": "1", "x-a": "2"}'), (61, '{"X-Webhook-Id": "fine", "Hosts": "fine", "Webhook": "fine"}')
	) as v(n, h)
order by n;
select pg_temp.try_headers(jsonb_object_agg('X-' || i, 'v')) from generate_series(1, 100) i;
select pg_temp.try_headers(jsonb_object_agg('X-' || i, 'v')) from generate_series(1, 101) i;
select pg_temp.try_headers(jsonb_build_object('X-A', repeat('x', 16 * 1024 - 7)));
select pg_temp.try_headers(jsonb_build_object('X-A', repeat('x', 16 * 1024 - 6)));
-- What would not pass the check is not sent, whoever wrote it.
select pg_temp.headers('{"X-A": "1", "x-a": "2", "Host": "evil", "X-B": "a\r\nb", "X-C": 3, "X-D": "4"}', false);
select pg_temp.headers('[1]', false) = '' and pg_temp.headers('"x"', false) = '' as none;
select count(*) from regexp_split_to_table((select pg_temp.headers(jsonb_object_agg('X-' || i, 'v'), false) from generate_series(1, 500) i), '\n');
select pg_temp.headers(jsonb_build_object('X-A', '1', 'X-BB', repeat('x', 17000)), false);
