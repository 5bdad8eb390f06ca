/*-------------------------------------------------------------------------
 *
 * engine_erase.c
 *	  Takes back what was erased and is not on the wire yet (sql/erase.sql).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/batch.h"
#include "delivery/engine.h"
#include "delivery/engine_internal.h"
#include "delivery/request.h"
#include "libpq/pqsignal.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

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

	curl_multi_remove_handle(postrider_engine.multi, request->easy);
	dlist_delete(&request->node);
	lane->in_flight--;
	postrider_engine.in_flight--;
	postrider_governor_give_back(&lane->governor, &request->permit);
	if (request->batch_count == 0)
		(void) postrider_engine_end_if_hopeless(request->delivery, now);
	while (request->batch_count > 0 && !dlist_is_empty(&request->batch))
	{
		Delivery   *delivery = dlist_tail_element(Delivery, node, &request->batch);

		dlist_delete(&delivery->node);
		if (postrider_engine_end_if_hopeless(delivery, now))
			continue;
		postrider_lane_push_front(lane, delivery);
		postrider_engine.queued++;
	}
	postrider_request_release(request);
	postrider_engine_update_lane(lane, now);
}

static void
drop_queued(Delivery *delivery, TimestampTz now)
{
	Lane	   *lane = delivery->endpoint->lane;

	postrider_lane_remove(lane, delivery);
	postrider_engine.queued--;
	(void) postrider_engine_end_if_hopeless(delivery, now);
	postrider_engine_update_lane(lane, now);
}

void
postrider_engine_drop_erased(dlist_head *deliveries)
{
	MemoryContext old = MemoryContextSwitchTo(postrider_engine.context);
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
	dlist_foreach_modify(each, &postrider_engine.requests)
	{
		Request    *request = dlist_container(Request, node, each.cur);

		if (carries_erased(request) && !has_begun(request))
			take_back(request, now);
	}
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
	MemoryContextSwitchTo(old);
}
