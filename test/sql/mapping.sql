-- Field mapping: definitions, sources, targets, types, problems, versions.
\set SHOW_CONTEXT never
set client_min_messages = warning;
create extension if not exists postrider;
reset client_min_messages;

-- What is mapped must be jsonb as PostgreSQL itself would store it.
create function pg_temp.map(payload jsonb, definition jsonb) returns jsonb language plpgsql as $$
declare
	result jsonb := postrider.map(payload, definition);
begin
	if result::text::jsonb is distinct from result or jsonb_hash(result::text::jsonb) <> jsonb_hash(result)
		or pg_column_size(result::text::jsonb) <> pg_column_size(result) then
		raise exception 'badly stored: %', result;
	end if;
	return result;
end $$;
-- One field of $, for short.
create function pg_temp.one(value jsonb, field jsonb) returns jsonb language sql as $$
	select pg_temp.map(value, jsonb_build_object('fields', jsonb_build_array('{"to": "x", "from": "$"}'::jsonb || field))) -> 'x'
$$;

\set definition '{"fields": [{"to": "properties.email", "from": "$.record.email", "apply": ["trim", "lower"], "required": true, "check": "email"}, {"to": "properties.company", "from": "$.record.account_name", "default": "unknown", "max_length": 10, "overflow": "truncate"}, {"to": "properties.status", "from": "$.record.status", "lookup": {"paid": "CLOSED_WON", "*": "OPEN"}}, {"to": "line_items", "each": "$.record.items[*]", "fields": [{"to": "sku", "from": "$.sku"}, {"to": "quantity", "from": "$.qty", "type": "integer"}, {"to": "order", "from": "$.record.id", "of": "payload"}]}, {"to": "source", "value": "shop"}], "drop_nulls": true}'
select jsonb_pretty(pg_temp.map('{"record": {"id": 7, "email": " Ann@Example.org", "account_name": "Example Organisation", "status": "paid", "items": [{"sku": "a", "qty": "12"}, {"sku": "b", "qty": 3.0}]}}', :'definition'));
select pg_temp.map('{"record": {"email": "a@example.org", "status": "new"}}', :'definition');

-- Everything that is wrong with a record is said at once.
select postrider.map('{"record": {"id": 7, "account_name": {}, "status": [], "items": [{"qty": "12.5"}, {"qty": 1}, {"qty": "007"}]}}', :'definition'::jsonb);
select * from postrider.map_errors('{"record": {"id": 7, "account_name": {}, "status": [], "items": [{"qty": "12.5"}, {"qty": 1}, {"qty": "007"}]}}', :'definition'::jsonb);
select * from postrider.map_errors('{"record": {"email": "a@example.org"}}', :'definition'::jsonb);
select count(*), max(message) filter (where target = '') from postrider.map_errors(
	(select jsonb_agg('x'::text) from generate_series(1, 1000)), '{"fields": [{"to": "n", "each": "$[*]", "type": "integer"}]}'::jsonb);

-- Paths: the quick way finds what the executor of paths finds.  Only null, taken
-- for a list, is no list of null.
create temp table document (d jsonb);
insert into document values
	('{"a": {"b": 1}, "c": [10, 20, {"d": 30}], "e": null, "f": [[1, 2], [3]], "g": [{"h": 1}, {"h": 2}], "": 5, "k k": 6}'),
	('[1, [2, 3], {"a": 4}]'), ('[]'), ('{}'), ('"s"'), ('null'), ('12'), ('{"a": [{"b": 7}]}'), ('{"a": {"b": [8]}, "c": {"d": 9}}');
with path(p) as (values ('$'), ('$.a'), ('$.a.b'), ('$.a.b.z'), ('$.c[0]'), ('$.c[last]'), ('$.c[2].d'), ('$.c[9]'), ('$.e'), ('$.e.x'), ('$.e[0]'),
	('$.f[1][0]'), ('$.f[*]'), ('$.f[*][*]'), ('$.g.h'), ('$.g[*].h'), ('$.""'), ('$."k k"'), ('$[0]'), ('$[1][last]'), ('$[2].a'), ('$[last].a'), ('$.a[0].b'), ('$.a.b[0]'),
	('$[*]'), ('$.c[*]'), ('$.c[1 to 2]'), ('$.**.d'), ('$.c[1.7]'), ('$.a.type()'), ('lax $.a.b'))
