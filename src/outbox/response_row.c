/*-------------------------------------------------------------------------
 *
 * response_row.c
 *	  The columns of postrider.endpoint that say what becomes of responses.
 *
 * An endpoint that is subscribed to its own reply_topic would get each of its
 * replies, answer that, and so on without end: such a row is refused, whichever
 * of the two is written last.  A circle over several endpoints is
 * broken when messages run through it: outbox/reply.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "content/topic.h"
#include "executor/spi.h"
#include "outbox/response_row.h"
#include "util/sql.h"
#include "utils/builtins.h"

#define MAX_EXCERPT_BYTES (64 * 1024)

static SqlStatement find_patterns = {
	.text =
	"select s.topic from postrider.subscription s"
	" where s.endpoint operator(pg_catalog.=) $1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

static SqlStatement find_reply_topic = {
	.text =
	"select e.reply_topic from postrider.endpoint e"
	" where e.name operator(pg_catalog.=) $1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

void
postrider_response_row_read(TupleDesc desc, HeapTuple tuple, Endpoint *endpoint)
{
	int			excerpt = SPI_fnumber(desc, "response_excerpt_bytes");
	int			topic = SPI_fnumber(desc, "reply_topic");
	bool		isnull;
	Datum		value;

	value = heap_getattr(tuple, excerpt, desc, &isnull);
	endpoint->response_excerpt_bytes = isnull ? 0 : DatumGetInt32(value);
	value = heap_getattr(tuple, topic, desc, &isnull);
	endpoint->reply_topic = isnull ? NULL : TextDatumGetCString(value);
}

static void
refuse_circle(const char *endpoint, const char *topic, const char *pattern)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("endpoint \"%s\" would get its own replies", endpoint),
			 errdetail("Its reply_topic is \"%s\", and it has a subscription to \"%s\".",
					   topic, pattern),
			 errhint("Use a reply_topic that none of its subscriptions matches.")));
}

void
postrider_response_row_require(const TriggerRow *row)
{
	Datum		value;
	char	   *topic = postrider_trigger_new_text(row, "reply_topic");
	Datum		name;
	SqlScope	sql;
	uint64		count;

	if (postrider_trigger_get_new(row, "response_excerpt_bytes", INT4OID, &value) &&
		(DatumGetInt32(value) < 0 || DatumGetInt32(value) > MAX_EXCERPT_BYTES))
		postrider_trigger_refuse(row, "response_excerpt_bytes",
								 psprintf("must be between 0 and %d", MAX_EXCERPT_BYTES),
								 NULL);
	if (topic == NULL)
		return;
	if (!postrider_topic_is_valid(topic, strlen(topic)))
		postrider_trigger_refuse(row, "reply_topic", psprintf("is no topic: \"%s\"", topic),
								 "Write words with dots between them, such as crm.reply, without patterns.");
	name = CStringGetTextDatum(row->endpoint);
	postrider_sql_enter(&sql);
	count = postrider_sql_run(&find_patterns, &name, NULL, 0);
	for (uint64 i = 0; i < count; i++)
	{
		char	   *pattern = postrider_sql_text(i, 0, CurrentMemoryContext);

		if (postrider_topic_matches(topic, pattern))
			refuse_circle(row->endpoint, topic, pattern);
	}
	postrider_sql_leave(&sql);
}

void
postrider_response_row_require_pattern(const TriggerRow *row)
{
	char	   *pattern = postrider_trigger_text(row, row->tuple, "topic");
	Datum		name = CStringGetTextDatum(row->endpoint);
	SqlScope	sql;

	if (pattern == NULL)
		return;
	postrider_sql_enter(&sql);
	if (postrider_sql_run(&find_reply_topic, &name, NULL, 1) > 0)
	{
		char	   *topic = postrider_sql_text(0, 0, CurrentMemoryContext);

		if (topic != NULL && postrider_topic_matches(topic, pattern))
			refuse_circle(row->endpoint, topic, pattern);
	}
	postrider_sql_leave(&sql);
}
