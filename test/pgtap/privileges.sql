-- Who may do what: every privilege that a role of ours has, on any object that there
-- is, against the list below.  An object that nobody has a right to need not be in
-- it; anything else must, so that no grant is made without being seen here.
-- A line is: roles | privilege | object.
begin;
create extension if not exists pgtap;
create extension if not exists postrider;
select plan(5);

create temp view held as
with role (name) as (values ('admin'), ('payload_reader'), ('reader'), ('writer')),
object (kind, name, oid) as (
	select 'function', p.proname || '(' || oidvectortypes(p.proargtypes) || ')', p.oid
	from pg_proc p where p.pronamespace = 'postrider'::regnamespace
	union all
	select case c.relkind when 'S' then 'sequence' else 'relation' end, c.relname, c.oid
	from pg_class c where c.relnamespace = 'postrider'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')),
privilege (kind, name) as (values ('function', 'execute'), ('relation', 'select'), ('relation', 'insert'),
	('relation', 'update'), ('relation', 'delete'), ('relation', 'truncate'), ('relation', 'references'),
	('relation', 'trigger'), ('sequence', 'usage'), ('sequence', 'select'), ('sequence', 'update')),
whole as (
	select o.kind, o.name, o.oid, r.name as role, p.name as privilege
	from role r cross join object o join privilege p using (kind)
	where case o.kind when 'function' then has_function_privilege('postrider_' || r.name, o.oid, p.name)
		when 'sequence' then has_sequence_privilege('postrider_' || r.name, o.oid, p.name)
		else has_table_privilege('postrider_' || r.name, o.oid, p.name) end),
part as (
	select o.name, r.name as role, p.name as privilege, string_agg(a.attname, ' ' order by a.attnum) as columns
	from role r cross join object o join pg_attribute a on a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped
	cross join (values ('select'), ('insert'), ('update'), ('references')) as p (name)
	where o.kind = 'relation' and has_column_privilege('postrider_' || r.name, o.oid, a.attnum, p.name)
	and not has_table_privilege('postrider_' || r.name, o.oid, p.name)
	group by 1, 2, 3)
select w.kind || ' ' || w.name as object, string_agg(w.role, ' ' order by w.role) as roles, w.privilege
from whole w group by w.kind, w.name, w.privilege
union all
select 'columns of ' || p.name || ': ' || p.columns, string_agg(p.role, ' ' order by p.role), p.privilege
from part p group by p.name, p.columns, p.privilege;
create temp table expected (line text);
copy expected from stdin;
admin reader | execute | function metric_families()
admin reader | execute | function cumulative_counts(bigint[])
admin reader | execute | function metric_histogram(text, text, double precision[], bigint[], double precision, boolean)
admin reader | execute | function metric_labels(text[], text[])
admin reader | execute | function metric_states(text, text, text[], text)
admin reader | execute | function metric_add_sample(internal, text, text, text, double precision)
admin reader | execute | function metric_text(internal)
admin reader | execute | function metric_samples(text, text, text, double precision)
admin reader | execute | function endpoint_waiting(integer)
admin reader | execute | function worker_lag(integer, boolean)
admin reader | execute | function endpoint_windows(integer, timestamp with time zone, bigint, bigint, bigint[], real)
admin reader | execute | function endpoint_state(boolean, timestamp with time zone, text, timestamp with time zone, bigint)
admin reader | execute | function overdue_since(text, timestamp with time zone, uuid)
admin reader | select | relation dead_letter_summary
admin reader | execute | function page_text(text)
admin reader | execute | function page_name(text)
admin reader | execute | function page_count(numeric)
admin reader | execute | function page_duration(double precision)
admin reader | execute | function page_age(timestamp with time zone)
admin reader | execute | function page_bars(double precision[], double precision[], double precision)
admin reader | execute | function page_scale(double precision)
admin reader | execute | function page_style()
admin reader | execute | function page_row(text[])
admin reader | execute | function page_table(text[], text, text)
admin reader | execute | function page_section_problems()
admin reader | execute | function page_section_totals(timestamp with time zone)
admin reader | execute | function page_section_flow(timestamp with time zone, interval, integer)
admin reader | execute | function page_histogram(text, bigint[])
admin reader | execute | function page_section_latency(timestamp with time zone)
admin reader | execute | function page_section_workers()
admin reader | execute | function page_section_endpoints(timestamp with time zone, interval, integer)
admin reader | execute | function page_section_waiting()
admin reader | execute | function page_section_dead_letters()
admin reader | execute | function page_section_topics(timestamp with time zone)
admin reader | execute | function status_page(interval)
admin reader | execute | function metrics(text)
admin reader | select | relation delivery_total
admin reader | select | relation message_total
admin reader | select | relation metric_credential
admin reader | select | relation metric_delivery
admin reader | select | relation metric_problem
admin reader | select | relation metric_endpoint
admin reader | select | relation metric_log
admin reader | select | relation metric_secret
admin reader | select | relation metric_worker
admin payload_reader | execute | function mask(text, jsonb)
admin payload_reader | execute | function mask_payload(jsonb, jsonpath[])
admin payload_reader | execute | function mask_string(text, jsonb, jsonpath[])
admin payload_reader | execute | function sensitive_paths(text)
admin | delete | relation alert_failure
admin | delete | relation alert
admin | delete | relation payload_retention
admin | delete | relation sensitive_field
admin | execute | function check_alert_source(postrider.alert)
admin | execute | function relation_columns(text)
admin | execute | function alert_escalation_problem(jsonb)
admin | execute | function check_alert_query(text)
admin | execute | function alert_query(postrider.alert)
admin | execute | function is_restoring()
admin | execute | function erase(text, jsonpath, text, text, text)
admin | execute | function mark_sensitive(regclass, name[], text)
admin | execute | function sensitive_path_problem(jsonpath)
admin | insert | relation alert
admin | insert | relation payload_retention
admin | insert | relation sensitive_field
admin | select | relation erasure
admin | select | relation payload_retention
admin | select | relation sensitive_field
admin | update | relation alert
admin | update | relation payload_retention
admin | update | relation sensitive_field
payload_reader | execute | function export_subject(text, jsonpath, text, text)
payload_reader | select | relation dead_letter_masked
payload_reader | select | relation message_masked
admin | delete | relation dead_letter
admin | delete | relation endpoint
admin | delete | relation mapping
admin | delete | relation schema
admin | delete | relation subscription
admin | delete | relation tenant
admin | insert | relation tenant
admin | select | relation tenant
admin | update | relation tenant
admin | delete | relation topic
admin | delete | relation topic_version
admin | execute | function acting_role()
admin | execute | function apply_config(jsonb, boolean, boolean)
admin | execute | function apply_document(jsonb, boolean, boolean, text)
admin | execute | function apply_mapping(text, text, jsonb)
admin | execute | function apply_row(text, text, text, text, jsonb, jsonb, jsonb)
admin | execute | function apply_step(text, text, text, text, jsonb, jsonb, jsonb)
admin | execute | function apply_watch(text, text, text, jsonb)
admin | execute | function cancel(uuid, text, text, text, text, timestamp with time zone, timestamp with time zone, jsonpath, text)
admin | execute | function canonical_body(text, regclass, text[], jsonb, jsonb)
admin | execute | function config_columns(regclass, text[])
admin | execute | function config_defaults(regclass)
admin | execute | function config_differences(text, text, text, jsonb, jsonb, text, text)
admin | execute | function config_document(bigint, text)
admin | execute | function config_fields(text)
admin | execute | function config_items(bigint, text)
admin | execute | function config_key(jsonb, text[])
admin | execute | function config_kinds()
admin | execute | function config_note(text, text, text, jsonb, jsonb)
admin | execute | function config_rows(text, bigint)
admin | execute | function config_steps(jsonb, boolean)
admin | execute | function config_tables()
admin | execute | function document_items(jsonb)
admin | execute | function drop_secret(text)
admin | execute | function explain(uuid)
admin | execute | function export_config(text, timestamp with time zone)
admin | execute | function hidden_columns(regclass)
admin | execute | function history_id(timestamp with time zone)
admin | execute | function is_secret_name(text)
admin | execute | function listed_name(text, text, bigint)
admin | execute | function lock_config()
admin | execute | function mapping_items(bigint)
admin | execute | function mask_config(jsonb)
admin | execute | function mask_url(text)
admin | execute | function nearest_word(text, text[])
admin | execute | function off_message(text, regprocedure, text)
admin | execute | function on_message(text, regprocedure, text, jsonpath, text, interval, integer)
admin | execute | function pause(text, text, text)
admin | execute | function perhaps(text, text[])
admin | execute | function plain_items(text, bigint)
admin | execute | function preview(text, jsonb, text, text, jsonb)
admin | execute | function primary_key(regclass)
admin | execute | function public_key(text)
admin | execute | function purge(uuid, text, text, text, text, timestamp with time zone, timestamp with time zone, text, integer)
admin | execute | function renew_credential(text)
admin | execute | function replay(text, timestamp with time zone, timestamp with time zone, text, jsonpath, text, text)
admin | execute | function require_tenant(text)
admin | execute | function resume(text, text)
admin | execute | function retry(uuid, text, text, text, text, timestamp with time zone, timestamp with time zone, text, integer)
admin | execute | function revert_config(timestamp with time zone, bigint, boolean)
admin | execute | function secret_references(text, jsonb)
admin | execute | function send_test(text, jsonb, text, text, text, jsonb)
admin | execute | function set_secret(text, text, interval, timestamp with time zone, interval, text, text)
admin | execute | function set_secret_source(text, jsonb, text, text)
admin | execute | function short_body(jsonb, jsonb, text[])
admin | execute | function touched_nothing(text, text)
admin | execute | function try_step(jsonb)
admin | execute | function try_steps(jsonb)
admin | execute | function unmask_config(jsonb, jsonb)
admin | execute | function watches()
admin | insert | relation endpoint
admin | insert | relation mapping
admin | insert | relation schema
admin | insert | relation subscription
admin | insert | relation topic
admin | select | columns of secret_version: name version retires_at created_at
admin | select | relation config_history
admin | select | relation endpoint
admin | select | relation mapping
admin | select | relation schema
admin | select | relation secret
admin | select | relation secret_status
admin | select | relation secret_use
admin | select | relation subscription
admin | select | relation topic
admin | select | relation topic_version
admin | update | columns of secret: description expires_at warn_before
admin | update | relation endpoint
admin | update | relation mapping
admin | update | relation schema
admin | update | relation subscription
admin | update | relation topic
admin payload_reader reader writer | execute | function bound_tenant()
admin payload_reader reader writer | execute | function sees_payloads()
admin payload_reader reader writer | execute | function sees_shared(text)
admin payload_reader reader writer | execute | function sees_tenant(text)
admin reader | execute | function credential_ids(jsonb)
admin reader | execute | function endpoint_status()
admin reader | execute | function problem_kinds()
admin reader | execute | function problems()
admin reader | select | relation alert_status
admin reader | select | relation alert_failure
admin reader | select | relation alert_state
admin reader | select | relation alert
admin reader | select | relation problem
admin | execute | function repair_partition(date)
admin | execute | function wake()
admin reader | execute | function progress_status()
admin reader | execute | function readable_error(text, text)
admin reader | execute | function library_version()
admin reader | execute | function span_id(uuid, integer, timestamp with time zone)
admin reader | execute | function timeline(uuid)
admin reader | execute | function worker_status()
admin reader | execute | function unwritten_stats()
admin reader | execute | function add_counts(bigint[], bigint[])
admin reader | execute | function duration_buckets()
admin reader | execute | function percentile(bigint[], double precision, real)
admin reader | execute | function sum_counts(bigint[])
admin reader | execute | function source_credential(jsonb)
admin reader | select | columns of attempt: message_id started_at endpoint_id duration_ms attempt status_code outcome error_code request_id
admin reader | select | columns of dead_letter: message_id endpoint_id reason attempts status_code error_code died_at topic key tenant expires_at traceparent priority mapping mapping_version
admin reader | select | columns of message: id xid topic endpoint key tenant deliver_at expires_at traceparent priority
admin reader | select | columns of pending: message_id endpoint_id due_at attempts reason key topic tenant expires_at traceparent priority mapping mapping_version
admin reader | select | relation credential_status
admin reader | select | relation delivery
admin reader | select | relation delivery_stats
admin reader | select | relation endpoint_health
admin reader | select | relation message_stats
admin reader | select | relation progress
admin reader | select | relation topic_stats
admin reader | select | relation secret_source_status
admin reader | select | relation worker
admin reader writer | execute | function check_mapping(jsonb)
admin reader writer | execute | function check_response(jsonb, integer, jsonb, text, timestamp with time zone)
admin reader writer | execute | function check_response_rules(jsonb)
admin reader writer | execute | function check_value(jsonb, jsonb)
admin reader writer | execute | function checks()
admin reader writer | execute | function compare_schema(jsonb, jsonb)
admin reader writer | execute | function conversions()
admin reader writer | execute | function convert(jsonb, jsonb)
admin reader writer | execute | function convert_date(text, text, text, text)
admin reader writer | execute | function describe_mapping(jsonb)
admin reader writer | execute | function describe_mapping(text, integer)
admin reader writer | execute | function filter_matches(jsonb, jsonpath)
admin reader writer | execute | function hash_identifier(text)
admin reader writer | execute | function id_floor(timestamp with time zone)
admin reader writer | execute | function id_time(uuid)
admin reader writer | execute | function is_compatible(jsonb, jsonb)
admin reader writer | execute | function is_email(text)
admin reader writer | execute | function is_format(text, text)
admin reader writer | execute | function is_phone(text, text)
admin reader writer | execute | function is_url(text)
admin reader writer | execute | function is_uuid(text)
admin reader writer | execute | function is_valid(jsonb, jsonb)
admin reader writer | execute | function map(jsonb, jsonb)
admin reader writer | execute | function map(jsonb, text, integer)
admin reader writer | execute | function map_errors(jsonb, jsonb)
admin reader writer | execute | function map_errors(jsonb, text, integer)
admin reader writer | execute | function matches(text, text)
admin reader writer | execute | function normalize_email(text)
admin reader writer | execute | function normalize_phone(text, text)
admin reader writer | execute | function read_rate_headers(jsonb, timestamp with time zone)
admin reader writer | execute | function render(text, jsonb, text, text, text, text, text, uuid)
admin reader writer | execute | function suggest_mapping(regclass, jsonb)
admin reader writer | execute | function topic_matches(text, text)
admin reader writer | execute | function validate(jsonb, jsonb)
admin writer | execute | function capture()
admin writer | execute | function check_columns(regclass, name[])
admin writer | execute | function check_watchable(regclass)
admin writer | execute | function emit(text, jsonb, text, jsonb, timestamp with time zone, timestamp with time zone, text, text, text)
admin writer | execute | function is_topic(text)
admin writer | execute | function is_topic_pattern(text)
admin writer | execute | function narrow_watch(regclass, text, text[])
admin writer | execute | function next_id()
admin writer | execute | function record_watches(regclass)
admin writer | execute | function require_owner(regclass)
admin writer | execute | function send(text, jsonb, text, jsonb, timestamp with time zone, timestamp with time zone, text, text, text, text)
admin writer | execute | function unwatch(regclass, text)
admin writer | execute | function validate_topic(text, jsonb)
admin writer | execute | function watch(regclass, text, text[], name[], text, name[], text)
payload_reader | select | columns of endpoint: id name tenant
payload_reader | select | relation attempt
payload_reader | select | relation dead_letter
payload_reader | select | relation message
payload_reader | select | relation pending
reader | select | columns of endpoint: id name tenant enabled disabled_reason paused_at pause_reason description created_at
\.

select is_empty($$
	select format('%s | %s | %s', roles, privilege, object) from held
	except select line from expected
$$, 'nobody has a privilege that is not in the list');
select is_empty($$
	select line from expected
	except select format('%s | %s | %s', roles, privilege, object) from held
$$, 'and all that are in it are there');

-- What the list cannot say.
select is_empty($$
	select c.oid::regclass, a.privilege_type from pg_class c cross join aclexplode(c.relacl) a
	where c.relnamespace = 'postrider'::regnamespace and (a.grantee = 0 or a.is_grantable and a.grantee <> c.relowner)
	union all
	select t.attrelid::regclass, a.privilege_type from pg_attribute t join pg_class c on c.oid = t.attrelid
	cross join aclexplode(t.attacl) a
	where c.relnamespace = 'postrider'::regnamespace and (a.grantee = 0 or a.is_grantable)
$$, 'nothing for PUBLIC on any table, column or sequence, and nothing that could be granted on');
select is_empty($$
	select nspname from pg_namespace n cross join aclexplode(n.nspacl) a
	where n.nspname = 'postrider' and (a.grantee = 0 or a.privilege_type = 'CREATE' and a.grantee <> n.nspowner)
$$, 'PUBLIC may not even look into the schema, and nobody may make objects in it');
select is_empty($$
	select m.roleid::regrole, m.member::regrole from pg_auth_members m
	where m.member::regrole::text like 'postrider\_%'
$$, 'none of the roles is a member of another');
select * from finish();
rollback;
