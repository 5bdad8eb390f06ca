/*-------------------------------------------------------------------------
 *
 * engine.c
 *	  The delivery engine: one curl multi handle and one epoll descriptor.
 *
 * curl tells us by callbacks which sockets it wants watched and when it wants
 * to be called for a time-out; the sockets go into an epoll descriptor of our
 * own (watch.c), and that descriptor goes into the worker's WaitEventSet (epoll
 * descriptors nest), so the worker waits for its latch, the postmaster and the
 * network at one point.
 *
 * curl and signals.  curl may start a thread to resolve a name.  A thread
 * inherits the signal mask, and PostgreSQL's handlers must not run in it:
 * they would set a latch or jump from the wrong thread.  So all signals
 * are blocked while curl runs, and threads that it starts keep them blocked.
 *
 * curl and errors.  An ERROR must not jump across curl's frames.  Its callbacks
 * therefore neither allocate nor report; everything else here runs outside of
 * curl.  A worker that catches an ERROR from here unblocks signals again.
 *
 * Fairness.  Lanes that have something to send and are allowed to stand in the list
 * of ready lanes and send one request each in turn; those that may later
 * (Retry-After, rate limits, the circuit breaker: governor.c) stand in a heap by
 * the time at which they may.  Where requests are
 * scarce (postrider.max_connections), a lane may have as many in flight as
 * are still free, one in any case, so that hanging endpoints leave room.  Only
 * where the process has no more descriptors must everybody wait.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "delivery/classify.h"
#include "delivery/batch.h"
#include "delivery/descriptor.h"
#include "delivery/engine.h"
#include "delivery/judge.h"
#include "delivery/key_gate.h"
#include "delivery/request.h"
#include "delivery/response.h"
#include "delivery/result_mask.h"
#include "delivery/retry.h"
#include "delivery/secure.h"
#include "delivery/side_request.h"
#include "delivery/watch.h"
#include "guc.h"
#include "libpq/pqsignal.h"
#include "mb/pg_wchar.h"
#include "util/text.h"
#include "security/secret_set.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* The engine returns to its caller after so many ended deliveries. */
#define FINISHED_PER_RUN 256

/* A lane whose credentials are being fetched looks again after so long, if untold. */
#define CREDENTIAL_LOOK_MS 1000

/* Sockets that we ask for; one in two may be a kept connection that rests. */
#define SOCKETS_WANTED 4096

/*
 * Results are allocated here: they live until their delivery is settled, across
 * the transactions and contexts of whoever calls us.
 */
static MemoryContext engine_context = NULL;

static CURLM *multi = NULL;

bool		(*postrider_engine_must_stop) (void) = NULL;

/* Requests that curl has. */
static dlist_head requests = DLIST_STATIC_INIT(requests);

/* When curl wants to be called; DT_NOEND if it does not. */
static TimestampTz curl_deadline = DT_NOEND;

/* Lanes with something to send: those that may, and those that may later. */
static dlist_head ready_lanes = DLIST_STATIC_INIT(ready_lanes);
static int	ready_count = 0;
static pairingheap *blocked_lanes = NULL;

/* What is said about credentials, until somebody asks again. */
static MemoryContext ask_context = NULL;

/* Lanes whose requests need a credential that is not there. */
static dlist_head waiting_lanes = DLIST_STATIC_INIT(waiting_lanes);

/* Deliveries whose functions are to be called; at most one of each lane. */
static dlist_head calls = DLIST_STATIC_INIT(calls);

/* What people want to hear of, until the worker has passed it on. */
static dlist_head events = DLIST_STATIC_INIT(events);

/* Deliveries that wait to be settled. */
static dlist_head finished = DLIST_STATIC_INIT(finished);
static int	finished_count = 0;
static int	in_flight = 0;
static int	queued = 0;
static bool held = false;

/* A limit is used again after a rest. */
static bool keep_wanted = false;

/* Most requests in flight: as many as there may be sockets. */
static int	socket_limit;

/* curl callback: when to call it again */
static int
watch_time(CURLM *handle, long timeout_ms, void *arg)
{
	curl_deadline = timeout_ms < 0 ? DT_NOEND :
		timeout_ms == 0 ? DT_NOBEGIN :
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	return 0;
}

/* The lane that may send first is on top. */
static int
compare_ready(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	TimestampTz ready_a = pairingheap_const_container(Lane, heap_node, a)->ready_at;
	TimestampTz ready_b = pairingheap_const_container(Lane, heap_node, b)->ready_at;

	return ready_a == ready_b ? 0 : ready_a < ready_b ? 1 : -1;
}

