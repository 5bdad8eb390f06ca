/*-------------------------------------------------------------------------
 *
 * response.c
 *	  What is kept of a response; see response.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/response.h"
#include "delivery/secure.h"
#include "util/text.h"

/* Headers that may name what the receiver has made; others are not kept. */
static const char *const reply_headers[REPLY_HEADERS] = {
	"content-type", "location", "etag", "x-request-id"
};

/* A receiver may repeat what it was sent; shorter secrets could be any word. */
#define MASK_LEAST_BYTES 4

/* A longer value is not kept. */
#define REPLY_HEADER_BYTES 2048

/* As text, without the credentials that the request had. */
static char *
keep_text(const Request *request, const char *bytes, Size length)
{
	char	   *masked;
	char	   *kept;

	if (request->secrets == NIL)
		return postrider_text_clean(bytes, (int) length);
	masked = postrider_secure_mask(request, bytes, length, MASK_LEAST_BYTES, &length);
	kept = postrider_text_clean(masked, (int) length);
	pfree(masked);
	return kept;
}

static void
keep_headers(const Request *request, Reply *reply)
{
	for (int i = 0; i < REPLY_HEADERS; i++)
	{
		struct curl_header *header;

		if (curl_easy_header(request->easy, reply_headers[i], 0, CURLH_HEADER, -1,
							 &header) != CURLHE_OK ||
			strlen(header->value) > REPLY_HEADER_BYTES)
			continue;
		reply->headers[reply->header_count].name = (char *) reply_headers[i];
		reply->headers[reply->header_count++].value =
			keep_text(request, header->value, strlen(header->value));
	}
}

void
postrider_response_keep(const Request *request, AttemptResult *result)
{
	const Endpoint *endpoint = request->endpoint;
	Size		excerpt = Min(request->kept_bytes,
							  (Size) Max(endpoint->response_excerpt_bytes, 0));

	if (result->outcome != OUTCOME_DELIVERED)
	{
		if (excerpt > 0)
			result->response = keep_text(request, request->kept, excerpt);
		return;
	}
	if (endpoint->reply_topic == NULL)
		return;
	result->reply = palloc0(sizeof(Reply));
	result->reply->length = Min(request->kept_bytes, RESPONSE_REPLY_BYTES);
	result->reply->body_bytes = request->body_bytes;
	if (result->reply->length > 0)
		result->reply->body = keep_text(request, request->kept, result->reply->length);
	keep_headers(request, result->reply);
}
