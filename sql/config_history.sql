-- The history of the configuration: who changed what, when, and how it was before.
--
-- A row for each row that is inserted, updated or deleted in a table that a dump
-- carries (postrider.config_tables()), and for each watch.  The triggers are made by
-- postrider.keep_config_history(), so that no table can be forgotten.  What must not be
-- seen never gets here: bytea (ciphertext) is left out, and headers and parameters of a
-- URL that are secret by their name are ***.  While a dump is restored nothing is
-- written, for the history is in the dump as well.

create function postrider.acting_role() returns text
language c stable
as 'MODULE_PATHNAME', 'postrider_acting_role';
comment on function postrider.acting_role() is
'The role that the session has taken, whatever SECURITY DEFINER function it is in; in the worker the role of the function that is called for a message, or the owner of the extension.';

create function postrider.is_worker() returns boolean
language c stable
as 'MODULE_PATHNAME', 'postrider_is_worker';
comment on function postrider.is_worker() is
'True in the worker, unless it is calling a function for a message.';

create function postrider.is_secret_name(name text) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_is_secret_name_sql';
comment on function postrider.is_secret_name(text) is
'True if a header or parameter of this name has a value that nobody must see, such as Authorization or api_key.';

create function postrider.mask_url(url text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
	select coalesce(string_agg(case
		when n > 1 and part ~ '^[?&][^=]+=.' and part !~ '^[?&][^=]+={{[^}]*}}$'
			and postrider.is_secret_name(substring(part from '^[?&]([^=]+)=')) then
			substring(part from '^[?&][^=]+=') || '***'
		else part end, '' order by n), '')
	|| coalesce(substring(url from '#.*$'), '')
	from regexp_matches(regexp_replace(url, '#.*$', ''), '^[^?]*|[?&][^?&]*', 'g') with ordinality as p (parts, n)
	cross join lateral (select p.parts[1] as part) x
$$;
comment on function postrider.mask_url(text) is
'A URL with *** for each parameter that is secret by its name, unless its value comes from the message.';

create function postrider.mask_config("row" jsonb) returns jsonb
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
	masked jsonb := "row";
begin
	if jsonb_typeof(masked -> 'url') = 'string' then
		masked := jsonb_set(masked, '{url}', to_jsonb(postrider.mask_url(masked ->> 'url')));
	end if;
	if jsonb_typeof(masked -> 'headers') = 'object' then
		masked := jsonb_set(masked, '{headers}', (select coalesce(jsonb_object_agg(h.key,
			case when postrider.is_secret_name(h.key) and h.value <> '""' then '"***"' else h.value end), '{}')
			from jsonb_each(masked -> 'headers') h));
	end if;
	return masked;
end
$$;
comment on function postrider.mask_config(jsonb) is
'A row of the configuration with *** for values that nobody must see.';

create table postrider.config_history (
	id bigint generated always as identity primary key,
	changed_at timestamptz not null default pg_catalog.clock_timestamp(),
	xid xid8 not null default pg_catalog.pg_current_xact_id(),
	session_role text,
	role text,
	application text,
	client_addr inet,
	kind text not null,
	name text not null,
	tenant text,
	operation text not null
		constraint config_history_operation check (operation operator(pg_catalog.=) any (array['insert', 'update', 'delete', 'truncate'])),
	changed text[],
	old jsonb,
	new jsonb,
	reason text
);
create index on postrider.config_history (kind, name, id);
create index on postrider.config_history (changed_at);
comment on table postrider.config_history is
'Every change of the configuration: who, when, and the row before and after. It is only added to; see postrider.config_history_retention and postrider.revert_config().';
comment on column postrider.config_history.id is 'Number of the change, in the order of changes to one object; for postrider.revert_config(to_id => ...).';
comment on column postrider.config_history.changed_at is 'When it was made, by the clock.';
comment on column postrider.config_history.xid is 'The transaction: its changes came into force together.';
comment on column postrider.config_history.session_role is 'Who was logged in; NULL: nobody, it was the worker.';
comment on column postrider.config_history.role is 'As whom: the same, or the role taken by SET ROLE; of a function called for a message, the role that it runs as.';
comment on column postrider.config_history.application is 'application_name of the session, or what kind of process it was.';
comment on column postrider.config_history.client_addr is 'Where the session came from; NULL: through a local socket, or the worker.';
comment on column postrider.config_history.kind is 'Table without its schema, such as endpoint; or watch.';
comment on column postrider.config_history.name is 'The object.';
comment on column postrider.config_history.tenant is 'The tenant that it belongs to.';
comment on column postrider.config_history.operation is 'insert, update, delete or truncate.';
comment on column postrider.config_history.changed is 'For update: the columns that changed.';
comment on column postrider.config_history.old is 'The row before, secrets masked.';
comment on column postrider.config_history.new is 'The row after, secrets masked.';
comment on column postrider.config_history.reason is 'Why: what the worker found, the reason of a pause, or the setting postrider.change_reason.';

create function postrider.guard_config_history() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
	retention text := current_setting('postrider.config_history_retention');
begin
	if tg_op = 'DELETE' and retention <> '-1' and old.changed_at < now() - retention::interval then
		return old;
	end if;
	raise object_not_in_prerequisite_state using
		message = 'the history of the configuration is only added to',
		hint = 'What is older than postrider.config_history_retention is deleted by itself.';
end
$$;
comment on function postrider.guard_config_history() is
'Trigger: refuses whatever would change the history of the configuration.';
create trigger guard_rows before update or delete on postrider.config_history
	for each row execute function postrider.guard_config_history();
create trigger guard_table before truncate on postrider.config_history
	for each statement execute function postrider.guard_config_history();
alter table postrider.config_history enable always trigger guard_rows;
alter table postrider.config_history enable always trigger guard_table;

create function postrider.config_tables() returns setof regclass
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select c.oid::regclass from pg_extension e join pg_class c on c.oid = any(e.extconfig)
	where e.extname = 'postrider' and c.relkind = 'r'
	and c.relname not in ('config_history', 'topic_version')
	order by c.relname
$$;
comment on function postrider.config_tables() is
'The tables that are configuration: those that a dump carries, but for what postrider itself writes down about them.';

create function postrider.config_key("row" jsonb, columns text[]) returns jsonb
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
	select jsonb_object_agg(c, "row" -> c) from unnest(columns) c
$$;
comment on function postrider.config_key(jsonb, text[]) is
'Those columns of a row that identify it.';

create function postrider.primary_key(relation regclass) returns text[]
language sql stable strict
set search_path = pg_catalog, pg_temp
as $$
	select coalesce(array_agg(a.attname::text order by a.attname), '{}')
	from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey::int2[])
	where i.indrelid = relation and i.indisprimary
