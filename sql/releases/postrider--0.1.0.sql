-- postrider: get events out of PostgreSQL, reliably.
-- This file is joined from the modules in sql/ by the Makefile.
\echo Use "CREATE EXTENSION postrider" to load this file. \quit

-- Whoever owns the schema can put functions and operators beside ours, and take ours
-- away.  CREATE EXTENSION uses a schema that is there, so it must be empty and
-- of somebody who is trusted anyway.
do $$
declare
	owner_name name;
begin
	select r.rolname into owner_name
	from pg_catalog.pg_namespace n join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) n.nspowner
	where n.nspname operator(pg_catalog.=) 'postrider'
	and not r.rolsuper and r.rolname operator(pg_catalog.<>) current_user;
	if found then
		raise insufficient_privilege using
			message = pg_catalog.format('schema "postrider" belongs to role "%s", who could change what the extension does', owner_name),
			hint = 'Look what is in it, and drop it or make it yours: ALTER SCHEMA postrider OWNER TO CURRENT_USER.';
	end if;
	if exists (select from pg_catalog.pg_depend d where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
		and d.refobjid operator(pg_catalog.=) 'postrider'::pg_catalog.regnamespace::pg_catalog.oid
		and d.classid operator(pg_catalog.<>) 'pg_catalog.pg_extension'::pg_catalog.regclass) then
		raise object_not_in_prerequisite_state using
			message = 'schema "postrider" is not empty',
			hint = 'Look what is in it, and drop it: what is there could change what the extension does.';
	end if;
	if exists (select from pg_catalog.pg_namespace n cross join lateral pg_catalog.aclexplode(n.nspacl) a
		where n.nspname operator(pg_catalog.=) 'postrider' and a.privilege_type operator(pg_catalog.=) 'CREATE'
		and a.grantee operator(pg_catalog.<>) n.nspowner) then
		raise insufficient_privilege using
			message = 'others may create objects in schema "postrider"',
			hint = 'Revoke that, for they could change what the extension does: REVOKE CREATE ON SCHEMA postrider FROM ....';
	end if;
end
$$;

-- Roles are shared by all databases of the server, so they may be there.
do $$
declare
	role_name name;
begin
	foreach role_name in array array['postrider_writer', 'postrider_reader', 'postrider_admin', 'postrider_payload_reader']
	loop
		if not exists (select from pg_catalog.pg_roles where rolname operator(pg_catalog.=) role_name) then
			execute pg_catalog.format('create role %I nologin', role_name);
		end if;
	end loop;
end
$$;

comment on schema postrider is
'Messages that leave the database: who gets what, what is still owed, and what became of it.';
-- What a session may see: its tenant, and payloads.

create function postrider.bound_tenant() returns text
language c stable parallel safe leakproof
as 'MODULE_PATHNAME', 'postrider_bound_tenant_sql';
comment on function postrider.bound_tenant() is
'The tenant that the session is bound to by the setting postrider.tenant; NULL if it is not bound.';

create function postrider.sees_tenant(tenant text) returns boolean
language c stable parallel safe leakproof
as 'MODULE_PATHNAME', 'postrider_sees_tenant_sql';
comment on function postrider.sees_tenant(text) is
'True if the session may see what belongs to the tenant: it is bound to it, or not bound at all. What belongs to no tenant (NULL) is not for sessions that are bound.';

create function postrider.sees_shared(tenant text) returns boolean
language c stable parallel safe leakproof
as 'MODULE_PATHNAME', 'postrider_sees_shared_sql';
comment on function postrider.sees_shared(text) is
'As sees_tenant(), but what belongs to no tenant (NULL) is for all.';

create function postrider.sees_payloads() returns boolean
language c stable parallel restricted
as 'MODULE_PATHNAME', 'postrider_sees_payloads_sql';
comment on function postrider.sees_payloads() is
'True if the user may see payloads and what quotes them: a member of postrider_payload_reader, or a superuser.';

create function postrider.readable_error(error_code text, error text) returns text
language c stable parallel restricted
as 'MODULE_PATHNAME', 'postrider_readable_error';
comment on function postrider.readable_error(text, text) is
'The error of an attempt, unless it may quote the payload or the response and the user may not see those.';

create function postrider.require_owner(relation regclass) returns void
language c stable strict
as 'MODULE_PATHNAME', 'postrider_require_owner_sql';
comment on function postrider.require_owner(regclass) is
'Raises an error if the user does not own the table and is in no role that does. Part of watch().';
-- Message ids: version-7 UUIDs from the shared clock.

create function postrider.next_id() returns uuid
language c volatile strict parallel unsafe
as 'MODULE_PATHNAME', 'postrider_next_id';
comment on function postrider.next_id() is
'A new message id: a version-7 UUID, above every id that this server has given out before.';

create function postrider.id_time(id uuid) returns timestamptz
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_id_time';
comment on function postrider.id_time(uuid) is
'The time that a version-7 UUID carries, in whole milliseconds.';

create function postrider.id_floor(at timestamptz) returns uuid
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_id_floor';
comment on function postrider.id_floor(timestamptz) is
'The smallest version-7 UUID of that millisecond: the bound between ids before and from that time.';
-- Formats and patterns of JSON Schema.

create function postrider.is_format(value text, format text) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_is_format';
comment on function postrider.is_format(text, text) is
'True if the value is of the format, one of those of JSON Schema 2020-12, such as email, date-time or uuid.';

create function postrider.matches(value text, pattern text) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_matches';
comment on function postrider.matches(text, text) is
'True if the value contains a match of the pattern, an ECMAScript regular expression with the flag u, as in JSON Schema.';
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
-- Schemas of topics: trying payloads, comparing versions.

create function postrider.compare_schema(old_schema jsonb, new_schema jsonb)
returns table (location text, change text, compatible boolean, message text)
language c stable strict parallel safe rows 10
as 'MODULE_PATHNAME', 'postrider_compare_schema';
comment on function postrider.compare_schema(jsonb, jsonb) is
'What changes from one JSON Schema to another, and whether each change is backward compatible: nothing that was valid before becomes invalid. What cannot be decided counts as incompatible. At most 1,000 rows.';

create function postrider.is_compatible(old_schema jsonb, new_schema jsonb) returns boolean
language c stable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_is_compatible';
comment on function postrider.is_compatible(jsonb, jsonb) is
'True if it is proven that everything that is valid under the old JSON Schema is valid under the new one. See compare_schema() for the reasons.';

create function postrider.validate_topic(topic text, payload jsonb)
returns table (instance_location text, keyword_location text, keyword text, message text)
language c stable strict parallel safe rows 5
as 'MODULE_PATHNAME', 'postrider_validate_topic';
comment on function postrider.validate_topic(text, jsonb) is
'What is wrong with a payload by the schema of its topic; no row if it may be emitted. Nothing is sent.';
-- Checks and conversions of single values.

create function postrider.is_email(value text) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_sql_is_email';
comment on function postrider.is_email(text) is
'True if the text has the form of an e-mail address, with a domain of two words or more; spaces around it are not allowed.';

create function postrider.is_url(value text) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_sql_is_url';
comment on function postrider.is_url(text) is
'True if the text is an address with http or https and a host.';

create function postrider.is_uuid(value text) returns boolean
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_sql_is_uuid';
comment on function postrider.is_uuid(text) is
'True if the text is a UUID in its usual form, 36 characters long.';

create function postrider.is_phone(value text, default_country text default null) returns boolean
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_sql_is_phone';
comment on function postrider.is_phone(text, text) is
'True if a country has telephone numbers of this length and beginning. Without a default country (ISO 3166) the number needs its country code.';

create function postrider.normalize_email(value text) returns text
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_sql_normalize_email';
comment on function postrider.normalize_email(text) is
'The e-mail address, trimmed and in lower case; an error if it is none.';

create function postrider.normalize_phone(value text, default_country text default null) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_sql_normalize_phone';
comment on function postrider.normalize_phone(text, text) is
'The telephone number in the form of E.164, such as +33612345678, without an extension; an error if it is none.';

create function postrider.convert_date(value text, from_format text, to_format text, time_zone text default 'UTC')
returns text
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_sql_convert_date';
comment on function postrider.convert_date(text, text, text, text) is
'A date from one format to another, strictly: iso, date, datetime, epoch, epoch_ms or patterns of to_char. Settings of the session do not matter; times without a zone are in time_zone, and so is what is written.';

create function postrider.hash_identifier(value text) returns text
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_sql_hash_identifier';
comment on function postrider.hash_identifier(text) is
'SHA-256 in hexadecimal digits of the text trimmed and in lower case, as ad platforms want identifiers.';

create function postrider.convert(value jsonb, steps jsonb) returns jsonb
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_sql_convert';
comment on function postrider.convert(jsonb, jsonb) is
'Tries conversions as "apply" of a mapping has them: a name, an object such as {"left": 5}, or a list of both.';

create function postrider.check_value(value jsonb, checks jsonb) returns text
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_sql_check_value';
comment on function postrider.check_value(jsonb, jsonb) is
'Tries a check as "check" of a mapping has it: null if the value passes, else what is wrong with it.';

create function postrider.conversions(out name text, out arguments text, out description text, out example text)
returns setof record
language c immutable parallel safe rows 80
as 'MODULE_PATHNAME', 'postrider_sql_conversions';
comment on function postrider.conversions() is
'The conversions that there are. An example is a list of a value and a step: SELECT postrider.convert(example::jsonb -> 0, example::jsonb -> 1).';

create function postrider.checks(out name text, out description text, out example text)
returns setof record
language c immutable parallel safe rows 40
as 'MODULE_PATHNAME', 'postrider_sql_checks';
comment on function postrider.checks() is
'The checks that there are.';
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
'Field mappings. A version never changes; insert a row with the same name, and it becomes the next version.';
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
-- Templates of requests.

create function postrider.render(template text, payload jsonb, context text default 'text',
	topic text default null, key text default null, tenant text default null,
	endpoint text default null, id uuid default null)
returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_render';
comment on function postrider.render(text, jsonb, text, text, text, text, text, uuid) is
'The template with values of the payload, and of the message if they are given, escaped as the context demands: text, url, form, json, xml, header, or the content type of a body. So url, headers and body_template of an endpoint can be tried.';
-- Secrets: only ciphertext is stored.

create table postrider.secret (
	name text primary key
		constraint secret_name_not_empty check (name operator(pg_catalog.<>) ''),
	tenant text,
	source jsonb,
	description text,
	expires_at timestamptz,
	warn_before interval not null default '14 days'
		constraint secret_warn_before check (warn_before operator(pg_catalog.>=) interval '0'),
	announced text
		constraint secret_announced check (announced operator(pg_catalog.=) any (array['expiring', 'expired'])),
	created_at timestamptz not null default pg_catalog.now(),
	updated_at timestamptz not null default pg_catalog.now()
);
comment on table postrider.secret is
'Secrets: values that sign or authenticate. Their values are in postrider.secret_version, encrypted, or in a store outside of the database. Written by postrider.set_secret().';
comment on column postrider.secret.name is 'The name by which endpoints refer to the secret.';
comment on column postrider.secret.tenant is 'The tenant that the secret belongs to.';
comment on column postrider.secret.source is 'Where the value is if it is not here: a store outside of the database.';
comment on column postrider.secret.description is 'For people; it can be changed by UPDATE.';
comment on column postrider.secret.expires_at is 'From then on the newest value is not used. It can be changed by UPDATE.';
comment on column postrider.secret.warn_before is 'So long before it expires a message is sent on the topic postrider.secret.expiring.';
comment on column postrider.secret.announced is 'What has been said about the end of the newest value: expiring, expired, or nothing yet.';
comment on column postrider.secret.created_at is 'When the secret was first set.';
comment on column postrider.secret.updated_at is 'When the value was last set.';

create table postrider.secret_version (
	name text not null references postrider.secret (name) on delete cascade,
	version integer not null
		constraint secret_version_number check (version operator(pg_catalog.>) 0),
	ciphertext bytea not null,
	retires_at timestamptz,
	created_at timestamptz not null default pg_catalog.now(),
	primary key (name, version)
);
comment on table postrider.secret_version is
'Values of secrets, encrypted with AES-256-GCM; the key is outside of the database, see postrider.key_file and postrider.key_command.';
comment on column postrider.secret_version.name is 'The secret.';
comment on column postrider.secret_version.version is 'Goes up with each new value. Name and version are part of what is authenticated, so a ciphertext cannot be moved to another secret or version.';
comment on column postrider.secret_version.ciphertext is 'Format version (1 byte), id of the key (4), nonce (12), ciphertext, tag (16).';
comment on column postrider.secret_version.retires_at is 'A newer value has come: this one is used until then, and then deleted. NULL: it is the newest.';
comment on column postrider.secret_version.created_at is 'When the value was set.';

create function postrider.set_secret(name text, value text default null, overlap interval default '1 day',
	expires_at timestamptz default null, warn_before interval default null, description text default null,
	tenant text default null) returns text
language c volatile parallel unsafe security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_set_secret';
comment on function postrider.set_secret(text, text, interval, timestamptz, interval, text, text) is
'Stores a value: a signing secret (whsec_ and base64), or anything else that authenticates. The value before stays in force for the time of the overlap: both sign. Without a value a random signing secret is made and returned, this once; otherwise NULL is returned.';

create function postrider.rotate_key() returns bigint
language c volatile parallel unsafe security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_rotate_key';
comment on function postrider.rotate_key() is
'Makes a new key that encrypts secrets, and encrypts all of this database with it, in one transaction; returns how many values. The old key stays in the key file until postrider.drop_old_keys(). With postrider.key_command the new key is the first that it prints.';

create function postrider.drop_keys() returns integer
language c volatile parallel unsafe
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_drop_keys';
comment on function postrider.drop_keys() is
'For drop_old_keys(): takes all keys but the current one out of the key file.';

create function postrider.public_key(name text) returns text
language c stable strict parallel restricted security definer
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_public_key';
comment on function postrider.public_key(text) is
'The public key (whpk_) of a secret with a private key of ed25519, for receivers that check signatures with it.';
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
-- Endpoints: places to deliver to, with their policy.

create function postrider.check_endpoint() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_check_endpoint';
comment on function postrider.check_endpoint() is
'Trigger: refuses an endpoint that could not work, and says what to write instead.';

create table postrider.endpoint (
	id integer generated always as identity primary key
		constraint endpoint_id check (id operator(pg_catalog.>) 0),
	name text not null unique,
	tenant text,
	url text not null,
	method text not null default 'POST',
	headers jsonb,
	timeout interval not null default '20 seconds',
	max_attempts integer not null default 12,
	backoff_base interval not null default '5 seconds',
	backoff_max interval not null default '12 hours',
	retry_schedule interval[],
	max_in_flight integer not null default 16,
	rate_limit integer,
	rate_period interval not null default '1 second',
	rate_burst integer,
	rate_limits text,
	rate_group text,
	warn_at double precision default 0.8,
	breaker_share double precision default 0.5,
	breaker_min_count integer not null default 20,
	breaker_window interval not null default '1 minute',
	breaker_open interval not null default '5 seconds',
	breaker_open_max interval not null default '5 minutes',
	disable_after interval default '5 days',
	ordered boolean not null default false,
	on_dead text not null default 'block',
	"coalesce" boolean not null default false,
	batch_size integer,
	batch_bytes integer,
	batch_delay interval,
	batch_format text,
	batch_template text,
	batch_failed jsonpath,
	batch_error jsonpath,
	format text,
	body_template text,
	content_type text,
	idempotency_key text,
	response_rules jsonb,
	response_excerpt_bytes integer not null default 1024,
	reply_topic text,
	run_as text,
	proxy text,
	proxy_secret text references postrider.secret (name),
	signing_secret text references postrider.secret (name),
	signing jsonb,
	auth jsonb,
	ca_certificate text,
	enabled boolean not null default true,
	disabled_reason text,
	paused_at timestamptz,
	pause_reason text,
	description text,
	created_at timestamptz not null default pg_catalog.now()
);
comment on table postrider.endpoint is
'Places to deliver to. Insert, update and delete rows; the worker follows at commit.';
comment on column postrider.endpoint.id is 'Number of the endpoint, as in attempt and pending.';
comment on column postrider.endpoint.name is 'Name by which subscriptions and postrider.send() refer to it; it cannot be changed.';
comment on column postrider.endpoint.tenant is 'If set, the endpoint gets only messages of this tenant.';
comment on column postrider.endpoint.url is 'Where to send: an http or https URL without user info; path and query may have values from the message: /contacts/{{key}}?since={{$.since}}. Or function:schema.name(postrider.message), see postrider.on_message().';
comment on column postrider.endpoint.method is 'HTTP method: POST, PUT, PATCH, GET or DELETE.';
comment on column postrider.endpoint.headers is 'Headers added to every request: a JSON object of strings. They replace postrider''s own Content-Type and User-Agent; headers of a message replace these.';
comment on column postrider.endpoint.timeout is 'Time for one attempt, from connect to the last byte of the response.';
comment on column postrider.endpoint.max_attempts is 'After so many failed attempts the delivery becomes a dead letter.';
comment on column postrider.endpoint.backoff_base is 'Upper bound of the wait after the first failed attempt; it doubles with each further one. The wait is drawn evenly between zero and the bound.';
comment on column postrider.endpoint.backoff_max is 'The bound never grows above this.';
comment on column postrider.endpoint.retry_schedule is 'If set, the exact waits after the first, second, ... failed attempt in place of the formula; the last one repeats.';
comment on column postrider.endpoint.max_in_flight is 'At most so many requests at the same time. The worker begins with a few and grows to this while the receiver keeps answering as fast.';
comment on column postrider.endpoint.rate_limit is 'At most so many requests in any time of rate_period, spread evenly over it; NULL: no limit.';
comment on column postrider.endpoint.rate_period is 'The time that rate_limit is for.';
comment on column postrider.endpoint.rate_burst is 'So many requests of rate_limit may go at once; NULL: spread evenly.';
comment on column postrider.endpoint.rate_limits is 'Further limits, such as ''100 per 10 s burst 20, 250000 per day''. All hold at once. The shortest one is spread evenly, and those with the word spread; the others are used as needed.';
comment on column postrider.endpoint.rate_group is 'Endpoints with the same text here share their limits, as they belong to one account of the receiver; the limits of all of them hold.';
comment on column postrider.endpoint.warn_at is 'Share of a limit, from 0 to 1, that brings a warning when it is used; NULL: never.';
comment on column postrider.endpoint.breaker_share is 'Share of failed requests, from 0 to 1, that opens the circuit breaker; NULL: no breaker.';
comment on column postrider.endpoint.breaker_min_count is 'The breaker opens only after so many requests in breaker_window.';
comment on column postrider.endpoint.breaker_window is 'The breaker looks at the requests of this time.';
comment on column postrider.endpoint.breaker_open is 'The breaker stays open so long, then one request is tried; it doubles each time that it fails.';
comment on column postrider.endpoint.breaker_open_max is 'The breaker never stays open longer than this without a try.';
comment on column postrider.endpoint.disable_after is 'The endpoint is disabled when every request has failed for so long (and at least ten have); NULL: never.';
comment on column postrider.endpoint.ordered is 'True: messages of one key go strictly in the order of their ids, one at a time; other keys flow on.';
comment on column postrider.endpoint.on_dead is 'For ordered: block: what is behind a dead message of its key waits until that is retried or purged; skip: it goes on.';
comment on column postrider.endpoint."coalesce" is 'True: of several messages of one key that wait, only the newest is sent; the others end as superseded.';
comment on column postrider.endpoint.batch_size is 'At most so many messages in one request, from 2 to 1000; NULL: one.';
comment on column postrider.endpoint.batch_bytes is 'At most so many bytes in the body of a batch; NULL: 1 MB.';
comment on column postrider.endpoint.batch_delay is 'A message waits so long for others to go with it; NULL: not at all.';
comment on column postrider.endpoint.batch_format is 'json-array, ndjson, or envelope: batch_template with the records in it.';
comment on column postrider.endpoint.batch_template is 'Body of a batch, with {{records}} where the JSON array of records goes.';
comment on column postrider.endpoint.batch_failed is 'Path in the response to what failed: positions of records from 0, such as $.errors[*].index, or false for each record that failed, or strings that the records have as a value; only those are retried.';
comment on column postrider.endpoint.batch_error is 'Path in the response to the reasons, one for each failure, such as $.errors[*].message.';
comment on column postrider.endpoint.format is 'What is sent: standard-webhooks (the default), cloudevents, cloudevents-binary, raw (the payload), form (its members), template (body_template) or none (the default of GET and DELETE).';
comment on column postrider.endpoint.body_template is 'Body with values from the message, escaped as the content_type demands: {"query": "...", "variables": {"email": {{$.email}}}}.';
comment on column postrider.endpoint.content_type is 'Content-Type of requests; NULL: what the format has.';
comment on column postrider.endpoint.idempotency_key is 'Name of a header that carries the id of the message, such as Idempotency-Key; NULL: none.';
comment on column postrider.endpoint.response_rules is 'What responses mean where the status does not say it: a list of conditions and actions, of which the first that holds decides; see doc/response_rules.md.';
comment on column postrider.endpoint.response_excerpt_bytes is 'So many bytes of the response of a failed attempt are kept in attempt and dead_letter, from 0 to 65536.';
comment on column postrider.endpoint.reply_topic is 'If set, the response of each delivered message is emitted as a message of this topic, with the key and tenant of the message.';
comment on column postrider.endpoint.run_as is 'For functions: the role as which it is called; NULL: the one that writes the row, which must be a member of it.';
comment on column postrider.endpoint.proxy is 'Proxy for its requests: a URL such as http://proxy.example.com:3128, https or socks5h, without user and password; or none; NULL: the setting postrider.proxy.';
comment on column postrider.endpoint.proxy_secret is 'Name of the secret that holds user:password for the proxy.';
comment on column postrider.endpoint.signing_secret is 'Name of the secret that signs requests (Standard Webhooks); without one, requests are not signed.';
comment on column postrider.endpoint.signing is 'Further signatures, one object or an array: {"type": "github", "secret": "name"}; types are standard-webhooks, http-message-signatures, github and stripe. See doc/authentication.md.';
comment on column postrider.endpoint.auth is 'How requests authenticate, one object or an array of objects that are combined: {"type": "bearer", "secret": "name"}. Values are in secrets, here are their names. See doc/authentication.md.';
comment on column postrider.endpoint.ca_certificate is 'Certificates in PEM of the only authorities that this endpoint''s certificate may be from; NULL: those that the system trusts.';
comment on column postrider.endpoint.enabled is 'While false nothing is sent; what is owed is held, and flows when the endpoint is enabled again.';
comment on column postrider.endpoint.disabled_reason is 'Why the worker disabled the endpoint, if it did.';
comment on column postrider.endpoint.paused_at is 'While set nothing is sent; what is owed is held. See postrider.pause() and resume().';
comment on column postrider.endpoint.pause_reason is 'Why it was paused, as said to postrider.pause().';
comment on column postrider.endpoint.description is 'For people.';
comment on column postrider.endpoint.created_at is 'When the row was written.';

