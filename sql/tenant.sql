-- Tenants: who is bound to one by postrider.tenant sees and changes only what is its own.
--
-- Tables have policies.  Views, and functions with SECURITY DEFINER, run as the owner whom
-- no policy binds: they ask postrider.sees_tenant() themselves.  Endpoints and secrets have a
-- trigger besides, which also a function that runs as the owner cannot get past.  What hangs
-- on an endpoint (subscriptions, attempts, what is pending or dead) belongs to its tenant: an
-- endpoint of a tenant gets messages of that tenant only, and keeps its tenant for life.
-- Topics, schemas and mappings are shared: a bound session reads them, and changes none.

create function postrider.require_tenant(tenant text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
	if not postrider.sees_shared(require_tenant.tenant) then
		raise insufficient_privilege using
			message = format('permission denied for tenant "%s"', require_tenant.tenant),
			detail = format('This session is bound to tenant "%s" by postrider.tenant.', postrider.bound_tenant()),
			hint = 'Leave the tenant out.';
	end if;
end
$$;
comment on function postrider.require_tenant(text) is
'Raises an error if the session is bound to another tenant.';

create function postrider.bind_tenant() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	bound text := postrider.bound_tenant();
	secret text;
	what text := tg_table_name;
begin
	if tg_op <> 'INSERT' and not postrider.sees_tenant(old.tenant) then
		raise insufficient_privilege using
			message = format('%s "%s" belongs to another tenant', what, old.name),
			hint = 'Names are shared by all tenants: choose another one.';
	end if;
	if tg_op = 'DELETE' then
		return old;
	end if;
	if tg_op = 'UPDATE' and new.tenant is distinct from old.tenant and new.tenant is not null then
		raise feature_not_supported using
			message = format('tenant of %s "%s" cannot be changed', what, old.name),
			detail = 'What it has had so far would be seen by the other one.',
			hint = format('Make another %s for that tenant.', what);
	end if;
	if bound is null then
		return new;
	end if;
	new.tenant := coalesce(new.tenant, bound);
	perform postrider.require_tenant(new.tenant);
	if what = 'secret' then
		if tg_op = 'INSERT' and new.source is not null or tg_op = 'UPDATE' and new.source is distinct from old.source then
			raise insufficient_privilege using
				message = format('source of secret "%s" cannot be set by a tenant', new.name),
				hint = 'Stores outside of the database are for those who are not bound to a tenant.';
		end if;
		return new;
	end if;

	-- A number that was in use would bring attempts and dead letters of another with it.
	if tg_op = 'INSERT' then
		new.id := nextval('postrider.endpoint_id_seq');
	elsif to_jsonb(new) - array['enabled', 'disabled_reason', 'paused_at', 'pause_reason', 'description']
		= to_jsonb(old) - array['enabled', 'disabled_reason', 'paused_at', 'pause_reason', 'description'] then
		return new;
	end if;
	-- Whoever chooses the URL gets to see what a secret is worth.
	select s.name into secret
	from jsonb_path_query(jsonb_build_array(to_jsonb(new) -> 'signing_secret', to_jsonb(new) -> 'proxy_secret',
		to_jsonb(new) -> 'auth', to_jsonb(new) -> 'signing'), 'strict $.** ? (@.type() == "string")') v
	join postrider.secret s on s.name = v #>> '{}'
	where not postrider.sees_tenant(s.tenant) limit 1;
	if found then
		raise insufficient_privilege using
			message = format('permission denied for secret "%s" of endpoint "%s"', secret, new.name),
			hint = 'A tenant''s endpoints use secrets of that tenant: SELECT name FROM postrider.secret_status.';
	end if;
	if new.rate_group is not null and exists (select from postrider.endpoint e
		where e.rate_group = new.rate_group and not postrider.sees_tenant(e.tenant)) then
		raise insufficient_privilege using
			message = format('permission denied for rate_group "%s" of endpoint "%s"', new.rate_group, new.name),
			hint = 'Endpoints of others are in it: choose another name.';
	end if;
	return new;
end
$$;
comment on function postrider.bind_tenant() is
'Trigger: gives what a bound session writes its tenant, and refuses what would cross to another.';
create trigger bind_tenant before insert or update or delete on postrider.endpoint
	for each row execute function postrider.bind_tenant();
create trigger bind_tenant before insert or update or delete on postrider.secret
	for each row execute function postrider.bind_tenant();

create function postrider.bind_secret_version() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	secret_name text := case when tg_op = 'DELETE' then old.name else new.name end;
begin
	if postrider.bound_tenant() is not null and exists (select from postrider.secret s
		where s.name = secret_name and not postrider.sees_tenant(s.tenant)) then
		raise insufficient_privilege using
			message = format('secret "%s" belongs to another tenant', secret_name),
			hint = 'Names are shared by all tenants: choose another one.';
	end if;
	return case when tg_op = 'DELETE' then old else new end;
end
$$;
comment on function postrider.bind_secret_version() is
'Trigger: refuses a value for a secret of another tenant.';
create trigger bind_secret_version before insert or update or delete on postrider.secret_version
	for each row execute function postrider.bind_secret_version();

-- Policies.  A table without one shows nothing to anybody but the owner.
create policy tenant on postrider.endpoint
	using (postrider.sees_tenant(tenant)) with check (postrider.sees_tenant(tenant));
create policy tenant on postrider.secret
	using (postrider.sees_tenant(tenant)) with check (postrider.sees_tenant(tenant));
create policy tenant on postrider.message for select using (postrider.sees_tenant(tenant));
create policy tenant on postrider.subscription
	using (postrider.bound_tenant() is null or endpoint operator(pg_catalog.=) any (array(select e.name from postrider.endpoint e)));
create policy tenant on postrider.attempt for select
	using (postrider.bound_tenant() is null or endpoint_id operator(pg_catalog.=) any (array(select e.id from postrider.endpoint e)));
create policy tenant on postrider.pending for select
	using (postrider.bound_tenant() is null or endpoint_id operator(pg_catalog.=) any (array(select e.id from postrider.endpoint e)));
create policy tenant on postrider.dead_letter
	using (postrider.bound_tenant() is null
		or postrider.sees_tenant(tenant) and endpoint_id operator(pg_catalog.=) any (array(select e.id from postrider.endpoint e)));
create policy tenant on postrider.secret_version
	using (postrider.bound_tenant() is null or name operator(pg_catalog.=) any (array(select s.name from postrider.secret s)));
create policy tenant on postrider.config_history for select
	using (postrider.bound_tenant() is null
		or postrider.sees_tenant(tenant));
create policy tenant on postrider.erasure for select using (postrider.sees_tenant(tenant));
create policy tenant on postrider.delivery_stats for select
	using (postrider.bound_tenant() is null or endpoint_id operator(pg_catalog.=) any (array(select e.id from postrider.endpoint e)));
-- A topic is shared, and how much is said on it is nobody's own.
create policy tenant on postrider.message_stats for select using (postrider.bound_tenant() is null);
create policy tenant on postrider.delivery_total for select
	using (postrider.bound_tenant() is null or endpoint_id operator(pg_catalog.=) any (array(select e.id from postrider.endpoint e)));
create policy tenant on postrider.message_total for select using (postrider.bound_tenant() is null);
create policy tenant on postrider.tenant for select using (postrider.sees_tenant(name));
create policy tenant_write on postrider.tenant
	using (postrider.bound_tenant() is null);

do $$
declare
	relation text;
begin
	foreach relation in array array['topic', 'topic_version', 'schema', 'mapping', 'sensitive_field', 'payload_retention']
	loop
		execute format('create policy shared on postrider.%I for select using (true)', relation);
		execute format('create policy shared_insert on postrider.%I for insert with check (postrider.bound_tenant() is null)', relation);
		execute format('create policy shared_update on postrider.%I for update using (postrider.bound_tenant() is null)', relation);
		execute format('create policy shared_delete on postrider.%I for delete using (postrider.bound_tenant() is null)', relation);
	end loop;
	-- All, so that none can be forgotten; partitions too, as they are made later.
	for relation in select c.relname from pg_catalog.pg_class c
		where c.relnamespace = 'postrider'::regnamespace and c.relkind in ('r', 'p')
	loop
		execute format('alter table postrider.%I enable row level security', relation);
	end loop;
end
$$;
