-- Whether a change of a JSON Schema breaks what was valid.
set client_min_messages = warning;
create extension if not exists postrider;
reset client_min_messages;
\pset format unaligned
\pset tuples_only on
-- One line for each change, and one for the short answer.
create function pg_temp.compare(old_schema jsonb, new_schema jsonb) returns setof text language sql as $$
	select case when compatible then '+ ' else '- ' end || concat_ws(' | ', location, change, message)
	from postrider.compare_schema(old_schema, new_schema)
	union all
	select '=> ' || postrider.is_compatible(old_schema, new_schema)
$$;

-- The columns.
\pset tuples_only off
select * from postrider.compare_schema(
	'{"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}, "customer": {"properties": {"vat": {"type": "string"}}}}}',
	'{"type": "object", "required": ["id"], "properties": {"id": {"type": ["integer", "string"]}, "customer": {"required": ["vat"], "properties": {"vat": {"type": "string"}}}}}');
\pset tuples_only on

-- Nothing changes, or only what says nothing of the instance.
select pg_temp.compare('{"type": "object", "title": "a"}', '{"type": "object", "title": "b", "description": "c", "default": 1, "examples": [1], "$comment": "x"}');
select pg_temp.compare('{"minimum": 1.0}', '{"minimum": 1}');
select pg_temp.compare('true', '{}');
select pg_temp.compare('{}', 'true');
-- Boolean schemas.
select pg_temp.compare('false', '{"type": "string"}');
select pg_temp.compare('true', 'false');
select pg_temp.compare('{"properties": {"a": true}}', '{"properties": {"a": false}}');
select pg_temp.compare('{"properties": {"a": false}}', '{"properties": {"a": {"type": "string"}}}');
-- Types.
select pg_temp.compare('{"type": "integer"}', '{"type": "number"}');
select pg_temp.compare('{"type": "number"}', '{"type": "integer"}');
select pg_temp.compare('{"type": "string"}', '{"type": ["string", "null"]}');
select pg_temp.compare('{"type": ["string", "null", "array"]}', '{"type": "string"}');
select pg_temp.compare('{}', '{"type": "string"}');
select pg_temp.compare('{"type": "string"}', '{}');
-- What concerns other types than the instance can have does not matter.
select pg_temp.compare('{"type": "integer"}', '{"type": "integer", "minLength": 3, "required": ["a"], "items": false}');
-- Required properties; a name may need quoting in a pointer.
select pg_temp.compare('{"properties": {"a": {}}, "required": ["a"]}', '{"properties": {"a": {}}, "required": ["a", "b"]}');
select pg_temp.compare('{"properties": {"a": {}}, "required": ["a", "b"]}', '{"properties": {"a": {}}, "required": ["a"]}');
select pg_temp.compare('{"properties": {"a/b~c": {"properties": {"x": {}}}}}', '{"properties": {"a/b~c": {"properties": {"x": {}}, "required": ["x"]}}}');
-- Properties that come and go, where others are allowed, and where not.
select pg_temp.compare('{"properties": {"a": {"type": "string"}}}', '{"properties": {"a": {"type": "string"}, "b": {"type": "string"}}}');
select pg_temp.compare('{"properties": {"a": {"type": "string"}}}', '{"properties": {"a": {"type": "string"}, "b": {}}}');
select pg_temp.compare('{"properties": {"a": {"type": "string"}, "b": {"type": "string"}}}', '{"properties": {"a": {"type": "string"}}}');
select pg_temp.compare('{"properties": {"a": {"type": "string"}}, "additionalProperties": false}', '{"properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "additionalProperties": false}');
select pg_temp.compare('{"properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "additionalProperties": false}', '{"properties": {"a": {"type": "string"}}, "additionalProperties": false}');
select pg_temp.compare('{"properties": {"a": {}}}', '{"properties": {"a": {}}, "additionalProperties": false}');
select pg_temp.compare('{"properties": {"a": {}}, "additionalProperties": false}', '{"properties": {"a": {}}}');
select pg_temp.compare('{"additionalProperties": {"type": "integer"}}', '{"additionalProperties": {"type": "number"}}');
select pg_temp.compare('{"additionalProperties": {"type": "number"}}', '{"additionalProperties": {"type": "integer"}}');
select pg_temp.compare('{"additionalProperties": {"type": "string"}}', '{"properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}');
select pg_temp.compare('{"properties": {"a": {"type": "integer"}}}', '{"additionalProperties": {"type": "number"}}');
select pg_temp.compare('{"properties": {"a": {"type": "integer"}}, "additionalProperties": false}', '{"additionalProperties": {"type": "number"}}');
-- Patterns of properties, and names.
select pg_temp.compare('{"patternProperties": {"^x-": {"type": "integer"}}}', '{"patternProperties": {"^x-": {"type": "number"}}}');
select pg_temp.compare('{"patternProperties": {"^x-": {"type": "number"}}}', '{"patternProperties": {"^x-": {"type": "integer"}}}');
select pg_temp.compare('{"properties": {"x-a": {"type": "string"}}, "additionalProperties": false}', '{"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": false}');
select pg_temp.compare('{"properties": {"x-a": {"type": "string"}}, "additionalProperties": false}', '{"patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": false}');
select pg_temp.compare('{}', '{"patternProperties": {"^x-": {"type": "integer"}}}');
select pg_temp.compare('{"patternProperties": {"^x-": {}}, "additionalProperties": false}', '{"additionalProperties": false}');
select pg_temp.compare('{}', '{"propertyNames": {"maxLength": 5}}');
select pg_temp.compare('{"properties": {"abc": {}}, "additionalProperties": false}', '{"propertyNames": {"maxLength": 5}}');
select pg_temp.compare('{"propertyNames": {"maxLength": 5}}', '{"propertyNames": {"maxLength": 4}}');
select pg_temp.compare('{"propertyNames": {"maxLength": 5}}', '{"propertyNames": {"maxLength": 6}}');
select pg_temp.compare('{"required": ["a", "b"]}', '{"minProperties": 2}');
select pg_temp.compare('{"minProperties": 1, "maxProperties": 3}', '{"minProperties": 2, "maxProperties": 2}');
select pg_temp.compare('{"properties": {"a": {}, "b": {}}, "additionalProperties": false}', '{"maxProperties": 2}');
-- Values.
select pg_temp.compare('{"enum": ["a", "b"]}', '{"enum": ["b", "a", "c"]}');
select pg_temp.compare('{"properties": {"status": {"enum": ["open", "paid"]}}}', '{"properties": {"status": {"enum": ["open"]}}}');
select pg_temp.compare('{"type": "string"}', '{"enum": ["a", "b"]}');
select pg_temp.compare('{"enum": ["a", "b", 1]}', '{"type": "string"}');
select pg_temp.compare('{"enum": ["a", "b"]}', '{"type": "string", "minLength": 1}');
select pg_temp.compare('{"enum": ["a", "bb"]}', '{"type": "string", "minLength": 2}');
select pg_temp.compare('{"enum": ["a", 1], "type": "string"}', '{"enum": ["a"]}');
select pg_temp.compare('{"const": 1}', '{"const": 1.0}');
select pg_temp.compare('{"const": 1}', '{"const": 2}');
select pg_temp.compare('{"const": {"a": [1, 2]}}', '{"enum": [{"a": [1, 2]}, null]}');
select pg_temp.compare('{"type": "boolean"}', '{"enum": [true, false]}');
select pg_temp.compare('{"type": ["boolean", "null"]}', '{"enum": [true, null]}');
select count(*), bool_and(compatible) from postrider.compare_schema(
	(select jsonb_build_object('enum', jsonb_agg(i)) from generate_series(1, 10000) i),
	(select jsonb_build_object('enum', jsonb_agg(i)) from generate_series(10000, 1, -1) i));
