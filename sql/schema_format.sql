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
