-- Validating by a JSON Schema; named schemas.
set client_min_messages = warning;
create extension if not exists postrider;
reset client_min_messages;

-- The short answer and the long one.
select postrider.is_valid('{"a": 1}', '{"required": ["a"]}'), postrider.is_valid('{}', '{"required": ["a"]}'),
	postrider.is_valid('1', 'true'), postrider.is_valid('1', 'false'), postrider.is_valid(null, 'true'), postrider.is_valid('1', null);
select * from postrider.validate(
	'{"id": "7", "customer": {"email": "ann@"}, "items": [{"sku": "A-1", "quantity": 1}, {"quantity": 0}], "status": "won", "vat": 21}',
	'{"type": "object", "required": ["id", "note"], "additionalProperties": false,
	  "properties": {"id": {"type": "integer"}, "status": {"enum": ["open", "paid"]}, "note": {"type": "string"},
		"customer": {"$ref": "#/$defs/customer"},
		"items": {"type": "array", "maxItems": 1, "items": {"required": ["sku"], "properties": {"quantity": {"minimum": 1}}}}},
	  "$defs": {"customer": {"required": ["name"], "properties": {"email": {"format": "email"}}}}}');
select * from postrider.validate('{"a": 1}', '{"properties": {"a": {"type": "integer"}}}');
select count(*) from postrider.validate((select jsonb_agg(i) from generate_series(1, 5000) i), '{"items": {"type": "string"}}');
select provolatile, proparallel, proisstrict, proname from pg_proc
where pronamespace = 'postrider'::regnamespace and proname in ('is_valid', 'validate') order by proname;

-- In a constraint.
create table person (data jsonb check (postrider.is_valid(data, '{"required": ["name"], "properties": {"age": {"type": "integer", "minimum": 0}}}')));
insert into person values ('{"name": "Ann", "age": 30}'), (null);
insert into person values ('{"name": "Ann", "age": -1}');
insert into person values ('{}');
select * from person;

-- Bad schemas: the place, and what is wrong there.
select postrider.is_valid('1', '{"properties": {"a": {"type": "strin"}}}');
select postrider.is_valid('1', '{"properties": {"a/b": {"minLength": -1}}}');
select postrider.is_valid('1', '{"items": [true]}');
select postrider.is_valid('1', '{"pattern": "(["}');
select postrider.is_valid('1', '"x"');
select postrider.is_valid('1', '{"allOf": [{"$ref": "#/$defs/none"}]}');
select postrider.is_valid('1', '{"$ref": "#"}');
select * from postrider.validate('1', '{"required": "a"}');

-- Known only with a document: where a $dynamicRef leads.
select postrider.is_valid('1', '{"$id": "https://example.com/a", "$dynamicAnchor": "x", "$ref": "b", "$defs": {"b": {"$id": "b", "$dynamicRef": "#x", "$dynamicAnchor": "x"}}}');

-- Nothing is fetched.
select postrider.is_valid('1', '{"$ref": "https://example.com/address.json"}');

-- Named schemas are found by their name and by their $id.
insert into postrider.schema (name, schema, description) values
	('https://example.com/address.json', '{"type": "object", "required": ["street"]}', 'An address'),
	('money', '{"$id": "https://example.com/money", "type": "string", "pattern": "^[0-9]+\\.[0-9]{2}$"}', null);
select name, schema_id, description from postrider.schema order by name;
select postrider.is_valid('{"street": "x"}', '{"$ref": "https://example.com/address.json"}'),
	postrider.is_valid('{}', '{"$ref": "https://example.com/address.json"}'),
	postrider.is_valid('{"a": "1.00"}', '{"properties": {"a": {"$ref": "money"}}}'),
	postrider.is_valid('{"a": "1.0"}', '{"properties": {"a": {"$ref": "money"}}}'),
	postrider.is_valid('"1.0"', '{"$ref": "https://example.com/money#"}');

-- What is kept of them follows: a statement later, in one statement, after a rollback.
create function street(document jsonb) returns boolean language plpgsql immutable as $$
begin
	return postrider.is_valid(document, '{"$ref": "https://example.com/address.json"}');
end $$;
select street('{}');
update postrider.schema set schema = '{"type": "object"}' where name like '%address.json';
select street('{}');
begin;
savepoint s;
update postrider.schema set schema = 'false' where name like '%address.json';
select street('{}');
rollback to s;
select street('{}');
delete from postrider.schema where name like '%address.json';
select street('{}');
rollback;
select street('{}');
do $$
declare
	first boolean := street('[]');