int
postrider_engine_start(void)
{
	MemoryContext old;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
		(multi = curl_multi_init()) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not start libcurl")));
	engine_context = AllocSetContextCreate(TopMemoryContext, "postrider engine",
										   ALLOCSET_DEFAULT_SIZES);
	ask_context = AllocSetContextCreate(engine_context, "postrider engine credentials",
										ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(TopMemoryContext);
	blocked_lanes = pairingheap_allocate(compare_ready, NULL);
	MemoryContextSwitchTo(old);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, watch_time);
	curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	socket_limit = postrider_descriptor_reserve(Max(SOCKETS_WANTED,
													2 * postrider_max_connections));
	if (socket_limit < postrider_max_connections)
		ereport(LOG,
				(errmsg("postrider can have %d requests in flight, not %d (postrider.max_connections)",
						socket_limit, postrider_max_connections),
				 errdetail("The limit on open files of this process leaves no more descriptors."),
				 errhint("Raise the hard limit of the server (LimitNOFILE in systemd, ulimit -Hn), or lower max_files_per_process.")));
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) socket_limit);
	return postrider_watch_start(multi);
}

static int
lane_limit(const Lane *lane)
{
	int			most = Min(postrider_max_connections, socket_limit);
	int			free_requests = Max(most - in_flight, 0);

	return Min(postrider_governor_limit(&lane->governor),
			   Max(lane->in_flight + (free_requests > lane->in_flight), 1));
}

static void
leave_state(Lane *lane)
{
	if (lane->state == LANE_READY)
	{
		dlist_delete(&lane->node);
		ready_count--;
	}
	else if (lane->state == LANE_BLOCKED)
		pairingheap_remove(blocked_lanes, &lane->heap_node);
	lane->state = LANE_RESTING;
}

/* Puts a lane where it belongs by its state now. */
static void
update_lane(Lane *lane, TimestampTz now)
{
	LaneState	state = LANE_RESTING;
	TimestampTz ready_at = now;

	if (lane->queued > 0 && lane->endpoint->enabled &&
		lane->in_flight < postrider_governor_limit(&lane->governor))
	{
		ready_at = Max(postrider_governor_next(&lane->governor, now), lane->blocked_until);
		ready_at = Max(ready_at, postrider_batch_ready_at(lane, now));
		ready_at = Max(ready_at, lane->credentials_at);
		/* The result of the breaker's probe comes here again. */
		state = ready_at == DT_NOEND ? LANE_RESTING :
			ready_at > now ? LANE_BLOCKED : LANE_READY;
	}
	if (state == lane->state && (state != LANE_BLOCKED || ready_at == lane->ready_at))
		return;

	leave_state(lane);
	if (state == LANE_READY)
	{
		dlist_push_tail(&ready_lanes, &lane->node);
		ready_count++;
	}
	else if (state == LANE_BLOCKED)
	{
		lane->ready_at = ready_at;
		pairingheap_add(blocked_lanes, &lane->heap_node);
	}
	lane->state = state;
}

static Lane *
first_blocked(void)
{
	return pairingheap_is_empty(blocked_lanes) ? NULL :
		pairingheap_container(Lane, heap_node, pairingheap_first(blocked_lanes));
}

/* Lets those lanes go whose time has come. */
static void
unblock_lanes(TimestampTz now)
{
	Lane	   *lane;

	while ((lane = first_blocked()) != NULL && lane->ready_at <= now)
	{
		/* It may have to wait again, for somebody else has taken the token. */
		leave_state(lane);
		update_lane(lane, now);
	}
}

static void apply(GateEffects *effects);

static void
enqueue(Delivery *delivery, TimestampTz now)
{
	Lane	   *lane = delivery->endpoint->lane;

	postrider_lane_push(lane, delivery, now);
	queued++;
	update_lane(lane, now);
}

void
postrider_engine_submit(Delivery *delivery, TimestampTz now)
{
	GateEffects effects;

	if (!postrider_key_gate_concerns(delivery))
	{
		enqueue(delivery, now);
		return;
	}
	postrider_gate_effects_init(&effects);
	postrider_key_gate_enter(delivery, false, &effects);
	apply(&effects);
}

void
postrider_engine_overflow(Delivery *delivery, TimestampTz now)
{
	GateEffects effects;

	if (!postrider_key_gate_concerns(delivery))
	{
		postrider_engine_park(delivery, PENDING_OVERFLOW, now);
		return;
	}
	postrider_gate_effects_init(&effects);
	postrider_key_gate_enter(delivery, true, &effects);
	apply(&effects);
}

