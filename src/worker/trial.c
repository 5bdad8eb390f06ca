/*-------------------------------------------------------------------------
 *
 * trial.c
 *	  Requests that are no deliveries, in the process that makes them; see
 *	  trial.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "delivery/batch.h"
#include "delivery/exchange.h"
#include "delivery/judge.h"
#include "delivery/secure.h"
#include "delivery/side_request.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "outbox/config.h"
#include "outbox/intake.h"
#include "outbox/mapping_reference.h"
#include "outbox/seed.h"
#include "outbox/version.h"
#include "security/secret_set.h"
#include "util/id.h"
#include "util/sql.h"
#include "util/text.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "worker/credentials.h"
#include "worker/step.h"
#include "worker/trial.h"

/* Of a body in a preview. */
#define PREVIEW_BODY_BYTES (64 * 1024)

/* How long curl waits at most before interrupts are looked at. */
#define POLL_MS 50

/* Time for tokens and the like to be fetched. */
#define CREDENTIALS_MS 25000

static SqlStatement make_row = {
	.text =
	"select $1, $2, $3, null::timestamptz, null::text, $4, null::int2, $5",
	.argument_count = 5,
	.argument_types = {TEXTOID, JSONBOID, JSONBOID, TEXTOID, TEXTOID}
};

static SqlStatement find_endpoint = {
	.text = "select e.id from postrider.endpoint e where e.name = $1",
	.argument_count = 1,
	.argument_types = {TEXTOID}
};

/* What is made in the transaction, for the time after it. */
typedef struct Trial
{
	int			count;
	Delivery  **deliveries;
} Trial;

static void
endpoint_loaded(Endpoint *endpoint, bool is_new)
{
	if (is_new)
		endpoint->lane = postrider_lane_create(endpoint);
}

static Datum
text_datum(const char *string, char *isnull)
{
	*isnull = string ? ' ' : 'n';
	return string ? CStringGetTextDatum(string) : (Datum) 0;
}

static Datum
json_datum(const char *string, char *isnull)
{
	*isnull = string ? ' ' : 'n';
	return string ? DirectFunctionCall1(jsonb_in, CStringGetDatum(string)) : (Datum) 0;
}

/* Who gets it: for a test, the endpoint, by the mapping of its subscription if any. */
static int
find_targets(const TrialQuestion *question, const pg_uuid_t *id, Jsonb *payload,
			 RouteTarget **targets)
{
	Datum		name;
	RouteTarget *matched;
	int			count = postrider_config_route(question->topic, NULL, question->tenant, id,
											   payload, &matched);

	*targets = palloc(sizeof(RouteTarget) * (count + 1));
	memcpy(*targets, matched, sizeof(RouteTarget) * count);
	if (question->kind == TRIAL_PREVIEW)
		return count;
	for (int i = 0; i < count; i++)
	{
		if (strcmp(matched[i].endpoint->name, question->endpoint) != 0)
			continue;
		(*targets)[0] = (*targets)[i];
		return 1;
	}
	name = CStringGetTextDatum(question->endpoint);
	if (postrider_sql_run(&find_endpoint, &name, NULL, 1) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("endpoint \"%s\" is not committed yet", question->endpoint)));
	(*targets)[0].endpoint = postrider_config_endpoint(postrider_sql_int32(0, 0));
	(*targets)[0].mapping = NULL;
	return 1;
}

static void
prepare(const TrialQuestion *question, Trial *trial)
{
	char		nulls[] = "     ";
	Datum		values[5];
	RouteTarget *targets;
	MessageRow	source;
	pg_uuid_t	id;
	dlist_head	made = DLIST_STATIC_INIT(made);

	postrider_step_begin("making a test request");
	postrider_require_versions();
	postrider_seed_clock();
	(void) postrider_config_load(endpoint_loaded);
	postrider_id_next(&id);
	values[0] = text_datum(question->topic, &nulls[0]);
	values[1] = json_datum(question->payload, &nulls[1]);
	values[2] = json_datum(question->headers, &nulls[2]);
	values[3] = text_datum(question->key, &nulls[3]);
	values[4] = text_datum(question->tenant, &nulls[4]);
	trial->count = find_targets(question, &id, DatumGetJsonbP(values[1]), &targets);
	trial->deliveries = MemoryContextAlloc(TopMemoryContext,
										   sizeof(Delivery *) * (trial->count + 1));
	for (int i = 0; i < trial->count; i++)
	{
		postrider_sql_run(&make_row, values, nulls, 1);
		postrider_intake_begin(&source, &id, 0, 0, 7);
		trial->deliveries[i] = postrider_delivery_make(&source, targets[i].endpoint,
													   targets[i].mapping, &made);
	}
	postrider_step_commit();
}