select count(*), bool_or(compatible) from postrider.compare_schema(
	(select jsonb_build_object('enum', jsonb_agg(i)) from generate_series(1, 10000) i), '{"enum": [1, 2]}');
-- Numbers.
select pg_temp.compare('{"minimum": 1, "maximum": 10}', '{"minimum": 0, "maximum": 11}');
select pg_temp.compare('{"minimum": 1, "maximum": 10}', '{"minimum": 2, "maximum": 9}');
select pg_temp.compare('{"minimum": 1}', '{"exclusiveMinimum": 1}');
select pg_temp.compare('{"exclusiveMinimum": 1}', '{"minimum": 1}');
select pg_temp.compare('{"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10.5}', '{"minimum": 1, "maximum": 10}');
select pg_temp.compare('{"type": "integer", "minimum": 1}', '{"exclusiveMinimum": 0}');
select pg_temp.compare('{"type": "number", "minimum": 1}', '{"type": "number", "exclusiveMinimum": 0}');
select pg_temp.compare('{}', '{"maximum": 100}');
select pg_temp.compare('{"multipleOf": 6}', '{"multipleOf": 3}');
select pg_temp.compare('{"multipleOf": 3}', '{"multipleOf": 6}');
select pg_temp.compare('{"type": "integer"}', '{"multipleOf": 0.5}');
select pg_temp.compare('{"type": "integer"}', '{"type": "number", "multipleOf": 1}');
select pg_temp.compare('{"type": "number", "multipleOf": 1}', '{"type": "integer"}');
select pg_temp.compare('{"minimum": 1e400}', '{"minimum": 1e401}');
-- Strings.
select pg_temp.compare('{"minLength": 2, "maxLength": 4}', '{"minLength": 1, "maxLength": 5}');
select pg_temp.compare('{"minLength": 2, "maxLength": 4}', '{"minLength": 3, "maxLength": 3}');
select pg_temp.compare('{"type": "string"}', '{"type": "string", "minLength": 0}');
select pg_temp.compare('{"pattern": "^a"}', '{"pattern": "^ab"}');
select pg_temp.compare('{"pattern": "^a"}', '{}');
select pg_temp.compare('{}', '{"pattern": "^a"}');
select pg_temp.compare('{"format": "email"}', '{"format": "uri"}');
select pg_temp.compare('{"format": "uri"}', '{"format": "uri-reference"}');
select pg_temp.compare('{}', '{"format": "email"}');
select pg_temp.compare('{}', '{"format": "our-own"}');
-- Arrays.
select pg_temp.compare('{"items": {"type": "integer"}}', '{"items": {"type": "number"}}');
select pg_temp.compare('{"properties": {"lines": {"items": {"properties": {"quantity": {"minimum": 1}}}}}}', '{"properties": {"lines": {"items": {"properties": {"quantity": {"minimum": 2}}}}}}');
select pg_temp.compare('{}', '{"items": {"type": "string"}}');
select pg_temp.compare('{"items": {"type": "string"}}', '{"items": false}');
select pg_temp.compare('{"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false}', '{"prefixItems": [{"type": "string"}, {"type": "number"}], "items": false}');
select pg_temp.compare('{"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false}', '{"prefixItems": [{"type": "string"}], "items": false}');
select pg_temp.compare('{"prefixItems": [{"type": "string"}], "items": false}', '{"prefixItems": [{"type": "string"}, {"type": "number"}], "items": false}');
select pg_temp.compare('{"prefixItems": [{"type": "string"}, {"type": "integer"}]}', '{"items": {"type": ["string", "integer"]}}');
select pg_temp.compare('{"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "null"}}', '{"items": {"type": ["string", "integer", "null"]}}');
select pg_temp.compare('{"items": {"type": "string"}, "maxItems": 2}', '{"prefixItems": [{"type": "string"}, {"type": "string"}], "items": false}');
select pg_temp.compare('{"minItems": 1, "maxItems": 5}', '{"minItems": 2, "maxItems": 4}');
select pg_temp.compare('{"minItems": 1, "uniqueItems": true}', '{"uniqueItems": false}');
select pg_temp.compare('{}', '{"uniqueItems": true}');
select pg_temp.compare('{"maxItems": 1}', '{"uniqueItems": true}');
select pg_temp.compare('{"contains": {"type": "integer"}}', '{"contains": {"type": "number"}}');
select pg_temp.compare('{"contains": {"type": "number"}}', '{"contains": {"type": "integer"}}');
select pg_temp.compare('{"contains": {"type": "number"}, "maxContains": 2}', '{"contains": {"type": "integer"}, "minContains": 0, "maxContains": 3}');
select pg_temp.compare('{"contains": {"type": "integer"}, "maxContains": 2}', '{"contains": {"type": "number"}, "maxContains": 2}');
select pg_temp.compare('{"contains": {"type": "integer"}, "minContains": 0}', '{"contains": {"type": "integer"}}');
select pg_temp.compare('{"items": {"type": "integer"}, "minItems": 2}', '{"contains": {"type": "number"}, "minContains": 2}');
-- allOf, anyOf, oneOf, not, if.
select pg_temp.compare('{"allOf": [{"minimum": 1}, {"maximum": 5}]}', '{"minimum": 0, "maximum": 5}');
select pg_temp.compare('{"minimum": 0, "maximum": 5}', '{"allOf": [{"minimum": 1}, {"maximum": 5}]}');
select pg_temp.compare('{"anyOf": [{"type": "string"}]}', '{"anyOf": [{"type": "null"}, {"type": "string"}]}');
select pg_temp.compare('{"anyOf": [{"type": "string"}, {"type": "integer"}]}', '{"anyOf": [{"type": "string"}]}');
select pg_temp.compare('{"anyOf": [{"type": "string"}, {"type": "integer"}]}', '{"type": ["string", "number"]}');
select pg_temp.compare('{"type": ["string", "integer"]}', '{"anyOf": [{"type": "string"}, {"type": "number"}]}');
select pg_temp.compare('{"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}', '{"anyOf": [{"required": ["b"]}, {"required": ["a"]}, {"required": ["c"]}]}');
select pg_temp.compare('{"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}', '{"anyOf": [{"required": ["a", "b"]}]}');
select pg_temp.compare('{"anyOf": [{"properties": {"k": {"const": 1}}, "required": ["k"]}]}', '{"properties": {"k": {"enum": [1, 2]}}, "required": ["k"]}');
select pg_temp.compare('{"oneOf": [{"type": "string"}, {"type": "integer"}]}', '{"oneOf": [{"type": "integer"}, {"type": "null"}, {"type": "string"}]}');
select pg_temp.compare('{"oneOf": [{"minimum": 1}, {"required": ["a"]}]}', '{"oneOf": [{"minimum": 1}, {"required": ["a"]}, {"required": ["b"]}]}');
select pg_temp.compare(
	'{"oneOf": [{"type": "object", "properties": {"kind": {"const": "card"}, "number": {"type": "string"}}, "required": ["kind"]}, {"type": "object", "properties": {"kind": {"const": "cash"}}, "required": ["kind"]}]}',
	'{"oneOf": [{"type": "object", "properties": {"kind": {"const": "cash"}}, "required": ["kind"]}, {"type": "object", "properties": {"kind": {"const": "card"}, "number": {"type": ["string", "null"]}}, "required": ["kind"]}, {"type": "object", "properties": {"kind": {"const": "debit"}}, "required": ["kind"]}]}');
