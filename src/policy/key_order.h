/*-------------------------------------------------------------------------
 *
 * key_order.h
 *	  Messages of one key strictly in the order of their ids, one at a time.
 *
 * One KeyOrder for each endpoint that has ordered = true, in the memory of the
 * process that owns the endpoint.  Of each key that has something to deliver, at
 * most one message is let through: the head.  It stays the head through its
 * retries.  What comes behind it waits: in memory, or, when there are too many,
 * "spilled" to a table that the caller has (postrider.pending).
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_KEY_ORDER_H
#define POSTRIDER_KEY_ORDER_H

#include "postgres.h"

#include "policy/key.h"
#include "utils/uuid.h"

typedef struct KeyOrder KeyOrder;

/* So many of one key wait in memory; the others are spilled. */
#define KEY_ORDER_MAX_WAITING 256

typedef enum OrderAnswer
{
	ORDER_GO,					/* it is the head now: deliver it */
	ORDER_WAIT,					/* it waits in memory, with its item */
	ORDER_SPILL,				/* put it in the table; forget the item */
	ORDER_FULL					/* nothing was remembered: this message and
								 * all that come after it for the endpoint
								 * must be offered again later, in order */
} OrderAnswer;

typedef enum OrderResult
{
	ORDER_FINISHED,				/* delivered, expired, cancelled; or dead, and
								 * others may go on (on_dead = 'skip') */
	ORDER_RETRY,				/* it will be offered again */
	ORDER_DEAD,					/* dead, and blocks its key (on_dead =
								 * 'block') */
	ORDER_PARKED				/* it went to the table without an attempt */
} OrderResult;

typedef enum OrderNext
{
	ORDER_NOTHING,				/* nothing may go now for the key */
	ORDER_ITEM,					/* *next may go: it is the head */
	ORDER_LOAD					/* offer the oldest of the key that are in the
								 * table, as from the table */
} OrderNext;

typedef struct OrderItem
{
	pg_uuid_t	id;
	void	   *item;
} OrderItem;

/* At most so many keys with so many bytes, and so many that wait in memory. */
extern KeyOrder *postrider_key_order_create(MemoryContext parent, int max_keys,
											Size max_bytes, int max_waiting);
extern void postrider_key_order_free(KeyOrder *order);

/*
 * A message is there to be delivered.  from_table: it comes from the table, where
 * there is no older one of its key but those that were offered before.  Nothing
 * may be offered from the table after a restart before all has been that the
 * log still owes.
 */
extern OrderAnswer postrider_key_order_offer(KeyOrder *order, KeyBytes key,
											 const pg_uuid_t *id, void *item,
											 bool from_table);

/*
 * The head that was let through has ended.  Anything but the head of its key
 * is an error of the caller, and changes nothing.
 */
extern OrderNext postrider_key_order_end(KeyOrder *order, KeyBytes key,
										 const pg_uuid_t *id,
										 OrderResult result, OrderItem *next);

/*
 * The table has no (more) messages of this key that were not offered.  If the
 * key waited for one of them, what is next.
 */
extern OrderNext postrider_key_order_drained(KeyOrder *order, KeyBytes key,
											 OrderItem *next);

/*
 * After a restart, before anything is offered: the oldest message of this key in
 * the table, and whether there are others (spilled).  After that, blocked: the
 * dead message that blocks the key.  False if there is no room.
 */
extern bool postrider_key_order_restore(KeyOrder *order, KeyBytes key,
										const pg_uuid_t *id, bool blocked,
										bool spilled);

/* The dead message that blocks the key does so no more. */
extern OrderNext postrider_key_order_unblock(KeyOrder *order, KeyBytes key,
											 OrderItem *next);

/* Is the key blocked, and by which message? */
extern bool postrider_key_order_blocked(const KeyOrder *order, KeyBytes key,
										pg_uuid_t *id);

extern int	postrider_key_order_keys(const KeyOrder *order);
extern int	postrider_key_order_waiting(const KeyOrder *order);

#endif							/* POSTRIDER_KEY_ORDER_H */
