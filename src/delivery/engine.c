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
 * Fairness.  Lanes that may send do so in turn (engine_lanes.c).  Where requests are
 * scarce (postrider.max_connections), a lane may have as many in flight as
 * are still free, one in any case, so that hanging endpoints leave room.  Only
 * where the process has no more descriptors must everybody wait.
 *
 * Here is what a request goes through; the rest of the engine is in engine_lanes.c,
 * engine_end.c, engine_credentials.c, engine_calls.c and engine_erase.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "delivery/batch.h"
#include "delivery/descriptor.h"
#include "delivery/engine.h"
#include "delivery/engine_internal.h"
#include "delivery/judge.h"
#include "delivery/request.h"
#include "delivery/response.h"
#include "delivery/result_mask.h"
#include "delivery/retry.h"
#include "delivery/side_request.h"
#include "delivery/watch.h"
#include "guc.h"
#include "libpq/pqsignal.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* The engine returns to its caller after so many ended deliveries. */
#define FINISHED_PER_RUN 256

/* Sockets that we ask for; one in two may be a kept connection that rests. */
#define SOCKETS_WANTED 4096

bool		(*postrider_engine_must_stop) (void) = NULL;

EngineState postrider_engine = {
	.requests = DLIST_STATIC_INIT(postrider_engine.requests)
};

/* When curl wants to be called; DT_NOEND if it does not. */
static TimestampTz curl_deadline = DT_NOEND;

/* A limit is used again after a rest. */
static bool keep_wanted = false;

/* curl callback: when to call it again */
static int
watch_time(CURLM *handle, long timeout_ms, void *arg)
{
	curl_deadline = timeout_ms < 0 ? DT_NOEND :
		timeout_ms == 0 ? DT_NOBEGIN :
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	return 0;
}

int
postrider_engine_start(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
		(postrider_engine.multi = curl_multi_init()) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not start libcurl")));
	postrider_engine.context = AllocSetContextCreate(TopMemoryContext, "postrider engine",
													 ALLOCSET_DEFAULT_SIZES);
	postrider_engine_lanes_start();
	curl_multi_setopt(postrider_engine.multi, CURLMOPT_TIMERFUNCTION, watch_time);
	curl_multi_setopt(postrider_engine.multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	postrider_engine.socket_limit =
		postrider_descriptor_reserve(Max(SOCKETS_WANTED, 2 * postrider_max_connections));
	if (postrider_engine.socket_limit < postrider_max_connections)
		ereport(LOG,
				(errmsg("postrider can have %d requests in flight, not %d (postrider.max_connections)",
						postrider_engine.socket_limit, postrider_max_connections),
				 errdetail("The limit on open files of this process leaves no more descriptors."),
				 errhint("Raise the hard limit of the server (LimitNOFILE in systemd, ulimit -Hn), or lower max_files_per_process.")));
	curl_multi_setopt(postrider_engine.multi, CURLMOPT_MAXCONNECTS,
					  (long) postrider_engine.socket_limit);
	return postrider_watch_start(postrider_engine.multi);
}

static int
lane_limit(const Lane *lane)
{
	int			most = Min(postrider_max_connections, postrider_engine.socket_limit);
	int			free_requests = Max(most - postrider_engine.in_flight, 0);

	return Min(postrider_governor_limit(&lane->governor),
			   Max(lane->in_flight + (free_requests > lane->in_flight), 1));
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
		next = postrider_engine_take_next(lane, now);
		if (next)
			postrider_batch_add(request, next);
	}
	postrider_batch_write(request);
}