select pg_temp.compare('{"oneOf": [{"type": "string"}, {"type": "integer"}]}', '{"anyOf": [{"type": "string"}, {"type": "number"}]}');
select pg_temp.compare('{"anyOf": [{"type": "string"}, {"minLength": 2}]}', '{"oneOf": [{"type": "string"}, {"minLength": 2}]}');
select pg_temp.compare('{"not": {"type": "string"}}', '{"not": {"type": "string", "minLength": 2}}');
select pg_temp.compare('{"not": {"type": "string", "minLength": 2}}', '{"not": {"type": "string"}}');
select pg_temp.compare('{"type": "integer"}', '{"not": {"type": "string"}}');
select pg_temp.compare('{"if": {"required": ["a"]}, "then": {"required": ["b", "c"]}}', '{"if": {"required": ["a"]}, "then": {"required": ["b"]}}');
select pg_temp.compare('{"if": {"required": ["a"]}, "then": {"required": ["b"]}}', '{"if": {"required": ["a"]}, "then": {"required": ["b", "c"]}, "else": {"required": ["d"]}}');
select pg_temp.compare('{"required": ["b"]}', '{"if": {"required": ["a"]}, "then": {"required": ["b"]}}');
-- References, also to itself.
select pg_temp.compare('{"$defs": {"address": {"required": ["city"]}}, "properties": {"to": {"$ref": "#/$defs/address"}, "from": {"$ref": "#/$defs/address"}}}',
	'{"$defs": {"address": {"required": ["city", "zip"]}}, "properties": {"to": {"$ref": "#/$defs/address"}, "from": {"$ref": "#/$defs/address"}}}');
