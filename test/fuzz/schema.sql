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
	holds boolean;
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
	exception when statement_too_complex then
		-- Where a $dynamicRef leads is only known with a document.
		assert sqlerrm = 'stack depth limit exceeded' or
			sqlerrm = 'schema refers to itself without end' and schema::text ~ '\$(dynamic|recursive)Ref', sqlerrm;
		return;
	when others then
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
		begin
			-- Rows or true, never both; nothing depends on how often it is asked.
			holds := postrider.is_valid(document, schema);
			select count(*), min(e::text) filter (where e.message is null or e.message = '' or length(e.message) > 2000 or
				e.keyword is null or e.keyword_location !~ '^(/|$)' or e.instance_location !~ '^(/|$)' or
				document #> coalesce(string_to_array(nullif(substr(e.instance_location, 2), ''), '/'), '{}') is null
				and e.instance_location !~ '~|//|/$' and e.keyword <> 'propertyNames' and e.keyword_location !~ '/propertyNames')
			into errors, bad from postrider.validate(document, schema) e;
			assert holds is not null and holds = (errors = 0), 'valid ' || coalesce(holds::text, 'null') || ', but ' || errors || ' errors';
			assert bad is null, 'a bad error: ' || bad;
			assert holds = postrider.is_valid(document, schema), 'not the same again';
			-- Logic holds.
			assert case when schema::text ~ '\$(ref|id|dynamicRef|recursiveRef|schema|anchor|dynamicAnchor)' then true
				else holds <> postrider.is_valid(document, jsonb_build_object('not', schema)) end, 'not is not not';
			update fuzz.tally set valid = valid + holds::int, invalid = invalid + (not holds)::int;
		exception when statement_too_complex then
			assert sqlerrm = 'stack depth limit exceeded' or
			sqlerrm = 'schema refers to itself without end' and schema::text ~ '\$(dynamic|recursive)Ref', sqlerrm;
		end;
	end loop;
end $$;
