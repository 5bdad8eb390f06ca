/*-------------------------------------------------------------------------
 *
 * feed.c
 *	  Feeds the lanes; see feed.h.
 *
 * Nobody waits for a lane that is full.  What the log has for it is deferred
 * (outbox/deferred.c) and loaded again when the lane has room.  A lane that
 * makes no progress, or too little, overflows (delivery/lane.h): what is
 * deferred for it is spilled into the table pending, what comes for it goes there,
 * until the lane has been filled again from there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/engine.h"
#include "outbox/config.h"
#include "outbox/deferred.h"
#include "outbox/intake.h"
#include "outbox/pending.h"
#include "outbox/progress.h"
#include "outbox/reader.h"
#include "outbox/settle.h"
#include "outbox/suspect.h"
#include "policy/priority.h"
#include "utils/timestamp.h"
#include "worker/careful.h"
#include "worker/feed.h"
#include "worker/keys.h"
#include "worker/step.h"

/* While a lane has no room, and while endpoints could not take what is due. */
#define BUSY_MS				5
#define SKIPPED_MS			20

/* Due deliveries are gathered for so long, unless there are many. */
#define PENDING_GAP_MS		5

/* An endpoint is given due deliveries when it has room for so many. */
#define PENDING_MIN_ROOM	64
#define PENDING_MAX_ROOM	256

/* Endpoints whose deferred deliveries are loaded or spilled in one step. */
#define DEFERRED_ENDPOINTS	4

static dlist_head inbox = DLIST_STATIC_INIT(inbox);

/* When something in pending may be due, and when to look at the earliest. */
static TimestampTz pending_due_at = DT_NOBEGIN;
static TimestampTz pending_not_before = DT_NOBEGIN;

/* There is room for what is deferred, or something to spill. */
static bool deferred_wanted = false;

dlist_head *
postrider_feed_inbox(void)
{
	return &inbox;
}

/*
 * What to do with a delivery from the log.  While anything is deferred for the
 * endpoint, nothing may overtake it that is not urgent; and nothing at all where the
 * order matters.  When there is more that is urgent than the lane can take, all
 * goes to the table pending, from which what is urgent comes first.
 */
static LaneAnswer
offer(Delivery *delivery, TimestampTz now)
{
	Endpoint   *endpoint = delivery->endpoint;
	LaneAnswer	answer;

	if (delivery->settle != SETTLE_ATTEMPT || delivery->has_pending_row ||
		!endpoint->enabled || endpoint->deleted)
		return LANE_TAKES;
	if (endpoint->policy.ordered && endpoint->deferred.count > 0)
		return LANE_BUSY;
	if (delivery->message->priority >= PRIORITY_HIGH)
	{
		if (postrider_lane_urgent_room(endpoint->lane) > 0)
			return LANE_TAKES;
		endpoint->overflowing = true;
	}
	answer = postrider_lane_offer(endpoint->lane, now);
	if (answer == LANE_TAKES && endpoint->deferred.count > 0)
		return LANE_BUSY;
	return answer;
}

/* Keeps only the id of a delivery; false if that is not possible. */
static bool
defer(Delivery *delivery)
{
	if (postrider_careful() ||
		!postrider_deferred_add(delivery->endpoint, &delivery->message->id,
								delivery->mapping, delivery->chunk))
		return false;
	dlist_delete(&delivery->node);
	postrider_delivery_free(delivery);
	return true;
}

void
postrider_feed_place(TimestampTz now)
{
	while (!dlist_is_empty(&inbox))
	{
		Delivery   *delivery = dlist_head_element(Delivery, node, &inbox);
		Endpoint   *endpoint = delivery->endpoint;
		LaneAnswer	answer = offer(delivery, now);

		if (answer == LANE_BUSY)
		{
			if (defer(delivery))
				continue;
			return;
		}
		dlist_delete(&delivery->node);
		if (delivery->settle == SETTLE_PARK)
			postrider_engine_park(delivery, delivery->park_reason, delivery->park_until);
		else if (answer == LANE_OVERFLOWS)
			postrider_engine_overflow(delivery, now);
		else
		{
			postrider_engine_submit(delivery, now);
			if (!endpoint->enabled || endpoint->deleted)
				postrider_engine_endpoint_changed(endpoint);
		}
	}
}

