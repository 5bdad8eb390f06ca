/*-------------------------------------------------------------------------
 *
 * engine_credentials.c
 *	  Lanes whose requests need a credential that is not there.
 *
 * Asking is what has it fetched (security/credential.h); the lane waits, and the
 * worker says when one has come.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/engine.h"
#include "delivery/engine_internal.h"
#include "delivery/secure.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A lane whose credentials are being fetched looks again after so long, if untold. */
#define CREDENTIAL_LOOK_MS 1000

/* What is said about credentials, until somebody asks again. */
static MemoryContext ask_context = NULL;

static dlist_head waiting_lanes = DLIST_STATIC_INIT(waiting_lanes);

void
postrider_engine_end_wait(Lane *lane)
{
	if (lane->waits_for_credentials)
		dlist_delete(&lane->credentials_node);
	lane->waits_for_credentials = false;
	lane->credentials_at = 0;
}

static void
wait_for_credentials(Lane *lane, TimestampTz until)
{
	if (!lane->waits_for_credentials)
		dlist_push_tail(&waiting_lanes, &lane->credentials_node);
	lane->waits_for_credentials = true;
	lane->credentials_at = until;
}

/* A credential cannot be had: one delivery of the lane says so by a failed attempt. */
static void
tell_failure(Lane *lane, const char *problem, const char *error_code, TimestampTz now)
{
	Delivery   *delivery = postrider_engine_take_next(lane, now);

	if (delivery == NULL)
		return;
	delivery->result.error_code = error_code;
	delivery->result.error = pstrdup(problem);
	delivery->result.outcome = OUTCOME_RETRY;
	postrider_engine_note_result(lane, &delivery->result, now);
	postrider_engine_fail_unsent(delivery, now);
}

/*
 * Are the credentials there that requests of the lane need?  If not, it waits until it
 * is told, and looks again now and then.  A failure is told once, by one delivery; the
 * others wait with it until it is worth to try again.
 */
bool
postrider_engine_has_credentials(Lane *lane, TimestampTz now)
{
	const char *problem = "a credential is missing";
	const char *error_code = "secret";
	TimestampTz retry_at = now;
	MemoryContext old;
	AuthState	state;

	if (ask_context == NULL)
		ask_context = AllocSetContextCreate(postrider_engine.context,
											"postrider engine credentials",
											ALLOCSET_SMALL_SIZES);
	MemoryContextReset(ask_context);
	old = MemoryContextSwitchTo(ask_context);
	state = postrider_secure_ready(lane->endpoint, now, &problem, &error_code, &retry_at);
	MemoryContextSwitchTo(old);
	if (state == AUTH_READY)
	{
		postrider_engine_end_wait(lane);
		lane->told_until = 0;
		return true;
	}
	wait_for_credentials(lane, TimestampTzPlusMilliseconds(now, CREDENTIAL_LOOK_MS));
	if (state == AUTH_WAITING)
		return false;
	if (lane->told_until <= now)
	{
		lane->told_until = retry_at;
		tell_failure(lane, problem, error_code, now);
	}
	lane->credentials_at = Max(lane->credentials_at, lane->told_until);
	return false;
}

void
postrider_engine_credentials_changed(TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(postrider_engine.context);

	while (!dlist_is_empty(&waiting_lanes))
	{
		Lane	   *lane = dlist_container(Lane, credentials_node,
										   dlist_head_node(&waiting_lanes));

		postrider_engine_end_wait(lane);
		postrider_engine_update_lane(lane, now);
	}
	MemoryContextSwitchTo(old);
}
