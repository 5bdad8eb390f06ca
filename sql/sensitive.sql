-- Sensitive fields: what people should not see when they look at messages.

create function postrider.sensitive_path_problem(path jsonpath) returns text
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_sensitive_path_problem';
comment on function postrider.sensitive_path_problem(jsonpath) is
'What is wrong with the path of a sensitive field, to go behind the word "path"; NULL if it can be used.';

create function postrider.mask_payload(payload jsonb, paths jsonpath[]) returns jsonb
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_mask_payload';
comment on function postrider.mask_payload(jsonb, jsonpath[]) is
'The payload with what is at these paths masked: strings become ***, numbers 0, booleans false; keys and null stay.';

create function postrider.mask_string(string text, payload jsonb, paths jsonpath[]) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_mask_string';
comment on function postrider.mask_string(text, jsonb, jsonpath[]) is
'The text with all values that the payload has at these paths replaced by ***.';

create table postrider.sensitive_field (
	topic text,
	path text,
	description text,
	created_at timestamptz not null default pg_catalog.now(),
	primary key (topic, path)
);
comment on table postrider.sensitive_field is
'Places in payloads that hold personal data: masked for people, never in what is sent.';
comment on column postrider.sensitive_field.topic is 'Topic, or pattern of topics, of the messages.';
comment on column postrider.sensitive_field.path is 'Where in the payload: a JSON path of keys, indexes, .*, [*] and .**, such as $.customer.email. For watched tables $.*.email is the column email of the new and of the old row.';
comment on column postrider.sensitive_field.description is 'What it is, for people.';
comment on column postrider.sensitive_field.created_at is 'When the row was written.';

create function postrider.check_topic_pattern() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
	if not postrider.is_topic_pattern(new.topic) then
		raise invalid_parameter_value using
			message = format('"%s" is no topic and no pattern of topics', new.topic),
			hint = 'For example order.paid, order.* or **.';
	end if;
	return new;
end
$$;
comment on function postrider.check_topic_pattern() is
'Trigger: refuses a row whose topic is no topic and no pattern of topics.';

create function postrider.check_sensitive_field() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
	new.path := new.path::jsonpath::text;
	if postrider.sensitive_path_problem(new.path::jsonpath) is not null then
		raise invalid_parameter_value using
			message = format('path %s %s', new.path, postrider.sensitive_path_problem(new.path::jsonpath)),
			hint = 'For example $.customer.email, $.items[*].name or $.**.email.';
	end if;
	return new;
end
$$;
comment on function postrider.check_sensitive_field() is
'Trigger: refuses a row of postrider.sensitive_field whose path cannot be used.';
create trigger check_topic_pattern before insert or update on postrider.sensitive_field
	for each row execute function postrider.check_topic_pattern();
create trigger check_sensitive_field before insert or update on postrider.sensitive_field
	for each row execute function postrider.check_sensitive_field();
create trigger config_changed after insert or update or delete or truncate on postrider.sensitive_field
	for each statement execute function postrider.config_changed();

create function postrider.sensitive_paths(topic text) returns jsonpath[]
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
	select array_agg(f.path::jsonpath order by f.topic, f.path) from postrider.sensitive_field f
	where postrider.topic_matches(sensitive_paths.topic, f.topic)
$$;
comment on function postrider.sensitive_paths(text) is
'The paths of the sensitive fields of messages on a topic; NULL if there are none.';

create function postrider.mask(topic text, payload jsonb) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select postrider.mask_payload(mask.payload, postrider.sensitive_paths(mask.topic))
$$;
comment on function postrider.mask(text, jsonb) is
'A payload as people should see it: values of sensitive fields of its topic (postrider.sensitive_field) are replaced, strings by ***.';

