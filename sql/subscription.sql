-- Subscriptions: which topics go to which endpoint.

create function postrider.check_subscription() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_check_subscription';
comment on function postrider.check_subscription() is
'Trigger: refuses a subscription whose topic is no topic pattern, or whose endpoint or mapping does not exist.';

create table postrider.subscription (
	id integer generated always as identity primary key,
	topic text not null,
	endpoint text not null references postrider.endpoint (name) on delete cascade,
	filter jsonpath,
	mapping text,
	mapping_version integer,
	enabled boolean not null default true,
	after_id uuid not null default postrider.next_id(),
	description text,
	created_at timestamptz not null default pg_catalog.now(),
	constraint subscription_mapping_version check (mapping_version is null or mapping is not null),
	constraint subscription_mapping foreign key (mapping, mapping_version) references postrider.mapping (name, version)
);
create index on postrider.subscription (endpoint);
comment on table postrider.subscription is
'Which topics go to which endpoint. An endpoint that several subscriptions name gets a message once.';
comment on column postrider.subscription.id is 'Number of the subscription.';
comment on column postrider.subscription.topic is 'Topic or pattern: order.paid, order.* (one word), order.** (any number of words).';
comment on column postrider.subscription.endpoint is 'Name of the endpoint.';
comment on column postrider.subscription.filter is 'If set, only payloads that it lets through are sent: a predicate such as $.record.total > 100, or a path that must find something.';
comment on column postrider.subscription.mapping is 'If set, name of the mapping by which payloads become what is sent.';
comment on column postrider.subscription.mapping_version is 'Version of the mapping; NULL: the newest one.';
comment on column postrider.subscription.enabled is 'While false the subscription matches nothing.';
comment on column postrider.subscription.after_id is 'Only messages with an id above this one match: those emitted after the subscription was made.';
comment on column postrider.subscription.description is 'For people.';
comment on column postrider.subscription.created_at is 'When the row was written.';

create trigger check_subscription before insert or update on postrider.subscription
	for each row execute function postrider.check_subscription();

create function postrider.keep_used_mapping() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	used record;
begin
	select s.id, s.endpoint into used from postrider.subscription s
	where s.mapping = old.name
	and not exists (select from postrider.mapping m where m.name = old.name)
	limit 1;
	if found then
		raise foreign_key_violation using
			message = format('mapping "%s" is used by subscription %s of endpoint "%s"', old.name, used.id, used.endpoint),
			hint = 'Give the subscription another mapping first, or none.';
	end if;
	return null;
end
$$;
comment on function postrider.keep_used_mapping() is
'Trigger: refuses to delete the last version of a mapping that a subscription names.';
create trigger keep_used_mapping after delete on postrider.mapping
	for each row execute function postrider.keep_used_mapping();