/* The request cannot be made: ends what it carries. */
static void
fail_request(Request *request, Delivery *delivery, TimestampTz now)
{
	if (delivery->result.outcome != OUTCOME_DEAD)
		delivery->result.outcome = OUTCOME_RETRY;
	postrider_engine_note_result(request->endpoint->lane, &delivery->result, now);
	if (request->batch_count == 0)
	{
		postrider_engine_fail_unsent(delivery, now);
		return;
	}
	postrider_batch_copy_result(request);
	while (!dlist_is_empty(&request->batch))
		postrider_engine_fail_unsent(dlist_container(Delivery, node, dlist_pop_head_node(&request->batch)), now);
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

	if (!postrider_engine_has_credentials(lane, now))
		return false;
	if (!postrider_governor_take(&lane->governor, now, &permit, postrider_engine_report, lane->endpoint))
		return false;
	delivery = postrider_engine_take_next(lane, now);
	if (delivery == NULL)
	{
		postrider_governor_give_back(&lane->governor, &permit);
		return true;
	}
	if (lane->endpoint->function)
	{
		postrider_engine_add_call(delivery, &permit);
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
	postrider_engine.in_flight++;
	dlist_push_tail(&postrider_engine.requests, &request->node);
	curl_multi_add_handle(postrider_engine.multi, request->easy);
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
	bool		progress = !postrider_engine.held;

	while (progress && postrider_engine_ready_lanes() > 0 && !must_stop())
	{
		int			round = postrider_engine_ready_lanes();

		progress = false;
		while (round-- > 0)
		{
			Lane	   *lane = postrider_engine_next_lane();

			if (lane->in_flight < lane_limit(lane) && postrider_engine.in_flight < postrider_engine.socket_limit &&
				send_next(lane, now))
				progress = true;
			postrider_engine_update_lane(lane, now);
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

	postrider_governor_result(&lane->governor, &request->permit, &told, now, postrider_engine_report,
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
	postrider_engine_finish_attempt(delivery);
}

/* The same for all of a batch, or they go back to be sent in halves. */
static void
end_batch(Request *request, const Judgement *judgement, double random, TimestampTz now)
{
	Lane	   *lane = request->endpoint->lane;
	bool		taken = request->delivery->result.outcome == OUTCOME_DELIVERED;

	if (judgement->split_batch && request->batch_count > 1)
	{
		postrider_engine.queued += postrider_batch_split(request, now);
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
			postrider_engine_note_result(lane, &delivery->result, now);
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
	postrider_engine_note_result(lane, result, now);
	govern(lane, request, &judgement, result->started_at, now);
	lane->failures = result->outcome == OUTCOME_DELIVERED ? 0 : lane->failures + 1;
	lane->in_flight--;
	lane->activity++;
	postrider_engine.in_flight--;
	if (request->batch_count > 0)
		end_batch(request, &judgement, random, now);
	else
		end_delivery(delivery, request, judgement.retry_after_ms, random, now);
	postrider_request_release(request);
	if (disable && endpoint->enabled)
		postrider_engine_report(endpoint, GOVERNOR_DISABLED, NULL);
	if (!endpoint->enabled)
		postrider_engine_endpoint_changed(endpoint);
	postrider_engine_update_lane(lane, now);
}

/* Takes from curl what has ended. */
static void
collect(TimestampTz now)
{
	CURLMsg    *message;
	int			remaining;

	while ((message = curl_multi_info_read(postrider_engine.multi, &remaining)) != NULL)
	{
		CURLcode	code = message->data.result;
		CURL	   *easy = message->easy_handle;
		Request    *request;

		if (message->msg != CURLMSG_DONE)
			continue;
		if (postrider_side_request_end(easy, code))
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request);
		curl_multi_remove_handle(postrider_engine.multi, easy);
		end_request(request, code, now);
	}
}

/* Passes on to curl what epoll reports; true if there was anything. */
static bool
move_data(TimestampTz now)
{
	bool		moved = postrider_watch_run(postrider_engine.multi);
	int			running;

	if (curl_deadline <= now)
	{
		curl_deadline = DT_NOEND;
		curl_multi_socket_action(postrider_engine.multi, CURL_SOCKET_TIMEOUT, 0, &running);
		moved = true;
	}
	return moved;
}

void
postrider_engine_run(TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(postrider_engine.context);
	sigset_t	old_mask;

	sigprocmask(SIG_SETMASK, &BlockSig, &old_mask);
	postrider_engine_unblock_lanes(now);
	start_requests(now);
	while (!must_stop() && move_data(now))
	{
		collect(now);
		start_requests(now);
		if (postrider_engine_finished_count() >= FINISHED_PER_RUN)
			break;
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
	postrider_engine.held = true;
}

long
postrider_engine_timeout_ms(TimestampTz now)
{
	TimestampTz deadline = Min(curl_deadline, postrider_engine_blocked_until());

	if (deadline == DT_NOEND)
		return -1;
	if (deadline <= now)
		return 0;
	return TimestampDifferenceMilliseconds(now, deadline);
}

CURLM *
postrider_engine_multi(void)
{
	return postrider_engine.multi;
}

bool
postrider_engine_keep_wanted(void)
{
	bool		result = keep_wanted;

	keep_wanted = false;
	return result;
}

int
postrider_engine_in_flight(void)
{
	return postrider_engine.in_flight;
}
