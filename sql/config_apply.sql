-- Applying a document: what it would change, and changing it.
--
-- The document is read into items, these are compared with those of the configuration as
-- it is, and what differs becomes steps.  Each step is tried in a subtransaction; those that
-- fail are tried again as long as others succeed, so that no order of references has to be
-- known, and in the end all problems are known at once.  A dry run does the same and
-- undoes it.  All of it has the rights of the caller.

create function postrider.lock_config() returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
	lock table postrider.config_history in share update exclusive mode
$$;
comment on function postrider.lock_config() is
'Waits until no other transaction applies a document to the configuration. Others may still change it row by row. Part of apply_config().';

create function postrider.config_fields(kind text) returns text[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select case k.kind when 'mapping' then array['definition', 'description', 'pinned']
		when 'watch' then array['topic', 'operations', 'columns', 'condition', 'key_columns', 'priority']
		else postrider.config_columns(k.relation, array_remove(k.left_out || k.listed_by, null)
			|| case when cardinality(k.name_columns) = 1 then k.name_columns else '{}' end) end
	from postrider.config_kinds() k where k.kind = config_fields.kind
$$;
comment on function postrider.config_fields(text) is
'The fields that an object of a kind can have in a document.';

create function postrider.nearest_word(word text, words text[]) returns text
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_nearest_word';
comment on function postrider.nearest_word(text, text[]) is
'The word that was probably meant by one that is not among them; NULL if none is near.';

create function postrider.perhaps(word text, words text[]) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
	select coalesce('; perhaps "' || postrider.nearest_word(word, words) || '" was meant', '')
$$;
comment on function postrider.perhaps(text, text[]) is
'The end of a sentence that says which word was meant.';

-- Raises an error that says what is wrong.
create function postrider.canonical_body(kind text, relation regclass, fields text[], defaults jsonb, body jsonb) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set intervalstyle = 'postgres'
as $$
declare
	unknown text;
	typed jsonb;
begin
	if jsonb_typeof(body) is distinct from 'object' then
		raise invalid_parameter_value using message = 'must be an object';
	end if;
	select b.key into unknown from jsonb_object_keys(body) as b (key) where b.key <> all(fields) order by 1 limit 1;
	if found then
		raise invalid_parameter_value using
			message = format('has no field "%s"%s', unknown, postrider.perhaps(unknown, fields));
	end if;
	if kind = 'watch' then
		typed := postrider.short_body(body, '{"priority": "normal"}', '{}');
		return typed || jsonb_build_object('operations', (select jsonb_agg(o order by o)
			from jsonb_array_elements_text(coalesce(typed -> 'operations', '["insert", "update", "delete"]')) o));
	end if;
	if kind = 'mapping' then
		return postrider.short_body(body, '{}', '{}');
	end if;
	execute format('select to_jsonb(r) from jsonb_populate_record(null::%s, $1) r', relation) into typed using body;
	select coalesce(jsonb_object_agg(t.key, t.value), '{}') into typed from jsonb_each(typed) t where body ? t.key;
	return postrider.short_body(typed, defaults, '{}');
end
$$;
comment on function postrider.canonical_body(text, regclass, text[], jsonb, jsonb) is
'An object of a document as export_config() would write it: values as their types write them, defaults left out.';

create function postrider.document_items(config jsonb)
returns table (place integer, kind text, name text, list text, body jsonb, problem text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
	sections text[] := array(select k.section from postrider.config_kinds() k);
	found_section text;
	found_content jsonb;
	k record;
	o record;
	canonical jsonb;
	fields text[];
	defaults jsonb;
begin
	if jsonb_typeof(config) is distinct from 'object' then
		raise invalid_parameter_value using message = 'configuration must be an object',
			hint = 'Give what postrider.export_config() returns.';
	end if;
	if config -> 'format' is distinct from '1' then
		raise invalid_parameter_value using
			message = format('format of the configuration is %s, and must be 1', coalesce(config ->> 'format', 'missing')),
			hint = 'Give what postrider.export_config() returns.';
	end if;
	for found_section, found_content in select s.key, s.value from jsonb_each(config) s where s.key not in ('format', 'tenant')
	loop
		select * into k from postrider.config_kinds() c where c.section = found_section;
		if not found then
			return query select 0, null::text, found_section, null::text, null::jsonb,
				'there is no such section' || postrider.perhaps(found_section, sections);
			continue;
		elsif jsonb_typeof(found_content) <> 'object' then
			return query select k.place, k.kind, found_section, null::text, null::jsonb, 'the section must be an object';
			continue;
		end if;
		fields := postrider.config_fields(k.kind);
		defaults := case when k.relation is not null then postrider.config_defaults(k.relation) end;
		for o in
			select e.key as name, null::text as list, e.value as body from jsonb_each(found_content) e where k.listed_by is null
			union all
			select postrider.listed_name(l.key, b.value ->> 'topic', row_number() over (partition by l.key, b.value ->> 'topic')),
				l.key, b.value
			from jsonb_each(found_content) l
			cross join jsonb_array_elements(case when jsonb_typeof(l.value) = 'array' then l.value else '[0]' end) b
			where k.listed_by is not null
		loop
			begin
				canonical := postrider.canonical_body(k.kind, k.relation, fields, defaults, o.body);
				return query select k.place, k.kind, o.name, o.list, canonical, null::text;
			exception when others then
				return query select k.place, k.kind, o.name, o.list, null::jsonb, sqlerrm;
			end;
		end loop;
	end loop;
end
$$;
comment on function postrider.document_items(jsonb) is
'The items of a document, and what is wrong with them.';

create function postrider.unmask_config(body jsonb, "row" jsonb) returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
	result jsonb := body;
	header text;
begin
	for header in select h.key from jsonb_each(case when jsonb_typeof(body -> 'headers') = 'object' then body -> 'headers' else '{}' end) h
		where h.value = '"***"'
	loop
		if "row" #> array['headers', header] is null then
			raise invalid_parameter_value using
				message = format('the value of header "%s" is not in the document', header),
				hint = 'Write the value in place of ***, or better leave the header out and have a secret send it.';
		end if;
		result := jsonb_set(result, array['headers', header], "row" #> array['headers', header]);
	end loop;
	if strpos(body ->> 'url', '=***') > 0 then
		if postrider.mask_url("row" ->> 'url') is distinct from body ->> 'url' then
			raise invalid_parameter_value using
				message = 'a value in the URL is not in the document',
				hint = 'Write the value in place of ***, or better leave the parameter out and have a secret send it.';
		end if;
		result := jsonb_set(result, '{url}', "row" -> 'url');
	end if;
	return result;
end
$$;
comment on function postrider.unmask_config(jsonb, jsonb) is
'The body of an item with values that a document hides taken from the row that is there.';

create function postrider.apply_mapping(action text, name text, body jsonb) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	pinned record;
	newest record;
	differs boolean;
begin
	if action = 'delete' then
		delete from postrider.mapping m where m.name = apply_mapping.name;
		return;
	end if;
	for pinned in
		select p.key::integer as version, p.value as definition from jsonb_each(coalesce(body -> 'pinned', '{}')) p order by 1
	loop
		select m.definition <> pinned.definition into differs from postrider.mapping m
		where m.name = apply_mapping.name and m.version = pinned.version;
		if not found then
			insert into postrider.mapping (name, version, definition)
			values (apply_mapping.name, pinned.version, pinned.definition);
		elsif differs then
			raise object_not_in_prerequisite_state using
				message = format('version %s of mapping "%s" has another definition', pinned.version, apply_mapping.name),
				hint = 'A version never changes. Give the definition without "pinned", and have subscriptions name no version.';
		end if;
	end loop;
	select m.version, m.definition into newest from postrider.mapping m
	where m.name = apply_mapping.name order by m.version desc limit 1;
	if not found or newest.definition <> body -> 'definition' then
		insert into postrider.mapping (name, definition, description)
		values (apply_mapping.name, body -> 'definition', body ->> 'description');
	else
		update postrider.mapping m set description = body ->> 'description'
		where m.name = apply_mapping.name and m.version = newest.version
		and m.description is distinct from body ->> 'description';
	end if;
end
$$;
comment on function postrider.apply_mapping(text, text, jsonb) is
'Makes the newest version of a mapping, and those with a number, what a document says. Part of apply_config().';

create function postrider.apply_watch(action text, relation text, topic text, body jsonb) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
	if action = 'delete' then
		perform postrider.unwatch(relation::regclass, topic);
	else
		perform postrider.watch(relation::regclass, body ->> 'topic',
			array(select o from jsonb_array_elements_text(body -> 'operations') o),
			(select array_agg(c::name) from jsonb_array_elements_text(body -> 'columns') c), body ->> 'condition',
			(select array_agg(c::name) from jsonb_array_elements_text(body -> 'key_columns') c),
			coalesce(body ->> 'priority', 'normal'));
	end if;
end
$$;
comment on function postrider.apply_watch(text, text, text, jsonb) is
'Watches a table as a document says. Part of apply_config().';

create function postrider.apply_row(action text, kind text, name text, list text, "row" jsonb, old jsonb, new jsonb) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set intervalstyle = 'postgres'
as $$
declare
	k record;
	full_row jsonb;
	columns text;
	touched bigint;
begin
	select * into strict k from postrider.config_kinds() c where c.kind = apply_row.kind;
	full_row := coalesce(postrider.unmask_config(new, "row"), '{}');
	if action = 'create' then
		if k.listed_by is not null then
			full_row := full_row || jsonb_build_object(k.listed_by, list);
		elsif cardinality(k.name_columns) = 1 then
			full_row := full_row || jsonb_build_object(k.name_columns[1], name);
		end if;
		select string_agg(quote_ident(f), ', ') into columns from jsonb_object_keys(full_row) f;
		execute format('insert into %s (%s) select %s from jsonb_populate_record(null::%1$s, $1) r', k.relation, columns, columns)
			using full_row;
		return;
	end if;
	full_row := full_row || postrider.config_key("row", k.key_columns);
	if action = 'delete' then
		execute format('delete from %s t using jsonb_populate_record(null::%1$s, $1) r where %s', k.relation,
			(select string_agg(format('t.%1$I = r.%1$I', c), ' and ') from unnest(k.key_columns) c)) using full_row;
		return;
	end if;
	select string_agg(case when new ? f then format('%1$I = r.%1$I', f) else format('%I = default', f) end, ', ') into columns
	from (select jsonb_object_keys(old || new) as f) x where old -> f is distinct from new -> f;
	execute format('update %1$s t set %2$s from jsonb_populate_record(null::%1$s, $1) r where %3$s', k.relation, columns,
		(select string_agg(format('t.%1$I = r.%1$I', c), ' and ') from unnest(k.key_columns) c)) using full_row;
	get diagnostics touched = row_count;
	if touched = 0 then
		raise object_not_in_prerequisite_state using message = 'it is not there any more';
	end if;
end
$$;
comment on function postrider.apply_row(text, text, text, text, jsonb, jsonb, jsonb) is
'Inserts, updates or deletes the row that an item stands for. Part of apply_config().';

create function postrider.apply_step(action text, kind text, name text, list text, "row" jsonb, old jsonb, new jsonb) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
	if kind = 'secret' and new ? 'source' and (action = 'create' or old ? 'source' and old -> 'source' <> new -> 'source') then
		-- It says where the value is, and has none itself.
		perform postrider.set_secret_source(name, new -> 'source', new ->> 'description', new ->> 'tenant');
		if action = 'create' and new ? 'warn_before' then
			update postrider.secret s set warn_before = (new ->> 'warn_before')::interval where s.name = apply_step.name;
		elsif action = 'change' and old || jsonb_build_object('source', new -> 'source') <> new then
			perform postrider.apply_row(action, kind, name, list, "row", old || jsonb_build_object('source', new -> 'source'), new);
		end if;
	elsif kind = 'secret' and action = 'create' then
		raise undefined_object using
			message = format('secret "%s" does not exist', name),
			hint = format('Store it first: SELECT postrider.set_secret(%L);', name);
	elsif kind = 'mapping' then
		perform postrider.apply_mapping(action, name, new);
	elsif kind = 'watch' then
		perform postrider.apply_watch(action, list, coalesce(old, new) ->> 'topic', new);
	else
		perform postrider.apply_row(action, kind, name, list, "row", old, new);
	end if;
end
$$;
comment on function postrider.apply_step(text, text, text, text, jsonb, jsonb, jsonb) is
'Does one thing that a document demands. Part of apply_config().';

create function postrider.config_note(action text, kind text, name text, "row" jsonb, new jsonb) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
	owed bigint;
begin
	if action = 'unlisted' then
		return case kind when 'secret' then 'not in the document; secrets are never deleted by it'
			else 'not in the document; prune => true deletes it' end;
	elsif kind = 'endpoint' and action = 'delete' then
		select count(*) into owed from postrider.delivery d
		where d.endpoint = name and d.status in ('queued', 'scheduled', 'retrying', 'held');
		return case when owed > 0 then format('%s deliveries that it owes will be cancelled', owed) end;
	elsif kind = 'endpoint' and action = 'change' and "row" ->> 'enabled' = 'false' and not new ? 'enabled' then
		return 'it was disabled: ' || ("row" ->> 'disabled_reason');
	elsif kind = 'subscription' and action = 'create' then
		return 'gets what is emitted from then on';
	end if;
	return null;
end
$$;
comment on function postrider.config_note(text, text, text, jsonb, jsonb) is
'What somebody should know before a step is done. Part of apply_config().';

create function postrider.config_steps(config jsonb, prune boolean)
returns table (place integer, action text, kind text, name text, list text, "row" jsonb, old jsonb, new jsonb, note text, problem text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	with wanted as materialized (
		select d.place, d.kind, coalesce(case when d.list is not null and d.body is not null then
				postrider.listed_name(d.list, d.body ->> 'topic', row_number() over (
					partition by d.kind, d.list, d.body ->> 'topic' order by d.body::text collate "C")) end, d.name) as name,
			d.list, d.body, coalesce(d.problem,
				case when config ? 'tenant' and d.kind = 'endpoint' and d.body ->> 'tenant' is distinct from config ->> 'tenant' then
					format('the document is for tenant "%s", and so its tenant must be', config ->> 'tenant') end) as problem
		from postrider.document_items(config) d),
	lists as (
		select k.kind, l as list from postrider.config_kinds() k
		cross join lateral jsonb_object_keys(case when jsonb_typeof(config -> k.section) = 'object' then config -> k.section else '{}' end) l
		where k.listed_by is not null),
	own as materialized (select i.kind, i.name from postrider.config_items(null, config ->> 'tenant') i),
	present as materialized (
		select i.* from postrider.config_items() i
		where not config ? 'tenant' or (i.kind, i.name) in (select o.kind, o.name from own o)
		or (i.kind, i.name) in (select w.kind, w.name from wanted w)),
	step as (
		select coalesce(w.place, p.place) as place,
			case when p.name is null then 'create' when w.name is not null then 'change'
				when p.kind <> 'secret' and (prune or (p.kind, p.list) in (select l.kind, l.list from lists l)) then 'delete'
				else 'unlisted' end as action,
			coalesce(w.kind, p.kind) as kind, coalesce(w.name, p.name) as name, coalesce(w.list, p.list) as list,
			p."row", p.body as old,
			-- A function goes on as the role that it has, if the document does not say another one.
			case when w.kind = 'endpoint' and w.body ->> 'url' like 'function:%' and p.body ->> 'url' = w.body ->> 'url'
				and p.body ? 'run_as' then jsonb_build_object('run_as', p.body -> 'run_as') || w.body else w.body end as new,
			coalesce(w.problem, case when config ? 'tenant' and w.kind = 'endpoint' and p.name is not null
				and p.body ->> 'tenant' is distinct from config ->> 'tenant' then
				'an endpoint of this name belongs to somebody else' end) as problem
		from wanted w full join present p on p.kind = w.kind and p.name = w.name)
	select s.place, s.action, s.kind, s.name, s.list, s."row", s.old, s.new,
		postrider.config_note(s.action, s.kind, s.name, s."row", s.new), s.problem
	from step s
	where s.problem is not null or s.old is distinct from s.new
	order by s.action = 'delete', case when s.action = 'delete' then - s.place else s.place end, s.name collate "C"
$$;
comment on function postrider.config_steps(jsonb, boolean) is
'In what a document differs from the configuration as it is. Part of apply_config().';

create function postrider.config_differences(action text, kind text, name text, old jsonb, new jsonb, note text, problem text)
returns table (action text, kind text, name text, field text, old jsonb, new jsonb, note text, problem text)
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
	select $1, $2, $3, null::text, $4, $5, $6, $7 where $1 <> 'change' or $4 is null or $5 is null
	union all
	select $1, $2, $3, f.field, $4 -> f.field, $5 -> f.field, $6, $7
	from (select jsonb_object_keys($4 || $5) as field where $1 = 'change') f
	where $4 -> f.field is distinct from $5 -> f.field
$$;
comment on function postrider.config_differences(text, text, text, jsonb, jsonb, text, text) is
'A step as rows for people: one for each field that changes. Part of apply_config().';

create function postrider.try_step(step jsonb) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	hint text;
begin
	perform postrider.apply_step(step ->> 'action', step ->> 'kind', step ->> 'name', step ->> 'list',
		nullif(step -> 'row', 'null'), nullif(step -> 'old', 'null'), nullif(step -> 'new', 'null'));
	return null;
exception
	when transaction_rollback or lock_not_available or insufficient_resources or operator_intervention then
		raise;
	when others then
		get stacked diagnostics hint = pg_exception_hint;
		return jsonb_build_object('problem', sqlerrm, 'hint', nullif(hint, ''));
end
$$;
comment on function postrider.try_step(jsonb) is
'Does one step, or returns why it cannot be done. Part of apply_config().';

-- Problems by the number of the step; empty if all could be done.
create function postrider.try_steps(steps jsonb) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	problems jsonb := '{}';
	open_steps jsonb;
	step record;
	problem jsonb;
	progress boolean := true;
begin
	select coalesce(jsonb_object_agg(s.n, null::text), '{}') into open_steps
	from jsonb_array_elements(steps) with ordinality as s (step, n)
	where s.step ->> 'action' <> 'unlisted' and s.step ->> 'problem' is null;
	set constraints postrider.check_schema deferred;
	while progress and open_steps <> '{}'
	loop
		progress := false;
		for step in
			select s.n, s.step from jsonb_array_elements(steps) with ordinality as s (step, n) where open_steps ? s.n::text order by s.n
		loop
			problem := postrider.try_step(step.step);
			if problem is null then
				progress := true;
				open_steps := open_steps - step.n::text;
			else
				open_steps := open_steps || jsonb_build_object(step.n::text, problem);
			end if;
		end loop;
	end loop;
	problems := open_steps;
	begin
		set constraints all immediate;
	exception when foreign_key_violation or check_violation or invalid_parameter_value or undefined_object then
		problems := problems || jsonb_build_object('0', jsonb_build_object('problem', sqlerrm));
	end;
	return problems;
end
$$;
comment on function postrider.try_steps(jsonb) is
'Does steps, in an order in which they can be done, and returns the problems of those that cannot. Part of apply_config().';

create function postrider.apply_document(config jsonb, dry_run boolean, prune boolean, reason text)
returns table (action text, kind text, name text, field text, old jsonb, new jsonb, note text, problem text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	reason_before text := current_setting('postrider.change_reason');
	steps jsonb;
	problems jsonb;
	result jsonb;
	count_problems bigint;
begin
	perform postrider.lock_config();
	perform postrider.record_watches();
	select coalesce(jsonb_agg(to_jsonb(s)), '[]') into steps from postrider.config_steps(config, prune) s;
	if reason_before = '' then
		perform set_config('postrider.change_reason', apply_document.reason, true);
	end if;
	begin
		problems := postrider.try_steps(steps);
		if dry_run then
			raise exception using errcode = 'PR001';
		end if;
	exception when sqlstate 'PR001' then
		null;
	end;
	perform set_config('postrider.change_reason', reason_before, true);

	select coalesce(jsonb_agg(to_jsonb(d) order by s.n, d.field), '[]'), count(distinct s.n) filter (where d.problem is not null)
	into result, count_problems
	from (select step, n from jsonb_array_elements(steps) with ordinality as e (step, n)
		union all select '{"action": "change"}', 0 where problems ? '0') s
	cross join lateral postrider.config_differences(s.step ->> 'action', s.step ->> 'kind', s.step ->> 'name',
		nullif(s.step -> 'old', 'null'), nullif(s.step -> 'new', 'null'), s.step ->> 'note',
		coalesce(s.step ->> 'problem',
			nullif(concat_ws('. ', problems #>> array[s.n::text, 'problem'], problems #>> array[s.n::text, 'hint']), ''))) d;
	if count_problems > 0 and not dry_run then
		raise invalid_parameter_value using
			message = format('the configuration was not changed: %s', case count_problems when 1 then 'there is a problem'
				else format('there are %s problems', count_problems) end),
			detail = concat_ws(E'\n', problems #>> '{0,problem}', (select string_agg(concat_ws(' ', s.step ->> 'kind', '"' || (s.step ->> 'name') || '":',
					coalesce(s.step ->> 'problem', problems #>> array[s.n::text, 'problem'])), E'\n' order by s.n)
				from jsonb_array_elements(steps) with ordinality as s (step, n)
				where coalesce(s.step ->> 'problem', problems #>> array[s.n::text, 'problem']) is not null)),
			hint = concat_ws(E'\n', 'A dry run shows them as rows: dry_run => true.',
				(select string_agg(distinct p.value ->> 'hint', E'\n') from jsonb_each(problems) p where p.value ->> 'hint' ~ 'set_secret'));
	end if;
	return query select r.action, r.kind, r.name, r.field, r.old, r.new, r.note, r.problem
	from jsonb_array_elements(result) with ordinality as e (item, n)
	cross join lateral jsonb_to_record(e.item) as r (action text, kind text, name text, field text, old jsonb, new jsonb, note text, problem text)
	order by e.n;
end
$$;
comment on function postrider.apply_document(jsonb, boolean, boolean, text) is
'Makes the configuration what a document says. Part of apply_config() and revert_config().';

create function postrider.apply_config(config jsonb, dry_run boolean default true, prune boolean default false)
returns table (action text, kind text, name text, field text, old jsonb, new jsonb, note text, problem text)
language sql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
	select * from postrider.apply_document(config, dry_run, prune, 'apply_config')
$$;
comment on function postrider.apply_config(jsonb, boolean, boolean) is
'Makes the configuration what a document of export_config() says, all of it or nothing, and returns what that changes; with dry_run, the default, it is undone at once. What the document does not name stays, unless prune is true; but the subscriptions of an endpoint and the watches of a table that it lists are all that there are.';

create function postrider.revert_config(to_time timestamptz default null, to_id bigint default null, dry_run boolean default true)
returns table (action text, kind text, name text, field text, old jsonb, new jsonb, note text, problem text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
	at bigint := to_id;
begin
	if num_nonnulls(to_time, to_id) <> 1 then
		raise invalid_parameter_value using
			message = 'revert_config needs either to_time or to_id',
			hint = 'Run SELECT id, changed_at, role, kind, name, operation, changed FROM postrider.config_history ORDER BY id DESC.';
	end if;
	perform postrider.lock_config();
	if to_time is not null then
		at := postrider.history_id(to_time);
	elsif not exists (select from postrider.config_history h where h.id = to_id) then
		raise no_data_found using
			message = format('there is no change %s of the configuration', to_id),
			hint = 'Run SELECT id, changed_at, role, kind, name, operation, changed FROM postrider.config_history ORDER BY id DESC.';
	end if;
	perform postrider.record_watches();
	return query select * from postrider.apply_document(postrider.config_document(at, null), dry_run, true,
		'revert_config to ' || coalesce(to_time::text, to_id::text));

	-- What the history does not know, and so cannot bring back.
	return query select distinct 'keep', h.kind, h.name, 'value', null::jsonb, null::jsonb,
		case h.kind when 'secret_version' then 'its value has changed since then and does not come back'
			else 'a hidden value in headers or url may have changed since then: it stays as it is' end, null::text
	from postrider.config_history h
	where h.id > at and (h.kind = 'secret_version'
		or h.kind = 'endpoint' and h.changed && array['headers', 'url']
		and concat(h.old ->> 'headers', h.old ->> 'url') like '%***%')
	order by 2, 3;
end
$$;
comment on function postrider.revert_config(timestamptz, bigint, boolean) is
'Makes the configuration what it was at a time, or just after a change, by the history and like apply_config(): nothing happens unless dry_run is false. The values of secrets do not come back; pauses are left alone.';