create function postrider.mark_sensitive(relation regclass, columns name[], description text default null) returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	made integer;
begin
	perform postrider.check_columns(relation, columns);
	with fields as (
		select distinct split_part(encode(t.tgargs, 'escape'), '\000', 1) as topic,
			format('$.%s.%s', r, to_json(c::text))::jsonpath::text as path
		from pg_trigger t cross join unnest(columns) c cross join unnest(array['record', 'old_record']) r
		where t.tgrelid = relation and t.tgfoid = 'postrider.capture'::regproc and t.tgparentid = 0)
	insert into postrider.sensitive_field (topic, path, description)
	select f.topic, f.path, coalesce(mark_sensitive.description, format('table %s', relation)) from fields f
	order by f.topic, f.path
	on conflict do nothing;
	get diagnostics made = row_count;
	if not exists (select from pg_trigger t where t.tgrelid = relation and t.tgfoid = 'postrider.capture'::regproc) then
		raise undefined_object using
			message = format('table %s is not watched', relation),
			hint = format('Run SELECT postrider.watch(%L) before.', relation);
	end if;
	return made;
end
$$;
comment on function postrider.mark_sensitive(regclass, name[], text) is
'Marks columns of a watched table as sensitive, on all topics on which it is watched now. Returns how many rows it has written to postrider.sensitive_field.';

create view postrider.message_masked with (security_barrier) as
select m.id, m.topic, m.endpoint,
	postrider.mask_string(m.key, m.payload, p.paths) as key,
	m.tenant,
	postrider.mask_payload(m.payload, p.paths) as payload,
	postrider.mask_payload(m.headers, '{$.*}') as headers,
	m.deliver_at, m.expires_at, m.priority, m.removed
from postrider.message m cross join lateral (select postrider.sensitive_paths(m.topic) as paths) p
where postrider.sees_tenant(m.tenant);
comment on view postrider.message_masked is
'The log as people should see it: sensitive fields of payloads masked, headers masked, and a key that is a sensitive value too.';
comment on column postrider.message_masked.id is 'The message.';
comment on column postrider.message_masked.topic is 'Its topic.';
comment on column postrider.message_masked.endpoint is 'Its only receiver, if it was sent to one.';
comment on column postrider.message_masked.key is 'Its key, masked if it is the value of a sensitive field.';
comment on column postrider.message_masked.tenant is 'Its tenant.';
comment on column postrider.message_masked.payload is 'Its payload, masked.';
comment on column postrider.message_masked.headers is 'The names of its headers.';
comment on column postrider.message_masked.deliver_at is 'Not to be sent before this time.';
comment on column postrider.message_masked.expires_at is 'Not to be sent after this time.';
comment on column postrider.message_masked.priority is 'Its priority.';
comment on column postrider.message_masked.removed is 'erased or expired, if its data was removed.';

create view postrider.dead_letter_masked with (security_barrier) as
select d.message_id, e.name as endpoint, d.reason, d.attempts, d.status_code, d.error_code,
	postrider.mask_string(d.error, d.payload, p.paths) as error,
	postrider.mask_string(d.response, d.payload, p.paths) as response,
	d.died_at, d.topic,
	postrider.mask_string(d.key, d.payload, p.paths) as key,
	d.tenant,
	postrider.mask_payload(d.payload, p.paths) as payload
from postrider.dead_letter d left join postrider.endpoint e on e.id = d.endpoint_id
cross join lateral (select postrider.sensitive_paths(d.topic) as paths) p
where postrider.sees_tenant(d.tenant);
comment on view postrider.dead_letter_masked is
'Dead letters as people should see them: the values of sensitive fields are masked wherever they stand.';
comment on column postrider.dead_letter_masked.message_id is 'The message.';
comment on column postrider.dead_letter_masked.endpoint is 'The endpoint; NULL if it was deleted since.';
comment on column postrider.dead_letter_masked.reason is 'dead or expired.';
comment on column postrider.dead_letter_masked.attempts is 'Attempts made.';
comment on column postrider.dead_letter_masked.status_code is 'HTTP status of the last attempt.';
comment on column postrider.dead_letter_masked.error_code is 'Error of the last attempt, in one word.';
comment on column postrider.dead_letter_masked.error is 'Error of the last attempt, masked.';
comment on column postrider.dead_letter_masked.response is 'The beginning of the last response, masked.';
comment on column postrider.dead_letter_masked.died_at is 'When it was given up.';
comment on column postrider.dead_letter_masked.topic is 'Topic of the message.';
comment on column postrider.dead_letter_masked.key is 'Key of the message, masked if it is the value of a sensitive field.';
comment on column postrider.dead_letter_masked.tenant is 'Tenant of the message.';
comment on column postrider.dead_letter_masked.payload is 'The payload, masked.';

