/*-------------------------------------------------------------------------
 *
 * request.c
 *	  One HTTP request.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include "content/response_rule.h"
#include "delivery/lane.h"
#include "delivery/request.h"
#include "delivery/watch.h"
#include "security/guard.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define POSTGRES_EPOCH_UNIX_S \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/* curl callback: the guard on the address that is about to be dialled */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	Request    *request = arg;
	int			opened;

	if (purpose != CURLSOCKTYPE_IPCXN ||
		!postrider_guard_allows_address(&address->addr))
	{
		request->address_refused = true;
		return CURL_SOCKET_BAD;
	}
	opened = socket(address->family, address->socktype | SOCK_CLOEXEC,
					address->protocol);
	if (opened >= 0)
		postrider_watch_opened(opened);
	return opened;
}

/*
 * Keeps what response rules may look at.  This is called by curl, so the space is
 * not PostgreSQL's; if there is none, the rules see less.
 */
static void
keep_body(Request *request, const char *data, Size bytes)
{
	Size		keep = Min(bytes, (Size) (RESPONSE_RULE_BODY_BYTES - request->body_length));
	int			needed = request->body_length + keep;

	if (needed > request->body_size)
	{
		int			size = Min(Max(2 * needed, 1024), RESPONSE_RULE_BODY_BYTES);
		char	   *body = realloc(request->body, size);

		if (body == NULL)
			return;
		request->body = body;
		request->body_size = size;
	}
	memcpy(request->body + request->body_length, data, keep);
	request->body_length += keep;
}

/* curl callback: keeps the beginning of the body, and reads to a limit */
static size_t
receive_body(char *data, size_t size, size_t count, void *arg)
{
	Request    *request = arg;
	Size		bytes = size * count;
	Size		keep = Min(bytes, (Size) (RESPONSE_EXCERPT_BYTES - request->excerpt_length));

	memcpy(request->excerpt + request->excerpt_length, data, keep);
	request->excerpt_length += keep;
	if (request->endpoint->response_rules != NULL && bytes > 0)
		keep_body(request, data, bytes);
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
 * curl callback: keeps the headers of interest, bounds the size of all, and notes the empty line at
 * their end, because curl takes a connection that closes before for success
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

/*
 * The headers of all requests to an endpoint: its own, and ours where it has
 * none of that name.
 */
static struct curl_slist *
make_endpoint_headers(const Endpoint *endpoint)
{
	static const char *const defaults[] = {
		"Expect:", "Accept:",	/* curl's own, not to be sent */
		"User-Agent: postrider/0.1.0",
		"Content-Type: application/json"
	};
	struct curl_slist *list = NULL;

	for (int i = 0; i < (int) lengthof(defaults); i++)
		if (!has_header_of(endpoint->headers, endpoint->header_count, defaults[i]))
			list = curl_slist_append(list, defaults[i]);
	for (int i = 0; i < endpoint->header_count; i++)
		list = append_header(list, &endpoint->headers[i]);
	return list;
}

/* The same for one message: its headers win over those of the same name. */
static struct curl_slist *
make_message_headers(const Message *message, const struct curl_slist *endpoint_headers)
{
	struct curl_slist *list = NULL;

	for (; endpoint_headers; endpoint_headers = endpoint_headers->next)
		if (!has_header_of(message->headers, message->header_count,
						   endpoint_headers->data))
			list = curl_slist_append(list, endpoint_headers->data);
	for (int i = 0; i < message->header_count; i++)
		list = append_header(list, &message->headers[i]);
	return list;
}

/* Takes over the endpoint's policy. */
static void
set_up(Request *request, const Endpoint *endpoint)
{
	CURL	   *easy = request->easy;

	curl_easy_reset(easy);
	curl_slist_free_all(request->endpoint_headers);
	request->endpoint_headers = make_endpoint_headers(endpoint);

	curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->curl_error);
	curl_easy_setopt(easy, CURLOPT_URL, endpoint->url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, endpoint->method);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) endpoint->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
					 (long) Min(endpoint->timeout_ms, 10000));

	/* The environment of the postmaster must not choose a proxy. */
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, request);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, postrider_watch_close);
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