$$;
comment on function postrider.primary_key(regclass) is
'The columns of the primary key of a table.';

create function postrider.hidden_columns(relation regclass) returns text[]
language sql stable strict
set search_path = pg_catalog, pg_temp
as $$
	select coalesce(array_agg(a.attname::text), '{}') from pg_attribute a
	where a.attrelid = relation and a.attnum > 0 and not a.attisdropped and a.atttypid = 'bytea'::regtype
$$;
comment on function postrider.hidden_columns(regclass) is
'Columns of a table that no history and no document shows: what is encrypted.';

create function postrider.is_restoring() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select not current_setting('check_function_bodies')::boolean
	and pg_has_role(postrider.acting_role()::name,
		(select c.relowner from pg_class c where c.oid = 'postrider.config_history'::regclass), 'member')
$$;
comment on function postrider.is_restoring() is
'True while a dump is restored by somebody who could as well switch the triggers off.';

create function postrider.write_config_history(kind text, name text, tenant text, operation text, changed text[],
	old jsonb, new jsonb, reason text) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
	insert into postrider.config_history (session_role, role, application, client_addr,
		kind, name, tenant, operation, changed, old, new, reason)
	select case when a.backend_type not like 'postrider%' then session_user::text end, postrider.acting_role(),
		case when a.backend_type = 'client backend' then nullif(current_setting('application_name'), '') else a.backend_type end,
		inet_client_addr(), kind, name, tenant, operation, changed, old, new,
		coalesce(reason, nullif(current_setting('postrider.change_reason'), ''))
	from pg_stat_get_activity(pg_backend_pid()) a