select count(*) as compared, count(*) filter (where q = '[]') as not_found,
	count(*) filter (where not (d = 'null' and p = '$[*]') and m is distinct from case when q = '[]' then null when q -> 0 = 'null' and jsonb_array_length(q) = 1 and not plural then 'null'
		when jsonb_array_length(q) = 1 and not plural and jsonb_typeof(q -> 0) = 'array' then q -> 0 else q end) as different
from path, document,
	lateral (select jsonb_path_query_array(d, p::jsonpath) q, p ~ '\*|to' as plural) q,
	lateral (select postrider.map(d, jsonb_build_object('fields', jsonb_build_array(jsonb_build_object('to', 'x', 'from', p, 'type', 'array')))) -> 'x' m) m;
-- What the server says of .double() differs.
select target, source, regexp_replace(message, '.*( of jsonpath item method .double\(\)) is .*', '...\1 ...') as message from postrider.map_errors('{"a": "x", "c": [1, 2]}', '{"fields": [{"to": "s", "from": "strict $.b"}, {"to": "d", "from": "$.a.double()"}, {"to": "m", "from": "$.c[*]"}, {"to": "t", "from": "$.a.datetime()"}, {"to": "u", "from": "1 / $.zero"}, {"to": "fine", "from": "$.c[*] ? (@ > 1)"}]}'::jsonb);
select pg_temp.map('{"a": 3, "b": 4}', '{"fields": [{"to": "sum", "from": "$.a + $.b"}, {"to": "more", "from": "$.a > $.b"}, {"to": "big", "from": "$.c.size()"}]}');

-- Types: what loses nothing is converted, the rest is refused.
select type, string_agg(case when m.x is not distinct from v then v::text else v::text || ' -> ' || m.x::text end, '  ' order by n) filter (where e.message is null) as taken,
	string_agg(v::text, '  ' order by n) filter (where e.message is not null) as refused
from (values ('string'), ('integer'), ('number'), ('boolean'), ('array'), ('object'), ('date'), ('date-time')) t(type),
	(values (1, jsonb '"12"'), (2, '12'), (3, '12.0'), (4, '12.5'), (5, '"12.5"'), (6, '"007"'), (7, '"-0.50e2"'), (8, '"1e1001"'), (9, '" 1"'), (10, '""'),
		(11, '"NaN"'), (12, '"0x10"'), (13, '"1_000"'), (14, '1e3'), (15, 'true'), (16, '"true"'), (17, '"yes"'), (18, '1'), (19, '0'), (20, 'null'), (21, '[1]'), (22, '{"a": 1}'),
		(23, '"2026-02-28"'), (24, '"2026-02-29"'), (25, '"2024-02-29"'), (26, '"31/02/2026"'), (27, '"abc"'), (28, '"2026-11-23T10:11:12Z"'),
		(29, '"2026-11-23T10:11:12.123456+05:30"'), (30, '"2026-11-23T10:11:12"'), (31, '"2026-11-23T24:00:00Z"'), (32, '"0000-01-01"'), (33, '"2026-1-1"'), (34, '"-"'), (35, '"1."'), (36, '"1e"')) v(n, v),
	lateral (select jsonb_build_object('fields', jsonb_build_array(jsonb_build_object('to', 'x', 'from', '$', 'type', type))) d) d
	left join lateral postrider.map_errors(v, d) e on true,
	lateral (select case when e.message is null then pg_temp.map(v, d) -> 'x' end x) m
