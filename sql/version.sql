-- The library that the server has loaded may be that of 0.1.0, which has no version.
do $$
begin
	execute $sql$create function postrider.library_version() returns text
		language c stable parallel safe
		as 'MODULE_PATHNAME', 'postrider_library_version'$sql$;
exception when undefined_function then
	raise object_not_in_prerequisite_state using
		message = 'the server still runs the library of postrider 0.1.0',
		hint = 'Restart the server, then run the statement again.';
end
$$;
comment on function postrider.library_version() is
'The version of the library that the server has loaded. The version of the SQL objects is extversion in pg_extension: if they differ, workers wait.';
