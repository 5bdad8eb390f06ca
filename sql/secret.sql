-- Secrets: only ciphertext is stored.

create table postrider.secret (
	name text primary key
		constraint secret_name_not_empty check (name operator(pg_catalog.<>) ''),
	tenant text,
	source jsonb,
	description text,
	expires_at timestamptz,
	warn_before interval not null default '14 days'
		constraint secret_warn_before check (warn_before operator(pg_catalog.>=) interval '0'),
	announced text
		constraint secret_announced check (announced operator(pg_catalog.=) any (array['expiring', 'expired'])),
	created_at timestamptz not null default pg_catalog.now(),
	updated_at timestamptz not null default pg_catalog.now()
);
comment on table postrider.secret is
'Secrets: values that sign or authenticate. Their values are in postrider.secret_version, encrypted, or in a store outside of the database. Written by postrider.set_secret().';
comment on column postrider.secret.name is 'The name by which endpoints refer to the secret.';
comment on column postrider.secret.tenant is 'The tenant that the secret belongs to.';
comment on column postrider.secret.source is 'Where the value is if it is not here: a store outside of the database.';
comment on column postrider.secret.description is 'For people; it can be changed by UPDATE.';
comment on column postrider.secret.expires_at is 'From then on the newest value is not used. It can be changed by UPDATE.';
comment on column postrider.secret.warn_before is 'So long before it expires a message is sent on the topic postrider.secret.expiring.';
comment on column postrider.secret.announced is 'What has been said about the end of the newest value: expiring, expired, or nothing yet.';
comment on column postrider.secret.created_at is 'When the secret was first set.';
comment on column postrider.secret.updated_at is 'When the value was last set.';

create table postrider.secret_version (
	name text not null references postrider.secret (name) on delete cascade,
	version integer not null
		constraint secret_version_number check (version operator(pg_catalog.>) 0),
	ciphertext bytea not null,
	retires_at timestamptz,
	created_at timestamptz not null default pg_catalog.now(),
	primary key (name, version)
);
comment on table postrider.secret_version is
'Values of secrets, encrypted with AES-256-GCM; the key is outside of the database, see postrider.key_file and postrider.key_command.';
comment on column postrider.secret_version.name is 'The secret.';
comment on column postrider.secret_version.version is 'Goes up with each new value. Name and version are part of what is authenticated, so a ciphertext cannot be moved to another secret or version.';
comment on column postrider.secret_version.ciphertext is 'Format version (1 byte), id of the key (4), nonce (12), ciphertext, tag (16).';
comment on column postrider.secret_version.retires_at is 'A newer value has come: this one is used until then, and then deleted. NULL: it is the newest.';
comment on column postrider.secret_version.created_at is 'When the value was set.';

create function postrider.set_secret(name text, value text default null, overlap interval default '1 day',
	expires_at timestamptz default null, warn_before interval default null, description text default null,
	tenant text default null) returns text
language c volatile parallel unsafe security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_set_secret';
comment on function postrider.set_secret(text, text, interval, timestamptz, interval, text, text) is
'Stores a value: a signing secret (whsec_ and base64), or anything else that authenticates. The value before stays in force for the time of the overlap: both sign. Without a value a random signing secret is made and returned, this once; otherwise NULL is returned.';

create function postrider.rotate_key() returns bigint
language c volatile parallel unsafe security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_rotate_key';
comment on function postrider.rotate_key() is
'Makes a new key that encrypts secrets, and encrypts all of this database with it, in one transaction; returns how many values. The old key stays in the key file until postrider.drop_old_keys(). With postrider.key_command the new key is the first that it prints.';

create function postrider.drop_keys() returns integer
language c volatile parallel unsafe
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_drop_keys';
comment on function postrider.drop_keys() is
'For drop_old_keys(): takes all keys but the current one out of the key file.';

create function postrider.public_key(name text) returns text
language c stable strict parallel restricted security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_public_key';
comment on function postrider.public_key(text) is
'The public key (whpk_) of a secret with a private key of ed25519, for receivers that check signatures with it.';