create trigger check_endpoint before insert or update on postrider.endpoint
	for each row execute function postrider.check_endpoint();
-- Credentials: access tokens and what else is fetched and good for some time.

create table postrider.credential (
	id text primary key,
	kind text not null,
	server text not null,
	secrets text[] not null default '{}',
	revision bigint not null default 1,
	ciphertext bytea,
	fetched_at timestamptz,
	renew_at timestamptz,
	good_until timestamptz,
	expires_at timestamptz,
	after_rejection boolean not null default false,
	failures integer not null default 0,
	breaker bytea,
	open_until timestamptz,
	last_error text,
	last_error_at timestamptz,
	retry_at timestamptz,
	inputs text,
	lease_until timestamptz,
	leased_by integer
) with (fillfactor = 50);
comment on table postrider.credential is
'Credentials that workers have fetched, encrypted, and how that went. Written by the workers; the view postrider.credential_status is for people.';
comment on column postrider.credential.id is 'Hash of its kind and description: endpoints with the same description share it.';
comment on column postrider.credential.kind is 'What it is, such as oauth2_client_credentials.';
comment on column postrider.credential.server is 'Whom the workers ask.';
comment on column postrider.credential.secrets is 'Names of the secrets that are needed for that.';
comment on column postrider.credential.revision is 'Goes up with each change, so that workers see that there is one.';
comment on column postrider.credential.ciphertext is 'The value, encrypted as secrets are; the id is part of what is authenticated.';
comment on column postrider.credential.fetched_at is 'When the value was fetched.';
comment on column postrider.credential.renew_at is 'From then on the next use has it renewed.';
comment on column postrider.credential.good_until is 'From then on it is not used any more.';
comment on column postrider.credential.expires_at is 'When it expires, by what the server said, or an hour after it was fetched.';
comment on column postrider.credential.after_rejection is 'It was fetched because a receiver rejected the one before.';
comment on column postrider.credential.failures is 'Failures in a row.';
comment on column postrider.credential.breaker is 'State of the circuit breaker, in a form of its own.';
comment on column postrider.credential.open_until is 'Until when the circuit breaker is open.';
comment on column postrider.credential.last_error is 'What went wrong last.';
comment on column postrider.credential.last_error_at is 'When that was.';
comment on column postrider.credential.retry_at is 'It is not tried again before.';
comment on column postrider.credential.inputs is 'Versions of the secrets at the last failure: with others it is tried at once.';
comment on column postrider.credential.lease_until is 'A worker fetches it, and has so long.';
comment on column postrider.credential.leased_by is 'Process id of that worker.';

create function postrider.credential_ids(auth jsonb) returns text[]
language c immutable parallel safe strict
as 'MODULE_PATHNAME', 'postrider_credential_ids';
comment on function postrider.credential_ids(jsonb) is
'The ids of the credentials that an endpoint with this auth needs.';

create view postrider.credential_status with (security_barrier) as
select c.id, c.kind, c.server, c.secrets, e.endpoints,
	case when c.lease_until > pg_catalog.now() then 'fetching'
		when c.open_until > pg_catalog.now() then 'open'
		when c.ciphertext is not null and c.good_until > pg_catalog.now()
			then case when c.failures > 0 then 'renewal failing' else 'ok' end
		when c.failures > 0 then 'failing'
		when c.ciphertext is not null then 'expired' else 'none' end as state,
	c.fetched_at, c.expires_at, c.renew_at, c.failures, c.open_until, c.retry_at,
	c.last_error, c.last_error_at
from postrider.credential c
cross join lateral (
	select pg_catalog.array_agg(u.name order by u.name) as endpoints
	from postrider.endpoint u where c.id operator(pg_catalog.=) any (postrider.credential_ids(u.auth))
		and postrider.sees_tenant(u.tenant)) e
where postrider.bound_tenant() is null or e.endpoints is not null;
comment on view postrider.credential_status is
'The credentials that workers fetch, such as access tokens: how each stands.';
comment on column postrider.credential_status.id is 'Hash of its kind and description.';
comment on column postrider.credential_status.kind is 'What it is, such as oauth2_client_credentials.';
comment on column postrider.credential_status.server is 'Whom the workers ask.';
comment on column postrider.credential_status.secrets is 'Names of the secrets that are needed for that.';
comment on column postrider.credential_status.endpoints is 'Endpoints whose auth needs it.';
comment on column postrider.credential_status.state is 'ok; fetching; expired (the next use fetches it); renewal failing (the value is still good); failing; open (its circuit breaker is open); none (it was thrown away, or never fetched).';
comment on column postrider.credential_status.fetched_at is 'When the value was fetched.';
comment on column postrider.credential_status.expires_at is 'When it expires.';
comment on column postrider.credential_status.renew_at is 'From then on the next use has it renewed.';
comment on column postrider.credential_status.failures is 'Failures in a row.';
comment on column postrider.credential_status.open_until is 'Until when the circuit breaker is open.';
comment on column postrider.credential_status.retry_at is 'It is not tried again before.';
comment on column postrider.credential_status.last_error is 'What went wrong last.';
comment on column postrider.credential_status.last_error_at is 'When that was.';

create function postrider.credentials_changed() returns void
language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'postrider_credentials_changed';
comment on function postrider.credentials_changed() is
'Has the workers look at the table postrider.credential when the transaction commits.';

create function postrider.renew_credential(id text) returns boolean
language plpgsql volatile parallel unsafe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
	update postrider.credential c
	set ciphertext = null, failures = 0, breaker = null, open_until = null, retry_at = null,
		inputs = null, revision = c.revision + 1
	where c.id = renew_credential.id
	and (postrider.bound_tenant() is null or exists (select from postrider.credential_status v where v.id = c.id));
	if not found then
		return false;
	end if;
	perform postrider.credentials_changed();
	return true;
end
$$;
comment on function postrider.renew_credential(text) is
'Throws a credential away, with what is known of failures, so that the next use fetches it. False if there is none.';
-- How the sources of secrets stand.

create function postrider.source_credential(source jsonb) returns table (id text, place text)
language c stable parallel safe strict rows 1
set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'postrider_source_credential';
comment on function postrider.source_credential(jsonb) is
'The id in postrider.credential of what is fetched for a source, and the place where it is; no row if the source cannot be used.';

create view postrider.secret_source_status with (security_barrier) as
select s.name, s.tenant, s.source operator(pg_catalog.->>) 'store' as store, p.place,
	case when p.id is null then 'unusable'
		when s.source operator(pg_catalog.->>) 'store' operator(pg_catalog.=) any (array['file', 'environment']) then 'read where it is used'
		else coalesce(c.state, 'none') end as state,
	c.fetched_at, c.renew_at, c.expires_at, c.failures, c.open_until, c.retry_at, c.last_error, c.last_error_at
from postrider.secret s
left join lateral postrider.source_credential(s.source) p on true
left join postrider.credential_status c on c.id operator(pg_catalog.=) p.id
where s.source is not null and postrider.sees_tenant(s.tenant);
comment on view postrider.secret_source_status is 'Secrets whose values are in stores outside of the database, and how fetching them goes; never a value.';
comment on column postrider.secret_source_status.name is 'Name of the secret.';
comment on column postrider.secret_source_status.tenant is 'The tenant that it belongs to.';
comment on column postrider.secret_source_status.store is 'vault, aws, azure, file or environment.';
comment on column postrider.secret_source_status.place is 'The URL, path or variable where it is.';
comment on column postrider.secret_source_status.state is 'As in credential_status: ok, fetching, expired (the next use fetches it), renewal failing (the value is still used), failing, open (its circuit breaker is), none (nobody has needed it yet). Also: unusable (the source cannot be read), read where it is used (files and variables, which are not stored).';
comment on column postrider.secret_source_status.fetched_at is 'When the value was fetched.';
comment on column postrider.secret_source_status.renew_at is 'From then on the next use has it fetched anew.';
comment on column postrider.secret_source_status.expires_at is 'Until when it is used if the store does not answer.';
comment on column postrider.secret_source_status.failures is 'Failures in a row.';
comment on column postrider.secret_source_status.open_until is 'Until when its circuit breaker is open.';
comment on column postrider.secret_source_status.retry_at is 'The store is not asked again before.';
comment on column postrider.secret_source_status.last_error is 'What went wrong last.';
comment on column postrider.secret_source_status.last_error_at is 'When that was.';
-- Subscriptions: which topics go to which endpoint.

create function postrider.check_subscription() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_check_subscription';
comment on function postrider.check_subscription() is
'Trigger: refuses a subscription whose topic is no topic pattern, or whose endpoint or mapping does not exist.';

create table postrider.subscription (
	id integer generated always as identity primary key,
	topic text not null,
	endpoint text not null references postrider.endpoint (name) on delete cascade,
	filter jsonpath,
	mapping text,
	mapping_version integer,
	enabled boolean not null default true,
	after_id uuid not null default postrider.next_id(),
	description text,
	created_at timestamptz not null default pg_catalog.now(),
	constraint subscription_mapping_version check (mapping_version is null or mapping is not null),
	constraint subscription_mapping foreign key (mapping, mapping_version) references postrider.mapping (name, version)
);
create index on postrider.subscription (endpoint);
comment on table postrider.subscription is
'Which topics go to which endpoint. An endpoint that several subscriptions name gets a message once.';
comment on column postrider.subscription.id is 'Number of the subscription.';
comment on column postrider.subscription.topic is 'Topic or pattern: order.paid, order.* (one word), order.** (any number of words).';
comment on column postrider.subscription.endpoint is 'Name of the endpoint.';
comment on column postrider.subscription.filter is 'If set, only payloads that it lets through are sent: a predicate such as $.record.total > 100, or a path that must find something.';
comment on column postrider.subscription.mapping is 'If set, name of the mapping by which payloads become what is sent.';
comment on column postrider.subscription.mapping_version is 'Version of the mapping; NULL: the newest one.';
comment on column postrider.subscription.enabled is 'While false the subscription matches nothing.';
comment on column postrider.subscription.after_id is 'Only messages with an id above this one match: those emitted after the subscription was made.';
comment on column postrider.subscription.description is 'For people.';
comment on column postrider.subscription.created_at is 'When the row was written.';

create trigger check_subscription before insert or update on postrider.subscription
	for each row execute function postrider.check_subscription();

create function postrider.keep_used_mapping() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	used record;
begin
	select s.id, s.endpoint into used from postrider.subscription s
	where s.mapping = old.name
	and not exists (select from postrider.mapping m where m.name = old.name)
	limit 1;
	if found then
		raise foreign_key_violation using
			message = format('mapping "%s" is used by subscription %s of endpoint "%s"', old.name, used.id, used.endpoint),
			hint = 'Give the subscription another mapping first, or none.';
	end if;
	return null;
end
$$;
comment on function postrider.keep_used_mapping() is
'Trigger: refuses to delete the last version of a mapping that a subscription names.';
create trigger keep_used_mapping after delete on postrider.mapping
	for each row execute function postrider.keep_used_mapping();
-- The log: what was emitted, and every attempt at delivering it.

create table postrider.message (
	id uuid not null default postrider.next_id() primary key,
	xid xid8 not null default pg_catalog.pg_current_xact_id(),
	topic text not null,
	endpoint text,
	key text,
	tenant text,
	payload jsonb not null,
	headers jsonb,
	deliver_at timestamptz,
	expires_at timestamptz,
	traceparent text,
	priority smallint,
	removed text
) partition by range (id);
create index message_xid_idx on postrider.message (xid);
comment on table postrider.message is
'Every message that was emitted, kept for postrider.retention. Append-only: whole days are dropped at once. Only the data of a message may go before, see the column removed.';
comment on column postrider.message.id is 'Version-7 UUID; ids rise in the order in which messages were emitted.';
comment on column postrider.message.xid is 'The transaction that emitted the message.';
comment on column postrider.message.topic is 'What happened, such as order.paid.';
comment on column postrider.message.endpoint is 'Set for a message sent to one endpoint by postrider.send(); subscriptions do not apply to it.';
comment on column postrider.message.key is 'Key of the thing that the message is about, for order and for look-up.';
comment on column postrider.message.tenant is 'The brand or customer that the message belongs to.';
comment on column postrider.message.payload is 'The data.';
comment on column postrider.message.headers is 'Headers for this message''s requests: a JSON object of strings.';
comment on column postrider.message.deliver_at is 'Not to be sent before this time.';
comment on column postrider.message.expires_at is 'Not to be sent after this time.';
comment on column postrider.message.traceparent is 'W3C trace context of the emitter.';
comment on column postrider.message.priority is '0 bulk, 1 normal (as is NULL), 2 high, 3 critical: what is high or critical goes before the others that wait for the same endpoint.';

comment on column postrider.message.removed is 'NULL: the message is whole. erased: postrider.erase() took payload, headers and key. expired: postrider.payload_retention took payload and headers. Such a message is never sent again.';

create table postrider.attempt (
	message_id uuid not null,
	started_at timestamptz not null,
	endpoint_id integer not null,
	duration_ms real,
	attempt smallint not null,
	status_code smallint,
	outcome text not null
		constraint attempt_outcome check (outcome operator(pg_catalog.=) any (array['delivered', 'retry', 'dead', 'expired', 'cancelled', 'superseded'])),
	error_code text,
	error text,
	response text,
	request_id uuid
) partition by range (message_id);
create index attempt_message_id_idx on postrider.attempt (message_id);
comment on table postrider.attempt is
'Every try at a delivery and what came of it. Append-only, kept as long as its message.';
comment on column postrider.attempt.message_id is 'The message.';
comment on column postrider.attempt.started_at is 'When the attempt began.';
comment on column postrider.attempt.endpoint_id is 'The endpoint.';
comment on column postrider.attempt.duration_ms is 'How long it took, in milliseconds.';
comment on column postrider.attempt.attempt is 'Counts the attempts at this delivery from 1; 0 where nothing was sent. It stops at 32767.';
comment on column postrider.attempt.status_code is 'HTTP status, if there was a response.';
comment on column postrider.attempt.outcome is 'delivered; retry (failed, will be tried again); dead (given up); expired; cancelled; superseded (a newer message of its key is sent in its place).';
comment on column postrider.attempt.error_code is 'What went wrong, in one word: http_503, timeout, connect, tls, dns, address_refused, ...';
comment on column postrider.attempt.error is 'What went wrong, in a sentence.';
comment on column postrider.attempt.response is 'The beginning of the response body, kept when the attempt failed.';
comment on column postrider.attempt.request_id is 'Shared by messages that went in one request; NULL where a request carries one message.';

create table postrider.message_default partition of postrider.message default;
create table postrider.attempt_default partition of postrider.attempt default;
comment on table postrider.message_default is 'Messages of days whose partition was not made in time.';
comment on table postrider.attempt_default is 'Attempts at messages of days whose partition was not made in time.';

create function postrider.message_written() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_message_written';
comment on function postrider.message_written() is
'Trigger: wakes the worker at commit.';
create trigger message_written after insert on postrider.message
	for each statement execute function postrider.message_written();
alter table postrider.message enable always trigger message_written;

create table postrider.deduplication (
	tenant text,
	topic text not null,
	dedup_key text not null,
	message_id uuid not null,
	expires_at timestamptz not null,
	constraint deduplication_key unique nulls not distinct (tenant, topic, dedup_key)
);
create index on postrider.deduplication (expires_at);
comment on table postrider.deduplication is
'Deduplication keys in use: an emit with a key that is here returns the id that is here and emits nothing.';
comment on column postrider.deduplication.tenant is 'Tenant of the message.';
comment on column postrider.deduplication.topic is 'Topic of the message; for postrider.send() topic@endpoint.';
comment on column postrider.deduplication.dedup_key is 'The key that the emitter gave.';
comment on column postrider.deduplication.message_id is 'The message that was emitted.';
comment on column postrider.deduplication.expires_at is 'From then on the key may be used again.';
-- What is still owed and not in a worker's memory, and what was given up.

create table postrider.pending (
	message_id uuid not null,
	endpoint_id integer not null,
	due_at timestamptz not null,
	attempts integer not null default 0,
	reason text not null
		constraint pending_reason check (reason operator(pg_catalog.=) any (array['scheduled', 'retry', 'overflow', 'held', 'ordered', 'replay', 'in_flight'])),
	key text,
	topic text,
	tenant text,
	payload jsonb,
	headers jsonb,
	expires_at timestamptz,
	traceparent text,
	priority smallint,
	mapping text,
	mapping_version integer,
	primary key (message_id, endpoint_id)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500, fillfactor = 80);
create index pending_endpoint_id_due_at_idx on postrider.pending (endpoint_id, due_at);
create index pending_urgent_idx on postrider.pending (endpoint_id, due_at) where priority operator(pg_catalog.>) 1;
create index pending_key_idx on postrider.pending (endpoint_id, key, message_id) where key is not null;
comment on table postrider.pending is
'Deliveries that are owed later: retries, scheduled messages, what a slow endpoint could not take yet, what is held for a disabled one.';
comment on column postrider.pending.message_id is 'The message.';
comment on column postrider.pending.endpoint_id is 'The endpoint.';
comment on column postrider.pending.due_at is 'Not to be sent before; infinity while held.';
comment on column postrider.pending.attempts is 'Attempts made so far.';
comment on column postrider.pending.reason is 'scheduled, retry, overflow (the endpoint is slow), held (it is disabled), ordered (an earlier one must go first), replay (asked for by postrider.replay()), in_flight (a worker is at it; the row is its lease).';
comment on column postrider.pending.key is 'Key of the message.';
comment on column postrider.pending.topic is 'This and the next columns: a copy of the message, filled when the log no longer holds it.';
comment on column postrider.pending.tenant is 'Copy of the message.';
comment on column postrider.pending.payload is 'Copy of the message.';
comment on column postrider.pending.headers is 'Copy of the message.';
comment on column postrider.pending.expires_at is 'Copy of the message.';
comment on column postrider.pending.traceparent is 'Copy of the message.';
comment on column postrider.pending.priority is 'Priority of the message.';
comment on column postrider.pending.mapping is 'Name of the mapping by which the payload becomes what is sent, if any.';
comment on column postrider.pending.mapping_version is 'Version of the mapping; NULL: the newest one.';

