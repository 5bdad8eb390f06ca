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
#include "outbox/mapping_reference.h"
#include "outbox/reply.h"
#include "outbox/shape.h"
#include "policy/priority.h"
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

void
postrider_intake_begin(MessageRow *source, const pg_uuid_t *id, uint64 row, int first,
					   int tenant)
{
	memset(source, 0, sizeof(*source));
	source->id = *id;
	source->row = row;
	source->first = first;
	source->tenant_column = tenant;
}

/* The column is NULL for what is normal, and may hold anything. */
int
postrider_intake_priority(uint64 row, int column)
{
	bool		isnull;
	Datum		value = postrider_sql_datum(row, column, &isnull);

	return isnull ? PRIORITY_NORMAL :
		Max(PRIORITY_BULK, Min(PRIORITY_CRITICAL, DatumGetInt16(value)));
}

/* Makes the message, for its first delivery; the body comes later. */
static void
make_message(MessageRow *source)
{
	MemoryContext context = message_context();
	uint64		row = source->row;
	Jsonb	   *headers = postrider_sql_jsonb(row, source->first + 2);
	Message    *message;
	bool		isnull;
	Datum		expires_at;

	source->topic = postrider_sql_text(row, source->first, CurrentMemoryContext);
	source->tenant = postrider_sql_text(row, source->tenant_column, CurrentMemoryContext);
	source->payload = postrider_sql_jsonb(row, source->first + 1);
	call_test_hook(source->topic);

	message = MemoryContextAllocZero(context, sizeof(Message));
	message->id = source->id;
	message->erased = source->erased;
	expires_at = postrider_sql_datum(row, source->first + 3, &isnull);
	message->expires_at = isnull ? DT_NOEND : DatumGetTimestampTz(expires_at);
	message->traceparent = postrider_sql_text(row, source->first + 4, context);
	message->key = postrider_sql_text(row, source->first + 5, context);
	message->priority = postrider_intake_priority(row, source->first + 6);
	if (headers)
	{
		MemoryContext old;

		message->context = AllocSetContextCreate(context, "postrider headers",
												 ALLOCSET_SMALL_SIZES);
		old = MemoryContextSwitchTo(message->context);
		message->header_count = postrider_headers_unpack(headers, &message->headers);
		MemoryContextSwitchTo(old);
	}
	message->memory_bytes = sizeof(Message) +
		(headers ? VARSIZE_ANY(headers) * 2 + 1024 : 0);
	postrider_intake_account((int64) message->memory_bytes);
	source->message = message;
}

/* A copy that lives as long as its owner, in the memory budget. */
static char *
keep_body(StringInfo body, Size *length)
{
	char	   *result = MemoryContextAlloc(message_context(), body->len + 1);

	memcpy(result, body->data, body->len + 1);
	*length = body->len;
	postrider_intake_account((int64) body->len);
	pfree(body->data);
	return result;
}

static char *
make_body(const MessageRow *source, Jsonb *payload, Size *length)
{
	StringInfoData body;

	initStringInfo(&body);
	postrider_envelope_build(&body, source->topic, &source->id, payload);
	return keep_body(&body, length);
}

/* The body that all endpoints without a mapping get that have no wishes. */
static void
set_body(Delivery *delivery, const MessageRow *source)
{
	Message    *message = delivery->message;

	if (message->body == NULL)
	{
		message->body = make_body(source, source->payload, &message->body_length);
		message->memory_bytes += message->body_length;
	}
	delivery->body = message->body;
	delivery->body_length = message->body_length;
	delivery->memory_bytes += message->memory_bytes;
}

static void
set_problem(Delivery *delivery, const char *code, const char *problem)
{
	delivery->problem = MemoryContextStrdup(message_context(), problem);
	delivery->problem_code = code;
}

/* A body, and perhaps a URL and headers, of its own. */
static void
set_own_parts(Delivery *delivery, const MessageRow *source, Jsonb *payload)
{
	StringInfoData body;
	char	   *problem = NULL;

	if (delivery->endpoint->shape.is_plain)
		delivery->body = make_body(source, payload, &delivery->body_length);
	else
	{
		initStringInfo(&body);
		if (postrider_shape_apply(delivery, source->topic, source->tenant, payload,
								  message_context(), &body, &problem))
			delivery->body = keep_body(&body, &delivery->body_length);
		else
			set_problem(delivery, "template", problem);
	}
	delivery->owns_body = delivery->body != NULL;
}

static void
set_mapped_body(Delivery *delivery, const MessageRow *source)
{
	char	   *problem = NULL;
	Jsonb	   *mapped = postrider_mapping_reference_apply(delivery->mapping,
														   source->payload, &problem);

	if (mapped)
		set_own_parts(delivery, source, mapped);
	else
		set_problem(delivery, "mapping", problem);
}

Delivery *
postrider_delivery_make(MessageRow *source, Endpoint *endpoint,
						MappingReference *mapping, dlist_head *list)
{
	Delivery   *delivery;

	if (source->message == NULL)
		make_message(source);
	delivery = MemoryContextAllocZero(message_context(), sizeof(Delivery));
	delivery->message = source->message;
	delivery->message->references++;
	delivery->endpoint = endpoint;
	delivery->mapping = mapping;
	delivery->memory_bytes = sizeof(Delivery);
	if (source->erased)
		delivery->memory_bytes += delivery->message->memory_bytes;
	else if (mapping == NULL && endpoint->shape.is_plain)
		set_body(delivery, source);
	else
	{
		if (mapping)
			set_mapped_body(delivery, source);
		else
			set_own_parts(delivery, source, source->payload);
		delivery->memory_bytes += delivery->message->memory_bytes + delivery->body_length;
	}
	source->bytes += delivery->memory_bytes;
	delivery->loaded_at = GetCurrentTransactionStartTimestamp();
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
	postrider_reply_free(delivery->result.reply);
	if (delivery->problem)
		pfree(delivery->problem);
	if (delivery->made_context)
		MemoryContextDelete(delivery->made_context);
	if (delivery->owns_body)
	{
		postrider_intake_account(-(int64) delivery->body_length);
		pfree(delivery->body);
	}
	pfree(delivery);

	if (--message->references > 0)
		return;
	postrider_intake_account(-(int64) message->memory_bytes);
	if (message->context)
		MemoryContextDelete(message->context);
	if (message->traceparent)
		pfree(message->traceparent);
	if (message->key)
		pfree(message->key);
	if (message->body)
		pfree(message->body);
	pfree(message);
}

dlist_head *
postrider_deliveries(void)
{
	return &deliveries;
}
