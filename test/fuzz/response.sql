-- What must hold for any response rules and any answer.
\set VERBOSITY verbose
set client_min_messages = warning;
create extension if not exists postrider;
create schema fuzz;
create table fuzz.tally (usable bigint, refused bigint, matched bigint, waits bigint, limits bigint);
insert into fuzz.tally values (0, 0, 0, 0, 0);

create function fuzz.answer(rules_text text, status integer, headers_text text, body text) returns void language plpgsql as $$
declare
	rules jsonb;
	headers jsonb;
	problems bigint;
	verdict record;
	hint record;
	at timestamptz := '2026-11-23 10:00:00Z';
begin
	begin
		rules := rules_text::jsonb;
		headers := headers_text::jsonb;
		select * into hint from postrider.read_rate_headers(headers, at);
	exception when data_exception or invalid_parameter_value then
		return;
	end;
	-- Limits are bounded, and complete or not there.
	if hint.limit < 0 or hint.remaining < 0 or hint.reset_at <= at or hint.reset_at > at + interval '367 days'
		or hint.retry_at < at or hint.retry_at > at + interval '367 days' or (hint.remaining is null) <> (hint.reset_at is null) then
		raise exception 'hint % of headers %', hint, headers;
	end if;
	if hint.remaining is not null or hint.retry_at is not null then
		update fuzz.tally set limits = limits + 1;
	end if;
	-- What is refused is said by check_response_rules(), and the other way round.
	select count(*) into problems from postrider.check_response_rules(rules) p where p.position like '$%' and p.problem <> '';
	begin
		select * into verdict from postrider.check_response(rules, status, headers, body, at);
		if problems > 0 then
			raise exception using errcode = 'XX000', message = 'rules with problems are used';
		end if;
	exception when invalid_parameter_value then
		if problems = 0 then
			raise exception using errcode = 'XX000', message = 'rules without problems are refused: ' || sqlerrm;
		end if;
		update fuzz.tally set refused = refused + 1;
		return;
	end;
	update fuzz.tally set usable = usable + 1, matched = matched + (verdict.rule is not null)::integer,
		waits = waits + (verdict.wait is not null)::integer;
	if verdict.action is null or verdict.rule not between 1 and jsonb_array_length(rules)
		or verdict.action <> rules -> verdict.rule - 1 ->> 'action'
		or verdict.wait < interval '0' or verdict.wait > interval '367 days' then
		raise exception 'verdict %', verdict;
	end if;
end
$$;
