-- Writing messages, and telling the worker.

create function postrider.emit(topic text, payload jsonb, key text default null,
	headers jsonb default null, deliver_at timestamptz default null,
	expires_at timestamptz default null, dedup_key text default null,
	tenant text default null, priority text default 'normal') returns uuid
language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'postrider_emit';
comment on function postrider.emit(text, jsonb, text, jsonb, timestamptz, timestamptz, text, text, text) is
'Emits a message: when the transaction commits, it goes to every endpoint that has subscribed to the topic. Returns its id. What has priority high or critical goes before what else waits for an endpoint, bulk goes behind it.';

create function postrider.send(endpoint text, payload jsonb, key text default null,
	headers jsonb default null, deliver_at timestamptz default null,
	expires_at timestamptz default null, dedup_key text default null,
	tenant text default null, topic text default 'message',
	priority text default 'normal') returns uuid
language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'postrider_send';
comment on function postrider.send(text, jsonb, text, jsonb, timestamptz, timestamptz, text, text, text, text) is
'Sends a message to one endpoint, whatever the subscriptions say, when the transaction commits. Returns its id. What has priority high or critical goes before what else waits for an endpoint, bulk goes behind it.';

create function postrider.wake() returns void
language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'postrider_wake';
comment on function postrider.wake() is
'Has the worker look at the table pending when the transaction commits.';

create function postrider.config_changed() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_config_changed';
comment on function postrider.config_changed() is
'Trigger: has the workers load the configuration again when the transaction commits.';

create trigger config_changed after insert or update or delete or truncate on postrider.endpoint
	for each statement execute function postrider.config_changed();
create trigger config_changed after insert or update or delete or truncate on postrider.subscription
	for each statement execute function postrider.config_changed();
create trigger config_changed after insert or update or delete or truncate on postrider.mapping
	for each statement execute function postrider.config_changed();
create trigger config_changed after insert or update or delete or truncate on postrider.secret
	for each statement execute function postrider.config_changed();
create trigger config_changed after insert or update or delete or truncate on postrider.secret_version
	for each statement execute function postrider.config_changed();
alter table postrider.endpoint enable always trigger config_changed;
alter table postrider.subscription enable always trigger config_changed;
alter table postrider.mapping enable always trigger config_changed;
alter table postrider.secret enable always trigger config_changed;
alter table postrider.secret_version enable always trigger config_changed;