create table postrider.dead_letter (
	message_id uuid not null,
	endpoint_id integer not null,
	reason text not null
		constraint dead_letter_reason check (reason operator(pg_catalog.=) any (array['dead', 'expired'])),
	attempts integer not null,
	status_code smallint,
	error_code text,
	error text,
	response text,
	died_at timestamptz not null default pg_catalog.now(),
	topic text not null,
	key text,
	tenant text,
	payload jsonb not null,
	headers jsonb,
	expires_at timestamptz,
	traceparent text,
	priority smallint,
	mapping text,
	mapping_version integer,
	primary key (message_id, endpoint_id)
);
create index on postrider.dead_letter (endpoint_id, died_at);
create index on postrider.dead_letter (endpoint_id, key, message_id) where key is not null;
comment on table postrider.dead_letter is
'Deliveries that were given up, with the reason and a copy of the message. postrider.retry() sends one again; deleting a row forgets it.';
comment on column postrider.dead_letter.message_id is 'The message.';
comment on column postrider.dead_letter.endpoint_id is 'The endpoint.';
comment on column postrider.dead_letter.reason is 'dead (refused, or tried too often) or expired.';
comment on column postrider.dead_letter.attempts is 'Attempts made.';
comment on column postrider.dead_letter.status_code is 'HTTP status of the last attempt.';
comment on column postrider.dead_letter.error_code is 'Error of the last attempt, in one word.';
comment on column postrider.dead_letter.error is 'Error of the last attempt, in a sentence.';
comment on column postrider.dead_letter.response is 'The beginning of the response of the last attempt, if there was one.';
comment on column postrider.dead_letter.died_at is 'When it was given up.';
comment on column postrider.dead_letter.topic is 'This and the next columns: a copy of the message.';
comment on column postrider.dead_letter.key is 'Copy of the message.';
comment on column postrider.dead_letter.tenant is 'Copy of the message.';
comment on column postrider.dead_letter.payload is 'Copy of the message.';
comment on column postrider.dead_letter.headers is 'Copy of the message.';
comment on column postrider.dead_letter.expires_at is 'Copy of the message.';
comment on column postrider.dead_letter.traceparent is 'Copy of the message.';
comment on column postrider.dead_letter.priority is 'Copy of the message.';
comment on column postrider.dead_letter.mapping is 'Name of the mapping by which the payload becomes what is sent, if any.';
comment on column postrider.dead_letter.mapping_version is 'Version of the mapping; NULL: the newest one.';
-- How far each shard of workers has come. src/outbox/reader.c explains it.

create table postrider.dispatch_cursor (
	shard integer primary key,
	shards integer not null,
	database oid not null,
	snapshot pg_snapshot not null,
	floor_xid xid8 not null,
	floor_id uuid not null,
	window_snapshot pg_snapshot,
	window_floor_xid xid8,
	window_floor_id uuid,
	position uuid,
	starts integer not null default 0,
	suspect_id uuid,
	suspect_tries integer not null default 0,
	updated_at timestamptz not null default pg_catalog.now()
) with (fillfactor = 50);
comment on table postrider.dispatch_cursor is
'How far each worker has come: every message whose transaction is visible in the snapshot has been settled for the shard. Written by the worker only.';
comment on column postrider.dispatch_cursor.shard is 'Number of the shard, from 0; an endpoint belongs to shard (id modulo shards).';
comment on column postrider.dispatch_cursor.shards is 'Number of shards when the row was written.';
comment on column postrider.dispatch_cursor.database is 'The database that the row was written in: a copy of the database must not send again what is owed by the original.';
comment on column postrider.dispatch_cursor.snapshot is 'Messages of transactions visible in it are settled.';
comment on column postrider.dispatch_cursor.floor_xid is 'Transactions from this one on have only ids above floor_id.';
comment on column postrider.dispatch_cursor.floor_id is 'See floor_xid.';
comment on column postrider.dispatch_cursor.window_snapshot is 'While a large window is being read: the snapshot at its end.';
comment on column postrider.dispatch_cursor.window_floor_xid is 'The floor that goes with window_snapshot.';
comment on column postrider.dispatch_cursor.window_floor_id is 'The floor that goes with window_snapshot.';
comment on column postrider.dispatch_cursor.position is 'Messages of the window up to this id are settled.';
comment on column postrider.dispatch_cursor.starts is 'Starts of the worker since it last ran well. After three it is careful: one message at a time.';
comment on column postrider.dispatch_cursor.suspect_id is 'The message that a careful worker is handling.';
comment on column postrider.dispatch_cursor.suspect_tries is 'How often in a row the worker has taken up that message; after three it is given up.';
comment on column postrider.dispatch_cursor.updated_at is 'When the row was written.';

insert into postrider.dispatch_cursor (shard, shards, database, snapshot, floor_xid, floor_id)
select 0, 1, d.oid, '3:3:', '3', '00000000-0000-0000-0000-000000000000'
from pg_catalog.pg_database d
where d.datname operator(pg_catalog.=) pg_catalog.current_database();
-- Daily partitions of message and attempt.

create function postrider.make_partition(day date, in_extension_script boolean) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	parent text;
	partition text;
begin
	foreach parent in array array['message', 'attempt']
	loop
		partition := parent || to_char(day, '_YYYYMMDD');
		continue when to_regclass('postrider.' || partition) is not null;
		-- Made apart and then attached, because that does not lock out emitters.
		execute format('create table postrider.%I (like postrider.%I including all)', partition, parent);
		-- For those who go to it by its name: no policy lets them see a row.
		execute format('alter table postrider.%I enable row level security', partition);
		execute format('alter table postrider.%I attach partition postrider.%I for values from (%L) to (%L)',
			parent, partition,
			postrider.id_floor(day::timestamp at time zone 'UTC'),
			postrider.id_floor((day + 1)::timestamp at time zone 'UTC'));
		execute format('comment on table postrider.%I is %L', partition,
			format('Part of postrider.%s: %s, UTC.', parent, day));
		-- As a member of the extension it is not dumped with its rows.
		if not in_extension_script then
			execute format('alter extension postrider add table postrider.%I', partition);
		end if;
	end loop;
	return true;
exception when check_violation then
	-- The default partition has rows of that day; they stay there.
	return false;
end
$$;
comment on function postrider.make_partition(date, boolean) is
'Makes the partitions of message and attempt for a day. False if the default partition has rows of the day already.';

create function postrider.passed(relation regclass, before uuid) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	cursor_row record;
	found_one boolean;
begin
	for cursor_row in select c.snapshot from postrider.dispatch_cursor c
	loop
		execute format('select exists (select from %s m where m.xid >= $1
				and not pg_visible_in_snapshot(m.xid, $2) and m.id < $3)', relation)
			into found_one
			using pg_snapshot_xmin(cursor_row.snapshot), cursor_row.snapshot, before;
		if found_one then
			return false;
		end if;
	end loop;
	return true;
end
$$;
comment on function postrider.passed(regclass, uuid) is
'True if all workers have settled every message with an id before the given one in a partition of postrider.message.';

create function postrider.carry_over(relation regclass, before uuid) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	carried bigint;
begin
	execute format('with owed as (
			select p.message_id, p.endpoint_id from postrider.pending p
			where p.message_id < $1 and p.payload is null
			and exists (select from %1$s m where m.id = p.message_id)
			order by p.message_id limit 5000)
		update postrider.pending p set topic = m.topic, tenant = m.tenant,
			payload = m.payload, headers = m.headers, expires_at = m.expires_at,
			traceparent = m.traceparent, key = m.key, priority = m.priority
		from owed o join %1$s m on m.id = o.message_id
		where p.message_id = o.message_id and p.endpoint_id = o.endpoint_id', relation)
		using before;
	get diagnostics carried = row_count;
	return carried;
end
$$;
comment on function postrider.carry_over(regclass, uuid) is
'Copies messages before an id that are still owed from a partition of the log to postrider.pending, 5,000 at a time. Returns how many.';

create function postrider.drop_partition(day text) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	parent text;
	partition regclass := to_regclass('postrider.message_' || day);
	day_end uuid := postrider.id_floor((day::date + 1)::timestamp at time zone 'UTC');
	carried bigint;
begin
	if partition is not null then
		if not postrider.passed(partition, day_end) then
			return null;
		end if;
		-- What is still owed outlives the log.
		carried := postrider.carry_over(partition, day_end);
		if carried > 0 then
			return format('carried over %s owed messages of %s', carried, day);
		end if;
		-- Nobody may emit into it any more while we look for the last time.
		lock table postrider.message in access exclusive mode;
		if not postrider.passed(partition, day_end) or postrider.carry_over(partition, day_end) > 0 then
			return null;
		end if;
	end if;
	foreach parent in array array['message', 'attempt']
	loop
		partition := to_regclass('postrider.' || parent || '_' || day);
		continue when partition is null;
		execute format('alter extension postrider drop table %s', partition);
		execute format('drop table %s', partition);
	end loop;
	return 'dropped partitions of ' || day;
end
$$;
comment on function postrider.drop_partition(text) is
'Does one step of dropping the partitions of a day (YYYYMMDD), what is still owed being copied before, and says what it did; NULL if a worker has not come so far.';

create function postrider.clean_default_partition(before timestamptz) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	before_id uuid := postrider.id_floor(before);
	done bigint;
begin
	if exists (select from postrider.message_default where id < before_id)
		and postrider.passed('postrider.message_default', before_id) then
		done := postrider.carry_over('postrider.message_default', before_id);
		if done > 0 then
			return format('carried over %s owed messages of the default partition', done);
		end if;
		delete from postrider.message_default where id in
			(select id from postrider.message_default where id < before_id order by id limit 5000);
		return 'deleted old messages from the default partition';
	end if;
	-- An attempt stays as long as its message, and a late one for its own time.
	delete from postrider.attempt_default where ctid in
		(select a.ctid from postrider.attempt_default a
		where a.message_id < before_id and a.started_at < before
		and not exists (select from postrider.message m where m.id = a.message_id)
		limit 5000);
	get diagnostics done = row_count;
	return case when done > 0 then 'deleted old attempts from the default partition' end;
end
$$;
comment on function postrider.clean_default_partition(timestamptz) is
'Deletes what is older from the default partitions, a part at a time, and says what it did; NULL if there is nothing to do.';

create function postrider.maintain_partitions(retention interval,
	in_extension_script boolean default false) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
	today date := (now() at time zone 'UTC')::date;
	oldest text := to_char(now() at time zone 'UTC' - retention, 'YYYYMMDD');
	day date;
	old_day text;
	done text;
begin
	foreach day in array array(select today + n from generate_series(0, 3) n)
	loop
		continue when to_regclass('postrider.message_' || to_char(day, 'YYYYMMDD')) is not null
			and to_regclass('postrider.attempt_' || to_char(day, 'YYYYMMDD')) is not null;
		if postrider.make_partition(day, in_extension_script) then
			return 'made partitions for ' || day;
		end if;
	end loop;

	for old_day in
		select distinct right(c.relname, 8) from pg_inherits i join pg_class c on c.oid = i.inhrelid
		where i.inhparent in ('postrider.message'::regclass, 'postrider.attempt'::regclass)
		and c.relname ~ '^(message|attempt)_[0-9]{8}$' and right(c.relname, 8) < oldest
		order by 1
	loop
		done := postrider.drop_partition(old_day);
		if done is not null then
			return done;
		end if;
	end loop;

	done := postrider.clean_default_partition(now() - retention);
	if done is null then
		delete from postrider.deduplication where expires_at < now();
		if not in_extension_script then
			perform postrider.tend_config_history();
		end if;
	end if;
	return done;
end
$$;
comment on function postrider.maintain_partitions(interval, boolean) is
'Does one piece of the upkeep of partitions and says what, or returns NULL if there is nothing to do. Run by the worker.';

do $$
begin
	while postrider.maintain_partitions('7 days', true) is not null
	loop
		null;
	end loop;
end
$$;
-- Writing messages, and telling the worker.

create function postrider.emit(topic text, payload jsonb, key text default null,
	headers jsonb default null, deliver_at timestamptz default null,
	expires_at timestamptz default null, dedup_key text default null,
	tenant text default null, priority text default 'normal') returns uuid
language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'postrider_emit';
comment on function postrider.emit(text, jsonb, text, jsonb, timestamptz, timestamptz, text, text, text) is
'Emits a message: when the transaction commits, it goes to every endpoint that has subscribed to the topic. Returns its id. What has priority high or critical goes before what else waits for an endpoint, bulk goes behind it.';

create function postrider.send(endpoint text, payload jsonb, key text default null,
	headers jsonb default null, deliver_at timestamptz default null,
	expires_at timestamptz default null, dedup_key text default null,
	tenant text default null, topic text default 'message',
	priority text default 'normal') returns uuid
language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'postrider_send';
comment on function postrider.send(text, jsonb, text, jsonb, timestamptz, timestamptz, text, text, text, text) is
'Sends a message to one endpoint, whatever the subscriptions say, when the transaction commits. Returns its id. What has priority high or critical goes before what else waits for an endpoint, bulk goes behind it.';

create function postrider.wake() returns void
language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'postrider_wake';
comment on function postrider.wake() is
'Has the worker look at the table pending when the transaction commits.';

create function postrider.config_changed() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_config_changed';
comment on function postrider.config_changed() is
'Trigger: has the workers load the configuration again when the transaction commits.';

create trigger config_changed after insert or update or delete or truncate on postrider.endpoint
	for each statement execute function postrider.config_changed();
create trigger config_changed after insert or update or delete or truncate on postrider.subscription
	for each statement execute function postrider.config_changed();
create trigger config_changed after insert or update or delete or truncate on postrider.mapping
	for each statement execute function postrider.config_changed();
create trigger config_changed after insert or update or delete or truncate on postrider.secret
	for each statement execute function postrider.config_changed();
create trigger config_changed after insert or update or delete or truncate on postrider.secret_version
	for each statement execute function postrider.config_changed();
alter table postrider.endpoint enable always trigger config_changed;
alter table postrider.subscription enable always trigger config_changed;
alter table postrider.mapping enable always trigger config_changed;
alter table postrider.secret enable always trigger config_changed;
alter table postrider.secret_version enable always trigger config_changed;
-- Watching tables.

create function postrider.capture() returns trigger
language c
as 'MODULE_PATHNAME', 'postrider_capture';
comment on function postrider.capture() is
'Trigger: emits a message for each changed row. Put on tables by postrider.watch().';

create function postrider.check_watchable(relation regclass) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
	c record;
begin
	if relation is null then
		raise null_value_not_allowed using message = 'relation must not be null';
	end if;
	select r.relkind, r.relpersistence, r.relispartition, n.nspname into c
	from pg_class r join pg_namespace n on n.oid = r.relnamespace
	where r.oid = relation;
	if c.nspname in ('pg_catalog', 'information_schema', 'pg_toast', 'postrider') then
		raise wrong_object_type using
			message = format('cannot watch system table %s', relation),
			hint = 'Watch a table of your own.';
	elsif c.relkind not in ('r', 'p') then
		raise wrong_object_type using
			message = format('cannot watch %s: it is not a table', relation),
			hint = 'Watch the tables that it is made from.';
	elsif c.relispartition then
		raise wrong_object_type using
			message = format('cannot watch %s: it is a partition', relation),
			hint = format('Watch the partitioned table %s.',
				(select inhparent::regclass from pg_inherits where inhrelid = relation));
	elsif c.relpersistence = 't' then
		raise wrong_object_type using
			message = format('cannot watch %s: it is a temporary table', relation);
	end if;
	perform postrider.require_owner(relation);
end
$$;
comment on function postrider.check_watchable(regclass) is
'Raises an error that says why a relation cannot be watched, if it cannot.';

