/*-------------------------------------------------------------------------
 *
 * time_limit.h
 *	  Users' paths and patterns on what receivers answer, for so long and no longer.
 *
 * They may take their time over a body made for that, and everybody else waits
 * meanwhile.  So they are cancelled by a timeout that does what a cancelled query does.  For
 * that, and for SIGTERM, the signals that the engine blocks (engine.c) are let through
 * while they are at work; no transaction is open then, so that nothing else sets
 * QueryCancelPending.  An error that ends the worker there finds curl at rest.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_TIME_LIMIT_H
#define POSTRIDER_TIME_LIMIT_H

#include "postgres.h"

#define TIME_LIMIT_MS 1000

/*
 * Calls what only computes.  False if it was cancelled.  Not to be called from within
 * curl, nor in a transaction.
 */
extern bool postrider_within_time(void (*compute) (void *arg), void *arg);

#endif							/* POSTRIDER_TIME_LIMIT_H */
