-- Limits of tenants.  Those who are bound to no tenant set them; a tenant sees its own.

create function postrider.check_tenant() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_check_tenant';
comment on function postrider.check_tenant() is
'Trigger: refuses limits of a tenant that make no sense, and says what to write instead.';

create table postrider.tenant (
	name text primary key,
	rate_limits text,
	message_limits text,
	max_payload_bytes integer
		constraint tenant_max_payload_bytes check (max_payload_bytes operator(pg_catalog.>) 0),
	max_endpoints integer
		constraint tenant_max_endpoints check (max_endpoints operator(pg_catalog.>=) 0),
	max_subscriptions integer
		constraint tenant_max_subscriptions check (max_subscriptions operator(pg_catalog.>=) 0),
	description text,
	created_at timestamptz not null default pg_catalog.now()
);
comment on table postrider.tenant is
'Limits of tenants. A tenant without a row has none, and NULL in a column is no limit. A session that is bound to a tenant reads its own row and changes none.';
comment on column postrider.tenant.name is 'The tenant, as in postrider.tenant of a session, and in endpoints and messages.';
comment on column postrider.tenant.rate_limits is 'Requests to all endpoints of the tenant together, such as ''100 per 10 s, 250000 per day'', written as in endpoint.rate_limits; the limits of each endpoint hold besides.';
comment on column postrider.tenant.message_limits is 'Messages that the tenant may emit, such as ''1000 per min, 100000 per day''. Beyond that emit(), send() and writes to watched tables fail.';
comment on column postrider.tenant.max_payload_bytes is 'The largest payload that the tenant may emit, as jsonb; the setting postrider.max_payload_bytes holds besides.';
comment on column postrider.tenant.max_endpoints is 'So many endpoints the tenant may have, paused and disabled ones included. A limit below what is there only stops new ones.';
comment on column postrider.tenant.max_subscriptions is 'So many subscriptions its endpoints may have in all, disabled ones included.';
comment on column postrider.tenant.description is 'For people.';
comment on column postrider.tenant.created_at is 'When the row was written.';

create trigger check_tenant before insert or update on postrider.tenant
	for each row execute function postrider.check_tenant();

-- Workers load the limits anew, and sessions read them anew.
create trigger config_changed after insert or update or delete or truncate on postrider.tenant
	for each statement execute function postrider.config_changed();
alter table postrider.tenant enable always trigger config_changed;

create function postrider.tenant_changed() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_topic_changed';
comment on function postrider.tenant_changed() is
'Trigger: has all sessions read the limits of tenants again when the transaction commits.';
create trigger tenant_changed after insert or update or delete or truncate on postrider.tenant
	for each statement execute function postrider.tenant_changed();
alter table postrider.tenant enable always trigger tenant_changed;

-- Only additions are counted, so what is there already stays and can be changed.
create index endpoint_tenant on postrider.endpoint (tenant);

create function postrider.limit_endpoints() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_limit_endpoints';
comment on function postrider.limit_endpoints() is
'Trigger: refuses an endpoint that is one more than max_endpoints of its tenant.';
create trigger limit_endpoints after insert on postrider.endpoint
	for each row execute function postrider.limit_endpoints();

create function postrider.limit_subscriptions() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_limit_subscriptions';
comment on function postrider.limit_subscriptions() is
'Trigger: refuses a subscription that is one more than max_subscriptions of its tenant.';
create trigger limit_subscriptions after insert or update of endpoint on postrider.subscription
	for each row execute function postrider.limit_subscriptions();
