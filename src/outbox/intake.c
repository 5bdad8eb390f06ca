/*-------------------------------------------------------------------------
 *
 * intake.c
 *	  From rows to Messages and Deliveries in memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "content/envelope.h"
#include "content/header.h"
#include "fmgr.h"
#include "outbox/intake.h"
#include "util/sql.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

void		(*postrider_intake_account) (int64 bytes) = NULL;

static dlist_head deliveries = DLIST_STATIC_INIT(deliveries);

/* Messages and deliveries live here; each is freed by itself. */
static MemoryContext
message_context(void)
{
	static MemoryContext context = NULL;

	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "postrider messages",
										ALLOCSET_DEFAULT_SIZES);
	return context;
}

/*
 * A fault for tests: a preloaded library can have this called with the topic of
 * every message that is handled.
 */
static void
call_test_hook(const char *topic)
{
	typedef void (*Hook) (const char *topic);
	static Hook *hook = NULL;

	if (hook == NULL)
		hook = (Hook *) find_rendezvous_variable("postrider_message_hook");
	if (*hook)
		(*hook) (topic);
}

Message *
postrider_message_make(const pg_uuid_t *id, uint64 row, int first)
{
	MemoryContext context = message_context();
	char	   *topic = postrider_sql_text(row, first, CurrentMemoryContext);
	Jsonb	   *payload = postrider_sql_jsonb(row, first + 1);
	Jsonb	   *headers = postrider_sql_jsonb(row, first + 2);
	StringInfoData body;
	Message    *message;
	bool		isnull;
	Datum		expires_at;

	call_test_hook(topic);
	initStringInfo(&body);
	postrider_envelope_build(&body, topic, id, payload);

	message = MemoryContextAllocZero(context, sizeof(Message));
	message->id = *id;
	message->body = MemoryContextAlloc(context, body.len + 1);
	memcpy(message->body, body.data, body.len + 1);
	message->body_length = body.len;
	expires_at = postrider_sql_datum(row, first + 3, &isnull);
	message->expires_at = isnull ? DT_NOEND : DatumGetTimestampTz(expires_at);
	message->traceparent = postrider_sql_text(row, first + 4, context);
	if (headers)
	{
		MemoryContext old;

		message->context = AllocSetContextCreate(context, "postrider headers",
												 ALLOCSET_SMALL_SIZES);
		old = MemoryContextSwitchTo(message->context);
		message->header_count = postrider_headers_unpack(headers, &message->headers);
		MemoryContextSwitchTo(old);
	}
	message->memory_bytes = sizeof(Message) + sizeof(Delivery) + body.len +
		(headers ? VARSIZE_ANY(headers) * 2 + 1024 : 0);
	postrider_intake_account((int64) message->memory_bytes);
	pfree(body.data);
	return message;
}

Delivery *
postrider_delivery_make(Message *message, Endpoint *endpoint, dlist_head *list)
{
	Delivery   *delivery = MemoryContextAllocZero(message_context(), sizeof(Delivery));

	delivery->message = message;
	delivery->endpoint = endpoint;
	delivery->loaded_at = GetCurrentTransactionStartTimestamp();
	message->references++;
	dlist_push_tail(list, &delivery->node);
	dlist_push_tail(&deliveries, &delivery->memory_node);
	return delivery;
}

void
postrider_delivery_free(Delivery *delivery)
{
	Message    *message = delivery->message;

	dlist_delete(&delivery->memory_node);
	if (delivery->result.error)
		pfree(delivery->result.error);
	if (delivery->result.response)
		pfree(delivery->result.response);
	pfree(delivery);

	if (--message->references > 0)
		return;
	postrider_intake_account(-(int64) message->memory_bytes);
	if (message->context)
		MemoryContextDelete(message->context);
	if (message->traceparent)
		pfree(message->traceparent);
	pfree(message->body);
	pfree(message);
}

dlist_head *
postrider_deliveries(void)
{
	return &deliveries;
}
