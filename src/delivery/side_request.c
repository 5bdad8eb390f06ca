/*-------------------------------------------------------------------------
 *
 * side_request.c
 *	  Requests that are no deliveries; see side_request.h.
 *
 * All that a request needs is in a memory context of its own, and that is wiped with
 * the handle: it has credentials in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/connection.h"
#include "delivery/side_request.h"
#include "lib/ilist.h"
#include "security/scrub.h"
#include "security/secret_set.h"
#include "util/text.h"
#include "util/version.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

struct SideRequest
{
	dlist_node	node;			/* in the list of those that run, or have ended */
	MemoryContext context;
	CURL	   *easy;
	CURLM	   *multi;
	Connection	connection;
	void	   *owner;
	struct curl_slist *headers;
	char	   *body;			/* what is sent ... */
	Size		body_length;
	TimestampTz sent_at;
	TimestampTz ended_at;
	CURLcode	code;
	bool		too_large;
	bool		headers_complete;
	Size		header_length;
	Size		answer_length;
	Scrubber   *hidden;			/* what must not be seen in an error */
	char		curl_error[CURL_ERROR_SIZE];
	char	   *header_space;	/* ... and what comes back, */
	char	   *answer;			/* each with a byte for NUL */
};

static dlist_head running = DLIST_STATIC_INIT(running);
static dlist_head ended = DLIST_STATIC_INIT(ended);
static int	running_count = 0;

/* curl callback */
static size_t
receive_body(char *data, size_t size, size_t count, void *arg)
{
	SideRequest *side = arg;
	Size		bytes = size * count;

	if (bytes > SIDE_BODY_BYTES - side->answer_length)
	{
		side->too_large = true;
		return 0;
	}
	memcpy(side->answer + side->answer_length, data, bytes);
	side->answer_length += bytes;
	return bytes;
}

/* curl callback; curl takes a connection that closes before the end for success */
static size_t
receive_header(char *data, size_t size, size_t count, void *arg)
{
	SideRequest *side = arg;
	Size		bytes = size * count;

	if (bytes > 5 && memcmp(data, "HTTP/", 5) == 0)
	{
		side->header_length = 0;	/* what was before is an interim response */
		side->headers_complete = false;
	}
	else if (bytes <= 2)
		side->headers_complete = true;
	if (bytes > SIDE_HEADER_BYTES - side->header_length)
	{
		side->too_large = true;
		return 0;
	}
	memcpy(side->header_space + side->header_length, data, bytes);
	side->header_length += bytes;
	return bytes;
}

static void
append_header(SideRequest *side, const char *name, const char *value)
{
	char	   *line = value[0] ? psprintf("%s: %s", name, value) : psprintf("%s;", name);

	side->headers = curl_slist_append(side->headers, line);
	explicit_bzero(line, strlen(line));
	pfree(line);
}

static void
set_headers(SideRequest *side, const CredentialRequest *request)
{
	ListCell   *cell;

	side->headers = curl_slist_append(NULL, "Expect:");
	side->headers = curl_slist_append(side->headers, "User-Agent: postrider/" POSTRIDER_VERSION);
	side->headers = curl_slist_append(side->headers, "Accept: application/json");
	foreach(cell, request->headers)
	{
		const CredentialHeader *header = lfirst(cell);

		append_header(side, header->name, header->value);
	}
	curl_easy_setopt(side->easy, CURLOPT_HTTPHEADER, side->headers);
}

static void
set_ca(SideRequest *side, const char *pem)
{
	struct curl_blob blob = {.data = unconstify(char *, pem),.len = strlen(pem),.flags = CURL_BLOB_COPY};

	curl_easy_setopt(side->easy, CURLOPT_CAINFO_BLOB, &blob);
	curl_easy_setopt(side->easy, CURLOPT_CAPATH, NULL);
}

static void
set_body(SideRequest *side, const CredentialRequest *request)
{
	curl_easy_setopt(side->easy, CURLOPT_HTTPGET, 1L);
	if (request->body != NULL)
	{
		side->body_length = request->body_length;
		side->body = MemoryContextAlloc(side->context, request->body_length + 1);
		memcpy(side->body, request->body, request->body_length);
		curl_easy_setopt(side->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(side->easy, CURLOPT_POSTFIELDSIZE_LARGE,
						 (curl_off_t) side->body_length);
		curl_easy_setopt(side->easy, CURLOPT_POSTFIELDS, side->body);
	}
	curl_easy_setopt(side->easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static bool
set_up(SideRequest *side, const CredentialRequest *request, const char **problem)
{
	CURL	   *easy = side->easy;
	Proxy		proxy;
	bool		has_proxy = postrider_proxy_find(request->url, NULL, NULL, &proxy);

	postrider_connection_set_up(easy, &side->connection, has_proxy ? &proxy : NULL);
	if (!postrider_connection_set_url(easy, &side->connection, request->url, problem))
		return false;
	*problem = "the secret of its proxy is not there yet";
	if (postrider_connection_begin(easy, &side->connection, GetCurrentTimestamp(),
								   problem) != SECRET_READY)
		return false;
	if (request->ca_certificate)
		set_ca(side, request->ca_certificate);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, side);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, side->curl_error);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) SIDE_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, side);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, receive_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, side);
	set_headers(side, request);
	set_body(side, request);
	return true;
}