group by type order by type \gx
select * from postrider.map_errors('{"a": "abc", "b": 1.5, "c": [], "d": {}, "e": null}', '{"fields": [{"to": "1", "from": "$.a", "type": "integer"}, {"to": "2", "from": "$.b", "type": "integer"}, {"to": "3", "from": "$.a", "type": "number"}, {"to": "4", "from": "$.c", "type": "object"}, {"to": "5", "from": "$.d", "type": "string"}, {"to": "6", "from": "$.a", "type": "date"}, {"to": "7", "from": "$.a", "type": "date-time"}, {"to": "8", "from": "$.a", "type": "boolean"}, {"to": "9", "from": "$.e", "type": "object"}]}'::jsonb);

-- Null, missing, default and required.
\set nulls '{"fields": [{"to": "plain", "from": "$.a"}, {"to": "default", "from": "$.a", "default": "d"}, {"to": "keep", "from": "$.a", "nulls": "keep"}, {"to": "drop", "from": "$.a", "nulls": "drop"}, {"to": "always", "from": "$.a", "default": null, "nulls": "keep"}]'
select pg_temp.map('{}', (:'nulls' || '}')::jsonb) as missing, pg_temp.map('{"a": null}', (:'nulls' || '}')::jsonb) as null, pg_temp.map('{"a": null}', (:'nulls' || ', "drop_nulls": true}')::jsonb) as dropped;
select * from postrider.map_errors('{"b": null}', '{"fields": [{"to": "a", "from": "$.a", "required": true}, {"to": "b", "from": "$.b", "required": true}, {"to": "c", "from": "$.c", "required": true, "default": 1}, {"to": "d", "each": "$.d", "required": true}]}'::jsonb);

-- Several sources.
\set several '{"fields": [{"to": "name", "from": ["$.first", "$.middle", "$.last"]}, {"to": "joined", "from": ["$.first", "$.number"], "separator": ""}, {"to": "contact", "coalesce": ["$.email", "$.phone"], "default": "none"}]}'
select pg_temp.map(v, :'several') from (values (1, jsonb '{"first": "Ann", "middle": null, "last": "Lee", "number": 7, "phone": "+31"}'), (2, '{"middle": ""}'), (3, '{"last": "Lee", "email": null, "number": 1.50}')) v(n, v) order by n;

-- Conditions choose between fields with the same target.
\set choice '{"fields": [{"to": "size", "value": "large", "when": "$.n > 100"}, {"to": "size", "value": "medium", "when": "$.n > 10"}, {"to": "size", "value": "small"}, {"to": "only", "from": "$.n", "when": "exists($.flag)", "required": true}]}'
select n, pg_temp.map(jsonb_build_object('n', n), :'choice') from unnest(array[5, 50, 500]) n;
select pg_temp.map('{"n": "?", "flag": null}', :'choice');

-- Lists and nested objects.
select pg_temp.map('{"m": [{"n": [1, 2]}, {"n": []}, null, {"n": ["3"]}, {}], "tags": ["A", null, "b"], "one": {"k": 1}, "o": {"p": {"q": 1}}}',
	'{"fields": [{"to": "rows", "each": "$.m[*]", "fields": [{"to": "cells", "each": "$.n", "fields": [{"to": "v", "from": "$", "type": "integer"}]}, {"to": "count", "from": "$.n.size()"}]}, {"to": "tags", "each": "$.tags", "apply": ["lower"]}, {"to": "single", "each": "$.one", "fields": [{"to": "k", "from": "$.k"}]}, {"to": "none", "each": "$.none[*]"}, {"to": "empty", "each": "$.none[*]", "default": []}, {"to": "inner", "from": "$.o.p", "fields": [{"to": "r", "from": "$.q"}]}, {"to": "here", "fields": [{"to": "s", "from": "$.o.p.q"}]}, {"to": "gone", "from": "$.nope", "fields": [{"to": "t", "value": 1}]}]}');
select * from postrider.map_errors('{"m": [{"n": [1, "x"]}, {"n": [true, {}, "y"]}]}', '{"fields": [{"to": "rows", "each": "$.m[*]", "fields": [{"to": "cells", "each": "$.n", "type": "integer"}, {"to": "o.k", "from": "$.k", "required": true}]}]}'::jsonb);

