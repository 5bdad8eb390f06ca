/*-------------------------------------------------------------------------
 *
 * request.c
 *	  One HTTP request.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "content/rate_header.h"
#include "content/response_rule.h"
#include "delivery/batch.h"
#include "delivery/connection.h"
#include "delivery/lane.h"
#include "delivery/request.h"
#include "delivery/secure.h"
#include "util/id.h"
#include "util/trace.h"
#include "util/version.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define POSTGRES_EPOCH_UNIX_S \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/* curl callback: keeps the beginning of the body, and reads to a limit */
static size_t
receive_body(char *data, size_t size, size_t count, void *arg)
{
	Request    *request = arg;
	Size		bytes = size * count;
	Size		keep = Min(bytes, request->kept_capacity - request->kept_bytes);

	if (keep > 0)
		memcpy(request->kept + request->kept_bytes, data, keep);
	request->kept_bytes += keep;
	request->body_bytes += bytes;
	if (request->body_bytes > RESPONSE_MAX_BYTES)
	{
		request->response_cut = true;
		return 0;				/* makes curl end the transfer */
	}
	return bytes;
}

static bool
is_wanted(const void *arg, const char *name)
{
	const ResponseRules *rules = ((const Request *) arg)->endpoint->response_rules;

	return postrider_rate_header_is_one(name) ||
		(rules != NULL && postrider_response_rules_want(rules, name));
}

/*
 * curl callback: keeps the headers that are looked at, bounds the size of all, and
 * notes the empty line at their end, because curl takes a connection that closes
 * before for success
 */
static size_t
receive_header(char *data, size_t size, size_t count, void *arg)
{
	Request    *request = arg;

	request->header_bytes += size * count;
	if (size * count <= 2)
		request->headers_complete = true;
	else if (size * count > 5 && memcmp(data, "HTTP/", 5) == 0)
	{
		request->headers_complete = false;	/* after an interim response */
		request->headers.length = 0;
	}
	else
		(void) postrider_response_header_keep(&request->headers, data, size * count,
											  is_wanted, request);
	if (request->header_bytes > RESPONSE_HEADER_MAX_BYTES)
	{
		request->response_cut = true;
		return 0;
	}
	return size * count;
}

/* Is one of the headers meant by a line "Name: value" or "Name;"? */
static bool
has_header_of(const Header *headers, int count, const char *line)
{
	for (int i = 0; i < count; i++)
	{
		Size		length = strlen(headers[i].name);

		if (pg_strncasecmp(headers[i].name, line, length) == 0 &&
			(line[length] == ':' || line[length] == ';'))
			return true;
	}
	return false;
}

/* Appends a header as curl wants it: one without a value ends in a semicolon. */
static struct curl_slist *
append_header(struct curl_slist *list, const Header *header)
{
	char	   *line = header->value[0] == '\0' ? psprintf("%s;", header->name) :
		psprintf("%s: %s", header->name, header->value);

	list = curl_slist_append(list, line);
	pfree(line);
	return list;
}

/* A line for curl; one without a value takes the header away. */
static char *
make_content_type(const Endpoint *endpoint)
{
	const char *type = endpoint->shape.content_type;

	if (type == NULL)
		return pstrdup("Content-Type:");
	if (endpoint->policy.batch_format == BATCH_NDJSON)
		type = "application/x-ndjson";
	else if (endpoint->policy.batch_format == BATCH_JSON_ARRAY &&
			 endpoint->shape.format == BODY_CLOUDEVENTS)
		type = "application/cloudevents-batch+json";
	return psprintf("Content-Type: %s", type);
}

/*
 * The headers of all requests to an endpoint: its own, and ours where it has
 * none of that name.
 */
static struct curl_slist *
make_endpoint_headers(const Endpoint *endpoint)
{
	char	   *content_type = make_content_type(endpoint);
	const char *const defaults[] = {
		"Expect:", "Accept:",	/* curl's own, not to be sent */
		"User-Agent: postrider/" POSTRIDER_VERSION,
		content_type
	};
	struct curl_slist *list = NULL;

	for (int i = 0; i < (int) lengthof(defaults); i++)
		if (!has_header_of(endpoint->headers, endpoint->header_count, defaults[i]))
			list = curl_slist_append(list, defaults[i]);
	for (int i = 0; i < endpoint->header_count; i++)
		list = append_header(list, &endpoint->headers[i]);
	pfree(content_type);
	return list;
}

