-- Templates: where a place stands decides how its value is written.
set client_min_messages = warning;
create extension if not exists postrider;
reset client_min_messages;

-- Fields of the message, paths, defaults, texts.
select postrider.render('{{id}} {{topic}} {{key}} {{tenant}} {{endpoint}} {{created_at}} {{created_at_s}} {{created_at_ms}}', '{}',
	topic => 'order.paid', key => 'k 1', tenant => 'acme', endpoint => 'crm', id => '019380a5-e8c9-7000-8000-000000000001');
select n, postrider.render(template, '{"a": {"b": ["x", 2.50, true, null, {"c": "d"}]}, "é n": "ü", "e": ""}')
from (values
	(1, 'no place at all'), (2, ''), (3, '{{$.a.b[0]}}'), (4, '{{ $.a.b[1] }}'), (5, '{{$.a.b[2]}}'), (6, '{{$.a.b[4]}}'),
	(7, '{{$."é n"}}'), (8, '{{$.x|default:"none"}}'), (9, '{{$.a.b[3] | default: 0}}'), (10, '{{$.e|default:"not used"}}.'),
	(11, '{{"{{"}}key}}'), (12, '{{$.a.b[*] ? (@ == "x")}}'), (13, '{{$.x|default:"}} | {{"}}'), (14, '{{$.a.b[*]}}'),
	(15, '{{$.a.b.size()}}'), (16, '{ {key} }')) as v(n, template)
order by n;
-- what is missing is named
select postrider.render('{{$.a.b}}', '{"a": {}}');
select postrider.render('{{$.a}}', '{"a": null}');
select postrider.render('{{key}}', '{}');
select postrider.render('{{id}}', '{}');
select postrider.render('{{created_at}}', '{}');
select postrider.render('{{$.a}}', null);
select postrider.render(null, '{}'), postrider.render('x', '{}', null);

-- The same values in each context.
create temporary table value (n int, v text);
insert into value values
	(1, 'plain'), (2, 'a b+c'), (3, '"}], "x": 1, "y": ["'), (4, E'back\\slash\\'), (5, '<b a="1" c=''2''>&amp;</b>'), (6, ']]>'),
	(7, '../../admin?x=1&y=2#f;z'), (8, '%2e%2e%2f%00'), (9, 'Zoë € 😀'), (10, '{{key}}'), (11, '--><!-- <?x ?>');
\set QUIET 1
\pset format unaligned
\set QUIET 0
select n, postrider.render('https://example.com/c/{{$.v}}/x?q={{$.v}}&{{$.v}}=1', jsonb_build_object('v', v), 'url') from value order by n;
select n, postrider.render('a={{$.v}}', jsonb_build_object('v', v), 'form') from value order by n;
select n, postrider.render('{"v": {{$.v}}, "s": "<{{$.v}}>"}', jsonb_build_object('v', v), 'json') from value order by n;
select n, postrider.render('<a b="{{$.v}}" c=''{{$.v}}''>{{$.v}}<![CDATA[{{$.v}}]]></a>', jsonb_build_object('v', v), 'xml') from value order by n;
select n, postrider.render('<{{$.v}}>', jsonb_build_object('v', v), 'header') from value order by n;
-- Read again, each is the value that it was.
select count(*) filter (where (postrider.render('{"v": {{$.v}}, "s": "{{$.v}}", "{{$.v}}": [{{$.v}}]}', jsonb_build_object('v', v), 'json')::jsonb)
	= jsonb_build_object('v', v, 's', v, v, jsonb_build_array(v))) as json, count(*) from value;