static void
finish(Delivery *delivery)
{
	GateEffects effects;

	dlist_push_tail(&finished, &delivery->node);
	finished_count++;
	if (delivery->key_entry == NULL)
		return;
	postrider_gate_effects_init(&effects);
	postrider_key_gate_leave(delivery, &effects);
	apply(&effects);
}

static void
finish_attempt(Delivery *delivery)
{
	delivery->settle = SETTLE_ATTEMPT;
	finish(delivery);
}

/* Ends a delivery to which no request was made. */
static void
end_unsent(Delivery *delivery, AttemptOutcome outcome, const char *error_code,
		   const char *error, TimestampTz now)
{
	memset(&delivery->result, 0, sizeof(AttemptResult));
	delivery->result.outcome = outcome;
	delivery->result.error_code = error_code;
	delivery->result.error = MemoryContextStrdup(engine_context, error);
	delivery->result.started_at = now;
	postrider_result_mask(&delivery->result, delivery->message);
	finish_attempt(delivery);
}

void
postrider_engine_park(Delivery *delivery, PendingReason reason, TimestampTz until)
{
	delivery->settle = SETTLE_PARK;
	delivery->park_reason = reason;
	delivery->park_until = until;
	finish(delivery);
}

/* What the gate of keys has sent to the table. */
static void
park_behind(Delivery *delivery, TimestampTz now)
{
	const Endpoint *endpoint = delivery->endpoint;

	if (endpoint->deleted)
		end_unsent(delivery, OUTCOME_CANCELLED, "endpoint_deleted",
				   "the endpoint was deleted", now);
	else if (!endpoint->enabled)
		postrider_engine_park(delivery, PENDING_HELD, DT_NOEND);
	else if (endpoint->policy.ordered)
		postrider_engine_park(delivery, PENDING_ORDERED, DT_NOEND);
	else
		postrider_engine_park(delivery, PENDING_OVERFLOW, now);
}

/* Does what the gate of keys has decided. */
static void
apply(GateEffects *effects)
{
	TimestampTz now = GetCurrentTimestamp();

	queued -= effects->taken_from_lane;
	while (!dlist_is_empty(&effects->superseded))
		end_unsent(dlist_container(Delivery, node, dlist_pop_head_node(&effects->superseded)),
				   OUTCOME_SUPERSEDED, "superseded",
				   "a newer message of its key is sent in its place", now);
	while (!dlist_is_empty(&effects->park))
		park_behind(dlist_container(Delivery, node, dlist_pop_head_node(&effects->park)), now);
	while (!dlist_is_empty(&effects->go))
		enqueue(dlist_container(Delivery, node, dlist_pop_head_node(&effects->go)), now);
}

/* Ends a delivery that cannot be sent, with the failure that is in its result. */
static void
fail_unsent(Delivery *delivery, TimestampTz now)
{
	delivery->result.started_at = now;
	if (delivery->result.outcome == OUTCOME_DEAD)
	{
		finish_attempt(delivery);
		return;
	}
	delivery->result.outcome = OUTCOME_RETRY;
	postrider_retry_decide(&delivery->result, delivery->endpoint,
						   delivery->attempts + 1, 0,
						   delivery->message->expires_at, now,
						   pg_prng_double(&pg_global_prng_state));
	finish_attempt(delivery);
}

/* Ends it if it cannot be sent any more, or not as it is; false if it can. */
static bool
end_if_hopeless(Delivery *delivery, TimestampTz now)
{
	if (delivery->message->erased)
		end_unsent(delivery, OUTCOME_CANCELLED, "erased", "the message was erased", now);
	else if (delivery->message->expires_at <= now)
		end_unsent(delivery, OUTCOME_EXPIRED, "expired",
				   "the message expired before it could be delivered", now);
	else if (delivery->problem)

		/* The payload does not fit: no fault of the endpoint's. */
		end_unsent(delivery, OUTCOME_DEAD, delivery->problem_code, delivery->problem, now);
	else if (delivery->endpoint->shape.url && delivery->url == NULL)

		/* The endpoint has become one that needs a URL for each message. */
		postrider_engine_park(delivery, PENDING_RETRY, now);
	else
		return false;
	return true;
}

