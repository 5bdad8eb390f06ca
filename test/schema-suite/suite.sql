-- Runs the tests whose files lie in :folder/tests, with the schemas in
-- :folder/remotes as named ones; prints those that fail, and a closing line.
set client_min_messages = warning;
create extension postrider;
create schema suite;

create table suite.result (file text, group_description text, test_description text, passed boolean, said text);

-- They refer to each other, and some are wrong on purpose.
create function suite.register(folder text) returns void language plpgsql as $$
declare
	file text;
begin
	for file in select f from pg_ls_dir(folder) f order by 1 loop
		begin
			insert into postrider.schema (name, schema)
			values ('http://localhost:1234/' || replace(file, '%', '/'), pg_read_file(folder || '/' || file)::jsonb);
		exception when invalid_parameter_value or unique_violation then
			raise warning 'remote "%" was refused: %', file, sqlerrm;
		end;
	end loop;
end $$;

-- Both functions must agree, and each error must be a complete one.
create function suite.run_test(instance jsonb, schema jsonb, expected boolean, out passed boolean, out said text)
language plpgsql as $$
declare
	valid boolean;
	error record;
	count integer := 0;
begin
	valid := postrider.is_valid(instance, schema);
	for error in select * from postrider.validate(instance, schema) loop
		count := count + 1;
		said := concat_ws(E'\n', said, error.keyword_location || ': ' || error.message);
		if error.instance_location is null or coalesce(error.message, '') = '' or error.keyword is null or
			error.message ~ '([^.]\.|\n)$' or length(error.message) > 1000 then
			passed := false;
			said := 'not a complete error: ' || coalesce(error::text, 'null');
			return;
		end if;
	end loop;
	passed := coalesce(valid = expected and (count = 0) = valid, false);
	if (count = 0) <> valid then
		said := concat_ws(E'\n', 'is_valid() says ' || valid || ', validate() has ' || count || ' rows', said);
	end if;
exception when others then
	-- The case's own schemas may be wrong on purpose: "valid" is null then.
	passed := expected is null and sqlstate = '22023';
	get stacked diagnostics said = pg_exception_detail;
	said := sqlstate || ' ' || sqlerrm || ' ' || said;
end $$;

create function suite.run(folder text) returns void language plpgsql as $$
declare
	file text;
	suite_group jsonb;
	test jsonb;
begin
	for file in select f from pg_ls_dir(folder) f order by 1 loop
		for suite_group in select jsonb_array_elements(pg_read_file(folder || '/' || file)::jsonb) loop
			-- Here a format is asserted unless a metaschema of one's own has it as an annotation.
			if file ~ '(^|: )format.json$' and file !~ 'cases: ' then
				suite_group := jsonb_set(suite_group, '{schema,$schema}', '"suite:format-annotation"');
			end if;
			for test in select jsonb_array_elements(suite_group -> 'tests') loop
				insert into suite.result
				select file, suite_group ->> 'description', test ->> 'description', r.passed, r.said
				from suite.run_test(test -> 'data', suite_group -> 'schema', (test ->> 'valid')::boolean) r;
			end loop;
		end loop;
	end loop;
end $$;

set check_function_bodies = off;
select suite.register(:'folder' || '/remotes') \g /dev/null
reset check_function_bodies;
insert into postrider.schema (name, schema) values ('suite:format-annotation', $${
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"$vocabulary": {
		"https://json-schema.org/draft/2020-12/vocab/core": true,
		"https://json-schema.org/draft/2020-12/vocab/format-annotation": true}}$$);
select suite.run(:'folder' || '/tests') \g /dev/null

select 'not ok ' || file || ': ' || group_description || ': ' || test_description || coalesce(E'\n# ' || replace(said, E'\n', E'\n# '), '')
from suite.result where not passed;
select 'schema: ' || count(*) filter (where passed) || ' passed, ' || count(*) filter (where not passed) || ' failed'
from suite.result;