-- Targets
select pg_temp.map('1', '{"fields": [{"to": "a.b[0].c", "from": "$"}, {"to": "a.\"x.y\"", "from": "$"}, {"to": "a.b[2]", "from": "$"}, {"to": "\"\"", "from": "$"}, {"to": "q.\"\\\"\\\\\"", "from": "$"}, {"to": "ключ", "from": "$"}]}');
select pg_temp.map('1', '{"fields": [{"to": "[1].a", "from": "$"}, {"to": "[0]", "from": "$"}]}');
-- More keys than one stride of jsonb's offsets, and some of them missing.
select count(*) filter (where m = e), count(*) from generate_series(1, 140, 3) n,
	lateral (select jsonb_agg(jsonb_build_object('to', 'k' || i, 'from', '$.k' || i)) f, jsonb_object_agg('k' || i, repeat('v', i)) d from generate_series(1, n) i) x,
	lateral (select d - 'k2' - 'k70' as e) y, lateral (select pg_temp.map(e, jsonb_build_object('fields', f)) m) z;

-- Copies: what is not mapped stays.
\set copy '{"pass_through": true, "drop_nulls": true, "fields": [{"to": "b.c", "value": null}, {"to": "b.e", "value": "new"}, {"to": "z[1]", "value": "two"}, {"to": "z[4]", "value": 4}, {"to": "q", "from": "$.nope"}, {"to": "keep", "from": "$.nope"}, {"to": "text.inner", "value": 1}, {"to": "w[0].v", "value": null}]}'
select pg_temp.map('{"a": 1, "b": {"c": 2, "d": 3}, "z": [0, 1, 2], "keep": "kept", "text": "t", "n": null, "w": [{"v": 1, "u": 2}]}', :'copy');
select pg_temp.map('{}', :'copy'), pg_temp.map('{"b": "x", "z": {}, "w": "y"}', :'copy');
select pg_temp.map('{"record": {"id": 1, "items": [{"sku": "a", "secret": 1}, {"sku": "b"}]}}', '{"pass_through": "$.record", "drop_nulls": true, "fields": [{"to": "items", "each": "$.record.items", "pass_through": true, "fields": [{"to": "secret", "value": null}]}]}');
select * from postrider.map_errors('{"a": [1]}', '{"pass_through": "$.a", "fields": [{"to": "x", "value": 1}, {"to": "l", "each": "$.a", "pass_through": true, "fields": []}]}'::jsonb);
-- A random document with random changes comes out as jsonb_set makes it.
select count(*) filter (where m is distinct from e), count(*) from generate_series(1, 300) s,
	lateral (select jsonb_object_agg('k' || (i * s % 97), case i % 4 when 0 then to_jsonb(i * 1.5) when 1 then to_jsonb(repeat('x', i)) when 2 then '[1, {"a": null}]' else '{"b": true}' end) d from generate_series(1, s % 90 + 1) i) d,
	lateral (select 'k' || (s * 7 % 97) as k1, 'k' || (s * 5 % 89) || 'x' as k2) k,
	lateral (select jsonb_set(jsonb_set(d, array[k1], '{"new": [1.25]}'), array[k2], '"s"') e) e,
	lateral (select pg_temp.map(d, jsonb_build_object('pass_through', true, 'fields', jsonb_build_array(jsonb_build_object('to', k1, 'value', '{"new": [1.25]}'::jsonb), jsonb_build_object('to', k2, 'value', 's')))) m) m;

-- Lengths count characters.
select pg_temp.one('"déjà-vu"', '{"max_length": 4, "overflow": "truncate"}'), pg_temp.one('"déjà"', '{"max_length": 4}');
select pg_temp.one('"déjà-vu"', '{"max_length": 4}');
select pg_temp.one('12345', '{"max_length": 4}');
select pg_temp.one('12345', '{"type": "string", "max_length": 4, "overflow": "truncate"}');
-- Look-ups go by text.
select v, pg_temp.one(v, '{"lookup": {"1": "one", "true": "yes", "a": null, "": [1]}, "default": "d"}') from unnest(array['1', '1.00', 'true', '"a"', '""', 'null']::jsonb[]) v;
select pg_temp.one('2', '{"lookup": {"1": "one"}}');

