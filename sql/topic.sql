-- Topics and patterns.

create function postrider.is_topic(topic text) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_is_topic';
comment on function postrider.is_topic(text) is
'True if the text is a topic: words of a-z, 0-9 and _ joined by dots, such as order.paid; at most 200 bytes.';

create function postrider.is_topic_pattern(pattern text) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_is_topic_pattern';
comment on function postrider.is_topic_pattern(text) is
'True if the text is a topic or a pattern of topics: * stands for one word, ** for any number of words, none included.';

create function postrider.topic_matches(topic text, pattern text) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_topic_matches_sql';
comment on function postrider.topic_matches(text, text) is
'True if the pattern covers the topic: order.* covers order.paid, order.** also order and order.line.added.';

create function postrider.filter_matches(payload jsonb, filter jsonpath) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_filter_matches_sql';
comment on function postrider.filter_matches(jsonb, jsonpath) is
'True if the filter of a subscription lets the payload through: a predicate must be true, any other path must find an item.';

create function postrider.check_topic() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_check_topic';
comment on function postrider.check_topic() is
'Trigger: refuses a row of postrider.topic whose name is no topic or whose schema is no JSON Schema, and counts the versions of the schema.';

create table postrider.topic (
	name text primary key,
	description text,
	schema jsonb,
	schema_id text generated always as (pg_catalog.rtrim(schema operator(pg_catalog.->>) '$id', '#')) stored,
	version integer not null default 1
		constraint topic_version_positive check (version operator(pg_catalog.>) 0),
	compatibility text not null default 'none'
		constraint topic_compatibility_known check (compatibility operator(pg_catalog.=) any (array['none', 'backward'])),
	created_at timestamptz not null default pg_catalog.now()
);
create unique index topic_schema_id_key on postrider.topic (schema_id);
comment on table postrider.topic is
'Topics that somebody has described. Optional: a message may have a topic that is not listed here.';
comment on column postrider.topic.name is 'Dotted lower-case name, such as order.paid; no pattern.';
comment on column postrider.topic.description is 'What the topic means, for people.';
comment on column postrider.topic.schema is
'JSON Schema (2020-12) that each payload on this topic must match; see the setting postrider.validation. NULL: anything goes.';
comment on column postrider.topic.schema_id is 'The $id of the schema, by which other schemas may refer to it.';
comment on column postrider.topic.version is
'Number of the schema; goes up by itself when the schema is replaced. Earlier ones are in postrider.topic_version.';
comment on column postrider.topic.compatibility is
'Which new schemas are accepted: none (any) or backward (only if compare_schema() shows that nothing becomes invalid).';
comment on column postrider.topic.created_at is 'When the row was written.';

create trigger check_topic before insert or update on postrider.topic
	for each row execute function postrider.check_topic();

create table postrider.topic_version (
	topic text not null references postrider.topic on update cascade on delete cascade,
	version integer not null,
	schema jsonb not null,
	replaced_at timestamptz not null default pg_catalog.now(),
	primary key (topic, version)
);
comment on table postrider.topic_version is
'Earlier schemas of topics, kept when postrider.topic is updated; the one in force is in postrider.topic. They go when the topic is deleted.';
comment on column postrider.topic_version.topic is 'The topic.';
comment on column postrider.topic_version.version is 'The version that postrider.topic had.';
comment on column postrider.topic_version.schema is 'The schema that was in force.';
comment on column postrider.topic_version.replaced_at is 'When it was replaced.';

create function postrider.keep_topic_version() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_keep_topic_version';
comment on function postrider.keep_topic_version() is
'Trigger: keeps the schema of a topic that is replaced in postrider.topic_version.';

create trigger keep_topic_version after update on postrider.topic
	for each row when (old.version operator(pg_catalog.<>) new.version)
	execute function postrider.keep_topic_version();

create function postrider.topic_changed() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_topic_changed';
comment on function postrider.topic_changed() is
'Trigger: has all sessions read the schemas of topics again when the transaction commits.';

create trigger topic_changed after insert or update or delete or truncate on postrider.topic
	for each statement execute function postrider.topic_changed();
alter table postrider.topic enable always trigger topic_changed;
