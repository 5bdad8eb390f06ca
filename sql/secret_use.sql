-- What secrets are used for, and how they stand.

create function postrider.secret_references("column" text, document jsonb) returns text[]
language c stable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_secret_references';
comment on function postrider.secret_references(text, jsonb) is
'The names of the secrets that a document refers to: auth or signing of an endpoint, or source of a secret.';

create view postrider.secret_use with (security_barrier) as
select s.name as secret, 'endpoint' as kind, e.name as used_by, c.place
from postrider.endpoint e
	cross join lateral (values ('signing_secret', array[e.signing_secret]), ('proxy_secret', array[e.proxy_secret]),
		('auth', postrider.secret_references('auth', e.auth)),
		('signing', postrider.secret_references('signing', e.signing))) as c (place, names)
	cross join lateral (select distinct n as text from pg_catalog.unnest(c.names) n) as t
	join postrider.secret s on s.name operator(pg_catalog.=) t.text
where postrider.sees_tenant(s.tenant) and postrider.sees_tenant(e.tenant)
union all
select s.name, 'secret', o.name, 'source'
from postrider.secret o
	cross join lateral (select distinct n as text
		from pg_catalog.unnest(postrider.secret_references('source', o.source)) n) as t
	join postrider.secret s on s.name operator(pg_catalog.=) t.text
where postrider.sees_tenant(s.tenant) and postrider.sees_tenant(o.tenant)
union all
select s.name, 'setting', 'postrider.proxy_secret', 'postrider.proxy_secret'
from postrider.secret s
where s.name operator(pg_catalog.=) pg_catalog.current_setting('postrider.proxy_secret', true)
	and postrider.sees_tenant(s.tenant);
comment on view postrider.secret_use is
'What refers to secrets: they cannot be dropped before.';
comment on column postrider.secret_use.secret is 'Name of the secret.';
comment on column postrider.secret_use.kind is 'endpoint, secret (its source needs another one) or setting.';
comment on column postrider.secret_use.used_by is 'Name of that endpoint, secret or setting.';
comment on column postrider.secret_use.place is 'The column that has the name in it.';

create view postrider.secret_status with (security_barrier) as
select s.name, s.tenant,
	case when s.expires_at operator(pg_catalog.<=) pg_catalog.now() then 'expired'
		when v.newest is null and s.source is null then 'empty'
		when s.expires_at operator(pg_catalog.-) s.warn_before operator(pg_catalog.<=) pg_catalog.now() then 'expiring'
		when v.count operator(pg_catalog.>) 1 then 'rotating'
		else 'good' end as state,
	v.newest as version, v.in_force as versions_in_force, v.set_at, v.old_retires_at, s.expires_at,
	coalesce(u.used_by, '{}') as used_by, s.source, s.description
from postrider.secret s
	left join lateral (select max(w.version) as newest, pg_catalog.count(*) as count,
			array_agg(w.version order by w.version operator(pg_catalog.*) -1) as in_force, max(w.created_at) as set_at, max(w.retires_at) as old_retires_at
		from postrider.secret_version w
		where w.name operator(pg_catalog.=) s.name
			and (w.retires_at is null or w.retires_at operator(pg_catalog.>) pg_catalog.now())) v on true
	left join lateral (select array_agg(distinct p.kind operator(pg_catalog.||) ' ' operator(pg_catalog.||) p.used_by) as used_by
		from postrider.secret_use p where p.secret operator(pg_catalog.=) s.name) u on true
where postrider.sees_tenant(s.tenant);
comment on view postrider.secret_status is
'How secrets stand, without their values.';
comment on column postrider.secret_status.name is 'Name of the secret.';
comment on column postrider.secret_status.tenant is 'The tenant that it belongs to.';
comment on column postrider.secret_status.state is 'good, rotating (an old value is in force too), expiring (within warn_before), expired (it is not used), or empty (it has no value).';
comment on column postrider.secret_status.version is 'The newest version; NULL if its value is in a store outside of the database.';
comment on column postrider.secret_status.versions_in_force is 'All versions that sign, the newest first.';
comment on column postrider.secret_status.set_at is 'When the newest value was set.';
comment on column postrider.secret_status.old_retires_at is 'Until when an old value is in force.';
comment on column postrider.secret_status.expires_at is 'From then on it is not used.';
comment on column postrider.secret_status.used_by is 'What refers to it; see the view postrider.secret_use.';
comment on column postrider.secret_status.source is 'The store that has the value.';
comment on column postrider.secret_status.description is 'For people.';

create function postrider.drop_secret(name text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	used postrider.secret_use;
	count bigint;
begin
	if drop_secret.name is null then
		raise null_value_not_allowed using message = 'name of secret must not be null';
	end if;
	perform from postrider.secret s where s.name = drop_secret.name and postrider.sees_tenant(s.tenant) for update;
	if not found then
		raise undefined_object using message = format('secret "%s" does not exist', drop_secret.name),
			hint = 'Run SELECT name FROM postrider.secret_status.';
	end if;
	select * into used from postrider.secret_use u where u.secret = drop_secret.name order by u.kind, u.used_by, u.place limit 1;
	select count(*) into count from (select distinct u.kind, u.used_by from postrider.secret_use u where u.secret = drop_secret.name) d;
	if count > 0 then
		raise dependent_objects_still_exist using message = format('secret "%s" is used by %s "%s"%s', drop_secret.name, used.kind,
				used.used_by, case when count > 1 then format(' and %s more', count - 1) else '' end),
			hint = format('Change its %s first. SELECT * FROM postrider.secret_use WHERE secret = %L shows all uses.', used.place, drop_secret.name);
	end if;
	delete from postrider.secret s where s.name = drop_secret.name;
end
$$;
comment on function postrider.drop_secret(text) is
'Deletes a secret with all its versions, unless something uses it.';

create function postrider.drop_old_keys(force boolean default false) returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	other text;
begin
	select d.datname into other from pg_database d
	where d.datname <> current_database() and not drop_old_keys.force
		and exists (select from pg_stat_activity a where a.datid = d.oid and a.backend_type like 'postrider worker%')
	order by d.datname limit 1;
	if found then
		raise object_in_use using message = format('database "%s" has postrider too, and may need the old keys', other),
			hint = 'Run SELECT postrider.rotate_key() there, and in all others, then SELECT postrider.drop_old_keys(force => true).';
	end if;
	return postrider.drop_keys();
end
$$;
comment on function postrider.drop_old_keys(boolean) is
'Takes all keys but the current one out of the key file, when no secret of this database needs them any more; returns how many. What was dumped before cannot be restored without them. force: other databases have been seen to.';

create function postrider.check_secret() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
	if new.name <> old.name then
		raise feature_not_supported using message = format('name of secret "%s" cannot be changed', old.name),
			hint = 'Store another one, and change what uses it.';
	end if;
	if (new.expires_at is distinct from old.expires_at or new.warn_before <> old.warn_before) and new.announced is not distinct from old.announced then
		new.announced := null;
	end if;
	return new;
end
$$;
comment on function postrider.check_secret() is
'Trigger: a secret keeps its name; when its end is changed, the new one is announced again.';
create trigger check_secret before update on postrider.secret
	for each row execute function postrider.check_secret();
