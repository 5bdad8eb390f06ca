/*-------------------------------------------------------------------------
 *
 * reply.c
 *	  Responses that become messages; see reply.h.
 *
 * The message goes through postrider.emit() like any other, so that the schema of
 * its topic holds.  It is part of the transaction that settles the delivery:
 * a delivery that is on record as delivered has its reply, and one only.
 *
 * What a receiver answers is not in our hands.  So each reply is emitted in a
 * subtransaction, all of a settling in one as long as nothing goes wrong.  JSON
 * that jsonb does not take (\u0000, numbers without end) becomes a string; what
 * cannot be emitted at all is on record with the attempt.
 *
 * Circles.  The reply to a reply says so by "hops"; there is none beyond MAX_HOPS,
 * so that a circle of endpoints that answer each other comes to its end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "outbox/reply.h"
#include "util/compat.h"
#include "util/log_line.h"
#include "util/sql.h"
#include "util/trace.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#define MAX_HOPS 8

typedef enum ReplyForm
{
	REPLY_AS_IT_IS,				/* JSON if it is JSON, else text */
	REPLY_AS_TEXT,
	REPLY_TRY					/* emit nothing: raise what jsonb says to it */
} ReplyForm;

/*
 * The message may be gone from the log: then a copy of it is in pending, and if
 * not even that is there, the reply has no key.
 */
static SqlStatement emit = {
	.text =
	"select case when r.hops <= $10 then postrider.emit($3, jsonb_strip_nulls("
	"  jsonb_build_object('message_id', $1, 'topic', r.topic, 'endpoint', $4,"
	"  'status_code', $5, 'headers', $6,"
	"  'hops', r.hops,"
	"  'response_bytes', case when $9 is not null then $9 end))"
	"  || jsonb_build_object('response', case when $7 is null then to_jsonb($8) else $7::jsonb end),"
	" key => r.key, tenant => r.tenant) end is not null"
	" from (select case when p.payload is null then m.topic else p.topic end as topic,"
	"  case when p.payload is null then m.key else p.key end as key,"
	"  case when p.payload is null then m.tenant else p.tenant end as tenant,"
	"  case when d.body ? 'message_id' and jsonb_typeof(d.body -> 'hops') = 'number'"
	"   then least((d.body ->> 'hops')::numeric, $10)::int4 + 1"
	"   else 1 end as hops"
	"  from (values ($1, $2)) as k (message_id, endpoint_id)"
	"  left join postrider.pending p on p.message_id = k.message_id"
	"  and p.endpoint_id = k.endpoint_id"
	"  left join postrider.message m on m.id = k.message_id"
	"  cross join lateral (select coalesce(p.payload, m.payload) as body) d) r",
	.argument_count = 10,
	.argument_types = {UUIDOID, INT4OID, TEXTOID, TEXTOID, INT4OID, JSONBOID,
	TEXTOID, TEXTOID, INT8OID, INT4OID}
};

/* Is it JSON?  Says nothing of what jsonb cannot store. */
static bool
is_json(const char *body)
{
	JsonLexContext *lex;
	bool		valid;

	lex = PostriderMakeJsonLexContext((char *) body, strlen(body));
	valid = pg_parse_json(lex, &nullSemAction) == JSON_SUCCESS;
	PostriderFreeJsonLexContext(lex);
	return valid;
}

static Datum
make_headers(const Reply *reply)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < reply->header_count; i++)
	{
		JsonbValue	value = {.type = jbvString};

		value.val.string.val = reply->headers[i].name;
		value.val.string.len = strlen(reply->headers[i].name);
		pushJsonbValue(&state, WJB_KEY, &value);
		value.val.string.val = reply->headers[i].value;
		value.val.string.len = strlen(reply->headers[i].value);
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbPGetDatum(JsonbValueToJsonb(object));
}

static void
set_problem(Delivery *delivery, const char *problem)
{
	AttemptResult *result = &delivery->result;

	if (result->error)
		pfree(result->error);
	result->error_code = "reply";
	result->error = MemoryContextStrdup(TopMemoryContext, problem);
}