/* A list with these headers, which win over those of the same name in another list. */
static struct curl_slist *
add_headers(const Header *headers, int count, const struct curl_slist *others)
{
	struct curl_slist *list = NULL;

	for (; others; others = others->next)
		if (!has_header_of(headers, count, others->data))
			list = curl_slist_append(list, others->data);
	for (int i = 0; i < count; i++)
		list = append_header(list, &headers[i]);
	return list;
}

/*
 * RFC 9110 section 8.6: a POST, PUT or PATCH with nothing in it still says so, with
 * Content-Length: 0; GET and DELETE do not.
 */
static bool
sends_body(const Endpoint *endpoint)
{
	return endpoint->shape.format != BODY_NONE ||
		(strcmp(endpoint->method, "GET") != 0 && strcmp(endpoint->method, "DELETE") != 0);
}

/* Takes over the endpoint's policy. */
static void
set_up(Request *request, const Endpoint *endpoint)
{
	CURL	   *easy = request->easy;
	Proxy		proxy;
	bool		has_proxy = postrider_proxy_find(endpoint->url, endpoint->proxy,
												 endpoint->proxy_secret, &proxy);

	curl_easy_reset(easy);
	postrider_connection_set_up(easy, &request->connection, has_proxy ? &proxy : NULL);
	curl_slist_free_all(request->endpoint_headers);
	request->endpoint_headers = make_endpoint_headers(endpoint);

	curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->curl_error);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
	if (sends_body(endpoint))
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
	else
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, endpoint->method);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) endpoint->timeout_ms);
	postrider_secure_set_up(easy, endpoint);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, receive_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);

	request->version = endpoint->version;
}

Request *
postrider_request_acquire(Endpoint *endpoint)
{
	Lane	   *lane = endpoint->lane;
	Request    *request;

	if (!dlist_is_empty(&lane->idle_requests))
		request = dlist_container(Request, node,
								  dlist_pop_head_node(&lane->idle_requests));
	else
	{
		request = MemoryContextAllocZero(TopMemoryContext, sizeof(Request));
		request->easy = curl_easy_init();
		if (request->easy == NULL)
		{
			pfree(request);
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("could not make a curl handle")));
		}
		request->endpoint = endpoint;
	}
	if (request->version != endpoint->version)
		set_up(request, endpoint);
	return request;
}

static Size
bytes_to_keep(const Request *request)
{
	const Endpoint *endpoint = request->endpoint;
	Size		bytes = endpoint->response_excerpt_bytes;

	if (endpoint->reply_topic)
		bytes = Max(bytes, RESPONSE_REPLY_BYTES);
	if (endpoint->response_rules)
		bytes = Max(bytes, RESPONSE_RULE_BODY_BYTES);
	return Max(bytes, postrider_batch_response_bytes(request));
}

/* Sets how much of the response is kept. */
static void
make_room(Request *request, Size capacity)
{
	if (request->kept_capacity == capacity)
		return;
	if (request->kept)
		pfree(request->kept);
	request->kept = NULL;
	request->kept_capacity = 0;
	if (capacity > 0)
		request->kept = MemoryContextAlloc(TopMemoryContext, capacity);
	request->kept_capacity = capacity;
}

static void
free_message_parts(Request *request)
{
	curl_slist_free_all(request->made_headers);
	curl_slist_free_all(request->message_headers);
	request->made_headers = request->message_headers = NULL;
	if (request->traceparent)
		pfree(request->traceparent);
	if (request->idempotency_key)
		pfree(request->idempotency_key);
	request->traceparent = request->idempotency_key = NULL;
}

void
postrider_request_release(Request *request)
{
	free_message_parts(request);
	postrider_secure_clear(request);
	if (request->kept_capacity > RESPONSE_IDLE_BYTES)
		make_room(request, 0);
	request->delivery = NULL;
	postrider_batch_free(request);
	dlist_push_head(&request->endpoint->lane->idle_requests, &request->node);
}

