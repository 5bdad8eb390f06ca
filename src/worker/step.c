/*-------------------------------------------------------------------------
 *
 * step.c
 *	  The steps of a worker; see step.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "outbox/access.h"
#include "outbox/version.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "outbox/version.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "worker/slot.h"
#include "worker/step.h"

volatile sig_atomic_t postrider_shutdown_requested = false;

static volatile sig_atomic_t in_transaction = false;
static bool relations_changed = false;
static bool awaiting = false;	/* in postrider_step_await_version() */
static MemoryContext step_context;

/* A statement that waits or computes is cancelled; the loop sees the flag. */
void
postrider_step_handle_sigterm(SIGNAL_ARGS)
{
	int			save_errno = errno;

	postrider_shutdown_requested = true;
	if (in_transaction)
	{
		InterruptPending = true;
		QueryCancelPending = true;
	}
	SetLatch(MyLatch);
	errno = save_errno;
}

static void
relation_changed(Datum arg, Oid relation)
{
	relations_changed = true;
}

void
postrider_step_start(void)
{
	postrider_unbind_tenant();
	CacheRegisterRelcacheCallback(relation_changed, 0);
	step_context = AllocSetContextCreate(TopMemoryContext, "postrider step",
										 ALLOCSET_DEFAULT_SIZES);
}

void
postrider_step_exit_if_absent(void)
{
	relations_changed = false;
	if (OidIsValid(get_extension_oid("postrider", true)) &&
		OidIsValid(postrider_owner()))
		return;
	postrider_slot_set_absent();
	proc_exit(0);
}

void
postrider_step_begin(const char *activity)
{
	in_transaction = true;
	postrider_sql_begin(activity);
	MemoryContextSwitchTo(step_context);
	if (!relations_changed)
		return;
	postrider_step_exit_if_absent();
	if (awaiting || postrider_versions_agree())
		return;

	/* Whoever survives the error must not get any further the next time. */
	relations_changed = true;
	postrider_require_versions();
}

void
postrider_step_commit(void)
{
	postrider_sql_commit();
	in_transaction = false;
	MemoryContextSwitchTo(step_context);
	MemoryContextReset(step_context);
}

void
postrider_step_flush_at_commit(void)
{
	(void) set_config_option("synchronous_commit", "local", PGC_SUSET, PGC_S_OVERRIDE,
							 GUC_ACTION_LOCAL, true, 0, false);
}

void
postrider_step_abort(void)
{
	AbortCurrentTransaction();
	in_transaction = false;
	if (step_context)
		MemoryContextSwitchTo(step_context);
}

bool
postrider_step_try(const char *activity, void (*step) (void *arg), void *arg)
{
	volatile bool done = false;

	PG_TRY();
	{
		postrider_step_begin(activity);
		step(arg);
		postrider_step_commit();
		done = true;
	}
	PG_CATCH();
	{
		if (postrider_shutdown_requested)
			PG_RE_THROW();
		EmitErrorReport();
		FlushErrorState();
		postrider_step_abort();
	}
	PG_END_TRY();
	return done;
}

/* True if they agree.  Says what is wrong once, in the log and in the view "worker". */
static bool
look_at_versions(bool *told)
{
	char	   *problem;
	char	   *hint;

	postrider_step_begin("comparing versions");
	postrider_step_exit_if_absent();
	problem = postrider_version_problem(&hint);
	if (problem && !*told)
	{
		LogLine		line;

		postrider_log_begin(&line, WARNING, "versions_differ");
		postrider_log_text(&line, "error", problem);
		postrider_log_text(&line, "hint", hint);
		postrider_log_message(&line, "nothing is delivered until they agree");
		postrider_log_end(&line);
		postrider_slot_report_error(problem);
		*told = true;
	}
	postrider_step_commit();
	return problem == NULL;
}

void
postrider_step_await_version(void)
{
	bool		told = false;

	awaiting = true;
	while (!look_at_versions(&told))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (postrider_shutdown_requested)
		{
			postrider_slot_set_clean();
			proc_exit(0);
		}
	}
	awaiting = false;
}