static void
emit_one(Delivery *delivery, ReplyForm form)
{
	const Endpoint *endpoint = delivery->endpoint;
	const AttemptResult *result = &delivery->result;
	const Reply *reply = result->reply;
	bool		cut = reply->body_bytes > reply->length;
	bool		as_json = reply->body && !cut && form == REPLY_AS_IT_IS && is_json(reply->body);
	Datum		body = reply->body ? CStringGetTextDatum(reply->body) : (Datum) 0;
	Datum		values[] = {
		UUIDPGetDatum(&delivery->message->id),
		Int32GetDatum(endpoint->id),
		CStringGetTextDatum(endpoint->reply_topic),
		CStringGetTextDatum(endpoint->name),
		Int32GetDatum(result->status_code),
		make_headers(reply),
		body,
		body,
		Int64GetDatum((int64) reply->body_bytes),
		Int32GetDatum(MAX_HOPS)
	};
	char		nulls[] = {
		' ', ' ', ' ', ' ', ' ', ' ',
		as_json ? ' ' : 'n',
		reply->body ? ' ' : 'n',
		cut ? ' ' : 'n',
		' ', '\0'
	};
	bool		emitted;
	int			level;

	if (form == REPLY_TRY)
	{
		if (reply->body && !cut && is_json(reply->body))
			(void) DirectFunctionCall1(jsonb_in, CStringGetDatum(reply->body));
		return;
	}
	level = NewGUCNestLevel();
	postrider_trace_continue(delivery->message->traceparent, &delivery->message->id, endpoint->id,
							 result->started_at);
	emitted = postrider_sql_run(&emit, values, nulls, 0) > 0 && postrider_sql_bool(0, 0);
	AtEOXact_GUC(true, level);
	if (!emitted)
		set_problem(delivery, psprintf("the response was not emitted: the message is a reply to a reply, and so on, %d times",
									   MAX_HOPS));
}

/*
 * Emits the replies of all deliveries from the list, or of one, in a
 * subtransaction.  Returns NULL, or what went wrong.
 */
static char *
try_emit(dlist_head *deliveries, Delivery *only, ReplyForm form)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *volatile problem = NULL;
	dlist_iter	iter;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		if (only != NULL)
			emit_one(only, form);
		else
			dlist_foreach(iter, deliveries)
			{
				Delivery   *delivery = dlist_container(Delivery, node, iter.cur);

				if (delivery->settle == SETTLE_ATTEMPT && delivery->result.reply)
					emit_one(delivery, form);
			}
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_OUT_OF_MEMORY)
			ReThrowError(error);
		problem = psprintf("the response could not be emitted: %s", error->message);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return problem;
}

void
postrider_reply_emit(dlist_head *deliveries)
{
	dlist_iter	iter;
	int			count = 0;

	dlist_foreach(iter, deliveries)
	{
		Delivery   *delivery = dlist_container(Delivery, node, iter.cur);

		count += delivery->settle == SETTLE_ATTEMPT && delivery->result.reply != NULL;
	}
	if (count == 0 || try_emit(deliveries, NULL, REPLY_AS_IT_IS) == NULL)
		return;
	dlist_foreach(iter, deliveries)
	{
		Delivery   *delivery = dlist_container(Delivery, node, iter.cur);
		char	   *problem;
		LogLine		line;

		if (delivery->settle != SETTLE_ATTEMPT || delivery->result.reply == NULL)
			continue;
		problem = try_emit(NULL, delivery,
						   try_emit(NULL, delivery, REPLY_TRY) == NULL ?
						   REPLY_AS_IT_IS : REPLY_AS_TEXT);
		if (problem == NULL)
			continue;
		postrider_log_begin(&line, LOG, "reply_failed");
		postrider_log_text(&line, "message_id", postrider_uuid_text(&delivery->message->id));
		postrider_log_text(&line, "endpoint", delivery->endpoint->name);
		postrider_log_message(&line, "the response could not be emitted: postrider.attempt has the reason");
		postrider_log_end(&line);
		set_problem(delivery, problem);
	}
}

void
postrider_reply_free(Reply *reply)
{
	if (reply == NULL)
		return;
	for (int i = 0; i < reply->header_count; i++)
		pfree(reply->headers[i].value);
	if (reply->body)
		pfree(reply->body);
	pfree(reply);
}
