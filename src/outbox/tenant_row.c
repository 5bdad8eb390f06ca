/*-------------------------------------------------------------------------
 *
 * tenant_row.c
 *	  Rows of postrider.tenant: what they say, and the triggers that hold a tenant
 *	  to the number of its endpoints and subscriptions.
 *
 * Who adds one locks the tenant's row and then counts, both by what is committed
 * at that moment.  So of two transactions that add the last one at the same time
 * the second waits for the first, and then counts what that has added, in every
 * isolation level.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "outbox/latest_row.h"
#include "outbox/tenant_row.h"
#include "outbox/trigger_row.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(postrider_check_tenant);
PG_FUNCTION_INFO_V1(postrider_limit_endpoints);
PG_FUNCTION_INFO_V1(postrider_limit_subscriptions);

static char *
text_of(HeapTuple row, TupleDesc desc, const char *column)
{
	bool		isnull;
	Datum		value = postrider_latest_get(row, desc, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

bool
postrider_tenant_row_read(HeapTuple row, TupleDesc desc, TenantLimits *limits,
						  PolicyProblem *problem)
{
	char	   *requests = text_of(row, desc, "rate_limits");
	char	   *messages = text_of(row, desc, "message_limits");
	Datum		bytes;
	bool		isnull;

	memset(limits, 0, sizeof(*limits));
	bytes = postrider_latest_get(row, desc, "max_payload_bytes", &isnull);
	if ((requests == NULL || postrider_tenant_rate_make(requests, &limits->requests, problem)) &&
		(messages == NULL || postrider_message_limits_make(messages, &limits->messages, problem)))
	{
		limits->max_payload_bytes = isnull ? 0 : Max(DatumGetInt32(bytes), 1);
		return true;
	}
	memset(limits, 0, sizeof(*limits));
	return false;
}

/* SQL: trigger postrider.check_tenant() */
Datum
postrider_check_tenant(PG_FUNCTION_ARGS)
{
	TriggerRow	row = postrider_trigger_row(fcinfo, "check_tenant");
	char	   *name = postrider_trigger_text(&row, row.tuple, "name");
	TenantLimits limits;
	PolicyProblem problem;

	(void) postrider_trigger_column(&row, "rate_limits", TEXTOID);
	(void) postrider_trigger_column(&row, "message_limits", TEXTOID);
	(void) postrider_trigger_column(&row, "max_payload_bytes", INT4OID);
	if (name != NULL && (name[0] == '\0' || strlen(name) > TENANT_MAX_NAME_BYTES))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of a tenant must have 1 to %d bytes", TENANT_MAX_NAME_BYTES)));
	if (!postrider_tenant_row_read(row.tuple, row.desc, &limits, &problem))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of tenant \"%s\" %s", problem.column, name ? name : "",
						problem.problem),
				 problem.hint ? errhint("%s", problem.hint) : 0));
	return PointerGetDatum(row.tuple);
}

/*
 * Numbers
 */

typedef struct Quota
{
	const char *what;			/* in messages */
	const char *column;			/* of postrider.tenant */
	SqlStatement lock;			/* (new endpoint, old one or NULL): tenant, limit */
	SqlStatement count;			/* (tenant): so many it has */
} Quota;

/* A dump may have more than the limit, which was lowered later. */
#define LOCK \
	" and not postrider.is_restoring() for no key update of t"

static Quota endpoint_quota = {
	.what = "endpoints",
	.column = "max_endpoints",
	.lock = {
		.text =
		"select t.name, t.max_endpoints from postrider.tenant t"
		" join postrider.endpoint e on e.tenant = t.name"
		" where e.name = $1 and $2 is null and t.max_endpoints is not null" LOCK,
		.argument_count = 2,
		.argument_types = {TEXTOID, TEXTOID}
	},
	.count = {
		.text = "select count(*) from postrider.endpoint e where e.tenant = $1",
		.argument_count = 1,
		.argument_types = {TEXTOID}
	}
};

/* A subscription that moves within the tenant adds nothing. */
static Quota subscription_quota = {
	.what = "subscriptions",
	.column = "max_subscriptions",
	.lock = {
		.text =
		"select t.name, t.max_subscriptions from postrider.tenant t"
		" join postrider.endpoint e on e.tenant = t.name"
		" where e.name = $1 and t.max_subscriptions is not null"
		" and not exists (select from postrider.endpoint o where o.name = $2 and o.tenant = t.name)" LOCK,
		.argument_count = 2,
		.argument_types = {TEXTOID, TEXTOID}
	},
	.count = {
		.text =
		"select count(*) from postrider.subscription s"
		" join postrider.endpoint e on e.name = s.endpoint where e.tenant = $1",
		.argument_count = 1,
		.argument_types = {TEXTOID}
	}
};

static void
require_room(Quota *quota, const char *endpoint, const char *old_endpoint)
{
	Datum		values[] = {
		CStringGetTextDatum(endpoint),
		old_endpoint ? CStringGetTextDatum(old_endpoint) : (Datum) 0
	};
	SqlScope	scope;

	postrider_sql_enter(&scope);
	if (postrider_sql_run_latest(&quota->lock, values, old_endpoint ? "  " : " n", 1) > 0)
	{
		char	   *tenant = postrider_sql_text(0, 0, CurrentMemoryContext);
		int32		most = postrider_sql_int32(0, 1);
		Datum		name = CStringGetTextDatum(tenant);
		int64		count;

		(void) postrider_sql_run_latest(&quota->count, &name, NULL, 1);
		count = postrider_sql_int64(0, 0);
		if (count > most)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("tenant \"%s\" may not have more %s", tenant, quota->what),
					 errdetail("It would have %lld; %s allows %d.", (long long) count,
							   quota->column, most),
					 errhint("Delete others, or have somebody who is bound to no tenant run: UPDATE postrider.tenant SET %s = %lld WHERE name = %s.",
							 quota->column, (long long) count, quote_literal_cstr(tenant))));
	}
	postrider_sql_leave(&scope);
}

/* After insert or update for each row of a table that names an endpoint there. */
static Datum
limit(FunctionCallInfo fcinfo, Quota *quota, const char *table, const char *column)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	bool		is_update;
	char	   *old_endpoint = NULL;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ||
		RelationGetRelid(trigger->tg_relation) != postrider_relation(table))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"limit_%s\" must be called after insert or update for each row of table \"postrider.%s\"",
						quota->what, table)));
	desc = RelationGetDescr(trigger->tg_relation);
	is_update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	if (is_update)
		old_endpoint = text_of(trigger->tg_trigtuple, desc, column);
	require_room(quota, text_of(is_update ? trigger->tg_newtuple : trigger->tg_trigtuple,
								desc, column), old_endpoint);
	return PointerGetDatum(NULL);
}

/* SQL: trigger postrider.limit_endpoints() */
Datum
postrider_limit_endpoints(PG_FUNCTION_ARGS)
{
	return limit(fcinfo, &endpoint_quota, "endpoint", "name");
}

/* SQL: trigger postrider.limit_subscriptions() */
Datum
postrider_limit_subscriptions(PG_FUNCTION_ARGS)
{
	return limit(fcinfo, &subscription_quota, "subscription", "endpoint");
}
