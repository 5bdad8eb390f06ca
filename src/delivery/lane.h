/*-------------------------------------------------------------------------
 *
 * lane.h
 *	  The lane of an endpoint: its deliveries in memory, waiting for their
 *	  turn, and the state of its policy.
 *
 * Memory is bounded.  All lanes share a budget of bytes; a lane may hold as
 * much as is still free (so that many slow endpoints together can never take
 * the last of it), at most LANE_CAPACITY deliveries, and one in any case.
 *
 * What comes from the log for a lane that is full is deferred: only its id is
 * kept, until there is room (outbox/deferred.h).  If a full lane has made no
 * progress for LANE_PATIENCE_MS, or keeps failing, the endpoint is slow: the lane
 * overflows, and what comes for it goes to the table pending until the lane has
 * been filled again from there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_LANE_H
#define POSTRIDER_LANE_H

#include "postgres.h"

#include "delivery/governor.h"
#include "lib/ilist.h"
#include "lib/pairingheap.h"
#include "model.h"
#include "policy/priority.h"

#define LANE_CAPACITY		1024
#define LANE_PATIENCE_MS	100

/* After so many failures in a row a full lane overflows at once. */
#define LANE_FAILING		8
/* What is kept over a restart is at most so old. */
#define LANE_KEEP_MS		5000
#define LANE_ERROR_BYTES	200
#define LANE_ERROR_CODE_BYTES 32

/* Room beyond that for what is urgent. */
#define LANE_URGENT_ROOM	256
#define MEMORY_BUDGET_BYTES (48 * 1024 * 1024)

typedef enum LaneState
{
	LANE_RESTING,				/* nothing to send, or as much as allowed is in
								 * flight, or not enabled */
	LANE_READY,
	LANE_BLOCKED				/* by Retry-After, a rate limit or its breaker:
								 * until ready_at */
} LaneState;

struct Lane
{
	Endpoint   *endpoint;
	dlist_head	queue[PRIORITY_LEVELS]; /* Deliveries, next one first */
	int			level_count[PRIORITY_LEVELS];
	PriorityState priority;
	int			queued;			/* on all levels */
	Size		queued_bytes;
	int			in_flight;
	int			waiting;		/* behind others of their key (key_gate.h) */
	bool		gated;			/* by key_gate.h */
	bool		keys_known;		/* of those that have rows in pending */
	int			batch_limit;	/* records after a 413; 0: none, as usual */
	int			batch_refused;	/* what was too many */
	TimestampTz batch_limit_until;
	TimestampTz blocked_until;	/* Retry-After: nothing is sent before */
	TimestampTz credentials_at; /* a credential is missing: when to look again */
	bool		waits_for_credentials;	/* it is in the engine's list of such */
	dlist_node	credentials_node;
	TimestampTz told_until;		/* that one cannot be had was told by an attempt, and
								 * is true until then; or 0 */
	TimestampTz progress_at;	/* the last time that the queue got shorter,
								 * or that it became full */
	int			failures;		/* attempts that failed in a row */
	char		last_error[LANE_ERROR_BYTES];	/* of an attempt; "" if none */
	char		last_error_code[LANE_ERROR_CODE_BYTES];
	TimestampTz last_error_at;
	TimestampTz last_success_at;	/* 0: none since the worker started */
	int			health_slot;	/* in shared memory; -1: none (worker/health.c) */
	uint64		activity;		/* requests begun and ended */
	uint64		kept_activity;	/* when it was kept last (worker/keep.c) */
	TimestampTz kept_at;
	bool		is_kept;		/* there is a row for it */
	bool		was_enabled;	/* when the configuration was read last */
	bool		token_doubted;	/* the last answer was that the token is not good, ... */
	bool		token_renewed;	/* ... and it was thrown away for that */
	LaneState	state;
	TimestampTz ready_at;		/* of a blocked lane */
	Governor	governor;
	Permit		call_permit;	/* of its delivery that waits for its function */
	dlist_node	node;			/* in the engine's list of ready lanes */
	pairingheap_node heap_node; /* in its heap of blocked ones */
	dlist_head	idle_requests;	/* Requests that are set up for the endpoint */
};

typedef enum LaneAnswer
{
	LANE_TAKES,
	LANE_BUSY,					/* full just now */
	LANE_OVERFLOWS				/* slow: put the delivery in pending */
} LaneAnswer;

extern Lane *postrider_lane_create(Endpoint *endpoint);

/* Deliveries that the lane could take now; 0 or more. */
extern int	postrider_lane_room(const Lane *lane);

/* Retry-After and the circuit breaker: nothing is sent before this time. */
extern TimestampTz postrider_lane_blocked_until(const Lane *lane, TimestampTz now);

/* May the lane take one more delivery from the log? */
extern LaneAnswer postrider_lane_offer(Lane *lane, TimestampTz now);

/* Urgent deliveries that it could take now, although it may be full. */
extern int	postrider_lane_urgent_room(const Lane *lane);

extern void postrider_lane_push(Lane *lane, Delivery *delivery, TimestampTz now);
extern Delivery *postrider_lane_pop(Lane *lane, TimestampTz now);

/* The one that would be popped. */
extern Delivery *postrider_lane_peek(const Lane *lane);

/* Puts one back that was popped. */
extern void postrider_lane_push_front(Lane *lane, Delivery *delivery);

/* Takes one out of the queue. */
extern void postrider_lane_remove(Lane *lane, Delivery *delivery);

/* Accounts for the memory of a message that was made or freed. */
extern void postrider_memory_account(int64 bytes);
extern Size postrider_memory_free(void);

/* The wall clock was set: moves the times of the lane. */
extern void postrider_lane_shift(Lane *lane, int64 microseconds);

#endif							/* POSTRIDER_LANE_H */
