-- What is still owed and not in a worker's memory, and what was given up.

create table postrider.pending (
	message_id uuid not null,
	endpoint_id integer not null,
	due_at timestamptz not null,
	attempts integer not null default 0,
	reason text not null
		constraint pending_reason check (reason operator(pg_catalog.=) any (array['scheduled', 'retry', 'overflow', 'held', 'ordered', 'replay', 'in_flight'])),
	key text,
	topic text,
	tenant text,
	payload jsonb,
	headers jsonb,
	expires_at timestamptz,
	traceparent text,
	priority smallint,
	mapping text,
	mapping_version integer,
	primary key (message_id, endpoint_id)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500, fillfactor = 80);
create index pending_endpoint_id_due_at_idx on postrider.pending (endpoint_id, due_at);
create index pending_urgent_idx on postrider.pending (endpoint_id, due_at) where priority operator(pg_catalog.>) 1;
create index pending_key_idx on postrider.pending (endpoint_id, key, message_id) where key is not null;
comment on table postrider.pending is
'Deliveries that are owed later: retries, scheduled messages, what a slow endpoint could not take yet, what is held for a disabled one.';
comment on column postrider.pending.message_id is 'The message.';
comment on column postrider.pending.endpoint_id is 'The endpoint.';
comment on column postrider.pending.due_at is 'Not to be sent before; infinity while held.';
comment on column postrider.pending.attempts is 'Attempts made so far.';
comment on column postrider.pending.reason is 'scheduled, retry, overflow (the endpoint is slow), held (it is disabled), ordered (an earlier one must go first), replay (asked for by postrider.replay()), in_flight (a worker is at it; the row is its lease).';
comment on column postrider.pending.key is 'Key of the message.';
comment on column postrider.pending.topic is 'This and the next columns: a copy of the message, filled when the log no longer holds it.';
comment on column postrider.pending.tenant is 'Copy of the message.';
comment on column postrider.pending.payload is 'Copy of the message.';
comment on column postrider.pending.headers is 'Copy of the message.';
comment on column postrider.pending.expires_at is 'Copy of the message.';
comment on column postrider.pending.traceparent is 'Copy of the message.';
comment on column postrider.pending.priority is 'Priority of the message.';
comment on column postrider.pending.mapping is 'Name of the mapping by which the payload becomes what is sent, if any.';
comment on column postrider.pending.mapping_version is 'Version of the mapping; NULL: the newest one.';

create function postrider.overdue_since(reason text, due_at timestamptz, message_id uuid) returns timestamptz
language sql immutable parallel safe
return case when reason in ('scheduled', 'replay', 'retry') then due_at else postrider.id_time(message_id) end;
comment on function postrider.overdue_since(text, timestamptz, uuid) is
'Since when a delivery of postrider.pending that is due waits for its turn: since its message was emitted, but what was to be sent later, or again, since then. due_at of others begins anew whenever a worker has had them.';

create table postrider.dead_letter (
	message_id uuid not null,
	endpoint_id integer not null,
	reason text not null
		constraint dead_letter_reason check (reason operator(pg_catalog.=) any (array['dead', 'expired'])),
	attempts integer not null,
	status_code smallint,
	error_code text,
	error text,
	response text,
	died_at timestamptz not null default pg_catalog.now(),
	topic text not null,
	key text,
	tenant text,
	payload jsonb not null,
	headers jsonb,
	expires_at timestamptz,
	traceparent text,
	priority smallint,
	mapping text,
	mapping_version integer,
	primary key (message_id, endpoint_id)
);
create index on postrider.dead_letter (endpoint_id, died_at);
create index on postrider.dead_letter (endpoint_id, key, message_id) where key is not null;
comment on table postrider.dead_letter is
'Deliveries that were given up, with the reason and a copy of the message. postrider.retry() sends one again; deleting a row forgets it.';
comment on column postrider.dead_letter.message_id is 'The message.';
comment on column postrider.dead_letter.endpoint_id is 'The endpoint.';
comment on column postrider.dead_letter.reason is 'dead (refused, or tried too often) or expired.';
comment on column postrider.dead_letter.attempts is 'Attempts made.';
comment on column postrider.dead_letter.status_code is 'HTTP status of the last attempt.';
comment on column postrider.dead_letter.error_code is 'Error of the last attempt, in one word.';
comment on column postrider.dead_letter.error is 'Error of the last attempt, in a sentence.';
comment on column postrider.dead_letter.response is 'The beginning of the response of the last attempt, if there was one.';
comment on column postrider.dead_letter.died_at is 'When it was given up.';
comment on column postrider.dead_letter.topic is 'This and the next columns: a copy of the message.';
comment on column postrider.dead_letter.key is 'Copy of the message.';
comment on column postrider.dead_letter.tenant is 'Copy of the message.';
comment on column postrider.dead_letter.payload is 'Copy of the message.';
comment on column postrider.dead_letter.headers is 'Copy of the message.';
comment on column postrider.dead_letter.expires_at is 'Copy of the message.';
comment on column postrider.dead_letter.traceparent is 'Copy of the message.';
comment on column postrider.dead_letter.priority is 'Copy of the message.';
comment on column postrider.dead_letter.mapping is 'Name of the mapping by which the payload becomes what is sent, if any.';
comment on column postrider.dead_letter.mapping_version is 'Version of the mapping; NULL: the newest one.';