select pg_temp.compare('{"$defs": {"a": {"minimum": 1}}, "properties": {"x": {"$ref": "#/$defs/a"}}}', '{"properties": {"x": {"minimum": 1}}}');
select pg_temp.compare('{"properties": {"v": {"type": "integer"}, "next": {"$ref": "#"}}}', '{"properties": {"v": {"type": "number"}, "next": {"$ref": "#"}}}');
select pg_temp.compare('{"properties": {"v": {"type": "number"}, "next": {"$ref": "#"}}}', '{"properties": {"v": {"type": "integer"}, "next": {"$ref": "#"}}}');
select pg_temp.compare('{"$ref": "#/$defs/tree", "$defs": {"tree": {"$anchor": "t", "items": {"$ref": "#t"}, "maxItems": 2}}}', '{"$ref": "#t", "$defs": {"tree": {"$anchor": "t", "items": {"$ref": "#/$defs/tree"}, "maxItems": 3}}}');
select pg_temp.compare('{"properties": {"a": {"$ref": "#/$defs/x~1y%25"}}, "$defs": {"x/y%": {"const": 1}}}', '{"properties": {"a": {"$ref": "#/$defs/z"}}, "$defs": {"z": {"enum": [1, 2]}}}');
-- The same text with another meaning.
select pg_temp.compare('{"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string"}}}', '{"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "integer"}}}');
-- unevaluated*
select pg_temp.compare('{"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": false}', '{"allOf": [{"properties": {"a": {}}}], "properties": {"b": {}}, "unevaluatedProperties": false}');
select pg_temp.compare('{"properties": {"a": {}, "b": {}}, "unevaluatedProperties": false}', '{"properties": {"a": {}}, "unevaluatedProperties": false}');
select pg_temp.compare('{"properties": {"a": {}}}', '{"properties": {"a": {}}, "unevaluatedProperties": false}');
select pg_temp.compare('{"properties": {"a": {}}, "additionalProperties": false}', '{"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": false}');
select pg_temp.compare('{"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}], "unevaluatedProperties": false}', '{"anyOf": [{"properties": {"a": {}}}], "unevaluatedProperties": false}');
select pg_temp.compare('{"anyOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}], "unevaluatedProperties": false}', '{"anyOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}], "properties": {"c": {}}, "unevaluatedProperties": false}');
select pg_temp.compare('{"prefixItems": [{}, {}], "unevaluatedItems": false}', '{"prefixItems": [{}], "unevaluatedItems": false}');
select pg_temp.compare('{"prefixItems": [{}], "unevaluatedItems": false}', '{"allOf": [{"prefixItems": [{}, {}]}], "unevaluatedItems": false}');
-- dependent*
select pg_temp.compare('{"dependentRequired": {"card": ["name", "expiry"]}}', '{"dependentRequired": {"card": ["name"]}}');
select pg_temp.compare('{"dependentRequired": {"card": ["name"]}}', '{"dependentRequired": {"card": ["name", "expiry"]}}');
select pg_temp.compare('{"required": ["name"]}', '{"dependentRequired": {"card": ["name"]}}');
select pg_temp.compare('{"properties": {"card": false}}', '{"dependentRequired": {"card": ["name"]}}');
select pg_temp.compare('{"dependentSchemas": {"card": {"minProperties": 3}}}', '{"dependentSchemas": {"card": {"minProperties": 2}}}');
select pg_temp.compare('{"dependentSchemas": {"card": {"minProperties": 2}}}', '{"dependentSchemas": {"card": {"minProperties": 3}}}');

