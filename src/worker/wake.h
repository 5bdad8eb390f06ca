/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  Telling workers, at commit, that there is something to do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_WAKE_H
#define POSTRIDER_WAKE_H

#include "postgres.h"

/*
 * This transaction has written a message, or something else that the worker of
 * this database should look at: wake it at commit.
 */
extern void postrider_wake_at_commit(void);

/*
 * This transaction has changed the configuration: all workers load it again
 * after the commit, and no worker routes a message that committed after it
 * by the old one.
 */
extern void postrider_config_changed_at_commit(void);

/* This transaction has changed the table credential: workers look at it. */
extern void postrider_credentials_changed_at_commit(void);

/*
 * Used by workers.  Returns the generation of the configuration, and whether
 * a configuration that is loaded now may be outdated at once because a
 * transaction is just committing a change.
 */
extern uint64 postrider_config_generation(bool *changing);

/*
 * Used by workers.  Goes up when messages have been erased: then nothing may be sent
 * until postrider_erased_mark() has looked which.
 */
extern uint64 postrider_erase_generation(void);

extern void postrider_wake_install(void);

#endif							/* POSTRIDER_WAKE_H */
