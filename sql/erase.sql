-- Personal data: what postrider holds on a person, and its removal.
-- src/outbox/erased.c explains how a worker learns of it.

create table postrider.erasure (
	id bigint generated always as identity primary key,
	erased_at timestamptz not null default pg_catalog.now(),
	erased_by text not null default session_user,
	reason text,
	topic text,
	tenant text,
	messages bigint not null,
	attempts bigint not null,
	pending bigint not null,
	dead_letters bigint not null,
	deduplication_keys bigint not null
);
comment on table postrider.erasure is
'Every call of postrider.erase(): that something was removed, how much, when and by whom; not whose data it was.';
comment on column postrider.erasure.id is 'Number of the call.';
comment on column postrider.erasure.erased_at is 'When its transaction began.';
comment on column postrider.erasure.erased_by is 'The user who called it.';
comment on column postrider.erasure.reason is 'The reason that was given. It stays: name no person in it.';
comment on column postrider.erasure.topic is 'The topics to which it was limited.';
comment on column postrider.erasure.tenant is 'The tenant to which it was limited.';
comment on column postrider.erasure.messages is 'Messages whose payload, headers and key were removed.';
comment on column postrider.erasure.attempts is 'Attempts whose response and error text were removed.';
comment on column postrider.erasure.pending is 'Deliveries that were still owed and were cancelled.';
comment on column postrider.erasure.dead_letters is 'Dead letters that were deleted.';
comment on column postrider.erasure.deduplication_keys is 'Deduplication keys that were deleted.';

create function postrider.erased_at_commit() returns void
language c volatile
as 'MODULE_PATHNAME', 'postrider_erased_at_commit';
comment on function postrider.erased_at_commit() is
'Has the workers drop what was erased when this transaction commits, and the commit wait until they send nothing of it any more. Part of postrider.erase().';

-- Workers that are writing outcomes end that first; who comes later learns of the
-- erase.  Not for long at a time, because all who write outcomes queue up behind us.
create function postrider.lock_outcomes() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
	tries integer := 0;
begin
	loop
		begin
			lock table only postrider.attempt in share row exclusive mode;
			return;
		exception when lock_not_available then
			tries := tries + 1;
			if tries = 150 then
				raise lock_not_available using
					message = 'erase could not get hold of the table of attempts',
					hint = 'A transaction that has written attempts is open; see pg_stat_activity. Nothing was erased; try again.';
			end if;
		end;
		perform pg_sleep(0.1 * random());
	end loop;
end
$$;
comment on function postrider.lock_outcomes() is
'Holds up all who write outcomes of deliveries until the end of the transaction. Part of postrider.erase().';