-- Schemas that are none are refused, NULL stays NULL.
\pset null (null)
select postrider.is_compatible(null, '{}');
\set VERBOSITY terse
select postrider.compare_schema('{"properties": {"a": {"type": "strin"}}}', '{}');
select postrider.is_compatible('{}', '[]');
\set VERBOSITY default
-- Deep and wide ones end.
select postrider.is_compatible(s, s || '{"title": "x"}') from (select ('{"properties": {"a": ' || repeat('{"properties": {"a": ', 300) || 'true' || repeat('}}', 301))::jsonb as s) as v;
select compatible, change from (select ('{"properties": {"a": ' || repeat('{"properties": {"a": ', 300) || a || repeat('}}', 301))::jsonb as s,
	('{"properties": {"a": ' || repeat('{"properties": {"a": ', 300) || b || repeat('}}', 301))::jsonb as t from (values ('true', '{"type": "string"}')) as v(a, b)) as w, postrider.compare_schema(s, t);
create function pg_temp.doubling(leaf text) returns jsonb language sql as $$
	select jsonb_build_object('$ref', '#/$defs/d0', '$defs', jsonb_object_agg('d' || i,
		case when i = 30 then leaf::jsonb else format('{"properties": {"x": {"$ref": "#/$defs/d%1$s"}, "y": {"$ref": "#/$defs/d%1$s"}}}', i + 1)::jsonb end))
	from generate_series(0, 30) i
