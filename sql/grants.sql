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
grant select on postrider.delivery, postrider.worker, postrider.endpoint_health, postrider.progress,
	postrider.delivery_stats, postrider.message_stats, postrider.topic_stats
to postrider_reader, postrider_admin;
grant execute on function
	postrider.duration_buckets(),
	postrider.add_counts(bigint[], bigint[]),
	postrider.sum_counts(bigint[]),
	postrider.percentile(bigint[], double precision, real)
to postrider_reader, postrider_admin;
grant execute on function
	postrider.library_version(),
	postrider.worker_status(),
	postrider.worker_lag(integer, boolean),
	postrider.endpoint_status(),
	postrider.unwritten_stats(),
	postrider.endpoint_waiting(integer),
	postrider.overdue_since(text, timestamptz, uuid),
	postrider.endpoint_windows(integer, timestamptz, bigint, bigint, bigint[], real),
	postrider.endpoint_state(boolean, timestamptz, text, timestamptz, bigint),
	postrider.progress_status(),
	postrider.readable_error(text, text),
	postrider.timeline(uuid),
	postrider.span_id(uuid, integer, timestamptz)
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

-- What needs a person.
grant select on postrider.problem to postrider_reader, postrider_admin;
grant execute on function
	postrider.problems(),
	postrider.problem_kinds()
to postrider_reader, postrider_admin;
grant execute on function
	postrider.repair_partition(date),
	postrider.wake()
to postrider_admin;

grant select on postrider.metric_endpoint, postrider.metric_worker, postrider.metric_secret, postrider.metric_credential,
	postrider.metric_log, postrider.metric_delivery, postrider.metric_problem,
	postrider.delivery_total, postrider.message_total
to postrider_reader, postrider_admin;
grant execute on function
	postrider.metric_families(),
	postrider.metric_labels(text[], text[]),
	postrider.metric_add_sample(internal, text, text, text, double precision),
	postrider.metric_text(internal),
	postrider.metric_samples(text, text, text, double precision),
	postrider.metric_states(text, text, text[], text),
	postrider.metric_histogram(text, text, double precision[], bigint[], double precision, boolean),
	postrider.cumulative_counts(bigint[]),
	postrider.metrics(text)
to postrider_reader, postrider_admin;

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
grant select, insert, update, delete on postrider.tenant to postrider_admin;
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
grant execute on function postrider.secret_references(text, jsonb) to postrider_admin;

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

-- The page shows what its reader may see.
grant select on postrider.dead_letter_summary to postrider_reader, postrider_admin;
grant execute on function
	postrider.page_text(text), postrider.page_name(text), postrider.page_count(numeric), postrider.page_duration(double precision),
	postrider.page_age(timestamptz), postrider.page_bars(double precision[], double precision[], double precision),
	postrider.page_scale(double precision), postrider.page_style(), postrider.page_row(text[]), postrider.page_table(text[], text, text),
	postrider.page_section_problems(), postrider.page_section_totals(timestamptz), postrider.page_section_flow(timestamptz, interval, integer),
	postrider.page_histogram(text, bigint[]), postrider.page_section_latency(timestamptz), postrider.page_section_workers(),
	postrider.page_section_endpoints(timestamptz, interval, integer), postrider.page_section_waiting(),
	postrider.page_section_dead_letters(), postrider.page_section_topics(timestamptz), postrider.status_page(interval)
to postrider_reader, postrider_admin;
grant select, insert, update, delete on postrider.alert to postrider_admin;
grant select on postrider.alert_state, postrider.alert_failure, postrider.alert_status to postrider_reader, postrider_admin;
grant delete on postrider.alert_failure to postrider_admin;
grant select on postrider.alert to postrider_reader;
grant execute on function
	postrider.is_restoring(),
	postrider.alert_query(postrider.alert),
	postrider.check_alert_query(text),
	postrider.alert_escalation_problem(jsonb),
	postrider.relation_columns(text),
	postrider.check_alert_source(postrider.alert)
to postrider_admin;

-- Configuration is dumped; messages, attempts and pending rows are not, so that
-- restoring a dump never sends again what was sent.
select pg_catalog.pg_extension_config_dump('postrider.secret', '');
select pg_catalog.pg_extension_config_dump('postrider.secret_version', '');
select pg_catalog.pg_extension_config_dump('postrider.schema', '');
select pg_catalog.pg_extension_config_dump('postrider.topic', '');
select pg_catalog.pg_extension_config_dump('postrider.mapping', '');
select pg_catalog.pg_extension_config_dump('postrider.topic_version', '');
select pg_catalog.pg_extension_config_dump('postrider.tenant', '');
select pg_catalog.pg_extension_config_dump('postrider.endpoint', '');
select pg_catalog.pg_extension_config_dump('postrider.endpoint_id_seq', '');
select pg_catalog.pg_extension_config_dump('postrider.subscription', '');
select pg_catalog.pg_extension_config_dump('postrider.subscription_id_seq', '');
select pg_catalog.pg_extension_config_dump('postrider.sensitive_field', '');
select pg_catalog.pg_extension_config_dump('postrider.payload_retention', '');
select pg_catalog.pg_extension_config_dump('postrider.alert', 'where not is_default');
select pg_catalog.pg_extension_config_dump('postrider.config_history', '');
select pg_catalog.pg_extension_config_dump('postrider.config_history_id_seq', '');

-- The history of all these.
select postrider.keep_config_history();

-- The launcher learns of us when this transaction commits.
select postrider.wake();