/* Deliveries that the lane should be given from what is deferred, or 0. */
static int
room_for_deferred(const Endpoint *endpoint)
{
	int			room;

	if (!endpoint->enabled || endpoint->deleted)
		return DEFERRED_BATCH;	/* they go on from there at once */
	room = postrider_lane_room(endpoint->lane);
	if (room < LANE_CAPACITY / 2 && endpoint->lane->queued > PENDING_MIN_ROOM)
		return 0;
	return room;
}

static bool
is_to_be_spilled(Endpoint *endpoint, TimestampTz now)
{
	Lane	   *lane = endpoint->lane;

	if (!endpoint->enabled || endpoint->deleted)
		return false;
	if (postrider_deferred_is_hopeless(endpoint, now))
		endpoint->overflowing = true;
	return postrider_lane_offer(lane, now) == LANE_OVERFLOWS;
}

/* Loads for one endpoint, straight into its lane. */
static void
load_deferred(Endpoint *endpoint, TimestampTz now)
{
	dlist_head	loaded = DLIST_STATIC_INIT(loaded);

	postrider_deferred_load(endpoint, room_for_deferred(endpoint), &loaded);
	while (!dlist_is_empty(&loaded))
		postrider_engine_submit(dlist_container(Delivery, node,
												dlist_pop_head_node(&loaded)), now);
	if (!endpoint->enabled || endpoint->deleted)
		postrider_engine_endpoint_changed(endpoint);
}

/*
 * Endpoints for whose deferred deliveries something is to be done, in turn.
 * What is to be spilled can wait until a window has been read, behind which
 * all endpoints wait.
 */
static int
find_served(Endpoint **endpoints, TimestampTz now)
{
	bool		may_spill = !postrider_reader_in_window() ||
		postrider_deferred_total() > DEFERRED_MAX / 2;
	dlist_iter	iter;
	int			count = 0;

	dlist_foreach(iter, postrider_deferred_endpoints())
	{
		Endpoint   *endpoint = dlist_container(Endpoint, deferred.node, iter.cur);

		if (count == DEFERRED_ENDPOINTS)
			break;
		if (is_to_be_spilled(endpoint, now) ? may_spill : room_for_deferred(endpoint) > 0)
			endpoints[count++] = endpoint;
	}
	return count;
}

/*
 * Where the order matters, older messages that are in memory get their rows with
 * what is spilled (key_gate.h).
 */
static void
spill(Endpoint *endpoint)
{
	endpoint->urgent_in_pending = true;
	if (endpoint->policy.ordered)
	{
		postrider_lease_write(DT_NOEND, endpoint);
		postrider_keys_forget_those_of(endpoint);
	}
	postrider_deferred_spill(endpoint);
}

void
postrider_feed_load_deferred(TimestampTz now)
{
	Endpoint   *endpoints[DEFERRED_ENDPOINTS];
	int			count = find_served(endpoints, now);

	deferred_wanted = count == DEFERRED_ENDPOINTS;
	if (count == 0)
		return;
	postrider_step_begin("reading deferred messages");
	for (int i = 0; i < count; i++)
	{
		if (!is_to_be_spilled(endpoints[i], now))
		{
			load_deferred(endpoints[i], now);
			continue;
		}
		spill(endpoints[i]);
		deferred_wanted = true;
		endpoints[i]->pending_due_at = Min(endpoints[i]->pending_due_at, now);
		pending_due_at = Min(pending_due_at, now);
	}
	postrider_step_commit();
	for (int i = 0; i < count; i++)
	{
		if (!endpoints[i]->policy.ordered || endpoints[i]->lane->keys_known)
			continue;
		postrider_lease_done(DT_NOEND, endpoints[i]);
	}
}

/*
 * Endpoints for which something may be due and that can take it; *others is
 * when to look for the rest.  If "only" is not 0, just this one, and one
 * delivery.
 */