$$;
select bool_and(compatible) from postrider.compare_schema(pg_temp.doubling('{"minimum": 2}'), pg_temp.doubling('{"minimum": 1}'));
select bool_or(compatible is false), count(*) <= 1000 from postrider.compare_schema(pg_temp.doubling('{"minimum": 1}'), pg_temp.doubling('{"minimum": 2}'));

-- If it says compatible, nothing that was valid becomes invalid: for each pair
-- of these schemas, and each of these instances.
create temp table example (id serial, schema jsonb);
insert into example (schema) select s::jsonb from unnest(array[
	'true', 'false', '{"type": "string"}', '{"type": ["string", "null"]}', '{"type": "integer"}', '{"type": "number"}', '{"type": "object"}', '{"type": "array"}',
	'{"minimum": 1}', '{"minimum": 2}', '{"exclusiveMinimum": 1}', '{"type": "integer", "exclusiveMinimum": 0}', '{"maximum": 2}', '{"multipleOf": 2}', '{"multipleOf": 4}', '{"multipleOf": 0.5}',
	'{"minLength": 1}', '{"minLength": 2}', '{"maxLength": 1}', '{"pattern": "^a"}', '{"pattern": "b$"}', '{"enum": [1, 2, "a"]}', '{"enum": [1, "a"]}', '{"const": 1}', '{"const": {"a": 1}}', '{"enum": [null, true, false]}',
	'{"required": ["a"]}', '{"required": ["a", "b"]}', '{"properties": {"a": {"type": "integer"}}}', '{"properties": {"a": {"type": "number"}}}', '{"properties": {"a": {"type": "number"}}, "required": ["a"]}',
	'{"properties": {"a": {}}, "additionalProperties": false}', '{"properties": {"a": {}, "b": {}}, "additionalProperties": false}', '{"properties": {"a": {}}, "additionalProperties": {"type": "integer"}}', '{"additionalProperties": {"type": "integer"}}',
	'{"additionalProperties": {"type": "number"}}', '{"patternProperties": {"^a": {"type": "integer"}}}', '{"patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": false}', '{"patternProperties": {"b": {"type": "string"}}}',
	'{"propertyNames": {"maxLength": 1}}', '{"propertyNames": {"enum": ["a", "b"]}}', '{"minProperties": 1}', '{"maxProperties": 1}', '{"dependentRequired": {"a": ["b"]}}', '{"dependentSchemas": {"a": {"required": ["b"]}}}',
	'{"items": {"type": "integer"}}', '{"items": {"type": "number"}}', '{"items": false}', '{"prefixItems": [{"type": "integer"}], "items": false}', '{"prefixItems": [{"type": "integer"}, {"type": "string"}]}', '{"prefixItems": [{"type": "number"}], "items": {"type": "string"}}',
	'{"minItems": 1}', '{"minItems": 2}', '{"maxItems": 1}', '{"uniqueItems": true}', '{"contains": {"type": "integer"}}', '{"contains": {"type": "number"}}', '{"contains": {"type": "integer"}, "maxContains": 1}', '{"contains": {"type": "integer"}, "minContains": 2}', '{"contains": {"type": "string"}, "minContains": 0, "maxContains": 1}',
	'{"anyOf": [{"type": "string"}, {"type": "integer"}]}', '{"anyOf": [{"type": "string"}, {"minimum": 2}]}', '{"oneOf": [{"type": "string"}, {"type": "integer"}]}', '{"oneOf": [{"minimum": 1}, {"required": ["a"]}]}', '{"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}', '{"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}',
	'{"allOf": [{"minimum": 1}, {"type": "integer"}]}', '{"not": {"type": "string"}}', '{"not": {"minimum": 2}}', '{"not": {"required": ["a"]}}', '{"not": {"not": {"type": "string"}}}', '{"if": {"required": ["a"]}, "then": {"required": ["b"]}}', '{"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 1}}',
	'{"properties": {"next": {"$ref": "#"}, "a": {"type": "integer"}}}', '{"properties": {"next": {"$ref": "#"}, "a": {"type": "number"}}}', '{"properties": {"next": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}}', '{"$ref": "#/$defs/n", "$defs": {"n": {"minimum": 1}}}',
	'{"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": false}', '{"anyOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}], "unevaluatedProperties": false}', '{"prefixItems": [{}], "unevaluatedItems": false}', '{"allOf": [{"prefixItems": [{}, {}]}], "unevaluatedItems": {"type": "string"}}', '{"contains": {"type": "string"}, "unevaluatedItems": {"type": "integer"}}'
	]) as s;
