-- Problems of endpoints: the first thing that is wrong with each; of tenants, whose limits hold their
-- endpoints up; and what was given up.  Part of postrider.problem.

-- A function, so that it is planned, for all partitions of the log, only where it is wanted.
create function postrider.recent_error(endpoint_id integer, error_code text) returns text
language plpgsql stable parallel restricted
set search_path = pg_catalog, pg_temp
as $$
begin
	return (select postrider.readable_error(a.error_code, a.error)
		from (select p.message_id from postrider.pending p where p.endpoint_id = recent_error.endpoint_id order by p.due_at limit 20) p
		join postrider.attempt a on a.message_id = p.message_id and a.endpoint_id = recent_error.endpoint_id and a.error_code = recent_error.error_code
		order by a.started_at desc limit 1);
end
$$;
comment on function postrider.recent_error(integer, text) is
'The error of the newest attempt that failed by an error code, of those deliveries that are due first; as far as the user may see it. Part of postrider.problem.';

create function postrider.endpoint_problems(out since timestamptz, out kind text, out object text, out tenant text,
	out problem text, out detail text, out remedy text)
returns setof record
language plpgsql volatile parallel restricted rows 10
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
	return query
	with status as materialized (
		select s.* from postrider.endpoint_status() s),

	-- Endpoints: the first thing that is wrong with each.
	standing as (
		select e.*, s.failures, s.failing_since, s.last_error, s.last_error_code, s.last_error_at, s.breaker, s.open_until, s.blocked_until,
			s.rate_used, coalesce(s.queued, 0) as queued, coalesce(h.has_pending, false) as has_pending, r.rate, r.tenant_rate,
			coalesce(s.waits_for_tenant, false) as waits_for_tenant,
			case when r.rate is null and r.tenant_rate is null then 100 else 1000 end as counted_to,
			coalesce(s.last_error_at > coalesce(s.last_success_at, '-infinity'), false) as failed_last,
			coalesce(s.breaker <> 'closed', false) as is_open,
			coalesce(s.failures, 0) > 0 as is_failing
		from postrider.endpoint e
		left join status s on s.endpoint_id = e.id
		-- Not EXISTS, which may become a hash of the whole table.
		left join lateral (select true as has_pending from postrider.pending p where p.endpoint_id = e.id order by p.due_at limit 1) h on true
		-- Messages in a second, by its own limits and by those of its tenant.
		cross join lateral (select min(l.rate) filter (where not l.of_tenant) * coalesce(e.batch_size, 1) as rate,
				min(l.rate) filter (where l.of_tenant) * coalesce(e.batch_size, 1) as tenant_rate
			from (select m[1]::double precision / nullif(extract(epoch from m[2]::interval), 0) as rate, u like '% of the tenant' as of_tenant
				from unnest(s.rate_used) u cross join lateral regexp_match(regexp_replace(u, ' of the tenant$', ''), ' of (\d+) in (.*)$') m) l) r),
	waiting as (
		select s.*, d.overdue_since, o.overdue, s.queued + o.overdue as owed, (s.queued + o.overdue) / s.rate as rate_s,
			(s.queued + o.overdue) / s.tenant_rate as tenant_rate_s
		from standing s
		-- Since when they wait, as in endpoint_health: those that are due first say it.
		cross join lateral (select min(postrider.overdue_since(p.reason, p.due_at, p.message_id)) as overdue_since
			from (select p.reason, p.due_at, p.message_id from postrider.pending p
				where p.endpoint_id = s.id and p.due_at <= now() order by p.due_at limit 20) p) d
		cross join lateral (select case when d.overdue_since is null then 0 else
			(select count(*) from (select from postrider.pending p where p.endpoint_id = s.id and p.due_at <= now() order by p.due_at
				limit s.counted_to + 1) x) end as overdue) o),
	endpoints as (
		select w.*, case
			when not w.enabled then case when w.disabled_reason is not null or w.has_pending then 'disabled' end
			when w.paused_at is not null then 'paused'
			when w.last_error_code = 'dns' and w.is_failing then 'dns'
			when w.last_error_code = 'tls' and w.is_failing then 'tls'
			when w.last_error_code = 'proxy' and w.failed_last and (w.has_pending or w.queued > 0) then 'proxy'
			when w.last_error_code in ('secret', 'auth') and w.failed_last and (w.has_pending or w.queued > 0) then
				case when w.last_error !~ '^secret ".*" (has expired at|has no value)' then 'credential' end
			when w.is_open then 'breaker'
			when w.blocked_until > now() + interval '1 minute' then 'throttled'
			when w.is_failing and w.failing_since < now() - interval '1 minute' then 'failing'
			when w.rate_s > 600 then 'rate_limit'
			when w.overdue_since < now() - interval '15 minutes' and not w.waits_for_tenant then 'backlog' end as kind,
			case when w.last_error like '%; postrider.attempt has the error' then coalesce(
				postrider.recent_error(w.id, w.last_error_code), w.last_error) else w.last_error end as error,
			format('update postrider.endpoint set url = <''the right URL''> where name = %L;', w.name) as set_url,
			format('select postrider.pause(%1$L); select pg_sleep(1); select postrider.resume(%1$L);', w.name) as try_now,
			coalesce(to_char(w.open_until, 'HH24:MI:SS TZ'), 'once') as next_try,
			case when w.owed > 0 then format('%s%s wait.', case when w.overdue > w.counted_to then 'More than ' else '' end,
				case w.owed when 1 then '1 message' else w.owed - (w.overdue > w.counted_to)::integer || ' messages' end) end as owed_text
		from waiting w),
	changes as (
		select e.id, c.role, c.changed_at
		from endpoints e
		cross join lateral (select h.role, h.changed_at
			from (select h.id, h.role, h.changed_at, h.operation, h.changed from postrider.config_history h
				where h.kind = 'endpoint' and h.name = e.name order by h.id desc limit 20) h
			where h.operation = 'insert' or case e.kind when 'paused' then 'paused_at' else 'enabled' end = any (h.changed)
			order by h.id desc limit 1) c
		where e.kind in ('paused', 'disabled')),
	of_endpoints as (
		select case when e.kind = 'paused' then e.paused_at when e.kind = 'disabled' then c.changed_at
				when e.kind in ('rate_limit', 'backlog') then e.overdue_since
				when e.kind = 'throttled' then e.last_error_at else coalesce(e.failing_since, e.last_error_at) end as since,
			e.kind, format('endpoint %s', e.name) as object, e.tenant,
			case e.kind
				when 'disabled' then case when e.disabled_reason is null then 'the endpoint is disabled, and messages are held for it'
					else format('the worker disabled the endpoint: %s', e.disabled_reason) end
				when 'paused' then format('the endpoint is paused%s', ': ' || nullif(e.pause_reason, ''))
				when 'dns' then format('the host name in the URL cannot be resolved: %s', e.error)
				when 'tls' then format('no secure connection can be made: %s', e.error)
				when 'proxy' then e.error
				when 'credential' then format('requests cannot be authenticated or signed: %s', e.error)
				when 'breaker' then format('%s requests in a row have failed, and the circuit breaker is open: %s', e.failures, e.error)
				when 'throttled' then format('the receiver asked to wait until %s', to_char(e.blocked_until, 'YYYY-MM-DD HH24:MI:SS TZ'))
				when 'failing' then format('%s requests in a row have failed: %s', e.failures, e.error)
				when 'rate_limit' then format('at its rate limit what waits takes %s', postrider.about(make_interval(secs => e.rate_s)))
				else format('messages have been due for %s', postrider.about(now() - e.overdue_since)) end as problem,
			concat_ws(' ',
				case when e.kind in ('paused', 'disabled') and c.role is not null then
					format('By %s.', c.role) end,
				case when e.kind in ('paused', 'disabled') and e.has_pending then 'Messages are held for it.' end,
				case when e.kind = 'rate_limit' then format('Used: %s.', (select string_agg(u, ', ') from unnest(e.rate_used) u where u not like '% of the tenant')) end,
				case when e.kind not in ('paused', 'disabled') then e.owed_text end,
				case when e.kind in ('dns', 'tls', 'breaker') and e.is_open then format('The circuit breaker is open: the next try is at %s.', e.next_try) end) as detail,
			case e.kind
				when 'disabled' then case when e.disabled_reason is not null then format(E'-- When the receiver is well, or its URL right:\n-- %s\n', e.set_url) else '' end
					|| format('update postrider.endpoint set enabled = true where name = %L;', e.name)
				when 'paused' then format('select postrider.resume(%L);', e.name)
				when 'dns' then format(E'%s\n%s\n-- If the name is right, have it repaired in DNS: it goes on by itself.', e.set_url, e.try_now)
				when 'tls' then case when e.error ~* 'self[- ]signed|local issuer' then
					format(E'-- This server does not know the authority of the receiver''s certificate.  If you trust it:\n'
						'update postrider.endpoint set ca_certificate = <''the PEM of the authority''> where name = %L;\n%s', e.name, e.try_now)
				when e.error ~* 'does not match|no alternative' then
					format(E'-- The certificate is for another host name.  If that one is right:\n%s\n%s', e.set_url, e.try_now)
				else format(E'-- The receiver''s certificate, or its TLS, has to be repaired there.  Then, to try at once:\n%s', e.try_now) end
			when 'proxy' then format(E'-- Set the right proxy, or ''none'':\nupdate postrider.endpoint set proxy = <''proxy''> where name = %1$L;\n'
					'-- or for all: alter system set postrider.proxy = <''proxy''>; select pg_reload_conf();\nselect postrider.retry(endpoint => %1$L);', e.name)
				when 'credential' then format(E'-- How its secrets stand:\nselect * from postrider.secret_status where %1$L = any (used_by);\n'
					'-- When that is repaired:\nselect postrider.retry(endpoint => %2$L);', 'endpoint ' || e.name, e.name)
				when 'breaker' then format(E'-- When the receiver is well, this tries it at once; it is tried by itself at %s:\n%s\n-- If the URL is wrong:\n-- %s', e.next_try, e.try_now, e.set_url)
				when 'throttled' then E'-- It goes on by itself then.  If that comes often, send less:\n'
					|| format('-- update postrider.endpoint set rate_limit = <requests>, rate_period = <''1 minute''> where name = %L;', e.name)
				when 'failing' then format(E'-- It is tried again by itself.  When the receiver is well, at once by\nselect postrider.retry(endpoint => %L);\n-- If the URL is wrong:\n-- %s', e.name, e.set_url)
				when 'rate_limit' then format(E'-- If the receiver allows more:\nupdate postrider.endpoint set %s where name = %L;\n-- If not all of it need be sent:\n-- select postrider.cancel(endpoint => %2$L, topic => <''topic''>);',
					case when e.rate_limit is not null then 'rate_limit = <requests>, rate_period = ' || quote_literal(e.rate_period) else 'rate_limits = <''limits''>' end, e.name)
				else format(E'-- The receiver takes less than comes.  If it can take more at a time:\nupdate postrider.endpoint set max_in_flight = %s where name = %L;',
					e.max_in_flight * 4, e.name) end as remedy
		from endpoints e left join changes c on c.id = e.id
		where e.kind is not null),
	of_tenants as (
		select min(w.overdue_since) as since, 'tenant_limit' as kind, format('tenant %s', w.tenant) as object, w.tenant,
			case when sum(w.tenant_rate_s) > 600 then format('at the rate limits of the tenant what waits takes %s', postrider.about(make_interval(secs => sum(w.tenant_rate_s))))
				else format('because of the rate limits of the tenant messages have been due for %s', postrider.about(now() - min(w.overdue_since))) end as problem,
			format('Used: %s. %s%s messages wait, for %s.',
				(select string_agg(distinct replace(u, ' of the tenant', ''), ', ') from unnest((array_agg(w.rate_used))[1:1]) u where u like '% of the tenant'),
				case when bool_or(w.overdue > w.counted_to) then 'More than ' else '' end, sum(w.owed),
				case when count(*) > 5 then count(*) || ' endpoints' when count(*) = 1 then 'endpoint ' || min(w.name)
					else 'endpoints ' || string_agg(w.name, ', ' order by w.name) end) as detail,
			format(E'-- If it may send more (those who are bound to no tenant decide):\nupdate postrider.tenant set rate_limits = <''limits''> where name = %1$L;\n'
				'-- If not all of it need be sent:\n-- select postrider.cancel(tenant => %1$L, topic => <''topic''>);', w.tenant) as remedy
		from waiting w
		where w.waits_for_tenant and w.enabled and w.paused_at is null and not w.is_open
		group by w.tenant
		having sum(w.tenant_rate_s) > 600 or min(w.overdue_since) < now() - interval '15 minutes')
	select * from of_endpoints
	union all
	select * from of_tenants;
