/*-------------------------------------------------------------------------
 *
 * function_call.c
 *	  Endpoints that are functions; see function_call.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "util/sql.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/timeout.h"
#include "worker/function_call.h"

/* The message as a row, with the payload as the endpoint gets it. */
static SqlStatement make_message = {
	.text =
	"select row($1, m.xid, case when p.payload is null then m.topic else p.topic end, m.endpoint,"
	" case when p.payload is null then m.key else p.key end,"
	" case when p.payload is null then m.tenant else p.tenant end, $3::jsonb,"
	" case when p.payload is null then m.headers else p.headers end, m.deliver_at,"
	" case when p.payload is null then m.expires_at else p.expires_at end,"
	" case when p.payload is null then m.traceparent else p.traceparent end,"
	" coalesce(m.priority, p.priority))::postrider.message"
	" from (values ($1, $2)) as k (message_id, endpoint_id)"
	" left join postrider.pending p on p.message_id = k.message_id"
	" and p.endpoint_id = k.endpoint_id"
	" left join postrider.message m on m.id = k.message_id",
	.argument_count = 3,
	.argument_types = {UUIDOID, INT4OID, TEXTOID}
};

/* What is set for the worker's own statements is not for functions of others. */
static void
set_usual_options(void)
{
	static const char *const options[][2] = {
		{"search_path", "\"$user\", public"},
		{"enable_seqscan", "on"},
		{"enable_sort", "on"},
		{"enable_hashjoin", "on"},
		{"enable_mergejoin", "on"},
		{"plan_cache_mode", "auto"}
	};

	for (int i = 0; i < (int) lengthof(options); i++)
		(void) set_config_option(options[i][0], options[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, ERROR, false);
}

static void
run(const char *statement, int count, Oid *types, Datum *values)
{
	int			result = SPI_execute_with_args(statement, count, types, values, NULL, false, 0);

	if (result < 0)
		elog(ERROR, "could not call a function: %s", SPI_result_code_string(result));
}

/* As the role that registered it. */
static void
call(const Delivery *delivery)
{
	const Endpoint *endpoint = delivery->endpoint;
	char	   *body = pg_any_to_server(delivery->body, (int) delivery->body_length, PG_UTF8);
	Datum		values[] = {
		UUIDPGetDatum(&delivery->message->id),
		Int32GetDatum(endpoint->id),
		CStringGetTextDatum(body)
	};
	Oid			type;
	Datum		message;
	bool		isnull;
	Oid			owner;
	int			context;
	int			level;

	postrider_sql_run(&make_message, values, NULL, 1);
	message = postrider_sql_datum(0, 0, &isnull);
	type = SPI_gettypeid(SPI_tuptable->tupdesc, 1);
	message = SPI_datumTransfer(message, false, -1);

	GetUserIdAndSecContext(&owner, &context);
	SetUserIdAndSecContext(get_role_oid(endpoint->run_as, false),
						   context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	level = NewGUCNestLevel();
	set_usual_options();
	run(psprintf("select %s($1)", endpoint->function), 1, &type, &message);

	/* What the function has deferred would fail at the commit, with all the rest. */
	run("set constraints all immediate", 0, NULL, NULL);
	AtEOXact_GUC(true, level);
	SetUserIdAndSecContext(owner, context);
}

static char *
describe(const ErrorData *error)
{
	return psprintf("%s: %s%s%s", unpack_sql_state(error->sqlerrcode), error->message,
					error->context ? "; " : "", error->context ? error->context : "");
}

char *
postrider_function_call(const Delivery *delivery, bool *timed_out)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *volatile problem = NULL;

	*timed_out = false;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	enable_timeout_after(STATEMENT_TIMEOUT, delivery->endpoint->timeout_ms);
	PG_TRY();
	{
		call(delivery);
		disable_timeout(STATEMENT_TIMEOUT, false);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		disable_timeout(STATEMENT_TIMEOUT, false);
		QueryCancelPending = false;
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		*timed_out = error->sqlerrcode == ERRCODE_QUERY_CANCELED;
		RollbackAndReleaseCurrentSubTransaction();
		problem = *timed_out ?
			psprintf("the function took longer than %d ms, or was cancelled",
					 delivery->endpoint->timeout_ms) :
			describe(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return problem;
}
