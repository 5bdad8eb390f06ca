-- JSON Schema: named schemas, and validating by a schema.

create table postrider.schema (
	name text not null constraint schema_pkey primary key
		constraint schema_name check (name operator(pg_catalog.<>) '' and pg_catalog.strpos(name, '#') operator(pg_catalog.=) 0),
	schema jsonb not null,
	schema_id text generated always as (pg_catalog.rtrim(schema operator(pg_catalog.->>) '$id', '#')) stored,
	description text,
	created_at timestamptz not null default pg_catalog.now()
);
create unique index schema_id_key on postrider.schema (schema_id);
comment on table postrider.schema is
'Named JSON Schemas, which others may refer to by $ref. Nothing is ever fetched; what is not here, nor the schema of a topic, cannot be referred to.';
comment on column postrider.schema.name is
'What a $ref calls it: its absolute URI, without fragment, or a plain name.';
comment on column postrider.schema.schema is 'JSON Schema, 2020-12.';
comment on column postrider.schema.schema_id is 'The $id of the schema, by which it is found as well.';
comment on column postrider.schema.description is 'For people.';
comment on column postrider.schema.created_at is 'When the row was written.';

create function postrider.check_schema() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_check_schema';
comment on function postrider.check_schema() is
'Trigger: refuses a row of postrider.schema whose schema is no JSON Schema or refers to one that is not registered.';

create constraint trigger check_schema after insert or update on postrider.schema
	deferrable initially immediate
	for each row execute function postrider.check_schema();

create function postrider.schema_changed() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_topic_changed';
comment on function postrider.schema_changed() is
'Trigger: has all sessions read the named schemas again when the transaction commits.';

create trigger schema_changed after insert or update or delete or truncate on postrider.schema
	for each statement execute function postrider.schema_changed();
alter table postrider.schema enable always trigger schema_changed;

create function postrider.is_valid(instance jsonb, schema jsonb) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_is_valid';
comment on function postrider.is_valid(jsonb, jsonb) is
'True if the document matches the JSON Schema (2020-12). Immutable as long as no registered schema that it refers to changes.';

create function postrider.validate(instance jsonb, schema jsonb)
returns table (instance_location text, keyword_location text, keyword text, message text)
language c immutable strict parallel safe rows 5
as 'MODULE_PATHNAME', 'postrider_validate';
comment on function postrider.validate(jsonb, jsonb) is
'What is wrong with the document by the JSON Schema (2020-12), and where; no row if it matches. At most 1,000 rows.';
