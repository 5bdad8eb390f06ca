-- Problems of secrets, their sources, tokens and certificates.  Part of postrider.problem.

create function postrider.secret_problems(out since timestamptz, out kind text, out object text, out tenant text,
	out problem text, out detail text, out remedy text)
returns setof record
language plpgsql volatile parallel restricted rows 10
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
	return query
	with named as (
		select u.secret, case u.kind when 'setting' then u.used_by else u.kind || ' ' || u.used_by end as used_by
		from postrider.secret_use u),
	ending as (
		select s.name, s.tenant, s.expires_at, case when s.expires_at <= now() then 'secret_expired'
			when s.source is null and not exists (select from postrider.secret_version v
				where v.name = s.name and (v.retires_at is null or v.retires_at > now())) then 'secret_empty'
			when s.expires_at - s.warn_before <= now() then 'secret_expiring' end as kind,
			s.source is not null as in_store
		from postrider.secret s),
	of_secrets as (
		select case when e.kind <> 'secret_empty' then case e.kind when 'secret_expired' then e.expires_at end end as since,
			e.kind, format('secret %s', e.name) as object, e.tenant,
			case e.kind when 'secret_expired' then format('the secret expired at %s, and is not used any more', to_char(e.expires_at, 'YYYY-MM-DD HH24:MI:SS TZ'))
				when 'secret_empty' then 'the secret has no value'
				else format('the secret expires in %s', postrider.about(e.expires_at - now())) end as problem,
			format('Needed by %s.', string_agg(distinct n.used_by, ', ')) as detail,
			case when e.in_store then '-- Its value is in a store: renew it there, then\n' || format('update postrider.secret set expires_at = <null or time> where name = %L;', e.name)
				else format('select postrider.set_secret(%L, <''the new value''>, expires_at => <null or time>);', e.name)
					|| case when e.kind <> 'secret_empty' then format(E'\n-- If the value is good for longer:\n-- update postrider.secret set expires_at = <null or time> where name = %L;', e.name) else '' end end as remedy
		from ending e join named n on n.secret = e.name
		where e.kind is not null
		group by e.name, e.tenant, e.kind, e.expires_at, e.in_store),
	of_sources as (
		select c.last_error_at as since, 'secret_source' as kind, format('secret %s', s.name) as object, s.tenant,
			case when p.id is null then 'the source of the secret cannot be used'
				else format('the store does not give the value%s: %s', case when c.good_until > now() and c.ciphertext is not null
					then ', and the old one is used until ' || to_char(c.good_until, 'YYYY-MM-DD HH24:MI:SS TZ') else '' end, c.last_error) end as problem,
			format('It is in %s%s.', coalesce(p.place, s.source ->> 'store'), case when c.retry_at > now() then ', and asked again at ' || to_char(c.retry_at, 'HH24:MI:SS TZ') else '' end) as detail,
			case when p.id is null then format('select postrider.set_secret_source(%L, <source>);', s.name)
				else format(E'-- When the store is well, this asks it at once:\nselect postrider.renew_credential(%L);\n-- If the source is wrong:\n-- select postrider.set_secret_source(%L, <source>);', c.id, s.name) end as remedy
		from postrider.secret s
		left join lateral postrider.source_credential(s.source) p on true
		left join postrider.credential c on c.id = p.id
		where s.source is not null and (p.id is null or c.failures > 0)),
	of_tokens as (
		select c.last_error_at as since, 'token' as kind, format('token of %s', c.server) as object, e.tenant,
			format('the token cannot be fetched%s: %s', case when c.good_until > now() and c.ciphertext is not null
				then ', and the old one is used until ' || to_char(c.good_until, 'YYYY-MM-DD HH24:MI:SS TZ') else '' end, c.last_error) as problem,
			format('%s of %s; with %s.', c.kind, e.names, 'secrets ' || array_to_string(c.secrets, ', ')) as detail,
			format(E'-- When its secrets are right and the server is well, this asks it at once:\nselect postrider.renew_credential(%L);\n-- To set a secret:\n-- select postrider.set_secret(%L, <''the new value''>);', c.id, c.secrets[1]) as remedy
		from postrider.credential c
		cross join lateral (select e.tenant, 'endpoint ' || string_agg(e.name, ', ' order by e.name) as names from postrider.endpoint e
			where e.auth is not null and c.id = any (postrider.credential_ids(e.auth)) group by e.tenant) e
		where c.failures > 0),
	certificates as (
		select e.name, e.tenant, 'endpoint' as kind, 'its ca_certificate' as place, 'receiver' as verified, e.ca_certificate as pem,
			E'update postrider.endpoint set ca_certificate = <''the new PEM''> where name = %1$L;\n-- or, to trust what the system trusts:\n-- update postrider.endpoint set ca_certificate = null where name = %1$L;' as remedy
		from postrider.endpoint e where e.ca_certificate is not null
		union all
		select e.name, e.tenant, 'endpoint', 'the ca_certificate of its auth', 'token server', s.scheme ->> 'ca_certificate',
			format(E'update postrider.endpoint set auth = jsonb_set(auth, %1$L, to_jsonb(<''the new PEM''>::text)) where name = %%1$L;\n-- or, to trust what the system trusts:\n-- update postrider.endpoint set auth = auth #- %1$L where name = %%1$L;',
				case jsonb_typeof(e.auth) when 'array' then array[(s.number - 1)::text] end || array['ca_certificate'])
		from postrider.endpoint e
		cross join lateral jsonb_array_elements(case jsonb_typeof(e.auth) when 'array' then e.auth else jsonb_build_array(e.auth) end) with ordinality s (scheme, number)
		where e.auth is not null and s.scheme ? 'ca_certificate'
		union all
		select s.name, s.tenant, 'secret', 'the ca_certificate of its source', 'store', s.source ->> 'ca_certificate',
			E'select postrider.set_secret_source(name, source || jsonb_build_object(''ca_certificate'', <''the new PEM''>)) from postrider.secret where name = %1$L;\n-- or, to trust what the system trusts:\n-- select postrider.set_secret_source(name, source - ''ca_certificate'') from postrider.secret where name = %1$L;'
		from postrider.secret s where s.source ? 'ca_certificate'),
	of_certificates as (
		select case when x.ends_at < now() then x.ends_at end as since, 'certificate' as kind, format('%s %s', c.kind, c.name) as object, c.tenant,
			format('a certificate in %s %s on %s', c.place, case when x.ends_at < now() then 'ended' else 'ends' end, to_char(x.ends_at, 'YYYY-MM-DD')) as problem,
			format('The %s is verified by it.', c.verified) as detail,
			format(c.remedy, c.name) as remedy
		from certificates c cross join lateral (select postrider.certificate_end(c.pem) as ends_at) x
		where x.ends_at < now() + interval '14 days')
	select * from of_secrets
	union all
	select * from of_sources
	union all
	select * from of_tokens
	union all
	select * from of_certificates;
end
$$;
comment on function postrider.secret_problems() is
'What is wrong with secrets, their sources, tokens and certificates. Part of postrider.problem.';
