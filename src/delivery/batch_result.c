/*-------------------------------------------------------------------------
 *
 * batch_result.c
 *	  Which records of a batch failed; see batch.h.
 *
 * A response that says that something failed, but in no way that leads to a
 * record, or that is longer than what is kept of it, or takes too long to read,
 * means that nothing is known: all are tried again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "content/json_path.h"
#include "delivery/batch.h"
#include "delivery/time_limit.h"
#include "mb/pg_wchar.h"
#include "util/id.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

/* Of a reason, at most. */
#define REASON_BYTES 500

/* A string that a failed record has as a value, as JSON without its quotes. */
typedef struct Wanted
{
	const char *string;			/* hash key: this ... */
	Size		length;			/* ... and this */
	int			failure;
	bool		found;
} Wanted;

/* What the response says. */
typedef struct Findings
{
	const Request *request;
	int			count;			/* of records */
	int		   *failure_of;		/* for each: number of its failure, or -1 */
	int			failures;
	bool		unclear;		/* at least one failure leads nowhere */
	HTAB	   *wanted;			/* or NULL */
	List	   *reasons;		/* strings, one for each failure; or NIL */
} Findings;

static uint32
hash_wanted(const void *key, Size size)
{
	const Wanted *wanted = key;

	return hash_bytes((const unsigned char *) wanted->string, (int) wanted->length);
}

static int
compare_wanted(const void *a, const void *b, Size size)
{
	const Wanted *left = a;
	const Wanted *right = b;

	return left->length == right->length ? memcmp(left->string, right->string, left->length) : 1;
}

static void
want(Findings *findings, const char *string, int failure)
{
	StringInfoData json;
	Wanted		key;
	Wanted	   *wanted;
	bool		found;

	if (findings->wanted == NULL)
	{
		HASHCTL		control = {
			.keysize = offsetof(Wanted, failure),
			.entrysize = sizeof(Wanted),
			.hash = hash_wanted,
			.match = compare_wanted,
			.hcxt = CurrentMemoryContext
		};

		findings->wanted = hash_create("values of failed records", 64, &control,
									   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	}
	initStringInfo(&json);
	escape_json(&json, string);
	key.string = json.data + 1;
	key.length = json.len - 2;
	wanted = hash_search(findings->wanted, &key, HASH_ENTER, &found);
	if (found)
		return;
	wanted->failure = failure;
	wanted->found = false;
}

static void
note_position(Findings *findings, int64 position, int failure)
{
	if (position < 0 || position >= findings->count)
		findings->unclear = true;
	else if (findings->failure_of[position] < 0)
		findings->failure_of[position] = failure;
}

static void
note_string(Findings *findings, const char *string, Size length)
{
	char	   *copy = pnstrdup(string, length);
	int			failure = findings->failures++;

	if (length > 0 && length < 10 && strspn(copy, "0123456789") == length)
		note_position(findings, atoi(copy), failure);
	else
		want(findings, copy, failure);
}

static void
note_number(Findings *findings, Numeric number)
{
	bool		have_error;
	int32		position = numeric_int4_opt_error(number, &have_error);

	note_position(findings, have_error ? -1 : position, findings->failures++);
}

/* Reads what batch_failed has found. */
static void
read_failures(Findings *findings, Jsonb *values)
{
	JsonbIterator *iterator = JsonbIteratorInit(&values->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			depth = 0;		/* in objects */
	int64		place = 0;		/* of booleans */

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_OBJECT && depth++ == 0)
		{
			findings->failures++;
			findings->unclear = true;
		}
		else if (token == WJB_END_OBJECT)
			depth--;
		if (token != WJB_ELEM || depth > 0)
			continue;
		if (value.type == jbvBool)
		{
			if (!value.val.boolean)
				note_position(findings, place, findings->failures++);
			place++;
		}
		else if (value.type == jbvNumeric)
			note_number(findings, value.val.numeric);
		else if (value.type == jbvString)
			note_string(findings, value.val.string.val, value.val.string.len);
	}
}

static void
note_value(Findings *findings, const char *string, Size length, int record)
{
	Wanted		key = {.string = string, .length = length};
	Wanted	   *wanted = hash_search(findings->wanted, &key, HASH_FIND, NULL);

	if (wanted == NULL)
		return;
	wanted->found = true;
	if (findings->failure_of[record] < 0)
		findings->failure_of[record] = wanted->failure;
}

/* Looks for the wanted among the string values of a record, which is JSON. */
static void
search_record(Findings *findings, const char *json, Size length, int record)
{
	const char *end = json + length;
	const char *next = json;

	while ((next = memchr(next, '"', end - next)) != NULL)
	{
		const char *start = ++next;

		while (next < end && *next != '"')
			next += *next == '\\' ? 2 : 1;
		if (next >= end)
			return;
		if (next + 1 >= end || next[1] != ':')
			note_value(findings, start, next - start, record);
		next++;
	}
}

