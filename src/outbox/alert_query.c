/*-------------------------------------------------------------------------
 *
 * alert_query.c
 *	  Runs the statements of alerts (postrider.alert_query()) with the rights of
 *	  those who wrote them.
 *
 * A statement is run as the role of the alert's row, in a security-restricted
 * operation, bound to the alert's tenant, in a subtransaction that is read only
 * (which cannot be undone within it), and is cancelled after TIME_LIMIT_MS.  What
 * catches even that ends the process after MAX_CANCELS more, and the alert is
 * disabled on the way out.
 *
 * What a superuser wrote runs only over relations and functions of superusers:
 * the owner of another one could have anything done by changing it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(postrider_check_alert_query);
PG_FUNCTION_INFO_V1(postrider_alert_rows);

#define TIME_LIMIT_MS	1000
#define MAX_CANCELS		10

#define RESULT_COLUMNS	4

static TimeoutId timeout_id;
static bool timeout_registered = false;
static volatile sig_atomic_t cancels = 0;
static char running_alert[1024] = "";

static SqlStatement disable_alert = {
	.text = "update postrider.alert set enabled = false where name = $1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

/* Signal handler: the time is over. */
static void
cancel_query(void)
{
	cancels++;
	InterruptPending = true;
	if (cancels > MAX_CANCELS)
		ProcDiePending = true;
	else
		QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* A worker ends within a statement that does not let itself be cancelled. */
static void
disable_at_exit(int code, Datum arg)
{
	LogLine		line;
	Datum		value;

	if (running_alert[0] == '\0' || cancels <= MAX_CANCELS || MyBackendType != B_BG_WORKER)
		return;
	AbortOutOfAnyTransaction();
	disable_all_timeouts(false);
	postrider_sql_begin("disabling an alert");
	value = CStringGetTextDatum(running_alert);
	(void) postrider_sql_run(&disable_alert, &value, NULL, 0);
	postrider_sql_commit();
	postrider_log_begin(&line, WARNING, "alert_disabled");
	postrider_log_text(&line, "alert", running_alert);
	postrider_log_message(&line, "the alert was disabled: its condition does not end when it is cancelled");
	postrider_log_end(&line);
}

static void
start_timer(const char *alert)
{
	if (!timeout_registered)
	{
		timeout_id = RegisterTimeout(USER_TIMEOUT, cancel_query);
		before_shmem_exit(disable_at_exit, 0);
		timeout_registered = true;
	}
	strlcpy(running_alert, alert, sizeof(running_alert));
	cancels = 0;
	enable_timeout_every(timeout_id, GetCurrentTimestamp() + TIME_LIMIT_MS * INT64CONST(1000),
						 TIME_LIMIT_MS);
}

/* A cancellation that came too late to be noticed is none. */
static void
stop_timer(void)
{
	disable_timeout(timeout_id, false);
	if (cancels > 0)
		QueryCancelPending = false;
	running_alert[0] = '\0';
}

static void
refuse_owner(const char *what, Oid owner)
{
	if (superuser_arg(owner))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("an alert of a superuser cannot use %s of role \"%s\"", what,
					GetUserNameFromId(owner, false)),
			 errdetail("Its owner could have anything done as superuser."),
			 errhint("Write the alert as a role that is no superuser: SET ROLE %s.",
					 quote_identifier(GetUserNameFromId(owner, false)))));
}

static bool
refuse_function(Oid function, void *context)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
		char	   *what = psprintf("function \"%s\"", NameStr(form->proname));
		Oid			owner = form->proowner;

		ReleaseSysCache(tuple);
		refuse_owner(what, owner);
	}
	return false;
}

/* Everything in a rewritten query: views are in it with what they stand for. */
static bool
refuse_others(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		if (OidIsValid(entry->relid))
		{
			HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(entry->relid));

			if (HeapTupleIsValid(tuple))
			{
				Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
				char	   *what = psprintf("relation \"%s\"", NameStr(form->relname));
				Oid			owner = form->relowner;

				ReleaseSysCache(tuple);
				refuse_owner(what, owner);
			}
		}
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, refuse_others, context,
								 QTW_EXAMINE_RTES_BEFORE);
	(void) check_functions_in_node(node, refuse_function, context);
	return expression_tree_walker(node, refuse_others, context);
}

/* What has the form of an expression on its own may be more within the statement. */
static void
require_columns(TupleDesc desc)
{
	static const Oid types[RESULT_COLUMNS] = {TEXTOID, FLOAT8OID, TEXTOID, TEXTOID};
	bool		good = desc != NULL && desc->natts == RESULT_COLUMNS;

	for (int i = 0; good && i < RESULT_COLUMNS; i++)
		good = TupleDescAttr(desc, i)->atttypid == types[i];
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("an expression of an alert has one value")));
}

/* One SELECT, and of a superuser's one that uses nothing of others. */
static SPIPlanPtr
prepare(const char *query)
{
	SPIPlanPtr	plan = SPI_prepare(query, 0, NULL);
	List	   *sources;

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	sources = SPI_plan_get_plan_sources(plan);
	if (list_length(sources) != 1 ||
		((CachedPlanSource *) linitial(sources))->commandTag != CMDTAG_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the expressions of an alert make up one SELECT, and no more")));
	require_columns(((CachedPlanSource *) linitial(sources))->resultDesc);
	if (superuser())
		(void) refuse_others((Node *) ((CachedPlanSource *) linitial(sources))->query_list, NULL);
	return plan;
}

static void
option(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* SQL: postrider.check_alert_query(query) */
Datum
postrider_check_alert_query(PG_FUNCTION_ARGS)
{
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			level = NewGUCNestLevel();

	postrider_sql_pin_search_path();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	(void) prepare(query);

	/* Plans it, and looks at privileges, but runs nothing. */
	if (SPI_execute(psprintf("explain %s", query), false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "SPI_execute failed");
	SPI_finish();
	AtEOXact_GUC(false, level);
	PG_RETURN_VOID();
}

/* As the role; what it changes ends with the subtransaction. */
static void
run_query(const char *query, Oid role, const char *tenant, ReturnSetInfo *result)
{
	int			level = NewGUCNestLevel();
	Oid			user;
	int			security_context;
	SPIPlanPtr	plan;

	GetUserIdAndSecContext(&user, &security_context);
	postrider_sql_begin_foreign();
	option("postrider.tenant", tenant);
	option("jit", "off");
	XactReadOnly = true;
	SetUserIdAndSecContext(role, security_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = prepare(query);
	if (SPI_execute_plan(plan, NULL, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed");
	for (uint64 row = 0; row < SPI_processed; row++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[row]);
	SPI_finish();
	SetUserIdAndSecContext(user, security_context);
	AtEOXact_GUC(false, level);
}

/* SQL: postrider.alert_rows(alert, query, run_as, tenant) */
Datum
postrider_alert_rows(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *alert = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *run_as = text_to_cstring(PG_GETARG_TEXT_PP(2));
	char	   *tenant = PG_ARGISNULL(3) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(3));
	Oid			role = get_role_oid(run_as, false);

	InitMaterializedSRF(fcinfo, 0);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	start_timer(alert);
	PG_TRY();
	{
		run_query(query, role, tenant, (ReturnSetInfo *) fcinfo->resultinfo);
		stop_timer();
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		stop_timer();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (error->sqlerrcode != ERRCODE_QUERY_CANCELED || cancels == 0)
			ReThrowError(error);
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("its condition takes longer than %d ms", TIME_LIMIT_MS)));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return (Datum) 0;
}
