/*-------------------------------------------------------------------------
 *
 * emit.c
 *	  Writing messages: postrider.emit() and postrider.send().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "content/header.h"
#include "content/topic.h"
#include "fmgr.h"
#include "guc.h"
#include "miscadmin.h"
#include "outbox/access.h"
#include "outbox/deduplication.h"
#include "outbox/emit.h"
#include "outbox/endpoint.h"
#include "outbox/seed.h"
#include "outbox/tenant_limit.h"
#include "outbox/topic_schema.h"
#include "outbox/version.h"
#include "policy/priority.h"
#include "tcop/utility.h"
#include "util/id.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"
#include "worker/wake.h"

PG_FUNCTION_INFO_V1(postrider_emit);
PG_FUNCTION_INFO_V1(postrider_send);
PG_FUNCTION_INFO_V1(postrider_next_id);

/* The columns of postrider.message, in their order. */
enum
{
	COLUMN_ID, COLUMN_XID, COLUMN_TOPIC, COLUMN_ENDPOINT, COLUMN_KEY,
	COLUMN_TENANT, COLUMN_PAYLOAD, COLUMN_HEADERS, COLUMN_DELIVER_AT,
	COLUMN_EXPIRES_AT, COLUMN_TRACEPARENT, COLUMN_PRIORITY, COLUMN_REMOVED,
	COLUMN_COUNT
};

static const char *const column_names[COLUMN_COUNT] = {
	"id", "xid", "topic", "endpoint", "key", "tenant", "payload", "headers", "deliver_at",
	"expires_at", "traceparent", "priority", "removed"
};

static const Oid column_types[COLUMN_COUNT] = {
	UUIDOID, XID8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, JSONBOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, TEXTOID, INT2OID, TEXTOID
};

/*
 * With SQL objects of another version messages are written nevertheless, if the table
 * is the one that we know: the worker will deliver them, and transactions of users
 * need not fail.
 */
AppendTarget *
postrider_emit_begin(const char *caller)
{
	AppendTarget *state;

	PreventCommandIfReadOnly(caller);
	PreventCommandIfParallelMode(caller);
	(void) GetTopFullTransactionId();
	postrider_seed_clock();
	state = postrider_append_begin("message");
	if (!postrider_versions_agree() &&
		!postrider_append_fits(state, column_names, column_types, COLUMN_COUNT))
		postrider_require_versions();
	return state;
}

void
postrider_emit_message(AppendTarget *state, const NewMessage *message)
{
	Datum		values[COLUMN_COUNT];
	bool		nulls[COLUMN_COUNT];
	text	   *traceparent = NULL;

	if (postrider_traceparent && postrider_traceparent[0])
		traceparent = cstring_to_text(postrider_traceparent);
	values[COLUMN_ID] = UUIDPGetDatum(&message->id);
	values[COLUMN_XID] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	values[COLUMN_TOPIC] = PointerGetDatum(message->topic);
	values[COLUMN_ENDPOINT] = PointerGetDatum(message->endpoint);
	values[COLUMN_KEY] = PointerGetDatum(message->key);
	values[COLUMN_TENANT] = PointerGetDatum(message->tenant);
	values[COLUMN_PAYLOAD] = PointerGetDatum(message->payload);
	values[COLUMN_HEADERS] = PointerGetDatum(message->headers);
	values[COLUMN_DELIVER_AT] = TimestampTzGetDatum(message->deliver_at);
	values[COLUMN_EXPIRES_AT] = TimestampTzGetDatum(message->expires_at);
	values[COLUMN_TRACEPARENT] = PointerGetDatum(traceparent);
	values[COLUMN_PRIORITY] = Int16GetDatum(message->priority);

	nulls[COLUMN_ID] = nulls[COLUMN_XID] = nulls[COLUMN_TOPIC] = false;
	nulls[COLUMN_ENDPOINT] = message->endpoint == NULL;
	nulls[COLUMN_KEY] = message->key == NULL;
	nulls[COLUMN_TENANT] = message->tenant == NULL;
	nulls[COLUMN_PAYLOAD] = false;
	nulls[COLUMN_HEADERS] = message->headers == NULL;
	nulls[COLUMN_DELIVER_AT] = !message->has_deliver_at;
	nulls[COLUMN_EXPIRES_AT] = !message->has_expires_at;
	nulls[COLUMN_TRACEPARENT] = traceparent == NULL;
	nulls[COLUMN_PRIORITY] = !message->has_priority;
	values[COLUMN_REMOVED] = (Datum) 0;
	nulls[COLUMN_REMOVED] = true;

	postrider_append_row(state, values, nulls);
	if (traceparent)
		pfree(traceparent);
}

void
postrider_emit_end(AppendTarget *state)
{
	postrider_append_end(state);
	postrider_wake_at_commit();
}

void
postrider_payload_require_size(Jsonb *payload, const char *topic)
{
	Size		size = VARSIZE_ANY_EXHDR(payload);

	if (size > (Size) postrider_max_payload_bytes)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("payload of a message on topic \"%s\" is too large",
						topic),
				 errdetail("It has %zu bytes as jsonb; postrider.max_payload_bytes allows %d.",
						   size, postrider_max_payload_bytes),
				 errhint("Send a reference to the data, or list the columns that matter in postrider.watch().")));
}

