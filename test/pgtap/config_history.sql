-- No table of the configuration can be forgotten by its history, nor by documents of it.
begin;
create extension if not exists pgtap;
create extension if not exists postrider;
select plan(8);

select cmp_ok((select count(*) from postrider.config_tables()), '>=', 7::bigint, 'there are tables of the configuration');
select is_empty($$
	select c.oid::regclass from pg_extension e join pg_class c on c.oid = any(e.extconfig) and c.relkind = 'r'
	where e.extname = 'postrider' and c.relname not in ('config_history', 'topic_version')
	and not (exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgfoid = 'postrider.record_config_change'::regproc
			and t.tgenabled = 'A' and t.tgtype & 1 = 1 and t.tgtype & 28 = 28)
		and exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgfoid = 'postrider.record_config_change'::regproc
			and t.tgenabled = 'A' and t.tgtype & 32 = 32))
$$, 'each table that a dump carries has its changes recorded, truncation and replica mode included');
select is_empty($$
	select c from postrider.config_tables() c where postrider.primary_key(c) = '{}'
$$, 'each has a primary key, by which it is known how a row was');
select is_empty($$
	select c from postrider.config_tables() c
	where c <> 'postrider.secret_version'::regclass and c not in (select k.relation from postrider.config_kinds() k where k.relation is not null)
$$, 'each is a kind of object that documents have, but for the values of secrets');
select is_empty($$
	select grantee, privilege_type from information_schema.role_table_grants
	where table_schema = 'postrider' and table_name = 'config_history' and privilege_type <> 'SELECT'
	and grantee <> (select relowner::regrole::text from pg_class where oid = 'postrider.config_history'::regclass)
$$, 'nobody but its owner may write the history');
select is_empty($$
	select p.oid::regprocedure from pg_proc p
	where p.pronamespace = 'postrider'::regnamespace and p.prosecdef
	and p.proname ~ 'config|document|apply|canonical|watches' and p.proname not in ('lock_config', 'record_config_change', 'record_watches')
$$, 'documents are applied with the rights of the caller');
insert into postrider.endpoint (name, url, headers) values ('a', 'https://example.com/?Api_Key=planted&x=1&t={{$.t}}&token={{$.t}}#frag',
	'{"X-Auth-Token": "planted", "Cookie": "planted", "X-Shop": "shown"}');
select postrider.set_secret('s', 'whsec_' || encode(sha256('planted'), 'base64'));
select is((select new ->> 'url' from postrider.config_history where kind = 'endpoint' and name = 'a'),
	'https://example.com/?Api_Key=***&x=1&t={{$.t}}&token={{$.t}}#frag', 'parameters that are secret by their name are masked, and nothing else');
select is_empty($$
	select h from postrider.config_history h
	where h::text ~ 'planted' or h::text like '%' || encode(sha256('planted'), 'base64') || '%'
	or exists (select from postrider.secret_version v where strpos(h::text, encode(substring(v.ciphertext from 20 for 16), 'hex')) > 0)
$$, 'no secret is in the history, not even encrypted');
select * from finish();
rollback;