static void
hide(SideRequest *side, const CredentialRequest *request)
{
	ListCell   *cell;

	side->hidden = postrider_scrubber_make(side->context);
	foreach(cell, request->hidden)
		postrider_scrubber_add(side->hidden, lfirst(cell), strlen(lfirst(cell)));
}

void
postrider_side_request_scrub(const SideRequest *side, char *string)
{
	string[postrider_scrub(side->hidden, string, strlen(string))] = '\0';
}

SideRequest *
postrider_side_request_make(const CredentialRequest *request, void *owner,
							const char **problem)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "postrider side request",
												  ALLOCSET_SMALL_SIZES);
	SideRequest *side = MemoryContextAllocZero(context, sizeof(SideRequest));

	side->context = context;
	side->owner = owner;
	side->header_space = MemoryContextAlloc(context, SIDE_HEADER_BYTES + 1);
	side->answer = MemoryContextAlloc(context, SIDE_BODY_BYTES + 1);
	hide(side, request);
	side->easy = curl_easy_init();
	*problem = pstrdup("cannot be asked: there is no memory");
	if (side->easy != NULL && set_up(side, request, problem))
		return side;
	postrider_side_request_free(side);
	return NULL;
}

void
postrider_side_request_start(SideRequest *side, CURLM *multi)
{
	side->multi = multi;
	side->sent_at = GetCurrentTimestamp();
	dlist_push_tail(&running, &side->node);
	running_count++;
	curl_multi_add_handle(multi, side->easy);
}

bool
postrider_side_request_end(CURL *easy, CURLcode code)
{
	dlist_iter	iter;

	dlist_foreach(iter, &running)
	{
		SideRequest *side = dlist_container(SideRequest, node, iter.cur);

		if (side->easy != easy)
			continue;
		curl_multi_remove_handle(side->multi, easy);
		side->multi = NULL;
		side->code = code;
		side->ended_at = GetCurrentTimestamp();
		dlist_delete(&side->node);
		running_count--;
		dlist_push_tail(&ended, &side->node);
		return true;
	}
	return false;
}

int
postrider_side_requests_running(void)
{
	return running_count;
}

SideRequest *
postrider_side_request_next(void)
{
	return dlist_is_empty(&ended) ? NULL :
		dlist_container(SideRequest, node, dlist_pop_head_node(&ended));
}

void *
postrider_side_request_owner(const SideRequest *side)
{
	return side->owner;
}

/* Why there is no whole answer. */
static char *
describe(SideRequest *side)
{
	long		status;

	if (side->too_large)
		return psprintf("answered with more than %d kB", SIDE_BODY_BYTES / 1024);
	if (postrider_connection_refused(&side->connection, side->code))
		return psprintf("has an address in %s, which postrider.allowed_networks does not list",
						side->connection.refusal);
	if (postrider_connection_proxy_failed(&side->connection, side->easy, side->code, &status))
		return status > 0 ?
			psprintf("was not reached: the proxy %s answered with status %ld",
					 side->connection.proxy, status) :
			psprintf("was not reached: the proxy %s did not connect", side->connection.proxy);
	if (side->code == CURLE_OPERATION_TIMEDOUT)
		return psprintf("did not answer within %d s", SIDE_TIMEOUT_MS / 1000);
	if (side->code == CURLE_OK)
		return pstrdup("closed the connection in the middle of its answer");
	return psprintf("could not be asked: %s",
					postrider_text_clean(side->curl_error[0] ? side->curl_error :
										 curl_easy_strerror(side->code), -1));
}

void
postrider_side_request_read(SideRequest *side, SideEnd *end)
{
	long		status = 0;

	memset(end, 0, sizeof(*end));
	curl_easy_getinfo(side->easy, CURLINFO_RESPONSE_CODE, &status);
	if (side->code != CURLE_OK || !side->headers_complete || status == 0)
	{
		end->problem = describe(side);
		return;
	}
	side->header_space[side->header_length] = '\0';
	side->answer[side->answer_length] = '\0';
	end->answer.status = (int) status;
	end->answer.headers = side->header_space;
	end->answer.body = side->answer;
	end->answer.body_length = side->answer_length;
	end->answer.now = side->ended_at;
	end->answer.sent_at = side->sent_at;
}

void
postrider_side_request_free(SideRequest *side)
{
	for (struct curl_slist *header = side->headers; header; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(side->headers);
	if (side->easy)
		curl_easy_cleanup(side->easy);
	if (side->body)
		explicit_bzero(side->body, side->body_length);
	postrider_scrubber_wipe(side->hidden);
	explicit_bzero(side->answer, side->answer_length);
	explicit_bzero(side->header_space, side->header_length);
	MemoryContextDelete(side->context);
}