begin
	update postrider.schema set schema = '{"type": "array"}' where name like '%address.json';
	raise notice 'before %, after %', first, street('[]');
end $$;
-- One call site, many schemas.
select i, postrider.is_valid(to_jsonb(i), jsonb_build_object('minimum', i % 3)) from generate_series(0, 5) i;
do $$
declare
	valid boolean;
begin
	for i in 1 .. 200 loop
		valid := postrider.is_valid(to_jsonb(i), jsonb_build_object('const', i));
		assert valid;
		valid := postrider.is_valid('1', jsonb_build_object('const', 200 - i));
		assert valid = (i = 199);
	end loop;
end $$;

-- In a parallel query.
create table many as select jsonb_build_object('a', i || '.00') as data from generate_series(1, 1000) i;
insert into many values ('{"a": "x"}');
set parallel_setup_cost = 0;
set parallel_tuple_cost = 0;
set min_parallel_table_scan_size = 0;
explain (costs off) select count(*) from many where postrider.is_valid(data, '{"properties": {"a": {"$ref": "money"}}}');
select count(*) from many where postrider.is_valid(data, '{"properties": {"a": {"$ref": "money"}}}');
reset all;

-- The trigger.
insert into postrider.schema (name, schema) values ('bad', '{"properties": {"a": {"maximum": "1"}}}');
insert into postrider.schema (name, schema) values ('lonely', '{"$ref": "https://example.com/nowhere"}');
\set VERBOSITY terse
insert into postrider.schema (name, schema) values ('a#b', 'true');
insert into postrider.schema (name, schema) values ('', 'true');
\set VERBOSITY default
insert into postrider.schema (name, schema) values ('money', 'true');
insert into postrider.schema (name, schema) values ('other', '{"$id": "https://example.com/money"}');
update postrider.schema set schema = '{"type": 1}' where name = 'money';
-- They may refer to each other, in one statement or until the commit.
insert into postrider.schema (name, schema) values
	('https://example.com/a', '{"properties": {"b": {"$ref": "b"}}, "$id": "https://example.com/a"}'),
	('https://example.com/b', '{"properties": {"a": {"$ref": "https://example.com/a"}}, "type": "object"}');
select * from postrider.validate('{"b": {"a": {"b": 1}}}', '{"$ref": "https://example.com/a"}');
begin;
set constraints postrider.check_schema deferred;
insert into postrider.schema (name, schema) values ('c', '{"$ref": "d"}');
insert into postrider.schema (name, schema) values ('e', '{"$ref": "f"}');
delete from postrider.schema where name = 'e';
insert into postrider.schema (name, schema) values ('d', '{"type": "integer"}');
commit;
select postrider.is_valid('1', '{"$ref": "c"}'), postrider.is_valid('"a"', '{"$ref": "c"}');

-- Topics refer to them too; and who may only write uses them all the same.
insert into postrider.topic (name, schema) values ('price.changed', '{"properties": {"price": {"$ref": "money"}}}');
create role schema_writer in role postrider_writer;
set role schema_writer;
select postrider.is_valid('{"price": "1"}', '{"$ref": "postrider:topic/price.changed"}');
select postrider.emit('price.changed', '{"price": "1"}') is not null;
select count(*) from postrider.schema;
insert into postrider.schema (name, schema) values ('x', 'true');
reset role;
drop role schema_writer;

-- Large ones.
select postrider.is_valid((select jsonb_agg(i) from generate_series(1, 100000) i), '{"uniqueItems": true}');
select postrider.is_valid((select jsonb_agg(i) from generate_series(1, 100000) i) || '[5]', '{"uniqueItems": true}');
select postrider.is_valid('9999', jsonb_build_object('enum', (select jsonb_agg(i) from generate_series(1, 10000) i)));
select postrider.is_valid((repeat('[', 1000) || repeat(']', 1000))::jsonb, '{"type": "array", "items": {"$ref": "#"}}');
select postrider.is_valid((repeat('[', 1000) || '1' || repeat(']', 1000))::jsonb, '{"type": "array", "items": {"$ref": "#"}}');
select postrider.is_valid(to_jsonb(repeat('x', 10000000)), '{"maxLength": 10000000, "pattern": "x$"}');
select postrider.is_valid((repeat('9', 10000) || '.5')::jsonb, '{"multipleOf": 0.5}');
select message from postrider.validate(to_jsonb(repeat('x', 1000)), '{"enum": ["a"]}');

drop table person, many;
drop function street;
delete from postrider.topic;
delete from postrider.schema;
