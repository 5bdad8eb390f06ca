-- The configuration as a document.
--
-- The document is made of items: objects of a kind (postrider.config_kinds()) with a name and
-- a body, which has what is not left to the defaults.  Subscriptions and watches have no
-- names of their own: they stand in lists, by endpoint and by table, and an item's name
-- is that of the list, the topic, and a number where a topic occurs more than once.
--
-- The configuration as it was after a change: the rows as they are now, but for those that a
-- later change touched, which are as they were before the first of these.

create function postrider.config_kinds()
returns table (place integer, kind text, section text, relation regclass, key_columns text[],
	name_columns text[], listed_by text, left_out text[])
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select coalesce(k.place, 50), c.relname::text, coalesce(k.section, c.relname::text), c.oid::regclass,
		postrider.primary_key(c.oid::regclass),
		case when k.listed_by is not null then '{}'
			when exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'name') then array['name']
			else postrider.primary_key(c.oid::regclass) end,
		k.listed_by,
		coalesce(k.left_out, '{}') || postrider.hidden_columns(c.oid::regclass) || array(
			select a.attname::text from pg_attribute a
			left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
			where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
			and (a.attidentity <> '' or a.attgenerated <> '' or a.attname in ('created_at', 'updated_at')
				or pg_get_expr(d.adbin, d.adrelid) ~ '(^|[.])(now|clock_timestamp|nextval|next_id)\('))
	from postrider.config_tables() t join pg_class c on c.oid = t
	left join (values
		(10, 'secret', 'secrets', null, array['expires_at', 'announced']),
		(20, 'schema', 'schemas', null, '{}'),
		(30, 'topic', 'topics', null, array['version']),
		(40, 'mapping', 'mappings', null, '{}'),
		(55, 'tenant', 'tenants', null, '{}'),
		(60, 'endpoint', 'endpoints', null, array['disabled_reason', 'paused_at', 'pause_reason']),
		(70, 'subscription', 'subscriptions', 'endpoint', '{}'),
		(75, 'alert', 'alerts', null, array['run_as', 'is_default']))
		as k (place, kind, section, listed_by, left_out) on k.kind = c.relname
	where c.relname <> 'secret_version'
	union all
	select 80, 'watch', 'watches', null, array['relation', 'topic'], '{}', 'relation', '{}'
$$;
comment on function postrider.config_kinds() is
'The kinds of objects that documents of the configuration have: their table, and columns that are no part of them.';

create function postrider.config_defaults(relation regclass) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set intervalstyle = 'postgres'
as $$
declare
	defaults jsonb;
	expressions text;
begin
	select string_agg(format('%s as %I', case when d.adbin is null or a.attgenerated <> '' then format('null::%s', a.atttypid::regtype)
		else format('(%s)::%s', pg_get_expr(d.adbin, d.adrelid), a.atttypid::regtype) end, a.attname), ', ')
	into expressions
	from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
	where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
	and coalesce(pg_get_expr(d.adbin, d.adrelid), '') !~ '(^|[.])(now|clock_timestamp|nextval|next_id)\(';
	execute format('select to_jsonb(d) from (select %s) d', expressions) into defaults;
	return defaults;
end
$$;
comment on function postrider.config_defaults(regclass) is
'The defaults of the columns of a table, NULL for those that have none.';

