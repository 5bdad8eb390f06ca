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
	rate_limit integer,
	rate_period interval not null default '1 second',
	rate_burst integer,
	rate_limits text,
	rate_group text,
	warn_at double precision default 0.8,
	breaker_share double precision default 0.5,
	breaker_min_count integer not null default 20,
	breaker_window interval not null default '1 minute',
	breaker_open interval not null default '5 seconds',
	breaker_open_max interval not null default '5 minutes',
	disable_after interval default '5 days',
	ordered boolean not null default false,
	on_dead text not null default 'block',
	"coalesce" boolean not null default false,
	batch_size integer,
	batch_bytes integer,
	batch_delay interval,
	batch_format text,
	batch_template text,
	batch_failed jsonpath,
	batch_error jsonpath,
	format text,
	body_template text,
	content_type text,
	idempotency_key text,
	response_rules jsonb,
	response_excerpt_bytes integer not null default 1024,
	reply_topic text,
	run_as text,
	proxy text,
	proxy_secret text references postrider.secret (name),
	signing_secret text references postrider.secret (name),
	signing jsonb,
	auth jsonb,
	ca_certificate text,
	enabled boolean not null default true,
	disabled_reason text,
	paused_at timestamptz,
	pause_reason text,
	description text,
	created_at timestamptz not null default pg_catalog.now()
);
comment on table postrider.endpoint is
'Places to deliver to. Insert, update and delete rows; the worker follows at commit.';
comment on column postrider.endpoint.id is 'Number of the endpoint, as in attempt and pending.';
comment on column postrider.endpoint.name is 'Name by which subscriptions and postrider.send() refer to it; it cannot be changed.';
comment on column postrider.endpoint.tenant is 'If set, the endpoint gets only messages of this tenant.';
comment on column postrider.endpoint.url is 'Where to send: an http or https URL without user info; path and query may have values from the message: /contacts/{{key}}?since={{$.since}}. Or function:schema.name(postrider.message), see postrider.on_message().';
comment on column postrider.endpoint.method is 'HTTP method: POST, PUT, PATCH, GET or DELETE.';
comment on column postrider.endpoint.headers is 'Headers added to every request: a JSON object of strings. They replace postrider''s own Content-Type and User-Agent; headers of a message replace these.';
comment on column postrider.endpoint.timeout is 'Time for one attempt, from connect to the last byte of the response.';
comment on column postrider.endpoint.max_attempts is 'After so many failed attempts the delivery becomes a dead letter.';
comment on column postrider.endpoint.backoff_base is 'Upper bound of the wait after the first failed attempt; it doubles with each further one. The wait is drawn evenly between zero and the bound.';
comment on column postrider.endpoint.backoff_max is 'The bound never grows above this.';
comment on column postrider.endpoint.retry_schedule is 'If set, the exact waits after the first, second, ... failed attempt in place of the formula; the last one repeats.';
comment on column postrider.endpoint.max_in_flight is 'At most so many requests at the same time. The worker begins with a few and grows to this while the receiver keeps answering as fast.';
comment on column postrider.endpoint.rate_limit is 'At most so many requests in any time of rate_period, spread evenly over it; NULL: no limit.';
comment on column postrider.endpoint.rate_period is 'The time that rate_limit is for.';
comment on column postrider.endpoint.rate_burst is 'So many requests of rate_limit may go at once; NULL: spread evenly.';
comment on column postrider.endpoint.rate_limits is 'Further limits, such as ''100 per 10 s burst 20, 250000 per day''. All hold at once. The shortest one is spread evenly, and those with the word spread; the others are used as needed.';
comment on column postrider.endpoint.rate_group is 'Endpoints with the same text here share their limits, as they belong to one account of the receiver; the limits of all of them hold.';
comment on column postrider.endpoint.warn_at is 'Share of a limit, from 0 to 1, that brings a warning when it is used; NULL: never.';
comment on column postrider.endpoint.breaker_share is 'Share of failed requests, from 0 to 1, that opens the circuit breaker; NULL: no breaker.';
comment on column postrider.endpoint.breaker_min_count is 'The breaker opens only after so many requests in breaker_window.';
comment on column postrider.endpoint.breaker_window is 'The breaker looks at the requests of this time.';
comment on column postrider.endpoint.breaker_open is 'The breaker stays open so long, then one request is tried; it doubles each time that it fails.';
comment on column postrider.endpoint.breaker_open_max is 'The breaker never stays open longer than this without a try.';
comment on column postrider.endpoint.disable_after is 'The endpoint is disabled when every request has failed for so long (and at least ten have); NULL: never.';
comment on column postrider.endpoint.ordered is 'True: messages of one key go strictly in the order of their ids, one at a time; other keys flow on.';
comment on column postrider.endpoint.on_dead is 'For ordered: block: what is behind a dead message of its key waits until that is retried or purged; skip: it goes on.';
comment on column postrider.endpoint."coalesce" is 'True: of several messages of one key that wait, only the newest is sent; the others end as superseded.';
comment on column postrider.endpoint.batch_size is 'At most so many messages in one request, from 2 to 1000; NULL: one.';
comment on column postrider.endpoint.batch_bytes is 'At most so many bytes in the body of a batch; NULL: 1 MB.';
comment on column postrider.endpoint.batch_delay is 'A message waits so long for others to go with it; NULL: not at all.';
comment on column postrider.endpoint.batch_format is 'json-array, ndjson, or envelope: batch_template with the records in it.';
comment on column postrider.endpoint.batch_template is 'Body of a batch, with {{records}} where the JSON array of records goes.';
comment on column postrider.endpoint.batch_failed is 'Path in the response to what failed: positions of records from 0, such as $.errors[*].index, or false for each record that failed, or strings that the records have as a value; only those are retried.';
comment on column postrider.endpoint.batch_error is 'Path in the response to the reasons, one for each failure, such as $.errors[*].message.';
comment on column postrider.endpoint.format is 'What is sent: standard-webhooks (the default), cloudevents, cloudevents-binary, raw (the payload), form (its members), template (body_template) or none (the default of GET and DELETE).';
comment on column postrider.endpoint.body_template is 'Body with values from the message, escaped as the content_type demands: {"query": "...", "variables": {"email": {{$.email}}}}.';
comment on column postrider.endpoint.content_type is 'Content-Type of requests; NULL: what the format has.';
comment on column postrider.endpoint.idempotency_key is 'Name of a header that carries the id of the message, such as Idempotency-Key; NULL: none.';
comment on column postrider.endpoint.response_rules is 'What responses mean where the status does not say it: a list of conditions and actions, of which the first that holds decides; see doc/response_rules.md.';
comment on column postrider.endpoint.response_excerpt_bytes is 'So many bytes of the response of a failed attempt are kept in attempt and dead_letter, from 0 to 65536.';
comment on column postrider.endpoint.reply_topic is 'If set, the response of each delivered message is emitted as a message of this topic, with the key and tenant of the message.';
comment on column postrider.endpoint.run_as is 'For functions: the role as which it is called; NULL: the one that writes the row, which must be a member of it.';
comment on column postrider.endpoint.proxy is 'Proxy for its requests: a URL such as http://proxy.example.com:3128, https or socks5h, without user and password; or none; NULL: the setting postrider.proxy.';
comment on column postrider.endpoint.proxy_secret is 'Name of the secret that holds user:password for the proxy.';
comment on column postrider.endpoint.signing_secret is 'Name of the secret that signs requests (Standard Webhooks); without one, requests are not signed.';
comment on column postrider.endpoint.signing is 'Further signatures, one object or an array: {"type": "github", "secret": "name"}; types are standard-webhooks, http-message-signatures, github and stripe. See doc/authentication.md.';
comment on column postrider.endpoint.auth is 'How requests authenticate, one object or an array of objects that are combined: {"type": "bearer", "secret": "name"}. Values are in secrets, here are their names. See doc/authentication.md.';
comment on column postrider.endpoint.ca_certificate is 'Certificates in PEM of the only authorities that this endpoint''s certificate may be from; NULL: those that the system trusts.';
comment on column postrider.endpoint.enabled is 'While false nothing is sent; what is owed is held, and flows when the endpoint is enabled again.';
comment on column postrider.endpoint.disabled_reason is 'Why the worker disabled the endpoint, if it did.';
comment on column postrider.endpoint.paused_at is 'While set nothing is sent; what is owed is held. See postrider.pause() and resume().';
comment on column postrider.endpoint.pause_reason is 'Why it was paused, as said to postrider.pause().';
comment on column postrider.endpoint.description is 'For people.';
comment on column postrider.endpoint.created_at is 'When the row was written.';

create trigger check_endpoint before insert or update on postrider.endpoint
	for each row execute function postrider.check_endpoint();
