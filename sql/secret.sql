-- Secrets: only ciphertext is stored.

create table postrider.secret (
	name text primary key
		constraint secret_name_not_empty check (name operator(pg_catalog.<>) ''),
	ciphertext bytea not null,
	created_at timestamptz not null default pg_catalog.now(),
	updated_at timestamptz not null default pg_catalog.now()
);
comment on table postrider.secret is
'Secrets, encrypted with AES-256-GCM; the key is in the file that postrider.key_file names, never in the database. Written by postrider.set_secret().';
comment on column postrider.secret.name is 'The name by which endpoints refer to the secret; it is part of what is authenticated, so a ciphertext cannot be moved to another name.';
comment on column postrider.secret.ciphertext is 'Format version (1 byte), nonce (12), ciphertext, tag (16).';
comment on column postrider.secret.created_at is 'When the secret was first set.';
comment on column postrider.secret.updated_at is 'When the value was last set.';

create function postrider.set_secret(name text, value text default null) returns text
language c volatile parallel unsafe security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_set_secret';
comment on function postrider.set_secret(text, text) is
'Stores a signing secret (whsec_ and base64). Without a value a random one is made and returned, this once; otherwise NULL is returned.';
