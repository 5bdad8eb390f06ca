-- Everything that the catalogs have about the extension, a line or more for each object,
-- without what differs from one installation to the next (object ids).  Two
-- installations that are the same print the same.
\set ON_ERROR_STOP on
\pset tuples_only on
\pset format unaligned
\pset null (none)
set search_path = pg_catalog;

create temp view member as
select d.classid, d.objid from pg_depend d
where d.deptype = 'e' and d.refclassid = 'pg_extension'::regclass
and d.refobjid = (select e.oid from pg_extension e where e.extname = 'postrider');

create temp view relation as
select c.* from pg_class c where c.relnamespace = 'postrider'::regnamespace;

create function pg_temp.acl(list aclitem[]) returns text language sql as
$$ select string_agg(i::text, ' ' order by i::text) from unnest(list) i $$;

select 'member', i.type, i.identity
from member m cross join lateral pg_identify_object(m.classid, m.objid, 0) i order by 2, 3;

select 'extension', e.extversion, e.extnamespace::regnamespace, e.extrelocatable, e.extowner::regrole
from pg_extension e where e.extname = 'postrider';
select 'dumped', t.relation::regclass, e.extcondition[t.place]
from pg_extension e cross join lateral unnest(e.extconfig) with ordinality t (relation, place)
where e.extname = 'postrider' order by t.relation::regclass::text;

select 'schema', n.nspname, pg_temp.acl(n.nspacl), obj_description(n.oid, 'pg_namespace')
from pg_namespace n where n.nspname = 'postrider';

select 'function', pg_get_functiondef(p.oid), p.probin, p.proowner::regrole, pg_temp.acl(p.proacl), obj_description(p.oid, 'pg_proc')
from pg_proc p where p.pronamespace = 'postrider'::regnamespace and p.prokind <> 'a' order by p.oid::regprocedure::text;

select 'type', t.typname, t.typtype, format_type(nullif(t.typbasetype, 0), t.typtypmod), pg_temp.acl(t.typacl), obj_description(t.oid, 'pg_type'),
	(select string_agg(v.enumlabel, ',' order by v.enumsortorder) from pg_enum v where v.enumtypid = t.oid)
from pg_type t where t.typnamespace = 'postrider'::regnamespace order by t.typname;

select 'relation', c.relname, c.relkind, c.relpersistence, c.relreplident, c.reloptions, c.relowner::regrole, pg_temp.acl(c.relacl),
	c.relrowsecurity, c.relforcerowsecurity, pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid), obj_description(c.oid, 'pg_class'),
	case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end
from relation c order by c.relname;
select 'column', c.relname, row_number() over (partition by c.oid order by a.attnum), a.attname, format_type(a.atttypid, a.atttypmod),
	a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcompression,
	-- A counter of the server, since 15.20.
	array(select o from unnest(a.attoptions) o where o not like 'pg_attver=%'), pg_get_expr(d.adbin, d.adrelid),
	pg_temp.acl(a.attacl), col_description(c.oid, a.attnum)
from relation c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relkind not in ('i', 'I') order by c.relname, a.attnum;
select 'constraint', c.relname, o.conname, pg_get_constraintdef(o.oid), o.convalidated, obj_description(o.oid, 'pg_constraint')
from pg_constraint o left join relation c on c.oid = o.conrelid
where o.connamespace = 'postrider'::regnamespace order by c.relname, o.conname;
select 'index', pg_get_indexdef(c.oid), i.indisvalid, i.indisclustered, i.indisreplident, obj_description(c.oid, 'pg_class')
from pg_index i join relation c on c.oid = i.indexrelid order by c.relname;
select 'trigger', pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger')
from pg_trigger t join relation c on c.oid = t.tgrelid where not t.tgisinternal order by c.relname, t.tgname;
select 'rule', pg_get_ruledef(r.oid)
from pg_rewrite r join relation c on c.oid = r.ev_class where r.rulename <> '_RETURN' order by c.relname, r.rulename;
select 'policy', c.relname, p.polname, p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid),
	pg_get_expr(p.polwithcheck, p.polrelid), obj_description(p.oid, 'pg_policy')
from pg_policy p join relation c on c.oid = p.polrelid order by c.relname, p.polname;
select 'sequence', c.relname, format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
	(select a.attrelid::regclass || '.' || a.attname from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
	where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass)
from pg_sequence s join relation c on c.oid = s.seqrelid order by c.relname;
select 'statistics', pg_get_statisticsobjdef(s.oid)
from pg_statistic_ext s where s.stxnamespace = 'postrider'::regnamespace order by s.stxname;

-- What a dump takes to be the privileges of the extension itself.
select 'initial privileges', o.type, o.identity, i.privtype, pg_temp.acl(i.initprivs)
from pg_init_privs i join member m on m.classid = i.classoid and m.objid = i.objoid
cross join lateral pg_identify_object(i.classoid, i.objoid, i.objsubid) o order by 2, 3, 4;

-- The configuration that is there from the start, without its times.
select format($$select 'row', %L, (select jsonb_object_agg(k, v) from jsonb_each(to_jsonb(t)) j (k, v) where k <> all (%L)) from %s t order by 3$$,
	c.relname, array(select a.attname from pg_attribute a where a.attrelid = c.oid and a.atttypid = 'timestamptz'::regtype), c.oid::regclass)
from pg_extension e join relation c on c.oid = any (e.extconfig) and c.relkind in ('r', 'p')
where e.extname = 'postrider' order by c.relname \gexec