/* A request with the delivery in it; NULL if there can be none. */
static Request *
make_request(Delivery *delivery, TimestampTz now)
{
	Request    *request;

	memset(&delivery->result, 0, sizeof(AttemptResult));
	if (delivery->endpoint->function)
	{
		delivery->result.error_code = "function";
		delivery->result.error = pstrdup("the endpoint is a function in this database: no request is made");
		return NULL;
	}
	if (delivery->problem)
	{
		delivery->result.error_code = delivery->problem_code;
		delivery->result.error = pstrdup(delivery->problem);
		return NULL;
	}
	request = postrider_request_acquire(delivery->endpoint);
	if (delivery->endpoint->policy.batch_size > 1)
	{
		postrider_batch_begin(request, delivery);
		postrider_batch_write(request);
	}
	return postrider_request_fill(request, delivery, now) ? request : NULL;
}

/* Whatever is shown has no secret in it. */
static void
add_text(StringInfo out, const char *name, const char *string)
{
	char	   *shown;

	if (string == NULL)
		return;
	if (out->data[out->len - 1] != '{')
		appendStringInfoChar(out, ',');
	escape_json(out, name);
	appendStringInfoChar(out, ':');
	shown = pstrdup(string);
	postrider_secret_scrub_string(shown);
	escape_json(out, shown);
	pfree(shown);
}

static void
add_number(StringInfo out, const char *name, double number)
{
	appendStringInfo(out, ",\"%s\":%.3f", name, number);
}

/* The header lines of a request, without those that only tell curl to leave one out. */
static char *
header_lines(const Request *request)
{
	StringInfoData lines;

	initStringInfo(&lines);
	for (const struct curl_slist *header = request->sent_headers; header; header = header->next)
	{
		Size		length = strlen(header->data);
		char	   *masked;

		if (length == 0 || strcspn(header->data, ":") == length - 1)
			continue;
		if (lines.len > 0)
			appendStringInfoChar(&lines, '\n');
		masked = postrider_secure_mask(request, header->data, length, 1, &length);
		postrider_exchange_show_line(&lines, masked, length);
	}
	return lines.data;
}

/* Whether others have fetched what requests to the endpoint need; nobody is asked. */
static void
look_up_credentials(const Endpoint *endpoint)
{
	const char *problem;
	const char *error_code;
	TimestampTz retry_at;

	(void) postrider_secure_ready(endpoint, GetCurrentTimestamp(), &problem, &error_code, &retry_at);
	postrider_credentials_load();
	MemoryContextSwitchTo(TopMemoryContext);
}

static void
show_preview(StringInfo out, Delivery *delivery)
{
	const Endpoint *endpoint = delivery->endpoint;
	Request    *request;
	const char *url = delivery->url ? delivery->url : endpoint->url;
	Size		url_length = strlen(url);
	StringInfoData shown;

	look_up_credentials(endpoint);
	request = make_request(delivery, GetCurrentTimestamp());
	appendStringInfoChar(out, '{');
	add_text(out, "endpoint", endpoint->name);
	add_text(out, "mapping", delivery->mapping ? delivery->mapping->name : NULL);
	add_text(out, "method", endpoint->method);
	if (request != NULL && request->sent_url != NULL)
		url = postrider_secure_mask(request, request->sent_url, strlen(request->sent_url), 1, &url_length);
	initStringInfo(&shown);
	postrider_exchange_show_url(&shown, url, url_length);
	add_text(out, "url", shown.data);
	if (request != NULL)
	{
		const char *body = request->batch_body ? request->batch_body : delivery->body;
		Size		length = request->batch_body ? request->batch_body_length :
			delivery->body_length;

		add_text(out, "headers", header_lines(request));
		add_text(out, "body", postrider_text_clean(body, (int) Min(length, PREVIEW_BODY_BYTES)));
	}
	else
		add_text(out, "problem", delivery->result.error);
	if (!endpoint->enabled)
		add_text(out, "note", "the endpoint is disabled or paused: messages are held");
	appendStringInfoChar(out, '}');
}

