-- What must hold for any definition and any document.
\set VERBOSITY verbose
set client_min_messages = warning;
create extension if not exists postrider;
create schema fuzz;
create table fuzz.tally (compiled bigint, refused bigint, mapped bigint, failed bigint);
insert into fuzz.tally values (0, 0, 0, 0);

create function fuzz.mapping(definition_text text, documents text[]) returns void language plpgsql as $$
declare
	definition jsonb;
	document jsonb;
	result jsonb;
	problems bigint;
	stated text;
begin
	begin
		definition := definition_text::jsonb;
	exception when data_exception then
		return;
	end;
	-- Wrong or right is a matter of rows, never of errors; all who are asked agree.
	select count(*) into problems from postrider.check_mapping(definition) where "position" is not null and message <> '';
	begin
		perform count(*) from postrider.describe_mapping(definition);
		assert problems = 0, 'described what is wrong';
	exception when invalid_parameter_value then
		assert problems > 0, 'refused what is right';
	end;
	update fuzz.tally set compiled = compiled + (problems = 0)::int, refused = refused + (problems > 0)::int;
	if problems > 0 then
		return;
	end if;
	for document in select d::jsonb from unnest(documents) d loop
		-- The same of the documents: rows or a result, and never both.
		select count(*) into problems from postrider.map_errors(document, definition) where message <> '';
		begin
			result := postrider.map(document, definition);
			assert problems = 0, 'mapped in spite of problems';
			assert result is not null, 'mapped to nothing';
			-- It is stored as PostgreSQL would have stored it.
			assert jsonb_hash_extended(result, 1) = jsonb_hash_extended(result::text::jsonb, 1)
				and pg_column_size(result || '{}'::jsonb) = pg_column_size(result::text::jsonb || '{}'::jsonb)
				and result = result::text::jsonb, 'badly stored: ' || result;
			update fuzz.tally set mapped = mapped + 1;
		exception when data_exception then
			get stacked diagnostics stated = returned_sqlstate;
			assert stated = '22000', 'another error than that of mapping: ' || stated;
			assert problems > 0, 'refused without a problem';
			update fuzz.tally set failed = failed + 1;
		end;
	end loop;
end $$;