end
$$;
comment on function postrider.endpoint_problems() is
'What is wrong with endpoints: of each the first that is; and which tenants wait because of their limits. Part of postrider.problem.';

-- The newest 101 of each endpoint.
create function postrider.dead_letter_problems(out since timestamptz, out kind text, out object text, out tenant text,
	out problem text, out detail text, out remedy text)
returns setof record
language plpgsql volatile parallel restricted rows 10
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
	return query
	with letters as (
		select e.id, e.name, e.tenant, e.ordered and e.on_dead = 'block' as blocks, d.*,
			case when d.error_code = 'crash' then 'suspect' when d.error_code in ('mapping', 'template', 'address_refused') then d.error_code
				else 'dead_letters' end as kind
		from postrider.endpoint e
		cross join lateral (select d.message_id, d.reason, d.error_code, d.error, d.died_at, d.key, d.mapping, d.topic
			from postrider.dead_letter d where d.endpoint_id = e.id order by d.died_at desc limit 101) d),
	by_code as (
		select l.id, l.name, l.tenant, l.kind, case l.kind when 'mapping' then l.mapping end as mapping,
			coalesce(l.error_code, l.reason) as code, count(*) as count, min(l.died_at) as since, max(l.died_at) as newest_at,
			bool_or(l.blocks and l.key is not null) as blocks,
			(array_agg(postrider.readable_error(l.error_code, l.error) order by l.died_at desc))[1] as error,
			(array_agg(substring(l.error from '^mapping ".*?"(?: version \d+)?: (.*?)(?:\[\d+\])?(?: \(|: )') order by l.died_at desc))[1] as field,
			(array_agg(l.message_id order by l.died_at desc))[1] as message_id,
			sum(count(*)) over (partition by l.id) as total
		from letters l
		group by l.id, l.name, l.tenant, l.kind, 5, 6),
	of_letters as (
		select min(l.since) as since, l.kind,
			case l.kind when 'mapping' then format('mapping %s of endpoint %s', l.mapping, l.name) else format('endpoint %s', l.name) end as object, l.tenant,
			format('%s: %s', case when max(l.total) <= 100 then case sum(l.count) when 1 then '1 message was given up' else sum(l.count) || ' messages were given up' end
					when sum(l.count) > 100 then 'more than 100 messages were given up' else sum(l.count) || ' of the newest 100 messages that were given up' end,
				case l.kind when 'suspect' then 'the worker ended each time that it handled them'
					when 'mapping' then format('mapping "%s" does not fit them%s', l.mapping, ', field ' || min(l.field))
					when 'template' then 'the request cannot be made from them'
					when 'address_refused' then 'the URL leads to an address that postrider.allowed_networks does not list'
					else string_agg(case when l.count > 100 then l.code else format('%s (%s)', l.code, l.count) end, ', ' order by l.count desc, l.code) end) as problem,
			concat_ws(' ', 'The last one, at ' || to_char(max(l.newest_at), 'YYYY-MM-DD HH24:MI:SS TZ') || ': '
					|| (array_agg(l.error order by l.newest_at desc))[1] || '.',
				case when bool_or(l.blocks) then 'Later messages with the same key wait for them.' end) as detail,
			case l.kind
				when 'suspect' then format(E'-- The server log says why the worker ended.  When that is repaired:\nselect postrider.retry(endpoint => %1$L, error_code => ''crash'');\n'
					'-- To forget them:\n-- select postrider.purge(endpoint => %1$L, error_code => ''crash'');', l.name)
				when 'mapping' then format(E'-- What is wrong with the last one:\nselect e.* from postrider.dead_letter d, postrider.map_errors(d.payload, %1$L) e where d.message_id = %2$L and d.error_code = ''mapping'';\n'
					'-- A new version of the mapping, then send them again:\ninsert into postrider.mapping (name, definition) values (%1$L, <''definition''>);\n'
					'select postrider.retry(endpoint => %3$L, error_code => ''mapping'');', l.mapping, (array_agg(l.message_id order by l.newest_at desc))[1], l.name)
				when 'template' then format(E'-- What it makes of a message:\n-- select * from postrider.preview(<''topic''>, <''payload''>);\n'
					'-- Change url, headers or body_template of the endpoint, then\nselect postrider.retry(endpoint => %L, error_code => ''template'');', l.name)
				when 'address_refused' then format(E'-- If it may go there (a superuser decides), list the network with those that are listed:\n'
					'alter system set postrider.allowed_networks = <''%snetwork, such as 10.1.0.0/16''>;\nselect pg_reload_conf();\nselect pg_sleep(1);\n'
					'select postrider.retry(endpoint => %L, error_code => ''address_refused'');',
					coalesce(nullif(current_setting('postrider.allowed_networks', true), '') || ', ', ''), l.name)
				else string_agg(format('select postrider.retry(endpoint => %L%s);', l.name, case when l.code = 'expired' then '' else format(', error_code => %L', l.code) end), E'\n' order by l.count desc, l.code)
					|| format(E'\n-- To forget them:\n-- select postrider.purge(endpoint => %L, until => now());', l.name) end as remedy
		from by_code l
		group by l.id, l.name, l.tenant, l.kind, l.mapping)
	select * from of_letters;
end
$$;
comment on function postrider.dead_letter_problems() is
'What was given up, by endpoint and kind. Part of postrider.problem.';