create function postrider.erase_data(ids uuid[], out messages bigint, out attempts bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	first uuid;
	last uuid;
begin
	select min(i::text)::uuid, max(i::text)::uuid into first, last from unnest(ids) i;
	update postrider.message m set payload = 'null', headers = null, traceparent = null, removed = 'erased',
		key = case when m.key is not null then '(erased)' end
	where m.id = any(ids) and m.id >= first and m.id <= last and m.removed is distinct from 'erased';
	get diagnostics messages = row_count;
	update postrider.attempt a set response = null, error = case a.outcome when 'delivered' then null else 'erased' end
	where a.message_id = any(ids) and a.message_id >= first and a.message_id <= last
	and (a.response is not null or a.error is not null and a.error <> 'erased' and a.error_code is distinct from 'erased');
	get diagnostics attempts = row_count;
end
$$;
comment on function postrider.erase_data(uuid[]) is
'Removes the data of messages from the log and from their attempts, and says from how many. Part of postrider.erase().';

-- Replies to messages, and replies to these, and so on; see src/outbox/reply.c.
create function postrider.replies_to(ids uuid[]) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
	reply uuid[];
	reply_to text[];
	found_ids uuid[];
begin
	select array_agg(r.id), array_agg(r.payload ->> 'message_id') into reply, reply_to
	from (select m.id, m.payload from postrider.message m
			where m.id > (select min(i::text)::uuid from unnest(ids) i) and m.removed is null
			and m.payload ?& array['message_id', 'endpoint', 'status_code', 'hops', 'response']
		union
		select d.message_id, d.payload from postrider.dead_letter d
			where d.payload ?& array['message_id', 'endpoint', 'status_code', 'hops', 'response']
		union
		select p.message_id, p.payload from postrider.pending p
			where p.payload ?& array['message_id', 'endpoint', 'status_code', 'hops', 'response']) r;
	with recursive found (id) as (
		select r.id from unnest(reply, reply_to) as r (id, message_id) join unnest(ids) i on i::text = r.message_id
		union
		select r.id from unnest(reply, reply_to) as r (id, message_id) join found f on f.id::text = r.message_id)
	select array_agg(f.id) into found_ids from found f where f.id <> all (ids);
	return coalesce(found_ids, '{}');
end
$$;
comment on function postrider.replies_to(uuid[]) is
'The messages that were made of responses to these messages. Part of postrider.erase() and postrider.export_subject().';

create function postrider.check_subject(caller text, key text, filter jsonpath, topic text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
	if key is null and filter is null then
		raise null_value_not_allowed using
			message = caller || ' needs a key or a filter',
			hint = format('For example: SELECT * FROM postrider.%s(filter => ''$.email == "ann@example.com"'').', caller);
	end if;
	if topic is not null and not postrider.is_topic_pattern(topic) then
		raise invalid_parameter_value using
			message = format('"%s" is no topic and no pattern of topics', topic),
			hint = 'For example order.paid, order.* or order.**.';
	end if;
	if current_setting('transaction_isolation') <> 'read committed' then
		raise feature_not_supported using
			message = format('cannot run %s in a transaction that is %s', caller, current_setting('transaction_isolation')),
			hint = 'It must see what workers commit meanwhile: use READ COMMITTED.';
	end if;
end
$$;
comment on function postrider.check_subject(text, text, jsonpath, text) is
'Refuses a subject that is not told. Part of postrider.erase() and postrider.export_subject().';

-- All messages of a subject that are visible: of the log after an id, and so many
-- rows of it; and those of which there is only a copy.
create function postrider.find_copies(key text, filter jsonpath, topic text, tenant text) returns uuid[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select coalesce(array_agg(distinct c.message_id), '{}')
	from (select d.message_id, d.topic, d.key, d.tenant, d.payload from postrider.dead_letter d
		union all
		select p.message_id, p.topic, p.key, p.tenant, p.payload from postrider.pending p where p.payload is not null) c
	where (find_copies.key is null or c.key = find_copies.key)
	and (find_copies.tenant is null or c.tenant = find_copies.tenant)
	and (find_copies.topic is null or postrider.topic_matches(c.topic, find_copies.topic))
	and (find_copies.filter is null or postrider.filter_matches(c.payload, find_copies.filter))
$$;
comment on function postrider.find_copies(text, jsonpath, text, text) is
'The messages of a subject that dead letters and pending deliveries have copies of. Part of postrider.erase() and postrider.export_subject().';

create function postrider.erase(key text default null, filter jsonpath default null, topic text default null,
	tenant text default null, reason text default null)
returns table (what text, removed bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	seen pg_snapshot;
	ids uuid[] := '{}';
	more uuid[];
	last uuid;
	piece record;
	step record;
	scanned bigint := 0;
	siblings uuid[];
	messages bigint := 0;
	attempts bigint := 0;
	in_batches bigint := 0;
	pending bigint;
	dead_letters bigint;
	keys bigint;
begin
	perform postrider.check_subject('erase', erase.key, erase.filter, erase.topic);
	-- One at a time; and what was removed must not come back after a crash.
	lock table postrider.erasure in share row exclusive mode;
	if current_setting('synchronous_commit') = 'off' then
		perform set_config('synchronous_commit', 'on', true);
	end if;
	perform postrider.erased_at_commit();

	-- The log, without a lock that anybody would wait for.
	seen := pg_current_snapshot();
	loop
		with found as materialized (
			select m.id, m.topic, m.key, m.tenant, m.payload, m.removed from postrider.message m
			where last is null or m.id > last
			order by m.id limit 10000)
		select (select count(*) from found) as found,
			(select f.id from found f order by f.id desc limit 1) as last,
			(select coalesce(array_agg(f.id), '{}') from found f
			where f.removed is distinct from 'erased'
			and (erase.key is null or f.key = erase.key)
			and (erase.tenant is null or f.tenant = erase.tenant)
			and (erase.topic is null or postrider.topic_matches(f.topic, erase.topic))
			and (erase.filter is null or postrider.filter_matches(f.payload, erase.filter))) as ids
		into piece;
		exit when piece.found = 0;
		select * into step from postrider.erase_data(piece.ids);
		ids := ids || piece.ids;
		scanned := scanned + piece.found;
		messages := messages + step.messages;
		attempts := attempts + step.attempts;
		last := piece.last;
		perform postrider.report_progress('erase', coalesce(erase.topic, '**'), to_timestamp(0), now(),
			postrider.id_time(last), scanned, messages);
	end loop;

	-- From here on no outcome is written until we commit.
	perform postrider.lock_outcomes();

	-- What has been committed since, what is left of messages of which the log
	-- knows nothing any more, and what was made of their responses.
	select ids || coalesce(array_agg(m.id), '{}') into ids from postrider.message m
	where m.xid >= pg_snapshot_xmin(seen) and not pg_visible_in_snapshot(m.xid, seen)
	and m.removed is distinct from 'erased'
	and (erase.key is null or m.key = erase.key)
	and (erase.tenant is null or m.tenant = erase.tenant)
	and (erase.topic is null or postrider.topic_matches(m.topic, erase.topic))
	and (erase.filter is null or postrider.filter_matches(m.payload, erase.filter));
	more := postrider.find_copies(erase.key, erase.filter, erase.topic, erase.tenant);
	select ids || coalesce(array_agg(c), '{}') into ids from unnest(more) c where c <> all (ids);
	if cardinality(ids) > 0 then
		ids := ids || postrider.replies_to(ids);
	end if;
	select * into step from postrider.erase_data(ids);
	messages := messages + step.messages;
	attempts := attempts + step.attempts;

	-- What a worker has in hand may still turn out as delivered: it says so later.
	-- A response to a batch is kept with each message of it.
	select array_agg(distinct a.request_id) into siblings from postrider.attempt a
	where a.message_id = any(ids) and a.request_id is not null;
	if siblings is not null then
		update postrider.dead_letter d set response = null
		from postrider.attempt a
		where a.request_id = any(siblings) and d.message_id = a.message_id and d.endpoint_id = a.endpoint_id
		and d.response is not null;
		update postrider.attempt a set response = null
		where a.request_id = any(siblings) and a.response is not null;
		get diagnostics in_batches = row_count;
	end if;

	delete from postrider.dead_letter d where d.message_id = any(ids);
	get diagnostics dead_letters = row_count;
	with gone as (
		delete from postrider.pending p where p.message_id = any(ids)
		returning p.message_id, p.endpoint_id, p.attempts)
	insert into postrider.attempt (message_id, endpoint_id, started_at, attempt, outcome, error_code, error)
	select g.message_id, g.endpoint_id, clock_timestamp(), least(g.attempts, 32767), 'cancelled', 'erased', 'the message was erased'
	from gone g;
	get diagnostics pending = row_count;
	delete from postrider.deduplication d where d.message_id = any(ids);
	get diagnostics keys = row_count;

	if messages + attempts + in_batches + pending + dead_letters + keys = 0 then
		perform postrider.touched_nothing('erase', 'A filter is a JSON path over the payload, as in postrider.subscription; what was erased before matches nothing.');
	else
		insert into postrider.erasure (reason, topic, tenant, messages, attempts, pending, dead_letters, deduplication_keys)
		values (erase.reason, erase.topic, erase.tenant, messages, attempts + in_batches, pending, dead_letters, keys);
		raise notice using
			message = 'erased; the old versions of the rows stay in the files of the tables until they are vacuumed',
			detail = 'Write-ahead log, replicas that lag, backups, and what receivers have got are not changed by it.',
			hint = 'Run VACUUM postrider.message, postrider.attempt, postrider.pending, postrider.dead_letter, postrider.deduplication. Messages of transactions that are still open are not erased: run erase again when they have ended.';
	end if;
	return query values ('messages', messages), ('attempts', attempts), ('responses to batches', in_batches),
		('pending deliveries', pending), ('dead letters', dead_letters), ('deduplication keys', keys);
end
$$;
comment on function postrider.erase(text, jsonpath, text, text, text) is
'Removes a person''s data: payload, headers and key of all messages with the key, or whose payload the filter matches, responses and errors of their attempts, replies, dead letters, deduplication keys; what is still owed is cancelled and never sent. In one transaction; says what it removed. That there was a message, when, and what came of it stays. Not undone by anything: try postrider.export_subject() with the same arguments first.';

create function postrider.export_subject(key text default null, filter jsonpath default null, topic text default null,
	tenant text default null)
returns table (message_id uuid, at timestamptz, kind text, message_topic text, message_key text, message_tenant text, endpoint text, data jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	ids uuid[];
	first uuid;
	last uuid;
begin
	perform postrider.check_subject('export_subject', export_subject.key, export_subject.filter, export_subject.topic);
	select coalesce(array_agg(m.id), '{}') into ids from postrider.message m
	where m.removed is distinct from 'erased'
	and (export_subject.key is null or m.key = export_subject.key)
	and (export_subject.tenant is null or m.tenant = export_subject.tenant)
	and (export_subject.topic is null or postrider.topic_matches(m.topic, export_subject.topic))
	and (export_subject.filter is null or postrider.filter_matches(m.payload, export_subject.filter));
	select ids || coalesce(array_agg(c), '{}') into ids
	from unnest(postrider.find_copies(export_subject.key, export_subject.filter, export_subject.topic, export_subject.tenant)) c
	where c <> all (ids);
	if cardinality(ids) = 0 then
		return;
	end if;
	ids := ids || postrider.replies_to(ids);
	select min(i::text)::uuid, max(i::text)::uuid into first, last from unnest(ids) i;

	return query
	select s.message_id, s.at, s.kind, s.topic, s.key, s.tenant, e.name, s.data
	from (
		select m.id as message_id, postrider.id_time(m.id) as at, 1 as place, 'message' as kind, m.topic, m.key, m.tenant,
			null::integer as endpoint_id, jsonb_strip_nulls(jsonb_build_object('headers', m.headers, 'deliver_at', m.deliver_at,
				'expires_at', m.expires_at, 'sent_to', m.endpoint, 'removed', m.removed)) || jsonb_build_object('payload', m.payload) as data
		from postrider.message m where m.id = any(ids) and m.id >= first and m.id <= last
		union all
		select a.message_id, a.started_at, 2, 'attempt', null, null, null, a.endpoint_id,
			jsonb_strip_nulls(jsonb_build_object('attempt', a.attempt, 'outcome', a.outcome, 'status_code', a.status_code,
				'error_code', a.error_code, 'error', a.error, 'response', a.response))
		from postrider.attempt a where a.message_id = any(ids) and a.message_id >= first and a.message_id <= last
		union all
		select p.message_id, p.due_at, 3, 'pending', p.topic, p.key, p.tenant, p.endpoint_id,
			jsonb_strip_nulls(jsonb_build_object('reason', p.reason, 'attempts', p.attempts, 'headers', p.headers))
			|| case when p.payload is null then '{}' else jsonb_build_object('payload', p.payload) end
		from postrider.pending p where p.message_id = any(ids)
		union all
		select d.message_id, d.died_at, 4, 'dead letter', d.topic, d.key, d.tenant, d.endpoint_id,
			jsonb_strip_nulls(jsonb_build_object('reason', d.reason, 'attempts', d.attempts, 'status_code', d.status_code,
				'error_code', d.error_code, 'error', d.error, 'response', d.response, 'headers', d.headers))
			|| jsonb_build_object('payload', d.payload)
		from postrider.dead_letter d where d.message_id = any(ids)
		union all
		select k.message_id, k.expires_at, 5, 'deduplication key', k.topic, null, k.tenant, null,
			jsonb_build_object('dedup_key', k.dedup_key)
		from postrider.deduplication k where k.message_id = any(ids)) s
	left join postrider.endpoint e on e.id = s.endpoint_id
	order by s.message_id, s.place, s.at, s.endpoint_id, s.data;
end
$$;
comment on function postrider.export_subject(text, jsonpath, text, text) is
'Everything that is held on a person, in a stable order: messages with the key, or whose payload the filter matches, with payload and headers, replies to them, where and when each was sent and what came of it, what is owed, dead letters and deduplication keys. Nothing is masked.';
