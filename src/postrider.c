/*-------------------------------------------------------------------------
 *
 * postrider.c
 *	  Entry of the library.
 *
 * src/README.md says how the parts fit together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "security/hide.h"
#include "security/store_secret.h"
#include "worker/launcher.h"
#include "worker/shmem.h"
#include "worker/utility.h"
#include "worker/wake.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("postrider must be loaded when the server starts"),
				 errhint("Add postrider to shared_preload_libraries in postgresql.conf and restart the server.")));

	postrider_guc_define();
	postrider_store_secret_init();
	postrider_shmem_install();
	postrider_wake_install();
	postrider_utility_install();
	postrider_hide_install();
	postrider_launcher_register();
}
