-- Credentials: access tokens and what else is fetched and good for some time.

create table postrider.credential (
	id text primary key,
	kind text not null,
	server text not null,
	secrets text[] not null default '{}',
	revision bigint not null default 1,
	ciphertext bytea,
	fetched_at timestamptz,
	renew_at timestamptz,
	good_until timestamptz,
	expires_at timestamptz,
	after_rejection boolean not null default false,
	failures integer not null default 0,
	breaker bytea,
	open_until timestamptz,
	last_error text,
	last_error_at timestamptz,
	retry_at timestamptz,
	inputs text,
	lease_until timestamptz,
	leased_by integer
) with (fillfactor = 50);
comment on table postrider.credential is
'Credentials that workers have fetched, encrypted, and how that went. Written by the workers; the view postrider.credential_status is for people.';
comment on column postrider.credential.id is 'Hash of its kind and description: endpoints with the same description share it.';
comment on column postrider.credential.kind is 'What it is, such as oauth2_client_credentials.';
comment on column postrider.credential.server is 'Whom the workers ask.';
comment on column postrider.credential.secrets is 'Names of the secrets that are needed for that.';
comment on column postrider.credential.revision is 'Goes up with each change, so that workers see that there is one.';
comment on column postrider.credential.ciphertext is 'The value, encrypted as secrets are; the id is part of what is authenticated.';
comment on column postrider.credential.fetched_at is 'When the value was fetched.';
comment on column postrider.credential.renew_at is 'From then on the next use has it renewed.';
comment on column postrider.credential.good_until is 'From then on it is not used any more.';
comment on column postrider.credential.expires_at is 'When it expires, by what the server said, or an hour after it was fetched.';
comment on column postrider.credential.after_rejection is 'It was fetched because a receiver rejected the one before.';
comment on column postrider.credential.failures is 'Failures in a row.';
comment on column postrider.credential.breaker is 'State of the circuit breaker, in a form of its own.';
comment on column postrider.credential.open_until is 'Until when the circuit breaker is open.';
comment on column postrider.credential.last_error is 'What went wrong last.';
comment on column postrider.credential.last_error_at is 'When that was.';
comment on column postrider.credential.retry_at is 'It is not tried again before.';
comment on column postrider.credential.inputs is 'Versions of the secrets at the last failure: with others it is tried at once.';
comment on column postrider.credential.lease_until is 'A worker fetches it, and has so long.';
comment on column postrider.credential.leased_by is 'Process id of that worker.';

create function postrider.credential_ids(auth jsonb) returns text[]
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'postrider_credential_ids';
comment on function postrider.credential_ids(jsonb) is
'The ids of the credentials that an endpoint with this auth needs.';

create view postrider.credential_status as
select c.id, c.kind, c.server, c.secrets, e.endpoints,
	case when c.lease_until > pg_catalog.now() then 'fetching'
		when c.open_until > pg_catalog.now() then 'open'
		when c.ciphertext is not null and c.good_until > pg_catalog.now()
			then case when c.failures > 0 then 'renewal failing' else 'ok' end
		when c.failures > 0 then 'failing'
		when c.ciphertext is not null then 'expired' else 'none' end as state,
	c.fetched_at, c.expires_at, c.renew_at, c.failures, c.open_until, c.retry_at,
	c.last_error, c.last_error_at
from postrider.credential c
cross join lateral (
	select pg_catalog.array_agg(u.name order by u.name) as endpoints
	from postrider.endpoint u where c.id operator(pg_catalog.=) any (postrider.credential_ids(u.auth))) e;
comment on view postrider.credential_status is
'The credentials that workers fetch, such as access tokens: how each stands.';
comment on column postrider.credential_status.id is 'Hash of its kind and description.';
comment on column postrider.credential_status.kind is 'What it is, such as oauth2_client_credentials.';
comment on column postrider.credential_status.server is 'Whom the workers ask.';
comment on column postrider.credential_status.secrets is 'Names of the secrets that are needed for that.';
comment on column postrider.credential_status.endpoints is 'Endpoints whose auth needs it.';
comment on column postrider.credential_status.state is 'ok; fetching; expired (the next use fetches it); renewal failing (the value is still good); failing; open (its circuit breaker is open); none (it was thrown away, or never fetched).';
comment on column postrider.credential_status.fetched_at is 'When the value was fetched.';
comment on column postrider.credential_status.expires_at is 'When it expires.';
comment on column postrider.credential_status.renew_at is 'From then on the next use has it renewed.';
comment on column postrider.credential_status.failures is 'Failures in a row.';
comment on column postrider.credential_status.open_until is 'Until when the circuit breaker is open.';
comment on column postrider.credential_status.retry_at is 'It is not tried again before.';
comment on column postrider.credential_status.last_error is 'What went wrong last.';
comment on column postrider.credential_status.last_error_at is 'When that was.';

create function postrider.credentials_changed() returns void
language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'postrider_credentials_changed';
comment on function postrider.credentials_changed() is
'Has the workers look at the table postrider.credential when the transaction commits.';

create function postrider.renew_credential(id text) returns boolean
language plpgsql volatile parallel unsafe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
	update postrider.credential c
	set ciphertext = null, failures = 0, breaker = null, open_until = null, retry_at = null,
		inputs = null, revision = c.revision + 1
	where c.id = renew_credential.id;
	if not found then
		return false;
	end if;
	perform postrider.credentials_changed();
	return true;
end
$$;
comment on function postrider.renew_credential(text) is
'Throws a credential away, with what is known of failures, so that the next use fetches it. False if there is none.';
