/*-------------------------------------------------------------------------
 *
 * erased.h
 *	  Messages in memory that postrider.erase() has taken the data of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ERASED_H
#define POSTRIDER_ERASED_H

#include "postgres.h"

#include "model.h"

/*
 * Looks up which of the messages in memory have been erased, by what is committed
 * now, and sets their "erased".  In a transaction; true if there are any.
 */
extern bool postrider_erased_mark(void);

/*
 * Holds up those who erase until the end of this transaction.  Before outcomes
 * are written: see erased.c.
 */
extern void postrider_erased_lock_out(void);

/*
 * Of an erased delivery that is to be settled: what came of it stays on record, what
 * was said about it does not, and it is not tried again.
 */
extern void postrider_erased_scrub(Delivery *delivery);

#endif							/* POSTRIDER_ERASED_H */