/* Signals are blocked while curl runs, for it may start a thread; see engine.c. */
static void
move_data(CURLM *multi, int *running)
{
	sigset_t	old_mask;

	CHECK_FOR_INTERRUPTS();
	sigprocmask(SIG_SETMASK, &BlockSig, &old_mask);
	curl_multi_perform(multi, running);
	if (*running)
		curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
}

/* Fetches what the endpoint's requests need and is not there, unless others just do. */
static void
await_credentials(const Endpoint *endpoint)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz end = TimestampTzPlusMilliseconds(now, CREDENTIALS_MS);
	CURLM	   *multi = curl_multi_init();
	const char *problem;
	const char *error_code;
	TimestampTz retry_at;

	while (multi != NULL && now < end &&
		   postrider_secure_ready(endpoint, now, &problem, &error_code, &retry_at) == AUTH_WAITING)
	{
		CURLMsg    *message;
		int			running;
		int			remaining;

		(void) postrider_credentials_run(multi, now, NULL);
		move_data(multi, &running);
		if (running == 0)
			pg_usleep(POLL_MS * 100);
		while ((message = curl_multi_info_read(multi, &remaining)) != NULL)
			if (message->msg == CURLMSG_DONE)
				(void) postrider_side_request_end(message->easy_handle, message->data.result);
		now = GetCurrentTimestamp();
		postrider_credentials_finish(now);
	}
	MemoryContextSwitchTo(TopMemoryContext);
}

static CURLcode
perform(CURL *easy)
{
	CURLM	   *multi = curl_multi_init();
	CURLcode	code = CURLE_OUT_OF_MEMORY;
	CURLMsg    *message;
	int			running = 1;
	int			remaining;

	if (multi == NULL)
		return code;
	curl_multi_add_handle(multi, easy);
	while (running)
		move_data(multi, &running);
	while ((message = curl_multi_info_read(multi, &remaining)) != NULL)
		if (message->msg == CURLMSG_DONE)
			code = message->data.result;
	curl_multi_remove_handle(multi, easy);
	return code;
}

static const char *
http_version(CURL *easy)
{
	long		version = 0;

	curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
	switch (version)
	{
		case CURL_HTTP_VERSION_1_0:
			return "1.0";
		case CURL_HTTP_VERSION_1_1:
			return "1.1";
		case CURL_HTTP_VERSION_2_0:
			return "2";
		default:
			return NULL;
	}
}

static double
milliseconds(CURL *easy, CURLINFO what)
{
	curl_off_t	microseconds = 0;

	curl_easy_getinfo(easy, what, &microseconds);
	return microseconds / 1000.0;
}

/* Each time is that of its own phase, in milliseconds. */
static void
add_timings(StringInfo out, CURL *easy)
{
	double		dns = milliseconds(easy, CURLINFO_NAMELOOKUP_TIME_T);
	double		connected = milliseconds(easy, CURLINFO_CONNECT_TIME_T);
	double		secured = milliseconds(easy, CURLINFO_APPCONNECT_TIME_T);
	double		first_byte = milliseconds(easy, CURLINFO_STARTTRANSFER_TIME_T);

	if (dns > 0)
		add_number(out, "dns_ms", dns);
	if (connected > 0)
		add_number(out, "connect_ms", Max(connected - dns, 0));
	if (secured > 0)
		add_number(out, "tls_ms", Max(secured - connected, 0));
	if (first_byte > 0)
		add_number(out, "first_byte_ms", Max(first_byte - Max(secured, connected), 0));
	add_number(out, "total_ms", milliseconds(easy, CURLINFO_TOTAL_TIME_T));
}

