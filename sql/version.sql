create function postrider.library_version() returns text
language c stable parallel safe
as 'MODULE_PATHNAME', 'postrider_library_version';
comment on function postrider.library_version() is
'The version of the library that the server has loaded. The version of the SQL objects is extversion in pg_extension: if they differ, workers wait.';