static void
free_message_parts(Request *request)
{
	curl_slist_free_all(request->message_headers);
	request->message_headers = NULL;
	if (request->traceparent)
		pfree(request->traceparent);
	request->traceparent = NULL;
	free(request->body);
	request->body = NULL;
	request->body_length = request->body_size = 0;
}

void
postrider_request_release(Request *request)
{
	free_message_parts(request);
	request->delivery = NULL;
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
		pfree(request);
	}
}

static void
format_uuid(const pg_uuid_t *id, char *result)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*result++ = '-';
		*result++ = digits[id->data[i] >> 4];
		*result++ = digits[id->data[i] & 0x0f];
	}
	*result = '\0';
}

/*
 * Standard Webhooks headers.  The id is the same at every attempt, the time is
 * that of the attempt.
 */
static bool
sign(Request *request, Delivery *delivery, TimestampTz now)
{
	static const char id_name[] = "webhook-id: ";
	static const char timestamp_name[] = "webhook-timestamp: ";
	static const char signature_name[] = "webhook-signature: ";
	const Endpoint *endpoint = delivery->endpoint;
	const Message *message = delivery->message;
	int64		unix_time = now / USECS_PER_SEC + POSTGRES_EPOCH_UNIX_S;

	memcpy(request->id, id_name, sizeof(id_name));
	format_uuid(&message->id, request->id + sizeof(id_name) - 1);
	snprintf(request->timestamp, sizeof(request->timestamp), "%s" INT64_FORMAT,
			 timestamp_name, unix_time);
	request->signature[0] = '\0';
	if (endpoint->signing_key == NULL)
		return true;

	memcpy(request->signature, signature_name, sizeof(signature_name));
	return postrider_signature_v1(endpoint->signing_key,
								  endpoint->signing_key_length,
								  request->id + sizeof(id_name) - 1, unix_time,
								  delivery->body, delivery->body_length,
								  request->signature + sizeof(signature_name) - 1);
}

/* Links the headers of this message into one list. */
static struct curl_slist *
link_headers(Request *request, const Message *message)
{
	struct curl_slist *list;
	struct curl_slist *own = request->own_headers;
	int			count = 0;

	own[count++].data = request->id;
	own[count++].data = request->timestamp;
	if (request->signature[0])
		own[count++].data = request->signature;
	if (message->traceparent)
	{
		request->traceparent = psprintf("traceparent: %s", message->traceparent);
		own[count++].data = request->traceparent;
	}

	list = request->endpoint_headers;
	if (message->header_count > 0)
		list = request->message_headers =
			make_message_headers(message, request->endpoint_headers);
	for (int i = count - 1; i >= 0; i--)
	{
		own[i].next = list;
		list = &own[i];
	}
	return list;
}

bool
postrider_request_fill(Request *request, Delivery *delivery, TimestampTz now)
{
	const Endpoint *endpoint = delivery->endpoint;
	const Message *message = delivery->message;
	CURL	   *easy = request->easy;

	if (endpoint->signing_error || !sign(request, delivery, now))
	{
		delivery->result.error_code = "secret";
		delivery->result.error = pstrdup(endpoint->signing_error ?
										 endpoint->signing_error :
										 "the request could not be signed");
		return false;
	}
	request->delivery = delivery;
	request->address_refused = false;
	request->response_cut = false;
	request->headers_complete = false;
	request->header_bytes = 0;
	request->headers.space = request->header_space;
	request->headers.size = sizeof(request->header_space);
	request->headers.length = 0;
	request->body_bytes = 0;
	request->excerpt_length = 0;
	request->curl_error[0] = '\0';
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, link_headers(request, message));
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
					 (curl_off_t) delivery->body_length);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, delivery->body);
	return true;
}

void
postrider_request_end(Request *request, CURLcode code, TimestampTz now, RequestEnd *end,
					  RateHint *hint, float *duration_ms)
{
	curl_off_t	total_us = 0;

	end->code = code;
	end->address_refused = request->address_refused;
	end->response_cut = request->response_cut;
	end->headers_complete = request->headers_complete;
	end->detail = request->curl_error;
	end->status = 0;
	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &end->status);
	curl_easy_getinfo(request->easy, CURLINFO_TOTAL_TIME_T, &total_us);

	postrider_rate_headers_read(&request->headers, now, hint);
	*duration_ms = total_us / 1000.0;
}
