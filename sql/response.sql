-- Response rules: what an answer means, and what it says about limits.

create function postrider.check_response_rules(rules jsonb, out "position" text, out problem text)
returns setof record
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_check_response_rules';
comment on function postrider.check_response_rules(jsonb) is
'All that is wrong with response rules, by position; no rows if they can be used.';

create function postrider.check_response(rules jsonb, status integer, headers jsonb default null, body text default null,
	at timestamptz default pg_catalog.now(), out rule integer, out action text, out wait interval)
returns record
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_check_response';
comment on function postrider.check_response(jsonb, integer, jsonb, text, timestamptz) is
'Tries response rules on an answer: the number of the rule that decides (NULL: none does, and the action is what its status says), the action, and the wait that the receiver asks for.';

create function postrider.read_rate_headers(headers jsonb, at timestamptz default pg_catalog.now(),
	out "limit" bigint, out remaining bigint, out reset_at timestamptz, out retry_at timestamptz)
returns record
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_read_rate_headers';
comment on function postrider.read_rate_headers(jsonb, timestamptz) is
'What the headers of an answer say about limits: of several limits, the one that leaves the least room, and when requests may go on after Retry-After and its like.';