-- Payload retention.

create table postrider.payload_retention (
	topic text primary key,
	keep interval not null
		constraint payload_retention_positive check (keep operator(pg_catalog.>) interval '0'),
	description text,
	created_at timestamptz not null default pg_catalog.now()
);
comment on table postrider.payload_retention is
'Topics whose payloads are kept for a shorter time than the log (postrider.retention). If several rows match, the shortest time holds.';
comment on column postrider.payload_retention.topic is 'Topic, or pattern of topics.';
comment on column postrider.payload_retention.keep is 'So long after a message was emitted its payload and headers, its responses and errors and its dead letters are removed. What is still owed keeps a copy until it is delivered.';
comment on column postrider.payload_retention.description is 'Why, for people.';
comment on column postrider.payload_retention.created_at is 'When the row was written.';

create trigger check_topic_pattern before insert or update on postrider.payload_retention
	for each row execute function postrider.check_topic_pattern();

create table postrider.payload_expiry (
	topic text primary key references postrider.payload_retention on update cascade on delete cascade,
	walked_to uuid not null
);
comment on table postrider.payload_expiry is
'How far the log has been gone through for each row of postrider.payload_retention. Written by the worker only; deleting a row has the log gone through anew.';
comment on column postrider.payload_expiry.topic is 'The row of postrider.payload_retention.';
comment on column postrider.payload_expiry.walked_to is 'Messages up to this id are done.';

create function postrider.expire_payloads(piece integer default 5000) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	rule record;
	stop uuid;
	found_rows bigint;
	ids uuid[];
	last uuid;
	removed bigint;
begin
	for rule in
		select r.topic, r.keep, coalesce(x.walked_to, '00000000-0000-0000-0000-000000000000') as walked_to
		from postrider.payload_retention r left join postrider.payload_expiry x on x.topic = r.topic order by r.topic
	loop
		stop := postrider.id_floor(now() - rule.keep);
		continue when not exists (select from postrider.message m where m.id > rule.walked_to and m.id < stop)
			or not postrider.passed('postrider.message', stop);
		with part as materialized (
			select m.id, m.topic, m.removed from postrider.message m
			where m.id > rule.walked_to and m.id < stop order by m.id limit piece)
		select count(*), (select p.id from part p order by p.id desc limit 1),
			array_agg(p.id) filter (where p.removed is null and postrider.topic_matches(p.topic, rule.topic))
		into found_rows, last, ids from part p;

		-- What is still owed outlives it.
		update postrider.pending p set topic = m.topic, tenant = m.tenant, payload = m.payload, headers = m.headers,
			expires_at = m.expires_at, traceparent = m.traceparent, key = m.key, priority = m.priority
		from postrider.message m
		where m.id = any(ids) and p.message_id = m.id and p.payload is null;
		update postrider.message m set payload = 'null', headers = null, removed = 'expired'
		where m.id = any(ids) and m.id > rule.walked_to and m.id <= last;
		get diagnostics removed = row_count;
		update postrider.attempt a set response = null, error = null
		where a.message_id = any(ids) and a.message_id > rule.walked_to and a.message_id <= last
		and (a.response is not null or a.error is not null)
		and not exists (select from postrider.pending p where p.message_id = a.message_id);
		-- Also those that were still owed when their turn came.
		delete from postrider.dead_letter d
		where d.message_id <= last and postrider.topic_matches(d.topic, rule.topic);
		insert into postrider.payload_expiry as x values (rule.topic, last)
		on conflict (topic) do update set walked_to = excluded.walked_to;
		return format('removed the data of %s messages of %s, up to %s', removed, rule.topic, postrider.id_time(last));
	end loop;
	return null;
end
$$;
comment on function postrider.expire_payloads(integer) is
'Does one piece of what postrider.payload_retention asks for and says what, or returns NULL if there is nothing to do. Run by the worker once an hour, piece by piece, each in a transaction of its own.';
