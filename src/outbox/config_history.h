/*-------------------------------------------------------------------------
 *
 * config_history.h
 *	  Who changes the configuration: what sql/config_history.sql needs to know.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_CONFIG_HISTORY_H
#define POSTRIDER_CONFIG_HISTORY_H

#include "postgres.h"

/* While a worker calls a function for a message: the role that it runs as. */
extern Oid	postrider_config_history_role;

#endif							/* POSTRIDER_CONFIG_HISTORY_H */
