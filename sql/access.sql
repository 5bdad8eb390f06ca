-- What a session may see: its tenant, and payloads.

create function postrider.bound_tenant() returns text
language c stable parallel safe leakproof
as 'MODULE_PATHNAME', 'postrider_bound_tenant_sql';
comment on function postrider.bound_tenant() is
'The tenant that the session is bound to by the setting postrider.tenant; NULL if it is not bound.';

create function postrider.sees_tenant(tenant text) returns boolean
language c stable parallel safe leakproof
as 'MODULE_PATHNAME', 'postrider_sees_tenant_sql';
comment on function postrider.sees_tenant(text) is
'True if the session may see what belongs to the tenant: it is bound to it, or not bound at all. What belongs to no tenant (NULL) is not for sessions that are bound.';

create function postrider.sees_shared(tenant text) returns boolean
language c stable parallel safe leakproof
as 'MODULE_PATHNAME', 'postrider_sees_shared_sql';
comment on function postrider.sees_shared(text) is
'As sees_tenant(), but what belongs to no tenant (NULL) is for all.';

create function postrider.sees_payloads() returns boolean
language c stable parallel restricted
as 'MODULE_PATHNAME', 'postrider_sees_payloads_sql';
comment on function postrider.sees_payloads() is
'True if the user may see payloads and what quotes them: a member of postrider_payload_reader, or a superuser.';

create function postrider.readable_error(error_code text, error text) returns text
language c stable parallel restricted
as 'MODULE_PATHNAME', 'postrider_readable_error';
comment on function postrider.readable_error(text, text) is
'The error of an attempt, unless it may quote the payload or the response and the user may not see those.';

create function postrider.require_owner(relation regclass) returns void
language c stable strict
as 'MODULE_PATHNAME', 'postrider_require_owner_sql';
comment on function postrider.require_owner(regclass) is
'Raises an error if the user does not own the table and is in no role that does. Part of watch().';
