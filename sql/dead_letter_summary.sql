-- Dead letters by endpoint and by what went wrong.

create view postrider.dead_letter_summary with (security_barrier) as
select e.name as endpoint, e.tenant, d.reason, d.status_code, d.error_code, pg_catalog.count(*) as dead_letters,
	min(d.died_at) as oldest_at, max(d.died_at) as newest_at,
	postrider.readable_error(d.error_code, (array_agg(d.error order by d.died_at desc))[1]) as error
from postrider.endpoint e cross join lateral (
	select l.reason, l.status_code, l.error_code, l.error, l.died_at from postrider.dead_letter l
	where l.endpoint_id operator(pg_catalog.=) e.id order by l.died_at desc limit 1001) d
where postrider.sees_tenant(e.tenant)
group by e.name, e.tenant, d.reason, d.status_code, d.error_code;
comment on view postrider.dead_letter_summary is
'Dead letters by endpoint and by what went wrong; of each endpoint the newest thousand are looked at.';
comment on column postrider.dead_letter_summary.endpoint is 'The endpoint.';
comment on column postrider.dead_letter_summary.tenant is 'Its tenant.';
comment on column postrider.dead_letter_summary.reason is 'dead (refused, or tried too often) or expired.';
comment on column postrider.dead_letter_summary.status_code is 'HTTP status of the last attempt.';
comment on column postrider.dead_letter_summary.error_code is 'Error of the last attempt, in one word.';
comment on column postrider.dead_letter_summary.dead_letters is 'How many there are; 1001 means more than a thousand.';
comment on column postrider.dead_letter_summary.oldest_at is 'When the first of those was given up.';
comment on column postrider.dead_letter_summary.newest_at is 'When the last one was given up.';
comment on column postrider.dead_letter_summary.error is 'What went wrong with the last one; withheld from those who may not see payloads if it may quote one.';