void
postrider_request_discard_idle(Endpoint *endpoint)
{
	Lane	   *lane = endpoint->lane;

	while (!dlist_is_empty(&lane->idle_requests))
	{
		Request    *request = dlist_container(Request, node,
											  dlist_pop_head_node(&lane->idle_requests));

		curl_easy_cleanup(request->easy);
		curl_slist_free_all(request->endpoint_headers);
		make_room(request, 0);
		if (request->secure_context)
			MemoryContextDelete(request->secure_context);
		pfree(request);
	}
}

static const char *
body_of(const Request *request, const Delivery *delivery)
{
	return request->batch_body ? request->batch_body : delivery->body;
}

static Size
body_length_of(const Request *request, const Delivery *delivery)
{
	return request->batch_body ? request->batch_body_length : delivery->body_length;
}

/*
 * Standard Webhooks headers.  The id is the same at every attempt (but for that of a
 * batch), the time is that of the attempt.
 */
static bool
sign(Request *request, Delivery *delivery, TimestampTz now, const char **problem)
{
	static const char id_name[] = "webhook-id: ";
	static const char timestamp_name[] = "webhook-timestamp: ";
	static const char signature_name[] = "webhook-signature: ";
	const Endpoint *endpoint = delivery->endpoint;
	const Message *message = delivery->message;
	int64		unix_time = now / USECS_PER_SEC + POSTGRES_EPOCH_UNIX_S;

	memcpy(request->id, id_name, sizeof(id_name));
	postrider_id_text(request->batch_body ? &request->batch_id : &message->id,
					  request->id + sizeof(id_name) - 1);
	snprintf(request->timestamp, sizeof(request->timestamp), "%s" INT64_FORMAT,
			 timestamp_name, unix_time);
	request->signature[0] = '\0';
	if (endpoint->signing == NULL || !postrider_signing_has_standard(endpoint->signing))
		return true;

	memcpy(request->signature, signature_name, sizeof(signature_name));
	return postrider_signing_standard(endpoint->signing, request->id + sizeof(id_name) - 1,
									  unix_time, body_of(request, delivery),
									  body_length_of(request, delivery), now,
									  request->signature + sizeof(signature_name) - 1, problem);
}

/* The attempt is a span in the trace of the message. */
static char *
make_traceparent(const Delivery *delivery)
{
	const Message *message = delivery->message;
	char		child[TRACEPARENT_SIZE];

	postrider_traceparent_child(message->traceparent,
								postrider_trace_span(&message->id, delivery->endpoint->id,
													 delivery->result.started_at),
								child);
	return psprintf("traceparent: %s", child);
}

/* Ours, but for those that all requests to the endpoint have. */
static int
make_own_headers(Request *request, const Delivery *delivery)
{
	const Endpoint *endpoint = delivery->endpoint;
	const Message *message = delivery->message;
	struct curl_slist *own = request->own_headers;
	int			count = 0;

	if (endpoint->shape.format == BODY_STANDARD_WEBHOOKS || request->signature[0])
	{
		own[count++].data = request->id;
		own[count++].data = request->timestamp;
	}
	if (request->signature[0])
		own[count++].data = request->signature;
	if (message->traceparent && request->batch_count <= 1 &&
		postrider_traceparent_is_valid(message->traceparent))
		own[count++].data = request->traceparent = make_traceparent(delivery);
	if (endpoint->shape.idempotency_key)
		own[count++].data = request->idempotency_key =
			psprintf("%s: %s", endpoint->shape.idempotency_key,
					 request->id + strlen("webhook-id: "));
	return count;
}

/* Links the headers of this delivery into one list. */
static struct curl_slist *
link_headers(Request *request, const Delivery *delivery)
{
	const Message *message = delivery->message;
	struct curl_slist *list = request->endpoint_headers;
	struct curl_slist *own = request->own_headers;

	if (delivery->header_count > 0)
		list = request->made_headers =
			add_headers(delivery->headers, delivery->header_count, list);
	if (message->header_count > 0)
		list = request->message_headers =
			add_headers(message->headers, message->header_count, list);
	for (int i = make_own_headers(request, delivery) - 1; i >= 0; i--)
	{
		own[i].next = list;
		list = &own[i];
	}
	return list;
}

