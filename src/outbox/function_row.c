/*-------------------------------------------------------------------------
 *
 * function_row.c
 *	  Rows of postrider.endpoint that are functions; see function_row.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "outbox/function_row.h"
#include "util/sql.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Nothing else is sent while a function runs. */
#define MAX_TIMEOUT_US (INT64CONST(10) * 1000000)

/* The trigger's search_path is not known, so all is qualified. */
static SqlStatement find_function = {
	.text =
	"select pg_catalog.has_function_privilege($2, pg_catalog.to_regprocedure($1), 'execute')"
	" where pg_catalog.to_regprocedure($1) is not null",
	.argument_count = 2,
	.argument_types = {TEXTOID, TEXTOID}
};

bool
postrider_function_row_is(const TriggerRow *row)
{
	return postrider_trigger_text(row, row->tuple, "function") != NULL;
}

/* Only a superuser may name somebody else: a dump is restored so. */
static void
require_role(const TriggerRow *row, const char *role)
{
	bool		changed = postrider_trigger_changed(row, "function", TEXTOID) ||
		postrider_trigger_changed(row, "run_as", TEXTOID);

	if (role == NULL)
		postrider_trigger_refuse(row, "run_as", "is missing",
								 "Use postrider.on_message(), which fills it in.");
	if (!changed || superuser())
		return;
	if (strcmp(role, GetUserNameFromId(GetUserId(), false)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function of endpoint \"%s\" cannot be called as role \"%s\"",
						row->endpoint, role),
				 errhint("It is called as the role that registers it, which is \"%s\".",
						 GetUserNameFromId(GetUserId(), false))));
}

static void
require_function(const TriggerRow *row, const char *function, const char *role)
{
	char	   *signature = psprintf("%s(postrider.message)", function);
	Datum		values[] = {CStringGetTextDatum(signature), CStringGetTextDatum(role)};
	SqlScope	sql;
	bool		found;
	bool		may_call;

	postrider_sql_enter(&sql);
	found = postrider_sql_run(&find_function, values, NULL, 1) > 0;
	may_call = found && postrider_sql_bool(0, 0);
	postrider_sql_leave(&sql);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s of endpoint \"%s\" does not exist", signature, row->endpoint),
				 errhint("Make one with one argument: CREATE FUNCTION %s(message postrider.message) RETURNS void ...",
						 function)));
	if (!may_call)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not execute function %s", role, signature),
				 errhint("GRANT EXECUTE ON FUNCTION %s TO %s.", signature, quote_identifier(role))));
}

void
postrider_function_row_require(const TriggerRow *row)
{
	char	   *function = postrider_trigger_text(row, row->tuple, "function");
	char	   *role = postrider_trigger_text(row, row->tuple, "run_as");
	Datum		timeout;
	bool		isnull;

	if (function == NULL)
	{
		if (role != NULL)
			postrider_trigger_refuse(row, "run_as", "is for functions only", NULL);
		return;
	}
	require_role(row, role);
	if (postrider_trigger_changed(row, "function", TEXTOID))
		require_function(row, function, role);
	if (postrider_trigger_text(row, row->tuple, "reply_topic") != NULL)
		postrider_trigger_refuse(row, "reply_topic", "does not go with a function",
								 "The function can emit messages itself.");
	(void) postrider_trigger_get(row, row->tuple, "batch_size", INT4OID, &isnull);
	if (!isnull)
		postrider_trigger_refuse(row, "batch_size", "does not go with a function", NULL);
	timeout = postrider_trigger_get(row, row->tuple, "timeout", INTERVALOID, &isnull);
	if (!isnull && postrider_interval_ms(DatumGetIntervalP(timeout)) * 1000 > MAX_TIMEOUT_US)
		postrider_trigger_refuse(row, "timeout", "must be at most 10 seconds for a function",
								 "Nothing else is sent while a function runs.");
}
