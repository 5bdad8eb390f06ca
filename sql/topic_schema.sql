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
