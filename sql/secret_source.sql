-- Sources of secrets: stores outside of the database.

create function postrider.check_secret_source() returns trigger
language c volatile parallel unsafe
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_check_secret_source';
comment on function postrider.check_secret_source() is 'Refuses a source that could not work.';

create trigger check_secret_source before insert or update on postrider.secret
	for each row execute function postrider.check_secret_source();
comment on trigger check_secret_source on postrider.secret is 'Refuses a source that could not work.';

create function postrider.set_secret_source(name text, source jsonb, description text default null,
	tenant text default null) returns void
language c volatile parallel unsafe security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_set_secret_source';
comment on function postrider.set_secret_source(text, jsonb, text, text) is
'Says where the value of a secret is: in HashiCorp Vault, AWS Secrets Manager, Azure Key Vault, a file or an environment variable of the server. The worker fetches it, keeps it for its lease, and renews it before that ends. What authenticates to the store is the name of another secret. A value that was set before is deleted.';
