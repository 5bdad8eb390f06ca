-- Sources of secrets: what is checked when they are written.  test/t/037 to 040 fetch.
set client_min_messages = warning;
create extension if not exists postrider;
reset client_min_messages;
\set VERBOSITY default
\set SHOW_CONTEXT never
create function pg_temp.try(source jsonb) returns text language plpgsql as $$
declare
	message text;
	hint text;
begin
	perform postrider.set_secret_source('try', source);
	return 'fine';
exception when others then
	get stacked diagnostics message = message_text, hint = pg_exception_hint;
	return message || coalesce(E'\n  ' || nullif(hint, ''), '');
end $$;

select postrider.set_secret('vault_secret_id', 'v-secret'), postrider.set_secret('aws_key', 'a-secret'),
	postrider.set_secret('azure_secret', 'z-secret');

-- Each store, as short and as long as it can be
select name, pg_temp.try(source) from (values
	('vault, AppRole', jsonb '{"store": "vault", "url": "https://vault.example.com:8200", "path": "secret/data/crm", "field": "api_key", "role_id": "r-1", "secret_id": "vault_secret_id"}'),
	('vault, token', '{"store": "vault", "url": "https://vault.example.com:8200/", "mount": "kv", "path": "team/crm", "version": 3, "field": "api_key", "namespace": "emea/shop", "token": "vault_secret_id", "refresh": "10 minutes", "grace": "0", "overlap": "2 hours"}'),
	('aws', '{"store": "aws", "region": "eu-central-1", "secret_id": "crm/api", "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "aws_key"}'),
	('aws, more', '{"store": "aws", "region": "eu-central-1", "secret_id": "crm/api", "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "aws_key", "session_token": "vault_secret_id", "version_stage": "AWSPENDING", "field": "key", "url": "https://vpce-1.example.com"}'),
	('azure', '{"store": "azure", "vault_url": "https://shop.vault.azure.net", "name": "crm-key", "tenant_id": "t-1", "client_id": "c-1", "client_secret": "azure_secret"}'),
	('file', '{"store": "file", "path": "/run/secrets/crm"}'),
	('file, deeper', '{"store": "file", "path": "/var/run/secrets/shop/crm/api_key"}'),
	('environment', '{"store": "environment", "variable": "POSTRIDER_SECRET_CRM"}')) t (name, source);

-- What is missing or not known
select pg_temp.try(source) from (values
	(jsonb '[]'), ('"vault"'), ('{}'), ('{"store": 1}'), ('{"store": "volt"}'), ('{"store": "keychain"}'), ('{"store": "vault_token"}'),
	('{"store": "vault"}'),
	('{"store": "vault", "url": "https://v.example.com", "path": "secret/data/crm", "feild": "k"}'),
	('{"store": "vault", "url": "https://v.example.com", "path": "secret/data/crm", "field": "k"}'),
	('{"store": "vault", "url": "https://v.example.com", "path": "secret/data/crm", "field": "k", "role_id": "r"}'),
	('{"store": "vault", "url": "https://v.example.com", "path": "secret/data/crm", "field": "k", "secret_id": "vault_secret_id"}'),
	('{"store": "vault", "url": "https://v.example.com", "path": "secret/data/crm", "field": "k", "role_id": "r", "secret_id": "vault_secret_id", "token": "vault_secret_id"}'),
	('{"store": "vault", "url": "https://v.example.com", "path": "/secret/data/crm", "field": "k", "token": "vault_secret_id"}'),
	('{"store": "vault", "url": "https://v.example.com", "path": "secret/../sys/raw", "field": "k", "token": "vault_secret_id"}'),
	('{"store": "vault", "url": "https://v.example.com", "path": "secret/data/crm", "version": "latest", "field": "k", "token": "vault_secret_id"}'),
	('{"store": "vault", "url": "https://v.example.com", "path": "", "field": "k", "token": "vault_secret_id"}'),
	('{"store": "vault", "url": "https://v.example.com", "path": "a\nb", "field": "k", "token": "vault_secret_id"}'),
	('{"store": "aws", "secret_id": "crm", "access_key_id": "A", "secret_access_key": "aws_key"}'),
	('{"store": "aws", "region": "eu central", "secret_id": "crm", "access_key_id": "A", "secret_access_key": "aws_key"}'),
	('{"store": "azure", "vault_url": "https://shop.vault.azure.net", "name": "crm/key", "tenant_id": "t", "client_id": "c", "client_secret": "azure_secret"}'),
	('{"store": "azure", "vault_url": "https://shop.vault.azure.net", "name": "crm", "version": "v1", "tenant_id": "t", "client_id": "c", "client_secret": "azure_secret"}'),
	('{"store": "environment", "variable": 7}')) t (source);

-- Times
select pg_temp.try(jsonb '{"store": "file", "path": "/run/secrets/crm"}' || time) from (values
	(jsonb '{"refresh": "soon"}'), ('{"refresh": "0"}'), ('{"refresh": 300}'), ('{"refresh": "1 month"}'), ('{"refresh": "-1 hour"}'),
	('{"grace": "31 days"}'), ('{"overlap": "1 day"}')) t (time);

-- URLs are looked at by the guard.
select pg_temp.try(jsonb '{"store": "vault", "path": "secret/data/crm", "field": "k", "token": "vault_secret_id"}' || url) from (values
	(jsonb '{"url": "http://169.254.169.254"}'), ('{"url": "https://10.0.0.1:8200"}'), ('{"url": "ftp://vault.example.com"}'),
	('{"url": "https://user:pass@vault.example.com"}'), ('{"url": "https://vault.example.com/?x=1"}'), ('{"url": "https://[::1]:8200"}')) t (url);
