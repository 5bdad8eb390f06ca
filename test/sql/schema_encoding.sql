-- JSON Schema where the database is not in UTF-8: patterns, formats and the
-- percent-encoding of references are about characters, not about bytes.

set client_min_messages = warning;
create database regress_latin1 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0;
create database regress_euc_jp encoding 'EUC_JP' lc_collate 'C' lc_ctype 'C' template template0;

\c regress_latin1
\encoding UTF8
create extension postrider;
select postrider.is_valid('"é"', '{"pattern": "^é$", "minLength": 1, "maxLength": 1}');
select postrider.is_valid('{"é": 1}', '{"patternProperties": {"^\\w": false, "^[^a-z]$": {"type": "string"}}}');
select postrider.is_valid('"é@example.com"', '{"format": "email"}'), postrider.is_valid('"é@example.com"', '{"format": "idn-email"}');
-- A reference in percent-encoding, which is of UTF-8.
select postrider.is_valid('"a"', '{"$ref": "#/$defs/%C3%A9", "$defs": {"é": {"type": "integer"}}}');
select postrider.is_valid('"a"', '{"$ref": "#/$defs/é%C3%A9", "$defs": {"éé": {"type": "string"}}}');
select message from postrider.validate('{"é": "ü"}', '{"properties": {"é": {"const": "é"}}}');
-- What is no UTF-8, and what the encoding does not have.
select postrider.is_valid('1', '{"$ref": "#/$defs/%E9", "$defs": {"é": true}}');
select postrider.is_valid('1', '{"$ref": "#/$defs/%E2%82%AC", "$defs": {"x": true}}');

\c regress_euc_jp
\encoding UTF8
create extension postrider;
select postrider.is_valid('"日本"', '{"pattern": "^\\p{Script=Han}{2}$", "maxLength": 2}');
select postrider.is_valid('"a"', '{"$ref": "#/$defs/%E6%97%A5", "$defs": {"日": {"type": "integer"}}}');

\c regression
drop database regress_latin1;
drop database regress_euc_jp;
