/*-------------------------------------------------------------------------
 *
 * response.c
 *	  What is kept of a response; see response.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "delivery/response.h"
#include "util/text.h"

/* Headers that may name what the receiver has made; others are not kept. */
static const char *const reply_headers[REPLY_HEADERS] = {
	"content-type", "location", "etag", "x-request-id"
};

/* A longer value is not kept. */
#define REPLY_HEADER_BYTES 2048

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
			postrider_text_clean(header->value, -1);
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
			result->response = postrider_text_clean(request->kept, (int) excerpt);
		return;
	}
	if (endpoint->reply_topic == NULL)
		return;
	result->reply = palloc0(sizeof(Reply));
	result->reply->length = Min(request->kept_bytes, RESPONSE_REPLY_BYTES);
	result->reply->body_bytes = request->body_bytes;
	if (result->reply->length > 0)
		result->reply->body = postrider_text_clean(request->kept,
												   (int) result->reply->length);
	keep_headers(request, result->reply);
}
