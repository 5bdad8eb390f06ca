-- The log: what was emitted, and every attempt at delivering it.

create table postrider.message (
	id uuid not null default postrider.next_id() primary key,
	xid xid8 not null default pg_catalog.pg_current_xact_id(),
	topic text not null,
	endpoint text,
	key text,
	tenant text,
	payload jsonb not null,
	headers jsonb,
	deliver_at timestamptz,
	expires_at timestamptz,
	traceparent text,
	priority smallint,
	removed text
) partition by range (id);
create index message_xid_idx on postrider.message (xid);
comment on table postrider.message is
'Every message that was emitted, kept for postrider.retention. Append-only: whole days are dropped at once. Only the data of a message may go before, see the column removed.';
comment on column postrider.message.id is 'Version-7 UUID; ids rise in the order in which messages were emitted.';
comment on column postrider.message.xid is 'The transaction that emitted the message.';
comment on column postrider.message.topic is 'What happened, such as order.paid.';
comment on column postrider.message.endpoint is 'Set for a message sent to one endpoint by postrider.send(); subscriptions do not apply to it.';
comment on column postrider.message.key is 'Key of the thing that the message is about, for order and for look-up.';
comment on column postrider.message.tenant is 'The brand or customer that the message belongs to.';
comment on column postrider.message.payload is 'The data.';
comment on column postrider.message.headers is 'Headers for this message''s requests: a JSON object of strings.';
comment on column postrider.message.deliver_at is 'Not to be sent before this time.';
comment on column postrider.message.expires_at is 'Not to be sent after this time.';
comment on column postrider.message.traceparent is 'W3C trace context of the emitter.';
comment on column postrider.message.priority is '0 bulk, 1 normal (as is NULL), 2 high, 3 critical: what is high or critical goes before the others that wait for the same endpoint.';

comment on column postrider.message.removed is 'NULL: the message is whole. erased: postrider.erase() took payload, headers and key. expired: postrider.payload_retention took payload and headers. Such a message is never sent again.';

create table postrider.attempt (
	message_id uuid not null,
	started_at timestamptz not null,
	endpoint_id integer not null,
	duration_ms real,
	attempt smallint not null,
	status_code smallint,
	outcome text not null
		constraint attempt_outcome check (outcome operator(pg_catalog.=) any (array['delivered', 'retry', 'dead', 'expired', 'cancelled', 'superseded'])),
	error_code text,
	error text,
	response text,
	request_id uuid
) partition by range (message_id);
create index attempt_message_id_idx on postrider.attempt (message_id);
comment on table postrider.attempt is
'Every try at a delivery and what came of it. Append-only, kept as long as its message.';
comment on column postrider.attempt.message_id is 'The message.';
comment on column postrider.attempt.started_at is 'When the attempt began.';
comment on column postrider.attempt.endpoint_id is 'The endpoint.';
comment on column postrider.attempt.duration_ms is 'How long it took, in milliseconds.';
comment on column postrider.attempt.attempt is 'Counts the attempts at this delivery from 1; 0 where nothing was sent. It stops at 32767.';
comment on column postrider.attempt.status_code is 'HTTP status, if there was a response.';
comment on column postrider.attempt.outcome is 'delivered; retry (failed, will be tried again); dead (given up); expired; cancelled; superseded (a newer message of its key is sent in its place).';
comment on column postrider.attempt.error_code is 'What went wrong, in one word: http_503, timeout, connect, tls, dns, address_refused, ...';
comment on column postrider.attempt.error is 'What went wrong, in a sentence.';
comment on column postrider.attempt.response is 'The beginning of the response body, kept when the attempt failed.';
comment on column postrider.attempt.request_id is 'Shared by messages that went in one request; NULL where a request carries one message.';

create table postrider.message_default partition of postrider.message default;
create table postrider.attempt_default partition of postrider.attempt default;
comment on table postrider.message_default is 'Messages of days whose partition was not made in time.';
comment on table postrider.attempt_default is 'Attempts at messages of days whose partition was not made in time.';

create function postrider.message_written() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_message_written';
comment on function postrider.message_written() is
'Trigger: wakes the worker at commit.';
create trigger message_written after insert on postrider.message
	for each statement execute function postrider.message_written();
alter table postrider.message enable always trigger message_written;

create table postrider.deduplication (
	tenant text,
	topic text not null,
	dedup_key text not null,
	message_id uuid not null,
	expires_at timestamptz not null,
	constraint deduplication_key unique nulls not distinct (tenant, topic, dedup_key)
);
create index on postrider.deduplication (expires_at);
comment on table postrider.deduplication is
'Deduplication keys in use: an emit with a key that is here returns the id that is here and emits nothing.';
comment on column postrider.deduplication.tenant is 'Tenant of the message.';
comment on column postrider.deduplication.topic is 'Topic of the message; for postrider.send() topic@endpoint.';
comment on column postrider.deduplication.dedup_key is 'The key that the emitter gave.';
comment on column postrider.deduplication.message_id is 'The message that was emitted.';
comment on column postrider.deduplication.expires_at is 'From then on the key may be used again.';
