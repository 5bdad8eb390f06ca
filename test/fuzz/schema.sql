-- What must hold for any JSON Schema and any document.
\set VERBOSITY verbose
set client_min_messages = warning;
create extension if not exists postrider;
create schema fuzz;
create table fuzz.tally (compiled bigint, refused bigint, valid bigint, invalid bigint);
insert into fuzz.tally values (0, 0, 0, 0);
insert into postrider.schema (name, schema) values
	('named', '{"type": ["object", "string"], "properties": {"a": {"$ref": "named"}}, "$defs": {"x": {"$anchor": "x", "minimum": 1}}}'),
	('https://example.com/open', '{"$dynamicAnchor": "node", "properties": {"a": {"$dynamicRef": "#node"}}}');

create function fuzz.schema(schema_text text, documents text[]) returns void language plpgsql as $$
declare
	schema jsonb;
	document jsonb;
	valid boolean;
	errors bigint;
	bad text;
	stated text;
	reason text;
begin
	begin
		schema := schema_text::jsonb;
	exception when data_exception then
		return;
	end;
	-- A schema is refused in one way only, with a place that exists.
	begin
		perform postrider.is_valid('1', schema);
		update fuzz.tally set compiled = compiled + 1;
	exception when others then
		get stacked diagnostics stated = returned_sqlstate, reason = pg_exception_detail;
		assert stated = '22023' and reason ~ '^At (/|the root)', 'refused in another way: ' || stated || ' ' || sqlerrm || ' ' || reason;
		update fuzz.tally set refused = refused + 1;
		begin
			perform count(*) from postrider.validate('1', schema);
			assert false, 'refused once, and once not';
		exception when invalid_parameter_value then
			return;
		end;
	end;
	for document in select d::jsonb from unnest(documents) d loop
		-- Rows or true, never both; nothing depends on how often it is asked.
		valid := postrider.is_valid(document, schema);
		select count(*), min(e::text) filter (where e.message is null or e.message = '' or length(e.message) > 2000 or
			e.keyword is null or e.keyword_location !~ '^(/|$)' or e.instance_location !~ '^(/|$)' or
			document #> string_to_array(nullif(replace(replace(substr(e.instance_location, 2), '~1', '/'), '~0', '~'), ''), '/') is null
			and e.instance_location !~ '~|//|/$' and e.keyword <> 'propertyNames' and e.keyword_location !~ '/propertyNames')
		into errors, bad from postrider.validate(document, schema) e;
		assert valid is not null and valid = (errors = 0), 'valid ' || coalesce(valid::text, 'null') || ', but ' || errors || ' errors';
		assert bad is null, 'a bad error: ' || bad;
		assert valid = postrider.is_valid(document, schema), 'not the same again';
		-- Logic holds.
		assert valid <> postrider.is_valid(document, jsonb_build_object('not', schema)) or schema::text ~ '\$(ref|id|dynamicRef|recursiveRef|schema|anchor|dynamicAnchor)', 'not is not not';
		update fuzz.tally t set valid = t.valid + fuzz.schema.valid::int, invalid = invalid + (not fuzz.schema.valid)::int;
	end loop;
end $$;