static void
add_side(StringInfo out, const char *name, const Request *request, const ExchangeSide *side)
{
	StringInfoData shown;
	Size		length;
	char	   *masked;

	if (side->length == 0)
		return;
	masked = postrider_secure_mask(request, side->data, side->length, 1, &length);
	initStringInfo(&shown);
	postrider_exchange_show(&shown, masked, length, side->lost);
	add_text(out, name, shown.data);
}

static void
add_address(StringInfo out, CURL *easy)
{
	char	   *address = NULL;
	long		port = 0;

	curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
	curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port);
	if (address && address[0])
		add_text(out, "address", psprintf(strchr(address, ':') ? "[%s]:%ld" : "%s:%ld",
										  address, port));
}

/* Is it for want of a credential that no request could be made? */
static bool
is_for_later(const char *error_code)
{
	return error_code != NULL && (strcmp(error_code, "secret") == 0 ||
								  strcmp(error_code, "token") == 0 || strcmp(error_code, "auth") == 0);
}

/*
 * Sends the delivery, and again if the receiver says that the token is not good, which is
 * thrown away.  NULL if there can be no request.
 */
static Request *
exchange_delivery(Delivery *delivery, Exchange *exchange)
{
	const Endpoint *endpoint = delivery->endpoint;
	AttemptResult *result = &delivery->result;
	Judgement	judgement;

	for (bool again = false;; again = true)
	{
		Request    *request;
		TimestampTz sent_at;

		await_credentials(endpoint);
		sent_at = GetCurrentTimestamp();
		request = make_request(delivery, sent_at);
		if (request == NULL)
			return NULL;
		memset(exchange, 0, sizeof(Exchange));
		postrider_exchange_record(request->easy, exchange);
		postrider_judge(request, perform(request->easy), GetCurrentTimestamp(), result, &judgement);
		if (again && judgement.refresh_token)
			result->error = psprintf("the receiver answered with status %d: also to a token that was fetched anew for that reason",
									 result->status_code);
		if (again || !judgement.refresh_token || endpoint->auth == NULL ||
			!postrider_auth_rejected(endpoint->auth, sent_at, false))
			return request;
		postrider_request_release(request);
	}
}

static void
show_exchange(StringInfo out, Delivery *delivery)
{
	static const char *const outcomes[] = {
		[OUTCOME_DELIVERED] = "delivered", [OUTCOME_RETRY] = "retry", [OUTCOME_DEAD] = "dead"
	};
	AttemptResult *result = &delivery->result;
	Exchange   *exchange = palloc(sizeof(Exchange));
	Request    *request = exchange_delivery(delivery, exchange);

	appendStringInfoChar(out, '{');
	add_text(out, "endpoint", delivery->endpoint->name);
	if (request == NULL)
	{
		add_text(out, "outcome", is_for_later(result->error_code) ? "retry" : "dead");
		add_text(out, "error", result->error);
		appendStringInfoChar(out, '}');
		return;
	}
	add_text(out, "outcome", outcomes[result->outcome]);
	if (result->status_code > 0)
		appendStringInfo(out, ",\"status_code\":%d", result->status_code);
	add_text(out, "error", result->error);
	add_side(out, "request", request, &exchange->request);
	add_side(out, "response", request, &exchange->response);
	add_address(out, request->easy);
	add_text(out, "http_version", http_version(request->easy));
	add_timings(out, request->easy);
	appendStringInfoChar(out, '}');
}

char *
postrider_trial_run(const TrialQuestion *question)
{
	Trial		trial;
	StringInfoData out;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not start libcurl")));
	postrider_intake_account = postrider_memory_account;
	postrider_step_start();
	prepare(question, &trial);
	MemoryContextSwitchTo(TopMemoryContext);
	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < trial.count; i++)
	{
		if (i > 0)
			appendStringInfoChar(&out, ',');
		if (question->kind == TRIAL_PREVIEW)
			show_preview(&out, trial.deliveries[i]);
		else
			show_exchange(&out, trial.deliveries[i]);
	}
	appendStringInfoChar(&out, ']');
	return out.data;
}
