/*-------------------------------------------------------------------------
 *
 * refresh.h
 *	  Follows what changes under the worker: the configuration, and what is erased.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_REFRESH_H
#define POSTRIDER_REFRESH_H

#include "postgres.h"



/* To be called once, before the configuration is loaded. */
extern void postrider_refresh_start(void);

/* Loads the configuration if it may have changed; in a transaction, or in one of its own. */
extern void postrider_refresh_config(void);
extern void postrider_refresh_config_if_told(void);

/* It is to be loaded in any case: settings have changed. */
extern void postrider_refresh_config_anew(void);

/* Goes up with each change that was loaded. */
extern uint64 postrider_refresh_generation(void);

/* Have messages been erased since we looked?  Asked by the engine while it runs. */
extern bool postrider_refresh_erase_is_new(void);

/* Looks up which messages in memory were erased, and drops them; as above. */
extern void postrider_refresh_erased(void);
extern void postrider_refresh_erased_if_told(void);

/* Frees endpoints that were deleted, when nothing in memory points to one. */
extern void postrider_refresh_forget_deleted(void);

#endif							/* POSTRIDER_REFRESH_H */
