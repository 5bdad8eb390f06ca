-- Trying again by hand.

create function postrider.retry(message_id uuid, endpoint text default null) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	only_endpoint integer;
	revived integer;
	hurried integer;
	held text;
begin
	if message_id is null then
		raise null_value_not_allowed using message = 'message_id must not be null';
	end if;
	if endpoint is not null then
		select e.id into only_endpoint from postrider.endpoint e where e.name = retry.endpoint;
		if not found then
			raise undefined_object using
				message = format('endpoint "%s" does not exist', endpoint);
		end if;
	end if;

	-- The copy in the dead letter outlives the log. It must not expire at once,
	-- and is mapped by the version that the subscription names now.
	with risen as (
		delete from postrider.dead_letter d
		where d.message_id = retry.message_id
		and (only_endpoint is null or d.endpoint_id = only_endpoint)
		and exists (select from postrider.endpoint e where e.id = d.endpoint_id)
		returning d.*)
	insert into postrider.pending (message_id, endpoint_id, due_at, attempts, reason,
		key, topic, tenant, payload, headers, traceparent, mapping, mapping_version)
	select r.message_id, r.endpoint_id, now(), 0, 'retry',
		r.key, r.topic, r.tenant, r.payload, r.headers, r.traceparent,
		r.mapping, case when s.endpoint is null then r.mapping_version else s.mapping_version end
	from risen r join postrider.endpoint e on e.id = r.endpoint_id
	left join lateral (
		select s.endpoint, s.mapping_version from postrider.subscription s
		where s.endpoint = e.name and s.mapping = r.mapping order by s.id limit 1) s on true;
	get diagnostics revived = row_count;

	update postrider.pending p set due_at = now()
	from postrider.endpoint e
	where p.message_id = retry.message_id and e.id = p.endpoint_id and e.enabled
	and (only_endpoint is null or p.endpoint_id = only_endpoint)
	and p.reason in ('retry', 'scheduled', 'overflow') and p.due_at > now();
	get diagnostics hurried = row_count;

	if revived + hurried = 0 then
		select e.name into held from postrider.pending p join postrider.endpoint e on e.id = p.endpoint_id
		where p.message_id = retry.message_id and not e.enabled
		and (only_endpoint is null or p.endpoint_id = only_endpoint) limit 1;
		if found then
			raise object_not_in_prerequisite_state using
				message = format('endpoint "%s" is disabled', held),
				hint = format('Run UPDATE postrider.endpoint SET enabled = true WHERE name = %L; what is held flows then.', held);
		end if;
		raise no_data_found using
			message = format('message "%s" has no delivery that could be tried again', message_id),
			hint = format('Run SELECT * FROM postrider.delivery WHERE message_id = %L.', message_id);
	end if;
	perform postrider.wake();
	return revived + hurried;
end
$$;
comment on function postrider.retry(uuid, text) is
'Sends again, now: dead letters of a message, with a fresh count of attempts, and deliveries of it that wait for their next attempt. Returns how many.';