$$;
comment on function postrider.write_config_history(text, text, text, text, text[], jsonb, jsonb, text) is
'Writes a row of the history, with what the session says about itself. Part of the triggers.';

create function postrider.tenant_of_endpoint(endpoint text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select coalesce(
		(select e.tenant from postrider.endpoint e where e.name = tenant_of_endpoint.endpoint),
		(select h.tenant from postrider.config_history h
		where h.kind = 'endpoint' and h.name = tenant_of_endpoint.endpoint
		and not exists (select from postrider.endpoint e where e.name = tenant_of_endpoint.endpoint)
		order by h.id desc limit 1))
$$;
comment on function postrider.tenant_of_endpoint(text) is
'The tenant of an endpoint, also of one that was just deleted. Part of the triggers.';

create function postrider.note_config_change(relation regclass, operation text, old jsonb, new jsonb) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	kind text := (select c.relname from pg_class c where c.oid = relation);
	hidden text[] := postrider.hidden_columns(relation);
	changed text[];
	shown jsonb;
	name text;
	tenant text;
	reason text;
begin
	old := old - hidden;
	new := new - hidden;
	if operation = 'update' then
		changed := array(select n.key from jsonb_each(new) n where n.value is distinct from old -> n.key order by n.key);
		-- What the worker notes down for itself is no configuration.
		if changed <@ array['announced'] then
			return;
		end if;
		reason := case when 'disabled_reason' = any(changed) then new ->> 'disabled_reason'
			when 'pause_reason' = any(changed) then new ->> 'pause_reason' end;
	end if;
	-- A token that renewed itself is none either.
	if kind like 'secret%' and postrider.is_worker() then
		return;
	end if;
	shown := coalesce(new, old);
	name := case kind when 'subscription' then (shown ->> 'endpoint') || ': ' || (shown ->> 'topic')
		else coalesce(shown ->> 'name',
			(select string_agg(shown ->> k, ' ' order by k) from unnest(postrider.primary_key(relation)) k)) end;
	tenant := case when kind = 'tenant' then shown ->> 'name'
		when shown ? 'tenant' then shown ->> 'tenant'
		when kind = 'subscription' then postrider.tenant_of_endpoint(shown ->> 'endpoint')
		when kind = 'secret_version' then coalesce(
			(select s.tenant from postrider.secret s where s.name = shown ->> 'name'),
			(select h.tenant from postrider.config_history h where h.kind = 'secret' and h.name = shown ->> 'name'
			order by h.id desc limit 1)) end;
	perform postrider.write_config_history(kind, coalesce(name, '?'), tenant, operation, changed,
		postrider.mask_config(old), postrider.mask_config(new), reason);
end
$$;
comment on function postrider.note_config_change(regclass, text, jsonb, jsonb) is
'Writes a change of a row to the history. Part of the triggers.';

-- As the owner, who alone may write to the history.
create function postrider.record_config_change() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set jit = off
set timezone = 'UTC'
set intervalstyle = 'postgres'
as $$
declare
	old_row jsonb;
begin
	if postrider.is_restoring() then
		return null;
	end if;
	case tg_op
		when 'INSERT' then
			perform postrider.note_config_change(tg_relid, 'insert', null, to_jsonb(new));
		when 'UPDATE' then
			perform postrider.note_config_change(tg_relid, 'update', to_jsonb(old), to_jsonb(new));
		when 'DELETE' then
			perform postrider.note_config_change(tg_relid, 'delete', to_jsonb(old), null);
		else
			for old_row in execute format('select to_jsonb(t) from %s t', tg_relid::regclass)
			loop
				perform postrider.note_config_change(tg_relid, 'truncate', old_row, null);
			end loop;
	end case;
	return null;
end
$$;
comment on function postrider.record_config_change() is
'Trigger: writes changes of the configuration to postrider.config_history.';

create function postrider.keep_config_history() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	relation regclass;
begin
	for relation in select t from postrider.config_tables() t
	loop
		continue when exists (select from pg_trigger g where g.tgrelid = relation and g.tgname = 'record_rows');
		execute format('create trigger record_rows after insert or update or delete on %s'
			' for each row execute function postrider.record_config_change()', relation);
		execute format('create trigger record_table before truncate on %s'
			' for each statement execute function postrider.record_config_change()', relation);
		execute format('alter table %s enable always trigger record_rows', relation);
		execute format('alter table %s enable always trigger record_table', relation);
	end loop;
end
$$;
comment on function postrider.keep_config_history() is
'Has the history of the tables kept that postrider.config_tables() lists. Run by the scripts of the extension.';

-- Watches are triggers on tables of users.

create function postrider.watches() returns setof jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select jsonb_strip_nulls(jsonb_build_object(
		'relation', t.relation::text,
		'topic', t.arguments[1],
		'operations', jsonb_agg(t.operation order by t.operation),
		'columns', to_jsonb(nullif(t.arguments[2]::text[], '{}')),
		'key_columns', to_jsonb(case when t.arguments[3]::text[] is distinct from t.keys then t.arguments[3]::text[] end),
		'condition', t.condition,
		'priority', coalesce(t.arguments[4], 'normal')))
	from (
		select g.tgrelid::regclass as relation,
			case g.tgtype::integer & 28 when 4 then 'insert' when 8 then 'delete' else 'update' end as operation,
			(select array_agg(convert_from(decode(p.part, 'escape'), getdatabaseencoding()) order by p.n)
			from string_to_table(encode(g.tgargs, 'escape'), '\000') with ordinality as p (part, n)
			where p.n <= g.tgnargs) as arguments,
			substring(pg_get_triggerdef(g.oid, true) from ' WHEN \((.*)\) EXECUTE FUNCTION postrider\.capture\(') as condition,
			coalesce((select array_agg(a.attname::text order by k.position)
			from pg_index i
			cross join unnest(i.indkey::int2[]) with ordinality as k (number, position)
			join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
			where i.indrelid = g.tgrelid and i.indisprimary), '{}') as keys
		from pg_trigger g
		where g.tgfoid = 'postrider.capture'::regproc and g.tgparentid = 0 and not g.tgisinternal
		and g.tgnargs >= 3) t
	group by t.relation, t.arguments, t.condition, t.keys
$$;
comment on function postrider.watches() is
'What postrider.watch() has set up, as its arguments: one object for each table and topic.';

-- What is there is compared with what the history knows, so that nobody can have it say
-- what is not so.
create function postrider.record_watches(relation regclass default null) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
	change record;
begin
	if postrider.is_restoring() then
		return;
	end if;
	for change in
		select coalesce(w.name, k.name) as name, k.new as old, w.watch as new
		from (select concat(x ->> 'relation', ': ', x ->> 'topic') as name, x as watch
			from postrider.watches() x) w
		full join (select distinct on (h.name) h.name, h.new from postrider.config_history h
			where h.kind = 'watch' order by h.name, h.id desc) k on k.name = w.name
		where w.watch is distinct from k.new
		and (record_watches.relation is null
			or coalesce(w.watch, k.new) ->> 'relation' = record_watches.relation::text)
		order by 1
	loop
		perform postrider.write_config_history('watch', change.name, null,
			case when change.old is null then 'insert' when change.new is null then 'delete' else 'update' end,
			case when num_nulls(change.old, change.new) = 0 then
				array(select coalesce(o.key, n.key) from jsonb_each(change.old) o full join jsonb_each(change.new) n on n.key = o.key
				where o.value is distinct from n.value order by 1) end,
			change.old, change.new,
			case when record_watches.relation is null then 'found later: not by watch() or unwatch()' end);
	end loop;
end
$$;
comment on function postrider.record_watches(regclass) is
'Writes to the history which watches have changed, of a table or of all. Part of watch().';

create function postrider.tend_config_history() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	retention text := current_setting('postrider.config_history_retention');
begin
	perform postrider.record_watches();
	if retention <> '-1' then
		-- The last that is known of a watch stays, to be compared with.
		delete from postrider.config_history h where h.changed_at < now() - retention::interval
		and (h.kind <> 'watch' or exists (select from postrider.config_history n
			where n.kind = 'watch' and n.name = h.name and n.id > h.id));
	end if;
end
$$;
comment on function postrider.tend_config_history() is
'Notes watches that went with their tables, and deletes what is older than postrider.config_history_retention. Run by the worker.';
