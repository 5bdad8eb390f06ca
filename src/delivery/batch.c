/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  Several messages in one request: what goes together, and as what; see
 *	  batch.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/batch.h"
#include "lib/stringinfo.h"
#include "util/id.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Of a record besides its body: its id and what separates it. */
#define RECORD_EXTRA_BYTES 64

/* Bytes of the response that are kept for each record. */
#define RESPONSE_BYTES_PER_RECORD 512

/* As many records as a batch of the lane may have now. */
static int
most_records(const Lane *lane, TimestampTz now)
{
	int			most = Min(lane->endpoint->policy.batch_size, LANE_CAPACITY);

	if (lane->batch_limit > 0 && now < lane->batch_limit_until)
		most = Min(most, lane->batch_limit);
	return most;
}

TimestampTz
postrider_batch_ready_at(const Lane *lane, TimestampTz now)
{
	const Policy *policy = &lane->endpoint->policy;
	TimestampTz oldest = DT_NOEND;

	if (policy->batch_size <= 1 || policy->batch_delay_us == 0 ||
		lane->queued >= most_records(lane, now) ||
		lane->queued_bytes >= (Size) policy->batch_bytes ||
		postrider_lane_room(lane) == 0)
		return now;
	for (int level = 0; level < PRIORITY_LEVELS; level++)
	{
		Delivery   *first;

		if (lane->level_count[level] == 0)
			continue;
		first = dlist_head_element(Delivery, node,
								   unconstify(dlist_head *, &lane->queue[level]));
		if (level >= PRIORITY_HIGH || first->batch_most > 0)
			return now;
		oldest = Min(oldest, first->loaded_at);
	}
	return Max(now, oldest + policy->batch_delay_us);
}

void
postrider_batch_begin(Request *request, Delivery *first)
{
	request->delivery = first;
	dlist_init(&request->batch);
	dlist_push_tail(&request->batch, &first->node);
	request->batch_count = 1;
	request->batch_bytes = first->body_length + RECORD_EXTRA_BYTES;
}

bool
postrider_batch_takes(const Request *request, const Delivery *next, TimestampTz now)
{
	const Policy *policy = &request->endpoint->policy;
	const Delivery *first = dlist_head_element(Delivery, node,
											   unconstify(dlist_head *, &request->batch));
	int			most = first->batch_most > 0 ? first->batch_most :
		most_records(request->endpoint->lane, now);

	return request->batch_count < most &&
		next->batch_most == first->batch_most &&
		request->batch_bytes + next->body_length + RECORD_EXTRA_BYTES <=
		(Size) policy->batch_bytes &&
		first->message->header_count == 0 && next->message->header_count == 0;
}

void
postrider_batch_add(Request *request, Delivery *next)
{
	dlist_push_tail(&request->batch, &next->node);
	request->batch_count++;
	request->batch_bytes += next->body_length + RECORD_EXTRA_BYTES;
}

/*
 * The body of a delivery.  That of Standard Webhooks has no id, for it is in a header as
 * a rule: here it becomes a part of the record.
 */
static void
append_record(StringInfo body, const Delivery *delivery)
{
	char		id[ID_TEXT_SIZE];

	if (delivery->endpoint->shape.format != BODY_STANDARD_WEBHOOKS)
	{
		appendBinaryStringInfo(body, delivery->body, (int) delivery->body_length);
		return;
	}
	postrider_id_text(&delivery->message->id, id);
	appendStringInfo(body, "{\"id\":\"%s\",", id);
	appendBinaryStringInfo(body, delivery->body + 1, (int) delivery->body_length - 1);
}

static void
append_records(StringInfo body, const Request *request)
{
	bool		lines = request->endpoint->policy.batch_format == BATCH_NDJSON;
	dlist_iter	iter;

	if (!lines)
		appendStringInfoChar(body, '[');
	dlist_foreach(iter, unconstify(dlist_head *, &request->batch))
	{
		if (!lines && iter.cur != request->batch.head.next)
			appendStringInfoChar(body, ',');
		append_record(body, dlist_container(Delivery, node, iter.cur));
		if (lines)
			appendStringInfoChar(body, '\n');
	}
	if (!lines)
		appendStringInfoChar(body, ']');
}

static void
make_id(pg_uuid_t *id)
{
	if (!pg_strong_random(id->data, UUID_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	id->data[6] = (id->data[6] & 0x0f) | 0x40;	/* RFC 9562, version 4 */
	id->data[8] = (id->data[8] & 0x3f) | 0x80;
}

void
postrider_batch_write(Request *request)
{
	const Endpoint *endpoint = request->endpoint;
	StringInfoData body;
	dlist_iter	iter;

	make_id(&request->batch_id);
	dlist_foreach(iter, &request->batch)
	{
		Delivery   *delivery = dlist_container(Delivery, node, iter.cur);

		delivery->result.request_id = request->batch_id;
		delivery->result.has_request_id = true;
	}
	initStringInfo(&body);
	enlargeStringInfo(&body, (int) request->batch_bytes);
	if (endpoint->batch_before)
		appendStringInfoString(&body, endpoint->batch_before);
	append_records(&body, request);
	if (endpoint->batch_after)
		appendStringInfoString(&body, endpoint->batch_after);
	request->batch_body = body.data;
	request->batch_body_length = body.len;
	postrider_memory_account(body.len);
}

void
postrider_batch_free(Request *request)
{
	if (request->batch_body)
	{
		postrider_memory_account(-(int64) request->batch_body_length);
		pfree(request->batch_body);
	}
	request->batch_body = NULL;
	request->batch_count = 0;
}

Size
postrider_batch_response_bytes(const Request *request)
{
	if (request->endpoint->batch_failed == NULL)
		return 0;
	return Min((Size) RESPONSE_MAX_BYTES,
			   4096 + (Size) request->batch_count * RESPONSE_BYTES_PER_RECORD);
}

int
postrider_batch_split(Request *request, TimestampTz now)
{
	Lane	   *lane = request->endpoint->lane;
	int			half = (request->batch_count + 1) / 2;
	int			count = request->batch_count;

	if (request->delivery->result.status_code == 413)
	{
		lane->batch_limit = half;
		lane->batch_refused = count;
		lane->batch_limit_until = TimestampTzPlusMilliseconds(now, SPLIT_MEMORY_MS);
	}
	while (!dlist_is_empty(&request->batch))
	{
		Delivery   *delivery = dlist_tail_element(Delivery, node, &request->batch);

		dlist_delete(&delivery->node);
		delivery->batch_most = half;
		if (delivery->result.error)
			pfree(delivery->result.error);
		if (delivery->result.response)
			pfree(delivery->result.response);
		memset(&delivery->result, 0, sizeof(AttemptResult));
		postrider_lane_push_front(lane, delivery);
	}
	return count;
}

/* Half of the way to the size that was refused. */
void
postrider_batch_went_well(Request *request, TimestampTz now)
{
	Lane	   *lane = request->endpoint->lane;

	if (lane->batch_limit == 0 || request->batch_count < lane->batch_limit)
		return;
	if (now >= lane->batch_limit_until)
		lane->batch_limit = 0;
	else
		lane->batch_limit += (lane->batch_refused - lane->batch_limit) / 2;
}
