/*-------------------------------------------------------------------------
 *
 * engine.h
 *	  The delivery engine: takes deliveries into lanes, sends them, and hands
 *	  them back with their result.  No SQL, no transactions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ENGINE_H
#define POSTRIDER_ENGINE_H

#include "postgres.h"

#include <curl/curl.h>

#include "delivery/lane.h"
#include "model.h"

/* What people want to hear of an endpoint; palloc'd, as its name. */
typedef struct EngineEvent
{
	dlist_node	node;
	GovernorEventKind kind;
	int32		endpoint_id;
	char	   *endpoint;
	TimestampTz until;			/* opened: so long */
	TimestampTz failing_since;	/* 0: it does not fail */
	int64		failures;		/* since then */
	char	   *error;			/* of the last attempt that failed, or "" */
	RateUse		use;			/* of the limit that a warning is about */
} EngineEvent;

/*
 * Starts the engine; the caller waits for the descriptor that it returns
 * to become readable (it is an epoll descriptor with all of curl's sockets).
 */
extern int	postrider_engine_start(void);

/* Puts a delivery at the end of its endpoint's lane. */
extern void postrider_engine_submit(Delivery *delivery, TimestampTz now);

/* Its lane has no room: the delivery goes to the table pending. */
extern void postrider_engine_overflow(Delivery *delivery, TimestampTz now);

/*
 * Does all that can be done without waiting: starts requests, moves data,
 * collects what has ended.
 */
extern void postrider_engine_run(TimestampTz now);

/*
 * Asked all the time while it runs, if it is set: true if the engine must not send
 * anything more and return, because messages may have been erased.
 */
extern bool (*postrider_engine_must_stop) (void);

/*
 * Ends those deliveries, of the list by memory_node, that are erased and not on
 * the wire yet.  The others in its hands end when their turn comes.
 */
extern void postrider_engine_drop_erased(dlist_head *deliveries);

/* Starts no more requests from now on; those in flight may end. */
extern void postrider_engine_hold(void);

/* The wall clock was set: moves the times of the engine; lanes: postrider_lane_shift(). */
extern void postrider_engine_shift(int64 microseconds);

/* How long it may be left alone, in milliseconds; -1 for ever. */
extern long postrider_engine_timeout_ms(TimestampTz now);

/*
 * To be called when the policy of an endpoint has changed (enabled or not,
 * limits, gone).  Deliveries in the lane of a disabled endpoint are
 * handed back to be held, those of a deleted one as cancelled.
 */
extern void postrider_engine_endpoint_changed(Endpoint *endpoint);

/*
 * A secret or a token has come, or another one: lanes that waited for it look again.
 */
extern void postrider_engine_credentials_changed(TimestampTz now);

/* For requests that are no deliveries: delivery/side_request.h. */
extern CURLM *postrider_engine_multi(void);

/* True if nothing in the engine refers to the endpoint any more. */
extern bool postrider_engine_endpoint_idle(const Endpoint *endpoint);

/* Frees the lane of an idle endpoint. */
extern void postrider_engine_forget(Endpoint *endpoint);

/*
 * Hands a delivery over for settling without having sent it.
 */
extern void postrider_engine_park(Delivery *delivery, PendingReason reason,
								  TimestampTz until);

/*
 * True, once, if a lane with a rate limit has sent something of which nothing is
 * kept yet: worker/keep.c.
 */
extern bool postrider_engine_keep_wanted(void);

/* EngineEvents, oldest first; the caller takes and frees them. */
extern dlist_head *postrider_engine_events(void);

/* Deliveries that wait to be settled, in the order in which they ended. */
extern dlist_head *postrider_engine_finished(void);
extern int	postrider_engine_finished_count(void);
extern void postrider_engine_finished_clear(void);

/*
 * The delivery whose function is to be called next, or NULL.  It stays
 * in the engine until postrider_engine_end_call().
 */
extern Delivery *postrider_engine_first_call(void);

/* How the call of a function ended; the strings are copied. */
typedef struct CallEnd
{
	AttemptOutcome outcome;		/* delivered, retry or dead */
	const char *error_code;		/* static, or NULL */
	const char *error;			/* or NULL */
	const char *detail;			/* or NULL */
	bool		healthy;		/* the function is well, whatever it thinks of the
								 * message */
	bool		timed_out;
	TimestampTz started_at;
	float		duration_ms;
} CallEnd;

extern void postrider_engine_end_call(Delivery *delivery, const CallEnd *end,
									  TimestampTz now);

extern int	postrider_engine_in_flight(void);
extern int	postrider_engine_queued(void);

#endif							/* POSTRIDER_ENGINE_H */
