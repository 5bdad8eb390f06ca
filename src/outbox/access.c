/*-------------------------------------------------------------------------
 *
 * access.c
 *	  What a session may see; see access.h.
 *
 * The tenant is a setting, not a role, so that it holds in functions with
 * SECURITY DEFINER and in views, which run as the owner whom no policy binds:
 * those ask postrider.sees_tenant() themselves, and the policies on the tables
 * ask the same function.  It is written in C and leakproof, so that no function of a
 * user is called for a row before it has let the row through, and a condition by
 * index still goes before it.
 *
 * Who may see payloads is a role.  Within functions of ours with SECURITY DEFINER
 * the current user is the owner, so whoever called them counts: the user as
 * SET ROLE left it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "delivery/classify.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "outbox/access.h"
#include "util/sql.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(postrider_bound_tenant_sql);
PG_FUNCTION_INFO_V1(postrider_sees_tenant_sql);
PG_FUNCTION_INFO_V1(postrider_sees_shared_sql);
PG_FUNCTION_INFO_V1(postrider_sees_payloads_sql);
PG_FUNCTION_INFO_V1(postrider_readable_error);
PG_FUNCTION_INFO_V1(postrider_require_owner_sql);

#define PAYLOAD_READER "postrider_payload_reader"

const char *
postrider_bound_tenant(void)
{
	return postrider_tenant && postrider_tenant[0] ? postrider_tenant : NULL;
}

bool
postrider_sees_tenant(const char *tenant)
{
	const char *bound = postrider_bound_tenant();

	return bound == NULL || (tenant != NULL && strcmp(bound, tenant) == 0);
}

text *
postrider_message_tenant(text *given)
{
	const char *bound = postrider_bound_tenant();

	if (bound == NULL)
		return given;
	if (given == NULL)
		return cstring_to_text(bound);
	if (!postrider_sees_tenant(text_to_cstring(given)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for tenant \"%s\"", text_to_cstring(given)),
				 errdetail("This session is bound to tenant \"%s\" by postrider.tenant.", bound),
				 errhint("Leave the tenant out.")));
	return given;
}

void
postrider_unbind_tenant(void)
{
	SetConfigOption("postrider.tenant", "", PGC_SUSET, PGC_S_OVERRIDE);
}

bool
postrider_sees_payloads(void)
{
	Oid			user = GetUserId();
	Oid			role = get_role_oid(PAYLOAD_READER, true);

	if (user == postrider_owner())
	{
		/* A function that the worker calls for a user has nobody behind it. */
		if (MyBackendType == B_BG_WORKER)
			return false;
		user = GetOuterUserId();
	}
	if (superuser_arg(user))
		return true;
	return OidIsValid(role) && has_privs_of_role(user, role);
}

void
postrider_require_owner(Oid relation)
{
	char	   *name;
	char	   *owner;
	HeapTuple	tuple;
	Oid			owner_id;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		return;
	owner_id = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	name = quote_qualified_identifier(get_namespace_name(((Form_pg_class) GETSTRUCT(tuple))->relnamespace),
									  NameStr(((Form_pg_class) GETSTRUCT(tuple))->relname));
	ReleaseSysCache(tuple);
	if (has_privs_of_role(GetUserId(), owner_id))
		return;
	owner = GetUserNameFromId(owner_id, true);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to watch table %s", name),
			 errdetail("Only its owner may: what is written to it leaves the database."),
			 errhint("Have role %s watch it, or become a member of that role.",
					 owner ? quote_identifier(owner) : "that owns it")));
}

/* SQL: postrider.bound_tenant() */
Datum
postrider_bound_tenant_sql(PG_FUNCTION_ARGS)
{
	const char *bound = postrider_bound_tenant();

	if (bound == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(bound));
}

static bool
sees(FunctionCallInfo fcinfo, bool sees_shared)
{
	const char *bound = postrider_bound_tenant();
	text	   *tenant;

	if (bound == NULL)
		return true;
	if (PG_ARGISNULL(0))
		return sees_shared;
	tenant = PG_GETARG_TEXT_PP(0);
	return VARSIZE_ANY_EXHDR(tenant) == strlen(bound) &&
		memcmp(VARDATA_ANY(tenant), bound, strlen(bound)) == 0;
}

/* SQL: postrider.sees_tenant(tenant) */
Datum
postrider_sees_tenant_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(sees(fcinfo, false));
}

/* SQL: postrider.sees_shared(tenant) */
Datum
postrider_sees_shared_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(sees(fcinfo, true));
}

/* SQL: postrider.sees_payloads() */
Datum
postrider_sees_payloads_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(postrider_sees_payloads());
}

/* SQL: postrider.readable_error(error_code, error) */
Datum
postrider_readable_error(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if ((!PG_ARGISNULL(0) &&
		 !postrider_error_may_quote_data(text_to_cstring(PG_GETARG_TEXT_PP(0)))) ||
		postrider_sees_payloads())
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	PG_RETURN_TEXT_P(cstring_to_text(ERROR_WITHHELD));
}

/* SQL: postrider.require_owner(relation) */
Datum
postrider_require_owner_sql(PG_FUNCTION_ARGS)
{
	postrider_require_owner(PG_GETARG_OID(0));
	PG_RETURN_VOID();
}