create function postrider.config_columns(relation regclass, left_out text[]) returns text[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select coalesce(array_agg(a.attname::text order by a.attnum), '{}') from pg_attribute a
	where a.attrelid = relation and a.attnum > 0 and not a.attisdropped and a.attname <> all(left_out)
$$;
comment on function postrider.config_columns(regclass, text[]) is
'The columns of a table but for some.';

create function postrider.config_rows(kind text, at bigint default null) returns setof jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set intervalstyle = 'postgres'
as $$
declare
	k record;
	source text := 'select w from postrider.watches() w';
begin
	select * into strict k from postrider.config_kinds() c where c.kind = config_rows.kind;
	if k.relation is not null then
		source := format('select to_jsonb(x) as w from (select %s from %s t) x',
			(select string_agg('t.' || quote_ident(c), ', ')
			from unnest(postrider.config_columns(k.relation, postrider.hidden_columns(k.relation))) c
			where has_column_privilege(k.relation, c, 'select')), k.relation);
	end if;
	if at is null then
		return query execute source;
		return;
	end if;
	return query execute format($q$
		with later as (
			select h.id, h.old, h.new from postrider.config_history h where h.kind = $1 and h.id > $2),
		touched as (
			select distinct on (x.key) x.key, x.was
			from (select l.id, 0 as place, postrider.config_key(l.old, $3) as key, l.old as was from later l where l.old is not null
				union all
				select l.id, 1, postrider.config_key(l.new, $3), null from later l where l.new is not null) x
			order by x.key, x.id, x.place),
		present as (%s)
		select p.w from present p where postrider.config_key(p.w, $3) not in (select t.key from touched t)
		union all
		select t.was from touched t where t.was is not null
	$q$, source) using kind, at, k.key_columns;
end
$$;
comment on function postrider.config_rows(text, bigint) is
'The rows of a kind, as they are or as they were after a change; without what the user may not read.';

create function postrider.short_body("row" jsonb, defaults jsonb, left_out text[]) returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
	select coalesce(jsonb_object_agg(r.key, r.value), '{}') from jsonb_each("row") r
	where r.key <> all(left_out) and r.value is distinct from coalesce(defaults -> r.key, 'null')
$$;
comment on function postrider.short_body(jsonb, jsonb, text[]) is
'A row without what is left to the defaults.';

-- Every version that is named, and the newest.
create function postrider.mapping_items(at bigint default null) returns table (name text, body jsonb)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	with version as (
		select r ->> 'name' as name, (r ->> 'version')::integer as version, r -> 'definition' as definition,
			r ->> 'description' as description
		from postrider.config_rows('mapping', at) r)
	select v.name, jsonb_strip_nulls(jsonb_build_object('description', v.description))
		|| case when p.pinned is null then '{}' else jsonb_build_object('pinned', p.pinned) end
		|| jsonb_build_object('definition', v.definition)
	from (select distinct on (n.name) n.* from version n order by n.name, n.version desc) v
	left join lateral (
		select jsonb_object_agg(o.version, o.definition) as pinned from version o
		where o.name = v.name and exists (select from postrider.config_rows('subscription', at) s
			where s ->> 'mapping' = o.name and (s ->> 'mapping_version')::integer = o.version)) p on true
$$;
comment on function postrider.mapping_items(bigint) is
'Mappings for documents: the newest version, and by its number each that a subscription names.';

create function postrider.plain_items(kind text, at bigint default null)
returns table (name text, list text, "row" jsonb, body jsonb)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	k record;
	defaults jsonb := '{"priority": "normal"}';
	left_out text[];
begin
	select * into strict k from postrider.config_kinds() c where c.kind = plain_items.kind;
	left_out := array_remove(k.left_out || k.listed_by, null);
	if k.relation is not null then
		defaults := postrider.config_defaults(k.relation);
	end if;
	if cardinality(k.name_columns) = 1 then
		left_out := left_out || k.name_columns;
	end if;
	if k.listed_by is null then
		return query select (select string_agg(r ->> c, ' ' order by c) from unnest(k.name_columns) c), null::text, r,
			postrider.short_body(postrider.mask_config(r), defaults, left_out)
		from postrider.config_rows(kind, at) r;
		return;
	end if;
	return query
	select postrider.listed_name(l.list, l.body ->> 'topic',
			row_number() over (partition by l.list, l.body ->> 'topic' order by l.body::text collate "C", l.r::text collate "C")), l.list, l.r, l.body
	from (select r ->> k.listed_by as list, r, postrider.short_body(r, defaults, left_out) as body
		from postrider.config_rows(kind, at) r) l;
end
$$;
comment on function postrider.plain_items(text, bigint) is
'The items of a kind that is a row each.';

create function postrider.listed_name(list text, topic text, number bigint) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
	select concat(list, ': ', topic, case when number > 1 then ' #' || number end)
$$;
comment on function postrider.listed_name(text, text, bigint) is
'The name of an item that stands in a list.';

create function postrider.config_items(at bigint default null, tenant text default null)
returns table (place integer, kind text, name text, list text, "row" jsonb, body jsonb)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	with item as materialized (
		select k.place, k.kind, i.name, i.list, i."row", i.body
		from postrider.config_kinds() k cross join lateral postrider.plain_items(k.kind, at) i
		where k.kind <> 'mapping'
		union all
		select k.place, k.kind, m.name, null, null, m.body
		from postrider.config_kinds() k cross join lateral postrider.mapping_items(at) m
		where k.kind = 'mapping'),
	own as (
		select i.name from item i where i.kind = 'endpoint' and i.body ->> 'tenant' = config_items.tenant)
	select i.place, i.kind, i.name, i.list, i."row", i.body
	from item i
	where config_items.tenant is null
	or case
		when i.kind = 'subscription' then i.list in (select o.name from own o)
		when i.kind = 'mapping' then i.name in (select s.body ->> 'mapping' from item s
			where s.kind = 'subscription' and s.list in (select o.name from own o))
		else i.body ->> 'tenant' = config_items.tenant end
$$;
comment on function postrider.config_items(bigint, text) is
'The configuration as items, as it is or as it was after a change; of a tenant: its endpoints, their subscriptions and mappings, and what else is its own.';

create function postrider.history_id(at timestamptz) returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
	retention text := current_setting('postrider.config_history_retention');
begin
	if at > clock_timestamp() then
		raise invalid_parameter_value using message = format('%s lies ahead', at);
	elsif retention <> '-1' and at < now() - retention::interval then
		raise invalid_parameter_value using
			message = format('changes since %s are not all known any more', at),
			hint = format('They are kept for postrider.config_history_retention, %s.', retention);
	end if;
	return coalesce((select max(h.id) from postrider.config_history h where h.changed_at <= history_id.at), 0);
end
$$;
comment on function postrider.history_id(timestamptz) is
'The last change of the configuration that was made at a time or before.';

create function postrider.config_document(at bigint, tenant text) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	with item as materialized (select * from postrider.config_items(at, tenant))
	select jsonb_strip_nulls(jsonb_build_object('tenant', tenant)) || jsonb_build_object('format', 1)
		|| coalesce(jsonb_object_agg(s.section, s.content), '{}')
	from (
		select k.section, jsonb_object_agg(i.name, i.body) as content
		from item i join postrider.config_kinds() k on k.kind = i.kind
		where k.listed_by is null group by k.section
		union all
		select l.section, jsonb_object_agg(l.list, l.content)
		from (select k.section, i.list, jsonb_agg(i.body order by i.body ->> 'topic' collate "C", i.body::text collate "C") as content
			from item i join postrider.config_kinds() k on k.kind = i.kind
			where k.listed_by is not null group by k.section, i.list) l
		group by l.section) s
$$;
comment on function postrider.config_document(bigint, text) is
'The configuration as a document, as it was after a change, or as it is for NULL.';

create function postrider.export_config(tenant text default null, at timestamptz default null) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
set jit = off
as $$
	select postrider.config_document(case when at is not null then postrider.history_id(at) end, tenant)
$$;
comment on function postrider.export_config(text, timestamptz) is
'All of the configuration as one document, or that of a tenant, as it is or as it was: the same text as long as nothing changes, without secrets, times and generated numbers. See postrider.apply_config().';