static int
find_room(PendingRoom **rooms, int32 only, TimestampTz now, TimestampTz *others)
{
	TimestampTz soon = TimestampTzPlusMilliseconds(now, SKIPPED_MS);
	Endpoint  **endpoints;
	int			count = postrider_config_endpoints(&endpoints);
	int			found = 0;

	*rooms = palloc0(sizeof(PendingRoom) * (count + 1));
	*others = DT_NOEND;
	for (int i = 0; i < count; i++)
	{
		Endpoint   *endpoint = endpoints[i];
		Lane	   *lane = endpoint->lane;
		int			room;
		int			urgent_room;

		if (!endpoint->enabled || endpoint->deleted)
			continue;
		if (only != 0 ? only != endpoint->id : endpoint->pending_due_at > now)
		{
			*others = Min(*others, Max(endpoint->pending_due_at, soon));
			continue;
		}
		room = postrider_lane_room(lane);
		if (room < PENDING_MIN_ROOM && lane->queued > 0)
			room = 0;
		urgent_room = endpoint->urgent_in_pending ? postrider_lane_urgent_room(lane) : 0;
		if (room == 0 && urgent_room < PENDING_MIN_ROOM)
		{
			*others = Min(*others, soon);
			continue;
		}
		(*rooms)[found].endpoint = endpoint;
		(*rooms)[found].room = Min(room, only != 0 ? 1 : PENDING_MAX_ROOM);
		(*rooms)[found++].urgent_room = Min(urgent_room, only != 0 ? 1 : PENDING_MAX_ROOM);
	}
	return found;
}

/*
 * Notes when an endpoint's next delivery is due, and returns when to look.  What
 * is due and was not loaded although there was room is locked by somebody; and
 * a lane that overflows must learn when nothing is left for it.
 */
static TimestampTz
note_loaded(const PendingRoom *room, TimestampTz now)
{
	Endpoint   *endpoint = room->endpoint;
	Lane	   *lane = endpoint->lane;
	TimestampTz soon = TimestampTzPlusMilliseconds(now, SKIPPED_MS);

	endpoint->pending_due_at = room->next_due;
	if (room->urgent_room > 0 && room->loaded_urgent == 0)
		endpoint->urgent_in_pending = false;
	if (room->loaded > 0 && room->loaded >= Max(room->room, room->urgent_room))
		return DT_NOBEGIN;
	if (endpoint->overflowing && room->room > 0)
	{
		TimestampTz blocked_until = postrider_lane_blocked_until(lane, now);

		if (endpoint->deferred.count == 0 && blocked_until <= now)
			endpoint->overflowing = false;
		else
			endpoint->pending_due_at = Min(room->next_due, Max(blocked_until, soon));
	}
	return endpoint->pending_due_at > now ? endpoint->pending_due_at : soon;
}

/* Of ordered endpoints, only the first of each key may be loaded. */
static void
demote(const PendingRoom *rooms, int count)
{
	Endpoint  **ordered = palloc(sizeof(Endpoint *) * count);
	int			found = 0;

	for (int i = 0; i < count; i++)
		if (rooms[i].endpoint->policy.ordered)
			ordered[found++] = rooms[i].endpoint;
	if (found > 0)
		postrider_keys_demote(ordered, found);
}

void
postrider_feed_load_pending(TimestampTz now)
{
	PendingRoom *rooms;
	int			count;
	pg_uuid_t	next;
	int32		only = 0;

	if (Max(pending_due_at, pending_not_before) > now)
		return;
	postrider_step_begin("reading pending deliveries");
	if (postrider_careful() && postrider_suspect_next_pending(&next, &only))
		postrider_careful_mark(&next);
	count = find_room(&rooms, only, now, &pending_due_at);
	if (count > 0)
	{
		demote(rooms, count);
		postrider_pending_load(rooms, count, &inbox);
	}
	for (int i = 0; i < count; i++)
		pending_due_at = Min(pending_due_at, note_loaded(&rooms[i], now));
	postrider_step_commit();
	postrider_keys_settled();

	pending_not_before = pending_due_at == DT_NOBEGIN ? DT_NOBEGIN :
		TimestampTzPlusMilliseconds(now, PENDING_GAP_MS);
}

void
postrider_feed_pending_due(TimestampTz at)
{
	pending_due_at = Min(pending_due_at, at);
}

void
postrider_feed_look_at_pending(void)
{
	Endpoint  **endpoints;
	int			count = postrider_config_endpoints(&endpoints);

	for (int i = 0; i < count; i++)
	{
		endpoints[i]->pending_due_at = DT_NOBEGIN;
		endpoints[i]->urgent_in_pending = true;
	}
	pfree(endpoints);
	pending_due_at = pending_not_before = DT_NOBEGIN;
}

TimestampTz
postrider_feed_deadline(TimestampTz now)
{
	TimestampTz deadline = Max(pending_due_at, pending_not_before);

	if (deferred_wanted)
		return now;
	if (!dlist_is_empty(&inbox) || postrider_deferred_total() > 0)
		deadline = Min(deadline, TimestampTzPlusMilliseconds(now, BUSY_MS));
	return deadline;
}