create temp table instance (value jsonb);
insert into instance select v::jsonb from unnest(array[
	'null', 'true', 'false', '0', '1', '2', '3', '4', '0.5', '1.5', '-1', '""', '"a"', '"b"', '"ab"', '"abc"', '"ba"',
	'[]', '[1]', '["a"]', '[1.5]', '[1, 2]', '[1, 1]', '[1, "a"]', '["a", 1]', '["a", "a"]', '[1, "a", "b"]', '[1, 2, 3]', '[null]', '[[1]]', '[1, 1.5]',
	'{}', '{"a": 1}', '{"a": 1.5}', '{"a": "x"}', '{"b": 1}', '{"b": "x"}', '{"a": 1, "b": 2}', '{"a": 1, "b": "x"}', '{"ab": 1}', '{"ab": "x"}', '{"c": 1}', '{"c": "x"}', '{"a": 1, "c": 3}', '{"a": 1, "b": 2, "c": "x"}',
	'{"next": 1}', '{"next": {"a": 1}}', '{"next": {"a": "x"}}', '{"next": {"a": 1.5}}', '{"next": {"next": 1}}', '{"next": {"next": {"a": "x"}}}'
	]) as v;
-- Each schema is tried as a topic's.
create temp table valid (id int, value jsonb);
insert into postrider.topic (name) values ('compare.example');
do $$
declare
	e record;
begin
	for e in select * from example loop
		update postrider.topic set schema = e.schema where name = 'compare.example';
		insert into valid select e.id, i.value from instance i where not exists (select from postrider.validate_topic('compare.example', i.value));
	end loop;
end
$$;
delete from postrider.topic where name = 'compare.example';
select o.schema, n.schema, v.value as broken
from example o, example n, valid v
where v.id = o.id and postrider.is_compatible(o.schema, n.schema)
and not exists (select from valid w where w.id = n.id and w.value = v.value);
-- and the long answer says the same as the short one.
select count(*) from example o, example n
where postrider.is_compatible(o.schema, n.schema) <> (select coalesce(bool_and(compatible), true) from postrider.compare_schema(o.schema, n.schema));
-- It proves most of what is true of these instances.
select count(*) filter (where postrider.is_compatible(o.schema, n.schema)) > 900 as proves_much, count(*) as pairs
from example o, example n;