select pg_temp.try('{"store": "aws", "region": "eu-central-1", "secret_id": "crm", "access_key_id": "A", "secret_access_key": "aws_key", "url": "http://192.168.1.1/"}');
select pg_temp.try('{"store": "azure", "vault_url": "https://shop.vault.azure.net", "name": "crm", "tenant_id": "t", "client_id": "c", "client_secret": "azure_secret", "authority": "http://172.16.0.1"}');

-- A credential is never written in a source; what was written there is not shown.
select pg_temp.try(source) from (values
	(jsonb '{"store": "vault", "url": "https://v.example.com", "path": "secret/data/crm", "field": "k", "token": "hvs.CAESIJmyvery"}'),
	('{"store": "vault", "url": "https://v.example.com", "path": "secret/data/crm", "field": "k", "role_id": "r", "secret_id": "84896a0c-very-secret"}'),
	('{"store": "aws", "region": "eu-central-1", "secret_id": "crm", "access_key_id": "wJalrXUtnFEMI/K7MDENG/very", "secret_access_key": "aws_key"}'),
	('{"store": "aws", "region": "eu-central-1", "secret_id": "crm", "access_key_id": "AKIA", "secret_access_key": "wJalrXUtnFEMI/K7MDENG/very"}'),
	('{"store": "azure", "vault_url": "https://shop.vault.azure.net", "name": "crm", "tenant_id": "t", "client_id": "c", "client_secret": "very~secret"}'),
	('{"store": "file", "path": "/run/secrets/crm", "value": "very secret"}')) t (source);

-- Files and variables that are not for secrets
select pg_temp.try(jsonb_build_object('store', 'file', 'path', path)) from (values
	('/etc/passwd'), ('/run/secretsx/crm'), ('/run/secrets'), ('/run/secrets/'), ('/run/secrets/../../etc/passwd'), ('/run/secrets/./crm'),
	('/run/secrets//crm'), ('run/secrets/crm'), ('postgresql.conf'), ('~/.pgpass'), ('')) t (path);
select pg_temp.try(jsonb_build_object('store', 'environment', 'variable', variable)) from (values
	('PGDATA'), ('PATH'), ('POSTRIDER_SECRET'), ('XPOSTRIDER_SECRET_A'), ('*'), ('POSTRIDER_SECRET_*')) t (variable);

-- A source may lead to others, but not back, nor too far.
select postrider.set_secret_source('one', '{"store": "file", "path": "/run/secrets/one"}');
select postrider.set_secret_source('two', '{"store": "vault", "url": "https://v.example.com", "path": "a/b", "field": "k", "token": "one"}');
select postrider.set_secret_source('one', '{"store": "vault", "url": "https://v.example.com", "path": "a/b", "field": "k", "token": "two"}');
select postrider.set_secret_source('one', '{"store": "vault", "url": "https://v.example.com", "path": "a/b", "field": "k", "token": "one"}');

-- The trigger holds for whoever writes the table; a value takes the place of a source, and the other way round.
update postrider.secret set source = '{"store": "file", "path": "/etc/passwd"}' where name = 'two';
select name, source ->> 'store' as store, (select count(*) from postrider.secret_version v where v.name = s.name) as versions
from postrider.secret s where name in ('one', 'two') order by name;
select postrider.set_secret('one', 'a value');
select postrider.set_secret_source('aws_key', '{"store": "file", "path": "/run/secrets/aws"}', description => 'of the crawler');
select name, source ->> 'store' as store, description, (select count(*) from postrider.secret_version v where v.name = s.name) as versions
from postrider.secret s where name in ('one', 'aws_key') order by name;
select postrider.set_secret_source(null, '{}');
select postrider.set_secret_source('x', null);
select postrider.set_secret_source('', '{}');

-- Rights
create role source_clerk;
grant postrider_writer, postrider_reader to source_clerk;
set role source_clerk;
select postrider.set_secret_source('x', '{"store": "file", "path": "/run/secrets/x"}');
select name, store, place, state from postrider.secret_source_status order by name;
reset role;
create role source_admin;
grant postrider_admin to source_admin;
set role source_admin;
select postrider.set_secret_source('x', '{"store": "file", "path": "/run/secrets/x"}');
select postrider.set_secret_source('x', '{"store": "file", "path": "/etc/passwd"}');
-- The server's words for it differ.
\set VERBOSITY sqlstate
show postrider.secret_directories;
show postrider.secret_environment;
\set VERBOSITY default
set postrider.secret_directories = '/';
reset role;
alter system set postrider.secret_directories = 'relative';
alter system set postrider.secret_directories = '/';
alter system set postrider.secret_environment = 'A B';
show postrider.secret_directories;
show postrider.secret_environment;
drop role source_clerk, source_admin;
delete from postrider.secret;

-- What a document refers to, and not what is called like a secret.
select c, d, postrider.secret_references(c, d::jsonb) from (values
	('auth', '{"type": "api_key", "name": "x-key", "secret": "key"}'),
	('auth', '[{"type": "bearer", "secret": "other"}, {"type": "hmac", "secret": "meta", "template": "{{secret:third}}", "in": "query", "name": "key"}]'),
	('signing', '[{"type": "github", "secret": "sign", "sha1": true}]'),
	('source', '{"store": "vault", "url": "https://v.example.com", "path": "x", "field": "k", "token": "t"}'),
	('source', '{"store": "none", "token": "t"}')) v (c, d);