static void
find_wanted(Findings *findings, const Request *request)
{
	HASH_SEQ_STATUS scan;
	Wanted	   *wanted;
	dlist_iter	iter;
	int			record = 0;

	dlist_foreach(iter, unconstify(dlist_head *, &request->batch))
	{
		Delivery   *delivery = dlist_container(Delivery, node, iter.cur);
		char		id[ID_TEXT_SIZE];

		postrider_id_text(&delivery->message->id, id);
		note_value(findings, id, strlen(id), record);
		search_record(findings, delivery->body, delivery->body_length, record++);
	}
	hash_seq_init(&scan, findings->wanted);
	while ((wanted = hash_seq_search(&scan)) != NULL)
		if (!wanted->found)
			findings->unclear = true;
}

/* Reads what batch_error has found: text, or JSON as text. */
static List *
read_reasons(Jsonb *values)
{
	JsonbIterator *iterator = JsonbIteratorInit(&values->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	List	   *reasons = NIL;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (value.type == jbvString)
			reasons = lappend(reasons, pnstrdup(value.val.string.val, value.val.string.len));
		else
		{
			Jsonb	   *json = JsonbValueToJsonb(&value);

			reasons = lappend(reasons, JsonbToCString(NULL, &json->root, VARSIZE(json)));
		}
	}
	return reasons;
}

static void
read_response(void *arg)
{
	Findings   *findings = arg;
	const Request *request = findings->request;
	const Endpoint *endpoint = request->endpoint;
	Jsonb	   *response = postrider_json_read(request->kept, request->kept_bytes);
	Jsonb	   *values;

	if (request->body_bytes > request->kept_bytes)
		findings->unclear = true;
	if (response == NULL)
		return;
	values = postrider_json_path_values(response, endpoint->batch_failed);
	if (values == NULL)
		return;
	read_failures(findings, values);
	if (findings->wanted)
		find_wanted(findings, request);
	if (findings->failures == 0 || endpoint->batch_error == NULL)
		return;
	values = postrider_json_path_values(response, endpoint->batch_error);
	if (values)
		findings->reasons = read_reasons(values);
	if (list_length(findings->reasons) != findings->failures)
		findings->reasons = NIL;
}

/* Says of one delivery what the response said of it. */
static void
set_result(Delivery *delivery, const Findings *findings, int record, MemoryContext context)
{
	AttemptResult *result = &delivery->result;
	int			failure = findings->failure_of[record];
	const char *reason;
	char	   *error;

	if (findings->unclear)
	{
		result->outcome = OUTCOME_RETRY;
		result->error_code = "batch_response";
		error = psprintf("the response to the batch does not say which records failed");
	}
	else if (failure >= 0)
	{
		reason = findings->reasons ? list_nth(findings->reasons, failure) : NULL;
		result->outcome = OUTCOME_RETRY;
		result->error_code = "batch_record";
		error = psprintf("the receiver refused record %d of %d%s%.*s", record, findings->count,
						 reason ? ": " : "",
						 reason ? pg_mbcliplen(reason, strlen(reason), REASON_BYTES) : 0,
						 reason ? reason : "");
	}
	else
		return;
	result->error = MemoryContextStrdup(context, error);
}

/* A copy of the first one's result for the others. */
static void
copy_result(const AttemptResult *from, Delivery *to)
{
	AttemptResult *result = &to->result;
	TimestampTz started_at = result->started_at;

	*result = *from;
	result->started_at = started_at;
	result->reply = NULL;
	if (from->error)
		result->error = pstrdup(from->error);
	if (from->response)
		result->response = pstrdup(from->response);
}

void
postrider_batch_copy_result(Request *request)
{
	dlist_iter	iter;

	dlist_foreach(iter, &request->batch)
	{
		Delivery   *delivery = dlist_container(Delivery, node, iter.cur);

		if (delivery != request->delivery)
			copy_result(&request->delivery->result, delivery);
	}
}

void
postrider_batch_read(Request *request)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch;
	Findings	findings = {.request = request, .count = request->batch_count};
	dlist_iter	iter;
	int			record = 0;

	if (request->delivery->result.outcome != OUTCOME_DELIVERED ||
		request->endpoint->batch_failed == NULL || request->body_bytes == 0)
		return;

	scratch = AllocSetContextCreate(context, "postrider batch", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch);
	findings.failure_of = palloc(sizeof(int) * findings.count);
	memset(findings.failure_of, -1, sizeof(int) * findings.count);
	if (!postrider_within_time(read_response, &findings))
		findings.unclear = true;
	dlist_foreach(iter, &request->batch)
		set_result(dlist_container(Delivery, node, iter.cur), &findings, record++, context);
	MemoryContextSwitchTo(context);
	MemoryContextDelete(scratch);
}
