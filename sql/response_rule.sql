-- What responses mean.

create function postrider.check_response(
	rules jsonb, status integer, headers jsonb default null, body text default null,
	out rule integer, out action text, out wait interval, out reason text)
language c stable
as 'MODULE_PATHNAME', 'postrider_check_response';
comment on function postrider.check_response(jsonb, integer, jsonb, text) is
'Tries response_rules out: the number of the rule that decides on such a response, its action, the wait and the reason that it finds; rule is NULL if none holds and the status decides.';