-- Definitions that are wrong: all of it, with the place.
select * from postrider.check_mapping('{"fields": [{"to": "a", "from": "$.x", "aply": ["trim"], "colour": 1}, {"to": "a.b", "from": "x"}, {"to": "a[0]", "from": "$.a", "value": 1}, {"to": "a", "value": 1}, {}, 3, {"to": "z", "from": "$x"}, {"to": "l", "each": "$.a", "fields": [{"to": "", "from": ["$.a"], "type": "int"}, {"to": "$.a", "from": []}]}, {"to": "m", "from": "$.a", "default": "abc", "type": "integer", "max_length": 0, "overflow": "cut", "required": "yes", "nulls": 1}, {"to": "n", "value": 1, "apply": "trim"}, {"to": "o", "from": "$", "lookup": {}, "separator": ","}, {"to": "o", "from": "$", "fields": [], "type": "string"}, {"to": "p", "from": 5, "when": true, "drop_nulls": true}, {"to": "q", "coalesce": ["$.a", "$.", 1]}], "drop": 1, "drop_nulls": 0, "pass_through": 1, "description": []}');
select message from postrider.check_mapping('[]') union all select message from postrider.check_mapping('{}') union all select message from postrider.check_mapping('{"fields": {}}') union all select message from postrider.check_mapping('{"fields": []}') union all select message from postrider.check_mapping('1');
select t, message from unnest(array['a', 'a.b', '"a b".c[0]', '', '.', 'a.', '.a', 'a..b', 'a[', 'a[]', 'a[-1]', 'a[x]', 'a[999]', 'a[1000]', 'a[99999999999999999999]', '"a', '"a"b', 'a"b"', 'a b', 'a]', 'a[0]b', 'a[0][1]', 'a.[0]', '$.a', repeat('a.', 31) || 'a', repeat('a.', 32) || 'a']) t
	left join lateral postrider.check_mapping(jsonb_build_object('fields', jsonb_build_array(jsonb_build_object('to', t, 'value', 1)))) on true;
-- Collisions, whatever the order.
select a, b, message from (values ('a', 'a'), ('a', 'a.b'), ('a.b', 'a'), ('a[0]', 'a.b'), ('a.b', 'a[0]'), ('a[0].x', 'a[0]'), ('[0]', 'a'), ('a', '"a"'), ('a.b', 'a.c'), ('a[0]', 'a[1]')) v(a, b)
	left join lateral postrider.check_mapping(jsonb_build_object('fields', jsonb_build_array(jsonb_build_object('to', a, 'value', 1), jsonb_build_object('to', b, 'value', 2)))) on true;
-- Conversions and checks say what they do not know.
select "position" from postrider.check_mapping('{"fields": [{"to": "a", "from": "$.a", "apply": ["trim", "no_such"]}, {"to": "b", "from": "$.b", "apply": "no_such"}, {"to": "c", "from": "$.c", "apply": [1]}, {"to": "e", "from": "$.e", "apply": [[]]}]}');
select "position" from postrider.check_mapping(jsonb_build_object('fields', jsonb_build_array(jsonb_build_object('to', 'a', 'from', '$.a', 'apply', (select jsonb_agg('trim'::text) from generate_series(1, 51))))));

-- Found by test/fuzz/mapping.
select * from postrider.check_mapping('{"fields": [{"to": "a", "from": "$", "max_length": "abc"}, {"to": "b", "from": "$", "max_length": null}, {"to": "c", "from": "$", "max_length": "5"}]}');
select * from postrider.check_mapping('{"fields": [{"to": 1, "from": "$"}, {"to": "a", "from": "$"}, {"to": "[0]", "from": "$"}]}');
-- Without end: fields within fields, documents and definitions that are large or deep.
do $$
declare
	d jsonb := '{"to": "v", "from": "$"}';
	found text;