/* The SQL function may be of another version, and have fewer arguments. */
static text *
optional_text(FunctionCallInfo fcinfo, int argument)
{
	return argument >= PG_NARGS() || PG_ARGISNULL(argument) ? NULL : PG_GETARG_TEXT_PP(argument);
}

/*
 * The arguments that emit() and send() share, from "first" on: payload, key,
 * headers, deliver_at, expires_at, dedup_key, tenant.
 */
static void
read_arguments(FunctionCallInfo fcinfo, int first, NewMessage *message)
{
	if (PG_ARGISNULL(first))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("payload must not be null"),
				 errhint("Write 'null'::jsonb to send a JSON null.")));
	message->payload = PG_GETARG_JSONB_P(first);
	message->key = optional_text(fcinfo, first + 1);
	if (!PG_ARGISNULL(first + 2))
	{
		message->headers = PG_GETARG_JSONB_P(first + 2);
		postrider_headers_require(message->headers);
	}
	message->has_deliver_at = !PG_ARGISNULL(first + 3);
	if (message->has_deliver_at)
		message->deliver_at = PG_GETARG_TIMESTAMPTZ(first + 3);
	message->has_expires_at = !PG_ARGISNULL(first + 4);
	if (message->has_expires_at)
		message->expires_at = PG_GETARG_TIMESTAMPTZ(first + 4);
	if (message->has_deliver_at && message->has_expires_at &&
		message->deliver_at >= message->expires_at)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("message would expire before it may be delivered"),
				 errhint("Give an expires_at that is later than deliver_at.")));
	message->tenant = postrider_message_tenant(optional_text(fcinfo, first + 6));
}

/* NULL in the table is what is normal, so that most messages take no room for it. */
static void
read_priority(FunctionCallInfo fcinfo, int argument, NewMessage *message)
{
	text	   *given = optional_text(fcinfo, argument);
	char	   *name = given ? text_to_cstring(given) : NULL;
	int			priority = PRIORITY_NORMAL;

	if (name && !postrider_priority_from_name(name, &priority))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a priority", name),
				 errhint("Use bulk, normal, high or critical.")));
	message->has_priority = priority != PRIORITY_NORMAL;
	message->priority = (int16) priority;
}

/*
 * Writes one message and returns its id; or, if the deduplication key is in
 * use, writes nothing and returns the id of the message that has it.
 */
static Datum
emit_one(NewMessage *message, const char *scope, text *dedup_key,
		 const char *caller)
{
	AppendTarget *state = postrider_emit_begin(caller);
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	postrider_id_next(&message->id);
	if (dedup_key != NULL &&
		!postrider_deduplication_claim(message->tenant, scope, dedup_key,
									   &message->id, id))
	{
		postrider_append_end(state);
		PG_RETURN_UUID_P(id);
	}
	postrider_tenant_count_message(message->tenant);
	postrider_emit_message(state, message);
	postrider_emit_end(state);
	*id = message->id;
	PG_RETURN_UUID_P(id);
}

/*
 * SQL: postrider.emit(topic, payload, key, headers, deliver_at, expires_at,
 * dedup_key, tenant, priority)
 */
Datum
postrider_emit(PG_FUNCTION_ARGS)
{
	NewMessage	message = {0};
	char	   *topic;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("topic must not be null")));
	message.topic = PG_GETARG_TEXT_PP(0);
	topic = text_to_cstring(message.topic);
	postrider_topic_require(topic, strlen(topic));
	read_arguments(fcinfo, 1, &message);
	read_priority(fcinfo, 8, &message);
	postrider_payload_require_size(message.payload, topic);
	postrider_tenant_require_size(message.tenant, message.payload, topic);
	postrider_topic_schema_check(topic, message.payload);
	return emit_one(&message, topic, optional_text(fcinfo, 6), "emit()");
}

/*
 * SQL: postrider.send(endpoint, payload, key, headers, deliver_at, expires_at,
 * dedup_key, tenant, topic, priority)
 */
Datum
postrider_send(PG_FUNCTION_ARGS)
{
	NewMessage	message = {0};
	char	   *endpoint;
	char	   *topic;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(8))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null",
						PG_ARGISNULL(0) ? "endpoint" : "topic")));
	message.endpoint = PG_GETARG_TEXT_PP(0);
	message.topic = PG_GETARG_TEXT_PP(8);
	endpoint = text_to_cstring(message.endpoint);
	topic = text_to_cstring(message.topic);
	postrider_topic_require(topic, strlen(topic));
	read_arguments(fcinfo, 1, &message);
	read_priority(fcinfo, 9, &message);
	postrider_payload_require_size(message.payload, topic);
	postrider_tenant_require_size(message.tenant, message.payload, topic);
	postrider_endpoint_require(message.endpoint, message.tenant);
	postrider_topic_schema_check(topic, message.payload);
	return emit_one(&message, psprintf("%s@%s", topic, endpoint),
					optional_text(fcinfo, 6), "send()");
}

/* SQL: postrider.next_id() */
Datum
postrider_next_id(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	(void) GetTopFullTransactionId();
	postrider_seed_clock();
	postrider_id_next(id);
	PG_RETURN_UUID_P(id);
}
