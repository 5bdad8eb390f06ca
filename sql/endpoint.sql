-- Endpoints: places to deliver to, with their policy.

create function postrider.check_endpoint() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_check_endpoint';
comment on function postrider.check_endpoint() is
'Trigger: refuses an endpoint that could not work, and says what to write instead.';

create table postrider.endpoint (
	id integer generated always as identity primary key
		constraint endpoint_id check (id operator(pg_catalog.>) 0),
	name text not null unique,
	tenant text,
	url text not null,
	method text not null default 'POST',
	headers jsonb,
	timeout interval not null default '20 seconds',
	max_attempts integer not null default 12,
	backoff_base interval not null default '5 seconds',
	backoff_max interval not null default '12 hours',
	retry_schedule interval[],
	max_in_flight integer not null default 16,
	signing_secret text references postrider.secret (name),
	enabled boolean not null default true,
	disabled_reason text,
	description text,
	created_at timestamptz not null default pg_catalog.now()
);
comment on table postrider.endpoint is
'Places to deliver to. Insert, update and delete rows; the worker follows at commit.';
comment on column postrider.endpoint.id is 'Number of the endpoint, as in attempt and pending.';
comment on column postrider.endpoint.name is 'Name by which subscriptions and postrider.send() refer to it; it cannot be changed.';
comment on column postrider.endpoint.tenant is 'If set, the endpoint gets only messages of this tenant.';
comment on column postrider.endpoint.url is 'Where to send: an http or https URL without user info.';
comment on column postrider.endpoint.method is 'HTTP method: POST, PUT or PATCH.';
comment on column postrider.endpoint.headers is 'Headers added to every request: a JSON object of strings. They replace postrider''s own Content-Type and User-Agent; headers of a message replace these.';
comment on column postrider.endpoint.timeout is 'Time for one attempt, from connect to the last byte of the response.';
comment on column postrider.endpoint.max_attempts is 'After so many failed attempts the delivery becomes a dead letter.';
comment on column postrider.endpoint.backoff_base is 'Upper bound of the wait after the first failed attempt; it doubles with each further one. The wait is drawn evenly between zero and the bound.';
comment on column postrider.endpoint.backoff_max is 'The bound never grows above this.';
comment on column postrider.endpoint.retry_schedule is 'If set, the exact waits after the first, second, ... failed attempt in place of the formula; the last one repeats.';
comment on column postrider.endpoint.max_in_flight is 'At most so many requests at the same time.';
comment on column postrider.endpoint.signing_secret is 'Name of the secret that signs requests (Standard Webhooks); without one, requests are not signed.';
comment on column postrider.endpoint.enabled is 'While false nothing is sent; what is owed is held, and flows when the endpoint is enabled again.';
comment on column postrider.endpoint.disabled_reason is 'Why the worker disabled the endpoint, if it did.';
comment on column postrider.endpoint.description is 'For people.';
comment on column postrider.endpoint.created_at is 'When the row was written.';

create trigger check_endpoint before insert or update on postrider.endpoint
	for each row execute function postrider.check_endpoint();
