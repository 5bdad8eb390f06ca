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
