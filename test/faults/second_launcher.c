/*-------------------------------------------------------------------------
 *
 * second_launcher.c
 *	  Starts one more launcher of postrider.  For tests only: nothing else does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "postmaster/bgworker.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(start_second_launcher);

Datum
start_second_launcher(PG_FUNCTION_ARGS)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "postrider", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "postrider_launcher_main",
			sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "second postrider launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "second postrider launcher", sizeof(worker.bgw_type));
	PG_RETURN_BOOL(RegisterDynamicBackgroundWorker(&worker, NULL));
}
