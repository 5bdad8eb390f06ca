-- How the sources of secrets stand.

create function postrider.source_credential(source jsonb) returns table (id text, place text)
language c stable parallel safe strict rows 1
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_source_credential';
comment on function postrider.source_credential(jsonb) is
'The id in postrider.credential of what is fetched for a source, and the place where it is; no row if the source cannot be used.';

create view postrider.secret_source_status as
select s.name, s.tenant, s.source operator(pg_catalog.->>) 'store' as store, p.place,
	case when p.id is null then 'unusable'
		when s.source operator(pg_catalog.->>) 'store' operator(pg_catalog.=) any (array['file', 'environment']) then 'read where it is used'
		else coalesce(c.state, 'none') end as state,
	c.fetched_at, c.renew_at, c.expires_at, c.failures, c.open_until, c.retry_at, c.last_error, c.last_error_at
from postrider.secret s
left join lateral postrider.source_credential(s.source) p on true
left join postrider.credential_status c on c.id operator(pg_catalog.=) p.id
where s.source is not null;
comment on view postrider.secret_source_status is 'Secrets whose values are in stores outside of the database, and how fetching them goes; never a value.';
comment on column postrider.secret_source_status.name is 'Name of the secret.';
comment on column postrider.secret_source_status.tenant is 'The tenant that it belongs to.';
comment on column postrider.secret_source_status.store is 'vault, aws, azure, file or environment.';
comment on column postrider.secret_source_status.place is 'The URL, path or variable where it is.';
comment on column postrider.secret_source_status.state is 'As in credential_status: ok, fetching, expired (the next use fetches it), renewal failing (the value is still used), failing, open (its circuit breaker is), none (nobody has needed it yet). Also: unusable (the source cannot be read), read where it is used (files and variables, which are not stored).';
comment on column postrider.secret_source_status.fetched_at is 'When the value was fetched.';
comment on column postrider.secret_source_status.renew_at is 'From then on the next use has it fetched anew.';
comment on column postrider.secret_source_status.expires_at is 'Until when it is used if the store does not answer.';
comment on column postrider.secret_source_status.failures is 'Failures in a row.';
comment on column postrider.secret_source_status.open_until is 'Until when its circuit breaker is open.';
comment on column postrider.secret_source_status.retry_at is 'The store is not asked again before.';
comment on column postrider.secret_source_status.last_error is 'What went wrong last.';
comment on column postrider.secret_source_status.last_error_at is 'When that was.';
