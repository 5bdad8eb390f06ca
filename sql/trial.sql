-- Requests that are no deliveries.

create function postrider.run_trial(send boolean, endpoint text, topic text, payload jsonb, key text, tenant text, headers jsonb)
returns jsonb
language c volatile
as 'MODULE_PATHNAME', 'postrider_run_trial';
comment on function postrider.run_trial(boolean, text, text, jsonb, text, text, jsonb) is
'For send_test() and preview(): has a process of its own make a request, or only show it.';

create function postrider.send_test(endpoint text, payload jsonb default '{"test": true}', topic text default 'postrider.test',
	key text default null, tenant text default null, headers jsonb default null,
	out outcome text, out status_code integer, out error text, out request text, out response text,
	out address text, out http_version text, out dns_ms numeric, out connect_ms numeric, out tls_ms numeric,
	out first_byte_ms numeric, out total_ms numeric)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
	perform postrider.require_tenant(send_test.tenant);
	if send_test.endpoint is null or send_test.payload is null or send_test.topic is null then
		raise null_value_not_allowed using message = 'send_test needs an endpoint, a payload and a topic';
	end if;
	if not exists (select from postrider.endpoint e where e.name = send_test.endpoint and postrider.sees_tenant(e.tenant)) then
		raise undefined_object using message = format('endpoint "%s" does not exist', send_test.endpoint),
			hint = 'Run SELECT name FROM postrider.endpoint.';
	end if;
	if not postrider.is_topic(send_test.topic) then
		raise invalid_parameter_value using message = format('"%s" is no topic', send_test.topic);
	end if;
	select r.outcome, r.status_code, r.error, r.request, r.response, r.address, r.http_version, r.dns_ms, r.connect_ms,
		r.tls_ms, r.first_byte_ms, r.total_ms
	into send_test.outcome, send_test.status_code, send_test.error, send_test.request, send_test.response,
		send_test.address, send_test.http_version, send_test.dns_ms, send_test.connect_ms, send_test.tls_ms,
		send_test.first_byte_ms, send_test.total_ms
	from jsonb_to_recordset(postrider.run_trial(true, send_test.endpoint, send_test.topic, send_test.payload, send_test.key,
		coalesce(send_test.tenant, postrider.bound_tenant()), send_test.headers)) as r (outcome text, status_code integer, error text, request text,
		response text, address text, http_version text, dns_ms numeric, connect_ms numeric, tls_ms numeric,
		first_byte_ms numeric, total_ms numeric);
	-- The receiver may answer with data that are none of the sender's.
	if strpos(send_test.response, E'\n\n') > 0 and not postrider.sees_payloads() then
		send_test.response := left(send_test.response, strpos(send_test.response, E'\n\n') + 1)
			|| 'withheld: it may have data, which members of postrider_payload_reader see';
	end if;
end
$$;
comment on function postrider.send_test(text, jsonb, text, text, text, jsonb) is
'Makes one real request to the endpoint now and returns the whole exchange, secrets masked: request, response, address, and the time of each phase in milliseconds. It is no delivery: nothing is recorded, no limit or breaker counts it.';

create function postrider.preview(topic text, payload jsonb, key text default null, tenant text default null,
	headers jsonb default null)
returns table (endpoint text, mapping text, method text, url text, request_headers text, body text, problem text, note text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
	perform postrider.require_tenant(preview.tenant);
	if preview.topic is null or preview.payload is null then
		raise null_value_not_allowed using message = 'preview needs a topic and a payload';
	end if;
	if not postrider.is_topic(preview.topic) then
		raise invalid_parameter_value using message = format('"%s" is no topic', preview.topic);
	end if;
	return query select r.endpoint, r.mapping, r.method, r.url, r.headers, r.body, r.problem, r.note
	from jsonb_to_recordset(postrider.run_trial(false, null, preview.topic, preview.payload, preview.key,
		coalesce(preview.tenant, postrider.bound_tenant()), preview.headers)) as r (endpoint text, mapping text, method text, url text, headers text,
		body text, problem text, note text)
	where postrider.bound_tenant() is null or exists (select from postrider.endpoint e
		where e.name = r.endpoint and postrider.sees_tenant(e.tenant))
	order by r.endpoint;
end
$$;
comment on function postrider.preview(text, jsonb, text, text, jsonb) is
'What would be sent for such a message: a row for each endpoint that would get it, with URL, headers, signature and body as they would be now. Nothing is sent.';
