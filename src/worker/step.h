/*-------------------------------------------------------------------------
 *
 * step.h
 *	  The steps of a worker: short transactions of its own, and how they are
 *	  ended early.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_STEP_H
#define POSTRIDER_STEP_H

#include "postgres.h"

#include <signal.h>

/* SIGTERM has come: the worker ends as soon as it can. */
extern volatile sig_atomic_t postrider_shutdown_requested;

/* Handler for SIGTERM. */
extern void postrider_step_handle_sigterm(SIGNAL_ARGS);

/* Once, when the worker has connected. */
extern void postrider_step_start(void);

/*
 * A transaction.  In between, the current memory context is one that the end
 * of the transaction empties.  "activity" shows up in pg_stat_activity.  If the
 * extension has been dropped, postrider_step_begin() ends the process.
 */
extern void postrider_step_begin(const char *activity);
extern void postrider_step_commit(void);

/* In a transaction: its commit is on disk before anybody sees what it has brought. */
extern void postrider_step_flush_at_commit(void);

/* An error has ended the transaction: AbortCurrentTransaction(). */
extern void postrider_step_abort(void);

/*
 * A transaction of its own in which step(arg) runs, for what must not end the worker: an
 * error is logged, and false returned.  While the worker is to end, errors go on.
 */
extern bool postrider_step_try(const char *activity, void (*step) (void *arg), void *arg);

/*
 * Outside of a transaction, at the start: returns when library and SQL objects are of
 * one version.  Later postrider_step_begin() raises an error if they no longer are.
 */
extern void postrider_step_await_version(void);

/* Ends the process for good if the database has no extension (any more). */
extern void postrider_step_exit_if_absent(void);

#endif							/* POSTRIDER_STEP_H */
