/*-------------------------------------------------------------------------
 *
 * engine_internal.h
 *	  What the files of the engine (engine*.c) share.  All of them run in the
 *	  memory context of the engine, see EngineState.
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTRIDER_ENGINE_INTERNAL_H
#define POSTRIDER_ENGINE_INTERNAL_H

#include "postgres.h"

#include <curl/curl.h>

#include "delivery/key_gate.h"
#include "delivery/lane.h"
#include "model.h"

typedef struct EngineState
{
	/*
	 * Results are allocated here: they live until their delivery is settled,
	 * across the transactions and contexts of whoever calls the engine.
	 */
	MemoryContext context;
	CURLM	   *multi;
	dlist_head	requests;		/* that curl has */
	int			in_flight;		/* their number */
	int			socket_limit;	/* the most: as many as there may be sockets */
	int			queued;			/* deliveries in lanes */
	bool		held;			/* no more requests are started */
} EngineState;

extern EngineState postrider_engine;

/* Lanes: engine_lanes.c */

extern void postrider_engine_lanes_start(void);

/* Puts a lane where it belongs by its state now. */
extern void postrider_engine_update_lane(Lane *lane, TimestampTz now);

/* How many may send now, and the one whose turn it is, if there is one. */
extern int	postrider_engine_ready_lanes(void);
extern Lane *postrider_engine_next_lane(void);

/* Lets those go whose time has come; when that is for the next one, or DT_NOEND. */
extern void postrider_engine_unblock_lanes(TimestampTz now);
extern TimestampTz postrider_engine_blocked_until(void);

/* Puts a delivery that has passed the gate of keys at the end of its lane. */
extern void postrider_engine_enqueue(Delivery *delivery, TimestampTz now);

/* The next delivery of a lane, or NULL if it had to be ended. */
extern Delivery *postrider_engine_take_next(Lane *lane, TimestampTz now);

/* Does what the gate of keys has decided. */
extern void postrider_engine_apply(GateEffects *effects);

/* Ends: engine_end.c */

/* A delivery ends with the attempt that is in its result. */
extern void postrider_engine_finish_attempt(Delivery *delivery);

/* It ends, and no request was made; the error is copied. */
extern void postrider_engine_end_unsent(Delivery *delivery, AttemptOutcome outcome,
										const char *error_code, const char *error,
										TimestampTz now);

/* It cannot be sent: dead if its result says so, else it is tried again. */
extern void postrider_engine_fail_unsent(Delivery *delivery, TimestampTz now);

/* Ends it if it cannot be sent any more, or not as it is; false if it can. */
extern bool postrider_engine_end_if_hopeless(Delivery *delivery, TimestampTz now);

/* Hands it back, to be kept in the table or cancelled, as its endpoint is now. */
extern void postrider_engine_park_behind(Delivery *delivery, TimestampTz now);

/* Keeps for the status of the endpoint how an attempt ended. */
extern void postrider_engine_note_result(Lane *lane, const AttemptResult *result,
										 TimestampTz now);

/* Notes what people want to hear of an endpoint; a GovernorReport. */
extern void postrider_engine_report(void *endpoint, GovernorEventKind kind,
									const RateUse *use);

/* Credentials: engine_credentials.c */

/*
 * Are those there that requests of the lane need?  If not, it waits until it is told,
 * and looks again now and then.
 */
extern bool postrider_engine_has_credentials(Lane *lane, TimestampTz now);
extern void postrider_engine_end_wait(Lane *lane);

/* Calls: engine_calls.c */

/* The function of its endpoint is to be called for the delivery. */
extern void postrider_engine_add_call(Delivery *delivery, const Permit *permit);

#endif							/* POSTRIDER_ENGINE_INTERNAL_H */
