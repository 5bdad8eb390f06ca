/*-------------------------------------------------------------------------
 *
 * key_table.h
 *	  The order of messages of one key, as far as it is in the table pending:
 *	  endpoints with ordered = true (delivery/key_gate.h).
 *
 * Of each key, only its "head" may be due: the row with the smallest id,
 * leaving out what is scheduled for later, if no older message of the key blocks
 * it in dead_letter (on_dead = 'block').  Others have reason 'ordered' and are
 * due at infinity.  To promote a key is to make its head due.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_KEY_TABLE_H
#define POSTRIDER_KEY_TABLE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "model.h"

typedef struct OrderedKey
{
	Endpoint   *endpoint;
	const char *key;
	bool		has_rows;		/* result: the key has rows, or is blocked */
} OrderedKey;

/* Promotes these keys; returns how many got a head that is due. */
extern int	postrider_key_table_promote(OrderedKey *keys, int count);

/* Promotes all keys of an endpoint. */
extern void postrider_key_table_promote_all(const Endpoint *endpoint);

/*
 * The keys of an endpoint that have rows or are blocked, but no more than
 * "limit"; palloc'd.
 */
extern int	postrider_key_table_keys(const Endpoint *endpoint, int limit, char ***keys);

/*
 * Some of what is due may not be at the head of its key, after a control or when
 * an endpoint becomes ordered: such rows, up to a number, are due no more.
 * Returns their keys; palloc'd.
 */
extern int	postrider_key_table_demote(Endpoint *const *endpoints, int count,
									   OrderedKey **keys);

#endif							/* POSTRIDER_KEY_TABLE_H */