create function postrider.check_columns(relation regclass, columns name[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
	wrong name;
begin
	select c into wrong from unnest(columns) c
	where c is null or not exists (select from pg_attribute a where a.attrelid = relation
		and a.attname = c and a.attnum > 0 and not a.attisdropped)
	limit 1;
	if found then
		raise undefined_column using
			message = format('column "%s" of table %s does not exist', wrong, relation);
	end if;
end
$$;
comment on function postrider.check_columns(regclass, name[]) is
'Raises an error if a table lacks one of the columns.';

create function postrider.unwatch(relation regclass, topic text default null) returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	dropped integer := 0;
	trigger_name name;
begin
	if relation is null then
		raise null_value_not_allowed using message = 'relation must not be null';
	end if;
	for trigger_name in
		select t.tgname from pg_trigger t
		where t.tgrelid = unwatch.relation and t.tgfoid = 'postrider.capture'::regproc
		and t.tgparentid = 0
		and (unwatch.topic is null
			or split_part(encode(t.tgargs, 'escape'), '\000', 1) = unwatch.topic)
	loop
		execute format('drop trigger %I on %s', trigger_name, relation);
		dropped := dropped + 1;
	end loop;
	if dropped = 0 then
		raise undefined_object using
			message = format('table %s is not watched', relation)
				|| coalesce(' on topic "' || topic || '"', ''),
			hint = 'The triggers that call postrider.capture() show what is watched: \d ' || relation::text;
	end if;
	perform postrider.record_watches(relation);
	return dropped;
end
$$;
comment on function postrider.unwatch(regclass, text) is
'Stops watching a table, on one topic or altogether. Returns the number of triggers dropped.';

-- Drops triggers that an earlier watch on the topic made for other operations.
create function postrider.narrow_watch(relation regclass, topic text, operations text[]) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	trigger_name name;
begin
	for trigger_name in
		select t.tgname from pg_trigger t
		where t.tgrelid = narrow_watch.relation and t.tgfoid = 'postrider.capture'::regproc
		and t.tgparentid = 0
		and split_part(encode(t.tgargs, 'escape'), '\000', 1) = narrow_watch.topic
		and split_part(t.tgname, '_', 2) <> all (operations)
	loop
		execute format('drop trigger %I on %s', trigger_name, relation);
	end loop;
end
$$;
comment on function postrider.narrow_watch(regclass, text, text[]) is
'Stops watching the operations that are not in the list, on one topic of a table.';

create function postrider.watch(relation regclass, topic text default null,
	operations text[] default '{insert,update,delete}', columns name[] default null,
	condition text default null, key_columns name[] default null, priority text default 'normal') returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	operation text;
	full_topic text;
	trigger_name text;
	keys text[];
	row_level boolean;
	shape text;
	parsed refcursor;
begin
	perform postrider.check_watchable(relation);
	perform postrider.check_columns(relation, columns);
	perform postrider.check_columns(relation, key_columns);
	if coalesce(cardinality(operations), 0) = 0
		or not operations <@ array['insert', 'update', 'delete'] then
		raise invalid_parameter_value using
			message = format('operations "%s" cannot be watched', coalesce(operations::text, 'NULL')),
			hint = 'Give an array of insert, update and delete.';
	end if;

	if priority is null or priority not in ('bulk', 'normal', 'high', 'critical') then
		raise invalid_parameter_value using
			message = format('"%s" is not a priority', priority),
			hint = 'Use bulk, normal, high or critical.';
	end if;

	-- The condition must be one expression, or the text could end the CREATE
	-- TRIGGER and go on with statements that nobody asked for.  A cursor takes
	-- a single query and is refused before anything runs; the table that does
	-- not exist stops the analysis before it comes to OLD and NEW, so the only
	-- good outcome is undefined_table.
	if condition is not null then
		begin
			open parsed for execute 'select (' || condition
				|| E'\n) from postrider."no such table"';
			raise syntax_error using message = 'it is not one expression';
		exception
			when undefined_table then
				null;
			when others then
				raise exception using
					errcode = sqlstate,
					message = format('condition of the watch on table %s does not compile: %s',
						relation, sqlerrm),
					hint = 'Write one boolean SQL expression over OLD and NEW.';
		end;
	end if;

	-- The key of a message is the primary key, unless the caller knows better.
	keys := coalesce(key_columns::text[],
		(select array_agg(a.attname::text order by k.position)
		from pg_index i
		cross join unnest(i.indkey::int2[]) with ordinality as k (number, position)
		join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
		where i.indrelid = relation and i.indisprimary),
		'{}');

	-- Statement-level capture sees all rows only where nobody can write past it.
	row_level := condition is not null
		or exists (select from pg_class c where c.oid = relation and c.relkind = 'p')
		or exists (select from pg_inherits h where relation in (h.inhparent, h.inhrelid));

	foreach operation in array array(select distinct o from unnest(operations) o order by o)
	loop
		full_topic := coalesce(topic,
			(select c.relname from pg_class c where c.oid = relation) || '.' || operation);
		if not postrider.is_topic(full_topic) then
			raise invalid_parameter_value using
				message = format('"%s" is not a topic', full_topic),
				hint = 'Give a topic of words of a-z, 0-9 and _ joined by dots: postrider.watch('
					|| quote_literal(relation::text) || ', ''order.changed'').';
		end if;
		trigger_name := 'postrider_' || operation || '_' || full_topic;
		if length(trigger_name) > 63 then
			trigger_name := left(trigger_name, 54) || '_' || left(md5(full_topic), 8);
		end if;
		shape := case when row_level then 'for each row' else
			'referencing'
			|| case when operation in ('update', 'delete') then ' old table as old_rows' else '' end
			|| case when operation in ('insert', 'update') then ' new table as new_rows' else '' end
			|| ' for each statement' end;

		-- This runs with the rights of the caller, who could as well write
		-- CREATE TRIGGER, so the text of the condition gives nobody any power.
		begin
			execute format('create or replace trigger %I after %s on %s %s %s execute function postrider.capture(%L, %L, %L%s)',
				trigger_name, operation, relation, shape,
				coalesce('when (' || condition || E'\n)', ''),
				full_topic, coalesce(columns::text[], '{}')::text, keys::text,
				case when priority <> 'normal' then ', ' || quote_literal(priority) else '' end);
		exception when others then
			if condition is null then
				raise;
			end if;
			raise exception using
				errcode = sqlstate,
				message = format('condition of the watch on table %s does not compile for %s: %s',
					relation, operation, sqlerrm),
				hint = 'Write a boolean SQL expression over OLD (update and delete) and NEW (insert and update), and list the operations that it fits. Names are looked up in pg_catalog: write the schema of your own functions and types.';
		end;
	end loop;
	if topic is not null then
		perform postrider.narrow_watch(relation, topic, operations);
	end if;
	perform postrider.record_watches(relation);
end
$$;
comment on function postrider.watch(regclass, text, text[], name[], text, name[], text) is
'Emits a message for every row that is inserted, updated or deleted in a table. Without a topic they are table.insert, table.update and table.delete. An update that changes none of the columns emits nothing. Watching again on the same topic replaces the earlier watch.';
-- Controls: pause, resume, retry, cancel, purge.  Each works on one or on many,
-- by arguments that narrow what is meant, and returns how many it touched.

create function postrider.select_endpoints(endpoint text) returns table (id integer, name text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
	return query select e.id, e.name from postrider.endpoint e
	where postrider.sees_tenant(e.tenant) and (select_endpoints.endpoint is null
	or e.name like replace(replace(replace(replace(select_endpoints.endpoint,
		'\', '\\'), '%', '\%'), '_', '\_'), '*', '%'));
	if not found and select_endpoints.endpoint is not null then
		if strpos(select_endpoints.endpoint, '*') > 0 then
			raise undefined_object using
				message = format('no endpoint has a name like "%s"', select_endpoints.endpoint),
				hint = 'Run SELECT name FROM postrider.endpoint.';
		end if;
		raise undefined_object using
			message = format('endpoint "%s" does not exist', select_endpoints.endpoint),
			hint = 'Run SELECT name FROM postrider.endpoint; a * in a name stands for anything.';
	end if;
end
$$;
comment on function postrider.select_endpoints(text) is
'The endpoints that an argument of a control means: one by its name, several by a name with *, all by NULL. Part of the controls.';

create function postrider.touched_nothing(control text, hint text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
	raise notice using
		message = format('%s: nothing matches, nothing was changed', control),
		hint = hint;
end
$$;
comment on function postrider.touched_nothing(text, text) is
'Says that a control had nothing to do. Part of the controls.';

create function postrider.pause(endpoint text default null, tenant text default null, reason text default null)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	touched bigint;
begin
	update postrider.endpoint e set paused_at = now(), pause_reason = reason
	from postrider.select_endpoints(pause.endpoint) s
	where e.id = s.id and e.paused_at is null
	and (pause.tenant is null or e.tenant = pause.tenant);
	get diagnostics touched = row_count;
	if touched = 0 then
		perform postrider.touched_nothing('pause', 'Run SELECT name, paused_at, pause_reason FROM postrider.endpoint.');
	end if;
	return touched;
end
$$;
comment on function postrider.pause(text, text, text) is
'Stops sending to an endpoint (a * in the name stands for anything; NULL: to all) until resume(). What is owed is held, nothing is lost, and nobody is blamed. Returns how many endpoints were paused.';

create function postrider.resume(endpoint text default null, tenant text default null)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	touched bigint;
	still_disabled text;
begin
	with resumed as (
		update postrider.endpoint e set paused_at = null, pause_reason = null
		from postrider.select_endpoints(resume.endpoint) s
		where e.id = s.id and e.paused_at is not null
		and (resume.tenant is null or e.tenant = resume.tenant)
		returning e.name, e.enabled)
	select count(*), min(r.name) filter (where not r.enabled) into touched, still_disabled
	from resumed r;
	if still_disabled is not null then
		raise notice using
			message = format('endpoint "%s" is disabled as well, and does not send yet', still_disabled),
			hint = format('Run UPDATE postrider.endpoint SET enabled = true WHERE name = %L.', still_disabled);
	end if;
	if touched = 0 then
		perform postrider.touched_nothing('resume', 'Run SELECT name, paused_at, enabled, disabled_reason FROM postrider.endpoint.');
	end if;
	return touched;
end
$$;
comment on function postrider.resume(text, text) is
'Ends a pause: what was held flows. Returns how many endpoints were resumed.';

create function postrider.retry(message_id uuid default null, endpoint text default null,
	topic text default null, key text default null, tenant text default null,
	since timestamptz default null, until timestamptz default null,
	error_code text default null, status_code integer default null)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	endpoints integer[];
	revived bigint;
	hurried bigint := 0;
	held record;
begin
	if num_nonnulls(retry.message_id, retry.endpoint, retry.topic, retry.key, retry.tenant, retry.since,
		retry.until, retry.error_code, retry.status_code) = 0 then
		raise null_value_not_allowed using
			message = 'retry needs to know which deliveries',
			hint = 'Name a message_id, or narrow it by endpoint, topic, key, tenant, since, until (when it was given up), error_code or status_code.';
	end if;
	select array_agg(s.id) into endpoints from postrider.select_endpoints(retry.endpoint) s;

	-- The copy in the dead letter outlives the log. It must not expire at once,
	-- and is mapped by the version that the subscription names now.
	with risen as (
		delete from postrider.dead_letter d
		where d.endpoint_id = any(endpoints)
		and (retry.message_id is null or d.message_id = retry.message_id)
		and (retry.topic is null or postrider.topic_matches(d.topic, retry.topic))
		and (retry.key is null or d.key = retry.key)
		and (retry.tenant is null or d.tenant = retry.tenant)
		and (retry.since is null or d.died_at >= retry.since)
		and (retry.until is null or d.died_at < retry.until)
		and (retry.error_code is null or d.error_code = retry.error_code)
		and (retry.status_code is null or d.status_code = retry.status_code)
		returning d.*)
	insert into postrider.pending (message_id, endpoint_id, due_at, attempts, reason,
		key, topic, tenant, payload, headers, traceparent, priority, mapping, mapping_version)
	select r.message_id, r.endpoint_id, now(), 0, 'retry',
		r.key, r.topic, r.tenant, r.payload, r.headers, r.traceparent, r.priority,
		r.mapping, case when s.endpoint is null then r.mapping_version else s.mapping_version end
	from risen r join postrider.endpoint e on e.id = r.endpoint_id
	left join lateral (
		select s.endpoint, s.mapping_version from postrider.subscription s
		where s.endpoint = e.name and s.mapping = r.mapping order by s.id limit 1) s on true;
	get diagnostics revived = row_count;

	-- Deliveries that wait for their next attempt, unless only some kind of
	-- failure or time of death was asked for.
	if num_nonnulls(retry.since, retry.until, retry.error_code, retry.status_code) = 0 then
		update postrider.pending p set due_at = now()
		from postrider.endpoint e
		where e.id = p.endpoint_id and e.enabled and e.paused_at is null
		and p.endpoint_id = any(endpoints)
		and (retry.message_id is null or p.message_id = retry.message_id)
		and (retry.key is null or p.key = retry.key)
		and (num_nonnulls(retry.topic, retry.tenant) = 0 or exists (
			select from postrider.message m where m.id = p.message_id
			and (retry.topic is null or postrider.topic_matches(m.topic, retry.topic))
			and (retry.tenant is null or m.tenant = retry.tenant)))
		and (p.reason in ('retry', 'overflow') or (p.reason = 'scheduled' and retry.message_id is not null))
		and p.due_at > now();
		get diagnostics hurried = row_count;
	end if;

	if revived + hurried > 0 then
		perform postrider.wake();
		return revived + hurried;
	end if;
	select e.name, e.enabled into held
	from postrider.pending p join postrider.endpoint e on e.id = p.endpoint_id
	where p.message_id = retry.message_id and (not e.enabled or e.paused_at is not null)
	and p.endpoint_id = any(endpoints) limit 1;
	if found then
		raise object_not_in_prerequisite_state using
			message = format('endpoint "%s" is %s', held.name, case when held.enabled then 'paused' else 'disabled' end),
			hint = case when held.enabled then format('Run SELECT postrider.resume(%L); what is held flows then.', held.name)
				else format('Run UPDATE postrider.endpoint SET enabled = true WHERE name = %L; what is held flows then.', held.name) end;
	end if;
	if exists (select from postrider.message m where m.id = retry.message_id and m.removed is not null) then
		raise object_not_in_prerequisite_state using
			message = format('message "%s" cannot be tried again: its data was removed', message_id),
			hint = format('Run SELECT * FROM postrider.explain(%L).', message_id);
	end if;
	if retry.message_id is not null then
		raise no_data_found using
			message = format('message "%s" has no delivery that could be tried again', message_id),
			hint = format('Run SELECT * FROM postrider.delivery WHERE message_id = %L.', message_id);
	end if;
	perform postrider.touched_nothing('retry', 'Run SELECT * FROM postrider.dead_letter to see what was given up.');
	return 0;
end
$$;
comment on function postrider.retry(uuid, text, text, text, text, timestamptz, timestamptz, text, integer) is
'Sends again, now: dead letters, with a fresh count of attempts, and deliveries that wait for their next attempt; of one message, or of all that the arguments leave. Returns how many.';

create function postrider.cancel(message_id uuid default null, endpoint text default null,
	topic text default null, key text default null, tenant text default null,
	since timestamptz default null, until timestamptz default null, filter jsonpath default null,
	reason text default null)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	endpoints integer[];
	touched bigint;
begin
	if num_nonnulls(cancel.message_id, cancel.endpoint, cancel.topic, cancel.key, cancel.tenant, cancel.since,
		cancel.until, cancel.filter) = 0 then
		raise null_value_not_allowed using
			message = 'cancel needs to know which deliveries',
			hint = 'Name a message_id, or narrow it by endpoint, topic, key, tenant, since, until (when it was emitted) or filter.';
	end if;
	select array_agg(s.id) into endpoints from postrider.select_endpoints(cancel.endpoint) s;

	-- What a worker has in hand is locked or leased, and not touched.
	with meant as materialized (
		select p.message_id, p.endpoint_id
		from postrider.pending p left join postrider.message m on m.id = p.message_id and p.payload is null
		where p.endpoint_id = any(endpoints) and p.reason <> 'in_flight'
		and (cancel.message_id is null or p.message_id = cancel.message_id)
		and (cancel.key is null or p.key = cancel.key)
		and (cancel.since is null or p.message_id >= postrider.id_floor(cancel.since))
		and (cancel.until is null or p.message_id < postrider.id_floor(cancel.until))
		and (cancel.topic is null or postrider.topic_matches(coalesce(p.topic, m.topic), cancel.topic))
		and (cancel.tenant is null or coalesce(p.tenant, m.tenant) = cancel.tenant)
		and (cancel.filter is null or postrider.filter_matches(coalesce(p.payload, m.payload), cancel.filter))
		for update of p skip locked),
	gone as (
		delete from postrider.pending p using meant d
		where p.message_id = d.message_id and (p.endpoint_id = d.endpoint_id) is true
		returning p.message_id, p.endpoint_id, p.attempts)
	insert into postrider.attempt (message_id, endpoint_id, started_at, attempt, outcome, error_code, error)
	select g.message_id, g.endpoint_id, clock_timestamp(), least(g.attempts, 32767), 'cancelled', 'cancelled',
		coalesce('cancelled: ' || cancel.reason, 'cancelled by ' || session_user)
	from gone g;
	get diagnostics touched = row_count;
	if touched > 0 then
		perform postrider.wake();
	else
		perform postrider.touched_nothing('cancel', 'Only what waits can be cancelled. Pause the endpoint first to have what is queued wait.');
	end if;
	return touched;
end
$$;
comment on function postrider.cancel(uuid, text, text, text, text, timestamptz, timestamptz, jsonpath, text) is
'Gives up deliveries that wait (scheduled, to be retried, held, behind a slow endpoint): they end as cancelled, on record. What is being sent is not touched. Returns how many.';

create function postrider.purge(message_id uuid default null, endpoint text default null,
	topic text default null, key text default null, tenant text default null,
	since timestamptz default null, until timestamptz default null,
	error_code text default null, status_code integer default null)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	endpoints integer[];
	touched bigint;
begin
	if num_nonnulls(purge.message_id, purge.endpoint, purge.topic, purge.key, purge.tenant, purge.since,
		purge.until, purge.error_code, purge.status_code) = 0 then
		raise null_value_not_allowed using
			message = 'purge needs to know which dead letters',
			hint = 'Name a message_id, or narrow it by endpoint, topic, key, tenant, since, until (when it was given up), error_code or status_code; until => now() means all.';
	end if;
	if purge.endpoint is not null or postrider.bound_tenant() is not null then
		select coalesce(array_agg(s.id), '{}') into endpoints from postrider.select_endpoints(purge.endpoint) s;
	end if;
	-- Without a name also those of endpoints that are gone.
	delete from postrider.dead_letter d
	where (endpoints is null or d.endpoint_id = any(endpoints))
	and (purge.message_id is null or d.message_id = purge.message_id)
	and (purge.topic is null or postrider.topic_matches(d.topic, purge.topic))
	and (purge.key is null or d.key = purge.key)
	and (purge.tenant is null or d.tenant = purge.tenant)
	and (purge.since is null or d.died_at >= purge.since)
	and (purge.until is null or d.died_at < purge.until)
	and (purge.error_code is null or d.error_code = purge.error_code)
	and (purge.status_code is null or d.status_code = purge.status_code);
	get diagnostics touched = row_count;
	if touched > 0 then
		perform postrider.wake();
	else
		perform postrider.touched_nothing('purge', 'Run SELECT * FROM postrider.dead_letter to see what there is.');
	end if;
	return touched;
end
$$;
comment on function postrider.purge(uuid, text, text, text, text, timestamptz, timestamptz, text, integer) is
'Forgets dead letters; the attempts stay on record. Returns how many.';

-- Long work tells how far it is, and other sessions can see it.
create function postrider.report_progress(command text, target text, since timestamptz, until timestamptz,
	reached timestamptz, messages bigint, deliveries bigint)
returns void
language c volatile strict parallel restricted
as 'MODULE_PATHNAME', 'postrider_report_progress';
comment on function postrider.report_progress(text, text, timestamptz, timestamptz, timestamptz, bigint, bigint) is
'Shows in postrider.progress how far this session has come, until its transaction ends. Part of the controls.';

create function postrider.progress_status(out pid integer, out command text, out target text,
	out since timestamptz, out until timestamptz, out reached timestamptz, out share real,
	out messages bigint, out deliveries bigint, out started_at timestamptz)
returns setof record
language c volatile parallel restricted
as 'MODULE_PATHNAME', 'postrider_progress_status';
comment on function postrider.progress_status() is
'Long work in this database; see the view postrider.progress.';

create view postrider.progress as select * from postrider.progress_status();
comment on view postrider.progress is
'Long work that is going on, such as a replay. To cancel it: SELECT pg_cancel_backend(pid) FROM postrider.progress.';
comment on column postrider.progress.pid is 'Process id of the session that does it.';
comment on column postrider.progress.command is 'What it does: replay.';
comment on column postrider.progress.target is 'For which endpoint.';
comment on column postrider.progress.since is 'Beginning of the time that is worked through.';
comment on column postrider.progress.until is 'Its end.';
comment on column postrider.progress.reached is 'Up to where it is done.';
comment on column postrider.progress.share is 'Part of the time that is done, from 0 to 1.';
comment on column postrider.progress.messages is 'Messages looked at.';
comment on column postrider.progress.deliveries is 'Deliveries made anew.';
comment on column postrider.progress.started_at is 'When it began.';

create function postrider.replay(endpoint text, since timestamptz, until timestamptz default null,
	topic text default null, filter jsonpath default null, key text default null, tenant text default null)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	endpoints integer[];
	stop timestamptz := least(coalesce(replay.until, now()), now());
	last uuid;
	piece record;
	messages bigint := 0;
	deliveries bigint := 0;
	skipped bigint := 0;
begin
	if replay.endpoint is null or replay.since is null then
		raise null_value_not_allowed using
			message = 'replay needs an endpoint and a time since when',
			hint = format('For example: SELECT postrider.replay(%L, now() - interval ''1 hour'').', coalesce(replay.endpoint, 'crm'));
	end if;
	if replay.since >= stop then
		raise invalid_parameter_value using
			message = format('since (%s) must be before until (%s)', replay.since, stop);
	end if;
	if replay.topic is not null and not postrider.is_topic_pattern(replay.topic) then
		raise invalid_parameter_value using
			message = format('"%s" is no topic and no pattern of topics', replay.topic),
			hint = 'For example order.paid, order.* or order.**.';
	end if;
	select array_agg(s.id) into endpoints from postrider.select_endpoints(replay.endpoint) s;

	-- With a topic it need not be one that the endpoint has subscribed.
	loop
		with found as materialized (
			select m.* from postrider.message m
			where m.id >= postrider.id_floor(replay.since) and (last is null or m.id > last)
			and m.id < postrider.id_floor(stop)
			and postrider.sees_tenant(m.tenant)
			order by m.id limit 10000),
		meant as (
			select f.id, f.key, f.priority, e.id as endpoint_id, s.mapping, s.mapping_version
			from found f join postrider.endpoint e on e.id = any(endpoints)
			and (e.tenant is null or e.tenant = f.tenant)
			left join lateral (
				select s.mapping, s.mapping_version, true as matches
				from postrider.subscription s
				where f.endpoint is null and s.endpoint = e.name and s.enabled
				and postrider.topic_matches(f.topic, s.topic)
				and (s.filter is null or postrider.filter_matches(f.payload, s.filter))
				order by s.id limit 1) s on true
			where (s.matches or f.endpoint = e.name or (replay.topic is not null and f.endpoint is null))
			and f.removed is null
			and (f.expires_at is null or f.expires_at > now())
			and (replay.topic is null or postrider.topic_matches(f.topic, replay.topic))
			and (replay.key is null or f.key = replay.key)
			and (replay.tenant is null or f.tenant = replay.tenant)
			and (replay.filter is null or postrider.filter_matches(f.payload, replay.filter))),
		made as (
			insert into postrider.pending (message_id, endpoint_id, due_at, reason, key, priority, mapping, mapping_version)
			select m.id, m.endpoint_id, now(), 'replay', m.key, m.priority, m.mapping, m.mapping_version from meant m
			on conflict do nothing
			returning 1)
		select (select count(*) from found) as found, (select count(*) from made) as made,
			(select count(*) from found f where f.removed is not null) as removed,
			(select f.id from found f order by f.id desc limit 1) as last
		into piece;
		exit when piece.found = 0;
		messages := messages + piece.found;
		deliveries := deliveries + piece.made;
		skipped := skipped + piece.removed;
		last := piece.last;
		perform postrider.report_progress('replay', replay.endpoint, replay.since, stop,
			postrider.id_time(piece.last), messages, deliveries);
	end loop;

	if skipped > 0 then
		raise notice using
			message = format('replay: %s messages of that time are left out, because their data was removed', skipped),
			hint = 'The column removed of postrider.message says why: erased by postrider.erase(), or expired.';
	end if;
	if deliveries = 0 then
		perform postrider.touched_nothing('replay', format(
			'%s messages of that time were looked at. The log goes back to %s; without a topic only what the endpoint has subscribed is replayed.',
			messages, coalesce((select postrider.id_time(m.id)::text from postrider.message m where postrider.sees_tenant(m.tenant) order by m.id limit 1), 'no message at all')));
	else
		perform postrider.wake();
	end if;
	return deliveries;
end
$$;
comment on function postrider.replay(text, timestamptz, timestamptz, text, jsonpath, text, text) is
'Delivers messages of the log to an endpoint again, or for the first time: those emitted from since to until that its subscriptions match, or that match the topic. What is owed already is not made twice. All of it happens when the transaction commits; postrider.progress shows how far it is, and a cancel leaves nothing behind. Returns how many deliveries were made.';
-- Personal data: what postrider holds on a person, and its removal.
-- src/outbox/erased.c explains how a worker learns of it.

create table postrider.erasure (
	id bigint generated always as identity primary key,
	erased_at timestamptz not null default pg_catalog.now(),
	erased_by text not null default session_user,
	reason text,
	topic text,
	tenant text,
	messages bigint not null,
	attempts bigint not null,
	pending bigint not null,
	dead_letters bigint not null,
	deduplication_keys bigint not null
);
comment on table postrider.erasure is
'Every call of postrider.erase(): that something was removed, how much, when and by whom; not whose data it was.';
comment on column postrider.erasure.id is 'Number of the call.';
comment on column postrider.erasure.erased_at is 'When its transaction began.';
comment on column postrider.erasure.erased_by is 'The user who called it.';
comment on column postrider.erasure.reason is 'The reason that was given. It stays: name no person in it.';
comment on column postrider.erasure.topic is 'The topics to which it was limited.';
comment on column postrider.erasure.tenant is 'The tenant to which it was limited.';
comment on column postrider.erasure.messages is 'Messages whose payload, headers and key were removed.';
comment on column postrider.erasure.attempts is 'Attempts whose response and error text were removed.';
comment on column postrider.erasure.pending is 'Deliveries that were still owed and were cancelled.';
comment on column postrider.erasure.dead_letters is 'Dead letters that were deleted.';
comment on column postrider.erasure.deduplication_keys is 'Deduplication keys that were deleted.';

create function postrider.erased_at_commit() returns void
language c volatile
as 'MODULE_PATHNAME', 'postrider_erased_at_commit';
comment on function postrider.erased_at_commit() is
'Has the workers drop what was erased when this transaction commits, and the commit wait until they send nothing of it any more. Part of postrider.erase().';

-- Workers that are writing outcomes end that first; who comes later learns of the
-- erase.  Not for long at a time, because all who write outcomes queue up behind us.
create function postrider.lock_outcomes() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
	tries integer := 0;
begin
	loop
		begin
			lock table only postrider.attempt in share row exclusive mode;
			return;
		exception when lock_not_available then
			tries := tries + 1;
			if tries = 150 then
				raise lock_not_available using
					message = 'erase could not get hold of the table of attempts',
					hint = 'A transaction that has written attempts is open; see pg_stat_activity. Nothing was erased; try again.';
			end if;
		end;
		perform pg_sleep(0.1 * random());
	end loop;
end
$$;
comment on function postrider.lock_outcomes() is
'Holds up all who write outcomes of deliveries until the end of the transaction. Part of postrider.erase().';

create function postrider.erase_data(ids uuid[], out messages bigint, out attempts bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	first uuid;
	last uuid;
begin
	select min(i::text)::uuid, max(i::text)::uuid into first, last from unnest(ids) i;
	update postrider.message m set payload = 'null', headers = null, traceparent = null, removed = 'erased',
		key = case when m.key is not null then '(erased)' end
	where m.id = any(ids) and m.id >= first and m.id <= last and m.removed is distinct from 'erased';
	get diagnostics messages = row_count;
	update postrider.attempt a set response = null, error = case a.outcome when 'delivered' then null else 'erased' end
	where a.message_id = any(ids) and a.message_id >= first and a.message_id <= last
	and (a.response is not null or a.error is not null and a.error <> 'erased' and a.error_code is distinct from 'erased');
	get diagnostics attempts = row_count;
end
$$;
comment on function postrider.erase_data(uuid[]) is
'Removes the data of messages from the log and from their attempts, and says from how many. Part of postrider.erase().';

-- Replies to messages, and replies to these, and so on; see src/outbox/reply.c.
create function postrider.replies_to(ids uuid[]) returns uuid[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
	reply uuid[];
	reply_to text[];
	found_ids uuid[];
begin
	select array_agg(r.id), array_agg(r.payload ->> 'message_id') into reply, reply_to
	from (select m.id, m.payload from postrider.message m
			where m.id > (select min(i::text)::uuid from unnest(ids) i) and m.removed is null
			and m.payload ?& array['message_id', 'endpoint', 'status_code', 'hops', 'response']
		union
		select d.message_id, d.payload from postrider.dead_letter d
			where d.payload ?& array['message_id', 'endpoint', 'status_code', 'hops', 'response']
		union
		select p.message_id, p.payload from postrider.pending p
			where p.payload ?& array['message_id', 'endpoint', 'status_code', 'hops', 'response']) r;
	with recursive found (id) as (
		select r.id from unnest(reply, reply_to) as r (id, message_id) join unnest(ids) i on i::text = r.message_id
		union
		select r.id from unnest(reply, reply_to) as r (id, message_id) join found f on f.id::text = r.message_id)
	select array_agg(f.id) into found_ids from found f where f.id <> all (ids);
	return coalesce(found_ids, '{}');
end
$$;
comment on function postrider.replies_to(uuid[]) is
'The messages that were made of responses to these messages. Part of postrider.erase() and postrider.export_subject().';

create function postrider.check_subject(caller text, key text, filter jsonpath, topic text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
	if key is null and filter is null then
		raise null_value_not_allowed using
			message = caller || ' needs a key or a filter',
			hint = format('For example: SELECT * FROM postrider.%s(filter => ''$.email == "ann@example.com"'').', caller);
	end if;
	if topic is not null and not postrider.is_topic_pattern(topic) then
		raise invalid_parameter_value using
			message = format('"%s" is no topic and no pattern of topics', topic),
			hint = 'For example order.paid, order.* or order.**.';
	end if;
	if current_setting('transaction_isolation') <> 'read committed' then
		raise feature_not_supported using
			message = format('cannot run %s in a transaction that is %s', caller, current_setting('transaction_isolation')),
			hint = 'It must see what workers commit meanwhile: use READ COMMITTED.';
	end if;
end
$$;
comment on function postrider.check_subject(text, text, jsonpath, text) is
'Refuses a subject that is not told. Part of postrider.erase() and postrider.export_subject().';

-- All messages of a subject that are visible: of the log after an id, and so many
-- rows of it; and those of which there is only a copy.
create function postrider.find_copies(key text, filter jsonpath, topic text, tenant text) returns uuid[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select coalesce(array_agg(distinct c.message_id), '{}')
	from (select d.message_id, d.topic, d.key, d.tenant, d.payload from postrider.dead_letter d
		union all
		select p.message_id, p.topic, p.key, p.tenant, p.payload from postrider.pending p where p.payload is not null) c
	where (find_copies.key is null or c.key = find_copies.key)
	and (find_copies.tenant is null or c.tenant = find_copies.tenant)
	and (find_copies.topic is null or postrider.topic_matches(c.topic, find_copies.topic))
	and (find_copies.filter is null or postrider.filter_matches(c.payload, find_copies.filter))
$$;
comment on function postrider.find_copies(text, jsonpath, text, text) is
'The messages of a subject that dead letters and pending deliveries have copies of. Part of postrider.erase() and postrider.export_subject().';

create function postrider.erase(key text default null, filter jsonpath default null, topic text default null,
	tenant text default null, reason text default null)
returns table (what text, removed bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	seen pg_snapshot;
	ids uuid[] := '{}';
	more uuid[];
	last uuid;
	piece record;
	step record;
	scanned bigint := 0;
	siblings uuid[];
	messages bigint := 0;
	attempts bigint := 0;
	in_batches bigint := 0;
	pending bigint;
	dead_letters bigint;
	keys bigint;
begin
	perform postrider.check_subject('erase', erase.key, erase.filter, erase.topic);
	-- A session that is bound has its own tenant's data only.
	if postrider.bound_tenant() is not null then
		if not postrider.sees_tenant(coalesce(erase.tenant, postrider.bound_tenant())) then
			raise insufficient_privilege using
				message = format('permission denied for tenant "%s"', erase.tenant),
				hint = format('The session is bound to tenant "%s".', postrider.bound_tenant());
		end if;
		erase.tenant := postrider.bound_tenant();
	end if;
	-- One at a time; and what was removed must not come back after a crash.
	lock table postrider.erasure in share row exclusive mode;
	if current_setting('synchronous_commit') = 'off' then
		perform set_config('synchronous_commit', 'on', true);
	end if;
	perform postrider.erased_at_commit();

	-- The log, without a lock that anybody would wait for.
	seen := pg_current_snapshot();
	loop
		with found as materialized (
			select m.id, m.topic, m.key, m.tenant, m.payload, m.removed from postrider.message m
			where last is null or m.id > last
			order by m.id limit 10000)
		select (select count(*) from found) as found,
			(select f.id from found f order by f.id desc limit 1) as last,
			(select coalesce(array_agg(f.id), '{}') from found f
			where f.removed is distinct from 'erased'
			and (erase.key is null or f.key = erase.key)
			and (erase.tenant is null or f.tenant = erase.tenant)
			and (erase.topic is null or postrider.topic_matches(f.topic, erase.topic))
			and (erase.filter is null or postrider.filter_matches(f.payload, erase.filter))) as ids
		into piece;
		exit when piece.found = 0;
		select * into step from postrider.erase_data(piece.ids);
		ids := ids || piece.ids;
		scanned := scanned + piece.found;
		messages := messages + step.messages;
		attempts := attempts + step.attempts;
		last := piece.last;
		perform postrider.report_progress('erase', coalesce(erase.topic, '**'), to_timestamp(0), now(),
			postrider.id_time(last), scanned, messages);
	end loop;

	-- From here on no outcome is written until we commit.
	perform postrider.lock_outcomes();

	-- What has been committed since, what is left of messages of which the log
	-- knows nothing any more, and what was made of their responses.
	select ids || coalesce(array_agg(m.id), '{}') into ids from postrider.message m
	where m.xid >= pg_snapshot_xmin(seen) and not pg_visible_in_snapshot(m.xid, seen)
	and m.removed is distinct from 'erased'
	and (erase.key is null or m.key = erase.key)
	and (erase.tenant is null or m.tenant = erase.tenant)
	and (erase.topic is null or postrider.topic_matches(m.topic, erase.topic))
	and (erase.filter is null or postrider.filter_matches(m.payload, erase.filter));
	more := postrider.find_copies(erase.key, erase.filter, erase.topic, erase.tenant);
	select ids || coalesce(array_agg(c), '{}') into ids from unnest(more) c where c <> all (ids);
	if cardinality(ids) > 0 then
		ids := ids || postrider.replies_to(ids);
	end if;
	select * into step from postrider.erase_data(ids);
	messages := messages + step.messages;
	attempts := attempts + step.attempts;

	-- What a worker has in hand may still turn out as delivered: it says so later.
	-- A response to a batch is kept with each message of it.
	select array_agg(distinct a.request_id) into siblings from postrider.attempt a
	where a.message_id = any(ids) and a.request_id is not null;
	if siblings is not null then
		update postrider.dead_letter d set response = null
		from postrider.attempt a
		where a.request_id = any(siblings) and d.message_id = a.message_id and d.endpoint_id = a.endpoint_id
		and d.response is not null;
		update postrider.attempt a set response = null
		where a.request_id = any(siblings) and a.response is not null;
		get diagnostics in_batches = row_count;
	end if;

	delete from postrider.dead_letter d where d.message_id = any(ids);
	get diagnostics dead_letters = row_count;
	with gone as (
		delete from postrider.pending p where p.message_id = any(ids)
		returning p.message_id, p.endpoint_id, p.attempts)
	insert into postrider.attempt (message_id, endpoint_id, started_at, attempt, outcome, error_code, error)
	select g.message_id, g.endpoint_id, clock_timestamp(), least(g.attempts, 32767), 'cancelled', 'erased', 'the message was erased'
	from gone g;
	get diagnostics pending = row_count;
	delete from postrider.deduplication d where d.message_id = any(ids);
	get diagnostics keys = row_count;

	if messages + attempts + in_batches + pending + dead_letters + keys = 0 then
		perform postrider.touched_nothing('erase', 'A filter is a JSON path over the payload, as in postrider.subscription; what was erased before matches nothing.');
	else
		insert into postrider.erasure (reason, topic, tenant, messages, attempts, pending, dead_letters, deduplication_keys)
		values (erase.reason, erase.topic, erase.tenant, messages, attempts + in_batches, pending, dead_letters, keys);
		raise notice using
			message = 'erased; the old versions of the rows stay in the files of the tables until they are vacuumed',
			detail = 'Write-ahead log, replicas that lag, backups, and what receivers have got are not changed by it.',
			hint = 'Run VACUUM postrider.message, postrider.attempt, postrider.pending, postrider.dead_letter, postrider.deduplication. Messages of transactions that are still open are not erased: run erase again when they have ended.';
	end if;
	return query values ('messages', messages), ('attempts', attempts), ('responses to batches', in_batches),
		('pending deliveries', pending), ('dead letters', dead_letters), ('deduplication keys', keys);
end
$$;
comment on function postrider.erase(text, jsonpath, text, text, text) is
'Removes a person''s data: payload, headers and key of all messages with the key, or whose payload the filter matches, responses and errors of their attempts, replies, dead letters, deduplication keys; what is still owed is cancelled and never sent. In one transaction; says what it removed. That there was a message, when, and what came of it stays. Not undone by anything: try postrider.export_subject() with the same arguments first.';

create function postrider.export_subject(key text default null, filter jsonpath default null, topic text default null,
	tenant text default null)
returns table (message_id uuid, at timestamptz, kind text, message_topic text, message_key text, message_tenant text, endpoint text, data jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	ids uuid[];
	first uuid;
	last uuid;
begin
	perform postrider.check_subject('export_subject', export_subject.key, export_subject.filter, export_subject.topic);
	-- A session that is bound has its own tenant's data only.
	if postrider.bound_tenant() is not null then
		if not postrider.sees_tenant(coalesce(export_subject.tenant, postrider.bound_tenant())) then
			raise insufficient_privilege using
				message = format('permission denied for tenant "%s"', export_subject.tenant),
				hint = format('The session is bound to tenant "%s".', postrider.bound_tenant());
		end if;
		export_subject.tenant := postrider.bound_tenant();
	end if;
	select coalesce(array_agg(m.id), '{}') into ids from postrider.message m
	where m.removed is distinct from 'erased'
	and (export_subject.key is null or m.key = export_subject.key)
	and (export_subject.tenant is null or m.tenant = export_subject.tenant)
	and (export_subject.topic is null or postrider.topic_matches(m.topic, export_subject.topic))
	and (export_subject.filter is null or postrider.filter_matches(m.payload, export_subject.filter));
	select ids || coalesce(array_agg(c), '{}') into ids
	from unnest(postrider.find_copies(export_subject.key, export_subject.filter, export_subject.topic, export_subject.tenant)) c
	where c <> all (ids);
	if cardinality(ids) = 0 then
		return;
	end if;
	ids := ids || postrider.replies_to(ids);
	select min(i::text)::uuid, max(i::text)::uuid into first, last from unnest(ids) i;

	return query
	select s.message_id, s.at, s.kind, s.topic, s.key, s.tenant, e.name, s.data
	from (
		select m.id as message_id, postrider.id_time(m.id) as at, 1 as place, 'message' as kind, m.topic, m.key, m.tenant,
			null::integer as endpoint_id, jsonb_strip_nulls(jsonb_build_object('headers', m.headers, 'deliver_at', m.deliver_at,
				'expires_at', m.expires_at, 'sent_to', m.endpoint, 'removed', m.removed)) || jsonb_build_object('payload', m.payload) as data
		from postrider.message m where m.id = any(ids) and m.id >= first and m.id <= last
		union all
		select a.message_id, a.started_at, 2, 'attempt', null, null, null, a.endpoint_id,
			jsonb_strip_nulls(jsonb_build_object('attempt', a.attempt, 'outcome', a.outcome, 'status_code', a.status_code,
				'error_code', a.error_code, 'error', a.error, 'response', a.response))
		from postrider.attempt a where a.message_id = any(ids) and a.message_id >= first and a.message_id <= last
		union all
		select p.message_id, p.due_at, 3, 'pending', p.topic, p.key, p.tenant, p.endpoint_id,
			jsonb_strip_nulls(jsonb_build_object('reason', p.reason, 'attempts', p.attempts, 'headers', p.headers))
			|| case when p.payload is null then '{}' else jsonb_build_object('payload', p.payload) end
		from postrider.pending p where p.message_id = any(ids)
		union all
		select d.message_id, d.died_at, 4, 'dead letter', d.topic, d.key, d.tenant, d.endpoint_id,
			jsonb_strip_nulls(jsonb_build_object('reason', d.reason, 'attempts', d.attempts, 'status_code', d.status_code,
				'error_code', d.error_code, 'error', d.error, 'response', d.response, 'headers', d.headers))
			|| jsonb_build_object('payload', d.payload)
		from postrider.dead_letter d where d.message_id = any(ids)
		union all
		select k.message_id, k.expires_at, 5, 'deduplication key', k.topic, null, k.tenant, null,
			jsonb_build_object('dedup_key', k.dedup_key)
		from postrider.deduplication k where k.message_id = any(ids)) s
	left join postrider.endpoint e on e.id = s.endpoint_id
	order by s.message_id, s.place, s.at, s.endpoint_id, s.data;
end
$$;
comment on function postrider.export_subject(text, jsonpath, text, text) is
'Everything that is held on a person, in a stable order: messages with the key, or whose payload the filter matches, with payload and headers, replies to them, where and when each was sent and what came of it, what is owed, dead letters and deduplication keys. Nothing is masked.';
-- Sensitive fields: what people should not see when they look at messages.

create function postrider.sensitive_path_problem(path jsonpath) returns text
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_sensitive_path_problem';
comment on function postrider.sensitive_path_problem(jsonpath) is
'What is wrong with the path of a sensitive field, to go behind the word "path"; NULL if it can be used.';

create function postrider.mask_payload(payload jsonb, paths jsonpath[]) returns jsonb
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_mask_payload';
comment on function postrider.mask_payload(jsonb, jsonpath[]) is
'The payload with what is at these paths masked: strings become ***, numbers 0, booleans false; keys and null stay.';

create function postrider.mask_string(string text, payload jsonb, paths jsonpath[]) returns text
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_mask_string';
comment on function postrider.mask_string(text, jsonb, jsonpath[]) is
'The text with all values that the payload has at these paths replaced by ***.';

create table postrider.sensitive_field (
	topic text,
	path text,
	description text,
	created_at timestamptz not null default pg_catalog.now(),
	primary key (topic, path)
);
comment on table postrider.sensitive_field is
'Places in payloads that hold personal data: masked for people, never in what is sent.';
comment on column postrider.sensitive_field.topic is 'Topic, or pattern of topics, of the messages.';
comment on column postrider.sensitive_field.path is 'Where in the payload: a JSON path of keys, indexes, .*, [*] and .**, such as $.customer.email. For watched tables $.*.email is the column email of the new and of the old row.';
comment on column postrider.sensitive_field.description is 'What it is, for people.';
comment on column postrider.sensitive_field.created_at is 'When the row was written.';

create function postrider.check_sensitive_field() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
	if not postrider.is_topic_pattern(new.topic) then
		raise invalid_parameter_value using
			message = format('"%s" is no topic and no pattern of topics', new.topic),
			hint = 'For example order.paid, order.* or **.';
	end if;
	new.path := new.path::jsonpath::text;
	if postrider.sensitive_path_problem(new.path::jsonpath) is not null then
		raise invalid_parameter_value using
			message = format('path %s %s', new.path, postrider.sensitive_path_problem(new.path::jsonpath)),
			hint = 'For example $.customer.email, $.items[*].name or $.**.email.';
	end if;
	return new;
end
$$;
comment on function postrider.check_sensitive_field() is
'Trigger: refuses a row of postrider.sensitive_field whose topic or path cannot be used.';
create trigger check_sensitive_field before insert or update on postrider.sensitive_field
	for each row execute function postrider.check_sensitive_field();
create trigger config_changed after insert or update or delete or truncate on postrider.sensitive_field
	for each statement execute function postrider.config_changed();

create function postrider.sensitive_paths(topic text) returns jsonpath[]
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
	select array_agg(f.path::jsonpath order by f.topic, f.path) from postrider.sensitive_field f
	where postrider.topic_matches(sensitive_paths.topic, f.topic)
$$;
comment on function postrider.sensitive_paths(text) is
'The paths of the sensitive fields of messages on a topic; NULL if there are none.';

create function postrider.mask(topic text, payload jsonb) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
	select postrider.mask_payload(mask.payload, postrider.sensitive_paths(mask.topic))
$$;
comment on function postrider.mask(text, jsonb) is
'A payload as people should see it: values of sensitive fields of its topic (postrider.sensitive_field) are replaced, strings by ***.';

create function postrider.mark_sensitive(relation regclass, columns name[], description text default null) returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	made integer;
begin
	perform postrider.check_columns(relation, columns);
	with fields as (
		select distinct split_part(encode(t.tgargs, 'escape'), '\000', 1) as topic,
			format('$.%s.%s', r, to_json(c::text))::jsonpath::text as path
		from pg_trigger t cross join unnest(columns) c cross join unnest(array['record', 'old_record']) r
		where t.tgrelid = relation and t.tgfoid = 'postrider.capture'::regproc and t.tgparentid = 0)
	insert into postrider.sensitive_field (topic, path, description)
	select f.topic, f.path, coalesce(mark_sensitive.description, format('table %s', relation)) from fields f
	order by f.topic, f.path
	on conflict do nothing;
	get diagnostics made = row_count;
	if not exists (select from pg_trigger t where t.tgrelid = relation and t.tgfoid = 'postrider.capture'::regproc) then
		raise undefined_object using
			message = format('table %s is not watched', relation),
			hint = format('Run SELECT postrider.watch(%L) before.', relation);
	end if;
	return made;
end
$$;
comment on function postrider.mark_sensitive(regclass, name[], text) is
'Marks columns of a watched table as sensitive, on all topics on which it is watched now. Returns how many rows it has written to postrider.sensitive_field.';

create view postrider.message_masked with (security_barrier) as
select m.id, m.topic, m.endpoint,
	postrider.mask_string(m.key, m.payload, p.paths) as key,
	m.tenant,
	postrider.mask_payload(m.payload, p.paths) as payload,
	postrider.mask_payload(m.headers, '{$.*}') as headers,
	m.deliver_at, m.expires_at, m.priority, m.removed
from postrider.message m cross join lateral (select postrider.sensitive_paths(m.topic) as paths) p
where postrider.sees_tenant(m.tenant);
comment on view postrider.message_masked is
'The log as people should see it: sensitive fields of payloads masked, headers masked, and a key that is a sensitive value too.';
comment on column postrider.message_masked.id is 'The message.';
comment on column postrider.message_masked.topic is 'Its topic.';
comment on column postrider.message_masked.endpoint is 'Its only receiver, if it was sent to one.';
comment on column postrider.message_masked.key is 'Its key, masked if it is the value of a sensitive field.';
comment on column postrider.message_masked.tenant is 'Its tenant.';
comment on column postrider.message_masked.payload is 'Its payload, masked.';
comment on column postrider.message_masked.headers is 'The names of its headers.';
comment on column postrider.message_masked.deliver_at is 'Not to be sent before this time.';
comment on column postrider.message_masked.expires_at is 'Not to be sent after this time.';
comment on column postrider.message_masked.priority is 'Its priority.';
comment on column postrider.message_masked.removed is 'erased or expired, if its data was removed.';

create view postrider.dead_letter_masked with (security_barrier) as
select d.message_id, e.name as endpoint, d.reason, d.attempts, d.status_code, d.error_code,
	postrider.mask_string(d.error, d.payload, p.paths) as error,
	postrider.mask_string(d.response, d.payload, p.paths) as response,
	d.died_at, d.topic,
	postrider.mask_string(d.key, d.payload, p.paths) as key,
	d.tenant,
	postrider.mask_payload(d.payload, p.paths) as payload
from postrider.dead_letter d left join postrider.endpoint e on e.id = d.endpoint_id
cross join lateral (select postrider.sensitive_paths(d.topic) as paths) p
where postrider.sees_tenant(d.tenant);
comment on view postrider.dead_letter_masked is
'Dead letters as people should see them: the values of sensitive fields are masked wherever they stand.';
comment on column postrider.dead_letter_masked.message_id is 'The message.';
comment on column postrider.dead_letter_masked.endpoint is 'The endpoint; NULL if it was deleted since.';
comment on column postrider.dead_letter_masked.reason is 'dead or expired.';
comment on column postrider.dead_letter_masked.attempts is 'Attempts made.';
comment on column postrider.dead_letter_masked.status_code is 'HTTP status of the last attempt.';
comment on column postrider.dead_letter_masked.error_code is 'Error of the last attempt, in one word.';
comment on column postrider.dead_letter_masked.error is 'Error of the last attempt, masked.';
comment on column postrider.dead_letter_masked.response is 'The beginning of the last response, masked.';
comment on column postrider.dead_letter_masked.died_at is 'When it was given up.';
comment on column postrider.dead_letter_masked.topic is 'Topic of the message.';
comment on column postrider.dead_letter_masked.key is 'Key of the message, masked if it is the value of a sensitive field.';
comment on column postrider.dead_letter_masked.tenant is 'Tenant of the message.';
comment on column postrider.dead_letter_masked.payload is 'The payload, masked.';

-- Payload retention.

create table postrider.payload_retention (
	topic text primary key,
	keep interval not null
		constraint payload_retention_positive check (keep operator(pg_catalog.>) interval '0'),
	description text,
	created_at timestamptz not null default pg_catalog.now()
);
comment on table postrider.payload_retention is
'Topics whose payloads are kept for a shorter time than the log (postrider.retention). If several rows match, the shortest time holds.';
comment on column postrider.payload_retention.topic is 'Topic, or pattern of topics.';
comment on column postrider.payload_retention.keep is 'So long after a message was emitted its payload and headers, its responses and errors and its dead letters are removed. What is still owed keeps a copy until it is delivered.';
comment on column postrider.payload_retention.description is 'Why, for people.';
comment on column postrider.payload_retention.created_at is 'When the row was written.';

create function postrider.check_payload_retention() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
	if not postrider.is_topic_pattern(new.topic) then
		raise invalid_parameter_value using
			message = format('"%s" is no topic and no pattern of topics', new.topic),
			hint = 'For example order.paid, order.* or **.';
	end if;
	return new;
end
$$;
comment on function postrider.check_payload_retention() is
'Trigger: refuses a row of postrider.payload_retention whose topic is none.';
create trigger check_payload_retention before insert or update on postrider.payload_retention
	for each row execute function postrider.check_payload_retention();

create table postrider.payload_expiry (
	topic text primary key references postrider.payload_retention on update cascade on delete cascade,
	walked_to uuid not null
);
comment on table postrider.payload_expiry is
'How far the log has been gone through for each row of postrider.payload_retention. Written by the worker only; deleting a row has the log gone through anew.';
comment on column postrider.payload_expiry.topic is 'The row of postrider.payload_retention.';
comment on column postrider.payload_expiry.walked_to is 'Messages up to this id are done.';

create function postrider.expire_payloads(piece integer default 5000) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	rule record;
	stop uuid;
	found_rows bigint;
	ids uuid[];
	last uuid;
	removed bigint;
begin
	for rule in
		select r.topic, r.keep, coalesce(x.walked_to, '00000000-0000-0000-0000-000000000000') as walked_to
		from postrider.payload_retention r left join postrider.payload_expiry x on x.topic = r.topic order by r.topic
	loop
		stop := postrider.id_floor(now() - rule.keep);
		continue when not exists (select from postrider.message m where m.id > rule.walked_to and m.id < stop)
			or not postrider.passed('postrider.message', stop);
		with part as materialized (
			select m.id, m.topic, m.removed from postrider.message m
			where m.id > rule.walked_to and m.id < stop order by m.id limit piece)
		select count(*), (select p.id from part p order by p.id desc limit 1),
			array_agg(p.id) filter (where p.removed is null and postrider.topic_matches(p.topic, rule.topic))
		into found_rows, last, ids from part p;

		-- What is still owed outlives it.
		update postrider.pending p set topic = m.topic, tenant = m.tenant, payload = m.payload, headers = m.headers,
			expires_at = m.expires_at, traceparent = m.traceparent, key = m.key, priority = m.priority
		from postrider.message m
		where m.id = any(ids) and p.message_id = m.id and p.payload is null;
		update postrider.message m set payload = 'null', headers = null, removed = 'expired'
		where m.id = any(ids) and m.id > rule.walked_to and m.id <= last;
		get diagnostics removed = row_count;
		update postrider.attempt a set response = null, error = null
		where a.message_id = any(ids) and a.message_id > rule.walked_to and a.message_id <= last
		and (a.response is not null or a.error is not null)
		and not exists (select from postrider.pending p where p.message_id = a.message_id);
		-- Also those that were still owed when their turn came.
		delete from postrider.dead_letter d
		where d.message_id <= last and postrider.topic_matches(d.topic, rule.topic);
		insert into postrider.payload_expiry as x values (rule.topic, last)
		on conflict (topic) do update set walked_to = excluded.walked_to;
		return format('removed the data of %s messages of %s, up to %s', removed, rule.topic, postrider.id_time(last));
	end loop;
	return null;
end
$$;
comment on function postrider.expire_payloads(integer) is
'Does one piece of what postrider.payload_retention asks for and says what, or returns NULL if there is nothing to do. Run by the worker once an hour, piece by piece, each in a transaction of its own.';
-- Why a message went where it went.

create function postrider.explain(message_id uuid)
returns table (at timestamptz, endpoint text, what text, detail text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	m record;
	kept text;
begin
	select x.id, x.topic, x.endpoint, x.key, x.tenant, x.payload, x.deliver_at, x.expires_at, x.removed, 'the log' as source into m
	from postrider.message x where x.id = explain.message_id and postrider.sees_tenant(x.tenant);
	if not found then
		select x.message_id as id, x.topic, null::text as endpoint, x.key, x.tenant, x.payload,
			null::timestamptz as deliver_at, x.expires_at, null::text as removed, x.source into m
		from (select d.message_id, d.topic, d.key, d.tenant, d.payload, d.expires_at, 'dead_letter' as source
				from postrider.dead_letter d
			union all
			select p.message_id, p.topic, p.key, p.tenant, p.payload, p.expires_at, 'pending'
				from postrider.pending p where p.payload is not null) x
		where x.message_id = explain.message_id and postrider.sees_tenant(x.tenant) limit 1;
		if not found then
			raise no_data_found using
				message = format('message "%s" is not known', explain.message_id),
				hint = format('The log is kept for postrider.retention, %s.', current_setting('postrider.retention'));
		end if;
	end if;

	return query select postrider.id_time(m.id), null::text, 'emitted',
		concat_ws(', ', 'topic ' || m.topic,
			'key ' || postrider.mask_string(m.key, m.payload, postrider.sensitive_paths(m.topic)), 'tenant ' || m.tenant,
			'sent to endpoint ' || m.endpoint || ' alone',
			'not before ' || m.deliver_at, 'not after ' || m.expires_at,
			case when m.source <> 'the log' then 'no longer in the log, only in ' || m.source end);

	if m.removed is not null then
		return query select null::timestamptz, null::text, m.removed,
			case m.removed when 'erased' then 'payload, headers, key, responses and errors were removed by postrider.erase()'
				else 'payload, headers, responses and errors were removed by postrider.payload_retention' end;
	end if;

	-- What each subscription says to it, as they are now.
	return query select null::timestamptz, s.endpoint,
		case when r.reasons = '' then 'matched' else 'not matched' end,
		'subscription ' || s.id || ' to ' || s.topic ||
		case when r.reasons = '' then coalesce(', mapped by ' || s.mapping, '') else ': ' || r.reasons end
	from postrider.subscription s join postrider.endpoint e on e.name = s.endpoint
	cross join lateral (select concat_ws('; ',
		case when not s.enabled then 'it is not enabled' end,
		case when m.endpoint is not null then 'the message was sent to endpoint ' || m.endpoint || ' alone' end,
		case when not postrider.topic_matches(m.topic, s.topic) then 'the topic is ' || m.topic end,
		case when m.id <= s.after_id then 'the subscription was made later, at ' || postrider.id_time(s.after_id) end,
		case when e.tenant is not null and m.tenant is distinct from e.tenant then
			'the endpoint is for tenant ' || e.tenant end,
		case when s.filter is not null and m.removed is not null then 'nobody knows what the filter said' end,
		case when s.filter is not null and m.removed is null and not postrider.filter_matches(m.payload, s.filter) then
			'the filter ' || s.filter || ' does not let it through' end) as reasons) r
	where postrider.sees_tenant(e.tenant)
	order by r.reasons <> '', s.endpoint, s.id;

	return query select a.started_at, e.name, a.outcome,
		concat_ws(', ', case when a.attempt > 0 then 'attempt ' || a.attempt end,
			'status ' || a.status_code, a.error_code,
			case when a.duration_ms is not null then round(a.duration_ms::numeric, 1) || ' ms' end, postrider.readable_error(a.error_code, a.error))
	from postrider.attempt a left join postrider.endpoint e on e.id = a.endpoint_id
	where a.message_id = explain.message_id and postrider.sees_tenant(e.tenant)
	order by a.started_at, a.attempt;

	-- What comes next, of the deliveries that are not over.
	return query select d.next_attempt_at, d.endpoint, d.status,
		case d.status
			when 'queued' then coalesce(f.blocked_by, 'a worker sends it as soon as it can')
			when 'scheduled' then 'not to be sent before'
			when 'retrying' then coalesce('attempt ' || d.attempts + 1 || ' of ' || e.max_attempts || ' at the latest then', 'a worker is at it')
			when 'held' then case when e.paused_at is not null then
				format('the endpoint is paused%s; SELECT postrider.resume(%L)', coalesce(' (' || e.pause_reason || ')', ''), e.name)
				else format('the endpoint is disabled%s; UPDATE postrider.endpoint SET enabled = true WHERE name = %L',
					coalesce(' (' || e.disabled_reason || ')', ''), e.name) end
		end
	from postrider.delivery d left join postrider.endpoint e on e.name = d.endpoint
	left join lateral (
		-- Who goes first, where the order of a key matters.
		select coalesce(
			(select format('message %s of key %s is dead and blocks it; SELECT postrider.retry(%L, %L), or postrider.purge of the same',
				l.message_id, l.key, l.message_id, e.name)
			from postrider.dead_letter l where e.ordered and e.on_dead = 'block' and l.endpoint_id = e.id
			and l.key = m.key and l.message_id < m.id and l.reason = 'dead' order by l.message_id limit 1),
			(select format('message %s of key %s goes first', w.message_id, w.key)
			from postrider.pending w where e.ordered and w.endpoint_id = e.id and w.key = m.key and w.message_id < m.id
			and (w.reason <> 'scheduled' or w.due_at <= now()) order by w.message_id desc limit 1)) as blocked_by) f on true
	where d.message_id = explain.message_id and d.status in ('queued', 'scheduled', 'retrying', 'held');

	return query select d.died_at, e.name, 'dead letter',
		format('%s after %s attempts; SELECT postrider.retry(%L%s)', d.reason, d.attempts, d.message_id, ', ' || quote_literal(e.name))
	from postrider.dead_letter d left join postrider.endpoint e on e.id = d.endpoint_id
	where d.message_id = explain.message_id and postrider.sees_tenant(e.tenant);
end
$$;
comment on function postrider.explain(uuid) is
'The story of a message: how each subscription took it and why, what happened at each attempt, what comes next and when.';
-- Response rules: what an answer means, and what it says about limits.

create function postrider.check_response_rules(rules jsonb, out "position" text, out problem text)
returns setof record
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_check_response_rules';
comment on function postrider.check_response_rules(jsonb) is
'All that is wrong with response rules, by position; no rows if they can be used.';

create function postrider.check_response(rules jsonb, status integer, headers jsonb default null, body text default null,
	at timestamptz default pg_catalog.now(), out rule integer, out action text, out wait interval)
returns record
language c immutable parallel safe
as 'MODULE_PATHNAME', 'postrider_check_response';
comment on function postrider.check_response(jsonb, integer, jsonb, text, timestamptz) is
'Tries response rules on an answer: the number of the rule that decides (NULL: none does, and the action is what its status says), the action, and the wait that the receiver asks for.';

create function postrider.read_rate_headers(headers jsonb, at timestamptz default pg_catalog.now(),
	out "limit" bigint, out remaining bigint, out reset_at timestamptz, out retry_at timestamptz)
returns record
language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'postrider_read_rate_headers';
comment on function postrider.read_rate_headers(jsonb, timestamptz) is
'What the headers of an answer say about limits: of several limits, the one that leaves the least room, and when requests may go on after Retry-After and its like.';
-- Requests that are no deliveries.

create function postrider.run_trial(send boolean, endpoint text, topic text, payload jsonb, key text, tenant text, headers jsonb)
returns jsonb
language c volatile
as 'MODULE_PATHNAME', 'postrider_run_trial';
comment on function postrider.run_trial(boolean, text, text, jsonb, text, text, jsonb) is
'For send_test() and preview(): has a process of its own make a request, or only show it.';

create function postrider.send_test(endpoint text, payload jsonb default '{"test": true}', topic text default 'postrider.test',
	key text default null, tenant text default null, headers jsonb default null,
	out outcome text, out status_code integer, out error text, out request text, out response text,
	out address text, out http_version text, out dns_ms numeric, out connect_ms numeric, out tls_ms numeric,
	out first_byte_ms numeric, out total_ms numeric)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
	perform postrider.require_tenant(send_test.tenant);
	if send_test.endpoint is null or send_test.payload is null or send_test.topic is null then
		raise null_value_not_allowed using message = 'send_test needs an endpoint, a payload and a topic';
	end if;
	if not exists (select from postrider.endpoint e where e.name = send_test.endpoint and postrider.sees_tenant(e.tenant)) then
		raise undefined_object using message = format('endpoint "%s" does not exist', send_test.endpoint),
			hint = 'Run SELECT name FROM postrider.endpoint.';
	end if;
	if not postrider.is_topic(send_test.topic) then
		raise invalid_parameter_value using message = format('"%s" is no topic', send_test.topic);
	end if;
	select r.outcome, r.status_code, r.error, r.request, r.response, r.address, r.http_version, r.dns_ms, r.connect_ms,
		r.tls_ms, r.first_byte_ms, r.total_ms
	into send_test.outcome, send_test.status_code, send_test.error, send_test.request, send_test.response,
		send_test.address, send_test.http_version, send_test.dns_ms, send_test.connect_ms, send_test.tls_ms,
		send_test.first_byte_ms, send_test.total_ms
	from jsonb_to_recordset(postrider.run_trial(true, send_test.endpoint, send_test.topic, send_test.payload, send_test.key,
		coalesce(send_test.tenant, postrider.bound_tenant()), send_test.headers)) as r (outcome text, status_code integer, error text, request text,
		response text, address text, http_version text, dns_ms numeric, connect_ms numeric, tls_ms numeric,
		first_byte_ms numeric, total_ms numeric);
	-- The receiver may answer with data that are none of the sender's.
	if strpos(send_test.response, E'\n\n') > 0 and not postrider.sees_payloads() then
		send_test.response := left(send_test.response, strpos(send_test.response, E'\n\n') + 1)
			|| 'withheld: it may have data, which members of postrider_payload_reader see';
	end if;
end
$$;
comment on function postrider.send_test(text, jsonb, text, text, text, jsonb) is
'Makes one real request to the endpoint now and returns the whole exchange, secrets masked: request, response, address, and the time of each phase in milliseconds. It is no delivery: nothing is recorded, no limit or breaker counts it.';

create function postrider.preview(topic text, payload jsonb, key text default null, tenant text default null,
	headers jsonb default null)
returns table (endpoint text, mapping text, method text, url text, request_headers text, body text, problem text, note text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
	perform postrider.require_tenant(preview.tenant);
	if preview.topic is null or preview.payload is null then
		raise null_value_not_allowed using message = 'preview needs a topic and a payload';
	end if;
	if not postrider.is_topic(preview.topic) then
		raise invalid_parameter_value using message = format('"%s" is no topic', preview.topic);
	end if;
	return query select r.endpoint, r.mapping, r.method, r.url, r.headers, r.body, r.problem, r.note
	from jsonb_to_recordset(postrider.run_trial(false, null, preview.topic, preview.payload, preview.key,
		coalesce(preview.tenant, postrider.bound_tenant()), preview.headers)) as r (endpoint text, mapping text, method text, url text, headers text,
		body text, problem text, note text)
	where postrider.bound_tenant() is null or exists (select from postrider.endpoint e
		where e.name = r.endpoint and postrider.sees_tenant(e.tenant))
	order by r.endpoint;
end
$$;
comment on function postrider.preview(text, jsonb, text, text, jsonb) is
'What would be sent for such a message: a row for each endpoint that would get it, with URL, headers, signature and body as they would be now. Nothing is sent.';
-- Functions that are called for messages: endpoints of their own kind.

-- Both run with the rights of the caller: the rows are checked by triggers, and a
-- function runs as the role that registered it.
create function postrider.on_message(topic text, function regprocedure, name text default null,
	filter jsonpath default null, mapping text default null,
	timeout interval default '5 seconds', max_attempts integer default 12)
returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	target text;
	found_url text;
	found_role text;
begin
	if on_message.topic is null or on_message.function is null then
		raise null_value_not_allowed using
			message = 'on_message needs a topic and a function',
			hint = 'Write postrider.on_message(''order.paid'', ''public.handle_order(postrider.message)'').';
	end if;
	select coalesce(on_message.name, format('%I.%I', n.nspname, p.proname)) into target
	from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.oid = on_message.function;
	if target is null then
		raise undefined_function using message = format('function with OID %s does not exist', on_message.function);
	end if;

	insert into postrider.endpoint (name, url, timeout, max_attempts, max_in_flight)
	values (target, 'function:' || on_message.function::text, on_message.timeout, on_message.max_attempts, 1)
	on conflict (name) do nothing;
	if not found then
		select e.url, e.run_as into found_url, found_role from postrider.endpoint e where e.name = target;
		if found_url is distinct from 'function:' || on_message.function::text or found_role is distinct from current_user then
			raise duplicate_object using
				message = format('endpoint "%s" exists, and is not this function run as "%s"', target, current_user),
				hint = 'Give another name: postrider.on_message(topic, function, name => ...).';
		end if;
	end if;
	if exists (select from postrider.subscription s where s.endpoint = target and s.topic = on_message.topic
		and s.filter::text is not distinct from on_message.filter::text
		and s.mapping is not distinct from on_message.mapping and s.enabled) then
		raise duplicate_object using
			message = format('function %s is called for topic %s already', on_message.function, on_message.topic),
			hint = 'Change the rows of postrider.endpoint and postrider.subscription, or call postrider.off_message() first.';
	end if;
	insert into postrider.subscription (topic, endpoint, filter, mapping)
	values (on_message.topic, target, on_message.filter, on_message.mapping);
	return target;
end
$$;
comment on function postrider.on_message(text, regprocedure, text, jsonpath, text, interval, integer) is
'Has a function with one argument of type postrider.message called for each message of a topic from now on, as the role that calls this, in a transaction of its own; an error is tried again like a failed request. Several topics may share a name. Returns the name of the endpoint.';

create function postrider.off_message(topic text default null, function regprocedure default null,
	name text default null)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
	meant text[];
	touched bigint;
begin
	if num_nonnulls(off_message.topic, off_message.function, off_message.name) = 0 then
		raise null_value_not_allowed using
			message = 'off_message needs to know which function',
			hint = 'Name a topic, a function or the name that on_message() returned.';
	end if;
	select array_agg(e.name) into meant from postrider.endpoint e
	where starts_with(e.url, 'function:')
	and (off_message.function is null or e.url = 'function:' || off_message.function::text)
	and (off_message.name is null or e.name = off_message.name);
	delete from postrider.subscription s
	where s.endpoint = any(meant) and (off_message.topic is null or s.topic = off_message.topic);
	get diagnostics touched = row_count;
	delete from postrider.endpoint e
	where e.name = any(meant) and (touched > 0 or off_message.topic is null)
	and not exists (select from postrider.subscription s where s.endpoint = e.name);
	if touched = 0 and not found then
		perform postrider.touched_nothing('off_message',
			'Run SELECT s.topic, e.name, e.url FROM postrider.endpoint e JOIN postrider.subscription s ON s.endpoint = e.name WHERE e.url LIKE ''function:%''.');
	end if;
	return touched;
end
$$;
comment on function postrider.off_message(text, regprocedure, text) is
'Ends what on_message() began: by topic, function or name, or all that the three leave. An endpoint without a topic goes, and what waits for it is cancelled. Returns how many topics were ended.';
-- What becomes of messages, and what the workers do.

create function postrider.worker_status(out shard integer, out pid integer,
	out state text, out state_since timestamptz, out messages_read bigint,
	out delivered bigint, out retried bigint, out dead bigint, out queued integer,
	out in_flight integer, out last_error text, out last_error_at timestamptz)
returns setof record
language c volatile parallel restricted
as 'MODULE_PATHNAME', 'postrider_worker_status';
comment on function postrider.worker_status() is
'The workers of this database; see the view postrider.worker.';

create view postrider.worker as select * from postrider.worker_status();
comment on view postrider.worker is
'The workers of this database: state (waiting, starting, running), what they have done since they started, and the last error.';
comment on column postrider.worker.shard is 'Number of the shard of endpoints that the worker owns.';
comment on column postrider.worker.pid is 'Process id, as in pg_stat_activity; NULL while it is not running.';
comment on column postrider.worker.state is 'waiting (to be started), starting or running.';
comment on column postrider.worker.state_since is 'Since when it is in this state.';
comment on column postrider.worker.messages_read is 'Messages read from the log.';
comment on column postrider.worker.delivered is 'Deliveries that succeeded.';
comment on column postrider.worker.retried is 'Attempts that failed and will be repeated.';
comment on column postrider.worker.dead is 'Deliveries given up.';
comment on column postrider.worker.queued is 'Deliveries in memory that wait for their turn.';
comment on column postrider.worker.in_flight is 'Requests in flight.';
comment on column postrider.worker.last_error is 'The error that ended a worker last; for members of postrider_payload_reader.';
comment on column postrider.worker.last_error_at is 'When that was.';

create view postrider.delivery with (security_barrier) as
select p.message_id,
	case when p.payload is null then m.topic else p.topic end as topic,
	p.key,
	case when p.payload is null then m.tenant else p.tenant end as tenant,
	e.name as endpoint,
	case p.reason when 'scheduled' then 'scheduled' when 'retry' then 'retrying'
		when 'held' then 'held' when 'ordered' then 'queued' else case when p.attempts > 0 then 'retrying' else 'queued' end end as status,
	p.attempts,
	a.status_code,
	postrider.readable_error(a.error_code, a.error) as error,
	case when p.due_at <> 'infinity' then p.due_at end as next_attempt_at,
	postrider.id_time(p.message_id) as created_at,
	null::timestamptz as finished_at,
	m.removed
from postrider.pending p
left join postrider.endpoint e on e.id = p.endpoint_id
left join postrider.message m on m.id = p.message_id
left join lateral (
	select t.status_code, t.error_code, t.error from postrider.attempt t
	where t.message_id = p.message_id and t.endpoint_id = p.endpoint_id
	order by t.started_at desc limit 1) a on true
where postrider.sees_tenant(e.tenant)
union all
select a.message_id, coalesce(m.topic, d.topic), coalesce(m.key, d.key),
	coalesce(m.tenant, d.tenant), e.name, a.outcome, a.attempt::integer,
	a.status_code, postrider.readable_error(a.error_code, a.error), null, postrider.id_time(a.message_id),
	a.started_at + make_interval(secs => coalesce(a.duration_ms, 0) / 1000.0),
	m.removed
from postrider.attempt a
left join postrider.endpoint e on e.id = a.endpoint_id
left join postrider.message m on m.id = a.message_id
left join postrider.dead_letter d on d.message_id = a.message_id and d.endpoint_id = a.endpoint_id
where a.outcome <> 'retry' and postrider.sees_tenant(e.tenant)
and not exists (select from postrider.pending p
	where p.message_id = a.message_id and p.endpoint_id = a.endpoint_id)
and not exists (select from postrider.attempt l
	where l.message_id = a.message_id and l.endpoint_id = a.endpoint_id
	and l.outcome <> 'retry' and (l.started_at, l.ctid) > (a.started_at, a.ctid))
union all
select m.id, m.topic, m.key, m.tenant, e.name,
	case when m.deliver_at > now() then 'scheduled' else 'queued' end,
	0, null, null, m.deliver_at, postrider.id_time(m.id), null, m.removed
from postrider.dispatch_cursor c
join postrider.message m on m.xid >= pg_snapshot_xmin(c.snapshot)
	and not pg_visible_in_snapshot(m.xid, c.snapshot)
join postrider.endpoint e on e.id % c.shards = c.shard
	and (e.tenant is null or e.tenant = m.tenant)
where postrider.sees_tenant(e.tenant) and m.removed is null
and case when m.endpoint is not null then m.endpoint = e.name else
	exists (select from postrider.subscription s
		where s.endpoint = e.name and s.enabled and m.id > s.after_id
		and postrider.topic_matches(m.topic, s.topic)
		and (s.filter is null or postrider.filter_matches(m.payload, s.filter))) end
and not exists (select from postrider.pending p
	where p.message_id = m.id and p.endpoint_id = e.id)
and not exists (select from postrider.attempt a
	where a.message_id = m.id and a.endpoint_id = e.id);
comment on view postrider.delivery is
'What became of each message for each endpoint: was it delivered, and if not, why?';
comment on column postrider.delivery.message_id is 'The message.';
comment on column postrider.delivery.topic is 'Topic of the message.';
comment on column postrider.delivery.key is 'Key of the message.';
comment on column postrider.delivery.tenant is 'Tenant of the message.';
comment on column postrider.delivery.endpoint is 'The endpoint; NULL if it was deleted since.';
comment on column postrider.delivery.status is 'queued, scheduled, retrying, held (the endpoint is disabled), delivered, dead, expired, cancelled or superseded.';
comment on column postrider.delivery.attempts is 'Attempts so far.';
comment on column postrider.delivery.status_code is 'HTTP status of the last attempt.';
comment on column postrider.delivery.error is 'What went wrong at the last attempt; withheld from those who may not see payloads if it may quote one.';
comment on column postrider.delivery.next_attempt_at is 'When it is tried next, if that is known.';
comment on column postrider.delivery.created_at is 'When the message was emitted.';
comment on column postrider.delivery.finished_at is 'When the delivery ended.';
comment on column postrider.delivery.removed is 'erased or expired, if the data of the message was removed from the log.';
-- How the endpoints stand.

create function postrider.endpoint_status(out endpoint_id integer, out pid integer,
	out in_flight integer, out in_flight_limit integer, out queued integer,
	out breaker text, out open_until timestamptz, out blocked_until timestamptz,
	out failures bigint, out failing_since timestamptz, out rate_used text[],
	out rate_used_share real, out last_success_at timestamptz, out last_error text,
	out last_error_at timestamptz)
returns setof record
language c volatile parallel restricted
as 'MODULE_PATHNAME', 'postrider_endpoint_status';
comment on function postrider.endpoint_status() is
'What the workers of this database know of their endpoints; see the view postrider.endpoint_health.';

create view postrider.endpoint_health with (security_barrier) as
select e.name as endpoint, e.tenant,
	case when not e.enabled then 'disabled' when e.paused_at is not null then 'paused'
		when s.endpoint_id is null then 'unknown' when s.breaker = 'open' then 'open'
		when s.breaker = 'half_open' then 'probing' when s.blocked_until > now() then 'throttled'
		when s.failures > 0 then 'failing' else 'ok' end as state,
	case when not e.enabled then e.disabled_reason when e.paused_at is not null then e.pause_reason
		when s.failures > 0 or s.breaker <> 'closed' then s.last_error end as reason,
	s.in_flight, s.in_flight_limit, s.queued, p.waiting, p.next_due_at,
	s.breaker, s.open_until, s.blocked_until, s.failures, s.failing_since,
	s.rate_used, s.rate_used_share, e.rate_group,
	s.last_success_at, s.last_error, s.last_error_at
from postrider.endpoint e
left join postrider.endpoint_status() s on s.endpoint_id = e.id
cross join lateral (
	select count(*) as waiting, min(w.due_at) filter (where w.due_at <> 'infinity') as next_due_at
	from (select d.due_at from postrider.pending d where d.endpoint_id = e.id order by d.due_at limit 1001) w) p
where postrider.sees_tenant(e.tenant);
comment on view postrider.endpoint_health is
'How each endpoint stands: what it is doing, what holds it up, how much of its limits is used.';
comment on column postrider.endpoint_health.endpoint is 'The endpoint.';
comment on column postrider.endpoint_health.tenant is 'Its tenant.';
comment on column postrider.endpoint_health.state is 'ok; failing (the last attempt failed); throttled (the receiver asked to wait); open (its circuit breaker is open) or probing; paused; disabled; unknown (no worker has it).';
comment on column postrider.endpoint_health.reason is 'Why it is not ok.';
comment on column postrider.endpoint_health.in_flight is 'Requests in flight.';
comment on column postrider.endpoint_health.in_flight_limit is 'How many may be now: grows to max_in_flight while the receiver keeps answering as fast.';
comment on column postrider.endpoint_health.queued is 'Deliveries that the worker has at hand.';
comment on column postrider.endpoint_health.waiting is 'Deliveries in postrider.pending; 1001 means more than a thousand.';
comment on column postrider.endpoint_health.next_due_at is 'When the first of those is due.';
comment on column postrider.endpoint_health.breaker is 'Circuit breaker: closed (all is well), open (nothing is sent), half_open (one request tries).';
comment on column postrider.endpoint_health.open_until is 'When the open breaker tries again.';
comment on column postrider.endpoint_health.blocked_until is 'Until when the receiver asked to wait (Retry-After).';
comment on column postrider.endpoint_health.failures is 'Requests that failed in a row because the receiver is not well.';
comment on column postrider.endpoint_health.failing_since is 'Since when.';
comment on column postrider.endpoint_health.rate_used is 'How much of each rate limit is used now.';
comment on column postrider.endpoint_health.rate_used_share is 'The largest share of a limit that is used, from 0 to 1.';
comment on column postrider.endpoint_health.rate_group is 'Group of endpoints that share these limits.';
comment on column postrider.endpoint_health.last_success_at is 'When the last request succeeded, since the worker started.';
comment on column postrider.endpoint_health.last_error is 'What went wrong last.';
comment on column postrider.endpoint_health.last_error_at is 'When that was.';

create table postrider.endpoint_state (
	endpoint_id integer not null,
	rate_group text not null,
	rate bytea,
	breaker bytea,
	clean boolean not null,
	saved_at timestamptz not null,
	primary key (endpoint_id, rate_group)
) with (fillfactor = 50);
comment on table postrider.endpoint_state is
'What workers keep over a restart: how much of rate limits is used, and since when endpoints fail. Written by the workers; nobody else need look.';
comment on column postrider.endpoint_state.endpoint_id is 'The endpoint; 0 for a rate group.';
comment on column postrider.endpoint_state.rate_group is 'The rate group; empty for an endpoint.';
comment on column postrider.endpoint_state.rate is 'State of the rate limits, in a form of its own.';
comment on column postrider.endpoint_state.breaker is 'State of the circuit breaker, in a form of its own.';
comment on column postrider.endpoint_state.clean is 'The worker ended after it wrote this: nothing has been sent since.';
comment on column postrider.endpoint_state.saved_at is 'When it was written.';
-- What secrets are used for, and how they stand.

create view postrider.secret_use with (security_barrier) as
select s.name as secret, 'endpoint' as kind, e.name as used_by, c.place
from postrider.endpoint e
	cross join lateral (values ('signing_secret', pg_catalog.to_jsonb(e.signing_secret)), ('proxy_secret', pg_catalog.to_jsonb(e.proxy_secret)),
		('auth', pg_catalog.to_jsonb(e) operator(pg_catalog.->) 'auth'),
		('signing', pg_catalog.to_jsonb(e) operator(pg_catalog.->) 'signing')) as c (place, value)
	cross join lateral (select distinct v operator(pg_catalog.#>>) '{}' as text
		from pg_catalog.jsonb_path_query(c.value, 'strict $.** ? (@.type() == "string")') v) as t
	join postrider.secret s on s.name operator(pg_catalog.=) t.text
where postrider.sees_tenant(s.tenant) and postrider.sees_tenant(e.tenant)
union all
select s.name, 'secret', o.name, 'source'
from postrider.secret o
	cross join lateral (select distinct v operator(pg_catalog.#>>) '{}' as text
		from pg_catalog.jsonb_path_query(o.source, 'strict $.** ? (@.type() == "string")') v) as t
	join postrider.secret s on s.name operator(pg_catalog.=) t.text and s.name operator(pg_catalog.<>) o.name
where postrider.sees_tenant(s.tenant) and postrider.sees_tenant(o.tenant)
union all
select s.name, 'setting', 'postrider.proxy_secret', 'postrider.proxy_secret'
from postrider.secret s
where s.name operator(pg_catalog.=) pg_catalog.current_setting('postrider.proxy_secret', true)
	and postrider.sees_tenant(s.tenant);
comment on view postrider.secret_use is
'What refers to secrets: they cannot be dropped before.';
comment on column postrider.secret_use.secret is 'Name of the secret.';
comment on column postrider.secret_use.kind is 'endpoint, secret (its source needs another one) or setting.';
comment on column postrider.secret_use.used_by is 'Name of that endpoint, secret or setting.';
comment on column postrider.secret_use.place is 'The column that has the name in it.';

create view postrider.secret_status with (security_barrier) as
select s.name, s.tenant,
	case when s.expires_at operator(pg_catalog.<=) pg_catalog.now() then 'expired'
		when v.newest is null and s.source is null then 'empty'
		when s.expires_at operator(pg_catalog.-) s.warn_before operator(pg_catalog.<=) pg_catalog.now() then 'expiring'
		when v.count operator(pg_catalog.>) 1 then 'rotating'
		else 'good' end as state,
	v.newest as version, v.in_force as versions_in_force, v.set_at, v.old_retires_at, s.expires_at,
	coalesce(u.used_by, '{}') as used_by, s.source, s.description
from postrider.secret s
	left join lateral (select max(w.version) as newest, pg_catalog.count(*) as count,
			array_agg(w.version order by w.version operator(pg_catalog.*) -1) as in_force, max(w.created_at) as set_at, max(w.retires_at) as old_retires_at
		from postrider.secret_version w
		where w.name operator(pg_catalog.=) s.name
			and (w.retires_at is null or w.retires_at operator(pg_catalog.>) pg_catalog.now())) v on true
	left join lateral (select array_agg(distinct p.kind operator(pg_catalog.||) ' ' operator(pg_catalog.||) p.used_by) as used_by
		from postrider.secret_use p where p.secret operator(pg_catalog.=) s.name) u on true
where postrider.sees_tenant(s.tenant);
comment on view postrider.secret_status is
'How secrets stand, without their values.';
comment on column postrider.secret_status.name is 'Name of the secret.';
comment on column postrider.secret_status.tenant is 'The tenant that it belongs to.';
comment on column postrider.secret_status.state is 'good, rotating (an old value is in force too), expiring (within warn_before), expired (it is not used), or empty (it has no value).';
comment on column postrider.secret_status.version is 'The newest version; NULL if its value is in a store outside of the database.';
comment on column postrider.secret_status.versions_in_force is 'All versions that sign, the newest first.';
comment on column postrider.secret_status.set_at is 'When the newest value was set.';
comment on column postrider.secret_status.old_retires_at is 'Until when an old value is in force.';
comment on column postrider.secret_status.expires_at is 'From then on it is not used.';
comment on column postrider.secret_status.used_by is 'What refers to it; see the view postrider.secret_use.';
comment on column postrider.secret_status.source is 'The store that has the value.';
comment on column postrider.secret_status.description is 'For people.';

create function postrider.drop_secret(name text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	used postrider.secret_use;
	count bigint;
begin
	if drop_secret.name is null then
		raise null_value_not_allowed using message = 'name of secret must not be null';
	end if;
	perform from postrider.secret s where s.name = drop_secret.name and postrider.sees_tenant(s.tenant) for update;
	if not found then
		raise undefined_object using message = format('secret "%s" does not exist', drop_secret.name),
			hint = 'Run SELECT name FROM postrider.secret_status.';
	end if;
	select * into used from postrider.secret_use u where u.secret = drop_secret.name order by u.kind, u.used_by, u.place limit 1;
	select count(*) into count from (select distinct u.kind, u.used_by from postrider.secret_use u where u.secret = drop_secret.name) d;
	if count > 0 then
		raise dependent_objects_still_exist using message = format('secret "%s" is used by %s "%s"%s', drop_secret.name, used.kind,
				used.used_by, case when count > 1 then format(' and %s more', count - 1) else '' end),
			hint = format('Change its %s first. SELECT * FROM postrider.secret_use WHERE secret = %L shows all uses.', used.place, drop_secret.name);
	end if;
	delete from postrider.secret s where s.name = drop_secret.name;
end
$$;
comment on function postrider.drop_secret(text) is
'Deletes a secret with all its versions, unless something uses it.';

create function postrider.drop_old_keys(force boolean default false) returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
	other text;
begin
	select d.datname into other from pg_database d
	where d.datname <> current_database() and not drop_old_keys.force
		and exists (select from pg_stat_activity a where a.datid = d.oid and a.backend_type like 'postrider worker%')
	order by d.datname limit 1;
	if found then
		raise object_in_use using message = format('database "%s" has postrider too, and may need the old keys', other),
			hint = 'Run SELECT postrider.rotate_key() there, and in all others, then SELECT postrider.drop_old_keys(force => true).';
	end if;
	return postrider.drop_keys();
end
$$;
comment on function postrider.drop_old_keys(boolean) is
'Takes all keys but the current one out of the key file, when no secret of this database needs them any more; returns how many. What was dumped before cannot be restored without them. force: other databases have been seen to.';

create function postrider.check_secret() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
	if new.name <> old.name then
		raise feature_not_supported using message = format('name of secret "%s" cannot be changed', old.name),
			hint = 'Store another one, and change what uses it.';
	end if;
	if (new.expires_at is distinct from old.expires_at or new.warn_before <> old.warn_before) and new.announced is not distinct from old.announced then
		new.announced := null;
	end if;
	return new;
end
$$;
comment on function postrider.check_secret() is
'Trigger: a secret keeps its name; when its end is changed, the new one is announced again.';
create trigger check_secret before update on postrider.secret
	for each row execute function postrider.check_secret();
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
	tenant := case when shown ? 'tenant' then shown ->> 'tenant'
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
		(60, 'endpoint', 'endpoints', null, array['disabled_reason', 'paused_at', 'pause_reason']),
		(70, 'subscription', 'subscriptions', 'endpoint', '{}'))
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
	if kind = 'secret' and action = 'create' then
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
-- Tenants: who is bound to one by postrider.tenant sees and changes only what is its own.
--
-- Tables have policies.  Views, and functions with SECURITY DEFINER, run as the owner whom
-- no policy binds: they ask postrider.sees_tenant() themselves.  Endpoints and secrets have a
-- trigger besides, which also a function that runs as the owner cannot get past.  What hangs
-- on an endpoint (subscriptions, attempts, what is pending or dead) belongs to its tenant: an
-- endpoint of a tenant gets messages of that tenant only, and keeps its tenant for life.
-- Topics, schemas and mappings are shared: a bound session reads them, and changes none.

create function postrider.require_tenant(tenant text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
	if not postrider.sees_shared(require_tenant.tenant) then
		raise insufficient_privilege using
			message = format('permission denied for tenant "%s"', require_tenant.tenant),
			detail = format('This session is bound to tenant "%s" by postrider.tenant.', postrider.bound_tenant()),
			hint = 'Leave the tenant out.';
	end if;
end
$$;
comment on function postrider.require_tenant(text) is
'Raises an error if the session is bound to another tenant.';

create function postrider.bind_tenant() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	bound text := postrider.bound_tenant();
	secret text;
	what text := tg_table_name;
begin
	if tg_op <> 'INSERT' and not postrider.sees_tenant(old.tenant) then
		raise insufficient_privilege using
			message = format('%s "%s" belongs to another tenant', what, old.name),
			hint = 'Names are shared by all tenants: choose another one.';
	end if;
	if tg_op = 'DELETE' then
		return old;
	end if;
	if tg_op = 'UPDATE' and new.tenant is distinct from old.tenant and new.tenant is not null then
		raise feature_not_supported using
			message = format('tenant of %s "%s" cannot be changed', what, old.name),
			detail = 'What it has had so far would be seen by the other one.',
			hint = format('Make another %s for that tenant.', what);
	end if;
	if bound is null then
		return new;
	end if;
	new.tenant := coalesce(new.tenant, bound);
	perform postrider.require_tenant(new.tenant);
	if what = 'secret' then
		if tg_op = 'INSERT' and new.source is not null or tg_op = 'UPDATE' and new.source is distinct from old.source then
			raise insufficient_privilege using
				message = format('source of secret "%s" cannot be set by a tenant', new.name),
				hint = 'Stores outside of the database are for those who are not bound to a tenant.';
		end if;
		return new;
	end if;

	-- A number that was in use would bring attempts and dead letters of another with it.
	if tg_op = 'INSERT' then
		new.id := nextval('postrider.endpoint_id_seq');
	elsif to_jsonb(new) - array['enabled', 'disabled_reason', 'paused_at', 'pause_reason', 'description']
		= to_jsonb(old) - array['enabled', 'disabled_reason', 'paused_at', 'pause_reason', 'description'] then
		return new;
	end if;
	-- Whoever chooses the URL gets to see what a secret is worth.
	select s.name into secret
	from jsonb_path_query(jsonb_build_array(to_jsonb(new) -> 'signing_secret', to_jsonb(new) -> 'proxy_secret',
		to_jsonb(new) -> 'auth', to_jsonb(new) -> 'signing'), 'strict $.** ? (@.type() == "string")') v
	join postrider.secret s on s.name = v #>> '{}'
	where not postrider.sees_tenant(s.tenant) limit 1;
	if found then
		raise insufficient_privilege using
			message = format('permission denied for secret "%s" of endpoint "%s"', secret, new.name),
			hint = 'A tenant''s endpoints use secrets of that tenant: SELECT name FROM postrider.secret_status.';
	end if;
	if new.rate_group is not null and exists (select from postrider.endpoint e
		where e.rate_group = new.rate_group and not postrider.sees_tenant(e.tenant)) then
		raise insufficient_privilege using
			message = format('permission denied for rate_group "%s" of endpoint "%s"', new.rate_group, new.name),
			hint = 'Endpoints of others are in it: choose another name.';
	end if;
	return new;
end
$$;
comment on function postrider.bind_tenant() is
'Trigger: gives what a bound session writes its tenant, and refuses what would cross to another.';
create trigger bind_tenant before insert or update or delete on postrider.endpoint
	for each row execute function postrider.bind_tenant();
create trigger bind_tenant before insert or update or delete on postrider.secret
	for each row execute function postrider.bind_tenant();

create function postrider.bind_secret_version() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
	secret_name text := case when tg_op = 'DELETE' then old.name else new.name end;
begin
	if postrider.bound_tenant() is not null and exists (select from postrider.secret s
		where s.name = secret_name and not postrider.sees_tenant(s.tenant)) then
		raise insufficient_privilege using
			message = format('secret "%s" belongs to another tenant', secret_name),
			hint = 'Names are shared by all tenants: choose another one.';
	end if;
	return case when tg_op = 'DELETE' then old else new end;
end
$$;
comment on function postrider.bind_secret_version() is
'Trigger: refuses a value for a secret of another tenant.';
create trigger bind_secret_version before insert or update or delete on postrider.secret_version
	for each row execute function postrider.bind_secret_version();

-- Policies.  A table without one shows nothing to anybody but the owner.
create policy tenant on postrider.endpoint
	using (postrider.sees_tenant(tenant)) with check (postrider.sees_tenant(tenant));
create policy tenant on postrider.secret
	using (postrider.sees_tenant(tenant)) with check (postrider.sees_tenant(tenant));
create policy tenant on postrider.message for select using (postrider.sees_tenant(tenant));
create policy tenant on postrider.subscription
	using (postrider.bound_tenant() is null or endpoint operator(pg_catalog.=) any (array(select e.name from postrider.endpoint e)));
create policy tenant on postrider.attempt for select
	using (postrider.bound_tenant() is null or endpoint_id operator(pg_catalog.=) any (array(select e.id from postrider.endpoint e)));
create policy tenant on postrider.pending for select
	using (postrider.bound_tenant() is null or endpoint_id operator(pg_catalog.=) any (array(select e.id from postrider.endpoint e)));
create policy tenant on postrider.dead_letter
	using (postrider.bound_tenant() is null
		or postrider.sees_tenant(tenant) and endpoint_id operator(pg_catalog.=) any (array(select e.id from postrider.endpoint e)));
create policy tenant on postrider.secret_version
	using (postrider.bound_tenant() is null or name operator(pg_catalog.=) any (array(select s.name from postrider.secret s)));
create policy tenant on postrider.config_history for select
	using (postrider.bound_tenant() is null
		or postrider.sees_tenant(tenant));
create policy tenant on postrider.erasure for select using (postrider.sees_tenant(tenant));

do $$
declare
	relation text;
begin
	foreach relation in array array['topic', 'topic_version', 'schema', 'mapping', 'sensitive_field', 'payload_retention']
	loop
		execute format('create policy shared on postrider.%I for select using (true)', relation);
		execute format('create policy shared_insert on postrider.%I for insert with check (postrider.bound_tenant() is null)', relation);
		execute format('create policy shared_update on postrider.%I for update using (postrider.bound_tenant() is null)', relation);
		execute format('create policy shared_delete on postrider.%I for delete using (postrider.bound_tenant() is null)', relation);
	end loop;
	-- All, so that none can be forgotten; partitions too, as they are made later.
	for relation in select c.relname from pg_catalog.pg_class c
		where c.relnamespace = 'postrider'::regnamespace and c.relkind in ('r', 'p')
	loop
		execute format('alter table postrider.%I enable row level security', relation);
	end loop;
end
$$;
-- Who may do what. Out of the box nobody but the owner may do anything.

revoke all on all functions in schema postrider from public;
revoke all on all tables in schema postrider from public;

grant usage on schema postrider to postrider_writer, postrider_reader, postrider_admin, postrider_payload_reader;

grant execute on function
	postrider.emit(text, jsonb, text, jsonb, timestamptz, timestamptz, text, text, text),
	postrider.send(text, jsonb, text, jsonb, timestamptz, timestamptz, text, text, text, text),
	postrider.watch(regclass, text, text[], name[], text, name[], text),
	postrider.unwatch(regclass, text),
	postrider.narrow_watch(regclass, text, text[]),
	postrider.record_watches(regclass),
	postrider.check_watchable(regclass),
	postrider.check_columns(regclass, name[]),
	postrider.capture(),
	postrider.is_topic(text),
	postrider.is_topic_pattern(text),
	postrider.topic_matches(text, text),
	postrider.validate_topic(text, jsonb),
	postrider.is_format(text, text),
	postrider.matches(text, text),
	postrider.next_id(),
	postrider.id_time(uuid),
	postrider.id_floor(timestamptz)
to postrider_writer, postrider_admin;

-- Policies of tables call these as whoever reads the table.
grant execute on function
	postrider.bound_tenant(),
	postrider.sees_tenant(text),
	postrider.sees_shared(text),
	postrider.sees_payloads()
to postrider_writer, postrider_reader, postrider_admin, postrider_payload_reader;
grant execute on function postrider.require_tenant(text) to postrider_admin;
grant execute on function postrider.require_owner(regclass) to postrider_writer, postrider_admin;

-- What is going on, without payloads and what may quote them.
grant select on postrider.delivery, postrider.worker, postrider.endpoint_health, postrider.progress
to postrider_reader, postrider_admin;
grant execute on function
	postrider.worker_status(),
	postrider.endpoint_status(),
	postrider.progress_status(),
	postrider.readable_error(text, text)
to postrider_reader, postrider_admin;
grant select (id, xid, topic, endpoint, key, tenant, deliver_at, expires_at, traceparent, priority)
	on postrider.message to postrider_reader, postrider_admin;
grant select (message_id, started_at, endpoint_id, duration_ms, attempt, status_code, outcome, error_code, request_id)
	on postrider.attempt to postrider_reader, postrider_admin;
grant select (message_id, endpoint_id, due_at, attempts, reason, key, topic, tenant, expires_at, traceparent,
	priority, mapping, mapping_version) on postrider.pending to postrider_reader, postrider_admin;
grant select (message_id, endpoint_id, reason, attempts, status_code, error_code, died_at, topic, key, tenant,
	expires_at, traceparent, priority, mapping, mapping_version)
	on postrider.dead_letter to postrider_reader, postrider_admin;
grant select (id, name, tenant, enabled, disabled_reason, paused_at, pause_reason, description, created_at)
	on postrider.endpoint to postrider_reader;

-- Payloads, headers, responses, and errors that quote them.
grant select on postrider.message, postrider.attempt, postrider.pending, postrider.dead_letter
to postrider_payload_reader;
grant select (id, name, tenant) on postrider.endpoint to postrider_payload_reader;

grant execute on function
	postrider.id_time(uuid),
	postrider.id_floor(timestamptz),
	postrider.topic_matches(text, text),
	postrider.filter_matches(jsonb, jsonpath),
	postrider.compare_schema(jsonb, jsonb),
	postrider.is_compatible(jsonb, jsonb),
	postrider.is_format(text, text),
	postrider.matches(text, text)
to postrider_writer, postrider_reader, postrider_admin;

-- Pure functions, useful on their own.
grant execute on function
	postrider.is_email(text),
	postrider.is_url(text),
	postrider.is_uuid(text),
	postrider.is_phone(text, text),
	postrider.normalize_email(text),
	postrider.normalize_phone(text, text),
	postrider.convert_date(text, text, text, text),
	postrider.render(text, jsonb, text, text, text, text, text, uuid),
	postrider.hash_identifier(text),
	postrider.convert(jsonb, jsonb),
	postrider.check_value(jsonb, jsonb),
	postrider.is_valid(jsonb, jsonb),
	postrider.validate(jsonb, jsonb),
	postrider.conversions(),
	postrider.checks(),
	postrider.check_response_rules(jsonb),
	postrider.check_response(jsonb, integer, jsonb, text, timestamptz),
	postrider.read_rate_headers(jsonb, timestamptz)
to postrider_writer, postrider_reader, postrider_admin;

-- These compute, and read nothing but mappings and the columns of a relation.
grant execute on function
	postrider.map(jsonb, jsonb),
	postrider.map(jsonb, text, integer),
	postrider.map_errors(jsonb, jsonb),
	postrider.map_errors(jsonb, text, integer),
	postrider.check_mapping(jsonb),
	postrider.describe_mapping(jsonb),
	postrider.describe_mapping(text, integer),
	postrider.suggest_mapping(regclass, jsonb)
to postrider_writer, postrider_reader, postrider_admin;

grant select, insert, update, delete on postrider.endpoint, postrider.subscription, postrider.topic,
	postrider.mapping, postrider.schema
to postrider_admin;
grant select, insert, update, delete on postrider.sensitive_field, postrider.payload_retention to postrider_admin;
grant select on postrider.message_masked, postrider.dead_letter_masked to postrider_payload_reader;
grant execute on function
	postrider.export_subject(text, jsonpath, text, text),
	postrider.mask(text, jsonb),
	postrider.mask_payload(jsonb, jsonpath[]),
	postrider.mask_string(text, jsonb, jsonpath[]),
	postrider.sensitive_paths(text)
to postrider_payload_reader;
grant select, delete on postrider.topic_version to postrider_admin;
grant delete on postrider.dead_letter to postrider_admin;
grant select on postrider.erasure to postrider_admin;
grant select, update (description, expires_at, warn_before) on postrider.secret to postrider_admin;
grant select on postrider.secret_use, postrider.secret_status to postrider_admin;

-- People see how credentials stand; nobody but the workers sees the table.
grant select on postrider.credential_status to postrider_reader, postrider_admin;
grant execute on function postrider.credential_ids(jsonb) to postrider_reader, postrider_admin;
grant select on postrider.secret_source_status to postrider_reader, postrider_admin;
grant execute on function postrider.source_credential(jsonb) to postrider_reader, postrider_admin;
grant execute on function postrider.renew_credential(text) to postrider_admin;
grant select (name, version, retires_at, created_at) on postrider.secret_version to postrider_admin;
grant execute on function
	postrider.send_test(text, jsonb, text, text, text, jsonb),
	postrider.preview(text, jsonb, text, text, jsonb),
	postrider.pause(text, text, text),
	postrider.resume(text, text),
	postrider.retry(uuid, text, text, text, text, timestamptz, timestamptz, text, integer),
	postrider.cancel(uuid, text, text, text, text, timestamptz, timestamptz, jsonpath, text),
	postrider.purge(uuid, text, text, text, text, timestamptz, timestamptz, text, integer),
	postrider.replay(text, timestamptz, timestamptz, text, jsonpath, text, text),
	postrider.explain(uuid),
	postrider.mask(text, jsonb),
	postrider.mask_payload(jsonb, jsonpath[]),
	postrider.mask_string(text, jsonb, jsonpath[]),
	postrider.sensitive_paths(text),
	postrider.sensitive_path_problem(jsonpath),
	postrider.mark_sensitive(regclass, name[], text),
	postrider.erase(text, jsonpath, text, text, text),
	postrider.on_message(text, regprocedure, text, jsonpath, text, interval, integer),
	postrider.off_message(text, regprocedure, text),
	postrider.touched_nothing(text, text),
	postrider.set_secret(text, text, interval, timestamptz, interval, text, text),
	postrider.set_secret_source(text, jsonb, text, text),
	postrider.drop_secret(text),
	postrider.public_key(text),
	postrider.is_topic_pattern(text),
	postrider.next_id()
to postrider_admin;

-- Documents of the configuration: all with the rights of the caller.
grant select on postrider.config_history to postrider_admin;
grant execute on function
	postrider.acting_role(),
	postrider.is_secret_name(text),
	postrider.nearest_word(text, text[]),
	postrider.mask_url(text),
	postrider.mask_config(jsonb),
	postrider.unmask_config(jsonb, jsonb),
	postrider.config_tables(),
	postrider.config_key(jsonb, text[]),
	postrider.primary_key(regclass),
	postrider.hidden_columns(regclass),
	postrider.watches(),
	postrider.config_kinds(),
	postrider.config_defaults(regclass),
	postrider.config_columns(regclass, text[]),
	postrider.config_rows(text, bigint),
	postrider.short_body(jsonb, jsonb, text[]),
	postrider.mapping_items(bigint),
	postrider.plain_items(text, bigint),
	postrider.listed_name(text, text, bigint),
	postrider.config_items(bigint, text),
	postrider.history_id(timestamptz),
	postrider.config_document(bigint, text),
	postrider.export_config(text, timestamptz),
	postrider.lock_config(),
	postrider.config_fields(text),
	postrider.perhaps(text, text[]),
	postrider.canonical_body(text, regclass, text[], jsonb, jsonb),
	postrider.document_items(jsonb),
	postrider.apply_mapping(text, text, jsonb),
	postrider.apply_watch(text, text, text, jsonb),
	postrider.apply_row(text, text, text, text, jsonb, jsonb, jsonb),
	postrider.apply_step(text, text, text, text, jsonb, jsonb, jsonb),
	postrider.config_note(text, text, text, jsonb, jsonb),
	postrider.config_steps(jsonb, boolean),
	postrider.config_differences(text, text, text, jsonb, jsonb, text, text),
	postrider.try_step(jsonb),
	postrider.try_steps(jsonb),
	postrider.apply_document(jsonb, boolean, boolean, text),
	postrider.apply_config(jsonb, boolean, boolean),
	postrider.revert_config(timestamptz, bigint, boolean)
to postrider_admin;

-- Configuration is dumped; messages, attempts and pending rows are not, so that
-- restoring a dump never sends again what was sent.
select pg_catalog.pg_extension_config_dump('postrider.secret', '');
select pg_catalog.pg_extension_config_dump('postrider.secret_version', '');
select pg_catalog.pg_extension_config_dump('postrider.schema', '');
select pg_catalog.pg_extension_config_dump('postrider.topic', '');
select pg_catalog.pg_extension_config_dump('postrider.mapping', '');
select pg_catalog.pg_extension_config_dump('postrider.topic_version', '');
select pg_catalog.pg_extension_config_dump('postrider.endpoint', '');
select pg_catalog.pg_extension_config_dump('postrider.endpoint_id_seq', '');
select pg_catalog.pg_extension_config_dump('postrider.subscription', '');
select pg_catalog.pg_extension_config_dump('postrider.subscription_id_seq', '');
select pg_catalog.pg_extension_config_dump('postrider.sensitive_field', '');
select pg_catalog.pg_extension_config_dump('postrider.payload_retention', '');
select pg_catalog.pg_extension_config_dump('postrider.config_history', '');
select pg_catalog.pg_extension_config_dump('postrider.config_history_id_seq', '');

-- The history of all these.
select postrider.keep_config_history();

-- The launcher learns of us when this transaction commits.
select postrider.wake();