/* Notes what people want to hear of an endpoint. */
static void
report(void *arg, GovernorEventKind kind, const RateUse *use)
{
	Endpoint   *endpoint = arg;
	EngineEvent *event = palloc0(sizeof(EngineEvent));
	const BreakerState *breaker = &endpoint->lane->governor.breaker;

	event->kind = kind;
	event->endpoint_id = endpoint->id;
	event->endpoint = pstrdup(endpoint->name);
	event->until = breaker->open_until_us;
	event->failing_since = breaker->failures > 0 ? breaker->failing_since_us : 0;
	event->failures = breaker->failures;
	event->error = pstrdup(endpoint->lane->last_error);
	if (use != NULL)
		event->use = *use;
	dlist_push_tail(&events, &event->node);
	if (kind == GOVERNOR_DISABLED)
		endpoint->enabled = false;
}

/* The next delivery of a lane, unless it had to be ended. */
static Delivery *
take_next(Lane *lane, TimestampTz now)
{
	Delivery   *delivery = postrider_lane_pop(lane, now);

	queued--;
	memset(&delivery->result, 0, sizeof(AttemptResult));
	delivery->result.started_at = now;
	return end_if_hopeless(delivery, now) ? NULL : delivery;
}

/* Takes what goes with the first one. */
static void
gather(Request *request, Delivery *first, TimestampTz now)
{
	Lane	   *lane = request->endpoint->lane;
	Delivery   *next;

	postrider_batch_begin(request, first);
	while ((next = postrider_lane_peek(lane)) != NULL &&
		   postrider_batch_takes(request, next, now))
	{
		next = take_next(lane, now);
		if (next)
			postrider_batch_add(request, next);
	}
	postrider_batch_write(request);
}

/* The request cannot be made: ends what it carries. */
static void
fail_request(Request *request, Delivery *delivery, TimestampTz now)
{
	if (request->batch_count == 0)
	{
		fail_unsent(delivery, now);
		return;
	}
	postrider_batch_copy_result(request);
	while (!dlist_is_empty(&request->batch))
		fail_unsent(dlist_container(Delivery, node, dlist_pop_head_node(&request->batch)), now);
}

static void
note_result(Lane *lane, const AttemptResult *result, TimestampTz now)
{
	if (result->outcome == OUTCOME_DELIVERED)
	{
		lane->last_success_at = now;
		return;
	}
	postrider_secret_scrub_string(result->error);	/* before it is cut */
	/* Whoever reads the status or hears of a breaker may not see payloads. */
	if (result->error && postrider_error_may_quote_data(result->error_code ? result->error_code : ""))
		snprintf(lane->last_error, sizeof(lane->last_error), "%s; postrider.attempt has the error",
				 result->error_code ? result->error_code : "error");
	else
		strlcpy(lane->last_error, result->error ? result->error : "", sizeof(lane->last_error));
	lane->last_error[pg_mbcliplen(lane->last_error, strlen(lane->last_error),
								  sizeof(lane->last_error) - 1)] = '\0';
	strlcpy(lane->last_error_code, result->error_code ? result->error_code : "",
			sizeof(lane->last_error_code));
	lane->last_error_at = now;
}

static void
end_wait(Lane *lane)
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
	Delivery   *delivery = take_next(lane, now);

	if (delivery == NULL)
		return;
	delivery->result.error_code = error_code;
	delivery->result.error = pstrdup(problem);
	note_result(lane, &delivery->result, now);
	fail_unsent(delivery, now);
}

/*
 * Are the credentials there that requests of the lane need?  If not, it waits until it
 * is told, and looks again now and then.  A failure is told once, by one delivery; the
 * others wait with it until it is worth to try again.
 */
