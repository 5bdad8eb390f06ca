/*-------------------------------------------------------------------------
 *
 * store_local.h
 *	  Secrets in files and environment variables of the server.
 *
 * Whoever may name a source must not read with it whatever the server can read.  So
 * files are read only below the directories of postrider.secret_directories, wherever
 * symbolic links lead: what counts is the resolved path (Kubernetes keeps its secrets
 * behind links within the directory of the secret).  Variables must have a name that
 * postrider.secret_environment lets through.  Both settings are a superuser's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_STORE_LOCAL_H
#define POSTRIDER_STORE_LOCAL_H

#include "postgres.h"

#include "utils/guc.h"

/* Check hooks of the settings. */
extern bool postrider_store_check_directories(char **newval, void **extra, GucSource source);
extern bool postrider_store_check_environment(char **newval, void **extra, GucSource source);

#endif							/* POSTRIDER_STORE_LOCAL_H */