begin
	for i in 1..20 loop
		d := jsonb_build_object('to', 'l', 'each', '$[*]', 'fields', jsonb_build_array(d));
		select string_agg(position || ': ' || message, '; ') into found from postrider.check_mapping(jsonb_build_object('fields', jsonb_build_array(d)));
		raise notice '% deep: %', i, found;
		exit when found is not null;
	end loop;
end $$;
do $$
declare
	deep jsonb := (repeat('[', 1000) || repeat(']', 1000))::jsonb;
	big jsonb := jsonb_build_object('record', jsonb_build_object('text', repeat('x', 10 * 1024 * 1024), 'list', (select jsonb_agg(i) from generate_series(1, 200000) i), 'deep', deep));
	result jsonb;
begin
	result := postrider.map(big, '{"fields": [{"to": "a.t", "from": "$.record.text"}, {"to": "l", "each": "$.record.list", "type": "string"}, {"to": "d", "from": "$.record.deep"}, {"to": "s", "from": "$.record.text", "max_length": 5, "overflow": "truncate"}, {"to": "o", "each": "$.record.list[*]", "fields": [{"to": "n", "from": "$"}]}]}'::jsonb);
	raise notice '% % % % % %', length(result #>> '{a,t}'), jsonb_array_length(result -> 'l'), result -> 'l' -> 199999, result -> 's', result -> 'd' = deep, result -> 'o' -> 1234;
	result := postrider.map(big, '{"pass_through": true, "fields": []}'::jsonb);
	raise notice '%', result = big;
	result := postrider.map(deep, '{"fields": [{"to": "n", "from": "$.**.size()", "type": "array"}]}'::jsonb);
	raise notice '%', jsonb_array_length(result -> 'n');
	perform postrider.check_mapping(deep);
	perform postrider.check_mapping(big);
	perform postrider.check_mapping(jsonb_build_object('fields', deep));
	perform postrider.map('{}', jsonb_build_object('fields', jsonb_build_array(jsonb_build_object('to', 'x', 'value', deep))));
end $$;
select message from postrider.check_mapping(jsonb_build_object('fields', (select jsonb_agg(jsonb_build_object('to', 'k' || i, 'value', i)) from generate_series(1, 1001) i)));
select message from postrider.check_mapping(jsonb_build_object('fields', '[]'::jsonb, 'description', repeat('x', 1100000)));
select count(*) from postrider.check_mapping(jsonb_build_object('fields', (select jsonb_agg(i) from generate_series(1, 1000) i)));
select left(message, 80) from postrider.check_mapping(jsonb_build_object('fields', jsonb_build_array(jsonb_build_object('to', repeat('x', 1001), 'from', '$.' || repeat('y', 5000)))));
select message from postrider.map_errors((select jsonb_agg(i) from generate_series(1, 3000) i), jsonb_build_object('fields', jsonb_build_array(jsonb_build_object('to', 'x', 'each', '$[*]', 'fields', jsonb_build_array(jsonb_build_object('to', 'y', 'value', repeat('z', 100000)))))));

-- The same definition from many hands; more of them than are kept.
select count(distinct m) from generate_series(1, 3) r, generate_series(1, 100) i, lateral (select pg_temp.map('1', jsonb_build_object('fields', jsonb_build_array(jsonb_build_object('to', 'x', 'value', i)))) m) m;

-- Mappings have versions, which stay as they are.
insert into postrider.mapping (name, definition, description) values ('crm', '{"fields": [{"to": "a", "from": "$.a"}]}', 'first');
insert into postrider.mapping (name, definition) values ('crm', '{"fields": [{"to": "b", "from": "$.a"}]}'), ('crm', '{"fields": [{"to": "c", "from": "$.a"}]}') returning name, version;
insert into postrider.mapping (name, version, definition) values ('crm', 10, '{"fields": [{"to": "d", "from": "$.a"}]}'), ('other', null, '{"fields": [{"to": "e", "from": "$.a", "required": true}]}') returning name, version;
select postrider.map('{"a": 1}', 'crm'), postrider.map('{"a": 1}', 'crm', 2), postrider.map('{"a": 1}', 'other'), postrider.map(null, 'crm'), postrider.map('{"a": 1}', null::text);
select v, postrider.map('{"a": 1}', 'crm', v) from unnest(array[1, 3, null, 2, 1, 10]) v;
select * from postrider.map_errors('{}', 'other');
select * from postrider.map_errors('{}', null::text);
select target, source from postrider.describe_mapping('crm', 2);
update postrider.mapping set definition = '{"fields": [{"to": "z", "from": "$.a"}]}' where name = 'crm' and version = 1;
update postrider.mapping set version = 20 where name = 'crm' and version = 1;
update postrider.mapping set name = 'x' where name = 'crm' and version = 1;
update postrider.mapping set description = 'the first one' where name = 'crm' and version = 1 returning name, version, description;
\set VERBOSITY terse
insert into postrider.mapping (name, version, definition) values ('crm', 1, '{"fields": [{"to": "z", "from": "$.a"}]}');
insert into postrider.mapping (name, version, definition) values ('crm', 0, '{"fields": [{"to": "z", "from": "$.a"}]}');
-- Also when it was deleted: its number stands for nothing else, whoever writes.
insert into postrider.mapping (name, definition) values ('gone', '{"fields": [{"to": "a", "from": "$.a"}]}'), ('gone', '{"fields": [{"to": "b", "from": "$.a"}]}') returning version;
delete from postrider.mapping where name = 'gone';
insert into postrider.mapping (name, version, definition) values ('gone', 1, '{"fields": [{"to": "z", "from": "$.a"}]}');
insert into postrider.mapping (name, version, definition) values ('gone', 1, '{"fields": [{"to": "a", "from": "$.a"}]}') returning version;
insert into postrider.mapping (name, definition) values ('gone', '{"fields": [{"to": "z", "from": "$.a"}]}') returning version;
create role regress_mapper;
grant postrider_admin to regress_mapper;
set role regress_mapper;
delete from postrider.mapping where name = 'gone';
insert into postrider.mapping (name, definition) values ('gone', '{"fields": [{"to": "y", "from": "$.a"}]}') returning version;
reset role;
delete from postrider.mapping where name = 'gone';
drop role regress_mapper;
insert into postrider.mapping (name, definition) values ('', '{"fields": [{"to": "z", "from": "$.a"}]}');
insert into postrider.mapping (name, definition) values ('bad', null);
\set VERBOSITY default
insert into postrider.mapping (name, definition) values ('bad', '{"fields": [{"to": "z", "from": "$.a", "typ": "string"}]}');
insert into postrider.mapping (name, definition) values ('bad', '{"fields": [{"to": "z"}, {"to": "z", "value": 1}]}');
select postrider.map('{}', 'nobody');
select postrider.map('{}', 'crm', 4);
select postrider.map('{}', 'crm', 0);
select postrider.map('{}', '{"fields": []}');
select postrider.map('{}', '{"fields": []}'::jsonb);
-- A row that is new counts at once, and no more when it is rolled back.
create function pg_temp.newest() returns text language plpgsql as $$
declare
	result text := '';
begin
	for i in 1..2 loop
		result := result || postrider.map('{"a": 1}', 'crm') || ' ';
		begin
			insert into postrider.mapping (name, definition) values ('crm', '{"fields": [{"to": "new", "from": "$.a"}]}');
			result := result || postrider.map('{"a": 1}', 'crm') || ' ';
			raise exception 'back';
		exception when raise_exception then
			result := result || postrider.map('{"a": 1}', 'crm') || ' ';
		end;
	end loop;
	return result;
end $$;
select pg_temp.newest();
create temp table row_with_trigger (name text, version int, definition jsonb);
create trigger t before delete on row_with_trigger for each row execute function postrider.check_mapping_row();
insert into row_with_trigger values ('x');
delete from row_with_trigger;
create temp table other_table (a int);
create trigger t before insert on other_table for each row execute function postrider.check_mapping_row();
insert into other_table values (1);

-- A mapping as documentation.
select * from postrider.describe_mapping(:'definition'::jsonb);
select target, source, condition, type, "default" from postrider.describe_mapping('{"pass_through": "$.record", "fields": [{"to": "name", "from": ["$.first", "$.last"], "when": "$.kind == \"person\""}, {"to": "c", "coalesce": ["$.a", "$.b"], "default": null}, {"to": "t", "each": "$.tags[*]", "type": "string"}, {"to": "o", "from": "$.o", "pass_through": true, "fields": [{"to": "k", "each": "$.l", "fields": [{"to": "m", "from": "$"}]}]}, {"to": "v", "value": {"a": 1}, "description": "fixed"}]}'::jsonb);

-- A proposal for a person to correct.
create table person (id int primary key, email_address varchar(200), organisation text, given_name text, surname text, tel text, created timestamptz, local_time timestamp,
	born date, qty numeric, "zip code" text, billing_city text, is_active boolean, tags text[], meta jsonb, "quote""d" text);
select f.* from jsonb_array_elements(postrider.suggest_mapping('person', '{"type": "object", "required": ["email", "company", "vat"], "$defs": {"phone": {"type": "string"}}, "properties": {"email": {"type": "string", "format": "email", "maxLength": 100}, "company": {"type": ["null", "string"], "default": "none"}, "firstName": {"type": "string"}, "lastName": {"type": "string"}, "mobile": {"$ref": "#/$defs/phone"}, "createdAt": {"type": "string", "format": "date-time"}, "localTime": {"type": "string", "format": "date-time"}, "birthday": {"type": "string", "format": "date"}, "address": {"type": "object", "required": ["zip"], "properties": {"zip": {"type": "string"}, "city": {"type": "string"}}}, "quantity": {"type": "integer"}, "active": {"type": "boolean"}, "tags": {"type": "array"}, "metadata": {"type": "object"}, "kind": {"const": "person"}, "vat": {"type": "string"}, "odd.key": {"type": "string"}, "quoted": {"type": "string"}}}') -> 'fields') f;
-- It is a definition that compiles, and maps a row.
select * from postrider.check_mapping(postrider.suggest_mapping('person', '{"properties": {"email": {"type": "string"}, "odd.key": {}, "a\"b": {"type": "integer"}, "address": {"properties": {"zip": {}}}}}'));
insert into person (id, email_address, "zip code") values (1, 'a@example.org', '007');
select pg_temp.map(jsonb_build_object('record', to_jsonb(p)), postrider.suggest_mapping('person', '{"properties": {"email": {"type": "string"}, "address": {"properties": {"zip": {}}}}}')) from person p;
select postrider.suggest_mapping('person', '{}');
select postrider.suggest_mapping('person', '[]');
select postrider.suggest_mapping('person', '{"$ref": "#/properties/a", "properties": {"a": {"$ref": "#/properties/a"}, "b": {"$ref": "#/nowhere"}}}') -> 'fields' -> 0 -> 'to';
select postrider.suggest_mapping('person_pkey', '{"properties": {"id": {}}}');
select postrider.suggest_mapping('person', jsonb_build_object('properties', (select jsonb_object_agg('p' || i, '{}'::jsonb) from generate_series(1, 501) i)));

-- Who may use it.
create role mapping_reader in role postrider_reader;
create role mapping_admin in role postrider_admin;
create role mapping_nobody;
set role mapping_reader;
select postrider.map('{"a": 1}', 'crm', 1);
select count(*) from postrider.mapping;
set role mapping_admin;
insert into postrider.mapping (name, definition) values ('other', '{"fields": [{"to": "f", "from": "$.a"}]}') returning version;
select postrider.map('{"a": 1}', 'other');
set role mapping_nobody;
select postrider.map('{"a": 1}', '{"fields": [{"to": "f", "from": "$.a"}]}'::jsonb);
reset role;
delete from postrider.mapping;
drop table person;
drop role mapping_reader, mapping_admin, mapping_nobody;