static bool
has_credentials(Lane *lane, TimestampTz now)
{
	const char *problem = "a credential is missing";
	const char *error_code = "secret";
	TimestampTz retry_at = now;
	MemoryContext old;
	AuthState	state;

	MemoryContextReset(ask_context);
	old = MemoryContextSwitchTo(ask_context);
	state = postrider_secure_ready(lane->endpoint, now, &problem, &error_code, &retry_at);
	MemoryContextSwitchTo(old);
	if (state == AUTH_READY)
	{
		end_wait(lane);
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

/*
 * Sends the next delivery of a lane, or a batch, or ends it if it cannot be sent;
 * false if the lane may not send now.
 */
static bool
send_next(Lane *lane, TimestampTz now)
{
	Delivery   *delivery;
	Request    *request;
	Permit		permit;

	if (!has_credentials(lane, now))
		return false;
	if (!postrider_governor_take(&lane->governor, now, &permit, report, lane->endpoint))
		return false;
	delivery = take_next(lane, now);
	if (delivery == NULL)
	{
		postrider_governor_give_back(&lane->governor, &permit);
		return true;
	}
	if (lane->endpoint->function)
	{
		lane->call_permit = permit;
		lane->in_flight++;
		lane->activity++;
		dlist_push_tail(&calls, &delivery->node);
		return true;
	}
	request = postrider_request_acquire(lane->endpoint);
	if (lane->endpoint->policy.batch_size > 1)
		gather(request, delivery, now);
	if (!postrider_request_fill(request, delivery, now))
	{
		fail_request(request, delivery, now);
		postrider_request_release(request);
		postrider_governor_give_back(&lane->governor, &permit);
		return true;
	}
	request->permit = permit;
	if (lane->activity == lane->kept_activity && postrider_governor_has_rate(&lane->governor) &&
		TimestampDifferenceExceeds(lane->kept_at, now, LANE_KEEP_MS))
		keep_wanted = true;
	lane->in_flight++;
	lane->activity++;
	in_flight++;
	dlist_push_tail(&requests, &request->node);
	curl_multi_add_handle(multi, request->easy);
	return true;
}

static bool
must_stop(void)
{
	return postrider_engine_must_stop != NULL && postrider_engine_must_stop();
}

/* Lets each ready lane send one request in turn, until none may send more. */
static void
start_requests(TimestampTz now)
{
	bool		progress = !held;

	while (progress && ready_count > 0 && !must_stop())
	{
		int			round = ready_count;

		progress = false;
		while (round-- > 0)
		{
			Lane	   *lane = dlist_container(Lane, node,
											   dlist_pop_head_node(&ready_lanes));

			dlist_push_tail(&ready_lanes, &lane->node);
			if (lane->in_flight < lane_limit(lane) && in_flight < socket_limit &&
				send_next(lane, now))
				progress = true;
			update_lane(lane, now);
		}
	}
}

/* Tells the governor of a lane how a request has ended. */
static void
govern(Lane *lane, const Request *request, const Judgement *judgement,
	   TimestampTz sent_at, TimestampTz now)
{
	GovernorResult told = {
		.answered = judgement->answered,
		.healthy = judgement->healthy,
		.timed_out = judgement->timed_out,
		.throttled = judgement->throttled,
		.retry_after_ms = judgement->retry_after_ms,
		.hint = judgement->hint,
		.max_wait_ms = lane->endpoint->backoff_max_ms,
		.in_flight = lane->in_flight,
		.sent_at = sent_at
	};

	postrider_governor_result(&lane->governor, &request->permit, &told, now, report,
							  lane->endpoint);
}

/* Decides what a result means for a delivery and hands it back. */
static void
end_delivery(Delivery *delivery, const Request *request, int64 retry_after_ms, double random,
			 TimestampTz now)
{
	AttemptResult *result = &delivery->result;

	if (result->outcome == OUTCOME_RETRY)
		postrider_retry_decide(result, delivery->endpoint, delivery->attempts + 1,
							   retry_after_ms, delivery->message->expires_at, now, random);
	if (result->outcome == OUTCOME_RETRY && request->token_renewed)
		result->retry_at = now;
	finish_attempt(delivery);
}

/* The same for all of a batch, or they go back to be sent in halves. */
static void
end_batch(Request *request, const Judgement *judgement, double random, TimestampTz now)
{
	Lane	   *lane = request->endpoint->lane;
	bool		taken = request->delivery->result.outcome == OUTCOME_DELIVERED;

	if (judgement->split_batch && request->batch_count > 1)
	{
		queued += postrider_batch_split(request, now);
		return;
	}
	if (taken)
		postrider_batch_went_well(request, now);
	postrider_batch_copy_result(request);
	postrider_batch_read(request);
	while (!dlist_is_empty(&request->batch))
	{
		Delivery   *delivery = dlist_container(Delivery, node,
											   dlist_pop_head_node(&request->batch));

		postrider_result_mask(&delivery->result, delivery->message);
		if (taken && delivery->result.outcome != OUTCOME_DELIVERED)
			note_result(lane, &delivery->result, now);
		end_delivery(delivery, request, judgement->retry_after_ms, random, now);
	}
}

/*
 * The receiver says that the token is not good: it is thrown away, and the delivery tried
 * again at once with the next one; but not if that was so already of a token that was
 * fetched for the same reason.
 */
static bool
renew_token(Lane *lane, const Judgement *judgement, AttemptResult *result)
{
	const char *what;
	bool		worth_trying;

	if (!judgement->refresh_token)
	{
		if (judgement->answered)
			lane->token_doubted = lane->token_renewed = false;
		return false;
	}
	worth_trying = lane->endpoint->auth != NULL &&
		postrider_auth_rejected(lane->endpoint->auth, result->started_at, lane->token_doubted);
	what = worth_trying ? "its token is thrown away, and the message sent again with a new one" :
		lane->token_renewed ? "also to a token that was fetched anew for that reason" : NULL;
	if (what != NULL)
		result->error = psprintf("the receiver answered with status %d: %s",
								 result->status_code, what);
	lane->token_doubted = true;
	if (!worth_trying)
		return false;
	lane->token_renewed = true;
	result->outcome = OUTCOME_RETRY;
	return true;
}

/* A request has ended. */
static void
end_request(Request *request, CURLcode code, TimestampTz now)
{
	Delivery   *delivery = request->delivery;
	Endpoint   *endpoint = delivery->endpoint;
	Lane	   *lane = endpoint->lane;
	AttemptResult *result = &delivery->result;
	double		random = pg_prng_double(&pg_global_prng_state);
	Judgement	judgement;
	bool		disable;

	dlist_delete(&request->node);
	postrider_judge(request, code, now, result, &judgement);
	postrider_response_keep(request, result);
	postrider_result_mask_request(result, request);
	request->token_renewed = renew_token(lane, &judgement, result);
	disable = result->disable_endpoint;
	if (judgement.retry_after_ms > 0)
		lane->blocked_until = Max(lane->blocked_until,
								  TimestampTzPlusMilliseconds(now, judgement.retry_after_ms));
	note_result(lane, result, now);
	govern(lane, request, &judgement, result->started_at, now);
	lane->failures = result->outcome == OUTCOME_DELIVERED ? 0 : lane->failures + 1;
	lane->in_flight--;
	lane->activity++;
	in_flight--;
	if (request->batch_count > 0)
		end_batch(request, &judgement, random, now);
	else
		end_delivery(delivery, request, judgement.retry_after_ms, random, now);
	postrider_request_release(request);
	if (disable && endpoint->enabled)
		report(endpoint, GOVERNOR_DISABLED, NULL);
	if (!endpoint->enabled)
		postrider_engine_endpoint_changed(endpoint);
	update_lane(lane, now);
}

/* Takes from curl what has ended. */
static void
collect(TimestampTz now)
{
	CURLMsg    *message;
	int			remaining;

	while ((message = curl_multi_info_read(multi, &remaining)) != NULL)
	{
		CURLcode	code = message->data.result;
		CURL	   *easy = message->easy_handle;
		Request    *request;

		if (message->msg != CURLMSG_DONE)
			continue;
		if (postrider_side_request_end(easy, code))
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request);
		curl_multi_remove_handle(multi, easy);
		end_request(request, code, now);
	}
}

/* Passes on to curl what epoll reports; true if there was anything. */
static bool
move_data(TimestampTz now)
{
	bool		moved = postrider_watch_run(multi);
	int			running;

	if (curl_deadline <= now)
	{
		curl_deadline = DT_NOEND;
		curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
		moved = true;
	}
	return moved;
}

void
postrider_engine_run(TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(engine_context);
	sigset_t	old_mask;

	sigprocmask(SIG_SETMASK, &BlockSig, &old_mask);
	unblock_lanes(now);
	start_requests(now);
	while (!must_stop() && move_data(now))
	{
		collect(now);
		start_requests(now);
		if (finished_count >= FINISHED_PER_RUN)
			break;
	}
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
	MemoryContextSwitchTo(old);
}

static bool
carries_erased(const Request *request)
{
	dlist_iter	iter;

	if (request->batch_count == 0)
		return request->delivery->message->erased;
	dlist_foreach(iter, unconstify(dlist_head *, &request->batch))
		if (dlist_container(Delivery, node, iter.cur)->message->erased)
			return true;
	return false;
}

/* Is anything of it on the wire? */
static bool
has_begun(const Request *request)
{
	curl_off_t	begun_us = 0;

	(void) curl_easy_getinfo(request->easy, CURLINFO_PRETRANSFER_TIME_T, &begun_us);
	return begun_us > 0;
}

/* The request was not made: of what it carries, the rest goes back to the lane. */
static void
take_back(Request *request, TimestampTz now)
{
	Lane	   *lane = request->endpoint->lane;

	curl_multi_remove_handle(multi, request->easy);
	dlist_delete(&request->node);
	lane->in_flight--;
	in_flight--;
	postrider_governor_give_back(&lane->governor, &request->permit);
	if (request->batch_count == 0)
		(void) end_if_hopeless(request->delivery, now);
	while (request->batch_count > 0 && !dlist_is_empty(&request->batch))
	{
		Delivery   *delivery = dlist_tail_element(Delivery, node, &request->batch);

		dlist_delete(&delivery->node);
		if (end_if_hopeless(delivery, now))
			continue;
		postrider_lane_push_front(lane, delivery);
		queued++;
	}
	postrider_request_release(request);
	update_lane(lane, now);
}

static void
drop_queued(Delivery *delivery, TimestampTz now)
{
	Lane	   *lane = delivery->endpoint->lane;

	postrider_lane_remove(lane, delivery);
	queued--;
	(void) end_if_hopeless(delivery, now);
	update_lane(lane, now);
}

void
postrider_engine_drop_erased(dlist_head *deliveries)
{
	MemoryContext old = MemoryContextSwitchTo(engine_context);
	TimestampTz now = GetCurrentTimestamp();
	sigset_t	old_mask;
	dlist_mutable_iter each;
	dlist_iter	iter;

	dlist_foreach(iter, deliveries)
	{
		Delivery   *delivery = dlist_container(Delivery, memory_node, iter.cur);

		if (delivery->message->erased && delivery->in_queue)
			drop_queued(delivery, now);
	}
	sigprocmask(SIG_SETMASK, &BlockSig, &old_mask);
	dlist_foreach_modify(each, &requests)
	{
		Request    *request = dlist_container(Request, node, each.cur);

		if (carries_erased(request) && !has_begun(request))
			take_back(request, now);
	}
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
	MemoryContextSwitchTo(old);
}

void
postrider_engine_shift(int64 microseconds)
{
	if (!TIMESTAMP_NOT_FINITE(curl_deadline))
		curl_deadline += microseconds;
}

void
postrider_engine_hold(void)
{
	held = true;
}

long
postrider_engine_timeout_ms(TimestampTz now)
{
	Lane	   *blocked = first_blocked();
	TimestampTz deadline = Min(curl_deadline, blocked ? blocked->ready_at : DT_NOEND);

	if (deadline == DT_NOEND)
		return -1;
	if (deadline <= now)
		return 0;
	return TimestampDifferenceMilliseconds(now, deadline);
}

/* Hands back all deliveries of a lane that may not be sent any more. */
static void
empty_lane(Lane *lane, TimestampTz now)
{
	while (lane->queued > 0)
	{
		Delivery   *delivery = postrider_lane_pop(lane, now);

		queued--;
		park_behind(delivery, now);
	}
}

/* All that waits behind others of its key is handed back. */
static void
empty_gate(Endpoint *endpoint)
{
	GateEffects effects;

	postrider_gate_effects_init(&effects);
	postrider_key_gate_empty(endpoint, &effects);
	apply(&effects);
}

/* What is in the lane has not passed the gate yet. */
static void
lead_through_gate(Lane *lane, TimestampTz now)
{
	dlist_head	passed = DLIST_STATIC_INIT(passed);

	while (lane->queued > 0)
	{
		Delivery   *delivery = postrider_lane_pop(lane, now);

		queued--;
		dlist_push_tail(&passed, &delivery->node);
	}
	while (!dlist_is_empty(&passed))
		postrider_engine_submit(dlist_container(Delivery, node, dlist_pop_head_node(&passed)),
								now);
}

/* The endpoint is, or is no longer, one of those that key_gate.h is about. */
static void
update_gate(Endpoint *endpoint, TimestampTz now)
{
	Lane	   *lane = endpoint->lane;
	bool		gated = endpoint->policy.ordered || endpoint->policy.coalesce;

	lane->keys_known = false;
	if (!endpoint->enabled || endpoint->deleted || !gated)
		empty_gate(endpoint);
	if (endpoint->deleted || !gated)
		postrider_key_gate_forget(endpoint);
	if (gated && !lane->gated)
		lead_through_gate(lane, now);
	lane->gated = gated;
}

void
postrider_engine_endpoint_changed(Endpoint *endpoint)
{
	MemoryContext old = MemoryContextSwitchTo(engine_context);
	TimestampTz now = GetCurrentTimestamp();

	end_wait(endpoint->lane);
	update_gate(endpoint, now);
	if (!endpoint->enabled || endpoint->deleted)
		empty_lane(endpoint->lane, now);
	endpoint->lane->told_until = 0;
	update_lane(endpoint->lane, now);
	MemoryContextSwitchTo(old);
}

void
postrider_engine_credentials_changed(TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(engine_context);

	while (!dlist_is_empty(&waiting_lanes))
	{
		Lane	   *lane = dlist_container(Lane, credentials_node,
										   dlist_head_node(&waiting_lanes));

		end_wait(lane);
		update_lane(lane, now);
	}
	MemoryContextSwitchTo(old);
}

CURLM *
postrider_engine_multi(void)
{
	return multi;
}

bool
postrider_engine_endpoint_idle(const Endpoint *endpoint)
{
	const Lane *lane = endpoint->lane;

	return lane->queued == 0 && lane->in_flight == 0 && lane->waiting == 0;
}

void
postrider_engine_forget(Endpoint *endpoint)
{
	Assert(endpoint->lane->state == LANE_RESTING);
	end_wait(endpoint->lane);
	postrider_request_discard_idle(endpoint);
	postrider_key_gate_forget(endpoint);
	pfree(endpoint->lane);
	endpoint->lane = NULL;
}

bool
postrider_engine_keep_wanted(void)
{
	bool		result = keep_wanted;

	keep_wanted = false;
	return result;
}

/* The first one need not be called any more: its endpoint has changed. */
static void
take_back_call(Delivery *delivery, TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(engine_context);
	Lane	   *lane = delivery->endpoint->lane;

	dlist_delete(&delivery->node);
	lane->in_flight--;
	postrider_governor_give_back(&lane->governor, &lane->call_permit);
	if (delivery->endpoint->enabled && !delivery->endpoint->deleted)
		enqueue(delivery, now);
	else
		park_behind(delivery, now);
	update_lane(lane, now);
	MemoryContextSwitchTo(old);
}

Delivery *
postrider_engine_first_call(void)
{
	while (!held && !dlist_is_empty(&calls))
	{
		Delivery   *delivery = dlist_head_element(Delivery, node, &calls);
		const Endpoint *endpoint = delivery->endpoint;

		if (endpoint->enabled && !endpoint->deleted && endpoint->function != NULL &&
			!delivery->message->erased)
			return delivery;
		take_back_call(delivery, GetCurrentTimestamp());
	}
	return NULL;
}

void
postrider_engine_end_call(Delivery *delivery, const CallEnd *end, TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(engine_context);
	Endpoint   *endpoint = delivery->endpoint;
	Lane	   *lane = endpoint->lane;
	AttemptResult *result = &delivery->result;
	GovernorResult told = {
		.answered = !end->timed_out,
		.healthy = end->healthy,
		.timed_out = end->timed_out,
		.hint = {.limit = -1, .remaining = -1, .reset_at_us = -1, .retry_at_us = -1},
		.max_wait_ms = endpoint->backoff_max_ms,
		.in_flight = lane->in_flight,
		.sent_at = end->started_at
	};

	dlist_delete(&delivery->node);
	memset(result, 0, sizeof(AttemptResult));
	result->outcome = end->outcome;
	result->sent = true;
	result->error_code = end->error_code;
	result->error = end->error ? pstrdup(end->error) : NULL;
	result->response = end->detail ? pstrdup(end->detail) : NULL;
	postrider_result_mask(result, delivery->message);
	result->started_at = end->started_at;
	result->duration_ms = end->duration_ms;
	if (result->outcome == OUTCOME_RETRY)
		postrider_retry_decide(result, endpoint, delivery->attempts + 1, 0,
							   delivery->message->expires_at, now,
							   pg_prng_double(&pg_global_prng_state));
	note_result(lane, result, now);
	postrider_governor_result(&lane->governor, &lane->call_permit, &told, now, report, endpoint);
	lane->failures = result->outcome == OUTCOME_DELIVERED ? 0 : lane->failures + 1;
	lane->in_flight--;
	lane->activity++;
	finish_attempt(delivery);
	if (!endpoint->enabled)
		postrider_engine_endpoint_changed(endpoint);
	update_lane(lane, now);
	MemoryContextSwitchTo(old);
}

dlist_head *
postrider_engine_events(void)
{
	return &events;
}

dlist_head *
postrider_engine_finished(void)
{
	return &finished;
}

int
postrider_engine_finished_count(void)
{
	return finished_count;
}

void
postrider_engine_finished_clear(void)
{
	dlist_init(&finished);
	finished_count = 0;
}

int
postrider_engine_in_flight(void)
{
	return in_flight;
}

int
postrider_engine_queued(void)
{
	return queued;
}