-- ... but for control characters, which neither XML nor headers can hold.
select postrider.render('{"v": {{$.v}}}', jsonb_build_object('v', E'a\r\nb\t\x01'), 'json');
select postrider.render('/{{$.v}}?{{$.v}}', jsonb_build_object('v', E'a\r\nb\t\x01'), 'url');
select postrider.render('<a b="{{$.v}}">{{$.v}}</a>', jsonb_build_object('v', E'a\r\nb\t'), 'xml');
select postrider.render('<a>{{$.v}}</a>', jsonb_build_object('v', E'\x01'), 'xml');
select postrider.render('<![CDATA[{{$.v}}]]>', jsonb_build_object('v', E'\x1f'), 'xml');
select postrider.render('{{$.v}}', jsonb_build_object('v', E'a\r\nX-Evil: 1'), 'header');
select postrider.render('{{$.v}}', jsonb_build_object('v', E'a\nX-Evil: 1'), 'header');
select postrider.render('{{$.v}}', jsonb_build_object('v', E'a\tb'), 'header');
-- CDATA is never ended by a value, not even with what surrounds it.
select postrider.render('<![CDATA[{{$.a}}{{$.b}}>]]>', '{"a": "x]", "b": "]"}', 'xml');
-- Nor does XML text get the end mark of CDATA, which it must not have.
select postrider.render('<a>{{$.v}}{{$.v}}>{{$.v}}]></a>', '{"v": "]"}', 'xml');
-- A path is never left.
select postrider.render('/c/{{$.v}}', '{"v": "."}', 'url');
select postrider.render('/c/{{$.v}}', '{"v": ".."}', 'url');
select postrider.render('/c/{{$.v}}/d', '{"v": ""}', 'url');
select postrider.render('/c/{{$.v}}{{$.v}}', '{"v": "."}', 'url');
select postrider.render('/c?v={{$.v}}', '{"v": ".."}', 'url');
-- Other types.
select postrider.render('{"v": {{$.v}}, "s": "{{$.v}}"}', '{"v": {"a": [1.0, "b\"", null]}}', 'json');
select postrider.render('{"v": {{$.v|default:null}}, "w": {{$.w|default:[]}}}', '{"v": null}', 'json');
select postrider.render('<a>{{$.v}}</a>', '{"v": {"a": "<b>"}}', 'xml');
select postrider.render('a={{$.v}}&b={{$.n}}', '{"v": [1, "x y"], "n": 10.50}', 'form');

-- Contexts by content type.
select t, postrider.render('"{{$}}"', '"<&\""', t)
from (values ('application/json'), ('application/vnd.api+json; charset=utf-8'), ('text/xml'), ('application/soap+xml'), ('TEXT/HTML'),
	('application/x-www-form-urlencoded'), ('text/plain')) as v(t);
select postrider.render('x', '{}', 'yaml');

-- Places where no value can stand, with where they are.
select postrider.render('https://{{key}}.example.com/', '{}', 'url');
select postrider.render('https://example.com/#{{key}}', '{}', 'url');
select postrider.render('{"a": "\{{$.v}}n"}', '{"v": "\""}', 'json');
select postrider.render('{"a": "\\{{$.v}}n"}', '{"v": "\""}', 'json');
select postrider.render('{"query": "mutation { add(email: \"{{$.v}}\") { id } }"}', '{"v": "\") { evil }"}', 'json');
select postrider.render('[{"variables": {"a": 1}, "query": "\n query X { {{$.v}} }"}]', '{"v": 1}', 'json');
select postrider.render('{"query": "{{$.v}}", "size": 1}', '{"v": "{ shop { name } }"}', 'json');
select postrider.render('{"query": "search for (a or b) {{$.v}}"}', '{"v": "c"}', 'json');
select postrider.render('<a {{$.v}}/>', '{"v": "x=''1''"}', 'xml');
select postrider.render('<a b={{$.v}}/>', '{"v": "1 x=2"}', 'xml');
select postrider.render('<{{$.v}}/>', '{"v": "script"}', 'xml');
select postrider.render('<!-- {{$.v}} -->', '{"v": "-->"}', 'xml');
select postrider.render('<?xml version="{{$.v}}"?>', '{"v": "1"}', 'xml');
select postrider.render('<?xml version="1.0"?><a b=">">{{$.v}}</a><!-- " --><c d=''"''>{{$.v}}</c>', '{"v": "<"}', 'xml');
-- Templates that are none.
select postrider.render('abc {{key', '{}');
select postrider.render('é {{}}', '{}');
select postrider.render('{{name}}', '{}');
select postrider.render('{{payload}}', '{}');
select postrider.render('{{$.a[}}', '{}');
select postrider.render('{{$.a ? (@ == $x)}}', '{}');
select postrider.render('{{$.a|upper}}', '{}');
select postrider.render('{{$.a|default:none}}', '{}');
select postrider.render('{{$.a|default:null}}', '{}', 'header');
select postrider.render('{{"a}}', '{}');
select postrider.render('{"a": {{$.a}}', '{}', 'json');
select postrider.render('{"a": 1{{$.a}}}', '{}', 'json');
select postrider.render('{{{$.a}}: 1}', '{}', 'json');
select postrider.render(repeat('x', 1024 * 1024 + 1), '{}');
select postrider.render(repeat('{{key}}', 3000), '{}', key => 'k');
-- A text of any length is not made.
select postrider.render(repeat('{{$.v}}', 900), jsonb_build_object('v', repeat('x', 100000)));
