-- Field mappings: how a payload becomes the document that a receiver wants.

create function postrider.check_mapping(definition jsonb)
returns table ("position" text, message text)
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_check_mapping';
comment on function postrider.check_mapping(jsonb) is
'What is wrong with the definition of a mapping and where, such as fields[2].apply[0]; no row if it is right.';

create function postrider.check_mapping_row() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_check_mapping_row';
comment on function postrider.check_mapping_row() is
'Trigger: gives a mapping its version, refuses a definition that is wrong, and one that changes a version that exists.';

create table postrider.mapping (
	name text not null constraint mapping_name check (name operator(pg_catalog.<>) ''),
	version integer not null constraint mapping_version check (version operator(pg_catalog.>) 0),
	definition jsonb not null,
	description text,
	created_at timestamptz not null default pg_catalog.now(),
	primary key (name, version)
);
comment on table postrider.mapping is
'Field mappings. A version never changes, also when it is deleted and comes back; insert a row with the same name, and it becomes the next version.';
comment on column postrider.mapping.name is 'Name by which subscriptions and postrider.map() refer to it.';
comment on column postrider.mapping.version is 'Left out, it is the next one of this name.';
comment on column postrider.mapping.definition is 'Which fields there are, where each comes from and what becomes of it.';
comment on column postrider.mapping.description is 'For people.';
comment on column postrider.mapping.created_at is 'When the row was written.';

create trigger check_mapping before insert or update on postrider.mapping
	for each row execute function postrider.check_mapping_row();

create function postrider.map(payload jsonb, definition jsonb) returns jsonb
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_map_definition';
comment on function postrider.map(jsonb, jsonb) is
'The payload as the definition of a mapping maps it. An error names every field that cannot be mapped.';

create function postrider.map(payload jsonb, mapping text, version integer default null) returns jsonb
language c stable parallel restricted
as 'MODULE_PATHNAME', 'postrider_map_name';
comment on function postrider.map(jsonb, text, integer) is
'The payload as a mapping in postrider.mapping maps it, the newest version unless one is given. An error names every field that cannot be mapped.';

create function postrider.map_errors(payload jsonb, definition jsonb)
returns table (target text, source text, message text)
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_map_errors_definition';
comment on function postrider.map_errors(jsonb, jsonb) is
'Which fields of the payload cannot be mapped, and why; no row if all can.';

create function postrider.map_errors(payload jsonb, mapping text, version integer default null)
returns table (target text, source text, message text)
language c stable parallel restricted
as 'MODULE_PATHNAME', 'postrider_map_errors_name';
comment on function postrider.map_errors(jsonb, text, integer) is
'Which fields of the payload a mapping in postrider.mapping cannot map, and why; no row if all can.';

create function postrider.describe_mapping(definition jsonb)
returns table (target text, source text, condition text, conversions text, type text, required boolean,
	"default" text, max_length integer, overflow text, checks text, description text)
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_describe_definition';
comment on function postrider.describe_mapping(jsonb) is
'The fields of a mapping as a table, ready for documentation.';

create function postrider.describe_mapping(mapping text, version integer default null)
returns table (target text, source text, condition text, conversions text, type text, required boolean,
	"default" text, max_length integer, overflow text, checks text, description text)
language c stable parallel restricted
as 'MODULE_PATHNAME', 'postrider_describe_name';
comment on function postrider.describe_mapping(text, integer) is
'The fields of a mapping in postrider.mapping as a table, ready for documentation.';

create function postrider.suggest_mapping(relation regclass, target_schema jsonb) returns jsonb
language c stable strict
as 'MODULE_PATHNAME', 'postrider_suggest_mapping';
comment on function postrider.suggest_mapping(regclass, jsonb) is
'A definition that maps rows of the relation to a document of the JSON Schema, by names and types, for a person to correct.';
