/*-------------------------------------------------------------------------
 *
 * key_gate.h
 *	  Endpoints with ordered = true or coalesce = true: at most one message of
 *	  a key is in the lane or in flight, its "head"; the gate stands before the
 *	  lane.
 *
 * ordered.  What comes from the log for a key that has a head waits behind it, in
 * memory, in the order of ids.  When the head must be tried again later, it gets
 * a row in the table pending as ever, and with it all that waits (reason
 * 'ordered', due at infinity); so it does when too much waits.  From then on
 * the order of the key is in the table: what comes from the log goes there too,
 * and whenever a message of the key has ended, the one with the smallest id is
 * made due ("promoted", outbox/key_table.c), until there is no row left and the
 * key is forgotten.  A dead message blocks its key by its row in dead_letter.
 *
 * Two rules make this safe:
 *	- Who has a row in the table while an older message of the key is in
 *	  memory without one gives the older one a row in the same transaction (a
 *	  lease).  So after a crash the row with the smallest id is the oldest one.
 *	- A worker that does not know which keys have rows (after its start, or
 *	  when there are too many of them) sends all through the table.
 *
 * coalesce.  Of what waits behind the head only the newest is kept, the
 * others end as superseded; a head that has failed does too if a newer one
 * waits.  Older rows in the table are deleted when a newer message of the key is
 * settled.
 *
 * Messages without a key pass.  Nothing here is SQL: the gate says by its
 * effects what is to be done with deliveries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_KEY_GATE_H
#define POSTRIDER_KEY_GATE_H

#include "postgres.h"

#include "lib/ilist.h"
#include "model.h"

/* Keys that are known, of all endpoints, and messages that wait for one. */
#define KEY_GATE_MAX_KEYS	20000
#define KEY_GATE_MAX_WAITING 64

/* A key of an endpoint that has something to deliver, or is blocked. */
typedef struct KeyEntry
{
	int32		endpoint_id;	/* hash key: this ... */
	const char *key;			/* ... and the text */
	Endpoint   *endpoint;
	Delivery   *head;			/* in the lane or in flight; or NULL */
	dlist_head	waiting;		/* Deliveries from the log, oldest first */
	int			waiting_count;
	bool		in_table;		/* there may be rows in the table */
	bool		touched;		/* to be looked at: postrider_key_gate_touched() */
	dlist_node	touched_node;
} KeyEntry;

/* What is to be done; every list has Deliveries linked by their node. */
typedef struct GateEffects
{
	dlist_head	go;				/* into the lane */
	dlist_head	park;			/* into the table, behind others of the key */
	dlist_head	superseded;		/* a newer one has come */
	int			taken_from_lane;	/* superseded ones that were in its queue */
} GateEffects;

extern void postrider_gate_effects_init(GateEffects *effects);

/* Does the delivery have to pass the gate? */
extern bool postrider_key_gate_concerns(const Delivery *delivery);

/*
 * A delivery has come.  It waits behind the gate then, or is in one of the
 * lists.  "full": its lane takes no more, so it can only be parked.
 */
extern void postrider_key_gate_enter(Delivery *delivery, bool full, GateEffects *effects);

/*
 * A delivery that has key_entry set has ended, or goes to the table.  May make
 * a retry OUTCOME_SUPERSEDED.
 */
extern void postrider_key_gate_leave(Delivery *delivery, GateEffects *effects);

/* Hands back all that waits for an endpoint, as to be parked. */
extern void postrider_key_gate_empty(Endpoint *endpoint, GateEffects *effects);

/* The endpoint is neither ordered nor coalescing any more, or gone: its keys are forgotten. */
extern void postrider_key_gate_forget(const Endpoint *endpoint);

/* There may be rows for this key in the table; false if there is no room to know. */
extern bool postrider_key_gate_learn(Endpoint *endpoint, const char *key);

/* How many keys could be learned. */
extern int	postrider_key_gate_room(void);

/* Entries whose rows in the table should be looked at; palloc'd. */
extern int	postrider_key_gate_touched(KeyEntry ***entries);

/* They were: are there rows?  May free the entry. */
extern void postrider_key_gate_looked_at(KeyEntry *entry, bool has_rows);

#endif							/* POSTRIDER_KEY_GATE_H */
