-- What must hold for any template and any value: the text has the structure that it has
-- with a harmless value, so that a value stays a value.
\set VERBOSITY verbose
set client_min_messages = warning;
create extension if not exists postrider;
create schema fuzz;
create table fuzz.tally (context text primary key, made bigint not null default 0, no_template bigint not null default 0,
	no_value bigint not null default 0, not_xml bigint not null default 0);
insert into fuzz.tally select unnest(array['json', 'xml', 'url', 'form', 'header', 'text']);

create function fuzz.render(template text, context text, value text) returns text language sql as $$
	select postrider.render(template, jsonb_build_object('v', value, 'o', jsonb_build_object('w', jsonb_build_array(value))),
		context, key => value)
$$;

-- Elements, attributes, comments and instructions of an XML document, counted, then its text; an error if it is
-- none.
create function fuzz.xml_parts(document text) returns text language sql as $$
	select (xpath('count(//*)', d))[1]::text || ' ' || (xpath('count(//@*)', d))[1]::text || ' ' || (xpath('count(//comment())', d))[1]::text
		|| ' ' || (xpath('count(//processing-instruction())', d))[1]::text || ' ' || (xpath('string(/)', d))[1]::text
		|| ' ' || coalesce(array_to_string(xpath('//@*', d), '|'), '')
	from (select xmlparse(document document) as d) as parsed
$$;

create function fuzz.fill(template text, in_context text, value text) returns void language plpgsql as $$
declare
	made text;
	plain text;
	expected jsonb;
	only_values boolean := regexp_replace(template, '\{\{ ?(key|\$\.v|\$\.o\.w\[0\]) ?(\| ?default: ?"[a-z]")?\}\}', '', 'g') !~ '\{\{';
begin
	begin
		plain := fuzz.render(template, in_context, 'MARK');
	exception when invalid_parameter_value then
		update fuzz.tally set no_template = no_template + 1 where context = in_context;
		return;
	when data_exception then
		update fuzz.tally set no_value = no_value + 1 where context = in_context;
		return;
	end;
	begin
		made := fuzz.render(template, in_context, value);
	exception when data_exception then
		update fuzz.tally set no_value = no_value + 1 where context = in_context;
		return;
	end;
	update fuzz.tally set made = fuzz.tally.made + 1 where context = in_context;
	case in_context
	when 'json' then
		expected := replace(plain::jsonb::text, 'MARK', substr(to_jsonb(value)::text, 2, length(to_jsonb(value)::text) - 2))::jsonb;
		if only_values and made::jsonb <> expected then
			raise exception 'JSON % where % should be', made, expected;
		end if;
		perform made::jsonb;
	when 'xml' then
		begin
			plain := fuzz.xml_parts(plain);
		exception when others then
			update fuzz.tally set not_xml = not_xml + 1 where context = in_context;
			return;
		end;
		made := fuzz.xml_parts(made);
		if split_part(made, ' ', 1) || split_part(made, ' ', 2) || split_part(made, ' ', 3) || split_part(made, ' ', 4)
			<> split_part(plain, ' ', 1) || split_part(plain, ' ', 2) || split_part(plain, ' ', 3) || split_part(plain, ' ', 4) then
			raise exception 'XML % where % should be', made, plain;
		end if;
	when 'url' then
		if regexp_replace(made, '[^/?#&=]', '', 'g') <> regexp_replace(plain, '[^/?#&=]', '', 'g')
			or made ~ '[^!-~]' and plain !~ '[^!-~]' or made ~ '/(\.|%2[eE])(\.|%2[eE])?([/?#]|$)' and plain !~ '/(\.|%2[eE])(\.|%2[eE])?([/?#]|$)'
			or substring(made from '^https?://[^/?#]*') is distinct from substring(plain from '^https?://[^/?#]*') then
			raise exception 'URL % where % should be', made, plain;
		end if;
	when 'form' then
		if regexp_replace(made, '[^&=]', '', 'g') <> regexp_replace(plain, '[^&=]', '', 'g') then
			raise exception 'form % where % should be', made, plain;
		end if;
	when 'header' then
		if made ~ E'[\\x01-\\x08\\x0a-\\x1f\\x7f]' then
			raise exception 'header %', to_jsonb(made);
		end if;
	else
		if only_values and made <> replace(plain, 'MARK', value) then
			raise exception 'text % where % should be', made, plain;
		end if;
	end case;
end
$$;