/* Whoever fills a request has mostly looked already: here is who must not go on. */
static bool
is_ready(Delivery *delivery, TimestampTz now)
{
	const Endpoint *endpoint = delivery->endpoint;
	const char *problem = NULL;
	const char *error_code = "secret";
	TimestampTz retry_at;
	AuthState	state = endpoint->auth == NULL && endpoint->auth_problem == NULL ? AUTH_READY :
		postrider_secure_ready(endpoint, now, &problem, &error_code, &retry_at);

	if (state == AUTH_READY)
		return true;
	delivery->result.error_code = error_code;
	delivery->result.error = pstrdup(state == AUTH_FAILED ? problem :
									 "a credential is still being fetched");
	return false;
}

static bool
secure(Request *request, Delivery *delivery, TimestampTz now)
{
	bool		has_body = sends_body(delivery->endpoint);
	const char *body = has_body ? body_of(request, delivery) : NULL;

	return postrider_secure_apply(request, delivery, has_body && body == NULL ? "" : body,
								  has_body ? body_length_of(request, delivery) : 0, now);
}

static bool
set_url(Request *request, Delivery *delivery)
{
	const char *url = delivery->url ? delivery->url : request->endpoint->url;
	const char *problem;

	if (request->sent_url)
		url = request->sent_url;
	if (postrider_connection_set_url(request->easy, &request->connection, url, &problem))
		return true;
	delivery->result.outcome = OUTCOME_DEAD;
	delivery->result.error_code = "address_refused";
	delivery->result.error = pstrdup(problem);
	return false;
}

bool
postrider_request_fill(Request *request, Delivery *delivery, TimestampTz now)
{
	const Endpoint *endpoint = delivery->endpoint;
	CURL	   *easy = request->easy;
	const char *problem = NULL;

	if (!is_ready(delivery, now))
		return false;
	if (!sign(request, delivery, now, &problem))
	{
		delivery->result.error_code = "secret";
		delivery->result.error = pstrdup(problem);
		return false;
	}
	if (postrider_connection_begin(easy, &request->connection, now, &problem) != SECRET_READY)
	{
		delivery->result.error_code = "secret";
		delivery->result.error = pstrdup(problem);
		return false;
	}
	request->delivery = delivery;
	request->response_cut = false;
	request->headers_complete = false;
	request->headers.space = request->header_space;
	request->headers.size = sizeof(request->header_space);
	request->headers.length = 0;
	request->header_bytes = 0;
	request->body_bytes = 0;
	request->kept_bytes = 0;
	make_room(request, bytes_to_keep(request));
	request->curl_error[0] = '\0';
	request->sent_headers = link_headers(request, delivery);
	if (postrider_secure_concerns(endpoint) && !secure(request, delivery, now))
		return false;
	if (!set_url(request, delivery))
		return false;
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->sent_headers);
	if (!sends_body(endpoint))
		return true;
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
					 (curl_off_t) body_length_of(request, delivery));
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body_of(request, delivery));
	return true;
}

void
postrider_request_end(Request *request, CURLcode code, TimestampTz now, RequestEnd *end,
					  RateHint *hint, float *duration_ms)
{
	curl_off_t	total_us = 0;

	end->code = code;
	end->address_refused = postrider_connection_refused(&request->connection, code);
	end->refusal = request->connection.refusal;
	end->proxy = request->connection.proxy;
	end->proxy_failed = postrider_connection_proxy_failed(&request->connection, request->easy,
														  code, &end->proxy_status);
	end->response_cut = request->response_cut;
	end->headers_complete = request->headers_complete;
	end->detail = request->curl_error;
	end->status = 0;
	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &end->status);
	curl_easy_getinfo(request->easy, CURLINFO_TOTAL_TIME_T, &total_us);
	postrider_rate_headers_read(&request->headers, now, hint);
	*duration_ms = total_us / 1000.0;
}
