/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  Brings the gate of keys (delivery/key_gate.h) and the rows of the table
 *	  pending (outbox/key_table.h) together.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_KEYS_H
#define POSTRIDER_KEYS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "model.h"

/*
 * In a transaction, after outcomes were written: promotes the keys for which
 * something has changed, and writes leases for their heads in memory.  True if
 * anything is due now.  postrider_keys_settled() follows the commit.
 */
extern bool postrider_keys_settle(void);
extern void postrider_keys_settled(void);

/*
 * In a transaction, before what is due is loaded for these endpoints, which are
 * ordered.  postrider_keys_settled() follows the commit.
 */
extern void postrider_keys_demote(Endpoint *const *endpoints, int count);

/* Finds out which keys have rows, where that is not known; a step of its own. */
extern void postrider_keys_learn(TimestampTz now);

/* Rows may have changed without us: nothing is known any more. */
extern void postrider_keys_forget(void);
extern void postrider_keys_forget_those_of(Endpoint *endpoint);

/* When postrider_keys_learn() has something to do. */
extern TimestampTz postrider_keys_due(void);

#endif							/* POSTRIDER_KEYS_H */
